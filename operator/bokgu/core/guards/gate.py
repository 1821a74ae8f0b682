"""One gate, as status shows it."""

from bokgu.api.fields import bounded
from bokgu.api.meta import Gate


def build_gate(name: str, reason: str, passed: bool, *, value: str = "", limit: str = "", message: str = "") -> Gate:
    """A gate; `reason` and `message` are for one that is closed."""
    why = {} if passed else {"reason": reason, "message": bounded(message)}
    return Gate(name=name, passed=passed, value=bounded(value) or None, limit=bounded(limit) or None, **why)
