"""History in DynamoDB: three tables an environment, which other systems may read."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta

import structlog

from bokgu.api.fields import bounded
from bokgu.api.history import ClassificationRecord, IncidentRecord, PlanRecord, Question
from bokgu.api.observed import AwsError
from bokgu.aws.client import AwsClient
from bokgu.history.items import (
    Item,
    classification_item,
    execution_id,
    execution_items,
    incident_item,
    read_classification,
    read_execution,
    read_incident,
)
from bokgu.history.tables import (
    CLASSIFICATIONS,
    EXECUTIONS,
    INCIDENTS,
    TABLES,
    Place,
    explain,
    get_items,
    put_item,
    query_type,
)

NEWEST = 10
"""Incidents of the type that are looked at, whatever their service."""
OF_SERVICE, PAGE, PAGES = 25, 500, 4
"""Incidents of the service that are looked at; items that one call looks at for them, and calls."""
PLANS = 4
"""Plans of an incident that are looked for: 25 incidents times 4 are one BatchGetItem call."""
KEPT = 60.0
"""Seconds for which an answer is given again."""
NOT_OVER = {INCIDENTS: "attribute_not_exists(resolvedAt)", EXECUTIONS: "attribute_not_exists(endTime)"}
"""Condition under which an item is put: what is over is never replaced by a late write."""

log = structlog.get_logger()
_Asked = tuple[str, str, str]


class TableHistory:
    """Records in DynamoDB. `lifetime` is how long DynamoDB keeps an incident after it was over."""

    def __init__(
        self, aws: AwsClient, *, prefix: str, region: str, role_arn: str | None = None, lifetime: timedelta
    ) -> None:
        self._aws, self._prefix, self._region, self._role_arn = aws, prefix, region, role_arn
        self._lifetime = lifetime
        self._kept: dict[_Asked, tuple[float, tuple[IncidentRecord, ...]]] = {}
        self._asking: dict[_Asked, asyncio.Lock] = {}

    def place(self, environment: str) -> Place:
        """The tables of an environment."""
        return Place(self._prefix, environment, self._region, self._role_arn)

    async def store(self, record: IncidentRecord, *, keep: bool = False) -> None:
        """As `History.store`. The item of the incident comes last: where it is, all of it is."""
        place = self.place(record.environment)
        conditions = dict.fromkeys(TABLES, "attribute_not_exists(id)") if keep else NOT_OVER
        try:
            for item in execution_items(record):
                await put_item(self._aws, place, EXECUTIONS, item, condition=conditions[EXECUTIONS])
            if (classified := classification_item(record)) is not None:
                condition = conditions.get(CLASSIFICATIONS)
                await put_item(self._aws, place, CLASSIFICATIONS, classified, condition=condition)
            item = incident_item(record, self._lifetime)
            await put_item(self._aws, place, INCIDENTS, item, condition=conditions[INCIDENTS])
        except AwsError as error:
            raise explain(error, place) from error
        for asked in [a for a in self._kept if a[:2] == (record.environment, record.type)]:
            del self._kept[asked]

    async def find(self, question: Question) -> tuple[IncidentRecord, ...]:
        """As `History.find`: the newest of the type, and the newest of the type on the service, with their plans."""
        asked = (question.environment, str(question.type), question.service)
        async with self._asking.setdefault(asked, asyncio.Lock()):
            read_at, found = self._kept.get(asked, (-KEPT, ()))
            if time.monotonic() - read_at >= KEPT:
                begun = time.monotonic()
                found = await self._ask(question)
                self._forget(begun)
                self._kept[asked] = (begun, found)
        return found

    async def look_up(self, namespace: str, environment: str, name: str) -> IncidentRecord | None:
        """As `Archive.look_up`, by the id: the tables know neither namespaces nor names."""
        place = self.place(environment)
        try:
            incidents, classifications, executions = await asyncio.gather(
                get_items(self._aws, place, INCIDENTS, [name]),
                get_items(self._aws, place, CLASSIFICATIONS, [name]),
                get_items(self._aws, place, EXECUTIONS, [execution_id(name, n) for n in range(1, PLANS + 1)]),
            )
        except AwsError as error:
            raise explain(error, place) from error
        found = with_plans(_read_all(incidents), executions).get(name)
        return found and found.model_copy(update={"classification": _read_classification(classifications)})

    def _forget(self, now: float) -> None:
        for asked in [a for a, (read_at, _) in self._kept.items() if now - read_at >= KEPT]:
            del self._kept[asked]

    async def _ask(self, question: Question) -> tuple[IncidentRecord, ...]:
        place, type_ = self.place(question.environment), str(question.type)
        try:
            newest, mine = await asyncio.gather(
                query_type(self._aws, place, type_, limit=NEWEST),
                query_type(self._aws, place, type_, service=question.service, limit=PAGE, pages=PAGES),
            )
            records = _read_all((*newest, *mine[:OF_SERVICE]))
            wanted = [r.id for r in records.values() if r.service == question.service][:OF_SERVICE]
            ids = [execution_id(id_, number) for id_ in wanted for number in range(1, PLANS + 1)]
            executions = await get_items(self._aws, place, EXECUTIONS, ids)
        except AwsError as error:
            raise explain(error, place) from error
        return tuple(with_plans(records, executions).values())


def with_plans(records: Mapping[str, IncidentRecord], executions: Iterable[Item]) -> dict[str, IncidentRecord]:
    """The records with the plans that were carried out for them, in the order in which these began."""
    plans: dict[str, list[PlanRecord]] = {}
    for item in executions:
        try:
            incident, plan = read_execution(item)
        except (ValueError, OverflowError) as error:
            log.warning("unreadable item of history", table=EXECUTIONS, error=bounded(str(error)))
            continue
        plans.setdefault(incident, []).append(plan)
    return {
        id_: record.model_copy(
            update={"plans": tuple(sorted(plans.get(id_, ()), key=lambda p: (str(p.started_at), p.id)))}
        )
        for id_, record in records.items()
    }


def _read_all(items: Iterable[Item]) -> dict[str, IncidentRecord]:
    records: dict[str, IncidentRecord] = {}
    for item in items:
        try:
            record = read_incident(item)
        except (ValueError, OverflowError) as error:
            log.warning("unreadable item of history", table=INCIDENTS, error=bounded(str(error)))
        else:
            records[record.id] = record
    return records


def _read_classification(items: Iterable[Item]) -> ClassificationRecord | None:
    for item in items:
        try:
            return read_classification(item)[1]
        except (ValueError, OverflowError) as error:
            log.warning("unreadable item of history", table=CLASSIFICATIONS, error=bounded(str(error)))
    return None
