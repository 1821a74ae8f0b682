"""`python -m tests.simulator.measure`: what a world of many services costs in CPU time.

Services behind load balancers run and publish their metrics, nobody reads. The figure is the process's own CPU time
(user and system, all threads) over the wall time that the simulated minutes took.
"""

import argparse
import json
import resource
import time
from dataclasses import asdict, dataclass

from .clock import METRIC_PERIOD_SECONDS
from .server import SimulatorServer
from .simulation import Simulation

CLUSTER = "measured"
_SETTLE_WALL_SECONDS = 60.0


@dataclass(frozen=True)
class Measurement:
    """What came out. `cpu_percent` is of one core; `points` counts the samples that metrics got meanwhile."""

    services: int
    tasks: int
    speed: float
    simulated_minutes: float
    wall_seconds: float
    cpu_seconds: float
    cpu_percent: float
    metrics: int
    points: int
    memory_mib: float


def create_services(simulation: Simulation, services: int, tasks: int) -> None:
    """`services` Fargate services of `tasks` tasks each, every one behind a load balancer of its own."""
    simulation.perform("ecs", "CreateCluster", {"clusterName": CLUSTER})
    container = {"name": "app", "image": "app:1", "environment": [{"name": "SIM_CAPACITY_RPS", "value": "60"}]}
    simulation.perform("ecs", "RegisterTaskDefinition", {"family": "app", "containerDefinitions": [container]})
    for number in range(services):
        group = f"targetgroup/app-{number}/{number:016x}"
        balancer = {
            "targetGroupArn": f"arn:aws:elasticloadbalancing:us-east-1:123456789012:{group}",
            "containerName": "app",
            "containerPort": 80,
        }
        simulation.perform(
            "ecs",
            "CreateService",
            {
                "cluster": CLUSTER,
                "serviceName": f"app-{number}",
                "taskDefinition": "app",
                "desiredCount": tasks,
                "launchType": "FARGATE",
                "loadBalancers": [balancer],
            },
        )


def wait_settled(simulation: Simulation, services: int, tasks: int) -> None:
    """Wait until every task runs and every deployment is completed; TimeoutError after a minute of wall time."""
    deadline = time.monotonic() + _SETTLE_WALL_SECONDS
    while True:
        with simulation.visit() as place:
            settled = [
                service
                for service in place.ecs.services.values()
                if service.steady and sum(task.healthy for task in service.tasks.values()) == tasks
            ]
        if len(settled) == services:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{services - len(settled)} services did not settle")
        time.sleep(0.2)


def measure(*, services: int, tasks: int, speed: float, minutes: float) -> Measurement:
    """Let `minutes` of simulated time pass over a settled world, and say what they cost."""
    with SimulatorServer(speed=speed) as server:
        create_services(server.simulation, services, tasks)
        wait_settled(server.simulation, services, tasks)
        points_before = count_points(server.simulation)[1]
        cpu, wall = time.process_time(), time.monotonic()
        time.sleep(minutes * METRIC_PERIOD_SECONDS / speed)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        metrics, points = count_points(server.simulation)
    return Measurement(
        services=services,
        tasks=tasks,
        speed=speed,
        simulated_minutes=minutes,
        wall_seconds=round(wall, 1),
        cpu_seconds=round(cpu, 2),
        cpu_percent=round(100 * cpu / wall, 1),
        metrics=metrics,
        points=points - points_before,
        memory_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 0),
    )


def count_points(simulation: Simulation) -> tuple[int, int]:
    """How many metrics the default account and region have, and how many samples."""
    with simulation.visit() as place:
        series = [place.metrics.get(name) for name in place.metrics.names()]
    return len(series), sum(len(entry.times) for entry in series if entry is not None)


def main() -> None:
    """Measure as the command line says, and print JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator.measure", description="Measure the simulator's share of one core."
    )
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=3, help="tasks of each service (default 3)")
    parser.add_argument("--speed", type=float, default=60.0, help="simulated seconds per wall second (default 60)")
    parser.add_argument("--minutes", type=float, default=30.0, help="simulated minutes to measure (default 30)")
    options = parser.parse_args()
    found = measure(services=options.services, tasks=options.tasks, speed=options.speed, minutes=options.minutes)
    print(json.dumps(asdict(found), indent=2))


if __name__ == "__main__":
    main()
