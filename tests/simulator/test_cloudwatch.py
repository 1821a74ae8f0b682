"""CloudWatch: stored samples, statistics, GetMetricData and its limits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from . import cloudwatch_api
from .clock import Clock
from .cloudwatch import MAX_SAMPLES, MetricName, MetricStore, Sample, Series
from .harness import Json, Scene
from .metric_conditions import MetricConditions

NOON = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)


def _put(scene: Scene, name: str, offset: float, **value: Any) -> None:
    datum = {"MetricName": name, "Timestamp": NOON + timedelta(seconds=offset), **value}
    scene.cloudwatch.put_metric_data(Namespace="App", MetricData=[datum])


def _query(id_: str, name: str, stat: str = "Sum", period: int = 60, namespace: str = "App") -> Json:
    metric = {"Namespace": namespace, "MetricName": name}
    return {"Id": id_, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


def _get(scene: Scene, *queries: Json, start: float = 0, end: float = 300, **options: Any) -> dict[str, Json]:
    answer = scene.cloudwatch.get_metric_data(
        MetricDataQueries=list(queries),
        StartTime=NOON + timedelta(seconds=start),
        EndTime=NOON + timedelta(seconds=end),
        **{"ScanBy": "TimestampAscending", **options},
    )
    return {result["Id"]: result for result in answer["MetricDataResults"]}


@pytest.mark.parametrize(
    ("stat", "value"),
    [
        ("Sum", 10.0),
        ("Average", 2.5),
        ("Minimum", 1.0),
        ("Maximum", 4.0),
        ("SampleCount", 4.0),
        ("p50", 2.0),
        ("p99", 4.0),
    ],
)
def test_statistics_of_one_period(scene: Scene, stat: str, value: float) -> None:
    """User guide, "CloudWatch statistics definitions"."""
    for number in (1, 2, 3, 4):
        _put(scene, "m", number, Value=number)
    result = _get(scene, _query("m", "m", stat))["m"]
    assert (result["Timestamps"], result["Values"], result["StatusCode"]) == ([NOON], [value], "Complete")


def test_values_with_counts_and_statistic_sets(scene: Scene) -> None:
    """PutMetricData: Values and Counts support percentiles; over statistic sets there are none."""
    _put(scene, "counted", 1, Values=[1.0, 100.0], Counts=[9.0, 1.0])
    _put(scene, "set", 1, StatisticValues={"SampleCount": 10, "Sum": 109, "Minimum": 1, "Maximum": 100})
    results = _get(
        scene,
        _query("a", "counted"),
        _query("b", "counted", "p90"),
        _query("c", "set"),
        _query("d", "set", "Maximum"),
        _query("e", "set", "p90"),
    )
    assert [results[id_]["Values"] for id_ in "abcde"] == [[109.0], [1.0], [109.0], [100.0], []]


def test_range_is_half_open_and_periods_are_aligned(scene: Scene) -> None:
    """GetMetricData: StartTime is inclusive and rounded down, EndTime is exclusive."""
    for offset in (0, 59, 60, 120):
        _put(scene, "m", offset, Value=1)
    result = _get(scene, _query("m", "m"), start=30, end=120)["m"]
    assert (result["Timestamps"], result["Values"]) == ([NOON, NOON + timedelta(seconds=60)], [2.0, 1.0])
    newest_first = _get(scene, _query("m", "m"), ScanBy="TimestampDescending")["m"]
    assert newest_first["Values"] == [1.0, 1.0, 2.0]
    fine = _get(scene, _query("m", "m", period=1), end=60)["m"]
    assert fine["Timestamps"] == [NOON, NOON + timedelta(seconds=59)]


def test_periods_are_counted_from_the_minute_of_the_start(scene: Scene) -> None:
    """boto/boto3#3457."""
    _put(scene, "m", 300, Value=1)
    for start, begins in ((0, 300), (60, 60), (130, 120)):
        result = _get(scene, _query("m", "m", period=300), start=start, end=900)["m"]
        assert result["Timestamps"] == [NOON + timedelta(seconds=begins)]


def test_namespace_and_dimensions_match_exactly(scene: Scene) -> None:
    """User guide, "Dimensions": each unique combination of dimensions is a separate metric."""
    dimension = [{"Name": "Service", "Value": "web"}]
    _put(scene, "m", 0, Value=1, Dimensions=dimension)
    query = _query("m", "m")
    assert _get(scene, query)["m"]["Values"] == []
    query["MetricStat"]["Metric"]["Dimensions"] = dimension
    assert _get(scene, query)["m"]["Values"] == [1.0]
    query["MetricStat"]["Metric"]["Namespace"] = "Other"
    assert _get(scene, query)["m"]["Values"] == []


def test_expression_uses_hidden_queries_and_has_no_token(scene: Scene) -> None:
    """MetricDataQuery.ReturnData; "NextToken is not returned if you are performing a math expression"."""
    for offset in (0, 60):
        _put(scene, "requests", offset, Value=200)
    _put(scene, "errors", 0, Value=50)
    hidden = {**_query("e", "errors"), "ReturnData": False}
    results = _get(
        scene,
        hidden,
        _query("r", "requests"),
        {"Id": "ratio", "Expression": "FILL(e, 0) / r", "Label": "error ratio"},
        end=120,
        MaxDatapoints=1,
    )
    assert results.keys() == {"r", "ratio"}
    assert (results["ratio"]["Label"], results["ratio"]["Values"]) == ("error ratio", [0.25, 0.0])


def test_expressions_build_on_each_other(scene: Scene) -> None:
    """MetricDataQuery: "can also use the Id of other expressions"; a period is inherited, or given."""
    for offset in (0, 60, 120, 180):
        _put(scene, "m", offset, Value=1)
    chain = [{"Id": f"e{n}", "Expression": f"e{n - 1} + e{n - 2} - e{n - 2}"} for n in range(2, 60)]
    first: list[Json] = [{"Id": "e0", "Expression": "m * 1"}, {"Id": "e1", "Expression": "m * 2"}]
    wide = {"Id": "wide", "Expression": "TIME_SERIES(1)", "Period": 120}
    results = _get(scene, _query("m", "m"), *first, *chain, wide, end=240)
    assert results["e59"]["Values"] == [2.0] * 4
    times = results["wide"]["Timestamps"]
    assert times[1] - times[0] == timedelta(seconds=120)


def test_datapoints_are_paged_for_plain_queries(scene: Scene) -> None:
    """GetMetricData: MaxDatapoints, NextToken, and PartialData for what was cut."""
    for offset in (0, 60, 120):
        _put(scene, "a", offset, Value=1)
        _put(scene, "b", offset, Value=2)
    paginator = scene.cloudwatch.get_paginator("get_metric_data")
    pages = list(
        paginator.paginate(
            MetricDataQueries=[_query("a", "a"), _query("b", "b")],
            StartTime=NOON,
            EndTime=NOON + timedelta(minutes=5),
            MaxDatapoints=4,
        )
    )
    assert [r["StatusCode"] for r in pages[0]["MetricDataResults"]] == ["Complete", "PartialData"]
    assert [value for page in pages for r in page["MetricDataResults"] for value in r["Values"]] == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    "queries",
    [
        [_query(f"m{number}", "m") for number in range(501)],
        [_query("m", "m"), _query("m", "m")],
        [_query("M", "m")],
        [_query("m", "m", period=7)],
        [_query("m", "m", stat="p101")],
        [{"Id": "e", "Expression": "1 + "}],
        [{"Id": "e", "Expression": "e + 1"}],
        [{"Id": "e", "Expression": "f"}, {"Id": "f", "Expression": "g"}, {"Id": "g", "Expression": "f"}],
        [{"Id": "e", "Expression": "1 + 1"}],
        [{"Id": "e", "Expression": "(" * 2000}],
    ],
)
def test_bad_queries_are_refused(scene: Scene, queries: list[Json]) -> None:
    """GetMetricData: at most 500 queries, unique ids from a lowercase letter on, known periods and statistics."""
    with pytest.raises(ClientError) as caught:
        _get(scene, *queries)
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_codes_are_those_of_the_query_protocol(scene: Scene) -> None:
    """CloudWatch is awsQueryCompatible: SDKs see InvalidParameterCombination, not the name of the shape."""
    with pytest.raises(scene.cloudwatch.exceptions.InvalidParameterCombinationException) as caught:
        _put(scene, "m", 0)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterCombination"


def test_get_metric_statistics(scene: Scene) -> None:
    """GetMetricStatistics: simple and extended statistics of one metric."""
    for number in (1, 3):
        _put(scene, "m", number, Value=number, Unit="Count")
    times = {"StartTime": NOON, "EndTime": NOON + timedelta(minutes=1)}
    point = scene.cloudwatch.get_metric_statistics(
        Namespace="App", MetricName="m", Period=60, Statistics=["Average", "Sum"], **times
    )["Datapoints"][0]
    assert (point["Average"], point["Sum"], point["Unit"]) == (2.0, 4.0, "Count")
    point = scene.cloudwatch.get_metric_statistics(
        Namespace="App", MetricName="m", Period=60, ExtendedStatistics=["p99"], **times
    )["Datapoints"][0]
    assert point["ExtendedStatistics"] == {"p99": 3.0}


def test_list_metrics_filters(scene: Scene) -> None:
    """ListMetrics: a dimension filter without a value matches any value."""
    for value in ("web", "api"):
        _put(scene, "m", 0, Value=1, Dimensions=[{"Name": "Service", "Value": value}])
    _put(scene, "other", 0, Value=1)
    listed = scene.cloudwatch.list_metrics(Namespace="App", Dimensions=[{"Name": "Service"}])["Metrics"]
    assert [metric["Dimensions"][0]["Value"] for metric in listed] == ["api", "web"]


def test_series_are_bounded_and_take_late_samples() -> None:
    """GetMetricData: fine points are "available for 3 hours"; PutMetricData accepts older time stamps."""
    series = Series()
    for second in range(3 * MAX_SAMPLES):
        series.add(float(second), 1.0)
    assert len(series.times) <= 2 * MAX_SAMPLES
    series.add(series.times[0] + 0.5, 5.0)
    assert list(series.times) == sorted(series.times)
    series.forget_before(series.times[-1])
    assert list(series.aggregate(0, 1e9, 60, "SampleCount")) == [(32340.0, 1.0)]


def test_page_size_is_limited_by_the_service(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """GetMetricData: "MaxDatapoints ... If you omit this, the default of 100,800 is used", which is the limit too."""
    monkeypatch.setattr(cloudwatch_api, "MAX_DATAPOINTS", 2)
    for offset in (0, 60, 120):
        _put(scene, "a", offset, Value=1)
    times = {"StartTime": NOON, "EndTime": NOON + timedelta(minutes=5)}
    for options in ({}, {"MaxDatapoints": 1000}):
        first = scene.cloudwatch.get_metric_data(MetricDataQueries=[_query("a", "a")], **times, **options)
        assert [len(result["Values"]) for result in first["MetricDataResults"]] == [2]
        rest = scene.cloudwatch.get_metric_data(
            MetricDataQueries=[_query("a", "a")], NextToken=first["NextToken"], **times, **options
        )
        assert [len(result["Values"]) for result in rest["MetricDataResults"]] == [1]
        assert "NextToken" not in rest


@pytest.mark.parametrize(
    "datum",
    [
        {"Value": 2.0**361},
        {"Values": [float(number) for number in range(151)]},
        {"Values": [1.0, 2.0], "Counts": [1.0]},
        {"Value": 1.0, "Dimensions": [{"Name": f"d{number}", "Value": "x"} for number in range(31)]},
        {"Value": 1.0, "Timestamp": datetime.now(UTC) - timedelta(days=15)},
        {"Value": 1.0, "Timestamp": datetime.now(UTC) + timedelta(hours=3)},
    ],
)
def test_bad_data_are_refused_as_a_whole(scene: Scene, datum: Json) -> None:
    """PutMetricData: 150 values, 30 dimensions, -2^360 to 2^360, two weeks back and two hours ahead."""
    with pytest.raises(ClientError) as caught:
        scene.cloudwatch.put_metric_data(
            Namespace="App", MetricData=[{"MetricName": "good", "Value": 1.0}, {"MetricName": "bad", **datum}]
        )
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
    assert scene.cloudwatch.list_metrics(Namespace="App")["Metrics"] == []


@pytest.mark.parametrize(("code", "values"), [("Forbidden", []), ("InternalError", []), ("PartialData", [1.0])])
def test_reads_can_be_denied_or_cut_short(scene: Scene, code: Any, values: list[float]) -> None:
    """MetricDataResult.StatusCode; others, and their own statistics, are not touched."""
    for offset in (0, 60):
        _put(scene, "a", offset, Value=1)
        _put(scene, "b", offset, Value=1)
    scene.control.refuse_metrics(code, namespace="App", metric_name="a")
    results = _get(scene, _query("a", "a"), _query("b", "b"))
    assert (results["a"]["StatusCode"], results["a"]["Values"]) == (code, values)
    assert results["a"]["Messages"][0]["Code"] == code
    assert (results["b"]["StatusCode"], results["b"]["Values"]) == ("Complete", [1.0, 1.0])
    math = _get(scene, _query("a", "a"), _query("b", "b"), {"Id": "e", "Expression": "b * 2"})
    assert (math["a"]["StatusCode"], math["e"]["StatusCode"]) == (code, "Complete")
    assert _get(scene, _query("a", "a"), {"Id": "e", "Expression": "FILL(a, 0)"})["e"]["StatusCode"] == code
    scene.control.clear_metric_conditions()
    assert _get(scene, _query("a", "a"))["a"]["StatusCode"] == "Complete"


class _StoppedClock(Clock):
    def __init__(self, speed: float) -> None:
        super().__init__(speed)
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time


def test_late_points_and_gaps() -> None:
    """User guide, "Metrics concepts": CloudWatch can deliver late; the last minutes fill in afterwards."""
    clock = _StoppedClock(speed=60)
    conditions = MetricConditions(clock)
    store = MetricStore(conditions)
    late, plain = MetricName("App", "late", ()), MetricName("App", "plain", ())
    conditions.add(metric_name="late", delivery_delay=120)
    for metric in (late, plain):
        store.publish(metric, "Count", Sample(clock.time - 1, 5.0), clock.time)
    store.deliver(clock.time + 1.9)
    assert [name.name for name in store.names()] == ["plain"]
    store.deliver(clock.time + 2.1)
    assert [name.name for name in store.names()] == ["late", "plain"]
    conditions.add(namespace="App", gap=True, seconds=600)
    store.publish(plain, "Count", Sample(clock.time, 7.0), clock.time)
    clock.time += 10.1
    store.publish(plain, "Count", Sample(clock.time, 9.0), clock.time)
    series = store.get(plain)
    assert series is not None
    assert list(series.values) == [5.0, 9.0]
    assert [condition.delivery_delay for condition in conditions.find()] == [120]


@pytest.mark.parametrize(
    "condition", [{}, {"status_code": "Complete"}, {"delivery_delay": -1}, {"gap": True, "colour": 1}]
)
def test_nonsense_conditions_are_refused(condition: dict[str, Any]) -> None:
    """They would do nothing, silently."""
    with pytest.raises((TypeError, ValueError)):
        MetricConditions(Clock()).add(**condition)
