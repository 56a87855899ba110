"""The editor's own program with the policy's ears: what knowing the program to the letter would be worth.

An editor here compares strengths, likenesses and sections that it hears itself; a policy hears its own
(``rl_editor.state``), which differ as two people's do. What the very same program decides by what the policy hears is
what a perfect learner of programs comes to; beyond it a policy has to learn the editor's hearing as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from unittest import mock

import numpy as np
from jaxtyping import Float, Int

from benchmarks.learn import editors
from rl_editor.editors import styles
from rl_editor.editors.listening import UNIT_BEATS, Hearing, Span, listen, pieces
from rl_editor.features import BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.state import STRUCTURE_NAMES
from rl_editor.state.hearing import heard, unit_rows
from rl_editor.state.spans import Sound, span_likeness
from rl_editor.state.structure import sections, structure

_STRENGTH = STRUCTURE_NAMES.index("strength")


@dataclass(frozen=True, eq=False)
class PolicyHearing(Hearing):
    """A hearing with the policy's sections and likeness.

    Attributes:
        sound: timbre and harmony per beat.
        section: the section of every bar.
    """

    sound: Sound
    section: Int[np.ndarray, " units"]

    @cached_property
    def likeness(self) -> Float[np.ndarray, "units units"]:
        """Of any two bars, beat by beat."""
        return span_likeness(self.sound, np.arange(self.n_units))

    @cached_property
    def sections(self) -> tuple[Span, ...]:
        """The policy's, long ones in pieces as the editor takes them."""
        starts = np.flatnonzero(np.diff(self.section, prepend=-1)).tolist()
        spans = [Span(a, b) for a, b in zip(starts, [*starts[1:], self.n_units], strict=True)]
        return tuple(piece for span in spans for piece in pieces(span))


def listen_as_policy(grid: BeatGrid, features: BeatFeatures) -> PolicyHearing:
    """Hear a recording bar by bar, as a policy does."""
    own, units = listen(grid, features), grid.units(UNIT_BEATS)
    strength = structure(features, grid, units).columns[:, _STRENGTH]
    return PolicyHearing(
        units,
        own.level_db,
        strength,
        own.texture,
        own.harmony,
        own.partial,
        Sound(unit_rows(heard(features)), units.beat_bounds),
        sections(features, units),
    )


@contextmanager
def policy_ears() -> Iterator[None]:
    """Let editors that share the library's ears hear as a policy does."""
    with mock.patch.object(styles, "listen", listen_as_policy), mock.patch.object(editors, "listen", listen_as_policy):
        yield
