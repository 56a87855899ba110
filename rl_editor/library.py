"""A folder of recordings: which raw belongs to which edit, and what is amiss.

Layout below the folder: ``input/*_raw.*``, ``desired_output/*_edit.*``, ``reference/*`` and, optionally, ``pairs.csv``
(columns ``raw,edit,style``; names in these folders) where one raw has several edits or more than one editor is at work.
Without it ``song_raw.wav`` goes with ``song_edit.flac``, and all pairs are of one style. Letter case of ``_raw``,
``_edit`` and of suffixes does not matter. Nothing is guessed: what does not fit is listed as a problem and left out.
"""

import csv
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rl_editor.config import BeatsConfig
from rl_editor.errors import DatasetError
from rl_editor.files import legible, require_folder, safe_name, visible
from rl_editor.utils import AUDIO_SUFFIXES

Role = Literal["raw", "edit", "reference"]

INPUT, OUTPUT, REFERENCE, PAIRS = "input", "desired_output", "reference", "pairs.csv"
DEFAULT_STYLE = "default"

_MARKS: Mapping[Role, str] = {"raw": "_raw", "edit": "_edit", "reference": ""}
_FOLDERS: Mapping[Role, str] = {"raw": INPUT, "edit": OUTPUT, "reference": REFERENCE}
_COLUMNS = ("raw", "edit", "style")
_DELIMITERS = (",", ";", "\t")  # spreadsheets of many countries write semicolons
# What ffmpeg may decode and no edit is written as: names of its demuxers, and of audiobooks and ringtones
_ONLY_READ = frozenset(
    {".3gp", ".ac3", ".amr", ".ape", ".dff", ".dsf", ".dts", ".eac3", ".m4b", ".m4r", ".mp2", ".mpc", ".shn", ".spx",
     ".tak", ".tta", ".voc", ".wv"}
)  # fmt: skip
_TAKEN = ("problems",)  # beside a pair's .json lies problems.json, what was left out
_SHOWN = 5  # songs or tracks named in a message


class Problem(NamedTuple):
    """Something that was left out, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def first_of(problems: Sequence[Problem], most: int) -> str:
    """The first problems in a line, where each was said before."""
    more = [f"and {len(problems) - most} more, see above"] if len(problems) > most else []
    return "; ".join([*map(str, problems[:most]), *more])


@dataclass(frozen=True)
class Recording:
    """One file; ``track_id`` is its stem, made safe for file names and unique in its library."""

    track_id: str
    path: Path
    role: Role


def problem_of(path: Path, error: str) -> Problem:
    """Why a recording was left out: an error, which as a rule begins with its path or name."""
    return Problem(path.name, error.removeprefix(f"{path}: ").removeprefix(f"{path.name}: "))


@dataclass(frozen=True)
class Pair:
    """A raw recording and an edit of it; ``song`` names the raw, which several pairs may share."""

    pair_id: str
    raw: Recording
    edit: Recording
    style: str
    song: str


@dataclass(frozen=True)
class Library:
    """What a folder of recordings holds."""

    root: Path
    pairs: tuple[Pair, ...]
    references: tuple[Recording, ...]
    problems: tuple[Problem, ...]

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Every recording that is in use, once, in order of role and track id."""
        used = {r for pair in self.pairs for r in (pair.raw, pair.edit)} | set(self.references)
        return tuple(sorted(used, key=lambda r: (r.role, r.track_id)))

    @property
    def heard(self) -> tuple[Recording, ...]:
        """The recordings whose beats are looked for: raws and references."""
        return tuple(recording for recording in self.recordings if recording.role != "edit")

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the editors, sorted."""
        return tuple(sorted({pair.style for pair in self.pairs}))


class _Entry(NamedTuple):
    """A file that may be a recording; ``key`` is its stem without the mark, normalised for matching."""

    path: Path
    key: str


def audio_files(folder: str | Path) -> list[Path]:
    """What is named like a recording in a folder, hidden files aside, in order of names; none in what is no folder."""
    return [path for path in visible(Path(folder)) if path.suffix.lower() in AUDIO_SUFFIXES]


def only_read(folder: str | Path) -> list[Path]:
    """Files of a folder that are named like recordings, in formats that no edit is written as."""
    return [path for path in visible(Path(folder)) if path.suffix.lower() in _ONLY_READ and path.is_file()]


def has_recordings(root: str | Path) -> bool:
    """Whether the folder's ``input``, ``desired_output`` or ``reference`` holds any audio file."""
    return any(path.is_file() for folder in _FOLDERS.values() for path in audio_files(Path(root) / folder))


def find_library(root: str | Path) -> Library:
    """Read the layout of a folder of recordings; audio itself is not opened.

    Raises:
        ConfigError: there is no such folder.
        DatasetError: it holds no recording at all.
    """
    folder = Path(root)
    require_folder(folder)
    if not has_recordings(folder):
        raise DatasetError(
            f"{folder}: no recordings; put raw takes into {INPUT}/ as NAME_raw.wav and their edits into "
            f"{OUTPUT}/ as NAME_edit.wav"
        )
    problems: list[Problem] = []
    entries = {role: _entries(folder, role, problems) for role in _FOLDERS}
    table = folder / PAIRS
    matches = (
        _listed(table, folder, problems) if table.is_file() else _matched(entries["raw"], entries["edit"], problems)
    )
    ids = _track_ids(folder, entries, matches)
    pairs = _make_pairs(_told_apart(matches, problems), ids)
    references = tuple(Recording(ids[e.path], e.path, "reference") for e in entries["reference"])
    if table.is_file():
        _report_unlisted(entries, matches, problems)
    return Library(folder, pairs, references, tuple(sorted(problems)))


def track_name(path: str | Path) -> str:
    """What a recording on its own is called: in ``beats.overrides``, and in the names of cache entries."""
    return safe_name(Path(path).stem)


def unknown_tracks(track_ids: Iterable[str], config: BeatsConfig) -> list[Problem]:
    """Names in ``beats.overrides`` that no raw or reference has: they correct nothing."""
    return unknown_names(config.overrides, track_ids, setting="beats.overrides", what="track")


def unknown_names(named: Iterable[str], known: Iterable[str], *, setting: str, what: str) -> list[Problem]:
    """Names in a setting that nothing here has."""
    there = sorted(known)
    shown = ", ".join(there[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "")
    reason = f"named in {setting}, and no {what} that is left is called so; {what}s here are {shown or 'none'}"
    return [Problem(name, reason) for name in sorted(set(named) - set(there))]


def _entries(root: Path, role: Role, problems: list[Problem]) -> list[_Entry]:
    """The audio files of a role's folder whose names fit it."""
    mark, entries = _MARKS[role], []
    for path in visible(root / _FOLDERS[role]):
        stem, known = _fold(path.stem), path.suffix.lower() in AUDIO_SUFFIXES
        if not path.is_file():
            if known:
                problems.append(Problem(_shown(path), "a folder or a broken link, no file"))
        elif legible(path) != str(path):
            problems.append(Problem(_shown(path), "the name is no UTF-8 text; rename it"))
        elif not known:
            problems.append(Problem(_shown(path), f"{path.suffix or 'no suffix'} is no audio format known here"))
        elif not stem.endswith(mark) and not (root / PAIRS).is_file():
            problems.append(Problem(_shown(path), f"the name does not end in {mark}; rename it {path.stem}{mark}"))
        else:
            entries.append(_Entry(path, stem.removesuffix(mark)))
    return entries


class _Match(NamedTuple):
    raw: Path
    edit: Path
    style: str


def _matched(raws: list[_Entry], edits: list[_Entry], problems: list[Problem]) -> list[_Match]:
    """Pairs by name."""
    by_key = {key: e.path for key, e in _unique(raws, problems).items()}
    edit_by_key = {key: e.path for key, e in _unique(edits, problems).items()}
    twice = {e.key for e in raws} - set(by_key) | {e.key for e in edits} - set(edit_by_key)
    problems.extend(
        Problem(_shown(by_key[key]), f"a raw without its edit; {OUTPUT}/ has no {key}_edit.*")
        for key in sorted(set(by_key) - set(edit_by_key) - twice)
    )
    problems.extend(
        Problem(_shown(edit_by_key[key]), f"an edit without its raw; {INPUT}/ has no {key}_raw.*")
        for key in sorted(set(edit_by_key) - set(by_key) - twice)
    )
    return [_Match(by_key[k], edit_by_key[k], DEFAULT_STYLE) for k in sorted(set(by_key) & set(edit_by_key))]


def _unique(entries: list[_Entry], problems: list[Problem]) -> dict[str, _Entry]:
    groups: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.key].append(entry)
    for group in groups.values():
        if len(group) > 1:
            names = ", ".join(e.path.name for e in group)
            problems.extend(Problem(_shown(e.path), f"duplicate name ({names}); keep one of them") for e in group)
    return {key: group[0] for key, group in groups.items() if len(group) == 1}


def _listed(table: Path, root: Path, problems: list[Problem]) -> list[_Match]:
    """Pairs by ``pairs.csv``."""
    matches: list[_Match] = []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            heading = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(_DELIMITERS, key=heading.count))
            reader.fieldnames = [name.strip().casefold() for name in reader.fieldnames or ()]
            _require_columns(table, reader.fieldnames)
            rows = [(reader.line_num, row) for row in reader if _says_something(row)]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{table}: not UTF-8 text ({error}); save it as UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{table}: no table of comma-separated values ({error}); save it as CSV") from error
    for number, row in rows:
        match = _row_match(row, root)
        if isinstance(match, Problem):
            problems.append(Problem(f"{PAIRS} line {number}", str(match)))
        elif any(match[:2] == m[:2] for m in matches):
            problems.append(Problem(f"{PAIRS} line {number}", f"{row['raw']}, {row['edit']}: listed twice"))
        else:
            matches.append(match)
    return matches


def _require_columns(table: Path, names: Sequence[str]) -> None:
    """Refuse a table that lacks a column, has it twice, or may call the style otherwise: editors would become one.

    Raises:
        DatasetError: says which columns there are.
    """
    needed = _COLUMNS if any(name not in ("raw", "edit", "") for name in names) else _COLUMNS[:2]
    if any(names.count(column) != 1 for column in needed):
        raise DatasetError(f"{table}: columns {list(names)}; expected {','.join(_COLUMNS)}, each once")


def _says_something(row: Mapping[Any, Any]) -> bool:
    """Whether any cell is filled; spreadsheets write rows of commas."""
    cells = [*row.get(None, ()), *(row[name] or "" for name in row if name is not None)]
    return bool("".join(cells).strip())


def _told_apart(matches: Iterable[_Match], problems: list[Problem]) -> list[_Match]:
    """Styles as names, less the pairs of an editor whose name would be that of another one."""
    editors: dict[str, str] = {}  # name: as it was first spelled
    kept = []
    for match in matches:
        name = safe_name(match.style)
        if (first := editors.setdefault(name, match.style)) == match.style:
            kept.append(match._replace(style=name))
        else:
            reason = f"style {match.style!r} and {first!r} are one name, {name!r}; rename one or spell it alike"
            problems.append(Problem(_shown(match.edit), reason))
    return kept


def _row_match(row: Mapping[Any, Any], root: Path) -> _Match | Problem:
    """The pair that a row names; what no column has a name for is the value of None, a list."""
    if beyond := ", ".join(value for value in row.get(None, ()) if value.strip()):
        return Problem(beyond, f"more values than columns; name the column, of {','.join(_COLUMNS)}, or quote commas")
    paths = []
    for column, folder in (("raw", INPUT), ("edit", OUTPUT)):
        name = (row.get(column) or "").strip()
        spellings = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]  # one looks like the other
        places = [f"{folder}/{spelling}" for spelling in (name, *spellings)] + [name]
        found = [p for p in _inside(root, places) if name and _is_file(p)]
        if not found and Path(os.path.normpath(name)).parts[:1] in {("..",), ("/",)}:
            return Problem(name, f"outside {root}; copy it into {folder}/")
        if not found:
            return Problem(name or f"empty {column}", f"no such file in {folder}/")
        if found[0].suffix.lower() not in AUDIO_SUFFIXES:
            return Problem(name, f"{found[0].suffix or 'no suffix'} is no audio format known here")
        paths.append(found[0])
    if paths[0] == paths[1]:
        return Problem(row["raw"] or "", "raw and edit are one file; name the edit that was made of it")
    style = " ".join(unicodedata.normalize("NFC", row.get("style") or "").split())
    return _Match(paths[0], paths[1], style or DEFAULT_STYLE)


def _inside(root: Path, names: Iterable[str]) -> list[Path]:
    """The places below ``root`` that names mean, each in its one spelling; symbolic links are left as they are."""
    base = os.path.abspath(root)
    places = [os.path.relpath(os.path.normpath(os.path.join(base, name)), base) for name in names]
    return [root / place for place in places if place.split(os.sep)[0] != ".."]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _report_unlisted(entries: Mapping[Role, list[_Entry]], matches: list[_Match], problems: list[Problem]) -> None:
    used = {path for match in matches for path in match[:2]}
    for role in ("raw", "edit"):
        unlisted = (e.path for e in entries[role] if e.path not in used)
        problems.extend(Problem(_shown(path), f"not listed in {PAIRS}; add a line for it") for path in unlisted)


def _track_ids(root: Path, entries: Mapping[Role, list[_Entry]], matches: list[_Match]) -> dict[Path, str]:
    paths = {e.path for role in entries.values() for e in role} | {p for match in matches for p in match[:2]}
    order = sorted(paths, key=lambda path: path.relative_to(root).as_posix())
    return dict(zip(order, _unique_names(path.stem for path in order), strict=True))


def _unique_names(stems: Iterable[str], *, taken: Iterable[str] = ()) -> list[str]:
    """Safe names, a number added where two, or one and what is ``taken``, would be one file on any file system."""
    taken = set(taken)
    names: list[str] = []
    for stem in stems:
        name, number = safe_name(stem), 1
        while _fold(name) in taken:
            number += 1
            name = f"{safe_name(stem)}-{number}"
        taken.add(_fold(name))
        names.append(name)
    return names


def _make_pairs(matches: list[_Match], ids: Mapping[Path, str]) -> tuple[Pair, ...]:
    stems = [re.sub(r"(?i)_edit$", "", ids[match.edit]) for match in matches]
    return tuple(
        Pair(pair_id, Recording(ids[m.raw], m.raw, "raw"), Recording(ids[m.edit], m.edit, "edit"), m.style, ids[m.raw])
        for pair_id, m in zip(_unique_names(stems, taken=_TAKEN), matches, strict=True)
    )


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _shown(path: Path) -> str:
    return legible(Path(path.parent.name, path.name))
