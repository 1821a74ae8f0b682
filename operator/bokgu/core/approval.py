"""Approval: what a plan's digest is, and which approvals of it count (S8)."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import API_VERSION, Condition, set_condition
from bokgu.api.plan_approval import PlanApproval, PlanApprovalSpec, PlanApprovalStatus
from bokgu.api.recovery_plan import ApprovalStatus, CountedApproval
from bokgu.api.vocabulary import Decision, Proof, Role, Severity
from bokgu.core import ssh_signature
from bokgu.core.ssh_signature import AllowedSigner, BadSignature

RIGHT_UNKNOWN = "RightUnknown"
"""Reason of an approval whose approver's right the API server did not say."""


def plan_digest(cluster_id: str, plan: Mapping[str, Any]) -> str:
    """Digest of a plan as a GET returns it: sha256 over RFC 8785 canonical JSON.

    It binds the cluster (uid of the kube-system namespace), the namespace, the names and the whole spec but `suspend`.
    """
    spec = {key: value for key, value in plan["spec"].items() if key != "suspend"}
    document = {
        "clusterID": cluster_id,
        "namespace": plan["metadata"]["namespace"],
        "name": plan["metadata"]["name"],
        "incidentRef": {"uid": spec["incidentRef"]["uid"]},
        "spec": spec,
    }
    return "sha256:" + hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def approval_statement(digest: str, role: str, decision: Decision, valid_until: datetime) -> bytes:
    """The bytes that an approver signs."""
    lines = (
        "bokgu.dev/approval v1",
        f"digest: {digest}",
        f"role: {role}",
        f"decision: {decision}",
        f"validUntil: {format_timestamp(valid_until)}",
    )
    return ("\n".join(lines) + "\n").encode()


def required_roles(worst: Severity | None, own: Iterable[str]) -> tuple[str, ...]:
    """The plan's own roles and the built-in minimum, which nothing lowers.

    The minimum for `high` and `critical` is system_admin and service_owner, below that service_owner. `worst` is the
    worst of severity and impact; None (not known) counts as critical.
    """
    worst = worst or Severity.CRITICAL
    minimum = (Role.SYSTEM_ADMIN, Role.SERVICE_OWNER) if worst.rank >= Severity.HIGH.rank else (Role.SERVICE_OWNER,)
    return tuple(dict.fromkeys((*(str(role) for role in minimum), *own)))


@dataclass(frozen=True)
class TrustRoots:
    """What signatures are checked against; `problem` says why it could not be read, and then nothing signed counts."""

    signers: tuple[AllowedSigner, ...] = ()
    revoked: frozenset[bytes] = frozenset()
    problem: str | None = None


@dataclass(frozen=True)
class AdmissionFence:
    """The policy that vouches for unsigned approvals: since when every API server surely enforces it."""

    enforced_since: datetime | None


@dataclass(frozen=True)
class Judgement:
    """Whether one approval counts. `proof` is set only if it does."""

    approval: PlanApproval
    reason: str
    message: str
    proof: Proof | None = None

    @property
    def accepted(self) -> bool:
        """Whether it counts."""
        return self.proof is not None


def build_trust_roots(data: Mapping[str, str] | None) -> TrustRoots:
    """Trust roots from the ConfigMap's `allowed_signers` and `revoked`. What cannot be read trusts nobody."""
    if data is None:
        return TrustRoots(problem="the ConfigMap with allowed_signers is missing")
    try:
        return TrustRoots(
            signers=ssh_signature.parse_allowed_signers(data.get("allowed_signers", "")),
            revoked=ssh_signature.parse_revoked(data.get("revoked", "")),
        )
    except ValueError as error:
        return TrustRoots(problem=str(error))


def authenticate_approval(
    approval: PlanApproval, roots: TrustRoots, fence: AdmissionFence, *, now: datetime
) -> tuple[Proof, str] | BadSignature:
    """Who vouches for the approver's name: their SSH key, or the API server's admission policy.

    Returns the proof with the name, or the reason why nobody does.
    """
    spec = approval.spec
    if spec.signature is not None:
        if roots.problem:
            return BadSignature(roots.problem)
        try:
            signature = ssh_signature.parse_signature(spec.signature)
            ssh_signature.verify_signature(
                signature, approval_statement(spec.plan_digest, spec.role, spec.decision, spec.valid_until)
            )
            principals = ssh_signature.find_principals(signature, roots.signers, roots.revoked, at=now)
        except BadSignature as error:
            return error
        if spec.approver not in principals:
            return BadSignature(f"the key belongs to {', '.join(principals)}, not to {spec.approver}")
        return (Proof.SIGNED, spec.approver)
    created = approval.metadata.creation_timestamp
    if fence.enforced_since is None or created is None or created <= fence.enforced_since:
        return BadSignature(
            "unsigned, and the admission policy that vouches for unsigned approvals is missing or younger than it"
        )
    return (Proof.CLUSTER, spec.approver)


def judge_approval(
    approval: PlanApproval,
    *,
    digest: str | None,
    authenticated: tuple[Proof, str] | BadSignature,
    may_approve: bool | None,
    now: datetime,
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
    if isinstance(authenticated, BadSignature):
        reason = "InvalidSignature" if spec.signature is not None else "NoProof"
        return Judgement(approval, reason, str(authenticated))
    if now >= spec.valid_until:
        return Judgement(approval, "Expired", f"it was valid until {format_timestamp(spec.valid_until)}")
    if approval.metadata.deletion_timestamp is not None:
        return Judgement(approval, "Withdrawn", "it is being deleted")
    proof, approver = authenticated
    if may_approve is None:
        return Judgement(approval, RIGHT_UNKNOWN, "the API server did not say whether the approver holds the role")
    if not may_approve:
        return Judgement(
            approval,
            "RoleNotHeld",
            f"{approver} may not approve as {spec.role}: RBAC grants it by verb approve on approvalroles/{spec.role}",
        )
    return Judgement(approval, "Accepted", f"{approver} says {spec.decision} as {spec.role} ({proof})", proof)


def approval_status(judgement: Judgement, *, now: datetime) -> PlanApprovalStatus:
    """The status that tells the approver whether the approval counts."""
    approval = judgement.approval
    conditions: tuple[Condition, ...] = set_condition(
        approval.status.conditions,
        "Accepted",
        judgement.accepted,
        judgement.reason,
        judgement.message,
        now=now,
        generation=approval.metadata.generation,
    )
    return PlanApprovalStatus(
        observed_generation=approval.metadata.generation, proof=judgement.proof, conditions=conditions
    )


@dataclass(frozen=True)
class Tally:
    """What the approvals of a plan come to."""

    required: tuple[str, ...]
    approvals: tuple[ApprovalStatus, ...]
    counted: tuple[CountedApproval, ...]
    missing: tuple[str, ...]
    rejected_by: str | None
    in_doubt: bool = False

    @property
    def approved(self) -> bool:
        """Whether every required role approves and nobody rejects, or may be rejecting (`in_doubt`)."""
        return not self.missing and self.rejected_by is None and not self.in_doubt

    @property
    def count(self) -> str:
        """Roles approved of roles required, such as 1/2."""
        return f"{len(self.required) - len(self.missing)}/{len(self.required)}"


def tally_approvals(required: tuple[str, ...], judgements: Iterable[Judgement], unreadable: int = 0) -> Tally:
    """Count the approvals: every required role needs a person of its own; one accepted Reject ends it.

    One whose right is not known, or one of the `unreadable`, may be a Reject: the plan is not approved meanwhile.
    """
    ordered = sorted(judgements, key=lambda j: (j.approval.metadata.creation_timestamp is None, _age(j)))
    accepted = [j for j in ordered if j.accepted]
    yes = [j for j in accepted if j.approval.spec.decision is Decision.APPROVE]
    assigned = _assign_people(required, yes)
    counted = tuple(
        CountedApproval(
            uid=j.approval.metadata.uid, approver=j.approval.spec.approver, role=role, proof=j.proof or Proof.CLUSTER
        )
        for role, j in assigned.items()
    )
    rejections = [j for j in accepted if j.approval.spec.decision is Decision.REJECT]
    return Tally(
        required=required,
        approvals=tuple(_approval_entry(j) for j in ordered[:32]),
        counted=counted,
        missing=tuple(role for role in required if role not in assigned),
        rejected_by=rejections[0].approval.spec.approver if rejections else None,
        in_doubt=unreadable > 0
        or any(j.reason == RIGHT_UNKNOWN and j.approval.spec.decision is Decision.REJECT for j in ordered),
    )


def _assign_people(required: tuple[str, ...], yes: list[Judgement]) -> dict[str, Judgement]:
    """Give every role an approval of another person: the largest assignment (augmenting paths)."""
    by_role = {role: [j for j in yes if j.approval.spec.role == role] for role in required}
    holder: dict[str, str] = {}  # person -> role
    chosen: dict[str, Judgement] = {}

    def place(role: str, tried: set[str]) -> bool:
        for judgement in by_role[role]:
            person = judgement.approval.spec.approver
            if person in tried:
                continue
            tried.add(person)
            if person not in holder or place(holder[person], tried):
                holder[person], chosen[role] = role, judgement
                return True
        return False

    for role in required:
        place(role, set())
    return {role: chosen[role] for role in required if role in chosen}


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


def build_approval(
    *,
    plan: str,
    namespace: str,
    digest: str,
    role: str,
    decision: Decision,
    approver: str,
    valid_until: datetime,
    signature: str | None = None,
) -> dict[str, Any]:
    """The manifest of an approval. Without a signature only the approver themselves can create it.

    The name contains the digest, and a hash of all that is said: an approval never takes the name of another one.
    """
    spec = PlanApprovalSpec.model_validate(
        {
            "planRef": {"name": plan},
            "planDigest": digest,
            "role": role,
            "decision": decision,
            "approver": approver,
            "validUntil": valid_until,
            "signature": signature,
        }
    ).to_dict()
    said = hashlib.sha256(rfc8785.dumps(spec)).hexdigest()[:8]
    return {
        "apiVersion": API_VERSION,
        "kind": PlanApproval.kind_name,
        "metadata": {"name": f"{plan[:200]}-{digest[7:19]}-{said}", "namespace": namespace},
        "spec": spec,
    }
