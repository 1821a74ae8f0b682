"""Events of Amazon ECS: a reason to look at a service, never the truth about it.

They come at least once, in any order, and not all changes have one, so all that is taken from them is which service to
look at. Shapes: task state change, service deployment state change and service action events of "Amazon ECS events"
(Amazon ECS Developer Guide).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bokgu.api.protected_service import ProtectedService
from bokgu.api.redaction import redact_quote
from bokgu.core.event import Event, MalformedMessage, WireModel, lives_in, read_model, short_name
from bokgu.core.service_state import failed_by_itself

TASK = "ECS Task State Change"
DEPLOYMENT = "ECS Deployment State Change"
ACTION = "ECS Service Action"
DETAIL_TYPES = frozenset({TASK, DEPLOYMENT, ACTION})

TAKEN_AWAY = frozenset({"SpotInterruption", "TerminationNotice", "InfrastructureHealth"})
"""Stop codes of tasks that AWS took away (API_Task of Amazon ECS)."""
BY_HAND = "UserInitiated"
"""Stop code of tasks that somebody stopped (API_StopTask)."""
WORTH_A_LOOK = frozenset({"WARN", "ERROR"})


class TaskDetail(WireModel):
    """What of a task is read. `group` is `service:NAME` for tasks of a service."""

    cluster_arn: str
    group: str = ""
    last_status: str
    stop_code: str = ""
    stopped_reason: str = ""


class ServiceDetail(WireModel):
    """What of a deployment or service action is read."""

    event_name: str
    event_type: str = "INFO"
    cluster_arn: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Reason:
    """Which service to look at, by the names of cluster and service, and why."""

    cluster: str
    service: str
    why: str


def find_reason(event: Event) -> Reason | None:
    """The service that the event gives reason to look at; None where it tells of nothing that may be trouble.

    Raises MalformedMessage.
    """
    problem = f"not what {event.detail_type} has in its detail"
    if event.detail_type == TASK:
        return _of_task(read_model(TaskDetail, event.detail, problem))
    detail = read_model(ServiceDetail, event.detail, problem)
    failed = detail.event_name == "SERVICE_DEPLOYMENT_FAILED"
    if not failed and (event.detail_type == DEPLOYMENT or detail.event_type not in WORTH_A_LOOK):
        return None
    arn = next((r for r in event.resources if ":service/" in r), None)
    if arn is None:
        raise MalformedMessage(f"{event.detail_type} without the ARN of a service in its resources")
    # Services of before the long ARN format have no cluster in theirs.
    *cluster, service = arn.partition(":service/")[2].split("/")
    name = cluster[0] if cluster else short_name(detail.cluster_arn)
    why = f"{detail.event_name}: {detail.reason}" if detail.reason else detail.event_name
    return Reason(name, service, redact_quote(why))


def _of_task(task: TaskDetail) -> Reason | None:
    """A task that was not meant to end."""
    kind, _, service = task.group.partition(":")
    if kind != "service" or not service or task.last_status != "STOPPED":
        return None
    if not ended_abnormally(task.stop_code, task.stopped_reason):
        return None
    return Reason(short_name(task.cluster_arn), service, redact_quote(f"{task.stop_code}: {task.stopped_reason}"))


def ended_abnormally(stop_code: str, reason: str) -> bool:
    """Whether a task was not meant to end: it failed by itself, was taken away, or somebody stopped it."""
    return stop_code in TAKEN_AWAY or stop_code == BY_HAND or failed_by_itself(stop_code, reason)


def find_services(event: Event, reason: Reason, services: Iterable[ProtectedService]) -> list[ProtectedService]:
    """The ProtectedServices that the event is about."""
    wanted = (reason.cluster, reason.service)
    return [
        s for s in services if (short_name(s.spec.ecs.cluster), s.spec.ecs.service) == wanted and lives_in(s, event)
    ]
