"""The `bokgu` command."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from bokgu import __version__
from bokgu.api.crds import write_crds
from bokgu.config import BadSetting, read_settings
from bokgu.kube.client import KubeError
from bokgu.logs import configure_logs


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 when it failed, 2 for unknown words, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        return 130
    except (BadSetting, KubeError, OSError) as error:
        print(f"bokgu: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bokgu", description="Recovers incidents on Amazon ECS, with approvals.")
    parser.add_argument("--version", action="version", version=f"bokgu {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator until SIGTERM. The account comes from KUBECONFIG or from the pod; settings come"
        " from environment variables named BOKGU_…",
    )
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    run.set_defaults(command=_run)
    crds = commands.add_parser("crds", help="write the CustomResourceDefinitions into a folder")
    crds.add_argument("--out", type=Path, default=Path("crds"), metavar="FOLDER", help="default: %(default)s")
    crds.set_defaults(command=_crds)
    return parser


def _run(options: argparse.Namespace) -> int:
    from bokgu.runtime.run import run_operator  # noqa: PLC0415 - kopf and boto3 take most of a second to import

    configure_logs(options.log_level)
    asyncio.run(run_operator(read_settings(os.environ)))
    return 0


def _crds(options: argparse.Namespace) -> int:
    for path in write_crds(options.out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
