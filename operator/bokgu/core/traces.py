"""The trace of an incident: one span for the whole, and one for each stage, plan, step and AWS write that is over.

All of it is made from what the objects say, and ids are made from names and uids. So every process, at any time, makes
the same spans of the same objects, and one that is sent twice is the same span. Times are whole seconds, as status
keeps them.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from bokgu.api.incident import Incident
from bokgu.api.meta import find_condition, is_true
from bokgu.api.recovery_plan import Answer, Intent, OperationStatus, RecoveryPlan, Step, StepStatus
from bokgu.api.span import Attribute, Span
from bokgu.api.vocabulary import Action, OperationPhase, PlanPhase
from bokgu.core.announcement import APPROVED
from bokgu.core.history import detected_at
from bokgu.core.stages import Stage, gone_at

_HEX = frozenset("0123456789abcdef")
_FAILED = frozenset({PlanPhase.FAILED, PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED})


def trace_of(incident_uid: str) -> str:
    """The id of the trace of the incident with that uid: the uid without its dashes, which 32 hexadecimal digits are
    left of where it is a UUID; of any other uid a hash of it."""
    digits = incident_uid.replace("-", "").lower()
    if len(digits) == 32 and _HEX.issuperset(digits) and digits.strip("0"):
        return digits
    return hashlib.sha256(incident_uid.encode()).hexdigest()[:32]


WHOLE = "incident"
"""Key of the span that all others are parts of."""


@dataclass(frozen=True)
class _Trace:
    """Makes the spans of one incident; `about` is said of each of them."""

    uid: str
    about: Mapping[str, Attribute]

    def saying(self, **more: Attribute) -> Self:
        """The same, with more to say: attributes of ours, without their prefix."""
        return replace(self, about={**self.about, **{f"bokgu.{name}": value for name, value in more.items()}})

    def span(
        self, key: str, name: str, begun: datetime, ended: datetime, *, parent: str | None, problem: str | None = None
    ) -> Span:
        """`key` names it in this trace, `parent` is the key of what it is a part of."""
        begun = begun.replace(microsecond=0)
        return Span(
            trace=trace_of(self.uid),
            id=self._id(key),
            parent=None if parent is None else self._id(parent),
            name=name,
            begun=begun,
            ended=max(begun, ended.replace(microsecond=0)),  # Two clocks may have set them.
            attributes=self.about,
            problem=problem,
        )

    def stage(self, stage: Stage, begun: datetime, ended: datetime, *, parent: str = WHOLE) -> Span:
        """A stage of what `parent` is the key of."""
        return self.span(f"{parent}/stage/{stage}", str(stage), begun, ended, parent=parent)

    def _id(self, key: str) -> str:
        """Never all zeros, which would be no id (W3C Trace Context, "parent-id")."""
        return hashlib.sha256(f"{self.uid}|{key}".encode()).hexdigest()[:15] + "1"


def trace_incident(incident: Incident, plan: RecoveryPlan | None) -> Iterator[Span]:
    """What is over of the incident itself; `plan` is its current one."""
    spec, status, known = incident.spec, incident.status, incident.status.classification
    begun, opened = detected_at(incident), incident.metadata.creation_timestamp
    trace = _about(incident.metadata.uid, incident.metadata.namespace, incident.metadata.name, spec.service_ref.name)
    if opened is not None:
        yield trace.saying(source=str(spec.source.kind)).stage(Stage.DETECT, begun, opened)
    cause = {} if known is None else {"root_cause": str(known.root_cause), "confidence": str(known.confidence)}
    if known is not None and opened is not None:
        told = [entry.at for entry in status.timeline if entry.event == "Classified"]
        first = told[0] if len(told) > 1 else known.told_at or (told[0] if told else opened)
        yield trace.saying(**cause).stage(Stage.CLASSIFY, opened, first)
    if status.resolved_at is None:
        return
    gone = gone_at(status, plan)
    if gone is not None:
        yield trace.stage(Stage.RESOLVE, gone, status.resolved_at)
    whole = trace.saying(type=str(spec.type), severity=str(spec.severity), plans=len(status.plans), **cause)
    whole = whole.saying(outcome=status.reason or str(status.phase))
    yield whole.span(WHOLE, f"incident {spec.type}", begun, status.resolved_at, parent=None)


def trace_plan(plan: RecoveryPlan, incident: Incident | None) -> Iterator[Span]:
    """What is over of the plan; `incident` is that of the plan, None where it is gone."""
    spec, status, own = plan.spec, plan.status, f"plan/{plan.metadata.uid}"
    trace = _about(spec.incident_ref.uid, plan.metadata.namespace, spec.incident_ref.name, spec.service_ref.name)
    trace, made = trace.saying(plan=plan.metadata.name), plan.metadata.creation_timestamp
    told = incident.status.classification.told_at if incident and incident.status.classification else None
    if made is not None and told is not None and (status.started_at or status.finished_at):
        yield trace.span(f"{own}/stage/{Stage.PLAN}", str(Stage.PLAN), min(told, made), made, parent=WHOLE)
    said = find_condition(status.conditions, APPROVED)
    if made is not None and status.started_at is not None and said and is_true(status.conditions, APPROVED):
        approved = max(made, said.last_transition_time)
        yield trace.stage(Stage.APPROVE, made, approved, parent=own)
        yield trace.stage(Stage.START, approved, status.started_at, parent=own)
    for step, now in zip(spec.steps, status.steps, strict=False):
        yield from _trace_step(trace.saying(step=step.name), own, step, now)
    if made is not None and status.finished_at is not None:
        problem = (status.reason or str(status.phase)) if status.phase in _FAILED else None
        name = f"plan {spec.runbook_ref.name}" if spec.runbook_ref else "plan written by hand"
        end = trace.saying(phase=str(status.phase), digest=status.digest or "")
        yield end.span(own, name, made, status.finished_at, parent=WHOLE, problem=problem)


def _about(uid: str, namespace: str, incident: str, service: str) -> _Trace:
    return _Trace(uid, {"k8s.namespace.name": namespace}).saying(incident=incident, service=service)


def _trace_step(trace: _Trace, plan: str, step: Step, now: StepStatus) -> Iterator[Span]:
    own = f"{plan}/step/{step.name}"
    yield from _trace_operation(trace, own, plan, f"step {step.action}", now)
    if now.finished_at and now.effective_at and now.started_at and step.action is not Action.WAIT:
        if step.action.writes:
            yield trace.stage(Stage.ACT, now.started_at, now.effective_at, parent=own)
        yield trace.stage(Stage.VERIFY, now.effective_at, now.finished_at, parent=own)
    if now.rollback:
        yield from _trace_operation(trace, f"{own}/undo", plan, f"undo {step.action}", now.rollback)


def _trace_operation(trace: _Trace, own: str, plan: str, name: str, now: OperationStatus) -> Iterator[Span]:
    if now.started_at and now.finished_at:
        problem = (now.reason or "Failed") if now.phase is OperationPhase.FAILED else None
        end = trace.saying(phase=str(now.phase))
        yield end.span(own, name, now.started_at, now.finished_at, parent=plan, problem=problem)
    if now.intent and now.answer and now.answer.result != "NotSent":
        yield _trace_write(trace, own, now.intent, now.answer)


def _trace_write(trace: _Trace, step: str, intent: Intent, answer: Answer) -> Span:
    """From when the request was stored to when its answer was known. Its arguments and AWS's words stay in status."""
    request = intent.request
    call = {"rpc.system": "aws-api", "rpc.service": request.service, "rpc.method": request.operation}
    trace = trace.saying(token=intent.token, attempt=intent.attempt, result=answer.result)
    trace = replace(trace, about={**trace.about, **call})
    problem = answer.result if answer.result in {"Refused", "Unknown"} else None
    key, name = f"{step}/write/{intent.token}", f"{request.service}.{request.operation}"
    span = trace.span(key, name, intent.written_at, answer.at, parent=step, problem=problem)
    return replace(span, client=True)
