"""Blue/green, linear and canary deployments of the ECS controller: stages, traffic, hooks and the way back."""

import pytest

from .errors import AwsError
from .lifecycle_stages import Stage, build_stages
from .manual_ecs import BLUE, GREEN, PAIR, PRODUCTION_RULE, Json, ManualEcs

BLUE_GREEN: Json = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10}
CANARY: Json = {
    "strategy": "CANARY",
    "bakeTimeInMinutes": 5,
    "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 10},
}


@pytest.fixture
def aws() -> ManualEcs:
    """A cluster in which time passes only when told."""
    return ManualEcs()


def _deploy(aws: ManualEcs, configuration: Json, **variables: object) -> str:
    """A stable service of three tasks with this DeploymentConfiguration, and a second revision on its way."""
    aws.create_stable(deploymentConfiguration=configuration, loadBalancers=[PAIR])
    return str(aws.update(taskDefinition=aws.register(**variables))["currentServiceDeployment"])


def _weights(record: Json) -> list[float]:
    """Production weights of source and target."""
    summaries = [*record["sourceServiceRevisions"], record["targetServiceRevision"]]
    return [summary["requestedProductionTrafficWeight"] for summary in summaries]


def _target_groups(aws: ManualEcs) -> dict[str, float]:
    return {arn.split("/")[1]: round(share, 3) for arn, _, share in aws.service.traffic()}


def test_blue_green_goes_through_the_lifecycle_stages_in_order(aws: ManualEcs) -> None:
    """Developer guide, "Amazon ECS blue/green deployments": PRE_SCALE_UP … CLEAN_UP; the green revision serves nothing
    before the production traffic shift, and the blue one runs on until the bake time is over."""
    arn = _deploy(aws, BLUE_GREEN)
    record = aws.run_until("TEST_TRAFFIC_SHIFT")
    assert _weights(record) == [100.0, 0.0]
    assert record["targetServiceRevision"]["requestedTestTrafficWeight"] == 100.0
    assert _target_groups(aws) == {"blue": 1.0}
    assert aws.describe()["runningCount"] == 6
    record = aws.run_until("BAKE_TIME")
    assert _weights(record) == [0.0, 100.0]
    assert _target_groups(aws) == {"green": 1.0}
    aws.run(590)
    assert aws.deployment()["lifecycleStage"] == "BAKE_TIME"
    assert aws.describe()["runningCount"] == 6
    aws.run(60)
    assert (aws.deployment()["status"], aws.deployment()["serviceDeploymentArn"]) == ("SUCCESSFUL", arn)
    assert aws.describe()["runningCount"] == 3


def test_blue_green_swaps_target_groups_but_not_the_service_definition(aws: ManualEcs) -> None:
    """API type ResolvedConfiguration: "which target groups serve traffic"; loadBalancers of the service stay as given,
    so whoever watches them watches the wrong target group after the first deployment."""
    _deploy(aws, BLUE_GREEN)
    aws.run(3600)
    service = aws.describe()
    assert service["loadBalancers"][0]["targetGroupArn"] == BLUE
    revision = service["currentServiceRevisions"][0]["arn"]
    described = aws.call("DescribeServiceRevisions", serviceRevisionArns=[revision])["serviceRevisions"][0]
    assert described["resolvedConfiguration"]["loadBalancers"] == [
        {"targetGroupArn": GREEN, "productionListenerRule": PRODUCTION_RULE}
    ]
    assert _target_groups(aws) == {"green": 1.0}
    aws.update(forceNewDeployment=True)
    aws.run(3600)
    assert _target_groups(aws) == {"blue": 1.0}


def test_canary_sends_its_share_to_its_own_target_group(aws: ManualEcs) -> None:
    """API type CanaryConfiguration: a fixed percentage, a bake time, then the rest."""
    _deploy(aws, CANARY)
    record = aws.run_until("PRODUCTION_TRAFFIC_SHIFT")
    assert _weights(record) == [90.0, 10.0]
    assert _target_groups(aws) == {"blue": 0.9, "green": 0.1}
    aws.run(590)
    assert _target_groups(aws) == {"blue": 0.9, "green": 0.1}
    aws.run(30)
    assert _target_groups(aws) == {"green": 1.0}
    aws.run(600)
    assert aws.deployment()["status"] == "SUCCESSFUL"


def test_linear_shifts_step_by_step(aws: ManualEcs) -> None:
    """API type LinearConfiguration: equal increments; the wait "is not applied after reaching 100 percent traffic"."""
    linear = {"stepPercent": 25.0, "stepBakeTimeInMinutes": 6}
    _deploy(aws, {"strategy": "LINEAR", "bakeTimeInMinutes": 1, "linearConfiguration": linear})
    aws.run_until("PRODUCTION_TRAFFIC_SHIFT")
    seen = []
    for _ in range(4):
        seen.append(_weights(aws.deployment())[1])
        aws.run(365)
    assert seen == [25.0, 50.0, 75.0, 100.0]
    assert aws.deployment()["status"] == "SUCCESSFUL", "no step bake after 100 %"


def test_steps_that_do_not_divide_100_end_at_100() -> None:
    """API type LinearConfiguration: stepPercent is any multiple of 0.1 from 3 to 100."""
    stages = build_stages({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 30.0}}, 1)
    shares = [stage.production_share for stage in stages if stage.name == "PRODUCTION_TRAFFIC_SHIFT"]
    assert shares == pytest.approx([0.3, 0.6, 0.9, 1.0])


def test_default_steps_of_linear_and_canary() -> None:
    """API types LinearConfiguration (10 percent, 6 minutes) and CanaryConfiguration (5 percent, 10 minutes)."""
    linear = [s for s in build_stages({"strategy": "LINEAR"}, 1) if s.name == "PRODUCTION_TRAFFIC_SHIFT"]
    canary = [s for s in build_stages({"strategy": "CANARY"}, 1) if s.name == "PRODUCTION_TRAFFIC_SHIFT"]
    assert (len(linear), linear[0].production_share, linear[0].seconds) == (10, 0.1, 365.0)
    assert canary == [
        Stage("PRODUCTION_TRAFFIC_SHIFT", 605.0, production_share=0.05),
        Stage("PRODUCTION_TRAFFIC_SHIFT", 5.0, production_share=1.0),
    ]


@pytest.mark.parametrize(
    "stage", ["PRE_SCALE_UP", "SCALE_UP", "TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP"]
)
def test_stop_rolls_back_in_every_stage(aws: ManualEcs, stage: str) -> None:
    """StopServiceDeployment: a deployment IN_PROGRESS "moves to the ROLLBACK_REQUESTED state, and then the rollback
    operation starts" (developer guide); it makes no revision, and blue gets all traffic again."""
    hooks = [{"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]}] if stage == "PRE_SCALE_UP" else []
    aws.create_stable(deploymentConfiguration=CANARY, loadBalancers=[PAIR])
    before = aws.describe()
    changes = {"deploymentConfiguration": {"lifecycleHooks": hooks}}
    aws.update(taskDefinition=aws.register(), **changes)
    record = aws.run_until(stage)
    revisions = len(aws.service.revisions)
    aws.call("StopServiceDeployment", serviceDeploymentArn=record["serviceDeploymentArn"])
    assert aws.deployment()["status"] == "ROLLBACK_REQUESTED"
    aws.run(2)
    assert aws.deployment()["status"] in ("ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL")
    aws.run(600)
    record = aws.deployment()
    assert record["status"] == "ROLLBACK_SUCCESSFUL"
    assert record["rollback"]["serviceRevisionArn"] == before["currentServiceRevisions"][0]["arn"]
    assert len(aws.service.revisions) == revisions
    after = aws.describe()
    assert after["taskDefinition"] == before["taskDefinition"]
    assert (after["runningCount"], len(after["deployments"])) == (3, 1)
    assert _target_groups(aws) == {"blue": 1.0}


def test_rollback_from_clean_up_starts_blue_tasks_before_it_gets_traffic(aws: ManualEcs) -> None:
    """When blue has scaled down, traffic can only return once its tasks run again."""
    _deploy(aws, BLUE_GREEN)
    record = aws.run_until("CLEAN_UP")
    aws.call("StopServiceDeployment", serviceDeploymentArn=record["serviceDeploymentArn"])
    aws.run(5)
    assert aws.deployment()["status"] == "ROLLBACK_IN_PROGRESS"
    assert _target_groups(aws) == {"green": 1.0}
    aws.run_until("PRODUCTION_TRAFFIC_SHIFT")
    assert _target_groups(aws) == {"blue": 1.0}


def test_abort_leaves_traffic_where_it_is(aws: ManualEcs) -> None:
    """botocore's model: StopServiceDeploymentStopType ABORT; statuses STOP_REQUESTED and STOPPED."""
    _deploy(aws, CANARY)
    record = aws.run_until("PRODUCTION_TRAFFIC_SHIFT")
    aws.call("StopServiceDeployment", serviceDeploymentArn=record["serviceDeploymentArn"], stopType="ABORT")
    assert aws.deployment()["status"] == "STOP_REQUESTED"
    aws.run(3600)
    assert aws.deployment()["status"] == "STOPPED"
    assert "rollback" not in aws.deployment()
    assert _target_groups(aws) == {"blue": 0.9, "green": 0.1}
    assert aws.describe()["runningCount"] == 6


def test_circuit_breaker_ends_a_scale_up_that_cannot_work(aws: ManualEcs) -> None:
    """Developer guide, "Amazon ECS deployment failure detection": "Both methods only support rolling update deployment
    and blue/green deployment types"."""
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    _deploy(aws, BLUE_GREEN | breaker, EXIT_AFTER_SECONDS=3)
    aws.run_until("ROLLBACK_SUCCESSFUL")
    assert aws.deployment()["statusReason"] == (
        "Service deployment rolled back because the circuit breaker threshold was exceeded."
    )
    assert _target_groups(aws) == {"blue": 1.0}
    assert aws.describe()["runningCount"] == 3


def test_alarm_in_bake_time_returns_to_blue(aws: ManualEcs) -> None:
    """API type DeploymentAlarms: ECS fails the deployment when an alarm goes off, and rolls back if told so."""
    alarms = {"alarms": {"alarmNames": ["web-5xx"], "enable": True, "rollback": True}}
    _deploy(aws, BLUE_GREEN | alarms)
    aws.run_until("BAKE_TIME")
    aws.alarms["web-5xx"] = "ALARM"
    aws.run_until("ROLLBACK_SUCCESSFUL")
    record = aws.deployment()
    assert record["alarms"] == {
        "status": "TRIGGERED",
        "alarmNames": ["web-5xx"],
        "triggeredAlarmNames": ["web-5xx"],
    }
    assert _target_groups(aws) == {"blue": 1.0}


def test_first_blue_green_deployment_has_nothing_to_shift_from(aws: ManualEcs) -> None:
    """Without a source revision there is no bake time next to blue."""
    aws.register()
    aws.create(deploymentConfiguration=BLUE_GREEN, loadBalancers=[PAIR])
    aws.run(120)
    assert aws.deployment()["status"] == "SUCCESSFUL"
    assert _target_groups(aws) == {"blue": 1.0}


def test_newer_blue_green_deployment_reconciles_first(aws: ManualEcs) -> None:
    """API type ServiceDeployment, lifecycleStage: RECONCILE_SERVICE "only happens when you start a new service
    deployment with more than 1 service revision in an ACTIVE state"."""
    hook = {"targetType": "PAUSE", "lifecycleStages": ["RECONCILE_SERVICE"]}
    _deploy(aws, BLUE_GREEN)
    aws.run_until("TEST_TRAFFIC_SHIFT")
    aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    aws.run(10)
    record = aws.deployment()
    assert record["lifecycleStage"] == "RECONCILE_SERVICE"
    assert len(record["sourceServiceRevisions"]) == 2
    assert _target_groups(aws) == {"blue": 1.0}
    aws.call(
        "ContinueServiceDeployment",
        serviceDeploymentArn=record["serviceDeploymentArn"],
        hookId=record["lifecycleHookDetails"][0]["hookId"],
    )
    aws.run(3600)
    assert aws.deployment()["status"] == "SUCCESSFUL"
    assert aws.describe()["runningCount"] == 3
    assert _target_groups(aws) == {"green": 1.0}


# Hooks


def test_pause_hook_waits_for_continue(aws: ManualEcs) -> None:
    """Developer guide, "Pause hooks for Amazon ECS service deployments": the hook is AWAITING_ACTION while the service
    deployment stays IN_PROGRESS, until ContinueServiceDeployment."""
    hook = {"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}
    arn = _deploy(aws, BLUE_GREEN)
    aws.update(deploymentConfiguration={"lifecycleHooks": [hook]})
    aws.run(3600)
    arn = aws.update(forceNewDeployment=True)["currentServiceDeployment"]
    aws.run(3600)
    record = aws.deployment(arn)
    (detail,) = record["lifecycleHookDetails"]
    assert (record["status"], record["lifecycleStage"]) == ("IN_PROGRESS", "POST_TEST_TRAFFIC_SHIFT")
    assert (detail["targetType"], detail["status"], detail["timeoutAction"]) == ("PAUSE", "AWAITING_ACTION", "ROLLBACK")
    assert detail["hookId"].startswith("ecs-pause-")
    aws.call("ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=detail["hookId"])
    aws.run(3600)
    record = aws.deployment(arn)
    assert (record["status"], record["lifecycleHookDetails"][0]["status"]) == ("SUCCESSFUL", "SUCCEEDED")
    assert aws.names("ECS Hook State Change") == ["HOOK_AWAITING_ACTION", "HOOK_SUCCEEDED"]


def test_pause_hook_can_roll_back(aws: ManualEcs) -> None:
    """ContinueServiceDeployment, action ROLLBACK: "Rolls back the deployment to the previous service revision"."""
    hook = {"targetType": "PAUSE", "lifecycleStages": ["POST_PRODUCTION_TRAFFIC_SHIFT"]}
    aws.create_stable(deploymentConfiguration=BLUE_GREEN, loadBalancers=[PAIR])
    arn = aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    record = aws.run_until("POST_PRODUCTION_TRAFFIC_SHIFT")
    hook_id = record["lifecycleHookDetails"][0]["hookId"]
    arn = record["serviceDeploymentArn"]
    aws.call("ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=hook_id, action="ROLLBACK")
    aws.run_until("ROLLBACK_SUCCESSFUL")
    assert aws.names("ECS Hook State Change")[-1] == "HOOK_FAILED"
    assert _target_groups(aws) == {"blue": 1.0}
    with pytest.raises(AwsError, match="not allowed for service deployment in terminal states"):
        aws.call("ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=hook_id)


@pytest.mark.parametrize(("action", "status"), [("ROLLBACK", "ROLLBACK_SUCCESSFUL"), ("CONTINUE", "SUCCESSFUL")])
def test_pause_hook_times_out(aws: ManualEcs, action: str, status: str) -> None:
    """API type DeploymentLifecycleHookTimeoutConfiguration: the timeout action is ROLLBACK (default) or CONTINUE."""
    timeout = {"timeoutInMinutes": 30, "action": action}
    hook = {"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"], "timeoutConfiguration": timeout}
    aws.create_stable(deploymentConfiguration=BLUE_GREEN, loadBalancers=[PAIR])
    aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    aws.run(1790)
    assert aws.deployment()["lifecycleStage"] == "PRE_SCALE_UP"
    assert aws.describe()["pendingCount"] == 0
    aws.run(1800)
    record = aws.deployment()
    assert (record["status"], record["lifecycleHookDetails"][0]["status"]) == (status, "TIMED_OUT")
    if action == "ROLLBACK":
        assert record["statusReason"] == "Service deployment rolled back because PRE_SCALE_UP pause hook timed out."


def test_pause_before_each_step_of_a_canary_has_its_own_id(aws: ManualEcs) -> None:
    """Developer guide, pause hooks with linear and canary deployments: "Each invocation generates a unique hookId"."""
    hook = {"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}
    aws.create_stable(deploymentConfiguration=CANARY, loadBalancers=[PAIR])
    aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    ids = []
    for _ in range(2):
        record = aws.run_until("PRE_PRODUCTION_TRAFFIC_SHIFT")
        ids.append(record["lifecycleHookDetails"][-1]["hookId"])
        arn = record["serviceDeploymentArn"]
        aws.call("ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=ids[-1])
        aws.run(1)
    with pytest.raises(AwsError, match="either completed, unavailable"):
        aws.call("ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=ids[0])
    assert len(set(ids)) == 2
    aws.run(3600)
    assert aws.deployment()["status"] == "SUCCESSFUL"


def test_lambda_hook_that_fails_rolls_back(aws: ManualEcs) -> None:
    """Developer guide, "Troubleshooting Amazon ECS blue/green deployments": "Lambda hook returns FAILED status".
    The simulated function answers what `hookStatus` in its hookDetails says."""
    target = "arn:aws:lambda:us-east-1:123456789012:function:check"
    hook = {
        "hookTargetArn": target,
        "roleArn": "arn:aws:iam::123456789012:role/hook",
        "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"],
        "hookDetails": {"hookStatus": "FAILED"},
    }
    aws.create_stable(deploymentConfiguration=BLUE_GREEN, loadBalancers=[PAIR])
    aws.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": [hook]})
    aws.run_until("ROLLBACK_SUCCESSFUL")
    reason = (
        "Service deployment rolled back because POST_TEST_TRAFFIC_SHIFT lifecycle hook(s) failed. "
        f"Lifecycle hook target {target} returned FAILED status."
    )
    assert aws.deployment()["statusReason"] == reason
    assert any(message.endswith(f"deployment failed: {reason}") for message in aws.messages())


def test_failed_hook_of_a_first_deployment_has_no_rollback_candidate(aws: ManualEcs) -> None:
    """`statusReason` of a rollback without a revision to return to, as ECS words it."""
    hook = {
        "hookTargetArn": "arn:aws:lambda:us-east-1:123456789012:function:check",
        "lifecycleStages": ["PRE_SCALE_UP"],
        "hookDetails": {"hookStatus": "FAILED"},
    }
    aws.register()
    aws.create(deploymentConfiguration=BLUE_GREEN | {"lifecycleHooks": [hook]}, loadBalancers=[PAIR])
    record = aws.run_until("ROLLBACK_FAILED")
    assert record["statusReason"] == "No rollback candidate was found to run the rollback."


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"strategy": "BLUE_GREEN"}, "bakeTimeInMinutes is required"),
        (CANARY | {"canaryConfiguration": {"canaryPercent": 0.01}}, "canaryPercent must be between"),
        (BLUE_GREEN | {"linearConfiguration": {}}, "only valid when the deployment strategy is LINEAR"),
        (
            BLUE_GREEN | {"lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["TEST_TRAFFIC_SHIFT"]}]},
            "Invalid lifecycle stage provided for Pause Hook",
        ),
        (BLUE_GREEN | {"lifecycleHooks": [{"lifecycleStages": ["PRE_SCALE_UP"]}]}, "hookTargetArn is required"),
    ],
)
def test_wrong_configurations_are_refused(aws: ManualEcs, configuration: Json, message: str) -> None:
    """API types DeploymentConfiguration, LinearConfiguration, CanaryConfiguration and DeploymentLifecycleHook."""
    aws.register()
    with pytest.raises(AwsError, match=message):
        aws.create(deploymentConfiguration=configuration, loadBalancers=[PAIR])


def test_blue_green_needs_an_alternate_target_group(aws: ManualEcs) -> None:
    """Developer guide, "Missing advanced configuration with blue/green deployment"."""
    aws.register()
    plain = {"targetGroupArn": BLUE, "containerName": "app", "containerPort": 80}
    with pytest.raises(AwsError, match="advancedConfiguration field is required for all loadBalancers"):
        aws.create(deploymentConfiguration=BLUE_GREEN, loadBalancers=[plain])
