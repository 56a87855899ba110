"""The report: files that belong together, numbers that agree, a page without a network, the same bytes twice."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from world_tracks import RATE_HZ, track

from rl_editor.actions import CUT, KEEP, ActionSpace
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.evaluation import EvaluationResult, evaluate_plans
from rl_editor.labels import decode, encode
from rl_editor.report import write_comparison, write_report
from rl_editor.report.tables import comparison_tables
from rl_editor.report.timeline import BINS_PER_S, source_peaks, spans_of, timeline_svg
from rl_editor.report.words import CONDITION_TITLES
from rl_editor.state import AudioState, EditHistory
from rl_editor.utils import Samples, audio_info, save_audio

CONFIG = Config()
CONFIG.evaluation.bootstrap_samples = 100
CONFIG.evaluation.audio_examples = 1
SPACE = ActionSpace(CONFIG.action_space)
ACTIONS = [CUT if 2 <= unit < 4 else KEEP for unit in range(8)]


def demonstration(seed: int, style: str, actions: Sequence[int] = ACTIONS) -> Demonstration:
    state = track(seed=seed, form="ab", bars_per_section=4)
    edit = decode(list(actions), state.grid.units(4), SPACE, source=state.recording, crossfade_ms=50.0)
    labels = encode(edit, state.grid, SPACE, unit_beats=4)
    song = f"song <{seed}>"
    source = replace(state.recording, channels=1)
    edit = replace(edit, source=source)
    return Demonstration(f"song{seed}__{style}", song, style, state.grid, state.features, labels, edit, "test")


def keeping(demo: Demonstration, state: AudioState, target_duration_s: float | None) -> EditList:
    return EditHistory(state, CONFIG, [KEEP] * 8).edit_list()


def copying(demo: Demonstration, state: AudioState, target_duration_s: float | None) -> EditList:
    return demo.edit


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    demonstrations = [demonstration(seed, style) for seed in (0, 1, 2) for style in ("jam_cleanup", "radio_edit")]
    return evaluate_plans({"bc": keeping, "ppo": copying}, demonstrations, CONFIG)


@pytest.fixture(scope="module")
def sources(result: EvaluationResult, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, paths = tmp_path_factory.mktemp("recordings"), {}
    for example in result.examples:
        frames = example.state.recording.frames
        noise = np.random.default_rng(0).normal(scale=0.05, size=(frames, 1)).astype(np.float32)
        paths[example.song] = folder / f"{len(paths)}.wav"
        save_audio(paths[example.song], Samples(noise, RATE_HZ), subtype="PCM_16")
    return paths


@pytest.fixture(scope="module")
def report(result: EvaluationResult, sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(result, folder, config=CONFIG, sources=sources)
    return folder


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_everything_the_page_points_to_lies_beside_it(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(page)
    assert len(links.found) > 8
    for link in links.found:
        assert (report / link).is_file(), link
    assert not re.search(r"(src|href)=\"(https?:)?//", page)


def test_names_are_escaped(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "song &lt;0&gt;" in page
    assert "song <0>" not in page


def test_styles_that_were_not_measured_or_not_learned_are_named(result: EvaluationResult, tmp_path: Path) -> None:
    write_report(replace(result, learned=("jam_cleanup", "rock & roll")), tmp_path, config=CONFIG)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Not measured.</strong> Of rock &amp; roll no song is held out:" in page
    assert "Not learned.</strong> Of radio edit there was no song to\nlearn from" in page
    assert "are edited as jam cleanup is" in page


def test_the_page_says_what_was_computed(report: Path, result: EvaluationResult) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    for verdict in result.verdicts:
        if verdict.style == "all":
            assert f"{verdict.difference:+.3f} ({verdict.low:+.3f} to {verdict.high:+.3f})" in page
        if verdict[:3] == ("ppo", "bc", "reward_total") and verdict.style == "all":
            assert f"<p>{verdict.sentence}</p>" in page
    assert "synthetic" in page
    assert "Not measured." not in page
    assert "Not learned." not in page
    assert "Too few songs.</strong> 3 are held out;\nwith fewer than 5 nothing is shown" in page
    assert "PPO is not shown to" not in page  # which sounds like a finding
    assert all(name.split(" ")[0] == "bc" for name in result.collapsed)
    assert "Collapse." in page


def test_what_is_wider_than_a_phone_scrolls_and_players_stand_below_each_other(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    wide = page.count("<table") + page.count("<svg") + page.count("<img")
    assert len(re.findall(r'<div class="scroll">\s*<(table|svg|img)', page)) == wide > 6
    narrow = page[page.index("@media") : page.index("</style>")]
    assert re.search(r"\.players \{ grid-template-columns: minmax\(0, 1fr\); \}", narrow)


def test_a_claim_says_by_what_it_is_measured_beside_what_it_claims(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "<td>PPO beats BC (imitation)<small>reward</small></td>" in page


def test_tables_agree_with_the_result(report: Path, result: EvaluationResult) -> None:
    comparison = pd.read_csv(report / "comparison.csv")
    found = comparison[
        (comparison["style"] == "all")
        & (comparison["method"] == "ppo")
        & (comparison["condition"] == "target")
        & (comparison["metric"] == "balanced_accuracy")
    ]
    assert found["mean"].item() == result.metrics["ppo/target/all/balanced_accuracy"] == 1.0
    assert len(pd.read_csv(report / "tracks.csv")) == len(result.rows)
    assert (comparison["n_songs"] > 0).all()


def test_nobody_is_the_best_where_all_are_alike(result: EvaluationResult) -> None:
    def n_best(summary: pd.DataFrame) -> int:
        table = comparison_tables(replace(result, summary=summary))[0]
        column = table.metrics.index("balanced_accuracy")
        return sum(row.cells[column].best for row in table.rows)

    alike = result.summary.copy()
    alike.loc[alike["metric"] == "balanced_accuracy", "mean"] = 0.0
    assert n_best(result.summary) > 0
    assert n_best(alike) == 0


def test_the_best_is_the_lowest_where_lower_is_better_and_never_the_editor(result: EvaluationResult) -> None:
    wanted = {"duration_error": {"editor": -1.0, "bc": 0.0}, "reward_total": {"editor": 9.0, "ppo": 2.0}}
    summary = result.summary.copy()
    for metric, own in wanted.items():
        where = summary["metric"] == metric
        summary.loc[where, "mean"] = summary.loc[where, "method"].map(own).fillna(1.0)
    table = comparison_tables(replace(result, summary=summary))[0]
    for metric, best in (("duration_error", "bc"), ("reward_total", "ppo")):
        column = table.metrics.index(metric)
        assert [row.method for row in table.rows if row.cells[column].best] == [best]


def test_every_style_has_a_table_of_its_own_numbers_under_each_condition(result: EvaluationResult) -> None:
    summary = result.summary
    place = summary["style"] + "/" + summary["condition"]
    numbers = {name: float(number) for number, name in enumerate(sorted(set(place)))}
    tables = comparison_tables(replace(result, summary=summary.assign(mean=place.map(numbers))))
    expected = [(s, c) for s in ("all", "jam_cleanup", "radio_edit") for c in ("target", "free")]
    assert [(table.style, table.title) for table in tables] == [(s, CONDITION_TITLES[c]) for s, c in expected]
    for table, (style, condition) in zip(tables, expected, strict=True):
        means = {cell.mean for row in table.rows for cell in row.cells}
        assert means == {f"{numbers[f'{style}/{condition}']:.3f}"}


def test_every_held_out_edit_can_be_read_back(report: Path, result: EvaluationResult) -> None:
    example = result.examples[0]
    assert EditList.load(report / "edits" / f"{example.pair_id}__ppo.json") == example.edits["ppo"]


def test_audio_is_of_one_example_per_style(report: Path) -> None:
    names = {path.name for path in (report / "audio").iterdir()}
    assert names == {
        f"song0__{style}__{method}{kind}.flac"
        for style in ("jam_cleanup", "radio_edit")
        for method, kinds in {
            "editor": ["", "__joins"],
            "ppo": ["", "__joins"],
            "bc": [""],
            "dp": ["", "__joins"],
        }.items()
        for kind in kinds
    }
    edit = audio_info(report / "audio" / "song0__radio_edit__editor.flac")
    assert edit.duration_s == pytest.approx(12.0, abs=0.2)  # 6 of 8 bars of 2 s
    joins = audio_info(report / "audio" / "song0__radio_edit__editor__joins.flac")
    assert joins.duration_s == pytest.approx(4.0, abs=0.01)  # one join, 2 s a side


def test_measured_joins_are_tabled(report: Path) -> None:
    joins = pd.read_csv(report / "joins.csv")
    own = joins[joins["method"] == "editor"]
    assert len(own) == 2
    assert own["output_s"].to_numpy() == pytest.approx(4.0, abs=0.1)  # after two bars
    assert own["bar_phase_kept"].all()
    assert (joins["click"] < 15.0).all()


def test_the_same_result_gives_the_same_bytes(report: Path, result: EvaluationResult, tmp_path: Path, sources) -> None:
    write_report(result, tmp_path, config=CONFIG, sources=sources)
    files = sorted(p.relative_to(report) for p in report.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for file in files:
        assert (report / file).read_bytes() == (tmp_path / file).read_bytes(), file
    assert b"Software" not in (report / "comparison.png").read_bytes()


def test_without_recordings_there_is_no_audio(result: EvaluationResult, tmp_path: Path) -> None:
    write_report(result, tmp_path, config=CONFIG)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<audio" not in page
    assert page.count("<svg") == 6
    assert not (tmp_path / "audio").exists()


def test_one_track_without_policies_gives_a_page(tmp_path: Path) -> None:
    write_report(evaluate_plans({}, [demonstration(0, "radio_edit")], CONFIG), tmp_path, config=CONFIG)
    assert "1 held-out edit of 1 song" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_means_of_fewer_songs_than_the_heading_says_tell_how_many(result: EvaluationResult, tmp_path: Path) -> None:
    """Five songs, one of them uncut: KEEP/CUT is of four, by which nothing is shown."""
    cut, uncut = [demonstration(seed, "a") for seed in range(4)], demonstration(4, "a", [KEEP] * 8)
    found = evaluate_plans({"bc": copying}, [*cut, uncut], CONFIG)
    write_report(found, tmp_path, config=CONFIG)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "5 held-out edits of 5 songs that" in page
    assert "<th>KEEP/CUT balanced accuracy <small>(4 songs)</small></th>" in page
    assert "<th>reward</th>" in page
    loudest = next(v for v in found.verdicts if v[1:3] == ("loudest", "balanced_accuracy") and v.style == "all")
    assert loudest.n_songs == 4
    assert f"{loudest.difference:+.3f} ({loudest.low:+.3f} to {loudest.high:+.3f}, 4 songs)" in page
    write_report(result, tmp_path / "whole", config=CONFIG)
    assert not re.search(r"<th>[^<]*<small>", (tmp_path / "whole/index.html").read_text(encoding="utf-8"))


def test_write_comparison_leaves_out_what_is_undefined(result: EvaluationResult, tmp_path: Path) -> None:
    write_comparison(result, tmp_path / "evaluate.csv")
    assert "loop_f1" not in set(pd.read_csv(tmp_path / "evaluate.csv")["metric"])  # nobody loops


class TestTimeline:
    source = SourceInfo("s.wav", "", 100, 1, 1000)  # 10 s

    def test_spans_follow_the_output(self) -> None:
        edit = EditList(self.source, (Segment(500, 200), Segment(None, 100), Segment(0, 300)))
        assert [(s.at_s, s.source_s, s.length_s) for s in spans_of(edit)] == [(0.0, 5.0, 2.0), (3.0, 0.0, 3.0)]

    def test_a_moved_block_keeps_its_colour(self) -> None:
        """The last eighth of the recording alone, then the whole: its colours are the last eighth of the colours."""
        peaks = np.ones(80)
        last = EditList(self.source, (Segment(875, 125),))
        svg = timeline_svg({"dp": last}, peaks, duration_s=10.0)
        fills = re.findall(r'polygon fill="(#\w+)"', svg)
        assert len(fills) == 32 + 4
        assert fills[-4:] == fills[28:32]
        assert len(set(fills)) == 32
        assert re.findall(r">(\d+:\d\d)<", svg) == ["0:00", "0:05", "0:10"]

    def test_peaks_by_hand(self) -> None:
        """A loud second after a soft one, and a sample more, of a bin of 100: RMS 1/4, 1 and 1/10, square-rooted."""
        mono = np.concatenate([np.full(800, 0.25), np.ones(801)])
        peaks = source_peaks(mono, sample_rate=800)
        np.testing.assert_allclose(peaks, [0.5] * int(BINS_PER_S) + [1.0] * int(BINS_PER_S) + [0.1**0.5])

    def test_where_and_how_high_a_passage_is_drawn(self) -> None:
        """2 s at twice the speed show seconds 6 to 10, of which 8 to 10 are loud; 10 s fill 850 units beside labels."""
        edit = EditList(self.source, (Segment(0, 100), Segment(600, 200, speed=2.0)))
        svg = timeline_svg({"x<y": edit}, np.repeat([0.25, 1.0], [64, 16]), duration_s=10.0)
        points = re.findall(r"([\d.]+),([\d.]+)", " ".join(re.findall(r'points="([^"]+)"', svg)))
        recording, edited = ([float(x) for x, y in points if float(y) == top] for top in (0.0, 71.0))  # full height
        assert (round(min(recording), -1), max(recording)) == (840.0, 1000.0)  # from 150 + 8 * 85, and half a bin, on
        assert (round(min(edited), -1), max(edited)) == (330.0, 405.0)  # the third second: 150 + 2 * 85 to 150 + 3 * 85
        assert re.findall(r'<rect x="([\d.]+)" y="50.0" width="([\d.]+)"', svg) == [
            ("150.0", "85.0"),
            ("660.0", "340.0"),
        ]
        assert re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)"', svg) == [("235.0", "235.0")]
        assert "x&lt;y: plays" in svg

    def test_an_edit_longer_than_the_recording_fits_the_picture(self) -> None:
        twice = EditList(self.source, (Segment(0, 1000), Segment(0, 1000)))
        svg = timeline_svg({"dp": twice}, np.ones(80), duration_s=10.0)
        points = [float(x) for row in re.findall(r'points="([^"]+)"', svg) for x in re.findall(r"([\d.]+),", row)]
        assert (min(points), max(points)) == (150.0, 1000.0)

    def test_joins_are_marked(self) -> None:
        edit = EditList(self.source, (Segment(0, 100), Segment(100, 100), Segment(400, 200), Segment(800, 200)))
        assert timeline_svg({"bc": edit}, np.ones(80), duration_s=10.0).count("<line") == 2
