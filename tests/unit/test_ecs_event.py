import json
from typing import Any

import pytest

from bokgu.core.ecs_event import DETAIL_TYPES, Reason, find_reason, find_services
from bokgu.core.event import MalformedMessage, parse_event
from tests.unit.test_alarm_event import service
from tests.world import events


def reason(body: dict[str, Any]) -> Reason | None:
    event = parse_event(json.dumps(body))
    assert event.detail_type in DETAIL_TYPES
    return find_reason(event)


def test_a_task_that_ended_by_itself_is_a_reason_to_look() -> None:
    assert reason(events.stopped_task("api")) == Reason(
        "shop", "api", "EssentialContainerExited: Essential container in task exited"
    )


@pytest.mark.parametrize(
    ("code", "detail", "worth"),
    [
        ("TaskFailedToStart", {}, True),
        ("SpotInterruption", {}, True),
        ("InfrastructureHealth", {}, True),
        ("UserInitiated", {}, True),
        ("ServiceSchedulerInitiated", {"stoppedReason": "Scaling activity initiated by (deployment ecs-svc/1)"}, False),
        ("ServiceSchedulerInitiated", {"stoppedReason": "Task failed ELB health checks in (target-group x)"}, True),
        ("ServiceSchedulerInitiated", {"stoppedReason": "Task failed container health checks"}, True),
        ("EssentialContainerExited", {"lastStatus": "DEPROVISIONING"}, False),
        ("EssentialContainerExited", {"group": "family:batch"}, False),
        ("EssentialContainerExited", {"group": "service:"}, False),
    ],
)
def test_only_failures_of_service_tasks_are_worth_a_look(code: str, detail: dict[str, str], worth: bool) -> None:
    assert (reason(events.stopped_task("api", code, **detail)) is not None) is worth


@pytest.mark.parametrize(
    ("body", "worth"),
    [
        (events.deployment("api"), True),
        (events.deployment("api", "SERVICE_DEPLOYMENT_IN_PROGRESS"), False),
        (events.deployment("api", "SERVICE_DEPLOYMENT_COMPLETED"), False),
        (events.action("api"), True),
        (events.action("api", "SERVICE_TASK_PLACEMENT_FAILURE", "ERROR"), True),
        (events.action("api", "SERVICE_STEADY_STATE", "INFO"), False),
        (events.action("api", "SERVICE_DESIRED_COUNT_UPDATED", "INFO"), False),
    ],
)
def test_failed_deployments_and_warnings_are_worth_a_look(body: dict[str, Any], worth: bool) -> None:
    found = reason(body)
    assert (found is not None) is worth
    if found:
        assert (found.cluster, found.service) == ("shop", "api")


def test_old_service_arns_take_the_cluster_from_the_detail() -> None:
    body = events.action("api")
    body["resources"] = ["arn:aws:ecs:us-east-1:123456789012:service/api"]
    found = reason(body)
    assert found is not None
    assert (found.cluster, found.service) == ("shop", "api")


@pytest.mark.parametrize(
    "change",
    [{"resources": []}, {"resources": ["arn:aws:ecs:us-east-1:123456789012:cluster/shop"]}, {"detail": {}}],
)
def test_a_warning_about_no_service_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage, match="ECS Service Action"):
        reason(events.action("api") | change)


def test_services_are_found_by_names_account_and_region() -> None:
    event = parse_event(json.dumps(events.stopped_task("api")))
    found = find_reason(event)
    assert found is not None
    by_arn = service(ecs={"cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/shop", "service": "api"})
    assert find_services(event, found, [service(), service("other")]) == [service()]
    assert find_services(event, found, [by_arn]) == [by_arn]
    assert find_services(event, found, [service(account="999999999999")]) == []
    assert find_services(event, found, [service(region="eu-west-1")]) == []
