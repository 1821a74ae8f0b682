"""A write that was not made because its role could not be assumed is known not to have been sent (S3)."""

import asyncio
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bokgu.api.observed import AwsError
from bokgu.api.role_grants import RoleGrant
from bokgu.aws.client import PASSING, AwsClient

ROLE = "arn:aws:iam::111111111111:role/deploy"


class Unavailable(BaseHTTPRequestHandler):
    """Answers 503 to all."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_error(503, "ServiceUnavailable")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsClient]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    with ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield AwsClient(f"http://127.0.0.1:{server.server_port}", 4, {}, RoleGrant((ROLE,)))
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("role", "sent"), [(None, True), (ROLE, False)])
def test_s3_only_a_call_that_was_made_may_have_had_its_effect(aws: AwsClient, role: str | None, sent: bool) -> None:
    async def write() -> None:
        arguments = {"cluster": "shop", "service": "api", "desiredCount": 5}
        deadline = time.monotonic() + 30
        await aws.write(
            "ecs",
            "UpdateService",
            arguments,
            region="us-east-1",
            role_arn=role,
            session_name="bokgu-1",
            deadline=deadline,
        )

    with pytest.raises(AwsError) as caught:
        asyncio.run(write())
    assert caught.value.sent is sent
    assert (caught.value.code in PASSING) is not sent
