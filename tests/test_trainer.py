"""PPO on songs of two dozen beats: it earns reward, stays near the clone, and can be killed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_tracks import in_slices, toy_config, toy_demonstration, toy_demonstrations

from rl_editor.agent import Agent
from rl_editor.checkpoint import Policy, TrainingResult, load_policy, save_policy
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from rl_editor.evaluation.comparison import state_of
from rl_editor.logging_utils import TrainingLogger
from rl_editor.reward import SUMMARY_NAMES, TERM_NAMES, ReferenceStatistics, RewardCalculator
from rl_editor.rollouts import Rollout, by_song
from rl_editor.train_unified import beyond_loop_limits, fine_tune, main, said_of
from rl_editor.trainer import BEST, LOSSES, PPOTrainer

STYLES = ("quiet_goes",)
STEPS = 28 * 12  # one update: the longest toy song by the environments


def fast(**sections: dict) -> Config:
    ppo = {"n_envs": 12, "epochs": 2, "minibatches": 2, "learning_rate": 0.003, "target_kl": 0.05}
    ppo |= {"remixes": 0}
    return toy_config(**({"ppo": ppo | sections.pop("ppo", {})} | sections))


def trainer_of(config: Config, **options) -> PPOTrainer:
    return PPOTrainer(config, Agent(config), toy_demonstrations(config), styles=STYLES, **options)


def trained(config: Config, updates: int, **options) -> TrainingResult:
    return trainer_of(config, **options).train(updates * STEPS)


@pytest.mark.slow
def test_it_raises_the_reward(tmp_path: Path) -> None:
    many = {"n_envs": 64, "minibatches": 4}  # episodes of an update, whose mean score would else vary by 0.03
    config = fast(ppo=many | {"kl_coeff": 0.0, "entropy_coeff": 0.01, "epochs": 4, "agreement_loss": 1.0})
    trainer = trainer_of(config, save_dir=tmp_path)
    result = trainer.train(13 * trainer.decisions_per_update)
    first, last = result.history[1]["rollout/score"], result.history[-1]["rollout/score"]
    assert last > first + 0.1
    best = max(entry["validation/score"] for entry in result.history if "validation/score" in entry)
    assert result.metrics["validation/score"] == best >= result.history[0]["validation/score"]
    assert load_policy(tmp_path / BEST).metrics == result.metrics


def test_the_editors_own_edits_say_what_is_enough() -> None:
    config = fast()
    calculator = RewardCalculator(config)
    own = [
        calculator.score(d.edit, state_of(d), target_duration_s=d.edit.duration_s).total
        for d in toy_demonstrations(config)
        if d.split == "train"
    ]
    result = trained(config, 1)
    assert result.policy.objective is not None
    assert result.policy.objective.enough == (pytest.approx(sum(own) / len(own), abs=1e-4),)
    assert min(own) < 0.9  # there is more to be had


def test_what_is_kept_agrees_with_the_editor_about_as_well_as_the_clone() -> None:
    config = fast(ppo={"kl_coeff": 0.0, "entropy_coeff": 0.01, "epochs": 4, "agreement_loss": 0.01})
    result = trained(config, 6)
    clone = result.history[0]["validation/balanced_accuracy"]
    checked = [entry for entry in result.history if "validation/score" in entry]
    allowed = [e for e in checked if e["validation/balanced_accuracy"] >= clone - 0.01]
    assert len(allowed) < len(checked)  # the reward alone would have gone further
    assert result.metrics["validation/score"] == max(entry["validation/score"] for entry in allowed)


def test_the_reward_does_not_move_the_editors_habits() -> None:
    config = fast(ppo={"agreement_loss": 1.0})
    agent = Agent(config)
    agent.policy.habits.table.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    clone = {name: tensor.clone() for name, tensor in agent.state_dict().items()}
    refined = PPOTrainer(config, agent, toy_demonstrations(config), styles=STYLES).train(6 * STEPS)
    weights_ = refined.policy.agent.state_dict()
    moved = {name for name, tensor in weights_.items() if not torch.equal(tensor, clone[name])}
    assert {"encoder.row.weight", "policy.kinds.weight"} < moved
    assert "policy.habits.table.weight" not in moved


def test_every_reward_term_and_the_action_histogram_are_logged() -> None:
    metrics = trained(fast(), 1).history[1]
    assert all(0 <= metrics[f"rollout/{name}"] <= 1 for name in TERM_NAMES)
    kinds = [metrics[f"actions/{kind}"] for kind in ("keep", "cut", "loop", "extend", "reorder")]
    assert sum(kinds) == pytest.approx(1.0)
    assert {f"loss/{name}" for name in LOSSES} < set(metrics)


def test_finished_music_is_what_the_reward_measures_against() -> None:
    config = fast()
    lenient = ReferenceStatistics(100.0, 100.0, shortest_s=1.0, longest_s=100.0)  # of any step: nothing is a fault
    scores = {}
    for reference in (None, lenient):
        trainer = PPOTrainer(config, Agent(config), toy_demonstrations(config), styles=STYLES, reference=reference)
        assert trainer.songs.reference is trainer.validation_songs.reference is reference
        env = trainer.songs.environment(config, n_envs=6, generator=torch.Generator().manual_seed(0))
        env.reset(torch.arange(6))
        cut_every_other = torch.arange(28) % 2  # KEEP 0, CUT 1: joins everywhere
        for action in cut_every_other.tolist():
            result = env.step(torch.full((6,), action), auto_reset=False)
        scores[reference] = result.info.terms[:, TERM_NAMES.index("energy")].mean()
    assert scores[lenient] > 0.95 > scores[None]
    assert (
        PPOTrainer(config, Agent(config), toy_demonstrations(config), styles=STYLES).fingerprint != trainer.fingerprint
    )


def test_the_clone_holds_the_policy_back() -> None:
    # without reward or entropy to gain, a heavy penalty keeps the policy where it was
    free = trained(fast(ppo={"kl_coeff": 0.0}), 3).history[-1]["loss/clone_kl"]
    held = trained(fast(ppo={"kl_coeff": 20.0}), 3).history[-1]["loss/clone_kl"]
    assert held < 0.3 * free


def test_an_update_stops_at_the_target_kl() -> None:
    wild = {"learning_rate": 0.05, "epochs": 8}
    assert trained(fast(ppo=wild | {"target_kl": 0.001}), 1).history[1]["loss/epochs"] < 2
    assert trained(fast(ppo=wild | {"target_kl": 1000.0}), 1).history[1]["loss/epochs"] == 8


def test_the_first_minibatch_starts_from_the_policy_that_acted() -> None:
    once = fast(ppo={"epochs": 1, "minibatches": 1, "entropy_coeff": 0.0})
    metrics = trained(once, 1).history[1]
    assert metrics["loss/approx_kl"] == pytest.approx(0.0, abs=1e-5)  # encoding again changes nothing
    assert metrics["loss/policy"] == pytest.approx(0.0, abs=1e-4)  # ratio 1: minus the mean of normalised advantages
    assert metrics["loss/clone_kl"] == pytest.approx(0.0, abs=1e-6)


def collected(trainer: PPOTrainer) -> Rollout:
    """What the trainer's environments did; the clone has heard the songs."""
    trainer.agent.eval()
    with torch.no_grad():
        trainer.clone_embeddings = trainer.clone.encode(trainer.songs.batch)
    trainer.generator.manual_seed(0)
    return trainer.collect()


def test_what_decisions_were_worth_is_discounted_and_ends_with_its_episode() -> None:
    trainer = trainer_of(fast(ppo={"gamma": 0.9, "gae_lambda": 0.5}))
    rollout = collected(trainer)
    samples = trainer._samples(rollout)
    assert rollout.done.any()
    after, worth = rollout.value_end, torch.zeros_like(rollout.value_end)
    worths = []
    for r, v, done in zip(*(part.flip(0) for part in (rollout.reward, rollout.value, rollout.done)), strict=True):
        goes_on = 0.9 * ~done
        worth = r + goes_on * after - v + 0.5 * goes_on * worth
        worths.append(worth)
        after = v
    advantage = torch.stack(worths[::-1])
    torch.testing.assert_close(samples.value_target, (advantage + rollout.value).flatten())
    spread = (advantage - advantage.mean()).square().mean().sqrt()
    torch.testing.assert_close(samples.advantage, ((advantage - advantage.mean()) / spread).flatten())
    torch.testing.assert_close(samples.log_prob, rollout.log_prob.flatten())


def test_the_loss_by_hand() -> None:
    settings = {"value_coeff": 0.7, "entropy_coeff": 0.2, "kl_coeff": 0.3, "clip_ratio": 0.1, "kl_balance": 0.5}
    trainer = trainer_of(fast(ppo=settings))
    part = trainer._samples(collected(trainer)).of(torch.arange(0, STEPS, 5))
    with torch.no_grad():  # it has moved since
        for weight in trainer.agent.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        heard = trainer.agent.encode(trainer.songs.batch)
        found = trainer._losses(heard, part)
        decision = trainer.agent.decide(heard, part.observation)
    log_p, n_plain = decision.logits.log_softmax(1), trainer.agent.layout.first_reorder
    p, clone = log_p.exp(), part.clone_log_probs.exp()
    log_ratio = log_p[torch.arange(len(p)), part.action] - part.log_prob
    ratio, gain = log_ratio.exp(), part.advantage
    gained = torch.minimum(ratio * gain, ratio.clamp(0.9, 1.1) * gain).mean()
    value = ((decision.value - part.value_target) ** 2).mean() / 2
    kinds = torch.cat([p[:, :n_plain], p[:, n_plain:].sum(1, keepdim=True)], dim=1)
    entropy = -torch.special.xlogy(kinds, kinds).sum(1).mean()
    apart = torch.where(part.observation.mask, clone * (part.clone_log_probs - log_p), 0.0) - clone + p
    clone_kl = (trainer.kind_weight * apart).sum(1).mean()
    moved = (ratio - 1.0 - log_ratio).mean()
    clipped = ((ratio < 0.9) | (ratio > 1.1)).float().mean()
    assert 0.1 < float(clipped) < 0.99
    torch.testing.assert_close(
        found.watched, torch.stack([-gained, value, entropy, clone_kl, moved, clipped]), rtol=1e-3, atol=1e-5
    )
    torch.testing.assert_close(found.loss, -gained + 0.7 * value - 0.2 * entropy + 0.3 * clone_kl, rtol=1e-3, atol=1e-5)


def weights(result) -> dict[str, torch.Tensor]:
    return dict(result.policy.agent.state_dict())


def test_the_same_seed_gives_the_same_curve() -> None:
    first, second, other = trained(fast(), 2), trained(fast(), 2), trained(fast(training={"seed": 1}), 2)
    assert first.history == second.history
    assert first.history != other.history


class Killer(TrainingLogger):
    """Ends the process, as it were, in the middle of a run."""

    def log_metrics(self, metrics: dict, step: int = 0) -> None:
        if step == 2:
            raise KeyboardInterrupt


def _fine_tuned(config: Config, folder: Path, logger: TrainingLogger) -> TrainingResult:
    policy = Policy(Agent(config), config, STYLES)
    return fine_tune(policy, toy_demonstrations(config), config, save_dir=folder / "cli", logger=logger, resumable=True)


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole = trained(fast(), 3, save_dir=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(fast(), 3, save_dir=tmp_path / "killed", logger=Killer())
    resumed = trained(fast(training={"resume": True}), 3, save_dir=tmp_path / "killed")
    assert resumed.history == whole.history
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(resumed).items())
    # and from the command line's function
    config = fast(training={"resume": True}, ppo={"total_timesteps": 3 * STEPS})
    with pytest.raises(KeyboardInterrupt):
        _fine_tuned(config, tmp_path, Killer())
    again = _fine_tuned(config, tmp_path, TrainingLogger())
    assert again.history == whole.history
    # the state of one run is refused by another
    with pytest.raises(CheckpointError, match="other settings"):
        trained(fast(training={"resume": True}, ppo={"gamma": 0.9}), 3, save_dir=tmp_path / "killed")


def test_a_learned_reward_is_heard() -> None:
    def dislikes_everything(summaries: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(summaries))

    config = fast()
    demos = toy_demonstrations(config)
    scores = [
        PPOTrainer(config, Agent(config), demos, styles=STYLES, learned_reward=learned)
        .train(STEPS)
        .history[0]["validation/score"]
        for learned in (None, dislikes_everything)
    ]
    # a term of 0 and weight 1 beside weights 1 + 1 + 1 + 2 + 1 + 2 = 8 takes a ninth of a weighted mean
    assert scores[1] == pytest.approx(scores[0] * 8 / 9, rel=0.02)


def share_replayed(summary: torch.Tensor) -> torch.Tensor:
    """Likes what the audited reward does not: the same again."""
    return summary[:, SUMMARY_NAMES.index("replayed")].clamp(0.0, 1.0)


def with_taste(updates: int, **sections: dict) -> TrainingResult:
    ppo = {"kl_coeff": 0.0, "entropy_coeff": 0.01, "epochs": 4, "agreement_loss": 1.0} | sections.pop("ppo", {})
    config = fast(ppo=ppo, **sections)
    demos = toy_demonstrations(config)
    trainer = PPOTrainer(config, Agent(config), demos, styles=STYLES, learned_reward=share_replayed)
    return trainer.train(updates * STEPS)


def test_a_taste_that_games_the_reward_is_seen_and_held_back() -> None:
    heavy = {"reward": {"learned_weight": 30.0}}
    free = with_taste(10, **heavy, ppo={"audit_loss": 1.0})
    before, kept = free.history[0], free.metrics
    assert kept["validation/learned"] > before["validation/learned"] + 0.1
    assert kept["validation/audited"] < before["validation/audited"] - 0.05  # gamed, and there for all to see
    held = with_taste(10, **heavy, ppo={"audit_loss": 0.02})
    assert held.metrics["validation/audited"] >= held.history[0]["validation/audited"] - 0.02
    assert held.metrics["validation/learned"] < kept["validation/learned"]


def test_a_learned_reward_that_is_only_watched_changes_nothing() -> None:
    watched = with_taste(3, ppo={"learned_reward": False})
    config = fast(ppo={"kl_coeff": 0.0, "entropy_coeff": 0.01, "epochs": 4, "agreement_loss": 1.0})
    without = trained(config, 3)
    shared = zip(watched.history, without.history, strict=True)
    assert [{name: entry[name] for name in other} for entry, other in shared] == list(without.history)
    assert watched.metrics["validation/audited"] == pytest.approx(watched.metrics["validation/score"])
    assert "validation/learned" not in without.metrics


def test_minibatches_cover_every_sample_and_touch_few_songs() -> None:
    song = torch.arange(8).repeat(10)
    batches = by_song(song, 8, 4, torch.Generator().manual_seed(0))
    assert torch.cat(batches).sort().values.tolist() == list(range(80))
    assert [len(song[batch].unique()) for batch in batches] == [2, 2, 2, 2]
    assert sum(len(batch) for batch in by_song(song[:3], 8, 4, torch.Generator().manual_seed(0))) == 3


def test_a_song_of_which_no_decision_tells_does_not_choose() -> None:
    config = fast()
    *teach, choose = toy_demonstrations(config, n_train=3, n_validation=1)
    demos = [*teach, in_slices(choose, config)]
    trainer = PPOTrainer(config, Agent(config), demos, styles=STYLES)
    assert len(trainer.validation_songs) == len(teach)  # as without songs that choose


def test_what_cannot_be_trained_on_is_said() -> None:
    config = fast()
    with pytest.raises(DatasetError, match="none to train on"):
        PPOTrainer(config, Agent(config), [], styles=STYLES)
    with pytest.raises(DatasetError, match="not one of bob"):
        PPOTrainer(config, Agent(config), [toy_demonstration(0, config)], styles=("bob",))
    with pytest.raises(ConfigError, match="at least one decision"):
        trainer_of(config).train(0)
    wider = fast(state={**config.to_dict()["state"], "context_units": config.state.context_units + 1})
    with pytest.raises(ConfigError, match=r"state .*made with"):
        PPOTrainer(wider, Agent(config), toy_demonstrations(config), styles=STYLES)


@pytest.mark.filterwarnings("ignore")
def test_a_gradient_that_is_none_is_said() -> None:
    with pytest.raises(TrainingError, match=r"lower ppo\.learning_rate"):
        trained(fast(ppo={"learning_rate": 1e9, "target_kl": 1e9}), 3)


def test_an_editor_who_loops_more_than_the_reward_allows_is_told() -> None:
    config, d = toy_config(), toy_demonstration(0, toy_config())
    assert beyond_loop_limits([d], config) == []
    twice = replace(d, edit=replace(d.edit, segments=d.edit.segments * 2))  # half of it is heard again
    assert beyond_loop_limits([twice, twice, d], config) == [  # (1/2 + 1/2 + 0) / 3, and 0.15 of room
        "quiet_goes: 33% of its edits is heard again, the reward allows 15%, so that PPO leads away from loops; "
        "add quiet_goes: 0.5 to reward.loop_ratio_by_style"
    ]
    allowed = replace(config, reward=replace(config.reward, loop_ratio_by_style={"quiet_goes": 0.5}))
    assert beyond_loop_limits([twice, twice, d], allowed) == []


def test_what_is_said_of_training() -> None:
    before = {"validation/score": 0.5, "validation/balanced_accuracy": 0.7}
    after = {"validation/score": 0.625, "validation/balanced_accuracy": 0.68}
    policy = Policy(Agent(toy_config()), toy_config(), STYLES, after)
    assert said_of(TrainingResult(policy, (before, {}, after, before), 2)) == (
        "update 2 of 3; reward 0.625 (the clone's 0.500), KEEP/CUT balanced accuracy 0.680 (the clone's 0.700)"
    )
    unchanged = TrainingResult(replace(policy, metrics=before), (before, after), 0)
    assert said_of(unchanged).startswith("the clone, as none of 1 update did better; reward 0.500 (the clone's 0.500)")


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Config] = []

    def stand_in(data_dir: Path, config: Config) -> list[Demonstration]:
        asked.append(config)
        return toy_demonstrations(config)

    monkeypatch.setattr("rl_editor.loading.load_demonstrations", stand_in)
    monkeypatch.setattr("rl_editor.loading.load_references", lambda *_: [])
    checkpoint, params = tmp_path / "bc.pt", tmp_path / "params.yaml"
    config = fast(ppo={"total_timesteps": 7})
    save_policy(checkpoint, Policy(Agent(config), config, STYLES))
    params.write_text(f"ppo:\n  total_timesteps: {2 * STEPS}\n  epochs: 1\ntracking:\n  backend: none\n")
    main(tmp_path, checkpoint, total_timesteps=STEPS, save_dir=tmp_path, config=params)
    assert load_policy(tmp_path / BEST).styles == STYLES
    used = asked[0]
    assert (used.ppo.total_timesteps, used.ppo.epochs) == (STEPS, 1)  # the command line before the file
    assert used.ppo.minibatches == config.ppo.minibatches  # the file before the checkpoint
    assert used.features.feature_mode == "basic"
    params.write_text("agent:\n  d_model: 48\n")
    with pytest.raises(ConfigError, match="d_model"):
        main(tmp_path, checkpoint, save_dir=tmp_path, config=params)
    params.write_text("ppo: 3\n")
    with pytest.raises(ConfigError, match="ppo"):
        main(tmp_path, checkpoint, save_dir=tmp_path, config=params)
    assert len(asked) == 1  # neither loaded the folder
