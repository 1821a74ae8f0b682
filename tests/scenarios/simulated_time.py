"""Lengths of time as scenarios write them, and as a world that runs faster needs them."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_PART = re.compile(r"(\d+)(d|h|m|s)")
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}

COMPRESSED = frozenset(
    {"clearAfter", "cooldown", "for", "interval", "maxAge", "minServed", "period", "relapseWatch", "settle", "timeout"}
)
"""Fields of the kinds that hold durations, and so pass as fast as the simulated world."""


def parse_length(text: object) -> float:
    """`90s`, `5m` or `1h30m` as simulated seconds. ValueError for anything else."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)  # Already read: models are validated again when they are copied.
    found = _PART.findall(text) if isinstance(text, str) else []
    if not found or "".join(number + unit for number, unit in found) != text:
        raise ValueError(f"not a length of time: {text!r} (write it as 90s, 5m or 1h30m)")
    return float(sum(int(number) * _SECONDS[unit] for number, unit in found))


def format_length(seconds: float) -> str:
    """Simulated seconds for people, such as `4m30s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


Length = Annotated[float, BeforeValidator(parse_length)]
"""Simulated seconds, written as a length of time."""


def compress(value: Any, speed: float) -> Any:
    """The same object with its durations `speed` times shorter.

    Kubernetes knows whole seconds only: ValueError where one would be lost.
    """
    if isinstance(value, list | tuple):
        return [compress(item, speed) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _compress_length(key, item, speed)
        if key in COMPRESSED and isinstance(item, str)
        else compress(item, speed)
        for key, item in value.items()
    }


def _compress_length(key: str, text: str, speed: float) -> str:
    wall = parse_length(text) / speed
    if wall != int(wall):
        raise ValueError(f"{key}: {text} is no whole number of simulated minutes")
    return f"{int(wall)}s"
