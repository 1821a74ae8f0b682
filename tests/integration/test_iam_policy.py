"""`bokgu iam-policy` against what the operator does: every call that it makes is allowed by the policy of its
identity."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from bokgu.core.iam.permissions import NEEDS_NO_PERMISSION, PERMISSIONS
from tests.iam import Made, allows, list_needs
from tests.integration.test_doctor import settings
from tests.simulator.control import RecordedCall
from tests.world.command import run_bokgu
from tests.world.manifests import NAMESPACE
from tests.world.roles import USUAL
from tests.world.scene import Scene
from tests.world.world import World


def policy(world: World, *words: str) -> dict[str, Any]:
    """The operator's own, as the command prints it."""
    words = ("iam-policy", "-n", NAMESPACE, "--for", "own", "--account", USUAL, *words)
    answer = run_bokgu(world, *words, settings=settings(world, BOKGU_EVENT_QUEUES=world.events.url))
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def of_the_operator(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    return [call for call in calls if call.access_key_id == "operator"]


def test_what_the_operator_does_to_a_service_its_policy_allows(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    world = scene.world
    since = max(call.sequence for call in world.simulator.calls())
    scene.surge()
    scene.approve(scene.plan())
    scene.wait("it is recovered", lambda: scene.incident_is("Resolved"), 60)
    full, reads = policy(world), policy(world, "--read-only")
    checked: set[str] = set()
    for call in of_the_operator(world.simulator.calls(since=since)):
        made = Made(call.service, call.operation, call.region, call.account, call.parameters)
        for need in list_needs(made):
            if need.resource != "*" and f"/{scene.service}" not in need.resource:
                continue  # Of another test's service, which may be gone.
            assert allows(full, need), need
            checked.add(need.action)
            if need.action == "ecs:UpdateService":
                assert not allows(reads, need)
    assert checked >= {"ecs:DescribeServices", "ecs:UpdateService", "cloudwatch:GetMetricData", "ecs:ListTasks"}


def test_every_call_that_was_made_so_far_is_in_the_table(world: World) -> None:
    calls = [
        call
        for call in world.simulator.calls()
        if call.access_key_id == "operator" or (call.role_session_name or "").startswith("bokgu")
    ]
    known = {(p.service, p.operation) for p in PERMISSIONS} | NEEDS_NO_PERMISSION.keys()
    assert {(call.service, call.operation) for call in calls} - known == set()
