"""AWS CloudTrail: who called an API."""

from datetime import datetime

from pydantic_core import from_json

from bokgu.api.meta import Target
from bokgu.api.observed import ApiCall
from bokgu.aws.client import AwsClient


async def fetch_api_calls(
    aws: AwsClient, target: Target, operation: str, within: tuple[datetime, datetime]
) -> tuple[ApiCall, ...]:
    """The latest 50 calls of an operation that had no error, the latest first (LookupEvents).

    CloudTrail knows of a call after about five minutes. Raises AwsError.
    """
    request = {
        "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": operation}],
        "StartTime": within[0],
        "EndTime": within[1],
        "MaxResults": 50,
    }
    answer = await aws.read("cloudtrail", "LookupEvents", request, region=target.region, role_arn=target.role_arn)
    records = ((event, from_json(event["CloudTrailEvent"])) for event in answer.get("Events", ()))
    return tuple(
        ApiCall(
            at=event["EventTime"],
            user=event.get("Username", ""),
            operation=event["EventName"],
            arguments=record.get("requestParameters") or {},
        )
        for event, record in records
        if "errorCode" not in record
    )
