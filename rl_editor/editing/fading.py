"""How an edit fades where it begins and ends, and crossfades: as asked, else as the policy's editor usually does.

``policy`` is whose habits an edit has; None where it has nobody's.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from rl_editor.command import counted
from rl_editor.crossfades import crossfades, fading_segments, mixed_joins, with_crossfades
from rl_editor.editing.request import Request
from rl_editor.edits import EditList
from rl_editor.infer import style_number
from rl_editor.render import with_faded_ends

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy


def with_crossfades_asked(edit: EditList, request: Request, policy: "Policy | None") -> EditList:
    """The edit with crossfades as long as is asked, else as is usual; where neither says anything, as they were."""
    if request.crossfade_s is not None:
        return with_crossfades(edit, 1000.0 * request.crossfade_s)
    usual_ms = _usual_crossfade_ms(request, policy)
    return with_crossfades(edit, usual_ms) if usual_ms else edit


def with_fades(edit: EditList, request: Request, policy: "Policy | None") -> tuple[EditList, list[str]]:
    """The edit, whose crossfades are there, with its fades, and what a person should know of both.

    Said is that what plays is shorter than the fade asked for, and what was not asked for.
    """
    plain = usual = with_faded_ends(replace(edit, fade_in_ms=0.0, fade_out_ms=0.0))
    if policy is not None:
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
    return faded, [*notes, *_crossfade_notes(faded, request, policy)]


def _crossfade_notes(edit: EditList, request: Request, policy: "Policy | None") -> list[str]:
    joins = mixed_joins(edit)
    if not joins:
        return []
    if request.crossfade_s is None:
        usual_ms = _usual_crossfade_ms(request, policy)
        said = f"joins crossfade for {usual_ms / 1000.0:.1f} s, as this editor's usually do (--crossfade: others)"
        return [said] if usual_ms else []
    merged, rate = edit.merged(), edit.source.sample_rate
    found = [fade.frames for fade, right in zip(crossfades(merged), merged.segments, strict=False) if right in joins]
    short = [n_frames / rate for n_frames in found if n_frames < round(request.crossfade_s * rate) - 1]
    if not short:
        return []
    return [
        f"{len(short)} of {counted(len(joins), 'crossfade')} shorter than {request.crossfade_s:g} s, down to "
        f"{min(short):.2f}: no more plays beside the join"
    ]


def _usual_crossfade_ms(request: Request, policy: "Policy | None") -> float:
    return 0.0 if policy is None else policy.agent.usual_fades.crossfade_ms(style_number(policy, request.style))
