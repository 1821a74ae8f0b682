"""The built-in runbooks: which actions can help against which root cause. No cause, no write."""

from dataclasses import dataclass
from datetime import timedelta

from bokgu.api.vocabulary import Action, RootCause


@dataclass(frozen=True)
class BuiltInRunbook:
    """One row: the steps against one root cause, and how long they usually take."""

    name: str
    root_cause: RootCause
    new_revision_at_fault: bool
    actions: tuple[Action, ...]
    estimate: timedelta


RUNBOOKS = (
    BuiltInRunbook(
        "bad-deployment", RootCause.BAD_DEPLOYMENT, True, (Action.HEALTH_CHECK, Action.ROLLBACK), timedelta(minutes=15)
    ),
    BuiltInRunbook(
        "traffic-surge", RootCause.TRAFFIC_SURGE, False, (Action.HEALTH_CHECK, Action.SCALE_OUT), timedelta(minutes=15)
    ),
)


def choose_runbook(root_cause: RootCause, new_revision_at_fault: bool | None) -> BuiltInRunbook | None:
    """The runbook against that cause, or None: then only a person can help."""
    return next(
        (r for r in RUNBOOKS if r.root_cause is root_cause and r.new_revision_at_fault == new_revision_at_fault), None
    )
