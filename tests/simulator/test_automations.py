"""Systems Manager Automation: executions of documents in time, their idempotency, and who ran them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .control import ControlError
from .harness import Scene

Json = dict[str, Any]
TOKEN = "6F9619FF-8b86-d011-b42d-00c04fc964ff"


def _start(ssm: Any, document: str = "Restart-Cache", **members: object) -> str:
    return str(ssm.start_automation_execution(DocumentName=document, **members)["AutomationExecutionId"])


def _get(ssm: Any, id_: str) -> Json:
    found: Json = ssm.get_automation_execution(AutomationExecutionId=id_)["AutomationExecution"]
    return found


def _statuses(ssm: Any, id_: str, last: str) -> list[str]:
    """The statuses one sees, each once, up to `last`; AssertionError when it does not come."""
    deadline, seen = time.monotonic() + 10, []
    while last not in seen:
        status = _get(ssm, id_)["AutomationExecutionStatus"]
        if status not in seen:
            seen.append(status)
        assert time.monotonic() < deadline, seen
    return seen


def test_execution_succeeds_in_its_time(minute_a_second: Scene) -> None:
    """Pending, InProgress, Success after 2 + 60 simulated seconds; Outputs only then, and who ran it."""
    scene = minute_a_second
    scene.control.declare_automation("Restart-Cache", seconds=60, outputs={"run.Nodes": ["3"]})
    role = scene.assume("arn:aws:iam::123456789012:role/bokgu", "bokgu-step-1")
    ssm = scene.client("ssm", **role)
    id_ = _start(ssm, Parameters={"Cluster": ["main"]})
    begun = _get(ssm, id_)
    assert (begun["AutomationExecutionStatus"], begun["Outputs"]) == ("Pending", {})
    assert begun["ExecutedBy"] == "arn:aws:sts::123456789012:assumed-role/bokgu/bokgu-step-1"
    assert begun["Parameters"] == {"Cluster": ["main"]}
    assert "ExecutionStartTime" not in begun["StepExecutions"][0]
    assert _statuses(ssm, id_, "Success")[-2:] == ["InProgress", "Success"]
    ended = _get(ssm, id_)
    assert ended["Outputs"] == {"run.Nodes": ["3"]}
    took = ended["ExecutionEndTime"] - ended["ExecutionStartTime"]
    assert took.total_seconds() == pytest.approx(62 / 60, abs=0.01)
    assert [(step["StepName"], step["StepStatus"]) for step in ended["StepExecutions"]] == [("run", "Success")]


@pytest.mark.parametrize("result", ["Failed", "TimedOut"])
def test_execution_that_does_not_succeed_says_why(scene: Scene, result: Any) -> None:
    scene.control.declare_automation("Restart-Cache", seconds=10, result=result, message="no node answered")
    ssm = scene.client("ssm")
    id_ = _start(ssm)
    _statuses(ssm, id_, result)
    assert _get(ssm, id_)["FailureMessage"] == "no node answered"


def test_same_token_runs_once(scene: Scene) -> None:
    """ClientToken "is case insensitive"; with other parameters IdempotentParameterMismatch; no token, no memory."""
    scene.control.declare_automation("Restart-Cache", seconds=0)
    ssm = scene.client("ssm")
    id_ = _start(ssm, ClientToken=TOKEN, Parameters={"Cluster": ["main"]})
    _statuses(ssm, id_, "Success")
    assert _start(ssm, ClientToken=TOKEN.lower(), Parameters={"Cluster": ["main"]}) == id_
    with pytest.raises(ssm.exceptions.IdempotentParameterMismatch):
        _start(ssm, ClientToken=TOKEN, Parameters={"Cluster": ["other"]})
    assert _start(ssm) != _start(ssm)
    assert len(ssm.describe_automation_executions()["AutomationExecutionMetadataList"]) == 3
    with pytest.raises(ClientError, match="UUID"):
        _start(ssm, ClientToken="x" * 36)


def test_lost_answer_is_found_again_by_token_and_by_tag(scene: Scene) -> None:
    """What the operator does after it crashed: the same call, or a look for the tag of its step."""
    scene.control.declare_automation("Restart-Cache")
    ssm = scene.client("ssm")
    scene.control.lose_answer("StartAutomationExecution")
    request: Json = {"ClientToken": TOKEN, "Tags": [{"Key": "bokgu:step", "Value": "plan-1/step-1"}]}
    with pytest.raises(Exception, match="onnection"):
        _start(ssm, **request)
    filters = [{"Key": "TagKey", "Values": ["bokgu:step"]}]
    (found,) = ssm.describe_automation_executions(Filters=filters)["AutomationExecutionMetadataList"]
    assert _start(ssm, **request) == found["AutomationExecutionId"]
    calls = scene.control.calls("StartAutomationExecution", service="ssm")
    assert [(call.result, call.effect) for call in calls] == [("NoAnswer", True), ("OK", True)]


def test_what_cannot_be_started(scene: Scene) -> None:
    scene.control.declare_automation("Restart-Cache", required=["Cluster"], optional=["Force"])
    ssm = scene.client("ssm")
    with pytest.raises(ssm.exceptions.AutomationDefinitionNotFoundException):
        _start(ssm, "Restart-Something")
    with pytest.raises(ssm.exceptions.AutomationDefinitionVersionNotFoundException):
        _start(ssm, DocumentVersion="7")
    good = {"Cluster": ["main"], "Force": ["true"], "AutomationAssumeRole": ["arn:aws:iam::123456789012:role/x"]}
    tags = [{"Key": f"k{n}", "Value": "v"} for n in range(6)]
    bad: tuple[Json, ...] = (
        {},
        {"Parameters": {"Force": ["true"]}},
        {"Parameters": good | {"Wrong": ["1"]}},
        {"Parameters": good, "Tags": tags},
    )
    for members in bad:
        with pytest.raises(ssm.exceptions.InvalidAutomationExecutionParametersException):
            _start(ssm, **members)
    arn = "arn:aws:ssm:us-east-1:123456789012:document/Restart-Cache"
    assert _get(ssm, _start(ssm, arn, Parameters=good))["DocumentName"] == "Restart-Cache"
    assert len(ssm.describe_automation_executions()["AutomationExecutionMetadataList"]) == 1


def test_executions_are_found_by_filters_newest_first(scene: Scene) -> None:
    """DescribeAutomationExecutions: every filter must pass; a filter passes what has one of its values."""
    scene.control.declare_automation("Restart-Cache", seconds=0)
    scene.control.declare_automation("Flush-Queue", seconds=100_000)
    ssm = scene.client("ssm")
    first = _start(ssm, Tags=[{"Key": "a", "Value": "1"}])
    second = _start(ssm, "Flush-Queue", Tags=[{"Key": "b", "Value": "1"}])
    _statuses(ssm, first, "Success")
    _statuses(ssm, second, "InProgress")

    def find(**filters: list[str]) -> list[str]:
        listed = [{"Key": key, "Values": values} for key, values in filters.items()]
        answer = ssm.describe_automation_executions(Filters=listed)
        return [shape["AutomationExecutionId"] for shape in answer["AutomationExecutionMetadataList"]]

    assert find(DocumentNamePrefix=["Re", "Fl"]) == [second, first]
    assert find(DocumentNamePrefix=["Re", "Fl"], ExecutionStatus=["Success"]) == [first]
    assert find(ExecutionStatus=["InProgress", "Pending"]) == [second]
    assert find(TagKey=["b", "c"]) == [second]
    assert find(TagKey=["1"]) == find(OpsItemId=["x"]) == []
    assert find(ExecutionId=[first]) == [first]
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert find(StartTimeBefore=[soon], AutomationType=["Local"]) == [second, first]
    assert find(StartTimeAfter=[soon]) == []
    page = ssm.describe_automation_executions(MaxResults=1)
    assert page["AutomationExecutionMetadataList"][0]["AutomationExecutionId"] == second
    rest = ssm.describe_automation_executions(MaxResults=1, NextToken=page["NextToken"])
    assert rest["AutomationExecutionMetadataList"][0]["AutomationExecutionId"] == first
    assert "NextToken" not in rest
    with pytest.raises(ssm.exceptions.InvalidFilterKey):
        find(Tag=["b"])
    with pytest.raises(ssm.exceptions.InvalidFilterValue):
        find(StartTimeAfter=["noon"])


@pytest.mark.parametrize(("stop_type", "end"), [("Cancel", "Cancelled"), ("Complete", "Success")])
def test_execution_can_be_stopped(minute_a_second: Scene, stop_type: str, end: str) -> None:
    """StopAutomationExecution; InvalidAutomationStatusUpdateException once it has ended."""
    scene = minute_a_second
    scene.control.declare_automation("Restart-Cache", seconds=100_000)
    ssm = scene.client("ssm")
    id_ = _start(ssm)
    _statuses(ssm, id_, "InProgress")
    ssm.stop_automation_execution(AutomationExecutionId=id_, Type=stop_type)
    seen = _statuses(ssm, id_, end)
    assert seen == (["Cancelling", "Cancelled"] if stop_type == "Cancel" else ["Success"])
    with pytest.raises(ssm.exceptions.InvalidAutomationStatusUpdateException):
        ssm.stop_automation_execution(AutomationExecutionId=id_)
    gone = "00000000-0000-4000-8000-000000000000"
    for call in (ssm.stop_automation_execution, ssm.get_automation_execution):
        with pytest.raises(ssm.exceptions.AutomationExecutionNotFoundException):
            call(AutomationExecutionId=gone)


def test_accounts_have_their_own_documents(scene: Scene) -> None:
    scene.control.at("210987654321").declare_automation("Restart-Cache")
    with pytest.raises(ClientError, match="AutomationDefinitionNotFoundException"):
        _start(scene.client("ssm"))
    there = scene.assume("arn:aws:iam::210987654321:role/bokgu")
    assert _start(scene.client("ssm", **there))


def test_control_refuses_a_wrong_document(scene: Scene) -> None:
    with pytest.raises(ControlError, match="result must be one of"):
        scene.control.declare_automation("Restart-Cache", result="Maybe")  # type: ignore[arg-type] # what is refused
    with pytest.raises(ControlError, match="seconds cannot be negative"):
        scene.control.declare_automation("Restart-Cache", seconds=-1)
