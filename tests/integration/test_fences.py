"""What the API server itself refuses: forged status (S13), edited plans and approvals, lowered severities."""

import json
from collections.abc import Iterator

import pytest

from tests.world.manifests import NAMESPACE, incident, protected_service
from tests.world.people import Person
from tests.world.world import World, wait_for

EMPTY = {"metadata": {"name": "fenced", "namespace": NAMESPACE}}

PLAN = {
    "apiVersion": "bokgu.dev/v1alpha1",
    "kind": "RecoveryPlan",
    **EMPTY,
    "spec": {
        "incidentRef": {"name": "gone", "uid": "0"},
        "serviceRef": {"name": "gone"},
        "preconditions": {"desiredCount": 3, "rootCause": "TrafficSurge"},
        "steps": [
            {
                "name": "scale-out",
                "action": "scale_out",
                "parameters": {"desiredCount": 5},
                "timeout": "1m",
                "onFailure": "Stop",
            }
        ],
        "expiresAt": "2099-01-01T00:00:00Z",
    },
}


@pytest.fixture(scope="module")
def fenced(world: World) -> Iterator[World]:
    """One object of each kind that is written by hand here."""
    world.apply(protected_service("fenced"), incident("fenced", "nobody"), PLAN)
    wait_for(lambda: (world.get("recoveryplans", "fenced") or {}).get("status"), 10, lambda: "no status")
    yield world
    kubectl = world.control_plane.kubectl
    kubectl("delete", "protectedservice,incident,recoveryplan", "fenced", "-n", NAMESPACE, "--timeout=20s")


@pytest.mark.parametrize("kind", ["incidents", "recoveryplans", "protectedservices"])
def test_s13_administrators_cannot_write_status(fenced: World, kind: str) -> None:
    patch = json.dumps({"status": {"observedGeneration": 99}})
    arguments = ("patch", kind, "fenced", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)
    refused = fenced.control_plane.kubectl(*arguments, check=False)
    assert "only the operator writes status" in refused.stderr


@pytest.mark.parametrize(
    ("kind", "patch", "message"),
    [
        ("recoveryplan", {"spec": {"expiresAt": "2098-01-01T00:00:00Z"}}, "spec.expiresAt is immutable"),
        ("recoveryplan", {"spec": {"requiredApprovals": ["service_owner"]}}, "spec.requiredApprovals is immutable"),
        ("recoveryplan", {"spec": {"steps": PLAN["spec"]["steps"] * 2}}, "spec.steps"),  # type: ignore[index]
        ("incident", {"spec": {"severity": "low"}}, "spec.severity may only rise"),
        ("incident", {"spec": {"serviceRef": {"name": "other"}}}, "spec.serviceRef is immutable"),
    ],
)
def test_specs_that_people_relied_on_cannot_be_edited(fenced: World, kind: str, patch: object, message: str) -> None:
    arguments = ("patch", kind, "fenced", "-n", NAMESPACE, "--type=merge", "-p", json.dumps(patch))
    refused = fenced.control_plane.kubectl(*arguments, check=False)
    assert refused.returncode != 0
    assert message in refused.stderr


def test_suspend_of_a_plan_can_be_edited(fenced: World) -> None:
    patch = json.dumps({"spec": {"suspend": True}})
    fenced.control_plane.kubectl("patch", "recoveryplan", "fenced", "-n", NAMESPACE, "--type=merge", "-p", patch)


def test_approval_cannot_be_edited(fenced: World) -> None:
    plan = fenced.get("recoveryplans", "fenced")
    assert plan is not None
    person: Person = fenced.alice
    approval = person.approve(plan, "system_admin")
    fenced.apply(approval)
    patch = json.dumps({"spec": {"decision": "Reject"}})
    name = approval["metadata"]["name"]
    arguments = ("patch", "planapproval", name, "-n", NAMESPACE, "--type=merge", "-p", patch)
    refused = fenced.control_plane.kubectl(*arguments, check=False)
    assert "a PlanApproval is immutable" in refused.stderr


def test_approval_must_carry_the_digest_in_its_name(fenced: World) -> None:
    plan = fenced.get("recoveryplans", "fenced")
    assert plan is not None
    approval = fenced.alice.approve(plan, "system_admin")
    approval["metadata"]["name"] = "some-name"
    refused = fenced.control_plane.kubectl("create", "-f", "-", input=json.dumps(approval), check=False)
    assert "first 12 digits of spec.planDigest" in refused.stderr


def test_operator_account_cannot_approve_or_configure(fenced: World) -> None:
    account = fenced.control_plane.kubeconfig_for_service_account("bokgu-system", "bokgu")
    for verb, resource in (
        ("create", "planapprovals.bokgu.dev"),
        ("approve", "approvalroles.bokgu.dev"),
        ("update", "protectedservices.bokgu.dev"),
        ("delete", "recoveryplans.bokgu.dev"),
        ("get", "secrets"),
        ("update", "configmaps"),
    ):
        answer = fenced.control_plane.kubectl(
            "auth", "can-i", verb, resource, "-n", NAMESPACE, user=account, check=False
        )
        assert answer.stdout.strip() == "no", (verb, resource)
