"""Steps of a runbook made concrete: with the numbers, revisions and windows of one service."""

import math
import re
from datetime import timedelta

from bokgu.api.fields import bounded, format_duration, format_timestamp, parse_duration
from bokgu.api.observed import DescribedDeployment, EcsService
from bokgu.api.protected_service import KnownRevision
from bokgu.api.recovery_plan import Step, StepParameters, Undo, Validation
from bokgu.api.runbook import RunbookStep
from bokgu.api.vocabulary import Action, Comparison, OnFailure, ValidationType
from bokgu.core.actions.rollback import returns_elsewhere
from bokgu.core.detection import lowest_threshold
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.core.runbooks import estimate_step
from bokgu.core.templates import fill_template
from bokgu.core.writes.new_deployment import find_difference
from bokgu.core.writes.stop_deployment import IN_FLIGHT

CLEAN_PERIODS = {Action.SCALE_OUT: 5, Action.SERVICE_RESTART: 5, Action.ROLLBACK: 10}
"""Datapoints that must be good before a step counts: five clean minutes, ten after a rollback, at the usual period of
one minute."""

STEP_TIMEOUT = {
    Action.HEALTH_CHECK: timedelta(minutes=5),
    Action.SCALE_OUT: timedelta(minutes=15),
    Action.SERVICE_RESTART: timedelta(minutes=30),
    Action.ROLLBACK: timedelta(minutes=30),
}
"""Start-up, health checks and deregistration of the slowest usual service fit in it."""

DESCRIPTIONS = {
    Action.HEALTH_CHECK: "Read the service once more and write down what it shows. Changes nothing.",
    Action.SCALE_OUT: "Run {wantedCount} tasks instead of {desiredCount}.",
    Action.SERVICE_RESTART: "Replace all {desiredCount} tasks by new ones of the same revision ({currentRevision}).",
    Action.ROLLBACK: "Restore the service revision that served before: {targetRevision} instead of {currentRevision}.",
}
"""What a step is described by where the runbook says nothing."""

_OPPOSITE = {
    Comparison.GREATER_THAN: "<=",
    Comparison.GREATER_THAN_OR_EQUAL: "<",
    Comparison.LESS_THAN: ">=",
    Comparison.LESS_THAN_OR_EQUAL: ">",
}
"""What holds exactly where the detector's comparison does not: no errors at all must satisfy a threshold of 0."""

_ZONE = re.compile(r"\b[a-z]{2}(?:-[a-z]+){1,2}-\d[a-z]\b")
"""An Availability Zone, such as eu-central-1a."""


def build_step(step: RunbookStep, facts: PlanningFacts) -> Step | NoPlan:
    """The step with the numbers of the service, or why it cannot be done there."""
    spec = facts.protected_service.spec
    if step.action.writes and spec.mode.runs and step.action not in spec.allowed_actions:
        return NoPlan(
            "ActionNotAllowed",
            f"{step.action} would help: allow it in spec.allowedActions of ProtectedService"
            f" {facts.protected_service.metadata.name}",
            wait=True,
        )
    if step.action.writes and facts.service.desired_count == 0:
        return NoPlan("ScaledToZero", "the service is scaled to zero: somebody wants it so", wait=False)
    if step.action.writes and facts.service.deploying and step.action is not Action.ROLLBACK:
        return _deploying()
    match step.action:
        case Action.HEALTH_CHECK:
            return _concrete(step, facts)
        case Action.SCALE_OUT:
            return _scale_out(step, facts)
        case Action.SERVICE_RESTART:
            return _restart(step, facts)
        case Action.ROLLBACK:
            return _roll_back(step, facts)


def template_values(facts: PlanningFacts, step: RunbookStep | None = None) -> dict[str, str]:
    """What templates of a runbook may name, for this incident; of `step` the wanted count."""
    incident, protected, service = facts.incident, facts.protected_service, facts.service
    good = protected.status.last_known_good
    return {
        "service": protected.spec.ecs.service,
        "cluster": _short(protected.spec.ecs.cluster),
        "region": protected.spec.region,
        "environment": protected.spec.environment,
        "desiredCount": str(service.desired_count),
        "runningCount": str(service.running_count),
        "wantedCount": str(wanted_count(facts, step) or service.desired_count),
        "currentRevision": _short(service.task_definition),
        "targetRevision": _short(good.task_definition) if good else "none known",
        "rootCause": facts.classification.root_cause,
        "incidentType": incident.spec.type,
        "severity": incident.spec.severity,
        "zone": find_zone(facts) or "the zone that fails",
        "graceSeconds": str(service.grace_seconds),
        "logGroup": protected.spec.log_group or "none named",
        "dependencies": ", ".join(protected.spec.depends_on) or "nothing that is named",
    }


def find_zone(facts: PlanningFacts) -> str | None:
    """The Availability Zone that the evidence names first."""
    found = (_ZONE.search(item.fact) for item in facts.classification.evidence)
    return next((match[0] for match in found if match), None)


def wanted_count(facts: PlanningFacts, step: RunbookStep | None = None) -> int | None:
    """How many tasks a scale_out asks for; None where it may not ask for any more (S11)."""
    limits, desired = facts.protected_service.spec.limits, facts.service.desired_count
    maximum = limits.max_desired_count
    if maximum is None or desired >= maximum or desired == 0:
        return None
    percent = limits.scale_step_percent
    if step and step.parameters and step.parameters.scale_step_percent:
        percent = min(percent, step.parameters.scale_step_percent)
    grown = math.ceil(desired * (100 + percent) / 100)
    return min(maximum, max(desired + 1, grown))


def _scale_out(step: RunbookStep, facts: PlanningFacts) -> Step | NoPlan:
    wanted, maximum = wanted_count(facts, step), facts.protected_service.spec.limits.max_desired_count
    if wanted is None:
        return NoPlan(
            "AtMaximum",
            f"{facts.service.desired_count} tasks are wanted and spec.limits.maxDesiredCount is {maximum or 'not set'}",
            wait=False,
        )
    return _concrete(step, facts, parameters=StepParameters(desired_count=wanted))


def _restart(step: RunbookStep, facts: PlanningFacts) -> Step | NoPlan:
    keeps, needed = facts.service.minimum_healthy_percent, None
    if step.parameters:
        needed = step.parameters.minimum_healthy_percent
    if needed and (keeps is None or keeps < needed):
        return NoPlan(
            "WouldInterrupt",
            f"minimumHealthyPercent of the service is {'not known' if keeps is None else keeps}: a restart would stop"
            f" tasks before new ones run, and {needed} is needed",
            wait=False,
        )
    return _concrete(step, facts)


def _roll_back(step: RunbookStep, facts: PlanningFacts) -> Step | NoPlan:
    good = facts.protected_service.status.last_known_good
    if good is None or good.service_revision_arn == facts.service.service_revision_arn:
        return NoPlan("NoLastKnownGood", "no earlier service revision is known to have served well", wait=False)
    parameters = StepParameters(service_revision_arn=good.service_revision_arn, task_definition=good.task_definition)
    if (no_plan := _too_old(good, facts)) is not None:
        return no_plan
    if facts.service.deploying:  # What ECS leaves half way is nothing to come back to.
        return _cannot_stop(good, facts.deployment) or _concrete(step, facts, parameters=parameters)
    if (no_plan := _restores_nothing(good, facts)) is not None:
        return no_plan
    return _concrete(step, facts, parameters=parameters, undo=Undo(action=Action.ROLLBACK))


def _deploying(why: str = "what to do is decided when that has ended") -> NoPlan:
    return NoPlan("DeploymentInProgress", f"ECS is deploying: {why}", wait=True)


def _cannot_stop(good: KnownRevision, deployment: DescribedDeployment | None) -> NoPlan | None:
    """Why stopping the deployment in flight is no way back to the good revision, or None."""
    if deployment is None or deployment.status not in IN_FLIGHT:
        return _deploying()
    elsewhere = returns_elsewhere(deployment, good.service_revision_arn)
    return _deploying(elsewhere) if elsewhere else None


def _too_old(good: KnownRevision, facts: PlanningFacts) -> NoPlan | None:
    limit = facts.protected_service.spec.rollback.max_age
    if good.served_until is None or good.served_until >= facts.now - parse_duration(limit):
        return None
    return NoPlan(
        "LastKnownGoodTooOld",
        f"{good.service_revision_arn} last served at {format_timestamp(good.served_until)}, longer than {limit} ago",
        wait=False,
    )


def needs_comparison(good: KnownRevision | None, service: EcsService) -> bool:
    """Whether only the settings of the service revisions say that a rollback would change anything."""
    return (
        good is not None
        and good.service_revision_arn != service.service_revision_arn
        and good.task_definition == service.task_definition
    )


def _restores_nothing(good: KnownRevision, facts: PlanningFacts) -> NoPlan | None:
    """A forced deployment makes a service revision that differs in nothing: there is nothing to go back to."""
    if not needs_comparison(good, facts.service):
        return None
    shown = _short(good.task_definition)
    restored = facts.revisions.get(good.service_revision_arn)
    current = facts.revisions.get(facts.service.service_revision_arn or "")
    if restored is None or current is None:
        message = f"both service revisions have {shown}, and ECS does not describe what else they differ in"
        return NoPlan("RevisionsUnknown", message, wait=True)
    if find_difference(restored, current):
        return None
    message = f"the last known good service revision has {shown} and all settings of the one in use"
    return NoPlan("NothingToRestore", message, wait=False)


def _concrete(
    step: RunbookStep, facts: PlanningFacts, *, parameters: StepParameters | None = None, undo: Undo | None = None
) -> Step:
    text = fill_template(step.description or DESCRIPTIONS[step.action], template_values(facts, step))
    return Step(
        name=step.name,
        action=step.action,
        description=bounded(" ".join((text, *_remarks(step, undo, facts))), 2048),
        parameters=parameters,
        estimated_duration=format_duration(estimate_step(step)),
        timeout=step.timeout or format_duration(STEP_TIMEOUT[step.action]),
        required_resources=step.required_resources or ("ecs_service",),
        on_failure=step.on_failure or (OnFailure.ROLL_BACK if undo else OnFailure.STOP),
        rollback=undo,
        validation=_validation(step, facts),
    )


def _remarks(step: RunbookStep, undo: Undo | None, facts: PlanningFacts) -> list[str]:
    """How it is done where that is not plain, and what the runbook asks for that the plan does not do."""
    found = []
    if step.action is Action.ROLLBACK and facts.service.deploying:
        found.append("The deployment in flight is stopped, and ECS returns by itself; nothing takes that back.")
    if step.rollback and undo is None:
        found.append("A restart changes no revision: nothing takes it back, so the runbook's rollback is left out.")
    if step.validation and step.validation.type is ValidationType.LOG:
        criteria = step.validation.criteria or "log"
        found.append(f"The runbook's check {criteria} of logs is left out: the incident quotes the log lines.")
    return found


def _validation(step: RunbookStep, facts: PlanningFacts) -> Validation | None:
    """The incident's own metric must be on the right side of its lowest threshold; windows follow its period."""
    asked = step.validation
    if not step.action.writes or facts.watch is None or facts.condition is None:
        return None
    metric = asked if asked and asked.type is ValidationType.METRIC else None
    hold = CLEAN_PERIODS[step.action] * facts.watch.period(facts.condition)
    if metric and metric.for_:
        hold = max(hold, parse_duration(metric.for_))
    wait = 2 * hold + facts.watch.settle
    if metric and metric.timeout:
        wait = max(parse_duration(metric.timeout), hold + facts.watch.settle)
    above = facts.condition.comparison.startswith("Greater")
    limit = facts.condition.clear_threshold or lowest_threshold(facts.condition.thresholds)
    good = _OPPOSITE[facts.condition.comparison]
    return Validation(
        type=ValidationType.METRIC,
        criteria=(metric and metric.criteria)
        or bounded(f"{facts.condition.name}_{'decrease' if above else 'increase'}", 63),
        expression=f"{facts.condition.name} {good} {limit}",
        for_=format_duration(hold),
        timeout=format_duration(wait),
    )


def _short(arn: str) -> str:
    """The part of an ARN that people read, such as api:7."""
    return arn.rpartition("/")[2]
