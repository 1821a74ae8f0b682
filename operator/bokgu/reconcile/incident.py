"""A pass over an Incident: gather evidence once, classify, create the plan, follow it to its end."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from bokgu.api.detector import Detection, Detector, DetectorCondition, Dimension, Query
from bokgu.api.incident import Classification, Incident, IncidentPlan
from bokgu.api.observed import AwsError, EcsService, Series
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import DetectionState, IncidentPhase
from bokgu.aws.cloudwatch import fetch_series
from bokgu.aws.ecs import fetch_service, fetch_service_deployments
from bokgu.core.approval import plan_digest
from bokgu.core.classification import classify_incident
from bokgu.core.detection import condition_period, find_onset, measure_condition
from bokgu.core.diagnosis import LOOKBACK, Evidence, diagnose
from bokgu.core.lifecycle import Standing, build_status, cleared, is_over
from bokgu.core.planning import NoPlan, PlanningFacts, build_plan, plan_manifest
from bokgu.kube.client import KubeError
from bokgu.metrics import INCIDENTS_ENDED, PLANS_CREATED
from bokgu.reconcile.context import Context, Key

RETRY = timedelta(seconds=10)
"""How soon an incident is looked at again that could not be classified or planned."""

T = TypeVar("T")


@dataclass(frozen=True)
class Watch:
    """The detector's condition that measures an incident, and what it says now."""

    detector: Detector
    condition: DetectorCondition
    detection: Detection | None


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Take the incident one pass further."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    incident = Incident.model_validate(raw)
    if is_over(incident):
        return None
    standing = await _look(context, incident)
    status = build_status(incident, standing)
    ended = status.phase in {IncidentPhase.RESOLVED, IncidentPhase.ESCALATED} - {incident.status.phase}
    if await context.write_status(Incident, raw, status) and ended:
        INCIDENTS_ENDED.labels(incident.spec.type, status.phase).inc()
    waiting = standing.problem or (standing.no_plan and standing.no_plan.wait)
    return RETRY if waiting else None


async def _look(context: Context, incident: Incident) -> Standing:
    """Find out where the incident stands, and take the next step if it is ours: classify, plan."""
    namespace, now = incident.metadata.namespace, context.clock()
    watch = _find_watch(context, incident)
    detection = watch.detection if watch else None
    plan = await _current_plan(context, incident)
    standing = Standing(now, detection, incident.status.classification, None, plan, None, None)
    if incident.status.plans or cleared(detection, plan):
        return standing
    protected = context.find(ProtectedService, namespace, incident.spec.service_ref.name)
    if protected is None:
        name = incident.spec.service_ref.name
        missing = ("NotProtected", f"there is no ProtectedService {name} in {namespace}: create it")
        return Standing(now, detection, incident.status.classification, missing, None, None, None)
    try:
        service = await fetch_service(context.aws, protected.spec.target, now)
    except AwsError as error:
        return Standing(now, detection, incident.status.classification, (error.code, str(error)), None, None, None)
    classification = incident.status.classification or await _classify(context, incident, protected, service, watch)
    facts = PlanningFacts(
        incident=incident,
        classification=classification,
        protected_service=protected,
        service=service,
        detector=watch.detector if watch else None,
        condition=watch.condition if watch else None,
        now=now,
    )
    planned = build_plan(facts)
    if isinstance(planned, NoPlan):
        return Standing(now, detection, classification, None, None, None, planned)
    entry = await _create_plan(context, planned)
    return Standing(now, detection, classification, None, None, entry, None)


def _find_watch(context: Context, incident: Incident) -> Watch | None:
    """The condition that opened the incident, else one that says the incident is its own, else one of the same type:
    detectors are renamed, and incidents opened by hand."""
    source, found = incident.spec.source, []
    for detector in context.find_related(Detector, incident.metadata.namespace, incident.spec.service_ref.name):
        for condition in detector.spec.conditions:
            if condition.type is not incident.spec.type:
                continue
            said = next((d for d in detector.status.detections if d.condition == condition.name), None)
            opened = (source.name, source.condition) == (detector.metadata.name, condition.name)
            owns = said is not None and said.incident is not None and said.incident.uid == incident.metadata.uid
            found.append(
                (not opened, not owns, Watch(detector, condition, said if _speaks_of(said, incident) else None))
            )
    return min(found, key=lambda f: f[:2])[2] if found else None


def _speaks_of(detection: Detection | None, incident: Incident) -> bool:
    """Whether the detection is about this incident. Its Clear of before the incident says nothing."""
    if detection is None:
        return False
    begun = incident.spec.detected_at or incident.metadata.creation_timestamp
    if detection.state is not DetectionState.CLEAR or begun is None:
        return True
    return detection.since > begun


async def _current_plan(context: Context, incident: Incident) -> RecoveryPlan | None:
    """The last plan of the incident; the one that was replaced under its name is not it."""
    if not incident.status.plans:
        return None
    entry = incident.status.plans[-1]
    plan = context.find(RecoveryPlan, incident.metadata.namespace, entry.name)
    if plan is None or plan.metadata.uid != entry.uid:
        plan = await context.fetch(RecoveryPlan, incident.metadata.namespace, entry.name)
    return plan if plan is not None and plan.metadata.uid == entry.uid else None


async def _create_plan(context: Context, plan: RecoveryPlan) -> IncidentPlan:
    """POST the plan. One that is there already was made by a pass that died before it could say so: it is taken over.

    A stranger's plan under that name would be taken over too; that is harmless, since people approve its digest.
    """
    try:
        raw = await context.kube.create(RecoveryPlan.plural, plan_manifest(plan))
        PLANS_CREATED.labels(plan.spec.preconditions.root_cause).inc()
    except KubeError as error:
        if not error.exists:
            raise
        found = await context.kube.get(RecoveryPlan.plural, plan.metadata.namespace, plan.metadata.name)
        if found is None:
            raise
        raw = found
    context.take_in(RecoveryPlan.plural, raw)
    return IncidentPlan(
        name=raw["metadata"]["name"], uid=raw["metadata"]["uid"], digest=plan_digest(context.cluster_id, raw)
    )


async def _classify(
    context: Context, incident: Incident, protected: ProtectedService, service: EcsService, watch: Watch | None
) -> Classification:
    """Gather evidence in parallel. What cannot be had is left out, named, and lowers the confidence."""
    missing: list[str] = []

    async def attempt(call: Awaitable[T], otherwise: T) -> T:
        try:
            return await call
        except AwsError as error:
            missing.append(f"{error.operation}: {error.code}")
            return otherwise

    deployments, series = await asyncio.gather(
        attempt(fetch_service_deployments(context.aws, protected.spec.target), ()),
        attempt(_fetch_metrics(context, protected, watch), {}),
    )
    now = context.clock()
    onset = None
    if watch:
        points = measure_condition(watch.detector, watch.condition, series, now - LOOKBACK, now)
        onset = find_onset(watch.condition, points)
    ratio = watch.condition.ratio if watch else None
    evidence = Evidence(
        onset=onset,
        deployments=deployments,
        requests=series.get(ratio.denominator) if ratio else None,
        cpu=series.get(CPU),
        period=condition_period(watch.detector, watch.condition) if watch else timedelta(minutes=1),
        missing=tuple(missing),
    )
    namespace = incident.metadata.namespace
    bodies = (raw for raw in context.objects.all(Incident.plural) if raw["metadata"]["namespace"] == namespace)
    others = context.readable(Incident, bodies)
    return classify_incident(incident, diagnose(evidence), protected, service, others)


CPU = "bokgu_cpu"


async def _fetch_metrics(context: Context, protected: ProtectedService, watch: Watch | None) -> dict[str, Series]:
    """Half an hour of the detector's own queries and of the service's CPU, in one call."""
    queries = watch.detector.spec.queries if watch else ()
    cpu = Query(
        name=CPU,
        namespace="AWS/ECS",
        metric_name="CPUUtilization",
        dimensions=(
            Dimension(name="ClusterName", value=protected.spec.ecs.cluster.rsplit("/", 1)[-1]),
            Dimension(name="ServiceName", value=protected.spec.ecs.service),
        ),
        stat="Average",
        period=queries[0].period if queries else "1m",
    )
    now = context.clock()
    return await fetch_series(
        context.aws,
        (*queries, cpu),
        region=protected.spec.region,
        role_arn=protected.spec.role_arn,
        start=now - LOOKBACK,
        end=now,
    )
