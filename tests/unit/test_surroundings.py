"""What stands around a plan, found without looking at all there is."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_policy import RecoveryPolicySpec, StormLimit
from bokgu.core.storm import find_storm
from bokgu.reconcile.surroundings import find_namespace_storm
from tests.unit.facts import NOW, incident, protected_service
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


def test_what_is_derived_is_made_anew_only_after_a_change() -> None:
    made: list[int] = []

    def count(services: list[ProtectedService]) -> int:
        made.append(len(services))
        return len(services)

    one = context(Past(), protected_service())
    store: Any = one.objects
    assert [one.derive(ProtectedService, "shop", count) for _ in range(2)] == [1, 1]
    other = protected_service()
    metadata = other.metadata.model_copy(update={"name": "web", "uid": "other"})
    store.put(other.plural, other.to_dict() | {"metadata": metadata.to_dict()})
    assert [one.derive(ProtectedService, "shop", count) for _ in range(2)] == [2, 2]
    assert made == [1, 2]
