"""Score beat trackers on MIDI songs, whose beats are exact, and on annotated recordings.

    python -m benchmarks.beats FOLDER [--songs NAME,NAME] [--tempo 1.14] [--soundfont FILE]
                               [--trackers librosa,network,beat_this]

FOLDER holds what ``recordings`` reads; MIDI is rendered by fluidsynth. Trackers take turns on each recording.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.beats.recordings import ANALYSIS_RATE, find_recordings, read_recording
from benchmarks.beats.scores import Score, scored
from benchmarks.beats.trackers import TRACKERS
from benchmarks.choices import known

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of .mid or .beats files", exists=True, file_okay=False)],
    songs: Annotated[str, typer.Option(help="Names to take, by comma; all by default")] = "",
    tempo: Annotated[float, typer.Option(help="Play .mid files so many times as fast", min=0.25, max=4.0)] = 1.0,
    soundfont: Annotated[Path, typer.Option(help="What plays .mid files")] = SOUNDFONT,
    trackers: Annotated[str, typer.Option(help="Trackers, by comma")] = "librosa,network",
) -> None:
    """Print a line per song and tracker, then the means."""
    chosen = known(trackers.split(","), TRACKERS, "tracker")
    files = find_recordings(folder)
    names = known(songs.split(","), files, "song") if songs else list(files)
    if not names:
        raise SystemExit(f"{folder}: no .mid or .beats files; name a folder that holds some")
    rows: dict[str, list[tuple[Score, float]]] = {tracker: [] for tracker in chosen}
    print(f"{'song':24s} {'tracker':8s}     F  CMLt  AMLt  bias ms  downbeat F  x real time")
    for name in names:
        song = read_recording(files[name], soundfont, tempo=tempo)
        for tracker in chosen:
            start = time.perf_counter()
            found = TRACKERS[tracker](song.mono, ANALYSIS_RATE)
            speed = len(song.mono) / ANALYSIS_RATE / (time.perf_counter() - start)
            score = scored(found.beats_s, found.downbeats_s, song.beats_s, song.downbeats_s)
            rows[tracker].append((score, speed))
            print(_line(name, tracker, score, speed), flush=True)
    for tracker, results in rows.items():
        mean = Score(*(_mean(column) for column in zip(*(score for score, _ in results), strict=True)))
        bias = [score.bias_ms for score, _ in results if not np.isnan(score.bias_ms)]
        mean = mean._replace(bias_ms=float(np.median(bias)) if bias else float("nan"))
        print(_line(f"mean of {len(results)}", tracker, mean, float(np.median([speed for _, speed in results]))))


def _mean(values: tuple[float, ...]) -> float:
    """The mean of those that are known; NaN where none is. The bias' median is put in its place."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _line(name: str, tracker: str, score: Score, speed: float) -> str:
    return (
        f"{name:24s} {tracker:8s} {score.f_measure:.3f} {score.cmlt:.3f} {score.amlt:.3f} {score.bias_ms:+8.1f}"
        f"  {score.downbeat_f_measure:10.3f}  {speed:11.0f}"
    )


if __name__ == "__main__":
    typer.run(main)
