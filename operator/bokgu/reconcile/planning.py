"""Gathers what a plan is made from and decides on one: for the pass over an incident, and for `bokgu plan`."""

from dataclasses import replace
from datetime import datetime, timedelta

from bokgu.api.incident import Classification, Incident
from bokgu.api.observed import EcsService, ServiceDeployment
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.core.planning import Decision, decide_plan
from bokgu.core.planning_facts import PlanningFacts
from bokgu.reconcile.context import Context
from bokgu.reconcile.history import fetch_track_records
from bokgu.reconcile.runbook import find_runbooks
from bokgu.reconcile.watches import Measured


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

    The past is asked only where there is something to plan: a track record can only take a runbook away.
    """
    namespace = incident.metadata.namespace
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
        last_begun=_last_begun(context, namespace, incident.spec.service_ref.name),
    )
    decision = decide_plan(facts)
    if not isinstance(decision.outcome, RecoveryPlan):
        return decision
    records = await fetch_track_records(context, incident, classification.root_cause)
    return decide_plan(replace(facts, track_records=records))


def _last_begun(context: Context, namespace: str, service: str) -> dict[str, datetime]:
    """When each runbook last began on the service, by its name."""
    found: dict[str, datetime] = {}
    for plan in context.find_related(RecoveryPlan, namespace, service):
        begun, runbook = plan.status.started_at, plan.spec.runbook_ref
        if begun and runbook:
            found[runbook.name] = max(begun, found.get(runbook.name, begun))
    return found
