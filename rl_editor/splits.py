"""Which songs teach, which choose and which are held out.

Splits are by song, never by beat: a song's SHA-256 falls into a stable bucket (``split_of``), so that a later run never
tests on what an earlier one has learned. Sets too small for that are repaired by ``assign_splits``, and ``data.splits``
puts songs where a person wants them.
"""

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping

from rl_editor.config import DataConfig, Split
from rl_editor.errors import ConfigError
from rl_editor.library import Problem, unknown_names

SMALL_SET = 12  # songs; in a smaller set a hash may well hold out most of them
FEWEST_TO_CHOOSE = 4  # songs; in a smaller set one more to learn from is worth more than one that says when to stop
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
    One song can only train; two train and test; of three, two train and none validates. In sets of fewer than
    ``SMALL_SET`` songs, train then takes songs until it has its share, rounded, as long as another split has two. A
    split whose fraction is 0 stays empty but for songs that ``data.splits`` puts there; these stay where they are put.
    Songs with the same content always share a split.

    Raises:
        ConfigError: ``data.splits`` puts copies of one recording into several splits.
    """
    placed = _placed(songs, config)
    splits = {sha: split_of(sha, config) for sha in songs.values()} | placed
    wanted: list[Split] = ["train"]
    wanted += ["test"] if config.test_fraction > 0.0 else []
    wanted += ["validation"] if config.validation_fraction > 0.0 and len(splits) >= FEWEST_TO_CHOOSE else []
    for rank, split in enumerate(wanted):
        if split not in splits.values():
            _take(split, splits, placed, kept=wanted[:rank])
    if len(splits) < SMALL_SET:
        least = round((1.0 - config.test_fraction - config.validation_fraction) * len(splits))
        for _ in range(least - list(splits.values()).count("train")):
            _take("train", splits, placed, kept=wanted[1:])
    if len(splits) < FEWEST_TO_CHOOSE:
        splits |= {sha: "train" for sha, split in splits.items() if split == "validation" and sha not in placed}
    return {song: splits[sha] for song, sha in songs.items()}


def _take(split: Split, splits: dict[str, Split], placed: Container[str], *, kept: Collection[Split]) -> None:
    """Let a song of the largest other split change to this one, if there is one that nobody placed.

    Splits among ``kept`` give none of one song.
    """
    counts = Counter(splits.values())
    free = Counter(name for sha, name in splits.items() if sha not in placed and name != split)
    donors = [name for name in free if counts[name] > (name in kept)]
    if not donors:
        return
    donor = max(donors, key=lambda name: counts[name])
    choose = max if split == "train" else min
    splits[choose(sha for sha, name in splits.items() if name == donor and sha not in placed)] = split


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
