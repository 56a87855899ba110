"""A listener model: can a classifier tell our joins from the song's own beats?

    python -m benchmarks.listener FOLDER [--songs NAME,NAME] [--method dp|policy]

It hears a second around a place (differences of spectra, timbre, harmony and level over windows of 20 to 250 ms before
and after, and how the middle differs from its surroundings; of a join the beat it lies at). It is trained on other
songs (grouped cross-validation) to tell joins from beats of the same songs that no join is near. AUC 0.5 is inaudible
to it. Its own test is the same on cuts at random places, crossfaded alike: it has to catch those. Between random places
and ours are cuts between random beats, which keep the pulse and nothing else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import librosa
import numpy as np
import typer
from jaxtyping import Float
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from benchmarks.align.material import recording_files
from rl_editor.audition.joins import output_beats_s
from rl_editor.command import counted
from rl_editor.config import Config
from rl_editor.editing import Request, propose
from rl_editor.edits import EditList, Segment
from rl_editor.errors import RlEditorError
from rl_editor.negotiation import Demands
from rl_editor.render import render_samples
from rl_editor.state import AudioState
from rl_editor.utils import Samples, load_audio

SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SHORTEST_S, CLEAR_S, RATE = 60.0, 1.0, 22_050
_WINDOWS_S = (0.02, 0.05, 0.1, 0.25)
_PER_EDIT = 8  # natural beats, and random cuts


class Places(NamedTuple):
    """What is heard of one song at joins, at natural beats, at random cuts and at cuts between random beats."""

    ours: list[Float[np.ndarray, " features"]]
    natural: list[Float[np.ndarray, " features"]]
    cuts: list[Float[np.ndarray, " features"]]
    cuts_on_beats: list[Float[np.ndarray, " features"]]


def main(
    folder: Annotated[Path, typer.Argument(help="Recordings, in folders below as well")],
    songs: Annotated[str, typer.Option(help="Parts of names to take, by comma; all by default")] = "",
    method: Annotated[Literal["dp", "policy"], typer.Option(help="Whose joins")] = "dp",
    checkpoint: Annotated[Path, typer.Option(help="Trained policy")] = Path("models/ppo/best.pt"),
    exclude: Annotated[str, typer.Option(help="File stem that is left out")] = "",
) -> None:
    """Print the AUCs."""
    names = [part for part in songs.split(",") if part]
    paths = recording_files(folder, tracks=None, shortest_s=SHORTEST_S, exclude=exclude, names=names)
    found = [_listened(path, method, checkpoint) for path in paths]
    n_joins = sum(len(places.ours) for places in found)
    n_natural = sum(len(places.natural) for places in found)
    print(f"{counted(len(paths), 'song')}, {counted(n_joins, 'join')} of {method}, {n_natural} natural beats")
    natural = [places.natural for places in found]
    told = {
        "joins": [places.ours for places in found],
        "cuts between random beats": [places.cuts_on_beats for places in found],
        "random cuts": [places.cuts for places in found],
    }
    for name, heard in told.items():
        print(f"AUC of {name} against natural beats: {_auc(heard, natural):.3f}")


def _listened(path: Path, method: Literal["dp", "policy"], checkpoint: Path) -> Places:
    from rl_editor.checkpoint import load_policy

    policy = load_policy(checkpoint) if method == "policy" else None
    config, recording = Config(), load_audio(path)
    state = AudioState.from_file(path, config, recording=recording)
    rng = np.random.default_rng(0)
    places = Places([], [], [], [])
    for share in SHARES:
        request = Request(Demands(duration_s=share * state.grid.duration_s), method=method)
        try:
            edit = next(propose(recording, state, request, policy, config)).edit
        except RlEditorError:
            continue
        rendered = _mono(render_samples(edit, recording, config))
        starts_s = [frame / edit.source.sample_rate for frame in edit.output_start_frames()]
        edges = np.array([*starts_s, edit.duration_s])
        beats = output_beats_s(edit, starts_s, state.grid)
        clear = np.array([t for t in beats if np.abs(edges - t).min() >= CLEAR_S])
        nearest = [float(beats[np.abs(beats - t).argmin()]) for t in starts_s[1:]]  # joins sit up to 20 ms beside beats
        places.ours.extend(_heard(rendered, t) for t in nearest)
        places.natural.extend(_heard(rendered, float(t)) for t in rng.permutation(clear)[:_PER_EDIT])
    rate = recording.sample_rate
    first, last = rate, recording.frames - 4 * rate
    spans = [(int(start), 3 * rate) for start in rng.integers(first, last, 2 * _PER_EDIT + 1)]
    places.cuts.extend(_cut(spans, recording, state, config))
    beats = np.round(state.grid.times_s * rate).astype(int)
    starts = rng.choice(np.flatnonzero((beats >= first) & (beats < last)), 2 * _PER_EDIT + 1)
    ends = np.searchsorted(beats, beats[starts] + 3 * rate)
    spans = [(int(beats[a]), int(beats[min(b, len(beats) - 1)] - beats[a])) for a, b in zip(starts, ends, strict=True)]
    places.cuts_on_beats.extend(_cut(spans, recording, state, config))
    return places


def _cut(
    spans: Sequence[tuple[int, int]], recording: Samples, state: AudioState, config: Config
) -> list[Float[np.ndarray, " features"]]:
    """What is heard where spans (first frame, frames) of the recording meet."""
    fade = config.action_space.default_crossfade_ms
    segments = [Segment(at, n, crossfade_in_ms=fade if k else 0.0) for k, (at, n) in enumerate(spans)]
    rendered = _mono(render_samples(EditList(state.recording, tuple(segments)), recording, config))
    joins = np.cumsum([n for _, n in spans])[:-1] / recording.sample_rate
    return [_heard(rendered, float(at_s)) for at_s in joins]


def _mono(samples: Samples) -> Float[np.ndarray, " samples"]:
    mono = samples.data.mean(axis=1)
    return librosa.resample(mono, orig_sr=samples.sample_rate, target_sr=RATE)


def _heard(mono: Float[np.ndarray, " samples"], at_s: float) -> Float[np.ndarray, " features"]:
    at, reach = round(at_s * RATE), RATE // 2
    padded = np.pad(mono, reach)
    excerpt = padded[at : at + 2 * reach]
    features: list[float] = []
    for width_s in _WINDOWS_S:
        width = round(width_s * RATE)
        before, after = excerpt[reach - width : reach], excerpt[reach : reach + width]
        spectra = [np.log10(np.abs(np.fft.rfft(x * np.hanning(len(x)), 4096)) ** 2 + 1e-8) for x in (before, after)]
        bands = [np.array([part.mean() for part in np.array_split(s, 40)]) for s in spectra]
        features.append(float(np.sqrt(np.mean((bands[1] - bands[0]) ** 2))))
        levels = [np.log10(np.mean(x**2) + 1e-8) for x in (before, after)]
        features += [float(abs(levels[1] - levels[0])), float(levels[1] - levels[0])]
    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=excerpt, sr=RATE, n_fft=1024, hop_length=220, n_mels=40))
    middle, n = mel.shape[1] // 2, mel.shape[1]
    flux = np.maximum(np.diff(mel, axis=1), 0.0).mean(axis=0)
    features += [float(flux[middle - 3 : middle + 3].max()), float(flux.max()), float(np.median(flux))]
    cepstra = librosa.feature.mfcc(S=mel, n_mfcc=13)
    features.append(float(np.linalg.norm(cepstra[:, middle:].mean(1) - cepstra[:, :middle].mean(1))))
    chroma = librosa.feature.chroma_stft(y=excerpt, sr=RATE, n_fft=4096, hop_length=512, tuning=0.0)
    half = chroma.shape[1] // 2
    features.append(float(np.linalg.norm(chroma[:, half:].mean(1) - chroma[:, :half].mean(1))))
    step = np.abs(np.diff(excerpt))
    around = step[reach - 110 : reach + 110]
    features.append(float(around.max() / max(np.sqrt(np.mean(step**2)), 1e-9)))
    onsets = flux / max(float(flux.max()), 1e-9)
    lags = [float(np.corrcoef(onsets[: n // 2 - 2], onsets[n // 2 - 1 : n // 2 - 1 + n // 2 - 2])[0, 1])]
    features += [0.0 if np.isnan(lag) else lag for lag in lags]
    return np.array(features)


def _auc(joins: list[list[np.ndarray]], natural: list[list[np.ndarray]]) -> float:
    rows = [(x, label, song) for label, all_ in ((1, joins), (0, natural)) for song, xs in enumerate(all_) for x in xs]
    x, y, song = np.stack([r[0] for r in rows]), np.array([r[1] for r in rows]), np.array([r[2] for r in rows])
    model = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.06, l2_regularization=1.0, random_state=0)
    score = cross_val_predict(
        model, x, y, groups=song, cv=GroupKFold(min(8, len(set(song.tolist())))), method="predict_proba"
    )
    return float(roc_auc_score(y, score[:, 1]))


if __name__ == "__main__":
    typer.run(main)
