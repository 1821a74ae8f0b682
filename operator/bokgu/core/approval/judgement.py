"""Whether one approval counts: who vouches for the approver's name, and may they speak for the role (S8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import set_condition
from bokgu.api.plan_approval import PlanApproval, PlanApprovalStatus
from bokgu.api.vocabulary import Decision, Proof
from bokgu.core.approval.requirement import Requirement
from bokgu.core.approval.statement import signed_statement
from bokgu.core.moment import Moment
from bokgu.core.ssh.allowed_signers import AllowedSigner, check_signer, parse_allowed_signers
from bokgu.core.ssh.revocation import Revocations, parse_revoked
from bokgu.core.ssh.signature import BadSignature, parse_signature, verify_signature

RIGHT_UNKNOWN = "RightUnknown"
"""Reason of an approval whose approver's right the API server did not say."""

UNDECIDED = frozenset({RIGHT_UNKNOWN, "SignersUnreadable", "ProofUnknown"})
"""Reasons of approvals that may count after all: what they are judged by could not be read."""

NOTHING_REVOKED = Revocations()


@dataclass(frozen=True)
class TrustRoots:
    """What the operator's own configuration trusts, beyond the reach of whoever commits approvals.

    `problem` says why the signers could not be read, and then nothing signed counts. `delegates` are the accounts that
    may carry unsigned approvals.
    """

    signers: tuple[AllowedSigner, ...] = ()
    revoked: Revocations = NOTHING_REVOKED
    problem: str | None = None
    delegates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AdmissionFence:
    """The policy that vouches for unsigned approvals: since when every API server surely enforces it, or why it does
    not vouch.

    `unread`: whether it does is not known. `version` tells this state of the policy from others, and `changed` says
    that it was another one once: then `enforced_since` is no earlier than this process has seen it.
    """

    enforced_since: datetime | None
    problem: str = ""
    unread: bool = False
    version: str = ""
    changed: bool = False


@dataclass(frozen=True)
class Authenticated:
    """Somebody vouches for the approver's name. `fingerprint` is that of the key, `admission_policy` the version of the
    policy that does."""

    proof: Proof
    fingerprint: str | None = None
    admission_policy: str | None = None


@dataclass(frozen=True)
class Unproven:
    """Nobody vouches for the approver's name: (reason, message)."""

    reason: str
    message: str


@dataclass(frozen=True)
class Judgement:
    """Whether one approval counts. `proof` is set only if it does; `fingerprint` is that of the key that signed it,
    `admission_policy` the version of the policy that vouched for it."""

    approval: PlanApproval
    reason: str
    message: str
    proof: Proof | None = None
    fingerprint: str | None = None
    admission_policy: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether it counts."""
        return self.proof is not None


def build_trust_roots(data: Mapping[str, str] | None, *, delegates: frozenset[str] = frozenset()) -> TrustRoots:
    """Trust roots from the ConfigMap's `allowed_signers` and `revoked`. What cannot be read trusts nobody."""
    if data is None:
        return TrustRoots(problem="the ConfigMap with allowed_signers is missing", delegates=delegates)
    try:
        signers = parse_allowed_signers(data.get("allowed_signers", ""))
        revoked = parse_revoked(data.get("revoked", ""))
    except ValueError as error:
        return TrustRoots(problem=str(error), delegates=delegates)
    return TrustRoots(signers, revoked, delegates=delegates)


def authenticate_approval(
    approval: PlanApproval, roots: TrustRoots, fence: AdmissionFence, *, moment: Moment
) -> Authenticated | Unproven:
    """Who vouches for the approver's name: their SSH key, the API server's admission policy, or the review of the Git
    repository that a named account applies."""
    spec = approval.spec
    if spec.signature is not None:
        return _authenticate_signature(approval, spec.signature, roots, moment.to_judge(spec.decision))
    created = approval.metadata.creation_timestamp
    if fence.enforced_since is None:
        return Unproven("ProofUnknown" if fence.unread else "NoProof", f"unsigned, and {fence.problem}")
    # A process that has just begun cannot know how old a changed policy is. One before it did, and wrote that down.
    known = bool(fence.version) and approval.status.admission_policy == fence.version
    if not known and (created is None or created <= fence.enforced_since):
        reason = "ProofUnknown" if fence.changed else "NoProof"
        return Unproven(reason, "unsigned, and created before the admission policy was surely enforced: create it anew")
    if spec.carried_by is None:
        return Authenticated(Proof.CLUSTER, admission_policy=fence.version)
    if spec.carried_by not in roots.delegates:
        message = f"the operator's configuration (BOKGU_DELEGATES) does not let {spec.carried_by} carry approvals"
        return Unproven("NotDelegated", message)
    return Authenticated(Proof.DELEGATED, admission_policy=fence.version)


def _authenticate_signature(
    approval: PlanApproval, signature: str, roots: TrustRoots, moment: Moment
) -> Authenticated | Unproven:
    if roots.problem:
        return Unproven("SignersUnreadable", roots.problem)
    try:
        parsed = parse_signature(signature)
        verify_signature(parsed, signed_statement(approval.spec))
        check_signer(
            parsed,
            approval.spec.approver,
            roots.signers,
            roots.revoked,
            earliest=moment.earliest,
            latest=moment.latest,
        )
    except BadSignature as error:
        return Unproven("InvalidSignature", str(error))
    return Authenticated(Proof.SIGNED, parsed.fingerprint)


def judge_approval(
    approval: PlanApproval,
    *,
    digest: str | None,
    requirement: Requirement,
    authenticated: Authenticated | Unproven,
    may_approve: bool | None,
    emergency_role: str | None,
    moment: Moment,
) -> Judgement:
    """Decide whether an approval counts now.

    `digest` is the named plan's, None where there is no such plan; `may_approve` is the API server's answer to whether
    the approver may `approve` as that role, None where it gave none.
    """
    spec = approval.spec
    if digest is None:
        return Judgement(approval, "PlanNotFound", f"there is no plan {spec.plan_ref.name}")
    if spec.plan_digest != digest:
        return Judgement(approval, "DigestMismatch", f"the plan's digest is {digest}: approve that one")
    if moment.to_judge(spec.decision).latest >= spec.valid_until:
        return Judgement(approval, "Expired", f"it was valid until {format_timestamp(spec.valid_until)}")
    if approval.metadata.deletion_timestamp is not None:
        return Judgement(approval, "Withdrawn", "it is being deleted")
    if approval.metadata.generation != 1:
        # Nobody can while the CRD's rule holds. Whoever takes the rule away could change what another person said.
        return Judgement(approval, "Edited", "it was changed after its creation: create another one")
    if isinstance(authenticated, Unproven):
        return Judgement(approval, authenticated.reason, authenticated.message)
    if may_approve is None:
        return Judgement(approval, RIGHT_UNKNOWN, "the API server did not say whether the approver holds the role")
    if not may_approve:
        return Judgement(
            approval,
            "RoleNotHeld",
            f"{spec.approver} may not approve as {spec.role}: RBAC grants it by verb approve on"
            f" approvalroles/{spec.role}",
        )
    proof = authenticated.proof
    refused = _refuse(approval, proof, requirement, emergency_role, moment)
    if refused is not None:
        return Judgement(approval, *refused)
    about = f" to step {spec.step}" if spec.step else ""
    message = f"{spec.approver} says {spec.decision}{about} as {spec.role} ({_vouched(approval, proof)})"
    return Judgement(approval, "Accepted", message, proof, authenticated.fingerprint, authenticated.admission_policy)


def _refuse(
    approval: PlanApproval, proof: Proof, requirement: Requirement, emergency_role: str | None, moment: Moment
) -> tuple[str, str] | None:
    """(reason, message) of why an approval by the right person does not count after all. A Reject is held to none of
    it: stopping is always allowed."""
    spec = approval.spec
    if spec.decision is Decision.REJECT:
        return None
    created = approval.metadata.creation_timestamp
    if requirement.since is not None and (created is None or created < requirement.since):
        return "OlderThanPlan", "it was given before this plan was made, to another one of its name: create it anew"
    if proof not in requirement.proofs:
        allowed = ", ".join(p for p in Proof if p in requirement.proofs) or "none, as its rules contradict each other"
        return "ProofNotAllowed", f"{requirement.by} accepts only {allowed}, not {proof}"
    named = requirement.identities.get(spec.role)
    if named is not None and spec.approver not in named:
        return "NotNamed", f"{requirement.by} lets other people approve as {spec.role}: {', '.join(sorted(named))}"
    if requirement.until is not None and moment.latest >= requirement.until:
        return "Expired", f"{requirement.by} lets approvals count until {format_timestamp(requirement.until)}"
    if spec.step is not None:
        return _refuse_confirmation(spec.step, spec.role, created, requirement, moment)
    if spec.role == emergency_role:
        if proof is Proof.DELEGATED:
            return "ProofNotAllowed", "an emergency is declared by a person: sign it, or apply it with kubectl"
        if not spec.reason:
            return "ReasonMissing", "an emergency override says why, in spec.reason"
    return None


def _refuse_confirmation(
    step: str, role: str, created: datetime | None, requirement: Requirement, moment: Moment
) -> tuple[str, str] | None:
    """Why an Approve confirms no step after all. It must be younger than what it confirms, by both clocks: nobody has
    seen what had not happened yet."""
    if step not in requirement.steps:
        return "NoSuchStep", f"no step {step} of the plan waits for a person"
    if role not in requirement.roles:
        return "RoleNotRequired", f"a step is confirmed as one of {', '.join(dict.fromkeys(requirement.roles))}"
    since = requirement.steps[step]
    if since is None:
        return "StepNotWaiting", f"step {step} does not wait for a confirmation yet: confirm it anew when it does"
    if created is None or created <= since + (moment.latest - moment.earliest):
        return "OlderThanStep", f"it was given before step {step} waited for it: create it anew"
    return None


def _vouched(approval: PlanApproval, proof: Proof) -> str:
    if proof is Proof.DELEGATED:
        return f"Delegated: carried by {approval.spec.carried_by}, whose Git review alone vouches for the name"
    return str(proof)


def approval_status(judgement: Judgement, *, now: datetime) -> PlanApprovalStatus:
    """The status that tells the approver whether the approval counts."""
    approval = judgement.approval
    conditions = set_condition(
        approval.status.conditions,
        "Accepted",
        judgement.accepted,
        judgement.reason,
        judgement.message,
        now=now,
        generation=approval.metadata.generation,
    )
    return approval.status.model_copy(
        update={
            "observed_generation": approval.metadata.generation,
            "proof": judgement.proof,
            "admission_policy": judgement.admission_policy or approval.status.admission_policy,
            "conditions": conditions,
        }
    )
