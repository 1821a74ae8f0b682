"""The sender with real receivers on loopback; what the API server keeps is kept here."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
import structlog

from bokgu.api.incident import Incident
from bokgu.api.outbox import Addressee, Outbox
from bokgu.api.vocabulary import AlertKind, Language
from bokgu.config import Settings
from bokgu.core.alerts.outbox import Notice, post_notices, waiting_receivers
from bokgu.kube.client import KubeError
from bokgu.reconcile.alerting import settle_outbox
from bokgu.reconcile.context import Context, Key
from bokgu.runtime.alert_sender import AlertSender, sending_alerts
from tests.unit.facts import NOW, incident, plan, scale_out
from tests.unit.test_counting import changes
from tests.unit.test_plan_incident import Past, context
from tests.world.pager import Received, Webhook

Raw = dict[str, Any]
KINDS = (AlertKind.INCIDENT_DETECTED, AlertKind.RECOVERY_STARTED, AlertKind.ESCALATED)


class Cluster:
    """One resolved incident with alerts, the Secret and the templates. `passes`: whether the operator gets as far as
    marking what it sent."""

    def __init__(self, secret: dict[str, str] | None, *, to: str = "team", language: Language = Language.EN) -> None:
        self.secret_data, self.templates = secret, dict[str, str]()
        self.writes, self.passes = 0, True
        self.plan: Raw | None = None
        self.away = False
        people = tuple(Addressee(receiver=name, language=language) for name in to.split())
        notices = [Notice(f"{kind}", kind, NOW, f"number {number}") for number, kind in enumerate(KINDS)]
        outbox = post_notices(Outbox(), notices, lambda _: people)
        about = incident(severity="high", status={"phase": "Resolved", "outbox": outbox.to_dict()})
        self.raw: Raw = about.to_dict() | {"metadata": about.metadata.to_dict()}

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        assert (namespace, name) == ("bokgu-system", "bokgu-alerts")
        if self.secret_data is None:
            raise KubeError(403, "Forbidden", "no access to secrets")
        return self.secret_data

    async def get(self, _plural: str, _namespace: str, _name: str) -> Raw | None:
        if self.away:
            raise KubeError(0, "Unreachable", "no")
        return self.plan

    async def config_map(self, *_: str) -> Mapping[str, str]:
        return self.templates

    async def replace_status(self, _plural: str, body: Raw, status: Raw) -> Raw:
        self.writes += 1
        version = str(int(self.raw["metadata"]["resourceVersion"]) + 1)
        self.raw = {**body, "metadata": {**body["metadata"], "resourceVersion": version}, "status": status}
        return self.raw

    def outbox(self) -> Outbox:
        found = Incident.model_validate(self.raw).status.outbox
        assert found
        return found

    def error(self, receiver: str) -> str | None:
        return next((r.last_error for r in self.outbox().receivers if r.name == receiver), None)

    def delivered(self, receiver: str) -> int:
        return next((r.delivered for r in self.outbox().receivers if r.name == receiver), 0)

    @property
    def key(self) -> Key:
        return Incident.model_validate(self.raw).key

    def operator(self) -> Context:
        """A process that has just started and listed everything."""
        one = context(Past())
        one.objects.put("incidents", self.raw)
        gate = asyncio.Lock()

        async def make_pass() -> None:
            async with gate:
                raw = one.objects.get(self.key)
                assert raw
                await settle_outbox(one, raw, one.parse(Incident, raw))

        tasks = set()

        def enqueue(_: Key) -> None:
            if self.passes:
                tasks.add(asyncio.create_task(make_pass()))

        kube = cast(Any, self)
        kube.clock_ahead = timedelta()
        settings = Settings(minute=timedelta(seconds=1))
        one = replace(one, kube=kube, enqueue=enqueue, settings=settings)
        one.alerting.stored(self.key, self.raw["metadata"]["uid"], self.outbox())
        return one


def run(cluster: Cluster, until: Callable[[], bool], seconds: float = 20) -> None:
    """Run a sender until that is so."""

    async def main() -> None:
        async with sending_alerts(cluster.operator()):
            await _wait(until, seconds)

    asyncio.run(main())


async def _wait(until: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.01)


def test_alerts_arrive_in_order_and_are_marked() -> None:
    with Webhook() as hook:
        cluster = Cluster({"team": hook.url})
        run(cluster, lambda: not waiting_receivers(cluster.outbox()))
    assert [one.key.rpartition("-")[2] for one in hook.received] == ["1", "2", "3"]
    assert [one.type for one in hook.received] == ["warning", "info", "warning"]
    assert hook.received[2].message.endswith(hook.received[2].key)
    (status,) = cluster.outbox().receivers
    assert (status.delivered, status.attempts, status.last_error) == (3, 0, None)


def test_the_end_of_an_incident_wakes_nobody() -> None:
    with Webhook() as hook:
        cluster = Cluster({"team": hook.url})
        people = (Addressee(receiver="team", language=Language.KO),)
        end = Notice("IncidentResolved", AlertKind.INCIDENT_RESOLVED, NOW, "Cleared: the trouble went away")
        cluster.raw["status"]["outbox"] = post_notices(Outbox(), [end], lambda _: people).to_dict()
        run(cluster, lambda: not waiting_receivers(cluster.outbox()))
    (one,) = hook.received
    assert (one.type, one.title) == ("info", "[높음] 인시던트 해결: api")


def test_a_dead_receiver_holds_up_nobody_and_its_failure_is_in_status() -> None:
    with Webhook() as good, Webhook(answer=(503, {})) as dead:
        cluster = Cluster({"good": good.url, "dead": dead.url}, to="dead good")
        run(cluster, lambda: cluster.delivered("good") == 3 and bool(cluster.error("dead")))
        assert cluster.error("dead") == "the receiver answers 503"
        assert len(good.received) == 3
        run(cluster, lambda: len(dead.received) >= 4)
        assert {one.key.rpartition("-")[2] for one in dead.received} == {"1"}, "none overtakes another"
        dead.answer, before = (200, {}), len(dead.received)
        run(cluster, lambda: not waiting_receivers(cluster.outbox()))
        assert [one.key.rpartition("-")[2] for one in dead.received[before:]] == ["1", "2", "3"]
        assert len(good.received) == 3
    assert cluster.error("dead") is None


def test_s10_what_was_sent_and_not_marked_is_sent_again_under_the_same_key() -> None:
    with Webhook() as hook:
        cluster = Cluster({"team": hook.url})
        cluster.passes = False
        run(cluster, lambda: len(hook.received) == 3)
        assert cluster.writes == 0
        cluster.passes = True
        run(cluster, lambda: not waiting_receivers(cluster.outbox()))
    keys = [one.key for one in hook.received]
    assert keys[:3] == keys[3:]


def test_a_receiver_is_left_alone_for_as_long_as_it_asks() -> None:
    with Webhook(answer=(429, {"Retry-After": "1"})) as hook:
        cluster = Cluster({"team": hook.url})
        run(cluster, lambda: len(hook.received) == 2)
        first, second = hook.received
    assert second.at - first.at >= 1


def test_a_slow_receiver_holds_up_only_itself() -> None:
    with Webhook(meet=lambda _: time.sleep(1)) as slow, Webhook() as quick:
        cluster = Cluster({"quick": quick.url, "slow": slow.url}, to="slow quick")
        begun = time.monotonic()
        run(cluster, lambda: len(quick.received) == 3)
        assert time.monotonic() - begun < 1
        assert len(slow.received) == 1


def test_a_receiver_that_hangs_up_or_is_not_there_is_told_of_without_its_address() -> None:
    with Webhook(answer=(0, {})) as rude, Webhook() as gone:
        urls = {"rude": rude.url, "gone": gone.url}
        gone.__exit__()
        with structlog.testing.capture_logs() as logs:
            cluster = Cluster(urls, to="rude gone")
            run(cluster, lambda: bool(cluster.error("rude") and cluster.error("gone")))
        gone.__enter__()
    assert cluster.error("rude") == cluster.error("gone") == "the receiver does not answer"
    assert "s3cret" not in f"{cluster.raw}{logs}"


def test_a_receiver_that_the_secret_does_not_have_is_named_and_found_once_it_is_there() -> None:
    cluster = Cluster({}, to="team")
    run(cluster, lambda: bool(cluster.error("team")))
    assert cluster.error("team") == "Secret bokgu-system/bokgu-alerts: it has no key team: add it"

    async def repair() -> None:
        async with sending_alerts(cluster.operator()):
            await _wait(lambda: len(cluster.outbox().receivers) == 1, 3)
            cluster.secret_data = {"team": hook.url}
            await _wait(lambda: not waiting_receivers(cluster.outbox()), 5)

    with Webhook() as hook:
        asyncio.run(repair())
        assert len(hook.received) == 3


def test_receivers_that_nobody_names_any_more_cost_nothing() -> None:
    cluster = Cluster({}, to="made-up")

    async def rename() -> None:
        operator = cluster.operator()
        memory, uid = operator.alerting, cluster.raw["metadata"]["uid"]
        async with sending_alerts(operator):
            await _wait(lambda: bool(cluster.error("made-up")), 5)
            assert len(memory.bells) == 2, "the sender and one lane"
            cluster.secret_data, cluster.passes = {"team": hook.url}, False
            memory.forget(cluster.key)
            memory.stored(cluster.key, uid, Cluster({}, to="team").outbox())
            await _wait(lambda: len(hook.received) == 3, 5)
            assert len(memory.bells) == 2, "the sender and the lane of the other"

    with Webhook() as hook:
        asyncio.run(rename())


def test_a_secret_that_cannot_be_read_is_said_to_be() -> None:
    cluster = Cluster(None)
    run(cluster, lambda: "Forbidden" in (cluster.error("team") or ""))


def test_what_is_no_address_is_said_and_not_shown() -> None:
    cluster = Cluster({"team": "hunter2"})
    run(cluster, lambda: bool(cluster.error("team")))
    assert "hunter2" not in str(cluster.raw)


def test_failures_are_written_ever_more_rarely() -> None:
    with Webhook(answer=(500, {})) as hook:
        cluster = Cluster({"team": hook.url})
        run(cluster, lambda: len(hook.received) >= 7)
    assert cluster.writes == 3, "at 1, 2 and 4"


def test_korean_and_own_templates() -> None:
    with Webhook() as hook:
        cluster = Cluster({"team": hook.url}, language=Language.KO)
        cluster.templates = {"ko.Escalated": "사람이 필요: {service}\n{message}", "ko.RecoveryStarted": "{broken"}
        found = changes(lambda: run(cluster, lambda: not waiting_receivers(cluster.outbox())))
    detected, started, escalated = hook.received
    assert found["bokgu_alert_templates_broken_total"] == 1
    assert "높은 에러율 감지" in detected.title
    assert "복구 시작" in started.title
    assert "template ko.RecoveryStarted is broken" in started.message
    assert (escalated.title, "number 2" in escalated.message) == ("사람이 필요: api", True)


def test_a_dead_receiver_is_not_asked_once_for_each_incident() -> None:
    async def main() -> None:
        operator = cluster.operator()
        for number in range(50):
            metadata = {**cluster.raw["metadata"], "name": f"i{number}", "uid": f"{number}-uid"}
            operator.objects.put("incidents", {**cluster.raw, "metadata": metadata})
            operator.alerting.stored(("incidents", "shop", f"i{number}"), f"{number}-uid", cluster.outbox())
        async with sending_alerts(operator):
            await asyncio.sleep(1.5)

    with Webhook(answer=(503, {})) as hook:
        cluster = Cluster({"team": hook.url})
        asyncio.run(main())
    assert 4 <= len(hook.received) <= 9, "after 1/60, 2/60, 4/60 ... of a minute, which is a second here"


@pytest.mark.parametrize("status", [400, 413])
def test_an_alert_that_is_never_taken_holds_up_only_its_own_incident(status: int) -> None:
    def refuse(one: Received) -> None:
        hook.answer = (status, {}) if one.key.startswith("0a1b") else (200, {})

    async def main() -> None:
        operator = cluster.operator()
        other = {**cluster.raw, "metadata": {**cluster.raw["metadata"], "name": "other", "uid": "77-other"}}
        operator.objects.put("incidents", other)
        operator.alerting.stored(("incidents", "shop", "other"), "77-other", cluster.outbox())
        async with sending_alerts(operator):
            await _wait(lambda: len([one for one in hook.received if one.key.startswith("77")]) == 3, 8)

    with Webhook(meet=refuse) as hook:
        cluster = Cluster({"team": hook.url})
        asyncio.run(main())


def test_an_alert_that_is_never_taken_does_not_slow_down_its_receiver() -> None:
    """Many tries of one, and then another incident is told at once."""

    def refuse(one: Received) -> None:
        hook.answer = (413, {}) if one.key.startswith("0a1b") else (200, {})

    async def main() -> float:
        operator = cluster.operator()
        async with sending_alerts(operator):
            await _wait(lambda: len(hook.received) >= 8, 8)
            other = {**cluster.raw, "metadata": {**cluster.raw["metadata"], "name": "other", "uid": "77-other"}}
            operator.objects.put("incidents", other)
            begun = time.monotonic()
            operator.alerting.stored(("incidents", "shop", "other"), "77-other", cluster.outbox())
            await _wait(lambda: len([one for one in hook.received if one.key.startswith("77")]) == 3, 3)
            return time.monotonic() - begun

    with Webhook(meet=refuse) as hook:
        cluster = Cluster({"team": hook.url})
        assert asyncio.run(main()) < 0.5, "the next try of the other one is a second away, or more"


REQUEST = "kind: PlanApproval"


def ask_approval(hook: Webhook, live: Raw | None, *, away: bool = False, known: Raw | None = None) -> Received:
    """What a person gets who is asked to approve a plan that the API server has like this, and the store like that."""
    cluster = Cluster({"team": hook.url})
    cluster.plan, cluster.away = live, away
    notice = Notice("asked", AlertKind.APPROVAL_NEEDED, NOW, plan="plan-1")
    people = (Addressee(receiver="team", language=Language.EN),)
    outbox = post_notices(Outbox(), [notice], lambda _: people)
    cluster.raw["status"]["outbox"] = outbox.to_dict()

    async def main() -> None:
        operator = cluster.operator()
        if known:
            operator.objects.put("recoveryplans", known)
        async with sending_alerts(operator):
            await _wait(lambda: bool(hook.received), 5)

    asyncio.run(main())
    return hook.received[-1]


def raw_plan(version: int, **status: Any) -> Raw:
    found = plan(scale_out(), status={"phase": "AwaitingApproval", **status})
    return found.to_dict() | {"metadata": {**found.metadata.to_dict(), "resourceVersion": str(version)}}


def test_who_is_asked_to_approve_gets_the_manifest_also_where_the_store_is_behind() -> None:
    asking, before = raw_plan(2, approvalRequest=REQUEST), raw_plan(1)
    with Webhook() as hook:
        assert REQUEST in ask_approval(hook, asking, known=before).message
    with Webhook() as hook:
        assert REQUEST in ask_approval(hook, None, away=True, known=asking).message, "the store is better than nothing"


def test_a_plan_that_cannot_be_read_does_not_keep_an_alert_back() -> None:
    with Webhook() as hook:
        said = ask_approval(hook, {**raw_plan(2), "spec": {"steps": "nonsense"}})
    assert said.title.startswith("ApprovalNeeded: shop/")


def test_a_lane_that_is_closed_while_its_bell_rings_ends() -> None:
    async def close() -> bool:
        sender = AlertSender(Cluster({}).operator())
        sender._open("team")
        lane, task = sender._lanes["team"]
        lane.not_before = time.monotonic() + 60
        lane.bell.set()
        await asyncio.sleep(0.1)  # Now it waits until then.
        lane.bell.set()
        sender._close("team")
        await asyncio.wait({task}, timeout=1)
        return task.cancelled()

    assert asyncio.run(close())
