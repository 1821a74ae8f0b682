"""Backup and restore of all objects of a namespace, as Velero and kubectl do it."""

import json
from collections.abc import Iterable

from tests.faults.lane import Lane
from tests.faults.play import PATIENCE
from tests.upgrade.releases import PLURALS
from tests.world.world import ROOT, Raw, World, wait_for

_RESET = (
    *("uid", "resourceVersion", "generation", "selfLink", "creationTimestamp", "managedFields"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences"),
)
"""What Velero takes off metadata before it creates an object (pkg/restore, resetMetadata), and what the API server does
not take from anybody."""

_STATUS_FENCE = "bokgu-status"


def take_backup(lane: Lane) -> list[Raw]:
    """All objects of the lane's namespace that are ours, and the history."""
    kinds = ",".join(PLURALS.values())
    return _get(lane, kinds) + _get(lane, "configmaps", "-l", "bokgu.dev/history")


def _get(lane: Lane, *words: str) -> list[Raw]:
    answer = lane.world.control_plane.kubectl("get", *words, "-n", lane.name, "-o", "json")
    items: list[Raw] = json.loads(answer.stdout)["items"]
    return items


def lose_all(lane: Lane) -> None:
    """The objects go, whatever holds them; the operator must not run."""
    world, kinds = lane.world, ",".join(PLURALS.values())
    for body in _get(lane, kinds):
        if body["metadata"].get("finalizers"):
            place = (PLURALS[body["kind"]], body["metadata"]["name"])
            lane.change(*place, {"metadata": {"finalizers": None}})
    world.control_plane.kubectl("delete", kinds, "--all", "-n", lane.name)
    world.control_plane.kubectl("delete", "configmaps", "-l", "bokgu.dev/history", "-n", lane.name)
    wait_for(lambda: not take_backup(lane), PATIENCE, lambda: "something is left")


def restore(lane: Lane, backup: Iterable[Raw], *, with_status: bool) -> None:
    """Create the objects in the lane's namespace. Statuses go in only where nothing keeps them out: before the operator
    is installed, with its admission policy."""
    world = lane.world
    objects = [_reset(body, lane.name) for body in backup]
    # The policies of the namespace are there already.
    world.control_plane.kubectl("delete", "recoverypolicies", "--all", "-n", lane.name)
    for body in objects:
        bare = {name: value for name, value in body.items() if name != "status"}
        world.control_plane.kubectl("create", "-f", "-", input=json.dumps(bare))
    if not with_status:
        return
    world.control_plane.kubectl("delete", "validatingadmissionpolicybinding", _STATUS_FENCE)
    try:
        for body in objects:
            if "status" in body:
                wait_for(lambda b=body: _write_status(world, b), PATIENCE, lambda: "statuses are kept out")  # type: ignore[misc]  # mypy does not infer the default
    finally:
        world.control_plane.apply(ROOT / "deploy/admission-policies.yaml")


def _reset(body: Raw, namespace: str) -> Raw:
    kept = {name: value for name, value in body["metadata"].items() if name not in _RESET}
    labels = {**kept.get("labels", {}), "velero.io/restore-name": "all"}
    return {**body, "metadata": {**kept, "namespace": namespace, "labels": labels}}


def _write_status(world: World, body: Raw) -> bool:
    words = ("replace", "--subresource=status", "-f", "-")
    answer = world.control_plane.kubectl(*words, input=json.dumps(body), check=False)
    return answer.returncode == 0
