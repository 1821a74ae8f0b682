"""The owner of a service, and whether there is still a service to own, through real boto3, from the simulated AWS."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from bokgu.api.observed import AwsError, EcsService
from bokgu.aws.client import AwsClient
from bokgu.aws.cloudformation import GONE, fetch_stack_status
from bokgu.aws.ecs import fetch_service
from bokgu.core.owners import is_updating
from bokgu.core.support import is_gone
from bokgu.reconcile.owners import ask_stack
from tests.aws_gateway import TARGET, call
from tests.simulator.harness import Scene
from tests.simulator.server import SimulatorServer

NAME = "shop"
STACK = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{NAME}/1a2b"
TAGS = [
    {"key": "aws:cloudformation:stack-name", "value": NAME},
    {"key": "aws:cloudformation:stack-id", "value": STACK},
]

pytestmark = pytest.mark.usefixtures("aws_credentials")


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A simulator with no service yet."""
    with SimulatorServer(speed=600) as server:
        opened = Scene(server)
        yield opened
        opened.close()


async def read(aws: AwsClient) -> EcsService:
    return await fetch_service(aws, TARGET, datetime.now(UTC))


async def ask(aws: AwsClient) -> str | AwsError | None:
    return await ask_stack(aws, TARGET, await read(aws))


def test_fact_16_the_stack_of_the_service_is_asked_by_its_id(scene: Scene) -> None:
    scene.create_stable(tags=TAGS)
    scene.control.set_stack(STACK, "UPDATE_ROLLBACK_IN_PROGRESS")
    status = call(scene.server.url, ask)
    assert status == "UPDATE_ROLLBACK_IN_PROGRESS"
    assert is_updating(str(status))
    scene.control.set_stack(STACK, "UPDATE_ROLLBACK_COMPLETE")
    assert not is_updating(str(call(scene.server.url, ask)))
    (last,) = scene.control.calls("DescribeStacks")[-1:]
    assert last.operation == "DescribeStacks"


def test_a_service_without_a_stack_asks_nobody(scene: Scene) -> None:
    scene.create_stable()
    assert call(scene.server.url, ask) is None
    assert scene.control.calls("DescribeStacks") == []


def test_a_stack_that_is_no_more_holds_nothing_up(scene: Scene) -> None:
    """Its services may be kept (DeletionPolicy Retain), with its tags on them."""
    gone = f"{STACK}-gone"
    assert call(scene.server.url, lambda aws: fetch_stack_status(aws, TARGET, gone)) == GONE
    assert not is_updating(GONE)


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling", "ValidationError"])
def test_s6_a_stack_that_cannot_be_read_is_told_from_one_that_is_no_more(scene: Scene, code: str) -> None:
    scene.create_stable(tags=TAGS)
    scene.control.add_fault("DescribeStacks", code=code, count=3)  # The SDK tries a read three times.
    said = call(scene.server.url, ask)
    assert isinstance(said, AwsError)
    assert said.code == code


def test_fact_14_an_express_service_of_ecs_shows_how_it_is_managed() -> None:
    """The gateway reads `resourceManagementType` where DescribeServices tells it (API_Service)."""
    raw = {"serviceArn": "arn", "status": "ACTIVE", "desiredCount": 1, "runningCount": 1, "pendingCount": 0}

    class Answer:
        async def read(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"services": [{**raw, "resourceManagementType": "ECS"}]}

    found = asyncio.run(fetch_service(cast(Any, Answer()), TARGET, datetime.now(UTC)))
    assert found.resource_management_type == "ECS"


def test_a_deleted_service_is_gone_in_every_state_that_ecs_shows(scene: Scene) -> None:
    """API_DeleteService: DRAINING while tasks stop, then INACTIVE, then not described any more."""
    scene.create_stable()
    scene.ecs.delete_service(cluster="demo", service="web", force=True)
    assert is_gone(call(scene.server.url, read), None)
    scene.wait(lambda service: service["status"] == "INACTIVE")
    assert is_gone(call(scene.server.url, read), None)
    missing = TARGET.model_copy(update={"service": "never"})
    with pytest.raises(AwsError) as caught:
        call(scene.server.url, lambda aws: fetch_service(aws, missing, datetime.now(UTC)))
    assert is_gone(None, caught.value)
