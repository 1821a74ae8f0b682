"""What the fault tests play: a row for each action, forward and undone.

A new action is a new row: what is done before (`prepare`), the steps of a person's plan, and how it must end. The
points at which the operator is killed are found by counting the calls of a play without a fault.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.play import Play
from tests.world.manifests import CLUSTER, SURGE_LOAD, detector
from tests.world.world import Raw

Steps = Callable[[Play], Sequence[Raw]]


def _nothing(_: Play) -> None:
    """The service is well."""


def _file(play: Play, steps: Steps) -> None:
    """A person files an incident and a plan against it."""
    play.file_incident()
    play.file_plan(*steps(play))


@dataclass(frozen=True)
class Case:
    """A recovery. `plan` and `incident` are the phases in which it ends without a fault, `writes` how many AWS writes
    have an effect.

    `repeatable` says whether every AWS write may be sent again by an operator that does not know what became of it: one
    that may not be ends with a person (S3) where the operator died before AWS got it. `begin` brings the incident and
    the plan; the call that it begins with is the first one that counts where `whole` is set, else the first one after
    the approval.
    """

    name: str
    writes: int
    prepare: Callable[[Play], None] = _nothing
    steps: Steps = lambda _: ()
    begin: Callable[[Play, Steps], None] = _file
    whole: bool = False
    plan: str = "Completed"
    incident: str = "Resolved"
    repeatable: bool = True


def _step(action: str, **members: Any) -> Raw:
    return {"action": action, **members}


def _scale_out(_: Play) -> list[Raw]:
    return [_step("health_check"), _step("scale_out", parameters={"desiredCount": 5})]


def _restart(_: Play) -> list[Raw]:
    return [_step("service_restart")]


def _deploy(play: Play) -> None:
    play.world.deploy(play.name, ERROR_RATIO=0.1)


def _roll_back(play: Play) -> list[Raw]:
    """To the revision before; what takes it back is the same action."""
    found = play.world.ecs.list_service_deployments(cluster=CLUSTER, service=play.name)["serviceDeployments"]
    oldest = min(found, key=lambda d: d["createdAt"])
    parameters = {"serviceRevisionArn": oldest["targetServiceRevisionArn"]}
    name = "rollback_to_previous_version"
    return [_step(name, parameters=parameters, rollback={"action": name})]


def _deploy_and_refuse_scaling(play: Play) -> None:
    """AWS will refuse the second step, so that the first one is taken back."""
    _deploy(play)
    play.refuse('"desiredCount": 5')


def _roll_back_and_scale(play: Play) -> list[Raw]:
    return [*_roll_back(play), _step("scale_out", parameters={"desiredCount": 5})]


def _surge(play: Play, _: Steps) -> None:
    """Twice the traffic: the operator notices it and makes the plan itself."""
    play.world.simulator.set_load(CLUSTER, play.name, SURGE_LOAD)


def _watch(play: Play) -> None:
    """What is good, and how many errors are usual, is known before the trouble begins."""
    play.apply(detector(play.name))
    name = f"{play.name}-errors"
    play.wait("the detector sees it", lambda: play.lane.get("detectors", name)["status"].get("summary") == "Clear", 20)
    play.wait("a good revision is known", lambda: "lastKnownGood" in play.protected()["status"], 20)


CASES = (
    Case("scale-out", writes=1, steps=_scale_out),
    Case("service-restart", writes=1, steps=_restart, repeatable=False),
    Case("rollback", writes=1, prepare=_deploy, steps=_roll_back),
    Case(
        "rollback-undone",
        writes=2,
        prepare=_deploy_and_refuse_scaling,
        steps=_roll_back_and_scale,
        plan="RolledBack",
        incident="Escalated",
    ),
    Case("surge-noticed", writes=1, prepare=_watch, begin=_surge, whole=True),
)
