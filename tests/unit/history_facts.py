"""Builds records of the past, and incidents that become such."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from bokgu.api.history import (
    ClassificationRecord,
    IncidentRecord,
    MetricRecord,
    Outcome,
    PlanRecord,
    StepRecord,
)
from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Action, IncidentType, OperationPhase, PlanPhase, RootCause, Severity, Verdict
from tests.unit import facts
from tests.unit.facts import DIGEST, MINUTE, NOW, PLAN_UID, Raw, classification


def step(action: str = "scale_out", status: OperationPhase = OperationPhase.COMPLETED, **fields: Any) -> StepRecord:
    return StepRecord(action=action, status=status, **{"started_at": NOW, "finished_at": NOW + MINUTE, **fields})


def plan_record(outcome: PlanPhase = PlanPhase.COMPLETED, **fields: Any) -> PlanRecord:
    verdict = Verdict.PASSED if outcome is PlanPhase.COMPLETED else Verdict.FAILED
    known = {
        "verdict": verdict,
        "id": "plan",
        "runbook": "traffic-surge",
        "root_cause": RootCause.TRAFFIC_SURGE,
        "started_at": NOW,
    }
    return PlanRecord(outcome=outcome, **{**known, "steps": (step("health_check"), step()), **fields})


def record(id_: str = "a", *plans: PlanRecord, minutes: int = 10, ago: int = 600, **fields: Any) -> IncidentRecord:
    """An incident that was over `ago` minutes before now, and took that long."""
    resolved = NOW - ago * MINUTE
    known = {
        "id": id_,
        "namespace": "shop",
        "name": id_,
        "type": IncidentType.HIGH_ERROR_RATE,
        "severity": Severity.HIGH,
        "service": "api",
        "environment": "production",
        "root_cause": RootCause.TRAFFIC_SURGE,
        "detected_at": resolved - minutes * MINUTE,
        "resolved_at": resolved,
        "resolution_minutes": str(minutes),
        "outcome": Outcome.RECOVERED,
        "plans": plans,
    }
    return IncidentRecord(**{**known, **fields})


def resolved(reason: str = "Recovered", *, outcome: str | None = "Completed", **status: Any) -> Incident:
    """An incident that is over, with one plan unless its outcome is None."""
    entry = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "startedAt": NOW - 15 * MINUTE, "outcome": outcome}
    known: Raw = {
        "phase": "Resolved",
        "reason": reason,
        "classification": classification(
            evidence=[{"source": "GetMetricData", "fact": "requests doubled within five minutes"}]
        ).to_dict(),
        "plans": [entry] if outcome else [],
        "mitigatedAt": NOW - 5 * MINUTE,
        "resolvedAt": NOW,
    }
    return facts.incident(status={**known, **status}, description="Errors rose to 37 % of requests")


def finished_plan(phase: str = "Completed") -> RecoveryPlan:
    done: Raw = {"phase": "Completed", "startedAt": NOW - 15 * MINUTE, "finishedAt": NOW - 14 * MINUTE}
    return facts.plan(
        facts.health_check(),
        facts.scale_out(),
        runbookRef={"name": "traffic-surge"},
        status={
            "phase": phase,
            "startedAt": NOW - 15 * MINUTE,
            "finishedAt": NOW - 6 * MINUTE,
            "steps": [
                {"name": "health-check", **done},
                {"name": "scale-out", "output": "5 of 5 tasks run", "verdict": "Passed", **done},
            ],
            "metrics": [{"name": "error_rate", "before": "0.37", "after": "0.01"}],
        },
    )


# Anything there can be

_words = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=40
)
_moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
_numbers = st.decimals(-(10**9), 10**9, places=2).map(lambda n: f"{n.normalize():f}")
_metrics = st.lists(
    st.builds(MetricRecord, name=_words, value=_numbers), max_size=4, unique_by=lambda metric: metric.name
).map(lambda metrics: tuple(sorted(metrics, key=lambda metric: metric.name)))
_steps = st.builds(
    StepRecord,
    action=st.sampled_from([str(action) for action in Action] + ["manual"]),
    status=st.sampled_from(OperationPhase),
    started_at=st.none() | _moments,
    finished_at=st.none() | _moments,
    output=_words,
)
_plans = st.builds(
    PlanRecord,
    id=_words,
    runbook=st.none() | _words,
    root_cause=st.none() | st.sampled_from(RootCause),
    outcome=st.sampled_from(PlanPhase),
    verdict=st.none() | st.sampled_from(Verdict),
    started_at=st.none() | _moments,
    finished_at=st.none() | _moments,
    steps=st.lists(_steps, max_size=3).map(tuple),
    metrics=_metrics,
)
_classifications = st.builds(
    ClassificationRecord,
    category=_words,
    impact_level=st.sampled_from(Severity),
    required_actions=st.lists(_words, max_size=3).map(tuple),
    priority=st.integers(1, 5),
    estimate_minutes=st.integers(0, 10_000),
)


@st.composite
def records(draw: st.DrawFn, services: tuple[str, ...] = ("api", "web")) -> IncidentRecord:
    """Any record."""
    detected, took = draw(_moments), draw(st.integers(0, 10_000))
    return IncidentRecord(
        id=draw(st.uuids().map(str)),
        namespace="shop",
        name=draw(st.sampled_from(["api-1", "web-2"])),
        type=draw(st.sampled_from(IncidentType)),
        severity=draw(st.sampled_from(Severity)),
        service=draw(st.sampled_from(services)),
        environment="production",
        description=draw(_words),
        metrics=draw(_metrics),
        affected_resources=tuple(draw(st.lists(_words, max_size=3))),
        root_cause=draw(st.none() | st.sampled_from(RootCause)),
        new_revision_at_fault=draw(st.none() | st.booleans()),
        classification=draw(st.none() | _classifications),
        signature=tuple(sorted(draw(st.sets(st.sampled_from(["timeout", "memory", "pool", "@logs"]))))),
        detected_at=detected,
        resolved_at=detected + timedelta(minutes=took),
        resolution_minutes=str(took),
        outcome=draw(st.sampled_from(Outcome)),
        plans=tuple(draw(st.lists(_plans, max_size=3))),
    )
