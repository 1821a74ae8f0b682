"""What passes ask of the history, and the pass over an incident that is over: it is recorded, then it goes.

The Incident is its own outbox. Its condition `Recorded` becomes True after the history has stored it, in one status
write, and nothing is deleted before; a history that does not answer is asked again, for ever, later each time.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta

import structlog

from bokgu.api.history import HistoryError, IncidentRecord, Question
from bokgu.api.incident import EvidenceItem, Incident, SimilarIncidents
from bokgu.api.meta import set_condition
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import RootCause
from bokgu.core.history import build_record, find_similar
from bokgu.core.lifecycle import RECORDED, is_over
from bokgu.core.retention import (
    STORED,
    STORED_OPEN,
    find_keeper,
    goes_at,
    is_closed_by_deletion,
    is_recorded,
    plans_over,
)
from bokgu.core.track_record import TrackRecord, track_records
from bokgu.kube.client import Raw
from bokgu.metrics import INCIDENTS_RECORDED, INCIDENTS_RETIRED
from bokgu.reconcile.context import Context

DEFAULT_ENVIRONMENT = "production"
"""Environment of an incident whose ProtectedService is gone: the default of that one's field."""

PATIENCE = 5.0
"""Seconds that a classification waits for the history."""

log = structlog.get_logger()


async def retire(context: Context, raw: Raw, incident: Incident) -> timedelta | None:
    """Take an incident that is over further: store its history, later delete it. When to come again, if ever.

    Raises HistoryError, KubeError.
    """
    plans = _plans_of(context, incident)
    if not plans_over(plans):
        return None  # The end of a plan brings the next pass.
    if not is_recorded(incident):
        await _record(context, raw, incident, plans, STORED)
        return timedelta()
    due = goes_at(incident, raw["metadata"], plans, context.settings.retention)
    if due is None:
        return None
    wait = due - context.clock()
    if wait > timedelta():
        return wait
    await context.kube.delete(Incident.plural, raw)
    INCIDENTS_RETIRED.labels(incident.spec.type).inc()
    log.info("retired", namespace=incident.metadata.namespace, name=incident.metadata.name, uid=incident.metadata.uid)
    return None


async def record_open(context: Context, raw: Raw, incident: Incident) -> bool:
    """Store an incident that will be closed by its deletion, once. Whether that was written down, so that the pass is
    over; a history that does not answer does not hold it up. Raises KubeError."""
    plans = _plans_of(context, incident)
    if not is_closed_by_deletion(incident) or not plans_over(plans):
        return False
    try:
        await _record(context, raw, incident, plans, STORED_OPEN)
    except HistoryError as error:
        log.warning("not recorded", incident=incident.metadata.name, error=str(error))
        return context.objects.get(incident.key) is not raw  # What keeps it was written down.
    return True


async def fetch_similar(
    context: Context, incident: Incident, root_cause: RootCause, evidence: Iterable[EvidenceItem]
) -> SimilarIncidents:
    """Past incidents like this one."""
    return find_similar(incident, root_cause, evidence, await fetch_past(context, incident))


async def fetch_past(context: Context, incident: Incident) -> tuple[IncidentRecord, ...]:
    """Records of incidents that may be like this one: those of the history, and those still in the cluster.

    Trouble does not wait for the past: where the history does not answer in time, the cluster's own must do.
    """
    namespace, name = incident.metadata.namespace, incident.spec.service_ref.name
    question = Question(namespace, _environment(context, incident), name, incident.spec.type)
    stored: tuple[IncidentRecord, ...] = ()
    try:
        stored = await asyncio.wait_for(context.history.find(question), PATIENCE)
    except (HistoryError, TimeoutError) as error:
        log.warning("history is not available", namespace=namespace, incident=incident.metadata.name, error=repr(error))
    records = {record.id: record for record in stored}
    for raw in context.objects.all(Incident.plural):
        metadata = raw["metadata"]
        complete = metadata["uid"] in records and records[metadata["uid"]].signature
        if metadata["namespace"] != namespace or complete:
            continue
        for other in context.readable(Incident, [raw]):
            if is_over(other):
                plans, environment = _plans_of(context, other), _environment(context, other)
                records[other.metadata.uid] = build_record(other, plans, environment)
    return tuple(record for id_, record in records.items() if id_ != incident.metadata.uid)


async def fetch_track_records(context: Context, incident: Incident, root_cause: RootCause) -> Mapping[str, TrackRecord]:
    """How often each runbook has helped against that cause on the incident's service, by name of the runbook; those
    that were never tried are missing."""
    found = track_records(await fetch_past(context, incident))
    service = incident.spec.service_ref.name
    return {runbook: r for (runbook, cause, name), r in found.items() if (cause, name) == (root_cause, service)}


async def _record(context: Context, raw: Raw, incident: Incident, plans: list[RecoveryPlan], reason: str) -> None:
    """Store the history, then say so; what keeps it from being stored is said too, once. Raises HistoryError."""
    try:
        await context.history.store(build_record(incident, plans, _environment(context, incident)))
    except HistoryError as error:
        await _say(context, raw, incident, stored=False, reason=error.reason, message=error.message)
        raise
    message = find_keeper(incident, raw["metadata"]) or ""
    await _say(context, raw, incident, stored=True, reason=reason, message=message)
    INCIDENTS_RECORDED.labels(incident.spec.type).inc()


async def _say(context: Context, raw: Raw, incident: Incident, *, stored: bool, reason: str, message: str) -> None:
    conditions = set_condition(
        incident.status.conditions,
        RECORDED,
        stored,
        reason,
        message,
        now=context.clock(),
        generation=incident.metadata.generation,
    )
    await context.write_status(Incident, raw, incident.status.model_copy(update={"conditions": conditions}))


def _plans_of(context: Context, incident: Incident) -> list[RecoveryPlan]:
    """The incident's plans that are there; one that was replaced under its name is not it."""
    found = []
    for entry in incident.status.plans:
        raw = context.objects.get((RecoveryPlan.plural, incident.metadata.namespace, entry.name))
        if raw is not None and raw["metadata"]["uid"] == entry.uid:
            found += context.readable(RecoveryPlan, [raw])
    return found


def _environment(context: Context, incident: Incident) -> str:
    raw = context.objects.get((ProtectedService.plural, incident.metadata.namespace, incident.spec.service_ref.name))
    found = context.readable(ProtectedService, [raw] if raw else ())
    return found[0].spec.environment if found else DEFAULT_ENVIRONMENT
