"""An AWS account of a test's own, whose services the operator watches through a role."""

from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config

from tests.simulator.control import RecordedCall
from tests.world.manifests import NAMESPACE, REGION, protected_service
from tests.world.roles import operator_role
from tests.world.world import World

PRESETS = ("alb-target-5xx", "alb-no-target", "ecs-running", "ecs-crash-loop", "ecs-deployment", "ecs-cpu")


class Account:
    """Services in an account of their own, which the operator reaches through a role: a scope of its own.

    The role lets the operator in on behalf of the tests' namespace only.
    """

    def __init__(self, world: World, number: str) -> None:
        self.world, self.number = world, number
        self._protected: list[str] = []
        self.role = operator_role(number)
        self.aws = world.simulator.at(number)
        session = boto3.Session(aws_access_key_id="person", aws_secret_access_key="x", region_name=REGION)
        config = Config(retries={"total_max_attempts": 1})
        sts = session.client("sts", endpoint_url=world.aws_url, config=config)
        keys = sts.assume_role(RoleArn=self.role, RoleSessionName="person")["Credentials"]
        session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], REGION)
        self.ecs: Any = session.client("ecs", endpoint_url=world.aws_url, config=config)
        self.aws.declare_role(self.role, external_id=world.external_id())

    def create(self, cluster: str, *names: str) -> None:
        """Healthy services behind load balancers of their own, in a cluster."""
        self.ecs.create_cluster(clusterName=cluster)
        container = {"name": "app", "image": "app:1", "environment": []}
        self.ecs.register_task_definition(family="app", containerDefinitions=[container])
        for name in names:
            arn = f"arn:aws:elasticloadbalancing:{REGION}:{self.number}:targetgroup/{name}/73e2d6bc24d8a067"
            self.ecs.create_service(
                cluster=cluster,
                serviceName=name,
                taskDefinition="app",
                desiredCount=2,
                launchType="FARGATE",
                loadBalancers=[{"targetGroupArn": arn, "containerName": "app", "containerPort": 80}],
            )

    def protect(
        self, cluster: str, *names: str, interval: str = "2s", presets: Sequence[str] = PRESETS, **spec: Any
    ) -> None:
        """Watch them with presets, all at the same interval."""
        self._protected += names
        detection = {
            "presets": list(presets),
            "interval": interval,
            "settle": "1s",
            "period": "1s",
            "relapseWatch": "2s",
        }
        self.world.apply(
            *(
                protected_service(
                    name,
                    ecs={"cluster": cluster, "service": name},
                    roleArn=self.role,
                    mode="Observe",
                    detection=detection,
                )
                for name in names
            )
        )

    def reads(self, since: float) -> list[RecordedCall]:
        """The operator's calls in this account since that moment."""
        sessions = (call for call in self.aws.calls() if call.role_session_name == "bokgu-read")
        return [call for call in sessions if call.account == self.number and call.time >= since]

    def close(self) -> None:
        """Take its services, and what watches them, out of the world."""
        watching = (d for d in self.world.all("detectors") if d["spec"]["serviceRef"]["name"] in self._protected)
        mine = [("protectedservices", name) for name in self._protected]
        mine += [("detectors", detector["metadata"]["name"]) for detector in watching]
        for plural, name in mine:
            kubectl = self.world.control_plane.kubectl
            kubectl("delete", plural, name, "-n", NAMESPACE, "--wait=false", "--ignore-not-found")
