"""Objects that nobody would write: each is stored and seen, or refused with words; and no other one suffers for it."""

from collections.abc import Callable
from itertools import islice

import pytest

from tests.fuzz.changes import drafts
from tests.fuzz.crowd import Crowd, borne
from tests.fuzz.living import KINDS
from tests.fuzz.sample import generate
from tests.fuzz.tally import OBJECTS, REFUSED
from tests.world.scene import Scene

FEW, MANY = 300, 10_000
TOGETHER = 100
"""Objects in one namespace at a time."""


@pytest.mark.timeout(7200)
def test_s12_any_object_is_stored_and_seen_or_refused_with_words(
    witness: Scene, new_crowd: Callable[[], Crowd], record_property: Callable[[str, object], None]
) -> None:
    numbered = enumerate(generate(drafts(list(KINDS)), FEW, MANY, "objects"))
    unclear, unseen, sent, refused = [], [], 0, 0
    with borne(witness.world, witness.service) as look:
        while batch := list(islice(numbered, TOGETHER)):
            crowd = new_crowd()
            for number, draft in batch:
                answer = crowd.add(draft, number)
                sent, refused = sent + 1, refused + (not answer.stored)
                if not answer.clear:
                    unclear.append((draft, answer))
            unseen += [(name, body["spec"], body.get("status")) for name, body in crowd.settle().items()]
            look()
        witness.approve(witness.surge())
        witness.wait("it is helped", lambda: witness.plan_is("Completed"), 60)
    record_property(OBJECTS, sent)
    record_property(REFUSED, refused)
    assert unclear == []
    assert unseen == []
