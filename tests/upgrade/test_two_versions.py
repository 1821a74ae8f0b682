"""A rolling upgrade, and one back: two versions beside each other on one Lease."""

import signal
from collections.abc import Iterator

import pytest

from tests.faults.play import PATIENCE, Play
from tests.faults.proxy import Moment
from tests.faults.trial import END
from tests.ha.replicas import LEADS, SHORT_LEASE, STANDS_BY, Replicas
from tests.upgrade.later_release import FIELD, VERSION, build_later_release
from tests.world.world import ROOT, World, wait_for

WAIT = {"action": "wait", "parameters": {"duration": "6s"}, "timeout": "60s", "onFailure": "Stop"}
SCALE_OUT = {"action": "scale_out", "parameters": {"desiredCount": 5}}


class TwoVersions(Replicas):
    """The first replica is of this version, the second of a later one, whose code is in `code`."""

    def __init__(self, world: World, name: str, code: str) -> None:
        super().__init__(world, name, SHORT_LEASE)
        self._code = {self.names[0]: str(ROOT / "operator"), self.names[1]: code}

    def start(self) -> None:
        """Start those that do not run, the older one first, and wait until they are ready."""
        for name in self.names:
            if not self.world.runs(name):
                self._start(name, {"PYTHONPATH": self._code[name]})

    def hand_over(self) -> str:
        """SIGTERM to the leader; the other one leads, and what was asked to go stands by again. Who leads now."""
        leader = self.wait_for_leader()
        other, process = self.other(leader), self.process(leader)
        process.send_signal(signal.SIGTERM)
        self.wait_until_leads(other)
        wait_for(lambda: not process.alive, PATIENCE, lambda: self.explain(leader))
        assert process.exit_code == 0, self.explain(leader)
        self.start()
        return other


@pytest.fixture(scope="module")
def versions(upgrade_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoVersions]:
    folder = tmp_path_factory.mktemp("later")
    code = build_later_release(folder)
    upgrade_world.control_plane.apply(folder / "crds")  # First, as docs/operations.md says.
    with TwoVersions(upgrade_world, "versions", str(code)) as lane:
        yield lane


def writes_of(lane: Replicas, name: str) -> dict[str, float]:
    prefixes = ("bokgu_status_writes_total", "bokgu_aws_requests_total", "bokgu_reconcile_duration_seconds_count")
    return {key: value for key, value in lane.world.scrape_of(name).items() if key.startswith(prefixes) and value}


def runs_version(lane: Replicas, name: str) -> str:
    (info,) = [key for key in lane.world.scrape_of(name) if key.startswith("bokgu_build_info")]
    return info


@pytest.mark.timeout(300)
def test_only_one_version_acts_whichever_it_is(versions: TwoVersions) -> None:
    old, new = versions.names
    leader = versions.wait_for_leader()
    assert (VERSION in runs_version(versions, new), VERSION in runs_version(versions, old)) == (True, False)
    assert versions.world.readiness(leader) == LEADS
    standby = versions.other(leader)
    assert versions.world.readiness(standby).startswith(STANDS_BY)
    assert writes_of(versions, standby) == {}


@pytest.mark.timeout(300)
def test_s3_an_upgrade_and_the_way_back_in_the_middle_of_a_plan_keep_effects_and_fields(versions: TwoVersions) -> None:
    """The older version begins, the newer one finds what it had sent, and the older one brings it to its end."""
    if versions.wait_for_leader() == versions.names[1]:
        versions.hand_over()
    play = Play(versions, "there-and-back")
    play.create_service()
    play.file_incident()
    play.file_plan(SCALE_OUT, WAIT, {**SCALE_OUT, "parameters": {"desiredCount": 6}})
    play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
    assert FIELD not in play.plan()["status"]
    trap = versions.aws_calls.set_trap(lambda call: call.writes and play.concerns(call), Moment.AFTER)
    play.approve()
    assert trap.wait(PATIENCE) is not None
    leader = versions.names[0]
    process = versions.process(leader)
    process.send_signal(signal.SIGTERM)
    trap.let_go()
    versions.wait_until_leads(versions.names[1])
    wait_for(lambda: not process.alive, PATIENCE, lambda: versions.explain(leader))
    assert process.exit_code == 0
    versions.start()
    play.wait("the newer one goes on", lambda: play.plan()["status"].get(FIELD) == VERSION, PATIENCE)
    play.wait("the second step", lambda: play.plan()["status"]["steps"][1]["phase"] != "Pending", PATIENCE)
    assert versions.hand_over() == leader
    play.wait("the end", play.over, END)
    found = [play.plan()["status"], play.incident()["status"], play.protected()["status"]]
    assert [status.get(FIELD) for status in found] == [VERSION] * 3
    assert play.plan()["status"]["phase"] == "Completed"
    assert [arguments["desiredCount"] for _, arguments in play.writes()] == [5, 6]
    assert play.find_untruths() == []


@pytest.mark.timeout(300)
def test_fields_of_steps_survive_the_older_version(versions: TwoVersions) -> None:
    """The newer one makes the list of steps, and the older one runs them."""
    if versions.wait_for_leader() == versions.names[0]:
        versions.hand_over()
    play = Play(versions, "downgraded")
    play.create_service()
    play.file_incident()
    play.file_plan(SCALE_OUT)
    play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
    assert [step[FIELD] for step in play.plan()["status"]["steps"]] == [VERSION]
    assert versions.hand_over() == versions.names[0]
    play.approve()
    play.wait("the end", play.over, END)
    (step,) = play.plan()["status"]["steps"]
    assert (step["phase"], step[FIELD]) == ("Completed", VERSION)
    assert len(play.writes()) == 1
