"""Who needs what of AWS: the operator's own identity and each role that configuration names, told from the objects."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bokgu.api.detector import Detector
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import Action, Mode
from bokgu.core.iam.permissions import Use

ANY = "*"
"""Stands in an ARN for what is not known: an account, a family."""


@dataclass(frozen=True)
class Place:
    """Where resources are. `account` is `*` where nothing says which it is."""

    region: str
    account: str = ANY
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource there ("Amazon Resource Names (ARNs)")."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def global_arn(self, service: str, resource: str) -> str:
        """The ARN of a resource that has no region, such as a role."""
        return f"arn:{self.partition}:{service}::{self.account}:{resource}"


@dataclass(frozen=True)
class Subject:
    """What an identity works on, and why. Fields that no `use` needs are empty."""

    uses: frozenset[Use]
    place: Place
    cluster: str = ""
    service: str = ""
    family: str = ANY
    log_groups: tuple[str, ...] = ()
    run_definitions: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    deployment_group: str = ""
    passed_roles: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    external_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Own:
    """What is the operator's own: what its settings name, by ARN, and its `account` where that is known.

    `tables` belong to `history_role` where there is one, and `setup` says whether they are to be made, too.
    `cluster_id` is the uid of kube-system; without it no external id is demanded. `passed_roles` are roles that may be
    handed to Amazon ECS; none: any.
    """

    account: str = ANY
    region: str = ""
    queues: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    history_role: str | None = None
    setup: bool = False
    cluster_id: str = ""
    passed_roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """Whose policy it is: a role, or None for the operator's own identity."""

    role_arn: str | None
    subjects: tuple[Subject, ...]


def find_identities(
    services: Iterable[ProtectedService], detectors: Iterable[Detector], own: Own, *, read_only: bool = False
) -> tuple[Identity, ...]:
    """The operator's own identity, and each role that is named, by ARN. `read_only`: as if every service were in mode
    Observe.

    Runbooks and RecoveryPolicies add nothing: what they may ask for is bounded by `allowedActions`.
    """
    found: dict[str | None, list[Subject]] = defaultdict(list)
    namespaces: dict[str, set[str]] = defaultdict(set)
    log_groups = _log_groups(detectors)
    for protected in services:
        key = (protected.metadata.namespace, protected.metadata.name)
        for role, subject in _subjects(protected, log_groups.get(key, ()), own, read_only=read_only):
            found[role].append(subject)
            if role is not None:
                namespaces[role].add(protected.metadata.namespace)
    found[None] += _own_subjects(own, namespaces)
    if own.tables and own.history_role is not None:
        found[own.history_role].append(_history(own, _place(own.region, own.history_role, own)))
    roles = sorted(role for role in found if role is not None)
    return (Identity(None, tuple(found[None])), *(Identity(role, tuple(found[role])) for role in roles))


def _subjects(
    protected: ProtectedService, log_groups: tuple[str, ...], own: Own, *, read_only: bool
) -> Iterable[tuple[str | None, Subject]]:
    spec = protected.spec
    role, mode = spec.role_arn, Mode.OBSERVE if read_only else spec.mode
    group = spec.rollback.code_deploy
    groups = tuple(sorted({*log_groups, *((spec.log_group,) if spec.log_group else ())}))
    place = _place(spec.region, role, own, protected)
    service = Subject(
        uses=_find_uses(protected, mode, logs=bool(groups)),
        place=place,
        cluster=spec.ecs.cluster.rpartition("/")[2],
        service=spec.ecs.service,
        family=_family(protected),
        log_groups=groups,
        deployment_group=f"{group.application_name}/{group.deployment_group_name}" if group else "",
        passed_roles=own.passed_roles,
    )
    yield role, service
    allowed = spec.allowed_actions if mode.runs else ()
    bare = Subject(frozenset(), place, cluster=service.cluster, service=service.service, passed_roles=own.passed_roles)
    if (run := spec.run_task) and run.task_definitions and Action.RUN_TASK in allowed:
        there = _place(spec.region, run.role_arn, own)
        uses = frozenset({Use.RUN_TASK})
        yield run.role_arn, replace(bare, uses=uses, place=there, run_definitions=run.task_definitions)
    if (automation := spec.automation) and automation.documents and Action.AUTOMATION in allowed:
        there = _place(spec.region, automation.role_arn, own)
        uses = frozenset({Use.AUTOMATION})
        yield automation.role_arn, replace(bare, uses=uses, place=there, documents=automation.documents)


_WRITES: Mapping[Action, Use] = {
    Action.SCALE_OUT: Use.SCALE,
    Action.SCALE_IN: Use.SCALE,
    Action.SERVICE_RESTART: Use.RESTART,
    Action.ROLLBACK: Use.ROLL_BACK,
    Action.STOP_UNHEALTHY_TASKS: Use.STOP_TASKS,
}
"""What the service's own role does for an action. Copies of task definitions are a matter of rollbacks, and run_task
and ssm_automation have roles of their own."""


def _find_uses(protected: ProtectedService, mode: Mode, *, logs: bool) -> frozenset[Use]:
    spec = protected.spec
    uses = {Use.WATCH, *([Use.LOGS] if logs else [])}
    if mode is Mode.OBSERVE:
        return frozenset(uses)
    # A plan that is only proposed is made of any action.
    planned = set(spec.allowed_actions) if mode.runs else set(Action)
    uses.add(Use.PLAN)
    if planned & {Action.SCALE_OUT, Action.SCALE_IN}:
        uses.add(Use.PLAN_SCALING)
    if Action.STOP_UNHEALTHY_TASKS in planned:
        uses.add(Use.PLAN_TASKS)
    if spec.rollback.code_deploy and Action.ROLLBACK in planned:
        uses.add(Use.PLAN_CODE_DEPLOY)
    if not mode.runs:
        return frozenset(uses)
    uses |= {_WRITES[action] for action in planned if action in _WRITES}
    if Action.ROLLBACK in planned:
        uses |= {Use.REGISTER} if spec.rollback.reregister else set()
        uses |= {Use.STOP_CODE_DEPLOY} if spec.rollback.code_deploy else set()
    return frozenset(uses)


def _log_groups(detectors: Iterable[Detector]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Log groups that Detectors count, by namespace and name of the service."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for detector in detectors:
        key = (detector.metadata.namespace, detector.spec.service_ref.name)
        found[key] |= {query.log.log_group for query in detector.spec.queries if query.log}
    return {key: tuple(sorted(groups)) for key, groups in found.items()}


def _own_subjects(own: Own, namespaces: Mapping[str, Iterable[str]]) -> Iterable[Subject]:
    place = _place(own.region, None, own)
    if own.queues:
        yield Subject(frozenset({Use.EVENTS}), place, queues=own.queues)
    if own.topics:
        yield Subject(frozenset({Use.ALERTS}), place, topics=own.topics)
    if own.tables and own.history_role is None:
        yield _history(own, place)
    for role in sorted(namespaces):
        ids = tuple(f"{own.cluster_id}/{name}" for name in sorted(namespaces[role])) if own.cluster_id else ()
        yield Subject(frozenset({Use.ASSUME}), place, roles=(role,), external_ids=ids)
    if own.tables and own.history_role is not None and own.history_role not in namespaces:
        yield Subject(frozenset({Use.ASSUME}), place, roles=(own.history_role,))


def _history(own: Own, place: Place) -> Subject:
    uses = {Use.HISTORY, *([Use.HISTORY_SETUP] if own.setup else [])}
    return Subject(frozenset(uses), place, tables=own.tables)


_ARN = re.compile(r"arn:(aws[a-z-]*):[a-z0-9-]*:[a-z0-9-]*:([0-9]{12}):")


def _place(region: str, role_arn: str | None, own: Own, protected: ProtectedService | None = None) -> Place:
    """Where the resources are: the account of the role, else what the objects' own ARNs say, else the operator's."""
    named = [role_arn or ""]
    if protected is not None and role_arn is None:
        seen = protected.status.service
        named += [protected.spec.ecs.cluster, seen.task_definition if seen else ""]
    for arn in named:
        if found := _ARN.match(arn):
            return Place(region, account=found[2], partition=found[1])
    return Place(region, account=own.account, partition=partition_of(region))


def partition_of(region: str) -> str:
    """The partition that a region belongs to ("Partitions", AWS Fault Isolation Boundaries)."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _family(protected: ProtectedService) -> str:
    """The family of the service's task definition, as the operator has seen it; `*` while it has not."""
    seen = protected.status.service
    family = seen.task_definition.rpartition("/")[2].partition(":")[0] if seen else ""
    return family if family and family != "none" else ANY
