"""A few seconds around every join as files, one file with all of them, and a page to hear and see them, offline."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from rl_editor.audition import Audition, JudgedJoin
from rl_editor.audition.joins import CLICK
from rl_editor.audition.picture import save_join
from rl_editor.audition.words import doubt, standing
from rl_editor.clock import clock
from rl_editor.errors import ConfigError
from rl_editor.files import check_folder, check_writable, replacing_together, visible, write_text
from rl_editor.publishing import page_templates
from rl_editor.utils import Samples, save_audio

PAGE = "index.html"
_ALL = "all_joins.wav"
_NAMES = re.compile(rf"join_\d+\.(wav|png)|{re.escape(_ALL)}|{re.escape(PAGE)}")
_SILENCE_S, _FADE_S = 0.6, 0.02


def check_preview(folder: Path, *inputs: Path | None) -> None:
    """Refuse a folder in which a preview would overwrite what is read for it.

    Raises:
        ConfigError: it would, or the folder is none or takes no files.
    """
    check_folder(folder, "-o")
    check_writable(folder / PAGE, "-o")
    for given in inputs:
        if given is not None and _NAMES.fullmatch(given.name) and given.parent.resolve() == folder.resolve():
            raise ConfigError(f"{folder}: -o would overwrite {given.name}, which is read here; name another folder")


def write_preview(found: Audition, folder: Path, *, seconds: float) -> list[Path]:
    """Write ``join_NN.wav`` and ``.png`` for every join, ``all_joins.wav`` and ``index.html``; gives what was written.

    ``seconds`` play to each side. Samples are the rendered edit's, but for short fades at the ends of each excerpt.
    What the preview before has left in the folder goes. All is there or, where the disk is full, what was there before.

    Raises:
        OutputError, OSError: the disk is full, or the folder takes no files.
    """
    written, excerpts, rows = [], [], []
    digits = max(len(str(len(found.joins))), 2)
    with replacing_together() as stage:
        for join in found.joins:
            name = f"join_{join.number:0{digits}}"
            sound, picture = folder / f"{name}.wav", folder / f"{name}.png"
            excerpts.append(_around(found.rendered, join, seconds))
            _save(stage(sound), excerpts[-1], found)
            save_join(found, join, stage(picture))
            written += [sound, picture]
            rows.append({"name": name, **_row(join)})
        if excerpts:
            silence = np.zeros((round(_SILENCE_S * found.rendered.sample_rate), found.rendered.channels), np.float32)
            parts = [part for excerpt in excerpts for part in (excerpt, silence)][:-1]
            _save(stage(folder / _ALL), np.concatenate(parts), found)
            written.append(folder / _ALL)
        write_text(stage(folder / PAGE), _page(found, rows, seconds))
        written.append(folder / PAGE)
    for path in visible(folder):
        if _NAMES.fullmatch(path.name) and path not in written:
            path.unlink()
    return written


def _save(path: Path, data: Float32[np.ndarray, "frames channels"], found: Audition) -> None:
    save_audio(path, Samples(data, found.rendered.sample_rate), subtype="PCM_16", places=found.places)


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
        "level": f"{found.level_step_db:.1f} dB, {_beside_beats(found.level_percentile)}",
        "spectrum": _beside_beats(found.spectral_percentile),
        "beat": _due(found.beat_error_ms),
        "bar": {True: "kept", False: "lost", None: "–"}[found.bar_phase_kept],
        "click": f"{found.click:.1f}",
    }


def _beside_beats(percentile: float | None) -> str:
    if percentile is None:
        return "too few beats to compare it with"
    return f"more than at {percentile:.0f} % of the song's own beats"


def _due(late_ms: float) -> str:
    off = f"{abs(late_ms):.1f} ms"
    return "on time" if off == "0.0 ms" else f"{off} {'late' if late_ms > 0.0 else 'early'}"


def _page(found: Audition, rows: list[dict[str, Any]], seconds: float) -> str:
    page = page_templates().get_template("joins.html.j2")
    said = {"title": found.edit.source.name, "standing": standing(found), "doubt": doubt(found)}
    return page.render(**said, rows=rows, seconds=seconds, click=CLICK)
