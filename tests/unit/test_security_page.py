"""SECURITY.md: every threat has a test, and every test is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## Threats")[2].splitlines()
    if line.startswith("|")
][2:]


def test_the_table_is_read() -> None:
    assert len(ROWS) > 20
    assert {len(row) for row in ROWS} == {3}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_threat_is_stopped_by_something_and_a_test_shows_it(row: list[str]) -> None:
    threat, what, tests = row
    assert threat
    assert what
    named = TEST.findall(tests)
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == tests
    assert named
    for file, name in named:
        defined = {node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)}
        assert name in defined, f"{file} has no {name}"


def test_people_find_it() -> None:
    assert "SECURITY.md" in (ROOT / "README.md").read_text()
    assert "SECURITY.md" in (ROOT / "docs" / "security.md").read_text()
