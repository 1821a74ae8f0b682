"""One world for all tests that need it: the real control plane, the simulator and the operator."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.diagnosis import corpus
from tests.faults import tally as faults
from tests.fuzz import tally as fuzz
from tests.ha import tally as ha
from tests.scenarios import tally
from tests.simulator.harness import Scene as SimulatorScene
from tests.simulator.server import SimulatorServer
from tests.world import rights_tally
from tests.world.account import Account
from tests.world.roles import FIRST_ACCOUNT
from tests.world.scene import Scene
from tests.world.world import World


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A hook of xdist, in the process that sums up."""
    rights_tally.pytest_testnodedown(node)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A hook, in each process."""
    rights_tally.pytest_sessionfinish(session)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A hook. In a conftest of its own folder it would be unknown to the process that hands out tests and sums up."""
    rights_tally.pytest_terminal_summary(terminalreporter)
    tally.pytest_terminal_summary(terminalreporter)
    corpus.pytest_terminal_summary(terminalreporter)
    faults.pytest_terminal_summary(terminalreporter)
    ha.pytest_terminal_summary(terminalreporter)
    fuzz.pytest_terminal_summary(terminalreporter)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world"), audited=True) as running:
        yield running


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def new_scene(world: World, _numbers: Iterator[int]) -> Iterator[Callable[..., Scene]]:
    """Makes services of their own for a test, and takes them out of the world afterwards."""
    scenes: list[Scene] = []

    def make(**spec: object) -> Scene:
        scene = Scene(world, f"svc{next(_numbers)}")
        scenes.append(scene)
        scene.begin(**spec)
        return scene

    yield make
    for scene in scenes:
        world.control_plane.kubectl("delete", "detector", f"{scene.service}-errors", "-n", "shop", "--wait=false")


@pytest.fixture
def scene(new_scene: Callable[..., Scene]) -> Scene:
    """A healthy service that may scale out and roll back after approval."""
    return new_scene()


@pytest.fixture
def account(world: World, _numbers: Iterator[int]) -> Iterator[Account]:
    """An AWS account that no other test feels: a scope of its own."""
    opened = Account(world, f"{FIRST_ACCOUNT + next(_numbers)}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[SimulatorScene]:
    """A simulator without a world around it, with one stable service, for tests of the AWS gateway."""
    with SimulatorServer(speed=600) as server:
        scene = SimulatorScene(server)
        scene.create_stable()
        yield scene
        scene.close()


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's own keys, where the gateway looks for them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "operator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "simulated")
