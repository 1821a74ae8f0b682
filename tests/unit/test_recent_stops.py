import json
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.observed import StoppedContainer, StoppedTask
from bokgu.api.protected_service import ProtectedServiceStatus, RecentStop
from bokgu.core.event import MalformedMessage, parse_event
from bokgu.core.recent_stops import MAX_STOPS, build_stop, find_stops, keep_stops, read_stop, remember_tasks
from tests.unit.facts import MINUTE, NOW, stopped_task
from tests.world import events

HOUR = timedelta(hours=1)


def read(code: str = "EssentialContainerExited", **detail: Any) -> RecentStop | None:
    return read_stop(parse_event(json.dumps(events.stopped_task("api", code, **detail))))


def stop(number: int, *, ago: timedelta = MINUTE, version: int | None = 3, **members: Any) -> RecentStop:
    return build_stop(stopped_task(number, ago=ago), version).model_copy(update=members)


def keep(known: tuple[RecentStop, ...], *new: RecentStop, minute: timedelta = MINUTE) -> tuple[RecentStop, ...]:
    return keep_stops(known, new, NOW, minute)


def test_an_event_is_kept_in_few_words() -> None:
    found = read(
        containers=[
            {"name": "proxy", "exitCode": 0},
            {"name": "app", "exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"},
        ],
        stoppedAt="2026-11-24T07:59:58.123Z",
        startedAt="2026-11-24T07:00:00.000Z",
        taskDefinitionArn="arn:aws:ecs:us-east-1:123456789012:task-definition/api:7",
        availabilityZone="us-east-1a",
    )
    assert found is not None
    assert found.to_dict() | {"task": ""} == {
        "task": "",
        "version": 4,
        "at": "2026-11-24T07:59:58Z",
        "startedAt": "2026-11-24T07:00:00Z",
        "stopCode": "EssentialContainerExited",
        "reason": "Essential container in task exited",
        "container": "app",
        "containerReason": "OutOfMemoryError: Container killed due to memory usage",
        "exitCode": 137,
        "deploymentId": "ecs-svc/1234567890123456789",
        "taskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/api:7",
        "zone": "us-east-1a",
    }


@pytest.mark.parametrize(
    ("code", "detail", "kept"),
    [
        ("TaskFailedToStart", {}, True),
        ("SpotInterruption", {}, True),
        ("UserInitiated", {}, True),
        ("ServiceSchedulerInitiated", {"stoppedReason": "Scaling activity initiated by (deployment ecs-svc/1)"}, False),
        ("ServiceSchedulerInitiated", {"stoppedReason": "Task failed ELB health checks in (target-group x)"}, True),
        ("EssentialContainerExited", {"lastStatus": "DEPROVISIONING"}, False),
    ],
)
def test_only_tasks_that_were_not_meant_to_end_are_kept(code: str, detail: dict[str, str], kept: bool) -> None:
    assert (read(code, **detail) is not None) is kept


@pytest.mark.parametrize(
    "detail",
    [
        {"taskArn": ""},
        {"stoppedAt": "yesterday"},
        {"stoppedAt": "0001-01-01T00:00:00Z"},
        {"version": -1},
        {"version": 2**63},
        {"containers": [{"name": "app", "exitCode": 2**31}]},
        {"containers": [{"name": "app", "exitCode": -(2**31) - 1}]},
    ],
)
def test_s12_events_that_make_no_sense_are_malformed(detail: dict[str, Any]) -> None:
    """A number that no status holds would keep the stops of the other tasks from being stored, too."""
    with pytest.raises(MalformedMessage, match="ECS Task State Change"):
        read(**detail)


def test_what_was_written_equals_what_is_read_back() -> None:
    kept = keep((), stop(1, at=NOW), stop(2, exit_code=0))
    status = ProtectedServiceStatus(recent_stops=kept)
    assert ProtectedServiceStatus.model_validate(status.to_dict()) == status


def test_events_of_one_task_count_once_whatever_their_order() -> None:
    told = (stop(1, version=2), stop(1, version=3, exit_code=1), stop(1, version=4, exit_code=137), stop(1, version=3))
    for order in permutations(told):
        kept: tuple[RecentStop, ...] = ()
        for one in order:
            kept = keep(kept, one, one)
        assert [(s.version, s.exit_code) for s in kept] == [(4, 137)]


def test_an_event_that_says_nothing_new_is_no_reason_to_write() -> None:
    known = keep((), stop(1, version=2), stop(2))
    assert keep(known, stop(1, version=9), stop(2)) is known
    assert keep(known) is known


def test_no_event_replaces_what_ecs_said_when_it_was_asked() -> None:
    known = keep((), stop(1, version=None, exit_code=137))
    assert keep(known, stop(1, version=9, exit_code=None)) is known


def test_stops_are_forgotten_after_a_day() -> None:
    known = keep((), stop(1, ago=23 * HOUR), stop(2, ago=24 * HOUR))
    assert [s.task[-1] for s in known] == ["1"]
    assert keep(known, minute=timedelta(seconds=1)) == ()


def test_stops_of_the_future_push_out_no_real_ones() -> None:
    future = [stop(n, ago=-3650 * 24 * HOUR) for n in range(MAX_STOPS)]
    assert keep((), *future, stop(99)) == (stop(99),)
    assert keep(tuple(future), stop(99)) == (stop(99),)
    assert keep((), stop(1, ago=-5 * MINUTE)) != ()
    assert keep((), stop(1, ago=-6 * MINUTE)) == ()


def test_what_ecs_says_is_kept_redacted() -> None:
    reason = 'CannotStartContainerError: exec: "DB_PASSWORD=hunter2 ./start.sh": executable file not found in $PATH'
    found = build_stop(replace(stopped_task(1), reason=reason, containers=(StoppedContainer("app", 1, reason),)))
    assert "hunter2" not in found.reason + found.container_reason
    assert "CannotStartContainerError" in found.container_reason


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2000), st.integers(1, 5)), max_size=60))
def test_kept_stops_are_few_young_and_latest_first(told: list[tuple[int, int, int]]) -> None:
    kept: tuple[RecentStop, ...] = ()
    for number, minutes, version in told:
        kept = keep(kept, stop(number, ago=minutes * MINUTE, version=version))
    assert len(kept) <= MAX_STOPS
    assert len({s.task for s in kept}) == len(kept)
    assert [s.at for s in kept] == sorted((s.at for s in kept), reverse=True)
    assert all(NOW - s.at < 24 * HOUR for s in kept)


def test_tasks_that_ecs_has_forgotten_are_told_from_events() -> None:
    described = replace(stopped_task(1), containers=(StoppedContainer("app", 1),))
    oom = StoppedTask(
        arn=stopped_task(2).arn,
        stopped_at=NOW - HOUR,
        stop_code="EssentialContainerExited",
        reason="Essential container in task exited",
        containers=(StoppedContainer("app", 137, "OutOfMemoryError: Container killed due to memory usage"),),
        task_definition="arn:aws:ecs:us-east-1:123456789012:task-definition/api:7",
        started_by="ecs-svc/2",
        started_at=NOW - 2 * HOUR,
        zone="us-east-1a",
    )
    stops = find_stops([described, oom, replace(described, stop_code="ServiceSchedulerInitiated")])
    assert remember_tasks([described], stops) == (described, replace(oom, stored=True))
