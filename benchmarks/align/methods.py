"""From two files to a time line: the project's alignment, and what it is compared with.

    ours        ``rl_editor.alignment.align_files``
    viterbi     the design's recurrence in plain numpy, refined by whitened cross-correlation: an 80-line prototype
    dtw         chroma CQT and librosa's DTW, from end to end: what a user finds first
    dtw-sub     the same, the edit anywhere in the raw
    chunks      every 2 s of the edit searched in the raw within 30 s of the same time
    loudness    no alignment: KEEP the loudest beats at the true ratio; it labels beats and maps nothing

Every method reads the files itself and is timed from file to result.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.fft
import scipy.signal

from benchmarks.align.kinds import Pair
from benchmarks.align.scores import Score, balanced_accuracy, kept_beats, rejection, score
from benchmarks.align.truth import Stretch, Timeline
from rl_editor.alignment import align_files
from rl_editor.config import Config
from rl_editor.errors import AlignmentError
from rl_editor.utils import load_mono

RATE = 22050  # Hz, of the baselines
HOP = 512


@dataclass(frozen=True, eq=False)
class Found:
    """What a method says; no time line is a rejection unless there are labels."""

    timeline: Timeline | None = None
    has_joins: bool = True
    kept: np.ndarray | None = None
    why: str = ""


Method = Callable[[Pair], Found]


def measured(method: Method, pair: Pair) -> tuple[Score, str]:
    """Run, time and score one method; the text says why a pair was refused."""
    began = time.perf_counter()
    found = method(pair)
    seconds = time.perf_counter() - began
    truth = pair.truth
    if truth is None:  # of another recording: all there is to know is whether it was refused
        return Score(seconds, float("nan"), rejected=found.timeline is None), found.why
    if found.kept is not None:
        kept = balanced_accuracy(found.kept, kept_beats(truth, pair.beats_s))
        return Score(seconds, truth.duration_s, keep_accuracy=kept), ""
    if found.timeline is None:
        return rejection(truth, seconds), found.why
    result = score(found.timeline, truth, pair.raw, pair.rate, pair.beats_s, seconds=seconds, has_joins=found.has_joins)
    return result, ""


def ours(pair: Pair) -> Found:
    """The project."""
    try:
        return Found(Timeline.of_edit(align_files(pair.raw_path, pair.edit_path, Config())))
    except AlignmentError as error:
        return Found(why=str(error))


def _loaded(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    return load_mono(pair.raw_path, RATE), load_mono(pair.edit_path, RATE)


# ---------------------------------------------------------------- the recurrence, plainly

JUMP, UNMATCHED, STACK = 6.0, 0.9, 2
WINDOW, REACH, WHITENING = 8192, 1024, 0.7
SHORTEST_RUN = 8  # frames


def viterbi(pair: Pair) -> Found:
    """Exact Viterbi over log-mel frames, offsets by whitened cross-correlation, joins by least residual."""
    raw, edit = _loaded(pair)
    path = _best_path(_descriptors(edit), _descriptors(raw))
    breaks = np.flatnonzero((np.diff(path) != 1) & ~((path[1:] < 0) & (path[:-1] < 0))) + 1
    spans = [(a, b) for a, b in pairwise([0, *breaks.tolist(), len(path)]) if b - a >= SHORTEST_RUN]
    runs: list[tuple[int, int | None]] = []  # first edit sample, lag
    for a, b in spans:
        lag = None if path[a] < 0 else _lag(raw, edit, a * HOP, b * HOP, int(path[a] - a) * HOP)
        if not runs or runs[-1][1] != lag:
            runs.append((a * HOP, lag))
    bounds = [0]
    for (_, left), (at, right) in pairwise(runs):
        bounds.append(at if left is None or right is None else _join(raw, edit, at, left, right))
    bounds = [*np.maximum.accumulate(bounds).tolist(), len(edit)]
    return Found(
        Timeline(
            tuple(
                Stretch(a / RATE, b / RATE, None if lag is None else (a + lag) / RATE)
                for (_, lag), (a, b) in zip(runs, pairwise(bounds), strict=True)
            )
        )
    )


def _descriptors(mono: np.ndarray) -> np.ndarray:
    import librosa

    mel = librosa.feature.melspectrogram(y=mono, sr=RATE, n_fft=2048, hop_length=HOP, n_mels=64)
    x = librosa.power_to_db(mel).T
    x = x - x.mean(axis=1, keepdims=True)
    x = np.pad(x - x.mean(axis=0), ((STACK, STACK), (0, 0)))
    x = np.concatenate([x[k : len(x) - 2 * STACK + k] for k in range(2 * STACK + 1)], axis=1)
    return np.asarray(x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9), dtype=np.float32)


def _best_path(edit: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """D_i(j) = c(i,j) + min(D_{i-1}(j-1), lambda + min D_{i-1}); state m is unmatched at theta a frame."""
    n, m = len(edit), len(raw)
    stays, best = np.zeros((n, m + 1), np.bool_), np.zeros(n, np.int64)
    total = np.append(1 - raw @ edit[0], UNMATCHED + JUMP)
    best[0] = total.argmin()
    for i in range(1, n):
        jump = total[best[i - 1]] + JUMP
        moved = np.concatenate([[np.inf], total[: m - 1], total[m:]])
        stays[i] = moved <= jump
        total = np.minimum(moved, jump) + np.append(1 - raw @ edit[i], UNMATCHED)
        best[i] = total.argmin()
    path = np.empty(n, np.int64)
    state = best[-1]
    for i in range(n - 1, -1, -1):
        path[i] = -1 if state == m else state
        if i:
            state = (state - (state < m)) if stays[i, state] else best[i - 1]
    return path


def _lag(raw: np.ndarray, edit: np.ndarray, start: int, end: int, lag: int) -> int:
    middle = (start + end - WINDOW) // 2
    x = _span(edit, middle, WINDOW)
    y = _span(raw, middle + lag - REACH, WINDOW + 2 * REACH)
    size = scipy.fft.next_fast_len(len(x) + len(y))
    cross = np.conj(scipy.fft.rfft(x, size)) * scipy.fft.rfft(y, size)
    peak = scipy.fft.irfft(cross / (np.abs(cross) ** WHITENING + 1e-9), size)[: 2 * REACH + 1]
    return lag - REACH + int(np.abs(peak).argmax())


def _join(raw: np.ndarray, edit: np.ndarray, at: int, left: int, right: int) -> int:
    """Where the residual of the left before and of the right after is least, within 0.15 s."""
    low = at - RATE * 15 // 100
    length = 2 * (at - low)
    x = _span(edit, low, length)
    gaps = [_span(raw, low + lag, length) for lag in (left, right)]
    before, after = ((x - g * (x @ g) / (g @ g + 1e-9)) ** 2 for g in gaps)
    return low + int((np.cumsum(before) + np.cumsum(after[::-1])[::-1]).argmin())


def _span(samples: np.ndarray, start: int, length: int) -> np.ndarray:
    index = np.arange(start, start + length)
    inside = (index >= 0) & (index < len(samples))
    return np.where(inside, samples[np.clip(index, 0, len(samples) - 1)], 0.0).astype(np.float64)


# ---------------------------------------------------------------- what users run

DTW_HOP = 1024
CHUNK_S, SEARCH_S = 2.0, 30.0


def _dtw(pair: Pair, *, subsequence: bool) -> Found:
    import librosa

    raw, edit = _loaded(pair)
    left, right = (librosa.feature.chroma_cqt(y=x, sr=RATE, hop_length=DTW_HOP) for x in (edit, raw))
    _, path = librosa.sequence.dtw(left + 1e-6, right + 1e-6, metric="cosine", subseq=subsequence)
    edit_frames, first = np.unique(path[::-1, 0], return_index=True)
    raw_frames = path[::-1, 1][first]
    step = DTW_HOP / RATE
    stretches = [
        Stretch(a * step, (a + 1) * step, b * step, max(1e-9, float(after - b)))
        for a, b, after in zip(
            edit_frames.tolist(), raw_frames.tolist(), [*raw_frames[1:].tolist(), raw_frames[-1] + 1], strict=True
        )
    ]
    return Found(Timeline(tuple(stretches)), has_joins=False)


def dtw(pair: Pair) -> Found:
    """From end to end: repeats and moves cannot be said."""
    return _dtw(pair, subsequence=False)


def dtw_sub(pair: Pair) -> Found:
    """The edit inside the raw."""
    return _dtw(pair, subsequence=True)


def chunks(pair: Pair) -> Found:
    """Normalised cross-correlation of every 2 s with the raw around the same time."""
    raw, edit = _loaded(pair)
    length, reach = round(CHUNK_S * RATE), round(SEARCH_S * RATE)
    stretches = []
    for start in range(0, len(edit), length):
        chunk = edit[start : start + length].astype(np.float64)
        low = int(np.clip(start - reach, 0, max(0, len(raw) - len(chunk))))
        area = raw[low : start + reach + len(chunk)].astype(np.float64)
        lag = low
        if len(area) >= len(chunk):
            dots = scipy.signal.correlate(area, chunk, mode="valid", method="fft")
            sums = np.concatenate([[0], np.cumsum(area**2)])
            lag += int((dots / np.sqrt(sums[len(chunk) :] - sums[: -len(chunk)] + 1e-6)).argmax())
        stretches.append(Stretch(start / RATE, (start + len(chunk)) / RATE, lag / RATE))
    return Found(Timeline(tuple(stretches)))


def loudness(pair: Pair) -> Found:
    """The loudest beats of the raw, as much of it as the truth keeps."""
    assert pair.truth is not None
    raw = load_mono(pair.raw_path, RATE)
    bounds = np.clip(np.round(pair.beats_s * RATE).astype(int), 0, len(raw))
    power = np.array([float((raw[a:b] ** 2).mean()) if b > a else 0.0 for a, b in pairwise(bounds)])
    n_kept = int(kept_beats(pair.truth, pair.beats_s).sum())
    kept = np.zeros(len(power), np.bool_)
    kept[np.argsort(-power, kind="stable")[:n_kept]] = True
    return Found(kept=kept)


METHODS: dict[str, Method] = {
    "ours": ours,
    "viterbi": viterbi,
    "dtw": dtw,
    "dtw-sub": dtw_sub,
    "chunks": chunks,
    "loudness": loudness,
}
