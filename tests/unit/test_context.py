"""What passes share: what is made of objects is made again only after a change."""

from typing import Any

import pytest

from bokgu.api.protected_service import ProtectedService
from bokgu.core.approval.digest import plan_digest
from tests.unit.facts import plan, protected_service, scale_out
from tests.unit.test_plan_incident import Past, context


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


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"status": {"phase": "Approved"}}, True),
        ({"spec": {"suspend": True}}, True),
        ({"spec": {"expiresAt": "2030-01-01T00:00:00Z"}}, False),
        ({"metadata": {"uid": "another"}, "spec": {"incidentRef": {"name": "inc-1", "uid": "other"}}}, False),
    ],
    ids=str,
)
def test_s1_a_digest_is_of_the_spec_that_is_there(change: dict[str, Any], same: bool) -> None:
    one = plan(scale_out())
    raw = one.to_dict() | {"metadata": one.metadata.to_dict()}
    shared = context(Past())
    before = shared.digest_of(raw)
    after = {**raw, **{part: {**raw.get(part, {}), **new} for part, new in change.items()}}
    assert shared.digest_of(after) == plan_digest("cluster", after)
    assert (shared.digest_of(after) == before) is same
