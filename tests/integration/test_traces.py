"""One incident from detection to resolution, as a real collector and the operator's own log tell it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bokgu.core.traces import trace_of
from tests.world.collector import Collector, Received
from tests.world.scene import Scene
from tests.world.world import World, wait_for

KEY = "wJalrXUtnFEMI-not-to-be-logged"
TOKEN = "Bearer not-to-be-logged-either"


@pytest.fixture
def restarted(world: World) -> Iterator[Callable[..., None]]:
    """Starts the operator anew, with these settings; afterwards as it was."""

    def restart(**settings: str) -> None:
        if world.runs("operator"):
            world.stop_operator()
        world.start_operator(settings)

    yield restart
    restart()


def recover(scene: Scene) -> dict[str, Any]:
    """A surge, its plan, two approvals, and the end. The incident."""
    scene.approve(scene.surge())
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 40)
    return scene.incident()


def whole(collector: Collector, incident: dict[str, Any]) -> Received | None:
    spans = collector.trace(trace_of(incident["metadata"]["uid"])).values()
    return next((span for span in spans if not span.parent), None)


@pytest.mark.timeout(240)
def test_a_collector_sees_one_incident_whole_and_after_a_crash_the_same(
    world: World, new_scene: Callable[..., Scene], restarted: Callable[..., None]
) -> None:
    with Collector() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        restarted(**settings)
        scene = new_scene()
        incident, plan = recover(scene), scene.plan()
        wait_for(lambda: whole(collector, incident), 10, world.operator_log_tail)
        trace = collector.trace(trace_of(incident["metadata"]["uid"]))
        root = whole(collector, incident)
        assert root is not None
        assert all(span.parent in trace for span in trace.values() if span is not root), trace
        told = {span.name for span in trace.values()}
        assert told >= {"detect", "classify", "plan", "approve", "start", "act", "verify", "resolve"}
        assert told >= {"plan traffic-surge", "step health_check", "step scale_out", "ecs.UpdateService"}
        (write,) = [span for span in trace.values() if span.name == "ecs.UpdateService"]
        assert trace[write.parent].name == "step scale_out"
        token = next(s["intent"]["token"] for s in plan["status"]["steps"] if "intent" in s)
        assert write.attributes["bokgu.token"] == token
        assert root.begun <= min(span.begun for span in trace.values())
        assert root.ended >= max(span.ended for span in trace.values())

        world.kill_operator()
        world.start_operator(settings)
        before = len(collector.spans)
        wait_for(lambda: len(collector.spans) > before, 20, world.operator_log_tail)
        assert collector.trace(trace_of(incident["metadata"]["uid"])).keys() == trace.keys()
        assert world.scrape()['bokgu_trace_spans_total{result="dropped"}'] == 0


@pytest.mark.timeout(240)
def test_a_collector_that_hangs_delays_no_recovery(
    world: World, new_scene: Callable[..., Scene], restarted: Callable[..., None]
) -> None:
    with Collector(hangs=True) as collector:
        restarted(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
        recover(new_scene())
        assert collector.requests
        seconds, passes = (
            world.scrape()[f'bokgu_reconcile_duration_seconds_{s}{{resource="recoveryplans"}}']
            for s in ("sum", "count")
        )
        assert seconds / passes < 1
        assert world.stop_operator() == 0


@pytest.mark.timeout(240)
def test_the_log_of_a_recovery_tells_each_decision_with_its_ids_and_no_secret(
    world: World, new_scene: Callable[..., Scene], restarted: Callable[..., None]
) -> None:
    restarted(
        BOKGU_LOG_LEVEL="debug",
        AWS_SECRET_ACCESS_KEY=KEY,
        OTEL_EXPORTER_OTLP_HEADERS=TOKEN,
        BOKGU_HEARTBEAT_URL="http://127.0.0.1:9/not-to-be-logged",
    )
    scene = new_scene()
    incident = recover(scene)
    name, trace = incident["metadata"]["name"], trace_of(incident["metadata"]["uid"])
    text = world.operator_log_tail(100_000)
    assert "not-to-be-logged" not in text
    assert world.webhook_token.read_text().strip() not in text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    mine = [line for line in lines if line.get("trace_id") == trace]
    assert {line["incident"] for line in mine} == {name}
    said = [line["event"] for line in mine]
    assert {"incident opened", "cause told", "plan made", "incident phase", "plan phase", "step phase"} <= set(said)
    assert said.count("aws write sent") == said.count("aws write answered") == 1
    answered = next(line for line in mine if line["event"] == "aws write answered")
    assert (answered["operation"], answered["result"]) == ("UpdateService", "Accepted")
    assert answered["plan"] == scene.plan()["metadata"]["name"]
    assert answered["step"] == next(s["name"] for s in scene.plan()["spec"]["steps"] if s["action"] == "scale_out")
    assert [line["now"] for line in mine if line["event"] == "plan phase"][-1] == "Completed"
    assert {line["level"] for line in lines} >= {"debug", "info"}
