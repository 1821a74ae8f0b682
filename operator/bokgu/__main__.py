"""The `bokgu` command."""

import argparse
import sys

from bokgu import __version__
from bokgu.api.history import HistoryError
from bokgu.commands import approve, crds, diagnose, history, plan, reset, run, runbooks
from bokgu.config import BadSetting
from bokgu.kube.client import KubeError

COMMANDS = (run, crds, diagnose, history, plan, approve, reset, runbooks)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 when it failed, 2 for unknown words, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        return 130
    except (BadSetting, HistoryError, KubeError, OSError) as error:
        print(f"bokgu: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bokgu", description="Recovers incidents on Amazon ECS, with approvals.")
    parser.add_argument("--version", action="version", version=f"bokgu {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
