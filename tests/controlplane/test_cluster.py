"""The control plane is a real one: it collects garbage, finishes namespaces, knows its users, and ends when told."""

import json
import ssl
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.controlplane import ControlPlane, Server, StartError
from tests.controlplane.server import Probe
from tests.controlplane.test_process import ends, runs

_START = """\
import sys, time
from pathlib import Path
from tests.controlplane import ControlPlane
plane = ControlPlane(Path(sys.argv[1]), detached=sys.argv[2] == "detached")
plane.start()
print(*(server.process.pid for server in plane.servers), flush=True)
if not sys.argv[2] == "detached":
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(audit=True) as plane:
        yield plane


def becomes_true(condition: Callable[[], bool], timeout: float = 30.0) -> bool:
    """Whether a condition holds within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def config_map(name: str, owner: tuple[str, str] | None = None) -> str:
    """A ConfigMap's manifest, owned by another of the given name and uid."""
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": owner[0], "uid": owner[1]}] if owner else []
    metadata = {"name": name, "namespace": "default", "ownerReferences": references}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def pids(plane: ControlPlane) -> list[int]:
    return [server.process.pid for server in plane.servers if server.process is not None]


def test_version(plane: ControlPlane) -> None:
    versions = json.loads(plane.kubectl("version", "--output=json").stdout)
    assert versions["serverVersion"]["gitVersion"] == "v1.36.3"
    assert versions["clientVersion"]["gitVersion"] == "v1.36.3"


def test_owned_object_is_garbage_collected(plane: ControlPlane) -> None:
    plane.apply(config_map("owner"))
    uid = plane.kubectl("get", "configmap", "owner", "--output=jsonpath={.metadata.uid}").stdout
    plane.apply(config_map("owned", ("owner", uid)), config_map("free"))
    plane.kubectl("delete", "configmap", "owner", "--cascade=background")
    assert becomes_true(lambda: plane.kubectl("get", "configmap", "owned", check=False).returncode != 0)
    plane.kubectl("get", "configmap", "free")


def test_namespace_deletion_finishes(plane: ControlPlane) -> None:
    plane.kubectl("create", "namespace", "short-lived")
    plane.kubectl("create", "configmap", "content", "--namespace=short-lived")
    plane.kubectl("delete", "namespace", "short-lived", "--wait", "--timeout=60s")
    assert plane.kubectl("get", "namespace", "short-lived", check=False).returncode != 0


def test_cluster_roles_are_aggregated(plane: ControlPlane) -> None:
    plane.kubectl("create", "clusterrole", "extra", "--verb=get", "--resource=leases.coordination.k8s.io")
    plane.kubectl("label", "clusterrole", "extra", "rbac.authorization.k8s.io/aggregate-to-view=true")
    rules = ("get", "clusterrole", "view", "--output=jsonpath={.rules[*].resources}")
    assert becomes_true(lambda: "leases" in plane.kubectl(*rules).stdout)


def test_service_account_may_do_what_rbac_allows(plane: ControlPlane) -> None:
    plane.kubectl("create", "serviceaccount", "reader", "--namespace=default")
    reader = plane.kubeconfig_for_service_account("default", "reader", timedelta(minutes=10))
    refused = plane.kubectl("get", "configmaps", user=reader, check=False)
    assert refused.returncode != 0
    assert "Forbidden" in refused.stderr
    assert "system:serviceaccount:default:reader" in refused.stderr
    plane.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps")
    plane.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader")
    assert becomes_true(lambda: plane.kubectl("get", "configmaps", user=reader, check=False).returncode == 0)
    assert plane.kubectl("get", "secrets", user=reader, check=False).returncode != 0


def test_certificate_is_the_user_with_the_groups(plane: ControlPlane) -> None:
    alice = plane.kubeconfig_for_user("alice@example.com", ["payments", "on-call"])
    info = json.loads(plane.kubectl("auth", "whoami", "--output=json", user=alice).stdout)["status"]["userInfo"]
    assert info["username"] == "alice@example.com"
    assert set(info["groups"]) == {"payments", "on-call", "system:authenticated"}
    assert alice.stat().st_mode & 0o777 == 0o600


def test_server_passes_strict_verification(plane: ControlPlane) -> None:
    config = json.loads(plane.admin_kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = b64decode(config["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    tls.verify_flags |= ssl.VERIFY_X509_STRICT
    assert Probe(urlsplit(plane.url).port or 0, "/readyz", tls).succeeds()


@pytest.mark.parametrize("name", ["", "a" * 65])
def test_names_that_do_not_fit_a_certificate_are_an_error(plane: ControlPlane, name: str) -> None:
    with pytest.raises(ValueError, match="64"):
        plane.kubeconfig_for_user(name)


def test_same_user_with_other_groups_keeps_both_kubeconfigs(plane: ControlPlane) -> None:
    first = plane.kubeconfig_for_user("bob@example.com", ["a"])
    second = plane.kubeconfig_for_user("bob@example.com", ["b"])
    assert '"a"' in plane.kubectl("auth", "whoami", "--output=json", user=first).stdout
    assert '"b"' in plane.kubectl("auth", "whoami", "--output=json", user=second).stdout


def test_failure_of_kubectl_says_why(plane: ControlPlane) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        plane.kubectl("get", "configmap", "absent")
    assert "absent" in caught.value.__notes__[0]


def test_apply_takes_files_and_text_in_order(plane: ControlPlane, tmp_path: Path) -> None:
    namespace = tmp_path / "namespace.yaml"
    namespace.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: ordered}}")
    inside = "{apiVersion: v1, kind: ConfigMap, metadata: {name: inside, namespace: ordered}, data: {key: value}}"
    plane.apply(namespace, inside)
    fields = ("get", "configmap", "inside", "--namespace=ordered", "--output=yaml", "--show-managed-fields")
    assert "operation: Apply" in plane.kubectl(*fields).stdout


def test_audit_log_names_the_user(plane: ControlPlane) -> None:
    carol = plane.kubeconfig_for_user("carol@example.com")
    plane.kubectl("get", "pods", user=carol, check=False)
    events = [json.loads(line) for line in plane.audit_log.read_text().splitlines()]
    assert any(
        event["user"]["username"] == "carol@example.com" and event["responseStatus"]["code"] == 403
        for event in events
        if event["stage"] == "ResponseComplete"
    )


@pytest.mark.parametrize(
    ("name", "end"), [("kube-apiserver", Server.stop), ("kube-apiserver", Server.kill), ("etcd", Server.kill)]
)
def test_server_starts_again_with_its_data_and_port(
    plane: ControlPlane, name: str, end: Callable[[Server], None]
) -> None:
    server = next(server for server in plane.servers if server.name == name)
    plane.apply(config_map("kept"))
    end(server)
    assert plane.kubectl("get", "configmap", "kept", "--request-timeout=2s", check=False).returncode != 0
    server.start()
    assert becomes_true(lambda: plane.kubectl("get", "configmap", "kept", check=False).returncode == 0)
    plane.kubectl("delete", "configmap", "kept")


def test_restart_is_another_process(plane: ControlPlane) -> None:
    before = pids(plane)
    plane.controller_manager.restart()
    assert pids(plane)[:2] == before[:2]
    assert pids(plane)[2] != before[2]


def test_nothing_remains_after_stop() -> None:
    with ControlPlane() as plane:
        started = pids(plane)
        assert [runs(pid) for pid in started] == [True] * 3
    assert [runs(pid) for pid in started] == [False] * 3
    assert not plane.directory.exists()


def test_servers_die_with_a_killed_parent(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _START, tmp_path, "bound"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        started = [int(pid) for pid in parent.stdout.readline().split()]
        assert [runs(pid) for pid in started] == [True] * 3
        parent.kill()
    assert [ends(pid) for pid in started] == [True] * 3


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose control plane is stopped after the test, whatever happened."""
    yield tmp_path
    ControlPlane.attach(tmp_path).stop()


def test_detached_is_found_again_and_stopped(folder: Path) -> None:
    start = [sys.executable, "-c", _START, str(folder), "detached"]
    started = subprocess.run(start, capture_output=True, text=True, check=True).stdout
    again = subprocess.run(start, capture_output=True, text=True, check=True).stdout
    assert again == started
    assert json.loads((folder / "state.json").read_text())["kubeconfig"] == str(folder / "admin.kubeconfig")
    plane = ControlPlane.attach(folder)
    assert pids(plane) == [int(pid) for pid in started.split()]
    assert plane.url in plane.admin_kubeconfig.read_text()
    plane.kubectl("get", "namespace", "default")
    plane.stop()
    assert [runs(int(pid)) for pid in started.split()] == [False] * 3
    assert pids(ControlPlane.attach(folder)) == []


def test_detached_needs_a_directory() -> None:
    with pytest.raises(ValueError, match="directory"):
        ControlPlane(detached=True)


def test_attach_where_none_was_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ControlPlane.attach(tmp_path)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo out of luck; exit 4", r"(?s)broken ended with 4 before.*broken\.log:\nout of luck"),
        ("echo still busy; exec sleep 600", r"(?s)broken was not ready within 1 s.*still busy"),
    ],
)
def test_failed_start_shows_the_log(tmp_path: Path, script: str, problem: str) -> None:
    server = Server(
        ["/bin/sh", "-c", f"PATH=/usr/bin:/bin; {script}"],
        probe=Probe(1, "/", ssl.create_default_context()),
        log_path=tmp_path / "broken.log",
        detached=False,
        on_change=lambda: None,
    )
    with pytest.raises(StartError, match=problem):
        server.start(timeout=1)
    server.stop()
