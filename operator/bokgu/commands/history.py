"""`bokgu history`: makes the tables of the history in DynamoDB, and imports records of another system."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.terminal import progress, tell
from bokgu.config import BadSetting, HistoryBackend, Settings, read_settings

T = TypeVar("T")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "history",
        help="make the tables of the history in DynamoDB, or import old ones",
        description="Work on the history of incidents. Region, role and prefix of the tables are those of the operator:"
        " BOKGU_HISTORY_REGION, BOKGU_HISTORY_ROLE_ARN and BOKGU_HISTORY_TABLE_PREFIX.",
    )
    words = parser.add_subparsers(required=True, metavar="WHAT")
    init = words.add_parser(
        "init",
        help="make the tables that are missing",
        description="Make the three tables of an environment: on demand, with point-in-time recovery, and with TTL on"
        " incidents. What is there already stays as it is, so that it can be repeated.",
    )
    init.add_argument(
        "--environment", action="append", metavar="NAME", help="of the ProtectedServices; may be repeated (production)"
    )
    init.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    init.set_defaults(command=_init)
    import_ = words.add_parser(
        "import",
        help="read the tables of another system",
        description="Read `<from-prefix>-<from-environment>-incidents` and its two sisters, and store what they hold in"
        " the history that BOKGU_HISTORY names. Bad items are told and left out. It can be repeated.",
    )
    import_.add_argument("--from-prefix", required=True, metavar="PREFIX", help="prefix of the tables to read")
    import_.add_argument("--from-environment", required=True, metavar="NAME", help="environment in their names")
    import_.add_argument("--environment", metavar="NAME", help="environment to store it for; default: the same")
    import_.add_argument("--namespace", metavar="NAME", help="namespace to keep it in, for BOKGU_HISTORY=kubernetes")
    import_.add_argument("--dry-run", action="store_true", help="read and check only")
    import_.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    import_.set_defaults(command=_import)


def _init(options: argparse.Namespace) -> int:
    from bokgu.aws.client import AwsClient  # noqa: PLC0415 - boto3 takes most of a second to import
    from bokgu.history.opening import open_tables  # noqa: PLC0415 - as above
    from bokgu.history.setup import TableReport, create_tables  # noqa: PLC0415 - as above

    settings = _settings()

    async def run(aws: AwsClient) -> list[TableReport]:
        tables = open_tables(settings, aws)
        reports: list[TableReport] = []
        for environment in dict.fromkeys(options.environment or ["production"]):
            reports += await create_tables(aws, tables.place(environment), tell)
        return reports

    reports = _with_aws(settings, "making the tables", run)
    if options.output != "text":
        print(format_data({"tables": [asdict(report) for report in reports]}, options.output), end="")
    else:
        for report in reports:
            done = ", ".join(report.done) or "nothing to do"
            print(f"{report.table}: {done}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from bokgu.aws.client import AwsClient  # noqa: PLC0415 - boto3 takes most of a second to import
    from bokgu.history.importing import ImportReport, import_tables, read_tables  # noqa: PLC0415 - as above
    from bokgu.history.opening import open_history, open_tables  # noqa: PLC0415 - as above
    from bokgu.history.tables import Place  # noqa: PLC0415 - as above
    from bokgu.kube.client import KubeClient  # noqa: PLC0415 - as above

    settings = _settings()
    environment = options.environment or options.from_environment
    source = Place(options.from_prefix, options.from_environment, settings.history_region, settings.history_role_arn)
    in_cluster = settings.history is HistoryBackend.KUBERNETES
    if in_cluster and not options.namespace:
        raise BadSetting("--namespace is missing: BOKGU_HISTORY=kubernetes keeps the history in a namespace")
    if not in_cluster and (source.prefix, source.environment) == (settings.history_table_prefix, environment):
        raise BadSetting("the tables to read are those of the history itself: nothing to import")

    async def run(aws: AwsClient) -> ImportReport:
        records, report = await read_tables(aws, source, tell)
        if options.dry_run:
            return report
        update = {"environment": environment, "namespace": options.namespace or ""}
        records = [record.model_copy(update=update) for record in records]
        if not in_cluster:
            return await import_tables(open_tables(settings, aws), records, report, tell)
        kube = await KubeClient.connect()
        try:
            # All at once: what waits for a ConfigMap is stored in it with one write.
            history = open_history(settings, kube, aws)
            return await import_tables(history, records, report, tell, at_once=len(records))
        finally:
            await kube.close()

    report = _with_aws(settings, "reading the tables" if options.dry_run else "importing the tables", run)
    for bad in report.bad:
        tell(f"left out: {bad.table} {bad.id}: {bad.reason}")
    if options.output != "text":
        print(format_data({**asdict(report), "dryRun": options.dry_run}, options.output), end="")
    else:
        would = "would be stored" if options.dry_run else "stored"
        stored = report.readable if options.dry_run else report.stored
        print(f"{stored} incidents {would}, {report.plans} plans with them; {len(report.bad)} items left out")
    return 0


def _settings() -> Settings:
    """The operator's settings; a region is needed here whatever keeps the history."""
    settings = read_settings(os.environ)
    if not settings.history_region:
        raise BadSetting("no region: set BOKGU_HISTORY_REGION or AWS_REGION")
    return settings


def _with_aws(settings: Settings, what: str, run: Callable[[Any], Awaitable[T]]) -> T:
    from bokgu.aws.client import AwsClient  # noqa: PLC0415 - boto3 takes most of a second to import

    async def open_and_run() -> T:
        aws = AwsClient(
            settings.aws_endpoint_url,
            settings.aws_threads,
            settings.aws_quotas,
            settings.own_grant,
            settings.own_patterns,
        )
        try:
            return await run(aws)
        finally:
            aws.close()

    with progress(what):
        return asyncio.run(open_and_run())
