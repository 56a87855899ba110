"""Pictures and pages as files: what drawings and templates of all rooms share."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from rl_editor.files import replacing

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure


def save_png(figure: "Figure", path: str | Path, *, dpi: int) -> None:
    """Write a figure as PNG, whole or not at all, without a trace of who drew it."""
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # names in scripts that the font lacks show as boxes
        figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})


def page_templates() -> "Environment":
    """The package's templates, escaping what is filled in; a name that is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("rl_editor", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
