"""History in the cluster itself: compact records in ConfigMaps of the incident's namespace.

A namespace has up to eight of them, `bokgu-history-0` to `-7`, so that the operator's account needs rights on those
names only. A service's records are in one of them, under its name: one JSON object a line, the newest first.
"""

import asyncio
import heapq
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

import structlog

from bokgu.api.fields import bounded, bounded_lines
from bokgu.api.history import HistoryError, IncidentRecord, Question
from bokgu.kube.client import KubeClient, KubeError, Raw

SHARDS = 8
MAX_BYTES = 400_000
"""Size of a ConfigMap's data; the API server takes 1 MiB, and each write takes all of it."""
MAX_RECORDS = 50
"""Records of a service."""
MAX_LINES = 2000
"""Lines of a ConfigMap that are looked at, whoever wrote them."""
KEPT = 60.0
"""Seconds for which what was read is answered from memory."""
ATTEMPTS = 5
"""Writes that may lose a race in a row."""
LABEL = "bokgu.dev/history"

_DESCRIPTION, _OUTPUT, _RESOURCES = 300, 100, 4
"""Characters of a description and of a step's output, and affected resources, that a compact record keeps."""

_KEY = re.compile(r"(?!\.\.?$|\.\.)[-._a-zA-Z0-9]{1,253}")
"""Keys of a ConfigMap (Kubernetes API validation)."""
_LINE_ENDS = str.maketrans({end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"})
"""Characters that end a line for some readers and that JSON leaves alone."""

log = structlog.get_logger()
Shard = tuple[str, int]
"""(namespace, number)"""


@dataclass(eq=False)
class _Waiting:
    """A record that waits to be stored, and what has become of it."""

    record: IncidentRecord
    keep: bool
    stored: bool = False
    error: HistoryError | None = None


class ClusterHistory:
    """Records in ConfigMaps. Only the leader writes; a foreign write is a conflict, and is read first."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._kept: dict[Shard, tuple[float, tuple[IncidentRecord, ...]]] = {}
        self._locks: dict[Shard, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: dict[Shard, list[_Waiting]] = defaultdict(list)

    async def store(self, record: IncidentRecord, *, keep: bool = False) -> None:
        """As `History.store`. The oldest records make room; all that wait for a ConfigMap are stored with one write."""
        if not _KEY.fullmatch(record.service):
            raise HistoryError("BadRecord", f"service {bounded(record.service, 100)!r} is no key of a ConfigMap")
        shard = (record.namespace, shard_of(record.service))
        one, waiting = _Waiting(record, keep), self._waiting[shard]
        waiting.append(one)
        try:
            async with self._locks[shard]:
                if not one.stored and one.error is None:
                    await self._write(shard)
        finally:
            if one in waiting:
                waiting.remove(one)
        if one.error is not None:
            raise HistoryError(one.error.reason, one.error.message) from one.error

    async def _write(self, shard: Shard) -> None:
        """Store what waits; each of them learns what has become of it."""
        waiting, name = self._waiting[shard], config_map_name(shard[1])
        error = HistoryError("Conflict", f"others keep writing ConfigMap {name}")
        for _ in range(ATTEMPTS):
            try:
                found = await self._kube.get_config_map(shard[0], name)
                taken = tuple(waiting)
                data = (found or {}).get("data") or {}
                data = insert_records(data, [w.record for w in taken if not w.keep], keep=False)
                data = insert_records(data, [w.record for w in taken if w.keep], keep=True)
                if found is None or data != found.get("data"):
                    await self._kube.put_config_map(_config_map(shard, found, data))
            except KubeError as told:
                if told.conflict or told.exists:
                    continue
                error = _explain(told)
                break
            self._kept[shard] = (time.monotonic(), _read_all(data))
            for one in taken:
                one.stored = True
                waiting.remove(one)
            return
        for one in waiting:
            one.error = error
        waiting.clear()

    async def find(self, question: Question) -> tuple[IncidentRecord, ...]:
        """As `History.find`: all that is kept of the namespace."""
        return await self._read_namespace(question.namespace)

    async def look_up(self, namespace: str, environment: str, name: str) -> IncidentRecord | None:
        """As `Archive.look_up`; the namespace alone counts."""
        found = [record for record in await self._read_namespace(namespace) if name in {record.id, record.name}]
        return max(found, key=lambda record: record.detected_at, default=None)

    async def _read_namespace(self, namespace: str) -> tuple[IncidentRecord, ...]:
        shards = [(namespace, number) for number in range(SHARDS)]
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


def insert_record(data: Mapping[str, str], record: IncidentRecord, *, keep: bool = False) -> dict[str, str]:
    """The data with the record in its place, and without the oldest ones that exceed the bounds."""
    return insert_records(data, [record], keep=keep)


def insert_records(data: Mapping[str, str], records: Iterable[IncidentRecord], *, keep: bool) -> dict[str, str]:
    """The data with the records in their places, and without the oldest ones that exceed the bounds. `keep`: what is
    there already stays as it is. Lines that cannot be read stay until they are in the way: a later version may have
    written them."""
    result, new = dict(data), defaultdict[str, dict[str, str]](dict)
    for record in records:
        new[record.service][record.id] = _compact(record)
    for service, added in new.items():
        there = {}
        for line in islice(_lines(result.get(service) or ""), MAX_LINES):
            found = _read_line(line)
            there[found.id if found else line] = line
        kept = {**added, **there} if keep else {**there, **added}
        ages = {id_: _age(line) for id_, line in kept.items()}
        ordered = sorted(kept, key=lambda id_: (ages[id_], id_), reverse=True)[:MAX_RECORDS]
        result[service] = "\n".join(kept[id_] for id_ in ordered)
    return _make_room(result)


def _make_room(data: dict[str, str]) -> dict[str, str]:
    """Of all services in it, the one whose last line is the oldest loses that, until the rest fits. One line stays."""
    size = _size(data)
    if size <= MAX_BYTES:
        return data
    lines = {service: text.split("\n") for service, text in data.items()}
    oldest = [(_age(found[-1]), service) for service, found in lines.items()]
    heapq.heapify(oldest)
    while size > MAX_BYTES:
        _, service = heapq.heappop(oldest)
        found = lines[service]
        if len(found) == 1 and not oldest:
            break
        size -= len(found.pop().encode()) + bool(found)
        if found:
            heapq.heappush(oldest, (_age(found[-1]), service))
        else:
            size -= len(service.encode())
            del lines[service]
    return {service: "\n".join(found) for service, found in lines.items()}


def _read_all(data: Mapping[str, str]) -> tuple[IncidentRecord, ...]:
    lines = islice((line for text in data.values() for line in _lines(text)), MAX_LINES)
    read = [(line, _read_line(line)) for line in lines]
    if bad := [line for line, record in read if record is None]:
        log.warning("unreadable records of history", count=len(bad), first=bounded(bad[0], 100))
    return tuple(record for _, record in read if record is not None)


def _lines(text: str) -> Iterator[str]:
    """Lines with something in them. Only line feeds end them: texts have other characters that end lines elsewhere."""
    return (line for line in text.split("\n") if line)


def _read_line(line: str) -> IncidentRecord | None:
    try:
        return IncidentRecord.model_validate_json(line)
    except (ValueError, OverflowError):
        return None


def _age(line: str) -> str:
    """When the incident was detected, as text that sorts; empty where it cannot be read."""
    try:
        return str(json.loads(line)["detectedAt"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _compact(record: IncidentRecord) -> str:
    plans = tuple(
        plan.model_copy(
            update={
                "steps": tuple(s.model_copy(update={"output": bounded_lines(s.output, _OUTPUT)}) for s in plan.steps)
            }
        )
        for plan in record.plans
    )
    update = {
        "description": bounded(record.description, _DESCRIPTION),
        "affected_resources": record.affected_resources[:_RESOURCES],
        "plans": plans,
    }
    compact = record.model_copy(update=update).to_dict()
    line = json.dumps(compact, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return line.translate(_LINE_ENDS)


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
