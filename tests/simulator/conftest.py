"""Fixtures of the simulator's own tests."""

from collections.abc import Iterator

import pytest

from .harness import Scene
from .server import SimulatorServer


def _open_scene(speed: float) -> Iterator[Scene]:
    server = SimulatorServer(speed=speed, check_answers=True)
    server.start()
    scene = Scene(server)
    try:
        yield scene
    finally:
        scene.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A simulator at 600 times real time: a task starts in 50 ms, and every answer is held against the model."""
    yield from _open_scene(600)


@pytest.fixture
def minute_a_second() -> Iterator[Scene]:
    """A simulator at 60 times real time, so that metrics get one point a second."""
    yield from _open_scene(60)
