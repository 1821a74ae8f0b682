"""Alerts on the real control plane: real receivers on loopback, and SNS to SQS."""

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bokgu.api.fields import format_timestamp
from tests.scenarios.kube_admin import KubeAdmin
from tests.world.approving import run_approve
from tests.world.command import run_bokgu
from tests.world.manifests import CLUSTER, NAMESPACE, NORMAL_LOAD, SURGE_LOAD, incident, protected_service, roomy_policy
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


def has_breaker(found: Raw | None) -> bool:
    """Whether the breaker of the namespace is open."""
    return "breaker" in ((found or {}).get("status") or {})


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
        scene.wait("they are asked", lambda: english.about("Approval needed"), 10)
        scene.approve(plan)
        scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
        scene.wait("all is told", lambda: all_delivered(scene.incident()), 10)

        about = scene.incident()["metadata"]["name"]
        words = ["High error rate detected", "Approval needed", "Recovery started", "Recovery plan completed"]
        assert [title.partition(":")[0] for title in story(english, about)] == [*words, "Incident resolved"]
        words = ["높은 에러율 감지", "승인 필요", "복구 시작", "복구 계획 실행 완료", "인시던트 해결"]
        assert [title.partition(":")[0] for title in story(korean, about)] == words
        (request,) = english.about("Approval needed")
        assert scene.plan()["status"]["digest"] in request.message
        assert "kind: PlanApproval" in request.message
        assert "If nothing is done:" in request.message
        (completed,) = korean.about("복구 계획 실행 완료")
        assert "모든 복구 단계가 성공적으로 완료되었습니다." in completed.message
        (end,) = english.about("Incident resolved")
        assert (end.type, f"Recovered: plan {plan['metadata']['name']} completed" in end.message) == ("info", True)
        severity = english.titles(about)[-1].partition("]")[0].lower()
        assert severity.startswith(f"[{scene.incident()['spec']['severity']}")
        everything = json.dumps(scene.incident()) + scene.world.operator_log_tail(100000)
        assert "s3cret-path" not in everything
        events = scene.world.control_plane.kubectl("get", "events.events.k8s.io", "-A", "-o", "json").stdout
        assert "s3cret-path" not in events


def test_without_routes_the_default_receiver_hears_the_end_of_what_went_away_by_itself(scene: Scene, told: Any) -> None:
    with Webhook() as hook:
        told(receivers={"default": hook.url})
        scene.surge()
        scene.world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)
        scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
        scene.wait("all is told", lambda: all_delivered(scene.incident()), 10)
        about = scene.incident()["metadata"]["name"]
        words = ["High error rate detected", "Approval needed", "Incident resolved"]
        assert [title.partition(":")[0] for title in story(hook, about)] == words
        assert "Cleared: the trouble went away without a plan of ours" in hook.about("Incident resolved")[-1].message


def test_the_end_is_told_by_an_operator_that_finds_it_when_it_starts(scene: Scene, told: Any) -> None:
    """It may make its first passes before it has read who is to be told."""
    with Webhook() as hook:
        told(receivers={"default": hook.url})
        scene.surge()
        scene.wait("it is told", lambda: all_delivered(scene.incident()), 20)
        scene.world.kill_operator()
        scene.world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)
        scene.world.start_operator()
        scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
        about = scene.incident()["metadata"]["name"]
        scene.wait("its end is told", lambda: story(hook, about)[-1].startswith("Incident resolved"), 10)


def test_templates_of_a_config_map_change_what_a_receiver_gets(scene: Scene, told: Any) -> None:
    world = scene.world
    own = {
        "en.IncidentDetected": "Oh no: {service} ({trouble})\n{namespace}/{incident}\nhttps://wiki.example.com/{service}"
    }
    named = {"name": "bokgu-alert-templates", "namespace": "bokgu-system"}
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": own})
    try:
        with Webhook() as hook:
            told(route("all", "hook", services=[scene.service]), receivers={"hook": hook.url})
            scene.surge()
            scene.wait("all is told", lambda: all_delivered(scene.incident()), 20)
            about = f"shop/{scene.incident()['metadata']['name']}"
            first = hook.about(about)[0]
            assert first.title == f"Oh no: {scene.service} (High error rate detected)"
            assert first.message.splitlines()[:2] == [about, f"https://wiki.example.com/{scene.service}"]
            assert "Approval needed" in story(hook, about)[-1], "what has no template of its own stays as it is"
            world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)
    finally:
        world.control_plane.kubectl("delete", "configmap", named["name"], "-n", named["namespace"])


def test_an_open_breaker_is_told(scene: Scene, told: Any) -> None:
    world = scene.world
    with Webhook() as hook:
        kinds = route("all", "hook", services=[scene.service], kinds=["Breaker", "StepFailed"])
        told(kinds, receivers={"hook": hook.url})
        world.apply(roomy_policy(alerts=[kinds], breaker={"failures": 1, "namespaceFailures": 32, "within": "1h"}))
        world.simulator.deny("UpdateService", resource=f'"service": "{scene.service}"', count=1000)
        plan = scene.surge()
        scene.approve(plan)
        scene.wait("the plan failed", lambda: scene.plan_is("Failed"), 40)
        scene.wait("the breaker is told", lambda: hook.about("Breaker open"), 20)
        (opened,) = hook.about(f"Breaker open: no recovery begins in shop ({scene.service})")
        assert f"{plan['metadata']['name']} failed: find out why, then reset the breaker" in opened.message
        world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)


def test_s7_the_breaker_of_a_namespace_is_told_once_by_the_policy(scene: Scene, told: Any) -> None:
    world, now = scene.world, format_timestamp(datetime.now(UTC))  # Failures of other tests do not count.
    with Webhook() as hook:
        kinds = route("all", "hook", kinds=["Breaker"])
        told(kinds, receivers={"hook": hook.url})
        breaker = {"failures": 32, "namespaceFailures": 1, "within": "1h"}
        world.apply(roomy_policy(alerts=[kinds], breaker=breaker, resetBreakerAt=now))
        world.simulator.deny("UpdateService", resource=f'"service": "{scene.service}"', count=1000)
        plan = scene.surge()
        scene.approve(plan)
        scene.wait("the plan failed", lambda: scene.plan_is("Failed"), 40)
        try:
            scene.wait("it is heard", lambda: bool(hook.about("Breaker")), 20)
            scene.wait("it is told", lambda: all_delivered(world.get("recoverypolicies", "default")), 20)
            (opened,) = hook.about("Breaker")
            assert opened.title == "Breaker open: no recovery begins in shop (all services)"
            assert f"{plan['metadata']['name']} failed: find out why, then reset the breaker" in opened.message
        finally:
            world.simulator.set_load(CLUSTER, scene.service, NORMAL_LOAD)
            assert run_bokgu(world, "reset", "-n", NAMESPACE, "--yes").returncode == 0
            scene.wait("the breaker is closed", lambda: not has_breaker(world.get("recoverypolicies", "default")), 10)


@pytest.fixture
def commander(world: World) -> Iterator[None]:
    """Alice may declare an emergency."""
    rule = {"apiGroups": ["bokgu.dev"], "resources": ["approvalroles"], "verbs": ["approve"]}
    named = {"name": "alerts-commander", "namespace": NAMESPACE}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": named}
    role = {"kind": "Role", "rules": [rule | {"resourceNames": ["incident_commander"]}]}
    binding = {
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": named["name"]},
        "subjects": [{"kind": "User", "name": world.alice.name, "apiGroup": "rbac.authorization.k8s.io"}],
    }
    world.apply(rbac | role, rbac | binding)
    world.stop_operator()
    world.start_operator({"BOKGU_EMERGENCY_ROLE": "incident_commander"})
    yield
    world.stop_operator()
    world.start_operator()
    world.control_plane.kubectl("delete", "role,rolebinding", named["name"], "-n", NAMESPACE)


@pytest.mark.usefixtures("commander")
def test_an_emergency_that_stands_in_for_people_is_told(scene: Scene, told: Any) -> None:
    world = scene.world
    with Webhook() as hook:
        told(route("all", "hook", services=[scene.service], kinds=["Override"]), receivers={"hook": hook.url})
        plan = scene.surge()
        why = "nobody of the shop team answers"
        options = ("--role", "incident_commander", "--reason", why, "--apply", "--yes")
        done = run_approve(world, world.alice, plan, *options)
        assert done.returncode == 0, done.stderr
        scene.wait("it is told", lambda: hook.about("Emergency override"), 30)
        scene.wait("completed", lambda: scene.plan_is("Completed"), 40)
        (said,) = hook.about(plan["metadata"]["name"])
        who = f"{world.alice.name} overrides system_admin, service_owner as incident_commander"
        assert f"{who}: {why}" in said.message


def test_a_dead_receiver_never_delays_a_recovery_and_is_named_in_status(scene: Scene, told: Any) -> None:
    with Webhook() as good, Webhook(answer=(503, {})) as dead:
        told(
            route("all", "dead", "good", "lost", services=[scene.service]),
            receivers={"good": good.url, "dead": dead.url},
        )
        scene.approve(scene.surge())
        scene.wait("resolved", lambda: scene.incident_is("Resolved"), 60)
        scene.wait("the good one has got all", lambda: has_all(scene.incident(), "good"), 10)
        assert len(story(good)) == 5
        failed = receiver(scene.incident(), "dead")
        assert (failed["delivered"], failed["lastError"]) == (0, "the receiver answers 503")
        assert failed["attempts"] >= 1
        lost = receiver(scene.incident(), "lost")["lastError"]
        assert lost == "Secret bokgu-system/bokgu-alerts: it has no key lost: add it"
        counts = scene.world.scrape()
        assert counts['bokgu_alert_deliveries_total{receiver="dead",result="failed"}'] >= 1
        assert counts['bokgu_alert_deliveries_total{receiver="good",result="delivered"}'] >= 5

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
        # What an earlier test left waiting for a receiver of that name comes too.
        mine = [one for one in hook.received[before:] if scene.incident()["metadata"]["name"] in one.message]
        titles = dict.fromkeys(one.title.partition("] ")[2] for one in mine)
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
            wait_for(lambda: bool(hook.about("Storm")), 20, world.operator_log_tail)
            wait_for(lambda: all_delivered(world.get("recoverypolicies", "default")), 20, world.operator_log_tail)
            assert [one.title for one in hook.about("Storm")] == ["Storm of incidents in shop"]
        finally:
            world.control_plane.kubectl("delete", "incidents", "-n", "shop", *(f"{name}-down" for name in services))
            world.control_plane.kubectl("delete", "protectedservices", "-n", "shop", *services)
