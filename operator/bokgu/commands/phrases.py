"""Facts in words, the same in every command."""

from bokgu.api.incident import Classification, IncidentMetric, IncidentPlan, IncidentSpec, SimilarIncidents
from bokgu.api.meta import Gate
from bokgu.api.recovery_plan import ApprovalStatus, RecoveryPlan, RecoveryPlanSpec, Step, StepStatus

AT_FAULT = {True: "a new revision at fault", False: "no new revision at fault", None: "a new revision, or not"}
"""`newRevisionAtFault` of a classification."""


def name_state(phase: str, reason: str | None) -> str:
    """Where an object stands, and why."""
    return f"{phase} ({reason})" if reason else str(phase)


# Incidents


def name_source(spec: IncidentSpec) -> str:
    """Who told of the trouble."""
    return f"{spec.source.kind} {spec.source.name}" if spec.source.name else str(spec.source.kind)


def describe_trouble(spec: IncidentSpec) -> str:
    """What it is, how bad, where, and who says so."""
    return f"{spec.type}, {spec.severity}, on service {spec.service_ref.name}; told by {name_source(spec)}"


def describe_metric(metric: IncidentMetric) -> str:
    """What was measured, and against what."""
    unit = "" if metric.unit == "None" else f" {metric.unit}"
    return f"{metric.name} was {metric.value}{unit}, threshold {metric.threshold}"


def describe_cause(known: Classification) -> str:
    """The cause, and how sure it is."""
    traits = f", {', '.join(known.traits)}" if known.traits else ""
    return f"{known.root_cause}, {AT_FAULT[known.new_revision_at_fault]}{traits}; {known.confidence} confidence"


def describe_impact(known: Classification) -> str:
    """How urgent it is."""
    return f"impact {known.impact_level}, priority {known.priority} of 5"


def describe_similar(similar: SimilarIncidents) -> str:
    """Past incidents like this one."""
    median = f", median resolution {similar.median_resolution}" if similar.median_resolution else ""
    return f"{similar.count} past incidents{median}: {', '.join(similar.names)}"


# Plans


def describe_end(entry: IncidentPlan) -> str:
    """A plan as its incident knows it, and how it ended."""
    return f"{entry.name} ({entry.runbook or 'no runbook'}): {entry.outcome or 'unknown end'}"


def describe_choice(spec: RecoveryPlanSpec) -> str:
    """Why it is this plan."""
    by = f" (runbook {spec.runbook_ref.name})" if spec.runbook_ref else ""
    return f"because {spec.chosen_because or 'it was written so'}{by}"


def describe_progress(plan: RecoveryPlan) -> str:
    """Where the plan stands, with its counts."""
    status = plan.status
    counts = f"approvals {status.approval_count or 'not counted yet'}, steps {status.progress or '0'}"
    return f"{name_state(status.phase, status.reason)}; {counts}"


def describe_step(step: Step, done: StepStatus) -> str:
    """A step, and where it stands."""
    return f"{step.name} ({step.action}), {done.phase}: {step.description or 'no description'}"


def describe_undo(step: Step) -> str:
    """What takes the step back, if anything does."""
    if not step.action.writes:
        return "changes nothing"
    if step.action.runs:
        return f"{'stopped where the plan ends while it runs; ' if step.rollback else ''}nothing undoes what it did"
    return f"undone by {step.rollback.action} to what it found" if step.rollback else "nothing undoes it"


def describe_approval(entry: ApprovalStatus, when: str) -> str:
    """Who said what as which role, when, and whether it counts."""
    verdict = f"counts ({entry.verified_by})" if entry.verified_by else f"does not count: {entry.reason}"
    said = f"{entry.approver} says {entry.decision}{name_step(entry.step)} as {entry.role}"
    return f"{said}, {when}: {verdict}"


def name_step(step: str | None) -> str:
    """The step that a decision is about."""
    return f" to step {step}" if step else ""


def describe_gate(gate: Gate, until: str) -> str:
    """A closed gate and why it is closed; `until` is when it is looked at again, empty where nothing says."""
    return f"{gate.name}{f', until {until}' if until else ''}: {gate.message or gate.reason}"
