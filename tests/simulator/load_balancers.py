"""Application Load Balancers in front of services: which target group is behind which, and where the traffic goes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from .ecs import Ecs, Service


@dataclass
class LoadBalancer:
    """An Application Load Balancer with one HTTP listener.

    `path` is `app/name/id`, which is also the LoadBalancer dimension of its metrics; `target_groups` are ARNs.
    """

    path: str
    created_at: float
    target_groups: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.split("/")[1]

    @property
    def listener_path(self) -> str:
        """`app/name/id/listener-id`, the end of its listener's ARN."""
        return f"{self.path}/{_hash(self.path + '/listener')}"


class LoadBalancers:
    """The load balancers of one account and region. The owner holds a lock around every use.

    A target group that nobody declared stands behind the load balancer of the production listener rule that a service
    names with it (`advancedConfiguration`), else behind one of its own, named after it.
    """

    def __init__(self, ecs: Ecs) -> None:
        self._ecs = ecs
        self._declared: dict[str, LoadBalancer] = {}

    def arn(self, resource: str) -> str:
        """The ARN of an Elastic Load Balancing `resource`, such as `loadbalancer/app/web/…`."""
        return f"arn:aws:elasticloadbalancing:{self._ecs.region}:{self._ecs.account}:{resource}"

    def declare(self, name: str, target_groups: list[str], now: float) -> LoadBalancer:
        """Put these target groups (ARNs) behind one load balancer, made at `now` if it is new."""
        if "/" in name or not name:
            raise ValueError(f"{name!r} is no name of a load balancer")
        path = next((path for path, known in self._declared.items() if known.name == name), None)
        path = path or f"app/{name}/{_hash(self.arn(name))}"
        for balancer in self._declared.values():
            balancer.target_groups = [arn for arn in balancer.target_groups if arn not in target_groups]
        created_at = self._declared[path].created_at if path in self._declared else now
        self._declared[path] = LoadBalancer(path, created_at, list(target_groups))
        return self._declared[path]

    def find_path(self, target_group_arn: str, service: Service | None) -> str:
        """The path `app/name/id` of the load balancer in front of a target group that `service`, if any, uses."""
        for balancer in self._declared.values():
            if target_group_arn in balancer.target_groups:
                return balancer.path
        if service is not None and (rule := _find_production_rule(service, target_group_arn)) is not None:
            return "/".join(rule.split("/")[1:4])
        return f"app/{target_group_arn.rsplit(':', 1)[-1].removeprefix('targetgroup/')}"

    def users(self) -> dict[str, Service]:
        """Every target group that an ACTIVE service uses, and the service."""
        services = [service for service in self._ecs.services.values() if service.status == "ACTIVE"]
        return {arn: service for service in services for arn in service.target_group_arns}

    def survey(self) -> dict[str, LoadBalancer]:
        """Every load balancer, declared or not, by path, with all of its target groups."""
        found = {
            path: LoadBalancer(path, balancer.created_at, list(balancer.target_groups))
            for path, balancer in self._declared.items()
        }
        for arn, service in self.users().items():
            path = self.find_path(arn, service)
            balancer = found.setdefault(path, LoadBalancer(path, service.created_at))
            if arn not in balancer.target_groups:
                balancer.target_groups.append(arn)
        return found


def find_rules(service: Service) -> Iterator[tuple[str, str | None, str]]:
    """Target group, alternate target group and production listener rule of each load balancer that names a rule."""
    for balancer in service.workload.get("loadBalancers", []):
        advanced = balancer.get("advancedConfiguration", {})
        rule = advanced.get("productionListenerRule")
        if rule is not None and "targetGroupArn" in balancer:
            yield balancer["targetGroupArn"], advanced.get("alternateTargetGroupArn"), rule


def _find_production_rule(service: Service, target_group_arn: str) -> str | None:
    rules = (rule for first, second, rule in find_rules(service) if target_group_arn in (first, second))
    return next((rule for rule in rules if len(rule.split("/")) >= 4), None)


def _hash(text: str) -> str:
    """16 hexadecimal digits, as in the ARNs of Elastic Load Balancing."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
