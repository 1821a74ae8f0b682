"""What the approvals of a plan come to: who fills which role, who rejects, what stands in for people (S1, S8)."""

from collections.abc import Iterable
from dataclasses import dataclass

from bokgu.api.recovery_plan import ApprovalStatus, CountedApproval
from bokgu.api.vocabulary import Decision, Proof
from bokgu.core.approval.auto import AutoVerdict
from bokgu.core.approval.judgement import UNDECIDED, Judgement
from bokgu.core.approval.requirement import Requirement

SHOWN = 32
"""Approvals that status lists: those that count first, then the oldest ones. Junk hides no approval."""


@dataclass(frozen=True)
class Override:
    """One person's emergency override of all roles."""

    approver: str
    role: str
    reason: str


@dataclass(frozen=True)
class Tally:
    """What the approvals of a plan come to.

    `required` and `missing` have an entry for every person. `counted` is what an intent rests on. `in_doubt`: an
    approval that cannot be judged may be a Reject. `auto` is what the policy says where people have not approved.
    """

    required: tuple[str, ...]
    approvals: tuple[ApprovalStatus, ...]
    counted: tuple[CountedApproval, ...]
    missing: tuple[str, ...]
    rejected_by: str | None
    in_doubt: bool = False
    problem: str | None = None
    override: Override | None = None
    auto: AutoVerdict | None = None

    @property
    def approved(self) -> bool:
        """Whether everybody who must has approved, or somebody stands in for them, and nobody rejects or may be
        rejecting."""
        filled = not self.missing and self.problem is None
        return (filled or self.overridden or self.automatic) and self.rejected_by is None and not self.in_doubt

    @property
    def overridden(self) -> bool:
        """Whether the emergency role stands in for people who have not approved."""
        return self.override is not None and (bool(self.missing) or self.problem is not None)

    @property
    def automatic(self) -> bool:
        """Whether the policy stands in for people who have not approved."""
        waiting = bool(self.missing) and self.problem is None and not self.overridden
        return waiting and self.auto is not None and self.auto.granted

    @property
    def count(self) -> str:
        """People who approved of people required, such as 1/2; `override` or `auto` where others stand in for them."""
        if self.overridden:
            return "override"
        if self.automatic:
            return "auto"
        return f"{len(self.required) - len(self.missing)}/{len(self.required)}"

    @property
    def waits_for(self) -> str:
        """What is still missing, for people."""
        if self.rejected_by:
            return f"rejected by {self.rejected_by}"
        if self.problem:
            return self.problem
        if self.missing:
            why = f"; not automatic: {self.auto.message}" if self.auto and not self.auto.granted else ""
            return f"waits for {', '.join(self.missing)}{why}"
        if self.in_doubt:
            return "an approval of the plan cannot be judged, and may be a Reject: look at kubectl get planapprovals"
        return ""


def tally_approvals(
    requirement: Requirement,
    judgements: Iterable[Judgement],
    *,
    unreadable: int = 0,
    emergency_role: str | None = None,
    auto: AutoVerdict | None = None,
) -> Tally:
    """Count the approvals: every role needs a person of its own; one accepted Reject ends it.

    One that could not be judged, or not be read (`unreadable`), may be a Reject: the plan is not approved meanwhile.
    """
    ordered = sorted(judgements, key=lambda j: (j.approval.metadata.creation_timestamp is None, _age(j)))
    accepted = [j for j in ordered if j.accepted]
    yes = [j for j in accepted if j.approval.spec.decision is Decision.APPROVE]
    required = requirement.roles
    assigned = _assign_people(required, yes)
    missing = tuple(role for slot, role in enumerate(required) if slot not in assigned)
    override = next((_override(j) for j in yes if emergency_role and j.approval.spec.role == emergency_role), None)
    rejections = [j for j in accepted if j.approval.spec.decision is Decision.REJECT]
    tally = Tally(
        required=required,
        approvals=tuple(_approval_entry(j) for j in sorted(ordered, key=lambda j: not j.accepted)[:SHOWN]),
        counted=tuple(_counted(j, required[slot]) for slot, j in sorted(assigned.items())),
        missing=missing,
        rejected_by=rejections[0].approval.spec.approver if rejections else None,
        in_doubt=unreadable > 0
        or any(j.reason in UNDECIDED and j.approval.spec.decision is Decision.REJECT for j in ordered),
        problem=requirement.problem,
        override=override,
        auto=auto,
    )
    return _stand_in(tally, yes, emergency_role)


def _stand_in(tally: Tally, yes: list[Judgement], emergency_role: str | None) -> Tally:
    """Add what an intent rests on besides people in their roles."""
    counted = tally.counted
    if tally.overridden and emergency_role:
        counted += tuple(_counted(j, emergency_role) for j in yes if j.approval.spec.role == emergency_role)[:1]
    if tally.automatic and tally.auto:
        said = tally.auto
        counted += tuple(
            CountedApproval(uid=said.policy_uid, approver=said.by, role=role, proof=Proof.AUTO)
            for role in dict.fromkeys(tally.missing)
        )
    return Tally(**{**vars(tally), "counted": counted})


def _override(judgement: Judgement) -> Override:
    spec = judgement.approval.spec
    return Override(spec.approver, spec.role, spec.reason or "")


def _counted(judgement: Judgement, role: str) -> CountedApproval:
    if judgement.proof is None:
        raise ValueError(f"PlanApproval {judgement.approval.metadata.name} does not count")
    approval = judgement.approval
    return CountedApproval(uid=approval.metadata.uid, approver=approval.spec.approver, role=role, proof=judgement.proof)


def _assign_people(required: tuple[str, ...], yes: list[Judgement]) -> dict[int, Judgement]:
    """Give every slot of `required` an approval of another person: the largest assignment (augmenting paths)."""
    people = _tell_people_apart(yes)
    by_role = {role: [i for i, j in enumerate(yes) if j.approval.spec.role == role] for role in required}
    holder: dict[int, int] = {}  # person -> slot
    chosen: dict[int, int] = {}  # slot -> approval

    def place(slot: int, tried: set[int]) -> bool:
        for approval in by_role[required[slot]]:
            person = people[approval]
            if person in tried:
                continue
            tried.add(person)
            if person not in holder or place(holder[person], tried):
                holder[person], chosen[slot] = slot, approval
                return True
        return False

    for slot in range(len(required)):
        place(slot, set())
    return {slot: yes[approval] for slot, approval in chosen.items()}


def _tell_people_apart(yes: list[Judgement]) -> list[int]:
    """Which person each approval is of: one name or one key is one person, however they are combined."""
    same_as = list(range(len(yes)))
    seen: dict[str, int] = {}

    def first(index: int) -> int:
        while same_as[index] != index:
            same_as[index] = same_as[same_as[index]]
            index = same_as[index]
        return index

    for index, judgement in enumerate(yes):
        for mark in (f"name {judgement.approval.spec.approver}", judgement.fingerprint):
            if mark is not None:
                same_as[first(index)] = first(seen.setdefault(mark, index))
    return [first(index) for index in range(len(yes))]


def _age(judgement: Judgement) -> tuple[float, str]:
    created = judgement.approval.metadata.creation_timestamp
    return (created.timestamp() if created else 0.0, judgement.approval.metadata.name)


def _approval_entry(judgement: Judgement) -> ApprovalStatus:
    approval = judgement.approval
    created = approval.metadata.creation_timestamp
    if created is None:
        raise ValueError(f"PlanApproval {approval.metadata.name} was not read from the API server")
    return ApprovalStatus(
        role=approval.spec.role,
        approver=approval.spec.approver,
        decision=approval.spec.decision,
        at=created,
        ref=approval.metadata.name,
        uid=approval.metadata.uid,
        verified_by=judgement.proof,
        reason=judgement.reason,
    )
