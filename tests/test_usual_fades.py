"""For how long an editor's edits usually fade, from edits whose fades are known."""

from dataclasses import replace

import pytest

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.usual_fades import Fades, UsualFades, fades_of

RATE = 8_000
SONG = SourceInfo("song.wav", "0" * 64, RATE, 1, 100 * RATE)


def edit(start_s: float = 10.0, end_s: float = 70.0, *, in_s: float = 0.0, out_s: float = 0.0) -> EditList:
    """One passage of a song of 100 s."""
    passage = Segment(round(start_s * RATE), round((end_s - start_s) * RATE))
    return EditList(SONG, (passage,), fade_in_ms=1000.0 * in_s, fade_out_ms=1000.0 * out_s)


def learned(*edits: EditList) -> UsualFades:
    fades = UsualFades(2)
    fades.fit(edits, [1] * len(edits))
    return fades


def test_most_ends_that_fade_are_a_habit_and_its_length_is_their_median() -> None:
    fades = learned(edit(out_s=4.0), edit(out_s=5.0), edit(out_s=9.0), edit(), edit(out_s=0.06))
    assert fades.faded(edit(), 1) == edit(out_s=5.0)
    assert fades.faded(edit(in_s=0.003, out_s=0.06), 1) == edit(in_s=0.003, out_s=5.0)
    assert fades.faded(edit(), 0) == edit()  # another editor


@pytest.mark.parametrize(
    "edits",
    [
        [edit(out_s=5.0)],  # one proves no habit
        [edit(out_s=5.0), edit(out_s=5.0), edit(), edit()],  # half of them
        [edit(out_s=0.1), edit(out_s=0.1), edit(out_s=0.1)],  # they only keep it from clicking
        [edit(end_s=99.6, out_s=5.0)] * 9,  # the recording's own end
    ],
)
def test_what_is_no_habit(edits: list[EditList]) -> None:
    assert learned(*edits).faded(edit(), 1) == edit()


def test_the_recordings_own_ends_tell_nothing_and_get_none() -> None:
    fades = learned(
        edit(in_s=2.0, out_s=5.0), edit(in_s=2.0, out_s=5.0), edit(0.0, 100.0), edit(0.4, 99.6), edit(0.0, 100.0)
    )
    assert fades.faded(edit(0.0, 100.0), 1) == edit(0.0, 100.0)
    assert fades.faded(edit(0.4, 99.6), 1) == edit(0.4, 99.6)
    assert fades.faded(edit(0.6, 99.4), 1) == edit(0.6, 99.4, in_s=2.0, out_s=5.0)


def test_silence_at_an_end_tells_nothing_and_what_plays_before_it_fades() -> None:
    closed = replace(edit(), segments=(*edit().segments, Segment(None, RATE)))
    assert fades_of(closed) == Fades(0.0, None)
    assert fades_of(EditList(SONG, ())) == Fades(None, None)
    fades = learned(edit(out_s=5.0), edit(out_s=5.0))
    assert fades.faded(closed, 1) == replace(closed, fade_out_ms=5000.0)
    assert fades.faded(EditList(SONG, ()), 1) == EditList(SONG, ())
