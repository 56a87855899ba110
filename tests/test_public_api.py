"""The documented names and the documented training loop, as a user would type them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rl_editor
from rl_editor.utils import Samples, save_audio

ROOT = Path(__file__).parent.parent
DOCUMENTED = [
    "Config",
    "get_default_config",
    "ActionType",
    "ActionSpace",
    "KeepAction",
    "CutAction",
    "LoopAction",
    "ReorderAction",
    "AudioState",
    "EditHistory",
    "StateRepresentation",
    "AudioEditingEnv",
    "Agent",
    "PolicyNetwork",
    "ValueNetwork",
    "PPOTrainer",
    "RewardCalculator",
    "RewardComponents",
    "RewardModel",
    "AudioDataset",
    "PairedAudioDataset",
    "create_dataloader",
    "FeatureCache",
    "get_cache",
    "Evaluator",
    "TrainingLogger",
    "create_logger",
]


def test_every_documented_name_is_there_and_no_other() -> None:
    assert sorted(rl_editor.__all__) == sorted(DOCUMENTED)
    for name in DOCUMENTED:
        assert getattr(rl_editor, name).__name__ == name


def test_a_wheel_holds_the_package_with_all_its_files_and_nothing_else() -> None:
    """``stages`` belong to this repository; in site-packages they would stand in the way of anybody's own."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert settings["packages"]["find"]["include"] == ["rl_editor", "rl_editor.*"]
    modules = (ROOT / "rl_editor").rglob("*.py")
    assert all((path.parent / "__init__.py").exists() for path in modules)  # else its folder is no package
    patterns = settings["package-data"]["rl_editor"]
    held = {path for pattern in patterns for path in (ROOT / "rl_editor").glob(pattern)}
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "rl_editor"], capture_output=True, text=True)
    others = {ROOT / name for name in listed.stdout.split() if not name.endswith(".py")}
    assert others
    assert others <= held


def test_the_lock_holds_what_the_pipeline_the_listening_page_and_contributing_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").split()
    locked = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    for text in (*project["dependencies"], *extras["pipeline"], *extras["listen"], *extras["dev"]):
        needed = Requirement(text)
        assert needed.specifier.contains(locked[canonicalize_name(needed.name)]), text


def test_importing_the_package_is_light() -> None:
    heavy = "[m for m in ('torch', 'librosa', 'numba', 'mlflow', 'gymnasium', 'numpy') if m in sys.modules]"
    code = f"import sys, rl_editor; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def click_track(path: Path) -> None:
    """24 s at 120 bpm: a decaying burst on every half second, a lower one on every fourth."""
    rate = 22050
    time_s = np.arange(24 * rate) / rate
    since_beat = time_s % 0.5
    pitch = np.where((time_s // 0.5).astype(int) % 4 == 0, 110.0, 440.0)
    tone = 0.5 * np.exp(-20.0 * since_beat) * np.sin(2 * np.pi * pitch * since_beat)
    save_audio(path, Samples(tone[:, None].astype(np.float32), rate))


def test_documented_training_loop(tmp_path: Path) -> None:
    from rl_editor import Agent, AudioEditingEnv, AudioState, Config

    config = Config()
    config.data.cache_dir = str(tmp_path / "cache")
    config.training.device = "cuda"
    click_track(tmp_path / "input.wav")
    audio_state = AudioState.from_file(str(tmp_path / "input.wav"), config)
    env = AudioEditingEnv(config, audio_state=audio_state)
    obs, _info = env.reset()
    agent = Agent(config, input_dim=obs.shape[0], n_actions=env.action_space.n_discrete_actions)
    for _episode in range(2):
        obs, _ = env.reset()
        done, steps = False, 0
        while not done:
            action, log_prob, value = agent.select_action(torch.from_numpy(obs))
            assert env.action_space.contains(action)
            assert float(log_prob) <= 0.0
            assert np.isfinite(float(value))
            obs, reward, terminated, truncated, _info = env.step(action)
            assert np.isfinite(reward)
            done, steps = terminated or truncated, steps + 1
        assert steps == audio_state.grid.units(config.action_space.unit_beats).n_units
