"""What is asked and answered, without HTTP: opaque keys out, events into the log.

A key is the start of HMAC-SHA256(secret, parts): the same for the same part of the same set, and telling nothing.
"""

import errno
import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_editor.judgements import Heard, Judgement, Presentation, Rating
from rl_editor.judgements.log import AnswerLog
from rl_editor.judgements.sets import ListeningSet, Preferences
from rl_editor.preferences.planning import Chooser, next_presentation, progress

if TYPE_CHECKING:
    from rl_editor.server.wire import Answer, Rate

_KEY_DIGITS = 32


class Refused(Exception):
    """What a client asked for is not done; ``status`` is HTTP's, the message is for the client."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Study:
    """A set, its log, and who is asked what.

    Args:
        found: the set.
        log: its answers; written here.
        files: audio by the names in the set.
        secret: makes keys.
        choose: which pair comes next; by chance without one.
    """

    def __init__(
        self,
        found: ListeningSet,
        log: AnswerLog,
        files: Mapping[str, Path],
        *,
        secret: bytes,
        choose: Chooser | None = None,
    ) -> None:
        self._found, self._log, self._files, self._secret, self._choose = found, log, files, secret, choose
        self._whole = {self._key("whole", heard.edit_id): heard for heard in found.whole}
        self._audio = {key: files[heard.audio] for key, heard in self._whole.items()}
        self._log_found = log.path.stat()
        for asked in log.answers.open.values():
            self._sides(asked)

    def about(self) -> dict[str, Any]:
        """What a page needs to know before a listener has a name."""
        return {"set": self._key("set"), "n_pairs": len(self._found.pairs), "n_whole": len(self._whole)}

    def known_as(self, name: str) -> str:
        """A listener's name as it was first given: phones begin names with a capital letter, and systems write accents
        in two ways."""
        answers = self._log.answers
        known = {*answers.open, *(j.presentation.listener for j in answers.judgements.values())}
        known |= {rating.listener for rating in answers.given.values()}
        return name if name in known else min((each for each in known if _alike(each, name)), default=name)

    def asked(self, listener: str) -> dict[str, Any]:
        """What is before a listener, and how far that is; logs a pair that is put there."""
        answers = self._log.answers
        asked = answers.open.get(listener)
        if asked is None:
            asked = next_presentation(self._found, answers, listener, choose=self._choose)
            if asked is not None:
                self._lasting_log().presented(asked)
        mine = answers.of(listener)
        return {
            "listener": listener,
            "progress": progress(self._found, answers, listener)._asdict(),
            "undo": mine[-1].presentation.presentation_id if mine else None,
            "presentation": asked and {"presentation_id": asked.presentation_id, **self._sides(asked)},
        }

    def answer(self, given: "Answer") -> None:
        """Log an answer; one that is logged already is the same one sent again.

        Raises:
            Refused: the presentation is not open, another listener's, answered otherwise, or taken back.
        """
        asked = self._log.answers.open.get(given.listener)
        if asked is None or asked.presentation_id != given.presentation_id:
            self._refuse_unless_answered(given)
            return
        played = given.played_first and (asked.first if given.played_first == "first" else asked.second)
        self._lasting_log().judged(
            Judgement(asked, given.choice, played, given.n_switches, given.seconds, given.comment, at=_now())
        )

    def undo(self, listener: str, presentation_id: str) -> None:
        """Take a listener's latest answer back; one that is taken back already is the same undo sent again.

        Raises:
            Refused: it is not the latest.
        """
        answers = self._log.answers
        latest = answers.of(listener)[-1:]
        if latest and latest[0].presentation.presentation_id == presentation_id:
            self._lasting_log().undone(listener)
        elif presentation_id not in answers.taken_back or answers.taken_back[presentation_id].listener != listener:
            raise Refused(409, "this is not the latest answer; only that one can be taken back")

    def ratings(self, listener: str) -> dict[str, Any]:
        """The whole edits in a listener's order, and how they were rated."""
        edits = []
        for key in sorted(self._whole, key=lambda key: self._key("order", listener, key)):
            heard = self._whole[key]
            rated = self._log.answers.ratings.get((listener, heard.edit_id))
            given = {"rating": rated.rating, "comment": rated.comment} if rated else {"rating": None, "comment": ""}
            edits.append({"edit": key, "audio": f"/audio/{key}", "duration_s": heard.duration_s, **given})
        return {"listener": listener, "edits": edits}

    def rate(self, given: "Rate") -> None:
        """Log a rating; one whose ``rating_id`` is logged already is the same one sent again, and changes nothing.

        Raises:
            Refused: there is no such edit, or another rating has that ``rating_id``.
        """
        heard = self._whole.get(given.edit)
        if heard is None:
            raise Refused(404, "no such edit in this set")
        rating = Rating(given.rating_id, given.listener, heard.edit_id, given.rating, given.comment, at=_now())
        before = self._log.answers.given.get(given.rating_id)
        if before is None:
            self._lasting_log().rated(rating)
        elif replace(before, at=rating.at) != rating:
            raise Refused(409, "rating_id: another rating was given by it; draw a new one for each rating")

    def audio(self, key: str) -> Path:
        """The file behind a key.

        Raises:
            Refused: there is none.
        """
        if key not in self._audio:
            raise Refused(404, "no such audio")
        return self._audio[key]

    def preferences(self) -> Preferences:
        """What was answered so far; un-blinded."""
        answers = self._log.answers
        return Preferences(self._found, tuple(answers.judgements.values()), tuple(answers.ratings.values()))

    def _lasting_log(self) -> AnswerLog:
        """The log, if it still is the file of the set's folder: what is written to one that was deleted is lost.

        Raises:
            OSError: it was deleted, moved away, or replaced, as by a program that synchronises folders.
        """
        if not os.path.samestat(self._log.path.stat(follow_symlinks=False), self._log_found):
            raise OSError(
                errno.ESTALE,
                "the file of answers was replaced since the start; start rl-editor listen again",
                str(self._log.path),
            )
        return self._log

    def _sides(self, asked: Presentation) -> dict[str, Any]:
        pair = self._found.pair(asked.pair_id)
        return {
            "first": self._side(asked, "first", pair.side(asked.first)),
            "second": self._side(asked, "second", pair.side(asked.second)),
        }

    def _side(self, asked: Presentation, place: str, heard: Heard) -> dict[str, Any]:
        key = self._key("side", asked.presentation_id, place)
        self._audio[key] = self._files[heard.audio]
        return {
            "audio": f"/audio/{key}",
            "duration_s": heard.duration_s,
            "beats_s": heard.beats_s,
            "differs_s": heard.differs_s,
        }

    def _refuse_unless_answered(self, given: "Answer") -> None:
        answers = self._log.answers
        judged = answers.judgements.get(given.presentation_id)
        taken_back = answers.taken_back.get(given.presentation_id)
        known = judged.presentation if judged else taken_back
        asked = [known] if known else [*answers.open.values()]
        if any(a.presentation_id == given.presentation_id and a.listener != given.listener for a in asked):
            raise Refused(409, "this pair was put before another listener")
        if judged is None and taken_back is not None:
            raise Refused(409, "the answer to this pair was taken back; ask for what is open now")
        if judged is None:
            raise Refused(404, "this pair is not before this listener; ask for the next one")
        if judged.choice != given.choice:
            raise Refused(409, "this pair was answered before, and otherwise; take that answer back first")

    def _key(self, *parts: str) -> str:
        text = "\0".join(parts).encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:_KEY_DIGITS]


def _alike(one: str, other: str) -> bool:
    """Whether two names differ in capitals, width and kinds of spaces, or Unicode's ways to write an accent alone."""
    one, other = (unicodedata.normalize("NFKC", " ".join(name.split()).casefold()) for name in (one, other))
    return one == other


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
