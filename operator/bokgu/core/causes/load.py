"""Tasks with more to do than they can: surges of traffic, CPU and memory at their limit."""

from datetime import timedelta
from statistics import median

from bokgu.api.fields import format_decimal
from bokgu.api.incident import EvidenceItem
from bokgu.api.vocabulary import Confidence, IncidentType, RootCause, Trait
from bokgu.core.case import CPU, MEMORY, Case
from bokgu.core.causes.ending import DRIVEN_RATIO, memory_at_limit
from bokgu.core.causes.fault import asks_for_less
from bokgu.core.causes.verdict import Diagnosis, quote, quote_failures, quote_move
from bokgu.core.trends import MIN_BASELINE, find_growth

SURGE_RATIO = 1.5
"""Traffic that grew by half is a surge; less is the usual swing of a day [experience, not a figure of AWS]."""

BUSY_CPU = 70.0
"""Percent of CPU from where on tasks are busy: the usual target of target tracking policies."""

SATURATED_CPU = 85.0
"""Percent of CPU from where on requests wait for it: the first threshold of the preset ecs-cpu."""

CORRUPTING = 90.0
"""Percent of CPU or memory from where on an application loses leases, evicts what it has not stored, and the like."""

TOGETHER = timedelta(minutes=10)
"""Moves within this time of each other can be cause and effect."""

NO_LIMIT = 110.0
"""Percent of CPU above which a task has more than it reserved: on EC2 there is no hard limit, and much is no lack."""


def traffic_surge(case: Case) -> Diagnosis | None:
    """More requests, busy tasks, and no new revision to blame."""
    growth = case.load_growth
    if growth is None or growth < SURGE_RATIO or case.onset_with_rollout:
        return None
    if case.evidence.incident_type is IncidentType.DATA_CORRUPTION:
        return None  # Traffic alone corrupts nothing.
    items = [quote("GetMetricData", f"requests grew to {format_decimal(growth)} of the level before")]
    cpu = case.top(CPU)
    if cpu is not None and cpu < BUSY_CPU:
        return None  # More traffic, idle tasks: something else fails the requests.
    if cpu is not None:
        items.append(quote("GetMetricData", f"CPU has reached {format_decimal(cpu)} %"))
    if memory_at_limit(case) and (cpu is None or cpu < BUSY_CPU):
        return None
    items.extend(quote_failures(case.health_failures))
    sure = Confidence.HIGH if cpu is not None else Confidence.MEDIUM
    return Diagnosis(RootCause.TRAFFIC_SURGE, False, sure, tuple(items), (Trait.LOAD_DRIVEN,))


def cpu_saturated(case: Case) -> Diagnosis | None:
    """CPU rose to its limit; one that was always high is no news."""
    level = case.level(CPU)
    if level is None or not SATURATED_CPU <= level <= NO_LIMIT:
        return None
    if not _explains_wrong_data(case, CPU):
        return None
    moves = [(m, move) for m, _ in case.series(CPU) if (move := case.move(m)) and move.since > move.before]
    items: list[EvidenceItem] = [quote_move(m, move) for m, move in moves]
    grown, work = _grown(case, CPU), case.work_growth
    if not items and grown is None:
        return None
    if grown is not None and not items:
        items.append(quote("GetMetricData", f"CPU grew to {format_decimal(grown)} of its level before"))
    driven = work is not None and work >= DRIVEN_RATIO
    less = asks_for_less(case, "cpu")
    fault: bool | None = not driven and bool(items) and (case.blames_revision or (less and case.rollout is not None))
    if driven and case.onset_with_rollout:  # The load and a new revision began together.
        if case.evidence.incident_type is not IncidentType.RESOURCE_EXHAUSTION:
            return None
        fault = None
    if less:
        items.append(quote("DescribeTaskDefinition", "the new revision was given less CPU"))
    if work is not None:
        items.append(quote("GetMetricData", f"the load is at {format_decimal(work)} of the level before"))
    items.extend(quote_failures(case.health_failures))
    traits = (Trait.LOAD_DRIVEN,) if driven and not case.onset_with_rollout else ()
    return Diagnosis(RootCause.CPU_SATURATION, fault, Confidence.HIGH, tuple(items), traits)


def memory_saturated(case: Case) -> Diagnosis | None:
    """Memory is at its limit, and nothing has been killed for it yet."""
    level = memory_at_limit(case)
    if level is None:
        return None
    items = [quote("GetMetricData", f"memory is at {format_decimal(level)} %")]
    work, grown = case.work_growth, _grown(case, MEMORY)
    if not _explains_wrong_data(case, MEMORY):
        return None
    if grown is None and not case.current_stops and not case.health_failures:
        return None  # A heap that is reserved at the start is always full.
    driven = work is not None and work >= DRIVEN_RATIO and grown is not None and not case.onset_with_rollout
    if work is not None:
        items.append(quote("GetMetricData", f"the load is at {format_decimal(work)} of the level before"))
    old_too = bool(case.current_stops) and not case.only_new_tasks(case.current_stops)
    less = asks_for_less(case, "memory")
    fault = not driven and not old_too and grown is not None and (case.blames_revision or less)
    items.extend(quote_failures(case.health_failures))
    traits = (Trait.LOAD_DRIVEN,) if driven else ()
    return Diagnosis(RootCause.MEMORY_SATURATION, fault, Confidence.HIGH, tuple(items), traits)


def _explains_wrong_data(case: Case, name: str) -> bool:
    """For wrong data: whether the saturation was on its way when the data went wrong, and is complete. Else it has
    nothing to do with it."""
    if case.evidence.incident_type is not IncidentType.DATA_CORRUPTION:
        return True
    onset, level = case.onset, case.level(name)
    if onset is None or level is None or level < CORRUPTING:
        return False
    for _, series in case.series(name):
        before = [value for at, value in series.points if case.span(onset, at) <= TOGETHER]
        if len(before) > MIN_BASELINE and before[-1] >= 1.1 * median(before[:MIN_BASELINE]):
            return True
    return False


def _grown(case: Case, name: str) -> float | None:
    """How the metric grew, where it grew enough to speak of."""
    growths = (find_growth(series, case.evidence.onset) for _, series in case.series(name))
    return max((growth for growth in growths if growth is not None and growth >= 1.2), default=None)
