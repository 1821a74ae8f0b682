"""CloudWatch Logs on a running simulator: events, pages, and metric filters."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from . import logs_api
from .harness import Json, Scene


class Stream:
    """A log stream, and what one does with it."""

    def __init__(self, scene: Scene) -> None:
        self.logs = scene.client("logs")
        self.logs.create_log_group(logGroupName="/ecs/web")
        self.logs.create_log_stream(logGroupName="/ecs/web", logStreamName="app/1")
        self.now = int(time.time() * 1000)

    def put(self, *messages: str, ago: int = 0) -> Json:
        """Store messages, a millisecond apart, the first `ago` milliseconds ago."""
        events = [{"timestamp": self.now - ago + n, "message": message} for n, message in enumerate(messages)]
        answer: Json = self.logs.put_log_events(logGroupName="/ecs/web", logStreamName="app/1", logEvents=events)
        return answer

    def filter(self, **options: Any) -> Json:
        """FilterLogEvents."""
        found: Json = self.logs.filter_log_events(logGroupName="/ecs/web", **options)
        return found


@pytest.fixture
def stream(scene: Scene) -> Stream:
    return Stream(scene)


def _messages(answer: Json) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_events_are_filtered_by_pattern_time_and_stream(stream: Stream) -> None:
    """FilterLogEvents: startTime and endTime are included; streams by name or by prefix."""
    stream.put("ERROR one", "fine", "ERROR two")
    stream.put("ERROR old", ago=60_000)
    assert _messages(stream.filter(filterPattern="ERROR")) == ["ERROR old", "ERROR one", "ERROR two"]
    assert _messages(stream.filter(filterPattern="ERROR -one", startTime=stream.now)) == ["ERROR two"]
    assert _messages(stream.filter(startTime=stream.now, endTime=stream.now + 1)) == ["ERROR one", "fine"]
    assert _messages(stream.filter(logStreamNamePrefix="app/")) == ["ERROR old", "ERROR one", "fine", "ERROR two"]
    assert _messages(stream.filter(logStreamNamePrefix="other")) == []
    assert _messages(stream.filter(startFromHead=False, limit=1)) == ["ERROR two"]
    event = stream.filter(limit=1)["events"][0]
    assert (event["logStreamName"], len(event["eventId"])) == ("app/1", 56)


def test_pages_of_filtered_events(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """FilterLogEvents: limit, nextToken; a page can be empty and still have a token."""
    stream.put(*(f"line {number}" for number in range(7)))
    pages = list(
        stream.logs.get_paginator("filter_log_events").paginate(
            logGroupName="/ecs/web", PaginationConfig={"PageSize": 3}
        )
    )
    assert [len(page["events"]) for page in pages] == [3, 3, 1]
    monkeypatch.setattr(logs_api, "MAX_SCANNED_PER_PAGE", 3)
    first = stream.filter(filterPattern='"line 5"')
    assert first["events"] == []
    assert _messages(stream.filter(filterPattern='"line 5"', nextToken=first["nextToken"])) == ["line 5"]


def test_events_of_a_stream_forth_and_back(stream: Stream) -> None:
    """GetLogEvents: without a token the newest; "at the end of the stream, it returns the same token you passed in"."""
    stream.put(*(f"line {number}" for number in range(5)))
    names = {"logGroupName": "/ecs/web", "logStreamName": "app/1"}
    newest = stream.logs.get_log_events(**names, limit=2)
    assert _messages(newest) == ["line 3", "line 4"]
    before = stream.logs.get_log_events(**names, limit=2, nextToken=newest["nextBackwardToken"])
    assert _messages(before) == ["line 1", "line 2"]
    end = stream.logs.get_log_events(**names, nextToken=newest["nextForwardToken"])
    assert (_messages(end), end["nextForwardToken"]) == ([], newest["nextForwardToken"])
    assert _messages(stream.logs.get_log_events(**names, startFromHead=True, limit=1)) == ["line 0"]


def test_batches_have_rules(stream: Stream) -> None:
    """PutLogEvents: in order, within 24 hours; not older than 14 days, not more than two hours ahead."""
    answer = stream.put("too old", ago=15 * 86_400_000)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    answer = stream.put("too new", ago=-3 * 3_600_000)
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}
    assert stream.filter()["events"] == []
    for events in (
        [{"timestamp": stream.now, "message": "b"}, {"timestamp": stream.now - 1, "message": "a"}],
        [{"timestamp": stream.now - 90_000_000, "message": "a"}, {"timestamp": stream.now, "message": "b"}],
    ):
        with pytest.raises(stream.logs.exceptions.InvalidParameterException):
            stream.logs.put_log_events(logGroupName="/ecs/web", logStreamName="app/1", logEvents=events)
    with pytest.raises(stream.logs.exceptions.ResourceNotFoundException):
        stream.logs.put_log_events(
            logGroupName="/ecs/web", logStreamName="none", logEvents=[{"timestamp": stream.now, "message": "a"}]
        )


def test_groups_and_streams_are_described(stream: Stream) -> None:
    """DescribeLogGroups by prefix and in pages; DescribeLogStreams by time of the last event."""
    stream.put("line")
    for name in ("/ecs/api", "/other"):
        stream.logs.create_log_group(logGroupName=name)
    pages = list(
        stream.logs.get_paginator("describe_log_groups").paginate(
            logGroupNamePrefix="/ecs/", PaginationConfig={"PageSize": 1}
        )
    )
    assert [group["logGroupName"] for page in pages for group in page["logGroups"]] == ["/ecs/api", "/ecs/web"]
    stream.logs.create_log_stream(logGroupName="/ecs/web", logStreamName="app/0")
    listed = stream.logs.describe_log_streams(logGroupName="/ecs/web", orderBy="LastEventTime", descending=True)
    assert [found["logStreamName"] for found in listed["logStreams"]] == ["app/1", "app/0"]
    with pytest.raises(stream.logs.exceptions.ResourceAlreadyExistsException):
        stream.logs.create_log_group(logGroupName="/other")
    stream.logs.delete_log_group(logGroupName="/other")
    with pytest.raises(stream.logs.exceptions.ResourceNotFoundException):
        stream.logs.describe_log_streams(logGroupName="/other")


def test_containers_can_write(scene: Scene, stream: Stream) -> None:
    """What ECS tasks say arrives like anything else."""
    with scene.server.simulation.visit() as place:
        place.ecs.log("/ecs/web", "app/2", "panic: out of memory")
    assert _messages(stream.filter(filterPattern="panic")) == ["panic: out of memory"]


def _read_metric(scene: Scene, name: str, **dimensions: str) -> dict[str, float] | None:
    now = time.time()
    found = scene.cloudwatch.get_metric_statistics(
        Namespace="App",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - 120,
        EndTime=now + 60,
        Period=300,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    return {name: found[0][name] for name in ("Sum", "SampleCount")} if found else None


def _wait_metric(scene: Scene, name: str, **dimensions: str) -> dict[str, float]:
    deadline = time.monotonic() + 15
    while (found := _read_metric(scene, name, **dimensions)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def _put_filter(stream: Stream, name: str, pattern: str, value: str = "1", **members: Any) -> None:
    stream.logs.put_metric_filter(
        logGroupName="/ecs/web",
        filterName=name,
        filterPattern=pattern,
        metricTransformations=[{"metricName": name, "metricNamespace": "App", "metricValue": value, **members}],
    )


def test_metric_filters_feed_metrics(minute_a_second: Scene) -> None:
    """User guide, "Creating metrics from log events using filters": counts, default value, extracted values."""
    stream = Stream(minute_a_second)
    _put_filter(stream, "corrupt", "corruption", defaultValue=0)
    _put_filter(stream, "absent", "absent", defaultValue=0)
    _put_filter(stream, "nothing", "absent")
    _put_filter(stream, "latency", "{ $.latency = * }", "$.latency", dimensions={"Path": "$.path"})
    stream.put("corruption in block 1", "corruption in block 2", "fine", json.dumps({"latency": 250, "path": "/a"}))
    assert _wait_metric(minute_a_second, "corrupt") == {"Sum": 2.0, "SampleCount": 2.0}
    assert _wait_metric(minute_a_second, "absent") == {"Sum": 0.0, "SampleCount": 1.0}
    assert _wait_metric(minute_a_second, "latency", Path="/a") == {"Sum": 250.0, "SampleCount": 1.0}
    assert _read_metric(minute_a_second, "nothing") is None


def test_metric_filters_are_checked_and_described(stream: Stream) -> None:
    """PutMetricFilter: a valid pattern; no default value together with dimensions."""
    _put_filter(stream, "errors", "?ERROR ?FATAL")
    described = stream.logs.describe_metric_filters(logGroupName="/ecs/web")["metricFilters"]
    assert [(found["filterName"], found["filterPattern"]) for found in described] == [("errors", "?ERROR ?FATAL")]
    for options in ({"pattern": "{ $.a }"}, {"pattern": "x", "defaultValue": 0, "dimensions": {"A": "$.a"}}):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            _put_filter(stream, "bad", **options)
    tested = stream.logs.test_metric_filter(filterPattern="[a, b=ERROR]", logEventMessages=["x ERROR", "x fine"])
    assert tested["matches"] == [
        {
            "eventNumber": 1,
            "eventMessage": "x ERROR",
            "extractedValues": {"$1": "x", "$2": "ERROR", "$a": "x", "$b": "ERROR"},
        }
    ]
    stream.logs.delete_metric_filter(logGroupName="/ecs/web", filterName="errors")
    with pytest.raises(stream.logs.exceptions.ResourceNotFoundException):
        stream.logs.delete_metric_filter(logGroupName="/ecs/web", filterName="errors")
