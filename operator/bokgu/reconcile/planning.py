"""Gathers what a plan is made from and decides on one: for the pass over an incident, and for `bokgu plan`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bokgu.api.fields import parse_duration
from bokgu.api.incident import Classification, Incident, IncidentPlan
from bokgu.api.observed import (
    AwsError,
    CodeDeployment,
    DescribedDeployment,
    EcsService,
    ServiceDeployment,
    ServiceRevision,
)
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Action, RootCause
from bokgu.aws.autoscaling import fetch_scalable_target
from bokgu.aws.codedeploy import fetch_code_deployment, list_in_flight
from bokgu.aws.ecs import fetch_service_revisions, fetch_task_definition
from bokgu.aws.tasks import fetch_tasks
from bokgu.core.building.rollback import needs_comparison
from bokgu.core.building.stop_unhealthy_tasks import TASKS_UNKNOWN
from bokgu.core.dry_run import began_writing
from bokgu.core.next_rung import Tried, read_tried
from bokgu.core.planning import Decision, decide_plan
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.core.recovery_policy import list_pauses
from bokgu.core.scaling_limits import scales
from bokgu.reconcile.approvals import know_policies
from bokgu.reconcile.context import Context
from bokgu.reconcile.history import fetch_experience
from bokgu.reconcile.live_state import find_deployment
from bokgu.reconcile.plan_facts import find_corruption
from bokgu.reconcile.runbook import find_runbooks
from bokgu.reconcile.surroundings import look_around_plan
from bokgu.reconcile.watches import Measured

MOST_IN_FLIGHT = 2
"""Deployments of a CodeDeploy group that are looked at: where there are two, nobody knows which one is meant."""


async def plan_incident(
    context: Context,
    incident: Incident,
    *,
    classification: Classification,
    protected: ProtectedService,
    service: EcsService,
    measured: Measured | None,
    deployments: tuple[ServiceDeployment, ...],
    patience: timedelta,
    now: datetime,
) -> Decision:
    """What is planned against the incident, with the reasons. Nothing is written.

    The past is asked only where there is something to plan: it can only take a runbook away.
    """
    namespace = incident.metadata.namespace
    policies = know_policies(context, namespace)
    facts = PlanningFacts(
        incident=incident,
        classification=classification,
        protected_service=protected,
        service=service,
        watch=measured.watch if measured else None,
        condition=measured.condition if measured else None,
        now=now,
        runbooks=find_runbooks(context, namespace),
        deployments=deployments,
        patience=patience,
        deployment=await _in_flight(context, protected, service),
        revisions=await _revisions(context, protected, service),
        code_deployments=await _code_deployments(context, protected, service),
        last_begun=_last_begun(context, protected),
        policy=policies.own.found,
        paused_by=tuple(list_pauses(policies)),
        around=look_around_plan(context, namespace, protected, policies.own.found),
        frozen_by=find_corruption(context, namespace, incident.spec.service_ref.name, incident.metadata.uid),
        tried=await _fetch_tried(context, incident),
    )
    decision, facts = await _decide(context, facts)
    if not isinstance(decision.outcome, RecoveryPlan):
        return decision
    past = await fetch_experience(context, incident, classification.root_cause)
    begun = dict(facts.last_begun)
    for runbook, at in past.last_begun.items():
        begun[runbook] = max(at, begun.get(runbook, at))
    if past.track_records or begun != facts.last_begun:  # Else it would say the same again.
        decision, facts = await _decide(context, replace(facts, track_records=past.track_records, last_begun=begun))
    if not isinstance(decision.outcome, RecoveryPlan) or not scales(decision.outcome):
        return decision
    return decide_plan(await _with_scaling(context, facts))


async def _decide(context: Context, facts: PlanningFacts) -> tuple[Decision, PlanningFacts]:
    """The decision, and the facts with what AWS had to be asked for it besides."""
    decision = decide_plan(facts)
    if facts.tasks is None and isinstance(decision.outcome, NoPlan) and decision.outcome.reason == TASKS_UNKNOWN:
        facts = await _with_tasks(context, facts)
        decision = decide_plan(facts)
    good, made = facts.protected_service.status.last_known_good, decision.outcome
    if good and facts.good_definition is None and isinstance(made, RecoveryPlan) and _restores(made, facts.service):
        try:
            definition = await fetch_task_definition(
                context.aws, facts.protected_service.spec.target, good.task_definition
            )
        except AwsError:
            return decision, facts  # The rollback will say what ECS makes of it.
        facts = replace(facts, good_definition=definition)
        decision = decide_plan(facts)
    return decision, facts


def _restores(plan: RecoveryPlan, service: EcsService) -> bool:
    """Whether a service revision is deployed again: a deployment in flight is only stopped."""
    return not service.deploying and any(step.action is Action.ROLLBACK for step in plan.spec.steps)


async def _with_tasks(context: Context, facts: PlanningFacts) -> PlanningFacts:
    """The facts with the service's tasks and their health, and how full their disks are where that is the trouble."""
    protected = facts.protected_service
    try:
        found = await fetch_tasks(
            context.aws,
            protected.spec.target,
            facts.service,
            disks=facts.classification.root_cause is RootCause.DISK_EXHAUSTED,
            period=parse_duration(protected.spec.detection.period),
            now=facts.now,
        )
    except AwsError as error:
        return replace(facts, tasks_problem=str(error))
    return replace(facts, tasks=tuple(found.values()))


async def _with_scaling(context: Context, facts: PlanningFacts) -> PlanningFacts:
    """The facts with what Application Auto Scaling owns of the service, or with why that is not known."""
    try:
        found = await fetch_scalable_target(context.aws, facts.protected_service.spec.target)
    except AwsError as error:
        return replace(facts, scaling_unread=f"{error.operation}: {error.code}: {error.message}")
    return replace(facts, scalable_target=found)


async def _in_flight(context: Context, protected: ProtectedService, service: EcsService) -> DescribedDeployment | None:
    """The service deployment in flight, where there is a revision to go back to. None also where ECS does not
    describe it."""
    arn = service.current_service_deployment
    if arn is None or not service.deploying or protected.status.last_known_good is None:
        return None
    try:
        return await find_deployment(context, protected.spec.target, arn)
    except AwsError:
        return None


async def _code_deployments(
    context: Context, protected: ProtectedService, service: EcsService
) -> tuple[CodeDeployment, ...] | AwsError:
    """The deployments in flight of the CodeDeploy group that the ProtectedService names; none where CodeDeploy does not
    deploy the service."""
    group, target = protected.spec.rollback.code_deploy, protected.spec.target
    if group is None or service.controller != "CODE_DEPLOY":
        return ()
    try:
        ids = await list_in_flight(context.aws, target, group)
        return tuple([await fetch_code_deployment(context.aws, target, id_) for id_ in ids[:MOST_IN_FLIGHT]])
    except AwsError as error:
        return error


async def _fetch_tried(context: Context, incident: Incident) -> tuple[Tried, ...]:
    """The incident's own plans that had begun."""
    found = [read_tried(entry, await fetch_plan(context, incident, entry)) for entry in incident.status.plans]
    return tuple(tried for tried in found if tried)


async def fetch_plan(context: Context, incident: Incident, entry: IncidentPlan) -> RecoveryPlan | None:
    """The plan of an entry in the incident's `status.plans[]`; the one that was replaced under its name is not it."""
    plan = context.find(RecoveryPlan, incident.metadata.namespace, entry.name)
    if plan is None or plan.metadata.uid != entry.uid:
        plan = await context.fetch(RecoveryPlan, incident.metadata.namespace, entry.name)
    return plan if plan is not None and plan.metadata.uid == entry.uid else None


async def _revisions(
    context: Context, protected: ProtectedService, service: EcsService
) -> Mapping[str, ServiceRevision]:
    """The service revision in use and the last known good one, where only their settings say what a rollback would
    change; nothing where ECS does not describe them."""
    good = protected.status.last_known_good
    if good is None or not needs_comparison(good, service):
        return {}
    arns = tuple(arn for arn in (good.service_revision_arn, service.service_revision_arn) if arn)
    try:
        return await fetch_service_revisions(context.aws, protected.spec.target, arns)
    except AwsError:
        return {}


def _last_begun(context: Context, protected: ProtectedService) -> dict[str, datetime]:
    """When each runbook last began on the service, by its name: what the plans say that are there, and the
    ProtectedService of those that went with their incidents."""
    found = {known.runbook: known.at for known in protected.status.begun_recoveries}
    for plan in context.find_related(RecoveryPlan, protected.metadata.namespace, protected.metadata.name):
        begun, runbook = began_writing(plan.status), plan.spec.runbook_ref
        if begun and runbook:
            found[runbook.name] = max(begun, found.get(runbook.name, begun))
    return found
