"""The reward ranks known-good edits above spoiled ones, and no trivial edit wins; the audit itself can fail."""

import numpy as np
import pytest
from world_tracks import good_edits, track

from rl_editor.config import Config
from rl_editor.edits import EditList, Segment
from rl_editor.reward import RewardCalculator
from rl_editor.reward.audit import MIN_SHARE, SPOILERS, TRIVIAL, AuditCase, AuditReport, Comparison, audit


def cases(config: Config) -> list[AuditCase]:
    """Good edits of songs in 4/4 and 3/4, with and without a length asked for."""
    rng, found = np.random.default_rng(5), []
    for seed, beats_per_bar, lead_in_s in ((0, 4, 0.0), (1, 4, 0.3), (2, 3, 0.0), (3, 4, 0.0)):
        beat_s = float(rng.uniform(0.35, 0.7))
        state = track(seed, beats_per_bar=beats_per_bar, lead_in_s=lead_in_s, beat_s=beat_s)
        for edit in good_edits(state, config, rng):
            found += [
                AuditCase(state, edit, edit.duration_s, "extended_mix" if seed == 3 else ""),
                AuditCase(state, edit),
            ]
    return found


def test_the_reward_passes_its_audit():
    config = Config()
    report = audit(RewardCalculator(config), cases(config), rng=np.random.default_rng(0), draws=2)
    shares = report.shares()
    assert set(shares) == set(SPOILERS) | set(TRIVIAL)
    assert all(count >= 16 for count in report.counts().values())
    assert min(shares.values()) >= MIN_SHARE, shares
    assert report.passed, report.failures


@pytest.mark.parametrize(
    ("weights", "kind"),
    [
        ({"duration_weight": 0.0}, "keep_all"),  # with no word on length, no edit is the best edit
        ({"tempo_weight": 0.0, "phrase_weight": 0.0, "energy_weight": 0.0, "transition_weight": 0.0}, "phase_broken"),
    ],
)
def test_a_blind_reward_fails_its_audit(weights, kind):
    config = Config()
    for name, value in weights.items():
        setattr(config.reward, name, value)
    report = audit(RewardCalculator(config), cases(config)[:8], rng=np.random.default_rng(0), draws=1)
    assert not report.passed
    assert report.shares()[kind] < MIN_SHARE


def test_report_by_hand():
    report = AuditReport((Comparison("jittered", 0, 0.9, 0.8), Comparison("jittered", 1, 0.9, 0.9)))
    assert report.shares() == {"jittered": 0.5}  # a tie is not ranked right
    assert report.counts() == {"jittered": 2}
    assert report.failures == (Comparison("jittered", 1, 0.9, 0.9),)
    assert not report.passed
    assert not AuditReport(()).passed  # nothing compared, nothing shown


@pytest.mark.parametrize("kind", sorted(SPOILERS))
def test_spoilers_spoil_what_they_say(kind):
    config = Config()
    case = cases(config)[0]
    worse = SPOILERS[kind](case, 0.15, np.random.default_rng(1))
    assert worse is not None
    good, rate = case.edit.merged(), case.edit.source.sample_rate
    starts = [(s.source_start_frame or 0) / rate for s in good.segments]
    spoiled = [(s.source_start_frame or 0) / rate for s in worse.segments]
    if kind == "jittered":
        assert all(0.0199 <= abs(a - b) <= 0.2001 for a, b in zip(starts[1:], spoiled[1:], strict=True))
    elif kind == "phase_broken":
        beats = (np.array(spoiled) - starts)[1:] * case.state.grid.tempo_bpm / 60.0
        assert set(np.abs(beats).round(2)) <= {1.0, 2.0}
    elif kind == "level_broken":
        gains = [abs(s.gain_db) for s in worse.segments if s.gain_db]
        assert len(gains) == 1
        assert 6.0 <= gains[0] <= 12.0
    else:
        replayed = 1.0 - good.duration_s / worse.duration_s
        assert replayed >= 0.15 + 0.15 - 1e-6


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_what_plays_faster_or_slower_is_looped_by_whole_bars_of_the_source(speed):
    state = track(0)
    source, start, end = state.recording, *state.recording.frame_bounds(state.grid.times_s)[[1, 160]].tolist()
    played = Segment(start, int((end - start) / speed), speed=speed)
    worse = SPOILERS["over_looped"](AuditCase(state, EditList(source, (played,))), 0.15, np.random.default_rng(1))
    assert worse is not None
    downbeats = source.frame_bounds(state.grid.times_s)[:-1][state.grid.bar_position == 0]
    looped = [s for s in worse.segments if worse.segments.count(s) > 1]
    assert len(looped) > 1
    assert looped[0].source_start_frame in downbeats
    assert np.abs(downbeats - looped[0].source_end_frame).min() <= speed  # within a frame of output
    assert worse.segments[0].source_start_frame == start  # what plays around the loop is what played there
    assert abs(worse.segments[0].source_end_frame - looped[0].source_start_frame) <= speed
    assert abs(worse.segments[-1].source_end_frame - played.source_end_frame) <= speed
