"""What attackers work with: approvals in any form, accounts with every right, and a look at what became of it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from bokgu.api.vocabulary import Decision
from bokgu.core.approval.statement import build_approval
from tests.world.manifests import NAMESPACE, roomy_policy
from tests.world.scene import Scene
from tests.world.world import ROOT, World

POLICIES = ROOT / "deploy/admission-policies.yaml"
FENCE = "bokgu-plan-approvals"
SETTLED = 3.5
"""Seconds after which an admission policy surely vouches: BOKGU_POLICY_SETTLE, and a second for what is rounded."""

Raw = dict[str, Any]


def unsigned(plan: Raw, role: str, approver: str, decision: Decision = Decision.APPROVE, **said: Any) -> Raw:
    """An approval that nobody has signed."""
    return build_approval(
        plan=plan["metadata"]["name"],
        namespace=plan["metadata"]["namespace"],
        digest=plan["status"]["digest"],
        role=role,
        decision=decision,
        approver=approver,
        **{"valid_until": datetime.now(UTC) + timedelta(hours=1), **said},
    )


def altered(approval: Raw, name: str = "altered", **spec: Any) -> Raw:
    """The same with other words, under a name of its own."""
    changed = deepcopy(approval)
    changed["spec"] |= spec
    digest = changed["spec"]["planDigest"][7:19]
    changed["metadata"]["name"] = f"{name}-{digest}-{approval['metadata']['name'][-8:]}"
    return changed


def create(
    world: World, manifest: Raw, user: Path | None = None, *arguments: str, check: bool = True
) -> CompletedProcess[str]:
    """POST an object as somebody; the administrator if not said otherwise."""
    return world.control_plane.kubectl(
        "create", "-f", "-", *arguments, user=user, input=json.dumps(manifest), check=check
    )


def create_as(world: World, manifest: Raw, person: str, *groups: str) -> CompletedProcess[str]:
    """POST an object as a person, by impersonation; refusals are in the answer."""
    as_groups = [f"--as-group={group}" for group in groups]
    return create(world, manifest, None, f"--as={person}", *as_groups, check=False)


def delete(world: World, plural: str, *names: str, namespace: str = NAMESPACE) -> None:
    world.control_plane.kubectl("delete", plural, *names, "-n", namespace, "--ignore-not-found", "--timeout=20s")


def patch(
    world: World, plural: str, name: str, body: object, *arguments: str, kind: str = "merge"
) -> CompletedProcess[str]:
    """PATCH an object as the administrator; refusals are in the answer."""
    return world.control_plane.kubectl(
        "patch", plural, name, "-n", NAMESPACE, f"--type={kind}", "-p", json.dumps(body), *arguments, check=False
    )


def judged(world: World, name: str, namespace: str = NAMESPACE) -> Raw:
    """The condition `Accepted` of an approval; empty while the operator has not looked."""
    conditions = (world.get("planapprovals", name, namespace) or {}).get("status", {}).get("conditions", [])
    return dict(conditions[0]) if conditions else {}


def wait_judged(scene: Scene, name: str, *reasons: str, seconds: float = 15) -> str:
    """Wait until the operator has said something to an approval, or one of these reasons; the reason."""

    def answered() -> bool:
        reason = judged(scene.world, name).get("reason")
        return reason in reasons if reasons else reason is not None

    scene.wait(f"{name} is judged {reasons}: {judged(scene.world, name)}", answered, seconds)
    return str(judged(scene.world, name)["reason"])


def untouched(scene: Scene) -> bool:
    """Whether the plan still waits and AWS was not written to."""
    return scene.plan_is("AwaitingApproval") and scene.updates() == []


@contextmanager
def said(scene: Scene, *manifests: Raw, user: Path | None = None, person: str = "") -> Iterator[list[str]]:
    """What the operator says to approvals that are there for as long as the block runs; nothing may come of them."""
    try:
        for manifest in manifests:
            if person:
                answer = create_as(scene.world, manifest, person)
                assert answer.returncode == 0, answer.stderr
            else:
                create(scene.world, manifest, user or scene.world.gitops)
        yield [wait_judged(scene, manifest["metadata"]["name"]) for manifest in manifests]
        assert untouched(scene)
    finally:
        delete(scene.world, "planapprovals", *(manifest["metadata"]["name"] for manifest in manifests))


def reason_of(scene: Scene, manifest: Raw, user: Path | None = None, *, person: str = "") -> str:
    """What the operator says to one approval, applied as the GitOps account if not said otherwise."""
    with said(scene, manifest, user=user, person=person) as (reason,):
        return reason


@contextmanager
def objects(world: World, *manifests: Raw) -> Iterator[None]:
    """Objects that are there for as long as the block runs. The RecoveryPolicy is never gone: its defaults are closed,
    and hold what other tests have left behind."""
    try:
        world.apply(*manifests)
        yield
    finally:
        items = [manifest for manifest in manifests if manifest["kind"] != "RecoveryPolicy"]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        if items:
            world.control_plane.kubectl("delete", "-f", "-", "--ignore-not-found", "--timeout=20s", input=text)
        world.apply(roomy_policy())


@contextmanager
def signers(world: World, **data: str) -> Iterator[None]:
    """Other trust roots for as long as the block runs: keys of the ConfigMap, whole."""
    kubectl = world.control_plane.kubectl
    where = ("configmap", "bokgu-signers", "-n", "bokgu-system")
    before = json.loads(kubectl("get", *where, "-o", "json").stdout)["data"]
    try:
        kubectl("patch", *where, "--type=merge", "-p", json.dumps({"data": {**before, **data}}))
        yield
    finally:
        kubectl("patch", *where, "--type=merge", "-p", json.dumps({"data": before}))


def signer_lines(world: World, *more: str) -> str:
    """allowed_signers as it is, with more lines."""
    return "\n".join((world.alice.allowed_signers_line, world.bob.allowed_signers_line, *more)) + "\n"


def install_fence(world: World) -> None:
    """Create the admission policy anew, as the chart has it: nobody has ever changed it."""
    delete_fence(world)
    world.control_plane.apply(POLICIES)


def delete_fence(world: World) -> None:
    kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding"
    world.control_plane.kubectl("delete", kinds, FENCE, "--ignore-not-found")


def bind(person: str, role: str, *, kind: str = "approvalroles") -> list[Raw]:
    """A role of its own that lets a person approve as `role` and create approvals."""
    name = f"{person.partition('@')[0]}-{role.replace('_', '-')}-attack"
    rules = [
        {"apiGroups": ["bokgu.dev"], "resources": [kind], "resourceNames": [role], "verbs": ["approve"]},
        {"apiGroups": ["bokgu.dev"], "resources": ["planapprovals"], "verbs": ["create", "get"]},
    ]
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "rules": rules,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "User", "name": person, "apiGroup": group}],
        },
    ]


def cluster_admin(world: World) -> Path:
    """A GitOps account that may do everything, as Flux and Argo CD are installed by default."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "flux", "namespace": NAMESPACE}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "flux"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "flux", "namespace": NAMESPACE}],
    }
    world.apply(account, binding)
    return world.control_plane.kubeconfig_for_service_account(NAMESPACE, "flux")


def policy(**spec: Any) -> Raw:
    """The namespace's RecoveryPolicy."""
    return roomy_policy(**spec)


def by_hand(name: str, like: Raw, **spec: Any) -> Raw:
    """A plan that a person writes, like one that is there."""
    metadata = {"name": name, "namespace": NAMESPACE}
    body = {**like["spec"], "risks": [], **spec}
    return {"apiVersion": like["apiVersion"], "kind": "RecoveryPlan", "metadata": metadata, "spec": body}


def wait_plan(scene: Scene, name: str, *phases: str, seconds: float = 15) -> Raw:
    """Wait until a plan is in one of these phases, or awaits approval; the plan."""
    wanted = phases or ("AwaitingApproval",)

    def there() -> bool:
        return scene.world.status("recoveryplans", name).get("phase") in wanted

    scene.wait(f"plan {name} is {wanted}: {scene.world.status('recoveryplans', name)}", there, seconds)
    return scene.world.get("recoveryplans", name) or {}


def gate(plan: Raw, name: str) -> Raw:
    """One gate of a plan."""
    return next((g for g in plan["status"].get("gates", []) if g["name"] == name), {})


def writes(world: World, *services: str) -> list[Raw]:
    """All writes of the operator to services, by whatever operation."""
    changing: Sequence[str] = ("UpdateService", "StopTask", "RunTask", "StopServiceDeployment")
    return [
        call.parameters
        for operation in changing
        for call in world.simulator.calls(operation)
        if call.access_key_id == "operator" and call.parameters.get("service") in services
    ]
