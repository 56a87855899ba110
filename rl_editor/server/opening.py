"""A set's folder, checked before anything is served, and held by one server at a time."""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rl_editor.errors import DatasetError
from rl_editor.judgements.log import AnswerLog
from rl_editor.judgements.sets import ANSWERS, AUDIO, SET_FILE, ListeningSet, Preferences
from rl_editor.preferences.planning import Chooser
from rl_editor.server.study import Study

MEDIA_TYPES: Mapping[str, str] = {
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
}
"""What browsers play, by suffix."""


@contextmanager
def opened(folder: Path, *, choose: Chooser | None = None) -> Iterator[Study]:
    """A set, ready to be judged, and its log; closed at the end.

    Raises:
        DatasetError: no set, audio that is missing or elsewhere, a log of another set, that is no plain file, or that
            another server has.
        OSError: the log cannot be written.
    """
    found = ListeningSet.load(folder)
    files = audio_files(found, folder / AUDIO)
    # Keys are the same after a restart, and nobody who has not read the set can make them.
    secret = hashlib.sha256((folder / SET_FILE).read_bytes()).digest()
    with _sole_writer(folder / ANSWERS):
        log = AnswerLog(folder)
        try:
            _check_answers(found, log)
            yield Study(found, log, files, secret=secret, choose=choose)
        finally:
            log.close()


def audio_files(found: ListeningSet, folder: Path) -> dict[str, Path]:
    """Where the audio of a set lies, by the names that the set gives.

    Raises:
        DatasetError: a name leads elsewhere, a file is missing, or no browser plays it.
    """
    return {name: _audio_file(name, folder) for name in sorted({heard.audio for heard in found.heard()})}


def read_audio(path: Path) -> bytes:
    """What a file holds that ``audio_files`` found, if it still is one: nothing is read through a link put there since.

    Raises:
        OSError: it is gone, or something else by now.
    """
    found = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would wait for whoever writes it
    with open(found, "rb") as file:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "no plain file any more", str(path))
        return file.read()


def _audio_file(name: str, folder: Path) -> Path:
    path = folder / name
    if not name.isprintable() or name != path.name or name in ("", ".", "..") or "\\" in name:
        raise DatasetError(
            f"{folder.parent / SET_FILE}: audio {name!r}, the plain name of a file in {folder} is needed"
        )
    if not path.is_file():  # nor where a link leads nowhere, or to itself
        raise DatasetError(f"{path}: is missing; copy the set with its audio, or make it again")
    real = path.resolve()
    if real.parent != folder.resolve():
        raise DatasetError(f"{path}: is a link that leads out of {folder}; put the file itself there")
    if real.suffix.lower() not in MEDIA_TYPES:
        raise DatasetError(f"{real}: browsers do not play that; known: {', '.join(MEDIA_TYPES)}")
    return real


def _check_answers(found: ListeningSet, log: AnswerLog) -> None:
    answers = log.answers
    Preferences(found, tuple(answers.judgements.values()), tuple(answers.ratings.values()))
    for asked in answers.open.values():
        found.pair(asked.pair_id)


@contextmanager
def _sole_writer(path: Path) -> Iterator[None]:
    if path.is_symlink() or (path.exists() and not path.is_file()):  # of a set from elsewhere it could be any file
        what = "a link" if path.is_symlink() else "no plain file"
        raise DatasetError(f"{path}: is {what}; answers are written to a file of the set's own: take it away")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _lock(file, path)
        yield
    finally:
        os.close(file)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DatasetError(f"{path}: another rl-editor listen writes it; use its page, or stop it first") from error
