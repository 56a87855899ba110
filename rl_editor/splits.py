"""Which songs teach, which choose and which are held out.

Splits are by song, never by beat: a song's SHA-256 falls into a stable bucket (``split_of``), so that a later run never
tests on what an earlier one has learned. Sets too small for that are repaired by ``assign_splits``, and ``data.splits``
puts songs where a person wants them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from rl_editor.config import DataConfig, Split
from rl_editor.errors import ConfigError
from rl_editor.library import Problem, unknown_names

_BUCKET_HEX_DIGITS = 13  # 52 bits of the hash make the bucket: a float holds them exactly


def split_of(song_sha256: str, config: DataConfig) -> Split:
    """The split of a song from its content alone: the same in every set that it is part of."""
    share = int(song_sha256[:_BUCKET_HEX_DIGITS], 16) / 16**_BUCKET_HEX_DIGITS
    if share < config.test_fraction:
        return "test"
    return "validation" if share < config.test_fraction + config.validation_fraction else "train"


def assign_splits(songs: Mapping[str, str], config: DataConfig) -> dict[str, Split]:
    """The split of every song (name -> SHA-256); small sets are repaired so that no wanted split is empty.

    Songs stay in their buckets where they can. An empty train, then test, then validation takes one song from the
    largest other split, which keeps one if its turn was before: train takes the highest hash, the others the lowest.
    One song can only train; two train and test. A split whose fraction is 0 stays empty but for songs that
    ``data.splits`` puts there; these stay where they are put. Songs with the same content always share a split.

    Raises:
        ConfigError: ``data.splits`` puts copies of one recording into several splits.
    """
    placed = _placed(songs, config)
    splits = {sha: split_of(sha, config) for sha in songs.values()} | placed
    wanted: tuple[tuple[Split, float], ...] = (
        ("train", 1.0), ("test", config.test_fraction), ("validation", config.validation_fraction))  # fmt: skip
    for rank, (split, fraction) in enumerate(wanted):
        counts = Counter(splits.values())
        if counts[split] or fraction == 0.0:
            continue
        before = {name for name, _ in wanted[:rank]}
        free = Counter(splits[sha] for sha in splits if sha not in placed)
        donors = [name for name in free if counts[name] > (name in before)]
        if not donors:
            continue
        donor = max(donors, key=lambda name: counts[name])
        choose = max if split == "train" else min
        splits[choose(sha for sha in splits if splits[sha] == donor and sha not in placed)] = split
    return {song: splits[sha] for song, sha in songs.items()}


def unknown_songs(songs: Iterable[str], config: DataConfig) -> list[Problem]:
    """Names in ``data.splits`` that no song has: a slip of the pen, or a song that was left out."""
    return unknown_names(config.splits, songs, setting="data.splits", what="song")


def _placed(songs: Mapping[str, str], config: DataConfig) -> dict[str, Split]:
    """SHA-256 -> split of the songs that ``data.splits`` places."""
    placed: dict[str, Split] = {}
    for song in sorted(set(songs) & set(config.splits)):
        split = placed.setdefault(songs[song], config.splits[song])
        if split != config.splits[song]:
            raise ConfigError(
                f"data.splits.{song}: {config.splits[song]!r}, and a copy of the same recording is in {split!r}; "
                "give both the same split"
            )
    return placed
