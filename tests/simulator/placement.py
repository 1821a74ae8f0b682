"""Where tasks go: capacity provider, Availability Zone, subnet and container instance, or why nowhere."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .aws_json import Json
from .conditions import includes
from .ecs import Ecs, Task, TaskDefinition

FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
_ZONE_LETTERS = "abc"
"""Every region here has three Availability Zones."""

_GUIDE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
_NO_INSTANCE = "because no container instance met all of its requirements."
_FLAWS = {
    "CPU": ("RESOURCE:CPU", "has insufficient CPU units available."),
    "MEMORY": ("RESOURCE:MEMORY", "has insufficient memory available."),
    "PORTS": ("RESOURCE:PORTS", "is already using a port required by your task."),
    "AGENT": ("AGENT", "doesn't have the agent connected."),
}
"""What the closest container instance lacks: the reason (developer guide, "API failure reasons"), and the words of the
service event.
"""


@dataclass(frozen=True)
class Placement:
    """A place for a task. `instance` is the ID of a container instance; None on Fargate."""

    zone: str
    subnet: str | None
    provider: str | None
    instance: str | None


@dataclass(frozen=True)
class Refusal:
    """Why a task cannot be placed: the words of the service event, the `reason` of the EventBridge event
    (SERVICE_TASK_PLACEMENT_FAILURE) and of the failure that RunTask returns.
    """

    event: str
    reason: str
    failure: str
    provider: str | None = None
    event_name: str = "SERVICE_TASK_PLACEMENT_FAILURE"


class Placements:
    """Finds places for tasks. Not thread safe: the owner holds a lock around every use."""

    def __init__(self, ecs: Ecs) -> None:
        self._ecs = ecs
        self._zones: dict[str, str] = {}

    @property
    def zones(self) -> list[str]:
        """The Availability Zones of the region."""
        return [f"{self._ecs.region}{letter}" for letter in _ZONE_LETTERS]

    def find_zone(self, subnet: str) -> str:
        """The zone of `subnet`: as the conditions say, else one after the other in the order of first use."""
        configured = (self._ecs.conditions.subnet_zones or {}).get(subnet)
        if configured is not None:
            return str(configured)
        return self._zones.setdefault(subnet, self.zones[len(self._zones) % len(self.zones)])

    def choose(
        self, cluster: str, workload: Json, definition: TaskDefinition, others: Collection[Task]
    ) -> Placement | Refusal:
        """A place for one more task beside `others`, the live tasks of the same revision.

        The scheduler spreads the tasks of a service over the Availability Zones of its subnets: the zone with the
        fewest wins, and one that has no capacity is passed over.
        """
        if (role := self._find_unassumable_role(definition)) is not None:
            text = (
                f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the "
                "role being passed has the proper trust relationship and permissions and that your IAM user has "
                "permissions to pass this role."
            )
            return Refusal(
                f"failed to launch a task with (error {text}).",
                text,
                text,
                event_name="SERVICE_TASK_CONFIGURATION_FAILURE",
            )
        provider = choose_provider(workload, others)
        candidates = self._find_candidates(workload)
        load = Counter(task.availability_zone for task in others)
        candidates.sort(key=lambda candidate: load[candidate[0]])
        if provider is None or provider not in FARGATE_PROVIDERS:
            return self._choose_instance(cluster, candidates, provider)
        conditions = self._ecs.conditions
        for zone, subnet in candidates:
            if not conditions.lacks_fargate(zone, provider):
                return Placement(zone, subnet, provider, None)
        text = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
        event = f"was unable to place a task. Reason: {text}. {_GUIDE}"
        return Refusal(event, "RESOURCE:FARGATE", text, provider)

    def _find_candidates(self, workload: Json) -> list[tuple[str, str | None]]:
        network = workload.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
        subnets = network.get("subnets", [])
        if not subnets:
            return [(zone, None) for zone in self.zones]
        return [(self.find_zone(subnet), subnet) for subnet in subnets]

    def _find_unassumable_role(self, definition: TaskDefinition) -> str | None:
        roles = (definition.contents.get("executionRoleArn"), definition.contents.get("taskRoleArn"))
        return next((r for r in roles if r and includes(self._ecs.conditions.unassumable_roles, r)), None)

    def _choose_instance(
        self, cluster: str, candidates: list[tuple[str, str | None]], provider: str | None
    ) -> Placement | Refusal:
        zone, subnet = candidates[0]
        instance = compute_instance_id(cluster, zone)
        lack = (self._ecs.conditions.instance_lacks or {}).get(cluster)
        if lack is None:
            return Placement(zone, subnet, provider, instance)
        if lack == "NONE":
            reason = "No Container Instances were found in your cluster."
            return Refusal(f"was unable to place a task {_NO_INSTANCE} Reason: {reason} {_GUIDE}", reason, reason)
        reason, flaw = _FLAWS[lack]
        event = f"{_NO_INSTANCE} The closest matching (container-instance {instance}) {flaw} {_GUIDE}"
        return Refusal(f"was unable to place a task {event}", reason, reason)


def choose_provider(workload: Json, others: Iterable[Task]) -> str | None:
    """The capacity provider of the next task; FARGATE for that launch type, None for EC2 and EXTERNAL.

    API type CapacityProviderStrategyItem: `base` tasks go to their provider first, the rest by `weight`.
    """
    strategy = workload.get("capacityProviderStrategy", [])
    if not strategy:
        return "FARGATE" if workload.get("launchType") == "FARGATE" else None
    counts = Counter(task.capacity_provider for task in others)
    for item in strategy:
        if counts[item["capacityProvider"]] < item.get("base", 0):
            return str(item["capacityProvider"])
    weighted = [item for item in strategy if item.get("weight", 0) > 0] or strategy

    def fill(item: Json) -> float:
        beyond_base = counts[item["capacityProvider"]] - int(item.get("base", 0))
        return (beyond_base + 1) / max(1, int(item.get("weight", 0)))

    return str(min(weighted, key=fill)["capacityProvider"])


def compute_instance_id(cluster: str, zone: str) -> str:
    """The ID of the one container instance that a cluster has in each zone: 32 hexadecimal digits."""
    return hashlib.sha256(f"{cluster}/{zone}".encode()).hexdigest()[:32]


def compute_ec2_instance_id(instance: str) -> str:
    """The EC2 instance, `i-` and 17 digits, behind a container instance."""
    return f"i-{instance[:17]}"
