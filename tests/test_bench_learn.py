"""The learning benchmark: its editors do what they say, its runs hide nothing, its tables add up."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from world_tracks import FORM, track

from benchmarks.editing import Song, demonstration, split_names
from benchmarks.learn import editors
from benchmarks.learn.__main__ import ABLATIONS, main, settings
from benchmarks.learn.ears import policy_ears
from benchmarks.learn.editors import ALL, OTHERS
from benchmarks.learn.outsiders import OUTSIDERS
from benchmarks.learn.runs import Job, Way, run, share_of_the_way, silenced
from benchmarks.learn.tables import ablation_table, agreement_table, choice_table, curve_table, reward_table
from rl_editor.actions import CUT, ActionSpace
from rl_editor.config import Config
from rl_editor.demonstrations import Analysis
from rl_editor.editors.listening import listen
from rl_editor.state import STRUCTURE_NAMES, StateRepresentation
from rl_editor.state.structure import sections, structure


def songs(n: int, *, bars_per_section: int = 8) -> list[Song]:
    states = [track(seed, form=FORM, bars_per_section=bars_per_section) for seed in range(n)]
    return [Song(f"song{k}", Analysis(s.recording, s.grid, s.features)) for k, s in enumerate(states)]


def actions(name: str) -> np.ndarray:
    return demonstration(songs(1)[0], OTHERS[name], Config(), seed=0, split="train").labels.actions


def test_the_editors_use_the_actions_that_they_are_named_after() -> None:
    space = ActionSpace(Config().action_space)
    assert (actions("drops_weak") == CUT).mean() == pytest.approx(0.4, abs=0.06)  # of blocks; joins may sit a beat off
    cut = actions("drops_repeats") == CUT
    assert cut[0]
    assert cut[-1]
    assert 0.3 < cut.mean() < 0.9  # five of the eleven sections come again
    assert ((actions("loops_strong") > CUT) & (actions("loops_strong") <= space.max_loop_times)).sum() == 4  # of 22
    assert (actions("chorus_first") >= space.first_reorder).sum() == 1


def played(name: str) -> list[tuple[int, int]]:
    """First and last beat of every segment of an outsider's edit, in output order; the song begins with a downbeat."""
    song = songs(1)[0]
    assert song.analysis.grid.bar_position[0] == 0
    edit = demonstration(song, OUTSIDERS[name], Config(), seed=0, split="train").edit
    seconds = np.array([[s.source_start_frame, s.source_end_frame] for s in edit.segments]) / edit.source.sample_rate
    return [(int(a), int(b)) for a, b in np.abs(song.analysis.grid.times_s[:, None, None] - seconds).argmin(0)]


def test_outsiders_cut_blocks_of_sixteen_beats_that_they_compare_themselves() -> None:
    n = songs(1)[0].analysis.grid.n_beats
    later = played("later_alike")
    assert later[0][0] >= 8
    assert later[-1][1] <= n - 12
    assert all(cut % 16 == 0 for run in later for cut in run if cut not in (8, n - 12))
    assert 0.4 < sum(b - a for a, b in later) / n < 0.7

    twice = played("strongest_twice")
    again = [(one[1], two[0]) for one, two in itertools.pairwise(twice)]
    assert again
    assert all(start < end and start % 16 == 0 for end, start in again)  # goes back to the start of the block
    assert sum(b - a for a, b in twice) - n == 16 * len(again)

    hook, *rest = played("hook_first")
    assert hook[1] - hook[0] == 16
    assert hook[0] >= 16
    assert rest == sorted(rest)
    assert all(end <= hook[0] or start >= hook[1] for start, end in rest)


def test_with_the_policys_ears_an_editor_goes_by_the_policys_sections_and_strength() -> None:
    """What is heard changes, not the program: the same number of bars goes, by other strengths."""
    song = songs(1)[0]
    units, features = song.analysis.grid.units(4), song.analysis.features
    own = listen(song.analysis.grid, features)
    with policy_ears():
        other = editors.listen(song.analysis.grid, features)
        cut = actions("drops_weak") == CUT
    heard = structure(features, song.analysis.grid, units).columns
    np.testing.assert_array_equal(other.strength, heard[:, STRUCTURE_NAMES.index("strength")])
    starts = np.flatnonzero(np.diff(sections(features, units)) != 0) + 1
    assert set(starts) <= {span.start for span in other.sections}
    np.testing.assert_allclose(np.diag(other.likeness), 1.0)
    assert not np.allclose(own.strength, other.strength)
    assert cut.mean() == pytest.approx((actions("drops_weak") == CUT).mean(), abs=0.06)
    assert editors.listen is listen  # as before


def test_an_editor_nearly_agrees_with_itself_on_another_day() -> None:
    song = songs(1)[0]
    first, second = (
        demonstration(song, OTHERS["drops_weak"], Config(), seed=seed, split="train").labels.actions for seed in (0, 1)
    )
    assert not np.array_equal(first, second)
    assert (first == second).mean() > 0.7


def test_splits_are_by_song_and_of_the_size_asked_for() -> None:
    split = split_names(songs(30), seed=3, held_out=1 / 3, n_train=12)
    counts = pd.Series(list(split.values())).value_counts().to_dict()
    assert counts == {"test": 10, "train": 10, "validation": 2}
    assert split == split_names(songs(30), seed=3, held_out=1 / 3, n_train=12)
    assert split != split_names(songs(30), seed=4, held_out=1 / 3, n_train=12)


def test_what_is_silenced_is_zero_and_nothing_else_changes() -> None:
    representation = StateRepresentation(Config())
    state = track()
    whole = representation.batch([state]).rows[0]
    with silenced(("section_",)):
        part = representation.batch([state]).rows[0]
    first = whole.shape[1] - 1 - len(STRUCTURE_NAMES)
    names = [""] * first + list(STRUCTURE_NAMES) + [""]
    gone = np.array([name.startswith("section_") for name in names])
    assert gone.sum() == 16
    assert (part[:, gone] == 0).all()
    assert (part[:, ~gone] == whole[:, ~gone]).all()


def test_every_ablation_is_a_setting_that_there_is() -> None:
    base = settings()
    for way in ABLATIONS:
        config = way.config(base, seed=7)
        assert config.training.seed == 7
        assert all(any(name.startswith(s) for name in STRUCTURE_NAMES) for s in way.silenced)
        for section, keys in way.settings.items():
            assert all(getattr(getattr(config, section), key) == value for key, value in keys.items())


def test_what_an_ablation_leaves_out_is_gone_wherever_it_stands() -> None:
    def left(way: str) -> list[str]:
        silenced_ = next(each.silenced for each in ABLATIONS if each.name == way)
        return [name for name in STRUCTURE_NAMES if not name.startswith(silenced_)]

    assert not [name for name in left("no blocks and sections") if re.search("block|section|phrase|strength", name)]
    # phrases are blocks that are counted from the starts of sections
    assert not [name for name in left("no blocks") if re.search("block|phrase", name)]
    assert not [name for name in left("no sections") if re.search("section|phrase", name)]
    assert not [name for name in left("no repetition") if re.search("earlier|later|likeness|occurrence|is_first", name)]
    assert {"strength", "block_strength", "section_number", "novelty"} <= set(left("no repetition"))


def test_share_of_the_way() -> None:
    assert share_of_the_way(0.7, 0.6, 0.8) == pytest.approx(0.5)
    assert np.isnan(share_of_the_way(0.7, 0.8, 0.8))


@pytest.mark.slow
def test_a_run_gives_tables() -> None:
    settings_ = {
        "agent": {"d_model": 16, "n_heads": 2, "n_layers": 1, "d_head": 16},
        "bc": {"epochs": 2, "trees": 5},
        "ppo": {"total_timesteps": 1, "n_envs": 4, "minibatches": 1},
    }
    job = Job("drops_weak", 0, Way("small", settings_), 4, with_ppo=True, nats=(0.0,))
    rows = run(job, songs=songs(6, bars_per_section=2), base=settings())
    baselines = {"keep_all", "loudest", "random", "dp"}
    assert set(rows["method"]) == baselines | {"editor", "bc", "ppo", "ppo, 0 nats", "other_ears", "again"}
    assert rows["track"].nunique() == 2
    table = list(agreement_table(rows, condition="target"))
    assert table[2].startswith("| drops_weak | balanced_accuracy |")
    assert len({line.count("|") for line in table}) == 1
    assert len(list(reward_table(rows))) == 4  # head, rule, and both conditions
    assert list(ablation_table(rows, condition="free"))[2].startswith("| small |")
    assert set(ALL) > set(OTHERS) | set(OUTSIDERS)


def test_a_curve_tells_what_so_many_pairs_teach() -> None:
    scores = {"keep_all": 0.5, "loudest": 0.6, "random": 0.5, "dp": np.nan, "bc": 0.7, "again": 0.8}
    rows = pd.DataFrame(
        [
            {"editor": "cuts", "method": method, "condition": "free", "song": "a", "n_train": n, "loop_f1": np.nan}
            | {"balanced_accuracy": score + (0.08 if n == 16 and method == "bc" else 0.0), "reorder_f1": np.nan}
            for n in (16, 4)
            for method, score in scores.items()
        ]
    )
    assert list(curve_table(rows, condition="free")) == [
        "| pairs | method | cuts, balanced_accuracy |",
        "| --- | --- | --- |",
        "| | best baseline | 0.600 |",
        "| 4 | bc | 0.700 (0.50) |",
        "| 16 | bc | 0.780 (0.90) |",
        "| | ceiling | 0.800 |",
    ]


@pytest.mark.parametrize("asked", ["2", "4,", "few", "4,2"])
def test_a_number_of_pairs_that_cannot_teach_and_choose_is_named(asked: str) -> None:
    with pytest.raises(SystemExit, match=f"--train {asked}: .*at least 3"):
        main(train=asked)


def test_ways_are_compared_at_one_number_of_pairs() -> None:
    with pytest.raises(SystemExit, match="--train 4,8"):
        main(train="4,8", ablate=True)


@pytest.mark.slow
def test_the_ears_of_outsiders_cannot_be_exchanged() -> None:
    small = {"d_model": 16, "n_heads": 2, "n_layers": 1, "d_head": 16}
    way = Way("small", {"agent": small, "bc": {"epochs": 1, "trees": 5}})
    rows = run(Job("later_alike", 0, way, 4, with_ppo=False), songs=songs(6, bars_per_section=2), base=settings())
    assert "again" in set(rows["method"])
    assert "other_ears" not in set(rows["method"])
    both = pd.concat([rows, rows.assign(editor="drops_weak", method=rows["method"].replace("again", "other_ears"))])
    assert len({line.count("|") for line in agreement_table(both, condition="target")}) == 1  # a dash in its place


def test_the_table_of_choices_is_a_mean_over_editors_of_what_they_do() -> None:
    scores = {
        ("cuts", "again"): (1.0, None),
        ("cuts", "bc"): (0.8, None),
        ("cuts", "ppo"): (0.9, 0.0),  # it loops, where this editor never does: no number
        ("cuts", "ppo, 0 nats"): (0.6, None),
        ("both", "again"): (1.0, 1.0),
        ("both", "bc"): (0.5, 0.4),
        ("both", "ppo"): (0.6, 0.7),
        ("both", "ppo, 0 nats"): (0.6, 0.5),
    }
    columns = ("balanced_accuracy", "loop_f1")
    rows = pd.DataFrame(
        [
            {"editor": editor, "method": method, "condition": "target", "track": "a", "seed": 0}
            | dict.fromkeys(("reward_total", "run_f1", "reorder_f1"), np.nan)
            | dict(zip(columns, map(float, np.array(values, float)), strict=True))
            for (editor, method), values in scores.items()
        ]
    )
    _, _, first, second = choice_table(rows)
    assert first == "| ppo | target | +nan | +0.100 | +nan | +0.300 | +nan | +0.100 |"  # (0.1 + 0.1) / 2; 0.7 - 0.4
    assert second == "| ppo, 0 nats | target | +nan | -0.050 | +nan | +0.100 | +nan | -0.200 |"  # (-0.2 + 0.1) / 2
