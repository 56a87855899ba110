"""How well joins hide, step by step: where they lie on beats, which beat is taken, where on the beat they sit.

    python -m benchmarks.joins FOLDER [--share 0.6] [--checkpoint models/ppo/best.pt] [--songs NAME,NAME]

Every recording in the folder (and below it) is edited to the share of its length by each way of choosing joins, and the
rendered audio is measured as ``rl-editor evaluate`` does. Ways:

    random     as many joins as the DP has, between beats drawn at random that keep the count of the bar
    radiotool  a DP over beats on timbre and chroma alone, as Wenner et al. 2013 and radiotool have it
    dp, features   ``negotiation``'s draft by the features of beats alone
    dp         ``rl-editor edit --method dp``'s own draft, by the sound of joins as well
    policy     the trained policy's own draft
    policy, polished   ``rl-editor edit``'s: joins moved to better beats where some are near; "kept" is how much of
                       what plays is the policy's own

Steps: ``on beats`` as drafted; ``settled`` by ``render.settle_joins``; ``placed`` by ``negotiation.placing`` as well.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from benchmarks.align.material import recording_files
from rl_editor import edits
from rl_editor.audition import UNUSUAL
from rl_editor.audition.joins import CLICK, JoinDiagnostics, join_diagnostics
from rl_editor.baselines import edit_of_path
from rl_editor.checkpoint import Policy, load_policy
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.infer import edit_recording, shared
from rl_editor.negotiation import BeatSound, Demands, revise
from rl_editor.negotiation.placing import place_joins
from rl_editor.render import render_samples, settle_joins
from rl_editor.state import AudioState
from rl_editor.utils import Samples, load_audio

SHORTEST_S = 60.0  # sound effects lie beside songs
STEPS = ("on beats", "settled", "placed")


class Row(NamedTuple):
    """A join of one song, by one way, after one step."""

    way: str
    step: str
    song: str
    found: JoinDiagnostics
    kept: float  # of what the policy's draft plays, as a share of the longer


def main(
    folder: Annotated[Path, typer.Argument(help="Recordings, in folders below as well")],
    share: Annotated[float, typer.Option(help="Of each recording's length to play", min=0.1, max=0.95)] = 0.6,
    checkpoint: Annotated[Path, typer.Option(help="Trained policy")] = Path("models/ppo/best.pt"),
    songs: Annotated[str, typer.Option(help="Parts of names to take, by comma; all by default")] = "",
    exclude: Annotated[str, typer.Option(help="File stem that is left out")] = "",
) -> None:
    """Measure joins of all ways and steps."""
    names = [part for part in songs.split(",") if part]
    paths = recording_files(folder, tracks=None, shortest_s=SHORTEST_S, exclude=exclude, names=names)
    policy = load_policy(checkpoint)
    rows: list[Row] = []
    for path in paths:
        rows += _measured(path, share, policy)
        print(f"{path.parent.name}/{path.name}: done", flush=True)
    print(_table(rows))


def _measured(path: Path, share: float, policy: Policy) -> Iterator[Row]:
    config = Config()
    recording = load_audio(path)
    state = AudioState.from_file(path, config, recording=recording)
    sound = BeatSound(recording, state.grid.times_s)
    drafts = dict(_drafts(state, sound, config, share, policy))
    for way, draft in drafts.items():
        kept = shared(draft, drafts["policy"])
        for step in STEPS:
            edit = _after(step, draft, sound, recording, config)
            for found in join_diagnostics(edit, render_samples(edit, recording, config), state):
                yield Row(way, step, str(path), found, kept)


def _after(step: str, draft: EditList, sound: BeatSound, recording: Samples, config: Config) -> EditList:
    if step == "on beats":
        return draft
    return settle_joins(place_joins(draft, sound) if step == "placed" else draft, recording, config)


def _drafts(
    state: AudioState, sound: BeatSound, config: Config, share: float, policy: Policy
) -> Iterator[tuple[str, EditList]]:
    goal_s = share * state.grid.duration_s
    demands, beats = Demands(duration_s=goal_s), tuple(state.grid.times_s.tolist())
    whole = EditList(state.recording, edits.keep_all(state.recording).segments, beats)
    dp = revise(whole, state, demands, config, sound=sound, draft="rough", priced=False).edit
    yield "random", _random(state, config, max(len(dp.segments) - 1, 1), goal_s)
    yield "radiotool", edit_of_path(_radiotool(state, goal_s), state, _by_beats(config))
    yield "dp, features", revise(whole, state, demands, config, draft="rough", priced=False).edit
    yield "dp", dp
    draft = edit_recording(policy, state, target_duration_s=goal_s)
    yield "policy", draft
    plain = replace(draft.undecided(), beat_times_s=beats, unit_beats=1)
    yield "policy, polished", revise(plain, state, demands, config, sound=sound, draft="meant", priced=False).edit


def _by_beats(config: Config) -> Config:
    changed = Config.from_dict(config.to_dict())
    changed.action_space.unit_beats = 1
    return changed


def _random(state: AudioState, config: Config, n_joins: int, goal_s: float) -> EditList:
    """Cuts of equal length at random beats, each a whole number of bars."""
    rng, grid = np.random.default_rng(0), state.grid
    bar_s = grid.bar_s
    n_bars = max(round((grid.duration_s - goal_s) / bar_s / n_joins), 1)
    cut = n_bars * grid.beats_per_bar
    room = grid.n_beats - n_joins * cut - 8
    starts = np.sort(rng.integers(4, max(room, 5), n_joins)) + cut * np.arange(n_joins)
    path, at = [], 0
    for start in starts:
        path += range(at, int(start))
        at = int(start) + cut
    path += range(at, grid.n_beats)
    return edit_of_path([u for u in path if u < grid.n_beats], state, _by_beats(config))


def _radiotool(state: AudioState, goal_s: float) -> list[int]:
    """Least sum of jump costs over beats; c(i, j) = distance of timbre (MFCC) and chroma between beat i + 1 and j."""
    names, values = state.features.names, state.features.values
    timbre = values[:, [k for k, n in enumerate(names) if n.startswith("mfcc_") and not n.startswith("mfcc_delta")]]
    chroma = values[:, [k for k, n in enumerate(names) if n.startswith("chroma")]]
    columns = [c / max(float(np.linalg.norm(c - c.mean(0), axis=1).mean()), 1e-9) for c in (timbre, chroma)]
    feature = np.concatenate(columns, axis=1)
    n = len(feature)
    after = np.minimum(np.arange(n) + 1, n - 1)
    cost = np.linalg.norm(feature[after][:, None] - feature[None], axis=2)
    jump = np.arange(n)[None] - after[:, None]
    cost[(jump < 0) | ((jump > 0) & (jump < 8))] = np.inf  # forward, and no jump shorter than radiotool's
    cost[np.arange(n - 1), np.arange(1, n)] = 0.0
    goal = max(round(goal_s / (state.grid.duration_s / n)), 2)
    best, back = np.full((goal, n), np.inf), np.full((goal, n), -1)
    best[0, 0] = 0.0
    for step in range(1, goal):
        reached = best[step - 1][:, None] + cost
        back[step], best[step] = reached.argmin(0), reached.min(0)
    path = [n - 1]
    for step in range(goal - 1, 0, -1):
        path.append(int(back[step, path[-1]]))
    return path[::-1]


def _table(rows: list[Row]) -> str:
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.way, row.step].append(row)
    lines = [
        "| way | step | joins | songs | spectral percentile | level step dB | above 95th level | beat error ms "
        "| bar kept | clicks | kept |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (way, step), group in groups.items():
        found = [row.found for row in group]
        spectral = [f.spectral_percentile for f in found if f.spectral_percentile is not None]
        loud = [f.level_percentile for f in found if f.level_percentile is not None]
        kept = [f.bar_phase_kept for f in found if f.bar_phase_kept is not None]
        lines.append(
            f"| {way} | {step} | {len(found)} | {len({row.song for row in group})} | {np.median(spectral):.0f} "
            f"| {np.median([f.level_step_db for f in found]):.2f} | {np.mean(np.array(loud) > UNUSUAL):.0%} "
            f"| {np.median([abs(f.beat_error_ms) for f in found]):.1f} | {np.mean(kept):.0%} "
            f"| {sum(f.click > CLICK for f in found)} | {np.mean(list({r.song: r.kept for r in group}.values())):.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
