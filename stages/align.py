"""align: what each editor did, recovered from the sound, and said in actions.

Reads ``data/decoded``, ``data/features`` and params ``action_space``, ``alignment``, ``audio``; writes ``data/labels``:
``<pair>.json`` (edit list) and ``<pair>.npz`` (labels per unit), and ``metrics/align.json``. Pairs that cannot be
explained are left out.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import typer

from rl_editor.actions import ActionSpace
from rl_editor.alignment import CLOSELY_AGREED, MonoPair, recover_either, summarise
from rl_editor.command import run
from rl_editor.config import Config
from rl_editor.demonstrations import Placed, coverage_gaps, load_analysis, save_labels, split_gaps
from rl_editor.edits import EditList
from rl_editor.errors import DatasetError
from rl_editor.executor import Outcome, run_tracks
from rl_editor.files import write_json, write_text
from rl_editor.labelling import aligned
from rl_editor.labels import encode
from rl_editor.library import Problem
from stages.layout import FEATURES, LABELS, METRICS, PROBLEMS, fresh_folder, report_problems
from stages.manifest import VIEW, Manifest, PairEntry, Track, load_manifest, read_turned, read_view
from stages.params import PARAMS, load_params

SECTIONS = ("action_space", "alignment", "audio")


class Explained(NamedTuple):
    """How well a pair was explained."""

    confidence: float  # median of what is matched, weighed by length, as in ``AlignmentSummary``
    coverage: float  # share of the edit's duration that actions can say


def main(params: Path = PARAMS, *, strict: bool = False) -> None:
    """Align all pairs."""
    config = load_params(SECTIONS, params)
    manifest = load_manifest()
    with fresh_folder(LABELS) as folder:
        work = partial(label_entry, manifest=manifest, config=config, folder=folder)
        outcomes = list(run_tracks(work, manifest.pairs, workers=config.executor.workers, label="align"))
        problems = [Problem(o.item.pair_id, o.error) for o in outcomes if o.error]
        write_json(METRICS / "align.json", summary(outcomes))
        report_problems(folder, problems, n_left=len(outcomes) - len(problems), strict=strict, what="pairs")
        told = ((o.item.style, o.value.coverage) for o in outcomes if o.value is not None)
        for gap in (*gaps([o.item for o in outcomes if o.value is not None]), *coverage_gaps(told)):
            typer.echo(gap, err=True)


def gaps(explained: Sequence[PairEntry]) -> list[str]:
    """What the splits leave out, said before anything is learned."""
    found = split_gaps(Placed(pair.style, pair.song, pair.split) for pair in explained)
    if all(pair.split != "test" for pair in explained):
        found.append(
            "no song is held out, so that the pipeline will end at evaluate, without a registered policy; put one into "
            "test with data.splits, raise data.test_fraction or add pairs"
        )
    return found


def label_entry(pair: PairEntry, *, manifest: Manifest, config: Config, folder: Path) -> Explained:
    """Write the edit list and the labels of a pair.

    Raises:
        PairRejectedError: the edit is not explained by the raw.
    """
    raw, edit_track = manifest.track(pair.raw), manifest.track(pair.edit)
    features = FEATURES / f"{pair.raw}.npz"
    if not features.is_file():
        raise DatasetError(f"its raw {raw.path} was left out by the features stage; {FEATURES}/{PROBLEMS} says why")
    analysis = load_analysis(features)
    edit = aligned(
        pair.pair_id,
        lambda: _explained(raw, edit_track, config),
        config,
        source=raw.source,
        edit_sha256=edit_track.source.sha256,
        view=VIEW,
    )
    labels = encode(edit, analysis.grid, ActionSpace(config.action_space), unit_beats=config.action_space.unit_beats)
    write_text(folder / f"{pair.pair_id}.json", edit.to_json())
    save_labels(folder / f"{pair.pair_id}.npz", labels)
    return Explained(summarise(edit).median_confidence, labels.coverage)


def _explained(raw: Track, edit: Track, config: Config) -> EditList:
    """The edit list of two decoded recordings, of which one may have a channel turned over."""
    plain = MonoPair(read_view(raw), read_view(edit))

    def turned(agreement: float) -> Iterator[MonoPair]:
        views = (read_turned(raw), read_turned(edit)) if agreement <= CLOSELY_AGREED else (None, None)
        if (views[0] is None) != (views[1] is None):
            yield MonoPair(*(own if view is None else view for own, view in zip(plain, views, strict=True)))

    frames = round(edit.source.frames / edit.source.sample_rate * raw.source.sample_rate)
    return recover_either(plain, turned, config, source=raw.source, output_frames=frames).edit


def summary(outcomes: Sequence[Outcome[PairEntry, Explained]]) -> dict[str, Any]:
    """Counts, and per style how well its edits were explained."""
    styles: dict[str, list[Explained]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.value is not None:
            styles[outcome.item.style].append(outcome.value)
    found = [value for values in styles.values() for value in values]
    return {
        "n_pairs": len(found),
        "n_rejected": len(outcomes) - len(found),
        "median_confidence": median(v.confidence for v in found) if found else 0.0,
        "coverage": {style: fmean(v.coverage for v in values) for style, values in sorted(styles.items())},
    }


if __name__ == "__main__":
    run(main)
