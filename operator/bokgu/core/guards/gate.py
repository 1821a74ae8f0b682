"""One gate, as status shows it."""

from datetime import datetime

from bokgu.api.fields import bounded
from bokgu.api.meta import Gate


def build_gate(
    name: str,
    reason: str,
    passed: bool,
    *,
    value: str = "",
    limit: str = "",
    message: str = "",
    until: datetime | None = None,
) -> Gate:
    """A gate; `reason`, `message` and `until` are for one that is closed."""
    return Gate(
        name=name,
        passed=passed,
        reason=None if passed else reason,
        value=bounded(value) or None,
        limit=bounded(limit) or None,
        blocked_until=None if passed else until,
        message=None if passed else bounded(message),
    )
