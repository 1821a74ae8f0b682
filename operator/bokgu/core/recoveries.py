"""What became of the recoveries of a service: kept in its ProtectedService, because plans go with their incidents."""

from collections.abc import Iterable
from datetime import datetime

from bokgu.api.incident import Incident
from bokgu.api.protected_service import MOST_RECOVERIES, Recovery
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
    """All that began, the latest first: `known` with what the plans and their incidents say by now."""
    known = tuple(known)
    relapsed = {r.uid for r in known if r.ineffective}
    relapsed |= {p.uid for i in incidents for p in i.status.plans if p.relapsed_at}
    found = {recovery.uid: recovery for recovery in known}
    found |= {plan.metadata.uid: _read(plan, plan.status.started_at) for plan in plans if plan.status.started_at}
    ours = (r.model_copy(update={"ineffective": True}) if r.uid in relapsed else r for r in found.values())
    return tuple(sorted(ours, key=lambda r: (r.started_at, r.uid), reverse=True)[:MOST_RECOVERIES])


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


def has_failed(recovery: Recovery) -> bool:
    """Whether it did not recover the service: it failed, was taken back, or completed and the trouble came back. One
    that people stopped, or that the world overtook, says nothing; one that could not be taken back failed, whyever."""
    failed = recovery.outcome in _FAILED and recovery.reason not in _OVERTAKEN
    return failed or recovery.outcome is PlanPhase.ROLLBACK_FAILED or recovery.ineffective
