from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident, IncidentPlan, IncidentStatus
from bokgu.api.meta import UidReference, find_condition
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import IncidentPhase, PlanPhase
from bokgu.core.correlation import Suppression
from bokgu.core.lifecycle import Standing, build_status, cleared, is_over, note_outcome
from bokgu.core.planning_facts import NoPlan
from bokgu.core.timeline import MAX_TIMELINE
from tests.unit.facts import (
    DIGEST,
    MINUTE,
    NOW,
    OTHER_DIGEST,
    PLAN_UID,
    classification,
    detection,
    incident,
    plan,
    scale_out,
    standing,
)

ENTRY = IncidentPlan(name="plan-1", uid=PLAN_UID, digest=DIGEST)


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
    assert cleared(incident(), detection("Clear"), one) is gone
    assert not cleared(incident(), detection("Unknown"), one)
    assert not cleared(incident(), detection("Firing"), one)
    assert not cleared(incident(), None, one)
    status = settled(planned(), standing(plan=one, detection=detection("Clear", NOW)))
    assert (status.reason == "Cleared") is gone


HELD = {"type": "Blocked", "status": "True", "reason": "WindowClosed", "lastTransitionTime": NOW}
FREE = {**HELD, "status": "False", "reason": "GatesOpen"}


@pytest.mark.parametrize(
    ("facts", "blocked_by"),
    [
        ({}, None),
        ({"problem": ("Throttling", "m")}, "Throttling"),
        ({"no_plan": NoPlan("Paused", "m", wait=True)}, "Paused"),
        ({"no_plan": NoPlan("NoSafeAction", "m", wait=False)}, "NoSafeAction"),
        ({"entry": ENTRY}, None),
        (
            {"plan": plan(status={"phase": "AwaitingApproval", "reason": "ApprovalsMissing", "conditions": [FREE]})},
            None,
        ),
        ({"plan": plan(status={"phase": "Approved", "reason": "W", "conditions": [HELD]})}, "WindowClosed"),
        ({"plan": ended(PlanPhase.IN_PROGRESS)}, None),
        ({"plan": ended(PlanPhase.FAILED)}, None),
        ({"plan": ended(PlanPhase.COMPLETED)}, None),
        ({"detection": detection("Clear", NOW)}, None),
        ({"detection": detection("Clear", NOW), "plan": ended(PlanPhase.COMPLETED), "relapse_watch": 5 * MINUTE}, None),
    ],
)
def test_what_blocks_an_incident_is_named_only_while_it_blocks(facts: dict[str, Any], blocked_by: str | None) -> None:
    one = planned() if "plan" in facts else incident()
    before = one.model_copy(update={"status": one.status.model_copy(update={"blocked_by": "Storm"})})
    status = settled(before, standing(**facts))
    blocked = find_condition(status.conditions, "Blocked")
    assert blocked is not None
    assert (status.blocked_by, blocked.status == "True") == (blocked_by, blocked_by is not None)


def test_all_conditions_are_there_from_the_first_visit() -> None:
    status = build_status(incident(), standing(classification=None))
    types = {c.type for c in status.conditions}
    assert types == {"Classified", "Planned", "Mitigated", "Verified", "Blocked", "Flapping", "Resolved", "Recorded"}


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


# The relapse watch


WATCH = 30 * MINUTE


class Life:
    """One incident, looked at again and again."""

    def __init__(self, one: Incident, *, watch: timedelta = WATCH) -> None:
        self.incident = one
        self.watch = watch

    def look(self, minute: float, state: str | None, since: float = 0.0, **fields: Any) -> IncidentStatus:
        """A pass at that minute, with a detection that has been so since a minute."""
        said = detection(state, NOW + since * MINUTE) if state else None
        facts = standing(now=NOW + minute * MINUTE, detection=said, relapse_watch=self.watch, **fields)
        self.incident = self.incident.model_copy(update={"status": build_status(self.incident, facts)})
        return self.incident.status


def flag(status: IncidentStatus, type_: str) -> str:
    found = find_condition(status.conditions, type_)
    assert found
    return str(found.status)


@pytest.mark.parametrize(
    ("minute", "phase"), [(0, "Verifying"), (29.9, "Verifying"), (30, "Resolved"), (99, "Resolved")]
)
def test_trouble_that_went_away_is_watched_before_it_counts_as_resolved(minute: float, phase: str) -> None:
    status = Life(incident()).look(minute, "Clear")
    assert status.phase == phase
    assert status.reason == ("RelapseWatch" if phase == "Verifying" else "Cleared")
    assert (status.resolved_at is None) == (phase == "Verifying")
    assert flag(status, "Mitigated") == "True"


def test_a_completed_plan_is_watched_too_and_then_counts_as_the_recovery() -> None:
    life, done = Life(planned()), ended(PlanPhase.COMPLETED)
    assert life.look(0, "Firing", -20, plan=done).reason == "RelapseWatch"
    assert life.look(3, "Clear", 3, plan=done).reason == "RelapseWatch"
    assert life.look(32, "Clear", 3, plan=done).phase is IncidentPhase.VERIFYING
    status = life.look(33, "Clear", 3, plan=done)
    assert (status.phase, status.reason) == (IncidentPhase.RESOLVED, "Recovered")


@given(
    looks=st.lists(st.tuples(st.sampled_from(["Firing", "Clear", "Unknown"]), st.integers(1, 20)), max_size=20),
    completed=st.booleans(),
)
def test_resolved_never_comes_before_the_whole_watch_has_been_calm(
    looks: list[tuple[str, int]], completed: bool
) -> None:
    if completed:
        looks = [(state, minutes) for state, minutes in looks if state != "Unknown"]
    life = Life(planned() if completed else incident())
    plan_ = ended(PlanPhase.COMPLETED) if completed else None
    minute, since, last, fired = 0, 0, "Firing", -20
    for state, minutes in looks:
        minute += minutes
        since = since if state == last else minute
        last = state
        if state == "Firing" and (since > 0 or not completed):  # After a plan what lingers is not counted, see below.
            fired = minute
        status = life.look(minute, state, since, plan=plan_)
        if status.phase is IncidentPhase.RESOLVED:
            assert state != "Firing"
            assert minute - max(fired, 0 if completed else fired) >= 30
            return


def test_trouble_that_comes_back_in_the_watch_is_the_same_incident() -> None:
    life = Life(incident())
    life.look(0, "Firing", -20)
    life.look(5, "Clear", 5)
    status = life.look(15, "Firing", 15)
    assert (status.phase, status.occurrences) == (IncidentPhase.CLASSIFIED, 2)
    assert status.last_seen_at == NOW + 15 * MINUTE
    assert [e.event for e in status.timeline].count("Recurred") == 1
    life.look(20, "Clear", 20)
    assert life.look(49, "Clear", 20).phase is IncidentPhase.VERIFYING
    assert life.look(50, "Clear", 20).phase is IncidentPhase.RESOLVED


def test_trouble_that_is_back_after_a_completed_plan_reopens_the_incident() -> None:
    life, done = Life(planned()), ended(PlanPhase.COMPLETED)
    life.look(2, "Clear", 2, plan=done)
    status = life.look(10, "Firing", 10, plan=done)
    assert (status.phase, status.reason) == (IncidentPhase.CLASSIFIED, "Relapsed")
    assert (status.occurrences, status.resolved_at) == (2, None)
    assert status.plans[-1].relapsed_at == NOW + 10 * MINUTE
    assert [flag(status, type_) for type_ in ("Mitigated", "Verified", "Planned", "Resolved")] == ["False"] * 4
    (told,) = [e for e in status.timeline if e.event == "Relapsed"]
    assert told.message == "plan plan-1 completed, and the trouble has come back since"


def test_trouble_that_never_went_away_has_relapsed_when_the_watch_ends() -> None:
    life, done = Life(planned()), ended(PlanPhase.COMPLETED)
    assert life.look(5, "Firing", -20, plan=done).phase is IncidentPhase.VERIFYING
    status = life.look(30, "Firing", -20, plan=done)
    assert (status.phase, status.reason, status.occurrences) == (IncidentPhase.CLASSIFIED, "Relapsed", 1)
    assert status.plans[-1].relapsed_at == NOW + 30 * MINUTE


def test_trouble_that_comes_back_before_it_was_clear_does_not_wait_for_the_end_of_the_watch() -> None:
    """Clear takes five calm minutes and the settle time: errors that return in the third keep the state Firing."""
    life, done = Life(planned()), ended(PlanPhase.COMPLETED)
    assert life.look(11, "Firing", -20, plan=done, clears_within=12 * MINUTE).phase is IncidentPhase.VERIFYING
    assert life.look(15, "Firing", -20, plan=done, clears_within=12 * MINUTE).reason == "Relapsed"


def test_s5_trouble_that_the_plan_was_made_for_has_not_come_back_by_a_clock_that_is_behind() -> None:
    """A second operator whose clock is half an hour behind ended the plan, and says that it did so before the trouble
    began."""
    begun = incident(status={"plans": [ENTRY.to_dict()]}, detectedAt=NOW + 20 * MINUTE)
    life, done = Life(begun), ended(PlanPhase.COMPLETED)
    status = life.look(22, "Firing", 20, plan=done)
    assert (status.phase, status.reason) == (IncidentPhase.VERIFYING, "RelapseWatch")
    life.look(23, "Clear", 23, plan=done)
    status = life.look(25, "Firing", 25, plan=done)
    assert (status.phase, status.reason) == (IncidentPhase.CLASSIFIED, "Relapsed")
    assert life.look(26, "Firing", 25, plan=done).reason == "Relapsed"


@pytest.mark.parametrize("end", [PlanPhase.CANCELLED, PlanPhase.EXPIRED, PlanPhase.REJECTED])
def test_an_incident_that_is_over_knows_how_its_last_plan_ended(end: PlanPhase) -> None:
    life = Life(planned())
    open_plan = ended(PlanPhase.AWAITING_APPROVAL, started=False)
    assert life.look(40, "Clear", 1, plan=open_plan).phase is IncidentPhase.RESOLVED
    over = life.incident.status
    assert [p.outcome for p in over.plans] == [None]
    assert note_outcome(over, open_plan) is None
    assert note_outcome(over, None) is None
    noted = note_outcome(over, ended(end, started=False))
    assert noted is not None
    assert [p.outcome for p in noted.plans] == [end]
    assert noted.model_copy(update={"plans": over.plans}) == over
    assert note_outcome(noted, ended(end, started=False)) is None


# The next rung


NEXT = IncidentPlan(name="plan-2", uid="plan-2-uid", digest=OTHER_DIGEST, runbook="traffic-surge-more")
BETTER_NOT = NoPlan("NoSafeAction", "page the owner", wait=False)


def relapsed() -> tuple[Life, RecoveryPlan]:
    life, done = Life(planned()), ended(PlanPhase.COMPLETED)
    life.look(2, "Clear", 2, plan=done)
    life.look(10, "Firing", 10, plan=done)
    return life, done


def test_the_next_rung_is_another_plan_of_the_same_incident() -> None:
    life, done = relapsed()
    status = life.look(10.1, "Firing", 10, plan=done, entry=NEXT)
    assert (status.phase, status.reason) == (IncidentPhase.AWAITING_APPROVAL, "ApprovalsMissing")
    assert [(p.name, p.outcome) for p in status.plans] == [("plan-1", "Completed"), ("plan-2", None)]
    assert [flag(status, type_) for type_ in ("Mitigated", "Verified", "Planned")] == ["False", "Unknown", "True"]
    assert status.timeline[-1].message == "plan-2: next rung traffic-surge-more"


def test_an_incident_is_recovered_by_the_plan_that_ended_it() -> None:
    life, done = relapsed()
    life.look(10.1, "Firing", 10, plan=done, entry=NEXT)
    meta = {"name": "plan-2", "uid": "plan-2-uid"}
    again = plan(meta=meta, status={"phase": "Completed", "startedAt": NOW, "finishedAt": NOW + 20 * MINUTE})
    assert life.look(21, "Clear", 19, plan=again).reason == "RelapseWatch"
    status = life.look(50, "Clear", 19, plan=again)
    assert (status.phase, status.reason) == (IncidentPhase.RESOLVED, "Recovered")
    assert [p.relapsed_at is not None for p in status.plans] == [True, False]


def test_where_nothing_follows_a_relapse_a_person_is_called() -> None:
    life, done = relapsed()
    status = life.look(11, "Firing", 10, plan=done, no_plan=BETTER_NOT)
    assert (status.phase, status.reason) == (IncidentPhase.ESCALATED, "Relapsed")
    assert status.timeline[-1].message.endswith("come back since. Nothing follows: page the owner")
    wait = NoPlan("DeploymentInProgress", "ECS is deploying", wait=True)
    status = life.look(12, "Firing", 10, plan=done, no_plan=wait)
    assert (status.phase, status.reason) == (IncidentPhase.CLASSIFIED, "DeploymentInProgress")


def test_an_incident_whose_plans_are_used_up_says_what_was_tried() -> None:
    seven = {"name": "plan-7", "uid": "u7", "digest": DIGEST, "outcome": "Completed", "startedAt": NOW}
    entries = [seven, {**seven, "name": "plan-8", "uid": "u8"}]
    one = incident(status={"plans": [*entries, ENTRY.to_dict() | {"runbook": "ours", "startedAt": NOW}]})
    status = settled(one, standing(plan=ended(PlanPhase.COMPLETED), detection=detection(since=NOW + MINUTE)))
    assert (status.phase, status.reason) == (IncidentPhase.ESCALATED, "Relapsed")
    said = "3 plans were made and 3 tried: plan-7 (Completed), plan-8 (Completed), plan-1 (ours, Completed)"
    assert any(said in e.message for e in status.timeline)


@pytest.mark.parametrize("phase", [PlanPhase.FAILED, PlanPhase.ROLLED_BACK])
def test_a_plan_that_was_measured_not_to_help_may_be_followed(phase: PlanPhase) -> None:
    """It is Classified until the next rung is there."""
    did_not_help = ended(phase, reason="VerificationFailed")
    status = settled(planned(), standing(plan=did_not_help))
    assert (status.phase, status.reason) == (IncidentPhase.CLASSIFIED, f"Plan{phase}")
    assert status.plans[-1].outcome is phase
    status = settled(planned(), standing(plan=did_not_help, no_plan=BETTER_NOT))
    assert (status.phase, status.reason) == (IncidentPhase.ESCALATED, f"Plan{phase}")
    silent = settled(planned(), standing(plan=did_not_help, detection=detection("Unknown")))
    assert silent.phase is IncidentPhase.ESCALATED


def test_corrupted_data_does_not_heal_by_silence() -> None:
    """Nobody has looked: the incident, and with it the gate NotFrozen, must wait for a person."""
    life = Life(incident(type="data_corruption"))
    life.look(0, "Firing", -20)
    life.look(5, "Clear", 5)
    assert life.look(60, "Clear", 5).phase is not IncidentPhase.RESOLVED


def test_a_plan_that_ended_the_corruption_leaves_the_data_to_a_person() -> None:
    life, done = Life(incident(type="data_corruption", status=planned().status.to_dict())), ended(PlanPhase.COMPLETED)
    status = life.look(50, "Clear", 2, plan=done)
    assert (status.phase, status.reason) == (IncidentPhase.ESCALATED, "DataToCheck")


def test_after_a_relapse_that_went_away_by_itself_the_watch_begins_anew() -> None:
    life, done = Life(planned()), ended(PlanPhase.COMPLETED)
    life.look(2, "Clear", 2, plan=done)
    life.look(10, "Firing", 10, plan=done)
    assert life.look(20, "Clear", 20, plan=done).phase is IncidentPhase.VERIFYING
    assert life.look(49, "Clear", 20, plan=done).phase is IncidentPhase.VERIFYING
    assert life.look(50, "Clear", 20, plan=done).phase is IncidentPhase.RESOLVED


def test_a_plan_after_which_the_trouble_came_back_is_not_told_as_the_recovery() -> None:
    life, done = Life(planned()), ended(PlanPhase.COMPLETED)
    life.look(2, "Clear", 2, plan=done)
    life.look(10, "Firing", 10, plan=done)
    life.look(20, "Clear", 20, plan=done)
    assert life.look(50, "Clear", 20, plan=done).reason == "Cleared"


@pytest.mark.parametrize("traffic", ["Unknown"])
def test_silence_in_the_watch_is_no_relapse_and_asks_for_no_plan(traffic: str) -> None:
    """Cleared at ten to midnight, no traffic since: nothing came back, so nothing is planned or escalated."""
    life = Life(incident())
    life.look(0, "Firing", -20)
    life.look(5, "Clear", 5)
    status = life.look(15, traffic, 15, no_plan=NoPlan("NoSafeAction", "m", wait=False))
    assert status.phase is IncidentPhase.VERIFYING


@pytest.mark.parametrize("silence", ["Unknown", None])
def test_a_relapse_is_not_over_because_nobody_measures_any_more(silence: str | None) -> None:
    """The Detector that saw the relapse is deleted or renamed, or loses its access."""
    life, done = Life(planned()), ended(PlanPhase.COMPLETED)
    life.look(2, "Clear", 2, plan=done)
    assert life.look(20, "Firing", 20, plan=done).reason == "Relapsed"
    assert life.look(31, silence, 31, plan=done).phase is not IncidentPhase.RESOLVED


def test_silence_alone_never_resolves() -> None:
    life = Life(incident())
    for minute in range(0, 600, 60):
        assert life.look(minute, "Unknown").phase is IncidentPhase.CLASSIFIED


def test_without_a_watch_clear_is_resolved_at_once() -> None:
    assert Life(incident(), watch=timedelta()).look(0, "Clear").phase is IncidentPhase.RESOLVED


# Suppression


LEADER = Suppression(UidReference(name="leader", uid="uid-leader"), "SameService", "leader leads")


def test_a_folded_incident_is_suppressed_and_says_by_whom() -> None:
    status = settled(incident(), standing(suppression=LEADER))
    assert (status.phase, status.reason, status.leader) == (IncidentPhase.SUPPRESSED, "SameService", LEADER.leader)
    assert status.timeline[-1].event == "Suppressed"
    assert status.resolved_at is None


def test_it_comes_into_its_own_when_its_leader_is_over_and_it_still_hurts() -> None:
    life = Life(incident())
    life.look(0, "Firing", -20, suppression=LEADER, classification=None)
    status = life.look(1, "Firing", -20)
    assert (status.phase, status.leader) == (IncidentPhase.CLASSIFIED, None)


def test_a_folded_incident_that_went_away_is_over_by_itself() -> None:
    life = Life(incident())
    assert life.look(0, "Clear", 0, suppression=LEADER).phase is IncidentPhase.VERIFYING
    assert life.look(30, "Clear", 0, suppression=LEADER).phase is IncidentPhase.RESOLVED


def test_a_folded_incident_that_comes_back_in_its_watch_is_folded_again_and_counts() -> None:
    life = Life(incident())
    life.look(0, "Clear", 0, suppression=LEADER)
    status = life.look(5, "Firing", 5, suppression=LEADER)
    assert (status.phase, status.occurrences) == (IncidentPhase.SUPPRESSED, 2)


# Flapping


def flap(life: Life, *beginnings: float) -> IncidentStatus:
    """Five minutes of trouble from each of these minutes on; the status at the last beginning."""
    status = life.look(0, "Firing", -20)
    for begin in beginnings:
        life.look(begin - 1, "Clear", begin - 1)
        status = life.look(begin, "Firing", begin)
    return status


@pytest.mark.parametrize(
    ("beginnings", "flapping"),
    [((), "False"), ((10,), "False"), ((10, 20), "True"), ((10, 20, 30), "True")],
)
def test_trouble_that_begins_three_times_within_two_watches_flaps(beginnings: tuple[float, ...], flapping: str) -> None:
    status = flap(Life(incident()), *beginnings)
    assert flag(status, "Flapping") == flapping
    assert status.occurrences == len(beginnings) + 1


def test_beginnings_of_long_ago_do_not_count() -> None:
    """An incident that a person has on the desk since the morning, and that came back twice this hour."""
    assert flag(flap(Life(incident()), 600, 630), "Flapping") == "False"
    assert flag(flap(Life(incident()), 600, 630, 640), "Flapping") == "True"


def test_flapping_ends_when_it_stays_away() -> None:
    life = Life(incident())
    flap(life, 10, 20)
    assert flag(life.look(100, "Firing", 20), "Flapping") == "False"


@pytest.mark.parametrize("kind", ["Detector", "Preset"])
def test_what_a_measurement_has_just_opened_is_not_mitigated(kind: str) -> None:
    one = incident(source={"kind": kind, "name": "api", "condition": "error_rate"})
    assert flag(build_status(one, standing(detection=None)), "Mitigated") == "False"


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


def test_the_timeline_tells_every_cause_that_was_told() -> None:
    """Another deployment has ended since: what is told of it now is another thing."""
    first = build_status(incident(), standing())
    told = incident(status=first.to_dict())
    other = classification(rootCause="BadDeployment", deploymentId="ecs-svc/3")
    second = build_status(told, standing(classification=other))
    assert [e.message.split(" ")[0] for e in second.timeline if e.event == "Classified"] == [
        "TrafficSurge",
        "BadDeployment",
    ]
    again = build_status(incident(status=second.to_dict()), standing(classification=other))
    assert again.timeline == second.timeline


# What kubectl describe shows


def messages(status: IncidentStatus) -> dict[str, str]:
    return {condition.type: condition.message for condition in status.conditions}


def test_conditions_tell_the_story_in_words() -> None:
    facts = [{"source": "cloudwatch GetMetricData", "fact": "requests doubled"}]
    known = classification(evidence=facts)
    status = settled(incident(), standing(classification=known, no_plan=NoPlan("NoSafeAction", "look", wait=False)))
    told = messages(status)
    assert told["Classified"] == "TrafficSurge (high confidence): requests doubled"
    assert told["Mitigated"] == "the trouble is there"
    assert told["Verified"] == "no step was verified yet"
    assert (told["Planned"], told["Resolved"]) == ("look", "look")
    gone = settled(incident(), standing(detection=detection("Clear", NOW - MINUTE)))
    assert messages(gone)["Mitigated"] == "the trouble has been gone since 2026-11-24T07:59:00Z"
    silent = settled(incident(), standing(detection=detection("Unknown")))
    assert messages(silent)["Mitigated"] == "nothing says whether the trouble is there"
