"""What people heard and what they said of it: pairs of excerpts, judgements, ratings; the words of preference learning.

Conventions: a *pair* is two excerpts of edits of one song, side ``a`` and side ``b``; which of them is put
first, as A, is drawn anew for every presentation and recorded with the answer, so an answer names ``first`` or
``second``; which of them sounds first is up to the listener, and recorded as ``played_first``.
Of an *anchor* the better side is known: ``a`` is a good edit, ``b`` the same with a fault put in. A presentation with
``repeat`` is a pair that this listener answered before, with the sides exchanged. Times in seconds, loudness in LUFS
(ITU-R BS.1770) as heard, summaries in the order of ``summary_names``.

    sets      a folder to listen to, and a file of what was said, as ``data/preferences`` holds them
    log       the answers as they come in: appended line by line, nothing lost when the server is killed
    reading   what both read, checked field by field by the annotations below
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from rl_editor.errors import DatasetError
from rl_editor.judgements.reading import Count, Edit, Lufs, Number, Seconds

Side = Literal["a", "b"]
Kind = Literal["pair", "anchor"]
Choice = Literal["first", "second", "same", "unsure"]
"""``same``: no difference, half a vote for each; ``unsure``: can't tell, no vote."""

RATINGS = range(1, 11)
MOST_NAME, MOST_COMMENT = 60, 2000  # characters


def listener_name(name: str) -> str:
    """A listener's name without spaces around it.

    Raises:
        DatasetError: it is empty, too long, or holds control characters.
    """
    trimmed = name.strip()
    if not trimmed or len(trimmed) > MOST_NAME or not trimmed.isprintable():
        raise DatasetError(f"listener {name[:MOST_NAME]!r}: a name of 1 to {MOST_NAME} printable characters is needed")
    return trimmed


def _listener(name: str) -> str:
    try:
        return listener_name(name)
    except DatasetError as error:
        raise ValueError(str(error)) from None


def _moment(at: str) -> str:
    try:
        in_utc = not at or (at[10] == "T" and datetime.fromisoformat(at).utcoffset() == timedelta(0))
    except (ValueError, IndexError):
        in_utc = False
    if not in_utc:
        raise ValueError(f"{at[:MOST_NAME]!r}, a time in UTC as 2026-01-31T09:30:00+00:00 is needed, or nothing")
    return at


Listener = Annotated[str, AfterValidator(_listener)]
Moment = Annotated[str, AfterValidator(_moment)]
"""UTC, ISO 8601; "" where it is not known."""

RatingValue = Annotated[int, Field(ge=RATINGS[0], le=RATINGS[-1])]


@dataclass(frozen=True)
class Heard:
    """What is heard of one edit: an excerpt of it, or all of it.

    Attributes:
        edit_id: the whole edit that it is from.
        song: the recording's name without its suffix.
        way: how the edit was made, as ``ppo``, ``bc at temperature 1`` or ``level broken``.
        edit: what plays, beats and actions left out.
        summary: of what plays, as ``reward.SUMMARY_NAMES``.
        loudness_lufs: as heard, after matching; None where it is too short or too quiet to be measured.
        beats_s: moments of its beats, first to last; equal indices of two sides are equal moments of the music.
        differs_s: spans that the other side does not play at the same moment; empty for a whole edit.
        audio: file below the set's ``audio`` folder; "" where only the words are left.
    """

    edit_id: str
    song: str
    way: str
    edit: Edit
    summary: tuple[Number, ...]
    loudness_lufs: Lufs | None = None
    beats_s: tuple[Seconds, ...] = ()
    differs_s: tuple[tuple[Seconds, Seconds], ...] = ()
    audio: str = ""

    @property
    def duration_s(self) -> float:
        """How long it plays."""
        return self.edit.duration_s


@dataclass(frozen=True)
class Pair:
    """Two excerpts to compare."""

    pair_id: str
    kind: Kind
    a: Heard
    b: Heard

    @property
    def song(self) -> str:
        """The recording that both sides cut."""
        return self.a.song

    def side(self, side: Side) -> Heard:
        """One of the two."""
        return self.a if side == "a" else self.b


@dataclass(frozen=True)
class Presentation:
    """A pair as it was put before a listener."""

    presentation_id: str
    listener: Listener
    pair_id: str
    first: Side
    repeat: bool

    @property
    def second(self) -> Side:
        """The other side."""
        return other(self.first)


@dataclass(frozen=True)
class Judgement:
    """An answer to a presentation.

    Attributes:
        presentation: what was asked.
        choice: how it was answered, as ``Choice``.
        played_first: the side that sounded first; None where that is not known.
        n_switches: how often the listener changed sides.
        seconds: from presentation to answer.
        comment: in the listener's words.
        at: when it came.
    """

    presentation: Presentation
    choice: Choice
    played_first: Side | None = None
    n_switches: Count = 0
    seconds: Seconds = 0.0
    comment: str = ""
    at: Moment = ""

    @property
    def preferred(self) -> Side | None:
        """The side that was chosen, if any."""
        if self.choice not in ("first", "second"):
            return None
        return self.presentation.first if self.choice == "first" else self.presentation.second


@dataclass(frozen=True)
class Rating:
    """A whole edit rated from 1 to 10; 10 is the best."""

    rating_id: str
    listener: Listener
    edit_id: str
    rating: RatingValue
    comment: str = ""
    at: Moment = ""


def other(side: Side) -> Side:
    """The side that it is not."""
    return "b" if side == "a" else "a"
