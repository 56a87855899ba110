"""``cache``: how much lies in it, whether it is whole, and making room."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_editor.cli.options import Json, Params, say
from rl_editor.command import EXIT_CHECK_FAILED, read_config
from rl_editor.errors import ConfigError

if TYPE_CHECKING:
    from rl_editor.cache import FeatureCache

_SIZE = re.compile(r"(?P<number>\d{1,15}(\.\d+)?) ?(?P<unit>[kmgt])?(i?b)?", re.IGNORECASE)

CacheDir = Annotated[Path | None, typer.Option(help="Where it lies; data.cache_dir unless named.")]

app = typer.Typer(help="The side cache of features, stems and labels.", no_args_is_help=True)


@app.command("info")
def cache_info(params: Params = None, cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """How much lies in the cache."""
    found = _cache(params, cache_dir).info()
    kinds = {kind: {"entries": value.entries, "bytes": value.size_bytes} for kind, value in found.kinds.items()}
    say({"cache_dir": str(found.cache_dir), "bytes": found.size_bytes, **kinds}, as_json=as_json)


@app.command("verify")
def cache_verify(params: Params = None, cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """Check every entry. Exits with 1 when some are damaged."""
    damaged = [str(path) for path in _cache(params, cache_dir).verify()]
    say({"damaged": damaged}, as_json=as_json)
    if damaged:
        raise typer.Exit(EXIT_CHECK_FAILED)


@app.command("prune")
def cache_prune(
    max_size: Annotated[str, typer.Option(help="Keep at most this much: bytes, or with K, M, G or T.", metavar="SIZE")],
    params: Params = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Remove the entries used longest ago."""
    removed = _cache(params, cache_dir).prune(read_size(max_size))
    say({"entries": removed.entries, "bytes": removed.size_bytes}, as_json=as_json)


def _cache(params: Path | None, cache_dir: Path | None) -> "FeatureCache":
    """The cache that is named, else that of the settings; one that is not there yet is empty.

    Raises:
        ConfigError: what lies there is no folder.
    """
    from rl_editor.cache import get_cache

    config = read_config(params)
    config.data.cache_dir = str(cache_dir or config.data.cache_dir)
    found = get_cache(config)
    if os.path.lexists(found.cache_dir) and not found.cache_dir.is_dir():
        named = "--cache-dir" if cache_dir else "data.cache_dir"
        raise ConfigError(f"{found.cache_dir}: {named} is a file or a broken link; name a folder")
    return found


def read_size(text: str) -> int:
    """Bytes: ``2G`` and ``2 GiB`` are 2 * 1024**3.

    Raises:
        ConfigError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"--max-size {text}: no size; write bytes, or a number with K, M, G or T, such as 500M")
    power = " KMGT".index((found["unit"] or " ").upper())
    return round(float(found["number"]) * (1 << 10 * power))
