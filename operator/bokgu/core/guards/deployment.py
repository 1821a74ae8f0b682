"""Deployments that are in flight, wait for somebody, or are taken back by ECS."""

from bokgu.api.meta import Gate
from bokgu.api.observed import DescribedDeployment
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Action
from bokgu.core.actions.code_deploy import stops_code_deployment
from bokgu.core.actions.rollback import returns_elsewhere
from bokgu.core.guards import code_deploy
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
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
    why = deployment.rollback_reason or deployment.status_reason
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
