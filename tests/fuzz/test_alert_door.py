"""Requests at the webhook that nobody means well with: each gets an answer that blames the sender, or is hung up on."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.fuzz.crowd import Crowd, borne
from tests.fuzz.living import SERVICE
from tests.fuzz.sample import generate
from tests.fuzz.tally import REQUESTS
from tests.fuzz.wire import Request, requests, send
from tests.integration.test_alert_door import alert, notify, post
from tests.world.scene import Scene

FEW, MANY = 400, 10_000
ANSWER = re.compile(rb"HTTP/\d\.\d (\d{3}) ")


@pytest.mark.timeout(3600)
def test_s12_any_request_is_answered_with_no_fault_of_ours(
    witness: Scene, new_crowd: Callable[[], Crowd], record_property: Callable[[str, object], None]
) -> None:
    world, crowd = witness.world, new_crowd()
    begun = datetime.now(UTC) - timedelta(seconds=30)
    notification = notify(alert(SERVICE, at=begun, namespace=crowd.namespace), alert(SERVICE, at=begun, ended=begun))
    token = world.webhook_token.read_bytes().strip()
    faults: list[tuple[str, bytes]] = []
    drawn: list[Request] = generate(requests(notification), FEW, MANY, "requests")
    with borne(world, witness.service):
        for request in drawn:
            answer = send(world.webhook_url, request.encode(token))
            found = ANSWER.match(answer)
            if answer and (found is None or not 100 <= int(found[1]) < 500):
                faults.append((str(request), answer[:300]))
        assert crowd.settle() == {}
        assert post(world, notify(alert(witness.service, at=datetime.now(UTC)))) == (200, "stored\n")
        witness.wait("the alert opened an incident", lambda: witness.incident()["metadata"]["name"], 10)
    record_property(REQUESTS, len(drawn))
    assert faults == []
