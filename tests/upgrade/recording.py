"""Plays that leave objects of every kind in every phase that lasts, for the tests of later versions."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bokgu import __version__
from bokgu.api.fields import format_timestamp
from bokgu.api.vocabulary import Decision
from tests.faults.cases import CASES
from tests.faults.lane import Lane
from tests.faults.play import PATIENCE, Play
from tests.faults.trial import END
from tests.upgrade.releases import NAMESPACE, PLURALS, Release
from tests.world.manifests import detector
from tests.world.world import Raw, World

FOREVER = timedelta(days=365 * 70)
EXPIRES = "2099-01-01T00:00:00Z"
LONG = "90000h"
"""Ten years."""

MANUAL = {"name": "look", "action": "manual", "description": "look at the orders", "timeout": LONG, "onFailure": "Stop"}
SCALE_OUT = {"name": "more", "action": "scale_out", "parameters": {"desiredCount": 5}, "timeout": LONG}
CALM = {
    "name": "calm",
    "action": "wait",
    "parameters": {"duration": "24h", "calm": True},
    "timeout": LONG,
    "onFailure": "Stop",
}
BY_NAME = {case.name: case for case in CASES}
_LEFT_OUT = ("managedFields", "resourceVersion", "selfLink")


def record(world: World, tell: Callable[[str], None]) -> Release:
    """The objects that this version leaves behind."""
    with Lane(world, NAMESPACE) as lane:
        recorded = Recording(lane)
        for play in (
            recorded.leave_waiting,
            recorded.leave_held,
            recorded.leave_at_a_person,
            recorded.leave_under_watch,
            recorded.end_well,
            recorded.end_in_relapse_watch,
            recorded.reject,
            recorded.let_expire,
            recorded.let_fail,
            recorded.bind_to_nothing,
            recorded.roll_back,
            recorded.fail_to_roll_back,
            recorded.leave_without_plan,
        ):
            tell(play.__name__)
            play()
        lane.stop()
        return _read(world, lane)


def _read(world: World, lane: Lane) -> Release:
    control_plane = world.control_plane

    def get(*words: str) -> Any:
        return json.loads(control_plane.kubectl("get", *words, "-o", "json").stdout)

    objects = get(",".join(PLURALS.values()), "-n", lane.name)["items"]
    objects += get("configmaps", "-n", lane.name, "-l", "bokgu.dev/history")["items"]
    return Release(
        version=__version__,
        cluster_id=get("namespace", "kube-system")["metadata"]["uid"],
        signers=get("configmap", "bokgu-signers", "-n", "bokgu-system")["data"],
        objects=tuple(_strip(body) for body in objects),
    )


def _strip(body: Raw) -> Raw:
    kept = {name: value for name, value in body["metadata"].items() if name not in _LEFT_OUT}
    return {**body, "metadata": kept}


class Recording:
    """A play for each phase; its services are named after it."""

    def __init__(self, lane: Lane) -> None:
        self._lane, self._world = lane, lane.world

    def _begin(self, name: str, **spec: Any) -> Play:
        play = Play(self._lane, name)
        play.create_service(**spec)
        return play

    def _file(self, play: Play, steps: Sequence[Raw], *, expires: str = EXPIRES, **spec: Any) -> None:
        """An incident and a plan against it. It names nothing of ECS that another ECS would not have."""
        play.file_incident()
        preconditions = {"desiredCount": play.service()["desiredCount"], "rootCause": "Unknown"}
        play.file_plan(*steps, preconditions=preconditions, expiresAt=expires, **spec)
        play.wait("the plan is seen", lambda: play.plan()["status"].get("digest"), PATIENCE)

    def _say(self, play: Play, role: str = "system_admin", decision: Decision = Decision.APPROVE) -> None:
        person = self._world.alice if role == "system_admin" else self._world.bob
        self._lane.kube.put(person.approve(play.plan(), role, decision, valid_for=FOREVER))

    def _approve(self, play: Play) -> None:
        self._say(play)
        self._say(play, "service_owner")

    def _wait_plan(self, play: Play, phase: str, reason: str | None = None) -> None:
        def there() -> bool:
            status = play.plan()["status"]
            return status.get("phase") == phase and reason in {None, status.get("reason")}

        play.wait(f"the plan is {phase}", there, END)

    def _wait_incident(self, play: Play, phase: str) -> None:
        play.wait(f"the incident is {phase}", lambda: play.incident()["status"].get("phase") == phase, END)

    # Plans

    def leave_waiting(self) -> None:
        """One of two people has spoken, and somebody whose word counts for nothing."""
        play = self._begin("waiting")
        self._file(play, [SCALE_OUT])
        self._say(play)
        said = self._world.mallory.approve(play.plan(), "service_owner", Decision.REJECT, valid_for=FOREVER)
        self._lane.kube.put(said)
        play.wait("one counts", lambda: play.plan()["status"].get("approvalCount") == "1/2", PATIENCE)
        spec = {"type": "service_down", "severity": "medium", "serviceRef": {"name": play.name}}
        kind = {"apiVersion": "bokgu.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "waiting-too"}}
        play.apply({**kind, "spec": spec})
        play.wait("the other incident is seen", lambda: self._lane.get("incidents", "waiting-too")["status"], PATIENCE)

    def leave_held(self) -> None:
        """All people have spoken, and somebody holds the plan."""
        play = self._begin("held")
        self._file(play, [SCALE_OUT], suspend=True)
        self._approve(play)
        self._wait_plan(play, "Approved")

    def leave_at_a_person(self) -> None:
        """It has begun, and a person is asked to look."""
        play = self._begin("asking")
        self._file(play, [MANUAL, SCALE_OUT])
        self._approve(play)
        self._wait_plan(play, "InProgress", "AwaitingConfirmation")
        self._wait_incident(play, "Recovering")

    def leave_under_watch(self) -> None:
        """It waits for calm that nobody tells of."""
        play = self._begin("watching")
        self._file(play, [CALM, {**SCALE_OUT, "name": "late"}])
        self._approve(play)
        self._wait_plan(play, "Verifying")

    def end_well(self) -> None:
        """It has done what it was to do, and is in the history."""
        play = self._begin("done")
        self._file(play, [SCALE_OUT])
        self._approve(play)
        self._wait_plan(play, "Completed")
        play.wait("all is over", play.over, END)

    def end_in_relapse_watch(self) -> None:
        """The same, and it is watched for long whether the trouble stays away."""
        play = self._begin("calming", detection={"relapseWatch": LONG, "period": "1s"})
        self._file(play, [SCALE_OUT])
        self._approve(play)
        self._wait_plan(play, "Completed")
        self._wait_incident(play, "Verifying")

    def reject(self) -> None:
        """One person has said no."""
        play = self._begin("refused")
        self._file(play, [SCALE_OUT])
        self._say(play, decision=Decision.REJECT)
        self._wait_plan(play, "Rejected")

    def let_expire(self) -> None:
        """Nobody has said anything in time."""
        play = self._begin("late")
        self._file(play, [SCALE_OUT], expires=format_timestamp(datetime.now(UTC) + timedelta(seconds=5)))
        self._wait_plan(play, "Expired")

    def let_fail(self) -> None:
        """Nobody has looked in time."""
        play = self._begin("failed")
        self._file(play, [{**MANUAL, "timeout": "1s"}])
        self._approve(play)
        self._wait_plan(play, "Failed")
        self._wait_incident(play, "Escalated")

    def bind_to_nothing(self) -> None:
        """Its incident is not there."""
        play = self._begin("orphan")
        self._file(play, [SCALE_OUT], incidentRef={"name": play.name, "uid": "nobody"})
        self._wait_plan(play, "Cancelled")

    def roll_back(self) -> None:
        """Its second step was refused, and the first one was taken back."""
        play = self._begin("undone")
        case = BY_NAME["rollback-undone"]
        case.prepare(play)
        self._file(play, [{"timeout": "60s", "onFailure": "RollBack", **step} for step in case.steps(play)])
        self._approve(play)
        self._wait_plan(play, "RolledBack")

    def fail_to_roll_back(self) -> None:
        """Somebody stopped it in its middle, and AWS refused to take back what it had done."""
        play = self._begin("stuck")
        case = BY_NAME["rollback"]
        case.prepare(play)
        self._file(play, [{"timeout": "60s", "onFailure": "RollBack", **case.steps(play)[0]}, MANUAL])
        self._approve(play)
        self._wait_plan(play, "InProgress", "AwaitingConfirmation")
        self._world.simulator.deny("UpdateService", resource=f'"service": "{play.name}"', count=1000)
        self._say(play, decision=Decision.REJECT)
        self._wait_plan(play, "RollbackFailed")

    # Incidents without plans

    def leave_without_plan(self) -> None:
        """Of a service that nobody protects, and of one that is only looked at."""
        Play(self._lane, "unknown").file_incident()
        play = self._begin("observed", mode="Observe")
        play.file_incident()
        play.apply(detector("unprotected"))
        runbook = {
            "apiVersion": "bokgu.dev/v1alpha1",
            "kind": "Runbook",
            "metadata": {"name": "ours", "namespace": NAMESPACE},
            "spec": {"incidentTypes": ["service_down"], "rootCauses": ["OutOfMemory"], "steps": [_RUNBOOK_STEP]},
        }
        self._lane.kube.put(runbook)
        play.wait("it is seen", lambda: self._lane.get("runbooks", "ours")["status"], PATIENCE)


_RUNBOOK_STEP = {"name": "restart", "action": "service_restart"}
