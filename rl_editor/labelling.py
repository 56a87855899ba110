"""The edit list of a pair, through the side cache.

That a pair was refused (rejected, too short, silent), and why, is remembered as well: finding it out takes as long as
aligning.

The key holds both contents, the parameters of the analysis view and of alignment and a digest of its code; the beat
grid is not in it, so a corrected grid gives new labels without a new alignment.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

import numpy as np

from rl_editor.cache import get_cache
from rl_editor.config import Config
from rl_editor.edits import EditList, SourceInfo
from rl_editor.errors import AlignmentError, PairRejectedError
from rl_editor.versions import READING, code_digest

_EDIT = "edit"  # what an entry holds, or why there is none:
_REFUSALS = {"rejected": PairRejectedError, "refused": AlignmentError}


def aligned(
    pair_id: str,
    explain: Callable[[], EditList],
    config: Config,
    *,
    source: SourceInfo,
    edit_sha256: str,
    view: str = "file",
) -> EditList:
    """The edit list of a pair; ``explain`` is called only when it is not in the cache.

    Args:
        pair_id: names the cache entry.
        explain: aligns the pair.
        config: reads ``audio`` and ``alignment``.
        source: the raw recording.
        edit_sha256: content hash of the edit.
        view: names how ``explain`` gets its samples; views that differ in their last bits do not share entries.

    Raises:
        AlignmentError: the two cannot be compared, or (``PairRejectedError``) the edit is not explained by the raw.
    """
    key = {
        "raw": asdict(source) | {"name": ""},  # what it is called is no part of it
        "edit": edit_sha256,
        "view": view,
        "alignment": asdict(config.alignment),
        "audio": asdict(config.audio),
        "code": code_digest("alignment", "channels", *READING),
    }

    def compute() -> Mapping[str, np.ndarray]:
        try:
            name, text = _EDIT, explain().to_json()
        except AlignmentError as error:
            name, text = next(name for name, kind in _REFUSALS.items() if isinstance(error, kind)), str(error)
        return {name: np.frombuffer(text.encode(), np.uint8)}

    ((name, stored),) = get_cache(config).get_or_compute("labels", pair_id, key, compute).items()
    if name in _REFUSALS:
        raise _REFUSALS[name](stored.tobytes().decode())
    return replace(EditList.from_dict(json.loads(stored.tobytes())), source=source)
