"""A service deployment as the operator reads it, through real boto3, while the simulated ECS carries it out."""

import time
from collections.abc import Callable, Iterator

import pytest

from bokgu.api.observed import AwsError, DescribedDeployment
from bokgu.aws.ecs import fetch_service_deployment
from tests.aws_gateway import TARGET, call
from tests.simulator.harness import Scene
from tests.simulator.manual_ecs import PAIR
from tests.simulator.server import SimulatorServer

PAUSED = {
    "strategy": "BLUE_GREEN",
    "bakeTimeInMinutes": 10,
    "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}],
}

pytestmark = pytest.mark.usefixtures("aws_credentials")


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A simulator with no service yet."""
    with SimulatorServer(speed=600) as server:
        opened = Scene(server)
        yield opened
        opened.close()


def fetch(scene: Scene, arn: str) -> DescribedDeployment:
    return call(scene.server.url, lambda aws: fetch_service_deployment(aws, TARGET, arn))


def wait(scene: Scene, arn: str, condition: Callable[[DescribedDeployment], bool]) -> DescribedDeployment:
    deadline = time.monotonic() + 15
    while not condition(found := fetch(scene, arn)):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_fact_06_a_rollback_stays_in_its_service_deployment_and_names_the_revision_it_goes_to(scene: Scene) -> None:
    """API_ServiceDeployment, `rollback.serviceRevisionArn`; no new service revision is made."""
    good = scene.create_stable()["currentServiceRevisions"][0]["arn"]
    scene.update(taskDefinition=scene.register(EXIT_AFTER_SECONDS=1))
    arn = scene.describe()["currentServiceDeployment"]
    begun = fetch(scene, arn)
    assert (begun.arn, begun.source_revision_arns, begun.rollback_revision_arn) == (arn, (good,), None)
    assert begun.target_revision_arn not in {None, good}
    scene.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    ended = wait(scene, arn, lambda found: found.finished_at is not None)
    assert (ended.status, ended.rollback_revision_arn) == ("ROLLBACK_SUCCESSFUL", good)
    assert ended.target_revision_arn == begun.target_revision_arn
    assert ended.rollback_reason


def test_fact_08_a_restart_waits_at_a_pause_hook_and_the_deployment_says_so(scene: Scene) -> None:
    """Developer guide, "Pause hooks": the hook is AWAITING_ACTION while the service deployment stays IN_PROGRESS."""
    scene.register()
    scene.create(deploymentConfiguration=PAUSED | {"lifecycleHooks": []}, loadBalancers=[PAIR])
    scene.wait_stable()
    scene.update(forceNewDeployment=True, deploymentConfiguration={"lifecycleHooks": PAUSED["lifecycleHooks"]})
    arn = scene.describe()["currentServiceDeployment"]
    found = wait(scene, arn, lambda seen: seen.waiting_hook is not None)
    assert (found.status, found.lifecycle_stage) == ("IN_PROGRESS", "POST_SCALE_UP")
    hook = scene.service_deployment(arn)["lifecycleHookDetails"][0]["hookId"]
    assert found.waiting_hook == f"PAUSE hook {hook} in POST_SCALE_UP"
    scene.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook)
    assert fetch(scene, arn).waiting_hook is None


def test_a_service_deployment_that_ecs_does_not_know_has_a_code_of_its_own(scene: Scene) -> None:
    scene.create_stable()
    with pytest.raises(AwsError) as caught:
        fetch(scene, "arn:aws:ecs:us-east-1:123456789012:service-deployment/demo/web/gone")
    assert (caught.value.code, caught.value.sent) == ("MISSING", False)
