"""Which ProtectedServices, and which plans, are about the same ECS service."""

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import Target, name_ecs_service
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.reconcile.context import Context
from bokgu.reconcile.role_grants import is_allowed


def find_elder(context: Context, protected: ProtectedService) -> ProtectedService | None:
    """An older ProtectedService for the same ECS service, in any namespace: two locks on one service are none (S5).

    One whose namespace may not assume its role protects nothing, and keeps nobody from it, unless a plan of it is at
    work still.
    """
    if not _protects(context, protected):
        return None
    target = protected.spec.target
    others = context.find_related(ProtectedService, target.region, name_ecs_service(target.cluster, target.service))
    elders = (
        o
        for o in others
        if _same_account(o.spec.target, target) and _age(o) < _age(protected) and _protects(context, o)
    )
    return min(elders, key=_age, default=None)


def find_at_work(context: Context, plan: RecoveryPlan, target: Target | None) -> str | None:
    """Another plan of the service that has begun and is not over, in any namespace: the lock may have gone with its
    object, or stand in one of another name (S5)."""
    others = context.find_open_related(RecoveryPlan, plan.metadata.namespace, plan.spec.service_ref.name)
    if target:
        there = context.find_open_related(RecoveryPlan, target.region, name_ecs_service(target.cluster, target.service))
        others += [o for o in there if o.status.target and _same_account(o.status.target, target)]
    at_work = (o for o in others if o.status.started_at)
    return next((_name(o, plan) for o in at_work if o.metadata.uid != plan.metadata.uid), None)


def _name(other: RecoveryPlan, plan: RecoveryPlan) -> str:
    here = other.metadata.namespace == plan.metadata.namespace
    return other.metadata.name if here else f"{other.metadata.namespace}/{other.metadata.name}"


def _protects(context: Context, one: ProtectedService) -> bool:
    return is_allowed(context, one) or one.status.active_plan is not None


def _same_account(one: Target, other: Target) -> bool:
    """Not surely in two accounts: without a role the account is not known."""
    roles = [target.role_arn for target in (one, other) if target.role_arn and target.role_arn.count(":") >= 5]
    return len({role.split(":")[4] for role in roles}) < 2


def _age(one: ProtectedService) -> tuple[str, str]:
    created = one.metadata.creation_timestamp
    return (format_timestamp(created) if created else "", one.metadata.uid)
