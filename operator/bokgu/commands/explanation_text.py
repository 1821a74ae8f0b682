"""How an explanation is told to people."""

from bokgu.api.incident import Classification
from bokgu.api.recovery_plan import RecoveryPlan, Step, StepStatus
from bokgu.api.vocabulary import IncidentPhase, OperationPhase
from bokgu.commands.explanation import Explanation, step_statuses
from bokgu.commands.overview_text import format_people
from bokgu.commands.page import BOLD, GREEN, RED, YELLOW, Page, format_ago, format_moment
from bokgu.commands.phrases import (
    describe_cause,
    describe_choice,
    describe_end,
    describe_gate,
    describe_impact,
    describe_metric,
    describe_progress,
    describe_similar,
    describe_step,
    describe_trouble,
    name_state,
)


def format_explanation(told: Explanation, *, colour: bool) -> str:
    """The explanation as text, ending in a line break."""
    page, incident = Page(colour), told.entry.incident
    _write_incident(page, told)
    page.gap("why this cause")
    if incident.status.classification:
        _write_cause(page, incident.status.classification)
    else:
        page.line("  cause", "not told yet")
    _write_plan(page, told)
    page.gap("which gates hold it")
    for gate in told.gates:
        until = format_moment(gate.blocked_until, told.now) if gate.blocked_until else ""
        page.line("  closed", describe_gate(gate, until), RED)
    if not told.gates:
        page.line("  none", "of those that have been asked")
    _write_wait(page, told)
    for note in told.notes:
        page.line("note", note, YELLOW)
    return page.text


def _write_incident(page: Page, told: Explanation) -> None:
    incident, entry = told.entry.incident, told.entry
    spec, status = incident.spec, incident.status
    name = f"{incident.metadata.namespace}/{incident.metadata.name}"
    page.line("incident", f"{name}: {name_state(status.phase, status.reason)}", BOLD)
    times = f", {status.occurrences} times" if status.occurrences > 1 else ""
    page.line("", describe_trouble(spec))
    page.line("", f"begun {format_ago(entry.begun_at, told.now)}{times}")
    if spec.description:
        page.line("", spec.description)
    for metric in spec.metrics:
        page.line("", describe_metric(metric))
    if status.mitigated_at:
        page.line("", f"the trouble has gone: {format_moment(status.mitigated_at, told.now)}", GREEN)


def _write_cause(page: Page, known: Classification) -> None:
    page.line("  cause", describe_cause(known), BOLD)
    page.line("", describe_impact(known))
    for number, item in enumerate(known.evidence):
        page.line("" if number else "  evidence", f"{item.source}: {item.fact}")
    for number, other in enumerate(known.ruled_out):
        page.line("" if number else "  it is not", other)
    if (similar := known.similar_incidents) and similar.count:
        page.line("  similar", describe_similar(similar))


def _write_plan(page: Page, told: Explanation) -> None:
    incident, plan = told.entry.incident, told.entry.plan
    none = told.why_no_plan
    page.gap("why this plan" if none is None else "why no plan is at work")
    for earlier in incident.status.plans[:-1]:
        page.line("  before", describe_end(earlier))
    if plan is not None:
        _write_current(page, plan)
    elif incident.status.plans:
        last = incident.status.plans[-1]
        page.line("  plan", f"{last.name}: {last.outcome or 'unknown end'}")
    if none is not None and incident.status.phase is not IncidentPhase.RESOLVED:
        reason, message = none
        page.line("  none", f"{reason}: {message}" if message else reason, YELLOW)


def _write_current(page: Page, plan: RecoveryPlan) -> None:
    spec = plan.spec
    page.line("  plan", f"{plan.metadata.name}: {describe_progress(plan)}", BOLD)
    page.line("", describe_choice(spec))
    if spec.track_record:
        page.line("", f"it {spec.track_record}")
    for number, (step, done) in enumerate(zip(spec.steps, step_statuses(plan), strict=True), 1):
        _write_step(page, number, step, done)


def _write_step(page: Page, number: int, step: Step, done: StepStatus) -> None:
    style = {OperationPhase.COMPLETED: GREEN, OperationPhase.FAILED: RED}.get(done.phase, "")
    page.line(f"  step {number}", describe_step(step, done), style)
    if done.output:
        page.line("", done.output)


def _write_wait(page: Page, told: Explanation) -> None:
    wait = told.entry.wait
    page.gap("what it waits for")
    page.line("  for", f"{f'{format_people(wait)}: ' if wait.whom else ''}{wait.what}", YELLOW if wait.whom else "")
    if wait.until:
        page.line("  until", format_moment(wait.until, told.now))
    if wait.then:
        page.gap("if nobody does anything")
        page.line("  then", wait.then)
    if wait.advice:
        page.gap("what to do next")
    for number, advice in enumerate(wait.advice, 1):
        page.command(f"  {number}", advice)
