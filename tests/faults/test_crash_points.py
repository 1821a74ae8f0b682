"""The operator dies, or is cut off, at every write that it makes: one effect, a true status, the same end."""

from collections.abc import Callable, Sequence

import pytest

from tests.faults.cases import SAMPLED, Case
from tests.faults.lane import Lane
from tests.faults.points import Point
from tests.faults.sample import draw
from tests.faults.strikes import AtPoint, CutOff, Killed
from tests.faults.tally import POINTS
from tests.faults.trial import Trial, try_all

CASES_OF_SAMPLE, POINTS_OF_SAMPLE = 1, 3

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
    """Strike at each chosen point, and once more at those that the play did not come to.

    Passes meet in another order each time, and a status that two of them change is written once or twice: a few points
    are not there the next time. Then the play must show that it did not come to them; to calls to AWS it always does.
    """
    first, *trials = try_all(lanes, case, lambda points: [strike(p) for p in choose(points)], prefix=prefix)
    missed = [point for point, trial in _aimed(trials) if not trial.hit]
    _, *again = try_all(lanes, case, lambda _: [strike(p) for p in missed], prefix=f"{prefix}a")
    aimed = [*_aimed(trials), *_aimed(again)]
    struck = {point for point, trial in aimed if trial.hit}
    record_property(POINTS, len(struck))
    assert not [str(t) for t in (first, *trials, *again) if t.problems]
    assert not [str(t) for point, t in aimed if not t.hit and point in t.points], "they came, and were let through"
    assert struck
    assert not [str(point) for point in missed if point.of_aws and point not in struck]


def _aimed(trials: Sequence[Trial]) -> list[tuple[Point, Trial]]:
    return [(trial.strike.point, trial) for trial in trials if isinstance(trial.strike, AtPoint)]
