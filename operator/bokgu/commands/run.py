"""`bokgu run`: the operator itself."""

import argparse
import asyncio
import os

from bokgu.config import read_settings
from bokgu.logs import configure_logs


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator until SIGTERM. The account comes from KUBECONFIG or from the pod; settings come"
        " from environment variables named BOKGU_…",
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from bokgu.runtime.run import run_operator  # noqa: PLC0415 - kopf and boto3 take most of a second to import

    configure_logs(options.log_level)
    asyncio.run(run_operator(read_settings(os.environ)))
    return 0
