"""The log of what was decided: one line a decision, once it is stored."""

from collections.abc import Iterable
from typing import Any

import structlog

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus
from bokgu.core.changes import Change, find_incident_changes, find_plan_changes
from bokgu.core.operation import LEASE_NOT_HELD
from bokgu.core.plan_facts import Send
from bokgu.core.traces import trace_of
from bokgu.reconcile.context import Key, Objects

log = structlog.get_logger()

_GOING = frozenset({"InProgress", "Verifying"})


def name_pass(objects: Objects, key: Key) -> dict[str, str]:
    """What each line of a pass says it is about: the kind, namespace and name of the object, and as far as they are
    known, incident, plan, step and the trace of the incident."""
    try:
        return _name_pass(objects, key)
    except (KeyError, TypeError, AttributeError):  # An object of another shape: its pass says what is wrong with it.
        return dict(zip(("kind", "namespace", "name"), key, strict=True))


def _name_pass(objects: Objects, key: Key) -> dict[str, str]:
    plural, namespace, name = key
    found = {"kind": plural, "namespace": namespace, "name": name}
    match plural:
        case "incidents" | "history":
            incident = objects.get((Incident.plural, namespace, name))
            plans = _status(incident).get("plans") or ()
            plan = objects.get((RecoveryPlan.plural, namespace, plans[-1]["name"])) if plans else None
            found["incident"] = name
            if plans:
                found["plan"] = plans[-1]["name"]
            if incident is not None:
                found["trace_id"] = trace_of(incident["metadata"]["uid"])
            return found | _name_step(plan)
        case "recoveryplans":
            return found | _name_plan(objects.get(key))
        case "planapprovals":
            approval = objects.get(key)
            reference = ((approval or {}).get("spec") or {}).get("planRef") or {}
            plan = objects.get((RecoveryPlan.plural, namespace, reference["name"])) if reference else None
            return found | {"plan": reference["name"]} | _name_plan(plan) if reference else found
    return found


def _name_plan(plan: dict[str, Any] | None) -> dict[str, str]:
    if plan is None:
        return {}
    incident = plan["spec"]["incidentRef"]
    named = {"plan": plan["metadata"]["name"], "incident": incident["name"], "trace_id": trace_of(incident["uid"])}
    return named | _name_step(plan)


def _name_step(plan: dict[str, Any] | None) -> dict[str, str]:
    """The step that is at work, or being undone."""
    for step in _status(plan).get("steps") or ():
        if step.get("phase") in _GOING or (step.get("rollback") or {}).get("phase") in _GOING:
            return {"step": step["name"]}
    return {}


def _status(body: dict[str, Any] | None) -> dict[str, Any]:
    return (body or {}).get("status") or {}


def log_incident(incident: Incident, new: IncidentStatus) -> None:
    """The incident as it was read has that status now."""
    _write(find_incident_changes(incident.status, new))


def log_plan(plan: RecoveryPlan, new: RecoveryPlanStatus) -> None:
    """The plan as it was read has that status now."""
    _write(find_plan_changes(plan.status, new))


def log_sent(send: Send) -> None:
    """The request goes to AWS now. Its arguments are in the plan's status."""
    log.info("aws write sent", service=send.request.service, operation=send.request.operation, token=send.token)


def log_unanswered(send: Send, code: str, *, sent: bool) -> None:
    """AWS gave no answer that says whether the request had an effect, or it was not sent and is made again."""
    result = "Unknown" if sent else "NotSent"
    log.warning("aws write answered", operation=send.request.operation, token=send.token, result=result, code=code)


def log_not_held(tokens: Iterable[str]) -> None:
    """Nothing was intended after all: this process was about to lose its lease, or had lost it."""
    log.warning("aws write held", tokens=sorted(tokens), reason=LEASE_NOT_HELD)


def _write(changes: Iterable[Change]) -> None:
    for change in changes:
        say = log.warning if change.warning else log.info
        say(change.event, **{name: value for name, value in change.facts.items() if value is not None})
