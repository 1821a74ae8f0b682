"""What alarms and alerts say about a service, and what of it is news.

They come at least once and in any order, so each statement carries since when it holds; what an alarm or alert said
last stands in the incidents it spoke about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from bokgu.api.incident import Incident, IncidentSource, Report
from bokgu.api.vocabulary import DetectionState
from bokgu.core.finding import Finding
from bokgu.core.lifecycle import is_over

MAX_REPORTS = 16
"""Reports that an incident keeps (api/incident.py)."""
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Statement:
    """One alarm or alert says that the trouble is there (Firing) or gone (Clear), or that it knows no more (Unknown),
    since `finding.at`.

    `repeats`: whether it says so again and again while it lasts, as Alertmanager does; CloudWatch speaks once, so what
    is heard twice from it was delivered twice.
    """

    finding: Finding
    state: DetectionState
    repeats: bool = False

    @property
    def source(self) -> IncidentSource:
        """Who says it."""
        return self.finding.source

    @property
    def firing(self) -> bool:
        """Whether it says that the trouble is there."""
        return self.state is DetectionState.FIRING


def speaks_in(incident: Incident, source: IncidentSource) -> bool:
    """Whether that alarm or alert opened the incident or has reported to it."""
    return incident.spec.source == source or any(r.source == source for r in incident.status.reports)


def find_last_word(incidents: Iterable[Incident], source: IncidentSource) -> Report | None:
    """What that alarm or alert said last, by what the incidents show, also those that are over."""
    words: list[Report] = []
    for incident in incidents:
        words += [report for report in incident.status.reports if report.source == source]
        opened_at = incident.spec.detected_at or incident.metadata.creation_timestamp
        if incident.spec.source == source and opened_at is not None:
            words.append(Report(source=source, state=DetectionState.FIRING, at=opened_at))
    return max(words, key=lambda word: (word.at, word.state is DetectionState.CLEAR), default=None)


def is_news(statement: Statement, last: Report | None) -> bool:
    """Whether it is later than what was said last, which stands at whole seconds where it was stored.

    Within one second a Clear after a Firing is news and the opposite is not: a Firing is likelier to be delivered twice
    than to come back within a second. That somebody knows no more is news only of trouble.
    """
    if statement.state is DetectionState.UNKNOWN and (last is None or last.state is not DetectionState.FIRING):
        return False
    if last is None:
        return True
    at = statement.finding.at if last.at.microsecond else statement.finding.at.replace(microsecond=0)
    if at == last.at:
        return statement.state is DetectionState.CLEAR and last.state is DetectionState.FIRING
    return at > last.at


def still_lasts(statement: Statement, last: Report | None, incidents: Iterable[Incident]) -> bool:
    """Whether a repeated Firing tells that the trouble outlived its incident: all of its type are over, or removed, and
    its source never said that it is clear."""
    if not statement.repeats or not statement.firing or (last and last.state is not DetectionState.FIRING):
        return False
    return all(is_over(i) for i in incidents if i.spec.type is statement.finding.type)


def build_report(incident: Incident, statement: Statement) -> Report | None:
    """What the incident is to remember of the statement; None where its spec says so already."""
    begun, at = incident.spec.detected_at, statement.finding.at.replace(microsecond=0)
    if statement.firing and incident.spec.source == statement.source and begun is not None and at <= begun:
        return None
    if not statement.firing and begun is not None and at <= begun:
        at = begun + SECOND  # Times are kept at whole seconds; a Clear must not seem to come from before the incident.
    return Report(source=statement.source, state=statement.state, at=at)


def place_report(reports: tuple[Report, ...], report: Report) -> tuple[Report, ...]:
    """The reports with that one in the place of what its source said before. Where there are too many, the oldest goes
    that is clear, else the oldest."""
    others = [r for r in reports if r.source != report.source]
    if len(others) >= MAX_REPORTS:
        others.remove(min(others, key=lambda r: (r.state is DetectionState.FIRING, r.at)))
    return (*others, report)
