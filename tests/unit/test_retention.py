from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.outbox import Addressee, Outbox
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import AlertKind, IncidentType, Language
from bokgu.core.alerts.outbox import Notice, post_notices, waiting_receivers
from bokgu.core.lifecycle import RECORDED
from bokgu.core.retention import STORED_OPEN, describe_open, find_applier, goes_at, is_closed_by_deletion
from tests.unit.facts import NOW, plan
from tests.unit.history_facts import finished_plan, resolved

DAY = timedelta(days=1)
STORED = [{"type": RECORDED, "status": "True", "reason": "Stored", "lastTransitionTime": NOW}]
FAILED = [{**STORED[0], "status": "False", "reason": "Throttled"}]


def over(conditions: list[dict[str, Any]] = STORED, **status: Any) -> Incident:
    return resolved(conditions=conditions, **status)


OURS = [
    {"manager": "bokgu", "operation": "Update"},
    {"manager": "bokgu", "operation": "Update", "subresource": "status"},
]


def due(incident: Incident, *plans: RecoveryPlan, retention: timedelta | None = DAY, **metadata: Any) -> object:
    return goes_at(incident, {"managedFields": OURS, **metadata}, plans, retention)


def test_a_recorded_incident_goes_after_its_retention() -> None:
    assert due(over(), finished_plan()) == NOW + DAY


def test_an_alert_that_nobody_takes_goes_with_its_incident_and_no_sooner() -> None:
    """Its end too, which is told last, has the whole retention to arrive."""
    people = (Addressee(receiver="team", language=Language.EN),)
    end = Notice("IncidentResolved", AlertKind.INCIDENT_RESOLVED, NOW)
    outbox = post_notices(Outbox(), [end], lambda _: people)
    assert waiting_receivers(outbox) == {"team": NOW}
    assert due(over(outbox=outbox.to_dict()), finished_plan()) == NOW + DAY


@pytest.mark.parametrize("conditions", [[], FAILED])
def test_nothing_goes_before_it_is_recorded(conditions: list[dict[str, Any]]) -> None:
    assert due(over(conditions)) is None


def test_open_incidents_stay() -> None:
    assert due(over(phase="Escalated")) is None
    assert due(over(phase="Verifying", resolvedAt=None)) is None


def test_it_stays_while_a_plan_is_not_over() -> None:
    assert due(over(), plan(status={"phase": "RollingBack"})) is None


def test_never_means_never() -> None:
    assert due(over(), retention=None) is None


def test_corrupted_data_stays_until_a_person_deletes_it() -> None:
    incident = over()
    spec = incident.spec.model_copy(update={"type": IncidentType.DATA_CORRUPTION})
    assert due(incident.model_copy(update={"spec": spec})) is None


BY_FILES: list[tuple[str, dict[str, Any]]] = [
    ("Flux", {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}),
    ("Flux", {"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}),
    ("Argo CD", {"annotations": {"argocd.argoproj.io/tracking-id": "shop:bokgu.dev/Incident:shop/a"}}),
    ("Helm", {"annotations": {"meta.helm.sh/release-name": "shop"}}),
    ("kubectl apply", {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}),
    ("argocd-controller", {"managedFields": [{"manager": "argocd-controller", "operation": "Update"}]}),
    ("kustomize-controller", {"managedFields": [{"manager": "kustomize-controller", "operation": "Apply"}]}),
    ("kubectl", {"managedFields": [{"manager": "kubectl", "operation": "Apply"}]}),
    ("Terraform", {"managedFields": [{"manager": "Terraform", "operation": "Apply"}]}),
    ("kapp", {"managedFields": [*OURS, {"manager": "kapp", "operation": "Update"}]}),
    ("fleetagent", {"managedFields": [{"manager": "fleetagent", "operation": "Update"}]}),
    ("kubectl-replace", {"managedFields": [{"manager": "kubectl-replace", "operation": "Update"}]}),
    ("OpenAPI-Generator", {"managedFields": [{"manager": "OpenAPI-Generator", "operation": "Update"}]}),
    ("bokgu", {"managedFields": [{"manager": "bokgu", "operation": "Apply"}]}),
    (
        "AppliedManifestWork x",
        {"managedFields": OURS, "ownerReferences": [{"kind": "AppliedManifestWork", "name": "x"}]},
    ),
    ("somebody", {"managedFields": None}),
    ("somebody", {"managedFields": [{"manager": "bokgu", "operation": "Update", "subresource": "status"}]}),
]


@pytest.mark.parametrize(("who", "metadata"), BY_FILES)
def test_what_is_applied_from_files_stays(who: str, metadata: dict[str, Any]) -> None:
    assert find_applier(metadata) == who
    assert due(over(), **metadata) is None


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": None, "annotations": None, "ownerReferences": None},
        {"labels": {"app.kubernetes.io/instance": "shop", "team": "a"}},
        {"managedFields": [{"manager": "kubectl-create", "operation": "Update"}]},
        {"managedFields": [{"manager": "kubectl-edit", "operation": "Update"}]},
    ],
)
def test_what_nobody_applies_goes(metadata: dict[str, Any]) -> None:
    assert due(over(), **metadata) == NOW + DAY


def test_what_is_being_deleted_is_left_alone() -> None:
    incident = over()
    metadata = incident.metadata.model_copy(update={"deletion_timestamp": NOW})
    assert due(incident.model_copy(update={"metadata": metadata})) is None


def test_only_corrupted_data_is_recorded_while_it_is_open_and_that_once() -> None:
    def asked(type_: IncidentType, phase: str, conditions: list[dict[str, Any]]) -> bool:
        incident = over(conditions, phase=phase)
        return is_closed_by_deletion(
            incident.model_copy(update={"spec": incident.spec.model_copy(update={"type": type_})})
        )

    assert asked(IncidentType.DATA_CORRUPTION, "Escalated", FAILED)
    assert not asked(IncidentType.DATA_CORRUPTION, "Escalated", STORED)
    assert not asked(IncidentType.DATA_CORRUPTION, "Recovering", [])
    assert not asked(IncidentType.SERVICE_DOWN, "Escalated", [])


def test_corrupted_data_is_recorded_again_once_there_is_more_to_tell() -> None:
    incident = over([], phase="Escalated", resolvedAt=None, outcome="Failed")
    incident = incident.model_copy(
        update={"spec": incident.spec.model_copy(update={"type": IncidentType.DATA_CORRUPTION})}
    )
    stored = {**STORED[0], "reason": STORED_OPEN, "message": describe_open(incident)}

    def after(**status: Any) -> bool:
        known = {**incident.status.to_dict(), "conditions": [stored], **status}
        return is_closed_by_deletion(incident.model_copy(update={"status": IncidentStatus.model_validate(known)}))

    assert not after()
    plans = [p.to_dict() for p in incident.status.plans]
    assert after(plans=[{**plans[0], "outcome": "Completed"}])
    assert after(plans=[*plans, {**plans[0], "name": "plan-2", "uid": "other"}])
    assert after(classification={**incident.status.to_dict()["classification"], "rootCause": "DataCorruption"})


def test_what_was_recorded_while_it_was_open_is_not_recorded_as_over() -> None:
    assert due(over([{**STORED[0], "reason": STORED_OPEN}])) is None
