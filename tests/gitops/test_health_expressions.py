"""The `healthCheckExprs` of docs/gitops.md, judged by a real Flux on objects in each state.

There is no operator here, which would write the status that is true.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from bokgu.api.vocabulary import IncidentPhase, PlanPhase
from tests.controlplane import ControlPlane
from tests.gitops.engine import NAMESPACE as FLUX_NAMESPACE
from tests.gitops.engine import Engine
from tests.gitops.opt_in import NEEDS_FLUX
from tests.gitops.page import KUSTOMIZATIONS
from tests.gitops.publisher import Publisher
from tests.unit.facts import plan
from tests.world.manifests import NAMESPACE, detector, incident, protected_service
from tests.world.people import Repository
from tests.world.world import ROOT

pytestmark = NEEDS_FLUX

Raw = dict[str, Any]

CURRENT, FAILED, IN_PROGRESS = "current", "failed", "in progress"
EXPRESSIONS = KUSTOMIZATIONS["shop-platform"]["spec"]["healthCheckExprs"]


def ready(status: str, reason: str) -> Raw:
    """A status with the conditions that people's configuration has."""
    stamp = {"message": "", "lastTransitionTime": "2026-01-31T12:00:00Z", "observedGeneration": 1}
    other = {"type": "Detecting", "status": "False", "reason": "Else", **stamp}
    return {"conditions": [other, {"type": "Ready", "status": status, "reason": reason, **stamp}]}


FAILED_PLANS = {PlanPhase.FAILED, PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED}

CASES: list[tuple[str, Raw | None, str]] = [
    *(("Incident", {"phase": p}, FAILED if p is IncidentPhase.ESCALATED else CURRENT) for p in IncidentPhase),
    *(("RecoveryPlan", {"phase": p}, FAILED if p in FAILED_PLANS else CURRENT) for p in PlanPhase),
    ("ProtectedService", ready("True", "Described"), CURRENT),
    ("ProtectedService", ready("False", "ThrottlingException"), IN_PROGRESS),
    ("ProtectedService", ready("False", "TargetAlreadyProtected"), FAILED),
    ("Detector", ready("True", "Looking"), CURRENT),
    ("Detector", ready("False", "Suspended"), CURRENT),
    ("Detector", ready("False", "NotProtected"), IN_PROGRESS),
    ("Detector", ready("False", "ValidationError"), FAILED),
    ("Runbook", ready("True", "Usable"), CURRENT),
    ("Runbook", ready("False", "EscalatesToNobody"), IN_PROGRESS),
    ("Runbook", ready("False", "EscalationLoop"), FAILED),
    ("RecoveryPolicy", ready("True", "Usable"), CURRENT),
    ("RecoveryPolicy", ready("False", "AutoNotEnabled"), FAILED),
    *((kind, None, IN_PROGRESS) for kind in sorted({e["kind"] for e in EXPRESSIONS})),
    ("Incident", {"phase": "Resolved", "observedGeneration": 0}, IN_PROGRESS),
]
"""Kind, status as the operator writes it, and what Flux must make of it."""

NUMBERED = [(index, *case) for index, case in enumerate(CASES)]


def manifest_of(kind: str, name: str) -> Raw:
    """A valid object of a kind."""
    empty = {"apiVersion": "bokgu.dev/v1alpha1", "kind": kind, "metadata": {"namespace": NAMESPACE}, "spec": {}}
    made = {
        "Incident": incident(name),
        "ProtectedService": protected_service(),
        "Detector": detector(),
        "Runbook": {**empty, "spec": {"advice": "call somebody"}},
        "RecoveryPlan": {**empty, "spec": plan().spec.to_dict()},
        "RecoveryPolicy": empty,
    }[kind]
    own_name, namespace = place_of(kind, name)
    return {**made, "metadata": {"name": own_name, "namespace": namespace}}


def place_of(kind: str, name: str) -> tuple[str, str]:
    """(name, namespace) of a case's object. A namespace has one RecoveryPolicy, of a name that is given."""
    return ("default", name) if kind == "RecoveryPolicy" else (name, NAMESPACE)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Flux with a Kustomization for each case, whose object is in that state."""
    folder = tmp_path_factory.mktemp("health")
    files, kustomizations = {}, []
    with (
        ControlPlane() as control_plane,
        Engine(control_plane, folder / "engine") as running,
    ):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        control_plane.apply(ROOT / "crds", json.dumps(namespace))
        repository = Repository(folder / "git")
        with Publisher(control_plane, repository.origin, folder / "artifacts", name="cases") as publisher:
            for index, kind, status, _ in NUMBERED:
                manifest = manifest_of(kind, f"case-{index}")
                object_name, home = place_of(kind, f"case-{index}")
                if home != NAMESPACE:
                    control_plane.apply(json.dumps({**namespace, "metadata": {"name": home}}))
                files[f"case-{index}/object.yaml"] = text = yaml.safe_dump(manifest)
                control_plane.apply(text)
                if status is not None:
                    patch = json.dumps({"status": {"observedGeneration": 1, **status}})
                    where = [kind, object_name, "-n", home, "--subresource=status", "--type=merge"]
                    control_plane.kubectl("patch", *where, "-p", patch)
                kustomizations.append(kustomization_of(f"case-{index}", publisher.reference))
            repository.write("platform", "All states", files)
            publisher.publish()
            control_plane.apply(yaml.safe_dump_all(kustomizations))
            yield running


def kustomization_of(name: str, source: dict[str, str]) -> Raw:
    """The documented Kustomization, for one case alone, as impatient as Flux can be (30 s)."""
    documented = KUSTOMIZATIONS["shop-platform"]
    spec = {**documented["spec"], "sourceRef": source, "path": f"./{name}", "timeout": "30s"}
    return {**documented, "metadata": {"name": name, "namespace": FLUX_NAMESPACE}, "spec": spec}


@pytest.mark.parametrize(("index", "kind", "status", "expected"), NUMBERED, ids=lambda value: str(value)[:40])
def test_flux_judges(engine: Engine, index: int, kind: str, status: Raw | None, expected: str) -> None:
    name = f"case-{index}"

    def judged() -> bool:
        return engine.ready(name).get("status") in {"True", "False"}

    engine.wait(name, "judged", judged, 90)
    verdict = engine.ready(name)
    if expected == CURRENT:
        assert verdict["status"] == "True", verdict
    else:
        assert verdict["reason"] == "HealthCheckFailed", verdict
        told = {FAILED: "status: 'Failed'", IN_PROGRESS: "timeout waiting for"}[expected]
        assert told in verdict["message"], verdict
