"""What ECS sends to EventBridge about services: the developer guide's example events, member by member."""

import json
import re

import pytest

from .harness import Scene
from .manual_ecs import Json, ManualEcs

SERVICE_ARN = "arn:aws:ecs:us-east-1:123456789012:service/demo/web"
CLUSTER_ARN = "arn:aws:ecs:us-east-1:123456789012:cluster/demo"
BREAKER: Json = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@pytest.fixture
def aws() -> ManualEcs:
    """A cluster in which time passes only when told."""
    return ManualEcs()


def _find(aws: ManualEcs, event_name: str) -> tuple[str, list[str], Json]:
    """The last event of this name."""
    return next(event for event in reversed(aws.published) if event[2].get("eventName") == event_name)


def test_deployment_in_progress_and_completed(aws: ManualEcs) -> None:
    """Developer guide, "Amazon ECS service deployment state change events": "Example service deployment in progress
    event" and "… completed event"."""
    service = aws.create_stable()
    id_ = service["deployments"][0]["id"]
    assert aws.names("ECS Deployment State Change") == [
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_COMPLETED",
    ]
    detail_type, resources, detail = _find(aws, "SERVICE_DEPLOYMENT_IN_PROGRESS")
    assert (detail_type, resources) == ("ECS Deployment State Change", [SERVICE_ARN])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", detail.pop("updatedAt"))
    assert detail == {
        "eventType": "INFO",
        "eventName": "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "deploymentId": id_,
        "reason": f"ECS deployment {id_} in progress.",
    }
    assert _find(aws, "SERVICE_DEPLOYMENT_COMPLETED")[2]["reason"] == f"ECS deployment {id_} completed."


def test_failed_deployment_and_its_rollback(aws: ManualEcs) -> None:
    """Same page: "This event is sent for both initial deployments and rollback deployments"; the difference "is in the
    reason field"."""
    before = aws.create_stable(deploymentConfiguration=BREAKER)
    old = before["deployments"][0]["id"]
    aws.update(taskDefinition=aws.register(PULL_FAILS="true"))
    new = aws.describe()["deployments"][0]["id"]
    aws.run(3600)
    assert aws.names("ECS Deployment State Change")[2:] == [
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_FAILED",
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_COMPLETED",
    ]
    failed = _find(aws, "SERVICE_DEPLOYMENT_FAILED")[2]
    assert (failed["eventType"], failed["deploymentId"]) == ("ERROR", new)
    assert failed["reason"] == "ECS deployment circuit breaker: tasks failed to start."
    back = _find(aws, "SERVICE_DEPLOYMENT_IN_PROGRESS")[2]
    assert back["deploymentId"] == old
    assert back["reason"] == f"ECS deployment circuit breaker: rolling back to deploymentId {old}."


def test_rollback_asked_for_is_no_failure(aws: ManualEcs) -> None:
    """SERVICE_DEPLOYMENT_FAILED "is sent for services with deployment circuit breaker logic turned on" and for alarms;
    StopServiceDeployment is neither."""
    aws.create_stable()
    arn = aws.update(forceNewDeployment=True)["currentServiceDeployment"]
    aws.run(10)
    aws.call("StopServiceDeployment", serviceDeploymentArn=arn)
    aws.run(600)
    assert aws.deployment()["status"] == "ROLLBACK_SUCCESSFUL"
    assert "SERVICE_DEPLOYMENT_FAILED" not in aws.names("ECS Deployment State Change")


def test_steady_state(aws: ManualEcs) -> None:
    """Developer guide, "Amazon ECS service action events": "Example Service steady state event"; service action events
    "do not include a version number"."""
    aws.create_stable()
    detail_type, resources, detail = _find(aws, "SERVICE_STEADY_STATE")
    assert (detail_type, resources) == ("ECS Service Action", [SERVICE_ARN])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", detail.pop("createdAt"))
    assert detail == {"eventType": "INFO", "eventName": "SERVICE_STEADY_STATE", "clusterArn": CLUSTER_ARN}


def test_start_impaired(aws: ManualEcs) -> None:
    """Same page, "Example Service task start impaired event"; told with the service event, and not for tasks that die
    after RUNNING (developer guide, "Service throttle logic")."""
    aws.register(PULL_FAILS="true", START_SECONDS=1)
    aws.create(count=1)
    aws.run(600)
    assert aws.names("ECS Service Action").count("SERVICE_TASK_START_IMPAIRED") == 1
    detail = _find(aws, "SERVICE_TASK_START_IMPAIRED")[2]
    assert (detail["eventType"], detail["clusterArn"]) == ("WARN", CLUSTER_ARN)
    crashing = ManualEcs()
    crashing.register(EXIT_AFTER_SECONDS=3, START_SECONDS=1)
    crashing.create(count=1)
    crashing.run(600)
    assert crashing.describe()["deployments"][0]["failedTasks"] > 10
    assert "SERVICE_TASK_START_IMPAIRED" not in crashing.names("ECS Service Action")


def test_manual_scaling_sends_no_desired_count_event(aws: ManualEcs) -> None:
    """SERVICE_DESIRED_COUNT_UPDATED: "This event is not sent when the desired count is manually updated by a user"."""
    aws.create_stable()
    aws.update(desiredCount=5)
    aws.run(300)
    assert aws.describe()["runningCount"] == 5
    assert "SERVICE_DESIRED_COUNT_UPDATED" not in aws.names("ECS Service Action")


def test_hook_awaiting_action(aws: ManualEcs) -> None:
    """Developer guide, "Amazon ECS service deployment hook state change events", its example."""
    aws.create_stable()
    hook = {
        "targetType": "PAUSE",
        "lifecycleStages": ["PRE_SCALE_UP"],
        "timeoutConfiguration": {"timeoutInMinutes": 10},
    }
    aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    arn = aws.describe()["currentServiceDeployment"]
    detail_type, resources, detail = _find(aws, "HOOK_AWAITING_ACTION")
    assert (detail_type, resources) == ("ECS Hook State Change", [arn])
    hook_id = aws.deployment()["lifecycleHookDetails"][0]["hookId"]
    assert set(detail) == {
        "eventType",
        "eventName",
        "hookId",
        "hookType",
        "expiresAt",
        "lifecycleStage",
        "clusterArn",
        "serviceArn",
        "serviceDeploymentArn",
        "updatedAt",
    }
    assert (detail["hookId"], detail["hookType"], detail["lifecycleStage"]) == (hook_id, "PAUSE", "PRE_SCALE_UP")
    assert (detail["serviceDeploymentArn"], detail["serviceArn"]) == (arn, SERVICE_ARN)


def test_events_reach_a_queue_and_alarms_reach_ecs(scene: Scene) -> None:
    """EventBridge delivers ECS's events to a target; ECS sees a CloudWatch alarm go off and rolls back: the whole way,
    through real clients."""
    sqs, rules = scene.client("sqs"), scene.client("events")
    queue = sqs.create_queue(QueueName="ecs")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.ecs"], "detail-type": ["ECS Deployment State Change"]}
    rules.put_rule(Name="deployments", EventPattern=json.dumps(pattern))
    rules.put_targets(Rule="deployments", Targets=[{"Id": "queue", "Arn": queue_arn}])
    scene.cloudwatch.put_metric_alarm(
        AlarmName="web-5xx",
        Namespace="Test",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    alarms = {"alarmNames": ["web-5xx"], "enable": True, "rollback": True}
    scene.create_stable(deploymentConfiguration={"alarms": alarms, "bakeTimeInMinutes": 1})
    arn = scene.update(forceNewDeployment=True, deploymentConfiguration={"bakeTimeInMinutes": 1440})[
        "currentServiceDeployment"
    ]
    scene.wait(lambda service: service["deployments"][0]["runningCount"] == 3)
    scene.cloudwatch.set_alarm_state(AlarmName="web-5xx", StateValue="ALARM", StateReason="test")
    scene.wait(lambda service: len(service["deployments"]) == 1)
    assert scene.service_deployment(arn)["status"] == "ROLLBACK_SUCCESSFUL"
    names: list[str] = []
    while len(names) < 6:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=2)["Messages"]:
            body = json.loads(message["Body"])
            assert (body["source"], body["account"], body["resources"]) == ("aws.ecs", "123456789012", [SERVICE_ARN])
            names.append(body["detail"]["eventName"].removeprefix("SERVICE_DEPLOYMENT_"))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert sorted(names) == ["COMPLETED", "COMPLETED", "FAILED", "IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS"]
