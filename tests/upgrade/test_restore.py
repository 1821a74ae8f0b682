"""A backup of all objects, taken in the middle of recoveries and restored after all was lost: into the same namespace
and into another one, without statuses, as Velero does it, and with them."""

import json
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from bokgu.core.copies import NEXT
from tests.faults.cases import CASES
from tests.faults.lane import Lane
from tests.faults.play import PATIENCE, Play
from tests.faults.proxy import Moment
from tests.faults.trial import END
from tests.upgrade.backup import lose_all, restore, take_backup
from tests.upgrade.settled import wait_until_settled
from tests.world.world import Raw, World

BY_NAME = {case.name: case for case in CASES}
MANUAL = {"action": "manual", "description": "look at the orders", "timeout": "10m", "onFailure": "Stop"}
SCALE_OUT = {"action": "scale_out", "parameters": {"desiredCount": 5}}


@dataclass
class Recoveries:
    """Recoveries of a lane: `sent` has sent a write and never learnt what became of it, `looking` waits for a person in
    its middle, `asked` is the operator's own plan and waits for approval, `over` is resolved and in the history."""

    lane: Lane
    suffix: str
    plays: dict[str, Play] = field(default_factory=dict)

    def begin(self) -> None:
        """Bring them where they are to be, and kill the operator there."""
        for name in ("over", "asked", "sent", "looking"):
            self.plays[name] = Play(self.lane, f"{name}-{self.suffix}")
            self.plays[name].create_service()
        self._start_one("over", [SCALE_OUT])
        self.plays["over"].wait("all is over", self.plays["over"].over, END)
        asked = self.plays["asked"]
        surge = BY_NAME["surge-noticed"]
        surge.prepare(asked)
        surge.begin(asked, surge.steps)
        asked.wait("the plan awaits approval", asked.awaits_approval, PATIENCE)
        self._start_one("looking", [MANUAL, SCALE_OUT])
        looking = self.plays["looking"]
        looking.wait("a person is asked", lambda: looking.plan()["status"].get("progress") == "0/2", PATIENCE)
        looking.wait("it has begun", lambda: looking.plan()["status"].get("phase") == "InProgress", PATIENCE)
        sent = self.plays["sent"]
        trap = self.lane.aws_calls.set_trap(lambda call: call.writes and sent.concerns(call), Moment.AFTER)
        self._start_one("sent", [SCALE_OUT])
        assert trap.wait(PATIENCE) is not None
        self.lane.kill()
        trap.drop()
        assert len(sent.writes()) == 1

    def _start_one(self, name: str, steps: list[Raw]) -> None:
        play = self.plays[name]
        play.file_incident()
        play.file_plan(*steps)
        play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
        play.approve()

    def move_to(self, lane: Lane) -> None:
        """The same services, whose objects are in another namespace now."""
        for play in self.plays.values():
            play.lane = lane
        self.lane = lane


def history_of(lane: Lane, service: str) -> list[Raw]:
    """The records of a service."""
    maps = [body for body in take_backup(lane) if body["kind"] == "ConfigMap"]
    lines = [line for body in maps for line in (body.get("data") or {}).get(service, "").splitlines()]
    return [json.loads(line) for line in lines]


def stand(lane: Lane, name: str) -> tuple[str, str]:
    """Phase and reason of a plan."""
    status = lane.get("recoveryplans", name)["status"]
    return status.get("phase", ""), status.get("reason", "")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same-namespace", "another-namespace"])
@pytest.mark.parametrize("with_status", [False, True], ids=["without-status", "with-status"])
def test_s3_a_restored_backup_has_no_second_effect_and_open_incidents_go_on(
    upgrade_world: World, *, with_status: bool, elsewhere: bool
) -> None:
    suffix = f"{'whole' if with_status else 'bare'}-{'moved' if elsewhere else 'back'}"  # None is the begin of another.
    with ExitStack() as stack:
        lane = stack.enter_context(Lane(upgrade_world, f"lost-{suffix}"))
        found = Recoveries(lane, suffix)
        found.begin()
        plays, backup = found.plays, take_backup(lane)
        plans = {name: play.plan()["metadata"] for name, play in plays.items() if name != "over"}
        uids = {play.incident()["metadata"]["uid"] for play in plays.values()}
        done = {name: play.writes() for name, play in plays.items()}
        (record,) = history_of(lane, plays["over"].name)
        lose_all(lane)
        if elsewhere:
            lane = stack.enter_context(Lane(upgrade_world, f"found-{suffix}"))
            lane.stop()
            found.move_to(lane)
        restore(lane, backup, with_status=with_status)
        lane.start()
        asked, over = plays["asked"], plays["over"]
        asked.wait("it is planned for anew", asked.awaits_approval, PATIENCE)
        wait_until_settled(lane)

        assert {name: play.writes() for name, play in plays.items()} == done
        why = "Restored" if with_status else "IncidentGone"
        assert {stand(lane, plan["name"]) for plan in plans.values()} == {("Cancelled", why)}
        succeeded = [c for c in plays["sent"].plan()["status"]["conditions"] if c["type"] == "Succeeded"]
        assert succeeded[0]["message"] == f"Cancelled: {why}: {NEXT[why]}"
        assert not [name for name, play in plays.items() if "activePlan" in play.protected()["status"]]
        for name, play in plays.items():
            (incident,) = [i for i in upgrade_world.all("incidents", lane.name) if play.is_named_in(str(i["spec"]))]
            assert incident["metadata"]["uid"] not in uids
            if name != "over":
                assert incident["status"]["uid"] == incident["metadata"]["uid"]
                assert incident["status"]["classification"]
        assert history_of(lane, over.name) == [record]

        new = asked.plan()["metadata"]
        assert new["name"] == f"{plans['asked']['name']}-{asked.incident()['metadata']['uid'][:8]}"
        asked.approve()
        asked.wait("the end", asked.over, END)
        assert stand(lane, new["name"]) == ("Completed", "Recovered")
        assert (len(asked.writes()), asked.find_untruths()) == (1, [])
