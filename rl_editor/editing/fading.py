"""How an edit fades where it begins and ends: as asked, else as the editor's edits usually do."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rl_editor.crossfades import crossfades, fading_segments
from rl_editor.editing.request import Request
from rl_editor.edits import EditList
from rl_editor.infer import style_number
from rl_editor.render import with_faded_ends

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy


def with_fades(edit: EditList, request: Request, policy: "Policy | None") -> tuple[EditList, list[str]]:
    """The edit with its fades, and what a person should know of them.

    Said is that the passage at an end is shorter than the fade asked for, and what was not asked for.
    """
    plain = usual = with_faded_ends(replace(edit, fade_in_ms=0.0, fade_out_ms=0.0))
    if policy is not None and request.method == "policy":
        usual = policy.agent.usual_fades.faded(plain, style_number(policy, request.style))
    in_ms, out_ms = (None if s is None else 1000.0 * s for s in (request.fade_in_s, request.fade_out_s))
    faded = replace(
        edit,
        fade_in_ms=usual.fade_in_ms if in_ms is None else in_ms,
        fade_out_ms=usual.fade_out_ms if out_ms is None else out_ms,
    )
    mixed, rate = crossfades(faded), edit.source.sample_rate
    first, last = fading_segments(faded)
    notes = []
    for way, asked_s, n_frames, is_usual in (
        ("in", request.fade_in_s, mixed[first].after, usual.fade_in_ms != plain.fade_in_ms),
        ("out", request.fade_out_s, mixed[last + 1].before, usual.fade_out_ms != plain.fade_out_ms),
    ):
        fits_s = n_frames / rate
        if asked_s is not None and n_frames < round(asked_s * rate):
            notes.append(f"fades {way} for {fits_s:.2f} s, not {asked_s:g}: no more plays without a join there")
        if asked_s is None and is_usual:
            notes.append(f"fades {way} for {fits_s:.1f} s, as this editor's edits usually do (--fade-{way} 0: not)")
    return faded, notes
