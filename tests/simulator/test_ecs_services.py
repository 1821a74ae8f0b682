"""Services, tasks and task definitions against a real boto3 client."""

import re
import time

import pytest
from botocore.exceptions import ClientError

from .errors import AwsError
from .harness import CLUSTER, SERVICE, Scene
from .manual_ecs import ManualEcs


def test_service_reaches_steady_state_with_started_tasks(scene: Scene) -> None:
    """Developer guide, service event messages: "has reached a steady state"."""
    service = scene.create_stable()
    messages = [event["message"] for event in service["events"]]
    assert service["runningCount"] == 3
    assert messages[0] == "(service web) has reached a steady state."
    assert re.fullmatch(r"\(service web\) has started 3 tasks:( \(task [0-9a-f]{32}\)){3}\.", messages[-1])


def test_boto3_waiter_sees_the_service_stable(scene: Scene) -> None:
    """botocore waiters-2.json, ServicesStable: one deployment and runningCount = desiredCount."""
    scene.create_stable()
    waiter = scene.ecs.get_waiter("services_stable")
    waiter.wait(cluster=CLUSTER, services=[SERVICE], WaiterConfig={"Delay": 1, "MaxAttempts": 2})


def test_tasks_tell_their_deployment_group_and_definition(scene: Scene) -> None:
    """API type Task: startedBy "contains the deployment ID of that service"; group is `service:` and its name."""
    service = scene.create_stable()
    tasks = scene.tasks()
    assert {task["startedBy"] for task in tasks} == {service["deployments"][0]["id"]}
    assert {(task["group"], task["lastStatus"]) for task in tasks} == {("service:web", "RUNNING")}
    assert {task["taskDefinitionArn"] for task in tasks} == {service["taskDefinition"]}
    assert re.fullmatch(r"ecs-svc/\d{19}", tasks[0]["startedBy"])


def test_arns_have_the_long_format(scene: Scene) -> None:
    """Developer guide, "Amazon Resource Names": service/cluster/name, and the same path for its children."""
    service = scene.create_stable()
    prefix = "arn:aws:ecs:us-east-1:123456789012:"
    assert service["serviceArn"] == f"{prefix}service/demo/web"
    assert service["currentServiceDeployment"].startswith(f"{prefix}service-deployment/demo/web/")
    assert service["currentServiceRevisions"][0]["arn"].startswith(f"{prefix}service-revision/demo/web/")


def test_desired_count_alone_starts_no_deployment(scene: Scene) -> None:
    """UpdateService: "You can add to or subtract from the number of instantiations" without a deployment."""
    before = scene.create_stable()
    scene.update(desiredCount=5)
    after = scene.wait(lambda service: service["runningCount"] == 5)
    assert after["currentServiceDeployment"] == before["currentServiceDeployment"]
    assert [d["id"] for d in after["deployments"]] == [before["deployments"][0]["id"]]
    scene.update(desiredCount=1)
    scene.wait(lambda service: service["runningCount"] == 1)
    assert len(scene.tasks()) == 1


def test_same_task_definition_starts_no_deployment(scene: Scene) -> None:
    """UpdateService starts new tasks "when you update any of these parameters": this updates none."""
    before = scene.create_stable()
    after = scene.update(taskDefinition="web:1")
    assert after["deployments"][0]["id"] == before["deployments"][0]["id"]


def test_stopped_task_is_replaced(scene: Scene) -> None:
    """StopTask: the scheduler starts another; Task.stopCode is UserInitiated."""
    scene.create_stable()
    victim = scene.tasks()[0]["taskArn"]
    answer = scene.ecs.stop_task(cluster=CLUSTER, task=victim, reason="drill")["task"]
    assert (answer["lastStatus"], answer["desiredStatus"]) == ("DEACTIVATING", "STOPPED")
    scene.wait(lambda service: len([e for e in service["events"] if "steady state" in e["message"]]) == 2)
    assert len(scene.tasks()) == 3
    (stopped,) = scene.tasks("STOPPED")
    assert (stopped["taskArn"], stopped["lastStatus"]) == (victim, "STOPPED")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "drill")


def test_crashing_task_tells_its_exit_code(scene: Scene) -> None:
    """Developer guide, "stopped task error codes": EssentialContainerExited."""
    scene.register(EXIT_AFTER_SECONDS=3, EXIT_CODE=137)
    scene.create(count=1)
    scene.wait(lambda service: service["deployments"][0]["failedTasks"] >= 1)
    task = scene.tasks("STOPPED")[0]
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 137)
    assert task["stoppedReason"] == "Essential container in task exited"


def test_image_that_cannot_be_pulled(scene: Scene) -> None:
    """Developer guide, "CannotPullContainer task errors": TaskFailedToStart, no exit code."""
    scene.register(PULL_FAILS="true")
    scene.create(count=1)
    scene.wait(lambda service: service["deployments"][0]["failedTasks"] >= 1)
    task = scene.tasks("STOPPED")[0]
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError:")
    assert "exitCode" not in task["containers"][0]


def test_tasks_that_never_start_are_throttled(scene: Scene) -> None:
    """Developer guide, "Service throttle logic": the time between restart attempts grows, up to 15 minutes."""
    scene.register(PULL_FAILS="true", START_SECONDS=1)
    scene.create(count=1)
    message = "is unable to consistently start tasks successfully"
    scene.wait(lambda service: any(message in event["message"] for event in service["events"]))
    time.sleep(0.3)
    assert scene.describe()["deployments"][0]["failedTasks"] < 20, "in 180 simulated seconds"


def test_describe_services_takes_ten_and_names_the_missing(scene: Scene) -> None:
    """DescribeServices: "You may specify up to 10 services"; API failure reason MISSING."""
    scene.create_stable(tags=[{"key": "team", "value": "shop"}])
    answer = scene.ecs.describe_services(cluster=CLUSTER, services=[SERVICE, "gone"], include=["TAGS"])
    assert answer["services"][0]["tags"] == [{"key": "team", "value": "shop"}]
    assert answer["failures"] == [{"arn": "arn:aws:ecs:us-east-1:123456789012:service/demo/gone", "reason": "MISSING"}]
    with pytest.raises(scene.ecs.exceptions.InvalidParameterException):
        scene.ecs.describe_services(cluster=CLUSTER, services=["s"] * 11)


def test_lists_are_paged(scene: Scene) -> None:
    """ListServices: 10 results a page unless maxResults says else."""
    scene.register()
    for number in range(12):
        scene.create(name=f"s{number:02d}", count=0)
    first = scene.ecs.list_services(cluster=CLUSTER)
    assert len(first["serviceArns"]) == 10
    pages = scene.ecs.get_paginator("list_services").paginate(cluster=CLUSTER)
    assert len([arn for page in pages for arn in page["serviceArns"]]) == 12


def test_deleted_service_drains_then_is_inactive(scene: Scene) -> None:
    """DeleteService: "the service status moves from ACTIVE to DRAINING", then "from DRAINING to INACTIVE"."""
    scene.create_stable()
    with pytest.raises(scene.ecs.exceptions.InvalidParameterException, match="scaled above 0"):
        scene.ecs.delete_service(cluster=CLUSTER, service=SERVICE)
    answer = scene.ecs.delete_service(cluster=CLUSTER, service=SERVICE, force=True)
    assert answer["service"]["status"] == "DRAINING"
    scene.wait(lambda service: service["status"] == "INACTIVE")
    assert scene.ecs.list_services(cluster=CLUSTER)["serviceArns"] == []
    with pytest.raises(scene.ecs.exceptions.ServiceNotActiveException, match=r"Service was not ACTIVE\."):
        scene.update(desiredCount=1)


def test_inactive_task_definition_is_refused_but_still_runs(scene: Scene) -> None:
    """DeregisterTaskDefinition: "you can't update an existing service to reference an INACTIVE task definition",
    yet existing services "can still scale up or down"."""
    scene.create_stable()
    scene.register()
    scene.ecs.deregister_task_definition(taskDefinition="web:2")
    with pytest.raises(scene.ecs.exceptions.ClientException, match="TaskDefinition is inactive"):
        scene.update(taskDefinition="web:2")
    scene.ecs.deregister_task_definition(taskDefinition="web:1")
    scene.update(desiredCount=4)
    scene.wait(lambda service: service["runningCount"] == 4)


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("describe_services", {"cluster": "gone", "services": ["web"]}, "ClusterNotFoundException"),
        ("update_service", {"cluster": CLUSTER, "service": "gone"}, "ServiceNotFoundException"),
        ("list_tasks", {"cluster": CLUSTER, "serviceName": "gone"}, "ServiceNotFoundException"),
        ("describe_task_definition", {"taskDefinition": "gone"}, "ClientException"),
        ("stop_task", {"cluster": CLUSTER, "task": "gone"}, "InvalidParameterException"),
        ("list_services", {"cluster": CLUSTER, "nextToken": "!"}, "InvalidParameterException"),
        ("list_container_instances", {}, "UnknownOperationException"),
    ],
)
def test_errors_carry_the_codes_of_the_api_reference(
    scene: Scene, operation: str, parameters: dict[str, object], code: str
) -> None:
    """The "Errors" section of each operation in the API reference."""
    with pytest.raises(ClientError) as caught:
        getattr(scene.ecs, operation)(**parameters)
    assert caught.value.response["Error"]["Code"] == code


def test_tags_can_be_set_and_removed(scene: Scene) -> None:
    """TagResource and UntagResource; tags show with include=TAGS."""
    arn = scene.create_stable()["serviceArn"]
    scene.ecs.tag_resource(resourceArn=arn, tags=[{"key": "bokgu:suspend", "value": "yes"}])
    assert scene.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "bokgu:suspend", "value": "yes"}]
    scene.ecs.untag_resource(resourceArn=arn, tagKeys=["bokgu:suspend"])
    assert scene.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == []


def test_reads_lag_behind_writes_when_told(scene: Scene) -> None:
    """API reference, RunTask: "The Amazon ECS API follows an eventual consistency model"."""
    scene.create_stable()
    scene.control.set_consistency_delay(300)
    assert scene.update(desiredCount=6)["desiredCount"] == 6
    assert scene.describe()["desiredCount"] == 3
    assert scene.control.service(CLUSTER, SERVICE)["service"]["desiredCount"] == 6
    scene.wait(lambda service: service["desiredCount"] == 6, seconds=2)
    scene.wait(lambda service: service["runningCount"] == 6)


def test_tasks_are_listed_a_hundred_at_a_time() -> None:
    """ListTasks: "If this parameter isn't used, then ListTasks returns up to 100 results and a nextToken value if
    applicable"; maxResults "can be between 1 and 100"."""
    aws = ManualEcs()
    aws.register()
    aws.create(count=130)
    aws.run(120)
    first = aws.call("ListTasks", cluster="demo", serviceName="web")
    second = aws.call("ListTasks", cluster="demo", serviceName="web", nextToken=first["nextToken"])
    assert (len(first["taskArns"]), len(second["taskArns"]), "nextToken" in second) == (100, 30, False)
    assert not set(first["taskArns"]) & set(second["taskArns"])
    assert len(aws.call("DescribeTasks", cluster="demo", tasks=first["taskArns"])["tasks"]) == 100
    with pytest.raises(AwsError) as caught:
        aws.call("DescribeTasks", cluster="demo", tasks=first["taskArns"] + second["taskArns"][:1])
    assert caught.value.code == "InvalidParameterException"
    with pytest.raises(AwsError, match="between 1 and 100"):
        aws.call("ListTasks", cluster="demo", maxResults=101)


def test_service_deployments_are_listed_twenty_at_a_time() -> None:
    """ListServiceDeployments: "returns up to 20 results and a nextToken value"; DescribeServiceDeployments
    and DescribeServiceRevisions: "You can specify a maximum of 20 ARNs"."""
    aws = ManualEcs()
    aws.create_stable(count=1)
    for _ in range(22):
        aws.run(1)
        aws.update(forceNewDeployment=True)
    first = aws.call("ListServiceDeployments", cluster="demo", service="web")
    aws.run(1)
    aws.update(forceNewDeployment=True)
    second = aws.call("ListServiceDeployments", cluster="demo", service="web", nextToken=first["nextToken"])
    found = [brief["serviceDeploymentArn"] for brief in first["serviceDeployments"] + second["serviceDeployments"]]
    assert (len(first["serviceDeployments"]), len(found), len(set(found))) == (20, 23, 23)
    assert found == [record.arn for record in aws.service.service_deployments[1:]], "newest first, the newer one not"
    assert len(aws.call("DescribeServiceDeployments", serviceDeploymentArns=found[:20])["serviceDeployments"]) == 20
    for operation, member in (
        ("DescribeServiceDeployments", "serviceDeploymentArns"),
        ("DescribeServiceRevisions", "serviceRevisionArns"),
    ):
        with pytest.raises(AwsError) as caught:
            aws.call(operation, **{member: found[:21]})
        assert caught.value.code == "InvalidParameterException"


def test_inactive_task_definition_can_be_described_and_copied() -> None:
    """DeregisterTaskDefinition: INACTIVE revisions "are still discoverable"; a copy of one can be deployed again."""
    aws = ManualEcs()
    first = aws.register()
    aws.create()
    aws.call("DeregisterTaskDefinition", taskDefinition=first)
    described = aws.call("DescribeTaskDefinition", taskDefinition=first)["taskDefinition"]
    assert (described["status"], "deregisteredAt" in described) == ("INACTIVE", True)
    with pytest.raises(AwsError, match="TaskDefinition is inactive") as caught:
        aws.update(taskDefinition=first)
    assert caught.value.code == "ClientException"
    copy = aws.call("RegisterTaskDefinition", family="web", containerDefinitions=described["containerDefinitions"])[
        "taskDefinition"
    ]["taskDefinitionArn"]
    assert aws.update(taskDefinition=copy)["taskDefinition"] == copy


def test_copy_of_a_task_definition_takes_tags_but_not_those_of_aws() -> None:
    """RegisterTaskDefinition, tags: "Do not use aws: … as a prefix": what CloudFormation tagged cannot be copied whole,
    and a refused request makes no revision."""
    aws = ManualEcs()
    first = aws.register()
    theirs, ours = {"key": "aws:cloudformation:stack-name", "value": "shop"}, {"key": "team", "value": "web"}
    aws.call("TagResource", resourceArn=first, tags=[theirs, ours])
    described = aws.call("DescribeTaskDefinition", taskDefinition=first, include=["TAGS"])
    assert described["tags"] == [theirs, ours]
    containers = described["taskDefinition"]["containerDefinitions"]
    with pytest.raises(AwsError, match="aws: prefixed tag key names are not allowed"):
        aws.call("RegisterTaskDefinition", family="web", containerDefinitions=containers, tags=[theirs, ours])
    copy = aws.call("RegisterTaskDefinition", family="web", containerDefinitions=containers, tags=[ours])
    assert (copy["taskDefinition"]["revision"], copy["tags"]) == (2, [ours])
