"""The three tables of the history in DynamoDB, and the calls to them."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from bokgu.api.fields import bounded
from bokgu.api.history import HistoryError
from bokgu.api.observed import AwsError
from bokgu.aws.client import AwsClient
from bokgu.history.items import Item

INCIDENTS, CLASSIFICATIONS, EXECUTIONS = "incidents", "incident-classifications", "recovery-executions"
TABLES = (INCIDENTS, CLASSIFICATIONS, EXECUTIONS)
TYPE_INDEX = "TypeIndex"
"""Index of `incidents`: hash `type`, range `timestamp`."""
BATCH = 100
"""Keys of one BatchGetItem call (API_BatchGetItem)."""
ATTEMPTS = 5
"""Calls for keys of a batch that DynamoDB left out."""

_REASONS = {
    "ResourceNotFoundException": "TableMissing",
    "ProvisionedThroughputExceededException": "Throttled",
    "ThrottlingException": "Throttled",
    "RequestLimitExceeded": "Throttled",
    "AccessDeniedException": "AccessDenied",
    "Unreachable": "Unreachable",
    "NoAnswer": "Unreachable",
    "InternalServerError": "Unreachable",
    "ServiceUnavailable": "Unreachable",
    "ValidationException": "Refused",
}


@dataclass(frozen=True)
class Place:
    """Which tables: prefix and environment name them, region and role say where they are."""

    prefix: str
    environment: str
    region: str
    role_arn: str | None = None

    def table(self, name: str) -> str:
        """Full name of one of `TABLES`."""
        return f"{self.prefix}-{self.environment}-{name}"


async def ask(aws: AwsClient, place: Place, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Make a call that may be made twice. Raises AwsError."""
    return await aws.read("dynamodb", operation, arguments, region=place.region, role_arn=place.role_arn)


async def put_item(aws: AwsClient, place: Place, name: str, item: Item, *, condition: str | None = None) -> bool:
    """Put an item, for one of the same id too; False where that one does not fulfil the condition. Raises AwsError."""
    arguments: dict[str, Any] = {"TableName": place.table(name), "Item": item}
    if condition is not None:
        arguments["ConditionExpression"] = condition
    try:
        await ask(aws, place, "PutItem", arguments)
    except AwsError as error:
        if error.code == "ConditionalCheckFailedException":
            return False
        raise
    return True


async def query_type(
    aws: AwsClient, place: Place, type_: str, *, service: str | None = None, limit: int, pages: int = 1
) -> list[Item]:
    """Incidents of a type, the newest first; of one service only, if it is named. Each page looks at `limit` items.

    Raises AwsError.
    """
    arguments: dict[str, Any] = {
        "TableName": place.table(INCIDENTS),
        "IndexName": TYPE_INDEX,
        "KeyConditionExpression": "#type = :type",
        "ExpressionAttributeNames": {"#type": "type"},
        "ExpressionAttributeValues": {":type": {"S": type_}},
        "ScanIndexForward": False,
        "Limit": limit,
    }
    if service is not None:
        arguments["FilterExpression"] = "#service = :service"
        arguments["ExpressionAttributeNames"]["#service"] = "service"
        arguments["ExpressionAttributeValues"][":service"] = {"S": service}
    found: list[Item] = []
    for _ in range(pages):
        answer = await ask(aws, place, "Query", arguments)
        found += answer["Items"]
        if not (last := answer.get("LastEvaluatedKey")):
            break
        arguments["ExclusiveStartKey"] = last
    return found


async def get_items(aws: AwsClient, place: Place, name: str, ids: Sequence[str]) -> list[Item]:
    """The items of those ids that are there, in no order. Raises AwsError."""
    found: list[Item] = []
    table = place.table(name)
    for start in range(0, len(ids), BATCH):
        wanted: dict[str, Any] = {table: {"Keys": [{"id": {"S": id_}} for id_ in ids[start : start + BATCH]]}}
        for attempt in range(ATTEMPTS):
            answer = await ask(aws, place, "BatchGetItem", {"RequestItems": wanted})
            found += answer["Responses"].get(table, ())
            wanted = answer.get("UnprocessedKeys") or {}
            if not wanted:
                break
            await asyncio.sleep(0.1 * 2**attempt * random.uniform(0.5, 1.0))
        else:
            raise AwsError("BatchGetItem", "ThrottlingException", "keys are left unprocessed", sent=False)
    return found


async def scan(aws: AwsClient, place: Place, name: str) -> AsyncIterator[Item]:
    """All items of a table, page by page. Raises AwsError."""
    arguments: dict[str, Any] = {"TableName": place.table(name)}
    while True:
        answer = await ask(aws, place, "Scan", arguments)
        for item in answer["Items"]:
            yield item
        if not (last := answer.get("LastEvaluatedKey")):
            return
        arguments["ExclusiveStartKey"] = last


def explain(error: AwsError, place: Place) -> HistoryError:
    """The same in words of the history, with what to do."""
    reason = _REASONS.get(error.code, bounded(error.code, 63) or "Refused")
    message = str(error)
    if reason == "TableMissing":
        message = (
            f"there is no table {place.prefix}-{place.environment}-… in {place.region}: run"
            f" `bokgu history init --environment {place.environment}`"
        )
    return HistoryError(reason, message)
