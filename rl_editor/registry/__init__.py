"""The model registry: a trained policy becomes a version of one registered MLflow model.

A version is a pyfunc made from code (``registry/served.py``) and the policy file: no pickle. A policy that is
registered already, by the hash of its file, gets no second version. The alias ``champion`` moves only when the new
version beats the present champion on the same held-out songs, or that one's file is gone or cannot be loaded by this
version of the package.
"""

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rl_editor import __version__
from rl_editor.errors import CheckpointError, TrackingError, first_lines
from rl_editor.files import file_sha256
from rl_editor.logging_utils import tracking_client, tracking_uri

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy

CHAMPION = "champion"
HASH_TAG, SCORE_TAG, HELD_OUT_TAG = "policy.sha256", "held_out.score", "held_out.digest"
SERVED = Path(__file__).with_name("served.py")
ARTIFACT = "policy"
EDIT_LIST = ("format", "version", "source", "duration", "segments", "beats", "regions", "actions")
FADES = ("fade_in_ms", "fade_out_ms")  # which an edit list has where its ends fade
DESCRIPTION = (
    "Edits recordings as its editor does: paths of recordings in, edit lists out, as `rl-editor render` reads them. "
    f"The alias `{CHAMPION}` is the version with the best score on songs that no training has seen (tag `{SCORE_TAG}`)."
)
_log = logging.getLogger(__name__)


class Registered(NamedTuple):
    """A policy in the registry."""

    version: str
    is_new: bool
    is_champion: bool


class HeldOut(NamedTuple):
    """How good a policy is on songs that no training has seen."""

    score: float  # higher is better
    digest: str  # names the songs


def register(
    policy: str | Path,
    name: str,
    *,
    held_out: HeldOut,
    measure: "Callable[[Policy], float] | None" = None,
    run_id: str | None = None,
) -> Registered:
    """Register a policy file, and make it the champion if it beats the present one.

    Args:
        policy: the checkpoint.
        name: of the registered model.
        held_out: its score, and on what.
        measure: scores another policy on the same songs; needed when the champion was measured on others.
        run_id: the tracker's run that the model belongs to.

    Raises:
        TrackingError: MLflow refuses, or its store is damaged or takes no more.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError  # MLflow passes on what its database says while it opens it

    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # of one file
    sha256 = file_sha256(policy)
    try:
        client = tracking_client()
        version = _known_version(client, name, sha256)
        is_new = version is None
        if version is None:
            version = _log_version(Path(policy), name, run_id, tags={HASH_TAG: sha256})
        if not client.get_registered_model(name).description:  # or a person has written their own
            client.update_registered_model(name, DESCRIPTION)
        client.set_model_version_tag(name, version, SCORE_TAG, repr(held_out.score))
        client.set_model_version_tag(name, version, HELD_OUT_TAG, held_out.digest)
        is_champion = _challenge(client, name, version, held_out, measure)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(f"model registry {tracking_uri()}: {first_lines(error, 2)}") from error
    return Registered(version, is_new, is_champion)


def _known_version(client: Any, name: str, sha256: str) -> str | None:
    found = client.search_model_versions(f"name = '{name}'")
    return next((str(v.version) for v in found if v.tags.get(HASH_TAG) == sha256), None)


def _log_version(policy: Path, name: str, run_id: str | None, *, tags: dict[str, str]) -> str:
    """Register a policy; its tags come with it, or a run that is killed in between leaves a version nobody knows."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    mlflow.set_tracking_uri(tracking_uri())
    columns = [
        ColSpec("string", "path"),
        ColSpec("double", "target_duration_s", required=False),
        ColSpec("string", "style", required=False),
    ]
    edit_list = [ColSpec(AnyType(), field, required=field not in FADES) for field in (*EDIT_LIST, *FADES)]
    run = mlflow.start_run(run_id=run_id, run_name=None if run_id else "export")
    with run, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no input example: it would be a path of this machine
        logged = mlflow.pyfunc.log_model(
            name=ARTIFACT,
            python_model=str(SERVED),
            artifacts={ARTIFACT: str(policy)},
            signature=ModelSignature(inputs=Schema(columns), outputs=Schema(edit_list)),
            pip_requirements=[f"rl-editor=={__version__}"],
        )
        return str(mlflow.register_model(logged.model_uri, name, tags=tags).version)


def _challenge(
    client: Any, name: str, version: str, held_out: HeldOut, measure: "Callable[[Policy], float] | None"
) -> bool:
    """Move the alias if ``version`` is better; whether it is the champion now."""
    champion = client.get_registered_model(name).aliases.get(CHAMPION)
    if champion is not None and str(champion) == version:
        return True
    policy = None if champion is None else _loaded(name, str(champion))
    if policy is not None:
        present = _champion_score(client.get_model_version(name, str(champion)), policy, held_out, measure)
        if not held_out.score > present:
            return False
    client.set_registered_model_alias(name, CHAMPION, version)
    return True


def _loaded(name: str, version: str) -> "Policy | None":
    """A registered policy; None where it is gone or not read by this version: what cannot be served is no champion."""
    from rl_editor.checkpoint import load_policy

    try:
        return load_policy(policy_file(f"models:/{name}/{version}"))
    except (CheckpointError, TrackingError) as error:
        _log.warning("%s version %s can be champion no more: %s", name, version, error)
        return None


def _champion_score(
    champion: Any, policy: "Policy", held_out: HeldOut, measure: "Callable[[Policy], float] | None"
) -> float:
    if champion.tags.get(HELD_OUT_TAG) == held_out.digest and SCORE_TAG in champion.tags:
        return float(champion.tags[SCORE_TAG])
    if measure is None:
        raise TrackingError(
            f"champion version {champion.version} was measured on other songs; give 'measure' to score it on these"
        )
    return measure(policy)


def policy_file(model_uri: str) -> Path:
    """The checkpoint inside a registered model.

    Raises:
        TrackingError: the model holds none, or its files are gone.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(tracking_uri())
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=model_uri))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise TrackingError(f"{model_uri}: its files are gone; was the project's folder moved?") from None
    found = sorted(folder.glob("artifacts/*.pt"))
    if not found:
        raise TrackingError(f"{model_uri}: holds no policy file; was it registered by another program?")
    return found[0]
