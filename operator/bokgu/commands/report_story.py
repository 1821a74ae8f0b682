"""The story of an incident that the cluster has. It says what `bokgu explain` says, and how it came to that."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from bokgu.api.fields import bounded, format_timestamp
from bokgu.api.incident import Classification, Incident, IncidentPlan
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.recovery_plan import OperationStatus, RecoveryPlan, Step, StepStatus
from bokgu.api.redaction import redact, redact_quote
from bokgu.api.vocabulary import IncidentPhase, PlanPhase
from bokgu.commands.explanation import Explanation, step_statuses
from bokgu.commands.overview import Entry
from bokgu.commands.overview_text import format_people
from bokgu.commands.phrases import (
    describe_cause,
    describe_choice,
    describe_end,
    describe_gate,
    describe_impact,
    describe_metric,
    describe_progress,
    describe_similar,
    describe_trouble,
    describe_undo,
    name_source,
    name_state,
)
from bokgu.commands.report_left import find_left
from bokgu.commands.report_model import (
    Cost,
    Fact,
    PlanStory,
    Report,
    Said,
    Span,
    StepStory,
    count_minutes,
    end_sentence,
    list_moments,
)
from bokgu.commands.report_plots import Measured
from bokgu.commands.report_sources import Hold, Present
from bokgu.core.approval.tally import AUTO_APPROVED, EMERGENCY_OVERRIDE
from bokgu.core.awaiting import find_wait
from bokgu.core.history import detected_at
from bokgu.core.proof import describe_validation
from bokgu.core.stages import Passage, Stage, look_back

LONGEST_REQUEST = 1200
"""Characters of the arguments of an AWS call that are quoted."""


def build_report(present: Present, measured: Measured | None) -> Report:
    """The report of an incident that the cluster has."""
    incident, around = present.incident, present.around
    status = incident.status
    current = next((p for p in present.plans if status.plans and p.metadata.uid == status.plans[-1].uid), None)
    wait = find_wait(incident, current, present.relapse_watch)
    told = Explanation(Entry(incident, current, wait), around.now, around.notes)
    seen = detected_at(incident)
    begun = measured.began_at if measured and measured.began_at else seen
    passages = look_back(incident, present.plans, begun)
    return Report(
        namespace=incident.metadata.namespace,
        name=incident.metadata.name,
        state=name_state(status.phase, status.reason),
        written_at=around.now,
        begun_at=begun,
        ended_at=status.mitigated_at or status.resolved_at,
        summary=tuple(_summarise(present, told, begun)),
        trouble=tuple(_tell_trouble(present, begun)),
        timeline=status.timeline,
        measured=measured,
        spans=tuple(_find_spans(incident, present.plans, begun, around.now)),
        cause=tuple(_tell_cause(status.classification)) if status.classification else (),
        plans=tuple(_tell_plans(present)),
        gates=tuple(_tell_gates(told, present.plans, present.holds, passages)),
        costs=_count_costs(passages, begun, status.mitigated_at),
        similar=tuple(_tell_similar(status.classification)),
        left=find_left(told, present.plans),
        notes=around.notes,
    )


def _summarise(present: Present, told: Explanation, begun: datetime) -> Iterator[str]:
    """What happened, in a few sentences."""
    incident, known = present.incident, present.incident.status.classification
    spec, status, seen = incident.spec, incident.status, detected_at(incident)
    what = f": {spec.description}" if spec.description else ""
    yield end_sentence(
        f"At {format_timestamp(seen)} {name_source(spec)} told of {spec.type}, {spec.severity}, on service"
        f" {spec.service_ref.name}{what}"
    )
    if begun < seen:
        yield f"By its metrics it had begun at {format_timestamp(begun)}."
    if status.occurrences > 1:
        yield f"The trouble began {status.occurrences} times while the incident was open."
    yield end_sentence(f"The cause is {describe_cause(known)}" if known else "Its cause has not been told")
    found = {plan.metadata.uid: plan for plan in present.plans}
    for entry in status.plans:
        yield end_sentence(_summarise_plan(entry, found.get(entry.uid)))
    if not status.plans and status.phase is IncidentPhase.RESOLVED:
        yield "No plan was made."
    elif not status.plans and told.why_no_plan is not None:
        reason, message = told.why_no_plan
        yield end_sentence(f"No plan was made: {reason}{f': {message}' if message else ''}")
    yield from _summarise_end(incident, told)


def _summarise_plan(entry: IncidentPlan, plan: RecoveryPlan | None) -> str:
    by = f" (runbook {entry.runbook})" if entry.runbook else ""
    if plan is None:
        return f"Plan {entry.name}{by}, of which no more is known, ended as {entry.outcome or 'nobody knows'}"
    who = _name_approvers(plan)
    ended = f" at {format_timestamp(plan.status.finished_at)}" if plan.status.finished_at else ""
    begun = f" began at {format_timestamp(plan.status.started_at)} and" if plan.status.started_at else ""
    end = _ENDS.get(plan.status.phase, f"is {plan.status.phase}")
    return f"Plan {entry.name}{by}{f', {who},' if who else ''}{begun} {end}{ended}"


_ENDS = {
    PlanPhase.COMPLETED: "completed",
    PlanPhase.REJECTED: "was rejected",
    PlanPhase.EXPIRED: "expired",
    PlanPhase.FAILED: "failed",
    PlanPhase.ROLLED_BACK: "was undone",
    PlanPhase.ROLLBACK_FAILED: "failed, and could not be undone",
    PlanPhase.CANCELLED: "was cancelled",
}


def _name_approvers(plan: RecoveryPlan) -> str:
    """Who let the plan begin."""
    stood_in = next((c for c in plan.status.conditions if c.type == "Approved" and c.status == "True"), None)
    if stood_in is not None and stood_in.reason in {AUTO_APPROVED, EMERGENCY_OVERRIDE}:
        return f"{stood_in.reason}: {stood_in.message}" if stood_in.message else stood_in.reason
    counted = [a for a in plan.status.approvals if a.verified_by and a.decision == "Approve" and not a.step]
    named = " and ".join(f"{a.approver} as {a.role}" for a in counted)
    return f"approved by {named}" if named else ""


def _summarise_end(incident: Incident, told: Explanation) -> Iterator[str]:
    status, seen = incident.status, detected_at(incident)
    if status.mitigated_at:
        yield (
            f"The trouble was gone at {format_timestamp(status.mitigated_at)},"
            f" {count_minutes(seen, status.mitigated_at):.1f} minutes after it was seen."
        )
    if status.phase is IncidentPhase.RESOLVED and status.resolved_at:
        yield f"The incident was resolved at {format_timestamp(status.resolved_at)} ({status.reason})."
    elif status.phase is not IncidentPhase.RESOLVED:
        wait = told.entry.wait
        for_whom = f"{format_people(wait)}: " if wait.whom else ""
        yield end_sentence(
            f"It is not over: it is {name_state(status.phase, status.reason)}, and waits for {for_whom}{wait.what}"
        )


def _tell_trouble(present: Present, begun: datetime) -> Iterator[Fact]:
    incident, protected = present.incident, present.around.protected
    spec, status, seen = incident.spec, incident.status, detected_at(incident)
    yield Fact("trouble", describe_trouble(spec))
    if protected is not None:
        target = protected.spec.target
        yield Fact("where", f"{target.cluster}/{target.service} in {target.region}, {protected.spec.environment}")
    for metric in spec.metrics:
        yield Fact("measured", describe_metric(metric))
    if begun < seen:
        yield Fact("begun", f"{format_timestamp(begun)}, by the metrics")
    yield Fact("seen", format_timestamp(seen))
    if status.mitigated_at:
        yield Fact("gone", format_timestamp(status.mitigated_at))
    if status.resolved_at:
        yield Fact("resolved", format_timestamp(status.resolved_at))
    if status.occurrences > 1:
        yield Fact("began", f"{status.occurrences} times")
    for resource in spec.affected_resources:
        yield Fact("affected", resource)


def _tell_cause(known: Classification) -> Iterator[Fact]:
    yield Fact("cause", describe_cause(known))
    yield Fact("impact", describe_impact(known))
    for item in known.evidence:
        yield Fact("evidence", f"{item.source}: {item.fact}")
    for other in known.ruled_out:
        yield Fact("it is not", other)


def _tell_similar(known: Classification | None) -> Iterator[str]:
    if known and known.similar_incidents and known.similar_incidents.count:
        yield describe_similar(known.similar_incidents)


# Plans


def _tell_plans(present: Present) -> Iterator[PlanStory]:
    found = {plan.metadata.uid: plan for plan in present.plans}
    reasons = {approval.metadata.uid: approval for approval in present.approvals}
    for entry in present.incident.status.plans:
        plan = found.get(entry.uid)
        if plan is None:
            yield PlanStory(entry.name, str(entry.outcome or "unknown end"), (Fact("plan", describe_end(entry)),))
        else:
            yield _tell_plan(plan, reasons, entry.relapsed_at)


def _tell_plan(plan: RecoveryPlan, reasons: dict[str, PlanApproval], relapsed_at: datetime | None) -> PlanStory:
    spec, status = plan.spec, plan.status
    facts = [Fact("stands", describe_progress(plan)), Fact("why", describe_choice(spec))]
    if spec.track_record:
        facts.append(Fact("record", f"it {spec.track_record}"))
    if spec.if_nothing_is_done:
        facts.append(Fact("else", spec.if_nothing_is_done))
    facts += [
        Fact("risk", f"{r.description} (probability {r.probability}, impact {r.impact}); {r.mitigation}")
        for r in spec.risks
    ]
    facts += list_moments(
        ("made", plan.metadata.creation_timestamp),
        ("begun", status.started_at),
        ("ended", status.finished_at),
        ("relapsed", relapsed_at),
    )
    facts.append(Fact("digest", status.digest or "not published"))
    return PlanStory(
        plan.metadata.name,
        name_state(status.phase, status.reason),
        tuple(facts),
        ", ".join(status.required_approvals) or "nobody",
        tuple(_tell_approvals(plan, reasons)),
        tuple(_tell_step(step, done) for step, done in zip(spec.steps, step_statuses(plan), strict=True)),
        tuple((m.name, m.before or "not known", m.after or "not known") for m in status.metrics),
    )


def _tell_approvals(plan: RecoveryPlan, reasons: dict[str, PlanApproval]) -> Iterator[Said]:
    for entry in sorted(plan.status.approvals, key=lambda entry: entry.at):
        approval = reasons.get(entry.uid)
        yield Said(
            entry.at,
            entry.approver,
            entry.role,
            f"{entry.decision}{f' to step {entry.step}' if entry.step else ''}",
            entry.verified_by is not None,
            str(entry.verified_by or f"does not count: {entry.reason}"),
            redact_quote((approval.spec.reason if approval else None) or ""),
        )


def _tell_step(step: Step, done: StepStatus) -> StepStory:
    facts = _tell_operation(done)
    if step.validation is not None:
        facts.append(Fact("proof", describe_validation(step.validation)))
    if done.verdict is not None:
        facts.append(Fact("verdict", str(done.verdict)))
    if done.output:
        facts.append(Fact("found", done.output))
    if done.confirmation is not None:
        who = done.confirmation
        facts.append(Fact("confirmed", f"by {who.approver} as {who.role} ({who.proof})"))
    facts.append(Fact("undo", describe_undo(step)))
    if (undo := done.rollback) is not None:
        facts += [Fact(f"undo {label}", text) for label, text in _tell_operation(undo)]
        ended = name_state(undo.phase, undo.reason)
        facts.append(Fact("undo ended", f"{ended}{f': {undo.output}' if undo.output else ''}"))
    description = redact_quote(step.description or "no description")
    return StepStory(step.name, str(step.action), name_state(done.phase, done.reason), description, tuple(facts))


def _tell_operation(done: OperationStatus) -> list[Fact]:
    """What was sent, what came of it, and when."""
    facts = list_moments(("begun", done.started_at))
    if (intent := done.intent) is not None:
        request = intent.request
        arguments = bounded(redact(bounded(request.arguments, LONGEST_REQUEST)), LONGEST_REQUEST)
        again = f" (attempt {intent.attempt})" if intent.attempt > 1 else ""
        facts.append(
            Fact(
                "intent",
                f"{request.service} {request.operation} {arguments}, at {format_timestamp(intent.written_at)}{again}",
            )
        )
        before = intent.before
        facts.append(Fact("before", f"desired count {before.desired_count}, {before.task_definition}"))
    if (answer := done.answer) is not None:
        made = "".join(f"; it made {arn}" for arn in answer.made)
        deployment = f"; deployment {answer.deployment_id}" if answer.deployment_id else ""
        said = f": {answer.message}" if answer.message else ""
        facts.append(Fact("answer", f"{answer.result} at {format_timestamp(answer.at)}{said}{deployment}{made}"))
    return facts + list_moments(("effective", done.effective_at), ("ended", done.finished_at))


# Gates, costs and times


def _tell_gates(
    told: Explanation, plans: Iterable[RecoveryPlan], holds: tuple[Hold, ...] | None, passages: Iterable[Passage]
) -> Iterator[str]:
    for gate in told.gates:
        until = format_timestamp(gate.blocked_until) if gate.blocked_until else ""
        yield f"closed now: {describe_gate(gate, until)}"
    for plan in plans:
        for gate in plan.status.gates:
            if gate.passed and gate.reason == EMERGENCY_OVERRIDE:
                yield f"let through for plan {plan.metadata.name}: {gate.name}: {gate.value or gate.reason}"
    for hold in holds or ():
        again = f" ({hold.times} times until {format_timestamp(hold.last)})" if hold.last else ""
        told_as = "held" if hold.held else "free again"
        yield f"{format_timestamp(hold.at)} plan {hold.plan}: {told_as}: {hold.note}{again}"
    for passage in passages:
        if passage.stage is Stage.START and passage.took:
            minutes = passage.took.total_seconds() / 60
            yield f"plan {passage.what} began {minutes:.1f} minutes after it was approved"
    if holds is None:
        yield "Events may not be read by this account: which gates held it before is not known"
    elif not holds:
        yield "Events tell of no other: the API server keeps them for an hour, unless it is told otherwise"


_REACHED = {
    Stage.DETECT: "detected",
    Stage.CLASSIFY: "cause known",
    Stage.PLAN: "planned",
    Stage.APPROVE: "approved",
    Stage.START: "begun",
    Stage.ACT: "acted",
    Stage.VERIFY: "verified",
    Stage.RESOLVE: "resolved",
}


def _count_costs(passages: Iterable[Passage], begun: datetime, gone: datetime | None) -> tuple[Cost, ...]:
    costs = [
        Cost(
            f"{_REACHED[passage.stage]}{f' ({passage.what})' if passage.what else ''}",
            passage.until,
            passage.took.total_seconds() / 60,
            count_minutes(begun, passage.until),
        )
        for passage in passages
    ]
    if gone is not None:
        costs.append(Cost("trouble gone", gone, None, count_minutes(begun, gone)))
    return tuple(sorted(costs, key=lambda cost: cost.at))


def _find_spans(incident: Incident, plans: Iterable[RecoveryPlan], begun: datetime, now: datetime) -> Iterator[Span]:
    status = incident.status
    yield Span("open", "incident open", begun, status.resolved_at or now)
    for plan in plans:
        for step in plan.status.steps:
            if step.started_at is not None:
                yield Span("step", f"step {step.name}", step.started_at, step.finished_at or now)
