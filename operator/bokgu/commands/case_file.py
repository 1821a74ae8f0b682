"""Incidents in files: the facts in the shapes of AWS's own API, as `aws ecs describe-services` and its like print them.

A file holds `incident` (type, detectedAt, …) and `evidence`: `service` (one of DescribeServices), `stoppedTasks`
(DescribeTasks), `taskDefinitions` (DescribeTaskDefinition: the one that the service is moving to, then the one before),
`metrics` (namespace, metricName, dimensions, stat, periodSeconds, timestamps, values) and `logs` (lines). Any of them
may be missing or empty.
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bokgu.api.observed import LogLine, Metric, Series
from bokgu.api.vocabulary import IncidentType
from bokgu.aws.ecs import parse_service, parse_task_definition
from bokgu.aws.tasks import parse_stopped_task
from bokgu.core.error_lines import choose_lines
from bokgu.core.evidence import Evidence


class BadCase(ValueError):
    """A file is no case; the text names the file and what is wrong."""


MAX_BYTES = 32 * 2**20
"""Size of a file that is read; a hundred stopped tasks and a day of metrics are a tenth of it."""

_MOMENTS = frozenset(
    {"createdAt", "updatedAt", "startedAt", "stoppingAt", "stoppedAt", "executionStoppedAt", "registeredAt",
     "deregisteredAt", "pullStartedAt", "pullStoppedAt", "connectivityAt", "finishedAt"}
)  # fmt: skip
"""Members of the API of Amazon ECS that are moments."""

_STAMP = re.compile(r"^\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)\]?\s*")


def read_case(path: Path) -> Evidence:
    """The evidence in a file. Raises BadCase, OSError."""
    case = load_case(path)
    try:
        return parse_case(case)
    except KeyError as error:
        raise BadCase(f"{path}: the member {error} is missing") from error
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BadCase(f"{path}: {error}") from error


def load_case(path: Path) -> dict[str, Any]:
    """What stands in a file, as far as it is shaped as a case. Raises BadCase, OSError."""
    if path.stat().st_size > MAX_BYTES:
        raise BadCase(f"{path}: more than {MAX_BYTES // 2**20} MiB: no case is that big")
    try:
        case = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadCase(f"{path}: not JSON: {error}") from error
    if not isinstance(case, dict) or not isinstance(case.get("incident"), dict):
        raise BadCase(f"{path}: not a case: it must be an object with the members incident and evidence")
    return case


def parse_case(case: dict[str, Any]) -> Evidence:
    """The evidence of one case. Raises KeyError, TypeError or ValueError where it is not shaped as it should be."""
    incident, facts = case["incident"], _with_times(case.get("evidence") or {})
    detected_at = _moment(incident["detectedAt"])
    service = facts.get("service")
    tasks = [parse_stopped_task(task) for task in facts.get("stoppedTasks") or () if task.get("stoppedAt")]
    return Evidence(
        incident_type=IncidentType(incident["type"]),
        detected_at=detected_at,
        service=parse_service(_complete(service), detected_at) if service else None,
        stopped_tasks=tuple(sorted(tasks, key=lambda task: task.stopped_at, reverse=True)),
        task_definitions=tuple(parse_task_definition(d) for d in facts.get("taskDefinitions") or ()),
        metrics=dict(_metric(metric) for metric in facts.get("metrics") or ()),
        logs=choose_lines(_line(line) for line in facts.get("logs") or ()),
    )


def _complete(service: dict[str, Any]) -> dict[str, Any]:
    """The members that API_Service always has, where somebody cut them."""
    counts = {"desiredCount": 0, "runningCount": 0, "pendingCount": 0}
    return {"serviceArn": service.get("serviceName", ""), "status": "ACTIVE", **counts, **service}


def _metric(raw: dict[str, Any]) -> tuple[Metric, Series]:
    period = int(raw.get("periodSeconds", 60))
    dimensions = tuple(sorted((d["Name"], d["Value"]) for d in raw.get("dimensions") or ()))
    metric = Metric(raw["namespace"], raw["metricName"], dimensions, raw.get("stat", "Average"), period)
    points = zip((_moment(t) for t in raw.get("timestamps") or ()), raw.get("values") or (), strict=True)
    return metric, Series(tuple(sorted((t, float(v)) for t, v in points)), period)


def _line(raw: Any) -> LogLine:
    """A line, or an event of FilterLogEvents (timestamp in milliseconds, message)."""
    if isinstance(raw, dict):
        at = raw.get("timestamp")
        return LogLine(str(raw.get("message", "")), datetime.fromtimestamp(at / 1000, UTC) if at else None)
    found = _STAMP.match(raw)
    return LogLine(raw[found.end() :], _moment(found[1])) if found else LogLine(raw)


def _with_times(value: Any, key: str = "") -> Any:
    """The same with moments where the API has them: JSON has none, the AWS CLI prints text or seconds since 1970."""
    if isinstance(value, dict):
        return {name: _with_times(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_times(member) for member in value]
    return _moment(value) if key in _MOMENTS and isinstance(value, str | int | float) else value


def _moment(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
