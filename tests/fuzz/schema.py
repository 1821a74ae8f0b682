"""The schemas of the specs in crds/ as trees: what may stand where, what lies at the bounds, and what may not be."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.world.world import ROOT

Node = dict[str, Any]
Path = tuple[str | int, ...]
"""Names of members, and 0 for the first one of a list."""

KEY = "key"
"""Member of a map whose keys are free."""
INT64 = 2**63 - 1

DURATION = r"^([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$"
MOMENT = r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"
AT_THE_BOUNDS = {
    DURATION: ("0s", "7m", "99999h9999999m999999999s"),
    MOMENT: ("2000-01-01T00:00:00Z", "2026-11-24T08:00:00.123456789Z", "2999-12-31T23:59:59.999999999Z"),
    r"^-?[0-9]+(\.[0-9]+)?$": ("0", "-1.5", "9" * 32),
    r"^sha256:[0-9a-f]{64}$": (f"sha256:{'0' * 64}",),
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": ("0", "other.one"),
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": ("0", "other-one"),
    r"^[a-z][a-z0-9_]*$": ("z", "other_one"),
    r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$": ("eu-west-1", "zz-other-99"),
}
"""Texts that a pattern admits. Those of names are made longer up to the bound."""
NAMES = tuple(pattern for pattern, texts in AT_THE_BOUNDS.items() if texts[0] in {"0", "z"})

OF_CLASSES = r"\p{"
"""In a pattern: classes of characters, which Python does not know. Such patterns keep out what cannot be seen."""

STRANGE = (
    "",
    " ",
    "복구",
    "\u202eevil",
    "a\x00b",
    "A B",
    "../../x",
    "{service}",
    "$(id)",
    "-1",
    "1e999",
    "null",
    "€" * 40,
)
"""Texts that programs stumble over, in other worlds."""
WRONG: tuple[Any, ...] = (None, True, 7, -1.5, 10**30, "text", [], {}, [[]], [None], {"a": {}}, {"": None})
"""A value of each type, most of which are wrong anywhere."""


@lru_cache
def load_spec(plural: str) -> Node:
    """The schema of the spec of a kind, as the API server has it."""
    document = yaml.safe_load((ROOT / "crds" / f"bokgu.dev_{plural}.yaml").read_text())
    (version,) = document["spec"]["versions"]
    spec: Node = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


@lru_cache
def valid_specs(plural: str) -> SearchStrategy[Any]:
    """Specs of a kind as far as the schema says; the rules between fields may say otherwise."""
    return valid(load_spec(plural))


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """All places below, and what may stand there."""
    children = {
        **node.get("properties", {}),
        **({0: node["items"]} if "items" in node else {}),
        **({KEY: node["additionalProperties"]} if "additionalProperties" in node else {}),
    }
    for name, child in children.items():
        yield (*path, name), child
        yield from walk(child, (*path, name))


def bounds(node: Node) -> list[Any]:
    """Values of the right type: another one, and those at the bounds."""
    match node["type"]:
        case "boolean":
            return [False, True]
        case "integer":
            return [node.get("minimum", -INT64 - 1), node.get("maximum", INT64)]
        case "string":
            return _texts(node)
        case "array":
            one = minimal(node["items"])
            return [[], [one], [one] * node["maxItems"]]
        case _:
            return [{}, minimal(node)]


def _texts(node: Node) -> list[Any]:
    if "enum" in node:
        return list(node["enum"])
    shortest, longest = node.get("minLength", 0), node.get("maxLength", 64)
    pattern = node.get("pattern", OF_CLASSES)
    if OF_CLASSES in pattern:
        return ["x" * shortest, "복" * longest, ("a,b={c}" * 9)[: max(shortest, min(longest, 7))]]
    return [*AT_THE_BOUNDS[pattern], *([AT_THE_BOUNDS[pattern][0] * longest] if pattern in NAMES else [])]


def minimal(node: Node) -> Any:
    """The least that may stand there, as far as the schema alone says."""
    match node["type"]:
        case "object" if "additionalProperties" in node:
            return {KEY: minimal(node["additionalProperties"])}
        case "object":
            return {name: minimal(node["properties"][name]) for name in node.get("required", ())}
        case "array":
            return [minimal(node["items"])] * node.get("minItems", 0)
        case _:
            return bounds(node)[0]


def valid(node: Node) -> SearchStrategy[Any]:
    """Whatever the schema admits there."""
    if "enum" in node:
        return st.sampled_from(node["enum"])
    match node["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(node.get("minimum", -INT64 - 1), node.get("maximum", INT64))
        case "string" if node.get("format") == "date-time":
            return st.datetimes(datetime(2000, 1, 1), datetime(2999, 12, 31)).map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z")
        case "string":
            return _any_text(node)
        case "array":
            return st.lists(valid(node["items"]), min_size=node.get("minItems", 0), max_size=min(3, node["maxItems"]))
        case "object" if "additionalProperties" in node:
            most = min(3, node["maxProperties"])
            least = node.get("minProperties", 0)
            return st.dictionaries(
                st.text(max_size=8), valid(node["additionalProperties"]), min_size=least, max_size=most
            )
        case _:
            members = {name: valid(child) for name, child in node["properties"].items()}
            required = {name: members.pop(name) for name in node.get("required", ())}
            return st.fixed_dictionaries(required, optional=members)


def _any_text(node: Node) -> SearchStrategy[str]:
    shortest, longest, pattern = node.get("minLength", 0), node["maxLength"], node.get("pattern")
    visible = pattern is not None and OF_CLASSES in pattern
    alphabet = st.characters(codec="utf-8", exclude_categories=("C", "Z") if visible else ())
    drawn: SearchStrategy[str] = st.text(alphabet, min_size=shortest, max_size=max(shortest, min(longest, 40)))
    if pattern is None:
        drawn |= st.sampled_from([text for text in STRANGE if shortest <= len(text) <= longest])
    elif not visible:
        drawn = st.from_regex(str(pattern), fullmatch=True).filter(lambda text: shortest <= len(text) <= longest)
    return drawn | st.sampled_from(_texts(node))


def wrong(node: Node) -> SearchStrategy[Any]:
    """What may not stand there, or just so: another type, out of bounds, much too long, one member too many."""
    values = list(WRONG)
    match node["type"]:
        case "integer":
            values += [node.get("minimum", -INT64 - 1) - 1, node.get("maximum", INT64) + 1, 1.5, float("1e300")]
        case "string":
            values += [
                *STRANGE,
                "x" * (node.get("maxLength", 64) + 1),
                "복" * 300_000,
                "2026-02-30T00:00:00Z",
                "0001-01-01T00:00:00Z",
            ]
        case "array":
            values += [[minimal(node["items"])] * (node["maxItems"] + 1), [minimal(node["items"])] * 2]
        case "object":
            values += [{**minimal(node), "noSuchMember": 1}, {"noSuchMember": {"a": [1]}}]
    return st.sampled_from(values)
