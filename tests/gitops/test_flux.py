"""Approvals and configuration that a real Flux brings from Git to a world with a running operator."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import yaml

from bokgu.core.retention import find_applier
from tests.gitops.engine import Engine
from tests.gitops.opt_in import NEEDS_FLUX
from tests.gitops.page import KUSTOMIZATIONS
from tests.gitops.publisher import Publisher
from tests.world.manifests import CLUSTER, NAMESPACE, NORMAL_LOAD, detector, incident, protected_service
from tests.world.people import Repository
from tests.world.scene import Scene
from tests.world.world import World

pytestmark = NEEDS_FLUX

APPROVALS, PLATFORM = "shop-approvals", "shop-platform"

Raw = dict[str, Any]

GONE = {"metadata": {"name": "gone", "namespace": NAMESPACE}, "status": {"digest": f"sha256:{'0' * 64}"}}
"""A plan as approvers saw it, which is there no more."""


@dataclass
class Flux:
    """The Kustomizations of docs/gitops.md on a repository laid out as that page says."""

    world: World
    engine: Engine
    publisher: Publisher
    repository: Repository
    numbers: Iterator[int]

    def sync(self, *names: str) -> str:
        """Publish the newest revision and wait until it is applied and healthy; the revision."""
        revision = self.publisher.publish()
        for name in names or (APPROVALS, PLATFORM):
            self.engine.wait_applied(name, revision)
        return revision

    def commit(self, author: str, *manifests: Raw) -> None:
        """Commit approvals, and wait until they are applied."""
        for manifest in manifests:
            self.repository.commit(author, manifest)
        self.sync(APPROVALS)

    def withdraw(self, author: str, manifest: Raw) -> None:
        """Remove an approval, and wait until that is applied."""
        self.repository.remove(author, manifest)
        self.sync(APPROVALS)

    def configure(self, name: str, *manifests: Raw) -> None:
        """Commit what the platform team wants."""
        self.repository.write("platform", name, {f"platform/shop/{name}.yaml": yaml.safe_dump_all(manifests)})

    def new_scene(self) -> Scene:
        """A healthy service, protected and watched by what is in Git."""
        scene = Scene(self.world, f"flux{next(self.numbers)}")
        self.world.create_service(scene.service)
        self.configure(scene.service, protected_service(scene.service), detector(scene.service))
        self.sync(PLATFORM)
        scene.wait("the detector sees it", lambda: scene.detector_says("Clear"), 20)
        scene.wait("a good revision is known", scene.knows_good_revision, 20)
        return scene

    def publish_bad(self, name: str) -> str:
        """Publish a revision that a Kustomization, which is ready now, fails with; what Flux says of it."""
        self.engine.wait_ready(name)
        self.publisher.publish()
        self.engine.wait(name, "failed", lambda: self.engine.ready(name).get("status") == "False")
        return str(self.engine.ready(name)["message"])


@pytest.fixture(scope="module")
def flux(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flux]:
    folder = tmp_path_factory.mktemp("flux")
    repository = Repository(folder / "git", "approvals/shop")
    keep = {f"{path}/.gitkeep": "" for path in ("approvals/shop", "platform/shop")}
    repository.write("platform", "Lay out the repository", keep)
    with (
        Engine(world.control_plane, folder / "engine") as engine,
        Publisher(world.control_plane, repository.origin, folder / "artifacts", name="recovery") as publisher,
    ):
        for manifest in copy.deepcopy([*KUSTOMIZATIONS.values()]):
            manifest["spec"]["sourceRef"] = publisher.reference
            world.apply(manifest)
        running = Flux(world, engine, publisher, repository, count(1))
        running.sync()
        yield running


def approvals_of(flux: Flux, plan: Raw) -> tuple[Raw, Raw]:
    """Both approvals that a plan needs."""
    return flux.world.alice.approve(plan, "system_admin"), flux.world.bob.approve(plan, "service_owner")


def reason_of(flux: Flux, manifest: Raw) -> str:
    return str(flux.world.condition("planapprovals", manifest["metadata"]["name"], "Accepted").get("reason", ""))


def test_committed_approvals_start_the_recovery_once(flux: Flux) -> None:
    scene = flux.new_scene()
    plan = scene.surge()
    first, second = approvals_of(flux, plan)
    flux.commit("alice", first)
    scene.wait("one of two", lambda: scene.plan()["status"].get("approvalCount") == "1/2", 15)
    flux.commit("bob", second)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    assert len(scene.updates()) == 1
    carried = {a["verifiedBy"] for a in scene.plan()["status"]["approvals"]}
    assert carried == {"Signed"}
    flux.engine.reconcile(APPROVALS)
    flux.engine.wait_ready(APPROVALS)
    assert len(scene.updates()) == 1


def test_s1_removal_before_the_second_approval_withdraws_the_first(flux: Flux) -> None:
    scene = flux.new_scene()
    plan = scene.surge()
    first, second = approvals_of(flux, plan)
    flux.commit("alice", first)
    scene.wait("one of two", lambda: scene.plan()["status"].get("approvalCount") == "1/2", 15)
    flux.withdraw("alice", first)
    assert flux.world.get("planapprovals", first["metadata"]["name"]) is None
    flux.commit("bob", second)
    scene.wait("judged", lambda: reason_of(flux, second) == "Accepted", 15)
    assert scene.plan()["status"]["approvalCount"] == "1/2"
    assert scene.plan_is("AwaitingApproval")
    assert scene.updates() == []


def test_the_last_approval_is_pruned_too(flux: Flux) -> None:
    last = flux.world.alice.approve(GONE, "service_owner")
    flux.commit("alice", last)
    assert flux.world.get("planapprovals", last["metadata"]["name"])
    for file in flux.repository.approvals.glob("*.yaml"):
        flux.repository.remove("alice", yaml.safe_load(file.read_text()))
    flux.sync(APPROVALS)
    labelled = [a for a in flux.world.all("planapprovals") if find_applier(a["metadata"]) == "Flux"]
    assert labelled == []


def test_a_folder_that_is_missing_in_git_is_an_error_and_prunes_nothing(flux: Flux) -> None:
    approval = flux.world.alice.approve(GONE, "system_admin")
    flux.commit("alice", approval)
    flux.repository.remove("alice", approval)
    (flux.repository.work / "approvals/shop/.gitkeep").unlink()
    flux.repository.write("platform", "Tidy up too much", {})
    assert "path not found" in flux.publish_bad(APPROVALS)
    assert flux.world.get("planapprovals", approval["metadata"]["name"])
    flux.repository.write("platform", "Keep the folder", {"approvals/shop/.gitkeep": ""})
    flux.sync(APPROVALS)
    assert flux.world.get("planapprovals", approval["metadata"]["name"]) is None


def test_an_unsigned_approval_is_refused_with_its_revision(flux: Flux) -> None:
    unsigned, signed = flux.world.alice.approve(GONE, "system_admin"), flux.world.bob.approve(GONE, "service_owner")
    del unsigned["spec"]["signature"]
    flux.repository.commit("alice", unsigned)
    flux.repository.commit("bob", signed)
    assert "must come from a person" in flux.publish_bad(APPROVALS)
    assert flux.world.get("planapprovals", signed["metadata"]["name"]) is None
    flux.withdraw("alice", unsigned)
    assert flux.world.get("planapprovals", signed["metadata"]["name"])


def test_stale_approvals_stay_and_fail_nothing(flux: Flux) -> None:
    scene = flux.new_scene()
    plan = scene.surge()
    left = approvals_of(flux, plan)
    flux.commit("alice", *left)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    flux.world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 40)
    opened, name = scene.incident()["metadata"]["name"], plan["metadata"]["name"]
    flux.world.control_plane.kubectl("delete", "incident", opened, "-n", NAMESPACE, "--timeout=20s")
    scene.wait("the plan is collected", lambda: flux.world.get("recoveryplans", name) is None, 40)
    scene.wait("judged anew", lambda: {reason_of(flux, m) for m in left} == {"PlanNotFound"}, 20)
    before = [flux.world.get("planapprovals", m["metadata"]["name"]) for m in left]
    flux.repository.write("platform", "Another revision", {"README": "Approvals of recovery plans, and more.\n"})
    flux.sync(APPROVALS)
    assert [flux.world.get("planapprovals", m["metadata"]["name"]) for m in left] == before
    assert len(scene.updates()) == 1

    flux.world.control_plane.kubectl("delete", "planapproval", left[0]["metadata"]["name"], "-n", NAMESPACE)
    flux.engine.reconcile(APPROVALS)
    scene.wait("it is back and judged", lambda: reason_of(flux, left[0]) == "PlanNotFound", 20)
    flux.engine.wait_ready(APPROVALS)
    assert len(scene.updates()) == 1


def test_drift_is_reverted_unless_the_object_says_otherwise(flux: Flux) -> None:
    scene = flux.new_scene()

    def suspend() -> bool:
        patch = json.dumps({"spec": {"suspend": True}})
        where = ["protectedservice", scene.service, "-n", NAMESPACE]
        flux.world.control_plane.kubectl("patch", *where, "--type=merge", "-p", patch)
        flux.engine.reconcile(PLATFORM)
        found = flux.world.get("protectedservices", scene.service) or {}
        return bool(found["spec"].get("suspend"))

    assert not suspend()
    flux.world.control_plane.kubectl(
        "annotate", "protectedservice", scene.service, "-n", NAMESPACE, "kustomize.toolkit.fluxcd.io/reconcile=disabled"
    )
    assert suspend()


def test_an_edited_approval_is_refused_with_its_revision(flux: Flux) -> None:
    scene = flux.new_scene()
    plan = scene.surge()
    first, second = approvals_of(flux, plan)
    flux.commit("alice", first)
    before = flux.world.get("planapprovals", first["metadata"]["name"])
    edited = copy.deepcopy(first)
    edited["spec"]["reason"] = "a second thought"
    flux.repository.commit("alice", edited)
    flux.repository.commit("bob", second)
    told = flux.publish_bad(APPROVALS)
    assert "a PlanApproval is immutable: create another one" in told
    assert flux.world.get("planapprovals", second["metadata"]["name"]) is None
    assert (flux.world.get("planapprovals", first["metadata"]["name"]) or {})["spec"] == (before or {})["spec"]
    assert scene.updates() == []
    flux.commit("alice", first)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)


def test_an_incident_in_git_tells_when_a_person_is_needed(flux: Flux) -> None:
    scene = flux.new_scene()
    flux.configure("by-hand", incident("by-hand", scene.service))
    told = flux.publish_bad(PLATFORM)
    assert "Incident/shop/by-hand status: 'Failed'" in told
    found = flux.world.get("incidents", "by-hand") or {}
    assert found["status"]["phase"] == "Escalated"
    assert find_applier(found["metadata"]) == "Flux"
    (flux.repository.work / "platform/shop/by-hand.yaml").unlink()
    flux.repository.write("platform", "It was mended by hand", {})
    flux.sync(PLATFORM)
    assert flux.world.get("incidents", "by-hand") is None
