"""Which IAM actions stand behind each AWS call that Bokgu can make: one table, and a test that it has them all.

Names of actions, resource types and condition keys are those of the Service Authorization Reference ("Actions,
resources, and condition keys for AWS services"), read in November 2026. An action without a resource type there takes
`*` and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Use(Enum):
    """Why AWS is asked."""

    WATCH = auto()
    """Every protected service: what it is, whether it is in trouble, and why."""
    LOGS = auto()
    """Log groups that are counted or quoted."""
    PLAN = auto()
    """A plan is made: modes Propose, Approve and Auto."""
    PLAN_SCALING = auto()
    PLAN_TASKS = auto()
    PLAN_CODE_DEPLOY = auto()
    SCALE = auto()
    RESTART = auto()
    ROLL_BACK = auto()
    STOP_CODE_DEPLOY = auto()
    STOP_TASKS = auto()
    REGISTER = auto()
    RUN_TASK = auto()
    AUTOMATION = auto()
    EVENTS = auto()
    """The event queues of the operator."""
    ALERTS = auto()
    """SNS topics that are told of incidents."""
    HISTORY = auto()
    """The tables of the history, as the operator uses them."""
    HISTORY_SETUP = auto()
    """`bokgu history init`, which people run."""
    HISTORY_IMPORT = auto()
    """`bokgu history import`, which people run: on tables that its words name, so in no policy that is printed."""
    ASSUME = auto()
    """Roles that are assumed."""
    DOCTOR = auto()
    """`bokgu doctor`, which people run: about whoever runs it, so in no policy that is printed."""


class Kind(Enum):
    """A resource that an action is narrowed to."""

    SERVICE = auto()
    SERVICE_DEPLOYMENT = auto()
    SERVICE_REVISION = auto()
    TASK = auto()
    CONTAINER_INSTANCE = auto()
    TASK_DEFINITION = auto()
    """All revisions of the service's family."""
    RUN_DEFINITION = auto()
    """The task definitions of `spec.runTask`."""
    PASSED_ROLE = auto()
    SCALABLE_TARGET = auto()
    DEPLOYMENT_GROUP = auto()
    LOG_GROUP = auto()
    LOG_STREAM = auto()
    STACK = auto()
    DOCUMENT = auto()
    """The Automation documents of `spec.automation`."""
    EXECUTION = auto()
    QUEUE = auto()
    TOPIC = auto()
    TABLE = auto()
    TABLE_INDEX = auto()
    ROLE = auto()


class Condition(Enum):
    """What a statement demands besides."""

    REGION = auto()
    """The call is made in a region of the services: for actions that take `*` only."""
    CLUSTER = auto()
    """The call is about a cluster of the services."""
    PASSED_TO_ECS = auto()
    """The role is handed to Amazon ECS or its tasks."""
    TAGGED_AT_REGISTER = auto()
    """The tags come with the registration."""
    DESIRED_COUNT = auto()
    """The scalable dimension is the desired count of an ECS service."""
    EXTERNAL_ID = auto()
    """The role is assumed with the external id of a namespace."""


@dataclass(frozen=True)
class Permission:
    """One IAM action behind an AWS call.

    `service` and `operation` are boto3's names. `sid` names the statement; actions of one `sid` have the same
    `resources` and `condition`. No `resources`: AWS has no resource-level permission, and takes `*`. `why` is for
    people; `optional`: without it something is told less well, and nothing else happens.
    """

    service: str
    operation: str
    action: str
    sid: str
    uses: frozenset[Use]
    why: str
    resources: tuple[Kind, ...] = ()
    condition: Condition | None = None
    optional: bool = False


@dataclass(frozen=True)
class _Statement:
    """What permissions of one statement have in common."""

    sid: str
    resources: tuple[Kind, ...] = ()
    condition: Condition | None = None


_READ_ANY = _Statement("ReadWhatHasNoResource", condition=Condition.REGION)
_READ_SERVICES = _Statement("ReadServices", (Kind.SERVICE, Kind.SERVICE_DEPLOYMENT, Kind.SERVICE_REVISION))
_LIST_TASKS = _Statement("ListTasks", condition=Condition.CLUSTER)
_READ_TASKS = _Statement("ReadTasks", (Kind.TASK,))
_READ_INSTANCES = _Statement("ReadContainerInstances", (Kind.CONTAINER_INSTANCE,))
_READ_LOGS = _Statement("ReadLogs", (Kind.LOG_GROUP,))
_READ_TASK_LOGS = _Statement("ReadTaskLogs", (Kind.LOG_STREAM,))
_READ_STACKS = _Statement("ReadStacks", (Kind.STACK,))
_READ_CODE_DEPLOY = _Statement("ReadCodeDeployments", (Kind.DEPLOYMENT_GROUP,))
_STOP_CODE_DEPLOY = _Statement("StopCodeDeployments", condition=Condition.REGION)
_UPDATE_SERVICES = _Statement("UpdateServices", (Kind.SERVICE,))
_STOP_DEPLOYMENTS = _Statement("StopDeployments", (Kind.SERVICE, Kind.SERVICE_DEPLOYMENT))
_SET_TARGETS = _Statement("SetScalableTargets", (Kind.SCALABLE_TARGET,), Condition.DESIRED_COUNT)
_STOP_TASKS = _Statement("StopTasks", (Kind.TASK,))
_REGISTER = _Statement("RegisterTaskDefinitions", (Kind.TASK_DEFINITION,))
_TAG_DEFINITIONS = _Statement("TagTaskDefinitions", (Kind.TASK_DEFINITION,), Condition.TAGGED_AT_REGISTER)
_PASS_ROLES = _Statement("PassRoles", (Kind.PASSED_ROLE,), Condition.PASSED_TO_ECS)
_RUN_TASKS = _Statement("RunTasks", (Kind.RUN_DEFINITION,), Condition.CLUSTER)
_START_AUTOMATIONS = _Statement("StartAutomations", (Kind.DOCUMENT, Kind.EXECUTION))
_FOLLOW_AUTOMATIONS = _Statement("FollowAutomations", (Kind.EXECUTION,))
_EVENTS = _Statement("ReceiveEvents", (Kind.QUEUE,))
_TOPICS = _Statement("SendAlerts", (Kind.TOPIC,))
_HISTORY = _Statement("KeepHistory", (Kind.TABLE,))
_QUERY_HISTORY = _Statement("QueryHistory", (Kind.TABLE_INDEX,))
_HISTORY_SETUP = _Statement("SetUpHistory", (Kind.TABLE,))
_ASSUME = _Statement("AssumeRoles", (Kind.ROLE,), Condition.EXTERNAL_ID)
_DOCTOR = _Statement("SimulatePolicies", (Kind.ROLE,))

_STATE = "state of the service, its deployments and revisions: detection, and the revision to go back to"
_TASKS = (
    "how tasks ended, which are not well, and what became of tasks that were run: without it run_task ends as Timeout"
)
_GROUP = "the deployment in flight of the group that spec.rollback.codeDeploy names: without it nothing is planned"
_HANDED_ON = "roles that the task definition, or the service, hands to Amazon ECS"


def _allow(call: str, action: str, statement: _Statement, why: str, *uses: Use, optional: bool = False) -> Permission:
    service, _, operation = call.partition(":")
    return Permission(
        service=service,
        operation=operation,
        action=action,
        sid=statement.sid,
        uses=frozenset(uses),
        why=why,
        resources=statement.resources,
        condition=statement.condition,
        optional=optional,
    )


PERMISSIONS: tuple[Permission, ...] = (
    # Amazon ECS
    _allow("ecs:DescribeServices", "ecs:DescribeServices", _READ_SERVICES, _STATE, Use.WATCH),
    _allow("ecs:ListServiceDeployments", "ecs:ListServiceDeployments", _READ_SERVICES, _STATE, Use.WATCH),
    _allow("ecs:DescribeServiceDeployments", "ecs:DescribeServiceDeployments", _READ_SERVICES, _STATE, Use.WATCH),
    _allow("ecs:DescribeServiceRevisions", "ecs:DescribeServiceRevisions", _READ_SERVICES, _STATE, Use.WATCH),
    _allow(
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTaskDefinition",
        _READ_ANY,
        "what a deployment has changed, and copies of task definitions",
        *(Use.WATCH, Use.RUN_TASK),
    ),
    _allow(
        "ecs:ListTasks",
        "ecs:ListTasks",
        _LIST_TASKS,
        _TASKS,
        *(Use.WATCH, Use.RUN_TASK),
    ),
    _allow("ecs:DescribeTasks", "ecs:DescribeTasks", _READ_TASKS, _TASKS, Use.WATCH, Use.RUN_TASK),
    _allow(
        "ecs:DescribeContainerInstances",
        "ecs:DescribeContainerInstances",
        _READ_INSTANCES,
        "which task a target of a load balancer is, on EC2 instances",
        Use.PLAN_TASKS,
    ),
    _allow(
        "ecs:UpdateService",
        "ecs:UpdateService",
        _UPDATE_SERVICES,
        "scale_out, scale_in, service_restart and rollback_to_previous_version",
        *(Use.SCALE, Use.RESTART, Use.ROLL_BACK),
    ),
    _allow("ecs:UpdateService", "iam:PassRole", _PASS_ROLES, _HANDED_ON, Use.ROLL_BACK),
    _allow(
        "ecs:StopServiceDeployment",
        "ecs:StopServiceDeployment",
        _STOP_DEPLOYMENTS,
        "rollback_to_previous_version of a deployment in flight",
        Use.ROLL_BACK,
    ),
    _allow(
        "ecs:StopTask",
        "ecs:StopTask",
        _STOP_TASKS,
        "stop_unhealthy_tasks, and the undo of run_task",
        *(Use.STOP_TASKS, Use.RUN_TASK),
    ),
    _allow(
        "ecs:RegisterTaskDefinition",
        "ecs:RegisterTaskDefinition",
        _REGISTER,
        "rollback.reregister: a copy of a task definition that is INACTIVE",
        Use.REGISTER,
    ),
    _allow(
        "ecs:RegisterTaskDefinition",
        "ecs:TagResource",
        _TAG_DEFINITIONS,
        "the copy is found again by its tag",
        Use.REGISTER,
    ),
    _allow("ecs:RegisterTaskDefinition", "iam:PassRole", _PASS_ROLES, _HANDED_ON, Use.REGISTER),
    _allow("ecs:RunTask", "ecs:RunTask", _RUN_TASKS, "run_task", Use.RUN_TASK),
    _allow("ecs:RunTask", "iam:PassRole", _PASS_ROLES, _HANDED_ON, Use.RUN_TASK),
    # Application Auto Scaling
    _allow(
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalableTargets",
        _READ_ANY,
        "who owns the desired count: without it nothing is scaled",
        Use.PLAN_SCALING,
    ),
    _allow(
        "application-autoscaling:RegisterScalableTarget",
        "application-autoscaling:RegisterScalableTarget",
        _SET_TARGETS,
        "scale_out and scale_in where Application Auto Scaling owns the count",
        Use.SCALE,
    ),
    # Systems Manager
    _allow(
        "ssm:StartAutomationExecution",
        "ssm:StartAutomationExecution",
        _START_AUTOMATIONS,
        "ssm_automation; what the document itself does needs rights of its own",
        Use.AUTOMATION,
    ),
    _allow(
        "ssm:StartAutomationExecution",
        "ssm:AddTagsToResource",
        _FOLLOW_AUTOMATIONS,
        "the execution is found again by its tag",
        Use.AUTOMATION,
    ),
    _allow(
        "ssm:GetAutomationExecution",
        "ssm:GetAutomationExecution",
        _FOLLOW_AUTOMATIONS,
        "what became of it: without it the step ends as Timeout",
        Use.AUTOMATION,
    ),
    _allow(
        "ssm:StopAutomationExecution", "ssm:StopAutomationExecution", _FOLLOW_AUTOMATIONS, "its undo", Use.AUTOMATION
    ),
    _allow(
        "ssm:DescribeAutomationExecutions",
        "ssm:DescribeAutomationExecutions",
        _READ_ANY,
        "which execution was started, where the answer was lost",
        Use.AUTOMATION,
    ),
    # AWS CodeDeploy
    _allow(
        "codedeploy:ListDeployments",
        "codedeploy:ListDeployments",
        _READ_CODE_DEPLOY,
        _GROUP,
        Use.PLAN_CODE_DEPLOY,
    ),
    _allow("codedeploy:GetDeployment", "codedeploy:GetDeployment", _READ_CODE_DEPLOY, _GROUP, Use.PLAN_CODE_DEPLOY),
    _allow(
        "codedeploy:StopDeployment",
        "codedeploy:StopDeployment",
        _STOP_CODE_DEPLOY,
        "rollback_to_previous_version of a deployment of CodeDeploy",
        Use.STOP_CODE_DEPLOY,
    ),
    # Amazon CloudWatch and CloudWatch Logs
    _allow(
        "cloudwatch:GetMetricData",
        "cloudwatch:GetMetricData",
        _READ_ANY,
        "detection, evidence, and the proof that a step worked",
        Use.WATCH,
    ),
    _allow(
        "logs:FilterLogEvents",
        "logs:FilterLogEvents",
        _READ_LOGS,
        "log patterns of detectors, lines that a diagnosis quotes, and steps that a log proves",
        Use.LOGS,
    ),
    _allow(
        "logs:GetLogEvents",
        "logs:GetLogEvents",
        _READ_TASK_LOGS,
        "the end of the log of a task that was run",
        Use.RUN_TASK,
        optional=True,
    ),
    # Elastic Load Balancing
    _allow(
        "elbv2:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetGroups",
        _READ_ANY,
        "the load balancer of the service, which its metrics name",
        Use.WATCH,
    ),
    _allow(
        "elbv2:DescribeTargetHealth",
        "elasticloadbalancing:DescribeTargetHealth",
        _READ_ANY,
        "which targets are well: without it steps of services behind a load balancer end as VerificationInconclusive",
        Use.WATCH,
    ),
    # AWS CloudFormation and AWS CloudTrail
    _allow(
        "cloudformation:DescribeStacks",
        "cloudformation:DescribeStacks",
        _READ_STACKS,
        "whether a stack that owns the service is being updated: without it plans of such services are blocked",
        Use.PLAN,
    ),
    _allow(
        "cloudtrail:LookupEvents",
        "cloudtrail:LookupEvents",
        _READ_ANY,
        "who stopped tasks or changed the service by hand",
        Use.WATCH,
        optional=True,
    ),
    # The operator's own
    _allow("sqs:ReceiveMessage", "sqs:ReceiveMessage", _EVENTS, "BOKGU_EVENT_QUEUES", Use.EVENTS),
    _allow("sqs:DeleteMessageBatch", "sqs:DeleteMessage", _EVENTS, "BOKGU_EVENT_QUEUES", Use.EVENTS),
    _allow("sns:Publish", "sns:Publish", _TOPICS, "receivers of alerts that are SNS topics", Use.ALERTS),
    _allow("dynamodb:PutItem", "dynamodb:PutItem", _HISTORY, "BOKGU_HISTORY=dynamodb", Use.HISTORY),
    _allow("dynamodb:Query", "dynamodb:Query", _QUERY_HISTORY, "BOKGU_HISTORY=dynamodb", Use.HISTORY),
    _allow("dynamodb:BatchGetItem", "dynamodb:BatchGetItem", _HISTORY, "BOKGU_HISTORY=dynamodb", Use.HISTORY),
    *(
        _allow(f"dynamodb:{operation}", f"dynamodb:{operation}", _HISTORY_SETUP, why, Use.HISTORY_SETUP)
        for operation, why in (
            ("CreateTable", "bokgu history init"),
            ("DescribeTable", "bokgu history init"),
            ("DescribeContinuousBackups", "bokgu history init"),
            ("UpdateContinuousBackups", "bokgu history init"),
            ("DescribeTimeToLive", "bokgu history init, bokgu doctor"),
            ("UpdateTimeToLive", "bokgu history init"),
        )
    ),
    _allow("dynamodb:Scan", "dynamodb:Scan", _HISTORY_SETUP, "bokgu history import", Use.HISTORY_IMPORT),
    _allow("sts:AssumeRole", "sts:AssumeRole", _ASSUME, "roles that ProtectedServices name", Use.ASSUME),
    _allow(
        "iam:SimulatePrincipalPolicy",
        "iam:SimulatePrincipalPolicy",
        _DOCTOR,
        "bokgu doctor, on the identity that it asks as: whether that may do what is configured",
        Use.DOCTOR,
        optional=True,
    ),
)
"""Every IAM action, by the call that needs it."""

NEEDS_NO_PERMISSION: Mapping[tuple[str, str], str] = {
    ("sts", "GetCallerIdentity"): 'bokgu doctor; "No permissions are required" (API_GetCallerIdentity)',
}
"""Calls that IAM lets everybody make."""
