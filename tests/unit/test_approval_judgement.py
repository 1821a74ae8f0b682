from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.plan_approval import PlanApproval
from bokgu.api.vocabulary import PEOPLES_PROOFS, Proof
from bokgu.core.approval.judgement import (
    AdmissionFence,
    Authenticated,
    Judgement,
    TrustRoots,
    Unproven,
    authenticate_approval,
    build_trust_roots,
    judge_approval,
)
from bokgu.core.approval.requirement import Requirement
from bokgu.core.approval.statement import approval_statement
from bokgu.core.moment import Moment
from tests.unit.facts import DIGEST, MINUTE, NOW, ROLES, approval
from tests.world.people import Person

EMERGENCY = "incident_commander"
DELEGATE = "system:serviceaccount:flux-system:kustomize-controller"
FENCE = AdmissionFence(NOW - timedelta(days=1))
AT_NOW = Moment(NOW, NOW)
AN_HOUR_BEHIND = Moment(NOW - 60 * MINUTE, NOW)
AN_HOUR_AHEAD = Moment(NOW, NOW + 60 * MINUTE)


def judge(said: PlanApproval, proof: Proof = Proof.SIGNED, **changes: Any) -> Judgement:
    given_: dict[str, Any] = {
        "digest": DIGEST,
        "requirement": Requirement(ROLES),
        "authenticated": Authenticated(proof),
        "may_approve": True,
        "emergency_role": EMERGENCY,
        "moment": AT_NOW,
        **changes,
    }
    return judge_approval(said, **given_)


# The object itself


@pytest.mark.parametrize("generation", [0, 2, 3])
@pytest.mark.parametrize("decision", ["Approve", "Reject"])
def test_s8_an_approval_that_was_ever_edited_does_not_count(generation: int, decision: str) -> None:
    assert judge(approval(meta={"generation": generation}, decision=decision)).reason == "Edited"


def test_s8_an_approval_stuck_in_deletion_does_not_count() -> None:
    stuck = approval(meta={"deletionTimestamp": NOW, "finalizers": ["example.com/stuck"]})
    assert judge(stuck).reason == "Withdrawn"


@pytest.mark.parametrize("moment", [AN_HOUR_BEHIND, AN_HOUR_AHEAD])
def test_s8_an_approve_ends_by_the_later_clock_and_a_reject_by_the_earlier_one(moment: Moment) -> None:
    said = {d: approval(validUntil=moment.latest, decision=d) for d in ("Approve", "Reject")}
    assert {d: judge(one, moment=moment).reason for d, one in said.items()} == {
        "Approve": "Expired",
        "Reject": "Accepted",
    }
    over = approval(validUntil=moment.earliest, decision="Reject")
    assert judge(over, moment=moment).reason == "Expired"


def test_s6_a_reject_that_has_expired_holds_nothing_up_even_where_nobody_can_say_whose_it_is() -> None:
    unread = authenticate_approval(approval(signature="x"), TrustRoots(problem="gone"), FENCE, moment=AT_NOW)
    assert judge(approval(decision="Reject", validUntil=NOW), authenticated=unread).reason == "Expired"


# Who vouches


def test_s6_what_cannot_be_read_is_told_from_what_is_missing() -> None:
    unread = authenticate_approval(approval(), TrustRoots(), AdmissionFence(None, "no", unread=True), moment=AT_NOW)
    missing = authenticate_approval(approval(), TrustRoots(), AdmissionFence(None, "no"), moment=AT_NOW)
    assert [unread.reason, missing.reason] == ["ProofUnknown", "NoProof"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("carried_by", "delegates", "found"),
    [
        (DELEGATE, frozenset({DELEGATE}), "Delegated"),
        (DELEGATE, frozenset(), "NotDelegated"),
        (DELEGATE + "x", frozenset({DELEGATE}), "NotDelegated"),
        ("alice@example.com", frozenset({DELEGATE}), "NotDelegated"),
    ],
)
def test_s8_only_configured_accounts_carry_approvals(carried_by: str, delegates: frozenset[str], found: str) -> None:
    roots = TrustRoots(delegates=delegates)
    said = authenticate_approval(approval(carriedBy=carried_by), roots, FENCE, moment=AT_NOW)
    assert (said.proof if isinstance(said, Authenticated) else said.reason) == found


def test_s8_an_account_carries_nothing_while_the_admission_policy_does_not_vouch_for_it() -> None:
    roots = TrustRoots(delegates=frozenset({DELEGATE}))
    said = authenticate_approval(approval(carriedBy=DELEGATE), roots, AdmissionFence(None), moment=AT_NOW)
    assert isinstance(said, Unproven)


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return Person.create("alice@example.com", tmp_path_factory.mktemp("alice"))


def at(minutes: int) -> str:
    return (NOW + minutes * MINUTE).strftime("%Y%m%d%H%M%SZ")


@pytest.mark.parametrize(
    ("option", "moment", "counts"),
    [
        (f'valid-before="{at(-1)}"', AT_NOW, False),
        (f'valid-after="{at(1)}"', AT_NOW, False),
        (f'valid-before="{at(-30)}"', AN_HOUR_BEHIND, False),
        (f'valid-after="{at(-30)}"', AN_HOUR_BEHIND, False),
        (f'valid-before="{at(30)}"', AN_HOUR_AHEAD, False),
        (f'valid-after="{at(30)}"', AN_HOUR_AHEAD, False),
        (f'valid-after="{at(-90)}",valid-before="{at(90)}"', AN_HOUR_BEHIND, True),
        ('namespaces="git"', AT_NOW, False),
    ],
)
def test_s8_a_key_counts_only_while_it_is_valid_by_both_clocks(
    alice: Person, option: str, moment: Moment, counts: bool
) -> None:
    roots = build_trust_roots({"allowed_signers": f"{alice.name} {option} {alice.public_key}"})
    one = approval().spec
    signature = alice.sign(approval_statement(one.plan_digest, one.role, one.decision, one.valid_until))
    said = authenticate_approval(approval(signature=signature), roots, AdmissionFence(None), moment=moment)
    assert isinstance(said, Authenticated) is counts


# What the policy demands of it


@pytest.mark.parametrize(
    ("requirement", "proof", "reason"),
    [
        ({"proofs": frozenset({Proof.SIGNED})}, Proof.CLUSTER, "ProofNotAllowed"),
        ({"proofs": frozenset({Proof.SIGNED})}, Proof.DELEGATED, "ProofNotAllowed"),
        ({"proofs": frozenset({Proof.SIGNED})}, Proof.SIGNED, "Accepted"),
        ({"proofs": frozenset()}, Proof.SIGNED, "ProofNotAllowed"),
        ({"identities": {"system_admin": frozenset({"bob@example.com"})}}, Proof.SIGNED, "NotNamed"),
        ({"identities": {"system_admin": frozenset({"Alice@example.com"})}}, Proof.SIGNED, "NotNamed"),
        ({"identities": {"service_owner": frozenset({"bob@example.com"})}}, Proof.SIGNED, "Accepted"),
        ({"until": NOW}, Proof.SIGNED, "Expired"),
    ],
)
def test_s8_an_approval_that_the_policy_does_not_take_does_not_count(
    requirement: dict[str, Any], proof: Proof, reason: str
) -> None:
    demanded = Requirement(ROLES, **requirement)
    assert judge(approval(), proof, requirement=demanded).reason == reason
    assert judge(approval(decision="Reject"), proof, requirement=demanded).reason == "Accepted"


@pytest.mark.parametrize(
    ("spec", "proof", "changes", "reason"),
    [
        ({"reason": "the house is on fire"}, Proof.SIGNED, {}, "Accepted"),
        ({"reason": "the house is on fire"}, Proof.CLUSTER, {}, "Accepted"),
        ({}, Proof.SIGNED, {}, "ReasonMissing"),
        ({"reason": ""}, Proof.SIGNED, {}, "ReasonMissing"),
        ({"reason": "the house is on fire"}, Proof.DELEGATED, {}, "ProofNotAllowed"),
        ({"reason": "the house is on fire"}, Proof.SIGNED, {"may_approve": False}, "RoleNotHeld"),
    ],
)
def test_s8_an_override_counts_only_with_a_reason_by_a_person_who_holds_the_role(
    spec: dict[str, Any], proof: Proof, changes: dict[str, Any], reason: str
) -> None:
    assert judge(approval(EMERGENCY, **spec), proof, **changes).reason == reason


@given(st.sampled_from(sorted(PEOPLES_PROOFS)), st.frozensets(st.sampled_from(sorted(PEOPLES_PROOFS))))
def test_s8_a_reject_is_held_to_no_rule(proof: Proof, proofs: frozenset[Proof]) -> None:
    demanded = Requirement(ROLES, identities={"system_admin": frozenset()}, proofs=proofs, until=NOW)
    assert judge(approval(decision="Reject"), proof, requirement=demanded).accepted


def test_s8_an_approve_that_is_older_than_the_plan_was_given_to_another_one() -> None:
    for age, reason in ((timedelta(seconds=1), "OlderThanPlan"), (timedelta(), "Accepted"), (-MINUTE, "Accepted")):
        said = {d: approval(decision=d, meta={"creationTimestamp": NOW - age}) for d in ("Approve", "Reject")}
        requirement = Requirement(ROLES, since=NOW)
        assert judge(said["Approve"], requirement=requirement).reason == reason
        assert judge(said["Reject"], requirement=requirement).reason == "Accepted"
