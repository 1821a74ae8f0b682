"""What holds recoveries up beyond single incidents, until a person does something: pauses, breakers, suspensions."""

from collections.abc import Iterable
from dataclasses import dataclass

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import OpenBreaker, find_condition, is_true
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.core.guards.people import SUSPENDED
from bokgu.core.guards.protection import BREAKER_OPEN, STORM


@dataclass(frozen=True)
class Hold:
    """Something that is held: `what` is kind and name of the object that says so, `reason` one CamelCase word, and
    `advice` what a person can do."""

    namespace: str
    what: str
    reason: str
    message: str
    advice: str = ""


def find_holds(policies: Iterable[RecoveryPolicy], services: Iterable[ProtectedService]) -> tuple[Hold, ...]:
    """What the statuses of policies and services say, by namespace."""
    found = [hold for policy in policies for hold in _of_policy(policy)]
    found += [hold for service in services for hold in _of_service(service)]
    return tuple(sorted(found, key=lambda hold: hold.namespace))


def _of_policy(policy: RecoveryPolicy) -> list[Hold]:
    namespace, status = policy.metadata.namespace, policy.status
    found = []
    paused = find_condition(status.conditions, "Paused")
    if paused and is_true((paused,), "Paused"):
        message = f"nothing new begins: paused {paused.message}"
        found.append(Hold(namespace, "namespace", "Paused", message, "take spec.pause out of that RecoveryPolicy"))
    if status.storm_since:
        since = f"many incidents at once since {format_timestamp(status.storm_since)}: nothing new is planned or begun"
        found.append(Hold(namespace, "namespace", STORM, since, "look for what is wrong with all of them"))
    if status.breaker:
        found.append(_open_breaker(namespace, "namespace", status.breaker, f"bokgu reset -n {namespace}"))
    found += _not_ready(namespace, f"RecoveryPolicy {policy.metadata.name}", policy)
    return found


def _of_service(service: ProtectedService) -> list[Hold]:
    namespace, name = service.metadata.namespace, service.metadata.name
    what, found = f"ProtectedService {name}", []
    if service.spec.suspend:
        found.append(Hold(namespace, what, SUSPENDED, "spec.suspend holds every plan of it", "take spec.suspend out"))
    if service.status.breaker:
        found.append(_open_breaker(namespace, what, service.status.breaker, f"bokgu reset {name} -n {namespace}"))
    return found + _not_ready(namespace, what, service)


def _open_breaker(namespace: str, what: str, breaker: OpenBreaker, reset: str) -> Hold:
    failed = f"{', '.join(breaker.plans)} failed, the last one at {format_timestamp(breaker.opened_at)}"
    return Hold(namespace, what, BREAKER_OPEN, failed, f"{reset} (once you know why)")


def _not_ready(namespace: str, what: str, one: RecoveryPolicy | ProtectedService) -> list[Hold]:
    """False or Unknown: the operator says why, and what to do."""
    ready = find_condition(one.status.conditions, "Ready")
    if ready is None or is_true((ready,), "Ready"):
        return []
    return [Hold(namespace, what, ready.reason, ready.message)]
