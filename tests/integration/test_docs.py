"""What the documentation shows must work."""

import re
from pathlib import Path

import pytest

from bokgu.config import Settings
from tests.world.world import ROOT, World

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_manifests_of_the_readme_are_accepted(world: World) -> None:
    found = blocks(ROOT / "README.md", "yaml")
    assert found
    for manifest in found:
        world.control_plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", input=manifest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs/install.md").read_text()
    names = [s.metadata["env"] for s in Settings.__dataclass_fields__.values() if "env" in s.metadata]
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text())
    assert targets
    for target in set(targets):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE) or target.startswith("world-"), target
