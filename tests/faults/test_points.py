"""Points are found by counting, and found again; lenses show what they say."""

import json
import time

import pytest

from tests.faults import lenses
from tests.faults.cases import Counts
from tests.faults.points import Finder, Point, find_points
from tests.faults.proxy import GROUP_PATH, Call, Moment
from tests.faults.sample import draw

PLANS = f"{GROUP_PATH}namespaces/lane-1/recoveryplans"


def calls(*names: str, about: str = "one") -> list[Call]:
    return [Call(n, name, "PUT", f"{PLANS}/{about}/status", b"{}", float(n)) for n, name in enumerate(names, 1)]


def about_one(call: Call) -> bool:
    return call.mentions("one")


def test_a_point_is_where_the_world_has_changed_and_where_aws_is_about_to() -> None:
    found = find_points(calls("update recoveryplans/status", "DescribeServices", "UpdateService"), about_one)
    assert [str(point) for point in found] == [
        "after update recoveryplans/status 1",
        "before UpdateService 1",
        "after UpdateService 1",
    ]


def test_calls_about_something_else_do_not_count() -> None:
    assert find_points(calls("UpdateService", about="two"), about_one) == []
    assert find_points(calls("watch recoveryplans", "create subjectaccessreviews"), about_one) == []


def test_a_play_that_takes_long_counts_what_it_alone_does() -> None:
    names = ("update incidents/status", "update planapprovals/status", "UpdateService", "update recoveryplans/status")
    points = find_points(calls(*names), about_one)
    shown = {counts: [p.name for p in counts.select(points) if p.moment is Moment.AFTER] for counts in Counts}
    assert shown == {
        Counts.FROM_APPROVAL: list(names),
        Counts.FROM_AWS_WRITE: list(names[2:]),
        Counts.UNTIL_APPROVAL: list(names[:1]),
    }


def test_the_second_write_of_a_name_is_another_point() -> None:
    finder = Finder(about_one, Point("update recoveryplans/status", 2, Moment.AFTER))
    stream = calls("update recoveryplans/status", "update incidents/status", "update recoveryplans/status")
    assert [call.number for call in stream if finder.fits(call)] == [3]


def test_a_sample_is_the_same_for_one_commit() -> None:
    population = list(range(100))
    assert draw(population, 5, "a") == draw(population, 5, "a") or len(draw(population, 5, "a")) == 100


def event(uid: str, version: int) -> bytes:
    metadata = {"uid": uid, "resourceVersion": str(version)}
    return json.dumps({"type": "MODIFIED", "object": {"metadata": metadata}}).encode() + b"\n"


WATCH = Call(1, "watch recoveryplans", "GET", f"{PLANS}?watch=true", b"", 0.0)


def test_late_events_come_in_their_order_and_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    lens = lenses.Late(1)
    assert lens.see_event(WATCH, event("a", 1)) == []
    assert lens.see_event(WATCH, event("a", 2)) == [event("a", 1)]
    assert lens.see_silence(WATCH) == []
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    assert lens.see_silence(WATCH) == [event("a", 2)]


def test_late_answers_are_those_of_the_read_before() -> None:
    lens = lenses.Late(1)
    assert [lens.see_answer(WATCH, body) for body in (b"1", b"2", b"3")] == [b"1", b"1", b"2"]


def test_merged_events_are_the_last_of_each_object() -> None:
    lens = lenses.Merged()
    for line in (event("a", 1), event("b", 2), event("a", 3)):
        assert lens.see_event(WATCH, line) == ()
    assert lens.see_silence(WATCH) == [event("b", 2), event("a", 3)]
    assert lens.see_silence(WATCH) == []


def test_thinned_events_are_lost_for_good() -> None:
    lens = lenses.Thinned(2)
    assert [len(lens.see_event(WATCH, event("a", n))) for n in range(4)] == [1, 0, 1, 0]


def test_an_outdated_watch_is_told_so_once_a_second() -> None:
    lens = lenses.Outdated()
    first, second = (lens.see_event(WATCH, event("a", n))[0] for n in range(2))
    assert json.loads(first)["object"]["code"] == 410
    assert second == event("a", 1)
