"""The table of the state machine: every transition in it happens in some history, and no other one in any."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bokgu.api.vocabulary import OperationPhase, PlanPhase
from bokgu.core.transitions import ALL, PLAN, STEP, UNDO, ForbiddenTransition, Row, check_moves
from tests import state_machine_page
from tests.unit.facts import (
    ALICE,
    BOB,
    MINUTE,
    REJECT,
    RUNS,
    VALIDATION,
    health_check,
    incident,
    plan,
    protected_service,
    roll_back,
    run_task,
    scale_out,
    service,
    stop_task,
    tally,
    tasks,
)
from tests.unit.small_world import World

TERMINAL = [phase for phase in PlanPhase if phase.terminal]
CHECKED = roll_back(validation=VALIDATION)


def waiting(*steps: dict[str, object]) -> World:
    """A plan that people have not approved yet."""
    world = World(plan(*steps), tally=tally())
    world.do()
    return world


def held(*steps: dict[str, object]) -> World:
    """An approved plan that is suspended."""
    world = World(plan(*steps))
    world.protected = protected_service(suspend=True)
    world.do()
    return world


def running(*steps: dict[str, object]) -> World:
    world = World(plan(*steps))
    while not world.status.started_at:
        world.do()
    return world


def verifying(*steps: dict[str, object]) -> World:
    world = running(*(steps or (CHECKED,)))
    world.until_sent()
    world.settle()
    world.until(PlanPhase.VERIFYING)
    return world


def undoing() -> World:
    world = verifying()
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    return world


def end(world: World) -> World:
    world.until(*TERMINAL)
    return world


def rejected(world: World) -> World:
    world.tally = tally(ALICE, BOB, REJECT)
    return end(world)


def expired(world: World) -> World:
    world.now += 60 * MINUTE
    return end(world)


def over_before(world: World) -> World:
    world.incident = incident(status={"phase": "Resolved"})
    return end(world)


def approved(world: World) -> World:
    world.tally = tally(ALICE, BOB)
    return world


def opened(world: World) -> World:
    world.protected = protected_service()
    return world


def suspended(world: World) -> World:
    world.protected = protected_service(suspend=True)
    world.do()
    return world


def withdrawn(world: World) -> World:
    world.tally = tally(ALICE)
    world.do()
    return world


def blind(world: World) -> World:
    world.readable = False
    return world


def with_fate(world: World, fate: str) -> World:
    world.until_intent()
    world.fate = fate
    world.do()
    return world


def settled(world: World) -> World:
    world.settle()
    return end(world)


def with_deployment(world: World) -> World:
    world.deploy()
    return end(world)


def deleted(world: World) -> World:
    world.change(replace(world.ecs, status="DRAINING"))
    return end(world)


def looked_late() -> World:
    world = running(health_check())
    world.readable = False
    world.do()
    return end(world)


def undone() -> World:
    world = undoing()
    world.until_sent()
    return settled(world)


def lost_undo() -> World:
    world = with_fate(undoing(), "throttled")
    world.fate = "accepted"
    world.until_sent()
    return end(world)


def done_already() -> World:
    """The task that the plan stops has become well since."""
    preconditions = {**plan().spec.preconditions.to_dict(), "desiredCount": 7}
    world = World(plan(stop_task(), preconditions=preconditions), ecs=service(desired=7), tasks=tasks(7, 1))
    while not world.status.started_at:
        world.do()
    world.tasks = tasks(7)
    return end(world)


def ended_by_itself() -> World:
    """Somebody rejects while the task runs, and it ends before it is stopped."""
    world = World(plan(run_task(rollback={"action": "run_task"})))
    world.protected = protected_service(**RUNS)
    world.until_sent()
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.ROLLING_BACK)
    for arn in world.runs:
        world.stop_task(arn, "")
    return end(world)


HISTORIES: tuple[Callable[[], World], ...] = (
    lambda: end(waiting()),
    lambda: rejected(waiting()),
    lambda: over_before(waiting()),
    lambda: rejected(World(plan())),
    lambda: expired(World(plan(), tally=tally())),
    lambda: over_before(World(plan())),
    running,
    lambda: end(approved(waiting())),
    lambda: withdrawn(held()),
    lambda: rejected(held()),
    lambda: expired(held()),
    lambda: over_before(held()),
    lambda: end(opened(held())),
    lambda: held(health_check()),
    lambda: suspended(approved(waiting())),
    lambda: end(verifying()),
    lambda: end(undoing()),
    undone,
    lost_undo,
    looked_late,
    lambda: end(running(health_check())),
    lambda: rejected(running()),
    lambda: rejected(verifying()),
    lambda: rejected(verifying(scale_out(validation=VALIDATION))),
    lambda: with_deployment(verifying()),
    lambda: with_deployment(undoing()),
    lambda: end(with_fate(running(), "refused")),
    lambda: end(with_fate(running(scale_out(onFailure="Continue")), "refused")),
    lambda: end(with_fate(running(), "throttled")),
    lambda: end(blind(running())),
    lambda: settled(with_fate(running(), "accepted")),
    lambda: deleted(running()),
    lambda: deleted(verifying()),
    lambda: deleted(undoing()),
    done_already,
    ended_by_itself,
)


def test_every_transition_of_the_table_happens() -> None:
    seen = set().union(*(history().moves for history in HISTORIES))
    assert sorted(set(ALL) - seen) == []


@pytest.mark.parametrize("gone", [True, False])
def test_a_wait_for_calm_ends_the_plan_whether_it_comes_or_not(gone: bool) -> None:
    calm = {"name": "calm", "action": "wait", "parameters": {"duration": "5m", "calm": True}, "timeout": "30m"}
    world = running({**calm, "onFailure": "Continue"})
    status = world.incident.status.model_copy(update={"mitigated_at": world.now if gone else None})
    world.incident = world.incident.model_copy(update={"status": status})
    world.until(PlanPhase.VERIFYING)
    end(world)


def test_a_move_that_is_not_in_the_table_is_a_defect_and_never_written() -> None:
    done = plan(status={"phase": "Completed"}).status
    with pytest.raises(ForbiddenTransition, match="plan: Completed → Pending"):
        check_moves(done, plan().status)


def test_every_phase_has_its_row_and_every_phase_that_goes_on_has_a_deadline() -> None:
    assert set(PLAN) == set(PlanPhase)
    assert set(STEP) == set(OperationPhase)
    assert {str(phase) for phase in UNDO} | {"Verifying", "Skipped"} == {str(phase) for phase in OperationPhase}
    tables: tuple[Mapping[Any, Row[Any]], ...] = (PLAN, STEP, UNDO)
    for table in tables:
        for phase, row in table.items():
            assert bool(row.until) == bool(row.next), phase
            assert set(row.next) <= set(table), phase
    assert all(bool(row.next) != phase.terminal for phase, row in PLAN.items())


def test_the_documentation_shows_the_table() -> None:
    page = Path(state_machine_page.PAGE).read_text()
    assert state_machine_page.fill(page) == page, "run `make docs` and commit"
