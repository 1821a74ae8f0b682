"""The items of the three tables: exact as they are written, tolerant as they are read."""

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.fields import format_timestamp
from bokgu.api.history import MAX_MINUTES, IncidentRecord, MetricRecord, Outcome
from bokgu.api.vocabulary import OperationPhase, PlanPhase, RootCause, Severity
from bokgu.core.history import build_record, find_similar
from bokgu.history.items import (
    BadItem,
    Item,
    _number,
    classification_item,
    execution_items,
    incident_item,
    read_classification,
    read_execution,
    read_incident,
)
from tests.unit.facts import INCIDENT_UID, MINUTE, NOW, PLAN_UID, incident
from tests.unit.history_facts import finished_plan, plan_record, record, records, resolved, step

YEAR = timedelta(days=365)
RECORD = build_record(resolved(), [finished_plan()], "production")
CPU = (MetricRecord(name="cpu", value="100"),)
OLD: Item = {
    "id": {"S": "INC-2023-001"},
    "type": {"S": "service_down"},
    "timestamp": {"S": "2023-05-01T10:00:00.123456"},
    "service": {"S": "orders"},
}


def size(item: Item) -> int:
    """Upper bound of an item's size in DynamoDB."""
    return len(json.dumps(item, ensure_ascii=False).encode())


def test_an_incident_has_the_attributes_that_others_read() -> None:
    assert incident_item(RECORD, YEAR) == {
        "id": {"S": INCIDENT_UID},
        "type": {"S": "high_error_rate"},
        "timestamp": {"S": "2026-11-24T07:40:00Z"},
        "severity": {"S": "high"},
        "service": {"S": "api"},
        "description": {"S": "Errors rose to 37 % of requests"},
        "metrics": {"M": {"error_rate": {"N": "0.37"}}},
        "affectedResources": {"L": []},
        "environment": {"S": "production"},
        "rootCause": {"S": "TrafficSurge"},
        "resolvedAt": {"S": "2026-11-24T08:00:00Z"},
        "resolutionMinutes": {"N": "15"},
        "outcome": {"S": "Recovered"},
        "ttl": {"N": str(int((NOW + YEAR).timestamp()))},
    }


def test_a_classification_has_the_attributes_that_others_read() -> None:
    assert classification_item(RECORD) == {
        "id": {"S": INCIDENT_UID},
        "incidentId": {"S": INCIDENT_UID},
        "timestamp": {"S": "2026-11-24T07:40:00Z"},
        "category": {"S": "Capacity"},
        "rootCause": {"S": "TrafficSurge"},
        "impactLevel": {"S": "high"},
        "requiredActions": {"SS": ["manual"]},
        "priority": {"N": "2"},
        "estimatedResolutionTime": {"N": "15"},
    }
    assert classification_item(record(classification=None)) is None


def test_an_execution_has_the_attributes_that_others_read() -> None:
    times = {"startTime": {"S": "2026-11-24T07:45:00Z"}, "endTime": {"S": "2026-11-24T07:46:00Z"}}
    done = {"status": {"S": "completed"}, **times}
    assert execution_items(RECORD) == [
        {
            "id": {"S": f"{INCIDENT_UID}-1"},
            "planId": {"S": PLAN_UID},
            "startTime": {"S": "2026-11-24T07:45:00Z"},
            "endTime": {"S": "2026-11-24T07:54:00Z"},
            "status": {"S": "completed"},
            "steps": {
                "L": [
                    {"M": {"order": {"N": "1"}, "action": {"S": "health_check"}, "output": {"S": ""}, **done}},
                    {
                        "M": {
                            "order": {"N": "2"},
                            "action": {"S": "scale_out"},
                            "output": {"S": "Passed: 5 of 5 tasks run"},
                            **done,
                        }
                    },
                ]
            },
            "metrics": {"M": {"error_rate": {"M": {"before": {"N": "0.37"}, "after": {"N": "0.01"}}}}},
            "incidentId": {"S": INCIDENT_UID},
            "runbook": {"S": "traffic-surge"},
        }
    ]


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        (PlanPhase.COMPLETED, "completed"),
        (PlanPhase.ROLLED_BACK, "rolled_back"),
        (PlanPhase.FAILED, "failed"),
        (PlanPhase.ROLLBACK_FAILED, "failed"),
        (PlanPhase.CANCELLED, "failed"),
        (PlanPhase.VERIFYING, "in_progress"),
    ],
)
def test_every_end_of_a_plan_has_its_word(phase: PlanPhase, status: str) -> None:
    (item,) = execution_items(record("a", plan_record(phase)))
    assert item["status"] == {"S": status}


def test_plans_that_never_began_are_no_executions() -> None:
    assert execution_items(record("a", plan_record(PlanPhase.EXPIRED, started_at=None))) == []


def test_an_undone_step_is_told() -> None:
    (item,) = execution_items(record("a", plan_record(PlanPhase.ROLLED_BACK, steps=(step(undone=True),))))
    assert item["steps"]["L"][0]["M"]["status"] == {"S": "rolled_back"}
    (read,) = read_execution(item)[1].steps
    assert (read.undone, read.status) == (True, OperationPhase.COMPLETED)


@given(records())
def test_what_is_written_is_read_again(written: IncidentRecord) -> None:
    read = read_incident(incident_item(written, YEAR))
    lost = {"namespace": "", "name": "", "new_revision_at_fault": None, "classification": None, "signature": ()}
    known = written.model_copy(update={**lost, "plans": (), "description": read.description, "metrics": read.metrics})
    assert read == known.model_copy(update={"affected_resources": read.affected_resources})
    assert [(m.name, Decimal(m.value)) for m in read.metrics] == [(m.name, Decimal(m.value)) for m in written.metrics]


@given(records())
def test_items_are_what_dynamodb_takes(written: IncidentRecord) -> None:
    found = classification_item(written)
    for item in (incident_item(written, YEAR), *execution_items(written), *([found] if found else [])):
        _check(item)


@pytest.mark.parametrize(
    ("value", "number"), [("1" + "0" * 37, "1" + "0" * 37), ("1" + "0" * 38, "1E+38"), ("-9" + "0" * 40, "-9E+40")]
)
def test_numbers_with_more_digits_than_dynamodb_takes_have_an_exponent(value: str, number: str) -> None:
    assert _number(value) == {"N": number}
    assert Decimal(number) == Decimal(value)


def _check(item: Item) -> None:
    for value in item.values():
        ((kind, raw),) = value.items()
        match kind:
            case "S":
                assert isinstance(raw, str)
            case "N":
                assert isinstance(raw, str)
                assert Decimal(raw).is_finite()
                assert len(Decimal(raw).as_tuple().digits) <= 38
            case "SS":
                assert raw
                assert len(set(raw)) == len(raw)
            case "M":
                _check(raw)
            case "L":
                for element in raw:
                    _check({"element": element})
            case _:
                raise AssertionError(kind)


def test_the_largest_items_fit() -> None:
    metrics = tuple(MetricRecord(name=f"{i:063}", value="-" + "9" * 31) for i in range(64))
    steps = tuple(step("a" * 63, output="界" * 300) for _ in range(64))
    largest = record(
        "i" * 255,
        *(plan_record(steps=steps, metrics=metrics) for _ in range(3)),
        description="界" * 2048,
        metrics=metrics,
        affected_resources=("界" * 1024,) * 64,
    )
    assert all(size(item) < 400_000 for item in [incident_item(largest, YEAR), *execution_items(largest)])


def test_items_of_another_system_are_read_as_far_as_they_go() -> None:
    read = read_incident(OLD)
    assert (read.id, read.service, read.severity, read.root_cause) == ("INC-2023-001", "orders", Severity.MEDIUM, None)
    assert read.detected_at == datetime(2023, 5, 1, 10, 0, 0, 123456, UTC)
    assert (read.resolved_at, read.resolution_minutes, read.environment) == (None, None, "production")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"type": {"S": "SERVICE_DOWN"}}, {"type": "service_down"}),
        ({"timestamp": {"S": "2023-05-01T12:00:00+02:00"}}, {"detected_at": datetime(2023, 5, 1, 10, tzinfo=UTC)}),
        ({"resolutionMinutes": {"N": "12.5"}}, {"resolution_minutes": "12.5"}),
        ({"resolutionMinutes": {"S": "12"}}, {"resolved_at": datetime(2023, 5, 1, 10, 12, 0, 123456, UTC)}),
        ({"resolutionMinutes": {"N": "soon"}}, {"resolution_minutes": None}),
        ({"resolvedAt": {"S": "2023-05-01T10:30:00.123456Z"}}, {"resolution_minutes": "30"}),
        ({"rootCause": {"S": "db pool"}, "outcome": {"S": "success"}}, {"root_cause": "db pool", "outcome": "success"}),
        ({"affectedResources": {"SS": ["a"]}}, {"affected_resources": ("a",)}),
        ({"severity": {"S": "SEV1"}}, {"severity": Severity.MEDIUM}),
        ({"metrics": {"M": {"cpu": {"N": "1E+2"}, "odd": {"BOOL": True}}}}, {"metrics": CPU}),
        ({"metrics": {"S": "none"}}, {"metrics": ()}),
    ],
)  # fmt: skip
def test_strange_attributes_do_no_harm(changes: Item, expected: dict[str, Any]) -> None:
    read = read_incident({**OLD, **changes})
    assert {name: getattr(read, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("minutes", "kept"),
    [
        ("-1e20", "0"),
        ("1700000000000", str(MAX_MINUTES)),
        ("1e20", str(MAX_MINUTES)),
        ("1e400", None),
        ("NaN", None),
        ("12.5", "12.5"),
    ],
)
@pytest.mark.parametrize("resolved_at", [{}, {"resolvedAt": {"S": "2023-05-01T11:00:00Z"}}])
def test_no_incident_took_as_long_as_an_item_may_say(minutes: str, kept: str | None, resolved_at: Item) -> None:
    found = read_incident(
        {**OLD, "rootCause": {"S": "TrafficSurge"}, "resolutionMinutes": {"N": minutes}} | resolved_at
    )
    if kept is not None:
        assert found.resolution_minutes == kept
    alike = incident(type="service_down", serviceRef={"name": "orders"})
    assert find_similar(alike, RootCause.TRAFFIC_SURGE, (), [found]).count == (found.resolved_at is not None)


@pytest.mark.parametrize(
    "timestamp", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "2999-12-31T00:00:00Z"]
)
def test_a_time_that_cannot_be_reckoned_with_is_a_bad_item(timestamp: str) -> None:
    with pytest.raises(ValueError, match=r"millennium|ISO 8601"):
        read_incident({**OLD, "timestamp": {"S": timestamp}, "resolutionMinutes": {"N": "9999999"}})


def test_a_timestamp_without_an_offset_is_utc_wherever_the_operator_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        assert read_incident(OLD).detected_at == datetime(2023, 5, 1, 10, 0, 0, 123456, UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"type": {"S": "fire"}}, "fire"),
        ({"timestamp": {"S": "yesterday"}}, "yesterday"),
        ({"timestamp": {"N": "1682935200"}}, "1682935200"),
        ({"service": {"NULL": True}}, "service"),
        ({"id": {"S": " "}}, "id"),
    ],
)
def test_an_item_without_its_essentials_is_told(changes: Item, why: str) -> None:
    with pytest.raises(BadItem, match=why):
        read_incident({**OLD, **changes})
    with pytest.raises(BadItem):
        read_incident({})


def test_executions_of_another_system_are_read_as_far_as_they_go() -> None:
    old: Item = {"incidentId": {"S": "INC-1"}, "startTime": {"S": "2023-05-01T10:00:00Z"}, "status": {"S": "Completed"}}
    incident, plan = read_execution(old)
    assert (incident, plan.outcome, plan.steps, plan.runbook) == ("INC-1", PlanPhase.COMPLETED, (), None)
    for missing in old:
        with pytest.raises(BadItem):
            read_execution({name: value for name, value in old.items() if name != missing})
    with pytest.raises(BadItem, match="paused"):
        read_execution({**old, "status": {"S": "paused"}})


def test_steps_come_in_their_order() -> None:
    steps = [
        {"M": {"order": {"N": n}, "action": {"S": a}}} for n, a in (("10", "last"), ("9", "middle"), ("1", "first"))
    ]
    item = {**execution_items(RECORD)[0], "steps": {"L": [*steps, {"M": {}}, {"S": "noise"}]}}
    assert [s.action for s in read_execution(item)[1].steps] == ["first", "middle", "last"]


def test_classifications_of_another_system_are_read_as_far_as_they_go() -> None:
    incident, read = read_classification({"incidentId": {"S": "INC-1"}, "priority": {"N": "77"}})
    assert (incident, read.category, read.priority, read.impact_level) == ("INC-1", "Unknown", 5, Severity.MEDIUM)
    with pytest.raises(BadItem):
        read_classification({})


_values = st.recursive(
    st.one_of(
        st.text(max_size=20).map(lambda text: {"S": text}),
        st.text(max_size=20).map(lambda text: {"N": text}),
        st.just({"NULL": True}),
        st.lists(st.text(max_size=5), min_size=1, max_size=3).map(lambda texts: {"SS": texts}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(st.text(max_size=8), inner, max_size=3).map(lambda values: {"M": values}),
    ),
    max_leaves=8,
)
_NAMES = sorted({*incident_item(RECORD, YEAR), *execution_items(RECORD)[0], *(classification_item(RECORD) or ())})


@given(st.dictionaries(st.sampled_from(_NAMES), _values, max_size=8))
def test_whatever_an_item_holds_it_is_read_or_told(item: Item) -> None:
    for read, essentials in ((read_incident, OLD), (read_classification, {}), (read_execution, {})):
        for asked in (item, {**item, **essentials}, {**essentials, **item}):
            try:
                read(asked)
            except ValueError:
                continue


def test_what_ends_up_in_a_table_says_when_it_goes() -> None:
    assert incident_item(RECORD, MINUTE)["ttl"] == {"N": str(int((NOW + MINUTE).timestamp()))}
    escalated = RECORD.model_copy(update={"resolved_at": None, "outcome": Outcome.ESCALATED})
    item = incident_item(escalated, MINUTE)
    assert "resolvedAt" not in item
    assert item["timestamp"] == {"S": format_timestamp(RECORD.detected_at)}
