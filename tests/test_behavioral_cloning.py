"""Cloning an editor whose rule can be heard, on songs of two dozen beats."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_tracks import in_slices, toy_config, toy_demonstration, toy_demonstrations

from rl_editor.actions import ActionSpace, ReorderAction
from rl_editor.behavioral_cloning import BEST, LAST, STATE, _Cloning, _score, cloning_loss, main, train_bc
from rl_editor.checkpoint import load_policy
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.environment.batched import Scores
from rl_editor.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from rl_editor.lessons import (
    Lesson,
    Lessons,
    Student,
    class_weights,
    kinds_of,
    late_actions,
    lessons_of,
    seed_of,
    songs_of,
    style_order,
    task_of,
    usual_scores,
)
from rl_editor.logging_utils import TrainingLogger
from rl_editor.reward.terms import BEST_SCORE
from rl_editor.state import PROGRESS_NAMES
from rl_editor.tryouts import TriedEdits, Tryout, agreement
from rl_editor.usual_length import UsualLengths

CPU = torch.device("cpu")


def fast(epochs: int = 30, **sections: dict) -> Config:
    bc = {"epochs": epochs, "batch_tracks": 2, "learning_rate": 0.005, "patience_epochs": 100}
    return toy_config(**({"bc": bc | sections.pop("bc", {})} | sections))


class Recorder(TrainingLogger):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def _write_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.steps.append(step)


@pytest.mark.slow
def test_it_learns_an_audible_rule_and_holds_on_other_songs(tmp_path: Path) -> None:
    config, recorder = fast(15), Recorder()
    result = train_bc(toy_demonstrations(config), config, logger=recorder, save_dir=tmp_path)
    assert result.metrics["validation/balanced_accuracy"] > 0.95
    assert result.metrics["train/balanced_accuracy"] > 0.9
    assert recorder.steps == list(range(15))
    best = load_policy(tmp_path / BEST)
    assert best.metrics == result.metrics
    assert best.styles == ("quiet_goes",)
    for name, tensor in result.policy.agent.state_dict().items():
        assert torch.equal(best.agent.state_dict()[name], tensor), name
    assert (tmp_path / LAST).exists()


def test_a_policy_fades_as_its_editor_usually_does() -> None:
    """Songs that choose when to stop teach it as well, copies do not; who never fades does not begin to."""
    config = fast(1)

    def fading(seed: int, fade_ms: float, *, is_copy: bool = False, **how: str) -> Demonstration:
        made = toy_demonstration(seed, config, **how)  # the editor cuts the last two seconds, and plays the first
        return replace(made, edit=replace(made.edit, fade_out_ms=fade_ms), is_copy=is_copy)

    demos = [
        fading(1, 800.0),
        fading(2, 0.0),
        fading(3, 1000.0, split="validation"),
        *(fading(seed, 0.0, is_copy=True) for seed in (4, 5)),
        *(fading(seed, 50.0, style="loud_goes") for seed in (6, 7)),
    ]
    policy = train_bc(demos, config).policy
    assert policy.styles == ("loud_goes", "quiet_goes")
    assert policy.agent.usual_fades.table[0].tolist() == [0.0, 0.0, 0.0]
    assert policy.agent.usual_fades.table[1].tolist() == [0.0, 900.0, 0.0]


@pytest.mark.slow
def test_two_editors_who_disagree_are_told_apart_by_style() -> None:
    config = fast(20, bc={"learning_rate": 0.01, "weight_average": 0.5})
    demos = [
        toy_demonstration(seed, config, split=split, style=style)
        for seed, split in enumerate(["train"] * 5 + ["validation"] * 2)
        for style in ("quiet_goes", "loud_goes")
    ]
    result = train_bc(demos, config)
    assert result.policy.styles == ("loud_goes", "quiet_goes")
    assert result.metrics["validation/balanced_accuracy"] > 0.95  # without the style, one half is always wrong


def weights_of(config: Config, save_dir: Path | None = None) -> dict[str, torch.Tensor]:
    return dict(train_bc(toy_demonstrations(config), config, save_dir=save_dir).policy.agent.state_dict())


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = weights_of(fast(2, agent={"dropout": 0.2})), weights_of(fast(2, agent={"dropout": 0.2}))
    other = weights_of(fast(2, agent={"dropout": 0.2}, training={"seed": 1}))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    dropout = {"dropout": 0.2}
    whole = weights_of(fast(4, agent=dropout), tmp_path / "whole")
    weights_of(fast(2, agent=dropout), tmp_path / "killed")
    resumed = weights_of(fast(4, agent=dropout, training={"resume": True}), tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    for name in (BEST, LAST):
        left, right = load_policy(tmp_path / "whole" / name), load_policy(tmp_path / "killed" / name)
        assert left.metrics == right.metrics


def test_what_is_kept_are_averaged_weights(tmp_path: Path) -> None:
    def last(epochs: int, average: float) -> dict[str, torch.Tensor]:
        weights_of(fast(epochs, bc={"weight_average": average}), tmp_path)
        return dict(load_policy(tmp_path / LAST).agent.named_parameters())

    first, second, averaged = last(1, 0.0), last(2, 0.0), last(2, 0.8)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name in first:
        torch.testing.assert_close(averaged[name], (first[name] + second[name]) / 2, equal_nan=True)


@pytest.mark.filterwarnings("ignore")
def test_augmented_copies_prove_no_habit() -> None:
    config = fast(epochs=1, bc={"trees": 5})
    own = toy_demonstrations(config)
    copies = [replace(d, pair_id=f"{d.pair_id}.aug0", is_copy=True) for d in own if d.split == "train"]
    alone, beside = (train_bc(given, config).policy.agent for given in (own, [*own, *copies]))
    assert torch.equal(alone.usual_lengths.table, beside.usual_lengths.table)
    grown = [dict(agent.trees.named_buffers()) for agent in (alone, beside)]
    assert all(torch.equal(grown[0][name], grown[1][name]) for name in grown[0])


@pytest.mark.filterwarnings("ignore")
def test_songs_that_choose_the_epoch_teach_what_is_usual_as_well() -> None:
    config = fast(epochs=1)
    own = toy_demonstrations(config)
    assert {d.split for d in own} == {"train", "validation"}
    duration_s = torch.tensor([d.grid.duration_s for d in own])
    ratio = torch.tensor([d.edit.duration_s for d in own]) / duration_s
    expected = UsualLengths(config.state.n_styles)
    expected.fit(ratio, duration_s, torch.zeros(len(own), dtype=torch.long))
    torch.testing.assert_close(train_bc(own, config).policy.agent.usual_lengths.table, expected.table)


@pytest.mark.parametrize(("batch_tracks", "loss"), [(2, "train/loss"), (100, "validation/loss")])
def test_a_loss_that_is_none_is_said(batch_tracks: int, loss: str, tmp_path: Path) -> None:
    # of one minibatch the training loss is that of the weights before its step: only validation sees what came of it
    with pytest.raises(TrainingError, match=rf"epoch 0: {loss} is nan; lower bc\.learning_rate"):
        weights_of(fast(1, bc={"learning_rate": 1e9, "batch_tracks": batch_tracks}), tmp_path)


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    weights_of(fast(1), tmp_path)
    with pytest.raises(CheckpointError, match=STATE):
        weights_of(fast(2, bc={"learning_rate": 0.001}, training={"resume": True}), tmp_path)


def test_accumulated_minibatches_are_one_large_one() -> None:
    # two minibatches of two songs, accumulated, give the mean of two means: with labels of equal weight and songs of
    # equal length that is the mean over all four songs
    demos = [toy_demonstration(seed, toy_config(), n_beats=24) for seed in range(4)]
    plain = {"batch_tracks": 4, "feature_noise": 0.0, "class_balance": 0.0}
    large = fast(1, bc=plain)
    pieces = fast(1, bc=plain | {"batch_tracks": 2}, training={"gradient_accumulation_steps": 2})
    first, second = (train_bc(demos, c).policy.agent.state_dict() for c in (large, pieces))
    # one AdamW step moves each weight by about the learning rate, 5e-3, whatever the gradient: compare far below it
    close = [torch.isclose(first[name], second[name], atol=2e-4).float().mean() for name in first]
    assert sum(close) / len(close) > 0.97


def test_training_stops_when_nothing_gets_better() -> None:
    config = fast(60, bc={"patience_epochs": 3, "learning_rate": 1.0e-30})  # no weight moves, not even its last bit
    result = train_bc(toy_demonstrations(config), config)
    assert (result.best_step, len(result.history)) == (0, 1 + 3)


def test_lessons_are_the_environments_own_observations() -> None:
    config = fast()
    demos = toy_demonstrations(config)[:2]  # 20 and 24 beats
    lessons = lessons_of(songs_of(demos, ("quiet_goes",), config, CPU), config)
    assert lessons.weight[:, 0].sum(1).tolist() == [20.0, 20.0]  # confidence and coverage 1, nothing past the end
    assert lessons.weight[:, 1].sum(1).tolist() == [24.0, 24.0]
    assert lessons.observation.unit[0, 1].tolist() == list(range(24))
    free, timed = lessons.observation.progress
    assert not torch.equal(free, timed)  # only one of them knows the target
    has_target = lessons.observation.progress[..., PROGRESS_NAMES.index("has_target")]
    assert has_target.flatten(1).amin(1).tolist() == has_target.flatten(1).amax(1).tolist() == [0.0, 1.0]
    lesson = lessons.of(torch.tensor([1, 0]), torch.tensor([1, 0]))
    assert len(lesson.actions) == 44
    assert lesson.observation.track.bincount().tolist() == [24, 20]
    assert lesson.observation.mask.gather(1, lesson.actions[:, None]).all()


def test_smoothing_by_hand() -> None:
    # kinds KEEP 1/2, CUT 1/4, REORDER 1/8 + 1/8; s = 0.3, label KEEP:
    # 0.7 log 2 + 0.1 (log 2 + log 4 + log 4)
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    mask = torch.ones(1, 4, dtype=torch.bool)
    got = cloning_loss(logits, torch.tensor([0]), mask, smoothing=0.3, first_reorder=2)
    assert got.item() == pytest.approx(0.7 * math.log(2) + 0.1 * (math.log(2) + 2 * math.log(4)))


def test_the_loss_is_the_mean_by_weight_of_label_and_class() -> None:
    config = fast()
    demo = toy_demonstration(0, config, n_beats=20)
    unsure = replace(demo, labels=replace(demo.labels, confidence=torch.linspace(0.1, 1.0, 20).double().numpy()))
    cloning = _Cloning([unsure], config, TrainingLogger(), None)
    lesson = cloning.train_set.lessons.of(torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long))
    logits = torch.randn(20, cloning.agent.layout.n_actions, generator=torch.Generator().manual_seed(0))
    found = cloning._losses(logits, lesson, smoothing=0.0)
    weights, total = [], 0.0
    for row, action, confidence in zip(logits, demo.labels.actions.tolist(), unsure.labels.confidence, strict=True):
        weights.append(float(confidence * cloning.class_weight[action]))
        total -= weights[-1] * float(row.log_softmax(0)[action])
    assert cloning.class_weight[0] != cloning.class_weight[1]
    assert (float(found.total), float(found.weight)) == (pytest.approx(total), pytest.approx(sum(weights)))


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_lessons_are_given_without_a_length_as_often_as_is_asked(
    dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[torch.Tensor] = []
    given = Lessons.of

    def noted(self: Lessons, variant: torch.Tensor, song: torch.Tensor) -> Lesson:
        taught.append(variant)
        return given(self, variant, song)

    config = fast(1, training={"duration_dropout": dropout})
    cloning = _Cloning(toy_demonstrations(config), config, TrainingLogger(), None)
    monkeypatch.setattr(Lessons, "of", noted)
    cloning._epoch(0)
    assert torch.cat(taught).tolist() == [int(1.0 - dropout)] * 6  # variant 1 knows the length


def test_what_chooses_the_epoch_by_hand() -> None:
    agreed = {"validation/balanced_accuracy": 0.8, "validation/macro_recall": 0.6, "validation/loss": 2.0}
    assert _score(agreed | {"train/loss": 9.0}) == pytest.approx((0.8 + 0.6) / 2 - 0.001 * 2.0)
    assert _score({"train/loss": 3.0, "train/balanced_accuracy": 1.0}) == -3.0


def test_class_weights_by_hand() -> None:
    # 32 KEEP and 8 CUT: mean 20, so (20/32)**0.5 and (20/8)**0.5; what never occurs weighs 1
    config = fast()
    demo = toy_demonstration(0, config, n_beats=20)
    n_keep, n_cut = (int((demo.labels.actions == a).sum()) for a in (0, 1))
    lessons = lessons_of(songs_of([demo], ("quiet_goes",), config, CPU), config)
    weights = class_weights(lessons, kinds_of(ActionSpace(config.action_space), CPU), balance=0.5)
    assert weights[:3].tolist() == pytest.approx([math.sqrt(10 / n_keep), math.sqrt(10 / n_cut), 1.0])


def test_agreement_by_hand() -> None:
    space = ActionSpace(toy_config().action_space)  # KEEP 0, CUT 1, LOOP2 2, EXTEND 3, REORDER from 4
    predicted, actual = torch.tensor([0, 0, 1, 1, 2, 5]), torch.tensor([0, 1, 1, 1, 0, 4])
    # plays: labels 0, 0, 4 all predicted to play: 1; cut: 2 of 3. KEEP 1 of 2, CUT 2 of 3, REORDER 1 of 1
    got = agreement(predicted, actual, kinds_of(space, CPU))
    assert got["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert got["recall_keep"] == 0.5
    assert got["recall_cut"] == pytest.approx(2 / 3)
    assert got["recall_reorder"] == 1.0
    assert "recall_loop" not in got
    assert got["exact"] == 0.5


def test_of_keeping_and_cutting_the_one_that_occurs_counts() -> None:
    kinds = kinds_of(ActionSpace(toy_config().action_space), CPU)
    for actual in (0, 1):
        got = agreement(torch.tensor([actual, actual, actual, 1 - actual]), torch.full((4,), actual), kinds)
        assert got["balanced_accuracy"] == got["macro_recall"] == 0.75


def test_edits_shown_the_length_come_first_draw_by_draw_and_units_without_a_label_do_not_count() -> None:
    config = toy_config()
    songs = songs_of(toy_demonstrations(config)[:2], ("quiet_goes",), config, CPU)  # 20 and 24 beats
    theirs = songs.actions
    edits = torch.cat([theirs, theirs, 1 - theirs, theirs])  # with the length twice as the editor; without it once
    made = TriedEdits(edits, Scores(*(torch.arange(8.0) for _ in Scores._fields)))
    found = Tryout(songs, config, n_draws=2, temperature=1.0).judged(made)
    assert (found.shown.agreed["exact"], found.hidden.agreed["exact"]) == (1.0, 0.5)
    assert found.hidden.agreed["balanced_accuracy"] == 0.5
    assert [half.edits.scores[0].tolist() for half in found] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert torch.equal(found.hidden.edits.actions, edits[4:])


def test_a_label_weighs_its_confidence_times_what_the_actions_explain() -> None:
    config = toy_config()
    demo = toy_demonstration(0, config)
    labels = replace(demo.labels, confidence=demo.labels.confidence * 0.5, coverage=0.8)
    songs = songs_of([replace(demo, labels=labels)], ("quiet_goes",), config, CPU)
    assert songs.weight[0].tolist() == pytest.approx([0.4] * 24)


def test_the_length_asked_for_is_the_edits_over_the_recordings() -> None:
    config = toy_config()
    demo = toy_demonstration(0, config)
    assert task_of(demo, ("quiet_goes",), config).target_ratio == (demo.labels.actions == 0).mean()  # beats alike


def test_epochs_of_neighbouring_seeds_share_no_draws() -> None:
    assert len({seed_of(seed, step) for seed in range(3) for step in range(1000)}) == 3000
    assert torch.Generator().manual_seed(seed_of(2**63 - 1, 1000)) is not None


def test_a_song_of_which_no_decision_tells_does_not_choose(tmp_path: Path) -> None:
    config = fast(2)
    *teach, choose = toy_demonstrations(config, n_validation=1)
    result = train_bc([*teach, in_slices(choose, config)], config, save_dir=tmp_path)
    assert "validation/loss" not in result.metrics
    assert load_policy(tmp_path / BEST).metrics == result.metrics


def test_what_cannot_be_learned_from_is_said() -> None:
    config = fast(1)
    with pytest.raises(DatasetError, match="none to train on"):
        train_bc([toy_demonstration(0, config, split="test")], config)
    with pytest.raises(DatasetError, match=r"1 demonstration to train on.*lower action_space\.unit_beats"):
        train_bc([in_slices(toy_demonstration(0, config), config)], config)
    many = [toy_demonstration(i, config, style=f"editor{i}") for i in range(3)]
    with pytest.raises(ConfigError, match="raise it to 3"):
        style_order(many, config)
    other_units = toy_config(action_space={"unit_beats": 4})
    with pytest.raises(DatasetError, match="label it again"):
        train_bc([toy_demonstration(0, config)], other_units)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[Config] = []

    def stand_in(data_dir: Path, config: Config, *, augmented: bool) -> list[object]:
        asked.append(config)
        cutter = in_slices(toy_demonstration(9, config, split="test"), config)
        found = [*toy_demonstrations(config, n_train=2, n_validation=1), replace(cutter, style="slices")]
        return [*found, replace(found[0], is_copy=True)] if augmented else found

    monkeypatch.setattr("rl_editor.loading.load_demonstrations", stand_in)
    (tmp_path / "params.yaml").write_text(json.dumps(fast(7).to_dict()))  # JSON is YAML
    main(data_dir=tmp_path, save_dir=tmp_path / "models", epochs=2, config=tmp_path / "params.yaml", device="cpu")
    assert asked[0].bc.epochs == 2  # the command line goes before the file
    assert asked[0].features.feature_mode == "basic"
    assert load_policy(tmp_path / "models" / BEST).styles == ("quiet_goes",)
    main(data_dir=tmp_path, save_dir=tmp_path / "models", epochs=1, device="cpu", config=tmp_path / "params.yaml")
    said = capsys.readouterr().err
    assert "epoch 1 of 1, " in said  # people count from one
    assert "pairs: 2 to learn from, 1 to choose by, 1 held out" in said  # a copy is no pair
    assert "style 'slices' (1 pair): decisions tell 0% of what plays" in said
    (tmp_path / "params.yaml").write_text("bc: [")
    with pytest.raises(ConfigError, match="not readable YAML"):
        main(data_dir=tmp_path, config=tmp_path / "params.yaml")


def test_a_label_that_no_environment_allows_is_not_learned() -> None:
    """A move of the last of 24 units to before a 25th, where the recording has ended."""
    config = toy_config()
    demo, space = toy_demonstration(0, config), ActionSpace(config.action_space)
    beyond = demo.labels.actions.copy()
    beyond[23] = space.encode(ReorderAction(23, 25))
    songs = songs_of([replace(demo, labels=replace(demo.labels, actions=beyond))], ("quiet_goes",), config, CPU)
    assert lessons_of(songs, config).weight[:, 0].tolist() == [[*[1.0] * 23, 0.0]] * 2


def test_what_stands_in_for_a_region_that_was_not_opened() -> None:
    space = ActionSpace()
    move = space.encode(ReorderAction(4, 0))
    # KEEP, loop of two units, CUT, move of two units to the front
    actions = [0, 2, space.extend, 1, move, space.extend]
    again = space.encode(ReorderAction(5, 0))  # the same place, from one unit further on
    assert late_actions(actions, space) == [0, 2, 0, 1, move, again]
    near = ActionSpace(toy_config().action_space)  # whose moves reach three units
    ahead, back = near.encode(ReorderAction(0, 3)), near.encode(ReorderAction(4, 1))
    moves = [ahead, near.extend, 0, 0, back, near.extend]  # the last one would have to come back by four
    assert late_actions(moves, near) == [ahead, near.encode(ReorderAction(1, 3)), 0, 0, back, 0]


def test_an_environment_of_songs_follows_their_editors_and_lengths() -> None:
    config, styles = toy_config(), ("loud_goes", "quiet_goes")
    demos = [toy_demonstration(seed, config, style=styles[1 - seed]) for seed in (0, 1)]
    assert style_order(demos, config) == styles
    songs = songs_of(demos, styles, config, CPU)
    env = songs.environment(config, n_envs=2, generator=torch.Generator(), target_dropout=0.25)
    assert env.reset(torch.tensor([0, 1])).style.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert env.target_ratios.tolist() == songs.target_ratio.tolist()
    assert env.target_dropout == 0.25


def test_what_is_usual_of_an_editor_is_the_mean_of_their_own_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 0.2 and 0.4, and of 0.9 alone, as nothing is known of the other song; of a third editor there is no edit."""
    config, styles = toy_config(state={"n_styles": 3}), ("loud_goes", "nobody", "quiet_goes")
    demos = [toy_demonstration(seed, config, style=styles[2 * (seed // 2)]) for seed in range(4)]
    songs = songs_of(demos, styles, config, CPU)
    known = torch.tensor([[1.0], [1.0], [0.0], [1.0]])
    monkeypatch.setattr("rl_editor.lessons._demonstrated_scores", lambda *_: torch.tensor([0.2, 0.4, 0.1, 0.9]))
    usual = usual_scores(replace(songs, weight=songs.weight * known), config)
    assert usual == pytest.approx((0.3, BEST_SCORE, 0.9))


def test_lessons_of_a_student_ask_for_the_editors_decision_where_the_student_is() -> None:
    config = toy_config()
    songs = songs_of([toy_demonstration(0, config)], ("quiet_goes",), config, CPU)
    cut = torch.full((2,), 1)
    student = Student(lambda observation: cut, 1.0, torch.Generator().manual_seed(0))
    alone, led = lessons_of(songs, config), lessons_of(songs, config, student=student)
    assert torch.equal(alone.actions, led.actions)  # KEEP and CUT do not depend on the path
    assert not torch.equal(alone.observation.progress, led.observation.progress)


def test_every_episode_leaves_a_share_of_its_own_to_the_student() -> None:
    """Of 80 episodes, at most all decisions: half on average, with a deviation of 0.29 / sqrt(80) = 0.03."""
    config = toy_config()
    songs = songs_of([toy_demonstration(seed, config) for seed in range(40)], ("quiet_goes",), config, CPU)
    cut = torch.full((80,), 1)

    def played(share: float) -> torch.Tensor:
        """How much of what the editor plays is played, by episode."""
        student = Student(lambda observation: cut, share, torch.Generator().manual_seed(0))
        lessons = lessons_of(songs, config, student=student)
        plays = lessons.observation.progress[:, :, 1:, PROGRESS_NAMES.index("last_plays")] > 0  # of the unit before
        kept = (lessons.actions == 0)[:, :, :-1]
        return (plays & kept).sum(2).flatten() / kept.sum(2).flatten()

    assert (played(0.0) == 1.0).all()
    left = played(1.0)
    assert float(left.mean()) == pytest.approx(0.5, abs=0.1)
    assert float(left.std()) > 0.2  # some are left alone, some hardly


def test_draws_are_the_more_cautious_the_lower_their_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_config()
    songs = songs_of(toy_demonstrations(config)[:1], ("quiet_goes",), config, CPU)
    drawn_from: list[torch.Tensor] = []

    def sampled(log_probs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        drawn_from.append(log_probs)
        return log_probs.argmax(1)

    monkeypatch.setattr("rl_editor.tryouts.sample", sampled)
    logits = torch.tensor([[0.0, 1.0, 3.0]])
    assert Tryout(songs, config, temperature=0.5)._decided(logits).tolist() == [2]
    torch.testing.assert_close(drawn_from[0], torch.tensor([[0.0, 2.0, 6.0]]).log_softmax(1))
    assert Tryout(songs, config)._decided(logits).tolist() == [2]
    assert len(drawn_from) == 1  # the likeliest are not drawn
