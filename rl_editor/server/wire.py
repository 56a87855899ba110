"""What clients send, checked field by field; nothing is converted, nothing unknown is taken."""

import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from rl_editor.errors import DatasetError
from rl_editor.judgements import MOST_COMMENT, MOST_NAME, RATINGS, Choice, listener_name
from rl_editor.judgements.reading import Seconds
from rl_editor.server.study import Refused

MOST_BODY_BYTES = 1 << 16
"""A comment of ``MOST_COMMENT`` characters takes 12 bytes for each at most, written as JSON escapes."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _listener(name: str) -> str:
    try:
        return listener_name(name)
    except DatasetError:
        raise ValueError(f"a name of 1 to {MOST_NAME} printable characters is needed") from None


def _legible(comment: str) -> str:
    return _CONTROL.sub(" ", comment.replace("\r\n", "\n")).strip()


Listener = Annotated[str, AfterValidator(_listener)]
Comment = Annotated[str, Field(max_length=MOST_COMMENT), AfterValidator(_legible)]
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]


class Asking(BaseModel):
    """A listener asks for what comes next."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    listener: Listener


class Answer(Asking):
    """A listener answers; ``seconds`` from presentation to answer."""

    presentation_id: Key
    choice: Choice
    played_first: Literal["first", "second"] | None = None
    n_switches: int = Field(default=0, ge=0, le=1_000_000)
    seconds: Seconds = 0.0
    comment: Comment = ""


class Undo(Asking):
    """A listener takes the latest answer back, which is this one."""

    presentation_id: Key


class Rate(Asking):
    """A listener rates a whole edit; ``rating_id`` is drawn by the client and the same when it is sent again."""

    rating_id: Key
    edit: Key
    rating: int = Field(ge=RATINGS[0], le=RATINGS[-1])
    comment: Comment = ""


Sent = TypeVar("Sent", bound=Asking)


def read(kind: type[Sent], body: bytes, *, known_as: Callable[[str], str]) -> Sent:
    """What was sent, as a value.

    Args:
        kind: of what is expected.
        body: as it came.
        known_as: the name under which a listener is known.

    Raises:
        Refused: it is no JSON, a field is missing, unknown, of the wrong type or out of bounds.
    """
    try:
        given = kind.model_validate_json(body)
    except ValidationError as error:
        faults = [(".".join(map(str, each["loc"])) or "body", each["msg"]) for each in error.errors()]
        words = "; ".join(f"{where}: {what.removeprefix('Value error, ')}" for where, what in faults)
        raise Refused(400, words) from None
    return given.model_copy(update={"listener": known_as(given.listener)})
