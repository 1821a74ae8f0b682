"""`make demo`, as a person runs it."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.world.world import ROOT


@pytest.mark.timeout(300)
def test_demo_reaches_every_state_ends_with_its_counters_and_makes_pictures(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT}"}
    played = subprocess.run(
        [sys.executable, "-m", "tests.world", "demo", "--pictures", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert played.returncode == 0, played.stdout[-8000:] + played.stderr[-2000:]
    assert played.stdout.rstrip().endswith("The demo reached every state that it should.")
    assert 'bokgu_plans_finished_total{phase="RolledBack"} 1' in played.stdout
    screen = ElementTree.fromstring((tmp_path / "demo.svg").read_text())
    shown = " ".join(" ".join(screen.itertext()).split())
    assert "url(http" not in shown
    for words in ("RolledBack", "Escalated", "Resolved", "bokgu_incidents_opened_total"):
        assert words in shown, words
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
