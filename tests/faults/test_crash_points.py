"""The operator dies, or is cut off, at every write that it makes: one effect, a true status, the same end."""

from collections.abc import Callable, Sequence

import pytest

from tests.faults.cases import SAMPLED, Case
from tests.faults.lane import Lane
from tests.faults.points import Point
from tests.faults.sample import WHOLE, draw
from tests.faults.strikes import AtPoint, CutOff, Killed
from tests.faults.tally import POINTS
from tests.faults.trial import try_all

CASES_OF_SAMPLE, POINTS_OF_SAMPLE = 1, 3
MET_AGAIN = 0.8 if WHOLE else 0.5
"""Share of the points that a play must come to again. Passes meet in another order each time, and a status that two of
them change is written once or twice: a few points are not there the next time."""

Record = Callable[[str, object], None]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", draw(SAMPLED, CASES_OF_SAMPLE, "cases"), ids=lambda case: case.name)
def test_s10_killed_at_every_write(lanes: list[Lane], case: Case, record_property: Record) -> None:
    def choose(points: Sequence[Point]) -> Sequence[Point]:
        return draw(points, POINTS_OF_SAMPLE, f"{case.name} killed")

    try_points(lanes, case, Killed, choose, record_property, prefix="k")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", draw(SAMPLED, 1, "cases cut off"), ids=lambda case: case.name)
def test_s3_cut_off_at_every_write(lanes: list[Lane], case: Case, record_property: Record) -> None:
    def choose(points: Sequence[Point]) -> Sequence[Point]:
        tried = [point for point in points if point.of_aws] if case.slow else points
        return draw(tried, POINTS_OF_SAMPLE, f"{case.name} cut off")

    try_points(lanes, case, CutOff, choose, record_property, prefix="c")


def try_points(
    lanes: list[Lane],
    case: Case,
    strike: type[AtPoint],
    choose: Callable[[Sequence[Point]], Sequence[Point]],
    record_property: Record,
    *,
    prefix: str,
) -> None:
    """Strike at each chosen point, and once more at those that the play did not come to."""
    first, *trials = try_all(lanes, case, lambda points: [strike(p) for p in choose(points)], prefix=prefix)
    missed = [t.strike.point for t in trials if not t.hit and isinstance(t.strike, AtPoint)]
    _, *again = try_all(lanes, case, lambda _: [strike(p) for p in missed], prefix=f"{prefix}a")
    hit = sum(t.hit for t in (*trials, *again))
    record_property(POINTS, hit)
    assert not [str(t) for t in (first, *trials, *again) if t.problems]
    assert hit >= MET_AGAIN * len(trials), [str(t.strike) for t in again if not t.hit]
