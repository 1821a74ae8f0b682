"""AWS Systems Manager: executions of Automation documents."""

from typing import Any

from bokgu.api.meta import Target
from bokgu.api.observed import AutomationExecution
from bokgu.aws.client import AwsClient


async def find_executions(aws: AwsClient, target: Target, tag: str) -> tuple[AutomationExecution, ...]:
    """The executions that have a tag of that key, at most 50, the newest first (API_DescribeAutomationExecutions).

    Raises AwsError.
    """
    request = {"Filters": [{"Key": "TagKey", "Values": [tag]}], "MaxResults": 50}
    answer = await aws.read(
        "ssm", "DescribeAutomationExecutions", request, region=target.region, role_arn=target.role_arn
    )
    return tuple(_parse(raw) for raw in answer["AutomationExecutionMetadataList"])


async def fetch_execution(aws: AwsClient, target: Target, id_: str) -> AutomationExecution:
    """One execution (API_GetAutomationExecution). Raises AwsError."""
    request = {"AutomationExecutionId": id_}
    answer = await aws.read("ssm", "GetAutomationExecution", request, region=target.region, role_arn=target.role_arn)
    return _parse(answer["AutomationExecution"])


def _parse(raw: dict[str, Any]) -> AutomationExecution:
    return AutomationExecution(
        id=raw["AutomationExecutionId"],
        document=raw["DocumentName"],
        status=raw["AutomationExecutionStatus"],
        failure_message=raw.get("FailureMessage", ""),
    )
