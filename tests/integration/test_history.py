"""Incidents that are over, on the real control plane: recorded first, gone later, and never lost or taken from Git."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import yaml

from tests.simulator.control import RecordedCall
from tests.world.command import Answer, run_bokgu
from tests.world.manifests import NAMESPACE, REGION, incident
from tests.world.scene import Scene
from tests.world.world import Raw, World, wait_for

RETENTION = 4
"""Seconds."""
LONG_AGO = "2026-01-01T00:00:00Z"
"""Detectors that have been clear for longer than the incident is there say that its trouble is over."""
TABLES = {"BOKGU_HISTORY": "dynamodb", "BOKGU_HISTORY_REGION": REGION, "BOKGU_HISTORY_TABLE_PREFIX": "kept"}


def restart(world: World, **settings: str) -> None:
    if "operator" in world._processes:
        world.stop_operator()
    world.start_operator(settings)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One of its own: writes are counted for the whole operator, and all incidents are deleted after each test. It is
    audited: here the operator uses its right to delete incidents."""
    with World(tmp_path_factory.mktemp("world"), audited=True) as running:
        yield running


@pytest.fixture(scope="module")
def _service(world: World) -> Scene:
    scene = Scene(world, "kept")
    scene.begin()
    return scene


@pytest.fixture
def quiet(_service: Scene) -> Iterator[Scene]:
    """A service that nothing happens to, and an operator that keeps nothing for long."""
    restart(_service.world, BOKGU_RETENTION=f"{RETENTION}s")
    yield _service
    _service.world.simulator.clear_faults()
    _service.world.control_plane.kubectl("delete", "incidents", "--all", "-n", NAMESPACE)


def create(world: World, manifest: Raw, *, how: str = "create", **metadata: Any) -> None:
    body = {**manifest, "metadata": {**manifest["metadata"], **metadata}}
    world.control_plane.kubectl(how, "-f", "-", input=yaml.safe_dump(body))


def past(name: str, scene: Scene, **spec: Any) -> Raw:
    """An incident filed by hand whose trouble is over."""
    return incident(name, scene.service, detectedAt=LONG_AGO, **spec)


def recorded(world: World, name: str) -> Raw:
    return world.condition("incidents", name, "Recorded")


def gone(world: World, name: str) -> bool:
    return world.get("incidents", name) is None


def until(world: World, what: str, condition: Callable[[], Any], seconds: float = 30) -> Any:
    return wait_for(condition, seconds, lambda: f"{what}\n{world.operator_log_tail()}")


def kept(world: World, service: str) -> list[dict[str, Any]]:
    """Records of a service in the ConfigMaps of its namespace, read as anybody would."""
    answer = world.control_plane.kubectl(
        "get", "configmaps", "-n", NAMESPACE, "-l", "bokgu.dev/history", "-o", "json"
    ).stdout
    lines = (m.get("data", {}).get(service, "").splitlines() for m in json.loads(answer)["items"])
    return [json.loads(line) for found in lines for line in found]


def status_writes(world: World) -> float:
    return world.scrape().get('bokgu_status_writes_total{resource="incidents",result="OK"}', 0.0)


# In the cluster


def test_a_recovery_is_kept_and_then_goes_with_its_plan(quiet: Scene, new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    name = scene.incident()["metadata"]["name"]
    scene.approve(plan)
    until(world, "recorded", lambda: recorded(world, name).get("status") == "True", 60)
    (record,) = kept(world, scene.service)
    assert (record["name"], record["outcome"], record["rootCause"]) == (name, "Recovered", "TrafficSurge")
    assert (record["type"], record["environment"]) == ("high_error_rate", "production")
    assert [(p["runbook"], p["outcome"]) for p in record["plans"]] == [("traffic-surge", "Completed")]
    assert [s["action"] for s in record["plans"][0]["steps"]] == ["health_check", "scale_out"]
    until(world, "the incident is gone", lambda: world.get("incidents", name) is None)
    until(world, "its plan is gone", lambda: world.get("recoveryplans", plan["metadata"]["name"]) is None)
    assert [r["id"] for r in kept(world, scene.service)] == [record["id"]]


def test_recording_is_one_write_and_nothing_is_polled(quiet: Scene) -> None:
    world = quiet.world
    restart(world, BOKGU_RETENTION="1h")
    create(world, past("one-write", quiet))
    until(world, "resolved", lambda: world.status("incidents", "one-write").get("phase") == "Resolved")
    until(world, "recorded", lambda: recorded(world, "one-write").get("status") == "True")
    # It is resolved, then recorded.
    assert status_writes(world) == 2, [i["status"] for i in world.all("incidents")]
    restart(world, BOKGU_RETENTION="1h")
    passes = 'bokgu_reconcile_duration_seconds_count{resource="incidents"}'
    until(world, "the operator looks again", lambda: world.scrape().get(passes, 0) > 0)
    assert status_writes(world) == 0


@pytest.mark.parametrize(
    ("how", "metadata"),
    [
        (("apply", "--server-side"), {}),
        (("apply",), {}),
        (("create",), {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}),
        (("create",), {"annotations": {"argocd.argoproj.io/tracking-id": "shop:bokgu.dev/Incident:shop/x"}}),
    ],
    ids=["server-side-apply", "client-side-apply", "flux", "argo-cd"],
)
def test_what_git_applies_is_recorded_and_stays(
    quiet: Scene, how: tuple[str, ...], metadata: Raw, request: pytest.FixtureRequest
) -> None:
    world, name = quiet.world, f"applied-{request.node.callspec.id}"
    body = past(name, quiet)
    body = {**body, "metadata": {**body["metadata"], **metadata}}
    world.control_plane.kubectl(*how, "-f", "-", input=yaml.safe_dump(body))
    create(world, past(f"{name}-not", quiet))
    until(world, "recorded", lambda: recorded(world, name).get("status") == "True")
    assert "it stays" in recorded(world, name)["message"]
    until(world, "another one is gone", lambda: world.get("incidents", f"{name}-not") is None)
    wait_long = world.status("incidents", name)["resolvedAt"]
    until(world, "its time has come", lambda: _seconds_since(wait_long) > RETENTION + 2)
    assert world.get("incidents", name) is not None


def test_texts_with_line_ends_in_them_survive_the_next_record(quiet: Scene) -> None:
    world = quiet.world
    for name in ("separated", "next-one"):
        create(world, past(name, quiet, description="upstream said: a\u2028b"))
        until(world, f"{name} is gone", partial(gone, world, name), 60)
    assert {"separated", "next-one"} <= {record["name"] for record in kept(world, quiet.service)}


def test_corrupted_data_stays_until_a_person_deletes_it(quiet: Scene) -> None:
    world = quiet.world
    create(world, past("corrupted", quiet, type="data_corruption"))
    until(world, "recorded", lambda: recorded(world, "corrupted").get("reason") == "StoredOpen")
    (record,) = [r for r in kept(world, quiet.service) if r["name"] == "corrupted"]
    assert (record["outcome"], record["type"]) == ("Escalated", "data_corruption")
    create(world, past("harmless", quiet))
    until(world, "another one is gone", lambda: world.get("incidents", "harmless") is None, 60)
    assert world.get("incidents", "corrupted") is not None


def test_the_account_makes_config_maps_of_the_history_only(world: World) -> None:
    operator = world.control_plane.kubeconfig_for_service_account("bokgu-system", "bokgu")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": NAMESPACE}}
    kubectl = world.control_plane.kubectl
    with pytest.raises(Exception, match="history only"):
        kubectl("create", "-f", "-", input=yaml.safe_dump(body), user=operator)
    with pytest.raises(Exception, match="forbidden"):
        kubectl("get", "configmap", "kube-root-ca.crt", "-n", NAMESPACE, user=operator)


# In DynamoDB


def history(world: World, *words: str) -> Answer:
    settings = {
        "AWS_ACCESS_KEY_ID": "person",
        "AWS_SECRET_ACCESS_KEY": "simulated",
        "BOKGU_AWS_ENDPOINT_URL": world.aws_url,
        **TABLES,
    }
    return run_bokgu(world, "history", *words, settings=settings)


def puts(world: World) -> list[RecordedCall]:
    return [c for c in world.simulator.calls("PutItem") if c.access_key_id == "operator"]


def test_nothing_is_lost_while_the_history_is_away_and_the_operator_dies(quiet: Scene) -> None:
    world = quiet.world
    restart(world, BOKGU_RETENTION=f"{RETENTION}s", **TABLES)
    create(world, past("unlucky", quiet))
    until(world, "no table", lambda: recorded(world, "unlucky").get("reason") == "TableMissing")
    assert "bokgu history init --environment production" in recorded(world, "unlucky")["message"]

    world.simulator.add_fault("PutItem", kind="throttling", count=10_000)
    made = history(world, "init")
    assert made.returncode == 0, made.stderr
    until(world, "throttled", lambda: recorded(world, "unlucky").get("reason") == "Throttled")
    world.kill_operator()
    resolved_at = world.status("incidents", "unlucky")["resolvedAt"]
    until(world, "its time has come", lambda: _seconds_since(resolved_at) > RETENTION + 1)
    tried = len(puts(world))
    restart(world, BOKGU_RETENTION=f"{RETENTION}s", **TABLES)
    until(world, "tried again", lambda: len(puts(world)) >= tried + 3)
    assert recorded(world, "unlucky")["status"] == "False"

    world.simulator.clear_faults()
    until(world, "gone", lambda: world.get("incidents", "unlucky") is None, 60)
    answer = world._client("dynamodb").scan(TableName="kept-production-incidents")
    items = [item for item in answer["Items"] if item["service"]["S"] == quiet.service]
    assert [(i["outcome"]["S"], i["environment"]["S"], i["type"]["S"]) for i in items] == [
        ("Cleared", "production", "high_error_rate")
    ]


def test_a_restart_writes_history_for_the_environment_of_the_service(quiet: Scene) -> None:
    world = quiet.world

    def environment(name: str) -> None:
        patch = json.dumps({"spec": {"environment": name}})
        world.control_plane.kubectl(
            "patch", "protectedservice", quiet.service, "-n", NAMESPACE, "--type=merge", "-p", patch
        )

    environment("staging")
    try:
        restart(world, BOKGU_RETENTION="1h", **TABLES)
        create(world, past("restarted", quiet))
        until(world, "no table", lambda: recorded(world, "restarted").get("reason") == "TableMissing")
        world.kill_operator()
        for name in ("production", "staging"):
            assert history(world, "init", "--environment", name).returncode == 0
        restart(world, BOKGU_RETENTION="1h", **TABLES)
        until(world, "recorded", lambda: recorded(world, "restarted").get("status") == "True", 60)
    finally:
        environment("production")
    items = world._client("dynamodb").scan(TableName="kept-staging-incidents")["Items"]
    assert [(i["service"]["S"], i["environment"]["S"]) for i in items] == [(quiet.service, "staging")]


def _seconds_since(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()
