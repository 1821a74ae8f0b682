"""What is so now, as a scrape shows it: exact, and the same to a process that has just started."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bokgu.api.outbox import Addressee, Alert, Outbox, ReceiverStatus
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.vocabulary import AlertKind, Language
from bokgu.reconcile.context import Context
from bokgu.reconcile.scope import scope_key
from bokgu.reconcile.scope_memory import ScopeMemory
from bokgu.runtime.queue import Queue
from bokgu.runtime.state_metrics import STATE_METRICS, StateCollector, collected
from tests.unit.facts import (
    MINUTE,
    NOW,
    detection,
    detector,
    incident,
    manual,
    metadata,
    plan,
    protected_service,
    scale_out,
)
from tests.unit.test_plan_incident import Past, context

Samples = dict[str, float]


def scrape(one: Context, queues: dict[str, Queue] | None = None) -> Samples:
    """What Prometheus reads: each line of the text format, and its value."""
    registry = CollectorRegistry()
    registry.register(StateCollector(one, queues or {}))
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(value) for name, value in (li.rsplit(" ", 1) for li in lines if not li.startswith("#"))}


def of(samples: Samples, name: str) -> Samples:
    """The samples of one metric that are not zero."""
    return {key: value for key, value in samples.items() if key.partition("{")[0] == name and value}


def look(name: str, *objects: Any) -> Samples:
    return of(scrape(context(Past(), *objects)), name)


def policy(namespace: str = "shop", status: dict[str, Any] | None = None, **spec: Any) -> RecoveryPolicy:
    return RecoveryPolicy.model_validate(
        {
            "kind": "RecoveryPolicy",
            "metadata": metadata("default", f"policy-{namespace}", namespace=namespace),
            "spec": spec,
            "status": status or {},
        }
    )


def test_open_incidents_are_told_by_all_that_they_are() -> None:
    another = {"name": "incident-2", "uid": "uid-2"}
    found = look(
        "bokgu_incidents",
        protected_service(environment="staging"),
        incident(status={"phase": "AwaitingApproval"}),
        incident(meta=another, type="service_down", severity="critical", source={"kind": "Alarm", "name": "down"}),
        incident(meta={"name": "incident-3", "uid": "uid-3"}, status={"phase": "Resolved"}),
    )
    kinds = (
        ("AwaitingApproval", "high", "Detector", "high_error_rate"),
        ("Detected", "critical", "Alarm", "service_down"),
    )
    assert found == {
        f'bokgu_incidents{{environment="staging",namespace="shop",phase="{phase}",service="api",severity="{severity}",'
        f'source="{source}",type="{type_}"}}': 1
        for phase, severity, source, type_ in kinds
    }


def test_alerts_that_are_not_taken_say_of_when_they_are() -> None:
    one = context(Past())
    one.alerting.receivers = frozenset({"pager", "chat"})
    to = tuple(Addressee(receiver=name, language=Language.EN) for name in ("pager", "chat", "made-up"))
    alerts = tuple(Alert(number=n, kind=AlertKind.ESCALATED, at=NOW + n * MINUTE, to=to) for n in (1, 2))
    outbox = Outbox(last=2, alerts=alerts, receivers=(ReceiverStatus(name="chat", delivered=1),))
    one.alerting.stored(("incidents", "shop", "a"), "uid-a", outbox)
    assert of(scrape(one), "bokgu_alerts_waiting_since_timestamp_seconds") == {
        f'bokgu_alerts_waiting_since_timestamp_seconds{{receiver="{name}"}}': (NOW + minutes * MINUTE).timestamp()
        for name, minutes in (("pager", 1), ("chat", 2), ("unknown", 1))
    }


def test_an_incident_of_a_service_that_is_gone_has_no_environment() -> None:
    (labels,) = look("bokgu_incidents", incident())
    assert 'environment=""' in labels


def test_an_open_incident_says_since_when() -> None:
    found = look("bokgu_incident_detected_timestamp_seconds", incident(detectedAt=NOW - 20 * MINUTE))
    assert list(found.values()) == [(NOW - 20 * MINUTE).timestamp()]


def test_an_object_that_cannot_be_read_hides_no_other() -> None:
    one = context(Past(), incident())
    raw = {"metadata": metadata("broken", "uid-broken"), "spec": {"serviceRef": {"name": "api"}, "type": "unheard"}}
    one.objects.put("incidents", raw)
    assert len(of(scrape(one), "bokgu_incidents")) == 1


# Plans


def waiting_plan(**meta: Any) -> Any:
    return plan(status={"phase": "AwaitingApproval"}, meta={"creationTimestamp": NOW - 7 * MINUTE, **meta})


APPROVAL = '{kind="approval",namespace="shop",service="api"}'


def test_a_plan_waits_for_approval_since_it_was_made() -> None:
    samples = scrape(context(Past(), protected_service(), waiting_plan()))
    assert samples[f"bokgu_approvals_waiting{APPROVAL}"] == 1
    assert samples[f"bokgu_approvals_waiting_since_timestamp_seconds{APPROVAL}"] == (NOW - 7 * MINUTE).timestamp()


def test_the_oldest_of_several_counts() -> None:
    older = waiting_plan(name="plan-2", uid="uid-2", creationTimestamp=NOW - 9 * MINUTE)
    samples = scrape(context(Past(), protected_service(), waiting_plan(), older))
    assert samples[f"bokgu_approvals_waiting{APPROVAL}"] == 2
    assert samples[f"bokgu_approvals_waiting_since_timestamp_seconds{APPROVAL}"] == (NOW - 9 * MINUTE).timestamp()


@pytest.mark.parametrize("mode", ["Observe", "Propose"])
def test_a_plan_that_is_not_to_run_waits_for_nobody(mode: str) -> None:
    assert look("bokgu_approvals_waiting", protected_service(mode=mode), waiting_plan()) == {}


@pytest.mark.parametrize("phase", ["Approved", "InProgress", "Completed", "Expired", "Cancelled"])
def test_a_plan_that_is_approved_or_over_waits_for_nobody(phase: str) -> None:
    assert look("bokgu_approvals_waiting", protected_service(), plan(status={"phase": phase})) == {}


def test_a_step_waits_for_a_confirmation_since_it_began() -> None:
    step = {"name": "look", "phase": "InProgress", "reason": "AwaitingConfirmation", "startedAt": NOW - 3 * MINUTE}
    status = {"phase": "InProgress", "steps": [step]}
    samples = scrape(context(Past(), protected_service(), plan(manual(name="look"), status=status)))
    labels = '{kind="confirmation",namespace="shop",service="api"}'
    assert samples[f"bokgu_approvals_waiting{labels}"] == 1
    assert samples[f"bokgu_approvals_waiting_since_timestamp_seconds{labels}"] == (NOW - 3 * MINUTE).timestamp()


def test_plans_that_are_not_over_are_told_by_phase() -> None:
    over = plan(status={"phase": "Failed"}, meta={"name": "plan-2", "uid": "uid-2"})
    found = look("bokgu_plans", plan(status={"phase": "Verifying"}), over)
    assert found == {'bokgu_plans{namespace="shop",phase="Verifying",service="api"}': 1}


def held(*closed: str) -> Any:
    names = ("Approved", "Mode", "WindowOpen", "WithinBudget")
    gates = [{"name": n, "passed": n not in closed, "reason": "Why" if n in closed else None} for n in names]
    return plan(status={"phase": "Approved", "gates": gates})


def test_every_closed_gate_holds_a_plan_and_missing_approvals_are_none() -> None:
    assert look("bokgu_plans_held", held("Approved", "WindowOpen", "WithinBudget")) == {
        f'bokgu_plans_held{{gate="{gate}",namespace="shop",service="api"}}': 1
        for gate in ("WindowOpen", "WithinBudget")
    }
    assert look("bokgu_plans_held", held("Approved")) == {}


# Guardrails


def running() -> Any:
    status = {"phase": "InProgress", "startedAt": NOW - MINUTE}
    return plan(scale_out(), status=status)


SHOP = 'namespace="shop"'


@pytest.mark.parametrize(
    ("objects", "left"),
    [
        ([], 1),
        ([policy(budget={"maxConcurrent": 3})], 3),
        ([policy(budget={"maxConcurrent": 3}), running()], 2),
        ([running()], 0),
        ([policy(budget={"maxConcurrent": 3}, pause=True)], 0),
        ([policy("bokgu-system", pause=True)], 0),
    ],
)
def test_the_budget_is_what_is_left_of_the_policy_or_of_its_defaults(objects: list[Any], left: int) -> None:
    assert scrape(context(Past(), protected_service(), *objects))[f"bokgu_budget_left{{{SHOP}}}"] == left


def test_with_a_policy_that_cannot_be_read_nothing_may_begin() -> None:
    one = context(Past(), protected_service())
    one.objects.put("recoverypolicies", {"metadata": metadata("default", "uid"), "spec": {"budget": "much"}})
    samples = scrape(one)
    assert (samples[f"bokgu_budget_left{{{SHOP}}}"], samples[f"bokgu_paused{{{SHOP}}}"]) == (0, 1)


def test_a_pause_of_the_operators_policy_is_one_of_every_namespace() -> None:
    found = look("bokgu_paused", protected_service(), policy("bokgu-system", pause=True))
    assert found == {f"bokgu_paused{{{SHOP}}}": 1, 'bokgu_paused{namespace="bokgu-system"}': 1}


@pytest.mark.parametrize(("number", "storm"), [(4, 0), (5, 1)])
def test_a_storm_is_seen_in_the_incidents_themselves(number: int, storm: int) -> None:
    incidents = [
        incident(meta={"name": f"i-{n}", "uid": f"uid-{n}", "creationTimestamp": NOW - MINUTE}) for n in range(number)
    ]
    samples = scrape(context(Past(), protected_service(), *incidents))
    assert samples[f"bokgu_storm_active{{{SHOP}}}"] == storm
    assert samples[f"bokgu_budget_left{{{SHOP}}}"] == 1 - storm


def test_breakers_are_read_where_they_are_stored() -> None:
    breaker = {"openedAt": NOW - MINUTE, "plans": ["plan-1"]}
    samples = scrape(context(Past(), protected_service(status={"breaker": breaker})))
    assert samples[f'bokgu_service_breaker_open{{{SHOP},service="api"}}'] == 1
    assert samples[f"bokgu_namespace_breaker_open{{{SHOP}}}"] == 0
    samples = scrape(context(Past(), protected_service(), policy(status={"breaker": breaker})))
    assert samples[f'bokgu_service_breaker_open{{{SHOP},service="api"}}'] == 0
    assert samples[f"bokgu_namespace_breaker_open{{{SHOP}}}"] == 1


# Detection


def test_services_are_told_by_mode_and_whether_they_are_watched() -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Looking", "lastTransitionTime": NOW}
    other = {"name": "web", "uid": "web-uid"}
    found = look(
        "bokgu_protected_services",
        protected_service(status={"conditions": [ready]}),
        protected_service(meta=other, mode="Observe", ecs={"cluster": "shop", "service": "web"}),
    )
    assert found == {
        f'bokgu_protected_services{{mode="Approve",{SHOP},ready="True"}}': 1,
        f'bokgu_protected_services{{mode="Observe",{SHOP},ready="Unknown"}}': 1,
    }


def test_detections_of_presets_and_detectors_are_counted_together() -> None:
    watching = detector().model_copy(
        update={"status": detector().status.model_copy(update={"detections": (detection(),)})}
    )
    seen = protected_service(status={"detections": [detection("Clear").to_dict(), detection(condition="b").to_dict()]})
    samples = scrape(context(Past(), seen, watching))
    said = {state: samples[f'bokgu_detections{{{SHOP},state="{state}"}}'] for state in ("Firing", "Clear", "Unknown")}
    assert said == {"Firing": 2, "Clear": 1, "Unknown": 0}


OVERDUE = 'bokgu_detection_overdue_seconds{region="us-east-1"}'


def test_what_was_never_looked_at_is_due_since_the_operator_started() -> None:
    one = context(Past(), protected_service())
    one.started_at = NOW - 2 * MINUTE
    assert scrape(one)[OVERDUE] == 120
    one.started_at = NOW - 60 * MINUTE  # Before the service was there.
    assert scrape(one)[OVERDUE] == 30 * 60


@pytest.mark.parametrize(("ago", "late"), [(30, 0), (60, 0), (90, 60), (600, 540)])
def test_a_look_is_overdue_from_its_next_time_on(ago: int, late: int) -> None:
    protected = protected_service()
    one, looked = context(Past(), protected), NOW - timedelta(seconds=ago)
    memory = one.scopes.setdefault(scope_key(protected), ScopeMemory())
    memory.looked_at[protected.key] = (protected.metadata.uid, 1, looked)
    # NOW is a full minute, and so is the interval.
    assert scrape(one)[OVERDUE] == late


def test_the_look_that_has_waited_longest_counts() -> None:
    protected = protected_service()
    one = context(Past(), protected, detector(interval="10m"))
    one.started_at = NOW - 5 * MINUTE
    memory = one.scopes.setdefault(scope_key(protected), ScopeMemory())
    memory.looked_at[protected.key] = (protected.metadata.uid, 1, NOW)
    assert scrape(one)[OVERDUE] == 300


# The collector


def test_queues_tell_how_many_wait() -> None:
    queue = Queue()
    for name in ("a", "b", "a"):
        queue.add(("incidents", "shop", name))
    samples = scrape(context(Past()), {"incidents": queue, "detectors": Queue()})
    assert of(samples, "bokgu_queue_depth") == {'bokgu_queue_depth{resource="incidents"}': 2}
    assert samples['bokgu_queue_depth{resource="detectors"}'] == 0


def test_a_process_that_has_just_started_tells_the_same() -> None:
    objects = [protected_service(), policy(budget={"maxConcurrent": 4}), incident(), waiting_plan(), detector()]
    one, again = context(Past(), *objects), context(Past(), *objects)
    before = scrape(one)
    scrape(one)
    assert scrape(one) == before == scrape(again)


def test_what_is_over_leaves_no_series() -> None:
    one = context(Past(), protected_service(), incident(), waiting_plan())
    assert of(scrape(one), "bokgu_incidents")
    done = incident(status={"phase": "Resolved"}, meta={"resourceVersion": "2"})
    one.objects.put("incidents", done.to_dict() | {"metadata": done.metadata.to_dict()})
    ended = plan(status={"phase": "Completed"}, meta={"resourceVersion": "2"})
    one.objects.put("recoveryplans", ended.to_dict() | {"metadata": ended.metadata.to_dict()})
    samples = scrape(one)
    for name in ("bokgu_incidents", "bokgu_plans", "bokgu_approvals_waiting"):
        assert of(samples, name) == {}


def test_it_is_asked_only_while_it_is_registered() -> None:
    registry = CollectorRegistry()
    with collected(registry, StateCollector(context(Past(), protected_service()), {})):
        assert b"bokgu_budget_left{" in generate_latest(registry)
    assert generate_latest(registry) == b""


def test_names_of_objects_are_labels_of_what_is_bounded_only() -> None:
    allowed = {"namespace", "service", "environment", "type", "severity", "source", "phase"} | {
        "gate", "kind", "mode", "ready", "state", "region", "resource", "receiver",
    }  # fmt: skip
    assert {label for metric in STATE_METRICS for label in metric.labels} <= allowed
