"""A world whose operators have replicas."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.warm_start import WarmStart
from tests.ha.replicas import DEFAULT_LEASE, SHORT_LEASE, Replicas
from tests.world.world import World

WHOLE = os.environ.get("BOKGU_TEST_HA") == "1"
"""Whether everything runs: `make test-ha`. Else a sample does."""


@pytest.fixture(scope="session")
def ha_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        warm = stack.enter_context(WarmStart())
        yield stack.enter_context(
            World(tmp_path_factory.mktemp("ha"), operator=False, audited=True, start_program=warm.start)
        )


@pytest.fixture(scope="module")
def pair(ha_world: World) -> Iterator[Replicas]:
    """A leader and a standby with the lease that they have when nothing is set."""
    with Replicas(ha_world, "pair", DEFAULT_LEASE) as lane:
        yield lane


@pytest.fixture(scope="module")
def pairs(ha_world: World) -> Iterator[list[Replicas]]:
    """Lanes with a leader and a standby each, whose leases are short."""
    with ExitStack() as stack:
        names = [f"pair-{number}" for number in range(3 if WHOLE else 1)]
        yield [stack.enter_context(Replicas(ha_world, name, SHORT_LEASE)) for name in names]


@pytest.fixture(scope="module")
def shards(ha_world: World) -> Iterator[Replicas]:
    """Two operators that both lead, each a shard: the default one, and `eu`."""
    with Replicas(ha_world, "shards", SHORT_LEASE, ("default", "eu")) as lane:
        yield lane
