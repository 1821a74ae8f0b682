"""What a document says and this version does not read: fields of a later version."""

from collections.abc import Mapping
from typing import Any


def find_unread(raw: Any, known: Any, path: str = "spec") -> list[str]:
    """What is in a document and not in what was read of it, by path."""
    if isinstance(raw, Mapping) and isinstance(known, Mapping):
        return [
            found
            for key, value in raw.items()
            for found in (find_unread(value, known[key], f"{path}.{key}") if key in known else [f"{path}.{key}"])
        ]
    if _are_pairs(raw, known):
        return [
            found
            for index, pair in enumerate(zip(raw, known, strict=True))
            for found in find_unread(*pair, f"{path}[{index}]")
        ]
    return [path] if isinstance(raw, list | Mapping) else []


def drop_unread(raw: Any, known: Any) -> Any:
    """The document without that."""
    if isinstance(raw, Mapping) and isinstance(known, Mapping):
        return {key: drop_unread(value, known[key]) for key, value in raw.items() if key in known}
    return [drop_unread(*pair) for pair in zip(raw, known, strict=True)] if _are_pairs(raw, known) else raw


def _are_pairs(raw: Any, known: Any) -> bool:
    return isinstance(raw, list) and isinstance(known, list) and len(raw) == len(known)
