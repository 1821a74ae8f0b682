"""A leader that dies, stops for longer than its lease, or has to go: the next one goes on, nothing happens twice."""

from collections.abc import Callable, Sequence

import pytest

from tests.faults.cases import CASES, Case
from tests.faults.points import Point
from tests.faults.proxy import Call, Moment, Refusal
from tests.faults.sample import draw
from tests.faults.tally import POINTS
from tests.faults.trial import Trial, perform, try_all
from tests.ha.conftest import WHOLE
from tests.ha.replicas import LEADS, SOON, STANDS_BY, Replicas
from tests.ha.strikes import LOST, LeaderKilled, LeaderStopped, LeaderTerminated, OfLeader
from tests.ha.tally import HANDED_OVER, TAKEN_OVER
from tests.world.world import wait_for

Record = Callable[[str, object], None]
BY_NAME = {case.name: case for case in CASES}
SCALE_OUT = BY_NAME["scale-out"]
TRIED = [BY_NAME[name] for name in ("scale-out", "service-restart", "rollback-undone")] if WHOLE else [SCALE_OUT]
"""A write that may be repeated, one that may not, and an undo."""

AFTER_THE_CALL = Point("UpdateService", 1, Moment.AFTER)
"""AWS has done it, and the leader does not know yet."""


def took(trials: Sequence[Trial]) -> list[float]:
    return [trial.strike.took for trial in trials if isinstance(trial.strike, OfLeader) and trial.hit]


@pytest.mark.timeout(300)
def test_s10_a_killed_leader_is_replaced_within_20_s_and_its_plan_goes_on(
    pair: Replicas, record_property: Record
) -> None:
    leader = pair.wait_for_leader()
    assert pair.world.readiness(leader) == LEADS
    trial = perform(pair, SCALE_OUT, "killed", LeaderKilled(AFTER_THE_CALL))
    assert trial.hit
    assert not trial.problems
    (seconds,) = took([trial])
    record_property(f"{TAKEN_OVER} (lease 15s, SIGKILL)", seconds)
    assert 12 < seconds < 20
    assert trial.outcome is not None
    assert len(trial.outcome.writes) == 1


@pytest.mark.timeout(300)
def test_who_stands_by_acts_for_nobody(pair: Replicas) -> None:
    leader = pair.wait_for_leader()
    standby = pair.other(leader)
    assert pair.world.readiness(standby).startswith(f"{STANDS_BY}, ")
    metrics = {name: pair.world.scrape_of(name) for name in pair.names}
    assert metrics[leader]['bokgu_leader{shard="default"}'] == 1
    assert metrics[standby]['bokgu_leader{shard="default"}'] == 0
    assert metrics[leader]['bokgu_lease_transitions_total{shard="default"}'] >= 1
    passes = "bokgu_reconcile_duration_seconds_count"
    assert any(name.startswith(passes) and value for name, value in metrics[leader].items())
    for prefix in (passes, "bokgu_aws_requests_total", "bokgu_queue_depth", "bokgu_status_writes_total"):
        assert not [name for name, value in metrics[standby].items() if name.startswith(prefix) and value], prefix


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("case", TRIED, ids=lambda case: case.name)
def test_s5_stopped_for_longer_than_its_lease_at_every_write(
    pairs: list[Replicas], case: Case, record_property: Record
) -> None:
    for lane in pairs:
        lane.wait_for_leader()

    def choose(points: Sequence[Point]) -> list[OfLeader]:
        chosen = points if WHOLE else draw([p for p in points if "recoveryplans" in p.name], 1, "stopped")
        return [LeaderStopped(point) for point in chosen]

    first, *trials = try_all(pairs, case, choose, prefix="s")
    record_property(POINTS, sum(t.hit for t in trials))
    record_property(f"{TAKEN_OVER} (lease 6s, SIGSTOP)", max(took(trials), default=0.0))
    assert not [str(t) for t in (first, *trials) if t.problems]
    assert sum(t.hit for t in trials) >= 0.7 * len(trials)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("case", TRIED, ids=lambda case: case.name)
def test_s10_an_upgrade_in_the_middle_of_a_step_leaves_nobody_alone_for_5_s(
    pairs: list[Replicas], case: Case, record_property: Record
) -> None:
    for lane in pairs:
        lane.wait_for_leader()

    def choose(points: Sequence[Point]) -> list[OfLeader]:
        chosen = points if WHOLE else draw(points, 1, "terminated")
        return [LeaderTerminated(point) for point in chosen]

    first, *trials = try_all(pairs, case, choose, prefix="u")
    gaps = took(trials)
    record_property(POINTS, sum(t.hit for t in trials))
    record_property(HANDED_OVER, max(gaps, default=0.0))
    assert not [str(t) for t in (first, *trials) if t.problems]
    assert max(gaps, default=0.0) < 5


@pytest.mark.timeout(300)
def test_both_replaced_one_after_the_other_the_plan_comes_to_its_end(pairs: list[Replicas]) -> None:
    """`kubectl rollout restart`, while a plan waits for what it did to be complete."""
    lane = pairs[0]

    class Rolled(LeaderTerminated):
        def befall(self, lane: Replicas, leader: str, trap: object) -> None:
            super().befall(lane, leader, self._trap or trap)  # type: ignore[arg-type]  # it is the trap
            lane.start()
            super().befall(lane, lane.other(leader), self._trap or trap)  # type: ignore[arg-type]  # as above

    lane.wait_for_leader()
    trial = perform(lane, SCALE_OUT, "rolled", Rolled(AFTER_THE_CALL))
    assert trial.hit
    assert not trial.problems


@pytest.mark.timeout(300)
def test_s5_a_leader_that_cannot_renew_its_lease_ends_before_the_next_one_leads(pairs: list[Replicas]) -> None:
    lane = pairs[0]
    leader = lane.wait_for_leader()
    process, other = lane.process(leader), lane.other(leader)
    name = f"-{process.pid}-"  # It is a part of what the leader calls itself.
    status = b'{"kind": "Status", "reason": "ServiceUnavailable", "message": "etcd has no leader"}'

    def refuse(call: Call) -> Refusal | None:
        return Refusal(503, status) if call.writes and "/leases/" in call.path and call.mentions(name) else None

    lane.kube_calls.refuse = refuse
    try:
        wait_for(lambda: not process.alive, SOON, lambda: lane.explain(leader))
        assert lane.world.readiness(other).startswith(STANDS_BY)
        assert process.exit_code == LOST
        lane.wait_until_leads(other)
    finally:
        lane.kube_calls.refuse = lambda _: None
        lane.start()
