"""What the operator's account must be allowed in the cluster: the rules of deploy/account.yaml."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bokgu.api.meta import GROUP
from bokgu.core.doctor.outcome import Outcome, Unread, fail, not_known, well

RIGHTS = "rights"

APPLY = "upgrade the Helm release (docs/install.md#upgrade), or kubectl apply --server-side -f deploy/account.yaml"

_KINDS = (
    *("incidents", "recoveryplans", "planapprovals", "protectedservices", "detectors", "runbooks", "recoverypolicies"),
)


@dataclass(frozen=True)
class Rule:
    """Verbs on resources of one API group; `names` bounds them to objects of those names."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


CLUSTER_RULES: tuple[Rule, ...] = (
    Rule(GROUP, _KINDS, ("get", "list", "watch")),
    Rule(GROUP, ("incidents",), ("create", "update")),
    Rule(GROUP, ("incidents",), ("delete",)),
    Rule("", ("configmaps",), ("get", "update"), tuple(f"bokgu-history-{number}" for number in range(8))),
    Rule("", ("configmaps",), ("create",)),
    Rule(GROUP, ("recoveryplans",), ("create", "update")),
    Rule(GROUP, ("incidents/finalizers",), ("update",)),
    Rule(GROUP, tuple(f"{kind}/status" for kind in _KINDS), ("update",)),
    Rule("events.k8s.io", ("events",), ("create", "get", "update")),
    Rule("", ("namespaces",), ("get",), ("kube-system",)),
    Rule(
        "admissionregistration.k8s.io",
        ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
        ("get",),
        ("bokgu-plan-approvals", "bokgu-status"),
    ),
    Rule("authorization.k8s.io", ("subjectaccessreviews",), ("create",)),
)
"""The ClusterRole bokgu-operator."""

HOME_RULES: tuple[Rule, ...] = (
    Rule("coordination.k8s.io", ("leases",), ("get", "create", "update")),
    Rule("", ("configmaps",), ("get",), ("bokgu-signers",)),
    Rule("", ("secrets",), ("get",), ("bokgu-alerts",)),
    Rule("", ("configmaps",), ("get",), ("bokgu-alert-templates",)),
)
"""The Roles in the operator's own namespace."""


@dataclass(frozen=True)
class Right:
    """One verb on one resource. No `namespace`: in all of them; no `name`: on any object."""

    group: str
    resource: str
    verb: str
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        group = f".{self.group}" if self.group else ""
        name = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{group}{name}{f' in {self.namespace}' if self.namespace else ''}"


def list_rights(home: str, renamed: Mapping[str, str] | None = None) -> tuple[Right, ...]:
    """All that is asked of the API server about the account; `home` is the operator's namespace, and `renamed` says
    what objects of the chart are called there, where settings name them otherwise."""
    names = renamed or {}
    pairs = [(rule, "") for rule in CLUSTER_RULES] + [(rule, home) for rule in HOME_RULES]
    return tuple(
        Right(rule.group, resource, verb, name, namespace)
        for rule, namespace in pairs
        for resource in rule.resources
        for verb in rule.verbs
        for name in (names.get(name, name) for name in rule.names or ("",))
    )


def check_rights(account: str, answers: Mapping[Right, bool] | Unread) -> Iterable[Outcome]:
    """The account may do what the operator does."""
    if isinstance(answers, Unread):
        hint = "run bokgu doctor as somebody who may create subjectaccessreviews, such as a cluster administrator"
        yield not_known(RIGHTS, account, answers, hint)
        return
    missing = [str(right) for right, allowed in answers.items() if not allowed]
    if not missing:
        yield well(RIGHTS, account, f"it has the {len(answers)} rights that the operator needs")
        return
    more = f", and {len(missing) - 3} more" if len(missing) > 3 else ""
    yield fail(RIGHTS, account, f"it may not {', '.join(missing[:3])}{more}", APPLY)
