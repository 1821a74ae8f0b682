"""The runbooks that ship with Bokgu: YAML files beside this one, of the same form as everybody's."""

from functools import cache
from importlib import resources
from typing import Any

import yaml

from bokgu.api.runbook import Runbook


@cache
def load_builtin_runbooks() -> tuple[Runbook, ...]:
    """All built-in runbooks, by name. They are read from the package once."""
    return tuple(Runbook.model_validate(document) for document in read_documents())


def read_documents() -> list[dict[str, Any]]:
    """The manifests of all built-in runbooks, by name, without a namespace."""
    files = sorted((f for f in resources.files(__name__).iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    documents = (d for f in files for d in yaml.safe_load_all(f.read_text(encoding="utf-8")))
    return sorted(documents, key=lambda document: str(document["metadata"]["name"]))
