"""What every pass is given."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog
from pydantic import ValidationError

from bokgu.api.fields import ApiModel
from bokgu.api.meta import Resource
from bokgu.aws.client import AwsClient
from bokgu.config import Settings
from bokgu.kube.client import KubeClient, KubeError, Raw

Key = tuple[str, str, str]
"""(plural, namespace, name)"""
R = TypeVar("R", bound=Resource)

log = structlog.get_logger()


class Objects(Protocol):
    """The store, as passes see it."""

    def get(self, key: Key) -> Raw | None:
        """The object as last seen, or None."""

    def all(self, plural: str) -> Iterable[Raw]:
        """All objects of a kind."""

    def related(self, plural: str, namespace: str, name: str) -> Iterable[Raw]:
        """Objects of a kind that refer to `name`: plans and incidents to a service, approvals to a plan."""

    def put(self, plural: str, body: Raw) -> bool:
        """Take in an object, unless a newer one is there."""


@dataclass
class Context:
    """Gateways, settings and the clock, and what this process alone remembers.

    `unsent` maps tokens of intents that this process stored and has not sent to the monotonic time of storing;
    `looked_at` when a detector or service was last measured. Losing either costs a delay, never safety.
    """

    kube: KubeClient
    aws: AwsClient
    objects: Objects
    settings: Settings
    cluster_id: str
    clock: Callable[[], datetime]
    announce: Callable[[str, Raw, bool], None]
    started_at: datetime
    unsent: dict[str, float] = field(default_factory=dict)
    looked_at: dict[Key, tuple[int, datetime]] = field(default_factory=dict)

    def take_in(self, plural: str, body: Raw, *, own: bool = False) -> None:
        """Learn of an object that the API server just answered with, and give a pass to all that depend on it.

        `own`: the pass under way wrote it, and says itself when it wants to come again.
        """
        if self.objects.put(plural, body):
            self.announce(plural, body, own)

    def find(self, kind: type[R], namespace: str, name: str) -> R | None:
        """An object from the store."""
        raw = self.objects.get((kind.plural, namespace, name))
        return None if raw is None else kind.model_validate(raw)

    def find_related(self, kind: type[R], namespace: str, name: str) -> list[R]:
        """Objects of a kind that refer to that name, from the store."""
        return self.readable(kind, self.objects.related(kind.plural, namespace, name))

    def readable(self, kind: type[R], bodies: Iterable[Raw]) -> list[R]:
        """Other people's objects, without those that cannot be read: they must not stop this one (S12)."""
        found = []
        for raw in bodies:
            try:
                found.append(kind.model_validate(raw))
            except ValidationError as error:
                name = f"{raw['metadata'].get('namespace')}/{raw['metadata'].get('name')}"
                log.warning("unreadable object", kind=kind.plural, name=name, error=str(error))
        return found

    async def fetch(self, kind: type[R], namespace: str, name: str) -> R | None:
        """An object from the API server; the store learns of it."""
        raw = await self.kube.get(kind.plural, namespace, name)
        if raw is None:
            return None
        self.take_in(kind.plural, raw)
        return kind.model_validate(raw)

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

    async def _refresh(self, plural: str, body: Raw) -> None:
        fresh = await self.kube.get(plural, body["metadata"]["namespace"], body["metadata"]["name"])
        if fresh is not None:
            self.take_in(plural, fresh)

    async def write_status(self, kind: type[Resource], raw: Raw, status: ApiModel) -> bool:
        """PUT the status if it differs from what was read. False where there was nothing to write.

        Raises KubeError; on a conflict the pass is done again from a fresh read.
        """
        new = status.to_dict()
        if raw.get("status") == new:
            return False
        try:
            answer = await self.kube.replace_status(kind.plural, raw, new)
        except KubeError as error:
            if error.conflict:
                await self._refresh(kind.plural, raw)
            raise
        self.take_in(kind.plural, answer, own=True)
        return True

    def due_in(self, key: Key, generation: int, interval: timedelta) -> timedelta:
        """How long until the object must be measured again; zero when it is due, or when its spec has changed."""
        seen, at = self.looked_at.get(key, (-1, self.started_at))
        if seen != generation:
            return timedelta()
        return max(timedelta(), at + interval - self.clock())

    def looked(self, key: Key, generation: int) -> None:
        """Note that the object was measured now."""
        self.looked_at[key] = (generation, self.clock())
