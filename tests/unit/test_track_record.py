import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.history import IncidentRecord, Outcome, PlanRecord
from bokgu.api.vocabulary import OperationPhase, PlanPhase, RootCause
from bokgu.core.track_record import TrackRecord, track_records
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


@pytest.mark.parametrize("outcome", [Outcome.RECOVERED, "resolved", ""])
def test_a_completed_plan_helped(outcome: str) -> None:
    assert tried(plan_record(), outcome=outcome) == TrackRecord(1, 1)


@pytest.mark.parametrize("outcome", [Outcome.RELAPSED, Outcome.CLEARED, Outcome.ESCALATED])
def test_a_completed_plan_did_not_help_where_the_trouble_came_back(outcome: str) -> None:
    assert tried(plan_record(), outcome=outcome) == TrackRecord(0, 1)


@pytest.mark.parametrize("phase", [PlanPhase.FAILED, PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED])
def test_a_plan_that_failed_was_tried(phase: PlanPhase) -> None:
    assert tried(plan_record(phase)) == TrackRecord(0, 1)


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
