"""A task that was run, found by who started it, through real boto3, on simulated ECS."""

import pytest

from bokgu.aws.tasks import find_run
from tests.aws_gateway import TARGET, call
from tests.simulator.harness import CLUSTER, Scene
from tests.simulator.server import SimulatorServer

pytestmark = pytest.mark.usefixtures("aws_credentials")


def test_a_run_is_found_while_it_runs_and_when_it_has_stopped() -> None:
    """The simulator refuses startedBy beside another filter, as API_ListTasks says."""
    with SimulatorServer(speed=600) as server:
        scene = Scene(server)
        scene.register("job")
        arns = {
            token: scene.ecs.run_task(cluster=CLUSTER, taskDefinition="job", startedBy=token)["tasks"][0]["taskArn"]
            for token in ("p-1", "p-2")
        }

        def find(token: str) -> tuple[str, ...]:
            return call(server.url, lambda aws: find_run(aws, TARGET, family="job", started_by=token))

        assert find("p-1") == (arns["p-1"],)
        for arn in arns.values():
            scene.ecs.stop_task(cluster=CLUSTER, task=arn)
        assert find("p-1") == (arns["p-1"],)
        assert find("p-3") == ()
        scene.close()
