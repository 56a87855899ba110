"""Alignment where music repeats or falls silent: what is found, played again, is the edit."""

from itertools import pairwise

import numpy as np
import pytest
from test_alignment import MS, RATE, assert_spans, cut, info, song, spans

from rl_editor.alignment import align
from rl_editor.alignment.joins import spliced
from rl_editor.alignment.refine import Mastering, Pair, Placed, at_peaks, learn_mastering, refined, settled
from rl_editor.alignment.speeds import Scale, sharpened
from rl_editor.alignment.stutters import period_of
from rl_editor.alignment.twins import rivals
from rl_editor.alignment.views import tape_view
from rl_editor.config import Config
from rl_editor.edits import EditList


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    return song(40)


def pair_of(raw: np.ndarray, edit: np.ndarray) -> Pair:
    config = Config()
    return Pair((tape_view(raw, config.audio, config.alignment),), edit)


def plain(pair: Pair) -> Mastering:
    return learn_mastering([Placed(0, min(len(pair.edit), len(pair.raw)), 0.0)], pair)


def played_again(edit: EditList, raw: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [
            np.zeros(s.frames, np.float32)
            if s.source_start_frame is None
            else raw[s.source_start_frame : s.source_start_frame + s.frames]
            for s in edit.segments
        ]
    )


@pytest.mark.parametrize("varied", [0.0, 0.1])
def test_joins_by_hand_between_repeats_of_a_bar(varied: float) -> None:
    """The joins lie some milliseconds off the bar, so that no other place sounds the same."""
    bar, other = song(2, seed=4), song(40, seed=5)
    loop = np.concatenate([bar] * 15) + varied * other[: 15 * len(bar)]
    raw = np.concatenate([song(5, seed=6), loop, song(5, seed=7)]).astype(np.float32)
    pieces = [(0.0, 11.0), (19.011, 23.0), (14.994, 21.0), (9.023, 13.0), (27.017, 40.0)]
    heard = cut(raw, *pieces)
    edit = align(raw, heard, Config(), source=info(raw))
    rest = played_again(edit, raw) - heard
    joins = np.cumsum([b - a for a, b in pieces])[:-1]
    t = np.arange(len(heard)) / RATE
    away = np.min([np.abs(t - join) for join in joins], axis=0) > 0.002
    assert np.sum(rest[away] ** 2) < 1e-4 * np.sum(heard[away] ** 2)
    assert len(edit.segments) == len(pieces), spans(edit)


def test_a_silence_put_into_music_with_dc_is_null(raw: np.ndarray) -> None:
    raw = raw + np.float32(0.02)
    heard = np.concatenate([raw[: 10 * RATE], np.zeros(6 * RATE, np.float32), raw[10 * RATE : 30 * RATE]])
    edit = align(raw, heard, Config(), source=info(raw))
    assert_spans(edit, [(0, 10), (None, 6), (10, 20)], within_s=0.05)


def test_a_silent_end_under_noise_plays_straight_on(raw: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    raw = np.concatenate([raw[: 20 * RATE], np.zeros(12 * RATE, np.float32)])
    heard = cut(raw, (0, 5), (10, 31))
    heard += 0.003 * rng.normal(size=len(heard)).astype(np.float32)
    edit = align(raw, heard, Config(), source=info(raw))
    assert_spans(edit, [(0, 5), (10, 21)], within_s=0.002)
    assert all(abs(s.gain_db) < 1.0 for s in edit.segments)


def test_silence_after_foreign_sound_goes_to_the_run_that_is_silent_too() -> None:
    raw = np.concatenate([np.zeros(3 * RATE, np.float32), song(30)])
    heard = np.concatenate([song(6, seed=9), raw])
    edit = align(raw, heard, Config(), source=info(raw))
    assert_spans(edit, [(None, 6), (0, 33)], within_s=0.05)


def test_a_step_between_two_places_is_no_speed(raw: np.ndarray) -> None:
    lag, step = 3000, 12
    edit = np.concatenate([raw[lag : lag + 40000], raw[lag + step + 40000 : lag + step + 80000]])
    pair, config = pair_of(raw, edit), Config()
    run = refined(Placed(0, len(edit), float(lag)), pair, polarity=1.0)
    drifting = Placed(0, len(edit), run.lag, run.score, drift=step / 40000)
    (found,), after = sharpened([drifting], pair, Scale(config.audio, config.alignment), polarity=1.0)
    assert (found.view, found.drift, len(after.views)) == (0, 0.0, 1)


@pytest.mark.parametrize("slips_ms", [[1.0] * 7, [1.0, 2.0, 3.0, 4.0], [4.0, -7.0, 2.0, 6.0, -9.0, 5.0, -3.0] * 5])
def test_cuts_of_milliseconds_are_neither_a_speed_nor_another_take(slips_ms: list[float]) -> None:
    """As a performance is pulled onto a grid: every piece plays a little earlier or later than the one before."""
    raw, length = song(40, seed=3), 28 / (1 + len(slips_ms))
    starts = 5 + np.arange(1 + len(slips_ms)) * length + np.cumsum([0, *slips_ms]) / 1000
    pieces = [(round(RATE * a) / RATE, round(RATE * (a + length)) / RATE) for a in starts]
    edit = align(raw, cut(raw, *pieces), Config(), source=info(raw))
    assert_spans(edit, [(a, b - a) for a, b in pieces], within_s=0.004)
    assert all(s.speed == 1.0 for s in edit.segments)


def test_wrong_runs_do_not_teach_the_filter(raw: np.ndarray) -> None:
    edit = raw[: 30 * RATE]
    runs = [Placed(k * RATE, (k + 1) * RATE, 0.0 if k % 2 else 7777.0) for k in range(30)]
    mastering = learn_mastering(runs, pair_of(raw, edit))
    sound = mastering.predict(Placed(0, len(edit), 0.0), start=5 * RATE, length=RATE)
    assert np.sum((sound - edit[5 * RATE : 6 * RATE]) ** 2) < 1e-5 * np.sum(edit[5 * RATE : 6 * RATE] ** 2)


@pytest.mark.parametrize("off", [0.0, 0.37, -5.3, 9.8])
def test_a_lag_settles_where_the_samples_agree(raw: np.ndarray, off: float) -> None:
    pair = pair_of(raw, raw[1000 : 1000 + 10 * RATE])
    mastering = Mastering(pair, plain(pair_of(raw, raw)).taps, 1.0)
    assert settled(Placed(0, len(pair.edit), 1000.0 + off), mastering).lag == pytest.approx(1000.0, abs=0.05)


@pytest.mark.parametrize("off", [0.0, 0.4, -0.4, 7.9, -7.9])
@pytest.mark.parametrize("lag", [1000, -1000])
def test_a_lag_is_found_whatever_the_fraction_of_its_estimate(raw: np.ndarray, lag: int, off: float) -> None:
    edit = raw[lag : lag + 10 * RATE] if lag > 0 else np.concatenate([raw[30 * RATE :][:-lag], raw[: 10 * RATE]])
    pair, run = pair_of(raw, edit), Placed(RATE, len(edit), lag + off)
    assert refined(run, pair, polarity=1.0).lag == pytest.approx(lag, abs=0.1)
    assert next(at_peaks(run, pair, polarity=1.0, n_probes=5)).lag == lag


def test_a_run_that_plays_no_frame_of_the_raw_has_no_rivals(raw: np.ndarray) -> None:
    heard = pair_of(raw, raw).views[0].stacked
    assert rivals(Placed(0, RATE, float(len(raw) + RATE)), heard, heard, hop=512) == []


def test_a_stretch_of_two_lags_gives_both(raw: np.ndarray) -> None:
    edit = np.concatenate([raw[5000:45000], raw[45300:85300]])
    run = Placed(0, len(edit), 5100.0)
    lags = [found.lag for found in at_peaks(run, pair_of(raw, edit), polarity=1.0, n_probes=5)]
    assert {5000.0, 5300.0} <= set(lags)


def test_a_sliver_between_two_joins_goes(raw: np.ndarray) -> None:
    edit = cut(raw, (0, 10), (20, 30))
    pair = pair_of(raw, edit)
    bounds = [0, 10 * RATE, round(10.05 * RATE), len(edit)]
    lags = [0.0, 3.0 * RATE, 10.0 * RATE]
    runs = [Placed(a, b, lag) for (a, b), lag in zip(pairwise(bounds), lags, strict=True)]
    found, crossfades = spliced(runs, learn_mastering([runs[0], runs[2]], pair), hop=512, sample_rate=RATE)
    assert [run.lag for run in found] == [0.0, 10.0 * RATE]
    assert found[0].end == pytest.approx(10 * RATE, abs=MS)
    assert len(crossfades) == 2


@pytest.mark.parametrize("lag", [3.0 * RATE, None])
def test_a_sliver_at_the_ends_goes_unless_it_is_from_elsewhere(raw: np.ndarray, lag: float | None) -> None:
    edit = cut(raw, (5, 15))
    edit[: round(0.05 * RATE)] = edit[-round(0.05 * RATE) :] = 0.0
    pair = pair_of(raw, edit)
    bounds = [0, round(0.05 * RATE), round(9.95 * RATE), len(edit)]
    runs = [Placed(a, b, at) for (a, b), at in zip(pairwise(bounds), (lag, 5.0 * RATE, lag), strict=True)]
    found, crossfades = spliced(runs, learn_mastering([runs[1]], pair), hop=512, sample_rate=RATE)
    assert [run.lag for run in found] == ([None, 5.0 * RATE, None] if lag is None else [5.0 * RATE])
    assert (found[0].start, found[-1].end, len(crossfades)) == (0, len(edit), len(found))


def stuttered(raw: np.ndarray, period: int, n_times: int, *, other: np.ndarray | None = None) -> np.ndarray:
    """12 s, of which the last ``period`` samples play so many times (or something else does), and 12 s more."""
    end = 12 * RATE
    again = raw[end - period : end] if other is None else other[:period]
    return np.concatenate([raw[:end], *[again] * (n_times - 1), raw[end : 2 * end]]).astype(np.float32)


@pytest.mark.parametrize(("milliseconds", "n_times"), [(60, 12), (125, 8), (250, 5)])
def test_a_stutter_is_found_time_by_time(raw: np.ndarray, milliseconds: int, n_times: int) -> None:
    """The first time goes on from what was before, and what follows goes on from the last."""
    period = round(milliseconds * MS)
    edit = align(raw, stuttered(raw, period, n_times), Config(), source=info(raw))
    start = 12 * RATE - period
    assert [segment.source_start_frame for segment in edit.segments] == pytest.approx(
        [0, *[start] * (n_times - 1)], abs=3
    )
    assert [segment.frames for segment in edit.segments[1:-1]] == pytest.approx([period] * (n_times - 2), abs=3)
    assert edit.segments[0].frames == pytest.approx(12 * RATE, abs=3)


def test_what_comes_again_and_is_from_elsewhere_is_no_stutter(raw: np.ndarray) -> None:
    period = round(125 * MS)
    heard = stuttered(raw, period, 9, other=song(1, seed=9))
    edit = align(raw, heard, Config(), source=info(raw))
    assert [segment.source_start_frame is None for segment in edit.segments] == [False, True, False]
    assert edit.segments[1].frames == pytest.approx(8 * period, abs=30 * MS)


def test_a_period_is_the_shortest_after_which_a_stretch_comes_again() -> None:
    noise = np.random.default_rng(0).normal(size=12_000)
    assert period_of(np.tile(noise[:1000], 7)[:6500]) == pytest.approx(1000, abs=0.1)
    assert period_of(np.tile(noise[:2000], 3)[:5000]) == pytest.approx(2000, abs=0.1)
    assert period_of(np.tile(noise[:2000], 2)[:3010]) == pytest.approx(2000, abs=0.1)
    assert period_of(np.tile(noise[:2000], 2)[:2990]) is None  # less than one and a half times
    assert period_of(noise) is None
    assert period_of(np.tile(noise[:300], 9)) == pytest.approx(900, abs=0.1)  # of 30 ms and more
    assert period_of(noise[:1000]) is None
