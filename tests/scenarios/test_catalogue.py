"""Every scenario of the catalogue, many at once in one world; each is a test of its own."""

from collections.abc import Iterator

import pytest

from tests.scenarios.ensemble import Ensemble
from tests.scenarios.scenario_files import Entry, read_catalogue
from tests.scenarios.tally import waiting_reason

LIMIT = 900
"""Seconds after which something hangs: the first test waits while all scenarios begin."""

pytestmark = pytest.mark.timeout(LIMIT)


@pytest.fixture(scope="module")
def ensemble(request: pytest.FixtureRequest) -> Iterator[Ensemble]:
    """Begins to play those scenarios that tests of this run ask for."""
    asked = {item.name for item in request.session.items}
    with Ensemble(e for e in read_catalogue() if f"test_scenario[{e.name}]" in asked) as playing:
        yield playing


def _parameter(entry: Entry) -> object:
    waiting = entry.scenario.waiting
    if waiting is None:
        return pytest.param(entry, id=entry.name)
    reason = waiting_reason(waiting.issue, waiting.reason)
    # Only an expectation that does not hold is awaited: what could not be played at all fails.
    return pytest.param(
        entry, id=entry.name, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)
    )


@pytest.mark.parametrize("entry", [_parameter(entry) for entry in read_catalogue()])
def test_scenario(ensemble: Ensemble, entry: Entry) -> None:
    report = ensemble.report(entry.name, timeout=LIMIT)
    if not report.played:
        raise RuntimeError(report.explain())
    assert report.passed, report.explain()


def test_every_write_belongs_to_a_scenario(ensemble: Ensemble) -> None:
    ensemble.finish()
    assert ensemble.unclaimed == []
