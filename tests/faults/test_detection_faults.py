"""Detection while AWS hangs, the operator stops, and objects come and go."""

import time

import pytest

from tests.world.account import Account
from tests.world.manifests import NAMESPACE, detector
from tests.world.world import Raw, World, wait_for

pytestmark = pytest.mark.timeout(300)


def test_a_detector_that_was_created_again_is_another_one(world: World, account: Account) -> None:
    account.create("again", "fault-again")
    account.protect("again", "fault-again", presets=["ecs-running"])

    def requests_above(threshold: str) -> Raw:
        made = detector("fault-again", interval="8s")
        made["spec"]["conditions"] = [
            {
                "name": "requests",
                "type": "resource_exhaustion",
                "query": "requests",
                "thresholds": {"high": threshold},
                "evaluationPeriods": 10,
                "datapointsToAlarm": 2,
            }
        ]
        return made

    def state() -> list[str]:
        return [d["state"] for d in world.status("detectors", "fault-again-errors").get("detections", [])]

    wait_for(lambda: world.detections("fault-again") == {"running_tasks": "Clear"}, 60, lambda: "nothing is seen")
    world.apply(requests_above("1000000"))
    wait_for(lambda: state() == ["Clear"], 60, lambda: f"not clear: {state()}")
    world.control_plane.kubectl("delete", "detector", "fault-again-errors", "-n", NAMESPACE)
    world.apply(requests_above("1"))
    # Both begin at generation 1: only the uid tells them apart.
    wait_for(lambda: state() == ["Firing"], 60, lambda: f"the new threshold does not count: {state()}")


def test_a_cloudwatch_that_hangs_hides_no_outage_and_holds_up_no_end(world: World, account: Account) -> None:
    account.create("blind", "fault-blind")
    account.protect("blind", "fault-blind", presets=["ecs-running", "ecs-cpu"])
    clear = {"running_tasks": "Clear", "cpu_utilization": "Clear"}
    wait_for(lambda: world.detections("fault-blind") == clear, 60, lambda: "not clear")
    fault = account.aws.hang("GetMetricData", count=1000)
    time.sleep(3)  # A pass over the scope has begun and hangs; the next one is half a minute away.
    account.ecs.update_service(cluster="blind", service="fault-blind", desiredCount=3)
    begun = time.monotonic()
    code = world.stop_operator()
    took = time.monotonic() - begun
    world.start_operator()
    wait_for(
        lambda: world.status("protectedservices", "fault-blind").get("summary") == "3/3",
        60,
        lambda: f"ECS is not heard: {world.status('protectedservices', 'fault-blind')}",
    )
    account.aws.remove_fault(fault)
    assert (code, took < 15) == (0, True)
