"""What an approver says: the bytes that are signed, and the manifest that carries them."""

import hashlib
from datetime import datetime
from typing import Any

import rfc8785

from bokgu.api.fields import bounded, format_timestamp
from bokgu.api.meta import API_VERSION, EVENT_NOTE
from bokgu.api.plan_approval import PlanApproval, PlanApprovalSpec
from bokgu.api.vocabulary import Decision


def approval_statement(
    digest: str, role: str, decision: Decision, valid_until: datetime, step: str | None = None
) -> bytes:
    """The bytes that an approver signs. With a `step` there is a line more: what is said of a step is signed for that
    step alone, and what is said of the plan for none."""
    lines = (
        "bokgu.dev/approval v1",
        f"digest: {digest}",
        f"role: {role}",
        f"decision: {decision}",
        *((f"step: {step}",) if step is not None else ()),
        f"validUntil: {format_timestamp(valid_until)}",
    )
    return ("\n".join(lines) + "\n").encode()


def signed_statement(spec: PlanApprovalSpec) -> bytes:
    """The bytes that the signature of an approval covers."""
    return approval_statement(spec.plan_digest, spec.role, spec.decision, spec.valid_until, spec.step)


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
    carried_by: str | None = None,
    approver_groups: tuple[str, ...] = (),
    reason: str | None = None,
    step: str | None = None,
) -> dict[str, Any]:
    """The manifest of an approval. With neither signature nor `carried_by` only the approver themselves can create it.

    The name contains the digest, and a hash of all that is said: an approval never takes the name of another one.
    """
    spec = PlanApprovalSpec.model_validate(
        {
            "planRef": {"name": plan},
            "planDigest": digest,
            "role": role,
            "decision": decision,
            "step": step,
            "approver": approver,
            "approverGroups": approver_groups,
            "validUntil": valid_until,
            "reason": reason,
            "signature": signature,
            "carriedBy": carried_by,
        }
    ).to_dict()
    if not approver_groups:
        del spec["approverGroups"]
    said = hashlib.sha256(rfc8785.dumps(spec)).hexdigest()[:8]
    return {
        "apiVersion": API_VERSION,
        "kind": PlanApproval.kind_name,
        "metadata": {"name": f"{plan[:200]}-{digest[7:19]}-{said}", "namespace": namespace},
        "spec": spec,
    }


def approval_request(
    plan: str, namespace: str, digest: str, roles: tuple[str, ...], until: datetime, *, step: str | None = None
) -> str:
    """The manifest that waits for a person's name and signature, ready to commit: what an approval request carries.

    `roles` are those that nobody has filled yet, or with a `step` those of which one may confirm it; the first one is
    in the manifest. It fits into the note of an Event.
    """
    first, *others = dict.fromkeys(roles)
    more = "or" if step else "one more each for"
    also = f"  # {more} {bounded(', '.join(others), 100)}" if others else ""
    name = f"{plan[:150]}-{digest[7:19]}-{(step or first).replace('_', '-')}-your-name"
    lines = (
        f"apiVersion: {API_VERSION}",
        f"kind: {PlanApproval.kind_name}",
        f'metadata: {{name: "{name}", namespace: "{namespace}"}}',
        "spec:",
        f'  planRef: {{name: "{plan}"}}',
        f"  planDigest: {digest}",
        f"  role: {first}{also}",
        "  decision: Approve",
        *((f"  step: {step}",) if step else ()),
        "  approver: YOUR-NAME",
        f'  validUntil: "{format_timestamp(until)}"',
        "  signature: YOUR-SIGNATURE",
    )
    manifest = "\n".join(lines) + "\n"
    named = f" --step {step}" if step else ""
    hint = f"# bokgu approve {plan} -n {namespace} --role {first}{named} --sign KEY --out DIR writes it with both\n"
    return manifest + hint if len((manifest + hint).encode()) <= EVENT_NOTE else manifest
