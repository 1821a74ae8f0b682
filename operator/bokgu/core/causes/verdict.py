"""What a rule concludes, and how it quotes the facts that it rests on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bokgu.api.fields import format_decimal
from bokgu.api.incident import EvidenceItem
from bokgu.api.observed import Metric
from bokgu.api.redaction import redact_quote
from bokgu.api.vocabulary import Confidence, RootCause, Trait
from bokgu.core.case import Failure
from bokgu.core.log_signs import LogSign
from bokgu.core.trends import Move

MAX_QUOTES = 3
"""Lines of one kind that are quoted: more of the same prove nothing more."""


@dataclass(frozen=True)
class Diagnosis:
    """The cause, and the facts that it rests on.

    `new_revision_at_fault` is None where that cannot be told. `ruled_out` says what it is not, and why.
    """

    root_cause: RootCause
    new_revision_at_fault: bool | None
    confidence: Confidence
    evidence: tuple[EvidenceItem, ...]
    traits: tuple[Trait, ...] = ()
    ruled_out: tuple[str, ...] = ()


def quote(source: str, fact: str) -> EvidenceItem:
    """One fact, redacted, with its source: the name of an AWS API call."""
    return EvidenceItem(source=source, fact=redact_quote(fact))


def quote_failures(failures: Iterable[Failure]) -> tuple[EvidenceItem, ...]:
    """What ECS says, each text once, with its time."""
    seen: dict[str, Failure] = {}
    for failure in failures:
        seen.setdefault(failure.text[:80], failure)
    return tuple(quote(f.source, f"{_time(f.at)} {f.text}") for f in list(seen.values())[:MAX_QUOTES])


def quote_signs(signs: Iterable[LogSign]) -> tuple[EvidenceItem, ...]:
    """Log lines, the last ones."""
    return tuple(quote("FilterLogEvents", found.line.text) for found in list(signs)[-MAX_QUOTES:])


def quote_move(metric: Metric, move: Move) -> EvidenceItem:
    """How a metric moved."""
    levels = f"from {format_decimal(move.before)} to {format_decimal(move.since)}"
    return quote("GetMetricData", f"{metric.namespace} {metric.name} went {levels} at {_time(move.at)}")


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}"
