"""Why a task ends before it runs, in the words of the developer guide's pages on stopped tasks."""

from collections.abc import Iterator

from .aws_json import Json
from .conditions import includes
from .ecs import ContainerEnd, Ecs, Task

_EXECUTION = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed"
_RETRIED = "service call has been retried 1 time(s)"


def runs_on_fargate(task: Task) -> bool:
    """Whether `task` has no container instance."""
    return task.container_instance is None


def find_provisioning_failure(ecs: Ecs, task: Task) -> str | None:
    """Why the network interface of `task` cannot be made: its subnet has no free address."""
    if task.subnet is None or not includes(ecs.conditions.full_subnets, task.subnet):
        return None
    network = task.workload.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    public = " with public IP assignment enabled" if network.get("assignPublicIp") == "ENABLED" else ""
    return (
        f"Unexpected EC2 error while attempting to Create Network Interface{public} in subnet '{task.subnet}': "
        "InsufficientFreeAddressesInSubnet"
    )


def find_initialization_failure(ecs: Ecs, task: Task) -> str | None:
    """Why the agent cannot prepare `task`: a secret is missing, or the execution role may not read it or ECR."""
    role = task.task_definition.contents.get("executionRoleArn")
    denied = role is not None and includes(ecs.conditions.denied_execution_roles, role)
    who = f"arn:aws:sts::{ecs.account}:assumed-role/{(role or 'unknown').rsplit('/', 1)[-1]}/{task.id}"
    for secret in _find_secrets(task):
        if denied or includes(ecs.conditions.denied_secrets, secret):
            return _describe_secret_failure(ecs, task, secret, _describe_denial(who, _secret_action(secret), secret))
        if includes(ecs.conditions.missing_secrets, secret):
            return _describe_secret_failure(ecs, task, secret, _describe_absence(secret))
    if denied:
        denial = _describe_denial(who, "ecr:GetAuthorizationToken", "*")
        return f"{_EXECUTION}: unable to retrieve ecr registry auth: {_RETRIED}: {denial}"
    return None


def find_pull_failure(ecs: Ecs, task: Task) -> dict[str, ContainerEnd]:
    """The containers whose images cannot be pulled, and why; empty when all can."""
    behaviour = task.task_definition.behaviour
    conditions = ecs.conditions
    ends = {}
    for container in task.task_definition.contents["containerDefinitions"]:
        image = container["image"]
        if behaviour.pull_fails or includes(conditions.missing_images, image):
            cause = (
                f"pull image manifest has been retried 1 time(s): failed to resolve ref {_resolve(image)}: not found"
            )
        elif includes(conditions.rate_limited_images, image):
            cause = (
                "pull image manifest has been retried 5 time(s): httpReadSeeker: failed open: unexpected status code "
                f"{_resolve(image)}: 429 Too Many Requests - Server message: toomanyrequests: You have reached your "
                "pull rate limit. You may increase the limit by authenticating and upgrading: "
                "https://www.docker.com/increase-rate-limit"
            )
        elif includes(conditions.denied_images, image):
            cause = (
                f"pull image manifest has been retried 1 time(s): failed to resolve ref {_resolve(image)}: pull access "
                "denied, repository does not exist or may require authorization: server message: insufficient_scope: "
                "authorization failed"
            )
        else:
            continue
        ends[container["name"]] = ContainerEnd(reason=f"CannotPullContainerError: {cause}")
    return ends


def _resolve(image: str) -> str:
    """The full reference of `image`: without a registry it is Docker Hub's."""
    registry, _, rest = image.partition("/")
    if rest and ("." in registry or ":" in registry or registry == "localhost"):
        return image
    return f"docker.io/{image}" if rest else f"docker.io/library/{image}"


def _find_secrets(task: Task) -> Iterator[str]:
    container: Json
    for container in task.task_definition.contents["containerDefinitions"]:
        for secret in container.get("secrets", []):
            yield secret["valueFrom"]


def _is_parameter(secret: str) -> bool:
    """Whether `valueFrom` names a parameter of Systems Manager: by its ARN or, in the same Region, its name alone."""
    return not secret.startswith("arn:") or ":ssm:" in secret


def _secret_action(secret: str) -> str:
    return "ssm:GetParameters" if _is_parameter(secret) else "secretsmanager:GetSecretValue"


def _describe_denial(who: str, action: str, resource: str) -> str:
    return (
        f"AccessDeniedException: User: {who} is not authorized to perform: {action} on resource: {resource} because no "
        f"identity-based policy allows the {action} action"
    )


def _describe_absence(secret: str) -> str:
    if _is_parameter(secret):
        return f"invalid ssm parameters: {secret.rsplit('parameter/', 1)[-1]}"
    return "ResourceNotFoundException: Secrets Manager can't find the specified secret."


def _describe_secret_failure(ecs: Ecs, task: Task, secret: str, cause: str) -> str:
    """On Fargate the platform says so; elsewhere the container agent does, in its own words."""
    if _is_parameter(secret):
        if runs_on_fargate(task):
            return f"{_EXECUTION}: unable to retrieve secrets from ssm: {_RETRIED}: {cause}"
        return f"Fetching secret data from SSM Parameter Store in {ecs.region}: {cause}"
    if runs_on_fargate(task):
        fetch = f"failed to fetch secret {secret} from secrets manager"
        return f"{_EXECUTION}: unable to retrieve secret from asm: {_RETRIED}: {fetch}: {cause}"
    return f"Fetching secret data from AWS Secrets Manager in region {ecs.region}: secret {secret}: {cause}"
