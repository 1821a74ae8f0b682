"""Detection: datapoints to a detector's state, and a firing state to an Incident.

The m-of-n evaluation is CloudWatch's own ("Evaluating an alarm", Amazon CloudWatch User Guide); ratios are computed
here and not by metric math, whose answers cannot be paged.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bokgu.api.detector import Detection, Detector, DetectorCondition, Thresholds
from bokgu.api.fields import format_decimal, parse_duration
from bokgu.api.incident import Incident, IncidentMetric, IncidentSource, IncidentSpec
from bokgu.api.meta import NameReference, ObjectMeta
from bokgu.api.observed import Series
from bokgu.api.vocabulary import Comparison, DetectionState, IncidentType, MissingData, Severity, SourceKind

SEVERITIES = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM)
Points = tuple[tuple[datetime, float | None], ...]
"""One entry a period, oldest first; None where the period says nothing."""


@dataclass(frozen=True)
class Reading:
    """What a condition says of the latest settled periods."""

    state: DetectionState
    severity: Severity | None
    value: float | None


def condition_period(detector: Detector, condition: DetectorCondition) -> timedelta:
    """Length of the condition's datapoints."""
    name = condition.ratio.denominator if condition.ratio else condition.query
    return parse_duration(next(q.period for q in detector.spec.queries if q.name == name))


def lookback(detector: Detector) -> timedelta:
    """How far back the detector needs datapoints to evaluate all its conditions."""
    return parse_duration(detector.spec.settle) + max(
        max(c.evaluation_periods * condition_period(detector, c), parse_duration(c.clear_after))
        + 2 * condition_period(detector, c)
        for c in detector.spec.conditions
    )


def measure_condition(
    detector: Detector, condition: DetectorCondition, series: Mapping[str, Series], start: datetime, end: datetime
) -> Points:
    """The condition's value in each whole period of [start, end), oldest first.

    A ratio's numerator is 0 only where its denominator has a datapoint: load balancers publish error counts only when
    there are errors, and nothing at all without traffic. A denominator that is missing, or too small, says nothing.
    """
    period = int(condition_period(detector, condition).total_seconds())
    first = -(-int(start.timestamp()) // period) * period
    moments = [datetime.fromtimestamp(t, UTC) for t in range(first, int(end.timestamp()) - period + 1, period)]
    if condition.ratio is None:
        values = dict(series[condition.query].points) if condition.query and condition.query in series else {}
        return tuple((t, values.get(t)) for t in moments)
    parts = dict(series[condition.ratio.numerator].points) if condition.ratio.numerator in series else {}
    wholes = dict(series[condition.ratio.denominator].points) if condition.ratio.denominator in series else {}
    least = float(condition.ratio.min_denominator)
    return tuple(
        (t, parts.get(t, 0.0) / wholes[t] if t in wholes and wholes[t] > 0 and wholes[t] >= least else None)
        for t in moments
    )


def breaches(condition: DetectorCondition, value: float, threshold: str) -> bool:
    """Whether the value is on the wrong side of the threshold."""
    limit = float(threshold)
    match condition.comparison:
        case Comparison.GREATER_THAN:
            return value > limit
        case Comparison.GREATER_THAN_OR_EQUAL:
            return value >= limit
        case Comparison.LESS_THAN:
            return value < limit
        case Comparison.LESS_THAN_OR_EQUAL:
            return value <= limit


def lowest_threshold(thresholds: Thresholds) -> str:
    """The threshold of the least severe incident: on its right side nothing is wrong."""
    found = thresholds.medium or thresholds.high or thresholds.critical
    if found is None:
        raise ValueError("a condition without thresholds: the schema of Detector forbids it")
    return found


def threshold_of(thresholds: Thresholds, severity: Severity) -> str | None:
    """The threshold of that severity, if the condition has one."""
    return {
        Severity.CRITICAL: thresholds.critical,
        Severity.HIGH: thresholds.high,
        Severity.MEDIUM: thresholds.medium,
    }.get(severity)


def evaluate_condition(
    detector: Detector,
    condition: DetectorCondition,
    series: Mapping[str, Series],
    *,
    was_firing: bool,
    now: datetime,
) -> Reading:
    """Decide what the condition says of the periods that have settled.

    It fires when `datapointsToAlarm` of the last `evaluationPeriods` pass a threshold, with the highest severity for
    which that holds. Once firing it is clear again only after `clearAfter` without a breach, with data: silence clears
    nothing.
    """
    period = condition_period(detector, condition)
    end = now - parse_duration(detector.spec.settle)
    points = measure_condition(detector, condition, series, end - condition.evaluation_periods * period - period, end)[
        -condition.evaluation_periods :
    ]
    known = [value for _, value in points if value is not None]
    missing = len(points) - len(known) if condition.treat_missing_data is MissingData.BREACHING else 0
    latest = known[-1] if known else None
    for severity in SEVERITIES:
        threshold = threshold_of(condition.thresholds, severity)
        if threshold is None:
            continue
        bad = missing + sum(breaches(condition, value, threshold) for value in known)
        if bad >= condition.datapoints_to_alarm:
            return Reading(DetectionState.FIRING, severity, latest)
    if was_firing:
        wanted = -(-parse_duration(condition.clear_after) // period)
        wanted = max(1, wanted) + (1 if end.timestamp() % period.total_seconds() else 0)
        calm = measure_condition(detector, condition, series, end - (wanted + 1) * period, end)[-wanted:]
        values = [value for _, value in calm if value is not None]
        silent_is_fine = condition.treat_missing_data is MissingData.NOT_BREACHING
        enough = silent_is_fine or len(values) >= min(condition.datapoints_to_alarm, len(calm))
        low = lowest_threshold(condition.thresholds)
        loud = condition.treat_missing_data is MissingData.BREACHING and len(values) < len(calm)
        if not calm or not enough or loud or any(breaches(condition, value, low) for value in values):
            return Reading(DetectionState.FIRING, None, latest)
    if not known and condition.treat_missing_data is not MissingData.NOT_BREACHING:
        return Reading(DetectionState.UNKNOWN, None, None)
    return Reading(DetectionState.CLEAR, None, latest)


def update_detection(old: Detection | None, condition: DetectorCondition, reading: Reading, now: datetime) -> Detection:
    """The status entry of a condition. It equals the old one unless state or severity changed: values alone are not
    worth a write."""
    severity = reading.severity
    if reading.state is DetectionState.FIRING and old and old.severity:
        severity = max((s for s in (old.severity, severity) if s), key=lambda s: s.rank)
    if old and old.state is reading.state and old.severity is severity:
        return old
    return Detection(
        condition=condition.name,
        state=reading.state,
        since=old.since if old and old.state is reading.state else now,
        severity=severity,
        value=None if reading.value is None else format_decimal(reading.value),
        incident=old.incident if old else None,
    )


def fingerprint(service: str, type_: IncidentType) -> str:
    """Same trouble, same fingerprint: one open incident per service and type."""
    return hashlib.sha256(f"{service}|{type_}".encode()).hexdigest()[:16]


def incident_name(service: str, type_: IncidentType, previous_uid: str) -> str:
    """Name of the incident that follows the one with that uid ("" for the first).

    Everybody who sees the same trouble at the same time computes the same name, so the API server's 409 removes the
    duplicates.
    """
    suffix = hashlib.sha256(f"{fingerprint(service, type_)}|{previous_uid}".encode()).hexdigest()[:8]
    return f"{service[:200].rstrip('-.')}-{type_.replace('_', '-')}-{suffix}"


def build_incident(
    detector: Detector,
    condition: DetectorCondition,
    reading: Reading,
    *,
    resource: str,
    previous_uid: str,
    now: datetime,
) -> Incident:
    """The Incident that a firing condition opens. `resource` is the ARN or name of the ECS service."""
    if reading.severity is None:
        raise ValueError("only a firing condition with a severity opens an incident")
    service = detector.spec.service_ref.name
    threshold = threshold_of(condition.thresholds, reading.severity) or lowest_threshold(condition.thresholds)
    value = format_decimal(reading.value) if reading.value is not None else None
    return Incident(
        kind=Incident.kind_name,
        metadata=ObjectMeta(
            name=incident_name(service, condition.type, previous_uid), namespace=detector.metadata.namespace
        ),
        spec=IncidentSpec(
            type=condition.type,
            severity=reading.severity,
            service_ref=NameReference(name=service),
            description=f"{condition.name} is {value or 'missing'} on {service}; the threshold of "
            f"{reading.severity} is {threshold} ({condition.datapoints_to_alarm} of {condition.evaluation_periods}"
            " periods)",
            metrics=(IncidentMetric(name=condition.name, value=value, threshold=threshold),) if value else (),
            affected_resources=(resource,),
            detected_at=now,
            source=IncidentSource(kind=SourceKind.DETECTOR, name=detector.metadata.name, condition=condition.name),
        ),
    )


def find_onset(condition: DetectorCondition, points: Points) -> datetime | None:
    """When the present trouble began: the first of the unbroken run of breaching periods that ends last."""
    low = lowest_threshold(condition.thresholds)
    known = [(t, value) for t, value in points if value is not None]
    bad = [breaches(condition, value, low) for _, value in known]
    if True not in bad:
        return None
    last = len(bad) - 1 - bad[::-1].index(True)
    starts = [i + 1 for i, (a, b) in enumerate(pairwise(bad[: last + 1])) if not a and b]
    return known[starts[-1] if starts else 0][0]
