from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.world.manifests import roomy_policy
from tests.world.world import World


@pytest.fixture
def put_policy(world: World) -> Iterator[Callable[..., None]]:
    """Changes the RecoveryPolicy of the namespace; afterwards it is roomy again."""

    def put(**spec: Any) -> None:
        world.apply(roomy_policy(**spec))

    yield put
    world.apply(roomy_policy())
