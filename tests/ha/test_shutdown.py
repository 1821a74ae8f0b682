"""SIGTERM, whatever hangs: the process ends within what the chart gives a pod, and gives its lease back."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.controlplane import Process
from tests.faults.play import PATIENCE, Play
from tests.faults.proxy import Call, Moment
from tests.faults.trial import END
from tests.ha.replicas import DEFAULT_LEASE, SOON, Replicas
from tests.ha.tally import ENDED
from tests.world.world import ROOT, World, wait_for

GRACE: float = yaml.safe_load((ROOT / "charts/bokgu/values.yaml").read_text())["terminationGracePeriodSeconds"]
SURE = 0.75
"""How much of it may be used here: the kubelet ends the pod's sandbox in it, too."""
USUAL = 10.0
"""Seconds in which it ends when nothing hangs (docs/operations.md)."""

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def stopped(ha_world: World) -> Iterator[Replicas]:
    """A leader and a standby, which are stopped again and again."""
    with Replicas(ha_world, "stopped", DEFAULT_LEASE) as lane:
        yield lane


@pytest.fixture
def leader(stopped: Replicas) -> str:
    """Which one leads; both run."""
    stopped.start()
    return stopped.wait_for_leader()


def stop(process: Process, within: float) -> float:
    """SIGTERM; after how many seconds it has ended."""
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(within), f"it still runs after {within} s\n{process.log_tail(20)}"
    assert process.exit_code == 0, process.log_tail(20)
    return time.monotonic() - begun


@contextmanager
def hanging(process: Process | None) -> Iterator[None]:
    """It takes connections and answers nothing, until the block ends."""
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def holder(lane: Replicas) -> str:
    """Who holds the lease, as the API server says."""
    kubectl = lane.world.control_plane.kubectl
    found = kubectl("get", "lease", lane.name, "-n", "bokgu-system", "-o", "json").stdout
    return str(json.loads(found)["spec"].get("holderIdentity") or "")


def test_the_chart_gives_more_than_the_operator_takes() -> None:
    assert GRACE * SURE >= 40


@pytest.mark.timeout(180)
def test_who_leads_and_who_stands_by_end_soon(stopped: Replicas, leader: str, record_property: Record) -> None:
    standby = stopped.process(stopped.other(leader))
    record_property(f"{ENDED} (standby)", stop(standby, USUAL))
    record_property(f"{ENDED} (leader)", stop(stopped.process(leader), USUAL))
    assert holder(stopped) == ""


@pytest.mark.timeout(300)
def test_s10_a_leader_ends_while_aws_hangs_in_the_middle_of_a_write(
    stopped: Replicas, leader: str, record_property: Record
) -> None:
    """What it had sent is found by the next one."""
    play = Play(stopped, "aws-hangs")
    try:
        play.create_service()
        play.file_incident()
        play.file_plan({"action": "scale_out", "parameters": {"desiredCount": 5}})
        play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
        trap = stopped.aws_calls.set_trap(lambda call: call.writes and play.concerns(call), Moment.BEFORE)
        play.approve()
        assert trap.wait(PATIENCE) is not None
        with hanging(stopped.world.process("simulator")):
            trap.let_go()
            record_property(f"{ENDED} (AWS hangs)", stop(stopped.process(leader), GRACE * SURE))
        stopped.wait_until_leads(stopped.other(leader))
        play.wait("the end", play.over, END)
        assert (play.plan()["status"]["phase"], len(play.writes()), play.find_untruths()) == ("Completed", 1, [])
    finally:
        play.close()


@pytest.mark.timeout(300)
def test_s10_a_leader_ends_while_the_api_server_hangs(stopped: Replicas, leader: str, record_property: Record) -> None:
    """It cannot give its lease back: the other one waits for its end. Nothing of a status is lost."""
    play, process, other = Play(stopped, "kube-hangs"), stopped.process(leader), stopped.other(leader)
    try:
        play.create_service()
        play.file_incident()
        play.file_plan({"action": "scale_out", "parameters": {"desiredCount": 5}})
        play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)

        def writes_status(call: Call) -> bool:
            return call.name == "update recoveryplans/status" and play.concerns(call)

        trap = stopped.kube_calls.set_trap(writes_status, Moment.BEFORE)
        play.approve()
        assert trap.wait(PATIENCE) is not None
        with hanging(stopped.world.control_plane.apiserver.process):
            trap.let_go()
            record_property(f"{ENDED} (API server hangs)", stop(process, GRACE * SURE))
        stopped.start()
        wait_for(lambda: stopped.leader() is not None, SOON, lambda: stopped.explain(other))
        play.wait("the end", play.over, END)
        assert (play.plan()["status"]["phase"], len(play.writes()), play.find_untruths()) == ("Completed", 1, [])
    finally:
        play.close()


@pytest.mark.timeout(180)
def test_who_waits_for_the_cluster_ends_at_once(stopped: Replicas, leader: str, record_property: Record) -> None:
    """As the first process of a container it gets no signal that it does not handle."""
    name = stopped.other(leader)
    stop(stopped.process(name), USUAL)
    with hanging(stopped.world.control_plane.apiserver.process):
        process = stopped.launch(name)
        wait_for(lambda: handles_sigterm(process), SOON, lambda: process.log_tail(20))
        record_property(f"{ENDED} (before it takes part)", stop(process, USUAL))


def handles_sigterm(process: Process) -> bool:
    """Whether the process has installed a handler (proc_pid_status(5), SigCgt)."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
