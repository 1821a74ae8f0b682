"""Spans on their way to a collector that is well, that hangs, and that is away."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import structlog

from bokgu.api.span import Span
from bokgu.metrics.registry import REGISTRY
from bokgu.traces.otlp import MOST_WAITING, OtlpSender
from tests.unit.facts import MINUTE, NOW
from tests.world.collector import ERROR, Collector
from tests.world.world import free_port, wait_for


def span(number: int = 1, **fields: Any) -> Span:
    usual: dict[str, Any] = {"parent": None, "name": f"span {number}", "begun": NOW, "ended": NOW + MINUTE}
    return Span(trace="ab" * 16, id=f"{number:016x}", **{**usual, **fields})


def count(result: str) -> float:
    return REGISTRY.get_sample_value("bokgu_trace_spans_total", {"result": result}) or 0.0


def failed_more_than(before: float) -> bool:
    return count("failed") > before


def opened(endpoint: str, **fields: Any) -> OtlpSender:
    return OtlpSender(f"{endpoint}/v1/traces", version="1.2.3", instance="pod-1", **fields)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def test_a_collector_gets_the_spans_whole(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production")
    sender, sent = opened(collector.endpoint), count("sent")
    sender.send([span(1), span(2, parent=f"{1:016x}", problem="Refused", client=True, attributes={"bokgu.attempt": 1})])
    sender.stop()
    whole, part = collector.spans
    assert (whole.trace, whole.id, whole.parent) == ("ab" * 16, f"{1:016x}", "")
    assert (whole.begun, whole.ended) == (NOW.timestamp(), (NOW + MINUTE).timestamp())
    assert (part.parent, part.code, part.problem) == (whole.id, ERROR, "Refused")
    assert part.attributes == {"bokgu.attempt": 1}
    described = {"service.name": "bokgu", "service.version": "1.2.3", "service.instance.id": "pod-1"}
    assert whole.resource.items() >= {**described, "deployment.environment.name": "production"}.items()
    assert collector.headers[0]["authorization"] == "Bearer of-the-collector"
    assert count("sent") - sent == 2


def test_a_name_that_is_configured_is_that_of_the_operator(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "bokgu-staging")
    sender = opened(collector.endpoint)
    sender.send([span()])
    sender.stop()
    assert collector.spans[0].resource["service.name"] == "bokgu-staging"


def test_spans_that_come_together_are_one_request(collector: Collector) -> None:
    sender = opened(collector.endpoint)
    for number in range(1, 21):
        sender.send([span(number)])
    sender.stop()
    assert (len(collector.spans), collector.requests) == (20, 1)


def test_a_collector_that_hangs_holds_nobody_up_and_what_is_too_much_is_dropped() -> None:
    dropped, failed = count("dropped"), count("failed")
    with Collector(hangs=True) as hanging:
        sender = opened(hanging.endpoint, timeout=0.5)
        sender.send([span(1)])
        wait_for(lambda: hanging.requests, 5, lambda: "no request")
        begun = time.monotonic()
        sender.send(span(number) for number in range(2, 2 * MOST_WAITING))
        assert time.monotonic() - begun < 0.5
        assert count("dropped") - dropped >= MOST_WAITING / 4
        begun = time.monotonic()
        sender.stop(patience=0.2)
        assert time.monotonic() - begun < 1
        wait_for(lambda: count("failed") > failed, 5, lambda: "nothing failed")


def test_a_collector_that_is_away_is_told_of_once_and_so_is_that_it_is_back() -> None:
    port = free_port()
    with structlog.testing.capture_logs() as said:
        sender = opened(f"http://127.0.0.1:{port}", timeout=0.1)
        for number in (1, 2):
            failed = count("failed")
            sender.send([span(number)])
            wait_for(partial(failed_more_than, failed), 5, lambda: "nothing failed")
        sender.stop()
    assert [line["log_level"] for line in said] == ["warning"]
    assert str(said[0]["event"]).startswith("traces not sent")
