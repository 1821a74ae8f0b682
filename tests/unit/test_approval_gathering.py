import asyncio
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bokgu.api.incident import Incident
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.core.approval.requirement import Requirement
from bokgu.core.execution import decide
from bokgu.kube.client import KubeError, Raw
from bokgu.reconcile.approvals import Policy, find_other_incidents, gather_requirement, judge_approvals
from bokgu.reconcile.context import Context
from bokgu.reconcile.recovery_plan import _claim_auto
from tests.unit.facts import (
    DIGEST,
    INCIDENT_UID,
    MINUTE,
    NOW,
    ROLES,
    approval,
    classification,
    facts,
    incident,
    metadata,
    plan,
    protected_service,
)
from tests.unit.test_approval_admission import shipped

BOTH = ("system_admin", "service_owner")


class Kube:
    """Answers what is asked about approvals, and remembers the questions."""

    clock_ahead = timedelta()

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fence = shipped()
        self.signers: dict[str, str] | None = {}

    async def may(self, user: str, groups: tuple[str, ...], *, name: str, **_: Any) -> bool:
        self.asked.append((user, name))
        return True

    async def config_map(self, *_: str) -> dict[str, str] | None:
        if self.signers is None:
            raise KubeError(500, "InternalError", "etcd is away")
        return self.signers

    async def admission_policy(self, _: str) -> tuple[Raw, Raw]:
        return self.fence


def context(kube: Kube | None = None, **parts: Any) -> Any:
    settings: dict[str, Any] = {
        "namespace": "bokgu-system",
        "signers_config_map": "bokgu-signers",
        "delegates": frozenset(),
        "emergency_role": None,
        "policy_settle": MINUTE,
        "minute": MINUTE,
    }
    given: Any = SimpleNamespace(
        kube=kube or Kube(), settings=SimpleNamespace(**settings), clock=lambda: NOW, fence=None
    )
    given.remember_fence = lambda version: Context.remember_fence(given, version)
    vars(given).update(parts)
    return given


def judge(given: Any, *approvals: PlanApproval) -> list[str]:
    found = asyncio.run(judge_approvals(given, approvals, DIGEST, Requirement(ROLES)))
    return [judgement.reason for judgement in found]


def test_a_right_is_asked_for_once_however_many_approvals_rest_on_it() -> None:
    given = context()
    flood = [approval(meta={"name": f"a{i}", "uid": f"u{i}"}) for i in range(1000)]
    assert set(judge(given, *flood, approval("service_owner", "bob@example.com"))) == {"Accepted"}
    assert sorted(given.kube.asked) == [("alice@example.com", "system_admin"), ("bob@example.com", "service_owner")]


def test_nobody_is_asked_for_the_rights_of_those_whom_nobody_vouches_for() -> None:
    given = context()
    assert judge(given, approval(signature="junk"), approval(carriedBy="mallory")) == [
        "InvalidSignature",
        "NotDelegated",
    ]
    assert given.kube.asked == []


def test_s6_a_reject_whose_signers_cannot_be_read_now_may_count_after_all() -> None:
    kube = Kube()
    kube.signers = None
    assert judge(context(kube), approval(signature="x", decision="Reject")) == ["SignersUnreadable"]


def test_s8_an_edited_policy_vouches_from_when_it_was_seen_by_the_later_clock() -> None:
    kube = Kube()
    policy, binding = kube.fence
    kube.fence = ({**policy, "metadata": {**policy["metadata"], "generation": 3, "managedFields": []}}, binding)
    kube.clock_ahead = timedelta(seconds=5)
    given = context(kube)

    def created(at: datetime) -> list[str]:
        return judge(given, approval(meta={"creationTimestamp": at}))

    seen = NOW + timedelta(seconds=5)
    assert created(NOW - 30 * MINUTE) == ["NoProof"]
    assert created(seen + MINUTE) == ["NoProof"]
    assert created(seen + MINUTE + timedelta(seconds=1)) == ["Accepted"]
    given.clock = lambda: NOW + 10 * MINUTE
    assert created(NOW + 5 * MINUTE) == ["Accepted"]
    kube.fence = ({**policy, "metadata": {**policy["metadata"], "generation": 5}}, binding)
    assert created(NOW + 5 * MINUTE) == ["NoProof"]


# What incidents ask for


def told(name: str, severity: str, impact: str | None = None, **fields: Any) -> Incident:
    status = {"classification": classification(impactLevel=impact).to_dict()} if impact else {}
    return incident(meta={"name": name, "uid": f"uid-{name}"}, severity=severity, status={**status, **fields})


LOW = incident(severity="low", status={"classification": classification(impactLevel="low").to_dict()})


@pytest.mark.parametrize(
    ("others", "roles"),
    [
        ([], ("service_owner",)),
        ([told("a", "medium")], ("service_owner",)),
        ([told("a", "critical")], BOTH),
        ([told("a", "low", "high")], BOTH),
        ([told("a", "low"), told("b", "high")], BOTH),
    ],
)
def test_s1_a_harmless_incident_is_no_easier_way_while_a_grave_one_is_open(
    others: list[Incident], roles: tuple[str, ...]
) -> None:
    assert gather_requirement(plan(), Policy(None), LOW, protected_service(), others).roles == roles


def test_s1_an_incident_that_nobody_has_classified_counts_as_the_worst() -> None:
    filed = incident(severity="low")
    assert gather_requirement(plan(), Policy(None), filed, protected_service(), [told("a", "low")]).roles == BOTH


@pytest.mark.parametrize(
    ("status", "found"),
    [({}, ["grave"]), ({"startedAt": NOW}, [])],
)
def test_other_incidents_count_while_they_are_open_and_until_the_plan_has_begun(
    status: dict[str, Any], found: list[str]
) -> None:
    there = [incident(), told("grave", "critical"), told("over", "critical", phase="Resolved")]
    given = context(find_related=lambda *_: there)
    assert there[0].metadata.uid == INCIDENT_UID
    assert [i.metadata.name for i in find_other_incidents(given, plan(status=status))] == found


# The budget of plans that start by themselves


def policy(*uids: str) -> Raw:
    starts = [{"plan": "another", "uid": uid, "at": NOW - MINUTE} for uid in uids]
    body = {"kind": "RecoveryPolicy", "metadata": metadata("default", "uid"), "spec": {"maxAutoPerHour": 1}}
    return {**body, "status": {"autoStarts": starts}}


@pytest.mark.parametrize(("there", "written"), [((), 1), (("another",), 0)])
def test_s7_a_plan_that_was_judged_before_another_one_began_claims_no_budget(
    there: tuple[str, ...], written: int
) -> None:
    """The entry of the other plan came into the store after the verdict, so that no PUT will conflict."""
    claims: list[Any] = []

    async def write_status(kind: type[RecoveryPolicy], raw: Raw, status: Any) -> bool:
        claims.append(status)
        return True

    raw = policy(*there)
    given = context(objects=SimpleNamespace(get=lambda _: raw), write_status=write_status)
    asyncio.run(_claim_auto(given, plan()))
    assert len(claims) == written


# Clocks


@pytest.mark.parametrize(
    ("ahead", "phase"), [(timedelta(), "InProgress"), (61 * MINUTE, "Expired"), (-61 * MINUTE, "InProgress")]
)
def test_s8_a_plan_that_has_expired_by_the_api_servers_clock_never_starts(ahead: timedelta, phase: str) -> None:
    assert decide(plan(), facts(clock_ahead=ahead)).status.phase == phase
