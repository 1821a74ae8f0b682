from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.observed import (
    LogLine,
    Metric,
    Series,
    StoppedContainer,
    StoppedTask,
    TaskDefinition,
)
from bokgu.api.vocabulary import Confidence, IncidentType, RootCause, Trait
from bokgu.core.diagnosis import RULES, diagnose
from bokgu.core.evidence import NO_LOG_GROUP, Evidence
from tests.unit.facts import (
    ARN,
    MINUTE,
    NOW,
    deploying,
    deployment,
    series,
    service,
    service_deployment,
    task_definition,
)

ONSET = NOW - 10 * MINUTE
OLD = service_deployment(1, NOW - 600 * MINUTE)
BAD = (OLD, service_deployment(2, ONSET - 2 * MINUTE))
REQUESTS = Metric("AWS/ApplicationELB", "RequestCount", (("TargetGroup", "tg"),), "Sum", 60)
CPU = Metric("AWS/ECS", "CPUUtilization", (("ServiceName", "api"),), "Average", 60)
MEMORY = Metric("AWS/ECS", "MemoryUtilization", (("ServiceName", "api"),), "Maximum", 60)
STEADY = "(service api) has reached a steady state."
RESOURCES = IncidentType.RESOURCE_EXHAUSTION
PULL = "CannotPullContainerError: pull image manifest has been retried 1 time(s): manifest unknown"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
SECRETS = {"secrets": [{"name": "KEY", "valueFrom": SECRET}]}
OOM = "OutOfMemoryError: Container killed due to memory usage"


def traffic(before: float, since: float) -> Series:
    return series({ago: since if ago < 10 else before for ago in range(30)})


SURGE, STEADY_TRAFFIC, BUSY = traffic(100, 200), traffic(100, 100), traffic(60, 75)


def definitions(new: Mapping[str, Any], old: Mapping[str, Any]) -> tuple[TaskDefinition, TaskDefinition]:
    """Two revisions with one container each."""

    def define(number: int, container: Mapping[str, Any]) -> TaskDefinition:
        settings = {"containerDefinitions": [{"name": "app", "image": "app:1", **container}], "revision": number}
        return TaskDefinition(task_definition(number), NOW, settings)

    return define(2, new), define(1, old)


NEW_IMAGE = definitions({"image": "app:2"}, {})


def evidence(requests: Series | None = STEADY_TRAFFIC, cpu: Series | None = BUSY, **fields: Any) -> Evidence:
    """Errors for ten minutes, traffic as ever, busy tasks, nothing deployed."""
    metrics = {metric: points for metric, points in ((REQUESTS, requests), (CPU, cpu)) if points is not None}
    facts = Evidence(
        incident_type=IncidentType.HIGH_ERROR_RATE,
        detected_at=NOW,
        onset=ONSET,
        task_definitions=NEW_IMAGE,
        deployments=(OLD,),
        metrics=metrics | fields.pop("metrics", {}),
    )
    return replace(facts, **fields)


def stopped(
    *containers: StoppedContainer,
    ago: float = 2,
    code: str = "EssentialContainerExited",
    deployed: int = 2,
    **fields: Any,
) -> StoppedTask:
    """A task of deployment and task definition `deployed` that ran for a minute."""
    at = NOW - ago * MINUTE
    facts = StoppedTask(
        arn=f"{ARN}:task/shop/{ago}",
        stopped_at=at,
        stop_code=code,
        reason="Essential container in task exited",
        containers=containers,
        task_definition=task_definition(deployed),
        started_by=f"ecs-svc/{deployed}",
        started_at=None if code == "TaskFailedToStart" else at - MINUTE,
        zone="us-east-1a",
    )
    return replace(facts, **fields)


def rolling_out(*tasks: StoppedTask, began: float = 12, **fields: Any) -> Evidence:
    """A deployment of revision 2 that is under way, and tasks that failed since."""
    state = deploying(2, 1)
    new, old = state.deployments
    state = replace(
        state, deployments=(replace(new, created_at=NOW - began * MINUTE), replace(old, created_at=OLD.created_at))
    )
    facts: dict[str, Any] = {"service": state, "task_definitions": NEW_IMAGE, "stopped_tasks": tasks}
    return evidence(**(facts | fields))


@pytest.mark.parametrize(
    ("fields", "cause", "new_revision"),
    [
        ({"deployments": BAD}, RootCause.BAD_DEPLOYMENT, True),
        ({"deployments": BAD[::-1]}, RootCause.BAD_DEPLOYMENT, True),
        ({"requests": SURGE}, RootCause.TRAFFIC_SURGE, False),
        ({"requests": SURGE, "cpu": None}, RootCause.TRAFFIC_SURGE, False),
        ({"requests": traffic(100, 150)}, RootCause.TRAFFIC_SURGE, False),
        ({"requests": traffic(100, 149)}, RootCause.UNKNOWN, False),
        ({"requests": SURGE, "deployments": BAD}, RootCause.UNKNOWN, None),
        ({"requests": SURGE, "cpu": traffic(20, 40)}, RootCause.UNKNOWN, False),
        (
            {"requests": SURGE, "cpu": series({n: 75.0 if n == 0 else 30.0 for n in range(30)})},
            RootCause.TRAFFIC_SURGE,
            False,
        ),
        ({}, RootCause.UNKNOWN, False),
        ({"requests": None}, RootCause.UNKNOWN, False),
        ({"requests": None, "deployments": BAD}, RootCause.BAD_DEPLOYMENT, True),
        ({"onset": None, "deployments": BAD}, RootCause.UNKNOWN, False),
        ({"requests": traffic(0, 200)}, RootCause.UNKNOWN, False),
        ({"requests": series({9: 200.0, 10: 100.0, 11: 100.0})}, RootCause.UNKNOWN, False),
        ({"deployments": (service_deployment(2, ONSET - 2 * MINUTE),)}, RootCause.UNKNOWN, False),
        ({"deployments": (OLD, service_deployment(2, ONSET + MINUTE))}, RootCause.UNKNOWN, False),
        ({"deployments": (OLD, service_deployment(2, ONSET - 31 * MINUTE))}, RootCause.UNKNOWN, False),
        ({"deployments": (OLD, service_deployment(1, ONSET - 2 * MINUTE))}, RootCause.UNKNOWN, False),
        ({"deployments": ()}, RootCause.UNKNOWN, False),
    ],
)
def test_the_cause_is_what_metrics_and_deployments_say(
    fields: dict[str, Any], cause: RootCause, new_revision: bool | None
) -> None:
    found = diagnose(evidence(**fields))
    assert (found.root_cause, found.new_revision_at_fault) == (cause, new_revision)
    assert found.evidence
    if cause is RootCause.UNKNOWN:
        assert found.confidence is Confidence.LOW


def test_two_causes_that_fit_stay_two_when_somebody_deploys_again_after_the_onset() -> None:
    again = (*BAD, service_deployment(3, ONSET + 5 * MINUTE))
    assert diagnose(evidence(requests=SURGE, deployments=again)).root_cause is RootCause.UNKNOWN


@pytest.mark.parametrize(("minutes", "blamed"), [(0, True), (30, True), (31, False), (-0.9, True), (-1, False)])
def test_a_revision_is_blamed_for_what_began_within_half_an_hour_of_its_deployment(
    minutes: float, blamed: bool
) -> None:
    last = service_deployment(2, ONSET - minutes * MINUTE)
    found = diagnose(evidence(deployments=(OLD, last)))
    assert (found.root_cause is RootCause.BAD_DEPLOYMENT) is blamed


def test_minutes_are_as_long_as_the_world_says() -> None:
    last = service_deployment(2, ONSET - 31 * MINUTE)
    assert diagnose(evidence(deployments=(OLD, last), minute=2 * MINUTE)).root_cause is RootCause.BAD_DEPLOYMENT


@pytest.mark.parametrize(
    ("fields", "whole", "lowered"),
    [
        ({"deployments": BAD}, Confidence.HIGH, Confidence.MEDIUM),
        ({"requests": SURGE}, Confidence.HIGH, Confidence.MEDIUM),
        ({"requests": SURGE, "cpu": None}, Confidence.MEDIUM, Confidence.LOW),
        ({}, Confidence.LOW, Confidence.LOW),
    ],
)
def test_a_missing_source_lowers_the_confidence_and_is_named(
    fields: dict[str, Any], whole: Confidence, lowered: Confidence
) -> None:
    assert diagnose(evidence(**fields)).confidence is whole
    found = diagnose(evidence(**fields, missing=("GetMetricData: Throttling",)))
    assert found.confidence is lowered
    assert "GetMetricData: Throttling" in found.evidence[-1].fact


@pytest.mark.parametrize(
    ("fields", "without"),
    [
        ({"deployments": BAD}, Confidence.MEDIUM),
        ({"requests": SURGE, "cpu": None}, Confidence.MEDIUM),
        ({}, Confidence.LOW),
    ],
)
def test_a_log_that_nobody_named_costs_the_highest_confidence_only(fields: dict[str, Any], without: Confidence) -> None:
    found = diagnose(evidence(**fields, missing=(NO_LOG_GROUP,)))
    assert found.confidence is without
    assert NO_LOG_GROUP in found.evidence[-1].fact


def test_stored_events_lower_the_confidence_and_are_named() -> None:
    task = stopped(StoppedContainer("app", 137, OOM))
    fresh = diagnose(evidence(stopped_tasks=(task,)))
    stored = diagnose(evidence(stopped_tasks=(replace(task, stored=True),)))
    assert (fresh.root_cause, stored.root_cause) == (RootCause.OUT_OF_MEMORY, RootCause.OUT_OF_MEMORY)
    assert (fresh.confidence, stored.confidence) == (Confidence.HIGH, Confidence.MEDIUM)
    assert stored.evidence[0].source == "stored events"


def test_what_was_before_the_last_steady_state_is_no_evidence() -> None:
    failed = stopped(StoppedContainer("app", None, PULL), code="TaskFailedToStart", ago=20)
    events = (
        (NOW - 15 * MINUTE, STEADY),
        (NOW - 21 * MINUTE, f"(service api) was unable to place a task. Reason: {PULL}."),
    )
    now = diagnose(evidence(stopped_tasks=(failed,), service=service(events=events[1:])))
    then = diagnose(evidence(stopped_tasks=(failed,), service=service(events=events)))
    assert (now.root_cause, then.root_cause) == (RootCause.IMAGE_PULL_FAILURE, RootCause.UNKNOWN)


def test_a_crash_of_the_last_half_hour_counts_though_the_service_was_steady_since() -> None:
    steady = service(events=((NOW - 5 * MINUTE, STEADY),))
    recent = stopped(StoppedContainer("app", 139), ago=20)
    long_ago = stopped(StoppedContainer("app", 139), ago=31)
    assert diagnose(evidence(stopped_tasks=(recent,), service=steady)).root_cause is RootCause.APPLICATION_CRASH
    assert diagnose(evidence(stopped_tasks=(long_ago,), service=steady)).root_cause is RootCause.UNKNOWN


def test_the_new_revision_is_at_fault_only_where_only_its_tasks_fail() -> None:
    new, old = (stopped(StoppedContainer("app", 1), deployed=n) for n in (2, 1))
    assert diagnose(rolling_out(new)).root_cause is RootCause.BAD_DEPLOYMENT
    both = diagnose(rolling_out(new, old))
    assert (both.root_cause, both.new_revision_at_fault) == (RootCause.APPLICATION_CRASH, False)


@pytest.mark.parametrize(
    ("changed", "text", "at_fault"),
    [
        (NEW_IMAGE, PULL, True),
        (definitions({"cpu": 2}, {"cpu": 1}), PULL, False),
        (
            definitions({"image": "app:2", "secrets": [{"name": "KEY", "valueFrom": f"{ARN}:secret:new-AbCdEf"}]}, {}),
            "ResourceInitializationError: failed to fetch secret arn:aws:ecs:us-east-1:123456789012:secret:new-AbCdEf",
            True,
        ),
        (
            definitions(
                *2 * ({"secrets": [{"name": "KEY", "valueFrom": "arn:aws:secretsmanager:a:1:secret:db-AbCdEf"}]},)
            ),
            f"ResourceInitializationError: failed to fetch secret {SECRET}: not found",
            False,
        ),
        (definitions({"image": "app:2", **SECRETS, "executionRoleArn": "b"}, SECRETS), f"AccessDenied: {SECRET}", True),
        (definitions({"image": "app:2", **SECRETS}, SECRETS), f"AccessDenied: {SECRET}", False),
        (definitions({"cpu": 4096}, {"cpu": 1024}), "RESOURCE:CPU", True),
        (definitions({"cpu": 256}, {"cpu": 1024}), "RESOURCE:CPU", False),
        (NEW_IMAGE, "RESOURCE:CPU", False),
        (NEW_IMAGE, "ResourceInitializationError: context deadline exceeded", False),
        (NEW_IMAGE, "RequestLimitExceeded", False),
    ],
)
def test_a_revision_is_at_fault_for_what_it_changed(
    changed: tuple[TaskDefinition, ...], text: str, at_fault: bool
) -> None:
    """What the revision before needed too fails for both: going back would not help."""
    task = stopped(StoppedContainer("app", None, text), code="TaskFailedToStart")
    assert diagnose(rolling_out(task, task_definitions=changed)).new_revision_at_fault is at_fault


def test_a_deployment_that_ecs_takes_back_itself_is_said_so() -> None:
    state = rolling_out(stopped(StoppedContainer("app", 1))).service
    assert state is not None
    back = replace(
        state.deployments[0], rollout_state_reason="ECS deployment circuit breaker: rolling back to deploymentId 1."
    )
    found = diagnose(evidence(service=replace(state, deployments=(back, *state.deployments[1:]))))
    assert Trait.ROLLED_BACK_BY_ECS in found.traits
    ended = (OLD, service_deployment(2, ONSET, "ROLLBACK_SUCCESSFUL"))
    assert Trait.ROLLED_BACK_BY_ECS in diagnose(evidence(service=service(), deployments=ended[::-1])).traits


def test_a_change_of_the_count_is_no_end_of_the_deployment() -> None:
    """ECS moves updatedAt of a deployment whose desired count changes, however long it has been complete."""
    first = service_deployment(1, NOW - 25 * MINUTE)
    scaled = deployment(1, created_at=NOW - 25 * MINUTE, updated_at=NOW - 5 * MINUTE)
    surge = evidence(
        requests=SURGE, service=service(1, deployments=(scaled,)), deployments=(first,), task_definitions=NEW_IMAGE[1:]
    )
    assert diagnose(surge).root_cause is RootCause.TRAFFIC_SURGE
    taking_over = replace(first, finished_at=ONSET - MINUTE)
    assert diagnose(replace(surge, deployments=(taking_over,))).root_cause is not RootCause.TRAFFIC_SURGE


@pytest.mark.parametrize(("ago", "given_up"), [(119, True), (121, False)])
def test_a_revision_that_was_given_up_explains_trouble_for_two_hours(ago: float, given_up: bool) -> None:
    new, old = NEW_IMAGE
    state = service(1, deployments=(deployment(1, created_at=NOW - ago * MINUTE, updated_at=NOW - ago * MINUTE),))
    found = diagnose(evidence(service=state, task_definitions=(old, new), deployments=()))
    assert found.root_cause is (RootCause.BAD_DEPLOYMENT if given_up else RootCause.UNKNOWN)
    assert (Trait.ROLLED_BACK_BY_ECS in found.traits) is given_up


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"service": service(status="DRAINING")}, RootCause.HUMAN_ACTION),
        ({"service": service(desired=0)}, RootCause.HUMAN_ACTION),
        ({"stopped_tasks": (stopped(code="UserInitiated", reason="Task stopped by user"),)}, RootCause.HUMAN_ACTION),
        ({"stopped_tasks": (stopped(code="SpotInterruption"),)}, RootCause.HOST_OR_SPOT_INTERRUPTION),
        ({"stopped_tasks": (stopped(reason="Scaling activity initiated by (deployment x)"),)}, RootCause.UNKNOWN),
        ({"logs": (LogLine("ERROR invalid page in block 7 of relation base/1"),)}, RootCause.DATA_CORRUPTION),
        ({"logs": (LogLine("INFO no corrupt pages found"),)}, RootCause.UNKNOWN),
        ({"logs": (LogLine("connect ECONNREFUSED 10.0.0.1:5432", NOW - 31 * MINUTE),)}, RootCause.UNKNOWN),
        ({"logs": (LogLine("connect ECONNREFUSED 10.0.0.1:5432", NOW - 29 * MINUTE),)}, RootCause.DEPENDENCY_FAILURE),
        ({"logs": tuple(LogLine(f"getaddrinfo EAI_AGAIN {h}.example.com") for h in "ab")}, RootCause.NETWORK_FAILURE),
        ({"logs": (LogLine("getaddrinfo EAI_AGAIN a.example.com"),)}, RootCause.DEPENDENCY_FAILURE),
        ({"logs": (LogLine("ThrottlingException: Rate exceeded"),)}, RootCause.THROTTLED),
        ({"logs": (LogLine("psycopg2.errors.DiskFull: No space left on device"),)}, RootCause.DEPENDENCY_FAILURE),
        ({"logs": (LogLine("OSError: [Errno 28] No space left on device"),)}, RootCause.DISK_EXHAUSTED),
        ({"cpu": traffic(30, 95)}, RootCause.CPU_SATURATION),
        ({"cpu": traffic(95, 95)}, RootCause.UNKNOWN),
        ({"cpu": traffic(300, 320)}, RootCause.UNKNOWN),
        ({"metrics": {MEMORY: traffic(60, 97)}}, RootCause.MEMORY_SATURATION),
        ({"metrics": {MEMORY: traffic(97, 97)}}, RootCause.UNKNOWN),
        ({"metrics": {Metric("AWS/RDS", "DBLoad", (), "Average", 60): traffic(2, 30)}}, RootCause.DEPENDENCY_FAILURE),
    ],
)
def test_each_rule_sees_its_cause(fields: dict[str, Any], cause: RootCause) -> None:
    assert diagnose(evidence(**fields)).root_cause is cause


def test_only_load_that_grew_makes_saturation_load_driven() -> None:
    alone = diagnose(evidence(cpu=traffic(30, 95)))
    driven = diagnose(evidence(cpu=traffic(30, 95), requests=traffic(100, 140)))
    assert (alone.traits, driven.traits) == ((), (Trait.LOAD_DRIVEN,))


def test_exit_code_137_with_memory_to_spare_is_no_lack_of_memory() -> None:
    task = stopped(StoppedContainer("app", 137))
    found = diagnose(evidence(stopped_tasks=(task,), metrics={MEMORY: traffic(30, 31)}))
    assert found.root_cause is RootCause.UNKNOWN
    assert any("OutOfMemory" in reason for reason in found.ruled_out)


def test_memory_that_grows_with_the_uptime_leaks() -> None:
    hours = series({ago: 40.0 + (120 - ago) / 2 for ago in range(120)})
    flat = series({ago: 99.0 if ago == 2 else 57.0 for ago in range(120)})
    task = stopped(StoppedContainer("app", 137, OOM), started_at=NOW - 120 * MINUTE)
    assert diagnose(evidence(stopped_tasks=(task,), metrics={MEMORY: hours})).traits == (Trait.LEAKING,)
    assert diagnose(evidence(stopped_tasks=(task,), metrics={MEMORY: flat})).traits == ()


@pytest.mark.parametrize(
    ("uptime", "grown"),
    [(59, {}), (120, {REQUESTS: series({ago: 100.0 + (200 if ago < 30 else 0) for ago in range(120)})})],
    ids=["it ran too short", "the load grew too"],
)
def test_not_all_memory_that_grows_leaks(uptime: int, grown: dict[Metric, Series]) -> None:
    rising = series({ago: 40.0 + (120 - ago) / 2 for ago in range(120)})
    task = stopped(StoppedContainer("app", 137, OOM), started_at=NOW - uptime * MINUTE)
    found = diagnose(evidence(stopped_tasks=(task,), onset=None, cpu=None, metrics={MEMORY: rising, **grown}))
    assert (found.root_cause, found.traits) == (RootCause.OUT_OF_MEMORY, ())


def test_memory_that_rises_a_little_all_day_is_no_leak() -> None:
    slowly = series({ago: 90.0 + (120 - ago) / 20 for ago in range(120)})
    task = stopped(StoppedContainer("app", 137, OOM), started_at=NOW - 120 * MINUTE)
    assert diagnose(evidence(stopped_tasks=(task,), metrics={MEMORY: slowly})).traits == ()


def test_saturation_since_a_new_revision_is_not_called_load_driven() -> None:
    """Two causes fit: the revision, or the load. Nothing is done by itself."""
    driven = traffic(100, 140)
    errors = diagnose(evidence(requests=SURGE, deployments=BAD, cpu=traffic(30, 95)))
    busy = diagnose(evidence(requests=SURGE, deployments=BAD, cpu=traffic(30, 95), incident_type=RESOURCES))
    assert (errors.root_cause, errors.new_revision_at_fault) == (RootCause.UNKNOWN, None)
    assert (busy.root_cause, busy.new_revision_at_fault) == (RootCause.CPU_SATURATION, None)
    for fields in ({"cpu": traffic(30, 95)}, {"metrics": {MEMORY: traffic(50, 97)}}):
        assert diagnose(evidence(requests=driven, deployments=BAD, **fields)).traits == ()


def test_memory_that_the_revision_before_fills_too_is_not_the_new_ones_fault() -> None:
    reason = "Task failed container health checks"
    old = stopped(code="ServiceSchedulerInitiated", reason=reason, deployed=1)
    new = stopped(code="ServiceSchedulerInitiated", reason=reason)
    full = {MEMORY: traffic(50, 97)}
    assert diagnose(rolling_out(new, metrics=full)).new_revision_at_fault
    assert not diagnose(rolling_out(new, old, metrics=full)).new_revision_at_fault


def test_refusals_that_begin_with_a_new_revision_leave_the_fault_open() -> None:
    lines = (LogLine("connect ECONNREFUSED 10.0.0.1:5432"),)
    found = diagnose(rolling_out(logs=lines))
    assert (found.root_cause, found.new_revision_at_fault) == (RootCause.DEPENDENCY_FAILURE, None)
    assert found.confidence is Confidence.LOW
    silent = diagnose(rolling_out(logs=(LogLine("ERROR request to http://db:80 timed out"),)))
    assert (silent.root_cause, silent.new_revision_at_fault) == (RootCause.BAD_DEPLOYMENT, True)


def test_refusals_since_a_revision_that_points_elsewhere_are_not_the_dependencys() -> None:
    lines = (LogLine("connect ECONNREFUSED 10.0.0.1:5432"),)
    there, here = ({"environment": [{"name": "DB", "value": value}]} for value in ("a", "b"))
    found = diagnose(rolling_out(logs=lines, task_definitions=definitions(there, here)))
    assert (found.root_cause, found.new_revision_at_fault) == (RootCause.BAD_DEPLOYMENT, True)


def test_a_throttled_new_revision_calls_too_often() -> None:
    found = diagnose(rolling_out(logs=(LogLine("ThrottlingException: Rate exceeded"),)))
    assert found.root_cause is RootCause.BAD_DEPLOYMENT


def test_a_volume_without_burst_balance_is_throttled() -> None:
    balance = Metric("AWS/EBS", "BurstBalance", (("VolumeId", "vol-1"),), "Minimum", 60)
    task = stopped(
        StoppedContainer("app", None, "DockerTimeoutError: Could not transition to created"), code="TaskFailedToStart"
    )
    spent = diagnose(evidence(stopped_tasks=(task,), metrics={balance: traffic(70, 2)}))
    left = diagnose(evidence(stopped_tasks=(task,), metrics={balance: traffic(70, 60)}))
    assert (spent.root_cause, left.root_cause) == (RootCause.THROTTLED, RootCause.HOST_OR_SPOT_INTERRUPTION)


def test_data_that_a_new_revision_rewrote_is_not_rolled_back() -> None:
    fields: dict[str, Any] = {"incident_type": IncidentType.DATA_CORRUPTION, "deployments": BAD}
    undecoded = LogLine("WARN consumer nack: InvalidProtocolBufferException: invalid tag")
    parked = diagnose(evidence(logs=(undecoded,), **fields))
    rewritten = diagnose(evidence(logs=(undecoded, LogLine("== 20221206 Move: migrated (41 s) ==")), **fields))
    assert (parked.root_cause, rewritten.root_cause) == (RootCause.BAD_DEPLOYMENT, RootCause.DATA_CORRUPTION)


def test_ephemeral_storage_is_full_by_what_is_reserved() -> None:
    used, reserved = (
        Metric("ECS/ContainerInsights", f"EphemeralStorage{n}", (), "Maximum", 60) for n in ("Utilized", "Reserved")
    )
    full = diagnose(evidence(metrics={used: traffic(19, 20), reserved: traffic(21, 21)}))
    roomy = diagnose(evidence(metrics={used: traffic(19, 19), reserved: traffic(21, 21)}))
    assert (full.root_cause, roomy.root_cause) == (RootCause.DISK_EXHAUSTED, RootCause.UNKNOWN)


def test_a_coarse_metric_does_not_lay_older_trouble_at_the_door_of_a_deployment() -> None:
    hours = Metric("AWS/ECS", "MemoryUtilization", (("ServiceName", "api"),), "Maximum", 300)
    metrics = {hours: series(dict.fromkeys(range(144), 50.0), period=300)}
    last = service_deployment(2, ONSET + 2 * MINUTE)
    assert diagnose(evidence(deployments=(OLD, last), metrics=metrics)).root_cause is RootCause.UNKNOWN


def test_one_outlier_is_no_move() -> None:
    spike = series({ago: 95.0 if ago == 7 else 30.0 for ago in range(30)})
    assert diagnose(evidence(cpu=spike, onset=None)).root_cause is RootCause.UNKNOWN


def test_tasks_that_are_killed_before_they_are_ready_start_slowly() -> None:
    events = (
        (NOW - MINUTE, "(service api) (task 1) is unhealthy in (target-group tg) due to (reason Request timed out)."),
    )
    killed = stopped(code="ServiceSchedulerInitiated", reason="Task failed ELB health checks in (target-group tg)")
    slow = diagnose(evidence(stopped_tasks=(killed,), service=service(events=events)))
    assert (slow.root_cause, slow.traits) == (RootCause.HEALTH_CHECK_FAILURE, (Trait.SLOW_START,))
    enough = rolling_out(killed, service=replace(deploying(2, 1), events=events, grace_seconds=30))
    assert diagnose(enough).traits == (), "a period that was enough until the new revision came"
    old = replace(killed, started_at=NOW - 600 * MINUTE)
    assert diagnose(evidence(stopped_tasks=(old,), service=service(events=events))).traits == ()


def test_failures_of_one_zone_only_are_the_zones() -> None:
    reason = "Task failed ELB health checks in (target-group tg)"
    tasks = tuple(
        replace(stopped(code="ServiceSchedulerInitiated", reason=reason, ago=n), started_at=NOW - 900 * MINUTE)
        for n in (1, 2)
    )
    zonal = diagnose(evidence(stopped_tasks=tasks, zones=frozenset({"us-east-1b"})))
    assert (zonal.root_cause, zonal.traits) == (RootCause.NETWORK_FAILURE, (Trait.ZONAL,))
    everywhere = diagnose(evidence(stopped_tasks=tasks, zones=frozenset({"us-east-1a"})))
    assert everywhere.root_cause is RootCause.HEALTH_CHECK_FAILURE


def test_no_value_of_a_changed_setting_is_quoted() -> None:
    """Values may be secret; their names are enough for people who have the revisions."""
    changed = definitions(
        {"environment": [{"name": "TOKEN", "value": "hunter2"}]},
        {"environment": [{"name": "TOKEN", "value": "hunter1"}]},
    )
    lines = (LogLine("KeyError: 'API_URL'"),)
    found = diagnose(rolling_out(stopped(StoppedContainer("app", 1)), task_definitions=changed, logs=lines))
    assert found.root_cause is RootCause.SECRET_OR_CONFIG_FAILURE
    text = " ".join(item.fact for item in found.evidence)
    assert "TOKEN" in text
    assert "hunter" not in text


values = st.floats(0, 1e9, allow_nan=False)
texts = st.sampled_from([PULL, OOM, "AccessDenied", "has reached a steady state.", "\x00é", "", "x" * 4000])


@given(
    st.lists(st.tuples(st.integers(0, 200), texts, st.sampled_from([None, 0, 1, 137, 139])), max_size=6),
    st.lists(texts, max_size=5),
    st.lists(values, max_size=40),
    st.booleans(),
)
def test_any_evidence_gets_a_verdict_with_facts_and_always_the_same(
    tasks: list[tuple[int, str, int | None]], events: list[str], points: list[float], deploys: bool
) -> None:
    ended = tuple(stopped(StoppedContainer("app", code, text), ago=ago) for ago, text, code in tasks)
    told = tuple((NOW - n * MINUTE, text) for n, text in enumerate(events))
    state = replace(deploying(2, 1) if deploys else service(), events=told)
    facts = evidence(
        service=state,
        stopped_tasks=ended,
        task_definitions=NEW_IMAGE,
        metrics={MEMORY: series(dict(enumerate(points)))},
        logs=tuple(LogLine(text) for text in events),
    )
    found = diagnose(facts)
    assert found == diagnose(facts)
    assert 1 <= len(found.evidence) <= 16
    assert all(len(item.fact) <= 300 for item in found.evidence)


def test_every_rule_says_what_it_looks_at() -> None:
    assert len({rule.looks_at for rule in RULES}) == len(RULES)


def test_a_deployment_is_not_blamed_for_what_began_before_it() -> None:
    began: datetime = ONSET + timedelta(minutes=3)
    state = replace(service(), deployments=(deployment(2, created_at=began), deployment(1, status="ACTIVE")))
    assert diagnose(evidence(service=state, deployments=())).root_cause is RootCause.UNKNOWN
