"""Stems: the real Demucs code with a small real HTDemucs of random weights, from local folders; no network."""

import json
import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from rl_editor.analysis import separated
from rl_editor.config import AudioConfig, Config, StemsConfig
from rl_editor.errors import MissingWeightsError, StemError
from rl_editor.files import file_sha256
from rl_editor.stems import (
    STEM_NAMES,
    find_weights,
    hpss,
    load_stems,
    save_stems,
    separate,
    separated_pieces,
    separating_workers,
    separation,
    stems_key,
)
from rl_editor.stems.segments import Segmenting, separate_in_segments
from rl_editor.stems.weights import _hub
from rl_editor.utils import Samples, audio_info, save_audio

RATE = 22050  # Hz, the small model's
KWARGS = {
    "channels": 8, "depth": 4, "t_layers": 1, "t_heads": 2, "bottom_channels": 0, "segment": 2, "samplerate": RATE,
    "nfft": 1024, "dconv_depth": 1,
}  # fmt: skip
DEMUCS_SOURCES = ["drums", "bass", "other", "vocals"]  # Demucs' own order, which is not ours


def package(sources=DEMUCS_SOURCES):
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    model = HTDemucs(sources, **KWARGS)
    return {"klass": HTDemucs, "args": [sources], "kwargs": KWARGS, "state": model.state_dict()}


def write_safetensors(folder, *, sources=DEMUCS_SOURCES, klass="demucs.htdemucs.HTDemucs"):
    from safetensors.torch import save_file

    parts = package(sources)
    metadata = {"klass": klass, "args": json.dumps(parts["args"]), "kwargs": json.dumps(parts["kwargs"])}
    state = {key: value.contiguous() for key, value in parts["state"].items()}
    save_file(state, folder / "tiny.safetensors", metadata=metadata)
    return StemsConfig(model="tiny", repo=str(folder))


@pytest.fixture(scope="module")
def pickled(tmp_path_factory):
    """Demucs' local repository: tiny-<checksum>.th and a bag."""
    from demucs.states import save_with_checksum

    folder = tmp_path_factory.mktemp("repo")
    save_with_checksum(package(), folder / "tiny.th")
    (folder / "tinybag.yaml").write_text(yaml.safe_dump({"models": ["tiny"]}))
    return StemsConfig(model="tinybag", repo=str(folder))


@pytest.fixture(scope="module")
def safe(tmp_path_factory):
    return write_safetensors(tmp_path_factory.mktemp("safe"))


def noise(seconds=3.0, channels=2, rate=RATE, seed=0):
    data = np.random.default_rng(seed).standard_normal((round(seconds * rate), channels)) * 0.1
    return Samples(data.astype(np.float32), rate)


def test_separates_as_demucs_own_functions_do(pickled):
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    samples = Samples(noise().data + np.float32(0.05), RATE)  # a mean that is not 0
    stems = separate(samples, pickled)
    assert list(stems) == list(STEM_NAMES)
    model = get_model("tinybag", repo=Path(pickled.repo))
    mix = torch.from_numpy(samples.data.T.copy())
    mono = mix.mean(0)
    deviation = mono.std(unbiased=False)
    with torch.no_grad():
        expected = (
            apply_model(model, ((mix - mono.mean()) / deviation)[None], shifts=0)[0] * deviation + mono.mean() / 4
        )
    for name, sound in zip(DEMUCS_SOURCES, expected, strict=True):
        np.testing.assert_allclose(stems[name].data, sound.numpy().T, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.1, 2.0, 2 + 1 / RATE, 7.3])
@pytest.mark.parametrize("kind", ["hybrid transformer", "bag with weights", "hybrid", "time alone"])
def test_batches_of_segments_are_what_demucs_computes_one_by_one(kind, seconds):
    from demucs.apply import BagOfModels, apply_model
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    sizes = {"channels": 8, "samplerate": RATE, "segment": 2}
    bags = {
        "hybrid transformer": lambda: BagOfModels([HTDemucs(DEMUCS_SOURCES, **KWARGS)]),
        "bag with weights": lambda: BagOfModels(
            [HTDemucs(DEMUCS_SOURCES, **KWARGS) for _ in range(2)], [[1.0, 2.0, 3.0, 1.0], [2.0, 0.0, 1.0, 1.0]]
        ),
        "hybrid": lambda: BagOfModels([HDemucs(DEMUCS_SOURCES, depth=4, nfft=1024, **sizes)]),
        "time alone": lambda: BagOfModels([Demucs(DEMUCS_SOURCES, depth=3, **sizes)]),
    }
    bag = bags[kind]().eval()
    heard = noise(seconds).data
    mix, blocks = torch.from_numpy(heard.T.copy()), [heard[:500], heard[500:20_000], heard[20_000:]]
    for overlap, segment_s, batch in ((0.25, None, 1), (0.25, None, 3), (0.6, 1.0, 4)):
        with torch.no_grad():
            expected = apply_model(bag, mix[None], shifts=0, overlap=overlap, segment=segment_s)[0]
        how = Segmenting(overlap, segment_s, batch, "float32")
        spans = separate_in_segments(bag, lambda: blocks, len(heard), how, torch.device("cpu"))
        np.testing.assert_allclose(torch.cat(list(spans), dim=-1).numpy(), expected.numpy(), atol=1e-5)


def test_twice_is_the_same_to_the_bit(pickled):
    first, second = (separate(noise(), pickled) for _ in range(2))
    assert all((first[name].data == second[name].data).all() for name in STEM_NAMES)


def test_safetensors_hold_the_same_model_as_the_pickle(pickled, safe):
    a, b = separate(noise(), pickled), separate(noise(), safe)
    assert all((a[name].data == b[name].data).all() for name in STEM_NAMES)


@pytest.mark.parametrize(("channels", "rate"), [(1, RATE), (3, RATE), (2, 44100), (1, 48000)])
def test_rate_channels_and_length_are_the_recording_s(safe, channels, rate):
    samples = noise(1.2345, channels, rate)
    stems = separate(samples, safe)
    for stem in stems.values():
        assert stem.data.shape == samples.data.shape
        assert stem.sample_rate == rate
        assert np.isfinite(stem.data).all()


def test_a_third_channel_is_separated_like_a_mono_recording(safe):
    samples = noise(2.0, 3)
    alone = separate(Samples(samples.data[:, 2:], RATE), safe)
    together = separate(samples, safe)
    for name in STEM_NAMES:
        assert (together[name].data[:, 2:] == alone[name].data).all()
    twice = separate(Samples(samples.data[:, [2, 2]], RATE), safe)  # a single channel is what both sides are
    for name in STEM_NAMES:
        np.testing.assert_allclose(alone[name].data[:, 0], twice[name].data.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("model", ["demucs", "hpss"])
def test_a_recording_is_read_as_it_is_separated(safe, monkeypatch, model):
    monkeypatch.setattr(hpss, "_PIECE_S", 2.0)
    config, recording, read = safe if model == "demucs" else StemsConfig(model="hpss"), noise(20.0, 2, 24_000), []

    def blocks():
        read.append(0)
        for part in np.split(recording.data, range(1_000, recording.frames, 1_000)):
            read[-1] += len(part)
            yield Samples(part, recording.sample_rate)

    whole, given, lags = separate(recording, config), 0, []
    for piece in separated_pieces(blocks, config):
        np.testing.assert_allclose(
            piece["bass"].data, whole["bass"].data[given : given + piece["bass"].frames], atol=1e-6
        )
        given += piece["bass"].frames
        lags.append(read[-1] - given)
    assert given == recording.frames
    assert max(lags) < 5.0 * recording.sample_rate


def test_silence_and_a_single_frame(safe):
    silent = separate(Samples(np.zeros((RATE, 2), np.float32), RATE), safe)
    assert max(np.abs(stem.data).max() for stem in silent.values()) < 1e-6
    assert separate(noise(1 / RATE), safe)["bass"].data.shape == (1, 2)


def test_segment_and_overlap_are_passed_on(safe):
    whole = separate(noise(), safe)["bass"].data
    for config in (
        StemsConfig(model=safe.model, repo=safe.repo, overlap=0.5),
        StemsConfig(model=safe.model, repo=safe.repo, segment_s=1.0),
    ):
        assert (separate(noise(), config)["bass"].data != whole).any()
    with pytest.raises(StemError, match=r"segment_s: 7 s, tiny takes at most 2 s"):
        separate(noise(), StemsConfig(model=safe.model, repo=safe.repo, segment_s=7.0))


# ------------------------------------------------------------------------------------ weights


def check_three_ways(error):
    text = str(error.value)
    assert all(way in text for way in ("1. with a network", "2. put", "3. copy the Hugging Face cache"))
    assert "use_stems: false" in text


def test_missing_folder_and_model_say_the_three_ways(tmp_path, pickled):
    with pytest.raises(MissingWeightsError, match="is not a folder") as error:
        separate(noise(), StemsConfig(repo=str(tmp_path / "none")))
    check_three_ways(error)
    with pytest.raises(MissingWeightsError, match=r"htdemucs\.safetensors or htdemucs\.th is not in") as error:
        separate(noise(), StemsConfig(repo=pickled.repo))
    check_three_ways(error)


def test_hub_out_of_reach_says_the_three_ways(monkeypatch):
    import huggingface_hub

    def refuse(repository, file):
        raise huggingface_hub.errors.LocalEntryNotFoundError(f"no network for {repository}/{file}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(MissingWeightsError, match=r"hub adefossez/HTDemucs: no network") as error:
        separate(noise(), StemsConfig())
    check_three_ways(error)


def test_hub_gives_safetensors_and_its_pickles_are_never_asked_for(monkeypatch, safe):
    import huggingface_hub

    asked = []

    def give(repository, file):
        asked.append(f"{repository}/{file}")
        if file.endswith(".yaml"):
            path = Path(safe.repo) / "hub.yaml"
            path.write_text("models: ['tiny']\n")
            return str(path)
        return str(Path(safe.repo) / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", give)
    stems = separate(noise(), StemsConfig(model="htdemucs_ft"))
    assert asked == ["adefossez/HTDemucs-ft/htdemucs_ft.yaml", "adefossez/HTDemucs-ft/tiny.safetensors"]
    assert (stems["bass"].data == separate(noise(), safe)["bass"].data).all()


def test_other_stems_are_refused(tmp_path):
    config = write_safetensors(tmp_path, sources=["vocals", "accompaniment"])
    with pytest.raises(StemError, match="separates vocals, accompaniment in 2 channels"):
        separate(noise(), config)


@pytest.mark.parametrize("klass", ["subprocess.Popen", "diffq.diffq.DiffQuantizer"])
def test_a_file_cannot_name_a_foreign_class(tmp_path, klass):
    config = write_safetensors(tmp_path, klass=klass)
    with pytest.raises(StemError, match=rf"class '{klass}', which is not Demucs'"):
        separate(noise(), config)


def test_no_pickle_is_read_where_there_is_another_and_none_of_a_network(tmp_path, monkeypatch):
    import huggingface_hub

    config, asked = write_safetensors(tmp_path), []
    (tmp_path / "tiny.th").write_bytes(b"would run")
    assert [path.name for path in find_weights(config).models] == ["tiny.safetensors"]
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda _, file: asked.append(file) or tmp_path / file)
    assert _hub("htdemucs")("955717e8.th") is None
    assert asked == []


def test_a_bag_needs_all_of_its_models_and_what_it_says_of_them_is_part_of_the_key(tmp_path):
    config = replace(write_safetensors(tmp_path), model="bag")
    found = []
    for weights in ([[1.0] * 4] * 2, [[1.0, 2.0, 1.0, 1.0], [1.0] * 4]):
        (tmp_path / "bag.yaml").write_text(yaml.safe_dump({"models": ["tiny", "tiny"], "weights": weights}))
        found.append(find_weights(config).sha256)
    assert found[0] != found[1]
    (tmp_path / "bag.yaml").write_text(yaml.safe_dump({"models": ["tiny", "gone"]}))
    with pytest.raises(MissingWeightsError, match=r"gone\.safetensors or gone\.th is not in"):
        find_weights(config)


def test_damaged_weights_are_named(tmp_path, pickled):
    (source,) = Path(pickled.repo).glob("*.th")
    (tmp_path / source.name).write_bytes(source.read_bytes()[:-100])
    with pytest.raises(StemError, match=r"tiny: tiny-\w{8}\.th: not a Demucs model .*Invalid checksum"):
        separate(noise(), StemsConfig(model="tiny", repo=str(tmp_path)))
    (tmp_path / "broken.safetensors").write_bytes(b"hello")
    with pytest.raises(StemError, match=r"broken\.safetensors: not a Demucs model"):
        separate(noise(), StemsConfig(model="broken", repo=str(tmp_path)))


@pytest.mark.parametrize("bag", [b": : [", b"\xff\xfem\x00"], ids=["no YAML", "no UTF-8"])
def test_a_bag_that_is_no_yaml_is_refused(tmp_path, bag):
    (tmp_path / "m.yaml").write_bytes(bag)
    with pytest.raises(StemError, match=r"m\.yaml: not a bag of models .*; copy or download it again"):
        find_weights(StemsConfig(model="m", repo=str(tmp_path)))


def test_a_bag_of_weights_for_more_models_than_it_has_is_refused(tmp_path):
    write_safetensors(tmp_path)
    (tmp_path / "bag.yaml").write_text(yaml.safe_dump({"models": ["tiny"], "weights": [[1.0] * 4] * 2}))
    with pytest.raises(StemError, match=r"bag: tiny\.safetensors: not a Demucs model"):
        separate(Samples(np.zeros((RATE, 2), np.float32), RATE), StemsConfig(model="bag", repo=str(tmp_path)))


def test_pickles_of_other_programs_are_refused(tmp_path, monkeypatch):
    elsewhere = types.ModuleType("somewhere_else")
    elsewhere.Model = type("Model", (), {"__module__": elsewhere.__name__})
    monkeypatch.setitem(sys.modules, elsewhere.__name__, elsewhere)
    torch.save({"klass": elsewhere.Model}, tmp_path / "a.th")
    monkeypatch.delitem(sys.modules, elsewhere.__name__)
    torch.save(torch.zeros(2), tmp_path / "b.th")
    for name in ("a", "b"):
        with pytest.raises(StemError, match=rf"{name}\.th: not a Demucs model"):
            separate(Samples(np.zeros((RATE, 2), np.float32), RATE), StemsConfig(model=name, repo=str(tmp_path)))


def test_cache_key_follows_weights_and_settings_but_not_where_they_are_computed(pickled, safe):
    key = stems_key(safe)
    assert len(find_weights(pickled).sha256) == 64
    others = [
        stems_key(pickled),
        stems_key(replace(safe, overlap=0.5)),
        stems_key(replace(safe, segment_s=1.0)),
        stems_key(replace(safe, precision="bfloat16")),
        stems_key(StemsConfig(model="hpss")),
    ]
    assert all(other != key for other in others)
    assert stems_key(replace(safe, device="cpu", batch_segments=7)) == key
    assert str(safe.repo) not in json.dumps(key)


def test_other_weights_in_the_same_folder_are_other_stems(tmp_path):
    config = write_safetensors(tmp_path)
    before = stems_key(config)
    write_safetensors(tmp_path, sources=DEMUCS_SOURCES[::-1])
    separation._checksum.cache_clear()  # as in another process
    assert stems_key(config) != before


# ------------------------------------------------------------------------------------ storage


def test_stored_stems_keep_peaks_beyond_full_scale(tmp_path):
    loud, quiet = noise(0.5, seed=1), noise(0.5, seed=2)
    loud = Samples(loud.data * 30, RATE)  # peaks of some 0.1 * 4 * 30 = 12
    save_stems(tmp_path, {"drums": loud, "other": quiet})
    scales = json.loads((tmp_path / "stems.json").read_text())["scales"]
    assert scales["other"] == 1.0
    assert scales["drums"] == 2.0 ** np.ceil(np.log2(np.abs(loud.data).max()))
    assert audio_info(tmp_path / "drums.flac").subtype == "PCM_24"
    stored = load_stems(tmp_path)
    assert list(stored) == ["drums", "other"]
    assert np.abs(stored["other"].data - quiet.data).max() <= 0.51 / 2**23
    assert np.abs(stored["drums"].data - loud.data).max() <= 0.51 * scales["drums"] / 2**23


def test_storing_is_deterministic_and_loading_foreign_folders_fails(tmp_path):
    for name in ("a", "b"):
        save_stems(tmp_path / name, {"bass": noise(0.2)})
    assert (tmp_path / "a/bass.flac").read_bytes() == (tmp_path / "b/bass.flac").read_bytes()
    with pytest.raises(StemError, match="no stems of this project"):
        load_stems(tmp_path)
    for said, manifest in (
        ("format 'else'", '{"format": "else", "version": 1, "scales": {}}'),
        ("version 2", '{"format": "rl-editor/stems", "version": 2, "scales": {}}'),
    ):
        (tmp_path / "stems.json").write_text(manifest)
        with pytest.raises(StemError, match=said):
            load_stems(tmp_path)


@pytest.mark.parametrize("peaks", [(1.0, -1.0), (0.5, -1.5)])
def test_peaks_at_full_scale_and_below_are_kept(tmp_path, peaks):
    stem = Samples(np.array([[*peaks, 0.25]], np.float32).T, RATE)
    save_stems(tmp_path, {"guitar": stem, "bass": stem, "drums": stem})
    stored = load_stems(tmp_path)
    assert list(stored) == ["drums", "bass", "guitar"]  # ours in our order, then what others add
    np.testing.assert_array_equal(stored["bass"].data, stem.data)


def test_stems_go_through_the_cache(tmp_path, safe):
    from rl_editor.cache import FeatureCache

    cache, samples = FeatureCache(tmp_path), noise(1.0)
    for _ in range(2):
        key = {"sha256": "ab" * 32, **stems_key(safe)}
        with cache.folder("stems", "song", key, lambda folder: save_stems(folder, separate(samples, safe))) as folder:
            stems = load_stems(folder)
    assert (cache.hits, cache.misses) == (1, 1)
    assert stems["vocals"].data.shape == samples.data.shape


def test_stems_that_do_not_add_up_to_the_recording_are_noticed(tmp_path, safe, caplog):
    config, song = Config(audio=AudioConfig(sample_rate=16_000)), tmp_path / "song.wav"
    config.data.cache_dir = str(tmp_path / "cache")
    save_audio(song, noise(4.0))
    residuals = {}
    for config.stems in (StemsConfig(model="hpss"), safe):
        found = separated(song, config, sha256=file_sha256(song))
        assert {len(mono) for mono in found.values()} == {4 * 16_000}
        (manifest,) = Path(config.data.cache_dir).glob("stems/*/stems.json")
        residuals[config.stems.model] = json.loads(manifest.read_text())["residual_db"]
        shutil.rmtree(config.data.cache_dir)
    assert residuals["hpss"] < -90.0
    assert residuals["tiny"] > -10.0  # its weights were never trained
    (said,) = caplog.messages
    assert said.startswith(f"song.wav: its stems miss it by {residuals['tiny']:.0f} dB")


@pytest.mark.parametrize("model", ["hpss", "tiny"])
def test_silence_misses_nothing_of_itself(model, tmp_path, safe, caplog):
    config, song = Config(stems=replace(safe, model=model)), tmp_path / "silent.wav"
    config.data.cache_dir = str(tmp_path / "cache")
    save_audio(song, Samples(np.zeros((4 * 44_100, 2), np.float32), 44_100))
    found = separated(song, config, sha256=file_sha256(song))
    assert max(float(np.abs(mono).max()) for mono in found.values()) < 1e-6
    assert caplog.messages == []


def test_a_gpu_is_left_to_one_process(monkeypatch):
    config = StemsConfig(device="auto")
    assert separating_workers(5, config) == 5
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert separating_workers(5, config) == 1
    assert separating_workers(5, replace(config, model="hpss")) == 5
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 << 30, 8 << 30))
    cuda = torch.device("cuda")
    assert separation.segments_at_a_time(config, cuda) == 5
    for device in (cuda, torch.device("cpu")):
        assert separation.segments_at_a_time(replace(config, batch_segments=3), device) == 3
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100 << 20, 8 << 30))
    assert separation.segments_at_a_time(config, cuda) == 1
