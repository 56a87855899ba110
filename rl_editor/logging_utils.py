"""Experiment tracking: one small logger, with nothing, MLflow, TensorBoard or Weights & Biases behind it.

Conventions: a tracker mirrors a run and changes no output, so it never raises into training: the first refusal is a
warning and ends tracking for that run. Metrics of one epoch or update go out together (one ``log_batch`` to MLflow:
200 single calls take 50 times as long). Parameters are the flattened config, ``ppo.clip_ratio``. MLflow writes to
``MLFLOW_TRACKING_URI``, else to ``mlflow.db`` in ``DVC_ROOT`` (a queued experiment runs in a temporary checkout), else
in the working directory. Runs of one pipeline share a parent run, found by a tag that is a hash of config and commit,
never by an id kept in a file. It holds the settings and the headline numbers, by which whole pipelines are compared.
"""

import hashlib
import json
import os
import re
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from platform import node
from types import TracebackType
from typing import Any, TypeVar

from rl_editor.config import Config
from rl_editor.errors import ConfigError, first_lines
from rl_editor.files import unfinished

GROUP_TAG = "rl_editor.group"
PROCESS_TAG = "rl_editor.process"  # the machine's name and the process's number
PARENT_NAME = "pipeline"
_IN_A_FILE = "sqlite:///"
_PARAMS_PER_BATCH = 100  # MLflow's limit
_METRICS_PER_BATCH = 1000  # MLflow's limit
_WRITTEN_BY_RUNS = tuple(f":(top,exclude){name}" for name in ("dvc.lock", "metrics", "plots"))  # DVC clears them first
_VALUE_CHARACTERS = 500  # stores cut or refuse longer parameters
_START_SLACK_MS = 60_000  # clocks are set while a process runs
_NAME_CHARACTERS = 240  # MLflow takes 250
_NOT_IN_NAMES = re.compile(r"[^\w .:-]")  # slashes aside, which part a name

_Value = TypeVar("_Value")


class TrainingLogger:
    """The base, which keeps nothing; a backend overrides the methods that start with ``_write``."""

    def __init__(self) -> None:
        self._refused = False

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings; nested sections become dotted names."""
        self._guard(self._write_params, flattened(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record the numbers of one epoch or update."""
        self._guard(self._write_metrics, {name: float(value) for name, value in metrics.items()}, step)

    def log_summary(self, metrics: Mapping[str, float]) -> None:
        """Record what a whole pipeline comes to, in the run that its stages share."""
        self._guard(self._write_summary, {name: float(value) for name, value in metrics.items()})

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Record a file."""
        self._guard(self._write_artifact, Path(path), folder)

    def log_dataset(self, name: str, *, digest: str, context: str = "training") -> None:
        """Record which data went in, by its hash."""
        self._guard(self._write_dataset, name, digest, context)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record what the run is."""
        self._guard(self._write_tags, {name: str(value) for name, value in tags.items()})

    def close(self, *, failed: bool = False) -> None:
        """End the run; one of which something was refused has failed, however training went."""
        if self._refused:
            with suppress(Exception):  # which was said when it refused
                self._write_incomplete()
        self._guard(self._write_end, failed)

    def __enter__(self) -> "TrainingLogger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=error is not None)

    def _guard(self, write: Callable[..., None], *values: Any) -> None:
        if self._refused:
            return
        try:
            write(*values)
        except Exception as error:  # noqa: BLE001 - a tracker of any kind must never stop training
            self._refused = True
            warnings.warn(
                f"{type(self).__name__}: {type(error).__name__}: {first_lines(error, 2)}; nothing more of this run is "
                "tracked, training goes on (tracking.backend: none turns tracking off)",
                stacklevel=3,
            )

    def _write_params(self, params: dict[str, str]) -> None:
        """Nothing is kept."""

    def _write_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Nothing is kept."""

    def _write_summary(self, metrics: dict[str, float]) -> None:
        """Nothing is kept."""

    def _write_artifact(self, path: Path, folder: str | None) -> None:
        """Nothing is kept."""

    def _write_dataset(self, name: str, digest: str, context: str) -> None:
        """Nothing is kept."""

    def _write_tags(self, tags: dict[str, str]) -> None:
        """Nothing is kept."""

    def _write_end(self, failed: bool) -> None:
        """Nothing is open."""

    def _write_incomplete(self) -> None:
        """Nothing is open."""


def create_logger(config: Config, *, run_name: str = "run", group: str | None = None) -> TrainingLogger:
    """The logger that ``config.tracking.backend`` names, with parameters and provenance already recorded.

    A logger can be made from any process; make one in rank 0 only.

    Raises:
        ConfigError: the backend's package is not installed.
    """
    logger = _open(config, run_name, group)
    logger.log_params(config.to_dict())
    logger.set_tags(provenance_tags())
    return logger


def pipeline_group(config: Config) -> str:
    """The same name for every stage of one pipeline run: a hash of the settings and the commit."""
    text = json.dumps(config.to_dict(), sort_keys=True) + _git("rev-parse", "HEAD")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def flattened(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and text."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)[:_VALUE_CHARACTERS]
    return flat


def nameable(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """The same under names that MLflow takes: an editor may be called ``Rock & Roll (live)``, a metric may not.

    Letters of all alphabets stay. Names that would become one are told apart by underscores.
    """
    found: dict[str, _Value] = {}
    for name, value in values.items():
        parts = (_NOT_IN_NAMES.sub("_", part) for part in name[:_NAME_CHARACTERS].split("/"))
        plain = "/".join("_" if part in {"", ".", ".."} else part for part in parts)
        while plain in found:
            plain += "_"
        found[plain] = value
    return found


def provenance_tags() -> dict[str, str]:
    """Where a run comes from: commit, whether what it reads differs from it, the *committed* dvc.lock, the stage."""
    tags = {"dvc.stage": os.environ.get("DVC_STAGE", ""), "dvc.exp_name": os.environ.get("DVC_EXP_NAME", "")}
    if commit := _git("rev-parse", "HEAD"):
        lock = _git("show", "HEAD:dvc.lock")
        dirty = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", *_WRITTEN_BY_RUNS)
        tags |= {"git.commit": commit, "git.dirty": str(bool(dirty)).lower()}
        tags["lock.sha256"] = hashlib.sha256(lock.encode()).hexdigest() if lock else ""
    return {name: value for name, value in tags.items() if value}


def tracking_uri() -> str:
    """Where MLflow keeps its runs."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_store_root() / 'mlflow.db'}"


def tracking_client() -> Any:
    """MLflow's client. A store in a file that is not there yet is made beside its place, and there whole or not at all.

    MLflow makes its tables in steps. Of a store in which a kill or a full disk left some of them, it opens none again.
    """
    from mlflow.tracking import MlflowClient

    uri = tracking_uri()
    store = Path(uri.removeprefix(_IN_A_FILE))
    if uri.startswith(_IN_A_FILE) and "?" not in uri and not store.exists():
        store.parent.mkdir(parents=True, exist_ok=True)
        temporary = unfinished(store)
        try:
            MlflowClient(tracking_uri=f"{_IN_A_FILE}{temporary}").search_experiments(max_results=1)
            with suppress(OSError):  # another process came first; or no links are taken there, and MLflow makes its own
                os.link(temporary, store)
        finally:
            with suppress(OSError):  # it is open yet, which Windows minds
                temporary.unlink(missing_ok=True)
    return MlflowClient(tracking_uri=uri)


class MLflowLogger(TrainingLogger):
    """One run in MLflow, below the parent run of its group if it has one; made with ``create_logger``."""

    def __init__(self, *, experiment: str, run_name: str, group: str | None) -> None:
        super().__init__()
        self.run_id: str | None = None
        self._parent_id: str | None = None
        self._guard(self._start, experiment, run_name, group)

    def _start(self, experiment: str, run_name: str, group: str | None) -> None:
        self._client = tracking_client()
        experiment_id = _experiment_id(self._client, experiment)
        tags = {"mlflow.user": os.environ.get("USER", "unknown"), PROCESS_TAG: f"{node()} {os.getpid()}"}
        self._parent_id = _parent_run_id(self._client, experiment_id, group) if group else None
        if group and self._parent_id:
            tags |= {"mlflow.parentRunId": self._parent_id, GROUP_TAG: group}
        _end_killed(self._client, experiment_id, self._parent_id, run_name)
        self.run_id = self._client.create_run(experiment_id, tags=tags, run_name=run_name).info.run_id

    def _write_params(self, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        entries = [Param(name, value) for name, value in nameable(params).items()]
        runs = [self.run_id]
        if self._parent_id and not self._client.get_run(self._parent_id).data.params:
            runs.append(self._parent_id)
        for run_id in runs:
            for start in range(0, len(entries), _PARAMS_PER_BATCH):
                self._client.log_batch(run_id, params=entries[start : start + _PARAMS_PER_BATCH])

    def _write_metrics(self, metrics: dict[str, float], step: int) -> None:
        self._write_metrics_of(self.run_id, metrics, step)

    def _write_summary(self, metrics: dict[str, float]) -> None:
        if self._parent_id is not None:
            self._write_metrics_of(self._parent_id, metrics, 0)

    def _write_metrics_of(self, run_id: str | None, metrics: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now_ms = time.time_ns() // 1_000_000
        entries = [Metric(name, value, now_ms, step) for name, value in nameable(metrics).items()]
        for start in range(0, len(entries), _METRICS_PER_BATCH):
            self._client.log_batch(run_id, metrics=entries[start : start + _METRICS_PER_BATCH])

    def _write_artifact(self, path: Path, folder: str | None) -> None:
        self._client.log_artifact(self.run_id, str(path), folder)

    def _write_dataset(self, name: str, digest: str, context: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name=name, digest=digest[:36], source_type="local", source=name)
        self._client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def _write_tags(self, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _write_end(self, failed: bool) -> None:
        for run_id in (self.run_id, self._parent_id):  # a pipeline ends with its last stage, and as it did
            if run_id is not None:
                self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def _write_incomplete(self) -> None:
        if self.run_id is not None:
            self._client.set_terminated(self.run_id, "FAILED")


class TensorBoardLogger(TrainingLogger):
    """Event files under ``runs/<run name>``."""

    def __init__(self, *, run_name: str) -> None:
        super().__init__()
        _required("tensorboard")
        self._guard(self._start, f"runs/{run_name}")

    def _start(self, folder: str) -> None:
        self._writer = import_module("torch.utils.tensorboard").SummaryWriter(folder)

    def _write_params(self, params: dict[str, str]) -> None:
        lines = "\n".join(f"    {name}: {value}" for name, value in sorted(params.items()))
        self._writer.add_text("params", lines)

    def _write_metrics(self, metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def _write_artifact(self, path: Path, folder: str | None) -> None:
        self._writer.add_text(f"artifacts/{folder or ''}", str(path.name))

    def _write_dataset(self, name: str, digest: str, context: str) -> None:
        self._writer.add_text(f"datasets/{context}", f"{name} {digest}")

    def _write_tags(self, tags: dict[str, str]) -> None:
        for name, value in tags.items():
            self._writer.add_text(f"tags/{name}", value)

    def _write_end(self, failed: bool) -> None:
        self._writer.close()


class WandbLogger(TrainingLogger):
    """One run at Weights & Biases (``WANDB_MODE=offline`` keeps it on disk)."""

    def __init__(self, *, experiment: str, run_name: str, group: str | None) -> None:
        super().__init__()
        self._wandb = _required("wandb")
        self._guard(self._start, experiment, run_name, group)

    def _start(self, experiment: str, run_name: str, group: str | None) -> None:
        self._run = self._wandb.init(project=experiment, name=run_name, group=group)

    def _write_params(self, params: dict[str, str]) -> None:
        self._run.config.update(params)

    def _write_metrics(self, metrics: dict[str, float], step: int) -> None:
        self._run.log(metrics, step=step)

    def _write_artifact(self, path: Path, folder: str | None) -> None:
        self._run.save(str(path), base_path=str(path.parent), policy="now")

    def _write_dataset(self, name: str, digest: str, context: str) -> None:
        self._run.config.update({f"dataset.{context}.{name}": digest})

    def _write_tags(self, tags: dict[str, str]) -> None:
        self._run.config.update({f"tag.{name}": value for name, value in tags.items()})

    def _write_end(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


def _open(config: Config, run_name: str, group: str | None) -> TrainingLogger:
    tracking = config.tracking
    match tracking.backend:
        case "none":
            return TrainingLogger()
        case "tensorboard":
            return TensorBoardLogger(run_name=run_name)
        case "wandb":
            return WandbLogger(experiment=tracking.experiment, run_name=run_name, group=group)
        case "mlflow":
            return MLflowLogger(experiment=tracking.experiment, run_name=run_name, group=group)


def _experiment_id(client: Any, name: str) -> str:
    """The experiment's id; a new one in a local store keeps its artifacts beside the store, not in the cwd."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    location = (_store_root() / "mlruns" / name).as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=location))


def _parent_run_id(client: Any, experiment_id: str, group: str) -> str:
    """The group's pipeline run, made when it is the first to ask; re-runs of the same group join it."""
    query = f"tags.`{GROUP_TAG}` = '{group}' and tags.`{GROUP_TAG}.role` = 'parent'"
    found = client.search_runs([experiment_id], filter_string=query, max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = provenance_tags() | {GROUP_TAG: group, f"{GROUP_TAG}.role": "parent"}
    tags.pop("dvc.stage", None)  # it holds every stage, not the first to ask
    name = os.environ.get("DVC_EXP_NAME") or group[:8]
    run = client.create_run(experiment_id, tags=tags, run_name=f"{PARENT_NAME}-{name}")
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _end_killed(client: Any, experiment_id: str, parent_id: str | None, run_name: str) -> None:
    """End what was killed and could not say so: runs of processes that are gone, and those of a stage that starts anew.

    One that lives after all ends as it does.
    """
    for run in client.search_runs([experiment_id], filter_string="attributes.status = 'RUNNING'"):
        tags, name = run.data.tags, run.info.run_name
        starts_anew = parent_id is not None and (tags.get("mlflow.parentRunId"), name) == (parent_id, run_name)
        if starts_anew or _is_gone(tags.get(PROCESS_TAG, ""), run.info.start_time):
            client.set_terminated(run.info.run_id, "KILLED")


def _is_gone(process: str, started_ms: int) -> bool:
    """Whether a process of this machine, which began a run then, has ended; of other machines nobody knows here."""
    import psutil

    machine, _, number = process.rpartition(" ")
    if machine != node():
        return False
    try:
        return bool(psutil.Process(int(number)).create_time() * 1000 > started_ms + _START_SLACK_MS)  # another by now
    except psutil.NoSuchProcess:
        return True


def _store_root() -> Path:
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def _required(backend: str) -> Any:
    """A backend's package; the extra that installs it has the same name."""
    try:
        return import_module(backend)
    except ImportError:
        raise ConfigError(
            f"tracking.backend {backend!r}: the package {backend} is not installed; "
            f"pip install 'rl-editor[{backend}]', or set tracking.backend: none"
        ) from None


def _git(*arguments: str) -> str:
    """Output of a git command, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
