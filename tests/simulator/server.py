"""The HTTP server: AWS calls, the faults that hit them, their journal, and the control API."""

import gzip
import io
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.serving import WSGIRequestHandler, make_server

from .aws_json import Json, Protocol, load_protocols
from .control_api import ControlApi
from .errors import AwsError
from .faults import Fault, Faults
from .journal import Call, Journal
from .simulation import Simulation

SIGNING_NAMES = frozenset({"ecs", "monitoring"})
"""Services simulated here, as signatures name them: moto must not answer for them in another protocol."""
CONTROL_PREFIX = "/_simulator/"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")
_ACCESS_KEY = re.compile(rb"<AccessKeyId>([^<]+)</AccessKeyId>")
_POLL_SECONDS = 0.05
"""How long closing may take."""
_log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class ConnectionClosedError(ConnectionError):
    """The client gets no answer; werkzeug drops the connection without a word."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]


class Request:
    """An AWS request as it came, and what its headers say about it."""

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        length = int(environ.get("CONTENT_LENGTH") or 0)
        raw = environ["wsgi.input"].read(length)
        self.raw = raw
        self.body = gzip.decompress(raw) if environ.get("HTTP_CONTENT_ENCODING") == "gzip" else raw
        credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        self.access_key_id = credential[1] if credential else None
        self.prefix, _, self.target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
        self.protocol = load_protocols().get(self.prefix)
        signed_for = credential[3] if credential else "unknown"
        self.service = self.protocol.service if self.protocol else signed_for
        self.parameters = self._read_parameters()
        self.operation = self.target or self.parameters.get("Action") or self._operation_of_path()

    def _operation_of_path(self) -> str:
        return f"{self.environ['REQUEST_METHOD']} {self.environ['PATH_INFO']}"

    def _read_parameters(self) -> Json:
        """The parameters for the journal; {} when the body is neither JSON nor a form."""
        media_type = self.environ.get("CONTENT_TYPE", "")
        try:
            if "x-www-form-urlencoded" in media_type:
                return dict(parse_qsl(self.body.decode()))
            parameters = json.loads(self.body) if "json" in media_type else {}
        except ValueError:
            return {}
        return parameters if isinstance(parameters, dict) else {}


class SimulatorServer:
    """The simulator on a loopback port. A context manager; `url` is what goes into `endpoint_url`.

    port: 0 takes a free one. speed: simulated seconds per wall second. seed: of ids and jitter.
    consistency_delay: simulated seconds by which reads lag. check_answers: answer 500 InternalFailure where an
    answer would not fit botocore's model, so that a test sees it.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        speed: float = 1.0,
        seed: int = 1,
        region: str = "us-east-1",
        consistency_delay: float = 0.0,
        check_answers: bool = False,
    ) -> None:
        self.simulation = Simulation(speed=speed, seed=seed, region=region)
        self.simulation.set_consistency_delay(consistency_delay)
        self.journal = Journal()
        self.faults = Faults()
        self._control = ControlApi(self.simulation, self.journal, self.faults)
        self._check_answers = check_answers
        self._moto = _Moto()
        load_protocols()
        self._server = make_server("127.0.0.1", port, self._serve, threaded=True, request_handler=_Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="simulator-http", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Serve, and let simulated time pass, in threads of its own."""
        self.simulation.start()
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.simulation.stop()

    def __enter__(self) -> "SimulatorServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith(CONTROL_PREFIX):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
            status, content = self._control.answer(
                environ["REQUEST_METHOD"], path.removeprefix(CONTROL_PREFIX), query, body
            )
            answer = Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
        else:
            try:
                answer = self._call(Request(environ))
            except ConnectionClosedError:
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                raise
        start_response(
            f"{answer.status} {'OK' if answer.status < 400 else 'Error'}",
            [*answer.headers.items(), ("Content-Length", str(len(answer.body)))],
        )
        return [answer.body]

    def _call(self, request: Request) -> Answer:
        """One AWS call with all that happens to it; ConnectionClosedError when it gets no answer."""
        call = self.journal.open(
            self.simulation.clock.now(), request.service, request.operation, request.parameters, request.access_key_id
        )
        fault = self.faults.take(call.service, call.operation, call.parameters)
        if fault is None:
            return self._perform(request, call)
        call.fault = fault.id
        if fault.only_slows:
            time.sleep(fault.delay_seconds)
            return self._perform(request, call)
        if fault.effect == "after":
            self._perform(request, call)
        time.sleep(fault.delay_seconds)
        if fault.code is None:
            call.result = "NoAnswer"
            raise ConnectionClosedError
        call.result = fault.code
        return _shape_fault(request, fault, fault.code, call.sequence)

    def _perform(self, request: Request, call: Call) -> Answer:
        """Carry out the call, and note in the journal what came of it."""
        if request.protocol is None and request.service in SIGNING_NAMES:
            call.result = "UnsupportedProtocol"
            return Answer(400, b"The simulator speaks AWS JSON for this service.", _request_id(call.sequence))
        if request.protocol is None:
            answer = self._moto.answer(request)
            call.result, call.effect = ("OK", True) if answer.status < 400 else (f"HTTP{answer.status}", False)
            if request.operation == "AssumeRole" and (key := _ACCESS_KEY.search(answer.body)):
                self.journal.learn_session(key[1].decode(), request.parameters.get("RoleSessionName", ""))
            return answer
        try:
            content = self._simulate(request, request.protocol)
        except AwsError as error:
            call.result = error.code
            body, headers = request.protocol.encode_error(error)
            return Answer(error.status, body, headers | _request_id(call.sequence))
        call.result, call.effect = "OK", True
        headers = {"Content-Type": request.protocol.content_type}
        return Answer(200, json.dumps(content).encode(), headers | _request_id(call.sequence))

    def _simulate(self, request: Request, protocol: Protocol) -> Json:
        parameters = protocol.decode(request.operation, request.body)
        try:
            content = self.simulation.perform(request.service, request.operation, parameters)
        except AwsError:
            raise
        except Exception as error:
            _log.exception("%s %s failed", request.service, request.operation)
            raise AwsError("InternalFailure", f"The simulator failed: {error!r}.", 500) from error
        if self._check_answers and (flaw := protocol.check_answer(request.operation, content)):
            raise AwsError("InternalFailure", f"The answer does not fit the model: {flaw}", 500)
        return content


class _Handler(WSGIRequestHandler):
    """Quiet, and without Nagle's algorithm, which would hold back the body of kept-alive answers for 40 ms."""

    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The journal replaces the access log."""


class _Moto:
    """Any AWS service that is not simulated here.

    moto has no locks of its own, so calls go one by one. Its state belongs to the process, so a server empties it
    before its first use of it; two servers at a time would share it.
    """

    _lock = threading.Lock()

    def __init__(self) -> None:
        self._application: Any = None

    def answer(self, request: Request) -> Answer:
        """moto's answer; the first call imports moto, which takes seconds."""
        with self._lock:
            if self._application is None:
                from moto.moto_api._internal.models import moto_api_backend
                from moto.moto_server.werkzeug_app import (
                    DomainDispatcherApplication,
                    create_backend_app,
                )

                moto_api_backend.reset()
                self._application = DomainDispatcherApplication(create_backend_app)
            return self._run(request)

    def _run(self, request: Request) -> Answer:
        seen: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            seen.update(status=int(status[:3]), headers=dict(headers))

        environ = {**request.environ, "wsgi.input": io.BytesIO(request.raw)}
        body = b"".join(self._application(environ, start_response))
        headers = {name: value for name, value in seen["headers"].items() if name.lower() != "content-length"}
        return Answer(seen["status"], body, headers)


def _request_id(sequence: int) -> dict[str, str]:
    return {"x-amzn-RequestId": f"00000000-0000-4000-8000-{sequence:012d}"}


def _shape_fault(request: Request, fault: Fault, code: str, sequence: int) -> Answer:
    """The error answer of a fault, in the protocol the client spoke."""
    if request.protocol is not None:
        body, headers = request.protocol.encode_error(AwsError(code, fault.message, fault.status))
        return Answer(fault.status, body, headers | _request_id(sequence))
    if request.target:
        body = json.dumps({"__type": code, "message": fault.message}).encode()
        return Answer(fault.status, body, {"Content-Type": "application/x-amz-json-1.0"} | _request_id(sequence))
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(fault.message)}</Message></Error>"
    body = f"<ErrorResponse>{error}</ErrorResponse>".encode()
    return Answer(fault.status, body, {"Content-Type": "text/xml"} | _request_id(sequence))
