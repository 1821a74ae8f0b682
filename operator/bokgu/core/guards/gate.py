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
    blocked_until: datetime | None = None,
) -> Gate:
    """A gate; `reason`, `message` and `blocked_until` are for one that is closed."""
    return Gate(
        name=name,
        passed=passed,
        value=bounded(value) or None,
        limit=bounded(limit) or None,
        reason=None if passed else reason,
        message=None if passed else bounded(message),
        blocked_until=None if passed else blocked_until,
    )
