"""Listening sets and collected answers as files.

    SET/set.json         rl-editor/listening-set, version 1: pairs, and whole edits to rate
    SET/audio/*.flac     what plays
    SET/answers.jsonl    the log of ``log``
    NAME.json            rl-editor/preferences, version 1: a set and the answers to it, without audio

Both files are the same bytes for the same values. ``data/preferences`` holds files of the second kind.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rl_editor.edits import EditList
from rl_editor.errors import DatasetError, EditListError
from rl_editor.files import write_json
from rl_editor.judgements import CHOICES, RATINGS, Heard, Judgement, Pair, Presentation, Rating, listener_name

SET_FORMAT, PREFERENCES_FORMAT, VERSION = "rl-editor/listening-set", "rl-editor/preferences", 1
SET_FILE, AUDIO, ANSWERS = "set.json", "audio", "answers.jsonl"


@dataclass(frozen=True)
class ListeningSet:
    """What there is to judge.

    Raises:
        DatasetError: two pairs or two edits to rate share an identifier, or a summary has other columns than named.
    """

    name: str
    seed: int
    summary_names: tuple[str, ...]
    pairs: tuple[Pair, ...]
    whole: tuple[Heard, ...] = ()

    def __post_init__(self) -> None:
        for what, names in (("pair", [p.pair_id for p in self.pairs]), ("edit", [h.edit_id for h in self.whole])):
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise DatasetError(f"{self.name}: {what} {twice!r} occurs twice; identifiers must differ")
        for heard in self.heard():
            if len(heard.summary) != len(self.summary_names):
                raise DatasetError(
                    f"{self.name}: edit {heard.edit_id!r} has a summary of {len(heard.summary)} numbers, "
                    f"{len(self.summary_names)} are named; make the set again"
                )

    def heard(self) -> list[Heard]:
        """Everything that plays: both sides of every pair, then the whole edits."""
        return [side for pair in self.pairs for side in (pair.a, pair.b)] + list(self.whole)

    def pair(self, pair_id: str) -> Pair:
        """One of them.

        Raises:
            DatasetError: there is no such pair.
        """
        found = next((pair for pair in self.pairs if pair.pair_id == pair_id), None)
        if found is None:
            raise DatasetError(f"{self.name}: no pair {pair_id!r} among its {len(self.pairs)}; is it another set's?")
        return found

    def save(self, folder: Path) -> None:
        """Write ``set.json``."""
        write_json(folder / SET_FILE, {"format": SET_FORMAT, "version": VERSION, **_set_to_dict(self)})

    @classmethod
    def load(cls, folder: str | Path) -> "ListeningSet":
        """Read the set of a folder.

        Raises:
            DatasetError: there is none, or it breaks the format.
        """
        path = Path(folder) / SET_FILE
        return _set_from_dict(_read(path, SET_FORMAT, "make one with rl-editor candidates"), str(path))


@dataclass(frozen=True)
class Preferences:
    """A set and the answers to it.

    Raises:
        DatasetError: an answer is to a pair or an edit that the set does not hold.
    """

    listening_set: ListeningSet
    judgements: tuple[Judgement, ...] = ()
    ratings: tuple[Rating, ...] = ()

    def __post_init__(self) -> None:
        pairs = {pair.pair_id for pair in self.listening_set.pairs}
        edits = {heard.edit_id for heard in self.listening_set.whole}
        asked = [("pair", j.presentation.pair_id, pairs) for j in self.judgements]
        for what, name, known in asked + [("edit", r.edit_id, edits) for r in self.ratings]:
            if name not in known:
                raise DatasetError(
                    f"{self.listening_set.name}: an answer to {what} {name!r}, which the set does not hold; was it "
                    "made again since?"
                )

    def save(self, path: Path) -> None:
        """Write what was judged and what was said of it; pairs that nobody judged and audio names are left out."""
        judged = {j.presentation.pair_id for j in self.judgements}
        rated = {r.edit_id for r in self.ratings}
        kept = replace(
            self.listening_set,
            pairs=tuple(_silent_pair(pair) for pair in self.listening_set.pairs if pair.pair_id in judged),
            whole=tuple(replace(h, audio="") for h in self.listening_set.whole if h.edit_id in rated),
        )
        values = _set_to_dict(kept) | {
            "judgements": [asdict(judgement) for judgement in self.judgements],
            "ratings": [asdict(rating) for rating in self.ratings],
        }
        write_json(path, {"format": PREFERENCES_FORMAT, "version": VERSION, **values})

    @classmethod
    def load(cls, path: str | Path) -> "Preferences":
        """Read a file of collected answers.

        Raises:
            DatasetError: it is missing, or breaks the format.
        """
        values = _read(Path(path), PREFERENCES_FORMAT, "write one with rl-editor preferences collect")
        found = _set_from_dict(values, str(path))
        try:
            judgements = tuple(judgement_from_dict(each) for each in values["judgements"])
            return cls(found, judgements, tuple(rating_from_dict(each) for each in values["ratings"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{path}: {type(error).__name__}: {error}; collect the answers again") from error


def load_folder(folder: Path) -> list[Preferences]:
    """The files of collected answers in a folder, in order of their names; none where there is no folder.

    Raises:
        DatasetError: one of them breaks the format, or two hold the same presentation.
    """
    found = [Preferences.load(path) for path in sorted(folder.glob("*.json"))]
    ids = [j.presentation.presentation_id for each in found for j in each.judgements]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise DatasetError(f"{folder}: presentation {twice!r} is in two files; take the older one away")
    return found


def judgement_from_dict(value: Mapping[str, Any]) -> Judgement:
    """A judgement from plain values.

    Raises:
        ValueError: a choice or side is unknown.
        KeyError: something is missing.
        TypeError: something is of the wrong type, or unknown.
    """
    fields = dict(value)
    asked = Presentation(**fields.pop("presentation"))
    found = Judgement(asked, **fields)
    if found.choice not in CHOICES:
        raise ValueError(f"choice {found.choice!r}; known: {', '.join(CHOICES)}")
    for side in (asked.first, found.played_first or "a"):
        if side not in ("a", "b"):
            raise ValueError(f"side {side!r}; known: a, b")
    _check_listener(asked.listener)
    if not isinstance(asked.repeat, bool):
        raise TypeError(f"repeat {asked.repeat!r}, true or false is needed")
    return found


def rating_from_dict(value: Mapping[str, Any]) -> Rating:
    """A rating from plain values.

    Raises:
        ValueError: it is no whole number from 1 to 10.
        KeyError: something is missing.
        TypeError: something is of the wrong type, or unknown.
    """
    found = Rating(**value)
    if isinstance(found.rating, bool) or found.rating not in RATINGS:
        raise ValueError(f"rating {found.rating!r}, a whole number from {RATINGS[0]} to {RATINGS[-1]} is needed")
    _check_listener(found.listener)
    return found


def _check_listener(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"listener {name!r}, a name is needed")
    try:
        listener_name(name)
    except DatasetError as error:
        raise ValueError(str(error)) from None


def _read(path: Path, kind: str, remedy: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(f"{path}: not a readable {kind} file ({error}); {remedy}") from error
    found = (values.get("format"), values.get("version")) if isinstance(values, dict) else (None, None)
    if found != (kind, VERSION):
        raise DatasetError(f"{path}: format {found[0]!r} version {found[1]!r}, {kind!r} version {VERSION} is needed")
    return dict(values)


def _set_to_dict(found: ListeningSet) -> dict[str, Any]:
    return {
        "name": found.name,
        "seed": found.seed,
        "summary_names": list(found.summary_names),
        "pairs": [
            {"pair_id": p.pair_id, "kind": p.kind, "a": _heard_to_dict(p.a), "b": _heard_to_dict(p.b)}
            for p in found.pairs
        ],
        "whole": [_heard_to_dict(heard) for heard in found.whole],
    }


def _set_from_dict(values: Mapping[str, Any], where: str) -> ListeningSet:
    try:
        return ListeningSet(
            str(values["name"]),
            int(values["seed"]),
            tuple(str(name) for name in values["summary_names"]),
            tuple(_pair_from_dict(pair) for pair in values["pairs"]),
            tuple(_heard_from_dict(heard) for heard in values["whole"]),
        )
    except EditListError as error:
        raise DatasetError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{where}: {type(error).__name__}: {error}; make the set again") from error


def _pair_from_dict(value: Mapping[str, Any]) -> Pair:
    if value["kind"] not in ("pair", "anchor"):
        raise ValueError(f"kind {value['kind']!r}; known: pair, anchor")
    return Pair(str(value["pair_id"]), value["kind"], _heard_from_dict(value["a"]), _heard_from_dict(value["b"]))


def _heard_to_dict(heard: Heard) -> dict[str, Any]:
    fields = {name: value for name, value in vars(heard).items() if name != "edit"}
    return fields | {"edit": heard.edit.to_dict()}


def _heard_from_dict(value: Mapping[str, Any]) -> Heard:
    fields = dict(value) | {
        "edit": EditList.from_dict(value["edit"]),
        "summary": _numbers(value["summary"]),
        "beats_s": _numbers(value["beats_s"]),
        "differs_s": tuple((float(start), float(end)) for start, end in value["differs_s"]),
    }
    return Heard(**fields)


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _silent_pair(pair: Pair) -> Pair:
    return replace(pair, a=replace(pair.a, audio=""), b=replace(pair.b, audio=""))
