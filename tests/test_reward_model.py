"""The learned reward against simulated listeners whose taste is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rl_editor.errors import CheckpointError, DatasetError
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model import FEATURES, Preference, RewardModel

N = len(SUMMARY_NAMES)
TRANSITION, LENGTH = SUMMARY_NAMES.index("transition_faults"), SUMMARY_NAMES.index("output_share")


def simulated_edits(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random summaries in which replays follow length, as a nuisance would."""
    edits = rng.random((n, N))
    edits[:, LENGTH] = np.exp(rng.normal(size=n))
    edits[:, SUMMARY_NAMES.index("replayed")] += 0.5 * np.log(edits[:, LENGTH])
    return edits


def judged(rng: np.random.Generator, n: int, *, disgust: float, length_taste: float = 0.0) -> list[Preference]:
    """A listener with utility -disgust * transition faults + length_taste * log length, judging with logistic noise."""
    first, second = simulated_edits(rng, n), simulated_edits(rng, n)

    def utility(edits: np.ndarray) -> np.ndarray:
        return -disgust * edits[:, TRANSITION] + length_taste * np.log(edits[:, LENGTH])

    preferred = rng.random(n) < 1 / (1 + np.exp(utility(second) - utility(first)))
    return [Preference(a, b, bool(p)) for a, b, p in zip(first, second, preferred, strict=True)]


def fitted(seed: int, n: int, **listener: float) -> RewardModel:
    rng = np.random.default_rng(seed)
    model = RewardModel()
    model.fit(judged(rng, n, **listener), rng)
    return model


def held_out(n: int = 400) -> np.ndarray:
    return simulated_edits(np.random.default_rng(99), n)


def test_it_learns_what_the_listener_dislikes() -> None:
    edits = held_out()
    scores = fitted(0, 200, disgust=12.0)(torch.as_tensor(edits)).numpy()
    assert np.corrcoef(scores, edits[:, TRANSITION])[0, 1] < -0.9
    assert 0 <= scores.min() <= scores.max() <= 1


def test_a_listener_who_likes_short_edits_teaches_no_length() -> None:
    edits = held_out()
    model = fitted(1, 400, disgust=4.0, length_taste=-4.0)
    scores = model.score(torch.as_tensor(edits)).mean.numpy()
    assert abs(np.corrcoef(scores, np.log(edits[:, LENGTH]))[0, 1]) < 0.15
    assert np.corrcoef(scores, edits[:, TRANSITION])[0, 1] < -0.7


def test_doubt_lowers_the_reward_most_where_nothing_was_judged() -> None:
    model = fitted(2, 60, disgust=12.0)
    familiar, strange = np.full(N, 0.5), np.full(N, 3.0)  # 0.5 is the middle of what was judged, 3 far outside
    strange[TRANSITION] = familiar[TRANSITION]
    familiar[LENGTH] = strange[LENGTH] = 1.0
    scores = model.score(torch.as_tensor(np.stack([familiar, strange])))
    doubt = scores.mean.logit() - scores.lower_bound.logit()
    assert doubt[1] > 3 * doubt[0] > 0


def test_too_few_judgements_are_refused() -> None:
    needed = 5 * (len(FEATURES) + 1)  # five for every feature and for length
    rng = np.random.default_rng(3)
    with pytest.raises(DatasetError, match=f"{needed - 1} judgements, at least {needed} are needed"):
        RewardModel().fit(judged(rng, needed - 1, disgust=1.0), rng)
    with pytest.raises(DatasetError, match="0 judgements"):
        RewardModel().fit([], rng)


def test_one_weight_by_hand() -> None:
    # 60 pairs that differ in transition faults alone, 0 against 1: mean 1/2, deviation 1/2, so a difference of 2 in
    # standard deviations. With w the taste for fewer faults and ridge 1, the maximum of 60 log sigmoid(2 w) - w^2 / 2
    # solves 120 (1 - sigmoid(2 w)) = w, and an edit without faults, 1 deviation from the mean, scores sigmoid(w).
    low, high = np.full(N, 0.5), np.full(N, 0.5)
    low[TRANSITION], high[TRANSITION] = 0.0, 1.0
    model = RewardModel(ridge=1.0)
    model.fit([Preference(low, high, True), Preference(high, low, False)] * 30, np.random.default_rng(0))
    scores = model.score(torch.as_tensor(np.stack([low, (low + high) / 2, high]))).mean
    w = scores[0].logit()
    assert (120 * (1 - (2 * w).sigmoid())).item() == pytest.approx(w.item(), abs=0.01)
    assert scores[1].item() == pytest.approx(0.5)
    assert scores[0].item() == pytest.approx(1 - scores[2].item())


def test_saved_and_loaded_it_scores_the_same(tmp_path: Path) -> None:
    model = fitted(4, 60, disgust=3.0)
    model.save(tmp_path / "model.json")
    edits = torch.as_tensor(held_out(5))
    assert torch.equal(RewardModel.load(tmp_path / "model.json")(edits), model(edits))
    (tmp_path / "other.json").write_text("{}")
    for name in ("other.json", "missing.json"):
        with pytest.raises(CheckpointError, match="no reward model"):
            RewardModel.load(tmp_path / name)
