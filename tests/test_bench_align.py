"""The alignment benchmark's own truth and scores, by numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.align.kinds import ENCODER_DELAY, KINDS, Draw, make_pair
from benchmarks.align.material import Material
from benchmarks.align.methods import chunks, loudness, measured, viterbi
from benchmarks.align.report import COLUMNS, calibration_error, reliability, table
from benchmarks.align.scores import Segment, balanced_accuracy, kept_beats, rejection, score
from benchmarks.align.sound import TOOLS
from benchmarks.align.truth import Piece, Stretch, Timeline, random_edit, render
from rl_editor.edits import EditList, SourceInfo
from rl_editor.edits import Segment as EditSegment
from rl_editor.utils import load_audio

RATE = 8000
BEATS_S = np.arange(0.0, 21.0, 0.5)


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """No instant sounds like another."""
    return 0.1 * np.random.default_rng(seed).normal(size=(round(seconds * rate), 2)).astype(np.float32)


RAW = noise(20.0)
# 6 s: raw 2-4, then 10-13, then 3-4 again
TRUTH = Timeline((Stretch(0.0, 2.0, 2.0), Stretch(2.0, 5.0, 10.0), Stretch(5.0, 6.0, 3.0)))


def scored(found: Timeline, truth: Timeline = TRUTH, raw: np.ndarray = RAW):  # type: ignore[no-untyped-def]
    return score(found, truth, raw, RATE, BEATS_S, seconds=1.0)


# --- time lines


def test_a_time_line_tells_what_plays() -> None:
    assert TRUTH.source_at(np.array([0.0, 1.5, 2.0, 4.5, 5.25])).tolist() == [2.0, 3.5, 10.0, 12.5, 3.25]
    assert TRUTH.joins_s() == [2.0, 5.0]


def test_what_continues_is_no_join_and_a_change_of_speed_is_one() -> None:
    straight = Timeline((Stretch(0.0, 2.0, 1.0), Stretch(2.0, 3.0, 3.0002)))
    assert straight.joins_s() == []
    assert Timeline((Stretch(0.0, 2.0, 1.0), Stretch(2.0, 3.0, 3.0, speed=1.02))).joins_s() == [2.0]
    assert Timeline((Stretch(0.0, 2.0, 1.0), Stretch(2.0, 3.0, None))).joins_s() == [2.0]


def test_a_whole_edit_played_faster() -> None:
    faster = TRUTH.played_at(1.25, pitch_semitones=3.0)
    # Output second 3 is 3.75 of the edit, 1.75 s into the second stretch: raw 11.75.
    assert faster.source_at(np.array([3.0])).tolist() == [11.75]
    assert faster.joins_s() == [1.6, 4.0]
    assert {s.pitch_semitones for s in faster.stretches} == {3.0}


def test_a_time_line_behind_silence() -> None:
    late = TRUTH.after(0.5)
    assert np.isnan(late.source_at(np.array([0.25]))[0])
    assert late.source_at(np.array([2.5])).tolist() == [10.0]
    assert late.foreign_s() == [(0.0, 0.5)]


def test_an_edit_list_as_a_time_line() -> None:
    source = SourceInfo("a.wav", "", 100, 1, 1000)
    edit = EditList(source, (EditSegment(200, 50), EditSegment(None, 10), EditSegment(300, 100, speed=1.5)))
    line = Timeline.of_edit(edit)
    assert line.source_at(np.array([0.25, 1.0])).tolist() == [2.25, 3.0 + 1.5 * 0.4]
    assert line.foreign_s() == [(0.5, 0.6)]


# --- rendering


def test_what_is_rendered_is_what_the_pieces_say() -> None:
    raw = noise(3.0)
    pieces = [Piece(1000, 500), Piece(9000, 800), Piece(None, 300, sound=np.full((400, 2), 0.5)), Piece(200, 400)]
    out = render(raw, pieces)
    truth = Timeline.of_pieces(pieces, RATE)
    frames = np.arange(2000)
    source = truth.source_at(frames / RATE)
    known = ~np.isnan(source)
    assert np.array_equal(out[known], raw[np.round(source[known] * RATE).astype(int)])
    assert np.flatnonzero(~known).tolist() == list(range(1300, 1600))
    assert (out[1300:1600] == 0.5).all()


@pytest.mark.parametrize(("equal_power", "middle"), [(False, 0.5 + 0.5 * 0.2), (True, 0.5**0.5 * 1.2)])
def test_a_crossfade_is_centred_on_its_join(equal_power: bool, middle: float) -> None:
    raw = np.concatenate([np.full((1000, 2), 1.0), np.full((1000, 2), 0.2)]).astype(np.float32)
    out = render(raw, [Piece(0, 500), Piece(1500, 300, 101, equal_power=equal_power)])
    assert out[449, 0] == 1.0  # 50 frames before the join at 500, 51 after
    assert out[551, 0] == pytest.approx(0.2)
    assert out[500, 0] == pytest.approx(middle)  # frame 50 of 101 is the middle


def test_tape_plays_exactly_what_its_truth_says() -> None:
    hz, speed = 440.0, 1.037
    raw = np.repeat(np.sin(2 * np.pi * hz * np.arange(10 * RATE) / RATE)[:, None], 2, axis=1).astype(np.float32)
    pieces = [Piece(8000, 4000), Piece(30001, 12000, 80, speed=speed)]
    out, truth = render(raw, pieces), Timeline.of_pieces(pieces, RATE)
    frames = np.arange(4100, 16000)
    source = truth.source_at(frames / RATE)
    assert source[0] == pytest.approx((30001 + 1.037 * 100) / RATE)
    assert np.abs(out[frames, 0] - np.sin(2 * np.pi * hz * source)).max() < 2e-3  # 2e-3 / (2 pi 440) is 0.7 us
    assert truth.stretches[1].pitch_semitones == pytest.approx(0.629, abs=1e-3)  # 12 log2 1.037


def test_random_edits_cut_near_beats_and_stay_inside() -> None:
    beats = np.round(BEATS_S * RATE).astype(int)
    for seed in range(20):
        pieces = random_edit(20 * RATE, beats, RATE, np.random.default_rng(seed))
        assert all(p.frames > 0 and p.start is not None and p.start + p.frames <= 20 * RATE for p in pieces)
        starts = np.array([p.start for p in pieces[1:]])
        assert np.abs(starts[:, None] - beats).min(axis=1).max() <= 0.04 * RATE


@pytest.mark.parametrize(("name", "within_s"), [("sox", 0.004), ("rubberband", 0.0008)])
@pytest.mark.parametrize("speed", [0.95, 1.05])
def test_a_tempo_tool_is_on_time(name: str, within_s: float, speed: float) -> None:
    tool = next(t for t in TOOLS if t.name == name)
    if tool.missing:
        pytest.skip(tool.missing)
    rate, at = 44100, np.arange(0.5, 8.0, 0.37)
    sound = noise(9.0, rate=rate) * np.float32(1e-3)  # without any, SoX has nothing to match and is on time by itself
    t = np.arange(round(0.1 * rate)) / rate
    for k, second in enumerate(at):
        burst = np.sin(2 * np.pi * (400 + 90 * k) * t) * np.exp(-t / 0.02)
        sound[round(second * rate) : round(second * rate) + len(t)] += burst[:, None].astype(np.float32)
    out = tool.tempo(sound, speed, rate)
    assert len(out) / rate == pytest.approx(9 / speed, abs=0.03)
    late = [_centre(out, second / speed, rate) - _centre(sound, second, rate) / speed for second in at]
    assert abs(np.median(late)) < within_s  # as they are: some 5 and 1.1 ms


def _centre(sound: np.ndarray, second: float, rate: int) -> float:
    low = round((second - 0.05) * rate)
    energy = sound[low : low + round(0.2 * rate), 0].astype(float) ** 2
    return (low + float(energy @ np.arange(len(energy)) / energy.sum())) / rate


# --- scores


def test_the_truth_scores_one() -> None:
    result = scored(TRUTH)
    assert result.within == dict.fromkeys((1, 5, 10, 20, 70, 250), 1.0)
    assert (result.plain_10ms, result.exact_1ms, result.keep_accuracy) == (1.0, 1.0, 1.0)
    assert result.join_errors_ms == (0.0, 0.0)
    assert (result.missing_joins, result.extra_joins, result.speed_error, result.pitch_error) == (0, 0, 0.0, 0.0)
    assert [s.right for s in result.segments] == [True, True, True]


def test_a_shift_is_right_only_within_its_tolerance() -> None:
    moved = Timeline(tuple(Stretch(s.start_s, s.end_s, (s.source_s or 0) + 0.015) for s in TRUTH.stretches))
    result = scored(moved)
    assert result.within == {1: 0.0, 5: 0.0, 10: 0.0, 20: 1.0, 70: 1.0, 250: 1.0}
    assert [s.right for s in result.segments] == [False, False, False]


def test_a_late_join_is_wrong_for_as_long_as_it_is_late() -> None:
    late = Timeline((Stretch(0.0, 2.06, 2.0), Stretch(2.06, 5.0, 10.06), Stretch(5.0, 6.0, 3.0)))
    result = scored(late)
    assert result.within[10] == pytest.approx(1 - 0.06 / 6)
    assert result.join_errors_ms == pytest.approx((60.0, 0.0))
    assert result.heard_errors_ms == pytest.approx((60.0, 0.0))


def test_a_missing_join_and_one_too_many_are_counted() -> None:
    found = Timeline((Stretch(0.0, 2.0, 2.0), Stretch(2.0, 4.0, 10.0), Stretch(4.0, 6.0, 17.0)))
    result = scored(found)  # the join at 5 is missing, the one at 4 is extra
    assert (result.n_joins, result.missing_joins, result.extra_joins) == (2, 1, 1)
    assert result.within[10] == pytest.approx(4 / 6)


def test_a_repeat_is_right_but_not_plainly() -> None:
    bar = noise(2.0, seed=1)
    raw = np.concatenate([noise(2.0), bar, noise(2.0, seed=2), bar, noise(2.0, seed=3)])  # bar at 2 and at 6
    truth, found = Timeline((Stretch(0.0, 1.8, 6.1),)), Timeline((Stretch(0.0, 1.8, 2.1),))
    result = scored(found, truth, raw)
    assert result.plain_10ms == 0.0
    assert result.within[1] == pytest.approx(1.0)
    # The neighbours of the last 50 ms differ: 2.1 + 1.85 is too near to 4.
    beyond = scored(Timeline((Stretch(0.0, 2.1, 2.1),)), Timeline((Stretch(0.0, 2.1, 6.1),)), raw)
    assert beyond.within[1] == pytest.approx(1.85 / 2.1, abs=0.01)


def test_a_join_that_nobody_hears_is_not_missed() -> None:
    bar = noise(2.0, seed=1)
    raw = np.concatenate([noise(2.0), bar, bar, bar, noise(2.0, seed=3)])  # bars at 2, 4 and 6
    truth = Timeline((Stretch(0.0, 1.0, 3.0), Stretch(1.0, 3.0, 6.0), Stretch(3.0, 4.0, 0.5)))
    found = Timeline((Stretch(0.0, 3.0, 3.0), Stretch(3.0, 4.0, 0.5)))
    result = scored(found, truth, raw)  # raw 4 goes on like raw 6; the join to 0.5 is heard
    assert (result.n_joins, result.missing_joins, result.extra_joins) == (1, 0, 0)
    hops = Timeline((Stretch(0.0, 1.0, 3.0), Stretch(1.0, 2.0, 4.0), Stretch(2.0, 3.0, 7.0), Stretch(3.0, 4.0, 0.5)))
    assert scored(hops, truth, raw).extra_joins == 1


def test_speed_is_scored_by_where_it_leads() -> None:
    truth = Timeline((Stretch(0.0, 10.0, 5.0, speed=1.02, pitch_semitones=2.0),))
    result = scored(Timeline((Stretch(0.0, 10.0, 5.0, speed=1.01),)), truth)
    # 1 % behind: 10 ms after one second of ten, 5 ms after half a second, 20 ms after two.
    assert [result.within[ms] for ms in (5, 10, 20)] == pytest.approx([0.05, 0.1, 0.2], abs=1e-3)
    assert result.speed_error == pytest.approx(1.0)
    assert result.pitch_error == pytest.approx(2.0)


def test_foreign_sound_is_scored_by_time_and_edges() -> None:
    truth = Timeline((Stretch(0.0, 4.0, 1.0), Stretch(4.0, 6.0, None), Stretch(6.0, 10.0, 5.0)))
    found = Timeline((Stretch(0.0, 4.03, 1.0), Stretch(4.03, 6.4, None), Stretch(6.4, 10.0, 5.4)))
    result = scored(found, truth)
    assert result.foreign_found == pytest.approx(1.97 / 2)
    assert result.foreign_false == pytest.approx(0.4 / 8)
    assert result.within[10] == pytest.approx(7.6 / 8)
    assert result.edge_errors_ms == pytest.approx((30.0, 400.0))
    assert scored(Timeline((Stretch(0.0, 10.0, 1.0),)), truth).edge_errors_ms == (np.inf, np.inf)


def test_a_rejected_pair_counts_as_wrong() -> None:
    result = rejection(TRUTH, 3.0)
    assert (result.rejected, result.within[10], result.n_joins) == (True, 0.0, 2)


def test_kept_beats_are_those_that_play_for_half() -> None:
    line = Timeline((Stretch(0.0, 1.0, 0.5), Stretch(1.0, 1.3, 3.0), Stretch(1.3, 1.5, 4.0)))
    # Beats of 0.5 s: 1 and 2 whole, 6 for 0.3 s, 8 for only 0.2 s.
    assert np.flatnonzero(kept_beats(line, BEATS_S)).tolist() == [1, 2, 6]


def test_balanced_accuracy() -> None:
    true, found = np.array([1, 1, 1, 1, 0, 0], bool), np.array([1, 1, 1, 0, 0, 1], bool)
    assert balanced_accuracy(found, true) == (0.75 + 0.5) / 2
    assert np.isnan(balanced_accuracy(found, np.ones(6, bool)))


def test_calibration_error_weighs_bins_by_their_segments() -> None:
    segments = [Segment(0.95, True, 1.0)] * 3 + [Segment(0.95, False, 1.0)] + [Segment(0.15, False, 1.0)] * 4
    bins = reliability(segments)
    assert [b.n for b in bins] == [0, 4, 0, 0, 0, 0, 0, 0, 0, 4]
    assert calibration_error(bins) == pytest.approx(0.5 * 0.15 + 0.5 * (0.95 - 0.75))


def test_a_table_has_means_worst_and_counts() -> None:
    text = table("copies", {"clean": [scored(TRUTH), rejection(TRUTH, 3.0)]}, COLUMNS["copies"])
    head, row = (line.split() for line in text.replace("1 of 10", "1of10").replace("10 ms", "10ms").splitlines())
    values = dict(zip(head[1:], row[1:], strict=False))
    assert (values["n"], values["rej"], values["10ms"], values["worst"]) == ("2", "1", "0.5000", "0.0000")


# --- pairs and baselines


@pytest.fixture(scope="module")
def draw() -> Draw:
    rate = 22050
    samples = noise(30.0, seed=4, rate=rate) * np.linspace(0.5, 1.5, 30 * rate, dtype=np.float32)[:, None]
    beats = np.round(np.arange(0, 30.5, 0.5) * rate).astype(int)
    material = Material("noise", samples, rate, beats)
    other = Material("other", noise(30.0, seed=5, rate=rate), rate, beats)
    pieces = [Piece(0, 9 * rate), Piece(20 * rate, 6 * rate, rate // 50), Piece(4 * rate, 5 * rate)]
    return Draw(material, other, pieces, np.random.default_rng(0))


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.missing is None])
def test_every_kind_writes_a_pair_as_long_as_its_truth(name: str, draw: Draw, tmp_path: Path) -> None:
    pair = make_pair(KINDS[name], Draw(draw.material, draw.other, draw.pieces, np.random.default_rng(1)), tmp_path)
    edit = load_audio(pair.edit_path)
    assert load_audio(pair.raw_path).frames == len(pair.raw)
    if pair.truth is None:
        assert name == "unrelated"
        return
    assert edit.duration_s == pytest.approx(pair.truth.duration_s, abs=0.03)
    inside = pair.truth.source_at(np.linspace(0, pair.truth.duration_s - 0.01, 1000))
    assert np.nanmax(inside) <= len(pair.raw) / pair.rate + 0.05


def test_an_encoder_delay_is_silence_at_the_head(draw: Draw, tmp_path: Path) -> None:
    pair = make_pair(KINDS["delay"], draw, tmp_path)
    edit = load_audio(pair.edit_path).data
    assert not edit[:ENCODER_DELAY].any()
    assert np.abs(edit[ENCODER_DELAY:][:1000] - pair.raw[:1000]).max() < 1e-6  # 24 bits
    assert pair.truth is not None
    assert pair.truth.source_at(np.array([ENCODER_DELAY / pair.rate + 1.0])) == pytest.approx(1.0)


def test_the_prototype_finds_a_clean_edit_and_the_chunks_do_within_30_s(draw: Draw, tmp_path: Path) -> None:
    pair = make_pair(KINDS["clean"], draw, tmp_path)
    found, _ = measured(viterbi, pair)
    assert found.within[10] > 0.995
    assert found.exact_1ms > 0.995
    assert found.missing_joins == found.extra_joins == 0
    searched, _ = measured(chunks, pair)
    # 20 s in chunks of 2 s; the joins at 9 and 15 s each halve a chunk.
    assert searched.within[10] == pytest.approx(0.9, abs=0.03)


def test_loudness_keeps_the_loudest_beats(draw: Draw, tmp_path: Path) -> None:
    pair = make_pair(KINDS["clean"], draw, tmp_path)
    # The raw grows louder: of its 60 beats the truth keeps 30 (0-9 and 20-26 s), the loudest 30 are 15-30 s.
    # KEEP: 12 of 30 are among them; CUT: 30 - 18 of 30 are not: 0.4 both.
    result, _ = measured(loudness, pair)
    assert result.keep_accuracy == pytest.approx(0.4)
