"""What is counted where it happens: calls, writes, plans, and what keeps them from going on."""

import asyncio
import threading
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bokgu.api.incident import IncidentPlan
from bokgu.api.observed import AwsError
from bokgu.aws.client import AwsClient
from bokgu.kube.client import KubeClient, KubeError
from bokgu.reconcile.announcing import announce_plan
from bokgu.reconcile.context import Context
from bokgu.reconcile.history import history_key, reconcile
from bokgu.reconcile.incident import _create_plan
from tests.unit.facts import NOW, PLAN_UID, plan
from tests.unit.slow_server import Raw, Slow, slow_server
from tests.unit.test_command_progress import kubeconfig, serialised
from tests.unit.test_counting import Change, changes
from tests.unit.test_history_passes import DAY, OVER, PLAN, Kept, World, incidents, over, stored
from tests.unit.test_plan_incident import Past, context


def only(found: Change, *names: str) -> Change:
    """What was added to these, by their labels."""
    return {key: value for key, value in found.items() if key.partition(",")[0] in names}


# AWS


def test_how_long_a_call_took_is_told_also_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    slow = Slow("POST", "/")

    async def ask(address: str) -> None:
        aws = AwsClient(address, threads=2)
        try:
            threading.Timer(0.3, slow.told.set).start()
            with pytest.raises(AwsError):
                await aws.read("ecs", "DescribeServices", {"services": ["api"]}, region="us-east-1", role_arn=None)
        finally:
            aws.close()

    with slow_server({}, slow) as address:
        found = changes(lambda: asyncio.run(ask(address)))
    family, labels = "bokgu_aws_request_duration_seconds", "DescribeServices,ecs"
    assert found[f"{family}_count,{labels}"] == 1
    assert 0.3 <= found[f"{family}_sum,{labels}"] < 30


# The API server


@pytest.mark.parametrize(("refused", "result"), [(True, "Forbidden"), (False, "OK")])
def test_a_status_write_is_counted_by_what_came_of_it(
    refused: bool, result: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = Slow("PUT", "/status" if refused else "none")
    slow.told.set()
    body = serialised(plan())

    async def write() -> None:
        kube = await KubeClient.connect()
        try:
            with pytest.raises(KubeError, match=result) if refused else nullcontext():
                await kube.replace_status("recoveryplans", body, {"phase": "Pending"})
        finally:
            await kube.close()

    with slow_server({}, slow) as address:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, address)))
        found = changes(lambda: asyncio.run(write()))
    # Sorted by the names of the labels: resource, result.
    assert only(found, "bokgu_status_writes_total") == {f"bokgu_status_writes_total,recoveryplans,{result}": 1}


# Plans


class Kube:
    """It takes every object and every Event, or has it already."""

    clock_ahead = timedelta()

    def __init__(self, *, there: bool = False, phase: str = "Pending") -> None:
        self.there, self.phase = there, phase
        self.made: list[str] = []

    async def create_event(self, *_: Any, **__: Any) -> None:
        pass

    async def create(self, _plural: str, body: Raw) -> Raw:
        if self.there and not self.made:
            self.made.append(body["metadata"]["name"])
            raise KubeError(409, "AlreadyExists", "it is there")
        return {**body, "metadata": {**body["metadata"], "uid": PLAN_UID}}

    async def get(self, *_: str) -> Raw:
        return serialised(plan(status={"phase": self.phase}))


def with_kube(kube: Kube) -> Context:
    one = context(Past())
    one.kube = cast(Any, kube)
    return one


@pytest.mark.parametrize(("there", "found"), [(False, {"bokgu_plans_created_total,TrafficSurge": 1}), (True, {})])
def test_a_plan_is_counted_when_it_is_made_and_not_when_it_is_found(there: bool, found: Change) -> None:
    one = with_kube(Kube(there=there))
    assert only(changes(lambda: asyncio.run(_create(one))), "bokgu_plans_created_total") == found


@pytest.mark.parametrize(("phase", "name"), [("AwaitingApproval", "plan-1"), ("Expired", "plan-1-0a1b2c3d")])
def test_a_plan_that_is_over_before_anybody_was_told_of_it_is_not_taken_over(phase: str, name: str) -> None:
    assert asyncio.run(_create(with_kube(Kube(there=True, phase=phase)))).name == name


async def _create(one: Context) -> IncidentPlan:
    return await _create_plan(one, plan())


def approved(reason: str) -> Raw:
    return {"type": "Approved", "status": "True", "reason": reason, "message": "how", "lastTransitionTime": NOW}


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        ("AutoApproved", {"bokgu_auto_approvals_total": 1}),
        ("EmergencyOverride", {"bokgu_emergency_overrides_total": 1}),
        ("Approved", {}),
    ],
)
def test_plans_that_start_without_all_of_the_people_are_counted_once(reason: str, counted: Change) -> None:
    old, new = plan(status={"phase": "AwaitingApproval"}), plan(status={"conditions": [approved(reason)]})
    names = ("bokgu_auto_approvals_total", "bokgu_emergency_overrides_total")
    assert only(changes(lambda: announce(old, new)), *names) == counted
    assert only(changes(lambda: announce(new, new)), *names) == {}


def announce(old: Any, new: Any) -> None:
    asyncio.run(announce_plan(with_kube(Kube()), old, new.status))


def gated(*closed: str) -> Any:
    names = ("Approved", "WindowOpen", "NoStorm", "ServiceFree")
    gates = [{"name": name, "passed": name not in closed, "reason": "Why"} for name in names]
    conditions = [{"type": "Blocked", "status": "True", "reason": "Why", "lastTransitionTime": NOW}]
    return plan(status={"phase": "Approved", "gates": gates, "conditions": conditions})


def test_every_gate_that_closes_is_counted_by_its_name_and_that_once() -> None:
    name = "bokgu_plans_blocked_total"
    first, second = gated("Approved", "WindowOpen", "NoStorm"), gated("NoStorm", "ServiceFree")
    found = changes(lambda: announce(plan(), first))
    assert only(found, name) == {f"{name},WindowOpen": 1, f"{name},NoStorm": 1}
    assert only(changes(lambda: announce(first, second)), name) == {f"{name},ServiceFree": 1}
    assert only(changes(lambda: announce(second, second)), name) == {}


# The history


def test_what_is_recorded_and_what_is_retired_is_counted_once() -> None:
    world = World(Kept(), *incidents(over()), PLAN, known=("incidents", "recoveryplans"))

    def look() -> None:
        asyncio.run(_look(world))

    names = ("bokgu_incidents_recorded_total", "bokgu_incidents_retired_total")
    assert only(changes(look), *names) == {"bokgu_incidents_recorded_total,high_error_rate": 1}
    assert only(changes(look), *names) == {}
    world = World(Kept(), *incidents(stored()), PLAN, known=("incidents", "recoveryplans"))
    world.now = NOW + 31 * DAY
    assert only(changes(look), *names) == {"bokgu_incidents_retired_total,high_error_rate": 1}


async def _look(world: World) -> None:
    await reconcile(world.context, history_key(OVER))
