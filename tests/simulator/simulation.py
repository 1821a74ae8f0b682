"""The simulated account: ECS, CloudWatch and traffic behind one lock, and the thread that lets time pass."""

import math
import threading
from collections.abc import Callable

from . import ecs_shapes
from .aws_json import Json
from .clock import Clock
from .cloudwatch import RETENTION_SECONDS, MetricStore
from .cloudwatch_api import CloudWatchApi
from .ecs import Ecs, Identifiers
from .ecs_reads import EcsReads
from .ecs_scheduler import Scheduler
from .ecs_writes import EcsWrites
from .errors import AwsError
from .load import Demand
from .published_metrics import measure_service

ACCOUNT = "123456789012"
_CLEAN_UP_SECONDS = 60.0


class Simulation:
    """One account and region. Thread-safe: each public method takes the lock for as long as it computes."""

    def __init__(self, *, speed: float = 1.0, seed: int = 1, region: str = "us-east-1") -> None:
        """`speed`: simulated seconds per wall second. `seed`: of ids and start-up jitter."""
        self.clock = Clock(speed)
        self._wake = threading.Condition()
        self._ecs = Ecs(ACCOUNT, region, Identifiers(seed))
        self._scheduler = Scheduler(self._ecs, self.clock)
        self._metrics = MetricStore()
        self._demands: dict[tuple[str, str], Demand] = {}
        self._operations: dict[str, dict[str, Callable[[Json], Json]]] = {
            "ecs": EcsReads(self._ecs, self.clock).operations
            | EcsWrites(self._ecs, self._scheduler, self.clock).operations,
            "cloudwatch": CloudWatchApi(self._metrics, self.clock).operations,
        }
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="simulation", daemon=True)

    def start(self) -> None:
        """Let time pass."""
        self._thread.start()

    def stop(self) -> None:
        """Stop time, and wait for the thread to end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def perform(self, service: str, operation: str, parameters: Json) -> Json:
        """The answer of an AWS operation; AwsError when it fails or is not simulated."""
        perform = self._operations[service].get(operation)
        if perform is None:
            raise AwsError("UnknownOperationException", f"The simulator does not know {service} {operation}.")
        with self._wake:
            answer = perform(parameters)
            self._wake.notify()
            return answer

    # What the control API can change and see

    def set_demand(self, cluster: str, service: str, demand: Demand) -> None:
        """From now on the service gets this traffic; it need not exist yet."""
        with self._wake:
            self._demands[cluster, service] = demand

    def get_demand(self, cluster: str, service: str) -> Demand:
        """The traffic the service gets."""
        with self._wake:
            return self._demands.get((cluster, service), Demand())

    def set_consistency_delay(self, simulated_seconds: float) -> None:
        """From now on reads of ECS services show the state this long ago; 0: no delay."""
        if simulated_seconds < 0:
            raise ValueError("the consistency delay cannot be negative")
        with self._wake:
            self._ecs.set_lag(self.clock.wall(simulated_seconds), self.clock.now())

    def dump_service(self, cluster: str, name: str) -> Json | None:
        """The true state of a service, whatever readers see: Service, its Tasks, and its traffic."""
        with self._wake:
            service = self._ecs.services.get((cluster, name))
            if service is None:
                return None
            demand = self._demands.get(service.key, Demand())
            return {
                "service": ecs_shapes.shape_service(self._ecs, service, with_tags=True),
                "tasks": [ecs_shapes.shape_task(self._ecs, service, task) for task in service.tasks.values()],
                "requestsPerSecond": demand.rps,
                "dependencyErrorRatio": demand.dependency_error_ratio,
            }

    # Time

    def _run(self) -> None:
        period = self.clock.metric_period
        publish_at = (math.floor(self.clock.now() / period) + 1) * period
        clean_up_at = self.clock.now() + _CLEAN_UP_SECONDS
        with self._wake:
            while not self._stopping:
                now = self.clock.now()
                self._scheduler.run_due(now)
                if now >= publish_at:
                    # A late publication skips periods instead of inventing points for a past it did not see.
                    ended = math.floor(now / period) * period
                    self._publish(ended - period)
                    publish_at = ended + period
                if now >= clean_up_at:
                    self._metrics.forget_before(now - RETENTION_SECONDS)
                    clean_up_at = now + _CLEAN_UP_SECONDS
                due = min(self._scheduler.next_due() or math.inf, publish_at, clean_up_at)
                self._wake.wait(max(0.0, due - self.clock.now()))

    def _publish(self, period_start: float) -> None:
        """Publish the period that began at `period_start`; AWS stamps a point with the start of its period."""
        for service in self._ecs.services.values():
            if service.status == "ACTIVE":
                for sample in measure_service(service, self._demands.get(service.key, Demand())):
                    series = self._metrics.open(sample.metric)
                    series.units.add(sample.unit)
                    series.add(period_start, sample.value)
