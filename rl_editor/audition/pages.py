"""A few seconds around every join as files, one file with all of them, and a page to hear and see them, offline."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from rl_editor.audition import Audition, JudgedJoin
from rl_editor.audition.picture import save_join
from rl_editor.audition.words import verdict
from rl_editor.clock import clock
from rl_editor.files import write_text
from rl_editor.publishing import page_templates
from rl_editor.utils import Samples, save_audio

PAGE = "index.html"
_SILENCE_S, _FADE_S = 0.6, 0.02


def write_preview(found: Audition, folder: Path, *, seconds: float) -> list[Path]:
    """Write ``join_NN.wav`` and ``.png`` for every join, ``all_joins.wav`` and ``index.html``; gives what was written.

    ``seconds`` play to each side. Samples are the rendered edit's, but for short fades at the ends of each excerpt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, excerpts, rows = [], [], []
    digits = max(len(str(len(found.joins))), 2)
    for join in found.joins:
        name = f"join_{join.number:0{digits}}"
        excerpt = _around(found.rendered, join, seconds)
        excerpts.append(excerpt)
        sound = Samples(excerpt, found.rendered.sample_rate)
        save_audio(folder / f"{name}.wav", sound, subtype="PCM_16", places=found.places)
        save_join(found, join, folder / f"{name}.png")
        written += [folder / f"{name}.wav", folder / f"{name}.png"]
        rows.append({"name": name, **_row(join)})
    if excerpts:
        silence = np.zeros((round(_SILENCE_S * found.rendered.sample_rate), found.rendered.channels), np.float32)
        parts = [part for excerpt in excerpts for part in (excerpt, silence)][:-1]
        everything = Samples(np.concatenate(parts), found.rendered.sample_rate)
        save_audio(folder / "all_joins.wav", everything, subtype="PCM_16", places=found.places)
        written.append(folder / "all_joins.wav")
    write_text(folder / PAGE, _page(found, rows, seconds))
    return [*written, folder / PAGE]


def _around(rendered: Samples, join: JudgedJoin, seconds: float) -> Float32[np.ndarray, "frames channels"]:
    rate = rendered.sample_rate
    at, reach = round(join.found.output_s * rate), round(seconds * rate)
    low, high = max(at - reach, 0), min(at + reach, rendered.frames)
    excerpt: np.ndarray = rendered.data[low:high].copy()
    fade = min(round(_FADE_S * rate), len(excerpt) // 2)
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)[:, None]
    if low > 0:
        excerpt[:fade] *= ramp
    if high < rendered.frames:
        excerpt[len(excerpt) - fade :] *= ramp[::-1]
    peak = float(np.abs(excerpt).max(initial=0.0))
    return excerpt / np.float32(peak) if peak > 1.0 else excerpt


def _row(join: JudgedJoin) -> dict[str, Any]:
    found = join.found
    return {
        "number": join.number,
        "faults": ", ".join(join.faults),
        "at": clock(found.output_s),
        "leave": clock(found.leave_s, digits=2),
        "land": clock(found.land_s, digits=2),
        "level": f"{found.level_step_db:.1f} dB",
        "spectrum": "–" if found.spectral_percentile is None else f"{found.spectral_percentile:.0f} %",
        "beat": f"{found.beat_error_ms:+.1f} ms",
        "bar": {True: "kept", False: "lost", None: "–"}[found.bar_phase_kept],
        "click": f"{found.click:.1f}",
    }


def _page(found: Audition, rows: list[dict[str, Any]], seconds: float) -> str:
    return (
        page_templates()
        .get_template("joins.html.j2")
        .render(title=found.edit.source.name, verdict=verdict(found), rows=rows, seconds=seconds)
    )
