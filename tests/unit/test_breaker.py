"""What became of recoveries, and the breaker that opens after some that failed."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.meta import OpenBreaker
from bokgu.api.protected_service import MOST_RECOVERIES, Recovery
from bokgu.api.vocabulary import PlanPhase
from bokgu.core.breaker import find_reset, judge_breaker
from bokgu.core.recoveries import has_failed, list_recoveries, may_go
from tests.unit.facts import PLAN_UID, incident, plan

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def recovery(hour: float, outcome: str | None = "Failed", **fields: Any) -> Recovery:
    """One that began at an hour and ended half an hour later."""
    began = NOW + hour * HOUR
    raw = {"plan": f"plan-{hour:g}".replace(".", "-").replace("--", "-m"), "uid": f"uid-{hour:g}", "incidentUid": "i"}
    ended = {"finishedAt": began + HOUR / 2, "outcome": outcome} if outcome else {}
    return Recovery.model_validate({**raw, "startedAt": began, **ended, **fields})


def judged(
    *recoveries: Recovery,
    latch: OpenBreaker | None = None,
    reset: float | None = None,
    failures: int = 2,
    now: float | None = None,
) -> OpenBreaker | None:
    """As of the end of the last recovery, or of an hour."""
    reset_at = None if reset is None else NOW + reset * HOUR
    last = max((r.finished_at for r in recoveries if r.finished_at), default=NOW)
    at = last if now is None else NOW + now * HOUR
    return judge_breaker(latch, recoveries, failures=failures, within=24 * HOUR, reset_at=reset_at, now=at)


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        ("Failed", True),
        ("RolledBack", True),
        ("RollbackFailed", True),
        ("Completed", False),
        ("Cancelled", False),
        ("Rejected", False),
        ("Expired", False),
        (None, False),
    ],
)
def test_what_people_stopped_or_the_world_overtook_is_no_failure(outcome: str | None, failed: bool) -> None:
    assert has_failed(recovery(0, outcome)) is failed


@pytest.mark.parametrize("reason", ["Rejected", "Deleted", "BlockedTooLong", "ForeignChange", "ApprovalWithdrawn"])
def test_what_people_held_or_the_world_overtook_says_nothing(reason: str) -> None:
    assert not has_failed(recovery(0, "RolledBack", reason=reason))
    assert not has_failed(recovery(0, "Failed", reason=reason))
    assert has_failed(recovery(0, "RolledBack", reason="VerificationFailed"))


@pytest.mark.parametrize(
    ("outcome", "reason"), [("Failed", "RolledBackByEcs"), ("RollbackFailed", "ForeignChange"), ("Failed", "Timeout")]
)
def test_what_ecs_gave_up_or_nobody_could_take_back_has_failed(outcome: str, reason: str) -> None:
    assert has_failed(recovery(0, outcome, reason=reason))


def test_a_recovery_whose_trouble_came_back_is_one() -> None:
    assert has_failed(recovery(0, "Completed", ineffective=True))


def test_s7_the_second_failure_within_a_day_opens_the_breaker() -> None:
    assert judged(recovery(0)) is None
    assert judged(recovery(0), recovery(1, "Completed")) is None
    opened = judged(recovery(0), recovery(1))
    assert opened == OpenBreaker(opened_at=NOW + 1.5 * HOUR, plans=("plan-0", "plan-1"))


def test_failures_that_are_further_apart_do_not() -> None:
    assert judged(recovery(0), recovery(24.5)) is None
    assert judged(recovery(0), recovery(24)) is not None


def test_old_failures_do_not_open_it_out_of_the_blue() -> None:
    """The policy was made stricter, or a reset was taken out of the spec by hand."""
    assert judged(recovery(0), recovery(1), now=25.5) is not None
    assert judged(recovery(0), recovery(1), now=26) is None


@pytest.mark.parametrize(
    ("asked", "known", "reset"), [(None, None, None), (1, None, 1), (None, 1, 1), (2, 1, 2), (1, 2, 2), (4, 1, 1)]
)
def test_s7_a_reset_counts_once_its_time_has_come_and_for_ever(
    asked: float | None, known: float | None, reset: float | None
) -> None:
    first, second, last = (None if hour is None else NOW + hour * HOUR for hour in (asked, known, reset))
    assert find_reset(first, second, NOW + 3 * HOUR) == last


def test_s7_once_open_it_stays_open_whatever_is_forgotten() -> None:
    opened = judged(recovery(0), recovery(1))
    assert judged(latch=opened) == opened
    assert judged(recovery(500, "Completed"), latch=opened) == opened


def test_s7_only_a_reset_after_it_opened_closes_it() -> None:
    opened = judged(recovery(0), recovery(1))
    assert judged(recovery(0), recovery(1), latch=opened, reset=1) == opened
    assert judged(recovery(0), recovery(1), latch=opened, reset=1.5) is None
    assert judged(recovery(0), recovery(1), latch=opened, reset=2) is None


def test_what_failed_before_a_reset_is_forgotten() -> None:
    assert judged(recovery(0), recovery(3), reset=2) is None
    assert judged(recovery(0), recovery(3), recovery(4), reset=2) is not None


hours = st.lists(st.integers(-100, 0), unique=True, max_size=12)


@given(hours, st.integers(1, 5))
def test_s7_the_breaker_is_open_where_so_many_failures_are_within_a_day(failed: list[int], failures: int) -> None:
    found = judged(*(recovery(hour) for hour in failed), failures=failures)
    ordered = sorted(failed)
    runs = [ordered[i : i + failures] for i in range(len(ordered) - failures + 1)]
    last = max(failed, default=0)
    assert (found is not None) == any(run[-1] - run[0] <= 24 and last - run[-1] <= 24 for run in runs)


# What is kept


def begun(**status: Any) -> Any:
    return plan(status={"startedAt": NOW - HOUR, **status})


def test_s7_a_plan_that_began_is_remembered_when_it_is_gone() -> None:
    (known,) = list_recoveries((), [begun(phase="Failed", finishedAt=NOW)], ())
    assert (known.uid, known.outcome, known.finished_at) == (PLAN_UID, PlanPhase.FAILED, NOW)
    assert list_recoveries((known,), (), ()) == (known,)


def test_a_plan_that_never_began_is_no_recovery() -> None:
    assert list_recoveries((), [plan(status={"phase": "Expired"})], ()) == ()


def test_s7_a_plan_is_let_go_once_its_end_is_known_or_there_is_no_place_for_it() -> None:
    over = begun(phase="Completed", finishedAt=NOW)
    assert not may_go(over, ())
    assert not may_go(over, list_recoveries((), [begun(phase="InProgress")], ()))
    assert may_go(over, list_recoveries((), [over], ()))
    assert may_go(plan(status={"phase": "Expired"}), ())
    assert may_go(over, [recovery(hour) for hour in range(1, MOST_RECOVERIES + 1)]), "else it would never go"
    assert not may_go(over, [recovery(hour) for hour in range(1, MOST_RECOVERIES)])


def test_what_a_plan_says_now_replaces_what_was_known() -> None:
    (running,) = list_recoveries((), [begun(phase="InProgress")], ())
    assert (running.outcome, running.finished_at) == (None, None)
    (over,) = list_recoveries((running,), [begun(phase="Completed", finishedAt=NOW)], ())
    assert over.outcome is PlanPhase.COMPLETED


def test_the_incident_says_that_a_completed_plan_did_not_help() -> None:
    entry = {
        "name": "plan-1",
        "uid": PLAN_UID,
        "digest": "sha256:" + "0" * 64,
        "outcome": "Completed",
        "relapsedAt": NOW,
    }
    done = begun(phase="Completed", finishedAt=NOW - HOUR / 2)
    (known,) = list_recoveries((), [done], [incident(status={"plans": [entry]})])
    assert known.ineffective
    for plans in ([], [done]):  # The incident is gone first, its plan a moment later.
        (later,) = list_recoveries((known,), plans, ())
        assert later.ineffective


def test_the_latest_are_kept() -> None:
    many = [recovery(hour) for hour in range(2 * MOST_RECOVERIES)]
    many += [recovery(-hour, "Completed") for hour in range(1, 5)]
    kept = list_recoveries(many, (), ())
    assert len(kept) == MOST_RECOVERIES
    assert all(a.started_at > b.started_at for a, b in pairwise(kept))
    assert kept[0].started_at == NOW + (2 * MOST_RECOVERIES - 1) * HOUR


@given(st.lists(st.sampled_from(["Failed", "RolledBack", "Completed", "Cancelled", "Expired"]), max_size=150))
def test_s7_nothing_harmless_pushes_out_what_the_breaker_counts(outcomes: list[str]) -> None:
    """One after the other, as plans begin and go."""
    kept: tuple[Recovery, ...] = ()
    for hour, outcome in enumerate(outcomes):
        kept = list_recoveries((*kept, recovery(hour, outcome)), (), ())
    began = [recovery(hour, outcome) for hour, outcome in enumerate(outcomes)][::-1]
    half = MOST_RECOVERIES // 2
    assert list(kept[:half]) == began[:half]
    assert [r for r in kept if has_failed(r)][:half] == [r for r in began if has_failed(r)][:half]
