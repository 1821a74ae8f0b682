"""`python -m tests.simulator`: the simulator as a process of its own."""

import argparse
import signal
import threading
from pathlib import Path

from .server import SimulatorServer


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator",
        description="Simulate Amazon ECS and CloudWatch on the loopback interface. Point boto3 clients at it with "
        "endpoint_url; other AWS services are answered by moto. Ends on SIGTERM or SIGINT.",
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 (the default) takes a free one")
    parser.add_argument("--port-file", type=Path, help="file to write the port to once the server listens")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per wall second (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="seed of ids and start-up jitter (default 1)")
    parser.add_argument("--region", default="us-east-1", help="region in ARNs (default us-east-1)")
    parser.add_argument(
        "--consistency-delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="simulated seconds by which reads of ECS services lag behind writes (default 0)",
    )
    return parser


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
        if options.port_file is not None:
            options.port_file.write_text(server.url.rsplit(":", 1)[-1])
        print(f"listening on {server.url}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
