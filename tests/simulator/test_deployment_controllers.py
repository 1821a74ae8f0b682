"""Services that ECS does not deploy to by itself, and services without a desired count."""

import pytest

from .errors import AwsError
from .manual_ecs import BLUE, GREEN, Json, ManualEcs
from .zone_rebalancing import ZoneRebalancing

CODE_DEPLOY: Json = {"deploymentController": {"type": "CODE_DEPLOY"}}
EXTERNAL: Json = {"deploymentController": {"type": "EXTERNAL"}}
NETWORK: Json = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


@pytest.fixture
def aws() -> ManualEcs:
    """A cluster in which time passes only when told."""
    return ManualEcs()


def _balancer(arn: str) -> Json:
    return {"targetGroupArn": arn, "containerName": "app", "containerPort": 80}


def _create_external(aws: ManualEcs) -> Json:
    """A service that two task sets, one of them PRIMARY, share."""
    aws.register()
    answer: Json = aws.call("CreateService", cluster="demo", serviceName="web", desiredCount=4, **EXTERNAL)["service"]
    for arn, scale in ((BLUE, 100.0), (GREEN, 30.0)):
        aws.call(
            "CreateTaskSet",
            cluster="demo",
            service="web",
            taskDefinition="web",
            launchType="FARGATE",
            loadBalancers=[_balancer(arn)],
            scale={"value": scale, "unit": "PERCENT"},
        )
    primary = aws.describe()["taskSets"][0]["id"]
    aws.call("UpdateServicePrimaryTaskSet", cluster="demo", service="web", primaryTaskSet=primary)
    aws.run(300)
    return answer


# CODE_DEPLOY


def test_task_sets_are_not_rebalanced(aws: ManualEcs) -> None:
    """A deployment of CodeDeploy leaves zones uneven; no deployment of ECS's own is there to move tasks in."""
    aws.register()
    aws.create(**CODE_DEPLOY)
    aws.run(300)
    for task in aws.service.tasks.values():
        task.availability_zone = "us-east-1a"
    assert aws.service.steady
    ZoneRebalancing(aws.ecs, aws.scheduler, aws.clock).review(aws.clock.now())
    assert not any("AZ" in message for message in aws.messages())


def test_code_deploy_service_has_a_task_set_and_no_deployments(aws: ManualEcs) -> None:
    """API type Service: taskSets "in either a CodeDeploy or an EXTERNAL deployment"; Deployment "is used only when a
    service uses the ECS deployment controller type"."""
    aws.register()
    aws.create(loadBalancers=[_balancer(BLUE)], **CODE_DEPLOY)
    aws.run(300)
    service = aws.describe()
    assert (service["deployments"], "currentServiceDeployment" in service) == ([], False)
    (task_set,) = service["taskSets"]
    assert (task_set["status"], task_set["stabilityStatus"]) == ("PRIMARY", "STEADY_STATE")
    assert (task_set["runningCount"], task_set["computedDesiredCount"]) == (3, 3)
    assert {task.deployment_id for task in aws.service.running()} == {task_set["id"]}
    assert aws.service.traffic() == [(BLUE, aws.service.task_sets[0].revision.arn, 1.0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forceNewDeployment": True}, "Cannot force a new deployment on services with a CODE_DEPLOY deployment contr"),
        ({"taskDefinition": "web:2"}, "Unable to update task definition on services with a CODE_DEPLOY deployment con"),
        ({"networkConfiguration": NETWORK}, "Unable to update network parameters on services with a CODE_DEPLOY deplo"),
    ],
)
def test_code_deploy_service_refuses_what_code_deploy_does(aws: ManualEcs, changes: Json, message: str) -> None:
    """UpdateService: with CODE_DEPLOY only counts and the like "can be updated using this API". Words as AWS says them,
    "Use AWS CodeDeploy to trigger a new deployment." at the end."""
    aws.register()
    aws.create(**CODE_DEPLOY)
    aws.register()
    with pytest.raises(AwsError, match=message) as caught:
        aws.update(**changes)
    assert caught.value.code == "InvalidParameterException"
    assert caught.value.message.endswith("Use AWS CodeDeploy to trigger a new deployment.")


def test_code_deploy_service_can_be_scaled(aws: ManualEcs) -> None:
    """UpdateService: "only the desired count, deployment configuration, health check grace period, …"."""
    aws.register()
    aws.create(**CODE_DEPLOY)
    aws.update(desiredCount=5)
    aws.run(300)
    assert aws.describe()["runningCount"] == 5


def test_service_deployments_need_the_ecs_controller(aws: ManualEcs) -> None:
    """ListServiceDeployments, Errors: UnsupportedFeatureException."""
    aws.register()
    aws.create(**CODE_DEPLOY)
    with pytest.raises(AwsError) as caught:
        aws.call("ListServiceDeployments", cluster="demo", service="web")
    assert caught.value.code == "UnsupportedFeatureException"


def test_code_deploy_service_can_move_to_the_ecs_controller(aws: ManualEcs) -> None:
    """UpdateService, deploymentController (since July 2025): the service changes in place, by a new deployment."""
    aws.register()
    aws.create(loadBalancers=[_balancer(BLUE)], **CODE_DEPLOY)
    aws.run(300)
    aws.update(deploymentController={"type": "ECS"})
    aws.run(600)
    service = aws.describe()
    assert service["deploymentController"] == {"type": "ECS"}
    assert ([d["rolloutState"] for d in service["deployments"]], "taskSets" in service) == (["COMPLETED"], False)
    assert service["runningCount"] == 3
    assert aws.deployment()["status"] == "SUCCESSFUL"


# EXTERNAL


def test_external_service_runs_task_sets_by_their_scale(aws: ManualEcs) -> None:
    """API type TaskSet: computedDesiredCount is desiredCount times scale, "always rounded up. For example, if the
    computed desired count is 1.2, it rounds up to 2 tasks"; status PRIMARY "is serving production traffic"."""
    created = _create_external(aws)
    assert (created["deployments"], created.get("taskSets")) == ([], [])
    sets = aws.describe()["taskSets"]
    assert [(s["status"], s["computedDesiredCount"], s["runningCount"]) for s in sets] == [
        ("PRIMARY", 4, 4),
        ("ACTIVE", 2, 2),
    ]
    assert [arn for arn, _, _ in aws.service.traffic()] == [BLUE]
    aws.call("UpdateServicePrimaryTaskSet", cluster="demo", service="web", primaryTaskSet=sets[1]["id"])
    assert [arn for arn, _, _ in aws.service.traffic()] == [GREEN]


def test_external_task_sets_scale_and_go(aws: ManualEcs) -> None:
    """UpdateTaskSet; DeleteTaskSet: `force` "even if it hasn't been scaled down to zero"."""
    _create_external(aws)
    second = aws.describe()["taskSets"][1]["id"]
    scale = {"value": 75.0, "unit": "PERCENT"}
    aws.call("UpdateTaskSet", cluster="demo", service="web", taskSet=second, scale=scale)
    aws.run(120)
    assert aws.describe()["taskSets"][1]["runningCount"] == 3
    with pytest.raises(AwsError, match="scaled down to 0"):
        aws.call("DeleteTaskSet", cluster="demo", service="web", taskSet=second)
    answer = aws.call("DeleteTaskSet", cluster="demo", service="web", taskSet=second, force=True)["taskSet"]
    assert answer["status"] == "DRAINING"
    aws.run(120)
    assert [task_set["status"] for task_set in aws.describe()["taskSets"]] == ["PRIMARY"]
    assert aws.describe()["runningCount"] == 4


def test_external_service_refuses_deployments(aws: ManualEcs) -> None:
    """UpdateService: with an external controller, for another task definition "create a new task set"."""
    _create_external(aws)
    for changes in ({"forceNewDeployment": True}, {"taskDefinition": "web"}):
        with pytest.raises(AwsError, match="with an EXTERNAL deployment controller"):
            aws.update(**changes)


def test_unknown_task_set(aws: ManualEcs) -> None:
    """UpdateTaskSet, Errors: TaskSetNotFoundException; DescribeTaskSets names it as a failure."""
    _create_external(aws)
    with pytest.raises(AwsError) as caught:
        aws.call("UpdateServicePrimaryTaskSet", cluster="demo", service="web", primaryTaskSet="ecs-svc/1")
    assert caught.value.code == "TaskSetNotFoundException"
    answer = aws.call("DescribeTaskSets", cluster="demo", service="web", taskSets=["ecs-svc/1"])
    assert answer == {"taskSets": [], "failures": [{"arn": "ecs-svc/1", "reason": "MISSING"}]}


def test_task_set_tells_its_steady_state(aws: ManualEcs) -> None:
    """Developer guide, service action events: TASKSET_STEADY_STATE."""
    _create_external(aws)
    assert aws.names("ECS Service Action").count("TASKSET_STEADY_STATE") == 2


# DAEMON


def test_daemon_service_has_a_task_on_each_instance_and_no_minimum(aws: ManualEcs) -> None:
    """CreateService: DAEMON "deploys exactly one task on each active container instance"; API type
    DeploymentConfiguration: minimumHealthyPercent defaults to 0 % for a DAEMON service created by API."""
    aws.register()
    aws.create(count=None, launchType="EC2", schedulingStrategy="DAEMON")
    aws.run(300)
    service = aws.describe()
    assert (service["desiredCount"], service["runningCount"]) == (3, 3)
    assert len({task.availability_zone for task in aws.service.running()}) == 3
    configuration = service["deploymentConfiguration"]
    assert (configuration["minimumHealthyPercent"], configuration["maximumPercent"]) == (0, 100)
    aws.update(forceNewDeployment=True)
    aws.run(5)
    assert aws.describe()["runningCount"] == 0, "all at once"
    aws.run(300)
    assert aws.describe()["runningCount"] == 3


def test_daemon_service_refuses_a_desired_count(aws: ManualEcs) -> None:
    """CreateService and UpdateService: "you don't need to specify a desired number of tasks" - in AWS you must not."""
    aws.register()
    message = "The daemon scheduling strategy does not support a desired count for services"
    with pytest.raises(AwsError, match=message):
        aws.create(count=2, launchType="EC2", schedulingStrategy="DAEMON")
    with pytest.raises(AwsError, match="does not support Fargate"):
        aws.create(count=None, schedulingStrategy="DAEMON")
    aws.create(count=None, launchType="EC2", schedulingStrategy="DAEMON")
    with pytest.raises(AwsError, match=message):
        aws.update(desiredCount=2)


def test_daemon_service_follows_the_container_instances(aws: ManualEcs) -> None:
    """Developer guide, service action events: SERVICE_DESIRED_COUNT_UPDATED "when the service scheduler updates the
    computed desired count"."""
    aws.register()
    aws.create(count=None, launchType="EC2", schedulingStrategy="DAEMON")
    aws.run(300)
    aws.ecs.conditions.update({"instanceLacks": {"demo": "NONE"}})
    aws.scheduler.touch(aws.service)
    aws.run(60)
    assert (aws.describe()["desiredCount"], aws.describe()["runningCount"]) == (0, 0)
    assert aws.names("ECS Service Action").count("SERVICE_DESIRED_COUNT_UPDATED") == 2
