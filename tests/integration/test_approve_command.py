"""`bokgu approve`, as people run it, on the real API server, with the real ssh-keygen and Git."""

import copy
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bokgu.api.plan_approval import PlanApproval
from bokgu.core.approval.statement import signed_statement
from tests.unit.test_approve_command import read_until
from tests.world.approving import approve_through_git, run_approve
from tests.world.command import bokgu_command, person_environment
from tests.world.manifests import CLUSTER, NAMESPACE, protected_service
from tests.world.scene import Scene
from tests.world.world import World


@pytest.fixture(scope="module")
def waiting(world: World) -> Scene:
    """A service in a surge, whose plan awaits approval. Tests that use it must leave it so."""
    scene = Scene(world, "undecided")
    scene.begin()
    scene.surge()
    return scene


@pytest.fixture
def untouched(waiting: Scene) -> Iterator[Scene]:
    """The same, for tests in which nothing must be said to the plan."""
    before = names(waiting)
    yield waiting
    assert names(waiting) == before
    assert waiting.plan_is("AwaitingApproval")


def names(scene: Scene) -> list[str]:
    return [a["metadata"]["name"] for a in scene.world.all("planapprovals")]


def approval_in(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*.yaml")
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    assert file.stem == found["metadata"]["name"]
    return found


# Through Git


def test_two_people_sign_commit_and_the_plan_runs(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    (first,) = approve_through_git(world, plan, {world.alice: "system_admin"})
    scene.wait("one of two", lambda: scene.plan()["status"]["approvalCount"] == "1/2", 15)
    assert 'Good "git" signature for alice@example.com' in first.commit
    (second,) = approve_through_git(world, scene.plan(), {world.bob: None})
    assert 'Good "git" signature for bob@example.com' in second.commit
    assert "alice@example.com says Approve as system_admin" in second.shown
    assert "counts (Signed)" in second.shown
    assert "Approve as service_owner, in the name of bob@example.com (user.email of Git" in second.shown
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    approvals = scene.plan()["status"]["approvals"]
    assert {(a["approver"], a["role"], a["verifiedBy"]) for a in approvals} == {
        ("alice@example.com", "system_admin", "Signed"),
        ("bob@example.com", "service_owner", "Signed"),
    }
    assert len(scene.updates()) == 1
    over = run_approve(world, world.alice, plan, "--role", "system_admin", "--yes")
    assert (over.returncode, over.stdout) == (1, "")
    assert "the plan is over (Completed)" in over.stderr


def test_a_reject_through_git_ends_the_plan(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    approve_through_git(world, plan, {world.bob: "service_owner"}, "--reject", "--reason", "the sale ends at noon")
    scene.wait("rejected", lambda: scene.plan_is("Rejected"), 15)
    (said,) = scene.plan()["status"]["approvals"]
    assert world.get("planapprovals", said["ref"])["spec"]["reason"] == "the sale ends at noon"  # type: ignore[index]
    assert scene.updates() == []


def test_s8_ssh_keygen_verifies_what_is_in_the_file(untouched: Scene, tmp_path: Path) -> None:
    world, out = untouched.world, tmp_path / "new" / "approvals"
    options = ("--role", "system_admin", "--sign", world.alice.key, "--out", out, "--yes")
    done = run_approve(world, world.alice, untouched.plan(), *options)
    assert done.returncode == 0, done.stderr
    approval = PlanApproval.model_validate(approval_in(out))
    (tmp_path / "signature").write_text(approval.spec.signature or "")
    (tmp_path / "signers").write_text(world.alice.allowed_signers_line + "\n")

    def verifies(spec: Any) -> bool:
        command = ["ssh-keygen", "-Y", "verify", "-n", "bokgu.dev/approval", "-I", "alice@example.com"]
        files = ["-f", str(tmp_path / "signers"), "-s", str(tmp_path / "signature")]
        answer = subprocess.run([*command, *files], input=signed_statement(spec), capture_output=True, check=False)
        return answer.returncode == 0

    assert verifies(approval.spec)
    assert not verifies(approval.spec.model_copy(update={"role": "service_owner"}))


def test_the_same_again_changes_no_file_and_another_one_is_never_overwritten(untouched: Scene, tmp_path: Path) -> None:
    world, out = untouched.world, tmp_path / "approvals"

    def approve() -> subprocess.CompletedProcess[str]:
        options = ("--role", "system_admin", "--sign", world.alice.key, "--out", out, "--yes")
        return run_approve(world, world.alice, untouched.plan(), *options)

    assert "wrote " in approve().stderr
    (file,) = out.iterdir()
    text = file.read_text()
    again = approve()
    assert (again.returncode, file.read_text()) == (0, text)
    assert "it is there already" in again.stderr
    file.write_text(text + "# reviewed\n")
    refused = approve()
    assert refused.returncode == 1
    assert "nothing is overwritten" in refused.stderr
    assert file.read_text() == text + "# reviewed\n"


def test_an_approval_outlives_the_plan_that_it_approves(untouched: Scene, tmp_path: Path) -> None:
    world, plan = untouched.world, untouched.plan()
    options = ("--role", "system_admin", "--sign", world.alice.key, "--yes", "--out")
    run_approve(world, world.alice, plan, *options, tmp_path / "usual")
    until = datetime.fromisoformat(approval_in(tmp_path / "usual")["spec"]["validUntil"])
    assert plan["spec"]["estimatedTotalDuration"] == "16m"
    assert until - datetime.fromisoformat(plan["spec"]["expiresAt"]) == timedelta(minutes=16)
    done = run_approve(world, world.alice, plan, "--valid-for", "5m", *options, tmp_path / "short")
    until = datetime.fromisoformat(approval_in(tmp_path / "short")["spec"]["validUntil"])
    assert abs(until - datetime.now(until.tzinfo) - timedelta(minutes=5)) < timedelta(seconds=30)
    assert "it may expire while the plan runs" in done.stdout


# On the cluster


def test_people_with_kubectl_approve_without_a_key(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    user = world.control_plane.kubeconfig_for_user("alice@example.com", ["sre", "oncall"])
    options = ("--role", "system_admin", "--apply", "--yes")
    done = run_approve(world, world.alice, plan, *options, user=user)
    assert done.returncode == 0, done.stderr
    assert "alice@example.com (the user that the API server sees)" in done.stdout
    scene.wait("one of two", lambda: scene.plan()["status"]["approvalCount"] == "1/2", 15)
    (said,) = scene.plan()["status"]["approvals"]
    assert said["verifiedBy"] == "Cluster"
    spec = (world.get("planapprovals", said["ref"]) or {})["spec"]
    assert sorted(spec["approverGroups"]) == ["oncall", "sre"]
    assert "signature" not in spec
    again = run_approve(world, world.alice, plan, *options, user=user)
    assert again.returncode == 0
    assert "it is there already" in again.stderr
    assert "and it counts" in again.stdout
    assert run_approve(world, world.bob, scene.plan(), "--apply", "--yes").returncode == 0
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)


def test_a_signed_approval_can_be_created_at_once(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    options = ("--role", "service_owner", "--sign", world.bob.key, "--apply", "--yes", "--reject")
    assert run_approve(world, world.bob, plan, *options).returncode == 0
    scene.wait("rejected", lambda: scene.plan_is("Rejected"), 15)
    assert scene.plan()["status"]["approvals"][0]["verifiedBy"] == "Signed"


def test_s8_a_role_that_is_not_held_is_refused(untouched: Scene) -> None:
    world = untouched.world
    done = run_approve(world, world.alice, untouched.plan(), "--role", "service_owner", "--apply", "--yes")
    assert done.returncode == 1
    assert "alice@example.com may not approve as service_owner" in done.stderr


def test_s8_nobody_approves_in_the_name_of_another(untouched: Scene) -> None:
    world = untouched.world
    options = ("--role", "system_admin", "--as", "bob@example.com", "--apply", "--yes")
    done = run_approve(world, world.alice, untouched.plan(), *options)
    assert done.returncode == 1
    assert "spec.approver must be alice@example.com" in done.stderr


# What is refused, and asked


def test_s8_a_digest_that_is_not_that_of_the_plan_is_not_signed(
    new_scene: Callable[..., Scene], tmp_path: Path
) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    # Whoever can write a status would have this digest signed. Only the operator can: let nobody contradict it.
    operator = world.control_plane.kubeconfig_for_service_account("bokgu-system", "bokgu")
    forged = copy.deepcopy(plan)
    forged["status"]["digest"] = "sha256:" + "0" * 64
    world.stop_operator()
    try:
        forged["metadata"]["resourceVersion"] = scene.plan()["metadata"]["resourceVersion"]
        world.control_plane.kubectl(
            "replace", "--subresource=status", "-f", "-", user=operator, input=json.dumps(forged)
        )
        options = ("--role", "system_admin", "--sign", world.alice.key, "--out", tmp_path, "--yes")
        done = run_approve(world, world.alice, plan, *options)
    finally:
        world.start_operator()
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "is not the one in its status (sha256:000000" in done.stderr


def test_the_role_must_be_said_while_several_are_missing(untouched: Scene) -> None:
    world = untouched.world
    done = run_approve(world, world.alice, untouched.plan(), "--apply", "--yes")
    assert done.returncode == 1
    assert "--role: system_admin, service_owner" in done.stderr


def test_nothing_is_written_without_a_yes(untouched: Scene, tmp_path: Path) -> None:
    world = untouched.world
    options = ("--role", "system_admin", "--sign", world.alice.key, "--out", tmp_path)
    done = run_approve(world, world.alice, untouched.plan(), *options, stdin="y\n")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "add --yes" in done.stderr
    assert "what would be done" in done.stdout


@pytest.mark.parametrize(("answer", "code", "files"), [(b"y\n", 0, 1), (b"\n", 1, 0), (b"n\n", 1, 0)])
def test_at_a_terminal_it_asks_before_it_signs(
    untouched: Scene, tmp_path: Path, answer: bytes, code: int, files: int
) -> None:
    world, plan = untouched.world, untouched.plan()
    options = ["--role", "system_admin", "--sign", str(world.alice.key), "--out", str(tmp_path)]
    command = bokgu_command("approve", plan["metadata"]["name"], "-n", NAMESPACE, *options)
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, command, person_environment(world, person=world.alice))
    said = read_until(terminal, b"[y/N]")
    assert b"\x1b[1m" in said
    assert b"Approve as system_admin? " in said
    assert list(tmp_path.iterdir()) == []
    os.write(terminal, answer)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == code
    assert len(list(tmp_path.iterdir())) == files


def test_without_a_place_the_manifest_is_all_of_standard_output(untouched: Scene) -> None:
    world = untouched.world
    options = ("--role", "system_admin", "--carried-by", "flux-system:kustomize-controller", "--yes", "-o", "json")
    done = run_approve(world, world.alice, untouched.plan(), *options)
    assert done.returncode == 0, done.stderr
    spec = yaml.safe_load(done.stdout)["spec"]
    assert spec["carriedBy"] == "system:serviceaccount:flux-system:kustomize-controller"
    assert (spec["approver"], "approverGroups" in spec) == ("alice@example.com", False)
    shown = json.loads(done.stderr)
    assert shown["plan"]["metadata"]["uid"] == untouched.plan()["metadata"]["uid"]
    assert shown["missing"] == ["system_admin", "service_owner"]


def test_a_plan_that_is_not_there_is_told(untouched: Scene) -> None:
    world = untouched.world
    done = run_approve(world, world.alice, {"metadata": {"name": "plan-9"}}, "--yes")
    assert (done.returncode, done.stderr) == (1, f"bokgu: there is no RecoveryPlan plan-9 in namespace {NAMESPACE}\n")


def test_what_may_not_be_read_is_told_and_the_rest_is_shown(untouched: Scene) -> None:
    world = untouched.world
    for kind, arguments in (("role", ("--verb=get", "--resource=recoveryplans.bokgu.dev")), ("rolebinding", ())):
        given = arguments or ("--role=only-plans", "--user=carol@example.com")
        world.control_plane.kubectl("create", kind, "only-plans", "-n", NAMESPACE, *given)
    user = world.control_plane.kubeconfig_for_user("carol@example.com")
    done = run_approve(world, world.alice, untouched.plan(), "--role", "service_owner", "--yes", user=user)
    assert done.returncode == 0, done.stderr
    for kind in ("Incident", "ProtectedService"):
        assert f"note      {kind} " in done.stderr
    assert "may not be read by this account" in done.stderr
    assert "Run 5 tasks instead of 3." in done.stderr


# Then and now


def test_the_difference_from_now_is_shown(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    show = ("--role", "system_admin", "--yes", "-o", "json")
    before = json.loads(run_approve(world, world.alice, plan, *show).stderr)
    assert {d["what"]: d["same"] for d in before["differences"]} == {
        "service revision": True,
        "service deployment": None,
        "desired count": True,
        "root cause": True,
    }
    assert not [w for w in before["warnings"] if "cancelled" in w]
    world.ecs.update_service(cluster=CLUSTER, service=scene.service, desiredCount=4)
    scene.wait("seen", lambda: world.status("protectedservices", scene.service)["service"]["desiredCount"] == 4, 15)
    world.apply(protected_service(scene.service, mode="Propose"))
    scene.wait("gate", lambda: "Mode" in [g["name"] for g in scene.plan()["status"]["gates"] if not g["passed"]], 15)
    after = json.loads(run_approve(world, world.alice, plan, *show).stderr)
    (changed,) = [d for d in after["differences"] if d["same"] is False]
    assert changed == {"what": "desired count", "then": "3", "now": "4", "same": False}
    assert [w for w in after["warnings"] if "desired count was 3, is 4): it will be cancelled" in w]
    assert [g["name"] for g in after["closedGates"]] == ["Mode"]
