"""The event stream of a service, and what of it goes to EventBridge."""

from .clock import Clock
from .ecs import Ecs, Service, ServiceEvent

REPEAT_SECONDS = 6 * 3600.0
"""Simulated: "duplicate event messages are omitted until either the cause is resolved or six hours passes" (developer
guide, "Service event messages")."""

# Causes of events that are told once while they last. What follows PLACEMENT says what kind it is.
START_IMPAIRED = "start impaired"
PLACEMENT = "placement"


class ServiceEvents:
    """Adds to the event streams of services. Not thread safe, as its owner, the scheduler, is not."""

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock

    def tell(self, service: Service, message: str, now: float) -> None:
        """Put `(service NAME) message` into the stream."""
        event = ServiceEvent(self._ecs.identifiers.uuid(), now, f"(service {service.name}) {message}")
        service.events.appendleft(event)

    def tell_once(self, service: Service, message: str, now: float, cause: str | None = None) -> bool:
        """As `tell`, unless `cause` (the message itself when None) was told and lasts; True when it was told now."""
        key = cause or message
        told_at = service.unresolved.get(key)
        if told_at is not None and now - told_at < self._clock.wall(REPEAT_SECONDS):
            return False
        service.unresolved[key] = now
        self.tell(service, message, now)
        return True

    def resolve(self, service: Service, *causes: str) -> None:
        """These causes are gone, and those that begin like them; all when none is named. Their next event is told."""
        for key in [key for key in service.unresolved if not causes or key.startswith(causes)]:
            del service.unresolved[key]
