"""What a review comes to: may the plan be spoken to, as which role, for how long, and what should be known first."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.fields import format_duration, format_timestamp, parse_duration
from bokgu.api.meta import find_condition, is_true
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Decision, IncidentPhase
from bokgu.commands.review import Review
from bokgu.core.approval.digest import find_unknown, plan_digest
from bokgu.core.approval.missing import find_missing
from bokgu.core.approval.requirement import find_confirmable
from bokgu.core.dry_run import DRY_RUN
from bokgu.core.proof import awaits_confirmation

SHORTEST = timedelta(hours=1)
"""An approval is valid at least this long where nobody says how long."""


ROOT_CAUSE = "root cause"


class Refused(Exception):
    """Nothing is written; the text says why, and what to do."""


@dataclass(frozen=True)
class Statement:
    """What is about to be said. `approver_from` and `valid_because` tell where the two came from; `created_here`: this
    command creates it on the cluster."""

    role: str
    decision: Decision
    approver: str
    approver_from: str
    valid_until: datetime
    valid_because: str
    signed: bool = False
    created_here: bool = False
    carried_by: str | None = None
    reason: str | None = None
    step: str | None = None


@dataclass(frozen=True)
class Difference:
    """One thing as it was when the plan was made, and as it is now. `same` None: it cannot be told."""

    what: str
    then: str
    now: str
    same: bool | None


# May anything be said


def check_plan(review: Review, decision: Decision) -> str:
    """The digest to approve: computed from the plan as it is, and found to be the one that the operator published.

    Raises Refused for a plan that nothing may be said to. The published digest alone is never signed: whoever could
    write it could have any plan approved under the eyes of somebody who reads this one.
    """
    plan, status = review.plan, review.plan.status
    if status.phase.terminal:
        raise Refused(f"the plan is over ({status.phase}): nothing that is said to it counts any more")
    if plan.metadata.deletion_timestamp and decision is Decision.APPROVE:
        raise Refused("the plan is being deleted")
    if status.digest is None or status.cluster_id is None:
        raise Refused("the operator has not published the plan's digest yet: wait a moment and try again")
    if hidden := find_unknown(status.cluster_id, review.raw, plan.spec):
        raise Refused(
            f"the plan says what this version of bokgu cannot show ({', '.join(hidden)}): use the operator's version"
        )
    if review.cluster_id not in {None, status.cluster_id}:
        raise Refused(
            f"the plan's status is of the cluster {status.cluster_id}, and this one is {review.cluster_id}: an approval"
            " would count there. Tell whoever operates Bokgu"
        )
    digest = plan_digest(status.cluster_id, review.raw)
    if digest != status.digest:
        raise Refused(
            f"the digest of the plan as it is ({digest}) is not the one in its status ({status.digest}): somebody has"
            " written one of the two. Approve nothing, and tell whoever operates Bokgu"
        )
    if not review.begun and review.now >= plan.spec.expires_at:
        raise Refused(f"the plan expired at {format_timestamp(plan.spec.expires_at)}, and will not start")
    return digest


# What is said


def check_step(plan: RecoveryPlan, step: str) -> None:
    """Raises Refused for a step that does not wait for a person."""
    confirmable = find_confirmable(plan)
    if step not in confirmable:
        known = ", ".join(confirmable) or "none of this plan"
        raise Refused(f"no step {step} is confirmed by a person ({known} is)")
    if not any(s.name == step and awaits_confirmation(s) for s in plan.status.steps):
        raise Refused(
            f"step {step} does not wait for a confirmation now: what is said before it does counts for nothing"
        )


def choose_role(plan: RecoveryPlan, wanted: str | None, step: str | None = None) -> str:
    """The role that was asked for, or the only one that is missing; for a `step` the only one that the plan needs.
    Raises Refused where that is not one."""
    if wanted is not None:
        return wanted
    required_once = tuple(dict.fromkeys(plan.status.required_approvals))
    if step is not None and len(required_once) == 1:
        return required_once[0]
    if step is not None:
        raise Refused(f"say as which of these roles you confirm step {step}, with --role: {', '.join(required_once)}")
    missing = tuple(dict.fromkeys(find_missing(plan)))
    if len(missing) == 1:
        return missing[0]
    if missing:
        raise Refused(f"several roles are missing: say which one is yours with --role: {', '.join(missing)}")
    required = ", ".join(dict.fromkeys(plan.status.required_approvals)) or "none"
    raise Refused(f"no role is missing: say as which one you speak with --role ({required})")


def decide_validity(plan: RecoveryPlan, now: datetime, wanted: timedelta | None) -> tuple[datetime, str]:
    """(until when an approval is valid, why). A plan whose approvals expire while it runs stops between two steps."""
    if wanted is not None:
        return now + wanted, f"--valid-for {format_duration(wanted)}"
    end = find_last_end(plan, now)
    if end >= now + SHORTEST:
        return end, "until the plan expires, and as long as it takes"
    return now + SHORTEST, f"{format_duration(SHORTEST)}, which is longer than the plan can wait and run"


def find_last_end(plan: RecoveryPlan, now: datetime) -> datetime:
    """When the plan is over at the latest, if it starts in the last moment and takes as long as estimated."""
    estimate = plan.spec.estimated_total_duration
    lengths = [estimate] if estimate else [step.timeout for step in plan.spec.steps]
    length = sum((parse_duration(text) for text in lengths), timedelta())
    return max(plan.spec.expires_at, now) + length


# What should be known


def compare(review: Review) -> tuple[Difference, ...]:
    """What the plan was made for, against what the operator has recorded of the service and the incident since."""
    then = review.plan.spec.preconditions
    observed = review.protected.status.service if review.protected else None
    told = review.incident.status.classification if review.incident else None
    found = [
        _difference("desired count", then.desired_count, observed.desired_count if observed else None),
        _difference(ROOT_CAUSE, then.root_cause, told.root_cause if told else None),
    ]
    if then.service_revision_arn:
        now = observed.service_revision_arn if observed else None
        found.insert(0, _difference("service revision", then.service_revision_arn, now))
    if then.service_deployment_arn:
        rollout = f"; the newest one is {observed.rollout_state}" if observed and observed.rollout_state else ""
        found.insert(1, Difference("service deployment", then.service_deployment_arn, f"not known{rollout}", None))
    if then.scalable_target:
        kept = then.scalable_target
        range_ = f"{kept.min_capacity} to {kept.max_capacity}"
        suspended = f", suspended: {', '.join(kept.suspended)}" if kept.suspended else ""
        found.append(Difference("range of Application Auto Scaling", f"{range_}{suspended}", "not known", None))
    return tuple(found)


def _difference(what: str, then: object, now: object | None) -> Difference:
    return Difference(what, str(then), "not known" if now is None else str(now), None if now is None else then == now)


def find_warnings(review: Review, said: Statement) -> tuple[str, ...]:
    """What may keep the statement from having the effect that its author expects."""
    return (
        *_about_the_plan(review, said.decision),
        *_about_the_roles(review.plan, said),
        *_about_validity(review, said),
    )


def _about_the_plan(review: Review, decision: Decision) -> list[str]:
    found = []
    plan, incident = review.plan, review.incident
    changed = {d.what: d for d in compare(review) if d.same is False}
    cause = changed.pop(ROOT_CAUSE, None)
    if changed and not review.begun and decision is Decision.APPROVE:
        what = ", ".join(f"{d.what} was {d.then}, is {d.now}" for d in changed.values())
        found.append(f"the service has changed since the plan was made ({what}): it will be cancelled, not run")
    if cause:
        found.append(f"the plan is against {cause.then}, and the incident is told as {cause.now} now")
    if incident and incident.status.phase is IncidentPhase.RESOLVED:
        found.append("the incident is resolved")
    elif incident and incident.status.mitigated_at:
        since = format_timestamp(incident.status.mitigated_at)
        found.append(f"the trouble has been gone since {since}: the plan waits while it stays away")
    active = review.protected.status.active_plan if review.protected else None
    if active and active.uid != plan.metadata.uid:
        found.append(f"another plan is at work on the service: {active.name}")
    if plan.spec.suspend:
        found.append("the plan is suspended (spec.suspend)")
    dry_run = find_condition(plan.status.conditions, DRY_RUN)
    if dry_run and is_true((dry_run,), DRY_RUN) and decision is Decision.APPROVE:
        found.append(
            f"{dry_run.message}; the approval is one of the plan, also where the dry run is turned off meanwhile"
        )
    if review.begun and decision is Decision.REJECT:
        found.append("the plan runs: a Reject stops it, and undoes what can be undone")
    return found


def _about_the_roles(plan: RecoveryPlan, said: Statement) -> list[str]:
    found = []
    required = tuple(dict.fromkeys(plan.status.required_approvals))
    if said.step is not None and said.decision is Decision.APPROVE:
        needed = said.role in required
        return [] if needed else [f"{said.role} is not among the roles of which one confirms ({', '.join(required)})"]
    if said.decision is Decision.APPROVE and said.role not in required:
        found.append(f"{said.role} is not among the roles that the plan needs ({', '.join(required)})")
    elif said.decision is Decision.APPROVE and said.role not in find_missing(plan):
        found.append(f"the role {said.role} is filled already")
    for entry in plan.status.approvals:
        counts = entry.verified_by is not None
        if counts and entry.decision is Decision.REJECT:
            found.append(f"{entry.approver} has rejected the plan")
        if entry.approver != said.approver:
            continue
        if entry.role == said.role and entry.decision is said.decision:
            verdict = "and it counts" if counts else f"and it does not count: {entry.reason}"
            found.append(f"{said.approver} has said {said.decision} as {said.role} before ({entry.ref}), {verdict}")
        elif counts and entry.decision is said.decision is Decision.APPROVE:
            found.append(f"{said.approver} has approved as {entry.role}: one person fills one role only")
    return found


def _about_validity(review: Review, said: Statement) -> list[str]:
    found = []
    if (
        said.decision is Decision.APPROVE
        and said.step is None
        and said.valid_until < find_last_end(review.plan, review.now)
    ):
        found.append("it may expire while the plan runs: then the plan stops between two steps")
    if not (said.signed or said.created_here or said.carried_by):
        found.append(f"it is not signed: it counts only if {said.approver} creates it themselves (--apply, kubectl)")
    if said.carried_by:
        found.append(
            f"it counts only where BOKGU_DELEGATES names {said.carried_by}, and only if that account applies it"
        )
    return found
