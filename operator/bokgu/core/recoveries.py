"""What became of the recoveries of a service: kept in its ProtectedService, because plans go with their incidents."""

from collections.abc import Iterable
from datetime import datetime

from bokgu.api.fields import parse_duration
from bokgu.api.incident import Incident
from bokgu.api.protected_service import MOST_RECOVERIES, Recovery, ServiceLimits
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import PlanPhase
from bokgu.core.writes.write import FOREIGN_CHANGE

_FAILED = frozenset({PlanPhase.FAILED, PlanPhase.ROLLED_BACK})

_OVERTAKEN = frozenset(
    {"ApprovalWithdrawn", "BlockedTooLong", "Deleted", FOREIGN_CHANGE, "PreconditionChanged", "Rejected"}
)
"""Reasons of a recovery that people stopped or held, or that the world overtook: of what it would have done it says
nothing."""


def list_recoveries(
    known: Iterable[Recovery], plans: Iterable[RecoveryPlan], incidents: Iterable[Incident]
) -> tuple[Recovery, ...]:
    """What began, the latest first: `known` with what the plans and their incidents say by now. The latest half of what
    there is room for is kept, and of the others first those that failed: nothing harmless pushes these out (S7)."""
    known = tuple(known)
    relapsed = {r.uid for r in known if r.ineffective}
    relapsed |= {p.uid for i in incidents for p in i.status.plans if p.relapsed_at}
    found = {recovery.uid: recovery for recovery in known}
    over = {recovery.uid for recovery in known if recovery.outcome}  # Nothing will change about these.
    for plan in plans:
        if plan.status.started_at and plan.metadata.uid not in over:
            found[plan.metadata.uid] = _read(plan, plan.status.started_at)
    ours = (r.model_copy(update={"ineffective": True}) if r.uid in relapsed else r for r in found.values())
    latest_first = sorted(ours, key=_when, reverse=True)
    latest, older = latest_first[: MOST_RECOVERIES // 2], latest_first[MOST_RECOVERIES // 2 :]
    older = sorted(older, key=has_failed, reverse=True)[: MOST_RECOVERIES // 2]
    return (*latest, *sorted(older, key=_when, reverse=True))


def _when(recovery: Recovery) -> tuple[datetime, str]:
    return recovery.started_at, recovery.uid


def may_go(plan: RecoveryPlan, known: Iterable[Recovery]) -> bool:
    """Whether a plan that is over may be forgotten: it never began, how it ended is `known`, or among all that came
    later there is no place for it."""
    known = tuple(known)
    kept = [r for r in list_recoveries(known, (plan,), ()) if r.uid == plan.metadata.uid]
    return not kept or any(r.uid == plan.metadata.uid and r.outcome for r in known)


def _read(plan: RecoveryPlan, started_at: datetime) -> Recovery:
    return Recovery(
        plan=plan.metadata.name,
        uid=plan.metadata.uid,
        incident_uid=plan.spec.incident_ref.uid,
        started_at=started_at,
        finished_at=plan.status.finished_at,
        outcome=plan.status.phase if plan.status.phase.terminal else None,
        reason=plan.status.reason if plan.status.phase.terminal else None,
    )


def find_cooldown(
    recoveries: Iterable[Recovery], limits: ServiceLimits, *, incident_uid: str, now: datetime
) -> tuple[datetime, Recovery] | None:
    """Until when the service is left in peace, and after which recovery; None where it need not be. What belongs to the
    same incident does not count: its next plan is the next rung."""
    found = None
    for recovery in recoveries:
        until = _cools_until(recovery, limits)
        if recovery.incident_uid != incident_uid and until and until > now and (not found or until > found[0]):
            found = (until, recovery)
    return found


def _cools_until(recovery: Recovery, limits: ServiceLimits) -> datetime | None:
    """Until when it keeps others from beginning; None while it runs, which other gates see to, and where it was
    cancelled."""
    failed = has_failed(recovery)
    if recovery.finished_at is None or not (failed or recovery.outcome is PlanPhase.COMPLETED):
        return None
    return recovery.finished_at + parse_duration(limits.cooldown_after_failure if failed else limits.cooldown)


def has_failed(recovery: Recovery) -> bool:
    """Whether it did not recover the service: it failed, was taken back, or completed and the trouble came back. One
    that people stopped, or that the world overtook, says nothing; one that could not be taken back failed, whyever."""
    failed = recovery.outcome in _FAILED and recovery.reason not in _OVERTAKEN
    return failed or recovery.outcome is PlanPhase.ROLLBACK_FAILED or recovery.ineffective
