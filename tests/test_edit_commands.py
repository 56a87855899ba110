"""Edits from the command line, and joins judged: what is said, refused and written."""

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import yaml
from test_editing import config as config  # the fixtures
from test_editing import cuts, edited, played
from test_editing import song as song
from test_infer import policy as policy

from rl_editor.audition import audition, pages
from rl_editor.audition.words import screen as joins_screen
from rl_editor.beats import track_beats
from rl_editor.checkup.words import _key
from rl_editor.cli import app
from rl_editor.config import Config
from rl_editor.edits import EditList, Segment, keep_all
from rl_editor.errors import BeatTrackerError
from rl_editor.negotiation import Demands
from rl_editor.negotiation.demands import spoken
from rl_editor.negotiation.record import recorded, recorded_json
from rl_editor.render import sources
from rl_editor.utils import (
    source_info,
)


class TestAudition:
    def test_a_bad_join_is_found_and_a_good_edit_passes(self, song: Path, config: Config, tmp_path: Path) -> None:
        good = audition(edited(song, config, tmp_path, demands=Demands(duration_s=40.0)), song, config)
        assert good.joins
        info = source_info(song)
        rate = info.sample_rate
        bad = EditList(info, (Segment(0, round(20.3 * rate)), Segment(round(37.9 * rate), round(20.1 * rate))))
        found = audition(bad, song, config)
        assert "beat" in found.joins[0].faults
        assert found.n_faulty == 1
        assert "stands out" in joins_screen(found)
        values = found.to_dict()
        assert values["joins"][0]["faults"] == list(found.joins[0].faults)
        json.dumps(values)
        assert sum("beat" in join.faults for join in good.joins) == 0

    def test_a_preview_on_a_full_disk_leaves_what_was_there(
        self, song: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The disk is full at the picture of the first join, whose sound is written."""
        found = audition(edited(song, config, tmp_path, demands=Demands(duration_s=40.0)), song, config)
        written = pages.write_preview(found, tmp_path / "old", seconds=1.0)
        (tmp_path / "old" / "mine.txt").write_text("mine")
        before = {path: path.read_bytes() for path in (tmp_path / "old").iterdir()}

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(pages, "save_join", full)
        for folder in ("old", "new"):
            with pytest.raises(OSError, match="No space left"):
                pages.write_preview(found, tmp_path / folder, seconds=2.0)
        assert set(before) == {*written, tmp_path / "old" / "mine.txt"}
        assert {path: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before
        assert not (tmp_path / "new").exists()

    def test_an_edit_without_joins(self, song: Path, config: Config, tmp_path: Path) -> None:
        whole = EditList(source_info(song), (Segment(0, source_info(song).frames),))
        found = audition(whole, song, config)
        assert "no joins" in joins_screen(found)
        (page,) = pages.write_preview(found, tmp_path, seconds=4.0)
        assert "there is no join to hear or see" in page.read_text(encoding="utf-8")
        assert "to each side of a join" not in page.read_text(encoding="utf-8")

    def test_a_recording_that_is_too_long_to_be_held_is_judged_all_the_same(
        self, song: Path, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rendered to a file and streamed, and the same but for crossfades, which are rounded to steps of 16 bits."""
        info = source_info(song)
        rate = info.sample_rate
        edit = EditList(info, (Segment(0, 20 * rate), Segment(38 * rate, 20 * rate, crossfade_in_ms=50.0)))
        held = audition(edit, song, config)
        monkeypatch.setattr(sources, "_IN_MEMORY_BYTES", 1 << 20)
        monkeypatch.setattr("rl_editor.audition.render_samples", lambda *_: pytest.fail("the recording was held"))
        streamed = audition(edit, song, config)
        assert np.abs(streamed.rendered.data - held.rendered.data).max() <= 1 / (1 << 15)
        assert [join.faults for join in streamed.joins] == [join.faults for join in held.joins]
        assert streamed.medians() == pytest.approx(held.medians(), abs=0.1)


class TestCommands:
    @pytest.fixture
    def run(self, tmp_path: Path, config: Config):  # type: ignore[no-untyped-def]
        from typer.testing import CliRunner

        params = tmp_path / "p.yaml"
        params.write_text(f"data:\n  cache_dir: {config.data.cache_dir}\n")

        def run(*arguments: object) -> tuple[int, str]:
            result = CliRunner().invoke(app, [*map(str, arguments), "--params", str(params)])
            return result.exit_code, result.stdout if result.exit_code == 0 else str(result.exception)

        return run

    def test_what_cannot_be_held_in_memory_is_not_judged(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        whole = keep_all(source_info(song))
        n_times = int(16 * 3600 / whole.duration_s)
        edits = tmp_path / "long.json"
        edits.write_text(replace(whole, segments=whole.segments * n_times).to_json(), encoding="utf-8")
        for command, output in (("evaluate", "--picture"), ("preview", "-o")):
            code, out = run(command, edits, "--source", song, output, tmp_path / "o.png")
            assert code == 1
            assert "joins are judged in at most 4 GiB" in out
            assert not (tmp_path / "o.png").exists()

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("", "is a folder, a recording is needed; name one of the files in it"),
            ("none.wav", "no such file; is the path"),
        ],
    )
    @pytest.mark.parametrize("command", ["render", "evaluate", "preview", "revise"])
    def test_what_is_no_recording_is_named_as_everywhere(  # type: ignore[no-untyped-def]
        self, run, song: Path, tmp_path: Path, command: str, source: str, said: str
    ) -> None:
        edits = tmp_path / "e.json"
        edits.write_text(keep_all(source_info(song)).to_json(), encoding="utf-8")
        output = {"render": ("-o", "o.wav"), "preview": ("-o", "o"), "revise": ("--drop", "1-2", "-o", "o.json")}
        options = [tmp_path / o if o.startswith("o") else o for o in output.get(command, ())]
        code, out = run(command, edits, "--source", tmp_path / source, *options)
        assert code == 1
        assert said in out

    def test_edit_evaluate_preview_revise(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        edits = tmp_path / "e.json"
        asked = ("--method", "dp", "--target-duration", "0:40", "--drop", "0:12-0:14", "--edit-list", edits)
        code, out = run("edit", song, "-o", tmp_path / "e.ogg", *asked, "--json")
        assert code == 0, out
        assert json.loads(out)["file"].endswith("e.ogg")
        code, out = run("evaluate", edits, "--source", song, "--picture", tmp_path / "e.png", "--json")
        assert code == 0, out
        assert json.loads(out)["n_joins"] >= 1
        code, out = run("preview", edits, "--source", song, "-o", tmp_path / "joins", "--seconds", 1.0, "--json")
        assert code == 0, out
        page = (tmp_path / "joins" / "index.html").read_text(encoding="utf-8")
        names = {path.name for path in (tmp_path / "joins").iterdir()}
        assert {"join_01.wav", "join_01.png", "all_joins.wav", "index.html"} <= names
        assert "http" not in page
        whole = tmp_path / "whole.json"
        whole.write_text(keep_all(source_info(song)).to_json(), encoding="utf-8")
        code, out = run("preview", whole, "--source", song, "-o", tmp_path / "joins", "--json")
        assert {path.name for path in (tmp_path / "joins").iterdir()} == {"index.html"}  # nothing of the one before
        own = tmp_path / "joins" / "join_01.wav"
        own.write_bytes(song.read_bytes())
        code, out = run("preview", edits, "--source", own, "-o", tmp_path / "joins")
        assert (code, own.read_bytes()) == (1, song.read_bytes())
        assert "-o would overwrite join_01.wav" in out
        code, out = run("preview", edits, "--source", song, "-o", tmp_path / "joins", "--seconds", 1.0, "--json")
        assert sf.info(tmp_path / "joins" / "join_01.wav").duration == pytest.approx(2.0, abs=0.01)
        code, out = run("revise", edits, "--veto-join", 1, "-o", tmp_path / "r.json", "--json")
        assert code == 0, out
        assert json.loads(out)["price"]["veto join 1"] > 0
        assert EditList.load(tmp_path / "r.json").segments != EditList.load(edits).segments
        before = edits.read_bytes()
        code, out = run("revise", edits, "--veto-join", 1, "-o", edits)
        assert (code, edits.read_bytes()) == (1, before)
        assert "would overwrite" in out

    def test_a_recording_whose_beats_are_known_waits_for_no_torch(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        edits = tmp_path / "e.json"
        asked = ("--method", "dp", "--target-duration", "0:40")
        assert run("edit", song, "-o", tmp_path / "e.wav", *asked, "--edit-list", edits)[0] == 0
        commands = (
            ["edit", song, "-o", tmp_path / "again.wav", *asked],
            ["evaluate", edits, "--source", song],
            ["preview", edits, "--source", song, "-o", tmp_path / "joins"],
            ["revise", edits, "--source", song, "--veto-join", 1, "-o", tmp_path / "r.json"],
        )
        words = [[*map(str, command), "--params", str(tmp_path / "p.yaml")] for command in commands]
        code = "import sys; from rl_editor.cli import app\n"
        code += f"for words in {words}: app(words, standalone_mode=False)\nprint('torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "False"
        assert (tmp_path / "r.json").is_file()

    def test_revisions_hold_what_was_asked_before(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        first, second, third = (tmp_path / f"{name}.json" for name in ("first", "second", "third"))
        asked = ("--method", "dp", "--target-duration", "0:40", "--drop", "0:12-0:14", "--edit-list", first)
        run("edit", song, "-o", tmp_path / "e.ogg", *asked)
        leave, land = (np.array(side) for side in cuts(EditList.load(first))[0])
        code, out = run("revise", first, "--source", song, "--veto-join", 1, "-o", second, "--json")
        assert code == 0, out
        assert "held from before: drop 0:12-0:14, duration 0:40" in json.loads(out)["notes"][-1]
        code, out = run("revise", second, "--source", song, "--pin", "0:20-0:24", "-o", third, "--json")
        assert code == 0, out
        rate = source_info(song).sample_rate
        vetoed = f"no join {spoken(leave / rate)} to {spoken(land / rate)}"
        assert vetoed in json.loads(out)["notes"][-1]
        edit = EditList.load(third)
        assert not played(edit)[round(12.3 * rate) : round(13.7 * rate)].any()
        assert all(abs(a - leave) > 0.8 * rate or abs(b - land) > 0.8 * rate for a, b in cuts(edit))
        assert edit.duration_s == pytest.approx(40.0, abs=1.5)
        code, out = run("revise", third, "--source", song, "--drop", "0:21-0:22", "-o", tmp_path / "x.json")
        assert code
        assert "--forget 'keep 0:20-0:24' releases that" in out
        forget = ("--forget", "keep 0:20-0:24")
        code, out = run("revise", third, "--source", song, "--drop", "0:21-0:22", *forget, "-o", tmp_path / "x.json")
        assert code == 0, out
        code, out = run("revise", third, "--source", song, "-o", tmp_path / "x.json")
        assert "nothing is asked" in out
        code, out = run("revise", third, "--source", song, "--forget", "all", "-o", tmp_path / "x.json")
        assert code == 0, out
        assert (tmp_path / "x.json").read_text(encoding="utf-8") == edit.to_json()

    def test_what_may_not_be_done_is_held(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        first, opened, second = (tmp_path / f"{name}.json" for name in ("first", "opened", "second"))
        asked = ("--method", "dp", "--target-duration", "0:40", "--no-loop", "--no-reorder", "--edit-list", first)
        run("edit", song, "-o", tmp_path / "e.ogg", *asked)
        edit = EditList.load(first)
        assert recorded(first) == Demands(40.0, no_loop=True, no_reorder=True)
        grid = np.rint(np.array(edit.beat_times_s) * edit.source.sample_rate).astype(int).tolist()
        spans = [(grid[a], grid[b] - grid[a]) for a, b in ((60, 88), (0, 52))]  # a passage from later on opens
        moved = replace(edit, segments=tuple(Segment(start, frames) for start, frames in spans))
        opened.write_text(recorded_json(moved, Demands(no_loop=True)), encoding="utf-8")
        longer = (
            "revise",
            opened,
            "--source",
            song,
            "--target-duration",
            1.4 * moved.duration_s,
            "-o",
            second,
            "--json",
        )
        code, out = run(*longer)
        assert code == 0, out
        assert "held from before: no loop; --forget 'no loop' releases that" in json.loads(out)["notes"][-1]
        assert played(EditList.load(second)).max() == 1
        assert recorded(second).no_loop
        code, out = run(*longer, "--forget", "no loop")
        assert code == 0, out
        assert played(EditList.load(second)).max() > 1

    def test_a_length_to_the_sample_is_held(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        first, second = (tmp_path / f"{name}.json" for name in ("first", "second"))
        asked = ("--method", "dp", "--target-duration", "0:37.3", "--exact", "--edit-list", first)
        run("edit", song, "-o", tmp_path / "e.ogg", *asked)
        before, rate = EditList.load(first), source_info(song).sample_rate
        code, out = run("revise", first, "--source", song, "--veto-join", 1, "-o", second)
        assert code == 0, out
        assert before.frames == EditList.load(second).frames == round(37.3 * rate)
        gone_s = next(k for k in range(60) if not played(before)[k * rate : (k + 1) * rate].any())
        silent = ("--drop", f"{gone_s}.3-{gone_s}.7")
        code, out = run("revise", first, "--source", song, *silent, "-o", second)  # what does not play anyhow
        assert code == 0, out
        assert EditList.load(second).merged().segments == before.merged().segments
        code, out = run("revise", first, *silent, "-o", second)
        assert code
        assert "name it with --source; held from before: duration 0:37.3; --forget 'duration 0:37.3'" in out
        assert run("revise", first, *silent, "--forget", "duration 0:37.3", "-o", second)[0] == 0

    def test_a_folder_may_take_edits_and_edit_lists(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.wav").write_bytes(song.read_bytes())
        asked = ("--method", "dp", "--target-duration", "0:40")
        code, out = run("edit", tmp_path / "in", "-o", tmp_path / "out", "--edit-list", tmp_path / "out", *asked)
        assert code == 0, out
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.wav", "a.wav.json"]
        code, out = run("edit", tmp_path / "in", "-o", tmp_path / "in", *asked)
        assert code
        assert "would overwrite" in out

    def test_a_policy_beside_the_dp_is_refused(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        asked = ("--method", "dp", "--target-duration", "0:40", "--checkpoint", tmp_path / "p.pt")
        code, out = run("edit", song, "-o", tmp_path / "e.wav", *asked)
        assert code
        assert "the DP needs no policy" in out

    def test_grid(self, run, song: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        code, out = run(
            "grid",
            song,
            "--click",
            tmp_path / "c.wav",
            "--picture",
            tmp_path / "g.png",
            "--json",
            "--tracker",
            "librosa",
        )
        assert code == 0, out
        found = json.loads(out)
        assert found["tracker"] == "librosa"
        assert sum(a["probability"] for a in found["alternatives"]) == pytest.approx(1.0, abs=1e-3)
        clicks, music = (sf.read(p)[0].mean(axis=1) for p in (tmp_path / "c.wav", song))
        beat, rate = round(found["beats_s"][10] * sf.info(song).samplerate), sf.info(song).samplerate
        added = clicks - 0.6 * music * np.abs(clicks).max() / max(np.abs(clicks).max(), 1.0)
        here, between = (
            np.abs(added[beat : beat + 400]).mean(),
            np.abs(added[beat + rate // 8 : beat + rate // 7]).mean(),
        )
        assert here > 5 * between
        assert (tmp_path / "g.png").stat().st_size > 10_000

    def test_a_grid_of_silence_says_so_and_offers_no_others(self, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        tone = np.sin(2 * np.pi * 220 * np.arange(22050 * 4) / 22050)
        sf.write(tmp_path / "s.wav", np.stack([tone, -tone], axis=1), 22050)
        code, out = run("grid", tmp_path / "s.wav")
        assert code == 0, out
        assert "no beat is heard" in out
        assert "cancel each other out" in out
        assert "overrides:" not in out

    def test_clicks_are_heard_beside_a_recording_far_beyond_full_scale(self, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        loud = 50.0 * np.sin(2 * np.pi * 220 * np.arange(22050 * 4) / 22050)
        sf.write(tmp_path / "s.wav", loud, 22050, subtype="FLOAT")
        code, out = run("grid", tmp_path / "s.wav", "--click", tmp_path / "c.wav")
        assert code == 0, out
        clicked, rate = sf.read(tmp_path / "c.wav")
        at_beats = np.arange(4 * rate) % (rate // 2) < rate // 33  # 120 bpm from the start, where nothing is heard
        assert np.abs(clicked[at_beats]).max() > 1.3 * np.abs(clicked[~at_beats]).max()  # 0.6 of music, a click of 0.5
        assert (np.abs(clicked) > 0.999).sum() < 8  # two peaks, and nothing clipped beside them

    @pytest.mark.parametrize("name", ["song", "Song - 12 #2", "[live]", "it's 'x': y", "007", "yes", "a: b", "\u97f3"])
    def test_a_suggested_correction_reads_back_under_its_name(self, name: str) -> None:
        assert list(yaml.safe_load(f"{_key(name)}: 1")) == [name]

    def test_missing_tracker_is_an_error_with_its_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from rl_editor.beats import trackers

        monkeypatch.setitem(__import__("sys").modules, "beat_this.inference", None)
        trackers._beat_this_model.cache_clear()
        config = Config()
        config.beats.tracker = "beat_this"
        noise = 0.1 * np.random.default_rng(0).standard_normal(22050 * 8).astype(np.float32)
        with pytest.raises(BeatTrackerError, match="install the extra beat_this"):
            track_beats(noise, config)
