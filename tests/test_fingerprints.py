"""A run is known again by its settings and its data, whatever of them changes; code by every byte of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_tracks import toy_config, toy_demonstration

from rl_editor import versions
from rl_editor.demonstrations import Demonstration
from rl_editor.features import BeatFeatures
from rl_editor.fingerprints import reward_fingerprint, run_fingerprint
from rl_editor.versions import code_digest

SECTIONS = {"agent": (), "bc": ("epochs",), "reward": (), "training": ("device",)}


def other_data(d: Demonstration) -> dict[str, Demonstration]:
    """The same demonstration with one thing changed each."""
    actions, confidence = d.labels.actions.copy(), d.labels.confidence.copy()
    actions[-1], confidence[-1] = 1 - actions[-1], 0.5
    values, times_s = d.features.values.copy(), d.grid.times_s.copy()
    values[-1, -1] += 1.0
    times_s[1] += 0.01
    return {
        "pair_id": replace(d, pair_id="another"),
        "split": replace(d, split="validation"),
        "style": replace(d, style="another"),
        "coverage": replace(d, labels=replace(d.labels, coverage=0.5)),
        "edit": replace(d, edit=replace(d.edit, fade_in_ms=1.0)),
        "actions": replace(d, labels=replace(d.labels, actions=actions)),
        "confidence": replace(d, labels=replace(d.labels, confidence=confidence)),
        "features": replace(d, features=BeatFeatures(values, d.features.names)),
        "times": replace(d, grid=replace(d.grid, times_s=times_s)),
        "bars": replace(d, grid=replace(d.grid, bar_position=(d.grid.bar_position + 1) % 4)),
    }


def test_every_part_of_every_demonstration_counts() -> None:
    config = toy_config()
    first, second = toy_demonstration(0, config), toy_demonstration(1, config)
    own = run_fingerprint([first, second], config, sections=SECTIONS)
    assert run_fingerprint([replace(first), second], config, sections=SECTIONS) == own
    others = other_data(second).items()
    found = {name: run_fingerprint([first, each], config, sections=SECTIONS) for name, each in others}
    found |= {"fewer": run_fingerprint([first], config, sections=SECTIONS)}
    found |= {"order": run_fingerprint([second, first], config, sections=SECTIONS)}
    assert len({own, *found.values()}) == 1 + len(found), found


@pytest.mark.parametrize(
    ("section", "settings", "same"),
    [
        ("bc", {"learning_rate": 0.1}, False),
        ("agent", {"d_head": 8}, False),
        ("reward", {"tempo_weight": 3.0}, False),
        ("training", {"seed": 5}, False),
        ("bc", {"epochs": 3}, True),  # a run goes on with more of them ..
        ("training", {"device": "auto"}, True),  # .. and elsewhere
        ("tracking", {"experiment": "another"}, True),  # what is noted where changes no result
        ("executor", {"workers": 1}, True),
        ("data", {"num_workers": 1}, True),
        ("render", {"block_s": 11.0}, True),  # comes after
    ],
)
def test_settings_count_but_for_those_that_a_run_may_go_on_with(
    section: str, settings: dict[str, object], same: bool
) -> None:
    demonstrations = [toy_demonstration(0, toy_config())]
    plain, changed = (
        run_fingerprint(demonstrations, config, sections=SECTIONS)
        for config in (toy_config(), toy_config(**{section: settings}))
    )
    assert (plain == changed) is same


def test_a_learned_reward_is_known_by_what_it_says() -> None:
    assert reward_fingerprint(None) == ""
    first, again = (reward_fingerprint(lambda s: s[:, 0]) for _ in range(2))
    assert first == again != reward_fingerprint(lambda s: s[:, 1])
    assert reward_fingerprint(lambda s: torch.zeros(len(s))) != ""


def test_code_is_all_files_of_modules_and_packages_weights_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_PACKAGE", tmp_path)
    (tmp_path / "sound" / "deep").mkdir(parents=True)
    files = ("sound/__init__.py", "sound/a.py", "sound/deep/b.py", "sound/w.safetensors", "alone.py")
    for name in files:
        (tmp_path / name).write_text(name)

    def digest(*modules: str) -> str:
        code_digest.cache_clear()
        return code_digest(*modules)

    own = digest("sound", "alone")
    assert digest("sound") != own != digest("alone")
    (tmp_path / "sound" / "notes.txt").write_text("no code")
    (tmp_path / "other.py").write_text("of nobody's")
    assert digest("sound", "alone") == own
    for name in files:
        (tmp_path / name).write_text("changed")
        assert digest("sound", "alone") != own, name
        (tmp_path / name).write_text(name)
    assert digest("sound", "alone") == own
    (tmp_path / "sound" / "a.py").rename(tmp_path / "sound" / "c.py")
    (tmp_path / "sound" / "a.py").write_text("more")
    assert digest("sound", "alone") != own
    code_digest.cache_clear()
