from typing import Any

import pytest
import yaml

from bokgu.api.incident import IncidentStatus
from bokgu.api.meta import Gate
from bokgu.api.recovery_plan import RecoveryPlanStatus
from bokgu.core.announcement import announce_approvals, announce_block, announce_incident, newly_closed
from bokgu.core.approval.statement import approval_request
from tests.unit.facts import DIGEST, NOW, ROLES


def standing(approved: bool, reason: str = "ApprovalsMissing", request: str | None = None) -> RecoveryPlanStatus:
    condition: dict[str, Any] = {
        "type": "Approved",
        "status": str(approved),
        "reason": reason,
        "message": "how",
        "lastTransitionTime": NOW,
    }
    return RecoveryPlanStatus.model_validate({"approvalRequest": request, "conditions": [condition]})


NEW = RecoveryPlanStatus()
WAITING = standing(False, request="kind: PlanApproval")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (NEW, WAITING, [("ApprovalNeeded", False)]),
        (WAITING, WAITING, []),
        (WAITING, standing(False, request="kind: PlanApproval # another role"), []),
        (WAITING, standing(True, "Approved"), [("Approved", False)]),
        (NEW, standing(True, "AutoApproved"), [("AutoApproved", False)]),
        (WAITING, standing(True, "EmergencyOverride"), [("EmergencyOverride", True)]),
        (standing(True, "Approved"), standing(True, "Approved"), []),
        (standing(True, "Approved"), standing(True, "EmergencyOverride"), [("EmergencyOverride", True)]),
        (standing(True, "Approved"), WAITING, [("ApprovalWithdrawn", True)]),
    ],
)
def test_transitions_are_told_once(old: RecoveryPlanStatus, new: RecoveryPlanStatus, told: list[Any]) -> None:
    assert [(a.reason, a.warning) for a in announce_approvals(old, new)] == told


OVERRIDDEN_GATE = {"name": "WindowOpen", "passed": True, "reason": "EmergencyOverride", "value": "Deny window freeze"}


def test_a_window_that_an_emergency_role_opens_is_told_once() -> None:
    def override(status: RecoveryPlanStatus) -> RecoveryPlanStatus:
        return status.model_copy(update={"gates": (Gate.model_validate(OVERRIDDEN_GATE),)})

    approved, alone = standing(True, "Approved"), standing(True, "EmergencyOverride")
    (told,) = announce_approvals(approved, override(approved))
    assert (told.reason, told.note, told.warning) == ("EmergencyOverride", "WindowOpen: Deny window freeze", True)
    assert announce_approvals(override(approved), override(approved)) == ()
    # One Event where the same person has approved it alone.
    assert len(announce_approvals(WAITING, override(alone))) == 1


def test_the_request_is_the_manifest_and_fits_into_an_event() -> None:
    request = approval_request("p" * 253, "n" * 63, DIGEST, (*ROLES, *(f"role_{i}" * 9 for i in range(9))), NOW)
    assert f"planDigest: {DIGEST}" in request
    name = yaml.safe_load(request)["metadata"]["name"]
    assert DIGEST[7:19] in name
    assert len(name) <= 253
    assert "role: system_admin  # one more each for service_owner, " in request
    assert len(request.encode()) <= 1024


def held(reason: str | None, phase: str = "Approved") -> RecoveryPlanStatus:
    condition = {
        "type": "Blocked",
        "status": str(reason is not None),
        "reason": reason or "GatesOpen",
        "message": "why",
        "lastTransitionTime": NOW,
    }
    return RecoveryPlanStatus.model_validate({"phase": phase, "conditions": [condition]})


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (NEW, held(None), None),
        (NEW, held("Storm"), ("Blocked", "Storm: why")),
        (held("Storm"), held("Storm"), None),
        (held("Storm"), held("BudgetUsedUp"), ("Blocked", "BudgetUsedUp: why")),
        (held("Storm"), held(None), ("Unblocked", "Storm holds it no more")),
        (held("Storm"), held(None, "Cancelled"), None),
    ],
)
def test_s6_each_change_of_what_holds_a_plan_is_told_once(
    old: RecoveryPlanStatus, new: RecoveryPlanStatus, told: tuple[str, str] | None
) -> None:
    found = announce_block(old, new)
    assert (found and (found.reason, found.note)) == told


def gated(*closed: str, phase: str = "Approved") -> RecoveryPlanStatus:
    names = ("Mode", "Approved", "WindowOpen", "NoStorm")
    gates = [{"name": name, "passed": name not in closed} for name in names]
    return RecoveryPlanStatus.model_validate({"phase": phase, "gates": gates})


@pytest.mark.parametrize(
    ("old", "new", "closed"),
    [
        (NEW, gated("Approved"), ()),
        (NEW, gated("WindowOpen", "NoStorm"), ("WindowOpen", "NoStorm")),
        (gated("WindowOpen"), gated("WindowOpen", "NoStorm"), ("NoStorm",)),
        (gated("WindowOpen", "NoStorm"), gated("WindowOpen", "NoStorm"), ()),
        (gated("WindowOpen", "NoStorm"), gated("NoStorm"), ()),
        (gated(), gated("NoStorm", phase="Expired"), ()),
    ],
)
def test_each_gate_that_closes_on_a_plan_is_named_once(
    old: RecoveryPlanStatus, new: RecoveryPlanStatus, closed: tuple[str, ...]
) -> None:
    assert newly_closed(old, new) == closed


# Of an incident


def told(*entries: tuple[str, str]) -> IncidentStatus:
    timeline = [{"at": NOW, "event": event, "message": message} for event, message in entries]
    return IncidentStatus.model_validate({"timeline": timeline})


def test_what_is_added_to_the_timeline_is_told_once() -> None:
    begun, planned = ("Detected", "errors"), ("Planned", "plan-1")
    assert [a.reason for a in announce_incident(told(), told(begun, planned))] == ["Detected", "Planned"]
    assert [a.reason for a in announce_incident(told(begun), told(begun, planned))] == ["Planned"]
    assert announce_incident(told(begun, planned), told(begun, planned)) == ()
    assert announce_incident(told(begun, planned), told(planned)) == (), "one that had to make room"


@pytest.mark.parametrize(
    ("event", "warning"), [("Escalated", True), ("StepFailed", True), ("Resolved", False), ("StepCompleted", False)]
)
def test_what_somebody_should_look_at_is_a_warning(event: str, warning: bool) -> None:
    assert [a.warning for a in announce_incident(told(), told((event, "how")))] == [warning]


def test_trouble_that_begins_again_is_told_in_the_same_words() -> None:
    second, third = ("Recurred", "occurrence 2"), ("Recurred", "occurrence 3")
    assert announce_incident(told(), told(second)) == announce_incident(told(second), told(second, third))


def test_an_event_always_has_a_note() -> None:
    assert [a.note for a in announce_incident(told(), told(("Detected", "")))] == ["Detected"]
