"""Compares the store with full lists now and then: watches lose deletions (kubernetes-client issues, KEP-365)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from bokgu.api.crds import KINDS
from bokgu.api.phases import is_settled
from bokgu.kube.client import KubeClient, KubeError
from bokgu.runtime.store import Raw, Store

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


async def resync(kube: KubeClient, store: Store, announce: Callable[[str, Raw, bool], None], plural: str) -> None:
    """Take in all objects of a kind, and forget those that were there before the list began and are not in it.

    Those that have not changed get a pass, too, unless nothing is left to do about them.
    """
    before = store.uids(plural)
    seen = set()
    async for body in kube.list(plural):
        seen.add(body["metadata"]["uid"])
        if store.put(plural, body) or not is_settled(plural, body):
            announce(plural, body, False)
    for uid, key in before.items():
        old = None if uid in seen else store.get(key)
        if old is not None and old["metadata"]["uid"] == uid and store.remove(plural, old):
            announce(plural, old, False)
