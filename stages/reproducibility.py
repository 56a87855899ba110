"""Does the pipeline give the same bytes twice? ``python -m stages.reproducibility``

Clones the committed tree to two different paths, makes the corpus small, turns the side cache off, runs ``dvc repro``
in both and compares the hashes of all outputs, metrics and plots; then ``dvc status -q`` must find nothing to do.
This is a gate for one machine: bits may differ between kinds of CPU.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from rl_editor.command import EXIT_CHECK_FAILED, run
from rl_editor.errors import RlEditorError

SMALL: Mapping[str, str] = {
    "corpus.n_songs": "4",
    "corpus.min_duration_s": "40.0",
    "corpus.max_duration_s": "60.0",
    "bc.epochs": "3",
    "ppo.total_timesteps": "2000",
    "ppo.n_envs": "16",
    "evaluation.bootstrap_samples": "100",
    "evaluation.audio_examples": "1",
    "tracking.backend": "none",
}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class CheckFailedError(RlEditorError):
    """A check of the repository failed."""


def main(
    repository: Annotated[Path, typer.Option(help="The repository to check.")] = Path(),
    keep: Annotated[Path | None, typer.Option(help="Leave the clones in this folder.")] = None,
) -> None:
    """Run the pipeline twice from scratch and compare every output."""
    with tempfile.TemporaryDirectory(prefix="rl_editor_repro_") as temporary:
        base = keep or Path(temporary)
        places = (base / "first", base / "another" / "second")
        commit = _output("git", "-C", str(repository), "rev-parse", "HEAD")
        hashes = [outputs_of(repository.resolve(), commit, place) for place in places]
    differing = sorted(name for name in hashes[0] | hashes[1] if hashes[0].get(name) != hashes[1].get(name))
    if differing:
        typer.echo(f"not reproducible: {', '.join(differing)} differ between two runs", err=True)
        raise typer.Exit(EXIT_CHECK_FAILED)
    typer.echo(f"reproducible: {len(hashes[0])} outputs have the same bytes in two clones", err=True)


def outputs_of(repository: Path, commit: str, place: Path) -> dict[str, str]:
    """Clone one commit, run the small pipeline from scratch, and give the hash of every output."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _call("git", "clone", "--quiet", str(repository), str(place))
    _call("git", "checkout", "--quiet", "--detach", commit, cwd=place)
    (place / "dvc.lock").unlink(missing_ok=True)
    shrink(place / "params.yaml", SMALL)
    bin_dir = Path(sys.executable).parent
    environment = {
        **os.environ,
        **dict.fromkeys(_THREADS, "1"),
        "RL_EDITOR_CACHE": "off",
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(place),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(place.parent / f"{place.name}-site"),
    }
    _call("dvc", "repro", cwd=place, env=environment)
    _call("dvc", "status", "-q", cwd=place, env=environment)
    return lock_hashes(yaml.safe_load((place / "dvc.lock").read_text(encoding="utf-8")))


def shrink(params: Path, values: Mapping[str, str]) -> None:
    """Replace single values in a ``params.yaml``; everything else stays as it is.

    Raises:
        CheckFailedError: a setting is not there.
    """
    text = params.read_text(encoding="utf-8")
    for name, value in values.items():
        section, key = name.split(".")
        pattern = rf"(?ms)(^{section}:.*?^  {key}: )[^\n#]*?(\s*(?:#[^\n]*)?$)"
        text, n = re.subn(pattern, rf"\g<1>{value}\g<2>", text, count=1)
        if n != 1:
            raise CheckFailedError(f"{params}: no setting {name}; was it renamed?")
    params.write_text(text, encoding="utf-8")


def lock_hashes(lock: Mapping[str, Any]) -> dict[str, str]:
    """Output path -> hash, of every stage in a ``dvc.lock``."""
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _call(*command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, check=False)
    if done.returncode:
        raise CheckFailedError(f"{' '.join(command)}: ended with {done.returncode} in {cwd or Path.cwd()}")


if __name__ == "__main__":
    run(main)
