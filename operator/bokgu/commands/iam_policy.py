"""`bokgu iam-policy`: the least that AWS must allow, for what is configured."""

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from bokgu.api.detector import Detector
from bokgu.api.meta import Resource
from bokgu.api.protected_service import ProtectedService
from bokgu.api.role_grants import parse_role_arn
from bokgu.commands.data import FORMATS, format_data
from bokgu.commands.manifests import BadManifest, read_manifests
from bokgu.commands.page import plain
from bokgu.commands.scope import add_namespaces, choose_namespaces
from bokgu.commands.terminal import progress
from bokgu.config import BadSetting, EventQueue, HistoryBackend, Settings, read_settings
from bokgu.core.iam.identities import ANY, Identity, Own, find_identities, partition_of
from bokgu.core.iam.policy import LARGEST_MANAGED, Grant, build_policy, find_grants
from bokgu.kube.client import KubeClient, KubeError

R = TypeVar("R", bound=Resource)

OWN = "own"
"""How `--for` names the operator's own identity."""

_FORBIDDEN = 403


@dataclass(frozen=True)
class Configured:
    """What the policies follow from. `notes` say what could not be read."""

    services: tuple[ProtectedService, ...]
    detectors: tuple[Detector, ...]
    topics: tuple[str, ...] = ()
    cluster_id: str = ""
    notes: tuple[str, ...] = ()


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "iam-policy",
        help="print the least AWS policies for the configured services",
        description="Print the least IAM policy of the operator's own identity and of each role that ProtectedServices"
        " name, for what they and the operator's settings (BOKGU_*) configure: modes, allowed actions, log groups,"
        " history, event queues. It reads the cluster, or files with -f, and asks AWS for nothing.",
    )
    add_namespaces(parser)
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        metavar="PLACE",
        help="a file or folder with manifests, or - for standard input, instead of the cluster; may be repeated",
    )
    parser.add_argument(
        "--for", dest="whose", metavar="WHO", help=f"the bare document of one of them: `{OWN}`, or the ARN of a role"
    )
    parser.add_argument("--read-only", action="store_true", help="what detection and diagnosis need, whatever the mode")
    parser.add_argument("--explain", action="store_true", help="say for each action what it is for, and why it is wide")
    parser.add_argument("--account", type=_account, metavar="ID", help="the operator's own AWS account")
    parser.add_argument(
        "--pass-role",
        type=_role,
        action="append",
        default=[],
        metavar="ARN",
        help="a role that tasks and services are given (iam:PassRole); may be repeated; default: any of the account",
    )
    parser.add_argument(
        "--topic",
        type=_topic,
        action="append",
        default=[],
        metavar="ARN",
        help="an SNS topic that is told; default: those in the Secret of the receivers",
    )
    parser.add_argument("--history-setup", action="store_true", help="with what `bokgu history init` needs")
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: %(default)s")
    parser.set_defaults(command=_iam_policy)


def _account(text: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", text):
        raise argparse.ArgumentTypeError("an AWS account has 12 digits")
    return text


def _role(text: str) -> str:
    try:
        return parse_role_arn(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _topic(text: str) -> str:
    if not _is_topic(text):
        raise argparse.ArgumentTypeError("that is no ARN of an SNS topic")
    return text


def _is_topic(text: str) -> bool:
    from bokgu.aws.sns import topic_region  # noqa: PLC0415 - boto3 takes most of a second to import

    return topic_region(text) is not None


def _iam_policy(options: argparse.Namespace) -> int:
    settings = read_settings(os.environ)
    if options.filename:
        try:
            configured = read_files(options.filename, options.namespace or "default")
        except BadManifest as error:
            raise BadSetting(str(error)) from error
    else:
        with progress("reading the cluster"):
            configured = asyncio.run(_fetch(settings, choose_namespaces(options)))
    own = replace(
        find_own(settings, configured.services),
        account=options.account or ANY,
        topics=tuple(options.topic) or configured.topics,
        cluster_id=configured.cluster_id,
        setup=options.history_setup,
        passed_roles=tuple(options.pass_role),
    )
    identities = find_identities(configured.services, configured.detectors, own, read_only=options.read_only)
    if options.whose is not None:
        identities = tuple(one for one in identities if (one.role_arn or OWN) == options.whose)
        if not identities:
            print(f"bokgu: nothing that is configured names {options.whose}", file=sys.stderr)
            return 1
    notes = [*configured.notes, *find_notes(configured, identities)]
    print(format_policies(identities, notes, options), end="")
    for note in notes if options.output == "text" or options.whose else ():
        print(f"note: {plain(note)}", file=sys.stderr)
    return 0


def read_files(places: Iterable[str], namespace: str) -> Configured:
    """What the manifests configure. Raises BadManifest and OSError."""
    bodies = read_manifests(places, namespace)
    notes: list[str] = []
    return Configured(_parse(ProtectedService, bodies, notes), _parse(Detector, bodies, notes), notes=tuple(notes))


async def _fetch(settings: Settings, namespace: str | None) -> Configured:
    """What the cluster has. Raises KubeError."""
    kube = await KubeClient.connect()
    notes: list[str] = []
    try:
        services = [body async for body in kube.list(ProtectedService.plural, namespace)]
        detectors = [body async for body in kube.list(Detector.plural, namespace)]
        cluster_id = ""
        topics: tuple[str, ...] = ()
        try:
            cluster_id = await kube.cluster_id()
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
            notes.append("kube-system may not be read: sts:AssumeRole is not bound to the external ids of namespaces")
        try:
            receivers = await kube.secret(settings.namespace, settings.alerts_secret) or {}
            topics = tuple(sorted(v.strip() for v in receivers.values() if _is_topic(v.strip())))
        except (KubeError, ValueError):
            name = f"{settings.namespace}/{settings.alerts_secret}"
            notes.append(f"the Secret {name} cannot be read: name SNS topics with --topic")
    finally:
        await kube.close()
    return Configured(
        _parse(ProtectedService, services, notes), _parse(Detector, detectors, notes), topics, cluster_id, tuple(notes)
    )


def _parse(kind: type[R], bodies: Iterable[dict[str, Any]], notes: list[str]) -> tuple[R, ...]:
    found = []
    for body in bodies:
        if body.get("kind", kind.kind_name) != kind.kind_name:
            continue
        try:
            found.append(kind.model_validate(body))
        except ValidationError:
            name = f"{body['metadata'].get('namespace')}/{body['metadata'].get('name')}"
            notes.append(f"{kind.kind_name} {name} cannot be read by this version of bokgu, and is left out")
    return tuple(found)


def find_own(settings: Settings, services: Iterable[ProtectedService]) -> Own:
    """What the operator's settings say of itself."""
    from bokgu.history.tables import TABLES  # noqa: PLC0415 - boto3 takes most of a second to import

    environments = sorted({service.spec.environment for service in services})
    keeps = settings.history is HistoryBackend.DYNAMODB
    prefix = settings.history_table_prefix
    return Own(
        region=settings.history_region,
        queues=tuple(_queue_arn(queue) for queue in settings.event_queues),
        tables=tuple(f"{prefix}-{e}-{table}" for e in environments for table in TABLES) if keeps else (),
        history_role=settings.history_role_arn,
    )


def _queue_arn(queue: EventQueue) -> str:
    """The ARN of a queue, from its URL: it ends in account and name (Amazon SQS, "Queue and message identifiers")."""
    account, _, name = urlsplit(queue.url).path.strip("/").rpartition("/")
    return f"arn:{partition_of(queue.region)}:sqs:{queue.region}:{account.rpartition('/')[2] or ANY}:{name}"


def find_notes(configured: Configured, identities: Iterable[Identity]) -> Iterable[str]:
    """What people must know of the policies."""
    if not configured.services:
        yield "there is no ProtectedService: nothing is watched"
    if any(subject.place.account == ANY for identity in identities for subject in identity.subjects):
        yield "the operator's own account is not known, and stands in ARNs as *: name it with --account"
    for identity in identities:
        size = len(json.dumps(build_policy(identity), separators=(",", ":")))
        if size > LARGEST_MANAGED:
            yield (
                f"the policy of {describe_identity(identity)} has {size} characters, and a managed policy holds"
                f" {LARGEST_MANAGED}: attach its statements as several"
            )


def describe_identity(identity: Identity) -> str:
    """Whose policy it is, for people."""
    return identity.role_arn or "the operator's own identity"


def format_policies(identities: Iterable[Identity], notes: Iterable[str], options: argparse.Namespace) -> str:
    """The policies as the options ask for them."""
    if options.whose is not None and not options.explain:
        (identity,) = identities
        return format_data(build_policy(identity), "yaml" if options.output == "yaml" else "json")
    if options.output != "text":
        policies = [describe(identity, explain=options.explain) for identity in identities]
        return format_data({"policies": policies, "notes": list(notes)}, options.output)
    parts = []
    for identity in identities:
        lines = [f"# {describe_identity(identity)}"]
        if options.explain:
            lines += _explain(find_grants(identity))
        policy = build_policy(identity)
        if policy["Statement"]:
            lines.append(json.dumps(policy, indent=2))
        else:
            lines.append("# nothing is asked of AWS in its name")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def describe(identity: Identity, *, explain: bool) -> dict[str, Any]:
    """A policy with whose it is, and with `explain` what each action is for, as plain data."""
    found: dict[str, Any] = {"for": identity.role_arn or OWN, "policy": build_policy(identity)}
    if explain:
        found["actions"] = [
            {
                "sid": grant.sid,
                "action": grant.action,
                "calls": list(grant.calls),
                "why": "; ".join(grant.why),
                "optional": grant.optional,
                **({"note": grant.note} if grant.note else {}),
            }
            for grant in find_grants(identity)
        ]
    return found


def _explain(grants: Iterable[Grant]) -> Iterable[str]:
    """Comment lines: a column for the action, and one for what it is for and why it is no narrower."""
    rows = [(grant.action, _say(grant)) for grant in grants]
    width = max((len(action) for action, _ in rows), default=0)
    return (f"#   {action:<{width}}  {plain(text)}" for action, text in rows)


def _say(grant: Grant) -> str:
    optional = "optional: " if grant.optional else ""
    star = "*: " if grant.no_resources else ""
    return f"{optional}{'; '.join(grant.why)}" + (f" [{star}{grant.note}]" if grant.note else "")
