"""Detection at scale: one schedule an account and region, as few AWS calls as the API allows."""

import time
from collections import Counter

from tests.world.account import Account
from tests.world.manifests import NAMESPACE, detector
from tests.world.world import World, wait_for


def test_calls_of_a_cycle_are_as_few_as_the_api_allows(world: World, account: Account) -> None:
    small = [f"pack-a{n}" for n in range(3)]
    large = [f"pack-b{n:02d}" for n in range(12)]
    account.create("small", *small)
    account.create("large", *large)
    account.protect("small", *small, interval="5s")
    account.protect("large", *large, interval="5s")
    names = small + large
    wait_for(
        lambda: all(set(world.detections(n).values()) == {"Clear"} for n in names),
        40,
        lambda: f"not all is clear: {[world.detections(n) for n in names]}",
    )
    wait_for(
        lambda: all("lastKnownGood" in world.status("protectedservices", n) for n in names),
        30,
        lambda: "histories are missing",
    )
    time.sleep((5 - time.time()) % 5 + 4)  # Between two cycles, which begin at multiples of the interval.
    begun = time.time()
    time.sleep(10)
    counts = Counter(call.operation for call in account.reads(begun))
    # Two cycles: 3 services need one DescribeServices call, 12 need two; 60 metrics fit in one GetMetricData call.
    assert counts == {"DescribeServices": 6, "GetMetricData": 2}


def test_equal_queries_are_sent_once(world: World, account: Account) -> None:
    account.create("twins", "pack-twin")
    account.protect("twins", "pack-twin", presets=["alb-target-5xx"])
    same = detector("pack-twin")
    same["spec"]["interval"] = "2s"
    names = ("pack-one", "pack-two")
    world.apply(*({**same, "metadata": {"name": name, "namespace": NAMESPACE}} for name in names))
    wait_for(lambda: all(world.status("detectors", n) for n in names), 20, lambda: "the detectors do not look")
    time.sleep((2 - time.time()) % 2 + 1.5)
    begun = time.time()
    time.sleep(4)
    calls = [call for call in account.reads(begun) if call.operation == "GetMetricData"]
    # The preset asks for the metrics of the service's own load balancer, the detectors for the same two.
    assert [len(call.parameters["MetricDataQueries"]) for call in calls] == [2, 2]


def test_s12_a_query_that_cloudwatch_refuses_blinds_nobody_else(world: World, account: Account) -> None:
    account.create("mixed", "pack-good", "pack-bad")
    account.protect("mixed", "pack-good", "pack-bad", presets=["ecs-cpu"])
    broken = detector("pack-bad")
    broken["metadata"]["name"] = "pack-broken"
    broken["spec"]["queries"][0]["stat"] = "p999999"
    broken["spec"]["interval"] = "2s"
    world.apply(broken)
    wait_for(
        lambda: world.condition("detectors", "pack-broken", "Ready").get("status") == "False",
        20,
        lambda: f"the broken detector is not told: {world.status('detectors', 'pack-broken')}",
    )
    told = world.condition("detectors", "pack-broken", "Ready")
    assert told["reason"] in {"ValidationError", "InvalidParameterValue"}, told
    clear = {"cpu_utilization": "Clear"}
    wait_for(
        lambda: world.detections("pack-good") == world.detections("pack-bad") == clear,
        20,
        lambda: "somebody is blind",
    )
    time.sleep((2 - time.time()) % 2 + 1.5)
    begun = time.time()
    time.sleep(4)
    calls = [len(c.parameters["MetricDataQueries"]) for c in account.reads(begun) if c.operation == "GetMetricData"]
    # Once known, the refused query is asked alone, and costs one call more a cycle.
    assert sorted(calls) == [1, 1, 3, 3]


def test_70_forbidden_metrics_are_unknown_and_said_so(world: World, account: Account) -> None:
    account.create("shy", "pack-shy")
    account.protect("shy", "pack-shy", presets=["ecs-cpu", "ecs-running"])
    wait_for(lambda: world.detections("pack-shy").get("cpu_utilization") == "Clear", 20, lambda: "not clear")
    account.aws.refuse_metrics("Forbidden", namespace="AWS/ECS")
    wait_for(
        lambda: world.detections("pack-shy").get("cpu_utilization") == "Unknown",
        20,
        lambda: f"still {world.detections('pack-shy')}",
    )
    told = world.condition("protectedservices", "pack-shy", "Detecting")
    assert (told["status"], told["reason"]) == ("False", "Forbidden")
    assert world.detections("pack-shy")["running_tasks"] == "Clear"
    assert world.incidents_of("pack-shy") == []


def test_a_role_that_may_not_be_assumed_is_said_so(world: World, account: Account) -> None:
    account.aws.declare_role(account.role, assumable=False)
    account.protect("nowhere", "pack-locked", presets=["ecs-running"])
    wait_for(
        lambda: world.condition("protectedservices", "pack-locked", "Ready").get("status") == "False",
        20,
        lambda: "nothing is said",
    )
    assert world.condition("protectedservices", "pack-locked", "Ready")["reason"] == "AccessDenied"


def test_presets_alone_open_one_incident_for_one_outage(world: World, account: Account) -> None:
    account.create("dead", "pack-dead")
    account.protect("dead", "pack-dead")
    wait_for(lambda: set(world.detections("pack-dead").values()) == {"Clear"}, 30, lambda: "not clear")
    container = {"name": "app", "image": "app:2", "environment": [{"name": "SIM_EXIT_AFTER_SECONDS", "value": "5"}]}
    account.ecs.register_task_definition(family="app", containerDefinitions=[container])
    account.ecs.update_service(
        cluster="dead",
        service="pack-dead",
        taskDefinition="app",
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
    )
    wait_for(lambda: world.incidents_of("pack-dead"), 30, lambda: f"no incident: {world.detections('pack-dead')}")
    time.sleep(5)
    found = world.incidents_of("pack-dead")
    leading = [i for i in found if i.get("status", {}).get("phase") != "Suppressed"]
    assert len(leading) == 1, [(i["metadata"]["name"], i.get("status", {}).get("phase")) for i in found]
    assert leading[0]["spec"]["type"] == "service_down"
    assert leading[0]["spec"]["source"]["kind"] == "Preset"
