"""The `bokgu` command, also as `kubectl bokgu`."""

import argparse
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from bokgu import __version__
from bokgu.api.history import HistoryError
from bokgu.api.unchecked import Unreadable
from bokgu.commands import (
    approve,
    cancel,
    completion,
    crds,
    diagnose,
    doctor,
    explain,
    history,
    iam_policy,
    plan,
    reject,
    replay,
    report,
    reset,
    run,
    runbooks,
    status,
    watch,
)
from bokgu.commands.page import plain
from bokgu.config import BadSetting
from bokgu.kube.client import KubeError

COMMANDS = (
    *(status, watch, explain, plan, report),
    *(approve, reject, cancel, reset),
    *(doctor, iam_policy, replay, diagnose, history, runbooks, crds, completion, run),
)
"""In the order of `--help`: looking, deciding, all the rest."""

DESCRIPTION = """Recovers incidents on Amazon ECS, with approvals. What is open: status, watch, explain, plan. What
happened: report. What people decide: approve, reject, cancel, reset."""

EXIT_CODES = """exit codes: 0 done; 1 not done, standard error says why; 2 wrong words; 3 a check of doctor failed; 130
ended by Ctrl-C; 141 nobody reads the output any more"""

BROKEN_PIPE = 141
"""128 and the number of SIGPIPE, as shells say it."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 when it failed, 2 for unknown words, 3 where a check of `doctor`
    failed, 130 after Ctrl-C, 141 where nobody reads the output."""
    parser = build_parser()
    completion.complete(parser)
    options = parser.parse_args(arguments)
    try:
        code = int(options.command(options))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # What is left is not flushed into the pipe.
        return BROKEN_PIPE
    except KubeError as error:
        print(f"bokgu: {plain(str(error))}{_advise(error)}", file=sys.stderr)
        return 1
    except ValidationError as error:
        print(f"bokgu: this version of bokgu cannot read {error.title}: use the operator's version", file=sys.stderr)
        return 1
    except Unreadable as error:
        print(f"bokgu: {plain(str(error))}: use the operator's version", file=sys.stderr)
        return 1
    except (BadSetting, HistoryError, OSError) as error:
        print(f"bokgu: {plain(str(error))}", file=sys.stderr)
        return 1
    return code


def _advise(error: KubeError) -> str:
    """What to do about an answer of the API server, where its own words do not say."""
    if error.status == 401:
        return ". Log in to the cluster again"
    if error.status == 403:
        return ". Ask for the ClusterRole bokgu-viewer in that namespace, which may read all of Bokgu"
    if error.status == 404:
        return ". If the cluster does not know the kind: apply crds/"
    if error.reason == "Unreachable":
        return ". Is it the right cluster (kubectl config current-context), and does kubectl reach it?"
    return ""


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    parser = argparse.ArgumentParser(
        prog="kubectl bokgu" if plugin else "bokgu", description=DESCRIPTION, epilog=EXIT_CODES
    )
    parser.add_argument("--version", action="version", version=f"bokgu {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def complete_for_kubectl() -> int:
    """`kubectl_complete-bokgu`, which kubectl calls to complete `kubectl bokgu`."""
    print(completion.complete_for_kubectl(build_parser(), sys.argv[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
