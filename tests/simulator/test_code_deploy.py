"""CodeDeploy: blue/green deployments of services that it controls, stopped and rolled back."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .control import ControlError
from .harness import CLUSTER, SERVICE, TARGET_GROUP_ARN, Json, Scene

GREEN_ARN = TARGET_GROUP_ARN.replace("/web/", "/web-green/")
BALANCERS = [{"targetGroupArn": TARGET_GROUP_ARN, "containerName": "app", "containerPort": 80}]
CONTROLLER: Json = {"deploymentController": {"type": "CODE_DEPLOY"}, "loadBalancers": BALANCERS}


def _create(scene: Scene) -> Any:
    """A service that CodeDeploy controls, at rest; the client."""
    scene.register()
    scene.create(count=2, **CONTROLLER)
    scene.wait(lambda service: service["taskSets"][0]["stabilityStatus"] == "STEADY_STATE")
    return scene.client("codedeploy")


def _sets(scene: Scene) -> dict[str, tuple[str, int]]:
    """Of each task set's revision: status and running tasks."""
    found = scene.describe()["taskSets"]
    return {t["taskDefinition"].rsplit(":", 1)[-1]: (t["status"], t["runningCount"]) for t in found}


def _info(codedeploy: Any, id_: str) -> Json:
    found: Json = codedeploy.get_deployment(deploymentId=id_)["deploymentInfo"]
    return found


def _wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def test_deployment_replaces_a_task_set(scene: Scene) -> None:
    """The replacement gets the traffic once it is healthy; the original goes five minutes later, here 0.5 s."""
    codedeploy = _create(scene)
    scene.register()
    id_ = scene.control.deploy_with_code_deploy(CLUSTER, SERVICE, "web:2", target_group_arn=GREEN_ARN)
    begun = _info(codedeploy, id_)
    assert (begun["status"], begun["computePlatform"], begun["creator"]) == ("InProgress", "ECS", "user")
    assert begun["instanceTerminationWaitTimeStarted"] is False
    assert _sets(scene)["1"][0] == "PRIMARY"
    newest = scene.describe()["taskSets"][-1]
    assert (newest["externalId"], newest["startedBy"]) == (id_, "CODE_DEPLOY")
    _wait_for(lambda: bool(_info(codedeploy, id_)["instanceTerminationWaitTimeStarted"]))
    assert _sets(scene) == {"1": ("ACTIVE", 2), "2": ("PRIMARY", 2)}
    _wait_for(lambda: _info(codedeploy, id_)["status"] == "Succeeded")
    _wait_for(lambda: _sets(scene) == {"2": ("PRIMARY", 2)})
    assert "completeTime" in _info(codedeploy, id_)
    with pytest.raises(codedeploy.exceptions.DeploymentAlreadyCompletedException):
        codedeploy.stop_deployment(deploymentId=id_, autoRollbackEnabled=True)


def test_stopped_deployment_rolls_back(minute_a_second: Scene) -> None:
    """StopDeployment with autoRollbackEnabled: traffic returns at once, in a deployment of CodeDeploy's own."""
    scene = minute_a_second
    codedeploy = _create(scene)
    scene.register(ERROR_RATIO=1)
    id_ = scene.control.deploy_with_code_deploy(CLUSTER, SERVICE, "web:2")
    _wait_for(lambda: _sets(scene)["2"][0] == "PRIMARY")
    assert codedeploy.stop_deployment(deploymentId=id_, autoRollbackEnabled=True)["status"] == "Succeeded"
    assert _sets(scene)["1"] == ("PRIMARY", 2)
    assert _sets(scene)["2"][0] == "DRAINING"
    stopped = _info(codedeploy, id_)
    assert (stopped["status"], stopped["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
    back = stopped["rollbackInfo"]["rollbackDeploymentId"]
    assert _info(codedeploy, back)["creator"] == "codeDeployRollback"
    assert _info(codedeploy, back)["rollbackInfo"] == {"rollbackTriggeringDeploymentId": id_}
    _wait_for(lambda: _info(codedeploy, back)["status"] == "Succeeded")
    assert _sets(scene) == {"1": ("PRIMARY", 2)}
    names = {"applicationName": "AppECS-demo-web", "deploymentGroupName": "DgpECS-demo-web"}
    assert codedeploy.list_deployments(**names)["deployments"] == [back, id_]
    assert codedeploy.list_deployments(**names, includeOnlyStatuses=["Stopped"])["deployments"] == [id_]
    assert codedeploy.list_deployments()["deployments"] == [back, id_]


def test_stopped_deployment_without_rollback_stays_where_it_is(minute_a_second: Scene) -> None:
    scene = minute_a_second
    codedeploy = _create(scene)
    scene.register(READY_SECONDS=100_000)
    id_ = scene.control.deploy_with_code_deploy(CLUSTER, SERVICE, "web:2")
    codedeploy.stop_deployment(deploymentId=id_)
    assert _info(codedeploy, id_)["status"] == "Stopped"
    assert "rollbackInfo" not in _info(codedeploy, id_)
    assert {revision: status for revision, (status, _) in _sets(scene).items()} == {"1": "PRIMARY", "2": "ACTIVE"}


def test_replacement_that_never_becomes_healthy_fails_the_deployment(scene: Scene) -> None:
    """After an hour, here 6 s; the original never lost the traffic."""
    codedeploy = _create(scene)
    scene.register(HEALTH_CHECK="500")
    id_ = scene.control.deploy_with_code_deploy(CLUSTER, SERVICE, "web:2")
    _wait_for(lambda: _info(codedeploy, id_)["status"] == "Failed")
    assert _info(codedeploy, id_)["errorInformation"]["code"] == "TIMEOUT"
    assert _sets(scene)["1"] == ("PRIMARY", 2)


def test_what_is_not_there(scene: Scene) -> None:
    codedeploy = _create(scene)
    names = {"applicationName": "AppECS-demo-web", "deploymentGroupName": "DgpECS-demo-web"}
    for call, members, code in (
        (codedeploy.get_deployment, {"deploymentId": "d-ABCDEF123"}, "DeploymentDoesNotExistException"),
        (codedeploy.stop_deployment, {"deploymentId": "wrong"}, "InvalidDeploymentIdException"),
        (codedeploy.list_deployments, names, "ApplicationDoesNotExistException"),
        (codedeploy.list_deployments, {"applicationName": "x"}, "DeploymentGroupNameRequiredException"),
    ):
        with pytest.raises(ClientError) as caught:
            call(**members)
        assert caught.value.response["Error"]["Code"] == code
    for service, definition, message in (("api", "web", "no service"), (SERVICE, "web:7", "no ACTIVE task definition")):
        with pytest.raises(ControlError, match=message):
            scene.control.deploy_with_code_deploy(CLUSTER, service, definition)
    scene.create(name="api")
    with pytest.raises(ControlError, match="controller of api is ECS"):
        scene.control.deploy_with_code_deploy(CLUSTER, "api", "web")
