"""The chart's values.yaml, and the table of its README: both made from values.schema.json."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml

CHART = Path(__file__).parents[1] / "charts" / "bokgu"
SCHEMA = CHART / "values.schema.json"
VALUES = CHART / "values.yaml"
PAGE = CHART / "README.md"
BEGIN, END = "<!-- values: written by make docs -->\n", "<!-- end of values -->"

HEAD = "# Written by `make docs` from values.schema.json, which Helm checks values against.\n"
WIDTH = 120

Schema = Mapping[str, Any]


def read_schema() -> Schema:
    """The schema."""
    schema: Schema = json.loads(SCHEMA.read_text())
    return schema


def write_values(schema: Schema) -> str:
    """values.yaml: every value with its default and its description."""
    return HEAD + "\n".join(_write_values(schema, 0)) + "\n"


def _write_values(schema: Schema, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, child in schema["properties"].items():
        for line in wrap(child["description"], WIDTH - len(indent) - 2):
            yield f"{indent}# {line}"
        if "properties" in child:
            yield f"{indent}{name}:"
            yield from _write_values(child, depth + 1)
        else:
            yield from (indent + line for line in _dump({name: child["default"]}))
        if not depth:
            yield ""


def _dump(value: Any) -> list[str]:
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=False, width=WIDTH)
    return text.replace(": ''\n", ': ""\n').splitlines()


def tabulate(schema: Schema) -> str:
    """A line for each value."""
    lines = ["| value | default | what |", "|---|---|---|"]
    for path, child in list_values(schema):
        default = f"`{json.dumps(child['default'])}`" if "default" in child else ""
        lines.append(f"| `{path}` | {default} | {_describe(child)} |")
    return "\n".join(lines)


def list_values(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every value in order, groups and the fields of items of lists, too."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}{name}"
        yield here, child
        yield from list_values(child, f"{here}.")
        yield from list_values(child.get("items", {}), f"{here}[].")


def _describe(child: Schema) -> str:
    text = str(child["description"])
    if "enum" in child:
        text += f" One of {', '.join(f'`{word}`' for word in child['enum'])}."
    return text.replace("|", "\\|")


def fill(page: str, schema: Schema) -> str:
    """The page with the table between its marks written anew."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has no marks for values")
    return f"{before}{BEGIN}\n{tabulate(schema)}\n\n{END}{after}"


if __name__ == "__main__":
    read = read_schema()
    VALUES.write_text(write_values(read))
    PAGE.write_text(fill(PAGE.read_text(), read))
