"""`bokgu plan`: what would be planned against an incident now, and why."""

import argparse
import asyncio
import os
import sys

from bokgu.api.incident import Incident
from bokgu.commands.completion import complete_with
from bokgu.commands.data import FORMATS
from bokgu.commands.scope import add_namespace
from bokgu.commands.terminal import progress
from bokgu.config import read_settings
from bokgu.kube.client import current_namespace
from bokgu.logs import configure_logs


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "plan",
        help="show what would be planned against an incident, and why",
        description="Read the cluster and AWS as the operator does, and print the plan that it would make against an"
        " incident now, or why it would make none: which runbook, why not the others, and what holds it up. Nothing is"
        " changed. The account comes from KUBECONFIG, AWS credentials from the usual places.",
    )
    incident = parser.add_argument("--incident", required=True, metavar="NAME", help="name of the Incident")
    complete_with(incident, Incident)
    add_namespace(parser)
    parser.add_argument("--dry-run", action="store_true", help="required: plans are made by the operator alone")
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    parser.set_defaults(command=_plan)


def _plan(options: argparse.Namespace) -> int:
    if not options.dry_run:
        print(
            "bokgu: plans are made by the operator, not by hand: add --dry-run to see what it would do", file=sys.stderr
        )
        return 2
    from bokgu.commands.forecast import forecast  # noqa: PLC0415 - boto3 takes most of a second to import
    from bokgu.commands.forecast_text import format_forecast  # noqa: PLC0415

    configure_logs("warning")
    namespace = options.namespace or current_namespace()
    with progress("reading the cluster and AWS"):
        found = asyncio.run(forecast(read_settings(os.environ), namespace, options.incident))
    if found is None:
        print(f"bokgu: there is no Incident {options.incident} in namespace {namespace}", file=sys.stderr)
        return 1
    print(format_forecast(found, options.output), end="")
    return 0
