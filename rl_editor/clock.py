"""Seconds as people write them: m:ss, h:mm:ss from an hour on."""

import re

from rl_editor.errors import ConfigError

MOST_DIGITS = 3  # milliseconds
MAX_SECONDS = 86_400.0
SHORTEST_ASKED_S, NEAR_S = 0.1, 0.05  # of a length; one this near is met
_CLOCK = re.compile(r"(?:(?:(\d+):(?=[0-5]?\d:))?(\d+):(?=[0-5]?\d(?:\.|$)))?(\d+(?:\.\d+)?)")  # 1:75 is none


def clock(seconds: float, *, digits: int | None = 1) -> str:
    """Seconds as m:ss or h:mm:ss with that many decimals; None: as many as they have, ``MOST_DIGITS`` at most."""
    unit = 10 ** (MOST_DIGITS if digits is None else digits)
    whole, part = divmod(round(seconds * unit), unit)
    minutes, rest = divmod(whole, 60)
    text = f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    if digits is None:
        return f"{text}.{part:0{MOST_DIGITS}}".rstrip("0") if part else text
    return f"{text}.{part:0{digits}}" if digits else text


def read_seconds(text: str, *, least: float = 0.0) -> float:
    """Seconds from ``95``, ``95.5``, ``1:35.5`` or ``1:02:03``.

    Raises:
        ConfigError: it is no time, shorter than ``least``, or longer than a day.
    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r}: not a time; write seconds (95.5), m:ss (1:35.5, up to :59) or h:mm:ss")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = 3600.0 * hours + 60.0 * minutes + seconds
    if not least <= total <= MAX_SECONDS:
        raise ConfigError(f"{text!r}: a time from {least:g} s to a day is needed")
    return total


def read_length(text: str) -> float:
    """Seconds of ``--target-duration``.

    Raises:
        ConfigError: it is no time, or none that can be asked for.
    """
    try:
        return read_seconds(text, least=SHORTEST_ASKED_S)
    except ConfigError as fault:
        raise ConfigError(f"--target-duration {fault}") from None
