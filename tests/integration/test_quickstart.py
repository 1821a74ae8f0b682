"""What the README and docs/quickstart.md show, typed line by line into one shell."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.controlplane.programs import cache_folder
from tests.integration.test_docs import blocks
from tests.world.world import ROOT


def commands(page: str) -> list[str]:
    lines = [line for block in blocks(ROOT / page, "console") for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines), "no output is shown that nobody compares"
    return [line.removeprefix("$ ") for line in lines]


def type_in(lines: list[str], cache: Path) -> str:
    """Type them, and return what was printed. The world is down afterwards."""
    environment = {**os.environ, "BOKGU_CACHE_DIR": str(cache)}
    shell = ["bash", "-ex", "-o", "pipefail", "-c", "\n".join(lines)]
    try:
        typed = subprocess.run(
            shell,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    finally:
        subprocess.run(["make", "down"], cwd=ROOT, env=environment, capture_output=True, timeout=60, check=True)
    assert typed.returncode == 0, typed.stdout[-6000:] + typed.stderr[-4000:]
    return typed.stdout


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder with the programs that are built already, and no world."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for built in cache_folder().iterdir():
        if built.name != "world":
            (folder / built.name).symlink_to(built)
    return folder


@pytest.mark.timeout(300)
def test_every_command_of_the_quick_start_works(cache: Path) -> None:
    printed = type_in(commands("docs/quickstart.md"), cache)
    assert "the world is down" in printed
    assert 'bokgu_steps_finished_total{action="scale_out",kind="forward",phase="Completed"} 1.0' in printed


@pytest.mark.timeout(300)
def test_every_command_of_the_readme_works(cache: Path) -> None:
    demo, test, *lines = commands("README.md")
    assert (demo.split()[:2], test.split()[:2]) == (["make", "demo"], ["make", "test"]), "those have tests of their own"
    printed = type_in(lines, cache)
    assert "the world is down" in printed
    assert "alice and bob approved api-high-error-rate" in printed
