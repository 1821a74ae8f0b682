"""What is wrong, or short, in an account: the state behind ECS's back that decides whether tasks start and serve."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from .aws_json import Json

ANY = "*"
"""Stands for every image, secret, role, subnet or zone."""

_INSTANCE_LACKS = ("NONE", "CPU", "MEMORY", "PORTS", "AGENT")


@dataclass(frozen=True)
class CapacityShortage:
    """Fargate has no capacity: in one zone, or all; of one capacity provider (FARGATE, FARGATE_SPOT), or both."""

    availability_zone: str | None = None
    capacity_provider: str | None = None

    def covers(self, zone: str, provider: str) -> bool:
        """Whether it hits a task of `provider` in `zone`."""
        return self.availability_zone in (None, zone) and self.capacity_provider in (None, provider)


@dataclass
class Conditions:
    """The conditions of one account and region. All is well at first.

    As JSON, in `update`, the members are named in camelCase: lists of names, where `*` means any; `fargateShortages`
    is a list of objects with `availabilityZone` and `capacityProvider`, both optional; the last three are objects.

    missing_images, rate_limited_images, denied_images: references as the task definition has them.
    missing_secrets, denied_secrets: `valueFrom` of a secret.
    denied_execution_roles: their policies do not allow what a start needs.
    unassumable_roles: their trust policy does not let ECS assume them.
    full_subnets: without a free IP address.
    impaired_zones: tasks there cannot be reached by load balancers.
    failing_health_checks: what health checks get, a code or `timeout`, by target group ARN or `cluster/service`.
    full_disks: tasks, by ID or ARN, whose ephemeral storage is full.
    instance_lacks: by cluster, why no container instance takes an EC2 task: NONE, CPU, MEMORY, PORTS or AGENT.
    subnet_zones: the zone of a subnet; others get one in the order of their first use.
    """

    missing_images: Collection[str] = ()
    rate_limited_images: Collection[str] = ()
    denied_images: Collection[str] = ()
    missing_secrets: Collection[str] = ()
    denied_secrets: Collection[str] = ()
    denied_execution_roles: Collection[str] = ()
    unassumable_roles: Collection[str] = ()
    fargate_shortages: Collection[CapacityShortage] = ()
    full_subnets: Collection[str] = ()
    impaired_zones: Collection[str] = ()
    full_disks: Collection[str] = ()
    failing_health_checks: Json | None = None
    instance_lacks: Json | None = None
    subnet_zones: Json | None = None

    def update(self, changes: Json) -> None:
        """Set the members named in `changes`, and leave the others; ValueError when one is not known or not right."""
        values = {}
        for member, value in changes.items():
            if member not in _READERS:
                raise ValueError(f"unknown condition {member}; known are {', '.join(sorted(_READERS))}")
            name, read = _READERS[member]
            values[name] = read(member, value)
        for name, value in values.items():
            setattr(self, name, value)

    def clear(self) -> None:
        """All is well again."""
        self.__init__()  # type: ignore[misc]

    def to_json(self) -> Json:
        """What is wrong now, as `update` takes it."""
        shown: Json = {}
        for member, (name, _) in _READERS.items():
            value = getattr(self, name)
            if not value:
                continue
            if member == "fargateShortages":
                shown[member] = [_shape_shortage(shortage) for shortage in value]
            else:
                shown[member] = dict(value) if isinstance(value, dict) else sorted(value)
        return shown

    def lacks_fargate(self, zone: str, provider: str) -> bool:
        """Whether Fargate has no room for a task of `provider` in `zone`."""
        return any(shortage.covers(zone, provider) for shortage in self.fargate_shortages)

    def find_health_answer(self, cluster: str, service: str, target_groups: Collection[str]) -> str | None:
        """What health checks of a service's tasks get whatever the application does; None: what it answers."""
        failing = self.failing_health_checks or {}
        names = (f"{cluster}/{service}", *target_groups)
        return next((str(failing[name]) for name in names if name in failing), None)


def includes(names: Collection[str], name: str) -> bool:
    """Whether `name`, or any, is among `names`."""
    return name in names or ANY in names


def _read_names(member: str, value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{member} must be a list of strings")
    return frozenset(value)


def _read_map(member: str, value: Any) -> Json:
    if not isinstance(value, dict):
        raise ValueError(f"{member} must be an object")
    if member == "instanceLacks" and (wrong := set(value.values()) - set(_INSTANCE_LACKS)):
        raise ValueError(f"{member} does not know {', '.join(map(str, wrong))}: one of {', '.join(_INSTANCE_LACKS)}")
    return dict(value)


def _read_shortages(member: str, value: Any) -> tuple[CapacityShortage, ...]:
    known = {"availabilityZone", "capacityProvider"}
    if not isinstance(value, list) or not all(isinstance(item, dict) and item.keys() <= known for item in value):
        raise ValueError(f"{member} must be a list of objects with availabilityZone and capacityProvider at most")
    return tuple(CapacityShortage(item.get("availabilityZone"), item.get("capacityProvider")) for item in value)


def _shape_shortage(shortage: CapacityShortage) -> Json:
    members = {"availabilityZone": shortage.availability_zone, "capacityProvider": shortage.capacity_provider}
    return {name: value for name, value in members.items() if value is not None}


_READERS: dict[str, tuple[str, Callable[[str, Any], object]]] = {
    "missingImages": ("missing_images", _read_names),
    "rateLimitedImages": ("rate_limited_images", _read_names),
    "deniedImages": ("denied_images", _read_names),
    "missingSecrets": ("missing_secrets", _read_names),
    "deniedSecrets": ("denied_secrets", _read_names),
    "deniedExecutionRoles": ("denied_execution_roles", _read_names),
    "unassumableRoles": ("unassumable_roles", _read_names),
    "fargateShortages": ("fargate_shortages", _read_shortages),
    "fullSubnets": ("full_subnets", _read_names),
    "impairedZones": ("impaired_zones", _read_names),
    "fullDisks": ("full_disks", _read_names),
    "failingHealthChecks": ("failing_health_checks", _read_map),
    "instanceLacks": ("instance_lacks", _read_map),
    "subnetZones": ("subnet_zones", _read_map),
}
