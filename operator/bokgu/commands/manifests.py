"""Objects of ours in files, as people keep them in Git."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from bokgu.api.meta import API_VERSION

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
            documents = [json.loads(text)] if name.endswith(".json") else list(yaml.safe_load_all(text))
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
            yield "standard input", sys.stdin.read()
            continue
        path = Path(place)
        files = sorted(p for p in path.rglob("*") if p.suffix in ENDINGS and p.is_file()) if path.is_dir() else [path]
        for file in files:
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
