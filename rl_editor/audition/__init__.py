"""The joins of an edit, judged one by one: what is wrong with each, and whether the edit as a whole is sound.

Conventions: an edit is rendered as it is, its joins where they are; times in seconds of output unless named otherwise.
A join has a fault where it does what the song's own beats hardly ever do (above their ``UNUSUAL`` percentile), where
the beat stumbles by more than is heard, where the bar's count breaks, or where it clicks. On a grid less sure than
``SURE``, beat and bar are measured but no fault.

    audition    judged joins and a verdict (this file)
    joins       what is measured at each
    words       both on a screen
    picture     the edit over its joins, as PNG
    pages       a few seconds around every join as files, and a page to hear and see them
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_editor.audition.joins import CLICK, JoinDiagnostics, join_diagnostics
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.files import scratch_folder
from rl_editor.render import check_recording, held_in_memory, render_file, render_samples
from rl_editor.state import AudioState
from rl_editor.utils import Samples, load_audio, read_places

UNUSUAL = 95.0  # percentile of the song's own beats
STUMBLE_MS = 25.0  # a later or earlier beat than this is heard as one
SURE = 0.8  # expected F-measure of the grid, below which beats and bars are no fault of the join


class JudgedJoin(NamedTuple):
    """One join and its faults, among ``level``, ``spectrum``, ``beat``, ``bar`` and ``click``."""

    number: int  # from 1, in output order
    found: JoinDiagnostics
    faults: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Audition:
    """An edit that was rendered and listened to."""

    edit: EditList
    rendered: Samples
    joins: list[JudgedJoin]
    tempo_bpm: float
    grid_confidence: float
    places: tuple[int, ...] = ()  # of its channels, as ``speakers`` numbers them

    @property
    def n_faulty(self) -> int:
        """How many joins have a fault."""
        return sum(bool(join.faults) for join in self.joins)

    def shown(self, most: int) -> list[JudgedJoin]:
        """So many joins at the most, in output order; faulty ones first where there are more."""
        worst = sorted(self.joins, key=lambda join: (not join.faults, join.number))[:most]
        return sorted(worst, key=lambda join: join.number)

    def medians(self) -> dict[str, float]:
        """Median over joins of each measure that is defined somewhere; share of joins that keep the bar's count."""
        measures: dict[str, list[float | None]] = {
            "level_step_db": [j.found.level_step_db for j in self.joins],
            "spectral_percentile": [j.found.spectral_percentile for j in self.joins],
            "beat_error_ms": [abs(j.found.beat_error_ms) for j in self.joins],
            "click": [j.found.click for j in self.joins],
        }
        known = {name: [v for v in values if v is not None] for name, values in measures.items()}
        medians = {name: float(np.median(values)) for name, values in known.items() if values}
        kept = [j.found.bar_phase_kept for j in self.joins if j.found.bar_phase_kept is not None]
        return medians | ({"bar_phase_kept": float(np.mean(kept))} if kept else {})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "source": self.edit.source.name,
            "duration_s": round(self.edit.duration_s, 6),
            "n_joins": len(self.joins),
            "n_faulty": self.n_faulty,
            "tempo_bpm": round(self.tempo_bpm, 2),
            "grid_confidence": round(self.grid_confidence, 3),
            "medians": {name: round(value, 3) for name, value in self.medians().items()},
            "joins": [
                {"number": join.number, "faults": list(join.faults)}
                | {k: round(v, 4) if isinstance(v, float) else v for k, v in join.found._asdict().items()}
                for join in self.joins
            ],
        }


def audition(edit: EditList, source: Path, config: Config, *, any_source: bool = False) -> Audition:
    """Render an edit and judge its joins.

    Args:
        edit: what plays.
        source: the recording that it cuts.
        config: reads ``audio``, ``beats``, ``features`` and ``render``.
        any_source: take a file with other content than the edit list was made for.

    Raises:
        EditListError: the edit list plays nothing, or was made for another recording.
        AudioFileError: the recording cannot be read or is too short.
    """
    if not any_source:
        check_recording(edit, source)
    recording = held_in_memory(source)
    rendered = _rendered(edit, source, recording, config)
    state = AudioState.from_file(source, config, recording=recording)
    sure = state.grid.confidence >= SURE
    found = join_diagnostics(edit, rendered, state)
    judged = [JudgedJoin(number, join, _faults(join, sure=sure)) for number, join in enumerate(found, start=1)]
    return Audition(edit, rendered, judged, state.grid.tempo_bpm, state.grid.confidence, read_places(source))


def _rendered(edit: EditList, source: Path, recording: Samples | None, config: Config) -> Samples:
    """The edit in memory, also of a recording that is too long to be held beside it."""
    if recording is not None:
        return render_samples(edit, recording, config)
    with scratch_folder() as folder:
        plain = folder / "rendered.rf64"
        render_file(edit, source, plain, config)
        return load_audio(plain)


def _faults(join: JoinDiagnostics, *, sure: bool) -> tuple[str, ...]:
    found = {
        "level": join.level_percentile is not None and join.level_percentile > UNUSUAL,
        "spectrum": join.spectral_percentile is not None and join.spectral_percentile > UNUSUAL,
        "beat": sure and abs(join.beat_error_ms) > STUMBLE_MS,
        "bar": sure and join.bar_phase_kept is False,
        "click": join.click > CLICK,
    }
    return tuple(name for name, wrong in found.items() if wrong)
