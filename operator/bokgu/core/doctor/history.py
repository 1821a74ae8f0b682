"""The history: whether it is read, and whether old records go."""

from collections.abc import Iterable, Mapping

from bokgu.api.history import HistoryError
from bokgu.core.doctor.outcome import Outcome, Unread, fail, not_known, warn, well

HISTORY = "history"

TTL = "ttl"
"""The attribute by which old incidents go."""


def check_history(where: str, found: int | HistoryError | Unread) -> Outcome:
    """The history is read: how many records it answers with."""
    if isinstance(found, Unread):
        return not_known(HISTORY, where, found, "run bokgu doctor as the operator's account to look")
    if isinstance(found, HistoryError):
        return fail(HISTORY, where, str(found), _advise(found))
    return well(HISTORY, where, f"it is read: {found} {'record' if found == 1 else 'records'} found")


def check_expiry(ttls: Mapping[str, str | HistoryError | None]) -> Iterable[Outcome]:
    """DynamoDB lets old incidents go, by environment."""
    for environment, found in ttls.items():
        subject = f"TTL of {environment}"
        if isinstance(found, HistoryError):
            if found.reason in {"TableMissing", "Unreachable"}:
                continue  # `check_history` says it.
            hint = "bokgu iam-policy --for own --history-setup prints what it takes to look"
            yield warn(HISTORY, subject, f"not known: {found}", hint)
        elif found is None:
            yield warn(
                HISTORY,
                subject,
                "off: DynamoDB keeps incidents for ever",
                f"bokgu history init --environment {environment} turns it on",
            )
        elif found != TTL:
            yield fail(
                HISTORY, subject, f"it is on `{found}`, not on `{TTL}`", "use another BOKGU_HISTORY_TABLE_PREFIX"
            )
        else:
            yield well(HISTORY, subject, f"on `{TTL}`")


def _advise(error: HistoryError) -> str:
    match error.reason:
        case "TableMissing":
            return "bokgu history init makes the tables"
        case "AccessDenied" | "RoleNotAllowed":
            return "bokgu iam-policy --for own prints what it must be allowed"
        case "Unreachable":
            return "see to aws first, or to the cluster"
    return "docs/history.md tells what it needs"
