from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident, IncidentSource, Report
from bokgu.api.vocabulary import DetectionState, IncidentType, Severity, SourceKind
from bokgu.core.finding import Finding
from bokgu.core.statement import (
    MAX_REPORTS,
    SECOND,
    Statement,
    build_report,
    find_last_word,
    is_news,
    place_report,
    speaks_in,
    still_lasts,
)
from tests.unit.facts import NOW

FIRING, CLEAR, UNKNOWN = DetectionState.FIRING, DetectionState.CLEAR, DetectionState.UNKNOWN
ALARM = IncidentSource(kind=SourceKind.ALARM, name="errors")
OTHER = IncidentSource(kind=SourceKind.ALERTMANAGER, name="errors", condition="b8ec9cbd2ad7b9b6")


def statement(
    state: DetectionState = FIRING, at: datetime = NOW, source: IncidentSource = ALARM, *, repeats: bool = False
) -> Statement:
    finding = Finding("shop", "api", IncidentType.SERVICE_DOWN, Severity.HIGH, source, "down", at)
    return Statement(finding, state, repeats)


def report(state: DetectionState, at: datetime, source: IncidentSource = ALARM) -> Report:
    return Report(source=source, state=state, at=at)


def incident(*reports: Report, source: IncidentSource = ALARM, phase: str = "Classified") -> Incident:
    return Incident.model_validate(
        {
            "metadata": {"name": "i", "namespace": "shop", "uid": "i", "creationTimestamp": NOW},
            "spec": {
                "type": "service_down",
                "severity": "high",
                "serviceRef": {"name": "api"},
                "detectedAt": NOW,
                "source": source,
            },
            "status": {"phase": phase, "reports": reports},
        }
    )


def test_who_opened_the_incident_has_fired_with_no_report() -> None:
    assert find_last_word([incident()], ALARM) == report(FIRING, NOW)
    assert find_last_word([incident()], OTHER) is None
    assert speaks_in(incident(), ALARM)
    assert not speaks_in(incident(), OTHER)
    assert build_report(incident(), statement()) is None


def test_the_last_word_stands_in_the_youngest_report_of_all_incidents() -> None:
    old = incident(report(CLEAR, NOW + 5 * SECOND), phase="Resolved")
    young = incident(report(FIRING, NOW + 9 * SECOND), source=OTHER)
    assert find_last_word([young, old], ALARM) == report(FIRING, NOW + 9 * SECOND)
    assert speaks_in(young, ALARM)


@pytest.mark.parametrize(
    ("state", "seconds", "last", "news"),
    [
        (CLEAR, 5, report(FIRING, NOW), True),
        (FIRING, 0, report(FIRING, NOW), False),
        (FIRING, 0.4, report(FIRING, NOW), False),
        (FIRING, -1, report(CLEAR, NOW), False),
        (CLEAR, -1, report(FIRING, NOW), False),
        (FIRING, 0.4, report(CLEAR, NOW), False),
        (CLEAR, 0.4, report(FIRING, NOW), True),
        (FIRING, 1, report(CLEAR, NOW), True),
        # That somebody knows no more is news of trouble alone.
        (UNKNOWN, 1, report(FIRING, NOW), True),
        (UNKNOWN, 0.4, report(FIRING, NOW), False),
        (UNKNOWN, 1, report(CLEAR, NOW), False),
        (FIRING, 1, report(UNKNOWN, NOW), True),
        # Remembered to the microsecond.
        (FIRING, 0.9, report(CLEAR, NOW + 0.5 * SECOND), True),
        (FIRING, 0.4, report(CLEAR, NOW + 0.5 * SECOND), False),
        (FIRING, 0.5, report(FIRING, NOW + 0.5 * SECOND), False),
    ],
)
def test_only_what_is_later_is_news(state: DetectionState, seconds: float, last: Report, news: bool) -> None:
    assert is_news(statement(state, NOW + seconds * SECOND), last) is news


def test_anything_is_news_from_somebody_new() -> None:
    assert is_news(statement(), None)
    assert not is_news(statement(UNKNOWN), None)


def test_a_clear_within_the_second_of_the_incident_counts_from_after_it() -> None:
    assert build_report(incident(), statement(CLEAR, NOW + 0.4 * SECOND)) == report(CLEAR, NOW + SECOND)
    assert build_report(incident(), statement(CLEAR, NOW + 7.4 * SECOND)) == report(CLEAR, NOW + 7 * SECOND)


def test_a_source_has_one_report() -> None:
    reports = place_report((report(FIRING, NOW), report(FIRING, NOW, OTHER)), report(CLEAR, NOW + SECOND))
    assert reports == (report(FIRING, NOW, OTHER), report(CLEAR, NOW + SECOND))


def numbered(number: int) -> IncidentSource:
    return IncidentSource(kind=SourceKind.ALARM, name=f"alarm-{number}")


def test_where_there_are_too_many_reports_a_clear_one_goes_first() -> None:
    reports = tuple(report(FIRING, NOW + n * SECOND, numbered(n)) for n in range(MAX_REPORTS))
    clear = replace_state(reports, 3, CLEAR)
    assert len(place_report(clear, report(FIRING, NOW, ALARM))) == MAX_REPORTS
    assert numbered(3) not in {r.source for r in place_report(clear, report(FIRING, NOW, ALARM))}
    assert numbered(0) not in {r.source for r in place_report(reports, report(FIRING, NOW, ALARM))}


def replace_state(reports: tuple[Report, ...], index: int, state: DetectionState) -> tuple[Report, ...]:
    return tuple(r.model_copy(update={"state": state}) if n == index else r for n, r in enumerate(reports))


def test_a_repeated_alert_tells_that_the_trouble_outlived_its_incident() -> None:
    over = [incident(source=OTHER, phase="Resolved")]
    again = statement(source=OTHER, repeats=True)
    last = find_last_word(over, OTHER)
    assert still_lasts(again, last, over)
    assert still_lasts(again, report(FIRING, NOW, OTHER), [])  # A person removed the incident.
    assert not still_lasts(again, last, [incident(source=OTHER)])
    assert not still_lasts(replace(again, repeats=False), last, over)
    assert not still_lasts(again, report(CLEAR, NOW + SECOND, OTHER), over)


@given(
    st.permutations(range(6)).flatmap(
        lambda order: st.lists(st.sampled_from(order), max_size=6).map(lambda again: [*order, *again])
    )
)
def test_in_any_order_and_number_the_last_word_wins(order: list[int]) -> None:
    """Six changes of one alarm, delivered at least once each."""
    last: Report | None = None
    for number in order:
        one = statement(FIRING if number % 2 == 0 else CLEAR, NOW + timedelta(seconds=10 * number))
        if is_news(one, last):
            last = report(one.state, one.finding.at)
    assert last == report(CLEAR, NOW + timedelta(seconds=50))
