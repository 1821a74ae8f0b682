"""What a command prints for programs."""

import json
from typing import Any

import yaml

from bokgu.commands.page import WIDTH

FORMATS = ("text", "yaml", "json")
"""Values of --output: text for people, the others for programs."""


def format_data(data: Any, output: str) -> str:
    """The data as `json` or `yaml`, ending in a line break. What would move a cursor, or turn the direction of writing,
    is escaped in both."""
    if output == "json":
        return json.dumps(data, indent=2) + "\n"
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=WIDTH)
    if all(c.isprintable() or c == "\n" for c in text):
        return text
    return yaml.safe_dump(data, sort_keys=False, width=WIDTH)
