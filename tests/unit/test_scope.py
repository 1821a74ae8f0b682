"""What a scope does about time, new specs, slow answers and failures, without AWS."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bokgu.api.detector import Detection, Detector
from bokgu.api.meta import Target
from bokgu.api.observed import AwsError, LogMetric, Metric, Series
from bokgu.api.vocabulary import DetectionState
from bokgu.aws.client import AwsClient
from bokgu.aws.cloudwatch import MAX_DATAPOINTS, MAX_QUERIES, align_start, fetch_metrics, pack_metrics
from bokgu.aws.logs import MAX_PAGES, count_matches
from bokgu.aws.tasks import fetch_stopped_tasks
from bokgu.config import Settings
from bokgu.core.look import Look
from bokgu.core.watch import watch_of
from bokgu.metrics.registry import REGISTRY
from bokgu.reconcile import scope
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.detections import judge_metrics
from bokgu.runtime import controller
from bokgu.runtime.handlers import build_announcer
from bokgu.runtime.queue import Queue
from bokgu.runtime.store import Raw, Store
from tests.unit.unasked_aws import UnaskedAws

START = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
HERE: Key = ("scopes", "", "us-east-1")


class World:
    """A store, a clock and passes over one scope."""

    def __init__(self) -> None:
        self.store, self.now, self.queued = Store(), START, list[Key]()
        self.looked: list[tuple[list[str], list[str]]] = []
        self.announce = build_announcer(self.store, self.queued.append, "bokgu-system")
        nothing = cast(Any, None)
        self.context = Context(
            kube=nothing,
            aws=cast(Any, UnaskedAws()),
            history=nothing,
            objects=self.store,
            settings=Settings(),
            cluster_id="cluster",
            clock=lambda: self.now,
            announce=self.announce,
            enqueue=self.queued.append,
            started_at=START,
        )

    def put(self, body: Raw) -> None:
        if self.store.put(plural(body), body):
            self.announce(plural(body), body, False)

    def remove(self, body: Raw) -> None:
        if self.store.remove(plural(body), body):
            self.announce(plural(body), body, False)

    def look(self) -> timedelta | None:
        return asyncio.run(scope.reconcile(self.context, HERE))


def plural(body: Raw) -> str:
    return "detectors" if body["kind"] == "Detector" else "protectedservices"


def protected(uid: str = "u1", version: int = 1, **spec: Any) -> Raw:
    return {
        "kind": "ProtectedService",
        "metadata": {"name": "api", "namespace": "shop", "uid": uid, "resourceVersion": str(version), "generation": 1},
        "spec": {"region": "us-east-1", "ecs": {"cluster": "demo", "service": "api"}, **spec},
    }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    async def begin(_: Any, __: Any, ___: Any, services: list[Any], detectors: list[Any]) -> dict[Key, Any]:
        made.looked.append(([s.metadata.uid for s in services], [d.metadata.uid for d in detectors]))
        return {}

    async def pass_on(_: Any, __: Any, ___: Any, looks: Any) -> Any:
        return looks

    monkeypatch.setattr(scope, "begin_looks", begin)
    monkeypatch.setattr(scope, "measure", pass_on)
    monkeypatch.setattr(scope, "look_closer", pass_on)
    return made


def test_a_clock_that_is_set_back_stops_no_looks(world: World) -> None:
    world.put(protected())
    assert world.look() == timedelta(seconds=30)
    world.now -= timedelta(hours=1)
    assert world.look() == timedelta(seconds=30)
    assert len(world.looked) == 2


def test_an_object_that_was_created_again_is_looked_at_at_once(world: World) -> None:
    world.put(protected())
    world.look()
    world.remove(protected())
    world.put(protected("u2", 2))
    world.look()
    assert world.looked == [(["u1"], []), (["u2"], [])]


def test_a_look_that_failed_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError

    world.put(protected())
    with monkeypatch.context() as patch:
        patch.setattr(scope, "look_closer", fail)
        with pytest.raises(RuntimeError):
            world.look()
    world.look()
    assert world.looked == [(["u1"], [])] * 2


def cycles(metric: str) -> tuple[float, float]:
    """How many cycles were counted in this region, and the sum of what they came to."""
    labels = {"region": HERE[2]}
    count, total = (REGISTRY.get_sample_value(f"{metric}_{part}", labels) for part in ("count", "sum"))
    return count or 0.0, total or 0.0


def test_a_cycle_counts_its_calls_and_how_late_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def begin(context: Any, *_others: Any) -> dict[Key, Any]:
        for _ in range(3):
            context.aws.count()
        world.now += timedelta(seconds=2)
        return {}

    monkeypatch.setattr(scope, "begin_looks", begin)
    world.put(protected())
    calls, lag = cycles("bokgu_detection_cycle_calls"), cycles("bokgu_detection_lag_seconds")
    world.look()  # For the first time: due now, at 12:00:30, and done two seconds later.
    assert cycles("bokgu_detection_cycle_calls") == (calls[0] + 1, calls[1] + 3)
    assert cycles("bokgu_detection_lag_seconds") == (lag[0] + 1, lag[1] + 2)
    world.now = START + timedelta(seconds=35)  # Five seconds after the full minute at which it was due.
    world.look()
    assert cycles("bokgu_detection_cycle_calls") == (calls[0] + 2, calls[1] + 6)
    assert cycles("bokgu_detection_lag_seconds") == (lag[0] + 2, lag[1] + 9)
    world.look()  # Nothing is due.
    assert cycles("bokgu_detection_cycle_calls") == (calls[0] + 2, calls[1] + 6)


def test_memories_of_one_ecs_service_are_not_those_of_another(world: World) -> None:
    key = ("protectedservices", "shop", "api")
    world.context.remember(key, "arn:one")["running_tasks"] = {"critical": START}
    assert world.context.remember(key, "arn:one") == {"running_tasks": {"critical": START}}
    assert world.context.remember(key, "arn:two") == {}


def test_scopes_hear_of_new_specs_only_and_nothing_is_kept_of_what_has_gone(world: World) -> None:
    world.put(protected())
    world.put(protected(version=2) | {"status": {"summary": "2/2"}})
    assert world.queued.count(HERE) == 1
    specs = next(c.cell_contents for c in world.announce.__closure__ or () if isinstance(c.cell_contents, dict))
    world.remove(protected(version=2))
    assert specs == {}


def test_scopes_that_hang_keep_no_worker_from_recoveries(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        queue, hanging, made = Queue(), asyncio.Event(), list[Key]()

        async def hang(_: Any, __: Key) -> None:
            await hanging.wait()

        async def recover(_: Any, key: Key) -> None:
            made.append(key)

        monkeypatch.setitem(controller.PASSES, "scopes", hang)
        monkeypatch.setitem(controller.PASSES, "recoveryplans", recover)
        worker = asyncio.create_task(controller.work(World().context, queue))
        for number in range(50):
            queue.add(("scopes", "shop", f"us-east-1 role-{number}"))
        plan = ("recoveryplans", "shop", "plan")
        queue.add(plan)
        await asyncio.sleep(0.05)
        assert made == [plan]
        hanging.set()
        queue.close()
        await asyncio.wait_for(worker, 2)

    asyncio.run(scenario())


def metric(number: int, period: int = 60) -> Metric:
    return Metric("AWS/ECS", "CPUUtilization", (("ServiceName", str(number)),), "Average", period)


def test_a_metric_that_reaches_back_far_takes_no_others_with_it() -> None:
    day = metric(0, 24 * 3600)
    near = {metric(n): START - timedelta(minutes=20) for n in range(1, 601)}
    packs = list(pack_metrics({day: START - timedelta(days=100)} | near, START))
    assert sum(len(pack) for pack in packs) == 601
    assert [day] in packs
    assert all(len(pack) <= MAX_QUERIES for pack in packs)


def test_what_reaches_back_far_is_asked_apart_where_that_spares_others_many_datapoints() -> None:
    hours = [12, 1, 1, 1]
    apart = {metric(n): START - timedelta(hours=h) for n, h in enumerate(hours)}
    assert [len(pack) for pack in pack_metrics(apart, START)] == [1, 3]
    together = {metric(n): START - timedelta(hours=3 + h / 100) for n, h in enumerate(hours)}
    assert [len(pack) for pack in pack_metrics(together, START)] == [4]


def test_many_metrics_of_long_windows_fit_into_a_page() -> None:
    starts = {metric(n): START - timedelta(hours=10) for n in range(500)}
    packs = list(pack_metrics(starts, START))
    assert [600 * len(pack) <= MAX_DATAPOINTS for pack in packs] == [True] * 3


@pytest.mark.parametrize(("found", "whole"), [(0, False), (20, False), (2000, True)])
def test_log_pages_that_were_searched_in_vain_are_no_answer(found: int, whole: bool) -> None:
    class Logs:
        async def read(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"events": [{"timestamp": 1000}] * found, "nextToken": "more"}

    def count() -> Any:
        aws, pattern = cast(AwsClient, Logs()), LogMetric("group", "CORRUPT", 60)
        return asyncio.run(count_matches(aws, pattern, START, START, region="us-east-1", role_arn=None, bulk=True))

    if whole:
        assert count().points[0][1] == found * MAX_PAGES
    else:
        with pytest.raises(AwsError, match="metric filter"):
            count()


def test_what_ecs_said_goes_ahead_where_cloudwatch_takes_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[bool] = []

    class Looked:
        state, problem = "seen", None

        def __init__(self, measured: bool) -> None:
            self.measured = measured

    async def begin(*_: Any) -> dict[Key, Any]:
        return {("protectedservices", "shop", "api"): Looked(False)}

    async def take_long(*_: Any) -> dict[Key, Any]:
        await asyncio.sleep(0.2)
        return {("protectedservices", "shop", "api"): Looked(True)}

    async def look_closer(*_: Any) -> dict[Key, Any]:
        return {}

    def note(context: Context) -> Callable[[Key], None]:
        return lambda key: handed.append(context.looks[key].measured)

    world.put(protected())
    world.context.enqueue = note(world.context)
    monkeypatch.setattr(scope, "begin_looks", begin)
    monkeypatch.setattr(scope, "measure", take_long)
    monkeypatch.setattr(scope, "look_closer", look_closer)
    monkeypatch.setattr(scope, "PATIENCE", 0.05)
    world.look()
    assert handed == [False, True]


def errors_detector() -> Detector:
    query = {"name": "errors", "namespace": "AWS/ECS", "metricName": "Errors"}
    rule = {"type": "service_down", "thresholds": {"high": "1"}, "treatMissingData": "notBreaching"}
    spec = {
        "serviceRef": {"name": "api"},
        "queries": [query],
        "conditions": [{"name": "errors", "query": "errors", **rule}],
    }
    return Detector.model_validate({"metadata": {"name": "errors", "namespace": "shop"}, "spec": spec})


@pytest.mark.parametrize(
    ("opened_at", "phase", "since"),
    [(30, "Detected", 120), (30, "Resolved", 0), (-30, "Detected", 0)],
    ids=["never-heard", "over", "heard"],
)
def test_s10_the_incident_of_an_operator_that_died_hears_that_it_is_over(
    world: World, opened_at: int, phase: str, since: int
) -> None:
    watched = errors_detector()
    world.store.put(
        "incidents",
        {
            "metadata": {"name": "down", "namespace": "shop", "uid": "i1", "resourceVersion": "1"},
            "spec": {
                "type": "service_down",
                "severity": "high",
                "serviceRef": {"name": "api"},
                "detectedAt": (START + timedelta(seconds=opened_at)).isoformat(),
                "source": {"kind": "Detector", "name": "errors", "condition": "errors"},
            },
            "status": {"phase": phase},
        },
    )
    old = Detection(condition="errors", state=DetectionState.CLEAR, since=START)
    look = Look(START + timedelta(minutes=2), 1, watch_of(watched), series={"errors": Series((), 60)}, measured=True)
    (found,) = asyncio.run(judge_metrics(world.context, watched.key, look, [old], resource="api"))
    assert (found.state, found.since) == (DetectionState.CLEAR, START + timedelta(seconds=since))


def test_s5_a_look_that_was_overtaken_opens_no_incident(world: World) -> None:
    """Another operator, whose clock is ahead, has seen that all is well: an incident that began before that would be
    over at once, and the next look would open one again."""
    at, watched = START + timedelta(minutes=2), errors_detector()
    full = START.replace(second=0)
    series = {"errors": Series(tuple((full + timedelta(minutes=n), 5.0) for n in range(-3, 2)), 60)}
    look = Look(at, 1, watch_of(watched), series=series, measured=True)
    later = Detection(condition="errors", state=DetectionState.CLEAR, since=at + timedelta(seconds=30))
    assert asyncio.run(judge_metrics(world.context, watched.key, look, [later], resource="api")) == (later,)
    before = later.model_copy(update={"since": at - timedelta(seconds=30)})
    with pytest.raises(AttributeError):  # There is no API server here to open one at.
        asyncio.run(judge_metrics(world.context, watched.key, look, [before], resource="api"))


@pytest.mark.parametrize(("periods", "most"), [((60,), 60), ((60, 300), 300), ((300, 420), 2100), ((1,), 1)])
def test_a_call_begins_where_a_period_of_every_metric_does(periods: tuple[int, ...], most: int) -> None:
    begun = START + timedelta(minutes=7, seconds=13)
    aligned = align_start(begun, [metric(number, period) for number, period in enumerate(periods)])
    assert begun - timedelta(seconds=most) < aligned <= begun
    assert all(aligned.timestamp() % period == 0 for period in periods)


class Asked:
    """An AWS that notes what it is asked, and answers page by page."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.requests: list[dict[str, Any]] = []
        self._pages = iter(pages)

    async def read(self, _service: str, _operation: str, arguments: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.requests.append(dict(arguments))
        return next(self._pages)


def test_cloudwatch_is_asked_from_where_a_period_begins() -> None:
    asked, end = Asked({"MetricDataResults": []}), START + timedelta(minutes=47)
    starts = {metric(1, 300): START + timedelta(minutes=7, seconds=13)}
    call = fetch_metrics(cast(AwsClient, asked), starts, end, region="us-east-1", role_arn=None, bulk=False)
    asyncio.run(call)
    (request,) = asked.requests
    assert request["StartTime"].timestamp() % 300 == 0


def test_all_stopped_tasks_are_read() -> None:
    names = [f"task-{number:03d}" for number in range(250)]
    stopped = {name: {"taskArn": name, "stoppedAt": START} for name in names}
    lists = [{"taskArns": names[i : i + 100], "nextToken": "more"} for i in (0, 100)]
    described = [{"tasks": [stopped[name] for name in names[i : i + 100]]} for i in (0, 100, 200)]
    asked = Asked(*lists, {"taskArns": names[200:]}, *described)
    target = Target(region="us-east-1", cluster="shop", service="api")
    found = asyncio.run(fetch_stopped_tasks(cast(AwsClient, asked), target))
    assert {task.arn for task in found} == set(names)
