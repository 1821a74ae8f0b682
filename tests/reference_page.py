"""docs/reference.md: the fields of every kind, made from the generated CRDs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bokgu.api.crds import KINDS, build_crd
from bokgu.api.meta import Resource

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
INTRODUCTION = """# Reference

Every field of every kind, as `kubectl explain` tells it too. Written by `make docs` from the models in
`operator/bokgu/api/`; [concepts.md](concepts.md) says what the kinds are for. `[]` is an item of a list, `{}` a value
of a map. All kinds are of `bokgu.dev/v1alpha1` and namespaced. What the API server refuses, and in which words, is said
under *rules*.
"""


def write_page() -> str:
    """The whole page."""
    contents = ", ".join(f"[{kind.__name__}](#{kind.__name__.lower()})" for kind in KINDS)
    return "\n".join([INTRODUCTION, contents, "", *(_describe(kind) for kind in KINDS)])


def _describe(kind: type[Resource]) -> str:
    """One kind: what it is, its columns, its spec and its status."""
    crd = build_crd(kind)
    names, (version,) = crd["spec"]["names"], crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    short = ", ".join(f"`{name}`" for name in (names["plural"], *names.get("shortNames", ())))
    lines = [f"## {names['kind']}", "", schema["description"], "", f"`kubectl get` knows it as {short}."]
    if selectable := version.get("selectableFields"):
        fields = ", ".join(f"`{field['jsonPath'][1:]}`" for field in selectable)
        lines += ["", f"`--field-selector` takes {fields}."]
    for part in ("spec", "status"):
        if part in schema["properties"]:
            lines += ["", f"### {names['kind']} {part}", "", *_tabulate(schema["properties"][part])]
    if rules := list(_rules("", schema)):
        lines += ["", f"### {names['kind']} rules", "", *(f"- {where}{message}" for where, message in rules)]
    return "\n".join([*lines, ""])


def _tabulate(schema: dict[str, Any]) -> Iterator[str]:
    yield from ("| field | type | what |", "|---|---|---|")
    for path, node, required in _fields("", schema):
        yield f"| `{path}`{' (required)' if required else ''} | {_type(node)} | {_text(node)} |"


def _fields(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(path, schema, required) of all that lies below a node, in the order of the schema."""
    for name, child in node.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield below, child, name in node.get("required", ())
        yield from _fields(below, child)
        yield from _fields(f"{below}[]", child.get("items", {}))
        values = child.get("additionalProperties")
        if isinstance(values, dict):
            yield from _fields(f"{below}{{}}", values)


def _type(node: dict[str, Any]) -> str:
    """Its type, with bounds that people run into."""
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return "number or text"
    kind = str(node.get("type", "any"))
    if kind == "array":
        most = f" of at most {node['maxItems']}" if "maxItems" in node else ""
        return f"list{most}: {_type(node['items'])}"
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"map: {_type(node['additionalProperties'])}"
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None or high is not None:
        return f"{kind}, {'' if low is None else low}…{'' if high is None else high}"
    return str(node.get("format") or kind)


def _text(node: dict[str, Any]) -> str:
    default = node.get("default")
    said = str(node.get("description") or node.get("items", {}).get("description") or "")
    if default is not None and not isinstance(default, dict | list):  # Those of a whole object stand at its fields.
        said = f"{said} Default: `{str(default).lower() if isinstance(default, bool) else default}`."
    return " ".join(said.replace("|", "\\|").split())


def _rules(path: str, node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(where, message) of each rule that the API server asks."""
    for rule in node.get("x-kubernetes-validations", ()):
        yield (f"`{path}`: " if path else ""), " ".join(str(rule.get("message") or f"`{rule['rule']}`").split())
    for name, child in node.get("properties", {}).items():
        yield from _rules(f"{path}.{name}" if path else name, child)
    below = node.get("items") or node.get("additionalProperties")
    if isinstance(below, dict):
        yield from _rules(f"{path}[]" if "items" in node else f"{path}{{}}", below)


if __name__ == "__main__":
    PAGE.write_text(write_page())
