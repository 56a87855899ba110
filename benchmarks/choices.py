"""Names that a person chooses on the command line."""

from collections.abc import Collection


def known(asked: list[str], names: Collection[str], what: str) -> list[str]:
    """The names asked for; ends the program where one is not among ``names``."""
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: no such {what}; known are {', '.join(names)}")
    return asked
