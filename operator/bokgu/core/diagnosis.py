"""Diagnosis: evidence to a root cause.

Rules are small and stand in one table, the most specific first; each names what it looks at and what it concludes.
Where two causes fit equally well, the answer is Unknown: no cause, no write.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from bokgu.api.fields import bounded, format_decimal
from bokgu.api.incident import EvidenceItem
from bokgu.api.observed import Series, ServiceDeployment
from bokgu.api.vocabulary import Confidence, RootCause

LOOKBACK = timedelta(minutes=30)
"""How far back metrics and deployments are looked at."""

SURGE_RATIO = 1.5
"""Traffic that grew by half is a surge; less is the usual swing of a day [experience, not a figure of AWS]."""

BUSY_CPU = 70.0
"""Percent of CPU from where on tasks are busy: the usual target of target tracking policies."""

MIN_BASELINE = 3
"""Datapoints before the onset below which nothing is said about what is normal."""


@dataclass(frozen=True)
class Evidence:
    """What was gathered about an incident.

    `onset` is the start of the period, `period` long, in which the trouble began. `missing` names the sources that
    gave no answer, and why.
    """

    onset: datetime | None
    deployments: tuple[ServiceDeployment, ...]
    requests: Series | None
    cpu: Series | None
    period: timedelta = timedelta(minutes=1)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """The verdict, and the facts that it rests on."""

    root_cause: RootCause
    new_revision_at_fault: bool
    confidence: Confidence
    evidence: tuple[EvidenceItem, ...]


@dataclass(frozen=True)
class Rule:
    """One cause: its name, and the check that concludes it or says nothing."""

    name: str
    check: Callable[[Evidence], Diagnosis | None]


def diagnose(evidence: Evidence) -> Diagnosis:
    """The first rule that concludes decides. Missing sources lower the confidence by one."""
    found = next((d for rule in RULES if (d := rule.check(evidence))), None) or _unknown(evidence)
    gaps = tuple(_item("Evidence", f"not available: {gap}") for gap in evidence.missing)
    confidence = _lower(found.confidence) if evidence.missing else found.confidence
    return Diagnosis(found.root_cause, found.new_revision_at_fault, confidence, found.evidence + gaps)


def traffic_growth(evidence: Evidence) -> float | None:
    """Requests since the onset divided by requests before it (medians); None where either is too thin."""
    if evidence.requests is None or evidence.onset is None:
        return None
    before = [value for t, value in evidence.requests.points if t < evidence.onset]
    since = [value for t, value in evidence.requests.points if t >= evidence.onset]
    if len(before) < MIN_BASELINE or not since or not median(before):
        return None
    return median(since) / median(before)


def new_deployment(evidence: Evidence) -> ServiceDeployment | None:
    """The last deployment, if it began shortly before the trouble did and there was a revision before it."""
    if evidence.onset is None or len(evidence.deployments) < 2:
        return None
    begin, end = evidence.onset - LOOKBACK, evidence.onset + evidence.period
    recent = [d for d in evidence.deployments if begin <= d.created_at < end]
    return max(recent, key=lambda d: d.created_at, default=None)


def _bad_deployment(evidence: Evidence) -> Diagnosis | None:
    growth, deployment = traffic_growth(evidence), new_deployment(evidence)
    if deployment is None or growth is None or growth >= SURGE_RATIO or evidence.onset is None:
        return None
    after = max(timedelta(), evidence.onset - deployment.created_at)
    items = (
        _item(
            "ListServiceDeployments",
            f"{deployment.target_service_revision_arn.rsplit('/', 1)[-1]} was deployed {int(after.total_seconds())} s"
            f" before the first errors ({deployment.status})",
        ),
        _item("GetMetricData", f"traffic did not grow: {format_decimal(growth)} of the level before"),
    )
    return Diagnosis(RootCause.BAD_DEPLOYMENT, True, Confidence.HIGH, items)


def _traffic_surge(evidence: Evidence) -> Diagnosis | None:
    growth = traffic_growth(evidence)
    if growth is None or growth < SURGE_RATIO or new_deployment(evidence) is not None or evidence.onset is None:
        return None
    items = [_item("GetMetricData", f"requests grew to {format_decimal(growth)} of the level before")]
    busy = [value for t, value in evidence.cpu.points if t >= evidence.onset] if evidence.cpu else []
    if busy and median(busy) < BUSY_CPU:
        return None  # More traffic, idle tasks: something else fails the requests.
    if busy:
        items.append(_item("GetMetricData", f"CPU is at {format_decimal(median(busy))} % (median since the onset)"))
    if evidence.deployments:
        items.append(_item("ListServiceDeployments", "no new revision in the 30 minutes before"))
    return Diagnosis(RootCause.TRAFFIC_SURGE, False, Confidence.HIGH if busy else Confidence.MEDIUM, tuple(items))


RULES = (
    Rule("a new revision, and traffic as before", _bad_deployment),
    Rule("more traffic, busy tasks, and no new revision", _traffic_surge),
)


def _unknown(evidence: Evidence) -> Diagnosis:
    growth, deployment = traffic_growth(evidence), new_deployment(evidence)
    items = [
        _item("GetMetricData", "traffic before and since could not be compared")
        if growth is None
        else _item("GetMetricData", f"requests are at {format_decimal(growth)} of the level before")
    ]
    if deployment:
        items.append(_item("ListServiceDeployments", f"a new revision was deployed too: {deployment.arn}"))
    if evidence.onset is None:
        items.append(_item("GetMetricData", "no period with errors was found in the last 30 minutes"))
    return Diagnosis(RootCause.UNKNOWN, False, Confidence.LOW, tuple(items))


def _item(source: str, fact: str) -> EvidenceItem:
    return EvidenceItem(source=source, fact=bounded(fact))


def _lower(confidence: Confidence) -> Confidence:
    return Confidence.MEDIUM if confidence is Confidence.HIGH else Confidence.LOW
