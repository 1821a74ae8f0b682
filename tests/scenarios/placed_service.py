"""An ECS service of a scenario in the simulated AWS, and the names by which files speak of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scenarios.model import Json
from tests.scenarios.scenario import WorldService

FIRST = "first"
"""The revision that a service begins with."""

_PLACEHOLDER = re.compile(r"\$\{([a-z0-9-]+)\.([a-zA-Z]+)\}")


@dataclass
class PlacedService:
    """`role` is its name in the scenario and in Kubernetes, `name` in ECS.

    `revisions` holds task definition ARNs by the names that the scenario gives them, `code_deployments` the ids of its
    CodeDeploy deployments; `owns_cluster`: nothing else is in its cluster.
    """

    role: str
    name: str
    cluster: str
    account: str
    region: str
    made_from: WorldService
    owns_cluster: bool = False
    revisions: dict[str, str] = field(default_factory=dict)
    code_deployments: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """16 hexadecimal digits for its load balancer's names."""
        return f"{sum(ord(c) * 31**i for i, c in enumerate(self.name)) % 16**16:016x}"

    def target_group(self, colour: str = "") -> str:
        """ARN of a target group: `blue` or `green` of a pair, or the only one."""
        suffix = f"-{colour}" if colour else ""
        return f"arn:aws:elasticloadbalancing:{self.region}:{self.account}:targetgroup/{self.name}{suffix}/{self.key}"

    @property
    def load_balancer(self) -> str:
        """The LoadBalancer dimension of its metrics."""
        if self.made_from.balancer == "blue-green":
            return f"app/{self.name}/{self.key}"
        return self.target_group().rsplit(":", 1)[-1].replace("targetgroup/", "app/")

    @property
    def balancers(self) -> list[Json]:
        """`loadBalancers` of CreateService."""
        port = {"containerName": "app", "containerPort": 8080}
        if self.made_from.balancer == "none":
            return []
        if self.made_from.balancer == "alb":
            return [{"targetGroupArn": self.target_group(), **port}]
        rule = f"arn:aws:elasticloadbalancing:{self.region}:{self.account}:listener-rule/{self.load_balancer}/1/2"
        advanced = {
            "alternateTargetGroupArn": self.target_group("green"),
            "productionListenerRule": rule,
            "roleArn": f"arn:aws:iam::{self.account}:role/ecs-infrastructure",
        }
        return [{"targetGroupArn": self.target_group("blue"), **port, "advancedConfiguration": advanced}]

    @property
    def names(self) -> dict[str, str]:
        """What placeholders stand for."""
        return {
            "name": self.name,
            "cluster": self.cluster,
            "resource": f"service/{self.cluster}/{self.name}",
            "targetGroup": self.target_group().rsplit(":", 1)[-1],
            "targetGroupArn": self.target_group(),
            "loadBalancer": self.load_balancer,
            "account": self.account,
        }

    def concerns(self, parameters: str) -> bool:
        """Whether an AWS call with these parameters (JSON text) is about the service."""
        named = any(f"{before}{self.name}{after}" in parameters for before, after in ('""', '/"', "//", "/-"))
        return named or any(f'"{id_}"' in parameters for id_ in self.code_deployments)

    def names_cluster(self, parameters: str) -> bool:
        """Whether an AWS call with these parameters (JSON text) is about something in its cluster."""
        return f'"{self.cluster}"' in parameters or f"/{self.cluster}/" in parameters

    def container(self, revision: str, task: Json, members: Json) -> Json:
        """The container of a task definition: it behaves as `task` says."""
        variables = {**self.made_from.task, **task}
        environment = [{"name": f"SIM_{n.upper()}", "value": _text(v)} for n, v in variables.items()]
        return {
            "name": "app",
            "image": f"{self.name}:{revision}",
            "environment": environment,
            **self.made_from.container,
            **members,
        }


def fill(value: Any, services: Mapping[str, PlacedService]) -> Any:
    """The same with every `${service.what}` replaced. KeyError for what is not there."""
    if isinstance(value, dict):
        return {fill(k, services): fill(v, services) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [fill(v, services) for v in value]
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: services[found[1]].names[found[2]], value)
    return value


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
