import json
from typing import Any

import yaml

from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.commands.data import format_data
from bokgu.commands.explanation import Explanation, describe_explanation
from bokgu.commands.explanation_text import format_explanation
from bokgu.commands.overview import Entry
from bokgu.commands.page import WIDTH
from bokgu.core.awaiting import find_wait
from bokgu.core.lifecycle import build_status
from bokgu.core.planning_facts import NoPlan
from tests.unit.facts import DIGEST, MINUTE, NOW, PLAN_UID, ROLES, classification, incident, plan, standing

FACTS = [
    {"source": "cloudwatch GetMetricData", "fact": "requests grew from 600 to 1200 a minute"},
    {"source": "ecs DescribeServices", "fact": "service api has reached a steady state"},
]
CAUSE = classification(
    evidence=FACTS,
    ruledOut=["OutOfMemory: memory peaked at 31 %"],
    similarIncidents={"count": 2, "medianResolution": "12m", "names": ["api-1", "api-2"]},
)
WINDOW = {
    "name": "WindowOpen",
    "passed": False,
    "reason": "WindowClosed",
    "message": "office-hours opens at eight",
    "blockedUntil": NOW + 10 * MINUTE,
}
WAITING: dict[str, Any] = {
    "phase": "AwaitingApproval",
    "digest": DIGEST,
    "requiredApprovals": list(ROLES),
    "approvalCount": "0/2",
    "progress": "0/1",
    "conditions": [
        {"type": "Approved", "status": "False", "reason": "ApprovalsMissing", "lastTransitionTime": NOW, "message": ""}
    ],
    "gates": [WINDOW],
}


def told(one: Incident, current: RecoveryPlan | None = None, notes: tuple[str, ...] = ()) -> Explanation:
    return Explanation(Entry(one, current, find_wait(one, current)), NOW, notes)


def planned(**status: Any) -> Explanation:
    current = plan(
        status={**WAITING, **status},
        chosen_because="it fits the cause best",
        if_nothing_is_done="Errors go on.",
        runbook_ref={"name": "traffic-surge"},
    )
    entry = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "runbook": "traffic-surge"}
    one = incident(status={"plans": [entry], "classification": CAUSE.to_dict()})
    one = one.model_copy(update={"status": build_status(one, standing(plan=current, classification=CAUSE))})
    return told(one, current)


def unplanned(no_plan: NoPlan) -> Explanation:
    one = incident()
    return told(one.model_copy(update={"status": build_status(one, standing(no_plan=no_plan, classification=CAUSE))}))


def words(explanation: Explanation) -> str:
    """The text with its lines joined: paragraphs are wrapped."""
    return " ".join(format_explanation(explanation, colour=False).split())


def test_the_cause_is_told_with_its_evidence_quoted_and_what_it_is_not() -> None:
    said = words(planned())
    for expected in (
        "shop/incident-1: AwaitingApproval",
        "told by Detector api-errors",
        "error_rate was 0.37, threshold 0.3",
        "cause TrafficSurge, no new revision at fault; high confidence",
        "evidence cloudwatch GetMetricData: requests grew from 600 to 1200 a minute",
        "ecs DescribeServices: service api has reached a steady state",
        "it is not OutOfMemory: memory peaked at 31 %",
        "similar 2 past incidents, median resolution 12m: api-1, api-2",
    ):
        assert expected in said


def test_the_plan_is_told_with_its_reason_its_steps_and_what_holds_it() -> None:
    said = words(planned())
    for expected in (
        "why this plan plan plan-1: AwaitingApproval; approvals 0/2, steps 0/1",
        "because it fits the cause best (runbook traffic-surge)",
        "step 1 scale-out (scale_out), Pending",
        "closed WindowOpen, until 2026-11-24T08:10:00Z, in 10m: office-hours opens at eight",
        "for system_admin, service_owner: approval of plan plan-1",
        "until 2026-11-24T09:00:00Z, in 1h",
        "if nobody does anything then plan plan-1 expires, and a person is called. Errors go on.",
        "what to do next 1 bokgu approve plan-1 -n shop --role system_admin --apply",
    ):
        assert expected in said


def test_no_plan_is_told_with_its_reason() -> None:
    said = words(unplanned(NoPlan("NoSafeAction", "the dependency must be mended first", wait=False)))
    assert "why no plan is at work none NoSafeAction: the dependency must be mended first" in said
    assert "which gates hold it none" in said
    assert "bokgu plan --incident incident-1 -n shop --dry-run" in said


def test_a_plan_that_is_over_holds_no_gate_and_says_how_it_ended() -> None:
    explained = planned(phase="Expired", reason="Expired")
    assert explained.gates == ()
    said = words(explained)
    assert "plan plan-1: Expired (Expired)" in said
    assert "none PlanExpired: plan plan-1 ended as Expired" in said


def test_earlier_plans_are_told_with_their_ends() -> None:
    entries = [
        {"name": "plan-0", "uid": "uid-0", "digest": DIGEST, "runbook": "first", "outcome": "RolledBack"},
        {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST},
    ]
    current = plan(status=WAITING)
    said = words(told(incident(status={"phase": "AwaitingApproval", "plans": entries}), current))
    assert "before plan-0 (first): RolledBack" in said


def test_an_incident_that_nobody_has_looked_at_yet_can_be_told() -> None:
    said = words(told(incident(status={"phase": "Detected"})))
    assert "cause not told yet" in said
    assert "for its cause, which Bokgu finds out now" in said


def test_what_is_resolved_needs_nothing() -> None:
    said = words(told(incident(status={"phase": "Resolved", "reason": "Recovered"})))
    assert "for nothing: it is resolved (Recovered)" in said
    assert "what to do next" not in said


def test_lines_fit_and_nothing_that_is_quoted_moves_the_cursor() -> None:
    evil = classification(evidence=[{"source": "logs", "fact": "\x1b[2J\u202e" + "word " * 50}])
    one = told(incident(status={"phase": "Classified", "classification": evil.to_dict()}), notes=("\x1b[2J",))
    text = format_explanation(one, colour=False)
    assert max(map(len, text.splitlines())) <= WIDTH
    for shown in (text, *(format_data(describe_explanation(one), output) for output in ("json", "yaml"))):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_data_hold_all_that_the_text_says() -> None:
    explained = planned()
    data = json.loads(format_data(describe_explanation(explained), "json"))
    assert yaml.safe_load(format_data(describe_explanation(explained), "yaml")) == data
    assert data["classification"]["evidence"] == FACTS
    assert data["plan"]["because"] == "it fits the cause best"
    assert data["plan"]["steps"] == [{"name": "scale-out", "action": "scale_out", "phase": "Pending"}]
    assert data["gates"][0]["blockedUntil"] == "2026-11-24T08:10:00Z"
    assert data["waitsFor"]["whom"] == list(ROLES)
    assert "whyNoPlan" not in data
    none = describe_explanation(unplanned(NoPlan("NoSafeAction", "look", wait=False)))
    assert none["whyNoPlan"] == {"reason": "NoSafeAction", "message": "look"}
    assert "plan" not in none
