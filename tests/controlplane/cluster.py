"""The control plane as a whole: its folder, its servers in order, its users, and kubectl."""

import json
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from tests.controlplane.certificates import Authority, new_signing_key, write_private
from tests.controlplane.kubeconfig import Endpoint, write_kubeconfig
from tests.controlplane.ports import free_ports
from tests.controlplane.programs import Programs, find_or_build
from tests.controlplane.server import Probe, Server
from tests.controlplane.state import State, read_state, write_state

_HOST = "127.0.0.1"
_PORT_NAMES = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager")

# Without the first two nothing is garbage-collected and namespaces never finish; the third fills aggregated roles.
_CONTROLLERS = "garbage-collector-controller,namespace-controller,clusterrole-aggregation-controller"


class ControlPlane:
    """etcd, kube-apiserver and a kube-controller-manager with three controllers, on 127.0.0.1 and in one folder.

    There are no nodes and no workload controllers: a Deployment is stored and nothing runs. The garbage collector looks
    for new CustomResourceDefinitions every 30 s only, and leaves their objects alone before.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        programs: Programs | None = None,
        audit: bool = False,
        audit_users: Sequence[str] = (),
        detached: bool = False,
    ) -> None:
        """Prepare keys, ports and kubeconfigs; builds the programs when they are neither given nor found.

        Args:
            directory: The folder for all files, made when missing; a temporary one, removed by `stop`, when None. One
                folder holds one control plane: keys, ports and data are taken up again, and so are running servers.
            programs: The programs; `find_or_build()` when None.
            audit: Write every request's metadata to `audit_log`.
            audit_users: Only those of these users; all when empty.
            detached: The servers outlive this Python process, until `stop`, also through `attach`. Otherwise they die
                with it.

        Raises:
            ProgramsError: the programs can't be found or built.
            ValueError: detached, but in a temporary folder.
        """
        if detached and directory is None:
            raise ValueError("a detached control plane needs a directory to be found by")
        self.programs = programs or find_or_build()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="bokgu-controlplane-")
            directory = Path(self._temporary.name)
        self.directory = directory.absolute()
        self._audit, self._audit_users = audit, tuple(audit_users)
        self._detached = detached
        state = read_state(self.directory)
        self._ports = state["ports"] if state else free_ports(_PORT_NAMES)
        self._authority = Authority(self._folder("pki"))
        if state is None:
            self._make_files()
        self.etcd = self._server("etcd", self._etcd_argv(), Probe(self._ports["etcd"], "/readyz"))
        tls = ssl.create_default_context(cafile=self._authority.certificate_path)
        self.apiserver = self._server(
            "kube-apiserver", self._apiserver_argv(), Probe(self._ports["kube-apiserver"], "/readyz", tls)
        )
        self.controller_manager = self._server(
            "kube-controller-manager",
            self._controller_manager_argv(),
            Probe(self._ports["kube-controller-manager"], "/healthz", tls),
        )
        for server in self.servers:
            if state and server.name in state["running"]:
                server.attach(**state["running"][server.name])

    @classmethod
    def attach(cls, directory: Path) -> Self:
        """Find a control plane again that was started in `directory`, running or not, to use or to `stop` it.

        Raises:
            FileNotFoundError: there never was one in this folder.
        """
        state = read_state(directory)
        if state is None:
            raise FileNotFoundError(f"no control plane was ever started in {directory}")
        programs = Programs(**{name: Path(path) for name, path in state["programs"].items()})
        return cls(directory, programs=programs, audit=state["audit"], detached=state["detached"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def servers(self) -> tuple[Server, Server, Server]:
        """The servers, in the order in which they start."""
        return self.etcd, self.apiserver, self.controller_manager

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{_HOST}:{self._ports['kube-apiserver']}"

    @property
    def etcd_url(self) -> str:
        """etcd's address."""
        return f"http://{_HOST}:{self._ports['etcd']}"

    @property
    def admin_kubeconfig(self) -> Path:
        """The kubeconfig of `admin` in the group system:masters, who may do everything."""
        return self.directory / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The audit log, a JSON object a line, when asked for."""
        return self.directory / "audit.log"

    def start(self, timeout: float = 60.0) -> None:
        """Start every server that doesn't run, and wait until all are ready.

        Args:
            timeout: Seconds to wait in all.

        Raises:
            StartError: a server ended or wasn't ready in time; nothing is left running.
        """
        deadline = time.monotonic() + timeout
        with ExitStack() as undo:
            undo.callback(self.stop)
            for server in self.servers:
                server.start(deadline - time.monotonic())
            undo.pop_all()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop the servers, last started first, each killed when it still runs after `timeout` seconds.

        The folder's data stays for a later start, unless the folder is a temporary one, which is removed.
        """
        for server in reversed(self.servers):
            server.stop(timeout)
        if self._temporary is not None:
            self._temporary.cleanup()

    def kubectl(
        self, *args: str | Path, user: Path | None = None, input: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return its output.

        Args:
            args: kubectl's arguments.
            user: A kubeconfig as the methods below return it; the admin's when None.
            input: What kubectl reads from stdin.
            check: Raise when kubectl fails.

        Raises:
            subprocess.CalledProcessError: kubectl failed; what it wrote to stderr is in the exception's notes.
        """
        result = subprocess.run(
            [self.programs.kubectl, "--kubeconfig", user or self.admin_kubeconfig, *args],
            # kubectl keeps what it learnt of a server, by address, and user preferences under HOME.
            # `apply --prune --applyset` is behind a switch.
            env={
                "HOME": str(self.directory),
                "PATH": os.environ.get("PATH", os.defpath),
                "KUBECTL_APPLYSET": "true",
            },
            input=input or "",
            capture_output=True,
            text=True,
            check=False,
        )
        if check and result.returncode != 0:
            error = subprocess.CalledProcessError(result.returncode, result.args, result.stdout, result.stderr)
            error.add_note(result.stderr)
            raise error
        return result

    def apply(self, *sources: Path | str, user: Path | None = None) -> None:
        """Apply manifests on the server's side (`kubectl apply --server-side`), in the order given.

        Args:
            sources: Files or folders as Path, manifests themselves as str.
            user: As for `kubectl`.

        Raises:
            subprocess.CalledProcessError: as for `kubectl`.
        """
        for source in sources:
            file, text = (source, None) if isinstance(source, Path) else ("-", source)
            self.kubectl("apply", "--server-side", "-f", file, user=user, input=text)

    def kubeconfig_for_service_account(
        self, namespace: str, name: str, duration: timedelta = timedelta(hours=1)
    ) -> Path:
        """Write a kubeconfig (0600) with a new token of an existing service account, from the TokenRequest API.

        Args:
            namespace: The service account's namespace.
            name: Its name.
            duration: How long the token is valid; the API server wants 10 minutes or more.

        Raises:
            subprocess.CalledProcessError: no such service account, or the duration is too short.
        """
        seconds = f"--duration={duration.total_seconds():.0f}s"
        token = self.kubectl("create", "token", name, "--namespace", namespace, seconds).stdout.strip()
        path = self._new_user_path(f"{namespace}.{name}")
        write_kubeconfig(path, self._endpoint, token)
        return path

    def kubeconfig_for_user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig (0600) of a person, such as alice@example.com, with a client certificate valid for a year.

        Raises:
            ValueError: a name is empty or longer than 64 characters.
        """
        credential = self._authority.issue_client(name, groups)
        path = self._new_user_path(name)
        write_kubeconfig(path, self._endpoint, credential)
        return path

    @property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.url, self._authority.certificate)

    def _new_user_path(self, name: str) -> Path:
        # A user may have several: with other groups, or with a token that is still valid.
        prefix = f"{quote(name, safe='@')[:100]}-"
        file, path = tempfile.mkstemp(dir=self._folder("users"), prefix=prefix, suffix=".kubeconfig")
        os.close(file)
        return Path(path)

    def _folder(self, name: str) -> Path:
        folder = self.directory / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _make_files(self) -> None:
        pki = self._folder("pki")
        server = self._authority.issue_server()
        (pki / "server.crt").write_bytes(server.certificate)
        write_private(pki / "server.key", server.key)
        write_private(pki / "service-accounts.key", new_signing_key())
        (self.directory / "audit-policy.json").write_text(json.dumps(_audit_policy(self._audit_users)))
        admin = self._authority.issue_client("admin", ["system:masters"])
        write_kubeconfig(self.admin_kubeconfig, self._endpoint, admin)
        controllers = self._authority.issue_client("system:kube-controller-manager", [])
        write_kubeconfig(self._controllers_kubeconfig, self._endpoint, controllers)

    @property
    def _controllers_kubeconfig(self) -> Path:
        return self.directory / "kube-controller-manager.kubeconfig"

    def _server(self, name: str, argv: Sequence[str | Path], probe: Probe) -> Server:
        log_path = self.directory / f"{name}.log"
        return Server(argv, probe=probe, log_path=log_path, detached=self._detached, on_change=self._write_state)

    def _etcd_argv(self) -> list[str | Path]:
        peer = f"http://{_HOST}:{self._ports['etcd-peer']}"
        return [
            self.programs.etcd,
            f"--data-dir={self._folder('etcd')}",
            f"--listen-client-urls={self.etcd_url}",
            f"--advertise-client-urls={self.etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # The data need not survive a crash of the machine.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver_argv(self) -> list[str | Path]:
        pki = self.directory / "pki"
        audit = [
            f"--audit-policy-file={self.directory / 'audit-policy.json'}",
            f"--audit-log-path={self.audit_log}",
        ]
        return [
            self.programs.kube_apiserver,
            f"--etcd-servers={self.etcd_url}",
            f"--bind-address={_HOST}",
            f"--secure-port={self._ports['kube-apiserver']}",
            # On a machine without a default route the API server finds no address of its own to advertise.
            f"--advertise-address={_HOST}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--client-ca-file={self._authority.certificate_path}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'service-accounts.key'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            # Else it waits for open watches to end by themselves, which takes longer than anybody waits for `stop`.
            "--shutdown-send-retry-after=true",
            *(audit if self._audit else []),
        ]

    def _controller_manager_argv(self) -> list[str | Path]:
        pki = self.directory / "pki"
        return [
            self.programs.kube_controller_manager,
            f"--kubeconfig={self._controllers_kubeconfig}",
            f"--controllers={_CONTROLLERS}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            f"--bind-address={_HOST}",
            f"--secure-port={self._ports['kube-controller-manager']}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
        ]

    def _write_state(self) -> None:
        state: State = {
            "kubeconfig": str(self.admin_kubeconfig),
            "programs": {name: str(path) for name, path in asdict(self.programs).items()},
            "audit": self._audit,
            "detached": self._detached,
            "ports": self._ports,
            "running": {
                server.name: {"pid": server.process.pid, "start_mark": server.process.start_mark}
                for server in self.servers
                if server.process is not None
            },
        }
        write_state(self.directory, state)


def _audit_policy(users: Sequence[str]) -> dict[str, Any]:
    noted = {"level": "Metadata", **({"users": list(users)} if users else {})}
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [noted, {"level": "None"}],
    }
