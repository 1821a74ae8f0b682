"""The webhook, and a real Alertmanager that fires and resolves."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.alertmanager import Alertmanager
from tests.secrets_in_text import SECRETS, find_secrets
from tests.world.manifests import NAMESPACE, incident, protected_service
from tests.world.world import ROOT, Raw, World, wait_for

DOOR = "Alertmanager"


def post(world: World, body: bytes | Raw, token: str | None = None, path: str = "") -> tuple[int, str]:
    shown = world.webhook_token.read_text().strip() if token is None else token
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {shown}", "Content-Type": "application/json"}
    request = urllib.request.Request(world.webhook_url + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def alert(service: str, *, at: datetime, ended: datetime | None = None, **labels: str) -> Raw:
    return {
        "status": "resolved" if ended else "firing",
        "labels": {
            "alertname": "Errors",
            "namespace": NAMESPACE,
            "bokgu_service": service,
            "bokgu_type": "high_error_rate",
            "severity": "warning",
            **labels,
        },
        "annotations": {"summary": "too many errors", "bokgu_value": "0.37", "bokgu_threshold": "0.1"},
        "startsAt": at.isoformat(),
        "endsAt": (ended or datetime(1, 1, 1, tzinfo=UTC)).isoformat(),
        "fingerprint": "b8ec9cbd2ad7b9b6",
    }


def notify(*alerts: Raw) -> Raw:
    return {"version": "4", "status": "firing", "receiver": "bokgu", "alerts": list(alerts), "truncatedAlerts": 0}


@pytest.fixture
def service(world: World, request: pytest.FixtureRequest) -> Iterator[str]:
    """A ProtectedService whose ECS service is not there: alerts know of it all the same. Its incidents stay open."""
    name = f"alert-{abs(hash(request.node.name)) % 10**6}"
    world.apply(protected_service(name, detection={"relapseWatch": "30m"}))
    wait_for(lambda: (world.get("protectedservices", name) or {}).get("status"), 10, world.operator_log_tail)
    yield name
    world.control_plane.kubectl("delete", "protectedservice", name, "-n", NAMESPACE)
    for found in world.incidents_of(name):
        world.control_plane.kubectl("delete", "incident", found["metadata"]["name"], "-n", NAMESPACE)


def reports(world: World, service: str) -> list[tuple[str, str]]:
    """(state, name of the source) of all reports of the newest incident."""
    found = world.incidents_of(service)[-1].get("status", {}).get("reports", [])
    return [(r["state"], r["source"]["name"]) for r in found]


def test_s12_only_the_token_opens_the_door(world: World, service: str) -> None:
    body = notify(alert(service, at=datetime.now(UTC)))
    assert post(world, body, token="wrong")[0] == 401
    assert post(world, body, token="")[0] == 401
    assert post(world, body, token="ünïcode")[0] == 401
    assert world.incidents_of(service) == []
    assert post(world, body) == (200, "stored\n")
    assert len(world.incidents_of(service)) == 1


def test_a_renewed_token_counts_at_once(world: World) -> None:
    old = world.webhook_token.read_text()
    try:
        world.webhook_token.write_text("another one")
        assert post(world, notify(), token=old.strip())[0] == 401
        assert post(world, notify())[0] == 200
        world.webhook_token.write_text("\n")
        assert post(world, notify(), token="")[0] == 503
    finally:
        world.webhook_token.write_text(old)


def test_s12_bad_requests_get_a_clear_answer(world: World) -> None:
    assert post(world, b"{")[0] == 400
    status, text = post(world, {"version": "3", "alerts": []})
    assert (status, "version" in text) == (400, True)
    assert post(world, b" " * (1024 * 1024 + 1))[0] == 413
    assert post(world, notify(), path="/other")[0] == 404


def test_an_alert_opens_one_incident_however_often_it_comes(world: World, service: str) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=30)
    body = notify(alert(service, at=begun))
    assert [post(world, body)[0] for _ in range(3)] == [200, 200, 200]
    (found,) = world.incidents_of(service)
    spec = found["spec"]
    assert (spec["type"], spec["severity"]) == ("high_error_rate", "medium")
    assert spec["source"] == {"kind": DOOR, "name": "Errors", "condition": "b8ec9cbd2ad7b9b6"}
    assert spec["metrics"] == [{"name": "Errors", "value": "0.37", "unit": "None", "threshold": "0.1"}]
    assert spec["detectedAt"] == f"{begun:%Y-%m-%dT%H:%M:%SZ}"
    assert reports(world, service) == []


def test_resolved_alerts_clear_and_old_ones_change_nothing(world: World, service: str) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=30)
    ended = begun + timedelta(seconds=20)
    post(world, notify(alert(service, at=begun)))
    assert post(world, notify(alert(service, at=begun, ended=ended)))[0] == 200
    assert reports(world, service) == [("Clear", "Errors")]
    post(world, notify(alert(service, at=begun)))
    assert reports(world, service) == [("Clear", "Errors")]
    assert len(world.incidents_of(service)) == 1
    post(world, notify(alert(service, at=ended + timedelta(seconds=5))))
    assert reports(world, service) == [("Firing", "Errors")]
    assert len(world.incidents_of(service)) == 1


def test_another_alert_joins_the_incident_and_may_raise_its_severity(world: World, service: str) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=30)
    post(world, notify(alert(service, at=begun)))
    other = alert(service, at=begun, alertname="Worse", severity="critical") | {"fingerprint": "0000000000000000"}
    assert post(world, notify(other))[0] == 200
    (found,) = world.incidents_of(service)
    assert found["spec"]["severity"] == "critical"
    assert reports(world, service) == [("Firing", "Worse")]


def test_s12_alerts_about_nobody_are_named_and_the_others_stored(world: World, service: str) -> None:
    now = datetime.now(UTC)
    nameless = alert("", at=now, alertname="NoService")
    absent = alert("absent", at=now, alertname="Absent")
    status, text = post(world, notify(nameless, alert(service, at=now), absent))
    assert status == 422
    assert "NoService: it has no label bokgu_service" in text
    assert "Absent: there is no ProtectedService absent in shop" in text
    assert len(world.incidents_of(service)) == 1


def test_s12_no_secret_comes_in(world: World, service: str) -> None:
    """Not into the incident, its status, its Events: neither of an alert, nor of an incident that people have filed."""
    said = f"calls of {'; '.join(SECRETS)} failed; " + "and so on " * 100
    sent = alert(service, at=datetime.now(UTC) - timedelta(seconds=30))
    sent["annotations"] = {**sent["annotations"], "summary": said, "description": said, "bokgu_unit": SECRETS[0]}
    assert post(world, notify(sent))[0] == 200
    world.apply(incident(f"{service}-filed", service, description=said))
    wait_for(
        lambda: all(i.get("status", {}).get("timeline") for i in world.incidents_of(service)),
        15,
        world.operator_log_tail,
    )
    filed, opened = sorted(
        world.incidents_of(service), key=lambda found: not found["metadata"]["name"].endswith("-filed")
    )
    assert len(opened["spec"]["description"]) == 300
    assert find_secrets(json.dumps({**opened, "metadata": {}})) == []
    assert find_secrets(json.dumps(filed["status"])) == []
    assert "[redacted]" in json.dumps(filed["status"]["timeline"])

    def told() -> str:
        events = world.control_plane.kubectl("get", "events.events.k8s.io", "-n", NAMESPACE, "-o", "json").stdout
        return json.dumps([e for e in json.loads(events)["items"] if service in e["regarding"]["name"]])

    wait_for(lambda: told().count("calls of [redacted]") >= 2, 10, told)
    assert find_secrets(told()) == []
    assert find_secrets(world.operator_log_tail()) == []


def test_s10_alertmanager_sends_again_what_could_not_be_stored(world: World, service: str) -> None:
    """The operator may not create incidents for a while, as if the API server were in trouble."""
    role = "bokgu-operator"
    world.control_plane.kubectl("delete", "clusterrolebinding", role)
    body = notify(alert(service, at=datetime.now(UTC)))
    try:
        wait_for(lambda: post(world, body)[0] == 503, 10, world.operator_log_tail)
    finally:
        world.control_plane.apply(ROOT / "deploy/account.yaml")
    before = len(world.incidents_of(service))
    wait_for(lambda: post(world, body)[0] == 200, 20, world.operator_log_tail)
    assert before <= len(world.incidents_of(service)) == 1


def test_a_real_alertmanager_fires_and_resolves(world: World, service: str, tmp_path: Path) -> None:
    credentials = {"type": "Bearer", "credentials_file": str(world.webhook_token)}
    hook: dict[str, Any] = {
        "url": world.webhook_url,
        "send_resolved": True,
        "http_config": {"authorization": credentials},
    }
    labels = {
        "alertname": "CheckoutFails",
        "bokgu_service": service,
        "bokgu_type": "service_down",
        "bokgu_namespace": NAMESPACE,
        "severity": "critical",
    }
    counted = 'bokgu_events_total{door="Alertmanager",result="cleared"}'
    before = world.scrape().get(counted, 0)
    with Alertmanager(tmp_path, {"name": "bokgu", "webhook_configs": [hook]}) as alertmanager:
        alertmanager.send(labels, {"summary": "nobody can pay"})
        wait_for(lambda: world.incidents_of(service), 15, alertmanager.log_tail)
        (found,) = world.incidents_of(service)
        assert found["spec"]["severity"] == "critical"
        assert found["spec"]["description"] == "alert CheckoutFails: nobody can pay"
        alertmanager.resolve(labels)
        wait_for(lambda: reports(world, service) == [("Clear", "CheckoutFails")], 15, alertmanager.log_tail)
    assert world.scrape()[counted] == before + 1
    assert len(world.incidents_of(service)) == 1
