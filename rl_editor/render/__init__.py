"""Edit list to audio: the only place where samples are cut.

Conventions: positions are sample frames at the source's rate; blocks are ``[frames, channels]`` in the file's own
sample type (int16, int32, float32, float64) or, between reading and writing, float64 at the same scale. A join is
the middle of its crossfade: each side plays half the crossfade beyond it. Where the source or a segment is too
short for that the crossfade is clipped, on one side alone if need be; where neither side has anything beyond the
join (a file looped end to start) both sides fade through silence for a moment instead.

Outside crossfades, fades of the ends, and segments with gain, speed or pitch, the output's samples are the input's bit
for bit.
Everything is streamed in blocks of ``render.block_s``, but a segment with ``pitch_semitones``, and what ffmpeg writes
(.m4a and its like), which are held whole.

    sources    reading spans of a file or of samples in their own type
    mixing     segments, crossfades, gains
    outputs    whether a file can take a recording
    joins      where a join lies: away from onsets, where both sides agree; fades of the ends
"""

from rl_editor.render.joins import FADE_OUT_MS, settle_joins, with_faded_ends
from rl_editor.render.mixing import crossfade_gains, render_file, render_samples
from rl_editor.render.outputs import check_format
from rl_editor.render.sources import check_recording, held_in_memory

__all__ = [
    "FADE_OUT_MS",
    "check_format",
    "check_recording",
    "crossfade_gains",
    "held_in_memory",
    "render_file",
    "render_samples",
    "settle_joins",
    "with_faded_ends",
]
