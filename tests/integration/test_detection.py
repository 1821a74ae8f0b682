"""Detection at scale: one schedule an account and region, as few AWS calls as the API allows."""

import time
from collections import Counter
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.simulator.control import RecordedCall
from tests.world.manifests import NAMESPACE, REGION, detector, protected_service
from tests.world.world import Raw, World, wait_for

PRESETS = ["alb-target-5xx", "alb-no-target", "ecs-running", "ecs-crash-loop", "ecs-deployment", "ecs-cpu"]


class Account:
    """Services in an account of their own, which the operator reaches through a role: a scope of its own."""

    def __init__(self, world: World, number: str) -> None:
        self.world, self.number = world, number
        self.role = f"arn:aws:iam::{number}:role/bokgu"
        self.aws = world.simulator.at(number)
        session = boto3.Session(aws_access_key_id="person", aws_secret_access_key="x", region_name=REGION)
        config = Config(retries={"total_max_attempts": 1})
        sts = session.client("sts", endpoint_url=world.aws_url, config=config)
        keys = sts.assume_role(RoleArn=self.role, RoleSessionName="person")["Credentials"]
        session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], REGION)
        self.ecs: Any = session.client("ecs", endpoint_url=world.aws_url, config=config)

    def create(self, cluster: str, *names: str) -> None:
        """Healthy services behind load balancers of their own, in a cluster."""
        self.ecs.create_cluster(clusterName=cluster)
        container = {"name": "app", "image": "app:1", "environment": []}
        self.ecs.register_task_definition(family="app", containerDefinitions=[container])
        for name in names:
            arn = f"arn:aws:elasticloadbalancing:{REGION}:{self.number}:targetgroup/{name}/73e2d6bc24d8a067"
            self.ecs.create_service(
                cluster=cluster,
                serviceName=name,
                taskDefinition="app",
                desiredCount=2,
                launchType="FARGATE",
                loadBalancers=[{"targetGroupArn": arn, "containerName": "app", "containerPort": 80}],
            )

    def protect(
        self, cluster: str, *names: str, interval: str = "2s", presets: list[str] = PRESETS, **spec: Any
    ) -> None:
        """Watch them with presets, all at the same interval."""
        detection = {"presets": presets, "interval": interval, "settle": "1s", "period": "1s", "relapseWatch": "2s"}
        self.world.apply(
            *(
                protected_service(
                    name,
                    ecs={"cluster": cluster, "service": name},
                    roleArn=self.role,
                    mode="Observe",
                    detection=detection,
                )
                for name in names
            )
        )

    def reads(self, since: float) -> list[RecordedCall]:
        """The operator's calls in this account since that moment."""
        sessions = (call for call in self.aws.calls() if call.role_session_name == "bokgu-read")
        return [call for call in sessions if call.account == self.number and call.time >= since]


def status(world: World, name: str, kind: str = "protectedservices") -> Raw:
    """Status of an object, or nothing yet."""
    return dict((world.get(kind, name) or {}).get("status", {}))


def detections(world: World, name: str) -> dict[str, str]:
    """State of each detection of a ProtectedService."""
    return {d["condition"]: d["state"] for d in status(world, name).get("detections", [])}


def condition(world: World, name: str, type_: str, kind: str = "protectedservices") -> Raw:
    """One condition of an object, or an empty one."""
    return next((c for c in status(world, name, kind).get("conditions", []) if c["type"] == type_), {})


def incidents(world: World, service: str) -> list[Raw]:
    """All incidents of a service."""
    return [i for i in world.all("incidents") if i["spec"]["serviceRef"]["name"] == service]


@pytest.fixture
def account(world: World, request: pytest.FixtureRequest) -> Any:
    number = f"{abs(hash(request.node.name)) % 10**11 + 10**11:012d}"
    opened = Account(world, number)
    yield opened
    for kind in ("protectedservices", "detectors"):
        mine = [o for o in world.all(kind) if number in str(o["spec"]) or o["metadata"]["name"].startswith("pack")]
        for one in mine:
            world.control_plane.kubectl("delete", kind, one["metadata"]["name"], "-n", NAMESPACE, "--wait=false")


def test_calls_of_a_cycle_are_as_few_as_the_api_allows(world: World, account: Account) -> None:
    small = [f"pack-a{n}" for n in range(3)]
    large = [f"pack-b{n:02d}" for n in range(12)]
    account.create("small", *small)
    account.create("large", *large)
    account.protect("small", *small, interval="5s")
    account.protect("large", *large, interval="5s")
    names = small + large
    wait_for(
        lambda: all(set(detections(world, n).values()) == {"Clear"} for n in names),
        40,
        lambda: f"not all is clear: {[detections(world, n) for n in names]}",
    )
    wait_for(lambda: all("lastKnownGood" in status(world, n) for n in names), 30, lambda: "histories are missing")
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
    wait_for(lambda: all(status(world, n, "detectors") for n in names), 20, lambda: "the detectors do not look")
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
        lambda: condition(world, "pack-broken", "Ready", "detectors").get("status") == "False",
        20,
        lambda: f"the broken detector is not told: {status(world, 'pack-broken', 'detectors')}",
    )
    told = condition(world, "pack-broken", "Ready", "detectors")
    assert told["reason"] in {"ValidationError", "InvalidParameterValue"}, told
    clear = {"cpu_utilization": "Clear"}
    wait_for(
        lambda: detections(world, "pack-good") == detections(world, "pack-bad") == clear,
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
    wait_for(lambda: detections(world, "pack-shy").get("cpu_utilization") == "Clear", 20, lambda: "not clear")
    account.aws.refuse_metrics("Forbidden", namespace="AWS/ECS")
    wait_for(
        lambda: detections(world, "pack-shy").get("cpu_utilization") == "Unknown",
        20,
        lambda: f"still {detections(world, 'pack-shy')}",
    )
    told = condition(world, "pack-shy", "Detecting")
    assert (told["status"], told["reason"]) == ("False", "Forbidden")
    assert detections(world, "pack-shy")["running_tasks"] == "Clear"
    assert incidents(world, "pack-shy") == []


def test_a_role_that_may_not_be_assumed_is_said_so(world: World, account: Account) -> None:
    account.aws.declare_role(account.role, assumable=False)
    account.protect("nowhere", "pack-locked", presets=["ecs-running"])
    wait_for(lambda: condition(world, "pack-locked", "Ready").get("status") == "False", 20, lambda: "nothing is said")
    assert condition(world, "pack-locked", "Ready")["reason"] == "AccessDenied"


def test_presets_alone_open_one_incident_for_one_outage(world: World, account: Account) -> None:
    account.create("dead", "pack-dead")
    account.protect("dead", "pack-dead")
    wait_for(lambda: set(detections(world, "pack-dead").values()) == {"Clear"}, 30, lambda: "not clear")
    container = {"name": "app", "image": "app:2", "environment": [{"name": "SIM_EXIT_AFTER_SECONDS", "value": "5"}]}
    account.ecs.register_task_definition(family="app", containerDefinitions=[container])
    account.ecs.update_service(
        cluster="dead",
        service="pack-dead",
        taskDefinition="app",
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
    )
    wait_for(lambda: incidents(world, "pack-dead"), 30, lambda: f"no incident: {detections(world, 'pack-dead')}")
    time.sleep(5)
    found = incidents(world, "pack-dead")
    leading = [i for i in found if i.get("status", {}).get("phase") != "Suppressed"]
    assert len(leading) == 1, [(i["metadata"]["name"], i.get("status", {}).get("phase")) for i in found]
    assert leading[0]["spec"]["type"] == "service_down"
    assert leading[0]["spec"]["source"]["kind"] == "Preset"
