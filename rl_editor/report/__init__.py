"""The evaluation as a page that works offline, with tables, figures and audio beside it.

    index.html               the report; everything it needs lies in the same folder
    comparison.csv           style, method, condition, metric, mean, low, high, n_songs
    action_histogram.csv     style, method, condition, action, count, share
    tracks.csv               one row per track, method and condition
    verdicts.csv             comparisons, computed and in words
    joins.csv                what was measured at every join of the rendered examples
    comparison.png, action_histogram.png
    edits/<pair>__<method>.json      edit lists of every held-out track, at the editor's length
    audio/<pair>__<method>*.flac     clips of the examples, where the recordings are at hand

The same result gives the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from rl_editor.command import counted
from rl_editor.config import Config
from rl_editor.evaluation import METRICS, EvaluationResult
from rl_editor.evaluation.verdicts import FEWEST_SONGS
from rl_editor.files import replacing, write_text
from rl_editor.publishing import page_templates, save_png
from rl_editor.report.examples import ExamplePage, example_pages, joins_table
from rl_editor.report.figures import DPI, comparison_figure, histogram_figure
from rl_editor.report.tables import claims, comparison_tables, histogram_rows, ppo_against_bc
from rl_editor.report.words import CONDITION_TITLES, method_title, style_title

__all__ = ["write_comparison", "write_report"]


def write_report(
    result: EvaluationResult,
    out_dir: str | Path,
    *,
    config: Config,
    sources: Mapping[str, Path] | None = None,
) -> None:
    """Write the report of an evaluation.

    Args:
        result: what ``Evaluator.evaluate`` found.
        out_dir: folder of the report, made when missing.
        config: reads ``evaluation`` and ``render``.
        sources: the recording of every song (or pair) that may be rendered; without it there is no audio.

    Raises:
        AudioFileError: a recording cannot be read.
        EditListError: a recording is not the one that was edited.
    """
    folder = Path(out_dir)
    pages = example_pages(result, folder, sources or {}, config)
    _write_tables(result, pages, folder)
    save_png(comparison_figure(result), folder / "comparison.png", dpi=DPI)
    save_png(histogram_figure(result), folder / "action_histogram.png", dpi=DPI)
    for example in result.examples:
        for method, edit in example.edits.items():
            write_text(folder / "edits" / f"{example.pair_id}__{method}.json", edit.to_json())
    write_text(folder / "index.html", _page(result, pages, config))


def write_comparison(result: EvaluationResult, path: str | Path) -> None:
    """The means with their intervals as CSV, one row per style, method, condition and metric."""
    _write_csv(result.summary[result.summary["n_songs"] > 0], Path(path))


def _write_tables(result: EvaluationResult, pages: list[ExamplePage], folder: Path) -> None:
    write_comparison(result, folder / "comparison.csv")
    _write_csv(result.histogram, folder / "action_histogram.csv")
    _write_csv(result.rows, folder / "tracks.csv")
    _write_csv(pd.DataFrame([v._asdict() | {"sentence": v.sentence} for v in result.verdicts]), folder / "verdicts.csv")
    _write_csv(joins_table(pages), folder / "joins.csv")


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _page(result: EvaluationResult, pages: list[ExamplePage], config: Config) -> str:
    environment = page_templates()
    environment.filters |= {"method": method_title, "style": style_title, "counted": counted}
    return environment.get_template("report.html.j2").render(
        result=result,
        tables=comparison_tables(result),
        claims=claims(result),
        first_verdicts=ppo_against_bc(result),
        histogram=histogram_rows(result),
        metrics=METRICS,
        conditions=CONDITION_TITLES,
        pages=pages,
        settings=config.evaluation,
        fewest_songs=FEWEST_SONGS,
    )
