"""Sends spans by OTLP over HTTP, from a thread of its own.

A collector that hangs, refuses or is away holds nobody up: what waits for it is bounded, and what does not fit is
dropped and counted. Importing this module loads OpenTelemetry's SDK.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterable
from datetime import datetime

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bokgu.api.span import Span
from bokgu.metrics.traces import TRACE_SPANS

MOST_WAITING = 2048
"""Spans that wait, as many as OpenTelemetry's batch processor keeps (OTEL_BSP_MAX_QUEUE_SIZE)."""

BATCH = 512
"""Spans of one request (OTEL_BSP_MAX_EXPORT_BATCH_SIZE)."""

GATHER = 1.0
"""Seconds in which more spans may come for the same request."""

TIMEOUT = 5.0
"""Seconds for a request, with all attempts."""

PATIENCE = 3.0
"""Seconds that the end of the process waits for what is not sent yet."""

log = structlog.get_logger()


class OtlpSender:
    """`endpoint` is the full URL, such as `http://collector:4318/v1/traces`; headers, certificates and compression come
    from the standard variables `OTEL_EXPORTER_OTLP_…`, further attributes of the operator from
    `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`."""

    def __init__(self, endpoint: str, *, version: str, instance: str, timeout: float = TIMEOUT) -> None:
        # Its words are told here, once, and not with each request.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=timeout)
        self._resource = _describe(version, instance)
        self._scope = InstrumentationScope("bokgu", version)
        self._waiting: queue.Queue[Span | None] = queue.Queue(MOST_WAITING)
        self._stopping = threading.Event()
        self._well: bool | None = None
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def send(self, spans: Iterable[Span]) -> None:
        """Hand spans over. It never waits, and never raises."""
        for span in spans:
            try:
                self._waiting.put_nowait(span)
            except queue.Full:
                TRACE_SPANS.labels("dropped").inc()

    def stop(self, patience: float = PATIENCE) -> None:
        """Send what waits, for so many seconds at most."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)  # Wakes the thread.
        self._thread.join(patience)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry leaves it untyped

    def _run(self) -> None:
        while batch := self._gather():
            self._export(batch)
            if self._stopping.is_set() and self._waiting.empty():
                return

    def _gather(self) -> list[Span]:
        """The next spans, at least one. Empty at the end."""
        batch: list[Span] = []
        until = None
        while len(batch) < BATCH:
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                span = self._waiting.get(timeout=0 if self._stopping.is_set() and batch else left)
            except queue.Empty:
                break
            if span is None:
                break
            batch.append(span)
            until = until or time.monotonic() + GATHER
        return batch

    def _export(self, batch: list[Span]) -> None:
        try:
            well = self._exporter.export([self._build(span) for span in batch]) is SpanExportResult.SUCCESS
        except Exception:  # A defect of the exporter must not end the thread.
            log.exception("traces not sent")
            well = False
        TRACE_SPANS.labels("sent" if well else "failed").inc(len(batch))
        if well != self._well:
            self._well = well
            log.info("traces sent") if well else log.warning(
                "traces not sent: see whether the collector of OTEL_EXPORTER_OTLP_ENDPOINT takes OTLP over HTTP"
            )

    def _build(self, span: Span) -> ReadableSpan:
        failed = Status(StatusCode.ERROR, span.problem) if span.problem else Status(StatusCode.UNSET)
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace, span.id),
            parent=_context(span.trace, span.parent) if span.parent else None,
            resource=self._resource,
            attributes=dict(span.attributes),
            kind=SpanKind.CLIENT if span.client else SpanKind.INTERNAL,
            status=failed,
            start_time=_nanoseconds(span.begun),
            end_time=_nanoseconds(span.ended),
            instrumentation_scope=self._scope,
        )


def _describe(version: str, instance: str) -> Resource:
    """The operator, by OpenTelemetry's semantic conventions for services; a name that is configured counts."""
    own = Resource.create({"service.version": version, "service.instance.id": instance})
    named = not str(own.attributes.get("service.name", "unknown_service")).startswith("unknown_service")
    return own if named else own.merge(Resource({"service.name": "bokgu"}))


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
