"""What every pass is given."""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar

import structlog
from pydantic import ValidationError

from bokgu.api.fields import ApiModel
from bokgu.api.history import IncidentRecord
from bokgu.api.incident import Incident
from bokgu.api.meta import OpenBreaker, Resource
from bokgu.api.phases import has_ended
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.role_grants import RoleGrant, grant_roles
from bokgu.api.sharing import share_parts
from bokgu.api.unchecked import Unreadable, text_at
from bokgu.aws.client import AwsClient
from bokgu.config import Settings
from bokgu.core.approval.digest import plan_digest
from bokgu.core.follow_up import FollowUp
from bokgu.core.look import Look
from bokgu.core.moment import Moment
from bokgu.core.service_state import Memory
from bokgu.core.storm import Storm
from bokgu.history.interface import History
from bokgu.kube.client import KubeClient, KubeError, Raw
from bokgu.reconcile.alerting_memory import AlertingMemory
from bokgu.reconcile.scope_memory import ScopeMemory
from bokgu.reconcile.tracing import Tracing

Key = tuple[str, str, str]
"""(plural, namespace, name)"""
R = TypeVar("R", bound=Resource)
T = TypeVar("T")

TURN = 1.0
"""Seconds for which a turn to write a RecoveryPolicy is waited for."""
RELABELLED = 5
"""Conflicts with writers of labels until the pass is done again."""

log = structlog.get_logger()


class Lease(Protocol):
    """What makes this process the one that acts."""

    @property
    def transitions(self) -> int | None:
        """How often it has changed hands."""

    def send_by(self) -> float:
        """Until when (monotonic) something may be sent to AWS."""


class Objects(Protocol):
    """The store, as passes see it."""

    def get(self, key: Key) -> Raw | None:
        """The object as last seen, or None."""

    def all(self, plural: str, namespace: str | None = None) -> Iterable[Raw]:
        """All objects of a kind, or those of a namespace."""

    def open(self, plural: str, namespace: str) -> Iterable[Raw]:
        """Those of a namespace that are not over."""

    def begun(self, plural: str, namespace: str) -> Iterable[Raw]:
        """Those that are not over and have begun: plans with a `status.startedAt`."""

    def latest_ended(self, plural: str, namespace: str, since: datetime | None = None) -> Iterator[Raw]:
        """Those that are over, the latest first, as far back as asked for. Nothing may be awaited meanwhile."""

    def created(self, plural: str, namespace: str) -> Sequence[str]:
        """When those of a namespace were created, sorted, as the API server writes it."""

    def changes(self, plural: str, namespace: str) -> int:
        """How often anything has changed about objects of a kind in a namespace."""

    def related(self, plural: str, namespace: str, name: str) -> Iterable[Raw]:
        """Objects of a kind that refer to `name`: plans and incidents to a service, approvals to a plan.
        ProtectedServices: by region and `cluster/service`."""

    def put(self, plural: str, body: Raw) -> bool:
        """Take in an object, unless a newer one is there."""


@dataclass
class SeenFence:
    """The state of the admission policy, and since when this process has seen it so. All passes share it."""

    version: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Survey:
    """What all incidents and recoveries of a namespace say together, under the policy that it had then."""

    at: datetime
    policy: RecoveryPolicy | None
    storm: Storm | None
    breaker: OpenBreaker | None


@dataclass
class Context:
    """Gateways, settings and the clock, and what this process alone remembers.

    `aws` acts for the operator itself until `on_behalf_of` says for whom.

    `unsent` maps tokens of intents that this process stored and has not sent to the monotonic time of storing; `looks`
    holds what was seen of an object and waits for its pass; `memories` which service has looked bad since when;
    `follow_ups` which services are looked at again after an event; `records` what the history will keep of incidents
    that are over, with the versions it was made from; `fence` is the state of the admission policy, and since when it
    was seen so; `claims` by namespace the plans that are about to take the lock of their services; `storms_told` when
    the storm began that people were told of last, and `surveys` what was seen of a namespace last; `alerting` which
    alerts wait for whom; `tracing` where traces go, None: nowhere; `beside` takes what no pass waits for, None: the
    pass does it; `lease` is what makes this process the one that acts, None: there is no election; `doubts` holds of
    plans the token of the intent that has no answer, and when this process first saw it. Losing any of it costs a
    delay, never safety.
    """

    kube: KubeClient
    aws: AwsClient
    history: History
    objects: Objects
    settings: Settings
    cluster_id: str
    clock: Callable[[], datetime]
    announce: Callable[[str, Raw, bool], None]
    enqueue: Callable[[Key], None]
    started_at: datetime
    unsent: dict[str, float] = field(default_factory=dict)
    looks: dict[Key, Look] = field(default_factory=dict)
    memories: dict[Key, tuple[str, dict[str, Memory]]] = field(default_factory=dict)
    scopes: dict[Key, ScopeMemory] = field(default_factory=dict)
    follow_ups: dict[Key, FollowUp] = field(default_factory=dict)
    records: dict[Key, tuple[tuple[str, ...], IncidentRecord]] = field(default_factory=dict)
    fence: SeenFence = field(default_factory=SeenFence)
    claims: dict[str, dict[str, str]] = field(default_factory=dict)
    storms_told: dict[str, datetime] = field(default_factory=dict)
    surveys: dict[str, Survey] = field(default_factory=dict)
    alerting: AlertingMemory = field(default_factory=AlertingMemory)
    tracing: Tracing | None = None
    beside: Callable[[Callable[[], Awaitable[object]]], None] | None = None
    lease: Lease | None = None
    doubts: dict[Key, tuple[str, datetime]] = field(default_factory=dict)
    _policy_turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _parsed: dict[Key, tuple[tuple[str, str], Resource | Unreadable]] = field(default_factory=dict)
    _digests: dict[Key, tuple[tuple[str, str, Raw], str]] = field(default_factory=dict)
    _derived: dict[tuple[Callable[..., Any], str, str], tuple[int, Any]] = field(default_factory=dict)

    def send_by(self) -> float:
        """Until when (monotonic) this process may send something to AWS, by its lease (S5)."""
        return math.inf if self.lease is None else self.lease.send_by()

    @contextlib.asynccontextmanager
    async def policy_turn(self, namespace: str) -> AsyncIterator[None]:
        """A turn to read, decide and write the RecoveryPolicy of a namespace: in a burst all but one of those who write
        at once would do so in vain, and wait ever longer. One that hangs is waited for no longer than `TURN`: then a
        conflict is all that comes of two at once."""
        lock, mine = self._policy_turns[namespace], False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TURN):
                mine = await lock.acquire()
        try:
            yield
        finally:
            if mine:
                lock.release()

    def on_behalf_of(self, namespace: str, *, pinned: tuple[str, ...] = ()) -> Self:
        """The same context, all that it remembers shared, whose AWS calls are made for a namespace: with the roles that
        it may assume, and `pinned`, and with its external id."""
        return replace(self, aws=self.aws.with_grant(self.grant_for(namespace, pinned=pinned)))

    def grant_for(self, namespace: str, *, pinned: tuple[str, ...] = ()) -> RoleGrant:
        """What a namespace may assume, and `pinned`."""
        return grant_roles(self.settings.assumable_roles, self.cluster_id, namespace, pinned=pinned)

    def take_in(self, plural: str, body: Raw, *, own: bool = False) -> None:
        """Learn of an object that the API server just answered with, and give a pass to all that depend on it.

        `own`: the pass under way wrote it, and says itself when it wants to come again.
        """
        if self.objects.put(plural, body):
            self.announce(plural, body, own)

    def find(self, kind: type[R], namespace: str, name: str) -> R | None:
        """An object from the store. Raises Unreadable."""
        raw = self.objects.get((kind.plural, namespace, name))
        return None if raw is None else self.parse(kind, raw)

    def parse(self, kind: type[R], raw: Raw) -> R:
        """The object as a model, which is kept until the object changes. Raises Unreadable, which the log tells once a
        version."""
        metadata = raw["metadata"]
        key = (kind.plural, metadata["namespace"], metadata["name"])
        version = (metadata["uid"], metadata["resourceVersion"])
        kept = self._parsed.get(key)
        if kept is not None and kept[0] == version:
            if isinstance(kept[1], Unreadable):
                raise kept[1].with_traceback(None)
            if isinstance(kept[1], kind):
                return kept[1]
        try:
            parsed = self._read(kind, raw)
        except Unreadable as error:
            log.warning("unreadable object", error=str(error))
            self._parsed[key] = (version, error)
            raise
        self._parsed[key] = (version, parsed)
        return parsed

    def digest_of(self, raw: Raw) -> str:
        """The digest of a plan as the API server has it, which is kept while what it rests on is the same."""
        metadata, published = raw["metadata"], text_at(raw, "status", "digest")
        key = (RecoveryPlan.plural, metadata["namespace"], metadata["name"])
        rests_on = (metadata["uid"], published, raw["spec"])
        kept = self._digests.get(key)
        if kept is None or kept[0] != rests_on:
            kept = self._digests[key] = (rests_on, plan_digest(self.cluster_id, raw))
        return kept[1]

    def _read(self, kind: type[R], raw: Raw) -> R:
        """The object, without what the own patterns match in what people write into an Incident."""
        own, spec = self.settings.own_patterns, raw.get("spec")
        if kind is Incident and own.compiled and isinstance(spec, dict) and isinstance(spec.get("description"), str):
            raw = {**raw, "spec": {**spec, "description": own.hide(spec["description"])}}
        try:
            read = kind.model_validate(raw)
        except ValidationError as error:
            raise Unreadable(kind, raw, error) from None
        return share_parts(read) if has_ended(kind.plural, raw) else read

    def remember(self, key: Key, service_arn: str) -> dict[str, Memory]:
        """What is remembered of the service, by condition; nothing where the object was about another one."""
        about, memories = self.memories.get(key, (service_arn, {}))
        if about != service_arn:
            memories = {}
        self.memories[key] = (service_arn, memories)
        return memories

    def moment(self) -> Moment:
        """Now, by this process's clock and the API server's."""
        return Moment.between(self.clock(), self.kube.clock_ahead)

    def remember_fence(self, version: str) -> datetime:
        """Since when the admission policy was seen in the state that it is in now, by the later of the two clocks."""
        if self.fence.since is None or self.fence.version != version:
            self.fence.version, self.fence.since = version, self.moment().latest
        return self.fence.since

    def used(self, key: Key, look: Look | None) -> None:
        """The object's pass has dealt with that look; a newer one that came meanwhile stays."""
        if look is not None and self.looks.get(key) is look:
            del self.looks[key]

    def forget(self, key: Key) -> None:
        """The object is gone: remember nothing of it."""
        self._parsed.pop(key, None)
        self._digests.pop(key, None)
        self.records.pop(key, None)
        self.looks.pop(key, None)
        self.memories.pop(key, None)
        self.alerting.forget(key)
        self.doubts.pop(key, None)
        if self.tracing is not None:
            self.tracing.forget(key)

    def find_related(self, kind: type[R], namespace: str, name: str) -> list[R]:
        """Objects of a kind that refer to that name, from the store."""
        return self.readable(kind, self.objects.related(kind.plural, namespace, name))

    def find_open_related(self, kind: type[R], namespace: str, name: str) -> list[R]:
        """Those of them that are not over: of a service that is seldom more than one, beside hundreds that are."""
        found = self.objects.related(kind.plural, namespace, name)
        return self.readable(kind, (raw for raw in found if not has_ended(kind.plural, raw)))

    def find_all(self, kind: type[R], namespace: str) -> list[R]:
        """All objects of a kind in a namespace, from the store."""
        return self.readable(kind, self.objects.all(kind.plural, namespace))

    def find_open(self, kind: type[R], namespace: str) -> list[R]:
        """Those that are not over."""
        return self.readable(kind, self.objects.open(kind.plural, namespace))

    def derive(self, kind: type[R], namespace: str, make: Callable[[list[R]], T]) -> T:
        """What `make` makes of all objects of a kind in a namespace: made again only when one of them has changed."""
        key, changes = (make, kind.plural, namespace), self.objects.changes(kind.plural, namespace)
        kept = self._derived.get(key)
        if kept is None or kept[0] != changes:
            kept = self._derived[key] = (changes, make(self.find_all(kind, namespace)))
        found: T = kept[1]
        return found

    def readable(self, kind: type[R], bodies: Iterable[Raw]) -> list[R]:
        """Other people's objects, without those that cannot be read: they must not stop this one (S12)."""
        found = []
        for raw in bodies:
            with contextlib.suppress(Unreadable):
                found.append(self.parse(kind, raw))
        return found

    async def fetch(self, kind: type[R], namespace: str, name: str) -> R | None:
        """An object from the API server; the store learns of it. Raises KubeError and Unreadable."""
        raw = await self.fetch_body(kind.plural, namespace, name)
        return None if raw is None else self.parse(kind, raw)

    async def fetch_body(self, plural: str, namespace: str, name: str) -> Raw | None:
        """The same as it is stored. Raises KubeError."""
        raw = await self.kube.get(plural, namespace, name)
        if raw is not None:
            self.take_in(plural, raw)
        return raw

    async def replace(self, plural: str, body: Raw) -> Raw:
        """PUT an object. The store learns of the answer, or after a conflict of what is there. Raises KubeError."""
        try:
            answer = await self.kube.replace(plural, body)
        except KubeError as error:
            if error.conflict:
                await self._refresh(plural, body)
            raise
        self.take_in(plural, answer)
        return answer

    async def write_finalizers(self, plural: str, raw: Raw, finalizers: list[str]) -> None:
        """PUT an object as it was read, with other finalizers. Raises KubeError; conflicts are as in `write_status`."""

        def write(body: Raw) -> Awaitable[Raw]:
            return self.kube.replace(plural, {**body, "metadata": {**body["metadata"], "finalizers": finalizers}})

        self.take_in(plural, await self._write_over_labels(plural, raw, write))

    async def delete(self, plural: str, body: Raw) -> None:
        """DELETE an object as it was read. After a conflict the store learns of what is there. Raises KubeError."""
        try:
            await self.kube.delete(plural, body)
        except KubeError as error:
            if error.conflict:
                await self._refresh(plural, body)
            raise

    async def _refresh(self, plural: str, body: Raw) -> Raw | None:
        fresh = await self.kube.get(plural, body["metadata"]["namespace"], body["metadata"]["name"])
        if fresh is not None:
            self.take_in(plural, fresh)
        return fresh

    async def write_status(self, kind: type[Resource], raw: Raw, status: ApiModel) -> bool:
        """PUT the status if it differs from what was read. False where there was nothing to write.

        Raises KubeError; on a conflict the pass is done again from a fresh read. A conflict with somebody who writes
        labels or annotations changes nothing that was decided: the status goes in after it, lest one who writes all
        the time keeps a pass that takes long from ever ending.
        """
        if self._is_known(kind, raw, status):
            return False
        new = status.to_dict()
        if raw.get("status") == new:
            return False

        def write(body: Raw) -> Awaitable[Raw]:
            return self.kube.replace_status(kind.plural, body, new)

        self.take_in(kind.plural, await self._write_over_labels(kind.plural, raw, write), own=True)
        return True

    def _is_known(self, kind: type[Resource], raw: Raw, status: ApiModel) -> bool:
        """Whether the status is that of the model which was read: mostly it is, and to tell so takes less time than to
        serialise it."""
        metadata = raw["metadata"]
        kept = self._parsed.get((kind.plural, metadata["namespace"], metadata["name"]))
        if kept is None or kept[0] != (metadata["uid"], metadata["resourceVersion"]) or "status" not in raw:
            return False
        return isinstance(kept[1], kind) and getattr(kept[1], "status", None) == status

    async def _write_over_labels(self, plural: str, raw: Raw, write: Callable[[Raw], Awaitable[Raw]]) -> Raw:
        """What the API server answers to a write of the object; the store learns of what is there after a conflict."""
        for left in reversed(range(RELABELLED)):
            try:
                return await write(raw)
            except KubeError as error:
                fresh = await self._refresh(plural, raw) if error.conflict else None
                if fresh is None or not left or not _only_relabelled(raw, fresh):
                    raise
                raw = fresh
        raise AssertionError("the last attempt answers or raises")


def _only_relabelled(old: Raw, new: Raw) -> bool:
    """Whether two versions of an object differ in nothing that the decision about its own status rests on."""
    free = ("annotations", "labels", "managedFields", "resourceVersion")

    def decisive(body: Raw) -> Raw:
        kept = {name: value for name, value in body.items() if name not in {"apiVersion", "kind"}}
        return kept | {"metadata": {n: value for n, value in body["metadata"].items() if n not in free}}

    return decisive(old) == decisive(new)
