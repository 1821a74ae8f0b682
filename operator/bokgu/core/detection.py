"""Detection: datapoints to the state of a condition, and a firing condition to a finding.

The m-of-n evaluation is CloudWatch's own ("Evaluating an alarm", Amazon CloudWatch User Guide); ratios are computed
here and not by metric math, whose answers cannot be paged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bokgu.api.detector import Detection, DetectorCondition, Thresholds
from bokgu.api.fields import bounded, format_decimal, parse_duration
from bokgu.api.incident import IncidentMetric
from bokgu.api.observed import Series
from bokgu.api.vocabulary import Comparison, DetectionState, MissingData, Severity
from bokgu.core.finding import Finding
from bokgu.core.watch import Watch

SEVERITIES = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM)
Points = tuple[tuple[datetime, float | None], ...]
"""One entry a period, oldest first; None where the period says nothing."""
SeriesByName = Mapping[str, Series]
"""What was fetched, by the name of the query. A query that CloudWatch did not answer is not in it."""


@dataclass(frozen=True)
class Reading:
    """What a condition says now. `severity` is None while it only has not been clear for long enough.

    `begun` is when that began by which it fires, where that was seen: the first of the periods that pass.
    """

    state: DetectionState
    severity: Severity | None = None
    value: float | None = None
    message: str = ""
    begun: datetime | None = None


def measure_condition(
    watch: Watch, condition: DetectorCondition, series: SeriesByName, start: datetime, end: datetime
) -> Points:
    """The condition's value in each whole period of [start, end), oldest first.

    A ratio's numerator is 0 only where its denominator has a datapoint: load balancers publish error counts only when
    there are errors, and nothing at all without traffic. A denominator that is missing, or too small, says nothing.
    With `includeNumerator` one of the two is enough: in a total outage only the load balancer's own errors remain.
    """
    period = int(watch.period(condition).total_seconds())
    first = -(-int(start.timestamp()) // period) * period
    moments = [datetime.fromtimestamp(t, UTC) for t in range(first, int(end.timestamp()) - period + 1, period)]
    if condition.ratio is None:
        values = _values(series, condition.query)
        return tuple((t, values.get(t)) for t in moments)
    ratio = condition.ratio
    if ratio.numerator not in series or ratio.denominator not in series:
        return tuple((t, None) for t in moments)  # A query without an answer is no query without datapoints.
    parts, wholes = _values(series, ratio.numerator), _values(series, ratio.denominator)
    least = float(ratio.min_denominator)
    points: list[tuple[datetime, float | None]] = []
    for t in moments:
        part, whole = parts.get(t), wholes.get(t)
        if ratio.include_numerator and part is not None:
            whole = (whole or 0.0) + part
        says = whole is not None and whole > 0 and whole >= least
        points.append((t, (part or 0.0) / whole if says and whole else None))
    return tuple(points)


def measure_volume(condition: DetectorCondition, series: SeriesByName) -> tuple[Mapping[datetime, float], float]:
    """How much there was in each period to tell anything by, and the least sum that says something; 0 where any does:
    the condition's volume of all requests, not that of its errors."""
    errors = condition.ratio.numerator if condition.ratio else None
    volume = next((v for v in condition.min_volumes if v.query != errors), None)
    return (_values(series, volume.query), float(volume.sum)) if volume else ({}, 0.0)


def join_halves(points: Points, other: Points) -> Points:
    """The values of a blue/green pair as those of one: the greater one of each period that has any. It is the worse one
    of error rates, and of healthy targets the one of the half in use."""
    second = dict(other)
    return tuple((t, max((v for v in (value, second.get(t)) if v is not None), default=None)) for t, value in points)


def _values(series: SeriesByName, name: str | None) -> Mapping[datetime, float]:
    return series[name].by_moment if name is not None and name in series else {}


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


def m_of_n(condition: DetectorCondition, severity: Severity) -> tuple[int, int]:
    """How many of how many periods must pass the threshold of that severity."""
    found = condition.critical_evaluation if severity is Severity.CRITICAL else None
    return (
        (found.datapoints_to_alarm, found.evaluation_periods)
        if found
        else (condition.datapoints_to_alarm, condition.evaluation_periods)
    )


def evaluate_watch(
    watch: Watch,
    series: SeriesByName,
    *,
    firing: frozenset[str],
    now: datetime,
    errors: Mapping[str, Exception] | None = None,
) -> dict[str, Reading]:
    """What every condition of the watch says, by its name; `firing` names those that fired before.

    The halves of a blue/green pair are judged together: the one that takes no traffic is idle, not broken.
    """
    readings = {
        c.name: evaluate_condition(watch, c, series, was_firing=c.name in firing, now=now, errors=errors)
        for c in watch.conditions
    }
    conditions = {c.name: c for c in watch.conditions}
    idle = {
        name
        for name, other in watch.halves.items()
        if readings[name].state is DetectionState.FIRING
        and _is_idle(watch, conditions[name], conditions[other], readings[other], series=series, now=now)
    }
    rest = Reading(DetectionState.CLEAR, None, None, "the other half of the pair takes the traffic")
    return readings | dict.fromkeys(idle, rest)


def _is_idle(
    watch: Watch,
    half: DetectorCondition,
    other: DetectorCondition,
    reading: Reading,
    *,
    series: SeriesByName,
    now: datetime,
) -> bool:
    """Whether the other half of the pair is the one in use: it alone has healthy targets, or any datapoints."""
    if half.comparison.startswith("Less"):
        return reading.state is DetectionState.CLEAR
    end = now - watch.settle
    start = end - parse_duration(half.clear_after) - watch.period(half)
    return not _has_data(watch, half, series, start, end) and _has_data(watch, other, series, start, end)


def _has_data(watch: Watch, condition: DetectorCondition, series: SeriesByName, start: datetime, end: datetime) -> bool:
    return any(value is not None for _, value in measure_condition(watch, condition, series, start, end))


def evaluate_condition(
    watch: Watch,
    condition: DetectorCondition,
    series: SeriesByName,
    *,
    was_firing: bool,
    now: datetime,
    errors: Mapping[str, Exception] | None = None,
) -> Reading:
    """Decide what the condition says of the periods that have settled.

    It fires when `datapointsToAlarm` of the last `evaluationPeriods` pass a threshold, with the highest severity for
    which that holds, and enough happened in them. Once firing it is clear again only after `clearAfter` on the right
    side of the clear threshold, with data: silence clears nothing. A query with an error in `errors` is unknown.
    """
    problem = _find_problem(condition, errors or {})
    if problem:
        return Reading(DetectionState.FIRING if was_firing else DetectionState.UNKNOWN, None, None, problem)
    end = now - watch.settle
    points = _latest(watch, condition, series, condition.evaluation_periods, end)
    known = [value for _, value in points if value is not None]
    latest = known[-1] if known else None
    severity = _breached(watch, condition, series, end)
    thin = _too_little(watch, condition, series, end) if severity else None
    if severity and thin is None:
        passed = _find_breaches(watch, condition, series, severity, end)
        begun, latest = (passed[0][0], passed[-1][1]) if passed else (None, None)
        return Reading(DetectionState.FIRING, severity, latest, begun=begun)
    if was_firing and not _is_calm(watch, condition, series, end):
        return Reading(DetectionState.FIRING, None, latest)
    if thin:
        return Reading(DetectionState.UNKNOWN, None, latest, thin)
    if not known and condition.treat_missing_data is not MissingData.NOT_BREACHING:
        return Reading(DetectionState.UNKNOWN, None, None, "no datapoints in the periods looked at")
    return Reading(DetectionState.CLEAR, None, latest)


def _find_problem(condition: DetectorCondition, errors: Mapping[str, Exception]) -> str | None:
    """Why one of the condition's queries has no answer, or None."""
    ratio = condition.ratio
    names = (ratio.numerator, ratio.denominator) if ratio else (condition.query or "",)
    volumes = (volume.query for volume in condition.min_volumes)
    return next((str(errors[name]) for name in (*names, *volumes) if name in errors), None)


def _latest(watch: Watch, condition: DetectorCondition, series: SeriesByName, periods: int, end: datetime) -> Points:
    """The last whole periods before `end`."""
    span = (periods + 1) * watch.period(condition)
    return measure_condition(watch, condition, series, end - span, end)[-periods:]


def _breached(watch: Watch, condition: DetectorCondition, series: SeriesByName, end: datetime) -> Severity | None:
    """The highest severity whose threshold m of the last n periods pass."""
    for severity in SEVERITIES:
        threshold = threshold_of(condition.thresholds, severity)
        if threshold is None:
            continue
        datapoints, periods = m_of_n(condition, severity)
        points = _latest(watch, condition, series, periods, end)
        known = [value for _, value in points if value is not None]
        missing = len(points) - len(known) if condition.treat_missing_data is MissingData.BREACHING else 0
        if missing + sum(breaches(condition, value, threshold) for value in known) >= datapoints:
            return severity
    return None


def _find_breaches(
    watch: Watch, condition: DetectorCondition, series: SeriesByName, severity: Severity, end: datetime
) -> list[tuple[datetime, float]]:
    """The periods that pass the threshold of that severity; none where missing data is what is wrong."""
    threshold = threshold_of(condition.thresholds, severity) or lowest_threshold(condition.thresholds)
    _, periods = m_of_n(condition, severity)
    points = _latest(watch, condition, series, periods, end)
    return [(t, value) for t, value in points if value is not None and breaches(condition, value, threshold)]


def _too_little(watch: Watch, condition: DetectorCondition, series: SeriesByName, end: datetime) -> str | None:
    """What there was too little of to call it trouble, or None."""
    period = watch.period(condition).total_seconds()
    stop = end.timestamp() // period * period
    start = stop - condition.evaluation_periods * period
    for volume in condition.min_volumes:
        found = sum(value for t, value in _values(series, volume.query).items() if start <= t.timestamp() < stop)
        if found < float(volume.sum):
            return f"{format_decimal(found)} {volume.query} are too few to tell: {volume.sum} are needed"
    return None


def _is_calm(watch: Watch, condition: DetectorCondition, series: SeriesByName, end: datetime) -> bool:
    """Whether the value has been good for `clearAfter`, with as many datapoints as it takes to fire."""
    period = watch.period(condition)
    wanted = -(-parse_duration(condition.clear_after) // period)
    wanted = max(1, wanted) + (1 if end.timestamp() % period.total_seconds() else 0)
    points = _latest(watch, condition, series, wanted, end)
    values = [value for _, value in points if value is not None]
    gaps = len(points) - len(values)
    if condition.treat_missing_data is MissingData.BREACHING and gaps:
        return False
    if condition.treat_missing_data is not MissingData.NOT_BREACHING and len(values) < min(
        condition.datapoints_to_alarm, len(points)
    ):
        return False
    limit = condition.clear_threshold or lowest_threshold(condition.thresholds)
    return bool(points) and not any(breaches(condition, value, limit) for value in values)


CLOCKS_APART = timedelta(minutes=5)
"""How far the clocks of operators that AWS answers can be apart: it takes signatures within 5 minutes (AWS Signature
Version 4, "Request timestamps")."""


def is_overtaken(old: Detection | None, now: datetime) -> bool:
    """Whether what is said already was seen after a look that began `now`, which then says nothing: looks overtake each
    other, and clocks differ. A time that is further ahead than clocks can be was written by a wrong one."""
    return old is not None and now < old.since <= now + CLOCKS_APART


def update_detection(old: Detection | None, condition: str, reading: Reading, now: datetime) -> Detection:
    """The status entry of a condition. It equals the old one unless state or severity changed, or why nothing is wrong:
    values alone are not worth a write."""
    if old and is_overtaken(old, now):
        return old
    severity = reading.severity
    if reading.state is DetectionState.FIRING and old and old.severity:
        severity = max((s for s in (old.severity, severity) if s), key=lambda s: s.rank)
    same = old if old and old.state is reading.state and old.since <= now else None
    same_reason = reading.state is not DetectionState.CLEAR or (same and same.message == bounded(reading.message))
    if same and same.severity is severity and same_reason:
        return same
    return Detection(
        condition=condition,
        state=reading.state,
        since=same.since if same else now,
        severity=severity,
        value=None if reading.value is None else format_decimal(reading.value),
        incident=old.incident if old else None,
        message=bounded(reading.message),
    )


def describe_breach(
    watch: Watch, condition: DetectorCondition, reading: Reading, *, resource: str, now: datetime
) -> Finding:
    """The finding of a firing condition. `resource` is the ARN or name of the ECS service."""
    if reading.severity is None:
        raise ValueError("only a firing condition with a severity is a finding")
    threshold = threshold_of(condition.thresholds, reading.severity) or lowest_threshold(condition.thresholds)
    value = format_decimal(reading.value) if reading.value is not None else None
    datapoints, periods = m_of_n(condition, reading.severity)
    return Finding(
        namespace=watch.namespace,
        service=watch.service,
        type=condition.type,
        severity=reading.severity,
        source=watch.source(condition.name),
        description=f"{condition.name} is {value or 'missing'} on {watch.service}; the threshold of"
        f" {reading.severity} is {threshold} ({datapoints} of {periods} periods)",
        at=now,
        metrics=(IncidentMetric(name=condition.name, value=value, threshold=threshold),) if value else (),
        resources=(resource,),
        begun=reading.begun,
    )


def find_onset(condition: DetectorCondition, points: Points, seen_at: datetime | None = None) -> datetime | None:
    """When the trouble that was seen then, or is there now, began: the first of the unbroken run of breaching periods
    that ends last. A period without trouble that came later than it was seen is no new begin of it.

    None where that run is all that is known: it began before the first point, nobody can say when. What was seen
    before any of the points, as where clocks differ, is sought among all of them.
    """
    low = lowest_threshold(condition.thresholds)
    known = [(t, value) for t, value in points if value is not None]
    bad = [breaches(condition, value, low) for _, value in known]
    by_then = sum(seen_at is None or t <= seen_at for t, _ in known)
    if True in bad[:by_then]:
        known, bad = known[:by_then], bad[:by_then]
    if True not in bad:
        return None
    last = len(bad) - 1 - bad[::-1].index(True)
    starts = [i + 1 for i, (a, b) in enumerate(pairwise(bad[: last + 1])) if not a and b]
    return known[starts[-1]][0] if starts else None
