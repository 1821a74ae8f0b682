"""What comes and goes makes a bounded number of Events: the same again is counted in a series."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.test_alert_door import alert, notify, post
from tests.world.manifests import NAMESPACE, roomy_policy
from tests.world.scene import Scene
from tests.world.world import Raw, World, wait_for

TIMES = 6
CLOSED = {"name": "freeze", "kind": "Deny", "schedule": "* * * * *", "duration": "168h"}


@pytest.fixture
def put_policy(world: World) -> Iterator[Callable[..., None]]:
    """Changes the RecoveryPolicy of the namespace; afterwards it is roomy again."""

    def put(**spec: Any) -> None:
        world.apply(roomy_policy(**spec))

    yield put
    world.apply(roomy_policy())


def list_events(world: World, about: Raw) -> list[Raw]:
    """The Events about an object."""
    answer = world.control_plane.kubectl("get", "events.events.k8s.io", "-n", NAMESPACE, "-o", "json").stdout
    return [one for one in json.loads(answer)["items"] if one["regarding"].get("uid") == about["metadata"]["uid"]]


def count_events(world: World, about: Raw) -> dict[str, list[int]]:
    """How often each of its Events was seen, by reason."""
    found: dict[str, list[int]] = {}
    for event in list_events(world, about):
        found.setdefault(event["reason"], []).append((event.get("series") or {"count": 1})["count"])
    return found


def test_an_incident_that_comes_and_goes_makes_one_event_that_counts(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene(mode="Observe", detection={"relapseWatch": "30m"})
    world, begun = scene.world, datetime.now(UTC) - timedelta(minutes=10)

    def say(at: datetime, ended: datetime | None = None) -> None:
        body = notify(alert(scene.service, at=at, ended=ended, bokgu_type="service_down"))
        assert post(world, body)[0] == 200

    def status() -> Raw:
        return dict(scene.incident()["status"])

    say(begun)
    scene.wait("it has its place", lambda: scene.incident_is("Classified"), 20)
    first = len(list_events(world, scene.incident()))
    for number in range(TIMES):
        begun += timedelta(seconds=30)
        say(begun - timedelta(seconds=30), ended=begun - timedelta(seconds=10))
        scene.wait("it has gone", lambda: scene.incident_is("Verifying"), 20)
        say(begun)
        scene.wait("it is back", lambda number=number: status().get("occurrences") == number + 2, 20)
    (incident,) = scene.incidents()
    wait_for(
        lambda: count_events(world, incident).get("Recurred") == [TIMES],
        10,
        lambda: f"{count_events(world, incident)}\n{world.operator_log_tail()}",
    )
    said = [(event["reason"], event["note"]) for event in list_events(world, incident)]
    assert len(said) == len(set(said)), "the same words make one Event"
    assert len(said) <= first + 3, said


def test_a_gate_and_an_approval_that_come_and_go_make_one_event_each(
    scene: Scene, put_policy: Callable[..., None]
) -> None:
    world, plan = scene.world, scene.surge()
    name = plan["metadata"]["name"]

    def blocked(status: str) -> bool:
        return bool(world.condition("recoveryplans", name, "Blocked").get("status") == status)

    for _ in range(3):
        put_policy(windows=[CLOSED])
        scene.wait("the window is closed", lambda: blocked("True"), 20)
        put_policy()
        scene.wait("the window is open", lambda: blocked("False"), 20)
    put_policy(windows=[CLOSED])
    scene.wait("the window is closed", lambda: blocked("True"), 20)
    mine = world.alice.approve(plan, "system_admin")
    world.commit("bob", world.bob.approve(plan, "service_owner"))
    for _ in range(2):
        world.commit("alice", mine)
        scene.wait("both have approved", lambda: scene.plan_is("Approved"), 20)
        world.withdraw("alice", mine)
        scene.wait("one has taken it back", lambda: scene.plan_is("AwaitingApproval"), 20)
    told = {"Blocked": [4], "Unblocked": [3], "ApprovalNeeded": [1], "Approved": [2], "ApprovalWithdrawn": [2]}
    wait_for(
        lambda: {reason: counts for reason, counts in count_events(world, plan).items() if reason in told} == told,
        10,
        lambda: f"{count_events(world, plan)}\n{world.operator_log_tail()}",
    )
