"""All that may be asked of an edit, checked against itself and against the recording before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool

from rl_editor import edits
from rl_editor.config import Config, EditMethod
from rl_editor.errors import ConfigError, EditListError
from rl_editor.negotiation import Demands, TimeSpan
from rl_editor.negotiation.costs import Costs
from rl_editor.negotiation.demands import MOST_STRETCH, spoken
from rl_editor.negotiation.exact import MOST_TAIL_S
from rl_editor.negotiation.obstacles import moment_to_be_had
from rl_editor.negotiation.table import Table
from rl_editor.negotiation.wanted import beats_over, contradiction, covered_s
from rl_editor.state import AudioState

_PAST_S = 0.05  # a passage may end this far beyond the recording without a word


@dataclass(frozen=True)
class Request:
    """All that may be asked of an edit; by default what the policy thinks best.

    Attributes:
        demands: length, passages and moments.
        method: ``policy``, or ``dp`` without one.
        style: whose way of editing, of those that the policy learned.
        loops: may repeat passages.
        moves: may play passages elsewhere.
        candidates: how many different edits.
        stochastic: draw decisions instead of the likeliest.
        seed: of the draws.
        allow_stretch: for an exact length, play a little faster or slower.
        fade_in_s: how long the edit fades in; None is as the policy's editor does, else as keeps it from clicking.
        fade_out_s: the same at its end.
        crossfade_s: how long its joins crossfade; None is as the policy's editor, else the settings', does.
    """

    demands: Demands = field(default_factory=Demands)
    method: EditMethod = "policy"
    style: str | None = None
    loops: bool = True
    moves: bool = True
    candidates: int = 1
    stochastic: bool = False
    seed: int | None = None
    allow_stretch: bool = False
    fade_in_s: float | None = None
    fade_out_s: float | None = None
    crossfade_s: float | None = None

    @property
    def asked(self) -> Demands:
        """The demands, with what may not be done."""
        return replace(
            self.demands,
            no_loop=self.demands.no_loop or not self.loops,
            no_reorder=self.demands.no_reorder or not self.moves,
        )

    def __post_init__(self) -> None:
        if self.demands.exact and self.demands.duration_s is None:
            raise ConfigError("--exact: without a length; give --target-duration as well")
        if self.method == "dp" and self.demands == Demands():
            raise ConfigError("--method dp: nothing is asked; give --target-duration, --keep, --drop or --anchor")
        if self.method == "dp" and self.candidates > 1:
            raise ConfigError("--candidates: the DP has one answer; leave it out, or use the policy")
        given = {"--stochastic": self.stochastic, "--seed": self.seed is not None, "--style": self.style is not None}
        for option in (name for name, is_given in given.items() if is_given and self.method == "dp"):
            raise ConfigError(f"{option}: the DP draws nothing and knows no styles; leave it out, or use the policy")
        drawn = self.stochastic or self.candidates > 1 or self.demands.duration_s is not None
        if self.seed is not None and not drawn:
            raise ConfigError(
                f"--seed {self.seed}: nothing is drawn; leave it out, or give --stochastic, --candidates or "
                "--target-duration"
            )
        check_stretch(self.demands, allowed=self.allow_stretch)


def check_stretch(demands: Demands, *, allowed: bool) -> None:
    """Refuse a stretch to no exact length."""
    if allowed and not demands.exact:
        raise ConfigError(
            "--allow-stretch: only an exact length is stretched to; give --exact as well, or leave it out"
        )


def check_spans(demands: Demands, state: AudioState, *, kept_by: str = "--keep") -> None:
    """Refuse passages beyond the recording before anything is computed; ``kept_by``: the option that keeps them."""
    length_s, name = state.grid.duration_s, state.recording.name
    for what, spans in ((kept_by, demands.keep), ("--drop", demands.drop)):
        for span in spans:
            if span.start_s >= length_s:
                raise EditListError(f"{name}: {what} {span} lies beyond its end at {spoken(length_s)}")
    for anchor in demands.anchors:
        if anchor.source_s >= length_s:
            raise EditListError(f"{name}: --anchor {anchor}: the recording ends at {spoken(length_s)}")
    if (pair := contradiction(demands, state.grid)) is not None:
        kept, dropped = pair
        raise EditListError(f"{name}: {kept_by} {kept} and --drop {dropped} contradict each other; take back one")
    if beats_over(state.grid, demands.drop).all():
        named = ", ".join(str(span) for span in demands.drop)
        raise EditListError(f"{name}: --drop {named} leaves nothing to play; drop less")


def check_length(request: Request, state: AudioState) -> None:
    """Refuse a length beyond what may play where nothing may be repeated.

    An exact one may end in a little more, any other is met within half a bar.
    """
    asked_s, has_s = request.demands.duration_s, left_s(request.demands, state)
    reach_s = has_s + (MOST_TAIL_S if request.demands.exact else 0.5 * state.grid.bar_s)
    if request.allow_stretch:
        reach_s = max(reach_s, has_s * (1.0 + MOST_STRETCH))
    if asked_s is not None and asked_s > reach_s and not request.loops:
        what = "what is left of it" if request.demands.drop else "it"
        raise EditListError(
            f"{state.recording.name}: {spoken(asked_s)} is longer than {what} ({spoken(has_s)}), and nothing may be "
            "repeated; leave out --no-loop"
        )


def check_anchors(request: Request, state: AudioState, config: Config) -> None:
    """Refuse moments later than they are recorded where nothing can come before them a second time, or be moved there.

    The DP moves nothing, so there it is enough that nothing may be repeated. A time that can be had is offered.
    """
    if request.loops or (request.moves and request.method != "dp"):
        return
    for anchor in request.demands.anchors:
        late_s = anchor.output_s - anchor.source_s
        if late_s > state.grid.beat_s:  # half of it is met
            whole, costs = edits.keep_all(state.recording), Costs(state, config, None)
            table = Table(whole, state, config, costs, draft="rough", repeats=False)
            near = moment_to_be_had(table, anchor, request.asked.without([f"anchor {anchor}"]))
            raise EditListError(
                f"{state.recording.name}: --anchor {anchor}: {spoken(round(late_s, 3))} later than it is recorded, and "
                f"nothing may be repeated; leave out --no-loop, or take back anchor {anchor}"
                + (f", or ask for anchor {near}" if near else "")
            )


def left_s(demands: Demands, state: AudioState) -> float:
    """How much of the recording may play."""
    return state.grid.duration_s - covered_s(demands.drop, state.grid)


def units_over(spans: Sequence[TimeSpan], state: AudioState, unit_beats: int) -> Bool[np.ndarray, " units"]:
    """Units any of whose beats belongs to a span."""
    bounds = state.grid.units(unit_beats).beat_bounds
    return np.logical_or.reduceat(beats_over(state.grid, spans), bounds[:-1])


def past_end(demands: Demands, state: AudioState, *, kept_by: str = "keep") -> list[str]:
    """Notes on passages that reach beyond the recording."""
    length_s = state.grid.duration_s
    spans = ((kept_by, demands.keep), ("drop", demands.drop))
    return [
        f"{what} {span} reaches past the end at {spoken(length_s)}; what there is of it counts"
        for what, found in spans
        for span in found
        if span.end_s > length_s + _PAST_S
    ]
