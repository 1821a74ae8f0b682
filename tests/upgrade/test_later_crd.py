"""The kinds of a later version under plans that are stored, and plans that only that version understands."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.lane import Lane
from tests.faults.play import PATIENCE, Play
from tests.faults.trial import END
from tests.upgrade.settled import wait_until_settled
from tests.world.world import ROOT, Raw, World, wait_for

SCALE_OUT = {"action": "scale_out", "parameters": {"desiredCount": 5}}
STEP = {"name": "one", "action": "health_check", "timeout": "1m", "onFailure": "Stop"}
PLANS = "recoveryplans.bokgu.dev"

ChangeCrd = Callable[..., None]


@pytest.fixture
def change_crd(upgrade_world: World) -> Iterator[ChangeCrd]:
    """Changes the schema of a plan's spec, and waits until a plan can say what `says` has in its spec; afterwards it is
    this version's again."""
    kubectl = upgrade_world.control_plane.kubectl

    def change(how: Callable[[Raw], None], **says: Any) -> None:
        crd = json.loads(kubectl("get", "crd", PLANS, "-o", "json").stdout)
        how(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
        kubectl("replace", "-f", "-", input=json.dumps(crd))
        probe = json.dumps(build_probe(says))
        create = ("create", "--dry-run=server", "-o", "json", "-f", "-")

        def served() -> bool:
            answer = kubectl(*create, input=probe, check=False)
            return answer.returncode == 0 and json.loads(answer.stdout)["spec"].items() >= says.items()

        wait_for(served, PATIENCE, lambda: "the API server has not taken up the schema")

    yield change
    kubectl("replace", "-f", ROOT / "crds/bokgu.dev_recoveryplans.yaml")


def build_probe(says: Raw) -> Raw:
    """A plan that says it."""
    spec = {
        "incidentRef": {"name": "one", "uid": "one"},
        "serviceRef": {"name": "one"},
        "preconditions": {"desiredCount": 3, "rootCause": "Unknown"},
        "steps": [STEP],
        "expiresAt": "2099-01-01T00:00:00Z",
    }
    kind = {"apiVersion": "bokgu.dev/v1alpha1", "kind": "RecoveryPlan"}
    return {**kind, "metadata": {"name": "probe", "namespace": "default"}, "spec": spec | says}


def add_field(**schema: Any) -> Callable[[Raw], None]:
    """An optional field, with a default where one is given."""

    def change(spec: Raw) -> None:
        spec["properties"]["expedite"] = {"type": "string", "maxLength": 63, **schema}

    return change


def add_action(spec: Raw) -> None:
    """Another action."""
    spec["properties"]["steps"]["items"]["properties"]["action"]["enum"].append("drain_zone")


def begin(lane: Lane, name: str) -> Play:
    """A service and its incident."""
    play = Play(lane, name)
    play.create_service()
    play.file_incident()
    return play


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("name", "schema"), [("stored", {}), ("defaulted", {"default": "slowly"})])
def test_s8_a_field_that_a_later_crd_adds_changes_no_digest_and_no_approval(
    lane: Lane, change_crd: ChangeCrd, name: str, schema: Raw
) -> None:
    play = begin(lane, name)
    play.file_plan(SCALE_OUT, suspend=True)
    play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
    play.approve()
    play.wait("it is held", lambda: play.plan()["status"]["phase"] == "Approved", PATIENCE)
    before = play.plan()["status"]
    change_crd(add_field(**schema), expedite="now")
    lane.stop()
    lane.start()  # It lists all objects as they are now.
    wait_until_settled(lane)
    after = play.plan()
    assert after["spec"].get("expedite") == schema.get("default")
    assert [after["status"][field] for field in ("digest", "approvalCount", "phase", "reason")] == [
        before[field] for field in ("digest", "approvalCount", "phase", "reason")
    ]
    lane.change("recoveryplans", play.name, {"spec": {"suspend": False}})
    play.wait("the end", play.over, END)
    assert (play.plan()["status"]["phase"], len(play.writes()), play.find_untruths()) == ("Completed", 1, [])


@pytest.mark.timeout(180)
def test_s1_a_plan_with_a_field_of_a_later_version_is_approved_and_not_run(lane: Lane, change_crd: ChangeCrd) -> None:
    change_crd(add_field(), expedite="now")
    play = begin(lane, "unknown-field")
    play.file_plan(SCALE_OUT, expedite="now")
    play.wait("it is refused", lambda: play.plan()["status"].get("reason") == "UnknownField", PATIENCE)
    play.approve()
    play.wait("it is approved", lambda: play.plan()["status"]["approvalCount"] == "2/2", PATIENCE)
    wait_until_settled(lane)
    status = play.plan()["status"]
    blocked = next(c for c in status["conditions"] if c["type"] == "Blocked")
    assert (status["phase"], status["reason"]) == ("Approved", "UnknownField")
    assert "spec.expedite: let the version run" in blocked["message"]
    assert play.writes() == []


@pytest.mark.timeout(180)
def test_s1_a_plan_with_an_action_of_a_later_version_says_so_and_is_not_run(lane: Lane, change_crd: ChangeCrd) -> None:
    change_crd(add_action, steps=[{**STEP, "action": "drain_zone"}])
    play, other = begin(lane, "unknown-action"), begin(lane, "beside-it")
    play.file_plan({"action": "drain_zone"}, SCALE_OUT)

    def told() -> list[str]:
        return [e["note"] for e in lane.kube.events(lane.name) if e["reason"] == "Unreadable"]

    play.wait("it is refused", told, PATIENCE)
    wait_until_settled(lane)
    (note,) = told()
    assert f"RecoveryPlan {lane.name}/unknown-action cannot be read by this version: spec.steps.0.action" in note
    assert (play.plan()["status"], play.writes()) == ({}, [])
    other.file_plan(SCALE_OUT)
    other.wait("the plan awaits approval", other.awaits_approval, PATIENCE)
    other.approve()
    other.wait("the end", other.over, END)
    assert len(other.writes()) == 1
