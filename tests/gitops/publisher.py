"""Serves a Git repository's newest revision to Flux, as an ExternalArtifact: a tarball on loopback, and its status."""

import functools
import hashlib
import http.server
import json
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tests.controlplane import ControlPlane


class Publisher:
    """What source-controller does for a GitRepository, for an ExternalArtifact: the newest revision of a branch.

    It publishes when it is told to, not by itself. A context manager.
    """

    def __init__(
        self, control_plane: ControlPlane, repository: Path, folder: Path, *, name: str, namespace: str = "flux-system"
    ) -> None:
        """`repository` is a bare repository with a branch main; tarballs are kept in `folder`."""
        self._control_plane, self._repository, self._folder = control_plane, repository, folder
        self.reference = {"kind": "ExternalArtifact", "name": name, "namespace": namespace}
        """The `sourceRef` of a Kustomization that applies what is published."""
        folder.mkdir(parents=True, exist_ok=True)
        handler = functools.partial(_QuietHandler, directory=folder)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="artifacts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        metadata = {key: self.reference[key] for key in ("name", "namespace")}
        artifact = {**_TYPE, "metadata": metadata, "spec": {}}
        self._control_plane.apply(json.dumps(artifact))
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self) -> str:
        """Publish the newest revision of main; the revision as Flux writes it."""
        commit = self._git("rev-parse", "main").decode().strip()
        tarball = self._git("archive", "--format=tar.gz", "main")
        (self._folder / f"{commit}.tar.gz").write_bytes(tarball)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        revision = f"main@sha1:{commit}"
        artifact = {
            "path": f"{commit}.tar.gz",
            "url": f"http://127.0.0.1:{self._server.server_address[1]}/{commit}.tar.gz",
            "revision": revision,
            "digest": f"sha256:{hashlib.sha256(tarball).hexdigest()}",
            "size": len(tarball),
            "lastUpdateTime": now,
        }
        ready = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": now}
        self._patch_status({"artifact": artifact, "conditions": [ready]})
        return revision

    def _patch_status(self, status: dict[str, Any]) -> None:
        where = ["externalartifact", self.reference["name"], "--namespace", self.reference["namespace"]]
        patch = json.dumps({"status": status})
        self._control_plane.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", patch)

    def _git(self, *arguments: str) -> bytes:
        return subprocess.run(["git", "-C", self._repository, *arguments], capture_output=True, check=True).stdout


_TYPE = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact"}


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Leave the test's output alone."""
