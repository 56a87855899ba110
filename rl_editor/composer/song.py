"""A composed song: plan, arrangement, players, mix.

Conventions: audio is float32 ``[frames, 2]``; the mix is the sum of the stems; every generator comes from
``(config.seed, index)``, so a song is the same bytes every time on one platform.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from rl_editor.composer.arrangement import Event, Score, swung, write_score
from rl_editor.composer.effects import ducking, echo, fade_out, limiter_gain, reverb, rms
from rl_editor.composer.form import SongPlan, draw_plan
from rl_editor.composer.synthesis import Synth
from rl_editor.config import CorpusConfig
from rl_editor.grid import BeatGrid
from rl_editor.utils import Samples

STEMS = ("drums", "bass", "vocals", "other")

_TARGET_RMS = 10.0 ** (-16.0 / 20.0)  # of the whole mix, before limiting
_CEILING = 10.0 ** (-0.6 / 20.0)
_STEM_RMS = {"drums": 0.32, "bass": 0.3, "vocals": 0.27, "other": 0.27}  # before the mix is levelled
_HUMAN_TIMING_S, _HUMAN_VELOCITY = 0.004, 0.07  # standard deviations of players
_FADE_BARS = 6
_FIRST = ("amber", "copper", "silver", "hollow", "velvet", "northern", "paper", "quiet", "electric", "golden", "little",
          "winter")  # fmt: skip
_SECOND = ("river", "signal", "harbour", "garden", "engine", "mirror", "summer", "station", "lantern", "island",
           "tide")  # fmt: skip


class Section(NamedTuple):
    """A stretch of a song with a function: intro, verse, prechorus, chorus, bridge, breakdown, solo, outro."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True, eq=False)
class ComposedSong:
    """A song and the truth about it."""

    name: str
    mix: Samples
    stems: dict[str, Samples]
    grid: BeatGrid
    sections: tuple[Section, ...]
    bpm: float
    traits: tuple[str, ...]
    genre: str


def song_name(index: int) -> str:
    """A file-safe name, different for every index."""
    return f"song_{index:02d}_{_FIRST[index % len(_FIRST)]}_{_SECOND[index * 7 % len(_SECOND)]}"


def compose_song(index: int, *, config: CorpusConfig) -> ComposedSong:
    """Compose and render song ``index``: the same bytes for the same index, seed and settings."""
    planning, writing, playing, mixing = np.random.default_rng([config.seed, index]).spawn(4)
    plan = draw_plan(index, config=config, rng=planning)
    score = write_score(plan, writing)
    stems = _level(_mix(score, _perform(score, config.sample_rate, playing), config.sample_rate, mixing), plan, config)
    total = sum(stems.values(), np.zeros((plan.frames, 2), np.float32))
    return ComposedSong(
        song_name(index),
        Samples(total, config.sample_rate),
        {name: Samples(audio, config.sample_rate) for name, audio in stems.items()},
        plan.grid,
        _sections(plan),
        plan.bpm,
        tuple(sorted(plan.traits)),
        score.genre.name,
    )


def _sections(plan: SongPlan) -> tuple[Section, ...]:
    bar = plan.beats_per_bar
    return tuple(
        Section(plan.time_s(part.start_bar * bar), plan.time_s((part.start_bar + part.n_bars) * bar), part.label)
        for part in plan.parts
    )


_Stems = dict[str, Float32[np.ndarray, "frames 2"]]


def _perform(score: Score, sample_rate: int, rng: np.random.Generator) -> _Stems:
    """Play every note into its stem; people are a little early, late, loud or soft, machines are not."""
    synth = Synth(sample_rate)
    human = 0.0 if score.plan.has("sequenced") else 1.0
    stems = {name: np.zeros((score.plan.frames, 2), np.float32) for name in STEMS}
    for event in score.events:
        late_s, louder = rng.normal(0.0, (human * _HUMAN_TIMING_S, human * _HUMAN_VELOCITY))
        start = round((_onset_s(score.plan, event) + float(late_s)) * sample_rate)
        _add(stems[event.stem], synth.play(event.note), max(start, 0), event.velocity**1.3 * (1.0 + float(louder)))
    return stems


def _onset_s(plan: SongPlan, event: Event) -> float:
    return plan.time_s(swung(event.beat, swings=plan.has("swing")))


def _add(
    stem: Float32[np.ndarray, "frames 2"], sound: Float32[np.ndarray, "length 2"], start: int, gain: float
) -> None:
    stop = min(start + len(sound), len(stem))
    if stop > start:
        stem[start:stop] += np.float32(gain) * sound[: stop - start]


def _mix(score: Score, stems: _Stems, sample_rate: int, rng: np.random.Generator) -> _Stems:
    """Balance, room, echo and ducking."""
    beat_frames = round(60.0 / score.plan.bpm * sample_rate)
    level = {name: np.float32(_STEM_RMS[name] / max(rms(audio), 1e-6)) for name, audio in stems.items()}
    mixed = {name: audio * level[name] for name, audio in stems.items()}
    mixed["vocals"] = echo(mixed["vocals"], delay_frames=beat_frames * 3 // 4, level=0.22, n_echoes=3)
    mixed["vocals"] = reverb(mixed["vocals"], sample_rate, seconds=1.3, level=0.35, rng=rng)
    mixed["other"] = reverb(mixed["other"], sample_rate, seconds=0.9, level=0.25, rng=rng)
    mixed["drums"] = reverb(mixed["drums"], sample_rate, seconds=0.35, level=0.18, rng=rng)
    if score.genre.pumping:
        hits = np.array([score.plan.time_s(beat) for beat in score.kicks])
        dip = ducking(score.plan.frames, hits, sample_rate, depth=score.genre.pumping)
        mixed["other"] *= dip
        mixed["bass"] *= dip
    return mixed


def _level(stems: _Stems, plan: SongPlan, config: CorpusConfig) -> _Stems:
    """Bring the sum to its loudness, limit it, fade it: one gain curve for all stems."""
    total = sum(stems.values(), np.zeros((plan.frames, 2), np.float32))
    gain = np.float32(_TARGET_RMS / max(rms(total), 1e-6))
    curve = gain * limiter_gain(total * gain, ceiling=_CEILING)
    end = round(float(plan.beat_times_s[-1]) * config.sample_rate)
    if plan.has("fade"):
        bars = min(_FADE_BARS, plan.n_bars // 2)
        start_s = plan.time_s((plan.n_bars - bars) * plan.beats_per_bar)
        curve *= fade_out(plan.frames, start=round(start_s * config.sample_rate))
    else:
        curve *= fade_out(plan.frames, start=end)
    return {name: audio * curve for name, audio in stems.items()}
