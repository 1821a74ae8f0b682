"""What the metrics of a look say, and the answers of a load balancer in the place of metrics that vanish."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bokgu.api.observed import EcsService, Series
from bokgu.api.protected_service import TargetGroup
from bokgu.api.vocabulary import DetectionState, Severity
from bokgu.core.detection import Reading
from bokgu.core.look import Look, read_metrics
from bokgu.core.service_state import Memory, ServiceLook
from bokgu.core.silent_targets import add_answer, find_silent_groups
from tests.unit.facts import MINUTE, NOW, deployment, preset_watch, service, target_group

BLUE, GREEN = target_group("blue", pair="green"), target_group("green", pair="blue")
CLEAR, FIRING = DetectionState.CLEAR, DetectionState.FIRING
OLD = service(deployments=(deployment(2, created_at=NOW - 600 * MINUTE),))


def healthy_hosts(values: Mapping[int, float], *, at: datetime = NOW) -> Series:
    """How many targets were healthy, by minutes before the last settled one."""
    latest = at - 3 * MINUTE
    return Series(tuple(sorted((latest - ago * MINUTE, value) for ago, value in values.items())), 60)


def look(
    one: EcsService = OLD,
    values: Mapping[int, float] | None = None,
    *,
    at: datetime = NOW,
    groups: tuple[TargetGroup, ...] = (BLUE,),
) -> Look:
    """A look at a service whose preset alb-no-target got these datapoints of its first target group."""
    watch = preset_watch("alb-no-target", groups=groups)
    series = {query.name: Series((), 60) for query in watch.queries}
    series["healthy"] = healthy_hosts(values or {}, at=at)
    return Look(at, 1, watch, series=series, state=ServiceLook(one, at), target_groups=groups)


def say(one: Look, memory: Memory | None = None, *, firing: bool = False) -> tuple[Reading, Memory]:
    was = frozenset({"healthy_targets"}) if firing else frozenset()
    readings, kept = read_metrics(one, was, memory or {})
    return readings["healthy_targets"], kept


def test_no_healthy_target_is_critical() -> None:
    reading, _ = say(look(values={0: 0, 1: 0}))
    assert (reading.state, reading.severity) == (FIRING, Severity.CRITICAL)


def test_what_was_measured_while_nothing_was_wanted_proves_nothing_in_the_morning() -> None:
    night, morning = replace(OLD, desired_count=0, running_count=0), OLD
    reading, memory = say(look(night, {0: 0, 1: 0}))
    assert (reading.state, reading.message) == (CLEAR, "somebody scaled it to zero")
    for minute in (1, 4):
        reading, memory = say(look(morning, {0: 0, 1: 0}, at=NOW + minute * MINUTE), memory)
        assert (reading.state, reading.message) == (CLEAR, "tasks are not due yet")
    reading, memory = say(look(morning, {0: 0, 1: 0}, at=NOW + 6 * MINUTE), memory)
    assert reading.severity is None  # Both minutes are from before the tasks were due.
    reading, _ = say(look(morning, {0: 0, 1: 0}, at=NOW + 11 * MINUTE), memory)
    assert reading.severity is Severity.CRITICAL


def test_a_deployment_that_began_before_anybody_looked_has_its_grace_too() -> None:
    def settled(ago: timedelta) -> EcsService:
        return service(deployments=(deployment(1, created_at=NOW - ago),))

    assert say(look(settled(4 * MINUTE), {0: 0, 1: 0}))[0].severity is None
    assert say(look(settled(9 * MINUTE), {0: 0, 1: 0}))[0].severity is Severity.CRITICAL


def test_an_outage_goes_on_while_its_repair_is_young() -> None:
    young = service(deployments=(deployment(3, state="IN_PROGRESS", created_at=NOW),))
    assert say(look(young, {0: 0, 1: 0}))[0].state is CLEAR
    assert say(look(young, {0: 0, 1: 0}), firing=True)[0].state is FIRING


def test_a_silent_target_group_is_asked_about() -> None:
    assert find_silent_groups(look()) == {"healthy": BLUE.arn}
    assert find_silent_groups(look(values={0: 3})) == {}
    assert find_silent_groups(look(values={1: 3})) == {}
    assert find_silent_groups(look(values={2: 3, 3: 3})) == {"healthy": BLUE.arn}


def test_nobody_asks_where_no_targets_are_meant_to_be() -> None:
    young = service(deployments=(deployment(3, state="IN_PROGRESS", created_at=NOW),))
    for excused in (replace(OLD, desired_count=0), replace(OLD, status="DRAINING"), young):
        assert find_silent_groups(look(excused)) == {}
    assert find_silent_groups(replace(look(), state=None)) == {}


def test_the_idle_half_of_a_pair_is_not_asked_about() -> None:
    assert find_silent_groups(look(values={0: 3}, groups=(BLUE, GREEN))) == {}
    assert find_silent_groups(look(groups=(BLUE, GREEN))) == {"healthy": BLUE.arn, "healthy_2": GREEN.arn}


def test_one_answer_is_one_datapoint_and_two_are_needed() -> None:
    once, answers = add_answer(look(), "healthy", 0, {})
    assert say(once)[0].severity is None
    twice, answers = add_answer(look(at=NOW + MINUTE), "healthy", 0, answers)
    assert say(twice)[0].severity is Severity.CRITICAL
    assert len(answers) == 2
    _, answers = add_answer(look(at=NOW + 60 * MINUTE), "healthy", 3, answers)
    assert len(answers) == 1  # Old answers are forgotten.


def test_what_cloudwatch_says_later_counts_more_than_an_answer() -> None:
    _, answers = add_answer(look(), "healthy", 0, {})
    filled, _ = add_answer(look(values={1: 3}, at=NOW + MINUTE), "healthy", 0, answers)
    assert filled.series["healthy"].by_moment[NOW - 3 * MINUTE] == 3
