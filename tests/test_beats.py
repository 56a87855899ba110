"""Beats of composed drums are found where they are; grids tile the file; overrides do what they say."""

import importlib.metadata
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import mir_eval
import numpy as np
import pytest
import soundfile as sf
import torch
import yaml

from rl_editor import beats
from rl_editor.analysis import analyse_track
from rl_editor.beats import (
    Activations,
    Alternative,
    Listened,
    alternatives,
    apply_override,
    attacks,
    decoding,
    grid_of,
    network,
    regular_grid,
    spectrum,
    track_beats,
    trackers,
)
from rl_editor.beats.bars import changes
from rl_editor.beats.decoding import _beat_score, _observed, _path, beat_scores, decoded
from rl_editor.beats.doctor import ODD_COST, ODD_METRES, confidence_of, grid_score, recounted
from rl_editor.beats.grids import Metre, Span, assemble_grid, extended_times, sounding_span_s
from rl_editor.beats.trackers import Counted, counted
from rl_editor.checkup import Checkup, check_up, write_click_track
from rl_editor.checkup.picture import close_looks_s, picture
from rl_editor.checkup.words import NOTHING_HEARD, screen
from rl_editor.config import BeatOverride, BeatsConfig, Config
from rl_editor.devices import torch_threads
from rl_editor.errors import ConfigError
from rl_editor.features import FRAME_NAMES, FrameFeatures
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.library import find_library
from rl_editor.utils import Samples, load_audio, save_audio

RATE = 22050


def drums(bpm, *, lead_s=0.37, beats_per_bar=4, tail_s=0.5):
    """16 bars: kick on 1 and 3, snare on 2 and 4 (3/4: kick, snare, snare), hats on eighths, a chord for each bar.

    Returns the signal and the times of its beats.
    """
    rng = np.random.default_rng(0)
    period = 60.0 / bpm
    times = lead_s + period * np.arange(16 * beats_per_bar)
    signal = np.zeros(int((times[-1] + period + tail_s) * RATE))

    def add(at_s, sound, level):
        start = round(at_s * RATE)
        signal[start : start + len(sound)] += level * sound[: len(signal) - start]

    def t(length_s):
        return np.arange(int(length_s * RATE)) / RATE

    kick = np.sin(2 * np.pi * 55 * t(0.2)) * np.exp(-t(0.2) / 0.06)
    snare = rng.standard_normal(len(t(0.15))) * np.exp(-t(0.15) / 0.05)
    hat = np.diff(rng.standard_normal(len(t(0.05))) * np.exp(-t(0.05) / 0.012), prepend=0)
    length = period * beats_per_bar
    for index, time in enumerate(times):
        bar, position = divmod(index, beats_per_bar)
        strong = position % 2 == 0 if beats_per_bar == 4 else position == 0
        add(time, kick if strong else snare, 0.8 if strong else 0.4)
        add(time, hat, 0.2)
        add(time + period / 2, hat, 0.2)
        if position == 0:
            root = 220.0 * 2 ** ([0, 5, 7, 3][bar % 4] / 12)
            decay = np.exp(-t(length) / length)
            add(time, sum(np.sin(2 * np.pi * root * f * t(length)) for f in (0.5, 1, 1.25, 1.5)) * decay, 0.08)
    return (0.4 * signal).astype(np.float32), times


def whole_beats(grid):
    return grid.times_s[:-1][grid.bar_position != PARTIAL]


@pytest.mark.parametrize("bpm", [72, 93, 120, 145, 168, 190, 205])
def test_composed_beats_are_found_without_bias(bpm):
    signal, truth = drums(bpm)
    grid = track_beats(signal, Config())
    found = whole_beats(grid)
    assert mir_eval.beat.f_measure(truth, found) > 0.95  # within 70 ms
    nearest = np.abs(found[:, None] - truth).argmin(axis=1)
    assert abs(np.median(found - truth[nearest])) < 0.005
    downbeats = grid.times_s[:-1][grid.bar_position == 0]
    assert mir_eval.beat.f_measure(truth[::4], downbeats) > 0.9
    assert grid.beats_per_bar == 4
    assert grid.confidence > 0.4


def test_three_in_a_bar():
    signal, truth = drums(120, beats_per_bar=3)
    grid = track_beats(signal, Config())
    assert grid.beats_per_bar == 3
    assert mir_eval.beat.f_measure(truth[::3], grid.times_s[:-1][grid.bar_position == 0]) > 0.9


def test_the_metre_can_be_given():
    signal, _ = drums(120)
    grid = track_beats(signal, Config(beats=BeatsConfig(beats_per_bar=2)))
    assert grid.beats_per_bar == 2
    assert set(grid.bar_position) <= {PARTIAL, 0, 1}


def test_latency_is_added():
    signal, _ = drums(120)
    plain = track_beats(signal, Config())
    later = track_beats(signal, Config(beats=BeatsConfig(latency_s=0.01)))
    np.testing.assert_allclose(whole_beats(later)[1:20] - whole_beats(plain)[1:20], 0.01, atol=1e-9)


def test_attacks_are_found_in_pieces_as_in_one(monkeypatch):
    signal, truth = drums(120)
    whole = attacks.attack_offsets_s(attacks.energy_rise(signal), truth + 0.02, sample_rate=RATE)
    assert abs(np.median(whole) + 0.02) < 0.01
    risen = attacks.energy_rise(signal)
    monkeypatch.setattr(attacks, "_ATTACK_BLOCKS", 50)
    np.testing.assert_array_equal(attacks.energy_rise(signal), risen)


def test_energy_rises_where_a_sound_begins_and_not_where_it_ends():
    """Blocks of 128 samples; the third alternates between 1 and -1, and the fourth begins by a step of 1 from there."""
    signal = np.zeros(4 * 128, np.float32)
    signal[256:384] = np.tile([1, -1], 64)
    energy, of_steps = [0, 0, 128, 0], [0, 0, 1 + 127 * 4, 1]
    begins = np.log(1 + 10 * 128 / np.mean(energy)) + np.log(1 + 10 * 509 / np.mean(of_steps))
    np.testing.assert_allclose(attacks.energy_rise(signal), [0, 0, begins, 0], atol=1e-9)


def test_of_two_attacks_the_nearer_counts_and_none_before_the_file():
    """Beats every half second, of 50 blocks, from 0 on; attacks 60 ms before them, and weaker ones 10 ms after."""
    rise = np.zeros(500)
    rise[44::50], rise[1::50] = 1.0, 0.9
    found = attacks.attack_offsets_s(rise, np.arange(10) * 0.5, sample_rate=12_800)
    np.testing.assert_allclose(found, 0.01)


def tracked(monkeypatch, *, times_s, heard=0.9, sounds=(0.0, 8.0)):
    """The grid of 8 s in which a tracker finds these beats, the network as much of them everywhere."""
    everywhere = np.full(401, heard)
    monkeypatch.setattr(beats, "activations", lambda mel: Activations(everywhere, everywhere / 4))
    found = Counted(np.array(times_s), np.arange(len(times_s)) % 4, 4)
    frames = FrameFeatures(np.zeros((16, len(FRAME_NAMES)), np.float32), 100, 50, 800)
    listened = Listened(Span(*sounds), np.zeros(8), lambda heard, metres: found)
    return grid_of(listened, frames, np.zeros((401, 64), np.float16), BeatsConfig(start_bpm=60.0))


def test_what_is_hardly_heard_and_less_than_four_beats_are_no_beat(monkeypatch):
    """Then the grid is regular: a beat a second, of no confidence."""
    half_seconds = np.arange(16) * 0.5
    assert np.diff(tracked(monkeypatch, times_s=half_seconds).times_s)[1:-1] == pytest.approx(0.5)
    for found in (
        tracked(monkeypatch, times_s=half_seconds, heard=0.04),
        tracked(monkeypatch, times_s=half_seconds[:3]),
        tracked(monkeypatch, times_s=half_seconds, sounds=(3.0, 3.6)),
    ):
        assert found.times_s.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
        assert found.confidence == 0.0


def test_the_grid_tiles_the_file_with_partial_ends():
    signal, truth = drums(100, lead_s=2.0, tail_s=3.0)  # silence, drums, silence
    grid = track_beats(signal, Config())
    assert grid.times_s[0] == 0.0
    assert grid.duration_s == len(signal) / RATE
    assert grid.bar_position[0] == grid.bar_position[-1] == PARTIAL
    assert grid.times_s[1] == pytest.approx(truth[0], abs=0.03)


def test_a_beat_at_zero_has_no_lead_in():
    signal, _ = drums(100, lead_s=0.0)
    assert track_beats(signal, Config()).bar_position[0] == 0


@pytest.mark.parametrize(
    "signal",
    [np.zeros(0), np.zeros(10), np.zeros(5 * RATE), np.full(5 * RATE, 0.5), np.eye(1, 3000)[0]],
    ids=["empty", "ten samples", "silence", "dc", "click"],
)
def test_nothing_to_track_gives_a_grid_all_the_same(signal):
    grid = track_beats(signal.astype(np.float32), Config())
    assert grid.times_s[0] == 0.0
    assert grid.duration_s == pytest.approx(max(len(signal) / RATE, 1e-3))
    assert grid.confidence < 0.2


def test_the_fallback_is_regular_at_the_start_tempo():
    grid = regular_grid(2.25, BeatsConfig(start_bpm=120.0))
    np.testing.assert_allclose(grid.times_s, [0.0, 0.5, 1.0, 1.5, 2.0, 2.25])  # a tail of half a beat
    np.testing.assert_array_equal(grid.bar_position, [0, 1, 2, 3, PARTIAL])
    assert grid.confidence == 0.0
    for end_s in (1.95, 2.05):  # 0.05 s is a tenth of a beat: the last one is shorter, or longer, by so much
        near = regular_grid(end_s, BeatsConfig(start_bpm=120.0))
        np.testing.assert_allclose(near.times_s, [0.0, 0.5, 1.0, 1.5, end_s])
        np.testing.assert_array_equal(near.bar_position, [0, 1, 2, 3])


def test_tracking_is_repeatable_and_noise_has_little_confidence():
    noise = (0.1 * np.random.default_rng(0).standard_normal(8 * RATE)).astype(np.float32)
    first, second = track_beats(noise, Config()), track_beats(noise, Config())
    np.testing.assert_array_equal(first.times_s, second.times_s)
    assert first.confidence < track_beats(drums(120)[0], Config()).confidence


# A lead-in of 0.5 s, a pickup (position 3), two bars, a tail of 0.25 s; 0.5 s per beat.
GRID = BeatGrid(
    np.array([*np.arange(0.0, 5.5, 0.5), 5.25]), np.array([PARTIAL, 3, 0, 1, 2, 3, 0, 1, 2, 3, PARTIAL]), confidence=0.7
)


def test_the_neutral_override_is_the_grid_itself():
    assert apply_override(GRID, BeatOverride()) is GRID


def test_doubling_halves_the_beats_and_keeps_downbeats():
    grid = apply_override(GRID, BeatOverride(tempo_multiplier=2))
    np.testing.assert_allclose(grid.times_s, [0.0, *np.arange(0.5, 5.01, 0.25), 5.25])
    assert grid.bar_position[grid.times_s[:-1] == 1.0] == 0  # the first downbeat
    np.testing.assert_array_equal(grid.bar_position[1:-1], (np.arange(18) - 2) % 4)  # the pickup is two beats now


@pytest.mark.parametrize(
    "way", [BeatOverride(tempo_multiplier=2), BeatOverride(tempo_multiplier="half"), BeatOverride(shift_beats=0.25)]
)
def test_a_grid_corrected_by_hand_is_sure(way):
    doubtful = replace(GRID, confidence=0.3)
    assert apply_override(doubtful, BeatOverride()).confidence == 0.3
    assert apply_override(doubtful, way).confidence == 1.0


def test_halving_keeps_the_beats_in_step_with_downbeats():
    grid = apply_override(GRID, BeatOverride(tempo_multiplier="half"))
    np.testing.assert_allclose(grid.times_s, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.25])
    np.testing.assert_array_equal(grid.bar_position, [PARTIAL, 0, 1, 2, 3, PARTIAL])


def test_shifting_moves_beats_by_a_share_of_a_beat():
    grid = apply_override(GRID, BeatOverride(shift_beats=0.25))
    np.testing.assert_allclose(grid.times_s, [0.0, *np.arange(0.625, 5.2, 0.5), 5.25])
    np.testing.assert_array_equal(grid.bar_position[:4], [PARTIAL, 3, 0, 1])


def test_half_a_beat_earlier_and_later_are_the_same_places_where_the_tempo_changes():
    """Beats of 0.25 s, then of 1 s, as a tracker leaves them that hears none in a break."""
    times = np.array([0.5, 0.75, 1.0, 2.0, 3.0, 3.25])
    grid = BeatGrid(np.array([0.0, *times, 3.5]), np.array([PARTIAL, 0, 1, 2, 3, 0, PARTIAL]), 4)
    between = [0.625, 0.875, 1.5, 2.5, 3.125]
    earlier, later = (apply_override(grid, BeatOverride(shift_beats=share)).times_s for share in (-0.5, 0.5))
    np.testing.assert_allclose(earlier[1:-1], [0.375, *between])
    np.testing.assert_allclose(later[1:-1], [*between, 3.375])


def test_shifting_back_keeps_beats_in_order_after_a_gap():
    times = np.array([0.5, 0.75, 1.0, 2.5, 2.75])
    grid = BeatGrid(np.array([0.0, *times, 4.0]), np.array([PARTIAL, 0, 1, 2, 3, PARTIAL]), 4)
    moved = apply_override(grid, BeatOverride(shift_beats=-0.5))
    np.testing.assert_allclose(moved.times_s, [0.0, 0.375, 0.625, 0.875, 1.75, 2.625, 4.0])


def test_the_bar_rotates_by_whole_beats():
    grid = apply_override(GRID, BeatOverride(downbeat_shift_beats=1))
    np.testing.assert_array_equal(grid.bar_position, [PARTIAL, 2, 3, 0, 1, 2, 3, 0, 1, 2, PARTIAL])


def test_a_waltz_that_was_counted_in_four_is_counted_in_three():
    """Bars are counted from the first downbeat on; rotating goes by the new bars."""
    grid = apply_override(GRID, BeatOverride(beats_per_bar=3))
    assert (grid.beats_per_bar, grid.confidence) == (3, 1.0)
    np.testing.assert_array_equal(grid.times_s, GRID.times_s)
    np.testing.assert_array_equal(grid.bar_position, [PARTIAL, 2, 0, 1, 2, 0, 1, 2, 0, 1, PARTIAL])
    moved = apply_override(GRID, BeatOverride(beats_per_bar=3, downbeat_shift_beats=1))
    np.testing.assert_array_equal(moved.bar_position, [PARTIAL, 1, 2, 0, 1, 2, 0, 1, 2, 0, PARTIAL])
    with pytest.raises(ConfigError, match=r"beats\.overrides\.song"):
        BeatsConfig(overrides={"song": {"beats_per_bar": 9}})


def test_music_in_five_is_counted_in_five():
    grid = apply_override(GRID, BeatOverride(beats_per_bar=5))
    np.testing.assert_array_equal(grid.bar_position, [PARTIAL, 4, 0, 1, 2, 3, 4, 0, 1, 2, PARTIAL])
    signal, _ = drums(120, beats_per_bar=5)
    assert track_beats(signal, Config(beats=BeatsConfig(beats_per_bar=5))).beats_per_bar == 5


def test_overrides_are_found_by_track():
    signal, _ = drums(120)
    config = Config(beats=BeatsConfig(overrides={"song": {"tempo_multiplier": "half"}}))
    tempo = track_beats(signal, config, track_id="other").tempo_bpm
    assert track_beats(signal, config, track_id="song").tempo_bpm == pytest.approx(tempo / 2, rel=0.01)


def test_a_library_and_the_commands_know_a_file_by_one_name(tmp_path):
    signal, _ = drums(120)
    song = tmp_path / "reference" / "My Song (live).wav"
    song.parent.mkdir()
    sf.write(song, signal, 22050)
    name = find_library(tmp_path).references[0].track_id
    halved = Config(beats=BeatsConfig(overrides={name: {"tempo_multiplier": "half"}}))
    found = check_up(song, Config())
    assert found.track_id == name
    assert check_up(song, halved).override == BeatOverride(tempo_multiplier="half")
    assert analyse_track(song, halved).grid.tempo_bpm == pytest.approx(found.grid.tempo_bpm / 2, rel=0.01)


def test_a_click_track_holds_a_long_recording_once(tmp_path):
    """A minute of stereo at 44.1 kHz as float32: 60 * 44,100 * 2 * 4 B = 21.2 MB."""
    once = 60 * 44_100 * 2 * 4
    nothing, mel = np.zeros(1, np.float32), np.zeros((1, 1), np.float16)
    grid = BeatGrid(np.arange(121) / 2, np.arange(120) % 4)
    found = Checkup("song", "librosa", grid, BeatOverride(), [], Activations(nothing, nothing), mel)
    source = tmp_path / "song.wav"
    save_audio(source, Samples(np.full((60 * 44_100, 2), 0.1, np.float32), 44_100))
    tracemalloc.start()
    write_click_track(found, source, tmp_path / "clicked.wav")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert once < peak < 1.5 * once


def test_a_click_sounds_on_every_whole_beat_and_a_higher_one_on_downbeats(tmp_path):
    """Of 30 ms, at 1,000 and 1,600 Hz; the music is at 0.6 of its level, and the last click ends with the file."""
    times_s = np.array([0.0, 0.25, 0.5, 1.0, 1.5, 1.99, 2.0])
    grid = BeatGrid(times_s, np.array([PARTIAL, 3, 0, 1, 2, PARTIAL]))
    nothing, mel = np.zeros(1, np.float32), np.zeros((1, 1), np.float16)
    found = Checkup("song", "librosa", grid, BeatOverride(), [], Activations(nothing, nothing), mel)
    assert found.beats_s.tolist() == [0.25, 0.5, 1.0, 1.5]
    assert found.downbeats_s.tolist() == [0.5]
    assert (found.to_dict()["beats_s"], found.to_dict()["downbeats_s"]) == ([0.25, 0.5, 1.0, 1.5], [0.5])
    source, clicked = tmp_path / "song.wav", tmp_path / "clicked.wav"
    save_audio(source, Samples(np.full((round(1.51 * RATE), 2), 0.1, np.float32), RATE))
    write_click_track(found, source, clicked)
    added = load_audio(clicked).data - np.float32(0.06)

    def levels(at_s):
        click = added[round(at_s * RATE) :][: round(0.03 * RATE)]
        t = np.arange(len(click)) / RATE
        return [abs(np.exp(-2j * np.pi * hz * t) @ click[:, side]) for side in (0, 1) for hz in (1000, 1600)]

    np.testing.assert_allclose(levels(0.25)[:2], levels(0.25)[2:])  # both sides alike
    assert levels(0.25)[0] > 3 * levels(0.25)[1]
    assert levels(0.5)[1] > 0.8 * levels(0.5)[0] > 0.6 * levels(0.25)[0]
    assert levels(1.0) == pytest.approx(levels(0.25), rel=0.02)
    assert len(added) == round(1.51 * RATE)
    assert np.abs(added[round(1.5 * RATE) :]).max() > 0.2
    silent = np.ones(len(added), bool)
    for at_s in found.beats_s:
        silent[round(at_s * RATE) :][: round(0.03 * RATE)] = False
    assert np.abs(added[silent]).max() < 1e-3


def test_a_likely_other_grid_is_offered_as_a_line_for_the_settings():
    """Of a grid that was not corrected yet; beats last 0.5 and 0.6 s in turn."""
    times_s = np.concatenate([[0.0], np.cumsum([0.5, 0.6] * 10)])
    grid = BeatGrid(times_s, np.arange(20) % 4, confidence=0.83)
    half, shifted = BeatOverride(tempo_multiplier="half"), BeatOverride(downbeat_shift_beats=1)
    chances = (("as tracked", BeatOverride(), 0.7), ("half the tempo", half, 0.1), ("a beat later", shifted, 0.09))
    others = [Alternative(name, override, 0.0, chance) for name, override, chance in chances]
    nothing, mel = np.zeros(1, np.float32), np.zeros((1, 1), np.float16)
    found = Checkup("007", "librosa", grid, BeatOverride(), others, Activations(nothing, nothing), mel)
    head, *said = screen(found).splitlines()
    assert "(100.0 to 120.0), 4 in a bar, 20 beats, 5 bars; tracker librosa" in head
    assert said[:6] == [
        "expected F-measure of the beats: 0.83",
        "",
        "  likely  grid",
        "   70.0%  as tracked",
        "   10.0%  half the tempo  {tempo_multiplier: half}",
        "    9.0%  a beat later  {downbeat_shift_beats: 1}",
    ]
    settings = yaml.safe_load("\n".join(said[said.index("beats:") :]))
    assert settings == {"beats": {"overrides": {"007": {"tempo_multiplier": "half"}}}}

    corrected = replace(found, override=half)
    assert "corrected by beats.overrides, and taken for sure: {tempo_multiplier: half}" in screen(corrected)
    assert screen(corrected).endswith("\n    9.0%  a beat later")
    assert screen(replace(found, grid=replace(grid, confidence=0.0))).endswith(f"librosa\n{NOTHING_HEARD}")


@pytest.mark.parametrize(
    ("duration_s", "starts_s"),
    [(100.0, [25.0, 65.0]), (22.0, [0.0, 14.0]), (10.0, [0.0, 2.0]), (8.0, [0.0]), (3.0, [0.0])],
)
def test_close_looks_at_a_grid_do_not_show_the_same_twice(duration_s: float, starts_s: list[float]) -> None:
    """Each shows 8 s; of 10 s the picture showed the last eight twice, and the first two never."""
    assert close_looks_s(duration_s) == pytest.approx(starts_s)


def test_the_picture_of_a_grid_has_tempo_beats_and_what_was_heard_where_they_are() -> None:
    """Beats of half a second, 120 bpm, in bars of four; of 5 s, at 50 frames a second, the last is heard a beat at."""
    grid = BeatGrid(0.5 * np.arange(11), np.arange(10) % 4)
    heard = Activations(*np.zeros((2, 250), np.float32))
    heard.beat[225:], heard.downbeat[:25] = 0.9, 0.6
    found = Checkup("song", "librosa", grid, BeatOverride(), [], heard, np.zeros((250, 8), np.float16))
    tempo, above, below = picture(found).axes
    assert tempo.lines[0].get_ydata() == pytest.approx(np.full(9, 120.0))
    assert tempo.get_ylim()[0] < 120.0 < tempo.get_ylim()[1]
    for axes in (above, below):
        lines: dict[str, list[float]] = {}
        for line in axes.lines:
            lines.setdefault(line.get_color(), []).append(line.get_xdata()[0])
        assert list(lines.values()) == [(0.5 * np.arange(10)).tolist(), [0.0, 2.0, 4.0]]
        assert list(lines) == ["#2a78b5", "#c8452e"]  # blue and red, as the title says
    peaks = {area.get_label(): area.get_paths()[0].vertices for area in below.collections}
    assert peaks["beat"][peaks["beat"][:, 1] > 0.5][:, 0].min() == pytest.approx(4.5)
    assert peaks["downbeat"][peaks["downbeat"][:, 1] > 0.5][:, 0].max() == pytest.approx(0.48)


def test_a_long_name_stays_within_the_picture_of_a_grid(tmp_path):
    signal, _ = drums(120)
    song = tmp_path / f"{'A_Very_Long_Name_' * 8}.wav"
    sf.write(song, signal, 22050)
    figure = picture(check_up(song, Config()))
    figure.draw_without_rendering()
    title = next(text for text in figure.texts if "bpm" in text.get_text())
    assert figure.bbox.x0 <= title.get_window_extent().x0
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_a_beat_sounds_for_its_first_sixteenth_and_is_silent_after():
    """24 frames: a sixteenth is one frame and a half. Of 64 it is 4, and where the signal ends after 4, all of them."""
    values = -np.random.default_rng(0).random((3, 48))
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum(values, axis=1)], axis=1)
    for position, row in ((0, 0), (2, 1)):
        expected = values[row, 10] + 0.5 * values[row, 11] + 0.5 * values[2, 11] + values[2, 12:34].sum()
        assert _beat_score(sums, 10, 34, 24, position) == pytest.approx(expected)
        assert _beat_score(sums, 44, 48, 64, position) == pytest.approx(values[row, 44:].sum())


def test_what_is_heard_becomes_likelihoods_of_downbeat_other_beat_and_none():
    """Two frames are four half ones; a downbeat has 2 % to 98 % of what a beat has, a beat 1e-4 to 1 - 1e-4."""
    heard = Activations(np.array([0.5, 0.5]), np.array([0.3, 0.0]))
    steps = np.diff(_observed(heard)[0], axis=1)
    for frame, downbeat in enumerate((0.3, 0.15, 0.01, 0.01)):
        np.testing.assert_allclose(steps[:, frame], np.log([downbeat, 0.5 - downbeat, 0.5 / 15]))
    sure, silent = (np.diff(_observed(Activations(*np.full((2, 1), p)))[0])[:, 0] for p in (1.0, 0.0))
    np.testing.assert_allclose(sure, np.log([0.98 * (1 - 1e-4), 0.02 * (1 - 1e-4), 1e-4 / 15]))
    np.testing.assert_allclose(silent, np.log([0.02e-4, 0.98e-4, (1 - 1e-4) / 15]))


@pytest.mark.parametrize("seed", range(4))
def test_the_path_of_beats_equals_the_best_of_all(seed):
    """All that begin within a beat and end with one that goes on beyond the signal, counted by its share."""
    rng = np.random.default_rng(seed)
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum(-rng.exponential(6.0, (3, 15)), axis=1)], axis=1)
    lengths, prior, step = np.array([3, 4, 5]), -rng.random(3), 4.0  # 400 per second, of 100 frames

    def best(t, p, i):
        end = t + lengths[i]
        if end > 15:
            return _beat_score(sums, t, 15, lengths[i], p) + prior[i] * (15 - t) / lengths[i], [(t, p)]
        if end == 15:
            return -np.inf, []
        ways = [(best(end, (p + 1) % 2, j), step * abs(j - i)) for j in range(3)]
        score, path = max(((found[0] - cost, found[1]) for found, cost in ways), key=lambda way: way[0])
        return _beat_score(sums, t, end, lengths[i], p) + prior[i] + score, [(t, p), *path]

    firsts = [(best(t, p, i), sums[2, t]) for i in range(3) for t in range(lengths[i] + 1) for p in range(2)]
    score, path = max(((found[0] + lead_in, found[1]) for found, lead_in in firsts), key=lambda way: way[0])
    found = _path(sums, lengths, prior, 2)
    assert found.score == pytest.approx(score)
    assert list(zip(found.starts.tolist(), found.position.tolist(), strict=True)) == path


def test_a_tempo_costs_by_the_second_how_many_octaves_it_is_from_125(monkeypatch):
    """In steps of 10 ms: 220 bpm are 27.3 of them, 50 are 120; a beat of 0.96 s is an octave away, for 0.96 s."""
    tempi = {}

    def path(sums, lengths, prior, metre):
        tempi.update(zip(lengths.tolist(), prior.tolist(), strict=True))
        return _path(sums, lengths, prior, metre)

    monkeypatch.setattr(decoding, "_path", path)
    decoded(Activations(*np.full((2, 400), [[0.2], [0.05]])), metres=(4,))
    assert (min(tempi), max(tempi)) == (27, 120)
    assert (tempi[48], tempi[96]) == pytest.approx((0.0, -0.96))


def heard_in_threes(twos):
    """Beats every 0.36 s; from the 140th on such as are three halves apart, and the old ones as likely as ``twos``."""
    beat, change_s = np.full(4500, 0.003), 0.2 + 140 * 0.36
    beat[np.rint(np.arange(change_s, 89.9, 0.36) * 50).astype(int)] = twos
    times = np.append(0.2 + np.arange(140) * 0.36, np.arange(change_s, 89.9, 0.54))
    beat[np.rint(times * 50).astype(int)] = 0.9
    return Activations(beat, beat / 4)


def lasting_s(heard):
    return np.diff(decoded(heard, metres=(4,)).beats_s)


def test_a_song_keeps_its_pulse_where_three_halves_of_it_are_hardly_better(monkeypatch):
    """The two paths that are compared are the best of all, and the best that keeps to the pulse; by their scores."""
    heard, ways, free = heard_in_threes(0.1), [], decoding._best

    def best(*given):
        ways.append(free(*given))
        return ways[-1]

    monkeypatch.setattr(decoding, "_best", best)
    assert lasting_s(heard) == pytest.approx(0.36, abs=0.03)
    leaves, keeps = ways
    lasting = np.diff(leaves.starts) / 100.0
    assert lasting[-10:] == pytest.approx(0.54)
    nats_per_s = (leaves.score - keeps.score) / lasting[lasting > 0.5].sum()
    for cost, last_s in ((nats_per_s - 1e-6, 0.54), (nats_per_s + 1e-6, 0.36)):
        monkeypatch.setattr(decoding, "THIRDS_COST", cost)
        assert lasting_s(heard)[-10:] == pytest.approx(last_s, abs=0.03)


def test_a_change_of_tempo_stays_though_it_is_by_three_halves():
    lasting = lasting_s(heard_in_threes(0.003))
    assert lasting[:130] == pytest.approx(0.36, abs=0.011)
    assert lasting[-30:] == pytest.approx(0.54, abs=0.011)


def test_a_beat_lies_between_frames_where_two_hear_it_alike():
    """Frames 12 and 13 of 20 ms are 0.24 and 0.26 s; from there every 24."""
    beat = np.full(410, 0.02)
    beat[12::24] = beat[13::24] = 0.9
    downbeat = np.where(np.isin(np.arange(410) // 24 % 4, 1), 0.9, 0.0) * beat
    found = decoded(Activations(beat, downbeat), metres=(3, 4))
    np.testing.assert_allclose(found.beats_s, 0.25 + 0.48 * np.arange(17), atol=1e-3)
    assert (found.beats_per_bar, found.position.tolist()) == (4, [3, *[0, 1, 2, 3] * 4])


def test_a_beat_settles_on_its_peak_from_a_step_before_it_on():
    beat = np.full(100, 1e-4)
    beat[[9, 13, 40]] = 0.9  # 13 is beyond the first sixteenth
    beat[[60, 61]] = 0.5  # 61.0 - 0.5: both alike
    found = decoding._settled(np.array([10, 40, 60]), np.arange(27, 33), beat)
    np.testing.assert_allclose(found, [9.0, 40.0, 60.5], atol=1e-4)


def test_bars_are_counted_by_log_odds_under_which_beats_open_them():
    def bars(opens, metres=(3, 4)):
        found = counted(np.arange(len(opens)) * 0.5, np.array(opens), metres)
        return found.beats_per_bar, found.position.tolist()

    assert bars([0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9, 0.1]) == (4, [2, 3, 0, 1, 2, 3, 0, 1])
    likelier = [0.6 if k % 4 == 0 else 0.5 for k in range(12)]  # four in 3/4 have more in sum, and odds of less
    assert bars(likelier)[0] == 4
    assert bars([0.6, 0.65, 0.5, 0.5, 0.6], (4,))[1] == [0, 1, 2, 3, 0]  # 2 log 1.5 = 0.81, log 1.86 = 0.62
    sure = [0.9, 1.0, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5, 0.9]  # no single beat decides: log 49 = 3.9, 3 log 9 = 6.6
    assert bars(sure, (4,))[1][0] == 0


class TestOtherTrackers:
    """Six beats half a second apart, of which the second and the sixth open bars."""

    TIMES_S = 1.0 + 0.5 * np.arange(6)

    def test_librosa_hears_beats_late_and_bars_where_the_network_does(self, monkeypatch):
        """By 44 ms, more than two frames of the network: its downbeats lie that much earlier, at 1.5 and 3.5 s."""
        found = SimpleNamespace(beat_track=lambda **_: (120.0, self.TIMES_S + 0.044))
        monkeypatch.setitem(sys.modules, "librosa.beat", found)
        downbeat = np.full(250, 0.1)
        downbeat[[75, 175]] = 0.9
        heard = Activations(np.full(250, 0.9), downbeat)
        bars = trackers.librosa_tracker(np.zeros(0, np.float32), RATE)(heard, (4,))
        np.testing.assert_array_equal(bars.beats_s, self.TIMES_S + 0.044)
        assert bars.position.tolist() == [3, 0, 1, 2, 3, 0]

    def test_bars_open_at_the_beats_nearest_to_the_downbeats_of_beat_this(self, monkeypatch):
        monkeypatch.setattr(trackers, "_beat_this_model", lambda: lambda *_: (self.TIMES_S.tolist(), [1.52, 3.48]))
        nothing = Activations(np.zeros(1), np.zeros(1))
        found = trackers.beat_this_tracker(np.zeros(0, np.float32), RATE)(nothing, (4,))
        assert found.position.tolist() == [3, 0, 1, 2, 3, 0]

    def test_the_version_of_somebody_elses_tracker_is_known(self):
        assert trackers.tracker_version("network") == ""
        assert trackers.tracker_version("librosa") == importlib.metadata.version("librosa")


def frames_of(pitch: np.ndarray, loudness: np.ndarray | None = None) -> FrameFeatures:
    """Fifty frames per second whose chroma is one pitch class each, and whose first MFCC is ``loudness``."""
    values = np.zeros((len(pitch), len(FRAME_NAMES)), np.float32)
    values[np.arange(len(pitch)), FRAME_NAMES.index("chroma_C") + pitch.astype(int)] = 1.0
    if loudness is not None:
        values[:, FRAME_NAMES.index("mfcc_0")] = loudness
    return FrameFeatures(values, 22_050, 441, 441 * len(pitch))


class TestBars:
    """Beats of half a second, 25 frames, after a lead-in of as much; chords change at every third of them."""

    GRID = BeatGrid(np.arange(14) * 0.5, np.array([PARTIAL, *[0, 1, 2, 3] * 3]))
    CHORDS = np.repeat([0, 0, 0, 0, 4, 4, 4, 7, 7, 7, 0, 0, 0], 25)  # of the lead-in and twelve beats

    def test_harmony_counts_two_beats_on_each_side_by_hand(self):
        """New chord 1 - 0 = 1; a beat earlier, and later, old or new on one side and both on the other."""
        found = changes(frames_of(self.CHORDS), self.GRID)
        half = 1.0 - 1.0 / np.sqrt(2.0)
        turns = np.array([0.0, half, 1.0, half, half, 1.0, half, half, 1.0, half, 0.0])  # of the second beat on
        assert found[:2].tolist() == [0.0, 0.0]
        np.testing.assert_allclose(found[2:], (turns - turns.mean()) / turns.std(), atol=1e-6)

    def test_timbre_counts_a_beat_on_each_side_by_hand(self):
        """From soft to loud the standard scores turn their sign, cosine -1; else they are alike."""
        loudness = np.repeat([1.0, *[1.0] * 4, *[5.0] * 4, *[1.0] * 4], 25)
        found = changes(frames_of(np.ones(325), loudness), self.GRID)
        turns = np.zeros(11)
        turns[[3, 7]] = 2.0
        np.testing.assert_allclose(found[2:], (turns - turns.mean()) / turns.std(), atol=1e-6)

    def test_where_nothing_changes_and_where_there_is_one_beat_nothing_opens_a_bar(self):
        assert changes(frames_of(np.ones(325)), self.GRID).tolist() == [0.0] * 13
        one = BeatGrid(np.array([0.0, 0.5, 6.5]), np.array([0, PARTIAL]))
        assert changes(frames_of(self.CHORDS), one).tolist() == [0.0, 0.0]

    def test_bars_begin_where_chords_change_if_downbeats_are_not_told_apart(self, monkeypatch):
        """Sixty beats of half a second that sound alike; every fourth, from 1.2 s on, another chord."""
        beat, mel = np.full(1500, 0.02), np.zeros((1500, 64), np.float16)
        beat[10::25] = 0.9
        heard, frames = Activations(beat, beat / 4), frames_of(np.clip(np.arange(1500) - 60, 0, None) // 100 % 7)
        monkeypatch.setattr(beats, "activations", lambda mel: heard)
        monkeypatch.setattr(beats, "attack_offsets_s", lambda rise, beats_s, *, sample_rate: 0.0 * beats_s)

        def counter(heard, metres):
            return Counted(np.arange(0.2, 30.0, 0.5), np.arange(60) % 4, 4)

        def downbeats_s(tracker):
            found = Listened(Span(0.0, 30.0), np.zeros(1), counter)
            grid = grid_of(found, frames, mel, replace(BeatsConfig(), tracker=tracker))
            return grid.times_s[:-1][grid.bar_position == 0]

        np.testing.assert_allclose(downbeats_s("network"), np.arange(1.2, 30.0, 2.0))
        np.testing.assert_allclose(downbeats_s("beat_this"), np.arange(0.2, 29.0, 2.0))  # counts bars itself


class TestDoctor:
    """Beats of 0.48 s, 48 half frames of which three sound, after a lead-in of as much."""

    GRID = BeatGrid(np.arange(18) * 0.48, np.array([PARTIAL, *[0, 1, 2, 3] * 4]))
    STILL = np.zeros(17)  # nothing changes at any beat

    def test_the_score_of_a_grid_by_hand(self):
        heard = Activations(np.full(440, 0.2), np.full(440, 0.05))
        downbeat, other, silent = np.log([0.05, 0.15, 0.8 / 15])
        expected = [3 * (other if position else downbeat) + 45 * silent for position in [0, 1, 2, 3] * 4]
        whole = self.GRID.times_s[1:]
        np.testing.assert_allclose(beat_scores(heard, whole, self.GRID.bar_position[1:]), expected)
        assert grid_score(heard, self.GRID, self.STILL) == pytest.approx(sum(expected) / (16 * 0.48))
        changed = np.arange(17.0)  # downbeats are beats 1, 5, 9 and 13 of the grid
        assert grid_score(heard, self.GRID, changed) == pytest.approx((sum(expected) + 3 * 28.0) / (16 * 0.48))

    def heard(self, first_downbeat=0, off_s=0.0):
        """Peaks of one frame at all beats."""
        beat, downbeat = np.full((2, 440), 0.02)
        at = np.rint((self.GRID.times_s[1:] + off_s) * 50).astype(int)
        beat[at], downbeat[at[first_downbeat::4]] = 0.9, 0.8
        return Activations(beat, np.minimum(beat, downbeat))

    def test_a_beat_sounds_from_just_before_its_peak_on(self):
        moved = [
            replace(self.GRID, times_s=np.append(0.0, self.GRID.times_s[1:] + by_s)) for by_s in (-0.01, 0.0, 0.01)
        ]
        earlier, here, later = (grid_score(self.heard(), grid, self.STILL) for grid in moved)
        assert here > max(earlier, later)

    def test_the_grid_that_suits_what_is_heard_comes_first(self):
        names = [
            "/2",
            "3 in a bar",
            "5 in a bar",
            "7 in a bar",
            "as tracked",
            "downbeat 1 later",
            "downbeat 2 later",
            "downbeat 3 later",
            "half a beat later",
            "x2",
        ]
        for first_downbeat, likeliest in enumerate(["as tracked", *(f"downbeat {k} later" for k in (1, 2, 3))]):
            found = alternatives(self.heard(first_downbeat), self.GRID, frames_of(np.ones(440)))
            assert found[0].name == likeliest
            assert sorted(way.name for way in found) == names
            assert sum(way.probability for way in found) == pytest.approx(1.0)
            likely = self.heard(first_downbeat)

            def score(override, likely=likely):
                meant = apply_override(self.GRID, override)
                return grid_score(likely, meant, np.zeros(meant.n_beats))

            def bars_from(beat, metre, score=score):
                return score(BeatOverride(beats_per_bar=metre, downbeat_shift_beats=beat))

            of_four = np.mean([bars_from(beat, 4) for beat in range(4)])
            tracked = next(way for way in found if way.name == "as tracked")
            for way in found:  # 1.3 nats per second, of other beats 5
                if metre := way.override.beats_per_bar:  # what they gain over bars from any beat, beside what four do
                    every = [bars_from(beat, metre) for beat in range(metre)]
                    assert way.score == pytest.approx(max(every) - np.mean(every) + of_four)
                    assert way.override.downbeat_shift_beats == np.argmax(every)
                else:
                    assert way.score == score(way.override)
                other_beats = way.name in ("x2", "/2", "half a beat later")
                odds = np.exp((way.score - tracked.score) / (5.0 if other_beats else 1.3))
                assert way.probability == pytest.approx(odds * tracked.probability, abs=1e-12)

    def test_bars_of_five_and_seven_are_heard_and_a_little_better_is_not_enough(self):
        """Forty beats; of every fifth (seventh), from the second on, the network hears that it opens a bar."""
        times_s = np.arange(41) * 0.48
        grid = BeatGrid(times_s, np.arange(40) % 4)
        frames, at = frames_of(np.ones(960)), np.rint(times_s[:-1] * 50).astype(int)

        def heard(metre, downbeat):
            beat, opens = np.full((2, 960), 0.02)
            beat[at], opens[at], opens[at[1::metre]] = 0.9, 0.3, downbeat
            return Activations(beat, np.minimum(beat, opens))

        for metre in (5, 7):
            found = recounted(heard(metre, 0.8), grid, frames, metres=ODD_METRES)
            assert found.beats_per_bar == metre
            assert found.bar_position[:3].tolist() == [metre - 1, 0, 1]
            assert recounted(heard(metre, 0.8), grid, frames, metres=()).beats_per_bar == 4
            named = {way.name: way for way in alternatives(heard(metre, 0.8), grid, frames)}
            meant = apply_override(grid, named[f"{metre} in a bar"].override)
            assert meant.bar_position.tolist() == found.bar_position.tolist()
        slight = heard(5, 0.36)
        assert recounted(slight, grid, frames, metres=(5,)).beats_per_bar == 4
        scores = {way.name: way.score for way in alternatives(slight, grid, frames)}
        four = max(scores["as tracked"], *(scores[f"downbeat {beats} later"] for beats in (1, 2, 3)))
        assert four < scores["5 in a bar"] < four + ODD_COST

    def test_a_bar_of_three_has_two_other_downbeats(self):
        waltz = BeatGrid(np.arange(14) * 0.48, np.array([PARTIAL, *[0, 1, 2] * 4]), beats_per_bar=3)
        names = [way.name for way in alternatives(self.heard(), waltz, frames_of(np.ones(440)))]
        assert sorted(name for name in names if "downbeat" in name) == ["downbeat 1 later", "downbeat 2 later"]

    def test_the_confidence_by_hand(self):
        """0.6 at beats, one frame beside them as well, 0.1 between: -1.50 + 5.19 * 0.6 - 1.48 * 0.1 = 1.466.

        Where the last beat ends there need be none.
        """
        beat = np.full(440, 0.1)
        beat[np.arange(24, 408, 24) + 1] = 0.6
        assert confidence_of(Activations(beat, beat / 2), self.GRID) == pytest.approx(1 / (1 + np.exp(-1.466)))


class TestAssembling:
    def test_beats_go_on_to_the_first_and_the_last_sound(self):
        """15 % of a beat short of a whole one is whole; what is a quarter of a beat after another is none."""
        times = np.array([1.0, 1.5, 2.0, 2.1, 2.5, 3.0])
        assert extended_times(times, Span(0.05, 4.05), 6.0).tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]
        assert extended_times(times, Span(0.1, 4.1), 6.0).tolist() == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
        assert extended_times(np.arange(1, 10) * 0.5, Span(1.1, 3.05), 6.0).tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]

    def test_beats_go_on_as_those_beside_them(self):
        times = np.concatenate([1.0 + 0.5 * np.arange(10), 5.9 + 0.4 * np.arange(10)])
        found = extended_times(times, Span(0.0, 10.3), 20.0)
        np.testing.assert_allclose(found, [0.0, 0.5, *times, 9.9, 10.3])

    def test_the_bar_is_counted_from_the_downbeat_though_beats_before_the_file_are_dropped(self):
        grid = assemble_grid(np.arange(-2, 9) * 0.5, 4.3, Metre(4, 0), confidence=0.5)
        np.testing.assert_allclose(grid.times_s, [*np.arange(9) * 0.5, 4.3])
        assert grid.bar_position.tolist() == [2, 3, 0, 1, 2, 3, 0, 1, PARTIAL]

    def test_beats_a_little_outside_the_file_are_its_ends(self):
        """0.05 s are a tenth of a beat."""
        grid = assemble_grid(np.arange(9) * 0.5 - 0.05, 3.9, Metre(4, 1), confidence=0.5)
        np.testing.assert_allclose(grid.times_s, [0.0, *(np.arange(1, 8) * 0.5 - 0.05), 3.9])
        assert grid.bar_position.tolist() == [3, 0, 1, 2, 3, 0, 1, 2]

    def test_sound_is_what_lies_within_sixty_decibels_of_the_loudest(self):
        """Ten frames of 0.1 s; 0.9e-3 is below -60 dB, 1.1e-3 above."""
        values = np.zeros((10, len(FRAME_NAMES)), np.float32)
        values[:, FRAME_NAMES.index("rms")] = [0, 0.9e-3, 1.1e-3, 1.0, 0.5, 0, 1.1e-3, 0.9e-3, 0, 0]
        assert sounding_span_s(FrameFeatures(values, 1000, 100, 1000)) == pytest.approx((0.2, 0.7))
        assert sounding_span_s(FrameFeatures(values[:3] * 0, 1000, 100, 300)) is None
        assert sounding_span_s(FrameFeatures(values[:4], 1000, 100, 350)) == pytest.approx((0.2, 0.35))  # not beyond it


def test_the_network_listens_by_one_thread(monkeypatch):
    """Torch may be imported only then, with as many as there are cores, and gives other last bits by these."""

    def threads(mel):
        return torch.full((1, len(mel[0]), 2), float(torch.get_num_threads()))

    monkeypatch.setattr(network, "trained_network", lambda: threads)
    with torch_threads(3):
        heard = network.probabilities(np.zeros((5, 64), np.float16))
        assert torch.get_num_threads() == 3
    np.testing.assert_allclose(heard, 1 / (1 + np.exp(-1.0)), rtol=1e-6)


def test_a_downbeat_is_never_likelier_than_a_beat(monkeypatch):
    monkeypatch.setattr(network, "trained_network", lambda: lambda mel: torch.tensor([[[-1.0, 3.0], [2.0, 0.0]]]))
    heard = spectrum.activations(np.zeros((2, 64), np.float16))
    np.testing.assert_allclose(heard.beat, 1 / (1 + np.exp([1.0, -2.0])))
    np.testing.assert_allclose(heard.downbeat, 1 / (1 + np.exp([1.0, 0.0])))


def test_the_network_hears_a_long_signal_in_pieces_as_at_once(monkeypatch):
    mel = torch.randn(1, 20, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = network.trained_network()(mel)
        monkeypatch.setattr(network, "_FRONT_FRAMES", 7)
        torch.testing.assert_close(network.trained_network()(mel), whole)


def test_what_the_network_hears_does_not_depend_on_the_level():
    tone = np.sin(2 * np.pi * 440 / RATE * np.arange(RATE // 4)).astype(np.float32)
    quiet, loud = (spectrum.log_mel(level * tone, RATE).astype(float) for level in (np.float32(0.01), np.float32(1.0)))
    np.testing.assert_allclose(quiet, loud, atol=5e-3)  # half precision
    magnitude = np.expm1(spectrum.log_mel(np.concatenate([tone, 2 * tone]), RATE).astype(float)).max(axis=1)
    assert magnitude[18] / magnitude[6] == pytest.approx(2.0, rel=0.02)  # no power: that would be 4


def test_any_rate_is_heard_at_the_networks():
    heard = [spectrum.log_mel(np.zeros(2 * rate, np.float32), rate) for rate in (22_050, 44_100, 8_000)]
    assert [len(mel) for mel in heard] == [101] * 3


def test_a_signal_while_beats_are_decoded_ends_it_without_a_crash() -> None:
    """Compiled code cannot be interrupted; what the signal raises comes when it returns, and is to be raised then."""
    program = """
import signal, sys
import numpy as np
from rl_editor.beats.decoding import decoded
from rl_editor.beats.spectrum import Activations

def heard(n_frames):
    return Activations(*np.random.default_rng(0).uniform(0.0, 1.0, (2, n_frames)).astype(np.float32))

def ended(number, frame):
    sys.exit(40)

decoded(heard(200), metres=(4,))  # compiled
signal.signal(signal.SIGALRM, ended)
signal.setitimer(signal.ITIMER_REAL, 0.33)
while True:
    decoded(heard(20_000), metres=(4,))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 40, (done.returncode, done.stderr)
