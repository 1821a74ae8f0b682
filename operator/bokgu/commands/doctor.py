"""`bokgu doctor`: whether everything that Bokgu needs is there, and what to do where it is not."""

import argparse
import asyncio
import os
import sys

from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.scope import add_namespaces, choose_namespaces
from bokgu.commands.terminal import progress, wants_colour
from bokgu.config import read_settings
from bokgu.core.doctor.outcome import Level, worst
from bokgu.logs import configure_logs

SOMETHING_FAILED = 3
"""Exit code where a check failed; warnings are no failure."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor",
        help="check that everything that Bokgu needs is there, and say what to do where it is not",
        description="Check the cluster (CRDs, admission policies, the rights of the operator's account, whether it"
        " lives), AWS (who one is, each service, each Detector, clocks), what detection costs a month, the history,"
        " alerts and policies. It reads only, under this account and these AWS credentials, and with the operator's"
        " settings (BOKGU_*) where they are set here. It ends with 0 where nothing failed, and with"
        f" {SOMETHING_FAILED} where a check did.",
    )
    add_namespaces(parser)
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    parser.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from bokgu.commands.doctor_facts import gather_facts  # noqa: PLC0415 - boto3 takes most of a second to import
    from bokgu.commands.doctor_findings import find_bills, judge  # noqa: PLC0415
    from bokgu.commands.doctor_text import describe_outcomes, format_outcomes  # noqa: PLC0415
    from bokgu.core.doctor.cost import sum_up  # noqa: PLC0415

    configure_logs("error")
    settings = read_settings(os.environ)
    with progress("looking at the cluster and AWS"):
        facts = asyncio.run(gather_facts(settings, choose_namespaces(options)))
    outcomes = judge(facts, settings)
    if options.output == "text":
        print(format_outcomes(outcomes, colour=wants_colour(sys.stdout)), end="")
    else:
        print(format_data(describe_outcomes(outcomes, sum_up(find_bills(facts))), options.output), end="")
    return SOMETHING_FAILED if worst(outcomes) is Level.FAILED else 0
