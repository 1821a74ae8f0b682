"""Requests that no Alertmanager sends, as bytes on the wire."""

import gzip
import json
import socket
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz.documents import JSON, mutants

TOKEN = b"Bearer TOKEN"
"""Where the right token goes."""

METHODS = (
    *["POST"] * 12,
    "GET",
    "HEAD",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "BREW",
    "post",
    "P\x00ST",
    "",
)
PATHS = (
    *["/alerts"] * 12,
    "/",
    "/alerts/",
    "/alerts?a=%00",
    "//alerts",
    "/../alerts",
    "/%2e%2e/alerts",
    "*",
    "alerts",
    "",
)
PATHS = (*PATHS, "/metrics", "/readyz", "/" + "a" * 9000, "http://127.0.0.1/alerts", "/\xff")
AUTHORIZATIONS = (
    *[TOKEN] * 12,
    b"",
    b"Bearer",
    b"Bearer ",
    b"Bearer wrong",
    b"Basic YTpi",
    b"\xff\x00",
    b"Bearer " + b"x" * 7000,
)
HEADERS = (
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Content-Encoding: br",
    b"Content-Encoding: nonsense",
    b"Content-Type: multipart/form-data; boundary=x",
    b"Content-Type: application/json; charset=utf-16",
    b"Content-Type: \xff",
    b"Expect: 100-continue",
    b"Expect: nonsense",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: nonsense",
    b"Content-Length: 7",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Host: \xff\xfe",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Cookie: " + b"a=b; " * 900,
    b"no colon",
    b": empty",
    b" folded",
    b"X: " + b"y" * 9000,
)
DEEP = 50_000


@dataclass(frozen=True)
class Request:
    """One request. `TOKEN` in it stands for the right token."""

    method: str
    path: str
    authorization: bytes
    headers: tuple[bytes, ...]
    body: bytes

    def encode(self, token: bytes) -> bytes:
        """What is sent."""
        line = f"{self.method} {self.path} HTTP/1.1".encode("latin-1")
        length = b"Content-Length: %d" % len(self.body)
        usual = [b"Host: localhost", b"Connection: close", b"Authorization: " + self.authorization]
        if not any(header.startswith((b"Content-Length", b"Transfer-Encoding")) for header in self.headers):
            usual.append(length)
        head = b"\r\n".join([line, *usual, *self.headers]).replace(b"TOKEN", token)
        return head + b"\r\n\r\n" + self.body

    def __str__(self) -> str:
        return f"{self.method} {self.path[:40]} {self.authorization[:20]!r} {self.headers} {self.body[:2000]!r}"


def requests(notification: Any) -> SearchStrategy[Request]:
    """Requests that are like one with this notification."""
    changed = mutants(notification).map(lambda found: json.dumps(found).encode())
    odd = st.sampled_from(
        [
            b"",
            b"null",
            b"[]",
            b'{"version":"4","alerts":[]}',
            b'{"version":"4","alerts":' + b"[" * DEEP,
            b"[" * DEEP + b"]" * DEEP,
            b'{"a":' * DEEP + b"1" + b"}" * DEEP,
            b'{"version":"4","alerts":[],"truncatedAlerts":' + b"9" * 5000 + b"}",
            b'{"version":"4","alerts":[],"truncatedAlerts":1e999}',
            json.dumps(notification).encode("utf-16"),
            gzip.compress(b" " * 50_000_000),
            gzip.compress(json.dumps(notification).encode()),
            zlib.compress(b"{}"),
            b" " * (1024 * 1024 + 1),
            b"5\r\nabc\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\nabc",
        ]
    )
    bodies = changed | changed | st.binary(max_size=200) | JSON.map(lambda found: json.dumps(found).encode()) | odd
    return st.builds(
        Request,
        st.sampled_from(METHODS),
        st.sampled_from(PATHS),
        st.sampled_from(AUTHORIZATIONS),
        st.lists(st.sampled_from(HEADERS), max_size=2).map(tuple) | st.just(()),
        bodies,
    )


def send(url: str, data: bytes, seconds: float = 1.0) -> bytes:
    """What is answered, to the end, or until nothing has come for so long: there are requests that have no end."""
    place = urlsplit(url)
    answer = b""
    with (
        socket.create_connection((place.hostname, place.port), timeout=seconds) as connection,
        suppress(ConnectionError, TimeoutError),
    ):
        connection.sendall(data)
        while part := connection.recv(65536):
            answer += part
    return answer
