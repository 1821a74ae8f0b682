"""The gate DeploymentSettled: a deployment is not stopped within its own health grace, unless it is failing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.meta import Gate
from bokgu.api.observed import Deployment
from bokgu.api.vocabulary import PlanPhase
from bokgu.core.guards.deployment import check_settled
from bokgu.core.plan_facts import Timing, guard_facts
from tests.unit import test_code_deploy as code_deploy
from tests.unit.facts import (
    MINUTE,
    NOW,
    Raw,
    deploying,
    described_deployment,
    facts,
    plan,
    protected_service,
    restart,
    roll_back,
    scale_out,
    service,
)
from tests.unit.small_world import mid_deployment


def ask(
    age: timedelta,
    *,
    grace: int = 300,
    step: Raw | None = None,
    primary: dict[str, Any] | None = None,
    described: dict[str, Any] | None = None,
    **fields: Any,
) -> Gate:
    """The gate before a step while a deployment of that age is in flight."""
    one = plan(step or roll_back())
    seen = deploying(3, 2, grace_seconds=grace)
    new = replace(seen.deployments[0], created_at=NOW - age, **(primary or {}))
    seen = replace(seen, deployments=(new, *seen.deployments[1:]))
    deployment = described_deployment(3, replaces=2, created_at=NOW - age, **(described or {}))
    asked = guard_facts(one, one.spec.steps[0], facts(service=seen, deployment=deployment, **fields))
    return check_settled(asked)


def test_s6_a_young_deployment_is_left_alone_until_its_grace_is_over() -> None:
    gate = ask(MINUTE)
    assert (gate.passed, gate.reason) == (False, "DeploymentSettling")
    assert gate.blocked_until == NOW + 6 * MINUTE  # five of the service and two more, since a minute ago
    assert "2026-11-24T08:06:00Z" in str(gate.message)


@pytest.mark.parametrize(
    ("age", "grace", "passed"),
    [
        (timedelta(minutes=7) - timedelta(seconds=1), 300, False),
        (timedelta(minutes=7), 300, True),
        (timedelta(seconds=119), 0, False),
        (timedelta(seconds=120), 0, True),
    ],
)
def test_the_grace_is_that_of_the_service_and_two_minutes(age: timedelta, grace: int, passed: bool) -> None:
    assert ask(age, grace=grace).passed is passed


def test_a_world_that_runs_faster_has_shorter_graces() -> None:
    fast = Timing(consistency_delay=5 * MINUTE, poll=timedelta(seconds=20), minute=timedelta(seconds=1))
    assert ask(MINUTE, timing=fast).passed
    assert not ask(timedelta(seconds=6), timing=fast).passed


def stops(deployment: str) -> dict[str, Any]:
    entry = {"task": "arn:aws:ecs:us-east-1:1:task/shop/1", "at": NOW, "deploymentId": deployment, "reason": "exited"}
    return {"protected_service": protected_service(status={"recentStops": [entry]})}


@pytest.mark.parametrize(
    "failing",
    [
        {"primary": {"failed_tasks": 1}},
        {"primary": {"rollout_state": "FAILED"}},
        {"primary": {"rollout_state": "COMPLETED"}},
        {"described": {"rollback_reason": "the circuit breaker was triggered"}},
        {"described": {"status": "ROLLBACK_IN_PROGRESS"}},
        stops("ecs-svc/3"),
    ],
)
def test_one_that_fails_is_stopped_at_once(failing: dict[str, Any]) -> None:
    assert ask(MINUTE, **failing).passed


def test_s6_trouble_of_the_deployment_before_is_none_of_the_young_one() -> None:
    assert not ask(MINUTE, **stops("ecs-svc/2")).passed
    old: Deployment = replace(deploying(3, 2).deployments[1], failed_tasks=4)
    one = plan(roll_back())
    seen = deploying(3, 2, grace_seconds=300)
    seen = replace(seen, deployments=(seen.deployments[0], old))
    young = described_deployment(3, replaces=2, created_at=NOW)
    assert not check_settled(guard_facts(one, one.spec.steps[0], facts(service=seen, deployment=young))).passed


@pytest.mark.parametrize("status", ["PENDING", "IN_PROGRESS"])
def test_s6_a_young_deployment_that_is_not_listed_yet_is_not_stopped(status: str) -> None:
    one = plan(roll_back())
    young = described_deployment(3, replaces=2, status=status, created_at=NOW)
    seen = service(deployments=())
    assert not check_settled(guard_facts(one, one.spec.steps[0], facts(service=seen, deployment=young))).passed


@pytest.mark.parametrize("step", [restart(), scale_out()])
def test_what_stops_no_deployment_is_held_by_other_gates(step: Raw) -> None:
    assert ask(MINUTE, step=step).passed


def test_s6_a_plan_waits_until_the_deployment_has_had_its_time() -> None:
    world = mid_deployment(plan(roll_back()))
    world.change(replace(world.ecs, grace_seconds=600))
    for _ in range(5):
        world.do()
    assert (world.status.phase, world.status.reason) == (PlanPhase.APPROVED, "DeploymentSettling")
    world.now = NOW + 7 * MINUTE  # It began five minutes ago; ten minutes of grace and two more are over.
    world.until_sent()
    assert world.sent[0].request.operation == "StopServiceDeployment"


@pytest.mark.parametrize(
    ("age", "found", "passed"),
    [
        (MINUTE, {}, False),
        (2 * MINUTE, {}, True),
        (MINUTE, {"told": {"error": "the alarm went off"}}, True),
        (MINUTE, {"status": "PRIMARY"}, True),
    ],
)
def test_a_deployment_by_codedeploy_has_the_same_grace(age: timedelta, found: dict[str, Any], passed: bool) -> None:
    made = replace(code_deploy.task_set(2, found.get("status", "ACTIVE"), code_deploy.BAD), created_at=NOW - age)
    old = code_deploy.task_set(1, "ACTIVE" if "status" in found else "PRIMARY")
    seen = code_deploy.deployed(old, made)
    one = plan(code_deploy.stop())
    live = code_deploy.world(seen, code_deploy.told(**found.get("told", {})))
    asked = guard_facts(one, one.spec.steps[0], facts(live=live))
    assert check_settled(asked).passed is passed
