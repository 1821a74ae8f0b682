"""Compares the store with full lists now and then: watches lose deletions (kubernetes-client issues, KEP-365)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from bokgu.api.crds import KINDS
from bokgu.api.phases import is_settled
from bokgu.kube.client import KubeClient, KubeError
from bokgu.runtime.store import Raw, Store, version_of

log = structlog.get_logger()


async def resync_forever(
    kube: KubeClient, store: Store, announce: Callable[[str, Raw, bool], None], interval: timedelta
) -> None:
    """Resync every `interval`. A list that fails is tried again next time."""
    while True:
        await asyncio.sleep(interval.total_seconds())
        for kind in KINDS:
            try:
                await resync(kube, store, announce, kind.plural)
            except KubeError as error:
                log.warning("resync failed", kind=kind.plural, error=str(error))
            except Exception:  # A defect in one is kept from ending all that would come.
                log.exception("resync failed", kind=kind.plural)


async def resync(kube: KubeClient, store: Store, announce: Callable[[str, Raw, bool], None], plural: str) -> None:
    """Take in all objects of a kind, and forget those that are not in the list though it is newer than they are. An
    older list, such as a cache in between may have, does not tell whether they are gone.

    Those that have not changed get a pass, too, unless nothing is left to do about them.
    """
    seen, newest = set(), None
    async for page in kube.list_pages(plural):
        newest = newest or version_of(page)
        for body in page["items"]:
            seen.add(body["metadata"]["uid"])
            if store.put(plural, body) or not is_settled(plural, body):
                announce(plural, body, False)
    for old in store.all(plural):
        missing = old["metadata"]["uid"] not in seen and newest is not None and version_of(old) <= newest
        if missing and store.remove(plural, old):
            announce(plural, old, False)
