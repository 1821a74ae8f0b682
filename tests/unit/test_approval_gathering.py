import asyncio
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bokgu.api.plan_approval import PlanApproval, PlanApprovalStatus
from bokgu.api.vocabulary import Proof
from bokgu.core.approval.admission import fence_version
from bokgu.core.approval.requirement import Requirement
from bokgu.core.execution import decide
from bokgu.kube.client import KubeError, Raw
from bokgu.reconcile.approvals import judge_approvals
from bokgu.reconcile.context import Context, SeenFence
from tests.unit.facts import (
    DIGEST,
    MINUTE,
    NOW,
    ROLES,
    approval,
    facts,
    plan,
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
        kube=kube or Kube(), settings=SimpleNamespace(**settings), clock=lambda: NOW, fence=SeenFence()
    )
    given.moment = lambda: Context.moment(given)
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
    assert created(NOW - 30 * MINUTE) == ["ProofUnknown"]
    assert created(seen + MINUTE) == ["ProofUnknown"]
    assert created(seen + MINUTE + timedelta(seconds=1)) == ["Accepted"]
    given.clock = lambda: NOW + 10 * MINUTE
    assert created(NOW + 5 * MINUTE) == ["Accepted"]
    kube.fence = ({**policy, "metadata": {**policy["metadata"], "generation": 5}}, binding)
    assert created(NOW + 5 * MINUTE) == ["ProofUnknown"]


def test_s10_what_an_edited_policy_vouched_for_still_counts_after_a_restart() -> None:
    kube = Kube()
    policy, binding = kube.fence
    kube.fence = ({**policy, "metadata": {**policy["metadata"], "generation": 3}}, binding)
    seen = PlanApprovalStatus(proof=Proof.CLUSTER, admission_policy=fence_version(*kube.fence))
    before = approval().model_copy(update={"status": seen})
    assert judge(context(kube), before) == ["Accepted"]
    kube.fence = ({**policy, "metadata": {**policy["metadata"], "generation": 4}}, binding)
    assert judge(context(kube), before) == ["ProofUnknown"]


# Clocks


@pytest.mark.parametrize(
    ("ahead", "phase"), [(timedelta(), "InProgress"), (61 * MINUTE, "Expired"), (-61 * MINUTE, "InProgress")]
)
def test_s8_a_plan_that_has_expired_by_the_api_servers_clock_never_starts(ahead: timedelta, phase: str) -> None:
    assert decide(plan(), facts(clock_ahead=ahead)).status.phase == phase
