import csv
import json

import numpy as np
import pytest
import soundfile as sf

from rl_editor.config import Config, CorpusConfig, DataConfig, ExecutorConfig
from rl_editor.corpus import build_default_corpus, build_practice_pairs
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError, DatasetError
from rl_editor.files import file_sha256

EDITORS = ["radio_edit", "jam_cleanup", "extended_mix"]


def config_for(tmp_path, n_songs=2):
    return Config(
        corpus=CorpusConfig(n_songs=n_songs, min_duration_s=20.0, max_duration_s=25.0, sample_rate=16000),
        executor=ExecutorConfig(workers=1),
        data=DataConfig(cache_dir=str(tmp_path / "cache")),
    )


def hashes(folder):
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    config = config_for(folder)
    return folder / "data", config, build_default_corpus(folder / "data", config)


def test_layout_is_complete(built):
    folder, _, summary = built
    assert len(summary.pairs) == 2 * 3
    rows = list(csv.DictReader((folder / "pairs.csv").open()))
    assert [tuple(row.values()) for row in rows] == [tuple(pair) for pair in summary.pairs]
    assert {row["style"] for row in rows} == set(EDITORS)
    for row in rows:
        assert (folder / "input" / row["raw"]).is_file()
        assert (folder / "desired_output" / row["edit"]).is_file()
    n_stems = 2 * 4
    assert len(list((folder / "truth").glob("*.json"))) == 2 + 6
    assert len(list((folder / "truth" / "stems").rglob("*.flac"))) == n_stems


def test_edit_lists_name_their_raw_and_fit_their_audio(built):
    folder, _, summary = built
    for raw, edit, _ in summary.pairs:
        listed = EditList.load(folder / "truth" / edit.replace("_edit.flac", ".json"))
        assert listed.source.name == raw
        assert listed.source.sha256 == file_sha256(folder / "input" / raw)
        info = sf.info(folder / "desired_output" / edit)
        assert (info.frames, info.samplerate, info.channels) == (listed.frames, 16000, 2)


def test_edit_audio_plays_what_its_list_says(built):
    """The middle of every segment correlates with the raw at the place that the list names."""
    folder, _, summary = built
    for raw, edit, _ in summary.pairs:
        listed = EditList.load(folder / "truth" / edit.replace("_edit.flac", ".json"))
        source, _ = sf.read(folder / "input" / raw)
        output, _ = sf.read(folder / "desired_output" / edit)
        for at, segment in zip(listed.output_start_frames(), listed.segments, strict=True):
            middle = segment.frames // 2
            here = output[at + middle : at + middle + 4000].mean(axis=1)
            there = source[segment.source_start_frame + middle :][:4000].mean(axis=1)
            if there.std() > 1e-3:
                assert np.corrcoef(here, there)[0, 1] > 0.7


def test_truth_tells_beats_that_are_in_the_audio(built):
    folder, _, summary = built
    name = summary.pairs[0].raw.replace("_raw.flac", "")
    truth = json.loads((folder / "truth" / f"{name}.json").read_text())
    info = sf.info(folder / "input" / f"{name}_raw.flac")
    assert truth["grid"]["times_s"][-1] == pytest.approx(info.duration)
    assert truth["downbeats"] == truth["beats"][:: truth["grid"]["beats_per_bar"]]
    assert np.median(np.diff(truth["beats"])) == pytest.approx(60 / truth["bpm"], rel=1e-6)
    assert truth["sections"][0]["label"] == "intro"


def test_same_bytes_in_one_process_and_in_two(built, tmp_path):
    folder, config, _ = built
    config = Config.from_dict(config.to_dict() | {"executor": {"workers": 2}})
    build_default_corpus(tmp_path, config)
    assert hashes(tmp_path) == hashes(folder)


def test_unknown_editor_is_refused(tmp_path):
    config = config_for(tmp_path)
    config.corpus.editors = ["remixer"]
    with pytest.raises(ConfigError, match="remixer"):
        build_default_corpus(tmp_path, config)
    with pytest.raises(ConfigError, match="known editors are radio_edit"):
        build_practice_pairs(tmp_path, "remixer", tmp_path / "out", config)


def test_practice_pairs_from_any_recordings(built, tmp_path):
    folder, _, _ = built
    more = [folder / "input" / name for name in ("broken.wav", "book.m4b", "cover.jpg", "._hidden.wv")]
    for path in more:
        path.write_bytes(b"RIFF")
    out = tmp_path / "practice"
    summary = build_practice_pairs(folder / "input", "jam_cleanup", out, config_for(tmp_path))
    for path in more:
        path.unlink()
    assert len(summary.pairs) == 2
    assert len(summary.problems) == 2
    assert "broken.wav" in summary.problems[0]
    assert summary.problems[1] == "book.m4b: .m4b is not taken; make it .flac"
    for raw, edit, style in summary.pairs:
        assert style == "jam_cleanup"
        assert file_sha256(out / "input" / raw) == file_sha256(folder / "input" / raw)
        listed = EditList.load(out / "truth" / edit.replace("_edit.flac", ".json"))
        assert sf.info(out / "desired_output" / edit).frames == listed.frames < listed.source.frames


def test_practice_on_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no audio files"):
        build_practice_pairs(tmp_path, "radio_edit", tmp_path / "out", config_for(tmp_path))
    (tmp_path / "tune.WV").write_bytes(b"not opened")
    with pytest.raises(DatasetError, match=r"nothing to practise on: tune\.WV: \.WV is not taken; make it \.flac"):
        build_practice_pairs(tmp_path, "radio_edit", tmp_path / "out", config_for(tmp_path))
