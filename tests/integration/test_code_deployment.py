"""A CodeDeploy deployment as the operator reads and stops it, through real boto3, on the simulated CodeDeploy."""

import time
from collections.abc import Iterator

import pytest

from bokgu.api.observed import AwsError, CodeDeployment, EcsService
from bokgu.api.protected_service import CodeDeployGroup
from bokgu.aws.codedeploy import fetch_code_deployment, list_in_flight
from bokgu.aws.ecs import fetch_service
from bokgu.aws.sending import Accepted, send_request
from bokgu.core.actions.code_deploy import find_original
from bokgu.core.writes.write import build_request
from tests.aws_gateway import TARGET, call
from tests.simulator.harness import Scene
from tests.simulator.server import SimulatorServer
from tests.unit.facts import NOW

NAMES = f"{TARGET.cluster}-{TARGET.service}"
GROUP = CodeDeployGroup(application_name=f"AppECS-{NAMES}", deployment_group_name=f"DgpECS-{NAMES}")

pytestmark = pytest.mark.usefixtures("aws_credentials")


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A simulator with a service that CodeDeploy deploys."""
    with SimulatorServer(speed=60) as server:
        opened = Scene(server)
        opened.register()
        opened.create(count=2, deploymentController={"type": "CODE_DEPLOY"})
        opened.wait(lambda found: found["taskSets"][0]["stabilityStatus"] == "STEADY_STATE")
        yield opened
        opened.close()


def deploy(scene: Scene) -> str:
    definition = scene.register(ERROR_RATIO=1)
    return scene.control.deploy_with_code_deploy(
        TARGET.cluster, TARGET.service, definition, termination_wait_seconds=3600
    )


def fetch(scene: Scene, id_: str) -> CodeDeployment:
    return call(scene.server.url, lambda aws: fetch_code_deployment(aws, TARGET, id_))


def listed(scene: Scene) -> tuple[str, ...]:
    return call(scene.server.url, lambda aws: list_in_flight(aws, TARGET, GROUP))


def describe(scene: Scene) -> EcsService:
    return call(scene.server.url, lambda aws: fetch_service(aws, TARGET, NOW))


def stop(scene: Scene, id_: str) -> Accepted:
    request = build_request("codedeploy", "StopDeployment", {"deploymentId": id_, "autoRollbackEnabled": True})
    deadline = time.monotonic() + 10
    return call(scene.server.url, lambda aws: send_request(aws, TARGET, request, "bokgu-p-1-1", deadline))


def test_a_deployment_is_read_stopped_and_taken_back(scene: Scene) -> None:
    at_rest = describe(scene)
    assert (at_rest.steady, at_rest.deploying, len(at_rest.deployments)) == (True, False, 1)
    id_ = deploy(scene)
    assert listed(scene) == (id_,)
    begun = fetch(scene, id_)
    assert (begun.in_flight, begun.rollback_id, begun.rolls_back) == (True, None, None)
    assert (begun.application, begun.group) == (GROUP.application_name, GROUP.deployment_group_name)
    original = find_original(describe(scene), id_)
    assert original
    assert original.id == at_rest.deployments[0].id
    assert stop(scene, id_) == Accepted()
    stopped = fetch(scene, id_)
    assert stopped.status == "Stopped"
    assert stopped.rollback_id
    assert fetch(scene, stopped.rollback_id).rolls_back == id_
    scene.wait(lambda found: len(found["taskSets"]) == 1)
    assert describe(scene).task_definition == at_rest.task_definition


def test_s3_a_deployment_that_is_over_may_have_been_stopped_by_us_before(scene: Scene) -> None:
    """API_StopDeployment, DeploymentAlreadyCompletedException: whether it was is looked for, it is not refused."""
    id_ = deploy(scene)
    stop(scene, id_)
    with pytest.raises(AwsError) as caught:
        stop(scene, id_)
    assert caught.value.code == "DeploymentAlreadyCompletedException"
    assert caught.value.sent


def test_a_deployment_that_is_not_there_is_an_error(scene: Scene) -> None:
    with pytest.raises(AwsError) as caught:
        fetch(scene, "d-ABCDEF123")
    assert caught.value.code == "DeploymentDoesNotExistException"
