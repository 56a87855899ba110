"""What several commands have in common: options, settings, how results are said."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from rl_editor.clock import clock
from rl_editor.command import refuse_overwriting
from rl_editor.edits import EditList, Segment
from rl_editor.errors import ConfigError
from rl_editor.files import check_picture, check_writable

_T = TypeVar("_T")

MOST_PASSAGES = 12
SHORTEST_SAID_S = 0.05  # of silence
PIPELINE_POLICIES: Mapping[str, Path] = {"ppo": Path("models/ppo/best.pt"), "bc": Path("models/bc/bc_best.pt")}
DEFAULT_CHECKPOINTS = (PIPELINE_POLICIES["ppo"], Path("models/best.pt"))

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Params = Annotated[Path | None, typer.Option(help="Settings, as params.yaml.")]
AnyEdits = Annotated[
    Path, typer.Argument(help="Edit list: this program's JSON or CSV, OpenTimelineIO, or Audacity labels.")
]
Source = Annotated[Path, typer.Option(help="The recording that it cuts.")]
AnySource = Annotated[
    bool, typer.Option("--any-source", help="Cut another file than the edit list was made for: a stem, a format.")
]
Out = Annotated[Path, typer.Option("-o", "--output", help="File to write.")]
Drop = Annotated[
    list[str] | None, typer.Option(help="What must not play, as 1:40-1:52; may be given again.", metavar="SPAN")
]
Anchors = Annotated[
    list[str] | None, typer.Option(help="1:05=0:45: this moment of the recording at that time.", metavar="A=B")
]
TargetDuration = Annotated[str | None, typer.Option(help="Length to aim at: seconds or m:ss.", metavar="TIME")]
AllowStretch = Annotated[
    bool, typer.Option("--allow-stretch", help="With --exact: play up to 2 % faster or slower for it.")
]


def read_value(option: str, text: str, read: Callable[[str], _T]) -> _T:
    """What ``read`` makes of an option's text.

    Raises:
        ConfigError: as ``read`` says, with the option and all that was written there: it may be one of many.
    """
    try:
        return read(text)
    except ConfigError as fault:
        said = str(fault)
        raise ConfigError(f"{option} {said if said.startswith(repr(text)) else f'{text!r}: {said}'}") from None


def check_written(outputs: Mapping[str, Path | None], *inputs: Path | None) -> None:
    """Refuse files (by option) that are read here, cannot be written or are no PNG, before anything is computed."""
    refuse_overwriting(outputs, *inputs)
    for option, path in outputs.items():
        if path is not None:
            check_writable(path, option)
            if option == "--picture":
                check_picture(path)


def passed_over(folder: Path) -> list[str]:
    """What is said of recordings that a command does not take from a folder: no edit is written in their formats."""
    from rl_editor.library import only_read

    return [
        f"{path.name}: {path.suffix} is not taken from a folder; name the file itself, or make it .flac"
        for path in only_read(folder)
    ]


def default_checkpoint() -> Path:
    """The policy that the pipeline or the README's training left.

    Raises:
        ConfigError: there is none.
    """
    for path in DEFAULT_CHECKPOINTS:
        if path.is_file():
            return path
    tried = " and ".join(str(path) for path in DEFAULT_CHECKPOINTS)
    raise ConfigError(f"no policy at {tried}; train one with 'make repro', or give --checkpoint")


def edit_summary(found: EditList, path: Path) -> dict[str, Any]:
    """An edit list in plain values."""
    actions = {name: found.actions.count(name) for name in sorted(set(found.actions))}
    decided = {"actions": actions} if actions else {}  # what was negotiated since is no decision per unit any more
    return {
        "file": str(path),
        "duration_s": round(found.duration_s, 3),
        "source_s": round(found.source.frames / found.source.sample_rate, 3),
        "segments": len(found.segments),
        **decided,
    }


def edit_words(found: EditList, path: Path, notes: Sequence[str] = ()) -> str:
    """What of a recording plays in an edit, and what a person should know about it."""
    rate, source = found.source.sample_rate, found.source
    said = [_passage(segment, rate) for segment in found.merged().segments]
    passages = [(text, len(list(alike))) for text, alike in groupby(filter(None, said))]
    shown = [f"{text} ({times} times)" if times > 1 else text for text, times in passages[:MOST_PASSAGES]]
    more = f" and {len(passages) - len(shown)} more" if len(passages) > len(shown) else ""
    length, whole = (clock(frames / rate, digits=None) for frames in (found.frames, source.frames))
    head = f"{path}: {length} from the {whole} of {source.name}"
    return "\n  ".join([head, f"plays {', '.join(shown)}{more}", *notes])


def _passage(segment: Segment, rate: int) -> str:
    """Where in the recording it lies; nothing where it is just the end of a fade."""
    start, end = segment.source_start_frame, segment.source_end_frame
    if start is None or end is None:
        return f"{segment.frames / rate:.1f} s of silence" if segment.frames > SHORTEST_SAID_S * rate else ""
    return f"{clock(start / rate)}-{clock(end / rate)}"


def say(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Results on stdout: JSON for machines, else lines for people."""
    if as_json:
        typer.echo(json.dumps(values, sort_keys=True, ensure_ascii=False))
        return
    for name, value in values.items():
        shown = f"{value:.6g}" if isinstance(value, float) else value
        typer.echo(f"{name}: {shown}")


def show(values: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    """Results on stdout: JSON for machines, else the words."""
    if as_json:
        say(values, as_json=True)
    else:
        typer.echo(words)
