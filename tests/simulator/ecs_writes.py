"""The writing operations of the ECS API. They see the true state, and the scheduler does the rest."""

from collections.abc import Callable

from . import ecs_shapes as shapes
from .aws_json import Json
from .behaviour import read_behaviour
from .clock import Clock
from .ecs import WORKLOAD_MEMBERS, Cluster, Ecs, Service, TaskDefinition
from .ecs_reads import find_tags
from .ecs_scheduler import Scheduler
from .errors import AwsError
from .lifecycle_stages import check_deployment_configuration
from .resource_tags import read_own_tags, read_tags
from .task_sets import adopt_task_sets, build_task_set

SETTING_DEFAULTS: Json = {
    "deploymentController": {"type": "ECS"},
    "schedulingStrategy": "REPLICA",
    "enableECSManagedTags": False,
    "propagateTags": "NONE",
    "enableExecuteCommand": False,
    "availabilityZoneRebalancing": "ENABLED",
    "healthCheckGracePeriodSeconds": 0,
    "placementConstraints": [],
    "placementStrategy": [],
}
"""Members of a service that change without a deployment, with AWS's defaults for a new service."""

DEPLOYMENT_DEFAULTS: Json = {
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "minimumHealthyPercent": 100,
    "maximumPercent": 200,
    "strategy": "ROLLING",
}
"""DeploymentConfiguration of a REPLICA service that sets nothing."""

DAEMON_DEPLOYMENT_DEFAULTS: Json = DEPLOYMENT_DEFAULTS | {"minimumHealthyPercent": 0, "maximumPercent": 100}
"""The same of a DAEMON service: minimumHealthyPercent is "0% for the CLI, the Amazon Web Services SDKs, and the APIs"
(API type DeploymentConfiguration)."""


class EcsWrites:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, ecs: Ecs, scheduler: Scheduler, clock: Clock) -> None:
        self._ecs = ecs
        self._scheduler = scheduler
        self._clock = clock
        self.operations: dict[str, Callable[[Json], Json]] = {
            "CreateCluster": self.create_cluster,
            "RegisterTaskDefinition": self.register_task_definition,
            "DeregisterTaskDefinition": self.deregister_task_definition,
            "CreateService": self.create_service,
            "UpdateService": self.update_service,
            "DeleteService": self.delete_service,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
        }

    # Clusters, task definitions, tags

    def create_cluster(self, request: Json) -> Json:
        """CreateCluster; an existing one is returned as it is."""
        name = request.get("clusterName", "default")
        cluster = self._ecs.clusters.get(name)
        if cluster is None:
            cluster = Cluster(
                arn=self._ecs.arn(f"cluster/{name}"),
                name=name,
                created_at=self._clock.now(),
                settings=request.get("settings", [{"name": "containerInsights", "value": "disabled"}]),
                tags=read_tags(request),
            )
            self._ecs.clusters[name] = cluster
        services = [service for service in self._ecs.services.values() if service.cluster == name]
        return {"cluster": shapes.shape_cluster(cluster, services)}

    def register_task_definition(self, request: Json) -> Json:
        """RegisterTaskDefinition: the next revision of its family."""
        if not request["containerDefinitions"]:
            raise AwsError("ClientException", "Container list cannot be empty.")
        for member in ("name", "image"):
            if not all(container.get(member) for container in request["containerDefinitions"]):
                raise AwsError("ClientException", f"Container.{member} should not be null or empty.")
        tags = read_own_tags(request)
        family = request["family"]
        revisions = self._ecs.families.setdefault(family, [])
        contents = {"networkMode": "bridge", "volumes": [], "placementConstraints": [], **request}
        contents.pop("tags", None)
        contents["containerDefinitions"] = [
            {"cpu": 0, "essential": True, "environment": [], "mountPoints": [], "portMappings": [], **container}
            for container in request["containerDefinitions"]
        ]
        number = len(revisions) + 1
        definition = TaskDefinition(
            arn=self._ecs.arn(f"task-definition/{family}:{number}"),
            family=family,
            revision=number,
            contents=contents,
            behaviour=read_behaviour(request["containerDefinitions"]),
            registered_at=self._clock.now(),
            tags=tags,
        )
        revisions.append(definition)
        return {"taskDefinition": shapes.shape_task_definition(definition), "tags": shapes.shape_tags(tags)}

    def deregister_task_definition(self, request: Json) -> Json:
        """DeregisterTaskDefinition: INACTIVE at once; AWS allows itself up to ten minutes."""
        if ":" not in request["taskDefinition"].rsplit("/", 1)[-1]:
            raise AwsError("InvalidParameterException", "Invalid revision number. Number: null")
        definition = self._ecs.find_task_definition(request["taskDefinition"])
        if definition is None:
            raise AwsError("InvalidParameterException", "The specified task definition does not exist.")
        definition.deregistered_at = definition.deregistered_at or self._clock.now()
        return {"taskDefinition": shapes.shape_task_definition(definition)}

    def tag_resource(self, request: Json) -> Json:
        """TagResource, for clusters, services and task definitions."""
        find_tags(self._ecs, request["resourceArn"]).update(read_tags(request))
        self._touch_arn(request["resourceArn"])
        return {}

    def untag_resource(self, request: Json) -> Json:
        """UntagResource; a key that is not there is no error."""
        tags = find_tags(self._ecs, request["resourceArn"])
        for key in request["tagKeys"]:
            tags.pop(key, None)
        self._touch_arn(request["resourceArn"])
        return {}

    def _touch_arn(self, arn: str) -> None:
        kind, *names = arn.rsplit(":", 1)[-1].split("/")
        if kind == "service" and len(names) == 2 and (service := self._ecs.services.get((names[0], names[1]))):
            self._scheduler.touch(service)

    # Services

    def create_service(self, request: Json) -> Json:
        """CreateService: with the ECS controller a first deployment, with CODE_DEPLOY a first task set."""
        cluster = self._ecs.find_cluster(request.get("cluster"))
        key = (cluster.name, request["serviceName"])
        existing = self._ecs.services.get(key)
        if existing is not None and existing.status != "INACTIVE":
            raise AwsError("InvalidParameterException", "Creation of service was not idempotent.")
        settings: Json = {name: request.get(name, default) for name, default in SETTING_DEFAULTS.items()}
        daemon = settings["schedulingStrategy"] == "DAEMON"
        controller = settings["deploymentController"]["type"]
        if daemon:
            _check_daemon(request)
        elif "desiredCount" not in request:
            raise AwsError("InvalidParameterException", "DesiredCount cannot be blank.")
        _check_desired_count(request)
        defaults = DAEMON_DEPLOYMENT_DEFAULTS if daemon else DEPLOYMENT_DEFAULTS
        settings["deploymentConfiguration"] = defaults | request.get("deploymentConfiguration", {})
        workload = self._read_workload(request, controller)
        check_deployment_configuration(settings["deploymentConfiguration"], workload)
        now = self._clock.now()
        service = Service(
            arn=self._ecs.arn(f"service/{cluster.name}/{request['serviceName']}"),
            cluster=cluster.name,
            name=request["serviceName"],
            created_at=now,
            created_by=f"arn:aws:iam::{self._ecs.account}:root",
            desired_count=request.get("desiredCount", 0),
            settings=settings,
            tags=read_tags(request),
            initial_workload=workload,
        )
        self._ecs.services[key] = service
        if controller == "ECS":
            self._scheduler.deploy(service, workload, now)
        elif controller == "CODE_DEPLOY":
            service.task_sets.append(build_task_set(self._ecs, service, workload, now, status="PRIMARY"))
        return self._answer(service)

    def _read_workload(self, request: Json, controller: str) -> Json:
        """The workload configuration of a new service.

        "A task definition must be specified if the service uses either the ECS or CODE_DEPLOY deployment controllers";
        with EXTERNAL, task sets bring all but service discovery.
        """
        workload = {name: request[name] for name in WORKLOAD_MEMBERS if name in request}
        if controller == "EXTERNAL":
            refused = [name for name in workload if name != "serviceRegistries"]
            if refused:
                raise AwsError(
                    "InvalidParameterException",
                    f"{', '.join(refused)} cannot be specified with an EXTERNAL deployment controller.",
                )
            return workload
        if "taskDefinition" not in request:
            raise AwsError("InvalidParameterException", "TaskDefinition cannot be blank.")
        workload["taskDefinition"] = self._ecs.resolve_task_definition(request["taskDefinition"])
        if "capacityProviderStrategy" not in workload:
            workload.setdefault("launchType", "EC2")
        if workload.get("launchType") == "FARGATE":
            workload.setdefault("platformVersion", "LATEST")
        return workload

    def update_service(self, request: Json) -> Json:
        """UpdateService: a new deployment when the workload configuration changes or is forced, else none."""
        service = self._ecs.get_active_service(request.get("cluster"), request["service"])
        _check_desired_count(request)
        if service.settings["schedulingStrategy"] == "DAEMON":
            _check_daemon(request)
        changes = {name: request[name] for name in WORKLOAD_MEMBERS if name in request}
        if "taskDefinition" in changes:
            changes["taskDefinition"] = self._ecs.resolve_task_definition(changes["taskDefinition"])
        force = request.get("forceNewDeployment", False)
        joins_ecs = service.controller != "ECS" and request.get("deploymentController", {}).get("type") == "ECS"
        if service.controller != "ECS" and not joins_ecs:
            _check_controller(service.controller, changes, force=force)
        configuration = service.settings["deploymentConfiguration"] | request.get("deploymentConfiguration", {})
        workload = service.workload | changes
        check_deployment_configuration(configuration, workload)
        for name in SETTING_DEFAULTS:
            if name in request:
                service.settings[name] = request[name]
        service.settings["deploymentConfiguration"] = configuration
        now = self._clock.now()
        if "desiredCount" in request:
            self._scheduler.set_desired_count(service, request["desiredCount"], now)
        if joins_ecs:
            adopt_task_sets(service, now)
        if force or joins_ecs or workload != service.workload:
            self._scheduler.deploy(service, workload, now)
        return self._answer(service)

    def delete_service(self, request: Json) -> Json:
        """DeleteService: DRAINING until its tasks are gone; `force` allows a desired count above 0."""
        service = self._ecs.get_active_service(request.get("cluster"), request["service"])
        if service.desired_count > 0 and not request.get("force", False):
            raise AwsError("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
        service.status, service.desired_count = "DRAINING", 0
        return self._answer(service)

    def _answer(self, service: Service) -> Json:
        """Let the scheduler see `service`, and show it as it was before the scheduler acted."""
        shape = shapes.shape_service(self._ecs, service, with_tags=True)
        self._scheduler.touch(service)
        return {"service": shape}


def _check_daemon(request: Json) -> None:
    """What DAEMON services do not take; CreateService has the rules, the AWS console most of the words."""
    strategy = "The daemon scheduling strategy does not support"
    if "desiredCount" in request:
        raise AwsError(
            "InvalidParameterException",
            f"{strategy} a desired count for services. Remove the desired count value and try again",
        )
    if request.get("launchType") == "FARGATE" or "capacityProviderStrategy" in request:
        raise AwsError("InvalidParameterException", f"{strategy} Fargate tasks or capacity providers.")
    if request.get("deploymentController", {}).get("type", "ECS") != "ECS":
        raise AwsError("InvalidParameterException", f"{strategy} deployment controllers other than ECS.")
    if request.get("deploymentConfiguration", {}).get("maximumPercent", 100) > 100:
        raise AwsError("InvalidParameterException", f"{strategy} values above 100 for maximumPercent")
    if request.get("placementStrategy"):
        raise AwsError("InvalidParameterException", f"{strategy} placement strategies")


_REFUSED_MEMBERS = {
    "taskDefinition": "task definition",
    "networkConfiguration": "network parameters",
    "platformVersion": "platform version",
    "loadBalancers": "load balancers",
    "launchType": "launch type",
    "capacityProviderStrategy": "capacity provider strategy",
}
"""How AWS names the members of UpdateService that only the ECS controller takes; the first two are seen in the wild."""


def _check_controller(controller: str, changes: Json, *, force: bool) -> None:
    """InvalidParameterException for what an update cannot do with this controller, which is not ECS."""
    hint = " Use AWS CodeDeploy to trigger a new deployment." if controller == "CODE_DEPLOY" else ""
    article = "a" if controller == "CODE_DEPLOY" else "an"
    for member in changes:
        words = _REFUSED_MEMBERS.get(member, member)
        raise AwsError(
            "InvalidParameterException",
            f"Unable to update {words} on services with {article} {controller} deployment controller.{hint}",
        )
    if force:
        raise AwsError(
            "InvalidParameterException",
            f"Cannot force a new deployment on services with {article} {controller} deployment controller.{hint}",
        )


def _check_desired_count(request: Json) -> None:
    if request.get("desiredCount", 0) < 0:
        raise AwsError("InvalidParameterException", "DesiredCount cannot be negative.")
