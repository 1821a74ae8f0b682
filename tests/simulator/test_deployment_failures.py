"""How rolling deployments fail, bake, pause and succeed early: circuit breaker, alarms, early success, pause hooks."""

import pytest

from .errors import AwsError
from .manual_ecs import Json, ManualEcs

ALARMS: Json = {"alarms": {"alarmNames": ["web-5xx", "web-latency"], "enable": True, "rollback": True}}


@pytest.fixture
def aws() -> ManualEcs:
    """A cluster in which time passes only when told."""
    return ManualEcs()


def _breaker(**members: object) -> Json:
    return {"deploymentCircuitBreaker": {"enable": True, "rollback": True, **members}}


def _states(aws: ManualEcs) -> list[tuple[str, str]]:
    return [(d["status"], d["rolloutState"]) for d in aws.describe()["deployments"]]


# Circuit breaker


def test_breaker_counts_to_its_configured_threshold(aws: ManualEcs) -> None:
    """API type ThresholdConfiguration, COUNT: "Amazon ECS uses value directly as the threshold"."""
    aws.create_stable(count=10, deploymentConfiguration=_breaker(thresholdConfiguration={"type": "COUNT", "value": 12}))
    aws.update(taskDefinition=aws.register(PULL_FAILS="true"))
    aws.run(45)
    record = aws.deployment()
    assert record["deploymentCircuitBreaker"] == {"status": "MONITORING", "failureCount": 10, "threshold": 12}
    aws.run(3600)
    record = aws.deployment()
    assert record["status"] == "ROLLBACK_SUCCESSFUL"
    assert record["deploymentCircuitBreaker"]["status"] == "TRIGGERED"


def test_breaker_threshold_follows_the_latest_desired_count(aws: ManualEcs) -> None:
    """API type ThresholdConfiguration: "multiplies value by the latest service desired count"."""
    percent = {"type": "UNBOUNDED_PERCENT", "value": 50}
    aws.create_stable(count=4, deploymentConfiguration=_breaker(thresholdConfiguration=percent))
    assert aws.deployment()["deploymentCircuitBreaker"]["threshold"] == 2
    aws.update(desiredCount=20)
    assert aws.deployment()["deploymentCircuitBreaker"]["threshold"] == 10


@pytest.mark.parametrize(("reset", "failed"), [(True, 0), (False, 2)])
def test_healthy_task_resets_the_count_unless_told_otherwise(aws: ManualEcs, reset: bool, failed: int) -> None:
    """API type DeploymentCircuitBreaker, resetOnHealthyTask: "a task that reaches a healthy state resets the failure
    count to 0. When set to false, Amazon ECS does not reset the failure count. The default is true"."""
    aws.create_stable(count=2, deploymentConfiguration=_breaker(resetOnHealthyTask=reset))
    aws.ecs.conditions.update({"missingImages": ["app:1"]})
    aws.update(forceNewDeployment=True)
    aws.run(35)
    assert aws.describe()["deployments"][0]["failedTasks"] == 2
    aws.ecs.conditions.clear()
    aws.run(3600)
    assert aws.describe()["deployments"][0]["failedTasks"] == failed
    assert aws.deployment()["status"] == "SUCCESSFUL"
    assert aws.deployment()["deploymentCircuitBreaker"]["status"] == "MONITORING_COMPLETE"


def test_breaker_without_a_completed_deployment_stalls(aws: ManualEcs) -> None:
    """Developer guide, circuit breaker: without a deployment in COMPLETED state "the deployment is stalled"."""
    aws.register(PULL_FAILS="true")
    aws.create(deploymentConfiguration=_breaker())
    aws.run(3600)
    record = aws.deployment()
    assert (record["status"], "rollback" in record) == ("STOPPED", False)
    assert _states(aws) == [("PRIMARY", "FAILED")]
    started = [message for message in aws.messages() if "has started" in message]
    aws.run(3600)
    assert [message for message in aws.messages() if "has started" in message] == started


def test_rollback_that_fails_too(aws: ManualEcs) -> None:
    """ServiceDeployment.status ROLLBACK_FAILED: the old revision cannot start any more either."""
    aws.create_stable(deploymentConfiguration=_breaker() | {"minimumHealthyPercent": 0, "maximumPercent": 100})
    aws.ecs.conditions.update({"missingImages": ["app:1"]})
    aws.update(forceNewDeployment=True)
    aws.run_until("ROLLBACK_FAILED")
    assert _states(aws)[0] == ("PRIMARY", "FAILED")
    assert aws.deployment()["status"] == "ROLLBACK_FAILED"


def test_failed_deployment_keeps_the_tasks_that_serve(aws: ManualEcs) -> None:
    """Deployment.rolloutState: a FAILED deployment "doesn't launch any new tasks"; StopServiceDeployment ABORT in the
    middle of a replacement leaves as many tasks as are desired."""
    limits = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    aws.create_stable(count=4, deploymentConfiguration=limits)
    arn = aws.update(forceNewDeployment=True)["currentServiceDeployment"]
    while not any(task.healthy and task.deployment_id == aws.service.primary.id for task in aws.service.tasks.values()):
        aws.run(1)
    aws.call("StopServiceDeployment", serviceDeploymentArn=arn, stopType="ABORT")
    aws.run(3600)
    assert _states(aws)[0] == ("PRIMARY", "FAILED")
    assert aws.describe()["runningCount"] >= 2


@pytest.mark.parametrize(("stops", "goes_to"), [(True, 1), (False, 0)])
def test_where_a_rollback_goes_when_the_previous_revision_never_completed(
    aws: ManualEcs, stops: bool, goes_to: int
) -> None:
    """StopServiceDeployment: "to the previous service revision"; API type DeploymentCircuitBreaker: "to the last
    deployment that completed successfully"."""
    aws.create_stable(deploymentConfiguration=_breaker())
    aws.update(forceNewDeployment=True, deploymentConfiguration={"bakeTimeInMinutes": 60})
    aws.run_until("BAKE_TIME")
    earlier = list(aws.service.revisions)
    arn = aws.update(taskDefinition=aws.register(PULL_FAILS="true"))["currentServiceDeployment"]
    if stops:
        aws.call("StopServiceDeployment", serviceDeploymentArn=arn)
    aws.run_until("ROLLBACK_SUCCESSFUL")
    assert aws.deployment()["rollback"]["serviceRevisionArn"] == earlier[goes_to]
    assert {task.revision_arn for task in aws.service.running()} == {earlier[goes_to]}


# Alarms


def test_alarm_rolls_back(aws: ManualEcs) -> None:
    """API type DeploymentAlarms; `rolloutState` becomes FAILED, and the old deployment PRIMARY again."""
    before = aws.create_stable(deploymentConfiguration=ALARMS)
    aws.update(forceNewDeployment=True)
    aws.run(60)
    aws.alarms["web-latency"] = "ALARM"
    aws.run_until("ROLLBACK_IN_PROGRESS")
    during = aws.describe()["deployments"]
    assert during[0]["id"] == before["deployments"][0]["id"]
    assert during[1]["rolloutStateReason"] == "ECS deployment failed: alarm detected."
    assert any(message.endswith("deployment failed: alarm detected.") for message in aws.messages())
    aws.run(3600)
    record = aws.deployment()
    assert record["status"] == "ROLLBACK_SUCCESSFUL"
    assert record["alarms"]["triggeredAlarmNames"] == ["web-latency"]


def test_alarm_without_rollback_stops_the_deployment(aws: ManualEcs) -> None:
    """API type DeploymentAlarms, rollback: else the deployment only fails."""
    aws.create_stable(deploymentConfiguration={"alarms": ALARMS["alarms"] | {"rollback": False}})
    aws.update(forceNewDeployment=True)
    aws.run(60)
    aws.alarms["web-5xx"] = "ALARM"
    aws.run(3600)
    assert (aws.deployment()["status"], "rollback" in aws.deployment()) == ("STOPPED", False)
    assert _states(aws)[0] == ("PRIMARY", "FAILED")


def test_alarm_that_was_already_in_alarm_is_ignored_for_the_whole_deployment(aws: ManualEcs) -> None:
    """Developer guide: "If an alarm is in the ALARM state at the beginning of a deployment, Amazon ECS will not monitor
    alarms for the duration of that deployment (Amazon ECS ignores the alarm configuration)" - the other alarms too."""
    aws.create_stable(deploymentConfiguration=ALARMS)
    aws.alarms["web-5xx"] = "ALARM"
    aws.update(forceNewDeployment=True)
    aws.run(30)
    aws.alarms["web-latency"] = "ALARM"
    aws.run(3600)
    assert aws.deployment()["status"] == "SUCCESSFUL"
    assert aws.deployment()["alarms"]["status"] == "DISABLED"


def test_alarms_bake_a_rolling_deployment(aws: ManualEcs) -> None:
    """Developer guide, bake time: it starts when the target tasks are healthy and the source is scaled down to 0; "the
    default bake time is less than 5 minutes", and the deployment stays IN_PROGRESS until it expires."""
    aws.create_stable(deploymentConfiguration=ALARMS)
    aws.update(forceNewDeployment=True)
    record = aws.run_until("BAKE_TIME")
    assert record["status"] == "IN_PROGRESS"
    assert aws.describe()["runningCount"] == 3
    assert _states(aws) == [("PRIMARY", "IN_PROGRESS"), ("ACTIVE", "COMPLETED")]
    aws.run(299)
    assert aws.deployment()["status"] == "SUCCESSFUL"


def test_alarm_in_the_bake_time_brings_back_the_old_tasks(aws: ManualEcs) -> None:
    """A rolling deployment has no old tasks any more while it bakes: they start again."""
    before = aws.create_stable(deploymentConfiguration=ALARMS | {"bakeTimeInMinutes": 10})
    aws.update(taskDefinition=aws.register())
    aws.run_until("BAKE_TIME")
    aws.run(500)
    aws.alarms["web-5xx"] = "ALARM"
    aws.run_until("ROLLBACK_SUCCESSFUL")
    after = aws.describe()
    assert (after["taskDefinition"], after["runningCount"]) == (before["taskDefinition"], 3)
    assert after["deployments"][0]["id"] == before["deployments"][0]["id"]


def test_bake_time_of_a_rolling_deployment_without_alarms(aws: ManualEcs) -> None:
    """Developer guide: "You can configure the bake time for a rolling deployment"."""
    aws.create_stable(deploymentConfiguration={"bakeTimeInMinutes": 10})
    aws.update(forceNewDeployment=True)
    aws.run_until("BAKE_TIME")
    aws.run(590)
    assert aws.deployment()["status"] == "IN_PROGRESS"
    aws.run(20)
    assert aws.deployment()["status"] == "SUCCESSFUL"


# Early success


@pytest.mark.parametrize(("cleanup", "old_tasks"), [("DEFERRED", True), ("BLOCKING", False)])
def test_early_success_criteria(aws: ManualEcs, cleanup: str, old_tasks: bool) -> None:
    """API type DeploymentEarlySuccessCriteria: successful at a percentage of healthy tasks; DEFERRED "marks the
    deployment successful, and then removes the previous tasks in the background"."""
    criteria = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": cleanup}
    limits = {"minimumHealthyPercent": 50, "maximumPercent": 150}
    before = aws.create_stable(count=4, deploymentConfiguration=limits | {"earlySuccessCriteria": criteria})
    aws.update(forceNewDeployment=True)
    aws.run_until("SUCCESSFUL")
    revisions = {summary["arn"]: summary["runningTaskCount"] for summary in aws.describe()["currentServiceRevisions"]}
    assert (before["currentServiceRevisions"][0]["arn"] in revisions) == old_tasks
    aws.run(600)
    after = aws.describe()
    assert (after["runningCount"], len(after["deployments"])) == (4, 1)


def test_early_success_needs_at_least_minimum_healthy_percent(aws: ManualEcs) -> None:
    """healthyPercent "must be greater than or equal to the minimumHealthyPercent value"."""
    criteria = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED"}
    aws.register()
    with pytest.raises(AwsError, match="greater than or equal to minimumHealthyPercent"):
        aws.create(deploymentConfiguration={"earlySuccessCriteria": criteria})


# Pause hooks


def test_rolling_deployment_can_wait_at_a_pause_hook(aws: ManualEcs) -> None:
    """Pause hooks work on rolling deployments too (AWS, May 2026): no task changes before ContinueServiceDeployment."""
    before = aws.create_stable()
    hook = {"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]}
    arn = aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    arn = aws.describe()["currentServiceDeployment"]
    aws.run(3600)
    record = aws.deployment()
    assert (record["status"], record["lifecycleStage"]) == ("IN_PROGRESS", "PRE_SCALE_UP")
    assert {task.deployment_id for task in aws.service.running()} == {before["deployments"][0]["id"]}
    hook_id = record["lifecycleHookDetails"][0]["hookId"]
    aws.call("ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=hook_id)
    aws.run(600)
    assert aws.deployment()["status"] == "SUCCESSFUL"
    assert {task.deployment_id for task in aws.service.running()} == {aws.service.primary.id}


def test_newer_deployment_invalidates_the_hook_of_the_older_one(aws: ManualEcs) -> None:
    """Developer guide, "hookId not found or expired": "a new deployment was triggered (invalidating previous
    hookIds)"."""
    aws.create_stable()
    hook = {"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]}
    aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    aws.run(60)
    older = aws.deployment()
    aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": []})
    aws.run(600)
    after = aws.deployment(older["serviceDeploymentArn"])
    assert (after["status"], after["lifecycleHookDetails"][0]["status"]) == ("STOPPED", "FAILED")
    with pytest.raises(AwsError):
        aws.call(
            "ContinueServiceDeployment",
            serviceDeploymentArn=older["serviceDeploymentArn"],
            hookId=older["lifecycleHookDetails"][0]["hookId"],
        )
    assert aws.deployment()["status"] == "SUCCESSFUL"


def test_pause_hook_expires_after_24_hours(aws: ManualEcs) -> None:
    """API type DeploymentLifecycleHookTimeoutConfiguration: "Default: 1440 (24 hours)", then ROLLBACK."""
    aws.create_stable()
    hook = {"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]}
    aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    aws.run(86_390)
    assert aws.deployment()["status"] == "IN_PROGRESS"
    aws.run(60)
    assert aws.deployment()["status"] == "ROLLBACK_SUCCESSFUL"
