"""CloudWatch: stored samples, statistics, GetMetricData and its limits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .cloudwatch import MAX_SAMPLES, Series
from .harness import Json, Scene

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
