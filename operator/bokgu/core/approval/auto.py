"""Whether a plan may start without people: only what the policy names, within its budget (S1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.fields import format_timestamp
from bokgu.api.incident import Incident
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import MOST_STARTS, AutoStart, RecoveryPolicy, RecoveryPolicyStatus
from bokgu.api.vocabulary import Action, Confidence, Mode, Proof
from bokgu.core.giving_back import allowed_by

NOT_ENABLED = "the operator's configuration (BOKGU_AUTO_NAMESPACES) does not name this namespace"


DESTRUCTIVE = frozenset(action for action in Action if action.writes) - {Action.SCALE_OUT, Action.REGISTER}
"""Actions that stop tasks that may serve, or do what nobody can foresee: where the diagnosis errs they are the second
incident."""

SOURCES = {
    "DescribeServices": "ECS",
    "DescribeTasks": "ECS",
    "DescribeTaskDefinition": "ECS",
    "stored events": "ECS",
    "GetMetricData": "CloudWatch metrics",
    "FilterLogEvents": "CloudWatch Logs",
    "DescribeTargetHealth": "Elastic Load Balancing",
    "LookupEvents": "CloudTrail",
}
"""Who speaks, by the source that an item of evidence names. What else is named there, such as what could not be read or
what a person wrote in the incident, is nobody's word."""


ENOUGH_SOURCES = 2
"""Different sources whose evidence lets a destructive action start without people."""


@dataclass(frozen=True)
class AutoVerdict:
    """Whether the policy lets the plan start by itself. `claimed`: its list of started plans has the plan already."""

    granted: bool
    message: str
    policy_uid: str = ""
    by: str = ""
    claimed: bool = False


def judge_auto(
    plan: RecoveryPlan,
    *,
    plans: Iterable[RecoveryPlan],
    policy: RecoveryPolicy | None,
    protected_service: ProtectedService | None,
    incident: Incident | None,
    enabled: bool,
    hour: timedelta,
    now: datetime,
) -> AutoVerdict | None:
    """What the policy says; None where the service is not in mode Auto: then nobody asks why it is not automatic.

    `plans` are at least those of the namespace that have begun within the hour. `enabled`: the operator's configuration
    lets the namespace do so. `hour` is how long an hour is.
    """
    if protected_service is None or protected_service.spec.mode is not Mode.AUTO:
        return None
    if not enabled:
        return AutoVerdict(False, NOT_ENABLED)
    if policy is None:
        return AutoVerdict(False, "the namespace has no RecoveryPolicy")
    if (problem := _find_problem(plan, incident)) is not None:
        return AutoVerdict(False, problem)
    cause, service = plan.spec.preconditions.root_cause, plan.spec.service_ref.name
    named = {a.action for a in policy.spec.auto if a.service == service and a.root_cause is cause}
    missing = [s.action for s in plan.spec.steps if s.action.writes and allowed_by(plan, s) not in named]
    if missing:
        return AutoVerdict(False, f"spec.auto of the RecoveryPolicy does not name {missing[0]} against {cause} here")
    if (single := _find_single_source(plan, incident)) is not None:
        return AutoVerdict(False, single)
    by = f"RecoveryPolicy/{policy.metadata.name}"
    if _started_by_itself(plan) or any(start.uid == plan.metadata.uid for start in policy.status.auto_starts):
        return AutoVerdict(True, "", policy.metadata.uid, by, claimed=True)
    if plan.status.started_at is not None:
        return AutoVerdict(False, "people let the plan start")
    begun = recent_starts(policy, plans, hour=hour, now=now)
    if len(begun) >= policy.spec.max_auto_per_hour:
        until = f" until {format_timestamp(begun[0].at + hour)}" if begun else ""
        limit = policy.spec.max_auto_per_hour
        return AutoVerdict(False, f"{len(begun)} plans of at most {limit} an hour have started by themselves{until}")
    return AutoVerdict(True, "", policy.metadata.uid, by)


def recent_starts(
    policy: RecoveryPolicy, plans: Iterable[RecoveryPlan], *, hour: timedelta, now: datetime
) -> tuple[AutoStart, ...]:
    """The plans that started by themselves within the last hour, oldest first. A policy that was created anew has
    forgotten them, so the plans themselves are asked too."""
    found = {start.uid: start for start in policy.status.auto_starts}
    for plan in plans:
        if plan.status.started_at and _started_by_itself(plan):
            start = AutoStart(plan=plan.metadata.name, uid=plan.metadata.uid, at=plan.status.started_at)
            found.setdefault(start.uid, start)
    return tuple(sorted((s for s in found.values() if s.at > now - hour), key=lambda s: s.at))


def _started_by_itself(plan: RecoveryPlan) -> bool:
    intents = (step.intent for step in plan.status.steps if step.intent)
    return any(approval.proof is Proof.AUTO for intent in intents for approval in intent.approvals)


def enter_start(
    policy: RecoveryPolicy, plan: RecoveryPlan, plans: Iterable[RecoveryPlan], *, hour: timedelta, now: datetime
) -> RecoveryPolicyStatus | None:
    """The policy's status with the plan's start in it; None where the budget of the hour is used up."""
    if len(recent_starts(policy, plans, hour=hour, now=now)) >= policy.spec.max_auto_per_hour:
        return None
    entry = AutoStart(plan=plan.metadata.name, uid=plan.metadata.uid, at=now)
    return policy.status.model_copy(update={"auto_starts": (*policy.status.auto_starts, entry)[-MOST_STARTS:]})


def _find_problem(plan: RecoveryPlan, incident: Incident | None) -> str | None:
    """Why the plan is none that could start by itself: the operator itself must have made it, as the incident's current
    one, against a cause that it diagnosed and is sure of. What anybody can write in a plan proves none of that."""
    known = incident.status.classification if incident else None
    entry = incident.status.plans[-1] if incident and incident.status.plans else None
    if entry is None or entry.uid != plan.metadata.uid or not entry.made_by_operator:
        return "the operator did not make this plan"
    if known is None or known.root_cause is not plan.spec.preconditions.root_cause:
        return "the root cause of the plan is not the one that was diagnosed"
    if known.confidence is Confidence.LOW:
        return "the root cause was diagnosed with low confidence"
    return None


def _find_single_source(plan: RecoveryPlan, incident: Incident | None) -> str | None:
    """Why people must be the second word: something is destroyed on the word of one source, or of none. Giving back
    what a scale_out of the same plan raised destroys nothing."""
    destructive = next((s.action for s in plan.spec.steps if allowed_by(plan, s) in DESTRUCTIVE), None)
    found = incident.status.classification if incident else None
    said = {SOURCES[item.source] for item in (found.evidence if found else ()) if item.source in SOURCES}
    if destructive is None or len(said) >= ENOUGH_SOURCES:
        return None
    return (
        f"{destructive} needs evidence of {ENOUGH_SOURCES} different sources, and only"
        f" {', '.join(said) or 'none'} speaks for the diagnosis: people's approval is the second word"
    )
