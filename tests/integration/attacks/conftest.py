"""One service in a surge for all attacks that must come to nothing."""

import pytest

from tests.world.scene import Scene
from tests.world.world import Raw, World


class Besieged(Scene):
    """Stays with its first incident, whatever others are filed about the service."""

    def incident(self) -> Raw:
        found = self.incidents()
        return found[0] if found else super().incident()


@pytest.fixture(scope="session")
def besieged(world: World) -> Scene:
    """Its plan awaits approval by two people, and must still when a test is over: no test may leave an approval."""
    scene = Besieged(world, "besieged")
    scene.begin()
    scene.surge()
    return scene
