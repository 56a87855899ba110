"""Listening sets and collected answers as files.

    SET/set.json         rl-editor/listening-set, version 1: pairs, and whole edits to rate
    SET/audio/*.flac     what plays
    SET/answers.jsonl    the log of ``log``
    NAME.json            rl-editor/preferences, version 1: a set and the answers to it, without audio

Both files are the same bytes for the same values. ``data/preferences`` holds files of the second kind.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rl_editor.errors import DatasetError, first_lines
from rl_editor.files import write_json
from rl_editor.judgements import Heard, Judgement, Pair, Rating
from rl_editor.judgements.reading import checked

SET_FORMAT, PREFERENCES_FORMAT, VERSION = "rl-editor/listening-set", "rl-editor/preferences", 1
SET_FILE, AUDIO, ANSWERS = "set.json", "audio", "answers.jsonl"

_T = TypeVar("_T")


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
        values = _read(path, SET_FORMAT, "make one with rl-editor candidates")
        return _checked(cls, values, path, "make the set again")


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
        said = {name: values.pop(name, None) for name in ("judgements", "ratings")}
        return _checked(cls, {"listening_set": values, **said}, Path(path), "collect the answers again")


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


def _read(path: Path, kind: str, remedy: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(f"{path}: not a readable {kind} file ({first_lines(error)}); {remedy}") from error
    found = (values.get("format"), values.get("version")) if isinstance(values, dict) else (None, None)
    if found != (kind, VERSION):
        raise DatasetError(f"{path}: format {found[0]!r} version {found[1]!r}, {kind!r} version {VERSION} is needed")
    return {name: value for name, value in values.items() if name not in ("format", "version")}


def _checked(kind: type[_T], values: dict[str, Any], path: Path, remedy: str) -> _T:
    try:
        return checked(kind, values)
    except ValueError as error:
        raise DatasetError(f"{path}: {str(error).replace('listening_set.', '')}; {remedy}") from None
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None


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


def _heard_to_dict(heard: Heard) -> dict[str, Any]:
    fields = {name: value for name, value in vars(heard).items() if name != "edit"}
    return fields | {"edit": heard.edit.to_dict()}


def _silent_pair(pair: Pair) -> Pair:
    return replace(pair, a=replace(pair.a, audio=""), b=replace(pair.b, audio=""))
