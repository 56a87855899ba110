"""What is done with an edit list: ``render``, ``evaluate``, ``preview``, ``export``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rl_editor.cli.options import (
    AnyEdits,
    AnySource,
    Json,
    Out,
    Params,
    Source,
    check_written,
    edit_summary,
    edit_words,
    say,
    show,
)
from rl_editor.clock import clock
from rl_editor.command import read_config
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError, EditListError
from rl_editor.exporters import SUFFIXES, ExportFormat

if TYPE_CHECKING:
    from rl_editor.audition import Audition

MOST_HELD_GIB = 4  # of rendered samples in memory, which holds them twice for a moment: 3:22 hours at 44.1 kHz stereo


def render(
    edits: AnyEdits,
    source: Source,
    output: Out,
    settle: Annotated[bool, typer.Option(help="Move joins to where they are heard least.")] = False,
    any_source: AnySource = False,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Render an edit list to audio."""
    from rl_editor.delivery import check_delivery, deliver
    from rl_editor.render import check_recording, settle_joins

    check_written({"-o": output}, source, edits, params)
    config = read_config(params)
    found = _edit_of(edits, source, config)
    if not any_source:
        check_recording(found, source)
    check_delivery(source, output, length_s=found.duration_s)
    if settle:
        found = settle_joins(found, source, config)
    deliver(found, source, output, config)
    show(edit_summary(found, output), edit_words(found, output), as_json=as_json)


def evaluate(
    edits: AnyEdits,
    source: Source,
    picture: Annotated[Path | None, typer.Option(help="Draw waveform and spectrogram around the joins; PNG.")] = None,
    any_source: AnySource = False,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Judge the joins of an edit: level, spectrum, beat, bar, clicks."""
    from rl_editor.audition.words import screen

    check_written({"--picture": picture}, source, edits, params)
    found = _audition(edits, source, params, any_source=any_source)
    if picture is not None:
        from rl_editor.audition.picture import save_picture  # a second of imports

        save_picture(found, picture)
    show(found.to_dict(), screen(found), as_json=as_json)


def preview(
    edits: AnyEdits,
    source: Source,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    seconds: Annotated[float, typer.Option(help="To play before and after each join.", min=0.2, max=60.0)] = 4.0,
    any_source: AnySource = False,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Write a few seconds around every join, and a page to hear and see them."""
    from rl_editor.audition.pages import check_preview, write_preview

    check_preview(output, edits, source, params)
    found = _audition(edits, source, params, any_source=any_source)
    written = write_preview(found, output, seconds=seconds)
    say({"page": str(written[-1]), "joins": len(found.joins), "files": len(written)}, as_json=as_json)


def export(
    edits: Annotated[Path, typer.Argument(help="Edit list (JSON).")],
    output: Out,
    to: Annotated[ExportFormat | None, typer.Option(help="Format; default: by the extension.")] = None,
    media: Annotated[str | None, typer.Option(help="Where the other program finds the recording.")] = None,
    frame_rate: Annotated[
        float | None,
        typer.Option(
            help="Video frames per second, 24, 25, 29.97 ..: of an EDL (25), of otio in place of samples.",
            min=1,
            max=120,
        ),
    ] = None,
    cuts_only: Annotated[
        bool, typer.Option("--cuts-only", help="An EDL without dissolves, as OpenShot reads it.")
    ] = False,
) -> None:
    """Write an edit list for another program."""
    from rl_editor.exporters import export_edit
    from rl_editor.importers import load_edit

    by_suffix: Mapping[str, Any] = {suffix: name for name, suffix in SUFFIXES.items()}
    kind = to or by_suffix.get(output.suffix.lower())
    if kind is None:
        raise ConfigError(f"{output}: the extension names no format; give --to one of {', '.join(SUFFIXES)}")
    check_written({"-o": output}, edits)
    export_edit(load_edit(edits), output, kind, media=media, frame_rate=frame_rate, cuts_only=cuts_only)


def _audition(edits: Path, source: Path, params: Path | None, *, any_source: bool) -> "Audition":
    """What the joins of an edit measure."""
    from rl_editor.audition import audition

    config = read_config(params)
    edit = _edit_of(edits, source, config)
    _check_held(edit, edits)
    return audition(edit, source, config, any_source=any_source)


def _check_held(edit: EditList, path: Path) -> None:
    """Refuse an edit whose rendering, which is judged as a whole, would fill the memory."""
    bytes_per_s = edit.source.sample_rate * edit.source.channels * np.dtype(np.float32).itemsize
    held_gib = edit.duration_s * bytes_per_s / 2**30
    if held_gib > MOST_HELD_GIB:
        longest = clock(MOST_HELD_GIB * 2**30 / bytes_per_s)
        raise EditListError(
            f"{path}: plays {clock(edit.duration_s)}, {held_gib:.1f} GiB of samples; joins are judged in at most "
            f"{MOST_HELD_GIB} GiB, here {longest}; judge a shorter edit of it, or render it, which streams"
        )


def _edit_of(path: Path, source: Path, config: Config) -> EditList:
    """An edit list in any format, of that recording."""
    from rl_editor.importers import load_edit, read_edit
    from rl_editor.utils import source_info

    if path.suffix.lower() == ".json":
        return load_edit(path)
    return read_edit(path, source_info(source), default_crossfade_ms=config.action_space.default_crossfade_ms)
