"""Tables, song map and observations of synthetic tracks whose sections, repeats and levels are known."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from world_tracks import FORM, track

from rl_editor.actions import CUT, KEEP, ActionSpace, ActionType
from rl_editor.config import Config
from rl_editor.errors import EditListError
from rl_editor.features import FEATURE_NAMES, BeatFeatures, estimate_key, feature_dim
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.state import (
    DECISION_DIM,
    PROGRESS_DIM,
    STRUCTURE_DIM,
    STRUCTURE_NAMES,
    AudioState,
    EditHistory,
    Observation,
    StateRepresentation,
    decision_vectors,
)
from rl_editor.state import structure as structure_module
from rl_editor.state.hearing import (
    heard,
    level_db,
    novelty,
    rank,
    robust_scores,
    section_bounds,
    unit_rows,
    within_track,
)
from rl_editor.state.reward_tables import reward_tables
from rl_editor.state.spans import (
    _PLACE_NAMES,
    _STRENGTH_NAMES,
    Sound,
    _Force,
    _phrases,
    _places,
    _strengths,
    sections,
    share_below,
    span_likeness,
)
from rl_editor.state.structure import _n_separate, structure
from rl_editor.state.tables import (
    BAR,
    BAR_PHASE,
    LEVEL_AFTER,
    LEVEL_BEFORE,
    LOG2_INTERVAL,
    N_POINT_SCALARS,
    STRENGTH,
    ReferenceStatistics,
    beat_table,
)


def configured(**action_space: int) -> Config:
    config = Config()
    for name, value in action_space.items():
        setattr(config.action_space, name, value)
    return config


def observation_of(representation: StateRepresentation, *, unit: int = 0) -> Observation:
    layout, generator = representation.layout, torch.Generator().manual_seed(0)
    return Observation(
        torch.tensor([0]),
        torch.tensor([unit]),
        torch.eye(layout.n_styles)[:1],
        torch.rand(1, layout.history_dim, generator=generator),
        torch.rand(1, layout.progress_dim, generator=generator),
        torch.rand(1, layout.n_actions, generator=generator) > 0.5,
    )


@pytest.mark.parametrize("mode", ["basic", "enhanced", "full"])
def test_flat_observation_fits_4096(mode):
    config = Config()
    config.features.feature_mode = mode
    representation = StateRepresentation(config)
    row = feature_dim(mode) + STRUCTURE_DIM + 1
    parts = 11 * row + 64 * 26 + 58 + 8 + 8 * DECISION_DIM + PROGRESS_DIM + 133  # 11 = 2 * 5 + 1 rows, 133 actions
    assert representation.size == parts <= 4096
    batch = representation.batch([track(mode=mode, form="iab")])
    flat = representation.flatten(observation_of(representation), batch)
    assert flat.shape == (1, parts)
    assert flat.isfinite().all()


def test_split_undoes_flatten():
    representation = StateRepresentation(Config())
    batch = representation.batch([track(form="iab")])
    observation = observation_of(representation, unit=3)
    parts = representation.split(representation.flatten(observation, batch))
    for name in ("style", "history", "progress", "mask"):
        assert torch.equal(getattr(parts, name), getattr(observation, name))
    assert torch.equal(parts.song_map[0], batch.song_map[0])
    assert torch.equal(parts.static[0], batch.static[0])
    assert torch.equal(parts.window[0], batch.rows[0, 3 : 3 + 11])


def test_rows_are_means_over_units_with_a_flag_and_zeros_outside():
    config = Config()
    state = track(form="iab")
    representation = StateRepresentation(config)
    batch = representation.batch([state, track(1, form="a", bars_per_section=2)])
    context = config.state.context_units
    assert batch.rows.shape == (2, 24 + 2 * context, representation.layout.row_dim)
    bars = state.features.values.astype(np.float64).reshape(24, 4, -1).mean(axis=1)
    expected = ((bars - bars.mean(0)) / bars.std(0)).clip(-4, 4)[1].astype(np.float32)  # unit 1 is bar 1: beats 4..7
    assert torch.allclose(batch.rows[0, context + 1, : len(expected)], torch.from_numpy(expected), atol=1e-5)
    flags = batch.rows[..., -1]
    assert flags[0].tolist() == [0.0] * context + [1.0] * 24 + [0.0] * context
    assert flags[1].sum() == 2  # two bars, the rest is padding
    assert batch.rows[1, context + 2 :].abs().sum() == 0
    assert batch.n_units.tolist() == [24, 2]
    assert batch.earlier_match[1].tolist() == [-1] * 24  # two bars have nothing before them, and padding is none
    assert batch.reward.span_s[0].sum() == pytest.approx(state.grid.duration_s, abs=1e-3)


def test_structure_finds_the_equal_section_and_that_nothing_came_before_the_first():
    state = track(form="abcab")  # bars 24..31 repeat bars 0..7; chords go round every 4 bars
    units = state.grid.units(4)
    result = structure(state.features, state.grid, units)
    column = {name: result.columns[:, i] for i, name in enumerate(STRUCTURE_NAMES)}
    assert column["is_first"][[0, 8, 16]].tolist() == [1, 1, 1]
    assert column["is_first"][[24, 26, 32, 34]].tolist() == [0, 0, 0, 0]
    twins = result.earlier[24:28]
    assert [t % 4 for t in twins] == [0, 1, 2, 3]  # the same chord of the round ..
    assert (twins < 8).all()  # .. in the first a
    assert column["earlier_likeness"][24] > 0.9 > column["earlier_likeness"][16]
    assert column["later_likeness"][0] > 0.9
    assert result.earlier[0] == -1
    assert column["earlier_distance"][24] == pytest.approx((24 - twins[0]) / 40)


def test_passages_by_hand():
    """A B A C A, four bars each that sound alike; the fourth bar is half as long again.

    In standard scores A A is 1.17, B B 5.75 and A B -1.75: bars a bar apart have a cosine of
    (3 * 1.17 - 1.75) / sqrt(4.67 * 9.25) = 0.27, but for the last: before nothing it is sqrt(3 / 4) = 0.87.
    """
    values = np.zeros((80, 6), np.float32)
    values[np.arange(80), 3 + np.repeat([0, 1, 0, 2, 0], 16)] = 1.0
    features = BeatFeatures(values, ("rms", "onset", "centroid", "chroma_C", "chroma_D", "chroma_E"))
    seconds = np.full(80, 0.5)
    seconds[12:16] = 0.75
    grid = BeatGrid(np.concatenate([[0.0], np.cumsum(seconds)]), np.arange(80) % 4)  # 41 s
    result = structure(features, grid, grid.units(4))
    column = {name: result.columns[:, i] for i, name in enumerate(STRUCTURE_NAMES)}
    starts = [0, 4, 8, 12, 16]
    assert column["occurrences"][starts] == pytest.approx([2 / 3, 0.0, 2 / 3, 0.0, 2 / 3])
    assert column["occurrence_place"][starts] == pytest.approx([0.0, 0.0, 0.5, 0.0, 1.0])
    assert column["is_first"][[*starts, 17, 18]].tolist() == [1, 1, 0, 1, 0, 0, 1]  # 0.87 is alike, sqrt(2 / 4) not
    assert (column["earlier_distance"][8], column["later_distance"][8]) == (8 / 20, 8 / 20)
    assert column["later_likeness"][[0, 1, 4]] == pytest.approx([1.0, np.sqrt(3.5 / 9.25), 0.0], abs=0.01)
    # sixteen beats against sixteen where it changes; beside eight at an end half the step, by the root of a half
    assert column["novelty"][[0, 2, *starts[1:], 18]] == pytest.approx([0.0, 0.5**1.5, 1.0, 1.0, 1.0, 1.0, 0.5**1.5])
    assert column["place"][[0, 3]] == pytest.approx([1.0 / 41.0, 7.5 / 41.0])
    assert column["relative_length"].tolist() == pytest.approx([1.0] * 3 + [1.5] + [1.0] * 16)
    assert not column["partial"].any()


def test_a_passage_is_compared_with_the_one_right_before_and_after_it(monkeypatch):
    """A A B, four bars each: bar 4 comes right after what it is like, bar 0 right before. In rows of five as in one."""
    values = np.zeros((48, 5), np.float32)
    values[np.arange(48), 3 + np.repeat([0, 0, 1], 16)] = 1.0
    features = BeatFeatures(values, ("rms", "onset", "centroid", "chroma_C", "chroma_D"))
    grid = BeatGrid(np.arange(49) * 0.5, np.arange(48) % 4)
    result = structure(features, grid, grid.units(4))
    column = {name: result.columns[:, i] for i, name in enumerate(STRUCTURE_NAMES)}
    assert (column["earlier_distance"][4], column["later_distance"][0]) == (4 / 12, 4 / 12)
    assert column["occurrences"][[0, 4]] == pytest.approx([1 / 2, 1 / 2])
    monkeypatch.setattr(structure_module, "_ROWS_AT_A_TIME", 5)
    in_parts = structure(features, grid, grid.units(4))
    np.testing.assert_allclose(in_parts.columns, result.columns, atol=1e-6)
    assert in_parts.earlier.tolist() == result.earlier.tolist()


def test_what_counts_as_separate_passages():
    """A stretch of twenty units counts as three passages of four; single units count one by one."""
    long, single = np.zeros((2, 24), bool)
    long[2:22], single[[0, 8, 16]] = True, True
    assert _n_separate(np.stack([long, single]), 4).tolist() == [3, 3]


def test_structure_ranks_the_loud_section_highest_and_says_where_a_unit_lies_in_it():
    state = track(form=FORM)  # b is the loudest
    column = column_of(state)
    loud = np.array([letter == "b" for letter in FORM for _ in range(8)])
    rank_of = column["section_strength_rank"]
    assert np.median(rank_of[loud]) > np.median(rank_of[~loud]) + 0.3
    level = column["section_level"]
    assert level[loud].min() > level[~loud].max()
    assert column["section_place"][8:24] == pytest.approx((np.arange(16) + 0.5) / 16)  # the two a
    assert column["section_first"][[0, 8]].tolist() == [1, 0]
    assert column["section_units_left"][20:24] == pytest.approx(np.log2([4, 3, 2, 1]) / 5)


def test_strength_is_loud_busy_and_bright():
    state = track(form="iab", lead_in_s=0.4)
    column = column_of(state)
    assert column["strength"] == pytest.approx(column["level"] + 0.5 * column["onset"] + 0.5 * column["centroid"])
    means = state.grid.units(4).means(state.features.values)
    for name in ("onset", "centroid"):
        mine = means[:, state.features.names.index(name)]
        assert column[name] == pytest.approx(np.clip((mine - mine.mean()) / mine.std(), -4.0, 4.0), abs=1e-4)
    seconds = np.diff(state.grid.units(4).times_s)
    first = slice(0, 4)  # the lead-in and three bars: what a block comes to counts by the second
    assert column["block_strength"][first] == pytest.approx(
        [np.average(column["strength"][first], weights=seconds[first])] * 4
    )


def test_blocks_count_from_the_start_and_from_the_first_whole_bar():
    state = track(form="ab", lead_in_s=0.4)  # unit 0 is the lead-in, bars are units 1..16
    column = column_of(state)
    from_start, from_bar = column["block_units_before"], column["bar_block_units_before"]
    steps = np.log2([1, 2, 3, 4]) / 5
    assert from_start[:8] == pytest.approx(np.tile(steps, 2))
    assert from_bar[:9] == pytest.approx(
        np.concatenate([steps, np.log2([5]) / 5, steps])
    )  # the lead-in is in the first
    level = column["level"][1:5]
    assert column["bar_block_level"][5] == pytest.approx(column["level"][5:9].mean(), abs=0.01)  # bars of like length
    assert column["bar_block_level"][0] == pytest.approx(level.mean(), abs=0.15)


def test_share_below_by_hand():
    # of 1 + 3 + 2 seconds: nothing is below the first's half second, the others in turn; equal values share a place
    assert share_below(np.array([1.0, 3.0, 2.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx([0.5 / 6, 4.5 / 6, 2 / 6])
    assert share_below(np.array([5.0, 5.0, 1.0]), np.array([1.0, 1.0, 2.0])) == pytest.approx([0.75, 0.75, 0.25])


def test_spans_are_compared_beat_by_beat():
    """Two bars of equal means are not alike when their beats come in another order."""
    beats = np.eye(4)[[0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3]]
    alike = span_likeness(Sound(beats, np.array([0, 4, 8, 12])), np.array([0, 1, 2]))
    np.testing.assert_allclose(alike, [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    of_two_bars = span_likeness(Sound(beats, np.array([0, 4, 8, 12])), np.array([0, 0, 1]))
    np.testing.assert_allclose(of_two_bars, [[1, 1], [1, 1]])  # over the shorter one


def test_spans_that_sound_opposite_are_not_alike():
    beats = np.array([[1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(span_likeness(Sound(beats, np.array([0, 1, 2])), np.array([0, 1])), np.eye(2))


def test_strengths_of_spans_by_hand():
    """Units of 1, 1 and 2 s; the second span has the other two."""
    force = _Force(np.array([1.0, 0.0, 0.0]), np.array([0.0, 4.0, 0.0]), np.array([0.0, 0.0, 2.0]))
    found = _strengths(force, np.array([0, 1, 1]), np.array([1.0, 1.0, 2.0]))
    assert _STRENGTH_NAMES == ("strength", "level", "onset", "centroid", "strength_rank")
    second = [(2 * 1 + 1 * 2) / 3, 0.0, (4 * 1 + 0 * 2) / 3, (0 * 1 + 2 * 2) / 3, (1 + 3 / 2) / 4]
    np.testing.assert_allclose(found, [[1.0, 1.0, 0.0, 0.0, 0.5 / 4], second, second])


def test_places_of_spans_by_hand():
    """Two units that sound like the last, and one between that does not; a beat each."""
    found = _places(Sound(np.eye(2)[[0, 0, 1, 0]], np.arange(5)), np.array([0, 0, 1, 2]))
    # of four units three are like nothing earlier, and half of them are below: 3 / 8; two are like nothing later
    expected = {
        "earlier_likeness": [0, 0, 0, 1],
        "later_likeness": [1, 1, 0, 0],
        "likeness": [1, 1, 0, 1],
        "earlier_rank": [3 / 8, 3 / 8, 3 / 8, 7 / 8],
        "later_rank": [3 / 4, 3 / 4, 1 / 4, 1 / 4],
        "number": [0, 0, 1 / 2, 1],
        "first": [1, 1, 0, 0],
        "last": [0, 0, 0, 1],
        "place": [1 / 4, 3 / 4, 1 / 2, 1 / 2],
        "units_before": [0, 1 / 5, 0, 0],
        "units_left": [1 / 5, 0, 0, 0],
    }
    assert tuple(expected) == _PLACE_NAMES
    np.testing.assert_allclose(found.T, list(expected.values()))


def test_sections_start_where_sound_changes_at_once_and_for_long():
    """Units of a beat that differ in level alone, in dB; sections of four at least, from a quarter of the most on."""

    def starts(*levels: float) -> list[int]:
        state = tiny(
            [10.0 ** ((level - 60.0) / 20.0) for level in levels],
            [*map(float, range(len(levels) + 1))],
            [0] * len(levels),
        )
        return np.flatnonzero(np.diff(sections(state.features, state.grid.units(1), block=4), prepend=-1)).tolist()

    # One unit of 8 dB is 0.4 of the step of 20, and 0.1 over four: the root of 0.04 is 0.2.
    assert starts(*[0.0] * 5, 8.0, *[0.0] * 6, *[20.0] * 12) == [0, 12]
    # A rise of 2 dB a unit is 0.08 of the step of 25, and over four 8 of 28: the root of 0.023 is 0.15.
    assert starts(*[2.0 * k for k in range(16)], *[55.0] * 8) == [0, 16]


def test_phrases_begin_anew_with_every_section():
    assert _phrases(np.array([0] * 6 + [1] * 5), block=4).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3]


def test_equal_sections_are_alike_and_others_are_not():
    column = column_of(track(form="aabca"))  # sections: a a, b, c, a
    later, earlier = column["section_later_likeness"], column["section_earlier_likeness"]
    assert later[:16].min() > 0.8 > 0.4 > later[16:].max()
    assert earlier[32:].min() > 0.8 > 0.4 > earlier[:32].max()
    assert (column["section_likeness"] == np.maximum(earlier, later)).all()


def test_a_silent_intro_does_not_hide_where_sections_change():
    state = track(form="ab")
    silent = np.zeros((16, state.features.values.shape[1]), np.float32)
    later = type(state.features)(np.concatenate([silent, state.features.values]), state.features.names)
    grid = BeatGrid(np.arange(81) * 0.5, np.arange(80) % 4)
    column = column_of(AudioState(grid, later, replace(state.source, frames=round(40.0 * state.source.sample_rate))))
    starts = np.flatnonzero(column["section_units_before"] == 0)
    assert {0, 4, 12} <= set(starts.tolist())  # silence, a, b


def test_phrases_are_blocks_of_each_section():
    column = column_of(track(form="ab", bars_per_section=6))
    starts = np.flatnonzero(column["section_units_before"] == 0)
    assert set(starts.tolist()) >= {0, 6}
    phrases = set(np.flatnonzero(column["phrase_units_before"] == 0).tolist())
    assert phrases >= set(starts.tolist())
    assert 10 in phrases  # four bars into the second section


def column_of(state: AudioState) -> dict[str, np.ndarray]:
    values = structure(state.features, state.grid, state.grid.units(4)).columns
    return dict(zip(STRUCTURE_NAMES, values.T, strict=True))


def test_rank_by_hand():
    assert rank(np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]
    assert rank(np.array([1.0, 1.0, 5.0])).tolist() == [0.25, 0.25, 1.0]  # a tie shares ranks 0 and 1/2
    assert rank(np.array([7.0])).tolist() == [0.5]


def test_standard_scores_by_hand():
    one_of_many = np.zeros((100, 2))
    one_of_many[0] = 100.0, 0.0  # mean 1, deviation 9.95
    scores = within_track(one_of_many)
    assert scores[:2, 0] == pytest.approx([4.0, -1 / 99**0.5])  # 9.95 deviations count as 4
    assert (scores[:, 1] == 0.0).all()  # what does not vary
    even = robust_scores(np.array([[-1.0], [0.0], [1.0], [2.0], [3.0]]))[:, 0]
    assert even == pytest.approx(np.array([-2, -1, 0, 1, 2]) / 1.4826)  # median 1, median deviation 1
    # no median deviation: 0.35 of the standard deviation, which is the root of 0.76
    level = robust_scores(np.array([[0.0], [0.0], [0.0], [-2.0], [0.5]]))[:, 0]
    assert level == pytest.approx([0, 0, 0, -4, 0.5 / (0.35 * 0.76**0.5)])


def test_sections_keep_half_a_length_from_the_ends():
    curve = np.zeros(33)
    curve[[2, 3, 15, 30]] = 0.8, 0.7, 1.0, 0.9
    assert section_bounds(curve, shortest=8, least=0.25).tolist() == [0, 15, 32]  # 2, 3 and 30 are too near
    curve[4] = 0.5
    assert section_bounds(curve, shortest=8, least=0.25).tolist() == [0, 4, 15, 32]  # 4 is half of eight


def test_sections_are_as_far_apart_as_the_shortest_and_begin_nowhere_in_what_never_changes():
    curve = np.zeros(33)
    curve[[8, 16, 23]] = 1.0, 0.9, 0.8
    assert section_bounds(curve, shortest=8, least=0.25).tolist() == [0, 8, 16, 32]
    assert section_bounds(curve, shortest=7, least=0.8).tolist() == [0, 8, 16, 32]  # not above the least
    assert section_bounds(np.zeros(33), shortest=8, least=0.25).tolist() == [0, 32]


def test_what_is_heard_is_timbre_and_harmony_but_not_level():
    names = ("rms", "mfcc_0", "mfcc_1", "chroma_C#", "contrast_2", "delta_mfcc_1")
    values = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    scores = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(heard(BeatFeatures(values, names)), scores[:, 2:5], atol=1e-5)
    only_level = BeatFeatures(values[:, :2], names[:2])  # nothing else is there
    np.testing.assert_allclose(heard(only_level), scores[:, :2], atol=1e-5)


def test_rows_of_length_one_and_levels_by_hand():
    np.testing.assert_allclose(unit_rows(np.array([[0.3, 0.4], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])
    rms = np.array([[0.0], [1e-5], [0.1]], np.float32)
    assert level_db(BeatFeatures(rms, ("rms",))) == pytest.approx([-80.0, -80.0, -20.0])


def test_novelty_peaks_where_the_section_changes():
    state = track(form="ab")
    curve = novelty(heard(state.features), span=16)
    assert int(curve.argmax()) == 32  # 8 bars of 4 beats
    assert curve[0] == curve[-1] == 0.0
    assert section_bounds(curve, shortest=32, least=0.5).tolist() == [0, 32, 64]


def tiny(rms: list[float], times_s: list[float], position: list[int]) -> AudioState:
    """Beats that differ in level alone."""
    values = np.zeros((len(rms), 4), np.float32)
    values[:, FEATURE_NAMES["basic"].index("rms")] = rms
    return AudioState(BeatGrid(np.array(times_s), np.array(position)), BeatFeatures(values, FEATURE_NAMES["basic"]))


def test_points_by_hand():
    state = tiny([1.0, 0.1, 0.1, 1.0, 0.01], [0.0, 0.3, 0.8, 1.3, 2.3, 2.5], [-1, 0, 1, 2, -1])  # 0 -20 -20 0 -40 dB
    table = beat_table(state)
    before, after, interval = table.points[:, [LEVEL_BEFORE, LEVEL_AFTER, LOG2_INTERVAL]].T
    assert before == pytest.approx([-10, 0, -10, -20, -10, -20])  # of two beats; at the start, what comes
    assert after == pytest.approx([-10, -20, -10, -20, -40, -20])  # and at the end, what was
    assert table.level_scale_db == pytest.approx(27.0)  # nine tenths of the song's own 20, 0, 0 and 30 dB
    # lead-in and tail borrow the beats beside them: 0.5 0.5 0.5 1 1 s, four at a time
    assert 2.0**interval == pytest.approx([2.5 / 4, 3 / 4, 2.5 / 3, 1.0, 1.0, 1.0])
    score = (np.array([1.0, 0.1, 0.1, 1.0, 0.01]) - 0.442) / np.std([1.0, 0.1, 0.1, 1.0, 0.01])
    weights = np.array([1.0, 0.5, 0.25, 0.125])
    ahead = [float(score[k : k + 4] @ weights[: 5 - k] / weights[: 5 - k].sum()) for k in range(5)]
    natural = float(np.quantile(np.abs(np.diff(ahead)) / 2.0, 0.9))  # root mean square over four columns
    heard_to_start = table.points[:, N_POINT_SCALARS + FEATURE_NAMES["basic"].index("rms")]
    assert heard_to_start == pytest.approx(np.array([*ahead, ahead[-1]]) / (natural * 2.0))


def test_a_section_may_start_a_beat_beside_the_peak_of_novelty():
    state = track(form="ab", bars_per_section=4)
    curve, strength = novelty(heard(state.features), span=16), beat_table(state).points[:, STRENGTH]
    assert int(curve.argmax()) == 16
    assert strength[15:18].tolist() == [1.0] * 3
    assert strength == pytest.approx([curve[max(k - 1, 0) : k + 2].max() for k in range(33)])


def test_bars_are_counted_on_through_what_is_no_whole_beat():
    """Two beats before the first downbeat, and a lead-in and a tail that stand for a beat each."""
    position = [PARTIAL, 2, 3, 0, 1, 2, 3, 0, 1, PARTIAL]
    points = beat_table(tiny([0.1] * 10, [0.5 * k for k in range(11)], position)).points
    assert points[:, BAR_PHASE].tolist() == [1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
    assert points[:, BAR].tolist() == [-1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1]
    nothing_whole = beat_table(tiny([0.1], [0.0, 2.0], [PARTIAL])).points
    assert nothing_whole[:, [BAR_PHASE, BAR]].tolist() == [[0, 0], [1, 0]]


def test_energy_of_a_unit_is_the_mean_rank_of_its_seconds():
    rms = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]  # ranks 0, 1/7 .. 1
    state = tiny(rms, [0.0, 0.5, 1.0, 1.5, 3.0, 3.5, 4.0, 4.5, 6.0], [0, 1, 2, 3] * 2)
    found = reward_tables([state], unit_beats=4).energy_rank[0].tolist()
    assert found == pytest.approx([(0.5 * (0 + 1 + 2) + 1.5 * 3) / 21, (0.5 * (4 + 5 + 6) + 1.5 * 7) / 21], abs=1e-4)


def test_finished_music_tells_usual_lengths_and_steps_that_are_not_below_what_is_heard():
    tracks = [tiny([0.1, 0.1, 0.1], [0.0, 0.3, 0.6, 1.0 * k], [0, 1, 2]) for k in range(1, 22)]
    found = ReferenceStatistics.from_tracks(tracks)
    assert (found.shortest_s, found.longest_s) == pytest.approx((2.0, 20.0))  # 5th and 95th percentile of 1 .. 21 s
    assert (found.level_step_db, found.continuation_distance) == (1.0, 0.05)  # of sound that never changes


@pytest.mark.parametrize("unit_beats", [1, 4, 8])
@pytest.mark.parametrize("beats_per_bar", [3, 4])
def test_any_grid_gives_finite_tables(unit_beats, beats_per_bar):
    states = [
        track(form="ia", bars_per_section=3, beats_per_bar=beats_per_bar, lead_in_s=0.3, tail_s=0.2),
        track(1, form="a", bars_per_section=1, beats_per_bar=beats_per_bar),
    ]
    batch = StateRepresentation(configured(unit_beats=unit_beats)).batch(states)
    units = [state.grid.units(unit_beats).n_units for state in states]
    assert batch.n_units.tolist() == units
    for tensor in (batch.rows, batch.song_map, batch.static, batch.reward.points, batch.reward.span_s):
        assert tensor.isfinite().all()


def test_one_beat_is_a_track():
    whole = track(form="a", bars_per_section=1)
    grid = BeatGrid(np.array([0.0, 0.5]), np.array([0]))
    features = type(whole.features)(whole.features.values[:1], whole.features.names)
    representation = StateRepresentation(Config())
    batch = representation.batch([AudioState(grid, features)])
    assert batch.n_units.tolist() == [1]
    assert representation.flatten(observation_of(representation), batch).isfinite().all()


def test_silence_and_constant_features_are_finite():
    state = track(form="a")
    still = type(state.features)(np.zeros_like(state.features.values), state.features.names)
    batch = StateRepresentation(Config()).batch([AudioState(state.grid, still)])
    assert batch.rows.isfinite().all()
    assert batch.reward.points.isfinite().all()


def test_static_numbers_by_hand():
    state = track(form="iab", lead_in_s=0.7)
    grid, level = state.grid, 20.0 * np.log10(state.features.column("rms").astype(np.float64))
    row = StateRepresentation(Config()).batch([state]).static[0].tolist()
    tempo = 60.0 / np.median(np.diff(grid.times_s)[1:])
    length_s = float(grid.times_s[-1])
    assert row[:2] == pytest.approx([tempo / 120, np.log2(length_s / 180)], abs=1e-5)
    assert row[2:6] == pytest.approx([np.log2(25) / 8, 1.0, grid.confidence, level.std() / 10], abs=1e-5)
    key, profile, contour = row[6:30], row[30:42], row[42:]
    assert key == [float(k == estimate_key(state.features)) for k in range(24)]
    assert profile == pytest.approx(state.features.columns("chroma_").mean(axis=0).tolist(), abs=1e-5)
    smooth = [level[max(beat - 4, 0) : beat + 5].mean() for beat in range(len(level))]
    middles = [(a + b) / 2 for a, b in pairwise(grid.times_s.tolist())]
    places = [(k + 0.5) / 16 * length_s for k in range(16)]
    # in twenties of dB below the loudest beat
    assert contour == pytest.approx(((np.interp(places, middles, smooth) - level.max()) / 20).tolist(), abs=1e-5)


def test_song_map_covers_the_song_in_order():
    config = Config()
    state = track(form=FORM)
    batch = StateRepresentation(config).batch([state])
    place = batch.song_map[0, :, -1]
    assert (place.diff() >= 0).all()
    assert place[0] < 0.02
    assert place[-1] > 0.98
    chroma = [state.features.names.index(f"chroma_{p}") for p in ("C", "G")]
    first, second = (state.features.values[part, chroma].mean(axis=0) for part in (slice(0, 6), slice(5, 11)))
    step = batch.song_map[0, 1, [5, 12]] - batch.song_map[0, 0, [5, 12]]  # 352 beats in 64 tokens: 0..5.5, 5.5..11
    assert (step.sign() == torch.from_numpy(second - first).sign()).all()  # standard scores keep the order
    timbre = [state.features.names.index(name) for name in ("onset", "centroid", "mfcc_1", "mfcc_2", "mfcc_3")]
    first, second = (state.features.values[part, timbre].mean(axis=0) for part in (slice(0, 6), slice(5, 11)))
    step = batch.song_map[0, 1, :5] - batch.song_map[0, 0, :5]
    assert (step.sign() == torch.from_numpy(second - first).sign()).all()
    sounds = batch.song_map[0, :, :17]
    assert sounds.mean(0).abs().max() < 0.05
    assert (sounds.std(0, correction=0) - 1.0).abs().max() < 0.05


def test_a_token_of_the_map_has_the_structure_of_the_unit_that_holds_its_middle():
    """65 beats in 64 tokens, beat 0 a lead-in: token 3 is from beat 3.05 to 4.06, so beats 3 and 4: of bar 1."""
    state = track(form="ab", lead_in_s=0.7)
    place = StateRepresentation(Config()).batch([state]).song_map[0, :, -1].numpy()
    of_unit = column_of(state)["place"]
    assert place[[0, 1, 3, 63]] == pytest.approx(of_unit[[0, 1, 1, 16]])


def test_decision_vectors_by_hand():
    space = ActionSpace()
    table = decision_vectors(space)
    assert table[KEEP].tolist() == [1, 0, 0, 0, 0, 0, 0, 1]
    assert table[3].tolist() == [0, 0, 1, 0, 0, 0.75, 0, 1]  # LOOP3 of 4
    assert table[space.index("REORDER-32")].tolist() == [0, 0, 0, 0, 1, 0, -0.5, 1]  # 32 of 64 back


def test_history_records_legal_decisions_only():
    config = Config()
    state = track(form="a", bars_per_section=4)
    history = EditHistory(state, config, [KEEP, CUT])
    with pytest.raises(EditListError, match="not legal"):
        history.record(history.space.extend)  # nothing to extend after CUT
    history.record(2)
    assert (history.unit, history.done, history.count(ActionType.LOOP)) == (3, False, 1)
    edit = history.edit_list()  # bar 0, then bar 2 twice; bar 3 is not decided
    bars = np.round(state.grid.times_s[::4] * state.source.sample_rate).astype(int)
    assert [s.source_start_frame for s in edit.segments] == [bars[0], bars[2], bars[2]]
    assert edit.actions == ("KEEP", "CUT", "LOOP2", "CUT")


def test_features_of_another_grid_are_refused():
    state = track(form="ab")
    with pytest.raises(EditListError, match="64 beats"):
        AudioState(state.grid, track(form="a").features, state.source)


@pytest.mark.parametrize("style", [-1, True])
def test_a_style_that_is_no_number_is_refused(style):
    state = track(form="a")
    with pytest.raises(EditListError, match=r"track_0\.wav: style .* a whole number of at least 0"):
        replace(state, style=style)


def test_a_style_beyond_those_told_apart_is_refused():
    config = Config()
    assert StateRepresentation(config).batch([track(form="a", style=7)]).n_tracks == 1
    with pytest.raises(EditListError, match=r"style 8, numbers from 0 to 7 .* raise state\.n_styles"):
        StateRepresentation(config).batch([track(form="a", style=8)])


def test_names_of_the_mode_are_those_of_the_track():
    assert track(mode="full").features.names == FEATURE_NAMES["full"]


@pytest.mark.parametrize(("n_pickup", "lead_in"), [(0, False), (0, True), (1, False), (2, True), (3, False)])
def test_phrases_are_counted_from_the_first_downbeat_whatever_comes_before(n_pickup, lead_in):
    position = np.array([-1] * lead_in + [*range(4 - n_pickup, 4)] + [0, 1, 2, 3] * 4)
    grid = BeatGrid(np.arange(len(position) + 1) * 0.5, position)
    features = BeatFeatures(np.random.default_rng(0).random((len(position), 4), np.float32), FEATURE_NAMES["basic"])
    bars = beat_table(AudioState(grid, features)).points[:, BAR]
    downbeats = np.flatnonzero(position == 0)
    assert bars[downbeats].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert (bars[: downbeats[0]] == -1.0).all()
