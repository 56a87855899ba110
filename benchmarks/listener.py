"""A listener model: can a classifier tell our joins from the song's own beats?

    python -m benchmarks.listener FOLDER [--songs NAME,NAME] [--method dp|policy]

It hears a second around a place (differences of spectra, timbre, harmony and level over windows of 20 to 250 ms before
and after, and how the middle differs from its surroundings; of a join the beat it lies at), and in three seconds to
either side whether the pulse goes on. It is trained on other songs (grouped cross-validation; the mean and the range
over ten ways to divide the songs) to tell joins from beats of the same songs that no join is near. AUC 0.5 is inaudible
to it. Its own test is the same on cuts at random places, crossfaded alike: it has to catch those. Between random places
and ours are cuts between random beats, which keep the pulse and nothing else.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import librosa
import numpy as np
import typer
from jaxtyping import Float
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from benchmarks.align.material import recording_files
from rl_editor.audition.joins import output_beats_s
from rl_editor.checkpoint import Policy, load_policy
from rl_editor.command import counted
from rl_editor.config import Config, EditMethod
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
_PULSE_S = 3.0  # to either side
_PULSE_LAGS = (25, 200)  # of 10 ms: 240 to 30 beats a minute
_PER_EDIT = 8  # natural beats, and random cuts
_DIVISIONS = 10  # of the songs into those that teach and those that are told


class Places(NamedTuple):
    """What is heard of one song at joins, at natural beats, at random cuts and at cuts between random beats."""

    ours: list[Float[np.ndarray, " features"]]
    natural: list[Float[np.ndarray, " features"]]
    cuts: list[Float[np.ndarray, " features"]]
    cuts_on_beats: list[Float[np.ndarray, " features"]]


def main(
    folder: Annotated[Path, typer.Argument(help="Recordings, in folders below as well")],
    songs: Annotated[str, typer.Option(help="Parts of names to take, by comma; all by default")] = "",
    method: Annotated[EditMethod, typer.Option(help="Whose joins")] = "dp",
    checkpoint: Annotated[Path, typer.Option(help="Trained policy")] = Path("models/ppo/best.pt"),
    exclude: Annotated[str, typer.Option(help="File stem that is left out")] = "",
) -> None:
    """Print the AUCs."""
    names = [part for part in songs.split(",") if part]
    paths = recording_files(folder, tracks=None, shortest_s=SHORTEST_S, exclude=exclude, names=names)
    policy = load_policy(checkpoint) if method == "policy" else None
    found = [_listened(path, method, policy) for path in paths]
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
        aucs = _aucs(heard, natural)
        print(f"AUC of {name} against natural beats: {np.mean(aucs):.3f} ({min(aucs):.3f} to {max(aucs):.3f})")


def _listened(path: Path, method: EditMethod, policy: Policy | None) -> Places:
    config, recording = Config(), load_audio(path)
    state = AudioState.from_file(path, config, recording=recording)
    rng = np.random.default_rng(0)
    joins, natural = _of_edits(recording, state, method, policy, rng)
    rate, n_cuts = recording.sample_rate, 2 * _PER_EDIT + 1
    first, last = rate, recording.frames - 4 * rate
    anywhere = [(int(start), 3 * rate) for start in rng.integers(first, last, n_cuts)]
    beats = np.round(state.grid.times_s * rate).astype(int)
    starts = rng.choice(np.flatnonzero((beats >= first) & (beats < last)), n_cuts)
    ends = np.minimum(np.searchsorted(beats, beats[starts] + 3 * rate), len(beats) - 1)
    on_beats = [(int(start), int(end - start)) for start, end in zip(beats[starts], beats[ends], strict=True)]
    return Places(joins, natural, *(_cut(spans, recording, state, config) for spans in (anywhere, on_beats)))


class _Edits(NamedTuple):
    """What is heard in edits of one song."""

    joins: list[Float[np.ndarray, " features"]]
    natural: list[Float[np.ndarray, " features"]]


def _of_edits(
    recording: Samples, state: AudioState, method: EditMethod, policy: Policy | None, rng: np.random.Generator
) -> _Edits:
    config, found = Config(), _Edits([], [])
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
        found.joins.extend(_heard(rendered, t) for t in nearest)
        found.natural.extend(_heard(rendered, float(t)) for t in rng.permutation(clear)[:_PER_EDIT])
    return found


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
    """A second around a place, and the pulse around it."""
    at, reach = round(at_s * RATE), round(_PULSE_S * RATE)
    around = np.pad(mono, reach)[at : at + 2 * reach]
    second = around[reach - RATE // 2 : reach + RATE // 2]
    return np.array([*_steps(second), *_middle(second), *_pulse(around)])


def _steps(excerpt: Float[np.ndarray, " samples"]) -> Iterator[float]:
    """How bands and level differ between the two sides of the middle, over each width."""
    middle = len(excerpt) // 2
    for width_s in _WINDOWS_S:
        width = round(width_s * RATE)
        sides = excerpt[middle - width : middle], excerpt[middle : middle + width]
        spectra = [np.log10(np.abs(np.fft.rfft(x * np.hanning(len(x)), 4096)) ** 2 + 1e-8) for x in sides]
        bands = [np.array([part.mean() for part in np.array_split(s, 40)]) for s in spectra]
        levels = [np.log10(np.mean(x**2) + 1e-8) for x in sides]
        yield float(np.sqrt(np.mean((bands[1] - bands[0]) ** 2)))
        yield float(abs(levels[1] - levels[0]))
        yield float(levels[1] - levels[0])


def _middle(excerpt: Float[np.ndarray, " samples"]) -> list[float]:
    """How onsets, timbre, harmony and slopes of the middle stand out."""
    mel = _mel(excerpt)
    middle, n = mel.shape[1] // 2, mel.shape[1]
    flux = _flux(mel)
    cepstra = librosa.feature.mfcc(S=mel, n_mfcc=13)
    chroma = librosa.feature.chroma_stft(y=excerpt, sr=RATE, n_fft=4096, hop_length=512, tuning=0.0)
    half = chroma.shape[1] // 2
    slope = np.abs(np.diff(excerpt))
    steepest = slope[len(excerpt) // 2 - 110 : len(excerpt) // 2 + 110].max()
    onsets = flux / max(float(flux.max()), 1e-9)
    return [
        float(flux[middle - 3 : middle + 3].max()),
        float(flux.max()),
        float(np.median(flux)),
        float(np.linalg.norm(cepstra[:, middle:].mean(1) - cepstra[:, :middle].mean(1))),
        float(np.linalg.norm(chroma[:, half:].mean(1) - chroma[:, :half].mean(1))),
        float(steepest / max(np.sqrt(np.mean(slope**2)), 1e-9)),
        _correlation(onsets[: n // 2 - 2], onsets[n // 2 - 1 : n - n % 2 - 3]),
    ]


def _pulse(excerpt: Float[np.ndarray, " samples"]) -> tuple[float, float]:
    """Whether the pulse goes on over the middle.

    Returns:
        by how much of its period the first pulse after the middle comes too early or too late; how alike onsets repeat,
        lag by lag, within both sides and from one side to the other.
    """
    flux = _flux(_mel(excerpt))
    kernel = np.hanning(7)
    smooth = np.convolve(np.minimum(flux, np.percentile(flux, 98)) - flux.mean(), kernel / kernel.sum(), mode="same")
    n = len(smooth) // 2
    before, after = smooth[:n], smooth[n : 2 * n]
    lags = np.arange(*_PULSE_LAGS)
    within = np.array([_correlation(x[:-lag], x[lag:]) for x in (before, after) for lag in lags])
    within = within.reshape(2, -1).mean(axis=0)
    across = np.array([_correlation(before[n - lag :], after[:lag]) for lag in lags])
    period = lags[within.argmax()]
    near = np.abs(lags - period) <= period // 2
    found = lags[np.where(near, across, -np.inf).argmax()]
    return abs(int(found) - int(period)) / int(period), _correlation(within, across)


def _mel(excerpt: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "bands frames"]:
    """In dB, a frame every 10 ms."""
    power = librosa.feature.melspectrogram(y=excerpt, sr=RATE, n_fft=1024, hop_length=RATE // 100, n_mels=40)
    return np.asarray(librosa.power_to_db(power))


def _flux(mel: Float[np.ndarray, "bands frames"]) -> Float[np.ndarray, " frames"]:
    flux: np.ndarray = np.maximum(np.diff(mel, axis=1), 0.0).mean(axis=0)
    return flux


def _correlation(one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"]) -> float:
    """Pearson's; 0 where one is constant."""
    spread = one.std() * other.std()
    return float(np.mean((one - one.mean()) * (other - other.mean())) / spread) if spread > 0.0 else 0.0


def _aucs(joins: list[list[np.ndarray]], natural: list[list[np.ndarray]]) -> list[float]:
    """One for each way to divide the songs."""
    rows = [(x, label, song) for label, all_ in ((1, joins), (0, natural)) for song, xs in enumerate(all_) for x in xs]
    x, y, song = np.stack([r[0] for r in rows]), np.array([r[1] for r in rows]), np.array([r[2] for r in rows])
    model = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.06, l2_regularization=1.0, random_state=0)
    aucs = []
    for division in range(_DIVISIONS):
        folds = GroupKFold(min(8, len(set(song.tolist()))), shuffle=True, random_state=division)
        score = cross_val_predict(model, x, y, groups=song, cv=folds, method="predict_proba")
        aucs.append(float(roc_auc_score(y, score[:, 1])))
    return aucs


if __name__ == "__main__":
    typer.run(main)
