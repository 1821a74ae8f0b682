"""What else is at work on an ECS service, for the guards: the deployment in flight, and the stack that owns it."""

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError, DescribedDeployment, EcsService
from bokgu.aws.client import AwsClient
from bokgu.aws.cloudformation import fetch_stack_status
from bokgu.aws.ecs import fetch_service_deployment
from bokgu.core.owners import find_stack


async def ask_stack(aws: AwsClient, target: Target, service: EcsService) -> str | AwsError | None:
    """StackStatus of the CloudFormation stack that owns the service, the error where it cannot be read; None where no
    stack owns it. One call (DescribeStacks)."""
    stack = find_stack(service)
    if stack is None:
        return None
    try:
        return await fetch_stack_status(aws, target, stack)
    except AwsError as error:
        return error


async def describe_deployment(aws: AwsClient, target: Target, service: EcsService) -> DescribedDeployment | None:
    """The service deployment in flight; None where there is none, or ECS does not know it yet. One call
    (DescribeServiceDeployments). Raises AwsError."""
    if not service.deploying or service.current_service_deployment is None:
        return None
    try:
        return await fetch_service_deployment(aws, target, service.current_service_deployment)
    except AwsError as error:
        if error.code == "MISSING":
            return None
        raise
