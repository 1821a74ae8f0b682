from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.recovery_plan import MOST_APPROVALS
from bokgu.api.vocabulary import Proof
from bokgu.core.approval.auto import AutoVerdict
from bokgu.core.approval.judgement import UNDECIDED, Judgement
from bokgu.core.approval.requirement import Requirement
from bokgu.core.approval.tally import tally_approvals
from tests.unit.facts import ALICE, BOB, REJECT, ROLES, approval, judged, tally

NEEDED = Requirement(ROLES)
EMERGENCY = "incident_commander"


def by_key(role: str, approver: str, key: str | None, decision: str = "Approve", *, accepted: bool = True) -> Judgement:
    return replace(judged(role, approver, decision, accepted=accepted), fingerprint=key)


def override(reason: str = "the house is on fire", **spec: Any) -> Judgement:
    said = approval(EMERGENCY, "carol@example.com", reason=reason, **spec)
    return Judgement(said, "Accepted", "", Proof.SIGNED)


JUDGED = st.builds(
    lambda role, approver, key, decision, accepted: by_key(role, approver, key, decision, accepted=accepted),
    st.sampled_from(["system_admin", "service_owner", "dba"]),
    st.sampled_from(["alice", "bob", "carol", "dan"]),
    st.none() | st.sampled_from(["SHA256:1", "SHA256:2", "SHA256:3"]),
    st.sampled_from(["Approve", "Approve", "Approve", "Approve", "Reject"]),
    st.sampled_from([True, True, True, False]),
)
SLOTS = st.lists(st.sampled_from(["system_admin", "service_owner", "dba"]), min_size=1, max_size=4).map(tuple)


def people(judgements: Sequence[Judgement]) -> dict[int, set[int]]:
    """The approvals that are of the same person as each one, by name or key, through others too."""
    same = {
        i: {
            k
            for k, other in enumerate(judgements)
            if one.approval.spec.approver == other.approval.spec.approver
            or (one.fingerprint is not None and one.fingerprint == other.fingerprint)
        }
        for i, one in enumerate(judgements)
    }
    for _ in judgements:
        same = {i: set().union(*(same[k] for k in of)) for i, of in same.items()}
    return same


def most_filled(slots: Sequence[str], judgements: Sequence[Judgement]) -> int:
    """How many slots can be filled by different people: all ways are tried."""
    yes = [j for j in judgements if j.accepted and j.approval.spec.decision == "Approve"]
    person = {i: min(of) for i, of in people(yes).items()}
    speaks = Counter((person[i], j.approval.spec.role) for i, j in enumerate(yes))
    everybody = [*sorted(set(person.values())), *[-1] * len(slots)]
    return max(
        sum(bool(speaks[(who, role)]) for who, role in zip(chosen, slots, strict=True))
        for chosen in set(permutations(everybody, len(slots)))
    )


@given(SLOTS, st.lists(JUDGED, max_size=4))
def test_s8_every_slot_is_filled_by_another_person_and_as_many_as_can_be(
    slots: tuple[str, ...], judgements: list[Judgement]
) -> None:
    result = tally_approvals(Requirement(slots), judgements)
    assert len(slots) - len(result.missing) == len(result.counted) == most_filled(slots, judgements)
    assert sorted([*(c.role for c in result.counted), *result.missing]) == sorted(slots)


@given(SLOTS, st.lists(JUDGED, max_size=6), st.booleans(), st.booleans())
def test_s8_one_accepted_reject_always_wins(
    slots: tuple[str, ...], judgements: list[Judgement], automatic: bool, overridden: bool
) -> None:
    auto = AutoVerdict(True, "", "policy-uid", "RecoveryPolicy/default") if automatic else None
    said = [*judgements, *([override()] if overridden else [])]
    result = tally_approvals(Requirement(slots), said, emergency_role=EMERGENCY, auto=auto)
    rejected = any(j.accepted and j.approval.spec.decision == "Reject" for j in judgements)
    assert bool(result.rejected_by) is rejected
    assert not (result.approved and rejected)


@given(SLOTS, st.lists(JUDGED, max_size=6), JUDGED)
def test_s8_what_does_not_count_changes_nothing(
    slots: tuple[str, ...], judgements: list[Judgement], junk: Judgement
) -> None:
    junk = replace(junk, proof=None, reason="InvalidSignature", fingerprint=None)
    without, with_ = (tally_approvals(Requirement(slots), said) for said in (judgements, [*judgements, junk]))
    assert (without.approved, without.missing, without.rejected_by) == (
        with_.approved,
        with_.missing,
        with_.rejected_by,
    )


def test_s8_one_key_under_two_names_is_one_person() -> None:
    said = (by_key("system_admin", "alice", "SHA256:1"), by_key("service_owner", "alice.alt", "SHA256:1"))
    assert tally(*said).count == "1/2"


def test_s8_one_person_is_known_by_name_and_key_through_a_third_approval() -> None:
    """Alice's two keys, and one of them under another name too."""
    said = (
        by_key("system_admin", "alice", "SHA256:1"),
        by_key("service_owner", "alice.alt", "SHA256:2"),
        by_key("dba", "alice", "SHA256:2"),
    )
    assert tally(*said[:2]).count == "2/2"
    assert tally(*said).count == "1/2"


def test_s8_a_name_is_never_taken_for_a_key() -> None:
    named = Judgement(approval("system_admin", "SHA256:1", meta={"name": "a"}), "Accepted", "", Proof.CLUSTER)
    assert tally(named, by_key("service_owner", "bob", "SHA256:1")).approved


@pytest.mark.parametrize("reason", sorted(UNDECIDED))
def test_s6_a_reject_that_cannot_be_judged_holds_the_plan_and_ends_it_not(reason: str) -> None:
    unsure = replace(REJECT, reason=reason, proof=None)
    result = tally(ALICE, BOB, unsure)
    assert (result.approved, result.in_doubt, result.rejected_by) == (False, True, None)
    assert "may be a Reject" in result.message
    assert tally(ALICE, BOB, replace(judged("service_owner", "eve"), reason=reason, proof=None)).approved


def test_s6_an_approval_that_cannot_be_read_holds_the_plan() -> None:
    assert not tally_approvals(NEEDED, [ALICE, BOB], unreadable=1).approved


def test_junk_hides_no_approval_that_counts_from_status() -> None:
    junk = [judged("service_owner", f"a{i}", accepted=False) for i in range(200)]
    shown = tally(*junk, ALICE, BOB).approvals
    assert len(shown) == MOST_APPROVALS
    assert {a.approver for a in shown if a.verified_by} == {"alice@example.com", "bob@example.com"}


@pytest.mark.timeout(30)
def test_a_flood_of_approvals_that_count_is_counted_in_time() -> None:
    flood = [by_key("dba", f"p{i % 7}", f"SHA256:{i % 5}") for i in range(20_000)]
    assert tally(*flood, ALICE, BOB).approved


# Who stands in for people


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"emergency_role": None}, False),
        ({"emergency_role": "another_role"}, False),
    ],
)
def test_s1_only_the_configured_role_overrides(changes: dict[str, Any], counts: bool) -> None:
    result = tally_approvals(NEEDED, [override()], **{"emergency_role": EMERGENCY, **changes})
    assert result.approved is counts
    assert result.count == ("override" if counts else "0/2")


def test_s1_an_override_that_does_not_count_overrides_nothing() -> None:
    refused = replace(override(), proof=None, reason="ReasonMissing")
    assert not tally_approvals(NEEDED, [refused], emergency_role=EMERGENCY).approved


def test_an_intent_names_the_override_that_it_rests_on() -> None:
    (one,) = tally_approvals(NEEDED, [override()], emergency_role=EMERGENCY).counted
    assert (one.role, one.approver) == (EMERGENCY, "carol@example.com")


def test_nothing_is_overridden_where_people_have_approved() -> None:
    result = tally_approvals(NEEDED, [ALICE, BOB, override()], emergency_role=EMERGENCY)
    assert (result.stand_in, result.count) == (None, "2/2")
    assert EMERGENCY not in {c.role for c in result.counted}
    assert result.emergency
    assert result.emergency.approver == "carol@example.com"


def test_s6_what_does_not_count_opens_no_change_window() -> None:
    refused = replace(override(), proof=None, reason="ReasonMissing")
    assert tally_approvals(NEEDED, [refused], emergency_role=EMERGENCY).emergency is None
    assert tally_approvals(NEEDED, [override()], emergency_role=None).emergency is None
    unread = replace(NEEDED, problem="the policy cannot be read", unread=True)
    assert tally_approvals(unread, [override()], emergency_role=EMERGENCY).emergency is None


@pytest.mark.parametrize(
    ("requirement", "auto", "counts"),
    [
        (NEEDED, AutoVerdict(True, "", "uid", "RecoveryPolicy/default"), True),
        (NEEDED, AutoVerdict(False, "the budget is used up"), False),
        (NEEDED, None, False),
        (replace(NEEDED, problem="unreadable"), AutoVerdict(True, "", "uid", "RecoveryPolicy/default"), False),
    ],
)
def test_s1_the_policy_stands_in_for_people_only_where_it_says_so(
    requirement: Requirement, auto: AutoVerdict | None, counts: bool
) -> None:
    result = tally_approvals(requirement, [], auto=auto)
    assert result.approved is counts
    assert {c.proof for c in result.counted} == ({Proof.AUTO} if counts else set())


def test_s6_a_requirement_that_cannot_be_told_is_met_by_nobody_in_their_roles() -> None:
    result = tally_approvals(replace(NEEDED, problem="the policy cannot be read"), [ALICE, BOB])
    assert (result.approved, result.message) == (False, "the policy cannot be read")


@pytest.mark.parametrize("people", [[], [ALICE, BOB]])
def test_s6_nothing_overrides_a_policy_that_cannot_be_read(people: list[Judgement]) -> None:
    """Its rules may name the people and proofs that an override needs, too."""
    unread = replace(NEEDED, problem="the policy cannot be read", unread=True)
    result = tally_approvals(unread, [*people, override()], emergency_role=EMERGENCY)
    assert (result.approved, result.stand_in, result.undecided) == (False, None, True)
    assert EMERGENCY not in {c.role for c in result.counted}
