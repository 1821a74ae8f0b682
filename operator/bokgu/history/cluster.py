"""History in the cluster itself: compact records in ConfigMaps of the incident's namespace.

A namespace has up to eight of them, `bokgu-history-0` to `-7`, so that the operator's account needs rights on those
names only. A service's records are in one of them, under its name: one JSON object a line, the newest first.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from hashlib import sha256

import structlog
from pydantic import ValidationError

from bokgu.api.fields import bounded
from bokgu.api.history import HistoryError, IncidentRecord, Question
from bokgu.kube.client import KubeClient, KubeError, Raw

SHARDS = 8
MAX_BYTES = 600_000
"""Size of a ConfigMap's data; the API server takes 1 MiB."""
MAX_RECORDS = 50
"""Records of a service."""
KEPT = 60.0
"""Seconds for which what was read is answered from memory."""
ATTEMPTS = 5
"""Writes that may lose a race in a row."""
LABEL = "bokgu.dev/history"

_DESCRIPTION, _OUTPUT, _RESOURCES = 300, 100, 4
"""Characters of a description and of a step's output, and affected resources, that a compact record keeps."""

log = structlog.get_logger()
Shard = tuple[str, int]
"""(namespace, number)"""


class ClusterHistory:
    """Records in ConfigMaps. Only the leader writes; a foreign write is a conflict, and is read first."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._kept: dict[Shard, tuple[float, tuple[IncidentRecord, ...]]] = {}
        self._locks: dict[Shard, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def store(self, record: IncidentRecord) -> None:
        """As `History.store`. The oldest records make room."""
        shard = (record.namespace, shard_of(record.service))
        async with self._locks[shard]:
            for _ in range(ATTEMPTS):
                try:
                    found = await self._kube.get_config_map(record.namespace, config_map_name(shard[1]))
                    data = insert_record((found or {}).get("data") or {}, record)
                    if found is None or data != found.get("data"):
                        await self._kube.put_config_map(_config_map(shard, found, data))
                except KubeError as error:
                    if error.conflict or error.exists:
                        continue
                    raise _explain(error) from error
                self._kept[shard] = (time.monotonic(), _read_all(data))
                return
        raise HistoryError("Conflict", f"others keep writing ConfigMap {config_map_name(shard[1])}")

    async def find(self, question: Question) -> tuple[IncidentRecord, ...]:
        """As `History.find`: all that is kept of the namespace."""
        shards = [(question.namespace, number) for number in range(SHARDS)]
        try:
            found = await asyncio.gather(*(self._read(shard) for shard in shards))
        except KubeError as error:
            raise _explain(error) from error
        return tuple(record for records in found for record in records)

    async def _read(self, shard: Shard) -> tuple[IncidentRecord, ...]:
        async with self._locks[shard]:
            read_at, records = self._kept.get(shard, (-KEPT, ()))
            if time.monotonic() - read_at >= KEPT:
                body = await self._kube.get_config_map(shard[0], config_map_name(shard[1]))
                records = _read_all((body or {}).get("data") or {})
                self._kept[shard] = (time.monotonic(), records)
        return records


def config_map_name(number: int) -> str:
    """Name of a ConfigMap with history."""
    return f"bokgu-history-{number}"


def shard_of(service: str) -> int:
    """Which ConfigMap has the records of a service."""
    return sha256(service.encode()).digest()[0] % SHARDS


def insert_record(data: Mapping[str, str], record: IncidentRecord) -> dict[str, str]:
    """The data with the record in its place, and without the oldest ones that exceed the bounds."""
    lines = (data.get(record.service) or "").splitlines()
    kept = {found.id: line for line in lines if (found := _read_line(line))} | {record.id: _compact(record)}
    ages = {id_: _age(line) for id_, line in kept.items()}
    ordered = sorted(kept, key=lambda id_: (ages[id_], id_), reverse=True)[:MAX_RECORDS]
    result = {**data, record.service: "\n".join(kept[id_] for id_ in ordered)}
    while _size(result) > MAX_BYTES:
        # Of all services in it, the one whose last line is the oldest loses that.
        oldest = min(result, key=lambda s: (_age(result[s].rpartition("\n")[2]), s))
        rest = result[oldest].rpartition("\n")[0]
        if not rest and len(result) == 1:
            break
        if rest:
            result[oldest] = rest
        else:
            del result[oldest]
    return result


def _read_all(data: Mapping[str, str]) -> tuple[IncidentRecord, ...]:
    return tuple(r for lines in data.values() for line in lines.splitlines() if (r := _read_line(line)))


def _read_line(line: str) -> IncidentRecord | None:
    try:
        return IncidentRecord.model_validate_json(line)
    except ValidationError as error:
        log.warning("unreadable record of history", line=bounded(line, 100), error=bounded(str(error)))
        return None


def _age(line: str) -> str:
    """When the incident was detected, as text that sorts; empty where it cannot be read."""
    try:
        return str(json.loads(line)["detectedAt"])
    except (ValueError, KeyError, TypeError):
        return ""


def _compact(record: IncidentRecord) -> str:
    plans = tuple(
        plan.model_copy(
            update={"steps": tuple(s.model_copy(update={"output": bounded(s.output, _OUTPUT)}) for s in plan.steps)}
        )
        for plan in record.plans
    )
    update = {
        "description": bounded(record.description, _DESCRIPTION),
        "affected_resources": record.affected_resources[:_RESOURCES],
        "plans": plans,
    }
    compact = record.model_copy(update=update).to_dict()
    return json.dumps(compact, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _size(data: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in data.items())


def _config_map(shard: Shard, found: Raw | None, data: Mapping[str, str]) -> Raw:
    if found is not None:
        return {**found, "data": dict(data)}
    metadata = {"name": config_map_name(shard[1]), "namespace": shard[0], "labels": {LABEL: "incidents"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def _explain(error: KubeError) -> HistoryError:
    if error.away:
        return HistoryError("Unreachable", str(error))
    return HistoryError(error.reason[:63] or "Refused", str(error))
