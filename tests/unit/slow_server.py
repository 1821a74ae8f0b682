"""An API server, and AWS, that do not answer one request until somebody at a terminal was told what is waited for."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Raw = dict[str, Any]

LONGEST = 5.0
"""Seconds after which it answers although nobody was told."""


REFUSED: Raw = {"kind": "Status", "reason": "Forbidden", "message": "no", "__type": "AccessDeniedException"}
REFUSED_XML = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
"""In the words of Kubernetes and of AWS's JSON protocols; and in those of its query protocol."""


@dataclass
class Slow:
    """`method` and a part of the path of the request that takes long, and is then refused."""

    method: str
    path: str
    told: threading.Event = field(default_factory=threading.Event)
    met: bool = False


@contextmanager
def slow_server(objects: Mapping[str, Raw], slow: Slow) -> Iterator[str]:
    """Its address. `objects` by the end of their paths, such as `incidents/one`; lists are empty, all is allowed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            if self.command == slow.method and slow.path in path:
                slow.met = True
                slow.told.wait(LONGEST)
                self.refuse()
            elif path == "/":
                self.refuse()
            elif self.command == "GET":
                self.say(*find(path))
            else:
                allowed = {"allowed": True, "userInfo": {"username": "alice@example.com"}}
                known = json.loads(body)
                self.say(201, {**known, "status": known.get("status") or allowed})

        do_GET = do_POST = do_PUT = answer

        def refuse(self) -> None:
            of_query = "x-www-form-urlencoded" in (self.headers.get("Content-Type") or "")
            self.say(403, REFUSED_XML if of_query else REFUSED)

        def say(self, status: int, body: Raw | str) -> None:
            content = (body if isinstance(body, str) else json.dumps(body, default=str)).encode()
            with suppress(ConnectionError):  # Who asked for several things has gone after the first refusal.
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    def find(path: str) -> tuple[int, Raw]:
        for end, found in objects.items():
            if path.endswith(f"/{end}"):
                return 200, found
        if path.endswith("/namespaces/kube-system"):
            return 200, {"kind": "Namespace", "metadata": {"uid": "cluster"}}
        if path.rpartition("/")[2] in {end.partition("/")[0] for end in objects} | {"planapprovals", "events"}:
            return 200, {"kind": "List", "metadata": {}, "items": []}
        return 404, {"kind": "Status", "reason": "NotFound", "message": f"no {path}"}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="slow", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        slow.told.set()
        server.shutdown()
        server.server_close()
        thread.join()
