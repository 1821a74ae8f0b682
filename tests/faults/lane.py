"""A namespace of the world with an operator of its own, behind proxies of its own.

Lanes share control plane and simulator and do not feel each other: each operator's proxy shows it one namespace. So
several operators can be killed at different points at the same time.
"""

import json
import os
import ssl
from base64 import b64decode
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config

from tests.faults.proxy import Call, Proxy
from tests.scenarios.kube_admin import KubeAdmin
from tests.world.manifests import approver_bindings, roomy_policy
from tests.world.roles import USUAL, runs_role
from tests.world.world import ROOT, Raw, World

SHIFTED_CLOCK = Path(__file__).with_name("shifted_clock")
"""What makes Python believe that it is later."""
LEFT_BEHIND = ("detectors", "protectedservices", "planapprovals", "recoveryplans", "incidents")


class Lane:
    """Used by one thread, which may kill and start its operator as it likes."""

    def __init__(self, world: World, name: str, settings: dict[str, str] | None = None) -> None:
        """`settings` are further environment variables of the operator."""
        self.world, self.name = world, name
        self.operator = f"operator-{name}"
        self._settings = settings or {}
        self.simulated = 0
        """Sequence number of the simulator's call before which all is of earlier plays."""
        kubeconfig = json.loads(world.operator_kubeconfig().read_text())
        cluster = kubeconfig["clusters"][0]["cluster"]
        authority = b64decode(cluster.pop("certificate-authority-data")).decode()
        tls = ssl.create_default_context(cadata=authority)
        self.kube_calls = Proxy(cluster["server"], tls=tls, namespace=name)
        self.aws_calls = Proxy(world.aws_url)
        self._kubeconfig, self._raw_kubeconfig = world.directory / f"{self.operator}.kubeconfig", kubeconfig
        self.kube = KubeAdmin(world)
        # The client is generated without types.
        api = config.new_client_from_config(str(world.control_plane.admin_kubeconfig))  # type: ignore[no-untyped-call]
        self._objects: Any = client.CustomObjectsApi(api)

    def __enter__(self) -> Self:
        self.kube_calls.__enter__()
        self.aws_calls.__enter__()
        self._raw_kubeconfig["clusters"][0]["cluster"]["server"] = self.kube_calls.url
        self._kubeconfig.write_text(json.dumps(self._raw_kubeconfig))
        self._kubeconfig.chmod(0o600)
        self.kube.create_namespace(self.name)
        for person, role in ((self.world.alice, "system_admin"), (self.world.bob, "service_owner")):
            for binding in approver_bindings(person.name, role, self.name):
                self.kube.put(binding)
        self.kube.put(roomy_policy(self.name))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.runs:
            self.kill()  # Nobody needs what it would still write.
        self.stop_second()
        self.kube_calls.__exit__()
        self.aws_calls.__exit__()
        self.kube.close()

    @property
    def runs(self) -> bool:
        """Whether the operator runs."""
        return self.world.runs(self.operator)

    def start(self) -> None:
        """Start the operator, and wait until it is ready."""
        self._start(self.operator, {})

    def kill(self) -> None:
        """SIGKILL."""
        self.world.kill_operator(self.operator)

    def stop(self) -> int | None:
        """SIGTERM; the exit code."""
        return self.world.stop_operator(self.operator)

    def start_second(self, clock_ahead: float) -> None:
        """Start one more operator, whose clock is so many seconds ahead of everybody else's."""
        path = os.pathsep.join(map(str, (SHIFTED_CLOCK, ROOT / "operator")))
        self._start(f"{self.operator}-second", {"PYTHONPATH": path, "CLOCK_AHEAD": str(clock_ahead)})

    def stop_second(self) -> None:
        """Stop it, if it runs."""
        if self.world.runs(name := f"{self.operator}-second"):
            self.world.stop_operator(name)

    def _start(self, name: str, settings: dict[str, str], *, ready: bool = True) -> None:
        self.world.start_operator(
            {
                "KUBECONFIG": str(self._kubeconfig),
                "BOKGU_AWS_ENDPOINT_URL": self.aws_calls.url,
                # One queue and one door for all lanes would tell the wrong operator.
                "BOKGU_EVENT_QUEUES": "",
                "BOKGU_WEBHOOK_TOKEN_FILE": "",
                "BOKGU_ASSUMABLE_ROLES": f"{self.name}={runs_role(USUAL)}",
                **self._settings,
                **settings,
            },
            name,
            ready=ready,
        )

    @property
    def log(self) -> Path:
        """What the operator has logged, over all its lives."""
        return self.world.directory / f"{self.operator}.log"

    def calls_since(self, mark: tuple[int, int]) -> list[Call]:
        """All calls since a `mark`, in the order in which they arrived."""
        calls = self.kube_calls.calls(mark[0]) + self.aws_calls.calls(mark[1])
        return sorted(calls, key=lambda call: call.at)

    def mark(self) -> tuple[int, int]:
        """The calls up to now."""
        return self.kube_calls.last, self.aws_calls.last

    def get(self, plural: str, name: str) -> Raw:
        """An object, or an empty one."""
        empty: Raw = {"metadata": {"name": name}, "spec": {}, "status": {}}
        return empty | (self.world.get(plural, name, self.name) or {})

    def delete(self, plural: str, name: str) -> None:
        """Delete an object; what it owns goes after it."""
        self._objects.delete_namespaced_custom_object("bokgu.dev", "v1alpha1", self.name, plural, name)

    def label(self, plural: str, name: str, value: str) -> None:
        """Write a label on an object, as somebody else: it has another resourceVersion then."""
        self.change(plural, name, {"metadata": {"labels": {"written-by": value}}})

    def change(self, plural: str, name: str, body: Raw) -> None:
        """Patch an object, as somebody else."""
        place = ("bokgu.dev", "v1alpha1", self.name, plural, name)
        self._objects.patch_namespaced_custom_object(*place, body)

    def clear(self) -> None:
        """Delete all that was made in the namespace."""
        for plural in LEFT_BEHIND:
            self._objects.delete_collection_namespaced_custom_object("bokgu.dev", "v1alpha1", self.name, plural)
