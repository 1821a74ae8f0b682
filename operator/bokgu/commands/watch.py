"""`bokgu watch`: what is open, and what waits for whom, as it changes."""

import argparse
import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from typing import Any, NoReturn, Protocol

from bokgu.api.fields import format_timestamp, parse_duration
from bokgu.api.incident import Incident
from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.overview import Configuration, Entry, Overview, describe_entry, fetch_configuration, fetch_overview
from bokgu.commands.overview_text import NOTHING_OPEN, format_wait, list_changes, list_gone
from bokgu.commands.page import plain
from bokgu.commands.scope import add_namespaces, choose_namespaces
from bokgu.commands.terminal import progress
from bokgu.kube.client import KubeClient, KubeError

EVERY = timedelta(seconds=2)
"""How often the cluster is asked."""

CONFIGURATION_EVERY = 30.0
"""Seconds after which policies and services, which are many and seldom change, are read again."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "watch",
        help="show the same live, until Ctrl-C",
        description="Show what `bokgu status` shows, live, until Ctrl-C. Where standard output is no terminal, or with"
        " -o json, print a line for every change instead, with -o yaml a document. An API server that does not answer"
        " is asked again.",
    )
    add_namespaces(parser)
    parser.add_argument(
        "--every", type=_interval, default=EVERY, metavar="DURATION", help="how often to look, such as 5s (default: 2s)"
    )
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    parser.set_defaults(command=_watch)


def _interval(text: str) -> timedelta:
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not timedelta(seconds=1) <= length <= timedelta(hours=1):
        raise argparse.ArgumentTypeError("must be from 1s to 1h")
    return length


Gone = Sequence[tuple[Entry, str]]
"""Incidents that are open no more, each with what has become of it."""


class Screen(Protocol):
    """Where an overview is shown."""

    def show(self, overview: Overview, gone: Gone) -> None:
        """Show what is open now, and what is no more."""

    def tell_trouble(self, error: KubeError) -> None:
        """Say that the API server does not answer."""


class Lines:
    """A line for every change, for logs and pipes; as data where that is wanted: JSON one line each, YAML one document
    each."""

    def __init__(self, output: str) -> None:
        self._output, self._away = output, False
        self._before: tuple[Entry, ...] | None = None

    def show(self, overview: Overview, gone: Gone) -> None:
        """Print what is new or says something else, and what is open no more."""
        self._away, at = False, format_timestamp(overview.now)
        for entry in list_changes(self._before or (), overview.entries):
            self._print(at, entry, describe_entry(entry), _describe(entry, overview.now))
        for entry, end in gone:
            self._print(at, entry, {**_name(entry), "phase": end}, end)
        if self._before is None and not overview.entries and self._output == "text":
            print(f"{at} {NOTHING_OPEN}", flush=True)
        self._before = overview.entries

    def tell_trouble(self, error: KubeError) -> None:
        """Once, until it answers again."""
        if not self._away:
            said = plain(f"the API server does not answer, and is asked again: {error}")
            print(f"bokgu: {said}", file=sys.stderr, flush=True)
        self._away = True

    def _print(self, at: str, entry: Entry, data: dict[str, Any], text: str) -> None:
        if self._output == "json":
            print(json.dumps({"at": at, **data}), flush=True)
        elif self._output == "yaml":
            print(f"---\n{format_data({'at': at, **data}, 'yaml')}", end="", flush=True)
        else:
            name = f"{entry.incident.metadata.namespace}/{entry.incident.metadata.name}"
            print(f"{at} {plain(f'{name}: {text}')}", flush=True)


def _name(entry: Entry) -> dict[str, Any]:
    return {"namespace": entry.incident.metadata.namespace, "name": entry.incident.metadata.name}


def _describe(entry: Entry, now: datetime) -> str:
    status = entry.incident.status
    reason = f" ({status.reason})" if status.reason else ""
    waits = format_wait(entry.wait, now)
    return f"{entry.incident.spec.severity}, {status.phase}{reason}; waits for {waits}"


def _watch(options: argparse.Namespace) -> int:
    namespace = choose_namespaces(options)
    if options.output == "text" and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from bokgu.commands.live import LiveTable  # noqa: PLC0415 - Rich takes a moment to import

        table = LiveTable(namespace, options.every)
        return asyncio.run(_follow(namespace, options.every, table, shown=table.live))
    return asyncio.run(_follow(namespace, options.every, Lines(options.output), first=progress("reading the cluster")))


async def _follow(
    namespace: str | None,
    every: timedelta,
    screen: Screen,
    *,
    shown: AbstractContextManager[object] | None = None,
    first: AbstractContextManager[object] | None = None,
) -> NoReturn:
    """Look again and again, until Ctrl-C, or an answer that will not change, such as that a right is missing. `shown`
    lasts as long as that, `first` until the screen has something to show."""
    with ExitStack() as whole, ExitStack() as waiting:
        if shown:
            whole.enter_context(shown)
        if first:
            waiting.enter_context(first)
        kube = await KubeClient.connect()
        try:
            await _look_for_ever(kube, namespace, every, screen, waiting)
        finally:
            await kube.close()


async def _look_for_ever(
    kube: KubeClient, namespace: str | None, every: timedelta, screen: Screen, waiting: ExitStack
) -> NoReturn:
    before: tuple[Entry, ...] = ()
    around, read_at = Configuration((), ()), -math.inf
    while True:
        try:
            if time.monotonic() - read_at > CONFIGURATION_EVERY:
                around, read_at = await fetch_configuration(kube, namespace), time.monotonic()
            overview = await fetch_overview(kube, namespace, around)
            gone = [(entry, await _find_end(kube, entry)) for entry in list_gone(before, overview.entries)]
            waiting.close()
            screen.show(overview, gone)
            before = overview.entries
        except KubeError as error:
            if not error.away:
                raise
            waiting.close()
            screen.tell_trouble(error)
        await asyncio.sleep(every.total_seconds())


async def _find_end(kube: KubeClient, entry: Entry) -> str:
    """What has become of an incident that is open no more."""
    metadata = entry.incident.metadata
    body = await kube.get(Incident.plural, metadata.namespace, metadata.name)
    if body is None or body["metadata"]["uid"] != metadata.uid:
        return "deleted"
    status = body.get("status") or {}
    return f"{status.get('phase')} ({status.get('reason')})"
