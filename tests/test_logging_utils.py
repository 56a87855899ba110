"""Trackers: a real MLflow store in a temporary folder, event files, and refusals that never reach training."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from platform import node

import pytest

from rl_editor.config import Config
from rl_editor.errors import ConfigError
from rl_editor.logging_utils import (
    GROUP_TAG,
    PROCESS_TAG,
    TrainingLogger,
    create_logger,
    flattened,
    pipeline_group,
    provenance_tags,
    tracking_uri,
)

ROOT = Path(__file__).parent.parent


def config_for(backend: str) -> Config:
    return Config.from_dict({"tracking": {"backend": backend}})


def test_none_takes_everything(tmp_path: Path) -> None:
    with create_logger(config_for("none")) as logger:
        logger.log_metrics({"loss": 1.0}, step=3)
        logger.log_artifact(tmp_path / "missing")
        logger.set_tags({"a": "b"})
    assert type(logger) is TrainingLogger


def test_params_become_dotted_text() -> None:
    assert flattened({"ppo": {"clip": 0.2, "deep": {"x": None}}, "empty": {}}) == {
        "ppo.clip": "0.2",
        "ppo.deep.x": "None",
        "empty": "{}",
    }


def test_mlflow_nests_stage_runs_below_one_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "bc")
    config = config_for("mlflow")
    note = tmp_path / "note.txt"
    note.write_text("heard")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for name in ("bc", "ppo"):
            with create_logger(config, run_name=name, group=pipeline_group(config)) as logger:
                logger.log_metrics({"loss": 2.0, "accuracy": 0.5}, step=0)
                logger.log_metrics({"loss": 1.0, "accuracy": 0.75}, step=1)
                logger.log_dataset("features", digest="abc")
                logger.log_artifact(note, "notes")
    assert tracking_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=tracking_uri())
    experiment = client.get_experiment_by_name("rl-editor")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    parent = next(run for run in runs.values() if run.data.tags.get(f"{GROUP_TAG}.role") == "parent")
    assert len(runs) == 3  # one parent, two stages
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in ("bc", "ppo")} == {parent.info.run_id}
    assert runs["bc"].data.tags["dvc.stage"] == "bc"
    assert "dvc.stage" not in parent.data.tags  # it holds all of them
    assert parent.info.end_time >= max(runs[name].info.end_time for name in ("bc", "ppo"))
    assert runs["bc"].data.params["ppo.clip_ratio"] == "0.2"
    assert [m.value for m in client.get_metric_history(runs["ppo"].info.run_id, "loss")] == [2.0, 1.0]
    assert [a.path for a in client.list_artifacts(runs["bc"].info.run_id, "notes")] == ["notes/note.txt"]
    assert runs["bc"].inputs.dataset_inputs[0].dataset.digest == "abc"
    assert (tmp_path / "mlruns").is_dir()


def test_an_empty_tracking_uri_is_none_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Compose and CI set a variable that has no value: artifacts lie beside the store, not where this runs."""
    from mlflow.tracking import MlflowClient

    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv("DVC_ROOT", str(project))
    with create_logger(config_for("mlflow"), run_name="bc"):
        pass
    assert tracking_uri() == f"sqlite:///{project / 'mlflow.db'}"
    experiment = MlflowClient(tracking_uri=tracking_uri()).get_experiment_by_name("rl-editor")
    assert experiment.artifact_location == (project / "mlruns" / "rl-editor").as_uri()


def test_mlflow_takes_editors_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    names = ["Björn (loops)", "Rock & Roll", "Rock + Roll", "AC/DC", "..", "a//b", "x" * 300]
    config = config_for("mlflow")
    config.reward.loop_ratio_by_style = dict.fromkeys(names, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with create_logger(config, run_name="evaluate") as logger:
            logger.log_metrics({f"ppo/free/{name}/reward": float(number) for number, name in enumerate(names)})
    client = MlflowClient(tracking_uri=tracking_uri())
    experiment = client.get_experiment_by_name("rl-editor")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {
        "ppo/free/Björn _loops_/reward": 0.0,
        "ppo/free/Rock _ Roll/reward": 1.0,
        "ppo/free/Rock _ Roll/reward_": 2.0,
        "ppo/free/AC/DC/reward": 3.0,
        "ppo/free/_/reward": 4.0,
        "ppo/free/a/_/b/reward": 5.0,
        f"ppo/free/{'x' * 231}": 6.0,  # 240 characters, of which "ppo/free/" are nine
    }
    assert run.data.params["reward.loop_ratio_by_style.Björn _loops_"] == "0.5"


def test_tensorboard_writes_event_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with create_logger(config_for("tensorboard"), run_name="bc") as logger:
        logger.log_metrics({"loss": 1.0}, step=1)
    assert list((tmp_path / "runs" / "bc").glob("events.*"))


@pytest.mark.parametrize(("backend", "package"), [("tensorboard", "tensorboard"), ("wandb", "wandb")])
def test_a_missing_package_names_its_remedy(backend: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match="pip install"):
        create_logger(config_for(backend))


def test_an_unreachable_tracker_warns_once_and_stays_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'file' / 'below'}")
    with pytest.warns(UserWarning, match="training goes on") as caught:
        logger = create_logger(config_for("mlflow"))
    assert len([w for w in caught if "training goes on" in str(w.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.log_metrics({"loss": 1.0}, step=1)
        logger.close()


@pytest.mark.parametrize("backend", ["mlflow", "tensorboard"])
def test_a_place_that_cannot_be_written_warns_in_one_line(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file where event files belong")
    (tmp_path / "mlflow.db").write_text("no database, and longer than the header of one" * 10)
    with pytest.warns(UserWarning, match="training goes on") as caught, create_logger(config_for(backend)) as logger:
        logger.log_metrics({"loss": 1.0}, step=1)
    (said,) = [str(w.message) for w in caught if "training goes on" in str(w.message)]
    assert "\n" not in said


def test_a_pipeline_ends_in_mlflow_as_its_last_stage_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    for failed in (True, False):
        create_logger(config_for("mlflow"), run_name="bc", group="g").close(failed=failed)
        client = MlflowClient(tracking_uri=tracking_uri())
        experiment = client.get_experiment_by_name("rl-editor")
        (parent,) = client.search_runs([experiment.experiment_id], f"tags.`{GROUP_TAG}.role` = 'parent'")
        assert parent.info.status == ("FAILED" if failed else "FINISHED")


def test_whole_pipelines_are_compared_by_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    for experiment, clip_ratio in (("", 0.2), ("wide", 0.3)):
        monkeypatch.setenv("DVC_EXP_NAME", experiment)
        config = Config.from_dict({"ppo": {"clip_ratio": clip_ratio}})
        for name in ("ppo", "evaluate"):
            with create_logger(config, run_name=name, group=pipeline_group(config)) as logger:
                logger.log_summary({"ppo/score": 0.5 + clip_ratio} if name == "evaluate" else {})
    client = MlflowClient(tracking_uri=tracking_uri())
    kept = client.get_experiment_by_name("rl-editor")
    first, wide = client.search_runs(
        [kept.experiment_id], f"tags.`{GROUP_TAG}.role` = 'parent'", order_by=["params.`ppo.clip_ratio`"]
    )
    assert first.info.run_name == f"pipeline-{pipeline_group(Config())[:8]}"
    assert wide.info.run_name == "pipeline-wide"
    assert (first.data.params["ppo.clip_ratio"], wide.data.params["ppo.clip_ratio"]) == ("0.2", "0.3")
    assert (first.data.metrics, wide.data.metrics) == ({"ppo/score": 0.7}, {"ppo/score": 0.8})


def test_a_run_that_was_refused_midway_does_not_run_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    with create_logger(config_for("mlflow"), group="g") as logger:
        with pytest.warns(UserWarning, match="training goes on"):
            logger.log_artifact(tmp_path / "gone")
        logger.log_metrics({"loss": 1.0})
    client = MlflowClient(tracking_uri=tracking_uri())
    experiment = client.get_experiment_by_name("rl-editor")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {"run": "FAILED", "pipeline-g": "FINISHED"}
    assert runs["run"].data.metrics == {}


def test_a_stage_that_was_killed_is_said_to_be_when_it_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    for name in ("bc", "ppo"):
        create_logger(config_for("mlflow"), run_name=name, group="g")  # and never ends
    create_logger(config_for("mlflow"), run_name="ppo", group="other")
    create_logger(config_for("mlflow"), run_name="ppo", group="g").close()
    client = MlflowClient(tracking_uri=tracking_uri())
    experiment = client.get_experiment_by_name("rl-editor")
    runs = [r for r in client.search_runs([experiment.experiment_id]) if "mlflow.parentRunId" in r.data.tags]
    said = sorted((r.data.tags[GROUP_TAG], r.info.run_name, r.info.status) for r in runs)
    assert said == [
        ("g", "bc", "RUNNING"),
        ("g", "ppo", "FINISHED"),
        ("g", "ppo", "KILLED"),
        ("other", "ppo", "RUNNING"),
    ]


@pytest.mark.parametrize("group", [None, "g"])
def test_runs_of_processes_that_are_gone_are_said_to_be_killed_by_the_next_run_of_any_settings(
    group: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline of other settings or another commit has another group, and never asks for the runs of this one."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    killed = (
        "import os, signal; from rl_editor.config import Config; from rl_editor.logging_utils import create_logger\n"
        "create_logger(Config(), run_name='killed', group='before'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", killed], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert ended.returncode == -signal.SIGKILL
    create_logger(config_for("mlflow"), run_name="alive", group="before")
    client = MlflowClient(tracking_uri=tracking_uri())
    experiment = client.get_experiment_by_name("rl-editor").experiment_id
    for name, process in (("number taken since", f"{node()} {os.getpid()}"), ("elsewhere", "another machine 999999")):
        client.create_run(experiment, start_time=1, run_name=name, tags={PROCESS_TAG: process})
    create_logger(config_for("mlflow"), run_name="next", group=group).close()
    said = {run.info.run_name: run.info.status for run in client.search_runs([experiment])}
    assert {name: said[name] for name in ("killed", "alive", "number taken since", "elsewhere", "next")} == {
        "killed": "KILLED",
        "alive": "RUNNING",
        "number taken since": "KILLED",
        "elsewhere": "RUNNING",
        "next": "FINISHED",
    }


def test_a_store_that_was_not_finished_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow makes its tables in steps, and opens no store that holds some of them."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    killed = (
        "import os, signal; from alembic.runtime.migration import HeadMaintainer; from rl_editor.config import Config\n"
        "from rl_editor.logging_utils import create_logger\n"
        "HeadMaintainer.update_to_step = lambda self, step: os.kill(os.getpid(), signal.SIGKILL)\n"
        "create_logger(Config(), run_name='killed')"
    )
    ended = subprocess.run([sys.executable, "-c", killed], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert ended.returncode == -signal.SIGKILL
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        create_logger(config_for("mlflow"), run_name="next").close()
    client = MlflowClient(tracking_uri=tracking_uri())
    experiment = client.get_experiment_by_name("rl-editor").experiment_id
    assert [(run.info.run_name, run.info.status) for run in client.search_runs([experiment])] == [("next", "FINISHED")]


def test_the_group_follows_the_settings() -> None:
    changed = Config.from_dict({"ppo": {"clip_ratio": 0.3}})
    assert pipeline_group(Config()) == pipeline_group(Config()) != pipeline_group(changed)


def test_provenance_outside_a_repository_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert provenance_tags() == {}


def test_what_a_run_writes_itself_makes_no_tree_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC removes a stage's metrics and plots, which are in git, before it runs the stage."""

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=tmp_path, check=True)

    for name in ("metrics/bc.json", "plots/bc.csv", "dvc.lock", "params.yaml", "inner/file"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1", encoding="utf-8")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "all")
    (tmp_path / "metrics" / "bc.json").unlink()
    (tmp_path / "plots" / "bc.csv").write_text("2", encoding="utf-8")
    (tmp_path / "dvc.lock").write_text("2", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "inner")
    assert provenance_tags()["git.dirty"] == "false"
    (tmp_path / "params.yaml").write_text("2", encoding="utf-8")
    assert provenance_tags()["git.dirty"] == "true"
