"""Every preset on metrics, against the data that AWS really publishes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.fields import parse_duration
from bokgu.api.observed import LogMetric, Metric, Series
from bokgu.api.protected_service import ApiGatewayReference, ProtectedServiceStatus
from bokgu.api.vocabulary import DetectionState, IncidentType, Preset, Severity
from bokgu.core.detection import Reading, evaluate_watch, lowest_threshold, update_detection
from bokgu.core.presets import BALANCER_PRESETS, SERVICE_PRESETS, STATE_PRESETS, build_watch, find_inapplicable
from bokgu.core.service_state import STATE_CONDITIONS
from bokgu.core.voices import Voice, merge_voices
from bokgu.core.watch import Watch
from tests.unit.facts import MINUTE, NOW, Raw, incident, preset_watch, protected_service, target_group

FIRING, CLEAR, UNKNOWN = DetectionState.FIRING, DetectionState.CLEAR, DetectionState.UNKNOWN
BLUE, GREEN = target_group("blue", pair="green"), target_group("green", pair="blue")
Minutes = Sequence[float | None]
"""One value a period, oldest first; None where CloudWatch has no datapoint."""
Metrics = Mapping[str, Minutes]


def published(watch: Watch, metrics: Metrics, now: datetime = NOW) -> dict[str, Series]:
    """What CloudWatch answers when the last value of each metric is of the last settled period."""
    found = {}
    for query in watch.queries:
        period = parse_duration(query.period)
        end = int((now - watch.settle).timestamp()) // int(period.total_seconds()) * int(period.total_seconds())
        values = metrics.get(query.name, ())
        start = datetime.fromtimestamp(end, now.tzinfo) - len(values) * period
        points = tuple((start + i * period, value) for i, value in enumerate(values) if value is not None)
        found[query.name] = Series(points, int(period.total_seconds()))
    return found


def say(
    watch: Watch, metrics: Metrics, *, firing: frozenset[str] = frozenset(), now: datetime = NOW
) -> dict[str, Reading]:
    """What every condition of the watch says."""
    found = published(watch, metrics, now)
    return evaluate_watch(watch, found, firing=firing, now=now)


def findings(watch: Watch, metrics: Metrics) -> dict[str, Severity]:
    """What is told to people, by condition."""
    return {name: reading.severity for name, reading in say(watch, metrics).items() if reading.severity}


def dimensions_of(watch: Watch, query: str) -> dict[str, str]:
    source = watch.sources[query]
    assert isinstance(source, Metric)
    return dict(source.dimensions)


# The table


API = {"type": "REST", "name": "orders", "stage": "prod"}


RATES = ("0.05", "0.1", "0.3")


@pytest.mark.parametrize(
    ("preset", "settings", "type_", "numbers"),
    [
        ("alb-target-5xx", {}, "high_error_rate", (RATES, "3/5", "2/3", "0.02")),
        ("alb-elb-5xx", {}, "service_down", ((None, "0.1", "0.3"), "2/3", None, None)),
        ("alb-no-target", {}, "service_down", ((None, None, "0"), "2/2", None, None)),
        ("alb-unhealthy", {}, "service_down", (("1", None, None), "3/3", None, None)),
        (
            "alb-latency",
            {"detection": {"latencyLimit": "1.5"}},
            "resource_exhaustion",
            (("1.5", None, None), "5/5", None, None),
        ),
        ("apigw-rest", {"apiGateway": API}, "high_error_rate", (RATES, "3/5", "2/3", "0.02")),
        ("apigw-http", {"apiGateway": {"type": "HTTP", "id": "a"}}, "high_error_rate", (RATES, "3/5", "2/3", "0.02")),
        ("ecs-cpu", {}, "resource_exhaustion", (("85", "95", None), "5/5", None, None)),
        ("ecs-memory", {}, "resource_exhaustion", (("90", "95", None), "3/5", None, None)),
        ("ecs-disk", {}, "resource_exhaustion", (("85", "95", None), "3/5", None, None)),
        (
            "sqs-age",
            {"detection": {"queue": {"name": "orders", "maxAge": "5m"}}},
            "resource_exhaustion",
            (("300", "600", None), "5/5", None, None),
        ),
        (
            "log-corruption",
            {"detection": {"corruption": {"pattern": "checksum mismatch"}}, "logGroup": "/ecs/api"},
            "data_corruption",
            ((None, "1", None), "1/5", None, None),
        ),
    ],
)
def test_every_preset_is_as_the_table_says(preset: str, settings: Raw, type_: str, numbers: tuple[object, ...]) -> None:
    condition = preset_watch(preset, groups=[BLUE], **settings).conditions[0]
    limits, sooner = condition.thresholds, condition.critical_evaluation
    assert condition.type == type_
    assert numbers == (
        (limits.medium, limits.high, limits.critical),
        f"{condition.datapoints_to_alarm}/{condition.evaluation_periods}",
        sooner and f"{sooner.datapoints_to_alarm}/{sooner.evaluation_periods}",
        condition.clear_threshold,
    )


def test_every_preset_is_implemented_once() -> None:
    kinds = [set(BALANCER_PRESETS), set(SERVICE_PRESETS), set(STATE_CONDITIONS)]
    assert set().union(*kinds) == set(Preset)
    assert sum(len(kind) for kind in kinds) == len(Preset)
    assert set(STATE_CONDITIONS) == STATE_PRESETS


def everything(*groups: str) -> Watch:
    """All presets on these target groups, each two of which are a pair behind a load balancer of their own."""
    balanced = [target_group(name, balancer=f"app/web/{i // 2}") for i, name in enumerate(groups)]
    return preset_watch(
        *(p for p in Preset if p is not Preset.APIGW_HTTP),
        groups=balanced,
        apiGateway=API,
        logGroup="/ecs/api",
        detection={
            "latencyLimit": "1",
            "queue": {"name": "orders", "maxAge": "5m"},
            "corruption": {"namespace": "Shop", "metricName": "Corrupted"},
        },
    )


@pytest.mark.parametrize("groups", [(), ("blue",), ("blue", "green")])
def test_all_presets_together_have_unique_names_and_name_only_their_own_queries(groups: tuple[str, ...]) -> None:
    one = everything(*groups)
    names = [c.name for c in one.conditions]
    assert len(names) == len(set(names))
    known = {q.name for q in one.queries}
    for condition in one.conditions:
        ratio = condition.ratio
        used = {condition.query} if ratio is None else {ratio.numerator, ratio.denominator}
        assert {*used, *(v.query for v in condition.min_volumes)} <= known
        assert one.period(condition) == MINUTE
        assert lowest_threshold(condition.thresholds)


def test_a_preset_that_is_named_twice_counts_once() -> None:
    one = preset_watch("ecs-cpu", "ecs-cpu")
    assert len(one.conditions) == 1


def test_without_data_no_preset_says_anything_is_wrong() -> None:
    assert findings(everything("blue", "green"), {}) == {}


def test_s12_what_the_presets_say_fits_into_the_status() -> None:
    groups = [f"group-{i}" for i in range(10)]
    detections = [
        update_detection(None, name, Reading(UNKNOWN), NOW).to_dict()
        for name in [c.name for c in everything(*groups).conditions] + [c.name for c in STATE_CONDITIONS.values()]
    ]
    ProtectedServiceStatus.model_validate({"detections": detections})


@cache
def pair_watch(period: str) -> Watch:
    """All presets whose limits are no lengths of time, on a blue/green pair."""
    presets = [p for p in Preset if p not in {Preset.SQS_AGE, Preset.LOG_CORRUPTION, Preset.APIGW_HTTP}]
    return preset_watch(*presets, groups=[BLUE, GREEN], period=period, apiGateway=API, detection={"latencyLimit": "60"})


@given(
    period=st.sampled_from(["1s", "10s", "1m", "5m"]),
    values=st.lists(st.sampled_from([None, 0.0, 1.0, 2.0, 50.0, 90.0, 100.0, 1000.0]), min_size=12, max_size=12),
    shift=st.integers(0, 11),
    firing=st.booleans(),
)
def test_every_preset_decides_the_same_whatever_the_length_of_a_period(
    period: str, values: list[float | None], shift: int, firing: bool
) -> None:
    def decide(length: str) -> dict[str, Reading]:
        one = pair_watch(length)
        metrics: Metrics = {
            q.name: values[i * shift % 12 :] + values[: i * shift % 12] for i, q in enumerate(one.queries)
        }
        names = frozenset(c.name for c in one.conditions) if firing else frozenset()
        found = say(one, metrics, firing=names)
        # When it began is a moment: so many periods ago.
        return {name: replace(reading, begun=None) for name, reading in found.items()}

    assert decide(period) == decide("1m")


# Load balancer: errors of targets


def test_errors_of_targets_are_a_share_of_their_requests() -> None:
    one = preset_watch("alb-target-5xx", groups=[BLUE])
    (condition,) = one.conditions
    sources = one.sources
    dimensions = (("LoadBalancer", "app/web/1a2b"), ("TargetGroup", "targetgroup/blue/0123"))
    assert sources["errors"] == Metric("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", dimensions, "Sum", 60)
    assert sources["requests"] == Metric("AWS/ApplicationELB", "RequestCount", dimensions, "Sum", 60)
    assert condition.ratio
    assert not condition.ratio.include_numerator
    good: Metrics = {"requests": [200.0] * 5, "errors": [None] * 5}
    bad: Metrics = {"requests": [200.0] * 5, "errors": [None, None, 80.0, 80.0, 80.0]}
    assert say(one, good)["error_rate"].state is CLEAR
    assert findings(one, bad) == {"error_rate": Severity.CRITICAL}


@pytest.mark.parametrize(
    ("requests", "errors"),
    [
        ([None] * 5, [None] * 5),
        ([3.0, None, None, 1.0, None], [2.0, None, None, 1.0, None]),
        ([19.0] * 5, [9.0] * 5),
        ([100.0] * 5, [None, None, 3.0, 3.0, 3.0]),
    ],
    ids=["nobody", "three", "95 requests", "nine errors"],
)
def test_a_night_without_traffic_wakes_nobody(requests: Minutes, errors: Minutes) -> None:
    one = preset_watch("alb-target-5xx", groups=[BLUE])
    assert findings(one, {"requests": requests, "errors": errors}) == {}


def test_a_night_without_traffic_is_unknown() -> None:
    assert say(preset_watch("alb-target-5xx", groups=[BLUE]), {})["error_rate"].state is UNKNOWN


def test_a_bad_canary_shows_on_its_own_target_group() -> None:
    one = preset_watch("alb-target-5xx", groups=[GREEN, BLUE])
    assert [c.name for c in one.conditions] == ["error_rate", "error_rate_2"]
    assert dimensions_of(one, "errors_2")["TargetGroup"] == "targetgroup/green/0123"
    metrics: Metrics = {
        "requests": [900.0] * 5,
        "errors": [None] * 5,
        "requests_2": [100.0] * 5,
        "errors_2": [None, None, 45.0, 45.0, 45.0],
    }
    diluted = 135 / 3000
    assert diluted < 0.05
    assert findings(one, metrics) == {"error_rate_2": Severity.CRITICAL}


@given(order=st.permutations([BLUE, GREEN, target_group("red")]))
def test_the_order_in_which_ecs_lists_target_groups_makes_no_difference(order: list[object]) -> None:
    one = preset_watch("alb-target-5xx", groups=order)  # type: ignore[arg-type]
    assert one == preset_watch("alb-target-5xx", groups=[BLUE, GREEN, target_group("red")])


def test_after_a_healthy_swap_the_other_half_is_watched_too() -> None:
    one = preset_watch("alb-target-5xx", groups=[BLUE, GREEN])
    before: Metrics = {"requests": [900.0] * 5, "errors": [None] * 5}
    after: Metrics = {"requests_2": [900.0] * 5, "errors_2": [None] * 5}
    assert findings(one, before) == findings(one, after) == {}
    bad: Metrics = {"requests_2": [900.0] * 5, "errors_2": [None, None, 90.0, 90.0, 100.0]}
    assert findings(one, bad) == {"error_rate_2": Severity.MEDIUM}


def test_errors_of_a_canary_are_over_when_its_traffic_has_gone_back() -> None:
    """After a rollback the second target group gets no requests any more; the first serves all of them well."""
    one = preset_watch("alb-target-5xx", groups=[BLUE, GREEN])
    metrics: Metrics = {"requests": [900.0] * 40, "errors": [None] * 40, "requests_2": [], "errors_2": []}
    readings = say(one, metrics, firing=frozenset({"error_rate_2"}))
    trouble = incident(source={"kind": "Preset", "name": "api", "condition": "error_rate_2"})
    old = update_detection(None, "error_rate_2", Reading(FIRING, Severity.HIGH, 0.4), NOW - 40 * MINUTE)
    said = update_detection(old, "error_rate_2", readings["error_rate_2"], NOW)
    merged = merge_voices(trouble, [Voice(one.source("error_rate_2"), said)])
    assert merged
    assert merged.state is CLEAR


# Load balancer: its own errors


def balancer(requests: Minutes, errors: Minutes) -> dict[str, Minutes]:
    return {"balancer_requests": requests, "balancer_errors": errors}


def test_in_a_total_outage_only_the_load_balancers_own_errors_are_left() -> None:
    one = preset_watch("alb-target-5xx", "alb-elb-5xx", groups=[BLUE])
    assert dimensions_of(one, "balancer_errors") == {"LoadBalancer": "app/web/1a2b"}
    targets: dict[str, Minutes] = {"requests": [500.0, None, None], "errors": [None] * 3}
    outage = targets | balancer([500.0, None, None], [None, 480.0, 470.0])
    assert findings(one, outage) == {"balancer_error_rate": Severity.CRITICAL}


@pytest.mark.parametrize(
    ("requests", "errors", "found"),
    [
        ([None] * 3, [None] * 3, {}),
        ([500.0] * 3, [None] * 3, {}),
        ([500.0] * 3, [30.0] * 3, {}),
        ([500.0] * 3, [None, 70.0, 70.0], {"balancer_error_rate": Severity.HIGH}),
        ([None] * 3, [19.0] * 3, {}),
        ([10.0] * 3, [10.0] * 3, {"balancer_error_rate": Severity.CRITICAL}),
        ([500.0] * 3, [None, None, 400.0], {}),
    ],
)
def test_the_load_balancers_own_errors_are_a_share_of_all_that_it_was_asked(
    requests: Minutes, errors: Minutes, found: dict[str, Severity]
) -> None:
    assert findings(preset_watch("alb-elb-5xx", groups=[BLUE]), balancer(requests, errors)) == found


def test_the_errors_of_a_shared_load_balancer_prove_nothing_about_one_service() -> None:
    shared = target_group("blue", shared=True)
    one = preset_watch("alb-elb-5xx", "alb-target-5xx", groups=[shared])
    assert [c.name for c in one.conditions] == ["error_rate"]
    assert find_inapplicable([Preset.ALB_ELB_5XX, Preset.ALB_TARGET_5XX], (shared,)).keys() == {Preset.ALB_ELB_5XX}


def test_a_load_balancer_of_a_pair_is_asked_once_and_two_are_asked_each() -> None:
    pair = preset_watch("alb-elb-5xx", groups=[BLUE, GREEN])
    assert [c.name for c in pair.conditions] == ["balancer_error_rate"]
    two = preset_watch("alb-elb-5xx", groups=[BLUE, target_group("internal", balancer="app/internal/9f")])
    assert len({two.sources[q.name] for q in two.queries}) == 4


@pytest.mark.parametrize("period", ["1s", "1m"])
@given(begun=st.integers(0, 59))
def test_a_total_outage_is_critical_at_most_four_whole_periods_later(period: str, begun: int) -> None:
    """Looks once a period. The first period of the outage is partly good; `settle` is two periods."""
    one = preset_watch("alb-elb-5xx", groups=[BLUE], period=period)
    length = parse_duration(period)
    start = NOW + begun / 60 * length
    share = 1 - begun / 60

    def at(moment: datetime) -> tuple[float | None, float | None]:
        if moment < NOW:
            return 100.0, None
        if moment < NOW + length:
            return 100.0 * (1 - share), 100.0 * share
        return None, 100.0

    for look in range(1, 12):
        now = NOW + look * length
        points = [at(NOW + n * length) for n in range(look - 12, look - 2)]
        metrics = balancer([p[0] for p in points], [p[1] for p in points])
        reading = say(one, metrics, now=now)["balancer_error_rate"]
        if reading.severity is Severity.CRITICAL:
            assert (now - start) / length <= 4 + 1  # The first whole period of it begins up to one later.
            return
    pytest.fail("the outage was never found")


# Load balancer: targets


def test_no_healthy_target_is_critical_after_two_periods() -> None:
    one = preset_watch("alb-no-target", groups=[BLUE])
    assert one.queries[0].stat == "Maximum"
    assert findings(one, {"healthy": [3.0, 0.0]}) == {}
    assert findings(one, {"healthy": [3.0, 0.0, 0.0]}) == {"healthy_targets": Severity.CRITICAL}
    assert say(one, {})["healthy_targets"].state is UNKNOWN


def test_the_idle_half_of_a_blue_green_pair_is_no_outage() -> None:
    """After a swap the old tasks are deregistered: the load balancer says 0 healthy, or nothing and 0 when asked."""
    one = preset_watch("alb-no-target", groups=[BLUE, GREEN])
    assert findings(one, {"healthy": [3.0] * 5, "healthy_2": [0.0] * 5}) == {}


def test_a_pair_with_no_healthy_target_on_either_half_is_an_outage() -> None:
    one = preset_watch("alb-no-target", groups=[BLUE, GREEN])
    assert Severity.CRITICAL in findings(one, {"healthy": [0.0] * 5, "healthy_2": [0.0] * 5}).values()


@pytest.mark.parametrize(
    ("unhealthy", "healthy", "found"),
    [
        ([0.0] * 3, [3.0] * 3, {}),
        ([None] * 3, [None] * 3, {}),
        ([1.0] * 3, [3.0] * 3, {"unhealthy_targets": Severity.MEDIUM}),
        ([1.0, 0.0, 1.0], [3.0] * 3, {}),
        ([2.0] * 3, [2.0] * 3, {"unhealthy_targets": Severity.MEDIUM, "unhealthy_share": Severity.HIGH}),
        ([3.0] * 3, [0.0] * 3, {"unhealthy_targets": Severity.MEDIUM, "unhealthy_share": Severity.HIGH}),
        ([3.0] * 3, [None] * 3, {"unhealthy_targets": Severity.MEDIUM, "unhealthy_share": Severity.HIGH}),
        ([0.0] * 3, [0.0] * 3, {}),
    ],
)
def test_an_unhealthy_target_is_medium_and_half_of_them_high(
    unhealthy: Minutes, healthy: Minutes, found: dict[str, Severity]
) -> None:
    one = preset_watch("alb-unhealthy", groups=[BLUE])
    assert {q.name: q.stat for q in one.queries} == {"unhealthy": "Minimum", "healthy": "Maximum"}
    assert findings(one, {"unhealthy": unhealthy, "healthy": healthy}) == found


def test_latency_has_no_default_limit_and_is_medium_when_it_lasts() -> None:
    one = preset_watch("alb-latency", groups=[BLUE], detection={"latencyLimit": "1.5"})
    assert one.queries[0].stat == "p99"
    assert findings(one, {"latency": [1.6] * 4 + [1.5]}) == {}
    assert findings(one, {"latency": [1.6] * 5}) == {"latency_p99": Severity.MEDIUM}


def test_a_target_group_that_no_load_balancer_uses_is_not_watched_and_the_user_is_told() -> None:
    idle = target_group("blue", balancer="")
    one = preset_watch("alb-target-5xx", groups=[idle])
    assert one.queries == ()
    assert one.lookback == one.settle
    presets = [Preset.ALB_TARGET_5XX, Preset.ECS_CPU]
    assert find_inapplicable(presets, (idle,)).keys() == {Preset.ALB_TARGET_5XX}
    assert find_inapplicable(presets, ()).keys() == {Preset.ALB_TARGET_5XX}
    assert find_inapplicable(presets, (idle, GREEN)) == {}


# API Gateway


@pytest.mark.parametrize(
    ("name", "id_", "published_as"),
    [
        ("orders", None, "orders"),
        ("orders", "a1b2", "orders"),
        ("orders-주문", "a1b2", "orders-"),
        ("주문api", "a1b2", "api"),
        ("주문", "a1b2", "a1b2"),
        ("주문 관리", "a1b2", "a1b2"),
        ("café", "a1b2", "caf"),
    ],
)
def test_a_rest_api_is_looked_for_under_the_name_that_cloudwatch_keeps(
    name: str, id_: str | None, published_as: str
) -> None:
    api = {"type": "REST", "name": name, "stage": "prod"} | ({"id": id_} if id_ else {})
    one = preset_watch("apigw-rest", apiGateway=api)
    for query in one.queries:
        assert {d.name: d.value for d in query.dimensions} == {"ApiName": published_as, "Stage": "prod"}
    assert ApiGatewayReference.model_validate(api).name == name


def test_the_average_of_a_rest_api_already_is_the_rate() -> None:
    one = preset_watch("apigw-rest", apiGateway=API)
    assert {(q.metric_name, q.stat) for q in one.queries} == {("5XXError", "Average"), ("Count", "SampleCount")}
    assert one.conditions[0].ratio is None
    bad: dict[str, Minutes] = {"api_errors": [0.0, 0.0, 0.12, 0.12, 0.12], "api_requests": [50.0] * 5}
    assert findings(one, bad) == {"api_error_rate": Severity.HIGH}
    assert findings(one, bad | {"api_requests": [10.0] * 5}) == {}
    assert say(one, bad | {"api_requests": []})["api_error_rate"].state is UNKNOWN
    assert say(one, {})["api_error_rate"].state is UNKNOWN


def test_an_http_api_counts_its_errors_and_only_when_there_are_any() -> None:
    one = preset_watch("apigw-http", apiGateway={"type": "HTTP", "id": "a1b2", "stage": "$default"})
    assert {(q.metric_name, q.stat) for q in one.queries} == {("5xx", "Sum"), ("Count", "Sum")}
    assert {d.name: d.value for d in one.queries[0].dimensions} == {"ApiId": "a1b2", "Stage": "$default"}
    assert say(one, {"api_requests": [200.0] * 5})["api_error_rate"].state is CLEAR
    assert findings(one, {"api_requests": [200.0] * 5, "api_errors": [None, None, 30.0, 30.0, 30.0]}) == {
        "api_error_rate": Severity.HIGH
    }


def test_without_a_stage_all_stages_count() -> None:
    one = preset_watch("apigw-http", apiGateway={"type": "HTTP", "id": "a1b2"})
    assert [d.name for d in one.queries[0].dimensions] == ["ApiId"]


# ECS


def test_metrics_of_a_cluster_named_by_arn_carry_its_name() -> None:
    one = preset_watch("ecs-cpu", ecs={"cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/shop", "service": "api"})
    assert {d.name: d.value for d in one.queries[0].dimensions} == {"ClusterName": "shop", "ServiceName": "api"}


@pytest.mark.parametrize(
    ("preset", "query", "values", "found"),
    [
        ("ecs-cpu", "cpu", [86.0] * 5, {"cpu_utilization": Severity.MEDIUM}),
        ("ecs-cpu", "cpu", [100.0] * 5, {"cpu_utilization": Severity.HIGH}),
        ("ecs-cpu", "cpu", [100.0] * 4 + [85.0], {}),
        ("ecs-cpu", "cpu", [100.0, None, 100.0, 100.0, 100.0], {}),
        ("ecs-memory", "memory", [0.0, 96.0, 0.0, 96.0, 96.0], {"memory_utilization": Severity.HIGH}),
        ("ecs-memory", "memory", [91.0] * 5, {"memory_utilization": Severity.MEDIUM}),
        ("ecs-disk", "volume", [86.0] * 5, {"volume_utilization": Severity.MEDIUM}),
        (
            "ecs-restart-in-place",
            "restarts",
            [1.0, None, None, 1.0, None, 2.0],
            {"container_restarts": Severity.MEDIUM},
        ),
        ("ecs-restart-in-place", "restarts", [1.0, None, None, 1.0, None, None], {}),
    ],
)
def test_exhaustion_is_told_when_it_lasts(preset: str, query: str, values: Minutes, found: dict[str, Severity]) -> None:
    assert findings(preset_watch(preset), {query: values}) == found


def test_an_exhausted_cpu_alone_is_never_critical() -> None:
    assert all(c.thresholds.critical is None for c in preset_watch("ecs-cpu", "ecs-memory", "ecs-disk").conditions)


def test_the_disk_of_a_task_is_what_it_uses_of_what_it_reserved() -> None:
    one = preset_watch("ecs-disk")
    used: Metrics = {"disk_used": [18.0] * 5, "disk_size": [20.0] * 5}
    assert findings(one, used) == {"disk_utilization": Severity.MEDIUM}
    assert {r.state for r in say(one, {}).values()} == {UNKNOWN}


def test_a_container_that_is_never_restarted_is_clear_though_nothing_is_published() -> None:
    assert say(preset_watch("ecs-restart-in-place"), {})["container_restarts"].state is CLEAR


def test_a_queue_is_late_by_the_users_limit_and_high_by_twice_that() -> None:
    one = preset_watch("sqs-age", detection={"queue": {"name": "orders", "maxAge": "90s"}})
    assert findings(one, {"message_age": [91.0] * 5}) == {"oldest_message": Severity.MEDIUM}
    assert findings(one, {"message_age": [181.0] * 5}) == {"oldest_message": Severity.HIGH}
    assert findings(one, {"message_age": [91.0] * 4}) == {}


# Corrupted data


def corruption(**sign: str) -> Watch:
    return preset_watch("log-corruption", logGroup="/ecs/api", detection={"corruption": sign})


def test_one_sign_of_corrupted_data_is_enough() -> None:
    one = corruption(namespace="Shop", metricName="Corrupted")
    assert findings(one, {"corruption": [0.0, 0.0, 1.0]}) == {"corruption_signs": Severity.HIGH}
    assert say(one, {})["corruption_signs"].state is CLEAR
    assert one.conditions[0].type is IncidentType.DATA_CORRUPTION


def test_a_pattern_is_counted_in_the_log_group_of_the_service() -> None:
    assert corruption(pattern='"checksum mismatch"').sources["corruption"] == LogMetric(
        "/ecs/api", '"checksum mismatch"', 60
    )


def test_s10_a_sign_of_corruption_is_not_lost_because_a_look_was_late() -> None:
    """A new leader, a throttled call, an interval of two minutes: the last look was three minutes ago."""
    one = corruption(namespace="Shop", metricName="Corrupted")
    assert findings(one, {"corruption": [0.0, 1.0, 0.0, 0.0]}) == {"corruption_signs": Severity.HIGH}


def test_windows_stretch_with_the_period() -> None:
    one = preset_watch("alb-target-5xx", groups=[BLUE], period="10s")
    assert one.conditions[0].clear_after == "50s"
    assert one.lookback == timedelta(seconds=20 + 50 + 20)


def test_a_service_without_presets_asks_nothing() -> None:
    one = build_watch(protected_service(), (BLUE,))
    assert (one.queries, one.conditions) == ((), ())
