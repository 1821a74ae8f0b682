"""Passes over incidents that are over: what is stored, when, and that a history in trouble troubles nobody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from bokgu.api.fields import ApiModel
from bokgu.api.history import HistoryError, IncidentRecord, Question
from bokgu.api.incident import Incident, SimilarIncidents
from bokgu.api.vocabulary import IncidentType, RootCause
from bokgu.config import Settings
from bokgu.core.history import build_record
from bokgu.history.patience import PatientHistory
from bokgu.kube.client import KubeError
from bokgu.reconcile import history
from bokgu.reconcile.context import Context
from bokgu.reconcile.history import Experience, fetch_experience, fetch_past, fetch_similar
from bokgu.runtime import controller, run
from bokgu.runtime.handlers import build_announcer
from bokgu.runtime.queue import Key, Queue
from bokgu.runtime.store import Raw, Store
from tests.unit import facts
from tests.unit.facts import NOW
from tests.unit.history_facts import finished_plan, record, resolved
from tests.unit.unasked_aws import UnaskedAws

OVER: Key = ("incidents", "shop", "incident-1")
DAY = timedelta(days=1)
SEEN = NOW - timedelta(minutes=20)
"""When the incident's trouble was seen."""


def raw_of(model: ApiModel) -> Raw:
    return model.to_dict()


def over(name: str = "incident-1", version: int = 1, service: str = "api", **meta: Any) -> Raw:
    raw = raw_of(resolved())
    metadata = {**raw["metadata"], "name": name, "uid": f"uid-{name}", "resourceVersion": str(version), **meta}
    metadata["managedFields"] = [{"manager": "bokgu", "operation": "Update"}]
    return {**raw, "metadata": metadata, "spec": {**raw["spec"], "serviceRef": {"name": service}}}


def corrupted(version: int = 1, **status: Any) -> Raw:
    raw = over(version=version)
    known = {k: v for k, v in raw["status"].items() if k != "resolvedAt"}
    spec = {**raw["spec"], "type": "data_corruption"}
    return {**raw, "spec": spec, "status": {**known, "phase": "Escalated", "plans": [], **status}}


class Kept:
    """A history that stores and finds, or does what is asked of it."""

    def __init__(self, *past: IncidentRecord) -> None:
        self.past, self.stored, self.asked = past, list[IncidentRecord](), 0
        self.problem: Exception | None = None
        self.delay = 0.0

    async def _answer(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.delay)
        if self.problem:
            raise self.problem

    async def store(self, record: IncidentRecord, *, keep: bool = False) -> None:
        await self._answer()
        self.stored.append(record)

    async def find(self, question: Question) -> tuple[IncidentRecord, ...]:
        await self._answer()
        return self.past


class Kube:
    """Objects by key, as the API server has them."""

    clock_ahead = timedelta()

    def __init__(self, *bodies: tuple[str, Raw]) -> None:
        self.bodies = {(plural, "shop", body["metadata"]["name"]): body for plural, body in bodies}
        self.calls: list[str] = []
        self.version = 1000

    async def get(self, plural: str, namespace: str, name: str) -> Raw | None:
        self.calls.append(f"GET {plural}")
        return self.bodies.get((plural, namespace, name))

    async def list_pages(self, plural: str) -> AsyncIterator[Raw]:
        await asyncio.sleep(0.01)
        items = [body for key, body in self.bodies.items() if key[0] == plural]
        yield {"metadata": {"resourceVersion": str(self.version)}, "items": items}

    async def replace_status(self, plural: str, body: Raw, status: Raw) -> Raw:
        self.calls.append("PUT status")
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        answer = {**body, "metadata": metadata, "status": status}
        self.bodies[plural, "shop", metadata["name"]] = answer
        return answer

    async def delete(self, plural: str, body: Raw) -> None:
        self.calls.append("DELETE")
        key = (plural, "shop", body["metadata"]["name"])
        if self.bodies[key]["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", "it has changed")
        del self.bodies[key]

    async def admission_policy(self, name: str) -> tuple[None, None]:
        return None, None

    async def cluster_id(self) -> str:
        return "cluster"


class World:
    """A store that knows some of what the API server has, and the queues over it."""

    def __init__(self, kept: Kept | PatientHistory, *bodies: tuple[str, Raw], known: tuple[str, ...] = ()) -> None:
        self.store, self.now, self.kube = Store(), NOW, Kube(*bodies)
        self.queues = {p: Queue(patient=p == history.PLURAL) for p in controller.PASSES}
        self.announce = build_announcer(self.store, self.enqueue, "bokgu-system")
        self.context = Context(
            kube=cast(Any, self.kube),
            aws=cast(Any, UnaskedAws()),
            history=kept,
            objects=self.store,
            settings=Settings(),
            cluster_id="cluster",
            clock=lambda: self.now,
            announce=self.announce,
            enqueue=self.enqueue,
            started_at=NOW,
        )
        for plural, body in bodies:
            if plural in known:
                self.store.put(plural, body)

    def enqueue(self, key: Key) -> None:
        self.queues[key[0]].add(key)

    def put(self, plural: str, body: Raw) -> None:
        self.kube.bodies[plural, "shop", body["metadata"]["name"]] = body
        self.store.put(plural, body)

    def incident(self) -> Incident:
        return self.context.parse(Incident, self.store.get(OVER) or {})

    def recorded(self) -> tuple[str, str]:
        (found,) = [c for c in self.incident().status.conditions if c.type == "Recorded"]
        return str(found.status), found.reason

    async def work(self, seconds: float, *plurals: str, workers: int = 8) -> None:
        """Passes for that long."""
        tasks = [
            asyncio.create_task(controller.work(self.context, self.queues[plural]))
            for plural in plurals
            for _ in range(workers)
        ]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> timedelta | None:
        return await history.reconcile(self.context, history.history_key(OVER))


def incidents(*bodies: Raw) -> list[tuple[str, Raw]]:
    return [("incidents", body) for body in bodies]


PLAN = ("recoveryplans", raw_of(finished_plan()))
STAGING = ("protectedservices", raw_of(facts.protected_service(environment="staging")))


# What the store lacks is not gone


def test_a_plan_and_a_service_that_the_store_lacks_are_asked_for() -> None:
    kept = Kept()
    world = World(kept, *incidents(over()), PLAN, STAGING, known=("incidents",))
    asyncio.run(world.look())
    (stored,) = kept.stored
    assert (stored.environment, stored.plans[0].runbook, len(stored.plans[0].steps)) == ("staging", "traffic-surge", 2)


def test_nothing_is_stored_while_a_plan_runs_that_the_store_lacks() -> None:
    kept = Kept()
    running = raw_of(finished_plan("RollingBack"))
    world = World(kept, *incidents(over()), ("recoveryplans", running), STAGING, known=("incidents",))
    asyncio.run(world.look())
    assert kept.stored == []
    assert "PUT status" not in world.kube.calls


@pytest.mark.parametrize(
    ("known", "created", "stored"),
    [
        ({}, NOW, False),
        ({"service": "web"}, NOW, True),
        ({"name": "another-one"}, NOW, True),
        ({"type": IncidentType.SERVICE_DOWN}, NOW, True),
        ({"detected_at": SEEN - timedelta(seconds=1)}, NOW, True),
        ({"resolved_at": None}, NOW, True),
        ({}, SEEN + timedelta(minutes=9), True),
    ],
    ids=[
        "restored",
        "another service",
        "another name",
        "another type",
        "another moment",
        "not over",
        "created when it was seen",
    ],
)
def test_an_incident_that_was_restored_is_not_recorded_a_second_time(
    known: dict[str, Any], created: datetime, *, stored: bool
) -> None:
    """The history knows it under the uid that it had."""
    kept = Kept(record("the uid it had", **{"name": "incident-1", "detected_at": SEEN, **known}))
    raw = over(creationTimestamp=created.isoformat().replace("+00:00", "Z"))
    world = World(kept, *incidents(raw), PLAN, STAGING, known=("incidents",))
    asyncio.run(world.look())
    assert bool(kept.stored) is stored
    assert world.recorded() == ("True", "Stored")
    (said,) = [c.message for c in world.incident().status.conditions if c.type == "Recorded"]
    assert ("stands in the history as the uid it had" in said) is not stored


def test_the_environment_is_that_of_the_classification_whatever_became_of_the_service() -> None:
    kept = Kept()
    raw = over()
    raw["status"]["classification"]["environment"] = "qa"
    asyncio.run(World(kept, *incidents(raw), PLAN, STAGING, known=("incidents", "protectedservices")).look())
    asyncio.run(World(kept, *incidents(raw), PLAN, known=("incidents",)).look())
    assert [stored.environment for stored in kept.stored] == ["qa", "qa"]


def test_no_pass_is_made_before_everything_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    world = World(kept, *incidents(over()), PLAN, STAGING)

    @contextlib.asynccontextmanager
    async def no_doors(_: Context) -> AsyncIterator[None]:
        yield

    @contextlib.asynccontextmanager
    async def informed(process: run.Process, _: Any) -> AsyncIterator[None]:
        asyncio.get_running_loop().call_later(0.3, process.stopping.set)
        yield

    monkeypatch.setattr(run, "open_history", lambda *_: kept)
    monkeypatch.setattr(run, "open_doors", no_doors)
    monkeypatch.setattr(run, "_informed", informed)
    unasked = cast(Any, UnaskedAws())

    async def serve() -> None:
        await run._serve(run.Process(Settings(lease_name=None), cast(Any, world.kube), unasked))

    asyncio.run(serve())
    (stored,) = kept.stored
    assert (stored.environment, stored.plans[0].runbook) == ("staging", "traffic-surge")
    assert not [call for call in world.kube.calls if call.startswith("GET")]


# A history in trouble


def test_a_slow_history_keeps_no_incident_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    kept.delay = 30
    bodies = [over(f"i{n}", version=n + 1) for n in range(50)]
    world = World(kept, *incidents(*bodies), known=("incidents",))
    for body in bodies:
        world.enqueue(("incidents", "shop", body["metadata"]["name"]))
    world.enqueue(("incidents", "shop", "new"))
    made, reconcile = list[Key](), controller.PASSES["incidents"]

    async def counted(context: Context, key: Key) -> timedelta | None:
        made.append(key)
        return await reconcile(context, key)

    monkeypatch.setitem(controller.PASSES, "incidents", counted)
    asyncio.run(world.work(0.3, "incidents", history.PLURAL))
    assert ("incidents", "shop", "new") in made
    assert kept.asked == 8


def test_a_history_that_refuses_is_asked_later_each_time_whatever_its_neighbours_do() -> None:
    kept = Kept()
    kept.problem = HistoryError("Throttled", "slow down")
    bodies = [over(f"i{n}", version=n + 1) for n in range(20)]
    world = World(kept, *incidents(*bodies), known=("incidents",))
    for body in bodies:
        world.enqueue(("incidents", "shop", body["metadata"]["name"]))
    asyncio.run(world.work(1.0, "incidents", history.PLURAL))
    # 0, 0.1 to 0.2, and 0.3 to 0.6 seconds: each at most four times; and each says once what keeps it.
    assert 40 <= kept.asked <= 80
    assert world.kube.calls.count("PUT status") == 20


def test_incidents_that_are_over_are_not_woken_by_their_neighbours() -> None:
    queued: list[Key] = []
    store = Store()
    announce = build_announcer(store, queued.append, "bokgu-system")
    still_open = over("open")
    still_open["status"]["phase"] = "Recovering"
    for body in (over("a"), over("b"), still_open):
        store.put("incidents", body)
    for plural, body in (*incidents(over("a", version=2)), STAGING):
        announce(plural, body, False)
    assert [key for key in queued if key[0] == "incidents"] == [
        ("incidents", "shop", "a"),
        ("incidents", "shop", "open"),
        ("incidents", "shop", "open"),
    ]


def test_what_keeps_an_incident_from_being_recorded_is_told_and_tried_again() -> None:
    async def scenario() -> None:
        kept = Kept()
        kept.problem = HistoryError("Throttled", "slow down")
        world = World(kept, *incidents(over()), PLAN, known=("incidents", "recoveryplans"))
        with pytest.raises(HistoryError):
            await world.look()
        assert world.recorded() == ("False", "Throttled")
        kept.problem = None
        assert await world.look() == timedelta()
        assert world.recorded() == ("True", "Stored")

    asyncio.run(scenario())


@pytest.mark.parametrize("problem", [ValueError("year 0"), OverflowError("date"), HistoryError("Throttled", "")])
def test_no_defect_of_the_past_stops_the_present(problem: Exception) -> None:
    async def scenario() -> None:
        kept = Kept()
        kept.problem = problem
        world = World(kept, *incidents(over(), over("other", 2)), known=("incidents",))
        found = await fetch_similar(world.context, world.incident(), RootCause.TRAFFIC_SURGE, ())
        assert found.names == ("other",)
        assert await fetch_experience(world.context, world.incident(), RootCause.TRAFFIC_SURGE) == Experience({}, {})

    asyncio.run(scenario())


def test_a_past_that_cannot_be_compared_is_no_past(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OverflowError("date value out of range")

    monkeypatch.setattr(history, "find_similar", fail)
    monkeypatch.setattr(history, "track_records", fail)
    world = World(Kept(record()), *incidents(over()), known=("incidents",))

    async def scenario() -> None:
        found = await fetch_similar(world.context, world.incident(), RootCause.TRAFFIC_SURGE, ())
        assert found == SimilarIncidents(count=0)
        assert await fetch_experience(world.context, world.incident(), RootCause.TRAFFIC_SURGE) == Experience({}, {})

    asyncio.run(scenario())


# Deletion


def stored(version: int = 1) -> Raw:
    conditions = [
        {"type": "Recorded", "status": "True", "reason": "Stored", "lastTransitionTime": "2026-11-24T08:00:00Z"}
    ]
    raw = over(version=version)
    return {**raw, "status": {**raw["status"], "conditions": conditions}}


def test_a_deletion_that_lost_a_race_is_made_again_from_a_fresh_read() -> None:
    async def scenario() -> None:
        world = World(Kept(), *incidents(stored(7)), PLAN, known=("recoveryplans",))
        world.store.put("incidents", stored(5))
        world.now = NOW + 31 * DAY
        with pytest.raises(KubeError):
            await world.look()
        assert await world.look() is None
        assert not [key for key in world.kube.bodies if key[0] == "incidents"]

    asyncio.run(scenario())


def test_deletions_that_go_on_losing_races_do_not_run_hot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(self: Kube, plural: str, body: Raw) -> None:
        self.calls.append("DELETE")
        raise KubeError(409, "Conflict", "it has changed")

    monkeypatch.setattr(Kube, "delete", lost)
    world = World(Kept(), *incidents(stored()), PLAN, known=("incidents", "recoveryplans"))
    world.now = NOW + 31 * DAY
    world.enqueue(history.history_key(OVER))
    asyncio.run(world.work(0.5, history.PLURAL))
    assert 2 <= world.kube.calls.count("DELETE") <= 4


def test_an_incident_whose_plan_still_runs_is_not_deleted_though_the_store_lacks_it() -> None:
    running = raw_of(finished_plan("RollingBack"))
    world = World(Kept(), *incidents(stored()), ("recoveryplans", running), known=("incidents",))
    world.now = NOW + 31 * DAY
    assert asyncio.run(world.look()) is None
    assert "DELETE" not in world.kube.calls


# Corrupted data


def test_corrupted_data_is_recorded_while_open_and_again_when_there_is_more() -> None:
    async def scenario() -> None:
        kept = Kept()
        world = World(kept, *incidents(corrupted()), known=("incidents",))
        for _ in range(2):
            await world.look()
        assert (len(kept.stored), world.recorded()) == (1, ("True", "StoredOpen"))
        before = (world.store.get(OVER) or {})["status"]
        entry = raw_of(resolved())["status"]["plans"][0]
        world.put("recoveryplans", PLAN[1])
        world.kube.version = 6000
        world.put("incidents", corrupted(5000, **{**before, "plans": [entry]}))
        for _ in range(2):
            await world.look()
        assert [len(r.plans) for r in kept.stored] == [0, 1]

    asyncio.run(scenario())


def test_corrupted_data_that_could_not_be_recorded_is_tried_again() -> None:
    async def scenario() -> None:
        kept = Kept()
        kept.problem = HistoryError("Unreachable", "nobody")
        world = World(kept, *incidents(corrupted()), known=("incidents",))
        world.enqueue(history.history_key(OVER))
        working = asyncio.create_task(world.work(1.5, history.PLURAL))
        await asyncio.sleep(0.2)
        assert world.recorded() == ("False", "Unreachable")
        kept.problem = None
        await working
        assert world.recorded() == ("True", "StoredOpen")

    asyncio.run(scenario())


# The cluster's own past


def test_records_of_the_clusters_own_past_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(incident: Incident, *rest: Any) -> IncidentRecord:
        made.append(incident.metadata.name)
        return build_record(incident, *rest)

    monkeypatch.setattr(history, "build_record", counted)

    async def scenario() -> None:
        world = World(Kept(), *incidents(over(), over("other", 2)), PLAN, known=("incidents", "recoveryplans"))
        for _ in range(3):
            assert [r.name for r in await fetch_past(world.context, world.incident())] == ["other"]
        assert made.count("other") == 1
        world.put("incidents", over("other", 3))
        await fetch_past(world.context, world.incident())
        assert made.count("other") == 2
        world.context.forget(("incidents", "shop", "other"))
        assert ("incidents", "shop", "other") not in world.context.records

    asyncio.run(scenario())


def test_of_the_clusters_own_past_the_newest_of_the_service_or_type_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "MAX_OTHERS", 3)
    bodies = [over(f"i{n}", n + 2) for n in range(5)]
    for number, body in enumerate(bodies):
        body["status"]["resolvedAt"] = f"2026-11-1{number}T08:00:00Z"
    strange = over("strange", 90, service="web")
    strange["spec"]["type"] = "high_latency"
    strange["status"]["resolvedAt"] = "2026-11-24T09:00:00Z"
    world = World(Kept(), *incidents(over(), *bodies, strange), known=("incidents",))
    found = asyncio.run(fetch_past(world.context, world.incident()))
    assert {r.name for r in found} == {"i4", "i3"}  # And itself, the newest.


# Patience


def asked_with_patience(monkeypatch: pytest.MonkeyPatch, kept: Kept, *, shared: bool = True) -> PatientHistory:
    monkeypatch.setattr("bokgu.history.patience.FIND_PATIENCE", 0.02)
    monkeypatch.setattr("bokgu.history.patience.STORE_PATIENCE", 0.02)
    monkeypatch.setattr("bokgu.history.patience.AWAY", 0.2)
    return PatientHistory(kept, shared=shared)


def question(namespace: str = "shop", environment: str = "production") -> Question:
    return Question(namespace, environment, "api", resolved().spec.type)


@pytest.mark.parametrize("shared", [True, False])
def test_a_history_that_does_not_answer_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    async def scenario() -> None:
        kept = Kept()
        kept.delay = 5
        patient = asked_with_patience(monkeypatch, kept, shared=shared)
        for _ in range(3):
            with pytest.raises(HistoryError, match="Unreachable: the history did not answer within"):
                await patient.find(question())
        assert kept.asked == 1
        for _ in range(3):
            with pytest.raises(HistoryError, match="Unreachable"):
                await patient.store(record())
        assert kept.asked == 2
        with pytest.raises(HistoryError):
            await patient.find(question(namespace="other"))
        assert kept.asked == (2 if shared else 3)
        kept.delay = 0
        assert await patient.find(question(environment="staging")) == ()
        await asyncio.sleep(0.25)
        assert await patient.find(question()) == ()
        await patient.store(record())

    asyncio.run(scenario())


def test_a_history_that_refuses_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        kept = Kept()
        kept.problem = HistoryError("TableMissing", "run init")
        patient = asked_with_patience(monkeypatch, kept)
        for _ in range(3):
            with pytest.raises(HistoryError, match="TableMissing"):
                await patient.store(record())
        assert kept.asked == 3

    asyncio.run(scenario())
