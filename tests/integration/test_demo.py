"""`make demo`, as a person runs it."""

import os
import subprocess
import sys

import pytest

from tests.world.world import ROOT


@pytest.mark.timeout(300)
def test_demo_reaches_every_state_and_ends_with_its_counters() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT}"}
    played = subprocess.run(
        [sys.executable, "-m", "tests.world", "demo"],
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
