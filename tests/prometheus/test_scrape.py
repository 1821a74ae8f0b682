"""A real Prometheus scrapes the operator's server, keeps what it says, and fires what it should."""

import importlib
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bokgu.api.outbox import Addressee, Alert, Outbox
from bokgu.api.vocabulary import AlertKind, Language
from bokgu.core.traces import trace_of
from bokgu.metrics.aws import AWS_THROTTLES
from bokgu.metrics.leadership import LEADER
from bokgu.metrics.passes import EVENTS_FAILED, RECONCILE_ERRORS
from bokgu.metrics.registry import BUILD
from bokgu.reconcile.context import Context
from bokgu.reconcile.counting import count_plan
from tests import metrics_page
from tests.prometheus import Prometheus, run_promtool
from tests.prometheus.dashboard import as_prometheus_sees, list_expressions
from tests.prometheus.rules import hurry, list_alerts, read_groups
from tests.prometheus.serving import serving
from tests.unit.facts import INCIDENT_UID, MINUTE, incident, plan, protected_service
from tests.unit.test_plan_incident import Past, context
from tests.world.world import free_port, wait_for

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
"""What Prometheus asks for first."""


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def troubled() -> Context:
    """An incident that needs a person and was not told, a plan that waits, a service nobody watches, breakers and a
    storm."""
    made = {"creationTimestamp": now() - 20 * MINUTE}
    storm = [
        incident(meta={"name": f"i-{n}", "uid": f"uid-{n}", "creationTimestamp": now() - MINUTE}) for n in range(5)
    ]
    one = context(
        Past(),
        protected_service(meta=made, status={"breaker": {"openedAt": now(), "plans": ["plan-0"]}}),
        incident(status={"phase": "Escalated"}, meta=made),
        plan(status={"phase": "AwaitingApproval"}, meta=made),
        *storm,
    )
    pager = Addressee(receiver="pager", language=Language.EN)
    waiting = Alert(number=1, kind=AlertKind.ESCALATED, at=now() - 20 * MINUTE, to=(pager,))
    one.alerting.stored(("incidents", "shop", "incident-1"), "uid-1", Outbox(last=1, alerts=(waiting,)))
    one.clock, one.started_at = lambda: datetime.now(UTC), now() - 10 * MINUTE
    return one


def fail(one: Context) -> None:
    """What is counted goes up, where it was zero or more before."""
    for phase in ("Failed", "RollbackFailed"):
        old, new = plan(status={"phase": "InProgress"}), plan(status={"phase": phase})
        count_plan(one, old, new.status)
    EVENTS_FAILED.inc()
    AWS_THROTTLES.labels("ecs", "DescribeServices").inc(20)
    RECONCILE_ERRORS.labels("incidents").inc(30)


def start_at_zero() -> None:
    """As an operator that has run for a while: it has a version, these have been counted before, and nobody leads."""
    BUILD.info({"version": "1"})
    LEADER.labels("default").set(0)
    AWS_THROTTLES.labels("ecs", "DescribeServices")
    RECONCILE_ERRORS.labels("incidents")


@pytest.fixture
def address() -> Iterator[str]:
    start_at_zero()
    with serving(troubled(), port := free_port()):
        yield f"127.0.0.1:{port}"


def fetch(address: str, accept: str | None = None) -> tuple[str, str]:
    """The content type of a scrape, and what it says."""
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_promtool_finds_nothing_wrong_with_a_scrape(address: str) -> None:
    fail(troubled())
    content_type, text = fetch(address)
    assert content_type.startswith("text/plain")
    checked = run_promtool("check", "metrics", input=text)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_promtool_would_find_what_is_wrong() -> None:
    text = "# TYPE bokgu_looks counter\nbokgu_looks 1\n"
    assert run_promtool("check", "metrics", input=text).returncode != 0


def test_a_scrape_has_every_metric_that_is_documented(address: str) -> None:
    importlib.import_module("bokgu.runtime.run")  # What it imports is what an operator measures.
    said = {line.split()[2] for line in fetch(address)[1].splitlines() if line.startswith("# TYPE ")}
    documented = {metric.name for metric in metrics_page.list_all()}
    assert {name for name in said if name.startswith("bokgu_")} == documented


def test_exemplars_are_for_who_asks_for_openmetrics(address: str) -> None:
    fail(troubled())
    content_type, text = fetch(address, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert '# {incident="shop/incident-1",trace_id="' in text
    assert "incident-1" not in fetch(address)[1]


@pytest.mark.timeout(180)
def test_every_alert_fires_in_a_real_prometheus(tmp_path: Path) -> None:
    start_at_zero()
    one, rules, port = troubled(), hurry(read_groups()), free_port()
    names = {alert["alert"] for alert in list_alerts(rules)}
    counted = {"BokguAwsThrottled", "BokguEventsFailing", "BokguPassesFailing"}
    counted |= {"BokguRecoveryFailing", "BokguRollbackFailed"}
    seen: dict[str, dict[str, Any]] = {}

    with Prometheus(tmp_path, [f"127.0.0.1:{port}"], rules) as prometheus:

        def explain() -> str:
            return f"seen {sorted(seen)}\n{prometheus.rules()}\n{prometheus.targets()}\n{prometheus.log_tail()}"

        def all_fired() -> bool:
            seen.update({alert["labels"]["alertname"]: alert for alert in prometheus.firing()})
            return names - {"BokguGone"} <= seen.keys()

        with serving(one, port):
            wait_for(lambda: prometheus.query("bokgu_storm_active"), 30, explain)
            wait_for(lambda: "BokguStorm" in prometheus.names_firing(), 30, explain)
            assert not prometheus.names_firing() & counted
            fail(one)
            wait_for(all_fired, 60, explain)
            assert [rule["health"] for rule in prometheus.rules()] == ["ok"] * len(names)
            place = ("production", "shop")
            assert prometheus.query("bokgu_incidents") == {
                (*place, "Escalated", "api", "high", "Detector", "high_error_rate"): 1,
                (*place, "Detected", "api", "high", "Detector", "high_error_rate"): 5,
            }
            exemplar = {"incident": "shop/incident-1", "trace_id": trace_of(INCIDENT_UID)}
            assert exemplar in prometheus.exemplars("bokgu_plans_finished_total")
            assert "BokguGone" not in seen
            # None is an error, such as two series where one is wanted.
            shown = {name: prometheus.query(as_prometheus_sees(e)) for name, e in list_expressions()}
            there = ("Open incidents", "Need a person", "Waiting for people", "Longest wait", "Budget left", "Since")
            assert [title for title in there if not shown[f"{title}/A"]] == []
        waiting = seen["BokguApprovalWaiting"]
        assert waiting["labels"].items() >= {"namespace": "shop", "service": "api", "kind": "approval"}.items()
        assert waiting["annotations"]["summary"] == "A recovery of api waits for people"
        wait_for(lambda: prometheus.names_firing() >= {"BokguGone"}, 60, explain)
        # What nobody says any more is not taken for true.
        wait_for(lambda: not prometheus.names_firing() & {"BokguStorm", "BokguIncidentEscalated"}, 30, explain)
