"""The server: faults, the journal, the control API, moto behind it, and the process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from . import journal as journal_module
from .accounts import Caller
from .control import ControlError, SimulatorControl
from .harness import CLUSTER, SERVICE, Scene
from .journal import Journal
from .simulation import Simulation

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("client", "operation", "code", "status"),
    [
        ("ecs", "describe_clusters", "ThrottlingException", 400),
        ("ecs", "describe_clusters", "AccessDeniedException", 400),
        ("ecs", "describe_clusters", "ServerException", 500),
        ("cloudwatch", "list_metrics", "Throttling", 400),
        ("sts", "get_caller_identity", "ExpiredToken", 403),
    ],
)
def test_error_fault_hits_once(scene: Scene, client: str, operation: str, code: str, status: int) -> None:
    """API reference, "Common Errors": boto3 raises the code in each protocol, and the next call is well."""
    call = getattr(scene.client(client), operation)
    scene.control.add_fault("*", service=client, code=code, status=status)
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    call()


def test_slow_call_is_carried_out_after_the_client_gave_up(scene: Scene) -> None:
    """A client's time-out says nothing about the effect."""
    scene.register()
    scene.create(count=0)
    scene.control.add_fault("UpdateService", delay_seconds=0.6)
    with pytest.raises(ReadTimeoutError):
        scene.client("ecs", read_timeout=0.3).update_service(cluster=CLUSTER, service=SERVICE, desiredCount=2)
    assert scene.describe()["desiredCount"] == 0
    scene.wait(lambda service: service["desiredCount"] == 2)


def test_lost_answer_leaves_the_effect(scene: Scene) -> None:
    """The deployment was started although the client saw the connection close."""
    before = scene.create_stable()
    scene.control.add_fault("UpdateService", effect="after")
    with pytest.raises(ConnectionClosedError):
        scene.update(forceNewDeployment=True)
    assert scene.describe()["currentServiceDeployment"] != before["currentServiceDeployment"]
    call = scene.control.calls("UpdateService")[-1]
    assert (call.result, call.effect, call.fault) == ("NoAnswer", True, 1)


def test_reset_connection_leaves_no_effect(scene: Scene) -> None:
    """The journal tells a request that was lost from an answer that was lost."""
    scene.create_stable()
    scene.control.add_fault("UpdateService")
    with pytest.raises(ConnectionClosedError):
        scene.update(desiredCount=9)
    assert scene.describe()["desiredCount"] == 3
    call = scene.control.calls("UpdateService")[-1]
    assert (call.result, call.effect) == ("NoAnswer", False)


def test_fault_picks_calls_by_service_operation_and_resource(scene: Scene) -> None:
    """Others pass; what is used up or cleared is gone."""
    scene.control.add_fault("DescribeServices", resource="api", code="ThrottlingException", count=2)
    scene.ecs.describe_services(cluster=CLUSTER, services=["web"])
    with pytest.raises(ClientError, match="Throttling"):
        scene.ecs.describe_services(cluster=CLUSTER, services=["api"])
    assert [fault["count"] for fault in scene.control.faults()] == [1]
    scene.control.clear_faults()
    assert scene.ecs.describe_services(cluster=CLUSTER, services=["api"])["services"] == []


def test_journal_names_the_role_session(scene: Scene) -> None:
    """STS AssumeRole: the keys it hands out name their session in later calls."""
    credentials = scene.client("sts").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/bokgu", RoleSessionName="bokgu-plan-1-1"
    )["Credentials"]
    ecs = scene.client(
        "ecs",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )
    ecs.describe_clusters(clusters=[CLUSTER])
    call = scene.control.calls("DescribeClusters")[-1]
    assert call.role_session_name == "bokgu-plan-1-1"
    assert call.parameters == {"clusters": [CLUSTER]}
    assert [c.operation for c in scene.control.calls(since=call.sequence - 1)] == ["DescribeClusters"]


def test_journal_keeps_refused_calls(scene: Scene) -> None:
    """A call that failed had no effect."""
    with pytest.raises(ClientError):
        scene.update(desiredCount=1)
    call = scene.control.calls("UpdateService", service="ecs")[-1]
    assert (call.result, call.effect, call.access_key_id) == ("ServiceNotFoundException", False, "AKIATEST")


def test_control_refuses_nonsense(scene: Scene) -> None:
    """Every refusal says why."""
    with pytest.raises(ControlError, match="no service"):
        scene.control.service(CLUSTER, "gone")
    with pytest.raises(ControlError, match="ratio"):
        scene.control.set_dependency_errors(CLUSTER, SERVICE, 2)
    assert scene.control.health() == {"status": "ok", "speed": 600}


def test_same_seed_gives_the_same_ids() -> None:
    """Ids come from the seed alone."""

    def create(seed: int) -> str:
        simulation = Simulation(seed=seed)
        simulation.perform("ecs", "CreateCluster", {})
        container = {"name": "app", "image": "app:1"}
        simulation.perform("ecs", "RegisterTaskDefinition", {"family": "web", "containerDefinitions": [container]})
        request = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}
        return str(simulation.perform("ecs", "CreateService", request)["service"]["currentServiceDeployment"])

    assert create(1) == create(1) != create(2)


def test_process_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    """`python -m tests.simulator`."""
    port_file = tmp_path / "port"
    command = [sys.executable, "-m", "tests.simulator", "--port-file", str(port_file), "--speed", "60"]
    command += ["--demo", "--rate-limits", "wall"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line == f"listening on http://127.0.0.1:{port_file.read_text()}"
            control = SimulatorControl(line.removeprefix("listening on "))
            assert control.health()["speed"] == 60
            assert control.rate_limits()["enforced"] is True
            assert control.service(CLUSTER, SERVICE)["service"]["desiredCount"] == 3
            assert process.stdout.readline().startswith("AWS CLI:  AWS_ACCESS_KEY_ID=any")
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=5) == 0
            assert time.monotonic() - started < 2
        finally:
            process.kill()


def test_other_services_are_answered_by_moto(scene: Scene) -> None:
    """JSON, query and REST protocols all reach moto."""
    scene.client("sqs", read_timeout=30.0).create_queue(QueueName="events")
    assert scene.client("sns").create_topic(Name="alerts")["TopicArn"].endswith(":alerts")
    assert [(call.service, call.operation, call.result) for call in scene.control.calls()][-2:] == [
        ("sqs", "CreateQueue", "OK"),
        ("sns", "CreateTopic", "OK"),
    ]


@pytest.mark.parametrize("attempt", [1, 2])
def test_moto_starts_empty_for_each_server(scene: Scene, attempt: int) -> None:
    """What another server in this process left behind is gone."""
    sqs = scene.client("sqs", read_timeout=30.0)
    assert "QueueUrls" not in sqs.list_queues(), f"attempt {attempt}"
    sqs.create_queue(QueueName="left-behind")


def test_journal_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark of hours must not fill the memory."""
    monkeypatch.setattr(journal_module, "MAX_PARAMETERS_LENGTH", 100)
    journal = Journal()
    for number in range(20):
        journal.open(
            0.0,
            Caller("123456789012", "", ""),
            region="us-east-1",
            service="ecs",
            operation="DescribeServices",
            parameters={"services": [f"s{number:02d}"]},
            access_key_id=None,
        )
    kept = journal.find()
    assert [call.sequence for call in kept] == [17, 18, 19, 20]
    assert kept[-1].to_json()["parameters"] == {"services": ["s19"]}
