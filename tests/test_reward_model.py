"""The learned reward against simulated listeners whose taste is known."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from opinion_sets import heard, random_set

from benchmarks.preferences.listeners import Listener, certainty, differences, scale_of, session
from rl_editor.config import RewardModelConfig
from rl_editor.errors import CheckpointError, DatasetError
from rl_editor.judgements import Choice, Judgement, Pair, Presentation, Rating, Side
from rl_editor.judgements.sets import ListeningSet, Preferences
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model import FEATURES, Preference, RewardModel, choosing, learning
from rl_editor.reward_model.bradley_terry import Comparisons, fit, ridged_logistic
from rl_editor.reward_model.chance import chance_without_taste
from rl_editor.reward_model.choosing import ActiveChooser, _gains, _standardised, most_telling
from rl_editor.reward_model.learning import LEAST_SLOPE, MOST_SLOPE, Learned, learn, load_learned
from rl_editor.reward_model.model import folds_of
from rl_editor.reward_model.opinions import columns_of, contrary, opinions, rated
from rl_editor.reward_model.opinions import judged as judged_pairs
from rl_editor.reward_model.trials import _reliability, _trial, held_out_trial, predicted_right, share_interval

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


def test_the_lower_bound_is_about_as_sure_as_it_says() -> None:
    # Of what is normal 0.84 lies above its mean less one standard deviation; members all drawn towards 0 left 0.67.
    # The standard error of the mean over these sessions is 0.02.
    edits = torch.as_tensor(held_out())
    true = -6.0 * (edits[:, TRANSITION] - edits[:, TRANSITION].mean())
    bounds = [fitted(seed, 80, disgust=6.0).centred(edits)(edits).logit() for seed in range(20)]
    assert 0.73 < np.mean([(bound < true).double().mean().item() for bound in bounds]) < 0.9


def test_where_judgements_say_nothing_the_taste_is_what_it_is_drawn_towards() -> None:
    data = Comparisons(np.eye(1, 2), np.zeros((1, 3)), np.ones(1), np.zeros(1, np.int64), np.ones(1))
    w, other = fit(data, ridge=1.0, n_listeners=1, towards=np.array([0.5, -2.0])).taste
    assert other == pytest.approx(-2.0)
    assert w - 0.5 == pytest.approx(1 / (1 + np.exp(w)))  # the maximum of log sigmoid(w) - (w - 1/2)^2 / 2


def test_too_few_judgements_are_refused() -> None:
    needed = 5 * (len(FEATURES) + 1)  # five for every feature and for length
    rng = np.random.default_rng(3)
    with pytest.raises(DatasetError, match=f"{needed - 1} judgements, at least {needed} are needed"):
        RewardModel().fit(judged(rng, needed - 1, disgust=1.0), rng)
    with pytest.raises(DatasetError, match="1 judgement, at least"):
        RewardModel().fit(judged(rng, 1, disgust=1.0), rng)
    with pytest.raises(DatasetError, match="0 judgements"):
        RewardModel().fit([], rng)


def test_a_model_that_has_learned_nothing_says_so(tmp_path: Path) -> None:
    for asked in (
        lambda: RewardModel().score(torch.zeros(1, len(SUMMARY_NAMES))),
        lambda: RewardModel().save(tmp_path / "m"),
    ):
        with pytest.raises(DatasetError, match="it has learned nothing yet; fit it to preferences, or load one"):
            asked()
    assert not (tmp_path / "m").exists()


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


def test_centred_on_edits_their_average_scores_a_half_without_doubt() -> None:
    edits = torch.as_tensor(held_out(30)) + 2.0  # none of what was judged
    model = fitted(5, 100, disgust=6.0)
    centred = model.centred(edits)
    middle = edits.mean(0, keepdim=True)
    middle[0, LENGTH] = edits[:, LENGTH].log().mean().exp()  # length counts by its logarithm
    assert centred.score(middle).mean.item() == pytest.approx(0.5)
    assert centred.score(middle).lower_bound.item() == pytest.approx(0.5)
    # The taste is the same: log odds differ by a constant.
    shift = model.score(edits).mean.logit() - centred.score(edits).mean.logit()
    assert shift.std().item() == pytest.approx(0.0, abs=1e-6)


def test_scores_of_edits_differ_by_what_one_is_better_than_the_other() -> None:
    model = fitted(6, 100, disgust=6.0, length_taste=2.0)
    first, second = simulated_edits(np.random.default_rng(7), 20), held_out(20)
    by_score = [model.score(torch.as_tensor(edits)).mean.logit().numpy() for edits in (first, second)]
    pairs = [Preference(a, b, None) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(by_score[0] - by_score[1], model.better_by(pairs), atol=1e-6)


def test_the_spread_of_a_weight_is_about_the_taste() -> None:
    """Members of 1 and 5 about a taste of 2: ((1 - 2)^2 + (5 - 2)^2) / 2 = 5; about their own mean it would be 4."""
    model = fitted(6, 60, disgust=6.0)
    values = model.to_dict()
    values["taste"], values["members"] = [2.0] * len(FEATURES), [[1.0] * len(FEATURES), [5.0] * len(FEATURES)]
    weights = RewardModel.from_dict(values).weights
    assert weights == {name: (2.0, pytest.approx(5**0.5)) for name in FEATURES}


def test_calibrating_scales_the_taste_and_the_doubt() -> None:
    model, edits = fitted(6, 100, disgust=6.0), torch.as_tensor(held_out(20))
    sure = model.score(edits)
    model.calibrate(0.25)
    for before, after in zip(sure, model.score(edits), strict=True):
        torch.testing.assert_close(after.logit(), 0.25 * before.logit())


def test_the_ridge_is_strong_where_answers_follow_nothing() -> None:
    rng = np.random.default_rng(8)
    clear, none = RewardModel(), RewardModel()
    clear.fit(judged(rng, 200, disgust=30.0), rng)
    none.fit(judged(rng, 200, disgust=0.0), rng)
    assert clear.ridge is not None
    assert none.ridge is not None
    assert clear.ridge <= 3.0 < 100.0 <= none.ridge


def test_groups_are_dealt_whole_into_folds_of_about_one_size() -> None:
    groups = [name for name, n in {"a": 12, "b": 5, "c": 4, "d": 3}.items() for _ in range(n)]
    folds = folds_of(groups, 2)
    assert len({(group, fold) for group, fold in zip(groups, folds.tolist(), strict=True)}) == 4
    assert np.bincount(folds).tolist() == [12, 12]


def test_saved_and_loaded_it_scores_the_same(tmp_path: Path) -> None:
    model = fitted(4, 60, disgust=3.0)
    model.save(tmp_path / "model.json")
    edits = torch.as_tensor(held_out(5))
    assert torch.equal(RewardModel.load(tmp_path / "model.json")(edits), model(edits))
    (tmp_path / "other.json").write_text("{}")
    for name, damage in {"scale.json": {"scale": []}, "short.json": {"taste": [1.0]}}.items():
        (tmp_path / name).write_text(json.dumps(model.to_dict() | damage))
    for name in ("other.json", "missing.json", "scale.json", "short.json"):
        with pytest.raises(CheckpointError, match="no reward model"):
            RewardModel.load(tmp_path / name)


def test_a_step_that_overshoots_is_halved() -> None:
    # Ten answers that were sure to be the first's (log odds 20) and were not: the maximum of
    # 10 log(1 - sigmoid(w + 20)) - w^2 / 2 solves w = -10 sigmoid(w + 20), where a full first step would go 10 too far
    # every time: -10, as sigmoid(10) is 1.
    w = ridged_logistic(np.ones((10, 1)), np.zeros(10), penalty=np.array([0.01]), offset=20.0)[0]
    assert -10 / (1 + np.exp(-w - 20)) == pytest.approx(0.01 * w, abs=1e-6)


class TestHabits:
    """Listeners who mind order or length, alone or beside a taste."""

    def test_two_weights_by_hand(self) -> None:
        # Without features, a listener who chose the first in 30 of 40 answers: with the penalty of the habit, 0.3, the
        # order's weight v solves 30 - 40 sigmoid(v) = 0.3 v, a little below log 3.
        data = Comparisons(
            np.zeros((40, 1)), np.tile([1.0, 0.0, 0.0], (40, 1)), np.repeat([1.0, 0.0], [30, 10]),
            np.zeros(40, np.int64), np.ones(40),
        )  # fmt: skip
        (v, length, loudness), *_ = fit(data, ridge=1.0, n_listeners=1).habits
        assert 30 - 40 / (1 + np.exp(-v)) == pytest.approx(0.3 * v, abs=1e-6)
        assert (length, loudness) == (0.0, 0.0)

    def test_who_answers_at_random_is_trusted_less(self) -> None:
        found = random_set()
        sure, random = Listener("sure", {"joins": -2.0}), Listener("random")
        model = RewardModel()
        model.fit(opinions([session(found, [sure, random], 300, np.random.default_rng(0))]), np.random.default_rng(0))
        assert model.habits["sure"].trust == pytest.approx(1.0, abs=0.1)
        assert abs(model.habits["random"].trust) < 0.2

    @pytest.mark.slow
    def test_junk_beside_a_good_listener_costs_little_of_the_strength(self) -> None:
        found = random_set(20)
        edits = torch.as_tensor(np.array([side.summary for pair in found.pairs for side in (pair.a, pair.b)]))
        good = Listener("good", {"joins": -1.0, "energy_rank": 1.0})

        def strength(*listeners: Listener) -> float:
            """Spread of utilities, mean of ten sessions; the good listener says the same in all company."""
            spreads = []
            for seed in range(10):
                rngs = [np.random.default_rng((seed, i)) for i in range(len(listeners))]
                answers = [session(found, [who], 200, rng) for who, rng in zip(listeners, rngs, strict=True)]
                model = learn(answers, RewardModelConfig(n_members=2), np.random.default_rng(seed)).model
                assert model is not None
                spreads.append(float(model.score(edits).mean.logit().std()))
            return float(np.mean(spreads))

        alone = strength(good)
        assert strength(good, Listener("by chance")) == pytest.approx(alone, rel=0.2)
        assert strength(good, Listener("by order", order=2.0)) == pytest.approx(alone, rel=0.2)

    def test_an_answer_by_taste_comes_of_a_trust_of_one(self) -> None:
        rng = np.random.default_rng(0)
        x, listener = rng.normal(size=(300, 1)), np.repeat([0, 1, 2], [150, 100, 50])
        sharpness = np.array([3.0, 1.0, 0.0])[listener]
        won = (rng.random(300) < 1 / (1 + np.exp(-sharpness * x[:, 0]))).astype(float)
        found = fit(Comparisons(x, np.zeros((300, 3)), won, listener, np.ones(300)), ridge=1.0, n_listeners=3)
        counted = np.array([150.0, 100.0, 50.0]) * (found.trust > 0)
        assert counted @ found.trust**2 == pytest.approx(counted @ found.trust)
        assert found.trust[0] > 1.0 > found.trust[1] > 0.2 > abs(found.trust[2])

    def test_an_answer_of_weight_two_is_two_answers(self) -> None:
        rng = np.random.default_rng(0)
        x, z, won = rng.normal(size=(60, 2)), rng.normal(size=(60, 3)), (rng.random(60) < 0.5).astype(float)
        listener = np.arange(60) % 3
        data = Comparisons(x, z, won, listener, np.ones(60))
        twice = fit(data.of(np.concatenate([np.arange(60), np.arange(20)])), ridge=1.0, n_listeners=3)
        weight = np.where(np.arange(60) < 20, 2.0, 1.0)
        weighed = fit(replace(data, weight=weight), ridge=1.0, n_listeners=3)
        for one, other in zip(twice, weighed, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-9)

    def test_a_listener_against_the_taste_lowers_what_is_predicted(self) -> None:
        found = random_set(20)
        good, against = Listener("good", {"joins": -2.0}), Listener("against", {"joins": 2.0})
        answers = session(found, [good, replace(good, name="like"), against], 600, np.random.default_rng(0))
        trial = held_out_trial(opinions([answers]), np.random.default_rng(0))
        assert trial is not None
        assert trial.accuracy < certainty(good, found) - 0.05
        assert trial.slope < 0.6


class TestChance:
    """Whether answers follow a taste at all."""

    def test_by_hand(self) -> None:
        # Eight songs, an answer each, all against transition faults, the faulty side first in every second one: T is
        # reached by the signs as they are and by all exchanged, in 2 of 2^8 draws.
        low, high = np.full(N, 0.5), np.full(N, 0.5)
        low[TRANSITION], high[TRANSITION] = 0.0, 1.0
        sides = [(low, high, True), (high, low, False)]
        told = [Preference(*sides[i % 2], group=f"song {i}") for i in range(8)]
        assert chance_without_taste(told, np.random.default_rng(0)) == pytest.approx(2 / 2**8, abs=0.005)
        # Answers for the first are a habit, and that habit explains them.
        first = [p._replace(first_preferred=True) for p in told]
        assert chance_without_taste(first, np.random.default_rng(0)) > 0.5

    @pytest.mark.parametrize("kind", ["chance", "order", "whims"])
    def test_without_a_taste_it_is_as_rare_as_it_says(self, kind: str) -> None:
        rng, found = np.random.default_rng(0), []
        for _ in range(200):
            edits, song = rng.normal(size=(2, 100, N)), np.arange(100) % 20
            edits[:, :, LENGTH] = 0.3 * np.exp(0.05 * edits[:, :, LENGTH])
            by_song = np.einsum("sn,sn->s", edits[0] - edits[1], rng.normal(size=(20, N))[song])  # another taste each
            chances = {"chance": np.full(100, 0.5), "order": np.full(100, 0.8), "whims": by_song > 0}
            told = zip(*edits, rng.random(100) < chances[kind], song, strict=True)
            preferences = [Preference(a, b, bool(won), group=str(g)) for a, b, won, g in told]
            found.append(chance_without_taste(preferences, rng))
        # 20 of 200 expected, with a standard deviation of 4.2.
        assert 8 <= sum(p <= 0.1 for p in found) <= 32

    @pytest.mark.slow
    def test_answers_by_chance_are_hardly_ever_learned(self) -> None:
        # Held-out accuracy with an interval over songs let three of these 15 pass.
        found = random_set(20)
        learned = []
        for seed in range(60, 75):
            answers = session(found, [Listener(str(seed))], 100, np.random.default_rng(seed))
            learned.append(learn([answers], RewardModelConfig(), np.random.default_rng(seed)).status)
        assert learned.count("learned") <= 1

    def test_a_good_listener_is_seen_among_junk(self) -> None:
        good = Listener("good", {"joins": -2.0, "energy_rank": 1.0})
        junk = [Listener("one"), Listener("other"), Listener("by order", order=2.0)]
        answers = session(random_set(20), [good, *junk], 400, np.random.default_rng(0))
        assert chance_without_taste(opinions([answers]), np.random.default_rng(0)) < 0.01

    def test_of_six_pairs_none_can_be_known(self) -> None:
        found = random_set(1, 6, n_anchors=0)
        listeners = [Listener(str(i), {"joins": -9.0}) for i in range(11)]
        answers = session(found, listeners, 66, np.random.default_rng(0))
        assert learn([answers], RewardModelConfig(), np.random.default_rng(0)).status == "too few"


class TestTrial:
    """What held-out answers come to, by hand."""

    def test_right_wrong_and_neither(self) -> None:
        better_by, first = np.array([0.5, 0.5, -0.5, -0.5, 0.0]), np.array([True, False, True, False, True])
        assert predicted_right(better_by, first).tolist() == [1.0, 0.0, 0.0, 1.0, 0.5]

    def test_reliability_is_of_the_likelier_side(self) -> None:
        found = _reliability(np.array([0.9, 0.1, 0.6, 0.4, 0.7]), np.array([True, False, True, True, False]))
        chances = pytest.approx([0.6, 0.6, 0.7, 0.9, 0.9])
        assert ([each.predicted for each in found], [each.chosen for each in found]) == (chances, [1, 0, 0, 1, 1])

    def test_answers_weigh_the_trust_in_their_listeners(self) -> None:
        """The first of three is right, and half of the trust; log odds are 1, -0.5 and 1 of those that come second."""
        better_by, trust = np.array([1.0, -1.0, 2.0]), np.array([1.0, 0.5, 0.5])
        first = np.array([True, True, False])
        found = _trial(better_by, trust, first, np.arange(3), 0.01, np.random.default_rng(0))
        logits = trust * better_by
        assert (found.n, found.accuracy, found.by_chance) == (3, 0.5, 0.01)
        # The slope is drawn to 1 with a deviation of a quarter: sum (y - p) u = 16 (slope - 1).
        left = (first - 1 / (1 + np.exp(-found.slope * logits))) @ logits
        assert left == pytest.approx(16 * (found.slope - 1), abs=1e-6)
        p = 1 / (1 + np.exp([-1.0, -0.5, -1.0]))
        assert found.calibration_error == pytest.approx(((1 - p[0]) + p[1] + p[2]) / 3)
        assert not found.beats_chance  # half is no more than a coin

    def test_bins_weigh_as_many_answers_as_they_hold(self) -> None:
        """Six answers in five bins: the two least sure are one."""
        u, ones, first = np.array([0.0, 0.0, 1.0, 2.0, 3.0, 4.0]), np.ones(6), np.array([True] * 6)
        found = _trial(u, ones, first, np.arange(6), 0.0, np.random.default_rng(0))
        assert [each.n for each in found.reliability] == [2, 1, 1, 1, 1]
        assert found.calibration_error == pytest.approx((1 - 1 / (1 + np.exp(-u))).mean())

    def test_the_interval_holds_nineteen_of_twenty(self) -> None:
        """Of a hundred songs half are predicted: a deviation of 0.05, 1.96 of which to either side."""
        per_song = np.stack([np.repeat([0.0, 1.0], 50), np.ones(100)], axis=1)
        assert share_interval(per_song, np.random.default_rng(0)) == pytest.approx((0.402, 0.598), abs=0.0101)


class TestFewSongs:
    """Of fewer than eight songs."""

    @pytest.mark.slow
    def test_whims_about_pairs_are_no_taste(self) -> None:
        # Four listeners agree on every pair, for reasons that no feature holds: with a pair on both sides of a split
        # its answers were predicted.
        statuses = [whims(3, seed).status for seed in range(4)]
        assert statuses.count("learned") == 0

    def test_a_taste_is_found(self) -> None:
        for n_songs in (1, 4):
            answers = session(random_set(n_songs, 60), [Listener("Ann", {"joins": -2.0})], 60, np.random.default_rng(0))
            assert learn([answers], RewardModelConfig(), np.random.default_rng(0)).status == "learned"


def whims(n_songs: int, seed: int) -> Learned:
    """What is learned of four listeners who like one side of every pair, drawn at random, in nine answers of ten."""
    found, rng = random_set(n_songs, 12, seed=seed, n_anchors=0), np.random.default_rng(seed)
    better = {pair.pair_id: rng.random() < 0.5 for pair in found.pairs}
    answers = session(found, [Listener(name) for name in "abcd"], 4 * len(better), rng)
    told = []
    for judgement in answers.judgements:
        asked = judgement.presentation
        follows = (asked.first == "a") == better[asked.pair_id]
        told.append(replace(judgement, choice="first" if follows == (rng.random() < 0.9) else "second"))
    return learn([replace(answers, judgements=tuple(told))], RewardModelConfig(), np.random.default_rng(seed))


class TestLearn:
    """From answers to a model, or none."""

    def test_no_answers_are_none(self, tmp_path: Path) -> None:
        learned = learn([], RewardModelConfig(), np.random.default_rng(0))
        assert (learned.status, learned.metrics()) == ("none", {"judgements": 0.0, "learned": 0.0})
        learned.save(tmp_path)
        assert load_learned(tmp_path) is None
        with pytest.raises(CheckpointError, match="run the stage reward_model"):
            load_learned(tmp_path / "elsewhere")

    def test_too_few_are_refused_with_the_number(self) -> None:
        answers = session(random_set(), [Listener("Ann", {"joins": -2.0})], 60, np.random.default_rng(0))
        told = [
            j for j in answers.judgements if j.choice != "unsure" and not j.presentation.pair_id.startswith("anchor")
        ]
        few = Preferences(answers.listening_set, tuple(told[:59]))
        learned = learn([few], RewardModelConfig(), np.random.default_rng(0))
        assert learned.status == "too few"
        assert "59 judgements, at least 60 are needed" in learned.reason
        one = learn(
            [Preferences(answers.listening_set, tuple(told[:1]))], RewardModelConfig(), np.random.default_rng(0)
        )
        assert "1 judgement, at least 60 are needed" in one.reason
        enough = Preferences(answers.listening_set, tuple(told[:60]))
        assert learn([enough], RewardModelConfig(), np.random.default_rng(0)).status == "learned"

    def test_enough_are_learned_and_predict_held_out_answers(self, tmp_path: Path) -> None:
        found = random_set()
        listener = Listener("Ann", {"joins": -1.0, "energy_rank": 1.0})
        learned = learn(
            [session(found, [listener], 200, np.random.default_rng(0))], RewardModelConfig(), np.random.default_rng(0)
        )
        assert learned.trial is not None
        assert learned.status == "learned"
        assert learned.trial.low > 0.5
        assert learned.trial.accuracy == pytest.approx(certainty(listener, found), abs=0.07)
        assert learned.trial.calibration_error < 0.1
        learned.save(tmp_path)
        model = load_learned(tmp_path)
        assert model is not None
        assert model.weights == learned.model.weights

    def test_what_is_learned_is_as_sure_as_held_out_answers_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Weights times the slope of the trial, as far as that is believed."""
        answers = session(random_set(), [Listener("Ann", {"joins": -2.0})], 100, np.random.default_rng(0))
        trial = held_out_trial(opinions([answers]), np.random.default_rng(0))
        assert trial is not None
        joins = []
        for slope in (1.0, 0.75, 1e6, -1.0):
            monkeypatch.setattr(learning, "held_out_trial", lambda *_, slope=slope: replace(trial, slope=slope))
            model = learn([answers], RewardModelConfig(n_members=2), np.random.default_rng(0)).model
            assert model is not None
            joins.append(model.weights["joins"][0])
        assert [each / joins[0] for each in joins] == pytest.approx([1.0, 0.75, MOST_SLOPE, LEAST_SLOPE])

    def test_comparisons_of_ratings_count_by_their_weight(self) -> None:
        """Twenty ratings of a song, ten of them twice, are 190 - 10 comparisons of a nineteenth of a judgement each."""
        edits = [heard("x", f"x{i}", np.full(N, 0.5)) for i in range(20)]
        ratings = tuple(Rating(str(i), "Ann", f"x{i}", 1 + i // 2) for i in range(20))
        given = Preferences(ListeningSet("rated", 0, SUMMARY_NAMES, (), tuple(edits)), (), ratings)
        learned = learn([given], RewardModelConfig(), np.random.default_rng(0))
        assert (learned.status, learned.n_judgements) == ("too few", pytest.approx(180 / 19))
        assert "at least 60 are needed" in learned.reason

    def test_songs_are_never_on_both_sides_of_a_split(self) -> None:
        groups = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"] * 2 + ["e"] + ["f"]
        folds = folds_of(groups, 3)
        assert all(len({f for g, f in zip(groups, folds, strict=True) if g == name}) == 1 for name in set(groups))
        assert sorted(np.bincount(folds).tolist()) == [5, 5, 6]  # 16, dealt out by size


class TestOpinions:
    """Answers as comparisons."""

    def test_what_is_louder_is_so_from_the_first_to_the_second(self) -> None:
        low, high = (heard("x", name, np.full(N, 0.5), lufs=lufs) for name, lufs in (("a", -20.0), ("b", -17.0)))
        found = ListeningSet(
            "one", 0, SUMMARY_NAMES, (Pair("p", "pair", low, high),), (low, replace(high, edit_id="c"))
        )
        asked = [Presentation(str(i), "Ann", "p", side, False) for i, side in enumerate(("a", "b"))]
        answers = tuple(Judgement(a, "first") for a in asked)
        ratings = (Rating("0", "Ann", "a", 3), Rating("1", "Ann", "c", 8))
        told = opinions([Preferences(found, answers, ratings)], without=())
        assert [p.louder_db for p in told] == [-3.0, 3.0, -3.0]
        assert [p.first_preferred for p in told] == [True, True, False]

    def test_sides_ties_and_silence(self) -> None:
        found = random_set(1, 4, n_anchors=1)
        first = found.pairs[0]
        asked = [Presentation(str(i), "Ann", p.pair_id, "b", False) for i, p in enumerate(found.pairs)]
        choices = ("first", "second", "same", "unsure", "first")
        answers = tuple(Judgement(a, c) for a, c in zip(asked, choices, strict=True))  # type: ignore[arg-type]
        told = judged_pairs(Preferences(found, answers))
        assert [p.first_preferred for p in told] == [True, False, None]  # "can't tell" and the anchor say nothing here
        assert np.array_equal(told[0].first, first.b.summary)
        assert np.array_equal(told[0].second, first.a.summary)
        assert {p.group for p in told} == {"song 0"}

    def test_who_prefers_broken_sides_is_left_out(self) -> None:
        found = random_set(1, 5, n_anchors=5)
        pairs = [found.pairs[0], *(pair for pair in found.pairs if pair.kind == "anchor")]

        def answers(listener: str, good: int, n: int) -> list[Judgement]:
            sides: list[Side] = ["a", *["a", "b"] * good, *["b", "a"] * 5]  # sides of anchors come first by turns
            asked = [Presentation(f"{listener}{i}", listener, p.pair_id, sides[i], False) for i, p in enumerate(pairs)]
            liked = ["a", *["a"] * good, *["b"] * (n - good)]
            chosen = ["first" if side == a.first else "second" for side, a in zip(liked, asked, strict=False)]
            choices = [*chosen, *["same"] * (5 - n)]
            return [Judgement(a, c) for a, c in zip(asked, choices, strict=True)]  # type: ignore[arg-type]

        given = Preferences(found, tuple(answers("Ann", 1, 5) + answers("Bo", 0, 5) + answers("Cy", 0, 4)))
        assert contrary([given]) == {"Bo": (0, 5)}  # 1 in 32 by tossing a coin; Ann's 6 in 32, Cy's 1 in 16
        assert [p.listener for p in opinions([given])] == ["Ann", "Cy"]
        assert [p.listener for p in opinions([given], without={"Cy"})] == ["Ann", "Bo"]

    def test_exchanged_buttons_do_not_weaken_a_taste(self) -> None:
        found = random_set()
        given = session(
            found, [Listener(name, {"joins": -2.0}) for name in ("Ann", "Bo")], 240, np.random.default_rng(0)
        )
        other = {"first": "second", "second": "first"}
        turned = [
            replace(j, choice=other.get(j.choice, j.choice)) if j.presentation.listener == "Bo" else j  # type: ignore[arg-type]
            for j in given.judgements
        ]
        alone = replace(given, judgements=tuple(j for j in given.judgements if j.presentation.listener == "Ann"))
        both, ann = (
            learn([each], RewardModelConfig(), np.random.default_rng(0))
            for each in (replace(given, judgements=tuple(turned)), alone)
        )
        assert both.model is not None
        assert ann.model is not None
        assert both.model.weights == ann.model.weights
        assert "left out are the answers of Bo, who chose the good side of " in both.reason
        assert both.n_judgements == ann.n_judgements

    def test_ratings_of_one_song_by_one_listener_are_compared(self) -> None:
        edits = [heard(song, f"{song}{i}", np.full(len(SUMMARY_NAMES), 0.5)) for song in "xy" for i in range(3)]
        found = ListeningSet("rated", 0, SUMMARY_NAMES, (), tuple(edits))
        given = [("Ann", "x0", 8), ("Ann", "x1", 3), ("Ann", "x2", 3), ("Ann", "y0", 9), ("Bo", "x1", 10)]
        ratings = tuple(Rating(str(i), *each) for i, each in enumerate(given))
        told = rated(Preferences(found, (), ratings))
        assert [(p.listener, p.first_preferred, p.weight, p.ordered) for p in told] == [
            ("Ann", True, 0.5, False),  # 8 against 3
            ("Ann", True, 0.5, False),  # and against the other 3; 3 against 3 says nothing, nor do y0 and Bo's alone
        ]

    def test_of_few_songs_a_pair_is_never_split(self) -> None:
        for n_songs, n_groups in ((7, 35), (8, 8)):
            found = random_set(n_songs, 5)
            listeners = [Listener("Ann", {"joins": -1.0}), Listener("Bo", order=1.0)]
            told = opinions([session(found, listeners, 400, np.random.default_rng(0))])
            edits = {frozenset((tuple(p.first), tuple(p.second))) for p in told}
            assert len(told) > 2 * len(edits) > 60  # both, and some of them twice
            assert len({p.group for p in told}) == n_groups
            assert len({(p.group, frozenset((tuple(p.first), tuple(p.second)))) for p in told}) == len(edits)

    def test_a_set_of_another_version_is_refused(self) -> None:
        found = ListeningSet("old", 0, ("joins",), ())
        with pytest.raises(DatasetError, match="its summaries lack tempo_faults"):
            columns_of(found)
        more = ListeningSet("new", 0, ("more", *SUMMARY_NAMES[::-1]), ())  # in another order, behind what is not known
        assert columns_of(more) == list(range(N, 0, -1))


class TestChoosing:
    """Active selection."""

    def test_the_most_telling_first(self) -> None:
        first = np.zeros((3, N))
        second = np.zeros((3, N))
        first[0, TRANSITION], first[1, TRANSITION] = 0.1, 5.0  # a small and a large difference of one kind
        first[2, SUMMARY_NAMES.index("joins")] = 2.0  # and one of another
        assert sorted(most_telling(first, second, 2)) == [1, 2]
        assert sorted(most_telling(first, second, 5)) == [0, 1, 2]

    def test_what_was_chosen_tells_less_of_its_kind(self) -> None:
        """Two pairs of one kind, four of another: x is sqrt(6 / 2) and sqrt(6 / 4).

        Gains are S^2 x^2 / 4 over 1 + S x^2 / 4, 0.43 and 0.27; the first kind's 0.17 with one asked, as S = 1 / 1.75.
        """
        first, second = np.zeros((6, N)), np.zeros((6, N))
        first[:2, TRANSITION], first[2:, SUMMARY_NAMES.index("joins")] = 5.0, 2.0
        assert most_telling(first, second, 2) == [0, 2]

    def test_gains_by_hand(self) -> None:
        """The pool's mean of x^2 is (1 + 4) / 2; h x^2 2.5 / (1 + h x^2), where the covariance is 1."""
        gains = _gains(np.array([[1.0], [2.0]]), np.eye(1), np.array([0.25, 0.1]))
        assert gains.tolist() == pytest.approx([0.25 * 2.5 / 1.25, 0.4 * 2.5 / 1.4])
        assert _standardised(np.array([[3.0], [3.0]])).tolist() == [[1.0], [1.0]]  # about 0, which is no difference

    def test_it_goes_by_what_was_said_of_either_side(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody knows more after "can't tell"; ties leave every pair open; a taste leaves few open."""
        found, seen = random_set(1, 40, n_anchors=3), []

        def gains(x: np.ndarray, covariance: np.ndarray, h: np.ndarray) -> np.ndarray:
            seen.append((covariance, h))
            return np.zeros(len(x))

        monkeypatch.setattr(choosing, "_gains", gains)
        joins, fresh = SUMMARY_NAMES.index("joins"), found.pairs[:1]

        def asked(choice_of: Callable[[Pair, Side], Choice]) -> tuple[np.ndarray, np.ndarray]:
            shown: list[tuple[Pair, Side]] = [(pair, "ab"[n % 2]) for n, pair in enumerate(found.pairs)]  # type: ignore[misc]
            said = [
                Judgement(Presentation(pair.pair_id, "Ann", pair.pair_id, side, False), choice_of(pair, side))
                for pair, side in shown
            ]
            assert ActiveChooser(found)(fresh, said) is fresh[0]
            return seen.pop()

        def fewer(pair: Pair, side: Side) -> Choice:
            first_has_fewer = (pair.a.summary[joins] < pair.b.summary[joins]) == (side == "a")
            return "first" if first_has_fewer else "second"

        covariance, h = asked(lambda *_: "unsure")
        assert np.array_equal(covariance, np.eye(len(covariance)))
        assert h.tolist() == [0.25] * 40  # anchors are none of the pool
        covariance, h = asked(lambda *_: "same")
        assert np.diag(covariance).max() < 0.5
        assert h.tolist() == pytest.approx([0.25] * 40)
        assert asked(fewer)[1].min() < 0.02

    def test_it_does_not_ask_again_what_it_knows(self) -> None:
        found = random_set(2, 40)
        answers = session(
            found, [Listener("Ann", {"joins": -1.0})], 30, np.random.default_rng(0), choose=ActiveChooser(found)
        )
        asked = [j.presentation.pair_id for j in answers.judgements if not j.presentation.repeat]
        assert len(set(asked)) == len(asked)

    @pytest.mark.slow
    def test_fewer_judgements_are_enough(self) -> None:
        judged_set, other = random_set(12, 40, seed=1), random_set(12, 40, seed=2)
        listener = Listener("Ann", {"joins": -1.0, "energy_rank": 1.0, "replayed": -0.6})
        truth = differences(listener, other, scale_of(other)) > 0
        pairs = [Preference(np.array(p.a.summary), np.array(p.b.summary), None) for p in other.pairs]

        def ranked(n: int, seed: int, choose: ActiveChooser | None) -> float:
            answers = session(judged_set, [listener], n, np.random.default_rng(seed), choose=choose)
            model = RewardModel(ridge=3.0)
            model.fit(opinions([answers]), np.random.default_rng(seed))
            return float(((model.predict(pairs) > 0.5) == truth).mean())

        active = np.mean([ranked(90, seed, ActiveChooser(judged_set)) for seed in range(8)])
        chance = np.mean([ranked(150, seed, None) for seed in range(8)])
        assert active > chance  # with 60 % of the judgements
