"""stop_unhealthy_tasks: which tasks are named, what must hold when one is stopped, and what becomes of it."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.observed import EcsService, Task
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Action, PlanPhase, RootCause
from bokgu.aws.tasks import find_states
from bokgu.core.live_state import LiveState
from bokgu.core.plan_facts import Send
from bokgu.core.planning import build_plan
from bokgu.core.planning_facts import NoPlan
from bokgu.core.preconditions import find_surprise
from bokgu.core.task_health import find_needless, find_obstacle, find_trouble
from bokgu.core.writes.table import write_of
from bokgu.core.writes.write import build_request
from tests.unit.facts import (
    MINUTE,
    PLAN_UID,
    VALIDATION,
    classification,
    deployment,
    plan,
    protected_service,
    restart,
    scale_out,
    service,
    stop_task,
    task,
    task_arn,
    tasks,
)
from tests.unit.small_world import World
from tests.unit.test_planning import planning
from tests.unit.test_writes import intent

UNHEALTHY = classification(rootCause="HealthCheckFailure", newRevisionAtFault=False)
FULL = classification(rootCause="DiskExhausted", newRevisionAtFault=False)


# Planning


def planned(*bad: int, desired: int = 10, found: Any = UNHEALTHY, **changes: Any) -> RecoveryPlan | NoPlan:
    given = {"tasks": tuple(tasks(desired, *bad).values()), "service": service(desired=desired), **changes}
    return build_plan(planning(classification=found, **given))


def stopped_by(made: RecoveryPlan | NoPlan) -> list[str]:
    assert isinstance(made, RecoveryPlan), made
    stops = [s for s in made.spec.steps if s.action is Action.STOP_UNHEALTHY_TASKS]
    return [s.parameters.task or "" for s in stops if s.parameters]


def test_each_bad_task_is_a_step_that_names_it_the_oldest_first() -> None:
    made = planned(7, 2, 5)
    assert stopped_by(made) == [task_arn(2), task_arn(5), task_arn(7)]
    assert isinstance(made, RecoveryPlan)
    assert [s.name for s in made.spec.steps] == ["health-check", "replace-1", "replace-2", "replace-3"]
    assert all("Nothing takes that back" in (s.description or "") for s in made.spec.steps[1:])
    assert not any(s.rollback for s in made.spec.steps)


def test_only_the_last_stop_can_be_proven_by_the_metric() -> None:
    made = planned(2, 5)
    assert isinstance(made, RecoveryPlan)
    assert [bool(s.validation) for s in made.spec.steps] == [False, False, True]


@pytest.mark.parametrize(
    ("bad", "desired", "reason"),
    [
        ((), 10, "NoBadTask"),
        ((1,), 3, "TooManyBadTasks"),
        ((1,), 1, "TooManyBadTasks"),
        ((1, 2), 6, "TooManyBadTasks"),
        ((1, 2, 3, 4), 20, "TooManyBadTasks"),
        ((1, 2, 3), 3, "TooManyBadTasks"),
        ((1,), 4, None),
        ((1, 2, 3), 10, None),
    ],
)
def test_s11_no_task_is_stopped_where_a_third_is_bad_or_more_than_three(
    bad: tuple[int, ...], desired: int, reason: str | None
) -> None:
    made = planned(*bad, desired=desired)
    assert isinstance(made, NoPlan) is (reason is not None)
    if isinstance(made, NoPlan):
        assert not made.wait
        assert made.reason == "NoSafeAction"  # What the first rung, which only has advice, says.
        assert "not well" in made.message


def test_a_full_disk_names_its_task() -> None:
    found = [task(n, disk_percent=96.5 if n == 3 else 20.0) for n in range(1, 5)]
    made = planned(found=FULL, desired=4, tasks=tuple(found))
    assert stopped_by(made) == [task_arn(3)]
    assert isinstance(made, RecoveryPlan)
    assert "96 % full" in (made.spec.steps[1].description or "")
    assert any("ephemeral storage" in r.description for r in made.spec.risks)


@pytest.mark.parametrize("fault", [True, None])
def test_s1_where_a_new_revision_may_be_at_fault_no_task_is_stopped(fault: bool | None) -> None:
    found = classification(rootCause="HealthCheckFailure", newRevisionAtFault=fault)
    made = planned(2, found=found)
    assert isinstance(made, NoPlan) or not stopped_by(made)


def test_an_action_that_is_not_allowed_is_asked_for_only_where_it_would_help() -> None:
    closed = protected_service(allowedActions=[])
    few, all_ = planned(2, protected_service=closed), planned(1, 2, 3, desired=3, protected_service=closed)
    assert isinstance(few, NoPlan)
    assert isinstance(all_, NoPlan)
    assert (few.reason, few.wait) == ("ActionNotAllowed", True)
    assert (all_.reason, all_.wait) == ("NoSafeAction", False)


def test_s12_tasks_that_nobody_describes_leave_the_advice() -> None:
    made = planned(tasks=None, tasks_problem="DescribeTasks: AccessDenied: no")
    assert isinstance(made, NoPlan)
    assert not made.wait
    assert "AccessDenied" in made.message


# When one may be stopped

FOUR = service(desired=4)


def obstacle(found: dict[str, Task], ecs: EcsService = FOUR, *named: int) -> str | None:
    one = plan(*(stop_task(n) for n in named or (1,)))
    return find_obstacle(one, one.spec.steps[0], found, ecs)


def test_a_bad_task_may_be_stopped_while_all_others_are_well() -> None:
    assert obstacle(tasks(4, 1)) is None
    assert obstacle(tasks(7, 1, 2), service(desired=7), 1, 2) is None


def changed(number: int, **fields: Any) -> dict[str, Task]:
    found = tasks(4, 1)
    return found | {task_arn(number): replace(found[task_arn(number)], **fields)}


IN_GROUP = service(desired=4, target_groups=("blue",))


@pytest.mark.parametrize(
    ("found", "ecs", "says"),
    [
        (tasks(4, 1, 2), FOUR, "2 of 4"),
        (changed(2, last_status="PENDING"), FOUR, "PENDING"),
        (changed(2, last_status="DEPROVISIONING"), FOUR, "DEPROVISIONING"),
        (changed(1, health_status="HEALTHY"), FOUR, "nothing says"),
        (changed(1, started_by="somebody"), FOUR, "none of the service's"),
        (tasks(3, 1), FOUR, "3 of 4"),
        (tasks(4, 1), service(desired=4, running=3), "all others run"),
        (tasks(4, 1), service(desired=4, deployments=(deployment(2, desired=4, state="IN_PROGRESS"),)), "all others"),
        (tasks(4, 1), IN_GROUP, "none of the service's target groups"),
        (tasks(4, 1, target_states=("initial",)), IN_GROUP, "initial"),
        (changed(2, health_status="UNKNOWN"), FOUR, "UNKNOWN"),
        ({}, FOUR, "nothing says"),
    ],
)
def test_s6_a_task_is_not_stopped_while_another_is_not_well(found: dict[str, Task], ecs: EcsService, says: str) -> None:
    assert says in (obstacle(found, ecs) or "")


def test_s6_what_is_not_known_blocks() -> None:
    one = plan(stop_task())
    assert find_obstacle(one, one.spec.steps[0], None, FOUR)
    assert find_obstacle(one, one.spec.steps[0], tasks(4, 1), None)


def test_a_task_is_well_in_the_target_group_that_takes_the_traffic() -> None:
    """Of a blue/green pair one is unused."""
    states = ("unused", "healthy")
    found = tasks(4, target_states=states)
    found[task_arn(1)] = replace(found[task_arn(1)], target_states=("unused", "unhealthy"))
    assert obstacle(found, IN_GROUP) is None
    assert find_trouble(task(1, target_states=states)) is None


@pytest.mark.parametrize(
    ("found", "cause", "needless"),
    [
        (tasks(4, 1), RootCause.HEALTH_CHECK_FAILURE, False),
        (tasks(4), RootCause.HEALTH_CHECK_FAILURE, True),
        ({}, RootCause.HEALTH_CHECK_FAILURE, True),
        (changed(1, desired_status="STOPPED"), RootCause.HEALTH_CHECK_FAILURE, True),
        (tasks(4), RootCause.DISK_EXHAUSTED, False),
        (tasks(4, disk_percent=96.0), RootCause.DISK_EXHAUSTED, False),
        (tasks(4, disk_percent=20.0), RootCause.DISK_EXHAUSTED, True),
        (None, RootCause.HEALTH_CHECK_FAILURE, False),
    ],
)
def test_what_is_done_already_is_told_from_what_is_not_known(
    found: dict[str, Task] | None, cause: RootCause, *, needless: bool
) -> None:
    step = plan(stop_task()).spec.steps[0]
    assert (find_needless(step, found, FOUR, cause) is not None) is needless


# The run of it


def stopping(*bad: int, desired: int = 7, **fields: Any) -> World:
    preconditions = {**plan().spec.preconditions.to_dict(), "desiredCount": desired, "rootCause": "HealthCheckFailure"}
    steps = [stop_task(n, **(fields if n == bad[-1] else {})) for n in bad]
    world = World(plan(*steps, preconditions=preconditions), ecs=service(desired=desired), tasks=tasks(desired, *bad))
    while not world.status.started_at:
        world.do()
    return world


def arguments(send: Send) -> dict[str, str]:
    found: dict[str, str] = json.loads(send.request.arguments)
    return found


def test_tasks_are_stopped_one_at_a_time_each_when_the_service_is_complete_again() -> None:
    world = stopping(1, 2)
    world.until_sent()
    for _ in range(5):
        world.now += world.do().requeue_after or timedelta()
    assert [arguments(s)["task"] for s in world.sent] == [task_arn(1)]
    world.start_task(8)
    world.until_sent()
    world.start_task(9)
    world.until(PlanPhase.COMPLETED)
    assert [arguments(s)["task"] for s in world.sent] == [task_arn(1), task_arn(2)]
    assert arguments(world.sent[0])["reason"].endswith(f"({PLAN_UID[:8]}-1)")
    assert "task 1 stopped" in (world.status.steps[0].output or "")
    assert "not by Bokgu" not in (world.status.steps[0].output or "")


def test_a_task_that_ecs_replaced_meanwhile_is_left_alone() -> None:
    world = stopping(1, 2)
    world.until_sent()
    world.stop_task(task_arn(2), "Task failed ELB health checks")
    world.start_task(8)
    world.start_task(9)
    world.until(PlanPhase.COMPLETED)
    assert len(world.sent) == 1
    assert (world.status.steps[1].phase, world.status.steps[1].reason) == ("Skipped", "NotNeeded")


def test_s4_a_plan_that_has_nothing_left_to_stop_is_cancelled_and_says_so() -> None:
    approved_late = World(plan(stop_task()), tasks=tasks(3))
    approved_late.until(PlanPhase.CANCELLED)
    running = stopping(1)
    assert running.tasks
    running.tasks = tasks(7)
    running.until(PlanPhase.CANCELLED)
    for world in (approved_late, running):
        assert (world.status.reason, world.sent) == ("PreconditionChanged", [])
        assert "well again" in world.status.gates[-1].message  # type: ignore[operator]


@pytest.mark.parametrize("fate", ["lost", "never"])
def test_s3_a_lost_stop_is_adopted_or_sent_again(fate: str) -> None:
    world = stopping(1)
    world.until_intent()
    world.fate = fate
    while world.unsent:
        world.do()
    world.crash()
    world.fate = "accepted"
    if fate == "never":
        world.now += 6 * MINUTE
        world.until_sent()
    world.start_task(8)
    world.until(PlanPhase.COMPLETED)
    assert len(world.effects) == 1
    assert len({arguments(s)["reason"] for s in world.sent}) == 1


@pytest.mark.parametrize(
    ("now", "seen"),
    [
        ({}, False),
        ({"desired_status": "STOPPED"}, True),
        ({"last_status": "STOPPED", "desired_status": "STOPPED"}, True),
        (None, True),
    ],
)
def test_s3_a_stopped_task_is_recognised_also_when_ecs_has_forgotten_it(now: dict[str, str] | None, seen: bool) -> None:
    request = build_request("ecs", "StopTask", {"cluster": "shop", "task": task_arn(1), "reason": "x"})
    found = {} if now is None else {task_arn(1): task(1, **now)}
    effect = write_of(request).find_effect(intent(request, service()), LiveState(service(), tasks=found))
    assert (effect.seen, effect.ambiguous) == (seen, False)
    assert not write_of(request).find_effect(intent(request, service()), LiveState(service())).seen


def test_s4_a_deployment_or_a_count_that_comes_in_between_is_somebody_elses() -> None:
    for change in ("deploy", "scale"):
        world = stopping(1)
        world.until_sent()
        world.deploy() if change == "deploy" else world.scale(9)
        world.now += 10 * MINUTE
        world.until(PlanPhase.FAILED)
        assert world.status.reason == "ForeignChange"


def test_what_a_stop_leaves_need_not_be_held_by_later_steps() -> None:
    world = stopping(1)
    world.until_sent()
    world.start_task(8)
    world.until(PlanPhase.COMPLETED)
    more = plan(stop_task(), scale_out(), preconditions=world.plan.spec.preconditions.to_dict())
    live = LiveState(world.ecs, tasks=tasks(7))
    assert find_surprise(more, world.status, more.spec.steps[1], live) is None
    assert find_surprise(more, world.status, more.spec.steps[1], replace(live, service=service(desired=9)))


def test_later_steps_of_the_plan_may_change_what_a_stop_found() -> None:
    preconditions = {**plan().spec.preconditions.to_dict(), "desiredCount": 7}
    world = World(plan(stop_task(), scale_out(8), restart(), preconditions=preconditions), ecs=service(desired=7))
    world.tasks = tasks(7, 1)
    world.until_sent()
    world.start_task(8)
    world.until_sent()
    world.settle()
    world.until_sent()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert [s.request.operation for s in world.sent] == ["StopTask", "UpdateService", "UpdateService"]


def test_a_verified_stop_waits_for_the_metric() -> None:
    world = stopping(1, validation=VALIDATION)
    world.until_sent()
    world.start_task(8)
    world.until(PlanPhase.VERIFYING)
    world.until(PlanPhase.COMPLETED)
    assert world.status.steps[0].verdict == "Passed"


def test_s1_a_reject_does_not_bring_the_task_back() -> None:
    made = plan(stop_task())
    assert made.spec.steps[0].rollback is None


# What tells the health of a task

BLUE = {("10.0.0.1", 80): "healthy", ("10.0.0.1", None): "healthy"}
GREEN = {("i-1", 32768): "unhealthy", ("i-1", None): "unhealthy", ("i-1", 32769): "healthy"}


@pytest.mark.parametrize(
    ("raw", "states"),
    [
        ({"containers": [{"networkInterfaces": [{"privateIpv4Address": "10.0.0.1"}]}]}, ("healthy",)),
        ({"containers": [{"networkInterfaces": [{"privateIpv4Address": "10.0.0.9"}]}]}, ()),
        ({"containers": [{"networkBindings": [{"hostPort": 32768}]}], "containerInstanceArn": "ci/1"}, ("unhealthy",)),
        ({"containers": [{"networkBindings": [{"hostPort": 32769}]}], "containerInstanceArn": "ci/1"}, ("healthy",)),
        ({"containers": [{"networkBindings": [{"hostPort": 32768}]}], "containerInstanceArn": "ci/2"}, ()),
        ({}, ()),
    ],
)
def test_a_task_is_found_in_target_groups_by_its_address_or_by_instance_and_port(
    raw: dict[str, Any], states: tuple[str, ...]
) -> None:
    assert find_states(raw, [BLUE, GREEN], {"ci/1": "i-1"}) == states
