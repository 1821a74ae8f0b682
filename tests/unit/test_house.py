"""Rules of the house that no linter knows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_source_root_shadows_nothing() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    named = [p for p in (ROOT / "operator").rglob("*") if p.stem == "operator" or p.name == "operator"]
    assert named == []


def test_the_lock_has_hashes_and_no_addresses() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pins = re.findall(r"^([a-z0-9._-]+)==", lock, flags=re.MULTILINE)
    assert "kopf" in pins
    assert lock.count("--hash=sha256:") >= len(pins)


def test_modules_have_names_of_the_field() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    found = [p for folder in ("operator", "tests") for p in (ROOT / folder).rglob("*.py") if p.stem in vague]
    assert found == []
