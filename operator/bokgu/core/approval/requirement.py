"""Which approvals a plan needs: the built-in minimum, its own roles, and what the namespace's policy adds (S1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bokgu.api.fields import parse_duration
from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import MOST_PEOPLE, RecoveryPlan, Step
from bokgu.api.recovery_policy import ApprovalRule, RecoveryPolicy
from bokgu.api.vocabulary import PEOPLES_PROOFS, Action, Proof, Role, Severity, ValidationType

BUILT_IN = "the built-in minimum"


@dataclass(frozen=True)
class Requirement:
    """What the approvals of a plan must be.

    `roles` has an entry for every person needed: a role that needs two people stands twice. `identities` are the only
    people who count for a role, `proofs` what may vouch for them. `since` is when the plan was made: what was said
    before was said to another plan of its name. `until` is when all approvals end. `by` names who demands that, for
    messages. `problem` says why it cannot be told: then nothing approves the plan. `unread`: because the policy could
    not be read, so that not even an emergency role knows what it overrides.
    `steps` are those that a person must confirm, each with since when it waits for that, None where it does not yet.
    """

    roles: tuple[str, ...]
    identities: Mapping[str, frozenset[str]] = field(default_factory=dict)
    proofs: frozenset[Proof] = PEOPLES_PROOFS
    since: datetime | None = None
    until: datetime | None = None
    by: str = BUILT_IN
    problem: str | None = None
    unread: bool = False
    steps: Mapping[str, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Stakes:
    """What a plan is about, as rules select it. None: not known, and then every rule is meant.

    `worst` is the worst of declared severity and classified impact.
    """

    worst: Severity | None
    environment: str | None
    actions: frozenset[str]


def find_stakes(
    plan: RecoveryPlan, incident: Incident | None, others: Iterable[Incident], environment: str | None
) -> Stakes:
    """What a plan is about. `incident` is the one that it is bound to: while nobody has classified that one, it may be
    worse than whoever filed it says.

    `others` are the other open incidents of the service: a plan changes the whole service, and a harmless incident
    beside a grave one must not be the easier way to do it.
    """
    actions = frozenset(step.action for step in plan.spec.steps)
    if incident is None or incident.status.classification is None:
        return Stakes(None, environment, actions)
    snapshot = plan.spec.classification
    known = [snapshot.impact_level] if snapshot else []
    for one in (incident, *others):
        found = one.status.classification
        known += [one.spec.severity, *([found.impact_level] if found else [])]
    return Stakes(max(known, key=lambda s: s.rank), environment, actions)


def minimum_roles(worst: Severity | None) -> tuple[str, ...]:
    """The built-in minimum, which nothing lowers: system_admin and service_owner for `high` and `critical`, below that
    service_owner. Severity None (not known) counts as critical."""
    worst = worst or Severity.CRITICAL
    roles = (Role.SYSTEM_ADMIN, Role.SERVICE_OWNER) if worst.rank >= Severity.HIGH.rank else (Role.SERVICE_OWNER,)
    return tuple(str(role) for role in roles)


def build_requirement(
    plan: RecoveryPlan,
    stakes: Stakes,
    policy: RecoveryPolicy | None,
    *,
    problem: str | None = None,
) -> Requirement:
    """Put together what the plan needs. Rules only ever add: roles and people are united, everything else intersected.

    `problem`: the policy of the namespace cannot be read.
    """
    roles = _demand(stakes, policy, plan.spec.required_approvals)
    if plan.status.started_at and plan.status.required_approvals:
        # Trouble that grows while its remedy is at work must not end it, nor may calm need fewer people.
        roles = plan.status.required_approvals
    rules = _matching(stakes, policy)
    identities: dict[str, frozenset[str]] = {}
    for role in (role for rule in rules for role in rule.roles if role.identities):
        named = frozenset(role.identities)
        identities[role.name] = identities.get(role.name, named) & named
    proofs = PEOPLES_PROOFS
    for rule in rules:
        proofs &= frozenset(rule.proofs) or PEOPLES_PROOFS
    created = plan.metadata.creation_timestamp
    ends = [created + parse_duration(r.expires_after) for r in rules if created and r.expires_after]
    by = f"RecoveryPolicy {policy.metadata.name} ({', '.join(rule.name for rule in rules)})" if policy and rules else ""
    return Requirement(
        roles=roles[:MOST_PEOPLE],
        identities=identities,
        proofs=proofs,
        since=created,
        until=min(ends, default=None),
        by=by or BUILT_IN,
        problem=problem or _contradiction(roles, identities, proofs, by),
        unread=problem is not None,
        steps=find_confirmable(plan),
    )


def asks_person(step: Step) -> bool:
    """Whether a person must confirm the step, or that it worked."""
    by_person = step.validation is not None and step.validation.type is ValidationType.MANUAL
    return step.action is Action.MANUAL or by_person


def find_confirmable(plan: RecoveryPlan) -> dict[str, datetime | None]:
    """The steps that a person must confirm, each with since when it waits for that."""
    done = {status.name: status for status in plan.status.steps}
    found: dict[str, datetime | None] = {}
    for step in plan.spec.steps:
        status = done.get(step.name)
        if asks_person(step):
            manual = step.action is Action.MANUAL
            found[step.name] = (status.started_at if manual else status.effective_at) if status else None
    return found


def required_roles(stakes: Stakes, policy: RecoveryPolicy | None, own: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The roles that must approve, each once, without how many people of each."""
    return tuple(dict.fromkeys(_demand(stakes, policy, own)))


def _demand(stakes: Stakes, policy: RecoveryPolicy | None, own: tuple[str, ...]) -> tuple[str, ...]:
    people: dict[str, int] = dict.fromkeys((*minimum_roles(stakes.worst), *own), 1)
    for role in (role for rule in _matching(stakes, policy) for role in rule.roles):
        people[role.name] = max(people.get(role.name, 0), role.people)
    return tuple(name for name, count in people.items() for _ in range(count))


def _matching(stakes: Stakes, policy: RecoveryPolicy | None) -> tuple[ApprovalRule, ...]:
    """The rules that are about such a plan."""

    def about(wanted: tuple[Any, ...], found: frozenset[Any] | None) -> bool:
        return not wanted or found is None or not found.isdisjoint(wanted)

    return tuple(
        rule
        for rule in (policy.spec.approvals if policy else ())
        if about(rule.severities, None if stakes.worst is None else frozenset({stakes.worst}))
        and about(rule.environments, None if stakes.environment is None else frozenset({stakes.environment}))
        and about(rule.actions, stakes.actions)
    )


def _contradiction(
    roles: tuple[str, ...], identities: Mapping[str, frozenset[str]], proofs: frozenset[Proof], by: str
) -> str | None:
    """Why nobody can ever approve: rules that leave no proof, or too few people for a role."""
    if not proofs:
        return f"the rules of {by} leave no proof that they all accept"
    if len(roles) > MOST_PEOPLE:
        return f"{by} demands {len(roles)} people, at most {MOST_PEOPLE} can be counted"
    for role, named in identities.items():
        if len(named) < roles.count(role):
            return f"{by} needs {roles.count(role)} people as {role}, and its rules allow {len(named) or 'nobody'}"
    return None
