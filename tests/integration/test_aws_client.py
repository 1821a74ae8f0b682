"""The gateway to AWS, through real boto3, against the simulator."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from bokgu.api.meta import Target
from bokgu.api.observed import AwsError
from bokgu.api.own_patterns import compile_patterns
from bokgu.api.recovery_plan import AwsRequest
from bokgu.aws.client import READ_TIMEOUT, AwsClient, _Call
from bokgu.aws.ecs import fetch_service
from bokgu.aws.elb import fetch_target_groups
from bokgu.aws.identity import fetch_identity
from bokgu.aws.sending import send_request
from bokgu.aws.sqs import LONGEST_POLL, delete_messages, receive_messages
from bokgu.metrics.registry import REGISTRY
from tests.aws_gateway import GRANT, ROLE, TARGET, call
from tests.secrets_in_text import SECRETS, find_secrets
from tests.simulator.harness import CLUSTER, SERVICE, Scene
from tests.world.world import free_port

SCALE = AwsRequest(
    service="ecs",
    operation="UpdateService",
    arguments=f'{{"cluster":"{CLUSTER}","desiredCount":5,"service":"{SERVICE}"}}',
)


def scale(aws: AwsClient, target: Target = TARGET) -> Awaitable[Any]:
    return send_request(aws, target, SCALE, "bokgu-p-1-1", time.monotonic() + 5)


@pytest.mark.usefixtures("aws_credentials")
def test_unreachable_endpoint_is_known_to_have_had_no_effect() -> None:
    with pytest.raises(AwsError) as caught:
        call(f"http://127.0.0.1:{free_port()}", scale)
    assert (caught.value.code, caught.value.sent) == ("Unreachable", False)


@pytest.mark.usefixtures("aws_credentials")
def test_who_one_is_and_what_time_it_is_at_aws(stage: Scene) -> None:
    found = call(stage.server.url, lambda aws: fetch_identity(aws, region="us-east-1", role_arn=ROLE))
    assert found.account == "123456789012"
    assert found.arn == "arn:aws:sts::123456789012:assumed-role/bokgu/bokgu-read"
    assert found.ahead == timedelta()


@pytest.mark.usefixtures("aws_credentials")
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


@pytest.fixture
def page() -> Iterator[str]:
    """What answers in AWS's place: a page for people, as a proxy shows it."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html><body>Please log in<br></html>")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is written."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("aws_credentials")
@pytest.mark.parametrize("ask", [scale, lambda aws: fetch_target_groups(aws, region="us-east-1", role_arn=None)])
def test_s3_an_answer_that_is_none_of_aws_may_have_had_an_effect(
    page: str, ask: Callable[[AwsClient], Awaitable[Any]]
) -> None:
    with pytest.raises(AwsError) as caught:
        call(page, ask)
    assert (caught.value.code, caught.value.sent) == ("NoAnswer", True)


@pytest.mark.usefixtures("aws_credentials")
def test_what_aws_says_for_people_hides_secrets_and_own_patterns(stage: Scene) -> None:
    """Errors are redacted as they come; in answers own patterns are hidden, and all else stays as it is recognised."""
    own = compile_patterns([r"service web", r"CUST-\d+"])
    service = call(stage.server.url, lambda aws: fetch_service(aws, TARGET, datetime.now(UTC)), own)
    assert service.events
    assert all("(service web)" not in message and "([redacted])" in message for _, message in service.events)
    assert service.arn.endswith(f"service/{CLUSTER}/{SERVICE}")
    said = f"no rights of CUST-4711 for {'; '.join(SECRETS)} " + "and so on " * 100
    stage.control.add_fault("UpdateService", code="AccessDeniedException", message=said)
    with pytest.raises(AwsError) as caught:
        call(stage.server.url, scale, own)
    assert caught.value.message.startswith("no rights of [redacted] for [redacted]; ")
    assert len(caught.value.message) == 300
    assert find_secrets(f"{caught.value} {caught.value!r}") == []


@pytest.mark.usefixtures("aws_credentials")
def test_reads_survive_passing_faults(stage: Scene) -> None:
    stage.control.add_fault("DescribeServices", code="ThrottlingException", count=2)
    service = call(stage.server.url, lambda aws: fetch_service(aws, TARGET, datetime.now(UTC)))
    assert service.arn.endswith(f"service/{CLUSTER}/{SERVICE}")


@pytest.mark.usefixtures("aws_credentials")
def test_throttles_are_counted_at_each_attempt_and_calls_once(stage: Scene) -> None:
    def count(metric: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(metric, {"service": "ecs", **labels}) or 0.0

    def read() -> tuple[float, float, float]:
        return (
            count("bokgu_aws_throttles_total", operation="DescribeServices"),
            count("bokgu_aws_requests_total", operation="DescribeServices", code="OK"),
            count("bokgu_aws_throttles_total", operation="UpdateService"),
        )

    before = read()
    stage.control.throttle("DescribeServices", count=2)
    call(stage.server.url, lambda aws: fetch_service(aws, TARGET, datetime.now(UTC)))
    stage.control.throttle("UpdateService", count=1)
    with pytest.raises(AwsError):
        call(stage.server.url, scale)
    assert [now - was for was, now in zip(before, read(), strict=True)] == [2, 1, 1]


@pytest.mark.usefixtures("aws_credentials")
def test_missing_service_has_a_code_of_its_own(stage: Scene) -> None:
    gone = TARGET.model_copy(update={"service": "gone"})
    with pytest.raises(AwsError) as caught:
        call(stage.server.url, lambda aws: fetch_service(aws, gone, datetime.now(UTC)))
    assert caught.value.code == "MISSING"


@pytest.mark.usefixtures("aws_credentials")
def test_s3_assumed_role_session_is_named_after_the_step(stage: Scene) -> None:
    since = max(c.sequence for c in stage.control.calls())
    assumed = TARGET.model_copy(update={"role_arn": ROLE})
    call(stage.server.url, lambda aws: scale(aws, assumed))
    (update,) = stage.control.calls("UpdateService", since=since)
    assert update.role_session_name == "bokgu-p-1-1"
    assert update.access_key_id != "operator"


@pytest.mark.usefixtures("aws_credentials")
def test_s1_a_role_that_trusts_one_namespace_lets_no_other_in_nor_does_its_session(stage: Scene) -> None:
    """IAM User Guide, "The confused deputy problem". What is kept for one namespace is never used for another."""
    role = f"{ROLE}-of-shop"
    stage.control.declare_role(role, external_id="cluster-1/shop")
    since = max(c.sequence for c in stage.control.calls())
    assumed = TARGET.model_copy(update={"role_arn": role})

    async def look_for_both(aws: AwsClient) -> None:
        await fetch_service(aws, assumed, datetime.now(UTC))
        stranger = aws.with_grant(replace(GRANT, namespace="bank", external_id="cluster-1/bank"))
        for refused in (fetch_service(stranger, assumed, datetime.now(UTC)), scale(stranger, assumed)):
            with pytest.raises(AwsError, match="with the external id cluster-1/bank") as caught:
                await refused
            assert (caught.value.code, caught.value.sent) == ("AccessDenied", False)
        await scale(aws, assumed)

    call(stage.server.url, look_for_both)
    calls = stage.control.calls("AssumeRole", since=since)
    assert [(c.parameters["ExternalId"], c.result) for c in calls] == [
        ("cluster-1/shop", "OK"),
        ("cluster-1/bank", "AccessDenied"),
        ("cluster-1/bank", "AccessDenied"),
        ("cluster-1/shop", "OK"),
    ]
    assert len(stage.control.calls("UpdateService", since=since)) == 1


@pytest.mark.usefixtures("aws_credentials")
def test_a_long_poll_holds_nobody_up(stage: Scene) -> None:
    sqs = stage.client("sqs")
    url = sqs.create_queue(QueueName="silent")["QueueUrl"]

    async def look_meanwhile(aws: AwsClient) -> None:
        poll = asyncio.create_task(receive_messages(aws, url, region="us-east-1"))
        await asyncio.sleep(0.3)
        await asyncio.wait_for(fetch_service(aws, TARGET, datetime.now(UTC)), 3)
        assert not poll.done()
        poll.cancel()

    begun = time.monotonic()
    call(stage.server.url, look_meanwhile)
    assert time.monotonic() - begun < 5
    sqs.delete_queue(QueueUrl=url)


@pytest.mark.usefixtures("aws_credentials")
def test_a_long_poll_may_take_as_long_as_it_does() -> None:
    aws = AwsClient("http://127.0.0.1:1", 1)
    config = aws._client(_Call("sqs", "ReceiveMessage", {}, "us-east-1", None, waits=LONGEST_POLL)).meta.config
    assert config.read_timeout == LONGEST_POLL + READ_TIMEOUT
    aws.close()


@pytest.mark.usefixtures("aws_credentials")
def test_messages_say_when_they_were_sent_and_are_deleted_by_their_receipts(stage: Scene) -> None:
    sqs = stage.client("sqs")
    url = sqs.create_queue(QueueName="spoken", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    begun = datetime.now(UTC)
    sqs.send_message(QueueUrl=url, MessageBody="hello")

    async def receive_and_delete(aws: AwsClient) -> None:
        (message,) = await receive_messages(aws, url, region="us-east-1")
        assert (message.body, message.receive_count) == ("hello", 1)
        assert abs((message.sent_at - begun).total_seconds()) < 5
        assert await delete_messages(aws, url, [message], region="us-east-1") == {}
        wrong = replace(message, receipt="no receipt")
        assert await delete_messages(aws, url, [wrong], region="us-east-1") == {message.id: "ReceiptHandleIsInvalid"}

    call(stage.server.url, receive_and_delete)
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0"
    sqs.delete_queue(QueueUrl=url)
