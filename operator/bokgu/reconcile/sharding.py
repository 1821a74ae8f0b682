"""Which objects this process acts for.

Every process sees all objects: budgets, storms, dependencies and locks are about those of other shards, too. It makes
passes over those of its own shard only, and looks at those services only.
"""

from collections.abc import Mapping
from typing import Any

from bokgu.api.incident import Incident
from bokgu.api.phases import has_ended
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.shards import read_shard, with_shard
from bokgu.api.unchecked import objects_at, text_at
from bokgu.reconcile.context import Context, Key, Objects

_CARRIERS = frozenset({Incident.plural, RecoveryPlan.plural})
"""Kinds whose objects carry the label of their service."""


def is_ours(context: Context, key: Key) -> bool:
    """Whether this process makes passes over what the key names.

    Also where it has stored an intent that it has not sent yet, and the service has just gone to another shard: nobody
    else can send it.
    """
    shard = find_shard(context.objects, key)
    return shard is None or shard == context.settings.shard or _is_about_to_send(context, key)


def find_shard(objects: Objects, key: Key) -> str | None:
    """The shard of what the key names; None where all processes have a part of it, or it is gone.

    What is about a service is where the ProtectedService is, whatever its own label says; without one, where its own
    label says. An approval is where its plan is.
    """
    plural, namespace, name = key
    if plural == "history":
        plural = Incident.plural
    body = objects.get((plural, namespace, name))
    if body is None:
        return None
    if plural == PlanApproval.plural:
        plan = objects.get((RecoveryPlan.plural, namespace, _refer(body, "planRef")))
        body = plan if plan is not None else body
    service = _refer(body, "serviceRef")
    protected = objects.get((ProtectedService.plural, namespace, service)) if service else None
    return read_shard(protected if protected is not None else body)


def inherit_labels(context: Context, namespace: str, service: str) -> dict[str, dict[str, str]]:
    """The `labels` of the metadata of what is made for a service; nothing in the default shard."""
    protected = context.objects.get((ProtectedService.plural, namespace, service))
    labels = with_shard({}, read_shard(protected)) if protected else {}
    return {"labels": labels} if labels else {}


async def carry_shard(context: Context, key: Key) -> None:
    """Put the label of its service on an incident or a plan that is not over: who finds it without its service must
    know whose it is. Raises KubeError."""
    body = context.objects.get(key) if key[0] in _CARRIERS else None
    protected = context.objects.get((ProtectedService.plural, key[1], _refer(body, "serviceRef"))) if body else None
    if body is None or protected is None or has_ended(key[0], body) or read_shard(body) == read_shard(protected):
        return
    metadata = {**body["metadata"], "labels": with_shard(body["metadata"].get("labels") or {}, read_shard(protected))}
    await context.replace(key[0], {**body, "metadata": metadata})


def _refer(body: Mapping[str, Any] | None, field: str) -> str:
    """The name in a reference of the spec; "" where there is none."""
    return text_at(body, "spec", field, "name")


def _is_about_to_send(context: Context, key: Key) -> bool:
    body = context.objects.get(key) if key[0] == RecoveryPlan.plural and context.unsent else None
    operations = (o for step in objects_at(body, "status", "steps") for o in (step, step.get("rollback")))
    return any(text_at(o, "intent", "token") in context.unsent for o in operations)
