"""How much is tried: all of it with BOKGU_TEST_FUZZ=1, else a sample that changes with the commit."""

import hashlib
import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.faults.sample import SEED

WHOLE = os.environ.get("BOKGU_TEST_FUZZ") == "1"
"""Whether everything runs: `make test-fuzz`."""

T = TypeVar("T")
Test = TypeVar("Test", bound=Callable[..., None])


def often(few: int, many: int) -> Callable[[Test], Test]:
    """So many examples of a property; the machine may be busy with something else."""
    return settings(max_examples=many if WHOLE else few, deadline=None)


def generate(strategy: SearchStrategy[T], few: int, many: int, about: str) -> list[T]:
    """So many values, always the same ones for a commit; `about` makes one draw differ from another."""
    found: list[T] = []

    @seed(int.from_bytes(hashlib.sha256(f"{SEED} {about}".encode()).digest()[:8], "big"))
    @settings(
        max_examples=many if WHOLE else few,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found
