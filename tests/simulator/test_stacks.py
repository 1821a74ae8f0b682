"""CloudFormation: the stacks that services belong to, and how far they are."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .control import ControlError
from .harness import Scene

NAME = "shop"
ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/shop/5f2d1c70-0000-11f0-9c1d-0a1b2c3d4e5f"
TAGS = [{"key": "aws:cloudformation:stack-name", "value": NAME}, {"key": "aws:cloudformation:stack-id", "value": ID}]


def _status(cloudformation: Any, reference: str) -> str:
    (stack,) = cloudformation.describe_stacks(StackName=reference)["Stacks"]
    return str(stack["StackStatus"])


def test_stack_of_a_service_is_found_by_name_and_id(scene: Scene) -> None:
    """DescribeStacks: the stack that a service's tags name has come to rest until somebody says else."""
    scene.register()
    scene.create(tags=TAGS)
    cloudformation = scene.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName=ID)["Stacks"]
    assert (stack["StackId"], stack["StackName"], stack["StackStatus"]) == (ID, NAME, "UPDATE_COMPLETE")
    scene.control.set_stack(NAME, "UPDATE_IN_PROGRESS", reason="User Initiated")
    (stack,) = cloudformation.describe_stacks(StackName=NAME)["Stacks"]
    assert (stack["StackId"], stack["StackStatus"]) == (ID, "UPDATE_IN_PROGRESS")
    assert stack["StackStatusReason"] == "User Initiated"
    assert stack["LastUpdatedTime"] >= stack["CreationTime"]
    scene.control.set_stack(ID, "UPDATE_ROLLBACK_IN_PROGRESS")
    assert _status(cloudformation, NAME) == "UPDATE_ROLLBACK_IN_PROGRESS"
    assert [s["StackName"] for s in cloudformation.describe_stacks()["Stacks"]] == [NAME]
    assert scene.control.calls("DescribeStacks")[-1].service == "cloudformation"


def test_stack_that_is_not_there(scene: Scene) -> None:
    """DescribeStacks: "If the stack doesn't exist, a ValidationError is returned"; a deleted one has its ID only."""
    cloudformation = scene.client("cloudformation")
    with pytest.raises(ClientError) as caught:
        cloudformation.describe_stacks(StackName=NAME)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("ValidationError", "Stack with id shop does not exist")
    scene.control.set_stack(NAME, "CREATE_IN_PROGRESS")
    (stack,) = cloudformation.describe_stacks(StackName=NAME)["Stacks"]
    scene.control.set_stack(stack["StackId"], "DELETE_COMPLETE")
    assert _status(cloudformation, stack["StackId"]) == "DELETE_COMPLETE"
    assert cloudformation.describe_stacks()["Stacks"] == []
    with pytest.raises(ClientError, match="does not exist"):
        _status(cloudformation, NAME)
    with pytest.raises(ControlError, match="status must be one of"):
        scene.control.set_stack(NAME, "UPDATING")


def test_stacks_can_be_throttled_and_denied(scene: Scene) -> None:
    """The older codes of query services: Throttling, AccessDenied."""
    cloudformation = scene.client("cloudformation")
    for spoil, code in ((scene.control.throttle, "Throttling"), (scene.control.deny, "AccessDenied")):
        spoil("DescribeStacks")
        with pytest.raises(ClientError) as caught:
            cloudformation.describe_stacks()
        assert caught.value.response["Error"]["Code"] == code
