"""The store: every object of ours as last seen.

Answers of our own writes and watch events arrive in any order, so an object is replaced only by a higher
resourceVersion (comparable as numbers, KEP-5504) and removed only on a matching uid; a removed uid never comes back.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from bokgu.api.meta import name_ecs_service
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


class Store:
    """Objects by key, and by what they refer to."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Raw]] = {}
        self._in_namespace: dict[tuple[str, str], dict[Key, Raw]] = {}
        self._related: dict[Key, set[Key]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def get(self, key: Key) -> Raw | None:
        """The object as last seen, or None."""
        return self._objects.get(key[0], {}).get(key)

    def all(self, plural: str, namespace: str | None = None) -> Iterable[Raw]:
        """All objects of a kind, or those of a namespace."""
        found = self._objects.get(plural, {}) if namespace is None else self._in_namespace.get((plural, namespace), {})
        return tuple(found.values())

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
        if old and old["metadata"]["uid"] == uid and _version(old) >= _version(body):
            return False
        if old and old["metadata"]["uid"] != uid and _version(old) > _version(body):
            return False
        if old:
            self._unrelate(key, old)
        self._objects.setdefault(plural, {})[key] = body
        self._in_namespace.setdefault(key[:2], {})[key] = body
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
        self._unrelate(key, old)
        del self._objects[plural][key]
        del self._in_namespace[key[:2]][key]
        return True

    def uids(self, plural: str) -> dict[str, Key]:
        """Keys of all objects of a kind, by uid."""
        return {body["metadata"]["uid"]: key for key, body in self._objects.get(plural, {}).items()}

    def _unrelate(self, key: Key, body: Raw) -> None:
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


def _version(body: Raw) -> int:
    return int(body["metadata"]["resourceVersion"])
