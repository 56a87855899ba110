"""The model registry on a real SQLite store, and the ONNX graph beside torch."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rl_editor import registry
from rl_editor.agent import Agent
from rl_editor.checkpoint import Policy, load_policy, save_policy
from rl_editor.config import Config
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import CheckpointError, TrackingError
from rl_editor.files import file_sha256
from rl_editor.model_card import model_card
from rl_editor.registry import HeldOut, policy_file, register
from rl_editor.render import settle_joins
from rl_editor.utils import Samples, save_audio, source_info


def small(seed: int = 0) -> Config:
    config = Config()
    config.features.feature_mode = "basic"
    config.agent.d_model, config.agent.d_head, config.agent.n_layers = 8, 8, 1
    config.state.map_tokens, config.action_space.reorder_reach_units = 8, 4
    config.training.seed = seed
    return config


def checkpoint(folder: Path, seed: int = 0) -> Path:
    config = small(seed)
    path = folder / f"policy{seed}.pt"
    save_policy(path, Policy(Agent(config), config, ("ann",), {"score": 0.5}))
    return path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_damaged_store_refuses_in_one_line(store: Path) -> None:
    (store / "mlflow.db").write_text("no database, and longer than the header of one" * 10)
    with pytest.raises(TrackingError, match=r"^model registry sqlite:.*file is not a database") as refused:
        register(checkpoint(store), "p", held_out=HeldOut(0.5, "songs"))
    assert "\n" not in str(refused.value)


@pytest.mark.slow
class TestRegistry:
    def test_the_champion_changes_only_for_a_better_score(self, store: Path) -> None:
        first = register(checkpoint(store, 0), "p", held_out=HeldOut(0.5, "songs"))
        assert (first.version, first.is_new, first.is_champion) == ("1", True, True)
        worse = register(checkpoint(store, 1), "p", held_out=HeldOut(0.4, "songs"))
        assert (worse.version, worse.is_champion) == ("2", False)
        better = register(checkpoint(store, 2), "p", held_out=HeldOut(0.6, "songs"))
        assert (better.version, better.is_champion) == ("3", True)
        again = register(checkpoint(store, 2), "p", held_out=HeldOut(0.6, "songs"))
        assert again == better._replace(is_new=False)
        file = policy_file("models:/p@champion")
        assert file_sha256(file) == file_sha256(checkpoint(store, 2))
        assert not list(store.glob("mlruns/**/*.pkl"))

    def test_a_champion_whose_files_are_gone_gives_way(self, store: Path) -> None:
        register(checkpoint(store, 0), "p", held_out=HeldOut(0.9, "songs"))
        policy_file("models:/p@champion").unlink()
        assert register(checkpoint(store, 1), "p", held_out=HeldOut(0.4, "songs")).is_champion
        shutil.rmtree(store / "mlruns")
        with pytest.raises(TrackingError, match="its files are gone"):
            policy_file("models:/p@champion")
        assert register(checkpoint(store, 2), "p", held_out=HeldOut(0.3, "songs")).is_champion

    def test_a_champion_that_this_version_cannot_load_gives_way(self, store: Path) -> None:
        register(checkpoint(store, 0), "p", held_out=HeldOut(0.9, "songs"))
        policy_file("models:/p@champion").write_bytes(b"of another version")
        assert register(checkpoint(store, 1), "p", held_out=HeldOut(0.4, "songs")).is_champion

    def test_the_registry_says_what_the_model_is_and_what_it_gives(self, store: Path) -> None:
        from mlflow.models import get_model_info
        from mlflow.tracking import MlflowClient

        register(checkpoint(store, 0), "p", held_out=HeldOut(0.5, "songs"))
        client = MlflowClient()
        assert "edit lists out" in client.get_registered_model("p").description
        given = get_model_info("models:/p/1").signature.outputs
        edit = EditList(SourceInfo("song.wav", "0" * 64, 44_100, 2, 100), (Segment(0, 100),))
        assert given.required_input_names() == list(edit.to_dict())
        assert given.input_names() == list(replace(edit, fade_in_ms=1.0, fade_out_ms=1.0).to_dict())
        client.update_registered_model("p", "Ann's own words")
        register(checkpoint(store, 1), "p", held_out=HeldOut(0.4, "songs"))
        assert client.get_registered_model("p").description == "Ann's own words"

    def test_a_run_killed_while_it_registered_a_policy_is_no_second_version(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mlflow.tracking import MlflowClient

        def kill(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            for name in ("update_registered_model", "set_model_version_tag"):  # all that follows the version
                patched.setattr(MlflowClient, name, kill)
            with pytest.raises(KeyboardInterrupt):
                register(checkpoint(store, 0), "p", held_out=HeldOut(0.5, "songs"))
        again = register(checkpoint(store, 0), "p", held_out=HeldOut(0.5, "songs"))
        assert (again.version, again.is_champion) == ("1", True)
        assert "edit lists out" in MlflowClient().get_registered_model("p").description

    def test_other_songs_measure_the_champion_anew(self, store: Path) -> None:
        register(checkpoint(store, 0), "p", held_out=HeldOut(0.9, "old songs"))
        asked: list[Policy] = []

        def measure(policy: Policy) -> float:
            asked.append(policy)
            return 0.3

        newer = register(checkpoint(store, 1), "p", held_out=HeldOut(0.4, "new songs"), measure=measure)
        assert newer.is_champion  # 0.4 on the new songs beats the old champion's 0.3 on them
        assert [policy.config.training.seed for policy in asked] == [0]


class FakeClient:
    """A registry in which version 1 is the champion."""

    def __init__(self, **tags: str) -> None:
        self.tags, self.version, self.aliases = tags, "1", {"champion": "1"}

    def get_registered_model(self, name: str) -> "FakeClient":
        return self

    def get_model_version(self, name: str, version: str) -> "FakeClient":
        assert version == "1"
        return self

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases[alias] = version


class TestChallenge:
    @pytest.mark.parametrize(("score", "wins"), [(0.4, False), (0.5, False), (0.51, True)])
    def test_an_equal_score_moves_nothing(self, monkeypatch: pytest.MonkeyPatch, score: float, wins: bool) -> None:
        monkeypatch.setattr(registry, "_loaded", lambda name, version: object())
        client = FakeClient(**{registry.HELD_OUT_TAG: "songs", registry.SCORE_TAG: "0.5"})
        assert registry._challenge(client, "p", "2", HeldOut(score, "songs"), None) == wins
        assert client.aliases == {"champion": "2" if wins else "1"}
        assert registry._challenge(client, "p", client.aliases["champion"], HeldOut(0.0, "others"), None)

    def test_scores_of_other_songs_are_not_compared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "_loaded", lambda name, version: object())
        client = FakeClient(**{registry.HELD_OUT_TAG: "old songs", registry.SCORE_TAG: "0.1"})
        assert not registry._challenge(client, "p", "2", HeldOut(0.4, "new songs"), lambda policy: 0.9)
        with pytest.raises(TrackingError, match="was measured on other songs"):
            registry._challenge(client, "p", "2", HeldOut(0.4, "new songs"), None)

    def test_a_champion_that_is_gone_gives_way_to_any(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "_loaded", lambda name, version: None)
        client = FakeClient(**{registry.HELD_OUT_TAG: "songs", registry.SCORE_TAG: "0.9"})
        assert registry._challenge(client, "p", "2", HeldOut(0.1, "songs"), None)

    @pytest.mark.parametrize("fault", [TrackingError("its files are gone"), CheckpointError("of another version")])
    def test_one_that_cannot_be_loaded_is_gone(self, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
        def fail(uri: str) -> Path:
            raise fault

        monkeypatch.setattr(registry, "policy_file", fail)
        assert registry._loaded("p", "1") is None


class TestServed:
    def test_every_row_is_edited_as_it_asks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from mlflow.pyfunc import PythonModelContext

        from rl_editor.registry import served

        noise = np.random.default_rng(0).standard_normal((4 * 44_100, 1)).astype(np.float32) / 10
        for name in ("a.wav", "b.wav"):
            save_audio(tmp_path / name, Samples(noise, 44_100))
        within = (Segment(4410, 44_100), Segment(88_200, 44_100, crossfade_in_ms=50.0))
        drafted = EditList(source_info(tmp_path / "a.wav"), within)
        asked: list[tuple[object, ...]] = []

        def edit(policy: object, state: object, **wanted: object) -> EditList:
            asked.append((state, wanted["target_duration_s"], wanted["style"]))
            return drafted

        heard: list[object] = []
        monkeypatch.setattr(served.AudioState, "from_file", staticmethod(lambda path, config, recording: path.name))
        monkeypatch.setattr(served, "check_audible", heard.append)
        monkeypatch.setattr(served, "edit_recording", edit)
        model = served.ServedPolicy()
        model.policy = Policy(Agent(small()), small(), ("ann",))
        rows = pd.DataFrame(
            [
                {"path": str(tmp_path / "a.wav"), "target_duration_s": 90.0, "style": "ann"},
                {"path": str(tmp_path / "b.wav")},
            ],
        )
        found = model.predict(PythonModelContext({}, {}), rows)
        assert [each["duration"] for each in found] == [2.0] * 2
        assert asked == [("a.wav", 90.0, "ann"), ("b.wav", None, None)]
        assert heard == ["a.wav", "b.wav"]
        # as infer writes them; what was cut hard clicked where it began, and stopped dead
        assert found[0] == settle_joins(drafted, tmp_path / "a.wav", small()).to_dict()
        assert (found[0]["fade_in_ms"], found[0]["fade_out_ms"]) == (3.0, 60.0)

    def test_what_is_wrong_with_a_recording_is_said_in_the_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc import PythonModelContext

        from rl_editor.registry.served import ServedPolicy

        served = ServedPolicy()
        served.policy = load_policy(checkpoint(tmp_path))
        rows = pd.DataFrame([{"path": str(tmp_path / "song.wav")}])
        with pytest.raises(MlflowException, match=r"song\.wav: no such file; is the path spelt right\?") as caught:
            served.predict(PythonModelContext({}, {}), rows)
        assert caught.value.get_http_status_code() == 400

        def refuse(path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("rl_editor.registry.served.held_in_memory", refuse)
        with pytest.raises(MlflowException, match=r"song\.wav: permission denied; check the path"):
            served.predict(PythonModelContext({}, {}), rows)


@pytest.mark.slow
class TestOnnx:
    def test_it_gives_torchs_numbers_and_the_same_bytes(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        import onnxruntime

        from rl_editor.onnx_export import TOLERANCE, check_onnx, example_observations, export_onnx

        policy = Policy(Agent(small()), small(), ("ann",))
        export_onnx(policy, tmp_path / "a.onnx")
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]  # notes to itself
        export_onnx(policy, tmp_path / "b.onnx")
        assert check_onnx(policy, tmp_path / "a.onnx") <= TOLERANCE
        session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
        observations = example_observations(policy)
        for n in (1, 3, 40):  # one environment as well as many: what is exported has four
            (logits, value) = session.run(None, {"observation": observations[torch.arange(n) % 4].numpy()})
            assert (len(logits), len(value)) == (n, n)
        data = (tmp_path / "a.onnx").read_bytes()
        assert data == (tmp_path / "b.onnx").read_bytes()
        assert b"/rl_editor/" not in data
        other = Policy(Agent(small(5)), small(5), ("ann",))
        with pytest.raises(CheckpointError, match="differs from torch"):
            check_onnx(other, tmp_path / "a.onnx")
        with torch.no_grad():  # a value that agrees, and the logits of REORDER 0.01 off
            policy.agent.policy.kinds.bias[-1] += 0.01
        with pytest.raises(CheckpointError, match=r"differs from torch by 0\.0"):
            check_onnx(policy, tmp_path / "a.onnx")


class TestModelCard:
    def test_it_names_editors_numbers_and_hash(self) -> None:
        config = small()
        columns = ("style", "method", "condition", "metric", "mean", "low", "high")
        rows = [
            ("all", "ppo", "target", "reward_total", 0.5, 0.25, 0.75),
            ("all", "ppo", "target", "duration_error", 0.125, 0.0, 0.25),
            ("all", "ppo", "free", "reward_total", 0.4, 0.3, 0.5),
            ("all", "bc", "target", "reward_total", 0.9, 0.9, 0.9),
            ("ann", "ppo", "target", "reward_total", 0.9, 0.9, 0.9),
            ("all", "ppo", "target", "cut_f1", 0.9, 0.9, 0.9),
        ]
        found = pd.DataFrame(rows, columns=columns)
        text = model_card(Policy(Agent(config), config, ("ann", "bob")), found, n_songs=4, sha256="abc", method="ppo")
        assert "| ann, bob (no song of it held out) |" in text
        one = model_card(Policy(Agent(config), config, ("all",)), found, n_songs=4, sha256="abc", method="ppo")
        assert "| all (no song of it held out) |" in one  # "all" of the table is all editors
        assert "## On 4 songs that no training has seen" in text
        assert "`abc`" in text
        assert [line for line in text.splitlines() if "asked for |" in line] == [
            "| reward | not asked for | 0.400 | 0.300 to 0.500 |",
            "| length error, relative to the editor's | asked for | 0.125 | 0.000 to 0.250 |",
            "| reward | asked for | 0.500 | 0.250 to 0.750 |",
        ]
        size = Agent(config).representation.layout.size
        graph = f"`observation [envs, {size}]` to `logits [envs, 13]`"  # KEEP, CUT, LOOP 2 to 4, EXTEND, 4 back, 3 on
        assert graph in text
        assert "EXTEND or REORDER (13 numbers)" in text
        assert "| features | basic, mono at 22050 Hz |" in text
        nameless = model_card(Policy(Agent(config), config, ()), found, n_songs=4, sha256="abc", method="ppo")
        assert "| editors it learned | one, without a name |" in nameless
        assert "0.9" not in text
        assert "The graph is the network alone" in text  # what was measured is more
        assert "every unit of 4 beats of a recording" in text
        config.action_space.unit_beats = 1
        text = model_card(Policy(Agent(config), config, ("ann",)), found[:0], n_songs=4, sha256="abc", method="ppo")
        assert "Nothing was measured." in text
        assert "every unit of 1 beat of a recording" in text
