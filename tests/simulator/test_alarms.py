"""Alarms on a running simulator: evaluated as time passes, with history, actions and events."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .harness import CLUSTER, SERVICE, Json, Scene

ALARM: Json = {
    "AlarmName": "busy",
    "AlarmDescription": "Too busy",
    "Namespace": "App",
    "MetricName": "load",
    "Dimensions": [{"Name": "Service", "Value": "web"}],
    "Statistic": "Average",
    "Period": 1,
    "EvaluationPeriods": 1,
    "Threshold": 50.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


def _alarm(scene: Scene, name: str = "busy") -> Json:
    alarm: Json = scene.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    return alarm


def _wait(read: Callable[[], Any], expected: object, seconds: float = 6.0) -> None:
    deadline = time.monotonic() + seconds
    while (found := read()) != expected:
        assert time.monotonic() < deadline, f"{found!r}, not {expected!r}"
        time.sleep(0.02)


def _publish(scene: Scene, value: float) -> None:
    """A value in each of the seconds around now, so that the next evaluation finds one."""
    now = int(time.time())
    dimensions = [{"Name": "Service", "Value": "web"}]
    scene.cloudwatch.put_metric_data(
        Namespace="App",
        MetricData=[
            {"MetricName": "load", "Dimensions": dimensions, "Timestamp": now - age, "Value": value}
            for age in range(-1, 2)
        ],
    )


def test_alarm_follows_its_metric(minute_a_second: Scene) -> None:
    """PutMetricAlarm: "the alarm state is immediately set to INSUFFICIENT_DATA. The alarm is then evaluated"."""
    scene = minute_a_second
    scene.cloudwatch.put_metric_alarm(**ALARM)
    alarm = _alarm(scene)
    assert (alarm["StateValue"], alarm["StateReason"]) == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")
    _publish(scene, 90.0)
    _wait(lambda: _alarm(scene)["StateValue"], "ALARM")
    alarm = _alarm(scene)
    assert alarm["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [90.0 (")
    data = json.loads(alarm["StateReasonData"])
    assert (data["statistic"], data["period"], data["recentDatapoints"], data["threshold"]) == (
        "Average",
        1,
        [90.0],
        50.0,
    )
    _wait(lambda: _alarm(scene)["StateValue"], "INSUFFICIENT_DATA", seconds=10)
    history = scene.cloudwatch.describe_alarm_history(
        AlarmName="busy", HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
    )["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in history] == [
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm updated from ALARM to INSUFFICIENT_DATA",
    ]


def test_alarm_on_metric_math(minute_a_second: Scene) -> None:
    """PutMetricAlarm.Metrics: "One item in the Metrics array is the expression that the alarm watches"."""
    scene = minute_a_second
    scene.register(SERVICE, ERROR_RATIO=0.4)
    arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/73e2d6bc24d8a067"
    scene.create(loadBalancers=[{"targetGroupArn": arn, "containerName": "app", "containerPort": 80}])
    scene.wait_stable()
    dimensions = [
        {"Name": "LoadBalancer", "Value": "app/web/73e2d6bc24d8a067"},
        {"Name": "TargetGroup", "Value": "targetgroup/web/73e2d6bc24d8a067"},
    ]

    def query(id_: str, name: str) -> Json:
        metric = {"Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": dimensions}
        return {"Id": id_, "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Sum"}, "ReturnData": False}

    scene.cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Metrics=[
            query("errors", "HTTPCode_Target_5XX_Count"),
            query("requests", "RequestCount"),
            {"Id": "ratio", "Expression": "errors / requests", "Label": "Error ratio", "ReturnData": True},
        ],
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        Threshold=0.1,
        ComparisonOperator="GreaterThanThreshold",
    )
    _wait(lambda: _alarm(scene, "errors")["StateValue"], "ALARM")
    assert "statistic" not in json.loads(_alarm(scene, "errors")["StateReasonData"])


def test_state_change_goes_to_eventbridge(minute_a_second: Scene) -> None:
    """User guide, "Alarm events and EventBridge": the sample event of a single-metric alarm."""
    scene = minute_a_second
    receive = _route(scene, {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"]})
    scene.cloudwatch.put_metric_alarm(**ALARM)
    _publish(scene, 90.0)
    event = receive()
    assert event["resources"] == ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:busy"]
    assert (event["source"], event["account"], event["region"]) == ("aws.cloudwatch", "123456789012", "us-east-1")
    detail = event["detail"]
    assert detail.keys() == {"alarmName", "configuration", "previousState", "state"}
    assert detail["state"].keys() == {"value", "reason", "reasonData", "timestamp"}
    assert detail["state"]["value"] == "ALARM"
    assert detail["previousState"] == {
        "value": "INSUFFICIENT_DATA",
        "reason": "Unchecked: Initial alarm creation",
        "timestamp": detail["previousState"]["timestamp"],
    }
    metric = detail["configuration"]["metrics"][0]
    assert detail["configuration"] == {
        "description": "Too busy",
        "metrics": [
            {
                "id": metric["id"],
                "metricStat": {
                    "metric": {"namespace": "App", "name": "load", "dimensions": {"Service": "web"}},
                    "period": 1,
                    "stat": "Average",
                },
                "returnData": True,
            }
        ],
    }


def _route(scene: Scene, pattern: Json) -> Callable[[], Json]:
    """A rule to a queue; what it gives receives the next event."""
    sqs, events = scene.client("sqs"), scene.client("events")
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="to-queue", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="to-queue", Targets=[{"Id": "queue", "Arn": arn}])

    def receive() -> Json:
        event: Json = json.loads(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=4)["Messages"][0]["Body"])
        return event

    return receive


def test_actions_go_to_sns_once(minute_a_second: Scene) -> None:
    """User guide, "Alarm actions": SNS gets one message a change of state, none while the state stays."""
    scene = minute_a_second
    sqs, sns = scene.client("sqs"), scene.client("sns")
    url = sqs.create_queue(QueueName="pages")["QueueUrl"]
    topic = sns.create_topic(Name="pages")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:pages")
    scene.cloudwatch.put_metric_alarm(**ALARM, AlarmActions=[topic])
    scene.cloudwatch.set_alarm_state(AlarmName="busy", StateValue="ALARM", StateReason="Testing")
    envelope = json.loads(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=4)["Messages"][0]["Body"])
    assert envelope["Subject"] == 'ALARM: "busy" in US East (N. Virginia)'
    message = json.loads(envelope["Message"])
    assert (message["NewStateValue"], message["OldStateValue"]) == ("ALARM", "INSUFFICIENT_DATA")
    assert (message["Trigger"]["MetricName"], message["Trigger"]["Statistic"]) == ("load", "AVERAGE")
    assert message["Trigger"]["Dimensions"] == [{"value": "web", "name": "Service"}]
    scene.cloudwatch.set_alarm_state(AlarmName="busy", StateValue="ALARM", StateReason="Again")
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_set_state_lasts_until_the_next_evaluation(minute_a_second: Scene) -> None:
    """SetAlarmState: "Metric alarms returns to their actual state quickly"."""
    scene = minute_a_second
    scene.cloudwatch.put_metric_alarm(**{**ALARM, "TreatMissingData": "notBreaching"})
    _wait(lambda: _alarm(scene)["StateValue"], "OK")
    scene.cloudwatch.set_alarm_state(AlarmName="busy", StateValue="ALARM", StateReason="Testing")
    _wait(lambda: _alarm(scene)["StateValue"], "OK")
    updates = scene.cloudwatch.describe_alarm_history(AlarmName="busy", HistoryItemType="StateUpdate")
    assert [item["HistorySummary"] for item in updates["AlarmHistoryItems"]] == [
        "Alarm updated from ALARM to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from INSUFFICIENT_DATA to OK",
    ]


def test_update_keeps_the_state_and_replaces_the_rest(scene: Scene) -> None:
    """PutMetricAlarm: "its state is left unchanged, but the update completely overwrites the previous" one."""
    scene.cloudwatch.put_metric_alarm(**{**ALARM, "TreatMissingData": "ignore"})
    scene.cloudwatch.set_alarm_state(AlarmName="busy", StateValue="OK", StateReason="Testing")
    changed = {**ALARM, "Threshold": 70.0, "TreatMissingData": "ignore"}
    del changed["AlarmDescription"]
    scene.cloudwatch.put_metric_alarm(**changed)
    alarm = _alarm(scene)
    assert (alarm["StateValue"], alarm["Threshold"], "AlarmDescription" in alarm) == ("OK", 70.0, False)


def test_describe_filters_and_pages(scene: Scene) -> None:
    """DescribeAlarms: prefix, state, MaxRecords and NextToken."""
    for number in range(5):
        scene.cloudwatch.put_metric_alarm(**{**ALARM, "AlarmName": f"web-{number}", "TreatMissingData": "ignore"})
    scene.cloudwatch.put_metric_alarm(**{**ALARM, "AlarmName": "api", "TreatMissingData": "ignore"})
    scene.cloudwatch.set_alarm_state(AlarmName="web-3", StateValue="ALARM", StateReason="Testing")
    pages = list(
        scene.cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix="web-", PaginationConfig={"PageSize": 2}
        )
    )
    assert [[alarm["AlarmName"] for alarm in page["MetricAlarms"]] for page in pages] == [
        ["web-0", "web-1"],
        ["web-2", "web-3"],
        ["web-4"],
    ]
    found = scene.cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert [alarm["AlarmName"] for alarm in found] == ["web-3"]
    scene.cloudwatch.delete_alarms(AlarmNames=["web-3"])
    assert scene.cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"] == []
    with pytest.raises(ClientError, match="ResourceNotFound"):
        scene.cloudwatch.delete_alarms(AlarmNames=["web-3"])


@pytest.mark.parametrize(
    "change",
    [
        {"DatapointsToAlarm": 2},
        {"ExtendedStatistic": "p99"},
        {"Period": 7},
        {"TreatMissingData": "zero"},
        {"Metrics": [{"Id": "m", "Expression": "1"}]},
        {"EvaluationPeriods": 90_000},
        {"MetricName": None},
    ],
)
def test_bad_alarms_are_refused(scene: Scene, change: Json) -> None:
    """PutMetricAlarm: its constraints."""
    members = {name: value for name, value in {**ALARM, **change}.items() if value is not None}
    with pytest.raises(ClientError) as caught:
        scene.cloudwatch.put_metric_alarm(**members)
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_alarm_says_when_it_cannot_evaluate(minute_a_second: Scene) -> None:
    """An expression that cannot be evaluated leaves the state, with EvaluationState EVALUATION_ERROR."""
    scene = minute_a_second
    metric = {
        "Namespace": "AWS/ECS",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": SERVICE}],
    }
    scene.cloudwatch.put_metric_alarm(
        AlarmName="broken",
        Metrics=[
            {"Id": "m", "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Average"}, "ReturnData": False},
            {"Id": "e", "Expression": "m / missing", "ReturnData": True},
        ],
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    _wait(lambda: _alarm(scene, "broken").get("EvaluationState"), "EVALUATION_ERROR")
    assert "undefined variable missing" in _alarm(scene, "broken")["StateReason"]
