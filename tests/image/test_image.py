"""The image: what is in it, and an incident that the operator in it recovers."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from bokgu import __version__
from tests.image.archive import Image
from tests.image.container import Container
from tests.world.scene import Scene
from tests.world.world import World

ARCHIVE = os.environ.get("BOKGU_TEST_IMAGE")
pytestmark = [
    pytest.mark.skipif(not ARCHIVE, reason="needs the image, which takes minutes to build: make test-image"),
    pytest.mark.skipif(shutil.which("crun") is None, reason="no crun on PATH: apt-get install crun"),
    pytest.mark.skipif(os.geteuid() != 0, reason="crun is run as root here"),
    pytest.mark.timeout(300),
]

LARGEST = 200_000_000
GRACE = 20.0
"""Seconds after SIGTERM in which it ends; the chart gives more."""


@pytest.fixture(scope="module")
def image() -> Image:
    return Image(Path(str(ARCHIVE)))


@pytest.fixture(scope="module")
def container(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    folder = tmp_path_factory.mktemp("container")
    yield Container(image, folder)
    shutil.rmtree(folder)


def test_it_is_small(image: Image) -> None:
    assert 50_000_000 < image.size < LARGEST


def test_it_runs_the_operator_as_a_user_without_rights(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == ["python3", "-m", "bokgu"]
    assert image.config["Cmd"] == ["run"]
    assert image.config["Labels"]["org.opencontainers.image.version"] == __version__
    assert len(image.config["Labels"]["org.opencontainers.image.revision"]) == 40


def test_python_is_the_only_program_in_it(image: Image) -> None:
    programs = [m.name for m in image.members if m.isfile() and m.mode & 0o111 and ".so" not in Path(m.name).name]
    assert [Path(name).name.rstrip("0123456789.") for name in programs] == ["python"]
    assert Path(programs[0]).parent.name == "bin"


def test_nothing_in_it_gives_rights_or_can_be_changed(image: Image) -> None:
    found = [m for m in image.members if not m.issym() and (m.mode & 0o6022 or (m.uid, m.gid) != (0, 0))]
    assert [m.name for m in found] == ["tmp"]


def test_the_sbom_lists_all_that_is_installed(container: Container) -> None:
    sbom = json.loads((container.root / "var/lib/db/sbom/bokgu.cdx.json").read_text())
    listed = {(c["name"], c["version"]) for c in sbom["components"]}
    installed = {(d.name, d.version) for d in distributions(path=[str(container.root / "opt/bokgu")])}
    assert len(installed) > 50
    assert installed <= listed
    assert {"libc6", "libssl3", "ca-certificates"} <= {name for name, _ in listed}
    assert len(sbom["components"]) == len({c["purl"] for c in sbom["components"]})
    assert sbom["metadata"]["component"]["version"] == __version__


def test_all_of_it_is_compiled(container: Container) -> None:
    sources = [*container.root.rglob("*.py")]
    assert len(sources) > 1000
    assert [file for file in sources if not [*file.parent.glob(f"__pycache__/{file.stem}.cpython-*.pyc")]] == []


def test_the_operator_in_it_recovers_a_service_and_ends_in_time(container: Container, tmp_path: Path) -> None:
    try:
        with World(tmp_path, start_program=container.start) as world:
            before = {place: place.stat().st_mtime for place in container.root.rglob("*")}
            scene = Scene(world, "image")
            scene.begin()
            scene.approve(scene.surge())
            scene.wait("completed", lambda: scene.plan_is("Completed"), 60)
            assert len(scene.updates()) == 1
            begun = time.monotonic()
            assert world.stop_operator() == 0, world.operator_log_tail()
            assert time.monotonic() - begun < GRACE
            assert {place: place.stat().st_mtime for place in container.root.rglob("*")} == before
    finally:
        container.delete()
