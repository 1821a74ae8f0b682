"""Which metrics a report asks for, over which time, what it makes of the answers, and how it draws them."""

import re
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bokgu.api.observed import AwsError, LogMetric, Metric, Series
from bokgu.commands.report_metrics import NOT_PROTECTED, fetch_measured
from bokgu.commands.report_model import Span
from bokgu.commands.report_plots import (
    HIGHEST,
    LONGEST_MARGIN,
    MARGIN,
    Plot,
    Window,
    build_inquiry,
    build_plots,
    choose_window,
    describe_course,
    finest_period,
)
from bokgu.commands.report_sources import Surroundings
from bokgu.commands.report_svg import MOST_POINTS, draw, format_value, thin_out, time_marks, time_step, value_marks
from tests.unit.facts import MINUTE, NOW, detector, protected_service
from tests.unit.report_facts import BEGUN, GONE, RESOLVED, SEEN, answers, inquire, measured, recovered

HOUR = 60 * MINUTE
DAY = 24 * HOUR
SVG = Window(NOW - HOUR, NOW)


def curve(*values: float, **fields: Any) -> Plot:
    points = tuple((NOW - HOUR + i * MINUTE, value) for i, value in enumerate(values))
    return Plot("error_rate", "errors / requests", "%", MINUTE, points, **fields)


# Over which time


def test_a_short_incident_is_shown_with_half_an_hour_around_it_and_never_the_future() -> None:
    window = choose_window(SEEN, RESOLVED, NOW + 5 * MINUTE, MINUTE)
    assert window == Window(SEEN - MARGIN * MINUTE, NOW + 5 * MINUTE)
    assert choose_window(SEEN, RESOLVED, NOW + DAY, MINUTE).until == RESOLVED + MARGIN * MINUTE


def test_a_long_one_is_shown_with_more_and_with_no_more_than_that() -> None:
    assert choose_window(NOW - 4 * HOUR, NOW, NOW + DAY, MINUTE) == Window(NOW - 6 * HOUR, NOW + 2 * HOUR)
    assert choose_window(NOW - 20 * DAY, NOW, NOW + DAY, MINUTE).since == NOW - 20 * DAY - LONGEST_MARGIN * MINUTE


def test_one_that_is_open_is_shown_until_now() -> None:
    assert choose_window(SEEN, None, NOW, MINUTE).until == NOW


# What is asked for


@pytest.mark.parametrize(
    ("age", "period"),
    [(3 * HOUR, 0 * MINUTE), (15 * DAY, MINUTE), (63 * DAY, 5 * MINUTE), (455 * DAY, HOUR), (456 * DAY, None)],
)
def test_the_older_the_coarser(age: timedelta, period: timedelta | None) -> None:
    assert finest_period(age, MINUTE) == period


def test_it_asks_for_the_metrics_of_the_detector_and_of_the_evidence_once_each() -> None:
    inquiry = inquire()
    names = [source.name for source in inquiry.sources if isinstance(source, Metric)]
    assert {"RequestCount", "HTTPCode_Target_5XX_Count", "CPUUtilization", "MemoryUtilization"} <= set(names)
    assert len(names) == len(set(names))
    assert inquiry.condition is not None
    assert inquiry.condition.name == "error_rate"


def test_an_old_incident_is_asked_for_in_the_periods_that_are_left() -> None:
    now = SEEN + 30 * DAY
    window = choose_window(SEEN, RESOLVED, now, MINUTE)
    inquiry = build_inquiry(recovered(), protected_service(), detector(), window, now=now, minute=MINUTE)
    assert inquiry is not None
    assert {source.period for source in inquiry.sources} == {300}
    later = SEEN + 500 * DAY
    assert build_inquiry(recovered(), protected_service(), detector(), window, now=later, minute=MINUTE) is None


def test_log_lines_are_counted_in_any_period() -> None:
    log = {"name": "errors", "log": {"logGroup": "/ecs/api", "pattern": "ERROR"}, "period": "1m"}
    query = {"name": "requests", "namespace": "AWS/ApplicationELB", "metricName": "RequestCount", "period": "1m"}
    now = SEEN + 30 * DAY
    window = choose_window(SEEN, RESOLVED, now, MINUTE)
    watched = detector(queries=[log, query])
    inquiry = build_inquiry(recovered(), protected_service(), watched, window, now=now, minute=MINUTE)
    assert inquiry is not None
    assert LogMetric("/ecs/api", "ERROR", 60) in inquiry.sources


def test_without_a_detector_the_presets_say_what_is_measured() -> None:
    source = {"kind": "Preset", "name": "api", "condition": "cpu_utilization"}
    protected = protected_service(detection={"presets": ["ecs-cpu"]})
    one = recovered(source=source, metrics=[{"name": "cpu_utilization", "value": "97", "threshold": "95"}])
    inquiry = build_inquiry(one, protected, None, Window(SEEN, NOW), now=NOW, minute=MINUTE)
    assert inquiry is not None
    assert inquiry.condition is not None
    assert inquiry.condition.name == "cpu_utilization"
    told = build_plots(inquiry, one, {s: Series(((SEEN, 97.0),), 60) for s in inquiry.sources})
    assert (told.plots[0].name, told.plots[0].threshold) == ("cpu_utilization", 95)


def test_an_incident_of_an_alarm_has_evidence_only() -> None:
    one = recovered(source={"kind": "Alarm", "name": "too-slow"}, metrics=[])
    inquiry = inquire(one)
    assert inquiry.condition is None
    told = build_plots(inquiry, one, answers(inquiry))
    assert told.began_at is None
    assert "error_rate" not in [plot.name for plot in told.plots]


# What the answers say


def test_the_trouble_comes_first_with_its_threshold_then_what_has_datapoints() -> None:
    found = measured()
    assert [plot.name for plot in found.plots] == [
        "error_rate",
        "CPUUtilization (Average)",
        "MemoryUtilization (Maximum)",
        "HTTPCode_Target_5XX_Count (Sum)",
        "RequestCount (Sum)",
    ]
    trouble = found.plots[0]
    assert trouble.threshold == 0.3
    assert dict(trouble.points)[BEGUN] == 0.37
    assert dict(trouble.points)[GONE] == 0
    assert found.began_at == BEGUN
    assert "EBSFilesystemUtilization (Maximum)" in found.silent


def test_trouble_that_came_back_began_when_it_was_seen_first() -> None:
    inquiry = inquire()
    found = answers(inquiry)
    again = {source: answer for source, answer in found.items() if source[1] == "HTTPCode_Target_5XX_Count"}
    ((source, answer),) = again.items()
    assert isinstance(answer, Series)
    found[source] = Series((*answer.points, (GONE + 3 * MINUTE, 50.0)), 60)
    assert build_plots(inquiry, recovered(), found).began_at == BEGUN


def test_what_aws_does_not_answer_has_its_reason_in_its_place() -> None:
    found = {plot.name: plot for plot in measured().plots}
    assert found["CPUUtilization (Average)"].problem == "GetMetricData: Forbidden: no answer of it"
    assert found["CPUUtilization (Average)"].points == ()


def test_where_aws_answers_nothing_it_is_said_once() -> None:
    inquiry = inquire()
    error = AwsError("GetMetricData", "AccessDenied", "not allowed", sent=False)
    told = build_plots(inquiry, recovered(), dict.fromkeys(inquiry.sources, error))
    assert (told.plots, told.problem) == ((), "GetMetricData: AccessDenied: not allowed")


def test_a_sum_of_longer_periods_is_not_held_against_the_threshold_of_short_ones() -> None:
    condition = {"ratio": None, "query": "errors", "thresholds": {"high": "5"}}
    now = SEEN + 30 * DAY
    for age, threshold in ((NOW, 0.3), (now, None)):
        window = choose_window(SEEN, RESOLVED, age, MINUTE)
        watched = detector(condition=condition)
        inquiry = build_inquiry(recovered(), protected_service(), watched, window, now=age, minute=MINUTE)
        assert inquiry is not None
        found = build_plots(inquiry, recovered(), {s: Series(((SEEN, 9.0),), s.period) for s in inquiry.sources})
        assert found.plots[0].threshold == threshold


def test_without_a_protected_service_nobody_knows_where_the_metrics_are() -> None:
    import asyncio

    from bokgu.aws.client import AwsClient

    aws = AwsClient(None, 1)
    nothing = Surroundings(None, None, NOW)
    found = asyncio.run(fetch_measured(aws, recovered(), nothing, Window(SEEN, NOW), MINUTE))
    aws.close()
    assert (found.problem, found.plots) == (NOT_PROTECTED, ())


def test_a_curve_is_told_in_words() -> None:
    said = describe_course(measured().plots[0], BEGUN, GONE)
    assert said == "before 0; during 0 to 0.37; after 0; threshold 0.3"
    assert describe_course(curve(1, 2, 3), NOW - HOUR, None) == "during 1 to 3 %"


# How it is drawn


def parse(plot: Plot, *spans: Span, window: Window = SVG) -> ElementTree.Element:
    return ElementTree.fromstring(str(draw(plot, window, spans)))


def shapes(svg: ElementTree.Element, tag: str, kind: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter(tag) if element.get("class") == kind]


def test_a_picture_has_axes_with_unit_and_time_a_threshold_and_spans() -> None:
    span = Span("step", "step scale-out", NOW - 30 * MINUTE, NOW - 20 * MINUTE)
    svg = parse(curve(1, 5, 2, threshold=4.0), span, Span("open", "incident open", NOW - 40 * MINUTE, NOW))
    words = [element.text for element in svg.iter("text")]
    assert "%" in words
    assert "threshold 4" in words
    assert "07:30" in words
    assert any(word and word.startswith("time (UTC), from 2026-11-24") for word in words)
    (step,) = shapes(svg, "rect", "step")
    assert float(step.get("width") or 0) == pytest.approx(644 / 6, abs=0.2)
    assert len(shapes(svg, "rect", "open")) == len(shapes(svg, "line", "threshold")) == 1


def test_what_was_not_in_the_window_is_not_drawn() -> None:
    assert shapes(parse(curve(1, 2), Span("step", "before", NOW - 9 * HOUR, NOW - 8 * HOUR)), "rect", "step") == []


def test_nothing_is_drawn_where_datapoints_are_missing() -> None:
    points = tuple((NOW - HOUR + i * MINUTE, 1.0) for i in (0, 1, 2, 30, 40, 41))
    svg = parse(Plot("errors", "", "", MINUTE, points))
    assert len(shapes(svg, "polyline", "curve")) == 2
    assert len(shapes(svg, "circle", "dot")) == 1


def test_many_points_keep_their_peaks() -> None:
    values = [1.0] * 20_000
    values[12_345], values[777] = 9.0, -3.0
    points = [(NOW + timedelta(seconds=i), value) for i, value in enumerate(values)]
    kept = thin_out(points)
    assert len(kept) <= MOST_POINTS
    assert {9.0, -3.0} <= {value for _, value in kept}
    assert list(kept) == sorted(kept)


@given(st.floats(-HIGHEST, HIGHEST), st.floats(0, HIGHEST))
def test_marks_are_few_and_within(low: float, length: float) -> None:
    high = low + max(length, abs(low) * 1e-3, 1e-6)
    marks = value_marks(low, high)
    assert 1 <= len(marks) <= 9
    room = (high - low) * 1e-6
    assert all(low - room <= mark <= high + room for mark in marks)


@given(
    st.timedeltas(timedelta(seconds=1), timedelta(days=500)), st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1))
)
def test_times_are_round_and_few(length: timedelta, since: datetime) -> None:
    begin = since.replace(tzinfo=NOW.tzinfo)
    step = time_step(length)
    marks = time_marks(begin, begin + length, step)
    assert len(marks) <= 72
    assert all(int(mark.timestamp()) % step == 0 for mark in marks)
    assert all(b - a == timedelta(seconds=step) for a, b in pairwise(marks))


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-HIGHEST, max_value=HIGHEST), max_size=30),
    st.none() | st.floats(-HIGHEST, HIGHEST),
)
@example([], 5e-324)
@example([-5e-324, 0.0], None)
def test_every_curve_can_be_drawn_within_its_picture(values: list[float], threshold: float | None) -> None:
    svg = parse(curve(*values, threshold=threshold))
    numbers = re.findall(r'[xy][12]?="(-?[\d.]+)"', ElementTree.tostring(svg, encoding="unicode"))
    assert all(-1 <= float(number) <= 721 for number in numbers)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.05, "0.05"), (1234, "1234"), (12_345, "12.35k"), (2.5e6, "2.5M"), (-3e9, "-3G"), (1e25, "1e+13T")],
)
def test_values_are_short(value: float, said: str) -> None:
    assert format_value(value) == said
