"""Records as items of DynamoDB, and items as records. The attribute names are fixed: others read these tables too.

Writing is exact. Reading is tolerant: the tables may come from another system, in which attributes are missing or have
other words.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from math import isfinite
from typing import Any

from bokgu.api.fields import bounded, bounded_lines, format_decimal, format_timestamp
from bokgu.api.history import (
    ClassificationRecord,
    IncidentRecord,
    MetricRecord,
    PlanRecord,
    StepRecord,
    check_moment,
    clamp_minutes,
)
from bokgu.api.vocabulary import IncidentType, OperationPhase, PlanPhase, Severity, Verdict

Item = dict[str, dict[str, Any]]
"""An item as the low-level API has it: attribute name → {type: value}."""

NUMBERS = Context(prec=38)
"""Digits that a number may have (Amazon DynamoDB, "Supported data types"). One that is written with more, such as 1e38
without an exponent, is told with one."""

_STATUS_OF_PLAN = {PlanPhase.COMPLETED: "completed", PlanPhase.ROLLED_BACK: "rolled_back"}
_PLAN_OF_STATUS = {
    "completed": PlanPhase.COMPLETED,
    "failed": PlanPhase.FAILED,
    "rolled_back": PlanPhase.ROLLED_BACK,
    "in_progress": PlanPhase.IN_PROGRESS,
}
_STATUS_OF_STEP = {
    OperationPhase.PENDING: "pending",
    OperationPhase.IN_PROGRESS: "in_progress",
    OperationPhase.VERIFYING: "in_progress",
    OperationPhase.COMPLETED: "completed",
    OperationPhase.FAILED: "failed",
    OperationPhase.SKIPPED: "skipped",
}
_STEP_OF_STATUS = {word: phase for phase, word in _STATUS_OF_STEP.items() if phase is not OperationPhase.VERIFYING}
_UNDONE = "rolled_back"


class BadItem(ValueError):
    """An item is not what its table is said to hold; the text says why."""


# Writing


def incident_item(record: IncidentRecord, lifetime: timedelta) -> Item:
    """The item of table `incidents`; DynamoDB deletes it `lifetime` after the incident was over."""
    end = record.resolved_at or record.detected_at
    item = {
        "id": _text(record.id),
        "type": _text(record.type),
        "timestamp": _text(format_timestamp(record.detected_at)),
        "severity": _text(record.severity),
        "service": _text(record.service),
        "description": _text(record.description),
        "metrics": {"M": {m.name: _number(m.value) for m in record.metrics}},
        "affectedResources": {"L": [_text(arn) for arn in record.affected_resources]},
        "environment": _text(record.environment),
        "outcome": _text(record.outcome),
        "ttl": _number(int((end + lifetime).timestamp())),
    }
    if record.root_cause is not None:
        item["rootCause"] = _text(record.root_cause)
    if record.resolved_at is not None:
        item["resolvedAt"] = _text(format_timestamp(record.resolved_at))
    if record.resolution_minutes is not None:
        item["resolutionMinutes"] = _number(record.resolution_minutes)
    return item


def classification_item(record: IncidentRecord) -> Item | None:
    """The item of table `incident-classifications`, or None where the incident was not classified."""
    found = record.classification
    if found is None:
        return None
    return {
        "id": _text(record.id),
        "incidentId": _text(record.id),
        "timestamp": _text(format_timestamp(record.detected_at)),
        "category": _text(found.category),
        "rootCause": _text(record.root_cause or "Unknown"),
        "impactLevel": _text(found.impact_level),
        # A set of DynamoDB is never empty.
        "requiredActions": {"SS": sorted(set(found.required_actions)) or ["manual"]},
        "priority": _number(found.priority),
        "estimatedResolutionTime": _number(found.estimate_minutes),
    }


def execution_id(incident_id: str, number: int) -> str:
    """`id` in `recovery-executions` of the incident's plan of that number, from 1 on: it is found without an index."""
    return f"{incident_id}-{number}"


def execution_items(record: IncidentRecord) -> list[Item]:
    """The items of table `recovery-executions`: one for each plan that began."""
    items = []
    for number, plan in enumerate((p for p in record.plans if p.started_at), 1):
        item = {
            "id": _text(execution_id(record.id, number)),
            "planId": _text(plan.id),
            "startTime": _text(format_timestamp(plan.started_at or record.detected_at)),
            "status": _text(_execution_status(plan)),
            "steps": {"L": [{"M": _step(order, step)} for order, step in enumerate(_with_verdict(plan), 1)]},
            "metrics": {"M": {m.name: {"M": _before_and_after(m)} for m in plan.metrics}},
            "incidentId": _text(record.id),
        }
        if plan.finished_at is not None:
            item["endTime"] = _text(format_timestamp(plan.finished_at))
        if plan.runbook is not None:
            item["runbook"] = _text(plan.runbook)
        items.append(item)
    return items


def _execution_status(plan: PlanRecord) -> str:
    if not plan.outcome.terminal:
        return "in_progress"
    return _STATUS_OF_PLAN.get(plan.outcome, "failed")


def _with_verdict(plan: PlanRecord) -> tuple[StepRecord, ...]:
    """The steps; the output of the last one begins with the plan's verdict, for which the table has no attribute."""
    if plan.verdict is None or not plan.steps:
        return plan.steps
    *others, last = plan.steps
    return (*others, last.model_copy(update={"output": f"{plan.verdict}: {last.output}"}))


def _take_verdict(steps: tuple[StepRecord, ...]) -> tuple[tuple[StepRecord, ...], Verdict | None]:
    """The same the other way round."""
    verdict = next((v for v in Verdict if steps and steps[-1].output.startswith(f"{v}:")), None)
    if verdict is None:
        return steps, None
    *others, last = steps
    output = last.output.removeprefix(f"{verdict}:").removeprefix(" ")
    return (*others, last.model_copy(update={"output": output})), verdict


def _step(order: int, step: StepRecord) -> Item:
    item = {
        "order": _number(order),
        "action": _text(step.action),
        "status": _text(_UNDONE if step.undone else _STATUS_OF_STEP[step.status]),
        "output": _text(step.output),
    }
    if step.started_at is not None:
        item["startTime"] = _text(format_timestamp(step.started_at))
    if step.finished_at is not None:
        item["endTime"] = _text(format_timestamp(step.finished_at))
    return item


def _before_and_after(metric: MetricRecord) -> Item:
    item = {"before": _number(metric.value)}
    return item if metric.after is None else {**item, "after": _number(metric.after)}


def _text(value: str) -> dict[str, Any]:
    return {"S": str(value)}


def _number(value: str | int) -> dict[str, Any]:
    text = str(value)
    return {"N": text if len(text) <= NUMBERS.prec else f"{NUMBERS.create_decimal(text).normalize(NUMBERS)}"}


# Reading


def read_incident(item: Mapping[str, Any]) -> IncidentRecord:
    """The record in an item of `incidents`. Raises BadItem where id, type, timestamp or service is missing or bad."""
    type_, severity = _string(item, "type").lower(), _string(item, "severity").lower()
    detected = _moment(item, "timestamp")
    if not _string(item, "id") or not _string(item, "service"):
        raise BadItem("id or service is missing")
    if type_ not in set(IncidentType):
        raise BadItem(f"type {type_!r} is none of {', '.join(IncidentType)}")
    if detected is None:
        raise BadItem(f"timestamp {_string(item, 'timestamp')!r} is not ISO 8601")
    resolved, minutes = _moment(item, "resolvedAt"), _decimal(item, "resolutionMinutes")
    if minutes is None and resolved is not None:
        minutes = format_decimal(max(timedelta(), resolved - detected) / timedelta(minutes=1))
    if resolved is None and minutes is not None:
        resolved = detected + timedelta(minutes=float(clamp_minutes(minutes)))
    return IncidentRecord(
        id=bounded(_string(item, "id"), 255),
        type=IncidentType(type_),
        severity=Severity(severity) if severity in set(Severity) else Severity.MEDIUM,
        service=bounded(_string(item, "service")),
        environment=bounded(_string(item, "environment"), 63) or "production",
        description=bounded(_string(item, "description"), 2048),
        metrics=tuple(
            MetricRecord(name=bounded(name, 63), value=value)
            for name, raw in list(_map(item, "metrics").items())[:64]
            if name and (value := _decimal({"value": raw}, "value")) is not None
        ),
        affected_resources=tuple(
            bounded(raw["S"], 1024) for raw in _list(item, "affectedResources")[:64] if raw.get("S")
        ),
        root_cause=bounded(_string(item, "rootCause")) or None,
        detected_at=detected,
        resolved_at=resolved,
        resolution_minutes=minutes,
        outcome=bounded(_string(item, "outcome")),
    )


def read_classification(item: Mapping[str, Any]) -> tuple[str, ClassificationRecord]:
    """(id of the incident, what it was taken for). Raises BadItem."""
    incident = _string(item, "incidentId")
    if not incident:
        raise BadItem("incidentId is missing")
    impact = _string(item, "impactLevel").lower()
    actions = item.get("requiredActions") or {}
    return incident, ClassificationRecord(
        category=bounded(_string(item, "category"), 63) or "Unknown",
        impact_level=Severity(impact) if impact in set(Severity) else Severity.MEDIUM,
        required_actions=tuple(bounded(a, 63) for a in sorted(set(actions.get("SS") or ())) if a)[:16],
        priority=min(5, max(1, round(float(_decimal(item, "priority") or 3)))),
        estimate_minutes=max(0, round(min(float(_decimal(item, "estimatedResolutionTime") or 0), 1e6))),
    )


def read_execution(item: Mapping[str, Any]) -> tuple[str, PlanRecord]:
    """(id of the incident, the plan that was carried out). Raises BadItem."""
    incident, status = _string(item, "incidentId"), _string(item, "status").lower()
    started = _moment(item, "startTime")
    if not incident or started is None:
        raise BadItem("incidentId or startTime is missing or bad")
    if status not in _PLAN_OF_STATUS:
        raise BadItem(f"status {status!r} is none of {', '.join(_PLAN_OF_STATUS)}")
    steps = [raw.get("M") or {} for raw in _list(item, "steps")[:64]]
    steps.sort(key=lambda step: float(_decimal(step, "order") or 0))
    read, verdict = _take_verdict(tuple(_read_step(step) for step in steps if _string(step, "action")))
    return incident, PlanRecord(
        id=bounded(_string(item, "planId") or _string(item, "id") or incident, 255),
        runbook=bounded(_string(item, "runbook")) or None,
        outcome=_PLAN_OF_STATUS[status],
        verdict=verdict,
        started_at=started,
        finished_at=_moment(item, "endTime"),
        steps=read,
        metrics=tuple(
            MetricRecord(name=bounded(name, 63), value=before, after=_decimal(raw.get("M") or {}, "after"))
            for name, raw in list(_map(item, "metrics").items())[:64]
            if name and (before := _decimal(raw.get("M") or {"before": raw}, "before")) is not None
        ),
    )


def _read_step(step: Mapping[str, Any]) -> StepRecord:
    status = _string(step, "status").lower()
    undone = status == _UNDONE
    return StepRecord(
        action=bounded(_string(step, "action"), 63),
        status=OperationPhase.COMPLETED if undone else _STEP_OF_STATUS.get(status, OperationPhase.PENDING),
        undone=undone,
        started_at=_moment(step, "startTime"),
        finished_at=_moment(step, "endTime"),
        output=bounded_lines(_string(step, "output"), 300),
    )


def _string(item: Mapping[str, Any], name: str) -> str:
    """The attribute as text; a number is one too, anything else and nothing is empty."""
    raw = item.get(name) or {}
    value = raw.get("S", raw.get("N", ""))
    return value.strip() if isinstance(value, str) else ""


def _map(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value: Mapping[str, Any] = (item.get(name) or {}).get("M") or {}
    return value


def _list(item: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Elements of a list; of a set of strings too."""
    raw = item.get(name) or {}
    return list(raw.get("L") or [{"S": text} for text in raw.get("SS") or ()])


def _decimal(item: Mapping[str, Any], name: str) -> str | None:
    try:
        value = float(Decimal(_string(item, name)))
    except (InvalidOperation, OverflowError):
        return None
    return format_decimal(value) if isfinite(value) else None


def _moment(item: Mapping[str, Any], name: str) -> datetime | None:
    """ISO 8601 of this millennium; without an offset it is UTC."""
    try:
        return check_moment(datetime.fromisoformat(_string(item, name)))
    except ValueError:
        return None
