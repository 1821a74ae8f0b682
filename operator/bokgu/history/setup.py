"""Makes the three tables of an environment. What is there already is checked and left as it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bokgu.api.history import HistoryError
from bokgu.api.observed import AwsError
from bokgu.aws.client import AwsClient
from bokgu.history.tables import INCIDENTS, TABLES, TYPE_INDEX, Place, ask, explain

TTL_ATTRIBUTE = "ttl"
WAIT, PAUSE = 300, 2.0
"""Seconds that a new table may take, and between two looks at it."""
NO_SUCH_OPERATION = "UnknownOperationException"
"""Code of what imitates DynamoDB without its backups."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class TableReport:
    """What was done to a table; nothing where it was as it should be."""

    table: str
    done: tuple[str, ...]


async def create_tables(aws: AwsClient, place: Place, tell: Tell, *, pause: float = PAUSE) -> list[TableReport]:
    """The three tables, on demand, with point-in-time recovery, and TTL on incidents. Raises HistoryError."""
    reports = []
    for name in TABLES:
        try:
            reports.append(await _create_table(aws, place, name, tell, pause=pause))
        except AwsError as error:
            raise explain(error, place) from error
    return reports


async def read_ttl(aws: AwsClient, place: Place) -> str | None:
    """By which attribute DynamoDB lets old incidents go; None where it keeps them for ever (DescribeTimeToLive).

    Raises HistoryError.
    """
    try:
        answer = await ask(aws, place, "DescribeTimeToLive", {"TableName": place.table(INCIDENTS)})
    except AwsError as error:
        raise explain(error, place) from error
    found = answer["TimeToLiveDescription"]
    attribute: str | None = found.get("AttributeName")
    return attribute if found.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"} else None


async def _create_table(aws: AwsClient, place: Place, name: str, tell: Tell, *, pause: float) -> TableReport:
    table, done = place.table(name), []
    found = await _describe(aws, place, table)
    if found is None:
        tell(f"{table}: creating")
        try:
            await ask(aws, place, "CreateTable", _definition(table, indexed=name == INCIDENTS))
        except AwsError as error:
            if error.code != "ResourceInUseException":  # Somebody else was faster, or the first answer was lost.
                raise
        done.append("created")
    await _await_active(aws, place, table, tell, pause=pause)
    if done_ := await _protect(aws, place, table, pause=pause):
        done.append(done_)
    if name == INCIDENTS and (done_ := await _expire(aws, place, table)):
        done.append(done_)
    return TableReport(table, tuple(done))


async def _describe(aws: AwsClient, place: Place, table: str) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = (await ask(aws, place, "DescribeTable", {"TableName": table}))["Table"]
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    return answer


async def _await_active(aws: AwsClient, place: Place, table: str, tell: Tell, *, pause: float) -> None:
    """Wait until table and index can be used, and check that they are what the history needs."""
    told = False
    for _ in range(max(1, round(WAIT / pause))):
        found = await _describe(aws, place, table)
        if found is not None and _is_active(found):
            _check(found, table, indexed=table == place.table(INCIDENTS))
            return
        if not told:
            tell(f"{table}: waiting until it is active")
            told = True
        await asyncio.sleep(pause)
    raise HistoryError("NotActive", f"table {table} is not active after {WAIT} s: repeat the command later")


def _is_active(found: dict[str, Any]) -> bool:
    indexes = found.get("GlobalSecondaryIndexes", ())
    return found["TableStatus"] == "ACTIVE" and all(i.get("IndexStatus", "ACTIVE") == "ACTIVE" for i in indexes)


def _check(found: dict[str, Any], table: str, *, indexed: bool) -> None:
    if _keys(found) != {"id": "HASH"}:
        raise HistoryError("WrongTable", f"table {table} has another key than `id`: use another prefix")
    indexes = {i["IndexName"]: _keys(i) for i in found.get("GlobalSecondaryIndexes", ())}
    if indexed and indexes.get(TYPE_INDEX) != {"type": "HASH", "timestamp": "RANGE"}:
        wanted = f"index {TYPE_INDEX} with hash `type` and range `timestamp`"
        raise HistoryError("WrongTable", f"table {table} has no {wanted}: add it, or use another prefix")


def _keys(described: dict[str, Any]) -> dict[str, str]:
    return {key["AttributeName"]: key["KeyType"] for key in described["KeySchema"]}


async def _protect(aws: AwsClient, place: Place, table: str, *, pause: float) -> str | None:
    """Turn point-in-time recovery on. It can be had only a moment after the table."""
    for attempt in range(30):
        try:
            answer = await ask(aws, place, "DescribeContinuousBackups", {"TableName": table})
            backups = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription") or {}
            if backups.get("PointInTimeRecoveryStatus") == "ENABLED":
                return None
            wanted = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
            await ask(aws, place, "UpdateContinuousBackups", {"TableName": table, **wanted})
        except AwsError as error:
            if error.code == NO_SUCH_OPERATION:
                return "point-in-time recovery is not offered here"
            if error.code != "ContinuousBackupsUnavailableException" or attempt == 29:
                raise
            await asyncio.sleep(pause)
        else:
            return "point-in-time recovery turned on"
    return None


async def _expire(aws: AwsClient, place: Place, table: str) -> str | None:
    """Turn TTL on, unless it is: DynamoDB refuses a second change within an hour (API_UpdateTimeToLive)."""
    answer = await ask(aws, place, "DescribeTimeToLive", {"TableName": table})
    found = answer["TimeToLiveDescription"]
    status, attribute = found.get("TimeToLiveStatus", "DISABLED"), found.get("AttributeName")
    if status in {"ENABLED", "ENABLING"}:
        if attribute != TTL_ATTRIBUTE:
            raise HistoryError("WrongTable", f"TTL of table {table} is on `{attribute}`, not on `{TTL_ATTRIBUTE}`")
        return None
    if status == "DISABLING":
        raise HistoryError("NotActive", f"TTL of table {table} is being turned off: repeat the command in an hour")
    wanted = {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": TTL_ATTRIBUTE}}
    await ask(aws, place, "UpdateTimeToLive", {"TableName": table, **wanted})
    return "TTL turned on"


def _definition(table: str, *, indexed: bool) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    if indexed:
        keys = {"type": "HASH", "timestamp": "RANGE"}
        definition["AttributeDefinitions"] += [{"AttributeName": name, "AttributeType": "S"} for name in keys]
        definition["GlobalSecondaryIndexes"] = [
            {
                "IndexName": TYPE_INDEX,
                "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
                "Projection": {"ProjectionType": "ALL"},
            }
        ]
    return definition
