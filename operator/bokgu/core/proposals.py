"""What a plan of mode Propose would have done, beside what was done: how a team sees that Approve or Auto is earned."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from bokgu.api.incident import Incident
from bokgu.api.observed import EcsService, ServiceDeployment
from bokgu.api.protected_service import MOST_PROPOSALS, Proposal, ProposalScore
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Action, Deed

ENOUGH_CASES = 10
"""Proposals below which a score says nothing."""

EARNED_PERCENT = 90
"""A score from which on it is suggested to let the action run by itself."""

SEEN_WITHIN = 15
"""Minutes after the end of an incident in which what was done is looked for."""

_TAKEN_BACK = frozenset({"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"})
"""Service deployments that went back to the revision before (API_ServiceDeploymentBrief)."""

DEED_OF = {
    Action.ROLLBACK: Deed.ROLLED_BACK,
    Action.SERVICE_RESTART: Deed.RESTARTED,
    Action.SCALE_OUT: Deed.SCALED_OUT,
    Action.SCALE_IN: Deed.SCALED_IN,
}
"""What is seen of a service after an action. Of the others nothing is seen."""


def find_deed(
    plan: RecoveryPlan, service: EcsService, deployments: Sequence[ServiceDeployment], good_definition: str | None
) -> Deed:
    """What was done to the service since the plan was made, by people, pipelines or ECS itself: a change of revision
    tells more than one of the count."""
    before, made = plan.spec.preconditions, plan.metadata.creation_timestamp
    theirs = next((d for d in deployments if d.arn == before.service_deployment_arn), None)
    if theirs and theirs.status in _TAKEN_BACK:
        return Deed.ROLLED_BACK
    if made and any(d.created_at > made for d in deployments):
        if service.task_definition == before.task_definition:
            return Deed.RESTARTED
        return Deed.ROLLED_BACK if service.task_definition == good_definition else Deed.DEPLOYED
    if service.desired_count != before.desired_count:
        return Deed.SCALED_OUT if service.desired_count > before.desired_count else Deed.SCALED_IN
    return Deed.NOTHING


def judge_proposal(
    plan: RecoveryPlan, incident: Incident, deed: Deed, *, now: datetime, minute: timedelta
) -> Proposal | None:
    """The proposal that a plan was, once its incident is resolved; None where it is none: it began, changes nothing
    that can be seen, or was over too long ago to say that what is seen now was done then. `minute` is how long one
    is."""
    first = next((step.action for step in plan.spec.steps if step.action.writes), None)
    resolved_at = incident.status.resolved_at
    if resolved_at is None or now - resolved_at > SEEN_WITHIN * minute:
        return None
    if plan.status.started_at or first not in DEED_OF:
        return None
    return Proposal(
        incident=incident.metadata.name,
        incident_uid=incident.metadata.uid,
        at=resolved_at,
        root_cause=plan.spec.preconditions.root_cause,
        action=first,
        deed=deed,
        matched=DEED_OF[first] is deed,
    )


def keep_proposals(known: Iterable[Proposal], new: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """The latest first. What was judged once stays: the world has gone on since."""
    found = {proposal.incident_uid: proposal for proposal in new} | {p.incident_uid: p for p in known}
    return tuple(sorted(found.values(), key=lambda p: (p.at, p.incident_uid), reverse=True)[:MOST_PROPOSALS])


def score_proposals(proposals: Iterable[Proposal]) -> tuple[ProposalScore, ...]:
    """How often each action against each root cause was what was done, the most frequent first."""
    cases: Counter[tuple[Action, str]] = Counter()
    matched: Counter[tuple[Action, str]] = Counter()
    for proposal in proposals:
        cases[proposal.action, proposal.root_cause] += 1
        matched[proposal.action, proposal.root_cause] += proposal.matched
    return tuple(
        ProposalScore(
            action=action,
            root_cause=cause,
            cases=number,
            matched=matched[action, cause],
            earned=number >= ENOUGH_CASES and 100 * matched[action, cause] >= EARNED_PERCENT * number,
        )
        for (action, cause), number in sorted(cases.items(), key=lambda entry: (-entry[1], entry[0]))
    )
