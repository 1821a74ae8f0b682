"""How an explanation is told to people."""

from bokgu.api.incident import Classification
from bokgu.api.recovery_plan import RecoveryPlan, Step, StepStatus
from bokgu.api.vocabulary import IncidentPhase, OperationPhase
from bokgu.commands.explanation import Explanation, step_statuses
from bokgu.commands.overview_text import format_people
from bokgu.commands.page import BOLD, GREEN, RED, YELLOW, Page, format_ago, format_moment
from bokgu.commands.phrases import AT_FAULT


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
        until = f", until {format_moment(gate.blocked_until, told.now)}" if gate.blocked_until else ""
        page.line("  closed", f"{gate.name}{until}: {gate.message or gate.reason}", RED)
    if not told.gates:
        page.line("  none", "of those that have been asked")
    _write_wait(page, told)
    for note in told.notes:
        page.line("note", note, YELLOW)
    return page.text


def _write_incident(page: Page, told: Explanation) -> None:
    incident, entry = told.entry.incident, told.entry
    spec, status = incident.spec, incident.status
    reason = f" ({status.reason})" if status.reason else ""
    name = f"{incident.metadata.namespace}/{incident.metadata.name}"
    page.line("incident", f"{name}: {status.phase}{reason}", BOLD)
    times = f", {status.occurrences} times" if status.occurrences > 1 else ""
    source = f"{spec.source.kind} {spec.source.name}" if spec.source.name else str(spec.source.kind)
    page.line("", f"{spec.type}, {spec.severity}, on service {spec.service_ref.name}; told by {source}")
    page.line("", f"begun {format_ago(entry.begun_at, told.now)}{times}")
    if spec.description:
        page.line("", spec.description)
    for metric in spec.metrics:
        unit = "" if metric.unit == "None" else f" {metric.unit}"
        page.line("", f"{metric.name} was {metric.value}{unit}, threshold {metric.threshold}")
    if status.mitigated_at:
        page.line("", f"the trouble has gone: {format_moment(status.mitigated_at, told.now)}", GREEN)


def _write_cause(page: Page, known: Classification) -> None:
    traits = f", {', '.join(known.traits)}" if known.traits else ""
    cause = f"{known.root_cause}, {AT_FAULT[known.new_revision_at_fault]}{traits}; {known.confidence} confidence"
    page.line("  cause", cause, BOLD)
    page.line("", f"impact {known.impact_level}, priority {known.priority} of 5")
    for number, item in enumerate(known.evidence):
        page.line("" if number else "  evidence", f"{item.source}: {item.fact}")
    for number, other in enumerate(known.ruled_out):
        page.line("" if number else "  it is not", other)
    if (similar := known.similar_incidents) and similar.count:
        median = f", median resolution {similar.median_resolution}" if similar.median_resolution else ""
        page.line("  similar", f"{similar.count} past incidents{median}: {', '.join(similar.names)}")


def _write_plan(page: Page, told: Explanation) -> None:
    incident, plan = told.entry.incident, told.entry.plan
    none = told.why_no_plan
    page.gap("why this plan" if none is None else "why no plan is at work")
    for earlier in incident.status.plans[:-1]:
        page.line("  before", f"{earlier.name} ({earlier.runbook or 'no runbook'}): {earlier.outcome or 'unknown end'}")
    if plan is not None:
        _write_current(page, plan)
    elif incident.status.plans:
        last = incident.status.plans[-1]
        page.line("  plan", f"{last.name}: {last.outcome or 'unknown end'}")
    if none is not None and incident.status.phase is not IncidentPhase.RESOLVED:
        reason, message = none
        page.line("  none", f"{reason}: {message}" if message else reason, YELLOW)


def _write_current(page: Page, plan: RecoveryPlan) -> None:
    spec, status = plan.spec, plan.status
    reason = f" ({status.reason})" if status.reason else ""
    counts = f"approvals {status.approval_count or 'not counted yet'}, steps {status.progress or '0'}"
    page.line("  plan", f"{plan.metadata.name}: {status.phase}{reason}; {counts}", BOLD)
    by = f" (runbook {spec.runbook_ref.name})" if spec.runbook_ref else ""
    page.line("", f"because {spec.chosen_because or 'it was written so'}{by}")
    if spec.track_record:
        page.line("", f"it {spec.track_record}")
    for number, (step, done) in enumerate(zip(spec.steps, step_statuses(plan), strict=True), 1):
        _write_step(page, number, step, done)


def _write_step(page: Page, number: int, step: Step, done: StepStatus) -> None:
    style = {OperationPhase.COMPLETED: GREEN, OperationPhase.FAILED: RED}.get(done.phase, "")
    said = f"{step.name} ({step.action}), {done.phase}: {step.description or 'no description'}"
    page.line(f"  step {number}", said, style)
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
