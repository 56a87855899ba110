"""Stems: drums, bass, vocals and other, separated by the real Demucs (or, without weights, ``hpss``), kept as FLAC.

Conventions: every stem has the rate, channels and length of the recording; stems add up to the recording as closely as
the model's do. Channels beyond two are separated in pairs; a single one is played to the model on both sides. The same
weights, recording and settings give the same samples on one kind of CPU (``shifts=0``: Demucs' random shifts are off).

Where weights come from: ``stems.repo`` names a folder with ``<model>.yaml`` (a bag) and ``<signature>.safetensors`` or
``.th`` files, or one such file named after the model; null asks Demucs' hub, which holds safetensors. A ``.th`` is a
pickle that can run code, so it is read from a folder that was named, never from a network; classes that safetensors
name must be Demucs' own.

A stored stem is 24-bit FLAC, divided by the power of two in ``stems.json`` where its peak passes full scale.

Sources: A. Défossez, demucs 4.1 (``apply_model``, ``get_model``, ``hf.load_safetensors_model``); the mix is normalised
as ``demucs.separate`` does.
"""

import hashlib
import json
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log2
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
import yaml
from jaxtyping import Float32

from rl_editor.config import StemsConfig
from rl_editor.errors import MissingWeightsError, StemError
from rl_editor.files import file_sha256, write_json
from rl_editor.hpss import separate_by_hpss
from rl_editor.utils import Samples, load_audio, save_audio
from rl_editor.versions import code_digest

STEM_NAMES = ("drums", "bass", "vocals", "other")
HPSS = "hpss"  # the name of the model that is none

_MANIFEST = "stems.json"
_FORMAT = "rl-editor/stems"
_VERSION = 1
_CLASSES = frozenset({"demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs"})
_GPU_BATCH = 16  # segments at a time: more were no faster on an H100
_SEGMENT_BYTES = 400 << 20  # that htdemucs takes of a GPU per segment
_FULL_SCALE = 1.0 - 2.0**-23  # the largest 24-bit sample

if TYPE_CHECKING:
    import torch

Fetch = Callable[[str], Path | None]


@dataclass(frozen=True)
class Weights:
    """The files of a model; ``bag`` lists the models of an ensemble and their weights."""

    models: tuple[Path, ...]
    bag: Path | None = None

    @property
    def sha256(self) -> str:
        """One checksum over all files, in order."""
        files = [*self.models, *([self.bag] if self.bag else [])]
        return hashlib.sha256("".join(file_sha256(file) for file in files).encode()).hexdigest()


def separate(samples: Samples, config: StemsConfig) -> dict[str, Samples]:
    """The stems of a recording, in the order of ``STEM_NAMES``; the model ``hpss`` needs no weights.

    Raises:
        MissingWeightsError: the model's weights cannot be had; the message says how to get them.
        StemError: the weights are damaged, or the model gives other stems or takes no such segment.
    """
    if config.model == HPSS:
        return separate_by_hpss(samples)
    weights = find_weights(config)
    return separate_with(_load_once(config.model, weights), samples, config)


def separate_with(model: Any, samples: Samples, config: StemsConfig) -> dict[str, Samples]:
    """``separate`` with a model from ``load_model``."""
    _check_model(model, config)
    data = _resampled(samples.data, samples.sample_rate, model.samplerate)
    stems: dict[str, list[np.ndarray]] = {name: [] for name in STEM_NAMES}
    for first in range(0, samples.channels, 2):
        pair = data[:, first : first + 2]
        for name, stem in _separate_pair(model, pair, config).items():
            stems[name].append(_resampled(stem, model.samplerate, samples.sample_rate))
    return {
        name: Samples(_of_length(np.concatenate(parts, axis=1), samples.frames), samples.sample_rate)
        for name, parts in stems.items()
    }


def separating_workers(workers: int, config: StemsConfig) -> int:
    """Processes that separate side by side: one on a GPU, which a single recording keeps busy."""
    from rl_editor.devices import resolve_device

    on_cpu = config.model == HPSS or resolve_device(config.device, setting="stems.device").type == "cpu"
    return workers if on_cpu else 1


def segments_at_a_time(config: StemsConfig, device: "torch.device") -> int:
    """``stems.batch_segments``, or one on a CPU and on a GPU what fits into half of its free memory, up to 16."""
    import torch

    if config.batch_segments or device.type == "cpu":
        return config.batch_segments or 1
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_GPU_BATCH, free // 2 // _SEGMENT_BYTES))


def stems_key(config: StemsConfig) -> dict[str, Any]:
    """What the stems of a recording depend on beside it, as a part of cache keys; where they are computed is none.

    Raises:
        MissingWeightsError: the model's weights cannot be had.
    """
    weights = HPSS if config.model == HPSS else _checksum(config.model, config.repo)
    return {
        "code": code_digest("stems", "segments", "hpss"),
        "weights": weights,
        "overlap": config.overlap,
        "segment_s": config.segment_s,
        "precision": config.precision,
    }


@lru_cache
def _checksum(model: str, repo: str | None) -> str:
    """Of a model's files, which are taken to stay as they are while this process runs."""
    return find_weights(StemsConfig(model=model, repo=repo)).sha256


def save_stems(folder: str | Path, stems: Mapping[str, Samples]) -> None:
    """Write stems as FLAC beside ``stems.json`` with their scales."""
    target = Path(folder)
    scales = {name: _scale(stem.data) for name, stem in stems.items()}
    for name, stem in stems.items():
        scaled = Samples(stem.data / np.float32(scales[name]), stem.sample_rate)
        save_audio(target / f"{name}.flac", scaled, subtype="PCM_24")
    write_json(target / _MANIFEST, {"format": _FORMAT, "version": _VERSION, "scales": scales})


def load_stems(folder: str | Path) -> dict[str, Samples]:
    """Stems that ``save_stems`` wrote, to within half a step of 24 bits at their scale.

    Raises:
        StemError: the folder holds no stems of this format.
        AudioFileError: a stem cannot be read.
    """
    manifest = Path(folder) / _MANIFEST
    try:
        value = json.loads(manifest.read_text(encoding="utf-8"))
        if (value["format"], value["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"format {value['format']!r} version {value['version']!r}")
        scales = {str(name): float(scale) for name, scale in value["scales"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StemError(f"{folder}: no stems of this project ({error}); separate the recording again") from None
    stored = {name: load_audio(Path(folder) / f"{name}.flac") for name in _ordered(scales)}
    return {name: Samples(stem.data * np.float32(scales[name]), stem.sample_rate) for name, stem in stored.items()}


# ---------------------------------------------------------------- weights


def find_weights(config: StemsConfig) -> Weights:
    """The files of the configured model, fetched from the hub where no folder is named.

    Raises:
        MissingWeightsError: they are not in the folder, or the hub does not give them.
    """
    fetch = _hub(config.model) if config.repo is None else _folder(config.model, Path(config.repo))
    bag = fetch(f"{config.model.rsplit('/', 1)[-1]}.yaml")
    signatures = _bag_of(bag)["models"] if bag else [config.model]
    files = [fetch(f"{s}.safetensors") or fetch(f"{s}.th") for s in signatures]
    found = tuple(file for file in files if file is not None)
    if len(found) < len(signatures):
        missing = next(s for s, file in zip(signatures, files, strict=True) if file is None)
        raise _missing(config.model, f"{missing}.safetensors or {missing}.th is not in {config.repo}")
    return Weights(found, bag)


def load_model(name: str, weights: Weights) -> Any:
    """A Demucs model, or bag of models, ready to separate.

    Raises:
        StemError: a file is damaged or asks for classes that are not Demucs'.
    """
    from demucs.apply import BagOfModels

    try:
        models = [_load_file(file) for file in weights.models]
        bag = _bag_of(weights.bag) if weights.bag else {}
        model = BagOfModels(models, bag.get("weights"), bag.get("segment"))
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        pickle.PickleError,
    ) as fault:
        files = ", ".join(file.name for file in weights.models)
        raise StemError(f"{name}: {files}: not a Demucs model ({fault}); copy or download it again") from fault
    model.eval()
    return model


@lru_cache(maxsize=1)
def _load_once(name: str, weights: Weights) -> Any:
    return load_model(name, weights)


def _load_file(file: Path) -> Any:
    from demucs.hf import load_safetensors_model
    from demucs.repo import LocalRepo

    if file.suffix == ".safetensors":
        _check_classes(file)
        return load_safetensors_model(file)
    try:
        return LocalRepo(file.parent).get_model(_signature(file))
    except SystemExit:  # how demucs reports that its optional diffq is missing
        raise ValueError("its weights are quantised, which needs the package diffq") from None


def _check_classes(file: Path) -> None:
    """Demucs imports whatever class a file names; only Demucs' own are let through."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    named = [metadata.get("klass", ""), *re.findall(r'"_class"\s*:\s*"([^"]*)"', metadata.get("structure", ""))]
    foreign = [name for name in named if name not in _CLASSES and not name.startswith("diffq.")]
    if foreign or metadata.get("klass") not in _CLASSES:
        raise ValueError(f"it names the class {(foreign or named)[0]!r}, which is not Demucs'")


def _signature(file: Path) -> str:
    """``955717e8-8726e21a.th`` is the model 955717e8 with the start of its checksum."""
    return file.stem.rsplit("-", 1)[0]


def _bag_of(path: Path) -> dict[str, Any]:
    bag = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(bag, dict) or not isinstance(bag.get("models"), list) or not bag["models"]:
        raise StemError(f"{path}: not a bag of models; it must have a list 'models' of signatures")
    return bag


def _folder(name: str, folder: Path) -> Fetch:
    if not folder.is_dir():
        raise _missing(name, f"stems.repo {folder} is not a folder")

    def fetch(file: str) -> Path | None:
        path = folder / file
        if path.is_file() or path.suffix != ".th":
            return path if path.is_file() else None
        return next((p for p in sorted(folder.glob("*.th")) if _signature(p) == path.stem), None)

    return fetch


def _hub(name: str) -> Fetch:
    """Demucs' repository on the Hugging Face hub; safetensors alone, never its pickles."""
    from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    namespace, _, model = name.rpartition("/")
    repository = f"{namespace or DEFAULT_NAMESPACE}/{hf_repo_name(model)}"

    def fetch(file: str) -> Path | None:
        if file.endswith(".th"):
            return None
        try:
            return Path(hf_hub_download(repository, file))
        except (OSError, HfHubHTTPError, HFValidationError) as error:
            reason = str(error).strip().splitlines()
            raise _missing(name, f"hub {repository}: {reason[0] if reason else type(error).__name__}") from error

    return fetch


def _missing(name: str, reason: str) -> MissingWeightsError:
    return MissingWeightsError(
        f"{name}: no weights for stem separation ({reason}). Three ways to get them: "
        "1. with a network, leave stems.repo null and run once; Demucs' hub is asked for a model such as htdemucs; "
        f"2. put {name}.yaml and its .safetensors (or trusted .th) files into a folder and set stems.repo to it; "
        "3. copy the Hugging Face cache of a machine that has them and set HF_HOME to it. "
        "Coarser, and without weights: stems.model: hpss. "
        "Without stems: data.use_stems: false and features.feature_mode: enhanced"
    )


# ---------------------------------------------------------------- separation


def _check_model(model: Any, config: StemsConfig) -> None:
    if set(model.sources) != set(STEM_NAMES) or model.audio_channels != 2:
        raise StemError(
            f"{config.model}: separates {', '.join(model.sources)} in {model.audio_channels} channels, needed are "
            f"{', '.join(STEM_NAMES)} in 2; take a model such as htdemucs"
        )
    longest = model.max_allowed_segment
    if config.segment_s is not None and config.segment_s > longest:
        raise StemError(
            f"stems.segment_s: {config.segment_s:g} s, {config.model} takes at most {float(longest):g} s; "
            "leave it null for the model's own length"
        )


def _separate_pair(
    model: Any, pair: Float32[np.ndarray, "frames channels"], config: StemsConfig
) -> dict[str, Float32[np.ndarray, "frames channels"]]:
    """One or two channels at the model's rate."""
    import torch

    from rl_editor.devices import resolve_device
    from rl_editor.segments import Segmenting, separate_in_segments

    device = resolve_device(config.device, setting="stems.device")
    how = Segmenting(config.overlap, config.segment_s, segments_at_a_time(config, device), config.precision)
    stereo = np.ascontiguousarray(np.broadcast_to(pair, (len(pair), 2)).T)
    mono = stereo.mean(axis=0, dtype=np.float64)
    mean, deviation = float(mono.mean()), float(mono.std()) + 1e-8  # demucs.separate's guard against silence
    mix = torch.from_numpy((stereo - np.float32(mean)) / np.float32(deviation))
    estimates = separate_in_segments(model, mix, how, device).numpy()
    sounds = estimates * np.float32(deviation) + np.float32(mean / len(STEM_NAMES))
    by_name = dict(zip(model.sources, sounds, strict=True))
    mono_again = pair.shape[1] == 1
    return {name: by_name[name].mean(axis=0, keepdims=True).T if mono_again else by_name[name].T for name in STEM_NAMES}


def _resampled(
    data: Float32[np.ndarray, "frames channels"], rate: int, target_rate: int
) -> Float32[np.ndarray, "resampled channels"]:
    if rate == target_rate:
        return data
    resampled: np.ndarray = soxr.resample(np.ascontiguousarray(data), rate, target_rate, quality="HQ")
    return resampled


def _of_length(data: Float32[np.ndarray, "frames channels"], frames: int) -> Float32[np.ndarray, "length channels"]:
    return np.ascontiguousarray(np.pad(data[:frames], ((0, max(0, frames - len(data))), (0, 0))))


def _scale(data: Float32[np.ndarray, "frames channels"]) -> float:
    """The power of two, at least 1, that brings the peak within full scale; dividing by it rounds nothing."""
    peak = float(np.abs(data).max(initial=0.0))
    return 1.0 if peak <= _FULL_SCALE else 2.0 ** ceil(log2(peak / _FULL_SCALE))


def _ordered(scales: Mapping[str, float]) -> list[str]:
    known = [name for name in STEM_NAMES if name in scales]
    return known + sorted(set(scales) - set(known))
