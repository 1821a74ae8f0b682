"""The chart on a real API server: accepted in every form, installed, upgraded, rolled back, uninstalled."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.program import HelmError, run_helm
from tests.chart.rendering import CHART, HOME, Raw, list_cases, read_case, render
from tests.controlplane import ControlPlane
from tests.world.manifests import incident, protected_service
from tests.world.world import ROOT, wait_for

pytestmark = pytest.mark.timeout(600)

MAX_SECRET = 1024 * 1024
"""Bytes of a Secret's data (Kubernetes documentation, "Secrets")."""

FOREIGN = {
    ("monitoring.coreos.com", "v1"): ("ServiceMonitor", "PrometheusRule"),
    ("cert-manager.io", "v1"): ("Certificate",),
}
"""Kinds of other operators that the chart can make objects of. They are accepted here whatever they say."""


def foreign_kind(group: str, version: str, kind: str) -> Raw:
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as running:
        kinds = [foreign_kind(*place, kind) for place, kinds in FOREIGN.items() for kind in kinds]
        running.apply(yaml.safe_dump_all(kinds))
        for kind in kinds:
            running.kubectl("wait", "--for=condition=Established", f"crd/{kind['metadata']['name']}", "--timeout=30s")
        yield running


@pytest.fixture(scope="module")
def namespaces(control_plane: ControlPlane) -> None:
    """As deploy/ makes the operator's namespace, and one for services."""
    control_plane.kubectl("create", "namespace", HOME)
    control_plane.kubectl("label", "namespace", HOME, "pod-security.kubernetes.io/enforce=restricted")
    control_plane.kubectl("create", "namespace", "shop")


def helm(control_plane: ControlPlane, *arguments: str | Path, values: Raw | None = None) -> str:
    return run_helm(*arguments, "--namespace", HOME, values=values, kubeconfig=control_plane.admin_kubeconfig)


def get(control_plane: ControlPlane, *arguments: str) -> Any:
    return json.loads(control_plane.kubectl("get", *arguments, "-o", "json").stdout)


def names(control_plane: ControlPlane, kind: str) -> set[str]:
    found = get(control_plane, kind, "-A")
    return {o["metadata"]["name"] for o in found["items"] if "bokgu" in o["metadata"]["name"]}


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("case", ["", *list_cases()])
def test_the_api_server_accepts_every_object_without_a_warning(control_plane: ControlPlane, case: str) -> None:
    text = yaml.safe_dump_all(render(read_case(case) if case else {}))
    dry = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    assert control_plane.kubectl(*dry, input=text).stderr == ""


@pytest.mark.usefixtures("namespaces")
def test_a_field_that_does_not_exist_would_be_seen(control_plane: ControlPlane) -> None:
    objects = render({"probes": {"liveness": {"periodSecond": 1}}})
    dry = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    with pytest.raises(subprocess.CalledProcessError) as error:
        control_plane.kubectl(*dry, input=yaml.safe_dump_all(objects))
    assert "periodSecond" in error.value.stderr


@pytest.fixture(scope="module")
def older_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier version of the chart, whose Incidents have no columns and no `status.lastSeenAt`."""
    chart = tmp_path_factory.mktemp("older") / "bokgu"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": "0.0.9", "appVersion": "0.0.9"}))
    path = chart / "files/crds/bokgu.dev_incidents.yaml"
    crd = yaml.safe_load(path.read_text())
    (version,) = crd["spec"]["versions"]
    del version["additionalPrinterColumns"]
    del version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["lastSeenAt"]
    path.write_text(yaml.safe_dump(crd, sort_keys=False))
    return chart


def columns(control_plane: ControlPlane) -> int:
    (version,) = get(control_plane, "crd", "incidents.bokgu.dev")["spec"]["versions"]
    return len(version.get("additionalPrinterColumns", []))


def environment(control_plane: ControlPlane) -> dict[str, str]:
    deployment = get(control_plane, "deployment", "bokgu", "-n", HOME)
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value", "") for variable in only["env"]}


@pytest.mark.usefixtures("namespaces")
def test_a_release_from_its_installation_to_its_end(control_plane: ControlPlane, older_chart: Path) -> None:
    said = helm(control_plane, "install", "bokgu", older_chart, values={"logLevel": "debug"})
    assert "kubectl create configmap bokgu-signers -n bokgu-system" in said
    assert "bokgu doctor -A" in said
    assert names(control_plane, "deployments") == {"bokgu"}
    assert environment(control_plane)["BOKGU_LOG_LEVEL"] == "debug"
    assert columns(control_plane) == 0
    (kept,) = get(control_plane, "secrets", "-n", HOME, "-l", "owner=helm")["items"]
    assert len(kept["data"]["release"]) < MAX_SECRET / 2, "Helm keeps chart and manifests of a release in one Secret"
    check_pods(control_plane)
    check_rights(control_plane)

    control_plane.apply(yaml.safe_dump_all([protected_service(), incident("before")]))
    filed = get(control_plane, "incident", "before", "-n", "shop")
    fence = get(control_plane, "validatingadmissionpolicy", "bokgu-plan-approvals")

    control_plane.kubectl("create", "configmap", "bokgu-signers", "-n", HOME)
    said = helm(control_plane, "upgrade", "bokgu", CHART, values={"shards": ["shop"], "logLevel": "warning"})
    assert "create configmap" not in said
    assert "kubectl create secret generic bokgu-alerts" in said
    assert names(control_plane, "deployments") == {"bokgu", "bokgu-shop"}
    assert environment(control_plane)["BOKGU_LOG_LEVEL"] == "warning"
    assert columns(control_plane) > 5
    assert get(control_plane, "incident", "before", "-n", "shop")["metadata"]["uid"] == filed["metadata"]["uid"]
    now = get(control_plane, "validatingadmissionpolicy", "bokgu-plan-approvals")
    same = ("uid", "generation")
    assert [now["metadata"][k] for k in same] == [fence["metadata"][k] for k in same], "approvals would not count"

    helm(control_plane, "rollback", "bokgu", "1")
    assert names(control_plane, "deployments") == {"bokgu"}
    assert environment(control_plane)["BOKGU_LOG_LEVEL"] == "debug"
    assert columns(control_plane) == 0
    assert get(control_plane, "incident", "before", "-n", "shop")["spec"] == filed["spec"]

    said = helm(control_plane, "uninstall", "bokgu")
    assert "kept due to the resource policy" in said
    kinds = ("deployments", "clusterroles", "clusterrolebindings", "roles", "rolebindings", "serviceaccounts")
    policies = (
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "networkpolicies",
        "pdb",
        "services",
    )
    left = {kind: names(control_plane, kind) for kind in (*kinds, *policies)}
    assert not any(left.values()), left
    assert get(control_plane, "incident", "before", "-n", "shop")["metadata"]["uid"] == filed["metadata"]["uid"]
    assert get(control_plane, "configmap", "bokgu-signers", "-n", HOME)

    helm(control_plane, "install", "bokgu", CHART, values=read_case("everything") | {"signers": {"create": False}})
    assert columns(control_plane) > 5, "the kinds that were kept are the new release's"
    assert names(control_plane, "services") == {"bokgu-webhook", "bokgu-metrics"}
    assert get(control_plane, "incident", "before", "-n", "shop")["metadata"]["uid"] == filed["metadata"]["uid"]
    with pytest.raises(HelmError, match="bokgu"):
        run_helm(
            *("install", "second", CHART, "--namespace", "shop"), kubeconfig=control_plane.admin_kubeconfig, values={}
        )
    helm(control_plane, "uninstall", "bokgu")


def delete_kinds(control_plane: ControlPlane) -> None:
    """Delete the CRDs, and wait until they are gone. Where the API server has just made the storage of a kind anew, its
    finalizer fails ("storage is (re)initializing"), and tries again ever later, or when the CRD changes
    (apiextensions-apiserver, crd_finalizer.go)."""
    ours = ("crd", "-l", "app.kubernetes.io/name=bokgu")
    control_plane.kubectl("delete", *ours, "--wait=false")

    def gone() -> bool:
        time.sleep(1)
        control_plane.kubectl("annotate", *ours, f"bokgu.dev/asked-at={time.time()}", "--overwrite", check=False)
        return not control_plane.kubectl("get", *ours, "-o", "name").stdout

    wait_for(gone, 60, lambda: control_plane.kubectl("get", *ours).stdout)


@pytest.mark.usefixtures("namespaces")
def test_kinds_that_kubectl_applied_are_taken_over(control_plane: ControlPlane) -> None:
    delete_kinds(control_plane)
    control_plane.apply(ROOT / "crds")
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        helm(control_plane, "install", "bokgu", CHART, values={})
    helm(control_plane, "install", "bokgu", CHART, "--take-ownership", values={})
    crd = get(control_plane, "crd", "incidents.bokgu.dev")
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    helm(control_plane, "upgrade", "bokgu", CHART, values={})
    helm(control_plane, "uninstall", "bokgu")


def check_pods(control_plane: ControlPlane) -> None:
    """Pods of the Deployment may be there: the namespace lets only those in that are restricted (Pod Security)."""
    template = get(control_plane, "deployment", "bokgu", "-n", HOME)["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] |= {"name": "tried", "namespace": HOME}
    dry = ("create", "--dry-run=server", "-f", "-")
    assert control_plane.kubectl(*dry, input=json.dumps(pod)).stderr == ""
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    refused = control_plane.kubectl(*dry, input=json.dumps(pod), check=False)
    assert "violates PodSecurity" in refused.stderr


READ = ("get", "list", "watch")
KINDS = (
    "incidents",
    "recoveryplans",
    "planapprovals",
    "protectedservices",
    "detectors",
    "runbooks",
    "recoverypolicies",
)
MAY = {
    "bokgu-viewer": {(verb, kind) for verb in READ for kind in KINDS},
    "view": {(verb, kind) for verb in READ for kind in KINDS},
    "bokgu-incident-reporter": {
        *((verb, kind) for verb in READ for kind in ("incidents", "protectedservices")),
        ("create", "incidents"),
    },
    "bokgu-approver": {
        *((verb, kind) for verb in READ for kind in KINDS),
        ("create", "planapprovals"),
        ("delete", "planapprovals"),
    },
    "bokgu-approver-system-admin": {("approve", "approvalroles/system_admin")},
}
"""What the roles of people allow, and nothing beyond it."""


def check_rights(control_plane: ControlPlane) -> None:
    # A controller puts `view` together, in its own time.
    wait_for(lambda: may(control_plane, "view"), 30, lambda: "nothing was added to the ClusterRole view")
    assert {role: may(control_plane, role) for role in MAY} == MAY


def may(control_plane: ControlPlane, role: str) -> set[tuple[str, str]]:
    """What a ClusterRole allows with our kinds, as it is by now: `view` is put together by a controller."""
    rules = [rule for rule in get(control_plane, "clusterrole", role)["rules"] if "bokgu.dev" in rule["apiGroups"]]
    return {
        (verb, f"{resource}/{name}" if name else resource)
        for rule in rules
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }
