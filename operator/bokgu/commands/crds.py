"""`bokgu crds`: the CustomResourceDefinitions as files."""

import argparse
from pathlib import Path

from bokgu.api.crds import write_crds


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("crds", help="write the CustomResourceDefinitions into a folder")
    parser.add_argument("--out", type=Path, default=Path("crds"), metavar="FOLDER", help="default: %(default)s")
    parser.set_defaults(command=_crds)


def _crds(options: argparse.Namespace) -> int:
    for path in write_crds(options.out):
        print(path)
    return 0
