"""What is planned against an incident, and about which deployment its cause is told."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.observed import EcsService, TaskDefinition
from bokgu.core.evidence import Evidence
from bokgu.core.planning_facts import NoPlan
from bokgu.reconcile import incident as passes
from bokgu.reconcile import planning
from bokgu.reconcile.incident import Prospect
from tests.unit.facts import (
    MINUTE,
    NOW,
    classification,
    deploying,
    deployment,
    detector,
    incident,
    protected_service,
    service,
    standing,
    task_definition,
)
from tests.unit.test_plan_incident import Past, context
from tests.unit.test_planning import good

BAD = classification(rootCause="BadDeployment", newRevisionAtFault=True).to_dict()
FIXED = service(3, deployments=(deployment(3, created_at=NOW - 6 * MINUTE),))


class Foreseen:
    """Passes over one incident, and how often evidence was gathered for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, live: EcsService) -> None:
        self.live, self.gathered = live, 0
        self.known: dict[str, Any] | None = BAD
        monkeypatch.setattr(passes, "fetch_service", self._fetch)
        monkeypatch.setattr(passes, "gather_evidence", self._gather)
        monkeypatch.setattr(planning, "find_deployment", self._find_deployment)
        monkeypatch.setattr(planning, "fetch_task_definition", self._define)

    async def _fetch(self, *_: Any) -> EcsService:
        return self.live

    async def _find_deployment(self, *_: Any) -> None:
        """ECS describes none."""

    async def _define(self, _aws: Any, _target: Any, name: str) -> TaskDefinition:
        return TaskDefinition(name, None)

    async def _gather(self, *_: Any) -> Evidence:
        self.gathered += 1
        definitions = (TaskDefinition(task_definition(2), None), TaskDefinition(task_definition(1), None))
        type_ = incident().spec.type
        return Evidence(type_, NOW - 20 * MINUTE, service=self.live, task_definitions=definitions)

    def once(self) -> Prospect:
        one = context(Past(), protected_service(status=good()), detector())
        found = incident(status={"classification": self.known} if self.known else {})
        prospect = asyncio.run(passes.foresee(one, found, passes.look_around(one, found), NOW))
        if prospect.classification:
            self.known = prospect.classification.to_dict()
        return prospect


def reason(prospect: Prospect) -> str | None:
    outcome = prospect.decision.outcome if prospect.decision else None
    return outcome.reason if isinstance(outcome, NoPlan) else None


def test_s4_the_cause_is_told_anew_once_after_another_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The team has deployed its fix: what was true of revision 2 rolls nothing back."""
    world = Foreseen(monkeypatch, FIXED)
    told = [world.once().classification for _ in range(3)]
    assert world.gathered == 1
    assert {c and c.deployment_id for c in told} == {"ecs-svc/3"}


def test_the_cause_is_told_once_while_no_deployment_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Foreseen(monkeypatch, service(desired=5))
    world.known = None
    assert {p.classification and p.classification.deployment_id for p in (world.once(), world.once())} == {"ecs-svc/2"}
    assert world.gathered == 1


def test_while_the_next_revision_is_deployed_the_cause_stays_and_nothing_is_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Foreseen(monkeypatch, deploying(3, 2))
    assert reason(world.once()) == "DeploymentInProgress"
    assert world.gathered == 0
    world.live = FIXED
    world.once()
    assert world.gathered == 1


@pytest.mark.parametrize("known", [{k: v for k, v in BAD.items() if k != "deploymentId"}, BAD])
def test_where_ecs_names_no_deployment_the_cause_is_not_told_again_and_again(
    known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Foreseen(monkeypatch, replace(service(), deployments=()))
    world.known = known
    world.once()
    assert world.gathered == 0


@pytest.mark.parametrize(("told", "wait"), [(4 * MINUTE, 1 * MINUTE), (15 * MINUTE, passes.RETRY)])
def test_s12_a_cause_that_is_due_and_may_not_be_told_is_not_asked_for_without_end(
    told: timedelta, wait: timedelta
) -> None:
    """In a namespace that is paused nothing is told anew: passes that come at once, for ever, let nobody else in."""
    unsure = classification(rootCause="Unknown", confidence="low", toldAt=NOW - told)
    found = incident(status={"classification": unsure.to_dict()}, detectedAt=NOW - told - MINUTE)
    paused = standing(now=NOW, classification=unsure, no_plan=NoPlan("NamespacePaused", "", wait=True))
    one = context(Past(), protected_service(status=good()), detector())
    assert passes._next_telling(one, found, paused) == wait
