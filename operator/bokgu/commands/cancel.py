"""`bokgu cancel`: stops a plan at once, by a Reject on the cluster, or holds it with `spec.suspend`."""

import argparse
import asyncio
import sys
from typing import TextIO

from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.commands.approve import role_name, say
from bokgu.commands.completion import complete_with
from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.scope import add_namespace
from bokgu.commands.terminal import ask, progress
from bokgu.core.awaiting import current_step
from bokgu.kube.client import KubeClient, KubeError, Raw, current_namespace

DESCRIPTION = """Stop a plan at once. Show it, ask, and create a Reject on the cluster, in your name and as whichever of
its roles you hold: a plan that has not begun ends; of one that runs, what was done is undone where that is possible.
Where people reject through Git or with keys, use `bokgu reject`. With --hold the plan is only held before its next
step (spec.suspend), and with --release it goes on; that needs the right to update RecoveryPlans. With -o json or yaml
standard output tells what was done, and standard error all the rest."""

TRIES = 5
"""How often a plan that the operator has written to meanwhile is read and written anew."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("cancel", help="stop a plan and undo it, or hold it", description=DESCRIPTION)
    complete_with(parser.add_argument("plan", metavar="PLAN", help="name of the RecoveryPlan"), RecoveryPlan)
    add_namespace(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--hold", action="store_true", help="hold it before its next step, and undo nothing")
    how.add_argument("--release", action="store_true", help="let a plan go on that is held so")
    parser.add_argument(
        "--role", metavar="ROLE", type=role_name, help="as which role (default: the first of the plan's that you hold)"
    )
    parser.add_argument("--reason", metavar="TEXT", help="why, for the record")
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="how it is told what was done")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask; needed where there is no terminal")
    parser.set_defaults(command=_cancel, parser=parser)


def _cancel(options: argparse.Namespace) -> int:
    if options.hold or options.release:
        if options.role or options.reason:
            options.parser.error("--hold and --release write spec.suspend: there is no --role or --reason to it")
        return _hold(options)
    nothing = dict.fromkeys(("step", "valid_for", "approver", "sign", "carried_by", "out"))
    words = {"reject": True, "find_role": True, "apply": True, "output": "text", **nothing}
    said = say(argparse.Namespace(**{**vars(options), **words}), _for_people(options))
    if said is None:
        return 1
    namespace, spec = said.manifest["metadata"]["namespace"], said.manifest["spec"]
    print(f"follow it: bokgu watch -n {namespace}", file=sys.stderr)
    by = {"planApproval": said.manifest["metadata"]["name"], "role": spec["role"], "approver": spec["approver"]}
    _print_done(options, namespace, "Rejected", changed=said.new, **by)
    return 0


def _for_people(options: argparse.Namespace) -> TextIO:
    return sys.stdout if options.output == "text" else sys.stderr


def _print_done(options: argparse.Namespace, namespace: str, done: str, *, changed: bool, **more: str) -> None:
    """What has been done to the plan, for programs; not `changed` where it was so before."""
    if options.output != "text":
        data = {"namespace": namespace, "plan": options.plan, "done": done, "changed": changed, **more}
        print(format_data(data, options.output), end="")


def _hold(options: argparse.Namespace) -> int:
    namespace, name = options.namespace or current_namespace(), options.plan
    done, people = "Held" if options.hold else "Released", _for_people(options)
    with progress("reading the cluster"):
        body = asyncio.run(_read(namespace, name))
    if body is None:
        print(f"bokgu: there is no RecoveryPlan {name} in namespace {namespace}", file=sys.stderr)
        return 1
    plan = RecoveryPlan.model_validate(body)
    if plan.status.phase.terminal:
        print(f"bokgu: the plan is over ({plan.status.phase}): there is nothing to hold", file=sys.stderr)
        return 1
    if bool(plan.spec.suspend) is options.hold:
        print(f"it is {'held' if options.hold else 'not held'} already: nothing to do", file=people)
        _print_done(options, namespace, done, changed=False)
        return 0
    print(describe_hold(plan, hold=options.hold), file=people, flush=True)
    if not options.yes and not ask("Hold it?" if options.hold else "Let it go on?"):
        print("bokgu: nothing was written", file=sys.stderr)
        return 1
    with progress("writing the plan"):
        asyncio.run(_write(namespace, name, plan.metadata.uid, hold=options.hold))
    print(f"{done.lower()}: RecoveryPlan {namespace}/{name}", file=people)
    _print_done(options, namespace, done, changed=True)
    return 0


def describe_hold(plan: RecoveryPlan, *, hold: bool) -> str:
    """What will come of holding the plan, or of letting it go on."""
    where = f"RecoveryPlan {plan.metadata.namespace}/{plan.metadata.name}: {plan.status.phase}"
    found = current_step(plan)
    step = f", step {found[0]} of {len(plan.spec.steps)}, {found[1].name}" if found and plan.status.started_at else ""
    if not hold:
        return f"{where}{step}; it goes on, if nothing else holds it"
    if plan.status.started_at is None:
        return f"{where}; it does not begin while it is held, and expires as always"
    late = "held longer than the timeout of its next step it ends as BlockedTooLong, and its onFailure follows"
    return f"{where}{step}; what is under way goes on, and nothing is undone; {late}"


async def _read(namespace: str, name: str) -> Raw | None:
    kube = await KubeClient.connect()
    try:
        return await kube.get(RecoveryPlan.plural, namespace, name)
    finally:
        await kube.close()


async def _write(namespace: str, name: str, uid: str, *, hold: bool) -> None:
    """PUT the one field that may change, into the plan as it is by then. Raises KubeError, and OSError where it has
    gone."""
    kube = await KubeClient.connect()
    try:
        for attempt in range(1, TRIES + 1):
            body = await kube.get(RecoveryPlan.plural, namespace, name)
            if body is None or body["metadata"]["uid"] != uid:
                raise OSError(f"RecoveryPlan {name} has gone meanwhile")
            body["spec"].pop("suspend", None)
            body["spec"] |= {"suspend": True} if hold else {}
            try:
                await kube.replace(RecoveryPlan.plural, body)
                return
            except KubeError as error:
                if not error.conflict or attempt == TRIES:
                    raise
    finally:
        await kube.close()
