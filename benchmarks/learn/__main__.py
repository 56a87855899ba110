"""Train on a few songs, judge on others: tables per editor, with the ceiling and the baselines.

    python -m benchmarks.learn [FOLDER] [--editors NAMES] [--seeds 5] [--train 40] [--no-ppo]
                               [--nats 0,10] [--ablate [--ways NAMES] | --ablate-ppo] [--csv ROWS]
    python -m benchmarks.learn [FOLDER] --train 4,8,16,40 [--no-ppo]

FOLDER holds recordings; songs are composed without it. Settings are those of ``params.yaml``.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.choices import known
from benchmarks.editing import given, songs_of
from benchmarks.learn.editors import ALL, HEARING_ALIKE
from benchmarks.learn.runs import Job, Way, run
from benchmarks.learn.tables import ablation_table, agreement_table, choice_table, curve_table, reward_table
from rl_editor.command import counted, read_config
from rl_editor.config import Config
from rl_editor.executor import run_tracks
from rl_editor.state.spans import SPAN_WAYS

PARAMS = Path(__file__).parents[2] / "params.yaml"
PPO_STEPS = 300_000
PLAIN = Way("as it is", {})
ABLATIONS = (
    PLAIN,
    Way("no blocks and sections", {}, ("strength", *(f"{way}_" for way in SPAN_WAYS))),
    Way("no blocks", {}, ("block_", "bar_block_", "phrase_")),
    Way("no sections", {}, ("section_", "phrase_")),
    Way("no repetition", {}, ("earlier_", "later_", "occurrence", "is_first",
                              "block_likeness", "bar_block_likeness", "section_likeness",
                              *(f"{way}_{when}" for way in SPAN_WAYS for when in ("earlier", "later")))),
    Way("no window", {"state": {"context_units": 0}}),
    Way("wider window", {"state": {"context_units": 7}}),
    Way("replays only (no DAgger)", {"bc": {"own_decisions": 0.0}}),
    Way("sees its past always", {"agent": {"path_dropout": 0.0}}),
    Way("no habits", {"agent": {"habit_dropout": 1.0}}),
    Way("no trees", {"bc": {"trees": 0}}),
    Way("no noise on features", {"bc": {"feature_noise": 0.0}}),
    Way("classes as they come", {"bc": {"class_balance": 0.0}}),
    Way("classes fully balanced", {"bc": {"class_balance": 1.0}}),
    Way("no label smoothing", {"bc": {"label_smoothing": 0.0}}),
)  # fmt: skip

PPO_ABLATIONS = (
    PLAIN,
    Way("on the songs themselves", {"ppo": {"remixes": 0}}),
)


def main(
    folder: Annotated[Path | None, typer.Argument(help="Recordings; composed songs without it")] = None,
    editors: Annotated[str, typer.Option(help="Names, separated by commas")] = ",".join(HEARING_ALIKE),
    songs: Annotated[int, typer.Option(help="At most so many", min=6)] = 60,
    seeds: Annotated[int, typer.Option(help="Training seeds, each with its own split", min=1)] = 5,
    train: Annotated[
        str, typer.Option(help="Pairs that teach or choose; several numbers, separated by commas, are compared")
    ] = "40",
    ppo: Annotated[bool, typer.Option(help="Refine with PPO as well")] = True,
    nats: Annotated[str, typer.Option(help="PPO's policy chooses by so many nats as well, separated by commas")] = "",
    ablate: Annotated[bool, typer.Option("--ablate", help="Compare ways to learn, without PPO")] = False,
    ways: Annotated[str, typer.Option(help="That --ablate compares, separated by commas; all by default")] = "",
    ablate_ppo: Annotated[bool, typer.Option("--ablate-ppo", help="Compare ways of PPO")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write all rows here")] = None,
) -> None:
    """Measure what is learned."""
    chosen = known(editors.split(","), ALL, "editor")
    compared = _compared(ways) if ablate else PPO_ABLATIONS if ablate_ppo else (PLAIN,)
    counts = _pair_counts(train)
    if len(counts) > 1 and len(compared) > 1:
        raise SystemExit(f"--train {train}: ways are compared at one number of pairs; give one")
    base = settings()
    heard = songs_of(folder, base, n_songs=songs)
    jobs = [
        Job(editor, seed, way, n_train, ppo and not ablate, tuple(map(float, filter(None, nats.split(",")))))
        for n_train in counts
        for way in compared
        for editor in chosen
        for seed in range(seeds)
    ]
    tables = given(run_tracks(partial(run, songs=heard, base=base), jobs, workers=0))
    rows = pd.concat(tables, ignore_index=True)
    if csv is not None:
        rows.to_csv(csv, index=False)
    print(f"{counted(len(heard), 'song')}, {counted(seeds, 'seed')}, at most {train} pairs to learn from\n")
    for condition in ("target", "free"):
        print(f"\nThe editor's length {'asked for' if condition == 'target' else 'not asked for'}:\n")
        table = curve_table if len(counts) > 1 else ablation_table if len(compared) > 1 else agreement_table
        print("\n".join(table(rows, condition=condition)), flush=True)
    if ppo and not ablate and len(counts) == 1:
        print("\nPPO minus BC, and both:\n")
        print("\n".join(reward_table(rows)))
        for way, of_way in rows.groupby("way", sort=False):
            print(f"\nPPO minus BC by the choice among edits, over editors; {way}:\n")
            print("\n".join(choice_table(of_way)))


def _compared(names: str) -> tuple[Way, ...]:
    """The ways of ``ABLATIONS`` with these names, or all."""
    every = {way.name: way for way in ABLATIONS}
    return tuple(every[name] for name in known(names.split(",") if names else list(every), every, "way"))


def _pair_counts(asked: str) -> list[int]:
    """Numbers of pairs; fewer than three cannot both teach and choose."""
    try:
        counts = [int(number) for number in asked.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 3:
        raise SystemExit(f"--train {asked}: whole numbers of at least 3 are needed, separated by commas, as 4,8,16,40")
    return counts


def settings() -> Config:
    """``params.yaml`` without tracking; PPO is shorter, since there is one editor."""
    config = read_config(PARAMS)
    config.tracking.backend = "none"
    config.ppo.total_timesteps = PPO_STEPS
    return config


if __name__ == "__main__":
    typer.run(main)
