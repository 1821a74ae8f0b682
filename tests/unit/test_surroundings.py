"""What stands around a plan, found without looking at all there is."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident
from bokgu.api.recovery_policy import RecoveryPolicySpec, StormLimit
from bokgu.core.storm import find_storm
from bokgu.reconcile.surroundings import find_namespace_storm
from tests.unit.facts import NOW, incident
from tests.unit.test_plan_incident import Past, context

SECOND = timedelta(seconds=1)


def opened(number: int, seconds: int) -> Incident:
    """An incident opened so many seconds ago."""
    one = incident()
    at = {"name": f"inc-{number}", "uid": f"uid-{number}", "creation_timestamp": NOW - seconds * SECOND}
    return one.model_copy(update={"metadata": one.metadata.model_copy(update=at)})


@given(st.lists(st.integers(-5, 90), max_size=30), st.integers(2, 8), st.integers(1, 20), st.integers(1, 20))
def test_s7_a_storm_is_found_as_from_all_incidents(
    seconds: list[int], threshold: int, window: int, cooldown: int
) -> None:
    limit = StormLimit(threshold=threshold, window=f"{window}s", cooldown=f"{cooldown}s")
    found = find_namespace_storm(
        context(Past(), *(opened(number, ago) for number, ago in enumerate(seconds))),
        "shop",
        RecoveryPolicySpec(storm=limit),
    )
    assert found == find_storm(
        [NOW - ago * SECOND for ago in seconds],
        threshold=threshold,
        window=window * SECOND,
        cooldown=cooldown * SECOND,
        now=NOW,
    )
