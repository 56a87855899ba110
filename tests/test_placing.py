"""How alike the sides of a join sound, and which beat it is placed on for it."""

import numpy as np
import pytest
from test_negotiation import moved, of_beats, repeated
from test_negotiation import state as state  # the fixture
from world_tracks import RATE_HZ

from rl_editor.audition.joins import bands_db
from rl_editor.config import Config
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.negotiation import BeatSound, Jump, TimeSpan
from rl_editor.negotiation.costs import Costs
from rl_editor.negotiation.placing import _moved_frames, _repeats_more, comes_back, place_joins
from rl_editor.negotiation.sound import _Sides
from rl_editor.state import AudioState
from rl_editor.utils import Samples


class TestSound:
    RATE, BEAT_S, N = 8000, 0.5, 48

    def beats(self, levels: list[float]) -> BeatSound:
        """Noise at a level of its own for each beat."""
        width = round(self.BEAT_S * self.RATE)
        noise = np.random.default_rng(0).normal(size=(len(levels) * width, 1))
        data = (noise * np.repeat(levels, width)[:, None]).astype(np.float32)
        return BeatSound(Samples(data, self.RATE), np.arange(len(levels) + 1) * self.BEAT_S)

    def unlike(self, sound: BeatSound, leave: int, land: int) -> float:
        return float(sound.unlikeness(np.array([leave]), np.array([land]))[0])

    def test_channels_are_heard_together(self) -> None:
        one, two = np.random.default_rng(0).normal(size=(2, 8 * 4000, 1)).astype(np.float32)
        bounds, pairs = np.arange(9) * self.BEAT_S, np.arange(1, 8)
        stereo, mono = (
            BeatSound(Samples(data, self.RATE), bounds).unlikeness(pairs, pairs[::-1])
            for data in (np.hstack([one, two]), (one + two) / 2)
        )
        np.testing.assert_allclose(stereo, mono, atol=1e-6)

    def test_what_steps_as_the_song_does_is_less_unlike_than_what_is_smooth(self) -> None:
        sound = self.beats([0.3, 0.03] * (self.N // 2))  # every beat steps by 20 dB
        as_the_song = self.unlike(sound, 11, 21)  # after a loud beat a quiet one
        smooth = self.unlike(sound, 11, 20)  # after a loud beat a loud one
        assert as_the_song < 0.25
        assert smooth > as_the_song + 0.3

    def test_a_step_that_the_song_never_makes_is_unlike_it(self) -> None:
        sound = self.beats([0.3 * 0.85 ** (k % 12) for k in range(self.N)])  # 1.4 dB a beat, 15.5 dB up every twelve
        near, far = self.unlike(sound, 14, 26), self.unlike(sound, 20, 15)
        assert near < 0.25
        assert far > near + 0.3

    def test_a_step_of_level_that_the_song_hardly_makes_is_worse_than_anything_else(self) -> None:
        sound = self.beats([0.3 * 0.8 ** (k % 6) for k in range(self.N)])  # 10 dB up every six beats
        rare = self.beats([0.3] * (self.N - 2) + [0.01, 0.3])
        assert self.unlike(sound, 12, 24) < 1.0
        assert self.unlike(rare, 20, self.N - 2) > 1.0
        even = self.beats([0.3] * self.N)  # noise steps by some tenths of a dB: nobody hears that
        pairs = np.random.default_rng(1).integers(1, self.N, (200, 2))
        assert (even.unlikeness(pairs[:, 0], pairs[:, 1]) <= 1.0).all()

    @pytest.mark.parametrize("levels", [[0.0] * 8, [0.1], [0.1, 0.0], [0.1] * 3])
    def test_silence_and_short_songs_have_numbers(self, levels: list[float]) -> None:
        sound = self.beats(levels)
        pairs = np.array([(p, q) for p in range(len(levels) + 1) for q in range(len(levels) + 1)])
        found = sound.unlikeness(pairs[:, 0], pairs[:, 1])
        assert ((found >= 0.0) & (found <= 2.0)).all()
        assert sound.unlikeness(np.zeros(0, int), np.zeros(0, int)).shape == (0,)

    def test_what_is_natural_is_measured_between_beats_and_not_where_the_recording_begins_and_ends(self) -> None:
        sound = self.beats([0.3] * 8)
        own = np.arange(1, 8)
        contrast, step = sound._spectra[0].across(own, own), sound._level.across(own, own)
        assert step.max() < 1.0 < sound._level.across(np.array([0]), np.array([0]))[0]
        np.testing.assert_array_equal(sound._contrast, np.percentile(contrast, (50, 95)))
        np.testing.assert_array_equal(sound._step, np.percentile(step, (65, 95)))

    @pytest.mark.parametrize("rate", [22_050, 8_000, 441])
    def test_many_spans_at_once_have_the_spectra_and_levels_of_each(self, rate: int) -> None:
        mono = np.random.default_rng(0).normal(size=70 * rate).astype(np.float32)
        bounds_s = np.arange(0.0, 70.0, 0.43)
        sound = BeatSound(Samples(mono[:, None], rate), bounds_s)
        padded = np.pad(mono, rate)
        for sides, width in zip(sound._spectra, (round(0.25 * rate), round(0.5 * rate)), strict=True):
            for k, at in enumerate(np.rint(bounds_s * rate).astype(int) + rate):
                one, other = padded[at - width : at, None], padded[at : at + width, None]
                np.testing.assert_array_equal(sides.before[k], bands_db(one, rate).astype(np.float32))
                np.testing.assert_array_equal(sides.after[k], bands_db(other, rate).astype(np.float32))
        at, width = rate + round(10 * 0.43 * rate), round(0.2 * rate)
        level_db = 10.0 * np.log10(np.mean(np.square(padded[at : at + width], dtype=np.float64)))
        assert sound._level.after[10, 0] == np.float32(level_db)


def sides(before: list[float], after: list[float]) -> _Sides:
    found = _Sides.__new__(_Sides)
    found.before, found.after = (np.array(values, np.float32)[:, None] for values in (before, after))
    found.usual = 10.0
    return found


class TestUnlikeness:
    """One band at two boundaries; differences of 10 dB are usual."""

    @staticmethod
    def joined(step: tuple[float, float]) -> tuple[float, float]:
        """From the first to the second, and back."""
        sound = BeatSound.__new__(BeatSound)
        sound._spectra = [sides([0.0, 6.0], [2.0, 32.0]), sides([0.0, 4.0], [0.0, 0.0])]
        sound._level = sides([0.0, 1.0], [0.0, 3.0])
        sound._contrast, sound._step = np.array([12.0, 52.0]), np.array(step)
        there, back = sound.unlikeness(np.array([0, 1]), np.array([1, 0])).tolist()
        return there, back

    def test_by_hand(self) -> None:
        """r is half of 0.6 and of 1 (30 of 10 are no more than all) in shorter bands, 0.2 in longer ones and in level:
        ((0.8 + 0.2) / 2 + 0.2) / 2 = 0.35. D is 32, half-way from 12 to 52; L is 3, half-way from 1 to 5. Back, D is 4
        and L is 1.
        """
        assert self.joined((1.0, 5.0)) == pytest.approx((0.52 * 0.35 + 0.20 * 0.5 + 0.28 * 0.5, 0.52 * 0.35))

    def test_a_step_beyond_the_songs_own_and_a_decibel_is_one_more(self) -> None:
        assert self.joined((1.0, 2.5)) == pytest.approx((0.182 + 0.1 + 0.28 + 1.0, 0.182))  # 3 dB
        assert self.joined((0.2, 0.5))[1] == pytest.approx(0.182 + 0.28)  # 1 dB, which nobody hears


class TestCosts:
    def test_more_than_half_of_a_cost_is_sound(self, state: AudioState) -> None:
        leave, land = np.array([40]), np.array([80])
        (by_features,) = Costs(state, Config(), None).between(leave, land)
        sound = KnownSound(state.grid.times_s, {0: 0.25})
        assert Costs(state, Config(), sound).between(leave, land) == pytest.approx(0.38 * by_features + 0.62 * 0.25)

    def test_joins_asked_for_over_and_over_are_heard_once(self, state: AudioState) -> None:
        """Six boundaries have 36 pairs; each of them thirty times is 1080."""
        heard: list[int] = []

        class Counted(KnownSound):
            def unlikeness(self, leave: np.ndarray, land: np.ndarray) -> np.ndarray:
                heard.append(len(leave))
                return super().unlikeness(leave, land)

        costs = Costs(state, Config(), Counted(state.grid.times_s, {0: 0.25}))
        leave, land = np.divmod(np.arange(36), 6)
        once = costs.between(leave, land)
        assert costs.between(np.tile(leave, 30), np.tile(land, 30)) == pytest.approx(np.tile(once, 30))
        assert heard == [36, 36]


def test_what_plays_after_what_follows_it_by_hand() -> None:
    """Nothing in order, nothing that played before; the first ten frames behind the twenty-first, and six more."""
    for spans, moved_frames in (
        ([(0, 10), (20, 30)], 0),
        ([(0, 10), (0, 10)], 0),
        ([(20, 30), (0, 10)], 10),
        ([(20, 30), (0, 10), (12, 18)], 16),
    ):
        assert _moved_frames(np.array(spans)) == moved_frames


def test_what_a_join_repeats_by_hand() -> None:
    """Two frames later 10 and 11 play more, which do elsewhere; 20 and 21 less, and so the same where those do, too.
    Two frames earlier it is 18 and 19 more, 8 and 9 less."""
    spans = [(0, 10), (20, 30), (10, 14)]
    assert _repeats_more(np.array(spans), 1, 2)
    assert not _repeats_more(np.array(spans), 1, -2)  # 18 and 19 play nowhere else
    assert not _repeats_more(np.array([*spans, (20, 24)]), 1, 2)
    assert _repeats_more(np.array([*spans, (16, 20)]), 1, -2)
    assert not _repeats_more(np.array([*spans, (16, 20), (8, 10)]), 1, -2)


def test_a_join_comes_back_within_four_beats_of_a_vetoed_one_on_both_sides() -> None:
    leave, land = np.array([40, 44, 45, 36, 44, 90]), np.array([80, 84, 80, 76, 90, 90])
    assert comes_back(leave, land, [(40, 80), (90, 94)]).tolist() == [True, True, False, True, False, True]


class KnownSound(BeatSound):
    """Of joins that sound as they are said to, by how many beats later they lie than one from beat 40 to beat 80."""

    def __init__(self, bounds_s: np.ndarray, unlike: dict[int, float]) -> None:
        self.bounds_s, self._unlike = bounds_s, unlike

    def unlikeness(self, leave: np.ndarray, land: np.ndarray) -> np.ndarray:
        return np.array([self._unlike.get(p - 40, 0.5) for p in leave.tolist()], np.float32)


class TestPlacing:
    @staticmethod
    def beats_later(
        unlike: dict[int, float],
        *,
        runs: tuple[tuple[int, int], ...] = ((0, 40), (80, 120)),
        late_s: dict[int, float] | None = None,
        changed: dict[str, float] | None = None,
        frozen: tuple[TimeSpan, ...] = (),
    ) -> int:
        """By how many beats of half a second a join of beat 40 to beat 80 is moved."""
        bounds_s = np.arange(161) * 0.5
        for beat, by_s in (late_s or {}).items():
            bounds_s[beat] += by_s
        frames = np.rint(bounds_s * 1000).astype(int).tolist()
        segments = [Segment(frames[a], frames[b] - frames[a], **(changed or {})) for a, b in runs]
        edit = EditList(SourceInfo("a.wav", "", 1000, 1, frames[-1]), tuple(segments))
        placed = place_joins(edit, KnownSound(bounds_s, unlike), only=(len(runs) - 1,), frozen=frozen)
        assert placed.frames == edit.frames
        return round((placed.segments[-1].source_start_frame - segments[-1].source_start_frame) / 500)

    @pytest.mark.parametrize("far", [3, -3])
    def test_a_beat_farther_off_has_to_sound_better_by_five_hundredths(self, far: int) -> None:
        assert self.beats_later({far: 0.5 - 0.14 / 11}) == 0
        assert self.beats_later({far: 0.5 - 0.16 / 11}) == far
        assert self.beats_later({far: 0.4, 2: 0.4}) == 2  # the nearer of two that sound the same

    def test_beats_that_come_apart_cost_one_in_ten_milliseconds(self) -> None:
        for late_s in ({42: 0.02}, {82: 0.02}, {42: -0.02}):  # of two beats later, on either side: 2
            assert self.beats_later({2: 0.5 - 2.05 / 11}, late_s=late_s) == 0
            assert self.beats_later({2: 0.5 - 2.15 / 11}, late_s=late_s) == 2
        assert self.beats_later({2: 0.4}, late_s={42: 0.02, 82: 0.02}) == 2  # both alike do not

    def test_joins_move_by_eight_beats_at_most_and_leave_four_of_a_passage(self) -> None:
        assert [self.beats_later({k: 0.0}) for k in (-9, -8, 8, 9)] == [0, -8, 8, 0]
        short = ((0, 20), (34, 40), (80, 120))  # the middle one has six beats
        assert [self.beats_later({k: 0.0}, runs=short) for k in (-3, -2)] == [0, -2]
        assert [self.beats_later({k: 0.0}, runs=((0, 40), (80, 86))) for k in (2, 3)] == [2, 0]
        of_three = ((0, 40), (80, 83))
        assert [self.beats_later({k: 0.0}, runs=of_three) for k in (-1, 1)] == [-1, 0]

    def test_nothing_frozen_changes_sides(self) -> None:
        for at in (40, 80):  # of what the left side would play on, and of what the right side would not begin with
            assert self.beats_later({2: 0.0}, frozen=(TimeSpan(at / 2 + 0.6, at / 2 + 0.7),)) == 0
            assert self.beats_later({2: 0.0}, frozen=(TimeSpan(at / 2 + 1.1, at / 2 + 1.2),)) == 2

    def test_a_join_beside_the_beat_stays(self) -> None:
        """Beat 40, where it leaves, is 0.05 s late, or 0.07 s: more than 60 ms are not on the beat."""
        source = SourceInfo("a.wav", "", 1000, 1, 80_000)
        for late, moved_by in ((50, 1000), (70, 0)):
            edit = EditList(source, (Segment(0, 20_000 + late), Segment(40_000, 20_000)))
            placed = place_joins(edit, KnownSound(np.arange(161) * 0.5, {2: 0.0}))
            assert placed.segments[0].frames == 20_000 + late + moved_by

    def test_one_side_at_another_speed_is_enough_to_stay(self) -> None:
        source = SourceInfo("a.wav", "", 1000, 1, 80_000)
        for speeds, moved_by in (((1.0, 1.0), 1000), ((1.01, 1.0), 0), ((1.0, 1.01), 0)):
            left, right = (Segment(at, round(20_000 / s), speed=s) for at, s in zip((0, 40_000), speeds, strict=True))
            placed = place_joins(EditList(source, (left, right)), KnownSound(np.arange(161) * 0.5, {2: 0.0}))
            assert placed.segments[0].frames == left.frames + moved_by

    @pytest.mark.parametrize("changed", [{"speed": 1.01}, {"pitch_semitones": 1.0}])
    def test_what_plays_at_another_speed_or_pitch_stays(self, changed: dict[str, float]) -> None:
        assert self.beats_later({2: 0.0}, changed=changed) == 0

    def test_a_join_moves_to_the_beat_where_both_sides_agree(self, state: AudioState) -> None:
        times, rate = state.grid.times_s, RATE_HZ
        data = np.zeros((state.recording.frames, 1), np.float32)
        rng = np.random.default_rng(0)
        tones = 110.0 * 2 ** (rng.integers(0, 36, state.grid.n_beats) / 12)
        tones[56:74], tones[152:170] = 110.0, 1000.0
        tones[65] = tones[162] = 440.0  # the beat before the one place and the beat after the other
        for beat, tone in enumerate(tones):
            a, b = round(times[beat] * rate), round(times[beat + 1] * rate)
            data[a:b, 0] = 0.3 * np.sin(2 * np.pi * tone * np.arange(b - a) / rate)
        sound = BeatSound(Samples(data, rate), times)
        edit = of_beats(state, (0, 64), (160, 352))
        placed = place_joins(edit, sound)
        assert placed.frames == edit.frames
        moved = (placed.segments[0].source_end_frame or 0) - (edit.segments[0].source_end_frame or 0)
        assert round(moved / rate / 0.5) == 2
        barred = place_joins(edit, sound, barred=[Jump(float(times[66]), float(times[162]))])
        assert barred.segments[0].source_end_frame != placed.segments[0].source_end_frame
        frozen = place_joins(edit, sound, frozen=[TimeSpan(30.0, 36.0)])
        assert (frozen.segments[0].source_end_frame or 0) <= (edit.segments[0].source_end_frame or 0)

    def test_moving_joins_moves_nothing_where_it_may_not(self, state: AudioState) -> None:
        """Bars 4 to 19 again after bars 6 to 19: where the second starts earlier, bars never heard come late."""
        rng, frames = np.random.default_rng(0), state.recording.frames
        edit, came_late = of_beats(state, (0, 8), (24, 80), (24, 352)), 0
        for _ in range(8):
            level = np.repeat(rng.uniform(0.01, 0.5, frames // 2000 + 1), 2000)[:frames, None]
            noise = (rng.standard_normal((frames, 1)) * level).astype(np.float32)
            sound = BeatSound(Samples(noise, RATE_HZ), state.grid.times_s)
            came_late += moved(place_joins(edit, sound, only=(2,))) > 0
            assert moved(place_joins(edit, sound, only=(2,), in_order=True)) == 0
        assert came_late > 0

    def test_moving_joins_repeats_nothing_more(self, state: AudioState) -> None:
        """A block that opens has room behind it: what plays there plays at its own place as well."""
        rng, frames = np.random.default_rng(0), state.recording.frames
        moves = 0
        for runs in (((128, 160), (0, 128), (160, 352)), ((128, 160), (24, 100), (160, 352)), ((0, 96), (64, 352))):
            edit = of_beats(state, *runs)
            for _ in range(4):  # songs of noise: some other beat sounds better at nearly every join
                noise = (
                    rng.standard_normal((frames, 1))
                    * np.repeat(rng.uniform(0.01, 0.5, frames // 2000 + 1), 2000)[:frames, None]
                )
                placed = place_joins(edit, BeatSound(Samples(noise.astype(np.float32), RATE_HZ), state.grid.times_s))
                moves += placed.segments != edit.segments
                assert repeated(placed) <= repeated(edit)
        assert moves > 3
