"""Kubernetes as its administrator uses it, without a process for every object."""

from typing import Any

from kubernetes import client, config

from tests.scenarios.model import Json
from tests.world.world import World

KINDS = {
    "Detector": "detectors",
    "Incident": "incidents",
    "PlanApproval": "planapprovals",
    "ProtectedService": "protectedservices",
    "RecoveryPlan": "recoveryplans",
    "RecoveryPolicy": "recoverypolicies",
    "RoleBinding": "rolebindings",
    "Runbook": "runbooks",
}


class KubeAdmin:
    """Thread-safe. Raises kubernetes.client.ApiException."""

    def __init__(self, world: World) -> None:
        kubeconfig = str(world.control_plane.admin_kubeconfig)
        api = config.new_client_from_config(kubeconfig)  # type: ignore[no-untyped-call]  # generated without types
        self._objects: Any = client.CustomObjectsApi(api)
        self._core: Any = client.CoreV1Api(api)
        self._api: Any = api

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def create_namespace(self, name: str) -> None:
        """Create it."""
        self._core.create_namespace({"metadata": {"name": name}})

    def stop_watching(self, namespace: str) -> None:
        """Delete what makes the operator look at services of the namespace; what came of it stays."""
        for plural in ("detectors", "protectedservices"):
            self._objects.delete_collection_namespaced_custom_object("bokgu.dev", "v1alpha1", namespace, plural)

    def delete_namespace(self, name: str) -> None:
        """Delete it with all that is in it, sooner or later."""
        self._core.delete_namespace(name)

    def put(self, body: Json, **options: str) -> Json:
        """Create a namespaced object, or give the one that is there this spec. `options` are those of the request."""
        group, version = body["apiVersion"].split("/")
        place = (group, version, body["metadata"]["namespace"], KINDS[body["kind"]])
        try:
            created: Json = self._objects.create_namespaced_custom_object(*place, body, **options)
        except client.ApiException as error:
            if error.status != 409:
                raise
        else:
            return created
        name = body["metadata"]["name"]
        there = self._objects.get_namespaced_custom_object(*place, name)
        whole = {**there, "spec": body["spec"]}
        changed: Json = self._objects.replace_namespaced_custom_object(*place, name, whole, **options)
        return changed

    def events(self, namespace: str) -> list[Json]:
        """The Events of a namespace."""
        answer = self._objects.list_namespaced_custom_object("events.k8s.io", "v1", namespace, "events")
        return list(answer["items"])

    def list(self, plural: str) -> list[Json]:
        """All of our objects of a kind, in all namespaces, oldest first."""
        answer = self._objects.list_cluster_custom_object("bokgu.dev", "v1alpha1", plural)
        return sorted(answer["items"], key=lambda o: (o["metadata"]["creationTimestamp"], o["metadata"]["name"]))
