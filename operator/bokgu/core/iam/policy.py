"""An identity's policy as a document of IAM ("IAM JSON policy element reference")."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bokgu.core.iam.identities import ANY, Identity, Subject
from bokgu.core.iam.permissions import PERMISSIONS, Condition, Kind, Permission, Use

VERSION = "2012-10-17"
"""Version of the policy language."""

LARGEST_MANAGED = 6144
"""Characters of a managed policy, white space not counted ("IAM and AWS STS quotas")."""

Conditions = tuple[tuple[str, str, tuple[str, ...]], ...]
"""(operator, key, values), sorted."""


@dataclass(frozen=True)
class Grant:
    """One action of a policy, on what, and why."""

    sid: str
    action: str
    resources: tuple[str, ...]
    conditions: Conditions
    why: tuple[str, ...]
    calls: tuple[str, ...]
    kinds: tuple[Kind, ...]
    optional: bool

    @property
    def no_resources(self) -> bool:
        """Whether IAM narrows the action by no resource."""
        return not self.kinds

    @property
    def note(self) -> str:
        """Why it is no narrower, in words; empty where it names what it is about."""
        if self.no_resources:
            bound = {key.partition(":")[2] for _, key, _ in self.conditions}
            by = "cluster" if "cluster" in bound else "region"
            return f"AWS has no resource-level permission for it: bound by {by}"
        said = [text for kind in self.kinds for text in _WIDE.get(kind, {}).items()]
        found = [text for ending, text in said if any(r.endswith(ending) for r in self.resources)]
        return "; ".join(dict.fromkeys(found))


_WIDE: Mapping[Kind, Mapping[str, str]] = {
    Kind.PASSED_ROLE: {":role/*": "any role: --pass-role names those that are meant"},
    Kind.TASK_DEFINITION: {":task-definition/*:*": "the operator has not seen the family yet"},
    Kind.STACK: {":stack/*": "which stack it is stands in the tags of the service alone"},
    Kind.SCALABLE_TARGET: {":scalable-target/*": "Application Auto Scaling gives its targets ids of its own"},
    Kind.LOG_STREAM: {":log-group:*:log-stream:*": "which log group it is stands in the task definition alone"},
    Kind.EXECUTION: {":automation-execution/*": "executions have ids of their own"},
}
"""By kind and ending of an ARN: why it is not narrower."""


def find_grants(identity: Identity) -> tuple[Grant, ...]:
    """What the identity must be allowed, an entry an action and set of conditions, by Sid and action."""
    needed: dict[tuple[str, str, Conditions], set[str]] = defaultdict(set)
    said: dict[tuple[str, str, Conditions], list[Permission]] = defaultdict(list)
    for permission, subjects in _used(identity):
        for conditions, resources in _narrow(permission, subjects):
            key = (permission.sid, permission.action, conditions)
            needed[key] |= resources
            said[key].append(permission)
    return tuple(
        Grant(
            sid=sid,
            action=action,
            resources=tuple(sorted(resources)),
            conditions=conditions,
            why=tuple(dict.fromkeys(p.why for p in said[sid, action, conditions])),
            calls=tuple(dict.fromkeys(f"{p.service}:{p.operation}" for p in said[sid, action, conditions])),
            optional=all(p.optional for p in said[sid, action, conditions]),
            kinds=said[sid, action, conditions][0].resources,
        )
        for (sid, action, conditions), resources in sorted(needed.items())
        if resources
    )


def build_policy(identity: Identity) -> dict[str, Any]:
    """The document: a statement for all actions that are allowed on the same resources under the same conditions."""
    together: dict[tuple[str, tuple[str, ...], Conditions], list[str]] = defaultdict(list)
    for grant in find_grants(identity):
        together[grant.sid, grant.resources, grant.conditions].append(grant.action)
    statements: list[dict[str, Any]] = []
    used: dict[str, int] = defaultdict(int)
    for (sid, resources, conditions), actions in together.items():
        used[sid] += 1
        statement: dict[str, Any] = {
            "Sid": sid if used[sid] == 1 else f"{sid}{used[sid]}",
            "Effect": "Allow",
            "Action": sorted(actions),
            "Resource": list(resources),
        }
        if conditions:
            block: dict[str, dict[str, list[str]]] = defaultdict(dict)
            for operator, key, values in conditions:
                block[operator][key] = list(values)
            statement["Condition"] = dict(block)
        statements.append(statement)
    return {"Version": VERSION, "Statement": statements}


def _used(identity: Identity) -> Iterable[tuple[Permission, list[Subject]]]:
    for permission in PERMISSIONS:
        subjects = [subject for subject in identity.subjects if permission.uses & subject.uses]
        if subjects:
            yield permission, subjects


def _narrow(permission: Permission, subjects: list[Subject]) -> Iterable[tuple[Conditions, set[str]]]:
    """The resources under each set of conditions.

    Where only the condition narrows, the values of all subjects stand in one: they are alternatives. Where resources
    do, each set of conditions keeps its own, lest a task of one cluster be allowed in another.
    """
    if not permission.resources:
        merged: dict[tuple[str, str], set[str]] = defaultdict(set)
        for subject in subjects:
            for operator, key, values in _CONDITIONS[permission.condition](permission, subject):
                merged[operator, key] |= set(values)
        yield tuple((operator, key, tuple(sorted(values))) for (operator, key), values in sorted(merged.items())), {ANY}
        return
    found: dict[Conditions, set[str]] = defaultdict(set)
    for subject in subjects:
        conditions = tuple(sorted(_CONDITIONS[permission.condition](permission, subject)))
        found[conditions] |= {arn for kind in permission.resources for arn in RESOURCES[kind](subject)}
    yield from found.items()


def _documents(subject: Subject) -> tuple[str, ...]:
    """The documents, and what the same documents are called as what is executed ("Setting up Automation"). Those of AWS
    belong to no account."""
    found = []
    for name in subject.documents:
        if name.startswith("arn:"):
            found += [name, name.replace(":document/", ":automation-definition/") + ":*"]
            continue
        account = "" if name.startswith(("AWS-", "AWS_")) else subject.place.account
        for kind, tail in (("document", ""), ("automation-definition", ":*")):
            found.append(f"arn:{subject.place.partition}:ssm:{subject.place.region}:{account}:{kind}/{name}{tail}")
    return tuple(found)


def _passed_roles(subject: Subject) -> tuple[str, ...]:
    return subject.passed_roles or (subject.place.global_arn("iam", "role/*"),)


RESOURCES: Mapping[Kind, Callable[[Subject], tuple[str, ...]]] = {
    Kind.SERVICE: lambda s: (s.place.arn("ecs", f"service/{s.cluster}/{s.service}"),),
    Kind.SERVICE_DEPLOYMENT: lambda s: (s.place.arn("ecs", f"service-deployment/{s.cluster}/{s.service}/*"),),
    Kind.SERVICE_REVISION: lambda s: (s.place.arn("ecs", f"service-revision/{s.cluster}/{s.service}/*"),),
    Kind.TASK: lambda s: (s.place.arn("ecs", f"task/{s.cluster}/*"),),
    Kind.CONTAINER_INSTANCE: lambda s: (s.place.arn("ecs", f"container-instance/{s.cluster}/*"),),
    Kind.TASK_DEFINITION: lambda s: (s.place.arn("ecs", f"task-definition/{s.family}:*"),),
    Kind.RUN_DEFINITION: lambda s: s.run_definitions,
    Kind.PASSED_ROLE: _passed_roles,
    Kind.SCALABLE_TARGET: lambda s: (s.place.arn("application-autoscaling", "scalable-target/*"),),
    Kind.DEPLOYMENT_GROUP: lambda s: (s.place.arn("codedeploy", f"deploymentgroup:{s.deployment_group}"),),
    Kind.LOG_GROUP: lambda s: tuple(s.place.arn("logs", f"log-group:{name}:*") for name in s.log_groups),
    Kind.LOG_STREAM: lambda s: (s.place.arn("logs", "log-group:*:log-stream:*"),),
    Kind.STACK: lambda s: (s.place.arn("cloudformation", "stack/*"),),
    Kind.DOCUMENT: _documents,
    Kind.EXECUTION: lambda s: (s.place.arn("ssm", "automation-execution/*"),),
    Kind.QUEUE: lambda s: s.queues,
    Kind.TOPIC: lambda s: s.topics,
    Kind.TABLE: lambda s: tuple(s.place.arn("dynamodb", f"table/{name}") for name in s.tables),
    Kind.TABLE_INDEX: lambda s: tuple(
        s.place.arn("dynamodb", f"table/{name}/index/TypeIndex") for name in s.tables if name.endswith("-incidents")
    ),
    Kind.ROLE: lambda s: s.roles,
}
"""The ARNs of each kind of resource, in the forms of the Service Authorization Reference."""


def _cluster(_: Permission, subject: Subject) -> Conditions:
    return (("ArnEquals", "ecs:cluster", (subject.place.arn("ecs", f"cluster/{subject.cluster}"),)),)


def _external_id(_: Permission, subject: Subject) -> Conditions:
    return (("StringEquals", "sts:ExternalId", subject.external_ids),) if subject.external_ids else ()


def _passed_to(permission: Permission, _: Subject) -> Conditions:
    """A service takes roles for its load balancers and volumes, too; a task that is run those of its own."""
    alone = permission.uses == {Use.RUN_TASK}
    takes = ("ecs-tasks.amazonaws.com",) if alone else ("ecs-tasks.amazonaws.com", "ecs.amazonaws.com")
    return (("StringEquals", "iam:PassedToService", takes),)


_CONDITIONS: Mapping[Condition | None, Callable[[Permission, Subject], Conditions]] = {
    None: lambda _, __: (),
    Condition.REGION: lambda _, s: (("StringEquals", "aws:RequestedRegion", (s.place.region,)),),
    Condition.CLUSTER: _cluster,
    Condition.PASSED_TO_ECS: _passed_to,
    Condition.TAGGED_AT_REGISTER: lambda _, __: (("StringEquals", "ecs:CreateAction", ("RegisterTaskDefinition",)),),
    Condition.DESIRED_COUNT: lambda _, __: (
        ("StringEquals", "application-autoscaling:scalable-dimension", ("ecs:service:DesiredCount",)),
        ("StringEquals", "application-autoscaling:service-namespace", ("ecs",)),
    ),
    Condition.EXTERNAL_ID: _external_id,
}
