"""What the owner of an ECS service is doing to it."""

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError, EcsService
from bokgu.aws.client import AwsClient
from bokgu.aws.cloudformation import fetch_stack_status
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
