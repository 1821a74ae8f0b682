"""AWS CloudFormation: whether a stack is being updated."""

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError
from bokgu.aws.client import AwsClient

GONE = "DELETE_COMPLETE"
"""Status of a stack that is no more (API_Stack, StackStatus)."""


async def fetch_stack_status(aws: AwsClient, target: Target, stack: str) -> str:
    """StackStatus of a stack, by its id or name (DescribeStacks); DELETE_COMPLETE where there is none. Raises AwsError.

    A stack that does not exist is a ValidationError (API_DescribeStacks), as is all else that it cannot read in the
    request: only the words tell.
    """
    try:
        answer = await aws.read(
            "cloudformation",
            "DescribeStacks",
            {"StackName": stack},
            region=target.region,
            role_arn=target.role_arn,
        )
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in error.message:
            return GONE
        raise
    status: str = answer["Stacks"][0]["StackStatus"]
    return status
