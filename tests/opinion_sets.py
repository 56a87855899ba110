"""Listening sets without sound: pairs of edits whose summaries are drawn at random."""

import numpy as np

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.judgements import Heard, Pair
from rl_editor.judgements.sets import ListeningSet
from rl_editor.reward import SUMMARY_NAMES

RATE = 1000
LENGTH = SUMMARY_NAMES.index("output_share")
SOURCE_S = 100


def heard(song: str, name: str, summary: np.ndarray, *, way: str = "one", lufs: float | None = -20.0) -> Heard:
    """An edit that plays ``output_share`` of a song of 100 s."""
    frames = round(float(summary[LENGTH]) * SOURCE_S * RATE)
    source = SourceInfo(f"{song}.wav", "0" * 64, RATE, 1, SOURCE_S * RATE)
    return Heard(name, song, way, EditList(source, (Segment(0, frames),)), tuple(summary.tolist()), loudness_lufs=lufs)


def random_set(n_songs: int = 12, pairs_per_song: int = 30, *, seed: int = 0, n_anchors: int = 12) -> ListeningSet:
    """Some pairs differ much, most little, as pairs of edits do; lengths of a pair differ by some per cent."""
    rng = np.random.default_rng(seed)
    pairs = []
    for song in range(n_songs):
        for number in range(pairs_per_song):
            sides, differs = [], rng.lognormal(sigma=0.7)
            for side in range(2):
                summary = differs * rng.normal(size=len(SUMMARY_NAMES))
                summary[LENGTH] = 0.3 * np.exp(rng.normal(scale=0.05))
                name, way = f"s{song}_{number}_{side}", ("ppo", "bc", "dp")[int(rng.integers(3))]
                sides.append(heard(f"song {song}", name, summary, way=way))
            pairs.append(Pair(f"s{song}_{number}", "pair", *sides))
    anchors = [
        Pair(
            f"anchor_{i}",
            "anchor",
            pairs[i].a,
            heard(pairs[i].song, f"b{i}", np.array(pairs[i].a.summary), way="broken"),
        )
        for i in range(n_anchors)
    ]
    return ListeningSet("random", seed, SUMMARY_NAMES, (*pairs, *anchors))
