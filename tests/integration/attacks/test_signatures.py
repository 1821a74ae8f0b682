"""Signed approvals that must not count, whatever is copied, forged or listed (S8)."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bokgu.api.vocabulary import Decision
from bokgu.core.approval.digest import plan_digest
from bokgu.core.approval.statement import approval_statement
from tests.integration.attacks.tools import (
    altered,
    bind,
    by_hand,
    create,
    delete,
    judged,
    objects,
    reason_of,
    said,
    signer_lines,
    signers,
    untouched,
    wait_judged,
    wait_plan,
)
from tests.world.manifests import NAMESPACE
from tests.world.scene import Scene
from tests.world.world import wait_for

ALICE, BOB = "alice@example.com", "bob@example.com"
Raw = dict[str, Any]


def by_alice(scene: Scene, **changes: Any) -> Raw:
    approval = scene.world.alice.approve(scene.plan(), "system_admin")
    return altered(approval, **changes) if changes else approval


# Keys


def test_s8_key_of_another_does_not_count(besieged: Scene) -> None:
    forged = besieged.world.mallory.approve(besieged.plan(), "system_admin", approver=ALICE)
    assert reason_of(besieged, forged) == "InvalidSignature"


def test_s8_unlisted_key_does_not_count_even_for_a_role_that_is_held(besieged: Scene) -> None:
    mallory = besieged.world.mallory
    with objects(besieged.world, *bind(mallory.name, "system_admin")):
        assert reason_of(besieged, mallory.approve(besieged.plan(), "system_admin")) == "InvalidSignature"


def moment(ahead: timedelta) -> str:
    return (datetime.now(UTC) + ahead).strftime("%Y%m%d%H%M%SZ")


@pytest.mark.parametrize(
    ("option", "ahead"), [("valid-before", -timedelta(minutes=1)), ("valid-after", timedelta(minutes=10))]
)
def test_s8_key_that_is_not_valid_now_does_not_count(besieged: Scene, option: str, ahead: timedelta) -> None:
    world = besieged.world
    line = f'{world.mallory.name} {option}="{moment(ahead)}" {world.mallory.public_key}'
    with (
        objects(world, *bind(world.mallory.name, "system_admin")),
        signers(world, allowed_signers=signer_lines(world, line)),
    ):
        assert reason_of(besieged, world.mallory.approve(besieged.plan(), "system_admin")) == "InvalidSignature"


def test_s8_revoked_key_does_not_count_any_more(besieged: Scene) -> None:
    approval = by_alice(besieged)
    with said(besieged, approval) as (before,):
        assert before == "Accepted"
        with signers(besieged.world, revoked=besieged.world.alice.public_key + "\n"):
            assert wait_judged(besieged, approval["metadata"]["name"], "InvalidSignature") == "InvalidSignature"
            besieged.wait("not counted", lambda: besieged.plan()["status"]["approvalCount"] == "0/2", 15)


@pytest.mark.parametrize("data", [{"allowed_signers": "alice@example.com ssh-ed25519 AAAA"}, {"revoked": "garbage"}])
def test_s6_signers_that_cannot_be_read_trust_nobody(besieged: Scene, data: dict[str, str]) -> None:
    with signers(besieged.world, **data):
        assert reason_of(besieged, by_alice(besieged)) == "SignersUnreadable"


# Words


@pytest.mark.parametrize(
    ("role", "decision", "spec"),
    [
        ("system_admin", Decision.APPROVE, {"role": "service_owner"}),
        ("system_admin", Decision.APPROVE, {"validUntil": "2099-01-01T00:00:00Z"}),
        ("system_admin", Decision.REJECT, {"decision": "Approve"}),
        ("system_admin", Decision.APPROVE, {"decision": "Reject"}),
        ("system_admin", Decision.APPROVE, {"approver": BOB}),
    ],
    ids=["role", "validUntil", "Reject to Approve", "Approve to Reject", "approver"],
)
def test_s8_signature_copied_onto_other_words_does_not_count(
    besieged: Scene, role: str, decision: Decision, spec: Raw
) -> None:
    copied = altered(besieged.world.alice.approve(besieged.plan(), role, decision), **spec)
    assert reason_of(besieged, copied) == "InvalidSignature"


NAMES = {
    "capital": "Alice@example.com",
    "Cyrillic": "\u0430lice@example.com",
    "full width": "alice\uff20example.com",
    "trailing space": "alice@example.com ",
    "pattern": "*",
    "comma": "alice@example.com,bob@example.com",
}
UNSEEN = {
    "no-break": "alice\u2060@example.com",
    "right to left": "\u202ealice@example.com",
    "NUL": "alice@example.com\u0000",
    "second line": "alice@example.com\nrole: service_owner",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_s8_name_that_only_looks_like_the_signers_does_not_count(besieged: Scene, name: str) -> None:
    assert reason_of(besieged, by_alice(besieged, approver=name)) == "InvalidSignature"


@pytest.mark.parametrize("name", UNSEEN.values(), ids=UNSEEN)
def test_s8_name_with_what_cannot_be_seen_is_refused_at_admission(besieged: Scene, name: str) -> None:
    refused = create(besieged.world, by_alice(besieged, approver=name), besieged.world.gitops, check=False)
    assert "spec.approver in body should match" in refused.stderr
    assert untouched(besieged)


def test_s8_signature_for_another_purpose_does_not_count(besieged: Scene) -> None:
    approval = by_alice(besieged)
    spec = approval["spec"]
    until = datetime.fromisoformat(spec["validUntil"])
    statement = approval_statement(spec["planDigest"], spec["role"], Decision.APPROVE, until)
    other = altered(approval, signature=besieged.world.alice.sign(statement, namespace="git"))
    assert reason_of(besieged, other) == "InvalidSignature"


# Plans


def test_s8_digest_of_another_plan_does_not_count(besieged: Scene) -> None:
    plan = besieged.plan()
    other = {**plan, "status": {**plan["status"], "digest": "sha256:" + "0" * 64}}
    assert reason_of(besieged, besieged.world.alice.approve(other, "system_admin")) == "DigestMismatch"


def test_s8_approval_of_the_same_plan_in_another_cluster_does_not_count(besieged: Scene) -> None:
    plan = besieged.plan()
    other = {**plan, "status": {**plan["status"], "digest": plan_digest("another-cluster", plan)}}
    assert plan_digest(plan["status"]["clusterID"], plan) == plan["status"]["digest"]
    assert reason_of(besieged, besieged.world.alice.approve(other, "system_admin")) == "DigestMismatch"


def test_s8_approval_of_the_same_plan_in_another_namespace_does_not_count(besieged: Scene) -> None:
    """Word for word, under the same name, with an incident of the same uid."""
    world, plan = besieged.world, besieged.plan()
    name = plan["metadata"]["name"]
    copy = by_hand(name, plan)
    copy["spec"], copy["metadata"]["namespace"] = plan["spec"], "elsewhere"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}}
    world.apply(namespace, copy)
    approval = world.alice.approve(plan, "system_admin")
    approval["metadata"]["namespace"] = "elsewhere"
    create(world, approval)
    try:
        wait_for(lambda: judged(world, approval["metadata"]["name"], "elsewhere"), 15, lambda: "not judged")
        assert judged(world, approval["metadata"]["name"], "elsewhere")["reason"] == "DigestMismatch"
        found = world.get("recoveryplans", name, "elsewhere") or {}
        assert found["status"]["approvalCount"] == "0/2"
        assert (found["status"]["phase"], found["status"]["reason"]) == ("Cancelled", "IncidentGone")
        assert untouched(besieged)
    finally:
        world.control_plane.kubectl("delete", "namespace", "elsewhere", "--wait=false")


def test_s8_approval_of_a_plan_that_is_not_there_does_not_count(besieged: Scene) -> None:
    approval = altered(by_alice(besieged), planRef={"name": "no-such-plan"})
    assert reason_of(besieged, approval) == "PlanNotFound"


def test_s8_approval_is_not_replayed_on_a_plan_made_anew_with_other_steps(besieged: Scene) -> None:
    world, made = besieged.world, besieged.plan()
    name = f"{besieged.service}-again"
    plan = by_hand(name, made)
    world.apply(plan)
    approval = world.alice.approve(wait_plan(besieged, name), "system_admin")
    create(world, approval, world.gitops)
    try:
        assert wait_judged(besieged, approval["metadata"]["name"]) == "Accepted"
        delete(world, "recoveryplans", name)
        step = made["spec"]["steps"][-1]
        more = {**step, "parameters": {**step["parameters"], "desiredCount": 10}}
        world.apply(by_hand(name, made, steps=[*made["spec"]["steps"][:-1], more]))
        assert wait_judged(besieged, approval["metadata"]["name"], "DigestMismatch") == "DigestMismatch"
        assert wait_plan(besieged, name)["status"]["approvalCount"] == "0/2"
        assert untouched(besieged)
    finally:
        delete(world, "planapprovals", approval["metadata"]["name"])
        delete(world, "recoveryplans", name)


# Time


def test_s8_expired_approval_does_not_count(besieged: Scene) -> None:
    late = besieged.world.alice.approve(besieged.plan(), "system_admin", valid_for=timedelta(seconds=-5))
    assert reason_of(besieged, late) == "Expired"


def test_s8_expired_reject_ends_no_plan(besieged: Scene) -> None:
    world = besieged.world
    late = world.alice.approve(besieged.plan(), "system_admin", Decision.REJECT, valid_for=timedelta(seconds=-5))
    assert reason_of(besieged, late) == "Expired"


# Rights and people


def test_s8_role_that_is_not_held_does_not_count(besieged: Scene) -> None:
    assert reason_of(besieged, besieged.world.alice.approve(besieged.plan(), "service_owner")) == "RoleNotHeld"


def test_s8_claimed_groups_give_a_signer_no_role(besieged: Scene) -> None:
    approval = altered(
        besieged.world.alice.approve(besieged.plan(), "service_owner"), approverGroups=["system:masters"]
    )
    assert reason_of(besieged, approval) == "RoleNotHeld"


def count_of(scene: Scene) -> str:
    return str(scene.plan()["status"]["approvalCount"])


def test_s8_one_person_does_not_fill_two_roles(besieged: Scene) -> None:
    world = besieged.world
    both = [world.alice.approve(besieged.plan(), role) for role in ("system_admin", "service_owner")]
    with objects(world, *bind(ALICE, "service_owner")), said(besieged, *both) as reasons:
        besieged.wait("both are accepted", lambda: besieged.approval_reasons() == ["Accepted"] * 2, 15)
        assert set(reasons) <= {"Accepted", "RoleNotHeld"}
        besieged.wait("one counts", lambda: count_of(besieged) == "1/2", 10)
        assert [a["verifiedBy"] for a in besieged.plan()["status"]["approvals"]] == ["Signed", "Signed"]


def test_s8_one_key_under_two_names_does_not_fill_two_roles(besieged: Scene) -> None:
    world = besieged.world
    twin = replace(world.alice, name="alice.twin@example.com")
    both = [world.alice.approve(besieged.plan(), "system_admin"), twin.approve(besieged.plan(), "service_owner")]
    listed = signers(world, allowed_signers=signer_lines(world, twin.allowed_signers_line))
    with objects(world, *bind(twin.name, "service_owner")), listed, said(besieged, *both):
        besieged.wait("both are accepted", lambda: besieged.approval_reasons() == ["Accepted"] * 2, 15)
        besieged.wait("one counts", lambda: count_of(besieged) == "1/2", 10)


def test_s8_the_same_approval_many_times_counts_once(besieged: Scene) -> None:
    approval = by_alice(besieged)
    copies = [altered(approval, f"copy-{i}") for i in range(3)]
    with said(besieged, approval, *copies) as reasons:
        assert set(reasons) == {"Accepted"}
        besieged.wait("one counts", lambda: count_of(besieged) == "1/2", 10)


# Junk


def _armor(data: bytes) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(data).decode()}\n-----END SSH SIGNATURE-----\n"


def _flip(signature: str) -> str:
    body = "".join(signature.splitlines()[1:-1])
    data = bytearray(base64.b64decode(body))
    data[-5] ^= 1
    return _armor(bytes(data))


MALFORMED: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "blank": lambda _: " \n\t\n",
    "words": lambda _: "yes, please",
    "no end": lambda s: s.rsplit("\n", 2)[0],
    "cut short": lambda s: _armor(base64.b64decode("".join(s.splitlines()[1:-1]))[:-9]),
    "too long by a byte": lambda s: _armor(base64.b64decode("".join(s.splitlines()[1:-1])) + b"x"),
    "one bit": _flip,
    "nothing in it": lambda _: _armor(b""),
    "huge length": lambda _: _armor(b"SSHSIG\x00\x00\x00\x01\xff\xff\xff\xff"),
    "not base64": lambda _: "-----BEGIN SSH SIGNATURE-----\n????\n-----END SSH SIGNATURE-----\n",
    "twice": lambda s: s + s,
    "as long as may be": lambda _: _armor(b"SSHSIG" + b"\x00" * 6000)[:8192],
    "PGP": lambda s: s.replace("SSH", "PGP"),
    "not ASCII": lambda s: s.replace("A", "\u0391"),
}


def test_s8_malformed_signature_does_not_count_and_hurts_nobody(besieged: Scene) -> None:
    approval = by_alice(besieged)
    good = approval["spec"]["signature"]
    bad = [altered(approval, f"bad-{i}", signature=forge(good)) for i, forge in enumerate(MALFORMED.values())]
    with said(besieged, *bad, approval) as reasons:
        assert dict(zip(MALFORMED, reasons, strict=False)) == dict.fromkeys(MALFORMED, "InvalidSignature")
        assert reasons[-1] == "Accepted"


def test_s12_oversized_signature_is_refused_at_admission(besieged: Scene) -> None:
    approval = altered(by_alice(besieged), signature="x" * 8193)
    refused = create(besieged.world, approval, besieged.world.gitops, check=False)
    assert "spec.signature: Too long" in refused.stderr
    assert untouched(besieged)


def test_s8_flood_of_junk_hides_no_approval_and_holds_nothing_up(new_scene: Callable[..., Scene]) -> None:
    """Junk that is refused early, and junk with good signatures of somebody who holds no such role."""
    scene = new_scene()
    world, plan = scene.world, scene.surge()
    forged = world.alice.approve(plan, "service_owner")
    junk = [altered(forged, f"junk-{i}", signature="x" if i % 2 else forged["spec"]["signature"]) for i in range(200)]
    everything = {"apiVersion": "v1", "kind": "List", "items": junk}
    world.control_plane.kubectl("create", "-f", "-", user=world.gitops, input=json.dumps(everything))
    scene.wait("all are judged", lambda: len(scene.approval_reasons()) == len(junk), 40)
    assert set(scene.approval_reasons()) == {"RoleNotHeld", "InvalidSignature"}
    assert scene.updates() == []
    for approval in (world.alice.approve(plan, "system_admin"), world.bob.approve(plan, "service_owner")):
        create(world, approval, world.gitops)
    scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
    shown = scene.plan()["status"]["approvals"]
    assert len(shown) == 32
    assert {a["approver"] for a in shown if a.get("verifiedBy")} == {ALICE, BOB}
    assert len(scene.updates()) == 1
    world.control_plane.kubectl("delete", "planapprovals", "--all", "-n", NAMESPACE, "--wait=false")
