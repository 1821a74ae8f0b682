"""Change windows against tables of moments, and against a model that looks at every minute."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from bokgu.api.fields import format_duration, parse_duration
from bokgu.api.recovery_policy import ChangeWindow
from bokgu.core import windows
from bokgu.core.windows import WindowVerdict, judge_windows

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def window(schedule: str, duration: str, zone: str = "UTC", *, kind: str = "Allow", name: str = "w") -> ChangeWindow:
    fields = {"name": name, "kind": kind, "schedule": schedule, "duration": duration, "timeZone": zone}
    return ChangeWindow.model_validate(fields)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


WORK = window("0 8 * * 1-5", "10h", "Europe/Berlin", name="work")
FREEZE = window("0 0 20 12 *", "168h", "Europe/Berlin", kind="Deny", name="freeze")
NIGHT = window("0 22 * * *", "8h", kind="Deny", name="night")


def test_without_windows_work_starts_at_any_time() -> None:
    assert judge_windows((), utc("2026-11-29T03:00")) == WindowVerdict(True)


@pytest.mark.parametrize(
    ("judged", "at", "open_", "decided", "until"),
    [
        ([WORK], "2026-11-30T07:00", True, "work", None),
        ([WORK], "2026-11-30T06:59:59", False, "work", "2026-11-30T07:00"),
        ([WORK], "2026-11-30T16:59:59", True, "work", None),
        ([WORK], "2026-11-30T17:00", False, "work", "2026-12-01T07:00"),
        ([WORK], "2026-11-28T12:00", False, "work", "2026-11-30T07:00"),
        # Over midnight, over the turn of a month and of a year.
        ([NIGHT], "2026-11-30T23:30", False, "night", "2026-12-01T06:00"),
        ([NIGHT], "2026-12-01T05:59:59", False, "night", "2026-12-01T06:00"),
        ([NIGHT], "2027-01-01T00:00", False, "night", "2027-01-01T06:00"),
        ([NIGHT], "2026-12-01T06:00", True, None, None),
        # Deny wins, and work starts only where the Allow windows let it again.
        ([WORK, FREEZE], "2026-12-21T10:00", False, "freeze", "2026-12-28T07:00"),
        ([FREEZE, WORK], "2026-12-19T23:30", False, "freeze", "2026-12-28T07:00"),
        ([FREEZE], "2026-12-21T10:00", False, "freeze", "2026-12-26T23:00"),
        # One of two Allow windows is enough; the one that opens next is named.
        ([WORK, window("0 3 * * *", "1h", name="early")], "2026-11-30T03:30", True, "early", None),
        ([WORK, window("0 3 * * *", "1h", name="early")], "2026-11-29T20:00", False, "early", "2026-11-30T03:00"),
        # Longer than their period.
        ([window("* * * * *", "168h")], "2026-11-30T03:30", True, "w", None),
        ([window("* * * * *", "168h", kind="Deny")], "2026-11-30T03:30", False, "w", None),
        ([window("0 0 * * *", "24h", kind="Deny")], "2026-11-30T03:30", False, "w", None),
        ([window("* 9-11 * * *", "2h", kind="Deny")], "2026-11-30T10:30", False, "w", "2026-11-30T13:59"),
        ([window("0 0 * * 1-5", "24h", kind="Deny")], "2026-12-01T10:30", False, "w", "2026-12-05T00:00"),
        # Not within a year.
        ([window("0 0 29 2 *", "24h")], "2026-11-30T03:30", False, "w", None),
        ([window("0 0 29 2 *", "24h")], "2027-11-30T03:30", False, "w", "2028-02-29T00:00"),
        # Allowed only while it is denied: no opening is in sight.
        ([window("0 23 * * *", "1h"), NIGHT], "2026-11-30T12:00", False, "w", None),
        ([window("0 0 L * *", "24h", kind="Deny")], "2026-11-30T12:00", False, "w", "2026-12-01T00:00"),
    ],
)
def test_a_moment_is_judged(judged: list[ChangeWindow], at: str, open_: bool, decided: str, until: str) -> None:
    verdict = judge_windows(judged, utc(at))
    assert verdict.open is open_
    assert (verdict.window.name if verdict.window else None) == decided
    assert verdict.until == (utc(until) if until else None)


BERLIN, NEW_YORK, SEOUL = "Europe/Berlin", "America/New_York", "Asia/Seoul"


@pytest.mark.parametrize("kind", ["Allow", "Deny"])
@pytest.mark.parametrize(
    ("comes", "zone", "inside", "outside"),
    [
        # Spring: 02:00 to 03:00 is skipped. What would begin there begins right after it.
        (
            "30 2 * * * for 1h",
            BERLIN,
            ["2026-03-29T03:59"],
            ["2026-03-29T01:59", "2026-03-29T04:00"],
        ),
        ("30 2 * * * for 1h", NEW_YORK, ["2026-03-08T03:00"], ["2026-03-08T01:59", "2026-03-08T04:00"]),
        # Four hours are four hours, whatever the clock shows.
        ("0 0 * * * for 4h", BERLIN, ["2026-03-29T04:59"], ["2026-03-29T05:00", "2026-03-28T04:00"]),
        ("0 0 * * * for 4h", BERLIN, ["2026-10-25T02:59"], ["2026-10-25T03:00"]),
        # Autumn: 02:00 to 03:00 comes twice; it begins once, with the first.
        ("30 2 * * * for 30m", BERLIN, ["2026-10-25T02:59"], ["2026-10-25T02:29", "2026-10-25T03:00"]),
        ("30 1 * * * for 30m", NEW_YORK, ["2026-11-01T01:59"], ["2026-11-01T01:29", "2026-11-01T02:00"]),
        # No summer time.
        ("0 9 * * * for 9h", SEOUL, ["2026-03-29T09:00", "2026-10-25T17:59"], ["2026-03-29T08:59", "2026-10-25T18:00"]),
    ],
)
def test_changes_of_the_clock(kind: str, comes: str, zone: str, inside: list[str], outside: list[str]) -> None:
    schedule, duration = comes.split(" for ")
    one = window(schedule, duration, zone, kind=kind)
    for moment, within in [*((m, True) for m in inside), *((m, False) for m in outside)]:
        assert judge_windows([one], local(moment, zone)).open is (within is (kind == "Allow")), moment


def test_in_the_second_of_two_equal_hours_the_first_is_not_forgotten() -> None:
    one = window("30 2 * * *", "90m", BERLIN, kind="Deny")
    at = local("2026-10-25T02:15", BERLIN, fold=1)
    assert judge_windows([one], at) == WindowVerdict(False, one, local("2026-10-25T03:00", BERLIN))
    for minute in ("02:15", "02:45"):
        at = local(f"2026-10-25T{minute}", BERLIN, fold=1)
        verdict = judge_windows([window("30 2 * * *", "10m", BERLIN)], at)
        assert verdict.until == local("2026-10-26T02:30", BERLIN)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (window("61 * * * *", "1h"), "Bad minute"),
        (window("0 8 * * MON-", "1h"), "cannot be read"),
        (window("* * * * 1L/2", "1h"), "cannot be read"),
        (window("0 0 30 2 *", "1h"), "cannot be read"),
        (window("* * */20 * 1L", "1h"), "never comes"),
        (window("0 0 8 * * *", "1h"), "five fields"),
        (window("0 8 * * *", "1h", "Europe/Atlantis"), "Europe/Atlantis"),
        (window("0 8 * * *", "1h", "Europe"), "Europe"),
        (window("0 8 * * *", "1h", "../../etc/passwd"), "time zone"),
        (window("0 8 * * *", "1h", "/etc/passwd"), "time zone"),
        (window("0 8 * * *", "1h", "x\0"), "time zone"),
        (window("0 8 * * *", "0s"), "0s"),
        (window("0 8 * * *", "169h"), "168h"),
    ],
)
@pytest.mark.parametrize("kind", ["Allow", "Deny"])
def test_s6_an_unreadable_window_blocks_and_names_itself(bad: ChangeWindow, says: str, kind: str) -> None:
    bad = bad.model_copy(update={"kind": kind, "name": "bad"})
    always = window("* * * * *", "168h")
    verdict = judge_windows([always, bad], utc("2026-11-30T10:00"))
    assert not verdict.open
    assert verdict.window == bad
    assert says in (verdict.problem or "")


@pytest.mark.parametrize(
    "judged",
    [
        [window("* * * * *", "168h", BERLIN, kind="Deny")] * 16,
        [window("* * * * *", "1m", BERLIN, kind="Deny")] * 16,
        [window("0-59 0-23 * * *", "1m", BERLIN, kind="Deny"), window("* * * * *", "1m", BERLIN)] * 8,
        [window("0 0 29 2 *", "1m", BERLIN), window("0 0 29 2 *", "168h", BERLIN, kind="Deny")] * 8,
        [window("0 6 * * *", "1h", BERLIN), window("0 0 * * *", "12h", BERLIN, kind="Deny")] * 8,
    ],
)
def test_the_work_is_bounded(judged: list[ChangeWindow], monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0

    class Counted(CronSim):
        def __next__(self) -> datetime:
            nonlocal steps
            steps += 1
            return super().__next__()

    monkeypatch.setattr(windows, "CronSim", Counted)
    for at in (utc("2026-11-30T10:00:30"), local("2026-10-25T02:15", BERLIN, fold=1)):
        steps = 0
        judge_windows(judged, at)
        assert steps < 4 * windows.LOOKS


# A model that looks at every minute of a few days.

FROM, DAYS = {BERLIN: ("03-27", "10-23"), NEW_YORK: ("03-06", "10-30"), SEOUL: ("03-27", "10-23"), "UTC": ("01-30",)}, 5


def starts(one: ChangeWindow, begin: datetime, end: datetime) -> Iterator[datetime]:
    """All starts in the days, with cron's rules: a schedule with stars follows real minutes, another one the clock."""
    zone = ZoneInfo(one.time_zone)
    minute, hour, _, _, weekday = one.schedule.split()

    def comes(t: datetime) -> bool:
        return matches(minute, t.minute) and matches(hour, t.hour) and matches(weekday, t.isoweekday() % 7)

    if minute.startswith("*") or hour.startswith("*"):
        yield from (t for t, shown in clock(one.time_zone, begin, end) if comes(shown))
        return
    first = begin.astimezone(zone).replace(tzinfo=None)
    for i in range(int((end - begin) / MINUTE)):
        wall = first + i * MINUTE
        if comes(wall):
            shown = wall.replace(tzinfo=zone)
            while shown.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
                wall += MINUTE
                shown = wall.replace(tzinfo=zone)
            yield shown.astimezone(UTC)


@lru_cache
def clock(zone: str, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Every real minute, and what the clock shows then."""
    minutes = (begin + i * MINUTE for i in range(int((end - begin) / MINUTE)))
    return [(t, t.astimezone(ZoneInfo(zone))) for t in minutes]


@lru_cache(maxsize=4096)
def matches(field: str, value: int) -> bool:
    if field.startswith("*/"):
        return value % int(field[2:]) == 0
    return field == "*" or value in {int(part) for part in field.split(",")}


def model(judged: list[ChangeWindow], begin: datetime, end: datetime) -> dict[datetime, bool]:
    """Whether it is open, minute by minute; starts of the two days before count."""
    inside: dict[str, set[datetime]] = {"Allow": set(), "Deny": set()}
    minutes = [begin + i * MINUTE for i in range(int((end - begin) / MINUTE))]
    for one in judged:
        length = parse_duration(one.duration)
        begun = {*starts(one, begin - 2 * DAY, end)}
        until = max((t + length for t in begun if t < begin), default=begin)
        for minute in minutes:
            if minute in begun:
                until = max(until, minute + length)
            if minute < until:
                inside[one.kind].add(minute)
    allows = any(one.kind == "Allow" for one in judged)
    return {t: t not in inside["Deny"] and (not allows or t in inside["Allow"]) for t in minutes}


def fields(most: int) -> st.SearchStrategy[str]:
    few = st.lists(st.integers(0, most), min_size=1, max_size=3, unique=True)
    return st.one_of(st.just("*"), few.map(lambda values: ",".join(map(str, values))))


@st.composite
def drawn_windows(draw: st.DrawFn, zone: str) -> ChangeWindow:
    minute = draw(st.one_of(st.sampled_from(["*/30", "0", "30", "*"]), fields(59)))
    hour = draw(st.one_of(st.sampled_from(["1", "2", "3", "*/6", "*"]), fields(23)))
    weekday = draw(st.one_of(st.just("*"), fields(6)))
    length = draw(st.one_of(st.integers(1, 180), st.integers(1, 48).map(lambda hours: hours * 60)))
    return window(
        f"{minute} {hour} * * {weekday}",
        format_duration(length * MINUTE),
        zone,
        kind=draw(st.sampled_from(["Allow", "Deny"])),
    )


@settings(max_examples=40)
@given(st.data())
def test_it_agrees_with_a_model_that_looks_at_every_minute(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(sorted(FROM)))
    begin = local(f"2026-{data.draw(st.sampled_from(FROM[zone]))}T00:00", zone)
    end = begin + DAYS * DAY
    judged = data.draw(st.lists(drawn_windows(zone), min_size=1, max_size=3))
    expected = model(judged, begin, end)
    around = local(f"2026-{data.draw(st.sampled_from(FROM[zone]))}T00:00", zone) + 2 * DAY
    near = [around + i * MINUTE for i in range(0, 5 * 60, 13) if begin <= around + i * MINUTE < end]
    moments = near + data.draw(st.lists(st.sampled_from(sorted(expected)), min_size=1, max_size=8))
    for at in moments:
        verdict = judge_windows(judged, at + data.draw(st.sampled_from([0, 1, 30, 59])) * timedelta(seconds=1))
        assert verdict.open is expected[at], at
        if verdict.open:
            continue
        later = [t for t, open_ in expected.items() if open_ and t > at]
        if later:
            assert verdict.until in {later[0], None}
            assert verdict.until or len(judged) > 1 or "*" in judged[0].schedule
        elif verdict.until:
            assert verdict.until >= end


@given(st.data())
def test_deny_always_wins_and_until_is_when_it_opens(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from([BERLIN, NEW_YORK, SEOUL, "Australia/Lord_Howe", "America/Havana", "UTC"]))
    judged = data.draw(st.lists(drawn_windows(zone), max_size=4))
    at = data.draw(
        st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
    )
    verdict = judge_windows(judged, at)
    if any(one.kind == "Deny" and windows.is_open(one, at) for one in judged):
        assert not verdict.open
    if verdict.until is not None:
        assert verdict.until > at
        assert judge_windows(judged, verdict.until).open
        assert not judge_windows(judged, max(at, verdict.until - MINUTE)).open


@given(st.text(min_size=9, max_size=100), st.text(min_size=1, max_size=64), st.text(min_size=2, max_size=8))
def test_s12_no_text_makes_it_stumble(schedule: str, zone: str, duration: str) -> None:
    texts: dict[str, Any] = {"name": "w", "kind": "Allow", "schedule": schedule, "duration": duration}
    verdict = judge_windows([ChangeWindow.model_construct(**texts, time_zone=zone)], utc("2026-11-30T10:00"))
    assert verdict.open or verdict.window
