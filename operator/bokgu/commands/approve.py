"""`bokgu approve`: shows a plan, what has changed since it was made, and its risks; then writes an approval of it."""

import argparse
import asyncio
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from bokgu.api.fields import parse_duration
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Decision
from bokgu.commands.approval_file import format_approval, write_approval
from bokgu.commands.completion import complete_with
from bokgu.commands.data import FORMATS
from bokgu.commands.review import Review, fetch_review
from bokgu.commands.review_findings import Refused, Statement, check_plan, check_step, choose_role, decide_validity
from bokgu.commands.review_text import format_review
from bokgu.commands.scope import add_namespace
from bokgu.commands.ssh_keygen import SigningError, find_comment, find_key, sign_statement
from bokgu.commands.terminal import ask, progress, tell, wants_colour
from bokgu.core.approval.statement import approval_statement, build_approval
from bokgu.kube.client import KubeClient, KubeError, current_namespace

MOST_GROUPS, LONGEST_GROUP = 64, 63
"""Bounds of `spec.approverGroups`."""

DESCRIPTION = """Show a plan, its difference from now, its risks and the approvals it has; ask; and only then say
Approve or Reject to exactly that plan. Without --apply and --out the PlanApproval is printed, and the rest goes to
standard error. An approval that is signed counts whoever applies it; one that is not counts only if the approver
creates it, with --apply or kubectl. docs/approvals.md explains the ways."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("approve", help="look at a plan, and approve or reject it", description=DESCRIPTION)
    add_statement(parser)
    parser.add_argument("--reject", action="store_true", help="say Reject, as `bokgu reject` does")
    parser.set_defaults(command=speak)


def add_statement(parser: argparse.ArgumentParser) -> None:
    """What may be said of any statement: about which plan, as whom, with which proof, and where it goes."""
    complete_with(parser.add_argument("plan", metavar="PLAN", help="name of the RecoveryPlan"), RecoveryPlan)
    add_namespace(parser)
    parser.add_argument("--role", type=role_name, help="as which role (default: the one that is missing, if it is one)")
    parser.add_argument(
        "--step",
        metavar="NAME",
        help="confirm this step, which waits for a person, and approve nothing else; of a Reject it is only where you"
        " stop the plan",
    )
    parser.add_argument("--reason", metavar="TEXT", help="why, for the record; the emergency role must say it")
    parser.add_argument(
        "--valid-for",
        type=_duration,
        metavar="DURATION",
        help="such as 90m (default: until the plan expires, and as long as it takes; 1h at least)",
    )
    parser.add_argument(
        "--as",
        dest="approver",
        metavar="NAME",
        help="the approver (default: with --sign user.email of Git, else the comment of the key if it has an @; without"
        " --sign the user that the API server sees)",
    )
    proof = parser.add_mutually_exclusive_group()
    proof.add_argument(
        "--sign", metavar="KEY", help="sign with ssh-keygen and this private key, or the .pub of one in the agent"
    )
    proof.add_argument(
        "--carried-by",
        type=_account,
        metavar="ACCOUNT",
        help="leave it unsigned, for this service account (NAMESPACE:NAME) to apply",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--apply", action="store_true", help="create it on the cluster")
    place.add_argument("--out", type=Path, metavar="DIR", help="write it to a file of its name in this folder")
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="how the plan is shown")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask; needed where there is no terminal")
    parser.set_defaults(find_role=False)


def role_name(text: str) -> str:
    """The type of `--role`."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", text):
        raise argparse.ArgumentTypeError("a role has small letters, digits and _ only, such as service_owner")
    return text


def _duration(text: str) -> timedelta:
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not timedelta() < length <= timedelta(days=366):
        raise argparse.ArgumentTypeError("must be longer than 0s and at most a year")
    return length


def _account(text: str) -> str:
    prefix = "system:serviceaccount:"
    if not re.fullmatch(r"[a-z0-9-]+:[a-z0-9.-]+", text.removeprefix(prefix)):
        raise argparse.ArgumentTypeError("a service account is written NAMESPACE:NAME")
    return prefix + text.removeprefix(prefix)


@dataclass(frozen=True)
class Said:
    """The PlanApproval that was said, and whether it was not there before."""

    manifest: dict[str, Any]
    new: bool


def speak(options: argparse.Namespace) -> int:
    """Say what the options of `add_statement` and `reject` say. The exit code."""
    if options.carried_by and options.apply:
        print("bokgu: what ACCOUNT carries, ACCOUNT applies: use --out instead of --apply", file=sys.stderr)
        return 2
    return 0 if say(options, sys.stdout if options.apply or options.out else sys.stderr) else 1


def say(options: argparse.Namespace, shown: TextIO) -> Said | None:
    """Show the plan there and say what the options say; with `find_role`, and unsigned, as whichever role of the plan
    the account holds. None where nothing was said: standard error tells why."""
    try:
        return _run(options, shown)
    except (Refused, SigningError) as error:
        print(f"bokgu: {error}", file=sys.stderr)
        return None


def _run(options: argparse.Namespace, shown: TextIO) -> Said:
    """Look, show, ask, sign, write. While the person reads, no connection to the API server is held."""
    key = find_key(options.sign) if options.sign else None
    with progress("reading the cluster"):
        review, said, digest, groups = asyncio.run(_look(options, key))
    print(
        format_review(review, said, digest, options.output, colour=wants_colour(shown)), end="", file=shown, flush=True
    )
    if not options.yes and not ask(f"{said.decision}{f' to step {said.step}' if said.step else ''} as {said.role}?"):
        raise Refused("nothing was written")
    manifest = _build(review, said, digest, groups, key)
    if options.out:
        path, new = write_approval(manifest, options.out)
        tell(f"wrote {path}" if new else f"it is there already: {path}")
        tell("it counts once it is committed and applied to the cluster")
        return Said(manifest, new)
    if options.apply:
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        with progress("creating the PlanApproval"):
            new = asyncio.run(_create(manifest))
        tell(f"created PlanApproval {name}" if new else f"it is there already: PlanApproval {name}")
        tell(f"what the operator says to it: kubectl get planapproval {name} -n {namespace}")
        return Said(manifest, new)
    print(format_approval(manifest), end="")
    return Said(manifest, new=True)


async def _look(options: argparse.Namespace, key: Path | None) -> tuple[Review, Statement, str, tuple[str, ...]]:
    """The review, what is about to be said to which digest, and the groups that give the right to."""
    kube = await KubeClient.connect()
    try:
        namespace = options.namespace or current_namespace()
        review = await fetch_review(kube, namespace, options.plan)
        if review is None:
            raise Refused(f"there is no RecoveryPlan {options.plan} in namespace {namespace}")
        digest = check_plan(review, _decision(options))
        if options.step is not None and not options.reject:
            check_step(review.plan, options.step)
        said, groups = await _decide_statement(options, review, kube, key)
        return review, said, digest, groups
    except ValidationError as error:
        raise Refused(f"this version of bokgu cannot read the plan: {_problems(error)}") from error
    finally:
        await kube.close()


def _decision(options: argparse.Namespace) -> Decision:
    return Decision.REJECT if options.reject else Decision.APPROVE


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


async def _decide_statement(
    options: argparse.Namespace, review: Review, kube: KubeClient, key: Path | None
) -> tuple[Statement, tuple[str, ...]]:
    """What would be said, and the groups that give the right to say it."""
    role = await _choose_role(options, review, kube)
    valid_until, because = decide_validity(review.plan, review.now, options.valid_for)
    said = Statement(
        role=role,
        decision=_decision(options),
        approver=options.approver or "",
        approver_from="--as",
        valid_until=valid_until,
        valid_because=because,
        signed=key is not None,
        created_here=options.apply,
        carried_by=options.carried_by,
        reason=options.reason,
        step=options.step,
    )
    if key is not None:
        if not options.approver:
            name, source = _find_signer(key, options.out)
            said = replace(said, approver=name, approver_from=source)
        return said, ()
    user, groups = await kube.who_am_i()
    if not options.approver:
        said = replace(said, approver=user, approver_from="the user that the API server sees")
    # Nobody checks groups that another account claims for the approver.
    return said, groups_of(groups) if said.approver == user and said.carried_by is None else ()


async def _choose_role(options: argparse.Namespace, review: Review, kube: KubeClient) -> str:
    others = options.sign or options.carried_by or options.approver
    if options.role or others or not options.find_role:
        return choose_role(review.plan, options.role, options.step)
    namespace, roles = review.plan.metadata.namespace, tuple(dict.fromkeys(review.plan.status.required_approvals))
    for role in roles:
        if await kube.may_i(namespace=namespace, verb="approve", resource="approvalroles", name=role):
            return role
    raise Refused(
        f"you hold none of the roles of the plan ({', '.join(roles)}), and a Reject of yours would not count. Ask"
        " somebody who does; or name a role that you hold with --role"
    )


def groups_of(groups: tuple[str, ...]) -> tuple[str, ...]:
    """The groups that an approval names: those that people are put in, as many as it can hold."""
    return tuple(g for g in groups if not g.startswith("system:") and len(g) <= LONGEST_GROUP)[:MOST_GROUPS]


def _find_signer(key: Path, folder: Path | None) -> tuple[str, str]:
    """(name, where it is from). Git's own lists of signers have e-mail addresses for principals, too."""
    place = next((p for p in (folder, *folder.absolute().parents) if p.is_dir()), Path()) if folder else Path()
    try:
        command = ["git", "-C", str(place), "config", "user.email"]
        email = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        email = ""
    if email:
        return email, "user.email of Git; --as says another"
    comment = find_comment(key)
    if comment and "@" in comment:
        return comment, "comment of the key; --as says another"
    raise Refused("whose approval is it? Say the name that allowed_signers has for the key, with --as NAME")


def _build(review: Review, said: Statement, digest: str, groups: tuple[str, ...], key: Path | None) -> dict[str, Any]:
    """The manifest; signed if there is a key, once all the rest is known to be in order."""

    def build(signature: str | None) -> dict[str, Any]:
        return build_approval(
            plan=review.plan.metadata.name,
            namespace=review.plan.metadata.namespace,
            digest=digest,
            role=said.role,
            decision=said.decision,
            approver=said.approver,
            valid_until=said.valid_until,
            signature=signature,
            carried_by=said.carried_by,
            approver_groups=groups,
            reason=said.reason,
            step=said.step,
        )

    try:
        manifest = build(None)
    except ValidationError as error:
        raise Refused(f"no such approval can be made: {_problems(error)}") from error
    if key is None:
        return manifest
    statement = approval_statement(digest, said.role, said.decision, said.valid_until, said.step)
    signature, fingerprint = sign_statement(statement, key)
    tell(f"signed with {fingerprint}")
    return build(signature)


async def _create(manifest: dict[str, Any]) -> bool:
    """Create it on the cluster; False where it is there already. The name says all that it says: one that is taken is
    taken by the same approval."""
    kube = await KubeClient.connect()
    try:
        await kube.create(PlanApproval.plural, manifest)
        return True
    except KubeError as error:
        if not error.exists:
            raise
        return False
    finally:
        await kube.close()
