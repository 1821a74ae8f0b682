"""How a review is printed: as text for people, as YAML or JSON for programs."""

import json
from datetime import datetime
from typing import Any

import yaml

from bokgu.api.fields import format_timestamp
from bokgu.api.incident import Incident
from bokgu.api.meta import find_condition, is_true
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan, Step
from bokgu.commands.page import BOLD, GREEN, RED, WIDTH, YELLOW, Page, format_ago, format_moment
from bokgu.commands.phrases import AT_FAULT, describe_approval, describe_gate, describe_undo, name_state, name_step
from bokgu.commands.review import Review
from bokgu.commands.review_findings import Statement, compare, find_warnings
from bokgu.core.approval.missing import find_missing
from bokgu.core.guards.people import closed_gates
from bokgu.core.proof import describe_validation


def format_review(review: Review, said: Statement, digest: str, output: str, *, colour: bool = False) -> str:
    """The review and what is about to be said, as `text`, `yaml` or `json`, ending in a line break.

    Everything but letters, digits and signs is escaped: a plan can hold characters that move a terminal's cursor or
    turn the direction of writing, and show its reader another plan.
    """
    if output == "json":
        return json.dumps(describe_review(review, said, digest), indent=2) + "\n"
    if output == "yaml":
        return yaml.safe_dump(describe_review(review, said, digest), sort_keys=False, width=WIDTH)
    page = Page(colour)
    _write(page, review, said, digest)
    return page.text


def describe_review(review: Review, said: Statement, digest: str) -> dict[str, Any]:
    """The review as plain data; `plan` is the plan as the API server has it."""
    metadata = {key: value for key, value in review.raw["metadata"].items() if key != "managedFields"}
    approval = {
        "role": said.role,
        "decision": str(said.decision),
        "step": said.step,
        "approver": said.approver,
        "approverFrom": said.approver_from,
        "validUntil": format_timestamp(said.valid_until),
        "validBecause": said.valid_because,
        "signed": said.signed,
        "carriedBy": said.carried_by,
        "reason": said.reason,
    }
    return {
        "plan": {**review.raw, "metadata": metadata},
        "digest": digest,
        "incident": _incident_data(review.incident),
        "differences": [vars(difference) for difference in compare(review)],
        "closedGates": [gate.to_dict() for gate in closed_gates(review.plan.status.gates)],
        "missing": list(find_missing(review.plan)),
        "approval": {key: value for key, value in approval.items() if value is not None},
        "warnings": list(find_warnings(review, said)),
        "notes": list(review.notes),
    }


def _incident_data(incident: Incident | None) -> dict[str, Any] | None:
    if incident is None:
        return None
    status = incident.status
    return {
        "name": incident.metadata.name,
        "type": str(incident.spec.type),
        "severity": str(incident.spec.severity),
        "phase": str(status.phase),
        "rootCause": str(status.classification.root_cause) if status.classification else None,
        "mitigatedAt": format_timestamp(status.mitigated_at) if status.mitigated_at else None,
    }


def _write(page: Page, review: Review, said: Statement, digest: str) -> None:
    _write_plan(page, review.plan, digest, review.now)
    _write_world(page, review)
    page.gap("what would be done")
    for number, step in enumerate(review.plan.spec.steps, 1):
        _write_step(page, number, step)
    for risk in review.plan.spec.risks:
        how = f"(probability {risk.probability}, impact {risk.impact}); {risk.mitigation}"
        page.line("  risk", f"{risk.description} {how}")
    page.line("  else", review.plan.spec.if_nothing_is_done or "the plan does not say what happens if nothing is done")
    _write_approvals(page, review)
    _write_statement(page, said, review)


def _write_plan(page: Page, plan: RecoveryPlan, digest: str, now: datetime) -> None:
    spec, status = plan.spec, plan.status
    name = f"{plan.metadata.namespace}/{plan.metadata.name}"
    page.line("plan", f"{name}: {name_state(status.phase, status.reason)}, approvals {status.approval_count}", BOLD)
    page.line("", f"{digest}, of the plan as shown")
    made = format_ago(plan.metadata.creation_timestamp, now)
    by = f" from runbook {spec.runbook_ref.name}" if spec.runbook_ref else ""
    takes = f", takes about {spec.estimated_total_duration}" if spec.estimated_total_duration else ""
    page.line("", f"made {made}{by}; starts until {format_moment(spec.expires_at, now)}{takes}")
    if spec.chosen_because:
        page.line("", f"because {spec.chosen_because}")
    if spec.track_record:
        page.line("", f"it {spec.track_record}")
    if spec.suspend is not None:
        page.line("", f"suspend {str(spec.suspend).lower()}")
    if known := spec.classification:
        said = f"{known.incident_type}, {known.root_cause}, {AT_FAULT[known.new_revision_at_fault]}"
        page.line("cause", f"{said}; {known.confidence} confidence, impact {known.impact_level}")


def _write_world(page: Page, review: Review) -> None:
    plan, incident, now = review.plan, review.incident, review.now
    page.gap("the world now")
    ref = plan.spec.incident_ref
    if incident is None:
        page.line("  incident", f"{ref.name} ({ref.uid}): not known", YELLOW)
    else:
        page.line("  incident", f"{ref.name} ({ref.uid})")
        status = incident.status
        stands = name_state(status.phase, status.reason)
        page.line("", f"{incident.spec.type}, {incident.spec.severity}: {stands}")
        if status.mitigated_at:
            page.line("", f"the trouble has gone: {format_moment(status.mitigated_at, now)}", YELLOW)
    _write_service(page, plan.spec.service_ref.name, review.protected, review.recorded_at, now)
    for difference in compare(review):
        if difference.same:
            page.line("  same", f"{difference.what}: {difference.then}", GREEN)
        else:
            label, style = ("  changed", YELLOW) if difference.same is False else ("  unknown", "")
            page.line(label, f"{difference.what}: {difference.then} then; {difference.now} now", style)
    if review.begun:
        page.line("", "the plan has begun: what is different may be its own doing")
    for gate in closed_gates(plan.status.gates):
        until = format_moment(gate.blocked_until, now) if gate.blocked_until else ""
        page.line("  blocked", describe_gate(gate, until), RED)
    for note in review.notes:
        page.line("  note", note, YELLOW)


def _write_service(
    page: Page, name: str, protected: ProtectedService | None, recorded_at: datetime | None, now: datetime
) -> None:
    if protected is None:
        page.line("  service", f"{name}: not known", YELLOW)
        return
    observed, target = protected.status.service, protected.spec.target
    tasks = f"{observed.running_count}/{observed.desired_count} tasks run" if observed else "ECS has not been asked yet"
    where = f"{target.cluster}/{target.service} in {target.region}, {protected.spec.environment}"
    page.line("  service", f"{name} ({where}): {tasks}; told {format_ago(recorded_at, now)}, when it last changed")
    ready = find_condition(protected.status.conditions, "Ready")
    if ready and not is_true(protected.status.conditions, "Ready"):
        page.line("", f"not Ready ({ready.reason}): {ready.message}", YELLOW)


def _write_step(page: Page, number: int, step: Step) -> None:
    page.line(f"  step {number}", f"{step.name} ({step.action}): {step.description or 'no description'}", BOLD)
    parameters = step.parameters.to_dict() if step.parameters else {}
    for name, value in parameters.items():
        page.line("", f"{name} {str(value).lower() if isinstance(value, bool) else value}")
    if step.required_resources:
        page.line("", f"uses {', '.join(step.required_resources)}")
    if step.validation:
        check = step.validation
        page.line("", f"{describe_validation(check)} ({check.type}, {check.criteria})")
    takes = f"takes about {step.estimated_duration}, " if step.estimated_duration else ""
    page.line("", f"{takes}given up after {step.timeout}, on failure {step.on_failure}; {describe_undo(step)}")


def _write_approvals(page: Page, review: Review) -> None:
    plan = review.plan
    page.gap("approvals")
    page.line("  needed", ", ".join(plan.status.required_approvals))
    if plan.spec.required_approvals:
        page.line("", f"by the plan itself: {', '.join(plan.spec.required_approvals)}")
    for entry in plan.status.approvals:
        said = describe_approval(entry, format_ago(entry.at, review.now))
        page.line("  so far", said, GREEN if entry.verified_by else YELLOW)
    missing = find_missing(plan)
    page.line("  missing", ", ".join(missing) or "nobody", YELLOW if missing else GREEN)


def _write_statement(page: Page, said: Statement, review: Review) -> None:
    page.gap("what you would say")
    page.line(
        "  you",
        f"{said.decision}{name_step(said.step)} as {said.role}, in the name of {said.approver} ({said.approver_from})",
        BOLD,
    )
    if said.reason:
        page.line("", f"because {said.reason}")
    page.line("", f"valid until {format_moment(said.valid_until, review.now)}: {said.valid_because}")
    for warning in find_warnings(review, said):
        page.line("  warning", warning, YELLOW)
