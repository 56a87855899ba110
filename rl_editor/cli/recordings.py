"""About recordings and folders of them: ``grid``, ``corpus``, ``profile``, ``info``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rl_editor.cli.options import Json, Params, check_written, edit_summary, passed_over, say, show
from rl_editor.command import counted, read_config
from rl_editor.config import BeatTracker
from rl_editor.errors import ConfigError
from rl_editor.files import visible

_PRACTISED = "radio_edit"  # the editor of practice pairs, unless one is named


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
    from rl_editor.checkup.words import screen
    from rl_editor.render import check_format

    check_written({"--click": click, "--picture": picture}, song, params)
    if click is not None:
        check_format(song, click)
    config = read_config(params)
    config.beats.tracker = tracker or config.beats.tracker
    found = check_up(song, config)
    if click is not None:
        write_click_track(found, song, click)
    if picture is not None:
        from rl_editor.checkup.picture import save_picture  # a second of imports

        save_picture(found, picture)
    show(found.to_dict(), screen(found), as_json=as_json)


def corpus(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("data/raw"),
    source: Annotated[Path | None, typer.Option("--from", help="Folder of recordings; default: compose songs.")] = None,
    editor: Annotated[
        str | None,
        typer.Option(help=f"Synthetic editor; default: {_PRACTISED}, of composed songs all of the settings."),
    ] = None,
    songs: Annotated[
        int | None, typer.Option(help="How many songs to compose; default: as the settings say.", min=1)
    ] = None,
    params: Params = None,
) -> None:
    """Make practice pairs: from a folder of recordings, or from composed songs."""
    from rl_editor.corpus import build_default_corpus, build_practice_pairs

    config = read_config(params)
    if source is not None and songs is not None:
        raise ConfigError(f"--songs {songs} composes, --from {source} takes recordings; give one of them")
    _check_empty(output)
    named = editor.replace("-", "_") if editor else None
    if source is None:
        config.corpus.n_songs = songs or config.corpus.n_songs
        config.corpus.editors = [named] if named else config.corpus.editors
        made = build_default_corpus(output, config)
    else:
        made = build_practice_pairs(source, named or _PRACTISED, output, config)
    for problem in made.problems:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{output}: {counted(len(made.pairs), 'pair')}, {len(made.problems)} left out", err=True)


def _check_empty(folder: Path) -> None:
    """Refuse a folder that holds pairs: nothing of a person's is written over, or left out of a new ``pairs.csv``."""
    from rl_editor.corpus import TRUTH
    from rl_editor.library import INPUT, OUTPUT, PAIRS

    held = [path for path in (*visible(folder / INPUT), *visible(folder / OUTPUT), folder / PAIRS) if path.exists()]
    if held and (folder / TRUTH).is_dir() and not (folder / PAIRS).exists():  # the table is written last
        raise ConfigError(f"{folder}: -o holds what a run left that did not end; delete it, or name another folder")
    if held:
        raise ConfigError(f"{folder}: -o holds pairs already ({held[0].name}); name another folder")


def profile(
    folder: Annotated[Path, typer.Argument(help="Folder of pairs: input/, desired_output/, pairs.csv.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to write profile.csv and profile.png to.")
    ] = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Say how somebody edits: what plays, how long, what loops, how joins are set."""
    from rl_editor.loading import load_demonstrations
    from rl_editor.profile import profiles
    from rl_editor.profile.words import save_table, table, to_dict

    config = read_config(params)
    found = profiles(load_demonstrations(folder, config), config)
    if output is not None:
        from rl_editor.profile.picture import save_picture  # a second of imports

        save_table(found, output / "profile.csv")
        save_picture(found, output / "profile.png")
    show({each.style: to_dict(each) for each in found}, table(found), as_json=as_json)


def info(
    path: Annotated[
        Path, typer.Argument(help="A recording, an edit list, a policy, a folder of recordings, or a listening set.")
    ],
    as_json: Json = False,
) -> None:
    """Say what a file or folder is."""
    say(describe(path), as_json=as_json)


def describe(path: Path) -> dict[str, Any]:
    """What a file or folder is, in plain values."""
    if path.is_dir():
        return _folder(path)
    match path.suffix.lower():
        case ".json":
            from rl_editor.importers import load_edit

            found = load_edit(path)
            return {"kind": "edit list", "source": found.source.name, **edit_summary(found, path)}
        case ".pt":
            from rl_editor.checkpoint import load_policy

            policy = load_policy(path)
            mode, unit = policy.config.features.feature_mode, policy.config.action_space.unit_beats
            shape = {"feature_mode": mode, "unit_beats": unit}
            return {"kind": "policy", "styles": list(policy.styles), **shape, "metrics": dict(policy.metrics)}
        case _:
            from rl_editor.utils import audio_info

            return {"kind": "recording", **asdict(audio_info(path))}


def _folder(path: Path) -> dict[str, Any]:
    from rl_editor.judgements.sets import SET_FILE, ListeningSet
    from rl_editor.library import audio_files, find_library, has_recordings

    if (path / SET_FILE).exists():
        heard = ListeningSet.load(path)
        return {"kind": "listening set", "pairs": len(heard.pairs), "to_rate": len(heard.whole)}
    recordings, others = audio_files(path), passed_over(path)
    if (recordings or others) and not has_recordings(path):
        return {"kind": "recordings", "recordings": len(recordings), **({"problems": others} if others else {})}
    found = find_library(path)
    counts = {"pairs": len(found.pairs), "references": len(found.references), "styles": list(found.styles)}
    return {"kind": "recordings", **counts, "problems": [str(problem) for problem in found.problems]}
