"""What the image is made of fits the code. tests/image builds it."""

import ast
import re
import tomllib
from pathlib import Path

from kubernetes.aio import client

from bokgu import __version__

ROOT = Path(__file__).parents[2]


def read_pins(lock: str) -> set[str]:
    return set(re.findall(r"^(\S+==\S+)", (ROOT / lock).read_text(), flags=re.MULTILINE))


def test_its_dependencies_are_those_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {re.split(r"[<>=]", line)[0] for line in project["dependencies"]}
    pins = read_pins("image/runtime.lock")
    assert asked - {pin.split("==")[0] for pin in pins} == set(), "make lock"
    assert pins - read_pins("requirements.lock") == set(), "make lock"


def test_its_version_is_that_of_the_code() -> None:
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_no_api_or_type_of_kubernetes_is_used_that_it_lacks() -> None:
    used = {
        node.attr
        for path in (ROOT / "operator").rglob("*.py")
        if "from kubernetes" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "client"
    }
    assert "ApiClient" in used
    assert {getattr(client, name).__module__ for name in used} <= {
        "kubernetes.aio.client.api_client",
        "kubernetes.aio.client.configuration",
    }
