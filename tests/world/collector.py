"""An OpenTelemetry collector: takes OTLP over HTTP, as protobuf."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.world.pager import Listener

OK, ERROR = 0, 2
"""Codes of a span's status, as far as they are used (opentelemetry/proto/trace/v1/trace.proto)."""


@dataclass(frozen=True)
class Received:
    """A span as it came; times are seconds since 1970, `code` that of its status."""

    trace: str
    id: str
    parent: str
    name: str
    begun: float
    ended: float
    attributes: Mapping[str, Any]
    code: int
    problem: str
    resource: Mapping[str, Any]


class Collector(Listener):
    """Keeps all spans that it gets. While it hangs, requests get no answer."""

    def __init__(self, *, hangs: bool = False) -> None:
        self._lock = threading.Lock()
        self._spans: list[Received] = []
        self._goes_on = threading.Event()
        self.headers: list[Mapping[str, str]] = []
        self.requests = 0
        if not hangs:
            self._goes_on.set()

    def __enter__(self) -> Self:
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self._goes_on.set()
        super().__exit__(*_)

    @property
    def endpoint(self) -> str:
        """Base URL, as OTEL_EXPORTER_OTLP_ENDPOINT has it."""
        return f"http://{self.address}"

    @property
    def spans(self) -> list[Received]:
        """All that came, the oldest request first."""
        with self._lock:
            return list(self._spans)

    def trace(self, trace: str) -> dict[str, Received]:
        """The spans of a trace by their ids: what came twice is there once."""
        return {span.id: span for span in self.spans if span.trace == trace}

    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        """Take one request."""
        with self._lock:
            self.requests += 1
        self._goes_on.wait()
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self.headers.append(dict(headers))
            for resource in request.resource_spans:
                described = _attributes(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self._spans += [_read(span, described) for span in scope.spans]
        return 200, {}


def _read(span: Any, resource: Mapping[str, Any]) -> Received:
    return Received(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        begun=span.start_time_unix_nano / 1e9,
        ended=span.end_time_unix_nano / 1e9,
        attributes=_attributes(span.attributes),
        code=span.status.code,
        problem=span.status.message,
        resource=resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
