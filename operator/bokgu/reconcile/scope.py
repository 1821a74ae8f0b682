"""A pass over a scope: one account, region and role, with all that is watched there. A role is assumed for one
namespace, so what it shows is never handed to another.

AWS is asked once for everybody: services ten in a call, metrics five hundred in a call, equal queries once. What was
seen is laid down as a `Look` for each object, whose own pass decides on it. All objects of one interval are due at the
same moments, the multiples of the interval, so that they share their calls.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bokgu.api.detector import Detector
from bokgu.api.fields import parse_duration
from bokgu.api.protected_service import ProtectedService
from bokgu.core.look import Look
from bokgu.metrics.detection import CYCLE_CALLS, DETECTION_LAG
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.looking import Scope, begin_looks, look_closer, measure
from bokgu.reconcile.scope_memory import ScopeMemory
from bokgu.reconcile.sharding import is_ours

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
    """What is to be looked at now, since when some of it is due, and how long until something else is."""

    services: list[ProtectedService]
    detectors: list[Detector]
    since: datetime
    wait: timedelta


@dataclass
class Calls:
    """How many AWS calls a cycle made."""

    made: int = 0

    def count(self) -> None:
        """One more."""
        self.made += 1


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
        calls = Calls()
        context = replace(context, aws=context.aws.counting(calls.count))
        looks = await begin_looks(context, scope, memory, due.services, due.detectors)
        looks = await _measure(context, scope, memory, looks)
        _hand_out(context, looks)
        _hand_out(context, await look_closer(context, memory, due.services, looks))
        for one in (*due.services, *due.detectors):
            memory.looked_at[one.key] = (one.metadata.uid, one.metadata.generation, now)
        DETECTION_LAG.labels(region).observe(max(timedelta(), context.clock() - due.since).total_seconds())
        CYCLE_CALLS.labels(region).observe(calls.made)
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


def find_overdue(context: Context) -> dict[str, timedelta]:
    """How long the look that has waited longest has been due, by region; zero where none waits.

    What was never looked at is due since it is there, or since this process is.
    """
    now, found = context.clock(), dict[str, timedelta]()
    for scope, one, interval in _list_watched(context):
        memory = context.scopes.get(scope)
        looked_at = memory.looked_at.get(one.key) if memory else None
        if looked_at and looked_at[0] == one.metadata.uid:
            due_at = _next_after(looked_at[2], interval)
        else:
            due_at = max(context.started_at, one.metadata.creation_timestamp or context.started_at).timestamp()
        region = _region_of(scope)
        waited = timedelta(seconds=max(0.0, now.timestamp() - due_at))
        found[region] = max(waited, found.get(region, timedelta()))
    return found


def _find_due(context: Context, scope: Key, memory: ScopeMemory) -> Due | None:
    """What is due now; None where nothing belongs to the scope any more."""
    now = context.clock().timestamp()
    services: list[ProtectedService] = []
    detectors: list[Detector] = []
    since, waits = now, dict[Key, float]()
    for belongs_to, one, interval in _list_watched(context):
        if belongs_to != scope:
            continue
        due_at = _due_at(memory, one, interval, now)
        waits[one.key] = max(0.0, due_at - now)
        if waits[one.key]:
            continue
        since = min(since, due_at)
        if isinstance(one, ProtectedService):
            services.append(one)
        else:
            detectors.append(one)
    if not waits:
        return None
    memory.forget_all_but(waits.keys())
    return Due(services, detectors, datetime.fromtimestamp(since, UTC), timedelta(seconds=min(waits.values())))


def _list_watched(context: Context) -> Iterator[tuple[Key, ProtectedService | Detector, timedelta]]:
    """All that is looked at, with its scope and how often."""
    for protected in context.readable(ProtectedService, context.objects.all(ProtectedService.plural)):
        if not is_ours(context, protected.key):
            continue
        scope, detection = scope_key(protected), protected.spec.detection
        interval = parse_duration(detection.interval) if detection.presets else context.settings.service_poll
        yield scope, protected, interval
        for detector in context.find_related(Detector, protected.metadata.namespace, protected.metadata.name):
            if not detector.spec.suspend:
                yield scope, detector, parse_duration(detector.spec.interval)


def _due_at(memory: ScopeMemory, one: ProtectedService | Detector, interval: timedelta, now: float) -> float:
    """When the object is to be looked at, as a POSIX time: now, where it was not yet as it is now."""
    uid, generation, at = memory.looked_at.get(one.key, ("", 0, None))
    if at is None or (uid, generation) != (one.metadata.uid, one.metadata.generation):
        return now
    if now < at.timestamp():
        return now  # The clock was set back: until it comes there again nobody would look.
    return _next_after(at, interval)


def _next_after(at: datetime, interval: timedelta) -> float:
    """The multiple of the interval that follows, as a POSIX time."""
    length = interval.total_seconds()
    return (at.timestamp() // length + 1) * length


def _region_of(scope: Key) -> str:
    return scope[2].partition(" ")[0]
