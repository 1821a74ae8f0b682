"""Which of its rights the operator used, and which it lacked: read from the API server's audit log.

An audit event names verb, resource and the authorizer's decision (Kubernetes documentation, "Auditing").
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

OPERATOR = "system:serviceaccount:bokgu-system:bokgu"
ACCOUNT = Path(__file__).parents[2] / "deploy/account.yaml"


class Right(NamedTuple):
    """A verb on a resource of an API group; the resource is `incidents/status` where it has a part."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


NOTED: list[tuple[set["Right"], set["Right"]]] = []
"""What was allowed and forbidden in each world of this process that has stopped."""

UNSEEN = {
    Right("bokgu.dev", "incidents/finalizers", "update"): (
        "asked by the admission plugin OwnerReferencesPermissionEnforcement, which has no request of its own"
    ),
}
"""Rights that no request shows, and why."""


def list_rights(manifest: Path = ACCOUNT) -> set[Right]:
    """All that the operator's account may do, whatever the names that bound it."""
    roles = (d for d in yaml.safe_load_all(manifest.read_text()) if d["kind"] in {"Role", "ClusterRole"})
    return {
        Right(group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def read_requests(lines: Iterable[str], user: str = OPERATOR) -> tuple[set[Right], set[Right]]:
    """What was allowed, and what was forbidden, of all that a user asked for; what a person tries with the user's own
    token and kubectl does not count."""
    allowed: set[Right] = set()
    forbidden: set[Right] = set()
    for line in lines:
        event: Mapping[str, Any] = json.loads(line)
        if event["user"]["username"] != user or "objectRef" not in event:
            continue
        if event.get("userAgent", "").startswith("kubectl"):
            continue
        what = event["objectRef"]
        resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
        decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
        asked = Right(what.get("apiGroup", ""), resource, event["verb"])
        (allowed if decision == "allow" else forbidden).add(asked)
    return allowed, forbidden


def read_audit(log: Path) -> Iterator[str]:
    """All lines of an audit log, those first that the API server has put aside because the file was full."""
    for path in (*sorted(log.parent.glob(f"{log.stem}-*{log.suffix}")), log):
        with path.open() as lines:
            yield from lines


Noted = Iterable[tuple[set[Right], set[Right]]]
"""What was allowed and what was forbidden, a pair a world."""


def find_missing(noted: Noted) -> set[Right]:
    """What was forbidden wherever it was asked for: tests take rights away for a while."""
    worlds = tuple(noted)
    return set().union(*(forbidden for _, forbidden in worlds)).difference(*(allowed for allowed, _ in worlds))


def describe(noted: Noted) -> str:
    """One line for people."""
    worlds = tuple(noted)
    rights, allowed = list_rights(), set().union(*(allowed for allowed, _ in worlds))
    unused, missing = rights - allowed - UNSEEN.keys(), find_missing(worlds)
    text = f"the operator's rights: {len(rights & allowed)} of {len(rights)} used, {len(missing)} missing"
    for what, found in (("not used", unused), ("MISSING", missing)):
        if found:
            text += f"; {what}: {', '.join(sorted(map(str, found)))}"
    return text
