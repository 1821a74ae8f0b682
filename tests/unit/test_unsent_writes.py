"""A write that was not made, for want of a role or a thread, is known not to have been sent (S3)."""

import asyncio
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bokgu.api.observed import AwsError
from bokgu.api.role_grants import RoleGrant
from bokgu.aws.client import PASSING, AwsClient

THREADS = 4
ROLE = "arn:aws:iam::111111111111:role/deploy"


WORDS = b"<ErrorResponse><Error><Code>ServiceUnavailable</Code><Message>no</Message></Error></ErrorResponse>"
"""In those of AWS's query protocol, which STS speaks."""


class Unavailable(BaseHTTPRequestHandler):
    """Answers 503 to all: a role whose name ends in `proxied` meets the page of a proxy, others AWS's own words."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        words = b"<html>no</html" if b"proxied" in body else WORDS
        self.send_response(503)
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsClient]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    with ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield AwsClient(f"http://127.0.0.1:{server.server_port}", THREADS, {}, RoleGrant((f"{ROLE}*",)))
        server.shutdown()
        thread.join()


def write(aws: AwsClient, role: str | None = None) -> AwsError:
    """How a write fails."""

    async def ask() -> None:
        arguments = {"cluster": "shop", "service": "api", "desiredCount": 5}
        await aws.write(
            "ecs",
            "UpdateService",
            arguments,
            region="us-east-1",
            role_arn=role,
            session_name="bokgu-1",
            deadline=time.monotonic() + 30,
        )

    with pytest.raises(AwsError) as caught:
        asyncio.run(ask())
    return caught.value


@pytest.mark.parametrize(("role", "sent"), [(None, True), (ROLE, False), (f"{ROLE}-proxied", False)])
def test_s3_only_a_call_that_was_made_may_have_had_its_effect(aws: AwsClient, role: str | None, sent: bool) -> None:
    error = write(aws, role)
    assert (error.sent, error.code in PASSING) == (sent, not sent)


def test_s3_a_call_that_got_no_thread_was_not_made_and_takes_no_place(
    aws: AwsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for _ in range(2 * THREADS):
            error = write(aws)
            assert (error.code, error.sent) == ("Unreachable", False)
    assert write(aws).sent


def test_a_call_that_another_one_of_application_auto_scaling_was_in_the_way_of_may_be_made_again() -> None:
    """Its model names the error for RegisterScalableTarget; nothing was carried out."""
    assert "ConcurrentUpdateException" in PASSING
