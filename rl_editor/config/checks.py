"""What sections are made with: bounds, devices, and errors that name every setting at fault."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from rl_editor.errors import ConfigError

STRICT = ConfigDict(extra="forbid", validate_assignment=True, strict=True, allow_inf_nan=False)

_LARGEST = 1e9  # above any unit's use, and far within float32
_MOST = 1 << 30  # of anything that is counted one after the other; what takes memory has bounds of its own

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=_LARGEST)]
NonNegative = Annotated[float, Field(ge=0.0, le=_LARGEST)]
Count = Annotated[int, Field(ge=1, le=_MOST)]
Natural = Annotated[int, Field(ge=0, le=_MOST)]
Width = Annotated[int, Field(ge=1, le=4096)]  # of a network's layer, or of a table with a row per unit
Few = Annotated[int, Field(ge=0, le=1024)]  # processes, threads, neighbours
Copies = Annotated[int, Field(ge=0, le=100)]  # of each song
Name = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]+)?")
_T = TypeVar("_T")


def check_range(low_name: str, low: float, high_name: str, high: float) -> None:
    """Refuse a range that is turned round, within a section's own check.

    Raises:
        ValueError: its low end is above its high end.
    """
    if low > high:
        raise ValueError(f"{low_name} {low:g} is more than {high_name} {high:g}; turn them round")


def check_device(name: str, *, setting: str) -> None:
    """Refuse what names no device.

    Raises:
        ConfigError: it is neither ``auto`` nor a CPU nor a CUDA GPU.
    """
    if not _DEVICE.fullmatch(name):
        raise ConfigError(f"{setting} {name!r}: unknown; expected auto, cpu, cuda or cuda:0")


def built(cls: type[_T], values: Any, where: str) -> _T:
    """A section of these values; ``where`` names it.

    Raises:
        ConfigError: unknown setting, wrong type, value out of bounds; every fault is named.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: {values!r} is not a section of settings; write 'name: value' lines below it")
    try:
        return cls(**values)
    except ValidationError as error:
        faults = [_fault(where, e) for e in error.errors()]
        raise ConfigError("; ".join(faults)) from None


def _fault(where: str, error: Any) -> str:
    key = ".".join([where, *(str(part) for part in error["loc"])])
    hint = (
        " (PyYAML reads 1e-4 as text: write 1.0e-04)"
        if isinstance(error["input"], str) and "number" in error["msg"]
        else ""
    )
    if error["type"] == "unexpected_keyword_argument":
        return f"{key}: unknown setting; is it misspelt?"
    if error["type"] == "value_error":  # what one of our own checks says
        return f"{key}.{error['ctx']['error']}"
    return f"{key}: {error['input']!r} is refused: {error['msg']}{hint}"
