"""Which ProtectedServices are about the same ECS service."""

from bokgu.api.fields import format_timestamp
from bokgu.api.protected_service import ProtectedService
from bokgu.reconcile.context import Context
from bokgu.reconcile.role_grants import is_allowed


def find_elder(context: Context, protected: ProtectedService) -> ProtectedService | None:
    """An older ProtectedService for the same ECS service, in any namespace: two locks on one service are none (S5).

    One whose namespace may not assume its role protects nothing, and keeps nobody from it, unless a plan of it is at
    work still.
    """
    if not _protects(context, protected):
        return None
    ecs = protected.spec.ecs
    named = f"{ecs.cluster.rpartition('/')[2]}/{ecs.service}"
    bodies = context.objects.related(ProtectedService.plural, protected.spec.region, named)
    others = context.readable(ProtectedService, bodies)
    elders = (o for o in others if _same_account(o, protected) and _age(o) < _age(protected) and _protects(context, o))
    return min(elders, key=_age, default=None)


def _protects(context: Context, one: ProtectedService) -> bool:
    return is_allowed(context, one) or one.status.active_plan is not None


def _same_account(one: ProtectedService, other: ProtectedService) -> bool:
    """Not surely in two accounts: without a role the account is not known."""
    accounts = {
        s.spec.role_arn.split(":")[4] for s in (one, other) if s.spec.role_arn and s.spec.role_arn.count(":") >= 5
    }
    known = all(s.spec.role_arn for s in (one, other))
    return not (known and len(accounts) == 2)


def _age(one: ProtectedService) -> tuple[str, str]:
    created = one.metadata.creation_timestamp
    return (format_timestamp(created) if created else "", one.metadata.uid)
