"""`python -m tests.simulator`: the simulator as a process of its own."""

import argparse
import signal
import threading
from pathlib import Path
from typing import get_args

from .rate_limits import TimeBase
from .server import SimulatorServer
from .simulation import Simulation

DEMO_CLUSTER, DEMO_SERVICE = "demo", "web"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator",
        description="Simulate Amazon ECS, CloudWatch and what Bokgu uses besides on the loopback interface. Point AWS "
        "clients at it with endpoint_url; services that are not simulated are answered by moto. Ends on SIGTERM or "
        "SIGINT.",
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 (the default) takes a free one")
    parser.add_argument("--port-file", type=Path, help="file to write the port to once the server listens")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per wall second (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="seed of ids and start-up jitter (default 1)")
    parser.add_argument("--region", default="us-east-1", help="region where a call names none (default us-east-1)")
    parser.add_argument(
        "--consistency-delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="simulated seconds by which reads of ECS services lag behind writes (default 0)",
    )
    parser.add_argument(
        "--rate-limits",
        choices=get_args(TimeBase),
        help="throttle by AWS's quotas, whose seconds are simulated ones or those of the wall clock (default: none)",
    )
    parser.add_argument("--demo", action="store_true", help="begin with a service to look at, and show how")
    return parser


def create_demo(simulation: Simulation) -> None:
    """A cluster and a Fargate service of three tasks behind a load balancer."""
    simulation.perform("ecs", "CreateCluster", {"clusterName": DEMO_CLUSTER})
    container = {"name": "app", "image": "app:1"}
    simulation.perform("ecs", "RegisterTaskDefinition", {"family": "web", "containerDefinitions": [container]})
    with simulation.visit() as place:
        group = f"arn:aws:elasticloadbalancing:{place.region}:{place.account}:targetgroup/web/73e2d6bc24d8a067"
    simulation.perform(
        "ecs",
        "CreateService",
        {
            "cluster": DEMO_CLUSTER,
            "serviceName": DEMO_SERVICE,
            "taskDefinition": "web",
            "desiredCount": 3,
            "launchType": "FARGATE",
            "loadBalancers": [{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
        },
    )


def describe_use(url: str, region: str) -> str:
    """How to reach the simulator with the AWS CLI, boto3 and the control API; any keys will do."""
    keys = f"AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION={region}"
    names = f"--cluster {DEMO_CLUSTER} --services {DEMO_SERVICE}"
    return "\n".join(
        (
            f"AWS CLI:  {keys} aws --endpoint-url {url} ecs describe-services {names}",
            f'boto3:    boto3.client("ecs", endpoint_url="{url}", region_name="{region}", aws_access_key_id="any", '
            'aws_secret_access_key="any")',
            f"Control:  curl -X PUT {url}/_simulator/load -d "
            f'\'{{"cluster": "{DEMO_CLUSTER}", "service": "{DEMO_SERVICE}", "requestsPerSecond": 400}}\'',
        )
    )


def main() -> None:
    """Serve until told to end."""
    options = build_parser().parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with SimulatorServer(
        port=options.port,
        speed=options.speed,
        seed=options.seed,
        region=options.region,
        consistency_delay=options.consistency_delay,
    ) as server:
        if options.rate_limits is not None:
            server.limits.enforce(options.rate_limits)
        if options.demo:
            create_demo(server.simulation)
        if options.port_file is not None:
            options.port_file.write_text(server.url.rsplit(":", 1)[-1])
        print(f"listening on {server.url}", flush=True)
        if options.demo:
            print(describe_use(server.url, options.region), flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
