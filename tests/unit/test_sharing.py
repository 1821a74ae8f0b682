"""What is over is kept by the thousand: equal parts are kept once, and say the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.fields import ApiModel
from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.sharing import share_parts, share_values
from tests.unit.report_facts import completed_plan, recovered
from tests.unit.test_plan_incident import Past, context


class Ping(ApiModel):
    a: int
    b: int = 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=60),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=7),
    max_leaves=20,
)


@given(JSON)
def test_shared_values_are_the_same_text(value: object) -> None:
    assert json.dumps(share_values(value)) == json.dumps(value)


def test_a_part_is_one_with_an_equal_one_of_the_same_types() -> None:
    gate, other, number = {"name": "Listed", "passed": True}, {"name": "Listed", "passed": True}, {"passed": 1}
    shared = share_values({"gates": [gate, {"passed": True}]})["gates"]
    assert shared[0] is share_values({"gates": [other]})["gates"][0]
    assert shared[1] is not share_values({"gates": [number]})["gates"][0]


@pytest.mark.parametrize("make", [completed_plan, recovered])
def test_a_model_whose_parts_are_shared_says_the_same(make: "type[RecoveryPlan | Incident]") -> None:
    plain, first, second = make(), share_parts(make()), share_parts(make())
    assert first == plain
    assert first.to_dict() == plain.to_dict()
    assert first.spec.service_ref is second.spec.service_ref
    assert first.spec.service_ref is not plain.spec.service_ref
    assert first.model_fields_set is second.model_fields_set
    assert first.spec.model_fields_set is second.spec.model_fields_set


def test_a_copy_of_a_model_whose_parts_are_shared_leaves_the_others_as_they_are() -> None:
    first, second = share_parts(Ping(a=1)), share_parts(Ping(a=2))
    assert first.model_copy(update={"b": 1}).model_fields_set == {"a", "b"}
    assert second.model_fields_set == {"a"}


@pytest.mark.parametrize(("phase", "shared"), [("Completed", True), ("InProgress", False)])
def test_only_models_of_what_is_over_are_shared(phase: str, shared: bool) -> None:
    one = context(Past())
    found = []
    for name in ("a", "b"):
        made = completed_plan()
        raw = made.to_dict() | {"metadata": made.metadata.to_dict() | {"name": name}}
        found.append(one.parse(RecoveryPlan, raw | {"status": raw["status"] | {"phase": phase}}))
    assert (found[0].status.approvals[0] is found[1].status.approvals[0]) is shared


def test_timelines_and_approvals_are_shared() -> None:
    incidents, plans = [share_parts(recovered()) for _ in range(2)], [share_parts(completed_plan()) for _ in range(2)]
    assert incidents[0].status.timeline[0] is incidents[1].status.timeline[0]
    assert plans[0].status.approvals[0] is plans[1].status.approvals[0]
