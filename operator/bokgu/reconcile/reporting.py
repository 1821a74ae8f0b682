"""Takes what alarms and alerts say into the incidents that it is about."""

import asyncio
from collections import OrderedDict
from enum import StrEnum
from weakref import WeakValueDictionary

from bokgu.api.incident import Incident, IncidentSource, Report
from bokgu.api.vocabulary import DetectionState
from bokgu.core.lifecycle import is_over
from bokgu.core.statement import (
    SECOND,
    Statement,
    build_report,
    find_last_word,
    is_news,
    place_report,
    speaks_in,
    still_lasts,
)
from bokgu.kube.client import KubeError
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.opening import open_incident

ATTEMPTS = 8
"""Conflicts with other writers of one status until the message goes back to where it came from."""
REMEMBERED = 10_000
"""Sources whose last word is remembered."""


class Result(StrEnum):
    """What came of a message, or of a part of it."""

    OPENED = "opened"
    UPDATED = "updated"
    CLEARED = "cleared"
    IGNORED = "ignored"


class Reporter:
    """Stores statements, those about one service one after the other.

    What a source said last stands in the incidents. This process also remembers it, to the microsecond and where there
    is no incident to write it to: a Clear that overtook its Firing. Losing that memory can open an incident that is
    over already, never hide one.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._last: OrderedDict[tuple[str, str, IncidentSource], Report] = OrderedDict()

    async def report(self, statement: Statement) -> Result:
        """Store what the statement says; it is stored when this returns. Raises KubeError."""
        finding = statement.finding
        key = ("protectedservices", finding.namespace, finding.service)
        async with self._locks.setdefault(key, asyncio.Lock()):
            incidents = self._context.find_related(Incident, finding.namespace, finding.service)
            last = self._last_word(statement, incidents)
            if not is_news(statement, last) and not still_lasts(statement, last, incidents):
                return Result.IGNORED
            store = self._fire if statement.firing else self._tell
            result = await store(statement, incidents)
            self._remember(statement)
            return result

    def _last_word(self, statement: Statement, incidents: list[Incident]) -> Report | None:
        finding = statement.finding
        stored = find_last_word(incidents, statement.source)
        known = self._last.get((finding.namespace, finding.service, statement.source))
        # Another process may have stored a later one; within a second ours is the exact one.
        return known if known and (stored is None or stored.at <= known.at + SECOND) else stored

    async def _fire(self, statement: Statement, incidents: list[Incident]) -> Result:
        known = {incident.metadata.uid for incident in incidents}
        for _ in range(ATTEMPTS):
            try:
                incident = await open_incident(self._context, statement.finding)
            except KubeError as error:
                if not error.conflict:
                    raise
                continue  # Somebody wrote to the incident first; the store knows by now.
            if is_over(incident):
                continue  # It ended while the store did not know it yet: the next name follows from it.
            if incident.metadata.uid not in known and incident.spec.source == statement.source:
                return Result.OPENED
            return Result.UPDATED if await self._record(incident.key, statement) else Result.IGNORED
        raise _too_often(statement)

    async def _tell(self, statement: Statement, incidents: list[Incident]) -> Result:
        """Tell the open incidents that have heard of the source that the trouble is gone, or that it knows no more."""
        open_ones = [i for i in incidents if speaks_in(i, statement.source) and not is_over(i)]
        recorded = [await self._record(incident.key, statement) for incident in open_ones]
        told = Result.CLEARED if statement.state is DetectionState.CLEAR else Result.UPDATED
        return told if any(recorded) else Result.IGNORED

    async def _record(self, key: Key, statement: Statement) -> bool:
        """Put the statement into the incident's status; False where there is nothing to write."""
        plural, namespace, name = key
        for _ in range(ATTEMPTS):
            raw = self._context.objects.get(key)
            if raw is None:
                return False  # A person removed it.
            incident = self._context.parse(Incident, raw)
            report = build_report(incident, statement)
            if report is None or is_over(incident):
                return False
            reports = place_report(incident.status.reports, report)
            status = incident.status.model_copy(update={"reports": reports})
            try:
                answer = await self._context.kube.replace_status(plural, raw, status.to_dict())
            except KubeError as error:
                if error.gone:
                    return False
                if not error.conflict:
                    raise
                await self._context.fetch(Incident, namespace, name)
                continue
            self._context.take_in(plural, answer)
            return True
        raise _too_often(statement)

    def _remember(self, statement: Statement) -> None:
        finding = statement.finding
        key = (finding.namespace, finding.service, statement.source)
        self._last[key] = Report(source=statement.source, state=statement.state, at=finding.at)
        self._last.move_to_end(key)
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)


def _too_often(statement: Statement) -> KubeError:
    source = statement.source
    return KubeError(409, "Conflict", f"{source.kind} {source.name}: others wrote to the incident all the time")
