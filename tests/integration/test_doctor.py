"""`bokgu doctor` on the real API server and the AWS simulator, as people and as the operator run it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bokgu.api.crds import KINDS
from bokgu.commands.doctor import SOMETHING_FAILED
from tests.world.command import Answer, run_bokgu
from tests.world.manifests import NAMESPACE
from tests.world.scene import Scene
from tests.world.world import OPERATOR_SETTINGS, World

Checks = Mapping[tuple[str, str], Mapping[str, str]]


def settings(world: World, **more: str) -> dict[str, str]:
    """The operator's settings and credentials, whoever uses them."""
    return {
        "AWS_ACCESS_KEY_ID": "operator",
        "AWS_SECRET_ACCESS_KEY": "simulated",
        "AWS_EC2_METADATA_DISABLED": "true",
        "BOKGU_AWS_ENDPOINT_URL": world.aws_url,
        **OPERATOR_SETTINGS,
        **more,
    }


def doctor(world: World, *words: str, user: Path | None = None, **more: str) -> Answer:
    return run_bokgu(world, "doctor", "-n", NAMESPACE, *words, user=user, settings=settings(world, **more))


def checks(answer: Answer) -> Checks:
    assert answer.stdout, answer.stderr
    return {(one["check"], one["subject"]): one for one in json.loads(answer.stdout)["checks"]}


def levels(found: Checks, check: str) -> set[str]:
    return {one["level"] for (name, _), one in found.items() if name == check}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One of its own: what doctor tells of quotas and rights is not to be what another test has left."""
    with World(tmp_path_factory.mktemp("doctor")) as running:
        yield running


@pytest.fixture(scope="module")
def looked(world: World) -> tuple[Scene, Checks]:
    """A service of its own, and what an administrator is told."""
    scene = Scene(world, "examined")
    scene.protect(detection={"relapseWatch": "2s", "presets": ["ecs-cpu"], "period": "1s"})
    scene.wait("the detector sees it", lambda: scene.detector_says("Clear"), 60)
    answer = doctor(world, "-o", "json")
    assert answer.returncode in {0, SOMETHING_FAILED}, answer.stderr
    return scene, checks(answer)


def test_the_crds_that_the_api_server_stores_are_those_of_this_version(looked: tuple[Scene, Checks]) -> None:
    _, found = looked
    crds = {subject: one for (check, subject), one in found.items() if check == "crds"}
    assert {subject: one["level"] for subject, one in crds.items()} == {kind.kind_name: "ok" for kind in KINDS}, crds


def test_what_the_chart_installs_is_whole(looked: tuple[Scene, Checks]) -> None:
    _, found = looked
    for check in ("cluster", "admission", "rights"):
        told = {subject: one for (name, subject), one in found.items() if name == check}
        assert levels(found, check) == {"ok"}, told
    assert {subject for check, subject in found if check == "admission"} == {
        *("bokgu-status", "bokgu-plan-approvals", "bokgu-history")
    }


def test_service_detector_clock_and_history_are_looked_at_live(looked: tuple[Scene, Checks]) -> None:
    scene, found = looked
    name = f"{NAMESPACE}/{scene.service}"
    assert found["services", name]["message"] == "ACTIVE, 3/3 tasks run"
    assert found["metrics", f"Detector {name}-errors"]["level"] == "ok", found
    assert found["metrics", f"Preset {name}"]["level"] == "ok", found
    assert "123456789012" in found["aws", "own identity in us-east-1"]["message"]
    assert levels(found, "clock") == {"ok"}
    assert found["history", f"ConfigMaps of {NAMESPACE}"]["level"] == "ok"
    assert "USD a month" in found["cost", "own identity in us-east-1"]["message"]


def test_what_aws_refuses_comes_with_what_to_do(looked: tuple[Scene, Checks]) -> None:
    scene, _ = looked
    fault = scene.world.simulator.deny("GetCallerIdentity", count=100)  # The operator never asks that.
    try:
        answer = doctor(scene.world, "-o", "json")
    finally:
        scene.world.simulator.remove_fault(fault)
    one = checks(answer)["aws", "own identity in us-east-1"]
    assert (answer.returncode, one["level"]) == (SOMETHING_FAILED, "failed")
    assert "bokgu iam-policy -A --for own" in one["hint"]


def test_without_aws_the_cluster_is_looked_at_all_the_same(looked: tuple[Scene, Checks]) -> None:
    scene, _ = looked
    answer = doctor(scene.world, "-o", "json", BOKGU_AWS_ENDPOINT_URL="http://127.0.0.1:1")
    found = checks(answer)
    assert answer.returncode == SOMETHING_FAILED
    assert found["aws", "own identity in us-east-1"]["level"] == "failed"
    assert found["services", f"{NAMESPACE}/{scene.service}"]["level"] == "warning"
    assert levels(found, "crds") == {"ok"}


def test_what_a_person_may_not_read_is_no_failure(looked: tuple[Scene, Checks]) -> None:
    scene, _ = looked
    world = scene.world
    reader = world.control_plane.kubeconfig_for_user("dora@example.com")
    binding = ("rolebinding", "dora-reads", "-n", NAMESPACE)
    world.control_plane.kubectl("create", *binding, "--clusterrole=bokgu-approver", "--user=dora@example.com")
    try:
        found = checks(doctor(world, "-o", "json", user=reader))
    finally:
        world.control_plane.kubectl("delete", *binding)
    for check in ("rights", "admission"):
        assert levels(found, check) == {"warning"}, check
    assert levels(found, "crds") <= {"ok", "warning"}
    assert found["services", f"{NAMESPACE}/{scene.service}"]["level"] == "ok"


def test_the_operators_own_account_asks_about_itself(looked: tuple[Scene, Checks]) -> None:
    scene, _ = looked
    own = scene.world.operator_kubeconfig()
    found = checks(doctor(scene.world, "-o", "json", user=own))
    assert levels(found, "rights") == {"ok"}
    assert found["history", f"ConfigMaps of {NAMESPACE}"]["level"] == "ok"


def test_people_read_a_table(looked: tuple[Scene, Checks]) -> None:
    scene, _ = looked
    text = doctor(scene.world).stdout
    assert text.splitlines()[0].split() == ["RESULT", "CHECK", "ABOUT", "FOUND"]
    assert "\x1b" not in text
    assert " ok" in text.splitlines()[-1]


USER = "arn:aws:iam::123456789012:user/simulator"
"""Whom these tests' keys belong to."""


@pytest.fixture
def policy(looked: tuple[Scene, Checks]) -> Iterator[dict[str, Any]]:
    """The policy that `bokgu iam-policy` prints for the operator itself, with what lets one ask IAM about oneself."""
    scene, _ = looked
    words = ("iam-policy", "-n", NAMESPACE, "--for", "own", "--account", "123456789012")
    answer = run_bokgu(scene.world, *words, settings=settings(scene.world))
    assert answer.returncode == 0, answer.stderr
    printed: dict[str, Any] = json.loads(answer.stdout)
    ask = {"Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy"], "Resource": [USER]}
    yield {**printed, "Statement": [*printed["Statement"], ask]}
    scene.world.simulator.attach_policy(USER, None)


def permissions(scene: Scene, policy: Mapping[str, Any]) -> Mapping[str, str]:
    scene.world.simulator.attach_policy(USER, dict(policy))
    return checks(doctor(scene.world, "-o", "json"))["permissions", "own identity"]


def test_the_policy_that_is_printed_is_enough(looked: tuple[Scene, Checks], policy: dict[str, Any]) -> None:
    scene, _ = looked
    before = len(scene.world.simulator.calls("UpdateService"))
    found = permissions(scene, policy)
    assert found["level"] == "ok", found
    assert found["message"].endswith(f"actions are allowed to {USER}")
    assert len(scene.world.simulator.calls("UpdateService")) == before, "nothing is tried"


def test_a_write_that_aws_would_refuse_is_told_before_an_incident(
    looked: tuple[Scene, Checks], policy: dict[str, Any]
) -> None:
    scene, _ = looked
    narrowed = [
        {**statement, "Action": [action for action in statement["Action"] if action != "ecs:UpdateService"]}
        for statement in policy["Statement"]
    ]
    found = permissions(scene, {**policy, "Statement": narrowed})
    assert found["level"] == "failed"
    assert f"{USER} may not ecs:UpdateService on arn:aws:ecs:us-east-1:123456789012:service/" in found["message"]
    assert "bokgu iam-policy -A --for own" in found["hint"]


def test_who_may_not_ask_iam_is_told_how(looked: tuple[Scene, Checks], policy: dict[str, Any]) -> None:
    scene, _ = looked
    found = permissions(scene, {**policy, "Statement": policy["Statement"][:-1]})
    assert found["level"] == "warning"
    assert f"allow iam:SimulatePrincipalPolicy on {USER}" in found["hint"]
