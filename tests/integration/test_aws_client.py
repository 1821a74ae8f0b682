"""The gateway to AWS, through real boto3, against the simulator."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError
from bokgu.api.recovery_plan import AwsRequest
from bokgu.aws.client import AwsClient
from bokgu.aws.ecs import fetch_service, send_request
from tests.simulator.harness import CLUSTER, SERVICE, Scene
from tests.simulator.server import SimulatorServer
from tests.world.world import free_port

T = TypeVar("T")
TARGET = Target(region="us-east-1", cluster=CLUSTER, service=SERVICE)
SCALE = AwsRequest(
    service="ecs",
    operation="UpdateService",
    arguments=f'{{"cluster":"{CLUSTER}","desiredCount":5,"service":"{SERVICE}"}}',
)
ROLE = "arn:aws:iam::123456789012:role/bokgu"


@pytest.fixture(scope="module")
def stage() -> Iterator[Scene]:
    with SimulatorServer(speed=600) as server:
        scene = Scene(server)
        scene.create_stable()
        yield scene
        scene.close()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "operator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "simulated")


def call(url: str, make: Callable[[AwsClient], Awaitable[T]]) -> T:
    async def run() -> T:
        aws = AwsClient(url, 2)
        try:
            return await make(aws)
        finally:
            aws.close()

    return asyncio.run(run())


def scale(aws: AwsClient, target: Target = TARGET) -> Awaitable[Any]:
    return send_request(aws, target, SCALE, "bokgu-p-1-1", time.monotonic() + 5)


@pytest.mark.usefixtures("credentials")
def test_unreachable_endpoint_is_known_to_have_had_no_effect() -> None:
    with pytest.raises(AwsError) as caught:
        call(f"http://127.0.0.1:{free_port()}", scale)
    assert (caught.value.code, caught.value.sent) == ("Unreachable", False)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("fault", "code", "sent"),
    [
        ({"code": "ThrottlingException"}, "ThrottlingException", False),
        ({"code": "AccessDeniedException"}, "AccessDeniedException", False),
        ({"code": "ServerException", "status": 500}, "ServerException", True),
        ({"effect": "after"}, "NoAnswer", True),
        ({"effect": "before"}, "NoAnswer", True),
    ],
)
def test_s3_writes_are_made_once_and_say_whether_they_may_have_had_an_effect(
    stage: Scene, fault: dict[str, Any], code: str, sent: bool
) -> None:
    since = max(c.sequence for c in stage.control.calls())
    stage.control.add_fault("UpdateService", **fault)
    with pytest.raises(AwsError) as caught:
        call(stage.server.url, scale)
    assert (caught.value.code, caught.value.sent) == (code, sent)
    assert len(stage.control.calls("UpdateService", since=since)) == 1


@pytest.mark.usefixtures("credentials")
def test_reads_survive_passing_faults(stage: Scene) -> None:
    stage.control.add_fault("DescribeServices", code="ThrottlingException", count=2)
    service = call(stage.server.url, lambda aws: fetch_service(aws, TARGET, datetime.now(UTC)))
    assert service.arn.endswith(f"service/{CLUSTER}/{SERVICE}")


@pytest.mark.usefixtures("credentials")
def test_missing_service_has_a_code_of_its_own(stage: Scene) -> None:
    gone = TARGET.model_copy(update={"service": "gone"})
    with pytest.raises(AwsError) as caught:
        call(stage.server.url, lambda aws: fetch_service(aws, gone, datetime.now(UTC)))
    assert caught.value.code == "MISSING"


@pytest.mark.usefixtures("credentials")
def test_s3_assumed_role_session_is_named_after_the_step(stage: Scene) -> None:
    since = max(c.sequence for c in stage.control.calls())
    assumed = TARGET.model_copy(update={"role_arn": ROLE})
    call(stage.server.url, lambda aws: scale(aws, assumed))
    (update,) = stage.control.calls("UpdateService", since=since)
    assert update.role_session_name == "bokgu-p-1-1"
    assert update.access_key_id != "operator"
