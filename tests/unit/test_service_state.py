"""The presets on the state of an ECS service, looked at again and again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.observed import EcsService
from bokgu.api.vocabulary import DetectionState, Preset, Severity
from bokgu.core.detection import Reading
from bokgu.core.service_state import (
    Memory,
    ServiceLook,
    evaluate_crash_loop,
    evaluate_deployment,
    evaluate_running,
    evaluate_states,
    find_excuse,
    in_grace,
    is_slow,
    suggests_crashes,
)
from tests.unit.facts import MINUTE, NOW, deployment, service, service_deployment, stopped_task

FIRING, CLEAR = DetectionState.FIRING, DetectionState.CLEAR


def look(one: EcsService | None = None, *, now: datetime = NOW, **fields: object) -> ServiceLook:
    return replace(ServiceLook(one or service(), now, waits_at=""), **fields)  # type: ignore[arg-type]


def young(*, age: timedelta, desired: int = 3, running: int = 0, **fields: Any) -> EcsService:
    """A service whose deployment began `age` ago and is under way."""
    primary = deployment(2, desired=desired, state="IN_PROGRESS", created_at=NOW - age)
    return service(desired=desired, running=running, deployments=(primary,), **fields)


def watch_running(
    counts: Iterable[tuple[int, int] | EcsService | None],
    *,
    minute: timedelta = MINUTE,
    forget_at: int | None = None,
) -> list[Severity | DetectionState]:
    """What ecs-running says of one look a minute: the severity, or Clear; a held state is Firing. A look without a
    service (None) did not happen; at `forget_at` the process starts anew."""
    memory: Memory = {}
    said: list[Severity | DetectionState] = []
    firing = False
    for number, count in enumerate(counts):
        if number == forget_at:
            memory = {}
        if count is None:
            continue
        one = count if isinstance(count, EcsService) else service(running=count[0], desired=count[1])
        judgement = evaluate_running(look(one, now=NOW + number * minute, minute=minute), memory, firing)
        memory, reading = judgement.memory, judgement.reading
        firing = reading.state is FIRING
        said.append(reading.severity or reading.state)
    return said


# ecs-running


def test_tasks_are_missing_since_they_were_first_seen_to() -> None:
    memory: Memory = {}
    for number in range(3):
        said = evaluate_running(look(service(running=0, desired=3), now=NOW + number * MINUTE), memory, number > 1)
        memory = said.memory
    assert (said.reading.severity, said.reading.begun) == (Severity.CRITICAL, NOW)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([(3, 3)] * 3, [CLEAR, CLEAR, CLEAR]),
        ([(0, 3)] * 2, [CLEAR, Severity.CRITICAL]),
        ([(0, 1)] * 2, [CLEAR, Severity.CRITICAL]),
        ([(1, 2)] * 2, [CLEAR, Severity.HIGH]),
        ([(2, 4)] * 2, [CLEAR, Severity.HIGH]),
        ([(0, 3), (3, 3), (0, 3), (0, 3)], [CLEAR, CLEAR, CLEAR, Severity.CRITICAL]),
        ([(1, 3), (0, 3), (1, 3)], [CLEAR, Severity.HIGH, Severity.HIGH]),
        ([(2, 3)] * 11, [CLEAR] * 10 + [Severity.MEDIUM]),
        ([(2, 3)] * 9 + [(3, 3)] + [(2, 3)] * 2, [CLEAR] * 12),
        ([(4, 3)] * 3, [CLEAR] * 3),
    ],
)
def test_missing_tasks_mean_trouble_when_they_stay_away(
    counts: list[tuple[int, int]], said: list[Severity | DetectionState]
) -> None:
    assert watch_running(counts) == said


def test_a_total_outage_is_critical_within_four_minutes() -> None:
    assert watch_running([(3, 3)] + [(0, 3)] * 3).index(Severity.CRITICAL) <= 4


@given(counts=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=25), seconds=st.sampled_from([1, 300]))
def test_the_length_of_a_minute_makes_no_difference(counts: list[tuple[int, int]], seconds: int) -> None:
    assert watch_running(counts) == watch_running(counts, minute=timedelta(seconds=seconds))


@given(running=st.lists(st.integers(0, 4), max_size=25), desired=st.integers(1, 4), at=st.integers(0, 24))
def test_a_restart_of_the_operator_only_delays(running: list[int], desired: int, at: int) -> None:
    """What it says without its memory it would have said with it, or worse."""
    counts = [(number, desired) for number in running]
    kept, lost = watch_running(counts), watch_running(counts, forget_at=at)

    def firing(said: list[Severity | DetectionState]) -> list[int]:
        return [i for i, word in enumerate(said) if word is not CLEAR]

    begun = firing(kept)[:1]
    assert not firing(lost) or (begun and begun[0] <= firing(lost)[0])


def test_it_is_over_after_five_calm_minutes_and_not_before() -> None:
    said = watch_running([(0, 3)] * 2 + [(3, 3)] * 7)
    assert said == [CLEAR, Severity.CRITICAL, *[FIRING] * 5, CLEAR, CLEAR]


def test_a_short_calm_does_not_end_it() -> None:
    said = watch_running([(0, 3)] * 2 + [(3, 3)] * 5 + [(2, 3)] + [(3, 3)] * 6)
    assert said[2:] == [FIRING] * 11 + [CLEAR]


@pytest.mark.parametrize("gone", [service(status="DRAINING"), service(status="INACTIVE"), service(desired=0)])
def test_nothing_is_missing_where_nothing_is_meant_to_run(gone: EcsService) -> None:
    stopped = replace(gone, running_count=0)
    assert watch_running([stopped] * 12) == [CLEAR] * 12
    assert find_excuse(gone)


def test_somebody_who_scales_to_zero_ends_the_outage_at_once() -> None:
    assert watch_running([(0, 3), (0, 3), service(desired=0)]) == [CLEAR, Severity.CRITICAL, CLEAR]
    again = watch_running([(0, 3), service(desired=0), *[(0, 3)] * 8])[2:]
    assert again == [CLEAR] * 6 + [Severity.CRITICAL] * 2  # Tasks that are wanted anew have five minutes to start.


@pytest.mark.parametrize(
    ("age", "grace", "inside"),
    [(119, 0, True), (120, 0, False), (360, 300, True), (420, 300, False), (419, 300, True)],
)
def test_a_young_deployment_has_its_grace_and_two_minutes_more(age: int, grace: int, inside: bool) -> None:
    one = young(age=timedelta(seconds=age), grace_seconds=grace)
    assert in_grace(look(one)) is inside


def test_only_a_deployment_that_is_under_way_has_a_grace() -> None:
    done = service(deployments=(deployment(2, created_at=NOW - MINUTE),))
    failed = service(deployments=(deployment(2, state="FAILED", created_at=NOW - MINUTE),))
    assert not in_grace(look(done))
    assert not in_grace(look(failed))
    assert not in_grace(look(service(deployments=())))


def test_missing_tasks_of_a_young_deployment_are_not_counted() -> None:
    one = young(age=MINUTE, grace_seconds=0)
    said = watch_running([one] * 6)  # The same deployment, older at each look.
    assert said == [CLEAR, CLEAR, Severity.CRITICAL, *[Severity.CRITICAL] * 3]


def test_a_new_deployment_does_not_end_the_outage() -> None:
    one = young(age=timedelta())
    judgement = evaluate_running(look(one), {}, True)
    assert (judgement.reading.state, judgement.reading.severity) == (FIRING, None)


@pytest.mark.parametrize("minute", [timedelta(seconds=1), MINUTE])
def test_in_a_world_that_runs_faster_the_grace_is_shorter(minute: timedelta) -> None:
    inside = look(young(age=6 * minute, grace_seconds=300), minute=minute)
    outside = look(young(age=7 * minute, grace_seconds=300), minute=minute)
    assert (in_grace(inside), in_grace(outside)) == (True, False)


def test_doubling_a_healthy_service_is_no_outage() -> None:
    """An autoscaler goes from 2 to 4; Fargate takes a minute or two to start the others."""
    growing = service(desired=4, running=2, pending_count=2)
    assert set(watch_running([(2, 2), (2, 2), growing, growing, growing, (4, 4)])) == {CLEAR}


# ecs-deployment


def judged(one: ServiceLook) -> tuple[DetectionState, Severity | None]:
    reading = evaluate_deployment(one, {}, False).reading
    return reading.state, reading.severity


def history(status: str, *, number: int = 2) -> tuple[object, ...]:
    """The latest service deployment and two that went before."""
    earlier = [service_deployment(n, NOW - (100 - n) * 60 * MINUTE) for n in (1, 0)]
    return (service_deployment(number, NOW - 5 * MINUTE, status), *earlier)


NOTHING, MEDIUM, HIGH = (CLEAR, None), (FIRING, Severity.MEDIUM), (FIRING, Severity.HIGH)


@pytest.mark.parametrize(
    ("state", "status", "found"),
    [
        ("COMPLETED", "SUCCESSFUL", NOTHING),
        ("IN_PROGRESS", "PENDING", NOTHING),
        ("IN_PROGRESS", "IN_PROGRESS", NOTHING),
        ("IN_PROGRESS", "STOP_REQUESTED", NOTHING),
        ("FAILED", "STOPPED", HIGH),
        ("FAILED", "IN_PROGRESS", HIGH),
        ("IN_PROGRESS", "STOPPED", HIGH),
        ("COMPLETED", "STOPPED", NOTHING),
        ("IN_PROGRESS", "ROLLBACK_REQUESTED", MEDIUM),
        ("IN_PROGRESS", "ROLLBACK_IN_PROGRESS", MEDIUM),
        ("COMPLETED", "ROLLBACK_SUCCESSFUL", NOTHING),
        ("IN_PROGRESS", "ROLLBACK_FAILED", HIGH),
        ("COMPLETED", "ROLLBACK_FAILED", HIGH),
    ],
)
def test_a_deployment_is_judged_by_its_own_state(
    state: str, status: str, found: tuple[DetectionState, Severity | None]
) -> None:
    one = service(deployments=(deployment(2, state=state, created_at=NOW - 5 * MINUTE),))
    assert judged(look(one, deployments=history(status))) == found


@pytest.mark.parametrize(
    ("status", "found"),
    [("ROLLBACK_REQUESTED", NOTHING), ("ROLLBACK_IN_PROGRESS", NOTHING), ("ROLLBACK_FAILED", HIGH)],
)
def test_a_rollback_that_a_plan_asked_for_is_no_news_unless_it_fails(
    status: str, found: tuple[DetectionState, Severity | None]
) -> None:
    one = service(deployments=(deployment(2, state="IN_PROGRESS", created_at=NOW - 5 * MINUTE),))
    assert judged(replace(look(one, deployments=history(status)), recovered_by="plan-1")) == found


def test_a_deployment_that_was_stopped_says_nothing_about_the_one_that_follows_it() -> None:
    following = service(deployments=(deployment(2, state="IN_PROGRESS", created_at=NOW - MINUTE),))
    assert judged(look(following, deployments=history("STOPPED", number=1))) == NOTHING


def test_a_rollback_by_ecs_is_told_with_the_words_of_ecs() -> None:
    primary = deployment(2, state="IN_PROGRESS", rollout_state_reason="ECS deployment circuit breaker: rolling back")
    one = look(service(deployments=(primary,)), deployments=history("ROLLBACK_IN_PROGRESS"))
    assert "circuit breaker" in evaluate_deployment(one, {}, False).reading.message


@pytest.mark.parametrize(
    ("age", "lasted", "found"),
    [
        (14, [], NOTHING),
        (15, [], NOTHING),
        (16, [], MEDIUM),
        (16, [2, 2, 2], MEDIUM),
        (29, [10, 10, 10], NOTHING),
        (31, [10, 10, 10], MEDIUM),
        (31, [1] * 19 + [12], MEDIUM),
        (31, [1] * 18 + [12, 12], NOTHING),
    ],
)
def test_a_deployment_is_stuck_when_it_takes_three_times_what_the_slowest_did(
    age: int, lasted: list[int], found: tuple[DetectionState, Severity | None]
) -> None:
    earlier = tuple(
        replace(
            service_deployment(n, NOW - (n + 2) * 60 * MINUTE), finished_at=NOW - (n + 2) * 60 * MINUTE + m * MINUTE
        )
        for n, m in enumerate(lasted)
    )
    one = young(age=age * MINUTE, running=3)
    assert judged(look(one, deployments=(service_deployment(2, NOW, "IN_PROGRESS"), *earlier))) == found


def test_a_deployment_that_waits_at_a_hook_is_not_stuck_and_the_hook_is_named() -> None:
    one = look(young(age=120 * MINUTE, running=3), waits_at="PAUSE hook approve in PRE_SCALE_UP")
    reading = evaluate_deployment(one, {}, True).reading
    assert (reading.state, reading.severity) == (CLEAR, None)
    assert "PAUSE hook approve" in reading.message
    assert is_slow(one)


def test_a_deployment_that_failed_while_it_waits_is_a_failure() -> None:
    failed = service(deployments=(deployment(2, state="FAILED"),))
    assert judged(look(failed, waits_at="PAUSE hook")) == HIGH


@pytest.mark.parametrize("state", ["FAILED", "IN_PROGRESS"])
@pytest.mark.parametrize("gone", [{"status": "DRAINING"}, {"status": "INACTIVE"}, {"desired_count": 0}])
def test_no_deployment_is_in_trouble_where_nothing_is_meant_to_run(state: str, gone: Mapping[str, object]) -> None:
    one = replace(
        service(deployments=(deployment(2, state=state, created_at=NOW - 120 * MINUTE),)),
        **gone,  # type: ignore[arg-type]
    )
    assert judged(look(one)) == NOTHING


def test_a_service_without_deployments_is_not_in_trouble() -> None:
    assert judged(look(service(deployments=()))) == NOTHING
    assert not is_slow(look(service(deployments=())))


@pytest.mark.parametrize("minute", [timedelta(seconds=1), MINUTE, 5 * MINUTE])
def test_windows_of_deployments_stretch_too(minute: timedelta) -> None:
    assert judged(look(young(age=16 * minute, running=3), minute=minute)) == MEDIUM
    assert judged(look(young(age=14 * minute, running=3), minute=minute)) == NOTHING


# ecs-crash-loop


def crashes(one: ServiceLook) -> Severity | None:
    return evaluate_crash_loop(one, {}, False).reading.severity


@pytest.mark.parametrize(
    ("desired", "stopped", "found"),
    [
        (1, 2, None),
        (1, 3, Severity.HIGH),
        (6, 3, Severity.HIGH),
        (7, 3, None),
        (7, 4, Severity.HIGH),
        (10, 5, Severity.HIGH),
    ],
)
def test_three_crashes_or_half_of_the_tasks_are_a_crash_loop(
    desired: int, stopped: int, found: Severity | None
) -> None:
    tasks = tuple(stopped_task(n, ago=n * MINUTE) for n in range(stopped))
    assert crashes(look(service(desired=desired), stopped_tasks=tasks)) is found


def test_a_task_that_is_reported_twice_crashed_once() -> None:
    twice = (stopped_task(1), stopped_task(1, ago=2 * MINUTE), stopped_task(2), stopped_task(2), stopped_task(1))
    assert crashes(look(stopped_tasks=twice)) is None


@given(st.permutations([stopped_task(n, ago=n * MINUTE) for n in range(5)]))
def test_the_order_of_reports_makes_no_difference(tasks: list[object]) -> None:
    ordered = evaluate_crash_loop(look(stopped_tasks=tuple(tasks)), {}, False)
    assert ordered.reading.message.startswith("5 tasks ended by themselves in 10 minutes")
    assert ordered.reading.value == 5.0


@pytest.mark.parametrize(
    "code",
    ["ServiceSchedulerInitiated", "UserInitiated", "SpotInterruption", "TerminationNotice", "InfrastructureHealth", ""],
)
def test_tasks_that_others_stop_are_no_crash_loop(code: str) -> None:
    assert crashes(look(stopped_tasks=tuple(stopped_task(n, code=code) for n in range(9)))) is None


def test_tasks_that_never_started_count_and_old_ones_do_not() -> None:
    assert crashes(look(stopped_tasks=tuple(stopped_task(n, code="TaskFailedToStart") for n in range(3))))
    assert crashes(look(stopped_tasks=tuple(stopped_task(n, ago=11 * MINUTE) for n in range(9)))) is None


@pytest.mark.parametrize("gone", [service(status="DRAINING"), service(desired=0)])
def test_a_crash_loop_ends_when_nothing_is_meant_to_run(gone: EcsService) -> None:
    assert crashes(look(gone, stopped_tasks=tuple(stopped_task(n) for n in range(9)))) is None


@pytest.mark.parametrize("was_firing", [False, True])
def test_while_nobody_could_ask_for_stopped_tasks_it_stays_as_it_was(was_firing: bool) -> None:
    """The tasks are listed a moment after the service is described, or the call is throttled."""
    reading = evaluate_crash_loop(look(service(running=2), stopped_tasks=None), {}, was_firing).reading
    assert (reading.state is FIRING, reading.severity) == (was_firing, None)
    asked = evaluate_crash_loop(look(service(running=2), stopped_tasks=()), {}, was_firing).reading
    assert asked.state is CLEAR


def test_without_a_hint_at_crashes_there_are_none() -> None:
    assert evaluate_crash_loop(look(service(), stopped_tasks=None), {}, True).reading.state is CLEAR


def started(*numbers: int, ago: timedelta = MINUTE) -> tuple[tuple[datetime, str], ...]:
    return tuple((NOW - ago, f"(service api) has started {n} tasks: (task abc).") for n in numbers)


@pytest.mark.parametrize(
    ("one", "ask"),
    [
        (service(), False),
        (service(running=2), True),
        (service(deployments=(deployment(2, failed_tasks=1),)), True),
        (service(events=started(1, 1, 1)), True),
        (service(events=started(1, 1)), False),
        (service(events=started(3)), True),
        (service(events=started(2, 1)), True),
        (service(events=started(3, 3, 3, ago=11 * MINUTE)), False),
        (service(events=((NOW, "(service api) has reached a steady state."),) * 9), False),
    ],
)
def test_stopped_tasks_are_asked_for_only_where_the_service_hints_at_crashes(one: EcsService, ask: bool) -> None:
    assert suggests_crashes(look(one)) is ask


# All together


def test_only_the_presets_that_are_named_are_evaluated() -> None:
    one = look(service(running=0))
    found = evaluate_states([Preset.ECS_RUNNING, Preset.ECS_CPU], one, {}, frozenset())
    assert list(found) == ["running_tasks"]


def test_memories_and_firing_states_are_told_apart_by_name() -> None:
    one = look(service(running=0))
    memories: dict[str, Memory] = {"running_tasks": {Severity.CRITICAL: NOW - MINUTE}, "deployment": {"calm": NOW}}
    found = evaluate_states(list(Preset), one, memories, frozenset({"deployment"}))
    assert set(found) == {"running_tasks", "deployment", "crashed_tasks"}
    assert found["running_tasks"].reading.severity is Severity.CRITICAL
    assert found["deployment"].reading.state is CLEAR


@pytest.mark.parametrize("evaluate", [evaluate_running, evaluate_deployment, evaluate_crash_loop])
def test_a_calm_service_is_clear(evaluate: Callable[[ServiceLook, Memory, bool], object]) -> None:
    judgement = evaluate(look(), {}, False)
    reading: Reading = judgement.reading  # type: ignore[attr-defined]
    assert reading.state is CLEAR


def test_tasks_that_fail_their_health_checks_are_a_crash_loop_too() -> None:
    """The scheduler ends them: without their reason they look like any scaling in."""
    killed = [
        replace(
            stopped_task(n),
            stop_code="ServiceSchedulerInitiated",
            reason="Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:...)",
        )
        for n in range(3)
    ]
    scaled_in = [replace(task, reason="Scaling activity initiated by (deployment ecs-svc/1)") for task in killed]
    assert crashes(look(stopped_tasks=tuple(killed))) is Severity.HIGH
    assert crashes(look(stopped_tasks=tuple(scaled_in))) is None
