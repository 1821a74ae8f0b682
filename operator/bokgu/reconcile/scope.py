"""A pass over a scope: one account, region and role, with all that is watched there. A role is assumed for one
namespace, so what it shows is never handed to another.

AWS is asked once for everybody: services ten in a call, metrics five hundred in a call, equal queries once. What was
seen is laid down as a `Look` for each object, whose own pass decides on it. All objects of one interval are due at the
same moments, the multiples of the interval, so that they share their calls.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from bokgu.api.detector import Detector
from bokgu.api.fields import parse_duration
from bokgu.api.protected_service import ProtectedService
from bokgu.core.look import Look
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.looking import Scope, begin_looks, look_closer, measure
from bokgu.reconcile.scope_memory import ScopeMemory

PLURAL = "scopes"
"""What stands for a kind in the key of a scope; no such objects exist."""

SOON = timedelta(milliseconds=20)
"""A timer that rings a moment early must not spin."""

PATIENCE = 5.0
"""Seconds for CloudWatch to answer until what ECS said is handed out without it: outages are seen in ECS alone."""


def scope_key(protected: ProtectedService) -> Key:
    """The scope that a ProtectedService belongs to."""
    return name_scope(protected.metadata.namespace, protected.spec.region, protected.spec.role_arn)


def name_scope(namespace: str, region: str, role_arn: str | None) -> Key:
    """The key of a scope: of a region as the operator itself sees it, or as a namespace sees it through a role."""
    return (PLURAL, namespace, f"{region} {role_arn}") if role_arn else (PLURAL, "", region)


@dataclass(frozen=True)
class Due:
    """What is to be looked at now, and how long until something else is."""

    services: list[ProtectedService]
    detectors: list[Detector]
    wait: timedelta


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Look at all that is due, hand out what was seen, and say when to come again."""
    memory = context.scopes.setdefault(key, ScopeMemory())
    due = _find_due(context, key, memory)
    if due is None:
        del context.scopes[key]
        return None
    if due.services or due.detectors:
        region, _, role_arn = key[2].partition(" ")
        scope, now = Scope(region=region, role_arn=role_arn or None), context.clock()
        looks = await begin_looks(context, scope, memory, due.services, due.detectors)
        looks = await _measure(context, scope, memory, looks)
        _hand_out(context, looks)
        _hand_out(context, await look_closer(context, memory, due.services, looks))
        for one in (*due.services, *due.detectors):
            memory.looked_at[one.key] = (one.metadata.uid, one.metadata.generation, now)
        due = _find_due(context, key, memory)
    return max(due.wait, SOON) if due else None


async def _measure(context: Context, scope: Scope, memory: ScopeMemory, looks: dict[Key, Look]) -> dict[Key, Look]:
    """The same looks, measured. Where CloudWatch takes long, what is known of the services goes ahead."""
    measuring = asyncio.create_task(measure(context, scope, memory, looks))
    try:
        done, _ = await asyncio.wait({measuring}, timeout=PATIENCE)
        if not done:
            _hand_out(context, {key: look for key, look in looks.items() if look.state or look.problem})
        return await measuring
    finally:
        measuring.cancel()


def _hand_out(context: Context, looks: dict[Key, Look]) -> None:
    for key, look in looks.items():
        context.looks[key] = look
        context.enqueue(key)


def _find_due(context: Context, scope: Key, memory: ScopeMemory) -> Due | None:
    """What is due now; None where nothing belongs to the scope any more."""
    now = context.clock().timestamp()
    due = Due([], [], timedelta())
    waits: dict[Key, float] = {}

    def wait_for(one: ProtectedService | Detector, interval: timedelta) -> float:
        uid, generation, at = memory.looked_at.get(one.key, ("", 0, None))
        if at is None or (uid, generation) != (one.metadata.uid, one.metadata.generation):
            return 0.0
        length = interval.total_seconds()
        if now < at.timestamp():
            return 0.0  # The clock was set back: until it comes there again nobody would look.
        return max(0.0, (at.timestamp() // length + 1) * length - now)

    for protected in context.readable(ProtectedService, context.objects.all(ProtectedService.plural)):
        if scope_key(protected) != scope:
            continue
        detection = protected.spec.detection
        interval = parse_duration(detection.interval) if detection.presets else context.settings.service_poll
        waits[protected.key] = wait_for(protected, interval)
        if not waits[protected.key]:
            due.services.append(protected)
        for detector in context.find_related(Detector, protected.metadata.namespace, protected.metadata.name):
            if detector.spec.suspend:
                continue
            waits[detector.key] = wait_for(detector, parse_duration(detector.spec.interval))
            if not waits[detector.key]:
                due.detectors.append(detector)
    if not waits:
        return None
    memory.forget_all_but(waits.keys())
    return Due(due.services, due.detectors, timedelta(seconds=min(waits.values())))
