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
    shown = Gate(name=name, passed=passed, value=bounded(value) or None, limit=bounded(limit) or None)
    if passed:
        return shown
    return shown.model_copy(update={"reason": reason, "message": bounded(message), "blocked_until": until})
