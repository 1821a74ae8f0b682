"""One account and region without a server or threads: everything joined, and time passes only when told.

For tests of what takes hours in AWS, and of metrics. A simulated second is a wall second, a metric period a minute.
"""

import math
from collections.abc import Mapping
from typing import Any

from .account_region import AccountRegion
from .clock import METRIC_PERIOD_SECONDS
from .cloudwatch import MetricName
from .ecs import Service
from .manual_ecs import ManualClock

Json = dict[str, Any]


class ManualWorld:
    """A cluster `demo` in account 123456789012, us-east-1. No answer is held against a model: see ManualEcs."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.place = AccountRegion("123456789012", "us-east-1", 1, self.clock)
        self.call("CreateCluster", clusterName="demo")

    def call(self, operation: str, client: str = "ecs", /, **parameters: Any) -> Json:
        """The answer of an AWS operation; `client` is botocore's name of the service."""
        return self.place.operations[client][operation](parameters)

    def control(self, method: str, path: str, **members: Any) -> Json:
        """The answer of a route of the control API."""
        return self.place.controls[method, path](members)

    def register(self, family: str = "web", /, **variables: object) -> None:
        """Register a task definition whose container has these SIM_ variables."""
        environment = [{"name": f"SIM_{name}", "value": str(value)} for name, value in variables.items()]
        container = {"name": "app", "image": "app:1", "environment": environment}
        self.call("RegisterTaskDefinition", family=family, containerDefinitions=[container])

    def create(self, name: str = "web", *, cluster: str = "demo", count: int = 3, **members: Any) -> None:
        """Create a Fargate service of the task definition of its name, and let ten minutes pass."""
        members = {"taskDefinition": name, "launchType": "FARGATE", "desiredCount": count, **members}
        self.call("CreateService", cluster=cluster, serviceName=name, **members)
        self.run(600)

    def update(self, name: str = "web", **changes: Any) -> None:
        """UpdateService."""
        self.call("UpdateService", cluster="demo", service=name, **changes)

    def service(self, name: str = "web") -> Service:
        """The true service."""
        return self.place.ecs.services["demo", name]

    def run(self, seconds: float) -> None:
        """Let so many seconds pass, with all that falls due and is published in them."""
        end = self.clock.time + seconds
        while True:
            minute = (math.floor(self.clock.time / METRIC_PERIOD_SECONDS) + 1) * METRIC_PERIOD_SECONDS
            due = min(max(self.clock.time, self.place.next_due()), minute)
            if due > end:
                break
            self.clock.time = due
            self.place.run_due(due)
            if due == minute:
                self.place.publish(minute - METRIC_PERIOD_SECONDS)
        self.clock.time = end

    def read(self, namespace: str, name: str, dimensions: Mapping[str, str], statistic: str = "Sum") -> float | None:
        """A statistic of a metric in the minute that was published last; None when there is none."""
        series = self.place.metrics.get(MetricName.build(namespace, name, dimensions))
        end = math.floor(self.clock.time / METRIC_PERIOD_SECONDS) * METRIC_PERIOD_SECONDS
        if series is None:
            return None
        points = list(series.aggregate(end - METRIC_PERIOD_SECONDS, end, int(METRIC_PERIOD_SECONDS), statistic))
        return points[0][1] if points else None
