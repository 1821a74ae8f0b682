"""`bokgu reset`: say that somebody has looked at recoveries that failed, so that others may begin."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

from bokgu.api.fields import format_timestamp
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.commands.completion import complete_with
from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.scope import add_namespace
from bokgu.commands.terminal import ask, progress
from bokgu.kube.client import KubeClient, KubeError, Raw, current_namespace


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "reset",
        help="reset an open breaker",
        description="Set spec.resetBreakerAt of a ProtectedService, or of the namespace's RecoveryPolicy, to now. What"
        " waited meanwhile is not replayed. Where these objects are in Git, commit the field there instead: --print"
        " says how. With -o json or yaml standard output tells what was done, and standard error all the rest.",
    )
    service = parser.add_argument(
        "service", nargs="?", metavar="SERVICE", help="the ProtectedService; default: the breaker of the namespace"
    )
    complete_with(service, ProtectedService)
    add_namespace(parser)
    parser.add_argument("--print", action="store_true", help="print what to commit, and write nothing")
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="how it is told what was done")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask; needed where there is no terminal")
    parser.set_defaults(command=_reset)


def _reset(options: argparse.Namespace) -> int:
    namespace, now = options.namespace or current_namespace(), format_timestamp(datetime.now(UTC))
    kind = ProtectedService if options.service else RecoveryPolicy
    name = options.service or POLICY_NAME
    what = f"{kind.kind_name} {namespace}/{name}"
    if options.print:
        if options.output == "json":
            print(format_data({"spec": {"resetBreakerAt": now}}, "json"), end="")
        else:
            print(f'# {what}\nspec:\n  resetBreakerAt: "{now}"')
        return 0
    people = sys.stdout if options.output == "text" else sys.stderr
    with progress("reading the cluster"):
        body = asyncio.run(_read(kind.plural, namespace, name))
    if body is None:
        create = "" if options.service else ": create one whose spec.resetBreakerAt is now"
        print(f"bokgu: there is no {what}{create}", file=sys.stderr)
        return 1
    breaker = (body.get("status") or {}).get("breaker")
    if breaker is None:
        print(f"the breaker of {what} is closed: nothing to do", file=people)
        _print_done(options, body, changed=False)
        return 0
    failed = f"{', '.join(breaker['plans'])} failed, the last one at {breaker['openedAt']}"
    print(f"{what}: {failed}", file=people, flush=True)
    if now < breaker["openedAt"]:
        print(f"bokgu: here it is {now}: set this machine's clock, the reset would not count", file=sys.stderr)
        return 1
    if not options.yes and not ask("Has somebody found out why, and may others begin?"):
        print("bokgu: nothing was written", file=sys.stderr)
        return 1
    with progress("writing the object"):
        asyncio.run(_write(kind.plural, {**body, "spec": {**body["spec"], "resetBreakerAt": now}}))
    print(f"reset at {now}: plans and incidents from before are not replayed", file=people)
    _print_done(options, body, changed=True, resetBreakerAt=now, breaker=breaker)
    return 0


def _print_done(options: argparse.Namespace, body: Raw, *, changed: bool, **more: Any) -> None:
    """What has been done to the object, for programs; not `changed` where its breaker was closed."""
    if options.output != "text":
        named = {"namespace": body["metadata"]["namespace"], "kind": body["kind"], "name": body["metadata"]["name"]}
        print(format_data({**named, "changed": changed, **more}, options.output), end="")


async def _read(plural: str, namespace: str, name: str) -> Raw | None:
    kube = await KubeClient.connect()
    try:
        return await kube.get(plural, namespace, name)
    finally:
        await kube.close()


async def _write(plural: str, body: Raw) -> None:
    """Raises KubeError, also where somebody has changed the object meanwhile."""
    kube = await KubeClient.connect()
    try:
        await kube.replace(plural, body)
    except KubeError as error:
        if error.conflict:
            raise OSError("it has changed meanwhile: look again") from error
        raise
    finally:
        await kube.close()
