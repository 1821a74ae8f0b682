from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.history import IncidentRecord, Outcome, PlanRecord
from bokgu.api.vocabulary import OperationPhase, PlanPhase, RootCause, Verdict
from bokgu.core.track_record import MEMORY, TrackRecord, last_begun, track_records
from tests.unit.facts import MINUTE, NOW
from tests.unit.history_facts import plan_record, record, records, step

KEY = ("traffic-surge", RootCause.TRAFFIC_SURGE, "api")


def tried(*plans: PlanRecord, outcome: str = Outcome.RECOVERED) -> TrackRecord | None:
    return track_records([record("a", *plans, outcome=outcome)]).get(KEY)


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (TrackRecord(1, 6), "helped 1 of 6 times here"),
        (TrackRecord(1, 1), "helped 1 of 1 time here"),
        (TrackRecord(0, 0), "not tried here before"),
    ],
)
def test_a_track_record_reads_well(known: TrackRecord, text: str) -> None:
    assert known.text == text


@pytest.mark.parametrize("outcome", [Outcome.RECOVERED, "RECOVERED", "resolved", "Success"])
def test_a_completed_plan_helped(outcome: str) -> None:
    assert tried(plan_record(), outcome=outcome) == TrackRecord(1, 1)


@pytest.mark.parametrize(
    "outcome", [Outcome.RELAPSED, Outcome.CLEARED, Outcome.ESCALATED, "escalated", "failed", "unresolved", "timeout"]
)
def test_a_completed_plan_did_not_help_where_the_trouble_came_back(outcome: str) -> None:
    assert tried(plan_record(), outcome=outcome) == TrackRecord(0, 1)


def test_a_completed_plan_says_nothing_while_its_incident_is_open() -> None:
    waits: dict[str, Any] = {"outcome": Outcome.ESCALATED, "resolved_at": None, "resolution_minutes": None}
    assert track_records([record("a", plan_record(), **waits)]) == {}
    assert track_records([record("a", plan_record(PlanPhase.FAILED), **waits)])[KEY] == TrackRecord(0, 1)
    followed = record("a", plan_record(id="1"), plan_record(id="2"), **waits)
    assert track_records([followed])[KEY] == TrackRecord(0, 1)


def test_a_record_without_an_outcome_counts_for_nothing() -> None:
    assert tried(plan_record(), outcome="") is None
    assert tried(plan_record(PlanPhase.FAILED), outcome="") == TrackRecord(0, 1)


@pytest.mark.parametrize("phase", [PlanPhase.FAILED, PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED])
def test_a_plan_that_failed_was_tried(phase: PlanPhase) -> None:
    assert tried(plan_record(phase)) == TrackRecord(0, 1)


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [
        (PlanPhase.FAILED, Verdict.INCONCLUSIVE),
        (PlanPhase.FAILED, None),
        (PlanPhase.CANCELLED, None),
        (PlanPhase.CANCELLED, Verdict.PASSED),
        (PlanPhase.ROLLED_BACK, None),
        (PlanPhase.COMPLETED, Verdict.INCONCLUSIVE),
    ],
)
def test_s9_a_plan_that_ended_without_a_verdict_counts_for_nothing(phase: PlanPhase, verdict: Verdict | None) -> None:
    """Refused by AWS, rejected after the start, overtaken by a foreign change: nobody knows whether it would have
    helped."""
    assert tried(plan_record(phase, verdict=verdict), outcome=Outcome.CLEARED) is None


def test_imported_executions_have_no_verdict_and_count_where_they_completed() -> None:
    assert tried(plan_record(verdict=None)) == TrackRecord(1, 1)


def test_a_runbook_gets_another_chance_after_90_days() -> None:
    old = record("a", plan_record(started_at=NOW - timedelta(days=91)))
    late = record("b", plan_record(PlanPhase.FAILED, started_at=NOW - timedelta(days=89)), outcome=Outcome.CLEARED)
    assert track_records([old, late], NOW - MEMORY) == {KEY: TrackRecord(0, 1)}
    assert track_records([old], NOW - MEMORY) == {}


def test_the_last_time_that_a_runbook_began_on_a_service() -> None:
    past = [
        record("a", plan_record(started_at=NOW - 60 * MINUTE), plan_record(started_at=None, runbook="never")),
        record("b", plan_record(PlanPhase.CANCELLED, started_at=NOW - 30 * MINUTE)),
        record("c", plan_record(started_at=NOW), service="web"),
    ]
    assert last_begun(past, "api") == {"traffic-surge": NOW - 30 * MINUTE}


def test_a_plan_that_never_did_anything_was_not_tried() -> None:
    idle = step(status=OperationPhase.PENDING, started_at=None)
    assert tried(plan_record(PlanPhase.EXPIRED, started_at=None)) is None
    assert tried(plan_record(PlanPhase.CANCELLED, steps=(step("health_check"), idle))) is None
    assert tried(plan_record(PlanPhase.IN_PROGRESS)) is None


def test_a_first_plan_that_another_one_had_to_follow_did_not_help() -> None:
    first, second = plan_record(id="1"), plan_record(id="2", runbook="restart")
    found = track_records([record("a", first, second)])
    assert found[KEY] == TrackRecord(0, 1)
    assert found["restart", RootCause.TRAFFIC_SURGE, "api"] == TrackRecord(1, 1)


def test_records_of_another_system_count_by_the_incidents_cause() -> None:
    assert tried(plan_record(root_cause=None, steps=())) == TrackRecord(1, 1)
    strange = record("a", plan_record(root_cause="db_pool_exhausted"))
    assert track_records([strange, record("b", plan_record(runbook=None))]) == {}


@given(st.lists(records(), max_size=6))
def test_nothing_helps_more_often_than_it_is_tried(past: list[IncidentRecord]) -> None:
    found = track_records(past)
    assert all(0 <= known.helped <= known.tried for known in found.values())
    assert sum(known.tried for known in found.values()) <= sum(len(r.plans) for r in past)
