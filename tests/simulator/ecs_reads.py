"""The reading operations of the ECS API. They may lag behind writes; see `Ecs.set_lag`."""

import base64
import binascii
from collections.abc import Callable, Sequence

from . import ecs_shapes as shapes
from .aws_json import Json
from .clock import Clock
from .ecs import Ecs, Service
from .errors import AwsError
from .task_shapes import shape_task

# Limits of the operations' reference pages.
MAX_SERVICES = 10
MAX_TASKS = 100
MAX_PAGE = 100


def paginate(items: Sequence[str], request: Json, default_size: int = MAX_PAGE) -> tuple[list[str], Json]:
    """One page of sorted `items`, and the `nextToken` member when there is more.

    The token is the last item given out, so a page stays right when items come and go. InvalidParameterException
    for a bad token or page size.
    """
    size = request.get("maxResults", default_size)
    if not 1 <= size <= MAX_PAGE:
        raise AwsError("InvalidParameterException", f"maxResults must be between 1 and {MAX_PAGE}.")
    try:
        after = base64.b64decode(request.get("nextToken", ""), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise AwsError("InvalidParameterException", "Invalid token.") from error
    rest = [item for item in sorted(items) if item > after]
    page = rest[:size]
    more = {"nextToken": base64.urlsafe_b64encode(page[-1].encode()).decode()} if len(rest) > size else {}
    return page, more


def check_length(name: str, values: Sequence[str], limit: int) -> None:
    """InvalidParameterException unless there are 1 to `limit` values."""
    if not 1 <= len(values) <= limit:
        raise AwsError("InvalidParameterException", f"{name} must have between 1 and {limit} items.")


class EcsReads:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock
        self.operations: dict[str, Callable[[Json], Json]] = {
            "DescribeClusters": self.describe_clusters,
            "DescribeTaskDefinition": self.describe_task_definition,
            "DescribeServices": self.describe_services,
            "ListServices": self.list_services,
            "ListTasks": self.list_tasks,
            "DescribeTasks": self.describe_tasks,
            "ListTagsForResource": self.list_tags_for_resource,
        }

    def _find(self, cluster: str, reference: str) -> Service | None:
        """A service by name or ARN, as readers see it."""
        return self._ecs.read((cluster, reference.rsplit("/", 1)[-1]), self._clock.now())

    def _get(self, request: Json, reference: str) -> Service:
        """The service that `reference` names in the request's cluster; ServiceNotFoundException when missing."""
        service = self._find(self._ecs.find_cluster(request.get("cluster")).name, reference)
        if service is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        return service

    def describe_clusters(self, request: Json) -> Json:
        """DescribeClusters."""
        clusters, failures = [], []
        for reference in request.get("clusters", ["default"]):
            cluster = self._ecs.clusters.get(reference.rsplit("/", 1)[-1])
            if cluster is None:
                arn = self._ecs.arn(f"cluster/{reference.rsplit('/', 1)[-1]}")
                failures.append({"arn": arn, "reason": "MISSING"})
                continue
            now = self._clock.now()
            standalone = self._ecs.read_standalone(cluster.name, now)
            shape = shapes.shape_cluster(cluster, list(self._ecs.read_cluster(cluster.name, now)), standalone)
            if "TAGS" in request.get("include", []):
                shape["tags"] = shapes.shape_tags(cluster.tags)
            clusters.append(shape)
        return {"clusters": clusters, "failures": failures}

    def describe_task_definition(self, request: Json) -> Json:
        """DescribeTaskDefinition; INACTIVE revisions stay visible."""
        definition = self._ecs.find_task_definition(request["taskDefinition"])
        if definition is None:
            raise AwsError("ClientException", "Unable to describe task definition.")
        answer: Json = {"taskDefinition": shapes.shape_task_definition(definition)}
        if "TAGS" in request.get("include", []):
            answer["tags"] = shapes.shape_tags(definition.tags)
        return answer

    def describe_services(self, request: Json) -> Json:
        """DescribeServices: at most 10; missing ones are `failures`."""
        cluster = self._ecs.find_cluster(request.get("cluster"))
        check_length("services", request["services"], MAX_SERVICES)
        services, failures = [], []
        for reference in request["services"]:
            service = self._find(cluster.name, reference)
            if service is None:
                arn = self._ecs.arn(f"service/{cluster.name}/{reference.rsplit('/', 1)[-1]}")
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                with_tags = "TAGS" in request.get("include", [])
                services.append(shapes.shape_service(self._ecs, service, with_tags=with_tags))
        return {"services": services, "failures": failures}

    def list_services(self, request: Json) -> Json:
        """ListServices: ACTIVE ones only; 10 a page unless maxResults says more."""
        cluster = self._ecs.find_cluster(request.get("cluster"))
        arns = [
            service.arn
            for service in self._ecs.read_cluster(cluster.name, self._clock.now())
            if service.status == "ACTIVE"
            and request.get("launchType") in (None, service.workload.get("launchType"))
            and request.get("schedulingStrategy") in (None, service.settings["schedulingStrategy"])
            and request.get("resourceManagementType") in (None, "CUSTOMER")
        ]
        page, more = paginate(arns, request, default_size=10)
        return {"serviceArns": page, **more}

    def list_tasks(self, request: Json) -> Json:
        """ListTasks by serviceName, startedBy, family, launchType and desiredStatus (default RUNNING).

        "When you specify startedBy as the filter, it must be the only filter that you use": which is taken at its word.
        """
        others = request.keys() & {"serviceName", "family", "launchType", "containerInstance", "desiredStatus"}
        if "startedBy" in request and others:
            raise AwsError("InvalidParameterException", "startedBy must be the only filter.")
        cluster = self._ecs.find_cluster(request.get("cluster"))
        if "serviceName" in request:
            services = [self._get(request, request["serviceName"])]
        else:
            services = list(self._ecs.read_cluster(cluster.name, self._clock.now()))
        tasks = [task for service in services for task in service.tasks.values()]
        if "serviceName" not in request:
            tasks += self._ecs.read_standalone(cluster.name, self._clock.now())
        arns = [
            task.arn
            for task in tasks
            if task.desired_status == request.get("desiredStatus", "RUNNING")
            and request.get("startedBy") in (None, task.deployment_id)
            and request.get("family") in (None, task.task_definition.family)
            and request.get("launchType") in (None, task.workload.get("launchType"))
        ]
        page, more = paginate(arns, request)
        return {"taskArns": page, **more}

    def describe_tasks(self, request: Json) -> Json:
        """DescribeTasks: at most 100; missing ones are `failures`. Tags come where `include` asks for TAGS."""
        cluster = self._ecs.find_cluster(request.get("cluster"))
        check_length("tasks", request["tasks"], MAX_TASKS)
        wanted = {reference.rsplit("/", 1)[-1] for reference in request["tasks"]}
        found: dict[str, Json] = {}
        for service in self._ecs.read_cluster(cluster.name, self._clock.now()):
            for id_ in wanted & service.tasks.keys():
                found[id_] = shape_task(self._ecs, service.tasks[id_])
        for task in self._ecs.read_standalone(cluster.name, self._clock.now()):
            if task.id in wanted:
                found[task.id] = shape_task(self._ecs, task)
        if "TAGS" not in request.get("include", []):
            found = {id_: {**shape, "tags": []} for id_, shape in found.items()}
        missing = [
            {"arn": self._ecs.arn(f"task/{cluster.name}/{id_}"), "reason": "MISSING"}
            for id_ in sorted(wanted - found.keys())
        ]
        return {"tasks": [found[id_] for id_ in sorted(found)], "failures": missing}

    def list_tags_for_resource(self, request: Json) -> Json:
        """ListTagsForResource, for clusters, services and task definitions."""
        return {"tags": shapes.shape_tags(find_tags(self._ecs, request["resourceArn"]))}


def find_tags(ecs: Ecs, arn: str) -> dict[str, str]:
    """The tags of the cluster, service or task definition `arn`; InvalidParameterException when there is none."""
    kind, _, name = arn.rsplit(":", 1)[-1].partition("/") if ":task-definition/" not in arn else ("task", "", arn)
    if kind == "task" and (definition := ecs.find_task_definition(name)) is not None:
        return definition.tags
    if kind == "cluster" and name in ecs.clusters:
        return ecs.clusters[name].tags
    cluster, _, service_name = name.partition("/")
    if kind == "service" and (service := ecs.services.get((cluster, service_name))) is not None:
        return service.tags
    raise AwsError("InvalidParameterException", "The specified resource cannot be found.")
