"""A listening set of a composed song: pairs that differ in taste and in little else, anchors, edits to rate, sound."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from listening_sets import pair as make_pair
from test_editing import config as config  # the fixtures
from test_editing import song as song
from test_infer import policy as policy
from typer.testing import CliRunner
from world_tracks import track

from rl_editor.checkpoint import Policy, save_policy
from rl_editor.cli import app
from rl_editor.cli.listening import _policies
from rl_editor.config import Config
from rl_editor.editing import Proposal, Request
from rl_editor.edits import EditList, Segment, joins, keep_all
from rl_editor.errors import CheckpointError, ConfigError, DatasetError
from rl_editor.infer import analysis_settings
from rl_editor.judgements import Heard, Pair
from rl_editor.judgements.sets import AUDIO, SET_FILE, ListeningSet
from rl_editor.negotiation import Demands
from rl_editor.preferences import candidates
from rl_editor.preferences import drafts as drafting
from rl_editor.preferences.candidates import SUMMARY_FAULTS, Made, Plan, _Studio, find_songs, make_set
from rl_editor.preferences.drafts import Draft, drafts
from rl_editor.preferences.loudness import loudness_lufs
from rl_editor.render import with_faded_ends
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.state import AudioState
from rl_editor.utils import Samples, load_audio, save_audio, source_info


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sets") / "evening"


@pytest.fixture(scope="module")
def drafted() -> list[Draft]:
    """What was drafted of the song for the set."""
    return []


@pytest.fixture(scope="module")
def made(folder: Path, song: Path, policy: Policy, config: Config, drafted: list[Draft]) -> Made:
    broken = song.with_name("broken.wav")
    broken.write_bytes(b"RIFF of nothing")
    plan = Plan(n_pairs=8, n_rated=2, target_duration_s=40.0, seed=5)

    def kept(*args: Any, **kwargs: Any) -> list[Draft]:
        drafted[:] = drafts(*args, **kwargs)
        return drafted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "drafts", kept)
        return make_set([broken, song], folder, {"young": policy}, plan, config=config)


@pytest.fixture
def same_drafts(made: Made, drafted: list[Draft], monkeypatch: pytest.MonkeyPatch) -> None:
    """The song's drafts are those of the set, also where it sounds otherwise: to draft takes most of a set's time."""

    def again(_: Samples, state: AudioState, *__: object, **___: object) -> list[Draft]:
        return [draft._replace(edit=replace(draft.edit, source=state.recording)) for draft in drafted]

    monkeypatch.setattr(candidates, "drafts", again)


def test_a_bad_song_does_not_take_the_others_down(made: Made) -> None:
    assert [problem.name for problem in made.problems] == ["broken.wav"]
    assert not made.problems[0].reason.split()[0].endswith("broken.wav:")
    assert {pair.song for pair in made.listening_set.pairs} == {"tune"}


def test_an_edit_that_is_not_the_policys_is_no_draft_of_its(
    song: Path, policy: Policy, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is negotiated from the whole recording says nothing of the policy's taste."""
    settings = analysis_settings(policy, config)
    state, edit = AudioState.from_file(song, settings), keep_all(source_info(song))
    falls_back = iter([False, True])
    monkeypatch.setattr(drafting, "propose", lambda *_: iter([Proposal(edit, (), is_fallback=next(falls_back))]))
    asked = load_audio(song), state, Request(Demands(duration_s=40.0)), policy, settings
    assert [len(list(drafting._proposed(*asked))) for _ in range(2)] == [1, 0]


def test_drafts_are_settled_about_the_length_and_unlike_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six bars, a bar longer or shorter at most."""
    state = track(form="ab")
    bar_s, rate = state.grid.bar_s, state.recording.sample_rate

    def plays(first_bar: float, last_bar: float) -> EditList:
        start, end = (round(bar * bar_s * rate) for bar in (first_bar, last_bar))
        return EditList(state.recording, (Segment(start, end - start),))

    tried = {"first": (0, 6), "again": (0.02, 6), "longer": (8, 15.1), "a bar longer": (8, 14.95), "shorter": (9, 13.9)}
    monkeypatch.setattr(drafting, "_all", lambda *_: iter([Draft(way, plays(*bars)) for way, bars in tried.items()]))
    monkeypatch.setattr(drafting, "settle_joins", lambda edit, *_: replace(edit, fade_in_ms=7.0))
    recording = Samples(np.zeros((1, 1), np.float32), rate)
    found = drafts(recording, state, {}, Config(), target_duration_s=6 * bar_s, style=None, seed=0)
    assert [(draft.way, draft.edit.fade_in_ms) for draft in found] == [("first", 7.0), ("a bar longer", 7.0)]


def test_pairs_are_matched(made: Made, folder: Path) -> None:
    pairs = [pair for pair in made.listening_set.pairs if pair.kind == "pair"]
    assert 5 <= len(pairs) <= 8  # those that the other song did not give as well
    for pair in pairs:
        assert abs(pair.a.duration_s - pair.b.duration_s) <= 2.6  # a bar
        assert pair.a.loudness_lufs == pytest.approx(pair.b.loudness_lufs, abs=1e-6)
        assert pair.a.differs_s or pair.b.differs_s
        for side in (pair.a, pair.b):
            sound = load_audio(folder / AUDIO / side.audio)
            assert sound.frames == side.edit.frames
            assert loudness_lufs(sound) == pytest.approx(side.loudness_lufs, abs=0.1)
            assert np.abs(sound.data).max() < 1.0
            assert side.beats_s == tuple(sorted(side.beats_s))
            assert len(side.summary) == len(SUMMARY_NAMES)
            assert side.summary[SUMMARY_NAMES.index("output_share")] == pytest.approx(
                side.edit.frames / side.edit.source.frames, rel=1e-4
            )


def test_anchors_are_a_good_excerpt_and_the_same_broken(made: Made) -> None:
    (anchor,) = [pair for pair in made.listening_set.pairs if pair.kind == "anchor"]
    assert anchor.a.way == "good"
    assert any(segment.gain_db for segment in anchor.b.edit.segments)
    assert not any(segment.gain_db for segment in anchor.a.edit.segments)
    for name in SUMMARY_FAULTS:
        worse, better = (side.summary[SUMMARY_NAMES.index(name)] for side in (anchor.b, anchor.a))
        assert worse > better or (worse == better and name not in ("phrase_faults", "energy_faults"))


@pytest.mark.usefixtures("same_drafts")
def test_lengths_and_shading_do_not_give_anchors_away(song: Path, policy: Policy, config: Config) -> None:
    settings = analysis_settings(policy, config)
    studio = _Studio(song, Path("unused"), {"young": policy}, Plan(target_duration_s=40.0), settings)
    studio._written = lambda heard, sound: heard  # type: ignore[method-assign]
    anchors = studio.anchors(12)
    assert len(anchors) == 12
    assert all(abs(pair.a.duration_s - pair.b.duration_s) <= 2.6 for pair in anchors)  # a bar
    assert sum(abs(pair.a.duration_s - pair.b.duration_s) > 0.2 for pair in anchors) >= 3
    assert sum(pair.a.differs_s != pair.b.differs_s for pair in anchors) >= 6


def described_pair(folder: Path) -> Pair:
    """A pair whose sides have as many numbers as a summary of this version."""
    pair = make_pair(folder, 0)
    summary = (0.0,) * len(SUMMARY_NAMES)
    return replace(pair, a=replace(pair.a, summary=summary), b=replace(pair.b, summary=summary))


@pytest.mark.parametrize(
    ("per_song", "n_anchors"),
    [([3] * 20, 8), ([10] * 6, 8), ([8], 1), ([9], 2), ([1], 1), ([1] * 16, 2), ([0, 5, 0, 11, 1], 3)],
)
def test_one_anchor_for_every_eight_pairs_of_the_whole_set(
    per_song: list[int], n_anchors: int, tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = described_pair(tmp_path)

    class Studio:
        def __init__(self, song: Path, *_: object) -> None:
            self.song, self.n = song.stem, per_song[int(song.stem)]

        def pairs(self, n: int) -> list[Pair]:
            return [replace(pair, pair_id=f"{self.song}_{k}") for k in range(self.n)]

        def anchors(self, n: int) -> list[Pair]:
            kept = n - 1 if self.song == "0" else n  # of the first song one cannot be broken: the next makes up for it
            kept = kept if len(per_song) > 1 else n
            return [replace(pair, pair_id=f"{self.song}_anchor_{k}", kind="anchor") for k in range(kept)]

        def whole(self, n: int) -> list[Heard]:
            return []

    monkeypatch.setattr(candidates, "_Studio", Studio)
    songs = [tmp_path / f"{number}.wav" for number in range(len(per_song))]
    made = make_set(songs, tmp_path / "set", {"young": policy}, Plan(n_pairs=100))
    kinds = [each.kind for each in made.listening_set.pairs]
    assert (kinds.count("pair"), kinds.count("anchor")) == (sum(per_song), n_anchors)


def test_songs_that_no_pair_is_wanted_of_are_not_analysed(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed: list[str] = []
    pair = described_pair(tmp_path)

    class Studio:
        def __init__(self, song: Path, *_: object) -> None:
            analysed.append(song.name)

        def pairs(self, n: int) -> list[Pair]:
            return [replace(pair, pair_id=f"{analysed[-1]}_{k}") for k in range(n)]

        def anchors(self, n: int) -> list[Pair]:
            return []

        def whole(self, n: int) -> list[Heard]:
            return []

    monkeypatch.setattr(candidates, "_Studio", Studio)
    said: list[str] = []
    songs = [tmp_path / f"{number}.wav" for number in range(5)]
    made = make_set(songs, tmp_path / "set", {"young": policy}, Plan(n_pairs=3), tell=said.append)
    assert analysed == ["0.wav", "1.wav", "2.wav"]
    assert len(made.listening_set.pairs) == 3
    assert made.problems == ()
    assert said[-1] == "2 further recordings not needed for 3 pairs"


def test_whole_edits_to_rate(made: Made, folder: Path) -> None:
    whole = made.listening_set.whole
    assert len(whole) == 2
    for heard in whole:
        assert heard.duration_s == pytest.approx(40.0, abs=2.6)
        assert sf.info(folder / AUDIO / heard.audio).frames == heard.edit.frames
    assert len({h.edit_id for h in whole}) == 2
    fading = [h.edit for h in whole if h.edit.fade_in_ms or h.edit.fade_out_ms]  # they begin or end within the song
    assert fading
    assert all(with_faded_ends(h.edit) == h.edit for h in whole)


def test_no_file_tells_how_an_edit_was_made(made: Made, folder: Path) -> None:
    for path in (folder / AUDIO).iterdir():
        assert not any(word in path.name for word in ("ppo", "young", "anchor", "tune"))
        with sf.SoundFile(path) as sound:
            assert not sound.copy_metadata()


def test_the_set_is_what_was_written_and_the_same_again(
    made: Made, folder: Path, song: Path, policy: Policy, config: Config, tmp_path: Path
) -> None:
    assert ListeningSet.load(folder) == made.listening_set
    again = make_set([song], tmp_path / "evening", {"young": policy}, Plan(8, 2, 40.0, None, 5), config=config)
    assert again.listening_set.pairs == made.listening_set.pairs
    first = made.listening_set.pairs[0].a.audio
    assert (tmp_path / "evening" / AUDIO / first).read_bytes() == (folder / AUDIO / first).read_bytes()


def test_joins_are_kept_within_excerpts(made: Made) -> None:
    assert any(joins(side.edit) for pair in made.listening_set.pairs for side in (pair.a, pair.b))


@pytest.mark.usefixtures("same_drafts")
def test_an_excerpt_in_two_pairs_is_as_loud_as_each_says(
    song: Path, policy: Policy, config: Config, tmp_path: Path
) -> None:
    soft = load_audio(song)
    data = 0.05 * soft.data
    data[:: 9 * soft.sample_rate] = 0.95  # clicks: sides that hold one cannot be made as loud as others
    save_audio(tmp_path / "crest.wav", Samples(data, soft.sample_rate), subtype="PCM_16")
    plan = Plan(n_pairs=12, n_rated=2, target_duration_s=40.0)
    made = make_set([tmp_path / "crest.wav"], tmp_path / "set", {"young": policy}, plan, config=config)
    levels = {round(side.loudness_lufs or 0.0) for side in made.listening_set.heard()}
    assert len(levels) > 1
    for side in made.listening_set.heard():
        measured = loudness_lufs(load_audio(tmp_path / "set" / AUDIO / side.audio))
        assert measured == pytest.approx(side.loudness_lufs, abs=0.3)


@pytest.mark.usefixtures("same_drafts")
def test_of_surround_what_two_loudspeakers_play_is_written_and_measured(
    song: Path, policy: Policy, config: Config, tmp_path: Path
) -> None:
    """Left, centre of twice the level, right of half of it, and the bass, which is not heard."""
    plain = load_audio(song)
    one = 0.2 * plain.data[:, 0]
    bass = 0.3 * np.sin(2 * np.pi * 100 * np.arange(plain.frames) / plain.sample_rate)
    data = np.column_stack([one, 0.5 * one, 2 * one, bass]).astype(np.float32)
    save_audio(tmp_path / "film.wav", Samples(data, plain.sample_rate), subtype="PCM_16", places=(2, 3, 4, 11))
    plan = Plan(n_pairs=1, n_rated=1, target_duration_s=40.0)
    made = make_set([tmp_path / "film.wav"], tmp_path / "set", {"young": policy}, plan, config=config)
    for side in made.listening_set.heard():
        sound = load_audio(tmp_path / "set" / AUDIO / side.audio)
        assert sound.channels == 2
        left, right = sound.data[sound.sample_rate :].T  # by 1 + 2 sqrt(1/2) and 1/2 + 2 sqrt(1/2)
        assert np.abs(left).max() / np.abs(right).max() == pytest.approx((1 + 2**0.5) / (0.5 + 2**0.5), abs=0.01)
        assert loudness_lufs(sound) == pytest.approx(side.loudness_lufs, abs=0.1)


class TestRefusals:
    """Wrong usage, before or without harm."""

    def test_a_set_is_not_overwritten(self, made: Made, folder: Path, song: Path, policy: Policy) -> None:
        with pytest.raises(ConfigError, match=r"set\.json: a listening set is there already; name another folder"):
            make_set([song], folder, {"young": policy}, Plan())

    def test_songs_of_one_name(self, policy: Policy, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="two recordings are named 'tune'"):
            make_set([tmp_path / "a" / "tune.wav", tmp_path / "b" / "tune.ogg"], tmp_path, {"young": policy}, Plan())

    def test_nothing_to_judge(self, policy: Policy, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"no pair to judge from 1 recording: missing\.wav: .*no such file"):
            make_set([tmp_path / "missing.wav"], tmp_path / "set", {"young": policy}, Plan())
        assert not (tmp_path / "set" / SET_FILE).exists()

    def test_an_unknown_style_before_anything_is_read(self, policy: Policy, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="style 'eve': the policy learned ann, bob"):
            make_set([tmp_path / "missing.wav"], tmp_path / "set", {"young": policy}, Plan(style="eve"))

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="holds no recordings"):
            find_songs([tmp_path])


def test_the_command(song: Path, policy: Policy, config: Config, tmp_path: Path) -> None:
    save_policy(tmp_path / "young.pt", policy)
    params = tmp_path / "params.yaml"
    params.write_text(f"data: {{cache_dir: {json.dumps(config.data.cache_dir)}}}\n")
    takes = tmp_path / "takes"
    takes.mkdir()
    shutil.copy(song, takes)
    (takes / "book.m4b").touch()
    arguments = ["candidates", str(takes), "-o", str(tmp_path / "set"), "--pairs", "2", "--rated", "0", "--json"]
    arguments += ["--target-duration", "0:40", "--checkpoint", f"kid={tmp_path / 'young.pt'}", "--params", str(params)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert (said["pairs"], said["to_rate"], said["left_out"]) == (2, 0, 1)
    assert "left out: book.m4b: .m4b is not taken from a folder; name the file itself" in result.stderr
    ways = {side.way for pair in ListeningSet.load(tmp_path / "set").pairs for side in (pair.a, pair.b)}
    assert any(way.startswith("kid") for way in ways)


def test_a_policy_may_lie_in_a_folder_named_after_a_setting(policy: Policy, tmp_path: Path) -> None:
    path = tmp_path / "lr=0.1" / "best.pt"
    path.parent.mkdir()
    save_policy(path, policy)
    assert list(_policies([str(path), f"mine={path}"])) == ["best", "mine"]
    with pytest.raises(ConfigError, match=r"^--checkpoint mine=: names no file; write NAME=FILE$"):
        _policies(["mine="])
