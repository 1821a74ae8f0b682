"""A receiver outside the cluster that hears the operator's heartbeat."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Self


class Pager:
    """Notes when it was called, on a free port of 127.0.0.1. It calls people after `patience` seconds of silence."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._heard: list[float] = []

    def __enter__(self) -> Self:
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                pager.hear()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is written."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="pager", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/beat"

    def hear(self) -> None:
        """A sign of life."""
        with self._lock:
            self._heard.append(time.monotonic())

    def alarms(self, since: float) -> int:
        """How often people were called since that monotonic time: silences, of which the last may go on."""
        with self._lock:
            times = [since, *(at for at in self._heard if at >= since), time.monotonic()]
        return sum(later - earlier > self._patience for earlier, later in pairwise(times))
