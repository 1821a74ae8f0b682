"""The scenario files, read and checked."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from tests.scenarios.scenario import Scenario

FOLDER = Path(__file__).parent / "catalogue"


class CatalogueError(Exception):
    """A scenario file is wrong, or there is none of that name; the text says which and why."""


@dataclass(frozen=True)
class Entry:
    """A scenario and the name of its file, such as `15-pause-hook`."""

    name: str
    scenario: Scenario


def read_file(path: Path) -> Entry:
    """Read one file. Raises CatalogueError."""
    try:
        return Entry(path.stem, Scenario.model_validate(yaml.safe_load(path.read_text())))
    except yaml.YAMLError as error:
        raise CatalogueError(f"{path.name} is no YAML: {error}") from error
    except ValidationError as error:
        lines = (f"  {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise CatalogueError("\n".join((f"{path.name}:", *lines))) from error


@cache
def read_catalogue(folder: Path = FOLDER) -> tuple[Entry, ...]:
    """All scenarios in the order of their numbers. Raises CatalogueError."""
    entries = sorted((read_file(path) for path in folder.glob("*.yaml")), key=lambda e: (e.scenario.number, e.name))
    for entry in entries:
        if entry.name.partition("-")[0] != str(entry.scenario.number):
            raise CatalogueError(f"{entry.name}.yaml: its name must begin with its number, {entry.scenario.number}")
    return tuple(entries)


def find_entry(name: str, entries: tuple[Entry, ...] | None = None) -> Entry:
    """The scenario of that number, file name, or file name without the number. Raises CatalogueError."""
    listed = read_catalogue() if entries is None else entries
    found = [e for e in listed if name in (str(e.scenario.number), e.name, e.name.partition("-")[2])]
    if len(found) != 1:
        why = "is no scenario" if not found else f"could be {', '.join(e.name for e in found)}"
        raise CatalogueError(f"{name} {why}: `make scenario` lists them all")
    return found[0]
