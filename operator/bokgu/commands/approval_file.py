"""Approvals as YAML, to print or to commit."""

from pathlib import Path
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes what has several lines as such: a signature is one."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def format_approval(manifest: dict[str, Any]) -> str:
    """The manifest as YAML."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def write_approval(manifest: dict[str, Any], folder: Path) -> tuple[Path, bool]:
    """Write the manifest to a file of its name in the folder, which is made. (the file, whether it is a new one)

    The same file that is there already is left alone. Raises FileExistsError for another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / f"{manifest['metadata']['name']}.yaml", format_approval(manifest)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if path.read_text(encoding="utf-8") != text:
            raise FileExistsError(f"{path} is there already, and says something else: nothing is overwritten") from None
        return path, False
    return path, True
