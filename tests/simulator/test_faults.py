"""What a client sees of each kind of fault, and which calls a fault hits."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from .clock import Clock
from .control import ControlError
from .faults import Attempt, Faults
from .harness import CLUSTER, SERVICE, Scene

ATTEMPT = Attempt("ecs", "UpdateService", '{"service": "web"}', "123456789012", "us-east-1")


@pytest.mark.parametrize(
    ("call", "kind", "code", "status"),
    [
        ("ecs.describe_clusters", "throttling", "ThrottlingException", 400),
        ("cloudwatch.list_metrics", "throttling", "Throttling", 400),
        ("elbv2.describe_load_balancers", "throttling", "Throttling", 400),
        ("sts.get_caller_identity", "throttling", "Throttling", 400),
        ("ecs.describe_clusters", "access-denied", "AccessDeniedException", 400),
        ("cloudwatch.list_metrics", "access-denied", "AccessDenied", 403),
        ("sts.get_caller_identity", "access-denied", "AccessDenied", 403),
        ("ecs.describe_clusters", "expired-token", "ExpiredTokenException", 400),
        ("sts.get_caller_identity", "expired-token", "ExpiredToken", 403),
        ("ecs.describe_clusters", "server-error", "ServerException", 500),
        ("cloudwatch.list_metrics", "server-error", "InternalServiceError", 500),
    ],
)
def test_each_service_has_its_own_words(scene: Scene, call: str, kind: str, code: str, status: int) -> None:
    """API references, "Common Errors", and botocore's models; the next call is well."""
    client, operation = call.split(".")
    perform: Callable[[], Any] = getattr(scene.client(client), operation)
    scene.control.add_fault("*", service=client, kind=kind)
    with pytest.raises(ClientError) as caught:
        perform()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    perform()


def test_denial_names_principal_and_action(scene: Scene) -> None:
    """IAM user guide, "Troubleshoot access denied error messages"."""
    keys = scene.assume("arn:aws:iam::123456789012:role/bokgu", "plan-1")
    scene.control.deny("DescribeClusters")
    with pytest.raises(ClientError) as caught:
        scene.client("ecs", **keys).describe_clusters()
    assert caught.value.response["Error"]["Message"] == (
        "User: arn:aws:sts::123456789012:assumed-role/bokgu/plan-1 is not authorized to perform: ecs:DescribeClusters "
        "because no identity-based policy allows the ecs:DescribeClusters action"
    )


def test_time_out_lasts_as_long_as_the_client_waits(scene: Scene) -> None:
    """Nothing was done, and the server does not keep the connection once the client is gone."""
    scene.create_stable()
    scene.control.hang("UpdateService")
    with pytest.raises(ReadTimeoutError):
        scene.client("ecs", read_timeout=0.3).update_service(cluster=CLUSTER, service=SERVICE, desiredCount=9)
    deadline = time.monotonic() + 15
    while (call := scene.control.calls("UpdateService")[-1]).result == "OK":
        assert time.monotonic() < deadline, "the server does not see that its client is gone"
        time.sleep(0.02)
    assert (call.result, call.effect) == ("NoAnswer", False)
    assert scene.describe()["desiredCount"] == 3


def _send(scene: Scene) -> socket.socket:
    """A connection on which DescribeClusters was asked."""
    connection = socket.create_connection(("127.0.0.1", int(scene.server.url.rsplit(":", 1)[-1])), timeout=5)
    request = (
        "POST / HTTP/1.1\r\nHost: ecs\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n"
        "X-Amz-Target: AmazonEC2ContainerServiceV20141113.DescribeClusters\r\n\r\n{}"
    )
    connection.sendall(request.encode())
    return connection


def test_server_closes_although_a_client_is_kept_waiting(scene: Scene) -> None:
    """A hanging call must not outlive its test."""
    scene.control.hang("DescribeClusters")
    with _send(scene):
        while not (calls := scene.server.journal.find(operation="DescribeClusters")):
            time.sleep(0.01)
        scene.server.close()
        deadline = time.monotonic() + 15
        while calls[-1].result != "NoAnswer":
            assert time.monotonic() < deadline, "the call goes on"
            time.sleep(0.01)


def test_reset_is_a_tcp_reset(scene: Scene) -> None:
    """Where a lost answer ends the connection in good order."""
    scene.control.reset_connection("DescribeClusters")
    with _send(scene) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    scene.control.lose_answer("DescribeClusters")
    with _send(scene) as connection:
        assert connection.recv(1) == b""


def test_reset_leaves_no_effect(scene: Scene) -> None:
    """What boto3 makes of it."""
    scene.create_stable()
    scene.control.reset_connection("UpdateService")
    with pytest.raises(ConnectionClosedError):
        scene.update(desiredCount=9)
    assert scene.describe()["desiredCount"] == 3


def test_lost_answer_and_slow_answer(scene: Scene) -> None:
    """Both were carried out."""
    scene.create_stable()
    scene.control.lose_answer("UpdateService")
    with pytest.raises(ConnectionClosedError):
        scene.update(desiredCount=4)
    assert scene.describe()["desiredCount"] == 4
    scene.control.slow_down("UpdateService", 0.2)
    started = time.monotonic()
    scene.update(desiredCount=5)
    assert time.monotonic() - started >= 0.2
    assert scene.describe()["desiredCount"] == 5


def test_fault_of_one_account(scene: Scene) -> None:
    """The same call in another account passes."""
    scene.control.at("210987654321").throttle("DescribeClusters", count=5)
    scene.ecs.describe_clusters()
    keys = scene.assume("arn:aws:iam::210987654321:role/bokgu")
    with pytest.raises(ClientError, match="Throttling"):
        scene.client("ecs", **keys).describe_clusters()


def test_fault_for_a_time(scene: Scene) -> None:
    """Scenario 78: reads throttled for ten minutes, which are a second here."""
    scene.control.throttle("DescribeServices", seconds=600)
    failures = 0
    deadline = time.monotonic() + 15
    while True:
        assert time.monotonic() < deadline, "the fault does not end"
        try:
            scene.ecs.describe_services(cluster=CLUSTER, services=["web"])
            break
        except ClientError:
            failures += 1
    assert failures > 0
    assert scene.control.faults() == []


def test_fault_can_be_ended(scene: Scene) -> None:
    """One of several."""
    first = scene.control.throttle("DescribeClusters", count=9)
    second = scene.control.deny("DescribeClusters", count=9)
    scene.control.remove_fault(first)
    assert [fault["id"] for fault in scene.control.faults()] == [second]
    with pytest.raises(ControlError, match="no fault"):
        scene.control.remove_fault(first)


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"kind": "gremlins"}, "kind must be one of"),
        ({"effect": "during"}, "effect must be"),
        ({"count": 0}, "count must be above 0"),
        ({"seconds": -1}, "seconds must be above 0"),
    ],
)
def test_order_that_makes_no_sense(order: dict[str, object], why: str) -> None:
    """It is refused at once, not when a call comes."""
    with pytest.raises(ValueError, match=why):
        Faults(Clock()).add({"operation": "*", **order})


def test_both_bounds_hold() -> None:
    """A fault with a count and a time ends with whichever comes first."""
    faults = Faults(Clock())
    faults.add({"operation": "UpdateService", "count": 1, "seconds": 1000})
    assert faults.take(ATTEMPT) is not None
    assert faults.take(ATTEMPT) is None
