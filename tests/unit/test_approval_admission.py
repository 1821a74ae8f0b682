from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bokgu.core.approval.admission import (
    APPROVAL_POLICY,
    APPROVAL_POLICY_SPEC,
    fence_version,
    find_gap,
    judge_fence,
)
from tests.unit.facts import MINUTE, NOW

MANIFEST = Path(__file__).parents[2] / "deploy/admission-policies.yaml"
SETTLE = timedelta(minutes=1)
CREATED = NOW - 60 * MINUTE
LATER = NOW - 10 * MINUTE

Raw = dict[str, Any]


@lru_cache
def shipped() -> tuple[Raw, Raw]:
    """Policy and binding of the chart, as an API server shows them that nobody has changed since."""
    found = [d for d in yaml.safe_load_all(MANIFEST.read_text()) if d["metadata"]["name"] == APPROVAL_POLICY]
    policy, binding = found
    for body, uid in ((policy, "policy-uid"), (binding, "binding-uid")):
        body["metadata"] |= {"uid": uid, "generation": 1, "creationTimestamp": CREATED.isoformat()}
    return policy, binding


def mutations(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What can be done to one place: removed, changed, added to."""
    if isinstance(node, dict | list):
        yield "added", path
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield "removed", (*path, key)
            yield from mutations(child, (*path, key))
    else:
        yield "changed", path


def mutated(document: Any, how: str, path: tuple[Any, ...]) -> Any:
    changed = deepcopy(document)
    node = changed
    for key in path if how == "added" else path[:-1]:
        node = node[key]
    if how == "added":
        if isinstance(node, dict):
            node["another"] = "thing"
        else:
            node.append(deepcopy(node[0]))
    elif how == "removed":
        del node[path[-1]]
    else:
        node[path[-1]] = f"{node[path[-1]]} "
    return changed


def fence(policy: Raw | None, binding: Raw | None, seen_since: datetime = NOW) -> datetime | None:
    return judge_fence(policy, binding, SETTLE, seen_since=seen_since).enforced_since


def test_s8_the_chart_ships_exactly_what_the_operator_demands() -> None:
    policy, binding = shipped()
    assert policy["spec"] == APPROVAL_POLICY_SPEC
    assert find_gap(APPROVAL_POLICY, policy, binding) is None
    assert fence(policy, binding) == CREATED + SETTLE


@pytest.mark.parametrize(("how", "path"), [*mutations(APPROVAL_POLICY_SPEC)], ids=str)
def test_s8_a_policy_that_says_one_thing_otherwise_vouches_for_nothing(how: str, path: tuple[Any, ...]) -> None:
    policy, binding = shipped()
    assert fence({**policy, "spec": mutated(policy["spec"], how, path)}, binding) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("matchPolicy", "Exact"),
        ("namespaceSelector", {"matchLabels": {"a": "b"}}),
        ("objectSelector", {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}),
        ("excludeResourceRules", [{"apiGroups": ["*"], "resources": ["*"]}]),
    ],
)
def test_s8_a_policy_that_skips_some_objects_vouches_for_nothing(field: str, value: Any) -> None:
    policy, binding = shipped()
    constraints = {**policy["spec"]["matchConstraints"], field: value}
    assert fence({**policy, "spec": {**policy["spec"], "matchConstraints": constraints}}, binding) is None


@pytest.mark.parametrize("field", ["paramKind", "auditAnnotations"])
def test_what_the_api_server_leaves_empty_changes_nothing(field: str) -> None:
    policy, binding = shipped()
    assert fence({**policy, "spec": {**policy["spec"], field: [] if field.endswith("s") else None}}, binding)


@pytest.mark.parametrize(
    "spec",
    [
        {"policyName": "another", "validationActions": ["Deny"]},
        {"policyName": APPROVAL_POLICY, "validationActions": ["Audit"]},
        {"policyName": APPROVAL_POLICY, "validationActions": ["Warn", "Audit"]},
        {"policyName": APPROVAL_POLICY, "validationActions": []},
        {
            "policyName": APPROVAL_POLICY,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}},
        },
        {"policyName": APPROVAL_POLICY, "validationActions": ["Deny"], "paramRef": {"name": "a"}},
    ],
)
def test_s8_a_binding_that_does_not_deny_everywhere_vouches_for_nothing(spec: Raw) -> None:
    policy, binding = shipped()
    assert fence(policy, {**binding, "spec": spec}) is None


@pytest.mark.parametrize("missing", ["policy", "binding"])
def test_s8_a_policy_or_binding_that_is_missing_vouches_for_nothing(missing: str) -> None:
    policy, binding = shipped()
    assert fence(None if missing == "policy" else policy, None if missing == "binding" else binding) is None


def aged(body: Raw, **metadata: Any) -> Raw:
    return {**body, "metadata": {**body["metadata"], **metadata}}


def test_s8_the_younger_of_policy_and_binding_says_since_when() -> None:
    policy, binding = shipped()
    assert fence(policy, aged(binding, creationTimestamp=LATER.isoformat())) == LATER + SETTLE


@pytest.mark.parametrize("which", ["policy", "binding"])
@pytest.mark.parametrize("generation", [None, 0, 2, 3])
@pytest.mark.parametrize(
    "fields", [[], [{"manager": "kubectl", "operation": "Apply", "time": (NOW - 99 * MINUTE).isoformat()}]]
)
def test_s8_a_policy_that_was_ever_edited_is_as_old_as_it_was_first_seen_whatever_it_says(
    which: str, generation: int | None, fields: list[Raw]
) -> None:
    """Whoever can edit the policy can also write managedFields, or strip them; the generation nobody can."""
    policy, binding = shipped()
    changed = {"generation": generation, "managedFields": fields}
    policy = aged(policy, **changed) if which == "policy" else policy
    binding = aged(binding, **changed) if which == "binding" else binding
    assert fence(policy, binding, seen_since=LATER) == LATER + SETTLE


def test_s8_every_edit_and_every_new_creation_is_another_version() -> None:
    policy, binding = shipped()
    versions = {
        fence_version(policy, binding),
        fence_version(aged(policy, generation=2), binding),
        fence_version(policy, aged(binding, generation=2)),
        fence_version(aged(policy, uid="again"), binding),
        fence_version(policy, aged(binding, uid="again")),
        fence_version(None, binding),
        fence_version(None, None),
    }
    assert len(versions) == 7
