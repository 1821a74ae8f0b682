"""Change windows: whether work may start at a moment, and when it may next.

A window opens whenever its cron schedule says, in its time zone, and stays open for its duration of real time. cron's
own rules hold at changes of the clock (Debian cron(8)): what a skipped hour would have begun begins right after it, and
what a repeated hour would begin twice begins once; schedules with a star for minutes or hours follow real time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from bokgu.api.fields import parse_duration
from bokgu.api.recovery_policy import ChangeWindow
from bokgu.api.vocabulary import WindowKind

IN_SIGHT = timedelta(days=366)
"""How far ahead an opening is looked for."""

LOOKS = 400
"""Schedules asked, at most, in looking for an opening: about 20 ms. Windows that need more have none in sight."""

LONGEST = timedelta(hours=168)
"""The longest that a window stays open."""

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class WindowVerdict:
    """Whether work may start. `window` decided: the Deny window that is open, else the Allow window that is open or
    opens next; None where there are no windows, or only closed Deny windows. `until` is when work may start again, in
    UTC; None where that is not in sight. `problem` says why the window cannot be read: then nothing starts."""

    open: bool
    window: ChangeWindow | None = None
    until: datetime | None = None
    problem: str | None = None


def judge_windows(windows: Sequence[ChangeWindow], now: datetime) -> WindowVerdict:
    """Whether work may start now: inside an Allow window, where there is one, and inside no Deny window."""
    if (unreadable := find_unreadable(windows)) is not None:
        window, problem = unreadable
        return WindowVerdict(False, window, problem=problem)
    now = now.astimezone(UTC)
    allows = [w for w in windows if w.kind is WindowKind.ALLOW]
    denied = next((w for w in windows if w.kind is WindowKind.DENY and is_open(w, now)), None)
    allowed = next((w for w in allows if is_open(w, now)), None)
    if denied is None and (allowed is not None or not allows):
        return WindowVerdict(True, allowed)
    opening = _find_opening(windows, now)
    return WindowVerdict(False, denied or _opens_next(allows, now), opening)


def find_unreadable(windows: Sequence[ChangeWindow]) -> tuple[ChangeWindow, str] | None:
    """The first window that cannot be read, and why; None where all can."""
    for window in windows:
        problem = _find_problem(window.schedule, window.duration, window.time_zone)
        if problem is not None:
            return window, problem
    return None


def is_open(window: ChangeWindow, at: datetime) -> bool:
    """Whether a readable window is open: from a start on, up to its duration later but for that moment itself."""
    start = _last_start(window, at)
    return start is not None and at < start + parse_duration(window.duration)


class _NotInSight(Exception):
    """The search has taken too long, or gone too far ahead."""


class _Search:
    """A bounded search for an opening."""

    def __init__(self, now: datetime) -> None:
        self._until, self._looks = now + IN_SIGHT, LOOKS

    def look(self, at: datetime) -> datetime:
        """Count one look at a schedule. Raises _NotInSight."""
        self._looks -= 1
        if self._looks < 0 or at > self._until:
            raise _NotInSight
        return at


def _find_opening(windows: Sequence[ChangeWindow], now: datetime) -> datetime | None:
    """When work may next start; None where that is not in sight."""
    search = _Search(now)
    try:
        at = now
        while True:
            later = _leave_denied(windows, at, search)
            later = _enter_allowed(windows, later, search)
            if later == at:
                return at
            at = later
    except _NotInSight:
        return None


def _leave_denied(windows: Sequence[ChangeWindow], at: datetime, search: _Search) -> datetime:
    """When the Deny windows that are open then end, of which one may have begun anew; `at` itself where none is."""
    for window in windows:
        start = _last_start(window, search.look(at)) if window.kind is WindowKind.DENY else None
        if start is not None:
            at = max(at, start + parse_duration(window.duration))
    return at


def _enter_allowed(windows: Sequence[ChangeWindow], at: datetime, search: _Search) -> datetime:
    """When the next Allow window opens; `at` itself where one is open, or where there is none at all."""
    allows = [w for w in windows if w.kind is WindowKind.ALLOW]
    if not allows or any(is_open(w, search.look(at)) for w in allows):
        return at
    starts = [start for w in allows if (start := _next_start(w, search.look(at))) is not None]
    if not starts:
        raise _NotInSight
    return search.look(min(starts))


def _opens_next(allows: Sequence[ChangeWindow], now: datetime) -> ChangeWindow:
    """The Allow window whose next start is the first."""
    never = datetime.max.replace(tzinfo=UTC)
    return min(allows, key=lambda w: _next_start(w, now) or never)


def _last_start(window: ChangeWindow, at: datetime) -> datetime | None:
    """The last start at or before a moment, in UTC.

    Backwards, cronsim may miss the starts of a repeated hour and of the moment itself: forwards it finds them.
    """
    local = at.astimezone(_find_zone(window.time_zone))
    last = next(CronSim(window.schedule, local, reverse=True), None)
    for start in CronSim(window.schedule, last or local - timedelta(days=1)):
        if start.astimezone(UTC) > at:
            break
        last = start
    return None if last is None else last.astimezone(UTC)


def _next_start(window: ChangeWindow, after: datetime) -> datetime | None:
    """The first start after a moment, in UTC. In a repeated hour cronsim begins with those of its first time."""
    local = after.astimezone(_find_zone(window.time_zone))
    starts = (start.astimezone(UTC) for start in CronSim(window.schedule, local))
    return next((start for start in starts if start > after), None)


@lru_cache(maxsize=1024)
def _find_problem(schedule: str, duration: str, time_zone: str) -> str | None:
    """Why a window cannot be read, or None."""
    try:
        length = parse_duration(duration)
    except ValueError as error:
        return str(error)
    if not timedelta() < length <= LONGEST:
        return f"its duration {duration} is not between 1s and 168h"
    try:
        zone = _find_zone(time_zone)
    except (ValueError, OSError, KeyError):
        return f"there is no time zone {time_zone}: take a name of the IANA database, such as Europe/Berlin"
    if len(schedule.split()) != 5:
        return f"its schedule {schedule} has not five fields"
    try:
        first = next(CronSim(schedule, _ANY_TIME.astimezone(zone)), None)
    except Exception as error:  # Whatever a schedule makes it stumble over: it cannot be read.
        return f"its schedule {schedule} cannot be read: {error or type(error).__name__}"
    return None if first else f"its schedule {schedule} never comes"


@lru_cache(maxsize=1024)
def _find_zone(name: str) -> tzinfo:
    """The time zone. Raises ValueError, OSError or KeyError where there is none of the name."""
    return UTC if name == "UTC" else ZoneInfo(name)
