"""The state of simulated Amazon EventBridge: buses, rules and targets, and how events get to them.

"EventBridge delivers at least once", in no order: by default each event comes once and at once, and `EventDisorder`
makes deliveries come twice or late.
"""

import heapq
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from .aws_protocol import Json
from .clock import Clock
from .event_patterns import matches

DEFAULT_BUS = "default"
_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")
_PATH_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")


@dataclass
class Target:
    """Where a rule sends what it matches; `members` are those of the API type Target."""

    id: str
    arn: str
    members: Json


@dataclass
class Rule:
    """A rule on a bus. `pattern` is the parsed `pattern_text`."""

    name: str
    arn: str
    bus: str
    pattern_text: str | None
    pattern: Json | None
    schedule: str | None
    state: str
    description: str | None
    role_arn: str | None
    tags: dict[str, str]
    targets: dict[str, Target] = field(default_factory=dict)


@dataclass(frozen=True)
class EventDisorder:
    """How far deliveries are from "once, at once, in order".

    duplicate_share: the share of deliveries (0 to 1) that come a second time. max_delay: simulated seconds by which
    each delivery is late at most, at random, so that they overtake each other.
    """

    duplicate_share: float = 0.0
    max_delay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.duplicate_share <= 1 or self.max_delay < 0:
            raise ValueError("duplicate_share must be within 0 and 1, and max_delay not negative")


class EventBus:
    """EventBridge of one account and region. Not thread safe: the owner holds a lock around every use."""

    def __init__(
        self, account: str, region: str, clock: Clock, deliver: Callable[[str, str, Json], bool], seed: str
    ) -> None:
        """`deliver(target_arn, body, parameters)` hands a message to a target; whether there is such a target.

        `parameters` are the members of the API type Target. `seed`: of event ids and of disorder.
        """
        self.account = account
        self.region = region
        self._clock = clock
        self._deliver = deliver
        self._random = random.Random(seed)
        self._disorder = EventDisorder()
        self._late: list[tuple[float, int, str, str, Json]] = []
        self._sent = 0
        self.buses: dict[str, dict[str, Rule]] = {DEFAULT_BUS: {}}
        """The rules of each bus, by name."""
        self.failed_invocations = 0
        """Deliveries to targets that are not there."""

    def set_disorder(self, disorder: EventDisorder) -> None:
        """From now on deliveries go wrong like this."""
        self._disorder = disorder

    def publish(self, source: str, detail_type: str, resources: list[str], detail: Json, at: float) -> str:
        """Put an event of an AWS service, that happened `at` (wall seconds), on the default bus; its id."""
        return self.put(DEFAULT_BUS, source, detail_type, resources=resources, detail=detail, at=at)

    def put(self, bus: str, source: str, detail_type: str, *, resources: list[str], detail: Json, at: float) -> str:
        """Put an event on `bus`: each target of each enabled rule that matches gets it. Its id.

        An event for a bus that is not there is accepted and lost.
        """
        event = {
            "version": "0",
            "id": str(UUID(int=self._random.getrandbits(128))),
            "detail-type": detail_type,
            "source": source,
            "account": self.account,
            "time": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region,
            "resources": resources,
            "detail": detail,
        }
        self.forward(bus, event)
        return str(event["id"])

    def forward(self, bus: str, event: Json) -> None:
        """Give an event as it is to each target of each enabled rule of `bus` that matches."""
        for rule in self.buses.get(bus, {}).values():
            if rule.state != "DISABLED" and rule.pattern is not None and matches(rule.pattern, event):
                for target in rule.targets.values():
                    self._send(target.arn, build_input(target.members, event, rule), target.members)

    # Delivery

    def next_due(self) -> float | None:
        """Wall time of the next late delivery."""
        return self._late[0][0] if self._late else None

    def run_due(self, now: float) -> None:
        """Make the late deliveries that are due by `now`."""
        while self._late and self._late[0][0] <= now:
            _, _, arn, body, members = heapq.heappop(self._late)
            self._hand_over(arn, body, members)

    def _send(self, arn: str, body: str, members: Json) -> None:
        copies = 2 if self._random.random() < self._disorder.duplicate_share else 1
        for copy in range(copies):
            delay = self._clock.wall(self._random.uniform(0, self._disorder.max_delay))
            if delay == 0:
                self._hand_over(arn, body, members)
            else:
                self._sent += 1
                heapq.heappush(self._late, (self._clock.now() + delay * (copy + 1), self._sent, arn, body, members))

    def _hand_over(self, arn: str, body: str, members: Json) -> None:
        if not self._deliver(arn, body, members):
            self.failed_invocations += 1


def build_input(target: Json, event: Json, rule: Rule) -> str:
    """What a target gets: the event, or what Input, InputPath or InputTransformer make of it."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(read_path(event, target["InputPath"]))
    if "InputTransformer" in target:
        return _transform(target["InputTransformer"], event, rule)
    return json.dumps(event)


def read_path(event: Json, path: str) -> object:
    """The value at a JSON path such as `$.detail.state`; None when there is none."""
    value: object = event
    for plain, index, quoted, double in _PATH_STEP.findall(path.removeprefix("$")):
        name = plain or quoted or double
        if name and isinstance(value, dict):
            value = value.get(name)
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    return value


def _transform(transformer: Json, event: Json, rule: Rule) -> str:
    """User guide, "Amazon EventBridge input transformation": `<name>` stands for a value of the event.

    Within quotes a string goes in without quotes of its own; elsewhere values go in as JSON, and strings as JSON
    strings when the template is an object or an array.
    """
    values = {name: read_path(event, path) for name, path in transformer.get("InputPathsMap", {}).items()}
    values |= {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
    }
    template = transformer["InputTemplate"]
    as_json = template.lstrip().startswith(("{", "["))
    quoted = False
    result, end = [], 0
    for found in _PLACEHOLDER.finditer(template):
        between = template[end : found.start()]
        quoted ^= len(re.findall(r'(?<!\\)"', between)) % 2 == 1
        result.append(between)
        end = found.end()
        if found[1] not in values:
            result.append(found[0])
            continue
        value = values[found[1]]
        text = json.dumps("" if value is None else value)
        inside = isinstance(value, str | None) and (quoted or not as_json)
        result.append(text[1:-1] if inside else text.replace('"', '\\"') if quoted else text)
    return "".join([*result, template[end:]])
