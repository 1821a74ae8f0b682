"""ECS without a server or threads: operations are called directly, and time passes only when told.

For tests of what takes hours in AWS. Every answer is held against botocore's model.
"""

from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from .clock import Clock
from .ecs import Ecs, Identifiers, Service
from .ecs_reads import EcsReads
from .ecs_scheduler import Scheduler
from .ecs_writes import EcsWrites
from .service_deployment_api import ServiceDeploymentApi
from .task_sets import TaskSetApi

Json = dict[str, Any]

BLUE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/blue/1111111111111111"
GREEN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/green/2222222222222222"
PRODUCTION_RULE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/web/1/2/3"
PAIR = {
    "targetGroupArn": BLUE,
    "containerName": "app",
    "containerPort": 80,
    "advancedConfiguration": {
        "alternateTargetGroupArn": GREEN,
        "productionListenerRule": PRODUCTION_RULE,
        "roleArn": "arn:aws:iam::123456789012:role/ecs-infrastructure",
    },
}
"""A load balancer of two target groups, as blue/green deployments need it."""

_MODEL = botocore.session.get_session().get_service_model("ecs")


class ManualClock(Clock):
    """A clock that stands still until it is moved; a simulated second is a wall second."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1_790_000_000.0

    def now(self) -> float:
        """Where the hands point: seconds since the epoch."""
        return self.time


class ManualEcs:
    """A cluster `demo` of one account, the events it sent, and alarms that are as `alarms` says (by name)."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ecs = Ecs("123456789012", "us-east-1", Identifiers(1))
        self.scheduler = Scheduler(self.ecs, self.clock)
        self.published: list[tuple[str, list[str], Json]] = []
        self.alarms: dict[str, str] = {}
        self.ecs.publish = lambda detail_type, resources, detail: self.published.append(
            (detail_type, resources, detail)
        )
        self.ecs.alarm_state = self.alarms.get
        self._operations = (
            EcsReads(self.ecs, self.clock).operations
            | EcsWrites(self.ecs, self.scheduler, self.clock).operations
            | ServiceDeploymentApi(self.ecs, self.scheduler, self.clock).operations
            | TaskSetApi(self.ecs, self.scheduler, self.clock).operations
        )
        self.call("CreateCluster", clusterName="demo")

    def call(self, operation: str, **parameters: Any) -> Json:
        """The answer of an operation; AssertionError when question or answer does not fit the model."""
        shapes = _MODEL.operation_model(operation)
        report = ParamValidator().validate(parameters, shapes.input_shape)
        assert not report.has_errors(), report.generate_report()
        answer = self._operations[operation](parameters)
        report = ParamValidator().validate(answer, shapes.output_shape)
        assert not report.has_errors(), report.generate_report()
        return answer

    def register(self, **variables: object) -> str:
        """Register a revision of family `web` whose container has these SIM_ variables; its ARN."""
        environment = [{"name": f"SIM_{name}", "value": str(value)} for name, value in variables.items()]
        container = {"name": "app", "image": "app:1", "environment": environment}
        answer = self.call("RegisterTaskDefinition", family="web", containerDefinitions=[container])
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def create(self, *, count: int | None = 3, **members: Any) -> Json:
        """Create the service `web`; Fargate unless `members` say else."""
        if count is not None:
            members["desiredCount"] = count
        if "capacityProviderStrategy" not in members:
            members.setdefault("launchType", "FARGATE")
        members.setdefault("taskDefinition", "web")
        answer: Json = self.call("CreateService", cluster="demo", serviceName="web", **members)["service"]
        return answer

    def create_stable(self, **members: Any) -> Json:
        """Register a good task definition, create the service of it, and let 30 minutes pass."""
        self.register()
        self.create(**members)
        self.run(1800)
        service = self.describe()
        assert [deployment["rolloutState"] for deployment in service["deployments"]] == ["COMPLETED"]
        return service

    def update(self, **changes: Any) -> Json:
        """UpdateService."""
        answer: Json = self.call("UpdateService", cluster="demo", service="web", **changes)["service"]
        return answer

    def describe(self) -> Json:
        """The service `web` as DescribeServices tells."""
        described: Json = self.call("DescribeServices", cluster="demo", services=["web"])["services"][0]
        return described

    def deployment(self, arn: str | None = None) -> Json:
        """A service deployment as DescribeServiceDeployments tells, the newest one unless `arn` says else."""
        arn = arn or self.describe()["currentServiceDeployment"]
        found: Json = self.call("DescribeServiceDeployments", serviceDeploymentArns=[arn])["serviceDeployments"][0]
        return found

    @property
    def service(self) -> Service:
        """The true service `web`."""
        return self.ecs.services["demo", "web"]

    def run(self, seconds: float) -> None:
        """Let so many seconds pass, with all that falls due in them."""
        end = self.clock.time + seconds
        while (due := self.scheduler.next_due()) is not None and due <= end:
            self.clock.time = max(self.clock.time, due)
            self.scheduler.run_due(self.clock.time)
        self.clock.time = end

    def run_until(self, stage: str, *, limit: float = 7200.0) -> Json:
        """Let time pass until the newest service deployment is in this lifecycle stage, or has this status."""
        end = self.clock.time + limit
        while True:
            record = self.deployment()
            if stage in (record.get("lifecycleStage"), record["status"]):
                return record
            assert self.clock.time < end, f"no {stage} within {limit} s, but {record}"
            self.run(0.5)

    def names(self, detail_type: str) -> list[str]:
        """The `eventName` of every event of a type, oldest first."""
        return [detail["eventName"] for type_, _, detail in self.published if type_ == detail_type]

    def messages(self) -> list[str]:
        """The service events, oldest first, without the service's name."""
        return [event["message"].removeprefix("(service web) ") for event in reversed(self.describe()["events"])]
