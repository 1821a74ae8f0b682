"""A small IAM: what a call asks of it, and whether a policy allows that.

What calls ask is told from the Service Authorization Reference by itself, not from Bokgu's own table, so that the two
check each other.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Need:
    """One check that IAM makes: an action on a resource. `context` has the condition keys that AWS fills in."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A call as the simulator records it. `service` is botocore's name, `partition` is `aws`."""

    service: str
    operation: str
    region: str
    account: str
    parameters: Json

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    @property
    def cluster(self) -> str:
        return str(self.parameters.get("cluster", "default")).rpartition("/")[2]

    @property
    def cluster_arn(self) -> str:
        return self.arn("ecs", f"cluster/{self.cluster}")


def allows(policy: Json, need: Need) -> bool:
    """Whether a statement of the policy allows it; none of ours denies."""
    return any(_covers(statement, need) for statement in policy["Statement"])


def _covers(statement: Json, need: Need) -> bool:
    return (
        statement["Effect"] == "Allow"
        and any(_like(pattern, need.action) for pattern in statement["Action"])
        and any(_like(pattern, need.resource) for pattern in statement["Resource"])
        and all(_holds(operator, block, need.context) for operator, block in statement.get("Condition", {}).items())
    )


def _holds(operator: str, block: Json, context: Mapping[str, str]) -> bool:
    match: Mapping[str, Callable[[str, str], bool]] = {"StringEquals": str.__eq__, "ArnEquals": _like}
    return all(
        key in context and any(match[operator](value, context[key]) for value in values)
        for key, values in block.items()
    )


def _like(pattern: str, text: str) -> bool:
    """`*` stands for any characters, `?` for one ("IAM JSON policy elements: Resource")."""
    quoted = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(quoted, text) is not None


def list_needs(call: Made) -> list[Need]:
    """What IAM checks when the call is made. KeyError for a call that is not known here."""
    return [
        Need(action, resource, {"aws:RequestedRegion": call.region, **context})
        for action, resource, context in _NEEDS[call.service, call.operation](call)
    ]


Checks = Iterable[tuple[str, str, Mapping[str, str]]]
ECS_ROLE = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


def _any(action: str) -> Callable[[Made], Checks]:
    return lambda call: [(action, "*", {})]


def _services(action: str, *names: str) -> Callable[[Made], Checks]:
    """On each service that one of the parameters names."""

    def check(call: Made) -> Checks:
        for name in names:
            value = call.parameters.get(name, ())
            for service in [value] if isinstance(value, str) else value:
                resource = call.arn("ecs", f"service/{call.cluster}/{service.rpartition('/')[2]}")
                yield action, resource, {"ecs:cluster": call.cluster_arn}

    return check


def _service_parts(action: str, parameter: str) -> Callable[[Made], Checks]:
    """On service deployments or revisions, and on the service that they belong to."""

    def check(call: Made) -> Checks:
        value = call.parameters[parameter]
        for arn in [value] if isinstance(value, str) else value:
            head, _, tail = arn.partition("/")
            cluster, service, _ = tail.split("/")
            context = {"ecs:cluster": call.arn("ecs", f"cluster/{cluster}")}
            yield action, arn, context
            yield action, f"{head.rpartition(':')[0]}:service/{cluster}/{service}", context

    return check


def _tasks(action: str, *names: str) -> Callable[[Made], Checks]:
    def check(call: Made) -> Checks:
        for name in names:
            value = call.parameters.get(name, ())
            for task in [value] if isinstance(value, str) else value:
                resource = call.arn("ecs", f"task/{call.cluster}/{task.rpartition('/')[2]}")
                yield action, resource, {"ecs:cluster": call.cluster_arn}

    return check


def _instances(call: Made) -> Checks:
    for instance in call.parameters["containerInstances"]:
        name = f"container-instance/{call.cluster}/{instance.rpartition('/')[2]}"
        yield "ecs:DescribeContainerInstances", call.arn("ecs", name), {"ecs:cluster": call.cluster_arn}


def _register(call: Made) -> Checks:
    definition = call.arn("ecs", f"task-definition/{call.parameters['family']}:7")
    yield "ecs:RegisterTaskDefinition", definition, {}
    if call.parameters.get("tags"):
        yield "ecs:TagResource", definition, {"ecs:CreateAction": "RegisterTaskDefinition"}
    for name in ("taskRoleArn", "executionRoleArn"):
        if role := call.parameters.get(name):
            yield "iam:PassRole", role, ECS_ROLE


def _scaled(call: Made) -> Checks:
    context = {
        "application-autoscaling:service-namespace": call.parameters["ServiceNamespace"],
        "application-autoscaling:scalable-dimension": call.parameters["ScalableDimension"],
    }
    resource = call.arn("application-autoscaling", "scalable-target/0ec5")
    yield "application-autoscaling:RegisterScalableTarget", resource, context


def _deployment_group(action: str) -> Callable[[Made], Checks]:
    def check(call: Made) -> Checks:
        named = call.parameters
        group = f"{named.get('applicationName', 'shop')}/{named.get('deploymentGroupName', 'api')}"
        yield action, call.arn("codedeploy", f"deploymentgroup:{group}"), {}

    return check


def _start_automation(call: Made) -> Checks:
    name = call.parameters["DocumentName"]
    yield "ssm:StartAutomationExecution", call.arn("ssm", f"document/{name}"), {}
    yield "ssm:StartAutomationExecution", call.arn("ssm", "automation-execution/0ec5"), {}
    if call.parameters.get("Tags"):
        yield "ssm:AddTagsToResource", call.arn("ssm", "automation-execution/0ec5"), {}


def _execution(action: str) -> Callable[[Made], Checks]:
    return lambda call: [
        (action, call.arn("ssm", f"automation-execution/{call.parameters['AutomationExecutionId']}"), {})
    ]


def _table(operation: str) -> Callable[[Made], Checks]:
    def check(call: Made) -> Checks:
        names = [call.parameters["TableName"]] if "TableName" in call.parameters else call.parameters["RequestItems"]
        for name in names:
            index = f"/index/{call.parameters['IndexName']}" if "IndexName" in call.parameters else ""
            yield f"dynamodb:{operation}", call.arn("dynamodb", f"table/{name}{index}"), {}

    return check


def _queue(action: str) -> Callable[[Made], Checks]:
    return lambda call: [(action, call.arn("sqs", str(call.parameters["QueueUrl"]).rpartition("/")[2]), {})]


def _assumed(call: Made) -> Checks:
    named = call.parameters.get("ExternalId")
    yield "sts:AssumeRole", call.parameters["RoleArn"], {"sts:ExternalId": named} if named else {}


_NEEDS: Mapping[tuple[str, str], Callable[[Made], Checks]] = {
    ("ecs", "DescribeServices"): _services("ecs:DescribeServices", "services"),
    ("ecs", "ListServiceDeployments"): _services("ecs:ListServiceDeployments", "service"),
    ("ecs", "DescribeServiceDeployments"): _service_parts("ecs:DescribeServiceDeployments", "serviceDeploymentArns"),
    ("ecs", "DescribeServiceRevisions"): _service_parts("ecs:DescribeServiceRevisions", "serviceRevisionArns"),
    ("ecs", "DescribeTaskDefinition"): _any("ecs:DescribeTaskDefinition"),
    ("ecs", "ListTasks"): lambda call: [("ecs:ListTasks", "*", {"ecs:cluster": call.cluster_arn})],
    ("ecs", "DescribeTasks"): _tasks("ecs:DescribeTasks", "tasks"),
    ("ecs", "DescribeContainerInstances"): _instances,
    ("ecs", "UpdateService"): _services("ecs:UpdateService", "service"),
    ("ecs", "StopServiceDeployment"): _service_parts("ecs:StopServiceDeployment", "serviceDeploymentArn"),
    ("ecs", "StopTask"): _tasks("ecs:StopTask", "task"),
    ("ecs", "RegisterTaskDefinition"): _register,
    ("ecs", "RunTask"): lambda call: [
        ("ecs:RunTask", call.parameters["taskDefinition"], {"ecs:cluster": call.cluster_arn})
    ],
    ("application-autoscaling", "DescribeScalableTargets"): _any("application-autoscaling:DescribeScalableTargets"),
    ("application-autoscaling", "RegisterScalableTarget"): _scaled,
    ("ssm", "StartAutomationExecution"): _start_automation,
    ("ssm", "GetAutomationExecution"): _execution("ssm:GetAutomationExecution"),
    ("ssm", "StopAutomationExecution"): _execution("ssm:StopAutomationExecution"),
    ("ssm", "DescribeAutomationExecutions"): _any("ssm:DescribeAutomationExecutions"),
    ("codedeploy", "ListDeployments"): _deployment_group("codedeploy:ListDeployments"),
    ("codedeploy", "GetDeployment"): _deployment_group("codedeploy:GetDeployment"),
    ("codedeploy", "StopDeployment"): _any("codedeploy:StopDeployment"),
    ("cloudwatch", "GetMetricData"): _any("cloudwatch:GetMetricData"),
    ("logs", "FilterLogEvents"): lambda call: [
        ("logs:FilterLogEvents", call.arn("logs", f"log-group:{call.parameters['logGroupName']}:*"), {})
    ],
    ("logs", "GetLogEvents"): lambda call: [
        (
            "logs:GetLogEvents",
            call.arn(
                "logs", f"log-group:{call.parameters['logGroupName']}:log-stream:{call.parameters['logStreamName']}"
            ),
            {},
        )
    ],
    ("elbv2", "DescribeTargetGroups"): _any("elasticloadbalancing:DescribeTargetGroups"),
    ("elbv2", "DescribeTargetHealth"): _any("elasticloadbalancing:DescribeTargetHealth"),
    ("cloudformation", "DescribeStacks"): lambda call: [
        ("cloudformation:DescribeStacks", call.arn("cloudformation", "stack/shop/0ec5"), {})
    ],
    ("cloudtrail", "LookupEvents"): _any("cloudtrail:LookupEvents"),
    ("sqs", "ReceiveMessage"): _queue("sqs:ReceiveMessage"),
    ("sqs", "DeleteMessageBatch"): _queue("sqs:DeleteMessage"),
    ("sns", "Publish"): lambda call: [("sns:Publish", call.parameters["TopicArn"], {})],
    **{
        ("dynamodb", operation): _table(operation)
        for operation in (
            *("PutItem", "Query", "BatchGetItem", "Scan", "CreateTable", "DescribeTable", "DescribeContinuousBackups"),
            *("UpdateContinuousBackups", "DescribeTimeToLive", "UpdateTimeToLive"),
        )
    },
    ("iam", "SimulatePrincipalPolicy"): lambda call: [
        ("iam:SimulatePrincipalPolicy", call.parameters["PolicySourceArn"], {})
    ],
    ("sts", "AssumeRole"): _assumed,
    ("sts", "GetCallerIdentity"): lambda _: [],
}
