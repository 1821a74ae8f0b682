"""`bokgu report`: the story of one incident as a file, for those who look back on it."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bokgu.api.history import HistoryError
from bokgu.api.incident import Incident
from bokgu.commands.completion import complete_with
from bokgu.commands.report_model import Report
from bokgu.commands.report_past import build_past_report
from bokgu.commands.report_plots import Measured, Window, choose_window
from bokgu.commands.report_sources import Past, Present, Surroundings, fetch_around, fetch_present
from bokgu.commands.report_story import build_report
from bokgu.commands.scope import add_namespace
from bokgu.commands.terminal import progress
from bokgu.config import Settings, read_settings
from bokgu.core.history import detected_at
from bokgu.kube.client import KubeClient, current_namespace
from bokgu.logs import configure_logs


@dataclass(frozen=True)
class Form:
    """How a report is written, and what tells that a file is one of that incident."""

    write: Callable[[Report], str]
    mark: Callable[[str, str], str]


FORMATS = ("html", "md")

FOREIGN = 64 * 1024
"""Bytes of a file that are looked at for the mark."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "report",
        help="write the story of one incident: timeline, metrics, plans, approvals, cost",
        description="Write a report of one incident: what happened in a few sentences, what is left for a person, how"
        " many minutes each stage took, metrics before, during and after, timeline, evidence, plans with what was sent"
        " and what came of it, approvals, gates and similar incidents. One HTML file that loads nothing, or Markdown."
        " It reads the cluster, where the Incident is gone the history (as BOKGU_HISTORY and its settings say), and"
        " CloudWatch with your own AWS credentials, from the usual places. Where AWS cannot be read the report says so"
        " in the place of the metrics.",
    )
    name = parser.add_argument(
        "incident", metavar="INCIDENT", help="name of the Incident; of one that only DynamoDB knows its id"
    )
    complete_with(name, Incident)
    add_namespace(parser)
    parser.add_argument("-o", "--output", choices=FORMATS, default="html", help="default: %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write it to this file, or to INCIDENT.html or .md in this folder (default: standard output). Only an"
        " earlier report of the same incident is replaced",
    )
    parser.add_argument("--no-metrics", action="store_true", help="leave the metrics out: AWS is not asked")
    parser.add_argument(
        "--environment",
        default="production",
        metavar="NAME",
        help="of a history in DynamoDB, whose tables it names (default: %(default)s)",
    )
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    configure_logs("warning")
    namespace = options.namespace or current_namespace()
    report = asyncio.run(_tell(read_settings(os.environ), namespace, options))
    if report is None:
        print(
            f"bokgu: there is no Incident {options.incident} in namespace {namespace}, and the history knows of none:"
            " `kubectl get incidents -A` lists those of the cluster",
            file=sys.stderr,
        )
        return 1
    for problem in _list_problems(report.measured):
        print(f"bokgu: metrics are missing in the report: {problem}", file=sys.stderr)
    form = _choose_form(options.output)
    text = form.write(report)
    if options.out is None:
        print(text, end="")
        return 0
    path = options.out / f"{report.name}.{options.output}" if options.out.is_dir() else options.out
    return _write(path, text, form.mark(report.namespace, report.name))


def _choose_form(output: str) -> Form:
    from bokgu.commands.report_html import format_html, html_mark  # noqa: PLC0415 - other commands need no Jinja
    from bokgu.commands.report_markdown import format_markdown, markdown_mark  # noqa: PLC0415 - as above

    return Form(format_html, html_mark) if output == "html" else Form(format_markdown, markdown_mark)


def _list_problems(measured: Measured | None) -> tuple[str, ...]:
    """What was not answered, each once."""
    if measured is None:
        return ()
    found = (measured.problem, *(plot.problem for plot in measured.plots))
    return tuple(dict.fromkeys(problem for problem in found if problem))


def _write(path: Path, text: str, mark: str) -> int:
    """Write the file, unless there is one that is something else."""
    if path.is_file():
        with path.open("rb") as file:
            known = mark.encode() in file.read(FOREIGN)
        if not known:
            print(
                f"bokgu: {path} is no report of this incident, and stays as it is: name another file", file=sys.stderr
            )
            return 1
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)
    return 0


async def _tell(settings: Settings, namespace: str, options: argparse.Namespace) -> Report | None:
    """Read what there is, and tell it. Raises KubeError, HistoryError, ValidationError."""
    kube = await KubeClient.connect()
    try:
        with progress("reading the cluster"):
            present = await fetch_present(kube, namespace, options.incident)
        if present is not None:
            measured = None if options.no_metrics else await _measure_present(settings, present)
            return build_report(present, measured)
        with progress("reading the history"):
            past = await _look_up(settings, kube, namespace, options)
        if past is None:
            return None
        return build_past_report(past, None if options.no_metrics else await _measure_past(settings, past))
    finally:
        await kube.close()


async def _look_up(settings: Settings, kube: KubeClient, namespace: str, options: argparse.Namespace) -> Past | None:
    from bokgu.aws.client import AwsClient  # noqa: PLC0415 - boto3 takes most of a second to import
    from bokgu.history.opening import open_history  # noqa: PLC0415 - as above

    aws = AwsClient(
        settings.aws_endpoint_url, settings.aws_threads, settings.aws_quotas, settings.own_grant, settings.own_patterns
    )
    try:
        history = open_history(settings, kube, aws)
        record = await history.look_up(namespace, options.environment, options.incident)
    except HistoryError as error:
        what = f"there is no Incident {options.incident} in namespace {namespace}, and the history cannot be read"
        raise HistoryError(error.reason, f"{what}: {error.message}") from error
    finally:
        aws.close()
    return await fetch_around(kube, namespace, record) if record else None


async def _measure_present(settings: Settings, present: Present) -> Measured:
    incident, around = present.incident, present.around
    status = incident.status
    window = choose_window(detected_at(incident), status.resolved_at, around.now, settings.minute)
    return await _measure(settings, incident, around, window)


async def _measure_past(settings: Settings, past: Past) -> Measured:
    record, around = past.record, past.around
    window = choose_window(record.detected_at, record.resolved_at, around.now, settings.minute)
    return await _measure(settings, None, around, window)


async def _measure(settings: Settings, incident: Incident | None, around: Surroundings, window: Window) -> Measured:
    from bokgu.aws.client import AwsClient  # noqa: PLC0415 - boto3 takes most of a second to import
    from bokgu.commands.report_metrics import fetch_measured  # noqa: PLC0415 - as above

    aws = AwsClient(
        settings.aws_endpoint_url, settings.aws_threads, settings.aws_quotas, own_patterns=settings.own_patterns
    )
    try:
        with progress("reading CloudWatch"):
            return await fetch_measured(aws, incident, around, window, settings.minute)
    finally:
        aws.close()
