"""Whose roles a pass may assume: one place, before any pass begins, so that none can forget it."""

from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.unchecked import objects_at, text_at
from bokgu.reconcile.context import Context, Key


def act_for(context: Context, key: Key) -> Context:
    """The context for one pass over an object: its AWS calls assume what the object's namespace may assume, and show
    that namespace's external id.

    A plan that has written an intent goes on with the roles that it was pinned to: what was begun is seen to its end,
    or undone, whatever configuration says meanwhile (S1). A guard keeps it from beginning anything new.
    """
    return context.on_behalf_of(key[1], pinned=_pinned_roles(context, key) if key[0] == RecoveryPlan.plural else ())


def _pinned_roles(context: Context, key: Key) -> tuple[str, ...]:
    """The roles of a plan that has written an intent: the service's, and those that its intents name. Only the operator
    writes status (S13)."""
    body = context.objects.get(key)
    steps = [step for step in objects_at(body, "status", "steps") if step.get("intent")]
    if not steps:
        return ()
    roles = (text_at(body, "status", "target", "roleArn"), *(text_at(step, "intent", "roleArn") for step in steps))
    return tuple(role for role in dict.fromkeys(roles) if role)


def find_refusal(context: Context, namespace: str, role_arn: str | None) -> str | None:
    """Why configuration does not let the namespace assume the role, and what to do; None where it does."""
    grant = context.grant_for(namespace)
    return None if role_arn is None or grant.covers(role_arn) else grant.refuse(role_arn)


def is_allowed(context: Context, protected: ProtectedService) -> bool:
    """Whether the namespace of a ProtectedService may assume the role that it names, if any."""
    return find_refusal(context, protected.metadata.namespace, protected.spec.role_arn) is None
