"""Pairs and folders of pairs, written down: which files, in words, and as a picture."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from test_data import RATE, song

from rl_editor.alignment.summary import Action, AlignmentSummary, summarise
from rl_editor.archaeology import PairFiles, PairReport, pair_files, recover_folder, recover_pair
from rl_editor.archaeology.picture import COLOURS, envelope, picture, save_picture
from rl_editor.archaeology.words import headline, pairs_table, screen, shortened
from rl_editor.clock import clock
from rl_editor.config import Config
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import AudioFileError, ConfigError, DatasetError, EditListError, PairRejectedError
from rl_editor.library import find_library
from rl_editor.utils import BLOCK_FRAMES

SOURCE = SourceInfo("song_raw.wav", "", 1000, 1, 100_000)
# keep 0..20, loop 20..30 twice, foreign 5 s, 80..90 moved earlier, 40..70 at -3 dB
EDIT = EditList(
    SOURCE,
    (
        Segment(0, 30_000, confidence=0.9),
        Segment(20_000, 10_000, 20.0, confidence=0.4),
        Segment(None, 5_000, confidence=0.0),
        Segment(80_000, 10_000, 50.0),
        Segment(40_000, 30_000, gain_db=-3.0),
    ),
)


@pytest.fixture
def found() -> AlignmentSummary:
    return summarise(EDIT, gain_db=2.04, polarity_flipped=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 s, an edit without seconds 8 to 16, and another song."""
    folder = tmp_path_factory.mktemp("pair")
    raw = song(0, 24.0)
    sf.write(folder / "raw.wav", raw, RATE, subtype="PCM_16")
    sf.write(folder / "edit.wav", np.concatenate([raw[: 8 * RATE], raw[16 * RATE :]]) / 2, RATE, subtype="PCM_16")
    sf.write(folder / "foreign.wav", song(9, 16.0), RATE)
    return folder


class TestFiles:
    def test_all_lie_beside_the_edit_list(self) -> None:
        files = pair_files(Path("out/edits.json"), to=["otio", "audacity", "otio"], draw=True)
        assert [str(path) for path in files.paths] == [
            "out/edits.json", "out/edits.otio", "out/edits.txt", "out/edits.png",
        ]  # fmt: skip

    def test_the_extension_of_an_export_is_that_export(self) -> None:
        files = pair_files(Path("edits.rpp"), to=["csv", "rpp"])
        assert files.edits is None
        assert files.exports == {"csv": Path("edits.csv"), "rpp": Path("edits.rpp")}

    def test_a_picture_may_lie_anywhere(self) -> None:
        assert pair_files(None, picture=Path("a/b.PNG")).paths == [Path("a/b.PNG")]

    @pytest.mark.parametrize("wanted", [{"to": ["otio"]}, {"draw": True}])
    def test_beside_nothing_is_refused(self, wanted: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match="name it with -o"):
            pair_files(None, **wanted)  # type: ignore[arg-type]

    def test_wrong_kinds_are_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"a\.jpg: pictures are PNG; name it a\.png"):
            pair_files(None, picture=Path("a.jpg"))
        for name in ("keepme.wav", "a.foo", "a"):  # else a recording would become text
            with pytest.raises(ConfigError, match=rf"{name}: .* is no edit list; name it \.json or, to export, \.otio"):
                pair_files(Path(name))
        with pytest.raises(EditListError, match="take one of otio, edl"):
            pair_files(Path("a.json"), to=["xml"])

    def test_nothing_is_written_twice_or_over_an_input(self, pair: Path) -> None:
        with pytest.raises(ConfigError, match="would overwrite what -o writes"):
            PairFiles(Path("a.json"), {"csv": Path("a.json")}).check()
        with pytest.raises(ConfigError, match=r"would overwrite .*raw\.wav"):
            recover_pair(pair / "raw.wav", pair / "edit.wav", Config(), files=PairFiles(pair / "raw.wav"))


def test_a_pair_is_written_down(pair: Path, tmp_path: Path) -> None:
    files = pair_files(tmp_path / "x" / "edits.json", to=["rpp"], draw=True)
    done = recover_pair(pair / "raw.wav", pair / "edit.wav", Config(), files=files)
    assert EditList.load(tmp_path / "x" / "edits.json") == done.edit
    assert done.summary.gain_db == pytest.approx(-6.02, abs=0.05)
    assert [(round(c.source_start_s, 2), round(c.source_end_s, 2)) for c in done.summary.cuts] == [(8.0, 16.0)]
    media = Path((tmp_path / "x" / "edits.rpp").read_text().split('FILE "')[1].split('"')[0])
    assert (tmp_path / "x" / media).resolve() == (pair / "raw.wav").resolve()  # where a DAW looks from the project
    assert (tmp_path / "x" / "edits.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_pair_writes_nothing(pair: Path, tmp_path: Path) -> None:
    with pytest.raises(PairRejectedError):
        recover_pair(pair / "raw.wav", pair / "foreign.wav", Config(), files=pair_files(tmp_path / "x.json", draw=True))
    assert list(tmp_path.iterdir()) == []


class TestFolder:
    @pytest.fixture
    def root(self, pair: Path, tmp_path: Path) -> Path:
        for name, edit in (("good", "edit"), ("other", "foreign")):
            for folder, file, role in (("input", "raw", "raw"), ("desired_output", edit, "edit")):
                (tmp_path / "library" / folder).mkdir(parents=True, exist_ok=True)
                (tmp_path / "library" / folder / f"{name}_{role}.wav").write_bytes((pair / f"{file}.wav").read_bytes())
        return tmp_path / "library"

    @pytest.mark.parametrize("workers", [1, 2])
    def test_the_good_pairs_go_on(self, root: Path, tmp_path: Path, workers: int) -> None:
        config = Config()
        config.executor.workers = workers
        good, other = recover_folder(find_library(root), tmp_path / "out", config, to=["csv"], draw=True)
        assert (good.pair_id, good.rejected) == ("good", None)
        assert good.summary is not None
        assert good.summary.n_segments == 2
        assert (other.pair_id, other.summary) == ("other", None)
        assert "is it the edit of another take" in (other.rejected or "")
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good.csv", "good.json", "good.png"]

    def test_the_table_of_pairs_is_not_overwritten(self, root: Path) -> None:
        for folder, role in (("input", "raw"), ("desired_output", "edit")):
            (root / folder / f"good_{role}.wav").rename(root / folder / f"pairs_{role}.wav")
        table = "raw,edit\npairs_raw.wav,pairs_edit.wav\n"
        (root / "pairs.csv").write_text(table)
        with pytest.raises(ConfigError, match=r"would overwrite .*pairs\.csv"):
            list(recover_folder(find_library(root), root, Config(), to=["csv"]))
        assert (root / "pairs.csv").read_text() == table

    def test_no_pairs_and_no_folder_are_said(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match="is a file"):
            recover_folder(find_library(root), tmp_path / "file", Config())
        for path in (root / "desired_output").iterdir():
            path.unlink()
        with pytest.raises(DatasetError, match=r"no pair of recordings .*a raw without its edit"):
            recover_folder(find_library(root), None, Config())


class TestWords:
    @pytest.mark.parametrize(
        ("seconds", "digits", "text"),
        [(0.0, 0, "0:00"), (59.96, 1, "1:00.0"), (59.94, 1, "0:59.9"), (61.5, 3, "1:01.500"),
         (3599.9996, 3, "1:00:00.000"), (7325.0, 0, "2:02:05"), (61.5, None, "1:01.5"), (3600.0, None, "1:00:00")],
    )  # fmt: skip
    def test_clock(self, seconds: float, digits: int | None, text: str) -> None:
        assert clock(seconds, digits=digits) == text

    def test_long_names_keep_both_ends(self) -> None:
        assert shortened("a" * 10 + "b" * 10, 9) == "aaaa…bbbb"
        assert shortened("short.wav", 9) == "short.wav"

    def test_headline(self, found: AlignmentSummary) -> None:
        # 80 of 85 s; 30..40, 70..80 and 90..100 never play
        assert headline(found) == (
            "5 segments  ·  94.1 % explained  ·  3 cuts (0:30 left out)  ·  1 loop  ·  1 move  ·  "
            "median confidence 0.90"
        )

    def test_the_screen_says_it_all(self, found: AlignmentSummary) -> None:
        lines = screen(found, raw_name="raw.wav", edit_name="edit.wav").splitlines()
        assert lines[0] == "edit.wav (1:25.0) made of raw.wav (1:40.0)"
        facts = dict(line.strip().split(maxsplit=1) for line in lines[2:9])
        assert facts == {
            "explained": "94.1 % of the edit, in 5 segments",
            "cuts": "3: 0:30.0 of the raw left out (the longest 0:30.0–0:40.0)",
            "loops": "1: 0:20.0–0:30.0 ×2",
            "moves": "1: 1:20.0–1:30.0 to 0:45.0, 0:40.0 earlier",  # before what starts at 40 s
            "foreign": "1: 0:40.0–0:45.0, 0:05.0 in all of the edit",
            "level": "2.0 dB louder than the raw, polarity flipped; softest segment -3.0 dB at 0:55.0",
            "confidence": "median 0.90, lowest 0.40 at 0:30.0",
        }
        assert [line.split() for line in lines[-6:]] == [
            ["0:00.000", "0:00.000", "20.000", "keep", "0.0", "0.90"],
            ["0:20.000", "0:20.000", "10.000", "loop", "1/2", "0.0", "0.90"],
            ["0:30.000", "0:20.000", "10.000", "loop", "2/2", "20", "0.0", "0.40"],
            ["0:40.000", "–", "5.000", "foreign", "0"],
            ["0:45.000", "1:20.000", "10.000", "move", "50", "0.0", "1.00"],
            ["0:55.000", "0:40.000", "30.000", "keep", "0", "-3.0", "1.00"],
        ]

    def test_speed_and_pitch_are_said_where_there_is_any(self) -> None:
        segments = (Segment(0, 10_000, speed=1.02, pitch_semitones=-0.5), Segment(50_000, 10_000, speed=1.02))
        text = screen(summarise(EditList(SOURCE, segments)), raw_name="a", edit_name="b")
        assert "  speed       ×1.0200 (+2.00 %) throughout\n" in text
        assert "  pitch       from -0.50 semitones to +0.00 semitones\n" in text
        assert "speed" not in screen(summarise(EDIT), raw_name="a", edit_name="b")

    def test_a_long_table_is_cut(self) -> None:
        segments = tuple(Segment(3_000 * k, 2_000) for k in range(33))
        text = screen(summarise(EditList(SOURCE, segments)), raw_name="a", edit_name="b")
        assert text.endswith("... and 13 more")
        assert text.count(" keep ") == 20

    def test_nothing_found_is_said(self) -> None:
        lost = EditList(SOURCE, (Segment(None, 1_000),))
        assert "nothing is matched" in screen(summarise(lost), raw_name="a", edit_name="b")

    def test_not_quite_all_is_not_all(self) -> None:
        edit = EditList(SOURCE, (Segment(0, 99_999), Segment(None, 1)))
        assert "99.9 % explained" in headline(summarise(edit))

    def test_the_table_of_a_folder(self, found: AlignmentSummary) -> None:
        reports = [
            PairReport("song", "a", "b", found, 1.25, None),
            PairReport("other", "c", "d", None, None, "is it the edit of another take?"),
        ]
        _, song_row, other_row = pairs_table(reports).splitlines()
        assert song_row.split() == ["song", "5", "94.1", "%", "3", "1", "1", "0.90", "1.2"]
        assert other_row == "other  rejected: is it the edit of another take?"


class TestEnvelope:
    @pytest.mark.parametrize("frames", [7, 1000, BLOCK_FRAMES - 1, 3 * BLOCK_FRAMES + 17])
    def test_it_is_the_loudest_of_each_bin(self, tmp_path: Path, frames: int) -> None:
        samples = np.random.default_rng(frames).uniform(-1, 1, (frames, 2)).astype(np.float32)
        sf.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
        size = -(-frames // 100)
        expected = [np.abs(samples[at : at + size]).max() for at in range(0, frames, size)]
        np.testing.assert_array_equal(envelope(tmp_path / "a.wav", 100), expected)


class TestPicture:
    @pytest.fixture
    def drawn(self, found: AlignmentSummary) -> Figure:
        peaks = np.linspace(0.1, 1.0, 200, dtype=np.float32)
        return picture(found, peaks, peaks, raw_name="raw.wav", edit_name="$edit$.wav")

    def ribbons(self, figure: Figure) -> list[tuple[str, float, list[float]]]:
        """(action, opacity, corners: raw start and end, edit start and end, as shares of the width)."""
        between = figure.axes[1]
        names = {to_rgb(colour): action.value for action, colour in COLOURS.items()}
        found = []
        for collection in between.collections:
            assert isinstance(collection, PatchCollection)
            for outline, (*rgb, alpha) in zip(collection.get_paths(), collection.get_facecolors(), strict=True):
                x = outline.vertices[:, 0]
                found.append((names[tuple(rgb)], float(alpha), [float(v) for v in (x[0], x[7], x[3], x[4])]))
        return found

    def test_a_ribbon_leads_from_source_to_output_in_the_colour_of_its_action(self, drawn: Figure) -> None:
        ribbons = self.ribbons(drawn)
        assert [name for name, *_ in ribbons] == ["keep", "keep", "move", "loop", "loop"]  # the last lie on top
        corners = {name: where for name, _, where in ribbons}  # of each the last
        assert corners["move"] == pytest.approx([0.8, 0.9, 45 / 85, 55 / 85])
        assert corners["loop"] == pytest.approx([0.2, 0.3, 30 / 85, 40 / 85])
        assert corners["keep"] == pytest.approx([0.4, 0.7, 55 / 85, 1.0])

    def test_doubt_is_pale(self, drawn: Figure) -> None:
        first, second = (alpha for name, alpha, _ in self.ribbons(drawn) if name == "loop")  # 0.9 and 0.4
        assert second < first - 0.2

    def test_axes_are_in_minutes_and_seconds_of_their_own(self, drawn: Figure) -> None:
        above, _, below, strip = drawn.axes
        assert (above.get_xlim(), below.get_xlim(), strip.get_xlim()) == ((0, 100), (0, 85), (0, 85))
        assert [label.get_text() for label in above.get_xticklabels()][:3] == ["0:00", "0:10", "0:20"]

    def test_cuts_are_grey_and_joins_marked(self, drawn: Figure) -> None:
        above, _, below, _ = drawn.axes
        inverse = above.transData.inverted()
        grey = [tuple(inverse.transform_bbox(patch.get_window_extent()).intervalx) for patch in above.patches]
        np.testing.assert_allclose(grey, [(30.0, 40.0), (70.0, 80.0), (90.0, 100.0)])
        assert list(below.lines[-1].get_xdata()) == [30.0, 40.0, 45.0, 55.0]

    def test_the_same_bytes_twice_and_none_of_a_file_that_is_not_there(
        self, found: AlignmentSummary, pair: Path, tmp_path: Path
    ) -> None:
        for name in ("a.png", "b.png"):
            save_picture(found, pair / "raw.wav", pair / "edit.wav", tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        with pytest.raises(AudioFileError):
            save_picture(found, pair / "raw.wav", pair / "no.wav", tmp_path / "c.png")
        assert not (tmp_path / "c.png").exists()

    def test_names_in_scripts_that_the_font_lacks_do_not_warn(
        self, found: AlignmentSummary, pair: Path, tmp_path: Path
    ) -> None:
        raw = tmp_path / "曲_raw.wav"
        raw.write_bytes((pair / "raw.wav").read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            save_picture(found, raw, pair / "edit.wav", tmp_path / "曲.png")
        assert (tmp_path / "曲.png").exists()

    def test_many_loops_in_one_place_are_drawn(self) -> None:
        segments = [Segment(0, 10_000)]
        for k in range(60):
            segments += [Segment(9_000 + 1_000 * k, 2_000)]
        found = summarise(EditList(SOURCE, tuple(segments)))
        peaks = np.ones(3, np.float32)
        drawn = picture(found, peaks, peaks, raw_name="a", edit_name="b")
        assert len(found.loops) == 60
        assert 20 < len(drawn.axes[0].texts) <= 60

    def test_colours_differ_in_lightness_for_the_colour_blind(self) -> None:
        def luminance(colour: str) -> float:
            return float(np.dot([0.2126, 0.7152, 0.0722], np.power(to_rgb(colour), 2.2)))

        levels = sorted(luminance(COLOURS[action]) for action in Action)
        assert min(np.diff(levels)) > 0.02
