"""Tasks that fail their health checks."""

from datetime import timedelta
from statistics import median

from bokgu.api.incident import EvidenceItem
from bokgu.api.vocabulary import Confidence, RootCause, Trait
from bokgu.core.case import Case
from bokgu.core.causes.fault import new_tasks_fail
from bokgu.core.causes.verdict import Diagnosis, quote, quote_failures, quote_signs
from bokgu.core.ecs_messages import CODES, HEALTH
from bokgu.core.log_signs import Sign

SLOW_MARGIN = timedelta(minutes=4)
"""Beyond the grace period, the longest time that health checks take to give a task up: unhealthy threshold x interval
of the default settings is 150 s for a container, 60 s for a load balancer (Elastic Load Balancing user guide)."""

MANY_ZONES = 2
"""Tasks of one zone that must have failed until it is the zone."""


def zone_impaired(case: Case) -> Diagnosis | None:
    """All tasks that fail are in one Availability Zone, while the service spans several."""
    tasks = [f.task for f in case.health_failures if f.task is not None]
    zones = {task.zone for task in tasks}
    spanned = {task.zone for task in case.evidence.stopped_tasks} | case.evidence.zones
    if (zone := _only_zone_that_moved(case)) is not None:
        item = quote("GetMetricData", f"only {zone} moved; the other zones are as before")
        items = (item, *quote_failures(case.health_failures))
        return Diagnosis(RootCause.NETWORK_FAILURE, False, Confidence.HIGH, items, (Trait.ZONAL,))
    if len(tasks) < MANY_ZONES or len(zones) != 1 or len(spanned) < 2 or "" in zones:
        return None
    if case.only_new_tasks(tuple(tasks)):
        return None  # A new revision fails wherever its tasks are.
    zone = tasks[0].zone
    item = quote("DescribeTasks", f"all {len(tasks)} tasks that failed health checks are in {zone}; others serve")
    return Diagnosis(
        RootCause.NETWORK_FAILURE,
        False,
        Confidence.MEDIUM,
        (item, *quote_failures(case.health_failures)),
        traits=(Trait.ZONAL,),
    )


def _only_zone_that_moved(case: Case) -> str | None:
    """The one zone whose symptoms moved, where they are measured by zone."""
    moved: dict[str, bool] = {}
    for metric, _ in case.symptoms:
        zone = dict(metric.dimensions).get("AvailabilityZone")
        if zone is not None:
            moved[zone] = moved.get(zone, False) or case.move(metric) is not None
    bad = [zone for zone, yes in moved.items() if yes]
    return bad[0] if len(bad) == 1 and len(moved) > 1 else None


def health_checks_fail(case: Case) -> Diagnosis | None:
    """Tasks run, and the load balancer or the container's own command finds them wanting."""
    failures = case.health_failures
    if not failures:
        return None
    fault = new_tasks_fail(case, failures)
    items = (*quote_failures(failures), *quote_signs(case.shown(Sign.LOADING)))
    slow = _starts_slowly(case, fault)
    if slow:
        items = (*items, slow)
    traits = (Trait.SLOW_START,) if slow else ()
    return Diagnosis(RootCause.HEALTH_CHECK_FAILURE, fault, Confidence.HIGH, items, traits)


def _starts_slowly(case: Case, new_revision_at_fault: bool) -> EvidenceItem | None:
    """How soon tasks are killed, where that is before they can be ready and the grace period is to blame.

    No answer of the application speaks against it. A period that somebody set, and that was enough until the new
    revision came, is not to blame.
    """
    service = case.evidence.service
    tasks = [t for t in case.current_stops if HEALTH.search(t.reason) and t.started_at is not None]
    if service is None or not tasks or (new_revision_at_fault and service.grace_seconds):
        return None
    answered = [code for f in case.health_failures if (code := CODES.search(f.text)) and code[1].startswith("4")]
    lives = [case.span(t.started_at, t.stopping_at or t.stopped_at) for t in tasks if t.started_at is not None]
    grace = timedelta(seconds=service.grace_seconds)
    if answered or max(lives) > grace + SLOW_MARGIN:
        return None
    seconds = median(life.total_seconds() for life in lives)
    return quote(
        "DescribeTasks",
        f"tasks are killed {seconds:.0f} s after their start, the grace period is {service.grace_seconds} s",
    )
