"""Which metrics a report shows, over which time, and what CloudWatch's answers say of them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil, isfinite

from bokgu.api.detector import Detector, DetectorCondition
from bokgu.api.fields import format_duration
from bokgu.api.incident import Incident
from bokgu.api.observed import AwsError, LogMetric, Series
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import SourceKind
from bokgu.core.detection import find_onset, lowest_threshold, measure_condition, threshold_of
from bokgu.core.evidence_metrics import LEAK_PERIOD, choose_sources
from bokgu.core.presets import build_watch
from bokgu.core.watch import Source, Watch, watch_of

MARGIN = 30
"""Minutes that are shown before and after, at least: a level before the trouble takes long to tell."""
LONGEST_MARGIN = 6 * 60
"""The same at most."""
HIGHEST = 1e25
"""Nothing that is measured is higher; beyond it arithmetic fails."""
MOST_PLOTS = 16
"""A blue/green pair has 12."""

_KEPT = ((3 * 60, 0), (15 * 24 * 60, 1), (63 * 24 * 60, 5), (455 * 24 * 60, 60))
"""(age, period) in minutes: datapoints of that age are there in periods of that length and its multiples only
(API_MetricStat, Period). Older ones are gone."""

_UNITS = {
    "CPUUtilization": "%",
    "MemoryUtilization": "%",
    "EBSFilesystemUtilization": "%",
    "EphemeralStorageUtilized": "GB",
    "EphemeralStorageReserved": "GB",
    "TargetResponseTime": "s",
    "HealthyHostCount": "targets",
    "UnHealthyHostCount": "targets",
    "ApproximateAgeOfOldestMessage": "s",
    "ApproximateNumberOfMessagesVisible": "messages",
    "5XXError": "",
}
"""Units that AWS documents for the metrics that are evidence; GetMetricData does not say them."""

_ADDS_UP = frozenset({"Sum", "SampleCount"})


@dataclass(frozen=True)
class Window:
    """The time that is shown."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Plot:
    """One curve. `unit` is that of its values, empty where they have none; `about` says what is measured. Without
    points `problem` says why."""

    name: str
    about: str
    unit: str
    period: timedelta
    points: tuple[tuple[datetime, float], ...] = ()
    threshold: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Measured:
    """The curves of a report, those of the trouble first, over one time for all. `silent` names metrics without
    datapoints; `began_at` is when the trouble began, where the curves tell. `other_role` is the IAM role that the
    operator reads them as, where it has one: in another account they are others."""

    window: Window
    plots: tuple[Plot, ...] = ()
    silent: tuple[str, ...] = ()
    began_at: datetime | None = None
    problem: str = ""
    other_role: str | None = None

    @property
    def caution(self) -> str:
        """What may be wrong with the curves, empty where nothing may."""
        if self.other_role is None:
            return ""
        return f"read with the credentials of whoever made this report; the operator reads them as {self.other_role}"


@dataclass(frozen=True)
class Inquiry:
    """What is asked of CloudWatch. `condition` is the one by which the incident was detected, where it is known."""

    window: Window
    sources: tuple[Source, ...]
    watch: Watch | None
    condition: DetectorCondition | None
    asked_as: Mapping[str, Source]


def choose_window(begun: datetime, ended: datetime | None, now: datetime, minute: timedelta) -> Window:
    """The incident, with half of its length before it and after it."""
    end = min(ended or now, now)
    margin = min(max((end - begun) / 2, MARGIN * minute), LONGEST_MARGIN * minute)
    return Window((begun - margin).replace(microsecond=0), min(end + margin, now).replace(microsecond=0))


def build_inquiry(
    incident: Incident | None,
    protected: ProtectedService,
    detector: Detector | None,
    window: Window,
    *,
    now: datetime,
    minute: timedelta,
) -> Inquiry | None:
    """What to ask for; None where CloudWatch has forgotten all of it."""
    least = finest_period(now - window.since, minute)
    if least is None:
        return None
    watch = _find_watch(protected, detector)
    source = incident.spec.source if incident else None
    measured = source is not None and source.kind in {SourceKind.DETECTOR, SourceKind.PRESET}
    known = watch.conditions if watch and measured else ()
    condition = next((c for c in known if source and c.name == source.condition), None)
    chosen = choose_sources(protected, watch, condition, detected_at=window.since, now=now, minute=minute)
    leak = int((LEAK_PERIOD * minute).total_seconds())
    finer = {source[:-1] for source in chosen if source.period < leak}
    # Memory is asked for twice: for a leak in longer periods, which say nothing more here.
    kept = [source for source in chosen if not (source.period == leak and source[:-1] in finer)]
    asked_as = {name: _coarsen(source, least) for name, source in watch.sources.items()} if watch else {}
    return Inquiry(window, tuple(dict.fromkeys(_coarsen(s, least) for s in kept)), watch, condition, asked_as)


def _find_watch(protected: ProtectedService, detector: Detector | None) -> Watch | None:
    """That of the Detector, else that of the presets."""
    if detector is not None:
        return watch_of(detector)
    try:
        return build_watch(protected, protected.status.service.target_groups if protected.status.service else ())
    except ValueError:  # Its condition `Ready` says so.
        return None


def finest_period(age: timedelta, minute: timedelta) -> timedelta | None:
    """The shortest period in which datapoints of that age are still there, zero for any; None where none are."""
    return next((period * minute for limit, period in _KEPT if age <= limit * minute), None)


def _coarsen(source: Source, least: timedelta) -> Source:
    """The same in periods that are still there. Log lines are counted anew, in any period."""
    seconds = int(least.total_seconds())
    if isinstance(source, LogMetric) or not seconds:
        return source
    return source._replace(period=ceil(source.period / seconds) * seconds)


def build_plots(inquiry: Inquiry, incident: Incident | None, answers: Mapping[Source, Series | AwsError]) -> Measured:
    """The curves that the answers make."""
    window = inquiry.window
    problems = {str(answer) for answer in answers.values() if isinstance(answer, AwsError)}
    if answers and len(problems) == 1 and not any(isinstance(answer, Series) for answer in answers.values()):
        return Measured(window, problem=problems.pop())
    plots, began_at = list[Plot](), None
    if inquiry.condition is not None and inquiry.watch is not None:
        trouble, began_at = _plot_condition(inquiry, inquiry.watch, inquiry.condition, incident, answers)
        plots.append(trouble)
    silent: list[str] = []
    for source in inquiry.sources:
        answer = answers.get(source)
        if isinstance(answer, AwsError):
            plots.append(replace(_plot_source(source, ()), problem=str(answer)))
        elif answer is None or not answer.points:
            silent.append(_name(source))
        else:
            plots.append(_plot_source(source, answer.points))
    return Measured(window, tuple(plots[:MOST_PLOTS]), tuple(dict.fromkeys(silent)), began_at)


def _plot_condition(
    inquiry: Inquiry,
    watch: Watch,
    condition: DetectorCondition,
    incident: Incident | None,
    answers: Mapping[Source, Series | AwsError],
) -> tuple[Plot, datetime | None]:
    """The curve of the trouble itself, and when it began."""
    needed = _queries(condition)
    series, errors = dict[str, Series](), list[str]()
    for name in needed:
        answer = answers.get(inquiry.asked_as[name]) if name in inquiry.asked_as else None
        if isinstance(answer, Series):
            series[name] = answer
        elif isinstance(answer, AwsError):
            errors.append(str(answer))
    asked = tuple(
        query.model_copy(update={"period": format_duration(timedelta(seconds=inquiry.asked_as[query.name].period))})
        for query in watch.queries
    )
    coarse = replace(watch, queries=asked)
    period, usual = coarse.period(condition), watch.period(condition)
    points = measure_condition(coarse, condition, series, inquiry.window.since, inquiry.window.until)
    unit, severity = "", incident.spec.severity if incident else None
    metric = next((m for m in incident.spec.metrics if m.name == condition.name), None) if incident else None
    if metric is not None:
        threshold, unit = metric.threshold, "" if metric.unit == "None" else metric.unit
    else:
        threshold = (severity and threshold_of(condition.thresholds, severity)) or lowest_threshold(
            condition.thresholds
        )
    ratio = condition.ratio
    # A sum of a longer period is greater: the threshold is not one for it.
    comparable = ratio is not None or period == usual or not _adds_up(inquiry.asked_as[needed[0]])
    about = f"{ratio.numerator} / {ratio.denominator}" if ratio else _describe(inquiry.asked_as[needed[0]])
    detected = incident.spec.detected_at if incident else None
    plot = Plot(
        condition.name,
        f"{about}, in periods of {format_duration(period)}; what {watch.name} watches",
        unit,
        period,
        _finite(points),
        float(threshold) if comparable else None,
        "; ".join(dict.fromkeys(errors)),
    )
    if not plot.points and not plot.problem:
        plot = replace(plot, problem="CloudWatch has no datapoints of it, or not for these credentials")
    return plot, find_onset(condition, points, detected) if comparable else None


def _queries(condition: DetectorCondition) -> tuple[str, ...]:
    return (condition.ratio.numerator, condition.ratio.denominator) if condition.ratio else (condition.query or "",)


def _plot_source(source: Source, points: Iterable[tuple[datetime, float | None]]) -> Plot:
    period = timedelta(seconds=source.period)
    if isinstance(source, LogMetric):
        unit = f"lines in {format_duration(period)}"
    elif source.stat in _ADDS_UP:
        unit = f"in {format_duration(period)}"
    else:
        unit = _UNITS.get(source.name, "")
    return Plot(_name(source), _describe(source), unit, period, _finite(points))


def _name(source: Source) -> str:
    return f"log {source.log_group}" if isinstance(source, LogMetric) else f"{source.name} ({source.stat})"


def _describe(source: Source) -> str:
    if isinstance(source, LogMetric):
        return f"lines of {source.log_group} that match {source.pattern}"
    named = ", ".join(f"{name} {value}" for name, value in source.dimensions)
    return f"{source.namespace} {source.name}, {source.stat}{f', of {named}' if named else ''}"


def _adds_up(source: Source) -> bool:
    return isinstance(source, LogMetric) or source.stat in _ADDS_UP


def _finite(points: Iterable[tuple[datetime, float | None]]) -> tuple[tuple[datetime, float], ...]:
    return tuple((at, max(-HIGHEST, min(HIGHEST, v))) for at, v in points if v is not None and isfinite(v))


def describe_course(plot: Plot, begun: datetime, ended: datetime | None) -> str:
    """The curve in words: its levels before, during and after the incident."""
    parts = {
        "before": [v for at, v in plot.points if at + plot.period <= begun],
        "during": [v for at, v in plot.points if at + plot.period > begun and (ended is None or at <= ended)],
        "after": [v for at, v in plot.points if ended is not None and at > ended],
    }
    unit = f" {plot.unit}" if plot.unit else ""
    said = [f"{name} {_levels(values)}{unit}" for name, values in parts.items() if values]
    limit = f"; threshold {plot.threshold:.4g}{unit}" if plot.threshold is not None else ""
    return "; ".join(said) + limit


def _levels(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
