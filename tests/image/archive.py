"""Reads an OCI archive: an image as one file (OCI Image Format Specification, "Image Layout")."""

import json
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Raw = dict[str, Any]


@dataclass(frozen=True)
class Image:
    """An image in an archive."""

    archive: Path

    @cached_property
    def digest(self) -> str:
        """Digest of its manifest, by which a registry names it."""
        with tarfile.open(self.archive) as opened:
            index = json.load(_open(opened, "index.json"))
        (found,) = index["manifests"]
        return str(found["digest"])

    @cached_property
    def manifest(self) -> Raw:
        """Its manifest."""
        return self._read_blob(self.digest)

    @cached_property
    def config(self) -> Raw:
        """How it is to be run: User, Env, Entrypoint, Cmd, Labels."""
        config: Raw = self._read_blob(self.manifest["config"]["digest"])["config"]
        return config

    @cached_property
    def members(self) -> tuple[tarfile.TarInfo, ...]:
        """All files, folders and links of its layers."""
        return tuple(member for layer in self.manifest["layers"] for member in self._list(layer["digest"]))

    @property
    def size(self) -> int:
        """Bytes of its files, as a node has them on its disk."""
        return sum(member.size for member in self.members)

    @property
    def packed_size(self) -> int:
        """Bytes that are pulled."""
        return sum(int(layer["size"]) for layer in self.manifest["layers"])

    def unpack(self, folder: Path) -> None:
        """Unpack the files, with their owners and modes."""
        for layer in self.manifest["layers"]:
            with tarfile.open(self.archive) as opened:
                blob = _open(opened, _place(layer["digest"]))
                with tarfile.open(fileobj=blob) as files:
                    # Absolute links are meant: they lead to places in the image.
                    files.extraction_filter = tarfile.fully_trusted_filter
                    files.extractall(folder, numeric_owner=True)

    def _list(self, digest: str) -> list[tarfile.TarInfo]:
        with tarfile.open(self.archive) as opened, tarfile.open(fileobj=_open(opened, _place(digest))) as files:
            return files.getmembers()

    def _read_blob(self, digest: str) -> Raw:
        with tarfile.open(self.archive) as opened:
            found: Raw = json.load(_open(opened, _place(digest)))
        return found


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _open(opened: tarfile.TarFile, name: str) -> Any:
    return opened.extractfile(opened.getmember(name))
