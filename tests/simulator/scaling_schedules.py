"""The schedules of Application Auto Scaling: `at(...)`, `rate(...)` and `cron(...)` (API type ScheduledAction).

At and cron expressions name wall time, in UTC unless a time zone is given; the interval of a rate is a duration, and
so passes faster in a compressed world.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
_CRON = re.compile(r"cron\((.+)\)")
_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_YEARS = (1970, 2199)
_MAX_DAYS = 366 * 5
"""How far ahead a cron expression is looked for."""


class Schedule(Protocol):
    """When a scheduled action runs. Times are wall seconds since the epoch."""

    def next_after(self, time: float) -> float | None:
        """The first run after `time`; None: there is none."""


@dataclass(frozen=True)
class AtSchedule:
    """Once."""

    time: float

    def next_after(self, time: float) -> float | None:
        """That time, if it is to come."""
        return self.time if self.time > time else None


@dataclass(frozen=True)
class RateSchedule:
    """Every `interval` wall seconds from `anchor` on."""

    anchor: float
    interval: float

    def next_after(self, time: float) -> float | None:
        """The next whole multiple of the interval, the anchor itself not counted."""
        passed = max(0, int((time - self.anchor) // self.interval))
        return self.anchor + (passed + 1) * self.interval


@dataclass(frozen=True)
class CronSchedule:
    """At all times whose fields are among these, in a time zone."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]
    zone: ZoneInfo

    def next_after(self, time: float) -> float | None:
        """The first such minute after `time`."""
        start = datetime.fromtimestamp(time, self.zone).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for offset in range(_MAX_DAYS):
            day = start.date() + timedelta(days=offset)
            if not (
                day.year in self.years
                and day.month in self.months
                and day.day in self.days
                and day.isoweekday() % 7 + 1 in self.weekdays
            ):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                    if moment >= start:
                        return moment.timestamp()
        return None


def parse_schedule(text: str, timezone: str, anchor: float, speed: float) -> Schedule:
    """The schedule that `text` describes; ValueError when it does not.

    `anchor`: where rates count from, wall seconds. `speed`: simulated seconds a wall second.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone {timezone}") from error
    if match := _AT.fullmatch(text):
        return AtSchedule(datetime.fromisoformat(match[1]).replace(tzinfo=zone).timestamp())
    if match := _RATE.fullmatch(text):
        if int(match[1]) < 1:
            raise ValueError("the value of a rate must be positive")
        return RateSchedule(anchor, int(match[1]) * _UNIT_SECONDS[match[2].removesuffix("s")] / speed)
    if match := _CRON.fullmatch(text):
        return _parse_cron(match[1].split(), zone)
    raise ValueError(f"{text} is neither an at, a rate nor a cron expression")


def _parse_cron(fields: list[str], zone: ZoneInfo) -> CronSchedule:
    if len(fields) != 6:
        raise ValueError("a cron expression has six fields")
    return CronSchedule(
        minutes=_parse_field(fields[0], 0, 59),
        hours=_parse_field(fields[1], 0, 23),
        days=_parse_field(fields[2], 1, 31),
        months=_parse_field(fields[3], 1, 12, _MONTHS),
        weekdays=_parse_field(fields[4], 1, 7, _WEEKDAYS),
        years=_parse_field(fields[5], *_YEARS),
        zone=zone,
    )


def _parse_field(text: str, lowest: int, highest: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """The values of one field: `*` and `?`, numbers and names, lists, ranges and steps; not L, W and #."""
    values: set[int] = set()
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = lowest, highest
        else:
            begin, _, end = span.partition("-")
            first = _parse_value(begin, names)
            last = _parse_value(end, names) if end else (highest if step else first)
        if not lowest <= first <= last <= highest:
            raise ValueError(f"{part} is not within {lowest} and {highest}")
        values.update(range(first, last + 1, int(step or 1)))
    return frozenset(values)


def _parse_value(text: str, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + 1
    if not text.isdecimal():
        raise ValueError(f"{text} is not a value the simulator knows in a cron expression")
    return int(text)
