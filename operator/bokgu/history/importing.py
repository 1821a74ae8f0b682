"""Imports the tables of another system: reads all of it, tells what cannot be read, stores the rest."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from bokgu.api.fields import bounded
from bokgu.api.history import ClassificationRecord, HistoryError, IncidentRecord, PlanRecord
from bokgu.api.observed import AwsError
from bokgu.aws.client import AwsClient
from bokgu.history.interface import History
from bokgu.history.items import Item, read_classification, read_execution, read_incident
from bokgu.history.tables import CLASSIFICATIONS, EXECUTIONS, INCIDENTS, Place, explain, scan

AT_ONCE = 8
"""Records that are stored at the same time."""
ATTEMPTS = 8
"""Times that a record is tried to be stored, with pauses that double from a quarter of a second on."""
TELL_EVERY = 500
PASSING = frozenset({"Throttled", "Unreachable", "Conflict"})
BAD = frozenset({"BadRecord", "Refused"})
"""Reasons of a record that others need not wait for."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class BadRecord:
    """An item that is left out, and why."""

    table: str
    id: str
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """Incidents that can be read and that were stored, plans with them, and what is left out."""

    readable: int
    plans: int
    bad: tuple[BadRecord, ...]
    stored: int = 0


async def read_tables(aws: AwsClient, place: Place, tell: Tell) -> tuple[list[IncidentRecord], ImportReport]:
    """All incidents with their classifications and plans, the oldest first. Raises HistoryError."""
    bad: list[BadRecord] = []
    incidents: dict[str, IncidentRecord] = {}
    classifications: dict[str, ClassificationRecord] = {}
    plans: dict[str, list[PlanRecord]] = {}
    async for item in _scan(aws, place, INCIDENTS, tell):
        try:
            record = read_incident(item)
        except (ValueError, OverflowError) as error:
            bad.append(_bad(place, INCIDENTS, item, error))
        else:
            incidents[record.id] = record
    async for item in _scan(aws, place, CLASSIFICATIONS, tell):
        try:
            id_, classification = read_classification(item)
            _demand(id_ in incidents, f"there is no incident {id_}")
        except (ValueError, OverflowError) as error:
            bad.append(_bad(place, CLASSIFICATIONS, item, error))
        else:
            classifications[id_] = classification
    async for item in _scan(aws, place, EXECUTIONS, tell):
        try:
            id_, plan = read_execution(item)
            _demand(id_ in incidents, f"there is no incident {id_}")
        except (ValueError, OverflowError) as error:
            bad.append(_bad(place, EXECUTIONS, item, error))
        else:
            plans.setdefault(id_, []).append(plan)
    records = [
        record.model_copy(
            update={
                "classification": classifications.get(id_),
                "plans": tuple(sorted(plans.get(id_, ()), key=lambda plan: (str(plan.started_at), plan.id))),
            }
        )
        for id_, record in incidents.items()
    ]
    records.sort(key=lambda record: (record.detected_at, record.id))
    return records, ImportReport(len(records), sum(len(record.plans) for record in records), tuple(bad))


async def import_tables(
    history: History, records: Sequence[IncidentRecord], report: ImportReport, tell: Tell, *, at_once: int = AT_ONCE
) -> ImportReport:
    """Store the records; one that is there already stays as it is. Raises HistoryError where that cannot be done."""
    slots, stored, bad = asyncio.Semaphore(max(1, at_once)), 0, list(report.bad)

    async def store(record: IncidentRecord) -> None:
        nonlocal stored
        async with slots:
            try:
                await _store(history, record)
            except HistoryError as error:
                if error.reason not in BAD:
                    raise
                bad.append(BadRecord(INCIDENTS, bounded(record.id, 100), bounded(error.message)))
                return
        stored += 1
        if stored % TELL_EVERY == 0:
            tell(f"{stored} of {len(records)} incidents stored")

    tasks = [asyncio.create_task(store(record)) for record in records]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return replace(report, stored=stored, bad=tuple(bad))


async def _store(history: History, record: IncidentRecord) -> None:
    for attempt in range(ATTEMPTS):
        try:
            await history.store(record, keep=True)
        except HistoryError as error:
            if error.reason not in PASSING or attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.25 * 2**attempt * random.uniform(0.5, 1.0))
        else:
            return


async def _scan(aws: AwsClient, place: Place, name: str, tell: Tell) -> AsyncIterator[Item]:
    """All items of a table. Incidents must be there; without one of its sisters there is less to import."""
    count = 0
    try:
        async for item in scan(aws, place, name):
            count += 1
            yield item
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise explain(error, place) from error
        if name == INCIDENTS:
            raise HistoryError("TableMissing", f"there is no table {place.table(name)} in {place.region}") from error
        tell(f"{place.table(name)}: not there")
        return
    tell(f"{place.table(name)}: {count} items")


def _demand(fulfilled: bool, otherwise: str) -> None:
    if not fulfilled:
        raise ValueError(otherwise)


def _bad(place: Place, name: str, item: Item, error: Exception) -> BadRecord:
    id_ = str((item.get("id") or {}).get("S", "without id"))
    return BadRecord(place.table(name), bounded(id_, 100), bounded(" ".join(str(error).split())))
