"""What the small run of ``stages.reproducibility`` gives, kept in git as ``stages/reference.json``, and how to compare.

On a machine of the reference's kind (``machine_kind``: processor, instruction sets that the numeric libraries chose,
versions) every output must have the reference's bytes. On another kind floating-point sums and functions lawfully
differ in their last bits: some composed samples by a step of 16 bits and features with them; augmentation draws other
copies, since it goes by a recording's hash; what is learned differs by more. What must not move there, and is compared
exactly: which songs are held out, what was left out, how many beats there are and their places in their bars, the
segments of every recovered edit list in sample frames, and the action of every unit. Beat times, being interpolated,
must agree within ``BEAT_TOLERANCE_MS``, and metrics within ``TOLERANCES``.

``compare`` says what it did and lists every fault; it changes nothing.
"""

import json
import os
import platform
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rl_editor.demonstrations import load_analysis, load_labels
from rl_editor.edits import EditList
from rl_editor.errors import RlEditorError
from rl_editor.files import write_json
from stages.layout import DECODED, FEATURES, LABELS, METRICS, PROBLEMS
from stages.manifest import Manifest, load_manifest

REFERENCE = Path("stages/reference.json")
BEAT_TOLERANCE_MS = 1
RENEW_COMMAND = "python -m stages.reproducibility --renew"

# Pattern of metrics -> the most by which a value may differ on another kind of machine; the first that fits counts, and
# a metric that fits none is not compared: those per style are about one held-out song each. Learners amplify last bits,
# since a decision on the brink goes the other way, and a reward of three edits hangs on single decisions. The widths
# are about twice what other instruction sets (SSE4.2 against AVX2, in every library) were seen to change.
TOLERANCES: Mapping[str, float] = {
    "align/n_*": 0.0,
    "align/*": 0.002,
    "evaluate/n_*": 0.0,
    "evaluate/best_baseline/*": 0.05,
    "evaluate/*/score": 0.3,
    "evaluate/*/target/all/reward_total": 0.3,
    "evaluate/*/target/all/*": 0.15,
    "bc/*": 0.15,
    "ppo/validation/*": 0.3,
}

_PACKAGES = ("demucs", "librosa", "matplotlib", "numba", "numpy", "onnx", "pandas", "safetensors", "scipy", "soundfile",
             "soxr", "torch")  # fmt: skip
# By these a person makes a library take another path on the same processor.
_SWITCHES = ("ATEN_CPU_CAPABILITY", "GLIBC_TUNABLES", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS",
             "NPY_DISABLE_CPU_FEATURES", "NUMBA_CPU_FEATURES", "NUMBA_CPU_NAME", "ONEDNN_MAX_CPU_ISA",
             "OPENBLAS_CORETYPE")  # fmt: skip
_SHOWN = 8  # faults in a message


class CheckFailedError(RlEditorError):
    """A check of the repository failed."""


@dataclass(frozen=True)
class SmallRun:
    """What one run gave, or should give.

    Attributes:
        kind: of the machine, as ``machine_kind`` says it.
        outputs: path -> hash in ``dvc.lock``.
        decisions: what was decided, in whole numbers and names, as text; the same on every machine.
        beat_times_ms: track -> boundaries of its beats.
        metrics: ``<stage>/<name>`` -> value, of the metrics that have a tolerance.
    """

    kind: dict[str, str]
    outputs: dict[str, str]
    decisions: dict[str, str]
    beat_times_ms: dict[str, str]
    metrics: dict[str, float]


class Verdict(NamedTuple):
    """What a comparison found; ``said`` tells which comparison it was and why."""

    said: str
    faults: tuple[str, ...]

    def __str__(self) -> str:
        if not self.faults:
            return f"{self.said}: they agree"
        more = [f"... and {len(self.faults) - _SHOWN} more"] if len(self.faults) > _SHOWN else []
        remedy = f"if the change is meant, renew the reference: {RENEW_COMMAND}"
        return "\n  ".join([f"{self.said}: they differ", *self.faults[:_SHOWN], *more, remedy])


def compare(found: SmallRun, reference: SmallRun) -> Verdict:
    """Bytes on a machine of the reference's kind; decisions exactly and metrics within tolerances on another."""
    different = [f"{name} {b} ({a} there)" for name, a, b in _different(reference.kind, found.kind)]
    if not different:
        said = (
            f"a machine of the reference's kind ({found.kind['processor']}), so the bytes of "
            f"{len(reference.outputs)} outputs are compared with the reference's"
        )
        moved = [name for name, _, _ in _different(reference.outputs, found.outputs)]
        if not moved:
            return Verdict(said, ())
        loose = tuple(_loose_faults(found, reference)) or ("decisions, labels and metrics agree all the same",)
        return Verdict(said, (f"other bytes: {', '.join(moved)}", *loose))
    n_metrics = len(_compared(reference.metrics))
    said = (
        f"another kind of machine than the reference's ({', '.join(different)}), so {len(reference.decisions)} "
        f"decisions and labels are compared exactly, {n_metrics} metrics within tolerances, and no bytes"
    )
    return Verdict(said, tuple(_loose_faults(found, reference)))


def run_of(place: Path, outputs: Mapping[str, str]) -> SmallRun:
    """What the run in a checkout gave; ``outputs`` are the hashes in its ``dvc.lock``."""
    manifest = load_manifest(place / DECODED)
    return SmallRun(
        machine_kind(),
        dict(sorted(outputs.items())),
        dict(sorted(_decisions(place, manifest))),
        dict(_beat_times(place, manifest)),
        dict(sorted(_metrics(place))),
    )


def load_reference(path: Path) -> SmallRun:
    """Read a reference.

    Raises:
        CheckFailedError: it is missing or is no reference.
    """
    try:
        return TypeAdapter(SmallRun).validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{error.error_count()} values missing or wrong"
        remedy = f"make one with {RENEW_COMMAND}, and commit it"
        raise CheckFailedError(f"{path}: no reference ({reason}); {remedy}") from error


def save_reference(path: Path, run: SmallRun) -> None:
    """Write a reference."""
    write_json(path, asdict(run))


def machine_kind() -> dict[str, str]:
    """Everything that is known to choose the bits: processor, chosen instruction sets, versions, switches."""
    import llvmlite.binding  # type: ignore[import-untyped]
    import soundfile
    import torch
    from threadpoolctl import threadpool_info

    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    blas = {f"{pool['internal_api']} {pool['architecture']}" for pool in threadpool_info() if "architecture" in pool}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    kind = {
        "processor": f"{_processor_name()} ({platform.machine()}, {llvmlite.binding.get_host_cpu_name()})",
        "torch": torch.backends.cpu.get_cpu_capability(),
        "numpy": " ".join(simd.get("found", [])) or "baseline",
        "blas": ", ".join(sorted(blas)),
        "gpu": gpu,
        "system": " ".join([sys.platform, *platform.libc_ver()]),
        "python": platform.python_version(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "libsndfile": soundfile.__libsndfile_version__,
        "packages": " ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "switches": " ".join(f"{name}={os.environ[name]}" for name in _SWITCHES if os.environ.get(name)) or "none",
    }
    return {name: text.strip() for name, text in kind.items()}


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


# ---------------------------------------------------------------- what a run gave


def _decisions(place: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    for pair in manifest.pairs:
        yield f"split of {pair.song}", pair.split
        path = place / LABELS / f"{pair.pair_id}.json"
        if path.is_file():
            edit, labels = EditList.load(path), load_labels(path.with_suffix(".npz"))
            segments = (f"{s.source_start_frame}+{s.frames}" for s in edit.segments)
            yield f"edit list of {pair.pair_id}", " ".join(segments)
            yield f"actions of {pair.pair_id}", _text(labels.actions)
    for track in manifest.with_role("raw", "reference"):
        analysis = place / FEATURES / f"{track.track_id}.npz"
        if analysis.is_file():
            yield f"bars of {track.track_id}", _text(load_analysis(analysis).grid.bar_position)
    for stage in (DECODED, FEATURES, LABELS):
        problems = json.loads((place / stage / PROBLEMS).read_text(encoding="utf-8"))
        yield f"left out by {stage.name}", " ".join(sorted(problem["name"] for problem in problems))


def _beat_times(place: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    for track in manifest.with_role("raw", "reference"):
        analysis = place / FEATURES / f"{track.track_id}.npz"
        if analysis.is_file():
            yield track.track_id, _text(np.round(1000 * load_analysis(analysis).grid.times_s).astype(int))


def _metrics(place: Path) -> Iterator[tuple[str, float]]:
    for path in sorted((place / METRICS).glob("*.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        found = dict(_flat(path.stem, values))
        yield from ((name, found[name]) for name in _compared(found))


def _flat(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}/{key}", inner)
    else:
        yield name, float(value)


def _text(numbers: np.ndarray) -> str:
    return " ".join(str(number) for number in numbers.tolist())


# ---------------------------------------------------------------- how two runs differ


def _loose_faults(found: SmallRun, reference: SmallRun) -> Iterator[str]:
    for name, there, here in _different(reference.decisions, found.decisions):
        yield f"{name}: {_first_difference(there, here)}"
    for name, there, here in _different(reference.beat_times_ms, found.beat_times_ms):
        expected, times = there.split(), here.split()
        if len(expected) != len(times):
            yield f"beats of {name}: {len(times)} boundaries, {len(expected)} in the reference"
        elif (off := _furthest(expected, times)) > BEAT_TOLERANCE_MS:
            yield f"beats of {name}: up to {off} ms off, {BEAT_TOLERANCE_MS} ms either way is allowed"
    for name in _compared(reference.metrics.keys() | found.metrics.keys()):
        if fault := _metric_fault(name, reference.metrics.get(name), found.metrics.get(name)):
            yield f"{name}: {fault}"


def _furthest(expected: Sequence[str], found: Sequence[str]) -> int:
    return max((abs(int(a) - int(b)) for a, b in zip(expected, found, strict=True)), default=0)


def _metric_fault(name: str, there: float | None, here: float | None) -> str | None:
    if there is None or here is None:
        return f"{_shown(here)}, {_shown(there)} in the reference"
    tolerance = _tolerance(name) or 0.0
    if abs(here - there) <= tolerance:  # NaN is never within it
        return None
    return f"{_shown(here)}, {_shown(there)} in the reference, {tolerance:g} either way is allowed"


def _compared(names: Iterable[str]) -> list[str]:
    """The metrics that have a tolerance."""
    return sorted(name for name in names if _tolerance(name) is not None)


def _tolerance(name: str) -> float | None:
    return next((allowed for pattern, allowed in TOLERANCES.items() if fnmatch(name, pattern)), None)


def _shown(value: float | None) -> str:
    return "missing" if value is None else f"{value:.6g}"


def _different(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Name and both texts of what differs; what is on one side only is an empty text on the other."""
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            yield name, a.get(name, ""), b.get(name, "")


def _first_difference(there: str, here: str) -> str:
    pairs = enumerate(zip_longest(there.split(), here.split(), fillvalue="nothing"))
    number, (a, b) = next(((number, pair) for number, pair in pairs if pair[0] != pair[1]), (0, ("nothing", "nothing")))
    return f"entry {number} is {b}, {a} in the reference"
