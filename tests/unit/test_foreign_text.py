"""What others write is redacted and cut before anything is made of it, whichever way it comes in."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.observed import AwsError
from bokgu.api.outbox import Addressee, Outbox
from bokgu.api.recovery_plan import Answer, OperationStatus, Step
from bokgu.api.vocabulary import DetectionState, IncidentPhase, Language
from bokgu.commands.explanation import Explanation
from bokgu.commands.explanation_text import format_explanation
from bokgu.commands.overview import Entry
from bokgu.core.alertmanager import build_statement as hear_alert
from bokgu.core.alertmanager import parse_notification
from bokgu.core.alerts.notices import Neighbourhood, list_incident_notices
from bokgu.core.alerts.outbox import post_notices
from bokgu.core.awaiting import find_wait
from bokgu.core.ecs_event import find_reason
from bokgu.core.event import parse_event
from bokgu.core.finding import build_incident
from bokgu.core.guards.deployment import check_not_rolling_back, check_settled
from bokgu.core.history import build_record
from bokgu.core.live_state import LiveState
from bokgu.core.recent_stops import read_stop
from bokgu.core.service_state import ServiceLook, evaluate_crash_loop, evaluate_deployment
from bokgu.core.timeline import build_timeline
from bokgu.core.writes.table import write_of
from bokgu.core.writes.write import build_request
from tests.secrets_in_text import SECRETS, find_secrets
from tests.unit.facts import (
    NOW,
    deploying,
    deployment,
    described_deployment,
    incident,
    roll_back,
    service,
    service_deployment,
    stopped_task,
    task,
    task_arn,
)
from tests.unit.test_alarm_event import hear as hear_alarm
from tests.unit.test_alertmanager import alert, body
from tests.unit.test_guards import guard_facts
from tests.unit.test_writes import ROLLBACK, STOP, intent
from tests.world import events

LONGEST = 300
"""Characters of a quote."""


def tell(one: Incident) -> str:
    """All that is made of an incident: its spec, timeline, alerts, the record of it, and what a terminal shows."""
    fresh = replace_status(one, phase=IncidentPhase.DETECTED)
    timeline = build_timeline(fresh, fresh.status, None, now=NOW, message="")
    notices = list_incident_notices(fresh, fresh.status, None, Neighbourhood(), outbox=Outbox(), now=NOW)
    outbox = post_notices(Outbox(), notices, lambda _: (Addressee(receiver="all", language=Language.EN),))
    assert outbox.alerts
    record = build_record(fresh, (), "production")
    shown = format_explanation(Explanation(Entry(fresh, None, find_wait(fresh, None)), NOW), colour=False)
    stored = [one.spec.to_dict(), [t.to_dict() for t in timeline], outbox.to_dict(), record.to_dict()]
    return json.dumps([*stored, shown, [notice.message for notice in notices]], ensure_ascii=False)


def replace_status(one: Incident, **status: Any) -> Incident:
    metadata = one.metadata.model_copy(update={"uid": "0a1b2c3d", "creation_timestamp": NOW})
    return one.model_copy(update={"status": IncidentStatus(**status), "metadata": metadata})


def through_alertmanager(annotation: str) -> Callable[[str], str]:
    def send(text: str) -> str:
        said = {"bokgu_value": "1", "bokgu_threshold": "2", annotation: text}
        statement = hear_alert(parse_notification(body(alert(annotations=said))).alerts[0], NOW)
        return tell(build_incident(statement.finding, ""))  # type: ignore[union-attr]  # All labels are there.

    return send


def through_a_wrong_label(text: str) -> str:
    return repr(hear_alert(parse_notification(body(alert({"bokgu_type": text}))).alerts[0], NOW))


def through_an_alarm(text: str) -> str:
    event = events.alarm("cpu", metrics=[events.cpu_of("api")])
    event["detail"]["state"]["reason"] = text
    (statement,) = hear_alarm(event)
    return tell(build_incident(statement.finding, ""))


def through_a_task_event(text: str) -> str:
    container = {"name": "app", "exitCode": 1, "reason": text}
    event = parse_event(json.dumps(events.stopped_task("api", stoppedReason=text, containers=[container])))
    stop = read_stop(event)
    assert stop is not None
    return f"{stop.to_dict()} {find_reason(event)}"


def through_a_deployment_event(text: str) -> str:
    event = events.deployment("api")
    event["detail"]["reason"] = text
    return repr(find_reason(parse_event(json.dumps(event))))


def through_a_filed_incident(text: str) -> str:
    return tell(incident(description=text))


def through_the_state_of_a_deployment(text: str) -> str:
    failed = service(deployments=(deployment(2, state="FAILED", rollout_state_reason=text),))
    rolling = service(deployments=(deployment(2, state="IN_PROGRESS", rollout_state_reason=text),))
    going_back = (service_deployment(2, NOW, "ROLLBACK_IN_PROGRESS"),)
    looks = (ServiceLook(failed, NOW), ServiceLook(rolling, NOW, going_back))
    said = [evaluate_deployment(look, {}, False).reading for look in looks]
    assert all(reading.state is DetectionState.FIRING for reading in said)
    return repr(said)


def through_crashed_tasks(text: str) -> str:
    crashed = tuple(replace(stopped_task(n), reason=text) for n in range(5))
    reading = evaluate_crash_loop(ServiceLook(service(), NOW, stopped_tasks=crashed), {}, False).reading
    assert reading.state is DetectionState.FIRING
    return repr(reading)


def through_a_deployment_of_ours(text: str) -> str:
    ours = OperationStatus(
        intent=intent(ROLLBACK, service()), answer=Answer(at=NOW, result="Accepted", deployment_id="ecs-svc/2")
    )
    failed = deployment(2, state="FAILED", rollout_state_reason=text)
    replaced = deployment(3, rollout_state_reason=f"rolling back to deployment ecs-svc/1: {text}")
    worlds = [(failed,), (replaced,), (deployment(3), failed)]
    found = [
        write_of(ROLLBACK).find_change(ours, LiveState(service(deployments=world)), frozenset()) for world in worlds
    ]
    assert all(found)
    return repr(found)


def through_a_rollback_of_ours(text: str) -> str:
    ours = OperationStatus(intent=intent(STOP, deploying(2, 1)), answer=Answer(at=NOW, result="Accepted"))
    live = LiveState(deploying(2, 1), described_deployment(2, replaces=1, status="ROLLBACK_FAILED", status_reason=text))
    change = write_of(STOP).find_change(ours, live, frozenset())
    assert change is not None
    return change.message


def through_the_gates(text: str) -> str:
    """What a rollback is held by, as ECS says it."""
    returning = described_deployment(2, replaces=1, status="ROLLBACK_IN_PROGRESS", rollback_reason=text)
    held = check_not_rolling_back(guard_facts(step=Step.model_validate(roll_back()), deployment=returning))
    given_up = described_deployment(2, replaces=1, rollback_reason=text)
    failed = service(deployments=(deployment(2, state="FAILED", rollout_state_reason=text), deployment(1)))
    at_fault = [
        check_settled(guard_facts(step=Step.model_validate(roll_back()), service=failed, deployment=described))
        for described in (given_up, replace(given_up, rollback_reason=""))
    ]
    assert not held.passed
    return repr([held, *at_fault])


def through_a_stopped_task(text: str) -> str:
    stop = build_request("ecs", "StopTask", {"cluster": "shop", "task": task_arn(1), "reason": "bokgu"})
    ended = task(1, last_status="STOPPED", stopped_reason=text)
    done = OperationStatus(intent=intent(stop, service()), answer=Answer(at=NOW, result="Accepted"))
    return write_of(stop).describe(done, LiveState(service(), tasks={ended.arn: ended}))


def through_a_refusal(text: str) -> str:
    error = AwsError("UpdateService", "ClientException", text, sent=False)
    return f"{error} {error.message} {error!r}"


WAYS = {
    "alert_summary": through_alertmanager("summary"),
    "alert_description": through_alertmanager("description"),
    "alert_unit": through_alertmanager("bokgu_unit"),
    "alert_label": through_a_wrong_label,
    "alarm": through_an_alarm,
    "task_event": through_a_task_event,
    "deployment_event": through_a_deployment_event,
    "filed_incident": through_a_filed_incident,
    "deployment_state": through_the_state_of_a_deployment,
    "crashed_tasks": through_crashed_tasks,
    "own_deployment": through_a_deployment_of_ours,
    "own_rollback": through_a_rollback_of_ours,
    "gates": through_the_gates,
    "stopped_task": through_a_stopped_task,
    "refusal": through_a_refusal,
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=16)
@given(secret=st.sampled_from(SECRETS), before=st.integers(0, 240), after=st.integers(0, 60))
def test_no_secret_comes_in(way: str, secret: str, before: int, after: int) -> None:
    told = WAYS[way]("word " * before + secret + " word" * after)
    assert find_secrets(told) == []


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_in_begins_no_line_of_its_own(way: str) -> None:
    """A line break that `repr` and JSON show apart from a space; all else that cannot be seen goes the same way."""
    told = WAYS[way]("word\x85word")
    assert "word word" in told
    assert "\x85" not in told
    assert "\\x85" not in told


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_in_is_short(way: str) -> None:
    told = WAYS[way]("word " * 400)
    assert "word " in told
    assert "word " * (LONGEST // 5 + 1) not in told
