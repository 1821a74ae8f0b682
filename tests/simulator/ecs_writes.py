"""The writing operations of the ECS API. They see the true state, and the scheduler does the rest."""

from collections.abc import Callable

from . import ecs_shapes as shapes
from .aws_json import Json
from .behaviour import read_behaviour
from .clock import Clock
from .ecs import FINISHED_STATUSES, WORKLOAD_MEMBERS, Cluster, Ecs, Service, TaskDefinition
from .ecs_reads import find_tags
from .ecs_scheduler import Scheduler
from .errors import AwsError

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

CONTINUED_STATUSES = frozenset({"STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"})
"""Where StopServiceDeployment only continues what is under way (developer guide, "Stopping service deployments")."""


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
            "StopTask": self.stop_task,
            "StopServiceDeployment": self.stop_service_deployment,
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
                tags=_read_tags(request),
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
        family = request["family"]
        revisions = self._ecs.families.setdefault(family, [])
        contents = {"networkMode": "bridge", "volumes": [], "placementConstraints": [], **request}
        tags = _read_tags(contents)
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
        find_tags(self._ecs, request["resourceArn"]).update(_read_tags(request))
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
        """CreateService: REPLICA services only."""
        cluster = self._ecs.find_cluster(request.get("cluster"))
        key = (cluster.name, request["serviceName"])
        existing = self._ecs.services.get(key)
        if existing is not None and existing.status != "INACTIVE":
            raise AwsError("InvalidParameterException", "Creation of service was not idempotent.")
        if request.get("schedulingStrategy", "REPLICA") != "REPLICA":
            raise AwsError("UnsupportedFeatureException", "The simulator runs REPLICA services only.")
        if "taskDefinition" not in request:
            raise AwsError("InvalidParameterException", "TaskDefinition cannot be blank.")
        if "desiredCount" not in request:
            raise AwsError("InvalidParameterException", "DesiredCount cannot be blank.")
        _check_desired_count(request)
        workload = {name: request[name] for name in WORKLOAD_MEMBERS if name in request}
        workload["taskDefinition"] = self._resolve_task_definition(request["taskDefinition"])
        if "capacityProviderStrategy" not in workload:
            workload.setdefault("launchType", "EC2")
        if workload.get("launchType") == "FARGATE":
            workload.setdefault("platformVersion", "LATEST")
        settings = {name: request.get(name, default) for name, default in SETTING_DEFAULTS.items()}
        settings["deploymentConfiguration"] = DEPLOYMENT_DEFAULTS | request.get("deploymentConfiguration", {})
        now = self._clock.now()
        service = Service(
            arn=self._ecs.arn(f"service/{cluster.name}/{request['serviceName']}"),
            cluster=cluster.name,
            name=request["serviceName"],
            created_at=now,
            created_by=f"arn:aws:iam::{self._ecs.account}:root",
            desired_count=request["desiredCount"],
            settings=settings,
            tags=_read_tags(request),
        )
        self._ecs.services[key] = service
        self._scheduler.deploy(service, workload, now)
        return self._answer(service)

    def update_service(self, request: Json) -> Json:
        """UpdateService: a new deployment when the workload configuration changes or is forced, else none."""
        service = self._get_active(request)
        _check_desired_count(request)
        controller = service.settings["deploymentController"]["type"]
        changes = {name: request[name] for name in WORKLOAD_MEMBERS if name in request}
        if "taskDefinition" in changes:
            changes["taskDefinition"] = self._resolve_task_definition(changes["taskDefinition"])
        force = request.get("forceNewDeployment", False)
        if controller == "CODE_DEPLOY" and force:
            raise AwsError(
                "InvalidParameterException",
                "Cannot force a new deployment on services with a CODE_DEPLOY deployment controller. "
                "Use AWS CodeDeploy to trigger a new deployment.",
            )
        if controller != "ECS" and changes:
            raise AwsError(
                "InvalidParameterException",
                f"Unable to update {', '.join(changes)} on services with a {controller} deployment controller.",
            )
        for name in SETTING_DEFAULTS:
            if name in request:
                service.settings[name] = request[name]
        service.settings["deploymentConfiguration"] = service.settings["deploymentConfiguration"] | request.get(
            "deploymentConfiguration", {}
        )
        if "desiredCount" in request and request["desiredCount"] != service.desired_count:
            service.desired_count = request["desiredCount"]
            service.primary.updated_at = self._clock.now()
            service.steady = False
        workload = service.workload | changes
        if force or workload != service.workload:
            self._scheduler.deploy(service, workload, self._clock.now())
        return self._answer(service)

    def delete_service(self, request: Json) -> Json:
        """DeleteService: DRAINING until its tasks are gone; `force` allows a desired count above 0."""
        service = self._get_active(request)
        if service.desired_count > 0 and not request.get("force", False):
            raise AwsError("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
        service.status, service.desired_count = "DRAINING", 0
        return self._answer(service)

    def _answer(self, service: Service) -> Json:
        """Let the scheduler see `service`, and show it as it was before the scheduler acted."""
        shape = shapes.shape_service(self._ecs, service, with_tags=True)
        self._scheduler.touch(service)
        return {"service": shape}

    def _get_active(self, request: Json) -> Service:
        cluster = self._ecs.find_cluster(request.get("cluster"))
        service = self._ecs.services.get((cluster.name, request["service"].rsplit("/", 1)[-1]))
        if service is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        if service.status != "ACTIVE":
            raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
        return service

    def _resolve_task_definition(self, reference: str) -> str:
        """Its ARN; ClientException when missing or INACTIVE."""
        definition = self._ecs.find_task_definition(reference)
        if definition is None:
            raise AwsError("ClientException", "TaskDefinition not found.")
        if definition.status != "ACTIVE":
            raise AwsError("ClientException", "TaskDefinition is inactive")
        return definition.arn

    # Tasks and service deployments

    def stop_task(self, request: Json) -> Json:
        """StopTask: ignores minimumHealthyPercent; a task that has stopped already is returned as it is."""
        cluster = self._ecs.find_cluster(request.get("cluster"))
        id_ = request["task"].rsplit("/", 1)[-1]
        candidates = (s for s in self._ecs.services.values() if s.cluster == cluster.name and id_ in s.tasks)
        service = next(candidates, None)
        if service is None:
            raise AwsError("InvalidParameterException", "The referenced task was not found.")
        task = service.tasks[id_]
        if task.desired_status == "RUNNING":
            reason = request.get("reason", "Task stopped by user")
            self._scheduler.stop_tasks(service, [task], self._clock.now(), reason, "UserInitiated")
            self._scheduler.touch(service)
        return {"task": shapes.shape_task(self._ecs, service, task)}

    def stop_service_deployment(self, request: Json) -> Json:
        """StopServiceDeployment with ROLLBACK; repeating it while it rolls back changes nothing."""
        arn = request["serviceDeploymentArn"]
        if request.get("stopType", "ROLLBACK") != "ROLLBACK":
            raise AwsError("InvalidParameterException", "The valid values of stopType are ROLLBACK.")
        parts = arn.split("/")
        service = self._ecs.services.get((parts[1], parts[2])) if len(parts) == 4 else None
        records = service.service_deployments if service is not None else []
        record = next((record for record in records if record.arn == arn), None)
        if service is None or record is None:
            raise AwsError("ServiceDeploymentNotFoundException", "Service deployment not found.")
        if record.status in FINISHED_STATUSES:
            raise AwsError("ConflictException", f"The service deployment is {record.status} and can't be stopped.")
        if record.status not in CONTINUED_STATUSES:
            record.status, record.updated_at = "ROLLBACK_REQUESTED", self._clock.now()
            self._scheduler.touch(service)
        return {"serviceDeploymentArn": arn}


def _read_tags(request: Json) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in request.get("tags", [])}


def _check_desired_count(request: Json) -> None:
    if request.get("desiredCount", 0) < 0:
        raise AwsError("InvalidParameterException", "DesiredCount cannot be negative.")
