"""Planning: a classified incident to a concrete recovery plan, or the reason why there is none.

Deterministic: the same facts give the same steps, risks and approvals.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bokgu.api.detector import DetectorCondition
from bokgu.api.fields import bounded, format_duration, format_timestamp, parse_duration
from bokgu.api.incident import Classification, Incident
from bokgu.api.meta import API_VERSION, NameReference, ObjectMeta, UidReference
from bokgu.api.observed import EcsService, ServiceDeployment
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import (
    FINALIZER,
    ClassificationSnapshot,
    Preconditions,
    RecoveryPlan,
    RecoveryPlanSpec,
    Risk,
    Step,
    StepParameters,
    Undo,
    Validation,
)
from bokgu.api.vocabulary import Action, Comparison, Level, Mode, OnFailure, ValidationType
from bokgu.core.approval import required_roles
from bokgu.core.detection import lowest_threshold
from bokgu.core.runbooks import BuiltInRunbook, choose_runbook
from bokgu.core.watch import Watch

PLAN_LIFETIME = timedelta(minutes=60)
"""A plan that nobody approved within this time is made for a world that is gone (DESIGN default)."""

CLEAN_PERIODS = {Action.SCALE_OUT: 5, Action.ROLLBACK: 10}
"""Datapoints that must be good before a step counts: five clean minutes, ten after a rollback, at the usual period of
one minute."""

STEP_TIMEOUT = {
    Action.HEALTH_CHECK: timedelta(minutes=5),
    Action.SCALE_OUT: timedelta(minutes=15),
    Action.ROLLBACK: timedelta(minutes=30),
}
"""Start-up, health checks and deregistration of the slowest usual service fit in it."""

_OPPOSITE = {
    Comparison.GREATER_THAN: "<=",
    Comparison.GREATER_THAN_OR_EQUAL: "<",
    Comparison.LESS_THAN: ">=",
    Comparison.LESS_THAN_OR_EQUAL: ">",
}
"""What holds exactly where the detector's comparison does not: no errors at all must satisfy a threshold of 0."""


@dataclass(frozen=True)
class NoPlan:
    """Why there is no plan. `wait`: what blocks may go away by itself or by a change of the ProtectedService;
    otherwise a person is needed now."""

    reason: str
    message: str
    wait: bool


@dataclass(frozen=True)
class PlanningFacts:
    """What a plan is made from.

    `deployments` are the latest service deployments, newest first; `patience` is how long after a rollback by ECS
    itself the detection needs to say whether that has helped.
    """

    incident: Incident
    classification: Classification
    protected_service: ProtectedService
    service: EcsService
    watch: Watch | None
    condition: DetectorCondition | None
    now: datetime
    deployments: tuple[ServiceDeployment, ...] = ()
    patience: timedelta = timedelta()


def build_plan(facts: PlanningFacts) -> RecoveryPlan | NoPlan:
    """The plan to create for the incident."""
    classification = facts.classification
    if facts.protected_service.spec.mode is Mode.OBSERVE:
        return NoPlan("ObserveOnly", "the ProtectedService is in mode Observe: nothing is planned", wait=True)
    if (rolled_back := _wait_for_rollback(facts)) is not None:
        return rolled_back
    runbook = choose_runbook(classification.root_cause, classification.new_revision_at_fault)
    if runbook is None:
        return NoPlan(
            "NoSafeAction",
            f"no action can safely help against {classification.root_cause}: a person must look",
            wait=False,
        )
    if facts.watch is None or facts.condition is None:
        return NoPlan(
            "NotMeasured", "no Detector or preset measures this, so that nothing could be verified", wait=False
        )
    if any(d.rollout_state == "IN_PROGRESS" for d in facts.service.deployments):
        return NoPlan("DeploymentInProgress", "ECS is deploying: what to do is decided when that has ended", wait=True)
    steps: list[Step] = []
    risks: list[Risk] = []
    for action in runbook.actions:
        built = _build_step(action, facts)
        if isinstance(built, NoPlan):
            return built
        steps.append(built)
        risks.extend(_risks(action, built, facts))
    return _assemble(runbook, tuple(steps), tuple(risks), facts)


def _wait_for_rollback(facts: PlanningFacts) -> NoPlan | None:
    """ECS has rolled back by itself: whether that helps is seen before anything else is done."""
    latest = facts.deployments[0] if facts.deployments else None
    if latest is None:
        return None
    if latest.status in {"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"}:
        return NoPlan(
            "EcsRollsBack", "ECS is rolling back by itself: what to do is decided when that has ended", wait=True
        )
    ended = latest.status == "ROLLBACK_SUCCESSFUL" and latest.finished_at
    if ended and facts.now < ended + facts.patience:
        return NoPlan(
            "EcsRolledBack", "ECS has just rolled back by itself: it is watched whether that helps", wait=True
        )
    return None


def plan_name(incident: Incident) -> str:
    """Name of the incident's next plan. Racing passes compute the same name, so that one plan is created."""
    return f"{incident.metadata.name[:240].rstrip('-.')}-{len(incident.status.plans) + 1}"


def plan_manifest(plan: RecoveryPlan) -> dict[str, Any]:
    """The object to POST: owned by its incident, with the finalizer that lets a deletion be undone first."""
    return {
        "apiVersion": API_VERSION,
        "kind": RecoveryPlan.kind_name,
        "metadata": {
            "name": plan.metadata.name,
            "namespace": plan.metadata.namespace,
            "finalizers": [FINALIZER],
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": Incident.kind_name,
                    "name": plan.spec.incident_ref.name,
                    "uid": plan.spec.incident_ref.uid,
                    "controller": True,
                }
            ],
        },
        "spec": plan.spec.to_dict(),
    }


def _build_step(action: Action, facts: PlanningFacts) -> Step | NoPlan:
    service = facts.service
    if action is Action.HEALTH_CHECK:
        return Step(
            name="health-check",
            action=action,
            description="Read the service once more and write down what it shows. Changes nothing.",
            estimated_duration="1m",
            timeout=format_duration(STEP_TIMEOUT[action]),
            required_resources=("ecs_service",),
            on_failure=OnFailure.STOP,
        )
    spec = facts.protected_service.spec
    if spec.mode is Mode.APPROVE and action not in spec.allowed_actions:
        return NoPlan(
            "ActionNotAllowed",
            f"{action} would help: allow it in spec.allowedActions of ProtectedService"
            f" {facts.protected_service.metadata.name}",
            wait=True,
        )
    return _scale_out(facts, service) if action is Action.SCALE_OUT else _roll_back(facts, service)


def _scale_out(facts: PlanningFacts, service: EcsService) -> Step | NoPlan:
    limits = facts.protected_service.spec.limits
    maximum = limits.max_desired_count
    if maximum is None or service.desired_count >= maximum:
        return NoPlan(
            "AtMaximum",
            f"{service.desired_count} tasks are wanted and spec.limits.maxDesiredCount is {maximum or 'not set'}",
            wait=False,
        )
    if service.desired_count == 0:
        return NoPlan("ScaledToZero", "the service is scaled to zero: somebody wants it so", wait=False)
    grown = math.ceil(service.desired_count * (100 + limits.scale_step_percent) / 100)
    wanted = min(maximum, max(service.desired_count + 1, grown))
    return Step(
        name="scale-out",
        action=Action.SCALE_OUT,
        description=f"Run {wanted} tasks instead of {service.desired_count}.",
        parameters=StepParameters(desired_count=wanted),
        estimated_duration="15m",
        timeout=format_duration(STEP_TIMEOUT[Action.SCALE_OUT]),
        required_resources=("ecs_service",),
        on_failure=OnFailure.STOP,
        validation=_validation(Action.SCALE_OUT, facts),
    )


def _roll_back(facts: PlanningFacts, service: EcsService) -> Step | NoPlan:
    good = facts.protected_service.status.last_known_good
    if good is None or good.service_revision_arn == service.service_revision_arn:
        return NoPlan("NoLastKnownGood", "no earlier service revision is known to have served well", wait=False)
    max_age = parse_duration(facts.protected_service.spec.rollback.max_age)
    if good.served_until and good.served_until < facts.now - max_age:
        return NoPlan(
            "LastKnownGoodTooOld",
            f"{good.service_revision_arn} last served at {format_timestamp(good.served_until)}, longer than"
            f" {facts.protected_service.spec.rollback.max_age} ago",
            wait=False,
        )
    old, new = (arn.rsplit("/", 1)[-1] for arn in (good.task_definition, service.task_definition))
    return Step(
        name="rollback",
        action=Action.ROLLBACK,
        description=f"Restore the service revision that served before: {old} instead of {new}.",
        parameters=StepParameters(service_revision_arn=good.service_revision_arn, task_definition=good.task_definition),
        estimated_duration="15m",
        timeout=format_duration(STEP_TIMEOUT[Action.ROLLBACK]),
        required_resources=("ecs_service",),
        on_failure=OnFailure.ROLL_BACK,
        rollback=Undo(action=Action.ROLLBACK),
        validation=_validation(Action.ROLLBACK, facts),
    )


def _validation(action: Action, facts: PlanningFacts) -> Validation | None:
    """The incident's own metric must be on the right side of its lowest threshold; windows follow its period."""
    if facts.watch is None or facts.condition is None:
        return None
    period = facts.watch.period(facts.condition)
    hold = CLEAN_PERIODS[action] * period
    settle = facts.watch.settle
    above = facts.condition.comparison.startswith("Greater")
    limit = facts.condition.clear_threshold or lowest_threshold(facts.condition.thresholds)
    good = _OPPOSITE[facts.condition.comparison]
    return Validation(
        type=ValidationType.METRIC,
        criteria=bounded(f"{facts.condition.name}_{'decrease' if above else 'increase'}", 63),
        expression=f"{facts.condition.name} {good} {limit}",
        for_=format_duration(hold),
        timeout=format_duration(2 * hold + settle),
    )


def _risks(action: Action, step: Step, facts: PlanningFacts) -> tuple[Risk, ...]:
    service = facts.service
    match action:
        case Action.SCALE_OUT if step.parameters:
            return (
                Risk(
                    description=f"{step.parameters.desired_count} tasks open more connections to what the service uses",
                    probability=Level.LOW,
                    impact=Level.MEDIUM,
                    mitigation=f"at most {facts.protected_service.spec.limits.scale_step_percent} % more at a time",
                ),
                Risk(
                    description="an autoscaler or an infrastructure pipeline may set the count again",
                    probability=Level.MEDIUM,
                    impact=Level.LOW,
                    mitigation="the change is watched while it is verified; a foreign change is not fought",
                ),
            )
        case Action.ROLLBACK:
            return (
                Risk(
                    description=f"replacing {service.desired_count} tasks may interrupt requests briefly",
                    probability=Level.MEDIUM,
                    impact=Level.MEDIUM,
                    mitigation="a rolling deployment keeps minimumHealthyPercent of the tasks running",
                ),
                Risk(
                    description="what the new revision brought (features, schema changes) goes away or does not fit",
                    probability=Level.LOW,
                    impact=Level.HIGH,
                    mitigation="verified by the metric; undone if it does not help",
                ),
            )
        case _:
            return ()


def _assemble(
    runbook: BuiltInRunbook, steps: tuple[Step, ...], risks: tuple[Risk, ...], facts: PlanningFacts
) -> RecoveryPlan:
    incident, classification, service = facts.incident, facts.classification, facts.service
    spec = RecoveryPlanSpec(
        incident_ref=UidReference(name=incident.metadata.name, uid=incident.metadata.uid),
        service_ref=incident.spec.service_ref,
        runbook_ref=NameReference(name=runbook.name),
        classification=ClassificationSnapshot(
            root_cause=classification.root_cause,
            new_revision_at_fault=classification.new_revision_at_fault,
            confidence=classification.confidence,
            impact_level=classification.impact_level,
            incident_type=incident.spec.type,
        ),
        preconditions=Preconditions(
            service_revision_arn=service.service_revision_arn,
            service_deployment_arn=service.current_service_deployment,
            desired_count=service.desired_count,
            root_cause=classification.root_cause,
        ),
        steps=steps,
        estimated_total_duration=format_duration(
            sum((parse_duration(s.estimated_duration) for s in steps if s.estimated_duration), timedelta())
        ),
        required_approvals=required_roles(
            max(incident.spec.severity, classification.impact_level, key=lambda s: s.rank), ()
        ),
        risks=risks,
        if_nothing_is_done=bounded(
            f"{incident.spec.service_ref.name} stays as it is:"
            f" {incident.spec.description or incident.spec.type}. Impact: {classification.impact_level}.",
            2048,
        ),
        expires_at=facts.now + PLAN_LIFETIME,
    )
    return RecoveryPlan(
        kind=RecoveryPlan.kind_name,
        metadata=ObjectMeta(name=plan_name(incident), namespace=incident.metadata.namespace),
        spec=spec,
    )
