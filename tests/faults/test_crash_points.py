"""The operator dies, or is cut off, at every write that it makes: one effect, a true status, the same end."""

from collections.abc import Callable, Sequence

import pytest

from tests.faults.cases import SAMPLED, Case
from tests.faults.lane import Lane
from tests.faults.points import Point
from tests.faults.sample import draw
from tests.faults.strikes import AtPoint, CutOff, Killed
from tests.faults.tally import POINTS
from tests.faults.trial import try_all

CASES_OF_SAMPLE, POINTS_OF_SAMPLE = 1, 3
ROUNDS = 5

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
    """Strike at each chosen point of one play.

    Passes meet in another order each time, and a status that two of them change is written once or twice: a play may
    not come to a point of another one. It has shown its own then, and the shortest of such plays is tried next.
    """
    reference: Sequence[Point] = ()
    tried: set[Point] = set()

    def aim(points: Sequence[Point]) -> list[AtPoint]:
        return [strike(point) for point in choose(reference or points) if point not in tried]

    for number in range(ROUNDS):
        first, *trials = try_all(lanes, case, aim, prefix=f"{prefix}{number}")
        assert not [str(t) for t in (first, *trials) if t.problems]
        tried |= {t.strike.point for t in trials if t.hit and isinstance(t.strike, AtPoint)}
        reference = min((t.points for t in trials if not t.hit), key=len, default=reference or first.points)
        if tried >= set(choose(reference)):
            break
    record_property(POINTS, len(tried))
    assert tried >= set(choose(reference)), [str(point) for point in choose(reference) if point not in tried]
