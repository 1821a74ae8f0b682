"""Alerts on the real control plane: real receivers on loopback, and SNS to SQS."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.kube_admin import KubeAdmin
from tests.world.manifests import CLUSTER, NORMAL_LOAD, SURGE_LOAD, incident, protected_service, roomy_policy
from tests.world.pager import Received, Webhook
from tests.world.scene import Scene
from tests.world.world import Raw, World, wait_for

SECRET = "bokgu-alerts"


def secret(**receivers: str) -> Raw:
    data = {name: b64encode(url.encode()).decode() for name, url in receivers.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": "bokgu-system"},
        "data": data,
    }


def route(name: str, *receivers: str, **selectors: Any) -> Raw:
    return {"name": name, "receivers": list(receivers), **selectors}


def outbox(found: Raw | None) -> Raw:
    return dict(((found or {}).get("status") or {}).get("outbox") or {})


def receiver(found: Raw | None, name: str) -> Raw:
    return next((one for one in outbox(found).get("receivers", ()) if one["name"] == name), {})


def all_delivered(found: Raw | None) -> bool:
    """Whether every alert has been taken by everybody."""
    box = outbox(found)
    got = {one["name"]: one["delivered"] for one in box.get("receivers", ())}
    alerts = box.get("alerts", ())
    return bool(alerts) and all(a["number"] <= got.get(to["receiver"], 0) for a in alerts for to in a["to"])


def has_all(found: Raw | None, name: str) -> bool:
    """Whether a receiver has got every alert."""
    return "last" in outbox(found) and receiver(found, name).get("delivered") == outbox(found)["last"]


def story(hook: Webhook, about: str = "") -> list[str]:
    """Titles without their severity, which may rise and is then told again."""
    return list(dict.fromkeys(title.partition("] ")[2] for title in hook.titles(about)))


@pytest.fixture
def told(world: World) -> Iterator[Any]:
    """Sets receivers and routes, and takes them away again."""

    def set_up(*routes: Raw, receivers: dict[str, str]) -> None:
        world.apply(secret(**receivers), roomy_policy(alerts=list(routes)))

        def known() -> bool:
            return set(receivers) <= set(json.loads(_names(world)))

        wait_for(known, 20, world.operator_log_tail)

    yield set_up
    world.apply(roomy_policy())
    world.control_plane.kubectl("delete", "secret", SECRET, "-n", "bokgu-system", "--ignore-not-found")


def _names(world: World) -> str:
    """Names of the receivers that the operator has read last, as JSON."""
    lines = [line for line in world.operator_log_tail(100000).splitlines() if '"receivers of alerts"' in line]
    return json.dumps(json.loads(lines[-1])["names"]) if lines else "[]"


def test_one_incident_from_detection_to_its_end_in_both_languages(scene: Scene, told: Any) -> None:
    with Webhook() as english, Webhook() as korean:
        only = {"services": [scene.service]}
        told(
            route("en", "english", **only),
            route("ko", "korean", language="ko", **only),
            receivers={"english": english.url, "korean": korean.url},
        )
        plan = scene.surge()
        scene.approve(plan)
        scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
        scene.wait("all is told", lambda: all_delivered(scene.incident()), 10)

        about = scene.incident()["metadata"]["name"]
        words = ["High error rate detected", "Approval needed", "Recovery started", "Recovery plan completed"]
        assert [title.partition(":")[0] for title in story(english, about)] == words
        words = ["높은 에러율 감지", "승인 필요", "복구 시작", "복구 계획 실행 완료"]
        assert [title.partition(":")[0] for title in story(korean, about)] == words
        (request,) = english.about("Approval needed")
        assert scene.plan()["status"]["digest"] in request.message
        assert "kind: PlanApproval" in request.message
        assert "If nothing is done:" in request.message
        (completed,) = korean.about("복구 계획 실행 완료")
        assert "모든 복구 단계가 성공적으로 완료되었습니다." in completed.message
        everything = json.dumps(scene.incident()) + scene.world.operator_log_tail(100000)
        assert "s3cret-path" not in everything
        events = scene.world.control_plane.kubectl("get", "events.events.k8s.io", "-A", "-o", "json").stdout
        assert "s3cret-path" not in events


def test_a_dead_receiver_never_delays_a_recovery_and_is_named_in_status(scene: Scene, told: Any) -> None:
    with Webhook() as good, Webhook(answer=(503, {})) as dead:
        told(
            route("all", "dead", "good", "lost", services=[scene.service]),
            receivers={"good": good.url, "dead": dead.url},
        )
        scene.approve(scene.surge())
        scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
        scene.wait("the good one has got all", lambda: has_all(scene.incident(), "good"), 10)
        assert len(story(good)) == 4
        failed = receiver(scene.incident(), "dead")
        assert (failed["delivered"], failed["lastError"]) == (0, "the receiver answers 503")
        assert failed["attempts"] >= 1
        lost = receiver(scene.incident(), "lost")["lastError"]
        assert lost == "Secret bokgu-system/bokgu-alerts: it has no key lost: add it"
        counts = scene.world.scrape()
        assert counts['bokgu_alert_deliveries_total{receiver="dead",result="failed"}'] >= 1
        assert counts['bokgu_alert_deliveries_total{receiver="good",result="delivered"}'] >= 4

        dead.answer, before = (200, {}), len(dead.received)
        scene.wait("it is told after its repair", lambda: has_all(scene.incident(), "dead"), 30)
        assert list(dict.fromkeys(one.title.partition("] ")[2] for one in dead.received[before:])) == story(good)


def test_s10_an_alert_that_was_sent_and_not_marked_is_sent_again_after_a_crash(scene: Scene, told: Any) -> None:
    world = scene.world

    def kill(one: Received) -> None:
        if "Approval needed" in one.title and world.runs("operator"):
            world.kill_operator()

    with Webhook(meet=kill) as hook:
        told(route("all", "hook", services=[scene.service]), receivers={"hook": hook.url})
        try:
            world.simulator.set_load(CLUSTER, scene.service, SURGE_LOAD)
            wait_for(lambda: not world.runs("operator"), 30, lambda: f"{hook.received}")
            before = scene.incident()
            assert not all_delivered(before), "the alert waits in the status"
            hook.meet = lambda _: None
        finally:
            world.start_operator()
        scene.wait("it is told again", lambda: all_delivered(scene.incident()), 20)
        requests = hook.about("Approval needed")
        assert len(requests) >= 2
        assert len({one.key for one in requests}) == 1, "the same key each time"
        keys = list(dict.fromkeys(one.key for one in hook.about(before["metadata"]["name"])))
        assert keys == sorted(keys)
        scene.approve(scene.plan())
        scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)


def test_s10_alerts_that_wait_while_the_operator_is_down_are_sent_when_it_is_back(scene: Scene, told: Any) -> None:
    with Webhook(answer=(503, {})) as hook:
        told(route("all", "hook", services=[scene.service]), receivers={"hook": hook.url})
        scene.surge()
        scene.wait("it waits", lambda: len(outbox(scene.incident()).get("alerts", ())) >= 2, 20)
        scene.world.kill_operator()
        hook.answer, before = (200, {}), len(hook.received)
        scene.world.start_operator()
        scene.wait("it is told", lambda: all_delivered(scene.incident()), 20)
        titles = dict.fromkeys(one.title.partition("] ")[2] for one in hook.received[before:])
        assert [title.partition(":")[0] for title in titles] == ["High error rate detected", "Approval needed"]
        scene.world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)


def test_a_topic_gets_alerts_through_sns(scene: Scene, told: Any) -> None:
    sns, sqs = scene.world._client("sns"), scene.world._client("sqs")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    gone = topic.replace(":alerts", ":gone")
    told(route("all", "topic", "gone", services=[scene.service]), receivers={"topic": topic, "gone": gone})
    scene.surge()
    received: list[Raw] = []

    def arrived() -> bool:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", ())
        received.extend(json.loads(message["Body"]) for message in messages)
        return len(received) >= 2

    wait_for(arrived, 20, lambda: f"{received} {outbox(scene.incident())}")
    subjects = {message["Subject"] for message in received}
    name = scene.incident()["metadata"]["name"]
    assert {f"Bokgu: {kind} shop/{name}"[:100] for kind in ("IncidentDetected", "ApprovalNeeded")} <= subjects
    attributes = received[0]["MessageAttributes"]
    assert {"kind", "severity", "namespace", "key"} <= set(attributes)
    scene.wait("SNS says no", lambda: receiver(scene.incident(), "gone").get("lastError") == "SNS: NotFound", 10)
    scene.world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)


def test_a_failed_step_its_rollback_and_the_call_for_a_person_are_told_in_order(scene: Scene, told: Any) -> None:
    with Webhook() as hook:
        told(route("all", "hook", services=[scene.service], language="ko"), receivers={"hook": hook.url})
        scene.world.deploy(scene.service, ERROR_RATIO=0.5)
        scene.wait("a plan awaits approval", lambda: scene.plan_is("AwaitingApproval"), 30)
        scene.world.simulator.set_dependency_errors(CLUSTER, scene.service, 0.4)
        scene.approve(scene.plan())
        scene.wait("rolled back", lambda: scene.plan_is("RolledBack"), 90)
        scene.wait("a person is called", lambda: hook.about("담당자 확인 필요"), 30)
        titles = story(hook, scene.incident()["metadata"]["name"])
        words = ["높은 에러율 감지", "승인 필요", "복구 시작", "복구 단계 실패", "롤백 완료", "담당자 확인 필요"]
        assert [title.partition(":")[0] for title in titles] == words
        scene.world.simulator.set_dependency_errors(CLUSTER, scene.service, 0)


def test_s7_a_storm_is_told_once_by_the_policy(world: World, told: Any) -> None:
    kube = KubeAdmin(world)
    with Webhook() as hook:
        told(route("all", "hook", kinds=["Storm", "IncidentDetected"]), receivers={"hook": hook.url})
        services = [f"storm{number}" for number in range(4)]
        for name in services:
            kube.put(protected_service(name))
        storm = {"threshold": 3, "window": "10m", "cooldown": "1s"}
        policy = roomy_policy(storm=storm, alerts=[route("all", "hook", kinds=["Storm"])])
        world.apply(policy)
        for name in services:
            kube.put(incident(f"{name}-down", name, type="service_down"))
        try:
            wait_for(lambda: all_delivered(world.get("recoverypolicies", "default")), 20, world.operator_log_tail)
            assert [one.title for one in hook.about("Storm")] == ["Storm of incidents in shop"]
        finally:
            world.control_plane.kubectl("delete", "incidents", "-n", "shop", *(f"{name}-down" for name in services))
            world.control_plane.kubectl("delete", "protectedservices", "-n", "shop", *services)
