"""Starts the whole world in one folder, and stops it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3
import yaml
from botocore.config import Config
from kubernetes import client, config

from tests.controlplane import ControlPlane, Process, Programs
from tests.simulator.control import SimulatorControl
from tests.world.event_queue import EventQueue
from tests.world.manifests import (
    APPLY_SET,
    CLUSTER,
    GITOPS_ACCOUNT,
    NAMESPACE,
    NORMAL_LOAD,
    REGION,
    SERVICE,
    TARGET_GROUP_ARN,
    TASK_CAPACITY,
    approver_bindings,
    roomy_policy,
)
from tests.world.people import Person, Repository
from tests.world.rights import NOTED, OPERATOR, read_audit, read_requests
from tests.world.roles import ASSUMABLE_ROLES

ROOT = Path(__file__).parents[2]
SPEED = 60.0
"""Simulated seconds a second: a CloudWatch period of a minute takes a second."""

TOKEN_LIFETIME = timedelta(hours=24)
"""A world that was left running works for a day."""

OPERATOR_SETTINGS = {
    "BOKGU_ASSUMABLE_ROLES": ASSUMABLE_ROLES,
    # One operator acts, and one that was killed is not waited for. tests/ha has elections.
    "BOKGU_LEASE_NAME": "none",
    "BOKGU_MINUTE": "1s",
    "BOKGU_AWS_QUOTAS": "ecs=1200,UpdateService=60,GetMetricData=3000,FilterLogEvents=300,elbv2=600",
    "BOKGU_SERVICE_POLL": "1s",
    "BOKGU_STEP_POLL": "1s",
    "BOKGU_CONSISTENCY_DELAY": "3s",
    "BOKGU_RESYNC": "10s",
    "BOKGU_POLICY_SETTLE": "2s",
}
"""The operator's delays at the same pace, and what it trusts."""

Raw = dict[str, Any]


class World:
    """Control plane, simulator and operator, all on loopback, all in one folder. `tell` is told what is being done.

    Several operators can run in it, each under a name of its own, if the settings keep each to its own objects.
    """

    def __init__(
        self,
        directory: Path,
        *,
        detached: bool = False,
        tell: Callable[[str], None] = lambda _: None,
        programs: Programs | None = None,
        operator: bool = True,
        install: "Callable[[World], None] | None" = None,
        audited: bool = False,
        aws_url: str | None = None,
        speed: float = SPEED,
        start_program: Callable[..., Process] = Process.start,
    ) -> None:
        """Without `operator` none starts with the world. `install` puts in what the operator needs of the cluster;
        None: what the chart renders. `start_program` starts operators as Process.start does. In
        a world that is `audited` the API server notes every request of theirs, which costs it time. With `aws_url`,
        AWS is at that endpoint and no simulator starts; `speed` is the simulator's, in simulated seconds a second."""
        self.directory = directory
        self._detached, self._tell, self._with_operator = detached, tell, operator
        self._start_program = start_program
        self._install_operator = install or _apply_chart
        self._aws_url, self._speed = aws_url, speed
        directory.mkdir(parents=True, exist_ok=True)
        self.control_plane = ControlPlane(
            directory / "controlplane", detached=detached, programs=programs, audit=audited, audit_users=(OPERATOR,)
        )
        self._state_path = directory / "world.json"
        self._processes: dict[str, Process] = {}
        self._ports: dict[str, int] = {}
        self._attach()
        keys = directory / "keys"
        self.alice = Person.create("alice@example.com", keys)
        self.bob = Person.create("bob@example.com", keys)
        self.mallory = Person.create("mallory@example.com", keys)
        self.repository = Repository(directory / "git")
        self.webhook_token = directory / "webhook-token"
        self.webhook_token.write_text("a token that Alertmanager shows\n")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Life

    def start(self) -> None:
        """Start everything that does not run yet."""
        self._tell("control plane: etcd, kube-apiserver, kube-controller-manager")
        self.control_plane.start()
        if self._aws_url is None:
            self._tell("AWS simulator")
            self._start_simulator()
            self.events.create()
        self._tell("CRDs, admission policies, accounts")
        self._install_operator(self)
        self._install()
        if self._with_operator:
            self._tell("the operator, under its own account")
            self.start_operator()

    def stop(self) -> None:
        """Stop everything that was started, the operators first. The folder stays."""
        for name in sorted(self._processes, key="simulator".__eq__):
            self._processes.pop(name).stop()
        self.control_plane.stop()
        if self.control_plane.audit_log.exists():
            NOTED.append(read_requests(read_audit(self.control_plane.audit_log)))
        self._state_path.unlink(missing_ok=True)

    def operator_kubeconfig(self) -> Path:
        """A kubeconfig of the operator's own account."""
        return self.control_plane.kubeconfig_for_service_account("bokgu-system", "bokgu", TOKEN_LIFETIME)

    def start_operator(
        self, settings: Mapping[str, str] | None = None, name: str = "operator", *, ready: bool = True
    ) -> None:
        """Start the operator's process, and wait until it is `ready`. `settings` are environment variables."""
        if self.runs(name):
            return
        settings = settings or {}
        port = self._ports.setdefault(name, free_port())
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "PYTHONPATH": str(ROOT / "operator"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "KUBECONFIG": settings.get("KUBECONFIG") or str(self.operator_kubeconfig()),
            "AWS_ACCESS_KEY_ID": "operator",
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "BOKGU_AWS_ENDPOINT_URL": self.aws_url,
            "BOKGU_LISTEN_PORT": str(port),
            **({"BOKGU_EVENT_QUEUES": self.events.url} if self._aws_url is None else {}),
            "BOKGU_WEBHOOK_PORT": str(self._ports.setdefault("webhook", free_port())),
            "BOKGU_WEBHOOK_TOKEN_FILE": str(self.webhook_token),
            **OPERATOR_SETTINGS,
            **settings,
        }
        self._launch(name, [sys.executable, "-m", "bokgu", "run"], environment)
        if ready:
            self._wait_ready(f"http://127.0.0.1:{port}/readyz", name)

    def kill_operator(self, name: str = "operator") -> None:
        """SIGKILL, as a crash would."""
        self._processes.pop(name).kill()

    def stop_operator(self, name: str = "operator") -> int | None:
        """SIGTERM, as Kubernetes would; the exit code."""
        process = self._processes.pop(name)
        process.stop(timeout=30)
        return process.exit_code

    def process(self, name: str) -> Process:
        """The process of that name; KeyError where none was started."""
        return self._processes[name]

    def signal_operator(self, name: str, number: signal.Signals) -> None:
        """Send a signal to an operator."""
        self._processes[name].send_signal(number)

    def readiness(self, name: str) -> str:
        """What an operator answers to /readyz; "" where it does not, or is not ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[name]}/readyz", timeout=2) as answer:
                said: str = answer.read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        return said

    @property
    def operator_pid(self) -> int:
        """Process id of the operator; KeyError while it does not run."""
        return self._processes["operator"].pid

    def operator_log_tail(self, lines: int = 20, name: str = "operator") -> str:
        """The last lines that the operator logged."""
        log = self.directory / f"{name}.log"
        return "\n".join(log.read_text().splitlines()[-lines:]) if log.exists() else ""

    def _start_simulator(self) -> None:
        if self.runs("simulator"):
            return
        port = self._ports.setdefault("simulator", free_port())
        arguments = ["--port", str(port), "--speed", str(self._speed), "--region", REGION]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        self._launch("simulator", [sys.executable, "-m", "tests.simulator", *arguments], environment)
        self._wait_ready(f"http://127.0.0.1:{port}/_simulator/health", "simulator")

    def _launch(self, name: str, argv: list[str], environment: Mapping[str, str]) -> None:
        log = self.directory / f"{name}.log"
        self._processes[name] = self._start_program(argv, log_path=log, env=environment, detached=self._detached)
        self._save()

    def runs(self, name: str) -> bool:
        """Whether a process of that name runs: `simulator`, or an operator's."""
        return name in self._processes and self._processes[name].alive

    def _wait_ready(self, url: str, name: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except OSError as error:
                if not self._processes[name].alive or time.monotonic() > deadline:
                    tail = self._processes[name].log_tail(15)
                    raise RuntimeError(f"{name} is not ready: {error}\n{tail}") from error
            time.sleep(0.05)

    def _attach(self) -> None:
        """Find the processes of an earlier, detached start again."""
        if not self._state_path.exists():
            return
        state = json.loads(self._state_path.read_text())
        self._ports = state["ports"]
        for name, known in state["processes"].items():
            process = Process.attach(known["pid"], known["start_mark"], self.directory / f"{name}.log")
            if process is not None:
                self._processes[name] = process

    def _save(self) -> None:
        processes = {n: {"pid": p.pid, "start_mark": p.start_mark} for n, p in dict(self._processes).items()}
        self._state_path.write_text(json.dumps({"ports": self._ports, "processes": processes}))

    def _install(self) -> None:
        signers = "\n".join(person.allowed_signers_line for person in (self.alice, self.bob)) + "\n"
        objects = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "bokgu-signers", "namespace": "bokgu-system"},
                "data": {"allowed_signers": signers, "revoked": ""},
            },
            *approver_bindings(self.alice.name, "system_admin"),
            *approver_bindings(self.bob.name, "service_owner"),
            roomy_policy(),
            *GITOPS_ACCOUNT,
        ]
        self.apply(*objects)

    # Kubernetes

    def apply(self, *objects: Raw, user: Path | None = None) -> None:
        """Apply objects server-side, as the administrator unless told otherwise."""
        self.control_plane.apply(yaml.safe_dump_all(objects), user=user)

    def get(self, plural: str, name: str, namespace: str = NAMESPACE) -> Raw | None:
        """An object of ours, or None."""
        try:
            found: Raw = self._objects.get_namespaced_custom_object("bokgu.dev", "v1alpha1", namespace, plural, name)
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise
        return found

    def all(self, plural: str, namespace: str = NAMESPACE) -> list[Raw]:
        """All objects of a kind of ours, oldest first."""
        answer = self._objects.list_namespaced_custom_object("bokgu.dev", "v1alpha1", namespace, plural)
        return sorted(answer["items"], key=lambda o: (o["metadata"]["creationTimestamp"], o["metadata"]["name"]))

    @cached_property
    def _objects(self) -> Any:
        kubeconfig = str(self.control_plane.admin_kubeconfig)
        api = config.new_client_from_config(kubeconfig)  # type: ignore[no-untyped-call]  # generated without types
        return client.CustomObjectsApi(api)

    def status(self, plural: str, name: str) -> Raw:
        """Status of an object; empty where there is none yet."""
        return dict((self.get(plural, name) or {}).get("status", {}))

    def condition(self, plural: str, name: str, type_: str) -> Raw:
        """One condition of an object, or an empty one."""
        return next((c for c in self.status(plural, name).get("conditions", []) if c["type"] == type_), {})

    def detections(self, name: str) -> dict[str, str]:
        """State of each detection of a ProtectedService, by its condition."""
        return {d["condition"]: d["state"] for d in self.status("protectedservices", name).get("detections", [])}

    def incidents_of(self, service: str) -> list[Raw]:
        """All incidents of a service, oldest first."""
        return [i for i in self.all("incidents") if i["spec"]["serviceRef"]["name"] == service]

    @cached_property
    def gitops(self) -> Path:
        """The account that applies what is in Git."""
        return self.control_plane.kubeconfig_for_service_account(NAMESPACE, "gitops", TOKEN_LIFETIME)

    def commit(self, author: str, manifest: Raw) -> None:
        """Commit an approval to Git and apply the checkout under the GitOps account."""
        with self.repository.locked():
            self.repository.commit(author, manifest)
            self._apply_checkout()

    def withdraw(self, author: str, manifest: Raw) -> None:
        """Remove a committed approval from Git and apply the checkout, which prunes it from the cluster."""
        with self.repository.locked():
            self.repository.remove(author, manifest)
            self._apply_checkout()

    def apply_checkout(self) -> None:
        """Apply what is in Git once more, as a GitOps engine does at each interval."""
        with self.repository.locked():
            self._apply_checkout()

    def _apply_checkout(self) -> None:
        folder = self.repository.approvals
        if folder.exists():
            parent = f"--applyset=configmap/{APPLY_SET}"
            arguments: list[str | Path] = ["apply", "--server-side", "--prune", parent, "-f", folder]
        else:
            # kubectl refuses to apply nothing, so the last approval is pruned as it would be: by the label of the set.
            label = r"{.metadata.labels.applyset\.kubernetes\.io/id}"
            known = self._kubectl_gitops("get", "configmap", APPLY_SET, "-o", f"jsonpath={label}").stdout
            arguments = ["delete", "planapprovals", "-l", f"applyset.kubernetes.io/part-of={known}"]
        self._kubectl_gitops(*arguments)

    def _kubectl_gitops(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.control_plane.kubectl("--namespace", NAMESPACE, *arguments, user=self.gitops)

    # AWS

    def external_id(self, namespace: str = NAMESPACE) -> str:
        """What the operator shows to the roles that it assumes for a namespace."""
        get_uid = ("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
        return f"{self.control_plane.kubectl(*get_uid).stdout}/{namespace}"

    @property
    def aws_url(self) -> str:
        """Endpoint of AWS: the simulator's, unless another one was given."""
        return self._aws_url or f"http://127.0.0.1:{self._ports['simulator']}"

    @property
    def simulator(self) -> SimulatorControl:
        """Its switches."""
        return SimulatorControl(self.aws_url)

    @cached_property
    def events(self) -> EventQueue:
        """The queue that AWS tells the operator through."""
        return EventQueue(self.aws_url)

    @cached_property
    def ecs(self) -> Any:
        """A boto3 client, as a person at the AWS console would be one."""
        return self._client("ecs")

    @cached_property
    def cloudwatch(self) -> Any:
        """Another one."""
        return self._client("cloudwatch")

    @cached_property
    def scaling(self) -> Any:
        """One for Application Auto Scaling."""
        return self._client("application-autoscaling")

    @cached_property
    def load_balancing(self) -> Any:
        """One for Elastic Load Balancing."""
        return self._client("elbv2")

    def _client(self, service: str) -> Any:
        session = boto3.Session(aws_access_key_id="person", aws_secret_access_key="x", region_name=REGION)
        return session.client(service, endpoint_url=self.aws_url, config=Config(retries={"total_max_attempts": 1}))

    def register(self, family: str = SERVICE, **variables: object) -> str:
        """Register a task definition that behaves as the variables say; its ARN."""
        environment = [{"name": f"SIM_{name}", "value": str(value)} for name, value in variables.items()]
        container = {"name": "app", "image": f"{family}:latest", "environment": environment}
        answer = self.ecs.register_task_definition(family=family, containerDefinitions=[container])
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def create_service(self, service: str = SERVICE, *, controller: str = "ECS") -> None:
        """A healthy service of three tasks behind a load balancer, under normal load; `controller` is the type of its
        deployment controller, ECS or CODE_DEPLOY."""
        self.simulator.set_load(CLUSTER, service, NORMAL_LOAD)
        self.ecs.create_cluster(clusterName=CLUSTER)
        arn = TARGET_GROUP_ARN.replace("/api/", f"/{service}/")
        self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=service,
            taskDefinition=self.register(service, CAPACITY_RPS=TASK_CAPACITY),
            desiredCount=3,
            launchType="FARGATE",
            loadBalancers=[{"targetGroupArn": arn, "containerName": "app", "containerPort": 8080}],
            deploymentController={"type": controller},
        )
        self.wait_steady(service)

    def deploy(self, service: str = SERVICE, **variables: object) -> None:
        """Deploy a new revision and wait until ECS says it is complete."""
        definition = self.register(service, CAPACITY_RPS=TASK_CAPACITY, **variables)
        self.ecs.update_service(cluster=CLUSTER, service=service, taskDefinition=definition)
        self.wait_steady(service)

    def describe(self, service: str = SERVICE) -> Raw:
        """The service as ECS tells."""
        found: Raw = self.ecs.describe_services(cluster=CLUSTER, services=[service])["services"][0]
        return found

    def wait_steady(self, service: str = SERVICE, seconds: float = 20) -> None:
        """Wait until one deployment is complete, or one task set stable, and runs all tasks."""

        def steady() -> bool:
            found = self.describe(service)
            states = [d["rolloutState"] for d in found["deployments"]]
            states += [t["stabilityStatus"] for t in found.get("taskSets", ())]
            return states in (["COMPLETED"], ["STEADY_STATE"]) and found["runningCount"] == found["desiredCount"]

        wait_for(steady, seconds, lambda: f"{service} is not steady")

    def updates(self, service: str = SERVICE) -> list[Raw]:
        """The operator's UpdateService calls on a service that had an effect, oldest first."""
        return [
            call.parameters
            for call in self.simulator.calls("UpdateService")
            if call.access_key_id == "operator" and call.effect and call.parameters["service"] == service
        ]

    @property
    def metrics_url(self) -> str:
        """Where Prometheus would scrape the operator."""
        return f"http://127.0.0.1:{self._ports['operator']}/metrics"

    @property
    def webhook_url(self) -> str:
        """Where Alertmanager reaches the operator."""
        return f"http://127.0.0.1:{self._ports['webhook']}/alerts"

    def scrape_text(self) -> str:
        """What the operator says to who scrapes it, in the text format."""
        with urllib.request.urlopen(self.metrics_url, timeout=5) as answer:
            text: str = answer.read().decode()
        return text

    def scrape(self) -> dict[str, float]:
        """The operator's own counters, as Prometheus would read them."""
        return _read_samples(self.scrape_text())

    def scrape_of(self, name: str) -> dict[str, float]:
        """The same of another operator."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[name]}/metrics", timeout=5) as answer:
            return _read_samples(answer.read().decode())


def _read_samples(text: str) -> dict[str, float]:
    lines = text.splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if line.startswith("bokgu_"))
    return {name: float(value) for name, value in samples}


def wait_for(condition: Callable[[], Any], seconds: float, explain: Callable[[], str]) -> Any:
    """Wait until the condition gives something true, and return that. Raises TimeoutError with the explanation."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {explain()}")
        time.sleep(0.1)
    return found


def _apply_chart(world: World) -> None:
    """What Helm renders of the chart with its defaults (tests/chart checks that), as kubectl applies it."""
    world.control_plane.apply(ROOT / "crds", ROOT / "deploy")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
