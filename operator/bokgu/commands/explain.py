"""`bokgu explain`: one incident in full: why this cause, why this plan or none, what holds it, and what to do."""

import argparse
import asyncio
import sys

from bokgu.api.incident import Incident
from bokgu.commands.completion import complete_with
from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.explanation import Explanation, describe_explanation, fetch_explanation
from bokgu.commands.explanation_text import format_explanation
from bokgu.commands.scope import add_namespace
from bokgu.commands.terminal import progress, wants_colour
from bokgu.kube.client import KubeClient, current_namespace


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "explain",
        help="tell one incident in full: cause, plan, gates, what to do",
        description="Tell why an incident is said to have its cause, with the evidence quoted; why it has this plan, or"
        " none; which gates hold it, and until when; what happens if nobody does anything; and what to do next. It"
        " reads the cluster only, and tells what the operator has written there.",
    )
    complete_with(parser.add_argument("incident", metavar="INCIDENT", help="name of the Incident"), Incident)
    add_namespace(parser)
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    parser.set_defaults(command=_explain)


def _explain(options: argparse.Namespace) -> int:
    namespace = options.namespace or current_namespace()
    with progress("reading the cluster"):
        found = asyncio.run(_fetch(namespace, options.incident))
    if found is None:
        print(
            f"bokgu: there is no Incident {options.incident} in namespace {namespace}: `bokgu status -A` lists what is"
            " open, `kubectl get incidents -A` all of them",
            file=sys.stderr,
        )
        return 1
    if options.output == "text":
        print(format_explanation(found, colour=wants_colour(sys.stdout)), end="")
    else:
        print(format_data(describe_explanation(found), options.output), end="")
    return 0


async def _fetch(namespace: str, name: str) -> Explanation | None:
    kube = await KubeClient.connect()
    try:
        return await fetch_explanation(kube, namespace, name)
    finally:
        await kube.close()
