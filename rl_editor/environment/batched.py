"""Editing episodes in lockstep as tensors: E episodes over T tracks, one decision per step and episode.

Conventions: shapes and parts as in ``state`` and ``reward``; unit cursors go from 0 to U - 1 and an episode is done
after the last decision. The reward of a step is the change of a potential, the exact score of the edit as far as it
is estimated (``reward.terms``), so an episode's rewards add up to its score minus a constant of its start
(Ng, Harada and Russell 1999). An illegal decision plays as KEEP and is flagged. A step reads nothing back to the host;
all chance comes from the generator.

A target may be hidden: then the reward still asks for it, and the observation does not show it. So an agent learns to
find a fitting length by itself, where nothing but its demonstrations says one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rl_editor.actions import KEEP, ActionSpace
from rl_editor.config import Config
from rl_editor.environment.progress import ProgressLedger
from rl_editor.reward import LearnedReward, RunningEdits
from rl_editor.reward.terms import Brief, Estimate, brief, combined, estimate
from rl_editor.state import Observation, ReferenceStatistics, TrackBatch


class StepInfo(NamedTuple):
    """What a step says beside observation and reward; of the episode before an automatic reset."""

    masked_action: Bool[Tensor, " episodes"]  # the decision was illegal and played as KEEP
    action: Int[Tensor, " episodes"]  # what was played
    terms: Float[Tensor, "episodes terms"]  # reward.TERM_NAMES, exact where done
    total: Float[Tensor, " episodes"]  # the score, exact where done
    audited: Float[Tensor, " episodes"]  # the score of the terms alone
    learned: Float[Tensor, " episodes"]  # what the learned reward says, whatever its weight; NaN without one


class StepResult(NamedTuple):
    """The outcome of one step."""

    observation: Observation
    reward: Float[Tensor, " episodes"]
    done: Bool[Tensor, " episodes"]
    info: StepInfo


class Scores(NamedTuple):
    """How edits score: exactly where every decision is taken, else as far as it can be told."""

    terms: Float[Tensor, "episodes terms"]  # reward.TERM_NAMES
    total: Float[Tensor, " episodes"]
    audited: Float[Tensor, " episodes"]  # the score of the terms alone
    learned: Float[Tensor, " episodes"]  # what the learned reward says, whatever its weight; NaN without one
    summary: Float[Tensor, "episodes summary"]  # reward.SUMMARY_NAMES


class BatchedEditingEnv:
    """E episodes over the tracks of a batch.

    Args:
        batch: T tracks; everything lives on their device.
        config: the sections action_space, state and reward are read.
        n_envs: E.
        generator: draws tracks and which targets are hidden; on that device.
        styles: number of the editor to follow, per track.
        style_names: name of each style, for its limit of loops; may be empty.
        target_ratios: length asked for, over the source's, per track; NaN asks for none. None asks nowhere.
        target_dropout: chance that a target drawn by a reset is hidden.
        learned_reward: summaries to preferences, weighted in where given.
        reference: statistics of finished music.
    """

    def __init__(
        self,
        batch: TrackBatch,
        config: Config,
        *,
        n_envs: int,
        generator: torch.Generator,
        styles: Int[Tensor, " tracks"] | None = None,
        style_names: Sequence[str] = (),
        target_ratios: Float[Tensor, " tracks"] | None = None,
        target_dropout: float = 0.0,
        learned_reward: LearnedReward | None = None,
        reference: ReferenceStatistics | None = None,
    ) -> None:
        self.batch, self.config, self.n_envs, self.generator = batch, config, n_envs, generator
        self.learned_reward, self.reference = learned_reward, reference
        self.device = device = batch.rows.device
        self.space = ActionSpace(config.action_space)
        n_tracks = batch.n_tracks
        self.styles = (torch.zeros(n_tracks, dtype=torch.long) if styles is None else styles).to(device)
        self.loop_limits = _loop_limits(config, style_names).to(device)[self.styles]
        none = torch.full((n_tracks,), torch.nan)
        self.target_ratios = (none if target_ratios is None else target_ratios).to(device, torch.float32)
        self.target_dropout = target_dropout
        self.edits = RunningEdits(
            self.batch.reward,
            self.batch.n_units,
            self.space,
            n_edits=n_envs,
            phrase_bars=config.reward.phrase_bars,
        )
        self.progress = ProgressLedger(self.batch, config, n_envs=n_envs)
        self._style_rows = torch.eye(config.state.n_styles, device=device)
        self._fresh = self._untouched()
        self._target_s: Float[Tensor, " episodes"]
        self._hidden: Bool[Tensor, " episodes"]
        self._limits: Brief
        self._potential: Float[Tensor, " episodes"]
        self._mask: Bool[Tensor, "episodes actions"]

    @property
    def actions(self) -> Int[Tensor, "episodes units"]:
        """Decisions of each episode so far, as played; what lies beyond its cursor is left over from earlier ones."""
        return self.progress.actions

    def scores(self) -> Scores:
        """How each episode's edit scores."""
        result = self._estimate()
        return Scores(result.terms.float(), *self._score(result), result.summary)

    def reset(
        self,
        track: Int[Tensor, " episodes"] | None = None,
        target_ratio: Float[Tensor, " episodes"] | None = None,
        *,
        hidden: Bool[Tensor, " episodes"] | None = None,
    ) -> Observation:
        """Begin every episode anew: on these tracks or drawn ones, with these targets or those of the tracks.

        ``hidden`` says which targets are not shown; without it they are drawn, and targets given here are all shown.
        """
        self.edits.begin(self._draw_tracks() if track is None else track.to(self.device))
        self.progress.begin()
        self._target_s, self._hidden = self._drawn_targets()
        if target_ratio is not None:
            self._target_s = target_ratio.to(self.device) * self.batch.reward.duration_s[self.edits.track]
            self._hidden = torch.zeros_like(self._hidden)
        if hidden is not None:
            self._hidden = hidden.to(self.device)
        self._limits = self._asked(self.edits.track, self._target_s)
        self._potential = self._score(self._estimate()).total
        return self._observe()

    def step(self, actions: Int[Tensor, " episodes"], *, auto_reset: bool = True) -> StepResult:
        """Take one decision in every episode; those that end begin anew on drawn tracks, or stay where they are."""
        active = ~self.edits.done
        legal, played = self._play(actions)
        result = self._estimate()
        score = self._score(result)
        reward = (score.total - self._potential) * active
        done = self.edits.done
        info = StepInfo(~legal & active, played, result.terms.float(), *score)
        self._potential = score.total
        if auto_reset:
            self._restart(done, self._draw_tracks())
            self._limits = self._asked(self.edits.track, self._target_s)
            self._potential = torch.where(done, self._fresh[self.edits.track], score.total)
        return StepResult(self._observe(), reward, done, info)

    def decide(self, actions: Int[Tensor, " episodes"]) -> Observation:
        """Take one decision in every episode, without a score; those that end stay where they are.

        For episodes that are judged by their end alone; ``step`` is not to be mixed with it, as its rewards are changes
        of the score.
        """
        self._play(actions)
        return self._observe()

    def _play(self, actions: Int[Tensor, " episodes"]) -> tuple[Bool[Tensor, " episodes"], Int[Tensor, " episodes"]]:
        """Which decisions are legal, and what was played."""
        legal = self._mask.gather(1, actions[:, None])[:, 0]
        played = torch.where(legal, actions, torch.full_like(actions, KEEP))
        self.progress.record(played, self.edits, active=~self.edits.done)
        self.edits.advance(played)
        return legal, played

    def _draw_tracks(self) -> Int[Tensor, " episodes"]:
        return torch.randint(self.batch.n_tracks, (self.n_envs,), generator=self.generator, device=self.device)

    def _restart(self, which: Bool[Tensor, " episodes"], track: Int[Tensor, " episodes"]) -> None:
        self.edits.restart(which, track)
        self.progress.restart(which)
        target_s, hidden = self._drawn_targets()
        self._target_s = torch.where(which, target_s, self._target_s)
        self._hidden = torch.where(which, hidden, self._hidden)

    def _drawn_targets(self) -> tuple[Float[Tensor, " episodes"], Bool[Tensor, " episodes"]]:
        """The targets of the tracks, and which are not shown."""
        chance = torch.rand(self.n_envs, generator=self.generator, device=self.device)
        target_s = self.target_ratios[self.edits.track] * self.batch.reward.duration_s[self.edits.track]
        return target_s, chance < self.target_dropout

    def _untouched(self) -> Float[Tensor, " tracks"]:
        """The score of each track before its first decision, asked for the track's own target."""
        n_tracks, tables = self.batch.n_tracks, self.batch.reward
        edits = RunningEdits(
            tables, self.batch.n_units, self.space, n_edits=n_tracks, phrase_bars=self.config.reward.phrase_bars
        )
        track = torch.arange(n_tracks, device=self.device)
        edits.begin(track)
        asked = self._asked(track, self.target_ratios * tables.duration_s)
        return self._score(estimate(edits.totals(), asked, tolerance=self.config.reward.duration_tolerance)).total

    def _asked(self, track: Int[Tensor, " n"], target_s: Float[Tensor, " n"]) -> Brief:
        return brief(
            self.config.reward,
            target_s=target_s,
            loop_limit=self.loop_limits[track],
            source_s=self.batch.reward.duration_s[track],
            bar_s=self.batch.reward.bar_s[track],
            reference=self.reference,
        )

    def _estimate(self) -> Estimate:
        return estimate(self.edits.totals(), self._limits, tolerance=self.config.reward.duration_tolerance)

    def _score(self, result: Estimate) -> "_Score":
        audited = combined(result.terms, self.config.reward).float()
        if self.learned_reward is None:
            return _Score(audited, audited, torch.full_like(audited, torch.nan))
        learned = self.learned_reward(result.summary)
        return _Score(combined(result.terms, self.config.reward, learned=learned).float(), audited, learned.float())

    def _observe(self) -> Observation:
        self._mask = self.edits.mask()
        track, last = self.edits.track, self.edits.n_units - 1
        shown = self._target_s.masked_fill(self._hidden, torch.nan)
        return Observation(
            track,
            torch.minimum(self.edits.unit, last),
            self._style_rows[self.styles[track]],
            self.progress.history(),
            self.progress.numbers(self.edits, target_s=shown, loop_limit=self._limits.loop_limit),
            self._mask,
        )


class _Score(NamedTuple):
    total: Float[Tensor, " episodes"]
    audited: Float[Tensor, " episodes"]
    learned: Float[Tensor, " episodes"]


def _loop_limits(config: Config, style_names: Sequence[str]) -> Float[Tensor, " styles"]:
    names = [*style_names, *[""] * (config.state.n_styles - len(style_names))]
    return torch.tensor([config.reward.loop_limit(name) for name in names])
