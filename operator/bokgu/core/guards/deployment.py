"""Deployments that are in flight, wait for somebody, or are taken back by ECS."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import Gate
from bokgu.api.observed import Deployment, DescribedDeployment
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.redaction import redact_quote
from bokgu.api.vocabulary import Action
from bokgu.core.actions.code_deploy import stops_code_deployment
from bokgu.core.actions.rollback import returns_elsewhere
from bokgu.core.guards import code_deploy
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
from bokgu.core.service_state import AFTER_GRACE
from bokgu.core.writes.stop_deployment import IN_FLIGHT
from bokgu.core.writes.write import request_arguments

NOT_ROLLING_BACK = "EcsNotRollingBack"
"""The gate that is closed while ECS itself takes a deployment back."""


ROLLING_BACK = frozenset({"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"})
"""Service deployments that ECS takes back now (ServiceDeploymentStatus of Amazon ECS)."""


def check_not_rolling_back(facts: GuardFacts) -> Gate:
    """ECS rolls back by itself: what it does is seen first, and nothing is done against it."""
    if stops_code_deployment(facts.step):
        return code_deploy.check_not_rolling_back(NOT_ROLLING_BACK, facts)
    deployment, action = facts.deployment, facts.step.action
    if deployment is None:
        # Every other write waits for the end of a deployment anyway.
        unknown = facts.service is None or (facts.service.deploying and action is Action.ROLLBACK)
        message = "ECS is deploying, and does not describe that deployment: whether it rolls back is not known"
        return build_gate(NOT_ROLLING_BACK, "DeploymentUnreadable", not unknown, message=message)
    rolling = deployment.status in ROLLING_BACK and not _asked_for(facts.plan, deployment)
    why = redact_quote(deployment.rollback_reason or deployment.status_reason)
    return build_gate(
        NOT_ROLLING_BACK,
        "EcsRollsBack",
        not rolling or not action.writes,
        value=deployment.status,
        message=f"ECS is already rolling back: what to do is decided when that has ended. {why}".rstrip(),
    )


def _asked_for(plan: RecoveryPlan, deployment: DescribedDeployment) -> bool:
    """Whether the plan itself has asked ECS for this rollback (StopServiceDeployment)."""
    requests = (o.intent.request for s in plan.status.steps for o in (s, s.rollback) if o and o.intent)
    stops = (request_arguments(r) for r in requests if r.operation == "StopServiceDeployment")
    return any(arguments["serviceDeploymentArn"] == deployment.arn for arguments in stops)


def check_no_hook(facts: GuardFacts) -> Gate:
    """A deployment that waits for a person: only the way back does not take the decision from them."""
    hook, action = facts.deployment.waiting_hook if facts.deployment else None, facts.step.action
    return build_gate(
        "NoHookWaiting",
        "HookWaiting",
        hook is None or action is Action.ROLLBACK or not action.writes,
        value=hook or "",
        message=f"the deployment waits at {hook}: continue it or roll it back there (ContinueServiceDeployment)",
    )


def check_no_deployment(facts: GuardFacts) -> Gate:
    """A rollback may stop the deployment in flight, where ECS then returns to the revision that is meant."""
    if stops_code_deployment(facts.step):
        return code_deploy.check_is_the_one("NoDeployment", facts)
    service, step = facts.service, facts.step
    message = None
    if service is None or service.deploying:
        message = "ECS is deploying: what to do is decided when that has ended"
    if step.action is Action.ROLLBACK and facts.deployment and facts.deployment.status in IN_FLIGHT:
        meant = facts.plan.spec.preconditions.service_deployment_arn == facts.deployment.arn
        wanted = (step.parameters and step.parameters.service_revision_arn) or ""
        unnamed = (
            f"{facts.deployment.arn} is in flight, and the plan's preconditions.serviceDeploymentArn does not name it:"
            " make a new plan to stop it"
        )
        message = returns_elsewhere(facts.deployment, wanted) if meant else unnamed
    return build_gate(
        "NoDeployment",
        "DeploymentInProgress",
        message is None,
        value=", ".join(f"{d.id} {d.rollout_state}" for d in service.deployments) if service else "",
        message=message or "",
    )


def check_settled(facts: GuardFacts) -> Gate:
    """A deployment that is younger than its own health grace proves nothing yet, unless it is failing.

    Stopping it is the one thing that NoDeployment lets be done to a deployment in flight. The grace is the
    healthCheckGracePeriodSeconds of the service, and what is added before missing tasks are believed.
    """
    service, found = facts.service, _find_in_flight(facts)
    if service is None or found is None:
        return build_gate("DeploymentSettled", "DeploymentSettling", True)
    grace = timedelta(seconds=service.grace_seconds) + timedelta(minutes=AFTER_GRACE)
    until = found.begun + grace * (facts.minute / timedelta(minutes=1))
    failure = _find_failure(facts, found)
    return build_gate(
        "DeploymentSettled",
        "DeploymentSettling",
        failure is not None or facts.now >= until,
        value=failure or "no failed task",
        limit=f"a failed task, or {format_timestamp(until)}",
        blocked_until=until,
        message="the deployment is younger than its health check grace period, and AWS shows no failure of it: it is"
        f" not stopped before {format_timestamp(until)}",
    )


@dataclass(frozen=True)
class _InFlight:
    """The deployment that a step would stop: when it began, why its deployer gives it up ("" while it does not), and
    its entry in `deployments[]`, None where it is not listed."""

    begun: datetime
    given_up: str
    entry: Deployment | None


def _find_in_flight(facts: GuardFacts) -> _InFlight | None:
    service, deployment = facts.service, facts.deployment
    if service is None or facts.live is None or facts.step.action is not Action.ROLLBACK:
        return None
    if stops_code_deployment(facts.step):
        named = (facts.step.parameters and facts.step.parameters.code_deploy_deployment_id) or ""
        told = facts.live.code_deployments.get(named)
        made = next((d for d in service.deployments if d.code_deployment_id == named), None)
        # Without its task set there is nothing to go back from: NoDeployment is closed then.
        return _InFlight(made.created_at, told.error if told else "", made) if made else None
    if deployment is None or deployment.status not in IN_FLIGHT:
        return None
    return _InFlight(deployment.created_at, deployment.rollback_reason, service.primary)


def _find_failure(facts: GuardFacts, found: _InFlight) -> str | None:
    """What AWS itself shows of a failure of the deployment in flight, or that it no longer rolls; else None."""
    entry = found.entry
    if found.given_up:
        return redact_quote(found.given_up)
    if entry is None:
        return None
    if entry.rollout_state != "IN_PROGRESS":
        return f"{entry.rollout_state} {redact_quote(entry.rollout_state_reason)}".rstrip()
    if entry.failed_tasks:
        return f"{entry.failed_tasks} failed tasks"
    stops = facts.protected_service.status.recent_stops if facts.protected_service else ()
    stopped = next((stop for stop in stops if stop.deployment_id == entry.id), None)
    return f"a task of it ended: {stopped.reason or stopped.stop_code}" if stopped else None
