"""Presets on the state of an ECS service: what DescribeServices shows, looked at again and again.

A look proves little by itself: tasks are replaced all the time. So a state must last before it means trouble; `Memory`
carries since when it has. It lives in the process only: a restart delays a finding and invents none.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bokgu.api.observed import EcsService, ServiceDeployment, StoppedTask
from bokgu.api.redaction import redact_quote
from bokgu.api.vocabulary import DetectionState, IncidentType, Preset, Severity
from bokgu.core.detection import Reading

AFTER_GRACE = 2
"""Minutes beyond the health check grace period in which a new deployment is left alone."""
START_UP = 5
"""Minutes that tasks have to start when more are wanted than before: Fargate takes two [experience]."""
LASTING = {Severity.CRITICAL: 1, Severity.HIGH: 1, Severity.MEDIUM: 10}
"""Minutes for which tasks must be missing."""
JITTER = 0.1
"""Minutes by which looks that are a minute apart may come early: two of them must do."""
CALM = 5
"""Minutes for which all tasks must run until the trouble is over."""
CRASH_WINDOW = 10
"""Minutes in which crashed tasks are counted."""
SLOW_DEPLOYMENT = 15
"""Minutes after which a deployment is stuck, unless earlier ones took a third of it."""
CRASHES = frozenset({"EssentialContainerExited", "TaskFailedToStart"})
"""Stop codes of tasks that failed by themselves (API_Task of Amazon ECS)."""

_STARTED = re.compile(r"has started (\d+) tasks")
"""What ECS writes when it replaces tasks ("Service event messages", Amazon ECS Developer Guide)."""

Memory = Mapping[str, datetime]
"""Since when something has been so, by its name."""


@dataclass(frozen=True)
class ServiceLook:
    """One look at a service.

    `deployments` are the latest service deployments, newest first; `waits_at` names the lifecycle hook that a
    deployment waits at, "" for none; it and `stopped_tasks` are None where nobody has asked. `minute` is how long a
    minute of the windows and of ECS's own grace period is: shorter only in a world that runs faster. `recovered_by`
    names the plan that is changing the service now.
    """

    service: EcsService
    now: datetime
    deployments: tuple[ServiceDeployment, ...] = ()
    waits_at: str | None = None
    stopped_tasks: tuple[StoppedTask, ...] | None = None
    minute: timedelta = timedelta(minutes=1)
    recovered_by: str | None = None


@dataclass(frozen=True)
class Judgement:
    """What a state preset says, and what to remember for the next look."""

    reading: Reading
    memory: Memory = field(default_factory=dict)


@dataclass(frozen=True)
class StateCondition:
    """A state preset: the name of its detection, the type of its incidents, and how it is evaluated."""

    name: str
    type: IncidentType
    evaluate: Callable[[ServiceLook, Memory, bool], Judgement]


def find_excuse(service: EcsService) -> str | None:
    """Why nothing of the service is meant to run, or None."""
    if service.status != "ACTIVE":
        return f"the service is {service.status}"
    if service.desired_count == 0:
        return "somebody scaled it to zero"
    return None


def in_grace(look: ServiceLook) -> bool:
    """Whether a deployment is so young that missing tasks prove nothing yet."""
    primary = look.service.primary
    young = primary is not None and look.now < primary.created_at + _grace(look)
    return young and primary is not None and primary.rollout_state == "IN_PROGRESS"


def _grace(look: ServiceLook) -> timedelta:
    """How long a new deployment is left alone."""
    grace = timedelta(seconds=look.service.grace_seconds) + timedelta(minutes=AFTER_GRACE)
    return grace * (look.minute / timedelta(minutes=1))


def remember_quiet(look: ServiceLook, memory: Memory) -> Memory:
    """What to remember of a look at which tasks were not meant to run, or to run yet, and since when none was wanted.

    `quiet` is the time of the last look of that kind, `unwanted` of the last one at which none was wanted at all.
    """
    unwanted = look.now if find_excuse(look.service) else memory.get("unwanted")
    starting = unwanted is not None and look.now < unwanted + START_UP * look.minute
    quiet = look.now if starting or in_grace(look) else memory.get("quiet")
    primary = look.service.primary
    if primary is not None and quiet != look.now:  # Also of a deployment that began before anybody looked.
        settled = primary.created_at + _grace(look)
        quiet = max(quiet or primary.created_at, settled if settled < look.now else primary.created_at)
    return {name: at for name, at in (("unwanted", unwanted), ("quiet", quiet)) if at}


def evaluate_running(look: ServiceLook, memory: Memory, was_firing: bool) -> Judgement:
    """Tasks that are wanted and do not run: none left is critical, half or more missing is high, any is medium."""
    service = look.service
    wanted = _wanted_since(look, memory)
    if excuse := find_excuse(service):
        return Judgement(Reading(DetectionState.CLEAR, None, None, excuse), wanted)
    value, message = float(service.running_count), f"{service.running_count} of {service.desired_count} tasks run"
    # Without a message while it is Clear: how many run changes with every look, and each change would be a write.
    held = (
        Reading(DetectionState.FIRING, None, value, message)
        if was_firing
        else Reading(DetectionState.CLEAR, None, value)
    )
    seen = _missing_severities(service.running_count, _due_count(look, wanted))
    if seen and in_grace(look):
        # One young deployment after the other must not hide an outage for ever.
        young = memory.get("young", look.now)
        if look.now - young < _grace(look) + LASTING[Severity.MEDIUM] * look.minute:
            return Judgement(held, {"young": young} | wanted)
        return Judgement(Reading(DetectionState.FIRING, seen[0], value, message), {"young": young} | wanted)
    if seen:
        since: dict[str, datetime] = {severity: memory.get(severity, look.now) for severity in seen}
        lasting = [s for s in seen if look.now - since[s] >= (LASTING[s] - JITTER) * look.minute]
        if not lasting:
            return Judgement(held, since | wanted)
        reading = Reading(DetectionState.FIRING, lasting[0], value, message, begun=since[lasting[0]])
        return Judgement(reading, since | wanted)
    calm = memory.get("calm", look.now)
    over = not was_firing or look.now - calm >= CALM * look.minute
    return Judgement(Reading(DetectionState.CLEAR, None, value) if over else held, {"calm": calm} | wanted)


_WANTED = "wanted "


def _wanted_since(look: ServiceLook, memory: Memory) -> dict[str, datetime]:
    """Since when so many tasks, or more, are wanted, by `wanted N`."""
    desired = look.service.desired_count
    known = {k: at for k, at in memory.items() if k.startswith(_WANTED) and int(k.removeprefix(_WANTED)) < desired}
    name = f"{_WANTED}{desired}"
    return known | {name: memory.get(name, look.now)}


def _due_count(look: ServiceLook, wanted: Memory) -> int:
    """How many tasks must have started by now: of a number that has just grown, the one before."""
    counts = sorted((int(name.removeprefix(_WANTED)), at) for name, at in wanted.items())
    due = [count for count, at in counts if look.now - at >= START_UP * look.minute]
    return max(due, default=counts[0][0])


def _missing_severities(running: int, desired: int) -> tuple[Severity, ...]:
    """Every severity that the number of running tasks reaches, the worst first."""
    found = []
    if running == 0 < desired:
        found.append(Severity.CRITICAL)
    if running * 2 <= desired and running < desired:
        found.append(Severity.HIGH)
    if running < desired:
        found.append(Severity.MEDIUM)
    return tuple(found)


def evaluate_deployment(look: ServiceLook, _memory: Memory, was_firing: bool) -> Judgement:
    """A deployment that failed is high; one that ECS rolls back, or that does not end, is medium. A rollback while a
    plan of ours is at work is no news.

    Whether one that does not end waits at a hook must have been asked; until then it stays as it was.
    """
    service, primary = look.service, look.service.primary
    latest = look.deployments[0] if look.deployments else None
    if (excuse := find_excuse(service)) or primary is None:
        return Judgement(Reading(DetectionState.CLEAR, None, None, excuse or ""))
    if primary.rollout_state == "FAILED" or (latest and _ended_badly(service, latest)):
        why = redact_quote(primary.rollout_state_reason) or (latest.status if latest else "")
        return Judgement(Reading(DetectionState.FIRING, Severity.HIGH, None, f"the deployment failed: {why}"))
    if latest and latest.status in {"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"}:
        if look.recovered_by:
            return Judgement(Reading(DetectionState.CLEAR, None, None, f"plan {look.recovered_by} is at work"))
        message = f"ECS is rolling back: {redact_quote(primary.rollout_state_reason) or latest.status}"
        return Judgement(Reading(DetectionState.FIRING, Severity.MEDIUM, None, message))
    if primary.rollout_state != "IN_PROGRESS":
        return Judgement(Reading(DetectionState.CLEAR))
    if look.waits_at:
        return Judgement(Reading(DetectionState.CLEAR, None, None, f"the deployment waits at {look.waits_at}"))
    limit = max([SLOW_DEPLOYMENT * look.minute, *(3 * _percentile_95(d) for d in [_durations(look)] if d)])
    if look.now - primary.created_at <= limit:
        return Judgement(Reading(DetectionState.CLEAR))
    if look.waits_at is None:
        return Judgement(Reading(DetectionState.FIRING if was_firing else DetectionState.CLEAR))
    minutes = int((look.now - primary.created_at) / look.minute)
    message = f"the deployment has not ended for {minutes} minutes"
    return Judgement(Reading(DetectionState.FIRING, Severity.MEDIUM, float(minutes), message))


def _ended_badly(service: EcsService, latest: ServiceDeployment) -> bool:
    """Whether the latest service deployment left the service between two revisions. One that was stopped did so unless
    the service has completed a deployment or begun another since."""
    if latest.status == "STOPPED":
        complete = service.primary is not None and service.primary.rollout_state == "COMPLETED"
        return not complete and service.current_service_deployment in {None, latest.arn}
    return latest.status == "ROLLBACK_FAILED"


def is_slow(look: ServiceLook) -> bool:
    """Whether a deployment has taken so long that it is worth asking whether it waits at a hook."""
    primary = look.service.primary
    return (
        primary is not None
        and primary.rollout_state == "IN_PROGRESS"
        and look.now - primary.created_at > SLOW_DEPLOYMENT * look.minute
    )


def _durations(look: ServiceLook) -> list[timedelta]:
    """How long earlier successful deployments took."""
    ended = [d for d in look.deployments if d.status == "SUCCESSFUL" and d.finished_at]
    return sorted(d.finished_at - d.created_at for d in ended if d.finished_at)


def _percentile_95(lengths: list[timedelta]) -> timedelta:
    return lengths[math.ceil(0.95 * len(lengths)) - 1]


def evaluate_crash_loop(look: ServiceLook, _memory: Memory, was_firing: bool) -> Judgement:
    """Tasks that end by themselves, again and again: half of the wanted ones in ten minutes, three at least.

    Where there is reason to ask for the stopped tasks and nobody has, or could, it stays as it was.
    """
    if excuse := find_excuse(look.service):
        return Judgement(Reading(DetectionState.CLEAR, None, None, excuse))
    if look.stopped_tasks is None and suggests_crashes(look):
        return Judgement(Reading(DetectionState.FIRING if was_firing else DetectionState.CLEAR))
    stopped, begin = look.stopped_tasks or (), look.now - CRASH_WINDOW * look.minute
    crashed = {t.arn for t in stopped if failed_by_itself(t.stop_code, t.reason) and t.stopped_at >= begin}
    if len(crashed) < max(3, math.ceil(look.service.desired_count / 2)):
        return Judgement(Reading(DetectionState.CLEAR, None, float(len(crashed))))
    last = max((t for t in stopped if t.arn in crashed), key=lambda t: t.stopped_at)
    why = f"{last.stop_code}, {redact_quote(last.reason)}"
    message = f"{len(crashed)} tasks ended by themselves in {CRASH_WINDOW} minutes: {why}"
    return Judgement(Reading(DetectionState.FIRING, Severity.HIGH, float(len(crashed)), message))


def failed_by_itself(stop_code: str, reason: str) -> bool:
    """Whether a task ended by itself, or because it failed its health checks: the scheduler ends those, so that only
    the reason tells ("Stopped tasks error messages", Amazon ECS Developer Guide)."""
    return stop_code in CRASHES or (stop_code == "ServiceSchedulerInitiated" and "health check" in reason)


def suggests_crashes(look: ServiceLook) -> bool:
    """Whether the service's own figures suggest to ask for its stopped tasks, which takes two calls more."""
    service, begin = look.service, look.now - CRASH_WINDOW * look.minute
    if service.running_count < service.desired_count or any(d.failed_tasks for d in service.deployments):
        return True
    recent = (message for at, message in service.events if at >= begin)
    return sum(int(found[1]) for message in recent if (found := _STARTED.search(message))) >= 3


STATE_CONDITIONS = {
    Preset.ECS_RUNNING: StateCondition("running_tasks", IncidentType.SERVICE_DOWN, evaluate_running),
    Preset.ECS_DEPLOYMENT: StateCondition("deployment", IncidentType.SERVICE_DOWN, evaluate_deployment),
    Preset.ECS_CRASH_LOOP: StateCondition("crashed_tasks", IncidentType.SERVICE_DOWN, evaluate_crash_loop),
}


def evaluate_states(
    presets: Iterable[Preset], look: ServiceLook, memories: Mapping[str, Memory], firing: frozenset[str]
) -> dict[str, Judgement]:
    """Every state preset's judgement, by the name of its detection. `firing` names the detections that fired."""
    found = {}
    for preset in presets:
        if (condition := STATE_CONDITIONS.get(preset)) is not None:
            memory = memories.get(condition.name, {})
            found[condition.name] = condition.evaluate(look, memory, condition.name in firing)
    return found
