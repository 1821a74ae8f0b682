"""`python -m tests.bench.yardsticks.plain_kopf NAMESPACE PATTERN`: what kopf's documentation leads to, a handler of
`on.create` that makes the writes that Bokgu makes for an Incident."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kopf
from kubernetes.aio import client, config

from bokgu.api.meta import API_VERSION, GROUP, VERSION
from tests.bench.bench_world import BenchWorld
from tests.controlplane import Process
from tests.world.world import ROOT, wait_for

READY = "ready"
FULL_RIGHTS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "plain-kopf"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "bokgu", "namespace": "bokgu-system"}],
}
"""kopf writes annotations, which the operator's own account may not."""


@contextmanager
def plain_kopf(bench: BenchWorld, namespace: str, pattern: Path) -> Iterator[Process]:
    """It runs, and watches the namespace."""
    bench.world.apply(FULL_RIGHTS)
    log = bench.world.directory / "yardstick-kopf.log"
    log.unlink(missing_ok=True)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
        "KUBECONFIG": str(bench.world.operator_kubeconfig()),
    }
    argv = [sys.executable, "-m", "tests.bench.yardsticks.plain_kopf", namespace, str(pattern)]
    with Process.start(argv, log_path=log, env=environment) as process:
        wait_for(lambda: READY in log.read_text().splitlines(), 60, lambda: process.log_tail(5))
        yield process


def main() -> None:
    """Run until told to end."""
    namespace, pattern = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    where = (GROUP, VERSION, namespace, "recoveryplans")
    registry = kopf.OperatorRegistry()
    objects: list[client.CustomObjectsApi] = []

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        return kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        known = client.Configuration()
        await config.load_kube_config(os.environ["KUBECONFIG"], client_configuration=known)  # type: ignore[no-untyped-call]  # generated without types
        objects.append(client.CustomObjectsApi(client.ApiClient(known)))
        print(READY, flush=True)

    @kopf.on.create(GROUP, VERSION, "incidents", registry=registry)
    async def recover(name: str, uid: str, patch: kopf.Patch, **_: Any) -> None:
        owner = {"apiVersion": API_VERSION, "kind": "Incident", "name": name, "uid": uid, "controller": True}
        plan = {
            "apiVersion": API_VERSION,
            "kind": "RecoveryPlan",
            "metadata": {"name": name, "namespace": namespace, "ownerReferences": [owner]},
            "spec": {**pattern["spec"], "incidentRef": {"name": name, "uid": uid}},
        }
        made: Any = await objects[0].create_namespaced_custom_object(*where, plan)
        made["status"] = pattern["planStatus"]
        await objects[0].replace_namespaced_custom_object_status(*where, name, made)
        patch.status.update(pattern["incidentStatus"])

    kopf.run(registry=registry, standalone=True, namespaces=[namespace])


if __name__ == "__main__":
    main()
