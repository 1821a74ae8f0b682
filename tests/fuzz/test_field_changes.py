"""Every field of every kind changed on a living object, as Acto does (SOSP 2023): each change is acted on, or refused
with words."""

from collections.abc import Callable

import pytest

from tests.faults.sample import draw
from tests.fuzz.changes import list_changes
from tests.fuzz.crowd import Crowd, borne
from tests.fuzz.living import KINDS
from tests.fuzz.sample import WHOLE
from tests.fuzz.tally import CHANGES, REFUSED_CHANGES
from tests.world.scene import Scene

FEW = 12
"""Changes of a kind in the sample."""


@pytest.mark.timeout(7200)
def test_s12_any_change_of_a_field_is_acted_on_or_refused_with_words(
    witness: Scene, new_crowd: Callable[[], Crowd], record_property: Callable[[str, object], None]
) -> None:
    unclear, unseen, made, refused = [], [], 0, 0
    with borne(witness.world, witness.service) as look:
        crowd = new_crowd()
        for plural in KINDS:
            living = crowd.living[plural]
            name = living["metadata"]["name"]
            for change in draw(list_changes(plural), FEW, plural, whole=WHOLE):
                answer = crowd.put(plural, name, change.apply(plural, living["spec"]))
                made, refused = made + 1, refused + (not answer.stored)
                if not answer.clear:
                    unclear.append((plural, change, answer))
                left = crowd.settle(plural)
                if left:
                    unseen.append((plural, str(change), {k: v.get("status") for k, v in left.items()}))
                    crowd = new_crowd()
                    living = crowd.living[plural]
            crowd.put(plural, name, living["spec"])
            look()
        witness.approve(witness.surge())
        witness.wait("it is helped", lambda: witness.plan_is("Completed"), 60)
    record_property(CHANGES, made)
    record_property(REFUSED_CHANGES, refused)
    assert unclear == []
    assert unseen == []
