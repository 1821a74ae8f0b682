"""`bokgu status`: what is open, and what waits for whom."""

import argparse
import asyncio
import sys

from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.overview import Overview, describe_overview, fetch_configuration, fetch_overview
from bokgu.commands.overview_text import format_overview
from bokgu.commands.scope import add_namespaces, choose_namespaces
from bokgu.commands.terminal import progress, wants_colour
from bokgu.kube.client import KubeClient


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "status",
        help="show what is open, and what waits for whom",
        description="Show the open incidents, the worst and oldest first, what each of them waits for (a role, a"
        " person, a gate, AWS) and how long, and what is held beyond them: pauses, storms, open breakers. It reads the"
        " cluster only. `bokgu explain INCIDENT` tells one of them in full.",
    )
    add_namespaces(parser)
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    parser.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> int:
    with progress("reading the cluster"):
        overview = asyncio.run(_fetch(choose_namespaces(options)))
    if options.output == "text":
        print(format_overview(overview, colour=wants_colour(sys.stdout)), end="")
    else:
        print(format_data(describe_overview(overview), options.output), end="")
    return 0


async def _fetch(namespace: str | None) -> Overview:
    kube = await KubeClient.connect()
    try:
        return await fetch_overview(kube, namespace, await fetch_configuration(kube, namespace))
    finally:
        await kube.close()
