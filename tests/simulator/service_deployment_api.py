"""The operations of the ECS API on service deployments and service revisions."""

from collections.abc import Callable

from . import ecs_shapes as shapes
from .aws_json import Json
from .clock import Clock
from .ecs import Ecs, LifecycleHook, Service, ServiceDeployment
from .ecs_reads import check_length, paginate
from .ecs_scheduler import Scheduler
from .errors import AwsError

# Limits of the operations' reference pages.
MAX_SERVICE_DEPLOYMENTS = 20
MAX_SERVICE_REVISIONS = 20
DEFAULT_PAGE = 20
"""ListServiceDeployments: "returns up to 20 results" unless maxResults says else."""

CONTINUED_STATUSES = frozenset({"STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"})
"""Where StopServiceDeployment only continues what is under way (developer guide, "Stopping service deployments")."""


class ServiceDeploymentApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else.

    Reads may lag behind writes; see `Ecs.set_lag`.
    """

    def __init__(self, ecs: Ecs, scheduler: Scheduler, clock: Clock) -> None:
        self._ecs = ecs
        self._scheduler = scheduler
        self._clock = clock
        self.operations: dict[str, Callable[[Json], Json]] = {
            "ListServiceDeployments": self.list_service_deployments,
            "DescribeServiceDeployments": self.describe_service_deployments,
            "DescribeServiceRevisions": self.describe_service_revisions,
            "StopServiceDeployment": self.stop_service_deployment,
            "ContinueServiceDeployment": self.continue_service_deployment,
        }

    # Reads

    def list_service_deployments(self, request: Json) -> Json:
        """ListServiceDeployments, newest first, by status and time of creation."""
        cluster = self._ecs.find_cluster(request.get("cluster")).name
        service = self._ecs.read((cluster, request["service"].rsplit("/", 1)[-1]), self._clock.now())
        if service is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        if service.controller != "ECS":
            raise AwsError(
                "UnsupportedFeatureException",
                f"Service deployments are not supported for services with the {service.controller} deployment "
                "controller.",
            )
        created = request.get("createdAt", {})
        records = [
            record
            for record in service.service_deployments
            if record.status in request.get("status", [record.status])
            and created.get("after", record.created_at) <= record.created_at <= created.get("before", record.created_at)
        ]
        # Ranked from the oldest, so that a token stays right when a new one comes on top.
        count = len(service.service_deployments)
        rank = {record.arn: service.service_deployments.index(record) for record in records}
        ranked = {f"{rank[record.arn] - count + 10**9:010d}": record for record in records}
        page, more = paginate(list(ranked), request, default_size=DEFAULT_PAGE)
        briefs = [shapes.shape_service_deployment_brief(self._ecs, service, ranked[key]) for key in page]
        return {"serviceDeployments": briefs, **more}

    def _find_by_child(self, arn: str) -> Service | None:
        """The service, as readers see it, that a child's ARN names: `<kind>/<cluster>/<service>/<id>`."""
        parts = arn.split("/")
        return self._ecs.read((parts[1], parts[2]), self._clock.now()) if len(parts) == 4 else None

    def describe_service_deployments(self, request: Json) -> Json:
        """DescribeServiceDeployments: at most 20; missing ones are `failures`."""
        arns = request["serviceDeploymentArns"]
        check_length("serviceDeploymentArns", arns, MAX_SERVICE_DEPLOYMENTS)
        found, failures = [], []
        for arn in arns:
            service = self._find_by_child(arn)
            record = None if service is None else _find_record(service, arn)
            if service is None or record is None:
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(shapes.shape_service_deployment(self._ecs, service, record))
        return {"serviceDeployments": found, "failures": failures}

    def describe_service_revisions(self, request: Json) -> Json:
        """DescribeServiceRevisions: at most 20; missing ones are `failures`."""
        arns = request["serviceRevisionArns"]
        check_length("serviceRevisionArns", arns, MAX_SERVICE_REVISIONS)
        found, failures = [], []
        for arn in arns:
            service = self._find_by_child(arn)
            if service is None or arn not in service.revisions:
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(shapes.shape_service_revision(self._ecs, service, service.revisions[arn]))
        return {"serviceRevisions": found, "failures": failures}

    # Writes

    def stop_service_deployment(self, request: Json) -> Json:
        """StopServiceDeployment: ROLLBACK, or ABORT, which leaves things as they are.

        The model knows ABORT, the text of the operation only ROLLBACK. Repeating it while it rolls back or stops
        changes nothing; ConflictException when it is over.
        """
        service, record = self._get(request["serviceDeploymentArn"])
        if record.is_finished:
            raise AwsError("ConflictException", f"The service deployment is {record.status} and can't be stopped.")
        if record.status not in CONTINUED_STATUSES:
            stop_type = request.get("stopType", "ROLLBACK")
            self._scheduler.rollouts.request_stop(record, stop_type, self._clock.now())
            self._scheduler.touch(service)
        return {"serviceDeploymentArn": record.arn}

    def continue_service_deployment(self, request: Json) -> Json:
        """ContinueServiceDeployment: resolve a PAUSE hook that awaits action.

        Wording of errors: developer guide, "Troubleshooting Amazon ECS blue/green deployments".
        """
        service, record = self._get(request["serviceDeploymentArn"])
        if record.is_finished:
            raise AwsError(
                "InvalidParameterException",
                "Continuing a service deployment is not allowed for service deployment in terminal states.",
            )
        hook = _find_paused(record, request["hookId"])
        action = request.get("action", "CONTINUE")
        hook.status = "SUCCEEDED" if action == "CONTINUE" else "FAILED"
        self._scheduler.rollouts.resolve_hook(service, record, hook, self._clock.now())
        self._scheduler.touch(service)
        return {"serviceDeploymentArn": record.arn}

    def _get(self, arn: str) -> tuple[Service, ServiceDeployment]:
        """The true service and service deployment; ServiceDeploymentNotFoundException when there is none."""
        parts = arn.split("/")
        service = self._ecs.services.get((parts[1], parts[2])) if len(parts) == 4 else None
        record = None if service is None else _find_record(service, arn)
        if service is None or record is None:
            raise AwsError("ServiceDeploymentNotFoundException", "The service deployment does not exist.")
        return service, record


def _find_record(service: Service, arn: str) -> ServiceDeployment | None:
    return next((record for record in service.service_deployments if record.arn == arn), None)


def _find_paused(record: ServiceDeployment, hook_id: str) -> LifecycleHook:
    if not hook_id.startswith("ecs-") or hook_id.count("-") < 2:
        raise AwsError(
            "InvalidParameterException", "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}"
        )
    for hook in record.hooks:
        if hook.id == hook_id and hook.target_type == "PAUSE" and hook.status == "AWAITING_ACTION":
            return hook
    raise AwsError(
        "InvalidParameterException",
        "Provided hookId is either completed, unavailable, or not associated with the given Resource ARN",
    )
