"""What befalls a leader in the middle of a play."""

import signal
import time

from tests.faults.play import Play
from tests.faults.proxy import Trap
from tests.faults.strikes import AtPoint
from tests.ha.replicas import SOON, Replicas
from tests.world.world import wait_for

LOST = 1
"""Exit code of a leader that lost its lease."""


class OfLeader(AtPoint):
    """Strikes the leader while its call is under way. `took` is how many seconds it was until the other one led."""

    took = 0.0

    def catch(self, play: Play, trap: Trap) -> None:
        assert isinstance(play.lane, Replicas)
        leader = play.lane.leader()
        assert leader is not None
        self.befall(play.lane, leader, trap)
        play.lane.start()

    def befall(self, lane: Replicas, leader: str, trap: Trap) -> None:
        """Do it, and wait until the other replica leads."""


class LeaderKilled(OfLeader):
    """SIGKILL. Nobody starts it again before the other one leads."""

    def befall(self, lane: Replicas, leader: str, trap: Trap) -> None:
        begun = time.monotonic()
        lane.world.kill_operator(leader)
        trap.drop()
        lane.wait_until_leads(lane.other(leader))
        self.took = time.monotonic() - begun


class LeaderStopped(OfLeader):
    """SIGSTOP for longer than its lease, then SIGCONT: it must see that it leads no more, and end. The call that was
    under way when it was stopped takes its course."""

    def befall(self, lane: Replicas, leader: str, trap: Trap) -> None:
        stopped, begun = lane.process(leader), time.monotonic()
        stopped.send_signal(signal.SIGSTOP)
        trap.let_go()
        lane.wait_until_leads(lane.other(leader))
        self.took = time.monotonic() - begun
        stopped.send_signal(signal.SIGCONT)
        wait_for(lambda: not stopped.alive, SOON, lambda: f"it goes on{lane.explain(leader)}")
        assert stopped.exit_code == LOST, lane.explain(leader)


class LeaderTerminated(OfLeader):
    """SIGTERM, as at an upgrade: it ends what it does, and gives its lease back."""

    def befall(self, lane: Replicas, leader: str, trap: Trap) -> None:
        stopped = lane.process(leader)
        stopped.send_signal(signal.SIGTERM)
        trap.let_go()
        ends = time.monotonic()
        while lane.world.readiness(lane.other(leader)) != "ok\n":
            if lane.leader() == leader:
                ends = time.monotonic()  # It still leads.
            assert time.monotonic() - ends < SOON, lane.explain(lane.other(leader))
            time.sleep(0.05)
        self.took = time.monotonic() - ends
        wait_for(lambda: not stopped.alive, SOON, lambda: lane.explain(leader))
        assert stopped.exit_code == 0, lane.explain(leader)
