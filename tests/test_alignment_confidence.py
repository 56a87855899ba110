"""How far a run is believed, by hand: what speaks for it, what of it is foreign, and its segments in the source."""

from dataclasses import replace

import numpy as np
import pytest
from test_alignment import RATE, info

from rl_editor.alignment.confidence import (
    Belief,
    Evidence,
    _split,
    confidence_of,
    frame_sums,
    smoothed,
    terms_of,
    without_foreign,
)
from rl_editor.alignment.descriptors import descriptors
from rl_editor.alignment.joins import Spliced
from rl_editor.alignment.refine import Pair, Placed, learn_mastering
from rl_editor.alignment.segments import segments_of
from rl_editor.alignment.views import tape_view
from rl_editor.alignment.viterbi import stacked
from rl_editor.config import Config
from rl_editor.edits import Segment, SourceInfo

N = 4 * RATE


@pytest.fixture(scope="module")
def pair() -> Pair:
    raw = np.random.default_rng(0).normal(size=N).astype(np.float32)
    config = Config()
    return Pair((tape_view(raw, config.audio, config.alignment),), raw)


class TestEvidence:
    def test_terms_by_hand(self) -> None:
        """4 s are 2 octaves of a second; 1 - 0.6^2 of the power is unexplained; a peak of 100 is two decades."""
        terms = terms_of(Evidence(0.8, 0.6, 100.0, 4.0))
        assert terms == pytest.approx((0.8, 2.0, -np.log10(0.64 + 1e-4), 2.0))
        assert terms_of(Evidence(0.8, None, None, 4.0)) == (0.8, 2.0)

    def test_terms_have_bounds(self) -> None:
        """0.1 s to 16 s; what is turned over explains nothing; a peak below 1 says nothing; all explained is -40 dB."""
        least, most = terms_of(Evidence(0.8, -0.9, 0.5, 0.01)), terms_of(Evidence(0.8, 1.0, 1.0, 100.0))
        assert least == pytest.approx((0.8, np.log2(0.1), -np.log10(1.0001), 0.0))
        assert most == pytest.approx((0.8, 4.0, 4.0, 0.0))

    def test_confidence_is_of_the_terms_and_nobody_is_surer_than_seven_nats(self) -> None:
        odds = -7.02 + 6.77 * 0.8 + 0.45 * 2.0 - 1.63 * np.log10(0.6401) + 0.10 * 2.0
        assert confidence_of(Evidence(0.8, 0.6, 100.0, 4.0)) == pytest.approx(1 / (1 + np.exp(-odds)))
        odds = -4.28 + 5.82 * 0.8 + 0.52 * 2.0
        assert confidence_of(Evidence(0.8, None, None, 4.0)) == pytest.approx(1 / (1 + np.exp(-odds)))
        assert confidence_of(Evidence(1.0, 1.0, 1000.0, 16.0)) == pytest.approx(1 / (1 + np.exp(-7.0)))


class TestFrames:
    def test_sums_are_over_whole_frames_and_means_over_nine(self) -> None:
        assert frame_sums(np.arange(11.0), 4).tolist() == [6.0, 22.0]
        assert smoothed(np.ones(12)).tolist() == pytest.approx([1.0] * 12)  # at the ends as well
        assert smoothed(np.arange(20.0))[4:-4].tolist() == pytest.approx(list(range(4, 16)))

    def test_what_is_foreign_is_cut_out_to_the_end_of_the_run(self) -> None:
        """Frames of 100 samples; the last frame that is whole ends at 1,000 of 1,050."""
        foreign = np.zeros(10, np.bool_)
        foreign[[2, 3, 8, 9]] = True
        found = _split(Placed(5000, 6050, 7.0, 9.0), foreign, hop=100)
        assert [(part.start, part.end, part.lag) for part in found] == [
            (5000, 5200, 7.0), (5200, 5400, None), (5400, 5800, 7.0), (5800, 6050, None),
        ]  # fmt: skip


class TestSegments:
    @staticmethod
    def found(
        pair: Pair,
        runs: list[Placed],
        *,
        gains: list[float] | None = None,
        source: SourceInfo | None = None,
        ratio: int = 1,
    ) -> tuple[Segment, ...]:
        beliefs = [Belief(Evidence(1.0, 1.0, 50.0, 1.0), gain) for gain in gains or [1.0] * len(runs)]
        source = source or info(pair.raw)
        crossfades = [0.0, *[20.0] * (len(runs) - 1)]
        frames = runs[-1].end * ratio
        return tuple(
            segments_of(Spliced(runs, crossfades), beliefs, pair, source, sample_rate=RATE, output_frames=frames)
        )

    @staticmethod
    def places(segments: tuple[Segment, ...]) -> list[tuple[int | None, int]]:
        return [(segment.source_start_frame, segment.frames) for segment in segments]

    def test_positions_are_in_frames_of_the_source(self, pair: Pair) -> None:
        """At twice the rate a lag of 100.5 is 201 frames, and a join at 5,000 lies at 10,000."""
        runs = [Placed(0, 5000, 100.5), Placed(5000, 9000, 2000.0)]
        found = self.found(pair, runs, source=info(np.zeros(2 * N), 2 * RATE), ratio=2)
        assert self.places(found) == [(201, 10_000), (14_000, 8000)]

    @pytest.mark.parametrize(
        ("lag", "expected"),
        [
            (-3, [(0, 5000)]),  # three frames are a rounding: the segment moves
            (-4, [(None, 4), (0, 4996)]),  # four are an encoder's delay
            (N - 5000 + 3, [(N - 5000, 5000)]),
            (N - 5000 + 4, [(N - 4996, 4996), (None, 4)]),
        ],
    )
    def test_what_hangs_over_the_source_is_moved_or_unexplained(
        self, pair: Pair, lag: int, expected: list[tuple[int | None, int]]
    ) -> None:
        found = self.found(pair, [Placed(0, 5000, float(lag))])
        assert self.places(found) == expected

    def test_where_only_the_sound_is_alike_ten_milliseconds_are_no_delay(self, pair: Pair) -> None:
        """220 samples: of a view without samples, as of tempo changed alone."""
        followed = Pair((replace(pair.views[0], sound=pair.raw), replace(pair.views[0], sound=None)), pair.edit)
        for lag, expected in ((-220, [(0, 5000)]), (-221, [(None, 221), (0, 4779)])):
            assert self.places(self.found(followed, [Placed(0, 5000, float(lag), view=1)])) == expected

    def test_a_join_moves_to_where_the_source_ends_or_begins(self, pair: Pair) -> None:
        """By 50 ms at most: 1,102 samples."""
        for over, moved in ((1000, 1000), (1200, 0)):
            ends = self.found(pair, [Placed(0, 10_000, float(N - 10_000 + over)), Placed(10_000, 20_000, 0.0)])
            assert self.places(ends)[-1] == (10_000 - moved, 10_000 + moved)
            begins = self.found(pair, [Placed(0, 10_000, 20_000.0), Placed(10_000, 20_000, float(-10_000 - over))])
            assert self.places(begins)[0] == (20_000, 10_000 + moved)
            assert self.places(begins)[-1] == (0, 10_000 - over)
            assert begins[-1].crossfade_in_ms == (20.0 if moved else 0.0)  # out of what is unexplained there is none

    def test_levels_are_against_the_median_and_small_differences_are_none(self, pair: Pair) -> None:
        """Half is -6.02 dB; 1.05 is 0.42 dB."""
        runs = [Placed(k * 5000, (k + 1) * 5000, 0.0) for k in range(5)]
        found = self.found(pair, runs, gains=[2.0, 2.0, 2.1, 1.0, 4.0])
        assert [segment.gain_db for segment in found] == [0.0, 0.0, 0.0, -6.0, 6.0]


class TestSoftEnds:
    """A song of which 2 s are as soft in two places, and an edit that plays on into the last of them."""

    def _healed(self, score: float, *, other_place: bool) -> list[tuple[int, int, float | None]]:
        config, rng = Config(), np.random.default_rng(0)
        loud, soft, other = (rng.normal(size=n * RATE).astype(np.float32) for n in (6, 2, 2))
        raw = np.concatenate([1e-3 * other, loud, 1e-3 * soft])
        edit = raw[2 * RATE :]
        pair = Pair((tape_view(raw, config.audio, config.alignment),), edit)
        runs = [
            Placed(0, 6 * RATE, 2.0 * RATE, 100.0),
            Placed(6 * RATE, 8 * RATE, (-6.0 if other_place else 2.0) * RATE, score),
        ]
        near = stacked(descriptors(edit, config.audio, config.alignment), config.alignment.stack_frames)
        found = without_foreign(runs, learn_mastering(runs[:1], pair), near, hop=config.audio.hop_length)
        return [(run.start // RATE, run.end // RATE, None if run.lag is None else run.lag / RATE) for run in found]

    @pytest.mark.parametrize("score", [0.0, 3.0])
    def test_what_is_soft_there_too_goes_on_beside_it(self, score: float) -> None:
        assert self._healed(score, other_place=True) == [(0, 6, 2.0), (6, 8, 2.0)]

    def test_what_its_samples_follow_stays(self) -> None:
        assert self._healed(3.0, other_place=False) == [(0, 6, 2.0), (6, 8, 2.0)]
