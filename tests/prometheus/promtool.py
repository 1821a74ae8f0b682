"""Runs promtool."""

import subprocess
from pathlib import Path

from tests.prometheus.program import find_or_download


def run_promtool(*arguments: str | Path, input: str | None = None) -> subprocess.CompletedProcess[str]:
    """What promtool says; its exit code tells whether it found anything wrong."""
    _, promtool = find_or_download()
    return subprocess.run([promtool, *arguments], input=input, capture_output=True, text=True, check=False, timeout=60)
