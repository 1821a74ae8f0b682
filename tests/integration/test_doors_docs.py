"""What docs/doors.md shows works: its event pattern, its queue, its Alertmanager, its manifests."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bokgu.core.ecs_event import DETAIL_TYPES
from tests.alertmanager import find_or_download
from tests.integration.test_docs import blocks
from tests.world.event_queue import EVENT_PATTERN
from tests.world.world import ROOT, World

PAGE = ROOT / "docs/doors.md"
YAML = [yaml.safe_load(block) for block in blocks(PAGE, "yaml")]


def one(member: str) -> Any:
    (found,) = [block for block in YAML if member in block]
    return found


def test_the_event_pattern_is_the_one_that_is_tested() -> None:
    (pattern,) = blocks(PAGE, "json")
    assert json.loads(pattern) == EVENT_PATTERN
    assert {*EVENT_PATTERN["detail-type"]} == {"CloudWatch Alarm State Change", *DETAIL_TYPES}


@pytest.fixture
def made(world: World) -> Iterator[list[str]]:
    names: list[str] = []
    yield names
    for name in names:
        world.events.sqs.delete_queue(QueueUrl=world.events.url_of(name))


def test_the_queue_is_accepted(world: World, made: list[str]) -> None:
    text = PAGE.read_text()
    (attributes,) = re.findall(r"<<JSON\n(.*?)\nJSON\n", text, flags=re.DOTALL)
    arn = world.events.arn("bokgu-events").rpartition(":")[0]
    region, account = arn.split(":")[3:5]
    values = {"$ARN": arn, "$AWS_REGION": region, "$ACCOUNT": account, "bokgu-events": "documented"}
    for name, value in values.items():
        attributes = attributes.replace(name, value)
    for name, given in (("documented-dead", {}), ("documented", json.loads(attributes))):
        world.events.sqs.create_queue(QueueName=name, Attributes=given)
        made.append(name)
    policy = json.loads(json.loads(attributes)["Policy"])
    assert policy["Statement"][0]["Resource"] == f"{arn}:documented"


def test_the_manifest_is_accepted(world: World) -> None:
    manifest = yaml.safe_dump(one("apiVersion"))
    world.control_plane.kubectl("create", "namespace", "documented")
    try:
        manifest = manifest.replace("namespace: shop", "namespace: documented")
        world.control_plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", input=manifest)
    finally:
        world.control_plane.kubectl("delete", "namespace", "documented", "--wait=false")


def test_alertmanager_accepts_its_configuration(tmp_path: Path) -> None:
    program, folder = find_or_download()
    config = tmp_path / "alertmanager.yml"
    config.write_text(yaml.safe_dump(one("route")))
    checked = subprocess.run(
        [program.with_name("amtool"), "check-config", config], cwd=folder, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 receivers" in checked.stdout


def test_the_rule_has_the_labels_that_route_it() -> None:
    (rule,) = one("groups")["groups"][0]["rules"]
    assert rule["labels"].keys() == {"bokgu_namespace", "bokgu_service", "bokgu_type", "severity"}
    assert rule["annotations"].keys() >= {"bokgu_value", "bokgu_threshold"}
