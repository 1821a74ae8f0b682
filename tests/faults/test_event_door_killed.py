"""The operator dies with SIGKILL while it takes in an event: nothing is lost, and nothing is there twice."""

from collections.abc import Iterator

import pytest

from tests.world import events
from tests.world.event_queue import DEAD_LETTERS
from tests.world.manifests import CLUSTER, NAMESPACE, protected_service
from tests.world.world import World, wait_for

pytestmark = pytest.mark.timeout(300)
DETECTION = {"relapseWatch": "30m"}


@pytest.fixture
def service(world: World, request: pytest.FixtureRequest) -> Iterator[str]:
    """A protected service, watched by no preset."""
    name = f"killed-{abs(hash(request.node.name)) % 10**6}"
    world.create_service(name)
    world.apply(protected_service(name, detection=DETECTION))
    wait_for(lambda: (world.get("protectedservices", name) or {}).get("status"), 60, world.operator_log_tail)
    yield name
    world.simulator.clear_faults()
    world.start_operator()
    world.ecs.update_service(cluster=CLUSTER, service=name, desiredCount=0)
    world.control_plane.kubectl("delete", "protectedservice", name, "-n", NAMESPACE)
    for found in world.incidents_of(name):
        world.control_plane.kubectl("delete", "incident", found["metadata"]["name"], "-n", NAMESPACE)


def test_s10_killed_between_storing_and_deleting_opens_one_incident(world: World, service: str) -> None:
    # The deletion hangs for longer than the operator lives, and is not carried out.
    since = max(call.sequence for call in world.simulator.calls())
    world.simulator.add_fault("DeleteMessageBatch", code="ServiceUnavailable", status=503, delay_seconds=8)
    world.events.send(events.alarm("cpu", metrics=[events.cpu_of(service)]))
    wait_for(lambda: world.incidents_of(service), 60, world.operator_log_tail)
    wait_for(lambda: world.simulator.calls("DeleteMessageBatch", since=since), 60, world.operator_log_tail)
    world.kill_operator()
    assert world.events.left() >= 1
    world.start_operator()
    wait_for(lambda: world.events.left() == 0, 60, world.operator_log_tail)
    assert len(world.incidents_of(service)) == 1
    assert world.events.left(DEAD_LETTERS) == 0
    duplicates = 'bokgu_events_total{door="Alarm",result="ignored"}'
    wait_for(lambda: world.scrape().get(duplicates), 20, world.operator_log_tail)


def test_s10_killed_while_looking_at_the_service_looks_again(world: World, service: str) -> None:
    definition = world.register(service, PULL_FAILS="true")
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    world.simulator.slow_down("DescribeServices", 6, resource=service, count=1000)
    since = max(call.sequence for call in world.simulator.calls())
    world.ecs.update_service(
        cluster=CLUSTER, service=service, taskDefinition=definition, deploymentConfiguration=breaker
    )
    wait_for(world.events.left, 60, world.operator_log_tail)
    wait_for(lambda: _looks(world, service, since), 60, world.operator_log_tail)
    world.kill_operator()
    assert world.incidents_of(service) == []
    world.simulator.clear_faults()
    world.start_operator()
    wait_for(lambda: world.incidents_of(service), 60, world.operator_log_tail)
    assert {i["spec"]["source"]["kind"] for i in world.incidents_of(service)} == {"EcsEvent"}
    assert len(world.incidents_of(service)) == 1


def _looks(world: World, service: str, since: int) -> list[object]:
    return [c for c in world.simulator.calls("DescribeServices", since=since) if service in str(c.parameters)]
