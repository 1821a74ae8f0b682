"""The tool that says what a world costs."""

import json
import subprocess
import sys

MEASURE = """
import dataclasses, json
from tests.simulator.measure import measure
print(json.dumps(dataclasses.asdict(measure(services=50, tasks=3, speed=60, minutes=2))))
"""


def test_small_world_costs_little() -> None:
    """The target of a thousand services is under 10 % of one core at speed 60; a twentieth must stay far below. It is a
    process of its own that is measured: threads of other tests work in this one."""
    asked = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(asked.stdout)
    assert found["cpu_percent"] < 10
    assert found["metrics"] >= 50 * 10
    assert found["points"] >= found["metrics"]
