"""The objects of a release as etcd had them, in a file; and putting them into the etcd of a control plane that runs."""

import json
import urllib.request
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from bokgu.api.crds import KINDS
from tests.controlplane import ControlPlane
from tests.world.world import Raw

FOLDER = Path(__file__).with_name("objects")
NAMESPACE = "kept"
"""Where they live."""
PLURALS = {kind.kind_name: kind.plural for kind in KINDS}


@dataclass(frozen=True)
class Release:
    """What a version left in a cluster. `cluster_id` is the uid of its kube-system namespace, which digests bind;
    `signers` the data of the ConfigMap with the keys of those who approved; `objects` are ours and the ConfigMaps with
    history."""

    version: str
    cluster_id: str
    signers: dict[str, str]
    objects: tuple[Raw, ...]

    def of(self, kind: str) -> list[Raw]:
        """The objects of a kind, by name."""
        return sorted((o for o in self.objects if o["kind"] == kind), key=lambda o: str(o["metadata"]["name"]))

    def phases(self) -> dict[str, set[str]]:
        """The phases that are there, by kind; of kinds without phases the reasons of their first condition."""
        return {kind: {_phase(o) for o in self.of(kind)} for kind in PLURALS}


def _phase(body: Raw) -> str:
    status = body.get("status", {})
    return str(status.get("phase") or next((c["reason"] for c in status.get("conditions", [])), "none"))


def read_release(path: Path) -> Release:
    """Read a file that `write_release` has written."""
    head, *objects = yaml.load_all(path.read_text(), yaml.CSafeLoader)
    return Release(objects=tuple(objects), **head)


def write_release(path: Path, release: Release) -> None:
    """Write one document about the release, then one for each object."""
    head = {"version": release.version, "cluster_id": release.cluster_id, "signers": release.signers}
    path.parent.mkdir(exist_ok=True)
    text = yaml.dump_all((head, *release.objects), Dumper=yaml.CSafeDumper, sort_keys=True, width=120)
    path.write_text(text)


def load_release(control_plane: ControlPlane, release: Release) -> None:
    """Put the objects where the API server finds them, uids and statuses included, as it does after an upgrade: what
    it reads it has not written. The cluster gets the id of the release's."""
    _put(control_plane, "/registry/namespaces/kube-system", _name_cluster(control_plane, release.cluster_id))
    load_objects(control_plane, release.objects)


def load_objects(control_plane: ControlPlane, objects: Iterable[Raw]) -> None:
    """Put objects there, as they are."""
    for body in objects:
        _put(control_plane, _key(body), body)


def _name_cluster(control_plane: ControlPlane, cluster_id: str) -> Raw:
    body: Raw = json.loads(control_plane.kubectl("get", "namespace", "kube-system", "-o", "json").stdout)
    del body["metadata"]["resourceVersion"]
    body["metadata"]["uid"] = cluster_id
    return body


def _key(body: Raw) -> str:
    place = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
    if body["kind"] == "ConfigMap":
        return f"/registry/configmaps/{place}"
    return f"/registry/bokgu.dev/{PLURALS[body['kind']]}/{place}"


def _put(control_plane: ControlPlane, key: str, body: Raw) -> None:
    """By etcd's JSON gateway (etcd documentation, "Why gRPC gateway"). The API server reads JSON, too, where it would
    write protobuf."""
    put = {"key": _encode(key), "value": _encode(json.dumps(body))}
    url = f"{control_plane.etcd_url}/v3/kv/put"
    request = urllib.request.Request(url, json.dumps(put).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10):
        pass


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()
