"""Instruments: one rendered note at a time, kept so that a note played twice is made once.

Conventions: a note is float32 ``[frames, 2]``, its release included, loudest near 1; pitches are MIDI numbers;
``brightness`` in [0, 1] opens the spectrum; ``variant`` picks one of several takes of a drum.
Oscillators are single-cycle wavetables without partials above the Nyquist frequency; a closing filter is the
crossfade of a bright table into a dark one.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.signal
from jaxtyping import Float, Float32

Signal = Float[np.ndarray, " frames"]
Stereo = Float[np.ndarray, "frames 2"]
Table = Float[np.ndarray, " table"]

_TABLE_SIZE = 1024  # samples of a single cycle
_MAX_HARMONICS = 200
_VOWELS_HZ = {  # first three formants
    "a": (800.0, 1150.0, 2900.0),
    "e": (450.0, 1900.0, 2600.0),
    "o": (450.0, 800.0, 2830.0),
    "u": (325.0, 700.0, 2700.0),
}


class Note(NamedTuple):
    """What makes a rendered note what it is; the key of the store."""

    patch: str
    pitch: int
    length_ms: int
    brightness: float
    variant: int = 0


class Synth:
    """Renders notes at one sample rate and remembers them."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._notes: dict[Note, Float32[np.ndarray, "frames 2"]] = {}

    def play(self, note: Note) -> Float32[np.ndarray, "frames 2"]:
        """The rendered note."""
        if note not in self._notes:
            sound = PATCHES[note.patch](note, self.sample_rate)
            stereo = np.stack([sound, sound], axis=1) if sound.ndim == 1 else sound
            self._notes[note] = stereo.astype(np.float32)
        return self._notes[note]


def frequency_hz(pitch: int) -> float:
    """Equal temperament, A4 = 440 Hz."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


# ---------------------------------------------------------------- building blocks


def _seconds(note: Note, release_s: float, sample_rate: int) -> Signal:
    return np.arange(round((note.length_ms / 1000.0 + release_s) * sample_rate)) / sample_rate


def _envelope(t: Signal, note: Note, *, attack_s: float, decay_s: float, sustain: float, release_s: float) -> Signal:
    """Attack, exponential decay to ``sustain``, exponential release after the note's length, silent at the end."""
    level = sustain + (1.0 - sustain) * np.exp(-np.maximum(t - attack_s, 0.0) / decay_s)
    level *= np.minimum(t / attack_s, 1.0)
    after = np.maximum(t - note.length_ms / 1000.0, 0.0)
    fade = np.minimum((t[-1] - t) / 0.005, 1.0) if len(t) else t
    return np.asarray(level * np.exp(-after * 4.0 / release_s) * fade)


def _table(base_hz: float, cutoff_hz: float, sample_rate: int) -> Table:
    """One cycle of a saw behind a 12 dB/octave low-pass."""
    harmonics = np.arange(1, min(_MAX_HARMONICS, int(0.45 * sample_rate / base_hz), _TABLE_SIZE // 2 - 1) + 1)
    levels = 1.0 / harmonics / (1.0 + (harmonics * base_hz / cutoff_hz) ** 2)
    return _cycle(levels)


def _cycle(levels: Float[np.ndarray, " harmonics"]) -> Table:
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, complex)
    spectrum[1 : len(levels) + 1] = -1j * levels * _TABLE_SIZE / 2
    wave = np.fft.irfft(spectrum)
    return np.append(wave, wave[0])


def _oscillate(table: Table, cycles: Signal) -> Signal:
    """Read a table along a phase counted in cycles, with linear interpolation."""
    place = (cycles % 1.0) * _TABLE_SIZE
    low = place.astype(np.int32)
    return np.asarray(table[low] + (place - low) * (table[low + 1] - table[low]))


def _noise(note: Note, n: int, low_hz: float, high_hz: float, sample_rate: int) -> Signal:
    """Band-passed white noise, the same for the same patch, variant and band."""
    rng = np.random.default_rng([zlib.crc32(note.patch.encode()), note.variant, round(low_hz)])
    band = [low_hz, min(high_hz, 0.45 * sample_rate)]
    sos = scipy.signal.butter(2, band, btype="bandpass", fs=sample_rate, output="sos")
    filtered: Signal = scipy.signal.sosfilt(sos, rng.standard_normal(n))
    return filtered / max(float(np.abs(filtered).max()), 1e-9)


def _decay(t: Signal, seconds: float) -> Signal:
    return np.asarray(np.exp(-t / seconds) * np.minimum((t[-1] - t) / 0.004, 1.0))


def _cutoff_hz(brightness: float, low_hz: float, high_hz: float) -> float:
    return float(low_hz * (high_hz / low_hz) ** brightness)


# ---------------------------------------------------------------- drums


def _kick(note: Note, sample_rate: int, *, top_hz: float, end_hz: float, decay_s: float) -> Signal:
    t = np.arange(round(decay_s * 3.2 * sample_rate)) / sample_rate
    sweep_s = 0.032
    cycles = end_hz * t + (top_hz - end_hz) * sweep_s * (1.0 - np.exp(-t / sweep_s))
    click = _noise(note, len(t), 1200.0, 6000.0, sample_rate) * np.exp(-t / 0.004)
    return np.asarray(np.tanh(1.6 * np.sin(2 * np.pi * cycles) * _decay(t, decay_s)) + 0.25 * click)


def _snare(note: Note, sample_rate: int, *, tone_hz: float, decay_s: float, tone: float) -> Signal:
    t = np.arange(round(decay_s * 3.5 * sample_rate)) / sample_rate
    body = np.sin(2 * np.pi * (tone_hz * t + 2.2 * np.exp(-t / 0.01))) * np.exp(-t / (0.5 * decay_s))
    rattle = _noise(note, len(t), 900.0, 9000.0, sample_rate) * _decay(t, decay_s)
    return np.asarray(np.tanh(1.4 * (tone * body * np.minimum((t[-1] - t) / 0.004, 1.0) + rattle)))


def _clap(note: Note, sample_rate: int) -> Signal:
    t = np.arange(round(0.35 * sample_rate)) / sample_rate
    hands = sum(np.where(t >= d, np.exp(-np.maximum(t - d, 0.0) / 0.007), 0.0) for d in (0.0, 0.011, 0.021))
    tail = np.where(t >= 0.03, np.exp(-np.maximum(t - 0.03, 0.0) / 0.07), 0.0)
    return np.asarray(
        _noise(note, len(t), 800.0, 5000.0, sample_rate) * (hands + tail) * np.minimum((t[-1] - t) / 0.004, 1.0)
    )


def _metal(note: Note, sample_rate: int, *, low_hz: float, decay_s: float) -> Signal:
    """Hats and cymbals: noise over a cluster of inharmonic partials."""
    t = np.arange(round(decay_s * 4.0 * sample_rate)) / sample_rate
    partials = [low_hz * ratio for ratio in (0.62, 0.81, 1.0, 1.21, 1.43) if low_hz * ratio < 0.42 * sample_rate]
    ring = sum(np.sign(np.sin(2 * np.pi * hz * t + i)) for i, hz in enumerate(partials)) / len(partials)
    return np.asarray((0.8 * _noise(note, len(t), low_hz, 14000.0, sample_rate) + 0.12 * ring) * _decay(t, decay_s))


def _tom(note: Note, sample_rate: int) -> Signal:
    t = np.arange(round(0.6 * sample_rate)) / sample_rate
    hz = frequency_hz(note.pitch)
    skin = np.sin(2 * np.pi * (hz * t + 0.4 * hz * 0.04 * (1.0 - np.exp(-t / 0.04)))) * _decay(t, 0.16)
    return np.asarray(skin + 0.2 * _noise(note, len(t), 400.0, 4000.0, sample_rate) * np.exp(-t / 0.02))


def _shaker(note: Note, sample_rate: int) -> Signal:
    t = np.arange(round(0.12 * sample_rate)) / sample_rate
    return np.asarray(_noise(note, len(t), 5000.0, 11000.0, sample_rate) * np.minimum(t / 0.015, 1.0) * _decay(t, 0.03))


def _riser(note: Note, sample_rate: int) -> Signal:
    """Noise that swells until its end, before a chorus."""
    t = _seconds(note, 0.01, sample_rate)
    share = t / t[-1]
    low, high = (_noise(note, len(t), *band, sample_rate) for band in ((400.0, 2000.0), (2500.0, 9000.0)))
    return np.asarray(((1.0 - share) * low + share * high) * share**2 * np.minimum((t[-1] - t) / 0.01, 1.0))


# ---------------------------------------------------------------- pitched


def _saws(note: Note, sample_rate: int, *, cents: tuple[float, ...], low_hz: float, high_hz: float, attack_s: float,
          decay_s: float, sustain: float, release_s: float, closing_s: float) -> Stereo:  # fmt: skip
    """Detuned saws spread over the stereo field, behind a filter that closes."""
    t = _seconds(note, release_s, sample_rate)
    base = frequency_hz(note.pitch)
    bright = _table(base, _cutoff_hz(note.brightness, low_hz, high_hz), sample_rate)
    dark = _table(base, _cutoff_hz(0.35 * note.brightness, low_hz, high_hz), sample_rate)
    opening = np.exp(-t / closing_s)
    left, right = np.zeros(len(t)), np.zeros(len(t))
    for i, detune in enumerate(cents):
        cycles = base * 2.0 ** (detune / 1200.0) * t + (0.37 * i * (1 + note.pitch % 5)) % 1.0
        voice = _oscillate(dark, cycles)
        voice += opening * (_oscillate(bright, cycles) - voice)
        side = 0.5 if len(cents) == 1 else i / (len(cents) - 1)
        left += (1.0 - 0.7 * side) * voice
        right += (0.3 + 0.7 * side) * voice
    shape = _envelope(t, note, attack_s=attack_s, decay_s=decay_s, sustain=sustain, release_s=release_s)
    return np.asarray(np.stack([left, right], axis=1) * (shape / (0.9 * len(cents) ** 0.5))[:, None])


def _pad(note: Note, sample_rate: int) -> Stereo:
    return _saws(note, sample_rate, cents=(-11.0, -4.0, 5.0, 12.0), low_hz=500.0, high_hz=5000.0, attack_s=0.09,
                 decay_s=1.0, sustain=0.8, release_s=0.5, closing_s=2.0)  # fmt: skip


def _stab(note: Note, sample_rate: int) -> Stereo:
    return _saws(note, sample_rate, cents=(-14.0, -6.0, 0.0, 7.0, 15.0), low_hz=900.0, high_hz=9000.0, attack_s=0.004,
                 decay_s=0.25, sustain=0.5, release_s=0.2, closing_s=0.18)  # fmt: skip


def _saw_lead(note: Note, sample_rate: int) -> Stereo:
    return _saws(note, sample_rate, cents=(-7.0, 6.0), low_hz=1200.0, high_hz=8000.0, attack_s=0.012,
                 decay_s=0.4, sustain=0.75, release_s=0.15, closing_s=0.6)  # fmt: skip


def _saw_bass(note: Note, sample_rate: int) -> Stereo:
    sound = _saws(note, sample_rate, cents=(0.0,), low_hz=220.0, high_hz=2400.0, attack_s=0.004,
                  decay_s=0.3, sustain=0.65, release_s=0.06, closing_s=0.15)  # fmt: skip
    return np.tanh(1.5 * sound)


def _sub_bass(note: Note, sample_rate: int) -> Signal:
    t = _seconds(note, 0.08, sample_rate)
    cycles = 2 * np.pi * frequency_hz(note.pitch) * t
    wave = np.sin(cycles) + (0.15 + 0.35 * note.brightness) * np.sin(2 * cycles) + 0.12 * np.sin(3 * cycles)
    return np.asarray(wave * _envelope(t, note, attack_s=0.006, decay_s=0.6, sustain=0.75, release_s=0.08) * 0.8)


def _finger_bass(note: Note, sample_rate: int) -> Signal:
    t = _seconds(note, 0.1, sample_rate)
    sound = _string(frequency_hz(note.pitch), t, sample_rate, brightness=0.5 * note.brightness, ring_s=1.6, pick=0.18)
    return np.asarray(sound * _envelope(t, note, attack_s=0.004, decay_s=0.9, sustain=0.5, release_s=0.1))


def _string(base_hz: float, t: Signal, sample_rate: int, *, brightness: float, ring_s: float, pick: float) -> Signal:
    """A plucked string: partials of a plucked shape that die the faster the higher they are."""
    total = np.zeros(len(t))
    for h in range(1, min(28, int(0.45 * sample_rate / base_hz)) + 1):
        level = abs(np.sin(np.pi * h * pick)) / h ** (2.0 - 1.1 * brightness)
        stretched = h * (1.0 + 0.00012 * h * h)  # stiffness
        total += level * np.exp(-t * (0.6 + 0.45 * h) / ring_s) * np.sin(2 * np.pi * base_hz * stretched * t)
    return total


def _guitar(note: Note, sample_rate: int) -> Stereo:
    t = _seconds(note, 0.18, sample_rate)
    base = frequency_hz(note.pitch)
    shape = _envelope(t, note, attack_s=0.002, decay_s=1.2, sustain=0.6, release_s=0.18)
    left = _string(base, t, sample_rate, brightness=0.3 + 0.7 * note.brightness, ring_s=1.3, pick=0.13)
    right = np.roll(left, round(0.007 * sample_rate))  # two players, a hair apart
    right[: round(0.007 * sample_rate)] = 0.0
    return np.asarray(np.stack([left, right], axis=1) * shape[:, None])


def _overdriven(note: Note, sample_rate: int) -> Stereo:
    clean = _guitar(note, sample_rate)
    return np.tanh((3.0 + 4.0 * note.brightness) * clean) * 0.6


def _keys(note: Note, sample_rate: int) -> Stereo:
    """An electric piano: two FM pairs, and a slow tremolo across the sides."""
    t = _seconds(note, 0.25, sample_rate)
    base = 2 * np.pi * frequency_hz(note.pitch)
    depth = (0.5 + 1.8 * note.brightness) * np.exp(-t / 0.5)
    body = np.sin(base * t + depth * np.sin(base * t))
    tine = 0.25 * note.brightness * np.sin(base * t + 1.5 * np.exp(-t / 0.08) * np.sin(14 * base * t))
    sound = (body + tine) * _envelope(t, note, attack_s=0.003, decay_s=0.9, sustain=0.35, release_s=0.25)
    sway = 0.25 * np.sin(2 * np.pi * 4.6 * t)
    return np.stack([sound * (1.0 + sway), sound * (1.0 - sway)], axis=1)


def _organ(note: Note, sample_rate: int) -> Signal:
    t = _seconds(note, 0.08, sample_rate)
    base = frequency_hz(note.pitch)
    bars = ((0.5, 0.5), (1.0, 1.0), (1.5, 0.5), (2.0, 0.6), (3.0, 0.3), (4.0, 0.5 * note.brightness))
    vibrato = 0.0012 * np.sin(2 * np.pi * 6.2 * t)
    wave = sum(level * np.sin(2 * np.pi * base * ratio * (t + vibrato / 6.2)) for ratio, level in bars)
    return 0.45 * wave * _envelope(t, note, attack_s=0.008, decay_s=1.0, sustain=0.95, release_s=0.08)


def _bell(note: Note, sample_rate: int) -> Signal:
    t = _seconds(note, 0.5, sample_rate)
    base = 2 * np.pi * frequency_hz(note.pitch)
    wave = np.sin(base * t + (1.0 + 2.0 * note.brightness) * np.exp(-t / 0.3) * np.sin(3.5 * base * t))
    return np.asarray(wave * _envelope(t, note, attack_s=0.002, decay_s=0.5, sustain=0.1, release_s=0.5))


def _flute(note: Note, sample_rate: int) -> Signal:
    t = _seconds(note, 0.15, sample_rate)
    cycles = _vibrato(frequency_hz(note.pitch), t, depth=0.004, rate_hz=5.2)
    levels = np.array([1.0, 0.35 + 0.3 * note.brightness, 0.18, 0.08, 0.04])
    breath = 0.05 * _noise(note, len(t), 1500.0, 6000.0, sample_rate)
    wave = 0.75 * _oscillate(_cycle(levels), cycles) + breath
    return np.asarray(wave * _envelope(t, note, attack_s=0.045, decay_s=0.8, sustain=0.85, release_s=0.15))


def _voice(note: Note, sample_rate: int) -> Signal:
    """A sung vowel: a glottal buzz under three formants, with a late vibrato."""
    t = _seconds(note, 0.14, sample_rate)
    base = frequency_hz(note.pitch)
    vowel = "aeou"[(note.pitch * 7 + note.length_ms) % 4]
    hz = base * np.arange(1, max(2, int(min(5500.0, 0.45 * sample_rate) / base)) + 1)
    formants = sum((0.9**i) / (1.0 + ((hz - f) / (90.0 + 50.0 * i)) ** 2) for i, f in enumerate(_VOWELS_HZ[vowel]))
    levels = (formants + 0.06) / (hz / base) ** (1.1 - 0.5 * note.brightness)
    wave = _oscillate(_cycle(levels / np.sqrt((levels**2).sum())), _vibrato(base, t, depth=0.009, rate_hz=5.4))
    return np.asarray(0.9 * wave * _envelope(t, note, attack_s=0.05, decay_s=0.8, sustain=0.85, release_s=0.14))


def _vibrato(base_hz: float, t: Signal, *, depth: float, rate_hz: float) -> Signal:
    """Phase in cycles of a tone that starts a little flat and begins to sway after 0.2 s."""
    sway = np.clip((t - 0.2) / 0.25, 0.0, 1.0) * depth / (2 * np.pi * rate_hz) * np.sin(2 * np.pi * rate_hz * t)
    scoop = 0.012 * 0.04 * np.exp(-t / 0.04)
    return base_hz * (t + sway + scoop)


PATCHES: dict[str, Callable[[Note, int], Signal | Stereo]] = {
    "kick": lambda note, sr: _kick(note, sr, top_hz=180.0, end_hz=56.0, decay_s=0.12),
    "kick_808": lambda note, sr: _kick(note, sr, top_hz=150.0, end_hz=45.0, decay_s=0.22),
    "snare": lambda note, sr: _snare(note, sr, tone_hz=190.0, decay_s=0.11, tone=0.8),
    "snare_808": lambda note, sr: _snare(note, sr, tone_hz=230.0, decay_s=0.08, tone=0.5),
    "clap": _clap,
    "rim": lambda note, sr: _snare(note, sr, tone_hz=820.0, decay_s=0.025, tone=1.2),
    "hat": lambda note, sr: _metal(note, sr, low_hz=6500.0, decay_s=0.03),
    "open_hat": lambda note, sr: _metal(note, sr, low_hz=6000.0, decay_s=0.14),
    "ride": lambda note, sr: _metal(note, sr, low_hz=4200.0, decay_s=0.28),
    "crash": lambda note, sr: _metal(note, sr, low_hz=3200.0, decay_s=0.55),
    "tom": _tom,
    "shaker": _shaker,
    "riser": _riser,
    "sub_bass": _sub_bass,
    "saw_bass": _saw_bass,
    "finger_bass": _finger_bass,
    "pad": _pad,
    "stab": _stab,
    "guitar": _guitar,
    "overdriven": _overdriven,
    "keys": _keys,
    "organ": _organ,
    "bell": _bell,
    "flute": _flute,
    "voice": _voice,
    "saw_lead": _saw_lead,
}
