"""Gathers what approvals are judged by: trust roots, the admission policy, and the approvers' rights."""

import asyncio
from collections.abc import Sequence

from bokgu.api.plan_approval import PlanApproval
from bokgu.api.vocabulary import Proof
from bokgu.core.approval import (
    AdmissionFence,
    Judgement,
    TrustRoots,
    authenticate_approval,
    build_trust_roots,
    judge_approval,
)
from bokgu.core.ssh_signature import BadSignature
from bokgu.kube.client import KubeError
from bokgu.reconcile.context import Context

APPROVAL_POLICY = "bokgu-plan-approvals"
"""Name of the ValidatingAdmissionPolicy, and of its binding, that vouch for unsigned approvals."""


async def judge_approvals(context: Context, approvals: Sequence[PlanApproval], digest: str | None) -> list[Judgement]:
    """Judge approvals of one plan now, all of it read live. `digest` None: there is no such plan."""
    if not approvals:
        return []
    now = context.clock()
    roots, fence = await asyncio.gather(_trust_roots(context), _fence(context))

    async def judge(approval: PlanApproval) -> Judgement:
        authenticated = authenticate_approval(approval, roots, fence, now=now)
        may = None
        if not isinstance(authenticated, BadSignature) and digest == approval.spec.plan_digest:
            may = await _may_approve(context, approval, *authenticated)
        return judge_approval(approval, digest=digest, authenticated=authenticated, may_approve=may, now=now)

    return await asyncio.gather(*(judge(approval) for approval in approvals))


async def _may_approve(context: Context, approval: PlanApproval, proof: Proof, approver: str) -> bool | None:
    """Ask the API server. Groups count only where admission has checked them: a signer could claim any."""
    groups = approval.spec.approver_groups if proof is Proof.CLUSTER else ()
    try:
        return await context.kube.may(
            approver,
            groups,
            namespace=approval.metadata.namespace,
            verb="approve",
            resource="approvalroles",
            name=approval.spec.role,
        )
    except KubeError:
        return None


async def _trust_roots(context: Context) -> TrustRoots:
    settings = context.settings
    try:
        return build_trust_roots(await context.kube.config_map(settings.namespace, settings.signers_config_map))
    except KubeError as error:
        return TrustRoots(problem=f"the trust roots could not be read: {error}")


async def _fence(context: Context) -> AdmissionFence:
    try:
        changed = await context.kube.policy_enforced_since(APPROVAL_POLICY)
        return AdmissionFence(None if changed is None else changed + context.settings.policy_settle)
    except KubeError:
        return AdmissionFence(None)
