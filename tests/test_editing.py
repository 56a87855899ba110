"""From a recording to files, as the command line has it: demands, candidates, folders, joins judged, grids doubted."""

import copy
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from test_infer import policy as policy  # the fixture
from world_tracks import track

from rl_editor.checkpoint import Policy, save_policy
from rl_editor.cli import app
from rl_editor.clock import read_seconds
from rl_editor.composer import compose_song
from rl_editor.config import Config, CorpusConfig, EditMethod
from rl_editor.crossfades import mixed_joins, with_crossfades
from rl_editor.editing import (
    Failed,
    LeftOut,
    Request,
    edit_as_asked,
    edit_folder,
    files,
    numbered,
    proposing,
    recordings_in,
    revise_list,
)
from rl_editor.editing.fading import with_fades
from rl_editor.editing.proposing import beat_sound
from rl_editor.editing.request import units_over
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import AudioFileError, CheckpointError, ConfigError, EditListError
from rl_editor.grid import BeatGrid
from rl_editor.infer import edit_recording
from rl_editor.negotiation import Anchor, Demands, TimeSpan
from rl_editor.negotiation.costs import Costs
from rl_editor.negotiation.demands import MOST_STRETCH, read_anchor, spoken
from rl_editor.negotiation.exact import MOST_SILENCE_S
from rl_editor.render import with_faded_ends
from rl_editor.render.joins import MICRO_MS
from rl_editor.state import AudioState
from rl_editor.utils import (
    BLOCK_FRAMES,
    AudioInfo,
    Samples,
    audio_info,
    load_audio,
    read_tags,
    reading,
    save_audio,
    source_info,
)
from rl_editor.utils.elsewhere import decode_elsewhere

RATE = 24_000  # of the composed song
TAGS = {"title": "Übung; eins", "artist": "Ann", "album": "A=B"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    config = Config()
    config.data.cache_dir = str(tmp_path_factory.mktemp("cache"))
    return config


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    composed = compose_song(1, config=CorpusConfig(seed=3, min_duration_s=60.0, max_duration_s=75.0))
    path = tmp_path_factory.mktemp("song") / "tune.wav"
    save_audio(path, composed.mix, subtype="PCM_16", tags=TAGS)
    return path


def edited(song: Path, config: Config, tmp_path: Path, name: str = "out.wav", **request: object) -> EditList:
    made = edit_as_asked(
        song,
        tmp_path / name,
        Request(**{"method": "dp", **request}),  # type: ignore[arg-type]
        config=config,
        edit_list=tmp_path / "out.json",
    )
    assert len(made) == 1
    return made[0].edit


def cuts(edit: EditList) -> list[tuple[int | None, int | None]]:
    """Source frames to both sides of every join."""
    return [(a.source_end_frame, b.source_start_frame) for a, b in itertools.pairwise(edit.merged().segments)]


def played(edit: EditList) -> np.ndarray:
    """How often each source frame plays."""
    counts = np.zeros(edit.source.frames, int)
    for segment in edit.segments:
        if segment.source_start_frame is not None:
            counts[segment.source_start_frame : segment.source_end_frame] += 1
    return counts


def heard_at_s(edit: EditList, source_s: float) -> list[float]:
    """When a moment of the recording plays, each time."""
    rate, at = edit.source.sample_rate, round(source_s * edit.source.sample_rate)
    return [
        (start + at - (segment.source_start_frame or 0)) / rate
        for start, segment in zip(edit.output_start_frames(), edit.segments, strict=True)
        if (segment.source_start_frame or 0) <= at < (segment.source_end_frame or 0)
    ]


def of_habit(policy: Policy, *fades_ms: float, style: int = 0) -> Policy:
    """A policy whose editor usually fades in, fades out and crossfades for so long."""
    agent = copy.deepcopy(policy.agent)
    agent.usual_fades.table[style] = torch.tensor(fades_ms)
    return replace(policy, agent=agent)


class TestEdit:
    def test_to_the_sample_with_tags_and_what_plays_unchanged(self, song: Path, config: Config, tmp_path: Path) -> None:
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0, exact=True))
        out, rate = sf.read(tmp_path / "out.wav", dtype="int16", always_2d=True)
        assert len(out) == 40 * rate == edit.frames
        assert sf.info(tmp_path / "out.wav").subtype == "PCM_16"
        assert read_tags(tmp_path / "out.wav") == TAGS
        source = sf.read(song, dtype="int16", always_2d=True)[0]
        first = edit.segments[0]
        start = first.source_start_frame or 0
        np.testing.assert_array_equal(out[: first.frames - rate], source[start : start + first.frames - rate])

    def test_an_edit_that_is_killed_leaves_audio_and_edit_list_of_the_one_before(
        self, song: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SIGTERM, which is SystemExit here, comes when the edit list gets its name."""

        def terminated(temporary: Path, target: Path) -> None:
            if target.name == "out.json":
                raise SystemExit(143)
            really(temporary, target)

        edited(song, config, tmp_path, demands=Demands(duration_s=40.0))
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        really = os.replace
        monkeypatch.setattr(os, "replace", terminated)
        with pytest.raises(SystemExit):
            edited(song, config, tmp_path, demands=Demands(duration_s=30.0))
        assert set(before) == {"out.wav", "out.json"}
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_a_lossy_recording_is_decoded_once(
        self, song: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lossy, decoded = tmp_path / "tune.ogg", 0
        save_audio(lossy, load_audio(song))
        read = reading._libsndfile_blocks

        def counted(path: Path, info: AudioInfo) -> Iterator[Samples]:
            nonlocal decoded
            for block in read(path, info):
                decoded += block.frames
                yield block

        monkeypatch.setattr(reading, "_libsndfile_blocks", counted)
        edit = edited(lossy, config, tmp_path, demands=Demands(duration_s=40.0))
        assert decoded <= edit.source.frames + BLOCK_FRAMES  # one block more tells whether the output can hold it

    def test_passages_and_a_moment(self, song: Path, config: Config, tmp_path: Path) -> None:
        demands = Demands(
            duration_s=40.0, keep=(TimeSpan(30.0, 34.0),), drop=(TimeSpan(12.0, 14.0),), anchors=(Anchor(50.0, 28.0),)
        )
        edit = edited(song, config, tmp_path, demands=demands)
        rate = edit.source.sample_rate
        spans = [((s.source_start_frame or 0) / rate, (s.source_end_frame or 0) / rate) for s in edit.segments]
        assert any(a <= 30.05 and b >= 33.95 for a, b in spans)
        assert not any(a < 13.9 and b > 12.1 for a, b in spans)
        at = 0.0
        for a, b in spans:
            if a <= 50.0 < b:
                assert abs(at + 50.0 - a - 28.0) < 0.5
            at += b - a

    def test_longer_repeats_and_is_refused_where_nothing_may_repeat(
        self, song: Path, config: Config, tmp_path: Path
    ) -> None:
        length_s = sf.info(song).duration
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=1.4 * length_s))
        assert edit.duration_s > 1.3 * length_s
        with pytest.raises(EditListError, match="longer than it"):
            edited(song, config, tmp_path, demands=Demands(duration_s=1.4 * length_s), loops=False)

    @pytest.mark.parametrize("more_s", [0.5, 0.8])
    def test_less_than_half_a_bar_longer_than_the_recording_is_near_enough(
        self, song: Path, config: Config, tmp_path: Path, more_s: float
    ) -> None:
        """As any length is; a bar is 1.65 s."""
        length_s = sf.info(song).duration
        demands = Demands(duration_s=length_s + more_s)
        assert edited(song, config, tmp_path, demands=demands, loops=False).duration_s == pytest.approx(length_s)
        with pytest.raises(EditListError, match="longer than it"):
            edited(song, config, tmp_path, demands=Demands(duration_s=length_s + 0.9), loops=False)

    @pytest.mark.parametrize("share", [0.9, 1.4])
    def test_what_a_moment_heard_early_leaves_out_is_made_up_for_by_repeats(
        self, song: Path, config: Config, tmp_path: Path, share: float
    ) -> None:
        """Of the first 30 s at most 10 s can play before it."""
        length_s = share * sf.info(song).duration
        edit = edited(song, config, tmp_path, demands=Demands(length_s, anchors=(Anchor(30.0, 10.0),)))
        assert edit.duration_s == pytest.approx(length_s, abs=0.83)  # half a bar
        assert min(abs(at_s - 10.0) for at_s in heard_at_s(edit, 30.0)) < 0.25

    @pytest.mark.parametrize("seconds", [3.2, 5.0])
    @pytest.mark.parametrize("times", [0.5, 0.9, 1.5, 2.0, 4.0])
    @pytest.mark.parametrize("kept", [0.0, 1.0])
    def test_a_few_bars_have_edits_of_any_length_and_remedies_that_work(
        self, song: Path, config: Config, tmp_path: Path, seconds: float, times: float, kept: float
    ) -> None:
        """What a refusal says to ask for instead is asked for, and made."""
        whole = load_audio(song)
        short = tmp_path / "short.wav"
        save_audio(short, Samples(whole.data[: round(seconds * whole.sample_rate)], whole.sample_rate))
        keep = (TimeSpan(0.0, kept * seconds),) if kept else ()

        def made(demands: Demands, *, loops: bool) -> tuple[EditList, Demands]:
            try:
                return edited(short, config, tmp_path, demands=demands, loops=loops), demands
            except EditListError as fault:
                remedy = str(fault)
            if remedy.endswith("leave out --no-loop"):
                assert not loops  # nor is it said again
                return made(demands, loops=True)
            longer = replace(demands, duration_s=read_seconds(remedy.rsplit("ask for ", 1)[1]))
            return edited(short, config, tmp_path, demands=longer, loops=loops), longer

        for exact, loops in itertools.product((False, True), (False, True)):
            edit, demands = made(Demands(times * seconds, exact=exact, keep=keep), loops=loops)
            assert demands.duration_s is not None
            assert edit.duration_s == pytest.approx(demands.duration_s, abs=1e-4 if exact else 1.3)  # half a bar
            assert times < 1.0 or edit.duration_s > seconds

    def test_a_click_is_taken_out(self, song: Path, config: Config, tmp_path: Path) -> None:
        """20 ms are less than a tenth of any beat."""
        edit = edited(song, config, tmp_path, demands=Demands(drop=(TimeSpan(20.0, 20.02),)))
        rate = edit.source.sample_rate
        assert not played(edit)[20 * rate : round(20.02 * rate)].any()

    def test_what_must_not_play_is_no_part_of_the_length(self, song: Path, config: Config, tmp_path: Path) -> None:
        """More is asked than the rest has, though less than the recording: the rest repeats, or that is refused."""
        length_s = sf.info(song).duration
        demands = Demands(0.8 * length_s, drop=(TimeSpan(0.4 * length_s, 0.9 * length_s),))
        edit = edited(song, config, tmp_path, demands=demands)
        assert edit.duration_s == pytest.approx(0.8 * length_s, abs=1.3)
        with pytest.raises(EditListError, match=r"is longer than what is left of it .*; leave out --no-loop"):
            edited(song, config, tmp_path, demands=demands, loops=False)

    @pytest.mark.parametrize("suffix", [".wav", ".aiff"])
    def test_more_than_the_output_can_count_is_refused_before_computing(
        self, song: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
    ) -> None:
        monkeypatch.setattr(files, "held_in_memory", lambda *_: pytest.fail("it was computed"))
        with pytest.raises(AudioFileError, match=rf"out{suffix}: .* GiB of audio, {suffix} holds at most 4"):
            edited(song, config, tmp_path, f"out{suffix}", demands=Demands(duration_s=86_400.0))

    @pytest.mark.parametrize("duration_s", [None, 80.0])
    def test_a_moment_later_than_in_the_recording_repeats_what_comes_before(
        self, song: Path, config: Config, tmp_path: Path, duration_s: float | None
    ) -> None:
        demands = Demands(duration_s=duration_s, anchors=(Anchor(10.0, 22.0), Anchor(30.0, 50.0)))
        edit = edited(song, config, tmp_path, demands=demands)
        for anchor in demands.anchors:
            assert min(abs(at - anchor.output_s) for at in heard_at_s(edit, anchor.source_s)) < 0.35  # half a beat
        goal_s = edit.source.frames / edit.source.sample_rate + 20.0 if duration_s is None else duration_s
        assert edit.duration_s == pytest.approx(goal_s, abs=1.2)  # half a bar
        with pytest.raises(EditListError, match=r"take back anchor 0:10=0:22|leave out --no-loop"):
            edited(song, config, tmp_path, demands=demands, loops=False)

    def test_what_must_not_play_is_no_part_of_a_length_with_a_late_moment_either(
        self, song: Path, config: Config, tmp_path: Path
    ) -> None:
        """12 s repeat before the moment, but 15 s must not play: of the whole, once again, the rest of the length."""
        length_s = sf.info(song).duration
        demands = Demands(length_s + 11.0, drop=(TimeSpan(40.0, 55.0),), anchors=(Anchor(10.0, 22.0),))
        edit = edited(song, config, tmp_path, demands=demands)
        assert edit.duration_s == pytest.approx(length_s + 11.0, abs=0.83)  # half a bar
        assert min(abs(at_s - 22.0) for at_s in heard_at_s(edit, 10.0)) < 0.25

    @pytest.mark.parametrize("output_s", [16.0, 20.0, 22.0])
    @pytest.mark.parametrize("duration_s", [None, 60.0])
    def test_what_must_not_play_before_a_moment_is_made_up_for_by_repeats(
        self, song: Path, config: Config, tmp_path: Path, output_s: float, duration_s: float | None
    ) -> None:
        """Of the 20 s before it 14 must not play: heard as recorded, or earlier, it is late all the same."""
        demands = Demands(duration_s, drop=(TimeSpan(1.0, 15.0),), anchors=(Anchor(20.0, output_s),))
        edit = edited(song, config, tmp_path, demands=demands)
        assert min(abs(at_s - output_s) for at_s in heard_at_s(edit, 20.0)) < 0.25
        assert not played(edit)[round(1.3 * RATE) : round(14.7 * RATE)].any()
        if duration_s is not None:
            assert edit.duration_s == pytest.approx(duration_s, abs=0.83)  # half a bar

    def test_a_moment_that_no_draft_has_in_time_is_refused_before_drafting(
        self, policy: Policy, song: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Later than recorded where nothing repeats or moves; or after the end, where the DP says what to ask for."""
        late = Request(Demands(anchors=(Anchor(10.0, 22.0),)), loops=False, moves=False)
        beyond = Request(Demands(20.0, anchors=(Anchor(30.0, 25.0),)))
        monkeypatch.setattr(proposing, "_by_policy", lambda *_: pytest.fail("it was drafted"))
        with pytest.raises(EditListError, match=r"--anchor 0:10=0:22: 0:12 later .* leave out --no-loop"):
            edit_as_asked(song, tmp_path / "o.wav", late, policy=policy)
        with pytest.raises(EditListError, match=r"anchor 0:30=0:25 would be heard after the end .* ask for 0:2\d"):
            edit_as_asked(song, tmp_path / "o.wav", beyond, policy=policy)
        monkeypatch.setattr(proposing, "_by_dp", lambda *_: pytest.fail("it was drafted"))
        with pytest.raises(EditListError, match=r"--anchor 0:10=0:22: 0:12 later .* leave out --no-loop"):
            edited(song, config, tmp_path, demands=late.demands, loops=False)

    @pytest.mark.parametrize("method", ["policy", "dp"])
    @pytest.mark.parametrize(
        ("demands", "offered"),
        [
            (Demands(anchors=(Anchor(10.0, 22.0),)), True),
            (Demands(50.0, drop=(TimeSpan(2.0, 6.0),), anchors=(Anchor(30.0, 32.0),)), True),
            (Demands(anchors=(Anchor(10.0, 22.0), Anchor(30.0, 50.0))), False),  # nothing helps against both
            (Demands(20.0, anchors=(Anchor(40.0, 50.0),)), False),  # as recorded it is beyond the length
        ],
    )
    def test_a_moment_that_is_too_late_is_offered_at_a_time_that_can_be_had(
        self,
        policy: Policy,
        song: Path,
        tmp_path: Path,
        config: Config,
        method: EditMethod,
        demands: Demands,
        offered: bool,
    ) -> None:
        def ask(anchors: tuple[Anchor, ...]) -> EditList:
            request = Request(replace(demands, anchors=anchors), method=method, loops=False, moves=False)
            trained = {"policy": policy} if method == "policy" else {"config": config}
            return edit_as_asked(song, tmp_path / "o.wav", request, **trained)[0].edit  # type: ignore[arg-type]

        with pytest.raises(EditListError, match="nothing may be repeated") as refused:
            ask(demands.anchors)
        instead = str(refused.value).partition(", or ask for anchor ")[2]
        assert bool(instead) == offered
        if instead:
            near = read_anchor(instead)
            assert near.source_s == demands.anchors[0].source_s
            edit = ask((near, *demands.anchors[1:]))
            assert min(abs(at_s - near.output_s) for at_s in heard_at_s(edit, near.source_s)) < 0.35  # half a beat

    def test_a_join_that_an_exact_length_gives_up_is_not_counted_as_moved(self, song: Path) -> None:
        """Of three passages the last goes, and silence ends the edit, which is no join."""
        segments = (Segment(0, RATE), Segment(5 * RATE, RATE), Segment(9 * RATE, RATE))
        edit = EditList(source_info(song), segments)
        assert proposing._moved_line(edit, (1, 2)) == "2 of 2 joins moved from where the policy had them"
        gone = replace(edit, segments=(*segments[:2], Segment(None, 100)))
        assert proposing._moved_line(gone, (1, 2)) == "1 of 1 join moved from where the policy had them"
        assert proposing._moved_line(gone, (2,)) == ""

    def test_the_whole_recording_is_no_draft_of_what_is_late(self, song: Path, config: Config) -> None:
        """Solved in vain, and once more per demand to say so, it took as long as the draft that repeats."""
        state, late = AudioState.from_file(song, config), Demands(anchors=(Anchor(10.0, 22.0),))
        drafts = proposing._by_dp(state, Request(late, "dp"), config)
        assert [draft.duration_s > state.grid.duration_s + 11.0 for draft in drafts] == [True]
        assert len(proposing._by_dp(state, Request(replace(late, duration_s=120.0), "dp"), config)) == 2

    def test_a_policy_under_limits(self, policy: Policy, song: Path, tmp_path: Path) -> None:
        demands = Demands(keep=(TimeSpan(20.0, 24.0),), drop=(TimeSpan(40.0, 44.0),))
        request = Request(demands, loops=False, moves=False, stochastic=True, seed=3)
        made = edit_as_asked(song, tmp_path / "out.flac", request, policy=policy)[0].edit
        rate = made.source.sample_rate
        spans = [((s.source_start_frame or 0) / rate, (s.source_end_frame or 0) / rate) for s in made.segments]
        assert spans == sorted(spans)  # nothing repeated, nothing moved
        assert all(b <= c + 1e-9 for (_, b), (c, _) in itertools.pairwise(spans))
        assert any(a <= 20.05 and b >= 23.95 for a, b in spans)
        assert not any(a < 43.9 and b > 40.1 for a, b in spans)

    def test_where_no_draft_of_the_policy_meets_a_length_the_whole_recording_is_the_draft(
        self, policy: Policy, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        info = source_info(song)
        unfit = EditList(info, (Segment(0, info.frames // 2, speed=1.1),))  # as recordings cannot be negotiated
        monkeypatch.setattr(proposing, "_by_policy", lambda *_: [unfit])
        made = edit_as_asked(song, tmp_path / "o.wav", Request(Demands(duration_s=35.0, exact=True)), policy=policy)
        assert [each.edit.duration_s for each in made] == [35.0]
        assert "negotiated from the whole recording" in made[0].notes[-1]
        with pytest.raises(EditListError, match="changes speed"):  # without a length there is nothing to insist on
            edit_as_asked(song, tmp_path / "o.wav", Request(), policy=policy)

    @pytest.mark.parametrize("longer_helps", [True, False])
    def test_a_length_that_a_moment_heard_early_cuts_short_is_met_by_a_longer_draft_or_from_the_whole_recording(
        self, policy: Policy, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longer_helps: bool
    ) -> None:
        """After its first 30 s the recording has half a minute, of which 50 s are to follow that moment."""
        info, lengths_s = source_info(song), []
        whole = Segment(0, info.frames)

        def drafted(_: Policy, __: AudioState, request: Request) -> list[EditList]:
            length_s = request.demands.duration_s or 0.0
            lengths_s.append(length_s)
            repeats = longer_helps and length_s > 60.0
            return [
                EditList(info, (whole, whole) if repeats else (Segment(0, min(round(length_s * RATE), info.frames)),))
            ]

        monkeypatch.setattr(proposing, "_by_policy", drafted)
        request = Request(Demands(60.0, anchors=(Anchor(30.0, 10.0),)))
        made = edit_as_asked(song, tmp_path / "o.wav", request, policy=policy)
        assert lengths_s == [60.0, 80.0]
        assert [each.edit.duration_s for each in made] == [pytest.approx(60.0, abs=0.83)]  # half a bar
        assert min(abs(at_s - 10.0) for at_s in heard_at_s(made[0].edit, 30.0)) < 0.25
        assert any("from the whole recording" in note for note in made[0].notes) == (not longer_helps)

    @pytest.mark.parametrize("method", ["dp", "policy"])
    def test_of_the_drafts_of_the_dp_the_first_that_meets_the_length_is_taken(
        self, policy: Policy, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: EditMethod
    ) -> None:
        info = source_info(song)
        whole = Segment(0, info.frames)
        monkeypatch.setattr(proposing, "_by_policy", lambda *_: [EditList(info, (whole,))])
        monkeypatch.setattr(
            proposing,
            "_by_dp",
            lambda *_: [EditList(info, (replace(whole, frames=30 * RATE),)), EditList(info, (whole,) * 2)],
        )
        length_s = 1.5 * info.frames / RATE
        request = Request(Demands(length_s), method)
        made = edit_as_asked(song, tmp_path / "o.wav", request, policy=policy)
        assert [each.edit.duration_s for each in made] == [pytest.approx(length_s, abs=0.83)]  # half a bar
        assert any("from the whole recording" in note for note in made[0].notes) == (method == "policy")

    def test_where_nothing_meets_a_length_the_policys_own_edit_is_taken(
        self, policy: Policy, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two drafts, of which the second comes nearer; then as many candidates as there are."""
        info = source_info(song)
        drafts = [EditList(info, (Segment(0, frames * RATE),)) for frames in (12, 30)]
        monkeypatch.setattr(proposing, "_by_policy", lambda *_: drafts)
        monkeypatch.setattr(proposing, "_by_dp", lambda *_: drafts[:1])
        end_s = info.frames / RATE
        kept = Demands(end_s + 20.0, keep=(TimeSpan(0.0, end_s),))
        made = edit_as_asked(song, tmp_path / "o.wav", Request(kept, candidates=2), policy=policy)
        assert len(made) == 1  # all play the recording, and nothing twice
        assert made[0].edit.duration_s == pytest.approx(end_s)
        assert any("off the length asked for by -20.00 s" in note for note in made[0].notes)
        assert not any("from the whole recording" in note for note in made[0].notes)

    def test_a_policy_keeps_a_passage_in_the_units_of_one_to_drop(
        self, policy: Policy, song: Path, tmp_path: Path
    ) -> None:
        length_s = sf.info(song).duration
        demands = Demands(keep=(TimeSpan(20.0, 21.2),), drop=(TimeSpan(0.0, 20.0), TimeSpan(21.2, length_s)))
        edit = edit_as_asked(song, tmp_path / "o.wav", Request(demands), policy=policy)[0].edit
        assert edit.duration_s == pytest.approx(1.2, abs=0.6)  # a beat

    def test_a_policy_plays_the_beats_that_are_left_of_units_to_drop(
        self, policy: Policy, song: Path, tmp_path: Path
    ) -> None:
        """Of every bar something is dropped; between 20.0 s and 21.2 s a beat or two are not."""
        demands = Demands(drop=(TimeSpan(0.0, 20.0), TimeSpan(21.2, sf.info(song).duration)))
        edit = edit_as_asked(song, tmp_path / "o.wav", Request(demands), policy=policy)[0].edit
        rate = edit.source.sample_rate
        assert 0.4 < edit.duration_s < 1.3
        assert not played(edit)[: round(19.9 * rate)].any()
        assert not played(edit)[round(21.3 * rate) :].any()
        with pytest.raises(EditListError, match="leaves nothing to play"):
            edit_as_asked(song, tmp_path / "o.wav", Request(Demands(drop=(TimeSpan(0.0, 999.0),))), policy=policy)

    @pytest.mark.parametrize(
        ("start_s", "end_s", "units"),
        [(3.0, 3.02, [1]), (2.0, 4.04, [1]), (2.0, 4.06, [1, 2])],  # 0.04 s are less than a tenth of a beat
    )
    def test_a_unit_belongs_to_a_passage_if_one_of_its_beats_does(
        self, start_s: float, end_s: float, units: list[int]
    ) -> None:
        """Four beats of half a second each. Of a passage shorter than a tenth of one a beat has most, and so a unit."""
        known = track(1)
        even = replace(known, grid=BeatGrid(0.5 * np.arange(known.grid.n_beats + 1), known.grid.bar_position))
        assert np.flatnonzero(units_over([TimeSpan(start_s, end_s)], even, 4)).tolist() == units

    def test_candidates_differ_and_are_numbered(self, policy: Policy, song: Path, tmp_path: Path) -> None:
        request = Request(Demands(duration_s=35.0), candidates=3, seed=1)
        made = edit_as_asked(song, tmp_path / "o.wav", request, policy=policy, edit_list=tmp_path / "o.json")
        assert [each.output.name for each in made] == ["o.wav", "o_2.wav", "o_3.wav"][: len(made)]
        assert len(made) > 1
        assert any("candidates" in note for note in made[0].notes) == (len(made) < 3)
        assert len({each.edit.segments for each in made}) == len(made)
        assert EditList.load(tmp_path / "o_2.json") == made[1].edit

    def test_fewer_candidates_than_asked_for_are_said(self, policy: Policy, song: Path, tmp_path: Path) -> None:
        keep_all = (TimeSpan(0.0, sf.info(song).duration),)  # leaves one edit to make
        request = Request(Demands(keep=keep_all), loops=False, moves=False, candidates=3)
        made = edit_as_asked(song, tmp_path / "o.wav", request, policy=policy)
        assert len(made) == 1
        assert "1 of 3 candidates" in made[0].notes[-1]
        for number in (2, 3, 5):
            (tmp_path / f"o_{number}.wav").touch()
        made = edit_as_asked(song, tmp_path / "o.wav", request, policy=policy)
        assert made[-1].notes[-1] == "o_2.wav, o_3.wav: there from before, not of these candidates"
        alone = edit_as_asked(song, tmp_path / "o.wav", replace(request, candidates=1), policy=policy)
        assert not any("from before" in note for note in alone[0].notes)

    @pytest.mark.parametrize("asked_s", [40.0, 43.7, 0.5])
    def test_a_length_that_is_missed_is_said_to_the_hundredth(
        self, song: Path, config: Config, tmp_path: Path, asked_s: float
    ) -> None:
        request = Request(Demands(duration_s=asked_s), method="dp")
        made = edit_as_asked(song, tmp_path / "o.wav", request, config=config)[0]
        missed_s = made.edit.duration_s - asked_s
        said = [note for note in made.notes if "off the length" in note]
        assert len(said) == (abs(missed_s) > 0.05)
        assert all(f"by {missed_s:+.2f} s" in note and "nearest" not in note for note in said)

    def test_folders_in_a_folder_are_named_but_for_those_that_are_written_to(
        self, song: Path, config: Config, tmp_path: Path
    ) -> None:
        """An album of albums is no folder of recordings; silently passed over, they would be missed too late."""
        folder = tmp_path / "in"
        for below in ("disc 1/bonus", "edits", "scans", ".trash"):
            (folder / below).mkdir(parents=True)
        (folder / "disc 1" / "bonus" / "b.flac").touch()
        (folder / "scans" / "cover.png").touch()
        (folder / ".trash" / "old.wav").touch()
        request = Request(Demands(duration_s=40.0), method="dp")
        with pytest.raises(
            ConfigError, match=r"holds no recordings; name one of the folders in it that do: .*/disc 1$"
        ):
            list(edit_folder(folder, folder / "edits", request, config=config))
        shutil.copy(song, folder / "a.wav")
        for _ in range(2):  # the second time there are recordings in the folder of edits
            left_out, made = edit_folder(folder, folder / "edits", request, config=config)
            assert isinstance(left_out, LeftOut)
            assert left_out.source == folder / "disc 1"
            assert isinstance(made, list)

    def test_a_folder_goes_on_after_a_bad_file(self, song: Path, config: Config, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        (folder / "a.wav").write_bytes(b"no audio")
        (folder / "b.wav").write_bytes(song.read_bytes())
        (folder / "notes.txt").write_text("not a recording")
        request = Request(Demands(duration_s=40.0), method="dp")
        bad, good = edit_folder(folder, tmp_path / "out", request, config=config)
        assert isinstance(bad, Failed)
        assert "a.wav" in bad.reason
        assert isinstance(good, list)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.wav"]
        with pytest.raises(ConfigError, match="would overwrite"):
            next(edit_folder(folder, folder, request, config=config))
        with pytest.raises(ConfigError, match="-o is a file, a folder is needed"):
            next(edit_folder(folder, song, request, config=config))

    def test_a_folder_says_which_recordings_it_leaves_out(
        self, song: Path, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """WavPack is read, by ffmpeg, and not written: silently skipped, it would be missed when it is too late.

        It lies there by chance or on purpose, and is no failure; one that should have been edited and was not is.
        """
        folder = tmp_path / "in"
        folder.mkdir()
        (folder / "a.wav").write_bytes(song.read_bytes())
        for name in ("b.wv", "B.APE", "cover.jpg", "._c.wv"):
            (folder / name).write_bytes(b"not opened")
        arguments = ["edit", str(folder), "-o", str(tmp_path / "out"), "--method", "dp", "--target-duration", "40"]
        with pytest.raises(SystemExit) as left:
            app(arguments, standalone_mode=True)
        assert left.value.code == 0
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
        assert [line.split(": ")[1:] for line in said] == [
            [
                str(folder / name),
                f"{Path(name).suffix} is not written, and an edit has its recording's name; make it .flac",
            ]
            for name in ("B.APE", "b.wv")
        ]
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.wav"]
        (folder / "c.wav").write_bytes(b"no audio")
        with pytest.raises(SystemExit) as left:
            app([*arguments, "--json"], standalone_mode=True)
        assert left.value.code == 1
        streams = capsys.readouterr()
        assert f"failed: {folder / 'c.wav'}: " in streams.err
        summary = json.loads(streams.out)
        assert [one["file"] for one in summary["failed"]] == [str(folder / "c.wav")]
        assert [one["file"] for one in summary["left_out"]] == [str(folder / name) for name in ("B.APE", "b.wv")]

    def test_fades_that_are_asked_for_are_heard_held_and_said_where_they_do_not_fit(
        self, config: Config, song: Path, tmp_path: Path
    ) -> None:
        """The level over the last 3 s of an edit that ends within the song falls as the cosine of a quarter turn."""
        request = Request(Demands(duration_s=30.0, drop=(TimeSpan(40.0, 75.0),)), method="dp")
        (plain,) = edit_as_asked(song, tmp_path / "plain.wav", request, config=config)
        asked = replace(request, fade_in_s=1.0, fade_out_s=3.0)
        (made,) = edit_as_asked(song, tmp_path / "faded.wav", asked, config=config)
        assert (made.edit.fade_in_ms, made.edit.fade_out_ms) == (1000.0, 3000.0)
        assert made.edit.segments == plain.edit.segments
        assert made.notes == plain.notes
        loud, faded = (sf.read(tmp_path / name)[0] for name in ("plain.wav", "faded.wav"))
        n = 3 * RATE
        gain = np.cos((np.arange(n) + 0.5) / n * np.pi / 2)[:, None]
        untouched = n - RATE // 10  # the plain edit fades for 60 ms
        np.testing.assert_allclose(faded[-n:][:untouched], (loud[-n:] * gain)[:untouched], atol=2 / 2**15)
        assert (faded[RATE:-n] == loud[RATE:-n]).all()
        revised, _ = revise_list(made.edit, Demands(keep=(TimeSpan(5.0, 6.0),)), song, config)
        assert revised.edit.fade_out_ms == 3000.0
        (short,) = edit_as_asked(song, tmp_path / "s.wav", replace(asked, fade_out_s=60.0), config=config)
        last_s = short.edit.segments[-1].frames / RATE
        assert last_s < 60.0
        assert any(note.startswith("fades out for ") and ", not 60: " in note for note in short.notes)
        exact = Request(
            Demands(duration_s=30.0, exact=True, keep=(TimeSpan(45.0, 600.0),)), method="dp", fade_out_s=2.0
        )
        (made,) = edit_as_asked(song, tmp_path / "exact.wav", exact, config=config)
        assert made.edit.segments[-1].source_start_frame is None  # silence makes up the length
        assert not [note for note in made.notes if "fades out" in note]

    def test_a_policy_fades_as_its_editor_does_where_nothing_else_is_asked(
        self, policy: Policy, song: Path, tmp_path: Path
    ) -> None:
        fades, within = of_habit(policy, 0.0, 2000.0, 0.0), Demands(duration_s=30.0, drop=(TimeSpan(40.0, 75.0),))

        def made(request: Request) -> files.Written:
            return edit_as_asked(song, tmp_path / "o.wav", request, policy=fades)[0]

        usual = made(Request(within))
        assert usual.edit.fade_out_ms == 2000.0
        assert "fades out for 2.0 s, as this editor's edits usually do (--fade-out 0: not)" in usual.notes
        for asked_s in (0.0, 1.0):
            asked = made(Request(within, fade_out_s=asked_s))
            assert asked.edit == replace(usual.edit, fade_out_ms=1000.0 * asked_s)
            assert not any("usually" in note for note in asked.notes)
        end_s = AudioState.from_file(song, policy.config).recording.frames / RATE
        to_its_end = made(Request(Demands(keep=(TimeSpan(end_s - 5.0, end_s),))))
        assert to_its_end.edit.fade_out_ms <= MICRO_MS  # settled joins may end it that much earlier
        drawn = edit_recording(fades, AudioState.from_file(song, policy.config), target_duration_s=30.0)
        ends_within = drawn.source.frames - (drawn.segments[-1].source_end_frame or 0) > RATE
        assert drawn.fade_out_ms == (2000.0 if ends_within else 0.0)
        by_dp = edit_as_asked(song, tmp_path / "o.wav", Request(within, method="dp"), policy=fades)[0]
        assert by_dp.edit.fade_out_ms < 100.0

    def test_joins_crossfade_as_asked_else_as_the_policys_editor_does(
        self, policy: Policy, song: Path, tmp_path: Path
    ) -> None:
        mixing, within = of_habit(policy, 0.0, 0.0, 400.0), Demands(duration_s=30.0, drop=(TimeSpan(40.0, 75.0),))

        def made(request: Request, by: Policy = mixing) -> files.Written:
            return edit_as_asked(song, tmp_path / "o.wav", request, policy=by)[0]

        def fades_ms(edit: EditList) -> set[float]:
            return {segment.crossfade_in_ms for segment in mixed_joins(edit)}

        usual, said = made(Request(within)), "as this editor's usually do (--crossfade: others)"
        assert fades_ms(usual.edit) == {400.0}
        assert f"joins crossfade for 0.4 s, {said}" in usual.notes
        for by in (policy, mixing):
            asked = made(Request(within, crossfade_s=0.2), by)
            assert fades_ms(asked.edit) == {200.0}
            assert not any("crossfade" in note for note in asked.notes)
        assert fades_ms(made(Request(within), policy).edit) == {50.0}
        by_dp = Request(Demands(drop=(TimeSpan(20.0, 30.0),)), method="dp")
        assert fades_ms(made(by_dp).edit) == {50.0}
        assert fades_ms(made(replace(by_dp, crossfade_s=0.0)).edit) == {0.0}
        drawn = edit_recording(mixing, AudioState.from_file(song, policy.config), target_duration_s=30.0)
        assert fades_ms(drawn) == {400.0}
        long = made(Request(within, crossfade_s=60.0))
        n_joins = len(mixed_joins(long.edit))
        (note,) = (note for note in long.notes if "crossfade" in note)
        assert re.match(rf"{n_joins} of {n_joins} crossfades? shorter than 60 s, down to \d+\.\d\d: no more", note)

    def test_new_joins_of_a_revision_crossfade_as_long_as_the_edits_do(
        self, song: Path, config: Config, tmp_path: Path
    ) -> None:
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0))
        for crossfade_ms, expected_ms in ((400.0, 400.0), (5.0, 50.0)):
            mixed = with_crossfades(edit, crossfade_ms)
            for source in (song, None):
                found, _ = revise_list(mixed, Demands(drop=(TimeSpan(1.0, 3.0),)), source, config)
                new = {join.number for join in found.new_joins}
                lengths = [segment.crossfade_in_ms for segment in mixed_joins(found.edit)]
                assert new
                assert lengths == [expected_ms if n in new else crossfade_ms for n in range(1, len(lengths) + 1)]

    def test_each_end_fades_as_the_named_editor_has_it_there(self, policy: Policy) -> None:
        first = of_habit(policy, 0.0, 4000.0, 0.0)
        two = replace(of_habit(first, 1500.0, 2000.0, 0.0, style=1), styles=("ann", "bob"))
        source = SourceInfo("song.wav", "", RATE, 1, 100 * RATE)
        edit = EditList(source, (Segment(10 * RATE, 60 * RATE),))

        def faded(edit: EditList = edit, **request: Any) -> tuple[float, float, list[str]]:
            found, notes = with_fades(edit, Request(**request), two)
            return found.fade_in_ms, found.fade_out_ms, notes

        usual = ["fades {} for {} s, as this editor's edits usually do (--fade-{} 0: not)".format(*said) for said in (
            ("in", 1.5, "in"), ("out", "2.0", "out"), ("out", "4.0", "out"))]  # fmt: skip
        kept_from_clicking = with_faded_ends(edit).fade_in_ms
        assert faded(style="bob") == (1500.0, 2000.0, usual[:2])
        assert faded(style="ann") == (kept_from_clicking, 4000.0, usual[2:])
        assert faded(style="bob", fade_in_s=0.0) == (0.0, 2000.0, usual[1:2])
        drawn = replace(edit, fade_in_ms=9000.0, fade_out_ms=9000.0)  # by whoever made it
        assert faded(drawn, style="ann") == (kept_from_clicking, 4000.0, usual[2:])
        short = replace(edit, segments=(Segment(10 * RATE, RATE), Segment(40 * RATE, 5 * RATE)))
        said = ["fades in for 1.00 s, not 3: no more plays without a join there"]
        assert faded(short, style="bob", fade_in_s=3.0, fade_out_s=3.0) == (3000.0, 3000.0, said)

    def test_no_edit_is_announced_in_a_style_that_the_policy_does_not_know(
        self, policy: Policy, song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        save_policy(tmp_path / "p.pt", policy)
        arguments = ["edit", str(song), "-o", str(tmp_path / "o.wav"), "--checkpoint", str(tmp_path / "p.pt")]
        with pytest.raises(CheckpointError, match="style 'pop': the policy learned"):
            app([*arguments, "--style", "pop"], standalone_mode=False)
        assert "edits as" not in capsys.readouterr().err

    def test_a_folder_hidden_files_and_names_that_meet(self, policy: Policy, tmp_path: Path) -> None:
        for name in ("a.wav", "a_2.wav", "._a.wav", ".rl_editor_unfinished_0.wav"):
            (tmp_path / name).write_bytes(b"no audio")
        assert [path.name for path in recordings_in(tmp_path)] == ["a.wav", "a_2.wav"]
        clash = r"a_2\.wav: would be an edit of a\.wav and of a_2\.wav; rename one of the two, or ask for fewer --candi"
        with pytest.raises(ConfigError, match=clash):
            next(edit_folder(tmp_path, tmp_path / "out", Request(candidates=2), policy=policy))

    @pytest.mark.parametrize(
        ("request_", "said"),
        [
            ({"demands": Demands(exact=True)}, "without a length"),
            ({"method": "dp"}, "nothing is asked"),
            ({"method": "dp", "demands": Demands(duration_s=9.0), "candidates": 2}, "one answer"),
            ({"method": "dp", "demands": Demands(duration_s=9.0), "stochastic": True}, "--stochastic: the DP draws"),
            ({"method": "dp", "demands": Demands(duration_s=9.0), "seed": 0}, "--seed: the DP draws"),
            ({"method": "dp", "demands": Demands(duration_s=9.0), "style": "ann"}, "--style: the DP draws"),
            ({"seed": 0}, "--seed 0: nothing is drawn"),
            ({"demands": Demands(duration_s=9.0), "allow_stretch": True}, "--allow-stretch: only an exact length"),
        ],
    )
    def test_requests_that_make_no_sense(self, request_: dict[str, object], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            Request(**request_)  # type: ignore[arg-type]

    def test_contradictions_and_passages_beyond_the_end(self, song: Path, config: Config, tmp_path: Path) -> None:
        both = Demands(keep=(TimeSpan(10.0, 20.0),), drop=(TimeSpan(15.0, 16.0),))
        with pytest.raises(EditListError, match="contradict each other"):
            edited(song, config, tmp_path, demands=both)
        with pytest.raises(EditListError, match="beyond its end"):
            edited(song, config, tmp_path, demands=Demands(drop=(TimeSpan(500.0, 501.0),)))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("seconds", [12.0, 18.0, 20.0, 28.0])
    def test_an_end_that_has_to_play_is_met_from_below(
        self, song: Path, config: Config, tmp_path: Path, seconds: float
    ) -> None:
        """The edits nearest to these lengths are 0.02 to 0.61 s longer, and no end may be cut; a bar is 1.65 s."""
        data, rate = sf.read(song, dtype="int16", always_2d=True, stop=40 * RATE)  # which ends in the middle of sound
        sf.write(tmp_path / "cut.wav", data, rate)
        demands = Demands(duration_s=seconds, exact=True, keep=(TimeSpan(35.0, 40.0),))
        edit = edited(tmp_path / "cut.wav", config, tmp_path, demands=demands)
        assert edit.frames == seconds * RATE
        assert (played(edit)[35 * RATE :] == 1).all()
        ending = edit.segments[-1]
        assert ending.source_start_frame is None
        assert 0 < ending.frames <= MOST_SILENCE_S * RATE

    @pytest.mark.parametrize("seconds", [36.0, 39.0])
    def test_where_bars_are_longer_than_two_seconds_a_bar_may_be_silent(
        self, song: Path, config: Config, tmp_path: Path, seconds: float
    ) -> None:
        """Edits that keep the end are a bar of 2.74 s apart; those below are 2.24 and 2.50 s too short."""
        data, _ = sf.read(song, dtype="int16", always_2d=True, stop=40 * RATE)
        slow_rate = RATE * 3 // 5
        sf.write(tmp_path / "slow.wav", data, slow_rate)
        keep = (TimeSpan(60.0, len(data) / slow_rate),)
        edit = edited(tmp_path / "slow.wav", config, tmp_path, demands=Demands(seconds, exact=True, keep=keep))
        assert edit.frames == seconds * slow_rate
        settled = slow_rate * 3 // 1000  # by as much a join may shift what follows it
        assert (played(edit)[60 * slow_rate : -settled] == 1).all()
        ending = edit.segments[-1]
        assert ending.source_start_frame is None
        assert MOST_SILENCE_S * slow_rate < ending.frames < 2.75 * slow_rate

    def test_a_revision_meets_an_end_that_has_to_play_from_below(
        self, song: Path, config: Config, tmp_path: Path
    ) -> None:
        data, rate = sf.read(song, dtype="int16", always_2d=True, stop=40 * RATE)
        sf.write(tmp_path / "cut.wav", data, rate)
        keep = (TimeSpan(35.0, 40.0),)
        edit = edited(tmp_path / "cut.wav", config, tmp_path, demands=Demands(duration_s=30.2, keep=keep))
        found, notes = revise_list(edit, Demands(duration_s=20.0, exact=True, keep=keep), tmp_path / "cut.wav", config)
        assert found.edit.frames == 20 * RATE
        assert (played(found.edit)[35 * RATE :] == 1).all()
        assert "to the sample: the end +" in notes[0]
        assert list(found.price)[-2:] == ["duration 0:20", "together"]

    def test_passages_that_meet_within_a_beat_are_no_contradiction(
        self, song: Path, config: Config, tmp_path: Path
    ) -> None:
        meet = Demands(duration_s=30.0, exact=True, keep=(TimeSpan(10.0, 20.0),), drop=(TimeSpan(20.0, 30.0),))
        times = edited(song, config, tmp_path, demands=meet)
        assert times.duration_s == 30.0
        rate = times.source.sample_rate
        assert (played(times)[round(10.3 * rate) : round(19.7 * rate)] == 1).all()  # but for the beats at its ends
        assert not played(times)[round(20.3 * rate) : round(29.7 * rate)].any()

    @pytest.mark.parametrize(
        ("output", "listed", "said"),
        [
            ("a.wav", "a.wav", "--edit-list would overwrite what -o writes"),
            ("a.wav", "b/../a_2.wav", r"--edit-list would overwrite what -o \(2\) writes"),
            ("tune.wav", None, r"-o would overwrite .*tune\.wav, which is read here"),
            ("policy.pt", None, r"-o would overwrite .*policy\.pt, which is read here"),
            ("a.wav", "policy.pt", r"--edit-list would overwrite .*policy\.pt, which is read here"),
            ("a.wav", "tune.wav/e.json", "--edit-list cannot be written"),
            ("folder", None, "-o is a folder"),
            ("a.wav", "folder", "--edit-list is a folder"),
        ],
    )
    def test_files_that_cannot_be_written_are_refused_before_computing(
        self, policy: Policy, tmp_path: Path, output: str, listed: str | None, said: str
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "tune.wav").write_bytes(b"no audio")  # computing would fail with another error
        trained = tmp_path / "policy.pt"
        trained.write_bytes(b"the only copy")
        request = Request(Demands(duration_s=35.0), candidates=2)
        edit_list = None if listed is None else tmp_path / listed
        with pytest.raises(ConfigError, match=said):
            edit_as_asked(
                tmp_path / "tune.wav", tmp_path / output, request, policy=policy, edit_list=edit_list, read=[trained]
            )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "policy.pt", "tune.wav"]
        assert trained.read_bytes() == b"the only copy"

    @pytest.mark.parametrize("loop", ["source", "output"])
    def test_links_in_a_circle(self, config: Config, tmp_path: Path, loop: str) -> None:
        (tmp_path / "loop.wav").symlink_to("loop.wav")
        sf.write(tmp_path / "tune.wav", np.zeros((44_100, 1)), 44_100)
        source, output = ("loop.wav", "o.wav") if loop == "source" else ("tune.wav", "loop.wav")
        with pytest.raises(AudioFileError, match=r"loop\.wav: no such file" if loop == "source" else "tune.wav: "):
            edited(tmp_path / source, config, tmp_path, output, demands=Demands(duration_s=40.0))

    def test_a_candidate_named_as_the_recording_is_refused(self, policy: Policy, tmp_path: Path) -> None:
        (tmp_path / "tune_2.wav").write_bytes(b"no audio")
        request = Request(candidates=2)
        with pytest.raises(ConfigError, match=r"tune_2.wav: -o \(2\) would overwrite .*tune_2.wav, which is read"):
            edit_as_asked(tmp_path / "tune_2.wav", tmp_path / "tune.wav", request, policy=policy)

    @pytest.mark.parametrize("suffix", [".aac", ".mka"])
    def test_an_exact_length_needs_a_format_that_counts_samples(
        self, song: Path, config: Config, tmp_path: Path, suffix: str
    ) -> None:
        if shutil.which("ffmpeg") is None:
            pytest.skip("no ffmpeg")
        with pytest.raises(ConfigError, match=rf"o{suffix}: --exact: {suffix} holds whole blocks"):
            edited(song, config, tmp_path, f"o{suffix}", demands=Demands(duration_s=40.0, exact=True))

    @pytest.mark.parametrize(("codec", "n_notes"), [("aac", 1), ("alac", 0)])
    def test_an_exact_length_in_blocks_is_said(
        self, song: Path, config: Config, tmp_path: Path, codec: str, n_notes: int
    ) -> None:
        if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
            pytest.skip("no ffmpeg and ffprobe")
        source = tmp_path / "tune.m4a"
        subprocess.run(["ffmpeg", "-v", "error", "-i", song, "-c:a", codec, source], check=True)
        request = Request(Demands(duration_s=40.0, exact=True), method="dp")
        made = edit_as_asked(source, tmp_path / "out.m4a", request, config=config)[0]
        assert sum("1023 samples more" in note for note in made.notes) == n_notes
        rate = made.edit.source.sample_rate
        blocks = 40 * rate if codec == "alac" else -(-40 * rate // 1024) * 1024
        assert audio_info(tmp_path / "out.m4a").frames == blocks

    def test_what_libsndfile_cannot_read_is_decoded_once(
        self, song: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if shutil.which("ffmpeg") is None:
            pytest.skip("no ffmpeg")
        subprocess.run(["ffmpeg", "-v", "error", "-i", song, tmp_path / "tune.m4a"], check=True)
        decoded = []

        def counted(path: Path) -> Iterator[Samples]:
            yield from decode_elsewhere(path)
            decoded.append(path.name)  # to its end: a look at its beginning is none

        monkeypatch.setattr("rl_editor.utils.reading.decode_elsewhere", counted)
        edit = edited(tmp_path / "tune.m4a", config, tmp_path, demands=Demands(duration_s=40.0))
        assert decoded == ["tune.m4a"]
        assert edit.source.frames == audio_info(tmp_path / "tune.m4a").frames

    def test_a_format_that_does_not_take_the_rate_is_refused_before_computing(
        self, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sf.write(tmp_path / "tune.wav", np.zeros((4410, 2)), 44_100)
        monkeypatch.setattr(files, "AudioState", None)  # nothing may be analysed
        with pytest.raises(
            AudioFileError, match=r"out\.opus: .* 44100 Hz \(Opus only .* as \.wav, or convert tune\.wav"
        ):
            edited(tmp_path / "tune.wav", config, tmp_path, "out.opus", demands=Demands(duration_s=40.0))
        assert [path.name for path in tmp_path.iterdir()] == ["tune.wav"]

    @pytest.mark.parametrize("method", ["policy", "dp"])
    def test_nothing_left_is_said_and_the_policy_not_blamed(
        self, policy: Policy, song: Path, config: Config, tmp_path: Path, method: EditMethod
    ) -> None:
        by = {"policy": policy} if method == "policy" else {"config": config}
        request = Request(Demands(drop=(TimeSpan(0.0, 30.0), TimeSpan(30.0, 500.0))), method)
        with pytest.raises(EditListError, match=r"--drop 0:00-0:30, 0:30-8:20 leaves nothing to play"):
            edit_as_asked(song, tmp_path / "o.wav", request, **by)  # type: ignore[arg-type]

    def test_a_passage_past_the_end_is_said(self, song: Path, config: Config, tmp_path: Path) -> None:
        length_s = sf.info(song).duration
        request = Request(Demands(duration_s=40.0, keep=(TimeSpan(length_s - 5.0, length_s + 9.0),)), method="dp")
        made = edit_as_asked(song, tmp_path / "o.wav", request, config=config)[0]
        assert sum("reaches past the end" in note for note in made.notes) == 1

    def test_a_style_nobody_taught(self, policy: Policy, song: Path, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="eve"):
            edit_as_asked(song, tmp_path / "o.wav", Request(style="eve"), policy=policy)

    def test_numbers_go_before_the_suffix(self) -> None:
        assert [numbered(Path("a/b.c.wav"), k).name for k in (1, 2)] == ["b.c.wav", "b.c_2.wav"]
        assert [numbered(Path("a/b.wav.json"), k).name for k in (1, 2)] == ["b.wav.json", "b_2.wav.json"]


class TestRevise:
    def test_from_the_cache_alone_and_with_the_recording(self, song: Path, config: Config, tmp_path: Path) -> None:
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0))
        cached, notes = revise_list(edit, Demands(vetoes=(1,)), None, config)
        settled, none = revise_list(edit, Demands(vetoes=(1,)), song, config)
        assert cached.new_joins
        assert "--settle" in notes[0]
        assert none == []
        assert settled.edit.duration_s == pytest.approx(edit.duration_s, abs=5.0)

    @pytest.mark.parametrize("with_source", [True, False])
    def test_ends_that_move_into_the_recording_fade_there(
        self, song: Path, config: Config, tmp_path: Path, with_source: bool
    ) -> None:
        """An edit from the recording's start to its end has no fades; without those passages it would click."""
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0))
        assert (edit.fade_in_ms, edit.fade_out_ms) == (0.0, 0.0)
        whole_s, source = sf.info(song).duration, song if with_source else None
        ends = Demands(drop=(TimeSpan(0.0, 3.0), TimeSpan(whole_s - 5.0, whole_s)))
        found, _ = revise_list(edit, ends, source, config)
        assert (found.edit.fade_in_ms, found.edit.fade_out_ms) == (3.0, 60.0)

    @pytest.mark.parametrize("with_source", [True, False])
    def test_a_length_that_only_repeats_reach_is_left_to_edit_and_said_so(
        self, song: Path, config: Config, tmp_path: Path, with_source: bool
    ) -> None:
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0))
        source, whole_s = song if with_source else None, sf.info(song).duration
        longest = f"is longer than the {spoken(whole_s - 10.0)} that may play"
        for asked_s, said in ((300.0, True), (whole_s - 12.0, False)):
            demands = Demands(duration_s=asked_s, drop=(TimeSpan(20.0, 30.0),))
            notes = revise_list(edit, demands, source, config)[1]
            assert any(longest in note and note.endswith("for 5:00 ask rl-editor edit") for note in notes) == said

    def test_a_join_that_a_loop_has_once_more_is_said_to_stay(self, song: Path, config: Config, tmp_path: Path) -> None:
        """Three rounds join alike twice; what is vetoed by its number is one of them."""
        source = source_info(song)
        beats_s = edited(song, config, tmp_path, demands=Demands(duration_s=40.0)).beat_times_s
        a, b, c = (round(beats_s[beat] * source.sample_rate) for beat in (16, 32, 64))
        rounds = (Segment(a, b - a, crossfade_in_ms=25.0),) * 2
        edit = EditList(source, (Segment(0, b), *rounds, Segment(c, source.frames - c, crossfade_in_ms=25.0)))
        for number in (1, 2):
            found, notes = revise_list(edit, Demands(vetoes=(number,)), song, config)
            twin = cuts(found.edit).index((b, a)) + 1
            jump = f"{spoken(b / source.sample_rate)} to {spoken(a / source.sample_rate)}"
            said = f"join {twin}, {jump}, is as one vetoed, and stays; --veto-join {twin} takes it out too"
            assert notes == [said]
        assert revise_list(edit, Demands(vetoes=(1, 2)), song, config)[1] == []

    @pytest.mark.parametrize("exact", [False, True])
    def test_what_is_said_is_what_is_written(self, song: Path, config: Config, tmp_path: Path, exact: bool) -> None:
        """Placing moves new joins by beats; those that are as before are, to the sample, to an exact length as well."""
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0))
        demands = Demands(drop=(TimeSpan(1.0, 3.0),))  # forces a new join, and leaves the other
        found, _ = revise_list(edit, demands, song, config)
        if exact:
            demands = replace(demands, duration_s=found.edit.duration_s + 0.05, exact=True)
            found, _ = revise_list(edit, demands, song, config)
        rate, before, after = edit.source.sample_rate, cuts(edit), cuts(found.edit)
        state = AudioState.from_file(song, config)
        costs = Costs(state, config, beat_sound(song, state))
        assert found.new_joins
        for join in found.new_joins:
            leave, land = after[join.number - 1]
            assert (join.leave_s, join.land_s) == (leave / rate, land / rate)
            p, q = (np.abs(state.grid.times_s - t).argmin(keepdims=True) for t in (join.leave_s, join.land_s))
            assert join.cost == pytest.approx(costs.between(p, q)[0])
        assert found.n_joins_kept == len(set(before) & set(after)) > 0
        change = played(found.edit) - played(edit)
        for spans, sign in ((found.dropped_s, -1), (found.added_s, 1)):
            said = sum(round((b - a) * rate) for a, b in spans)
            longest_left_out = round(0.02 * rate) * 2 * len(after)
            assert said <= np.count_nonzero(np.sign(change) == sign) <= said + longest_left_out
            assert all((np.sign(change[round(a * rate) : round(b * rate)]) == sign).all() for a, b in spans)

    @pytest.mark.parametrize(
        "demands",
        [Demands(vetoes=(1,)), Demands(keep=(TimeSpan(20.0, 30.0),)), Demands(drop=(TimeSpan(3.0, 5.0),))],
    )
    def test_settling_a_new_join_leaves_the_end_where_it_was(
        self, song: Path, config: Config, tmp_path: Path, demands: Demands
    ) -> None:
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0))
        found, _ = revise_list(edit, demands, song, config)
        assert found.new_joins
        assert found.edit.segments[-1].source_end_frame == edit.segments[-1].source_end_frame

    def test_exact_and_again(self, song: Path, config: Config, tmp_path: Path) -> None:
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0, exact=True))
        found, _ = revise_list(edit, Demands(duration_s=36.0, exact=True), song, config)
        assert found.edit.frames == 36 * edit.source.sample_rate
        assert found.to_dict()["missed_s"] == 0.0

    @pytest.fixture(scope="class")
    def stretched(self, song: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> EditList:
        demands = Demands(duration_s=40.3, exact=True)
        edit = edited(song, config, tmp_path_factory.mktemp("s"), demands=demands, allow_stretch=True)
        speeds = {segment.speed for segment in edit.segments}
        assert len(speeds) == 1
        assert 1e-4 < abs(speeds.pop() - 1.0) <= MOST_STRETCH
        return edit

    def test_a_stretched_edit_is_held_to_its_length(self, song: Path, config: Config, stretched: EditList) -> None:
        held = Demands(duration_s=40.3, exact=True)
        same, _ = revise_list(stretched, held, song, config)
        assert same.edit.segments == stretched.undecided().segments
        vetoed, notes = revise_list(stretched, replace(held, vetoes=(1,)), song, config)
        assert vetoed.edit.frames == stretched.frames
        assert cuts(stretched)[0] not in cuts(vetoed.edit)
        (speed,) = {segment.speed for segment in vetoed.edit.segments}
        assert abs(speed - 1.0) <= MOST_STRETCH
        assert f"to the sample: everything plays {100 * abs(1 / speed - 1):.3g}%" in notes[0]

    @pytest.mark.parametrize("by_cache", [True, False])
    def test_what_a_stretched_edit_plays_stays_stretched(
        self, song: Path, config: Config, stretched: EditList, by_cache: bool
    ) -> None:
        """No length is held: nothing is stretched anew, and what stays is as it was, to the sample."""
        source = None if by_cache else song
        same, notes = revise_list(stretched, Demands(keep=(TimeSpan(0.0, 1.0),)), source, config)
        assert same.edit.segments == stretched.undecided().segments
        assert "as before" in notes[0]
        dropped, _ = revise_list(stretched, Demands(drop=(TimeSpan(1.0, 3.0),)), source, config)
        assert {segment.speed for segment in dropped.edit.segments} == {stretched.segments[0].speed}
        assert set(stretched.undecided().segments) & set(dropped.edit.segments)
        assert not played(dropped.edit)[round(1.3 * RATE) : round(2.7 * RATE)].any()

    def test_a_stretched_edit_to_another_length(self, song: Path, config: Config, stretched: EditList) -> None:
        """At the speed that it has, or at the one that suits the new length, where that is asked."""
        speed = stretched.segments[0].speed
        kept, _ = revise_list(stretched, Demands(duration_s=36.0, exact=True), song, config)
        assert kept.edit.frames == 36 * RATE
        assert {s.speed for s in kept.edit.segments if s.source_start_frame is not None} == {speed}
        anew, _ = revise_list(stretched, Demands(duration_s=36.0, exact=True), song, config, allow_stretch=True)
        assert anew.edit.frames == 36 * RATE
        assert abs(anew.edit.segments[0].speed - 1.0) <= MOST_STRETCH
        near, _ = revise_list(stretched, Demands(duration_s=36.0), song, config)
        assert abs(near.edit.duration_s - 36.0) < 1.0
        assert near.missed_s == pytest.approx(near.edit.duration_s - 36.0, abs=1e-3)

    def test_a_moment_of_a_stretched_edit(self, song: Path, config: Config, stretched: EditList) -> None:
        (at_s,) = heard_at_s(stretched, 10.0)
        found, _ = revise_list(stretched, Demands(anchors=(Anchor(10.0, at_s),)), song, config)
        assert found.edit.segments == stretched.undecided().segments

    def test_of_several_speeds_is_refused(self, config: Config, song: Path, stretched: EditList) -> None:
        first, *rest = stretched.segments
        twice = replace(stretched, segments=(replace(first, speed=1.0, frames=first.frames - 9), *rest))
        with pytest.raises(EditListError, match="or all of it up to 2% faster"):
            revise_list(twice, Demands(keep=(TimeSpan(0.0, 1.0),)), song, config)

    def test_what_is_refused(self, song: Path, config: Config, tmp_path: Path) -> None:
        edit = edited(song, config, tmp_path, demands=Demands(duration_s=40.0))
        with pytest.raises(EditListError, match="no join 9"):
            revise_list(edit, Demands(vetoes=(9,)), None, config)
        with pytest.raises(EditListError, match=r"0:30 to the sample is met in the recording; name it with --source"):
            revise_list(edit, Demands(duration_s=30.0, exact=True), None, config)
        with pytest.raises(ConfigError, match="--allow-stretch: only an exact length"):
            revise_list(edit, Demands(duration_s=30.0), None, config, allow_stretch=True)
        elsewhere = Config()
        elsewhere.data.cache_dir = str(tmp_path / "empty")
        with pytest.raises(ConfigError, match="not in the cache"):
            revise_list(edit, Demands(vetoes=(1,)), None, elsewhere)
