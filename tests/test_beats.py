"""Beats of composed drums are found where they are; grids tile the file; overrides do what they say."""

import subprocess
import sys
from dataclasses import replace

import mir_eval
import numpy as np
import pytest
import soundfile as sf

from rl_editor.analysis import analyse_track
from rl_editor.beats import apply_override, attacks, regular_grid, track_beats
from rl_editor.checkup import check_up
from rl_editor.config import BeatOverride, BeatsConfig, Config
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.library import find_library

RATE = 22050


def drums(bpm, *, bars=16, lead_s=0.37, beats_per_bar=4, tail_s=0.5):
    """Kick on 1 and 3, snare on 2 and 4 (3/4: kick, snare, snare), hats on eighths, a chord that changes each bar.

    Returns the signal and the times of its beats.
    """
    rng = np.random.default_rng(0)
    period = 60.0 / bpm
    times = lead_s + period * np.arange(bars * beats_per_bar)
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
    monkeypatch.setattr(attacks, "_ATTACK_BLOCKS", 50)
    pieces = attacks.attack_offsets_s(attacks.energy_rise(signal), truth + 0.02, sample_rate=RATE)
    assert np.array_equal(pieces, whole)


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
    near = regular_grid(2.05, BeatsConfig(start_bpm=120.0))  # 0.05 s is a tenth of a beat: it joins the last one
    np.testing.assert_allclose(near.times_s, [0.0, 0.5, 1.0, 1.5, 2.05])


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


def test_the_bar_rotates_by_whole_beats():
    grid = apply_override(GRID, BeatOverride(downbeat_shift_beats=1))
    np.testing.assert_array_equal(grid.bar_position, [PARTIAL, 2, 3, 0, 1, 2, 3, 0, 1, 2, PARTIAL])


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


def test_a_signal_while_beats_are_decoded_ends_it_without_a_crash() -> None:
    """Compiled code cannot be interrupted; what the signal raises comes when it returns, and is to be raised then."""
    program = """
import signal, sys
import numpy as np
from rl_editor.beats.decoding import decoded
from rl_editor.beats.network import Activations

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
