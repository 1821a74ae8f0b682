"""Compact records in ConfigMaps: what fits, what makes room, and who writes first."""

import asyncio
from typing import Any, cast

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from bokgu.api.history import HistoryError, IncidentRecord, Question
from bokgu.api.vocabulary import IncidentType, RootCause
from bokgu.core.history import find_similar
from bokgu.history import cluster
from bokgu.history.cluster import MAX_RECORDS, SHARDS, ClusterHistory, config_map_name, insert_record, shard_of
from bokgu.history.importing import ImportReport, import_tables
from bokgu.kube.client import KubeError, Raw
from tests.unit.facts import incident
from tests.unit.history_facts import plan_record, record, records

QUESTION = Question("shop", "production", "api", IncidentType.HIGH_ERROR_RATE)


def ids(data: dict[str, str], service: str = "api") -> list[str]:
    return [r.id for r in cluster._read_all({service: data.get(service, "")})]


def test_records_are_one_line_each_the_newest_first() -> None:
    data = insert_record(insert_record({}, record("old", ago=900)), record("new", ago=1))
    assert list(data) == ["api"]
    assert ids(data) == ["new", "old"]
    assert insert_record(data, record("old", ago=900)) == data


def test_the_oldest_of_a_service_makes_room() -> None:
    data: dict[str, str] = {}
    for number in range(MAX_RECORDS + 5):
        data = insert_record(data, record(f"i{number}", ago=10_000 - number))
    assert len(ids(data)) == MAX_RECORDS
    assert "i0" not in ids(data)
    assert ids(data)[0] == f"i{MAX_RECORDS + 4}"


def test_the_oldest_of_all_services_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "MAX_BYTES", 3_000)
    data: dict[str, str] = {}
    for number in range(12):
        data = insert_record(data, record(f"i{number}", ago=10_000 - number, service=("api", "web")[number % 2]))
    assert cluster._size(data) <= 3_000
    kept = {*ids(data, "api"), *ids(data, "web")}
    assert kept == {f"i{number}" for number in range(12 - len(kept), 12)}


def test_what_cannot_be_read_is_left_out() -> None:
    data = {"api": "no json\n{}\n" + insert_record({}, record("good"))["api"]}
    assert ids(data) == ["good"]
    assert ids(insert_record(data, record("next", ago=1))) == ["next", "good"]


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\n", "\r", "\x0b", "\x1e"])
def test_texts_with_line_ends_in_them_are_one_line(end: str) -> None:
    data = insert_record({}, record("a", description=f"disk{end}full", environment=f"disk{end}full"))
    assert len(data["api"].splitlines()) == 1
    data = insert_record(data, record("b", ago=1))
    texts = {r.id: (r.description, r.environment) for r in cluster._read_all(data)}
    assert texts["a"] == ("disk full", f"disk{end}full")


def test_line_ends_that_others_wrote_break_no_record() -> None:
    raw = insert_record({}, record("a", description="disk-full"))["api"].replace("disk-full", "disk\u2028full")
    assert ids(insert_record({"api": raw}, record("b", ago=1))) == ["b", "a"]


def test_lines_that_cannot_be_read_stay_until_they_are_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = '{"v":2,"what":"a later version\'s"}'
    data = insert_record({"api": f"no json\n{strange}"}, record("a"))
    assert data["api"].split("\n")[1:] == [strange, "no json"]
    for number in range(MAX_RECORDS):
        data = insert_record(data, record(f"i{number}", ago=number))
    assert len(data["api"].split("\n")) == MAX_RECORDS
    assert strange not in data["api"]


@pytest.mark.parametrize(
    "field",
    [
        '"detectedAt":"0001-01-01T00:00:00"',
        '"detectedAt":"9999-12-31T23:59:59-10:00"',
        '"detectedAt":"2026-01-01T00:00:00"',
        '"resolutionMinutes":"99999999999999999999999999999999"',
        '"resolutionMinutes":"-5"',
    ],
)
def test_what_people_wrote_into_a_record_does_no_harm(field: str) -> None:
    line = insert_record({}, record("a"))["api"]
    data = {"api": f"{line[:-1]},{field}}}"}
    found = find_similar(incident(), RootCause.TRAFFIC_SURGE, (), cluster._read_all(data))
    assert found.count <= 1
    assert "b" in ids(insert_record(data, record("b")))


def test_junk_is_read_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    read = cluster._read_line

    def counted(line: str) -> IncidentRecord | None:
        nonlocal looked
        looked += 1
        return read(line)

    monkeypatch.setattr(cluster, "_read_line", counted)
    with structlog.testing.capture_logs() as told:
        assert cluster._read_all({f"s{n}": "x\n" * 1000 for n in range(100)}) == ()
    assert looked == cluster.MAX_LINES
    assert len(told) == 1
    data = insert_record({"other": "x\n" * 300_000}, record("a"))
    assert ids(data) == ["a"]
    assert cluster._size(data) <= cluster.MAX_BYTES


def test_an_import_keeps_what_is_there() -> None:
    data = insert_record({}, record("a", signature=("pool",)))
    assert insert_record(data, record("a", outcome="else"), keep=True) == data
    assert ids(insert_record(data, record("b", ago=1), keep=True)) == ["b", "a"]


def test_a_record_is_compact() -> None:
    long = record("a", *(plan_record() for _ in range(16)), description="x" * 2048, affected_resources=("arn",) * 32)
    assert len(insert_record({}, long)["api"]) < 10_000


def test_a_full_config_map_is_well_below_what_the_api_server_takes() -> None:
    plans = tuple(plan_record(id=f"{i}") for i in range(16))
    data: dict[str, str] = {}
    for service in range(6):
        for number in range(MAX_RECORDS):
            data = insert_record(data, record(f"i{number}", *plans, ago=number, service=f"s{service}"))
    assert cluster._size(data) <= cluster.MAX_BYTES < 700_000


@settings(max_examples=30)
@given(st.lists(records(), max_size=8, unique_by=lambda r: r.id))
def test_the_order_of_storing_plays_no_part(past: list[IncidentRecord]) -> None:
    forth: dict[str, str] = {}
    back: dict[str, str] = {}
    for one in past:
        forth = insert_record(forth, one)
    for one in reversed(past):
        back = insert_record(back, one)
    assert forth == back
    assert {r.id for r in cluster._read_all(forth)} == {r.id for r in past}


class Kube:
    """ConfigMaps by name, as the API server keeps them; `rivals` write just before the next writes arrive."""

    def __init__(self) -> None:
        self.bodies: dict[str, Raw] = {}
        self.rivals: list[IncidentRecord] = []
        self.reads = self.writes = 0
        self.away = False

    async def get_config_map(self, namespace: str, name: str) -> Raw | None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise KubeError(0, "Unreachable", "nobody answers")
        return self.bodies.get(name)

    async def put_config_map(self, body: Raw) -> Raw:
        await asyncio.sleep(0)
        name = body["metadata"]["name"]
        if self.rivals:
            rival, found = self.rivals.pop(), self.bodies.get(name) or {"metadata": {"name": name}}
            self._keep({**found, "data": insert_record(found.get("data") or {}, rival)})
        old = self.bodies.get(name)
        version = body["metadata"].get("resourceVersion")
        if old is not None and version != old["metadata"]["resourceVersion"]:
            raise KubeError(409, "AlreadyExists" if version is None else "Conflict", "somebody was faster")
        self._keep(body)
        return self.bodies[name]

    def _keep(self, body: Raw) -> None:
        self.writes += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.writes)}
        self.bodies[metadata["name"]] = {**body, "metadata": metadata}


def open_history(kube: Kube) -> ClusterHistory:
    return ClusterHistory(cast(Any, kube))


async def stored_ids(kube: Kube) -> set[str]:
    return {r.id for r in await open_history(kube).find(QUESTION)}


def test_nobody_elses_record_is_lost() -> None:
    async def run() -> None:
        kube = Kube()
        kube.rivals = [record("rival-2"), record("rival-1")]
        await open_history(kube).store(record("mine"))
        assert await stored_ids(kube) == {"mine", "rival-1", "rival-2"}

    asyncio.run(run())


def test_many_at_once_are_all_stored() -> None:
    async def run() -> None:
        kube = Kube()
        history = open_history(kube)
        await asyncio.gather(*(history.store(record(f"i{n}", ago=n)) for n in range(20)))
        assert await stored_ids(kube) == {f"i{n}" for n in range(20)}

    asyncio.run(run())


def test_records_that_wait_for_a_config_map_are_stored_with_one_write() -> None:
    async def run() -> None:
        kube = Kube()
        history = open_history(kube)
        await asyncio.gather(*(history.store(record(f"i{n}", ago=n)) for n in range(40)))
        assert kube.writes == 1
        assert len(await stored_ids(kube)) == 40

    asyncio.run(run())


def test_each_that_waits_learns_what_became_of_it() -> None:
    async def run() -> None:
        kube = Kube()
        kube.away = True
        history = open_history(kube)
        told = await asyncio.gather(*(history.store(record(f"i{n}")) for n in range(5)), return_exceptions=True)
        assert [str(error) for error in told] == ["Unreachable: Unreachable: nobody answers"] * 5
        assert kube.reads == 1
        kube.away = False
        await history.store(record("later"))
        assert await stored_ids(kube) == {"later"}

    asyncio.run(run())


def test_one_that_gives_up_takes_no_others_with_it() -> None:
    async def run() -> None:
        kube = Kube()
        history = open_history(kube)
        first, *others = [asyncio.create_task(history.store(record(f"i{n}"))) for n in range(4)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
        assert await stored_ids(kube) >= {"i1", "i2", "i3"}

    asyncio.run(run())


@pytest.mark.parametrize("service", ["check out/api", "서비스", "x" * 299, "..", "..a", ""])
def test_a_service_that_is_no_key_of_a_config_map_is_refused(service: str) -> None:
    async def run() -> None:
        with pytest.raises(HistoryError, match="BadRecord"):
            await open_history(Kube()).store(record("a", service=service))

    asyncio.run(run())


def test_an_import_goes_on_after_a_record_that_cannot_be_kept() -> None:
    async def run() -> None:
        kube = Kube()
        past = [record("a"), record("b", service="check out"), record("c")]
        report = await import_tables(open_history(kube), past, ImportReport(3, 0, ()), print, at_once=3)
        assert (report.stored, [bad.id for bad in report.bad]) == (2, ["b"])
        assert await stored_ids(kube) == {"a", "c"}

    asyncio.run(run())


def test_an_import_does_not_replace_what_the_operator_stored() -> None:
    async def run() -> None:
        kube = Kube()
        await open_history(kube).store(record("a", signature=("pool",)))
        await import_tables(open_history(kube), [record("a")], ImportReport(1, 0, ()), print)
        (found,) = await open_history(kube).find(QUESTION)
        assert found.signature == ("pool",)

    asyncio.run(run())


def test_storing_again_writes_nothing() -> None:
    async def run() -> None:
        kube = Kube()
        await open_history(kube).store(record("a"))
        await open_history(kube).store(record("a"))
        assert kube.writes == 1

    asyncio.run(run())


def test_an_endless_race_is_given_up_and_told() -> None:
    async def run() -> None:
        kube = Kube()
        kube.rivals = [record(f"rival-{n}") for n in range(99)]
        with pytest.raises(HistoryError, match="Conflict"):
            await open_history(kube).store(record("mine"))

    asyncio.run(run())


def test_reads_come_from_memory_and_know_what_was_just_stored() -> None:
    async def run() -> None:
        kube = Kube()
        history = open_history(kube)
        assert await history.find(QUESTION) == ()
        assert await history.find(QUESTION) == ()
        assert kube.reads == SHARDS
        await history.store(record("a"))
        assert [r.id for r in await history.find(QUESTION)] == ["a"]
        assert kube.reads == SHARDS + 1

    asyncio.run(run())


def test_one_incident_is_looked_up_by_its_name_or_id_the_newest_of_that_name() -> None:
    async def run() -> None:
        kube = Kube()
        for one in (record("2", name="api-x", ago=900), record("1", name="api-x", service="web", ago=5), record("3")):
            await open_history(kube).store(one)
        history = open_history(kube)
        found = [await history.look_up("shop", "production", name) for name in ("api-x", "2", "3", "none")]
        assert [one and one.id for one in found] == ["1", "2", "3", None]

    asyncio.run(run())


def test_an_api_server_that_is_away_is_told() -> None:
    async def run() -> None:
        kube = Kube()
        kube.away = True
        with pytest.raises(HistoryError, match="Unreachable"):
            await open_history(kube).store(record("a"))
        with pytest.raises(HistoryError, match="Unreachable"):
            await open_history(kube).find(QUESTION)
        with pytest.raises(HistoryError, match="Unreachable"):
            await open_history(kube).look_up("shop", "production", "a")

    asyncio.run(run())


@pytest.mark.parametrize("manifest", ["account", "approver-roles", "viewer-role"])
def test_rights_name_the_config_maps(manifest: str) -> None:
    """Those of the operator, and of people who read reports."""
    root = (cluster.__file__ or "").partition("/operator/")[0]
    with open(f"{root}/deploy/{manifest}.yaml") as file:
        text = file.read()
    assert all(f"- {config_map_name(number)}\n" in text for number in range(SHARDS))
    assert config_map_name(SHARDS) not in text
    assert {shard_of(f"s{n}") for n in range(200)} == set(range(SHARDS))
