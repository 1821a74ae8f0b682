"""The operator as the chart runs it: under the account of a release, with exactly the settings of its Deployment."""

import json
from pathlib import Path

import pytest

from tests.chart.program import run_helm
from tests.chart.rendering import CHART, HOME, Raw
from tests.world.demo import Story
from tests.world.rights import Right, read_audit, read_requests
from tests.world.screen import Screen
from tests.world.world import OPERATOR_SETTINGS, World, free_port

pytestmark = pytest.mark.timeout(600)


def build_values(world: World, port: int) -> Raw:
    """Values for a world that is sixty times as fast as ours, and on loopback."""
    quotas = dict(part.split("=") for part in OPERATOR_SETTINGS["BOKGU_AWS_QUOTAS"].split(","))
    return {
        "listen": {"host": "127.0.0.1", "port": port},
        "aws": {
            "endpointUrl": world.aws_url,
            "quotas": {name: int(rate) for name, rate in quotas.items()},
            "consistencyDelay": OPERATOR_SETTINGS["BOKGU_CONSISTENCY_DELAY"],
        },
        "eventQueues": [{"url": world.events.url}],
        "intervals": {
            "servicePoll": OPERATOR_SETTINGS["BOKGU_SERVICE_POLL"],
            "stepPoll": OPERATOR_SETTINGS["BOKGU_STEP_POLL"],
            "resync": OPERATOR_SETTINGS["BOKGU_RESYNC"],
            "policySettle": OPERATOR_SETTINGS["BOKGU_POLICY_SETTLE"],
        },
        "extraEnv": [{"name": "BOKGU_MINUTE", "value": OPERATOR_SETTINGS["BOKGU_MINUTE"]}],
    }


def test_the_demo_on_a_release(tmp_path: Path) -> None:
    port = free_port()

    def install(world: World) -> None:
        arguments = ("install", "bokgu", CHART, "--namespace", HOME, "--create-namespace")
        run_helm(*arguments, values=build_values(world, port), kubeconfig=world.control_plane.admin_kubeconfig)

    with World(tmp_path, operator=False, install=install, audited=True) as world, Screen() as screen:
        found = world.control_plane.kubectl("get", "deployment", "bokgu", "-n", HOME, "-o", "json").stdout
        (container,) = json.loads(found)["spec"]["template"]["spec"]["containers"]
        settings = {variable["name"]: variable["value"] for variable in container["env"]}
        assert OPERATOR_SETTINGS.keys() - {"BOKGU_ASSUMABLE_ROLES"} <= settings.keys()
        assert container["args"] == ["run"]
        world._ports["operator"] = port
        world.start_operator({**settings, "BOKGU_ASSUMABLE_ROLES": ""})
        Story(world, screen).tell()
        allowed, forbidden = read_requests(read_audit(world.control_plane.audit_log))
        assert forbidden == set(), "the chart lacks a right"
        assert Right("bokgu.dev", "recoveryplans/status", "update") in allowed
        assert len(allowed) > 30
