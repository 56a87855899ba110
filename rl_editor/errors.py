"""Every error a user of RL Editor can cause, as one tree.

A message names thing, value, expectation and remedy, in that order:
``song_raw.wav: 0.4 s of audio, at least 4 beats are needed; is the file cut off?``
Impossible states are ``assert``; they never raise from this tree.

    RlEditorError
    ├── ConfigError          a setting that is unknown, of the wrong type or out of bounds
    ├── AudioFileError       a recording that cannot be read, or holds nothing to work on
    ├── OutputError          a file that cannot be written: a full disk, a folder that takes none
    ├── EditListError        an edit list, label or action sequence that breaks its format
    ├── BeatGridError        beats that do not tile a recording, or are none of their bars
    ├── AlignmentError       a raw and an edit that cannot be compared
    │   └── PairRejectedError    compared, and the edit does not come from the raw
    ├── DatasetError         a folder of recordings that gives nothing to learn from
    ├── BeatTrackerError     a beat tracker whose package or weights are missing
    ├── StemError            stem separation that cannot run
    │   └── SeparationModelError     a model that separates no recording
    │       └── MissingWeightsError  its weights are not to be had
    ├── TrainingError        training whose numbers ran away
    ├── CheckpointError      a policy file that is missing, foreign or of another shape
    └── TrackingError        the experiment tracker or model registry refuses
"""

import errno

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # no EDQUOT on Windows
_NO_ROOM = {*_FULL, errno.EROFS}
_REMEDIES = dict.fromkeys(_FULL, "free some space there") | {
    errno.EROFS: "name a folder elsewhere",
    errno.ENAMETOOLONG: "give it a shorter name",
}


class RlEditorError(Exception):
    """Base of every error caused by input; the command line prints it and exits with 2."""


def said(error: RlEditorError | OSError) -> str:
    """The message of an error in our words; the system's own name a number where a person wants a remedy."""
    if isinstance(error, RlEditorError) or not error.strerror:
        return str(error) or type(error).__name__
    name = error.filename2 or error.filename
    remedy = _REMEDIES.get(error.errno or 0, "check the path and who may read and write there")
    return f"{f'{name}: ' if name else ''}{error.strerror.lower()}; {remedy}"


def first_lines(error: BaseException, n_lines: int = 1) -> str:
    """What somebody else's error says first, on one line, the system's in words; its type where it says nothing."""
    text = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
    lines = text.strip().splitlines()[:n_lines] or [type(error).__name__]
    return " ".join(line.strip() for line in lines)


def stops_all(error: RlEditorError | OSError) -> bool:
    """Whether the disk or a model is at fault, not the recording at hand: the next one would fail the same way."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return isinstance(error, (OutputError, SeparationModelError, BeatTrackerError))


class ConfigError(RlEditorError):
    """A setting is unknown, of the wrong type or out of bounds."""


class AudioFileError(RlEditorError):
    """A recording cannot be read, or holds nothing to work on."""


class OutputError(RlEditorError):
    """A file cannot be written: the disk is full, or the folder takes none."""


class EditListError(RlEditorError):
    """An edit list, label or action sequence breaks its format."""


class BeatGridError(RlEditorError):
    """Beats do not tile a recording, or are none of their bars."""


class AlignmentError(RlEditorError):
    """A raw recording and an edit cannot be compared."""


class PairRejectedError(AlignmentError):
    """The edit is not explained by the raw recording."""


class DatasetError(RlEditorError):
    """A folder of recordings gives nothing to learn from."""


class TrainingError(RlEditorError):
    """Training has left the numbers: a loss or gradient is none."""


class BeatTrackerError(RlEditorError):
    """A beat tracker's package or weights cannot be had."""


class StemError(RlEditorError):
    """Stem separation cannot run."""


class SeparationModelError(StemError):
    """The model separates no recording: its weights are damaged, or it is not of the stems or segments asked for."""


class MissingWeightsError(SeparationModelError):
    """The weights of the separation model cannot be had."""


class CheckpointError(RlEditorError):
    """A policy file is missing, foreign or of another shape."""


class TrackingError(RlEditorError):
    """The experiment tracker or the model registry refuses."""
