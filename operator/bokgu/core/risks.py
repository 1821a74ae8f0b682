"""What may go wrong with a plan, told from this service: its tasks, who else sets it, and how sure the cause is."""

import math

from bokgu.api.fields import bounded
from bokgu.api.recovery_plan import Risk, Step
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import Action, Confidence, Level
from bokgu.core.planning_facts import PlanningFacts

STACK_TAG = "aws:cloudformation:stack-name"
"""Tag that CloudFormation puts on what it owns (CloudFormation User Guide, "Resource tags")."""

ACK_TAG = "services.k8s.aws/controller-version"
"""Tag that AWS Controllers for Kubernetes put on what they own (ACK, "Default resource tags")."""


def build_risks(runbook: Runbook, steps: tuple[Step, ...], facts: PlanningFacts) -> tuple[Risk, ...]:
    """The risks of the whole plan, those of its steps first, each once."""
    found = [risk for step in steps for risk in _step_risks(step, facts)]
    found += _cause_risks(runbook, facts)
    return tuple(dict.fromkeys(found))[:16]


def _step_risks(step: Step, facts: PlanningFacts) -> list[Risk]:
    match step.action:
        case Action.SCALE_OUT:
            return [_more_connections(step, facts), _count_set_again(facts)]
        case Action.SERVICE_RESTART:
            return [_interruption("a restart", facts), _other_code()]
        case Action.ROLLBACK:
            return [_interruption("the rollback", facts), _what_was_new(), *_revision_set_again(facts)]
        case Action.HEALTH_CHECK | Action.MANUAL:
            return []


def _interruption(what: str, facts: PlanningFacts) -> Risk:
    """How many tasks a rolling deployment keeps (minimumHealthyPercent of the desired count, rounded up)."""
    desired, percent = facts.service.desired_count, facts.service.minimum_healthy_percent
    if percent is None:
        probability = Level.HIGH if desired <= 1 else Level.MEDIUM
        mitigation = "a rolling deployment; how many tasks it keeps running is not known"
        return _risk(
            f"{what} replaces {desired} tasks and may interrupt requests", probability, Level.MEDIUM, mitigation
        )
    kept = math.ceil(desired * percent / 100)
    probability = Level.HIGH if kept == 0 else Level.MEDIUM if kept < desired else Level.LOW
    return _risk(
        f"{what} replaces {desired} tasks and may interrupt requests briefly",
        probability,
        Level.HIGH if kept == 0 else Level.MEDIUM,
        f"a rolling deployment keeps {kept} of {desired} tasks running (minimumHealthyPercent {percent})",
    )


def _other_code() -> Risk:
    return _risk(
        "new tasks may run other code than the old ones, where an image tag has moved, or on a newer platform",
        Level.LOW,
        Level.HIGH,
        "images named by digest; verified by the metric",
    )


def _what_was_new() -> Risk:
    return _risk(
        "what the new revision brought (features, schema changes) goes away or does not fit",
        Level.LOW,
        Level.HIGH,
        "verified by the metric; undone if it does not help",
    )


def _more_connections(step: Step, facts: PlanningFacts) -> Risk:
    wanted = step.parameters.desired_count if step.parameters else None
    used = ", ".join(facts.protected_service.spec.depends_on)
    return _risk(
        f"{wanted} tasks open more connections to {used or 'what the service uses'}",
        Level.MEDIUM if used else Level.LOW,
        Level.MEDIUM,
        f"at most {facts.protected_service.spec.limits.scale_step_percent} % more at a time",
    )


def _count_set_again(facts: PlanningFacts) -> Risk:
    owner = _owner(facts)
    return _risk(
        f"{owner or 'an autoscaler or an infrastructure pipeline'} may set the count again",
        Level.HIGH if owner else Level.MEDIUM,
        Level.LOW,
        "the change is watched while it is verified; a foreign change is not fought",
    )


def _revision_set_again(facts: PlanningFacts) -> list[Risk]:
    owner = _owner(facts)
    if owner is None:
        return []
    mitigation = "put the old revision there too, before its next update"
    return [
        _risk(f"{owner} still names the new revision and may deploy it again", Level.MEDIUM, Level.HIGH, mitigation)
    ]


def _owner(facts: PlanningFacts) -> str | None:
    """Who else sets the service, as its tags say."""
    if stack := facts.service.tags.get(STACK_TAG):
        return f"CloudFormation stack {stack}"
    return "the ACK controller" if ACK_TAG in facts.service.tags else None


def _cause_risks(runbook: Runbook, facts: PlanningFacts) -> list[Risk]:
    cause, confidence = facts.classification.root_cause, facts.classification.confidence
    if not runbook.spec.root_causes:
        said = f"the runbook acts whatever the cause ({cause}): it may not help, and hide what is wrong"
        return [_risk(said, Level.HIGH, Level.MEDIUM, "verified by the metric; the evidence stays in the incident")]
    if confidence is Confidence.HIGH:
        return []
    probability = Level.MEDIUM if confidence is Confidence.MEDIUM else Level.HIGH
    said = f"the cause may be another one: {cause} with {confidence} confidence"
    return [_risk(said, probability, Level.MEDIUM, "verified by the metric; look at the evidence before approving")]


def _risk(description: str, probability: Level, impact: Level, mitigation: str) -> Risk:
    return Risk(
        description=bounded(description), probability=probability, impact=impact, mitigation=bounded(mitigation)
    )
