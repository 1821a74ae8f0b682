"""Plans, incidents, policies and status that somebody forges or tampers with (S1, S8, S13)."""

import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bokgu.api.crds import KINDS
from bokgu.api.vocabulary import Decision
from tests.integration.attacks.tools import (
    altered,
    bind,
    by_hand,
    cluster_admin,
    create,
    create_as,
    delete,
    gate,
    objects,
    patch,
    policy,
    reason_of,
    said,
    unsigned,
    untouched,
    wait_judged,
    wait_plan,
)
from tests.world.manifests import NAMESPACE, incident
from tests.world.scene import Scene
from tests.world.world import World, wait_for

ALICE, BOB = "alice@example.com", "bob@example.com"
Raw = dict[str, Any]


@pytest.fixture(scope="module")
def flux(world: World) -> Path:
    return cluster_admin(world)


@pytest.fixture
def forged(besieged: Scene) -> Iterator[Callable[..., Raw]]:
    """Writes plans by hand, which go after the test."""
    names: list[str] = []

    def write(**spec: Any) -> Raw:
        names.append(f"forged-{len(names)}")
        besieged.world.apply(by_hand(names[-1], besieged.plan(), **spec))
        return wait_plan(besieged, names[-1])

    yield write
    delete(besieged.world, "recoveryplans", *names)


# Plans by hand


def test_s8_approvals_of_a_plan_by_hand_count_for_no_copy_of_it(besieged: Scene, forged: Callable[..., Raw]) -> None:
    """The copy says the same, and only is not suspended: the digest is the same."""
    world, plan = besieged.world, forged(suspend=True)
    name = plan["metadata"]["name"]
    approvals = [world.alice.approve(plan, "system_admin"), world.bob.approve(plan, "service_owner")]
    with objects(world, *approvals):
        wait_plan(besieged, name, "Approved")
        delete(world, "recoveryplans", name)
        time.sleep(1.1)  # Kubernetes dates objects in whole seconds.
        world.apply(by_hand(name, besieged.plan()))
        copy = wait_plan(besieged, name, "AwaitingApproval")
        assert copy["status"]["digest"] == plan["status"]["digest"]
        for approval in approvals:
            assert wait_judged(besieged, approval["metadata"]["name"], "OlderThanPlan")
        assert untouched(besieged)


def test_s1_plan_by_hand_that_nobody_approved_does_nothing(besieged: Scene, forged: Callable[..., Raw]) -> None:
    """It asks for no roles, and expires never."""
    plan = forged(requiredApprovals=[], expiresAt="2099-01-01T00:00:00Z")
    status = plan["status"]
    assert (status["approvalCount"], status["requiredApprovals"]) == ("0/2", ["system_admin", "service_owner"])
    assert gate(plan, "Approved")["reason"] == "ApprovalsMissing"
    assert untouched(besieged)


def test_s8_approvals_of_one_plan_count_for_no_other(besieged: Scene, forged: Callable[..., Raw]) -> None:
    world, plan = besieged.world, forged()
    approval = altered(world.alice.approve(besieged.plan(), "system_admin"), planRef={"name": plan["metadata"]["name"]})
    assert reason_of(besieged, approval) == "DigestMismatch"
    assert wait_plan(besieged, plan["metadata"]["name"])["status"]["approvalCount"] == "0/2"


def approved(scene: Scene, plan: Raw) -> list[str]:
    """Have both people approve a plan; the names of their approvals."""
    both = [scene.world.alice.approve(plan, "system_admin"), scene.world.bob.approve(plan, "service_owner")]
    for approval in both:
        create(scene.world, approval, scene.world.gitops)
    for approval in both:
        assert wait_judged(scene, approval["metadata"]["name"], "Accepted") == "Accepted"
    return [approval["metadata"]["name"] for approval in both]


def test_s1_forbidden_action_does_nothing_though_everybody_approves(
    besieged: Scene, forged: Callable[..., Raw]
) -> None:
    restart = {"name": "restart", "action": "service_restart", "timeout": "5m", "onFailure": "Stop"}
    plan = forged(steps=[restart])
    names = approved(besieged, plan)
    found = wait_plan(besieged, plan["metadata"]["name"], "Approved")
    assert (found["status"]["reason"], found["status"]["approvalCount"]) == ("ActionNotAllowed", "2/2")
    assert untouched(besieged)
    delete(besieged.world, "planapprovals", *names)


def test_s11_plan_by_hand_scales_not_beyond_the_limit(besieged: Scene, forged: Callable[..., Raw]) -> None:
    step = besieged.plan()["spec"]["steps"][-1]
    plan = forged(steps=[{**step, "parameters": {**step["parameters"], "desiredCount": 9999}}])
    names = approved(besieged, plan)
    found = wait_plan(besieged, plan["metadata"]["name"], "Approved")
    assert found["status"]["reason"] == "LimitExceeded"
    assert untouched(besieged)
    delete(besieged.world, "planapprovals", *names)


def test_s1_unprotected_service_is_not_touched_though_everybody_approves(besieged: Scene) -> None:
    world = besieged.world
    world.create_service("unprotected")
    world.apply(incident("unprotected", "unprotected", severity="critical"))
    filed = world.get("incidents", "unprotected") or {}
    reference = {"name": "unprotected", "uid": filed["metadata"]["uid"]}
    plan = by_hand("unprotected", besieged.plan(), serviceRef={"name": "unprotected"}, incidentRef=reference)
    world.apply(plan)
    names = approved(besieged, wait_plan(besieged, "unprotected"))
    found = wait_plan(besieged, "unprotected", "Approved")
    assert found["status"]["reason"] == "NotProtected"
    assert world.updates("unprotected") == []
    assert untouched(besieged)
    delete(world, "planapprovals", *names)
    delete(world, "recoveryplans", "unprotected")
    delete(world, "incidents", "unprotected")


@pytest.mark.parametrize("uid", ["", "0"])
def test_s1_plan_of_an_incident_that_is_not_there_is_cancelled(besieged: Scene, uid: str) -> None:
    name = f"of-no-incident-{uid or 'x'}"
    reference = {"name": besieged.incident()["metadata"]["name"], "uid": uid or "another"}
    besieged.world.apply(by_hand(name, besieged.plan(), incidentRef=reference))
    assert wait_plan(besieged, name, "Cancelled")["status"]["reason"] == "IncidentGone"
    assert untouched(besieged)
    delete(besieged.world, "recoveryplans", name)


# Edits


def _reversed(plan: Raw) -> list[Raw]:
    return list(reversed(plan["spec"]["steps"]))


EDITS: dict[str, Callable[[Raw], list[Raw]]] = {
    "reorder": lambda p: [{"op": "replace", "path": "/spec/steps", "value": _reversed(p)}],
    "another count": lambda _: [{"op": "replace", "path": "/spec/steps/1/parameters/desiredCount", "value": 10}],
    "drop a step": lambda _: [{"op": "remove", "path": "/spec/steps/0"}],
    "drop and add": lambda p: [
        {"op": "remove", "path": "/spec/steps/1"},
        {"op": "add", "path": "/spec/steps/1", "value": {**p["spec"]["steps"][1], "timeout": "9h"}},
    ],
    "drop a field": lambda _: [{"op": "remove", "path": "/spec/requiredApprovals"}],
    "another service": lambda _: [{"op": "replace", "path": "/spec/serviceRef/name", "value": "other"}],
    "longer": lambda _: [{"op": "replace", "path": "/spec/expiresAt", "value": "2099-01-01T00:00:00Z"}],
    "another incident": lambda _: [{"op": "replace", "path": "/spec/incidentRef/uid", "value": "other"}],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_s8_plan_cannot_be_edited_or_reordered(besieged: Scene, edit: Callable[[Raw], list[Raw]]) -> None:
    plan = besieged.plan()
    refused = patch(besieged.world, "recoveryplan", plan["metadata"]["name"], edit(plan), kind="json")
    assert "is immutable" in refused.stderr
    assert besieged.plan()["spec"] == plan["spec"]
    assert untouched(besieged)


def test_s8_approval_does_not_survive_the_edit_of_a_plan_that_a_loosened_crd_allowed(
    besieged: Scene, flux: Path, forged: Callable[..., Raw]
) -> None:
    world, plan = besieged.world, forged()
    kubectl, name = world.control_plane.kubectl, plan["metadata"]["name"]
    crd = json.loads(kubectl("get", "crd", "recoveryplans.bokgu.dev", "-o", "json").stdout)
    loose = deepcopy(crd)
    for body in (crd, loose):
        del body["metadata"]["resourceVersion"]
    del loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]
    approval = world.alice.approve(plan, "system_admin")
    with said(besieged, approval) as (before,):
        assert before == "Accepted"
        step = plan["spec"]["steps"][-1]
        more = [{**step, "parameters": {**step["parameters"], "desiredCount": 10}}]
        kubectl("replace", "-f", "-", user=flux, input=json.dumps(loose))
        try:
            change = {"spec": {"steps": more}}
            besieged.wait("edited", lambda: patch(world, "recoveryplan", name, change).returncode == 0, 20)
        finally:
            kubectl("replace", "-f", "-", user=flux, input=json.dumps(crd))
        assert wait_judged(besieged, approval["metadata"]["name"], "DigestMismatch") == "DigestMismatch"
        count = wait_plan(besieged, name)["status"]["approvalCount"]
        assert count == "0/2"
    refusal: Raw = {"spec": {"steps": plan["spec"]["steps"]}}
    besieged.wait("strict", lambda: patch(world, "recoveryplan", name, refusal).returncode != 0, 20)


# Incidents


def test_s1_incident_filed_as_low_saves_no_approval_while_a_grave_one_is_open(besieged: Scene) -> None:
    world = besieged.world
    world.apply(incident("filed-low", besieged.service, type="resource_exhaustion", severity="low"))
    filed = world.get("incidents", "filed-low") or {}
    reference = {"name": "filed-low", "uid": filed["metadata"]["uid"]}
    world.apply(by_hand("filed-low", besieged.plan(), incidentRef=reference, requiredApprovals=[]))
    found = wait_plan(besieged, "filed-low")
    assert found["status"]["requiredApprovals"] == ["system_admin", "service_owner"]
    with said(besieged, world.bob.approve(found, "service_owner")) as (reason,):
        assert reason == "Accepted"
        besieged.wait("1/2", lambda: world.status("recoveryplans", "filed-low").get("approvalCount") == "1/2", 10)
        found = wait_plan(besieged, "filed-low")
        assert "system_admin" in gate(found, "Approved")["message"]
    delete(world, "recoveryplans", "filed-low")
    delete(world, "incidents", "filed-low")


def test_s1_incident_filed_as_low_before_the_trouble_saves_no_approval(new_scene: Callable[..., Scene]) -> None:
    """It is classified as low while all is well, and a plan waits for its moment."""
    scene = new_scene()
    world, name = scene.world, f"{scene.service}-early"
    world.apply(incident(name, scene.service, type="resource_exhaustion", severity="low"))
    scene.wait("classified", lambda: "classification" in world.status("incidents", name), 20)
    assert world.status("incidents", name)["classification"]["impactLevel"] == "low"
    uid = (world.get("incidents", name) or {})["metadata"]["uid"]
    step = {
        "name": "out",
        "action": "scale_out",
        "parameters": {"desiredCount": 6},
        "timeout": "5m",
        "onFailure": "Stop",
    }
    plan = by_hand(
        name,
        {"apiVersion": "bokgu.dev/v1alpha1", "spec": {}},
        incidentRef={"name": name, "uid": uid},
        serviceRef={"name": scene.service},
        preconditions={"desiredCount": 3, "rootCause": "TrafficSurge"},
        steps=[step],
        expiresAt="2099-01-01T00:00:00Z",
        suspend=True,
    )
    world.apply(plan)
    waiting = wait_plan(scene, name)
    assert waiting["status"]["requiredApprovals"] == ["service_owner"]
    scene.world.simulator.set_load("shop", scene.service, 600)
    grave = lambda: [i for i in scene.incidents() if i["spec"]["severity"] == "critical"]  # noqa: E731
    scene.wait("a grave incident is open", grave, 30)
    create(world, world.bob.approve(waiting, "service_owner"), world.gitops)
    patch(world, "recoveryplan", name, {"spec": {"suspend": None}})
    scene.wait("1/2", lambda: world.status("recoveryplans", name).get("approvalCount") == "1/2", 15)
    assert wait_plan(scene, name)["status"]["reason"] == "ApprovalsMissing"
    assert scene.updates() == []


# Policies


def test_s1_policy_lowers_nothing(besieged: Scene) -> None:
    easy = policy(approvals=[{"name": "easy", "roles": [{"name": "service_owner"}]}])
    approval = besieged.world.bob.approve(besieged.plan(), "service_owner")
    with objects(besieged.world, easy), said(besieged, approval) as (reason,):
        assert reason == "Accepted"
        besieged.wait("1/2", lambda: besieged.plan()["status"]["approvalCount"] == "1/2", 10)
    for spec in (
        {"approvals": [{"name": "none", "roles": [{"name": "service_owner", "people": 0}]}]},
        {"approvals": [{"name": "none", "severities": []}]},
        {"approvals": [{"name": "auto", "proofs": ["Auto"]}]},
        {"maxAutoPerHour": -1},
    ):
        refused = besieged.world.control_plane.kubectl(
            "create", "-f", "-", input=json.dumps(policy(**spec)), check=False
        )
        assert "is invalid" in refused.stderr


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"proofs": ["Cluster"]}, "ProofNotAllowed"),
        ({"roles": [{"name": "system_admin", "identities": [BOB]}]}, "NotNamed"),
        ({"expiresAfter": "1s"}, "Expired"),
    ],
)
def test_s8_approval_that_the_policy_does_not_take_does_not_count(besieged: Scene, rule: Raw, reason: str) -> None:
    approval = besieged.world.alice.approve(besieged.plan(), "system_admin")
    with said(besieged, approval) as (before,):
        assert before == "Accepted"
        with objects(besieged.world, policy(approvals=[{"name": "strict", **rule}])):
            assert wait_judged(besieged, approval["metadata"]["name"], reason) == reason
            besieged.wait("not counted", lambda: besieged.plan()["status"]["approvalCount"] == "0/2", 10)


def test_s6_policy_that_cannot_be_read_lets_nothing_through(besieged: Scene, flux: Path) -> None:
    """Somebody loosened the CRD, and the policy says what no version of the operator knows."""
    world = besieged.world
    kubectl = world.control_plane.kubectl
    crd = json.loads(kubectl("get", "crd", "recoverypolicies.bokgu.dev", "-o", "json").stdout)
    loose = deepcopy(crd)
    for body in (crd, loose):
        del body["metadata"]["resourceVersion"]
    schema = loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["properties"] = {"approvals": {"x-kubernetes-preserve-unknown-fields": True}}
    with said(besieged, world.alice.approve(besieged.plan(), "system_admin")):
        kubectl("replace", "-f", "-", user=flux, input=json.dumps(loose))
        try:
            strange = {**policy(), "spec": {"approvals": "whatever"}}
            delete(world, "recoverypolicies", "default")
            besieged.wait("let in", lambda: create(world, strange, flux, check=False).returncode == 0, 20)
            with said(besieged, world.bob.approve(besieged.plan(), "service_owner")):
                problem = "cannot be read by this version"
                besieged.wait("said so", lambda: problem in gate(besieged.plan(), "Approved")["message"], 15)
        finally:
            delete(world, "recoverypolicies", "default")
            kubectl("replace", "-f", "-", user=flux, input=json.dumps(crd))
    wait_for(lambda: "is invalid" in create(world, strange, flux, check=False).stderr, 20, lambda: "the CRD is loose")
    world.apply(policy())


def test_policy_with_two_people_and_a_role_of_its_own_runs_only_with_all(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene(environment="paydesk")
    world = scene.world
    dbas = ("carol@example.com", "dan@example.com")
    rule = {
        "name": "paydesk",
        "environments": ["paydesk"],
        "roles": [{"name": "dba", "people": 2}, {"name": "security", "identities": ["erin@example.com"]}],
    }
    extra = [*bind(dbas[0], "dba"), *bind(dbas[1], "dba"), *bind("erin@example.com", "security")]
    with objects(world, policy(approvals=[rule]), *extra):
        plan = scene.surge()
        assert plan["status"]["requiredApprovals"] == ["system_admin", "service_owner", "dba", "dba", "security"]
        scene.approve(plan)
        for count, (person, role) in enumerate(((dbas[0], "dba"), ("erin@example.com", "security")), 3):
            assert create_as(world, unsigned(plan, role, person), person).returncode == 0
            said_now = f"{count}/5"
            scene.wait(said_now, lambda: scene.plan()["status"]["approvalCount"] == said_now, 15)  # noqa: B023
            assert scene.updates() == []
        again = unsigned(plan, "dba", dbas[0], reason="once more")
        assert create_as(world, again, dbas[0]).returncode == 0
        assert wait_judged(scene, again["metadata"]["name"]) == "Accepted"
        assert scene.plan()["status"]["approvalCount"] == "4/5"
        assert untouched(scene)
        assert create_as(world, unsigned(plan, "dba", dbas[1]), dbas[1]).returncode == 0
        scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
        counted = scene.plan()["status"]["steps"][-1]["intent"]["approvals"]
        assert {(c["role"], c["approver"]) for c in counted} == {
            ("system_admin", ALICE),
            ("service_owner", BOB),
            ("dba", dbas[0]),
            ("dba", dbas[1]),
            ("security", "erin@example.com"),
        }
        assert len(scene.updates()) == 1


# Status


@pytest.mark.parametrize("kind", [kind.plural for kind in KINDS])
def test_s13_cluster_administrators_write_no_status(besieged: Scene, flux: Path, kind: str) -> None:
    """By the subresource, in every way there is; past it, the API server keeps the status as it was."""
    world = besieged.world
    kubectl = world.control_plane.kubectl
    there = {
        "incidents": besieged.incident(),
        "recoveryplans": besieged.plan(),
        "protectedservices": world.get("protectedservices", besieged.service),
        "detectors": world.get("detectors", f"{besieged.service}-errors"),
    }
    with objects(world, policy(maxAutoPerHour=0), RUNBOOK), said(besieged, world.alice.approve(besieged.plan(), "dba")):
        body = there.get(kind) or world.all(kind)[0]
        name = body["metadata"]["name"]
        forged = {"status": {"observedGeneration": 99}}
        for user in (None, flux):
            options = ("-n", NAMESPACE, "--type=merge", "-p", json.dumps(forged))
            refused = kubectl("patch", kind, name, "--subresource=status", *options, user=user, check=False)
            assert "only the operator writes status" in refused.stderr
            kubectl("patch", kind, name, *options, user=user)
            whole = {**body, **forged, "metadata": {"name": name, "namespace": NAMESPACE}}
            replaced = kubectl(
                "replace", "--subresource=status", "-f", "-", input=json.dumps(whole), user=user, check=False
            )
            assert "only the operator writes status" in replaced.stderr
            apply = ("apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "-")
            minimal = {k: whole[k] for k in ("apiVersion", "kind", "metadata", "spec", "status")}
            applied = kubectl(*apply, input=json.dumps(minimal), user=user, check=False)
            assert "only the operator writes status" in applied.stderr
        assert (world.get(kind, name) or {}).get("status", {}).get("observedGeneration") != 99


RUNBOOK = {
    "apiVersion": "bokgu.dev/v1alpha1",
    "kind": "Runbook",
    "metadata": {"name": "attacked", "namespace": NAMESPACE},
    "spec": {
        "incidentTypes": ["data_corruption"],
        "steps": [{"name": "look", "action": "health_check", "estimatedDuration": "1m"}],
    },
}


def test_s13_status_that_comes_with_a_new_object_is_dropped(besieged: Scene, flux: Path) -> None:
    world = besieged.world
    plan = by_hand("born-approved", besieged.plan())
    plan["status"] = {"phase": "Approved", "startedAt": "2026-01-01T00:00:00Z", "approvalCount": "2/2"}
    create(world, plan, flux)
    found = wait_plan(besieged, "born-approved")
    assert found["status"]["approvalCount"] == "0/2"
    approval = world.mallory.approve(found, "system_admin", approver=ALICE)
    approval["status"] = {"proof": "Signed", "conditions": []}
    assert reason_of(besieged, approval, flux) == "InvalidSignature"
    assert untouched(besieged)
    delete(world, "recoveryplans", "born-approved")


# Reject, restore


def test_s8_one_reject_ends_the_plan_and_nothing_brings_it_back(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    create(world, world.alice.approve(plan, "system_admin"))
    reject = world.bob.approve(plan, "service_owner", Decision.REJECT)
    create(world, reject)
    scene.wait("rejected", lambda: scene.plan_is("Rejected"), 15)
    scene.wait("escalated", lambda: scene.incident_is("Escalated"), 10)
    delete(world, "planapprovals", reject["metadata"]["name"])
    approval = world.bob.approve(plan, "service_owner")
    create(world, approval)
    assert wait_judged(scene, approval["metadata"]["name"]) == "Accepted"
    assert scene.plan_is("Rejected")
    assert scene.updates() == []


# What the operator's configuration does not switch on


def test_s1_nothing_starts_by_itself_where_configuration_does_not_name_the_namespace(besieged: Scene) -> None:
    world = besieged.world
    auto = {"service": besieged.service, "action": "scale_out", "rootCause": "TrafficSurge"}
    patch(world, "protectedservice", besieged.service, {"spec": {"mode": "Auto"}})
    try:
        with objects(world, policy(auto=[auto], maxAutoPerHour=60)):
            said_so = "BOKGU_AUTO_NAMESPACES"
            besieged.wait("said so", lambda: said_so in gate(besieged.plan(), "Approved")["message"], 15)

            def ready() -> tuple[str, str]:
                found = world.condition("recoverypolicies", "default", "Ready")
                return found.get("status", ""), found.get("reason", "")

            # Plan and policy get passes of their own: either may be told first.
            besieged.wait("the policy says so", lambda: ready() == ("False", "AutoNotEnabled"), 15)
            assert untouched(besieged)
    finally:
        patch(world, "protectedservice", besieged.service, {"spec": {"mode": "Approve"}})


def test_s1_no_role_overrides_all_others_unless_configuration_names_it(besieged: Scene) -> None:
    world = besieged.world
    approval = altered(world.alice.approve(besieged.plan(), "incident_commander"), reason="the house is on fire")
    with objects(world, *bind(ALICE, "incident_commander")), said(besieged, approval):
        assert wait_judged(besieged, approval["metadata"]["name"], "Accepted") == "Accepted"
        assert besieged.plan()["status"]["approvalCount"] == "0/2"
