"""Scores of edit lists, each against its recording. ``running`` scores decisions while they are taken, to the same end.

Conventions as in ``terms``. An edit list's cuts may lie anywhere: what is smooth along beats (level, beat interval,
what is heard) is interpolated at the cut, what is counted (bar, phase) is the nearest beat's. Material that is not in
the source cannot be compared: a join with it counts as a transition of natural distance.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rl_editor.config import Config
from rl_editor.edits import EditList, Segment, check_length_asked, joins
from rl_editor.errors import EditListError
from rl_editor.intervals import overlaps, repeated, total
from rl_editor.reward.faults import FAULT_NAMES, N_FAULTS, Offsets, faults_of
from rl_editor.reward.terms import (
    Brief,
    Estimate,
    Totals,
    brief,
    combined,
    estimate,
    stacked,
)
from rl_editor.state import AudioState, ReferenceStatistics
from rl_editor.state.tables import BAR, BAR_PHASE, STRENGTH, BeatTable, beat_table

_RATING_LOW, _RATING_HIGH = 1.0, 10.0
_COUNTED = (BAR_PHASE, BAR, STRENGTH)

LearnedReward = Callable[[Float[Tensor, "edits summary"]], Float[Tensor, " edits"]]
"""Summaries of edits (``SUMMARY_NAMES``) to preferences in [0, 1]."""


class RewardComponents(NamedTuple):
    """Terms of one edit in [0, 1], 1 is good; None is a term that was not given."""

    tempo: float
    energy: float
    phrase: float
    transition: float
    loop: float
    duration: float
    human_rating: float | None
    learned: float | None
    total: float


class _Cut(NamedTuple):
    """A position in the source, seen from the beats."""

    point: Float[np.ndarray, " columns"]
    offset_s: float  # from the nearest beat


class RewardCalculator:
    """The reward (formulas in ``terms``), as a function of the edit list and the recording's tables alone."""

    def __init__(
        self,
        config: Config,
        *,
        reference: ReferenceStatistics | None = None,
        learned_reward: LearnedReward | None = None,
    ) -> None:
        self.config, self.reference, self.learned_reward = config, reference, learned_reward
        self._latest: tuple[AudioState, BeatTable] | None = None  # edits are mostly of one recording after another

    def score(
        self,
        edit: EditList,
        state: AudioState,
        *,
        target_duration_s: float | None = None,
        style: str = "",
        human_rating: float | None = None,
    ) -> RewardComponents:
        """Terms and total of an edit; an empty edit totals 0.

        Raises:
            EditListError: the edit cuts another recording, a rating is not in 1..10, or no edit is as long as asked.
        """
        result = self._estimate(edit, state, target_duration_s, style)
        human = None if human_rating is None else result.terms.new_tensor([_rating(human_rating)])
        learned = None if self.learned_reward is None else self.learned_reward(result.summary)
        total = combined(result.terms, self.config.reward, human=human, learned=learned)
        given = [None if extra is None else float(extra[0]) for extra in (human, learned)]
        return RewardComponents._make([*result.terms[0].tolist(), *given, float(total[0])])

    def summary(
        self, edit: EditList, state: AudioState, *, target_duration_s: float | None = None, style: str = ""
    ) -> Float[Tensor, " summary"]:
        """``SUMMARY_NAMES`` of an edit: what a learned reward sees of it."""
        return self._estimate(edit, state, target_duration_s, style).summary[0]

    def join_costs(self, edit: EditList, state: AudioState) -> Float[np.ndarray, "joins faults"]:
        """Faults (``FAULT_NAMES``) of every join of an edit: those within the recording first, in output order each."""
        faults = self._faults(edit, self._table(state), state)
        return faults[:, : len(FAULT_NAMES)].numpy()

    def _table(self, state: AudioState) -> BeatTable:
        if self._latest is None or self._latest[0] is not state:
            self._latest = state, beat_table(state, self.reference)
        return self._latest[1]

    def _estimate(self, edit: EditList, state: AudioState, target_s: float | None, style: str) -> Estimate:
        _check_source(edit, state)
        if target_s is not None:
            check_length_asked(target_s)
        table = self._table(state)
        totals = _totals(edit, table, self._faults(edit, table, state))
        asked = self._brief(state, table, target_s, self.config.reward.loop_limit(style))
        return estimate(totals, asked, tolerance=self.config.reward.duration_tolerance)

    def _brief(self, state: AudioState, table: BeatTable, target_s: float | None, loop_limit: float) -> Brief:
        def one(value: float) -> Tensor:
            return torch.tensor([value], dtype=torch.float32)

        return brief(
            self.config.reward,
            target_s=one(np.nan if target_s is None else target_s),
            loop_limit=one(loop_limit),
            source_s=one(int(table.frames[-1]) / table.sample_rate),
            bar_s=one(state.grid.bar_s),
            reference=self.reference,
        )

    def _faults(self, edit: EditList, table: BeatTable, state: AudioState) -> Float[Tensor, "joins faults"]:
        pairs = joins(edit)
        known = [(a, b) for a, b in pairs if a.plays and b.plays]
        faults = torch.zeros(len(pairs), N_FAULTS)
        faults[len(known) :, FAULT_NAMES.index("transition")] = 0.5
        faults[len(known) :, len(FAULT_NAMES)] = 1.0
        if known:
            faults[: len(known)] = _known_faults(known, table, state, self.config.reward.phrase_bars)
        return faults


def _known_faults(
    pairs: list[tuple[Segment, Segment]], table: BeatTable, state: AudioState, phrase_bars: int
) -> Float[Tensor, "joins faults"]:
    leaves, enters = [left.source_span[1] for left, _ in pairs], [right.source_span[0] for _, right in pairs]
    out, into = [_cut(frame, table) for frame in leaves], [_cut(frame, table) for frame in enters]
    offsets = Offsets(
        _row([c.offset_s for c in out]),
        _row([c.offset_s for c in into]),
        _row([right.gain_db - left.gain_db for left, right in pairs]),
        _row([float(np.log2(right.speed / left.speed)) for left, right in pairs]),
    )
    faults = faults_of(
        _points(out),
        _points(into),
        moved=torch.tensor([[o != i for o, i in zip(leaves, enters, strict=True)]]),
        level_scale_db=torch.tensor([[table.level_scale_db]], dtype=torch.float32),
        beats_per_bar=torch.tensor([[float(state.grid.beats_per_bar)]]),
        phrase_bars=phrase_bars,
        offsets=offsets,
    )
    return stacked(faults)[0]


def _row(values: list[float]) -> Float[Tensor, "1 joins"]:
    return torch.tensor([values], dtype=torch.float32)


def _points(cuts: list[_Cut]) -> Float[Tensor, "1 joins columns"]:
    return torch.from_numpy(np.stack([c.point for c in cuts]).astype(np.float32))[None]


def _cut(frame: int, table: BeatTable) -> _Cut:
    frames, points = table.frames, table.points
    low = int(np.clip(np.searchsorted(frames, frame, "right") - 1, 0, len(frames) - 2))
    share = (frame - frames[low]) / max(int(frames[low + 1] - frames[low]), 1)
    nearest = low + int(share > 0.5)
    point = (1.0 - share) * points[low] + share * points[low + 1]
    point[list(_COUNTED)] = points[nearest, list(_COUNTED)]
    return _Cut(point, (frame - int(frames[nearest])) / table.sample_rate)


def _totals(edit: EditList, table: BeatTable, faults: Float[Tensor, "joins faults"]) -> Totals:
    """Sums over an edit list; of the source's material, what plays beyond the first time is replayed.

    Sums are seconds of output, at the edit's mean speed: where speeds differ, which time was the first is not asked.
    """
    played, spans, rate = np.zeros(len(table.energy_rank)), edit.source_spans(), edit.source.sample_rate
    heard = sum(s.frames for s in edit.segments if s.plays)
    source_rate = rate * total(spans) / heard if heard else rate  # frames of source per second of output
    for span in spans:
        played += overlaps(table.frames, span)
    sums = (
        edit.frames / rate,
        repeated(spans) / source_rate,
        float(played @ table.energy_rank) / source_rate,
        0.0,
        float(bool(spans) and edit.segments[0].source_start_frame == spans[0][0] < table.frames[1]),
        float(bool(spans) and edit.segments[-1].source_end_frame == spans[-1][1] > table.frames[-2]),
    )
    return Totals(faults.double().sum(dim=0)[None], *(torch.tensor([value], dtype=torch.float64) for value in sums))


def _rating(value: float) -> float:
    if not _RATING_LOW <= value <= _RATING_HIGH:
        raise EditListError(f"human rating {value}: outside 1..10; 10 is the best")
    return (value - _RATING_LOW) / (_RATING_HIGH - _RATING_LOW)


def _check_source(edit: EditList, state: AudioState) -> None:
    recording = state.recording
    if (edit.source.frames, edit.source.sample_rate) != (recording.frames, recording.sample_rate):
        raise EditListError(
            f"edit of {edit.source.name!r} ({edit.source.frames} frames at {edit.source.sample_rate} Hz): the "
            f"recording has {recording.frames} at {recording.sample_rate} Hz; was the edit made on another file?"
        )
