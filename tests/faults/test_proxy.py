"""The proxy records, holds, drops and alters what passes through it."""

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.faults.proxy import Call, Moment, Proxy, Refusal

PLANS = "/apis/bokgu.dev/v1alpha1/recoveryplans"
STATUS = "/apis/bokgu.dev/v1alpha1/namespaces/shop/recoveryplans/one/status"


class Upstream(ThreadingHTTPServer):
    """Answers every call with its path, and a watch with three events."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.served.append(self.path)
        self.send_response(200)
        if "watch=true" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(3):
                self.wfile.write(f"2\r\n{number}\n\r\n".encode())
            time.sleep(0.8)
            self.wfile.write(b"0\r\n\r\n")
            return
        body = self.path.encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    with Proxy(f"http://127.0.0.1:{upstream.server_address[1]}", namespace="shop") as proxy:
        yield proxy


def send(proxy: Proxy, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{proxy.url}{path}", data=body, method=method, headers=named)
    with urllib.request.urlopen(request, timeout=5) as answer:
        content: bytes = answer.read()
        return content


def in_background(proxy: Proxy, path: str, method: str) -> tuple[threading.Thread, list[object]]:
    """A call in a thread, and the list that its answer or error comes into."""
    came: list[object] = []

    def run() -> None:
        try:
            came.append(send(proxy, path, method, b"{}"))
        except (OSError, http.client.HTTPException) as error:
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, came


def test_calls_are_recorded_by_what_they_do(proxy: Proxy) -> None:
    send(proxy, STATUS, "PUT", b'{"metadata": {"name": "one"}}')
    send(proxy, "/api/v1/namespaces/kube-system")
    send(proxy, "/", "POST", b'{"service": "api"}', X_Amz_Target="AmazonEC2ContainerServiceV20141113.UpdateService")
    send(proxy, "/", "POST", b"Action=AssumeRole&Version=2011-06-15")
    send(proxy, "/apis/authorization.k8s.io/v1/subjectaccessreviews", "POST", b"{}")
    found = [(c.number, c.name, c.writes, c.status) for c in proxy.calls()]
    assert found == [
        (1, "update recoveryplans/status", True, 200),
        (2, "get namespaces", False, 200),
        (3, "UpdateService", True, 200),
        (4, "AssumeRole", False, 200),
        (5, "create subjectaccessreviews", False, 200),
    ]
    assert proxy.calls()[0].mentions("one")
    assert [c.number for c in proxy.calls(since=3)] == [4, 5]


def test_lists_of_all_namespaces_are_of_one(proxy: Proxy, upstream: Upstream) -> None:
    assert send(proxy, f"{PLANS}?limit=500") == b"/apis/bokgu.dev/v1alpha1/namespaces/shop/recoveryplans?limit=500"
    send(proxy, STATUS)
    assert upstream.served[1] == STATUS


def test_a_call_that_is_caught_before_it_is_passed_on_never_arrives(proxy: Proxy, upstream: Upstream) -> None:
    trap = proxy.set_trap(lambda call: call.writes)
    thread, came = in_background(proxy, STATUS, "PUT")
    caught = trap.wait(5)
    assert caught is not None
    assert upstream.served == []
    trap.drop()
    thread.join()
    assert isinstance(came[0], OSError | http.client.HTTPException)
    assert upstream.served == []


def test_a_call_that_is_caught_after_its_effect_has_it_and_gets_no_answer(proxy: Proxy, upstream: Upstream) -> None:
    trap = proxy.set_trap(lambda call: call.writes, Moment.AFTER)
    thread, came = in_background(proxy, STATUS, "PUT")
    assert trap.wait(5) is not None
    assert upstream.served == [STATUS]
    assert not came
    trap.drop()
    thread.join()
    assert isinstance(came[0], OSError | http.client.HTTPException)


def test_a_call_that_is_let_go_takes_its_course(proxy: Proxy) -> None:
    trap = proxy.set_trap(lambda call: call.writes)
    thread, came = in_background(proxy, STATUS, "PUT")
    assert trap.wait(5) is not None
    trap.let_go()
    thread.join()
    assert came == [STATUS.encode()]
    send(proxy, STATUS, "PUT", b"{}")  # A trap catches once.


def test_a_held_call_whose_client_has_gone_never_arrives(proxy: Proxy, upstream: Upstream) -> None:
    trap = proxy.set_trap(lambda _: True)
    connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=5)
    connection.request("PUT", STATUS, b"{}")
    assert trap.wait(5) is not None
    connection.close()
    time.sleep(0.3)
    trap.let_go()
    time.sleep(0.3)
    assert upstream.served == []


def test_an_upstream_that_is_away_closes_the_connection() -> None:
    with Proxy("http://127.0.0.1:9") as proxy, pytest.raises((OSError, http.client.HTTPException)):
        send(proxy, STATUS)


def test_calls_can_be_refused(proxy: Proxy, upstream: Upstream) -> None:
    proxy.refuse = lambda call: Refusal(503) if call.writes else None
    with pytest.raises(urllib.error.HTTPError, match="503"):
        send(proxy, STATUS, "PUT", b"{}")
    assert upstream.served == []
    send(proxy, STATUS)


class Backwards:
    """A lens that shows answers backwards, and of a watch the second event, and one more when it is silent."""

    def see_answer(self, call: Call, body: bytes) -> bytes:
        return body[::-1]

    def see_event(self, call: Call, line: bytes) -> Sequence[bytes]:
        return (line,) if line == b"1\n" else ()

    def see_silence(self, call: Call) -> Sequence[bytes]:
        return (b"silence\n",)


def test_a_lens_alters_what_is_seen(proxy: Proxy) -> None:
    watch = f"{PLANS}?watch=true"
    assert send(proxy, watch) == b"0\n1\n2\n"
    proxy.lens = Backwards()
    assert send(proxy, STATUS) == STATUS.encode()[::-1]
    assert send(proxy, watch) == b"1\nsilence\n"
