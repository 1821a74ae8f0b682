"""`bokgu replay`: what today's rules would have done on incidents of the past."""

import argparse
import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bokgu.api.protected_service import ProtectedService
from bokgu.commands.completion import complete_with
from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.page import plain
from bokgu.commands.replay_cases import find_case_files, read_cases
from bokgu.commands.replays import Replays, describe_replays, fetch_replays, replay_cases
from bokgu.commands.replays_text import format_replays
from bokgu.commands.scope import add_namespace
from bokgu.commands.terminal import progress, wants_colour
from bokgu.config import parse_age, read_settings
from bokgu.kube.client import current_namespace
from bokgu.logs import configure_logs

DESCRIPTION = """Tell of each incident of the past what was decided then and what today's rules would decide: the cause,
the first plan, what would hold it, and by what came of it then whether that is better or worse. Incidents come from the
cluster and its history (BOKGU_HISTORY says which), or from files as `bokgu diagnose` reads them: these hold the
evidence, so that the cause is told anew. What is not known is said. Nothing is written."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "replay", help="tell what today's rules would have done on past incidents", description=DESCRIPTION
    )
    parser.add_argument(
        "-f",
        "--file",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a case, or a folder of cases (*.json), instead of the history; may be repeated. The cluster is asked for"
        " its rules only where --namespace is given too",
    )
    parser.add_argument("--since", type=_age, metavar="AGE", help="incidents that began within it, such as 30d or 12h")
    service = parser.add_argument("--service", metavar="NAME", help="incidents of this ProtectedService only")
    complete_with(service, ProtectedService)
    add_namespace(parser)
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    parser.set_defaults(command=_replay)


def _age(text: str) -> timedelta:
    try:
        return parse_age(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _replay(options: argparse.Namespace) -> int:
    configure_logs("error")
    since = datetime.now(UTC) - options.since if options.since else None
    problems: tuple[str, ...] = ()
    if options.file:
        with progress("reading the cases"):
            cases, problems = read_cases(find_case_files(options.file))
        for problem in problems:
            print(f"bokgu: {plain(problem)}", file=sys.stderr)
        with progress("replaying"):
            found = asyncio.run(replay_cases(cases, options.namespace, service=options.service, since=since))
    else:
        namespace = options.namespace or current_namespace()
        with progress("reading the cluster and the history"):
            settings = read_settings(os.environ)
            found = asyncio.run(fetch_replays(settings, namespace, service=options.service, since=since))
    _print(found, options.output)
    return 1 if problems else 0


def _print(found: Replays, output: str) -> None:
    if output == "text":
        print(format_replays(found, colour=wants_colour(sys.stdout)), end="")
    else:
        print(format_data(describe_replays(found), output), end="")
