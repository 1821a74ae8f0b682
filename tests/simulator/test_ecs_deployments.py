"""Deployments, service deployments and service revisions: rolling, failing, rolling back."""

import time
from datetime import timedelta

import pytest

from .errors import AwsError
from .failure_detection import compute_breaker_threshold
from .harness import BREAKER, CLUSTER, SERVICE, Json, Scene, is_stable
from .manual_ecs import ManualEcs


def _states(service: Json) -> list[tuple[str, str]]:
    return [(deployment["status"], deployment["rolloutState"]) for deployment in service["deployments"]]


def test_forced_deployment_has_three_new_ids(scene: Scene) -> None:
    """UpdateService forceNewDeployment; ids of Deployment, ServiceDeployment and ServiceRevision are all new."""
    before = scene.create_stable()
    during = scene.update(forceNewDeployment=True)
    assert _states(during) == [("PRIMARY", "IN_PROGRESS"), ("ACTIVE", "COMPLETED")]
    after = scene.wait_stable()
    assert after["deployments"][0]["id"] != before["deployments"][0]["id"]
    assert after["currentServiceDeployment"] != before["currentServiceDeployment"]
    assert after["currentServiceRevisions"][0]["arn"] != before["currentServiceRevisions"][0]["arn"]
    record = scene.service_deployment(after["currentServiceDeployment"])
    assert record["status"] == "SUCCESSFUL"
    assert [source["arn"] for source in record["sourceServiceRevisions"]] == [
        before["currentServiceRevisions"][0]["arn"]
    ]


def test_network_configuration_alone_starts_a_deployment_and_is_in_the_revision(scene: Scene) -> None:
    """API type ServiceRevision holds networkConfiguration; changing it deploys."""
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-good"]}}
    first = scene.create_stable(networkConfiguration=network)
    changed = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-bad"]}}
    scene.update(networkConfiguration=changed)
    second = scene.wait_stable()
    arns = [service["currentServiceRevisions"][0]["arn"] for service in (first, second)]
    revisions = scene.ecs.describe_service_revisions(serviceRevisionArns=arns)["serviceRevisions"]
    groups = [r["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] for r in revisions]
    assert groups == [["sg-good"], ["sg-bad"]]
    assert revisions[0]["taskDefinition"] == revisions[1]["taskDefinition"]
    assert revisions[0]["containerImages"][0]["imageDigest"].startswith("sha256:")


def test_restoring_an_old_task_definition_makes_a_new_revision(scene: Scene) -> None:
    """Developer guide, "service revisions": each deployment by UpdateService creates one, even with old contents."""
    first = scene.create_stable()
    scene.register()
    scene.update(taskDefinition="web:2")
    scene.wait_stable()
    scene.update(taskDefinition="web:1")
    third = scene.wait_stable()
    assert third["taskDefinition"] == first["taskDefinition"]
    assert third["currentServiceRevisions"][0]["arn"] != first["currentServiceRevisions"][0]["arn"]


def test_rolling_update_keeps_the_limits(scene: Scene) -> None:
    """DeploymentConfiguration: minimumHealthyPercent is a lower limit (rounded up), maximumPercent an upper one
    (rounded down) on the number of tasks during a deployment."""
    limits = {"minimumHealthyPercent": 50, "maximumPercent": 125}
    scene.create_stable(count=4, deploymentConfiguration=limits)
    scene.update(forceNewDeployment=True)
    running, total = [], []

    def watch(service: Json) -> bool:
        running.append(service["runningCount"])
        total.append(service["runningCount"] + service["pendingCount"])
        return is_stable(service)

    scene.wait(watch)
    assert min(running) >= 2
    assert max(total) <= 5


def test_limits_that_allow_no_step_block_the_deployment(scene: Scene) -> None:
    """Developer guide, service event messages: "unable to stop or start tasks during a deployment because of the
    service deployment configuration": 125 % of 3 is 3 tasks, 100 % of 3 is 3 tasks."""
    scene.create_stable(deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 125})
    scene.update(forceNewDeployment=True)
    service = scene.wait(lambda service: "unable to stop or start" in service["events"][0]["message"])
    assert _states(service) == [("PRIMARY", "IN_PROGRESS"), ("ACTIVE", "COMPLETED")]
    assert service["runningCount"] == 3


def test_circuit_breaker_rolls_back_inside_the_same_service_deployment(scene: Scene) -> None:
    """DeploymentCircuitBreaker.rollback: "rolled back to the last deployment that completed successfully"; no new
    service revision comes to be (developer guide, "service deployments")."""
    before = scene.create_stable(deploymentConfiguration=BREAKER)
    scene.register(EXIT_AFTER_SECONDS=3)
    arn = scene.update(taskDefinition="web:2")["currentServiceDeployment"]
    after = scene.wait_stable()
    messages = [event["message"] for event in after["events"]]
    assert any(message.endswith("deployment failed: tasks failed to start.") for message in messages)
    assert after["deployments"][0]["id"] == before["deployments"][0]["id"], "its tasks run on"
    assert after["currentServiceDeployment"] == arn
    assert after["taskDefinition"] == before["taskDefinition"]
    assert after["currentServiceRevisions"][0]["arn"] == before["currentServiceRevisions"][0]["arn"]
    record = scene.service_deployment(arn)
    assert record["status"] == "ROLLBACK_SUCCESSFUL"
    assert record["rollback"]["reason"] == (
        "Service deployment rolled back because the circuit breaker threshold was exceeded."
    )
    assert record["rollback"]["serviceRevisionArn"] == before["currentServiceRevisions"][0]["arn"]
    assert record["deploymentCircuitBreaker"] == {"status": "TRIGGERED", "failureCount": 3, "threshold": 3}


def test_circuit_breaker_without_rollback_stops_the_deployment(scene: Scene) -> None:
    """Deployment.rolloutState: "A deployment in FAILED state doesn't launch any new tasks"; the old tasks serve on."""
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    before = scene.create_stable(deploymentConfiguration=breaker)
    scene.register(PULL_FAILS="true")
    scene.update(taskDefinition="web:2")
    service = scene.wait(lambda service: _states(service)[0] == ("PRIMARY", "FAILED"))
    assert scene.service_deployment(service["currentServiceDeployment"])["status"] == "STOPPED"
    time.sleep(0.1)
    settled = scene.describe()
    assert (settled["runningCount"], settled["pendingCount"]) == (3, 0)
    assert "steady state" not in settled["events"][0]["message"]
    assert {task["startedBy"] for task in scene.tasks()} == {before["deployments"][0]["id"]}


def test_first_deployment_that_fails_stalls(scene: Scene) -> None:
    """Developer guide, circuit breaker: without a COMPLETED deployment it launches no new tasks and stalls."""
    scene.register(PULL_FAILS="true")
    scene.create(deploymentConfiguration=BREAKER)
    service = scene.wait(lambda service: _states(service) == [("PRIMARY", "FAILED")])
    record = scene.service_deployment(service["currentServiceDeployment"])
    assert record["status"] == "STOPPED"
    assert "rollback" not in record


def test_deployment_without_breaker_fails_for_ever(scene: Scene) -> None:
    """Developer guide: without the circuit breaker a deployment that cannot settle stays IN_PROGRESS."""
    scene.create_stable()
    scene.register(EXIT_AFTER_SECONDS=3)
    scene.update(taskDefinition="web:2")
    service = scene.wait(lambda service: service["deployments"][0]["failedTasks"] >= 6)
    assert _states(service)[0] == ("PRIMARY", "IN_PROGRESS")
    assert service["runningCount"] >= 3


def test_stop_service_deployment_rolls_back_to_the_previous_revision(scene: Scene) -> None:
    """StopServiceDeployment: "rolls back the service deployment to the previous service revision", and repeating
    it "continues the rollback operation"; a finished one is a ConflictException."""
    before = scene.create_stable()
    scene.register(EXIT_AFTER_SECONDS=3)
    arn = scene.update(taskDefinition="web:2")["currentServiceDeployment"]
    scene.wait(lambda service: service["deployments"][0]["failedTasks"] >= 1)
    assert scene.ecs.stop_service_deployment(serviceDeploymentArn=arn)["serviceDeploymentArn"] == arn
    scene.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    after = scene.wait_stable()
    assert after["currentServiceDeployment"] == arn
    assert after["taskDefinition"] == before["taskDefinition"]
    assert scene.service_deployment(arn)["status"] == "ROLLBACK_SUCCESSFUL"
    revisions = {b["targetServiceRevisionArn"] for b in _list_deployments(scene)}
    assert len(revisions) == 2, "a rollback makes no revision"
    with pytest.raises(scene.ecs.exceptions.ConflictException):
        scene.ecs.stop_service_deployment(serviceDeploymentArn=arn)


def test_rollback_that_is_asked_for_again_goes_on() -> None:
    """StopServiceDeployment in ROLLBACK_REQUESTED and ROLLBACK_IN_PROGRESS: "continues the rollback operation". In
    DescribeServiceDeployments the rollback names its revision, source and target stay."""
    aws = ManualEcs()
    aws.create_stable()
    old = aws.describe()["currentServiceRevisions"][0]["arn"]
    aws.register(EXIT_AFTER_SECONDS=3)
    aws.update(taskDefinition="web:2")
    aws.run(60)
    arn = aws.deployment()["serviceDeploymentArn"]

    def stop() -> None:
        assert aws.call("StopServiceDeployment", serviceDeploymentArn=arn, stopType="ROLLBACK") == {
            "serviceDeploymentArn": arn
        }

    stop()
    assert aws.deployment()["status"] == "ROLLBACK_REQUESTED"
    stop()
    begun = aws.run_until("ROLLBACK_IN_PROGRESS")
    aws.run(5)
    stop()
    record = aws.deployment()
    assert record["rollback"] == begun["rollback"]
    assert record["rollback"]["serviceRevisionArn"] == old
    assert record["rollback"].keys() == {"reason", "startedAt", "serviceRevisionArn"}
    assert [revision["arn"] for revision in record["sourceServiceRevisions"]] == [old]
    assert record["targetServiceRevision"]["arn"] not in ("", old)
    assert aws.run_until("ROLLBACK_SUCCESSFUL")["serviceDeploymentArn"] == arn
    with pytest.raises(AwsError, match="ConflictException"):
        stop()


def test_successful_service_deployment_cannot_be_stopped() -> None:
    """StopServiceDeployment, Errors: ConflictException, "conflict in the current state of the resource"; what is done
    stays done."""
    aws = ManualEcs()
    aws.create_stable()
    record = aws.deployment()
    assert record["status"] == "SUCCESSFUL"
    with pytest.raises(AwsError, match="ConflictException"):
        aws.call("StopServiceDeployment", serviceDeploymentArn=record["serviceDeploymentArn"], stopType="ROLLBACK")
    assert aws.deployment() == record


def test_stop_of_an_unknown_service_deployment(scene: Scene) -> None:
    """StopServiceDeployment, Errors: ServiceDeploymentNotFoundException."""
    arn = "arn:aws:ecs:us-east-1:123456789012:service-deployment/demo/web/aaaaaaaaaaaaaaaaaaaaaa"
    with pytest.raises(scene.ecs.exceptions.ServiceDeploymentNotFoundException):
        scene.ecs.stop_service_deployment(serviceDeploymentArn=arn)


def test_newer_deployment_takes_the_place_of_one_under_way(scene: Scene) -> None:
    """API type ServiceDeployment, status STOPPED; the newer one's sources are all revisions with tasks."""
    scene.create_stable()
    scene.register(START_SECONDS=600)
    first = scene.update(taskDefinition="web:2")["currentServiceDeployment"]
    scene.update(forceNewDeployment=True, taskDefinition="web:1")
    service = scene.wait_stable()
    assert service["taskDefinition"].endswith("web:1")
    assert scene.service_deployment(first)["status"] == "STOPPED"


def test_service_deployments_are_listed_newest_first_and_by_status(scene: Scene) -> None:
    """ListServiceDeployments: filters by status and creation time."""
    scene.create_stable()
    scene.update(forceNewDeployment=True)
    current = scene.wait_stable()["currentServiceDeployment"]
    listed = _list_deployments(scene)
    assert listed[0]["serviceDeploymentArn"] == current
    assert len(listed) == 2
    assert _list_deployments(scene, status=["ROLLBACK_FAILED"]) == []
    older = {"before": listed[0]["createdAt"] - timedelta(milliseconds=1)}
    assert _list_deployments(scene, createdAt=older) == listed[1:]


def _list_deployments(scene: Scene, **filters: object) -> list[Json]:
    answer = scene.ecs.list_service_deployments(cluster=CLUSTER, service=SERVICE, **filters)
    briefs: list[Json] = answer["serviceDeployments"]
    return briefs


@pytest.mark.parametrize(
    ("desired", "configured", "threshold"),
    [
        (1, None, 3),
        (25, None, 13),
        (1000, None, 200),
        (25, {"type": "COUNT", "value": 2}, 2),
        (4, {"type": "BOUNDED_PERCENT", "value": 50}, 3),
        (1000, {"type": "UNBOUNDED_PERCENT", "value": 50}, 500),
    ],
)
def test_breaker_threshold(desired: int, configured: Json | None, threshold: int) -> None:
    """API type ServiceDeploymentCircuitBreaker: "0.5 * desired task count" with "a minimum threshold of 3 and a maximum
    threshold of 200", rounded up. API type ThresholdConfiguration overrides it."""
    breaker = {} if configured is None else {"thresholdConfiguration": configured}
    assert compute_breaker_threshold({"deploymentCircuitBreaker": breaker}, desired) == threshold


def test_scaling_down_a_failed_deployment_stops_old_tasks(scene: Scene) -> None:
    """A FAILED deployment starts nothing, yet the desired count still holds for the tasks that serve."""
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    scene.create_stable(deploymentConfiguration=breaker)
    scene.register(PULL_FAILS="true")
    scene.update(taskDefinition="web:2")
    scene.wait(lambda service: _states(service)[0] == ("PRIMARY", "FAILED"))
    scene.update(desiredCount=2)
    scene.wait(lambda service: service["runningCount"] == 2)
    assert scene.describe()["runningCount"] == 2
