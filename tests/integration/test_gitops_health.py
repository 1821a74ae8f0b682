"""What docs/gitops.md shows: manifests of all kinds, and Argo CD's health checks on real objects of each phase."""

from datetime import UTC, datetime
from typing import Any

import pytest
from lupa import lua51

from bokgu.api.crds import KINDS
from bokgu.api.detector import DetectorStatus
from bokgu.api.incident import IncidentStatus
from bokgu.api.meta import Condition, ConditionStatus
from bokgu.api.plan_approval import PlanApprovalStatus
from bokgu.api.protected_service import ProtectedServiceStatus
from bokgu.api.recovery_plan import RecoveryPlanStatus
from bokgu.api.recovery_policy import RecoveryPolicyStatus
from bokgu.api.runbook import RunbookStatus
from bokgu.api.vocabulary import IncidentPhase, PlanPhase
from tests.gitops.page import HEALTH_SCRIPTS, KUSTOMIZATIONS

CONFIGURED = {
    "ProtectedService": ProtectedServiceStatus,
    "Detector": DetectorStatus,
    "Runbook": RunbookStatus,
    "RecoveryPolicy": RecoveryPolicyStatus,
}
"""Kinds that people configure."""


class Argo:
    """Runs a script as Argo CD does: Lua 5.1 with the base and table libraries only, the object as `obj`."""

    def __init__(self) -> None:
        self._lua = lua51.LuaRuntime(unpack_returned_tuples=True)
        self._lua.execute("string, io, package, require, debug, coroutine = nil; os = {time = os.time}")

    def health(self, kind: str, status: object = None, *, generation: int = 1, **spec: Any) -> tuple[str, str]:
        """Status and message that Argo CD would show of an object."""
        body = {"kind": kind, "metadata": {"name": "x", "generation": generation}, "spec": spec}
        if status is not None:
            body["status"] = status.to_dict()  # type: ignore[attr-defined]
        self._lua.globals().obj = self._lua.table_from(body, recursive=True)
        answer = self._lua.execute(HEALTH_SCRIPTS[kind])
        return answer.status, answer.message


@pytest.fixture(scope="module")
def argo() -> Argo:
    return Argo()


def condition(type_: str, status: str, reason: str, message: str = "") -> Condition:
    return Condition(
        type=type_,
        status=ConditionStatus(status),
        reason=reason,
        message=message,
        last_transition_time=datetime(2026, 1, 31, tzinfo=UTC),
    )


def test_every_kind_has_its_checks() -> None:
    kinds = {kind.kind_name for kind in KINDS}
    assert HEALTH_SCRIPTS.keys() >= kinds
    expressions = KUSTOMIZATIONS["shop-platform"]["spec"]["healthCheckExprs"]
    assert {e["kind"] for e in expressions} >= kinds - {"PlanApproval"}
    assert "healthCheckExprs" not in KUSTOMIZATIONS["shop-approvals"]["spec"]


INCIDENT_HEALTH = {
    IncidentPhase.AWAITING_APPROVAL: "Suspended",
    IncidentPhase.RESOLVED: "Healthy",
    IncidentPhase.SUPPRESSED: "Healthy",
    IncidentPhase.ESCALATED: "Degraded",
}


@pytest.mark.parametrize("phase", IncidentPhase)
def test_health_of_an_incident(argo: Argo, phase: IncidentPhase) -> None:
    status = IncidentStatus(observed_generation=1, phase=phase)
    assert argo.health("Incident", status) == (INCIDENT_HEALTH.get(phase, "Progressing"), phase)


DEGRADED_PLANS = {PlanPhase.FAILED, PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED}


@pytest.mark.parametrize("phase", PlanPhase)
def test_health_of_a_plan(argo: Argo, phase: PlanPhase) -> None:
    expected = "Healthy" if phase.terminal else "Progressing"
    if phase in DEGRADED_PLANS:
        expected = "Degraded"
    if phase is PlanPhase.AWAITING_APPROVAL:
        expected = "Suspended"
    status = RecoveryPlanStatus(observed_generation=1, phase=phase, reason="WhyNot")
    assert argo.health("RecoveryPlan", status) == (expected, f"{phase}: WhyNot")


@pytest.mark.parametrize("kind", CONFIGURED)
@pytest.mark.parametrize(
    ("ready", "suspend", "expected"),
    [
        (("True", "Usable", ""), False, ("Healthy", "Usable")),
        (("False", "Broken", "mend it"), False, ("Degraded", "mend it")),
        (("False", "Suspended", "spec.suspend is set"), True, ("Suspended", "spec.suspend is set")),
        (("True", "Described", ""), True, ("Suspended", "spec.suspend is set")),
    ],
)
def test_health_of_what_people_configure(
    argo: Argo, kind: str, ready: tuple[str, str, str], suspend: bool, expected: tuple[str, str]
) -> None:
    conditions = (condition("Detecting", "False", "Else"), condition("Ready", *ready))
    status = CONFIGURED[kind](observed_generation=1, conditions=conditions)
    assert argo.health(kind, status, suspend=suspend) == expected


@pytest.mark.parametrize("kind", sorted(HEALTH_SCRIPTS.keys() - {"PlanApproval"}))
def test_what_the_operator_has_not_seen_is_progressing(argo: Argo, kind: str) -> None:
    assert argo.health(kind) == ("Progressing", "waits for the operator")
    empty = RecoveryPlanStatus()
    assert argo.health(kind, empty) == ("Progressing", "waits for the operator")


@pytest.mark.parametrize(("kind", "status"), [("Incident", IncidentStatus), ("RecoveryPlan", RecoveryPlanStatus)])
def test_a_phase_of_an_older_generation_does_not_count(argo: Argo, kind: str, status: type) -> None:
    phase = {"Incident": "Resolved", "RecoveryPlan": "Completed"}[kind]
    seen = status(observed_generation=1, phase=phase)
    assert argo.health(kind, seen)[0] == "Healthy"
    assert argo.health(kind, seen, generation=2)[0] == "Progressing"


@pytest.mark.parametrize(
    ("status", "reason"), [("True", "Accepted"), ("False", "PlanNotFound"), ("False", "DigestMismatch")]
)
def test_an_approval_is_healthy_whether_it_counts_or_not(argo: Argo, status: str, reason: str) -> None:
    judged = PlanApprovalStatus(observed_generation=1, conditions=(condition("Accepted", status, reason),))
    assert argo.health("PlanApproval", judged) == ("Healthy", reason)
    assert argo.health("PlanApproval") == ("Healthy", "")
