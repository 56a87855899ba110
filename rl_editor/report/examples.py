"""Held-out tracks to look at and listen to: timelines of every one, audio and join measurements of a few.

Clips are mono FLAC at the recording's rate. ``edit`` is the edit's start, ``joins`` two seconds to each side of its
first joins, one after another with a moment of silence between.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32
from markupsafe import Markup

from rl_editor.audition.joins import CLICK, JoinDiagnostics, join_diagnostics
from rl_editor.command import counted
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.evaluation import EvaluationResult, Example
from rl_editor.evaluation.comparison import BASELINES
from rl_editor.render import render_samples, settle_joins
from rl_editor.report.timeline import BINS_PER_S, source_peaks, timeline_svg
from rl_editor.report.words import in_reading_order
from rl_editor.state.hearing import level_db
from rl_editor.utils import Samples, load_audio, save_audio

CLIP_S = 60.0  # of the edit's start
JOIN_SIDE_S = 2.0
JOINS_HEARD = 6
SILENCE_S = 0.4
_LEVEL_RANGE_DB = 60.0
_JOIN_COLUMNS = ["track", "style", "method", *JoinDiagnostics._fields]


class Rendered(NamedTuple):
    """One rendered edit of an example."""

    method: str
    edit_clip: str  # path below the report
    joins_clip: str | None
    joins: list[JoinDiagnostics]

    @property
    def summary(self) -> str:
        """The measurements in a line."""
        if not self.joins:
            return "no joins"
        percentiles = [j.spectral_percentile for j in self.joins if j.spectral_percentile is not None]
        phases = [j.bar_phase_kept for j in self.joins if j.bar_phase_kept is not None]
        words = [
            counted(len(self.joins), "join"),
            f"level step {np.median([j.level_step_db for j in self.joins]):.1f} dB",
            f"beat error {np.median([abs(j.beat_error_ms) for j in self.joins]):.0f} ms",
            counted(sum(j.click > CLICK for j in self.joins), "click"),
        ]
        if percentiles:
            words.append(f"spectral percentile {np.median(percentiles):.0f}")
        if phases:
            words.append(f"bar phase kept at {sum(phases)} of {len(phases)}")
        return ", ".join(words)


class ExamplePage(NamedTuple):
    """One held-out track on the page."""

    example: Example
    svg: Markup
    heard: list[Rendered]


def example_pages(
    result: EvaluationResult, folder: Path, sources: Mapping[str, Path], config: Config
) -> list[ExamplePage]:
    """A timeline per held-out track; audio for the first ``evaluation.audio_examples`` of each style."""
    return list(_pages(result, folder, sources, config))


def joins_table(pages: list[ExamplePage]) -> pd.DataFrame:
    """Every measured join."""
    rows = [
        {"track": page.example.pair_id, "style": page.example.style, "method": heard.method, **_rounded(join)}
        for page in pages
        for heard in page.heard
        for join in heard.joins
    ]
    return pd.DataFrame(rows, columns=_JOIN_COLUMNS)


def _pages(
    result: EvaluationResult, folder: Path, sources: Mapping[str, Path], config: Config
) -> Iterator[ExamplePage]:
    played: dict[str, int] = {}
    for example in result.examples:
        methods = in_reading_order(tuple(m for m in example.edits if m not in BASELINES or m == "dp"))
        edits = {method: example.edits[method] for method in methods if example.edits[method].segments}
        path = sources.get(example.song, sources.get(example.pair_id))
        number = played.get(example.style, 0)
        if path is None or number >= config.evaluation.audio_examples:
            peaks = _level_peaks(example)
            heard = []
        else:
            played[example.style] = number + 1
            recording = load_audio(path)
            peaks = source_peaks(recording.data.mean(axis=1), sample_rate=recording.sample_rate)
            heard = [_hear(example, method, edit, recording, folder, config) for method, edit in edits.items()]
        svg = timeline_svg(edits, peaks, duration_s=example.state.grid.duration_s)
        yield ExamplePage(example, Markup(svg), heard)


def _level_peaks(example: Example) -> np.ndarray:
    """A waveform's outline from the level of beats, where the recording is not at hand."""
    grid, level = example.state.grid, level_db(example.state.features)
    height = np.clip(1.0 + (level - level.max()) / _LEVEL_RANGE_DB, 0.0, 1.0)
    at = (np.arange(int(grid.duration_s * BINS_PER_S) + 1) + 0.5) / BINS_PER_S
    beat = np.clip(np.searchsorted(grid.times_s, at, "right") - 1, 0, grid.n_beats - 1)
    return np.asarray(height[beat])


def _hear(example: Example, method: str, edit: EditList, recording: Samples, folder: Path, config: Config) -> Rendered:
    settled = settle_joins(edit, recording, config)
    rendered = render_samples(settled, recording, config)
    diagnostics = join_diagnostics(settled, rendered, example.state)
    name = f"{example.pair_id}__{method}"
    edit_clip = _save(folder, f"{name}.flac", rendered.data[: round(CLIP_S * rendered.sample_rate)], rendered)
    joins_clip = None
    if diagnostics:
        joins_clip = _save(folder, f"{name}__joins.flac", _around_joins(rendered, diagnostics), rendered)
    return Rendered(method, edit_clip, joins_clip, diagnostics)


def _around_joins(rendered: Samples, joins: list[JoinDiagnostics]) -> Float32[np.ndarray, "frames channels"]:
    rate = rendered.sample_rate
    silence = np.zeros((round(SILENCE_S * rate), rendered.channels), np.float32)
    parts = []
    for join in joins[:JOINS_HEARD]:
        low, high = (round((join.output_s + side) * rate) for side in (-JOIN_SIDE_S, JOIN_SIDE_S))
        parts += [rendered.data[max(low, 0) : high], silence]
    return np.concatenate(parts[:-1])


def _save(folder: Path, name: str, data: Float32[np.ndarray, "frames channels"], like: Samples) -> str:
    mono = data.mean(axis=1, keepdims=True, dtype=np.float32)
    clipped = np.clip(mono, -1.0, 1.0)
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    save_audio(folder / "audio" / name, Samples(clipped, like.sample_rate), subtype="PCM_16")
    return f"audio/{name}"


def _rounded(join: JoinDiagnostics) -> dict[str, float | bool | None]:
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in join._asdict().items()}
