"""Shape and type annotations are checked while the tests run; nothing may reach a network or a shared cache."""

import os
import signal
from collections.abc import Callable
from types import FunctionType
from typing import Any, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

import jaxtyping

_with_shapes = jaxtyping.jaxtyped


def _names_a_shape(hint: Any) -> bool:
    """A hint in quotes may be of anything."""
    shape = isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray)
    return shape or isinstance(hint, str) or any(map(_names_a_shape, get_args(hint)))


def _checked(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Types alone where no shape is named, which is most small functions: binding arguments to shapes takes longer than
    what they do.
    """

    def decorate(thing: Any) -> Any:
        if isinstance(thing, FunctionType) and not any(map(_names_a_shape, thing.__annotations__.values())):
            return typechecker(thing)
        return _with_shapes(thing, typechecker=typechecker)

    return decorate


jaxtyping.jaxtyped = _checked
jaxtyping.install_import_hook(["rl_editor", "stages"], "beartype.beartype")

# Shells start what runs in the background deaf to Ctrl-C, and so would be every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
