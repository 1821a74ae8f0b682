"""What people do while a step is under way, and what befalls the whole cluster then."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from bokgu.runbooks import read_documents
from tests.faults.cases import CASES, SAMPLED, Case
from tests.faults.lane import SHIFTED_CLOCK, Lane
from tests.faults.play import PATIENCE, Play
from tests.faults.points import Point
from tests.faults.proxy import Call, Moment, Refusal, Trap
from tests.faults.sample import WHOLE, draw, skip_unless_drawn
from tests.faults.strikes import AfterFirstWrite, ApiServerDies, EtcdStops, Strike, Terminated, TwoOperators
from tests.faults.tally import FAULTS
from tests.faults.trial import END, try_all
from tests.world.manifests import CLUSTER
from tests.world.world import Raw

pytestmark = pytest.mark.timeout(600)
Record = Callable[[str, object], None]
BY_NAME = {case.name: case for case in CASES}


DRAWN = 1
"""Tests of this module that a sample holds."""


@pytest.fixture(autouse=True)
def _in_sample(request: pytest.FixtureRequest) -> None:
    skip_unless_drawn(request, DRAWN)


@contextmanager
def held(
    lane: Lane, case: Case, name: str, *, nth: int = 1, moment: Moment = Moment.AFTER
) -> Iterator[tuple[Play, Trap]]:
    """A play whose nth AWS write is held by the proxy."""
    play, seen = Play(lane, name), 0

    def nth_write(call: Call) -> bool:
        nonlocal seen
        seen += call.writes
        return call.writes and seen == nth

    try:
        play.create_service()
        case.prepare(play)
        case.begin(play, case.steps)
        play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
        trap = lane.aws_calls.set_trap(nth_write, moment)
        play.approve()
        assert trap.wait(PATIENCE) is not None
        yield play, trap
        trap.let_go()
    finally:
        play.close()


def test_s4_what_a_person_sets_in_the_middle_of_a_step_stays(lanes: list[Lane], record_property: Record) -> None:
    with held(lanes[0], BY_NAME["scale-out"], "human-scales") as (play, trap):
        play.world.ecs.update_service(cluster=CLUSTER, service=play.name, desiredCount=4)
        trap.let_go()
        play.wait("the end", play.over, END)
        outcome = play.outcome()
        assert (outcome.plan, outcome.incident[0]) == (("Failed", "ForeignChange"), "Escalated")
        assert (outcome.service[0], len(outcome.writes)) == (4, 1)
        assert play.find_untruths() == []
    record_property(FAULTS, 1)


def test_s4_what_a_person_deploys_is_not_undone(lanes: list[Lane], record_property: Record) -> None:
    case = BY_NAME["rollback-undone"]
    with held(lanes[0], case, "human-deploys", nth=2, moment=Moment.BEFORE) as (play, trap):
        play.world.deploy(play.name, ERROR_RATIO=0.0)
        deployed = play.service()["taskDefinition"]
        trap.let_go()
        play.wait("the end", play.over, END)
        outcome = play.outcome()
        assert (outcome.plan, outcome.incident[0]) == (("RollbackFailed", "ForeignChange"), "Escalated")
        assert (play.service()["taskDefinition"], len(outcome.writes)) == (deployed, 1)
    record_property(FAULTS, 1)


def test_s10_plan_of_an_incident_that_is_deleted_in_the_middle_is_undone(
    lanes: list[Lane], record_property: Record
) -> None:
    lane, case = lanes[0], BY_NAME["rollback"]
    play = Play(lane, "incident-deleted")
    # The garbage collector learns of new kinds at its start, and every 30 s: longer than AWS calls can be held.
    lane.world.control_plane.controller_manager.stop()
    lane.world.control_plane.controller_manager.start()
    try:
        play.create_service()
        case.prepare(play)
        bad = play.service()["taskDefinition"]
        play.file_incident()
        play.file_plan(*case.steps(play), owned=True)
        play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
        trap = lane.aws_calls.set_trap(lambda call: call.writes, Moment.AFTER)
        play.approve()
        assert trap.wait(PATIENCE) is not None
        # A call that is held for long ends without an answer. Until the plan is deleted nothing can be said of it.
        lane.kube_calls.refuse = lambda call: Refusal(503) if call.name == "update recoveryplans/status" else None
        lane.delete("incidents", play.name)
        play.wait("its plan goes", lambda: "deletionTimestamp" in play.plan()["metadata"], PATIENCE)
        lane.kube_calls.refuse = lambda _: None
        trap.let_go()
        play.wait("the plan is let go", lambda: not play.plan()["spec"], END)
        play.wait("the lock is free", lambda: "activePlan" not in play.protected()["status"], PATIENCE)
        assert (play.service()["taskDefinition"], len(play.writes())) == (bad, 2)
    finally:
        lane.kube_calls.refuse = lambda _: None
        play.close()
    record_property(FAULTS, 1)


def test_s10_plan_whose_service_is_deleted_in_the_middle_ends(lanes: list[Lane], record_property: Record) -> None:
    with held(lanes[0], BY_NAME["scale-out"], "service-deleted") as (play, trap):
        play.world.ecs.delete_service(cluster=CLUSTER, service=play.name, force=True)
        trap.let_go()
        play.wait("the end", play.over, END)
        assert len(play.writes()) == 1
        assert play.incident()["status"]["phase"] == "Escalated"
    record_property(FAULTS, 1)


@pytest.mark.parametrize("case", draw(SAMPLED, 1, "cases terminated"), ids=lambda case: case.name)
def test_s10_stopped_while_a_call_is_in_flight(lanes: list[Lane], case: Case, record_property: Record) -> None:
    def choose(points: Sequence[Point]) -> list[Strike]:
        return [Terminated(point) for point in points if point.of_aws]

    first, *trials = try_all(lanes, case, choose, prefix="t")
    record_property(FAULTS, sum(t.hit for t in trials))
    assert not [str(t) for t in (first, *trials) if t.problems]
    assert all(t.hit for t in trials)


def _whole_cluster(case: Case) -> list[Strike]:
    """Two of five: all lanes feel them, so that they are played one after the other. Each befalls five cases."""
    strikes = [
        ApiServerDies(),
        AfterFirstWrite(ApiServerDies()),
        EtcdStops(30),
        AfterFirstWrite(EtcdStops(5)),
        AfterFirstWrite(EtcdStops(30)),
    ]
    turn = 2 * CASES.index(case)
    return [strikes[number % len(strikes)] for number in (turn, turn + 1)]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", draw(SAMPLED, 1, "cases without an API server"), ids=lambda case: case.name)
def test_comes_to_the_same_end_without_an_api_server_for_a_while(
    lanes: list[Lane], case: Case, record_property: Record
) -> None:
    strikes = _whole_cluster(case) if WHOLE else [AfterFirstWrite(ApiServerDies())]
    first, *trials = try_all(lanes[:1], case, lambda _: strikes, prefix="s")
    record_property(FAULTS, sum(t.hit for t in trials))
    assert not [str(t) for t in (first, *trials) if t.problems]
    assert all(t.hit for t in trials)
    assert all(lane.runs for lane in lanes), "an operator has ended"


CLOCKS = (30.0, -30.0, 0.0)
"""Seconds by which the second operator's clock is ahead."""


@pytest.fixture(scope="module")
def patient_lanes(lanes: list[Lane]) -> Iterator[list[Lane]]:
    """Lanes whose operators wait longer than their clocks differ, as they do by default: five minutes for what ECS may
    not show yet, and ten for the proof that a step has helped."""
    with ExitStack() as stack:
        names = [f"patient-{number}" for number in range(len(CLOCKS) if WHOLE else 1)]
        settings = {"BOKGU_CONSISTENCY_DELAY": "60s"}
        patient = [stack.enter_context(Lane(lanes[0].world, name, settings)) for name in names]
        for lane in patient:
            lane.kube.put(_patient_runbook(lane.name))
        yield patient


def _patient_runbook(namespace: str) -> Raw:
    """The built-in one against surges, which waits for the proof for as long as persons' steps may take."""
    (built_in,) = (found for found in read_documents() if found["metadata"]["name"] == "traffic-surge")
    health_check, scale_out = built_in["spec"]["steps"]
    steps = [health_check, {**scale_out, "validation": {"timeout": "60s"}}]
    spec = {**built_in["spec"], "priority": 0, "steps": steps}
    return {**built_in, "metadata": {"name": "patient-surge", "namespace": namespace}, "spec": spec}


@pytest.mark.parametrize("case", draw(SAMPLED, 1, "cases with two operators"), ids=lambda case: case.name)
def test_s5_two_operators_whose_clocks_differ_do_it_once(
    patient_lanes: list[Lane], case: Case, record_property: Record
) -> None:
    ahead = draw(CLOCKS, 1, f"{case.name} clock")
    first, *trials = try_all(patient_lanes, case, lambda _: [TwoOperators(s) for s in ahead], prefix="o")
    record_property(FAULTS, len(trials))
    assert not [str(t) for t in (first, *trials) if t.problems]


def test_the_second_operator_believes_that_it_is_later() -> None:
    code = "import time; from datetime import UTC, datetime; print(time.time(), datetime.now(UTC).timestamp())"
    environment = {"PYTHONPATH": str(SHIFTED_CLOCK), "CLOCK_AHEAD": "30"}
    asked = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    assert all(25 < float(said) - time.time() <= 30 for said in asked.stdout.split())


def test_the_second_operator_takes_moments_that_pydantic_has_read() -> None:
    code = """
from datetime import datetime
from botocore.validate import ParamValidator
from botocore.model import Shape
from pydantic import TypeAdapter
moment = TypeAdapter(datetime).validate_python("2026-01-31T12:00:00Z")
print(ParamValidator().validate(moment, Shape("Moment", {"type": "timestamp"})).has_errors())
"""
    environment = {"PYTHONPATH": str(SHIFTED_CLOCK), "CLOCK_AHEAD": "30"}
    asked = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    assert asked.stdout.split() == ["False"]
