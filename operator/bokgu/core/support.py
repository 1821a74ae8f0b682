"""What is driven and what is refused: deployment controller × strategy × action.

A kind of service that is not in the table is refused too. docs/support.md shows the table; a test compares both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bokgu.api.observed import AwsError, EcsService
from bokgu.api.vocabulary import Action


@dataclass(frozen=True)
class Support:
    """How far one kind of service is driven.

    `because` says why it is only read, and is empty where every action is driven. `instead` says by action what a
    person does; what is not there, `otherwise` says. `opt_in` are actions that are driven where people have opted in.
    """

    because: str = ""
    otherwise: str = ""
    instead: Mapping[Action, str] = field(default_factory=dict)
    opt_in: frozenset[Action] = frozenset()

    @property
    def read_only(self) -> bool:
        """Whether every write is refused, but for what people have opted in to."""
        return bool(self.because)


DRIVEN = Support()

MATRIX: Mapping[str, Support] = {
    "ECS ROLLING": DRIVEN,
    "ECS BLUE_GREEN": DRIVEN,
    "ECS LINEAR": DRIVEN,
    "ECS CANARY": DRIVEN,
    "CODE_DEPLOY": Support(
        because="CodeDeploy deploys this CODE_DEPLOY service: ECS takes no new revision of it",
        otherwise="act in CodeDeploy",
        instead={
            Action.ROLLBACK: "StopDeployment with autoRollbackEnabled takes back one in flight, where"
            " spec.rollback.codeDeploy names its group and the step codeDeployDeploymentId; after it, make a CodeDeploy"
            " deployment of the good revision",
            Action.SERVICE_RESTART: "ECS refuses forceNewDeployment; make a CodeDeploy deployment of the revision"
            " in use",
            Action.SCALE_OUT: "set desiredCount by hand while no CodeDeploy deployment runs: one that runs may"
            " fail by it",
        },
        opt_in=frozenset({Action.ROLLBACK}),
    ),
    "EXTERNAL": Support(
        because="a controller of your own deploys this EXTERNAL service by task sets",
        otherwise="act in that controller",
        instead={
            Action.ROLLBACK: "make the good task set primary there (UpdateServicePrimaryTaskSet)",
            Action.SERVICE_RESTART: "replace the task set there (CreateTaskSet, DeleteTaskSet)",
            Action.SCALE_OUT: "raise the scale of the primary task set there (UpdateTaskSet)",
        },
    ),
    "DAEMON": Support(
        because="a DAEMON service runs one task on each container instance",
        otherwise="act by hand, one instance at a time",
        instead={
            Action.ROLLBACK: "deploy the good task definition by hand: with minimumHealthyPercent 0, the default, tasks"
            " stop before new ones run",
            Action.SERVICE_RESTART: "stop its tasks by hand, one instance at a time",
            Action.SCALE_OUT: "it has no desired count: add container instances",
        },
    ),
    "Express": Support(
        because="ECS manages this Express Mode service and its load balancer, alarms and scaling as one",
        otherwise="use UpdateExpressGatewayService",
        instead={
            Action.ROLLBACK: "deploy the good image by UpdateExpressGatewayService",
            Action.SERVICE_RESTART: "deploy the image in use again by UpdateExpressGatewayService",
            Action.SCALE_OUT: "raise scalingTarget.minTaskCount by UpdateExpressGatewayService",
        },
    ),
}
"""By kind of service, as `kind_of` names it. Sources: API_UpdateService (what each controller lets be updated),
API_StopDeployment of CodeDeploy, API_TaskSet, API_CreateService (schedulingStrategy, minimumHealthyPercent of a
DAEMON), Amazon ECS developer guide, "Updating Resources Outside of Express Mode"."""

SERVICE_GONE = "ServiceGone"
"""Reason of a plan that is cancelled since its service is no more."""


@dataclass(frozen=True)
class Unsupported:
    """Why an action is refused on a service: what the service is, what would be driven, and what to do instead."""

    value: str
    limit: str
    message: str


def kind_of(service: EcsService) -> str:
    """The kind of service, a key of `MATRIX` where this version knows it."""
    if service.resource_management_type == "ECS":
        return "Express"
    if service.scheduling_strategy == "DAEMON":
        return "DAEMON"
    return f"ECS {service.strategy}" if service.controller == "ECS" else service.controller


def find_unsupported(service: EcsService, action: Action, *, opted_in: bool = False) -> Unsupported | None:
    """Why the action is refused on the service; None where it is driven. What only reads is driven everywhere.

    `opted_in`: the ProtectedService names the CodeDeploy group, and the step, if there is one, the deployment.
    """
    if not action.writes:
        return None
    if service.status != "ACTIVE":
        return Unsupported(service.status, "ACTIVE", f"the service is {service.status}")
    kind = kind_of(service)
    support = MATRIX.get(kind)
    limit = ", ".join(name for name, one in MATRIX.items() if not one.read_only)
    if support is None:
        return Unsupported(kind, limit, f"this version does not know {kind} services and only reads them: act by hand")
    if not support.read_only or (opted_in and action in support.opt_in):
        return None
    return Unsupported(kind, limit, f"{support.because}; {support.instead.get(action, support.otherwise)}")


def is_gone(service: EcsService | None, problem: AwsError | None) -> str | None:
    """That the service is gone for good, in words; None while it is there, or may be.

    A deleted service is DRAINING, then INACTIVE, then not described at all (API_DeleteService): none of it comes back.
    """
    if service is not None:
        return (
            f"the service is {service.status}: it was deleted" if service.status in {"DRAINING", "INACTIVE"} else None
        )
    if problem is not None and problem.operation == "DescribeServices" and problem.code in _MISSING:
        return f"the service was deleted: {problem.message}"
    return None


_MISSING = frozenset({"MISSING", "ClusterNotFoundException"})
"""What DescribeServices says of a service that is not there (API_DescribeServices, API_Failures)."""


def _cell(support: Support, action: Action) -> str:
    if not support.read_only or not action.writes:
        return "driven"
    return "opted in" if action in support.opt_in else "–"


def render_matrix() -> str:
    """The table as Markdown, and what to do instead of what is refused."""
    lines = ["| service | " + " | ".join(f"`{a}`" for a in Action) + " |", "|---|" + "---|" * len(Action)]
    for kind, support in MATRIX.items():
        lines.append(f"| {kind} | " + " | ".join(_cell(support, action) for action in Action) + " |")
    lines += ["", "| service | why it is only read | instead |", "|---|---|---|"]
    for kind, support in MATRIX.items():
        if support.read_only:
            instead = [f"`{action}`: {said}" for action in Action if (said := support.instead.get(action))]
            instead += [f"else: {support.otherwise}"] * any(a.writes and a not in support.instead for a in Action)
            lines.append(f"| {kind} | {support.because} | {'; '.join(instead)} |")
    return "\n".join(lines)
