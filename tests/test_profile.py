"""A way of editing, read off edits whose every bar is known."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from world_tracks import track

from rl_editor.actions import CUT, KEEP, ActionSpace, ReorderAction
from rl_editor.cli import app
from rl_editor.config import Config
from rl_editor.crossfades import with_crossfades
from rl_editor.demonstrations import Demonstration
from rl_editor.edits import EditList, Segment
from rl_editor.errors import DatasetError
from rl_editor.labels import EditLabels, decode
from rl_editor.profile import StyleProfile, profiles, rows
from rl_editor.profile.picture import _bins, _histogram, picture, save_picture
from rl_editor.profile.words import save_table, table, to_dict
from rl_editor.state import STRUCTURE_NAMES
from rl_editor.state.structure import structure

SPACE = ActionSpace()


def edited(actions: list[int], *, style: str = "mine", form: str = "iabb") -> Demonstration:
    state = track(form=form)  # 8 bars a letter; i is weak, b is loud
    units = state.grid.units(4)
    edit = decode(actions, units, SPACE, source=state.recording, crossfade_ms=0.0, unit_beats=4)
    labels = EditLabels(np.array(actions), np.ones(len(actions)), 1.0)
    return Demonstration(f"{style}_x", "x", style, state.grid, state.features, labels, edit, "train")


def mine() -> StyleProfile:
    move = SPACE.encode(ReorderAction(28, 8))
    e = SPACE.extend
    # the intro goes, 8 bars stay, 4 are looped three times, 8 stay, the last four go before bar 8
    actions = [CUT] * 8 + [KEEP] * 8 + [3, e, e, e] + [KEEP] * 8 + [move, e, e, e]
    return profiles([edited(actions)], Config())[0]


def test_shares_and_lengths_are_those_of_the_edit() -> None:
    found = mine()
    assert found.n_songs == 1
    assert found.actions == {"KEEP": 0.5, "CUT": 0.25, "LOOP": 0.125, "REORDER": 0.125}  # 16, 8, 4, 4 of 32 bars
    assert (found.kept_bars, found.cut_bars) == ((8, 8), (8,))
    assert (found.loop_bars, found.loop_times) == ((4,), (3,))
    assert (found.move_bars, found.move_distance) == ((4,), (-20,))
    assert found.length_ratio[0] == pytest.approx((24 + 2 * 4) / 32, abs=0.01)  # bars are nearly of one length
    assert found.plays_by_place[0] == 0.0  # the intro is the first quarter
    assert found.plays_by_place[2:] == (1.0, 1.0, 1.0)
    assert found.plays_by_strength[0] < found.plays_by_strength[-1] == 1.0


def test_what_comes_again_is_told_from_what_comes_first() -> None:
    """An editor who plays what a passage before is like, and nothing else."""
    song = edited([KEEP] * 32)
    columns = structure(song.features, song.grid, song.grid.units(4)).columns
    again = columns[:, STRUCTURE_NAMES.index("earlier_likeness")] >= 0.75
    assert 4 < again.sum() < 28
    found = profiles([edited(np.where(again, KEEP, CUT).tolist())], Config())[0]
    assert (found.plays_first, found.plays_again) == (0.0, 1.0)


def test_a_loop_is_as_strong_as_its_bars_together() -> None:
    e = SPACE.extend
    song = edited([KEEP] * 6 + [2, e, e, e] + [KEEP] * 22)  # two bars of the intro, two of what is stronger
    columns = structure(song.features, song.grid, song.grid.units(4)).columns
    ranks = columns[6:10, STRUCTURE_NAMES.index("strength_rank")]
    assert ranks.max() - ranks.min() > 0.2
    assert profiles([song], Config())[0].loop_strength == (pytest.approx(ranks.sum() / 4),)


def test_sections_are_as_strong_as_they_are_whatever_their_bars() -> None:
    """An editor who plays the stronger half of bars, of every section some."""
    song = edited([KEEP] * 32)
    columns = dict(zip(STRUCTURE_NAMES, structure(song.features, song.grid, song.grid.units(4)).columns.T, strict=True))
    plays = columns["strength_rank"] >= 0.5
    quarter = (4 * columns["section_strength_rank"]).astype(int)
    found = profiles([edited(np.where(plays, KEEP, CUT).tolist())], Config())[0]
    by_hand = [plays[quarter == k].mean() if (quarter == k).any() else math.nan for k in range(4)]
    assert found.plays_by_strength == pytest.approx(by_hand, nan_ok=True)
    assert any(0.0 < share < 1.0 for share in by_hand)


def test_joins_on_the_bar_are_said_to_be_so() -> None:
    found = mine()
    assert max(found.join_off_ms) < 0.1  # a frame
    assert found.phase_kept == 1.0
    assert 0.0 < found.join_cost < 1.0
    # moved block, a, two returns of the loop, and the loop runs on into what follows: joins move>a, loop, loop
    assert found.joins_per_minute[0] == pytest.approx(3 / (32 * 2.0 / 60), rel=0.02)


def test_joins_off_the_bar_by_hand() -> None:
    """Two of them leave on a downbeat; one lands 100 ms after another, one on the third beat of a bar."""
    song = edited([KEEP] * 32)
    times, rate = song.grid.times_s, song.source.sample_rate
    downbeat = [round(time * rate) for time in times[:-1:4]]
    late, third = downbeat[8] + rate // 10, round(times[4 * 12 + 2] * rate)
    segments = Segment(0, downbeat[4]), Segment(late, downbeat[10] - late), Segment(third, downbeat[16] - third)
    (found,) = profiles([replace(song, edit=EditList(song.source, segments))], Config())
    to_next_s, from_last_s = times[4 * 13] - times[4 * 12 + 2], times[4 * 12 + 2] - times[4 * 12]
    assert found.join_off_ms == pytest.approx((100.0, 1000.0 * min(to_next_s, from_last_s)), abs=0.1)
    assert found.phase_kept == 0.5  # of the first the nearest beat is the downbeat that was due
    assert found.joins_per_minute == pytest.approx((60.0 * 2 * rate / sum(s.frames for s in segments),))
    assert found.length_ratio == pytest.approx((sum(s.frames for s in segments) / song.source.frames,))
    assert "joins within 30 ms of a downbeat     0 %" in table([found])


def test_ends_that_are_the_songs_own_count_among_no_fades() -> None:
    """The first edit leaves out the intro and plays to the end, the second leaves out the end."""
    first, second = edited([CUT] * 8 + [KEEP] * 24), edited([KEEP] * 24 + [CUT] * 8)
    fading = [replace(d, edit=replace(d.edit, fade_in_ms=1500.0, fade_out_ms=2500.0)) for d in (first, second)]
    (found,) = profiles([*fading, replace(second, pair_id="mine_y")], Config())
    assert (found.fade_in_s, found.fade_out_s) == ((1.5,), (2.5, 0.0))


def test_crossfades_are_told_join_by_join() -> None:
    plain = edited([KEEP] * 8 + [CUT] * 4 + [KEEP] * 8 + [CUT] * 4 + [KEEP] * 8)
    one, two = (with_crossfades(plain.edit, ms) for ms in (300.0, 99.0))
    (found,) = profiles([replace(plain, edit=one), replace(plain, edit=two, pair_id="mine_y")], Config())
    assert found.crossfade_s == (0.3, 0.3, 0.0, 0.0)


def test_the_cost_of_a_join_is_the_same_however_often_it_comes() -> None:
    e = SPACE.extend
    twice, often = (profiles([edited([KEEP] * 16 + [n, e, e] + [KEEP] * 13)], Config())[0] for n in (2, 4))
    assert often.join_cost == pytest.approx(twice.join_cost)


def test_songs_count_alike_and_those_that_tell_nothing_not() -> None:
    with_a_cut = edited([KEEP] * 8 + [CUT] * 4 + [KEEP] * 20)
    (one,), (both,) = (profiles(songs, Config()) for songs in ([with_a_cut], [with_a_cut, edited([KEEP] * 32)]))
    assert both.join_cost == one.join_cost  # nobody joins in the other
    assert both.actions["CUT"] == 4 / 32 / 2


def test_what_never_happens_is_not_a_number_and_keeps_quiet(tmp_path: Path) -> None:
    found = profiles([edited([KEEP] * 32)], Config())[0]
    assert math.isnan(found.join_cost)
    assert found.loop_bars == found.join_off_ms == ()
    assert to_dict(found)["join_cost"] is None
    json.dumps(to_dict(found), allow_nan=False)
    save_table([found], tmp_path / "t.csv")
    assert "mine,join_cost,,1\n" in (tmp_path / "t.csv").read_text()
    save_picture([found], tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_one_bar_is_no_bars() -> None:
    said = table(profiles([edited([CUT, KEEP] * 16)], Config()))
    assert "\nstretches kept                       1 bar (1–1)\n" in said


def test_a_panel_of_what_nobody_does_says_so() -> None:
    only_cuts = profiles([edited([KEEP] * 8 + [CUT] * 8 + [KEEP] * 16)], Config())

    def said(found: list[StyleProfile]) -> dict[str, list[str]]:
        panels = picture(found).axes
        return {axes.get_title(): [text.get_text() for text in axes.texts] for axes in panels if axes.texts}

    assert said(only_cuts) == {"Looped blocks, bars": ["no loops"]}
    assert said([mine()]) == {}
    assert said([*only_cuts, mine()]) == {}  # one of two loops
    all_of_it = profiles([edited([KEEP] * 32, style="none")], Config())
    words = said(all_of_it)
    assert (words["Stretches cut, bars"], words["Looped blocks, bars"]) == (["no cuts"], ["no loops"])


def test_the_legend_counts_edits() -> None:
    found = replace(mine(), style="theirs", n_songs=2)
    (legend,) = picture([mine(), found]).legends
    assert [text.get_text() for text in legend.get_texts()] == ["mine (1 edit)", "theirs (2 edits)"]


def test_without_downbeats_and_with_one_bar_there_is_a_profile_all_the_same() -> None:
    d = edited([KEEP] * 8 + [CUT] * 8 + [KEEP] * 16)
    nowhere = replace(d.grid, bar_position=np.full(d.grid.n_beats, 1))  # no beat is known to be the first of a bar
    found = profiles([replace(d, grid=nowhere)], Config())[0]
    assert found.join_off_ms == ()
    assert found.joins_per_minute[0] > 0.0
    state = track(form="a", bars_per_section=1)
    edit = decode([KEEP], state.grid.units(4), SPACE, source=state.recording, crossfade_ms=0.0, unit_beats=4)
    labels = EditLabels(np.array([KEEP]), np.ones(1), 1.0)
    bar = profiles([Demonstration("x", "x", "s", state.grid, state.features, labels, edit, "train")], Config())[0]
    assert (bar.length_ratio[0], bar.joins_per_minute) == (pytest.approx(1.0), (0.0,))
    assert sum(math.isnan(share) for share in bar.plays_by_place) == 4  # it lies in one fifth


def test_styles_stand_side_by_side_in_order() -> None:
    both = profiles([edited([KEEP] * 32, style="z"), edited([CUT] * 16 + [KEEP] * 16, style="a")], Config())
    assert [p.style for p in both] == ["a", "z"]
    head, edits, *_ = table(both).splitlines()
    assert head.split() == ["a", "z"]
    assert edits.split() == ["edits", "1", "1"]
    assert any(row["measure"] == "plays_by_place_1" and row["value"] == 0.0 for row in rows(both[0]))
    by_turns = [replace(edited([KEEP] * 32, style=style), pair_id=f"{n}") for n, style in enumerate("zaz")]
    assert [(p.style, p.n_songs) for p in profiles(by_turns, Config())] == [("a", 1), ("z", 2)]


def test_rows_by_hand() -> None:
    made = replace(mine(), n_songs=2, kept_bars=(1, 2, 9), plays_by_place=(0.1, 0.2, 0.3, 0.4, 0.5))
    found = {row["measure"]: (row["value"], row["n"]) for row in rows(made)}
    assert found["kept_bars_median"] == (2.0, 3)
    assert (found["plays_by_place_1"], found["plays_by_place_5"]) == ((0.1, 2), (0.5, 2))


def test_the_table_and_its_files_by_hand(tmp_path: Path) -> None:
    ann = StyleProfile(
        style="ann",
        n_songs=2,
        length_ratio=(0.5, 0.7),
        actions={"KEEP": 0.6, "CUT": 0.3, "LOOP": 0.06, "REORDER": 0.04},
        plays_by_strength=(0.1, 0.2, 0.3, 0.4),
        plays_by_place=(0.1, 0.2, 0.3, 0.4, 0.5),
        plays_first=0.8,
        plays_again=math.nan,
        kept_bars=(1, 2, 3, 4, 5),
        cut_bars=(8,),
        loop_bars=(4, 4, 8),
        loop_times=(2, 3, 4),
        loop_strength=(0.5, 0.75, 1.0),
        move_bars=(4,),
        move_distance=(-20,),
        joins_per_minute=(1.0, 2.0),
        join_off_ms=(10.0, 29.9, 30.0, 50.0),
        phase_kept=0.75,
        join_cost=0.123456,
        fade_in_s=(0.0, 0.0),
        fade_out_s=(4.0, 0.0, 6.0),
        crossfade_s=(0.2, 0.0, 0.4, 0.6),
    )
    bob = replace(
        ann, style="bob", loop_bars=(), loop_times=(), loop_strength=(), move_bars=(), move_distance=(), join_off_ms=()
    )
    bob = replace(bob, fade_in_s=(2.0,), fade_out_s=(), crossfade_s=(0.0,))
    head, *lines = (re.split("  +", line) for line in table([ann, bob]).splitlines())
    assert head == ["", "ann", "bob"]
    own = {name: cells for name, *cells in lines}
    assert own["loops"] == ["1.5 a song, 4 bars (4–6), 3.0 times, strength 0.75", "none"]
    assert own["moves"] == ["0.5 a song, 4 bars (4–4), by -20 bars", "none"]
    assert own["joins within 30 ms of a downbeat"] == ["50 %", "–"]
    assert own["starts within the song that fade in"] == ["0 of 2", "1 of 1, 2.0 s (2.0–2.0)"]
    assert own["ends within the song that fade out"] == ["2 of 3, 5.0 s (4.5–5.5)", "–"]
    assert own["joins that crossfade, 0.1 s or more"] == ["3 of 4, 0.4 s (0.3–0.5)", "0 of 1"]
    assert {name: cells[0] for name, cells in own.items() if cells[0] == cells[1]} == {
        "edits": "2",
        "length of the edit": "60 % (55–65)",
        "bars kept, cut, looped, moved": "60 30 6 4 %",
        "plays of sections, weak to strong": "10 20 30 40 %",
        "plays of the song, start to end": "10 20 30 40 50 %",
        "plays of what is new / heard before": "80 % / –",
        "stretches kept": "3 bars (2–4)",
        "stretches cut": "8 bars (8–8)",
        "joins per minute": "1.5 (1.2–1.8)",
        "joins that keep the beat of the bar": "75 %",
        "cost of joins, of random ones": "12 %",
    }
    save_table([ann], tmp_path / "t.csv")
    first, *rest = (tmp_path / "t.csv").read_bytes().decode().split("\n")
    assert first == "style,measure,value,n"
    assert len(rest) == 30 + 1  # 4 shares of actions, 4 + 5 of what plays, 17 more, and what follows the last line
    wanted = "plays_again,,2", "actions_reorder,0.04,2", "kept_bars_median,3.0,5", "join_cost,0.1235,2"
    assert {f"ann,{row}" for row in wanted} <= set(rest)
    plain = to_dict(ann)
    assert (plain["join_cost"], plain["plays_again"], plain["kept_bars"]) == (0.1235, None, [1, 2, 3, 4, 5])
    assert plain["actions"]["CUT"] == 0.3


def test_nothing_has_no_profile() -> None:
    with pytest.raises(DatasetError, match="no pairs"):
        profiles([], Config())


def test_bins_by_hand() -> None:
    assert _histogram([1, 2, 4, 40], (1, 3, 5, 100)) == [0.5, 0.25, 0.25]
    assert _bins((1, 2, 5, 100)) == ["1", "2–4", "5+"]


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["profile", str(tmp_path)])
    assert result.exit_code != 0
