"""Gathers what approvals are judged by: trust roots, the admission policy, the namespace's policy, the approvers'
rights."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from bokgu.api.incident import Incident
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.api.unchecked import Unreadable
from bokgu.api.vocabulary import Mode, Proof
from bokgu.core.approval.admission import APPROVAL_POLICY, fence_version, judge_fence
from bokgu.core.approval.auto import judge_auto
from bokgu.core.approval.judgement import (
    AdmissionFence,
    Authenticated,
    Judgement,
    TrustRoots,
    authenticate_approval,
    build_trust_roots,
    judge_approval,
)
from bokgu.core.approval.requirement import Requirement, build_requirement, find_stakes
from bokgu.core.approval.tally import Tally, tally_approvals
from bokgu.core.recovery_policy import Policies, PolicyReading
from bokgu.kube.client import KubeError, Raw
from bokgu.reconcile.context import Context
from bokgu.reconcile.surroundings import find_begun_lately


async def fetch_policies(context: Context, namespace: str) -> Policies:
    """The policies that a plan of the namespace heeds, from the API server."""
    namespaces = dict.fromkeys((namespace, context.settings.namespace))
    found = await asyncio.gather(*(_fetch_policy(context, one) for one in namespaces))
    return Policies(found[0], found[-1])


async def _fetch_policy(context: Context, namespace: str) -> PolicyReading:
    try:
        return PolicyReading(await context.fetch(RecoveryPolicy, namespace, POLICY_NAME))
    except Unreadable:
        return _unreadable(namespace)


def know_policies(context: Context, namespace: str) -> Policies:
    """What the store has of the policies that a plan of the namespace heeds."""
    return Policies(know_policy(context, namespace), know_policy(context, context.settings.namespace))


def know_policy(context: Context, namespace: str) -> PolicyReading:
    """What the store has of a namespace's RecoveryPolicy."""
    try:
        return PolicyReading(context.find(RecoveryPolicy, namespace, POLICY_NAME))
    except Unreadable:
        return _unreadable(namespace)


def _unreadable(namespace: str) -> PolicyReading:
    return PolicyReading(None, f"the RecoveryPolicy of namespace {namespace} cannot be read by this version")


async def read_approvals(context: Context, plan: RecoveryPlan, *, live: bool) -> list[Raw]:
    """All approvals that name the plan, from the API server or the store. The former may take a tenth of a second: the
    API server waits until its cache is as new as the question (KEP-2340)."""
    namespace, name = plan.metadata.namespace, plan.metadata.name
    if not live:
        return list(context.objects.related(PlanApproval.plural, namespace, name))
    return [raw async for raw in context.kube.list(PlanApproval.plural, namespace, where={"spec.planRef.name": name})]


async def tally_plan(
    context: Context,
    plan: RecoveryPlan,
    digest: str,
    bodies: Sequence[Raw],
    *,
    incident: Incident | None,
    protected: ProtectedService | None,
    policy: PolicyReading,
) -> Tally:
    """Judge all approvals that name the plan."""
    namespace = plan.metadata.namespace
    requirement = gather_requirement(context, plan, policy, incident=incident, protected=protected)
    approvals = context.readable(PlanApproval, bodies)
    judgements = await judge_approvals(context, approvals, digest, requirement)
    settings = context.settings
    auto = judge_auto(
        plan,
        plans=find_begun_lately(context, namespace) if _may_start_by_itself(protected) else (),
        policy=policy.found,
        protected_service=protected,
        incident=incident,
        enabled=namespace in settings.auto_namespaces,
        hour=settings.hour,
        now=context.clock(),
    )
    return tally_approvals(
        requirement,
        judgements,
        unreadable=len(bodies) - len(approvals),
        emergency_role=settings.emergency_role,
        auto=auto,
    )


def _may_start_by_itself(protected: ProtectedService | None) -> bool:
    return protected is not None and protected.spec.mode is Mode.AUTO


def gather_requirement(
    context: Context,
    plan: RecoveryPlan,
    policy: PolicyReading,
    *,
    incident: Incident | None,
    protected: ProtectedService | None,
) -> Requirement:
    """What the plan needs. What comes after it has begun asks for nothing more of it."""
    bound = incident if incident and incident.metadata.uid == plan.spec.incident_ref.uid else None
    others: list[Incident] = []
    if plan.status.started_at is None:
        found = context.find_open_related(Incident, plan.metadata.namespace, plan.spec.service_ref.name)
        others = [i for i in found if i.metadata.uid != plan.spec.incident_ref.uid]
    stakes = find_stakes(plan, bound, others, protected.spec.environment if protected else None)
    return build_requirement(plan, stakes, policy.found, problem=policy.problem)


async def judge_approvals(
    context: Context, approvals: Sequence[PlanApproval], digest: str | None, requirement: Requirement
) -> list[Judgement]:
    """Judge approvals of one plan now: trust roots, admission policy and rights are read live. `digest` None: there is
    no such plan."""
    roots, fence = TrustRoots(), AdmissionFence(None)
    if digest is not None and any(approval.spec.plan_digest == digest for approval in approvals):
        roots, fence = await asyncio.gather(_trust_roots(context), read_fence(context))
    moment = context.moment()
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
            emergency_role=context.settings.emergency_role,
            moment=moment,
        )
        for approval, said, right in zip(approvals, authenticated, rights, strict=True)
    ]


QUESTIONS = 8
"""Rights that one pass asks for at the same time."""


class Right(NamedTuple):
    """What an approval rests on: that the approver, in these groups, may approve as the role in the namespace."""

    approver: str
    groups: tuple[str, ...]
    namespace: str
    role: str


def _right(approval: PlanApproval, proof: Proof) -> Right:
    """What an approval rests on. Groups count only where admission has checked them: a signer could claim any."""
    spec = approval.spec
    groups = spec.approver_groups if proof is Proof.CLUSTER else ()
    return Right(spec.approver, tuple(sorted(set(groups))), approval.metadata.namespace, spec.role)


async def _ask_rights(context: Context, rights: set[Right]) -> dict[Right, bool | None]:
    """Ask the API server, once for each right however many approvals rest on it. None: it did not say."""
    together = asyncio.Semaphore(QUESTIONS)

    async def ask(right: Right) -> bool | None:
        try:
            async with together:
                return await context.kube.may(
                    right.approver,
                    right.groups,
                    namespace=right.namespace,
                    verb="approve",
                    resource="approvalroles",
                    name=right.role,
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
        return TrustRoots(problem=f"the trust roots could not be read: {error}", delegates=settings.delegates)
    return build_trust_roots(data, delegates=settings.delegates)


async def read_fence(context: Context) -> AdmissionFence:
    """What the admission policy vouches for, as the API server has it now."""
    try:
        policy, binding = await context.kube.admission_policy(APPROVAL_POLICY)
    except KubeError as error:
        return AdmissionFence(None, f"the admission policy that vouches for it could not be read: {error}", unread=True)
    seen_since = context.remember_fence(fence_version(policy, binding))
    return judge_fence(policy, binding, context.settings.policy_settle, seen_since=seen_since)
