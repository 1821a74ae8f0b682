"""What passes ask of the history, and the pass over an incident that is over: it is recorded, then it goes.

The Incident is its own outbox. Its condition `Recorded` becomes True after the history has stored it, in one status
write, and nothing is deleted before; a history that does not answer is asked again, for ever, later each time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import structlog

from bokgu.api.history import HistoryError, IncidentRecord, Question
from bokgu.api.incident import EvidenceItem, Incident, SimilarIncidents
from bokgu.api.meta import find_condition, set_condition
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.unchecked import text_at
from bokgu.api.vocabulary import RootCause
from bokgu.core.history import build_record, find_similar, is_same_incident
from bokgu.core.lifecycle import RECORDED, is_over
from bokgu.core.retention import (
    STORED,
    STORED_OPEN,
    describe_open,
    find_keeper,
    goes_at,
    is_closed_by_deletion,
    is_recorded,
    plans_over,
)
from bokgu.core.track_record import MEMORY, TrackRecord, last_begun, track_records
from bokgu.kube.client import Raw
from bokgu.metrics.incidents import INCIDENTS_RECORDED, INCIDENTS_RETIRED
from bokgu.reconcile.context import Context, Key

PLURAL = "history"
"""What stands for a kind in the key of an incident whose history is due; no such objects exist. Its passes have a queue
and workers of their own: a slow history keeps nothing waiting but itself."""

DEFAULT_ENVIRONMENT = "production"
"""Environment of an incident that was never classified and whose ProtectedService is gone: the default of that one's
field."""

MAX_OTHERS = 200
"""Incidents of the cluster's own past that are looked at, the newest."""

LATE = 10
"""Minutes: what tells of trouble opens an incident sooner. What was created later than that may have been restored."""

log = structlog.get_logger()


def history_key(key: Key) -> Key:
    """The key of the history of an incident with that key."""
    return (PLURAL, key[1], key[2])


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Take the history of an incident one pass further. Raises HistoryError, KubeError."""
    raw = context.objects.get((Incident.plural, key[1], key[2]))
    if raw is None:
        return None
    incident = context.parse(Incident, raw)
    if is_over(incident):
        return await retire(context, raw, incident)
    await record_open(context, raw, incident)
    return None


async def retire(context: Context, raw: Raw, incident: Incident) -> timedelta | None:
    """Take an incident that is over further: store its history, later delete it. When to come again, if ever.

    Raises HistoryError, KubeError.
    """
    if not is_recorded(incident):
        plans = await _fetch_plans(context, incident)
        if not plans_over(plans):
            return None  # The end of a plan brings the next pass.
        await _record(context, raw, incident, plans, STORED)
        return timedelta()
    plans = _plans_of(context, incident)
    due = goes_at(incident, raw["metadata"], plans, context.settings.retention)
    if due is None:
        return None
    wait = due - context.clock()
    if wait > timedelta():
        return wait
    if not plans_over(await _fetch_plans(context, incident)):
        return None
    await context.delete(Incident.plural, raw)
    INCIDENTS_RETIRED.labels(incident.spec.type).inc()
    log.info("retired", namespace=incident.metadata.namespace, name=incident.metadata.name, uid=incident.metadata.uid)
    return None


async def record_open(context: Context, raw: Raw, incident: Incident) -> None:
    """Store an incident that will be closed by its deletion, as it stands. Raises HistoryError, KubeError."""
    if not is_closed_by_deletion(incident):
        return
    plans = await _fetch_plans(context, incident)
    if plans_over(plans):
        await _record(context, raw, incident, plans, STORED_OPEN)


async def fetch_similar(
    context: Context, incident: Incident, root_cause: RootCause, evidence: Iterable[EvidenceItem]
) -> SimilarIncidents:
    """Past incidents like this one; none where the past cannot be made out."""
    try:
        return find_similar(incident, root_cause, evidence, await fetch_past(context, incident))
    except Exception:  # The past is good to have; a defect in it must not stop the present.
        log.exception("the past cannot be made out", incident=incident.metadata.name)
        return SimilarIncidents(count=0)


@dataclass(frozen=True)
class Experience:
    """What the past says of runbooks on a service, by their names: how often each has helped against a cause, and when
    it last began. Those that were never tried are missing."""

    track_records: Mapping[str, TrackRecord]
    last_begun: Mapping[str, datetime]


async def fetch_experience(context: Context, incident: Incident, root_cause: RootCause) -> Experience:
    """The experience with runbooks on the incident's service; none where the past cannot be made out."""
    service = incident.spec.service_ref.name
    try:
        past = await fetch_past(context, incident)
        found, begun = track_records(past, context.clock() - MEMORY), last_begun(past, service)
    except Exception:  # As above.
        log.exception("the past cannot be made out", incident=incident.metadata.name)
        return Experience({}, {})
    mine = {runbook: r for (runbook, cause, name), r in found.items() if (cause, name) == (root_cause, service)}
    return Experience(mine, begun)


async def fetch_past(context: Context, incident: Incident) -> tuple[IncidentRecord, ...]:
    """Records of incidents that may be like this one: those of the history, and those still in the cluster.

    Where the history does not answer, the cluster's own must do.
    """
    namespace, name = incident.metadata.namespace, incident.spec.service_ref.name
    question = Question(namespace, _environment(context, incident), name, incident.spec.type)
    stored: tuple[IncidentRecord, ...] = ()
    try:
        stored = await context.history.find(question)
    except Exception as error:  # Whatever it is: trouble does not wait for the past.
        expected = isinstance(error, HistoryError)
        log.warning("no history", incident=incident.metadata.name, error=repr(error), exc_info=not expected)
    records = {record.id: record for record in stored}
    for raw in _others(context, incident):
        uid = raw["metadata"]["uid"]
        if uid in records and records[uid].signature:
            continue
        for other in context.readable(Incident, [raw]):
            records[uid] = _remembered(context, raw, other)
    return tuple(record for id_, record in records.items() if id_ != incident.metadata.uid)


def _others(context: Context, incident: Incident) -> list[Raw]:
    """Incidents of the namespace that are over and of the same service or type, the newest of them."""
    namespace, type_, service = incident.metadata.namespace, incident.spec.type, incident.spec.service_ref.name
    found = (
        raw
        for raw in context.objects.latest_ended(Incident.plural, namespace)
        if text_at(raw, "spec", "type") == type_ or text_at(raw, "spec", "serviceRef", "name") == service
    )
    return list(islice(found, MAX_OTHERS))


def _remembered(context: Context, raw: Raw, incident: Incident) -> IncidentRecord:
    """The record of an incident that is over; made once for each version of it and of its plans."""
    bodies, environment = _plan_bodies(context, incident), _environment(context, incident)
    metadatas = [body["metadata"] for body in (raw, *bodies)]
    versions = (environment, *(part for m in metadatas for part in (m["uid"], m["resourceVersion"])))
    known = context.records.get(incident.key)
    if known is None or known[0] != versions:
        known = (versions, build_record(incident, context.readable(RecoveryPlan, bodies), environment))
        context.records[incident.key] = known
    return known[1]


async def _record(context: Context, raw: Raw, incident: Incident, plans: list[RecoveryPlan], reason: str) -> None:
    """Store the history, then say so; what keeps it from being stored is said too, once. Raises HistoryError."""
    record = build_record(incident, plans, await _fetch_environment(context, incident))
    original = None
    try:
        original = await _find_original(context, incident, record)
        if original is None:
            await context.history.store(record)
    except HistoryError as error:
        told = find_condition(incident.status.conditions, RECORDED)
        if told is None or told.reason != error.reason:
            await _say(context, raw, incident, stored=False, reason=error.reason, message=error.message)
        raise
    message = describe_open(incident) if reason == STORED_OPEN else find_keeper(incident, raw["metadata"]) or ""
    if original is not None:
        message = f"it was restored from a backup, and stands in the history as {original.id}; {message}".rstrip("; ")
    await _say(context, raw, incident, stored=True, reason=reason, message=message)
    if original is None:
        INCIDENTS_RECORDED.labels(incident.spec.type).inc()


async def _find_original(context: Context, incident: Incident, record: IncidentRecord) -> IncidentRecord | None:
    """The record of the incident that this one is a copy of: it was seen in the same second and was over. Only who was
    created long after it was seen is looked for. Raises HistoryError."""
    created, seen = incident.metadata.creation_timestamp, incident.spec.detected_at
    if seen is None or created is None or created - seen < LATE * context.settings.minute:
        return None
    question = Question(record.namespace, record.environment, record.service, record.type)
    return next((one for one in await context.history.find(question) if is_same_incident(one, record)), None)


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
    """The incident's plans that the store has."""
    return context.readable(RecoveryPlan, _plan_bodies(context, incident))


def _plan_bodies(context: Context, incident: Incident) -> list[Raw]:
    """The incident's plans that the store has; one that was replaced under its name is not it."""
    found = []
    for entry in incident.status.plans:
        raw = context.objects.get((RecoveryPlan.plural, incident.metadata.namespace, entry.name))
        if raw is not None and raw["metadata"]["uid"] == entry.uid:
            found.append(raw)
    return found


async def _fetch_plans(context: Context, incident: Incident) -> list[RecoveryPlan]:
    """The incident's plans that are there: one that the store does not have is asked for. Raises KubeError."""
    namespace, found = incident.metadata.namespace, []
    for entry in incident.status.plans:
        raw = context.objects.get((RecoveryPlan.plural, namespace, entry.name))
        if raw is None or raw["metadata"]["uid"] != entry.uid:
            raw = await context.kube.get(RecoveryPlan.plural, namespace, entry.name)
        if raw is not None and raw["metadata"]["uid"] == entry.uid:
            found.append(raw)
    return context.readable(RecoveryPlan, found)


def _environment(context: Context, incident: Incident) -> str:
    """As it was when the incident was classified; else as the ProtectedService says."""
    classification = incident.status.classification
    if classification is not None and classification.environment is not None:
        return classification.environment
    raw = context.objects.get((ProtectedService.plural, incident.metadata.namespace, incident.spec.service_ref.name))
    found = context.readable(ProtectedService, [raw] if raw else ())
    return found[0].spec.environment if found else DEFAULT_ENVIRONMENT


async def _fetch_environment(context: Context, incident: Incident) -> str:
    """The same; a ProtectedService that the store does not have is asked for. Raises KubeError."""
    classification = incident.status.classification
    namespace, name = incident.metadata.namespace, incident.spec.service_ref.name
    known = classification is not None and classification.environment is not None
    if not known and context.objects.get((ProtectedService.plural, namespace, name)) is None:
        raw = await context.kube.get(ProtectedService.plural, namespace, name)
        found = context.readable(ProtectedService, [raw] if raw else ())
        return found[0].spec.environment if found else DEFAULT_ENVIRONMENT
    return _environment(context, incident)
