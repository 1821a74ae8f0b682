"""Unsigned approvals that must not be let in, or must not count: forged names, and a tampered admission policy (S8)."""

import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bokgu.api.vocabulary import Decision
from bokgu.core.approval.admission import APPROVAL_POLICY, APPROVAL_POLICY_SPEC, find_gap
from tests.integration.attacks.tools import (
    FENCE,
    SETTLED,
    altered,
    bind,
    cluster_admin,
    create,
    create_as,
    delete,
    delete_fence,
    install_fence,
    objects,
    patch,
    reason_of,
    said,
    unsigned,
    untouched,
    wait_judged,
)
from tests.world.manifests import NAMESPACE
from tests.world.scene import Scene
from tests.world.world import World

ALICE, BOB, MALLORY = "alice@example.com", "bob@example.com", "mallory@example.com"
GITOPS = f"system:serviceaccount:{NAMESPACE}:gitops"
KINDS = ("validatingadmissionpolicy", "validatingadmissionpolicybinding")
Raw = dict[str, Any]


@pytest.fixture(scope="module")
def flux(world: World) -> Iterator[Path]:
    yield cluster_admin(world)
    time.sleep(SETTLED)  # Other tests want an admission policy that vouches.


# What is refused


@pytest.mark.parametrize(
    ("who", "claim", "message"),
    [
        (ALICE, ("system_admin", BOB, {}), "spec.approver must be alice@example.com"),
        (ALICE, ("service_owner", ALICE, {}), "may not approve as service_owner"),
        (MALLORY, ("system_admin", ALICE, {}), "spec.approver must be mallory@example.com"),
        (MALLORY, ("system_admin", MALLORY, {}), "may not approve as system_admin"),
        (ALICE, ("system_admin", ALICE, {"approver_groups": ("platform",)}), "that the requester is not in"),
        (ALICE, ("system_admin", "Alice@example.com", {}), "spec.approver must be"),
        (ALICE, ("system_admin", "\u0430lice@example.com", {}), "spec.approver must be"),
        (ALICE, ("system_admin", BOB, {"carried_by": GITOPS}), "spec.carriedBy must be alice@example.com"),
        (GITOPS, ("system_admin", GITOPS, {}), "must come from a person"),
        (GITOPS, ("system_admin", ALICE, {}), "must come from a person"),
        (
            GITOPS,
            ("system_admin", ALICE, {"carried_by": "system:serviceaccount:flux-system:flux"}),
            "carriedBy must be",
        ),
    ],
)
def test_s8_unsigned_approval_is_refused_at_admission(
    besieged: Scene, who: str, claim: tuple[str, str, Raw], message: str
) -> None:
    role, approver, more = claim
    manifest = unsigned(besieged.plan(), role, approver, **more)
    bindings = bind(MALLORY, "nothing")
    with objects(besieged.world, *bindings):
        refused = create_as(besieged.world, manifest, who)
    assert refused.returncode != 0
    assert message in refused.stderr
    assert untouched(besieged)


@pytest.mark.parametrize("decision", list(Decision))
def test_s8_administrators_do_not_speak_for_people(besieged: Scene, flux: Path, decision: Decision) -> None:
    """Neither system:masters nor an account with every right, which holds every role."""
    manifest = unsigned(besieged.plan(), "system_admin", "admin", decision)
    assert "must come from a person" in create(besieged.world, manifest, check=False).stderr
    own = unsigned(besieged.plan(), "system_admin", f"system:serviceaccount:{NAMESPACE}:flux", decision)
    assert "must come from a person" in create(besieged.world, own, flux, check=False).stderr
    assert untouched(besieged)


def test_s8_operators_account_creates_no_approval(besieged: Scene) -> None:
    world = besieged.world
    account = world.control_plane.kubeconfig_for_service_account("bokgu-system", "bokgu")
    signed = world.alice.approve(besieged.plan(), "system_admin")
    for manifest in (signed, unsigned(besieged.plan(), "system_admin", ALICE)):
        refused = create(world, manifest, account, check=False)
        assert "cannot create resource" in refused.stderr
    assert untouched(besieged)


# What is let in, and does not count


def test_s8_account_that_is_no_delegate_carries_nothing(besieged: Scene, flux: Path) -> None:
    carried = unsigned(besieged.plan(), "system_admin", ALICE, carried_by=GITOPS)
    assert reason_of(besieged, carried) == "NotDelegated"
    by_flux = unsigned(besieged.plan(), "system_admin", ALICE, carried_by=f"system:serviceaccount:{NAMESPACE}:flux")
    assert reason_of(besieged, by_flux, flux) == "NotDelegated"


def test_s8_person_who_carries_an_approval_is_no_delegate(besieged: Scene) -> None:
    carried = unsigned(besieged.plan(), "system_admin", BOB, carried_by=ALICE)
    assert reason_of(besieged, carried, person=ALICE) == "NotDelegated"


def test_s8_right_that_was_taken_away_counts_no_more(besieged: Scene) -> None:
    world = besieged.world
    manifest = unsigned(besieged.plan(), "system_admin", MALLORY)
    name = manifest["metadata"]["name"]
    try:
        with objects(world, *bind(MALLORY, "system_admin")):
            besieged.wait("let in", lambda: create_as(world, manifest, MALLORY).returncode == 0, 10)
            assert wait_judged(besieged, name, "Accepted") == "Accepted"
        assert wait_judged(besieged, name, "RoleNotHeld") == "RoleNotHeld"
        besieged.wait("not counted", lambda: besieged.plan()["status"]["approvalCount"] == "0/2", 10)
        assert untouched(besieged)
    finally:
        delete(world, "planapprovals", name)


def test_s8_right_to_another_resource_of_that_name_is_no_right(besieged: Scene) -> None:
    bindings = bind(MALLORY, "system_admin", kind="planapprovals")
    with objects(besieged.world, *bindings):
        refused = create_as(besieged.world, unsigned(besieged.plan(), "system_admin", MALLORY), MALLORY)
    assert "may not approve as system_admin" in refused.stderr
    assert untouched(besieged)


def test_s8_approval_stuck_in_deletion_does_not_count(besieged: Scene) -> None:
    world = besieged.world
    manifest = world.alice.approve(besieged.plan(), "system_admin")
    manifest["metadata"]["finalizers"] = ["example.com/stuck"]
    name = manifest["metadata"]["name"]
    create(world, manifest, world.gitops)
    assert wait_judged(besieged, name) == "Accepted"
    world.control_plane.kubectl("delete", "planapproval", name, "-n", NAMESPACE, "--wait=false")
    assert wait_judged(besieged, name, "Withdrawn") == "Withdrawn"
    besieged.wait("not counted", lambda: besieged.plan()["status"]["approvalCount"] == "0/2", 10)
    assert untouched(besieged)
    patch(world, "planapproval", name, {"metadata": {"finalizers": []}})


def test_owner_and_generated_name_change_nothing_about_an_approval(besieged: Scene) -> None:
    world, plan = besieged.world, besieged.plan()
    manifest = world.alice.approve(plan, "system_admin")
    digest = manifest["spec"]["planDigest"][7:19]
    owner = {
        "apiVersion": plan["apiVersion"],
        "kind": "RecoveryPlan",
        "name": plan["metadata"]["name"],
        "uid": plan["metadata"]["uid"],
    }
    manifest["metadata"] = {"generateName": f"a-{digest}-", "namespace": NAMESPACE, "ownerReferences": [owner]}
    name = create(world, manifest, world.gitops, "-o", "name").stdout.strip().partition("/")[2]
    assert wait_judged(besieged, name) == "Accepted"
    delete(world, "planapprovals", name)
    assert untouched(besieged)


# Edits


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "replace", "path": "/spec/decision", "value": "Reject"}],
        [{"op": "replace", "path": "/spec/role", "value": "service_owner"}],
        [{"op": "replace", "path": "/spec/validUntil", "value": "2099-01-01T00:00:00Z"}],
        [{"op": "remove", "path": "/spec/signature"}],
        [{"op": "add", "path": "/spec/reason", "value": "because"}],
        [{"op": "remove", "path": "/spec"}],
        [{"op": "remove", "path": "/spec/role"}],
    ],
    ids=str,
)
def test_s8_approval_cannot_be_edited(besieged: Scene, operations: list[Raw]) -> None:
    world = besieged.world
    manifest = world.alice.approve(besieged.plan(), "system_admin")
    with said(besieged, manifest) as (reason,):
        name = manifest["metadata"]["name"]
        refused = patch(world, "planapproval", name, operations, kind="json")
        assert refused.returncode != 0
        assert any(text in refused.stderr for text in ("a PlanApproval is immutable", "Required value"))
        assert (world.get("planapprovals", name) or {})["spec"] == manifest["spec"]
        assert reason == "Accepted"


def test_s8_approval_that_was_edited_while_the_crd_allowed_it_does_not_count(besieged: Scene, flux: Path) -> None:
    """Whoever may write CRDs takes the rule away, changes what Alice said, and puts the rule back."""
    world = besieged.world
    kubectl = world.control_plane.kubectl
    crd = json.loads(kubectl("get", "crd", "planapprovals.bokgu.dev", "-o", "json").stdout)
    loose = deepcopy(crd)
    for body in (crd, loose):
        del body["metadata"]["resourceVersion"]
    del loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]
    manifest = unsigned(besieged.plan(), "system_admin", ALICE)
    with said(besieged, manifest, person=ALICE) as (before,):
        assert before == "Accepted"
        name = manifest["metadata"]["name"]
        change = {"spec": {"role": "service_owner", "approver": BOB}}
        kubectl("replace", "-f", "-", user=flux, input=json.dumps(loose))
        try:
            besieged.wait("edited", lambda: patch(world, "planapproval", name, change).returncode == 0, 20)
        finally:
            kubectl("replace", "-f", "-", user=flux, input=json.dumps(crd))
        assert (world.get("planapprovals", name) or {})["spec"]["approver"] == BOB
        assert wait_judged(besieged, name, "Edited") == "Edited"
    wait_strict(besieged)


def wait_strict(scene: Scene) -> None:
    """Wait until the API server refuses edits of approvals again."""
    manifest = scene.world.alice.approve(scene.plan(), "system_admin", valid_for=timedelta(minutes=-1))
    name = manifest["metadata"]["name"]
    create(scene.world, manifest)
    reasons = iter(range(1000))

    def refused() -> bool:
        return patch(scene.world, "planapproval", name, {"spec": {"reason": f"{next(reasons)}"}}).returncode != 0

    scene.wait("the CRD's rule holds again", refused, 20)
    delete(scene.world, "planapprovals", name)


# The admission policy


@pytest.fixture
def tampered(world: World) -> Iterator[World]:
    """A world whose admission policy may be changed; afterwards it is created anew."""
    yield world
    install_fence(world)


def forge(scene: Scene, flux: Path, approver: str = ALICE, role: str = "system_admin") -> Raw:
    """An approval in the name of somebody else, posted by an account that the policy would refuse."""
    manifest = unsigned(scene.plan(), role, approver)

    def posted() -> bool:
        return create(scene.world, manifest, flux, check=False).returncode == 0

    scene.wait("the forged approval is let in", posted, 15)
    return manifest


def wait_refused(scene: Scene, flux: Path) -> None:
    """Wait until the policy is enforced."""
    probe = unsigned(scene.plan(), "system_admin", ALICE, reason="probe")

    def refused() -> bool:
        answer = create(scene.world, probe, flux, check=False)
        delete(scene.world, "planapprovals", probe["metadata"]["name"])
        return "must come from a person" in answer.stderr

    scene.wait("the policy is enforced", refused, 15)


UNVOUCHED = ("NoProof", "ProofUnknown")
"""No policy vouches for it, or none that is known to have been there long enough."""


def assert_never_counts(scene: Scene, manifest: Raw, *, wait: float = SETTLED + 1.5) -> None:
    """Not now, and not when the policy as it is has settled and a look was taken again."""
    name = manifest["metadata"]["name"]
    try:
        wait_judged(scene, name, *UNVOUCHED)
        time.sleep(wait)
        patch(scene.world, "planapproval", name, {"metadata": {"annotations": {"look": "again"}}})
        assert wait_judged(scene, name) in UNVOUCHED
        assert scene.plan()["status"]["approvalCount"] == "0/2"
        assert untouched(scene)
    finally:
        delete(scene.world, "planapprovals", name)


def test_s8_the_api_server_shows_the_policy_as_the_operator_demands_it(world: World) -> None:
    policy, binding = (
        json.loads(world.control_plane.kubectl("get", kind, FENCE, "-o", "json").stdout) for kind in KINDS
    )
    assert policy["spec"] != APPROVAL_POLICY_SPEC, "the API server fills in defaults"
    assert find_gap(APPROVAL_POLICY, policy, binding) is None
    assert [body["metadata"]["generation"] for body in (policy, binding)] == [1, 1]


def test_s8_nothing_unsigned_counts_while_the_policy_is_deleted(besieged: Scene, flux: Path, tampered: World) -> None:
    delete_fence(tampered)
    assert_never_counts(besieged, forge(besieged, flux))


def test_s8_what_was_let_in_while_the_policy_was_deleted_never_counts(
    besieged: Scene, flux: Path, tampered: World
) -> None:
    delete_fence(tampered)
    manifest = forge(besieged, flux)
    install_fence(tampered)
    assert_never_counts(besieged, manifest)


def test_s8_approval_right_after_a_change_of_the_policy_does_not_count(besieged: Scene, tampered: World) -> None:
    """API servers enforce a new policy only after a moment: it may be anybody, in alice's name."""
    install_fence(tampered)
    manifest = unsigned(besieged.plan(), "system_admin", ALICE)
    assert create_as(tampered, manifest, ALICE).returncode == 0
    assert_never_counts(besieged, manifest)


PERMISSIVE: dict[str, tuple[str, Raw]] = {
    "it checks nothing": (KINDS[0], {"spec": {"validations": [{"expression": "true"}]}}),
    "it matches nothing": (
        KINDS[0],
        {"spec": {"matchConditions": [{"name": "unsigned", "expression": "!has(object.spec.signature) && false"}]}},
    ),
    "it skips what is labelled": (
        KINDS[0],
        {
            "spec": {
                "matchConstraints": {
                    "objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]}
                }
            }
        },
    ),
    "it passes what it cannot judge": (
        KINDS[0],
        {"spec": {"failurePolicy": "Ignore", "validations": [{"expression": "object.spec.nothing == 'x'"}]}},
    ),
    "it only audits": (KINDS[1], {"spec": {"validationActions": ["Audit"]}}),
    "it skips the namespace": (
        KINDS[1],
        {"spec": {"matchResources": {"namespaceSelector": {"matchLabels": {"guarded": "yes"}}}}},
    ),
}


@pytest.mark.parametrize(("kind", "change"), PERMISSIVE.values(), ids=PERMISSIVE)
def test_s8_nothing_unsigned_counts_under_a_policy_that_was_edited(
    besieged: Scene, flux: Path, tampered: World, kind: str, change: Raw
) -> None:
    edit = tampered.control_plane.kubectl
    edit("patch", kind, FENCE, "--type=merge", "-p", json.dumps(change), user=flux)
    time.sleep(SETTLED)
    manifest = unsigned(besieged.plan(), "system_admin", ALICE)
    manifest["metadata"]["labels"] = {"skip": "me"}
    besieged.wait("let in", lambda: create(tampered, manifest, flux, check=False).returncode == 0, 15)
    assert_never_counts(besieged, manifest, wait=0)


COVER_UPS: dict[str, Callable[[], list[Raw]]] = {
    "as it is": list,
    "managedFields stripped": lambda: [{}],
    "managedFields backdated": lambda: [
        {
            "manager": "kubectl",
            "operation": "Apply",
            "apiVersion": "admissionregistration.k8s.io/v1",
            "time": (datetime.now(UTC) - timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:validations": {}}},
        }
    ],
}


@pytest.mark.parametrize("cover_up", COVER_UPS.values(), ids=COVER_UPS)
def test_s8_what_a_policy_let_in_that_was_edited_and_put_back_never_counts(
    besieged: Scene, flux: Path, tampered: World, cover_up: Callable[[], list[Raw]]
) -> None:
    """Policy and binding are in the end as they ever were, and as old; only their generation tells."""
    time.sleep(SETTLED)  # As old as it is, it vouches for what comes now.
    kubectl = tampered.control_plane.kubectl
    before = json.loads(kubectl("get", KINDS[0], FENCE, "-o", "json").stdout)

    def edit(body: Raw) -> None:
        kubectl("patch", KINDS[0], FENCE, "--type=merge", "-p", json.dumps(body), user=flux)

    edit({"spec": {"validations": [{"expression": "true"}]}})
    manifest = forge(besieged, flux)
    edit({"spec": {"validations": before["spec"]["validations"]}})
    if fields := cover_up():
        edit({"metadata": {"managedFields": fields}})
        shown = json.loads(kubectl("get", KINDS[0], FENCE, "-o", "json", "--show-managed-fields").stdout)["metadata"]
        newest = max((f["time"] for f in shown.get("managedFields", [])), default="")
        assert newest < manifest["spec"]["validUntil"][:10]
    wait_refused(besieged, flux)
    assert_never_counts(besieged, manifest)


def test_approvals_count_again_when_a_policy_that_was_edited_and_put_back_has_settled(
    besieged: Scene, tampered: World
) -> None:
    """An upgrade of the chart edits the policy, too. The operator looks at it every minute."""
    kubectl = tampered.control_plane.kubectl
    for actions in (["Audit"], ["Deny"]):
        kubectl("patch", KINDS[1], FENCE, "--type=merge", "-p", json.dumps({"spec": {"validationActions": actions}}))
    time.sleep(SETTLED + 1)
    manifest = unsigned(besieged.plan(), "system_admin", ALICE)
    assert reason_of(besieged, manifest, person=ALICE) == "Accepted"


def test_s8_signature_needs_no_policy(besieged: Scene, tampered: World) -> None:
    delete_fence(tampered)
    approval = tampered.alice.approve(besieged.plan(), "system_admin")
    assert reason_of(besieged, approval) == "Accepted"
    assert reason_of(besieged, altered(approval, signature="x")) == "InvalidSignature"
