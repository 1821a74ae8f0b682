"""The story of an incident that is gone, from what the history keeps: no evidence, timeline, gates and approvals."""

from collections.abc import Iterator
from datetime import timedelta

from bokgu.api.fields import format_timestamp
from bokgu.api.history import IncidentRecord, MetricRecord, PlanRecord, StepRecord
from bokgu.commands.phrases import AT_FAULT
from bokgu.commands.report_model import (
    Cost,
    Fact,
    PlanStory,
    Report,
    Span,
    StepStory,
    count_minutes,
    end_sentence,
    list_moments,
)
from bokgu.commands.report_plots import Measured
from bokgu.commands.report_sources import Past


def build_past_report(past: Past, measured: Measured | None) -> Report:
    """The report of what is known of it."""
    record, around = past.record, past.around
    costs = tuple(_count_costs(record))
    return Report(
        namespace=record.namespace,
        name=record.name or record.id,
        state=record.outcome or "over",
        written_at=around.now,
        begun_at=record.detected_at,
        ended_at=costs[0].at if costs else None,
        summary=tuple(_summarise(record)),
        trouble=tuple(_tell_trouble(record)),
        timeline=(),
        measured=measured,
        spans=tuple(_find_spans(record)),
        cause=tuple(_tell_cause(record)),
        plans=tuple(_tell_plan(number, plan) for number, plan in enumerate(record.plans, 1)),
        gates=(),
        costs=costs,
        similar=(),
        left=(),
        notes=around.notes,
        from_history=True,
    )


def _summarise(record: IncidentRecord) -> Iterator[str]:
    what = f": {record.description}" if record.description else ""
    yield end_sentence(
        f"At {format_timestamp(record.detected_at)} {record.type}, {record.severity}, was seen on service"
        f" {record.service}{what}"
    )
    yield end_sentence(f"The cause is {_name_cause(record)}" if record.root_cause else "Its cause is not known")
    for number, plan in enumerate(record.plans, 1):
        by = f" (runbook {plan.runbook})" if plan.runbook else ""
        yield f"Plan {number}{by} ended as {plan.outcome}."
    if record.resolution_minutes is not None:
        yield f"The trouble was gone {float(record.resolution_minutes):.1f} minutes after it was seen."
    if record.resolved_at:
        yield end_sentence(
            f"The incident was resolved at {format_timestamp(record.resolved_at)} ({record.outcome or 'no word how'})"
        )


def _name_cause(record: IncidentRecord) -> str:
    return f"{record.root_cause}, {AT_FAULT[record.new_revision_at_fault]}"


def _tell_trouble(record: IncidentRecord) -> Iterator[Fact]:
    yield Fact("trouble", f"{record.type}, {record.severity}, on service {record.service}")
    yield Fact("where", record.environment)
    for metric in record.metrics:
        yield Fact("measured", f"{metric.name} was {metric.value}")
    yield from list_moments(("seen", record.detected_at), ("resolved", record.resolved_at))
    for resource in record.affected_resources:
        yield Fact("affected", resource)
    yield Fact("id", record.id)


def _tell_cause(record: IncidentRecord) -> Iterator[Fact]:
    if record.root_cause:
        yield Fact("cause", _name_cause(record))
    if (known := record.classification) is not None:
        yield Fact("impact", f"impact {known.impact_level}, priority {known.priority} of 5")
        yield Fact("estimate", f"{known.estimate_minutes} minutes")


def _tell_plan(number: int, plan: PlanRecord) -> PlanStory:
    facts = list_moments(("begun", plan.started_at), ("ended", plan.finished_at))
    if plan.runbook:
        facts.insert(0, Fact("runbook", plan.runbook))
    if plan.verdict:
        facts.append(Fact("verdict", str(plan.verdict)))
    steps = tuple(_tell_step(number, step) for number, step in enumerate(plan.steps, 1))
    return PlanStory(f"{number}", str(plan.outcome), tuple(facts), steps=steps, readings=_read(plan.metrics))


def _read(metrics: tuple[MetricRecord, ...]) -> tuple[tuple[str, str, str], ...]:
    return tuple((metric.name, metric.value, metric.after or "not known") for metric in metrics)


def _tell_step(number: int, step: StepRecord) -> StepStory:
    facts = list_moments(("begun", step.started_at), ("ended", step.finished_at))
    if step.output:
        facts.append(Fact("found", step.output))
    if step.undone:
        facts.append(Fact("undo", "it was undone"))
    return StepStory(f"step {number}", step.action, str(step.status), "", tuple(facts))


def _count_costs(record: IncidentRecord) -> Iterator[Cost]:
    if record.resolution_minutes is not None:
        minutes = float(record.resolution_minutes)
        yield Cost("trouble gone", record.detected_at + timedelta(minutes=minutes), None, minutes)
    if record.resolved_at is not None:
        yield Cost("resolved", record.resolved_at, None, count_minutes(record.detected_at, record.resolved_at))


def _find_spans(record: IncidentRecord) -> Iterator[Span]:
    if record.resolved_at is not None:
        yield Span("open", "incident open", record.detected_at, record.resolved_at)
    for plan in record.plans:
        for step in plan.steps:
            if step.started_at and step.finished_at:
                yield Span("step", f"step {step.action}", step.started_at, step.finished_at)
