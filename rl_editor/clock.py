"""Seconds as people write them: m:ss, h:mm:ss from an hour on."""

MOST_DIGITS = 3  # milliseconds


def clock(seconds: float, *, digits: int | None = 1) -> str:
    """Seconds as m:ss or h:mm:ss with that many decimals; None: as many as they have, ``MOST_DIGITS`` at most."""
    unit = 10 ** (MOST_DIGITS if digits is None else digits)
    whole, part = divmod(round(seconds * unit), unit)
    minutes, rest = divmod(whole, 60)
    text = f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    if digits is None:
        return f"{text}.{part:0{MOST_DIGITS}}".rstrip("0") if part else text
    return f"{text}.{part:0{digits}}" if digits else text
