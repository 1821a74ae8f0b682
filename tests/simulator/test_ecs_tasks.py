"""The life of tasks: how they start, fail, are found unhealthy, restart and stop, in AWS's words."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from .clock import Clock
from .ecs import Ecs, Identifiers, Service
from .harness import BREAKER, CLUSTER, SERVICE, TARGET_GROUP, TARGET_GROUP_ARN, Json, Scene, is_stable
from .service_events import ServiceEvents

BEHIND_LOAD_BALANCER: Json = {
    "loadBalancers": [{"targetGroupArn": TARGET_GROUP_ARN, "containerName": "app", "containerPort": 8080}]
}
ROLE = "arn:aws:iam::123456789012:role/execution"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-a1b2c3"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "assignPublicIp": "ENABLED"}}


def _register(scene: Scene, *, family: str = SERVICE, container: Json | None = None, **members: Any) -> None:
    definition = {"name": "app", "image": "app:1", **(container or {})}
    scene.ecs.register_task_definition(family=family, containerDefinitions=[definition], **members)


def _environment(**variables: object) -> list[Json]:
    return [{"name": f"SIM_{name}", "value": str(value)} for name, value in variables.items()]


def _wait_stopped(scene: Scene, accept: Callable[[Json], bool] = lambda _: True) -> Json:
    found: list[Json] = []

    def look(_: Json) -> bool:
        found[:] = [t for t in scene.tasks("STOPPED") if t["lastStatus"] == "STOPPED" and accept(t)]
        return bool(found)

    scene.wait(look)
    return found[0]


def _wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def _messages(scene: Scene) -> list[str]:
    return [event["message"] for event in scene.describe()["events"]]


def _wait_message(scene: Scene, pattern: str) -> str:
    scene.wait(lambda service: any(re.search(pattern, event["message"]) for event in service["events"]))
    return next(message for message in _messages(scene) if re.search(pattern, message))


# Start


def test_task_tells_its_times_and_its_network(scene: Scene) -> None:
    """API type Task: pulls begin and end before it starts, its network interface is an attachment, and it tells when it
    began to stop, when its containers ended and when it was STOPPED."""
    _register(scene)
    scene.create(count=1, networkConfiguration=NETWORK, **BEHIND_LOAD_BALANCER)
    scene.wait_stable()
    task = scene.tasks()[0]
    assert task["pullStartedAt"] <= task["pullStoppedAt"] <= task["startedAt"]
    assert task["availabilityZone"] in ("us-east-1a", "us-east-1b")
    details = {detail["name"]: detail["value"] for detail in task["attachments"][0]["details"]}
    assert details["subnetId"] in ("subnet-1", "subnet-2")
    assert task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == details["privateIPv4Address"]
    scene.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    stopped = _wait_stopped(scene)
    assert stopped["stoppingAt"] <= stopped["executionStoppedAt"] <= stopped["stoppedAt"]
    assert stopped["containers"][0]["exitCode"] == 0


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (
            "missingImages",
            r"^CannotPullContainerError: pull image manifest has been retried 1 time\(s\): .*not found$",
        ),
        ("rateLimitedImages", r"^CannotPullContainerError: .*429 Too Many Requests.*toomanyrequests: You have reached"),
        ("deniedImages", r"^CannotPullContainerError: .*pull access denied.*authorization failed$"),
    ],
)
def test_image_that_cannot_be_pulled_any_more(scene: Scene, condition: str, reason: str) -> None:
    """Developer guide, "CannotPullContainer task errors": TaskFailedToStart; running tasks are not touched."""
    scene.create_stable()
    scene.control.set_conditions(**{condition: ["app:1"]})
    scene.update(desiredCount=4)
    task = _wait_stopped(scene)
    assert task["stopCode"] == "TaskFailedToStart"
    assert re.search(reason, task["stoppedReason"])
    assert task["containers"][0]["reason"] == task["stoppedReason"]
    assert "exitCode" not in task["containers"][0]
    assert scene.describe()["runningCount"] == 3
    told = [m for m in _messages(scene) if "unable to place" in m]
    assert told == [f"(service web) was unable to place a task. Reason: {task['stoppedReason']}."]
    scene.control.clear_conditions()
    scene.update(forceNewDeployment=True)
    scene.wait_stable()


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        (
            {"missingSecrets": [SECRET]},
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
            "failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
            f"secret {SECRET} from secrets manager: ResourceNotFoundException: Secrets Manager can't find the "
            "specified secret.",
        ),
        (
            {"deniedExecutionRoles": [ROLE]},
            "is not authorized to perform: secretsmanager:GetSecretValue on resource: " + SECRET,
        ),
    ],
)
def test_secret_that_cannot_be_read(scene: Scene, conditions: Json, reason: str) -> None:
    """Developer guide, "Troubleshooting Amazon ECS ResourceInitializationError errors": TaskFailedToStart."""
    secrets = [{"name": "DB", "valueFrom": SECRET}]
    _register(scene, container={"secrets": secrets}, executionRoleArn=ROLE)
    scene.control.set_conditions(**conditions)
    scene.create(count=1)
    task = _wait_stopped(scene)
    assert task["stopCode"] == "TaskFailedToStart"
    assert reason in task["stoppedReason"]
    assert task["stoppedReason"].startswith("ResourceInitializationError: ")


def test_execution_role_without_rights_cannot_authenticate_to_ecr(scene: Scene) -> None:
    """Same page: "unable to retrieve ecr registry auth"."""
    _register(scene, executionRoleArn=ROLE)
    scene.control.set_conditions(deniedExecutionRoles=["*"])
    scene.create(count=1)
    assert "unable to retrieve ecr registry auth" in _wait_stopped(scene)["stoppedReason"]


def test_role_that_cannot_be_assumed_starts_no_task(scene: Scene) -> None:
    """AWS re:Post, "How do I resolve the ECS was unable to assume the role error": no task, a service event."""
    _register(scene, executionRoleArn=ROLE)
    scene.control.set_conditions(unassumableRoles=[ROLE])
    scene.create(count=1)
    message = _wait_message(scene, "failed to launch a task")
    assert message.startswith(
        f"(service web) failed to launch a task with (error ECS was unable to assume the role '{ROLE}' that was "
    )
    assert scene.tasks("STOPPED") == []


def test_subnet_without_addresses(scene: Scene) -> None:
    """The task's network interface is made while it is PROVISIONING (developer guide, "task lifecycle")."""
    _register(scene)
    scene.control.set_conditions(fullSubnets=["subnet-1", "subnet-2"])
    scene.create(count=1, networkConfiguration=NETWORK)
    task = _wait_stopped(scene)
    assert task["stopCode"] == "TaskFailedToStart"
    assert re.fullmatch(
        r"Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in "
        r"subnet 'subnet-\d': InsufficientFreeAddressesInSubnet",
        task["stoppedReason"],
    )


# Capacity


def test_fargate_without_capacity_tells_once_and_recovers(scene: Scene) -> None:
    """Developer guide, "Viewing Amazon ECS service event messages": "was unable to place a task. Reason: Capacity is
    unavailable at this time. Please try again later or in a different availability zone"."""
    scene.register()
    scene.control.set_conditions(fargateShortages=[{}])
    scene.create()
    scene.wait(lambda service: service["deployments"][0]["failedTasks"] >= 3)
    messages = [m for m in _messages(scene) if "unable to place" in m]
    assert messages == [
        "(service web) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again "
        "later or in a different availability zone. For more information, see the Troubleshooting section of the "
        "Amazon ECS Developer Guide."
    ], "duplicates are omitted until the cause is resolved"
    assert scene.tasks() == []
    scene.control.clear_conditions()
    scene.wait_stable()


def test_shortage_counts_for_the_circuit_breaker(scene: Scene) -> None:
    """API type Deployment, failedTasks: "A task is considered a failure if the service scheduler can't launch the
    task"."""
    before = scene.create_stable(deploymentConfiguration=BREAKER)
    scene.control.set_conditions(fargateShortages=[{}])
    scene.register()
    arn = scene.update(taskDefinition="web:2")["currentServiceDeployment"]
    after = scene.wait(lambda service: is_stable(service) and service["taskDefinition"] == before["taskDefinition"])
    assert scene.service_deployment(arn)["status"] == "ROLLBACK_SUCCESSFUL"
    assert after["runningCount"] == 3


def test_shortage_of_a_zone_moves_tasks_elsewhere_and_rebalancing_brings_them_back(scene: Scene) -> None:
    """Developer guide, "Balancing an Amazon ECS service across Availability Zones" and its service events."""
    scene.register()
    scene.control.set_conditions(fargateShortages=[{"availabilityZone": "us-east-1a"}])
    scene.create(count=6)
    scene.wait_stable()
    assert {task["availabilityZone"] for task in scene.tasks()} == {"us-east-1b", "us-east-1c"}
    scene.control.clear_conditions()
    message = _wait_message(scene, "is not AZ balanced")
    assert message == (
        "(service web) is not AZ balanced with 0 tasks in us-east-1a, 3 tasks in us-east-1b, and 3 tasks in us-east-1c."
        " AZ Rebalancing in progress."
    )
    lowest = 6

    def watch(service: Json) -> bool:
        nonlocal lowest
        lowest = min(lowest, service["runningCount"])
        return any("is AZ balanced" in event["message"] for event in service["events"])

    scene.wait(watch, seconds=10)
    zones = [task["availabilityZone"] for task in scene.tasks()]
    assert sorted(zones.count(zone) for zone in set(zones)) == [2, 2, 2]
    assert lowest >= 6, "the replacement runs before the other stops"


def test_spot_shortage_leaves_on_demand_capacity(scene: Scene) -> None:
    """API type CapacityProviderStrategyItem: base first, then weights; AWS does not fall back to another provider."""
    scene.register()
    strategy = [
        {"capacityProvider": "FARGATE", "base": 2, "weight": 0},
        {"capacityProvider": "FARGATE_SPOT", "weight": 1},
    ]
    scene.ecs.create_service(
        cluster=CLUSTER,
        serviceName=SERVICE,
        taskDefinition=SERVICE,
        desiredCount=3,
        capacityProviderStrategy=strategy,
    )
    scene.wait_stable()
    names = sorted(task["capacityProviderName"] for task in scene.tasks())
    assert names == ["FARGATE", "FARGATE", "FARGATE_SPOT"]
    scene.control.set_conditions(fargateShortages=[{"capacityProvider": "FARGATE_SPOT"}])
    scene.update(desiredCount=6)
    _wait_message(scene, "unable to place a task")
    assert sorted(task["capacityProviderName"] for task in scene.tasks()) == names


def test_ec2_without_a_fitting_instance(scene: Scene) -> None:
    """Developer guide, service event messages: "because no container instance met all of its requirements"."""
    scene.register()
    scene.control.set_conditions(instanceLacks={CLUSTER: "CPU"})
    scene.ecs.create_service(cluster=CLUSTER, serviceName=SERVICE, taskDefinition=SERVICE, desiredCount=1)
    assert re.fullmatch(
        r"\(service web\) was unable to place a task because no container instance met all of its requirements\. "
        r"The closest matching \(container-instance [0-9a-f]{32}\) has insufficient CPU units available\. For more "
        r"information, see the Troubleshooting section of the Amazon ECS Developer Guide\.",
        _wait_message(scene, "unable to place a task"),
    )


# Failures of hosts


@pytest.mark.parametrize(
    ("kind", "stop_code"), [("spot-interruption", "SpotInterruption"), ("termination-notice", "TerminationNotice")]
)
def test_spot_wave_stops_tasks_two_minutes_later(scene: Scene, kind: str, stop_code: str) -> None:
    """Developer guide, "Fargate Spot termination notices": the event comes while the task is RUNNING. Its stopCode is
    SpotInterruption there today, and was TerminationNotice in earlier editions."""
    scene.register()
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    scene.ecs.create_service(
        cluster=CLUSTER, serviceName=SERVICE, taskDefinition=SERVICE, desiredCount=4, capacityProviderStrategy=spot
    )
    scene.wait_stable()
    arns = scene.control.disrupt(kind, cluster=CLUSTER, share=0.5)
    assert len(arns) == 2
    noticed = scene.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]
    assert {(t["lastStatus"], t["desiredStatus"]) for t in noticed} == {("RUNNING", "STOPPED")}
    task = _wait_stopped(scene)
    assert (task["stopCode"], task["stoppedReason"]) == (stop_code, "Your Spot Task was interrupted.")
    assert (task["executionStoppedAt"] - task["stoppingAt"]).total_seconds() * 600 >= 120
    scene.wait(is_stable)


def test_lost_host_takes_all_tasks_on_it(scene: Scene) -> None:
    """API type Task, stopCode InfrastructureHealth; developer guide, stopped tasks: "Host EC2 (instance id)
    terminated". Nothing reports exit codes any more."""
    scene.register()
    scene.ecs.create_service(cluster=CLUSTER, serviceName=SERVICE, taskDefinition=SERVICE, desiredCount=6)
    scene.wait_stable()
    zone = scene.tasks()[0]["availabilityZone"]
    lost = scene.control.disrupt("host-lost", service=SERVICE, availabilityZone=zone, count=1)
    assert len(lost) == 2, "two tasks a zone"
    tasks = scene.ecs.describe_tasks(cluster=CLUSTER, tasks=lost)["tasks"]
    assert {task["stopCode"] for task in tasks} == {"InfrastructureHealth"}
    assert re.fullmatch(r"Host EC2 \(instance i-[0-9a-f]{17}\) terminated\.", tasks[0]["stoppedReason"])
    assert "exitCode" not in tasks[0]["containers"][0]
    scene.wait_stable()
    assert scene.describe()["deployments"][0]["failedTasks"] == 0, "they had been healthy"


# Health


@pytest.mark.parametrize(
    ("answer", "cause"), [("404", r"Health checks failed with these codes: \[404\]"), ("timeout", "Request timed out")]
)
def test_failing_target_is_stopped(scene: Scene, answer: str, cause: str) -> None:
    """Developer guide, "Amazon ECS service unhealthy event messages" and "Stopped tasks error codes"."""
    scene.create_stable(deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}})
    scene.update(**BEHIND_LOAD_BALANCER)
    scene.wait_stable()
    scene.register(HEALTH_CHECK=answer)
    scene.update(taskDefinition="web:2")
    task = _wait_stopped(scene, lambda task: "health checks" in task["stoppedReason"])
    group = re.escape(TARGET_GROUP_ARN)
    assert task["stopCode"] == "ServiceSchedulerInitiated"
    assert re.fullmatch(rf"Task failed ELB health checks in \(target-group {group}\)", task["stoppedReason"])
    id_ = task["taskArn"].rsplit("/", 1)[-1]
    service = scene.wait(lambda service: is_stable(service) and service["taskDefinition"].endswith("web:1"))
    messages = [event["message"] for event in service["events"] if id_ in event["message"]]
    pattern = rf"\(service web\) \(task {id_}\) \(port 8080\) is unhealthy in \(target-group {group}\) due to "
    assert any(re.fullmatch(pattern + rf"\(reason {cause}\)\.", message) for message in messages)
    assert f"(service web) (task {id_}) failed ELB health checks in (target-group {TARGET_GROUP_ARN})." in messages
    assert f"(service web) has stopped 1 running tasks: (task {id_})." in messages


def test_container_health_check_stops_the_task(scene: Scene) -> None:
    """API type HealthCheck; AWS re:Post: "(service X) (task Y) failed container health checks"."""
    check = {"command": ["CMD-SHELL", "curl -f localhost"], "interval": 10, "retries": 2}
    _register(scene, container={"healthCheck": check, "environment": _environment(HEALTH_CHECK=500)})
    scene.create(count=1)
    task = _wait_stopped(scene)
    assert task["stoppedReason"] == "Task failed container health checks"
    assert task["containers"][0]["healthStatus"] == "UNHEALTHY"
    id_ = task["taskArn"].rsplit("/", 1)[-1]
    assert f"(service web) (task {id_}) failed container health checks." in _messages(scene)
    assert (task["stoppingAt"] - task["startedAt"]).total_seconds() * 600 == pytest.approx(20, abs=0.7)


def test_passing_container_health_check_is_healthy(scene: Scene) -> None:
    """API type Container, healthStatus."""
    _register(scene, container={"healthCheck": {"command": ["CMD-SHELL", "true"]}})
    scene.create(count=1)
    scene.wait_stable()
    assert scene.tasks()[0]["healthStatus"] == "HEALTHY"


def test_slow_start_beyond_grace_is_a_kill_loop(scene: Scene) -> None:
    """API type Service, healthCheckGracePeriodSeconds: health checks are ignored that long after the start."""
    scene.register(READY_SECONDS=120)
    scene.create(count=1, healthCheckGracePeriodSeconds=0, **BEHIND_LOAD_BALANCER)
    scene.wait(lambda service: service["deployments"][0]["failedTasks"] >= 2)
    scene.update(healthCheckGracePeriodSeconds=180)
    scene.wait_stable()


def test_health_check_broken_from_outside_hits_running_tasks(scene: Scene) -> None:
    """A changed health check path of the target group: tasks that ran well are stopped, without a deployment."""
    scene.register()
    scene.create(**BEHIND_LOAD_BALANCER)
    before = scene.wait_stable()
    scene.control.set_conditions(failingHealthChecks={TARGET_GROUP_ARN: "404"})
    task = _wait_stopped(scene)
    assert task["stoppedReason"].startswith("Task failed ELB health checks in")
    assert scene.describe()["deployments"][0]["id"] == before["deployments"][0]["id"]
    scene.control.set_conditions(failingHealthChecks={})
    scene.wait_stable()
    assert scene.control.conditions() == {}


def test_unhealthy_task_within_its_grace_gets_no_traffic_but_lives(scene: Scene) -> None:
    """The load balancer does not know the grace period: an unhealthy target is taken out all the same."""
    check = {"command": ["CMD-SHELL", "curl -f localhost"], "interval": 10, "retries": 2}
    environment = _environment(UNHEALTHY_AFTER_SECONDS=60)
    _register(scene, container={"healthCheck": check, "environment": environment})
    scene.create(count=1, healthCheckGracePeriodSeconds=1200, **BEHIND_LOAD_BALANCER)
    scene.wait_stable()
    scene.wait(lambda _: scene.tasks()[0]["healthStatus"] == "UNHEALTHY")
    task = scene.tasks()[0]
    assert (task["lastStatus"], task["desiredStatus"]) == ("RUNNING", "RUNNING")
    with scene.server.simulation.visit() as place:
        assert not next(iter(place.ecs.services[CLUSTER, SERVICE].tasks.values())).healthy
    stopped = _wait_stopped(scene)
    assert (stopped["stoppingAt"] - stopped["startedAt"]).total_seconds() * 600 >= 1200


def test_impaired_zone_fails_the_tasks_in_it_only(scene: Scene) -> None:
    """Load balancers cannot reach a zone that is cut off; ECS goes on starting tasks there."""
    scene.register()
    scene.create(**BEHIND_LOAD_BALANCER)
    scene.wait_stable()
    scene.control.set_conditions(impairedZones=["us-east-1b"])
    scene.wait(lambda _: len(scene.tasks("STOPPED")) >= 2)
    assert {task["availabilityZone"] for task in scene.tasks("STOPPED")} == {"us-east-1b"}


# Exits and restarts


def test_memory_leak_ends_in_out_of_memory(scene: Scene) -> None:
    """Developer guide, "OutOfMemoryError": exit code 137, and a service that goes on."""
    scene.register(MEMORY_LEAK_PERCENT_PER_HOUR=2000)
    scene.control.set_load(CLUSTER, SERVICE, 0)
    scene.create(count=1)
    task = _wait_stopped(scene)
    container = task["containers"][0]
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert (container["exitCode"], container["reason"]) == (
        137,
        "OutOfMemoryError: Container killed due to memory usage",
    )
    lived = (task["stoppedAt"] - task["startedAt"]).total_seconds() * 600
    assert 126 <= lived <= 126 + 180, "(100 - 30) % at 2000 % an hour, seen at the end of a minute"


def test_memory_that_follows_load_kills_under_load_only(scene: Scene) -> None:
    """SIM_MEMORY_PER_RPS_PERCENT: 30 % idle and 1 % a request a second fit 60 requests a second a task."""
    scene.register(MEMORY_PER_RPS_PERCENT=1)
    scene.control.set_load(CLUSTER, SERVICE, 50)
    scene.create(count=1)
    scene.wait_stable()
    scene.control.set_load(CLUSTER, SERVICE, 80)
    assert _wait_stopped(scene)["containers"][0]["exitCode"] == 137


def test_sigterm_that_is_ignored_ends_in_sigkill(scene: Scene) -> None:
    """StopTask: after the stop timeout "the SIGKILL value is sent and the containers are forcibly stopped": 137."""
    _register(scene, container={"stopTimeout": 2, "environment": _environment(STOP_SECONDS=60)})
    scene.create(count=1)
    scene.wait_stable()
    scene.update(desiredCount=0)
    task = _wait_stopped(scene)
    assert task["containers"][0]["exitCode"] == 137
    took = (task["executionStoppedAt"] - task["stoppingAt"]).total_seconds() * 600
    assert took == pytest.approx(5, abs=0.7), "3 s of deregistration, 2 s of stop timeout"


def test_restart_policy_restarts_in_place(scene: Scene) -> None:
    """API type ContainerRestartPolicy: a crash loop without stopped tasks."""
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    environment = _environment(EXIT_AFTER_SECONDS=70)
    _register(scene, container={"restartPolicy": policy, "environment": environment})
    scene.create(count=1)
    scene.wait_stable()
    before = scene.tasks()[0]

    seen: set[str] = set()

    def has_restarted_twice(_: Json) -> bool:
        seen.add(scene.tasks()[0]["containers"][0]["runtimeId"])
        return len(seen) >= 3

    scene.wait(has_restarted_twice)
    after = scene.tasks()[0]
    assert (after["taskArn"], after["lastStatus"]) == (before["taskArn"], "RUNNING")
    assert after["version"] > before["version"]
    assert scene.tasks("STOPPED") == []


@pytest.mark.parametrize(
    ("policy", "lives"),
    [
        ({"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [3]}, 70),
        ({"enabled": True, "restartAttemptPeriod": 60}, 20),
        ({"enabled": False}, 70),
    ],
)
def test_restart_policy_has_limits(scene: Scene, policy: Json, lives: int) -> None:
    """Same type: ignoredExitCodes, and "If a container isn't able to run for this time period and exits early, it will
    not be restarted"."""
    environment = _environment(EXIT_AFTER_SECONDS=lives, EXIT_CODE=3)
    _register(scene, container={"restartPolicy": policy, "environment": environment})
    scene.create(count=1)
    assert _wait_stopped(scene)["stopCode"] == "EssentialContainerExited"


def test_full_disk_shows_on_its_task_alone(minute_a_second: Scene) -> None:
    """CloudWatch user guide, "Container Insights with enhanced observability": TaskEphemeralStorageUtilization by
    TaskId; only one of two tasks is full."""
    scene = minute_a_second
    scene.ecs.create_cluster(clusterName="insights", settings=[{"name": "containerInsights", "value": "enhanced"}])
    scene.register()
    scene.ecs.create_service(
        cluster="insights", serviceName=SERVICE, taskDefinition=SERVICE, desiredCount=2, launchType="FARGATE"
    )
    tasks: list[str] = []

    def run() -> bool:
        tasks[:] = scene.ecs.list_tasks(cluster="insights")["taskArns"]
        service = scene.ecs.describe_services(cluster="insights", services=[SERVICE])["services"][0]
        return is_stable(service)

    _wait_for(run)
    scene.control.set_conditions(fullDisks=[tasks[0]])

    def read(task: str) -> list[float]:
        names = {"ClusterName": "insights", "ServiceName": SERVICE, "TaskId": task.rsplit("/", 1)[-1]}
        answer = scene.cloudwatch.get_metric_statistics(
            Namespace="ECS/ContainerInsights",
            MetricName="TaskEphemeralStorageUtilization",
            Dimensions=[{"Name": name, "Value": value} for name, value in names.items()],
            StartTime=time.time() - 10,
            EndTime=time.time() + 1,
            Period=1,
            Statistics=["Maximum"],
        )
        return [point["Maximum"] for point in answer["Datapoints"]]

    _wait_for(lambda: 100.0 in read(tasks[0]))
    assert max(read(tasks[1])) == pytest.approx(5), "1 of 20 GiB"


def test_volume_fills_up_and_fails_requests(minute_a_second: Scene) -> None:
    """Developer guide, "Amazon ECS service utilization metrics": EBSFilesystemUtilization when there is an EBS volume
    attached to the tasks."""
    scene = minute_a_second
    scene.register(VOLUME_USED_GB=5, VOLUME_GROWTH_GB_PER_HOUR=100)
    volume = {"sizeInGiB": 10, "roleArn": "arn:aws:iam::123456789012:role/ecsInfrastructureRole"}
    scene.create(count=1, volumeConfigurations=[{"name": "data", "managedEBSVolume": volume}], **BEHIND_LOAD_BALANCER)
    scene.wait_stable()

    def read(namespace: str, metric: str, dimensions: dict[str, str]) -> list[float]:
        answer = scene.cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=time.time() - 10,
            EndTime=time.time() + 1,
            Period=1,
            Statistics=["Maximum"],
        )
        return [point["Maximum"] for point in sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])]

    names = {"ClusterName": CLUSTER, "ServiceName": SERVICE}
    _wait_for(lambda: 100.0 in read("AWS/ECS", "EBSFilesystemUtilization", names))
    seen = read("AWS/ECS", "EBSFilesystemUtilization", names)
    assert 50 <= seen[0] < 100
    group = TARGET_GROUP_ARN.rsplit(":", 1)[-1]
    target = {"LoadBalancer": group.replace("targetgroup/", "app/"), "TargetGroup": group}
    _wait_for(lambda: 6000.0 in read("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", target))


# Service events and EventBridge


def test_unresolved_causes_are_told_again_after_six_hours() -> None:
    """Developer guide: "duplicate event messages are omitted until either the cause is resolved or six hours"."""
    clock = Clock(3600)
    ecs = Ecs("123456789012", "us-east-1", Identifiers(1))
    service = Service("arn", CLUSTER, SERVICE, 0.0, "me", 1, {}, {})
    events = ServiceEvents(ecs, clock)
    assert events.tell_once(service, "is broken.", 0.0, "cause")
    assert not events.tell_once(service, "is broken.", 5.9, "cause")
    assert events.tell_once(service, "is broken.", 6.0, "cause")
    events.resolve(service, "cause")
    assert events.tell_once(service, "is broken.", 6.1, "cause")
    assert len(service.events) == 3


def test_each_change_of_a_task_is_an_event(scene: Scene) -> None:
    """Developer guide, "Amazon ECS task state change events": detail like a Task, times as ISO strings, and a version
    that is "incremented" with "each time a resource changes state"."""
    published: list[tuple[str, list[str], Json]] = []
    with scene.server.simulation.visit() as place:
        place.ecs.publish = lambda *event: published.append(event)
    scene.register()
    scene.create(count=1)
    scene.wait_stable()
    scene.update(desiredCount=0)
    _wait_stopped(scene)
    events = [(resources, detail) for kind, resources, detail in published if kind == "ECS Task State Change"]
    states = [(detail["lastStatus"], detail["desiredStatus"]) for _, detail in events]
    assert states == [
        ("PROVISIONING", "RUNNING"),
        ("PENDING", "RUNNING"),
        ("RUNNING", "RUNNING"),
        ("DEACTIVATING", "STOPPED"),
        ("STOPPING", "STOPPED"),
        ("DEPROVISIONING", "STOPPED"),
        ("STOPPED", "STOPPED"),
    ]
    assert [detail["version"] for _, detail in events] == list(range(1, 8))
    resources, last = events[-1]
    assert resources == [last["taskArn"]]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", last["stoppedAt"])
    assert last["stopCode"] == "ServiceSchedulerInitiated"
    assert last["group"] == "service:web"


def test_containers_write_to_their_log_stream(scene: Scene) -> None:
    """Developer guide, "Send Amazon ECS logs to CloudWatch": the stream is prefix/container/task."""
    lines: list[tuple[str, str, str]] = []
    with scene.server.simulation.visit() as place:
        place.ecs.log = lambda *line: lines.append(line)
    options = {"awslogs-group": "/ecs/web", "awslogs-stream-prefix": "web", "awslogs-region": "us-east-1"}
    environment = _environment(LOG_LINE="working", LOG_LINE_ON_EXIT="Traceback", EXIT_AFTER_SECONDS=100, EXIT_CODE=1)
    logging = {"logDriver": "awslogs", "options": options}
    _register(scene, container={"logConfiguration": logging, "environment": environment})
    scene.create(count=1)
    task = _wait_stopped(scene)
    stream = f"web/app/{task['taskArn'].rsplit('/', 1)[-1]}"
    own = [message for group, found, message in lines if (group, found) == ("/ecs/web", stream)]
    assert own == ["working", "working", "Traceback"]


# StopTask and RunTask


def test_stop_task_ignores_minimum_healthy_percent(scene: Scene) -> None:
    """StopTask: all tasks at once, though minimumHealthyPercent is 100; their replacements take 2 s of wall time."""
    scene.register(START_SECONDS=1200)
    scene.create()
    scene.wait_stable()
    for task in scene.tasks():
        scene.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    scene.wait(lambda service: service["runningCount"] == 0)
    scene.wait_stable()
    stopped = scene.tasks("STOPPED")
    assert {(task["stopCode"], task["stoppedReason"]) for task in stopped} == {
        ("UserInitiated", "Task stopped by user")
    }


def _run(scene: Scene, **members: Any) -> Json:
    request = {"cluster": CLUSTER, "taskDefinition": SERVICE, "launchType": "FARGATE", **members}
    answer: Json = scene.ecs.run_task(**request)
    return answer


def test_protected_task_outlives_deployments_and_scale_in(scene: Scene) -> None:
    """UpdateTaskProtection: "to protect your task from termination during scale-in events … or deployments"."""
    scene.create_stable(count=2)
    arn = scene.tasks()[0]["taskArn"]
    answer = scene.ecs.update_task_protection(
        cluster=CLUSTER, tasks=[arn, "gone"], protectionEnabled=True, expiresInMinutes=30
    )
    assert answer["failures"] == [{"arn": "arn:aws:ecs:us-east-1:123456789012:task/demo/gone", "reason": "MISSING"}]
    assert answer["protectedTasks"][0]["protectionEnabled"]
    scene.update(forceNewDeployment=True, desiredCount=1)
    scene.wait(lambda service: service["runningCount"] == 2 and service["pendingCount"] == 0)
    _wait_message(scene, "The number of protected tasks are more than the desired count of tasks")
    assert arn in {task["taskArn"] for task in scene.tasks()}
    assert scene.describe()["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    scene.wait_stable()
    assert arn not in {task["taskArn"] for task in scene.tasks()}
    stopped = scene.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]
    assert stopped["stoppingAt"] >= answer["protectedTasks"][0]["expirationDate"]


def test_protected_task_does_not_outlive_stop_task(minute_a_second: Scene) -> None:
    """UpdateTaskProtection guards against scale-in and deployments only; a task that is stopping keeps it."""
    scene = minute_a_second
    scene.register(STOP_SECONDS=30)
    scene.create(count=1)
    scene.wait_stable()
    arn = scene.tasks()[0]["taskArn"]
    scene.ecs.update_task_protection(cluster=CLUSTER, tasks=[arn], protectionEnabled=True)
    assert scene.ecs.stop_task(cluster=CLUSTER, task=arn)["task"]["desiredStatus"] == "STOPPED"
    kept = scene.ecs.get_task_protection(cluster=CLUSTER, tasks=[arn])["protectedTasks"]
    assert kept[0]["taskArn"] == arn


def test_stopped_tasks_are_shown_for_an_hour(scene: Scene) -> None:
    """DescribeTasks: "stopped tasks appear in the returned results for at least one hour", here 6 s."""
    scene.create_stable(count=1)
    arn = scene.tasks()[0]["taskArn"]
    scene.ecs.stop_task(cluster=CLUSTER, task=arn)
    stopped_at = _wait_stopped(scene)["stoppedAt"].timestamp()

    def is_gone(_: Json) -> bool:
        return bool(scene.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["failures"])

    scene.wait(is_gone)
    assert time.time() - stopped_at >= 6


def test_run_task_starts_tasks_that_nobody_replaces(scene: Scene) -> None:
    """RunTask: startedBy and group; ListTasks by startedBy and family; DescribeTasks of stopped ones."""
    scene.register(EXIT_AFTER_SECONDS=30, EXIT_CODE=0)
    tasks = _run(scene, count=2, startedBy="bokgu")["tasks"]
    assert {(task["startedBy"], task["group"], task["lastStatus"]) for task in tasks} == {
        ("bokgu", "family:web", "PROVISIONING")
    }
    arns = [task["taskArn"] for task in tasks]
    assert scene.ecs.describe_clusters(clusters=[CLUSTER])["clusters"][0]["pendingTasksCount"] == 2
    listed = scene.ecs.list_tasks(cluster=CLUSTER, startedBy="bokgu")["taskArns"]
    assert sorted(listed) == sorted(arns)
    waiter = scene.ecs.get_waiter("tasks_stopped")
    waiter.wait(cluster=CLUSTER, tasks=arns, WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    ended = scene.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]
    assert {(t["stopCode"], t["containers"][0]["exitCode"]) for t in ended} == {("EssentialContainerExited", 0)}
    assert scene.ecs.list_tasks(cluster=CLUSTER, startedBy="bokgu")["taskArns"] == []


def test_new_tasks_show_late_to_lagging_reads(scene: Scene) -> None:
    """RunTask: "the result of an API command you run … might not be immediately visible to all subsequent commands"."""
    scene.register()
    scene.control.set_consistency_delay(120)
    arn = _run(scene)["tasks"][0]["taskArn"]
    answer = scene.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])
    assert answer["failures"][0]["reason"] == "MISSING"
    _wait_for(lambda: scene.ecs.list_tasks(cluster=CLUSTER)["taskArns"] == [arn])


def test_run_task_with_a_token_is_idempotent(scene: Scene) -> None:
    """RunTask, clientToken; ConflictException has the ARNs of the tasks in resourceIds."""
    scene.register()
    first = _run(scene, clientToken="token-1")["tasks"][0]["taskArn"]
    assert _run(scene, clientToken="token-1")["tasks"][0]["taskArn"] == first
    with pytest.raises(scene.ecs.exceptions.ConflictException) as caught:
        _run(scene, clientToken="token-1", count=2)
    assert caught.value.response["resourceIds"] == [first]
    assert _run(scene, clientToken="token-2")["tasks"][0]["taskArn"] != first


def test_token_of_run_task_is_forgotten_with_its_tasks(scene: Scene) -> None:
    """API reference, "Ensuring idempotency": a token lives no longer than its tasks and an hour, here 6 s; a call that
    started nothing is no success to be repeated."""
    scene.register(EXIT_AFTER_SECONDS=1, EXIT_CODE=0)
    scene.control.set_conditions(fargateShortages=[{}])
    assert _run(scene, clientToken="token-1")["failures"]
    scene.control.clear_conditions()
    first = _run(scene, clientToken="token-1")["tasks"][0]["taskArn"]
    scene.ecs.get_waiter("tasks_stopped").wait(
        cluster=CLUSTER, tasks=[first], WaiterConfig={"Delay": 1, "MaxAttempts": 3}
    )
    again = _run(scene, clientToken="token-1")["tasks"][0]
    assert (again["taskArn"], again["lastStatus"], again["containers"][0]["exitCode"]) == (first, "STOPPED", 0)
    _wait_for(lambda: scene.ecs.describe_tasks(cluster=CLUSTER, tasks=[first])["failures"])
    assert _run(scene, clientToken="token-1")["tasks"][0]["taskArn"] != first


def test_standalone_task_has_tags_until_it_is_stopped(scene: Scene) -> None:
    """DescribeTasks: tags with `include` only; StopTask: "Any tags associated with the task will be deleted"."""
    scene.register()
    arn = _run(scene, tags=[{"key": "bokgu:step", "value": "1"}])["tasks"][0]["taskArn"]

    def tags(**members: Any) -> list[Json]:
        found: list[Json] = scene.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn], **members)["tasks"][0]["tags"]
        return found

    assert tags() == []
    assert tags(include=["TAGS"]) == [{"key": "bokgu:step", "value": "1"}]
    scene.ecs.stop_task(cluster=CLUSTER, task=arn)
    assert tags(include=["TAGS"]) == []


@pytest.mark.parametrize(
    "members",
    [
        {"startedBy": "bokgu:plan/step"},
        {"startedBy": "x" * 129},
        {"clientToken": "x" * 65},
        {"clientToken": "a token"},
        {"tags": [{"key": "aws:cloudformation:stack-name", "value": "shop"}]},
        {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
        {"tags": [{"key": "a", "value": "x" * 257}]},
        {"tags": [{"key": f"k{n}", "value": ""} for n in range(51)]},
        {"propagateTags": "SERVICE"},
    ],
)
def test_run_task_refuses_what_the_api_does(scene: Scene, members: Json) -> None:
    """RunTask: characters and lengths of startedBy, clientToken and tags."""
    scene.register()
    with pytest.raises(scene.ecs.exceptions.InvalidParameterException):
        _run(scene, **members)


def test_tasks_of_one_caller_are_found_by_that_filter_alone(scene: Scene) -> None:
    """ListTasks, startedBy: "it must be the only filter that you use", which the status is taken for too."""
    scene.register()
    caller = "bokgu/plan-1/step-1"
    arn = _run(scene, startedBy=caller)["tasks"][0]["taskArn"]
    assert scene.ecs.list_tasks(cluster=CLUSTER, startedBy=caller)["taskArns"] == [arn]
    for other in ({"desiredStatus": "STOPPED"}, {"family": "web"}):
        with pytest.raises(scene.ecs.exceptions.InvalidParameterException):
            scene.ecs.list_tasks(cluster=CLUSTER, startedBy=caller, **other)
    scene.ecs.stop_task(cluster=CLUSTER, task=arn)
    assert scene.ecs.list_tasks(cluster=CLUSTER, family="web", desiredStatus="STOPPED")["taskArns"] == [arn]


def test_standalone_task_leaves_its_exit_code_and_its_log(scene: Scene) -> None:
    """What a fix that runs as a task says, and how it ended."""
    options = {"awslogs-group": "/ecs/fix", "awslogs-stream-prefix": "fix", "awslogs-region": "us-east-1"}
    _register(scene, container={"logConfiguration": {"logDriver": "awslogs", "options": options}})
    changes = _environment(LOG_LINE="clearing", LOG_LINE_ON_EXIT="no such table", EXIT_AFTER_SECONDS=30, EXIT_CODE=3)
    overrides = {"containerOverrides": [{"name": "app", "environment": changes, "command": ["fix"]}]}
    task = _run(scene, overrides=overrides)["tasks"][0]
    assert task["taskDefinitionArn"].endswith(":task-definition/web:1")
    assert task["overrides"]["containerOverrides"][0]["command"] == ["fix"]
    waiter = scene.ecs.get_waiter("tasks_stopped")
    waiter.wait(cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    ended = scene.ecs.describe_tasks(cluster=CLUSTER, tasks=[task["taskArn"]])["tasks"][0]
    assert (ended["stopCode"], ended["containers"][0]["exitCode"]) == ("EssentialContainerExited", 3)
    stream = f"fix/app/{task['taskArn'].rsplit('/', 1)[-1]}"
    events = scene.client("logs").get_log_events(logGroupName="/ecs/fix", logStreamName=stream)["events"]
    assert [event["message"] for event in events] == ["clearing", "no such table"]


def test_task_that_is_unhealthy_stays_so_until_it_is_stopped(minute_a_second: Scene) -> None:
    """One target of three is unhealthy and fails a share of its requests; stopping it brings a healthy one."""
    scene = minute_a_second
    _register(scene, container={"healthCheck": {"command": ["CMD", "true"]}})
    scene.create(**BEHIND_LOAD_BALANCER)
    scene.wait_stable()
    (arn,) = scene.control.disrupt("stuck-unhealthy", cluster=CLUSTER, service=SERVICE, count=1, errorRatio=0.5)
    _wait_for(lambda: [task["healthStatus"] for task in scene.tasks()].count("UNHEALTHY") == 1)
    elb = scene.client("elbv2")

    def states() -> list[tuple[str, str | None]]:
        found = elb.describe_target_health(TargetGroupArn=TARGET_GROUP_ARN)["TargetHealthDescriptions"]
        return sorted((t["TargetHealth"]["State"], t["TargetHealth"].get("Reason")) for t in found)

    assert states() == [("healthy", None), ("healthy", None), ("unhealthy", "Target.Timeout")]
    began = time.time()
    time.sleep(4)
    assert scene.describe()["runningCount"] == 3
    assert arn in {task["taskArn"] for task in scene.tasks()}
    dimensions = {"LoadBalancer": TARGET_GROUP.replace("targetgroup/", "app/"), "TargetGroup": TARGET_GROUP}

    def total(name: str) -> float:
        answer = scene.cloudwatch.get_metric_statistics(
            Namespace="AWS/ApplicationELB",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=began,
            EndTime=began + 60,
            Period=1,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    assert total("HTTPCode_Target_5XX_Count") / total("RequestCount") == pytest.approx(1 / 6, abs=0.01)
    scene.ecs.stop_task(cluster=CLUSTER, task=arn)
    _wait_for(lambda: states() == [("healthy", None)] * 3)
    assert {task["healthStatus"] for task in scene.tasks()} == {"HEALTHY"}
    with pytest.raises(Exception, match="errorRatio must be within"):
        scene.control.disrupt("stuck-unhealthy", errorRatio=2)


def test_run_task_overrides_stops_and_fails(scene: Scene) -> None:
    """RunTask: overrides of the environment, up to ten tasks, and failures instead of tasks without capacity."""
    scene.register()
    overrides = {"containerOverrides": [{"name": "app", "environment": _environment(EXIT_AFTER_SECONDS=20)}]}
    task = _run(scene, overrides=overrides)["tasks"][0]
    assert task["overrides"]["containerOverrides"][0]["name"] == "app"
    waiter = scene.ecs.get_waiter("tasks_stopped")
    waiter.wait(cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    with pytest.raises(scene.ecs.exceptions.InvalidParameterException):
        _run(scene, count=11)
    scene.control.set_conditions(fargateShortages=[{}])
    answer = _run(scene, count=2)
    assert answer["tasks"] == []
    assert {failure["reason"] for failure in answer["failures"]} == {
        "Capacity is unavailable at this time. Please try again later or in a different availability zone"
    }
    scene.control.clear_conditions()
    long_lived = _run(scene)["tasks"][0]["taskArn"]
    stopped = scene.ecs.stop_task(cluster=CLUSTER, task=long_lived, reason="enough")["task"]
    assert (stopped["desiredStatus"], stopped["stoppedReason"]) == ("STOPPED", "enough")


def test_control_refuses_unknown_conditions(scene: Scene) -> None:
    """A mistyped condition must not pass for a healthy account."""
    for wrong in ({"imagesMissing": ["x"]}, {"missingImages": "x"}, {"instanceLacks": {CLUSTER: "LUCK"}}):
        with pytest.raises(Exception, match=r"condition|must be|does not know"):
            scene.control.set_conditions(**wrong)
    with pytest.raises(Exception, match="kind must be"):
        scene.control.disrupt("earthquake")
