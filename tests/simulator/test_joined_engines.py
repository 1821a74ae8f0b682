"""What one engine does is seen in another: alarms stop deployments, containers write logs, events reach queues."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from .harness import CLUSTER, SERVICE, TARGET_GROUP_ARN, Scene
from .manual_world import ManualWorld

BALANCERS = [{"targetGroupArn": TARGET_GROUP_ARN, "containerName": "app", "containerPort": 80}]
ERRORS = {
    "Namespace": "AWS/ApplicationELB",
    "MetricName": "HTTPCode_Target_5XX_Count",
    "Dimensions": [
        {"Name": "LoadBalancer", "Value": "app/web/73e2d6bc24d8a067"},
        {"Name": "TargetGroup", "Value": "targetgroup/web/73e2d6bc24d8a067"},
    ],
}


@pytest.fixture
def aws() -> ManualWorld:
    """A cluster in which time passes only when told."""
    return ManualWorld()


def test_alarm_on_published_metrics_rolls_a_deployment_back(aws: ManualWorld) -> None:
    """Developer guide, "How CloudWatch alarms detect Amazon ECS deployment failures": ECS polls the alarms, and rolls
    back during the bake time when one goes to ALARM."""
    aws.call(
        "PutMetricAlarm",
        "cloudwatch",
        AlarmName="web-errors",
        **ERRORS,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=100.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    aws.register()
    alarms = {"alarmNames": ["web-errors"], "enable": True, "rollback": True}
    aws.create(loadBalancers=BALANCERS, deploymentConfiguration={"alarms": alarms, "bakeTimeInMinutes": 10})
    aws.run(900)
    aws.register(ERROR_RATIO=0.5)
    aws.update(taskDefinition="web:2")
    aws.run(1800)
    record = aws.service().service_deployments[0]
    assert record.status == "ROLLBACK_SUCCESSFUL"
    assert aws.service().workload["taskDefinition"].endswith("web:1")
    state = aws.call("DescribeAlarms", "cloudwatch", AlarmNames=["web-errors"])["MetricAlarms"][0]["StateValue"]
    assert state == "OK", "the old revision serves again"


def test_container_writes_to_its_log_group(aws: ManualWorld) -> None:
    """Developer guide, "Send Amazon ECS logs to CloudWatch": the stream is prefix/container/task."""
    aws.call("CreateLogGroup", "logs", logGroupName="/ecs/web")
    options = {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}
    container = {
        "name": "app",
        "image": "app:1",
        "environment": [{"name": "SIM_LOG_LINE", "value": "ERROR cannot reach payments"}],
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    aws.call("RegisterTaskDefinition", family="web", containerDefinitions=[container])
    aws.create(count=1)
    found = aws.call("FilterLogEvents", "logs", logGroupName="/ecs/web", filterPattern="ERROR -health")["events"]
    assert {event["message"] for event in found} == {"ERROR cannot reach payments"}
    task = next(iter(aws.service().tasks.values()))
    assert {event["logStreamName"] for event in found} == {f"web/app/{task.id}"}


def test_caller_logs_what_its_dependency_does(aws: ManualWorld) -> None:
    """The evidence by which a dead dependency is told from an overload."""
    aws.call("CreateLogGroup", "logs", logGroupName="/ecs/web")
    options = {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}
    container = {
        "name": "app",
        "image": "app:1",
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    aws.call("RegisterTaskDefinition", family="web", containerDefinitions=[container])
    aws.create(count=2)
    callers = [{"cluster": CLUSTER, "service": SERVICE}]
    aws.control("PUT", "dependency", name="payments", dependents=callers)

    def read() -> list[str]:
        found = aws.call("FilterLogEvents", "logs", logGroupName="/ecs/web", filterPattern="payments")["events"]
        return [event["message"] for event in found]

    aws.run(60)
    assert read() == []
    aws.control("PUT", "dependency-state", name="payments", errorRatio=1, latencySeconds=5)
    aws.run(60)
    assert read() == ["ERROR request to payments failed: connection timed out after 5 s"] * 2
    aws.control("PUT", "dependency-state", name="payments", latencySeconds=2)
    aws.run(60)
    assert read()[-1] == "WARN request to payments took 2 s"
    aws.control("PUT", "dependency-state", name="payments", latencySeconds=5, cpuPercent=40)
    aws.run(60)
    assert read()[-1] == "WARN request to payments: connection timed out after 5 s, trying again"


def test_alarm_change_reaches_a_queue(scene: Scene) -> None:
    """CloudWatch user guide, "Alarm events and EventBridge": CloudWatch Alarm State Change, over the wire."""
    queue = scene.client("sqs").create_queue(QueueName="events")["QueueUrl"]
    events = scene.client("events")
    events.put_rule(Name="alarms", EventPattern=json.dumps({"detail-type": ["CloudWatch Alarm State Change"]}))
    arn = "arn:aws:sqs:us-east-1:123456789012:events"
    events.put_targets(Rule="alarms", Targets=[{"Id": "queue", "Arn": arn}])
    alarm: dict[str, Any] = {**ERRORS, "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    scene.cloudwatch.put_metric_alarm(
        AlarmName="errors", ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore", **alarm
    )
    scene.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="by hand")
    message = scene.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]
    detail = json.loads(message["Body"])["detail"]
    assert (detail["alarmName"], detail["state"]["value"]) == ("errors", "ALARM")


def test_what_is_wrong_with_cloudwatch_is_switched_by_the_control_client(minute_a_second: Scene) -> None:
    """Scenarios 64 and 70: a gap, late points, and queries that are refused."""
    scene = minute_a_second
    scene.register()
    scene.create(count=1)
    scene.wait_stable()
    dimensions = [{"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": SERVICE}]
    metric = {"Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Dimensions": dimensions}
    query = {"Id": "cpu", "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Average"}}
    begin = datetime.fromtimestamp(int(time.time()) - 60, UTC)

    def read() -> dict[str, Any]:
        answer = scene.cloudwatch.get_metric_data(
            MetricDataQueries=[query], StartTime=begin, EndTime=datetime.fromtimestamp(time.time() + 1, UTC)
        )
        result: dict[str, Any] = answer["MetricDataResults"][0]
        return result

    deadline = time.monotonic() + 15
    while not read()["Values"]:
        assert time.monotonic() < deadline, "nothing was published"
        time.sleep(0.05)
    scene.control.lose_metrics(namespace="AWS/ECS")
    held = len(read()["Values"])
    time.sleep(1.2)
    assert len(read()["Values"]) == held
    scene.control.refuse_metrics("Forbidden", metric_name="CPUUtilization", dimension=SERVICE)
    assert (read()["StatusCode"], read()["Values"]) == ("Forbidden", [])
    scene.control.clear_metric_conditions()
    assert read()["StatusCode"] == "Complete"
    scene.control.delay_metrics(3600, metric_name="CPUUtilization")
    scene.control.disorder_events(duplicate_share=1.0, max_delay=60)
    scene.control.disorder_events()
