from datetime import timedelta

import pytest

from bokgu.core.follow_up import decide_next_look
from bokgu.core.service_state import ServiceLook
from tests.unit import facts
from tests.unit.facts import MINUTE, NOW

LATE = 5 * MINUTE


def next_look(seen: ServiceLook | None, ago: timedelta) -> timedelta | None:
    """How long until the next look, of a service that an event named `ago`."""
    found = decide_next_look(NOW - ago, seen, NOW, LATE)
    assert (found.asked_at, found.looked_at) == (NOW - ago, NOW)
    return None if found.next_at is None else found.next_at - NOW


WHOLE = ServiceLook(facts.service(), NOW)
MISSING = ServiceLook(facts.service(running=2), NOW)


@pytest.mark.parametrize(
    ("seen", "ago", "wait"),
    [
        (WHOLE, MINUTE, MINUTE),
        (WHOLE, LATE, None),
        (MISSING, LATE, MINUTE),
        (MISSING, LATE + 12 * MINUTE, None),
        (ServiceLook(facts.service(running=2, grace_seconds=120), NOW), LATE + 13 * MINUTE, MINUTE),
        (ServiceLook(facts.service(running=2), NOW, minute=timedelta(seconds=1)), LATE, timedelta(seconds=1)),
        (ServiceLook(facts.service(running=0, desired=0), NOW), MINUTE, None),
        (ServiceLook(facts.service(status="INACTIVE"), NOW), MINUTE, None),
        (None, MINUTE, None),
    ],
)
def test_a_service_is_looked_at_until_nothing_can_come_of_the_event(
    seen: ServiceLook | None, ago: timedelta, wait: timedelta | None
) -> None:
    assert next_look(seen, ago) == wait
