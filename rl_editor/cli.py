"""The command ``rl-editor``: recover, make, render and export edits; make corpora; look after the cache.

Exit codes: 0 done; 1 a check failed; 2 wrong usage or bad input. What a machine may read goes to stdout (``--json``),
everything else to stderr. Settings come from ``--params FILE``, else they are the defaults.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_editor import __version__
from rl_editor.command import CONTEXT, EXIT_CHECK_FAILED, optional_value, read_settings, refuse_overwriting, run_app
from rl_editor.config import BeatTracker, Config, EditMethod
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError
from rl_editor.exporters import SUFFIXES, ExportFormat
from rl_editor.files import check_writable, write_text
from rl_editor.preferences.commands import app as preferences_app

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy
    from rl_editor.editing import Written
    from rl_editor.negotiation.demands import Demands

app = typer.Typer(
    help="Learns a person's way of editing music, and edits new recordings the same way.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)
cache_app = typer.Typer(help="The side cache of features, stems and labels.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")
app.add_typer(preferences_app, name="preferences")

DEFAULT_CHECKPOINTS = (Path("models/ppo/best.pt"), Path("models/best.pt"))
PIPELINE_POLICIES: Mapping[str, Path] = {"ppo": Path("models/ppo/best.pt"), "bc": Path("models/bc/bc_best.pt")}
_SIZE = re.compile(r"(?P<number>\d{1,15}(\.\d+)?) ?(?P<unit>[kmgt])?(i?b)?", re.IGNORECASE)
MAX_SEED = (1 << 63) - 1  # torch's generators take no more
MOST_CANDIDATES = 20

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Params = Annotated[Path | None, typer.Option(help="Settings, as params.yaml.")]
AnyEdits = Annotated[
    Path, typer.Argument(help="Edit list: this program's JSON or CSV, OpenTimelineIO, or Audacity labels.")
]
AnySource = Annotated[
    bool, typer.Option("--any-source", help="Cut another file than the edit list was made for: a stem, a format.")
]
Out = Annotated[Path, typer.Option("-o", "--output", help="File to write.")]
Drop = Annotated[list[str] | None, typer.Option(help="What must not play.", metavar="SPAN")]
Anchors = Annotated[
    list[str] | None, typer.Option(help="1:05=0:45: this moment of the recording at that time.", metavar="A=B")
]
TargetDuration = Annotated[str | None, typer.Option(help="Length to aim at: seconds or m:ss.", metavar="TIME")]
AllowStretch = Annotated[
    bool, typer.Option("--allow-stretch", help="With --exact: play up to 2 % faster or slower for it.")
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Edit music the way somebody does."""
    if version:
        typer.echo(f"rl-editor {__version__}")
        raise typer.Exit


@app.command(cls=optional_value("--picture"))
def align(
    raw: Annotated[Path, typer.Argument(help="The raw recording, or a folder of pairs.")],
    edit: Annotated[Path | None, typer.Argument(help="The edit made of it; none with a folder.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Edit list (JSON) to write, or an export by its extension. With a folder: the folder to write.",
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(help="Draw raw, edit and what went where; PNG, default: beside -o.", metavar="[FILE]"),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="Export as well, beside -o under its name (audacity: .txt); may be repeated.",
            metavar="|".join(SUFFIXES),
        ),
    ] = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Recover what an editor did. Exits with 1 when an edit does not come from its raw.

    RAW may be a folder with input/NAME_raw.* and desired_output/NAME_edit.* (or a pairs.csv): all its pairs are done
    in parallel, each written to the folder -o as NAME.json; --picture takes no FILE then.
    """
    config = settings(params)
    if raw.is_dir():
        if edit is not None or picture:
            raise ConfigError(f"{raw}: is a folder of pairs; leave out {edit or picture}, or name one recording")
        _align_folder(raw, output, config, to=to or (), draw=picture is not None, as_json=as_json)
    elif edit is None:
        raise ConfigError(f"{raw}: the edit made of it is missing; name it as well, or a folder of pairs")
    else:
        named = Path(picture) if picture else None
        _align_pair(raw, edit, output, config, to=to or (), picture=named, draw=picture is not None, as_json=as_json)


@app.command()
def edit(
    song: Annotated[Path, typer.Argument(help="The recording to edit, or a folder of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; with a folder: the folder to write.")],
    checkpoint: Annotated[Path | None, typer.Option(help="Trained policy; default: models/ppo/best.pt.")] = None,
    edit_list: Annotated[
        Path | None, typer.Option(help="Write the edit list (JSON) here as well; with a folder: a folder.")
    ] = None,
    target_duration: TargetDuration = None,
    exact: Annotated[bool, typer.Option("--exact", help="Meet the length to the sample.")] = False,
    allow_stretch: AllowStretch = False,
    keep: Annotated[list[str] | None, typer.Option(help="What has to play, as 0:00-0:12.", metavar="SPAN")] = None,
    drop: Drop = None,
    anchor: Anchors = None,
    no_loop: Annotated[bool, typer.Option("--no-loop", help="Repeat nothing.")] = False,
    no_reorder: Annotated[bool, typer.Option("--no-reorder", help="Move nothing.")] = False,
    method: Annotated[
        EditMethod, typer.Option(help="The trained policy, or the retargeting DP without one.")
    ] = "policy",
    style: Annotated[str | None, typer.Option(help="Whose way of editing.")] = None,
    candidates: Annotated[
        int, typer.Option(help="How many different edits; further ones are named _2, _3 ..", min=1, max=MOST_CANDIDATES)
    ] = 1,
    stochastic: Annotated[bool, typer.Option("--stochastic", help="Draw decisions.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the draws.", min=0, max=MAX_SEED)] = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Edit a recording with a trained policy, or by the retargeting DP. Exits with 1 if one of a folder failed."""
    from rl_editor.checkpoint import load_policy
    from rl_editor.editing import Failed, Request, edit_as_asked, edit_folder

    for written in (output, edit_list):
        refuse_overwriting(written, song)
    demands = _demands(target_duration, exact=exact, keep=keep, drop=drop, anchors=anchor)
    request = Request(demands, method, style, not no_loop, not no_reorder, candidates, stochastic, seed, allow_stretch)
    if method == "dp" and checkpoint is not None:
        raise ConfigError(f"--checkpoint {checkpoint}: the DP needs no policy; leave it out, or use the policy")
    policy = None if method == "dp" else load_policy(checkpoint or _default_checkpoint())
    config = settings(params) if params else None
    if not song.is_dir():
        made = edit_as_asked(song, output, request, policy=policy, config=config, edit_list=edit_list)
        _say_edits(made, as_json=as_json)
        return
    failed: list[Failed] = []
    summaries: list[dict[str, Any]] = []
    for each in edit_folder(song, output, request, policy=policy, config=config, edit_list=edit_list):
        if isinstance(each, Failed):
            failed.append(each)
            typer.echo(f"left out: {each.reason}", err=True)
            continue
        for one in each:
            summaries.append(_written_summary(one))
            if not as_json:
                said = "".join(f"; {note}" for note in one.notes)
                n_segments = len(one.edit.segments)
                typer.echo(f"{one.output}: {one.edit.duration_s:.1f} s in {n_segments} segments{said}", err=True)
    if as_json:
        left_out = [{"file": str(f.source), "reason": f.reason} for f in failed]
        _say({"edits": summaries, "failed": left_out}, as_json=True)
    if failed:
        raise typer.Exit(EXIT_CHECK_FAILED)


@app.command()
def revise(
    edits: Annotated[Path, typer.Argument(help="Edit list (JSON).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Edit list (JSON) to write.")],
    source: Annotated[
        Path | None, typer.Option(help="The recording that it cuts; needed where the cache does not know it.")
    ] = None,
    veto_join: Annotated[list[int] | None, typer.Option(help="A join that must go, from 1.", min=1)] = None,
    pin: Annotated[list[str] | None, typer.Option(help="What has to play, as 0:40-0:55.", metavar="SPAN")] = None,
    drop: Drop = None,
    anchor: Anchors = None,
    target_duration: TargetDuration = None,
    exact: Annotated[bool, typer.Option("--exact", help="Meet the length to the sample; needs --source.")] = False,
    allow_stretch: AllowStretch = False,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Change an edit as little as what is asked demands, and say what each demand costs."""
    from rl_editor.editing import revise_list
    from rl_editor.negotiation.words import screen

    _check_written("-o", output, edits, *([source] if source else []))
    found = EditList.load(edits)
    demands = _demands(target_duration, exact=exact, keep=pin, drop=drop, anchors=anchor, vetoes=veto_join)
    changed, notes = revise_list(found, demands, source, settings(params), allow_stretch=allow_stretch)
    write_text(output, changed.edit.to_json())
    if as_json:
        _say(changed.to_dict() | {"file": str(output), "notes": notes}, as_json=True)
    else:
        typer.echo("\n".join([screen(found, changed), *notes]), err=True)


@app.command()
def render(
    edits: AnyEdits,
    source: Annotated[Path, typer.Option(help="The recording that it cuts.")],
    output: Out,
    settle: Annotated[bool, typer.Option(help="Move joins to where they are heard least.")] = False,
    any_source: AnySource = False,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Render an edit list to audio."""
    from rl_editor.render import check_format, check_recording, render_file, settle_joins

    _check_written("-o", output, source, edits)
    config = settings(params)
    found = _edit_of(edits, source, config)
    if not any_source:
        check_recording(found, source)
    check_format(source, output)
    if settle:
        found = settle_joins(found, source, config)
    render_file(found, source, output, config)
    _say(_edit_summary(found, output), as_json=as_json)


@app.command()
def evaluate(
    edits: AnyEdits,
    source: Annotated[Path, typer.Option(help="The recording that it cuts.")],
    picture: Annotated[Path | None, typer.Option(help="Draw waveform and spectrogram around the joins; PNG.")] = None,
    any_source: AnySource = False,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Judge the joins of an edit: level, spectrum, beat, bar, clicks."""
    from rl_editor.audition import audition
    from rl_editor.audition.picture import save_picture
    from rl_editor.audition.words import screen

    _check_written("--picture", picture, source, edits)
    config = settings(params)
    found = audition(_edit_of(edits, source, config), source, config, any_source=any_source)
    if picture is not None:
        save_picture(found, picture)
    if as_json:
        _say(found.to_dict(), as_json=True)
    else:
        typer.echo(screen(found), err=True)


@app.command()
def preview(
    edits: AnyEdits,
    source: Annotated[Path, typer.Option(help="The recording that it cuts.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    seconds: Annotated[float, typer.Option(help="To play before and after each join.", min=0.2, max=60.0)] = 4.0,
    any_source: AnySource = False,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Write a few seconds around every join, and a page to hear and see them."""
    from rl_editor.audition import audition
    from rl_editor.audition.pages import PAGE, write_preview

    check_writable(output / PAGE, "-o")
    config = settings(params)
    found = audition(_edit_of(edits, source, config), source, config, any_source=any_source)
    written = write_preview(found, output, seconds=seconds)
    _say({"page": str(written[-1]), "joins": len(found.joins), "files": len(written)}, as_json=as_json)


@app.command()
def export(
    edits: Annotated[Path, typer.Argument(help="Edit list (JSON).")],
    output: Out,
    to: Annotated[ExportFormat | None, typer.Option(help="Format; default: by the extension.")] = None,
    media: Annotated[str | None, typer.Option(help="Where the other program finds the recording.")] = None,
    frame_rate: Annotated[int, typer.Option(help="Video frames per second, of an EDL.", min=1, max=100)] = 25,
) -> None:
    """Write an edit list for another program."""
    from rl_editor.exporters import export_edit

    by_suffix: Mapping[str, Any] = {suffix: name for name, suffix in SUFFIXES.items()}
    kind = to or by_suffix.get(output.suffix.lower())
    if kind is None:
        raise ConfigError(f"{output}: the extension names no format; give --to one of {', '.join(SUFFIXES)}")
    _check_written("-o", output, edits)
    export_edit(EditList.load(edits), output, kind, media=media, frame_rate=frame_rate)


@app.command()
def grid(
    song: Annotated[Path, typer.Argument(help="The recording.")],
    tracker: Annotated[BeatTracker | None, typer.Option(help="Beat tracker; default: the settings'.")] = None,
    click: Annotated[
        Path | None, typer.Option(help="Write the recording with a click on every beat, by extension.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw tempo, beats and what is heard; PNG.")] = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Say where the beats of a recording are, how sure that is, and what else they could be."""
    from rl_editor.checkup import check_up, write_click_track
    from rl_editor.checkup.picture import save_picture
    from rl_editor.checkup.words import screen
    from rl_editor.render import check_format

    _check_written("--click", click, song)
    _check_written("--picture", picture, song)
    if click is not None:
        check_format(song, click)
    config = settings(params)
    config.beats.tracker = tracker or config.beats.tracker
    found = check_up(song, config)
    if click is not None:
        write_click_track(found, song, click)
    if picture is not None:
        save_picture(found, picture)
    if as_json:
        _say(found.to_dict(), as_json=True)
    else:
        typer.echo(screen(found), err=True)


@app.command()
def candidates(
    songs: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the listening set to write.")],
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="Policy to draw edits from; may be repeated. Default: PPO's and the clone.", metavar="[NAME=]FILE"
        ),
    ] = None,
    pairs: Annotated[int, typer.Option(help="Pairs to make, over all songs.", min=1, max=5000)] = 60,
    rated: Annotated[int, typer.Option(help="Whole edits of each song to rate from 1 to 10.", min=0, max=10)] = 2,
    target_duration: TargetDuration = None,
    style: Annotated[str | None, typer.Option(help="Whose way of editing.")] = None,
    seed: Annotated[int, typer.Option(help="Of all chance.", min=0, max=MAX_SEED)] = 0,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Make a listening set: pairs of edits to judge, equally long and loud. Exits with 1 if a song gave none."""
    from rl_editor.negotiation.demands import read_seconds
    from rl_editor.preferences.candidates import Plan, find_songs, make_set

    length_s = None if target_duration is None else read_seconds(target_duration, least=0.1)
    made = make_set(
        find_songs(songs),
        output,
        _policies(checkpoint or ()),
        Plan(pairs, rated, length_s, style, seed),
        config=settings(params) if params else None,
        tell=lambda said: typer.echo(said, err=True),
    )
    for problem in made.problems:
        typer.echo(f"left out: {problem}", err=True)
    found = made.listening_set
    n_anchors = sum(pair.kind == "anchor" for pair in found.pairs)
    counts = {"pairs": len(found.pairs) - n_anchors, "anchors": n_anchors, "to_rate": len(found.whole)}
    _say({"set": str(output), **counts, "left_out": len(made.problems)}, as_json=as_json)
    if made.problems:
        raise typer.Exit(EXIT_CHECK_FAILED)


@app.command()
def corpus(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("data/raw"),
    source: Annotated[Path | None, typer.Option("--from", help="Folder of recordings; default: compose songs.")] = None,
    editor: Annotated[str, typer.Option(help="Synthetic editor.")] = "radio_edit",
    songs: Annotated[int | None, typer.Option(help="How many songs to compose.", min=1)] = None,
    params: Params = None,
) -> None:
    """Make practice pairs: from a folder of recordings, or from composed songs."""
    from rl_editor.corpus import build_default_corpus, build_practice_pairs

    config = settings(params)
    if source is None:
        config.corpus.n_songs = songs or config.corpus.n_songs
        made = build_default_corpus(output, config)
    else:
        made = build_practice_pairs(source, editor.replace("-", "_"), output, config)
    for problem in made.problems:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{output}: {len(made.pairs)} pairs, {len(made.problems)} left out", err=True)


@app.command()
def profile(
    folder: Annotated[Path, typer.Argument(help="Folder of pairs: input/, desired_output/, pairs.csv.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to write profile.csv and profile.png to.")
    ] = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Say how somebody edits: what plays, how long, what loops, how joins are set."""
    from rl_editor.data import load_demonstrations
    from rl_editor.profile import profiles
    from rl_editor.profile.picture import save_picture
    from rl_editor.profile.words import save_table, table, to_dict

    config = settings(params)
    found = profiles(load_demonstrations(folder, config), config)
    if output is not None:
        save_table(found, output / "profile.csv")
        save_picture(found, output / "profile.png")
    if as_json:
        _say({each.style: to_dict(each) for each in found}, as_json=True)
    else:
        typer.echo(table(found), err=True)


@app.command()
def listen(
    folder: Annotated[Path, typer.Argument(metavar="SET", help="Folder of a listening set.")],
    port: Annotated[
        int, typer.Option(help="To listen at, on this machine only; 0 takes a free one.", min=0, max=65535)
    ] = 8765,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve a page where people judge the pairs of a listening set, by ear and blind. Ctrl-C ends it."""
    from rl_editor.judgements.sets import ListeningSet
    from rl_editor.reward_model.choosing import chooser_of
    from rl_editor.server import serve

    serve(folder, port=port, open_page=open_page, choose=chooser_of(ListeningSet.load(folder)))


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="A recording, an edit list, a policy, or a folder of recordings.")],
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Say what a file or folder is."""
    _say(describe(path, settings(params)), as_json=as_json)


@cache_app.command("info")
def cache_info(params: Params = None, as_json: Json = False) -> None:
    """How much lies in the cache."""
    from rl_editor.cache import get_cache

    found = get_cache(settings(params)).info()
    kinds = {kind: {"entries": value.entries, "bytes": value.size_bytes} for kind, value in found.kinds.items()}
    _say({"cache_dir": str(found.cache_dir), "bytes": found.size_bytes, **kinds}, as_json=as_json)


@cache_app.command("verify")
def cache_verify(params: Params = None, as_json: Json = False) -> None:
    """Check every entry. Exits with 1 when some are damaged."""
    from rl_editor.cache import get_cache

    damaged = [str(path) for path in get_cache(settings(params)).verify()]
    _say({"damaged": damaged}, as_json=as_json)
    if damaged:
        raise typer.Exit(EXIT_CHECK_FAILED)


@cache_app.command("prune")
def cache_prune(
    max_size: Annotated[str, typer.Option(help="Keep at most this much: bytes, or with K, M, G or T.", metavar="SIZE")],
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Remove the entries used longest ago."""
    from rl_editor.cache import get_cache

    removed = get_cache(settings(params)).prune(read_size(max_size))
    _say({"entries": removed.entries, "bytes": removed.size_bytes}, as_json=as_json)


def _align_pair(
    raw: Path,
    edit: Path,
    output: Path | None,
    config: Config,
    *,
    to: Sequence[str],
    picture: Path | None,
    draw: bool,
    as_json: bool,
) -> None:
    from rl_editor.archaeology import pair_files, recover_pair
    from rl_editor.archaeology.words import screen

    files = pair_files(output, to=to, picture=picture, draw=draw)
    found = recover_pair(raw, edit, config, files=files)
    if as_json:
        facts = {"raw": str(raw), "edit": str(edit), **found.summary.to_dict()}
        _say(facts if files.edits else facts | {"edit_list": found.edit.to_dict()}, as_json=True)
        return
    typer.echo(screen(found.summary, raw_name=raw.name, edit_name=edit.name), err=True)
    if files.paths:
        typer.echo("\nwritten: " + ", ".join(str(path) for path in files.paths), err=True)


def _align_folder(
    root: Path, output: Path | None, config: Config, *, to: Sequence[str], draw: bool, as_json: bool
) -> None:
    from rl_editor.archaeology import recover_folder
    from rl_editor.archaeology.words import pairs_table
    from rl_editor.library import find_library

    library = find_library(root)
    reports = list(recover_folder(library, output, config, to=to, draw=draw))
    n_rejected = sum(report.rejected is not None for report in reports)
    if as_json:
        problems = [str(problem) for problem in library.problems]
        pairs = [report.to_dict() for report in reports]
        _say({"pairs": pairs, "n_pairs": len(pairs), "n_rejected": n_rejected, "problems": problems}, as_json=True)
    else:
        for problem in library.problems:
            typer.echo(f"left out: {problem}", err=True)
        typer.echo(pairs_table(reports), err=True)
        written = f"; written to {output}" if output else ""
        typer.echo(f"\n{len(reports) - n_rejected} of {len(reports)} pairs recovered{written}", err=True)
    if n_rejected:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _check_written(option: str, path: Path | None, *inputs: Path) -> None:
    """Refuse a file that is read here or cannot be written, before anything is computed."""
    if path is not None:
        refuse_overwriting(path, *inputs)
        check_writable(path, option)


def read_size(text: str) -> int:
    """Bytes: ``2G`` and ``2 GiB`` are 2 * 1024**3.

    Raises:
        ConfigError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"--max-size {text}: no size; write bytes, or a number with K, M, G or T, such as 500M")
    power = " KMGT".index((found["unit"] or " ").upper())
    return round(float(found["number"]) * (1 << 10 * power))


def settings(path: Path | None) -> Config:
    """The settings in a YAML file, or the defaults.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds wrong settings.
    """
    return Config.from_dict(read_settings(path)) if path else Config()


def describe(path: Path, config: Config) -> dict[str, Any]:
    """What a file or folder is, in plain values."""
    if path.is_dir():
        return _library(path)
    match path.suffix.lower():
        case ".json":
            found = EditList.load(path)
            return {"kind": "edit list", "source": found.source.name, **_edit_summary(found, path)}
        case ".pt":
            from rl_editor.checkpoint import load_policy

            policy = load_policy(path)
            mode, unit = policy.config.features.feature_mode, policy.config.action_space.unit_beats
            shape = {"feature_mode": mode, "unit_beats": unit}
            return {"kind": "policy", "styles": list(policy.styles), **shape, "metrics": dict(policy.metrics)}
        case _:
            from rl_editor.utils import audio_info

            return {"kind": "recording", **asdict(audio_info(path))}


def _library(path: Path) -> dict[str, Any]:
    from rl_editor.library import find_library

    found = find_library(path)
    counts = {"pairs": len(found.pairs), "references": len(found.references), "styles": list(found.styles)}
    return {"kind": "recordings", **counts, "problems": [str(problem) for problem in found.problems]}


def _demands(
    target_duration: str | None,
    *,
    exact: bool,
    keep: Sequence[str] | None,
    drop: Sequence[str] | None,
    anchors: Sequence[str] | None,
    vetoes: Sequence[int] | None = None,
) -> "Demands":
    """What is asked, read from its options."""
    from rl_editor.negotiation.demands import Demands, read_anchor, read_seconds, read_span

    return Demands(
        duration_s=None if target_duration is None else read_seconds(target_duration, least=0.1),
        exact=exact,
        keep=tuple(read_span(text) for text in keep or ()),
        drop=tuple(read_span(text) for text in drop or ()),
        anchors=tuple(read_anchor(text) for text in anchors or ()),
        vetoes=tuple(vetoes or ()),
    )


def _edit_of(path: Path, source: Path, config: Config) -> EditList:
    """An edit list in any format, of that recording."""
    from rl_editor.importers import read_edit
    from rl_editor.utils import source_info

    if path.suffix.lower() == ".json":
        return EditList.load(path)
    return read_edit(path, source_info(source), default_crossfade_ms=config.action_space.default_crossfade_ms)


def _default_checkpoint() -> Path:
    for path in DEFAULT_CHECKPOINTS:
        if path.is_file():
            return path
    tried = " and ".join(str(path) for path in DEFAULT_CHECKPOINTS)
    raise ConfigError(f"no policy at {tried}; train one with 'make repro', or give --checkpoint")


def _policies(named: Sequence[str]) -> "dict[str, Policy]":
    """Policies by name: those given, else what the pipeline left.

    Raises:
        ConfigError: there is none, or two share a name.
    """
    from rl_editor.checkpoint import load_policy

    found: dict[str, Policy] = {}
    for given in named:
        name, _, path = given.rpartition("=")
        name = name or Path(path).stem
        if name in found:
            raise ConfigError(f"--checkpoint {given}: another policy is named {name!r} too; write NAME={path}")
        found[name] = load_policy(path)
    if not named:
        found = {name: load_policy(path) for name, path in PIPELINE_POLICIES.items() if path.is_file()}
    if not found:
        found = {"policy": load_policy(_default_checkpoint())}
    return found


def _edit_summary(found: EditList, path: Path) -> dict[str, Any]:
    actions = {name: found.actions.count(name) for name in sorted(set(found.actions))}
    return {
        "file": str(path),
        "duration_s": round(found.duration_s, 3),
        "source_s": round(found.source.frames / found.source.sample_rate, 3),
        "segments": len(found.segments),
        "actions": actions,
    }


def _written_summary(written: "Written") -> dict[str, Any]:
    return _edit_summary(written.edit, written.output) | {"notes": list(written.notes)}


def _say_edits(made: "Sequence[Written]", *, as_json: bool) -> None:
    """What was written, candidate by candidate."""
    summaries = [_written_summary(each) for each in made]
    if as_json:
        further = {"candidates": summaries} if len(summaries) > 1 else {}
        _say(summaries[0] | further, as_json=True)
        return
    for summary in summaries:
        notes = summary.pop("notes")
        _say(summary | ({"notes": "; ".join(notes)} if notes else {}), as_json=False)


def _say(values: Mapping[str, Any], *, as_json: bool) -> None:
    """JSON on stdout for machines, else lines on stderr for people."""
    if as_json:
        typer.echo(json.dumps(values, sort_keys=True, ensure_ascii=False))
        return
    for name, value in values.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        typer.echo(f"{name}: {shown}", err=True)


def main() -> None:
    """Run the command line; does not return."""
    run_app(app)


if __name__ == "__main__":
    main()
