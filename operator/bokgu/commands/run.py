"""`bokgu run`: the operator itself."""

import argparse
import asyncio
import os
import signal
import sys

from bokgu.config import LOG_LEVELS, read_settings
from bokgu.logs import configure_logs, find_secrets


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator until SIGTERM. The account comes from KUBECONFIG or from the pod; settings come"
        " from environment variables named BOKGU_…",
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="default: that of BOKGU_LOG_LEVEL, else info")
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # Until the operator handles it: imports take a while.
    from bokgu.runtime.run import run_operator  # noqa: PLC0415 - kopf and boto3 take most of a second to import

    settings = read_settings(os.environ)
    configure_logs(options.log_level or settings.log_level, find_secrets(os.environ))
    asyncio.run(run_operator(settings))
    return 0
