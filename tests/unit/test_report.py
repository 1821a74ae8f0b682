"""What a report tells of an incident, whatever it is printed as."""

from dataclasses import replace
from typing import Any

import pytest

from bokgu.api.history import IncidentRecord, PlanRecord
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import PlanPhase
from bokgu.commands.explanation import Explanation
from bokgu.commands.explanation_text import format_explanation
from bokgu.commands.overview import Entry
from bokgu.commands.report_model import Report, StepStory
from bokgu.commands.report_past import build_past_report
from bokgu.commands.report_sources import Hold, Past, Surroundings, read_hold
from bokgu.commands.report_story import build_report
from bokgu.core.awaiting import find_wait
from tests.unit import facts
from tests.unit.facts import DIGEST, MINUTE, NOW, PLAN_UID, classification, incident, protected_service, roll_back
from tests.unit.history_facts import plan_record, record
from tests.unit.report_facts import (
    BEGUN,
    GONE,
    HOLDS,
    RESOLVED,
    SEEN,
    STARTED,
    completed_plan,
    measured,
    present,
    recovered,
)
from tests.unit.test_explanation import CAUSE, WAITING


def tell(**fields: Any) -> Report:
    return build_report(present(**fields), None)


def told_of(found: tuple[Any, ...], label: str) -> list[str]:
    return [fact.text for fact in found if fact.label == label]


def step(report: Report) -> StepStory:
    return report.plans[0].steps[0]


# What happened


def test_a_few_sentences_say_what_was_seen_why_what_was_done_and_how_it_ended() -> None:
    assert tell().summary == (
        "At 2026-11-24T07:40:00Z Detector api-errors told of high_error_rate, high, on service api: error_rate is 0.37"
        " on api.",
        "The cause is TrafficSurge, no new revision at fault; high confidence.",
        "Plan plan-1 (runbook traffic-surge), approved by alice@example.com as system_admin and bob@example.com as"
        " service_owner, began at 2026-11-24T07:49:00Z and completed at 2026-11-24T07:55:00Z.",
        "The trouble was gone at 2026-11-24T07:54:00Z, 14.0 minutes after it was seen.",
        "The incident was resolved at 2026-11-24T08:00:00Z (Recovered).",
    )


def test_metrics_tell_when_it_began_before_anybody_saw_it() -> None:
    report = build_report(present(), measured())
    assert report.begun_at == BEGUN
    assert "By its metrics it had begun at 2026-11-24T07:36:00Z." in report.summary
    assert report.counted_from == "since the trouble began"
    assert tell().counted_from == "since the trouble was seen"


@pytest.mark.parametrize(
    ("phase", "words"),
    [("RolledBack", "was undone"), ("RollbackFailed", "could not be undone"), ("Rejected", "was rejected")],
)
def test_a_plan_that_did_not_complete_is_told_with_its_end(phase: str, words: str) -> None:
    report = tell(plans=(completed_plan(phase=phase, reason="VerificationFailed"),))
    assert any(words in sentence for sentence in report.summary)


def test_a_plan_that_began_without_people_says_who_stood_in_for_them() -> None:
    said = {"type": "Approved", "status": "True", "lastTransitionTime": STARTED}
    for reason in ("AutoApproved", "EmergencyOverride"):
        report = tell(plans=(completed_plan(conditions=[{**said, "reason": reason, "message": "by the policy"}]),))
        assert any(f"{reason}: by the policy" in sentence for sentence in report.summary)
        assert not any("approved by alice" in sentence for sentence in report.summary)


def test_an_incident_that_is_not_over_says_what_it_waits_for() -> None:
    entry = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST}
    one = incident(status={"phase": "AwaitingApproval", "plans": [entry], "classification": CAUSE.to_dict()})
    report = tell(incident=one, plans=(facts.plan(status=WAITING),), holds=())
    waits = "system_admin, service_owner: approval of plan plan-1"
    assert report.summary[-1] == f"It is not over: it is AwaitingApproval, and waits for {waits}."
    assert f"it is not over, and waits for {waits}" in report.left
    assert "bokgu approve plan-1 -n shop --role system_admin --apply" in report.left
    assert report.gates[0] == "closed now: WindowOpen, until 2026-11-24T08:10:00Z: office-hours opens at eight"
    assert report.ended_at is None


def test_no_plan_is_told_with_its_reason() -> None:
    condition = {
        "type": "Blocked",
        "status": "True",
        "reason": "Paused",
        "message": "by hand",
        "lastTransitionTime": NOW,
    }
    one = incident(status={"phase": "Classified", "reason": "Paused", "conditions": [condition]})
    report = tell(incident=one, plans=(), holds=())
    assert "No plan was made: Paused: by hand." in report.summary
    assert report.plans == ()
    over = tell(incident=incident(status={"phase": "Resolved", "reason": "Cleared", "resolvedAt": NOW}), plans=())
    assert "No plan was made." in over.summary


def test_it_says_what_explain_says() -> None:
    one, current = recovered(), completed_plan()
    explained = Explanation(Entry(one, current, find_wait(one, current)), NOW)
    words = " ".join(format_explanation(explained, colour=False).split())
    report = tell()
    plan = report.plans[0]
    for label in ("cause", "impact", "evidence", "it is not"):
        assert told_of(report.cause, label)
        for text in told_of(report.cause, label):
            assert text in words
    for fact in (*told_of(plan.facts, "stands"), *told_of(plan.facts, "why"), *told_of(report.trouble, "measured")):
        assert fact in words
    assert told_of(report.trouble, "trouble")[0] in words
    assert report.similar[0] in words


# Costs


def test_costs_are_counted_by_stage_and_from_the_begin() -> None:
    costs = build_report(present(), measured()).costs
    assert [(c.what, c.took, c.since_begin) for c in costs] == [
        ("detected", 4, 4),
        ("cause known", 1, 5),
        ("planned (plan-1)", 1, 6),
        ("approved (plan-1)", 6, 12),
        ("begun (plan-1)", 1, 13),
        ("acted (plan-1, scale-out)", 2, 15),
        ("trouble gone", None, 18),
        ("verified (plan-1, scale-out)", 4, 19),
        ("resolved", 5, 24),
    ]


def test_spans_are_the_incident_and_its_steps() -> None:
    assert [tuple(span) for span in tell().spans] == [
        ("open", "incident open", SEEN, RESOLVED),
        ("step", "step scale-out", STARTED, GONE + MINUTE),
    ]


# Plans


def test_a_step_is_told_with_intent_answer_verification_and_undo() -> None:
    one = step(tell())
    assert (one.name, one.action, one.phase) == ("scale-out", "scale_out", "Completed")
    assert told_of(one.facts, "intent") == ['ecs UpdateService {"desiredCount":5}, at 2026-11-24T07:49:00Z']
    assert told_of(one.facts, "before")[0].startswith("desired count 3, arn:aws:ecs:")
    assert told_of(one.facts, "answer") == ["Accepted at 2026-11-24T07:49:00Z; deployment ecs-svc/3"]
    assert told_of(one.facts, "proof") == ["proven when error_rate < 0.05 holds for 5m, within 20m"]
    assert told_of(one.facts, "verdict") == ["Passed"]
    assert told_of(one.facts, "undo") == ["nothing undoes it"]


def test_an_undo_that_ran_is_told_with_what_came_of_it() -> None:
    undo = {"phase": "Completed", "startedAt": NOW, "finishedAt": NOW + MINUTE, "output": "revision 2 runs again"}
    done = {"name": "rollback", "phase": "Failed", "reason": "VerificationFailed", "rollback": undo}
    plan = facts.plan(roll_back(), status={"phase": "RolledBack", "reason": "VerificationFailed", "steps": [done]})
    one = step(tell(plans=(plan,)))
    assert one.phase == "Failed (VerificationFailed)"
    assert told_of(one.facts, "undo") == ["undone by rollback_to_previous_version to what it found"]
    assert told_of(one.facts, "undo ended") == ["2026-11-24T08:01:00Z", "Completed: revision 2 runs again"]


def test_approvals_say_who_when_which_role_and_what_vouches_for_them() -> None:
    said = tell().plans[0].said
    assert [(s.who, s.role, s.counts, s.vouched, s.why) for s in said] == [
        ("alice@example.com", "system_admin", True, "Signed", "the sale must go on"),
        ("mallory@example.com", "service_owner", False, "does not count: RoleNotHeld", ""),
        ("bob@example.com", "service_owner", True, "Signed", ""),
    ]
    assert [s.at for s in said] == sorted(s.at for s in said)


def test_a_plan_that_is_gone_is_told_as_far_as_its_incident_knows() -> None:
    report = tell(plans=())
    assert [(plan.name, plan.state) for plan in report.plans] == [("plan-1", "Completed")]
    assert any("of which no more is known, ended as Completed" in sentence for sentence in report.summary)


# Gates


def test_gates_that_held_it_are_told_by_events() -> None:
    assert tell().gates == (
        "2026-11-24T07:48:00Z plan plan-1: held: WindowClosed: office-hours opens at eight",
        "2026-11-24T07:49:00Z plan plan-1: free again: WindowClosed holds it no more",
        "plan plan-1 began 1.0 minutes after it was approved",
    )


def test_where_events_are_gone_or_forbidden_that_is_said() -> None:
    assert "the API server keeps them for an hour" in tell(holds=()).gates[-1]
    assert "may not be read by this account" in tell(holds=None).gates[-1]


def test_events_are_read_and_other_ones_are_not() -> None:
    event = {"reason": "Blocked", "eventTime": "2026-11-24T07:48:00.123456Z", "note": HOLDS[0].note}
    assert read_hold("plan-1", event) == HOLDS[0]
    assert read_hold("plan-1", {**event, "reason": "Unblocked"}) == replace(HOLDS[0], held=False)
    for bad in ({"reason": "Approved"}, {"eventTime": None}, {"eventTime": "soon"}):
        assert read_hold("plan-1", {**event, **bad}) is None
    assert isinstance(read_hold("plan-1", {**event, "note": None}), Hold)


def test_a_gate_that_opened_and_closed_is_one_line_that_says_how_often() -> None:
    series = {"count": 3, "lastObservedTime": "2026-11-24T07:52:00.5Z"}
    event = {"reason": "Blocked", "eventTime": "2026-11-24T07:48:00Z", "note": HOLDS[0].note, "series": series}
    again = read_hold("plan-1", event)
    assert again == replace(HOLDS[0], times=3, last=HOLDS[0].at + 4 * MINUTE)
    assert again
    assert tell(holds=(again,)).gates[0].endswith("opens at eight (3 times until 2026-11-24T07:52:00Z)")


# What is left


def undone(phase: str) -> RecoveryPlan:
    return completed_plan(phase=phase, reason="VerificationFailed")


def test_tasks_that_were_added_stay_until_somebody_takes_them_away() -> None:
    assert tell().left == ("step scale-out set the desired count to 5, from 3: it stays so until somebody changes it",)


def test_tasks_that_a_later_step_took_away_are_no_more_to_do() -> None:
    scale_in = {"name": "back", "action": "scale_in", "parameters": {"desiredCount": 3}, "timeout": "5m"}
    before = completed_plan()
    plan = facts.plan(
        facts.scale_out(),
        {**scale_in, "onFailure": "Stop"},
        status={
            "phase": "Completed",
            "steps": [before.status.steps[0].to_dict(), {"name": "back", "phase": "Completed"}],
        },
    )
    assert tell(plans=(plan,)).left == ()


@pytest.mark.parametrize("phase", ["Failed", "RolledBack", "RollbackFailed", "Cancelled"])
def test_a_plan_that_ended_badly_is_looked_into(phase: str) -> None:
    assert f"plan plan-1 ended as {phase} (VerificationFailed): find out why" in tell(plans=(undone(phase),)).left


def test_a_rollback_leaves_the_fault_where_it_was() -> None:
    plan = facts.plan(roll_back(), status={"phase": "Completed", "steps": [{"name": "rollback", "phase": "Completed"}]})
    assert "the revision that was rolled back still has its fault" in tell(plans=(plan,)).left[0]


def test_what_went_away_without_a_plan_may_be_there_still() -> None:
    status = {"phase": "Resolved", "reason": "Cleared", "classification": classification().to_dict()}
    left = tell(incident=incident(status={**status, "resolvedAt": NOW}), plans=()).left
    assert left == ("no plan of Bokgu ended it: find out whether TrafficSurge is still there",)


def test_what_the_emergency_role_let_through_is_looked_at() -> None:
    said = {"type": "Approved", "status": "True", "lastTransitionTime": STARTED, "reason": "EmergencyOverride"}
    assert any("emergency role" in line for line in tell(plans=(completed_plan(conditions=[said]),)).left)


# What the history keeps


def past(*plans: PlanRecord, **fields: Any) -> IncidentRecord:
    return record("api-1", *plans, minutes=14, **fields)


def tell_past(one: IncidentRecord) -> Report:
    return build_past_report(Past(one, Surroundings(protected_service(), None, NOW)), None)


def test_what_is_gone_is_told_from_the_history() -> None:
    report = tell_past(past(plan_record(), description="errors rose", new_revision_at_fault=False))
    assert report.from_history
    assert report.summary == (
        "At 2026-11-23T21:46:00Z high_error_rate, high, was seen on service api: errors rose.",
        "The cause is TrafficSurge, no new revision at fault.",
        "Plan 1 (runbook traffic-surge) ended as Completed.",
        "The trouble was gone 14.0 minutes after it was seen.",
        "The incident was resolved at 2026-11-23T22:00:00Z (Recovered).",
    )
    assert [(c.what, c.since_begin) for c in report.costs] == [("trouble gone", 14), ("resolved", 14)]
    assert [one.action for one in report.plans[0].steps] == ["health_check", "scale_out"]


def test_what_was_imported_with_little_is_told_too() -> None:
    bare = past(PlanRecord(id="x", outcome=PlanPhase.FAILED), outcome="", root_cause=None, name="", id="42")
    report = tell_past(bare.model_copy(update={"resolved_at": None, "resolution_minutes": None}))
    assert (report.name, report.state, report.costs) == ("42", "over", ())
    assert "Its cause is not known." in report.summary
