"""What an open incident waits for: whom, what for, until when, and what comes if nobody does anything."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.fields import parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import Gate, find_condition, is_true
from bokgu.api.recovery_plan import RecoveryPlan, Step, StepStatus
from bokgu.api.redaction import redact_quote
from bokgu.api.vocabulary import IncidentPhase, IncidentType, OnFailure, OperationPhase, PlanPhase
from bokgu.core.approval.missing import find_missing
from bokgu.core.correlation import RELAPSE_WATCH
from bokgu.core.guards.people import SUSPENDED, closed_gates
from bokgu.core.guards.protection import BREAKER_OPEN
from bokgu.core.proof import awaits_confirmation

PERSON = "a person"
"""Who is waited for where no role is: anybody who may look, and change what is in the way."""

SETTLED_BY_PEOPLE = frozenset(
    {
        "NotProtected", "RoleNotAllowed", "ActionNotAllowed", "Paused", "OutsideRange", "ScalingUnknown",
        "CodeDeployUnread", "TaskDefinitionInactive", "AccessDenied", "AccessDeniedException",
        "InvalidClientTokenId", "UnrecognizedClientException",
    }
)  # fmt: skip  # a list of words, which one a line would make a page of
"""Reasons of an incident without a plan that do not go away by themselves."""


@dataclass(frozen=True)
class Wait:
    """What an incident waits for.

    `whom` are roles, one entry for every person, or PERSON; empty where no person is waited for. `one_of`: one of them
    is enough. `until` is when that ends by itself, and `then` what comes then if nobody does anything. `advice` is what
    people can do, the first thing first.
    """

    what: str
    whom: tuple[str, ...] = ()
    one_of: bool = False
    until: datetime | None = None
    then: str = ""
    advice: tuple[str, ...] = ()


def find_wait(incident: Incident, plan: RecoveryPlan | None, relapse_watch: timedelta | None = None) -> Wait:
    """What the incident waits for. `plan` is its current plan, None where there is none or it cannot be read;
    `relapse_watch` is that of its service, None where it is not known."""
    status, phase = incident.status, incident.status.phase
    if phase is IncidentPhase.RESOLVED:
        return Wait(f"nothing: it is resolved ({status.reason})")
    if phase is IncidentPhase.VERIFYING and status.reason == RELAPSE_WATCH:
        return _on_calm(incident, plan, relapse_watch)
    if phase is IncidentPhase.SUPPRESSED and status.leader is not None:
        leader = status.leader.name
        return Wait(
            f"incident {leader}, into which it is folded: {_message(incident)}",
            then="it comes into its own when that one is over, if its trouble is still there",
            advice=(f"bokgu explain {leader} -n {incident.metadata.namespace}",),
        )
    if phase is IncidentPhase.ESCALATED:
        return _on_people(incident)
    if plan is not None and not plan.status.phase.terminal:
        return _on_plan(plan)
    if plan is None and status.plans and status.plans[-1].outcome is None:
        return Wait(f"plan {status.plans[-1].name}, which is over, or could not be read")
    return _on_planning(incident)


def find_reason(incident: Incident) -> tuple[str, str]:
    """(reason, message) of where the incident stands, the message empty where there is none."""
    return incident.status.reason or str(incident.status.phase), _message(incident)


def current_step(plan: RecoveryPlan) -> tuple[int, Step, StepStatus] | None:
    """(number from 1, step, status) of the first step that is not over."""
    over = {OperationPhase.COMPLETED, OperationPhase.SKIPPED}
    known = {status.name: status for status in plan.status.steps}
    for number, step in enumerate(plan.spec.steps, 1):
        status = known.get(step.name, StepStatus(name=step.name))
        if status.phase not in over:
            return number, step, status
    return None


def _message(incident: Incident) -> str:
    """The words beside the reason: the condition Resolved says why it is not, Blocked what holds it."""
    for type_ in ("Resolved", "Blocked"):
        found = find_condition(incident.status.conditions, type_)
        if found and found.message and (type_ == "Resolved" or is_true((found,), type_)):
            return found.message
    return ""


def _on_calm(incident: Incident, plan: RecoveryPlan | None, watch: timedelta | None) -> Wait:
    """The trouble has gone: it must stay away."""
    ended = plan.status.finished_at if plan and plan.status.phase is PlanPhase.COMPLETED else None
    since = max((moment for moment in (incident.status.mitigated_at, ended) if moment), default=None)
    return Wait(
        "the trouble to stay away",
        until=since + watch if since and watch is not None else None,
        then="it is resolved; if the trouble comes back before, the cause is told anew",
    )


def _on_people(incident: Incident) -> Wait:
    """Bokgu does nothing more that changes the service."""
    reason, message = find_reason(incident)
    name, namespace = incident.metadata.name, incident.metadata.namespace
    look = f"bokgu plan --incident {name} -n {namespace} --dry-run  # what would be planned now, or why nothing"
    then = "nothing is changed. If the trouble goes away and stays away, the incident is resolved"
    advice: tuple[str, ...] = (look, "recover the service by hand, or write a RecoveryPlan of your own")
    if incident.spec.type is IncidentType.DATA_CORRUPTION:
        then = "nothing is changed, and the incident stays open: silence does not mend data"
        advice = ("look at the data", f"kubectl delete incident {name} -n {namespace}  # once it is right")
    elif reason == BREAKER_OPEN:
        service = incident.spec.service_ref.name
        reset = f"bokgu reset {service} -n {namespace}  # once you know why; this incident is not replayed"
        advice = ("find out why the recoveries failed", reset, advice[1])
    return Wait(f"{reason}: {message}" if message else reason, (PERSON,), then=then, advice=advice)


def _on_planning(incident: Incident) -> Wait:
    """There is no plan at work."""
    reason, message = incident.status.reason, _message(incident)
    if reason is None:
        known = incident.status.classification is not None
        return Wait("a plan, which Bokgu makes now" if known else "its cause, which Bokgu finds out now")
    namespace, name = incident.metadata.namespace, incident.metadata.name
    return Wait(
        f"{reason}: {message}" if message else reason,
        (PERSON,) if reason in SETTLED_BY_PEOPLE else (),
        then="nothing is changed while that lasts; it is looked at again and again",
        advice=(f"bokgu plan --incident {name} -n {namespace} --dry-run  # what would be planned now, or why nothing",),
    )


def _on_plan(plan: RecoveryPlan) -> Wait:
    status, name = plan.status, plan.metadata.name
    if (held := find_condition(status.conditions, SUSPENDED)) and is_true((held,), SUSPENDED):
        release = f"bokgu cancel {name} -n {plan.metadata.namespace} --release  # where spec.suspend holds it"
        then = "it ends as BlockedTooLong once it has been held for the timeout of its next step"
        if status.started_at is None:
            then = "it expires"
        return Wait(f"plan {name}, {held.message}", (PERSON,), then=then, advice=(release,))
    if status.phase is PlanPhase.ROLLING_BACK:
        return Wait(f"plan {name}, which undoes what it did", then="a person is called when it is undone")
    if status.started_at is not None:
        return _on_step(plan)
    if status.digest is None:
        return Wait(f"plan {name}, whose digest Bokgu publishes now")
    return _on_start(plan)


def _on_start(plan: RecoveryPlan) -> Wait:
    """The plan has not begun: people must approve it, or a gate must open."""
    name, namespace = plan.metadata.name, plan.metadata.namespace
    gates, missing = closed_gates(plan.status.gates), find_missing(plan)
    until, otherwise = plan.spec.expires_at, plan.spec.if_nothing_is_done or ""
    never = next((gate for gate in gates if gate.name == "Mode"), None)
    if never is not None:
        return Wait(
            f"nobody: {never.message}",
            until=until,
            then=f"plan {name} expires. {otherwise}".rstrip(),
            advice=(f"bokgu explain {plan.spec.incident_ref.name} -n {namespace}  # the steps, to do by hand",),
        )
    if not is_true(plan.status.conditions, "Approved"):
        said = find_condition(plan.status.conditions, "Approved")
        advice = tuple(f"bokgu approve {name} -n {namespace} --role {role} --apply" for role in dict.fromkeys(missing))
        reject = f"bokgu reject {name} -n {namespace} --apply  # if it must not run"
        what = f"approval of plan {name}"
        if not missing and said is not None:
            what = f"{what}: {said.message}"
        then = f"plan {name} expires, and a person is called. {otherwise}".rstrip()
        return Wait(what, missing or (PERSON,), until=until, then=then, advice=(*advice, reject))
    then = f"plan {name} expires, and another one is made if the trouble is still there"
    if gates:
        return Wait(_gate(gates[0]), until=gates[0].blocked_until or until, then=f"unless it opens before, {then}")
    return Wait(f"plan {name} to begin", until=until, then=then)


def _gate(gate: Gate) -> str:
    return f"gate {gate.name} ({gate.reason}): {gate.message}" if gate.message else f"gate {gate.name} ({gate.reason})"


_AFTER_FAILURE = {
    OnFailure.ROLL_BACK: "what was done is undone",
    OnFailure.STOP: "the plan ends, and a person is called",
    OnFailure.CONTINUE: "the next step follows",
}


def _on_step(plan: RecoveryPlan) -> Wait:
    """The plan runs."""
    name, namespace = plan.metadata.name, plan.metadata.namespace
    found = current_step(plan)
    if found is None:
        return Wait(f"plan {name} to end")
    number, step, status = found
    where = f"step {number} of {len(plan.spec.steps)} of plan {name}, {step.name} ({step.action})"
    failed = _AFTER_FAILURE[step.on_failure]
    if awaits_confirmation(status):
        return _on_confirmation(plan, step, status, where)
    stop = f"bokgu cancel {name} -n {namespace}  # stops it, and undoes what can be undone"
    if gates := closed_gates(plan.status.gates):
        return Wait(
            f"{_gate(gates[0])}, before {where}",
            until=gates[0].blocked_until,
            then=f"it goes on when that opens; held longer than {step.timeout}, the step fails: {failed}",
            advice=(stop,),
        )
    if status.phase is OperationPhase.VERIFYING:
        then = f"without proof a person is called; if it fails, {failed}"
        return Wait(f"proof of {where}", then=then, advice=(stop,))
    until = status.started_at + parse_duration(step.timeout) if status.started_at else None
    return Wait(where, until=until, then=f"if it is not done by then, {failed}", advice=(stop,))


def _on_confirmation(plan: RecoveryPlan, step: Step, status: StepStatus, where: str) -> Wait:
    """A person must look, and say so."""
    roles = tuple(dict.fromkeys(plan.status.required_approvals))
    said = f"--step {step.name} --role {roles[0] if roles else 'ROLE'} --apply"
    left = _AFTER_FAILURE[step.on_failure] if step.validation is None else "a person is called"
    return Wait(
        f"confirmation of {where}: {redact_quote(step.description or step.name)}",
        roles or (PERSON,),
        one_of=True,
        until=_confirmed_by(step, status),
        then=f"the step ends as not confirmed, and {left}",
        advice=(f"bokgu approve {plan.metadata.name} -n {plan.metadata.namespace} {said}",),
    )


def _confirmed_by(step: Step, status: StepStatus) -> datetime | None:
    """Until when a person may confirm the step: one that is manual by its timeout, another one by that of its
    validation from when its effect was complete."""
    since, wait = status.started_at, step.timeout
    if step.validation is not None:
        since, wait = status.effective_at, step.validation.timeout
    return since + parse_duration(wait) if since else None
