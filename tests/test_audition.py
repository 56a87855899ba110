"""What is measured at joins, on made signals, and what is written of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rl_editor.audition import STUMBLE_MS, UNUSUAL, Audition, JudgedJoin, _faults
from rl_editor.audition.joins import (
    CLICK,
    JoinDiagnostics,
    _beat_error_ms,
    bands_db,
    bar_phase_kept,
    join_diagnostics,
    level_step_db,
    output_beats_s,
    spectral_distance,
)
from rl_editor.audition.pages import _due, check_preview, write_preview
from rl_editor.audition.picture import _sheet
from rl_editor.audition.words import screen
from rl_editor.edits import EditList, Segment, SourceInfo, keep_all
from rl_editor.errors import ConfigError
from rl_editor.features import FEATURE_NAMES, BeatFeatures
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.state import AudioState
from rl_editor.utils import Samples


def audition(faults: list[tuple[str, ...]]) -> Audition:
    """A second of silence with joins of these faults, all at its end."""
    found = JoinDiagnostics(1.0, 1.0, 2.0, 0.5, 50.0, 50.0, 0.0, True, 1.0)
    joins = [JudgedJoin(number, found, each) for number, each in enumerate(faults, start=1)]
    rendered = Samples(np.zeros((8000, 1), np.float32), 8000)
    return Audition(
        EditList(SourceInfo("made.wav", "", 8000, 1, 8000), (Segment(0, 8000),)), rendered, joins, 120.0, 1.0
    )


@pytest.mark.parametrize(
    ("n_joins", "n_faulty", "said"),
    [
        (61, 0, "... and 1 join without fault"),
        (62, 60, "... and 2 joins without fault"),
        (65, 62, "... and 5 joins, 2 of them faulty"),
    ],
)
def test_joins_that_are_not_shown_are_counted(n_joins: int, n_faulty: int, said: str) -> None:
    """Sixty are shown, faulty ones first."""
    heard = audition([()] * (n_joins - n_faulty) + [("click",)] * n_faulty)
    assert f"\n{said}\n" in screen(heard)
    first = n_joins - n_faulty + 1 if n_faulty else 1
    assert [join.number for join in heard.shown(3)] == [first, first + 1, first + 2]


def test_a_join_is_a_row_and_a_section_of_the_page(tmp_path: Path) -> None:
    """Where it is, what it leaves and where it lands; a beat that comes too early has a minus."""
    found = JoinDiagnostics(0.5, 61.0, 2.0, 0.5, 57.0, None, -30.0, False, 1.0)
    heard = replace(audition([()]), joins=[JudgedJoin(1, found, ("beat", "bar"))])
    (row,) = (line for line in screen(heard).splitlines() if line.endswith("beat, bar"))
    assert row.split()[:9] == ["1", "0:00.5", "1:01.00", "0:02.00", "0.5", "(57", "%)", "-", "-30.0"]
    assert row.split()[9:11] == ["lost", "1.0"]
    write_preview(heard, tmp_path, seconds=1.0)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<dt>leaves the recording at</dt><dd>1:01.00</dd>\n<dt>comes back at</dt><dd>0:02.00</dd>" in page
    assert "<dt>count of the bar</dt><dd>lost</dd>" in page


def test_what_is_shown_is_in_the_order_of_the_edit() -> None:
    heard = audition([(), ("click",), (), ("beat",)])
    assert [join.number for join in heard.shown(3)] == [1, 2, 4]


def test_medians_are_of_what_is_known() -> None:
    """Beats are late or early by 10, 20 and 30 ms; of two joins the bar is known, and one keeps its count."""
    heard = audition([(), (), ()])
    known = ((10.0, 40.0, True), (-30.0, None, None), (-20.0, 60.0, False))
    heard.joins[:] = [
        join._replace(
            found=join.found._replace(beat_error_ms=error_ms, spectral_percentile=percentile, bar_phase_kept=kept)
        )
        for join, (error_ms, percentile, kept) in zip(heard.joins, known, strict=True)
    ]
    assert heard.medians() == {
        "level_step_db": 0.5, "spectral_percentile": 50.0, "beat_error_ms": 20.0, "click": 1.0, "bar_phase_kept": 0.5,
    }  # fmt: skip
    unknown = heard.joins[1]
    heard.joins[:] = [unknown]
    assert heard.medians() == {"level_step_db": 0.5, "beat_error_ms": 30.0, "click": 1.0}
    heard.joins.clear()
    assert heard.medians() == {}


SOUND = JoinDiagnostics(1.0, 1.0, 3.0, 0.5, UNUSUAL, UNUSUAL, -STUMBLE_MS, True, CLICK)


@pytest.mark.parametrize(
    ("found", "faults", "faults_in_doubt"),
    [
        (SOUND, (), ()),  # all at their limits
        (SOUND._replace(level_percentile=95.1), ("level",), ("level",)),
        (SOUND._replace(spectral_percentile=95.1), ("spectrum",), ("spectrum",)),
        (SOUND._replace(beat_error_ms=-25.1), ("beat",), ()),  # on an unsure grid
        (SOUND._replace(beat_error_ms=25.1), ("beat",), ()),
        (SOUND._replace(bar_phase_kept=False), ("bar",), ()),
        (SOUND._replace(click=15.1), ("click",), ("click",)),
        (SOUND._replace(level_percentile=None, spectral_percentile=None, bar_phase_kept=None), (), ()),
    ],
)
def test_what_is_beyond_a_limit_is_a_fault(
    found: JoinDiagnostics, faults: tuple[str, ...], faults_in_doubt: tuple[str, ...]
) -> None:
    assert (_faults(found, sure=True), _faults(found, sure=False)) == (faults, faults_in_doubt)


@pytest.mark.parametrize(("n_drawn", "said"), [(1, "; 2 further joins not drawn"), (2, "; 1 further join not drawn")])
def test_joins_that_are_not_drawn_are_counted(n_drawn: int, said: str) -> None:
    heard = audition([(), (), ()])
    assert _sheet(heard, heard.joins[:n_drawn]).get_suptitle().endswith(said)


def test_pictures_say_their_units() -> None:
    """The loudest sample is 0.1 of full scale: -20 dBFS."""
    samples = np.full((8000, 1), 0.05, np.float32)
    samples[4100] = -0.1
    join = JudgedJoin(1, JoinDiagnostics(0.5, 1.0, 2.0, 0.5, 50.0, 50.0, 0.0, True, 1.0), ())
    source = SourceInfo("made.wav", "", 8000, 1, 8000)
    heard = Audition(EditList(source, (Segment(0, 8000),)), Samples(samples, 8000), [join], 120.0, 1.0)
    wave, spectrogram = _sheet(heard, [join]).axes
    assert wave.get_ylabel() == "peak -20 dBFS"
    outline = wave.collections[0].get_paths()[0].vertices
    assert outline[outline[:, 1].argmin(), 0] == pytest.approx(100 / 8000, abs=2e-3)  # where it is, behind the join
    drawn_s = spectrogram.collections[0].get_coordinates()[0, :, 0]
    assert (drawn_s[0], drawn_s[-1]) == pytest.approx((-1.0, 1.0), abs=0.03)
    assert (spectrogram.get_xlabel(), spectrogram.get_ylabel()) == ("seconds from the join", "Hz")
    assert spectrogram.yaxis.get_major_formatter()(1000.0) == "1k"
    assert spectrogram.lines[-1].get_color() == "white"  # blue was not to be seen on it


def test_the_page_says_what_is_not_known(tmp_path: Path) -> None:
    """Of too few beats it said "– of the song's own beats differ less", and of doubtful beats nothing."""
    found = JoinDiagnostics(0.5, 1.0, 2.0, 0.5, 57.0, None, 0.0, False, 1.0)
    heard = replace(audition([()]), joins=[JudgedJoin(1, found, ())], grid_confidence=0.75)
    write_preview(heard, tmp_path, seconds=1.0)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<dd>0.5 dB, more than at 57 % of the song&#39;s own beats</dd>" in page
    assert "<dt>spectral distance</dt><dd>too few beats to compare it with</dd>" in page
    doubt = "Beats are doubtful (expected F-measure 0.75): beat and bar are no faults here; see rl-editor grid."
    assert f"<p>{doubt}</p>" in page
    write_preview(replace(heard, grid_confidence=0.8), tmp_path, seconds=1.0)
    assert "doubtful" not in (tmp_path / "index.html").read_text(encoding="utf-8")


class TestJoins:
    """Signals of 20 s at 8 kHz with a beat every half second."""

    rate = 8000

    def made(self, signal: np.ndarray) -> tuple[SourceInfo, AudioState]:
        n = len(signal)
        source = SourceInfo("made.wav", "", self.rate, 1, n)
        beats = np.arange(int(n / self.rate * 2) + 1)
        grid = BeatGrid(0.5 * beats, beats[:-1] % 4, 4)
        names = FEATURE_NAMES["basic"]
        return source, AudioState(grid, BeatFeatures(np.ones((grid.n_beats, len(names)), np.float32), names), source)

    def cut(self, signal: np.ndarray, *spans_s: tuple[float, float]):
        source, state = self.made(signal)
        spans = [(round(a * self.rate), round(b * self.rate)) for a, b in spans_s]
        edit = EditList(source, tuple(Segment(a, b - a) for a, b in spans))
        pieces = [signal[a:b] for a, b in spans]
        samples = Samples(np.concatenate(pieces).astype(np.float32)[:, None], self.rate)
        return join_diagnostics(edit, samples, state)

    def noise(self) -> np.ndarray:
        return np.random.default_rng(0).normal(scale=0.1, size=20 * self.rate)

    def test_no_joins_no_diagnostics(self) -> None:
        assert self.cut(self.noise(), (0.0, 20.0)) == []

    def test_what_plays_on_is_no_join_nor_what_meets_a_silence(self) -> None:
        """The only one is at 8 s, where the first eight seconds, in two segments, meet those from 12 s on."""
        (join,) = self.cut(self.noise(), (0.0, 4.0), (4.0, 8.0), (12.0, 20.0))
        assert (join.output_s, join.leave_s, join.land_s) == (8.0, 8.0, 12.0)
        source, state = self.made(self.noise())
        edit = EditList(source, (Segment(0, 32_000), Segment(None, 8000), Segment(80_000, 32_000)))
        assert join_diagnostics(edit, Samples(np.zeros((72_000, 1), np.float32), self.rate), state) == []

    def test_the_bar_is_counted_from_what_was_left(self) -> None:
        """Bar after bar, from the end of the second one back to the start of the recording."""
        assert self.cut(self.noise(), (0.0, 4.0), (0.0, 4.0))[0].bar_phase_kept is True

    def test_what_is_like_everything_else_stands_out_from_nothing(self) -> None:
        (join,) = self.cut(np.zeros(20 * self.rate), (0.0, 4.0), (12.0, 20.0))
        assert (join.level_percentile, join.spectral_percentile) == (0.0, 0.0)

    def test_a_level_step_by_hand(self) -> None:
        tone = 0.1 * np.sin(2 * np.pi * 200 * np.arange(20 * self.rate) / self.rate)
        tone[10 * self.rate :] *= 2.0
        (join,) = self.cut(tone, (0.0, 4.0), (12.0, 20.0))
        assert join.level_step_db == pytest.approx(20 * np.log10(2.0), abs=0.05)
        assert (join.output_s, join.leave_s, join.land_s) == (4.0, 4.0, 12.0)

    def test_beat_error_and_bar_phase_by_hand(self) -> None:
        """Beats every 0.5 s: landing 30 ms past a beat, from a beat, brings the next beat 30 ms early."""
        lands = (8.0, 8.03, 7.98, 9.0)
        even, early, late, half_bar = (self.cut(self.noise(), (0.0, 4.0), (land, 20.0))[0] for land in lands)
        assert (even.beat_error_ms, even.bar_phase_kept) == (pytest.approx(0.0, abs=1e-6), True)
        assert early.beat_error_ms == pytest.approx(-30.0)
        assert late.beat_error_ms == pytest.approx(20.0)
        assert half_bar.bar_phase_kept is False
        said = [_due(join.beat_error_ms) for join in (even, early, late)]
        assert said == ["on time", "30.0 ms early", "20.0 ms late"]

    def test_a_change_of_sound_is_far_out_and_noise_into_noise_is_not(self) -> None:
        signal = self.noise()
        plain = self.cut(signal, (0.0, 8.0), (10.0, 20.0))[0]
        assert plain.spectral_percentile is not None
        signal[10 * self.rate :] = 0.1 * np.sin(2 * np.pi * 200 * np.arange(10 * self.rate) / self.rate)
        jump = self.cut(signal, (0.0, 8.0), (10.0, 20.0))[0]
        assert jump.spectral_percentile == 100.0
        assert plain.spectral_percentile < 100.0

    def test_a_step_clicks_and_a_smooth_join_does_not(self) -> None:
        tone = 0.3 * np.sin(2 * np.pi * 100 * np.arange(20 * self.rate) / self.rate)
        smooth = self.cut(tone, (0.0, 4.0), (8.0, 20.0))[0]  # 100 Hz: whole periods
        assert smooth.click < 4.0  # a tone: sqrt(2), times 2.35 at 8 kHz
        tone[8 * self.rate :] += 0.8
        assert self.cut(tone, (0.0, 4.0), (8.0, 20.0))[0].click > 17.0  # of at most 21

    @pytest.mark.parametrize(("rate", "n_differences"), [(8000, 79), (24_000, 239), (44_100, 439), (96_000, 959)])
    def test_a_step_out_of_nothing_clicks_alike_at_every_rate(self, rate: int, n_differences: int) -> None:
        """Of the differences in 10 ms it is one: their root mean square is its 1 / sqrt(79) at 8 kHz."""
        self.rate = rate
        step = np.repeat([0.0, 0.5], 10 * rate)
        (join,) = self.cut(step, (0.0, 4.0), (12.0, 20.0))
        assert join.click == pytest.approx((n_differences * 44_100 / rate) ** 0.5)
        assert CLICK < 20.8 < join.click < 21.0
        assert self.cut(0.0 * step, (0.0, 4.0), (12.0, 20.0))[0].click == 0.0

    def test_percentiles_are_of_beats_half_a_second_away_from_joins_and_ends(self) -> None:
        """A tone of level 1 or 2 for two beats each, then of 1.5: three steps of 6 dB, and one of 2.5 dB at the join.

        Of the beats at 0.5 .. 3.5 s three step by 6 dB and four do not; of those at 4.5 .. 11.5 s, 15, none does.
        """
        levels = np.where(np.arange(40) < 24, 1.0 + np.arange(40) // 2 % 2, 1.5)
        tone = np.sin(2 * np.pi * 200 * np.arange(20 * self.rate) / self.rate) * np.repeat(levels, self.rate // 2)
        (join,) = self.cut(0.1 * tone, (0.0, 4.0), (12.0, 20.0))
        assert join.level_step_db == pytest.approx(20 * np.log10(2.0 / 1.5), abs=0.01)
        assert join.level_percentile == pytest.approx(100 * 19 / 22)

    def test_fewer_than_eight_beats_give_no_percentile(self) -> None:
        """Three before the join, at 2 s, and four up to half a second before the end, or five."""
        for end_s, known in ((6.5, False), (6.75, False), (7.0, True)):
            (join,) = self.cut(self.noise(), (0.0, 2.0), (4.0, end_s))
            assert (join.level_percentile is not None, join.spectral_percentile is not None) == (known, known)


def test_levels_are_of_a_fifth_of_a_second_and_spectra_of_a_quarter_on_every_channel() -> None:
    """Half of the 0.2 s after 1 s are twice as loud: (1 + 4) / 2 = 2.5 times the power. The right side alone hisses."""
    steady = np.ones((16_000, 2), np.float32)
    steady[8800:] = 2.0
    assert level_step_db(Samples(steady, 8000), 8000) == pytest.approx(10 * np.log10(2.5), abs=1e-6)
    hiss = np.random.default_rng(0).normal(scale=0.1, size=16_000)
    for side in (0, 1):
        sound = np.zeros((16_000, 2), np.float32)
        sound[8000 + 960 :, side] = hiss[8960:]  # from 0.12 s after the join on
        assert spectral_distance(Samples(sound, 8000), 8000) > 20.0


def test_a_tone_is_in_its_own_band_alone() -> None:
    """The window keeps it out of those an octave away: 60 dB below."""
    bands = bands_db(np.sin(2 * np.pi * 997.0 * np.arange(2000) / 8000)[:, None], 8000)
    assert bands[26] - np.delete(bands, range(20, 33)).max() > 60.0


def test_bands_are_of_equal_ratios_from_sixty_hertz_to_half_the_rate() -> None:
    """Forty up to 4,000 Hz: a ratio of 1.111 each, so that 100 Hz is 4.9 bands up, and 1,000 Hz 26.8."""
    for hz, band in ((100.0, 4), (1000.0, 26)):
        tone = np.sin(2 * np.pi * hz * np.arange(2000) / 8000)[:, None]
        assert int(bands_db(tone, 8000).argmax()) == band


def test_beats_of_the_output_by_hand() -> None:
    """From 1.25 s on beats come after a quarter of a second; at twice the speed they come twice as fast."""
    grid = BeatGrid(0.5 * np.arange(41), np.arange(40) % 4)
    source = SourceInfo("made.wav", "", 1000, 1, 20_000)
    edit = EditList(source, (Segment(1250, 2000), Segment(None, 500), Segment(8000, 1000, speed=2.0)))
    found = output_beats_s(edit, [0.0, 2.0, 2.5], grid)
    assert found.tolist() == pytest.approx([0.25, 0.75, 1.25, 1.75, 2.5, 2.75, 3.0, 3.25])


def test_beat_errors_are_shares_of_the_beats_on_both_sides() -> None:
    """Beats of 0.5 s up to 4 s, then of 1 s: a tenth of a beat is 75 ms on average."""
    grid = BeatGrid(np.concatenate([0.5 * np.arange(8), 4.0 + np.arange(5)]), np.arange(12) % 4)
    assert _beat_error_ms(grid, 2.0, 6.1) == pytest.approx(-75.0)
    assert _beat_error_ms(grid, 2.05, 6.0) == pytest.approx(75.0)
    assert _beat_error_ms(grid, 2.0, 6.5) == pytest.approx(375.0)  # half a beat is late, not early
    assert _beat_error_ms(grid, 1.0, 2.55) == pytest.approx(-50.0)


def test_the_beat_that_is_due_is_known_within_whole_beats() -> None:
    grid = BeatGrid(0.5 * np.arange(11), np.array([PARTIAL, 0, 1, 2, 3, 0, 1, 2, 3, PARTIAL]))
    assert bar_phase_kept(grid, 1.5, 3.5) is True  # after 1 comes 2, which begins at 1.5 s and 3.5 s ..
    assert bar_phase_kept(grid, 2.5, 3.0) is False  # .. after 3 comes 0, and not 1
    assert bar_phase_kept(grid, 2.45, 2.55) is True
    assert bar_phase_kept(grid, 0.0, 2.5) is None  # nothing was before
    assert bar_phase_kept(grid, 0.5, 2.5) is None  # a lead-in was
    assert bar_phase_kept(grid, 2.5, 5.0) is None  # nothing comes
    assert bar_phase_kept(grid, 2.5, 4.6) is None  # the tail does


@pytest.mark.parametrize("n_joins", [0, 1, 2])
@pytest.mark.parametrize("name", ["A_Very_Long_Name_" * 7, "a very long name " * 7])
def test_a_long_name_stays_within_the_picture(name: str, n_joins: int) -> None:
    found = JoinDiagnostics(0.5, 1.0, 2.0, 0.5, 50.0, 50.0, 0.0, True, 1.0)
    joins = [JudgedJoin(number, found, ()) for number in range(1, n_joins + 1)]
    sound = Samples(np.full((8000, 1), 0.05, np.float32), 8000)
    edit = EditList(SourceInfo(name, "", 8000, 1, 8000), (Segment(0, 8000),))
    figure = _sheet(Audition(edit, sound, joins, 120.0, 1.0), joins)
    figure.draw_without_rendering()
    title = next(text for text in figure.texts if name[:20] in text.get_text())
    assert figure.bbox.x0 <= title.get_window_extent().x0
    assert title.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize("name", ["a.wav", "A_Very_Long_Name_" * 7])
def test_a_picture_of_no_joins_says_so(name: str) -> None:
    """It was an empty sheet under a title; below the longest title there is room for it."""
    edit = EditList(SourceInfo(name, "", 8000, 1, 8000), (Segment(0, 8000),))
    figure = _sheet(Audition(edit, Samples(np.zeros((8000, 1), np.float32), 8000), [], 120.0, 1.0), [])
    figure.draw_without_rendering()
    title, said = figure.texts
    assert "no join to draw" in said.get_text()
    assert not figure.axes
    extent = said.get_window_extent()
    assert extent.y1 < title.get_window_extent().y0
    assert 0.0 <= extent.x0 < extent.x1 <= figure.bbox.x1


class TestPreview:
    """Ten seconds at 8 kHz of one level, with joins at half a second and at five seconds."""

    @staticmethod
    def heard(level: float) -> Audition:
        source = SourceInfo("made.wav", "", 8000, 1, 80_000)
        found = JoinDiagnostics(0.5, 1.0, 2.0, 0.5, 50.0, 50.0, 0.0, True, 1.0)
        joins = [JudgedJoin(1, found, ()), JudgedJoin(2, found._replace(output_s=5.0), ())]
        sound = Samples(np.full((80_000, 1), level, np.float32), 8000)
        return Audition(keep_all(source), sound, joins, 120.0, 1.0)

    def test_an_excerpt_is_faded_where_it_is_cut_out_and_nowhere_else(self, tmp_path: Path) -> None:
        """Over 20 ms, 160 frames; all of them in a row, 0.6 s apart: 1.5 + 0.6 + 2 s."""
        write_preview(self.heard(0.5), tmp_path, seconds=1.0)
        first, second, together = (sf.read(tmp_path / f"{name}.wav")[0] for name in ("join_01", "join_02", "all_joins"))
        assert (len(first), len(second)) == (12_000, 16_000)
        np.testing.assert_allclose(first[:-160], 0.5, atol=1e-4)  # it begins with the edit
        np.testing.assert_allclose(second[160:-160], 0.5, atol=1e-4)
        rise = np.linspace(0.0, 0.5, 160)
        np.testing.assert_allclose(second[:160], rise, atol=1e-4)
        np.testing.assert_allclose(second[-160:], rise[::-1], atol=1e-4)
        np.testing.assert_allclose(first[-160:], rise[::-1], atol=1e-4)
        np.testing.assert_allclose(together, np.concatenate([first, np.zeros(4800), second]), atol=1e-4)

    def test_what_passes_full_scale_is_softer_and_the_edit_itself_is_not(self, tmp_path: Path) -> None:
        heard = self.heard(2.0)
        write_preview(heard, tmp_path, seconds=1.0)
        assert np.abs(sf.read(tmp_path / "join_02.wav")[0]).max() == pytest.approx(1.0, abs=1e-4)
        assert (heard.rendered.data == 2.0).all()

    def test_of_what_was_there_only_former_joins_go(self, tmp_path: Path) -> None:
        for name in ("join_03.wav", "join_100.png", "join_us.wav", "mine.txt", "my_join_01.wav"):
            (tmp_path / name).write_text("here")
        written = write_preview(self.heard(0.5), tmp_path, seconds=1.0)
        mine = {"join_us.wav", "mine.txt", "my_join_01.wav"}
        assert {path.name for path in tmp_path.iterdir()} == mine | {path.name for path in written}

    def test_a_folder_is_refused_where_a_preview_would_overwrite_what_it_is_made_of(self, tmp_path: Path) -> None:
        for folder in ("joins", "takes"):
            (tmp_path / folder).mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "joins")
        joins = tmp_path / "joins"
        check_preview(joins, tmp_path / "takes/join_01.wav", joins / "song.wav", None)
        for given in ("joins/join_01.wav", "joins/all_joins.wav", "link/join_07.png", "joins/../link/index.html"):
            with pytest.raises(ConfigError, match=f"-o would overwrite {Path(given).name}, which is read here"):
                check_preview(joins, tmp_path / "takes/join_01.wav", tmp_path / given)
