"""The writes: a stored request is sent once, as it is, and its answer is read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError, EcsService
from bokgu.api.recovery_plan import AwsRequest
from bokgu.aws.client import AwsClient
from bokgu.aws.ecs import fetch_task_definition, parse_service


@dataclass(frozen=True)
class Accepted:
    """What AWS answered: the service, where the operation answers with it, and the names of what the call made."""

    service: EcsService | None = None
    made: tuple[str, ...] = ()


async def send_request(
    aws: AwsClient, target: Target, request: AwsRequest, session_name: str, deadline: float
) -> Accepted:
    """Send a stored request. Raises AwsError.

    `deadline` is monotonic time: a call that cannot begin before it is not made (code TooLate).
    """
    now = datetime.now(UTC)
    arguments = json.loads(request.arguments)
    if request.operation == "RegisterTaskDefinition":
        arguments = await _copy_definition(aws, target, arguments)
    try:
        answer = await aws.write(
            request.service,
            request.operation,
            arguments,
            region=target.region,
            role_arn=target.role_arn,
            session_name=session_name,
            deadline=deadline,
        )
    except AwsError as error:
        if error.code in _DONE_BEFORE:
            raise AwsError(error.operation, error.code, error.message, sent=True) from error
        raise
    try:
        return _READERS[request.operation](answer, now)
    except (KeyError, TypeError) as error:  # Something else answered in AWS's place, such as a proxy.
        said = "the answer is none of AWS"
        raise AwsError(request.operation, "NoAnswer", said, sent=True) from error


_REGISTERED = (
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
    "trustedExecutionConfiguration",
)
"""Members of API_TaskDefinition that RegisterTaskDefinition takes under the same name; `tags` come beside them."""


async def _copy_definition(aws: AwsClient, target: Target, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of RegisterTaskDefinition that make a copy: what a task definition holds never changes, so that the
    stored request names it. Raises AwsError, `sent` False: nothing was registered."""
    try:
        original = await fetch_task_definition(aws, target, stored["copyOf"])
    except AwsError as error:
        code = "Unreachable" if error.sent else error.code
        raise AwsError(error.operation, code, error.message, sent=False) from error
    own = {tag["key"]: tag["value"] for tag in stored["tags"]}
    # Tags that begin with aws: are AWS's own ("Tag restrictions").
    tags = {name: value for name, value in original.tags.items() if not name.lower().startswith("aws:")} | own
    members = {name: original.settings[name] for name in _REGISTERED if original.settings.get(name)}
    return {**members, "tags": [{"key": name, "value": value} for name, value in tags.items()]}


_DONE_BEFORE = frozenset({"ConflictException", "DeploymentAlreadyCompletedException", "IdempotentParameterMismatch"})
"""Codes by which AWS says that such a call had its effect before, or may have: that is looked for (API_RunTask,
API_StartAutomationExecution, API_StopDeployment of CodeDeploy)."""


def _read_run(answer: dict[str, Any], _: datetime) -> Accepted:
    """The tasks that were started. Raises AwsError where none was: there are `failures` instead."""
    if not answer["tasks"]:
        reason = (answer.get("failures") or [{}])[0].get("reason", "no task was started")
        raise AwsError("RunTask", "NotStarted", reason, sent=False)
    return Accepted(made=tuple(task["taskArn"] for task in answer["tasks"]))


_READERS: dict[str, Callable[[dict[str, Any], datetime], Accepted]] = {
    "UpdateService": lambda answer, now: Accepted(service=parse_service(answer["service"], now)),
    "StopServiceDeployment": lambda _, __: Accepted(),
    "RegisterScalableTarget": lambda _, __: Accepted(),
    "StopDeployment": lambda _, __: Accepted(),
    "StopTask": lambda _, __: Accepted(),
    "RunTask": _read_run,
    "StartAutomationExecution": lambda answer, _: Accepted(made=(answer["AutomationExecutionId"],)),
    "StopAutomationExecution": lambda _, __: Accepted(),
    "RegisterTaskDefinition": lambda answer, _: Accepted(made=(answer["taskDefinition"]["taskDefinitionArn"],)),
}
"""By operation. One that is missing here cannot be sent."""
