"""While tests run, types are checked wherever they are named, and shapes with them."""

import jaxtyping
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation

from rl_editor.library import safe_name
from rl_editor.state.hearing import unit_rows
from rl_editor.state.spans import share_below


def test_a_wrong_type_is_an_error_where_no_shape_is_named() -> None:
    with pytest.raises(BeartypeCallHintViolation):
        safe_name(3)  # type: ignore[arg-type]


def test_a_wrong_shape_is_an_error() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        unit_rows(np.zeros(3))
    with pytest.raises(jaxtyping.TypeCheckError):
        share_below(np.zeros(3), np.ones(2))
