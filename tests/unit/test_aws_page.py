"""docs/aws.md shows a stack, and Terraform, that make the queue of docs/doors.md."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.world.event_queue import EVENT_PATTERN
from tests.world.world import ROOT


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's short forms as text: `Events.Arn` for `!GetAtt Events.Arn`."""


_Template.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))


def find_block(page: str, language: str, word: str) -> str:
    """The first block of the language on a page of docs/ in which the word stands."""
    text = (ROOT / "docs" / page).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return str(next(block for block in found if word in block))


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    """Properties of the stack's resources, by their logical ids."""
    template = yaml.load(find_block("aws.md", "yaml", "AWSTemplateFormatVersion"), _Template)
    return {name: resource["Properties"] for name, resource in template["Resources"].items()}


def test_all_that_is_shown_lets_the_same_events_in(stack: dict[str, Any]) -> None:
    assert json.loads(find_block("doors.md", "json", "aws.ecs")) == EVENT_PATTERN
    assert stack["Rule"]["EventPattern"] == EVENT_PATTERN
    terraform = find_block("aws.md", "hcl", "event_pattern").partition("event_pattern")[2].partition("})")[0]
    assert re.findall(r'"([A-Z][A-Za-z ]+)"', terraform) == EVENT_PATTERN["detail-type"]


def test_only_the_rule_may_send_to_the_queue(stack: dict[str, Any]) -> None:
    assert [target["Arn"] for target in stack["Rule"]["Targets"]] == ["Events.Arn"]
    assert stack["MayBeSent"]["Queues"] == ["Events"]
    (statement,) = stack["MayBeSent"]["PolicyDocument"]["Statement"]
    assert (statement["Resource"], statement["Action"]) == ("Events.Arn", "sqs:SendMessage")
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": "Rule.Arn"}}


def test_what_cannot_be_read_is_kept_as_docs_doors_says(stack: dict[str, Any]) -> None:
    shown = find_block("doors.md", "bash", "RedrivePolicy")
    redrive, dead = stack["Events"]["RedrivePolicy"], stack["DeadLetters"]
    assert redrive["deadLetterTargetArn"] == "DeadLetters.Arn"
    assert f'"VisibilityTimeout": "{stack["Events"]["VisibilityTimeout"]}"' in shown
    assert f'\\"maxReceiveCount\\":\\"{redrive["maxReceiveCount"]}\\"' in shown
    assert f"MessageRetentionPeriod={dead['MessageRetentionPeriod']}" in shown
    terraform = find_block("aws.md", "hcl", "aws_sqs_queue")
    numbers = {*re.findall(r"= (\d+)", terraform)}
    assert numbers == {"1209600", "120", "20"}
    assert terraform.count("{") == terraform.count("}")
