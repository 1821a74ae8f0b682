"""The store: every object of ours as last seen.

Answers of our own writes and watch events arrive in any order, so an object is replaced only by a higher
resourceVersion (comparable as numbers, KEP-5504) and removed only on a matching uid; a removed uid never comes back.
Which fields somebody has written is left out: it is as long as all the rest, and of interest is only who.
"""

from bisect import bisect_left, insort
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import name_ecs_service
from bokgu.api.phases import ended_at, has_ended
from bokgu.api.sharing import share_values
from bokgu.api.unchecked import text_at

Key = tuple[str, str, str]
Raw = dict[str, Any]

_REFERENCES = {
    "incidents": ("serviceRef",),
    "recoveryplans": ("serviceRef",),
    "planapprovals": ("planRef",),
    "detectors": ("serviceRef",),
}
"""The field of spec by which objects of a kind are found from what they refer to. ProtectedServices, and plans that
have a target, are found by (region, cluster/service): several may be about the same ECS service."""

_REMEMBERED_DELETIONS = 10_000


def key_of(plural: str, body: Mapping[str, Any]) -> Key:
    """(plural, namespace, name) of an object."""
    return (plural, body["metadata"]["namespace"], body["metadata"]["name"])


def version_of(body: Mapping[str, Any]) -> int:
    """resourceVersion of an object or a list: a greater one is newer (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


class Store:
    """Objects by key, by what they refer to, and by whether they have begun or are over: what is over is most of it,
    and few ask."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Raw]] = {}
        self._open: defaultdict[tuple[str, str], dict[Key, Raw]] = defaultdict(dict)
        self._begun: defaultdict[tuple[str, str], dict[Key, Raw]] = defaultdict(dict)
        self._ended: defaultdict[tuple[str, str], dict[Key, Raw]] = defaultdict(dict)
        self._ends: defaultdict[tuple[str, str], list[tuple[str, Key]]] = defaultdict(list)
        self._created: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._changes: Counter[tuple[str, str]] = Counter()
        self._related: dict[Key, set[Key]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def get(self, key: Key) -> Raw | None:
        """The object as last seen, or None."""
        return self._objects.get(key[0], {}).get(key)

    def all(self, plural: str, namespace: str | None = None) -> Iterable[Raw]:
        """All objects of a kind, or those of a namespace."""
        if namespace is None:
            return tuple(self._objects.get(plural, {}).values())
        return (*self.open(plural, namespace), *self._ended[plural, namespace].values())

    def open(self, plural: str, namespace: str) -> Iterable[Raw]:
        """Those of a namespace that are not over."""
        return tuple(self._open[plural, namespace].values())

    def begun(self, plural: str, namespace: str) -> Iterable[Raw]:
        """Those that are not over and have begun: plans with a `status.startedAt`. Most wait for people."""
        return tuple(self._begun[plural, namespace].values())

    def latest_ended(self, plural: str, namespace: str, since: datetime | None = None) -> Iterator[Raw]:
        """Those that are over, incidents and plans whose phase is terminal: the latest first, as far back as asked for.
        Nothing may be awaited meanwhile."""
        # Without the Z: of the same second all count, also those that tell of a part of it.
        least = format_timestamp(since).removesuffix("Z") if since else ""
        ended = self._ended[plural, namespace]
        for end, key in reversed(self._ends[plural, namespace]):
            if end < least:
                return
            yield ended[key]

    def created(self, plural: str, namespace: str) -> Sequence[str]:
        """When those of a namespace were created, sorted, as the API server writes it."""
        return self._created[plural, namespace]

    def changes(self, plural: str, namespace: str) -> int:
        """How often anything has changed about objects of a kind in a namespace."""
        return self._changes[plural, namespace]

    def related(self, plural: str, namespace: str, name: str) -> Iterable[Raw]:
        """Objects of a kind whose reference names `name`."""
        found = (self.get(key) for key in sorted(self._related.get((plural, namespace, name), ())))
        return tuple(body for body in found if body is not None)

    def put(self, plural: str, body: Raw) -> bool:
        """Take in an object. False where it is not newer than what is there, or was deleted."""
        key, uid = key_of(plural, body), body["metadata"]["uid"]
        if uid in self._deleted:
            return False
        old = self.get(key)
        if old and old["metadata"]["uid"] == uid and version_of(old) >= version_of(body):
            return False
        if old and old["metadata"]["uid"] != uid and version_of(old) > version_of(body):
            return False
        if old:
            self._take_out(key, old)
        body, ended = _without_fields(body), has_ended(plural, body)
        if ended:
            body = share_values(body)
        self._objects.setdefault(plural, {})[key] = body
        (self._ended if ended else self._open)[key[:2]][key] = body
        if ended:
            insort(self._ends[key[:2]], (ended_at(plural, body), key))
        elif text_at(body, "status", "startedAt"):
            self._begun[key[:2]][key] = body
        insort(self._created[key[:2]], _creation(body))
        self._changes[key[:2]] += 1
        for reference in _references(plural, body):
            self._related.setdefault(reference, set()).add(key)
        return True

    def remove(self, plural: str, body: Mapping[str, Any]) -> bool:
        """Forget an object. False where another one (of another uid) has its name by now."""
        key, uid = key_of(plural, body), body["metadata"]["uid"]
        self._deleted[uid] = None
        while len(self._deleted) > _REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        old = self.get(key)
        if old is None or old["metadata"]["uid"] != uid:
            return False
        self._take_out(key, old)
        self._changes[key[:2]] += 1
        return True

    def _take_out(self, key: Key, body: Raw) -> None:
        del self._objects[key[0]][key]
        self._open[key[:2]].pop(key, None)
        self._begun[key[:2]].pop(key, None)
        if self._ended[key[:2]].pop(key, None) is not None:
            ends = self._ends[key[:2]]
            del ends[bisect_left(ends, (ended_at(key[0], body), key))]
        created = self._created[key[:2]]
        del created[bisect_left(created, _creation(body))]
        for reference in _references(key[0], body):
            keys = self._related.get(reference)
            if keys:
                keys.discard(key)
                if not keys:
                    del self._related[reference]


def _references(plural: str, body: Raw) -> list[Key]:
    if plural == "protectedservices":
        return _place(plural, body, ("spec",), ("spec", "ecs"))
    names = (text_at(body, "spec", field, "name") for field in _REFERENCES.get(plural, ()))
    found = [(plural, body["metadata"]["namespace"], name) for name in names if name]
    if plural == "recoveryplans":
        found += _place(plural, body, ("status", "target"), ("status", "target"))
    return found


def _place(plural: str, body: Raw, in_region: tuple[str, ...], named: tuple[str, ...]) -> list[Key]:
    """Where the ECS service is that the object is about, if it says so."""
    region = text_at(body, *in_region, "region")
    cluster, service = text_at(body, *named, "cluster"), text_at(body, *named, "service")
    return [(plural, region, name_ecs_service(cluster, service))] if region and cluster and service else []


def _without_fields(body: Raw) -> Raw:
    metadata = body["metadata"]
    if "managedFields" not in metadata:
        return body
    entries = [{k: v for k, v in entry.items() if k != "fieldsV1"} for entry in metadata["managedFields"]]
    return {**body, "metadata": {**metadata, "managedFields": entries}}


def _creation(body: Raw) -> str:
    return str(body["metadata"].get("creationTimestamp", ""))
