"""Availability Zone rebalancing: services whose tasks are spread unevenly move them (developer guide, "Balancing an
Amazon ECS service across Availability Zones").
"""

from collections import Counter

from .clock import Clock
from .ecs import Ecs, Service, Task
from .ecs_notifications import EcsNotifications
from .ecs_scheduler import Scheduler
from .service_events import ServiceEvents
from .task_shapes import is_fargate

OVERLAP_SECONDS = 90.0
"""Simulated: how long the task that leaves serves on, so that its replacement runs before it stops."""
_REASON = "Scaling activity initiated by (deployment {})"


class ZoneRebalancing:
    """Reviewed once a metric period. Not thread safe: the owner holds a lock around every use."""

    def __init__(self, ecs: Ecs, scheduler: Scheduler, clock: Clock) -> None:
        self._ecs = ecs
        self._scheduler = scheduler
        self._clock = clock
        self._events = ServiceEvents(ecs, clock)
        self._notifications = EcsNotifications(ecs)
        self._under_way: set[tuple[str, str]] = set()

    def review(self, now: float) -> None:
        """Move one task of each steady service that is not balanced, and tell of those that have become balanced.

        A service is balanced when the counts of its zones differ by one at most. Task sets are left to whoever made
        them.
        """
        for service in self._ecs.services.values():
            if service.status != "ACTIVE" or service.controller != "ECS" or not service.steady:
                continue
            if service.settings.get("availabilityZoneRebalancing") != "ENABLED":
                continue
            counts = self._count(service)
            if max(counts.values(), default=0) - min(counts.values(), default=0) > 1:
                self._start(service, counts, now)
            elif service.key in self._under_way:
                self._under_way.discard(service.key)
                self._events.tell(service, f"is AZ balanced with {_describe(counts)}.", now)
                self._notifications.act(service, "SERVICE_REBALANCING_COMPLETED", now)

    def _count(self, service: Service) -> dict[str, int]:
        """Its tasks by zone, the zones it may use without a task among them."""
        placements = self._scheduler.tasks.placements
        network = service.workload.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
        subnets = network.get("subnets", [])
        zones = sorted({placements.find_zone(subnet) for subnet in subnets} if subnets else placements.zones)
        running = Counter(task.availability_zone for task in service.running())
        return {zone: running[zone] for zone in zones}

    def _start(self, service: Service, counts: dict[str, int], now: float) -> None:
        emptiest = min(counts, key=lambda zone: counts[zone])
        if is_fargate(service.workload) and self._ecs.conditions.lacks_fargate(emptiest, "FARGATE"):
            return
        fullest = max(counts, key=lambda zone: counts[zone])
        victim = min(
            (task for task in service.running() if task.availability_zone == fullest),
            key=lambda task: (task.created_at, task.id),
        )
        if service.key not in self._under_way:
            self._under_way.add(service.key)
            message = f"is not AZ balanced with {_describe(counts)}. AZ Rebalancing in progress."
            self._events.tell(service, message, now)
            self._notifications.act(service, "SERVICE_REBALANCING_STARTED", now)
        self._move(service, victim, now)

    def _move(self, service: Service, victim: Task, now: float) -> None:
        """The scheduler replaces the task at once, in the emptiest zone, while it serves on for a while."""
        reason = _REASON.format(service.primary.id)
        self._scheduler.tasks.request_stop(
            victim, now, reason, "ServiceSchedulerInitiated", notice_seconds=OVERLAP_SECONDS
        )
        where = victim.availability_zone
        self._events.tell(service, f"has stopped 1 tasks in {where} to AZ Rebalance: (task {victim.id}).", now)
        service.steady = False
        self._scheduler.touch(service)


def _describe(counts: dict[str, int]) -> str:
    parts = [f"{count} tasks in {zone}" for zone, count in counts.items()]
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + f", and {parts[-1]}"
