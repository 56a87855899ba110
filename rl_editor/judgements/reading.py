"""Values out of JSON, checked field by field by the annotations of their classes: nothing is converted, nothing unknown
is taken, every number is finite. pydantic checks; an edit list is read as its own format says.
"""

import json
import reprlib
from collections.abc import Hashable, Mapping
from functools import cache
from types import GenericAlias
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from rl_editor.edits import EditList
from rl_editor.errors import EditListError

MOST_NUMBER = 1e9  # in a summary, or of seconds; squares and sums of such numbers stay finite
MOST_RATE_HZ = 10_000_000
MOST_FRAMES = 1 << 53  # what a float counts exactly
MOST_FAULTS_SAID = 3
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, revalidate_instances="always")

Number = Annotated[float, Field(ge=-MOST_NUMBER, le=MOST_NUMBER)]
Seconds = Annotated[float, Field(ge=0.0, le=MOST_NUMBER)]
Lufs = Annotated[float, Field(ge=-200.0, le=100.0)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]

_T = TypeVar("_T")


def checked(kind: type[_T], value: Any) -> _T:
    """Plain values as a value of a data class.

    Raises:
        ValueError: something is missing, unknown, of the wrong type or out of bounds; in words that name the field.
    """
    try:
        found: tuple[_T] = _adapter(cast(Hashable, kind)).validate_json(json.dumps([value]))
        return found[0]
    except RecursionError:
        raise ValueError("is nested too deep") from None
    except ValidationError as error:
        faults = [_fault(each) for each in error.errors()]
        more = [f"and {len(faults) - MOST_FAULTS_SAID} more"] if len(faults) > MOST_FAULTS_SAID else []
        raise ValueError("; ".join(faults[:MOST_FAULTS_SAID] + more)) from None


@cache
def _adapter(kind: Any) -> Any:
    """Of a tuple of one, since pydantic takes no settings for a data class of the standard library itself."""
    one: Any = GenericAlias(tuple, (kind,))
    return TypeAdapter(one, config=_STRICT)


def _fault(error: Any) -> str:
    field = _field(error["loc"][1:])
    kind, words, value = error["type"], error["msg"], reprlib.repr(error["input"])
    if kind == "json_invalid":
        return f"a text is no Unicode, or nested too deep ({words})"
    if kind in ("missing", "missing_argument"):
        return f"{field}: is missing"
    if kind == "unexpected_keyword_argument":
        return f"{field}: is unknown"
    if kind == "value_error":
        return f"{field}: {words.removeprefix('Value error, ')}"
    if kind == "dataclass_type":
        words = "Input should be an object of named fields"
    return f"{field} {value} {words.removeprefix('Input ')}"


def _field(location: tuple[str | int, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".") or "all of it"


def _edit_list(value: Any) -> EditList:
    if not isinstance(value, Mapping):
        raise ValueError(f"{reprlib.repr(value)}, an edit list is needed")
    try:
        return EditList.from_dict(value)
    except EditListError as error:
        raise ValueError(str(error)) from None


def _playable(edit: EditList) -> EditList:
    rate, frames = edit.source.sample_rate, edit.frames
    if not 1 <= rate <= MOST_RATE_HZ:
        raise ValueError(f"sample_rate {rate}, 1 to {MOST_RATE_HZ} Hz is needed")
    if not 1 <= frames <= MOST_FRAMES:
        raise ValueError(f"{frames} frames, at least one and at most {MOST_FRAMES} are needed")
    return edit


Edit = Annotated[EditList, BeforeValidator(_edit_list), AfterValidator(_playable)]
