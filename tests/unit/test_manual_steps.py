"""Steps that a person confirms: a confirmation is no approval, an approval is no confirmation, and a Reject is one."""

from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Decision, OperationPhase, PlanPhase, Proof, Verdict
from bokgu.core.announcement import announce_approvals
from bokgu.core.approval.judgement import Authenticated, Judgement, judge_approval
from bokgu.core.approval.missing import find_missing
from bokgu.core.approval.requirement import Requirement, build_requirement, find_stakes
from bokgu.core.approval.statement import approval_statement
from bokgu.core.approval.tally import Tally, tally_approvals
from bokgu.core.moment import Moment
from tests.unit.facts import (
    ALICE,
    BOB,
    DIGEST,
    MINUTE,
    NOW,
    REJECT,
    ROLES,
    VALIDATION,
    approval,
    plan,
    protected_service,
    roll_back,
    scale_out,
    tally,
)
from tests.unit.small_world import World

TERMINAL = [phase for phase in PlanPhase if phase.terminal]
SECOND = timedelta(seconds=1)
LOOK: dict[str, Any] = {
    "name": "look",
    "action": "manual",
    "description": "The orders table is whole.",
    "timeout": "30m",
    "onFailure": "Stop",
}
BY_PERSON = {"type": "manual", "criteria": "orders_whole", "timeout": "20m"}


def judge(said: Any, of: RecoveryPlan, *, ahead: timedelta = timedelta(), may: bool = True) -> Judgement:
    """What the operator says to an approval whose approver is known."""
    requirement = build_requirement(of, find_stakes(of, None, (), None), None)
    return judge_approval(
        said,
        digest=DIGEST,
        requirement=requirement,
        authenticated=Authenticated(Proof.SIGNED),
        may_approve=may,
        emergency_role="incident_commander",
        moment=Moment.between(NOW + 10 * MINUTE, ahead),
    )


def said(role: str = "service_owner", step: str | None = "look", *, at: Any = NOW + 5 * MINUTE, **spec: Any) -> Any:
    return approval(role, "carol@example.com", meta={"creationTimestamp": at}, step=step, **spec)


def waiting(since: Any = NOW) -> RecoveryPlan:
    return plan(LOOK, status={"startedAt": NOW, "steps": [{"name": "look", "startedAt": since, "phase": "InProgress"}]})


def confirmed(step: str = "look") -> Tally:
    judgement = Judgement(said(step=step), "Accepted", "", Proof.SIGNED)
    return tally(ALICE, BOB, judgement)


def asked(*steps: dict[str, Any]) -> World:
    """A world whose plan waits for a person."""
    world = World(plan(*(steps or (LOOK,))))
    for _ in range(20):
        if world.status.reason == "AwaitingConfirmation":
            return world
        world.do()
        world.settle()
    raise AssertionError(world.status.to_dict())


# Attacks


def test_s8_what_is_signed_of_a_step_is_another_text_and_what_is_signed_of_a_plan_is_as_ever() -> None:
    plain = approval_statement(DIGEST, "service_owner", Decision.APPROVE, NOW)
    assert plain.decode() == (
        "bokgu.dev/approval v1\n"
        f"digest: {DIGEST}\nrole: service_owner\ndecision: Approve\nvalidUntil: 2026-11-24T08:00:00Z\n"
    )
    of_step = approval_statement(DIGEST, "service_owner", Decision.APPROVE, NOW, "look")
    other = approval_statement(DIGEST, "service_owner", Decision.APPROVE, NOW, "look-2")
    assert len({plain, of_step, other}) == 3
    assert b"\nstep: look\n" in of_step


def test_s8_a_confirmation_fills_no_role_and_overrides_nothing() -> None:
    confirmations = [
        Judgement(said(role, at=NOW), "Accepted", "", Proof.SIGNED) for role in (*ROLES, "incident_commander")
    ]
    found = tally_approvals(Requirement(ROLES), confirmations, emergency_role="incident_commander")
    assert (found.approved, found.missing, found.counted, found.stand_in) == (False, ROLES, (), None)


def test_s8_an_approval_of_the_plan_confirms_no_step() -> None:
    assert not tally(ALICE, BOB).confirmed
    world = asked()
    for _ in range(5):
        world.now += MINUTE
        world.do()
    assert world.status.steps[0].phase is OperationPhase.IN_PROGRESS


def test_s8_a_confirmation_of_one_step_confirms_no_other_one() -> None:
    world = asked()
    world.tally = confirmed("another")
    world.do()
    assert world.status.steps[0].phase is OperationPhase.IN_PROGRESS


@pytest.mark.parametrize(
    ("one", "of", "reason"),
    [
        (said(), waiting(), "Accepted"),
        (said(at=NOW), waiting(), "OlderThanStep"),
        (said(at=NOW - MINUTE), waiting(), "OlderThanStep"),
        (said(), waiting(None), "StepNotWaiting"),
        (said(), plan(LOOK), "StepNotWaiting"),
        (said(step="other"), waiting(), "NoSuchStep"),
        (said(step="scale-out"), plan(scale_out()), "NoSuchStep"),
        (said("incident_commander"), waiting(), "RoleNotRequired"),
        (said("intern"), waiting(), "RoleNotRequired"),
        (said(validUntil=NOW + 6 * MINUTE), waiting(), "Expired"),
        (said("incident_commander", decision="Reject"), waiting(), "Accepted"),
        (said(step="other", decision="Reject"), waiting(), "Accepted"),
    ],
)
def test_s8_a_confirmation_counts_only_for_a_step_that_waits_and_from_somebody_who_must_approve(
    one: Any, of: RecoveryPlan, reason: str
) -> None:
    assert judge(one, of).reason == reason


def test_s8_a_confirmation_needs_the_right_to_the_role() -> None:
    assert judge(said(), waiting(), may=False).reason == "RoleNotHeld"


@pytest.mark.parametrize("ahead", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_s8_a_confirmation_is_younger_than_what_it_confirms_by_both_clocks(ahead: timedelta) -> None:
    assert judge(said(), waiting(), ahead=ahead).reason == "OlderThanStep"


def test_s8_a_confirmation_that_cannot_be_judged_holds_up_no_withdrawal() -> None:
    unknown = Judgement(said(), "RightUnknown", "")
    assert not tally(ALICE, unknown).undecided
    reject = Judgement(said(decision="Reject"), "RightUnknown", "")
    assert tally(ALICE, BOB, reject).in_doubt


def test_the_command_counts_a_confirmation_as_no_approval_either() -> None:
    world = World(plan(LOOK, scale_out()), tally=tally(ALICE, Judgement(said(), "Accepted", "", Proof.SIGNED)))
    world.do()
    assert find_missing(world.plan) == ("service_owner",)


# What happens


def test_a_manual_step_says_what_to_confirm_and_how_and_goes_on_when_somebody_does() -> None:
    world = asked(LOOK, scale_out())
    step = world.status.steps[0]
    assert "The orders table is whole." in (step.output or "")
    assert "bokgu approve PLAN --step look --role system_admin or service_owner" in (step.output or "")
    assert "  step: look\n" in (world.status.approval_request or "")
    assert not world.sent
    world.tally = confirmed()
    world.do()
    done = world.status.steps[0]
    assert (done.phase, done.reason, done.verdict) == (OperationPhase.COMPLETED, None, None)
    assert done.confirmation
    assert (done.confirmation.approver, done.confirmation.role) == ("carol@example.com", "service_owner")
    world.until_sent()
    world.settle()
    world.until(PlanPhase.COMPLETED)


def test_an_event_says_once_that_a_confirmation_is_needed() -> None:
    world = World(plan(LOOK))
    reasons = []
    for _ in range(12):
        before = world.status
        world.do()
        reasons += [a.reason for a in announce_approvals(before, world.status)]
    assert reasons.count("ConfirmationNeeded") == 1


def test_a_manual_step_that_nobody_confirms_ends_at_its_timeout() -> None:
    world = asked()
    begun = world.now
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "NotConfirmed")
    assert 30 * MINUTE <= world.now - begun < 31 * MINUTE


@pytest.mark.parametrize("steps", [(roll_back(), LOOK), (roll_back(validation=BY_PERSON),)])
def test_a_reject_while_a_person_is_asked_undoes_what_was_done(steps: tuple[dict[str, Any], ...]) -> None:
    world = asked(*steps)
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)
    assert world.status.reason == "Rejected"


def test_a_reject_that_names_a_step_stops_the_plan_too() -> None:
    world = asked()
    world.tally = tally(ALICE, BOB, Judgement(said(decision="Reject"), "Accepted", "", Proof.SIGNED))
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.CANCELLED, "Rejected")


def test_a_person_proves_a_step_once_ecs_agrees() -> None:
    world = asked(scale_out(validation=BY_PERSON))
    assert world.status.phase is PlanPhase.VERIFYING
    world.tally = confirmed("scale-out")
    world.until(PlanPhase.COMPLETED)
    assert world.status.steps[0].verdict is Verdict.PASSED


def test_s9_a_step_that_nobody_looks_at_is_inconclusive_and_not_undone() -> None:
    world = asked(roll_back(validation=BY_PERSON))
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "NotConfirmed")
    assert (world.status.steps[0].verdict, len(world.sent)) == (Verdict.INCONCLUSIVE, 1)


def test_s9_a_service_that_falls_back_is_confirmed_no_more() -> None:
    world = asked(scale_out(validation=BY_PERSON))
    world.lose_task()
    world.do()
    assert (world.status.steps[0].effective_at, world.status.reason) == (None, None)
    assert judge(said(step="scale-out"), world.plan).reason == "StepNotWaiting"


# Suspend


@pytest.mark.parametrize("step", [LOOK, scale_out(), {**LOOK, "action": "health_check"}])
@pytest.mark.parametrize("by", ["plan", "service"])
def test_suspend_holds_every_kind_of_step_between_two_and_goes_on(step: dict[str, Any], by: str) -> None:
    world = World(plan(roll_back(), step))
    world.until_sent()
    world.settle()
    suspend(world, by, value=True)
    for _ in range(6):
        world.now += world.do().requeue_after or timedelta()
    assert world.status.steps[0].phase is OperationPhase.COMPLETED
    assert (world.status.steps[1].phase, world.status.reason) == (OperationPhase.PENDING, "Suspended")
    suspend(world, by, value=False)
    world.do()
    assert world.status.steps[1].started_at


@pytest.mark.parametrize("by", ["plan", "service"])
def test_suspend_is_seen_at_once_in_the_middle_of_a_step_and_stops_nothing_there(by: str) -> None:
    world = World(plan(scale_out(validation=VALIDATION)))
    world.until_sent()
    assert condition(world) == ("False", "NotHeld")
    suspend(world, by, value=True)
    world.do()
    assert condition(world) == ("True", "Held")
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert condition(world) == ("False", "NotHeld")


def test_suspend_is_seen_before_the_people_have_approved() -> None:
    world = World(plan(suspend=True), tally=tally())
    world.do()
    assert condition(world) == ("True", "Held")


def test_a_plan_that_stays_suspended_ends_at_the_timeout_of_its_next_step() -> None:
    world = World(plan(roll_back(), LOOK))
    world.until_sent()
    world.settle()
    suspend(world, "plan", value=True)
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "BlockedTooLong")


def test_a_reject_ends_a_plan_that_is_held() -> None:
    world = World(plan(roll_back(), LOOK))
    world.until_sent()
    world.settle()
    suspend(world, "plan", value=True)
    world.do()
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.ROLLING_BACK)
    assert world.status.reason == "Rejected"


def suspend(world: World, by: str, *, value: bool) -> None:
    if by == "plan":
        spec = world.plan.spec.model_copy(update={"suspend": value})
        world.plan = world.plan.model_copy(update={"spec": spec})
    else:
        status = world.protected.status
        world.protected = protected_service(suspend=value).model_copy(update={"status": status})


def condition(world: World) -> tuple[str, str]:
    found = next(c for c in world.status.conditions if c.type == "Suspended")
    return found.status, found.reason
