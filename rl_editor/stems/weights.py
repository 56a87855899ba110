"""The weights of Demucs' models: where they come from, and what they may be.

``stems.repo`` names a folder with ``<model>.yaml`` (a bag) and ``<signature>.safetensors`` or ``.th`` files, or one
such file named after the model; null asks Demucs' hub, which holds safetensors. A ``.th`` is a pickle that can run
code, so it is read from a folder that was named, never from a network; classes that safetensors name must be Demucs'.

Sources: A. Défossez, demucs 4.1 (``get_model``, ``hf.load_safetensors_model``).
"""

import hashlib
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rl_editor.config import StemsConfig
from rl_editor.errors import MissingWeightsError, SeparationModelError, first_lines
from rl_editor.files import file_sha256

_CLASSES = frozenset({"demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs"})

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
        SeparationModelError: a file is damaged or asks for classes that are not Demucs'.
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
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,  # Demucs': a bag whose models or weights do not go together
        ImportError,  # a pickle of somebody else's classes
        EOFError,
        pickle.PickleError,
    ) as fault:
        files = ", ".join(file.name for file in weights.models)
        raise SeparationModelError(
            f"{name}: {files}: not a Demucs model ({first_lines(fault)}); copy or download it again"
        ) from fault
    model.eval()
    return model


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
    try:
        bag = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise SeparationModelError(
            f"{path}: not a bag of models ({first_lines(error)}); copy or download it again"
        ) from error
    if not isinstance(bag, dict) or not isinstance(bag.get("models"), list) or not bag["models"]:
        raise SeparationModelError(f"{path}: not a bag of models; it must have a list 'models' of signatures")
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
            raise _missing(name, f"hub {repository}: {first_lines(error)}") from error

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
