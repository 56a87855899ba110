"""The learned reward against simulated listeners whose taste is known."""

from pathlib import Path

import numpy as np
import pytest

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import CheckpointError, DatasetError
from rl_editor.reward_model import FEATURES, EditSummary, Preference, RewardModel, summarise_edit

N = len(FEATURES)
TRANSITION = FEATURES.index("transition")


def simulated_edits(rng: np.random.Generator, n: int) -> list[EditSummary]:
    """Random edits in which the loop term follows length, as a nuisance would."""
    edits = []
    for _ in range(n):
        features, length = rng.random(N), rng.normal()
        features[FEATURES.index("loop")] += 0.5 * length
        edits.append(EditSummary(features, float(length)))
    return edits


def judged(rng: np.random.Generator, n: int, *, taste: np.ndarray, length_taste: float = 0.0) -> list[Preference]:
    """A listener with utility taste . features + length_taste * length, judging with logistic noise."""
    pairs = zip(simulated_edits(rng, n), simulated_edits(rng, n), strict=True)

    def utility(edit: EditSummary) -> float:
        return float(taste @ edit.features + length_taste * edit.log_length)

    return [Preference(a, b, bool(rng.random() < 1 / (1 + np.exp(utility(b) - utility(a))))) for a, b in pairs]


def taste_for_transitions(strength: float = 12.0) -> np.ndarray:
    taste = np.zeros(N)
    taste[TRANSITION] = strength
    return taste


def test_it_learns_what_the_listener_likes() -> None:
    rng = np.random.default_rng(0)
    model = RewardModel()
    model.fit(judged(rng, 200, taste=taste_for_transitions()), rng)
    held_out = simulated_edits(rng, 100)
    scores = model.score(held_out).lower_bound
    liked = [edit.features[TRANSITION] for edit in held_out]
    assert np.corrcoef(scores, liked)[0, 1] > 0.9


def test_a_listener_who_likes_short_edits_teaches_no_length() -> None:
    rng = np.random.default_rng(1)
    model = RewardModel()
    model.fit(judged(rng, 400, taste=taste_for_transitions(4.0), length_taste=-4.0), rng)
    held_out = simulated_edits(rng, 400)
    scores = model.score(held_out).mean
    assert abs(np.corrcoef(scores, [edit.log_length for edit in held_out])[0, 1]) < 0.15
    assert np.corrcoef(scores, [edit.features[TRANSITION] for edit in held_out])[0, 1] > 0.7


def test_doubt_lowers_the_reward() -> None:
    rng = np.random.default_rng(2)
    model = RewardModel()
    model.fit(judged(rng, 60, taste=taste_for_transitions()), rng)
    strange_features = np.full(N, 2.0)  # as good a transition, all else far from what was judged
    strange_features[TRANSITION] = 0.5
    scores = model.score([EditSummary(np.full(N, 0.5), 0.0), EditSummary(strange_features, 0.0)])
    doubt = np.log(scores.mean / (1 - scores.mean)) - np.log(scores.lower_bound / (1 - scores.lower_bound))
    assert doubt[1] > 3 * doubt[0] > 0


def test_too_few_judgements_are_refused() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(DatasetError, match="39 judgements, at least 40 are needed"):
        RewardModel().fit(judged(rng, 39, taste=np.zeros(N)), rng)  # 5 for each of 7 features and length
    with pytest.raises(DatasetError, match="0 judgements"):
        RewardModel().fit([], rng)


def test_saved_and_loaded_it_scores_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    model = RewardModel(doubt=2.0)
    model.fit(judged(rng, 60, taste=taste_for_transitions()), rng)
    model.save(tmp_path / "model.json")
    edits = simulated_edits(rng, 5)
    again = RewardModel.load(tmp_path / "model.json")
    assert again.score(edits).lower_bound.tolist() == model.score(edits).lower_bound.tolist()
    (tmp_path / "other.json").write_text("{}")
    for name in ("other.json", "missing.json"):
        with pytest.raises(CheckpointError, match="no reward model"):
            RewardModel.load(tmp_path / name)


def test_summary_by_hand() -> None:
    # 60 s of source; plays 0-20 s, 0-20 s again, 30-50 s: 60 s out, 2 joins, 20 of 60 s repeated
    source = SourceInfo("song.wav", "", 10, 1, 600)
    edit = EditList(source, (Segment(0, 200), Segment(0, 200), Segment(300, 200)))
    terms = {"tempo": 1.0, "energy": 0.9, "phrase": 0.8, "transition": 0.7, "loop": 0.6}
    got = summarise_edit(edit, terms)
    assert got.features.tolist() == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 2.0, 1 / 3])
    assert got.log_length == pytest.approx(0.0)
