"""The admission policy that vouches for unsigned approvals: what it must say, and since when it says it.

The API server's own authorizer answers whether the requester holds the role (ValidatingAdmissionPolicy, KEP-3488). A
policy of that name that says anything else vouches for nothing: whoever may edit it could speak for anybody.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bokgu.core.approval.judgement import AdmissionFence

APPROVAL_POLICY = "bokgu-plan-approvals"
"""Name of the policy, and of its binding."""

STATUS_POLICY = "bokgu-status"
"""Name of the policy that keeps everybody else from writing status (S13), and of its binding."""

HISTORY_POLICY = "bokgu-history"
"""Name of the policy that keeps the operator to the ConfigMaps of its history, and of its binding."""

APPROVAL_POLICY_SPEC: dict[str, Any] = {
    "failurePolicy": "Fail",
    "matchConstraints": {
        "resourceRules": [
            {
                "apiGroups": ["bokgu.dev"],
                "apiVersions": ["*"],
                "resources": ["planapprovals"],
                "operations": ["CREATE"],
            }
        ]
    },
    "matchConditions": [{"name": "unsigned", "expression": "!has(object.spec.signature)"}],
    "variables": [
        {"name": "requester", "expression": "request.userInfo"},
        {"name": "carried", "expression": "has(object.spec.carriedBy)"},
    ],
    "validations": [
        {
            "expression": "!variables.carried || object.spec.carriedBy == variables.requester.username",
            "messageExpression": "'spec.carriedBy must be ' + variables.requester.username",
            "reason": "Forbidden",
        },
        {
            "expression": "variables.carried"
            " || (!variables.requester.username.startsWith('system:serviceaccount:')"
            " && !('system:masters' in variables.requester.groups))",
            "message": "an unsigned approval must come from a person who holds the role: sign it (bokgu approve --sign)"
            " to apply it through Flux or Argo CD",
            "reason": "Forbidden",
        },
        {
            "expression": "variables.carried || object.spec.approver == variables.requester.username",
            "messageExpression": "'spec.approver must be ' + variables.requester.username",
            "reason": "Forbidden",
        },
        {
            "expression": "!has(object.spec.approverGroups)"
            " || object.spec.approverGroups.all(g, g in variables.requester.groups)",
            "message": "spec.approverGroups lists a group that the requester is not in",
            "reason": "Forbidden",
        },
        {
            "expression": "variables.carried || authorizer.group('bokgu.dev').resource('approvalroles')"
            " .namespace(object.metadata.namespace).name(object.spec.role).check('approve').allowed()",
            "messageExpression": "variables.requester.username + ' may not approve as ' + object.spec.role",
            "reason": "Forbidden",
        },
    ],
}
"""The policy's spec, without what the API server fills in."""

_FILLED_IN: tuple[Any, ...] = ({}, [], None)
_DEFAULTS = {"matchPolicy": "Equivalent", "scope": "*"}


def judge_fence(
    policy: Mapping[str, Any] | None,
    binding: Mapping[str, Any] | None,
    settle: timedelta,
    *,
    seen_since: datetime,
) -> AdmissionFence:
    """Since when every API server surely enforces the policy as it is: `settle` after its last change.

    A change counts `metadata.generation` up, which only the API server writes; the times in `managedFields` are
    whatever the last writer says. So policy and binding that were never changed are as old as they say. Of changed ones
    it is only known that they were as they are when this process first saw them so: `seen_since`, by the API server's
    clock, of what `fence_version` tells apart. Approvals that were judged before remember the version themselves.
    """
    gap = find_gap(APPROVAL_POLICY, policy, binding)
    if gap is not None or policy is None or binding is None:
        return AdmissionFence(None, gap or f"the admission policy {APPROVAL_POLICY} is missing")
    made = [datetime.fromisoformat(body["metadata"]["creationTimestamp"]) for body in (policy, binding)]
    changed = any(body["metadata"].get("generation") != 1 for body in (policy, binding))
    since = max(*made, seen_since) if changed else max(made)
    return AdmissionFence(since + settle, version=fence_version(policy, binding), changed=changed)


def fence_version(policy: Mapping[str, Any] | None, binding: Mapping[str, Any] | None) -> str:
    """What tells one state of policy and binding from every other one, earlier or later: uids and generations."""
    there = (body["metadata"] for body in (policy, binding) if body is not None)
    return " ".join(f"{metadata['uid']}/{metadata.get('generation')}" for metadata in there)


def find_gap(name: str, policy: Mapping[str, Any] | None, binding: Mapping[str, Any] | None) -> str | None:
    """Why an admission policy does not do what it is there for: it or its binding is missing, does not deny, or, where
    approvals rest on it, says something else than it must. None where it does."""
    if policy is None or binding is None:
        return f"the admission policy {name} or its binding is missing"
    if _said(binding["spec"]) != {"policyName": name, "validationActions": ["Deny"]}:
        return f"the binding of the admission policy {name} does not deny everywhere"
    if policy["spec"].get("failurePolicy", "Fail") != "Fail":
        return f"the admission policy {name} lets pass what it cannot judge"
    if name == APPROVAL_POLICY and _said(policy["spec"]) != APPROVAL_POLICY_SPEC:
        return f"the admission policy {name} does not say what this version demands"
    return None


def _said(spec: Any) -> Any:
    """What somebody wrote: the spec without what the API server fills in."""
    if isinstance(spec, Mapping):
        kept = {key: _said(value) for key, value in spec.items() if value != _DEFAULTS.get(key)}
        return {key: value for key, value in kept.items() if value not in _FILLED_IN}
    return [_said(item) for item in spec] if isinstance(spec, list) else spec
