"""What is learned of simulated listeners: ``python -m benchmarks.preferences SET [--seeds 5] [--only accuracy,...]``

SET is a listening set of many pairs, as ``rl-editor candidates data/corpus/input -o SET --pairs 616`` makes it. A
quarter of its songs is held out: their pairs are never judged.

    accuracy   share of held-out answers predicted, over the share that perfect knowledge of the taste predicts
    habits     the same with a habit of order or of length beside the taste; and listeners of habits alone
    active     judgements that active selection needs, over those that pairs in an order of chance need
    bound      how often the reward's lower bound lies below the true utility of held-out excerpts; not by default
    gate       how often a reward is learned of listeners without a taste, and of listeners with one; not by default
    ppo        PPO with the reward learned of each taste, on the pairs of ``--held`` (see ``tuning``); not by default
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import torch
import typer

from benchmarks.preferences.listeners import CEILING, TASTES, Listener, differences, scale_of, session, sharpened
from rl_editor.command import counted, read_config
from rl_editor.config import RewardModelConfig
from rl_editor.judgements.sets import ListeningSet, Preferences
from rl_editor.loading import load_demonstrations
from rl_editor.reward_model import RewardModel
from rl_editor.reward_model.bradley_terry import sigmoid
from rl_editor.reward_model.choosing import ActiveChooser
from rl_editor.reward_model.learning import Learned, learn
from rl_editor.reward_model.model import Preference
from rl_editor.reward_model.opinions import columns_of, opinions

JUDGEMENTS = 200
COUNTS = (60, 80, 100, 120, 150, 200, 250, 300)
BOUND_COUNTS = (60, JUDGEMENTS)
GATE_COUNTS, FAINT = (60, 100, 200), (0.6, 0.65, 0.7)  # ceilings of tastes that are hard to see
NOISY = 0.75  # ceiling of the listeners of whom few judgements tell little
HABITS = {"order": Listener("order", order=1.0), "length": Listener("length", length=1.5)}


def main(
    listening_set: Annotated[Path, typer.Argument(metavar="SET", help="Listening set with many pairs.")],
    seeds: Annotated[int, typer.Option(help="Sessions of every listener.", min=1)] = 5,
    only: Annotated[str, typer.Option(help="Parts to run, by comma.")] = "accuracy,habits,active",
    held_pairs: Annotated[
        Path | None, typer.Option("--held", help="Folder of pairs for the part ppo; default: the held-out songs.")
    ] = None,
    params: Annotated[Path, typer.Option(help="Settings of the part ppo.")] = Path("params.yaml"),
) -> None:
    """Print a table per part."""
    parts: dict[str, Callable[[ListeningSet, ListeningSet, int], pd.DataFrame]] = {
        "accuracy": accuracy_table,
        "habits": habits_table,
        "active": active_table,
        "bound": bound_table,
        "gate": gate_table,
        "ppo": lambda *_: _tuned(found, held_pairs, params),
    }
    names = [name.strip() for name in only.split(",")]
    if unknown := [name for name in names if name not in parts]:
        raise typer.BadParameter(f"{unknown[0]!r} is no part; there are {', '.join(parts)}", param_hint="--only")
    found = ListeningSet.load(listening_set)
    judged, held = split(found)
    print(f"{counted(len(judged.pairs), 'pair')} to judge, {len(held.pairs)} of other songs held out\n")
    for name in names:
        print(f"{name}\n{parts[name](judged, held, seeds).to_string(index=False, float_format='%.3f')}\n", flush=True)


def _tuned(judged: ListeningSet, held_pairs: Path | None, params: Path) -> pd.DataFrame:
    from benchmarks.preferences.tuning import tuning_table
    from stages.dataset import read_demonstrations

    config = read_config(params)
    held = load_demonstrations(held_pairs, config) if held_pairs else read_demonstrations(splits=("test",))
    return tuning_table(judged, held, TASTES, config)


def split(found: ListeningSet) -> tuple[ListeningSet, ListeningSet]:
    """Three quarters of the songs to judge, one quarter held out (pairs only, no anchors)."""
    songs = sorted({pair.song for pair in found.pairs})
    held = set(songs[::4])
    judged = replace(found, pairs=tuple(p for p in found.pairs if p.song not in held))
    return judged, replace(found, pairs=tuple(p for p in found.pairs if p.song in held and p.kind == "pair"))


def accuracy_table(judged: ListeningSet, held: ListeningSet, seeds: int) -> pd.DataFrame:
    """Every taste, from ``JUDGEMENTS`` judgements."""
    rows = []
    for taste in TASTES:
        listener = sharpened(taste, judged)
        found = [share_of_ceiling(listener, judged, held, seed) for seed in range(seeds)]
        rows.append({"taste": taste.name, "share of ceiling": np.mean(found), "worst": np.min(found)})
    return pd.DataFrame(rows)


def habits_table(judged: ListeningSet, held: ListeningSet, seeds: int) -> pd.DataFrame:
    """Tastes with habits, half of the listeners or all of them; and habits without a taste."""

    def learned(listeners: list[Listener]) -> float:
        """Share of sessions of which a reward is learned."""
        told = [_learned(judged, listeners, seed, JUDGEMENTS * len(listeners)) for seed in range(seeds)]
        return float(np.mean([each.status == "learned" for each in told]))

    rows = []
    for name, habit in HABITS.items():
        rows.append({"listeners": f"{name} alone", "learned": learned([habit]), "share of ceiling": np.nan})
        for taste in (TASTES[0], TASTES[2], TASTES[5]):
            plain = sharpened(taste, judged)
            both = replace(plain, name="both", order=habit.order, length=habit.length)
            mixes = {f"{taste.name} with {name}": [both], f"{taste.name} and one of {name}": [plain, habit]}
            for said, listeners in mixes.items():
                found = [share_of_ceiling(plain, judged, held, seed, listeners=listeners) for seed in range(seeds)]
                rows.append({"listeners": said, "learned": learned(listeners), "share of ceiling": np.mean(found)})
    return pd.DataFrame(rows)


def active_table(judged: ListeningSet, held: ListeningSet, seeds: int) -> pd.DataFrame:
    """Held-out pairs ranked as the taste ranks them, from answers of noisy listeners; what the active way saves."""
    curves: dict[str, list[list[float]]] = {"chance": [], "active": []}
    for taste in TASTES:
        listener = sharpened(taste, judged, NOISY)
        for seed in range(seeds):
            for way, curve in curves.items():
                choose = ActiveChooser(judged) if way == "active" else None
                answers = session(judged, [listener], max(COUNTS), np.random.default_rng(seed), choose=choose)
                curve.append([_answered(answers, n, listener, held, judged, seed).ranked for n in COUNTS])
    means = {way: np.mean(curve, axis=0) for way, curve in curves.items()}
    needed = [float(np.interp(level, means["active"], COUNTS)) for level in means["chance"]]
    return pd.DataFrame({"judgements": COUNTS, **means, "active needs": needed, "ratio": np.array(needed) / COUNTS})


def bound_table(judged: ListeningSet, held: ListeningSet, seeds: int) -> pd.DataFrame:
    """Share of held-out excerpts whose true utility lies above the lower bound, where one was learned, by judgements.

    Both against the average of these excerpts, and less what length explains, which the reward leaves out.
    """
    rows = []
    for taste in TASTES:
        for ceiling in (NOISY, CEILING):
            listener = sharpened(taste, judged, ceiling)
            row: dict[str, str | float] = {"taste": taste.name, "ceiling": ceiling}
            for n in BOUND_COUNTS:
                told = [_learned(judged, [listener], seed, n) for seed in range(seeds)]
                models = [each.model for each in told if each.model is not None]
                shares = [_covered(model, listener, judged, held) for model in models]
                row[str(n)] = float(np.mean(shares)) if shares else float("nan")
            rows.append(row)
    return pd.DataFrame(rows)


def _covered(model: RewardModel, listener: Listener, judged: ListeningSet, held: ListeningSet) -> float:
    """Share of held-out excerpts above the lower bound."""
    excerpts = np.array([side.summary for pair in held.pairs for side in (pair.a, pair.b)])
    true = listener.utilities(excerpts, held.summary_names, scale_of(judged))
    length = np.log(excerpts[:, held.summary_names.index("output_share")])
    design = np.stack([np.ones(len(length)), length], axis=1)
    summaries = torch.as_tensor(excerpts[:, columns_of(held)])
    bound = model.centred(summaries)(summaries).logit().numpy()
    return float((bound < true - design @ np.linalg.lstsq(design, true)[0]).mean())


def gate_table(judged: ListeningSet, held: ListeningSet, seeds: int) -> pd.DataFrame:
    """Share of sessions of which a reward is learned, by number of judgements."""
    faint = [sharpened(TASTES[5], judged, ceiling) for ceiling in FAINT]
    named = {f"{TASTES[5].name}, ceiling {c}": each for c, each in zip(FAINT, faint, strict=True)}
    rows = []
    for said, listener in {"chance": Listener("chance"), **HABITS, **named}.items():
        shares = {}
        for n in GATE_COUNTS:
            told = [_learned(judged, [replace(listener, name=f"{seed}")], seed, n) for seed in range(seeds)]
            shares[str(n)] = np.mean([each.status == "learned" for each in told])
        rows.append({"listener": said, **shares})
    return pd.DataFrame(rows)


class Found(NamedTuple):
    """How held-out pairs are predicted."""

    share_of_ceiling: float  # answers predicted, over what perfect knowledge of the taste predicts
    ranked: float  # pairs in the order of the taste, noise left out


def share_of_ceiling(
    listener: Listener, judged: ListeningSet, held: ListeningSet, seed: int, *, listeners: list[Listener] | None = None
) -> float:
    """What a model learned from ``listeners`` predicts of ``listener``, over what perfect knowledge would."""
    rng = np.random.default_rng(seed)
    answers = session(judged, listeners or [listener], JUDGEMENTS * len(listeners or [listener]), rng)
    return _answered(answers, len(answers.judgements), listener, held, judged, seed).share_of_ceiling


def _answered(
    answers: Preferences, n: int, listener: Listener, held: ListeningSet, judged: ListeningSet, seed: int
) -> Found:
    model = RewardModel()
    model.fit(opinions([answers])[:n], np.random.default_rng(seed))
    columns = columns_of(held)
    sides = [np.array([[pair.side(s).summary[c] for c in columns] for pair in held.pairs]) for s in ("a", "b")]
    predicted = model.predict([Preference(a, b, None) for a, b in zip(*sides, strict=True)]) > 0.5
    liked = differences(listener, held, scale_of(judged))
    p = sigmoid(liked)
    share = np.where(predicted, p, 1.0 - p).mean() / np.maximum(p, 1.0 - p).mean()
    return Found(float(share), float((predicted == (liked > 0))[liked != 0].mean()))


def _learned(judged: ListeningSet, listeners: list[Listener], seed: int, n: int = JUDGEMENTS) -> Learned:
    rng = np.random.default_rng(seed)
    return learn([session(judged, listeners, n, rng)], RewardModelConfig(), rng)


if __name__ == "__main__":
    typer.run(main)
