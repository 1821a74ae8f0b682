"""A curve as SVG: axes with time and unit, a threshold, and what happened when as shaded spans.

Colours are classes, which the page around it sets: it is drawn for light, dark and paper alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import floor, log10

from markupsafe import Markup

from bokgu.commands.page import plain
from bokgu.commands.report_model import Span
from bokgu.commands.report_plots import Plot, Window

WIDTH, HEIGHT = 720, 210
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 20, 34
"""Margins of the axes, in the same units as the size."""
MOST_POINTS = 600
"""More than that are not seen on a curve of this width."""
SMALLEST_RANGE = 1e-9
"""Values that differ by less are drawn as one: no metric is that fine, and marks between them would be rounded away."""

_TIME_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(n * 60 for n in (1, 2, 5, 10, 15, 30)),
    *(n * 3600 for n in (1, 2, 3, 6, 12, 24, 48, 96, 168)),
)
"""Seconds between two marks of time that people read easily."""

Points = Sequence[tuple[datetime, float]]


def draw(plot: Plot, window: Window, spans: Iterable[Span]) -> Markup:
    """The curve over the window. It is self-contained, and nothing in it is a link or a script."""
    points = thin_out(plot.points)
    area = _Area(window, *_bounds(points, plot.threshold))
    parts = [_tag("title", plain(f"{plot.name}: {plot.about}"))]
    parts += _draw_spans(area, spans)
    parts += _draw_axes(area, plot.unit)
    if plot.threshold is not None:
        parts += _draw_threshold(area, plot.threshold)
    parts += _draw_curve(area, points, plot.period)
    size = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "class": "plot"}
    return _tag("svg", Markup("").join(parts), **size)


def thin_out(points: Points) -> Points:
    """At most so many points as can be seen, with the least and the greatest of each stretch."""
    if len(points) <= MOST_POINTS:
        return points
    length = -(-len(points) // (MOST_POINTS // 2))
    kept: list[tuple[datetime, float]] = []
    for start in range(0, len(points), length):
        stretch = points[start : start + length]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept


class _Area:
    """Where a moment and a value are in the picture."""

    def __init__(self, window: Window, low: float, high: float) -> None:
        self.since, self.length = window.since, max(1.0, (window.until - window.since).total_seconds())
        self.until, self.low, self.high = window.until, low, high

    def x(self, at: datetime) -> float:
        share = min(1.0, max(0.0, (at - self.since).total_seconds() / self.length))
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _bounds(points: Points, threshold: float | None) -> tuple[float, float]:
    """From 0 or what is below, to a little above what is there."""
    values = [value for _, value in points] + ([threshold] if threshold is not None else [])
    low, high = min(0.0, *values) if values else 0.0, max(0.0, *values) if values else 1.0
    if high - low < SMALLEST_RANGE:
        return low, high + 1.0
    room = (high - low) / 20
    return (low - room if low < 0 else low), high + room


def _draw_spans(area: _Area, spans: Iterable[Span]) -> Iterator[Markup]:
    for span in spans:
        left, right = area.x(span.since), area.x(span.until)
        if span.until < area.since or span.since > area.until:
            continue
        # A moment is as wide as can be seen.
        shape = {"x": left, "y": TOP, "width": max(1.0, round(right - left, 1)), "height": HEIGHT - TOP - BOTTOM}
        yield _tag("rect", _tag("title", plain(span.label)), **shape, **{"class": span.kind})


def _draw_axes(area: _Area, unit: str) -> Iterator[Markup]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in value_marks(area.low, area.high):
        y = area.y(value)
        yield _line(LEFT, y, right, y, "grid")
        yield _text(LEFT - 6, y + 4, format_value(value), "end")
    step = time_step(timedelta(seconds=area.length))
    for at in time_marks(area.since, area.until, step):
        x = area.x(at)
        yield _line(x, bottom, x, bottom + 4, "axis")
        yield _text(x, bottom + 16, _format_time(at, step), "middle")
    yield _line(LEFT, bottom, right, bottom, "axis")
    yield _line(LEFT, TOP, LEFT, bottom, "axis")
    yield _text(LEFT - 6, TOP - 8, unit, "end")
    yield _text(right, HEIGHT - 4, f"time (UTC), from {area.since.astimezone(UTC):%Y-%m-%d %H:%M}", "end")


def _draw_threshold(area: _Area, threshold: float) -> Iterator[Markup]:
    y = area.y(threshold)
    yield _line(LEFT, y, WIDTH - RIGHT, y, "threshold")
    yield _text(WIDTH - RIGHT, y - 4, f"threshold {format_value(threshold)}", "end")


def _draw_curve(area: _Area, points: Points, period: timedelta) -> Iterator[Markup]:
    """Lines between neighbours: where datapoints are missing nothing is said to have been between."""
    # Points that were thinned out are further apart than a period.
    gap = max(1.5 * period, 3 * timedelta(seconds=area.length) / MOST_POINTS)
    run: list[tuple[datetime, float]] = []
    for point in (*points, None):
        if run and (point is None or point[0] - run[-1][0] > gap):
            yield from _draw_run(area, run)
            run = []
        if point is not None:
            run.append(point)


def _draw_run(area: _Area, run: Points) -> Iterator[Markup]:
    places = [(area.x(at), area.y(value)) for at, value in run]
    if len(places) == 1:
        yield _tag("circle", cx=places[0][0], cy=places[0][1], r=2, **{"class": "dot"})
    else:
        yield _tag("polyline", points=" ".join(f"{x},{y}" for x, y in places), **{"class": "curve"})


def value_marks(low: float, high: float) -> list[float]:
    """About four round values between the two, which are SMALLEST_RANGE apart or more."""
    rough = (high - low) / 4
    magnitude = 10.0 ** floor(log10(rough))
    step = next((n * magnitude for n in (1, 2, 2.5, 5) if n * magnitude >= rough), 10 * magnitude)
    first = -floor(-low / step)
    return [round(n * step, 12) for n in range(first, floor(high / step) + 1)]


def format_value(value: float) -> str:
    """The value in few characters."""
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if suffix == 'k' else size):.4g}{suffix}"
    return f"{value:.4g}"


def time_step(length: timedelta) -> int:
    """Seconds between the marks of a time of that length, which has about six."""
    return next((step for step in _TIME_STEPS if step * 8 >= length.total_seconds()), _TIME_STEPS[-1])


def time_marks(since: datetime, until: datetime, step: int) -> list[datetime]:
    """Round moments in the window."""
    first = -(-int(since.timestamp()) // step) * step
    last = min(int(until.timestamp()), first + 60 * step)
    return [datetime.fromtimestamp(t, UTC) for t in range(first, last + 1, step)]


def _format_time(at: datetime, step: int) -> str:
    if step < 60:
        return f"{at:%H:%M:%S}"
    return f"{at:%H:%M}" if step < 6 * 3600 else f"{at:%m-%d %H:%M}"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return _tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **{"class": kind})


def _text(x: float, y: float, words: str, anchor: str) -> Markup:
    return _tag("text", plain(words), x=x, y=y, **{"text-anchor": anchor})


def _tag(name: str, content: str | Markup = "", **attributes: object) -> Markup:
    """An element; everything but Markup is escaped, as Markup.format does."""
    written = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, content)
