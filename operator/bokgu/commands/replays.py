"""Incidents of the past, and what today's rules make of them: read without a write."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from bokgu.api.fields import format_timestamp
from bokgu.api.history import HistoryError, IncidentRecord, PlanRecord, Question
from bokgu.api.incident import Incident
from bokgu.api.meta import Resource
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import IncidentPhase, IncidentType
from bokgu.config import Settings
from bokgu.core.hindsight import Verdict
from bokgu.core.history import build_record
from bokgu.core.replay import Past, Replay, Rules, replay_all, worst_first
from bokgu.core.runbooks import merge_runbooks
from bokgu.history.interface import History
from bokgu.kube.client import KubeClient, KubeError
from bokgu.runbooks import load_builtin_runbooks

R = TypeVar("R", bound=Resource)

FORBIDDEN = 403
CLUSTER, HISTORY = "cluster", "history"
"""Where an incident was read: as an object that is still there, or as a record."""


@dataclass(frozen=True)
class Replays:
    """What came of each, the worst first and of equals the newest; `notes` say what could not be read."""

    replays: tuple[Replay, ...]
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many of each verdict."""
        found = Counter(one.verdict for one in self.replays)
        return {verdict: found[verdict] for verdict in Verdict}


async def replay_cases(
    cases: Iterable[Past], namespace: str | None, *, service: str | None, since: datetime | None
) -> Replays:
    """Cases under the built-in runbooks, and under the rules of a namespace where one is given. Raises KubeError."""
    if namespace is None:
        return build_replays(cases, Rules(load_builtin_runbooks()), (), service=service, since=since)
    notes: list[str] = []
    kube = await KubeClient.connect()
    try:
        rules = await _read_rules(kube, namespace, notes)
    finally:
        await kube.close()
    return build_replays(cases, rules, notes, service=service, since=since)


async def fetch_replays(settings: Settings, namespace: str, *, service: str | None, since: datetime | None) -> Replays:
    """The incidents of a namespace that are over or wait for a person, from the cluster and the history. What may not
    be read is a note, for the incidents themselves KubeError."""
    kube = await KubeClient.connect()
    try:
        async with _open_history(settings, kube) as history:
            return await collect_replays(kube, history, namespace, service=service, since=since)
    finally:
        await kube.close()


async def collect_replays(
    kube: KubeClient, history: History, namespace: str, *, service: str | None, since: datetime | None
) -> Replays:
    """As `fetch_replays`, of a cluster and a history that are open."""
    notes: list[str] = []
    rules = await _read_rules(kube, namespace, notes)
    pasts = await _read_incidents(kube, namespace, rules, notes)
    for record in await _read_history(history, namespace, pasts.values(), rules, notes):
        pasts.setdefault(record.id, Past(record, HISTORY))
    return build_replays(pasts.values(), rules, notes, service=service, since=since)


def build_replays(
    pasts: Iterable[Past], rules: Rules, notes: Sequence[str], *, service: str | None, since: datetime | None
) -> Replays:
    """Replay all, and keep what was asked for: each sees the others, whatever service they were of."""
    wanted = (
        one
        for one in replay_all(pasts, rules)
        if (service is None or one.past.record.service == service)
        and (since is None or one.past.record.detected_at >= since)
    )
    return Replays(worst_first(wanted), tuple(dict.fromkeys(notes)))


async def _read_rules(kube: KubeClient, namespace: str, notes: list[str]) -> Rules:
    own = await _list(kube, Runbook, namespace, notes)
    services = await _list(kube, ProtectedService, namespace, notes)
    policies = await _list(kube, RecoveryPolicy, namespace, notes)
    return Rules(
        runbooks=merge_runbooks(load_builtin_runbooks(), own or ()),
        services=None if services is None else {one.metadata.name: one for one in services},
        policy=next((one for one in policies or () if one.metadata.name == POLICY_NAME), None),
    )


async def _read_incidents(kube: KubeClient, namespace: str, rules: Rules, notes: list[str]) -> dict[str, Past]:
    """Incidents that are over, or wait for a person, by uid."""
    bodies = [body async for body in kube.list(Incident.plural, namespace)]
    plans = await _list(kube, RecoveryPlan, namespace, notes) or ()
    found: dict[str, Past] = {}
    for incident in _parse(Incident, bodies, notes):
        if incident.status.phase not in {IncidentPhase.RESOLVED, IncidentPhase.ESCALATED}:
            continue
        own = [plan for plan in plans if plan.spec.incident_ref.uid == incident.metadata.uid]
        told, service = incident.status.classification, (rules.services or {}).get(incident.spec.service_ref.name)
        environment = (told and told.environment) or (service.spec.environment if service else "production")
        record = build_record(incident, own, environment)
        found[incident.metadata.uid] = Past(_with_runbooks(record, incident), CLUSTER, told=told)
    return found


def _with_runbooks(record: IncidentRecord, incident: Incident) -> IncidentRecord:
    """The record with the runbooks of plans that are gone, which the incident's status still names."""
    named = {entry.uid: entry.runbook for entry in incident.status.plans}
    plans = tuple(p if p.runbook else p.model_copy(update={"runbook": named.get(p.id)}) for p in record.plans)
    return record.model_copy(update={"plans": plans})


@asynccontextmanager
async def _open_history(settings: Settings, kube: KubeClient) -> AsyncIterator[History]:
    from bokgu.aws.client import AwsClient  # noqa: PLC0415 - boto3 takes most of a second to import
    from bokgu.history.opening import open_history  # noqa: PLC0415 - as above

    aws = AwsClient(
        settings.aws_endpoint_url, settings.aws_threads, settings.aws_quotas, settings.own_grant, settings.own_patterns
    )
    try:
        yield open_history(settings, kube, aws)
    finally:
        aws.close()


async def _read_history(
    history: History, namespace: str, pasts: Iterable[Past], rules: Rules, notes: list[str]
) -> tuple[IncidentRecord, ...]:
    """Records of the namespace's services: those that are protected, and those that incidents name."""
    places = {(s.spec.environment, name) for name, s in (rules.services or {}).items()}
    places |= {(past.record.environment, past.record.service) for past in pasts}
    found: dict[str, IncidentRecord] = {}
    for environment, service in sorted(places) or [("production", "")]:
        for type_ in IncidentType:
            try:
                records = await history.find(Question(namespace, environment, service, type_))
            except HistoryError as error:
                notes.append(f"the history could not be read, so older incidents are missing: {error}")
                return tuple(found.values())
            found |= {record.id: record for record in records if record.namespace in {"", namespace}}
    return tuple(found.values())


async def _list(kube: KubeClient, kind: type[R], namespace: str, notes: list[str]) -> tuple[R, ...] | None:
    """All of a kind; None and a note where they may not be read."""
    try:
        bodies = [body async for body in kube.list(kind.plural, namespace)]
    except KubeError as error:
        if error.status != FORBIDDEN:
            raise
        notes.append(f"{kind.kind_name} objects may not be read by this account: {error}")
        return None
    return _parse(kind, bodies, notes)


def _parse(kind: type[R], bodies: Iterable[Mapping[str, Any]], notes: list[str]) -> tuple[R, ...]:
    found = []
    for body in bodies:
        try:
            found.append(kind.model_validate(body))
        except ValidationError:
            name = body["metadata"]["name"]
            notes.append(f"{kind.kind_name} {name} cannot be read by this version of bokgu")
    return tuple(found)


def describe_replays(found: Replays) -> dict[str, Any]:
    """The replays as plain data: summary, incidents, notes."""
    return {
        "summary": {"incidents": len(found.replays), **{str(v).lower(): n for v, n in found.counts.items()}},
        "incidents": [describe_replay(one) for one in found.replays],
        "notes": list(found.notes),
    }


def describe_replay(one: Replay) -> dict[str, Any]:
    """One of them as plain data."""
    record, plan = one.past.record, one.first_plan
    then: dict[str, Any] = {
        "rootCause": one.cause_then,
        "plan": _describe_plan(plan) if plan else None,
        "plans": len(record.plans),
        "outcome": record.outcome or None,
        "resolutionMinutes": record.resolution_minutes,
    }
    now: dict[str, Any] = {
        "rootCause": str(one.cause) if one.cause else None,
        "runbook": one.runbook,
        "actions": [str(action) for action in one.actions],
        "noPlan": {"reason": one.no_plan.reason, "message": one.no_plan.message} if one.no_plan else None,
        "gaveWay": [{"runbook": g.runbook, "because": g.because.message or g.because.reason} for g in one.gave_way],
        "heldBy": [{"gate": held.gate, "message": held.message} for held in one.held],
        "approvals": list(one.approvals),
    }
    return {
        "id": record.id,
        "namespace": record.namespace,
        "name": record.name or record.id,
        "service": record.service,
        "type": str(record.type),
        "severity": str(record.severity),
        "detectedAt": format_timestamp(record.detected_at),
        "from": one.past.origin,
        "verdict": str(one.verdict),
        "because": one.because,
        "then": {name: value for name, value in then.items() if value is not None} if one.past.decided else None,
        "expert": {"causes": list(one.past.label.causes), "action": one.past.label.safe} if one.past.label else None,
        "now": {name: value for name, value in now.items() if value not in (None, [])},
        "notKnown": list(one.unknown),
    }


def _describe_plan(plan: PlanRecord) -> dict[str, Any]:
    return {"runbook": plan.runbook, "outcome": str(plan.outcome), "actions": [step.action for step in plan.steps]}
