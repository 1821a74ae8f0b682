"""What a plan says is what it does: nothing else, nothing later, nobody else's."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bokgu.api.observed import AwsError
from bokgu.api.vocabulary import PlanPhase, Verdict
from bokgu.core.execution import decide
from bokgu.core.plan_facts import Send
from tests.unit.facts import (
    MINUTE,
    VALIDATION,
    Raw,
    incident,
    plan,
    restart,
    revision_arn,
    roll_back,
    task_definition,
)
from tests.unit.small_world import World

TERMINAL = [phase for phase in PlanPhase if phase.terminal]
WAIT: Raw = {
    "name": "wait",
    "action": "wait",
    "parameters": {"duration": "1h"},
    "timeout": "2h",
    "onFailure": "Stop",
}


def test_s12_an_expression_that_cannot_be_read_ends_the_step_and_not_the_pass() -> None:
    world = World(plan(roll_back(validation={**VALIDATION, "expression": "Error rate < 5%"})))
    world.until_sent()
    world.settle()
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.steps[0].verdict) == (PlanPhase.FAILED, Verdict.INCONCLUSIVE)
    assert "not a comparison" in (world.status.steps[0].output or "")


@pytest.mark.parametrize(
    "parameters",
    [
        {"serviceRevisionArn": revision_arn(1), "taskDefinition": task_definition(77)},
        {"serviceRevisionArn": revision_arn(1).replace("/shop/api/", "/shop/other/")},
        {"serviceRevisionArn": revision_arn(1).replace("/shop/api/", "/other/api/")},
    ],
)
def test_s1_a_rollback_restores_what_it_shows_and_only_of_its_own_service(parameters: Raw) -> None:
    world = World(plan(roll_back(parameters=parameters)))
    world.until(*TERMINAL)
    assert (world.status.reason, world.sent) == ("CannotBuildRequest", [])


def test_s4_what_somebody_deployed_after_a_crash_is_not_taken_for_ours() -> None:
    world = World(plan(roll_back(validation=VALIDATION)))
    world.until_intent()
    world.crash()
    world.now += 3 * MINUTE
    world.deploy(task_definition(1))
    world.settle()
    world.error_rate = 0.5
    world.until(*TERMINAL)
    assert (world.status.reason, world.sent) == ("EffectUnknown", [])


@pytest.mark.parametrize(
    ("status", "reason"), [({"phase": "Resolved"}, "IncidentResolved"), (None, "IncidentGone"), ({}, "Expired")]
)
def test_s1_the_first_write_after_a_wait_asks_again_whether_it_may_begin(status: Raw | None, reason: str) -> None:
    world = World(plan(WAIT, restart()))
    while not world.status.started_at:
        world.do()
    plans = [entry.to_dict() for entry in world.incident.status.plans]
    world.incident = incident(status={**(status or {}), "plans": plans})
    over = None
    while over is None or not over.status.phase.terminal:
        world.now += over.requeue_after or timedelta() if over else timedelta()
        facts = world.facts()
        over = decide(world.plan, facts if status is not None else replace(facts, incident=None))
        assert not isinstance(over.effect, Send)
        world.plan = world.plan.model_copy(update={"status": over.status})
    assert (over.status.phase, over.status.reason) == (PlanPhase.CANCELLED, reason)


def test_s4_a_deployment_that_the_plan_does_not_name_is_not_stopped() -> None:
    open_to_all = {"desiredCount": 3, "rootCause": "BadDeployment"}
    world = World(plan(roll_back(to=2, rollback=None, onFailure="Stop"), preconditions=open_to_all))
    world.deploy(task_definition(5))
    for _ in range(20):
        world.now += world.do().requeue_after or timedelta()
    assert world.sent == []
    assert world.status.reason == "DeploymentInProgress"
    said = next(gate.message for gate in world.status.gates if gate.name == "NoDeployment")
    assert "preconditions.serviceDeploymentArn" in (said or "")


def test_s12_the_longest_words_about_a_deleted_service_end_the_plan() -> None:
    world = World(plan(restart()))
    world.until_sent()
    gone = AwsError("DescribeServices", "MISSING", "x" * 400, sent=False)
    ended = decide(world.plan, replace(world.facts(), live=None, problem=gone))
    assert (ended.status.phase, ended.status.reason) == (PlanPhase.CANCELLED, "ServiceGone")
