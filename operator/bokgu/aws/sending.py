"""The writes: a stored request is sent once, as it is, and its answer is read."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bokgu.api.meta import Target
from bokgu.api.observed import EcsService
from bokgu.api.recovery_plan import AwsRequest
from bokgu.aws.client import AwsClient
from bokgu.aws.ecs import parse_service


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
    answer = await aws.write(
        request.service,
        request.operation,
        json.loads(request.arguments),
        region=target.region,
        role_arn=target.role_arn,
        session_name=session_name,
        deadline=deadline,
    )
    return _READERS[request.operation](answer, now)


_READERS: dict[str, Callable[[dict[str, Any], datetime], Accepted]] = {
    "UpdateService": lambda answer, now: Accepted(service=parse_service(answer["service"], now)),
    "StopServiceDeployment": lambda _, __: Accepted(),
    "RegisterScalableTarget": lambda _, __: Accepted(),
}
"""By operation. One that is missing here cannot be sent."""
