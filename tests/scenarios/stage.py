"""The part of a world that belongs to one scenario: namespace, AWS account, cluster, services, objects."""

import threading
import time
from typing import Any

import boto3
from botocore.config import Config

from tests.scenarios.kube_admin import KubeAdmin
from tests.scenarios.model import Json
from tests.scenarios.placed_service import FIRST, PlacedService, fill
from tests.scenarios.scenario import Scenario, WorldService
from tests.scenarios.simulated_time import compress
from tests.simulator.accounts import DEFAULT_ACCOUNT
from tests.simulator.control import ControlError, SimulatorControl
from tests.world.manifests import REGION, approver_bindings
from tests.world.roles import FIRST_OF_SCENARIO, operator_role
from tests.world.world import SPEED, World

SHARED_CLUSTER = "scenarios"
BALANCER_PRESETS = ["alb-target-5xx", "alb-elb-5xx", "alb-no-target", "alb-unhealthy"]
SERVICE_PRESETS = ["ecs-running", "ecs-deployment", "ecs-crash-loop", "ecs-cpu", "ecs-memory"]

_CLIENTS = threading.Lock()


class Stage:
    """Builds what a scenario begins with. Used by one thread.

    `services` holds every placed service by its name in the scenario; a `count` makes `name-1`, `name-2`, ...
    """

    def __init__(self, world: World, scenario: Scenario, label: str) -> None:
        self.world, self.scenario = world, scenario
        self.namespace = label[:60].rstrip("-")
        own = scenario.world.account == "own"
        self.account = f"{FIRST_OF_SCENARIO + scenario.number}" if own else DEFAULT_ACCOUNT
        self.role = operator_role(self.account) if own else None
        short = f"s{scenario.number}"
        lonely = own or scenario.world.cluster
        self.cluster = short if lonely else SHARED_CLUSTER
        self.aws: SimulatorControl = world.simulator.at(self.account if own else None)
        self._session = self._sign_in()
        self._clients: dict[str, Any] = {}
        self.services: dict[str, PlacedService] = {}
        for role, made_from in scenario.world.services.items():
            for copy in _copies(role, made_from):
                name = f"{short}-{copy}"
                placed = PlacedService(copy, name, self.cluster, self.account, REGION, made_from)
                placed.owns_cluster = bool(lonely) and len(scenario.world.services) == made_from.count == 1
                self.services[copy] = placed

    def find(self, role: str) -> list[PlacedService]:
        """The placed services of a name of the scenario."""
        return [self.services[copy] for copy in _copies(role, self.scenario.world.services[role])]

    # Other people's AWS

    def _sign_in(self) -> boto3.Session:
        """The keys of a person in the scenario's account."""
        if self.role is None:
            return boto3.Session(aws_access_key_id="person", aws_secret_access_key="x", region_name=REGION)
        person = boto3.Session(aws_access_key_id="person", aws_secret_access_key="x", region_name=REGION)
        role = f"arn:aws:iam::{self.account}:role/person"
        sts = person.client("sts", endpoint_url=self.world.aws_url)
        keys = sts.assume_role(RoleArn=role, RoleSessionName="person", DurationSeconds=43_200)["Credentials"]
        sts.close()
        return boto3.Session(
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            region_name=REGION,
        )

    def client(self, service: str) -> Any:
        """A boto3 client as a person at the AWS console has one."""
        if service not in self._clients:
            config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
            with _CLIENTS:
                self._clients[service] = self._session.client(service, endpoint_url=self.world.aws_url, config=config)
        return self._clients[service]

    @property
    def ecs(self) -> Any:
        """Amazon ECS as a person uses it."""
        return self.client("ecs")

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    # Building

    def build(self, kube: KubeAdmin) -> None:
        """Everything that there is before the story, the services not yet steady."""
        self._make_namespace(kube)
        world = self.scenario.world
        if world.role and self.role:
            self.aws.declare_role(self.role, **world.role)
        self.ecs.create_cluster(
            clusterName=self.cluster, **({"settings": list(world.cluster)} if world.cluster else {})
        )
        for service in self.services.values():
            self._create_service(service)
        for name, dependents in world.dependencies.items():
            keys = [(s.cluster, s.name) for role in dependents for s in self.find(role)]
            self.aws.declare_dependency(f"s{self.scenario.number}-{name}", keys)
        if world.shared_balancer:
            groups = [self.services[role].target_group() for role in world.shared_balancer]
            self.aws.share_load_balancer(f"s{self.scenario.number}-shared", groups)
        for members in world.alarms:
            self.put_alarm(members)

    def put_alarm(self, members: Json) -> None:
        """PutMetricAlarm. Its Period is simulated seconds; an alarm's passes on the wall."""
        filled = self.fill(members)
        period = {"Period": max(1, round(filled["Period"] / SPEED))} if "Period" in filled else {}
        self.client("cloudwatch").put_metric_alarm(**filled | period)

    def fill(self, value: Any) -> Any:
        """The same with its placeholders filled."""
        return fill(value, self.services)

    def _make_namespace(self, kube: KubeAdmin) -> None:
        world, namespace = self.world, self.namespace
        kube.create_namespace(namespace)
        for person, role in ((world.alice, "system_admin"), (world.bob, "service_owner")):
            for binding in approver_bindings(person.name, role, namespace):
                kube.put(binding)
        # The defaults of a policy, at the pace of the scenario.
        limits = {"storm": {"window": "10m", "cooldown": "10m"}, "breaker": {"within": "24h"}}
        kube.put(self.manifest({"kind": "RecoveryPolicy", "name": "default", "spec": limits}))

    def register(self, service: PlacedService, revision: str, task: Json, container: Json, definition: Json) -> str:
        """Register a revision's task definition; its ARN."""
        answer = self.ecs.register_task_definition(
            family=service.name,
            containerDefinitions=[self.fill(service.container(revision, task, container))],
            **self.fill({**service.made_from.definition, **definition}),
        )
        arn = str(answer["taskDefinition"]["taskDefinitionArn"])
        service.revisions[revision] = arn
        return arn

    def _create_service(self, service: PlacedService) -> None:
        made_from = service.made_from
        self.aws.set_load(service.cluster, service.name, made_from.load)
        options = self.fill(made_from.container.get("logConfiguration", {}).get("options", {}))
        if "awslogs-group" in options:
            self.client("logs").create_log_group(logGroupName=options["awslogs-group"])
        definition = self.register(service, FIRST, {}, {}, {})
        members: Json = {"launchType": "FARGATE", "desiredCount": made_from.tasks, **self.fill(made_from.ecs)}
        if "capacityProviderStrategy" in members:
            del members["launchType"]
        if members.get("schedulingStrategy") == "DAEMON":
            del members["desiredCount"]
        if service.balancers:
            members["loadBalancers"] = service.balancers
        if members.get("deploymentController", {}).get("type") == "EXTERNAL":
            self._create_external(service, definition, members)
        else:
            self.ecs.create_service(
                cluster=service.cluster, serviceName=service.name, taskDefinition=definition, **members
            )
        if made_from.gateway:
            gateway = made_from.gateway
            self.aws.put_api_gateway(
                service.cluster,
                service.name,
                kind=gateway.kind,
                api_id=gateway.id,
                name=gateway.name,
                stage=gateway.stage,
            )

    def _create_external(self, service: PlacedService, definition: str, members: Json) -> None:
        """A service of an EXTERNAL controller, with one primary task set."""
        names = {"cluster": service.cluster, "service": service.name}
        workload = {n: members.pop(n) for n in ("launchType", "loadBalancers") if n in members}
        self.ecs.create_service(cluster=service.cluster, serviceName=service.name, **members)
        answer = self.ecs.create_task_set(
            **names, taskDefinition=definition, scale={"value": 100, "unit": "PERCENT"}, **workload
        )
        self.ecs.update_service_primary_task_set(**names, primaryTaskSet=answer["taskSet"]["taskSetArn"])

    def set_up_scaling(self, service: PlacedService) -> None:
        """Application Auto Scaling; its service must be there."""
        wanted = service.made_from.autoscaling
        if wanted is None:
            return
        scaling = self.client("application-autoscaling")
        names = self.scaling_names(service)
        scaling.register_scalable_target(**names, MinCapacity=wanted.min, MaxCapacity=wanted.max)
        if wanted.target_cpu is not None:
            metric = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
            scaling.put_scaling_policy(
                **names,
                PolicyName="cpu",
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": wanted.target_cpu,
                    "PredefinedMetricSpecification": metric,
                    "ScaleOutCooldown": 60,
                },
            )
        if wanted.schedule is not None:
            scaling.put_scheduled_action(**names, **wanted.schedule)

    def scaling_names(self, service: PlacedService) -> Json:
        """How Application Auto Scaling names the service."""
        return {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{service.cluster}/{service.name}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }

    def protect(self, kube: KubeAdmin) -> None:
        """ProtectedServices, Detectors and whatever objects the scenario has."""
        for service in self.services.values():
            if service.made_from.protect is not None:
                kube.put(self._protected(service))
        for written in self.scenario.world.objects:
            kube.put(self.manifest(written))

    def manifest(self, written: Json) -> Json:
        """An object of ours from `kind`, `name` and `spec`; `service` stands for spec.serviceRef."""
        spec = compress(self.fill(written["spec"]), SPEED)
        if "service" in written:
            spec["serviceRef"] = {"name": written["service"]}
        return {
            "apiVersion": "bokgu.dev/v1alpha1",
            "kind": written["kind"],
            "metadata": {"name": written["name"], "namespace": self.namespace},
            "spec": spec,
        }

    def _protected(self, service: PlacedService) -> Json:
        balanced = service.made_from.balancer != "none"
        usual: Json = {
            "environment": "production",
            "region": REGION,
            "ecs": {"cluster": service.cluster, "service": service.name},
            "mode": "Approve",
            "allowedActions": [
                "scale_out",
                "rollback_to_previous_version",
                "service_restart",
                "stop_unhealthy_tasks",
            ],
            "limits": {"maxDesiredCount": 10, "scaleStepPercent": 50, "cooldown": "30m", "cooldownAfterFailure": "2h"},
            "rollback": {"maxAge": "72h", "minServed": "5m"},
            "detection": {
                "interval": "1m",
                "settle": "1m",
                "period": "1m",
                "relapseWatch": "3m",
                "presets": [*(BALANCER_PRESETS if balanced else ()), *SERVICE_PRESETS],
            },
        }
        depends_on = [n for n, dependents in self.scenario.world.dependencies.items() if service.role in dependents]
        if depends_on:
            usual["dependsOn"] = depends_on
        if self.role:
            usual["roleArn"] = self.role
        spec = _merge(usual, self.fill(service.made_from.protect or {}))
        return self.manifest({"kind": "ProtectedService", "name": service.role, "spec": spec})

    # Waiting

    def is_steady(self, service: PlacedService) -> bool:
        """Whether ECS has nothing left to do for it."""
        truth = self.truth(service)
        if truth is None:
            return False
        found = truth["service"]
        deployed = all(d["rolloutState"] == "COMPLETED" for d in found.get("deployments", ()))
        return deployed and found["runningCount"] == found["desiredCount"] and found["runningCount"] > 0

    def wait_steady(self, seconds: float) -> None:
        """Wait until all services run; TimeoutError after so many seconds of wall time."""
        deadline = time.monotonic() + seconds
        waiting = [s for s in self.services.values() if s.made_from.tasks and s.made_from.steady]
        while waiting := [s for s in waiting if not self.is_steady(s)]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not steady within {seconds:g} s: {', '.join(s.name for s in waiting)}")
            time.sleep(0.3)

    def truth(self, service: PlacedService) -> Json | None:
        """The service as it truly is; None where there is none."""
        try:
            return self.aws.service(service.cluster, service.name)
        except ControlError:
            return None


def _copies(role: str, made_from: WorldService) -> list[str]:
    return [role] if made_from.count == 1 else [f"{role}-{n}" for n in range(1, made_from.count + 1)]


def _merge(base: Json, changes: Json) -> Json:
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
