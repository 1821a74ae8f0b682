"""Receivers outside the cluster: one that hears the operator's heartbeat, one that gets its alerts."""

import json
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from socketserver import TCPServer

from tests.world.listening import Listening


class Listener(Listening):
    """An HTTP server on a free port of 127.0.0.1."""

    def build_server(self) -> TCPServer:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers = listener.take(dict(self.headers), body)
                if status == 0:
                    return  # It hangs up without an answer.
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is written."""

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @abstractmethod
    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        """Status and headers of the answer to a POST; status 0 hangs up."""


class Pager(Listener):
    """Notes when it was called. It calls people after `patience` seconds of silence."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._heard: list[float] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.address}/beat"

    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        self.hear()
        return 200, {}

    def hear(self) -> None:
        """A sign of life."""
        with self._lock:
            self._heard.append(time.monotonic())

    def alarms(self, since: float) -> int:
        """How often people were called since that monotonic time: silences, of which the last may go on."""
        with self._lock:
            times = [since, *(at for at in self._heard if at >= since), time.monotonic()]
        return sum(later - earlier > self._patience for earlier, later in pairwise(times))


@dataclass(frozen=True)
class Received:
    """An alert as a webhook got it (Apprise's `json://`). `at` is monotonic."""

    key: str
    title: str
    message: str
    type: str
    at: float


@dataclass
class Webhook(Listener):
    """Takes alerts, and refuses or delays them as the test says: `answer` has the status and the headers, and `meet` is
    called with each alert before it is answered."""

    answer: tuple[int, Mapping[str, str]] = (200, {})
    meet: Callable[[Received], None] = lambda _: None
    received: list[Received] = field(default_factory=list)
    """All of them, refused ones too."""

    @property
    def url(self) -> str:
        """Where it listens, as Apprise writes it."""
        return f"json://{self.address}/hook/s3cret-path"

    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        said = json.loads(body)
        key = headers.get("Idempotency-Key", "")
        one = Received(key, said["title"], said["message"], said["type"], time.monotonic())
        self.received.append(one)
        self.meet(one)
        return self.answer

    def about(self, text: str) -> list[Received]:
        """Those that say that, in order."""
        return [one for one in self.received if text in one.title + one.message]

    def titles(self, about: str = "") -> list[str]:
        """Titles in order, each alert once however often it came."""
        return list({one.key: one.title for one in self.about(about)}.values())
