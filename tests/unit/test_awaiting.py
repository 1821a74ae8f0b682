from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.incident import Incident
from bokgu.api.meta import UidReference
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.awaiting import PERSON, Wait, current_step, find_wait
from bokgu.core.correlation import Suppression
from bokgu.core.lifecycle import build_status
from bokgu.core.planning_facts import NoPlan
from tests.unit.facts import (
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    ROLES,
    VALIDATION,
    classification,
    detection,
    incident,
    manual,
    metadata,
    plan,
    roll_back,
    scale_out,
    standing,
)

HOUR = 60 * MINUTE
ENTRY = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST}


def known(**facts: Any) -> Incident:
    """The incident as the operator writes it after a pass that finds that out."""
    one = incident(status={"plans": [ENTRY]} if facts.get("plan") else {}, **facts.pop("spec", {}))
    return one.model_copy(update={"status": build_status(one, standing(**facts))})


def condition(type_: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": NOW}


def at_work(*steps: dict[str, Any], **status: Any) -> RecoveryPlan:
    usual = {
        "phase": "AwaitingApproval",
        "digest": DIGEST,
        "requiredApprovals": list(ROLES),
        "approvalCount": "0/2",
        "conditions": [condition("Approved", "False", "ApprovalsMissing", "waits for system_admin, service_owner")],
    }
    return plan(*steps, status={**usual, **status}, if_nothing_is_done="Errors go on.")


APPROVED = [condition("Approved", "True", "Approved", "2/2")]


def waits(one: RecoveryPlan) -> Wait:
    return find_wait(known(plan=one), one)


# People


def test_a_new_plan_waits_for_every_role_until_it_expires() -> None:
    wait = waits(at_work())
    assert wait.whom == ROLES
    assert wait.until == NOW + HOUR
    assert wait.then == "plan plan-1 expires, and a person is called. Errors go on."
    assert "bokgu approve plan-1 -n shop --role service_owner --apply" in wait.advice
    assert any(advice.startswith("bokgu reject plan-1 -n shop") for advice in wait.advice)


def test_nobody_can_approve_a_plan_whose_digest_is_not_published_yet() -> None:
    assert waits(at_work(phase="Pending", digest=None)).whom == ()


def test_a_role_that_somebody_has_filled_is_not_waited_for() -> None:
    said = {"role": "system_admin", "approver": "alice@example.com", "decision": "Approve", "reason": "Accepted"}
    alice = {**said, "at": NOW, "ref": "by-alice", "uid": "uid-alice", "verifiedBy": "Signed"}
    assert waits(at_work(approvals=[alice])).whom == ("service_owner",)


def test_a_plan_that_is_not_approved_though_no_role_is_missing_says_why() -> None:
    doubt = [condition("Approved", "False", "ApprovalsMissing", "an approval cannot be judged")]
    wait = waits(at_work(requiredApprovals=[], conditions=doubt))
    assert (wait.whom, "an approval cannot be judged" in wait.what) == ((PERSON,), True)


def test_a_plan_of_a_service_that_only_proposes_waits_for_nobody() -> None:
    mode = {"name": "Mode", "passed": False, "reason": "ModeForbids", "message": "the mode is Propose"}
    wait = waits(at_work(gates=[mode]))
    assert (wait.whom, "the mode is Propose" in wait.what) == ((), True)


def test_a_step_that_waits_for_a_person_is_confirmed_by_any_of_the_roles() -> None:
    step = {"name": "look", "phase": "InProgress", "reason": "AwaitingConfirmation", "startedAt": NOW - 5 * MINUTE}
    wait = waits(at_work(manual(), phase="InProgress", startedAt=NOW, steps=[step], conditions=APPROVED))
    assert (wait.whom, wait.one_of) == (ROLES, True)
    assert wait.until == NOW + 25 * MINUTE
    assert wait.advice == ("bokgu approve plan-1 -n shop --step look --role system_admin --apply",)
    assert "The service looks well." in wait.what


def test_a_proof_by_a_person_is_waited_for_as_long_as_its_validation() -> None:
    by_person = {"type": "manual", "criteria": "looks_well", "timeout": "20m"}
    step = {
        "name": "scale-out",
        "phase": "Verifying",
        "reason": "AwaitingConfirmation",
        "startedAt": NOW - 5 * MINUTE,
        "effectiveAt": NOW - MINUTE,
    }
    one = at_work(scale_out(validation=by_person), phase="Verifying", startedAt=NOW, steps=[step], conditions=APPROVED)
    wait = waits(one)
    assert (wait.until, wait.then) == (
        NOW + 19 * MINUTE,
        "the step ends as not confirmed, and a person is called",
    )


def test_a_plan_that_people_hold_waits_for_them_whatever_else_it_waits_for() -> None:
    held = condition("Suspended", "True", "Held", "held by spec.suspend of the plan")
    wait = waits(at_work(conditions=[*APPROVED, held]))
    assert (wait.whom, wait.then) == ((PERSON,), "it expires")
    assert wait.advice[0].startswith("bokgu cancel plan-1 -n shop --release")
    begun = waits(at_work(phase="InProgress", startedAt=NOW, conditions=[*APPROVED, held]))
    assert "BlockedTooLong" in begun.then


# Gates, AWS, time


def test_an_approved_plan_waits_for_the_first_closed_gate_until_it_opens() -> None:
    closed = {"name": "WindowOpen", "passed": False, "reason": "WindowClosed", "message": "opens at eight"}
    gates = [{"name": "Approved", "passed": True}, {**closed, "blockedUntil": NOW + 10 * MINUTE}]
    wait = waits(at_work(phase="Approved", conditions=APPROVED, gates=gates))
    assert (wait.whom, wait.what) == ((), "gate WindowOpen (WindowClosed): opens at eight")
    assert wait.until == NOW + 10 * MINUTE
    del gates[1]["blockedUntil"]
    assert waits(at_work(phase="Approved", conditions=APPROVED, gates=gates)).until == NOW + HOUR


def test_a_step_waits_for_aws_until_its_timeout() -> None:
    step = {"name": "scale-out", "phase": "InProgress", "startedAt": NOW - 5 * MINUTE}
    wait = waits(at_work(phase="InProgress", startedAt=NOW, steps=[step], conditions=APPROVED))
    assert wait.what == "step 1 of 1 of plan plan-1, scale-out (scale_out)"
    assert (wait.whom, wait.until) == ((), NOW + 10 * MINUTE)
    assert "the plan ends, and a person is called" in wait.then
    assert wait.advice[0].startswith("bokgu cancel plan-1 -n shop")


def test_what_follows_a_failure_is_what_the_step_says() -> None:
    step = {"name": "rollback", "phase": "Verifying", "startedAt": NOW, "effectiveAt": NOW}
    status = {"phase": "Verifying", "startedAt": NOW, "steps": [step], "conditions": APPROVED}
    wait = waits(at_work(roll_back(validation=VALIDATION), **status))
    assert wait.what.startswith("proof of step 1")
    assert wait.then.endswith("what was done is undone")


def test_a_gate_that_closes_while_the_plan_runs_names_the_step_that_it_holds() -> None:
    done = {"name": "rollback", "phase": "Completed", "startedAt": NOW, "finishedAt": NOW}
    gate = {"name": "WithinLimits", "passed": False, "reason": "TooMany", "message": "at most 4 tasks"}
    status = {"phase": "InProgress", "startedAt": NOW, "steps": [done], "gates": [gate], "conditions": APPROVED}
    wait = waits(at_work(roll_back(), scale_out(), **status))
    before = "step 2 of 2 of plan plan-1, scale-out (scale_out)"
    assert wait.what == f"gate WithinLimits (TooMany): at most 4 tasks, before {before}"


def test_the_current_step_is_the_first_that_is_not_over() -> None:
    one = at_work(roll_back(), scale_out())
    assert [found[:2] for found in (current_step(one),) if found] == [(1, one.spec.steps[0])]
    over = [{"name": name, "phase": phase} for name, phase in (("rollback", "Skipped"), ("scale-out", "Completed"))]
    assert current_step(at_work(roll_back(), scale_out(), steps=over)) is None


def test_a_plan_that_undoes_is_let_do_so() -> None:
    wait = waits(at_work(phase="RollingBack", startedAt=NOW, conditions=APPROVED))
    assert (wait.whom, "undoes" in wait.what) == ((), True)


@pytest.mark.parametrize(("watch", "until"), [(30 * MINUTE, NOW + 25 * MINUTE), (None, None)])
def test_trouble_that_has_gone_is_watched_as_long_as_its_service_says(watch: timedelta | None, until: Any) -> None:
    gone = detection("Clear", NOW - 5 * MINUTE)
    one = known(detection=gone, relapse_watch=30 * MINUTE)
    wait = find_wait(one, None, watch)
    assert (wait.what, wait.whom, wait.until) == ("the trouble to stay away", (), until)


def test_after_a_plan_the_watch_begins_when_the_plan_was_over() -> None:
    over = at_work(phase="Completed", startedAt=NOW, finishedAt=NOW - MINUTE, conditions=APPROVED)
    one = known(plan=over, detection=detection("Clear", NOW - 5 * MINUTE), relapse_watch=30 * MINUTE)
    assert find_wait(one, over, 30 * MINUTE).until == NOW + 29 * MINUTE


# Without a plan


def test_an_incident_is_classified_and_planned_without_anybody() -> None:
    assert find_wait(incident(status={"phase": "Detected"}), None).what == "its cause, which Bokgu finds out now"
    told = incident(status={"phase": "Classified", "classification": classification().to_dict()})
    assert find_wait(told, None).what == "a plan, which Bokgu makes now"


@pytest.mark.parametrize(("reason", "whom"), [("EcsRollsBack", ()), ("Paused", (PERSON,))])
def test_what_keeps_a_plan_from_being_made_is_said_in_the_operators_words(reason: str, whom: tuple[str, ...]) -> None:
    one = known(no_plan=NoPlan(reason, "this is why", wait=True))
    wait = find_wait(one, None)
    assert (wait.what, wait.whom) == (f"{reason}: this is why", whom)
    assert "bokgu plan --incident incident-1 -n shop --dry-run" in wait.advice[0]


def test_where_no_service_is_protected_a_person_is_waited_for() -> None:
    one = known(classification=None, problem=("NotProtected", "create it"))
    assert find_wait(one, None).whom == (PERSON,)


def test_an_escalated_incident_waits_for_a_person() -> None:
    wait = find_wait(known(no_plan=NoPlan("NoSafeAction", "look at the database", wait=False)), None)
    assert (wait.whom, wait.what) == ((PERSON,), "NoSafeAction: look at the database")
    assert wait.until is None


def test_an_open_breaker_is_reset_by_its_service() -> None:
    wait = find_wait(known(no_plan=NoPlan("BreakerOpen", "two failed", wait=False)), None)
    assert any(advice.startswith("bokgu reset api -n shop") for advice in wait.advice)


def test_corrupted_data_stays_open_until_somebody_deletes_the_incident() -> None:
    corrupted = {"type": "data_corruption"}
    wait = find_wait(known(spec=corrupted, no_plan=NoPlan("NoSafeAction", "look", wait=False)), None)
    assert "stays open" in wait.then
    assert wait.advice[-1].startswith("kubectl delete incident incident-1 -n shop")


def test_a_folded_incident_waits_for_the_one_that_leads() -> None:
    leader = incident(meta=metadata("worse", "uid-worse")).metadata
    reference = {"name": leader.name, "uid": leader.uid}
    fold = Suppression(UidReference.model_validate(reference), "SameService", "the service has a worse one")
    one = incident()
    seen = replace(standing(), suppression=fold)
    wait = find_wait(one.model_copy(update={"status": build_status(one, seen)}), None)
    assert wait.what.startswith("incident worse, into which it is folded")
    assert wait.advice == ("bokgu explain worse -n shop",)


def test_what_is_resolved_waits_for_nothing() -> None:
    over = incident(status={"phase": "Resolved", "reason": "Recovered"})
    assert find_wait(over, None) == Wait("nothing: it is resolved (Recovered)")


def test_a_plan_that_cannot_be_read_is_named() -> None:
    one = incident(status={"phase": "Recovering", "plans": [ENTRY]})
    assert find_wait(one, None).what == "plan plan-1, which is over, or could not be read"
