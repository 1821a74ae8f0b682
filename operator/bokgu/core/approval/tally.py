"""What the approvals of a plan come to: who fills which role, who rejects, what stands in for people (S1, S8)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bokgu.api.recovery_plan import MOST_APPROVALS, MOST_PEOPLE, ApprovalStatus, CountedApproval
from bokgu.api.redaction import redact_quote
from bokgu.api.vocabulary import Decision, Proof
from bokgu.core.approval.auto import AutoVerdict
from bokgu.core.approval.judgement import UNDECIDED, Judgement
from bokgu.core.approval.requirement import Requirement

EMERGENCY_OVERRIDE = "EmergencyOverride"
AUTO_APPROVED = "AutoApproved"
"""Reasons of the condition Approved where people have not filled all roles."""


@dataclass(frozen=True)
class StandIn:
    """What stands in for people who have not approved: `reason` as above, `count` in one word, `message` for people."""

    reason: str
    count: str
    message: str
    counted: tuple[CountedApproval, ...]


@dataclass(frozen=True)
class Tally:
    """What the approvals of a plan come to.

    `required` and `missing` have an entry for every person. `counted` is what an intent rests on. `in_doubt`: an
    approval that cannot be judged may be a Reject. `problem`: what the plan needs cannot be told. `stand_in` is set
    only where people have not approved; `auto` is what the policy says about that. `undecided`: something could not be
    read, and the tally may soon be another one. `emergency` is an approval as the emergency role, counted or not: it
    opens what change windows close. `confirmed` are the steps that somebody has confirmed, by name: that approves no
    plan, and an approval of the plan confirms no step.
    """

    required: tuple[str, ...]
    approvals: tuple[ApprovalStatus, ...]
    counted: tuple[CountedApproval, ...]
    missing: tuple[str, ...]
    rejected_by: str | None
    in_doubt: bool = False
    problem: str | None = None
    stand_in: StandIn | None = None
    auto: AutoVerdict | None = None
    undecided: bool = False
    emergency: CountedApproval | None = None
    confirmed: Mapping[str, CountedApproval] = field(default_factory=dict)

    @property
    def approved(self) -> bool:
        """Whether everybody who must has approved, or somebody stands in for them, and nobody rejects or may be
        rejecting."""
        filled = not self.missing and self.problem is None
        return (filled or self.stand_in is not None) and self.rejected_by is None and not self.in_doubt

    @property
    def reason(self) -> str:
        """Reason of the condition Approved."""
        if not self.approved:
            return "ApprovalsMissing"
        return self.stand_in.reason if self.stand_in else "Approved"

    @property
    def count(self) -> str:
        """People who approved of people required, such as 1/2; `override` or `auto` where others stand in for them."""
        return (
            self.stand_in.count if self.stand_in else f"{len(self.required) - len(self.missing)}/{len(self.required)}"
        )

    @property
    def message(self) -> str:
        """How the plan is approved, or what is still missing, for people."""
        if self.rejected_by:
            return f"rejected by {self.rejected_by}"
        if self.in_doubt:
            return "an approval of the plan cannot be judged, and may be a Reject: look at kubectl get planapprovals"
        if self.stand_in:
            return self.stand_in.message
        if self.problem:
            return self.problem
        if self.missing:
            why = f"; not automatic: {self.auto.message}" if self.auto and not self.auto.granted else ""
            return f"waits for {', '.join(self.missing)}{why}"
        return self.count


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
    approves = [j for j in accepted if j.approval.spec.decision is Decision.APPROVE]
    yes = [j for j in approves if j.approval.spec.step is None]
    confirmations = [(j.approval.spec.step, _counted(j, j.approval.spec.role)) for j in approves]
    required = requirement.roles
    assigned = _assign_people(required, yes)
    missing = tuple(role for slot, role in enumerate(required) if slot not in assigned)
    stand_in, override = None, None
    if emergency_role and not requirement.unread:
        override = next((j for j in yes if j.approval.spec.role == emergency_role), None)
    if override and (missing or requirement.problem):
        stand_in = _override(override, required)
    if missing and not requirement.problem and stand_in is None and auto and auto.granted:
        stand_in = _start_by_itself(auto, missing)
    counted = tuple(_counted(j, required[slot]) for slot, j in sorted(assigned.items()))
    rejections = [j for j in accepted if j.approval.spec.decision is Decision.REJECT]
    return Tally(
        required=required,
        approvals=tuple(_approval_entry(j) for j in sorted(ordered, key=lambda j: not j.accepted)[:MOST_APPROVALS]),
        counted=((stand_in.counted if stand_in else ()) + counted)[:MOST_PEOPLE],
        missing=missing,
        rejected_by=rejections[0].approval.spec.approver if rejections else None,
        in_doubt=unreadable > 0
        or any(j.reason in UNDECIDED and j.approval.spec.decision is Decision.REJECT for j in ordered),
        problem=requirement.problem,
        stand_in=stand_in,
        auto=auto,
        undecided=bool(unreadable)
        or requirement.unread
        or any(j.reason in UNDECIDED and j.approval.spec.step is None for j in ordered),
        emergency=_counted(override, override.approval.spec.role) if override else None,
        confirmed={step: counted for step, counted in reversed(confirmations) if step is not None},
    )


def _override(judgement: Judgement, required: tuple[str, ...]) -> StandIn:
    """The emergency role stands in for all others."""
    spec = judgement.approval.spec
    message = f"{spec.approver} overrides {', '.join(required)} as {spec.role}: {redact_quote(spec.reason or '')}"
    return StandIn(EMERGENCY_OVERRIDE, "override", message, (_counted(judgement, spec.role),))


def _start_by_itself(auto: AutoVerdict, missing: tuple[str, ...]) -> StandIn:
    """The policy stands in for the roles that nobody has filled."""
    counted = tuple(
        CountedApproval(uid=auto.policy_uid, approver=auto.by, role=role, proof=Proof.AUTO)
        for role in dict.fromkeys(missing)
    )
    return StandIn(AUTO_APPROVED, "auto", f"{auto.by} lets it start without approvals", counted)


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
        step=approval.spec.step,
        at=created,
        ref=approval.metadata.name,
        uid=approval.metadata.uid,
        verified_by=judgement.proof,
        reason=judgement.reason,
    )
