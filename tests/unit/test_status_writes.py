"""A status that meets another writer: what was decided goes in after labels, and after nothing else."""

import asyncio
from typing import Any

import pytest

from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.kube.client import KubeError, Raw
from bokgu.reconcile.context import RELABELLED, Context
from tests.unit.facts import plan, scale_out
from tests.unit.test_plan_incident import Past, context


class Kube:
    """Somebody changes the object before each of the first `conflicts` writes."""

    def __init__(self, raw: Raw, conflicts: int, change: Raw) -> None:
        self.there, self.conflicts, self.change = raw, conflicts, change
        self.written: list[Raw] = []

    async def replace_status(self, _plural: str, body: Raw, status: Raw) -> Raw:
        return await self.replace(_plural, {**body, "status": status})

    async def replace(self, _plural: str, body: Raw) -> Raw:
        version = int(self.there["metadata"]["resourceVersion"]) + 1
        if self.conflicts:
            self.conflicts -= 1
            metadata = {**self.there["metadata"], "resourceVersion": str(version), "labels": {"n": str(version)}}
            self.there = {**self.there, "metadata": metadata | self.change.get("metadata", {})}
            self.there |= {name: value for name, value in self.change.items() if name != "metadata"}
            raise KubeError(409, "Conflict", "the object has been modified")
        assert body["metadata"]["resourceVersion"] == self.there["metadata"]["resourceVersion"]
        self.written.append(body)
        return {**body, "metadata": {**body["metadata"], "resourceVersion": str(version)}}

    async def get(self, *_: str) -> Raw:
        return self.there


def begin(conflicts: int, **change: Any) -> tuple[Context, Kube, Raw]:
    one = context(Past(), plan(scale_out()))
    (raw,) = one.objects.all(RecoveryPlan.plural)
    kube = Kube(raw, conflicts, change)
    one.kube = kube  # type: ignore[assignment]
    return one, kube, raw


def write(one: Context, raw: Raw) -> bool:
    status = RecoveryPlan.model_validate(raw).status.model_copy(update={"progress": "1/2"})
    return asyncio.run(one.write_status(RecoveryPlan, raw, status))


def test_a_status_that_is_there_is_not_written_again() -> None:
    one, kube, raw = begin(0)
    assert write(one, raw)
    raw = {**raw, "status": kube.written[0]["status"]}
    assert not asyncio.run(one.write_status(RecoveryPlan, raw, one.parse(RecoveryPlan, raw).status))
    assert len(kube.written) == 1


def test_a_status_that_was_there_in_an_older_version_is_written() -> None:
    one, kube, raw = begin(0)
    old = one.parse(RecoveryPlan, raw).status
    newer = {**raw, "metadata": {**raw["metadata"], "resourceVersion": "9"}, "status": {"progress": "1/2"}}
    kube.there = newer
    assert asyncio.run(one.write_status(RecoveryPlan, newer, old))


def test_a_first_status_is_written_though_it_says_no_more_than_none() -> None:
    one, kube, raw = begin(0)
    del raw["status"]
    assert asyncio.run(one.write_status(RecoveryPlan, raw, one.parse(RecoveryPlan, raw).status))
    assert kube.written[0]["status"]["phase"] == "Pending"


def test_status_goes_in_after_labels_and_keeps_them() -> None:
    one, kube, raw = begin(RELABELLED - 1)
    assert write(one, raw)
    assert kube.written[0]["status"]["progress"] == "1/2"
    assert kube.written[0]["metadata"]["labels"] == kube.there["metadata"]["labels"]


def test_labels_that_never_end_end_the_pass() -> None:
    one, kube, raw = begin(RELABELLED)
    with pytest.raises(KubeError, match="Conflict"):
        write(one, raw)
    assert kube.written == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"phase": "Approved"}},
        {"spec": {"suspend": True}},
        {"metadata": {"generation": 2}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {"metadata": {"finalizers": ["example.com/other"]}},
        {"metadata": {"uid": "another"}},
    ],
    ids=str,
)
def test_s2_status_does_not_go_in_after_anything_else(change: Raw) -> None:
    one, kube, raw = begin(1, **change)
    with pytest.raises(KubeError, match="Conflict"):
        write(one, raw)
    assert kube.written == []


def test_finalizers_go_in_after_labels_and_leave_those_of_others() -> None:
    one, kube, raw = begin(2)
    asyncio.run(one.write_finalizers(RecoveryPlan.plural, raw, ["bokgu.dev/execution"]))
    assert kube.written[0]["metadata"]["finalizers"] == ["bokgu.dev/execution"]
    one, kube, raw = begin(1, metadata={"finalizers": ["example.com/other"]})
    with pytest.raises(KubeError, match="Conflict"):
        asyncio.run(one.write_finalizers(RecoveryPlan.plural, raw, ["bokgu.dev/execution"]))
