"""A world to measure in: a real control plane, AWS with canned answers, and the operator with its own defaults."""

import asyncio
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from kubernetes import client as blocking
from kubernetes import config as blocking_config
from kubernetes.aio import client, config

from bokgu.kube.client import KubeClient
from tests.bench.canned_aws import CLUSTER
from tests.bench.processes import cpu_seconds
from tests.controlplane import Process
from tests.world.manifests import detector, incident, protected_service, roomy_policy
from tests.world.world import ROOT, World, wait_for

CONCURRENCY = 16
"""Requests under way at once, of who fills the cluster."""
PATIENCE = 900.0
"""Seconds to wait for anything."""
AWAITING = "AwaitingApproval"
_OVER = {"incidents": "Resolved", "recoveryplans": "Completed"}

_AT_REST = 0.05
"""Seconds of CPU in a second, of an operator that has nothing to do."""
_CALM = 3
"""Such seconds in a row."""

_SETTINGS = {
    "BOKGU_MINUTE": "1m",
    "BOKGU_SERVICE_POLL": "1m",
    "BOKGU_STEP_POLL": "5s",
    "BOKGU_CONSISTENCY_DELAY": "5m",
    "BOKGU_RESYNC": "5m",
    "BOKGU_POLICY_SETTLE": "1m",
    "BOKGU_AWS_QUOTAS": "ecs=100000,UpdateService=100000,GetMetricData=100000,elbv2=100000",
}
"""The operator's own defaults instead of the world's pace. AWS's quotas are lifted: else they are all that is seen."""

Raw = dict[str, Any]


class BenchWorld:
    """A world whose services are canned ones, and what fills it and reads it quickly."""

    def __init__(self, world: World) -> None:
        self.world = world

    # The cluster

    @asynccontextmanager
    async def client(self, *, operator: bool = False) -> AsyncIterator[KubeClient]:
        """The gateway as an administrator, or with the operator's account, which alone writes statuses."""
        account = self.world.operator_kubeconfig() if operator else self.world.control_plane.admin_kubeconfig
        known = client.Configuration()
        await config.load_kube_config(str(account), client_configuration=known)  # type: ignore[no-untyped-call]  # generated without types
        kube = KubeClient(client.ApiClient(known))
        try:
            yield kube
        finally:
            await kube.close()

    async def create_all(self, plural: str, bodies: Sequence[Raw]) -> list[Raw]:
        """Create them side by side; what the API server answered."""
        made: list[Raw] = []
        async with self.client() as kube:
            left = iter(bodies)

            async def create() -> None:
                for body in left:
                    answer = await kube.create(plural, body)
                    made.append(answer)

            await asyncio.gather(*(create() for _ in range(CONCURRENCY)))
        return made

    def create(self, plural: str, bodies: Sequence[Raw]) -> list[Raw]:
        """The same, for who does not await."""
        return asyncio.run(self.create_all(plural, bodies))

    def place(self, body: Raw, namespace: str, labels: Mapping[str, str] | None = None) -> Raw:
        """The object in that namespace."""
        more = {"namespace": namespace} | ({"labels": dict(labels)} if labels else {})
        return {**body, "metadata": {**body["metadata"], **more}}

    def open_namespace(self, name: str, **policy: Any) -> None:
        """A namespace whose policy lets everything be recovered at the same time."""
        self.world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.world.apply(roomy_policy(name, **policy))

    def protect(
        self, namespace: str, names: Sequence[str], *, labels: Mapping[str, str] | None = None, **spec: Any
    ) -> None:
        """Protect canned services, each with a Detector that is silent: only what is filed is measured."""
        services, detectors = [], []
        for name in names:
            ecs = {"cluster": CLUSTER, "service": name}
            body = protected_service(name, **{"ecs": ecs, "detection": {"relapseWatch": "2s"}, **spec})
            services.append(self.place(body, namespace, labels))
            silent = detector(name, suspend=True, interval="60s", settle="120s")
            for query in silent["spec"]["queries"]:
                query["period"] = "60s"
            detectors.append(self.place(silent, namespace, labels))
        self.create("detectors", detectors)
        self.create("protectedservices", services)

    def incidents(self, namespace: str, names: Sequence[str]) -> list[Raw]:
        """A critical incident of each service, not created yet."""
        return [self.place(incident(f"inc-{name}", name, severity="critical"), namespace) for name in names]

    @cached_property
    def objects(self) -> Any:
        """A client that blocks, as an administrator."""
        kubeconfig = str(self.world.control_plane.admin_kubeconfig)
        return blocking.CustomObjectsApi(blocking_config.new_client_from_config(kubeconfig))  # type: ignore[no-untyped-call]  # generated without types

    def any_left(self, plural: str, namespace: str, *phases: str) -> bool:
        """Whether an object is in another phase than these. The API server looks, so that it costs little."""
        where = {"group": "bokgu.dev", "version": "v1alpha1", "namespace": namespace, "plural": plural}
        terms = ",".join(f"status.phase!={phase}" for phase in phases)
        return bool(self.objects.list_namespaced_custom_object(**where, field_selector=terms, limit=1)["items"])

    def burst(self, namespace: str, incidents: Sequence[Raw], patience: float = PATIENCE) -> float:
        """File them at once; seconds from then until all of them and their plans await approval, as far as they are not
        over."""
        begun = time.monotonic()
        self.create("incidents", incidents)

        def done() -> bool:
            return not any(self.any_left(plural, namespace, AWAITING, over) for plural, over in _OVER.items())

        wait_for(done, patience, lambda: self.tell_left(namespace))
        return time.monotonic() - begun

    def tell_left(self, namespace: str) -> str:
        """What phases the incidents and plans are in."""
        found = []
        for plural in ("incidents", "recoveryplans"):
            phases = [o.get("status", {}).get("phase", "none") for o in self.world.all(plural, namespace)]
            found.append(f"{plural}: { ({phase: phases.count(phase) for phase in sorted(set(phases))}) }")
        return "; ".join(found)

    def write_pattern(self, namespace: str, name: str) -> Path:
        """What yardsticks shall write: as the operator has written about that incident."""
        filed = self.world.get("incidents", name, namespace)
        assert filed is not None
        plan = self.world.get("recoveryplans", filed["status"]["plans"][-1]["name"], namespace)
        assert plan is not None
        spec = {key: value for key, value in plan["spec"].items() if key != "incidentRef"}
        pattern = {"spec": spec, "planStatus": plan["status"], "incidentStatus": filed["status"]}
        file = self.world.directory / "pattern.json"
        file.write_text(json.dumps(pattern))
        return file

    # The operator

    def start_operator(self, settings: Mapping[str, str] | None = None, name: str = "operator") -> float:
        """Start it, and wait until it is ready; the seconds that took."""
        begun = time.monotonic()
        self.world.start_operator({**_SETTINGS, **(settings or {})}, name)
        return time.monotonic() - begun

    def settle(self, name: str = "operator") -> None:
        """Wait until an operator that has just started has been at rest for some seconds."""
        process, last, calm = self.world.process(name), 0.0, 0

        def rests() -> bool:
            nonlocal last, calm
            time.sleep(1)
            before, last = last, cpu_seconds(process.pid)
            calm = calm + 1 if last - before < _AT_REST else 0
            return calm >= _CALM

        wait_for(rests, PATIENCE, lambda: f"{name} does not come to rest")

    def describe(
        self, *namespaces: str, settings: Mapping[str, str] | None = None, shards: Sequence[str] = ("",)
    ) -> None:
        """Let operators that look around every second store of every service what a plan needs, and end them. At the
        usual pace that takes a minute for each 200 services after a start."""
        for shard in shards:
            own = {"BOKGU_SHARD": shard, "BOKGU_WEBHOOK_PORT": "0"} if shard else {}
            self.start_operator({**(settings or {}), **own, "BOKGU_SERVICE_POLL": "1s"}, f"describes-{shard}")

        def described() -> bool:
            time.sleep(0.5)
            found = (service for namespace in namespaces for service in self.world.all("protectedservices", namespace))
            return all("lastKnownGood" in service.get("status", {}) for service in found)

        wait_for(described, PATIENCE, lambda: f"services of {namespaces} are not described")
        for shard in shards:
            self.world.stop_operator(f"describes-{shard}")

    def count_writes(self, before: Mapping[str, float], after: Mapping[str, float]) -> float:
        """Writes to the API server between two scrapes, Events not counted."""
        return _grown(before, after, "bokgu_status_writes_total{", "bokgu_plans_created_total")

    def count_status_writes(self, before: Mapping[str, float], after: Mapping[str, float], plural: str) -> float:
        """Of them those of the status of a kind."""
        return _grown(before, after, f'bokgu_status_writes_total{{resource="{plural}"')

    # AWS

    def updates(self) -> dict[str, float]:
        """When the first UpdateService of each service came, in seconds since 1970."""
        with urllib.request.urlopen(f"{self.world.aws_url}/updates", timeout=10) as answer:
            found: dict[str, float] = json.load(answer)
        return found


def _grown(before: Mapping[str, float], after: Mapping[str, float], *names: str) -> float:
    return sum(value - before.get(name, 0) for name, value in after.items() if name.startswith(names))


@contextmanager
def open_bench_world(tell: Callable[[str], None], *, services: int = 0, surge: bool = False) -> Iterator[BenchWorld]:
    """One without an operator; AWS has load balancers for so many services, and with `surge` twice the usual
    traffic."""
    with tempfile.TemporaryDirectory(prefix="bokgu-bench-") as name:
        folder = Path(name)
        with (
            _canned_aws(folder, services, surge) as url,
            World(folder, operator=False, aws_url=url, tell=tell) as world,
        ):
            yield BenchWorld(world)


@contextmanager
def _canned_aws(folder: Path, services: int, surge: bool) -> Iterator[str]:
    port_file = folder / "canned.port"
    argv = [sys.executable, "-m", "tests.bench.canned_aws", "--services", str(services), "--port-file", str(port_file)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
    options = ["--surge"] if surge else []
    with Process.start([*argv, *options], log_path=folder / "canned.log", env=environment) as process:
        wait_for(port_file.exists, 20, lambda: process.log_tail(5))
        yield f"http://127.0.0.1:{port_file.read_text()}"
