"""For how long an editor's edits usually fade, from edits whose fades are known."""

from dataclasses import replace

import pytest

from rl_editor.crossfades import with_crossfades
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.usual_fades import Fades, UsualFades, fades_of

RATE = 8_000
SONG = SourceInfo("song.wav", "0" * 64, RATE, 1, 100 * RATE)


def edit(start_s: float = 10.0, end_s: float = 70.0, *, in_s: float = 0.0, out_s: float = 0.0) -> EditList:
    """One passage of a song of 100 s."""
    passage = Segment(round(start_s * RATE), round((end_s - start_s) * RATE))
    return EditList(SONG, (passage,), fade_in_ms=1000.0 * in_s, fade_out_ms=1000.0 * out_s)


def joined(*crossfades_s: float) -> EditList:
    """Passages with a second left out between them."""
    starts = [2 * RATE * i for i in range(len(crossfades_s) + 1)]
    fades_ms = (0.0, *(1000.0 * length_s for length_s in crossfades_s))
    return EditList(SONG, tuple(Segment(at, RATE, crossfade_in_ms=ms) for at, ms in zip(starts, fades_ms, strict=True)))


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
    assert fades_of(closed) == Fades((0.0,), (), ())
    assert fades_of(EditList(SONG, ())) == Fades((), (), ())
    fades = learned(edit(out_s=5.0), edit(out_s=5.0))
    assert fades.faded(closed, 1) == replace(closed, fade_out_ms=5000.0)
    assert fades.faded(EditList(SONG, ()), 1) == EditList(SONG, ())


def test_most_joins_of_all_edits_make_the_habit_of_crossfading() -> None:
    fades = learned(joined(0.3, 0.05), joined(0.5, 0.4), joined(0.0))
    assert fades.crossfade_ms(1) == 400.0
    assert fades.faded(joined(0.05, 0.05), 1) == joined(0.4, 0.4)
    assert fades.faded(joined(), 1) == joined()
    assert fades.crossfade_ms(0) == 0.0
    assert fades.faded(joined(0.05), 0) == joined(0.05)


@pytest.mark.parametrize("edits", [[joined(0.3)], [joined(0.3, 0.3, 0.05, 0.05)], [joined(0.099, 0.099)], [edit()]])
def test_what_is_no_habit_of_crossfading(edits: list[EditList]) -> None:
    fades = learned(*edits)
    assert fades.crossfade_ms(1) == 0.0
    assert fades.faded(joined(0.05), 1) == joined(0.05)


def test_joins_to_silence_and_what_plays_on_keep_what_they_have() -> None:
    faster, silence = Segment(2 * RATE, RATE, speed=2.0), Segment(None, RATE, crossfade_in_ms=20.0)
    again = Segment(0, RATE, crossfade_in_ms=30.0)
    whole = EditList(SONG, (Segment(0, RATE), Segment(RATE, RATE), faster, silence, again))
    assert fades_of(whole).joins_s == (0.0,)  # where it becomes faster
    mixed = with_crossfades(whole, 700.0)
    assert [segment.crossfade_in_ms for segment in mixed.segments] == [0.0, 0.0, 700.0, 20.0, 30.0]
    assert with_crossfades(EditList(SONG, ()), 700.0) == EditList(SONG, ())
