"""Application Auto Scaling on ECS services, against a real boto3 client."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .harness import CLUSTER, SERVICE, TARGET_GROUP, TARGET_GROUP_ARN, Json, Scene
from .scaling_policies import compute_step_capacity, compute_tracked_capacity
from .scaling_schedules import parse_schedule

RESOURCE = f"service/{CLUSTER}/{SERVICE}"
IDENTITY = {"ServiceNamespace": "ecs", "ResourceId": RESOURCE, "ScalableDimension": "ecs:service:DesiredCount"}


def _register(scene: Scene, **members: Any) -> Any:
    """RegisterScalableTarget; the client."""
    client = scene.client("application-autoscaling")
    client.register_scalable_target(**IDENTITY, **members)
    return client


def _track(client: Any, metric: str = "ECSServiceAverageCPUUtilization", target: float = 50, **members: Any) -> Json:
    label = members.pop("ResourceLabel", None)
    specification = {"PredefinedMetricType": metric, **({"ResourceLabel": label} if label else {})}
    answer: Json = client.put_scaling_policy(
        **IDENTITY,
        PolicyName=f"track-{metric}",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            "PredefinedMetricSpecification": specification,
            **members,
        },
    )
    return answer


def _activities(client: Any, **members: Any) -> list[Json]:
    found: list[Json] = client.describe_scaling_activities(ServiceNamespace="ecs", **members)["ScalingActivities"]
    return found


def _wait(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def _wait_alarm(scene: Scene, name: str, seconds: float = 15.0) -> None:
    def alarms() -> bool:
        state = scene.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]
        return bool(state == "ALARM")

    _wait(alarms, seconds)


# Scalable targets


def test_any_registration_pulls_the_count_into_the_range(scene: Scene) -> None:
    """RegisterScalableTarget: "it changes the resource's current capacity to a value that is inside of this range". A
    service that somebody set to 0 comes back at any call, even one without capacities."""
    scene.create_stable()
    client = _register(scene, MinCapacity=4, MaxCapacity=10)
    assert scene.describe()["desiredCount"] == 4
    scene.update(desiredCount=0)
    client.register_scalable_target(**IDENTITY, SuspendedState={"DynamicScalingInSuspended": True})
    assert scene.describe()["desiredCount"] == 4
    client.register_scalable_target(**IDENTITY, MinCapacity=1, MaxCapacity=2)
    assert scene.describe()["desiredCount"] == 2
    scene.wait_stable()
    newest = _activities(client, ResourceId=RESOURCE)[0]
    assert newest["Description"] == "Setting desired count to 2."
    assert newest["Cause"] == "maximum capacity was set to 2"
    assert newest["StatusCode"] == "Successful"
    assert newest["StatusMessage"] == "Successfully set desired count to 2. Change successfully fulfilled by ecs."


def test_targets_are_described_changed_in_part_and_deregistered(scene: Scene) -> None:
    """RegisterScalableTarget: "Any parameters that you don't specify are not changed by this update request"."""
    scene.create_stable()
    client = _register(scene, MinCapacity=1, MaxCapacity=5)
    client.register_scalable_target(**IDENTITY, MaxCapacity=7, SuspendedState={"DynamicScalingOutSuspended": True})
    (target,) = client.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[RESOURCE])["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 7)
    assert target["SuspendedState"] == {
        "DynamicScalingInSuspended": False,
        "DynamicScalingOutSuspended": True,
        "ScheduledScalingSuspended": False,
    }
    _track(client)
    client.deregister_scalable_target(**IDENTITY)
    assert client.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []
    assert scene.cloudwatch.describe_alarms()["MetricAlarms"] == []
    with pytest.raises(client.exceptions.ObjectNotFoundException, match="No scalable target registered"):
        client.deregister_scalable_target(**IDENTITY)


@pytest.mark.parametrize(
    "members", [{"MinCapacity": 1}, {"MinCapacity": 3, "MaxCapacity": 2}, {"MinCapacity": -1, "MaxCapacity": 2}]
)
def test_bad_ranges_are_refused(scene: Scene, members: Json) -> None:
    """RegisterScalableTarget, Errors: ValidationException."""
    scene.create_stable()
    with pytest.raises(ClientError, match="ValidationException"):
        _register(scene, **members)


# Target tracking


def test_policy_has_two_alarms(scene: Scene) -> None:
    """PutScalingPolicyResponse, Alarms: "The CloudWatch alarms created for the target tracking scaling policy"."""
    scene.create_stable()
    client = _register(scene, MinCapacity=1, MaxCapacity=5)
    answer = _track(client, target=50)
    names = [alarm["AlarmName"] for alarm in answer["Alarms"]]
    assert names[0].startswith(f"TargetTracking-{RESOURCE}-AlarmHigh-")
    assert names[1].startswith(f"TargetTracking-{RESOURCE}-AlarmLow-")
    alarms = {a["AlarmName"]: a for a in scene.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]}
    high, low = (alarms[name] for name in names)
    assert (high["Threshold"], high["EvaluationPeriods"], high["ComparisonOperator"]) == (50, 3, "GreaterThanThreshold")
    assert (low["Threshold"], low["EvaluationPeriods"], low["ComparisonOperator"]) == (45, 15, "LessThanThreshold")
    assert high["AlarmActions"] == [answer["PolicyARN"]]
    (policy,) = client.describe_scaling_policies(ServiceNamespace="ecs", ResourceId=RESOURCE)["ScalingPolicies"]
    assert policy["Alarms"] == answer["Alarms"]
    assert len(_track(client, DisableScaleIn=True)["Alarms"]) == 1
    client.delete_scaling_policy(**IDENTITY, PolicyName=policy["PolicyName"])
    assert scene.cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_target_tracking_follows_the_load_but_not_in_during_a_deployment(minute_a_second: Scene) -> None:
    """Developer guide, "Use a target metric to scale Amazon ECS services": out in proportion to the load; in no lower
    than the minimum, where AlarmLow goes on alarming, and not "while Amazon ECS deployments are in progress"."""
    scene = minute_a_second
    scene.register(CAPACITY_RPS=50)
    scene.control.set_load(CLUSTER, SERVICE, 150)
    scene.create(count=2)
    scene.wait_stable()
    client = _register(scene, MinCapacity=2, MaxCapacity=8)
    low = _track(client, target=35, ScaleInCooldown=0, ScaleOutCooldown=0)["Alarms"][1]["AlarmName"]
    service = scene.wait(lambda service: service["runningCount"] == 6, seconds=20)
    assert service["desiredCount"] == 6, "150 requests a second at 25 a task"
    activity = _activities(client)[-1]
    assert activity["Cause"].startswith("monitor alarm TargetTracking-service/demo/web-AlarmHigh-")
    assert activity["Cause"].endswith(" in state ALARM triggered policy track-ECSServiceAverageCPUUtilization")
    scene.register(START_SECONDS=3600)
    scene.update(taskDefinition="web:2")
    scene.control.set_load(CLUSTER, SERVICE, 10)
    _wait_alarm(scene, low, 30)
    time.sleep(1.5)
    assert scene.describe()["desiredCount"] == 6, "the alarm called once more meanwhile"
    scene.update(taskDefinition="web:1")
    scene.wait(lambda service: service["desiredCount"] == 2, seconds=15)
    _wait_alarm(scene, low)
    time.sleep(1.5)
    assert scene.describe()["desiredCount"] == 2


def test_requests_per_target_are_tracked_and_the_maximum_holds(minute_a_second: Scene) -> None:
    """ALBRequestCountPerTarget: requests a minute a target. AlreadyAtMaxCapacity shows with
    IncludeNotScaledActivities."""
    scene = minute_a_second
    scene.register(CAPACITY_RPS=1000)
    scene.control.set_load(CLUSTER, SERVICE, 100)
    balancer = {"targetGroupArn": TARGET_GROUP_ARN, "containerName": "app", "containerPort": 80}
    scene.create(count=1, loadBalancers=[balancer])
    scene.wait_stable()
    client = _register(scene, MinCapacity=1, MaxCapacity=5)
    label = f"app/{TARGET_GROUP.removeprefix('targetgroup/')}/{TARGET_GROUP}"
    _track(client, "ALBRequestCountPerTarget", 2500, ResourceLabel=label, ScaleOutCooldown=0)
    scene.wait(lambda service: service["runningCount"] == 3, seconds=20)
    assert scene.describe()["desiredCount"] == 3, "6,000 requests a minute at 2,500 a task"
    client.register_scalable_target(**IDENTITY, MaxCapacity=3)
    scene.control.set_load(CLUSTER, SERVICE, 200)

    def is_told() -> bool:
        found = _activities(client, IncludeNotScaledActivities=True)
        return found[0].get("NotScaledReasons") == [{"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 3}]

    _wait(is_told)
    assert all("NotScaledReasons" not in activity for activity in _activities(client))
    assert scene.describe()["desiredCount"] == 3


# Step scaling


def test_step_policy_acts_on_the_alarm_of_its_user(minute_a_second: Scene) -> None:
    """PutScalingPolicy, StepScaling: alarms are made with PutMetricAlarm, their action is the policy."""
    scene = minute_a_second
    scene.register(CAPACITY_RPS=100)
    scene.control.set_load(CLUSTER, SERVICE, 100)
    scene.create(count=1)
    scene.wait_stable()
    client = _register(scene, MinCapacity=1, MaxCapacity=10)
    configuration = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [
            {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
            {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 3},
        ],
        "Cooldown": 600,
    }
    arn = client.put_scaling_policy(
        **IDENTITY, PolicyName="steps", PolicyType="StepScaling", StepScalingPolicyConfiguration=configuration
    )["PolicyARN"]
    dimensions = [{"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": SERVICE}]
    scene.cloudwatch.put_metric_alarm(
        AlarmName="cpu-high",
        Namespace="AWS/ECS",
        MetricName="CPUUtilization",
        Dimensions=dimensions,
        Statistic="Average",
        Period=1,
        EvaluationPeriods=1,
        Threshold=50,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[arn],
    )
    scene.wait(lambda service: service["desiredCount"] == 4, seconds=15)
    assert _activities(client)[0]["Cause"] == "monitor alarm cpu-high in state ALARM triggered policy steps"


@pytest.mark.parametrize(
    ("kind", "adjustment", "magnitude", "capacity", "wanted"),
    [
        ("ChangeInCapacity", -2, 0, 5, 3),
        ("ChangeInCapacity", -9, 0, 5, 0),
        ("ExactCapacity", 7, 0, 5, 7),
        ("PercentChangeInCapacity", 25, 0, 4, 5),
        ("PercentChangeInCapacity", 25, 0, 7, 8),
        ("PercentChangeInCapacity", 10, 0, 4, 5),
        ("PercentChangeInCapacity", 25, 2, 4, 6),
        ("PercentChangeInCapacity", -10, 0, 4, 3),
    ],
)
def test_step_adjustments(kind: str, adjustment: int, magnitude: int, capacity: int, wanted: int) -> None:
    """User guide, "Step scaling policies": values between 0 and 1 round to 1, above 1 down; MinAdjustmentMagnitude."""
    configuration = {"AdjustmentType": kind, "MinAdjustmentMagnitude": magnitude}
    steps = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": adjustment}]
    assert compute_step_capacity(capacity, 5, configuration, steps) == wanted
    assert compute_step_capacity(capacity, -5, configuration, steps) is None


@pytest.mark.parametrize(("capacity", "value", "wanted"), [(3, 100, 6), (3, 51, 4), (3, 50, 3), (6, 20, 3), (0, 9, 1)])
def test_tracked_capacity_rounds_up(capacity: int, value: float, wanted: int) -> None:
    """Developer guide: it "acts conservatively by rounding"; from 0 it scales out "by the minimum possible amount"."""
    assert compute_tracked_capacity(capacity, value, 50) == wanted


# Suspension and schedules


def test_suspended_scaling_out_does_nothing(minute_a_second: Scene) -> None:
    """API type SuspendedState: DynamicScalingOutSuspended."""
    scene = minute_a_second
    scene.register(CAPACITY_RPS=50)
    scene.control.set_load(CLUSTER, SERVICE, 150)
    scene.create(count=2)
    scene.wait_stable()
    suspended = {"DynamicScalingOutSuspended": True}
    client = _register(scene, MinCapacity=2, MaxCapacity=8, SuspendedState=suspended)
    high = _track(client, target=35)["Alarms"][0]["AlarmName"]
    _wait_alarm(scene, high)
    time.sleep(1.5)
    assert scene.describe()["desiredCount"] == 2, "the alarm called once more meanwhile"


def test_scheduled_action_sends_a_service_to_bed(scene: Scene) -> None:
    """API type ScheduledAction: at(...); above the new maximum the service is scaled in, to 0 here."""
    scene.create_stable()
    client = _register(scene, MinCapacity=3, MaxCapacity=5)
    soon = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%S")
    client.put_scheduled_action(
        **IDENTITY,
        ScheduledActionName="night",
        Schedule=f"at({soon})",
        ScalableTargetAction={"MinCapacity": 0, "MaxCapacity": 0},
    )
    (action,) = client.describe_scheduled_actions(ServiceNamespace="ecs", ResourceId=RESOURCE)["ScheduledActions"]
    assert (action["ScheduledActionName"], action["Timezone"]) == ("night", "UTC")
    scene.wait(lambda service: service["runningCount"] == 0)
    (target,) = client.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 0)
    assert _activities(client)[0]["Cause"].startswith("scheduled action name night was triggered")
    client.delete_scheduled_action(**IDENTITY, ScheduledActionName="night")
    assert client.describe_scheduled_actions(ServiceNamespace="ecs")["ScheduledActions"] == []


def test_rate_repeats_and_can_be_suspended(scene: Scene) -> None:
    """Rates are durations: every ten minutes is once a second here. SuspendedState: ScheduledScalingSuspended."""
    scene.create_stable()
    client = _register(scene, MinCapacity=1, MaxCapacity=5)
    client.put_scheduled_action(
        **IDENTITY,
        ScheduledActionName="floor",
        Schedule="rate(10 minutes)",
        ScalableTargetAction={"MinCapacity": 4},
    )
    scene.wait(lambda service: service["desiredCount"] == 4)
    client.register_scalable_target(**IDENTITY, MinCapacity=1, SuspendedState={"ScheduledScalingSuspended": True})
    scene.update(desiredCount=2)
    time.sleep(1.5)
    assert scene.describe()["desiredCount"] == 2


@pytest.mark.parametrize(
    ("text", "zone", "after", "expected"),
    [
        ("cron(0 22 * * ? *)", "UTC", "2026-11-24T21:59:30", "2026-11-24T22:00:00"),
        ("cron(0 22 * * ? *)", "UTC", "2026-11-24T22:00:00", "2026-11-25T22:00:00"),
        ("cron(0/20 8-9 ? * MON-FRI *)", "UTC", "2026-11-27T09:41:00", "2026-11-30T08:00:00"),
        ("cron(30 7 1,15 JAN ? *)", "UTC", "2026-11-24T00:00:00", "2027-01-01T07:30:00"),
        ("cron(0 9 * * ? *)", "Asia/Seoul", "2026-11-24T00:30:00", "2026-11-25T00:00:00"),
        ("at(2026-11-24T09:00:00)", "Asia/Seoul", "2026-11-23T00:00:00", "2026-11-24T00:00:00"),
    ],
)
def test_schedules(text: str, zone: str, after: str, expected: str) -> None:
    """API type ScheduledAction, Schedule: minutes, hours, day of month, month, day of week, year, in a time zone."""
    schedule = parse_schedule(text, zone, 0.0, 1.0)
    found = schedule.next_after(datetime.fromisoformat(f"{after}+00:00").timestamp())
    assert found is not None
    assert datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M:%S") == expected


@pytest.mark.parametrize(
    "text", ["cron(0 22 * *)", "cron(61 * * * ? *)", "cron(0 0 L * ? *)", "rate(5 weeks)", "often"]
)
def test_bad_schedules_are_refused(scene: Scene, text: str) -> None:
    """PutScheduledAction, Errors: ValidationException."""
    scene.create_stable()
    client = _register(scene, MinCapacity=1, MaxCapacity=5)
    with pytest.raises(ClientError, match="Schedule is not valid"):
        client.put_scheduled_action(
            **IDENTITY, ScheduledActionName="x", Schedule=text, ScalableTargetAction={"MinCapacity": 1}
        )
