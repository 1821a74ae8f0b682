"""A rollback to a task definition that is INACTIVE: a copy of it is registered first."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bokgu.api.observed import TaskDefinition
from bokgu.api.recovery_plan import Answer, OperationStatus, RecoveryPlan
from bokgu.api.vocabulary import Action, PlanPhase
from bokgu.core.guards.chain import evaluate_gates
from bokgu.core.live_state import LiveState
from bokgu.core.plan_facts import Send, guard_facts
from bokgu.core.planning import build_plan
from bokgu.core.planning_facts import NoPlan
from bokgu.core.preconditions import find_surprise
from bokgu.core.writes.table import complete, find_change, write_of
from bokgu.core.writes.token import INTENT_TAG, carry_token, stable_token
from bokgu.core.writes.write import build_request
from tests.unit.facts import (
    MINUTE,
    NOW,
    PLAN_UID,
    deploying,
    described_deployment,
    facts,
    plan,
    protected_service,
    register,
    revisions,
    roll_back,
    service,
    task_definition,
)
from tests.unit.small_world import World
from tests.unit.test_planning import BAD_DEPLOYMENT, good, planning
from tests.unit.test_writes import intent

TOKEN = f"{PLAN_UID[:8]}-1"


def definition(status: str = "INACTIVE", image: str = "api:first") -> TaskDefinition:
    settings = {"status": status, "containerDefinitions": [{"name": "app", "image": image}]}
    return TaskDefinition(task_definition(1), NOW, settings)


def planned(found: TaskDefinition | None, *, reregister: bool = True, **changes: Any) -> RecoveryPlan | NoPlan:
    protected = protected_service(status=good(), rollback={"reregister": reregister})
    given = {"protected_service": protected, "good_definition": found, **changes}
    return build_plan(planning(classification=BAD_DEPLOYMENT, **given))


def actions(made: RecoveryPlan | NoPlan) -> list[str]:
    assert isinstance(made, RecoveryPlan), made
    return [str(s.action) for s in made.spec.steps]


def test_a_copy_is_registered_before_the_rollback() -> None:
    made = planned(definition())
    assert actions(made) == ["health_check", "register_task_definition", "rollback_to_previous_version"]
    assert isinstance(made, RecoveryPlan)
    step = made.spec.steps[1]
    assert step.parameters
    assert step.parameters.task_definition == task_definition(1)
    assert (step.validation, step.rollback) == (None, None)
    assert "nothing uses it" in (step.description or "")


@pytest.mark.parametrize("found", [definition("ACTIVE"), None])
def test_where_it_is_active_or_not_known_nothing_is_registered(found: TaskDefinition | None) -> None:
    assert actions(planned(found)) == ["health_check", "rollback_to_previous_version"]


def test_a_deployment_in_flight_is_stopped_without_a_copy() -> None:
    made = planned(
        definition(), service=deploying(2, 1), deployment=described_deployment(2, replaces=1), deployments=()
    )
    assert "register_task_definition" not in actions(made)


def test_where_it_is_not_allowed_the_field_is_named() -> None:
    made = planned(definition(), reregister=False)
    assert isinstance(made, NoPlan)
    assert (made.reason, made.wait) == ("TaskDefinitionInactive", True)
    assert "spec.rollback.reregister" in made.message


@pytest.mark.parametrize(("image", "risky"), [("api:first", True), ("api@sha256:" + "ab" * 32, False)])
def test_a_tag_that_may_have_moved_is_a_risk(image: str, *, risky: bool) -> None:
    made = planned(definition(image=image))
    assert isinstance(made, RecoveryPlan)
    assert any("tag may have moved" in r.description for r in made.spec.risks) is risky


@pytest.mark.parametrize(
    ("spec", "passed"),
    [
        ({"rollback": {"reregister": True}}, True),
        ({}, False),
        ({"rollback": {"reregister": True}, "allowedActions": ["scale_out"]}, False),
        ({"allowedActions": ["register_task_definition", "rollback_to_previous_version"]}, False),
    ],
)
def test_s1_a_copy_needs_the_field_and_the_rollback_that_it_is_for(spec: dict[str, Any], *, passed: bool) -> None:
    one = plan(register(), roll_back())
    gates = evaluate_gates(guard_facts(one, one.spec.steps[0], facts(protected_service=protected_service(**spec))))
    (gate,) = [g for g in gates if g.name == "ActionAllowed"]
    assert gate.passed is passed
    assert passed or "spec.rollback.reregister" in (gate.message or "")


INACTIVE = TaskDefinition(task_definition(1), NOW, {"status": "INACTIVE"})


@pytest.mark.parametrize(
    ("steps", "found", "said"),
    [
        ([register(), roll_back()], INACTIVE, None),
        ([register()], INACTIVE, "no later rollback"),
        ([roll_back(), register()], INACTIVE, "no later rollback"),
        ([register(), roll_back(2)], INACTIVE, "no later rollback"),
        ([register(), roll_back(5)], INACTIVE, "no later rollback"),
        ([register(), roll_back()], replace(INACTIVE, settings={}), "is ACTIVE"),
        ([register(), roll_back()], replace(INACTIVE, arn=task_definition(7)), "not known"),
        ([register(), roll_back()], None, "not known"),
        ([roll_back()], None, None),
    ],
)
def test_a_copy_is_registered_for_a_rollback_that_needs_it_alone(
    steps: list[dict[str, Any]], found: TaskDefinition | None, said: str | None
) -> None:
    one = plan(*steps)
    step = next((s for s in one.spec.steps if s.action is Action.REGISTER), one.spec.steps[0])
    seen = facts(task_definition=found, revisions=revisions(1, 2))
    (gate,) = [g for g in evaluate_gates(guard_facts(one, step, seen)) if g.name == "CopyNeeded"]
    assert gate.passed is (said is None)
    assert (said or "") in (gate.message or "")


# The run of it


def running() -> World:
    world = World(plan(register(), roll_back()))
    world.protected = protected_service(rollback={"reregister": True})
    while not world.status.started_at:
        world.do()
    return world


def arguments(send: Send) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(send.request.arguments)
    return found


def test_the_rollback_deploys_the_copy() -> None:
    world = running()
    world.until_sent()
    world.until_sent()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    copied, restored = (arguments(s) for s in world.sent)
    assert copied == {"copyOf": task_definition(1), "tags": [{"key": INTENT_TAG, "value": TOKEN}]}
    assert restored["taskDefinition"] == world.family[0].arn == world.ecs.task_definition
    assert world.status.steps[0].answer
    assert world.status.steps[0].answer.made == (world.family[0].arn,)
    assert "copy of api:1" in (world.status.steps[0].output or "")


@pytest.mark.parametrize("fate", ["lost", "never"])
def test_s3_a_lost_registration_is_adopted_by_its_tag_or_done_again(fate: str) -> None:
    world = running()
    world.until_intent()
    world.fate = fate
    while world.unsent:
        world.do()
    world.crash()
    world.fate = "accepted"
    if fate == "never":
        world.now += 6 * MINUTE
        world.until_sent()
    world.until_sent()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert len(world.family) == 1
    assert arguments(world.sent[-1])["taskDefinition"] == world.family[0].arn


def test_s4_a_rollback_that_does_not_help_goes_back_to_what_was_found() -> None:
    world = running()
    world.until_sent()
    world.until_sent()
    world.settle()
    world.plan = world.plan.model_copy(
        update={"metadata": world.plan.metadata.model_copy(update={"deletion_timestamp": world.now})}
    )
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)
    assert arguments(world.sent[-1])["taskDefinition"] == task_definition(2)
    assert len(world.sent) == 3


# What is seen of it

REQUEST = carry_token(build_request("ecs", "RegisterTaskDefinition", {"copyOf": task_definition(1), "tags": []}), TOKEN)


def seen(**fields: Any) -> LiveState:
    usual: dict[str, Any] = {"arn": task_definition(9), "registered_at": NOW, "tags": {INTENT_TAG: stable_token(TOKEN)}}
    return LiveState(service(), task_definition=TaskDefinition(**(usual | fields)))


@pytest.mark.parametrize(
    ("live", "made"),
    [
        (seen(), (task_definition(9),)),
        (seen(tags={}), ()),
        (seen(tags={INTENT_TAG: "another-plan"}), ()),
        (LiveState(service()), ()),
    ],
)
def test_s3_the_latest_revision_is_ours_where_it_has_our_tag(live: LiveState, made: tuple[str, ...]) -> None:
    effect = write_of(REQUEST).find_effect(intent(REQUEST, service()), live)
    assert (effect.seen, effect.made) == (bool(made), made)


def test_a_copy_is_complete_when_ecs_describes_it_and_changed_when_somebody_deregisters_it() -> None:
    answer = Answer(at=NOW, result="Accepted", made=(task_definition(9),))
    done = OperationStatus(intent=intent(REQUEST, service()), answer=answer)
    assert complete(done, seen())
    assert not complete(done, LiveState(service()))
    assert not complete(done, seen(arn=task_definition(8)))
    gone = find_change(done, seen(settings={"status": "INACTIVE"}))
    assert gone
    assert gone.foreign


def test_what_was_registered_is_no_surprise_and_hides_none() -> None:
    world = running()
    world.until_sent()
    while world.status.steps[0].phase != "Completed":
        world.do()
    live = LiveState(world.ecs)
    assert find_surprise(world.plan, world.status, world.plan.spec.steps[1], live) is None
    assert find_surprise(world.plan, world.status, world.plan.spec.steps[1], LiveState(service(3)))


def test_all_attempts_carry_the_same_token_and_other_writes_none() -> None:
    one, two = (
        carry_token(build_request("ecs", "RegisterTaskDefinition", {"copyOf": "x", "tags": []}), t)
        for t in ("a-1-1", "a-1-2")
    )
    assert one == two
    other = build_request("ecs", "UpdateService", {"service": "api"})
    assert carry_token(other, "a-1-1") is other
