"""The answers to a listening set as they come in.

``answers.jsonl`` is appended line by line and forced to disk before an answer is acknowledged; nothing in it is ever
changed. Each line is one event, a JSON object whose ``event`` is one of

    presented  a pair was put before a listener (``Presentation``)
    judged     the answer (``Judgement``); a second answer to one presentation is the first one sent again, and ignored
    rated      a whole edit was rated (``Rating``); a later rating of an edit by the same listener takes its place,
               but a second one of the same ``rating_id`` is the first one sent again, and ignored
    undone     a listener took the latest answer back; its pair is open again, as another presentation, so that an
               answer or an undo that is sent again late cannot be meant for it

A last line without its end, left by a kill in the middle of writing, is what was never acknowledged: it is cut off
when the log is opened for writing, and not read.
"""

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rl_editor.errors import DatasetError
from rl_editor.judgements import Judgement, Listener, Presentation, Rating
from rl_editor.judgements.reading import checked
from rl_editor.judgements.sets import ANSWERS, ListeningSet, Preferences


@dataclass(frozen=True)
class _Undone:
    listener: Listener


class Answers:
    """What was asked and answered so far; events change it, in the order of the log."""

    def __init__(self) -> None:
        self.judgements: dict[str, Judgement] = {}  # by presentation
        self.ratings: dict[tuple[str, str], Rating] = {}  # by listener and edit
        self.open: dict[str, Presentation] = {}  # by listener
        self.given: dict[str, Rating] = {}  # by rating_id: all that were ever given
        self.taken_back: dict[str, Presentation] = {}  # by presentation_id

    def of(self, listener: str) -> list[Judgement]:
        """One listener's judgements, oldest first."""
        return [j for j in self.judgements.values() if j.presentation.listener == listener]

    def unused(self, presentation_id: str) -> str:
        """A name for a presentation: this one, or another where an answer to it was taken back."""
        while presentation_id in self.taken_back:
            presentation_id = hashlib.sha256(presentation_id.encode()).hexdigest()[:16]
        return presentation_id

    def take(self, event: Mapping[str, Any]) -> None:
        """Let one event happen.

        Raises:
            ValueError: something is missing, unknown, of the wrong type or out of bounds.
        """
        fields = dict(event)
        match fields.pop("event", None):
            case "presented":
                asked = checked(Presentation, fields)
                self.open[asked.listener] = asked
            case "judged":
                judgement = checked(Judgement, fields)
                asked = judgement.presentation
                self.judgements.setdefault(asked.presentation_id, judgement)
                opened = self.open.get(asked.listener)
                if opened and (opened.pair_id, opened.repeat) == (asked.pair_id, asked.repeat):
                    del self.open[asked.listener]
            case "rated":
                rating = checked(Rating, fields)
                if self.given.setdefault(rating.rating_id, rating) is rating:
                    self.ratings[rating.listener, rating.edit_id] = rating
            case "undone":
                self._undo(checked(_Undone, fields).listener)
            case unknown:
                raise ValueError(f"event {unknown!r}; known: presented, judged, rated, undone")

    def _undo(self, listener: str) -> None:
        latest = self.of(listener)[-1:]
        for judgement in latest:
            asked = judgement.presentation
            del self.judgements[asked.presentation_id]
            self.taken_back[asked.presentation_id] = asked
            self.open[listener] = replace(asked, presentation_id=self.unused(asked.presentation_id))


class AnswerLog:
    """The log of a set's folder, open for appending; one writer at a time.

    Raises:
        DatasetError: a line breaks the format.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ANSWERS
        lines, whole = _lines(self.path)
        self.answers = _answers(self.path, lines)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, whole)

    def presented(self, asked: Presentation) -> None:
        """A pair is about to be put before a listener."""
        self._append("presented", asdict(asked))

    def judged(self, judgement: Judgement) -> None:
        """An answer came."""
        self._append("judged", asdict(judgement))

    def rated(self, rating: Rating) -> None:
        """A rating came."""
        self._append("rated", asdict(rating))

    def undone(self, listener: str) -> None:
        """A listener takes the latest judgement back."""
        self._append("undone", {"listener": listener})

    def close(self) -> None:
        """No more answers."""
        os.close(self._file)

    def _append(self, event: str, fields: dict[str, Any]) -> None:
        line = json.dumps({"event": event, **fields}, sort_keys=True, ensure_ascii=False) + "\n"
        data = line.encode()
        length = os.fstat(self._file).st_size
        try:
            if os.write(self._file, data) < len(data):
                raise OSError(errno.ENOSPC, "no space left on device", str(self.path))
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, length)
            raise
        self.answers.take({"event": event, **fields})


def read_answers(folder: Path) -> Preferences:
    """A set and what was answered so far; the server may be running.

    Raises:
        DatasetError: the folder holds no set, or its log breaks the format.
    """
    found, answers = ListeningSet.load(folder), _answers_in(folder)
    return Preferences(found, tuple(answers.judgements.values()), tuple(answers.ratings.values()))


def unknown_to(folder: Path, collected: Preferences) -> list[str]:
    """Listeners of collected answers that a folder's log never took, not even to be taken back or changed later.

    Raises:
        DatasetError: the log breaks the format.
    """
    answers = _answers_in(folder)
    presented = answers.judgements.keys() | answers.taken_back.keys()
    judged = {j.presentation.listener for j in collected.judgements if j.presentation.presentation_id not in presented}
    return sorted(judged | {r.listener for r in collected.ratings if r.rating_id not in answers.given})


def _answers_in(folder: Path) -> Answers:
    path = folder / ANSWERS
    return _answers(path, _lines(path)[0])


def _lines(path: Path) -> tuple[list[bytes], int]:
    """Whole lines, and how many bytes they are."""
    data = path.read_bytes() if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    return data[:whole].splitlines(), whole


def _answers(path: Path, lines: list[bytes]) -> Answers:
    answers = Answers()
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
            if not isinstance(event, dict):
                raise ValueError(f"{event!r}, an object is needed")
            answers.take(event)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}: line {number}: {error}; repair or delete the line") from error
    return answers
