"""A scalable target as the operator reads and sets it, through real boto3, on simulated Application Auto Scaling."""

import time
from collections.abc import Iterator

import pytest

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError, ScalableTarget
from bokgu.api.recovery_plan import AwsRequest
from bokgu.aws.autoscaling import fetch_scalable_target
from bokgu.aws.sending import Accepted, send_request
from bokgu.core.writes.scalable_target import register_request
from tests.aws_gateway import TARGET, call
from tests.simulator.harness import Scene
from tests.simulator.server import SimulatorServer

NAMES = {
    "ServiceNamespace": "ecs",
    "ResourceId": TARGET.scaling_resource,
    "ScalableDimension": "ecs:service:DesiredCount",
}

pytestmark = pytest.mark.usefixtures("aws_credentials")


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A simulator with a service of three tasks."""
    with SimulatorServer(speed=600) as server:
        opened = Scene(server)
        opened.create_stable()
        yield opened
        opened.close()


def fetch(scene: Scene, target: Target = TARGET) -> ScalableTarget | None:
    return call(scene.server.url, lambda aws: fetch_scalable_target(aws, target))


def send(scene: Scene, request: AwsRequest) -> Accepted:
    deadline = time.monotonic() + 10
    return call(scene.server.url, lambda aws: send_request(aws, TARGET, request, "bokgu-p-1-1", deadline))


def register(scene: Scene, **members: object) -> None:
    scene.client("application-autoscaling").register_scalable_target(**NAMES, **members)


def test_a_service_that_nobody_scales_has_no_scalable_target(scene: Scene) -> None:
    assert fetch(scene) is None


@pytest.mark.parametrize("cluster", [TARGET.cluster, f"arn:aws:ecs:us-east-1:123456789012:cluster/{TARGET.cluster}"])
def test_range_and_what_is_suspended_are_read_by_cluster_name_and_arn(scene: Scene, cluster: str) -> None:
    register(scene, MinCapacity=2, MaxCapacity=12)
    target = TARGET.model_copy(update={"cluster": cluster})
    assert fetch(scene, target) == ScalableTarget(2, 12)
    register(scene, SuspendedState={"DynamicScalingInSuspended": True, "ScheduledScalingSuspended": True})
    assert fetch(scene, target) == ScalableTarget(2, 12, ("DynamicScalingIn", "ScheduledScaling"))


def test_a_minimum_is_set_alone_and_the_rest_stays(scene: Scene) -> None:
    """API_RegisterScalableTarget: what is not named is not changed."""
    register(scene, MinCapacity=2, MaxCapacity=12, SuspendedState={"DynamicScalingInSuspended": True})
    assert send(scene, register_request(TARGET, 5)) == Accepted()
    assert fetch(scene) == ScalableTarget(5, 12, ("DynamicScalingIn",))
    assert send(scene, register_request(TARGET, 14, 14)) == Accepted()
    assert fetch(scene) == ScalableTarget(14, 14, ("DynamicScalingIn",))


def test_fact_17_any_registration_brings_the_count_into_the_range(scene: Scene) -> None:
    register(scene, MinCapacity=3, MaxCapacity=12)
    scene.update(desiredCount=0)
    send(scene, register_request(TARGET, 4))
    assert scene.describe()["desiredCount"] == 4


def test_what_cannot_be_read_is_an_error_and_no_absence(scene: Scene) -> None:
    scene.control.add_fault("DescribeScalableTargets", code="AccessDeniedException", count=10)
    with pytest.raises(AwsError, match="AccessDenied"):
        fetch(scene)
