import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import IncidentMetric, IncidentSource
from bokgu.api.vocabulary import DetectionState, IncidentType, Severity, SourceKind
from bokgu.core.alertmanager import Unroutable, build_statement, parse_notification
from bokgu.core.event import MalformedMessage
from bokgu.core.finding import build_incident
from bokgu.core.statement import Statement
from tests.unit.test_alarm_event import JSON

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
LABELS = {
    "alertname": "HighErrorRate",
    "bokgu_service": "api",
    "bokgu_type": "high_error_rate",
    "namespace": "shop",
    "severity": "critical",
}


def alert(labels: dict[str, str | None] | None = None, **members: Any) -> dict[str, Any]:
    merged = {name: value for name, value in {**LABELS, **(labels or {})}.items() if value is not None}
    return {
        "status": "firing",
        "labels": merged,
        "annotations": {"summary": "too many errors"},
        "startsAt": "2026-11-24T07:58:03.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "b8ec9cbd2ad7b9b6",
        **members,
    }


def body(*alerts: dict[str, Any], **members: Any) -> bytes:
    content = {
        "version": "4",
        "groupKey": '{}:{alertname="HighErrorRate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "bokgu",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
        **members,
    }
    return json.dumps(content).encode()


def read(one: dict[str, Any], now: datetime = NOW) -> Statement | Unroutable:
    (parsed,) = parse_notification(body(one)).alerts
    return build_statement(parsed, now)


def said(one: dict[str, Any], now: datetime = NOW) -> Statement:
    statement = read(one, now)
    assert isinstance(statement, Statement), statement
    return statement


def test_a_firing_alert_is_a_finding() -> None:
    statement = said(alert())
    finding = statement.finding
    assert (statement.state, statement.repeats) == (DetectionState.FIRING, True)
    assert (finding.namespace, finding.service) == ("shop", "api")
    assert (finding.type, finding.severity) == (IncidentType.HIGH_ERROR_RATE, Severity.CRITICAL)
    source = IncidentSource(kind=SourceKind.ALERTMANAGER, name="HighErrorRate", condition="b8ec9cbd2ad7b9b6")
    assert finding.source == source
    assert finding.at == datetime(2026, 11, 24, 7, 58, 3, 123456, tzinfo=UTC)
    assert finding.metrics == ()
    assert finding.description == "alert HighErrorRate: too many errors"


def test_a_resolved_alert_is_a_clear_from_when_it_ended() -> None:
    statement = said(alert(status="resolved", endsAt="2026-11-24T07:59:00Z"))
    assert (statement.state, statement.finding.at) == (DetectionState.CLEAR, NOW - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"bokgu_service": None}, "bokgu_service"),
        ({"namespace": None}, "bokgu_namespace nor namespace"),
        ({"bokgu_type": None}, "bokgu_type is missing, and must be one of service_down, high_error_rate"),
        ({"bokgu_type": "slow"}, "bokgu_type is slow"),
    ],
)
def test_alerts_that_do_not_say_what_they_are_about_are_named(labels: dict[str, str | None], reason: str) -> None:
    found = read(alert(labels))
    assert isinstance(found, Unroutable)
    assert found.alert == "HighErrorRate"
    assert reason in found.reason


def test_our_own_namespace_label_counts_over_the_usual_one() -> None:
    assert said(alert({"bokgu_namespace": "ops"})).finding.namespace == "ops"


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", "critical"),
        ("Page", "critical"),
        ("high", "high"),
        ("warning", "medium"),
        ("info", "low"),
        ("P1", "high"),
        (None, "high"),
    ],
)
def test_severities_of_all_houses(word: str | None, severity: str) -> None:
    assert said(alert({"severity": word})).finding.severity == severity


@pytest.mark.parametrize(
    ("annotations", "value"),
    [
        ({"bokgu_value": "0.37", "bokgu_threshold": "0.1"}, "0.37"),
        ({"bokgu_value": "1.2e+06", "bokgu_threshold": "5"}, "1200000"),
        ({"bokgu_value": "37 %", "bokgu_threshold": "0.1"}, None),
        ({"bokgu_value": "NaN", "bokgu_threshold": "0.1"}, None),
        ({"bokgu_value": "0.37"}, None),
        ({"value": "0.37", "threshold": "0.1"}, None),
    ],
)
def test_numbers_are_taken_from_annotations_and_never_made_up(annotations: dict[str, str], value: str | None) -> None:
    metrics = said(alert(annotations=annotations)).finding.metrics
    assert [m.value for m in metrics] == ([value] if value else [])


def test_a_unit_is_kept() -> None:
    annotations = {"bokgu_value": "91", "bokgu_threshold": "80", "bokgu_unit": "Percent"}
    assert said(alert(annotations=annotations)).finding.metrics == (
        IncidentMetric(name="HighErrorRate", value="91", unit="Percent", threshold="80"),
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a notification"),
        (body(alert(), version="3"), "version"),
        (body(alert(status="maybe")), "status"),
        (body(alert() | {"labels": 7}), "labels"),
        (body(alert(startsAt="0001-01-01T00:00:00Z")), "startsAt"),
        (body(alert(fingerprint="")), "fingerprint"),
        (body(alert(endsAt="2026-11-24T07:59:00")), "endsAt"),
    ],
)
def test_malformed_bodies_say_where(content: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        parse_notification(content)


@given(
    content=st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_any_body_is_a_notification_or_malformed(content: bytes) -> None:
    try:
        parse_notification(content)
    except MalformedMessage as error:
        found = error
    else:
        return
    assert 0 < len(str(found)) <= 300


@given(
    labels=st.dictionaries(st.text(), st.text()),
    annotations=st.dictionaries(
        st.sampled_from(["summary", "bokgu_value", "bokgu_threshold", "bokgu_unit"]), st.text()
    ),
)
def test_any_labels_make_a_valid_incident_or_an_unroutable_alert(
    labels: dict[str, str], annotations: dict[str, str]
) -> None:
    routed = {**labels, "bokgu_service": "api", "bokgu_type": "service_down", "namespace": "shop"}
    encoded = json.dumps({"a": alert(dict(routed), annotations=annotations)}, ensure_ascii=False)
    try:
        encoded.encode()
    except UnicodeEncodeError:
        return
    found = read(json.loads(encoded)["a"])
    assert isinstance(found, Statement)
    build_incident(found.finding, "")
