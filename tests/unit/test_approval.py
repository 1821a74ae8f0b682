from copy import deepcopy
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.meta import is_true
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.recovery_plan import RecoveryPlanSpec
from bokgu.api.vocabulary import Decision, Proof, Severity
from bokgu.core.approval.digest import plan_digest
from bokgu.core.approval.judgement import (
    AdmissionFence,
    Authenticated,
    Judgement,
    TrustRoots,
    Unproven,
    approval_status,
    authenticate_approval,
    build_trust_roots,
    judge_approval,
)
from bokgu.core.approval.requirement import Requirement, minimum_roles
from bokgu.core.approval.statement import approval_statement, build_approval
from bokgu.core.approval.tally import tally_approvals
from bokgu.core.moment import Moment
from tests.unit.facts import (
    ALICE,
    BOB,
    DIGEST,
    MINUTE,
    NOW,
    OTHER_DIGEST,
    REJECT,
    ROLES,
    VALIDATION,
    approval,
    judged,
    plan,
    revision_arn,
    roll_back,
    scale_out,
    service_deployment_arn,
    tally,
)
from tests.world.people import Person

SIGNED = Authenticated(Proof.SIGNED, "SHA256:alice")
AT_NOW = Moment(NOW, NOW)
UNPROVEN = Unproven("InvalidSignature", "no")
NO_FENCE = AdmissionFence(None)


# Digest


def full_plan() -> dict[str, Any]:
    """A plan as a GET returns it, with every field of the spec."""
    one = plan(
        roll_back(description="d", estimatedDuration="15m", requiredResources=["ecs_service"], validation=VALIDATION),
        scale_out(name="more", parameters={"desiredCount": 5, "minCapacity": 5, "maxCapacity": 14}),
        {
            "name": "calm",
            "action": "wait",
            "parameters": {"duration": "30m", "calm": True},
            "timeout": "75m",
            "onFailure": "Stop",
        },
        {
            "name": "back",
            "action": "scale_in",
            "parameters": {"minCapacity": 3},
            "timeout": "30m",
            "onFailure": "Stop",
        },
        preconditions={
            "serviceRevisionArn": revision_arn(2),
            "serviceDeploymentArn": service_deployment_arn(2),
            "desiredCount": 3,
            "scalableTarget": {"minCapacity": 3, "maxCapacity": 12, "suspended": ["DynamicScalingIn"]},
            "rootCause": "BadDeployment",
        },
        runbookRef={"name": "bad-deployment"},
        chosenBecause="it is against BadDeployment",
        trackRecord="helped 1 of 2 times here",
        classification={
            "rootCause": "BadDeployment",
            "newRevisionAtFault": True,
            "confidence": "high",
            "impactLevel": "high",
            "incidentType": "high_error_rate",
        },
        estimatedTotalDuration="15m",
        requiredApprovals=["system_admin"],
        risks=[{"description": "d", "probability": "low", "impact": "low", "mitigation": "m"}],
        ifNothingIsDone="it stays",
        suspend=False,
    )
    return {"metadata": {"name": "plan-1", "namespace": "shop"}, "spec": one.spec.to_dict()}


def leaves(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(node, dict):
        return [leaf for key, child in node.items() for leaf in leaves(child, (*path, key))]
    if isinstance(node, list):
        return [leaf for i, child in enumerate(node) for leaf in leaves(child, (*path, i))]
    return [path]


def changed(document: dict[str, Any], path: tuple[str | int, ...], *, remove: bool = False) -> dict[str, Any]:
    copy = deepcopy(document)
    node: Any = copy
    for key in path[:-1]:
        node = node[key]
    if remove:
        del node[path[-1]]
    else:
        old = node[path[-1]]
        node[path[-1]] = (not old) if isinstance(old, bool) else old + 1 if isinstance(old, int) else f"{old}x"
    return copy


def test_the_example_has_every_field_of_the_spec() -> None:
    fields = {f.alias or name for name, f in RecoveryPlanSpec.model_fields.items()}
    assert set(full_plan()["spec"]) == fields


@pytest.mark.parametrize("path", leaves(full_plan()["spec"]), ids=lambda p: ".".join(map(str, p)))
def test_s8_the_digest_changes_with_every_field_but_suspend(path: tuple[str | int, ...]) -> None:
    before = full_plan()
    for remove in (False, True):
        if remove and path == ("incidentRef", "uid"):
            continue
        after = changed(before, ("spec", *path), remove=remove)
        assert (plan_digest("cluster", after) == plan_digest("cluster", before)) is (path == ("suspend",))


@pytest.mark.parametrize("path", [("metadata", "name"), ("metadata", "namespace")])
def test_s8_the_digest_binds_name_and_namespace(path: tuple[str, str]) -> None:
    assert plan_digest("c", changed(full_plan(), path)) != plan_digest("c", full_plan())


def test_s8_the_digest_binds_the_cluster_and_the_order_of_steps() -> None:
    one, other = full_plan(), full_plan()
    other["spec"]["steps"].reverse()
    assert len({plan_digest("c", one), plan_digest("d", one), plan_digest("c", other)}) == 3


def test_the_digest_does_not_depend_on_key_order_uid_or_status() -> None:
    one = full_plan()
    other = {
        "status": {"phase": "Failed"},
        "spec": dict(reversed(one["spec"].items())),
        "metadata": {"uid": "another", "namespace": "shop", "name": "plan-1", "labels": {"a": "b"}},
    }
    assert plan_digest("c", one) == plan_digest("c", other)
    assert len(plan_digest("c", one)) == 71


# Required roles


@pytest.mark.parametrize(
    ("worst", "roles"),
    [
        (None, ("system_admin", "service_owner")),
        (Severity.CRITICAL, ("system_admin", "service_owner")),
        (Severity.HIGH, ("system_admin", "service_owner")),
        (Severity.MEDIUM, ("service_owner",)),
        (Severity.LOW, ("service_owner",)),
    ],
)
def test_s1_the_built_in_minimum(worst: Severity | None, roles: tuple[str, ...]) -> None:
    assert minimum_roles(worst) == roles


# Who vouches


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return Person.create("alice@example.com", tmp_path_factory.mktemp("alice"))


@pytest.fixture(scope="module")
def roots(alice: Person) -> TrustRoots:
    return build_trust_roots({"allowed_signers": alice.allowed_signers_line})


def signed(alice: Person, **spec: Any) -> PlanApproval:
    """An approval of Alice's, then changed as `spec` says."""
    one = approval().spec
    statement = approval_statement(one.plan_digest, one.role, one.decision, one.valid_until)
    return approval(signature=alice.sign(statement), **spec)


def test_s8_a_signed_approval_is_vouched_for_by_the_key(alice: Person, roots: TrustRoots) -> None:
    assert authenticate_approval(signed(alice), roots, NO_FENCE, moment=AT_NOW).proof is Proof.SIGNED  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "spec",
    [
        {"planDigest": OTHER_DIGEST},
        {"role": "service_owner"},
        {"decision": "Reject"},
        {"validUntil": NOW + 61 * MINUTE},
        {"approver": "bob@example.com"},
    ],
)
def test_s8_a_signature_covers_all_that_is_said(alice: Person, roots: TrustRoots, spec: dict[str, Any]) -> None:
    assert isinstance(authenticate_approval(signed(alice, **spec), roots, NO_FENCE, moment=AT_NOW), Unproven)


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"allowed_signers": "alice@example.com"},
        {"allowed_signers": 'bob valid-before="2026" ssh-ed25519 AAAA'},
        {"revoked": "garbage"},
    ],
)
def test_s6_trust_roots_that_cannot_be_read_trust_nobody(alice: Person, data: dict[str, str] | None) -> None:
    if data:
        data = {"allowed_signers": alice.allowed_signers_line, **data}
    roots = build_trust_roots(data)
    assert isinstance(authenticate_approval(signed(alice), roots, NO_FENCE, moment=AT_NOW), Unproven)


def test_s8_a_bad_signature_is_not_saved_by_the_admission_policy(roots: TrustRoots) -> None:
    fence = AdmissionFence(NOW - timedelta(days=1))
    assert isinstance(authenticate_approval(approval(signature="x"), roots, fence, moment=AT_NOW), Unproven)


@pytest.mark.parametrize(
    ("since", "counts"),
    [(None, False), (NOW - 31 * MINUTE, True), (NOW - 30 * MINUTE, False), (NOW - 29 * MINUTE, False)],
)
def test_s8_an_unsigned_approval_counts_only_if_the_policy_is_older(since: Any, counts: bool) -> None:
    found = authenticate_approval(approval(), TrustRoots(), AdmissionFence(since), moment=AT_NOW)
    assert isinstance(found, Authenticated) is counts


def test_s8_an_approval_that_no_server_dated_does_not_count() -> None:
    undated = approval(meta={"creationTimestamp": None})
    fence = AdmissionFence(NOW - timedelta(days=1))
    assert isinstance(authenticate_approval(undated, TrustRoots(), fence, moment=AT_NOW), Unproven)


# Whether it counts


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "Accepted"),
        ({"digest": None}, "PlanNotFound"),
        ({"digest": OTHER_DIGEST}, "DigestMismatch"),
        ({"authenticated": UNPROVEN}, "InvalidSignature"),
        ({"moment": Moment(NOW, NOW + 60 * MINUTE)}, "Expired"),
        ({"moment": Moment(NOW, NOW + 60 * MINUTE - timedelta(seconds=1))}, "Accepted"),
        ({"approval": approval(meta={"deletionTimestamp": NOW})}, "Withdrawn"),
        ({"may_approve": None}, "RightUnknown"),
        ({"may_approve": False}, "RoleNotHeld"),
    ],
)
def test_s8_an_approval_counts_only_if_everything_holds(changes: dict[str, Any], reason: str) -> None:
    said = changes.pop("approval", approval())
    given_ = {
        "digest": DIGEST,
        "requirement": Requirement(ROLES),
        "authenticated": SIGNED,
        "may_approve": True,
        "emergency_role": None,
        "moment": AT_NOW,
        **changes,
    }
    judgement = judge_approval(said, **given_)
    assert judgement.reason == reason
    assert judgement.accepted is (reason == "Accepted")
    status = approval_status(judgement, now=NOW)
    assert is_true(status.conditions, "Accepted") is judgement.accepted
    assert status.proof == judgement.proof


# Counting


def test_s8_every_role_needs_its_approval() -> None:
    assert tally(ALICE, BOB).approved
    assert tally(ALICE).missing == ("service_owner",)
    assert tally().missing == ROLES
    assert tally_approvals(Requirement(()), ()).approved


def test_s8_one_person_does_not_count_for_two_roles() -> None:
    result = tally(ALICE, judged("service_owner", "alice@example.com"))
    assert not result.approved
    assert result.count == "1/2"


def test_s8_one_reject_ends_it() -> None:
    result = tally(ALICE, BOB, REJECT)
    assert (result.approved, result.rejected_by) == (False, "carol@example.com")


def test_s8_what_does_not_count_neither_approves_nor_rejects() -> None:
    result = tally(
        ALICE,
        judged("service_owner", "bob@example.com", accepted=False),
        judged("service_owner", "carol@example.com", "Reject", accepted=False),
    )
    assert (result.missing, result.rejected_by) == (("service_owner",), None)
    assert [a.verified_by for a in result.approvals].count(None) == 2


def test_s8_an_approval_for_a_role_that_is_not_required_fills_no_other() -> None:
    assert not tally(ALICE, judged("dba", "bob@example.com")).approved


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_s8_people_are_assigned_so_that_the_most_roles_are_filled(order: tuple[int, ...]) -> None:
    both = [
        judged("system_admin", "alice@example.com"),
        judged("service_owner", "alice@example.com"),
        judged("system_admin", "bob@example.com"),
    ]
    result = tally(*(both[i] for i in order))
    assert result.approved
    assert {(c.role, c.approver) for c in result.counted} == {
        ("system_admin", "bob@example.com"),
        ("service_owner", "alice@example.com"),
    }


PEOPLE = [f"{name}@example.com" for name in ("alice", "bob", "carol", "dan")]
SEVERAL = ("system_admin", "service_owner", "dba")


@given(st.sets(st.tuples(st.sampled_from(SEVERAL), st.sampled_from(PEOPLE)), max_size=8))
def test_s8_the_assignment_is_maximal_and_gives_every_role_another_person(said: set[tuple[str, str]]) -> None:
    result = tally_approvals(Requirement(SEVERAL), [judged(role, person) for role, person in said])
    filled = [(c.role, c.approver) for c in result.counted]
    assert set(filled) <= said
    assert len({person for _, person in filled}) == len({role for role, _ in filled}) == len(filled)
    best = max(
        sum((role, person) in said for role, person in zip(SEVERAL, chosen, strict=True))
        for chosen in permutations(PEOPLE, len(SEVERAL))
    )
    assert len(filled) == best == len(SEVERAL) - len(result.missing)


def test_the_list_of_approvals_is_bounded_and_a_late_reject_still_counts() -> None:
    many: list[Judgement] = [judged("service_owner", f"p{i}@example.com", accepted=False) for i in range(40)]
    result = tally(*many, ALICE, BOB, REJECT)
    assert len(result.approvals) == 32
    assert result.rejected_by == "carol@example.com"


# The manifest


def test_the_manifest_is_read_back_as_what_was_said() -> None:
    manifest = build_approval(
        plan="plan-1",
        namespace="shop",
        digest=DIGEST,
        role="system_admin",
        decision=Decision.APPROVE,
        approver="alice@example.com",
        valid_until=NOW,
        signature="x",
    )
    read = PlanApproval.model_validate(manifest)
    assert DIGEST[7:19] in read.metadata.name
    assert (read.spec.role, read.spec.valid_until, read.spec.plan_digest) == ("system_admin", NOW, DIGEST)


def test_other_words_get_another_name() -> None:
    said = {"plan": "p" * 253, "namespace": "shop", "digest": DIGEST, "decision": Decision.APPROVE, "valid_until": NOW}
    names = {
        build_approval(role=role, approver=approver, **said)["metadata"]["name"]  # type: ignore[arg-type]
        for role in ROLES
        for approver in PEOPLE
    }
    assert len(names) == 8
    assert all(len(name) <= 253 for name in names)


def test_the_statement_is_bound_to_all_that_it_says() -> None:
    said = [
        approval_statement(digest, role, decision, until)
        for digest in (DIGEST, OTHER_DIGEST)
        for role in ROLES
        for decision in Decision
        for until in (NOW, NOW + MINUTE)
    ]
    assert len(set(said)) == 16
    assert said[0].startswith(b"bokgu.dev/approval v1\n")
