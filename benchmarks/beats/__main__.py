"""Score beat trackers on MIDI songs, whose beats are exact.

    python -m benchmarks.beats FOLDER [--songs NAME,NAME] [--soundfont FILE] [--trackers librosa,default]

FOLDER holds .mid files whose tempo map is right; they are rendered by fluidsynth. Trackers take turns on each song.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import soxr
import typer

from benchmarks.beats.midi import RATE, read_song, rendered_file
from benchmarks.beats.scores import Score, scored
from benchmarks.beats.trackers import TRACKERS

ANALYSIS_RATE = 22_050
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of .mid files", exists=True, file_okay=False)],
    songs: Annotated[str, typer.Option(help="Names to take, by comma; all by default")] = "",
    soundfont: Annotated[Path, typer.Option(help="What plays them", exists=True)] = SOUNDFONT,
    trackers: Annotated[str, typer.Option(help="Trackers, by comma")] = ",".join(TRACKERS),
) -> None:
    """Print a line per song and tracker, then the means."""
    chosen = _known(trackers.split(","), list(TRACKERS), "tracker")
    files = {path.stem: path for path in sorted(folder.glob("*.mid"))}
    names = _known(songs.split(","), list(files), "song") if songs else list(files)
    if not names:
        raise SystemExit(f"{folder}: no .mid files; name a folder that holds some")
    rows: dict[str, list[tuple[Score, float]]] = {tracker: [] for tracker in chosen}
    print(f"{'song':24s} {'tracker':8s}     F  CMLt  AMLt  bias ms  downbeat F  x real time")
    for name in names:
        song = read_song(files[name])
        mono = soxr.resample(rendered_file(files[name], soundfont).mean(axis=1), RATE, ANALYSIS_RATE).astype(np.float32)
        for tracker in chosen:
            start = time.perf_counter()
            found = TRACKERS[tracker](mono, ANALYSIS_RATE)
            speed = len(mono) / ANALYSIS_RATE / (time.perf_counter() - start)
            score = scored(found.beats_s, found.downbeats_s, song.beats_s, song.downbeats_s)
            rows[tracker].append((score, speed))
            print(_line(name, tracker, score, speed), flush=True)
    for tracker, results in rows.items():
        mean = Score(*np.nanmean(np.array([score for score, _ in results]), axis=0))
        bias = float(np.nanmedian([score.bias_ms for score, _ in results]))
        print(
            _line(
                f"mean of {len(results)}",
                tracker,
                mean._replace(bias_ms=bias),
                float(np.median([s for _, s in results])),
            )
        )


def _known(asked: list[str], known: list[str], what: str) -> list[str]:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: no such {what}; known are {', '.join(known)}")
    return asked


def _line(name: str, tracker: str, score: Score, speed: float) -> str:
    return (
        f"{name:24s} {tracker:8s} {score.f_measure:.3f} {score.cmlt:.3f} {score.amlt:.3f} {score.bias_ms:+8.1f}"
        f"  {score.downbeat_f_measure:10.3f}  {speed:11.0f}"
    )


if __name__ == "__main__":
    typer.run(main)
