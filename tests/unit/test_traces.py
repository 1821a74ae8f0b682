"""The trace of an incident, from what its objects say."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog

from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.span import Span
from bokgu.core.traces import trace_incident, trace_of, trace_plan
from bokgu.reconcile import incident as incident_pass
from bokgu.reconcile import recovery_plan
from bokgu.reconcile.tracing import TOLD_AGAIN, Tracing
from tests.unit.facts import (
    DIGEST,
    INCIDENT_UID,
    MINUTE,
    NOW,
    classification,
    health_check,
    incident,
    plan,
    roll_back,
    task_definition,
)
from tests.unit.test_plan_incident import Past, context

OPENED = NOW - 19 * MINUTE
"""The incident of the facts is detected 20 minutes ago."""


def resolved(**status: Any) -> Incident:
    told = classification(toldAt=OPENED + MINUTE).to_dict()
    ends = {"phase": "Resolved", "reason": "Recovered", "mitigatedAt": NOW - 2 * MINUTE, "resolvedAt": NOW}
    return incident(meta={"creationTimestamp": OPENED}, status={"classification": told, **ends, **status})


def written(result: str = "Accepted", *, at: datetime = NOW - 8 * MINUTE, **fields: Any) -> dict[str, Any]:
    """An operation that wrote to AWS."""
    request = {"service": "ecs", "operation": "UpdateService", "arguments": '{"secret": "hunter2"}'}
    intent = {
        "token": "token-1",
        "attempt": 1,
        "planUID": "uid",
        "digest": DIGEST,
        "request": request,
        "before": {"desiredCount": 3, "taskDefinition": task_definition(2)},
        "holder": "operator-1",
        "writtenAt": at - timedelta(seconds=3),
    }
    answer = {"at": at, "result": result, "message": "words of AWS"}
    return {"startedAt": at - MINUTE, "intent": intent, "answer": answer, **fields}


def done(**status: Any) -> RecoveryPlan:
    """A plan that rolled back: the check, then the write."""
    check = {
        "name": "health-check",
        "phase": "Completed",
        "startedAt": NOW - 10 * MINUTE,
        "finishedAt": NOW - 9 * MINUTE,
    }
    check |= {"effectiveAt": NOW - 10 * MINUTE}
    wrote = written(effectiveAt=NOW - 6 * MINUTE, finishedAt=NOW - 4 * MINUTE, phase="Completed", name="rollback")
    approved = {"type": "Approved", "status": "True", "reason": "Approved", "lastTransitionTime": NOW - 12 * MINUTE}
    return plan(
        health_check(),
        roll_back(),
        meta={"creationTimestamp": OPENED + 2 * MINUTE},
        runbookRef={"name": "bad-deployment"},
        status={
            "phase": "Completed",
            "startedAt": NOW - 11 * MINUTE,
            "finishedAt": NOW - 4 * MINUTE,
            "digest": DIGEST,
            "conditions": [approved],
            "steps": [check, wrote],
            **status,
        },
    )


def minutes(span: Span) -> tuple[float, float]:
    """How many minutes ago it began and ended."""
    return ((NOW - span.begun) / MINUTE, (NOW - span.ended) / MINUTE)


def by_name(spans: Any) -> dict[str, Span]:
    return {span.name: span for span in spans}


def test_the_trace_of_an_incident_is_its_uid() -> None:
    uid = str(uuid4())
    assert trace_of(uid) == uid.replace("-", "")


@pytest.mark.parametrize("uid", ["0a1b2c3d-incident", "00000000-0000-0000-0000-000000000000", "x"])
def test_a_uid_that_is_no_trace_id_is_made_one(uid: str) -> None:
    """32 hexadecimal digits, and not all zero (W3C Trace Context, "trace-id")."""
    found = trace_of(uid)
    assert len(found) == 32
    assert int(found, 16) > 0
    assert found == trace_of(uid) != trace_of(f"{uid}2")


def test_an_incident_that_is_over_is_one_whole_with_its_stages() -> None:
    spans = by_name(trace_incident(resolved(), done()))
    assert {name: minutes(span) for name, span in spans.items()} == {
        "detect": (20, 19),
        "classify": (19, 18),
        "resolve": (2, 0),
        "incident high_error_rate": (20, 0),
    }
    whole = spans.pop("incident high_error_rate")
    assert whole.parent is None
    assert {span.parent for span in spans.values()} == {whole.id}
    assert whole.attributes["bokgu.outcome"] == "Recovered"
    assert whole.attributes["bokgu.root_cause"] == "TrafficSurge"


def test_an_open_incident_has_no_whole_yet() -> None:
    found = trace_incident(resolved(phase="Recovering", resolvedAt=None), None)
    assert set(by_name(found)) == {"detect", "classify"}


def test_the_first_cause_ends_the_classification_though_it_was_told_anew() -> None:
    timeline = [{"at": OPENED + MINUTE, "event": "Classified"}, {"at": NOW, "event": "Classified", "message": "anew"}]
    found = resolved(timeline=timeline, classification=classification(toldAt=NOW).to_dict())
    assert minutes(by_name(trace_incident(found, None))["classify"]) == (19, 18)


def test_a_plan_has_its_stages_its_steps_and_each_write() -> None:
    found = list(trace_plan(done(), resolved()))
    names = {span.id: span.name for span in found} | {next(trace_root()).id: "incident"}
    assert [(span.name, names[span.parent or ""], *minutes(span)) for span in found] == [
        ("plan", "incident", 18, 17),
        ("approve", "plan bad-deployment", 17, 12),
        ("start", "plan bad-deployment", 12, 11),
        ("step health_check", "plan bad-deployment", 10, 9),
        ("verify", "step health_check", 10, 9),
        ("step rollback_to_previous_version", "plan bad-deployment", 9, 4),
        ("ecs.UpdateService", "step rollback_to_previous_version", 8.05, 8),
        ("act", "step rollback_to_previous_version", 9, 6),
        ("verify", "step rollback_to_previous_version", 6, 4),
        ("plan bad-deployment", "incident", 17, 4),
    ]
    assert len({span.id for span in found}) == len(found)
    assert {span.trace for span in found} == {trace_of(INCIDENT_UID)}


def trace_root() -> Any:
    return (span for span in trace_incident(resolved(), None) if span.parent is None)


def test_a_write_says_what_was_called_and_nothing_that_may_be_secret() -> None:
    (write,) = [span for span in trace_plan(done(), None) if span.client]
    assert write.attributes["rpc.method"] == "UpdateService"
    assert write.attributes["bokgu.step"] == "rollback"
    assert "hunter2" not in repr(write)
    assert "words of AWS" not in repr(write)


@pytest.mark.parametrize(("result", "problem"), [("Refused", "Refused"), ("Unknown", "Unknown"), ("Adopted", None)])
def test_a_write_that_aws_did_not_take_has_failed(result: str, problem: str | None) -> None:
    failed = plan(roll_back(), status={"steps": [written(result, name="rollback")]})
    (write,) = [span for span in trace_plan(failed, None) if span.client]
    assert write.problem == problem


def test_what_was_not_sent_is_no_write() -> None:
    held = plan(roll_back(), status={"steps": [written("NotSent", name="rollback")]})
    assert not [span for span in trace_plan(held, None) if span.client]


def test_an_undo_is_a_span_of_its_own_with_its_own_write() -> None:
    undo = written(phase="Completed", finishedAt=NOW, at=NOW - MINUTE)
    undo["intent"]["token"] = "token-2"
    step = written(name="rollback", phase="Failed", reason="VerificationFailed", finishedAt=NOW - 2 * MINUTE)
    found = by_name(trace_plan(plan(roll_back(), status={"steps": [{**step, "rollback": undo}]}), None))
    assert found["step rollback_to_previous_version"].problem == "VerificationFailed"
    undone = found["undo rollback_to_previous_version"]
    assert undone.problem is None
    assert found["ecs.UpdateService"].parent == undone.id  # The later of the two.


def test_no_span_ends_before_it_begins() -> None:
    """Two clocks may have set its ends."""
    found = incident(meta={"creationTimestamp": NOW - 21 * MINUTE}, status={"resolvedAt": NOW - 30 * MINUTE})
    assert all(span.begun <= span.ended for span in trace_incident(found, None))


# What is told, and when


class Sent:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def send(self, spans: Any) -> None:
        self.spans += spans

    def names(self) -> list[str]:
        found, self.spans = [span.name for span in self.spans], []
        return sorted(found)


def test_each_span_is_told_once_by_the_status_that_ends_it() -> None:
    sent = Sent()
    tracing = Tracing(sent, NOW - 60 * MINUTE)
    fresh, told = incident(meta={"creationTimestamp": OPENED}), resolved(phase="Recovering", resolvedAt=None)
    tracing.tell_incident(fresh, told.status, None)
    assert sent.names() == ["classify", "detect"]
    tracing.tell_incident(told, told.status, None)
    assert sent.names() == []
    tracing.tell_incident(told, resolved().status, None)
    assert sent.names() == ["incident high_error_rate", "resolve"]
    tracing.tell_incident(resolved(), None, None)
    assert sent.names() == []


def test_after_a_restart_what_has_just_ended_is_told_again_and_is_the_same() -> None:
    before, after = Sent(), Sent()
    Tracing(before, NOW - 60 * MINUTE).tell_incident(
        incident(meta={"creationTimestamp": OPENED}), resolved().status, None
    )
    again = Tracing(after, NOW + TOLD_AGAIN)
    again.tell_incident(Incident.model_validate(resolved().to_dict()), None, None)
    assert [span for span in before.spans if span.ended == NOW] == after.spans != []
    again.tell_incident(resolved(), None, None)
    assert len(after.names()) == 2
    again.forget(resolved().key)


def test_passes_over_what_is_over_tell_what_the_process_before_may_not_have_told() -> None:
    over = done()
    ended = {"runbook": "bad-deployment", "outcome": over.status.phase}
    entry = {"name": over.metadata.name, "uid": over.metadata.uid, "digest": DIGEST, **ended}
    one, sent = context(Past(), over, resolved(plans=[entry])), Sent()
    one.tracing = Tracing(sent, NOW)
    asyncio.run(recovery_plan.reconcile(one, over.key))
    assert sent.names() == ["plan bad-deployment", "step rollback_to_previous_version", "verify"]
    asyncio.run(incident_pass.reconcile(one, resolved().key))
    assert sent.names() == ["incident high_error_rate", "resolve"]
    one.forget(over.key)
    assert over.key not in one.tracing.met


def test_a_defect_in_a_trace_costs_the_trace_and_nothing_else() -> None:
    class Broken:
        def send(self, spans: Any) -> None:
            raise RuntimeError("a defect")

    with structlog.testing.capture_logs() as said:
        Tracing(Broken(), NOW).tell_incident(resolved(), None, None)
        Tracing(Sent(), NOW).tell_incident(incident(meta={"creationTimestamp": None}, detectedAt=None), None, None)
    assert [line["event"] for line in said] == ["trace not told", "trace not told"]


def test_what_ended_long_before_a_start_is_not_told_again() -> None:
    sent = Sent()
    tracing = Tracing(sent, NOW + TOLD_AGAIN + MINUTE)
    tracing.tell_incident(resolved(), None, None)
    tracing.tell_plan(done(), None, None)
    assert sent.names() == []


def test_how_long_a_plan_took_to_be_made_is_told_when_it_begins() -> None:
    """Not before: its first pass may come before its incident says what the cause is."""
    sent = Sent()
    tracing = Tracing(sent, NOW - 60 * MINUTE)
    new, waiting, begun = (
        done().model_copy(update={"status": plan(status=status).status})
        for status in (None, {"phase": "AwaitingApproval"}, {"phase": "InProgress", "startedAt": NOW - 11 * MINUTE})
    )
    tracing.tell_plan(new, waiting.status, incident())
    assert sent.names() == []
    tracing.tell_plan(waiting, begun.status, resolved())
    assert sent.names() == ["plan"]
    tracing.tell_plan(begun, done().status, resolved())
    assert len(sent.names()) == 9
