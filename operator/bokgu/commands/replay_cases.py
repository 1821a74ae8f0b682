"""Cases in files, as incidents of the past: what `case_file` reads, with who decided what.

Beside `incident` and `evidence` a file may hold `record`, what the history has of the incident, and `expected`, what an
expert says: `rootCause`, `acceptable` (other causes that are right), `safeAutomaticAction` (or `none`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bokgu.api.fields import bounded
from bokgu.api.history import IncidentRecord
from bokgu.api.vocabulary import Severity
from bokgu.commands.case_file import BadCase, load_case, parse_case
from bokgu.core.evidence import Evidence
from bokgu.core.hindsight import Label
from bokgu.core.replay import Past

_MALFORMED = (TypeError, ValueError, AttributeError, KeyError, OverflowError, RecursionError)
"""What reading members of wrong types raises."""


def find_case_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files, and those of folders, by name, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        for file in sorted(path.glob("*.json")) if path.is_dir() else (path,):
            found[file] = None
    return tuple(found)


def read_cases(paths: Iterable[Path]) -> tuple[tuple[Past, ...], tuple[str, ...]]:
    """(the cases, what is wrong with files that are none)."""
    pasts: list[Past] = []
    problems: list[str] = []
    for path in paths:
        try:
            pasts.append(read_past(path))
        except (BadCase, OSError) as error:
            problems.append(str(error))
    if not pasts and not problems:
        problems.append("there are no cases: no file is named *.json")
    return tuple(pasts), tuple(problems)


def read_past(path: Path) -> Past:
    """The case in a file. Raises BadCase, OSError."""
    case = load_case(path)
    try:
        evidence = parse_case(case)
        kept = case.get("record")
        record = IncidentRecord.model_validate(kept) if kept else _record(path, case, evidence)
        return Past(record, str(path), evidence=evidence, label=_label(case.get("expected")), decided=bool(kept))
    except KeyError as error:
        raise BadCase(f"{path}: the member {error} is missing") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadCase(f"{path}: record.{where}: {first['msg']}") from error
    except _MALFORMED as error:
        raise BadCase(f"{path}: not in the shapes of AWS's API: {error}") from error


def _record(path: Path, case: dict[str, Any], evidence: Evidence) -> IncidentRecord:
    """What is known of a case that nobody recorded."""
    incident, service = case["incident"], evidence.service
    return IncidentRecord(
        id=bounded(str(case.get("id") or path.stem), 255),
        name=bounded(path.stem),
        type=evidence.incident_type,
        severity=Severity(incident.get("severity", Severity.HIGH)),
        service=bounded(service.arn.rpartition("/")[2] if service else ""),
        environment="production",
        description=bounded(str(incident.get("description") or "")),
        detected_at=evidence.detected_at,
        outcome="",
    )


def _label(expected: Any) -> Label | None:
    if not isinstance(expected, dict):
        return None
    causes = (expected["rootCause"], *(expected.get("acceptable") or ()))
    return Label(tuple(str(cause) for cause in causes), str(expected.get("safeAutomaticAction") or "none"))
