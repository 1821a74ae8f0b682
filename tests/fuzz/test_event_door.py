"""Messages in the queue that neither CloudWatch nor ECS sends: each is taken in, or left to the dead letters."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st

from tests.fuzz.crowd import Crowd, borne
from tests.fuzz.documents import mutants
from tests.fuzz.living import SERVICE
from tests.fuzz.sample import generate
from tests.fuzz.tally import MESSAGES
from tests.world import events
from tests.world.event_queue import QUEUE
from tests.world.scene import Scene
from tests.world.world import wait_for

FEW, MANY = 100, 5000


@pytest.mark.timeout(1800)
def test_s12_any_message_is_taken_in_or_left_to_the_dead_letters(
    witness: Scene, new_crowd: Callable[[], Crowd], record_property: Callable[[str, object], None]
) -> None:
    world, crowd = witness.world, new_crowd()
    told = (
        events.stopped_task(SERVICE, containers=[{"name": "app", "exitCode": 137, "reason": "OutOfMemoryError"}]),
        events.deployment(SERVICE),
        events.action(SERVICE),
        events.alarm("cpu", metrics=[events.cpu_of(SERVICE)], datapoints=[95.0]),
        events.wrap_by_sns(events.stopped_task(SERVICE)),
    )
    drawn = generate(st.sampled_from(told).flatmap(mutants), FEW, MANY, "messages")
    with borne(world, witness.service):
        world.events.send(*drawn)
        wait_for(lambda: world.events.left(QUEUE) == 0, 60 + len(drawn) / 5, world.operator_log_tail)
        assert crowd.settle() == {}
        world.events.send(events.alarm("cpu", at=datetime.now(UTC), metrics=[events.cpu_of(witness.service)]))
        witness.wait("the alarm opened an incident", lambda: witness.incident()["metadata"]["name"], 20)
    record_property(MESSAGES, len(drawn))
