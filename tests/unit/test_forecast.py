"""What the dry run reads before it foresees a plan."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from bokgu.api.protected_service import ProtectedService
from bokgu.commands import forecast
from bokgu.kube.client import KubeError
from bokgu.runtime.store import Store
from tests.unit.facts import protected_service

Raw = dict[str, Any]


def body(namespace: str) -> Raw:
    one = protected_service(meta={"namespace": namespace, "uid": f"uid-{namespace}"})
    return one.to_dict() | {"metadata": one.metadata.to_dict()}


class Cluster:
    """Two namespaces with a ProtectedService each; `refuses` is what a list of all namespaces is answered with."""

    def __init__(self, refuses: int | None) -> None:
        self.refuses = refuses

    async def list(self, plural: str, namespace: str | None = None) -> AsyncIterator[Raw]:
        if namespace is None and self.refuses:
            raise KubeError(self.refuses, "Forbidden", "no")
        if plural == ProtectedService.plural:
            for one in ("shop", "platform"):
                if namespace in {None, one}:
                    yield body(one)


def listed(refuses: int | None) -> tuple[set[str], bool]:
    store = Store()
    complete = asyncio.run(forecast._list(cast(Any, Cluster(refuses)), store, "shop"))
    return {one["metadata"]["namespace"] for one in store.all(ProtectedService.plural)}, complete


def test_the_dry_run_knows_the_services_of_all_namespaces_as_the_operator_does() -> None:
    """An older ProtectedService of another namespace for the same ECS service blocks every plan."""
    assert listed(None) == ({"shop", "platform"}, True)


def test_who_may_list_one_namespace_only_is_told_what_that_leaves_out() -> None:
    assert listed(403) == ({"shop"}, False)
    with pytest.raises(KubeError):
        listed(500)
