"""Counts what a status that was just stored has ended: after the write, so that a pass made again counts once."""

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus, StepStatus
from bokgu.api.vocabulary import IncidentPhase, IncidentType, OperationPhase
from bokgu.core.finding import Finding
from bokgu.core.stages import Passage, measure_detection, measure_incident, measure_plan, measure_whole
from bokgu.core.traces import trace_of
from bokgu.metrics.incidents import INCIDENT_SECONDS, INCIDENTS_ENDED, INCIDENTS_OPENED, STAGE_SECONDS
from bokgu.metrics.plans import PLANS_FINISHED, STEPS_FINISHED
from bokgu.metrics.registry import exemplar_of
from bokgu.reconcile.context import Context

_OVER = frozenset({OperationPhase.COMPLETED, OperationPhase.FAILED, OperationPhase.SKIPPED})
_ENDS = frozenset({IncidentPhase.RESOLVED, IncidentPhase.ESCALATED})

Exemplar = dict[str, str]


def count_opened(context: Context, finding: Finding, name: str, uid: str, environment: str) -> None:
    """An incident of that name and uid was opened."""
    exemplar = exemplar_of(finding.namespace, name, trace_of(uid))
    INCIDENTS_OPENED.labels(finding.type, finding.severity, environment, finding.source.kind).inc(exemplar=exemplar)
    _observe(measure_detection(finding.begun or finding.at, context.clock()), finding.type, exemplar)


def count_incident(context: Context, incident: Incident, new: IncidentStatus, plan: RecoveryPlan | None) -> None:
    """The incident as it was read has that status now; `plan` is its current one."""
    type_, meta = incident.spec.type, incident.metadata
    exemplar = exemplar_of(meta.namespace, meta.name, trace_of(meta.uid))
    if new.phase in _ENDS - {incident.status.phase}:
        INCIDENTS_ENDED.labels(type_, new.phase).inc(exemplar=exemplar)
    for passage in measure_incident(incident, new, plan, context.clock()):
        _observe(passage, type_, exemplar)
    if (whole := measure_whole(incident, new)) is not None:
        INCIDENT_SECONDS.labels(type_).observe(whole.total_seconds(), exemplar)


def count_plan(context: Context, plan: RecoveryPlan, new: RecoveryPlanStatus) -> None:
    """The plan as it was read has that status now."""
    old, name = plan.status, plan.spec.incident_ref.name
    exemplar = exemplar_of(plan.metadata.namespace, name, trace_of(plan.spec.incident_ref.uid))
    if new.phase.terminal and not old.phase.terminal:
        PLANS_FINISHED.labels(new.phase).inc(exemplar=exemplar)
    _count_steps(plan, new, exemplar)
    raw = context.objects.get((Incident.plural, plan.metadata.namespace, name))
    for incident in context.readable(Incident, [raw] if raw else []):
        for passage in measure_plan(plan, new):
            _observe(passage, incident.spec.type, exemplar)


def _count_steps(plan: RecoveryPlan, new: RecoveryPlanStatus, exemplar: Exemplar) -> None:
    old = plan.status.steps
    # A status without them, or with another number of them, is made anew. What is counted stops no recovery.
    before: tuple[StepStatus | None, ...] = old if len(old) == len(new.steps) else (None,) * len(new.steps)
    for spec, was, now in zip(plan.spec.steps, before, new.steps, strict=False):
        if now.phase in _OVER and (was is None or was.phase not in _OVER):
            STEPS_FINISHED.labels(spec.action, "forward", now.phase).inc(exemplar=exemplar)
        undo_was = was.rollback if was else None
        if now.rollback and now.rollback.phase in _OVER and (undo_was is None or undo_was.phase not in _OVER):
            STEPS_FINISHED.labels(spec.action, "undo", now.rollback.phase).inc(exemplar=exemplar)


def _observe(passage: Passage, type_: IncidentType, exemplar: Exemplar) -> None:
    STAGE_SECONDS.labels(passage.stage, type_).observe(passage.took.total_seconds(), exemplar)
