"""The operator dies with SIGKILL at every call that it makes: one effect, a true status, the same end."""

from collections.abc import Callable, Sequence

import pytest

from tests.faults.cases import CASES, Case
from tests.faults.crash_points import Point, try_all
from tests.faults.lane import Lane
from tests.faults.sample import WHOLE, draw

CASES_OF_SAMPLE, POINTS_OF_SAMPLE = 2, 4
MET_AGAIN = 0.8 if WHOLE else 0.5
"""Share of the points that a play must come to again. Passes meet in another order each time, so that a write may be
left out: that a detail was told twice is no promise."""


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("case", draw(CASES, CASES_OF_SAMPLE, "cases"), ids=lambda case: case.name)
def test_s10_killed_at_every_call(
    lanes: list[Lane], case: Case, record_property: Callable[[str, object], None]
) -> None:
    def choose(points: Sequence[Point]) -> Sequence[Point]:
        return draw(points, POINTS_OF_SAMPLE, case.name)

    trials = try_all(lanes, case, choose)
    tried = [t for t in trials if t.point]
    record_property("crash points", sum(t.reached for t in tried))
    record_property("plays", len(trials))
    assert not [str(t) for t in trials if t.problems]
    assert sum(t.reached for t in tried) >= MET_AGAIN * len(tried), [str(t.point) for t in tried if not t.reached]
