"""Somebody writes a label on an object in the moment in which its status is written: what was decided still holds, and
is written after all."""

from collections.abc import Iterator

import pytest

from tests.faults.lane import Lane
from tests.faults.proxy import Moment
from tests.world.manifests import detector
from tests.world.world import Raw, World, wait_for

pytestmark = pytest.mark.timeout(120)
GROUP = "bokgu.dev/v1alpha1"
RUNBOOK = {"incidentTypes": ["high_error_rate"], "onlyByName": True, "advice": "Look at {service}."}
NO_PLAN = {"metadata": {"name": "no-such-plan", "namespace": "relabelled"}, "status": {"digest": f"sha256:{'0' * 64}"}}


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """In a world of its own, which is audited: the operator reads no such object but after a conflict."""
    directory = tmp_path_factory.mktemp("world")
    with World(directory, operator=False, audited=True) as world, Lane(world, "relabelled") as opened:
        yield opened


def made(lane: Lane, plural: str) -> Raw:
    """An object that the operator judges at once."""
    match plural:
        case "planapprovals":
            return lane.world.alice.approve(NO_PLAN, "service_owner")
        case "detectors":
            return detector("nobody-protects-this")
    return {"apiVersion": GROUP, "kind": "Runbook", "metadata": {"name": "relabelled"}, "spec": RUNBOOK}


@pytest.mark.parametrize("plural", ["detectors", "planapprovals", "runbooks"])
def test_a_label_that_comes_in_between_keeps_no_status_back(lane: Lane, plural: str) -> None:
    body = made(lane, plural)
    name = body["metadata"]["name"]
    writing = lane.kube_calls.set_trap(lambda call: call.name == f"update {plural}/status", Moment.BEFORE)
    mark = lane.mark()
    lane.kube.put({**body, "metadata": {**body["metadata"], "namespace": lane.name}})
    assert writing.wait(30), "no status is written"
    lane.label(plural, name, "somebody-else")
    writing.let_go()
    wait_for(lambda: lane.get(plural, name)["status"], 10, lambda: f"{plural}: no status")
    found = lane.get(plural, name)
    assert found["metadata"]["labels"]["written-by"] == "somebody-else"
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    writes = [call.status for call in lane.calls_since(mark) if call.name == f"update {plural}/status"]
    assert writes[:2] == [409, 200]
    reads = [call for call in lane.calls_since(mark) if call.name == f"get {plural}"]
    assert len(reads) == 1
