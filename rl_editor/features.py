"""Features of what is heard: 52 per frame from one STFT, pooled to 4, 109 or 121 per beat.

Conventions: frame t is centred on sample ``t * hop_length``; frame features equal librosa's (to 1e-4 of a standard
deviation), named by ``FRAME_NAMES``; beat features are the means over the frames of a beat (at least one), followed
by rhythmic columns, by derivatives along beats, and in mode ``full`` by stem columns. Everything is finite on any
input: silence, DC, one beat. Frame features are what is worth caching: pooling is redone when the grid changes.
Pitch classes count from C; keys 0..11 are C major .. B major, 12..23 C minor .. B minor.

Memory: the signal is taken in blocks; an hour needs its features (about 34 MB), its mel spectrum (80 MB) and, up to
``_KEPT_POWER_BYTES``, its power spectrum, which otherwise is computed a second time for the chroma.

Sources: librosa 0.11 (``feature``, ``onset``, ``pitch_tuning``, ``piptrack``) for the definitions; Jiang et al. 2002
(spectral contrast); Krumhansl and Kessler 1982, the probe-tone profiles, for the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import scipy.signal
from jaxtyping import Float, Float32, Float64, Int

from rl_editor.config import AudioConfig, Config, FeatureMode
from rl_editor.errors import ConfigError, StemError
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.utils import mel_filters, n_spectrum_frames, padded_span, power, stft_blocks, to_db

ALGORITHM_VERSION = 1  # part of cache keys: raise it when a number changes

N_MFCC = 13
N_CONTRAST = 7
PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
STEM_NAMES = ("drums", "bass", "vocals", "other")

_BASIC = ("onset", "rms", "centroid", "zcr")
_EXTENDED = ("rolloff", "bandwidth", "flatness")
_CONTRAST = tuple(f"contrast_{band}" for band in range(N_CONTRAST))
_MFCC = tuple(f"mfcc_{i}" for i in range(N_MFCC))
_MFCC_DELTA = tuple(f"mfcc_delta_{i}" for i in range(N_MFCC))
_CHROMA = tuple(f"chroma_{name}" for name in PITCH_CLASSES)
_RHYTHMIC = ("bar_phase_sin", "bar_phase_cos", "bar_position", "tempo_deviation", "ibi_ratio")

FRAME_NAMES: tuple[str, ...] = _BASIC + _EXTENDED + _CONTRAST + _MFCC + _MFCC_DELTA + _CHROMA  # 52
_DELTA = tuple(f"delta_{name}" for name in FRAME_NAMES)
_STEM = tuple(f"{stem}_{what}" for stem in STEM_NAMES for what in ("energy", "centroid", "ratio"))
_ENHANCED = FRAME_NAMES + _RHYTHMIC + _DELTA
FEATURE_NAMES: dict[str, tuple[str, ...]] = {"basic": _BASIC, "enhanced": _ENHANCED, "full": _ENHANCED + _STEM}

# Onset envelopes for beat tracking: flux in dB, median over all mel bands, then means over four ranges of frequency.
ENVELOPE_EDGES_HZ = (0.0, 150.0, 800.0, 4000.0, np.inf)
ENVELOPE_NAMES = ("median", "low", "low_mid", "high_mid", "high")

_ROLLOFF_SHARE = 0.85
_FLATNESS_FLOOR = 1e-10
_CONTRAST_MIN_HZ, _CONTRAST_QUANTILE = 200.0, 0.02
_DELTA_WIDTH_FRAMES = 9
_PITCH_RANGE_HZ, _PITCH_THRESHOLD = (150.0, 4000.0), 0.1
_TUNING_BINS = 101  # edges of hundredths of a semitone over [-0.5, 0.5]
_TUNING_REFERENCE_HZ = 440.0 / 16.0  # A0 of librosa's hz_to_octs
_ZERO_CROSSING_DEAD_ZONE = 1e-10
_TINY = float(np.finfo(np.float32).tiny)
_KEPT_POWER_BYTES = 128 << 20  # 5 minutes at the default rate
_ENERGY_FLOOR = 1e-8  # -80 dB re full scale
_BEAT_RATIO_LIMIT = 4.0  # tempo deviation and IBI ratio are clipped here: beyond are tracking faults

# Krumhansl and Kessler 1982: how well each pitch class fits a key whose tonic is the first.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def feature_dim(mode: FeatureMode) -> int:
    """Columns per beat: basic 4, enhanced 109, full 121."""
    return len(FEATURE_NAMES[mode])


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """The 52 features of every frame (``FRAME_NAMES``) and the onset envelopes that beats are tracked on."""

    values: Float32[np.ndarray, "frames 52"]
    envelopes: Float32[np.ndarray, "frames 5"]  # ENVELOPE_NAMES
    sample_rate: int  # Hz
    hop_length: int  # samples
    n_samples: int

    @property
    def duration_s(self) -> float:
        """Length of the signal in seconds."""
        return self.n_samples / self.sample_rate

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    def column(self, name: str) -> Float32[np.ndarray, " frames"]:
        """One feature over time."""
        column: np.ndarray = self.values[:, FRAME_NAMES.index(name)]
        return column

    @property
    def chroma(self) -> Float32[np.ndarray, "frames 12"]:
        """Pitch classes from C, the loudest of each frame 1."""
        chroma: np.ndarray = self.values[:, -len(_CHROMA) :]
        return chroma

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays without objects, for an npz."""
        sizes = np.array([self.sample_rate, self.hop_length, self.n_samples], np.int64)
        return {"values": self.values, "envelopes": self.envelopes, "sizes": sizes}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "FrameFeatures":
        """What ``to_arrays`` gave."""
        rate, hop, n_samples = (int(v) for v in arrays["sizes"])
        return cls(arrays["values"], arrays["envelopes"], rate, hop, n_samples)


@dataclass(frozen=True, eq=False)
class StemFrames:
    """Power and spectral centroid of every frame of the four stems (``STEM_NAMES``)."""

    power: Float32[np.ndarray, "frames 4"]  # mean square
    centroid_hz: Float32[np.ndarray, "frames 4"]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays without objects, for an npz."""
        return {"power": self.power, "centroid_hz": self.centroid_hz}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "StemFrames":
        """What ``to_arrays`` gave."""
        return cls(arrays["power"], arrays["centroid_hz"])


@dataclass(frozen=True, eq=False)
class BeatFeatures:
    """One row of finite numbers per beat, one name per column."""

    values: Float32[np.ndarray, "beats dims"]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.values.shape[1] == len(self.names)
        assert np.isfinite(self.values).all()

    @property
    def n_beats(self) -> int:
        """Number of rows."""
        return int(self.values.shape[0])

    def column(self, name: str) -> Float32[np.ndarray, " beats"]:
        """One feature along the beats."""
        column: np.ndarray = self.values[:, self.names.index(name)]
        return column

    def columns(self, prefix: str) -> Float32[np.ndarray, "beats chosen"]:
        """All features whose names start with ``prefix``."""
        chosen = [index for index, name in enumerate(self.names) if name.startswith(prefix)]
        columns: np.ndarray = self.values[:, chosen]
        return columns


def extract_frames(mono: Float32[np.ndarray, " samples"], config: Config) -> FrameFeatures:
    """All frame features of a signal at ``config.audio.sample_rate``, from one STFT."""
    audio = config.audio
    values = np.zeros((n_spectrum_frames(len(mono), hop_length=audio.hop_length), len(FRAME_NAMES)), np.float32)
    spectral = _spectral_pass(mono, audio, values)
    _level_pass(mono, audio, values)
    mel_db = to_db(spectral.mel)
    envelopes = _onset_envelopes(mel_db, audio)
    values[:, _at("onset")] = _onset_strength(mel_db, audio)
    values[:, _span(_CONTRAST)] = to_db(spectral.peak) - to_db(spectral.valley)
    values[:, _span(_MFCC)] = scipy.fft.dct(mel_db, axis=1, type=2, norm="ortho")[:, :N_MFCC]
    values[:, _span(_MFCC_DELTA)] = _local_slope(values[:, _span(_MFCC)])
    values[:, _span(_CHROMA)] = _normalised_chroma(mono, audio, spectral)
    return FrameFeatures(values, envelopes, audio.sample_rate, audio.hop_length, len(mono))


def stem_frames(stems: Mapping[str, Float32[np.ndarray, " samples"]], config: Config) -> StemFrames:
    """Level and brightness of each stem; stems are mono at ``config.audio.sample_rate``, keyed by ``STEM_NAMES``."""
    missing = [name for name in STEM_NAMES if name not in stems]
    if missing:
        raise StemError(f"stems: {', '.join(missing)} missing of {', '.join(STEM_NAMES)}; separate the recording again")
    tracks = [_one_stem(stems[name], config.audio) for name in STEM_NAMES]
    frames = min(len(level) for level, _ in tracks)
    return StemFrames(
        np.stack([level[:frames] for level, _ in tracks], axis=1),
        np.stack([centroid[:frames] for _, centroid in tracks], axis=1),
    )


def pool_beats(
    frames: FrameFeatures, grid: BeatGrid, *, mode: FeatureMode, stems: StemFrames | None = None
) -> BeatFeatures:
    """The features of every beat of the grid, in the columns ``FEATURE_NAMES[mode]``.

    Raises:
        ConfigError: mode ``full`` without stems.
    """
    frame_rate_hz = frames.frame_rate_hz
    spectral = _mean_per_beat(frames.values, grid, frame_rate_hz=frame_rate_hz)
    if mode == "basic":
        return BeatFeatures(spectral[:, : len(_BASIC)].astype(np.float32), _BASIC)
    parts = [spectral, _rhythm(grid), _along_beats(spectral)]
    if mode == "full":
        if stems is None:
            raise ConfigError(
                "features.feature_mode: 'full' needs separated stems and there are none; "
                "set data.use_stems to true (or --stems), or use 'enhanced'"
            )
        parts.append(_stem_columns(stems, grid, frame_rate_hz=frame_rate_hz))
    return BeatFeatures(np.concatenate(parts, axis=1).astype(np.float32), FEATURE_NAMES[mode])


def estimate_key(features: BeatFeatures | FrameFeatures) -> int:
    """The key whose probe-tone profile correlates best with the mean chroma; 0 (C major) where there is no pitch.

    Raises:
        ConfigError: beat features of mode ``basic``, which have no chroma.
    """
    chroma = features.chroma if isinstance(features, FrameFeatures) else features.columns("chroma_")
    if chroma.shape[1] == 0:
        raise ConfigError("features.feature_mode: 'basic' has no chroma to tell a key from; use 'enhanced' or 'full'")
    mean = chroma.mean(axis=0, dtype=np.float64)
    centred = mean - mean.mean()
    return int(np.argmax(_key_profiles() @ centred))


# ---------------------------------------------------------------- frames


class _SpectralPass(NamedTuple):
    """What the whole signal must be known for before it becomes features."""

    mel: Float32[np.ndarray, "frames mels"]  # power
    peak: Float64[np.ndarray, "frames 7"]
    valley: Float64[np.ndarray, "frames 7"]
    tuning: float  # semitone / 100 steps, in semitones
    kept_power: list[np.ndarray]  # blocks of the power spectrum; empty where it is too large to keep


def _spectral_pass(
    mono: Float32[np.ndarray, " samples"], audio: AudioConfig, values: Float32[np.ndarray, "frames 52"]
) -> _SpectralPass:
    n_frames = len(values)
    mel = np.empty((n_frames, audio.n_mels), np.float32)
    peak, valley = np.zeros((n_frames, N_CONTRAST)), np.zeros((n_frames, N_CONTRAST))
    peaks, kept = [], []
    keep = n_frames * (audio.n_fft // 2 + 1) * 4 <= _KEPT_POWER_BYTES
    filters, at = mel_filters(audio.sample_rate, audio.n_fft, audio.n_mels), 0
    for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length):
        rows = slice(at, at + len(spectrum))
        block = power(spectrum)
        magnitude = np.sqrt(block)
        mel[rows] = block @ filters
        _shape_features(block, magnitude, _frequencies(audio.sample_rate, audio.n_fft), values[rows])
        _contrast_bands(magnitude, audio, peak[rows], valley[rows])
        peaks.append(_pitch_peaks(block, audio))
        if keep:
            kept.append(block)
        at += len(spectrum)
    return _SpectralPass(mel, peak, valley, _tuning(peaks, audio), kept)


def _shape_features(
    block: Float32[np.ndarray, "rows bins"],
    magnitude: Float32[np.ndarray, "rows bins"],
    frequencies: Float64[np.ndarray, " bins"],
    out: Float32[np.ndarray, "rows 52"],
) -> None:
    """Centroid, bandwidth, rolloff and flatness of each row, into their columns.

    centroid = sum_k f_k S_k / sum_k S_k;  bandwidth^2 = sum_k S_k f_k^2 / sum_k S_k - centroid^2.
    """
    moments = magnitude.astype(np.float64) @ np.stack([np.ones_like(frequencies), frequencies, frequencies**2], axis=1)
    total = np.where(moments[:, 0] < _TINY, 1.0, moments[:, 0])
    centroid = moments[:, 1] / total
    out[:, _at("centroid")] = centroid
    out[:, _at("bandwidth")] = np.sqrt(np.maximum(moments[:, 2] / total - centroid**2, 0.0))
    cumulative = np.cumsum(magnitude, axis=1)
    below = (cumulative < np.float32(_ROLLOFF_SHARE) * cumulative[:, -1:]).sum(axis=1)
    out[:, _at("rolloff")] = frequencies[np.minimum(below, len(frequencies) - 1)]
    floored = np.maximum(block, np.float32(_FLATNESS_FLOOR))
    arithmetic = floored.mean(axis=1)
    out[:, _at("flatness")] = np.exp(np.log(floored).mean(axis=1)) / arithmetic


class _Band(NamedTuple):
    start: int  # first bin
    end: int  # bin after the last
    n_extreme: int  # bins averaged at either end of the sorted band


@lru_cache(maxsize=8)
def _bands(sample_rate: int, n_fft: int) -> tuple[_Band, ...]:
    """Octave bands from 200 Hz with the bins below; the last runs to Nyquist. Bands beyond Nyquist are left out."""
    frequencies = _frequencies(sample_rate, n_fft)
    edges = np.concatenate([[0.0], _CONTRAST_MIN_HZ * 2.0 ** np.arange(N_CONTRAST)])
    bands = []
    for index, (low, high) in enumerate(pairwise(edges)):
        bins = np.flatnonzero((frequencies >= low) & (frequencies <= high))
        if len(bins) == 0:
            break
        is_last = index == N_CONTRAST - 1
        start = int(bins[0]) - (index > 0)
        end = len(frequencies) if is_last else int(bins[-1]) + 1
        count = max(int(np.rint(_CONTRAST_QUANTILE * (end - start))), 1)
        bands.append(_Band(start, end if is_last else max(end - 1, start + 1), count))
    return tuple(bands)


def _contrast_bands(
    magnitude: Float32[np.ndarray, "rows bins"],
    audio: AudioConfig,
    peak: Float64[np.ndarray, "rows 7"],
    valley: Float64[np.ndarray, "rows 7"],
) -> None:
    """Mean of the largest and of the smallest bins of each octave band."""
    for index, (start, end, n_extreme) in enumerate(_bands(audio.sample_rate, audio.n_fft)):
        ordered = np.sort(magnitude[:, start:end], axis=1)  # vectorised: faster than np.partition for both ends
        valley[:, index] = ordered[:, :n_extreme].mean(axis=1)
        peak[:, index] = ordered[:, -n_extreme:].mean(axis=1)


class _Peaks(NamedTuple):
    frequency_hz: Float32[np.ndarray, " peaks"]
    strength: Float32[np.ndarray, " peaks"]


def _pitch_peaks(block: Float32[np.ndarray, "rows bins"], audio: AudioConfig) -> _Peaks:
    """Local maxima of the power spectrum over a tenth of the row's maximum, by parabolic interpolation.

    With a = P[k+1] + P[k-1] - 2 P[k] and b = (P[k+1] - P[k-1]) / 2, the maximum lies at k - b/a.
    """
    low, high = np.searchsorted(_frequencies(audio.sample_rate, audio.n_fft), _PITCH_RANGE_HZ)
    high = min(int(high), block.shape[1] - 1)
    centre, left, right = block[:, low:high], block[:, low - 1 : high - 1], block[:, low + 1 : high + 1]
    loud = centre > np.float32(_PITCH_THRESHOLD) * block.max(axis=1, keepdims=True)
    row, bin_ = np.nonzero(loud & (centre > left) & (centre >= right))
    p, p_left, p_right = centre[row, bin_], left[row, bin_], right[row, bin_]
    slope, curve = 0.5 * (p_right - p_left), p_right + p_left - 2.0 * p
    shift = np.where(np.abs(slope) < np.abs(curve), -slope / np.where(curve == 0, np.float32(1.0), curve), 0.0)
    frequency = (low + bin_ + shift) * (audio.sample_rate / audio.n_fft)
    return _Peaks(frequency.astype(np.float32), (p + 0.5 * slope * shift).astype(np.float32))


def _tuning(blocks: list[_Peaks], audio: AudioConfig) -> float:
    """Deviation from A 440 in semitones: the mode of the residuals of the stronger half of the spectral peaks."""
    frequency = np.concatenate([block.frequency_hz for block in blocks])
    strength = np.concatenate([block.strength for block in blocks])
    chosen = frequency[strength >= np.median(strength)] if len(strength) else frequency
    chosen = chosen[chosen > 0]
    if len(chosen) == 0:
        return 0.0
    residual = np.mod(12.0 * np.log2(chosen.astype(np.float64) / _TUNING_REFERENCE_HZ), 1.0)
    residual[residual >= 0.5] -= 1.0
    counts, edges = np.histogram(residual, np.linspace(-0.5, 0.5, _TUNING_BINS))
    return float(edges[np.argmax(counts)])


def _normalised_chroma(
    mono: Float32[np.ndarray, " samples"], audio: AudioConfig, spectral: _SpectralPass
) -> Float32[np.ndarray, "frames 12"]:
    """Power gathered by pitch class; the largest of each frame is 1."""
    from librosa.filters import chroma as chroma_filters

    filters = chroma_filters(sr=audio.sample_rate, n_fft=audio.n_fft, tuning=spectral.tuning).T
    filters = np.ascontiguousarray(filters, dtype=np.float32)
    blocks = spectral.kept_power or (
        power(spectrum) for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length)
    )
    chroma = np.concatenate([block @ filters for block in blocks])
    largest = chroma.max(axis=1, keepdims=True)
    normalised: np.ndarray = chroma / np.where(largest < _TINY, np.float32(1.0), largest)
    return normalised


def _level_pass(
    mono: Float32[np.ndarray, " samples"], audio: AudioConfig, values: Float32[np.ndarray, "frames 52"]
) -> None:
    """RMS (zeros beyond the ends) and zero-crossing rate (edge values beyond the ends), in blocks of frames."""
    hop, n_fft, step = audio.hop_length, audio.n_fft, 1024
    for first in range(0, len(values), step):
        out = values[first : first + step]
        start, length = first * hop - n_fft // 2, (len(out) - 1) * hop + n_fft
        piece = padded_span(mono, start, length)
        framed = np.lib.stride_tricks.sliding_window_view(piece, n_fft)[::hop]
        out[:, _at("rms")] = np.sqrt(np.einsum("tn,tn->t", framed, framed) / n_fft)
        out[:, _at("zcr")] = _zero_crossing_rate(_edge_padded(mono, start, piece), n_fft=n_fft, hop_length=hop)


def _edge_padded(
    mono: Float32[np.ndarray, " samples"], start: int, piece: Float32[np.ndarray, " span"]
) -> Float32[np.ndarray, " span"]:
    if len(mono):
        piece[: max(-start, 0)] = mono[0]
        piece[max(min(len(mono) - start, len(piece)), 0) :] = mono[-1]
    return piece


def _zero_crossing_rate(
    piece: Float32[np.ndarray, " span"], *, n_fft: int, hop_length: int
) -> Float64[np.ndarray, " rows"]:
    """Changes of sign inside each frame over its length; the frame's first sample is no crossing."""
    negative = piece < -_ZERO_CROSSING_DEAD_ZONE
    passed = np.concatenate([[0], np.cumsum(negative[1:] != negative[:-1])])  # crossings up to and at each sample
    starts = np.arange(0, len(piece) - n_fft + 1, hop_length)
    rate: np.ndarray = (passed[starts + n_fft - 1] - passed[starts]) / n_fft
    return rate


def _flux(mel_db: Float32[np.ndarray, "frames mels"], audio: AudioConfig) -> Float32[np.ndarray, "frames mels"]:
    """Rise of each band since the frame before, delayed by librosa's centring: 1 + n_fft / (2 hop) frames of zeros."""
    delay = 1 + audio.n_fft // (2 * audio.hop_length)
    flux = np.zeros_like(mel_db)
    rise = np.maximum(mel_db[1:] - mel_db[:-1], 0.0)
    flux[delay:] = rise[: max(len(mel_db) - delay, 0)]
    return flux


def _onset_strength(mel_db: Float32[np.ndarray, "frames mels"], audio: AudioConfig) -> Float32[np.ndarray, " frames"]:
    strength: np.ndarray = _flux(mel_db, audio).mean(axis=1)
    return strength


def _onset_envelopes(mel_db: Float32[np.ndarray, "frames mels"], audio: AudioConfig) -> Float32[np.ndarray, "frames 5"]:
    """The flux's median over bands and its means over ranges of frequency (``ENVELOPE_NAMES``)."""
    from librosa import mel_frequencies

    flux = _flux(mel_db, audio)
    centres = mel_frequencies(n_mels=audio.n_mels + 2, fmin=0.0, fmax=audio.sample_rate / 2)[1:-1]
    envelopes = np.zeros((len(flux), len(ENVELOPE_NAMES)), np.float32)
    envelopes[:, 0] = np.median(flux, axis=1)
    for index, (low, high) in enumerate(pairwise(ENVELOPE_EDGES_HZ), start=1):
        inside = (centres >= low) & (centres < high)
        if inside.any():
            envelopes[:, index] = flux[:, inside].mean(axis=1)
    return envelopes


def _local_slope(values: Float32[np.ndarray, "frames columns"]) -> Float32[np.ndarray, "frames columns"]:
    """Slope of a line fitted over 9 frames (Savitzky-Golay); shorter signals are continued at their ends."""
    mode = "interp" if len(values) >= _DELTA_WIDTH_FRAMES else "nearest"
    slope: np.ndarray = scipy.signal.savgol_filter(values, _DELTA_WIDTH_FRAMES, deriv=1, axis=0, polyorder=1, mode=mode)
    return slope.astype(np.float32)


def _one_stem(
    mono: Float32[np.ndarray, " samples"], audio: AudioConfig
) -> tuple[Float32[np.ndarray, " frames"], Float32[np.ndarray, " frames"]]:
    """Mean square and centroid in Hz of each frame."""
    levels, centroids = [], []
    frequencies = _frequencies(audio.sample_rate, audio.n_fft)
    window_power = float((scipy.signal.get_window("hann", audio.n_fft) ** 2).sum()) * audio.n_fft / 2.0
    for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length):
        block = power(spectrum)
        magnitude = np.sqrt(block).astype(np.float64)
        total = magnitude.sum(axis=1)
        centroids.append(magnitude @ frequencies / np.where(total < _TINY, 1.0, total))
        levels.append(block.sum(axis=1, dtype=np.float64) / window_power)  # Parseval, one-sided
    return np.concatenate(levels).astype(np.float32), np.concatenate(centroids).astype(np.float32)


@lru_cache(maxsize=8)
def _frequencies(sample_rate: int, n_fft: int) -> Any:
    return np.fft.rfftfreq(n_fft, 1.0 / sample_rate)


def _at(name: str) -> int:
    return FRAME_NAMES.index(name)


def _span(names: tuple[str, ...]) -> slice:
    return slice(_at(names[0]), _at(names[-1]) + 1)


# ---------------------------------------------------------------- beats


class _FrameSpans(NamedTuple):
    start: Int[np.ndarray, " beats"]
    end: Int[np.ndarray, " beats"]  # at least start + 1


def _frame_spans(grid: BeatGrid, *, n_frames: int, frame_rate_hz: float) -> _FrameSpans:
    """The frames whose centres lie in each beat; a beat shorter than a frame takes the nearest one."""
    edges = np.rint(grid.times_s * frame_rate_hz).astype(np.int64)
    edges[-1] = n_frames
    start = np.minimum(edges[:-1], n_frames - 1)
    return _FrameSpans(start, np.minimum(np.maximum(edges[1:], start + 1), n_frames))


def _mean_per_beat(
    values: Float[np.ndarray, "frames columns"], grid: BeatGrid, *, frame_rate_hz: float
) -> Float64[np.ndarray, "beats columns"]:
    start, end = _frame_spans(grid, n_frames=len(values), frame_rate_hz=frame_rate_hz)
    means = np.empty((grid.n_beats, values.shape[1]))
    for beat, (first, last) in enumerate(zip(start, end, strict=True)):
        values[first:last].mean(axis=0, dtype=np.float64, out=means[beat])
    return means


def _rhythm(grid: BeatGrid) -> Float64[np.ndarray, "beats 5"]:
    """Sine, cosine and share of the bar phase; 60 / (interval * tempo) - 1; interval over the one before.

    Partial beats (lead-in, tail) have phase 0 without direction, deviation 0 and ratio 1.
    """
    whole = grid.bar_position != PARTIAL
    interval = np.diff(grid.times_s)
    phase = np.where(whole, grid.bar_position / grid.beats_per_bar, 0.0)
    deviation = np.where(whole, 60.0 / (interval * grid.tempo_bpm) - 1.0, 0.0)
    ratio = np.ones(grid.n_beats)
    ratio[1:] = np.where(whole[1:] & whole[:-1], interval[1:] / interval[:-1], 1.0)
    columns = [
        np.where(whole, np.sin(2 * np.pi * phase), 0.0),
        np.where(whole, np.cos(2 * np.pi * phase), 0.0),
        phase,
        np.clip(deviation, -1.0, _BEAT_RATIO_LIMIT - 1.0),
        np.clip(ratio, 1.0 / _BEAT_RATIO_LIMIT, _BEAT_RATIO_LIMIT),
    ]
    return np.stack(columns, axis=1)


def _along_beats(values: Float64[np.ndarray, "beats columns"]) -> Float64[np.ndarray, "beats columns"]:
    """Central difference per beat, one-sided at the ends; zero for a single beat."""
    if len(values) < 2:
        return np.zeros_like(values)
    gradient: np.ndarray = np.gradient(values, axis=0)
    return gradient


def _stem_columns(stems: StemFrames, grid: BeatGrid, *, frame_rate_hz: float) -> Float64[np.ndarray, "beats 12"]:
    """Per stem: energy in dB re full scale, centroid in Hz, share of the energy of all stems (0 where silent)."""
    level = _mean_per_beat(stems.power, grid, frame_rate_hz=frame_rate_hz)
    centroid = _mean_per_beat(stems.centroid_hz, grid, frame_rate_hz=frame_rate_hz)
    total = level.sum(axis=1, keepdims=True)
    share = np.where(total > _ENERGY_FLOOR, level / np.maximum(total, _ENERGY_FLOOR), 0.0)
    energy_db = 10.0 * np.log10(np.maximum(level, _ENERGY_FLOOR))
    columns: np.ndarray = np.stack([energy_db, centroid, share], axis=2).reshape(grid.n_beats, -1)
    return columns


@lru_cache(maxsize=1)
def _key_profiles() -> Any:
    """[24, 12] profiles of all keys, centred and of unit length: a product with them is a correlation."""
    profiles = np.array([np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)])
    profiles -= profiles.mean(axis=1, keepdims=True)
    return profiles / np.linalg.norm(profiles, axis=1, keepdims=True)
