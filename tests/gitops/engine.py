"""Runs Flux's kustomize-controller against a control plane, under an account of its own."""

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import yaml

from tests.controlplane import ControlPlane, Process
from tests.controlplane.ports import free_ports
from tests.controlplane.server import Probe
from tests.gitops.program import KUSTOMIZE_CONTROLLER, find_crds
from tests.world.world import wait_for

Raw = dict[str, Any]

NAMESPACE = "flux-system"
_NAME = "kustomize-controller"
_ACCOUNT = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _NAME, "namespace": NAMESPACE}},
    {
        # As Flux installs itself: without spec.serviceAccountName it applies whatever is in Git.
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "cluster-reconciler"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": _NAME, "namespace": NAMESPACE}],
    },
]


class Engine:
    """A kustomize-controller that reconciles all Kustomizations of a control plane. A context manager."""

    def __init__(self, control_plane: ControlPlane, folder: Path) -> None:
        """Files are kept in `folder`; the program is built when it is not there."""
        self._control_plane, self._folder = control_plane, folder
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        program = KUSTOMIZE_CONTROLLER.find_or_build() / _NAME
        self._control_plane.apply(*find_crds(), yaml.safe_dump_all(_ACCOUNT))
        kubeconfig = self._control_plane.kubeconfig_for_service_account(NAMESPACE, _NAME, timedelta(hours=24))
        ports = free_ports(["health", "metrics"])
        arguments = [
            "--feature-gates=ExternalArtifact=true",
            "--watch-all-namespaces",
            # Those that wait for what is not ready yet keep no other waiting.
            "--concurrent=16",
            "--events-addr=",
            f"--health-addr=127.0.0.1:{ports['health']}",
            f"--metrics-addr=127.0.0.1:{ports['metrics']}",
        ]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "KUBECONFIG": str(kubeconfig),
            "RUNTIME_NAMESPACE": NAMESPACE,
        }
        self._process = Process.start([program, *arguments], log_path=self._folder / f"{_NAME}.log", env=environment)
        self._wait_ready(self._process, Probe(ports["health"], "/readyz"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()

    def kustomization(self, name: str) -> Raw:
        """A Kustomization as the API server has it; empty where there is none."""
        found = self._control_plane.kubectl(
            "get", "kustomization", name, "-n", NAMESPACE, "-o", "json", "--ignore-not-found"
        )
        return dict(json.loads(found.stdout or "{}"))

    def ready(self, name: str) -> Raw:
        """Its condition Ready, or an empty one."""
        conditions = self.kustomization(name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == "Ready"), {})

    def reconcile(self, name: str) -> None:
        """Ask for a pass now, as `flux reconcile` does, and wait until it has begun and ended."""
        asked = str(time.time_ns())
        self._control_plane.kubectl(
            "annotate",
            "kustomization",
            name,
            "-n",
            NAMESPACE,
            "--overwrite",
            f"reconcile.fluxcd.io/requestedAt={asked}",
        )

        def handled() -> bool:
            return bool(self.kustomization(name).get("status", {}).get("lastHandledReconcileAt") == asked)

        self.wait(name, "a pass", handled)

    def wait_ready(self, name: str) -> None:
        """Wait until it is ready; each pass makes it Unknown for a moment."""
        self.wait(name, "ready", lambda: self.ready(name).get("status") == "True")

    def wait_applied(self, name: str, revision: str, seconds: float = 40) -> None:
        """Wait until a revision is applied and healthy."""

        def applied() -> bool:
            status = self.kustomization(name).get("status", {})
            return status.get("lastAppliedRevision") == revision and self.ready(name).get("status") == "True"

        self.wait(name, f"{revision} applied", applied, seconds)

    def wait(self, name: str, what: str, condition: Callable[[], bool], seconds: float = 40) -> None:
        """Wait for a state of a Kustomization; a timeout shows it and the engine's log."""

        def explain() -> str:
            log = self._process.log_tail(15) if self._process else ""
            return f"{what}\n{json.dumps(self.kustomization(name).get('status', {}), indent=1)}\n{log}"

        wait_for(condition, seconds, explain)

    def _wait_ready(self, process: Process, probe: Probe, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not probe.succeeds():
            if process.wait(0.1) or time.monotonic() > deadline:
                raise RuntimeError(f"{_NAME} is not ready:\n{process.log_tail()}")
