"""Objects as the API server sends them, before a model has checked them.

What it stored under another CRD, or for another version of the operator, may have any shape. What is looked up here is
either what it should be, or not there.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bokgu.api.fields import bounded
from bokgu.api.meta import Resource


def value_at(body: object, *path: str) -> Any:
    """What stands at the end of the path; None where it leads nowhere."""
    for name in path:
        if not isinstance(body, Mapping):
            return None
        body = body.get(name)
    return body


def text_at(body: object, *path: str) -> str:
    """The text at the end of the path; "" where there is none."""
    found = value_at(body, *path)
    return found if isinstance(found, str) else ""


def objects_at(body: object, *path: str) -> list[Mapping[str, Any]]:
    """The objects in the list at the end of the path; none where there is no list."""
    found = value_at(body, *path)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


class Unreadable(ValueError):
    """An object is stored in a shape that this version does not know. The text names the first field that does not fit,
    never what stands in it."""

    def __init__(self, kind: type[Resource], raw: Mapping[str, Any], error: ValidationError) -> None:
        metadata, first = raw["metadata"], error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        self.kind, self.metadata = kind, metadata
        self.key = (kind.plural, metadata["namespace"], metadata["name"])
        name = f"{kind.kind_name} {metadata['namespace']}/{metadata['name']}"
        super().__init__(bounded(f"{name} cannot be read by this version: {where or 'it'}: {first['msg']}"))
