import numpy as np
import pytest

from rl_editor.composer import STEMS, TRAITS, compose_song, song_name, traits_of
from rl_editor.composer.arrangement import swung, write_score
from rl_editor.composer.effects import ducking, echo, fade_out, limiter_gain, reverb
from rl_editor.composer.form import Part, _parts, draw_plan
from rl_editor.composer.song import _add, _level
from rl_editor.composer.synthesis import PATCHES, Note, Synth, frequency_hz
from rl_editor.composer.theory import Key, chord_degrees, phrase, voicing
from rl_editor.config import CorpusConfig

RATE = 16000  # Hz: fast
SHORT = CorpusConfig(min_duration_s=12.0, max_duration_s=20.0, sample_rate=RATE)
SINGLE_STEP = np.float32(2e-6)  # rounding of a float32 sum of four stems


@pytest.fixture(scope="module")
def song():
    return compose_song(1, config=SHORT)


def plan(index, config=None):
    return draw_plan(index, config=config or CorpusConfig(), rng=np.random.default_rng(index))


def level_db(audio):
    return 10 * np.log10(np.mean(np.square(audio, dtype=np.float64)) + 1e-12)


def test_key_pitches_by_hand():
    # A minor: tonic 9; octave 4 starts at middle C (60), so degree 0 is 69, degree 2 (C) 72, degree 7 the A above
    assert [Key(9, "minor").pitch(d, octave=4) for d in (0, 2, 7, -1)] == [69, 72, 81, 67]
    assert frequency_hz(69) == pytest.approx(440.0)
    assert frequency_hz(57) == pytest.approx(220.0)


def test_chords_are_stacked_thirds_near_their_centre():
    key = Key(0, "major")
    assert [key.pitch(d, octave=4) for d in chord_degrees(0, sevenths=True)] == [60, 64, 67, 71]
    # F major = 65 69 72; nearest to 60: 65 (5 up), 69 - 12 = 57, 72 - 12 = 60
    assert voicing([65, 69, 72], centre=60) == (57, 60, 65)


def test_phrase_puts_chord_tones_on_strong_beats():
    chords = (0, 4, 5, 3)
    for note in phrase(np.random.default_rng(0), chords=chords, beats_per_bar=4, rest_probability=0.0):
        if note.beat.is_integer():
            root = chords[int(note.beat // 4)]
            assert (note.degree - root) % 7 in (0, 2, 4)
        assert note.beat % 4 + note.length_beats <= 4


def test_every_trait_occurs_in_twelve_songs():
    assert set().union(*(traits_of(i) for i in range(12))) == set(TRAITS)


def test_names_are_distinct_and_safe():
    names = [song_name(i) for i in range(48)]
    assert len(set(names)) == 48
    assert all(name.isascii() and name.replace("_", "").isalnum() for name in names)


def test_default_corpus_follows_the_statistics():
    config = CorpusConfig()
    plans = [plan(i, config) for i in range(config.n_songs)]
    bpm = np.array([p.bpm for p in plans])
    duration_s = np.array([p.grid.duration_s for p in plans])
    n_bars = np.concatenate([[part.n_bars for part in p.parts] for p in plans])
    assert 70 <= bpm.min() < 85 < 110 < np.median(bpm) < 130 < 145 < bpm.max() <= 170  # Harmonix: 74, 119, 150
    assert config.min_duration_s <= duration_s.min()
    assert duration_s.max() <= config.max_duration_s
    assert 75 < np.median(duration_s) < 120
    assert np.median([len(p.parts) for p in plans]) >= 7  # Harmonix: 10 % quantile 7, in songs twice as long
    assert np.isin(n_bars, (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 24)).all()
    assert (n_bars == 8).mean() == max((n_bars == n).mean() for n in (6, 7, 8, 9, 10, 12, 16, 24))


def test_tempo_variation_is_that_of_people_or_of_machines():
    def variation(index):
        intervals = np.diff(plan(index).beat_times_s)
        return intervals.std() / intervals.mean()

    assert variation(0) < 1e-9  # sequenced
    assert variation(1) == pytest.approx(0.0006, rel=0.2)
    assert 0.012 < variation(3) < 0.023  # drift


def test_grid_tells_pickup_silence_and_metre():
    pickup, silence, waltz = plan(1), plan(4), plan(5)
    whole = pickup.grid.bar_position[pickup.grid.bar_position >= 0]
    assert list(whole[: pickup.pickup_beats + 1]) == [*range(4 - pickup.pickup_beats, 4), 0]
    assert silence.grid.bar_position[0] == -1
    assert 1.5 <= silence.grid.times_s[1] <= 3.0
    assert waltz.grid.beats_per_bar == 3
    assert waltz.grid.bar_position.max() == 2
    assert pickup.time_s(0) == pytest.approx(pickup.grid.times_s[np.flatnonzero(pickup.grid.bar_position == 0)[0]])


def test_parts_follow_each_other_and_count_their_label():
    assert _parts([("verse", 8), ("chorus", 4), ("verse", 6)]) == (
        Part("verse", 0, 8, 0, is_last=False),
        Part("chorus", 8, 4, 0, is_last=True),
        Part("verse", 12, 6, 1, is_last=True),
    )


def test_beats_have_their_times_and_go_on_beyond_the_ends():
    pickup = plan(1)
    times, n = pickup.beat_times_s, len(pickup.beat_times_s) - 1 - pickup.pickup_beats
    assert pickup.time_s(-pickup.pickup_beats) == times[0]
    assert pickup.time_s(0.5) == pytest.approx(times[pickup.pickup_beats : pickup.pickup_beats + 2].mean())
    assert pickup.time_s(n) == pytest.approx(times[-1])
    assert pickup.time_s(n + 2) == pytest.approx(times[-1] + 2 * (times[-1] - times[-2]))
    assert pickup.time_s(-pickup.pickup_beats - 1) == pytest.approx(times[0] - (times[1] - times[0]))


def score(index):
    return write_score(plan(index), np.random.default_rng(index))


def test_nobody_plays_in_the_bar_before_the_last_chorus_of_a_song_with_a_break():
    found = score(3)
    chorus = [part for part in found.plan.parts if part.label == "chorus"][-1]
    beats, end = np.array([event.beat for event in found.events]), 4 * chorus.start_bar
    assert not ((beats >= end - 4) & (beats < end - 0.01)).any()
    assert ((beats >= end - 8) & (beats < end - 4)).any()
    assert (beats == end).any()
    assert any(
        4 * part.start_bar - 4 in beats for part in found.plan.parts if part.label == "chorus" and part != chorus
    )


def test_the_last_choruses_of_a_song_with_a_lift_are_a_tone_higher():
    lifted = next(
        found for found in map(score, (4, 9, 14, 19)) if sum(p.label == "chorus" for p in found.plan.parts) > 1
    )
    choruses = [part for part in lifted.plan.parts if part.label == "chorus"]

    def pitches(part):
        start = part.start_bar * lifted.plan.beats_per_bar
        return {e.note.pitch % 12 for e in lifted.events if e.stem == "other" and start <= e.beat < start + 4}

    assert pitches(choruses[-1]) == {(pitch + 2) % 12 for pitch in pitches(choruses[0])}
    plain = score(2)
    assert len({event.note.pitch % 12 for event in plain.events if event.stem == "bass"}) <= 7  # one scale


def test_a_pickup_is_counted_in_before_the_first_downbeat():
    found = score(1)
    n = found.plan.pickup_beats
    assert sorted(event.beat for event in found.events if event.note.patch == "rim") == list(range(-n, 0))
    early = [event.beat for event in found.events if event.beat < -0.1 and event.stem == "other"]  # others may rush
    assert sorted(early) == list(np.arange(-n, 0, 0.5))
    assert not any(event.beat < -0.1 for event in score(2).events)


def test_a_weak_take_is_softer_and_leaves_notes_out():
    """Every second verse of a loose song; the second verse of another song is as loud as the first, and fuller."""

    def verses(found):
        ends = [
            (part.start_bar * 4, (part.start_bar + part.n_bars) * 4)
            for part in found.plan.parts
            if part.label == "verse"
        ]
        return [[e.velocity for e in found.events if a <= e.beat < b and e.stem == "other"] for a, b in ends[:2]]

    loose, tight = (verses(found) for found in (score(1), score(8)))
    assert np.mean(loose[1]) == pytest.approx(0.6 * np.mean(loose[0]), rel=0.1)
    assert np.mean(tight[1]) == pytest.approx(np.mean(tight[0]), rel=0.1)


@pytest.mark.parametrize("index", [0, 1])
def test_one_gain_for_all_stems_that_ends_in_silence(index):
    """Over the last six bars of one that fades, or half of it where it has fewer than twelve; else after its beats."""
    short = plan(index, SHORT)
    n_bars = min(6, short.n_bars // 2) if short.has("fade") else 0
    start = round(short.time_s((short.n_bars - n_bars) * 4) * RATE)
    found = _level(
        {name: np.full((short.frames, 2), level, np.float32) for name, level in (("drums", 0.1), ("bass", 0.3))},
        short,
        SHORT,
    )
    gain = found["drums"][:, 0] / 0.1
    np.testing.assert_allclose(found["bass"][:, 1], 0.3 * gain, rtol=1e-5)
    np.testing.assert_allclose(gain[:start], 10 ** (-16 / 20) / 0.4, rtol=1e-4)
    assert (np.diff(gain[start + 10 :]) < 1e-7).all()
    assert gain[-1] == pytest.approx(0.0, abs=1e-6)
    assert gain[(start + short.frames) // 2] == pytest.approx(gain[0] / 2, rel=0.01)


def test_a_note_that_rings_beyond_the_end_is_cut_off():
    stem, sound = np.zeros((10, 2), np.float32), np.ones((4, 2), np.float32)
    for start in (2, 8, 10, 12):
        _add(stem, sound, start, 0.5)
    assert stem[:, 0].tolist() == [0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.5, 0.5]


def test_swing_moves_only_what_is_off_the_beat():
    assert [swung(b, swings=True) for b in (0.0, 1.0, 7.0)] == [0.0, 1.0, 7.0]
    assert swung(2.5, swings=True) == pytest.approx(2.62)
    assert swung(2.75, swings=True) == pytest.approx(2.81)  # half way from 0.62 to 1
    assert swung(2.5, swings=False) == 2.5


@pytest.mark.parametrize("patch", PATCHES)
def test_every_patch_sounds_and_ends_in_silence(patch):
    sound = Synth(RATE).play(Note(patch, 57, 300, 0.5))
    assert np.isfinite(sound).all()
    assert 0.1 < np.abs(sound).max() < 6.0
    assert np.abs(sound[-1]).max() < 0.02


def test_a_note_has_its_pitch():
    for patch in ("pad", "keys", "voice", "guitar", "sub_bass", "flute"):
        sound = Synth(RATE).play(Note(patch, 57, 1000, 0.5)).mean(axis=1)[:RATE]
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        harmonics = [spectrum[round(220 * h) - 4 : round(220 * h) + 5].max() for h in range(1, 8)]
        between = [spectrum[round(220 * (h + 0.5)) - 4 : round(220 * (h + 0.5)) + 5].max() for h in range(1, 8)]
        assert max(harmonics) > 10 * max(between), patch


def test_effects_are_linear_or_do_what_they_say():
    click = np.zeros((RATE, 2), np.float32)
    click[100] = 1.0
    wet = reverb(click, RATE, seconds=0.3, level=0.5, rng=np.random.default_rng(0))
    assert wet[100, 0] == 1.0
    assert np.sqrt((wet[101:, 0] ** 2).sum()) == pytest.approx(0.5, rel=0.05)  # the tail's energy is level squared
    echoed = echo(click, delay_frames=1000, level=0.5, n_echoes=2)
    assert (echoed[1100, 0], echoed[2100, 0]) == (0.5, 0.25)
    assert ducking(RATE, np.array([0.5]), RATE, depth=0.6)[RATE // 2, 0] == pytest.approx(0.4)
    faded = fade_out(100, start=50)
    assert (faded[49, 0], faded[99, 0]) == (1.0, pytest.approx(0.0))


def test_limiter_keeps_every_peak_within_the_ceiling():
    noise = np.random.default_rng(0).standard_normal((RATE, 2)).astype(np.float32)
    assert np.abs(noise * limiter_gain(noise, ceiling=0.9)).max() <= 0.9 + 1e-6


def test_song_is_the_same_bytes_every_time(song):
    again = compose_song(1, config=SHORT)
    assert again.mix.data.tobytes() == song.mix.data.tobytes()
    assert compose_song(2, config=SHORT).mix.data.shape != song.mix.data.shape


def test_mix_is_the_sum_of_its_stems_at_a_sane_level(song):
    assert tuple(song.stems) == STEMS
    total = sum(stem.data.astype(np.float64) for stem in song.stems.values())
    assert np.abs(total - song.mix.data).max() <= SINGLE_STEP
    assert np.abs(song.mix.data).max() <= 1.0
    assert -20 < level_db(song.mix.data) < -13
    assert all(level_db(stem.data) > -40 for stem in song.stems.values())


def test_grid_and_sections_fit_the_audio(song):
    assert song.grid.duration_s == pytest.approx(song.mix.duration_s)
    starts = np.array([s.start_s for s in song.sections])
    assert np.allclose(starts[1:], [s.end_s for s in song.sections[:-1]])
    downbeats = song.grid.times_s[:-1][song.grid.bar_position == 0]
    assert np.abs(starts[:, None] - downbeats[None]).min(axis=1).max() < 1e-9


def test_drums_strike_on_the_beats(song):
    """Energy of the drums in the 60 ms after a chorus' beats is far above that of the 60 ms before."""
    drums = np.square(song.stems["drums"].data).sum(axis=1)
    chorus = next(s for s in song.sections if s.label == "chorus")
    beats = [t for t in song.grid.times_s if chorus.start_s <= t < chorus.end_s]
    width = round(0.06 * RATE)
    at = [round(t * RATE) for t in beats]
    assert sum(drums[a : a + width].sum() for a in at) > 3 * sum(drums[a - width - 80 : a - 80].sum() for a in at)


def test_a_chorus_is_louder_and_fuller_than_an_intro(song):
    def of(label):
        part = next(s for s in song.sections if s.label == label)
        return song.mix.data[round(part.start_s * RATE) : round(part.end_s * RATE)]

    assert level_db(of("chorus")) > level_db(of("intro")) + 4
