"""The HTTP server: AWS calls, the faults that hit them, their journal, and the control API."""

import gzip
import io
import json
import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.serving import WSGIRequestHandler, make_server

from .accounts import Caller
from .aws_cbor import decode_cbor
from .aws_protocol import Json, Protocol
from .cloud_trail import CloudTrail
from .common_errors import (
    build_access_denied,
    build_expired_token,
    build_server_error,
    build_throttling,
    name_action,
)
from .control_api import ControlApi
from .errors import AwsError
from .faults import Attempt, Fault, Faults
from .journal import Call, Journal
from .protocols import UNSIGNED_OPERATIONS, load_protocols, read_rpc_path, read_signature
from .rate_limits import RateLimits
from .simulation import Simulation

CONTROL_PREFIX = "/_simulator/"
LONGEST_SILENCE_SECONDS = 120.0
"""Wall time for which a `timeout` fault keeps a client waiting that does not give up by itself."""
_POLL_SECONDS = 0.05
"""How long closing may take."""
_log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class ConnectionClosedError(ConnectionError):
    """The client gets no answer; werkzeug drops the connection without a word. `reset`: with a TCP reset."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]


class Request:
    """An AWS request as it came, and what its headers say about it. `region` is None when it is not signed."""

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        length = int(environ.get("CONTENT_LENGTH") or 0)
        self.raw = environ["wsgi.input"].read(length)
        self.body = gzip.decompress(self.raw) if environ.get("HTTP_CONTENT_ENCODING") == "gzip" else self.raw
        signature = read_signature(environ.get("HTTP_AUTHORIZATION", ""))
        self.access_key_id = signature.access_key_id
        self.region = signature.region
        prefix, _, self.target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
        rpc_service, rpc_operation = read_rpc_path(environ["PATH_INFO"])
        known = load_protocols()
        self.protocol: Protocol | None = known.by_path.get(rpc_service)
        self.parameters = self._read_parameters()
        self.operation = self.target or rpc_operation or self.parameters.get("Action") or self._operation_of_path()
        signed_for = signature.service or UNSIGNED_OPERATIONS.get(self.operation, "unknown")
        if self.target:
            self.protocol = known.by_target.get(prefix)
        elif not rpc_operation:
            self.protocol = known.by_signing_name.get(signed_for)
        self.service = self.protocol.service if self.protocol else known.service_names.get(signed_for, signed_for)

    def _operation_of_path(self) -> str:
        return f"{self.environ['REQUEST_METHOD']} {self.environ['PATH_INFO']}"

    def _read_parameters(self) -> Json:
        """The parameters for the journal; {} when the body is neither CBOR, JSON nor a form."""
        media_type = self.environ.get("CONTENT_TYPE", "")
        try:
            if "cbor" in media_type:
                return dict(decode_cbor(self.body)) if self.body else {}
            if "x-www-form-urlencoded" in media_type:
                return dict(parse_qsl(self.body.decode()))
            parameters = json.loads(self.body) if "json" in media_type else {}
        except (ValueError, AwsError):
            return {}
        return parameters if isinstance(parameters, dict) else {}

    def has_lost_its_client(self) -> bool:
        """Whether the client closed the connection."""
        connection: socket.socket = self.environ["werkzeug.socket"]
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""

    def drop_connection(self, *, reset: bool) -> None:
        """Close the connection without an answer; `reset` makes it a TCP reset instead of an orderly end."""
        connection: socket.socket = self.environ["werkzeug.socket"]
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Before the handler shuts it down in good order; close() alone would wait for the handler's files.
            os.close(connection.detach())
        else:
            connection.shutdown(socket.SHUT_RDWR)


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
        self.faults = Faults(self.simulation.clock)
        self.limits = RateLimits(self.simulation.clock)
        trail = CloudTrail(self.journal, self.simulation.accounts, self.simulation.clock)
        self.simulation.global_operations["cloudtrail"] = trail.operations
        self._control = ControlApi(self.simulation, self.journal, self.faults, self.limits)
        self._check_answers = check_answers
        self._moto = _Moto()
        self._closing = threading.Event()
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
        self._closing.set()
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
            request = Request(environ)
            try:
                answer = self._call(request)
            except ConnectionClosedError as error:
                request.drop_connection(reset=error.reset)
                raise
        start_response(
            f"{answer.status} {'OK' if answer.status < 400 else 'Error'}",
            [*answer.headers.items(), ("Content-Length", str(len(answer.body)))],
        )
        return [answer.body]

    def _call(self, request: Request) -> Answer:
        """One AWS call with all that happens to it; ConnectionClosedError when it gets no answer."""
        caller = self.simulation.accounts.identify(request.access_key_id)
        region = request.region or self.simulation.default_region
        call = self.journal.open(
            self.simulation.clock.now(),
            caller,
            region=region,
            service=request.service,
            operation=request.operation,
            parameters=request.parameters,
            access_key_id=request.access_key_id,
        )
        attempt = Attempt(call.service, call.operation, call.parameters, call.account, call.region)
        fault = self.faults.take(attempt)
        if fault is None:
            return self._perform(request, caller, call)
        call.fault = fault.id
        if fault.comes_after:
            self._perform(request, caller, call)
        if fault.kind == "timeout":
            self._keep_silent(request)
        self._closing.wait(fault.delay_seconds)
        if fault.only_slows:
            return self._perform(request, caller, call)
        error = _build_fault_error(fault, call.service, call.operation, caller)
        if error is None:
            call.result = "NoAnswer"
            raise ConnectionClosedError(reset=fault.kind == "connection-reset")
        call.result = error.code
        return _encode_error(request, error, call.sequence)

    def _keep_silent(self, request: Request) -> None:
        """Wait until the client gives up, LONGEST_SILENCE_SECONDS have passed or the server closes."""
        deadline = time.monotonic() + LONGEST_SILENCE_SECONDS
        while time.monotonic() < deadline and not request.has_lost_its_client():
            if self._closing.wait(_POLL_SECONDS):
                return

    def _perform(self, request: Request, caller: Caller, call: Call) -> Answer:
        """Carry out the call, and note in the journal what came of it."""
        try:
            self.simulation.accounts.check_session(call.service, request.access_key_id)
            self.limits.check(call.service, call.operation, call.account, call.region)
        except AwsError as error:
            call.result = error.code
            return _encode_error(request, error, call.sequence)
        if not self.simulation.simulates(request.service):
            answer = self._moto.answer(request, caller)
            call.result, call.effect = ("OK", True) if answer.status < 400 else (f"HTTP{answer.status}", False)
            return answer
        if request.protocol is None:
            call.result = "UnsupportedProtocol"
            body = f"The simulator does not speak this protocol for {request.service}."
            return Answer(400, body.encode(), {"x-amzn-RequestId": _request_id(call.sequence)})
        try:
            content = self._simulate(request, request.protocol, caller)
        except AwsError as error:
            call.result = error.code
            return _encode_error(request, error, call.sequence)
        call.result, call.effect = "OK", True
        body_, headers = request.protocol.encode(request.operation, content, _request_id(call.sequence))
        return Answer(200, body_, headers)

    def _simulate(self, request: Request, protocol: Protocol, caller: Caller) -> Json:
        parameters = protocol.decode(request.operation, request.body)
        try:
            content = self.simulation.perform(
                request.service, request.operation, parameters, caller=caller, region=request.region
            )
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

    def connection_dropped(self, error: BaseException, environ: Environ | None = None) -> None:
        """Nothing more is to be read from a connection that was dropped."""
        self.close_connection = True

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

    def answer(self, request: Request, caller: Caller) -> Answer:
        """moto's answer for the caller's account; the first call imports moto, which takes seconds."""
        with self._lock:
            if self._application is None:
                from moto.moto_api._internal.models import moto_api_backend
                from moto.moto_server.werkzeug_app import (
                    DomainDispatcherApplication,
                    create_backend_app,
                )

                moto_api_backend.reset()
                self._application = DomainDispatcherApplication(create_backend_app)
            return self._run(request, caller)

    def _run(self, request: Request, caller: Caller) -> Answer:
        seen: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            seen.update(status=int(status[:3]), headers=dict(headers))

        environ = {
            **request.environ,
            "wsgi.input": io.BytesIO(request.raw),
            "HTTP_X_MOTO_ACCOUNT_ID": caller.account,
        }
        body = b"".join(self._application(environ, start_response))
        headers = {name: value for name, value in seen["headers"].items() if name.lower() != "content-length"}
        return Answer(seen["status"], body, headers)


def _request_id(sequence: int) -> str:
    return f"00000000-0000-4000-8000-{sequence:012d}"


def _build_fault_error(fault: Fault, service: str, operation: str, caller: Caller) -> AwsError | None:
    """The error that a fault answers with; None when it answers nothing."""
    match fault.kind:
        case "throttling":
            return build_throttling(service)
        case "server-error":
            return build_server_error(service)
        case "access-denied":
            return build_access_denied(service, name_action(service, operation), caller.arn)
        case "expired-token":
            return build_expired_token(service)
    return None if fault.code is None else AwsError(fault.code, fault.message, fault.status)


def _encode_error(request: Request, error: AwsError, sequence: int) -> Answer:
    """The error answer in the protocol the client spoke."""
    request_id = _request_id(sequence)
    if request.protocol is not None:
        body, headers = request.protocol.encode_error(error, request_id)
        return Answer(error.status, body, headers)
    if request.target:
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
        content_type = "application/x-amz-json-1.0"
    else:
        text = f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
        body, content_type = f"<ErrorResponse>{text}</ErrorResponse>".encode(), "text/xml"
    return Answer(error.status, body, {"Content-Type": content_type, "x-amzn-RequestId": request_id})
