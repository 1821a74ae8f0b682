"""AWS CloudTrail: who did what, as LookupEvents tells it from the journal of calls."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

from .accounts import Accounts, Caller
from .aws_protocol import Json
from .clock import Clock
from .errors import AwsError
from .journal import Call, Journal
from .pages import read_token, write_token

DELIVERY_SECONDS = 300.0
"""CloudTrail user guide: events are delivered "within an average of about 5 minutes of an API call"."""
PAGE_SIZE = 50
_READ_PREFIXES = ("Describe", "List", "Get", "Lookup", "Filter")
_DATA_OPERATIONS = frozenset(
    {
        "ChangeMessageVisibility",
        "DeleteMessage",
        "DeleteMessageBatch",
        "FilterLogEvents",
        "GetMetricData",
        "GetMetricStatistics",
        "Publish",
        "PutEvents",
        "PutLogEvents",
        "PutMetricData",
        "ReceiveMessage",
        "SendMessage",
        "SendMessageBatch",
    }
)
"""Calls that are no management events, which alone LookupEvents returns."""
_UNRECORDED_SERVICES = frozenset({"dynamodb", "unknown"})
_RESOURCES = {
    "cluster": "AWS::ECS::Cluster",
    "service": "AWS::ECS::Service",
    "taskDefinition": "AWS::ECS::TaskDefinition",
    "task": "AWS::ECS::Task",
    "serviceDeploymentArn": "AWS::ECS::ServiceDeployment",
    "RoleArn": "AWS::IAM::Role",
}
_EVENT_SOURCES = {
    "application-autoscaling": "autoscaling.amazonaws.com",
    "cloudwatch": "monitoring.amazonaws.com",
    "elbv2": "elasticloadbalancing.amazonaws.com",
}


class CloudTrail:
    """The trail of every account and region. Thread-safe, as the journal is.

    Each method answers one operation for a caller in a region: parameters in, members of the answer out, AwsError else.
    """

    def __init__(self, journal: Journal, accounts: Accounts, clock: Clock) -> None:
        self._journal = journal
        self._accounts = accounts
        self._clock = clock
        self.operations: dict[str, Callable[[Json, Caller, str], Json]] = {"LookupEvents": self.lookup_events}

    def lookup_events(self, request: Json, caller: Caller, region: str) -> Json:
        """LookupEvents, newest first: management events of the caller's account, by one attribute and time."""
        attributes = request.get("LookupAttributes", [])
        if len(attributes) > 1:
            raise AwsError("InvalidLookupAttributesException", "You can only use one lookup attribute.")
        size = request.get("MaxResults", PAGE_SIZE)
        if not 1 <= size <= PAGE_SIZE:
            raise AwsError("InvalidMaxResultsException", f"MaxResults must be between 1 and {PAGE_SIZE}.")
        newest = self._clock.now() - self._clock.wall(DELIVERY_SECONDS)
        start, end = request.get("StartTime", 0.0), request.get("EndTime", newest)
        if start > end:
            raise AwsError("InvalidTimeRangeException", "The start time must not be after the end time.")
        # The token is the last event given out, so that pages stay right when newer events come.
        before = read_token(request.get("NextToken"), "InvalidNextTokenException") or math.inf
        found: list[tuple[int, Json]] = []
        for call in reversed(self._journal.find(account=caller.account, region=region)):
            in_time = start <= call.time <= min(end, newest) and call.sequence < before
            if in_time and is_management_event(call):
                event = self._shape(call)
                if all(_has(event, wanted["AttributeKey"], wanted["AttributeValue"]) for wanted in attributes):
                    found.append((call.sequence, event))
            if len(found) > size:
                break
        more = {"NextToken": write_token(found[size - 1][0])} if len(found) > size else {}
        return {"Events": [event for _, event in found[:size]], **more}

    def _shape(self, call: Call) -> Json:
        who = self._accounts.identify(call.access_key_id)
        parameters = json.loads(call.parameters)
        happened_at = datetime.fromtimestamp(call.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        record = {
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "IAMUser" if who.role_session_name is None else "AssumedRole",
                "principalId": who.user_id,
                "arn": who.arn,
                "accountId": who.account,
                "accessKeyId": call.access_key_id,
            },
            "eventTime": happened_at,
            "eventSource": _find_source(call.service),
            "eventName": call.operation,
            "awsRegion": call.region,
            "requestParameters": parameters,
            "eventID": _event_id(call),
            "readOnly": _is_read(call.operation),
            "recipientAccountId": call.account,
        }
        if call.result not in ("OK", "NoAnswer"):
            record["errorCode"] = call.result
        event = {
            "EventId": _event_id(call),
            "EventName": call.operation,
            "ReadOnly": str(_is_read(call.operation)).lower(),
            "EventTime": call.time,
            "EventSource": _find_source(call.service),
            "Username": who.role_session_name or who.arn.rsplit("/", 1)[-1],
            "Resources": [
                {"ResourceType": kind, "ResourceName": parameters[member]}
                for member, kind in _RESOURCES.items()
                if isinstance(parameters.get(member), str)
            ],
            "CloudTrailEvent": json.dumps(record),
        }
        return event | ({} if call.access_key_id is None else {"AccessKeyId": call.access_key_id})


def is_management_event(call: Call) -> bool:
    """Whether CloudTrail keeps the call: no data event, and none that never reached AWS or was throttled."""
    reached = call.effect or call.result not in ("OK", "NoAnswer")
    throttled = "Throttl" in call.result
    kept = call.operation not in _DATA_OPERATIONS and call.service not in _UNRECORDED_SERVICES
    return kept and reached and not throttled


def _is_read(operation: str) -> bool:
    return operation.startswith(_READ_PREFIXES)


def _find_source(service: str) -> str:
    return _EVENT_SOURCES.get(service, f"{service}.amazonaws.com")


def _event_id(call: Call) -> str:
    return f"00000000-0000-4000-9000-{call.sequence:012d}"


def _has(event: Json, key: str, value: str) -> bool:
    if key in ("ResourceName", "ResourceType"):
        return any(resource[key] == value for resource in event["Resources"])
    return bool(event.get(key) == value)
