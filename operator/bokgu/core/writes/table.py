"""Which write a stored request is, and what is said of an operation with it."""

from bokgu.api.recovery_plan import AwsRequest, OperationStatus
from bokgu.core.live_state import LiveState
from bokgu.core.writes.automation import StartAutomation, StopAutomation
from bokgu.core.writes.desired_count import DesiredCount
from bokgu.core.writes.new_deployment import NewDeployment
from bokgu.core.writes.register_task_definition import RegisterTaskDefinition
from bokgu.core.writes.run_task import RunTask
from bokgu.core.writes.scalable_target import RegisteredRange
from bokgu.core.writes.stop_code_deployment import StopCodeDeployment
from bokgu.core.writes.stop_deployment import StopDeployment
from bokgu.core.writes.stop_task import StopTask
from bokgu.core.writes.write import Change, Write, request_arguments

_WRITES: dict[str, Write] = {
    "StopServiceDeployment": StopDeployment(),
    "StopDeployment": StopCodeDeployment(),
    "StopTask": StopTask(),
    "RegisterTaskDefinition": RegisterTaskDefinition(),
    "RunTask": RunTask(),
    "StartAutomationExecution": StartAutomation(),
    "StopAutomationExecution": StopAutomation(),
    "RegisterScalableTarget": RegisteredRange(),
}

_COUNT = DesiredCount()
_RESTART = NewDeployment(repeatable=False)
_REVISION = NewDeployment(repeatable=True)


def write_of(request: AwsRequest) -> Write:
    """The write that the request is. Raises KeyError for an operation that is none of ours."""
    if request.operation != "UpdateService":
        return _WRITES[request.operation]
    arguments = request_arguments(request)
    if arguments.get("forceNewDeployment"):
        return _RESTART
    return _REVISION if "taskDefinition" in arguments else _COUNT


def find_change(operation: OperationStatus, live: LiveState, ours: frozenset[str] = frozenset()) -> Change | None:
    """What has become different since the operation, or None while the service holds what it set.

    `ours` are deployments that the same plan made later: they are nobody else's change.
    """
    if operation.intent is None or operation.answer is None:
        return Change("nothing was set")
    if live.service.status != "ACTIVE":
        return Change(f"the service is {live.service.status}")
    return write_of(operation.intent.request).find_change(operation, live, ours)


def complete(operation: OperationStatus, live: LiveState) -> bool:
    """Whether AWS has done all that was intended, and holds it."""
    if operation.intent is None or find_change(operation, live) is not None:
        return False
    return write_of(operation.intent.request).complete(operation, live)
