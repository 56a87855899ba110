"""The parts that alignment is made of, each by hand: frames, bands, lags, speeds, joins and what twins leave."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
from test_alignment import RATE, info

from rl_editor import alignment
from rl_editor.alignment import Alignment, MonoPair, recover_either
from rl_editor.alignment.confidence import Belief, Evidence
from rl_editor.alignment.descriptors import mel_bank, mel_power, shapes
from rl_editor.alignment.joins import (
    LAWS,
    Join,
    _best,
    _between,
    _cheapest,
    _hard_cut,
    _heard,
    _Search,
    _Sides,
    find_join,
)
from rl_editor.alignment.refine import (
    Mastering,
    Pair,
    Placed,
    at_speed,
    joined,
    learn_mastering,
    power_gain,
    settled_piece,
    spread,
    stretches,
    unheard,
    without_hops,
)
from rl_editor.alignment.refine.lags import _in_samples, _peak_score, cheapest_path
from rl_editor.alignment.refine.mastering import fractional_slice
from rl_editor.alignment.speeds import _group_of, _groups, _view_at
from rl_editor.alignment.stutters import _cost, _is_lost, _level, _places, period_of, with_stutters
from rl_editor.alignment.twins import _Fit, _mean_within, _Usual, _windows
from rl_editor.alignment.views import View, _best_place, _interpolated, _stairs, _unmatched, tape_semitones
from rl_editor.alignment.viterbi import Run, bands_around, coarse_factor, stacked
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.errors import AlignmentError, PairRejectedError


def view(speed: float = 1.0, *, sound: bool = True, n: int = 30_000) -> View:
    """A view without rows."""
    rows = np.zeros((1, 2), np.float32)
    return View(speed, tape_semitones(speed), rows, stacked(rows, 2), np.ones(n, np.float32) if sound else None)


NOISE = np.random.default_rng(0).normal(scale=0.1, size=8 * RATE).astype(np.float32)


def copied(edit: np.ndarray, raw: np.ndarray = NOISE) -> Mastering:
    """A pair whose edit is a plain copy of what it plays."""
    pair = Pair((replace(view(), sound=raw), view(1.05, sound=False)), edit.astype(np.float32))
    return Mastering(pair, scipy.signal.unit_impulse(513, 256), 1.0)


class TestEither:
    """Agreement as it is, and with a channel turned over."""

    @staticmethod
    def found(
        monkeypatch: pytest.MonkeyPatch, plain: float | None, other: float | None, sound: float | None = None
    ) -> tuple[float, list[float]]:
        """The agreement of what is taken, and those that others were asked for with; None is rejected."""
        level = {1.0: plain, 0.5: other}

        def recover(
            raw: np.ndarray, edit: np.ndarray, config: Config, *, by_sound: bool = False, **_: object
        ) -> Alignment:
            agreement = sound if by_sound and edit[0] == 1.0 else level[float(edit[0])]
            if agreement is None:
                raise PairRejectedError(f"rejected at {edit[0]}")
            source = info(raw)
            return Alignment(EditList(source, ()), 0.0, False, agreement, (Evidence(1.0, 1.0, 1.0, 1.0),))

        asked: list[float] = []

        def others(agreement: float) -> Iterator[MonoPair]:
            asked.append(agreement)
            yield MonoPair(np.ones(9, np.float32), np.zeros(9, np.float32))  # silent: no pair
            yield MonoPair(np.ones(9, np.float32), np.full(9, 0.5, np.float32))

        monkeypatch.setattr(alignment, "recover", recover)
        pair = MonoPair(np.ones(9, np.float32), np.ones(9, np.float32))
        return recover_either(pair, others, Config(), source=info(pair.raw)).agreement, asked

    @pytest.mark.parametrize(
        ("plain", "other", "taken", "asked"),
        [
            (0.999, 1.0, 0.999, []),  # a copy
            (0.9, 0.95, 0.95, [0.9]),
            (0.9, 0.85, 0.9, [0.9]),
            (0.6, None, 0.6, [0.6]),
            (None, 0.4, 0.4, [0.0]),
        ],
    )
    def test_what_follows_the_samples_is_taken(
        self,
        monkeypatch: pytest.MonkeyPatch,
        plain: float | None,
        other: float | None,
        taken: float,
        asked: list[float],
    ) -> None:
        assert self.found(monkeypatch, plain, other) == (taken, asked)

    def test_where_neither_is_found_the_pair_as_it_is_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(PairRejectedError, match=r"rejected at 1\.0"):
            self.found(monkeypatch, None, None)

    def test_the_sound_alone_of_the_pair_as_it_is_comes_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.found(monkeypatch, None, 0.4, 1.0) == (0.4, [0.0])
        assert self.found(monkeypatch, None, None, 1.0) == (1.0, [0.0])


def test_a_frame_is_silent_by_the_hop_around_its_middle() -> None:
    """Hops of 4: sample 5 lies in 2 to 5, around 4. Of the mean power of a hop, 4 / 16, 1e-5 are 0.00158^2."""
    for soft, is_silent in ((0.0015, True), (0.0017, False)):
        mono = np.zeros(16, np.float32)
        mono[5], mono[14] = 1.0, soft
        assert alignment._silent(mono, hop=4).tolist() == [True, False, True, True, is_silent]


def test_three_seconds_are_enough_and_a_sample_less_is_not() -> None:
    mono = np.tile(np.array([0.1, -0.1], np.float32), 2 * RATE)[: 3 * RATE]
    alignment._check(mono, "raw", Config())
    with pytest.raises(AlignmentError, match=r"raw: 3\.0 s of audio, at least 3 s"):
        alignment._check(mono[1:], "raw", Config())


def test_a_mean_counts_from_seventy_decibels_below_the_power_on() -> None:
    """A tenth of full scale has a power of 0.01: a mean is none up to sqrt(1e-7 * 0.01), 3.16e-5."""
    square = np.tile(np.array([0.1, -0.1], np.float64), RATE)
    for mean, is_heard in ((3.0e-5, False), (-3.0e-5, False), (3.4e-5, True), (-3.4e-5, True)):
        assert alignment._has_dc((square + mean).astype(np.float32)) is is_heard
    assert not alignment._has_dc(np.zeros(9, np.float32))


def test_a_mean_dies_away_by_five_hundredths_of_a_second_and_does_the_same_to_a_part() -> None:
    """Of a step n samples ago 0.998^n is left; what is far from it is only filtered."""
    step = np.ones(3000, np.float32)
    np.testing.assert_allclose(alignment._without_dc(step), 0.998 ** np.arange(3000), atol=1e-4)
    noise = np.random.default_rng(0).normal(size=9000).astype(np.float32)
    whole, part = alignment._without_dc(noise), alignment._without_dc(noise[2000:])
    np.testing.assert_allclose(part[5000:], whole[7000:], atol=1e-3)


def test_agreement_is_of_what_plays_as_a_tape_does() -> None:
    """Half of its length is below it; what a program stretched keeps no samples."""
    stretched = replace(view(1.05, sound=False), semitones=0.0)
    pair = Pair((view(), view(1.02), stretched), np.zeros(9000, np.float32))
    runs = [
        Placed(0, 1000, 0.0), Placed(1000, 3000, 0.0, view=1), Placed(3000, 8000, 0.0, view=2), Placed(8000, 9000, None)
    ]  # fmt: skip
    evidence = [Evidence(1.0, agreement, 9.0, 1.0) for agreement in (0.9, 0.6, None, None)]
    beliefs = [Belief(each, 1.0) for each in evidence]
    assert alignment._agreement(runs, beliefs, pair) == 0.6  # 2,000 samples of 3,000
    assert alignment._agreement(runs[:1] + runs[2:], beliefs[:1] + beliefs[2:], pair) == 0.9
    assert alignment._agreement(runs[2:], beliefs[2:], pair) == 1.0


def test_a_pair_is_one_from_the_share_and_the_confidence_on_that_are_asked() -> None:
    config = Config.from_dict({"alignment": {"min_matched_share": 0.5, "min_confidence": 0.5}})
    matched, rest = Placed(0, 5000, 0.0, 9.0), Placed(5000, 10_000, None)
    alignment._require_share([matched, rest], config, 10_000)
    with pytest.raises(PairRejectedError, match=r"50% of the edit .* peak 9\.0 deviations\), at least 50%"):
        alignment._require_share([matched, rest], config, 10_001)
    even = Evidence(4.28 / 5.82, None, None, 1.0)  # no odds either way: exactly 0.5
    nothing = Belief(Evidence(0.0, None, None, 1.0), 1.0)
    alignment._require_confidence([matched, rest], [Belief(even._replace(similarity=0.74), 1.0), nothing], config)
    with pytest.raises(PairRejectedError, match=r"median confidence 0\.50 over 50% of the edit, at least 0\.50"):
        alignment._require_confidence([matched, rest], [Belief(even._replace(similarity=0.735), 1.0), nothing], config)


def test_a_refusal_names_the_longest_parts_that_are_not_in_the_raw() -> None:
    """At 22,050 samples a second: 3 s of 9 are found; the shortest of four stretches is counted alone."""
    seconds = [(0.0, 1.0, None), (1.0, 2.5, 0.0), (2.5, 3.0, None), (3.0, 4.5, 9.0), (4.5, 6.5, None), (6.5, 9.0, None)]
    runs = [Placed(round(a * RATE), round(b * RATE), lag, 9.0) for a, b, lag in seconds]
    with pytest.raises(PairRejectedError, match=r"^33% of the edit .* raw, all but 0:00\.0-0:01\.0, 0:04\.5-0:06\.5, "):
        alignment._require_share(runs, Config(), 9 * RATE)
    assert alignment._not_found(runs, Config()).endswith(", 0:06.5-0:09.0 and 1 more")
    assert alignment._not_found(runs[1:2], Config()) == ""
    assert alignment._not_found(runs[2:3], Config()) == ""  # all of it: "0 %" says so


class TestShapes:
    def test_neither_level_nor_static_eq_shows(self) -> None:
        rng = np.random.default_rng(0)
        power = rng.uniform(1.0, 2.0, (50, 8)).astype(np.float32)
        level = rng.uniform(0.5, 2.0, (50, 1)).astype(np.float32)  # of every frame
        eq = np.geomspace(1e-4, 1.0, 8, dtype=np.float32)  # of every band: a soft one has a floor of its own
        np.testing.assert_allclose(shapes(power * level), shapes(power), atol=0.01)
        np.testing.assert_allclose(shapes(power * eq), shapes(power), atol=0.01)

    def test_windows_begin_where_they_are_asked_for(self) -> None:
        mono = np.random.default_rng(0).normal(size=4000).astype(np.float32)
        bank = mel_bank(RATE, 512, 8)
        whole = mel_power(mono, bank, n_fft=512, hop=128.0)
        np.testing.assert_allclose(
            mel_power(mono, bank, n_fft=512, hop=128.0, first=256, count=5), whole[2:7], rtol=1e-5
        )

    def test_bands_hear_nothing_above_nine_kilohertz(self) -> None:
        bank = mel_bank(44_100, 2048, 64)
        hz = np.arange(1025) * 44_100 / 2048
        assert bank[hz > 9050].sum() < 1e-3 * bank.sum()
        assert bank[hz < 9050, -1].max() > 100 * bank[hz > 9050, -1].max()


class TestBands:
    def test_the_coarse_pass_averages_as_few_frames_as_come_below_thirty_million_cells(self) -> None:
        config = Config.from_dict({"alignment": {"coarse_above_cells": 1.0e5}}).alignment
        cells = (100_000, 100_001, 120_000_000, 120_000_001, 480_000_001, 10**12)
        assert [coarse_factor(n, config) for n in cells] == [1, 2, 2, 4, 8, 8]

    def test_a_band_reaches_twelve_seconds_beyond_its_run_within_the_edit(self) -> None:
        runs = [Run(500, 600, 7), Run(600, 700, None), Run(700, 800, -9)]
        bands = bands_around(runs, factor=2, n_edit=1700)
        assert [(band.start, band.end) for band in bands] == [(488, 1700), (888, 1700)]


class TestRuns:
    def test_hops_at_the_ends_go_and_runs_of_two_views_stay_two(self) -> None:
        assert without_hops([Run(0, 3, 9), Run(3, 100, 0), Run(100, 104, 50)]) == [Run(0, 104, 0)]
        two = [Run(0, 100, 5, 0), Run(100, 200, 5, 1)]
        assert without_hops(two) == two

    def test_frames_are_centred_so_that_bounds_lie_half_a_hop_earlier(self) -> None:
        placed = [_in_samples(run, 512, 10_000) for run in (Run(0, 4, 3), Run(4, 10, None), Run(10, 19, -2, 1))]
        assert placed == [
            Placed(0, 1792, 1536.0), Placed(1792, 4864, None), Placed(4864, 9472, -1024.0, view=1),
        ]  # fmt: skip
        assert _in_samples(Run(10, 20, 0), 512, 10_000).end == 10_000  # its last frame reaches over the end

    def test_neighbours_of_nearly_one_lag_are_one_with_that_of_the_longer(self) -> None:
        """0.5 ms where samples follow, 20 ms where only a spectrum does."""
        pair = Pair((view(), view(1.05, sound=False)), np.zeros(30_000, np.float32))
        long, near = Placed(0, 2000, 100.0, 9.0), Placed(2000, 2500, 110.0, 8.0)
        assert joined([long, near], pair) == [replace(long, end=2500)]
        assert joined([near, replace(long, start=2500, end=9000)], pair) == [replace(long, start=2000, end=9000)]
        for apart in (replace(near, lag=112.0), replace(near, view=1), replace(near, lag=None)):
            assert joined([long, apart], pair) == [long, apart]
        nothing = Placed(0, 500, None)
        assert joined([nothing, replace(nothing, start=500, end=900)], pair) == [replace(nothing, end=900)]
        followed = [replace(long, view=1), replace(near, view=1, lag=500.0)]
        assert len(joined(followed, pair)) == 1
        assert len(joined([followed[0], replace(followed[1], lag=542.0)], pair)) == 2

    def test_windows_are_spread_evenly_and_overlap_by_half_at_most(self) -> None:
        """Of 1,000 samples 800 are room: fourths of it, from the middle of each."""
        assert spread(Placed(0, 1000, 0.0), 200, 4) == [100, 300, 500, 700]
        assert spread(Placed(50, 300, 0.0), 200, 5) == [75]
        assert spread(Placed(50, 250, 0.0), 200, 5) == [50]
        assert spread(Placed(50, 249, 0.0), 200, 5) == []

    def test_stretches_are_long_enough(self) -> None:
        mask = np.array([1, 1, 0, 1, 0, 1, 1, 1], bool)
        assert stretches(mask, at_least=2) == [(0, 2), (5, 8)]
        assert stretches(mask, at_least=3) == [(5, 8)]

    def test_what_should_play_samples_and_has_no_peak_is_named_in_frames(self) -> None:
        pair = Pair((view(), view(1.05, sound=False)), np.zeros(30_000, np.float32))
        doubtful = Placed(1024, 5120, 2048.0, 6.9)
        others = [replace(doubtful, **each) for each in ({"score": 7.0}, {"drift": 0.01}, {"view": 1}, {"lag": None})]
        assert unheard([doubtful, *others], pair, hop=512) == [Run(2, 10, 4)]

    def test_a_peak_is_measured_against_what_lies_beside_it(self) -> None:
        values = np.tile([1.0, -1.0], 500)  # of deviation 1
        values[480:521] = 50.0  # within 32 of the peak
        assert _peak_score(values, 500) == pytest.approx(50.0, rel=1e-3)

    def test_a_change_that_pays_exactly_for_itself_is_none(self) -> None:
        assert cheapest_path(np.array([[0.0, 3.0], [9.0, 0.0]]), change=3.0).tolist() == [1, 1]
        assert cheapest_path(np.array([[0.0, 9.0], [3.0, 0.0]]), change=3.0).tolist() == [0, 0]
        assert cheapest_path(np.array([[0.0, 9.0], [3.1, 0.0]]), change=3.0).tolist() == [0, 1]

    def test_the_raw_is_as_long_as_it_lasts_at_a_views_speed(self) -> None:
        pair = Pair((view(), view(1.5)), np.zeros(9, np.float32))
        assert [pair.n_samples(Placed(0, 9, 0.0, view=k)) for k in (0, 1)] == [30_000, 20_000]


class TestLevels:
    def test_a_gain_is_of_what_plays_whatever_its_speed(self) -> None:
        """At a speed of 1.5 an edit of 1,000 samples plays 1,500: from (2,000 + 400) * 1.5 = 3,600 to 5,100."""
        raw = np.zeros(30_000, np.float32)
        raw[3600:5100] = 1.0
        pair = Pair((replace(view(), sound=raw), view(1.5, sound=False)), np.full(4000, 0.5, np.float32))
        assert power_gain([Placed(2000, 3000, 400.0, view=1)], pair) == pytest.approx(0.5)

    def test_what_would_play_before_the_raw_begins_has_no_level(self) -> None:
        """Of 1,000 samples the first 400 play nothing."""
        pair = Pair((view(), view(sound=False)), np.full(4000, 0.5, np.float32))
        assert power_gain([Placed(0, 1000, -400.0, view=1)], pair) == pytest.approx((250 / 600) ** 0.5)

    def test_a_slice_from_between_samples(self) -> None:
        """A sine of 32 samples, read a quarter of a sample later."""
        sine = np.sin(2 * np.pi * np.arange(1000) / 32).astype(np.float32)
        expected = np.sin(2 * np.pi * (np.arange(100) + 400.25) / 32)
        np.testing.assert_allclose(fractional_slice(sine, 400.25, 100), expected, atol=0.02)
        np.testing.assert_array_equal(fractional_slice(sine, 400.0, 100), sine[400:500])


class TestSpeeds:
    def test_a_run_at_another_speed_plays_the_same_at_its_middle(self) -> None:
        """Its middle, 1,000, plays 1,000 + 200 of a tape at 1, which is 1,200 / 1.2 = 1,000 of one at 1.2."""
        moved = at_speed(Placed(500, 1500, 200.0, 9.0, drift=0.2), view(), view(1.2), 3)
        assert moved.lag == pytest.approx(0.0, abs=1e-9)
        assert replace(moved, lag=0.0) == Placed(500, 1500, 0.0, 9.0, view=3)

    def test_runs_share_a_drift_as_far_as_their_length_tells(self) -> None:
        """4 samples over 100,000 are 4e-5; runs of less than a second follow the longest."""
        long = Placed(0, 100_000, 0.0, drift=1e-3)
        alike = Placed(100_000, 190_000, 0.0, drift=1.04e-3)  # 3.6 samples
        other = Placed(190_000, 270_000, 0.0, drift=1.1e-3)  # 8 samples
        short = Placed(270_000, 280_000, 0.0, drift=-2e-3)
        groups = _groups([short, other, alike, long])
        assert groups == {1e-3: long, 1.1e-3: other}
        assert [_group_of(run, groups) for run in (short, other, alike)] == [1e-3, 1.1e-3, 1e-3]
        between = Placed(0, 40_000, 0.0, drift=1.08e-3)  # 3.2 samples from the one, 0.8 from the other
        assert _group_of(between, groups) == 1e-3
        assert _groups([short]) == {-2e-3: short}

    def test_a_run_that_shows_no_drift_may_have_one_of_six_samples(self) -> None:
        """At 5e-5 they are 120,000 samples long; one that is longer would have shown it."""
        long = Placed(0, 200_000, 0.0, drift=5e-5)
        for length, alone in ((119_999, []), (120_001, [0.0])):
            steady = Placed(200_000, 200_000 + length, 0.0)
            groups = _groups([steady, long])
            assert list(groups) == [5e-5, *alone]
            assert _group_of(steady, groups) == [5e-5, *alone][-1]

    def test_a_tape_is_known_within_four_samples_of_a_run(self) -> None:
        views = [view(), view(1.02), view(1.0201), view(1.03, sound=False)]
        run = Placed(0, 40_000, 0.0)  # 1e-4
        assert [_view_at(speed, run, views) for speed in (1.02001, 1.02008, 1.0203, 1.03)] == [1, 2, 4, 4]


class TestViews:
    def test_what_is_unmatched_holds_hops(self) -> None:
        runs = [Run(0, 50, 0), Run(50, 60, None), Run(60, 64, 9), Run(64, 70, None), Run(70, 90, 3), Run(90, 99, None)]
        assert list(_unmatched(runs)) == [(50, 70), (90, 99)]

    def test_stairs_climb_or_fall_by_small_steps(self) -> None:
        """Of 50 frames a step is at most 1 + 0.09 * 50 = 5.5."""

        def chains(*offsets: int | None) -> list[list[int | None]]:
            runs = [Run(50 * k, 50 * (k + 1), offset) for k, offset in enumerate(offsets)]
            return [[run.offset for run in chain] for chain in _stairs(runs)]

        assert chains(0, 2, 4, 6, 30) == [[0, 2, 4, 6]]
        assert chains(9, 7, 5) == [[9, 7, 5]]
        assert chains(0, 5, 10) == [[0, 5, 10]]
        assert chains(0, 6, 12) == []  # too steep
        assert chains(0, 2, 0, 2) == []  # neither up nor down
        assert chains(0, 2) == []  # one step is a cut
        assert chains(0, 2, None, 4, 6) == []

    def test_rows_between_two_are_weighed_by_their_distance(self) -> None:
        rows = np.array([[0.0], [4.0], [8.0], [20.0]], np.float32)
        assert _interpolated(rows, 0, 4, 1.25).ravel().tolist() == [0.0, 5.0, 14.0]  # at 0, 1.25 and 2.5

    def test_the_best_place_is_that_of_the_highest_cosine(self) -> None:
        """Louder rows elsewhere have the larger product."""
        rng = np.random.default_rng(0)
        right = rng.normal(size=(40, 6)).astype(np.float32)
        right[20:] *= 30.0
        score, place = _best_place(0.5 * right[7:12], right)
        assert (score, place) == (pytest.approx(1.0, abs=1e-3), 7)
        assert _best_place(right, right[:5]) == (0.0, 0)


class TestJoins:
    def test_a_hard_cut_costs_left_before_it_and_right_from_it_on(self) -> None:
        cost = _hard_cut(np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 40.0]))
        assert cost.tolist() == [70.0, 61.0, 43.0, 7.0]

    def test_of_equals_the_one_nearest_the_estimate_is_cheapest(self) -> None:
        cost = np.array([3.0, 1.0, 1.0, 5.0, 1.0])
        assert [_cheapest(cost, estimate) for estimate in (0, 2, 4)] == [1, 2, 4]

    @pytest.mark.parametrize("milliseconds", [0, 20, 40, 50, 80, 150])
    @pytest.mark.parametrize("law", LAWS)
    def test_a_crossfade_of_any_law_is_found_with_its_middle(self, law: str, milliseconds: int) -> None:
        """Between two noises; -60 dB of a third is what no prediction explains."""
        left, right, rest = np.random.default_rng(0).normal(size=(3, 6000))
        length = round(milliseconds * RATE / 1000)
        start = 2500 - length // 2
        rise = np.clip((np.arange(6000) - start + 0.5) / max(length, 1), 0.0, 1.0)
        if not length:
            rise = (np.arange(6000) >= 2500).astype(float)
        edit = LAWS[law](1 - rise) * left + LAWS[law](rise) * right + 1e-3 * rest
        found = _best(_Sides(edit, left, right), _Search(reach=6000), estimate=2700, sample_rate=RATE)
        assert found[1:] == (2500, float(milliseconds))

    @pytest.mark.parametrize("milliseconds", [20, 100])
    @pytest.mark.parametrize(
        "law",
        [
            lambda t: np.exp(-11.5129 * (1 - t)),
            lambda t: np.maximum(0.0, 1.0 + 0.2 * np.log10(np.maximum(t, 1e-9))),
            lambda t: 1 - np.sqrt(1 - t),
            lambda t: t**3,
            lambda t: 1 - np.cos(np.pi / 4 * ((2 * t - 1) ** 3 + 1)),
        ],
        ids=["exp", "log", "par", "cub", "esin"],
    )
    def test_a_crossfade_of_ffmpeg_s_other_curves_is_found_with_its_middle(
        self, law: Callable[[np.ndarray], np.ndarray], milliseconds: int
    ) -> None:
        left, right, rest = np.random.default_rng(0).normal(size=(3, 6000))
        length = round(milliseconds * RATE / 1000)
        rise = np.clip((np.arange(6000) - (2500 - length // 2) + 0.5) / length, 0.0, 1.0)
        edit = law(1 - rise) * left + law(rise) * right + 1e-3 * rest
        found = _best(_Sides(edit, left, right), _Search(reach=6000), estimate=2700, sample_rate=RATE)
        assert found.position == pytest.approx(2500, abs=0.04 * length)

    def test_no_run_ends_before_it_starts(self) -> None:
        runs = [Placed(0, 10, 0.0), Placed(10, 20, 5.0), Placed(20, 30, None)]
        found = _between(runs, [Join(15, 0.0), Join(12, 0.0)])
        assert [(run.start, run.end, run.lag) for run in found] == [(0, 15, 0.0), (15, 15, 5.0), (15, 30, None)]

    def test_a_side_has_the_level_that_it_has_on_its_own_side(self) -> None:
        """Half as loud up to the join, three times as loud from it on; but for where both sound."""
        join = 2 * RATE
        edit = np.concatenate([0.5 * NOISE[:join], 3.0 * NOISE[join : 2 * join]])
        edit[join - 2000 : join + 2000] = 0.0
        mastering, left, right = copied(edit), Placed(0, join, 0.0), Placed(join, 2 * join, 0.0)
        for run, gain in ((left, 0.5), (right, 3.0)):
            heard = _heard(run, join, join - 50, join + 50, mastering, mixed=2000)
            assert heard is not None
            np.testing.assert_allclose(heard, gain * NOISE[join - 50 : join + 50], atol=1e-5)
        short = _heard(Placed(join - 5000, join, 0.0), join, join - 9, join, mastering, mixed=9000)
        assert short == pytest.approx(0.5 * NOISE[join - 9 : join], abs=1e-5)  # half of it is taken for its own
        assert _heard(Placed(0, join, None), join, 0, 9, mastering, mixed=0) is None

    def test_a_side_that_is_soft_at_the_join_has_the_level_from_further_off(self) -> None:
        join, raw = 3 * RATE, NOISE.copy()
        raw[join - 12_000 : join] = 0.0
        heard = _heard(Placed(0, join, 0.0), join, RATE, RATE + 100, copied(0.5 * raw, raw), mixed=0)
        assert heard == pytest.approx(0.5 * raw[RATE : RATE + 100], abs=1e-5)

    @pytest.mark.parametrize("off", [-3000, 700, 3000])
    def test_foreign_sound_ends_where_the_run_begins_to_explain(self, off: int) -> None:
        """To either side of the estimate; and so it begins."""
        at, foreign = 2 * RATE, NOISE[::-1][: 2 * RATE]
        edit = np.concatenate([foreign, NOISE[at : 2 * at]])
        found = find_join(Placed(0, at + off, None), Placed(at + off, 2 * at, 0.0), copied(edit), sample_rate=RATE)
        assert (found.position, found.crossfade_ms) == (pytest.approx(at, abs=5), 0.0)
        edit = np.concatenate([NOISE[:at], foreign])
        found = find_join(Placed(0, at + off, 0.0), Placed(at + off, 2 * at, None), copied(edit), sample_rate=RATE)
        assert (found.position, found.crossfade_ms) == (pytest.approx(at, abs=5), 0.0)


class TestMastering:
    def test_gain_polarity_and_delay_are_learned(self) -> None:
        """Upside down at half the level: one tap of -1/2, and nothing beside it."""
        pair = Pair((replace(view(), sound=NOISE),), -0.5 * NOISE[300 : 300 + 4 * RATE])
        mastering = learn_mastering([Placed(0, 4 * RATE, 300.0)], pair)
        assert (mastering.gain, mastering.polarity) == (pytest.approx(-0.5, rel=0.01), -1.0)
        assert mastering.taps[256] == pytest.approx(-0.5, rel=0.01)
        assert np.abs(np.delete(mastering.taps, 256)).max() < 0.005
        louder = mastering.of_edit(2 * pair.edit)
        assert (louder.loudness, louder.gain) == (pytest.approx(4 * mastering.loudness, rel=1e-5), mastering.gain)

    def test_runs_too_short_to_teach_and_runs_of_a_spectrum_leave_a_plain_copy(self) -> None:
        pair = Pair((replace(view(), sound=NOISE), view(1.05, sound=False)), 0.5 * NOISE[: 4 * RATE])
        for runs, gain in (([Placed(0, 4095, 0.0)], 1.0), ([Placed(0, RATE, None)], 1.0)):
            mastering = learn_mastering(runs, pair)
            assert mastering.taps.tolist() == [0.0] * 256 + [1.0] + [0.0] * 256
            assert mastering.gain == pytest.approx(gain)
        followed = learn_mastering([Placed(0, RATE, 0.0, view=1)], pair)
        assert followed.gain == pytest.approx(0.5, rel=0.05)

    @pytest.mark.parametrize("start", [0, 65_530, 65_536, 131_000])
    def test_what_is_predicted_is_read_across_blocks_and_between_samples(self, start: int) -> None:
        """Blocks have 65,536 samples; at a lag of 99.75 a sine of 32 samples is read 99.75 samples later."""
        sine = np.sin(2 * np.pi * np.arange(8 * RATE) / 32).astype(np.float32)
        mastering = copied(sine, sine)
        whole = mastering.predict(Placed(0, RATE, 100.0), start=start, length=1000)
        np.testing.assert_allclose(whole, sine[start + 100 : start + 1100], atol=1e-5)
        between = mastering.predict(Placed(0, RATE, 99.75), start=start, length=1000)
        expected = np.sin(2 * np.pi * (np.arange(start, start + 1000) + 99.75) / 32)
        np.testing.assert_allclose(between, expected, atol=1e-3)
        outside = mastering.predict(Placed(0, RATE, -5000.0), start=0, length=1000)
        assert np.abs(outside).max() < 1e-6


class TestStutters:
    def test_what_is_lost_is_heard_short_and_unexplained(self) -> None:
        """Between two periods of 30 ms and six seconds; another level is no other sound, upside down is."""
        edit = NOISE.copy()
        edit[4 * RATE : 5 * RATE] *= 0.5
        edit[5 * RATE : 6 * RATE] *= -1.0
        edit[6 * RATE : 7 * RATE] = NOISE[:RATE]
        edit[7 * RATE :] = 0.0
        mastering = copied(edit)
        for length, lost in ((1319, False), (1320, True), (132_300, True), (132_301, False)):
            assert _is_lost(Placed(0, length, None), mastering) is lost
        for second, lost in ((3, False), (4, False), (5, True), (6, True), (7, False)):
            assert _is_lost(Placed(second * RATE, (second + 1) * RATE, 0.0), mastering) is lost
        assert not _is_lost(Placed(7 * RATE, 8 * RATE, None), mastering)  # silent
        assert not _is_lost(Placed(6 * RATE, 7 * RATE, 0.0, view=1), mastering)

    def test_a_neighbour_goes_on_some_periods_late_or_early(self) -> None:
        """Through 500 samples at a period of 200: as it is, and up to four periods away."""
        run = Placed(1000, 1500, None)
        before, after = Placed(0, 1000, 50.0, drift=0.1), Placed(1500, 2000, 50.0)
        late, early = (list(_places(run, each, 200.0)) for each in (before, after))
        assert [place.lag for place in late] == [50.0, -150.0, -350.0, -550.0, -750.0]
        assert [place.lag for place in early] == [50.0, 250.0, 450.0, 650.0, 850.0]
        assert {(p.start, p.end, p.drift) for p in (*late, *early)} == {(1000, 1500, 0.0)}

    def test_a_place_costs_what_it_leaves_at_its_level(self) -> None:
        edit = np.concatenate([0.5 * NOISE[:RATE], NOISE[RATE:]])
        mastering, bounds = copied(edit), np.arange(0, 1281, 128)
        here, elsewhere = Placed(0, 1280, 0.0), Placed(0, 1280, 3 * RATE * 1.0)
        assert _level(Placed(0, RATE, 0.0), mastering) == pytest.approx(0.5, rel=1e-3)
        assert _level(Placed(0, 3 * RATE, 0.0), mastering) == pytest.approx(1.0, rel=1e-3)  # about its middle
        assert _cost(here, bounds, 0.5, mastering).max() < 0.01
        assert _cost(here, bounds, 0.75, mastering) == pytest.approx(np.full(10, 0.25), abs=0.01)
        assert _cost(elsewhere, bounds, 0.5, mastering).min() > 0.7
        assert _cost(elsewhere, bounds, 4.0, mastering).max() == 1.0
        edit[:256] = 0.0  # silence is no proof
        assert _cost(Placed(0, 1280, -5000.0), bounds, 1.0, copied(edit))[:2].tolist() == [
            1.0,
            1.0,
        ]  # silence is no proof

    def test_a_piece_has_the_score_of_its_own_samples(self) -> None:
        """Noise stands out by some 240 deviations, upside down as well."""
        for sign in (1.0, -1.0):
            mastering = copied(sign * NOISE)
            mastering = Mastering(mastering.pair, sign * mastering.taps, sign)
            found = settled_piece(Placed(RATE, 2 * RATE, 3.0, 99.0), mastering)
            assert found.lag == pytest.approx(0.0, abs=0.05)
            assert 200 < found.score < 300

    def test_a_period_may_end_between_samples(self) -> None:
        rng, t = np.random.default_rng(0), np.arange(6000)
        for period in (1000.4, 999.7):
            waves = [np.cos(2 * np.pi * (k * t / period + rng.random())) for k in range(1, 60)]
            assert period_of(np.sum(waves, axis=0)) == pytest.approx(period, abs=0.05)

    PERIOD, TIMES = 1500, 6  # 68 ms

    def stuttered(self) -> tuple[np.ndarray, int]:
        """Two seconds, of which the last 68 ms play six times more, and what follows; where that begins."""
        end = 2 * RATE
        return np.concatenate([NOISE[:end], *[NOISE[end - self.PERIOD : end]] * self.TIMES, NOISE[end : 3 * RATE]]), end

    @pytest.mark.parametrize("n_before", [0, 3])
    def test_a_stutter_is_found_whether_two_runs_meet_in_it_or_not(self, n_before: int) -> None:
        """All six times are unmatched, or the run before has three of them and the run after the others."""
        edit, end = self.stuttered()
        over, after = end + n_before * self.PERIOD, end + (n_before or self.TIMES) * self.PERIOD
        gap = [Placed(over, after, None)] if over < after else []
        runs = [Placed(0, over, 0.0), *gap, Placed(after, len(edit), -1.0 * self.TIMES * self.PERIOD)]
        mastering = copied(edit)
        found = joined(with_stutters(runs, mastering), mastering.pair)
        times = np.arange(self.TIMES + 1)
        assert [run.lag for run in found] == pytest.approx(-self.PERIOD * times, abs=0.1)
        starts = end + self.PERIOD * (times[1:] - 1)
        assert [run.start for run in found][1:] == pytest.approx(starts, abs=256)  # two windows

    def test_a_stutter_at_an_end_has_one_neighbour(self) -> None:
        """Of what plays before it, and of what plays after it."""
        period, second = self.PERIOD, RATE
        edit = np.concatenate([NOISE[:second], *[NOISE[second - period : second]] * 4])
        mastering = copied(edit)
        runs = [Placed(0, second, 0.0), Placed(second, len(edit), None)]
        found = joined(with_stutters(runs, mastering), mastering.pair)
        assert [run.lag for run in found] == pytest.approx([-1.0 * k * period for k in range(5)], abs=0.1)
        edit = np.concatenate([*[NOISE[second : second + period]] * 4, NOISE[second : 2 * second]])
        mastering = copied(edit)
        runs = [Placed(0, 4 * period, None), Placed(4 * period, len(edit), 1.0 * second - 4 * period)]
        found = joined(with_stutters(runs, mastering), mastering.pair)
        assert [run.lag for run in found] == pytest.approx([second - 1.0 * k * period for k in range(5)], abs=0.1)
        assert all(run.brief for run in found[:-1])

    def test_what_is_from_elsewhere_stays(self) -> None:
        edit = np.concatenate([NOISE[:RATE], np.tile(NOISE[::-1][: self.PERIOD], 6), NOISE[RATE : 2 * RATE]])
        after = RATE + 6 * self.PERIOD
        runs = [Placed(0, RATE, 0.0), Placed(RATE, after, None), Placed(after, len(edit), -6.0 * self.PERIOD)]
        assert with_stutters(runs, copied(edit)) == runs
        once = np.concatenate(
            [NOISE[:RATE], NOISE[::-1][:6000], NOISE[RATE : 2 * RATE]]
        )  # and where two runs meet in it
        runs = [Placed(0, RATE + 3000, 0.0), Placed(RATE + 3000, len(once), -6000.0)]
        assert with_stutters(runs, copied(once)) == runs
        brief = [Placed(0, 100, 0.0), Placed(100, 200, 5.0)]
        assert with_stutters(brief, copied(once)) == brief


class TestTwins:
    def test_an_unusual_gain_leaves_its_square_and_nothing_explains_more_than_seven_tenths(self) -> None:
        """Half of the usual gain, or twice as much, leaves (1 - 1/2)^2; where gains vary it counts less."""
        fit = _Fit(np.array([0.1, 0.1, 0.1, 0.6]), np.array([2.0, 1.0, 4.0, 1.0]))
        steady, varying = _Usual(0.01, 2.0, 1.0), _Usual(0.01, 2.0, 0.2)
        assert steady.unexplained_by(fit).tolist() == pytest.approx([0.1, 0.35, 0.35, 0.7])
        assert varying.unexplained_by(fit).tolist() == pytest.approx([0.1, 0.15, 0.15, 0.65])

    def test_the_usual_is_of_the_good_windows(self) -> None:
        """The better half, 0.01 to 0.03, has gains of 0.98, 1 and 1.02: a spread of 0.02, so the gain is half held."""
        fit = _Fit(np.array([0.01, 0.02, 0.03, 0.5, 0.5]), np.array([np.exp(-0.02), 1.0, np.exp(0.02), 0.1, 9.0]))
        assert _Usual.of([fit]) == pytest.approx((0.02, 1.0, 0.5))
        assert _Usual.of([]) == (1.0, 1.0, 0.0)

    def test_windows_at_a_runs_ends_say_little(self) -> None:
        unexplained = np.array([9.0, 9.0, 1.0, 2.0, 3.0, 9.0, 9.0])
        assert _mean_within(unexplained, 0, 7) == 2.0
        assert _mean_within(unexplained, 0, 4) == 1.5
        assert _mean_within(unexplained, 0, 2) == 9.0  # there are no others

    def test_windows_tile_a_run(self) -> None:
        assert _windows(Placed(100, 100 + 2 * 4096 + 4000, 0.0)).tolist() == [100, 6196, 12292]
        assert _windows(Placed(100, 200, 0.0)).tolist() == [100, 200]
