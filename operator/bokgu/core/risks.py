"""What may go wrong with a plan, told from this service: its tasks, who else sets it, and how sure the cause is."""

import math

from bokgu.api.fields import bounded
from bokgu.api.recovery_plan import Risk, Step
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import Action, Confidence, Level
from bokgu.core.actions.code_deploy import stops_code_deployment
from bokgu.core.owners import find_owner
from bokgu.core.planning_facts import PlanningFacts


def build_risks(runbook: Runbook, steps: tuple[Step, ...], facts: PlanningFacts) -> tuple[Risk, ...]:
    """The risks of the whole plan, those of its steps first, each once."""
    found = [risk for step in steps for risk in _step_risks(step, facts)]
    found += _cause_risks(runbook, facts)
    return tuple(dict.fromkeys(found))[:16]


def _step_risks(step: Step, facts: PlanningFacts) -> list[Risk]:
    match step.action:
        case Action.SCALE_OUT:
            return [_more_connections(step, facts), *_maximum_raised(step, facts), _count_set_again(facts)]
        case Action.SCALE_IN:
            return [_scaled_in_too_early(facts)]
        case Action.SERVICE_RESTART:
            return [_interruption("a restart", facts), _other_code(), *_waits_at_hook("a restart", facts)]
        case Action.ROLLBACK if stops_code_deployment(step):
            return [_traffic_moves_back(facts), _what_was_new(undone=False), *_revision_set_again(facts)]
        case Action.ROLLBACK:
            hooks = _waits_at_hook("the rollback", facts)
            return [_interruption("the rollback", facts), _what_was_new(), *hooks, *_revision_set_again(facts)]
        case Action.STOP_UNHEALTHY_TASKS:
            return [_one_task_less(facts), _traces_lost()]
        case Action.REGISTER:
            return _moved_tags(facts)
        case Action.HEALTH_CHECK | Action.WAIT | Action.MANUAL | Action.RUN_TASK | Action.AUTOMATION:
            return []


def _interruption(what: str, facts: PlanningFacts) -> Risk:
    """How many tasks a rolling deployment keeps (minimumHealthyPercent of the desired count, rounded up)."""
    desired, percent = facts.service.desired_count, facts.service.minimum_healthy_percent
    if facts.service.strategy != "ROLLING":
        mitigation = (
            f"the {facts.service.strategy} deployment keeps all old tasks until traffic has moved and it has baked"
        )
        return _risk(f"{what} runs a second set of {desired} tasks", Level.LOW, Level.MEDIUM, mitigation)
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


def _one_task_less(facts: PlanningFacts) -> Risk:
    """StopTask ignores minimumHealthyPercent: the new task starts when the old one is gone."""
    desired = facts.service.desired_count
    return _risk(
        f"until a new task runs, {desired - 1} of {desired} serve; requests that the stopped one is serving may fail",
        Level.MEDIUM,
        Level.LOW,
        "one task at a time, only while all others are running and well; ECS drains it first",
    )


def _traces_lost() -> Risk:
    return _risk(
        "what is on the task's ephemeral storage goes with it, also what would tell the cause",
        Level.MEDIUM,
        Level.LOW,
        "save what is needed before approving; logs in CloudWatch stay",
    )


def _moved_tags(facts: PlanningFacts) -> list[Risk]:
    """A copy names its images as the original does, and a tag may name another image by now."""
    settings = facts.good_definition.settings if facts.good_definition else {}
    images = [c.get("image", "") for c in settings.get("containerDefinitions", ())]
    tagged = [image for image in images if "@sha256:" not in image]
    if not tagged:
        return []
    said = f"{', '.join(tagged)}: the tag may have moved, and then the copy runs other code than what served well"
    return [_risk(said, Level.LOW, Level.HIGH, "compare the digest before approving; verified by the metric")]


def _other_code() -> Risk:
    return _risk(
        "new tasks may run other code than the old ones, where an image tag has moved, or on a newer platform",
        Level.LOW,
        Level.HIGH,
        "images named by digest; verified by the metric",
    )


def _traffic_moves_back(facts: PlanningFacts) -> Risk:
    """CodeDeploy keeps the task set from before until its deployment ends (BlueInstanceTerminationOption)."""
    return _risk(
        "requests may fail briefly while CodeDeploy moves the traffic back",
        Level.LOW,
        Level.MEDIUM,
        f"the task set from before still runs, {facts.service.desired_count} tasks; no new tasks are waited for",
    )


def _what_was_new(*, undone: bool = True) -> Risk:
    return _risk(
        "what the new revision brought (features, schema changes) goes away or does not fit",
        Level.LOW,
        Level.HIGH,
        f"verified by the metric{'; undone if it does not help' if undone else ''}",
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
    owner, what = find_owner(facts.service), "count"
    anybody = "an autoscaler or an infrastructure pipeline"
    if facts.scalable_target is not None:
        anybody, what = "a scheduled action or an infrastructure pipeline", "range"
    said = f"{owner.name} may set the {what} again, {owner.reverts}" if owner else f"{anybody} may set the {what} again"
    return _risk(
        said, owner.likely if owner else Level.MEDIUM, Level.LOW, f"{_WATCHED}; a foreign change is not fought"
    )


def _maximum_raised(step: Step, facts: PlanningFacts) -> list[Risk]:
    wanted, target = step.parameters.max_capacity if step.parameters else None, facts.scalable_target
    if wanted is None or target is None:
        return []
    said = (
        f"the maximum of Application Auto Scaling is raised from {target.maximum} to {wanted}, its minimum from"
        f" {target.minimum}, and both stay so until people lower them: {wanted} tasks are paid for meanwhile"
    )
    return [
        _risk(said, Level.HIGH, Level.MEDIUM, "approved for exactly these numbers; lower both when the load is gone")
    ]


def _scaled_in_too_early(facts: PlanningFacts) -> Risk:
    watch = facts.protected_service.spec.detection.relapse_watch
    return _risk(
        "with its old minimum Application Auto Scaling may scale in while load comes back",
        Level.LOW,
        Level.MEDIUM,
        f"only after {watch} of calm; the incident is watched for {watch} more",
    )


def _revision_set_again(facts: PlanningFacts) -> list[Risk]:
    owner = find_owner(facts.service)
    if owner is None:
        return []
    said = f"{owner.name} still names the new revision and may deploy it again, {owner.reverts}"
    return [_risk(said, owner.likely, Level.HIGH, f"put the old revision there too; {_WATCHED}")]


_WATCHED = "the service is watched for that until the incident is resolved"


def _waits_at_hook(what: str, facts: PlanningFacts) -> list[Risk]:
    """A deployment of ours waits like any other (API_DeploymentLifecycleHook, PAUSE)."""
    if not facts.service.pauses:
        return []
    said = f"{what} waits at the PAUSE hook in {', '.join(facts.service.pauses)} until somebody lets it go on"
    mitigation = "continue it (ContinueServiceDeployment); after its timeout, 24 hours by default, ECS rolls it back"
    return [_risk(said, Level.HIGH, Level.MEDIUM, mitigation)]


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
