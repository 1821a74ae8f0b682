"""What a stored status adds to the counters, once."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest

from bokgu.api.incident import IncidentSource
from bokgu.api.vocabulary import IncidentType, PlanPhase, Severity, SourceKind
from bokgu.core.finding import Finding
from bokgu.core.traces import trace_of
from bokgu.metrics.registry import MOST_CHARACTERS, REGISTRY, exemplar_of
from bokgu.reconcile.counting import count_incident, count_opened, count_plan
from tests.unit.facts import INCIDENT_UID, MINUTE, NOW, incident, plan, protected_service, roll_back, scale_out
from tests.unit.test_plan_incident import Past, context

Change = dict[str, float]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "operator")}
"""Of a process that has counted nothing yet."""


def changes(count: Callable[[], object]) -> Change:
    """What was added to which sample of ours; buckets of histograms are left out."""

    def read() -> Change:
        samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
        return {
            s.name + "".join(f",{value}" for _, value in sorted(s.labels.items())): s.value
            for s in samples
            if s.name.startswith("bokgu_") and not s.name.endswith("_bucket")
        }

    before = read()
    count()
    return {name: value - before.get(name, 0) for name, value in read().items() if value != before.get(name, 0)}


def stage(name: str, seconds: float) -> Change:
    family, labels = "bokgu_incident_stage_duration_seconds", f"{name},high_error_rate"
    return {f"{family}_count,{labels}": 1, f"{family}_sum,{labels}": seconds}


def test_an_opened_incident_is_counted_with_how_long_it_was_not_seen() -> None:
    finding = Finding(
        namespace="shop",
        service="api",
        type=IncidentType.HIGH_ERROR_RATE,
        severity=Severity.HIGH,
        source=IncidentSource(kind=SourceKind.DETECTOR, name="api-errors"),
        description="",
        at=NOW - MINUTE,
        begun=NOW - 4 * MINUTE,
    )
    found = changes(lambda: count_opened(context(Past()), finding, "incident-1", INCIDENT_UID, "staging"))
    opened = "bokgu_incidents_opened_total,staging,high,Detector,high_error_rate"
    assert found == {opened: 1} | stage("detect", 240)


@pytest.mark.parametrize("phase", ["Resolved", "Escalated"])
def test_an_end_is_counted_once(phase: str) -> None:
    old, new = incident(status={"phase": "Verifying"}), incident(status={"phase": phase})
    one = context(Past())
    assert changes(lambda: count_incident(one, old, new.status, None)) == {
        f"bokgu_incidents_ended_total,{phase},high_error_rate": 1
    }
    assert changes(lambda: count_incident(one, new, new.status, None)) == {}


def test_a_resolved_incident_tells_how_long_it_took() -> None:
    old, new = (incident(status={"phase": p, "resolvedAt": at}) for p, at in (("Verifying", None), ("Resolved", NOW)))
    found = changes(lambda: count_incident(context(Past()), old, new.status, None))
    labels = "high_error_rate"
    assert found[f"bokgu_incident_duration_seconds_count,{labels}"] == 1
    assert found[f"bokgu_incident_duration_seconds_sum,{labels}"] == 20 * 60


@pytest.mark.parametrize("phase", [p for p in PlanPhase if p.terminal])
def test_the_end_of_a_plan_is_counted_once(phase: PlanPhase) -> None:
    old, new = plan(status={"phase": "InProgress"}), plan(status={"phase": phase})
    one = context(Past(), incident())
    assert changes(lambda: count_plan(one, old, new.status)) == {f"bokgu_plans_finished_total,{phase}": 1}
    assert changes(lambda: count_plan(one, new, new.status)) == {}


def test_an_end_that_has_not_happened_yet_is_zero_and_not_absent() -> None:
    """A series that begins at 1 is no increase to Prometheus."""
    code = "import bokgu.metrics.plans as m, prometheus_client as p; print(p.generate_latest(m.REGISTRY).decode())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    lines = {line for line in ran.stdout.splitlines() if line.startswith("bokgu_plans_finished_total")}
    assert lines == {f'bokgu_plans_finished_total{{phase="{phase}"}} 0.0' for phase in PlanPhase if phase.terminal}


def steps(*phases: tuple[str, str | None]) -> dict[str, Any]:
    def one(number: int, phase: str, undo: str | None) -> dict[str, Any]:
        return {"name": f"s{number}", "phase": phase} | ({"rollback": {"phase": undo}} if undo else {})

    found = [one(number, phase, undo) for number, (phase, undo) in enumerate(phases)]
    return {"phase": "InProgress", "startedAt": NOW, "steps": found}


def test_steps_and_their_undo_are_counted_when_they_end() -> None:
    def change(was: tuple[str, str | None], now: tuple[str, str | None]) -> Change:
        old, new = (plan(scale_out(), roll_back(), status=steps(s, ("Pending", None))) for s in (was, now))
        return changes(lambda: count_plan(context(Past(), incident()), old, new.status))

    count = "bokgu_steps_finished_total,scale_out"
    assert change(("Verifying", None), ("Completed", None)) == {f"{count},forward,Completed": 1}
    assert change(("InProgress", None), ("Failed", None)) == {f"{count},forward,Failed": 1}
    assert change(("Failed", "InProgress"), ("Failed", "Completed")) == {f"{count},undo,Completed": 1}
    assert change(("Completed", None), ("Completed", None)) == {}


def test_the_stages_of_a_plan_are_those_of_its_incident() -> None:
    condition = {"type": "Approved", "status": "True", "reason": "Approved", "lastTransitionTime": NOW - 3 * MINUTE}
    old, new = plan(), plan(status={"phase": "InProgress", "startedAt": NOW, "conditions": [condition]})
    found = changes(lambda: count_plan(context(Past(), incident()), old, new.status))
    assert found == stage("approve", 27 * 60) | stage("start", 180)
    assert changes(lambda: count_plan(context(Past(), protected_service()), old, new.status)) == {}


# Exemplars


def test_what_was_counted_leads_to_the_incident() -> None:
    old, new = plan(status={"phase": "InProgress"}), plan(status={"phase": "Failed"})
    count_plan(context(Past(), incident()), old, new.status)
    text: bytes = generate_latest(REGISTRY)  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
    lines = text.decode().splitlines()
    (line,) = [li for li in lines if li.startswith('bokgu_plans_finished_total{phase="Failed"}')]
    assert f'# {{incident="shop/incident-1",trace_id="{trace_of(INCIDENT_UID)}"}} 1.0' in line


def test_a_name_that_is_too_long_for_an_exemplar_stops_nothing() -> None:
    trace = trace_of(INCIDENT_UID)
    longest = MOST_CHARACTERS - len("incident") - len("shop/") - len("trace_id") - len(trace)
    fits = {"incident": f"shop/{'i' * longest}", "trace_id": trace}
    assert exemplar_of("shop", "i" * longest, trace) == fits
    assert exemplar_of("shop", "i" * (longest + 1), trace) == {"trace_id": trace}
    old, new = (incident(meta={"name": "i" * 253}, status={"phase": p}) for p in ("Verifying", "Escalated"))
    count_incident(context(Past()), old, new.status, None)
