"""`bokgu` as people run it on the real API server, and kubectl beside it."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bokgu.api.incident import Incident
from bokgu.kube.client import KubeClient
from tests.unit.test_approve_command import read_until
from tests.world.command import Answer, bokgu_command, person_environment, run_bokgu
from tests.world.manifests import NAMESPACE, protected_service
from tests.world.scene import Scene
from tests.world.world import World, wait_for


@pytest.fixture(scope="module")
def waiting(world: World) -> Scene:
    """A service in a surge, whose plan awaits approval. Tests that use it must leave it so."""
    scene = Scene(world, "awaited")
    scene.begin()
    scene.surge()
    return scene


@pytest.fixture
def bystander(world: World) -> Iterator[Path]:
    """Carol, who may read everything and decide nothing."""
    user = world.control_plane.kubeconfig_for_user("carol@example.com")
    binding = ("rolebinding", "carol-reads", "-n", NAMESPACE)
    world.control_plane.kubectl("create", *binding, "--clusterrole=bokgu-approver", "--user=carol@example.com")
    yield user
    world.control_plane.kubectl("delete", *binding)


def alice(world: World) -> Path:
    return world.control_plane.kubeconfig_for_user(world.alice.name)


def told(answer: Answer) -> Any:
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def entry(scene: Scene, *, user: Path | None = None) -> dict[str, Any]:
    """What `bokgu status` says of the scene's newest incident; empty where that is not open."""
    name = scene.incident()["metadata"]["name"]
    found = told(run_bokgu(scene.world, "status", "-n", NAMESPACE, "-o", "json", user=user))["incidents"]
    return next((one for one in found if one["name"] == name), {})


# Looking


def test_status_says_what_waits_for_whom_and_until_when(waiting: Scene, bystander: Path) -> None:
    plan, incident = waiting.plan(), waiting.incident()["metadata"]["name"]
    one = entry(waiting, user=bystander)
    assert (one["phase"], one["service"], one["plan"]) == ("AwaitingApproval", "awaited", plan["metadata"]["name"])
    assert one["waitsFor"]["whom"] == ["system_admin", "service_owner"]
    assert one["waitsFor"]["until"] == plan["spec"]["expiresAt"]
    assert plan["spec"]["ifNothingIsDone"] in one["waitsFor"]["then"]
    for words in (("-n", NAMESPACE), ("-A",)):
        text = run_bokgu(waiting.world, "status", *words).stdout
        (row,) = [line for line in text.splitlines() if f"{NAMESPACE}/{incident}" in line]
        assert re.search(r"system_admin, service_owner: approval of plan \S+, \d+[hm]", row)
    assert yaml.safe_load(run_bokgu(waiting.world, "status", "-n", NAMESPACE, "-o", "yaml").stdout)["incidents"]


def test_a_namespace_in_which_all_is_well_says_so(world: World) -> None:
    assert run_bokgu(world, "status", "-n", "kube-public").stdout == "no open incidents\n"


def test_who_may_not_read_is_told_what_to_ask_for(world: World) -> None:
    nobody = world.control_plane.kubeconfig_for_user("nobody@example.com")
    answer = run_bokgu(world, "status", "-n", NAMESPACE, user=nobody)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "ClusterRole bokgu-viewer" in answer.stderr


def test_explain_tells_cause_plan_and_what_to_do(waiting: Scene, bystander: Path) -> None:
    incident, plan = waiting.incident(), waiting.plan()
    name = incident["metadata"]["name"]
    found = told(run_bokgu(waiting.world, "explain", name, "-n", NAMESPACE, "-o", "json", user=bystander))
    assert found["classification"]["evidence"] == incident["status"]["classification"]["evidence"]
    assert found["plan"]["because"] == plan["spec"]["chosenBecause"]
    assert [step["phase"] for step in found["plan"]["steps"]] == ["Pending"] * len(plan["spec"]["steps"])
    assert found["notes"] == []
    text = " ".join(run_bokgu(waiting.world, "explain", name, "-n", NAMESPACE).stdout.split())
    for item in incident["status"]["classification"]["evidence"]:
        assert f"{item['source']}: {' '.join(item['fact'].split())}" in text
    assert f"bokgu approve {plan['metadata']['name']} -n {NAMESPACE} --role system_admin --apply" in text


def test_an_incident_that_is_not_there_is_told_and_where_to_look(world: World) -> None:
    answer = run_bokgu(world, "explain", "api-9", "-n", NAMESPACE)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"there is no Incident api-9 in namespace {NAMESPACE}: `bokgu status -A`" in answer.stderr


def test_what_is_advised_is_what_bokgu_understands(waiting: Scene) -> None:
    from bokgu.__main__ import build_parser

    for advice in entry(waiting)["waitsFor"]["advice"]:
        build_parser().parse_args(advice.partition("  #")[0].split()[1:])


# A plugin of kubectl


@pytest.fixture
def plugin(world: World, tmp_path: Path) -> Callable[..., Answer]:
    """kubectl with bokgu's programs beside it, as pip installs them."""
    for name, function in (("kubectl-bokgu", "main"), ("kubectl_complete-bokgu", "complete_for_kubectl")):
        program = tmp_path / name
        program.write_text(
            f"#!{sys.executable}\nimport sys\nfrom bokgu.__main__ import {function}\nsys.exit({function}())\n"
        )
        program.chmod(0o755)

    def kubectl(*words: str) -> Answer:
        env = person_environment(world)
        env["PATH"] = f"{tmp_path}{os.pathsep}{env['PATH']}"
        command = [str(world.control_plane.programs.kubectl), *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    return kubectl


def test_kubectl_finds_bokgu_and_completes_it(waiting: Scene, plugin: Callable[..., Answer]) -> None:
    name = waiting.incident()["metadata"]["name"]
    answer = plugin("bokgu", "status", "-n", NAMESPACE)
    assert (answer.returncode, f"{NAMESPACE}/{name}" in answer.stdout) == (0, True), answer.stderr
    assert plugin("bokgu", "status", "--help").stdout.startswith("usage: kubectl bokgu status")
    assert plugin("bokgu", "explain", "none", "-n", NAMESPACE).returncode == 1
    completed = plugin("__complete", "bokgu", "explain", "-n", NAMESPACE, name[:9])
    assert name in completed.stdout.splitlines(), completed.stderr
    assert ":4" in completed.stdout.splitlines()


# Watching


def test_watch_prints_a_line_for_every_change_until_ctrl_c(new_scene: Callable[..., Scene], tmp_path: Path) -> None:
    scene = new_scene()
    log = tmp_path / "changes"
    command = bokgu_command("watch", "-n", NAMESPACE, "--every", "1s")
    with log.open("w") as out:
        child = subprocess.Popen(command, env=person_environment(scene.world), stdout=out, stderr=subprocess.PIPE)
    try:
        scene.surge()
        name = scene.incident()["metadata"]["name"]

        def lines() -> list[str]:
            return [line for line in log.read_text().splitlines() if f"{NAMESPACE}/{name}: " in line]

        scene.wait("it is told", lambda: any("AwaitingApproval" in line for line in lines()), 15)
        scene.approve(scene.plan())
        scene.wait("its end is told", lambda: any("Resolved (Recovered)" in line for line in lines()), 60)
    finally:
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=20)
    assert (child.returncode, error) == (130, b"")
    found = lines()
    asked = next(line for line in found if "waits for system_admin, service_owner: approval of plan" in line)
    assert found[-1].endswith(f"{NAMESPACE}/{name}: Resolved (Recovered)")
    assert any("Recovering" in line or "Verifying" in line for line in found[found.index(asked) :])
    assert len(found) == len({line.partition(" ")[2] for line in found}), "the same is told once"


def test_watch_on_a_terminal_is_live_and_gives_it_back(waiting: Scene) -> None:
    name = waiting.incident()["metadata"]["name"]
    child, terminal = pty.fork()
    if child == 0:
        command = bokgu_command("watch", "-n", NAMESPACE)
        os.execve(sys.executable, command, {**person_environment(waiting.world), "COLUMNS": "200", "LINES": "50"})
    try:
        said = read_until(terminal, b"Ctrl-C ends")
        assert name.encode() in said
        os.write(terminal, b"\x03")
        said += read_until(terminal, b"\x1b[?25h")
        assert said.count(b"\x1b[?25l") == said.count(b"\x1b[?25h"), "the cursor is back"
        assert b"Traceback" not in said
    finally:
        deadline, status = time.monotonic() + 20, None
        while status is None and time.monotonic() < deadline:
            ended, code = os.waitpid(child, os.WNOHANG)
            status = code if ended else None
            time.sleep(0.05)
        if status is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(terminal)
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == 130


# Stopping


def test_reject_ends_a_plan_as_the_role_that_is_held(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    plan = scene.surge()["metadata"]["name"]
    words = ("reject", plan, "-n", NAMESPACE, "--reason", "the sale ends at noon", "--apply", "--yes")
    bob = scene.world.control_plane.kubeconfig_for_user(scene.world.bob.name)
    answer = run_bokgu(scene.world, *words, user=bob)
    assert answer.returncode == 0, answer.stderr
    assert "Reject as service_owner, in the name of bob@example.com" in answer.stdout
    scene.wait("rejected", lambda: scene.plan_is("Rejected"), 15)
    assert scene.updates() == []
    scene.wait("it is a person's", lambda: scene.incident_is("Escalated"), 15)
    assert entry(scene)["waitsFor"]["whom"] == ["a person"]
    again = run_bokgu(scene.world, *words, user=bob)
    assert (again.returncode, "the plan is over (Rejected)" in again.stderr) == (1, True)


def test_a_reject_is_signed_as_an_approval_is(waiting: Scene, tmp_path: Path) -> None:
    world = waiting.world
    plan = waiting.plan()["metadata"]["name"]
    sign = ("--role", "system_admin", "--sign", str(world.alice.key), "--as", world.alice.name)
    answer = run_bokgu(
        world, "reject", plan, "-n", NAMESPACE, *sign, "--out", str(tmp_path), "--yes", user=alice(world)
    )
    assert answer.returncode == 0, answer.stderr
    (file,) = tmp_path.glob("*.yaml")
    spec = yaml.safe_load(file.read_text())["spec"]
    assert (spec["decision"], spec["role"], spec["approver"]) == ("Reject", "system_admin", "alice@example.com")
    assert spec["signature"].startswith("-----BEGIN SSH SIGNATURE-----")


def test_cancel_stops_a_plan_in_the_middle_of_a_step(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    plan = scene.surge()
    scene.approve(plan)
    scene.wait("it is sent", lambda: bool(scene.updates()), 30)
    name = plan["metadata"]["name"]
    words = ("cancel", name, "-n", NAMESPACE, "--yes", "-o", "json")
    answer = run_bokgu(scene.world, *words, user=alice(scene.world))
    assert answer.returncode == 0, answer.stderr
    assert "the plan runs: a Reject stops it, and undoes what can be undone" in " ".join(answer.stderr.split())
    assert "created PlanApproval" in answer.stderr
    done = json.loads(answer.stdout)
    assert done == {
        "namespace": NAMESPACE,
        "plan": name,
        "done": "Rejected",
        "changed": True,
        "planApproval": done["planApproval"],
        "role": "system_admin",
        "approver": "alice@example.com",
    }
    assert scene.world.get("planapprovals", done["planApproval"])
    scene.wait("it is over", lambda: bool(scene.plan()["status"].get("finishedAt")), 40)
    status = scene.plan()["status"]
    assert status["phase"] != "Completed"
    (said,) = [one for one in status["approvals"] if one["decision"] == "Reject"]
    assert (said["approver"], said["role"], said["verifiedBy"]) == ("alice@example.com", "system_admin", "Cluster")


def test_who_holds_no_role_cancels_nothing(waiting: Scene, bystander: Path) -> None:
    plan = waiting.plan()["metadata"]["name"]
    answer = run_bokgu(waiting.world, "cancel", plan, "-n", NAMESPACE, "--yes", user=bystander)
    assert answer.returncode == 1
    assert "you hold none of the roles of the plan (system_admin, service_owner)" in answer.stderr
    held = run_bokgu(waiting.world, "cancel", plan, "-n", NAMESPACE, "--hold", "--yes", user=bystander)
    assert (held.returncode, "403 Forbidden" in held.stderr) == (1, True)
    assert waiting.plan_is("AwaitingApproval")


def test_nothing_is_cancelled_without_a_yes(waiting: Scene) -> None:
    plan = waiting.plan()["metadata"]["name"]
    for words in (("cancel", plan), ("cancel", plan, "--hold")):
        answer = run_bokgu(waiting.world, *words, "-n", NAMESPACE, stdin="y\n")
        assert (answer.returncode, "add --yes" in answer.stderr) == (1, True)
    assert waiting.plan_is("AwaitingApproval")
    assert "suspend" not in waiting.plan()["spec"]


def test_a_plan_that_is_held_goes_on_when_it_is_released(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    name = plan["metadata"]["name"]
    answer = run_bokgu(world, "cancel", name, "-n", NAMESPACE, "--hold", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert "does not begin while it is held" in answer.stdout
    assert "already: nothing to do" in run_bokgu(world, "cancel", name, "-n", NAMESPACE, "--hold", "--yes").stdout
    scene.approve(plan)
    scene.wait("approved, and held", lambda: scene.plan()["status"].get("reason") == "Suspended", 20)
    waits = entry(scene)["waitsFor"]
    assert (waits["whom"], waits["what"]) == (["a person"], f"plan {name}, held by spec.suspend of the plan")
    assert scene.updates() == []
    released = run_bokgu(world, "cancel", name, "-n", NAMESPACE, "--release", "--yes", "-o", "yaml")
    assert yaml.safe_load(released.stdout) == {
        "namespace": NAMESPACE,
        "plan": name,
        "done": "Released",
        "changed": True,
    }
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    over = run_bokgu(world, "cancel", name, "-n", NAMESPACE, "--hold", "--yes")
    assert (over.returncode, "the plan is over (Completed)" in over.stderr) == (1, True)


# The past


def replayed(scene: Scene, *, user: Path | None = None) -> dict[str, Any]:
    """What `bokgu replay` says of the one incident of the scene; empty where it says nothing."""
    words = ("replay", "-n", NAMESPACE, "--service", scene.service, "--since", "1d", "-o", "json")
    found = told(run_bokgu(scene.world, *words, user=user))
    assert found["summary"]["incidents"] == len(found["incidents"])
    return {**next(iter(found["incidents"]), {}), "notes": found["notes"]}


def test_replay_tells_then_and_now_from_the_cluster_and_from_the_history(
    new_scene: Callable[..., Scene], bystander: Path
) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    assert "verdict" not in replayed(scene), "it is not over"
    scene.approve(plan)
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
    name, runbook = scene.incident()["metadata"]["name"], plan["spec"]["runbookRef"]["name"]

    one = replayed(scene, user=bystander)
    assert (one["name"], one["from"], one["verdict"]) == (name, "cluster", "Agreed")
    assert (one["then"]["plan"]["runbook"], one["now"]["runbook"]) == (runbook, runbook)
    assert one["then"]["outcome"] == "Recovered"

    world.apply(protected_service(scene.service, allowedActions=["rollback_to_previous_version"]))
    changed = replayed(scene)
    assert (changed["verdict"], changed["now"]["noPlan"]["reason"]) == ("Worse", "ActionNotAllowed")
    text = run_bokgu(world, "replay", "-n", NAMESPACE, "--service", scene.service).stdout
    assert f"worse       {NAMESPACE}/{name}" in text

    def recorded() -> bool:
        return bool(world.condition("incidents", name, "Recorded").get("status") == "True")

    scene.wait("its history is stored", recorded, 20)
    world.control_plane.kubectl("delete", "incident", name, "-n", NAMESPACE)
    kept = replayed(scene)
    assert (kept["name"], kept["from"], kept["notes"]) == (name, "history", [])
    assert kept["then"] == changed["then"]


# kubectl alone


def shown(world: World, *words: str) -> dict[str, str]:
    """What `kubectl get` prints of one object, by the headings of its columns."""
    header, row = world.control_plane.kubectl("get", *words, "-n", NAMESPACE).stdout.splitlines()
    names = re.findall(r"\S+", header)
    begins = [header.index(f"{name} ") if name != names[-1] else header.rindex(name) for name in names]
    ends = [*begins[1:], None]
    return {name: row[begin:end].strip() for name, begin, end in zip(names, begins, ends, strict=True)}


def test_kubectl_get_shows_what_people_look_for(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    name, incident = scene.incident()["metadata"]["name"], scene.incident()
    usual = shown(world, "incident", name)
    assert list(usual) == ["NAME", "SEVERITY", "TYPE", "SERVICE", "PHASE", "CAUSE", "PLAN", "AGE"]
    assert (usual["SERVICE"], usual["PHASE"], usual["PLAN"]) == (
        scene.service,
        "AwaitingApproval",
        plan["metadata"]["name"],
    )
    assert usual["CAUSE"] == incident["status"]["classification"]["rootCause"]
    wide = shown(world, "incident", name, "-o", "wide")
    assert list(wide) == [*usual, "PRIORITY", "BLOCKED", "COUNT", "ETA"]
    assert (wide["BLOCKED"], wide["COUNT"]) == ("", "1"), "missing approvals are told by the phase"
    of_plan = shown(world, "recoveryplan", plan["metadata"]["name"])
    assert list(of_plan) == ["NAME", "INCIDENT", "STEP", "APPROVALS", "PHASE", "REASON", "AGE"]

    run_bokgu(world, "cancel", plan["metadata"]["name"], "-n", NAMESPACE, "--hold", "--yes")
    scene.approve(plan)  # What comes after the approvals is asked once they are there.
    wait_for(
        lambda: shown(world, "incident", name, "-o", "wide")["BLOCKED"] == "Suspended", 15, world.operator_log_tail
    )
    run_bokgu(world, "cancel", plan["metadata"]["name"], "-n", NAMESPACE, "--release", "--yes")
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
    assert scene.incident()["status"]["reason"] == "Recovered"
    assert shown(world, "incident", name, "-o", "wide")["BLOCKED"] == ""


def test_an_incident_reads_as_a_story_and_can_be_waited_for(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    name = scene.incident()["metadata"]["name"]
    early = world.control_plane.kubectl(
        "wait", "--for=condition=Resolved", f"incident/{name}", "-n", NAMESPACE, "--timeout=1s", check=False
    )
    assert (early.returncode, "timed out" in early.stderr) == (1, True)
    scene.approve(plan)
    for_it = ("wait", "--for=condition=Resolved", f"incident/{name}", "-n", NAMESPACE, "--timeout=60s")
    assert "condition met" in world.control_plane.kubectl(*for_it).stdout
    story = world.control_plane.kubectl("describe", "incident", name, "-n", NAMESPACE).stdout
    told_by = ["Detected", "Classified", "Planned", "Approved", "RecoveryStarted", "StepCompleted", "PlanCompleted"]
    timeline = story.partition("  Timeline:\n")[2].partition("\nEvents:")[0]
    happened = re.findall(r"Event: +(\w+)\n", timeline)
    places = [happened.index(event) for event in [*told_by, "Resolved"]]
    assert places == sorted(places)
    conditions = story.partition("  Conditions:\n")[2]
    for type_ in ("Classified", "Planned", "Mitigated", "Verified", "Blocked", "Resolved"):
        assert re.search(rf"Type: +{type_}\n", conditions)
    known = scene.incident()["status"]["classification"]
    cause = f"{known['rootCause']} ({known['confidence']} confidence): "
    for said in (cause, "the trouble has been gone since ", "that was verified worked"):
        assert said in " ".join(conditions.split())
    wait_for(lambda: "Resolved" in _events(world, name), 10, lambda: _events(world, name))
    events = _events(world, name)
    for event in (*told_by, "Resolved"):
        assert event in events, events
    assert scene.plan()["metadata"]["name"] in events


def _events(world: World, incident: str) -> str:
    """What `kubectl describe` shows at its end."""
    story = world.control_plane.kubectl("describe", "incident", incident, "-n", NAMESPACE).stdout
    return story.partition("\nEvents:")[2]


def test_the_same_words_again_are_counted_on_one_event(waiting: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the operator itself may do it, by its own account."""
    about = Incident.model_validate(waiting.incident())
    monkeypatch.setenv("KUBECONFIG", str(waiting.world.operator_kubeconfig()))

    async def tell(*notes: str) -> None:
        kube = await KubeClient.connect()
        try:
            for note in notes:
                now = datetime.now(UTC)
                await kube.create_event(
                    about, reason="Recurred", note=note, warning=True, instance="a test", at=now, series=True
                )
        finally:
            await kube.close()

    asyncio.run(tell("once", "again", "again", "again"))
    answer = waiting.world.control_plane.kubectl("get", "events.events.k8s.io", "-n", NAMESPACE, "-o", "json").stdout
    mine = [e for e in json.loads(answer)["items"] if e["regarding"].get("uid") == about.metadata.uid]
    counts = {e["note"]: (e.get("series") or {}).get("count") for e in mine if e["reason"] == "Recurred"}
    assert counts == {"once": None, "again": 3}


def test_incidents_and_plans_are_selected_by_their_fields(waiting: Scene) -> None:
    incident, plan = waiting.incident(), waiting.plan()
    spec = incident["spec"]
    mine = f"spec.serviceRef.name={waiting.service}"

    def select(plural: str, *terms: str) -> list[str]:
        fields = ",".join((mine, *terms))
        get = ("get", plural, "-n", NAMESPACE, "--field-selector", fields, "-o", "name")
        return waiting.world.control_plane.kubectl(*get).stdout.split()

    found = [f"incident.bokgu.dev/{incident['metadata']['name']}"]
    assert select("incidents") == found
    for term in (f"spec.severity={spec['severity']}", f"spec.type={spec['type']}", "status.phase=AwaitingApproval"):
        assert select("incidents", term) == found
        assert select("incidents", term.replace("=", "!=")) == []
    assert select("recoveryplans", "status.phase=AwaitingApproval") == [
        f"recoveryplan.bokgu.dev/{plan['metadata']['name']}"
    ]
    assert select("recoveryplans", f"spec.incidentRef.name!={incident['metadata']['name']}") == []
