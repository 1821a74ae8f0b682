"""Claims of a plan: the lock of its service, and the entry of its incident (S5, S7)."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.core.plan_facts import Claim
from bokgu.kube.client import KubeError, Raw
from bokgu.reconcile import context as reconcile_context
from bokgu.reconcile import recovery_policy as recovery_policy_pass
from bokgu.reconcile.context import Context
from bokgu.reconcile.recovery_plan import _claim, _claim_auto, _claim_incident, _claim_service
from tests.unit.facts import DIGEST, NOW, facts, incident, locked_by, plan, protected_service, scale_out
from tests.unit.test_plan_incident import Past, context

OPEN = {"breaker": {"openedAt": NOW, "plans": ["plan-0"]}}


class Kube:
    """Takes every status."""

    clock_ahead = timedelta()

    def __init__(self) -> None:
        self.written: list[Raw] = []
        self.kinds: list[str] = []
        self.conflicts = False
        self.versions: dict[str, str] = {}

    async def get(self, *_: str) -> None:
        return None

    async def replace_status(self, plural: str, body: Raw, status: Raw) -> Raw:
        await asyncio.sleep(0)
        self.written.append(status)
        self.kinds.append(plural)
        seen = self.versions.get(plural, body["metadata"]["resourceVersion"])
        if self.conflicts or body["metadata"]["resourceVersion"] != seen:
            raise KubeError(409, "Conflict", "")
        version = self.versions[plural] = str(int(seen) + 1)
        return {**body, "metadata": {**body["metadata"], "resourceVersion": version}, "status": status}


def with_kube(*objects: Any) -> tuple[Context, Kube]:
    one, kube = context(Past(), *objects), Kube()
    one.kube = cast(Any, kube)
    return one, kube


@pytest.mark.parametrize(("status", "claims"), [({}, 0), ({"phase": "InProgress", "startedAt": NOW}, 1)])
def test_s7_an_open_breaker_keeps_the_lock_only_from_who_has_not_begun(status: Raw, claims: int) -> None:
    """Who has begun needs it to hear a Reject, or to come to an end, after its ProtectedService was made anew."""
    mine = plan(scale_out(), status=status)
    one, kube = with_kube(mine, protected_service(status=OPEN))
    asyncio.run(_claim_service(one, mine, facts()))
    assert len(kube.written) == claims
    assert all(written["activePlan"]["uid"] == mine.metadata.uid for written in kube.written)
    assert one.claims["shop"] == {} if claims else "shop" not in one.claims


def test_another_incident_of_the_name_is_not_told_of_the_plan() -> None:
    one, kube = with_kube(incident(meta={"uid": "another"}))
    asyncio.run(_claim_incident(one, plan(scale_out()), DIGEST))
    assert kube.written == []
    one, kube = with_kube(incident())
    asyncio.run(_claim_incident(one, plan(scale_out()), DIGEST))
    assert [entry["digest"] for written in kube.written for entry in written["plans"]] == [DIGEST]


def recovery_policy(**spec: Any) -> RecoveryPolicy:
    metadata = {"name": "default", "namespace": "shop", "uid": "policy", "resourceVersion": "1"}
    return RecoveryPolicy.model_validate({"metadata": metadata, "spec": {"maxAutoPerHour": 1, **spec}})


ALL = Claim(auto=True, service=True, digest=DIGEST)
BUDGET, LOCK, MARK = "recoverypolicies", "protectedservices", "incidents"


@pytest.mark.parametrize(
    ("policy", "service", "written"),
    [
        ({}, {}, [BUDGET, LOCK, MARK]),
        ({"maxAutoPerHour": 0}, {}, []),
        ({}, locked_by("plan-0", "another"), [BUDGET]),
        ({}, OPEN, [BUDGET]),
    ],
)
def test_s5_nothing_is_claimed_after_what_is_not_to_be_had(policy: Raw, service: Raw, written: list[str]) -> None:
    """The incident is marked last: a mark says that the plan runs, and only who has the lock may."""
    mine = plan(scale_out())
    one, kube = with_kube(mine, incident(), protected_service(status=service), recovery_policy(**policy))
    asyncio.run(_claim(one, mine, ALL, facts()))
    assert kube.kinds == written


def test_s5_a_lock_that_somebody_took_meanwhile_leaves_the_incident_unmarked() -> None:
    mine = plan(scale_out())
    one, kube = with_kube(mine, incident(), protected_service())
    kube.conflicts = True
    with pytest.raises(KubeError, match="Conflict"):
        asyncio.run(_claim(one, mine, Claim(service=True, digest=DIGEST), facts()))
    assert kube.kinds == [LOCK]


def test_s7_plans_that_start_together_enter_the_budget_one_after_the_other() -> None:
    """None is refused because another was faster, which would make it wait longer and longer in a burst."""
    plans = [plan(scale_out(), meta={"name": f"plan-{n}", "uid": f"uid-{n}"}) for n in range(3)]
    one, kube = with_kube(*plans, recovery_policy(maxAutoPerHour=2))

    async def claim_all() -> list[bool]:
        return await asyncio.gather(*(_claim_auto(one, mine) for mine in plans))

    assert asyncio.run(claim_all()) == [True, True, False]
    assert [start["uid"] for start in kube.written[-1]["autoStarts"]] == ["uid-0", "uid-1"]


def test_one_who_hangs_while_writing_the_policy_is_waited_for_no_longer_than_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile_context, "TURN", 0.01)
    mine = plan(scale_out())
    one, _ = with_kube(mine, recovery_policy())

    async def claim_beside() -> bool:
        async with one.policy_turn("shop"):
            return await asyncio.wait_for(_claim_auto(one, mine), 5)

    assert asyncio.run(claim_beside())


def test_a_pass_over_the_policy_and_a_claim_take_turns() -> None:
    mine = plan(scale_out())
    one, kube = with_kube(mine, recovery_policy())
    key = (RecoveryPolicy.plural, "shop", "default")

    async def both() -> None:
        await asyncio.gather(_claim_auto(one, mine), recovery_policy_pass.reconcile(one, key))

    asyncio.run(both())
    assert kube.kinds == [BUDGET, BUDGET]
    assert [start["uid"] for start in kube.written[-1]["autoStarts"]] == [mine.metadata.uid]
