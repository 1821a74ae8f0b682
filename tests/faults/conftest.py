"""A world whose operators each have a lane of their own."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.lane import Lane
from tests.faults.sample import WHOLE
from tests.faults.warm_start import WarmStart
from tests.world.world import World

LANES = int(os.environ.get("BOKGU_TEST_LANES") or (6 if WHOLE else 3))
"""Operators that are killed side by side in the world of a test worker. They wait more than they work: two cores carry
twelve, and while one worker waits for the last play of a case the other one has the machine."""


@pytest.fixture(scope="session")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    with ExitStack() as stack:
        warm = stack.enter_context(WarmStart())
        directory = tmp_path_factory.mktemp("lanes")
        world = stack.enter_context(World(directory, operator=False, start_program=warm.start))
        yield [stack.enter_context(Lane(world, f"lane-{number}")) for number in range(LANES)]
