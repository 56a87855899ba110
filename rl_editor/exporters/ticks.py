"""Positions on a clock that ticks more slowly than samples do: whole video frames, rounded each by itself."""

from fractions import Fraction
from math import floor

from rl_editor.edits import Segment, SourceInfo
from rl_editor.errors import EditListError

NTSC_SLOWER = Fraction(1000, 1001)
SAME_RATE = 5e-4  # 23.98 is 24000/1001 as well; 24 and 24000/1001 are twice as far apart


def exact_rate(frame_rate: int | float) -> Fraction:
    """Video frames per second, exactly: those of NTSC are a thousandth and one slower than a whole number.

    Raises:
        EditListError: no video has this rate.
    """
    nominal = max(round(frame_rate), 1)
    for exact in (Fraction(nominal), nominal * NTSC_SLOWER):
        if abs(frame_rate / float(exact) - 1) < SAME_RATE:
            return exact
    raise EditListError(
        f"frame rate {frame_rate:g}: video has whole frames per second from 1 up, or 23.976, 29.97 or 59.94"
    )


def nearest(number: Fraction) -> int:
    """Round half up, exactly; floats would break ties at random."""
    return floor(number + Fraction(1, 2))


def within(frame: int, length: int, segment: Segment, source: SourceInfo, clock: Fraction) -> int:
    """A frame of the recording on the clock, early enough that ``length`` there does not leave the recording."""
    last = nearest(source.frames * clock / source.sample_rate) - round(length * segment.speed)
    return min(nearest(frame * clock / source.sample_rate), max(last, 0))
