"""The store against full lists of the real API server."""

import asyncio
import copy
import os
from unittest import mock

from bokgu.kube.client import KubeClient
from bokgu.runtime.resync import resync
from bokgu.runtime.store import Store, key_of
from tests.world.manifests import NAMESPACE, protected_service
from tests.world.world import World


def test_lost_deletions_and_lost_additions_are_found(world: World) -> None:
    world.apply(protected_service("listed"))
    there = world.get("protectedservices", "listed")
    assert there is not None
    gone = copy.deepcopy(there)
    gone["metadata"] |= {"name": "gone", "uid": "gone"}
    store, announced = Store(), []
    store.put("protectedservices", gone)

    async def run() -> None:
        kube = await KubeClient.connect()
        try:
            await resync(
                kube, store, lambda plural, body, _: announced.append(key_of(plural, body)), "protectedservices"
            )
        finally:
            await kube.close()

    with mock.patch.dict(os.environ, {"KUBECONFIG": str(world.control_plane.admin_kubeconfig)}):
        asyncio.run(run())
    assert store.get(("protectedservices", NAMESPACE, "gone")) is None
    listed = store.get(("protectedservices", NAMESPACE, "listed"))
    assert listed is not None
    assert listed["metadata"]["uid"] == there["metadata"]["uid"]
    assert ("protectedservices", NAMESPACE, "gone") in announced
    assert ("protectedservices", NAMESPACE, "listed") in announced
    world.control_plane.kubectl("delete", "protectedservice", "listed", "-n", NAMESPACE)
