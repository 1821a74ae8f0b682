"""CloudWatch alarms: evaluated as time passes, with history, events and actions."""

import json
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from .alarm_evaluation import EXTRA_PERIODS, Datapoint, Rule, State, explain, judge
from .alarm_messages import (
    build_configuration_event,
    build_notification,
    build_reason_data,
    build_state_event,
)
from .aws_protocol import Json
from .clock import Clock
from .cloudwatch import MetricStore
from .errors import AwsError
from .metric_conditions import MetricConditions
from .metric_queries import Retrieval, read_metric

EVALUATION_LAG = 0.25
"""How long after the end of a minute alarms look at it, as a share of it, so that its points have come.

The sample event of the user guide was evaluated 41 s after the minute.
"""
HISTORY_ITEMS = 10_000
MAX_REASON_DATA = 4000
INITIAL_REASON = "Unchecked: Initial alarm creation"

Publish = Callable[[str, list[str], Json], None]
"""Takes detail-type, resources and detail of an event."""


@dataclass
class Alarm:
    """A metric alarm. `members` are those of PutMetricAlarm. Times are wall seconds."""

    name: str
    arn: str
    members: Json
    tags: dict[str, str]
    configured_at: float
    state: State
    reason: str
    state_updated_at: float
    state_changed_at: float
    reason_data: str | None = None
    evaluation_error: str | None = None

    @property
    def rule(self) -> Rule:
        """When it alarms."""
        n: int = self.members["EvaluationPeriods"]
        return Rule(
            self.members["ComparisonOperator"],
            float(self.members["Threshold"]),
            n,
            self.members.get("DatapointsToAlarm", n),
            self.members.get("TreatMissingData", "missing"),
        )

    @property
    def queries(self) -> list[Json]:
        """What it watches, as MetricDataQuery structures; one of them returns data."""
        if "Metrics" in self.members:
            queries: list[Json] = self.members["Metrics"]
            return queries
        members = ("Namespace", "MetricName", "Dimensions")
        stat: Json = {
            "Metric": {name: self.members[name] for name in members if name in self.members},
            "Period": self.members["Period"],
            "Stat": self.members.get("Statistic") or self.members["ExtendedStatistic"],
        }
        if "Unit" in self.members:
            stat["Unit"] = self.members["Unit"]
        return [{"Id": "m", "MetricStat": stat, "ReturnData": True}]

    @property
    def watched(self) -> Json:
        """The query whose result is compared with the threshold."""
        return next(query for query in self.queries if query.get("ReturnData", True))

    @property
    def actions(self) -> list[str]:
        """The ARNs to act on in the state it is in; none when actions are disabled."""
        if not self.members.get("ActionsEnabled", True):
            return []
        names = {"OK": "OKActions", "ALARM": "AlarmActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
        found: list[str] = self.members.get(names[self.state], [])
        return found


@dataclass(frozen=True)
class HistoryItem:
    """An entry of an alarm's history; `kind` is its HistoryItemType, `data` JSON text."""

    alarm: str
    time: float
    kind: str
    summary: str
    data: str


class Alarms:
    """All alarms of one account and region. Not thread safe: the owner holds a lock around every use.

    A Period is in wall seconds, so alarms of a compressed world have short ones: at speed 60 a simulated minute is a
    Period of 1. AWS takes 10, 20, 30 and multiples of 60; 1 and 5 are taken here besides. All are evaluated once a
    simulated minute, but not more often than once a wall second, over periods that end with that minute.
    """

    def __init__(self, account: str, region: str, clock: Clock, store: MetricStore) -> None:
        self.account = account
        self.region = region
        self._clock = clock
        self._store = store
        # CloudWatch reads its own store: what is denied to users, or cut short for them, is not to its alarms.
        self._conditions = MetricConditions(clock)
        self._minute = max(1.0, clock.metric_period)
        self._alarms: dict[str, Alarm] = {}
        self._waiting: set[str] = set()
        self._evaluate_at = self._next_evaluation()
        self.history: deque[HistoryItem] = deque(maxlen=HISTORY_ITEMS)
        self.publish: Publish = lambda _detail_type, _resources, _detail: None
        """Sends an event of source aws.cloudwatch to EventBridge."""
        self.act: Callable[[str, Alarm, str, Json], bool] = lambda _arn, _alarm, _subject, _message: False
        """Performs an action: ARN, alarm, subject and message for SNS; whether there was something to act on."""
        self.repeat: Callable[[str, Alarm], None] = lambda _arn, _alarm: None
        """Called for each scaling action at each evaluation that finds the alarm in the state it was in.

        User guide: "For Amazon EC2 Auto Scaling actions, the alarm continues to invoke the action for every period that
        the alarm remains in the new state."
        """

    # Alarms

    def put(self, members: Json, tags: dict[str, str] | None = None) -> Alarm:
        """Create an alarm, or change all of one but its state; `members` are those of PutMetricAlarm, without Tags."""
        now = self._clock.now()
        name = members["AlarmName"]
        known = self._alarms.get(name)
        if known is None:
            arn = f"arn:aws:cloudwatch:{self.region}:{self.account}:alarm:{name}"
            alarm = Alarm(name, arn, members, tags or {}, now, "INSUFFICIENT_DATA", INITIAL_REASON, now, now)
            self._alarms[name] = alarm
            self._note(alarm, "ConfigurationUpdate", f'Alarm "{name}" created', {"type": "Create"})
            self.publish(*build_configuration_event(alarm, "create", None))
        else:
            previous, alarm = known.members, known
            alarm.members, alarm.configured_at = members, now
            self._note(alarm, "ConfigurationUpdate", f'Alarm "{name}" updated', {"type": "Update"})
            self.publish(*build_configuration_event(alarm, "update", previous))
        self._waiting.add(name)
        return alarm

    def get(self, name: str) -> Alarm | None:
        """The alarm of this name."""
        return self._alarms.get(name)

    def find(self) -> list[Alarm]:
        """All alarms, by name."""
        return [self._alarms[name] for name in sorted(self._alarms)]

    def state(self, name: str) -> State | None:
        """The state of an alarm; None when there is none of this name."""
        alarm = self._alarms.get(name)
        return None if alarm is None else alarm.state

    def delete(self, name: str) -> None:
        """Delete an alarm; its history stays."""
        alarm = self._alarms.pop(name, None)
        if alarm is not None:
            self._note(alarm, "ConfigurationUpdate", f'Alarm "{name}" deleted', {"type": "Delete"})
            self.publish(*build_configuration_event(alarm, "delete", None))

    def set_state(self, name: str, state: State, reason: str, reason_data: str | None = None) -> None:
        """Put an alarm in a state until its next evaluation finds another; LookupError when there is none."""
        alarm = self._alarms.get(name)
        if alarm is None:
            raise LookupError(name)
        self._change(alarm, state, reason, reason_data)

    # Time

    def _next_evaluation(self) -> float:
        lag = EVALUATION_LAG * self._minute
        return (math.floor((self._clock.now() - lag) / self._minute) + 1) * self._minute + lag

    def next_due(self) -> float | None:
        """Wall time of the next evaluation; None without alarms."""
        if self._waiting:
            return self._clock.now()
        return self._evaluate_at if self._alarms else None

    def run_due(self, now: float) -> None:
        """Evaluate new and changed alarms, and once a minute all of them."""
        due = [self._alarms[name] for name in sorted(self._waiting) if name in self._alarms]
        self._waiting.clear()
        if now >= self._evaluate_at:
            self._evaluate_at = self._next_evaluation()
            due = self.find()
        if due:
            self._store.deliver(now)
        for alarm in due:
            self._evaluate(alarm, now)

    def _evaluate(self, alarm: Alarm, now: float) -> None:
        try:
            datapoints = self._read(alarm, now)
        except AwsError as error:
            # The alarm stays as it is and says why (EvaluationState EVALUATION_ERROR).
            alarm.evaluation_error = error.message
            return
        alarm.evaluation_error = None
        state = judge(alarm.rule, datapoints)
        if state is not None and state != alarm.state:
            reason = explain(alarm.rule, datapoints, alarm.state, state)
            data = build_reason_data(alarm.members, alarm.watched, alarm.rule, datapoints, now)
            self._change(alarm, state, reason, json.dumps(data, separators=(",", ":"))[:MAX_REASON_DATA])
            return
        for arn in alarm.actions:
            if ":autoscaling:" in arn:
                self.repeat(arn, alarm)

    def _read(self, alarm: Alarm, now: float) -> list[Datapoint]:
        """The data points of the evaluation range, oldest first."""
        watched = alarm.watched
        periods = alarm.rule.evaluation_periods + EXTRA_PERIODS
        if "MetricStat" in watched:
            period = watched["MetricStat"]["Period"]
        else:
            period = Retrieval(self._store, self._conditions, alarm.queries, 0, 0).period(watched["Id"])
        step = min(self._minute, period)
        end = math.floor(now / step) * step
        start = end - periods * period
        if "MetricStat" in watched:
            stat = watched["MetricStat"]
            series = self._store.get(read_metric(stat["Metric"]["Namespace"], stat["Metric"]))
            if series is None or stat.get("Unit", "") not in {"", *series.units}:
                points = {}
            else:
                points = dict(series.aggregate(start, end, period, stat["Stat"], start % period))
        else:
            retrieval = Retrieval(self._store, self._conditions, alarm.queries, start, end, aligned=False)
            found = retrieval.series(watched["Id"])
            points = found[0] if found else {}
        times = [start + period * index for index in range(periods)]
        return [(time, points.get(time)) for time in times]

    def _change(self, alarm: Alarm, state: State, reason: str, reason_data: str | None) -> None:
        now = self._clock.now()
        before = {"value": alarm.state, "reason": alarm.reason, "reasonData": alarm.reason_data}
        before_at = alarm.state_updated_at
        changed = alarm.state != state
        alarm.state, alarm.reason, alarm.reason_data, alarm.state_updated_at = state, reason, reason_data, now
        if not changed:
            return
        alarm.state_changed_at = now
        old = cast(State, before["value"])
        self._note(
            alarm,
            "StateUpdate",
            f"Alarm updated from {old} to {state}",
            {
                "oldState": {"stateValue": old, "stateReason": before["reason"]},
                "newState": {"stateValue": state, "stateReason": reason},
            },
        )
        self.publish(*build_state_event(alarm, before, before_at))
        subject, message = build_notification(alarm, old, self.account, self.region)
        for arn in alarm.actions:
            done = self.act(arn, alarm, subject, message)
            text = f"Successfully executed action {arn}" if done else f"Failed to execute action {arn}"
            outcome = "Succeeded" if done else "Failed"
            self._note(alarm, "Action", text, {"actionState": outcome, "notificationResource": arn})

    def _note(self, alarm: Alarm, kind: str, summary: str, data: Json) -> None:
        text = json.dumps({"version": "1.0", **data})
        self.history.append(HistoryItem(alarm.name, self._clock.now(), kind, summary[:255], text[:4095]))
