"""ffmpeg and ffprobe on the PATH, and what they say."""

import json
import shutil
import subprocess
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from rl_editor.utils.elsewhere import named

_MOST_REMEMBERED = 64  # files


def has_programs() -> bool:
    """Whether both are there."""
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


@cache
def muxer_takes(muxer: str, option: str) -> bool:
    """Whether ffmpeg's muxer knows an option; those that are new are refused by older ones."""
    done = subprocess.run(
        ["ffmpeg", "-hide_banner", "-h", f"muxer={muxer}"], capture_output=True, text=True, check=False
    )
    return f"-{option} " in done.stdout


def probed(path: Path) -> dict[str, Any]:
    """Streams and tags of a file as ffprobe says them; nothing where it cannot read the file. A file is asked once."""
    try:
        at = path.stat()
    except OSError:
        return {}
    return _probed(path, at.st_mtime_ns, at.st_size)


@lru_cache(maxsize=_MOST_REMEMBERED)
def _probed(path: Path, _mtime_ns: int, _size: int) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", named(path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}
