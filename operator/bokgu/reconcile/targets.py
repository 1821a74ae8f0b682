"""Which ProtectedServices are about the same ECS service."""

from bokgu.api.fields import format_timestamp
from bokgu.api.protected_service import ProtectedService
from bokgu.reconcile.context import Context


def find_elder(context: Context, protected: ProtectedService) -> ProtectedService | None:
    """An older ProtectedService for the same ECS service, in any namespace: two locks on one service are none (S5)."""
    others = context.readable(ProtectedService, context.objects.all(ProtectedService.plural))
    elders = (o for o in others if _same_target(o, protected) and _age(o) < _age(protected))
    return min(elders, key=_age, default=None)


def _same_target(one: ProtectedService, other: ProtectedService) -> bool:
    """Same region and names, and not surely in two accounts: without a role the account is not known."""
    places = {(s.spec.region, s.spec.ecs.cluster.rsplit("/", 1)[-1], s.spec.ecs.service) for s in (one, other)}
    accounts = {
        s.spec.role_arn.split(":")[4] for s in (one, other) if s.spec.role_arn and s.spec.role_arn.count(":") >= 5
    }
    known = all(s.spec.role_arn for s in (one, other))
    return len(places) == 1 and not (known and len(accounts) == 2)


def _age(one: ProtectedService) -> tuple[str, str]:
    created = one.metadata.creation_timestamp
    return (format_timestamp(created) if created else "", one.metadata.uid)
