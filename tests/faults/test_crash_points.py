"""The operator dies, or is cut off, at every write that it makes: one effect, a true status, the same end."""

from collections.abc import Callable, Sequence

import pytest

from tests.faults.cases import SAMPLED, Case
from tests.faults.lane import Lane
from tests.faults.points import Point
from tests.faults.sample import WHOLE, draw
from tests.faults.strikes import CutOff, Killed, Strike
from tests.faults.tally import POINTS
from tests.faults.trial import try_all

CASES_OF_SAMPLE, POINTS_OF_SAMPLE = 1, 3
MET_AGAIN = 0.7 if WHOLE else 0.5
"""Share of the points that a play must come to again. Passes meet in another order each time, and a status that two of
them change is written once or twice: a few points are not there the next time."""

Record = Callable[[str, object], None]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", draw(SAMPLED, CASES_OF_SAMPLE, "cases"), ids=lambda case: case.name)
def test_s10_killed_at_every_write(lanes: list[Lane], case: Case, record_property: Record) -> None:
    def choose(points: Sequence[Point]) -> Sequence[Strike]:
        return [Killed(point) for point in draw(points, POINTS_OF_SAMPLE, f"{case.name} killed")]

    try_points(lanes, case, choose, record_property, prefix="k")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", draw(SAMPLED, 1, "cases cut off"), ids=lambda case: case.name)
def test_s3_cut_off_at_every_write(lanes: list[Lane], case: Case, record_property: Record) -> None:
    def choose(points: Sequence[Point]) -> Sequence[Strike]:
        tried = [point for point in points if point.of_aws] if case.slow else points
        return [CutOff(point) for point in draw(tried, POINTS_OF_SAMPLE, f"{case.name} cut off")]

    try_points(lanes, case, choose, record_property, prefix="c")


def try_points(
    lanes: list[Lane],
    case: Case,
    choose: Callable[[Sequence[Point]], Sequence[Strike]],
    record_property: Record,
    *,
    prefix: str,
) -> None:
    first, *trials = try_all(lanes, case, choose, prefix=prefix)
    hit = sum(t.hit for t in trials)
    record_property(POINTS, hit)
    assert not [str(t) for t in (first, *trials) if t.problems]
    assert hit >= MET_AGAIN * len(trials), [str(t.strike) for t in trials if not t.hit]
