"""The metrics that ECS and load balancers publish about a service, as its health stands at one instant."""

from collections.abc import Iterator
from dataclasses import dataclass

from .clock import METRIC_PERIOD_SECONDS
from .cloudwatch import MetricName
from .ecs import Service
from .load import Demand, evaluate_health

ECS_NAMESPACE = "AWS/ECS"
LOAD_BALANCER_NAMESPACE = "AWS/ApplicationELB"


@dataclass(frozen=True)
class Sample:
    """One value for one metric, and its unit."""

    metric: MetricName
    value: float
    unit: str


def measure_service(service: Service, demand: Demand) -> Iterator[Sample]:
    """What is published for one period in which `service` was as it is now.

    AWS/ECS publishes only while a task runs. A load balancer publishes RequestCount only for requests that had a
    target, and 5XX counts only when they are not zero; with no target, the 5XX are its own
    (HTTPCode_ELB_5XX_Count) and carry the LoadBalancer dimension only (ALB user guide, "CloudWatch metrics").
    Counts cover the period: requests a second times 60 s. A target gets traffic once its task is healthy; before
    that it counts as unhealthy, as a target in state `initial` does.
    """
    running = service.running()
    serving = [task for task in running if task.healthy]
    health = evaluate_health(demand, [task.task_definition.behaviour for task in serving])
    use = health or evaluate_health(Demand(rps=0), [task.task_definition.behaviour for task in running])
    if use is not None:
        dimensions = {"ClusterName": service.cluster, "ServiceName": service.name}
        yield Sample(MetricName.build(ECS_NAMESPACE, "CPUUtilization", dimensions), use.cpu_percent, "Percent")
        yield Sample(MetricName.build(ECS_NAMESPACE, "MemoryUtilization", dimensions), use.memory_percent, "Percent")
    requests = demand.rps * METRIC_PERIOD_SECONDS
    for arn in service.target_group_arns:
        target_group = arn.rsplit(":", 1)[-1]
        load_balancer = {"LoadBalancer": f"app/{target_group.removeprefix('targetgroup/')}"}
        target = {**load_balancer, "TargetGroup": target_group}
        yield _sample("HealthyHostCount", target, len(serving))
        yield _sample("UnHealthyHostCount", target, len(running) - len(serving))
        if requests == 0:
            continue
        if health is None:
            yield _sample("HTTPCode_ELB_5XX_Count", load_balancer, requests)
            continue
        yield _sample("RequestCount", target, requests)
        yield _sample("TargetResponseTime", target, health.latency_seconds, "Seconds")
        if (errors := round(requests * health.error_ratio)) > 0:
            yield _sample("HTTPCode_Target_5XX_Count", target, errors)


def _sample(name: str, dimensions: dict[str, str], value: float, unit: str = "Count") -> Sample:
    return Sample(MetricName.build(LOAD_BALANCER_NAMESPACE, name, dimensions), float(value), unit)
