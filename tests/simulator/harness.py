"""A simulator and boto3 clients for tests: set a scene, and wait for what should come of it."""

import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from .control import SimulatorControl
from .server import SimulatorServer

Json = dict[str, Any]

CLUSTER = "demo"
SERVICE = "web"
TARGET_GROUP = "targetgroup/web/73e2d6bc24d8a067"
TARGET_GROUP_ARN = f"arn:aws:elasticloadbalancing:us-east-1:123456789012:{TARGET_GROUP}"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}

_SESSION = boto3.Session(aws_access_key_id="AKIATEST", aws_secret_access_key="secret", region_name="us-east-1")


class Scene:
    """A running simulator with a cluster, and clients that never retry."""

    def __init__(self, server: SimulatorServer) -> None:
        self.server = server
        self.control = SimulatorControl(server.url)
        self.clients: list[Any] = []
        self.ecs = self.client("ecs")
        self.cloudwatch = self.client("cloudwatch")
        self.ecs.create_cluster(clusterName=CLUSTER)

    def client(self, service: str, *, read_timeout: float = 5.0, **options: str) -> Any:
        """A boto3 client for this simulator; it is closed with the scene. `options`: keys, region_name."""
        config = Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout)
        client = _SESSION.client(service, endpoint_url=self.server.url, config=config, **options)
        self.clients.append(client)
        return client

    def assume(self, role_arn: str, session_name: str = "test", **members: object) -> dict[str, Any]:
        """Assume a role; the keyword arguments that make `client` use the session."""
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session_name, **members)
        credentials = answer["Credentials"]
        return {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials["SessionToken"],
        }

    def close(self) -> None:
        """Close the clients and the server."""
        for client in self.clients:
            client.close()
        self.server.close()

    def register(self, family: str = SERVICE, **variables: object) -> str:
        """Register a task definition whose container has these SIM_ variables; its ARN."""
        environment = [{"name": f"SIM_{name}", "value": str(value)} for name, value in variables.items()]
        container = {"name": "app", "image": "app:1", "environment": environment}
        answer = self.ecs.register_task_definition(family=family, containerDefinitions=[container])
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def create(self, *, count: int = 3, name: str = SERVICE, task_definition: str = SERVICE, **members: object) -> Json:
        """Create a Fargate service."""
        created: Json = self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=task_definition,
            desiredCount=count,
            launchType="FARGATE",
            **members,
        )["service"]
        return created

    def create_stable(self, **members: Any) -> Json:
        """Register a good task definition, create a service of it and wait until it is stable."""
        self.register()
        self.create(**members)
        return self.wait_stable()

    def update(self, name: str = SERVICE, **changes: object) -> Json:
        """UpdateService."""
        updated: Json = self.ecs.update_service(cluster=CLUSTER, service=name, **changes)["service"]
        return updated

    def describe(self, name: str = SERVICE) -> Json:
        """The service as DescribeServices tells."""
        described: Json = self.ecs.describe_services(cluster=CLUSTER, services=[name])["services"][0]
        return described

    def service_deployment(self, arn: str) -> Json:
        """A service deployment."""
        found: Json = self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
        return found

    def tasks(self, status: str = "RUNNING", name: str = SERVICE) -> list[Json]:
        """The service's tasks whose desired status is `status`."""
        arns = self.ecs.list_tasks(cluster=CLUSTER, serviceName=name, desiredStatus=status)["taskArns"]
        found: list[Json] = self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        return found

    def wait(self, condition: Callable[[Json], bool], seconds: float = 15.0, name: str = SERVICE) -> Json:
        """The service once `condition` holds; AssertionError after `seconds` of wall time."""
        deadline = time.monotonic() + seconds
        while not condition(service := self.describe(name)):
            assert time.monotonic() < deadline, f"not within {seconds} s: {summarise(service)}"
            time.sleep(0.01)
        return service

    def wait_stable(self, name: str = SERVICE) -> Json:
        """The service once its only deployment is COMPLETED and all tasks run."""
        return self.wait(is_stable, name=name)


def is_stable(service: Json) -> bool:
    """Whether ECS has nothing left to do."""
    states = [deployment["rolloutState"] for deployment in service["deployments"]]
    return (
        states == ["COMPLETED"] and service["runningCount"] == service["desiredCount"] and not service["pendingCount"]
    )


def summarise(service: Json) -> Json:
    """What one wants to know of a service that is not as expected."""
    members = ("status", "rolloutState", "desiredCount", "runningCount", "pendingCount", "failedTasks")
    return {
        "service": {name: service.get(name) for name in members},
        "deployments": [{name: d.get(name) for name in members} for d in service["deployments"]],
        "events": [event["message"] for event in service["events"][:5]],
    }
