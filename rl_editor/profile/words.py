"""A profile as a table: one column per style, one row per measure."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rl_editor.files import write_text
from rl_editor.profile import ON_THE_BEAT_MS, Numbers, StyleProfile, rows
from rl_editor.usual_fades import SHORTEST_CROSSFADE_S

_NONE = "–"
_COLUMNS = ("style", "measure", "value", "n")


def table(profiles: Sequence[StyleProfile]) -> str:
    """What a person asks first, for all styles side by side."""
    lines = [["", *(p.style for p in profiles)]]
    lines += [[name, *(say(p) for p in profiles)] for name, say in _LINES]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def save_table(profiles: Sequence[StyleProfile], path: str | Path) -> None:
    """Write every measure of every style as CSV; what is not defined is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for profile in profiles:
        for row in rows(profile):
            writer.writerow({name: "" if value != value else value for name, value in row.items()})
    write_text(path, text.getvalue())


def to_dict(profile: StyleProfile) -> dict[str, Any]:
    """Plain values for JSON; what is not defined is null."""
    return {name: _plain(value) for name, value in asdict(profile).items()}


def _plain(value: Any) -> Any:
    match value:
        case float():
            return round(value, 4) if math.isfinite(value) else None
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case tuple() | list():
            return [_plain(each) for each in value]
        case _:
            return value


def _share(value: float) -> str:
    return f"{100.0 * value:.0f} %" if math.isfinite(value) else _NONE


def _shares(values: Sequence[float]) -> str:
    return " ".join(_share(v).removesuffix(" %") for v in values) + " %"


def _middle(values: Numbers, unit: str = "", digits: int = 0) -> str:
    """The median and the middle half; ``unit`` begins with a space, in the plural."""
    if not values:
        return _NONE
    low, median, high = np.percentile(values, [25, 50, 75])
    said = f"{median:.{digits}f}"
    return f"{said}{unit.removesuffix('s') if said == '1' else unit} ({low:.{digits}f}–{high:.{digits}f})"


def _blocks(bars: Sequence[int], times: str, n_songs: int) -> str:
    return f"{len(bars) / n_songs:.1f} a song, {_middle(bars, ' bars')}{times}" if bars else "none"


def _loops(p: StyleProfile) -> str:
    times = f", {np.mean(p.loop_times):.1f} times, strength {np.median(p.loop_strength):.2f}" if p.loop_bars else ""
    return _blocks(p.loop_bars, times, p.n_songs)


def _moves(p: StyleProfile) -> str:
    return _blocks(p.move_bars, f", by {np.median(p.move_distance):+.0f} bars" if p.move_bars else "", p.n_songs)


def _fades(lengths_s: Sequence[float]) -> str:
    """Of the ends within a recording, or of joins, how many fade, and how long."""
    faded = [fade_s for fade_s in lengths_s if fade_s]
    said = f"{len(faded)} of {len(lengths_s)}" + (f", {_middle(faded, ' s', 1)}" if faded else "")
    return said if lengths_s else _NONE


def _on_the_beat(p: StyleProfile) -> str:
    return _share(float(np.mean(np.array(p.join_off_ms) < ON_THE_BEAT_MS))) if p.join_off_ms else _NONE


_LINES: tuple[tuple[str, Callable[[StyleProfile], str]], ...] = (
    ("edits", lambda p: str(p.n_songs)),
    ("length of the edit", lambda p: _middle([100.0 * r for r in p.length_ratio], " %")),
    ("bars kept, cut, looped, moved", lambda p: _shares(list(p.actions.values()))),
    ("plays of sections, weak to strong", lambda p: _shares(p.plays_by_strength)),
    ("plays of the song, start to end", lambda p: _shares(p.plays_by_place)),
    ("plays of what is new / heard before", lambda p: f"{_share(p.plays_first)} / {_share(p.plays_again)}"),
    ("stretches kept", lambda p: _middle(p.kept_bars, " bars")),
    ("stretches cut", lambda p: _middle(p.cut_bars, " bars")),
    ("loops", _loops),
    ("moves", _moves),
    ("joins per minute", lambda p: _middle(p.joins_per_minute, digits=1)),
    (f"joins within {ON_THE_BEAT_MS:g} ms of a downbeat", _on_the_beat),
    ("joins that keep the beat of the bar", lambda p: _share(p.phase_kept)),
    ("cost of joins, of random ones", lambda p: _share(p.join_cost)),
    ("starts within the song that fade in", lambda p: _fades(p.fade_in_s)),
    ("ends within the song that fade out", lambda p: _fades(p.fade_out_s)),
    (f"joins that crossfade, {SHORTEST_CROSSFADE_S:g} s or more", lambda p: _fades(p.crossfade_s)),
)
