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
    """What was allowed, and what was forbidden, of all that a user asked for."""
    allowed: set[Right] = set()
    forbidden: set[Right] = set()
    for line in lines:
        event: Mapping[str, Any] = json.loads(line)
        if event["user"]["username"] != user or "objectRef" not in event:
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


def describe(allowed: set[Right], forbidden: set[Right]) -> str:
    """One line for people. What was forbidden for a while only, as tests have it, is not missing."""
    rights = list_rights()
    unused, missing = rights - allowed - UNSEEN.keys(), forbidden - allowed
    text = f"the operator's rights: {len(rights & allowed)} of {len(rights)} used, {len(missing)} missing"
    for what, found in (("not used", unused), ("MISSING", missing)):
        if found:
            text += f"; {what}: {', '.join(sorted(map(str, found)))}"
    return text
