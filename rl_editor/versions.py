"""A digest of source code, for cache keys: whoever changes an algorithm cannot forget to say so."""

import hashlib
from functools import cache
from pathlib import Path

READING = (
    "utils/samples",
    "utils/streams",
    "utils/reading",
    "utils/headers",
    "utils/mp3",
    "utils/elsewhere",
    "utils/spectra",
    "speakers",
)  # whatever listens to a file
_PACKAGE = Path(__file__).parent


@cache
def code_digest(*modules: str) -> str:
    """SHA-256 (16 digits) of the source of modules and packages (``package/module``), weights beside it included."""
    digest = hashlib.sha256()
    for module in modules:
        folder = _PACKAGE / module
        inside = (file for file in folder.glob("**/*") if file.suffix in (".py", ".safetensors"))
        files = sorted(inside) if (folder / "__init__.py").is_file() else [folder.with_suffix(".py")]
        for file in files:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
