"""`bokgu reset`: say that somebody has looked at recoveries that failed, so that others may begin."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from bokgu.api.fields import format_timestamp
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.commands.terminal import ask
from bokgu.kube.client import KubeClient, KubeError, Raw, current_namespace


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "reset",
        help="reset an open breaker",
        description="Set spec.resetBreakerAt of a ProtectedService, or of the namespace's RecoveryPolicy, to now. What"
        " waited meanwhile is not replayed. Where these objects are in Git, commit the field there instead: --print"
        " says how.",
    )
    parser.add_argument(
        "service", nargs="?", metavar="SERVICE", help="the ProtectedService; default: the breaker of the namespace"
    )
    parser.add_argument("-n", "--namespace", help="its namespace (default: that of the kubeconfig's context)")
    parser.add_argument("--print", action="store_true", help="print what to commit, and write nothing")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask; needed where there is no terminal")
    parser.set_defaults(command=_reset)


def _reset(options: argparse.Namespace) -> int:
    namespace, now = options.namespace or current_namespace(), format_timestamp(datetime.now(UTC))
    kind = ProtectedService if options.service else RecoveryPolicy
    name = options.service or POLICY_NAME
    what = f"{kind.kind_name} {namespace}/{name}"
    if options.print:
        print(f'# {what}\nspec:\n  resetBreakerAt: "{now}"')
        return 0
    body = asyncio.run(_read(kind.plural, namespace, name))
    if body is None:
        create = "" if options.service else ": create one whose spec.resetBreakerAt is now"
        print(f"bokgu: there is no {what}{create}", file=sys.stderr)
        return 1
    breaker = (body.get("status") or {}).get("breaker")
    if breaker is None:
        print(f"the breaker of {what} is closed: nothing to do")
        return 0
    print(f"{what}: {', '.join(breaker['plans'])} failed, the last one at {breaker['openedAt']}")
    if now < breaker["openedAt"]:
        print(f"bokgu: here it is {now}: set this machine's clock, the reset would not count", file=sys.stderr)
        return 1
    if not options.yes and not ask("Has somebody found out why, and may others begin?"):
        print("bokgu: nothing was written", file=sys.stderr)
        return 1
    asyncio.run(_write(kind.plural, {**body, "spec": {**body["spec"], "resetBreakerAt": now}}))
    print(f"reset at {now}: plans and incidents from before are not replayed")
    return 0


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
