"""Health becomes metrics: traffic, saturation, outage and their cures, in the namespaces that AWS publishes to."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .behaviour import TaskBehaviour
from .harness import CLUSTER, SERVICE, TARGET_GROUP, TARGET_GROUP_ARN, Scene
from .load import Demand, TaskLoad, compute_overload, evaluate_health
from .manual_ecs import BLUE, GREEN, PAIR
from .manual_world import ManualWorld

LOAD_BALANCER = {"LoadBalancer": "app/web/73e2d6bc24d8a067"}
TARGET = {**LOAD_BALANCER, "TargetGroup": TARGET_GROUP}
ECS = {"ClusterName": CLUSTER, "ServiceName": SERVICE}
BALANCERS = [{"targetGroupArn": TARGET_GROUP_ARN, "containerName": "app", "containerPort": 80}]
IDLE_LATENCY = 0.05 / (1 - 0.7 / 3)
"""Of three tasks that are used to a third."""


@pytest.fixture
def aws() -> ManualWorld:
    """A cluster in which time passes only when told."""
    return ManualWorld()


def _create(aws: ManualWorld, members: Mapping[str, Any] | None = None, **variables: object) -> None:
    """The service `web` behind a load balancer."""
    aws.register(**variables)
    aws.create(**({"loadBalancers": BALANCERS} if members is None else members))


def _elb(aws: ManualWorld, name: str, dimensions: Mapping[str, str] = TARGET, statistic: str = "Sum") -> float | None:
    return aws.read("AWS/ApplicationELB", name, dimensions, statistic)


def _cpu(aws: ManualWorld) -> float | None:
    return aws.read("AWS/ECS", "CPUUtilization", ECS, "Average")


# Load balancers and ECS


def test_healthy_service_publishes_whole_periods_without_errors(aws: ManualWorld) -> None:
    """ALB user guide: RequestCount; "HTTPCode_Target_5XX_Count: Reporting criteria: There is a nonzero value"."""
    _create(aws)
    assert _elb(aws, "RequestCount") == _elb(aws, "RequestCount", LOAD_BALANCER) == 100 * 60
    assert _elb(aws, "HTTPCode_Target_2XX_Count") == 6000
    assert _elb(aws, "RequestCountPerTarget") == 2000
    assert _cpu(aws) == pytest.approx(70 / 3)
    assert aws.read("AWS/ECS", "CPUUtilization", ECS, "SampleCount") == 3
    assert (_elb(aws, "HealthyHostCount", statistic="Maximum"), _elb(aws, "UnHealthyHostCount")) == (3, 0)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") is None
    assert _elb(aws, "HTTPCode_ELB_5XX_Count", LOAD_BALANCER) is None


def test_target_that_is_not_healthy_gets_no_traffic(aws: ManualWorld) -> None:
    """ALB user guide, "Health checks": "the load balancer routes requests only to the healthy targets"."""
    _create(aws, {"loadBalancers": BALANCERS, "healthCheckGracePeriodSeconds": 600}, READY_SECONDS=300)
    aws.update(desiredCount=6)
    aws.run(120)
    assert (_elb(aws, "HealthyHostCount"), _elb(aws, "UnHealthyHostCount")) == (3, 3)
    assert aws.read("AWS/ECS", "CPUUtilization", ECS, "Maximum") == pytest.approx(70 / 3)
    assert aws.read("AWS/ECS", "CPUUtilization", ECS, "Minimum") == 0
    aws.run(300)
    assert aws.read("AWS/ECS", "CPUUtilization", ECS, "Maximum") == pytest.approx(70 / 6)


def test_latency_has_percentiles(aws: ManualWorld) -> None:
    """ALB user guide, TargetResponseTime: "The most useful statistics are Average and pNN.NN (percentiles)"."""
    _create(aws)
    expected = {"Average": 1, "p50": 0.8, "p99": 2, "p99.9": 10}
    for statistic, factor in expected.items():
        value = _elb(aws, "TargetResponseTime", statistic=statistic)
        assert value == pytest.approx(factor * IDLE_LATENCY), statistic
    assert _elb(aws, "TargetResponseTime", statistic="SampleCount") == pytest.approx(6000)


def test_surge_fails_requests_and_more_tasks_cure_it(aws: ManualWorld) -> None:
    """The story of the demo: twice the load on tasks sized for 1.4 times, and half as many tasks again."""
    _create(aws, CAPACITY_RPS=47)
    aws.control("PUT", "load", cluster=CLUSTER, service=SERVICE, requestsPerSecond=200)
    aws.run(60)
    errors, cpu = _elb(aws, "HTTPCode_Target_5XX_Count"), _cpu(aws)
    assert errors is not None
    assert cpu is not None
    assert errors / 12_000 > 0.3
    assert cpu > 95
    aws.update(desiredCount=5)
    aws.run(300)
    assert (_elb(aws, "HTTPCode_Target_5XX_Count"), _elb(aws, "HealthyHostCount")) == (None, 5)


def test_bad_revision_and_broken_dependency_fail_their_shares(aws: ManualWorld) -> None:
    """Both shares hit independently: 1 - 0.6 * 0.5 of the requests fail."""
    _create(aws, ERROR_RATIO=0.4)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") == 2400
    aws.control("PUT", "dependency-errors", cluster=CLUSTER, service=SERVICE, ratio=0.5)
    aws.run(60)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") == 4200


def test_total_outage_hides_target_metrics(aws: ManualWorld) -> None:
    """ALB user guide: RequestCount counts only requests with a chosen target; the load balancer's own 503 are
    HTTPCode_ELB_5XX_Count, with no TargetGroup. ECS publishes utilisation only for running tasks."""
    _create(aws)
    aws.register(PULL_FAILS="true")
    aws.update(taskDefinition="web:2", deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100})
    aws.run(300)
    assert _elb(aws, "HTTPCode_ELB_5XX_Count", LOAD_BALANCER) == 6000
    assert _elb(aws, "HTTPCode_ELB_503_Count", LOAD_BALANCER) == 6000
    assert _elb(aws, "HealthyHostCount", statistic="Maximum") == 0
    vanished = ("RequestCount", "HTTPCode_Target_5XX_Count", "TargetResponseTime", "HTTPCode_ELB_5XX_Count")
    assert [_elb(aws, name) for name in vanished] == [None] * 4
    assert (_elb(aws, "RequestCount", LOAD_BALANCER), _cpu(aws)) == (None, None)


def test_no_traffic_publishes_no_request_metrics(aws: ManualWorld) -> None:
    """ALB user guide: metrics are reported "only when requests are flowing through the load balancer"."""
    _create(aws)
    aws.control("PUT", "load", cluster=CLUSTER, service=SERVICE, requestsPerSecond=0)
    aws.run(60)
    names = ("RequestCount", "TargetResponseTime", "RequestCountPerTarget")
    assert [_elb(aws, name) for name in names] == [None] * 3
    assert _elb(aws, "HTTPCode_ELB_5XX_Count", LOAD_BALANCER) is None
    assert (_cpu(aws), _elb(aws, "HealthyHostCount")) == (0, 3)


def test_load_in_steps_and_with_a_gap(aws: ManualWorld) -> None:
    """A step changes the rate for good, a gap stops the traffic and ends by itself."""
    _create(aws)
    key = {"cluster": CLUSTER, "service": SERVICE}
    aws.control("PUT", "load", **key, steps=[[120, 50], [240, 80]])
    aws.control("PUT", "load-gap", **key, after=360, seconds=120)
    seen = []
    for _ in range(9):
        aws.run(60)
        seen.append(_elb(aws, "RequestCount"))
    assert seen == [6000, 6000, 3000, 3000, 4800, 4800, None, None, 4800]


@pytest.mark.parametrize(
    ("path", "members", "why"),
    [
        ("load", {"requestsPerSecond": -1}, "cannot be negative"),
        ("load", {"steps": []}, "at least one step"),
        ("load", {"steps": [[60, 1], [0, 2]]}, "in order of time"),
        ("load-gap", {"seconds": 0}, "longer than 0"),
        ("dependency-errors", {"ratio": 2}, "within 0 and 1"),
        ("api-gateway", {"apiId": "a", "kind": "SOAP"}, "kind must be one of"),
    ],
)
def test_orders_that_make_no_sense(aws: ManualWorld, path: str, members: dict[str, Any], why: str) -> None:
    """They are refused, with the reason."""
    with pytest.raises(ValueError, match=why):
        aws.control("PUT", path, cluster=CLUSTER, service=SERVICE, **members)


def test_two_services_on_one_load_balancer(aws: ManualWorld) -> None:
    """A shared load balancer counts the requests of all of its target groups, and each target group its own."""
    second = TARGET_GROUP_ARN.replace("/web/73", "/api/84")
    shared = aws.control("PUT", "load-balancer", name="edge", targetGroupArns=[TARGET_GROUP_ARN, second])
    _create(aws)
    aws.register("api", PULL_FAILS="true")
    aws.create("api", loadBalancers=[{"targetGroupArn": second, "containerName": "app", "containerPort": 80}])
    edge = {"LoadBalancer": shared["dimension"]}
    assert _elb(aws, "RequestCount", {**edge, "TargetGroup": TARGET_GROUP}) == 6000
    assert _elb(aws, "RequestCount", edge) == 6000
    assert _elb(aws, "HTTPCode_ELB_5XX_Count", edge) == 6000, "those of the service that never started"
    assert _elb(aws, "RequestCount") is None


def test_bad_canary_shows_on_its_own_target_group(aws: ManualWorld) -> None:
    """Developer guide, "Amazon ECS canary deployments": 10 % of the traffic goes to the new revision. Over both target
    groups the error ratio is diluted to 10 %, on the new one it is 100 %."""
    canary = {
        "strategy": "CANARY",
        "bakeTimeInMinutes": 5,
        "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 20},
    }
    _create(aws, {"loadBalancers": [PAIR], "deploymentConfiguration": canary})
    aws.run(1200)
    balancer = {"LoadBalancer": "app/web/1"}
    blue, green = ({**balancer, "TargetGroup": arn.rsplit(":", 1)[-1]} for arn in (BLUE, GREEN))
    assert (_elb(aws, "RequestCount", blue), _elb(aws, "RequestCount", green)) == (6000, None)
    aws.register(ERROR_RATIO=1)
    aws.update(taskDefinition="web:2")
    aws.run(600)
    assert (_elb(aws, "RequestCount", blue), _elb(aws, "RequestCount", green)) == (5400, 600)
    assert (_elb(aws, "HTTPCode_Target_5XX_Count", blue), _elb(aws, "HTTPCode_Target_5XX_Count", green)) == (None, 600)
    assert _elb(aws, "HTTPCode_Target_5XX_Count", balancer) == 600
    assert _elb(aws, "HealthyHostCount", green) == 3
    rule = PAIR["advancedConfiguration"]["productionListenerRule"]  # type: ignore[index]
    action = aws.call("DescribeRules", "elbv2", RuleArns=[rule])["Rules"][0]["Actions"][0]
    assert {g["TargetGroupArn"]: g["Weight"] for g in action["ForwardConfig"]["TargetGroups"]} == {BLUE: 90, GREEN: 10}


def test_memory_leak_grows_with_age_and_shows_in_the_maximum(aws: ManualWorld) -> None:
    """Developer guide, "Amazon ECS service utilization metrics": each task is a sample, Maximum is the worst."""
    _create(aws, MEMORY_LEAK_PERCENT_PER_HOUR=60)
    early = aws.read("AWS/ECS", "MemoryUtilization", ECS, "Maximum")
    assert early is not None
    aws.update(desiredCount=4)
    aws.run(600)
    assert aws.read("AWS/ECS", "MemoryUtilization", ECS, "Maximum") == pytest.approx(early + 10, abs=2)
    least = aws.read("AWS/ECS", "MemoryUtilization", ECS, "Minimum")
    assert least is not None
    assert least < early + 1, "the youngest task"


def test_utilisation_every_twenty_seconds(aws: ManualWorld) -> None:
    """API type MonitoringConfiguration: "defines the resolution for the service-level CPUUtilization and
    MemoryUtilization"; 20 or 60 seconds."""
    finer = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]}
    _create(aws, {"monitoring": finer})
    assert aws.read("AWS/ECS", "CPUUtilization", ECS, "SampleCount") == 9
    assert aws.read("AWS/ECS", "MemoryUtilization", ECS, "SampleCount") == 3


def test_full_disk_fails_requests(aws: ManualWorld) -> None:
    """A task whose ephemeral storage is full fails its share of the traffic; the metrics of the others go on."""
    _create(aws)
    task = next(iter(aws.service().tasks.values()))
    aws.control("PUT", "conditions", fullDisks=[task.id])
    aws.run(60)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") == 2000


def test_volume_that_fills_up(aws: ManualWorld) -> None:
    """Developer guide, "Amazon ECS CloudWatch metrics", EBSFilesystemUtilization: of tasks with an EBS volume only."""
    volume = {"name": "data", "managedEBSVolume": {"roleArn": "arn:aws:iam::123456789012:role/ecs", "sizeInGiB": 10}}
    _create(aws, {"volumeConfigurations": [volume]}, VOLUME_USED_GB=1, VOLUME_GROWTH_GB_PER_HOUR=6)
    used = aws.read("AWS/ECS", "EBSFilesystemUtilization", ECS, "Maximum")
    assert used == pytest.approx(20, abs=2), "a tenth of a GiB a minute"
    aws.run(7200)
    assert aws.read("AWS/ECS", "EBSFilesystemUtilization", ECS, "Maximum") == 100


# Dependencies


def test_dead_dependency_raises_cpu_latency_and_errors_of_all_callers(aws: ManualWorld) -> None:
    """Callers time out and retry: their CPU goes up, and more tasks do not win it back."""
    _create(aws)
    callers = [{"cluster": CLUSTER, "service": SERVICE}, {"cluster": CLUSTER, "service": "other"}]
    aws.control("PUT", "dependency", name="payments", dependents=callers)
    aws.control("PUT", "dependency-state", name="payments", errorRatio=0.5, latencySeconds=5, cpuPercent=65)
    aws.run(60)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") == 3000
    assert _cpu(aws) == pytest.approx(70 / 3 + 65)
    assert _elb(aws, "TargetResponseTime", statistic="Average") == pytest.approx(5 + IDLE_LATENCY)
    aws.update(desiredCount=6)
    aws.run(300)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") == 3000
    assert _cpu(aws) == pytest.approx(70 / 6 + 65)
    aws.control("PUT", "dependency-state", name="payments", latencySeconds=2)
    aws.run(60)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") is None
    assert _elb(aws, "TargetResponseTime", statistic="Average") == pytest.approx(2.05, abs=0.02)
    aws.control("PUT", "dependency-state", name="payments")
    aws.run(60)
    assert _cpu(aws) == pytest.approx(70 / 6)
    assert aws.control("GET", "dependencies")["dependencies"][0]["errorRatio"] == 0


def test_outage_of_a_service_is_felt_by_its_callers(aws: ManualWorld) -> None:
    """A simulated service can be the dependency: what it fails, its callers fail."""
    _create(aws)
    aws.register("ledger", ERROR_RATIO=0.25)
    aws.create("ledger", count=1)
    callers = [{"cluster": CLUSTER, "service": SERVICE}]
    provider = {"cluster": CLUSTER, "service": "ledger"}
    aws.control("PUT", "dependency", name="ledger", dependents=callers, provider=provider)
    aws.run(120)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") == 1500
    aws.update("ledger", desiredCount=0)
    aws.run(180)
    assert _elb(aws, "HTTPCode_Target_5XX_Count") == 6000


def test_state_of_a_dependency_that_nobody_declared(aws: ManualWorld) -> None:
    """A misspelt name must not go unnoticed."""
    with pytest.raises(LookupError, match="no dependency paymets"):
        aws.control("PUT", "dependency-state", name="paymets", errorRatio=1)


# API Gateway


def _api(aws: ManualWorld, name: str, dimensions: Mapping[str, str], statistic: str = "Sum") -> float | None:
    return aws.read("AWS/ApiGateway", name, dimensions, statistic)


def test_rest_api_error_average_is_the_rate(aws: ManualWorld) -> None:
    """API Gateway developer guide: "The Average statistic represents the 5XXError error rate"; "The SampleCount
    statistic represents" Count; non-ASCII characters are removed from ApiName."""
    _create(aws, {}, ERROR_RATIO=0.2)
    gateway = {"kind": "REST", "apiId": "a1b2c3d4e5", "name": "주문-orders", "stage": "prod"}
    aws.control("PUT", "api-gateway", cluster=CLUSTER, service=SERVICE, **gateway)
    aws.run(60)
    api = {"ApiName": "-orders", "Stage": "prod"}
    assert _api(aws, "Count", api, "SampleCount") == 6000
    assert _api(aws, "5XXError", api, "Average") == pytest.approx(0.2)
    assert _api(aws, "5XXError", {"ApiName": "-orders"}) == 1200
    assert _api(aws, "4XXError", api) == 0
    assert _api(aws, "Latency", api, "Average") == pytest.approx(1000 * IDLE_LATENCY + 5)
    assert _api(aws, "Count", {"ApiName": "주문-orders"}) is None


def test_rest_api_with_a_korean_name_publishes_its_id(aws: ManualWorld) -> None:
    """Same page: "If the APIName contains no ASCII characters, the API ID is used as the ApiName"."""
    _create(aws, {})
    aws.control("PUT", "api-gateway", cluster=CLUSTER, service=SERVICE, kind="REST", apiId="a1b2c3d4e5", name="주문")
    aws.run(60)
    assert _api(aws, "Count", {"ApiName": "a1b2c3d4e5"}) == 6000


def test_http_api_answers_errors_in_a_total_outage(aws: ManualWorld) -> None:
    """API Gateway developer guide, "Monitoring metrics for HTTP APIs": 5xx and Count by ApiId and Stage. The gateway's
    own metrics do not vanish when nothing is behind it."""
    _create(aws, {})
    aws.control("PUT", "api-gateway", cluster=CLUSTER, service=SERVICE, kind="HTTP", apiId="h1", stage="$default")
    aws.run(60)
    api = {"ApiId": "h1", "Stage": "$default"}
    assert (_api(aws, "Count", api), _api(aws, "5xx", api)) == (6000, None)
    aws.update(desiredCount=0)
    aws.run(180)
    assert (_api(aws, "Count", api), _api(aws, "5xx", api)) == (6000, 6000)
    aws.control("PUT", "api-gateway", cluster=CLUSTER, service=SERVICE)
    aws.run(60)
    assert _api(aws, "Count", api) is None


# Container Insights


def _insights(aws: ManualWorld, name: str, cluster: str = "seen", statistic: str = "Maximum") -> float | None:
    return aws.read("ECS/ContainerInsights", name, {**ECS, "ClusterName": cluster}, statistic)


def test_container_insights_only_where_the_cluster_has_them(aws: ManualWorld) -> None:
    """CloudWatch user guide, "Amazon ECS Container Insights metrics"; the cluster setting containerInsights."""
    setting = {"name": "containerInsights", "value": "enabled"}
    aws.call("CreateCluster", clusterName="seen", settings=[setting])
    aws.register(DISK_USED_GB=4)
    for cluster in (CLUSTER, "seen"):
        aws.create(cluster=cluster)
    expected = {
        "RunningTaskCount": 3,
        "DesiredTaskCount": 3,
        "EphemeralStorageUtilized": 4,
        "EphemeralStorageReserved": 20,
        "CpuReserved": 256,
        "CpuUtilized": pytest.approx(256 * 0.7 / 3),
        "RestartCount": None,
    }
    assert {name: _insights(aws, name) for name in expected} == expected
    assert _insights(aws, "RunningTaskCount", CLUSTER) is None


def test_restarts_in_place_show_in_enhanced_insights_alone(aws: ManualWorld) -> None:
    """CloudWatch user guide, Container Insights with enhanced observability, RestartCount: "collected only for
    containers that have a restart policy enabled". The tasks run on, and nothing is stopped."""
    setting = {"name": "containerInsights", "value": "enhanced"}
    aws.call("CreateCluster", clusterName="seen", settings=[setting])
    container = {
        "name": "app",
        "image": "app:1",
        "environment": [{"name": "SIM_EXIT_AFTER_SECONDS", "value": "70"}],
        "restartPolicy": {"enabled": True, "restartAttemptPeriod": 60},
    }
    aws.call("RegisterTaskDefinition", family="web", containerDefinitions=[container])
    aws.create(cluster="seen", count=2)
    seen = []
    for _ in range(7):
        aws.run(60)
        seen.append(_insights(aws, "RestartCount", statistic="Sum"))
    assert {task.last_status for task in aws.place.ecs.services["seen", "web"].tasks.values()} == {"RUNNING"}
    assert 10 <= sum(count or 0 for count in seen) <= 14, "each of two tasks every 70 seconds for 420"


# Over the wire, and the formulas


def test_metrics_arrive_a_minute_a_second(minute_a_second: Scene) -> None:
    """At speed 60 a period is a second: the points are stamped with its start, and each is there once."""
    scene = minute_a_second
    scene.register()
    scene.create(loadBalancers=BALANCERS)
    scene.wait_stable()
    begin = datetime.fromtimestamp(int(time.time()) + 1, UTC)
    metric = {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "RequestCount",
        "Dimensions": [{"Name": name, "Value": value} for name, value in TARGET.items()],
    }
    query = {"Id": "requests", "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Sum"}}
    values: list[float] = []
    deadline = time.monotonic() + 15
    while len(values) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        answer = scene.cloudwatch.get_metric_data(
            MetricDataQueries=[query], StartTime=begin, EndTime=begin + timedelta(minutes=1)
        )
        values = answer["MetricDataResults"][0]["Values"]
    assert values == [6000, 6000]


@pytest.mark.parametrize(("use", "failed"), [(0.5, 0), (1.0, 0), (1.2, 1 / 6), (1.4286, 0.372), (2.1429, 0.683)])
def test_overload_formula(use: float, failed: float) -> None:
    """The formula and the numbers of load.py's docstring."""
    assert compute_overload(use) == pytest.approx(failed, abs=0.001)


def test_mixed_revisions_share_the_traffic() -> None:
    """A rolling deployment with one of four tasks of a revision that fails everything fails a quarter."""
    good, bad = TaskLoad(TaskBehaviour()), TaskLoad(TaskBehaviour(error_ratio=1.0))
    health = evaluate_health(Demand(rps=100), [good, good, good, bad])
    assert health is not None
    assert health.error_ratio == pytest.approx(0.25)
