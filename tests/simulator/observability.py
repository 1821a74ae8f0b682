"""Metrics, alarms, events, queues, topics and logs of one account and region, joined to each other."""

import json
from collections.abc import Callable

from .alarms import Alarm, Alarms
from .alarms_api import AlarmsApi
from .aws_protocol import Json
from .clock import Clock
from .cloudwatch import MetricName, MetricStore, Sample
from .cloudwatch_api import CloudWatchApi
from .ecs import Identifiers
from .event_bus import EventBus, EventDisorder
from .events_api import EventsApi
from .logs import Logs
from .logs_api import LogsApi
from .metric_conditions import MetricConditions
from .sns import MAX_SUBJECT, Topics
from .sns_api import SnsApi
from .sqs import Queues
from .sqs_api import SqsApi

Operation = Callable[[Json], Json]
QUEUE_NAMESPACE = "AWS/SQS"


class Observability:
    """CloudWatch, EventBridge, SQS, SNS and CloudWatch Logs of one account and region.

    Not thread safe, but for `queues` and `unlocked_operations`: the owner holds a lock around every other use. Alarms
    change state → EventBridge and SNS; EventBridge and SNS → SQS; logs → metrics; queues → metrics.
    """

    def __init__(self, account: str, region: str, clock: Clock, seed: str) -> None:
        """`seed`: of ids and of disorder in the delivery of events."""
        self._clock = clock
        self._place = (account, region)
        self.find_elsewhere: Callable[[str, str], Observability | None] = lambda _account, _region: None
        """Finds another account and region, whose queues, topics and buses can be targets, too."""
        self.conditions = MetricConditions(clock)
        """What is wrong with CloudWatch: late points, gaps, reads cut short or denied."""
        self.metrics = MetricStore(self.conditions)
        self.queues = Queues(account, region, clock, Identifiers(f"{seed}/sqs").hex_id)
        self.topics = Topics(account, region, clock, Identifiers(f"{seed}/sns").hex_id, self._send)
        self.events = EventBus(account, region, clock, self._deliver, f"{seed}/events")
        self.alarms = Alarms(account, region, clock, self.metrics)
        self.alarms.publish = lambda detail_type, resources, detail: self.publish(
            "aws.cloudwatch", detail_type, resources, detail
        )
        self.alarms.act = self._act
        self.logs = Logs(account, region, clock, self.metrics)
        self.alarms.repeat = self._repeat
        self.scale: Callable[[str, Alarm], None] = lambda _policy_arn, _alarm: None
        """Called with the ARN of a scaling policy when an alarm whose action it is comes to a state, and as long as it
        stays in it once a minute."""
        self.operations: dict[str, dict[str, Operation]] = {
            "cloudwatch": CloudWatchApi(self.metrics, clock, self.conditions).operations
            | AlarmsApi(self.alarms).operations,
            "events": EventsApi(self.events, clock).operations,
            "logs": LogsApi(self.logs).operations,
            "sns": SnsApi(self.topics).operations,
            "sqs": {},
        }
        """By botocore's name of the service, then by operation."""
        self.unlocked_operations: dict[str, dict[str, Operation]] = {"sqs": SqsApi(self.queues, clock).operations}
        """Operations that may wait, and lock what they use themselves."""
        self.controls: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("POST", "metric-conditions"): self._add_condition,
            ("GET", "metric-conditions"): lambda _: {"conditions": [c.to_json() for c in self.conditions.find()]},
            ("DELETE", "metric-conditions"): self._clear_conditions,
            ("PUT", "event-disorder"): self._set_disorder,
        }
        """Routes of the control API, by method and path: members of MetricCondition, and of EventDisorder, as they are
        spelt there. TypeError for unknown members, ValueError for bad ones."""

    def publish(self, source: str, detail_type: str, resources: list[str], detail: Json) -> None:
        """An AWS service tells that something happened now."""
        self.events.publish(source, detail_type, resources, detail, self._clock.now())

    # Time

    def next_due(self) -> float | None:
        """Wall time at which something falls due next; None: nothing is under way."""
        dues = [
            due for due in (self.alarms.next_due(), self.events.next_due(), self.logs.next_due()) if due is not None
        ]
        return min(dues, default=None)

    def run_due(self, now: float) -> None:
        """Do all that has fallen due by `now` (wall seconds)."""
        self.logs.run_due(now)
        self.alarms.run_due(now)
        self.events.run_due(now)

    def publish_metrics(self, period_start: float) -> None:
        """Publish the metrics of the queues for the period that began at `period_start`."""
        now = self._clock.now()
        for queue, name, unit, value in self.queues.measure():
            metric = MetricName(QUEUE_NAMESPACE, name, (("QueueName", queue),))
            self.metrics.publish(metric, unit, Sample(period_start, value), now)

    def clean_up(self, before: float) -> None:
        """Drop samples and log events older than `before` (wall seconds)."""
        self.metrics.forget_before(before)
        self.logs.forget_before(before)

    def close(self) -> None:
        """Send home who waits for messages."""
        self.queues.close()

    # What the control API changes

    def _add_condition(self, request: Json) -> Json:
        return self.conditions.add(**request).to_json()

    def _clear_conditions(self, _request: Json) -> Json:
        self.conditions.clear()
        return {}

    def _set_disorder(self, request: Json) -> Json:
        self.events.set_disorder(EventDisorder(**request))
        return {}

    # Between the engines

    def _find(self, arn: str) -> "Observability | None":
        """The account and region that `arn` names; None when nothing was ever done there."""
        parts = arn.split(":")
        if len(parts) < 6 or (parts[4], parts[3]) == self._place:
            return self
        return self.find_elsewhere(parts[4], parts[3])

    def _send(self, queue_arn: str, body: str, attributes: Json, group_id: str | None = None) -> bool:
        there = self._find(queue_arn)
        queue = there.queues.find_by_arn(queue_arn) if there is not None else None
        if there is None or queue is None:
            return False
        there.queues.send(queue, body, attributes=attributes, group_id=group_id)
        return True

    def _notify(self, topic_arn: str, message: str, subject: str | None) -> bool:
        there = self._find(topic_arn)
        topic = there.topics.topics.get(topic_arn) if there is not None else None
        if there is None or topic is None:
            return False
        there.topics.publish(topic, message, subject)
        return True

    def _forward(self, bus_arn: str, event: Json) -> bool:
        """User guide, "Sending and receiving events between AWS accounts": an event goes on once, not further."""
        there = self._find(bus_arn)
        bus = bus_arn.rpartition("/")[2]
        if there is None or bus not in there.events.buses or (event["account"], event["region"]) != self._place:
            return False
        there.events.forward(bus, event)
        return True

    def _deliver(self, target_arn: str, body: str, target: Json) -> bool:
        """EventBridge hands a message to a target: a queue, a topic or another bus."""
        if ":event-bus/" in target_arn:
            return self._forward(target_arn, json.loads(body))
        if ":sns:" in target_arn:
            return self._notify(target_arn, body, None)
        return self._send(target_arn, body, {}, target.get("SqsParameters", {}).get("MessageGroupId"))

    def _repeat(self, policy_arn: str, alarm: Alarm) -> None:
        self.scale(policy_arn, alarm)

    def _act(self, arn: str, alarm: Alarm, subject: str, message: Json) -> bool:
        if ":autoscaling:" in arn:
            self.scale(arn, alarm)
            return True
        return self._notify(arn, json.dumps(message), subject[:MAX_SUBJECT])
