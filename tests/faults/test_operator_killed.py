"""The operator dies with SIGKILL in the middle of a step and starts again: one effect, the same end."""

from collections.abc import Iterator
from typing import Literal

import pytest

from tests.faults.sample import skip_unless_drawn
from tests.world.manifests import CLUSTER
from tests.world.scene import Scene
from tests.world.world import SPEED

pytestmark = pytest.mark.timeout(300)

DRAWN = 2
"""Tests of this module that a sample holds."""


@pytest.fixture(autouse=True)
def _in_sample(request: pytest.FixtureRequest) -> None:
    skip_unless_drawn(request, DRAWN)


def _in_flight(scene: Scene) -> bool:
    """Whether the operator's UpdateService has reached AWS, which has not answered yet."""
    steps = scene.plan()["status"].get("steps", [])
    return len(steps) == 2 and "intent" in steps[1] and "answer" not in steps[1]


@pytest.mark.parametrize(
    ("effect", "code"),
    [("after", None), ("before", "ServerException")],
    ids=["effect-done-and-answer-lost", "nothing-done"],
)
def test_s3_killed_while_the_call_is_in_flight_has_one_effect(
    scene: Scene, effect: Literal["before", "after"], code: str | None
) -> None:
    world = scene.world
    plan = scene.surge()
    # The call hangs for longer than the operator lives; the resource keeps it to this service.
    world.simulator.add_fault(
        "UpdateService", resource=f'"{scene.service}"', effect=effect, code=code, status=500, delay_seconds=6
    )
    scene.approve(plan)
    scene.wait("the call is in flight", lambda: _in_flight(scene), 90)
    scene.wait("it has reached AWS", lambda: _calls(scene), 90)
    world.kill_operator()
    world.start_operator()

    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 90)
    assert scene.plan_is("Completed")
    assert scene.updates() == [{"cluster": CLUSTER, "service": scene.service, "desiredCount": 5}]
    assert len(_calls(scene)) == (1 if effect == "after" else 2)
    answer = scene.plan()["status"]["steps"][1]["answer"]["result"]
    assert answer == ("Adopted" if effect == "after" else "Accepted")
    assert world.describe(scene.service)["runningCount"] == 5


def test_s2_killed_between_intent_and_call_makes_the_call_once(scene: Scene) -> None:
    world = scene.world
    plan = scene.surge()
    # Every read before a decision is slow, so that the operator can be caught after it has stored the intent.
    world.simulator.add_fault("DescribeServices", resource=f'"{scene.service}"', delay_seconds=1.5, count=1000)
    scene.approve(plan)
    scene.wait("the intent is stored", lambda: _in_flight(scene), 90)
    world.kill_operator()
    assert _calls(scene) == []
    world.simulator.clear_faults()
    world.start_operator()
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 90)
    assert len(_calls(scene)) == len(scene.updates()) == 1


def test_killed_while_verifying_goes_on_with_no_second_effect(scene: Scene) -> None:
    plan = scene.surge()
    scene.approve(plan)
    scene.wait("verifying", lambda: scene.plan_is("Verifying"), 90)
    scene.world.kill_operator()
    scene.world.start_operator()
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 90)
    assert len(scene.updates()) == 1


def test_lost_answer_without_a_crash_is_adopted(scene: Scene) -> None:
    plan = scene.surge()
    scene.world.simulator.add_fault("UpdateService", resource=f'"{scene.service}"', effect="after")
    scene.approve(plan)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 90)
    assert scene.plan()["status"]["steps"][1]["answer"]["result"] == "Adopted"
    assert len(scene.updates()) == 1


def test_throttled_update_is_sent_later_once(scene: Scene) -> None:
    plan = scene.surge()
    scene.world.simulator.add_fault("UpdateService", resource=f'"{scene.service}"', code="ThrottlingException", count=2)
    scene.approve(plan)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 90)
    assert len(scene.updates()) == 1


def test_update_with_expired_credentials_is_sent_later_once(scene: Scene) -> None:
    plan = scene.surge()
    scene.world.simulator.expire_token("UpdateService", resource=f'"{scene.service}"', count=2)
    scene.approve(plan)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 90)
    assert scene.plan_is("Completed")
    assert len(scene.updates()) == 1


def test_refused_update_fails_the_plan_and_escalates(scene: Scene) -> None:
    plan = scene.surge()
    scene.world.simulator.add_fault("UpdateService", resource=f'"{scene.service}"', code="AccessDeniedException")
    scene.approve(plan)
    scene.wait("escalated", lambda: scene.incident_is("Escalated"), 90)
    assert scene.plan()["status"]["reason"] == "RefusedByAws"
    assert scene.updates() == []


def _calls(scene: Scene) -> list[object]:
    """All UpdateService calls of the operator on the service, with or without an effect."""
    calls = scene.world.simulator.calls("UpdateService")
    return [c for c in calls if c.access_key_id == "operator" and c.parameters["service"] == scene.service]


def test_s4_slow_reads_delay_a_rollback_and_do_not_prevent_it(scene: Scene) -> None:
    scene.world.deploy(scene.service, ERROR_RATIO=0.6)
    scene.wait("a plan awaits approval", lambda: scene.plan_is("AwaitingApproval"), 90)
    scene.world.simulator.add_fault("DescribeServiceRevisions", delay_seconds=2.3, count=1000)
    scene.approve(scene.plan())
    scene.wait("completed", lambda: scene.plan_is("Completed"), 90)
    assert len(_calls(scene)) == 1
    scene.world.simulator.clear_faults()


@pytest.fixture
def lagging(scene: Scene) -> Iterator[Scene]:
    """ECS shows every write only a second and a half later."""
    scene.world.simulator.set_consistency_delay(1.5 * SPEED)
    yield scene
    scene.world.simulator.set_consistency_delay(0)


def test_s3_effect_that_ecs_shows_late_is_no_foreign_change(lagging: Scene) -> None:
    lagging.approve(lagging.surge())
    lagging.wait("resolved", lambda: lagging.incident_is("Resolved"), 40)
    assert lagging.plan_is("Completed")
    assert len(_calls(lagging)) == 1


def test_s3_lost_answer_and_late_effect_are_adopted_after_a_crash(lagging: Scene) -> None:
    plan = lagging.surge()
    lagging.world.simulator.add_fault("UpdateService", resource=f'"{lagging.service}"', effect="after", delay_seconds=6)
    lagging.approve(plan)
    lagging.wait("the call is in flight", lambda: _calls(lagging), 20)
    lagging.world.kill_operator()
    lagging.world.start_operator()
    lagging.wait("resolved", lambda: lagging.incident_is("Resolved"), 60)
    assert lagging.plan()["status"]["steps"][1]["answer"]["result"] == "Adopted"
    assert len(_calls(lagging)) == 1
