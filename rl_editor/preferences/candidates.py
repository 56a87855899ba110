"""A listening set: pairs of excerpts that differ in taste and in little else, with anchors, and whole edits to rate.

Of every song some edits of one length are drafted (``drafts``), two and two cut down to where they differ
(``excerpts``), and of these the pairs taken that tell most of what is not known yet. Both sides are equally loud
(``loudness``). Anchors set a good excerpt against itself with its bars broken and its level jumping (``anchors``).
Audio files have names of chance.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rl_editor.checkpoint import Policy
from rl_editor.command import counted
from rl_editor.config import Config
from rl_editor.editing import recordings_in
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError, DatasetError, RlEditorError, said, stops_all
from rl_editor.infer import analysis_settings, check_audible, shared, style_number
from rl_editor.judgements import Heard, Kind, Pair
from rl_editor.judgements.sets import ANSWERS, AUDIO, SET_FILE, ListeningSet
from rl_editor.library import Problem, problem_of
from rl_editor.preferences.anchors import anchor
from rl_editor.preferences.drafts import Draft, drafts
from rl_editor.preferences.excerpts import Excerpt, clip, excerpts
from rl_editor.preferences.loudness import Matched, faded, matched, mixed_down
from rl_editor.render import render_samples
from rl_editor.reward import SUMMARY_NAMES, RewardCalculator
from rl_editor.reward_model.choosing import most_telling
from rl_editor.state import AudioState
from rl_editor.utils import Samples, load_audio, read_places, save_audio

SHARE = 0.6  # of a song's length, where no length is asked for
PAIRS_PER_ANCHOR = 8
SUMMARY_FAULTS = tuple(name for name in SUMMARY_NAMES if name.endswith("_faults"))
_PUT_IN = ("energy_faults", "phrase_faults")
_ANCHOR_DRAWS = 20  # for each anchor, of which about half give one; the most broken is taken
_ANCHOR_ROUNDS = 2  # at most, per anchor: of some rounds of draws none breaks by chance
_SUBTYPE = "PCM_16"


@dataclass(frozen=True)
class Plan:
    """What a listening set is to hold.

    Attributes:
        n_pairs: over all songs; anchors come on top.
        n_rated: whole edits to rate, of each song.
        target_duration_s: length of the edits; None takes ``SHARE`` of each song.
        style: whose way of editing.
        seed: of all chance.
    """

    n_pairs: int = 60
    n_rated: int = 2
    target_duration_s: float | None = None
    style: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Made:
    """A listening set and the songs that gave nothing to it."""

    listening_set: ListeningSet
    problems: tuple[Problem, ...]


def make_set(
    songs: Sequence[Path],
    folder: Path,
    policies: Mapping[str, Policy],
    plan: Plan,
    *,
    config: Config | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Made:
    """Write a listening set of some songs; one that fails does not stop the others. ``set.json`` is written last.

    Args:
        songs: recordings.
        folder: where the set goes.
        policies: by name; the first one's settings analyse the songs.
        plan: what it is to hold.
        config: settings of cache, beats and rendering; the policy's own by default.
        tell: is told of every song.

    Raises:
        ConfigError: the folder holds a set already, two songs share a name, or there is no policy.
        CheckpointError: a policy does not know the style.
        DatasetError: no song gave a pair.
    """
    _check(songs, folder, policies, plan)
    settings = analysis_settings(next(iter(policies.values())), config)
    pairs: list[Pair] = []
    whole: list[Heard] = []
    problems: list[Problem] = []
    for number, song in enumerate(songs):
        missing = plan.n_pairs - _count(pairs, "pair")
        if not missing:
            tell(f"{counted(len(songs) - number, 'further recording')} not needed for {counted(plan.n_pairs, 'pair')}")
            break
        try:
            studio = _Studio(song, folder, policies, plan, settings)
            found = _of_song(studio, -(-missing // (len(songs) - number)), plan.n_rated, before=pairs)
        except (RlEditorError, OSError) as error:
            if stops_all(error):
                raise
            problems.append(problem_of(song, said(error)))
            continue
        pairs += [*found.pairs, *found.anchors]
        whole += found.whole
        counts = f"{counted(len(found.pairs), 'pair')}, {counted(len(found.anchors), 'anchor')}"
        tell(f"{song.name} ({number + 1} of {len(songs)}): {counts}")
        if not found.pairs:
            problems.append(Problem(song.name, "its edits do not differ in passages of equal length"))
    if not pairs:
        reasons = "; ".join(str(problem) for problem in problems[:3])
        given = counted(len(songs), "recording")
        raise DatasetError(f"no pair to judge from {given}: {reasons or 'their edits do not differ'}")
    made = ListeningSet(folder.resolve().name, plan.seed, SUMMARY_NAMES, tuple(pairs), tuple(whole))
    made.save(folder)
    return Made(made, tuple(problems))


def anchors_due(n_pairs: int) -> int:
    """How many anchors go with so many pairs of a set: one in ``PAIRS_PER_ANCHOR``, rounded up over the whole of it."""
    return -(-n_pairs // PAIRS_PER_ANCHOR)


def find_songs(paths: Sequence[Path]) -> list[Path]:
    """Recordings, those of folders in order of their names.

    Raises:
        ConfigError: a folder holds none.
    """
    return [song for path in paths for song in (recordings_in(path) if path.is_dir() else [path])]


def _check(songs: Sequence[Path], folder: Path, policies: Mapping[str, Policy], plan: Plan) -> None:
    """Refuse what no set can be made of, before anything is computed."""
    if not policies:
        raise ConfigError("no policy to make edits with; train one with 'make repro', or give --checkpoint")
    for held in (SET_FILE, ANSWERS):
        if (folder / held).exists():
            raise ConfigError(f"{folder / held}: a listening set is there already; name another folder")
    for name, n in Counter(song.stem for song in songs).items():
        if n > 1:
            raise ConfigError(f"two recordings are named {name!r}; their edits could not be told apart, rename one")
    for policy in policies.values():
        style_number(policy, plan.style)


class _OfSong(NamedTuple):
    pairs: list[Pair]
    anchors: list[Pair]
    whole: list[Heard]


def _of_song(studio: "_Studio", n_pairs: int, n_rated: int, *, before: Sequence[Pair]) -> _OfSong:
    """What a song gives: at most so many pairs, the anchors then due beside those ``before``, and edits to rate."""
    pairs = studio.pairs(n_pairs)
    if not pairs:
        return _OfSong([], [], [])
    n_anchors = anchors_due(_count([*before, *pairs], "pair")) - _count(before, "anchor")
    return _OfSong(pairs, studio.anchors(n_anchors), studio.whole(n_rated))


def _count(pairs: Sequence[Pair], kind: Kind) -> int:
    return sum(pair.kind == kind for pair in pairs)


class _Studio:
    """One song: its edits, excerpts of them, and their sound."""

    def __init__(self, song: Path, folder: Path, policies: Mapping[str, Policy], plan: Plan, settings: Config) -> None:
        self.song, self.folder, self.plan, self.settings = song.stem, folder, plan, settings
        self.recording, self.places = load_audio(song), read_places(song)
        self.state = AudioState.from_file(song, settings, recording=self.recording)
        check_audible(self.state)
        self.calculator = RewardCalculator(settings)
        self.seed = int.from_bytes(hashlib.sha256(f"{plan.seed}\0{self.song}".encode()).digest()[:6])
        self.rng = np.random.default_rng(self.seed)
        asked_s = plan.target_duration_s or SHARE * self.state.grid.duration_s
        self.drafts = drafts(
            self.recording,
            self.state,
            policies,
            settings,
            target_duration_s=asked_s,
            style=plan.style,
            seed=self.seed,
        )

    def pairs(self, n: int) -> list[Pair]:
        """The most telling pairs."""
        bar_s = self.state.grid.bar_s
        cut: list[tuple[Draft, Draft, Excerpt, Excerpt]] = []
        for one, two in combinations(self.drafts, 2):
            if abs(one.edit.duration_s - two.edit.duration_s) > bar_s:
                continue
            sides = excerpts(one.edit, two.edit, self.state.grid)
            if sides is not None:
                cut.append((one, two, *sides))
        if not cut:
            return []
        first, second = (np.array([self._summary(c[side].edit) for c in cut]) for side in (2, 3))
        chosen = [cut[index] for index in most_telling(first, second, min(n, len(cut)))]
        return [self._pair("pair", f"{number:03}", *each) for number, each in enumerate(chosen)]

    def whole(self, n: int) -> list[Heard]:
        """Whole edits to rate: the first way's, then those that share least with what was taken."""
        chosen = self.drafts[:1]
        while len(chosen) < min(n, len(self.drafts)):
            rest = [draft for draft in self.drafts if draft not in chosen]
            chosen.append(min(rest, key=lambda draft: max(shared(draft.edit, other.edit) for other in chosen)))
        return [self._heard(draft.way, draft.edit, _plain(draft.edit)) for draft in chosen[:n]]

    def anchors(self, n: int) -> list[Pair]:
        """So many pairs of a good excerpt and the same broken; fewer where hardly any break."""
        made: list[Pair] = []
        for _ in range(_ANCHOR_ROUNDS * n):
            if len(made) == n:
                break
            drawn = [sides for sides in self._anchors_drawn() if self._worse(*sides)]
            if drawn:
                a, b = max(drawn, key=lambda sides: self._put_in(*sides).sum())
                ways = Draft("good", a.edit), Draft("bars and level broken", b.edit)
                made.append(self._pair("anchor", f"anchor_{len(made)}", *ways, a, b))
        return made

    def _anchors_drawn(self) -> Iterator[tuple[Excerpt, Excerpt]]:
        fade_ms = self.settings.action_space.default_crossfade_ms
        for _ in range(_ANCHOR_DRAWS):
            good = self.drafts[int(self.rng.integers(len(self.drafts)))].edit
            sides = anchor(good, self.state.grid, self.rng, crossfade_ms=fade_ms)
            if sides is not None:
                yield sides

    def _worse(self, good: Excerpt, broken: Excerpt) -> bool:
        """By all of the faults that were put in, and by no fault better."""
        more = self._put_in(good, broken)
        return bool((more >= 0).all() and all(more[SUMMARY_FAULTS.index(name)] > 0 for name in _PUT_IN))

    def _put_in(self, good: Excerpt, broken: Excerpt) -> Float[np.ndarray, " faults"]:
        """Faults of each kind that one has more than the other, times seconds."""
        columns = [SUMMARY_NAMES.index(name) for name in SUMMARY_FAULTS]
        one, two = (self._summary(side.edit)[columns] * side.edit.duration_s for side in (good, broken))
        return np.asarray(two - one)

    def _pair(self, kind: Kind, name: str, one: Draft, two: Draft, a: Excerpt, b: Excerpt) -> Pair:
        heard = [self._render(excerpt.edit) for excerpt in (a, b)]
        sides = [
            Heard(
                _edit_id(self.song, draft.edit),
                self.song,
                draft.way,
                excerpt.edit,
                tuple(self._summary(excerpt.edit)),
                beats_s=excerpt.beats_s,
                differs_s=excerpt.differs_s,
            )
            for draft, excerpt in ((one, a), (two, b))
        ]
        found = [self._written(side, each) for side, each in zip(sides, matched(*heard), strict=True)]
        return Pair(f"{self.song}_{name}", kind, *found)

    def _heard(self, way: str, edit: EditList, played: EditList) -> Heard:
        bare = Heard(_edit_id(self.song, edit), self.song, way, played, tuple(self._summary(played)))
        return self._written(bare, matched(self._render(played))[0])

    def _written(self, heard: Heard, sound: Matched) -> Heard:
        # The level is part of the name: an excerpt is softer beside a side whose peaks would not fit.
        what = f"{self.seed}\0{sound.loudness_lufs!r}\0{heard.edit.to_json()}"
        name = hashlib.sha256(what.encode()).hexdigest()[:20] + ".flac"
        save_audio(self.folder / AUDIO / name, sound.samples, subtype=_SUBTYPE)
        return replace(heard, loudness_lufs=sound.loudness_lufs, audio=name)

    def _render(self, edit: EditList) -> Samples:
        return faded(mixed_down(render_samples(edit, self.recording, self.settings), self.places))

    def _summary(self, edit: EditList) -> Float[np.ndarray, " summary"]:
        return self.calculator.summary(edit, self.state).numpy().astype(np.float64)


def _plain(edit: EditList) -> EditList:
    """What plays, and how it fades at its ends; without beats and actions."""
    return replace(clip(edit, 0, edit.frames), fade_in_ms=edit.fade_in_ms, fade_out_ms=edit.fade_out_ms)


def _edit_id(song: str, edit: EditList) -> str:
    return f"{song}_{hashlib.sha256(edit.to_json().encode()).hexdigest()[:10]}"
