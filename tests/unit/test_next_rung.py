"""Whether another plan follows one that did not end its incident."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident, IncidentPlan
from bokgu.api.recovery_plan import RecoveryPlan, StepParameters
from bokgu.api.vocabulary import Action, PlanPhase
from bokgu.core.next_rung import (
    MAX_PLANS,
    Tried,
    awaits_next_rung,
    describe_plans,
    may_follow,
    read_tried,
    told_before,
)
from bokgu.core.planning import Decision, decide_plan
from bokgu.core.planning_facts import NoPlan
from tests.unit.facts import (
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    classification,
    detection,
    health_check,
    incident,
    plan,
    protected_service,
    restart,
    runbook,
    scale_out,
    service,
)
from tests.unit.test_planning import good, planning

FIRING = detection()


def ended(phase: PlanPhase, reason: str = "VerificationFailed", *steps: dict[str, Any]) -> RecoveryPlan:
    begun = {"startedAt": NOW - 20 * MINUTE, "finishedAt": NOW}
    return plan(*steps, runbookRef={"name": "traffic-surge"}, status={"phase": phase, "reason": reason, **begun})


def entry(**fields: Any) -> dict[str, Any]:
    return {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "startedAt": NOW - 20 * MINUTE, **fields}


def with_plans(*entries: dict[str, Any], **spec: Any) -> Incident:
    return incident(status={"plans": list(entries)}, **spec)


RELAPSED = with_plans(entry(outcome="Completed", relapsedAt=NOW + MINUTE))


def test_a_relapse_and_a_plan_that_was_measured_not_to_help_are_followed() -> None:
    assert awaits_next_rung(RELAPSED, ended(PlanPhase.COMPLETED), FIRING)
    for phase in (PlanPhase.FAILED, PlanPhase.ROLLED_BACK):
        assert awaits_next_rung(with_plans(entry(outcome=phase)), ended(phase), FIRING)


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        (PlanPhase.FAILED, "EffectUnknown"),
        (PlanPhase.FAILED, "ForeignChange"),
        (PlanPhase.FAILED, "VerificationInconclusive"),
        (PlanPhase.FAILED, "RefusedByAws"),
        (PlanPhase.FAILED, "Timeout"),
        (PlanPhase.ROLLED_BACK, "Rejected"),
        (PlanPhase.ROLLED_BACK, "ApprovalWithdrawn"),
        (PlanPhase.ROLLBACK_FAILED, "VerificationFailed"),
        (PlanPhase.ROLLBACK_FAILED, "ForeignChange"),
        (PlanPhase.REJECTED, "Rejected"),
        (PlanPhase.EXPIRED, "Expired"),
        (PlanPhase.CANCELLED, "Deleted"),
        (PlanPhase.CANCELLED, "PreconditionChanged"),
        (PlanPhase.IN_PROGRESS, "VerificationFailed"),
    ],
)
def test_s9_what_left_something_open_is_a_persons(phase: PlanPhase, reason: str) -> None:
    assert not may_follow(with_plans(entry(outcome=phase)), ended(phase, reason), FIRING)


@pytest.mark.parametrize(
    ("approved", "begun", "follows"), [(True, None, True), (False, None, False), (True, NOW, False)]
)
def test_what_people_had_approved_and_no_gate_let_begin_is_followed(
    approved: bool, begun: datetime | None, follows: bool
) -> None:
    condition = {"type": "Approved", "status": str(approved), "reason": "r", "message": "", "lastTransitionTime": NOW}
    status = {"phase": "Expired", "reason": "Expired", "startedAt": begun, "conditions": [condition]}
    assert may_follow(with_plans(entry(outcome="Expired")), plan(status=status), FIRING) is follows


def test_the_person_who_is_called_hears_what_was_made_and_what_was_tried() -> None:
    never, tried = entry(outcome="Expired", startedAt=None), entry(outcome="Failed", startedAt=NOW)
    assert describe_plans(with_plans(never, tried).status.plans).startswith("2 plans were made and 1 tried: plan-1 (")


@pytest.mark.parametrize("state", ["Clear", "Unknown", None])
def test_only_trouble_that_is_there_asks_for_another_plan(state: str | None) -> None:
    assert not may_follow(RELAPSED, ended(PlanPhase.COMPLETED), detection(state) if state else None)


def test_what_became_of_the_plan_is_written_down_before_another_one_follows() -> None:
    assert not awaits_next_rung(with_plans(entry()), ended(PlanPhase.FAILED), FIRING)
    assert not awaits_next_rung(with_plans(entry(outcome="Completed")), ended(PlanPhase.COMPLETED), FIRING)
    assert not awaits_next_rung(incident(), None, FIRING)
    assert not awaits_next_rung(RELAPSED, None, FIRING), "a plan that is gone tells nothing"


def test_corrupted_data_is_a_persons() -> None:
    one = with_plans(entry(outcome="Completed", relapsedAt=NOW), type="data_corruption")
    assert not may_follow(one, ended(PlanPhase.COMPLETED), FIRING)


@given(st.integers(1, 16))
def test_an_incident_gets_so_many_plans_and_no_more(number: int) -> None:
    entries = [entry(uid=f"u{n}", outcome="Completed", relapsedAt=NOW) for n in range(number)]
    assert awaits_next_rung(with_plans(*entries), ended(PlanPhase.COMPLETED), FIRING) is (number < MAX_PLANS)


@pytest.mark.parametrize(
    ("told_at", "one", "last", "before"),
    [
        (None, RELAPSED, ended(PlanPhase.COMPLETED), True),
        (NOW, RELAPSED, ended(PlanPhase.COMPLETED), True),
        (NOW + MINUTE, RELAPSED, ended(PlanPhase.COMPLETED), False),
        (NOW - MINUTE, with_plans(entry(outcome="Failed")), ended(PlanPhase.FAILED), True),
        (NOW, with_plans(entry(outcome="Failed")), ended(PlanPhase.FAILED), False),
        (None, incident(), None, False),
    ],
)
def test_the_cause_is_told_anew_once_a_plan(
    told_at: Any, one: Incident, last: RecoveryPlan | None, before: bool
) -> None:
    found = classification(**({"toldAt": told_at} if told_at else {}))
    assert told_before(found, one, last) is before


# What is planned then


def tried(
    runbook_: str | None = "traffic-surge", ended_: str = "completed, and did not end the trouble", *writes: Any
) -> Tried:
    return Tried("plan-1", runbook_, ended_, ended_.startswith("completed"), writes)


def climbed(*past: Tried, **changes: Any) -> Decision:
    return decide_plan(planning(tried=past, **changes))


SCALED = (Action.SCALE_OUT, StepParameters(desired_count=5))


def test_more_load_after_more_tasks_is_the_next_rung() -> None:
    made = climbed(tried("traffic-surge", "completed, and did not end the trouble", SCALED), service=service(desired=5))
    assert isinstance(made.outcome, RecoveryPlan)
    spec = made.outcome.spec
    assert spec.runbook_ref
    assert spec.runbook_ref.name == "traffic-surge-more"
    assert spec.steps[-1].parameters == StepParameters(desired_count=8)
    assert "traffic-surge gave way: plan plan-1 of traffic-surge completed, and did not end the trouble" in (
        spec.chosen_because or ""
    )


def test_more_of_the_same_is_only_for_trouble_that_comes_back_after_it_has_helped() -> None:
    at_maximum = climbed(service=service(desired=10)).outcome
    assert isinstance(at_maximum, NoPlan)
    assert at_maximum.reason == "AtMaximum"
    assert "the surge goes on" not in at_maximum.message
    measured = climbed(
        tried("traffic-surge", "ended as Failed: VerificationFailed", SCALED), service=service(desired=5)
    )
    assert isinstance(measured.outcome, NoPlan)
    assert measured.outcome.reason == "Tried"
    assert "Raise the maximum" in measured.outcome.message, "more of what did not help is no new idea"


def test_where_all_rungs_were_tried_a_person_is_told() -> None:
    no = climbed(tried(), tried("traffic-surge-more", "ended as Failed: VerificationFailed")).outcome
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("Tried", False)
    assert "plan-1 of traffic-surge-more ended as Failed: VerificationFailed. Page who owns api" in no.message


def test_never_the_same_request_again_whatever_the_runbook_is_called() -> None:
    """A restart that did not help is none the better as the rung of another cause, or by a person's hand."""
    steps = [{"name": "restart", "action": "service_restart"}]
    books = (runbook("ours", steps=steps),)
    no = climbed(tried(None, "ended as Failed: VerificationFailed", (Action.SERVICE_RESTART, None)), runbooks=books)
    assert isinstance(no.outcome, NoPlan)
    assert no.outcome.message.startswith("plan plan-1 did the same, and ended as Failed")
    scaled = climbed(tried(None, "completed", SCALED), runbooks=(runbook("ours"),))
    assert isinstance(scaled.outcome, NoPlan)
    larger = climbed(tried(None, "completed", SCALED), runbooks=(runbook("ours"),), service=service(desired=5))
    assert isinstance(larger.outcome, RecoveryPlan)


def test_what_nobody_knows_is_not_repeated_by_chance() -> None:
    no = climbed(Tried("plan-1", None, "ended as nobody knows", helped=False, writes=None)).outcome
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("PlanGone", False)


def test_the_next_plan_has_the_next_name() -> None:
    made = decide_plan(planning(incident=RELAPSED, tried=(tried(),))).outcome
    assert isinstance(made, RecoveryPlan)
    assert made.metadata.name == "incident-1-2"
    assert made.spec.required_approvals, "every plan needs its own approvals"


# What was tried


def test_what_was_tried_is_read_from_the_plan() -> None:
    last = ended(PlanPhase.FAILED, "VerificationFailed", health_check(), scale_out(), restart())
    found = read_tried(IncidentPlan.model_validate(entry(outcome="Failed")), last)
    assert found
    assert (found.runbook, found.ended) == ("traffic-surge", "ended as Failed: VerificationFailed")
    assert found.writes == (SCALED, (Action.SERVICE_RESTART, None))


def test_a_plan_that_never_began_or_is_at_work_was_not_tried() -> None:
    waiting = plan(status={"phase": "Expired", "reason": "Expired"})
    assert read_tried(IncidentPlan.model_validate(entry(startedAt=None)), waiting) is None
    # It had claimed its incident, and then a gate closed.
    assert read_tried(IncidentPlan.model_validate(entry()), waiting) is None
    assert read_tried(IncidentPlan.model_validate(entry()), ended(PlanPhase.VERIFYING)) is None


def test_of_a_plan_that_is_gone_only_the_entry_tells() -> None:
    gone = read_tried(IncidentPlan.model_validate(entry(outcome="Completed", runbook="ours")), None)
    assert gone
    assert (gone.runbook, gone.writes) == ("ours", None)


def test_a_service_that_names_a_runbook_climbs_from_there() -> None:
    protected = protected_service(status=good(), runbooks=["classic-high-error-rate"])
    no = climbed(tried("classic-high-error-rate", "completed", SCALED), protected_service=protected)
    assert isinstance(no.outcome, NoPlan)
    assert no.outcome.reason == "Tried"


def test_no_plan_follows_while_somebody_sets_back_what_one_had_set() -> None:
    said = {"type": "Reverted", "status": "True", "reason": "SetBack", "message": "", "lastTransitionTime": NOW}
    status = {"plans": [entry(outcome="Completed", relapsedAt=NOW + MINUTE)]}
    held = incident(status={**status, "conditions": [{**said, "status": "False"}]})
    assert may_follow(held, ended(PlanPhase.COMPLETED), FIRING)
    assert not may_follow(incident(status={**status, "conditions": [said]}), ended(PlanPhase.COMPLETED), FIRING)
