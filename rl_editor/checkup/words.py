"""A grid in words: what it is, what it could be, and the lines that say so in a settings file."""

import json
import re
from dataclasses import asdict

import numpy as np
import yaml

from rl_editor.checkup import Checkup
from rl_editor.command import counted
from rl_editor.config import BeatOverride

DOUBTFUL = 0.1  # an alternative at least this likely is worth hearing
NOTHING_HEARD = (
    "no beat is heard: this grid is regular, at beats.start_bpm from the start; if there is music to be heard, its "
    "channels may cancel each other out"
)
_PLAIN_KEY = re.compile(r"\w[\w.-]*", re.ASCII)


def screen(found: Checkup) -> str:
    """All of it on one screen."""
    grid = found.grid
    interval = np.diff(found.beats_s)
    local = 60.0 / interval if len(interval) else np.array([grid.tempo_bpm])
    slow, fast = np.percentile(local, [5, 95])
    lines = [
        f"{found.track_id}: {grid.tempo_bpm:.1f} bpm ({slow:.1f} to {fast:.1f}), {grid.beats_per_bar} in a bar, "
        f"{counted(len(found.beats_s), 'beat')}, {counted(len(found.downbeats_s), 'bar')}; tracker {found.tracker}",
    ]
    if found.is_unheard:
        return "\n".join([*lines, NOTHING_HEARD])
    if found.override == BeatOverride():
        lines.append(f"expected F-measure of the beats: {grid.confidence:.2f}")
    else:
        lines.append(f"corrected by beats.overrides, and taken for sure: {_entry(found.override)}")
    lines += ["", "  likely  grid"]
    lines += [f"  {a.probability:6.1%}  {a.name}{_as_entry(a.override, found)}" for a in found.alternatives]
    doubts = [a for a in found.alternatives if a.override != BeatOverride() and a.probability >= DOUBTFUL]
    if doubts and found.override == BeatOverride():
        lines += [
            "",
            "If one of these is what you hear, put its line into the settings (params.yaml, or --params FILE):",
        ]
        lines += ["", "beats:", "  overrides:"]
        lines += [f"    {_key(found.track_id)}: {_entry(a.override)}  # {a.name}" for a in doubts]
    return "\n".join(lines)


def _as_entry(override: BeatOverride, found: Checkup) -> str:
    """What makes an alternative so, for the settings; nothing on a corrected grid, which it would correct again."""
    return f"  {_entry(override)}" if found.override == BeatOverride() != override else ""


def _key(track_id: str) -> str:
    """The name of a track as YAML reads it back: quoted where it would be something else."""
    plain = _PLAIN_KEY.fullmatch(track_id) and yaml.safe_load(track_id) == track_id  # yes and 007 are no strings
    return track_id if plain else json.dumps(track_id, ensure_ascii=False)


def _entry(override: BeatOverride) -> str:
    neutral = asdict(BeatOverride())
    fields = [f"{name}: {value}" for name, value in asdict(override).items() if value != neutral[name]]
    return "{" + ", ".join(fields) + "}"
