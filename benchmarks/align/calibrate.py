"""What evidence is worth: the weights of confidence, fitted on edits that are known exactly.

Every pair of a folder is recovered, and each matched segment is right or not (``scores.Segment``). Logistic
regression on ``rl_editor.alignment.confidence.terms_of`` gives the weights; how they hold is measured on recordings
that the fit has not seen. The printed weights are what ``confidence.py`` holds.

    python -m benchmarks.align.calibrate FOLDER [--seconds 120] [--kinds copies,speed]
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

from benchmarks.align.__main__ import chosen_kinds, pairs
from benchmarks.align.kinds import Kind
from benchmarks.align.material import Shelf, shelf_of
from benchmarks.align.report import calibration_error, reliability, reliability_table
from benchmarks.align.scores import Segment, score
from benchmarks.align.truth import Timeline
from rl_editor.alignment import recover_files
from rl_editor.alignment.confidence import Evidence, terms_of
from rl_editor.config import Config
from rl_editor.errors import AlignmentError

FOLDS = 5
PENALTY = 10.0  # inverse strength of the ridge, in scikit-learn's units


class Case(NamedTuple):
    """One matched segment: what spoke for it, and whether it was right."""

    track: str
    evidence: Evidence
    segment: Segment


def cases(shelf: Shelf, kinds: list[Kind], *, edits: int, seed: int) -> Iterator[Case]:
    """The segments of every pair that is accepted."""
    for _, pair in pairs(shelf, kinds, edits=edits, seed=seed):
        if pair.truth is None:
            continue
        try:
            found = recover_files(pair.raw_path, pair.edit_path, Config())
        except AlignmentError:
            continue
        line = Timeline.of_edit(found.edit)
        segments = score(line, pair.truth, pair.raw, pair.rate, pair.beats_s, seconds=0.0).segments
        if len(segments) == len(found.evidence):  # a segment that was cut to the source has no evidence of its own
            yield from (Case(pair.name, e, s) for e, s in zip(found.evidence, segments, strict=True))


def fitted(chosen: Sequence[Case]) -> tuple[list[float], list[Segment]]:
    """The weights, the constant first; and the segments with the confidence of a fit that has not seen their track."""
    terms = np.array([terms_of(case.evidence) for case in chosen])
    right = np.array([case.segment.right for case in chosen])
    model = LogisticRegression(C=PENALTY, max_iter=1000)
    chances = cross_val_predict(
        model, terms, right, groups=[case.track for case in chosen], cv=GroupKFold(FOLDS), method="predict_proba"
    )[:, 1]
    model.fit(terms, right)
    held_out = [Segment(float(p), c.segment.right, c.segment.seconds) for p, c in zip(chances, chosen, strict=True)]
    return [float(model.intercept_[0]), *model.coef_[0].tolist()], held_out


def main(
    folder: Annotated[Path | None, typer.Argument(help="Recordings; without it songs are composed")] = None,
    kinds: Annotated[str, typer.Option(help="Kinds and groups, comma-separated; all by default")] = "",
    tracks: Annotated[int, typer.Option(help="Recordings, spread over the folder")] = 40,
    edits: Annotated[int, typer.Option(help="Edits of each")] = 1,
    seconds: Annotated[float, typer.Option(help="How much of each recording is used")] = 120.0,
    seed: Annotated[int, typer.Option(help="Other edits of the same recordings")] = 1,
    exclude: Annotated[str, typer.Option(help="File stem that is left out")] = "",
) -> None:
    """Fit the weights of confidence and say how they hold on recordings that the fit has not seen."""
    wanted = [kind for kind in chosen_kinds(kinds)[0] if not kind.missing]
    shelf = shelf_of(folder, tracks=tracks, seconds=seconds, exclude=exclude)
    found = list(cases(shelf, wanted, edits=edits, seed=seed))
    for name, chosen in (
        ("FOLLOWED", [c for c in found if c.evidence.agreement is not None]),
        ("HEARD_ALIKE", [c for c in found if c.evidence.agreement is None]),
    ):
        if len({c.segment.right for c in chosen}) < 2 or len({c.track for c in chosen}) < FOLDS:
            print(f"{name}: {len(chosen)} segments are too few, or all alike")
            continue
        weights, held_out = fitted(chosen)
        print(f"\n{name} = ({', '.join(f'{w:.2f}' for w in weights)})")
        print(f"{len(chosen)} segments, {sum(not c.segment.right for c in chosen)} wrong; held-out recordings:")
        print(reliability_table(reliability(held_out)))
        print(f"as stated now: {calibration_error(reliability([c.segment for c in chosen])):.4f}")


if __name__ == "__main__":
    typer.run(main)
