"""A world of its own: its objects come from elsewhere, and its kinds change."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from tests.faults.lane import Lane
from tests.faults.warm_start import WarmStart
from tests.world.world import World

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def upgrade_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        warm = stack.enter_context(WarmStart())
        yield stack.enter_context(World(tmp_path_factory.mktemp("upgrade"), operator=False, start_program=warm.start))


@pytest.fixture
def lane(upgrade_world: World) -> Iterator[Lane]:
    """A namespace with an operator of its own."""
    with Lane(upgrade_world, f"lane-{next(_NUMBERS)}") as lane:
        yield lane
