"""Health becomes metrics: traffic, saturation, outage and their cures."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from .behaviour import TaskBehaviour
from .harness import CLUSTER, SERVICE, TARGET_GROUP, TARGET_GROUP_ARN, Scene, is_stable
from .load import Demand, compute_overload, evaluate_health

LOAD_BALANCER = {"LoadBalancer": "app/web/73e2d6bc24d8a067"}
TARGET = {**LOAD_BALANCER, "TargetGroup": TARGET_GROUP}
ECS = {"ClusterName": CLUSTER, "ServiceName": SERVICE}
METRICS = {
    "cpu": ("AWS/ECS", "CPUUtilization", ECS),
    "memory": ("AWS/ECS", "MemoryUtilization", ECS),
    "requests": ("AWS/ApplicationELB", "RequestCount", TARGET),
    "errors": ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", TARGET),
    "healthy": ("AWS/ApplicationELB", "HealthyHostCount", TARGET),
    "unhealthy": ("AWS/ApplicationELB", "UnHealthyHostCount", TARGET),
    "latency": ("AWS/ApplicationELB", "TargetResponseTime", TARGET),
    "elb_errors": ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", LOAD_BALANCER),
}


def _create_behind_load_balancer(scene: Scene, **variables: object) -> None:
    scene.register(SERVICE, **variables)
    scene.create(loadBalancers=[{"targetGroupArn": TARGET_GROUP_ARN, "containerName": "app", "containerPort": 80}])
    scene.wait_stable()


def _read_next_period(scene: Scene) -> dict[str, list[float]]:
    """Every metric of the first published period that began after now."""
    begin = datetime.fromtimestamp(int(time.time()) + 1, UTC)
    queries = [
        {
            "Id": id_,
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": name,
                    "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
                },
                "Period": 1,
                "Stat": "Sum",
            },
        }
        for id_, (namespace, name, dimensions) in METRICS.items()
    ]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        answer = scene.cloudwatch.get_metric_data(
            MetricDataQueries=queries, StartTime=begin, EndTime=begin + timedelta(minutes=1)
        )
        results = {result["Id"]: result for result in answer["MetricDataResults"]}
        if results["healthy"]["Timestamps"]:
            period = min(results["healthy"]["Timestamps"])
            return {
                id_: [value for time_, value in zip(r["Timestamps"], r["Values"], strict=True) if time_ == period]
                for id_, r in results.items()
            }
        time.sleep(0.05)
    raise AssertionError("nothing was published for 10 s")


def test_healthy_service_publishes_whole_periods_without_errors(minute_a_second: Scene) -> None:
    """ALB user guide: RequestCount; "HTTPCode_Target_5XX_Count: Reporting criteria: There is a nonzero value"."""
    _create_behind_load_balancer(minute_a_second)
    points = _read_next_period(minute_a_second)
    assert points["requests"] == [100 * 60]
    assert points["cpu"] == [pytest.approx(70 / 3)]
    assert (points["healthy"], points["unhealthy"]) == ([3], [0])
    assert points["latency"] == [pytest.approx(0.05 / (1 - 0.7 / 3))]
    assert (points["errors"], points["elb_errors"]) == ([], [])


def test_surge_fails_requests_and_more_tasks_cure_it(minute_a_second: Scene) -> None:
    """The story of the demo: twice the load on tasks sized for 1.4 times, and half as many tasks again."""
    _create_behind_load_balancer(minute_a_second, CAPACITY_RPS=47)
    minute_a_second.control.set_load(CLUSTER, SERVICE, 200)
    surge = _read_next_period(minute_a_second)
    assert surge["errors"][0] / surge["requests"][0] > 0.3
    assert surge["cpu"][0] > 95
    minute_a_second.update(desiredCount=5)
    minute_a_second.wait(lambda s: is_stable(s) and "steady state" in s["events"][0]["message"])
    cured = _read_next_period(minute_a_second)
    assert cured["errors"] == []
    assert cured["healthy"] == [5]


def test_bad_revision_and_broken_dependency_fail_their_shares(minute_a_second: Scene) -> None:
    """Both shares hit independently: 1 - 0.6 * 0.5 of the requests fail."""
    _create_behind_load_balancer(minute_a_second, ERROR_RATIO=0.4)
    points = _read_next_period(minute_a_second)
    assert points["errors"] == [2400]
    minute_a_second.control.set_dependency_errors(CLUSTER, SERVICE, 0.5)
    assert _read_next_period(minute_a_second)["errors"] == [4200]


def test_total_outage_hides_target_metrics(minute_a_second: Scene) -> None:
    """ALB user guide: RequestCount counts only requests with a chosen target; the load balancer's own 503 are
    HTTPCode_ELB_5XX_Count. ECS publishes utilisation only for running tasks."""
    scene = minute_a_second
    _create_behind_load_balancer(scene)
    scene.register(PULL_FAILS="true")
    scene.update(taskDefinition="web:2", deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100})
    scene.wait(lambda service: service["runningCount"] == 0)
    points = _read_next_period(scene)
    assert points["elb_errors"] == [6000]
    assert points["healthy"] == [0]
    assert not any(points[id_] for id_ in ("requests", "errors", "latency", "cpu", "memory"))


def test_no_traffic_publishes_no_request_metrics(minute_a_second: Scene) -> None:
    """ALB user guide: metrics are reported "only when requests are flowing through the load balancer"."""
    _create_behind_load_balancer(minute_a_second)
    minute_a_second.control.set_load(CLUSTER, SERVICE, 0)
    points = _read_next_period(minute_a_second)
    assert (points["requests"], points["latency"], points["elb_errors"]) == ([], [], [])
    assert (points["cpu"], points["healthy"]) == ([0], [3])


@pytest.mark.parametrize(("use", "failed"), [(0.5, 0), (1.0, 0), (1.2, 1 / 6), (1.4286, 0.372), (2.1429, 0.683)])
def test_overload_formula(use: float, failed: float) -> None:
    """The formula and the numbers of load.py's docstring."""
    assert compute_overload(use) == pytest.approx(failed, abs=0.001)


def test_mixed_revisions_share_the_traffic() -> None:
    """A canary of one in four tasks that fails everything fails a quarter of the requests."""
    good, bad = TaskBehaviour(), TaskBehaviour(error_ratio=1.0)
    health = evaluate_health(Demand(rps=100), [good, good, good, bad])
    assert health is not None
    assert health.error_ratio == pytest.approx(0.25)
