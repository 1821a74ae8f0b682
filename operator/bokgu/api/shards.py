"""Shards: which Deployment acts for a service.

A service is of the shard that its ProtectedService's label names. All that is about it, such as its incidents and
plans, goes with it: they carry the same label, so that they stay where they are when the ProtectedService is deleted.
"""

from collections.abc import Mapping
from typing import Any

SHARD_LABEL = "bokgu.dev/shard"
DEFAULT_SHARD = "default"
"""The shard of all that has no such label."""


def read_shard(body: Mapping[str, Any]) -> str:
    """The shard that an object's own label names."""
    labels = body["metadata"].get("labels") or {}
    return str(labels.get(SHARD_LABEL) or DEFAULT_SHARD)


def with_shard(labels: Mapping[str, str], shard: str) -> dict[str, str]:
    """The labels of an object of that shard; the default one needs none."""
    others = {name: value for name, value in labels.items() if name != SHARD_LABEL}
    return others if shard == DEFAULT_SHARD else {**others, SHARD_LABEL: shard}
