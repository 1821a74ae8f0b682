"""Make the root of the image from the stage that this runs in: `python3 -B root.py PACKAGES ROOT`.

PACKAGES is a folder with the operator and what it depends on. ROOT gets that, the interpreter that runs this, the
libraries that all of it loads, their licences, bytecode, and a list of what is in it (SBOM). The same sources give the
same bytes.
"""

import compileall
import importlib
import json
import os
import pkgutil
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote

USER = 65532
SBOM = "var/lib/db/sbom/bokgu.cdx.json"
"""Where scanners of images look for one."""

FOR_CREDENTIALS = {"signin", "sso", "sso-oidc", "sts"}
"""APIs that botocore itself calls to get credentials."""

UNUSED = ("bin", "*.pyi")
LOADED_WHEN_ASKED_FOR = (
    "kubernetes/client/api",
    "kubernetes/client/models",
    "kubernetes/aio/client/api",
    "kubernetes/aio/client/models",
)
"""A module for each API and type of Kubernetes. The operator asks for none: it speaks to the API server in JSON."""
UNUSED_IN_LIBRARY = (
    *("config-*", "curses", "dbm", "dist-packages", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data"),
    *("site-packages", "sitecustomize.py", "sqlite3", "test", "tkinter", "turtledemo", "venv", "*/test", "*/tests"),
    *(f"lib-dynload/{name}*" for name in ("_curses", "_dbm", "_gdbm", "_sqlite3", "_test", "_tkinter", "_xx", "xx")),
    *(f"lib-dynload/{name}*" for name in ("_ctypes_test", "nis", "ossaudiodev", "readline")),
)
SYSTEM = (
    *("/etc/ld.so.cache", "/etc/os-release", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/openssl.cnf"),
    *("/usr/lib/ssl/cert.pem", "/usr/lib/ssl/openssl.cnf"),
)
GENERATED_BY = ("ca-certificates",)
"""Packages whose files were made at their installation."""

WRITTEN = {
    "etc/passwd": f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/tmp:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nnonroot:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def main(packages: Path, root: Path) -> None:
    """Make `root`. Raises OSError, ImportError or CalledProcessError where something that belongs to it is missing."""
    sys.path.insert(0, str(packages))
    services = load_operator()
    library = Path(sysconfig.get_path("stdlib"))
    copied = {*copy_files(packages, root, (*UNUSED, *find_unused(packages, services)))}
    copied |= {*copy_files(library, root, UNUSED_IN_LIBRARY)}
    copied |= {copy(Path(place), root) for place in (sys.executable, *SYSTEM)}
    copied |= {copy(place, root) for place in find_libraries(copied)}
    for link in (Path("/lib"), Path("/lib64")):
        if link.is_symlink():
            (root / link.name).symlink_to(link.readlink())
    for name, text in WRITTEN.items():
        (root / name).write_text(text)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    system = {file for file in copied if not file.is_relative_to(packages)}
    debian = find_debian_packages(system)
    for name, *_ in debian:
        copy(Path(f"/usr/share/doc/{name}/copyright"), root)
    moment = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    sbom = root / SBOM
    sbom.parent.mkdir(parents=True)
    sbom.write_text(json.dumps(build_sbom(packages, debian, moment), indent=1) + "\n")
    for folder in (packages, library):
        compile_folder(root, folder)
    # What was left out is not missed.
    home = {"PYTHONHOME": str(inside(root, Path(sys.base_prefix))), "PYTHONPATH": str(inside(root, packages))}
    subprocess.run([sys.executable, "-B", __file__, "--load"], env=home, check=True)
    level(root, moment)


def load_operator() -> set[str]:
    """Load all modules of the operator, and clients of all AWS APIs that it calls; boto3's names of those."""
    import boto3  # noqa: PLC0415 - it is in PACKAGES, as all below

    import bokgu  # noqa: PLC0415
    from bokgu.core.iam.permissions import NEEDS_NO_PERMISSION, PERMISSIONS  # noqa: PLC0415

    for module in pkgutil.walk_packages(bokgu.__path__, "bokgu."):
        importlib.import_module(module.name)
    # That table has every call, as a test says.
    called = {p.service for p in PERMISSIONS} | {service for service, _ in NEEDS_NO_PERMISSION}
    services = called | FOR_CREDENTIALS
    session = boto3.Session(region_name="eu-central-1")
    for service in services:
        session.client(service)
    return services


def find_unused(packages: Path, services: set[str]) -> Iterator[str]:
    """What else of PACKAGES was not loaded and never will be, by its place in there."""
    files = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
    loaded = {Path(file) for file in files if file}
    modules = {file for folder in LOADED_WHEN_ASKED_FOR for file in (packages / folder).glob("*.py")}
    apis = {place for place in (packages / "botocore/data").iterdir() if place.is_dir() and place.name not in services}
    yield from (str(place.relative_to(packages)) for place in apis | modules - loaded)


def inside(root: Path, place: Path) -> Path:
    """Where a place is in the new root."""
    return root / place.relative_to("/")


def copy(place: Path, root: Path) -> Path:
    """Copy a file to the same place, with the link that leads to it; the file."""
    place = place.parent.resolve() / place.name
    file = place.resolve(strict=True)
    target = inside(root, file)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o755 if is_binary(file) else 0o644)
    link = inside(root, place)
    if place != file and not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(file, place.parent))
    return file


def copy_files(folder: Path, root: Path, unused: Iterable[str]) -> Iterator[Path]:
    """Copy a folder without what `unused` names, by place or pattern."""
    places = {"__pycache__", "*/__pycache__", *unused}
    patterns = [pattern for pattern in places if "*" in pattern]

    def wanted(place: Path) -> bool:
        relative = str(place.relative_to(folder))
        return relative not in places and not any(fnmatch(relative, pattern) for pattern in patterns)

    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if wanted(Path(place, name)))
        for name in sorted(files):
            if wanted(Path(place, name)):
                yield copy(Path(place, name), root)


def find_libraries(files: Iterable[Path]) -> set[Path]:
    """The shared libraries of the system that programs and libraries among `files` load."""
    binaries = [file for file in files if is_binary(file)]
    found = subprocess.run(["ldd", *sorted(binaries)], capture_output=True, text=True, check=True).stdout
    if missing := re.findall(r"\S+ => not found", found):
        raise FileNotFoundError(", ".join(missing))
    libraries = {Path(place) for place in re.findall(r"(/\S+) \(0x", found)}
    own = {file.resolve() for file in binaries}
    (libc,) = (place for place in libraries if place.name == "libc.so.6")
    # The C library loads this one itself when a thread is ended.
    return {place for place in libraries if place.resolve() not in own} | {libc.with_name("libgcc_s.so.1")}


def is_binary(file: Path) -> bool:
    """Whether it is a program or library."""
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def find_debian_packages(files: set[Path]) -> list[tuple[str, str, str]]:
    """Name, version and architecture of the packages that `files` are of."""
    names = set(GENERATED_BY)
    for listing in Path("/var/lib/dpkg/info").glob("*.list"):
        if any(Path(line).resolve() in files for line in listing.read_text().splitlines()):
            names.add(listing.stem.partition(":")[0])
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version} ${Architecture}\n", *names]
    shown = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    return sorted((name, version, machine) for name, version, machine in map(str.split, shown.splitlines()))


def build_sbom(packages: Path, debian: list[tuple[str, str, str]], moment: int) -> dict[str, object]:
    """The list of what is in the image (CycloneDX 1.6)."""
    from bokgu import __version__  # noqa: PLC0415 - it is in PACKAGES

    release = platform.freedesktop_os_release()
    distro = f"{release['ID']}-{release.get('VERSION_ID', '')}"
    python = platform.python_version()
    found = sorted(distributions(path=[str(packages)]), key=lambda d: d.name.lower())
    components = [build_component(d.name, d.version, f"pkg:pypi/{canonical(d.name)}@{d.version}", d) for d in found]
    if not any(re.fullmatch(r"python3\.\d+-minimal", name) for name, *_ in debian):
        components.append(build_component("python", python, f"pkg:generic/python@{python}"))
    for name, version, machine in debian:
        purl = f"pkg:deb/{release['ID']}/{quote(name)}@{quote(version, safe='')}?arch={machine}&distro={distro}"
        components.append(build_component(name, version, purl))
    own = build_component("bokgu", __version__, f"pkg:pypi/bokgu@{__version__}")
    own |= {"type": "application", "licenses": [{"license": {"id": "Apache-2.0"}}]}
    made = datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": made, "component": own},
        "components": components,
    }


def build_component(name: str, version: str, purl: str, known: Distribution | None = None) -> dict[str, object]:
    """One entry. `known` says its licence."""
    component: dict[str, object] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if known is None:
        return component
    names = [line.rpartition(" :: ")[2] for line in known.metadata.get_all("Classifier") or () if "License ::" in line]
    if expressions := known.metadata.get_all("License-Expression"):
        component["licenses"] = [{"expression": expressions[0]}]
    elif names:
        component["licenses"] = [{"license": {"name": name}} for name in names]
    return component


def canonical(name: str) -> str:
    """A distribution's name as the index has it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def compile_folder(root: Path, folder: Path) -> None:
    """Bytecode beside each module: nothing can be written when the image runs."""
    if not compileall.compile_dir(
        str(inside(root, folder)),
        quiet=1,
        stripdir=str(root),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    ):
        raise OSError(f"{folder} cannot be compiled")


def level(root: Path, moment: int) -> None:
    """One time for all files."""
    for place in (root, *root.rglob("*")):
        os.utime(place, (moment, moment), follow_symlinks=False)


if __name__ == "__main__":
    if sys.argv[1:] == ["--load"]:
        load_operator()
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
