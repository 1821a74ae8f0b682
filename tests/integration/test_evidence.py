"""What is gathered about an incident, through real boto3, from the simulated AWS: which calls, and what a failing one
leaves out."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bokgu.api.detector import DetectorCondition
from bokgu.api.fields import format_timestamp
from bokgu.api.incident import Incident
from bokgu.api.protected_service import ObservedService, ProtectedService, RecentStop, TargetGroup
from bokgu.aws.client import AwsClient
from bokgu.aws.ecs import fetch_service
from bokgu.aws.elb import fetch_target_groups
from bokgu.config import Settings
from bokgu.core.evidence import NO_LOG_GROUP, Evidence
from bokgu.core.presets import build_watch
from bokgu.reconcile import evidence as gathering
from bokgu.reconcile.context import Context
from bokgu.reconcile.evidence import gather_evidence
from bokgu.reconcile.watches import Measured
from bokgu.runtime.store import Store
from tests.aws_gateway import TARGET, call
from tests.simulator.harness import CLUSTER, SERVICE, TARGET_GROUP_ARN, Scene
from tests.simulator.server import SimulatorServer

REGION = "us-east-1"
LOG_GROUP = "/ecs/web"
LINE = "ERROR request of kim@example.com failed: password=hunter2 refused by 10.0.0.1"
USUAL = Counter(
    {
        "ListTasks": 1,
        "DescribeTasks": 1,
        "ListServiceDeployments": 1,
        "DescribeTaskDefinition": 2,
        "DescribeServiceRevisions": 1,
        "GetMetricData": 2,
        "FilterLogEvents": 1,
    }
)
"""All that is asked about a service that has settled on its second revision. DescribeServices comes before."""

pytestmark = pytest.mark.usefixtures("aws_credentials")


class Service:
    """A service behind a load balancer that runs its second revision, has lost a task to memory, and logs errors."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.control, self.url = scene, scene.control, scene.server.url
        scene.client("logs").create_log_group(logGroupName=LOG_GROUP)
        self.first = self.register()
        balancer = {"targetGroupArn": TARGET_GROUP_ARN, "containerName": "app", "containerPort": 80}
        scene.create(loadBalancers=[balancer])
        scene.wait_stable()
        self.second = self.register()
        scene.update(taskDefinition=self.second)
        scene.wait_stable()
        scene.control.disrupt("out-of-memory", cluster=CLUSTER, service=SERVICE, count=1)
        scene.wait_stable()
        time.sleep(3)  # Three minutes of metrics.

    def register(self) -> str:
        environment = [{"name": "SIM_LOG_LINE", "value": LINE}]
        options = {"awslogs-group": LOG_GROUP, "awslogs-region": REGION, "awslogs-stream-prefix": "ecs"}
        container = {
            "name": "app",
            "image": "app:1",
            "environment": environment,
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }
        answer = self.scene.ecs.register_task_definition(family=SERVICE, containerDefinitions=[container])
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def gather(self, *stops: RecentStop, **spec: Any) -> tuple[Evidence, Counter[str]]:
        """The evidence, and how often each operation was called for it."""
        since = max(c.sequence for c in self.control.calls())
        found = call(self.url, lambda aws: self._gather(aws, stops, spec))
        calls = Counter(c.operation for c in self.control.calls(since=since))
        return found, calls - Counter({"DescribeServices": 1, "DescribeTargetGroups": 1})

    async def _gather(self, aws: AwsClient, stops: tuple[RecentStop, ...], spec: dict[str, Any]) -> Evidence:
        nothing = cast(Any, None)
        context = Context(
            kube=nothing,
            aws=aws,
            objects=Store(),
            settings=Settings(minute=timedelta(seconds=1)),
            cluster_id="cluster",
            clock=lambda: datetime.now(UTC),
            announce=nothing,
            enqueue=nothing,
            started_at=datetime.now(UTC),
            history=nothing,
        )
        groups = await fetch_target_groups(aws, region=REGION, role_arn=None)
        service = await fetch_service(aws, TARGET, datetime.now(UTC))
        group = TargetGroup(arn=TARGET_GROUP_ARN, load_balancer=groups[TARGET_GROUP_ARN].load_balancer)
        presets = ["alb-target-5xx", "alb-no-target", "ecs-cpu", "ecs-running"]
        protected = ProtectedService.model_validate(
            {
                "metadata": {"name": SERVICE, "namespace": "shop"},
                "spec": {
                    "region": REGION,
                    "ecs": {"cluster": CLUSTER, "service": SERVICE},
                    "logGroup": LOG_GROUP,
                    "detection": {"period": "1s", "presets": presets},
                    **spec,
                },
                "status": {
                    "service": ObservedService(
                        desired_count=3,
                        running_count=3,
                        pending_count=0,
                        task_definition=service.task_definition,
                        target_groups=(group,),
                    ).to_dict(),
                    "recentStops": [stop.to_dict() for stop in stops],
                },
            }
        )
        watch = build_watch(protected, (group,))
        condition: DetectorCondition = next(c for c in watch.conditions if c.name == "error_rate")
        incident = Incident.model_validate(
            {
                "metadata": {"name": "web-1", "namespace": "shop"},
                "spec": {
                    "type": "high_error_rate",
                    "severity": "high",
                    "serviceRef": {"name": SERVICE},
                    "detectedAt": format_timestamp(datetime.now(UTC)),
                },
            }
        )
        return await gather_evidence(context, incident, protected, service, Measured(watch, condition, None))


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with SimulatorServer(speed=60) as server:
        scene = Scene(server)
        yield Service(scene)
        scene.close()


@pytest.fixture(autouse=True)
def _all_well(service: Service) -> Iterator[None]:
    yield
    service.control.clear_faults()


def names(found: Evidence) -> set[str]:
    return {metric.name for metric, series in found.metrics.items() if series.points}


def test_everything_is_gathered_in_few_calls(service: Service) -> None:
    found, calls = service.gather()
    assert found.missing == ()
    assert calls == USUAL
    assert [d.arn for d in found.task_definitions] == [service.second, service.first]
    assert len(found.deployments) == 2
    assert [revision.task_definition for revision in found.revisions] == [service.second, service.first]
    (oom,) = [task for task in found.stopped_tasks if task.stop_code == "EssentialContainerExited"]
    assert (oom.containers[0].exit_code, oom.stored) == (137, False)
    assert found.stopped_tasks[0].stopped_at == max(task.stopped_at for task in found.stopped_tasks)
    assert {"CPUUtilization", "MemoryUtilization", "RequestCount", "HealthyHostCount"} <= names(found)
    assert {"HTTPCode_Target_5XX_Count", "TargetResponseTime"} <= {metric.name for metric in found.metrics}
    assert found.requests is not None
    assert found.metrics[found.requests].points
    assert {line.text for line in found.logs} == {
        "ERROR request of [redacted] failed: password=[redacted] refused by 10.0.0.1"
    }


def test_while_a_deployment_is_under_way_no_other_calls_are_made(service: Service) -> None:
    third = service.register()
    service.scene.update(taskDefinition=third)
    found, calls = service.gather()
    assert calls == USUAL
    assert [d.arn for d in found.task_definitions] == [third, service.second]
    service.scene.update(taskDefinition=service.second)
    service.scene.wait_stable()


def test_without_a_log_group_no_log_is_read(service: Service) -> None:
    found, calls = service.gather(logGroup=None)
    assert calls["FilterLogEvents"] == 0
    assert found.logs == ()
    assert found.missing == (NO_LOG_GROUP,)


@pytest.mark.parametrize(
    ("operation", "missing", "gone"),
    [
        ("ListTasks", "ListTasks: AccessDeniedException", "stopped_tasks"),
        ("DescribeTasks", "DescribeTasks: AccessDeniedException", "stopped_tasks"),
        ("ListServiceDeployments", "ListServiceDeployments: AccessDeniedException", "deployments"),
        ("DescribeTaskDefinition", "DescribeTaskDefinition: AccessDeniedException", "task_definitions"),
        ("GetMetricData", "GetMetricData: AccessDenied", "metrics"),
        ("FilterLogEvents", "FilterLogEvents: AccessDeniedException", "logs"),
    ],
)
def test_a_missing_permission_leaves_that_out_and_nothing_else(
    service: Service, operation: str, missing: str, gone: str
) -> None:
    whole, _ = service.gather()
    service.control.deny(operation, count=100)
    found, _ = service.gather()
    assert found.missing == (missing,)
    parts = ("stopped_tasks", "deployments", "task_definitions", "metrics", "logs")
    assert [part for part in parts if not getattr(found, part)] == [gone]
    assert len(whole.missing) == 0


def test_where_deployments_are_not_told_the_definition_before_is_guessed(service: Service) -> None:
    service.control.deny("ListServiceDeployments", count=100)
    found, calls = service.gather()
    assert len(found.task_definitions) == 2
    assert calls["DescribeServiceRevisions"] == 0


def test_throttling_that_lasts_leaves_that_out(service: Service) -> None:
    service.control.throttle("FilterLogEvents", count=100)
    found, calls = service.gather()
    assert found.missing == ("FilterLogEvents: ThrottlingException",)
    assert calls["FilterLogEvents"] == 3
    assert found.metrics
    assert found.stopped_tasks


def test_a_metric_without_an_answer_leaves_out_itself_only(service: Service) -> None:
    service.control.refuse_metrics("PartialData", metric_name="CPUUtilization")
    try:
        found, _ = service.gather()
    finally:
        service.control.clear_metric_conditions()
    assert found.missing == ("GetMetricData: PartialData",)
    assert "CPUUtilization" not in names(found)
    assert "MemoryUtilization" in names(found)


def test_an_answer_of_an_unknown_shape_leaves_that_out(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise KeyError("taskArns")

    monkeypatch.setattr(gathering, "fetch_stopped_tasks", fail)
    found, _ = service.gather()
    assert found.missing == ("ListTasks: Unreadable",)


def test_lines_of_an_unknown_shape_leave_out_the_lines(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise UnicodeEncodeError("utf-8", "", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(gathering, "choose_lines", fail)
    found, _ = service.gather()
    assert found.missing == ("FilterLogEvents: Unreadable",)


def test_forgotten_tasks_are_told_from_stored_events(service: Service) -> None:
    stop = RecentStop(
        task="arn:aws:ecs:us-east-1:123456789012:task/demo/gone",
        at=datetime.now(UTC) - timedelta(seconds=65),
        stop_code="EssentialContainerExited",
        container="app",
        container_reason="OutOfMemoryError: Container killed due to memory usage",
        exit_code=137,
    )
    found, calls = service.gather(stop)
    assert calls == USUAL
    assert [task.containers[0].exit_code for task in found.stopped_tasks if task.stored] == [137]


def test_who_stopped_a_task_is_named_where_cloudtrail_may_be_asked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task, *_) = service.scene.tasks()
    service.scene.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"], reason="trying something")
    service.scene.wait_stable()
    time.sleep(6)  # CloudTrail delivers after five minutes.
    found, calls = service.gather()
    assert calls == USUAL + Counter(LookupEvents=1)
    (caller,) = found.callers
    assert " called StopTask at 2" in caller
    service.control.deny("LookupEvents", count=100)
    denied, _ = service.gather()
    assert denied.callers == denied.missing == ()
    service.control.clear_faults()
    monkeypatch.setattr(gathering, "name_callers", lambda *_: 1 / 0)
    unread, _ = service.gather()
    assert unread.callers == unread.missing == ()


# The last one: calls that hang outlive it, and would be counted by others.
def test_an_api_that_hangs_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "PATIENCE", 1.0)
    service.control.hang("DescribeTasks", count=100)
    service.control.hang("GetMetricData", count=100)
    begun = time.monotonic()
    found, _ = service.gather()
    assert time.monotonic() - begun < 5
    assert set(found.missing) == {"ListTasks: NoAnswer", "GetMetricData: NoAnswer"}
    assert found.logs
    assert found.deployments
