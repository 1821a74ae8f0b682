"""What kstatus makes of every kind, by the status that the operator really writes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bokgu.api.crds import KINDS
from tests.gitops.kstatus import compute_status
from tests.unit.facts import runbook
from tests.world.manifests import NAMESPACE
from tests.world.scene import Scene
from tests.world.world import World, wait_for

pytestmark = pytest.mark.timeout(180)
NOT_CONFIGURED = {"incidents", "recoveryplans", "planapprovals"}
"""Kinds without a Ready condition: what they say may be waited for, but no apply waits for it."""


def is_seen(body: dict[str, Any]) -> bool:
    return bool((body.get("status") or {}).get("observedGeneration") == body["metadata"]["generation"])


def test_every_kind_is_current_once_the_operator_has_acted_on_it(world: World, new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world.apply({**made("kstatus"), "metadata": {"name": "kstatus", "namespace": NAMESPACE}})
    scene.approve(scene.surge())

    def mine() -> dict[str, dict[str, Any]]:
        plan = scene.plan()["metadata"]["name"]
        approvals = [a for a in world.all("planapprovals") if a["spec"]["planRef"]["name"] == plan]
        named = {
            "recoverypolicies": "default",
            "runbooks": "kstatus",
            "incidents": scene.incident()["metadata"]["name"],
            "recoveryplans": plan,
            "planapprovals": approvals[0]["metadata"]["name"] if approvals else "none",
            "protectedservices": scene.service,
            "detectors": f"{scene.service}-errors",
        }
        return {plural: world.get(plural, name) or {"metadata": {"generation": 1}} for plural, name in named.items()}

    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
    wait_for(lambda: all(is_seen(body) for body in mine().values()), 20, lambda: str(mine()))
    found = mine()
    assert found.keys() == {kind.plural for kind in KINDS}
    assert {plural: compute_status(body) for plural, body in found.items()} == dict.fromkeys(found, "Current")
    for plural, body in found.items():
        types = {condition["type"] for condition in body["status"]["conditions"]}
        assert ("Ready" in types) is (plural not in NOT_CONFIGURED), plural
        assert not types & {"Reconciling", "Stalled"}
    for body in found.values():  # A spec that the operator has not acted on yet is not taken for done.
        newer = {**body, "metadata": {**body["metadata"], "generation": body["metadata"]["generation"] + 1}}
        assert compute_status(newer) == "InProgress"
    for plural, spec in AFTERWARDS.items():
        patch = ("--type=merge", "-p", json.dumps({"spec": spec}))
        world.control_plane.kubectl("patch", plural, found[plural]["metadata"]["name"], "-n", NAMESPACE, *patch)
    wait_for(lambda: all(is_seen(body) for body in mine().values()), 20, lambda: str(mine()))
    assert {plural: mine()[plural]["metadata"]["generation"] for plural in AFTERWARDS} == dict.fromkeys(AFTERWARDS, 2)


AFTERWARDS: dict[str, dict[str, Any]] = {"incidents": {"description": "now known"}, "recoveryplans": {"suspend": True}}
"""What people may still write where all is over."""


def test_what_cannot_be_used_is_not_current(world: World, new_scene: Callable[..., Scene]) -> None:
    """Whoever applies a Detector of a service that nobody protects waits for it."""
    scene = new_scene()
    lost = world.get("detectors", f"{scene.service}-errors")
    assert lost
    spec = {**lost["spec"], "serviceRef": {"name": "nobody"}}
    manifest = {"apiVersion": lost["apiVersion"], "kind": "Detector", "spec": spec}
    world.apply({**manifest, "metadata": {"name": "kstatus-lost", "namespace": NAMESPACE}})
    try:

        def found() -> dict[str, Any]:
            return world.get("detectors", "kstatus-lost") or {"metadata": {"generation": 1}}

        wait_for(lambda: is_seen(found()), 20, lambda: str(found()))
        assert compute_status(found()) == "InProgress"
    finally:
        world.control_plane.kubectl("delete", "detector", "kstatus-lost", "-n", NAMESPACE)


def made(name: str) -> dict[str, Any]:
    """A runbook that fits nothing here."""
    body = runbook(name, incidentTypes=["data_corruption"], rootCauses=["DataCorruption"], onlyByName=True).to_dict()
    return {"apiVersion": "bokgu.dev/v1alpha1", "kind": "Runbook", "spec": body["spec"]}
