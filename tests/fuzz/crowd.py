"""A namespace of generated objects in the world, and how the operator bears them."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiException

from bokgu.api.vocabulary import Decision
from tests.fuzz.changes import Draft
from tests.fuzz.living import KINDS, NAMES, build_specs, manifest, plan_spec
from tests.scenarios.kube_admin import KubeAdmin
from tests.world.world import Raw, World, wait_for

STORED = range(200, 300)
REFUSED = frozenset({400, 403, 422})
CONFLICT, RACES = 409, 10
NAMED = re.compile(r"\b(spec|metadata)\b|ValidatingAdmissionPolicy")
"""What an answer that refuses an object names: a field, or the policy that tells what to do."""

FOLLOWED = 20.0
"""Seconds by which a status must have followed a spec."""

DEFECTS = frozenset({"pass failed", "unreadable object", "event not taken in", "alert not taken in"})
"""Lines of the log that tell of something that was not foreseen."""
VANISHED = re.compile(r"NotFound|being terminated")
"""Objects, and their namespace, are deleted while passes over them are under way."""
READING = re.compile(r"(Describe|List|Get|Filter|Lookup|Receive|Batch|Assume)[A-Z]\w+|DeleteMessageBatch")
"""Operations of AWS that change nothing of anybody's; of the operator's own queue messages are deleted."""


TOO_LARGE = 413
"""A request of more than 3 MiB (kube-apiserver, MaxRequestBodyBytes)."""


@dataclass(frozen=True)
class Answer:
    """What the API server said to an object."""

    status: int
    message: str = ""

    @property
    def stored(self) -> bool:
        """Whether the object is there now."""
        return self.status in STORED

    @property
    def clear(self) -> bool:
        """Whether it is stored, or refused with words that name a field, or the bytes that an object may have."""
        if self.status == TOO_LARGE:
            return "limit is" in self.message
        return self.stored or (self.status in REFUSED and NAMED.search(self.message) is not None)


class Crowd:
    """One living object of each kind, and whatever else is put beside them."""

    def __init__(self, world: World, kube: KubeAdmin, namespace: str) -> None:
        self.world, self.namespace, self._kube = world, namespace, kube
        self.living: dict[str, Raw] = {}

    def begin(self) -> None:
        """Make the namespace and the living objects, and wait until the operator knows them."""
        self._kube.create_namespace(self.namespace)
        for plural, spec in build_specs().items():
            self._add(plural, NAMES[plural], spec)
        self._add("recoveryplans", NAMES["recoveryplans"], plan_spec(self.living["incidents"]["metadata"]["uid"]))
        plan = wait_for(self._known_plan, FOLLOWED, self.world.operator_log_tail)
        approval = self.world.mallory.approve(plan, "system_admin", Decision.APPROVE)
        self._add("planapprovals", approval["metadata"]["name"], approval["spec"])
        wait_for(lambda: not self.unfollowed(), FOLLOWED, lambda: str(self.unfollowed()))

    def _known_plan(self) -> Raw | None:
        plan = self.world.get("recoveryplans", NAMES["recoveryplans"], self.namespace)
        return plan if plan and "digest" in plan.get("status", {}) else None

    def _add(self, plural: str, name: str, spec: Raw) -> None:
        self.living[plural] = self._kube.put(manifest(plural, self.namespace, name, spec))

    def put(self, plural: str, name: str, spec: Any) -> Answer:
        """Create the object as kubectl would, or give it this spec."""
        body = manifest(plural, self.namespace, name, spec)
        for _ in range(RACES):
            try:
                self._kube.put(body, field_validation="Strict")
            except ApiException as error:
                answer = Answer(error.status or 0, json.loads(error.body or "{}").get("message", ""))
                if answer.status != CONFLICT:  # The operator has just written the status.
                    return answer
            else:
                return Answer(201)
        return answer

    def add(self, draft: Draft, number: int) -> Answer:
        """Create a generated object."""
        living = self.living[draft.plural]
        name = f"g{number}{draft.name}"
        if draft.plural == "recoverypolicies":
            name = NAMES[draft.plural]
        elif draft.plural == "planapprovals":
            name = f"g{number}-{living['metadata']['name']}"
        return self.put(draft.plural, name, draft.build(living))

    def unfollowed(self, *plurals: str) -> dict[str, Raw]:
        """Objects of these kinds, or of all, whose status is not of their newest spec."""
        found = {}
        for plural in plurals or KINDS:
            for body in self.world.all(plural, self.namespace):
                if body.get("status", {}).get("observedGeneration") != body["metadata"]["generation"]:
                    found[f"{plural}/{body['metadata']['name']}"] = body
        return found

    def settle(self, *plurals: str) -> dict[str, Raw]:
        """Wait until every status has followed; those that have not."""
        deadline = time.monotonic() + FOLLOWED
        while (left := self.unfollowed(*plurals)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def end(self) -> None:
        """Delete the namespace with all that is in it."""
        self._kube.delete_namespace(self.namespace)


@contextmanager
def borne(world: World, *mine: str) -> Iterator[Callable[[], None]]:
    """What happens meanwhile is borne by the operator: the same process stays ready, logs nothing that it did not
    expect, and writes to no ECS service but `mine`. To look from time to time is for the caller: the simulator's
    journal is bounded."""
    log, pid = world.directory / "operator.log", world.operator_pid
    read, last = log.stat().st_size, max((call.sequence for call in world.simulator.calls()), default=0)

    def look() -> None:
        nonlocal read, last
        assert world.runs("operator"), world.operator_log_tail()
        assert world.operator_pid == pid
        with log.open("rb") as lines:
            lines.seek(read)
            new = lines.readlines()
        whole = [line for line in new if line.endswith(b"\n")]
        read += sum(map(len, whole))
        assert [text for line in whole if (text := _unexpected(line.decode()))] == []
        calls = world.simulator.calls(since=last)
        last = max((call.sequence for call in calls), default=last)
        writes = [c for c in calls if c.access_key_id == "operator" and _writes(c.operation)]
        assert [c for c in writes if c.parameters.get("service") not in mine] == []

    yield look
    wait_for(lambda: world.readiness("operator"), 10, world.operator_log_tail)
    look()


def _writes(operation: str) -> bool:
    return READING.fullmatch(operation) is None


def _unexpected(line: str) -> str | None:
    """The line, if it tells of a defect: an exception, a pass that failed, an object that cannot be read."""
    try:
        said = json.loads(line)
    except ValueError:
        return line  # All that the operator says is JSON; the traceback of a crash is not.
    if said["event"] == "pass failed" and VANISHED.search(said["error"]):
        return None
    bad = said["event"] in DEFECTS or said["level"] in {"error", "critical"}
    return line if bad or "exception" in said else None
