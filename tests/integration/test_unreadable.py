"""Objects of another version's shape, on the real API server: told, skipped, and in nobody's way (S12)."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.world.manifests import NAMESPACE, incident, protected_service
from tests.world.world import Raw, World, wait_for

ODD_SERVICE, ODD_INCIDENT = "from-another-version", "of-another-version"


def loose(fields: list[str]) -> Raw:
    """A schema that lets in anything, and knows of these fields that they are text: selectable ones must be."""
    schema: Raw = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {}}
    for field in fields:
        name, _, rest = field.partition(".")
        schema["properties"][name] = loose([rest]) if rest else {"type": "string"}
    return schema


@contextmanager
def loosened(world: World, plural: str) -> Iterator[None]:
    """The CRD lets anything into spec, as one of another version might."""
    name, kubectl = f"{plural}.bokgu.dev", world.control_plane.kubectl
    strict: Raw = json.loads(kubectl("get", "crd", name, "-o", "json").stdout)
    strict["metadata"] = {k: v for k, v in strict["metadata"].items() if k in {"name", "annotations", "labels"}}
    version = strict["spec"]["versions"][0]
    paths = [field["jsonPath"].removeprefix(".") for field in version.get("selectableFields", ())]
    schema = loose([path.removeprefix("spec.") for path in paths if path.startswith("spec.")])
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec"
    kubectl("patch", "crd", name, "--type=json", "-p", json.dumps([{"op": "replace", "path": path, "value": schema}]))
    try:
        yield
    finally:
        kubectl("replace", "-f", "-", input=json.dumps(strict))


def create(world: World, kind: str, name: str, spec: Raw) -> None:
    """As soon as the API server lets it in, which takes a moment after its CRD was changed."""
    metadata = {"name": name, "namespace": NAMESPACE}
    text = json.dumps({"apiVersion": "bokgu.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
    wait_for(
        lambda: world.control_plane.kubectl("create", "-f", "-", input=text, check=False).returncode == 0,
        20,
        lambda: text,
    )


def told(world: World, name: str) -> Raw:
    """The Event that says of the object that it cannot be read; empty while there is none."""
    answer = world.control_plane.kubectl("get", "events.events.k8s.io", "-n", NAMESPACE, "-o", "json")
    events: list[dict[str, Any]] = json.loads(answer.stdout)["items"]
    return next((e for e in events if e["regarding"]["name"] == name and e["reason"] == "Unreadable"), {})


@pytest.fixture
def odd(world: World) -> Iterator[None]:
    """A ProtectedService and an Incident that this version cannot read; what they refer to is not there either."""
    with ExitStack() as until:
        for plural in ("protectedservices", "incidents"):
            until.enter_context(loosened(world, plural))
        create(world, "ProtectedService", ODD_SERVICE, {"mode": "Telepathy", "allowedActions": "all"})
        create(world, "Incident", ODD_INCIDENT, {"type": "boredom", "serviceRef": {}})
    yield
    for kind, name in (("incident", ODD_INCIDENT), ("protectedservice", ODD_SERVICE)):
        world.control_plane.kubectl("delete", kind, name, "-n", NAMESPACE, "--ignore-not-found")


@pytest.mark.usefixtures("odd")
def test_s12_what_cannot_be_read_is_told_and_stops_neither_others_nor_a_start(world: World) -> None:
    for name, field in ((ODD_SERVICE, "spec."), (ODD_INCIDENT, "spec.")):
        wait_for(lambda name=name: told(world, name), 15, world.operator_log_tail)  # type: ignore[misc]
        note = told(world, name)["note"]
        assert "cannot be read by this version" in note
        assert field in note
        assert "Telepathy" not in note
        assert "boredom" not in note
    world.kill_operator()
    world.start_operator()  # It waits until everything is listed.
    world.create_service("beside")
    world.apply(protected_service("beside"), incident("beside", "beside"))
    try:
        wait_for(
            lambda: world.condition("protectedservices", "beside", "Ready").get("status") == "True",
            20,
            world.operator_log_tail,
        )
        wait_for(
            lambda: world.condition("incidents", "beside", "Classified").get("status") == "True",
            20,
            world.operator_log_tail,
        )
        assert world.scrape()['bokgu_leader{shard="default"}'] == 1
    finally:
        for kind in ("incident", "protectedservice"):
            world.control_plane.kubectl("delete", kind, "beside", "-n", NAMESPACE)


@pytest.mark.usefixtures("odd")
def test_s12_what_was_corrected_is_taken_up(world: World) -> None:
    wait_for(lambda: told(world, ODD_SERVICE), 15, world.operator_log_tail)
    world.create_service(ODD_SERVICE)
    mended = json.dumps(protected_service(ODD_SERVICE))
    world.control_plane.kubectl("replace", "-f", "-", input=mended)
    wait_for(
        lambda: world.condition("protectedservices", ODD_SERVICE, "Ready").get("status") == "True",
        20,
        world.operator_log_tail,
    )
