"""How much of the fault tests runs: all of it with BOKGU_TEST_FAULTS=1, else a sample that changes with the commit."""

import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
ALL = "BOKGU_TEST_FAULTS=1 runs all"
WHOLE = os.environ.get("BOKGU_TEST_FAULTS") == "1"
"""Whether everything runs."""


def _seed() -> str:
    """The commit that is tested, or a fixed word where there is no repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no commit"


SEED = os.environ.get("BOKGU_TEST_FAULTS_SEED") or _seed()
"""What the sample is drawn with."""


def draw(population: Sequence[T], size: int, about: str, *, whole: bool = WHOLE) -> Sequence[T]:
    """So many of them in their order, or all; `about` makes one draw differ from another."""
    if whole or len(population) <= size:
        return population
    chosen = random.Random(f"{SEED} {about}").sample(range(len(population)), size)
    return [population[index] for index in sorted(chosen)]


def skip_unless_drawn(request: pytest.FixtureRequest, size: int) -> None:
    """Skip a test that is none of so many that are drawn from its module."""
    names = sorted(name for name in vars(request.module) if name.startswith("test_"))
    if request.function.__name__ not in draw(names, size, request.module.__name__):
        pytest.skip(f"not in the sample of this commit: {ALL}")
