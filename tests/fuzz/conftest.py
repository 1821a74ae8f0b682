"""A world of its own: what is put into it is meant to do harm."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from tests.fuzz.crowd import Crowd
from tests.fuzz.living import SERVICE
from tests.scenarios.kube_admin import KubeAdmin
from tests.world.scene import Scene
from tests.world.world import World


@pytest.fixture(scope="session")
def harsh_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("fuzz"), operator=False) as running:
        running.create_service(SERVICE)
        running.start_operator({"BOKGU_WEBHOOK_RATE": "10000"})
        yield running


@pytest.fixture(scope="session")
def _scenes() -> Iterator[int]:
    return count(1)


@pytest.fixture
def witness(harsh_world: World, _scenes: Iterator[int]) -> Scene:
    """A healthy service that must be helped as ever, whatever happens beside it."""
    scene = Scene(harsh_world, f"witness{next(_scenes)}")
    scene.begin()
    return scene


@pytest.fixture
def new_crowd(harsh_world: World) -> Iterator[Callable[[], Crowd]]:
    """Makes namespaces of living objects, one after the other."""
    with ExitStack() as stack:
        kube = KubeAdmin(harsh_world)
        stack.callback(kube.close)
        numbers = count(1)
        made: list[Crowd] = []

        def make() -> Crowd:
            for crowd in made:
                crowd.end()
            made[:] = [Crowd(harsh_world, kube, f"crowd-{next(numbers)}")]
            made[0].begin()
            return made[0]

        yield make
        for crowd in made:
            crowd.end()
