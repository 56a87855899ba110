"""The demands that an edit meets, written into its edit list, so that later revisions hold them.

Conventions: as in ``demands``. The edit list's JSON has them beside the edit, under ``demands``; what reads edit lists
for what they play passes over it, and an edit list without it holds nothing.

    "demands": {"keep": [[40.0, 55.0]], "drop": [], "anchors": [[65.0, 45.0]], "barred": [[30.52, 62.5]],
                "duration_s": 90.0, "exact": true, "no_loop": true, "no_reorder": true}

The last two stand there only where they are asked.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from rl_editor import edits
from rl_editor.clock import MAX_SECONDS
from rl_editor.edits import EditList, check_length_asked
from rl_editor.errors import ConfigError, EditListError
from rl_editor.negotiation.demands import NO, Anchor, Demands, Jump, TimeSpan

_KEY = "demands"
_OF_ONE_REVISION = ("vetoes",)
ALL = "all"  # to be forgotten


def lasting(demands: Demands, edit: EditList) -> Demands:
    """The same demands on any edit: the joins of ``edit`` that are vetoed by their numbers, by what they join."""
    sides, rate = edits.joins(edit), edit.source.sample_rate
    jumps = []
    for number in demands.vetoes:
        left, right = sides[number - 1]
        assert left.source_end_frame is not None
        assert right.source_start_frame is not None
        jumps.append(Jump(left.source_end_frame / rate, right.source_start_frame / rate))
    return replace(demands, vetoes=(), barred=(*demands.barred, *jumps))


def joined(held: Demands, asked: Demands) -> Demands:
    """What is asked now beside what was asked before, the last length among it, to the sample if it was asked so."""
    return replace(
        asked,
        exact=asked.exact or (asked.duration_s is None and held.exact),
        duration_s=held.duration_s if asked.duration_s is None else asked.duration_s,
        keep=(*held.keep, *asked.keep),
        drop=(*held.drop, *asked.drop),
        anchors=(*held.anchors, *asked.anchors),
        barred=(*held.barred, *asked.barred),
        no_loop=held.no_loop or asked.no_loop,
        no_reorder=held.no_reorder or asked.no_reorder,
    )


def forgotten(held: Demands, names: Iterable[str]) -> Demands:
    """What is held without the demands of these names, or without any.

    Raises:
        ConfigError: none is held by that name.
    """
    for name in names:
        rest = dict(held.each()) | {ALL: Demands()}
        if name not in rest:
            known = ", ".join(repr(each) for each in rest)
            said = (
                f"not held; give one of {known}" if held != Demands() else "nothing is held from before; leave it out"
            )
            raise ConfigError(f"--forget {name!r}: {said}")
        held = rest[name]
    return held


def recorded_json(edit: EditList, demands: Demands) -> str:
    """The edit list as text with the demands that it meets, the same bytes every time."""
    if demands == Demands():
        return edit.to_json()
    left_out = (*_OF_ONE_REVISION, *(field for field in NO.values() if not getattr(demands, field)))
    record = {name: value for name, value in asdict(demands).items() if name not in left_out}
    return json.dumps(edit.to_dict() | {_KEY: record}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def recorded(path: Path) -> Demands:
    """The demands that an edit list file records; none where it has no record.

    Raises:
        EditListError: the record is broken.
    """
    whole = json.loads(path.read_text(encoding="utf-8-sig"))
    try:
        return _read(whole.get(_KEY, {}))
    except (AttributeError, TypeError, ValueError, EditListError) as error:
        raise EditListError(
            f"{path}: {_KEY}: {error}; change it, or delete {_KEY!r}: then nothing is held from before"
        ) from None


def _read(found: Any) -> Demands:
    if not isinstance(found, dict):
        raise TypeError(f"{found!r} is no record")
    known = [field.name for field in fields(Demands) if field.name not in _OF_ONE_REVISION]
    if unknown := sorted(set(found) - set(known)):
        raise ValueError(f"{unknown[0]!r} is not known, known are {', '.join(known)}")
    duration_s = found.get("duration_s")
    if duration_s is not None:
        (duration_s,) = _seconds("duration_s", [duration_s], 1)
        check_length_asked(duration_s)
    exact = found.get("exact", False)
    if not isinstance(exact, bool) or (exact and duration_s is None):
        raise ValueError(
            f"exact {exact!r} and duration_s {duration_s!r}, true or false and a length to meet are needed"
        )
    no = {field: found.get(field, False) for field in NO.values()}
    for field, value in no.items():
        if not isinstance(value, bool):
            raise TypeError(f"{field} {value!r}, true or false is needed")
    keep, drop = ([TimeSpan(*pair) for pair in _pairs(found, name)] for name in ("keep", "drop"))
    for span in (*keep, *drop):
        if span.end_s <= span.start_s:
            raise ValueError(f"{list(span)!r} ends before it starts")
    anchors, barred = _pairs(found, "anchors"), _pairs(found, "barred")
    return Demands(
        duration_s,
        exact,
        keep=tuple(keep),
        drop=tuple(drop),
        anchors=tuple(Anchor(*pair) for pair in anchors),
        barred=tuple(Jump(*pair) for pair in barred),
        **no,
    )


def _pairs(found: Mapping[str, Any], name: str) -> list[list[float]]:
    values = found.get(name, [])
    if not isinstance(values, list):
        raise TypeError(f"{name} {values!r:.60}, a list of pairs of seconds is needed")
    return [_seconds(name, pair, 2) for pair in values]


def _seconds(name: str, values: Any, n: int) -> list[float]:
    """So many times of a list, as a command takes them."""
    if not isinstance(values, list) or len(values) != n or not all(map(_is_time, values)):
        said = f"{values[0]!r:.60}, a number" if n == 1 else f"{values!r:.60}, {n} numbers"
        raise ValueError(f"{name} {said} of seconds from 0 to {MAX_SECONDS:g} expected")
    return [float(value) for value in values]


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= MAX_SECONDS
