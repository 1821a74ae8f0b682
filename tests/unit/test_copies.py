"""Plans and incidents that were restored from a backup, with the status that they had or without one."""

from typing import Any

import pytest

from bokgu.api.meta import find_condition
from bokgu.api.vocabulary import OperationPhase, PlanPhase
from bokgu.core.copies import NEXT, is_restored_incident, is_restored_plan
from bokgu.core.execution import decide
from bokgu.core.plan_facts import Send
from bokgu.core.planning import rename_plan
from tests.unit.facts import PLAN_UID, VALIDATION, facts, incident, plan, restart, roll_back, scale_out
from tests.unit.small_world import World

CLUSTER = "cluster"
COPY = {"uid": "the uid of the copy"}


def play(until: PlanPhase, *steps: dict[str, Any]) -> World:
    """A plan that has come to a phase, and has stored an intent."""
    world = World(plan(*steps))
    for _ in range(40):
        if world.status.phase is until and world.status.steps[0].intent:
            return world
        world.do()
        world.settle()
    raise AssertionError(world.status)


def restore(world: World, **meta: Any) -> World:
    metadata = world.plan.metadata.model_copy(update=meta or COPY)
    world.plan = world.plan.model_copy(update={"metadata": metadata})
    return world


@pytest.mark.parametrize("phase", [PlanPhase.IN_PROGRESS, PlanPhase.VERIFYING])
@pytest.mark.parametrize("step", [scale_out(), restart(), roll_back()], ids=lambda s: s["action"])
def test_s3_what_a_plan_had_begun_its_copy_does_not_go_on_with(phase: PlanPhase, step: dict[str, Any]) -> None:
    world = restore(play(phase, {**step, "validation": VALIDATION}))
    outcome = decide(world.plan, facts(unsent=frozenset({world.status.steps[0].intent.token})))  # type: ignore[union-attr]  # play() saw one
    status = outcome.status
    assert outcome.effect is None
    assert (status.phase, status.reason) == (PlanPhase.CANCELLED, "Restored")
    assert (status.steps[0].phase, status.steps[0].rollback) == (OperationPhase.FAILED, None)
    told = find_condition(status.conditions, "Succeeded")
    assert told is not None
    assert NEXT["Restored"] in told.message
    assert decide(world.plan.model_copy(update={"status": status}), facts()).status == status


def test_s3_an_undo_under_way_is_not_gone_on_with_by_a_copy() -> None:
    world = play(PlanPhase.IN_PROGRESS, roll_back(onFailure="RollBack"), scale_out(name="more"))
    rolling = world.status.model_copy(update={"phase": PlanPhase.ROLLING_BACK})
    world.plan = world.plan.model_copy(update={"status": rolling})
    assert decide(restore(world).plan, facts()).status.reason == "Restored"


@pytest.mark.parametrize("known", [{"uid": PLAN_UID}, {}, {"clusterID": CLUSTER}])
def test_the_plan_itself_goes_on_also_with_the_status_of_an_older_version(known: dict[str, str]) -> None:
    world = play(PlanPhase.IN_PROGRESS, scale_out())
    status = world.status.model_copy(update={"uid": known.get("uid"), "cluster_id": known.get("clusterID")})
    token = status.steps[0].intent.token  # type: ignore[union-attr]  # play() saw one
    outcome = decide(world.plan.model_copy(update={"status": status}), facts(unsent=frozenset({token})))
    assert isinstance(outcome.effect, Send)


@pytest.mark.parametrize(
    ("status", "restored"),
    [
        ({}, False),
        ({"uid": PLAN_UID}, False),
        ({"uid": "another"}, True),
        ({"clusterID": CLUSTER}, False),
        ({"clusterID": "another"}, True),
    ],
)
def test_a_status_says_whose_it_is(status: dict[str, str], restored: bool) -> None:
    assert is_restored_plan(plan(status=status), CLUSTER) is restored


def test_an_intent_says_whose_it_is_where_an_older_version_wrote_the_status() -> None:
    world = play(PlanPhase.IN_PROGRESS, scale_out())
    status = world.status.model_copy(update={"uid": None, "cluster_id": None})
    copy = restore(world).plan.model_copy(update={"status": status})
    assert is_restored_plan(copy, CLUSTER)


def test_a_copy_that_is_over_stays_as_it_was() -> None:
    over = plan(status={"phase": "Completed", "uid": "another", "reason": "Recovered"})
    assert decide(over, facts()).status == over.status


def test_an_incident_says_whose_its_status_is() -> None:
    assert not is_restored_incident(incident())
    assert not is_restored_incident(incident(status={"uid": incident().metadata.uid}))
    assert is_restored_incident(incident(status={"uid": "another"}))


def test_a_plan_whose_name_is_taken_gets_one_of_its_incident() -> None:
    renamed = rename_plan(plan())
    assert renamed.metadata.name == "plan-1-0a1b2c3d"
    assert rename_plan(renamed) == renamed
    assert renamed.spec == plan().spec
