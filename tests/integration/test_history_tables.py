"""The history in DynamoDB, through real boto3: on the simulator, or on a DynamoDB of the person's own.

`make test-fidelity` runs this file against the endpoint in BOKGU_TEST_DYNAMODB, such as a DynamoDB Local.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

import boto3
import pytest
from boto3.dynamodb.conditions import Key
from botocore.config import Config

from bokgu.api.history import ClassificationRecord, HistoryError, IncidentRecord, Outcome, Question
from bokgu.api.vocabulary import IncidentType, PlanPhase, Severity
from bokgu.core.history import build_record
from bokgu.core.track_record import TrackRecord, track_records
from bokgu.history.dynamodb import NEWEST, TableHistory
from bokgu.history.setup import TTL_ATTRIBUTE, TableReport, create_tables, read_ttl
from bokgu.history.tables import EXECUTIONS, INCIDENTS, Place, get_items, scan
from tests.aws_gateway import call
from tests.simulator.harness import Scene
from tests.simulator.server import SimulatorServer
from tests.unit.facts import INCIDENT_UID, NOW
from tests.unit.history_facts import finished_plan, plan_record, record, resolved

pytestmark = [pytest.mark.usefixtures("aws_credentials"), pytest.mark.timeout(180)]
ENDPOINT = os.environ.get("BOKGU_TEST_DYNAMODB")
FIDELITY = bool(os.environ.get("BOKGU_TEST_FIDELITY"))
LIFETIME = timedelta(days=365)
QUESTION = Question("shop", "production", "api", IncidentType.HIGH_ERROR_RATE)
RECORD = build_record(resolved(), [finished_plan()], "production")
T = TypeVar("T")
_prefixes = count(1)


@dataclass
class Tables:
    """Tables of a test's own. `scene` is None on somebody's own DynamoDB."""

    url: str
    scene: Scene | None
    prefix: str = field(default_factory=lambda: f"test{os.getpid()}n{next(_prefixes)}")
    told: list[str] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return Place(self.prefix, "production", "us-east-1")

    def run(self, work: Callable[[TableHistory], Awaitable[T]]) -> T:
        """Work with a history of a process of its own."""
        return call(
            self.url,
            lambda aws: work(TableHistory(aws, prefix=self.prefix, region="us-east-1", lifetime=LIFETIME)),
        )

    def create(self) -> list[TableReport]:
        return call(self.url, lambda aws: create_tables(aws, self.place, self.told.append, pause=0.05))

    def store(self, *records: IncidentRecord) -> None:
        async def store_all(history: TableHistory) -> None:
            for one in records:
                await history.store(one)

        self.run(store_all)

    def find(self, question: Question = QUESTION) -> tuple[IncidentRecord, ...]:
        return self.run(lambda history: history.find(question))

    def plain(self, kind: str = "resource") -> Any:
        """boto3 as anybody uses it."""
        # The operator's key: DynamoDB Local has a database for each.
        make = getattr(boto3.Session(aws_access_key_id="operator", aws_secret_access_key="simulated"), kind)
        return make(
            "dynamodb", region_name="us-east-1", endpoint_url=self.url, config=Config(retries={"mode": "standard"})
        )

    def items(self, name: str) -> list[dict[str, Any]]:
        """The items of a table as plain Python."""
        found: list[dict[str, Any]] = self.plain().Table(self.place.table(name)).scan()["Items"]
        return found


@pytest.fixture(scope="module")
def endpoint() -> Iterator[tuple[str, Scene | None]]:
    if FIDELITY and not ENDPOINT:
        pytest.skip("start a DynamoDB Local of your own and give its address in BOKGU_TEST_DYNAMODB")
    if ENDPOINT:
        yield ENDPOINT, None
        return
    with SimulatorServer(speed=600) as server:
        scene = Scene(server)
        yield server.url, scene
        scene.close()


@pytest.fixture
def missing(endpoint: tuple[str, Scene | None]) -> Iterator[Tables]:
    """Tables that are not there yet."""
    tables = Tables(*endpoint)
    yield tables
    client = tables.plain("client")
    for name in client.list_tables()["TableNames"]:
        if name.startswith(f"{tables.prefix}-"):
            client.delete_table(TableName=name)
    client.close()


@pytest.fixture
def tables(missing: Tables) -> Tables:
    missing.create()
    return missing


@pytest.fixture
def simulated(tables: Tables) -> Iterator[tuple[Tables, Scene]]:
    """Tables whose faults can be ordered."""
    if tables.scene is None:
        pytest.skip("faults can be ordered from the simulator only")
    yield tables, tables.scene
    tables.scene.control.clear_faults()


# Tables


def test_by_what_old_incidents_go_is_read(missing: Tables) -> None:
    def read() -> str | None:
        return call(missing.url, lambda aws: read_ttl(aws, missing.place))

    with pytest.raises(HistoryError) as caught:
        read()
    moto_says = "ResourceNotFound"  # DynamoDB: ResourceNotFoundException.
    assert caught.value.reason == ("TableMissing" if missing.scene is None else moto_says)
    missing.create()
    assert read() == TTL_ATTRIBUTE


def test_the_tables_are_as_others_expect_them(missing: Tables) -> None:
    reports = {report.table.removeprefix(f"{missing.prefix}-production-"): report.done for report in missing.create()}
    assert set(reports) == {"incidents", "incident-classifications", "recovery-executions"}
    assert all(done[0] == "created" for done in reports.values())
    assert reports["incidents"][-1] == "TTL turned on"
    client = missing.plain("client")
    incidents = client.describe_table(TableName=f"{missing.prefix}-production-incidents")["Table"]
    assert incidents["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    (index,) = incidents["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "TypeIndex"
    assert [(k["AttributeName"], k["KeyType"]) for k in index["KeySchema"]] == [
        ("type", "HASH"),
        ("timestamp", "RANGE"),
    ]
    ttl = client.describe_time_to_live(TableName=f"{missing.prefix}-production-incidents")["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "ttl")
    if missing.scene is not None:
        backups = client.describe_continuous_backups(TableName=f"{missing.prefix}-production-incidents")
        recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_making_them_again_changes_nothing(tables: Tables) -> None:
    assert [done for report in tables.create() for done in report.done if "not offered" not in done] == []


def test_a_table_of_another_shape_is_left_alone_and_told(missing: Tables) -> None:
    client = missing.plain("client")
    client.create_table(
        TableName=f"{missing.prefix}-production-incidents",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    with pytest.raises(HistoryError, match="TypeIndex"):
        missing.create()


# Items


def test_a_plain_client_reads_what_was_stored(tables: Tables) -> None:
    tables.store(RECORD)
    assert tables.items("incidents") == [
        {
            "id": INCIDENT_UID,
            "type": "high_error_rate",
            "timestamp": "2026-11-24T07:40:00Z",
            "severity": "high",
            "service": "api",
            "description": "Errors rose to 37 % of requests",
            "metrics": {"error_rate": Decimal("0.37")},
            "affectedResources": [],
            "environment": "production",
            "rootCause": "TrafficSurge",
            "resolvedAt": "2026-11-24T08:00:00Z",
            "resolutionMinutes": Decimal(15),
            "outcome": "Recovered",
            "ttl": Decimal(int((NOW + LIFETIME).timestamp())),
        }
    ]
    (classified,) = tables.items("incident-classifications")
    assert classified["requiredActions"] == {"manual"}
    assert (classified["priority"], classified["estimatedResolutionTime"]) == (2, 15)
    (execution,) = tables.items("recovery-executions")
    assert (execution["status"], execution["incidentId"]) == ("completed", INCIDENT_UID)
    assert [(s["order"], s["action"]) for s in execution["steps"]] == [(1, "health_check"), (2, "scale_out")]


def test_the_index_tells_the_newest_of_a_type_first(tables: Tables) -> None:
    tables.store(*(record(f"i{n:02}", ago=n) for n in range(12)), record("other", type=IncidentType.SERVICE_DOWN))
    answer = (
        tables.plain()
        .Table(tables.place.table(INCIDENTS))
        .query(
            IndexName="TypeIndex",
            KeyConditionExpression=Key("type").eq("high_error_rate"),
            ScanIndexForward=False,
            Limit=10,
        )
    )
    assert [item["id"] for item in answer["Items"]] == [f"i{n:02}" for n in range(10)]


def test_storing_again_changes_nothing(tables: Tables) -> None:
    tables.store(RECORD, RECORD, RECORD.model_copy(update={"description": "a late write of something else"}))
    assert [item["description"] for item in tables.items("incidents")] == [RECORD.description]
    assert len(tables.items("recovery-executions")) == 1


def test_what_was_not_over_is_completed(tables: Tables) -> None:
    open_ = RECORD.model_copy(update={"resolved_at": None, "resolution_minutes": None, "outcome": Outcome.ESCALATED})
    at_work = finished_plan("Verifying")
    begun = at_work.model_copy(update={"status": at_work.status.model_copy(update={"finished_at": None})})
    tables.store(build_record(resolved(), [begun], "production").model_copy(update={"resolved_at": None}))
    assert [item["status"] for item in tables.items("recovery-executions")] == ["in_progress"]
    tables.store(open_)
    tables.store(RECORD)
    (item,) = tables.items("incidents")
    assert (item["outcome"], item["resolvedAt"]) == ("Recovered", "2026-11-24T08:00:00Z")
    assert [item["status"] for item in tables.items("recovery-executions")] == ["completed"]


# Questions


def test_the_newest_of_the_type_and_those_of_the_service_are_found(tables: Tables) -> None:
    others = [record(f"web-{n:02}", service="web", ago=n) for n in range(20)]
    mine = record("api-old", plan_record(id="p1"), ago=5000)
    tables.store(*others, mine, record("other-type", type=IncidentType.SERVICE_DOWN))
    found = {r.id: r for r in tables.find()}
    assert set(found) == {"api-old", *(f"web-{n:02}" for n in range(NEWEST))}
    assert [p.outcome for p in found["api-old"].plans] == [PlanPhase.COMPLETED]


def test_one_incident_is_looked_up_by_its_id_with_all_that_belongs_to_it(tables: Tables) -> None:
    known = ClassificationRecord(category="Capacity", impact_level=Severity.HIGH, priority=2, estimate_minutes=15)
    tables.store(record("mine", plan_record(id="p1"), classification=known), record("other", plan_record(id="p2")))
    found = tables.run(lambda history: history.look_up("shop", "production", "mine"))
    assert found is not None
    assert (found.id, [p.id for p in found.plans]) == ("mine", ["p1"])
    assert found.classification is not None
    assert found.classification.priority == 2
    assert tables.run(lambda history: history.look_up("shop", "production", "none")) is None


def test_the_track_record_is_that_of_the_service(tables: Tables) -> None:
    failed = [record(f"f{n}", plan_record(PlanPhase.FAILED), outcome=Outcome.CLEARED) for n in range(5)]
    tables.store(*failed, record("good", plan_record()), record("elsewhere", plan_record(), service="web"))
    # An execution says no root cause of its own: that of its incident counts.
    (known,) = [k for (runbook, _, service), k in track_records(tables.find()).items() if service == "api"]
    assert known == TrackRecord(1, 6)
    assert known.text == "helped 1 of 6 times here"


def test_answers_are_kept_for_a_moment_and_know_what_was_just_stored(simulated: tuple[Tables, Scene]) -> None:
    tables, scene = simulated

    async def ask(history: TableHistory) -> list[int]:
        sizes = []
        for new in ((), (), (record("a"),)):
            for one in new:
                await history.store(one)
            sizes.append(len(await history.find(QUESTION)))
        return sizes

    since = max(c.sequence for c in scene.control.calls())
    assert tables.run(ask) == [0, 0, 1]
    assert len(scene.control.calls("Query", since=since)) == 4


def test_many_incidents_are_read_in_few_calls(simulated: tuple[Tables, Scene]) -> None:
    tables, scene = simulated
    tables.store(*(record(f"i{n}", plan_record(), ago=n) for n in range(40)))
    since = max(c.sequence for c in scene.control.calls())
    assert sum(bool(r.plans) for r in tables.find()) == 25
    assert [c.operation for c in scene.control.calls(since=since)] == ["Query", "Query", "BatchGetItem"]


# Faults


@pytest.mark.parametrize("operation", ["PutItem", "Query", "BatchGetItem"])
def test_short_throttling_is_not_noticed(simulated: tuple[Tables, Scene], operation: str) -> None:
    tables, scene = simulated
    scene.control.throttle(operation, count=2)
    tables.store(record("a", plan_record()))
    assert [r.id for r in tables.find()] == ["a"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"code": "ProvisionedThroughputExceededException"}, "Throttled"),
        ({"kind": "throttling"}, "Throttled"),
        ({"kind": "access-denied"}, "AccessDenied"),
        ({"kind": "server-error"}, "Unreachable"),
    ],
)
def test_lasting_trouble_is_told_in_a_word(simulated: tuple[Tables, Scene], fault: dict[str, Any], reason: str) -> None:
    tables, scene = simulated
    scene.control.add_fault("PutItem", count=50, **fault)
    with pytest.raises(HistoryError) as caught:
        tables.store(RECORD)
    assert caught.value.reason == reason
    scene.control.clear_faults()
    assert tables.items("incidents") == []


def test_a_write_that_failed_halfway_is_completed_by_the_next_one(simulated: tuple[Tables, Scene]) -> None:
    tables, scene = simulated
    scene.control.add_fault(
        "PutItem", count=50, code="ThrottlingException", resource=f'"{tables.place.table(INCIDENTS)}"'
    )
    with pytest.raises(HistoryError):
        tables.store(RECORD)
    assert len(tables.items("recovery-executions")) == 1
    scene.control.clear_faults()
    tables.store(RECORD)
    assert len(tables.items("incidents")) == len(tables.items("recovery-executions")) == 1


def test_a_lost_answer_is_no_trouble(simulated: tuple[Tables, Scene]) -> None:
    tables, scene = simulated
    scene.control.add_fault("PutItem", effect="after", count=3)
    with pytest.raises(HistoryError, match="Unreachable"):
        tables.store(RECORD)
    tables.store(RECORD)
    assert len(tables.items("incidents")) == 1


def test_missing_tables_are_told_with_the_command_that_makes_them(missing: Tables) -> None:
    for work in (lambda: missing.store(RECORD), missing.find):
        with pytest.raises(HistoryError, match="bokgu history init --environment production"):
            work()


def test_pages_are_followed(tables: Tables) -> None:
    big = "x" * 2000
    tables.store(*(record(f"i{n}", description=big, affected_resources=("r" * 1000,) * 60) for n in range(20)))

    async def count_all(history: TableHistory) -> int:
        return len([item async for item in scan(history._aws, history.place("production"), INCIDENTS)])

    assert tables.run(count_all) == 20


def test_more_keys_than_a_batch_are_read(tables: Tables) -> None:
    tables.store(*(record(f"i{n}", plan_record()) for n in range(3)))
    ids = [f"i{n}-1" for n in range(250)]
    found = tables.run(lambda h: get_items(h._aws, h.place("production"), EXECUTIONS, ids))
    assert {item["id"]["S"] for item in found} == {"i0-1", "i1-1", "i2-1"}


def test_at_once_from_two_processes_is_once(tables: Tables) -> None:
    async def both(history: TableHistory) -> None:
        await asyncio.gather(history.store(RECORD), history.store(RECORD))

    tables.run(both)
    assert len(tables.items("incidents")) == 1
