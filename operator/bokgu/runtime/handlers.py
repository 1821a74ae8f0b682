"""kopf as informer: the only place with its decorators. A handler puts the object into the store and keys into the
queue, nothing else.

`on.event` only: kopf then writes nothing on objects, needs no finalizers, and keeps no state of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from bokgu.api.crds import KINDS
from bokgu.api.meta import GROUP, VERSION
from bokgu.api.phases import is_settled
from bokgu.api.shards import read_shard
from bokgu.api.unchecked import objects_at, text_at, value_at
from bokgu.api.vocabulary import IncidentPhase, PlanPhase
from bokgu.reconcile.scope import name_scope
from bokgu.runtime.store import Key, Store, key_of

_WATCHED = ("protectedservices", "detectors", "runbooks", "recoverypolicies")
_OF_SERVICE = ("recoveryplans", "detectors")
MAX_WAITING = 500
"""Incidents of a namespace that one new Runbook or RecoveryPolicy wakes. More than that are found by the next resync,
without a flood."""


def related_keys(store: Store, plural: str, body: Mapping[str, Any]) -> Iterator[Key]:
    """The objects whose next decision may depend on this one, itself first."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    service = text_at(body, "spec", "serviceRef", "name")
    yield (plural, namespace, name)
    match plural:
        case "incidents":
            yield from open_incidents(store, namespace, service)
            for plan in objects_at(body, "status", "plans"):
                yield ("recoveryplans", namespace, text_at(plan, "name"))
        case "recoveryplans":
            yield ("incidents", namespace, text_at(body, "spec", "incidentRef", "name"))
            yield ("protectedservices", namespace, service)
            yield from (key_of("planapprovals", a) for a in store.related("planapprovals", namespace, name))
        case "planapprovals":
            yield ("recoveryplans", namespace, text_at(body, "spec", "planRef", "name"))
        case "protectedservices":
            yield from open_incidents(store, namespace, name)
            for dependent in _OF_SERVICE:
                found = store.related(dependent, namespace, name)
                yield from (key_of(dependent, o) for o in found if not is_settled(dependent, o))
        case "detectors":
            yield from open_incidents(store, namespace, service)
        case "runbooks":  # Whose rungs may lead there: whether they can be used depends on it.
            others = store.all("runbooks", namespace)
            yield from (key_of("runbooks", r) for r in others if value_at(r, "spec", "escalatesTo"))
        case "recoverypolicies":
            yield from held_plans(store, namespace)


def open_incidents(store: Store, namespace: str, service: str) -> Iterator[Key]:
    """Incidents of a service that are not over: what happens around the others changes nothing about them."""
    found = store.related("incidents", namespace, service)
    yield from (key_of("incidents", i) for i in found if text_at(i, "status", "phase") != IncidentPhase.RESOLVED)


def find_heeding(store: Store, namespace: str, operator_namespace: str) -> Iterator[Key]:
    """What heeds the spec of a RecoveryPolicy: the incidents, plans and approvals of its namespace, and under the one
    of the operator's namespace all policies and those of all namespaces."""
    everywhere = namespace == operator_namespace
    for policy in store.all("recoverypolicies") if everywhere else ():
        other = policy["metadata"]["namespace"]
        if other != namespace:
            yield key_of("recoverypolicies", policy)
    kinds = ("incidents", "recoveryplans") if everywhere else ()
    for other in sorted({namespace, *(o["metadata"]["namespace"] for kind in kinds for o in store.all(kind))}):
        yield from waiting_incidents(store, other)
        yield from waiting_plans(store, other)


def held_plans(store: Store, namespace: str) -> Iterator[Key]:
    """Plans of the namespace that are approved and have not begun: what a RecoveryPolicy says of budgets and breakers
    may let them. Others do not heed its status, or come by themselves soon enough; each start of a plan changes it."""
    for plan in store.open("recoveryplans", namespace):
        if text_at(plan, "status", "phase") == PlanPhase.APPROVED:
            yield key_of("recoveryplans", plan)


def waiting_plans(store: Store, namespace: str) -> Iterator[Key]:
    """Plans of the namespace that are not over, and their approvals: what they need may have changed."""
    for plan in store.open("recoveryplans", namespace):
        yield key_of("recoveryplans", plan)
        approvals = store.related("planapprovals", namespace, plan["metadata"]["name"])
        yield from (key_of("planapprovals", a) for a in approvals)


def waiting_incidents(store: Store, namespace: str) -> Iterator[Key]:
    """Open incidents of the namespace with no plan that is not over: another Runbook may give them one, or
    another RecoveryPolicy."""
    waiting = (
        i
        for i in store.all("incidents", namespace)
        if value_at(i, "status", "resolvedAt") is None
        and all(plan.get("outcome") for plan in objects_at(i, "status", "plans"))
    )
    yield from (key_of("incidents", i) for i in islice(waiting, MAX_WAITING))


def scopes_of(store: Store, plural: str, body: Mapping[str, Any]) -> Iterator[Key]:
    """The scopes that must learn of a new spec: what is watched, or how often, has changed."""
    namespace = body["metadata"]["namespace"]
    if plural == "protectedservices":
        if region := text_at(body, "spec", "region"):
            yield name_scope(namespace, region, text_at(body, "spec", "roleArn") or None)
    elif plural == "detectors":
        protected = store.get(("protectedservices", namespace, text_at(body, "spec", "serviceRef", "name")))
        if protected is not None:
            yield from scopes_of(store, "protectedservices", protected)


def build_announcer(
    store: Store, enqueue: Callable[[Key], None], operator_namespace: str
) -> Callable[[str, dict[str, Any], bool], None]:
    """A function that queues all objects that depend on one that has changed; itself not, if the change is its own.

    Scopes are queued for new specs, and for services that come into another shard, only: a scope writes status of a
    thousand objects, and must not wake itself. So are incidents that wait for a Runbook, and what heeds a
    RecoveryPolicy, and when one is deleted.
    """
    specs: dict[Key, tuple[str, int, str]] = {}

    def announce(plural: str, body: dict[str, Any], own: bool) -> None:
        metadata = body["metadata"]
        own_key, spec = key_of(plural, body), (metadata["uid"], metadata.get("generation", 0), read_shard(body))
        gone = store.get(own_key) is None
        if gone:
            specs.pop(own_key, None)
        new = plural in _WATCHED and not gone and specs.get(own_key) != spec
        if new:
            specs[own_key] = spec
            for scope in scopes_of(store, plural, body):
                enqueue(scope)
        if plural == "runbooks" and (new or gone):
            for waiting in waiting_incidents(store, own_key[1]):
                enqueue(waiting)
        if plural == "recoverypolicies" and (new or gone):
            for heeding in find_heeding(store, own_key[1], operator_namespace):
                enqueue(heeding)
        for key in related_keys(store, plural, body):
            if not own or key != own_key:
                enqueue(key)

    return announce


def build_registry(store: Store, announce: Callable[[str, dict[str, Any], bool], None]) -> kopf.OperatorRegistry:
    """A kopf registry of our own with one event handler a kind."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        return kopf.login_with_kubeconfig(**kwargs) or kopf.login_with_service_account(**kwargs)

    def watch(plural: str) -> None:
        @kopf.on.event(GROUP, VERSION, plural, registry=registry)
        async def on_event(event: kopf.RawEvent, **_: Any) -> None:
            body: dict[str, Any] = dict(event["object"])
            changed = store.remove(plural, body) if event["type"] == "DELETED" else store.put(plural, body)
            if changed:
                announce(plural, body, False)

    for kind in KINDS:
        watch(kind.plural)
    return registry


class NoDifferences(kopf.DiffBaseStorage):
    """Nothing is kept of an object to compare it with: `on.event` asks for no difference, and to find one kopf copies
    all of the object at each event."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[kopf.FieldSpec] | None = None) -> kopf.BodyEssence:
        """Nothing."""
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


class NoMemories(ResourceMemories):
    """Nothing is remembered of an object: `on.event` has no use for the 0.8 KiB each [measured]. kopf takes such a
    container as a parameter, but does not export its class."""

    async def recall(self, *args: Any, **options: Any) -> ResourceMemory:
        """One that is forgotten again."""
        return await super().recall(*args, **{**options, "ephemeral": True})


def build_settings() -> kopf.OperatorSettings:
    """kopf's settings: an informer that posts no Events, scans for nothing and gives itself time to stop."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDifferences()
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.networking.request_timeout = 30
    settings.queueing.exit_timeout = 20
    settings.queueing.idle_timeout = 0.1  # A worker stays so long with each of thousands of listed objects.
    settings.process.ultimate_exiting_timeout = 25
    return settings
