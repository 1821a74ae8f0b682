"""Dry run: a plan runs, and what it would send is said and not sent."""

import json
from typing import Any

import pytest

from bokgu.api.history import Outcome as HowEnded
from bokgu.api.meta import find_condition
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.vocabulary import IncidentPhase, OperationPhase, PlanPhase
from bokgu.core.dry_run import began_writing, describe_rehearsal, find_dry_run
from bokgu.core.history import build_record
from bokgu.core.lifecycle import build_status
from bokgu.core.next_rung import may_follow
from bokgu.core.track_record import last_begun, track_records
from bokgu.core.writes.write import took_effect
from tests.unit.facts import (
    ALICE,
    BOB,
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    REJECT,
    RUNS,
    RUNS_ROLE,
    VALIDATION,
    Raw,
    detection,
    health_check,
    incident,
    manual,
    metadata,
    plan,
    protected_service,
    register,
    restart,
    roll_back,
    run_task,
    scale_out,
    standing,
    tally,
)
from tests.unit.small_world import World, mid_deployment, operations

ASKED = "spec.dryRun of the ProtectedService"
ENDS = [phase for phase in PlanPhase if phase.terminal]
WAIT = {"name": "wait", "action": "wait", "parameters": {"duration": "5m"}, "timeout": "10m", "onFailure": "Stop"}
CALM = {**WAIT, "name": "calm", "parameters": {"duration": "5m", "calm": True}}


def rehearse(*steps: Raw, **fields: Any) -> World:
    world = World(plan(*steps), dry_run=ASKED, **fields)
    world.until(*ENDS)
    return world


def test_s1_a_dry_run_sends_nothing() -> None:
    world = rehearse(health_check(), scale_out(5), WAIT)
    assert (world.sent, world.effects, world.unsent) == ([], [], set())
    assert (world.status.phase, world.status.reason) == (PlanPhase.CANCELLED, "DryRun")
    assert [s.phase for s in world.status.steps] == ["Completed", "Skipped", "Completed"]
    write = world.status.steps[1]
    assert (write.reason, write.intent, write.answer, write.started_at) == ("DryRun", None, None, None)
    said, _, arguments = str(write.output).partition(": {")
    assert said == "dry run: would have sent ecs UpdateService as the operator itself"
    assert json.loads("{" + arguments) == {"cluster": "shop", "service": "api", "desiredCount": 5}


def test_who_asks_for_a_dry_run() -> None:
    def policy(**spec: Any) -> RecoveryPolicy:
        raw = {"kind": "RecoveryPolicy", "metadata": metadata("default", "uid"), "spec": spec}
        return RecoveryPolicy.model_validate(raw)

    assert find_dry_run(None, None) is None
    assert find_dry_run(protected_service(), policy()) is None
    assert find_dry_run(protected_service(dryRun=True), policy()) == ASKED
    assert find_dry_run(protected_service(), policy(dryRun=True)) == "spec.dryRun of the RecoveryPolicy"


def test_a_dry_run_says_as_whom() -> None:
    target = {"region": "us-east-1", "cluster": "shop", "service": "api", "roleArn": "arn:aws:iam::1:role/shop"}
    world = World(plan(scale_out(), status={"target": target}), dry_run=ASKED)
    world.protected = protected_service(roleArn=target["roleArn"])
    world.until(*ENDS)
    assert "UpdateService as arn:aws:iam::1:role/shop: {" in str(world.status.steps[0].output)
    runs = World(plan(run_task()), dry_run=ASKED)
    runs.protected = protected_service(**RUNS)
    runs.until(*ENDS)
    assert f"RunTask as {RUNS_ROLE}: {{" in str(runs.status.steps[0].output)


def test_s1_a_dry_run_needs_the_same_approvals() -> None:
    world = World(plan(), dry_run=ASKED, tally=tally(ALICE))
    world.do()
    assert (world.status.phase, world.status.steps[0].phase) == (PlanPhase.AWAITING_APPROVAL, "Pending")


def test_s6_a_dry_run_waits_at_closed_gates_and_takes_the_lock() -> None:
    world = World(plan(), dry_run=ASKED)
    world.protected = protected_service(mode="Propose")
    for _ in range(4):
        world.do()
    assert (world.status.phase, world.status.reason) == (PlanPhase.APPROVED, "ModeForbids")
    world.protected = protected_service()
    world.until(*ENDS)
    assert world.protected.status.active_plan
    assert world.protected.status.active_plan.uid == PLAN_UID


def test_a_dry_run_stops_no_deployment() -> None:
    world = mid_deployment(plan(roll_back()), dry_run=ASKED)
    world.until(*ENDS)
    assert world.sent == []
    assert "ecs StopServiceDeployment as" in str(world.status.steps[0].output)


def test_what_rests_on_an_unsent_write_is_gone_past_and_said() -> None:
    """The copy that the rollback needs was not made; the minimum that is given back was not raised."""
    world = World(plan(register(), roll_back(), preconditions={**plan().spec.preconditions.to_dict()}), dry_run=ASKED)
    world.protected = protected_service(rollback={"reregister": True})
    world.until(*ENDS)
    assert (world.sent, world.status.reason) == ([], "DryRun")
    assert [s.reason for s in world.status.steps] == ["DryRun", "DryRun"]

    back = {**scale_out(3), "name": "in", "action": "scale_in"}
    both = rehearse(scale_out(5), back)
    assert (both.sent, both.status.reason) == ([], "DryRun")
    assert "is not known, as nothing was done before it" in str(both.status.steps[1].output)


def test_people_are_asked_in_a_dry_run_too() -> None:
    world = World(plan(manual(), scale_out()), dry_run=ASKED)
    for _ in range(8):
        world.do()
    assert world.status.reason == "AwaitingConfirmation"
    world.until(*ENDS)  # Nobody confirms.
    assert (world.status.phase, world.sent) == (PlanPhase.FAILED, [])


def test_trouble_that_lasts_is_no_failure_of_a_dry_run() -> None:
    world = rehearse(scale_out(), CALM)
    assert world.status.steps[1].phase is OperationPhase.FAILED
    assert (world.status.phase, world.status.reason) == (PlanPhase.CANCELLED, "DryRun")


@pytest.mark.parametrize("steps", [(scale_out(5), restart()), (scale_out(5), roll_back())])
def test_s1_once_a_write_was_not_sent_none_after_it_is(steps: tuple[Raw, ...]) -> None:
    """Whoever turns the dry run off meanwhile: the later steps were planned on top of the earlier ones."""
    world = World(plan(*steps), dry_run=ASKED)
    while not world.status.steps or world.status.steps[0].phase is not OperationPhase.SKIPPED:
        world.do()
    world.dry_run = None
    world.until(*ENDS)
    assert (world.sent, world.status.reason) == ([], "DryRun")


def test_s1_what_has_its_intent_goes_on_and_the_next_write_is_not_sent() -> None:
    world = World(plan(scale_out(5, validation=VALIDATION), restart()))
    world.until_intent()
    world.dry_run = ASKED
    world.do()
    assert len(world.sent) == 1
    world.settle()
    world.until(*ENDS)
    first, second = world.status.steps
    assert (len(world.sent), first.phase, second.phase) == (1, "Completed", "Skipped")
    assert (world.status.phase, world.status.reason) == (PlanPhase.CANCELLED, "DryRun")
    assert describe_rehearsal(world.status).startswith("sent before it: scale-out. dry run: would have sent ecs Update")


def test_s1_what_was_really_done_is_undone_in_a_dry_run() -> None:
    world = World(plan(roll_back(validation=VALIDATION)), error_rate=0.5)
    world.until_sent()
    world.dry_run = ASKED
    world.settle()
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    world.settle()
    world.until(*ENDS)
    assert (world.status.phase, len(world.sent)) == (PlanPhase.ROLLED_BACK, 2)


def test_s1_a_reject_after_an_unsent_write_undoes_what_was_done() -> None:
    world = World(plan(roll_back(), manual(), restart()))
    world.until_sent()
    world.settle()
    while world.status.reason != "AwaitingConfirmation":
        world.do()
    world.dry_run = ASKED
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    assert len(world.sent) == 2


def test_s3_a_call_that_never_arrived_is_not_sent_again() -> None:
    world = World(plan())
    world.until_intent()
    world.fate = "throttled"
    world.do()
    world.dry_run = ASKED
    world.until(*ENDS)
    assert (len(world.sent), world.effects, world.status.reason) == (1, [], "DryRun")
    assert world.status.steps[0].started_at is None
    assert not any(took_effect(o) for o in operations(world.status))


# What is told


def test_status_says_that_nothing_will_be_sent_and_then_what_was_not() -> None:
    world = World(plan(), dry_run=ASKED, tally=tally())
    world.do()
    asked = find_condition(world.status.conditions, "DryRun")
    assert asked
    assert (asked.status, asked.reason) == ("True", "Asked")
    assert ASKED in asked.message
    world.dry_run = None
    world.do()
    assert (c := find_condition(world.status.conditions, "DryRun"))
    assert c.status == "False"
    done = rehearse(scale_out(5))
    by_type = {c.type: c for c in done.status.conditions}
    assert (by_type["DryRun"].status, by_type["DryRun"].reason) == ("True", "NotSent")
    assert by_type["DryRun"].message.startswith("nothing was done. dry run: would have sent ecs UpdateService")
    assert (by_type["Executed"].status, by_type["Executed"].reason) == ("False", "DryRun")
    assert (by_type["Succeeded"].status, by_type["Succeeded"].reason) == ("False", "DryRun")
    assert find_condition(World(plan()).do().status.conditions, "DryRun") is None


ENTRY = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "startedAt": NOW, "runbook": "surge"}


def test_the_incident_tells_it_and_goes_to_a_person() -> None:
    world = rehearse(scale_out(5))
    now = world.now + MINUTE
    trouble = incident(status={"plans": [ENTRY], "phase": "Recovering"})
    firing = detection("Firing", NOW - 20 * MINUTE)
    status = build_status(trouble, standing(now=now, plan=world.plan, detection=firing))
    assert (status.phase, status.reason) == (IncidentPhase.ESCALATED, "DryRun")
    (escalated,) = [e for e in status.timeline if e.event == "Escalated"]
    assert "plan-1 was a dry run, nothing was done. dry run: would have sent ecs UpdateService" in escalated.message
    told = incident(status=status.to_dict())
    assert not may_follow(told, world.plan, firing), "it is not planned again and again"


def test_trouble_that_goes_away_after_a_dry_run_went_by_itself() -> None:
    world = rehearse(scale_out(5))
    trouble = incident(status={"plans": [ENTRY], "phase": "Escalated"})
    gone = standing(now=world.now, plan=world.plan, detection=detection("Clear", world.now))
    status = build_status(trouble, gone)
    (resolved,) = [e for e in status.timeline if e.event == "Resolved"]
    assert (status.reason, "without a plan of ours" in resolved.message) == ("Cleared", True)


@pytest.mark.parametrize("real", [0, 1])
def test_a_dry_run_is_neither_success_nor_failure_of_its_runbook(real: int) -> None:
    steps = (scale_out(5, validation=VALIDATION, onFailure="Continue"), restart())[1 - real :]
    world = World(plan(*steps, runbookRef={"name": "surge"}), error_rate=0.5)
    if real:  # Its first write is measured not to help, and skipped.
        world.until_sent()
        world.settle()
    world.dry_run = ASKED
    world.until(*ENDS)
    assert world.status.reason == "DryRun"
    over = incident(status={"plans": [ENTRY], "phase": "Resolved", "reason": "Cleared", "resolvedAt": world.now})
    record = build_record(over, [world.plan], "production")
    assert record.outcome != HowEnded.RECOVERED
    assert track_records([record]) == {}
    assert (last_begun([record], "api") == {}) is (real == 0)
    assert (began_writing(world.status) is None) is (real == 0)
