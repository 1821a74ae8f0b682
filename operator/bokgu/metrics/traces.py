"""Traces: what became of telling them."""

from prometheus_client import Counter

from bokgu.metrics.registry import REGISTRY

TRACE_SPANS = Counter(
    "bokgu_trace_spans",
    "Spans by what became of them: sent, failed (the collector did not take them), dropped (too many waited).",
    ["result"],
    registry=REGISTRY,
)
