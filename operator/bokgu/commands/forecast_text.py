"""How a forecast is printed: as text for people, as YAML or JSON for programs."""

import json
import textwrap
from collections.abc import Iterable
from typing import Any

import yaml

from bokgu.api.incident import Classification
from bokgu.api.recovery_plan import RecoveryPlan, Step
from bokgu.commands.forecast import Forecast
from bokgu.commands.page import WIDTH
from bokgu.commands.phrases import AT_FAULT
from bokgu.core.planning import Decision, plan_manifest
from bokgu.core.planning_facts import NoPlan
from bokgu.core.proof import describe_validation

NOT_FOR_THIS = "not for this"


def format_forecast(forecast: Forecast, output: str) -> str:
    """The forecast as `text`, `yaml` or `json`, ending in a line break."""
    if output == "json":
        return json.dumps(describe_forecast(forecast), indent=2, ensure_ascii=False) + "\n"
    if output == "yaml":
        return yaml.safe_dump(describe_forecast(forecast), sort_keys=False, allow_unicode=True, width=WIDTH)
    return "\n".join(_lines(forecast)) + "\n"


def describe_forecast(forecast: Forecast) -> dict[str, Any]:
    """The forecast as plain data: incident, classification, outcome (Plan or NoPlan), runbooks, plan, gates."""
    prospect, decision = forecast.prospect, forecast.prospect.decision
    outcome = decision.outcome if decision else None
    reason, message = _why_none(forecast)
    found: dict[str, Any] = {
        "incident": forecast.incident.metadata.name,
        "namespace": forecast.incident.metadata.namespace,
        "notes": list(forecast.notes),
        "classification": prospect.classification.to_dict() if prospect.classification else None,
        "outcome": "Plan" if isinstance(outcome, RecoveryPlan) else "NoPlan",
        "reason": reason,
        "message": message,
        "runbooks": _runbooks(forecast, decision) if decision else [],
        "plan": plan_manifest(outcome) if isinstance(outcome, RecoveryPlan) else None,
        "gates": [gate.to_dict() for gate in forecast.gates],
    }
    return {name: value for name, value in found.items() if value is not None}


def _runbooks(forecast: Forecast, decision: Decision) -> list[dict[str, Any]]:
    """All runbooks in the order of preference, and what became of each."""
    gave_way = {g.runbook: g.because for g in decision.gave_way}
    made = decision.outcome.spec.runbook_ref if isinstance(decision.outcome, RecoveryPlan) else None
    first = next((c.runbook.metadata.name for c in decision.considered if c.reason is None), None)
    rows = []
    for consideration in decision.considered:
        name = consideration.runbook.metadata.name
        if made and made.name == name:
            fate = "makes the plan"
        elif name in gave_way:
            fate = f"gives way: {gave_way[name].message or gave_way[name].reason}"
        elif consideration.reason:
            fate = f"{NOT_FOR_THIS}: {consideration.reason}"
        else:
            fate = "chosen" if name == first else "fits, and comes later"
        rows.append({"name": name, "source": "own" if name in forecast.own_runbooks else "built-in", "fate": fate})
    return rows


def _why_none(forecast: Forecast) -> tuple[str | None, str | None]:
    """(reason, message) of why nothing is planned; (None, None) where something is."""
    prospect = forecast.prospect
    if prospect.problem:
        return prospect.problem
    if prospect.suppression:
        return prospect.suppression.reason, prospect.suppression.message
    if prospect.decision and isinstance(prospect.decision.outcome, NoPlan):
        return prospect.decision.outcome.reason, prospect.decision.outcome.message
    return None, None


def _lines(forecast: Forecast) -> Iterable[str]:
    incident, prospect = forecast.incident, forecast.prospect
    spec, status = incident.spec, incident.status
    where = f"{status.phase}{f' ({status.reason})' if status.reason else ''}"
    yield f"incident  {incident.metadata.namespace}/{incident.metadata.name}: {spec.type}, {spec.severity},"
    yield f"          service {spec.service_ref.name}, {where}"
    for note in forecast.notes:
        yield f"          note: {note}"
    if prospect.classification:
        yield from _classification_lines(prospect.classification)
    if prospect.decision:
        yield ""
        yield "runbooks, in the order of preference"
        yield from _runbook_lines(forecast, prospect.decision)
    yield ""
    outcome = prospect.decision.outcome if prospect.decision else None
    if isinstance(outcome, RecoveryPlan):
        yield from _plan_lines(outcome, forecast)
    else:
        reason, message = _why_none(forecast)
        yield from _wrap("no plan   ", f"{reason}: {message}")


def _runbook_lines(forecast: Forecast, decision: Decision) -> Iterable[str]:
    """Those of the namespace, and the built-in ones against this root cause; the others are only counted."""
    cause = forecast.prospect.classification and forecast.prospect.classification.root_cause
    about = {c.runbook.metadata.name for c in decision.considered if cause in c.runbook.spec.root_causes}
    rows = _runbooks(forecast, decision)
    shown = [r for r in rows if r["source"] == "own" or r["name"] in about or not r["fate"].startswith(NOT_FOR_THIS)]
    for row in shown:
        yield from _wrap(f"  {row['name']} ({row['source']}): ", row["fate"])
    if len(shown) < len(rows):
        yield f"  and {len(rows) - len(shown)} built-in ones that are for other trouble, or chosen only by name"


def _classification_lines(found: Classification) -> Iterable[str]:
    traits = f", {', '.join(found.traits)}" if found.traits else ""
    cause = f"{found.root_cause}, {AT_FAULT[found.new_revision_at_fault]}{traits}"
    yield f"cause     {cause}; {found.confidence} confidence"
    for item in found.evidence:
        yield from _wrap("          ", f"{item.source}: {item.fact}")


def _plan_lines(plan: RecoveryPlan, forecast: Forecast) -> Iterable[str]:
    spec = plan.spec
    yield f"plan      {plan.metadata.name}, about {spec.estimated_total_duration}"
    yield from _wrap("          ", f"because {spec.chosen_because}")
    if spec.track_record:
        yield f"          it {spec.track_record}"
    for number, step in enumerate(spec.steps, 1):
        yield from _step_lines(number, step)
    for risk in spec.risks:
        said = f"{risk.description} (probability {risk.probability}, impact {risk.impact}); {risk.mitigation}"
        yield from _wrap("  risk    ", said)
    yield from _wrap("  else    ", spec.if_nothing_is_done or "")
    yield f"  needs   {', '.join(spec.required_approvals) or 'no approval'}"
    for gate in forecast.gates:
        if not gate.passed:
            yield from _wrap("  gate    ", f"{gate.name} blocks: {gate.message}")


def _step_lines(number: int, step: Step) -> Iterable[str]:
    yield from _wrap(f"  step {number}  ", f"{step.name} ({step.action}): {step.description}")
    if step.validation:
        yield from _wrap("          ", f"{describe_validation(step.validation)}; on failure {step.on_failure}")


def _wrap(label: str, text: str) -> Iterable[str]:
    indent = " " * min(len(label), 10)
    yield from textwrap.wrap(label + text, WIDTH, subsequent_indent=indent, break_long_words=False) or [label]
