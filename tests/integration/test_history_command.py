"""`bokgu history`: makes the tables, and imports those of another system, on the simulator."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bokgu.__main__ import main
from bokgu.api.history import ClassificationRecord, Question
from bokgu.api.vocabulary import IncidentType, Severity
from bokgu.core.track_record import TrackRecord, track_records
from tests.integration.test_history_tables import Tables
from tests.simulator.harness import Scene
from tests.simulator.server import SimulatorServer
from tests.unit.history_facts import record

pytestmark = [pytest.mark.usefixtures("aws_credentials"), pytest.mark.timeout(180)]
OLD = "old-prod"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Scene]:
    with SimulatorServer(speed=600) as server:
        scene = Scene(server)
        yield scene
        scene.close()


@pytest.fixture
def tables(simulator: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    """The settings of an operator whose tables are not there yet."""
    tables = Tables(simulator.server.url, simulator)
    settings = {"": "dynamodb", "_REGION": "us-east-1", "_TABLE_PREFIX": tables.prefix}
    for name, value in settings.items():
        monkeypatch.setenv(f"BOKGU_HISTORY{name}", value)
    monkeypatch.setenv("BOKGU_AWS_ENDPOINT_URL", tables.url)
    yield tables
    simulator.control.clear_faults()
    client = tables.plain("client")
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    client.close()


@pytest.fixture
def old(tables: Tables) -> Any:
    """Tables of another system: some of it as described, some of it not."""
    client = tables.plain("client")
    for name in ("incidents", "incident-classifications", "recovery-executions"):
        client.create_table(
            TableName=f"{OLD}-{name}",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )

    def put(name: str, **item: Any) -> None:
        client.put_item(TableName=f"{OLD}-{name}", Item=item)

    for number in range(3):
        put(
            "incidents",
            id={"S": f"INC-{number}"},
            type={"S": "service_down"},
            timestamp={"S": f"2026-05-0{number + 1}T10:00:00Z"},
            severity={"S": "high"},
            service={"S": "orders"},
            rootCause={"S": "ApplicationCrash"},
            resolvedAt={"S": f"2026-05-0{number + 1}T10:12:00Z"},
            resolutionMinutes={"N": "12"},
            outcome={"S": "success"},
            oncall={"S": "an attribute that nobody described"},
        )
        put(
            "recovery-executions",
            id={"S": f"EX-{number}"},
            planId={"S": f"PLAN-{number}"},
            incidentId={"S": f"INC-{number}"},
            startTime={"S": f"2026-05-0{number + 1}T10:02:00Z"},
            status={"S": "completed" if number else "failed"},
            runbook={"S": "classic-service-down"},
        )
    put("incident-classifications", id={"S": "C-1"}, incidentId={"S": "INC-1"}, category={"S": "Application"})
    put("incidents", id={"S": "INC-bad"}, type={"S": "flood"}, timestamp={"S": "2026-05-04T10:00:00Z"})
    put("incidents", id={"S": "INC-empty"})
    orphan = {"id": {"S": "EX-orphan"}, "incidentId": {"S": "gone"}, "status": {"S": "failed"}}
    put("recovery-executions", startTime={"S": "2026-05-01T10:00:00Z"}, **orphan)
    yield tables
    client.close()


IMPORT = ("history", "import", "--from-prefix", "old", "--from-environment", "prod", "--environment", "production")


# init


def test_init_says_what_it_did_and_then_has_nothing_to_do(tables: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "init"]) == 0
    first = capsys.readouterr()
    assert (
        f"{tables.prefix}-production-incidents: created, point-in-time recovery turned on, TTL turned on" in first.out
    )
    assert "creating" in first.err
    assert main(["history", "init"]) == 0
    assert capsys.readouterr().out.count("nothing to do") == 3


def test_init_makes_each_environment_once_and_tells_it_as_json(
    tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--environment", "staging", "--environment", "production", "--environment", "staging"]
    assert main(["history", "init", *named, "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["tables"]
    assert len(told) == 6
    assert {t["table"] for t in told} >= {f"{tables.prefix}-staging-incidents", f"{tables.prefix}-production-incidents"}
    assert all(t["done"][0] == "created" for t in told)


def test_init_turns_ttl_on_once(tables: Tables, simulator: Scene) -> None:
    since = max((c.sequence for c in simulator.control.calls()), default=0)
    assert main(["history", "init"]) == main(["history", "init"]) == 0
    assert len(simulator.control.calls("UpdateTimeToLive", since=since)) == 1
    assert len(simulator.control.calls("UpdateContinuousBackups", since=since)) == 3


@pytest.mark.parametrize(
    ("fault", "told"),
    [({"kind": "access-denied"}, "AccessDenied"), ({"code": "LimitExceededException"}, "LimitExceededException")],
)
def test_init_says_what_keeps_it(
    tables: Tables, simulator: Scene, fault: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.control.add_fault("CreateTable", count=9, **fault)
    assert main(["history", "init"]) == 1
    error = capsys.readouterr().err
    assert f"bokgu: {told}: CreateTable" in error


def test_a_lost_answer_of_create_table_is_no_trouble(tables: Tables, simulator: Scene) -> None:
    simulator.control.add_fault("CreateTable", effect="after", count=1)
    assert main(["history", "init"]) == 0


def test_init_needs_a_region(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BOKGU_HISTORY_REGION")
    monkeypatch.delenv("BOKGU_HISTORY")
    assert main(["history", "init"]) == 1
    assert "AWS_REGION" in capsys.readouterr().err


# import


def test_import_reads_what_can_be_read_and_tells_the_rest(old: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    main(["history", "init"])
    capsys.readouterr()
    assert main([*IMPORT, "-o", "json"]) == 0
    seen = capsys.readouterr()
    report = json.loads(seen.out)
    assert (report["stored"], report["readable"], report["plans"]) == (3, 3, 3)
    assert {bad["id"] for bad in report["bad"]} == {"INC-bad", "INC-empty", "EX-orphan"}
    assert "left out: old-prod-incidents INC-bad: " in seen.err
    assert {i["id"] for i in old.items("incidents")} == {"INC-0", "INC-1", "INC-2"}
    assert {e["id"]: e["planId"] for e in old.items("recovery-executions")} == {
        f"INC-{n}-1": f"PLAN-{n}" for n in range(3)
    }
    assert [c["incidentId"] for c in old.items("incident-classifications")] == ["INC-1"]


def test_what_was_imported_is_part_of_the_past(old: Tables) -> None:
    main(["history", "init"])
    assert main(list(IMPORT)) == 0
    found = old.find(Question("shop", "production", "orders", IncidentType.SERVICE_DOWN))
    assert {r.resolution_minutes for r in found} == {"12"}
    # Of a plan that failed somewhere else nobody knows whether it was tried to the end: it has no verdict.
    assert list(track_records(found).values()) == [TrackRecord(2, 2)]


def test_what_is_imported_belongs_to_the_environment_that_was_named(old: Tables) -> None:
    main(["history", "init", "--environment", "staging"])
    assert main([*IMPORT[:-1], "staging"]) == 0
    staged = old.plain().Table(f"{old.prefix}-staging-incidents").scan()["Items"]
    assert [item["environment"] for item in staged] == ["staging"] * 3


def test_import_again_changes_nothing(old: Tables) -> None:
    main(["history", "init"])
    assert main(list(IMPORT)) == 0
    before = [old.items(name) for name in ("incidents", "incident-classifications", "recovery-executions")]
    assert main(list(IMPORT)) == 0
    assert [old.items(name) for name in ("incidents", "incident-classifications", "recovery-executions")] == before


def test_import_does_not_replace_what_is_there(old: Tables) -> None:
    main(["history", "init"])
    known: dict[str, Any] = {
        "type": IncidentType.SERVICE_DOWN,
        "service": "orders",
        "outcome": "Escalated",
        "resolved_at": None,
    }
    classification = ClassificationRecord(category="Data", impact_level=Severity.HIGH, priority=1, estimate_minutes=7)
    old.store(record("INC-1", classification=classification, **known))
    assert main(list(IMPORT)) == 0
    (kept,) = [item for item in old.items("incidents") if item["id"] == "INC-1"]
    assert kept["outcome"] == "Escalated"
    (classified,) = old.items("incident-classifications")
    assert (classified["id"], classified["category"]) == ("INC-1", "Data")


def test_a_dry_run_writes_nothing(old: Tables, simulator: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    since = max(c.sequence for c in simulator.control.calls())
    assert main([*IMPORT, "--dry-run"]) == 0
    assert "3 incidents would be stored, 3 plans with them; 3 items left out" in capsys.readouterr().out
    assert {c.operation for c in simulator.control.calls(since=since)} == {"Scan"}


def test_import_survives_throttling(old: Tables, simulator: Scene) -> None:
    main(["history", "init"])
    simulator.control.throttle("PutItem", count=12)
    assert main(list(IMPORT)) == 0
    assert len(old.items("incidents")) == 3


def test_import_says_what_keeps_it(old: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(IMPORT)) == 1  # There are no tables to store it in.
    assert "bokgu history init --environment production" in capsys.readouterr().err
    assert main(["history", "import", "--from-prefix", "none", "--from-environment", "prod"]) == 1
    assert "there is no table none-prod-incidents in us-east-1" in capsys.readouterr().err


def test_import_from_itself_and_without_a_namespace_is_refused(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "import", "--from-prefix", tables.prefix, "--from-environment", "production"]) == 1
    assert "nothing to import" in capsys.readouterr().err
    monkeypatch.setenv("BOKGU_HISTORY", "kubernetes")
    assert main(list(IMPORT)) == 1
    assert "--namespace" in capsys.readouterr().err
