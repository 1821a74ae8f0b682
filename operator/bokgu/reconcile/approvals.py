"""Gathers what approvals are judged by: trust roots, the admission policy, the namespace's policy, the approvers'
rights."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from bokgu.api.incident import Incident
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.api.vocabulary import Proof, Severity
from bokgu.core.approval.admission import APPROVAL_POLICY, fence_version, judge_fence
from bokgu.core.approval.auto import judge_auto
from bokgu.core.approval.judgement import (
    AdmissionFence,
    Authenticated,
    Judgement,
    Moment,
    TrustRoots,
    authenticate_approval,
    build_trust_roots,
    judge_approval,
)
from bokgu.core.approval.requirement import Requirement, Stakes, build_requirement
from bokgu.core.approval.tally import Tally, tally_approvals
from bokgu.core.lifecycle import is_over
from bokgu.kube.client import KubeError
from bokgu.reconcile.context import Context


@dataclass(frozen=True)
class Policy:
    """The namespace's RecoveryPolicy, or why it cannot be read: then nothing is approved (S6)."""

    found: RecoveryPolicy | None
    problem: str | None = None


async def read_policy(context: Context, namespace: str, *, live: bool = False) -> Policy:
    """The namespace's RecoveryPolicy, from the store or from the API server."""
    try:
        if live:
            return Policy(await context.fetch(RecoveryPolicy, namespace, POLICY_NAME))
        return Policy(context.find(RecoveryPolicy, namespace, POLICY_NAME))
    except ValidationError:
        return Policy(None, "the RecoveryPolicy of the namespace cannot be read by this version")


async def tally_plan(
    context: Context,
    plan: RecoveryPlan,
    digest: str,
    *,
    incident: Incident | None,
    protected: ProtectedService | None,
    live: bool,
) -> Tally:
    """Judge all approvals that name the plan; `live` lists them, and reads the policy, from the API server (S1)."""
    namespace, name = plan.metadata.namespace, plan.metadata.name
    if live:
        listed = [raw async for raw in context.kube.list(PlanApproval.plural, namespace)]
        bodies = [body for body in listed if body["spec"]["planRef"]["name"] == name]
    else:
        bodies = list(context.objects.related(PlanApproval.plural, namespace, name))
    policy = await read_policy(context, namespace, live=live)
    requirement = gather_requirement(plan, policy, incident, protected, find_other_incidents(context, plan))
    approvals = context.readable(PlanApproval, bodies)
    judgements = await judge_approvals(context, approvals, digest, requirement)
    settings = context.settings
    auto = judge_auto(
        plan,
        policy=policy.found,
        protected_service=protected,
        incident=incident,
        enabled=namespace in settings.auto_namespaces,
        hour=60 * settings.minute,
        now=context.clock(),
    )
    return tally_approvals(
        requirement,
        judgements,
        unreadable=len(bodies) - len(approvals),
        emergency_role=settings.emergency_role,
        auto=auto,
    )


def find_other_incidents(context: Context, plan: RecoveryPlan) -> list[Incident]:
    """Open incidents of the plan's service besides its own, until it has begun: what comes later asks for nothing more
    of a plan at work."""
    if plan.status.started_at is not None:
        return []
    found = context.find_related(Incident, plan.metadata.namespace, plan.spec.service_ref.name)
    return [i for i in found if i.metadata.uid != plan.spec.incident_ref.uid and not is_over(i)]


def gather_requirement(
    plan: RecoveryPlan,
    policy: Policy,
    incident: Incident | None,
    protected: ProtectedService | None,
    others: Iterable[Incident] = (),
) -> Requirement:
    """What the plan needs. An incident that nobody has classified yet may be worse than whoever filed it says.

    `others` are the other open incidents of the service: a plan changes the whole service, and a harmless incident
    beside a grave one must not be the easier way to do it.
    """
    snapshot = plan.spec.classification
    told = incident.status.classification if incident and incident.metadata.uid == plan.spec.incident_ref.uid else None
    known: list[Severity] = []
    if incident and told:
        known = [incident.spec.severity, told.impact_level, *([snapshot.impact_level] if snapshot else [])]
        for other in others:
            seen = other.status.classification
            known += [other.spec.severity, *([seen.impact_level] if seen else [])]
    stakes = Stakes(
        worst=max(known, key=lambda s: s.rank, default=None),
        environment=protected.spec.environment if protected else None,
        actions=frozenset(step.action for step in plan.spec.steps),
    )
    return build_requirement(plan, stakes, policy.found, problem=policy.problem)


async def judge_approvals(
    context: Context, approvals: Sequence[PlanApproval], digest: str | None, requirement: Requirement
) -> list[Judgement]:
    """Judge approvals of one plan now, all of it read live. `digest` None: there is no such plan."""
    if not approvals:
        await _fence(context)  # To know how old a changed policy is when the first approval comes.
        return []
    roots, fence = await asyncio.gather(_trust_roots(context), _fence(context))
    now, ahead = context.clock(), context.kube.clock_ahead
    moment = Moment(min(now, now + ahead), max(now, now + ahead))
    authenticated = [authenticate_approval(approval, roots, fence, moment=moment) for approval in approvals]
    rights = [
        _right(approval, said.proof)
        if isinstance(said, Authenticated) and digest == approval.spec.plan_digest
        else None
        for approval, said in zip(approvals, authenticated, strict=True)
    ]
    held = await _ask_rights(context, {right for right in rights if right is not None})
    return [
        judge_approval(
            approval,
            digest=digest,
            requirement=requirement,
            authenticated=said,
            may_approve=held[right] if right else None,
            emergency_role=roots.emergency_role,
            moment=moment,
        )
        for approval, said, right in zip(approvals, authenticated, rights, strict=True)
    ]


Right = tuple[str, tuple[str, ...], str, str]
"""Approver, their groups, namespace and role."""


def _right(approval: PlanApproval, proof: Proof) -> Right:
    """What an approval rests on. Groups count only where admission has checked them: a signer could claim any."""
    spec = approval.spec
    groups = spec.approver_groups if proof is Proof.CLUSTER else ()
    return (spec.approver, groups, approval.metadata.namespace, spec.role)


async def _ask_rights(context: Context, rights: set[Right]) -> dict[Right, bool | None]:
    """Ask the API server, once for each right however many approvals rest on it. None: it did not say."""

    async def ask(right: Right) -> bool | None:
        approver, groups, namespace, role = right
        try:
            return await context.kube.may(
                approver, groups, namespace=namespace, verb="approve", resource="approvalroles", name=role
            )
        except KubeError:
            return None

    asked = list(rights)
    return dict(zip(asked, await asyncio.gather(*map(ask, asked)), strict=True))


async def _trust_roots(context: Context) -> TrustRoots:
    settings = context.settings
    try:
        data = await context.kube.config_map(settings.namespace, settings.signers_config_map)
    except KubeError as error:
        unread = TrustRoots(problem=f"the trust roots could not be read: {error}")
        return replace(unread, delegates=settings.delegates, emergency_role=settings.emergency_role)
    return build_trust_roots(data, delegates=settings.delegates, emergency_role=settings.emergency_role)


async def _fence(context: Context) -> AdmissionFence:
    try:
        policy, binding = await context.kube.admission_policy(APPROVAL_POLICY)
    except KubeError as error:
        return AdmissionFence(None, f"the admission policy that vouches for it could not be read: {error}", unread=True)
    seen_since = context.remember_fence(fence_version(policy, binding))
    return judge_fence(policy, binding, context.settings.policy_settle, seen_since=seen_since)
