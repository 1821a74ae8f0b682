"""Who did by hand what an incident shows: the person to ask, before anything is reverted."""

from collections.abc import Iterable

from bokgu.api.fields import bounded, format_timestamp
from bokgu.api.meta import Target
from bokgu.api.observed import ApiCall, EcsService, StoppedTask
from bokgu.core.ecs_event import BY_HAND
from bokgu.core.event import short_name

MAX_CALLERS = 4
"""Calls that are told of."""
OURS = "bokgu-"
"""What the names of the operator's own sessions begin with."""


def choose_operation(service: EcsService, tasks: Iterable[StoppedTask]) -> str | None:
    """The API call that explains what is seen; None where nobody seems to have done anything."""
    if service.status != "ACTIVE":
        return "DeleteService"
    if any(task.stop_code == BY_HAND for task in tasks):
        return "StopTask"
    return "UpdateService" if service.desired_count == 0 else None


def name_callers(calls: Iterable[ApiCall], target: Target, tasks: Iterable[StoppedTask]) -> tuple[str, ...]:
    """Who called it about this service or these tasks, and when; the operator's own calls are left out."""
    stopped = {short_name(task.arn) for task in tasks if task.stop_code == BY_HAND}
    return tuple(
        bounded(f"{call.user} called {call.operation} at {format_timestamp(call.at)}")
        for call in calls
        if not call.user.startswith(OURS) and _is_about(call, target, stopped)
    )[:MAX_CALLERS]


def _is_about(call: ApiCall, target: Target, stopped: set[str]) -> bool:
    cluster, service, task = (
        short_name(str(call.arguments.get(name) or "default")) for name in ("cluster", "service", "task")
    )
    named = task in stopped if call.operation == "StopTask" else service == target.service
    return named and cluster == short_name(target.cluster)
