"""What people should be told, from the first sight of an incident to its end."""

from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.meta import OpenBreaker
from bokgu.api.outbox import Outbox
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.alerts.notices import (
    Neighbourhood,
    list_incident_notices,
    list_namespace_notices,
    must_ask_for_storm,
    worst_severity,
)
from bokgu.core.alerts.outbox import Notice
from bokgu.core.storm import Storm
from tests.unit.facts import NOW, PLAN_UID, classification, incident, plan, scale_out

STORM = Storm(NOW, 7, None)
ENTRY = {"name": "api-1", "uid": PLAN_UID, "digest": "sha256:" + "ab" * 32}


def notices(
    status: dict[str, Any] | None = None,
    of: RecoveryPlan | None = None,
    around: Neighbourhood = Neighbourhood(),  # noqa: B008 - it is frozen
    told: tuple[str, ...] = (),
    **spec: Any,
) -> tuple[Notice, ...]:
    one: Incident = incident(**spec)
    new = IncidentStatus.model_validate({"phase": "Classified", **(status or {})})
    return list_incident_notices(one, new, of, around, outbox=Outbox(told=told), now=NOW)


def kinds(*args: Any, **fields: Any) -> list[str]:
    return [notice.kind for notice in notices(*args, **fields)]


def step(phase: str, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"name": "scale", "phase": phase, "reason": reason, "finishedAt": NOW, **fields}


def of(*steps: dict[str, Any], **status: Any) -> RecoveryPlan:
    return plan(scale_out(), status={"steps": steps, **status})


def test_an_incident_is_told_once_and_when_it_becomes_worse() -> None:
    (first,) = notices(severity="high")
    assert (first.kind, first.key) == ("IncidentDetected", "IncidentDetected/high")
    told = (first.key,)
    assert kinds(severity="high", told=told) == []
    assert kinds(severity="medium", told=told) == [], "an impact that falls is no news"
    assert [n.key for n in notices(severity="critical", told=told)] == ["IncidentDetected/critical"]


def test_impact_counts_as_much_as_severity() -> None:
    status = IncidentStatus(classification=classification(impactLevel="critical"))
    assert worst_severity(incident(severity="medium"), status) == "critical"


@pytest.mark.parametrize(("occurrences", "key"), [(2, 2), (3, 2), (4, 4), (7, 4), (64, 64), (100, 64)])
def test_a_flapping_incident_is_told_ever_more_rarely(occurrences: int, key: int) -> None:
    told = ("IncidentDetected/high",)
    (again,) = notices({"occurrences": occurrences}, severity="high", told=told)
    assert (again.kind, again.key) == ("IncidentDetected", f"Occurrence/{key}")


@pytest.mark.parametrize("phase", ["Suppressed", "Resolved"])
def test_nobody_is_told_of_an_incident_that_others_tell_or_that_is_over(phase: str) -> None:
    assert kinds({"phase": phase}, severity="high") == []


def test_in_a_storm_one_incident_tells_for_all_where_no_policy_does() -> None:
    assert kinds(around=Neighbourhood(STORM), severity="high") == []
    assert kinds(around=Neighbourhood(STORM, tells_storm=True), severity="high") == ["Storm"]
    told = ("IncidentDetected/high",)
    assert kinds({"occurrences": 2}, around=Neighbourhood(STORM), severity="high", told=told) == ["IncidentDetected"]
    assert must_ask_for_storm(None)
    assert must_ask_for_storm(Outbox(told=("Occurrence/2",)))
    assert not must_ask_for_storm(Outbox(told=told))


def test_a_namespace_tells_of_its_storm_and_its_breaker() -> None:
    assert list_namespace_notices(None, None) == ()
    breaker = OpenBreaker(opened_at=NOW, plans=("api-1", "web-1"))
    storm, opened = list_namespace_notices(STORM, breaker)
    assert (storm.kind, storm.key) == ("Storm", "Storm/2026-11-24T08:00:00Z")
    assert opened.message.startswith("api-1, web-1 failed")
    later = OpenBreaker(opened_at=NOW + timedelta(hours=1), plans=("api-1",))
    assert list_namespace_notices(None, later)[0].key != opened.key


TOLD = ("IncidentDetected/high",)


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (of(step("Pending"), phase="Pending"), []),
        (of(step("Pending"), phase="AwaitingApproval", approvalRequest="kind: PlanApproval"), ["ApprovalNeeded"]),
        (of(step("Pending"), phase="Expired", approvalRequest="kind: PlanApproval"), []),
        (of(step("InProgress"), phase="InProgress", startedAt=NOW), ["RecoveryStarted"]),
        (of(step("Failed", "TimedOut"), phase="InProgress", startedAt=NOW), ["RecoveryStarted", "StepFailed"]),
        (of(step("Skipped", "TimedOut"), phase="InProgress", startedAt=NOW), ["RecoveryStarted", "StepFailed"]),
        (of(step("Skipped", "DryRun"), phase="Cancelled", reason="DryRun"), []),
        (of(step("Skipped", "NotNeeded"), phase="Cancelled"), []),
        (
            of(step("Completed"), phase="Completed", startedAt=NOW, finishedAt=NOW),
            ["RecoveryStarted", "RecoveryCompleted"],
        ),
        (
            of(step("Failed", "X", rollback={"phase": "Completed"}), phase="RolledBack", startedAt=NOW, finishedAt=NOW),
            ["RecoveryStarted", "StepFailed", "RolledBack"],
        ),
        (
            of(step("Failed", "X", rollback={"phase": "Failed"}), phase="RollbackFailed", startedAt=NOW),
            ["RecoveryStarted", "StepFailed", "StepFailed"],
        ),
    ],
)
def test_a_plan_is_told_from_its_request_to_its_end(current: RecoveryPlan, expected: list[str]) -> None:
    found = notices(None, current, severity="high", told=TOLD)
    assert [notice.kind for notice in found] == expected
    assert len({notice.key for notice in found}) == len(found)
    assert all(notice.plan == current.metadata.name for notice in found)


def test_a_start_says_so_where_nobody_approved_or_nothing_is_sent() -> None:
    now = {"status": "True", "lastTransitionTime": NOW}
    said = [
        {"type": "Approved", "reason": "AutoApproved", "message": "spec.auto of the policy", **now},
        {"type": "DryRun", "reason": "Asked", "message": "nothing more will be sent to AWS", **now},
    ]
    (begun,) = notices(None, of(step("InProgress"), startedAt=NOW, conditions=said), severity="high", told=TOLD)
    assert begun.message == "spec.auto of the policy; nothing more will be sent to AWS"


def test_the_same_of_another_plan_is_another_thing() -> None:
    one = of(step("Failed", "X"), phase="InProgress")
    other = plan(scale_out(), status={"steps": [step("Failed", "X")]}, meta={"uid": "77777777-other"})
    assert not {n.key for n in notices(None, one)} & {n.key for n in notices(None, other, told=TOLD)} - {
        "IncidentDetected/high"
    }


def test_an_override_is_told_whether_of_roles_or_of_a_window() -> None:
    said = {"type": "Approved", "status": "True", "reason": "EmergencyOverride", "lastTransitionTime": NOW}
    gate = {"name": "WindowOpen", "passed": True, "reason": "EmergencyOverride", "value": "Deny window freeze"}
    found = notices(None, of(step("Pending"), conditions=[said], gates=[gate]), severity="high", told=TOLD)
    assert [n.kind for n in found] == ["Override", "Override"]
    assert found[1].message == "WindowOpen: Deny window freeze"


def escalated(reason: str, **fields: Any) -> dict[str, Any]:
    said = {"type": "Resolved", "status": "False", "reason": "Escalated", "lastTransitionTime": NOW, "message": "look"}
    return {"phase": "Escalated", "reason": reason, "conditions": [said], **fields}


def test_an_escalation_is_told_once_for_each_plan_and_reason() -> None:
    (first,) = notices(escalated("PlanFailed", plans=[ENTRY]), severity="high", told=TOLD)
    assert (first.kind, first.message, first.plan) == ("Escalated", "PlanFailed: look", "api-1")
    (other,) = notices(escalated("Relapsed", plans=[ENTRY]), severity="high", told=TOLD)
    assert first.key != other.key
    (closed,) = notices(escalated("BreakerOpen"), severity="high", told=TOLD)
    assert closed.kind == "Breaker"


def over(reason: str, message: str) -> dict[str, Any]:
    said = {"type": "Resolved", "status": "True", "reason": reason, "lastTransitionTime": NOW, "message": message}
    return {"phase": "Resolved", "reason": reason, "resolvedAt": NOW, "conditions": [said]}


RECOVERED = over("Recovered", "plan api-1 completed")
CLEARED = over("Cleared", "the trouble went away without a plan of ours")


@pytest.mark.parametrize("status", [RECOVERED, CLEARED], ids=["recovered", "cleared"])
@pytest.mark.parametrize(
    "told", ["IncidentDetected/high", "unplanned/Escalated/NoRunbook", "0a1b2c3d/StepFailed/scale"]
)
def test_who_was_told_of_an_incident_is_told_of_its_end_once(status: dict[str, Any], told: str) -> None:
    (end,) = notices(status, severity="high", told=(told,))
    said = status["conditions"][0]
    assert (end.key, end.kind, end.at) == ("IncidentResolved", "IncidentResolved", NOW)
    assert end.message == f"{said['reason']}: {said['message']}"


def test_the_end_comes_after_that_of_the_plan() -> None:
    completed = of(step("Completed"), phase="Completed", startedAt=NOW, finishedAt=NOW)
    assert kinds(RECOVERED, completed, severity="high", told=TOLD)[-1] == "IncidentResolved"


@pytest.mark.parametrize("told", [(), ("Storm/2026-11-24T08:00:00Z",)])
def test_nobody_is_told_of_the_end_of_what_was_never_told(told: tuple[str, ...]) -> None:
    assert kinds(CLEARED, severity="high", told=told) == []


def test_what_was_told_and_then_folded_into_another_has_an_end_too() -> None:
    assert kinds({"phase": "Suppressed"}, severity="high", told=TOLD) == []
    assert kinds(CLEARED, severity="high", told=TOLD) == ["IncidentResolved"]


def test_the_incident_whose_plan_opened_the_breaker_tells_of_it() -> None:
    around = Neighbourhood(breaker=OpenBreaker(opened_at=NOW, plans=("old", "api-1")))
    assert kinds({"plans": [ENTRY]}, around=around, severity="high", told=TOLD) == ["Breaker"]
    assert kinds({}, around=around, severity="high", told=TOLD) == []
