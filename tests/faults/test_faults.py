"""Faults of AWS and of the API server, and what the operator sees of it too late or never: the same end."""

from collections.abc import Callable

import pytest

from tests.faults.cases import SAMPLED, Case
from tests.faults.lane import Lane
from tests.faults.sample import draw
from tests.faults.strikes import list_strikes
from tests.faults.tally import FAULTS
from tests.faults.trial import try_all


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", draw(SAMPLED, 1, "cases with faults"), ids=lambda case: case.name)
def test_comes_to_the_same_end(lanes: list[Lane], case: Case, record_property: Callable[[str, object], None]) -> None:
    first, *trials = try_all(lanes, case, lambda _: draw(list_strikes(), 3, f"{case.name} faults"), prefix="f")
    record_property(FAULTS, sum(t.hit for t in trials))
    assert not [str(t) for t in (first, *trials) if t.problems]
    assert all(t.hit for t in trials), [str(t.strike) for t in trials if not t.hit]
