"""The reproducibility check against its reference: bytes on one kind of machine, decisions and tolerances on others."""

import fnmatch
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from test_params import output_names
from test_stages import project, run_to_labels  # noqa: F401  (a fixture)

from rl_editor.config import Config
from rl_editor.demonstrations import load_labels, save_labels
from stages import layout, reproducibility
from stages.params import load_all
from stages.reference import (
    REFERENCE,
    TOLERANCES,
    CheckFailedError,
    SmallRun,
    compare,
    load_reference,
    machine_kind,
    run_of,
    save_reference,
)
from stages.reproducibility import SMALL, lock_hashes, shrink

ROOT = Path(__file__).parent.parent

HERE = SmallRun(
    kind={"processor": "A", "torch": "AVX2"},
    outputs={"data/labels": "1f.dir", "metrics/bc.json": "2e"},
    decisions={"actions of s__radio": "0 1 1 0", "edit list of s__radio": "0+100 300+50", "left out by labels": ""},
    beat_times_ms={"s": "0 500 1000"},
    metrics={"align/n_pairs": 12.0, "align/coverage/radio": 0.99, "bc/train/loss": 1.2},
)
ELSEWHERE = replace(HERE, kind={"processor": "B", "torch": "DEFAULT"}, outputs={"data/labels": "other"})


def moved(run: SmallRun, field: str, **values: Any) -> SmallRun:
    names = {name.replace("__", "/"): value for name, value in values.items()}
    return replace(run, **{field: getattr(run, field) | names})


class TestSameKind:
    def test_equal_bytes_pass_and_it_says_so(self) -> None:
        verdict = compare(HERE, HERE)
        assert verdict.faults == ()
        assert str(verdict) == (
            "a machine of the reference's kind (A), so the bytes of 2 outputs are compared with the reference's: "
            "they agree"
        )

    def test_other_bytes_fail_even_where_all_else_agrees(self) -> None:
        verdict = compare(replace(HERE, outputs=HERE.outputs | {"metrics/bc.json": "99"}), HERE)
        assert verdict.faults == ("other bytes: metrics/bc.json", "decisions, labels and metrics agree all the same")
        assert "python -m stages.reproducibility --renew" in str(verdict)

    def test_an_output_more_or_less_fails(self) -> None:
        assert compare(replace(HERE, outputs=HERE.outputs | {"new": "1"}), HERE).faults[0] == "other bytes: new"
        assert (
            compare(replace(HERE, outputs={"data/labels": "1f.dir"}), HERE).faults[0] == "other bytes: metrics/bc.json"
        )


class TestAnotherKind:
    def test_other_bytes_pass_and_it_says_what_was_compared_and_why(self) -> None:
        verdict = compare(ELSEWHERE, HERE)
        assert verdict.faults == ()
        assert str(verdict) == (
            "another kind of machine than the reference's (processor B (A there), torch DEFAULT (AVX2 there)), so 3 "
            "decisions and labels are compared exactly, 3 metrics within tolerances, and no bytes: they agree"
        )

    @pytest.mark.parametrize(
        ("name", "text", "fault"),
        [
            ("actions of s__radio", "0 1 0 0", "entry 2 is 0, 1 in the reference"),
            ("edit list of s__radio", "0+100 300+51", "entry 1 is 300+51, 300+50 in the reference"),
            ("edit list of s__radio", "0+100", "entry 1 is nothing, 300+50 in the reference"),
            ("left out by labels", "s__radio", "entry 0 is s__radio, nothing in the reference"),
        ],
    )
    def test_a_decision_that_moved_fails(self, name: str, text: str, fault: str) -> None:
        assert compare(replace(ELSEWHERE, decisions=HERE.decisions | {name: text}), HERE).faults == (
            f"{name}: {fault}",
        )

    def test_beats_may_move_by_a_millisecond_and_not_in_number(self) -> None:
        assert compare(replace(ELSEWHERE, beat_times_ms={"s": "0 501 999"}), HERE).faults == ()
        assert compare(replace(ELSEWHERE, beat_times_ms={"s": "0 502 1000"}), HERE).faults == (
            "beats of s: up to 2 ms off, 1 ms either way is allowed",
        )
        assert compare(replace(ELSEWHERE, beat_times_ms={"s": "0 500"}), HERE).faults == (
            "beats of s: 2 boundaries, 3 in the reference",
        )

    def test_metrics_may_move_within_their_tolerance(self) -> None:
        near, far = 1.2 + TOLERANCES["bc/*"] - 0.001, 1.2 + TOLERANCES["bc/*"] + 0.001
        assert compare(moved(ELSEWHERE, "metrics", bc__train__loss=near), HERE).faults == ()
        assert compare(moved(ELSEWHERE, "metrics", bc__train__loss=far), HERE).faults == (
            "bc/train/loss: 1.351, 1.2 in the reference, 0.15 either way is allowed",
        )
        assert compare(moved(ELSEWHERE, "metrics", align__n_pairs=11.0), HERE).faults == (
            "align/n_pairs: 11, 12 in the reference, 0 either way is allowed",
        )
        assert len(compare(moved(ELSEWHERE, "metrics", bc__train__loss=float("nan")), HERE).faults) == 1

    def test_a_metric_without_a_tolerance_is_not_compared(self) -> None:
        assert compare(moved(ELSEWHERE, "metrics", evaluate__bc__target__some_style__run_f1=1.0), HERE).faults == ()

    def test_a_metric_more_or_less_fails(self) -> None:
        more = moved(ELSEWHERE, "metrics", bc__new=1.0)
        assert compare(more, HERE).faults == ("bc/new: 1, missing in the reference",)
        assert compare(HERE, more).faults == ("bc/new: missing, 1 in the reference",)

    def test_long_lists_are_cut(self) -> None:
        verdict = compare(replace(ELSEWHERE, decisions={str(n): "x" for n in range(20)}), HERE)
        assert len(verdict.faults) == 20 + len(HERE.decisions)
        assert "... and 15 more" in str(verdict)


class TestMachineKind:
    def test_it_is_the_same_twice_and_a_switch_makes_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = machine_kind()
        assert machine_kind() == before
        assert all(before.values())
        monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
        assert machine_kind() != before


class TestRun:
    def test_it_is_read_from_a_checkout_and_a_moved_label_fails(self, project: Path, tmp_path: Path) -> None:  # noqa: F811
        run_to_labels()
        (project / "metrics/bc.json").write_text('{"train/loss": 1.0}', encoding="utf-8")
        (project / "metrics/ppo.json").write_text('{"loss/total": 9.0}', encoding="utf-8")  # has no tolerance
        run = run_of(project, {"data/labels": "1"})
        assert set(run.metrics) == {
            "align/coverage/default", "align/median_confidence", "align/n_pairs", "align/n_rejected", "bc/train/loss",
        }  # fmt: skip
        assert run.decisions["split of s0_raw"] in {"train", "validation", "test"}
        first, second = run.decisions["edit list of s0"].split()  # the first 6 s of 22050 Hz, then from 10 s on
        assert first == "0+132300"
        assert second == "220500+132300"
        save_reference(tmp_path / "r.json", run)
        reference = replace(load_reference(tmp_path / "r.json"), kind={"processor": "another"})
        assert compare(run, reference).faults == ()

        labels = load_labels(layout.LABELS / "s0.npz")
        actions = labels.actions.copy()
        actions[-1] = 1 - actions[-1]
        save_labels(layout.LABELS / "s0.npz", replace(labels, actions=actions))
        faults = compare(run_of(project, {"data/labels": "1"}), reference).faults
        assert faults == (
            f"actions of s0: entry {len(actions) - 1} is {actions[-1]}, {1 - actions[-1]} in the reference",
        )

    def test_no_reference_says_how_to_make_one(self, tmp_path: Path) -> None:
        (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
        for name in ("bad.json", "none.json"):
            with pytest.raises(CheckFailedError, match=rf"{name}: no reference \(.*\); make one with .*--renew"):
                load_reference(tmp_path / name)


class TestCommittedReference:
    def test_it_holds_every_output_of_the_pipeline_and_every_tolerance_is_used(self) -> None:
        reference = load_reference(ROOT / REFERENCE)
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        assert set(reference.outputs) == {name for stage in stages.values() for name in output_names(stage)}
        assert compare(replace(reference, kind={}), reference).faults == ()
        assert not [pattern for pattern in TOLERANCES if not fnmatch.filter(reference.metrics, pattern)]


class TestCheck:
    @pytest.fixture
    def runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SmallRun]:
        """What the two clones give, without running the pipeline; the second entry is what the reference holds."""
        runs = [HERE, HERE]
        (tmp_path / "stages").mkdir()
        save_reference(tmp_path / REFERENCE, HERE)
        monkeypatch.setattr(reproducibility, "_output", lambda *_: "commit")
        hashes = iter(runs)
        monkeypatch.setattr(reproducibility, "outputs_of", lambda *_: next(hashes).outputs)
        monkeypatch.setattr(reproducibility, "run_of", lambda *_: runs[0])
        return runs

    def test_it_passes_and_says_what_it_did(
        self, runs: list[SmallRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reproducibility.main(tmp_path)
        said = capsys.readouterr().err
        assert "2 outputs have the same bytes in two clones" in said
        assert "a machine of the reference's kind" in said

    def test_two_clones_that_differ_fail(self, runs: list[SmallRun], tmp_path: Path) -> None:
        runs[1] = ELSEWHERE
        with pytest.raises(typer.Exit) as left:
            reproducibility.main(tmp_path)
        assert left.value.exit_code == 1

    def test_a_moved_label_fails_until_the_reference_is_renewed(
        self, runs: list[SmallRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        label = replace(ELSEWHERE, decisions=HERE.decisions | {"actions of s__radio": "0 1 0 0"})
        runs[:] = [label, label]
        monkeypatch.setattr(reproducibility, "outputs_of", lambda *_: label.outputs)
        with pytest.raises(typer.Exit) as left:
            reproducibility.main(tmp_path)
        assert left.value.exit_code == 1
        reproducibility.main(tmp_path, renew=True)
        assert load_reference(tmp_path / REFERENCE) == label
        reproducibility.main(tmp_path)

    def test_the_small_settings_are_settings(self, tmp_path: Path) -> None:
        params = tmp_path / "params.yaml"
        params.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
        shrink(params, SMALL)
        config = load_all(params)
        assert (config.corpus.n_songs, config.bc.epochs, config.tracking.backend) == (4, 3, "none")
        assert sorted(config.data.splits.values()) == ["test", "validation"]
        assert config.audio == Config().audio
        with pytest.raises(CheckFailedError, match=r"no setting bc\.eons; was it renamed"):
            shrink(params, {"bc.eons": "1"})

    def test_hashes_of_a_lock(self) -> None:
        lock = {"stages": {"a": {"outs": [{"path": "x", "md5": "1"}]}, "b": {"cmd": "b"}}}
        assert lock_hashes(json.loads(json.dumps(lock))) == {"x": "1"}
        assert np.array_equal([], list(lock_hashes({"stages": {}})))
