"""Application Auto Scaling: whether it owns the desired count of a service, and within what range."""

from bokgu.api.meta import Target
from bokgu.api.observed import ScalableTarget
from bokgu.aws.client import AwsClient

SERVICE = "application-autoscaling"

_SUSPENDED = {
    "DynamicScalingInSuspended": "DynamicScalingIn",
    "DynamicScalingOutSuspended": "DynamicScalingOut",
    "ScheduledScalingSuspended": "ScheduledScaling",
}
"""Members of API_SuspendedState."""


async def fetch_scalable_target(aws: AwsClient, target: Target) -> ScalableTarget | None:
    """The scalable target of the service (DescribeScalableTargets); None where there is none. Raises AwsError."""
    request = {
        "ServiceNamespace": "ecs",
        "ResourceIds": [target.scaling_resource],
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    answer = await aws.read(SERVICE, "DescribeScalableTargets", request, region=target.region, role_arn=target.role_arn)
    found = next(iter(answer["ScalableTargets"]), None)
    if found is None:
        return None
    state = found.get("SuspendedState", {})
    suspended = tuple(word for member, word in _SUSPENDED.items() if state.get(member))
    return ScalableTarget(found["MinCapacity"], found["MaxCapacity"], suspended)
