"""A proxy between the operator and an API: it records the operator's calls, holds and drops them, and can alter what
the operator sees. It listens on a free port of 127.0.0.1, over plain HTTP."""

import asyncio
import contextlib
import re
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web
from yarl import URL

T = TypeVar("T")
GROUP_PATH = "/apis/bokgu.dev/v1alpha1/"
LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of a watch event; an object in etcd has 1.5 MiB at most."""

_NOT_PASSED_ON = {"accept-encoding", "connection", "content-length", "host", "keep-alive", "transfer-encoding"}
"""Headers of one connection only (RFC 9110, section 7.6.1), and the one that lets bodies be compressed."""
_AWS_READS = ("Describe", "List", "Get", "BatchGet", "Filter", "Lookup", "Receive", "AssumeRole", "Query")
_KUBE_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WATCH = "watch=true"
_NO_EFFECT = {"subjectaccessreviews", "selfsubjectreviews"}
"""What is created of these is an answer, and nothing is stored."""


class Moment(StrEnum):
    """Where a call is caught: before it is passed on, or after it had its effect and before its answer arrives."""

    BEFORE = "before"
    AFTER = "after"


@dataclass
class Call:
    """A call of the operator. `name` is what it does, without names of objects: `update recoveryplans/status` for
    Kubernetes, the operation for AWS. `status` is that of the answer; None while there is none."""

    number: int
    name: str
    method: str
    path: str
    body: bytes
    at: float
    status: int | None = None

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        verb, _, plural = self.name.partition(" ")
        if not plural:
            return not verb.startswith(_AWS_READS)
        return verb in _KUBE_WRITES.values() and plural not in _NO_EFFECT

    def mentions(self, text: str) -> bool:
        """Whether its path or its body has the text in it."""
        return text in self.path or text.encode() in self.body


class Lens(Protocol):
    """Alters what the operator sees. Used in the proxy's thread only."""

    def see_answer(self, call: Call, body: bytes) -> bytes:
        """What is shown of the answer to a GET."""

    def see_event(self, call: Call, line: bytes) -> Sequence[bytes]:
        """The events of a watch to pass on now that this one has come."""

    def see_silence(self, call: Call) -> Sequence[bytes]:
        """The events to pass on when a watch has been silent for a moment."""


class Trap:
    """Holds the one call that `fits` until it is dropped or let go."""

    def __init__(self, fits: Callable[[Call], bool], moment: Moment) -> None:
        self.fits, self.moment = fits, moment
        self.call: Call | None = None
        self._caught, self._over = threading.Event(), threading.Event()
        self._dropped = False

    def wait(self, seconds: float) -> Call | None:
        """The caught call, or None when none was caught within so many seconds."""
        self._caught.wait(seconds)
        return self.call

    def drop(self) -> None:
        """Close the call's connection without an answer; before it is passed on, if it was caught there."""
        self._dropped = True
        self._over.set()

    def let_go(self) -> None:
        """Let the call take its course."""
        self._over.set()

    @property
    def over(self) -> bool:
        """Whether it catches nothing any more."""
        return self._over.is_set()

    async def hold(self, call: Call) -> bool:
        """Hold a call; whether it goes on then. Used by the proxy."""
        self.call = call
        self._caught.set()
        while not self._over.is_set():  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(0.01)
        return not self._dropped


@dataclass(frozen=True)
class Refusal:
    """An answer instead of the upstream's."""

    status: int
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Proxy:
    """Passes calls on to `upstream`. Its methods may be called from any thread."""

    def __init__(self, upstream: str, *, tls: ssl.SSLContext | None = None, namespace: str | None = None) -> None:
        """`tls` verifies an upstream of https. With a `namespace` the operator's lists and watches of all namespaces
        are of that one only: several operators work side by side in one cluster."""
        self.upstream, self._tls, self._namespace = upstream.rstrip("/"), tls, namespace
        self.port = 0
        self.lens: Lens | None = None
        self.refuse: Callable[[Call], Refusal | None] = lambda _: None
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._traps: list[Trap] = []
        self._watches: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        for trap in self._traps:
            trap.drop()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Where the operator reaches it."""
        return f"http://127.0.0.1:{self.port}"

    def calls(self, since: int = 0) -> list[Call]:
        """The calls with a number above `since`, in the order in which they arrived."""
        with self._lock:
            return self._calls[since:]

    @property
    def last(self) -> int:
        """Number of the last call; 0 before there is one."""
        with self._lock:
            return len(self._calls)

    def set_trap(self, fits: Callable[[Call], bool], moment: Moment = Moment.BEFORE) -> Trap:
        """Catch the next call that fits, one time."""
        trap = Trap(fits, moment)
        self.add_trap(trap)
        return trap

    def add_trap(self, trap: Trap) -> None:
        """Set a trap that another proxy has, too: the first call that fits is caught, wherever it comes."""
        with self._lock:
            self._traps.append(trap)

    def close_watches(self) -> int:
        """Reset all watches that are open; how many."""
        return self._run(self._reset_watches())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _open(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls if self._tls is not None else True)
        timeout = aiohttp.ClientTimeout(total=None)
        skipped = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            skip_auto_headers=skipped,
            read_bufsize=LONGEST_LINE,
        )
        # A client that is gone takes its held call with it: nobody passes that on any more.
        self._runner = web.ServerRunner(web.Server(self._serve, handler_cancellation=True), shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        await self._reset_watches()
        await self._runner.cleanup()
        await self._session.close()
        # TLS connections end a moment later ("Graceful shutdown", aiohttp documentation).
        await asyncio.sleep(0.25)

    async def _reset_watches(self) -> int:
        transports = list(self._watches)
        for transport in transports:
            transport.abort()
        return len(transports)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        call = self._record(request, await request.read())
        if refusal := self.refuse(call):
            call.status = refusal.status
            headers = {"Content-Type": refusal.content_type, **refusal.headers}
            return web.Response(status=refusal.status, body=refusal.body, headers=headers)
        trap = self._spring(call)
        if trap and trap.moment is Moment.BEFORE and not await trap.hold(call):
            return self._hang_up(request)
        try:
            async with self._pass_on(request, call) as answer:
                call.status = answer.status
                if _WATCH in call.path and answer.status == 200:
                    return await self._stream(request, call, answer)
                body = await answer.read()
        except aiohttp.ClientError:
            return self._hang_up(request)
        if trap and trap.moment is Moment.AFTER and not await trap.hold(call):
            return self._hang_up(request)
        if self.lens and call.method == "GET" and answer.status == 200:
            body = self.lens.see_answer(call, body)
        return web.Response(status=answer.status, body=body, headers=_keep(answer.headers))

    def _record(self, request: web.BaseRequest, body: bytes) -> Call:
        with self._lock:
            name = _name(request, body)
            call = Call(len(self._calls) + 1, name, request.method, self._scope(request.raw_path), body, time.time())
            self._calls.append(call)
            return call

    def _scope(self, path: str) -> str:
        """The path with a list of all namespaces made one of the proxy's namespace."""
        found = re.fullmatch(rf"{re.escape(GROUP_PATH)}([a-z]+)(\?.*)?", path)
        if self._namespace is None or found is None:
            return path
        return f"{GROUP_PATH}namespaces/{self._namespace}/{found[1]}{found[2] or ''}"

    def _spring(self, call: Call) -> Trap | None:
        with self._lock:
            self._traps = [t for t in self._traps if not t.over]
            trap = next((t for t in self._traps if t.fits(call)), None)
            if trap is not None:
                self._traps.remove(trap)
            return trap

    def _pass_on(self, request: web.BaseRequest, call: Call) -> Any:
        url = URL(f"{self.upstream}{call.path}", encoded=True)
        return self._session.request(
            call.method, url, data=call.body or None, headers=_keep(request.headers), allow_redirects=False
        )

    async def _stream(self, request: web.BaseRequest, call: Call, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_keep(answer.headers))
        response.enable_chunked_encoding()
        await response.prepare(request)
        transport = request.transport
        if isinstance(transport, asyncio.Transport):
            self._watches.add(transport)
        try:
            async for lines in self._see(call, answer):
                for line in lines:
                    await response.write(line)
        except (aiohttp.ClientError, ConnectionError):
            self._hang_up(request)
        finally:
            if isinstance(transport, asyncio.Transport):
                self._watches.discard(transport)
        return response

    async def _see(self, call: Call, answer: aiohttp.ClientResponse) -> AsyncIterator[Sequence[bytes]]:
        """The events of a watch as the operator sees them, as they come."""
        reading: asyncio.Task[bytes] | None = None
        try:
            while True:
                reading = reading or asyncio.create_task(answer.content.readline())
                done, _ = await asyncio.wait({reading}, timeout=0.5 if self.lens else None)
                if not done:
                    yield self.lens.see_silence(call) if self.lens else ()
                    continue
                line, reading = reading.result(), None
                if not line:
                    return
                yield self.lens.see_event(call, line) if self.lens else (line,)
        finally:
            if reading is not None:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError):
                    await reading

    @staticmethod
    def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=502)


def _keep(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON}


def _name(request: web.BaseRequest, body: bytes) -> str:
    if target := request.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    if operation := re.search(r"/operation/(\w+)$", request.path):
        return operation[1]
    if not request.path.startswith(("/api/", "/apis/")):
        return next(iter(parse_qs(body.decode(errors="replace")).get("Action", [])), request.path)
    parts = [part for part in request.path.split("/") if part]
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    what, named = "/".join([*parts[:1], *parts[2:]]), len(parts) > 1
    if request.method != "GET":
        return f"{_KUBE_WRITES.get(request.method, request.method.lower())} {what}"
    return f"{'watch' if _WATCH in request.query_string else 'get' if named else 'list'} {what}"
