"""What happens to an edit on its way to a file: a mastering chain, noise, files of every format, tempo and pitch tools.

Conventions: functions of float32 ``[frames, channels]`` that give the same. Of a tempo tool the truth says that output
frame t plays ``speed * t``. Tools wander about that line; measured with tone bursts at 0.94 to 1.06, 5th to 95th
percentile: Rubber Band within 2 ms, SoX within 8 ms, librosa's phase vocoder within 15 ms (it smears attacks). Where
a tool is late on average (``Tool.late_s``) its sound is moved back, so that the line is right in the mean.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.signal
import soundfile as sf

from rl_editor.utils import BLOCK_FRAMES

OGG_LEVEL, MP3_LEVEL = 0.6, 0.6  # libsndfile's compression level: OGG about 105 kbit/s, MP3 160 kbit/s constant


def mastered(edit: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Two shelves, a compressor, a soft limiter, noise at -30 dB; both channels alike."""
    low = scipy.signal.sosfilt(scipy.signal.butter(1, 150, "low", fs=rate, output="sos"), edit, axis=0)
    high = scipy.signal.sosfilt(scipy.signal.butter(1, 5000, "high", fs=rate, output="sos"), edit, axis=0)
    out = edit + rng.uniform(-0.4, 0.8) * low + rng.uniform(0, 1) * high
    level = np.sqrt(scipy.ndimage.uniform_filter1d((out**2).mean(axis=1), rate // 10) + 1e-8)
    out = out * ((level / level.mean()) ** -0.4)[:, None]
    out = np.tanh(1.5 * out / np.percentile(np.abs(out), 99.5)) * 0.8
    return noisy(out, -30.0, rng)


def noisy(edit: np.ndarray, level_db: float, rng: np.random.Generator) -> np.ndarray:
    """White noise at so many dB against the whole."""
    scale = np.sqrt((edit**2).mean()) * 10 ** (level_db / 20)
    return (edit + rng.normal(size=edit.shape) * scale).astype(np.float32)


def babble(n_frames: int, rate: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Something spoken: a voice's buzz and breath through three formants that change with every syllable."""
    out = np.zeros(n_frames)
    at = 0
    while at < n_frames:
        length = min(round(rng.uniform(0.12, 0.3) * rate), n_frames - at)
        hz = rng.uniform(90, 160) * (1 + 0.1 * np.linspace(0, rng.normal(), length))
        source = scipy.signal.sawtooth(2 * np.pi * np.cumsum(hz) / rate) + 0.3 * rng.normal(size=length)
        for formant in rng.uniform((300, 900, 2200), (800, 1900, 3200)):
            b, a = scipy.signal.iirpeak(formant, 6, fs=rate)
            source = 0.2 * source + scipy.signal.lfilter(b, a, source)
        out[at : at + length] = source * np.hanning(length)
        at += length + (round(rng.uniform(0.2, 0.6) * rate) if rng.random() < 0.2 else 0)
    return np.repeat((0.2 * out / (np.abs(out).max() + 1e-9)).astype(np.float32)[:, None], channels, axis=1)


def write(path: Path, samples: np.ndarray, rate: int, subtype: str | None = None) -> Path:
    """Write by extension, in blocks (libsndfile crashes when a long OGG is written in one call)."""
    extra: dict[str, object] = {}
    if path.suffix == ".ogg":
        subtype, extra = "VORBIS", {"compression_level": OGG_LEVEL}
    elif path.suffix == ".mp3":
        subtype, extra = "MPEG_LAYER_III", {"compression_level": MP3_LEVEL, "bitrate_mode": "CONSTANT"}
    with sf.SoundFile(path, "w", rate, samples.shape[1], subtype or "PCM_24", **extra) as file:
        for k in range(0, len(samples), BLOCK_FRAMES):
            file.write(samples[k : k + BLOCK_FRAMES])
    return path


@dataclass(frozen=True)
class Tool:
    """A program that changes tempo without pitch, and pitch without tempo."""

    name: str
    tempo_of: Callable[[np.ndarray, float, int], np.ndarray]  # samples, speed, rate
    pitch_of: Callable[[np.ndarray, float, int], np.ndarray]  # samples, semitones, rate
    late_s: float = 0.0  # how late sound is on average, per unit of speed - 1
    program: str | None = None  # must be on the PATH
    package: str = ""  # Debian's

    @property
    def missing(self) -> str | None:
        """Why the tool cannot run here, or None."""
        if self.program and not shutil.which(self.program):
            return f"{self.program} is not on the PATH (Debian: apt-get install {self.package})"
        return None

    def tempo(self, samples: np.ndarray, speed: float, rate: int) -> np.ndarray:
        """Play ``speed`` times as fast at the same pitch."""
        return self._on_time(self.tempo_of(samples, speed, rate), speed, rate)

    def pitch(self, samples: np.ndarray, semitones: float, rate: int) -> np.ndarray:
        """Transpose; inside, tools stretch by the interval and play that faster."""
        return self._on_time(self.pitch_of(samples, semitones, rate), 2 ** (-semitones / 12), rate)

    def _on_time(self, samples: np.ndarray, speed: float, rate: int) -> np.ndarray:
        late = round(self.late_s * (speed - 1) * rate)
        pad = np.zeros((abs(late), samples.shape[1]), np.float32)
        return np.concatenate([samples[late:], pad] if late > 0 else [pad, samples[: len(samples) + late]])


def _run(program: str, samples: np.ndarray, rate: int, *, before: list[str], after: list[str]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        source, result = (str(Path(folder) / name) for name in ("in.wav", "out.wav"))
        sf.write(source, samples, rate, subtype="FLOAT")
        subprocess.run([program, *before, source, result, *after], check=True, capture_output=True)
        return sf.read(result, dtype="float32", always_2d=True)[0]


def _librosa_tempo(samples: np.ndarray, speed: float, rate: int) -> np.ndarray:
    import librosa

    return librosa.effects.time_stretch(np.ascontiguousarray(samples.T, np.float32), rate=speed).T


def _librosa_pitch(samples: np.ndarray, semitones: float, rate: int) -> np.ndarray:
    import librosa

    return librosa.effects.pitch_shift(np.ascontiguousarray(samples.T, np.float32), sr=rate, n_steps=semitones).T


TOOLS = (
    Tool(
        "sox",
        lambda x, speed, rate: _run("sox", x, rate, before=["-D"], after=["tempo", "-m", str(speed)]),
        lambda x, semitones, rate: _run("sox", x, rate, before=["-D"], after=["pitch", str(100 * semitones)]),
        late_s=0.08,
        program="sox",
        package="sox",
    ),
    Tool("librosa", _librosa_tempo, _librosa_pitch),
    Tool(
        "rubberband",
        lambda x, speed, rate: _run("rubberband", x, rate, before=["-q", "-T", str(speed)], after=[]),
        lambda x, semitones, rate: _run("rubberband", x, rate, before=["-q", "-p", str(semitones)], after=[]),
        late_s=0.021,
        program="rubberband",
        package="rubberband-cli",
    ),
)
