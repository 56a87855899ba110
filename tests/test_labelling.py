"""The edit list of a pair is computed once, and anew when something changes that it hangs on."""

from dataclasses import replace
from pathlib import Path

import pytest

from rl_editor import labelling
from rl_editor.config import AudioConfig, Config
from rl_editor.edits import EditList, SourceInfo, keep_all
from rl_editor.errors import PairRejectedError
from rl_editor.labelling import aligned

SOURCE = SourceInfo("a.wav", "1" * 64, 44100, 2, 441000)


def n_explained(first: Config, second: Config) -> int:
    """How often a pair is aligned that is asked for with one config and then with another."""
    explained: list[EditList] = []

    def explain() -> EditList:
        explained.append(keep_all(SOURCE))
        return explained[-1]

    for config in (first, second):
        aligned("a", explain, config, source=SOURCE, edit_sha256="2" * 64)
    return len(explained)


@pytest.mark.parametrize("setting", ["sample_rate", "hop_length", "n_fft"])
def test_labels_hang_on_every_setting_that_alignment_hears_by(tmp_path: Path, setting: str) -> None:
    config, other = Config(), Config()
    for one in (config, other):
        one.data.cache_dir = str(tmp_path)
    other.audio = AudioConfig(**{setting: getattr(config.audio, setting) // 2})
    assert n_explained(config, config) == 1
    assert n_explained(other, config) == 1  # the second is known from before


def test_labels_hang_on_both_contents_the_view_the_settings_and_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, other = Config(), Config()
    for one in (config, other):
        one.data.cache_dir = str(tmp_path)
    other.alignment.jump_cost *= 2
    explained: list[EditList] = []

    def explain() -> EditList:
        explained.append(keep_all(SOURCE))
        return explained[-1]

    def ask_all() -> int:
        """How many of five different questions were answered by aligning."""
        explained.clear()
        aligned("a", explain, config, source=SOURCE, edit_sha256="2" * 64)
        aligned("a", explain, config, source=SOURCE, edit_sha256="3" * 64)
        aligned("a", explain, config, source=replace(SOURCE, sha256="4" * 64), edit_sha256="2" * 64)
        aligned("a", explain, config, source=SOURCE, edit_sha256="2" * 64, view="stage")
        aligned("a", explain, other, source=SOURCE, edit_sha256="2" * 64)
        return len(explained)

    assert [ask_all(), ask_all()] == [5, 0]
    digest = labelling.code_digest
    for module in ("alignment", "channels", "utils/reading"):  # what finds edits, turns channels over, and reads files
        monkeypatch.setattr(labelling, "code_digest", lambda *m, changed=module: digest(*m) + changed * (changed in m))
        assert ask_all() == 5


def test_why_a_pair_was_rejected_is_known_from_before(tmp_path: Path) -> None:
    config = Config()
    config.data.cache_dir = str(tmp_path)
    asked: list[str] = []

    def reject() -> EditList:
        asked.append("a")
        raise PairRejectedError("is it the edit of another take?")

    for _ in range(2):
        with pytest.raises(PairRejectedError, match="another take"):
            aligned("a", reject, config, source=SOURCE, edit_sha256="2" * 64)
    assert asked == ["a"]


def test_labels_of_a_raw_that_was_renamed_bear_its_new_name(tmp_path: Path) -> None:
    config = Config()
    config.data.cache_dir = str(tmp_path)
    aligned("a", lambda: keep_all(SOURCE), config, source=SOURCE, edit_sha256="2" * 64)
    renamed = replace(SOURCE, name="b.wav")
    found = aligned("a", lambda: pytest.fail("aligned again"), config, source=renamed, edit_sha256="2" * 64)
    assert found == keep_all(renamed)
