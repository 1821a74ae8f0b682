"""Whose roles a pass may assume: one place, before any pass begins, so that none can forget it."""

from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.reconcile.context import Context, Key


def act_for(context: Context, key: Key) -> Context:
    """The context for one pass over an object: its AWS calls assume what the object's namespace may assume, and show
    that namespace's external id.

    A plan that has written an intent goes on with the role that it was pinned to: what was begun is seen to its end, or
    undone, whatever configuration says meanwhile (S1). A guard keeps it from beginning anything new.
    """
    return context.on_behalf_of(key[1], pinned=_pinned_role(context, key) if key[0] == RecoveryPlan.plural else None)


def _pinned_role(context: Context, key: Key) -> str | None:
    """The role of a plan that has written an intent. Only the operator writes status (S13)."""
    status = (context.objects.get(key) or {}).get("status") or {}
    if not any(step.get("intent") for step in status.get("steps", ())):
        return None
    role: str | None = status.get("target", {}).get("roleArn")
    return role


def find_refusal(context: Context, namespace: str, role_arn: str | None) -> str | None:
    """Why configuration does not let the namespace assume the role, and what to do; None where it does."""
    grant = context.grant_for(namespace)
    return None if role_arn is None or grant.covers(role_arn) else grant.refuse(role_arn)


def is_allowed(context: Context, protected: ProtectedService) -> bool:
    """Whether the namespace of a ProtectedService may assume the role that it names, if any."""
    return find_refusal(context, protected.metadata.namespace, protected.spec.role_arn) is None
