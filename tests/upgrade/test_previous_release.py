"""Objects that earlier releases left in etcd, under this version: its kinds, its operator, its approvals."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bokgu.api.vocabulary import PlanPhase
from bokgu.core.approval.digest import plan_digest
from tests.faults.lane import Lane
from tests.faults.play import PATIENCE, Play
from tests.upgrade.releases import FOLDER, NAMESPACE, PLURALS, Release, load_release, read_release
from tests.upgrade.settled import wait_until_settled
from tests.world.world import Raw, World, wait_for

RELEASES = sorted(FOLDER.glob("*.yaml"))
GOING = ("waiting", "held", "asking", "watching", "observed", "refused", "late", "orphan")
"""Services with incidents that are not over: they must be there."""


@dataclass(frozen=True)
class Upgraded:
    """A release's objects, and a lane whose operator has taken them over. `wrote` is what it wrote to AWS by then."""

    release: Release
    lane: Lane
    wrote: list[str]

    def now(self, body: Raw) -> Raw:
        """An object of the release as it is now."""
        return self.lane.get(PLURALS[body["kind"]], body["metadata"]["name"])


@pytest.fixture(scope="module", params=RELEASES, ids=lambda path: path.stem)
def upgraded(upgrade_world: World, request: pytest.FixtureRequest) -> Iterator[Upgraded]:
    release = read_release(request.param)
    with Lane(upgrade_world, NAMESPACE, {"BOKGU_RETENTION": "never"}) as lane:
        lane.stop()
        for name in GOING:
            upgrade_world.create_service(name)
        signers = {"apiVersion": "v1", "kind": "ConfigMap", "data": release.signers}
        upgrade_world.apply({**signers, "metadata": {"name": "bokgu-signers", "namespace": "bokgu-system"}})
        load_release(upgrade_world.control_plane, release)
        lane.start()
        wait_for(
            lambda: len(upgrade_world.all("recoveryplans", NAMESPACE)) == len(release.of("RecoveryPlan")),
            PATIENCE,
            lambda: "the objects are not there",
        )
        wait_until_settled(lane)
        wrote = [call.name for call in lane.aws_calls.calls() if call.writes]
        yield Upgraded(release, lane, wrote)


def test_releases_are_tested() -> None:
    assert RELEASES


def test_the_release_has_left_every_phase_that_lasts(upgraded: Upgraded) -> None:
    phases = upgraded.release.phases()
    passing = {PlanPhase.PENDING, PlanPhase.ROLLING_BACK}
    assert phases["RecoveryPlan"] == set(PlanPhase) - passing
    # What awaits approval does so for an hour, and what is only classified waits for something that passes.
    assert phases["Incident"] >= {"Detected", "Recovering", "Verifying", "Resolved", "Escalated", "Suppressed"}
    assert all(phases.values())


def test_s1_nothing_is_written_to_aws(upgraded: Upgraded) -> None:
    assert upgraded.wrote == []


def test_objects_are_read_by_the_kinds_of_this_version_without_loss(upgraded: Upgraded) -> None:
    for body in upgraded.release.objects:
        if body["kind"] in PLURALS:
            assert upgraded.now(body)["spec"] == body["spec"], body["metadata"]["name"]


def test_s8_no_plan_has_another_digest(upgraded: Upgraded) -> None:
    plans = upgraded.release.of("RecoveryPlan")
    for body in plans:
        now = upgraded.now(body)
        recorded = body["status"]["digest"]
        assert now["status"]["digest"] == recorded == plan_digest(upgraded.release.cluster_id, {**now, "status": {}})
    assert len({body["status"]["digest"] for body in plans}) == len(plans)


def test_every_object_is_where_it_was(upgraded: Upgraded) -> None:
    def stand(body: Raw) -> tuple[Any, ...]:
        status = body["status"]
        steps = [(step["phase"], step.get("reason")) for step in status.get("steps", [])]
        return status["phase"], status.get("reason"), status.get("approvalCount"), status.get("progress"), steps

    for kind in ("RecoveryPlan", "Incident"):
        found = {body["metadata"]["name"]: stand(upgraded.now(body)) for body in upgraded.release.of(kind)}
        assert found == {body["metadata"]["name"]: stand(body) for body in upgraded.release.of(kind)}


def test_history_is_not_written_anew(upgraded: Upgraded) -> None:
    core = upgraded.lane.kube._core
    for body in upgraded.release.of("ConfigMap"):
        now = core.read_namespaced_config_map(body["metadata"]["name"], NAMESPACE)
        assert now.data == body["data"]


def test_s8_approvals_that_were_signed_before_count_and_others_do_not(upgraded: Upgraded) -> None:
    def reasons(bodies: list[Raw]) -> dict[str, str]:
        return {b["metadata"]["name"]: b["status"]["conditions"][0]["reason"] for b in bodies}

    approvals = upgraded.release.of("PlanApproval")
    now = reasons([upgraded.now(body) for body in approvals])
    assert now == reasons(approvals)
    assert {"Accepted", "InvalidSignature"} <= set(now.values())


@pytest.mark.timeout(180)
def test_s8_the_plan_that_was_approved_before_runs_once_and_only_by_its_signatures(upgraded: Upgraded) -> None:
    """Last, since it goes on: without the signers nothing counts, with them the plan that somebody held begins."""
    lane, world = upgraded.lane, upgraded.lane.world
    held = Play(lane, "held")
    key = {"name": "bokgu-signers", "namespace": "bokgu-system"}

    def sign(data: dict[str, str]) -> None:
        world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": key, "data": data})

    sign({"allowed_signers": "", "revoked": ""})
    held.wait("nothing counts", lambda: held.plan()["status"]["approvalCount"] == "0/2", PATIENCE)
    sign(upgraded.release.signers)
    held.wait("all of it counts", lambda: held.plan()["status"]["approvalCount"] == "2/2", PATIENCE)
    lane.change("recoveryplans", "held", {"spec": {"suspend": False}})
    held.wait("it has run", lambda: held.plan()["status"]["phase"] == "Completed", PATIENCE)
    assert [name for name, _ in held.writes()] == ["UpdateService"]
    assert held.service()["desiredCount"] == 5
