"""Tasks that ended and were not meant to: kept from the events of their end, because ECS forgets them.

Stopped tasks can be described for about an hour (API_DescribeTasks). Events of one task come at least once and in any
order; each has a version ("Amazon ECS task state change events", Amazon ECS Developer Guide). What DescribeTasks says
is the truth at its time, so no event replaces it. What is kept is redacted: reasons quote commands and their arguments.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from bokgu.api.fields import Arn
from bokgu.api.observed import StoppedContainer, StoppedTask
from bokgu.api.protected_service import RecentStop
from bokgu.api.redaction import redact_quote
from bokgu.core.ecs_event import ended_abnormally
from bokgu.core.event import Event, Moment, WireModel, read_model

MAX_STOPS = 16
"""Stops that a status holds."""
KEPT = 24 * 60
"""Minutes for which they are evidence."""
AHEAD = 5
"""Minutes by which clocks may differ: a stop of a later time is not believed, and would push out all others."""


Integer = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Long = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""Numbers of the Amazon ECS API (API_Container, API_Task); a status holds no greater ones."""


class ContainerDetail(WireModel):
    """What of a container is read."""

    name: str = ""
    exit_code: Integer | None = None
    reason: str = ""


class StopDetail(WireModel):
    """What of a stopped task is read."""

    task_arn: Arn
    last_status: str
    version: Long = 0
    stopped_at: Moment | None = None
    started_at: Moment | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    containers: tuple[ContainerDetail, ...] = ()
    started_by: str = ""
    task_definition_arn: Arn | None = None
    availability_zone: str = ""


def read_stop(event: Event) -> RecentStop | None:
    """The stop that an "ECS Task State Change" tells of; None where the task was meant to end, or has not ended.

    Raises MalformedMessage.
    """
    detail = read_model(StopDetail, event.detail, f"not what {event.detail_type} has in its detail")
    if detail.last_status != "STOPPED" or not ended_abnormally(detail.stop_code, detail.stopped_reason):
        return None
    task = StoppedTask(
        arn=detail.task_arn,
        stopped_at=detail.stopped_at or event.time,
        stop_code=detail.stop_code,
        reason=detail.stopped_reason,
        containers=tuple(StoppedContainer(c.name, c.exit_code, c.reason) for c in detail.containers),
        task_definition=detail.task_definition_arn or "",
        started_by=detail.started_by,
        started_at=detail.started_at,
        zone=detail.availability_zone,
    )
    return build_stop(task, detail.version)


def build_stop(task: StoppedTask, version: int | None = None) -> RecentStop:
    """What is kept of a stopped task: of its containers the one that failed."""
    container = next(
        (c for c in task.containers if c.exit_code or c.reason),
        task.containers[0] if task.containers else StoppedContainer(""),
    )
    return RecentStop(
        task=task.arn,
        version=version,
        at=_whole(task.stopped_at),
        started_at=_whole(task.started_at) if task.started_at else None,
        stop_code=task.stop_code[:63] or None,
        reason=redact_quote(task.reason),
        container=container.name[:255],
        container_reason=redact_quote(container.reason),
        exit_code=container.exit_code,
        deployment_id=task.started_by[:63] or None,
        task_definition=task.task_definition or None,
        zone=task.zone[:63] or None,
    )


def _whole(moment: datetime) -> datetime:
    """At whole seconds, as a status holds it: what was read back must equal what was written."""
    return moment.replace(microsecond=0)


def keep_stops(
    known: tuple[RecentStop, ...], new: Iterable[RecentStop], now: datetime, minute: timedelta
) -> tuple[RecentStop, ...]:
    """The latest stops of a day, latest first, each task once; `known` itself where nothing is new."""
    by_task = {stop.task: stop for stop in known}
    for stop in new:
        old = by_task.get(stop.task)
        if old is None or _supersedes(stop, old):
            by_task[stop.task] = stop
    young = (stop for stop in by_task.values() if -AHEAD * minute <= now - stop.at < KEPT * minute)
    kept = tuple(sorted(young, key=lambda stop: (stop.at, stop.task), reverse=True))[:MAX_STOPS]
    return known if kept == known else kept


def _supersedes(stop: RecentStop, old: RecentStop) -> bool:
    """Whether it says something that the old one does not, and says it later."""
    if old.version is None or (stop.version is not None and stop.version <= old.version):
        return False
    return stop.model_copy(update={"version": old.version}) != old


def find_stops(tasks: Iterable[StoppedTask]) -> list[RecentStop]:
    """What is to be kept of tasks that ECS described."""
    return [build_stop(task) for task in tasks if ended_abnormally(task.stop_code, task.reason)]


def remember_tasks(described: Iterable[StoppedTask], stops: Iterable[RecentStop]) -> tuple[StoppedTask, ...]:
    """The tasks that ECS described and those that it has forgotten, latest first."""
    found = {task.arn: task for task in described}
    for stop in stops:
        found.setdefault(stop.task, _stored_task(stop))
    return tuple(sorted(found.values(), key=lambda task: task.stopped_at, reverse=True))


def _stored_task(stop: RecentStop) -> StoppedTask:
    containers = (StoppedContainer(stop.container, stop.exit_code, stop.container_reason),) if stop.container else ()
    return StoppedTask(
        arn=stop.task,
        stopped_at=stop.at,
        stop_code=stop.stop_code or "",
        reason=stop.reason,
        containers=containers,
        task_definition=stop.task_definition or "",
        started_by=stop.deployment_id or "",
        started_at=stop.started_at,
        zone=stop.zone or "",
        stored=True,
    )
