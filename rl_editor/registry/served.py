"""The registered model: audio paths in, edit lists out. MLflow runs this file; nothing is pickled.

Input columns: ``path`` (a recording on the serving machine) and, if wanted, ``target_duration_s`` and ``style``.
Output: one edit list object per row, its joins settled and its ends faded, as ``rl_editor.infer`` writes it and
``rl-editor render`` plays it. What is wrong with a row is said in the answer: of other errors MLflow says only that
there was one.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from rl_editor.checkpoint import load_policy
from rl_editor.errors import RlEditorError, said
from rl_editor.infer import check_audible, edit_recording
from rl_editor.render import held_in_memory, settle_joins
from rl_editor.state import AudioState


class ServedPolicy(PythonModel):  # type: ignore[misc]
    """A policy behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the policy."""
        self.policy = load_policy(context.artifacts["policy"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The edit list of every row's recording.

        Raises:
            MlflowException: a recording cannot be read or edited so.
        """
        try:
            return [self._edit(row) for row in model_input.to_dict("records")]
        except (RlEditorError, OSError) as error:
            raise MlflowException(said(error), INVALID_PARAMETER_VALUE) from error

    def _edit(self, row: dict[Any, Any]) -> dict[str, Any]:
        target, style, path = row.get("target_duration_s"), row.get("style"), Path(row["path"])
        recording = held_in_memory(path)
        state = AudioState.from_file(path, self.policy.config, recording=recording)
        check_audible(state)
        edit = edit_recording(
            self.policy,
            state,
            target_duration_s=None if pd.isna(target) else float(target),
            style=None if pd.isna(style) else str(style),
        )
        return settle_joins(edit, recording or path, self.policy.config).to_dict()


set_model(ServedPolicy())
