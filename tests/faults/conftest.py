"""A world whose operators each have a lane of their own."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.lane import Lane
from tests.faults.sample import WHOLE
from tests.world.world import World

LANES = int(os.environ.get("BOKGU_TEST_LANES") or (4 if WHOLE else 3))
"""Operators that are killed side by side. They wait more than they work: two cores carry four."""


@pytest.fixture(scope="session")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    with World(tmp_path_factory.mktemp("lanes"), operator=False) as world, ExitStack() as stack:
        yield [stack.enter_context(Lane(world, f"lane-{number}")) for number in range(LANES)]
