"""What a pass makes of alerts: from the store and the policy to the outbox that it stores."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.outbox import Outbox
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.vocabulary import Severity
from bokgu.core.alerts.outbox import Delivery
from bokgu.kube.client import KubeError
from bokgu.metrics.alerts import ALERTS_UNDECIDED
from bokgu.reconcile import alerting
from bokgu.reconcile import incident as incident_pass
from bokgu.reconcile.alerting import outbox_stored, tell_of_incident, tell_of_namespace
from bokgu.reconcile.context import Context
from bokgu.reconcile.surroundings import look_around_plan
from tests.unit.facts import NOW, classification, incident, metadata, plan, protected_service, scale_out
from tests.unit.test_plan_incident import Past, context

CLASSIFIED = IncidentStatus.model_validate({"phase": "Classified"})


def policy(*routes: dict[str, Any], **spec: Any) -> RecoveryPolicy:
    body = {"alerts": routes, **spec}
    return RecoveryPolicy.model_validate({"metadata": metadata("default", "9d9d-policy"), "spec": body})


def given(*objects: Any, receivers: frozenset[str] | None = frozenset({"default", "team"})) -> Context:
    one = context(Past(), *objects)
    one.alerting.receivers = receivers
    return one


def tell(one: Context, about: Incident, status: IncidentStatus = CLASSIFIED, of: RecoveryPlan | None = None) -> Outbox:
    return tell_of_incident(one, about, status, of).outbox or Outbox()


def told(outbox: Outbox) -> list[tuple[str, list[str]]]:
    return [(alert.kind, [to.receiver for to in alert.to]) for alert in outbox.alerts]


def test_without_a_policy_what_is_urgent_goes_to_the_default_receiver() -> None:
    high, medium = incident(severity="high"), incident(severity="medium")
    assert told(tell(given(high), high)) == [("IncidentDetected", ["default"])]
    assert tell_of_incident(given(medium), medium, CLASSIFIED, None).outbox is None
    for nobody in (None, frozenset[str]()):
        assert tell_of_incident(given(high, receivers=nobody), high, CLASSIFIED, None).outbox is None


RESOLVED = {"phase": "Resolved", "reason": "Cleared", "resolvedAt": NOW}


def end(one: Context, about: Incident, outbox: Outbox | None, **changes: Any) -> list[tuple[str, list[str]]]:
    """What is told when the incident that was told like this is over."""
    known = about.model_copy(update={"status": CLASSIFIED.model_copy(update={"outbox": outbox})})
    before = {alert.number for alert in outbox.alerts} if outbox else set()
    found = tell(one, known, IncidentStatus.model_validate({**RESOLVED, "outbox": outbox, **changes}))
    return [(a.kind, [to.receiver for to in a.to]) for a in found.alerts if a.number not in before]


def test_the_end_of_an_incident_is_told_where_its_begin_was() -> None:
    high, medium = incident(severity="high"), incident(severity="medium")
    assert end(given(high), high, tell(given(high), high)) == [("IncidentResolved", ["default"])]
    assert end(given(medium), medium, None) == []
    routes = (
        {"name": "bad", "severities": ["high"], "receivers": ["team"]},
        {"name": "calls", "kinds": ["Escalated"], "receivers": ["pager"]},
    )
    one = given(high, policy(*routes))
    assert end(one, high, tell(one, high)) == [("IncidentResolved", ["team"])]


def test_the_end_is_told_though_it_has_become_less_bad_meanwhile() -> None:
    medium, impact = incident(severity="medium"), classification(impactLevel="critical")
    worse = CLASSIFIED.model_copy(update={"classification": impact})
    assert end(given(medium), medium, tell(given(medium), medium, worse)) == [("IncidentResolved", ["default"])]


def test_the_end_is_told_also_before_the_secret_is_read_after_a_restart() -> None:
    high = incident(severity="high")
    outbox = tell(given(high), high)
    assert end(given(high, receivers=None), high, outbox) == [("IncidentResolved", ["default"])]
    assert end(given(high, receivers=frozenset()), high, outbox) == [], "the Secret has nobody any more"


def test_the_end_is_told_once() -> None:
    high = incident(severity="high")
    one = given(high)
    told_of = tell_of_incident(one, high, CLASSIFIED, None)
    status = IncidentStatus.model_validate({**RESOLVED, "outbox": told_of.outbox})
    over = tell_of_incident(one, high.model_copy(update={"status": told_of}), status, None)
    again = tell_of_incident(one, high.model_copy(update={"status": over}), over, None)
    assert again == over != status


def test_routes_know_the_environment_and_the_service() -> None:
    about = incident(severity="medium")
    staging = protected_service(environment="staging")
    routes = ({"name": "a", "environments": ["staging"], "receivers": ["team"]},)
    assert told(tell(given(about, staging, policy(*routes)), about)) == [("IncidentDetected", ["team"])]
    assert tell(given(about, protected_service(), policy(*routes)), about) == Outbox()


def test_a_status_holds_what_its_transition_brings_and_tells_it_once() -> None:
    about, running = incident(severity="high"), plan(scale_out(), status={"phase": "InProgress", "startedAt": NOW})
    one = given(about)
    first = tell_of_incident(one, about, CLASSIFIED, running)
    assert first.outbox
    assert [a.kind for a in first.outbox.alerts] == ["IncidentDetected", "RecoveryStarted"]
    known = about.model_copy(update={"status": first})
    assert tell_of_incident(one, known, first, running) == first


def test_what_was_delivered_is_marked_and_what_came_meanwhile_stays() -> None:
    about = incident(severity="high")
    one = given(about)
    status = tell_of_incident(one, about, CLASSIFIED, None)
    outbox_stored(one, about, status.outbox)
    uid = about.metadata.uid
    assert one.alerting.waiting[about.key] == (uid, status.outbox)
    one.alerting.note(about.key, "0-of-another-of-that-name", Delivery("default", 1, NOW))
    one.alerting.note(about.key, uid, Delivery("default", 1, NOW))
    marked = tell_of_incident(one, about, status, None)
    late = Delivery("default", 2, NOW)
    one.alerting.note(about.key, uid, late)
    outbox_stored(one, about, marked.outbox)
    assert marked.outbox
    assert marked.outbox.receivers[0].delivered == 1
    assert one.alerting.deliveries[about.key] == ((uid, late),)
    assert about.key not in one.alerting.waiting


def test_what_was_delivered_is_not_folded_into_what_comes_next() -> None:
    about = incident(severity="medium", meta={"uid": "1-inc"})
    routes = (
        {"name": "all", "receivers": ["team"]},
        {"name": "mild", "severities": ["medium"], "receivers": ["chat"]},
    )
    one = given(about, policy(*routes), receivers=frozenset({"team", "chat"}))
    status = tell_of_incident(one, about, CLASSIFIED, None)
    for receiver in ("team", "chat"):
        one.alerting.note(about.key, about.metadata.uid, Delivery(receiver, 1, NOW))
    worse = about.model_copy(update={"spec": about.spec.model_copy(update={"severity": Severity.CRITICAL})})
    outbox = tell_of_incident(one, worse, status, None).outbox or Outbox()
    assert told(outbox) == [("IncidentDetected", ["team", "chat"]), ("IncidentDetected", ["team"])]
    assert [alert.count for alert in outbox.alerts] == [1, 1]


def test_what_waits_goes_out_also_while_passes_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("no plan to be read")

    monkeypatch.setattr(incident_pass, "_look", fail)
    about = incident(severity="high")
    stored = about.model_copy(update={"status": tell_of_incident(given(about), about, CLASSIFIED, None)})
    kube = Kube()
    restarted = replace(given(stored), kube=cast(Any, kube))
    with pytest.raises(RuntimeError, match="no plan"):
        asyncio.run(incident_pass.reconcile(restarted, about.key))
    assert about.key in restarted.alerting.waiting
    restarted.alerting.note(about.key, about.metadata.uid, Delivery("default", 1, NOW))
    with pytest.raises(RuntimeError, match="no plan"):
        asyncio.run(incident_pass.reconcile(restarted, about.key))
    assert [r["delivered"] for status in kube.written for r in status["outbox"]["receivers"]] == [1]
    assert about.key not in restarted.alerting.waiting


def test_a_pass_that_fails_marks_the_same_the_next_time() -> None:
    about = incident(severity="high")
    one = given(about)
    status = tell_of_incident(one, about, CLASSIFIED, None)
    one.alerting.note(about.key, about.metadata.uid, Delivery("default", 1, NOW))
    assert tell_of_incident(one, about, status, None) == tell_of_incident(one, about, status, None) != status


def test_a_defect_in_alerts_never_fails_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    about = incident(severity="high")
    one = given(about)
    status = tell_of_incident(one, about, CLASSIFIED, None)
    one.alerting.note(about.key, about.metadata.uid, delivery := Delivery("default", 1, NOW))
    before = ALERTS_UNDECIDED._value.get()
    for broken in (lambda *_, **__: 1 / 0, lambda *_, **__: (None,)):
        monkeypatch.setattr(alerting, "list_incident_notices", broken)
        assert tell_of_incident(one, about, status, None) == status
    outbox_stored(one, about, status.outbox)
    assert one.alerting.deliveries[about.key] == ((about.metadata.uid, delivery),), "to be marked later"
    assert ALERTS_UNDECIDED._value.get() == before + 2


def test_what_the_api_server_would_not_take_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    about = incident(severity="high")
    too_long = Outbox.model_construct(last=1, told=("x" * 200,), alerts=(), receivers=())
    monkeypatch.setattr(alerting, "post_notices", lambda *_: too_long)
    assert tell_of_incident(given(about), about, CLASSIFIED, None).outbox is None


class Kube:
    """An API server that takes one status, or none."""

    def __init__(self, error: KubeError | None = None) -> None:
        self.error, self.written, self.clock_ahead = error, list[dict[str, Any]](), timedelta()

    async def replace_status(self, _plural: str, body: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        if self.error:
            raise self.error
        self.written.append(status)
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "2"}, "status": status}


@pytest.mark.parametrize("error", [None, KubeError(500, "InternalError", "no"), KubeError(0, "Unreachable", "no")])
def test_people_know_of_an_incident_that_cannot_be_looked_at(
    error: KubeError | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any) -> None:
        raise RuntimeError("AWS hangs")

    monkeypatch.setattr(incident_pass, "_look", hang)
    about = incident(severity="high")
    kube = Kube(error)
    one = replace(given(about), kube=cast(Any, kube))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="AWS hangs"):
            asyncio.run(incident_pass.reconcile(one, about.key))
    assert len(kube.written) == (0 if error else 1)
    if not error:
        assert [a["kind"] for a in kube.written[0]["outbox"]["alerts"]] == ["IncidentDetected"]
        assert about.key in one.alerting.waiting


def test_a_policy_that_cannot_be_read_leaves_the_default() -> None:
    about = incident(severity="high")
    one = given(about)
    raw = policy().to_dict() | {"metadata": metadata("default", "9d"), "spec": {"alerts": "nonsense"}}
    one.objects.put("recoverypolicies", raw)
    assert told(tell(one, about)) == [("IncidentDetected", ["default"])]


def flood(number: int) -> list[Incident]:
    """Incidents that were opened one minute after the other, the last of them now."""
    meta = [
        {"name": f"inc-{n}", "uid": f"{n}-inc", "creationTimestamp": NOW - timedelta(minutes=number - 1 - n)}
        for n in range(number)
    ]
    return [incident(severity="high", meta=one) for one in meta]


def test_s7_a_storm_is_told_once_by_the_incident_that_made_it_one() -> None:
    incidents = flood(8)
    one = given(*incidents)
    assert [told(tell(one, about)) for about in incidents].count([("Storm", ["default"])]) == 1
    assert told(tell(one, incidents[4])) == [("Storm", ["default"])]
    assert [told(tell(one, about)) for about in incidents if about is not incidents[4]] == [[]] * 7


def test_s7_a_storm_is_told_whatever_the_incident_that_made_it_one() -> None:
    incidents = flood(8)
    first = incidents[4]
    mild = first.model_copy(update={"spec": first.spec.model_copy(update={"severity": Severity.MEDIUM})})
    one = given(*incidents[:4], mild, *incidents[5:])
    assert told(tell(one, mild)) == [("Storm", ["default"])]


def test_s7_who_was_told_of_before_the_storm_tells_of_it_all_the_same() -> None:
    """All of one second, and the first of them passed before the others were there."""
    incidents = [
        one.model_copy(update={"metadata": flood(1)[0].metadata.model_copy(update=of)})
        for one, of in ((about, {"name": about.metadata.name, "uid": about.metadata.uid}) for about in flood(8))
    ]
    first, others = incidents[0], incidents[1:]
    alone = tell_of_incident(given(first), first, CLASSIFIED, None)
    assert told(alone.outbox or Outbox()) == [("IncidentDetected", ["default"])]
    asked: list[Any] = []
    one = replace(given(*incidents), enqueue=asked.append)
    assert [told(tell(one, about)) for about in others] == [[]] * 7
    assert set(asked) == {first.key}, "the others have it pass again"
    known = first.model_copy(update={"status": alone})
    assert told(tell(one, known, alone)) == [("IncidentDetected", ["default"]), ("Storm", ["default"])]


def test_s7_a_policy_tells_of_the_storm_and_no_incident_does() -> None:
    incidents, own = flood(8), policy({"name": "all", "receivers": ["team"]})
    one = given(own, *incidents)
    assert [tell(one, about) for about in incidents] == [Outbox()] * 8
    around = look_around_plan(one, "shop", None, own)
    status = tell_of_namespace(one, own, own.status, around)
    assert told(status.outbox or Outbox()) == [("Storm", ["team"])]
    known = own.model_copy(update={"status": status})
    assert tell_of_namespace(one, known, status, around) == status
    assert tell_of_namespace(one, own, own.status, replace(around, storm=None)).outbox is None
