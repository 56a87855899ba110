"""Behavioural cloning: learn an editor's decisions from demonstrations, before any reward.

``python -m rl_editor.behavioral_cloning --data_dir ./training_data --epochs 100 --save_dir ./models``

Cross-entropy on the demonstrated decisions, weighted by the confidence of the label, the coverage of the pair and the
inverse frequency of the kind (to the power ``bc.class_balance``; editors mostly continue). Illegal actions are masked,
label smoothing is spread over the legal kinds. A minibatch is whole songs, each encoded once. Every demonstration is
learned with its target duration or, in half of the draws, without. From the second epoch on the learner itself takes
up to ``bc.own_decisions`` of the decisions that lead to what it sees (DAgger, ``rl_editor.lessons``). What edits is
the network with weights averaged over the latest epochs (``bc.weight_average``; Polyak & Juditsky 1992). The epoch
whose own edits of the validation songs agree best with the editor's (balanced accuracy and mean recall of every kind
of decision, averaged over the latest epochs) is kept; training stops when it lies ``bc.patience_epochs`` back.

The chance of an epoch is drawn from the seed and the epoch's number alone, so a run that was killed goes on to the same
result (``training.resume``).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from rl_editor.actions import ActionSpace
from rl_editor.agent import N_EXCERPTS, Agent, Jitter, kind_log_probs, sample, seeded
from rl_editor.averaging import AveragedAgent, mean_until
from rl_editor.checkpoint import Policy, TrainingResult, save_policy
from rl_editor.command import overlaid, read_settings, run
from rl_editor.config import Config
from rl_editor.demonstrations import (
    Demonstration,
    Placed,
    coverage_gaps,
    split_gaps,
    split_line,
    to_choose_by,
    to_train_on,
)
from rl_editor.devices import autocast, resolve_device, torch_threads
from rl_editor.errors import TrainingError
from rl_editor.fingerprints import run_fingerprint
from rl_editor.lessons import (
    N_VARIANTS,
    Lesson,
    Lessons,
    Songs,
    Student,
    class_weights,
    kinds_of,
    lessons_of,
    seed_of,
    songs_of,
    style_order,
)
from rl_editor.logging_utils import TrainingLogger
from rl_editor.resuming import Learner, Standing, StandingFile
from rl_editor.state import Observation
from rl_editor.trees import kinds_decided
from rl_editor.tryouts import Tryout, agreement
from rl_editor.usual_regions import opened

BEST, LAST, STATE = "bc_best.pt", "bc_last.pt", "bc_state.safetensors"
MAX_GRADIENT_NORM = 1.0
SMOOTHED_EPOCHS = 5  # an epoch is judged by the mean over this many: few validation songs hold few loops and moves
_TIE = 1e-3  # weight of the loss among equals: one decision in a hundred moves agreement by about 1e-2
DECIDED_BY = {  # sections of the settings; a run may go on with other values of these keys
    "action_space": (),
    "agent": (),
    "bc": ("epochs", "patience_epochs"),
    "features": (),
    "reward": (),
    "state": (),
    "training": ("resume", "device"),
}


class School(NamedTuple):
    """Songs of one split, with what is to be learned on them."""

    songs: Songs
    lessons: Lessons


class _Evidence(NamedTuple):
    songs: Songs
    own: Bool[Tensor, " songs"]  # not the augmented copy of another


class LossSum(NamedTuple):
    """The weighted sum of losses over decisions, and the sum of weights."""

    total: Float[Tensor, ""]
    weight: Float[Tensor, ""]


def train_bc(
    demonstrations: Sequence[Demonstration],
    config: Config,
    *,
    logger: TrainingLogger | None = None,
    save_dir: str | Path | None = None,
) -> TrainingResult:
    """Clone the editors of ``demonstrations``; songs of the split "train" teach, those of "validation" choose.

    Writes ``bc_best.pt``, ``bc_last.pt`` and the training state below ``save_dir``, if there is one.

    Raises:
        DatasetError: no song to learn from.
        TrainingError: the loss is no number any more.
        CheckpointError: ``training.resume``, and the training state belongs to other settings or data.
    """
    with torch_threads(config.training.threads):
        return _Cloning(demonstrations, config, logger or TrainingLogger(), save_dir).run()


class _Cloning:
    """One run of behavioural cloning."""

    def __init__(
        self,
        demonstrations: Sequence[Demonstration],
        config: Config,
        logger: TrainingLogger,
        save_dir: str | Path | None,
    ) -> None:
        train = to_train_on(demonstrations)
        self.config, self.logger, self.save_dir = config, logger, Path(save_dir) if save_dir else None
        self.styles = style_order(train, config)
        self.device = resolve_device(config.training.device)
        self.train_set = self._school(train)
        self.own = torch.tensor([not d.is_copy for d in train], device=self.device)  # copies are no further evidence
        known = to_choose_by(demonstrations, self.styles)
        self.validation_set = self._school(known) if known else None
        self.agent = Agent(config).to(self.device)
        songs = self.train_set.songs
        self.agent.fit_normalisation(songs.batch)
        self._note_what_is_usual([d for d in (*train, *known) if not d.is_copy])
        self._grow_trees()
        self.average = AveragedAgent(self.agent, mean_until(config.bc.weight_average))
        self.optimizer = torch.optim.AdamW(
            self.agent.parameters(), lr=config.bc.learning_rate, weight_decay=config.bc.weight_decay
        )
        self.learner = Learner(self.agent, self.average, self.optimizer)
        self.kinds = kinds_of(ActionSpace(config.action_space), self.device)
        self.class_weight = class_weights(self.train_set.lessons, self.kinds, balance=config.bc.class_balance)
        self.standing = Standing()
        self.left = StandingFile(
            self.save_dir / STATE if self.save_dir else None,
            config.training.resume,
            run_fingerprint(demonstrations, config, sections=DECIDED_BY),
        )

    def run(self) -> TrainingResult:
        """All epochs, and the files."""
        self.standing = self.left.restored(self.learner)
        for epoch in range(len(self.standing.history), self.config.bc.epochs):
            if self._is_stale(epoch):
                break
            metrics = self._epoch(epoch) | self._validate()
            _check_losses(metrics, epoch)
            self.logger.log_metrics(metrics, epoch)
            self._note(epoch, metrics)
            self.left.save(self.standing, self.learner)
        return self._result()

    def _without_epochs(self) -> Iterator[_Evidence]:
        """What teaches all that has no epoch to choose: songs that choose among those teach it as well."""
        yield _Evidence(self.train_set.songs, self.own)
        if self.validation_set is not None:
            songs = self.validation_set.songs
            yield _Evidence(songs, self.own.new_ones(len(songs)))

    def _note_what_is_usual(self, demonstrations: Sequence[Demonstration]) -> None:
        """How long edits are, how many passages of them are looped and moved, and how they fade."""
        space, parts = ActionSpace(self.config.action_space), []
        for songs, own in self._without_epochs():
            columns = (songs.target_ratio, opened(songs.actions, space), songs.batch.reward.duration_s, songs.style)
            parts.append([of_songs[own] for of_songs in columns])
        ratio, counts, duration_s, style = (torch.cat(part) for part in zip(*parts, strict=True))
        self.agent.usual_lengths.fit(ratio, duration_s, style)
        self.agent.usual_regions.fit(counts, duration_s, style)
        styles = [self.styles.index(d.style) for d in demonstrations]
        self.agent.usual_fades.fit([d.edit for d in demonstrations], styles)

    def _grow_trees(self) -> None:
        space, parts, n_pairs = ActionSpace(self.config.action_space), [], 0
        for songs, own in self._without_epochs():
            exists = (songs.weight > 0.0) & own[:, None]
            kinds = kinds_decided(songs.actions, songs.late, space)
            style = songs.style[:, None].expand_as(kinds)
            pair = (n_pairs + torch.arange(len(songs), device=self.device))[:, None].expand_as(kinds)
            columns = self.agent.places(songs.batch)
            parts.append([of_units[exists] for of_units in (columns, kinds, songs.weight, style, pair)])
            n_pairs += len(songs)
        self.agent.trees.fit(
            *(torch.cat(part) for part in zip(*parts, strict=True)),
            n_on_trial=N_EXCERPTS,
            n_trees=self.config.bc.trees,
            balance=self.config.bc.class_balance,
            seed=self.config.training.seed,
        )

    def _epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training songs; returns the numbers of the epoch."""
        seed = seed_of(self.config.training.seed, epoch)
        generator = torch.Generator(self.device).manual_seed(seed)
        songs, accumulate = self.train_set.songs, self.config.training.gradient_accumulation_steps
        lessons = self._own_lessons(generator) if epoch else self.train_set.lessons
        order = torch.randperm(len(songs), generator=generator, device=self.device)
        batches = torch.split(order, self.config.bc.batch_tracks)
        predicted, actual, losses = [], [], []
        self.agent.train()
        with seeded(seed):  # dropout
            for start in range(0, len(batches), accumulate):
                self.optimizer.zero_grad(set_to_none=True)
                group = batches[start : start + accumulate]
                for chosen in group:
                    step = self._lesson_step(lessons, chosen, generator, share=1.0 / len(group))
                    predicted.append(step.predicted)
                    actual.append(step.actions)
                    losses.append(step.loss)
                torch.nn.utils.clip_grad_norm_(self.agent.parameters(), MAX_GRADIENT_NORM)
                self.optimizer.step()
        self.agent.eval()
        mean_loss = float(torch.stack(losses).mean())
        self.average.update_parameters(self.agent)
        scores = agreement(torch.cat(predicted), torch.cat(actual), self.kinds)
        return _named("train", scores | {"loss": mean_loss})

    @torch.no_grad()
    def _own_lessons(self, generator: torch.Generator) -> Lessons:
        """Lessons in which the learner takes part of the decisions."""
        embeddings = self.agent.encode(self.train_set.songs.batch)

        def decide(observation: Observation) -> Int[Tensor, " envs"]:
            return sample(functional.log_softmax(self.agent.logits(embeddings, observation), dim=1), generator)

        student = Student(decide, self.config.bc.own_decisions, generator)
        return lessons_of(self.train_set.songs, self.config, student=student)

    def _lesson_step(
        self, lessons: Lessons, chosen: Int[Tensor, " songs"], generator: torch.Generator, *, share: float
    ) -> "_Step":
        """Add the gradient of one minibatch of songs."""
        settings = self.config.bc
        draw = torch.rand(len(chosen), generator=generator, device=self.device)
        timed = (draw >= self.config.training.duration_dropout).long()
        lesson = lessons.of(timed, chosen)
        jitter = Jitter(settings.feature_noise, generator) if settings.feature_noise else None
        with autocast(self.device, self.config.training):
            embeddings = self.agent.encode_tracks(self.train_set.songs.batch, chosen, jitter=jitter)
            logits = self.agent.logits(embeddings, lesson.observation)
        losses = self._losses(logits, lesson, smoothing=settings.label_smoothing)
        loss = losses.total / losses.weight.clamp(min=1e-6)
        torch.autograd.backward(loss * share)
        return _Step(logits.detach().argmax(1), lesson.actions, loss.detach())

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """The numbers of the validation songs, both with and without a target duration; none without songs."""
        if self.validation_set is None:
            return {}
        songs, lessons = self.validation_set
        losses = []
        for chosen in torch.split(torch.arange(len(songs), device=self.device), self.config.bc.batch_tracks):
            embeddings = self.average.agent.encode_tracks(songs.batch, chosen)
            for variant in range(N_VARIANTS):
                lesson = lessons.of(torch.full_like(chosen, variant), chosen)
                losses.append(
                    self._losses(self.average.agent.logits(embeddings, lesson.observation), lesson, smoothing=0.0)
                )
        total, weight = (torch.stack(part).sum() for part in zip(*losses, strict=True))
        return _named("validation", self._agreement(songs) | {"loss": float(total / weight.clamp(min=1e-6))})

    def _agreement(self, songs: Songs) -> dict[str, float]:
        """How the policy's own edits agree with the editor's, on average with and without a target duration."""
        play = Tryout(songs, self.config)
        shown, hidden = (judged.agreed for judged in play.judged(play.edits(self.average.agent)))
        return {name: (shown[name] + hidden[name]) / 2.0 for name in shown}

    def _losses(self, logits: Float[Tensor, "n actions"], lesson: Lesson, *, smoothing: float) -> LossSum:
        loss = cloning_loss(
            logits,
            lesson.actions,
            lesson.observation.mask,
            smoothing=smoothing,
            first_reorder=self.agent.layout.first_reorder,
        )
        weight = lesson.weight * self.class_weight[lesson.actions]
        return LossSum((weight * loss).sum(), weight.sum())

    def _school(self, demonstrations: Sequence[Demonstration]) -> School:
        songs = songs_of(demonstrations, self.styles, self.config, self.device)
        return School(songs, lessons_of(songs, self.config))

    def _is_stale(self, epoch: int) -> bool:
        return epoch - self.standing.best_step > self.config.bc.patience_epochs

    def _note(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.standing.history.append(metrics)
        recent = [_score(earlier) for earlier in self.standing.history[-SMOOTHED_EPOCHS:]]
        if (score := sum(recent) / len(recent)) > self.standing.best_score:
            self.standing.choose(epoch, score, self.average.agent)

    def _result(self) -> TrainingResult:
        """The best policy; the files."""
        standing = self.standing
        self._saved(LAST, standing.history[-1])
        if standing.best_weights:
            self.average.agent.load_state_dict(standing.best_weights)
        policy = self._saved(BEST, standing.history[standing.best_step])
        return TrainingResult(policy, tuple(standing.history), standing.best_step)

    def _saved(self, name: str, metrics: Mapping[str, float]) -> Policy:
        policy = Policy(self.average.agent, self.config, self.styles, metrics)
        if self.save_dir is not None:
            save_policy(self.save_dir / name, policy)
        return policy


class _Step(NamedTuple):
    predicted: Int[Tensor, " n"]
    actions: Int[Tensor, " n"]
    loss: Float[Tensor, ""]


def cloning_loss(
    logits: Float[Tensor, "n actions"],
    actions: Int[Tensor, " n"],
    mask: Bool[Tensor, "n actions"],
    *,
    smoothing: float,
    first_reorder: int,
) -> Float[Tensor, " n"]:
    """``-(1 - s) log P(a) - s * mean over legal kinds k of log P(k)``, s ``smoothing``.

    Smoothing over kinds, not actions: spread evenly over actions it would teach REORDER, which has the most numbers.
    """
    log_probs = functional.log_softmax(logits.float(), dim=1)
    loss = -log_probs.gather(1, actions[:, None])[:, 0]
    if not smoothing:
        return loss
    legal = torch.cat([mask[:, :first_reorder], mask[:, first_reorder:].any(1, keepdim=True)], dim=1)
    kinds = torch.where(legal, kind_log_probs(log_probs, first_reorder), 0.0)
    return (1.0 - smoothing) * loss - smoothing * kinds.sum(1) / legal.sum(1)


def _check_losses(metrics: Mapping[str, float], epoch: int) -> None:
    for name in ("train/loss", "validation/loss"):
        if not math.isfinite(loss := metrics.get(name, 0.0)):
            raise TrainingError(f"cloning: epoch {epoch}: {name} is {loss}; lower bc.learning_rate")


def _score(metrics: Mapping[str, float]) -> float:
    """What chooses the epoch: balanced accuracy and mean recall on validation songs, ties by loss.

    Without validation songs it is the training loss alone.
    """
    if "validation/loss" not in metrics:
        return -metrics["train/loss"]
    agreed = (metrics["validation/balanced_accuracy"] + metrics["validation/macro_recall"]) / 2.0
    return agreed - _TIE * metrics["validation/loss"]


def _named(split: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{split}/{name}": value for name, value in metrics.items()}


def main(
    data_dir: Annotated[Path, typer.Option(help="Folder with input/ and desired_output/.")],
    save_dir: Annotated[Path, typer.Option(help="Where bc_best.pt and bc_last.pt go.")] = Path("./models"),
    epochs: Annotated[
        int | None,
        typer.Option(help=f"Passes over the songs; {Config().bc.epochs} unless --config says.", min=1),
    ] = None,
    feature_mode: Annotated[
        str | None,
        typer.Option(help=f"basic, enhanced or full; {Config().features.feature_mode} by default."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "--params", help="Settings, as params.yaml.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
) -> None:
    """Clone an editor from raw/edit pairs."""
    from rl_editor.loading import load_demonstrations
    from rl_editor.logging_utils import create_logger

    settings = _settings(config, feature_mode=feature_mode, epochs=epochs)
    settings.training.resume = resume or settings.training.resume
    settings.training.device = device or settings.training.device
    demonstrations = load_demonstrations(data_dir, settings, augmented=True)
    pairs = [d for d in demonstrations if not d.is_copy]
    gaps = split_gaps(Placed(d.style, d.song, d.split) for d in pairs)
    gaps += coverage_gaps((d.style, d.labels.coverage) for d in pairs)
    for line in (split_line(pairs), *gaps):
        typer.echo(line, err=True)
    with create_logger(settings, run_name="bc") as logger:
        result = train_bc(demonstrations, settings, logger=logger, save_dir=save_dir)
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items())
    typer.echo(f"{save_dir / BEST}: epoch {result.best_step + 1} of {len(result.history)}, {numbers}", err=True)


def _settings(path: Path | None, *, feature_mode: str | None, epochs: int | None) -> Config:
    """The settings of a file, or the defaults; what is given on the command line goes before both."""
    given = {
        "features": {} if feature_mode is None else {"feature_mode": feature_mode},
        "bc": {} if epochs is None else {"epochs": epochs},
    }
    return Config.from_dict(overlaid(read_settings(path) if path else {}, given))


if __name__ == "__main__":
    run(main)
