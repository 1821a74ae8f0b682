"""Everything simulated of one AWS account in one region."""

import functools
import math
from collections.abc import Callable

from . import ecs_shapes
from .accounts import Caller
from .automations import Automations
from .automations_api import AutomationsApi
from .autoscaling import AutoScaling
from .autoscaling_api import AutoScalingApi
from .aws_protocol import Json
from .clock import Clock
from .cloudwatch import RETENTION_SECONDS
from .code_deploy import CodeDeploy
from .container_logs import ContainerLogs
from .dependency_logs import write_dependency_lines
from .disruptions import Disruptions
from .ecs import Ecs, Identifiers
from .ecs_reads import EcsReads
from .ecs_scheduler import Scheduler
from .ecs_writes import EcsWrites
from .elbv2 import Elbv2
from .health_checks import HealthChecks
from .load_balancers import LoadBalancers
from .observability import Observability
from .published_metrics import Publisher
from .service_deployment_api import ServiceDeploymentApi
from .stacks import Stacks
from .standalone_tasks import StandaloneTasks
from .task_operations import TaskOperations
from .task_sets import TaskSetApi
from .task_shapes import shape_task
from .traffic import Traffic
from .traffic_controls import TrafficControls
from .wear import Wear
from .zone_rebalancing import ZoneRebalancing

RETENTION_DAY_SECONDS = 86_400.0
"""A simulated day of points and log lines is kept, which bounds the memory of a compressed world, but for no longer
than CloudWatch keeps points of less than a minute, and at least for..."""
SHORTEST_RETENTION_SECONDS = 600.0
"""... ten minutes of wall time."""

Operation = Callable[[Json], Json]
"""An AWS operation: request parameters in, members of the answer out; raises AwsError when it fails."""
SignedOperation = Callable[[Json, Caller], Json]
"""The same, told who calls it."""


class AccountRegion:
    """The engines of one account and region, joined to each other.

    Not thread safe: Simulation holds its lock around every use, but for `unlocked_operations`, whose engines have a
    lock of their own.
    """

    def __init__(self, account: str, region: str, seed: int, clock: Clock) -> None:
        """`seed`: of ids and start-up jitter; account and region go into it, so that the order of use does not."""
        self.account = account
        self.region = region
        self.clock = clock
        self.ecs = Ecs(account, region, Identifiers(f"{seed}/{account}/{region}"))
        self.observability = Observability(account, region, clock, f"{seed}/{account}/{region}")
        self.ecs.publish = functools.partial(self.observability.publish, "aws.ecs")
        self.ecs.alarm_state = self.observability.alarms.state
        self.ecs.log = self.observability.logs.write
        self.metric_conditions = self.observability.conditions
        self.metrics = self.observability.metrics
        self._scheduler = Scheduler(self.ecs, clock)
        self._standalone = StandaloneTasks(self.ecs, self._scheduler.tasks)
        self._wear = Wear(self.ecs, self._scheduler.tasks, clock, self._scheduler.touch)
        self._rebalancing = ZoneRebalancing(self.ecs, self._scheduler, clock)
        self._scaling = AutoScaling(
            self.ecs, self.metrics, self.observability.alarms, clock, self._scheduler.set_desired_count
        )
        self.observability.scale = self._scaling.invoke
        self._traffic = Traffic(clock)
        self._container_logs = ContainerLogs(self.ecs, clock)
        balancers = LoadBalancers(self.ecs)
        self._publisher = Publisher(
            self.ecs,
            self.metrics,
            conditions=self.metric_conditions,
            traffic=self._traffic,
            balancers=balancers,
            clock=clock,
        )
        stacks = Stacks(self.ecs, clock)
        self._code_deploy = CodeDeploy(self.ecs, self._scheduler, clock)
        self.operations: dict[str, dict[str, Operation]] = {
            "ecs": EcsReads(self.ecs, clock).operations
            | EcsWrites(self.ecs, self._scheduler, clock).operations
            | ServiceDeploymentApi(self.ecs, self._scheduler, clock).operations
            | TaskSetApi(self.ecs, self._scheduler, clock).operations
            | TaskOperations(self.ecs, self._scheduler, self._standalone, clock).operations,
            "application-autoscaling": AutoScalingApi(
                self._scaling, clock, account=account, region=region, identifiers=self.ecs.identifiers
            ).operations,
            "cloudformation": stacks.operations,
            "codedeploy": self._code_deploy.operations,
            "elbv2": Elbv2(balancers, HealthChecks(self.ecs, clock), clock).operations,
            **self.observability.operations,
        }
        """By botocore's name of the service, then by operation. What is not in here is answered by moto."""
        automations = Automations(clock)
        self.signed_operations: dict[str, dict[str, SignedOperation]] = {
            "ssm": AutomationsApi(automations, clock, self.ecs.identifiers).operations,
        }
        """Those that are told who calls."""
        self.controls: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", "service"): self._get_service,
            ("PUT", "automation"): automations.declare,
            ("PUT", "stack"): stacks.put,
            ("POST", "code-deployment"): self._code_deploy.start,
            **self.observability.controls,
            **Disruptions(self.ecs, self._scheduler, self._standalone, clock).controls,
            **TrafficControls(self._traffic, balancers, self._publisher.gateways, clock).routes,
        }
        """Routes of the control API, by method and path: a JSON object in, one out. They raise KeyError for a missing
        member, ValueError for a bad one, LookupError for what is not there."""
        self.unlocked_operations: dict[str, dict[str, Operation]] = self.observability.unlocked_operations
        """Those that may block, such as SQS ReceiveMessage: called without the simulation's lock."""

    # Time

    def run_due(self, now: float) -> None:
        """Do all that has fallen due by `now` (wall seconds)."""
        self._code_deploy.run_due(now)
        self._scheduler.run_due(now)
        self._standalone.run_due(now)
        self._scaling.run_due(now)
        self.observability.run_due(now)

    def next_due(self) -> float:
        """Wall time at which something falls due next; infinity: nothing is under way."""
        engines = (self._scheduler, self._standalone, self._scaling, self._code_deploy, self.observability)
        times = [engine.next_due() for engine in engines]
        return min((time for time in times if time is not None), default=math.inf)

    def publish(self, period_start: float) -> None:
        """Publish the period that began at `period_start`; AWS stamps a point with the start of its period."""
        now = self.clock.now()
        self._wear.apply(lambda service: self._traffic.demand(service.key, now).rps, now)
        write_dependency_lines(self.ecs, self._container_logs, self._traffic)
        self._rebalancing.review(now)
        self._scaling.review(now)
        self._publisher.publish(period_start, now)
        self.observability.publish_metrics(period_start)

    def clean_up(self, now: float) -> None:
        """Drop what nobody looks at any longer."""
        kept = max(SHORTEST_RETENTION_SECONDS, self.clock.wall(RETENTION_DAY_SECONDS))
        self.observability.clean_up(now - min(kept, RETENTION_SECONDS))

    def set_consistency_delay(self, simulated_seconds: float) -> None:
        """From now on reads of ECS services show the state this long ago; 0: no delay."""
        self.ecs.set_lag(self.clock.wall(simulated_seconds), self.clock.now())

    # What the control API changes and sees

    def _get_service(self, request: Json) -> Json:
        cluster, name = request["cluster"], request["service"]
        service = self.ecs.services.get((cluster, name))
        if service is None:
            raise LookupError(f"no service {name} in cluster {cluster}")
        return {
            "service": ecs_shapes.shape_service(self.ecs, service, with_tags=True),
            "tasks": [shape_task(self.ecs, task) for task in service.tasks.values()],
            "requestsPerSecond": self._traffic.rate(service.key, self.clock.now()),
            "dependencyErrorRatio": self._traffic.failed_share(service.key),
        }
