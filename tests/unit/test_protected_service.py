"""What a pass over a ProtectedService remembers of incidents and plans that go."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from bokgu.api.protected_service import ProtectedService, ProtectedServiceStatus
from bokgu.core.look import Look
from bokgu.core.service_state import ServiceLook
from bokgu.reconcile import protected_service as passes
from bokgu.reconcile.context import Context
from tests.unit.facts import (
    DIGEST,
    INCIDENT_UID,
    MINUTE,
    NOW,
    PLAN_UID,
    incident,
    plan,
    protected_service,
    revision_arn,
    service,
    service_deployment,
    task_definition,
    watch,
)
from tests.unit.test_drift import SCALED
from tests.unit.test_plan_incident import Past, context

DEPLOYED = tuple(service_deployment(n, NOW - ago * MINUTE) for n, ago in ((3, 10), (2, 2400), (1, 3000)))
SEEN = ServiceLook(service(3), NOW, DEPLOYED)


class Kube:
    """Takes status writes."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.events: list[tuple[str, str, str, bool]] = []

    async def replace_status(self, _plural: str, raw: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        self.written.append(status)
        metadata = {**raw["metadata"], "resourceVersion": str(len(self.written) + 1)}
        return {**raw, "metadata": metadata, "status": status}

    async def create_event(self, about: Any, *, reason: str, note: str, warning: bool, **_: Any) -> None:
        self.events.append((about.metadata.name, reason, note, warning))


def world(*objects: Any) -> tuple[Context, Kube]:
    one, kube = context(Past(), protected_service(status={"service": None}), *objects), Kube()
    one.kube = kube  # type: ignore[assignment]
    return one, kube


def look(one: Context, at: datetime = NOW, seen: ServiceLook = SEEN) -> ProtectedServiceStatus:
    """A pass after a look at the service; what it wrote."""
    (raw,) = one.objects.all(ProtectedService.plural)
    protected = ProtectedService.model_validate(raw)
    one.clock = lambda: at
    metadata = protected.metadata
    one.looks[protected.key] = Look(at, metadata.generation, watch(), state=seen, uid=metadata.uid)
    asyncio.run(passes.reconcile(one, protected.key))
    (raw,) = one.objects.all(ProtectedService.plural)
    return ProtectedService.model_validate(raw).status


async def describe(_aws: Any, _target: Any, arns: tuple[str, ...], **_: Any) -> dict[str, Any]:
    return {arn: type("Revision", (), {"task_definition": task_definition(int(arn[-1]))}) for arn in arns}


def test_what_was_at_fault_is_no_good_revision_though_incident_and_plan_are_deleted(monkeypatch: Any) -> None:
    monkeypatch.setattr(passes, "fetch_service_revisions", describe)
    trouble = incident(detectedAt=NOW - 100 * MINUTE)
    found = {"rootCause": "BadDeployment", "newRevisionAtFault": True, "confidence": "high", "impactLevel": "high"}
    ran = plan(
        runbookRef={"name": "bad-deployment"},
        classification={**found, "incidentType": "high_error_rate"},
        status={"startedAt": NOW - 12 * MINUTE},
    )
    one, kube = world(trouble, ran)
    status = look(one)
    assert status.last_known_good
    assert status.last_known_good.service_revision_arn == revision_arn(1)
    assert {t.service_revision_arn: t.since for t in status.tainted_revisions} == {
        revision_arn(3): NOW - 100 * MINUTE,
        revision_arn(2): None,
    }
    assert [(b.runbook, b.at) for b in status.begun_recoveries] == [("bad-deployment", NOW - 12 * MINUTE)]
    for gone in (trouble, ran):
        one.objects.remove(gone.plural, gone.to_dict() | {"metadata": gone.metadata.to_dict()})  # type: ignore[attr-defined]
    after = look(one, NOW + MINUTE)
    assert after.last_known_good == status.last_known_good
    assert {t.until for t in after.tainted_revisions} == {NOW + MINUTE}
    assert {t.incident_uid for t in after.tainted_revisions} == {INCIDENT_UID}
    assert after.begun_recoveries == status.begun_recoveries
    written = len(kube.written)
    look(one, NOW + 2 * MINUTE)
    assert len(kube.written) == written  # What is remembered costs no write a look.


def test_s7_a_recovery_after_which_the_trouble_came_back_stays_one_that_failed(monkeypatch: Any) -> None:
    monkeypatch.setattr(passes, "fetch_service_revisions", describe)
    entry = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "outcome": "Completed", "relapsedAt": NOW - MINUTE}
    trouble = incident(status={"phase": "Recovering", "plans": [entry]})
    over = {"phase": "Completed", "startedAt": NOW - 9 * MINUTE, "finishedAt": NOW - 5 * MINUTE}
    one, _ = world(trouble, ran := plan(status=over))
    assert [(r.plan, r.ineffective) for r in look(one).recoveries] == [("plan-1", True)]
    for gone in (trouble, ran):
        one.objects.remove(gone.plural, gone.to_dict() | {"metadata": gone.metadata.to_dict()})  # type: ignore[attr-defined]
    assert [(r.plan, r.ineffective) for r in look(one, NOW + MINUTE).recoveries] == [("plan-1", True)]


def test_what_is_set_back_is_told_once_and_stands_in_the_status_while_it_is(monkeypatch: Any) -> None:
    monkeypatch.setattr(passes, "fetch_service_revisions", describe)
    one, kube = world(incident(status={"phase": "Verifying"}), SCALED)

    def look_at(desired: int, minutes: int) -> ProtectedServiceStatus:
        at = NOW + minutes * MINUTE
        return look(one, at, ServiceLook(service(2, desired=desired, read_at=at), at, DEPLOYED))

    assert look_at(5, 0).reversal is None
    assert kube.events == []
    found = look_at(3, 1).reversal
    assert found
    assert (found.plan.name, found.at) == ("plan-1", NOW + MINUTE)
    told = [("plan-1", "Reverted", found.message, True)]
    assert kube.events == told
    assert look_at(3, 2).reversal == found
    assert kube.events == told
    assert look_at(5, 3).reversal is None
    assert kube.events == told


@pytest.mark.parametrize(("phase", "kept"), [("Classified", ["Clear"]), ("Resolved", [])])
def test_an_incident_that_an_event_opened_hears_that_its_trouble_has_gone(phase: str, kept: list[str]) -> None:
    """No preset is listed: the detection is there for the incident's sake alone."""
    source = {"kind": "EcsEvent", "name": "api", "condition": "crashed_tasks"}
    mine = incident(type="service_down", source=source, detectedAt=NOW - 20 * MINUTE, status={"phase": phase})
    fired = {
        "condition": "crashed_tasks",
        "state": "Firing",
        "severity": "high",
        "since": NOW - 20 * MINUTE,
        "incident": {"name": mine.metadata.name, "uid": mine.metadata.uid},
    }
    one = context(Past(), protected_service(status={"detections": [fired]}), mine)
    one.kube = Kube()  # type: ignore[assignment]
    for minutes in (0, 1):
        status = look(one, NOW + minutes * MINUTE, ServiceLook(service(3), NOW, (), stopped_tasks=()))
        assert [str(d.state) for d in status.detections] == kept
