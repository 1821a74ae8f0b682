"""No object can make the operator call an address of its choice (server-side request forgery)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from pydantic import TypeAdapter, ValidationError

from bokgu.api.crds import KINDS, build_crd
from bokgu.api.fields import Region

ADDRESS = re.compile(r"(?i)ur[il]s?$|endpoint|host|address|webhook|proxy|server$")
REGION = TypeAdapter(Region)


def list_fields(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Paths and schemas of all fields."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}{name}", child
        yield from list_fields(child, f"{path}{name}.")
    if isinstance(items := schema.get("items"), Mapping):
        yield from list_fields(items, path)
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        yield from list_fields(values, path)


FIELDS = [
    (kind.kind_name, path, schema)
    for kind in KINDS
    for path, schema in list_fields(build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
]


def test_no_kind_has_a_field_for_an_address() -> None:
    assert len(FIELDS) > 300
    assert [f"{kind} {path}" for kind, path, _ in FIELDS if ADDRESS.search(path.rpartition(".")[2])] == []
    assert [f"{kind} {path}" for kind, path, schema in FIELDS if schema.get("format") in {"uri", "hostname"}] == []


def test_every_region_is_one_by_its_schema() -> None:
    """It becomes a part of the names of AWS's hosts."""
    regions = [(kind, path, schema) for kind, path, schema in FIELDS if path.rpartition(".")[2] == "region"]
    assert {kind for kind, _, _ in regions} == {"ProtectedService", "RecoveryPlan"}
    assert {schema["pattern"] for _, _, schema in regions} == {r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$"}


@pytest.mark.parametrize(
    "region",
    # ecs.s3.amazonaws.com would be a bucket that anybody may own.
    [
        "s3",
        "s3-eu-west-1",
        "eu-west-1.example.com",
        "eu-west-1/",
        "eu-west-1#",
        "127.0.0.1",
        "localhost",
        "",
        "eu-west-1\n",
    ],
)
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(ValidationError):
        REGION.validate_python(region)


def test_every_region_that_aws_has_is_one() -> None:
    session = boto3.session.Session()
    named = {r for part in session.get_available_partitions() for r in session.get_available_regions("ecs", part)}
    assert len(named) > 30
    for region in named:
        REGION.validate_python(region)
