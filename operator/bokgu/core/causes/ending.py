"""Tasks that ended: by somebody's hand, with their machine, for want of memory, or by a crash of their own."""

from dataclasses import replace
from datetime import timedelta

from bokgu.api.incident import EvidenceItem
from bokgu.api.observed import StoppedTask
from bokgu.api.vocabulary import Confidence, IncidentType, RootCause, Trait
from bokgu.core.case import MEMORY, SIGKILL, Case, Failure
from bokgu.core.causes.fault import asks_for_less, new_tasks_fail
from bokgu.core.causes.verdict import Diagnosis, quote, quote_failures, quote_signs
from bokgu.core.ecs_messages import explain_start_failure
from bokgu.core.log_signs import Sign
from bokgu.core.trends import climbs, latest, peak

LEAK_UPTIME = timedelta(hours=1)
"""A task that ran shorter than this shows no leak: it never had enough."""

FORGOTTEN = timedelta(hours=2)
"""How long the end of a task that ECS has forgotten is the best guess where nothing else shows [experience]."""

DRIVEN_RATIO = 1.3
"""Growth of the load from where on it explains the growth of what it uses [experience]."""

FULL_MEMORY = 90.0
"""Percent of memory from where on tasks are at their limit [experience]."""


def deleted_or_scaled_to_zero(case: Case) -> Diagnosis | None:
    """Somebody deleted the service, or wants none of its tasks."""
    service = case.evidence.service
    if service is None or (service.status == "ACTIVE" and service.desired_count > 0):
        return None
    if service.status == "ACTIVE" and service.scheduling_strategy == "DAEMON":
        return None  # ECS counts the instances: none is left to run a task on.
    how = f"the service is {service.status}, desired count {service.desired_count}"
    return Diagnosis(
        RootCause.HUMAN_ACTION,
        False,
        Confidence.HIGH,
        (quote("DescribeServices", how), *_quote_callers(case), *quote_failures(case.failures)),
    )


def instances_taken_away(case: Case) -> Diagnosis | None:
    """Somebody took the container instances out of the cluster."""
    if not case.forced_off:
        return None
    failures = tuple(f for f in case.failures if f.task in case.forced_off)
    return Diagnosis(RootCause.HUMAN_ACTION, False, Confidence.HIGH, quote_failures(failures))


def _quote_callers(case: Case) -> tuple[EvidenceItem, ...]:
    """The person to ask."""
    return tuple(quote("LookupEvents", caller) for caller in case.evidence.callers)


def stopped_by_hand(case: Case) -> Diagnosis | None:
    """Somebody stopped the tasks."""
    if not case.stopped_by_hand or _only_the_trigger(case, case.stopped_by_hand):
        return None
    failures = tuple(f for f in case.failures if f.task in case.stopped_by_hand)
    killed = any(c.exit_code == SIGKILL for t in case.stopped_by_hand for c in t.containers)
    out = ("OutOfMemory: exit code 137 is the SIGKILL that follows when SIGTERM is not heeded",) if killed else ()
    return Diagnosis(
        RootCause.HUMAN_ACTION,
        False,
        Confidence.HIGH,
        (*_quote_callers(case), *quote_failures(failures)),
        ruled_out=out,
    )


def machine_lost(case: Case) -> Diagnosis | None:
    """The machine under the tasks was reclaimed, drained or lost."""
    if not case.lost_hosts or _only_the_trigger(case, case.lost_hosts):
        return None
    failures = tuple(f for f in case.failures if f.task in case.lost_hosts)
    return Diagnosis(RootCause.HOST_OR_SPOT_INTERRUPTION, False, Confidence.HIGH, quote_failures(failures))


def _only_the_trigger(case: Case, tasks: tuple[StoppedTask, ...]) -> bool:
    """Whether other tasks failed later: these only had to be replaced, and that is what does not work."""
    last = max(task.stopped_at for task in tasks)
    return any(task.stopped_at > last for task in case.current_stops if task not in tasks)


def out_of_memory(case: Case) -> Diagnosis | None:
    """The kernel killed a container at its memory limit, whatever its exit code, or the runtime says so itself."""
    killed = tuple(
        Failure(task.stopped_at, f"{task.reason}; {container.name}: {container.reason}", _source(task.stored), task)
        for task in case.stops
        for container in task.containers
        if explain_start_failure(container.reason) is RootCause.OUT_OF_MEMORY
    )
    lines = case.shown(Sign.NO_MEMORY)
    if not killed and not (lines and (case.crashes or case.stops)):
        return None
    fault = new_tasks_fail(case, killed) if killed else case.only_new_tasks(case.stops)
    fault = fault or (asks_for_less(case, "memory") and _all_of_this_revision(case, killed))
    items = (*quote_failures(killed), *quote_signs(lines))
    if fault and asks_for_less(case, "memory"):
        items = (*items, quote("DescribeTaskDefinition", "the new revision was given less memory"))
    corrupt = case.evidence.incident_type is IncidentType.DATA_CORRUPTION  # A restart would lose what tasks hold.
    leaks = not fault and not corrupt and _leaks(case)
    return Diagnosis(RootCause.OUT_OF_MEMORY, fault, Confidence.HIGH, items, traits=(Trait.LEAKING,) if leaks else ())


def _all_of_this_revision(case: Case, failures: tuple[Failure, ...]) -> bool:
    service = case.evidence.service
    tasks = [failure.task for failure in failures if failure.task is not None]
    return bool(tasks) and service is not None and all(t.task_definition == service.task_definition for t in tasks)


def _leaks(case: Case) -> bool:
    """Whether memory grew all the uptime of a killed task, while the load did not."""
    growth = case.work_growth
    if growth is not None and growth >= DRIVEN_RATIO:
        return False
    for task in case.stops:
        begin = task.started_at
        if begin is None or case.span(begin, task.stopped_at) < LEAK_UPTIME:
            continue
        if any(climbs(series, begin, task.stopped_at) for _, series in case.series(MEMORY)):
            return True
    return False


def crash(case: Case) -> Diagnosis | None:
    """Containers end with an error of their own, and nothing more specific shows."""
    lines = case.shown(Sign.CRASHED, Sign.WRONG_PLATFORM)
    if not case.crashes:
        return None
    tasks = tuple(dict.fromkeys(task for task, _ in case.crashes))
    codes = sorted({container.exit_code for _, container in case.crashes if container.exit_code is not None})
    items = (
        quote("DescribeTasks", f"{len(tasks)} tasks ended with exit code {', '.join(map(str, codes))}"),
        *quote_signs(lines),
    )
    if case.only_new_tasks(tasks):
        new = quote("DescribeServices", "only tasks of the new revision end; they began with its deployment")
        return Diagnosis(RootCause.BAD_DEPLOYMENT, True, Confidence.HIGH, (*items, new))
    sure = Confidence.HIGH if lines or any(code > 128 for code in codes) else Confidence.MEDIUM
    return Diagnosis(RootCause.APPLICATION_CRASH, False, sure, items)


def killed_from_outside(case: Case) -> Diagnosis | None:
    """SIGKILL with memory to spare: who sent it cannot be told."""
    killed = tuple(
        Failure(task.stopped_at, f"{task.reason}; {container.name} ended with 137", _source(task.stored), task)
        for task in case.stops
        for container in task.containers
        if container.exit_code == SIGKILL and task.stop_code == "EssentialContainerExited"
    )
    top = max((value for _, s in case.series(MEMORY) if (value := peak(s)) is not None), default=None)
    if not killed or top is None or top >= FULL_MEMORY:
        return None
    return Diagnosis(RootCause.UNKNOWN, False, Confidence.LOW, quote_failures(killed))


def forgotten(case: Case) -> Diagnosis | None:
    """Nothing shows now; but tasks ended within the last hours, as only stored events tell."""
    evidence = case.evidence
    tasks = tuple(
        task
        for task in evidence.stopped_tasks
        if task.stored and case.span(task.stopped_at, evidence.detected_at) <= FORGOTTEN
    )
    if not tasks or evidence.service is None:
        return None
    past = Case(replace(evidence, stopped_tasks=tasks, service=replace(evidence.service, events=()), logs=()))
    checks = (out_of_memory, machine_lost, stopped_by_hand, crash)
    found = next((found for check in checks if (found := check(past)) is not None), None)
    return found and replace(found, confidence=Confidence.LOW, new_revision_at_fault=False)


def memory_at_limit(case: Case) -> float | None:
    """The level of memory now, where it is at its limit."""
    level = max((v for _, s in case.series(MEMORY) if (v := latest(s)) is not None), default=None)
    return level if level is not None and level >= FULL_MEMORY else None


def _source(stored: bool) -> str:
    return "stored events" if stored else "DescribeTasks"


def changed_by_hand(case: Case) -> Diagnosis | None:
    """An audit trail in the logs says that somebody changed something, and nothing else explains the trouble."""
    lines = case.shown(Sign.CHANGED_BY_HAND)
    if not lines or case.onset_with_rollout:
        return None
    return Diagnosis(RootCause.HUMAN_ACTION, False, Confidence.MEDIUM, quote_signs(lines))
