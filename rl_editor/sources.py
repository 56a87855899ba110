"""Recordings as results are kept of them: what they are, and whether they are still what they were.

Results are kept by the content that they were computed from. A recording is hashed first and decoded later, which may
be minutes later; what replaces it in between has the results of its own content, not those of the content before it.
"""

from pathlib import Path

import numpy as np

from rl_editor.cache import FeatureCache
from rl_editor.edits import SourceInfo
from rl_editor.errors import AudioFileError
from rl_editor.utils import FFMPEG_SUFFIXES, audio_info, source_info
from rl_editor.versions import READING, code_digest

_LONG_TO_MEASURE = FFMPEG_SUFFIXES | {".mp3"}  # some say how long they are only when they are decoded


def source_of(path: Path, shelf: FeatureCache) -> SourceInfo:
    """A recording as ``source_info`` names it, from the cache where all of it would have to be decoded for that.

    Raises:
        AudioFileError: as ``source_info``.
    """
    if not path.is_file():
        return source_info(path)  # which says what it is
    sha256 = shelf.hash_file(path)
    if path.suffix.lower() not in _LONG_TO_MEASURE:
        return source_info(path, sha256=sha256)

    def measure() -> dict[str, np.ndarray]:
        info = audio_info(path)
        require_unchanged(path, sha256, shelf)
        return {"sample_rate": np.array(info.sample_rate), "channels": np.array(info.channels),
                "frames": np.array(info.frames)}  # fmt: skip

    key = {"what": "source", "sha256": sha256, "suffix": path.suffix.lower(), "code": code_digest(*READING)}
    found = shelf.get_or_compute("metadata", path.stem, key, measure)
    return SourceInfo(path.name, sha256, int(found["sample_rate"]), int(found["channels"]), int(found["frames"]))


def require_unchanged(path: Path, sha256: str, shelf: FeatureCache) -> None:
    """Refuse what was read of a file whose content is no longer the one that it was hashed as.

    Raises:
        AudioFileError: it was changed or replaced since.
        OSError: it is gone.
    """
    if shelf.hash_file(path) != sha256:
        raise AudioFileError(f"{path}: was changed while it was read; run again when nothing writes to it any more")
