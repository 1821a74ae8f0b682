"""The queue of events: alarms and ECS's own events become incidents, and are deleted only then."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bokgu.api.redaction import redact_quote
from tests.secrets_in_text import SECRETS, find_secrets
from tests.world import events
from tests.world.event_queue import DEAD_LETTERS, MAX_RECEIVE_COUNT
from tests.world.manifests import CLUSTER, NAMESPACE, NORMAL_LOAD, TARGET_GROUP, TASK_CAPACITY, protected_service
from tests.world.world import ROOT, Raw, World, wait_for

NEVER = {"relapseWatch": "30m"}
"""Incidents of these tests stay open."""


class Subject:
    """One service of the world, and its incidents."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name

    def incidents(self) -> list[Raw]:
        return self.world.incidents_of(self.name)

    def sources(self) -> list[tuple[str, str]]:
        return sorted((i["spec"]["source"]["kind"], i["spec"]["source"]["name"]) for i in self.incidents())

    def reports(self) -> list[tuple[str, str]]:
        """(state, name of the source) of all reports of all incidents."""
        found = [r for i in self.incidents() for r in i.get("status", {}).get("reports", [])]
        return [(r["state"], r["source"]["name"]) for r in found]

    def detections(self) -> dict[str, str]:
        found = self.world.get("protectedservices", self.name) or {}
        return {d["condition"]: d["state"] for d in found.get("status", {}).get("detections", [])}

    def stops(self) -> list[Raw]:
        """The tasks whose end is kept."""
        found = self.world.get("protectedservices", self.name) or {}
        stops: list[Raw] = found.get("status", {}).get("recentStops", [])
        return stops

    def wait(self, condition: Callable[[], Any], seconds: float = 15) -> None:
        wait_for(
            condition, seconds, lambda: f"{self.incidents()}\n{self.detections()}\n{self.world.operator_log_tail()}"
        )

    def wait_emptied(self) -> None:
        """Wait until nothing is left in the queue."""
        self.wait(lambda: self.world.events.left() == 0)


@pytest.fixture
def protect(world: World, request: pytest.FixtureRequest) -> Iterator[Callable[..., Subject]]:
    """Makes a ProtectedService; its ECS service is there only where `real` is set."""
    made: list[Subject] = []
    deployed: list[str] = []

    def make(*, real: bool = False, **spec: Any) -> Subject:
        name = f"event-{abs(hash(request.node.name)) % 10**6}-{len(made)}"
        if real:
            world.create_service(name)
            deployed.append(name)
        world.apply(protected_service(name, **{"detection": NEVER, **spec}))
        made.append(Subject(world, name))
        wait_for(lambda: (world.get("protectedservices", name) or {}).get("status"), 10, world.operator_log_tail)
        return made[-1]

    yield make
    for name in deployed:
        world.ecs.update_service(cluster=CLUSTER, service=name, desiredCount=0)
    for subject in made:
        world.control_plane.kubectl("delete", "protectedservice", subject.name, "-n", NAMESPACE)
        for found in subject.incidents():
            world.control_plane.kubectl("delete", "incident", found["metadata"]["name"], "-n", NAMESPACE)


def cpu_alarm(subject: Subject, value: str = "ALARM", *, at: datetime | None = None, name: str = "cpu") -> Raw:
    return events.alarm(name, value, at=at, metrics=[events.cpu_of(subject.name)], datapoints=[97.5])


# Alarms


def test_alarm_opens_an_incident_and_is_deleted_after_that(world: World, protect: Callable[..., Subject]) -> None:
    subject, age = protect(), 'bokgu_event_age_seconds_{}{{door="Alarm"}}'
    before = world.scrape()
    world.events.send(cpu_alarm(subject))
    subject.wait(subject.incidents)
    (found,) = subject.incidents()
    subject.wait(lambda: world.scrape().get(age.format("count"), 0) > before.get(age.format("count"), 0))
    assert 0 <= world.scrape()[age.format("sum")] - before.get(age.format("sum"), 0) < 60
    spec = found["spec"]
    assert (spec["type"], spec["severity"]) == ("resource_exhaustion", "high")
    assert spec["source"] == {"kind": "Alarm", "name": "cpu"}
    assert spec["metrics"] == [{"name": "CPUUtilization", "value": "97.5", "unit": "None", "threshold": "90"}]
    subject.wait_emptied()
    assert world.events.left(DEAD_LETTERS) == 0


def test_ok_clears_and_duplicates_in_any_order_change_nothing(world: World, protect: Callable[..., Subject]) -> None:
    subject, begun = protect(), datetime.now(UTC) - timedelta(minutes=5)
    alarm, ok = cpu_alarm(subject, at=begun), cpu_alarm(subject, "OK", at=begun + timedelta(minutes=2))
    world.events.send(alarm)
    subject.wait(subject.incidents)
    world.events.send(ok)
    subject.wait(lambda: subject.reports() == [("Clear", "cpu")])
    world.events.send(alarm, ok, alarm, events.wrap_by_sns(alarm), cpu_alarm(subject, "INSUFFICIENT_DATA"))
    subject.wait_emptied()
    assert subject.reports() == [("Clear", "cpu")]
    assert len(subject.incidents()) == 1
    world.events.send(cpu_alarm(subject, at=begun + timedelta(minutes=3)))
    subject.wait(lambda: subject.reports() == [("Firing", "cpu")])
    world.events.send(cpu_alarm(subject, "INSUFFICIENT_DATA", at=begun + timedelta(minutes=4)))
    subject.wait(lambda: subject.reports() == [("Unknown", "cpu")])
    assert len(subject.incidents()) == 1


def test_an_ok_that_overtakes_its_alarm_leaves_nothing_open(world: World, protect: Callable[..., Subject]) -> None:
    subject, begun = protect(), datetime.now(UTC) - timedelta(minutes=5)
    world.events.send(cpu_alarm(subject, "OK", at=begun + timedelta(minutes=1)))
    subject.wait_emptied()
    world.events.send(cpu_alarm(subject, at=begun))
    subject.wait_emptied()
    assert subject.incidents() == []


def test_a_batch_is_taken_in_by_the_time_of_its_events(world: World, protect: Callable[..., Subject]) -> None:
    subject, begun = protect(), datetime.now(UTC) - timedelta(minutes=5)
    changes = [cpu_alarm(subject, "OK" if n % 2 else "ALARM", at=begun + timedelta(seconds=20 * n)) for n in range(10)]
    world.events.send(*reversed(changes))
    subject.wait_emptied()
    assert len(subject.incidents()) <= 1
    assert subject.reports() in ([("Clear", "cpu")], [])


def test_alarms_by_name_open_what_the_spec_says(world: World, protect: Callable[..., Subject]) -> None:
    named = {"name": "orders-corrupt", "type": "data_corruption", "severity": "critical"}
    subject = protect(detection={**NEVER, "alarms": [named]})
    world.events.send(events.alarm("orders-corrupt"), events.alarm("somebody-elses"))
    subject.wait(subject.incidents)
    (found,) = subject.incidents()
    assert (found["spec"]["type"], found["spec"]["severity"]) == ("data_corruption", "critical")
    subject.wait_emptied()


def test_two_alarms_of_one_trouble_are_one_incident(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect()
    world.events.send(*(cpu_alarm(subject, name=f"cpu-{n}") for n in range(5)))
    subject.wait_emptied()
    (found,) = subject.incidents()
    joined = {f"cpu-{n}" for n in range(5)} - {found["spec"]["source"]["name"]}
    assert sorted(subject.reports()) == [("Firing", name) for name in sorted(joined)]


def test_an_alarm_of_cloudwatch_comes_through_the_rule_and_clears(
    world: World, protect: Callable[..., Subject]
) -> None:
    subject = protect(real=True)
    dimensions = [{"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": subject.name}]
    world.cloudwatch.put_metric_alarm(
        AlarmName=f"{subject.name}-cpu",
        Namespace="AWS/ECS",
        MetricName="CPUUtilization",
        Dimensions=dimensions,
        Statistic="Average",
        Period=1,
        EvaluationPeriods=3,
        Threshold=99.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    world.simulator.set_load(CLUSTER, subject.name, 10 * NORMAL_LOAD)
    subject.wait(subject.incidents, 30)
    (found,) = subject.incidents()
    assert found["spec"]["source"] == {"kind": "Alarm", "name": f"{subject.name}-cpu"}
    (metric,) = found["spec"]["metrics"]
    assert (metric["name"], metric["threshold"], float(metric["value"]) > 99) == ("CPUUtilization", "99", True)
    world.simulator.set_load(CLUSTER, subject.name, NORMAL_LOAD)
    subject.wait(lambda: subject.reports() == [("Clear", f"{subject.name}-cpu")], 30)
    world.cloudwatch.delete_alarms(AlarmNames=[f"{subject.name}-cpu"])


def test_an_alarm_on_a_target_group_finds_its_service(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect(real=True, detection={**NEVER, "presets": ["alb-no-target"]})
    group = TARGET_GROUP.replace("/api/", f"/{subject.name}/")

    def known() -> bool:
        status = (world.get("protectedservices", subject.name) or {}).get("status", {})
        return any(g["arn"].endswith(group) for g in status.get("service", {}).get("targetGroups", []))

    subject.wait(known)
    metric = events.metric("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", {"TargetGroup": group})
    world.events.send(events.alarm("errors", metrics=[metric]))
    subject.wait(subject.incidents)
    assert subject.incidents()[0]["spec"]["type"] == "high_error_rate"


def test_the_door_survives_errors_of_the_queue(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect()
    world.simulator.fail("ReceiveMessage", count=1)
    world.simulator.throttle("ReceiveMessage", count=1)
    world.simulator.lose_answer("DeleteMessageBatch", count=3)
    world.events.send(cpu_alarm(subject, name="first"))
    subject.wait(subject.incidents)
    world.events.send(cpu_alarm(subject, name="second"))
    subject.wait(lambda: subject.reports() == [("Firing", "second")], 30)
    subject.wait_emptied()
    assert len(subject.incidents()) == 1


def test_s12_poison_is_counted_and_ends_in_the_dead_letter_queue(world: World, protect: Callable[..., Subject]) -> None:
    subject, counted = protect(), 'bokgu_events_total{door="Unknown",result="poison"}'
    before = world.scrape().get(counted, 0)
    broken = cpu_alarm(subject)
    broken["detail"]["state"]["value"] = "PANIC"
    world.events.send("{", cpu_alarm(subject), broken)
    subject.wait(subject.incidents)
    subject.wait(lambda: world.events.left(DEAD_LETTERS) == 2, 30)
    assert world.events.left() == 0
    assert "{" in world.events.take_dead()
    assert world.scrape()[counted] - before == MAX_RECEIVE_COUNT


def test_events_that_concern_nobody_are_deleted(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect()
    other = cpu_alarm(subject)
    world.events.send(
        other | {"region": "eu-west-1"},
        events.stopped_task("nobody"),
        events.wrap("aws.ec2", "EC2 Instance State-change Notification", [], {}),
        cpu_alarm(subject, name="TargetTracking-service/shop/api-AlarmLow-1"),
    )
    subject.wait_emptied()
    assert subject.incidents() == []
    assert world.events.left(DEAD_LETTERS) == 0


def test_s10_what_cannot_be_stored_stays_in_the_queue(world: World, protect: Callable[..., Subject]) -> None:
    """The operator may not write for a while, as if the API server were in trouble."""
    subject = protect()
    world.control_plane.kubectl("delete", "clusterrolebinding", "bokgu-operator")
    failed = 'bokgu_events_total{door="Alarm",result="failed"}'
    before = world.scrape().get(failed, 0)
    try:
        # The API server goes on for a moment as before.
        sent = 0
        while world.scrape().get(failed, 0) == before:
            assert sent < 40
            world.events.send(cpu_alarm(subject, name=f"cpu-{sent}"))
            sent += 1
            subject.wait(lambda: world.events.left() == 0 or world.scrape().get(failed, 0) > before)
        assert world.events.left() > 0
    finally:
        world.control_plane.apply(ROOT / "deploy/account.yaml")
    subject.wait_emptied()
    assert world.events.left(DEAD_LETTERS) == 0
    spoken = {name for _, name in (*subject.sources(), *subject.reports())}
    assert f"cpu-{sent - 1}" in spoken


# Events of ECS


def test_tasks_that_end_open_an_incident_with_no_preset(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect(real=True)
    definition = world.register(subject.name, CAPACITY_RPS=TASK_CAPACITY, EXIT_AFTER_SECONDS=20)
    world.ecs.update_service(cluster=CLUSTER, service=subject.name, taskDefinition=definition)
    subject.wait(subject.incidents, 40)
    (found,) = subject.incidents()
    assert found["spec"]["type"] == "service_down"
    assert found["spec"]["source"]["kind"] == "EcsEvent"
    assert found["spec"]["affectedResources"] == [world.describe(subject.name)["serviceArn"]]
    subject.wait(lambda: subject.detections().get("crashed_tasks") == "Firing")
    # The passes over the service go on with it, though no preset is listed.
    for _ in range(30):
        assert subject.detections().get("crashed_tasks") == "Firing"
        time.sleep(0.1)


def test_a_failed_deployment_opens_an_incident_with_no_preset(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect(real=True)
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    definition = world.register(subject.name, PULL_FAILS="true")
    world.ecs.update_service(
        cluster=CLUSTER, service=subject.name, taskDefinition=definition, deploymentConfiguration=breaker
    )
    subject.wait(lambda: subject.detections().get("deployment") == "Firing", 60)
    (found,) = subject.incidents()
    assert found["spec"]["source"]["kind"] == "EcsEvent"


def test_trouble_that_must_last_is_found_by_looking_again(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect(real=True)
    definition = world.register(subject.name, START_SECONDS=6000)
    world.ecs.update_service(
        cluster=CLUSTER,
        service=subject.name,
        taskDefinition=definition,
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
    )
    subject.wait(lambda: world.describe(subject.name)["runningCount"] == 0)
    assert subject.incidents() == []
    world.events.send(events.action(subject.name))
    subject.wait(lambda: subject.detections().get("running_tasks") == "Firing", 30)
    (found,) = subject.incidents()
    assert found["spec"]["severity"] == "critical"
    assert found["spec"]["source"] == {"kind": "EcsEvent", "name": subject.name, "condition": "running_tasks"}


def test_a_burst_of_events_about_one_service_is_few_looks(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect(real=True)
    since = max(c.sequence for c in world.simulator.calls())
    world.events.send(*(events.stopped_task(subject.name) for _ in range(100)))
    subject.wait_emptied()
    # The looks of the scopes name the service too, once a second.
    looks = [c for c in world.simulator.calls("DescribeServices", since=since) if subject.name in str(c.parameters)]
    assert len(looks) < 30
    assert subject.incidents() == []


def test_alarms_do_not_wait_behind_slow_looks(world: World, protect: Callable[..., Subject]) -> None:
    slow, alarmed = protect(real=True), protect()
    world.simulator.slow_down("DescribeServices", 6, resource=slow.name, count=1000)
    world.events.send(*(events.stopped_task(slow.name) for _ in range(80)))
    world.events.send(cpu_alarm(alarmed))
    alarmed.wait(alarmed.incidents, 4)
    assert world.events.left() > 0
    world.simulator.clear_faults()
    slow.wait_emptied()


def test_events_are_not_believed(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect(real=True)
    world.events.send(events.deployment(subject.name), events.action(subject.name), events.stopped_task(subject.name))
    subject.wait_emptied()
    assert subject.incidents() == []
    assert subject.detections() == {}


def test_how_tasks_ended_is_kept_once_whatever_comes_twice_or_late(
    world: World, protect: Callable[..., Subject]
) -> None:
    subject = protect(real=True)
    at = datetime.now(UTC).isoformat()
    early = events.stopped_task(subject.name, stoppedAt=at, containers=[{"name": "app"}])
    arn = early["detail"]["taskArn"]
    late = events.stopped_task(subject.name, taskArn=arn, version=5, stoppedAt=at)
    by_hand = events.stopped_task(subject.name, "UserInitiated", stoppedReason="Task stopped by user", stoppedAt=at)
    scaled = events.stopped_task(
        subject.name, "ServiceSchedulerInitiated", stoppedReason="Scaling activity initiated by (deployment x)"
    )
    world.events.send(late, early, late, scaled, by_hand)
    subject.wait_emptied()
    subject.wait(lambda: len(subject.stops()) == 2)
    kept = {stop["task"]: stop for stop in subject.stops()}
    assert (kept[arn]["version"], kept[arn]["exitCode"]) == (5, 1)
    assert kept[by_hand["detail"]["taskArn"]]["stopCode"] == "UserInitiated"
    before = world.get("protectedservices", subject.name)
    world.events.send(early, late, by_hand)
    subject.wait_emptied()
    assert world.get("protectedservices", subject.name) == before


def test_how_tasks_ended_is_kept_though_ecs_does_not_answer(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect(real=True)
    world.simulator.deny("DescribeServices", resource=subject.name, count=1000)
    try:
        world.events.send(events.stopped_task(subject.name))
        subject.wait(subject.stops)
    finally:
        world.simulator.clear_faults()
    subject.wait_emptied()


def test_a_task_that_ran_out_of_memory_is_kept(world: World, protect: Callable[..., Subject]) -> None:
    subject = protect(real=True)
    world.simulator.disrupt("out-of-memory", cluster=CLUSTER, service=subject.name, count=1)
    subject.wait(subject.stops)
    (kept,) = subject.stops()
    assert (kept["stopCode"], kept["exitCode"]) == ("EssentialContainerExited", 137)
    assert kept["containerReason"].startswith("OutOfMemoryError")
    assert kept["zone"].startswith("us-east-1")


def test_s12_no_secret_comes_in(world: World, protect: Callable[..., Subject]) -> None:
    """Not into incidents, and not into what is kept of tasks that ended."""
    subject, said = protect(real=True), f"exec of {'; '.join(SECRETS)} failed"
    alarm = cpu_alarm(subject)
    alarm["detail"]["state"]["reason"] = said
    container = {"name": "app", "exitCode": 1, "reason": said}
    ended = events.stopped_task(
        subject.name, stoppedReason=said, stoppedAt=datetime.now(UTC).isoformat(), containers=[container]
    )
    world.events.send(alarm, ended)
    subject.wait(lambda: subject.stops() and any(i.get("status", {}).get("timeline") for i in subject.incidents()))
    subject.wait_emptied()
    (kept,) = subject.stops()
    assert (kept["reason"], kept["containerReason"]) == (redact_quote(said), redact_quote(said))
    found = [subject.incidents(), world.get("protectedservices", subject.name)]
    assert "exec of [redacted]" in json.dumps(subject.incidents())
    assert find_secrets(json.dumps(found)) == []
    assert find_secrets(world.operator_log_tail()) == []
