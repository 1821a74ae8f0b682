from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bokgu.api.detector import Detection
from bokgu.api.incident import Incident, IncidentPlan, IncidentStatus
from bokgu.api.meta import find_condition
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import IncidentPhase, PlanPhase
from bokgu.core.lifecycle import MAX_TIMELINE, Standing, build_status, cleared, is_over
from bokgu.core.planning import NoPlan
from tests.unit.facts import DIGEST, MINUTE, NOW, PLAN_UID, classification, incident, plan, scale_out

ENTRY = IncidentPlan(name="plan-1", uid=PLAN_UID, digest=DIGEST)


def detection(state: str = "Firing", since: datetime = NOW - 20 * MINUTE) -> Detection:
    return Detection.model_validate({"condition": "error_rate", "state": state, "since": since})


def standing(**fields: Any) -> Standing:
    facts = Standing(
        now=NOW,
        detection=detection(),
        classification=classification(),
        problem=None,
        plan=None,
        entry=None,
        no_plan=None,
    )
    return replace(facts, **fields)


def ended(phase: PlanPhase, *, started: bool = True, **status: Any) -> RecoveryPlan:
    when = {"startedAt": NOW - 5 * MINUTE} if started else {}
    return plan(status={"phase": phase, "reason": "Because", "finishedAt": NOW, **when, **status})


def settled(one: Incident, facts: Standing) -> IncidentStatus:
    """The status after a pass, which a second pass must not change."""
    status = build_status(one, facts)
    stored = IncidentStatus.model_validate(status.to_dict())
    assert stored == status
    again = build_status(one.model_copy(update={"status": stored}), replace(facts, now=facts.now + MINUTE))
    assert again.to_dict() == status.to_dict()
    return status


def planned() -> Incident:
    return incident(status={"plans": [ENTRY.to_dict()]})


@pytest.mark.parametrize(
    ("facts", "phase", "reason"),
    [
        ({"classification": None}, IncidentPhase.DETECTED, None),
        ({"classification": None, "problem": ("NotProtected", "m")}, IncidentPhase.DETECTED, "NotProtected"),
        ({"problem": ("Throttling", "m")}, IncidentPhase.CLASSIFIED, "Throttling"),
        ({}, IncidentPhase.CLASSIFIED, None),
        ({"no_plan": NoPlan("ObserveOnly", "m", wait=True)}, IncidentPhase.CLASSIFIED, "ObserveOnly"),
        ({"no_plan": NoPlan("NoSafeAction", "m", wait=False)}, IncidentPhase.ESCALATED, "NoSafeAction"),
        ({"detection": detection("Clear", NOW)}, IncidentPhase.RESOLVED, "Cleared"),
        ({"detection": None}, IncidentPhase.CLASSIFIED, None),
        ({"detection": detection("Unknown")}, IncidentPhase.CLASSIFIED, None),
    ],
)
def test_without_a_plan_the_phase_says_what_is_known(
    facts: dict[str, Any], phase: IncidentPhase, reason: str | None
) -> None:
    status = settled(incident(), standing(**facts))
    assert (status.phase, status.reason) == (phase, reason)


@pytest.mark.parametrize(
    ("phase_of_plan", "phase", "reason"),
    [
        (PlanPhase.PENDING, IncidentPhase.AWAITING_APPROVAL, "ApprovalsMissing"),
        (PlanPhase.AWAITING_APPROVAL, IncidentPhase.AWAITING_APPROVAL, "Because"),
        (PlanPhase.APPROVED, IncidentPhase.AWAITING_APPROVAL, "Because"),
        (PlanPhase.IN_PROGRESS, IncidentPhase.RECOVERING, "Because"),
        (PlanPhase.ROLLING_BACK, IncidentPhase.RECOVERING, "Because"),
        (PlanPhase.VERIFYING, IncidentPhase.VERIFYING, "Because"),
        (PlanPhase.COMPLETED, IncidentPhase.RESOLVED, "Recovered"),
        (PlanPhase.REJECTED, IncidentPhase.ESCALATED, "PlanRejected"),
        (PlanPhase.EXPIRED, IncidentPhase.ESCALATED, "PlanExpired"),
        (PlanPhase.FAILED, IncidentPhase.ESCALATED, "PlanFailed"),
        (PlanPhase.ROLLED_BACK, IncidentPhase.ESCALATED, "PlanRolledBack"),
        (PlanPhase.ROLLBACK_FAILED, IncidentPhase.ESCALATED, "PlanRollbackFailed"),
        (PlanPhase.CANCELLED, IncidentPhase.ESCALATED, "PlanCancelled"),
    ],
)
def test_with_a_plan_the_phase_follows_it(phase_of_plan: PlanPhase, phase: IncidentPhase, reason: str) -> None:
    status = settled(planned(), standing(plan=ended(phase_of_plan)))
    assert (status.phase, status.reason) == (phase, reason)
    assert status.plans[-1].outcome == (phase_of_plan if phase_of_plan.terminal else None)
    assert (status.resolved_at is not None) == (phase is IncidentPhase.RESOLVED)


@pytest.mark.parametrize(
    ("one", "gone"),
    [
        (None, True),
        (ended(PlanPhase.AWAITING_APPROVAL, started=False), True),
        (ended(PlanPhase.FAILED), True),
        (ended(PlanPhase.IN_PROGRESS), False),
        (ended(PlanPhase.VERIFYING), False),
        (ended(PlanPhase.ROLLING_BACK), False),
    ],
)
def test_trouble_that_goes_away_resolves_unless_a_plan_is_at_work(one: RecoveryPlan | None, gone: bool) -> None:
    assert cleared(detection("Clear"), one) is gone
    assert not cleared(detection("Unknown"), one)
    assert not cleared(detection("Firing"), one)
    assert not cleared(None, one)
    status = settled(planned(), standing(plan=one, detection=detection("Clear", NOW)))
    assert (status.reason == "Cleared") is gone


def test_all_conditions_are_there_from_the_first_visit() -> None:
    status = build_status(incident(), standing(classification=None))
    types = {c.type for c in status.conditions}
    assert types == {"Classified", "Planned", "Mitigated", "Verified", "Blocked", "Resolved"}


def test_only_a_resolved_incident_is_over() -> None:
    over = [phase for phase in IncidentPhase if is_over(incident(status={"phase": phase}))]
    assert over == [IncidentPhase.RESOLVED]


def test_a_plan_that_was_just_made_is_listed_once_and_awaits_approval() -> None:
    first = build_status(incident(), standing(entry=ENTRY))
    assert (first.phase, first.plans) == (IncidentPhase.AWAITING_APPROVAL, (ENTRY,))
    again = settled(incident().model_copy(update={"status": first}), standing(plan=plan()))
    assert (again.phase, again.plans) == (IncidentPhase.AWAITING_APPROVAL, (ENTRY,))


def test_s10_a_plan_that_is_gone_with_its_outcome_unknown_is_a_case_for_a_person() -> None:
    status = settled(planned(), standing())
    assert status.phase is IncidentPhase.ESCALATED


def test_the_moment_of_resolution_stays() -> None:
    facts = standing(detection=detection("Clear", NOW))
    first = build_status(incident(), facts)
    one = incident().model_copy(update={"status": first})
    assert build_status(one, replace(facts, now=NOW + 60 * MINUTE)).resolved_at == NOW


def test_occurrences_count_the_beginnings_of_the_trouble() -> None:
    one, counts = incident(), []
    working = ended(PlanPhase.IN_PROGRESS)
    for minute, state in enumerate(["Firing", "Firing", "Clear", "Unknown", "Clear", "Firing", "Firing", "Clear"]):
        at = NOW + minute * MINUTE
        since = at if state != "Firing" or minute not in {1, 6} else at - MINUTE
        facts = standing(now=at, plan=working, detection=detection(state, since))
        one = one.model_copy(update={"status": settled(one, facts)})
        counts.append(one.status.occurrences)
    assert counts == [1, 1, 1, 1, 1, 2, 2, 2]
    assert one.status.last_seen_at == NOW + 5 * MINUTE


def test_the_condition_blocked_tells_what_the_plan_waits_for() -> None:
    held = {"type": "Blocked", "status": "True", "reason": "Suspended", "message": "held", "lastTransitionTime": NOW}
    status = settled(planned(), standing(plan=ended(PlanPhase.APPROVED, conditions=[held])))
    blocked = find_condition(status.conditions, "Blocked")
    assert blocked
    assert (blocked.status, blocked.reason) == ("True", "Suspended")


def busy(*, approvals: int) -> RecoveryPlan:
    """A long plan that was undone, so that much has happened."""
    steps = [scale_out(name=f"step-{i}") for i in range(16)]
    done = {"startedAt": NOW - 5 * MINUTE, "finishedAt": NOW - 4 * MINUTE}
    undo = {"phase": "Completed", **done}
    return plan(
        *steps,
        status={
            "phase": "RolledBack",
            "startedAt": NOW - 6 * MINUTE,
            "finishedAt": NOW,
            "reason": "Rejected",
            "steps": [{"name": s["name"], "phase": "Failed", "rollback": undo, **done} for s in steps],
            "approvals": [
                {
                    "role": "service_owner",
                    "approver": f"p{i}@example.com",
                    "decision": "Approve",
                    "at": NOW - 7 * MINUTE,
                    "ref": f"a{i}",
                    "uid": f"u{i}",
                    "verifiedBy": "Signed",
                    "reason": "Accepted",
                }
                for i in range(approvals)
            ],
        },
    )


@pytest.mark.parametrize("approvals", [0, 32])
def test_the_timeline_is_bounded_in_order_and_does_not_change_by_looking_again(approvals: int) -> None:
    early = build_status(incident(), standing(entry=ENTRY, now=NOW - 10 * MINUTE))
    status = settled(incident().model_copy(update={"status": early}), standing(plan=busy(approvals=approvals)))
    assert len(status.timeline) <= MAX_TIMELINE
    moments = [entry.at for entry in status.timeline]
    assert moments == sorted(moments)
    assert {entry.event for entry in status.timeline[-2:]} == {"PlanRolledBack", "Escalated"}


def test_the_timeline_never_moves_what_it_once_said() -> None:
    early = build_status(incident(), standing(entry=ENTRY, now=NOW - 10 * MINUTE))
    then = {(e.event, e.message): e.at for e in early.timeline}
    status = build_status(incident().model_copy(update={"status": early}), standing(plan=busy(approvals=32)))
    assert all(then.get((e.event, e.message), e.at) == e.at for e in status.timeline)


def test_texts_are_cut_to_their_bounds() -> None:
    one = incident(description="d" * 2048)
    facts = standing(problem=("Throttling", "m" * 5000), now=NOW + timedelta(seconds=1))
    settled(one, facts)
