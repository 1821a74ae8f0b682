"""Objects of ours in files, as people keep them in Git."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import from_json

from bokgu.api.meta import API_VERSION
from bokgu.commands.bounded_yaml import MAX_CHARACTERS, load_documents

MAX_BYTES = 4 * MAX_CHARACTERS
"""Of a file: a character of UTF-8 has four bytes at most."""
ENDINGS = frozenset({".yaml", ".yml", ".json"})


class BadManifest(ValueError):
    """A file that cannot be read; the text names it."""


def read_manifests(places: Iterable[str], namespace: str) -> list[dict[str, Any]]:
    """All objects of our group in files, in folders and what is beneath them, or on standard input (`-`).

    `namespace` is that of objects that name none. Other objects are left out. Raises BadManifest and OSError.
    """
    found: list[dict[str, Any]] = []
    for name, text in _read(places):
        try:
            documents = [from_json(text)] if name.endswith(".json") else load_documents(text)
        except (ValueError, yaml.YAMLError) as error:
            raise BadManifest(f"{name}: {' '.join(str(error).split())}") from error
        bodies = (body for document in documents for body in _flatten(document))
        found += (
            {**body, "metadata": {"namespace": namespace, **body["metadata"]}}
            for body in bodies
            if body.get("apiVersion") == API_VERSION and isinstance(body.get("metadata"), dict)
        )
    return found


def _read(places: Iterable[str]) -> Iterator[tuple[str, str]]:
    for place in places:
        if place == "-":
            yield "standard input", sys.stdin.read(MAX_CHARACTERS + 1)
            continue
        path = Path(place)
        files = sorted(p for p in path.rglob("*") if p.suffix in ENDINGS and p.is_file()) if path.is_dir() else [path]
        for file in files:
            if file.stat().st_size > MAX_BYTES:
                raise BadManifest(f"{file}: more than {MAX_BYTES} bytes")
            try:
                yield str(file), file.read_text()
            except UnicodeDecodeError as error:
                raise BadManifest(f"{file}: it is no text") from error


def _flatten(document: Any) -> Iterator[dict[str, Any]]:
    """The object, or those of a List (kubectl get -o yaml)."""
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _flatten(item)
    elif isinstance(document, dict):
        yield document
