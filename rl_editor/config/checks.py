"""What sections are made with: bounds, devices, and errors that name every setting at fault."""

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from difflib import get_close_matches
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
MAX_SEED = (1 << 63) - 1  # torch's generators take no more
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
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
        return cls(**{str(name): value for name, value in values.items()})  # YAML has names that are numbers
    except ValidationError as error:
        known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
        raise ConfigError("; ".join(_fault(where, e, known) for e in error.errors())) from None


def _fault(where: str, error: Any, known: list[str]) -> str:
    key = ".".join([where, *(str(part) for part in error["loc"])])
    if error["type"] == "unexpected_keyword_argument":
        near = get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"{key}: unknown setting; {f'is {near[0]} meant?' if near else 'known are ' + ', '.join(known)}"
    if error["type"] == "value_error":  # what one of our own checks says
        return f"{key}.{error['ctx']['error']}"
    return f"{key}: {error['input']!r} is refused: {error['msg']}{_hint(error['type'], error['input'])}"


def _hint(fault: str, value: Any) -> str:
    """How a value that is only written the wrong way is written right."""
    match fault, value:
        case "float_type" | "int_type", str() if _NUMBER.fullmatch(value):
            return " (it is text: take the quotes away; for PyYAML, which reads 1e-4 as text, write 1.0e-04)"
        case "int_type", float() if value.is_integer() and abs(value) <= _MOST:
            return f" (write {int(value)})"
        case "string_type", int() | float() | date() if not isinstance(value, bool):
            return f" (write it in quotes: '{value}')"
    return ""
