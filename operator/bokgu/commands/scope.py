"""Which namespaces a command is about: options as kubectl has them."""

import argparse

from bokgu.kube.client import current_namespace


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """One namespace, that of the context where none is named."""
    parser.add_argument("-n", "--namespace", help="its namespace (default: that of the kubeconfig's context)")


def add_namespaces(parser: argparse.ArgumentParser) -> None:
    """One namespace, or all of them."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-n", "--namespace", help="this one (default: that of the kubeconfig's context)")
    which.add_argument("-A", "--all-namespaces", action="store_true", help="all that this account may list")


def choose_namespaces(options: argparse.Namespace) -> str | None:
    """The namespace, None for all of them."""
    return None if options.all_namespaces else options.namespace or current_namespace()
