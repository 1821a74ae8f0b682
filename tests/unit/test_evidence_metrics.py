from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.observed import LogMetric, Metric
from bokgu.api.protected_service import ObservedService, ProtectedService, TargetGroup
from bokgu.core.evidence_metrics import LOG_LOOKBACK, begin_of_evidence, choose_sources
from bokgu.core.presets import build_watch
from bokgu.core.watch import Source
from tests.unit.facts import MINUTE, NOW, task_definition

HOUR = timedelta(hours=1)
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/73e2d6bc24d8a067"


def protect(*groups: TargetGroup, **spec: Any) -> ProtectedService:
    observed = ObservedService(
        desired_count=3, running_count=3, pending_count=0, task_definition=task_definition(1), target_groups=groups
    )
    return ProtectedService.model_validate(
        {
            "metadata": {"name": "api", "namespace": "shop"},
            "spec": {"region": "us-east-1", "ecs": {"cluster": "shop", "service": "api"}, **spec},
            "status": {"service": observed.to_dict()},
        }
    )


def choose(protected: ProtectedService, *, ago: timedelta = MINUTE, condition: str | None = None) -> dict[Source, Any]:
    observed = protected.status.service
    watch = build_watch(protected, observed.target_groups if observed else ())
    named = next((c for c in watch.conditions if c.name == condition), None)
    return choose_sources(protected, watch, named, detected_at=NOW - ago, now=NOW, minute=MINUTE)


def names(sources: dict[Source, Any]) -> list[str]:
    return sorted(source.name for source in sources if isinstance(source, Metric))


def test_a_service_alone_has_its_cpu_memory_and_disks() -> None:
    assert names(choose(protect())) == [
        "CPUUtilization",
        "EBSFilesystemUtilization",
        "EphemeralStorageReserved",
        "EphemeralStorageUtilized",
        "MemoryUtilization",
        "MemoryUtilization",
    ]


def test_a_load_balancer_adds_its_metrics_and_those_of_the_presets_are_asked_once() -> None:
    group = TargetGroup(arn=GROUP, load_balancer="app/web/1a2b")
    presets = ("alb-target-5xx", "alb-no-target", "alb-unhealthy", "alb-elb-5xx", "ecs-cpu", "ecs-memory", "ecs-disk")
    found = choose(protect(group, detection={"presets": list(presets)}))
    assert len(found) == 14
    assert {"RequestCount", "HTTPCode_Target_5XX_Count", "TargetResponseTime", "ActiveConnectionCount"} <= set(
        names(found)
    )


def test_what_a_shared_load_balancer_counts_is_left_out() -> None:
    found = names(choose(protect(TargetGroup(arn=GROUP, load_balancer="app/web/1a2b", shared=True))))
    assert "RequestCount" in found
    assert "ActiveConnectionCount" not in found


def test_network_load_balancers_have_metrics_of_their_own() -> None:
    found = choose(protect(TargetGroup(arn=GROUP, load_balancer="net/web/1a2b")))
    mine = {s.name for s in found if isinstance(s, Metric) and s.namespace == "AWS/NetworkELB"}
    assert mine == {"HealthyHostCount", "UnHealthyHostCount", "ActiveFlowCount", "NewFlowCount"}


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"apiGateway": {"type": "REST", "name": "shop"}}, {"Count", "5XXError"}),
        ({"apiGateway": {"type": "HTTP", "id": "a1b2"}}, {"Count", "5xx"}),
        ({"detection": {"queue": {"name": "jobs", "maxAge": "5m"}}}, {"NumberOfMessagesSent"}),
    ],
)
def test_apis_and_queues_in_front_are_asked_too(spec: dict[str, Any], wanted: set[str]) -> None:
    assert wanted <= set(names(choose(protect(**spec))))


def test_metrics_reach_an_hour_back_and_memory_half_a_day() -> None:
    found = choose(protect(), ago=5 * MINUTE)
    assert set(found.values()) == {NOW - 65 * MINUTE, NOW - 12 * HOUR}
    assert [s.period for s, since in found.items() if since < NOW - 2 * HOUR] == [300]


def test_an_incident_of_the_future_asks_for_what_there_is() -> None:
    assert max(choose(protect(), ago=-100 * HOUR).values()) == NOW - HOUR


@pytest.mark.parametrize(("ago", "begin"), [(5, 35), (0, 30), (-600, 30), (100 * 60, 12 * 60)])
def test_log_lines_are_evidence_for_half_an_hour_and_half_a_day_at_most(ago: int, begin: int) -> None:
    assert begin_of_evidence(NOW - ago * MINUTE, NOW, MINUTE, LOG_LOOKBACK) == NOW - begin * MINUTE


def test_an_old_incident_asks_for_half_a_day_at_most() -> None:
    assert min(choose(protect(), ago=100 * HOUR).values()) == NOW - 12 * HOUR


def test_datapoints_of_less_than_a_minute_are_not_asked_for_longer_than_cloudwatch_keeps_them() -> None:
    found = choose(protect(detection={"period": "10s"}))
    assert min(found.values()) == NOW - 3 * HOUR


def test_log_patterns_are_counted_only_where_the_condition_measures_them() -> None:
    corruption = {"presets": ["log-corruption", "ecs-cpu"], "corruption": {"pattern": "CORRUPT"}}
    protected = protect(logGroup="/ecs/api", detection=corruption)
    pattern = LogMetric("/ecs/api", "CORRUPT", 60)
    found = choose(protected, condition="corruption_signs")
    assert found[pattern] == NOW - 31 * MINUTE  # Counting them costs calls, the more the longer.
    assert pattern not in choose(protected, condition="cpu_utilization")
