import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import IncidentMetric, IncidentSource
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import DetectionState, IncidentType, Severity, SourceKind
from bokgu.core.alarm_event import build_statements, parse_alarm
from bokgu.core.event import MalformedMessage, parse_event
from bokgu.core.finding import build_incident
from bokgu.core.statement import Statement
from tests.world import events

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
GROUP = "targetgroup/api/73e2d6bc24d8a067"
BALANCER = "app/api/73e2d6bc24d8a067"
ELB = "AWS/ApplicationELB"


def service(
    name: str = "api", *, group: str | None = GROUP, shared: bool = False, account: str = "123456789012", **spec: Any
) -> ProtectedService:
    observed = {
        "desiredCount": 3,
        "runningCount": 3,
        "pendingCount": 0,
        "taskDefinition": f"arn:aws:ecs:us-east-1:{account}:task-definition/{name}:1",
        "targetGroups": [
            {
                "arn": f"arn:aws:elasticloadbalancing:us-east-1:{account}:{group}",
                "loadBalancer": BALANCER,
                "shared": shared,
            }
        ]
        if group
        else [],
    }
    return ProtectedService.model_validate(
        {
            "metadata": {"name": name, "namespace": "shop", "uid": name},
            "spec": {"region": "us-east-1", "ecs": {"cluster": "shop", "service": name}, **spec},
            "status": {"service": observed},
        }
    )


def hear(body: dict[str, Any], *services: ProtectedService) -> tuple[Statement, ...]:
    event = parse_event(json.dumps(body))
    return build_statements(event, parse_alarm(event), services or (service(),), NOW + timedelta(days=3650))


def subjects(body: dict[str, Any], *services: ProtectedService) -> list[str]:
    return [statement.finding.service for statement in hear(body, *services)]


def test_alarm_on_a_service_is_a_finding_with_what_was_measured() -> None:
    at = datetime(2026, 11, 24, 8, 0, 1, 234000, tzinfo=UTC)
    (said,) = hear(events.alarm("cpu", at=at, metrics=[events.cpu_of("api")], datapoints=[80.0, 96.54321, None]))
    finding = said.finding
    assert (said.state, said.repeats, finding.at) == (DetectionState.FIRING, False, at)
    assert (finding.namespace, finding.service) == ("shop", "api")
    assert (finding.type, finding.severity) == (IncidentType.RESOURCE_EXHAUSTION, Severity.HIGH)
    assert finding.source == IncidentSource(kind=SourceKind.ALARM, name="cpu")
    assert finding.metrics == (IncidentMetric(name="CPUUtilization", value="96.5432", unit="None", threshold="90"),)
    assert "Threshold Crossed" in finding.description
    assert build_incident(finding, "").spec.to_dict()["detectedAt"] == "2026-11-24T08:00:01Z"


def test_ok_is_a_clear_and_after_insufficient_data_it_knows_no_more() -> None:
    (said,) = hear(events.alarm("cpu", "OK", metrics=[events.cpu_of("api")]))
    assert said.state is DetectionState.CLEAR
    (said,) = hear(events.alarm("cpu", "INSUFFICIENT_DATA", metrics=[events.cpu_of("api")]))
    assert said.state is DetectionState.UNKNOWN


def test_alarms_of_target_tracking_mean_no_trouble() -> None:
    name = "TargetTracking-service/shop/api-AlarmLow-0b1c"
    assert hear(events.alarm(name, metrics=[events.cpu_of("api")])) == ()


def test_alarm_wrapped_by_a_topic_is_the_same() -> None:
    body = events.alarm("cpu", metrics=[events.cpu_of("api")])
    assert hear(events.wrap_by_sns(body)) == hear(body)


def test_a_reference_says_type_and_severity_and_wins_over_the_metric() -> None:
    named = service(detection={"alarms": [{"name": "odd", "type": "data_corruption", "severity": "critical"}]})
    (said,) = hear(events.alarm("odd", metrics=[events.cpu_of("other")]), named, service("other"))
    assert (said.finding.service, said.finding.type) == ("api", IncidentType.DATA_CORRUPTION)
    assert said.finding.severity is Severity.CRITICAL


def test_a_composite_alarm_counts_only_by_reference() -> None:
    assert hear(events.alarm("any-of-them")) == ()
    named = service(detection={"alarms": [{"name": "any-of-them", "type": "service_down"}]})
    (said,) = hear(events.alarm("any-of-them"), named)
    assert said.finding.severity is Severity.HIGH


@pytest.mark.parametrize(
    ("namespace", "name", "dimensions", "type_"),
    [
        (ELB, "HTTPCode_Target_5XX_Count", {"TargetGroup": GROUP, "LoadBalancer": BALANCER}, "high_error_rate"),
        (ELB, "UnHealthyHostCount", {"TargetGroup": GROUP, "LoadBalancer": "app/other/1"}, "service_down"),
        (ELB, "HTTPCode_ELB_5XX_Count", {"LoadBalancer": BALANCER}, "service_down"),
        (ELB, "TargetResponseTime", {"LoadBalancer": BALANCER}, "resource_exhaustion"),
        ("AWS/ECS", "MemoryUtilization", {"ClusterName": "shop", "ServiceName": "api"}, "resource_exhaustion"),
        ("ECS/ContainerInsights", "RunningTaskCount", {"ClusterName": "shop", "ServiceName": "api"}, "service_down"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": "orders"}, "resource_exhaustion"),
        ("AWS/ApiGateway", "5XXError", {"ApiName": "orders-api", "Stage": "prod"}, "high_error_rate"),
    ],
)
def test_the_metric_tells_service_and_type(namespace: str, name: str, dimensions: dict[str, str], type_: str) -> None:
    mine = service(
        detection={"queue": {"name": "orders", "maxAge": "5m"}}, apiGateway={"type": "REST", "name": "orders-api"}
    )
    (said,) = hear(
        events.alarm("one", metrics=[events.metric(namespace, name, dimensions)]), mine, service("b", group=None)
    )
    assert (said.finding.service, said.finding.type) == ("api", type_)


@pytest.mark.parametrize(
    ("gateway", "dimensions", "matches"),
    [
        ({"type": "REST", "name": "주문-api", "id": "a1b2"}, {"ApiName": "-api"}, True),
        ({"type": "REST", "name": "주문", "id": "a1b2"}, {"ApiName": "a1b2"}, True),
        ({"type": "REST", "name": "주문", "id": "a1b2"}, {"ApiName": "-api"}, False),
        ({"type": "HTTP", "id": "a1b2"}, {"ApiId": "a1b2", "Stage": "$default"}, True),
        ({"type": "HTTP", "id": "a1b2"}, {"ApiId": "zzzz"}, False),
        ({"type": "REST", "name": "api", "stage": "prod"}, {"ApiName": "api", "Stage": "test"}, False),
        ({"type": "REST", "name": "api", "stage": "prod"}, {"ApiName": "api"}, True),
        ({"type": "REST", "name": "api"}, {}, False),
    ],
)
def test_apis_are_found_by_the_name_that_cloudwatch_gives_them(
    gateway: dict[str, str], dimensions: dict[str, str], matches: bool
) -> None:
    metric = events.metric("AWS/ApiGateway", "5XXError", dimensions)
    assert bool(hear(events.alarm("api", metrics=[metric]), service(apiGateway=gateway))) is matches


def test_a_load_balancer_tells_nothing_where_it_serves_several() -> None:
    metric = events.metric(ELB, "HTTPCode_ELB_5XX_Count", {"LoadBalancer": BALANCER})
    body = events.alarm("lb", metrics=[metric])
    assert subjects(body, service()) == ["api"]
    assert subjects(body, service(shared=True)) == []
    assert subjects(body, service(), service("b", group="targetgroup/b/1")) == []


@pytest.mark.parametrize("change", [{"account": "999999999999"}, {"region": "eu-west-1"}])
def test_alarms_of_other_accounts_and_regions_are_not_ours(change: dict[str, str]) -> None:
    body = events.alarm("cpu", metrics=[events.cpu_of("api")])
    assert subjects(body) == ["api"]
    assert subjects(body | change) == []


def test_the_account_of_the_role_counts_over_what_ecs_said() -> None:
    body = events.alarm("cpu", metrics=[events.cpu_of("api")])
    away = service(roleArn="arn:aws:iam::210987654321:role/bokgu")
    assert subjects(body, away) == []
    assert subjects(body | {"account": "210987654321"}, away) == ["api"]


def test_metric_math_is_about_the_service_that_all_its_metrics_are_about() -> None:
    expression = {"id": "e1", "expression": "100*(m1/m2)", "returnData": True}
    parts = [
        events.metric(ELB, name, {"TargetGroup": GROUP}, returned=False)
        for name in ("HTTPCode_Target_5XX_Count", "RequestCount")
    ]
    (said,) = hear(events.alarm("share", metrics=[expression, *parts], datapoints=[12.0]))
    assert said.finding.type is IncidentType.HIGH_ERROR_RATE
    assert said.finding.metrics == ()  # Whose value it is has no name.
    foreign = events.metric("AWS/ECS", "RequestCount", {"ClusterName": "shop", "ServiceName": "b"}, returned=False)
    assert (
        hear(events.alarm("share", metrics=[expression, parts[0], foreign]), service(), service("b", group=None)) == ()
    )


def test_a_metric_that_nobody_knows_opens_nothing() -> None:
    metric = events.metric("AWS/ECS", "RequestCount", {"ClusterName": "shop", "ServiceName": "api"})
    assert hear(events.alarm("load", metrics=[metric])) == ()


@pytest.mark.parametrize(
    "data",
    [
        "",
        "no json",
        '{"recentDatapoints": ["x"]}',
        '{"threshold": 1}',
        "[]",
        '{"recentDatapoints":[NaN],"threshold":1}',
    ],
)
def test_unreadable_reason_data_is_left_out(data: str) -> None:
    body = events.alarm("cpu", metrics=[events.cpu_of("api")])
    body["detail"]["state"]["reasonData"] = data
    (said,) = hear(body)
    assert said.finding.metrics == ()


def test_a_clock_that_is_ahead_does_not_make_the_rest_old() -> None:
    body = events.alarm("cpu", at=NOW + timedelta(hours=1), metrics=[events.cpu_of("api")])
    event = parse_event(json.dumps(body))
    (said,) = build_statements(event, parse_alarm(event), [service()], NOW)
    assert said.finding.at == NOW


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("detail",), None),
        (("detail", "alarmName"), 7),
        (("detail", "alarmName"), ""),
        (("detail", "state", "value"), "PANIC"),
        (("detail", "state", "timestamp"), "yesterday"),
        (("detail", "state", "timestamp"), "0001-01-01T00:00:00Z"),
        (("detail", "configuration"), "none"),
        (("account",), 123),
        (("time",), "soon"),
    ],
)
def test_malformed_events_say_where(path: tuple[str, ...], value: object) -> None:
    body = events.alarm("cpu", metrics=[events.cpu_of("api")])
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(MalformedMessage) as caught:
        hear(body)
    assert path[-1] in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(body=st.text() | JSON.map(json.dumps))
def test_whatever_lies_in_the_queue_is_an_event_or_malformed(body: str) -> None:
    try:
        parse_event(body)
    except MalformedMessage as error:
        found = error
    else:
        return
    assert 0 < len(str(found)) <= 300


@given(
    path=st.sampled_from(
        [
            ("detail",),
            ("detail", "state"),
            ("detail", "configuration"),
            ("detail", "alarmName"),
            ("detail", "state", "reasonData"),
            ("detail", "configuration", "metrics"),
            ("resources",),
            ("time",),
        ]
    ),
    value=JSON,
)
def test_an_alarm_with_anything_anywhere_is_a_valid_incident_or_malformed(path: tuple[str, ...], value: object) -> None:
    body = events.alarm("cpu", metrics=[events.cpu_of("api")], datapoints=[95.0])
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    try:
        said = hear(json.loads(json.dumps(body)))
    except MalformedMessage:
        return
    for statement in said:
        build_incident(statement.finding, "")


def test_deep_nesting_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="not JSON"):
        parse_event("[" * 100_000)
