import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bokgu.api.meta import is_true
from bokgu.api.observed import AwsError
from bokgu.api.recovery_plan import Answer, RecoveryPlan, RecoveryPlanStatus
from bokgu.api.vocabulary import OperationPhase, PlanPhase, Verdict
from bokgu.core.announcement import announce_approvals
from bokgu.core.approval.auto import AutoVerdict
from bokgu.core.approval.judgement import Judgement
from bokgu.core.approval.tally import AUTO_APPROVED, StandIn, Tally
from bokgu.core.execution import decide
from bokgu.core.live_state import LiveState
from bokgu.core.operation import record_answer
from bokgu.core.plan_facts import Claim, HoldPlan, Outcome, PlanFacts, ReleaseService, Send
from bokgu.core.writes.write import observe_before
from tests.unit.facts import (
    ALICE,
    APPROVED,
    BOB,
    MINUTE,
    NOW,
    OTHER_DIGEST,
    PLAN_UID,
    REJECT,
    VALIDATION,
    described_deployment,
    facts,
    health_check,
    incident,
    judged,
    live_state,
    locked_by,
    manual,
    measured,
    plan,
    policies,
    protected_service,
    restart,
    revision_arn,
    roll_back,
    scale_out,
    service,
    service_deployment_arn,
    started,
    tally,
    task_definition,
)
from tests.unit.small_world import UNREACHABLE, World, open_tokens

PAUSE = {"name": "pause", "action": "wait", "parameters": {"duration": "1m"}, "timeout": "5m", "onFailure": "Stop"}
TERMINAL = [phase for phase in PlanPhase if phase.terminal]
SECOND = timedelta(seconds=1)


def running(*steps: dict[str, object]) -> World:
    """A world whose plan has started."""
    world = World(plan(*steps))
    while not world.status.started_at:
        world.do()
    return world


def verifying(*steps: dict[str, object]) -> World:
    """A world whose last step had its effect and is being verified."""
    world = running(*steps)
    while world.status.phase is not PlanPhase.VERIFYING:
        world.do()
        world.settle()
        world.now += SECOND
    return world


# Before the start


def test_a_plan_that_nobody_approved_waits_until_it_expires() -> None:
    outcome = decide(plan(), facts(tally=tally(), service=None, protected_service=protected_service()))
    assert outcome.status.phase is PlanPhase.AWAITING_APPROVAL
    assert outcome.effect is None
    assert outcome.requeue_after == 60 * MINUTE
    assert outcome.status.approval_count == "0/2"


@pytest.mark.parametrize(
    ("changed", "phase", "reason"),
    [
        ({"incident": None}, PlanPhase.CANCELLED, "IncidentGone"),
        ({"incident": incident(status=started(uid="another"))}, PlanPhase.CANCELLED, "AlreadyExecuted"),
        ({"incident": incident(status={"phase": "Resolved"})}, PlanPhase.CANCELLED, "IncidentResolved"),
        ({"tally": tally(ALICE, BOB, REJECT)}, PlanPhase.REJECTED, "Rejected"),
        ({"now": NOW + 60 * MINUTE}, PlanPhase.EXPIRED, "Expired"),
    ],
)
def test_a_plan_never_starts_when(changed: dict[str, object], phase: PlanPhase, reason: str) -> None:
    outcome = decide(plan(), facts(**changed))
    assert (outcome.status.phase, outcome.status.reason, outcome.effect) == (phase, reason, None)


@pytest.mark.parametrize(("approvals", "approved"), [((ALICE, BOB), True), ((ALICE,), False)])
def test_approvals_that_end_with_their_plan_stood_until_then(approvals: tuple[Judgement, ...], approved: bool) -> None:
    """Another plan may then follow, which people are asked for anew (core.next_rung)."""
    waiting = decide(plan(), facts(tally=tally(*approvals), at_work="plan-2")).status
    assert is_true(waiting.conditions, "Approved") is approved
    over = decide(plan(status=waiting.to_dict()), facts(now=NOW + 60 * MINUTE, tally=tally())).status
    assert (over.phase, over.reason) == (PlanPhase.EXPIRED, "Expired")
    assert is_true(over.conditions, "Approved") is approved
    assert [a.reason for a in announce_approvals(waiting, over)] == []


def test_a_deleted_plan_never_starts() -> None:
    outcome = decide(plan(meta={"deletionTimestamp": NOW}), facts())
    assert (outcome.status.phase, outcome.status.reason) == (PlanPhase.CANCELLED, "Deleted")


def test_a_digest_that_another_plan_did_not_start_is_no_obstacle() -> None:
    entries = [
        *started(uid="another", digest=OTHER_DIGEST)["plans"],
        {**started()["plans"][0], "startedAt": None},
    ]
    outcome = decide(plan(), facts(incident=incident(status={"plans": entries})))
    assert outcome.effect == Claim(digest=facts().digest)


def test_s1_a_plan_that_was_created_anew_under_its_name_never_starts() -> None:
    entries = [{**started(uid="another")["plans"][0], "startedAt": None}]
    outcome = decide(plan(), facts(incident=incident(status={"plans": entries})))
    assert (outcome.status.phase, outcome.status.reason) == ("Cancelled", "Recreated")
    assert outcome.effect is None


@pytest.mark.parametrize("phase", TERMINAL)
def test_a_plan_that_is_over_stays_as_it_is(phase: PlanPhase) -> None:
    over = plan(status={"phase": phase, "startedAt": NOW, "steps": [{"name": "scale-out"}]})
    assert decide(over, facts(now=NOW + 900 * MINUTE, tally=tally(REJECT))) == Outcome(over.status)


# S1


@pytest.mark.parametrize("present", [(), (ALICE,), (BOB,), (ALICE, judged("system_admin", "bob@example.com"))])
def test_s1_nothing_starts_and_no_intent_is_written_while_a_role_is_missing(present: tuple[object, ...]) -> None:
    some = tally(*present)  # type: ignore[arg-type]
    before = decide(plan(), facts(tally=some))
    assert (before.status.started_at, before.effect) == (None, ReleaseService())
    world = running()
    world.tally = some
    world.do()
    assert not open_tokens(world.status)


@pytest.mark.parametrize(
    "withdrawn", [tally(ALICE), tally(BOB, judged("system_admin", "alice@example.com", accepted=False))]
)
def test_s1_withdrawal_between_steps_stops_forward_work_and_undoes_what_was_done(withdrawn: Tally) -> None:
    world = running(roll_back(), scale_out(onFailure="RollBack"))
    world.until_sent()
    world.settle()
    world.tally = withdrawn
    world.until(PlanPhase.ROLLING_BACK)
    assert world.status.steps[1].reason == "ApprovalWithdrawn"
    world.until(PlanPhase.ROLLING_BACK, passes=1)
    world.do()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)
    assert len(world.effects) == 2


def test_s6_what_cannot_be_read_between_steps_holds_the_plan_and_withdraws_nothing() -> None:
    unknown = tally(ALICE, replace(BOB, reason="RightUnknown", proof=None))
    assert (unknown.approved, unknown.undecided) == (False, True)
    world = running(roll_back(), scale_out(onFailure="RollBack"))
    world.until_sent()
    world.settle()
    world.tally = unknown
    for _ in range(40):
        world.now += world.do().requeue_after or timedelta()
    assert (world.status.reason, len(world.sent)) == ("ApprovalsMissing", 1)
    world.tally = tally(ALICE, BOB)
    world.until_sent()
    assert len(world.sent) == 2


def test_s1_withdrawal_with_on_failure_stop_stops_and_undoes_nothing() -> None:
    world = running(roll_back(), scale_out())
    world.until_sent()
    world.settle()
    world.tally = tally(ALICE)
    world.until(PlanPhase.FAILED)
    assert (world.status.reason, len(world.sent)) == ("ApprovalWithdrawn", 1)


def test_s1_a_plan_whose_approval_was_withdrawn_is_not_completed_by_on_failure_continue() -> None:
    world = running(scale_out(onFailure="Continue"))
    world.tally = tally()
    world.until(*TERMINAL)
    assert (world.status.phase, world.sent) == (PlanPhase.FAILED, [])


def test_s1_what_arrives_after_the_intent_stops_only_the_next_step() -> None:
    world = running(scale_out(), roll_back())
    world.until_intent()
    world.tally = tally()
    assert isinstance(world.do().effect, Send)
    world.settle()
    world.until(*TERMINAL)
    assert len(world.sent) == 1


def test_s1_a_reject_during_verification_undoes_the_step() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.ROLLING_BACK)
    for _ in range(3):
        world.do()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)
    assert world.status.reason == "Rejected"
    assert world.ecs.task_definition == task_definition(2)


def test_s1_a_reject_before_any_effect_cancels() -> None:
    world = running()
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason, world.sent) == (PlanPhase.CANCELLED, "Rejected", [])


def test_s1_a_reject_wins_over_on_failure_continue() -> None:
    world = running(scale_out(onFailure="Continue"), roll_back())
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(*TERMINAL)
    assert (world.status.phase, world.sent) == (PlanPhase.CANCELLED, [])


def test_s1_deletion_of_a_running_plan_undoes_it() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    gone = world.plan.metadata.model_copy(update={"deletion_timestamp": world.now})
    world.plan = world.plan.model_copy(update={"metadata": gone})
    world.until(PlanPhase.ROLLING_BACK)
    for _ in range(3):
        world.do()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)
    assert world.status.reason == "Deleted"


@pytest.mark.parametrize(
    "hindrance",
    [
        {"tally": tally()},
        {"tally": tally(ALICE, BOB, REJECT)},
        {"protected": protected_service(suspend=True)},
        {"policies": policies(pause=True)},
        {
            "policies": policies(
                windows=[{"name": "never", "kind": "Deny", "schedule": "* * * * *", "duration": "168h"}]
            )
        },
        {"protected": protected_service(mode="Observe", allowedActions=[])},
    ],
)
def test_s1_nothing_that_people_or_gates_say_stops_an_undo(hindrance: dict[str, object]) -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    for name, value in hindrance.items():
        setattr(world, name, value)
    world.now += 120 * MINUTE
    for _ in range(3):
        world.do()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)
    undo = world.status.steps[0].rollback
    forward = world.status.steps[0].intent
    assert undo
    assert undo.intent
    assert forward
    assert undo.intent.approvals == forward.approvals


def test_s1_an_undo_needs_neither_protected_service_nor_incident() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    bare = replace(world.facts(), protected_service=None, incident=None)
    outcome = decide(world.plan, bare)
    assert outcome.status.steps[0].rollback
    assert outcome.status.steps[0].rollback.intent


def test_s1_no_intent_for_a_service_that_its_protector_has_left() -> None:
    world = running()
    status = world.protected.status
    moved = protected_service(ecs={"cluster": "shop", "service": "another"})
    world.protected = moved.model_copy(update={"status": status})
    world.do()
    assert not open_tokens(world.status)


def test_s1_the_intent_names_the_approvals_that_it_rests_on() -> None:
    world = running()
    world.until_intent()
    intent = world.status.steps[0].intent
    assert intent
    assert [(a.role, a.approver) for a in intent.approvals] == [
        ("system_admin", "alice@example.com"),
        ("service_owner", "bob@example.com"),
    ]


# S2


@pytest.mark.parametrize("step", [scale_out(), roll_back(), restart()])
def test_s2_an_intent_is_stored_one_pass_before_it_is_sent_exactly_as_stored(step: dict[str, object]) -> None:
    world = running(step)
    first = world.do()
    intent = first.status.steps[0].intent
    assert first.effect is None
    assert intent
    assert intent.before == observe_before(LiveState(service()))
    second = world.do()
    assert second.effect == Send(intent.token, intent.request)


def test_s2_tokens_of_attempts_and_of_undos_differ() -> None:
    world = running(roll_back(validation=VALIDATION))
    world.until_intent()
    world.fate = "throttled"
    world.do()
    world.fate = "accepted"
    world.until_sent()
    world.settle()
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    tokens = [send.token for send in world.sent]
    assert len(tokens) == len(set(tokens)) == 3


def test_s2_a_rollback_asks_for_the_whole_revision() -> None:
    world = running(roll_back())
    world.until_intent()
    intent = world.status.steps[0].intent
    assert intent
    assert json.loads(intent.request.arguments) == {
        "cluster": "shop",
        "service": "api",
        "taskDefinition": task_definition(1),
        "platformVersion": 1,
    }


# S3


def interrupted(step: dict[str, object], *, had_effect: bool) -> World:
    """A world in which the process died between storing an intent and hearing the answer."""
    world = running(step)
    world.until_intent()
    world.fate = "lost" if had_effect else "never"
    world.do()
    world.crash()
    world.fate = "accepted"
    return world


@pytest.mark.parametrize("step", [scale_out(), roll_back(), restart()])
def test_s3_an_effect_that_is_found_is_adopted_and_not_sent_again(step: dict[str, object]) -> None:
    world = interrupted(step, had_effect=True)
    world.do()
    answer = world.status.steps[0].answer
    assert answer
    assert answer.result == "Adopted"
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert len(world.sent) == 1


@pytest.mark.parametrize("step", [scale_out(), roll_back(), restart()])
def test_s3_nothing_is_sent_again_before_the_consistency_delay(step: dict[str, object]) -> None:
    world = interrupted(step, had_effect=False)
    for _ in range(4):
        world.now += MINUTE
        world.do()
    assert len(world.sent) == 1
    assert open_tokens(world.status)


@pytest.mark.parametrize("step", [scale_out(), roll_back()])
def test_s3_what_may_be_repeated_is_asked_again_after_the_delay(step: dict[str, object]) -> None:
    world = interrupted(step, had_effect=False)
    world.now += 5 * MINUTE
    world.until_intent()
    world.do()
    assert [send.token[-1] for send in world.sent] == ["1", "2"]


def test_s3_what_is_asked_again_needs_the_approvals_again() -> None:
    world = interrupted(scale_out(), had_effect=False)
    world.now += 5 * MINUTE
    world.tally = tally()
    world.until(*TERMINAL)
    assert (world.status.reason, len(world.sent)) == ("ApprovalWithdrawn", 1)


@pytest.mark.parametrize("had_effect", [True, False])
def test_s3_a_restart_is_never_repeated(had_effect: bool) -> None:
    world = interrupted(restart(), had_effect=had_effect)
    world.lag = 10 * MINUTE  # Longer than ECS promises: nothing can be seen either way.
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "EffectUnknown")
    assert len(world.sent) == 1


def test_s3_two_unexplained_deployments_go_to_a_person() -> None:
    world = interrupted(roll_back(), had_effect=True)
    world.deploy()
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason, len(world.sent)) == (PlanPhase.FAILED, "EffectUnknown", 1)


def test_s3_a_count_that_is_found_beside_a_foreign_deployment_is_not_adopted() -> None:
    world = interrupted(scale_out(), had_effect=True)
    world.deploy()
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason, len(world.sent)) == (PlanPhase.FAILED, "EffectUnknown", 1)


def test_s3_a_new_process_counts_the_doubt_from_when_it_first_could_see() -> None:
    world = interrupted(scale_out(), had_effect=False)
    world.now += 4 * MINUTE
    world.crash()
    world.now += 2 * MINUTE
    world.do()
    assert open_tokens(world.status)


@pytest.mark.parametrize("undo_had_effect", [True, False])
def test_s3_a_lost_answer_of_an_undo_is_settled_too(undo_had_effect: bool) -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    world.until_intent()
    world.fate = "lost" if undo_had_effect else "never"
    world.do()
    world.crash()
    world.fate = "accepted"
    for _ in range(70):
        world.now += timedelta(seconds=5)
        world.do()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)
    assert len(world.effects) == 2


def test_s10_an_undo_that_was_not_sent_is_asked_for_after_a_new_look() -> None:
    """Beside a stored intent the service revisions are not read: a request that was built then could not name them."""
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    world.until_intent()
    (step,) = world.status.steps
    assert step.rollback
    unsent = Answer(at=world.now, result="NotSent", message="the service changed just before the call")
    held = step.model_copy(update={"rollback": step.rollback.model_copy(update={"answer": unsent})})
    status = world.status.model_copy(update={"steps": (held,)})
    facts = world.facts()
    assert facts.live
    blind = replace(facts, live=replace(facts.live, revisions={}))
    outcome = decide(world.plan.model_copy(update={"status": status}), blind)
    again = outcome.status.steps[0].rollback
    assert again
    assert (again.phase, again.intent, again.answer) == (OperationPhase.PENDING, None, None)
    assert (outcome.effect, outcome.requeue_after) == (None, timedelta())
    world.plan = world.plan.model_copy(update={"status": outcome.status})
    for _ in range(3):
        world.do()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)


@pytest.mark.parametrize("step", [scale_out(), roll_back()])
def test_s3_an_accepted_effect_that_is_not_visible_yet_is_no_foreign_change(step: dict[str, object]) -> None:
    world = running(step)
    world.until_sent()
    world.lag = 2 * MINUTE
    world.do()
    assert world.status.steps[0].reason is None
    world.settle()
    world.until(PlanPhase.COMPLETED)


def test_s3_an_unknown_effect_stays_unknown_when_somebody_rejects() -> None:
    world = running(restart())
    world.until_intent()
    token = next(iter(world.unsent))
    world.crash()
    status = record_answer(world.status, token, Answer(at=NOW, result="Unknown", message="a person must look"))
    world.plan = world.plan.model_copy(update={"status": status})
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "EffectUnknown")


# S4


@pytest.mark.parametrize(
    "changed",
    [
        service(desired=4),
        replace(service(), current_service_revisions=(revision_arn(7),)),
        replace(service(), current_service_deployment="another"),
    ],
)
def test_s4_a_changed_world_cancels_before_the_first_effect(changed: object) -> None:
    before_start = decide(plan(), facts(service=changed))
    world = running()
    outcome = decide(world.plan, replace(world.facts(), live=live_state(service=changed)))
    world.plan = world.plan.model_copy(update={"status": outcome.status})
    world.until(*TERMINAL)
    for status in (before_start.status, world.status):
        assert (status.phase, status.reason) == (PlanPhase.CANCELLED, "PreconditionChanged")
    assert not world.sent


def test_s4_a_change_between_intent_and_send_is_not_overwritten() -> None:
    world = running()
    world.until_intent()
    world.scale(7)
    world.until(*TERMINAL)
    answer = world.status.steps[0].answer
    assert answer
    assert answer.result == "NotSent"
    assert (world.status.phase, world.status.reason) == (PlanPhase.CANCELLED, "PreconditionChanged")
    assert (world.sent, world.ecs.desired_count) == ([], 7)


@pytest.mark.parametrize(("age", "sends"), [(2.0, True), (2.1, False), (60.0, False)])
def test_s4_a_read_older_than_two_seconds_never_leads_to_a_send(age: float, sends: bool) -> None:
    world = running()
    world.until_intent()
    read = replace(world.visible(), read_at=world.now - timedelta(seconds=age))
    outcome = decide(world.plan, replace(world.facts(), live=live_state(service=read)))
    assert isinstance(outcome.effect, Send) is sends
    if not sends:
        assert outcome.status.steps[0].answer is None


@pytest.mark.parametrize("step", [scale_out(validation=VALIDATION), roll_back(validation=VALIDATION)])
def test_s4_a_foreign_change_during_verification_is_left_alone(step: dict[str, object]) -> None:
    world = verifying(step)
    world.scale(8)
    world.deploy()
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "ForeignChange")
    assert (len(world.sent), world.ecs.desired_count) == (1, 8)


@pytest.mark.parametrize("step", [restart(), roll_back(onFailure="Continue")])
def test_s4_a_deployment_that_ecs_gives_up_is_a_failure_with_its_name_and_is_not_undone(
    step: dict[str, object],
) -> None:
    world = running(step)
    world.until_sent()
    world.now += MINUTE
    world.give_up("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.")
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "RolledBackByEcs")
    assert "circuit breaker" in (world.status.steps[0].output or "")
    assert (len(world.sent), world.status.steps[0].rollback) == (1, None)


def test_s4_a_foreign_change_before_the_undo_is_not_undone() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    world.deploy()
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.ROLLBACK_FAILED, "ForeignChange")
    assert len(world.sent) == 1


def test_s4_a_foreign_deployment_after_our_scaling_is_not_rolled_back() -> None:
    world = running(scale_out(), roll_back())
    world.until_sent()
    world.settle()
    world.deploy()
    world.settle()
    world.until(*TERMINAL)
    assert len(world.sent) == 1


def test_s4_a_foreign_count_after_our_rollback_is_not_scaled_over() -> None:
    world = running(roll_back(), scale_out(desired=5))
    world.until_sent()
    world.scale(2)
    world.settle()
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason, len(world.sent)) == (PlanPhase.FAILED, "PreconditionChanged", 1)


def test_s4_our_own_later_deployment_is_no_foreign_change() -> None:
    world = running(roll_back(), restart(validation=VALIDATION, onFailure="RollBack"))
    for _ in range(2):
        world.until_sent()
        world.settle()
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    assert json.loads(world.sent[-1].request.arguments)["taskDefinition"] == task_definition(2)


# S5


def test_s5_the_lock_then_the_incident_are_claimed_before_anything_else() -> None:
    world = World(plan())
    effects = [world.do().effect for _ in range(3)]
    assert effects == [Claim(service=True, digest=facts().digest), None, None]
    assert world.status.steps[0].intent


@pytest.mark.parametrize(
    "claimed", [Claim(service=True), Claim(digest=facts().digest), Claim(service=True, digest=facts().digest)]
)
def test_s5_what_is_not_claimed_yet_is_claimed_before_the_plan_begins(claimed: Claim) -> None:
    """A process that dies between two claims leaves the others to the next one."""
    locked = protected_service() if claimed.service else protected_service(status=locked_by("plan-1", PLAN_UID))
    marked = incident() if claimed.digest else incident(status=started())
    outcome = decide(plan(), facts(protected_service=locked, incident=marked))
    assert (outcome.effect, outcome.status.started_at) == (claimed, None)


@pytest.mark.parametrize("claimed", [False, True])
def test_s7_a_plan_that_starts_without_people_claims_its_place_in_the_hours_budget_once(claimed: bool) -> None:
    granted = replace(
        APPROVED,
        stand_in=StandIn(AUTO_APPROVED, "auto", "", APPROVED.counted),
        auto=AutoVerdict(granted=True, message="", claimed=claimed),
    )
    outcome = decide(plan(), facts(tally=granted, protected_service=protected_service(), incident=incident()))
    assert outcome.effect == Claim(auto=not claimed, service=True, digest=facts().digest)


def test_s5_a_plan_is_seen_to_have_begun_before_it_intends_a_write() -> None:
    """Its health check needs no pass of its own; the write waits for one that sees who else has begun meanwhile."""
    world = World(plan(health_check(), scale_out()))
    assert isinstance(world.do().effect, Claim)
    world.do()
    assert (world.status.phase, [s.phase for s in world.status.steps]) == ("InProgress", ["Completed", "Pending"])
    world.protected = protected_service(status=locked_by("plan-0", "another"))
    world.do()
    assert (world.status.reason, open_tokens(world.status)) == ("ServiceBusy", set())


@pytest.mark.parametrize("first", [PAUSE, manual(), scale_out()])
def test_what_waits_or_writes_begins_in_the_pass_after_its_plan(first: dict[str, object]) -> None:
    world = World(plan(first))
    world.do()
    world.do()
    assert (world.status.phase, [s.phase for s in world.status.steps]) == ("InProgress", ["Pending"])


def test_s10_a_plan_that_a_person_made_gets_its_finalizer_before_the_lock() -> None:
    bare = plan(meta={"finalizers": []})
    assert isinstance(decide(bare, facts(protected_service=protected_service())).effect, HoldPlan)


def test_s5_a_lost_lock_is_taken_again_while_a_step_is_under_way() -> None:
    world = World(plan())
    world.until_sent()
    world.protected = protected_service()
    assert decide(world.plan, world.facts()).effect == Claim(service=True)


def test_s5_the_lock_of_another_plan_blocks() -> None:
    other = protected_service(status=locked_by("plan-0", "another"))
    outcome = decide(plan(), facts(protected_service=other))
    assert (outcome.status.phase, outcome.status.reason) == (PlanPhase.APPROVED, "ServiceBusy")
    assert outcome.effect is None
    assert outcome.requeue_after == timedelta(seconds=30)


def test_s5_a_lock_that_another_plan_took_over_stops_the_next_step() -> None:
    world = running()
    world.protected = protected_service(status=locked_by("plan-0", "another"))
    world.do()
    assert not open_tokens(world.status)


def test_s5_a_started_plan_that_lost_its_lock_writes_no_intent_without_it() -> None:
    world = running()
    world.protected = protected_service()
    world.do()
    assert not open_tokens(world.status)


# S6


def test_s6_a_gate_that_closes_holds_a_started_plan_and_opens_again() -> None:
    world = running()
    status = world.protected.status
    world.protected = protected_service(suspend=True).model_copy(update={"status": status})
    world.do()
    assert (world.status.reason, world.sent) == ("Suspended", [])
    world.protected = protected_service().model_copy(update={"status": status})
    world.until_sent()
    assert len(world.sent) == 1


def test_s6_a_plan_that_stays_blocked_fails_when_its_step_times_out() -> None:
    world = running()
    world.protected = protected_service(suspend=True)
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "BlockedTooLong")
    assert world.now >= NOW + 15 * MINUTE


def test_s6_an_unreadable_service_blocks() -> None:
    outcome = decide(plan(), facts(service=None, problem=UNREACHABLE))
    assert (outcome.effect, outcome.status.reason) == (ReleaseService(), "ServiceUnreadable")
    world = running()
    world.readable = False
    world.do()
    assert not open_tokens(world.status)


# S9 and verification


def test_a_step_is_verified_for_its_whole_window_and_then_completes_the_plan() -> None:
    world = verifying(scale_out(validation=VALIDATION))
    begun = world.now
    world.until(PlanPhase.COMPLETED)
    assert world.now - begun >= 5 * MINUTE - SECOND
    assert world.status.steps[0].verdict is Verdict.PASSED
    assert [(m.name, m.before, m.after) for m in world.status.metrics] == [("error_rate", "0.37", "0.01")]


def test_a_step_whose_metric_stays_bad_fails_and_is_undone() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    assert world.status.steps[0].verdict is Verdict.FAILED
    assert world.status.reason == "VerificationFailed"


def test_s9_an_inconclusive_verification_is_neither_success_nor_undone() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate = None
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "VerificationInconclusive")
    assert world.status.steps[0].verdict is Verdict.INCONCLUSIVE
    assert len(world.sent) == 1
    assert {c.type: c.status for c in world.status.conditions}["Verified"] == "Unknown"


def test_s9_a_clock_that_is_ahead_does_not_end_a_verification_before_its_time() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate, ahead = None, 30 * MINUTE
    early = replace(world.facts(), now=world.now + ahead, clock_ahead=-ahead)
    assert decide(world.plan, early).status.steps[0].verdict is None
    alone = replace(early, clock_ahead=timedelta())
    assert decide(world.plan, alone).status.steps[0].verdict is Verdict.INCONCLUSIVE


def test_s9_a_clock_that_is_behind_does_not_let_a_verification_begin_before_the_effect() -> None:
    world, behind = running(roll_back(validation=VALIDATION)), 30 * MINUTE
    world.until_sent()
    world.settle()
    late = replace(world.facts(), now=world.now - behind, clock_ahead=behind)
    effective = decide(world.plan, late).status.steps[0].effective_at
    assert effective
    assert effective >= world.now


def test_s9_a_service_that_loses_a_task_while_it_is_verified_has_not_passed() -> None:
    world = verifying(scale_out(validation=VALIDATION))
    world.lose_task()
    world.do()
    assert world.status.steps[0].verdict is None
    world.settle()
    since = world.now
    world.until(PlanPhase.COMPLETED)
    assert world.now - since >= 5 * MINUTE


def test_s9_a_scaling_that_somebody_took_back_at_once_has_not_passed() -> None:
    world = verifying(scale_out(validation={**VALIDATION, "for": "1m"}))
    world.scale(3)
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "ForeignChange")


def test_s9_a_step_is_not_passed_by_its_metric_while_ecs_cannot_be_read() -> None:
    world = verifying(scale_out(validation=VALIDATION))
    world.now += 6 * MINUTE
    effective = world.status.steps[0].effective_at
    assert effective
    blind = replace(world.facts(), live=None, problem=UNREACHABLE, measurement=measured(effective, world.now, 0.01))
    assert decide(world.plan, blind).status.steps[0].verdict is None


def test_s9_a_plan_whose_only_write_failed_has_not_recovered_anything() -> None:
    world = running(scale_out(onFailure="Continue"))
    world.fate = "refused"
    world.until(*TERMINAL)
    assert world.status.steps[0].reason == "RefusedByAws"
    assert world.status.phase is PlanPhase.FAILED


def test_s9_a_step_without_a_validation_is_done_but_nothing_has_proven_it() -> None:
    world = running(scale_out())
    world.until_sent()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert world.status.steps[0].verdict is None
    assert "no validation" in (world.status.steps[0].output or "")
    assert {c.type: c.status for c in world.status.conditions}["Verified"] == "Unknown"


def test_s9_too_little_traffic_is_waited_for_an_hour_and_then_inconclusive() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.traffic, begun = False, world.now
    world.until(*TERMINAL)
    assert world.status.reason == "VerificationInconclusive"
    assert 60 * MINUTE <= world.now - begun < 61 * MINUTE


def test_s9_traffic_that_comes_late_is_judged() -> None:
    for rate, verdict in ((0.01, Verdict.PASSED), (0.5, Verdict.FAILED)):
        world = verifying(roll_back(validation=VALIDATION))
        world.traffic = False
        begun = world.now
        while world.now < begun + 40 * MINUTE:
            world.now += world.do().requeue_after or timedelta()
        world.traffic, world.error_rate = True, rate
        world.until(PlanPhase.COMPLETED, PlanPhase.ROLLING_BACK)
        assert world.status.steps[0].verdict is verdict


GROUPS = ("tg/a", "tg/b")


def balanced(counts: dict[str, int] | None, *, pairs: dict[str, str] | None = None) -> World:
    """A service behind two target groups whose scale_out is complete as far as ECS knows."""
    world = World(plan(scale_out(validation=VALIDATION)), ecs=service(target_groups=GROUPS, target_pairs=pairs or {}))
    world.until_sent()
    world.settle()
    world.healthy_targets = counts
    world.do()
    return world


@pytest.mark.parametrize(
    ("counts", "pairs", "complete"),
    [
        ({"tg/a": 5, "tg/b": 5}, {}, True),
        ({"tg/a": 9, "tg/b": 5}, {}, True),
        ({"tg/a": 5, "tg/b": 4}, {}, False),
        ({"tg/a": 5}, {}, False),
        ({"tg/a": 5, "tg/b": 0}, {"tg/a": "tg/b", "tg/b": "tg/a"}, True),
        ({"tg/a": 2, "tg/b": 3}, {"tg/a": "tg/b", "tg/b": "tg/a"}, False),
        (None, {}, False),
    ],
)
def test_s9_a_step_is_complete_when_its_load_balancers_see_all_tasks(
    counts: dict[str, int] | None, pairs: dict[str, str], complete: bool
) -> None:
    step = balanced(counts, pairs=pairs).status.steps[0]
    assert (step.phase is OperationPhase.VERIFYING) is complete
    assert (step.effective_at is not None) is complete


def test_s9_the_clock_starts_anew_when_targets_fail() -> None:
    world = balanced({"tg/a": 5, "tg/b": 5})
    world.now += 4 * MINUTE
    world.healthy_targets = {"tg/a": 5, "tg/b": 4}
    world.do()
    world.healthy_targets = {"tg/a": 5, "tg/b": 5}
    since = world.now
    world.until(PlanPhase.COMPLETED)
    assert world.now - since >= 5 * MINUTE


def test_s9_targets_that_stay_unhealthy_fail_the_step_and_unreadable_ones_prove_nothing() -> None:
    failed = balanced({"tg/a": 5, "tg/b": 4})
    failed.until(*TERMINAL)
    assert (failed.status.reason, failed.status.steps[0].verdict) == ("Timeout", None)
    assert "4 of 5 targets are healthy" in (failed.status.steps[0].output or "")
    unread = balanced(None)
    unread.until(*TERMINAL)
    assert (unread.status.reason, unread.status.steps[0].verdict) == (
        "VerificationInconclusive",
        Verdict.INCONCLUSIVE,
    )


def test_an_undo_returns_to_a_service_whose_targets_were_never_healthy() -> None:
    world = World(plan(roll_back(validation=VALIDATION)), ecs=service(target_groups=GROUPS))
    world.until_sent()
    world.settle()
    world.healthy_targets = {"tg/a": 0, "tg/b": 0}
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)


def test_s9_a_service_that_cannot_be_read_while_it_is_verified_is_inconclusive_and_not_undone() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.readable = False
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "ServiceUnreadable")
    assert (world.status.steps[0].verdict, len(world.sent)) == (Verdict.INCONCLUSIVE, 1)


# S10 and time


def unreadable_from(world: World, moment: str) -> None:
    match moment:
        case "in doubt":
            world.until_intent()
            world.crash()
        case "in progress":
            world.until_sent()
        case "undo":
            world.until_sent()
            world.settle()
            world.error_rate = 0.5
            world.until(PlanPhase.ROLLING_BACK)
            world.until_sent()
    world.readable = False


@pytest.mark.parametrize("moment", ["started", "in doubt", "in progress", "undo"])
def test_a_service_that_is_gone_for_good_does_not_hold_the_plan_for_ever(moment: str) -> None:
    world = running(roll_back(validation=VALIDATION))
    unreadable_from(world, moment)
    for _ in range(1000):
        world.now += world.do().requeue_after or MINUTE
        if world.over:
            break
    assert world.status.phase in {PlanPhase.FAILED, PlanPhase.ROLLBACK_FAILED}


def deleted(world: World, how: str) -> PlanFacts:
    """The facts of the next pass, once somebody has deleted the service."""
    facts_ = world.facts()
    if how == "MISSING":
        missing = AwsError("DescribeServices", "MISSING", "no service api in cluster shop", sent=False)
        return replace(facts_, live=None, problem=missing)
    assert facts_.live
    service_ = replace(facts_.live.service, status=how, desired_count=0)
    return replace(facts_, live=replace(facts_.live, service=service_))


@pytest.mark.parametrize("how", ["DRAINING", "INACTIVE", "MISSING"])
@pytest.mark.parametrize("moment", ["started", "stored", "in doubt", "in progress", "verifying", "undo"])
def test_s4_a_plan_whose_service_is_deleted_ends_and_sends_nothing_more(moment: str, how: str) -> None:
    """Who deletes a service means it, and an undo would bring nothing back."""
    rollback = roll_back(validation=VALIDATION)
    world = verifying(rollback) if moment == "verifying" else running(rollback)
    match moment:
        case "stored":
            world.until_intent()
        case "in doubt" | "in progress" | "undo":
            unreadable_from(world, moment)
            world.readable = True
    gone = deleted(world, how)
    outcome = decide(world.plan, gone)
    assert outcome.effect is None
    status = outcome.status
    assert (status.phase, status.reason, status.finished_at) == (PlanPhase.CANCELLED, "ServiceGone", gone.now)
    assert {c.type: c.status for c in status.conditions}["Succeeded"] == "False"
    assert any("deleted" in str(gate.message) for gate in status.gates)
    begun = [o for step in status.steps for o in (step, step.rollback) if o and o.started_at]
    assert all(o.phase in {OperationPhase.COMPLETED, OperationPhase.FAILED} for o in begun), "nothing goes on"
    assert moment == "started" or begun[-1].reason == "ServiceGone"
    after = world.plan.model_copy(update={"status": status})
    assert decide(after, gone).status == status


def test_a_service_that_never_becomes_steady_again_times_out() -> None:
    world = verifying(scale_out(validation=VALIDATION))
    for _ in range(1000):
        world.lose_task()
        world.now += world.do().requeue_after or MINUTE
        if world.over:
            break
    assert world.status.phase is PlanPhase.FAILED


def test_a_deployment_that_does_not_end_times_out_and_is_undone() -> None:
    world = running(roll_back())
    world.until_sent()
    world.until(PlanPhase.ROLLING_BACK, passes=1000)
    assert world.status.reason == "Timeout"
    world.until_sent()
    assert json.loads(world.sent[-1].request.arguments)["taskDefinition"] == task_definition(2)
    world.settle()
    world.until(PlanPhase.ROLLED_BACK)


def test_a_failed_deployment_of_ours_is_undone() -> None:
    world = running(roll_back())
    world.until_sent()
    failed = replace(world.ecs.deployments[0], rollout_state="FAILED")
    world.change(replace(world.ecs, deployments=(failed, *world.ecs.deployments[1:])))
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    assert json.loads(world.sent[-1].request.arguments)["taskDefinition"] == task_definition(2)


def test_s10_an_undo_is_asked_again_when_ecs_moved_on_by_itself_before_it_was_sent() -> None:
    world = running(roll_back())
    world.until_sent()
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.ROLLING_BACK)
    world.until_intent()
    world.settle()  # The old deployment, which the intent still lists, has drained.
    world.do()
    world.until_sent()
    assert json.loads(world.sent[-1].request.arguments)["taskDefinition"] == task_definition(2)


@pytest.mark.parametrize("undo", [False, True])
def test_s10_a_revision_that_cannot_be_read_for_a_moment_is_waited_for(undo: bool) -> None:
    world = running(roll_back(validation=VALIDATION))
    if undo:
        world.until_sent()
        world.settle()
        world.error_rate = 0.5
        world.until(PlanPhase.ROLLING_BACK)
    outcome = decide(world.plan, replace(world.facts(), live=None, problem=UNREACHABLE))
    operation = outcome.status.steps[0].rollback if undo else outcome.status.steps[0]
    assert operation is None or operation.phase is OperationPhase.PENDING


def test_a_refusal_of_aws_fails_the_step() -> None:
    world = running(scale_out(onFailure="RollBack"))
    world.fate = "refused"
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.FAILED, "RefusedByAws")


def test_a_throttled_intent_is_taken_back_and_asked_again() -> None:
    world = running()
    world.until_intent()
    world.fate = "throttled"
    world.do()
    assert not open_tokens(world.status)
    world.fate = "accepted"
    world.until_sent()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert (len(world.sent), len(world.effects)) == (2, 1)


# S11


@pytest.mark.parametrize("desired", [3, 2, 1])
def test_s11_scale_out_never_goes_down_or_nowhere(desired: int) -> None:
    outcome = decide(plan(scale_out(desired)), facts())
    assert (outcome.effect, outcome.status.reason) == (ReleaseService(), "LimitExceeded")


@pytest.mark.parametrize("limits", [{}, {"maxDesiredCount": 4}])
def test_s11_scale_out_never_goes_above_the_maximum(limits: dict[str, int]) -> None:
    closed = protected_service(status=locked_by("plan-1", PLAN_UID), limits=limits)
    outcome = decide(plan(scale_out(5)), facts(protected_service=closed))
    assert (outcome.effect, outcome.status.reason) == (ReleaseService(), "LimitExceeded")


def test_s11_a_maximum_that_was_lowered_stops_a_started_plan() -> None:
    world = running(scale_out(5))
    world.protected = protected_service(limits={"maxDesiredCount": 4})
    world.do()
    assert not open_tokens(world.status)


def test_s11_a_scale_out_is_not_scaled_in_as_its_undo() -> None:
    world = verifying(scale_out(validation=VALIDATION, onFailure="RollBack"))
    world.error_rate = 0.5
    world.until(*TERMINAL)
    assert (world.status.phase, len(world.sent), world.ecs.desired_count) == (PlanPhase.FAILED, 1, 5)


# Order of steps, status


def test_a_health_check_writes_down_what_it_sees_and_sends_nothing() -> None:
    world = running(health_check(), scale_out())
    world.do()
    assert world.status.steps[0].output == "3/3 tasks running, api:2, deployment COMPLETED; error_rate was 0.37"
    assert not world.sent


def test_steps_run_one_at_a_time_and_are_undone_in_reverse() -> None:
    world = running(roll_back(name="one"), scale_out(), roll_back(to=2, name="two", validation=VALIDATION))
    for _ in range(2):
        world.until_sent()
        world.settle()
    world.until_sent()
    world.settle()
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    world.until_sent()
    assert world.sent[-1].token.endswith("3-1-undo-1")
    assert world.status.steps[0].rollback is None


def test_statuses_of_the_longest_plan_stay_within_their_bounds() -> None:
    metrics = [{"name": f"metric_{i}", "value": "1", "threshold": "1"} for i in range(16)]
    world = World(plan(scale_out(validation=VALIDATION)))
    world.incident = incident(metrics=metrics)
    while not world.status.started_at:
        world.do()
    world.until_sent()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    RecoveryPlanStatus.model_validate(world.status.to_dict())


def test_deciding_twice_on_the_same_facts_changes_nothing_more() -> None:
    def again(one: RecoveryPlan, what: PlanFacts) -> None:
        first = decide(one, what)
        assert decide(one.model_copy(update={"status": first.status}), what).status == first.status

    again(plan(), facts(tally=tally(ALICE)))
    again(plan(), facts(protected_service=protected_service(suspend=True)))
    world = verifying(scale_out(validation=VALIDATION))
    again(world.plan, world.facts())


def test_all_conditions_are_there_from_the_first_visit() -> None:
    status = decide(plan(), facts(tally=tally())).status
    assert {c.type for c in status.conditions} == {
        "Approved", "Blocked", "Executed", "Verified", "RolledBack", "Succeeded", "Suspended",
    }  # fmt: skip
    assert decide(plan(), facts(tally=APPROVED)).status.approval_count == "2/2"


# ECS moves on by itself


def test_s4_a_rollback_that_ecs_has_made_itself_meanwhile_is_not_made_again() -> None:
    made_for = {"serviceDeploymentArn": service_deployment_arn(1), "desiredCount": 3, "rootCause": "BadDeployment"}
    world = World(plan(roll_back(rollback=None, onFailure="Stop"), preconditions=made_for), ecs=service(1))
    world.until(*TERMINAL)
    assert (world.status.phase, world.status.reason) == (PlanPhase.CANCELLED, "PreconditionChanged")
    assert world.sent == []


def test_a_rollback_of_a_service_that_is_to_run_no_task_is_complete() -> None:
    made_for = {"desiredCount": 0, "rootCause": "BadDeployment"}
    world = World(plan(roll_back(), preconditions=made_for), ecs=service(desired=0))
    world.until_sent()
    world.settle()
    seen = world.facts()
    assert seen.live
    (now_used,) = seen.live.service.current_service_revisions
    empty = replace(seen.live.service, running_by_revision={now_used: 0})
    made = described_deployment(9, replaces=2, status="SUCCESSFUL", arn=empty.current_service_deployment)
    live = replace(seen.live, service=empty, deployment=replace(made, target_revision_arn=now_used))
    done = decide(world.plan, replace(seen, live=live)).status.steps[0]
    assert done.phase is OperationPhase.COMPLETED


def test_s10_an_undo_that_nobody_has_sent_yet_has_its_time_after_a_long_absence() -> None:
    world = verifying(roll_back(validation=VALIDATION))
    world.error_rate = 0.5
    world.until(PlanPhase.ROLLING_BACK)
    world.until_intent()
    world.now += 40 * MINUTE
    world.crash()
    for _ in range(20):  # First the intent that it finds is in doubt.
        world.do()
        world.now += MINUTE if len(world.sent) < 2 else timedelta()
    world.settle()
    world.until(*TERMINAL)
    assert world.status.phase is PlanPhase.ROLLED_BACK
    assert len(world.effects) == 2
