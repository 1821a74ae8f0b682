"""What a pass over a plan reads live, and what the store is recent enough for (S1)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from bokgu.config import Settings
from bokgu.core.plan_facts import PlanFacts
from bokgu.kube.client import Raw
from bokgu.reconcile.context import Context
from bokgu.reconcile.plan_facts import gather_facts
from tests.unit.facts import (
    DIGEST,
    NOW,
    OTHER_DIGEST,
    approval,
    health_check,
    locked_by,
    plan,
    protected_service,
    scale_out,
)
from tests.unit.test_approval_auto import policy, told
from tests.unit.test_plan_incident import Past, context
from tests.unit.test_unreadable import Away

OBJECTS = ["incidents", "protectedservices", "recoverypolicies", "recoverypolicies"]
APPROVALS = "planapprovals"
BEGUN = {"phase": "InProgress", "startedAt": NOW}
SENT = {**BEGUN, "steps": [{"name": "health-check", "phase": "Completed"}, {"name": "scale-out", "phase": "Verifying"}]}
INTENT = {
    "token": "t", "attempt": 1, "planUID": "uid", "digest": DIGEST, "approvals": [], "holder": "h", "writtenAt": NOW,
    "request": {"service": "ecs", "operation": "UpdateService", "arguments": "{}"},
    "before": {"desiredCount": 3, "taskDefinition": "api:2", "deploymentIds": []},
}  # fmt: skip


class Kube:
    """An API server in which the service was suspended just now, and somebody approved."""

    clock_ahead = timedelta()

    def __init__(self, one: Context) -> None:
        self._objects = one.objects
        self.read: list[str] = []

    async def get(self, plural: str, namespace: str, name: str) -> Raw | None:
        self.read.append(plural)
        found = self._objects.get((plural, namespace, name))
        if found is None or plural != "protectedservices":
            return found
        newer = {**found["metadata"], "resourceVersion": "99"}
        return {**found, "metadata": newer, "spec": {**found["spec"], "suspend": True}}

    async def list(self, plural: str, _namespace: str, *, where: Raw) -> AsyncIterator[Raw]:
        self.read.append(plural)
        assert where == {"spec.planRef.name": "plan-1"}
        yield {"metadata": {"name": "new", "namespace": "shop", "uid": "new", "resourceVersion": "99"}, "spec": {}}


def gather(status: Raw, *others: Any, mode: str = "Auto", lock: Raw | None = None) -> tuple[PlanFacts, list[str]]:
    """The facts about a plan that the policy lets start by itself, and what was read live for them."""
    one_plan = plan(health_check(), scale_out(), status=status)
    one = context(Past(), one_plan, told(), policy(), protected_service(mode=mode, status=lock or {}), *others)
    settings = Settings(auto_namespaces=frozenset({"shop"}))
    kube = Kube(one)
    one = replace(one, kube=cast(Any, kube), aws=cast(Any, Away()), settings=settings)
    raw = one.objects.get(one_plan.key)
    assert raw is not None
    found = asyncio.run(gather_facts(one, raw, one_plan))
    return found, sorted(kube.read)


def suspended(found: PlanFacts) -> bool:
    return found.protected_service is not None and found.protected_service.spec.suspend


def test_while_a_plan_awaits_people_nothing_is_read_live() -> None:
    found, read = gather({}, mode="Approve")
    assert (read, suspended(found), found.problem) == ([], False, None)


@pytest.mark.parametrize("lock", [{}, locked_by("plan-1", "5c8f6d1e-plan")])
def test_s5_what_a_plan_claims_and_begins_on_is_read_live(lock: Raw) -> None:
    found, read = gather({}, lock=lock)
    assert (read, suspended(found)) == (OBJECTS, True)


def test_s1_approvals_that_a_plan_may_begin_on_are_listed_live() -> None:
    """One that was removed just now leaves it waiting (docs/gitops.md)."""
    _, read = gather({}, approval(planDigest=OTHER_DIGEST))
    assert read == sorted([APPROVALS, *OBJECTS])


def test_s1_before_an_intent_the_approvals_are_listed_live_too() -> None:
    found, read = gather(BEGUN)
    assert (read, suspended(found)) == (sorted([APPROVALS, *OBJECTS]), True)
    assert found.tally.undecided or found.tally.in_doubt or found.tally.approvals, "what was listed is judged"


@pytest.mark.parametrize("status", [{**SENT}, {**BEGUN, "phase": "RollingBack"}])
def test_what_is_under_way_asks_nothing_of_the_api_server(status: Raw) -> None:
    if status["phase"] == "InProgress":
        steps = [status["steps"][0], {**status["steps"][1], "intent": INTENT}]
        status = {**status, "steps": steps}
    found, read = gather(status)
    assert (read, suspended(found)) == ([], False)
