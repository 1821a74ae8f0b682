"""What every step has: description, times, validation, and what templates may name."""

import re
from datetime import timedelta

from bokgu.api.fields import bounded, format_duration, parse_duration
from bokgu.api.recovery_plan import LOG_MATCHES, Step, StepParameters, Undo, Validation
from bokgu.api.runbook import RunbookStep, RunbookValidation
from bokgu.api.vocabulary import Action, Comparison, OnFailure, ValidationType
from bokgu.core.actions.code_deploy import find_original
from bokgu.core.building.count import wanted_count
from bokgu.core.building.usual import CONFIRMATION_TIMEOUT, USUAL
from bokgu.core.detection import lowest_threshold
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.core.templates import fill_template

_OPPOSITE = {
    Comparison.GREATER_THAN: "<=",
    Comparison.GREATER_THAN_OR_EQUAL: "<",
    Comparison.LESS_THAN: ">=",
    Comparison.LESS_THAN_OR_EQUAL: ">",
}
"""What holds exactly where the detector's comparison does not: no errors at all must satisfy a threshold of 0."""

_WITHOUT_SERVICE = frozenset({Action.WAIT, Action.MANUAL})
"""Actions that do not touch the ECS service."""

_ZONE = re.compile(r"\b[a-z]{2}(?:-[a-z]+){1,2}-\d[a-z]\b")
"""An Availability Zone, such as eu-central-1a."""


def template_values(facts: PlanningFacts, step: RunbookStep | None = None) -> dict[str, str]:
    """What templates of a runbook may name, for this incident; of `step` the wanted count."""
    incident, protected, service = facts.incident, facts.protected_service, facts.service
    return {
        "service": protected.spec.ecs.service,
        "cluster": short_name(protected.spec.ecs.cluster),
        "region": protected.spec.region,
        "environment": protected.spec.environment,
        "desiredCount": str(service.desired_count),
        "runningCount": str(service.running_count),
        "wantedCount": str(wanted_count(facts, step) or service.desired_count),
        "currentRevision": short_name(service.task_definition),
        "targetRevision": _target_revision(facts),
        "rootCause": facts.classification.root_cause,
        "incidentType": incident.spec.type,
        "severity": incident.spec.severity,
        "zone": find_zone(facts) or "the zone that fails",
        "graceSeconds": str(service.grace_seconds),
        "logGroup": protected.spec.log_group or "none named",
        "dependencies": ", ".join(protected.spec.depends_on) or "nothing that is named",
    }


def _target_revision(facts: PlanningFacts) -> str:
    """What a rollback goes back to."""
    good, found = facts.protected_service.status.last_known_good, facts.code_deployments
    if isinstance(found, tuple) and len(found) == 1:
        original = find_original(facts.service, found[0].id)
        return short_name(original.task_definition) if original else "none known"
    return short_name(good.task_definition) if good else "none known"


def find_zone(facts: PlanningFacts) -> str | None:
    """The Availability Zone that the evidence names first."""
    found = (_ZONE.search(item.fact) for item in facts.classification.evidence)
    return next((match[0] for match in found if match), None)


def concrete_step(
    step: RunbookStep,
    facts: PlanningFacts,
    *,
    parameters: StepParameters | None = None,
    undo: Undo | None = None,
    remark: str | None = None,
) -> Step:
    """The step with description, times and validation; `remark` follows its description."""
    text = fill_template(step.description or USUAL[step.action].description, template_values(facts, step))
    return Step(
        name=step.name,
        action=step.action,
        description=bounded(" ".join((text, *filter(None, (remark,)), *_left_out(step, undo, facts))), 2048),
        parameters=parameters,
        estimated_duration=format_duration(estimate_step(step)),
        timeout=step.timeout or format_duration(USUAL[step.action].timeout),
        required_resources=step.required_resources or (() if step.action in _WITHOUT_SERVICE else ("ecs_service",)),
        on_failure=step.on_failure or (OnFailure.ROLL_BACK if undo else OnFailure.STOP),
        rollback=undo,
        validation=_validation(step, facts),
    )


def _left_out(step: RunbookStep, undo: Undo | None, facts: PlanningFacts) -> list[str]:
    """What the runbook asks for that the plan does not do, said plainly."""
    found = []
    if step.rollback and undo is None:
        found.append("A restart changes no revision: nothing takes it back, so the runbook's rollback is left out.")
    if step.validation and step.validation.type is ValidationType.LOG and not _reads_log(step, facts):
        criteria = step.validation.criteria or "log"
        why = "it names no pattern" if step.validation.pattern is None else "the service names no spec.logGroup"
        found.append(f"The runbook's check {criteria} of logs is left out: {why}.")
    return found


def _reads_log(step: RunbookStep, facts: PlanningFacts) -> bool:
    """Whether the step is proven by the service's log."""
    asked = step.validation
    return (
        asked is not None
        and asked.type is ValidationType.LOG
        and asked.pattern is not None
        and facts.protected_service.spec.log_group is not None
    )


def _validation(step: RunbookStep, facts: PlanningFacts) -> Validation | None:
    """The incident's own metric must be on the right side of its lowest threshold; windows follow its period. Or what
    the runbook asks for instead: a log, or a person."""
    asked = step.validation
    if asked and asked.type is ValidationType.MANUAL and step.action.writes:
        return Validation(
            type=ValidationType.MANUAL,
            criteria=asked.criteria or "confirmed",
            timeout=asked.timeout or format_duration(CONFIRMATION_TIMEOUT),
        )
    if asked and step.action.writes and _reads_log(step, facts):
        return _log_validation(step, asked, facts)
    if not USUAL[step.action].clean_periods or facts.watch is None or facts.condition is None:
        return None
    metric = asked if asked and asked.type is ValidationType.METRIC else None
    hold = USUAL[step.action].clean_periods * facts.watch.period(facts.condition)
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


def _log_validation(step: RunbookStep, asked: RunbookValidation, facts: PlanningFacts) -> Validation:
    """The windows follow period and delay that the ProtectedService is watched with."""
    detection = facts.protected_service.spec.detection
    hold = USUAL[step.action].clean_periods * parse_duration(detection.period)
    hold = max(hold, parse_duration(asked.for_ or "0s"))
    least = hold + parse_duration(detection.settle)
    wait = max(least, parse_duration(asked.timeout)) if asked.timeout else hold + least
    return Validation(
        type=ValidationType.LOG,
        criteria=asked.criteria or "log",
        expression=asked.expression or f"{LOG_MATCHES} <= 0",
        log_group=facts.protected_service.spec.log_group,
        pattern=asked.pattern,
        for_=format_duration(hold),
        timeout=format_duration(wait),
    )


def wait_for_deployment(why: str = "what to do is decided when that has ended") -> NoPlan:
    """There is no plan while ECS is deploying."""
    return NoPlan("DeploymentInProgress", f"ECS is deploying: {why}", wait=True)


def estimate_step(step: RunbookStep) -> timedelta:
    """How long the step usually takes."""
    if step.parameters and step.parameters.duration and not step.estimated_duration:
        return parse_duration(step.parameters.duration)
    return parse_duration(step.estimated_duration) if step.estimated_duration else USUAL[step.action].estimate


def short_name(arn: str) -> str:
    """The part of an ARN that people read, such as api:7."""
    return arn.rpartition("/")[2]
