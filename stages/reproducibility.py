"""Does the pipeline give the same twice, and the same as elsewhere? ``python -m stages.reproducibility``

Clones the committed tree to two different paths, makes the corpus small, turns the side cache off, runs ``dvc repro``
in both and compares the hashes of all outputs, metrics and plots; then ``dvc status -q`` must find nothing to do.
What came out is then held against the committed reference, ``stages/reference.json``: byte for byte on a machine of the
kind that made it; on another kind decisions and labels exactly and metrics within tolerances (``stages.reference``).
``--renew`` writes the reference instead, for a change that is meant to change results.

Songs are held out by name here: their hashes hang on the last bits of their samples, and so on the processor.
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
from stages.reference import REFERENCE, CheckFailedError, compare, load_reference, run_of, save_reference

SMALL: Mapping[str, str] = {
    "corpus.n_songs": "4",
    "corpus.min_duration_s": "40.0",
    "corpus.max_duration_s": "60.0",
    "data.splits": "{song_00_amber_river_raw: validation, song_01_copper_station_raw: test}",
    "bc.epochs": "3",
    "ppo.total_timesteps": "2000",
    "ppo.n_envs": "16",
    "evaluation.bootstrap_samples": "100",
    "evaluation.audio_examples": "1",
    "tracking.backend": "none",
}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def main(
    repository: Annotated[Path, typer.Option(help="The repository to check.")] = Path(),
    keep: Annotated[Path | None, typer.Option(help="Leave the clones in this folder.")] = None,
    renew: Annotated[bool, typer.Option("--renew", help="Write the reference anew instead of comparing.")] = False,
) -> None:
    """Run the committed pipeline twice from scratch, compare every output, and hold them against the reference."""
    reference = None if renew else load_reference(repository / REFERENCE)
    with tempfile.TemporaryDirectory(prefix="rl_editor_repro_") as temporary:
        base = keep or Path(temporary)
        places = (base / "first", base / "another" / "second")
        commit = _output("git", "-C", str(repository), "rev-parse", "HEAD")
        hashes = [outputs_of(repository.resolve(), commit, place) for place in places]
        found = run_of(places[0], hashes[0])
    differing = sorted(name for name in hashes[0] | hashes[1] if hashes[0].get(name) != hashes[1].get(name))
    if differing:
        typer.echo(f"not reproducible: {', '.join(differing)} differ between two runs", err=True)
        raise typer.Exit(EXIT_CHECK_FAILED)
    typer.echo(f"reproducible: {len(hashes[0])} outputs have the same bytes in two clones", err=True)
    if reference is None:
        save_reference(repository / REFERENCE, found)
        typer.echo(f"{REFERENCE} is written anew; look at what moved with git diff, and commit it", err=True)
        return
    verdict = compare(found, reference)
    typer.echo(str(verdict), err=True)
    if verdict.faults:
        raise typer.Exit(EXIT_CHECK_FAILED)


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
