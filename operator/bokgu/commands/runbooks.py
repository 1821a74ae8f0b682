"""`bokgu runbooks`: the built-in runbooks as manifests, to read or to replace."""

import argparse
import sys

import yaml

from bokgu.runbooks import read_documents


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "runbooks",
        help="print the built-in runbooks",
        description="Print the manifests of built-in runbooks: all of them, or those that are named. A Runbook of the"
        " same name in a namespace replaces the built-in one there.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.set_defaults(command=_runbooks)


def _runbooks(options: argparse.Namespace) -> int:
    known = {document["metadata"]["name"]: document for document in read_documents()}
    if unknown := [name for name in options.names if name not in known]:
        print(f"bokgu: no built-in runbook {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 1
    chosen = [known[name] for name in options.names or known]
    print(yaml.safe_dump_all(chosen, sort_keys=False, allow_unicode=True, width=100), end="")
    return 0
