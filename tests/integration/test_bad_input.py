"""Bad input gets a clear answer, and stops nothing else (S12)."""

import json
from typing import Any

import pytest

from tests.integration.test_fences import PLAN
from tests.world.manifests import NAMESPACE, detector, incident, protected_service
from tests.world.roles import SILENT, operator_role
from tests.world.scene import Scene
from tests.world.world import World, wait_for


def test_s12_incident_for_an_unprotected_service_says_so_and_goes_on_when_it_is_protected(world: World) -> None:
    world.apply(incident("orphan", "unknown-service"))
    wait_for(
        lambda: world.condition("incidents", "orphan", "Blocked").get("status") == "True",
        10,
        lambda: str(world.get("incidents", "orphan")),
    )
    blocked = world.condition("incidents", "orphan", "Blocked")
    assert blocked["reason"] == "NotProtected"
    assert "create it" in blocked["message"]

    world.create_service("unknown-service")
    world.apply(protected_service("unknown-service"))
    wait_for(
        lambda: world.condition("incidents", "orphan", "Classified").get("status") == "True",
        15,
        lambda: str(world.get("incidents", "orphan")),
    )
    world.control_plane.kubectl("delete", "incident", "orphan", "-n", NAMESPACE)


def test_s12_plan_for_a_missing_incident_is_cancelled(world: World) -> None:
    world.apply({**PLAN, "metadata": {"name": "no-incident", "namespace": NAMESPACE}})

    def status() -> dict[str, Any]:
        found = world.get("recoveryplans", "no-incident") or {}
        return dict(found.get("status", {}))

    wait_for(lambda: status().get("phase") == "Cancelled", 10, lambda: str(status()))
    assert status()["reason"] == "IncidentGone"
    world.control_plane.kubectl("delete", "recoveryplan", "no-incident", "-n", NAMESPACE, "--timeout=20s")


def test_s12_unknown_incident_type_is_refused_at_admission(world: World) -> None:
    manifest = json.dumps(incident("typo", "any", type="high_eror_rate"))
    refused = world.control_plane.kubectl("create", "-f", "-", input=manifest, check=False)
    assert 'Unsupported value: "high_eror_rate"' in refused.stderr
    assert '"high_error_rate"' in refused.stderr


def test_s12_account_that_does_not_answer_says_why_and_stops_no_other(scene: Scene) -> None:
    world = scene.world
    account = world.simulator.at(SILENT)
    for operation in ("DescribeServices", "GetMetricData"):
        account.reset_connection(operation, count=10_000)
    world.apply(
        protected_service("silent", roleArn=operator_role(SILENT)), detector("silent"), incident("silent", "silent")
    )
    wait_for(
        lambda: world.condition("protectedservices", "silent", "Ready").get("status") == "False",
        30,
        lambda: str(world.get("protectedservices", "silent")),
    )
    assert world.condition("protectedservices", "silent", "Ready")["reason"] == "NoAnswer"
    wait_for(
        lambda: world.condition("detectors", "silent-errors", "Ready").get("reason") == "NoAnswer",
        30,
        lambda: str(world.get("detectors", "silent-errors")),
    )
    wait_for(
        lambda: world.condition("incidents", "silent", "Classified").get("reason") == "NoAnswer",
        30,
        lambda: str(world.get("incidents", "silent")),
    )
    scene.surge()  # The other service is still watched, classified and planned for.
    for kind, name in (("detector", "silent-errors"), ("incident", "silent"), ("protectedservice", "silent")):
        world.control_plane.kubectl("delete", kind, name, "-n", NAMESPACE)
    world.simulator.clear_faults()


def test_s12_service_that_does_not_exist_says_so(world: World) -> None:
    world.apply(protected_service("absent"))
    wait_for(
        lambda: world.condition("protectedservices", "absent", "Ready").get("reason") == "MISSING",
        15,
        lambda: str(world.get("protectedservices", "absent")),
    )
    world.control_plane.kubectl("delete", "protectedservice", "absent", "-n", NAMESPACE)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"interval": "0s"}, "spec.interval must be at least 1s"),
        ({"settle": "25h"}, "settle must be at most 24h"),
        ({"settle": "99999h9999999m"}, "settle must be at most 24h"),
        ({"period": "7s"}, "period must be 1s, 5s"),
        ({"period": "1441m"}, "whole minutes, at most 24h"),
        ({"clearAfter": "1441s"}, "clearAfter must not be longer than 1440 periods"),
    ],
)
def test_s12_detector_with_an_impossible_pace_is_refused_at_admission(
    world: World, spec: dict[str, str], message: str
) -> None:
    """What reaches back further than anybody can reckon would leave all services of its account unseen."""
    wrong = detector("any")
    (field,) = spec
    places = {"period": wrong["spec"]["queries"][0], "clearAfter": wrong["spec"]["conditions"][0]}
    places.get(field, wrong["spec"]).update(spec)
    refused = world.control_plane.kubectl("create", "-f", "-", input=json.dumps(wrong), check=False)
    assert message in refused.stderr


@pytest.mark.parametrize(
    ("detection", "message"),
    [
        ({"interval": "25h"}, "interval must be at least 1s and at most 24h"),
        ({"settle": "1441m"}, "settle must be at most 24h"),
        ({"period": "25h"}, "whole minutes, at most 24h"),
    ],
)
def test_s12_presets_with_an_impossible_pace_are_refused_at_admission(
    world: World, detection: dict[str, str], message: str
) -> None:
    wrong = protected_service("any", detection=detection)
    refused = world.control_plane.kubectl("create", "-f", "-", input=json.dumps(wrong), check=False)
    assert message in refused.stderr


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-01T00:00:00+99:99",
        "0001-01-01T00:00:00Z",
        "2026-01-01T00:00:00+01:00",
        "2026-02-30T00:00:00Z",
        [],
        ["2026-01-01T00:00:00Z"],
    ],
)
def test_s12_moment_that_not_everybody_can_read_is_refused_at_admission(world: World, moment: object) -> None:
    manifest = json.dumps(incident("moment", "any", detectedAt=moment))
    refused = world.control_plane.kubectl("create", "-f", "-", input=manifest, check=False)
    assert "spec.detectedAt" in refused.stderr


def test_s12_detector_that_names_a_missing_query_is_refused_at_admission(world: World) -> None:
    wrong = detector("any")
    wrong["spec"]["conditions"][0]["ratio"]["numerator"] = "eror"
    refused = world.control_plane.kubectl("create", "-f", "-", input=json.dumps(wrong), check=False)
    assert "every query that a condition names must be in spec.queries" in refused.stderr


def test_s12_ratio_of_two_periods_is_refused_at_admission(world: World) -> None:
    wrong = detector("any")
    wrong["spec"]["queries"][0]["period"] = "5s"
    refused = world.control_plane.kubectl("create", "-f", "-", input=json.dumps(wrong), check=False)
    assert "the two queries of a ratio must have the same period" in refused.stderr


def test_s12_interval_that_skips_periods_is_refused_at_admission(world: World) -> None:
    refused = world.control_plane.kubectl(
        "create", "-f", "-", input=json.dumps(detector("any", interval="4s")), check=False
    )
    assert "some would never be looked at" in refused.stderr


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"detection": {"presets": ["sqs-age"]}}, "preset sqs-age needs detection.queue"),
        ({"detection": {"presets": ["alb-latency"]}}, "preset alb-latency needs detection.latencyLimit"),
        ({"detection": {"presets": ["log-corruption"]}}, "preset log-corruption needs detection.corruption"),
        ({"detection": {"presets": ["apigw-rest"]}}, "preset apigw-rest needs spec.apiGateway of type REST"),
        ({"detection": {"corruption": {"pattern": "bad"}}}, "detection.corruption.pattern needs spec.logGroup"),
        ({"detection": {"presets": ["alb-everything"]}}, "Unsupported value"),
        ({"apiGateway": {"type": "REST", "name": "주문"}}, "a REST API is named by its name"),
        ({"apiGateway": {"type": "HTTP", "name": "orders"}}, "an HTTP API is named by its id"),
    ],
)
def test_s12_preset_that_lacks_what_it_needs_is_refused_at_admission(
    world: World, spec: dict[str, object], message: str
) -> None:
    wrong = protected_service("any", **spec)
    refused = world.control_plane.kubectl("create", "-f", "-", input=json.dumps(wrong), check=False)
    assert message in refused.stderr


def _plan(*steps: dict[str, object]) -> dict[str, object]:
    """A RecoveryPlan that a person writes."""
    whole = [{"name": f"step-{n}", "timeout": "30m", "onFailure": "Stop", **step} for n, step in enumerate(steps)]
    return {
        "apiVersion": "bokgu.dev/v1alpha1",
        "kind": "RecoveryPlan",
        "metadata": {"name": "by-hand", "namespace": NAMESPACE},
        "spec": {
            "incidentRef": {"name": "any", "uid": "any"},
            "serviceRef": {"name": "any"},
            "preconditions": {"desiredCount": 3, "rootCause": "TrafficSurge"},
            "steps": whole,
            "expiresAt": "2030-01-01T00:00:00Z",
        },
    }


def _step(action: str, **parameters: object) -> dict[str, object]:
    return {"action": action, "parameters": parameters}


NO_RANGE_OF_THAT = "minCapacity of a scale_out must be its desiredCount"
NO_MAXIMUM = "maxCapacity is for a scale_out with minCapacity, and not below that"
NEEDS_COUNT = "scale_in needs parameters.desiredCount, or minCapacity to give a minimum back"
NOT_FOR_THIS = "desiredCount and minCapacity are for scale_out and scale_in"
NEEDS_DURATION = "wait needs parameters.duration, from 1s to 24h, and a timeout that is not shorter"
NEEDS_REVISION = "an ARN that ends in its revision"
NEEDS_VERSION = "ssm_automation needs parameters.documentName and documentVersion, a number"
ONE_WAY_BACK = "codeDeployDeploymentId to stop a CodeDeploy deployment in flight: exactly one of them"
NO_WAY_FORWARD = "codeDeployDeploymentId is for a rollback_to_previous_version with parameters.taskDefinition"
ROLLBACK = "rollback_to_previous_version"
STOPS = _step(ROLLBACK, codeDeployDeploymentId="d-ABCDEF123", taskDefinition="job:1")
NEEDS_ROLE = "run_task and ssm_automation need parameters.roleArn"
ONLY_WAITS = "duration and calm are for wait, which has no validation"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (_step("scale_out", desiredCount=5, minCapacity=4), NO_RANGE_OF_THAT),
        (_step("scale_out", desiredCount=5, maxCapacity=9), NO_MAXIMUM),
        (_step("scale_out", desiredCount=5, minCapacity=5, maxCapacity=4), NO_MAXIMUM),
        (_step("scale_in", minCapacity=3, maxCapacity=4), NO_MAXIMUM),
        ({"action": "scale_in"}, NEEDS_COUNT),
        (_step("scale_in", desiredCount=3, minCapacity=3), NEEDS_COUNT),
        (_step("scale_in", desiredCount=0), "should be greater than or equal to 1"),
        (_step("service_restart", desiredCount=3), NOT_FOR_THIS),
        (_step("wait", calm=True), NEEDS_DURATION),
        (_step("wait", duration="0s"), NEEDS_DURATION),
        (_step("wait", duration="25h") | {"timeout": "26h"}, NEEDS_DURATION),
        (_step("wait", duration="31m"), NEEDS_DURATION),
        (_step("scale_out", desiredCount=5, calm=True), ONLY_WAITS),
        (_step(ROLLBACK, taskDefinition="job:1"), ONE_WAY_BACK),
        (_step(ROLLBACK, serviceRevisionArn="arn", codeDeployDeploymentId="d-1"), ONE_WAY_BACK),
        (_step(ROLLBACK, codeDeployDeploymentId="d-1"), NO_WAY_FORWARD),
        (STOPS | {"rollback": {"action": ROLLBACK}}, NO_WAY_FORWARD),
        (_step("service_restart", codeDeployDeploymentId="d-1"), NO_WAY_FORWARD),
        (_step("run_task", taskDefinition="job"), NEEDS_REVISION),
        (_step("register_task_definition", taskDefinition="job:"), NEEDS_REVISION),
        (_step("run_task", taskDefinition="job:3"), NEEDS_ROLE),
        (_step("service_restart", roleArn="arn:aws:iam::123456789012:role/other"), NEEDS_ROLE),
        (_step("ssm_automation", documentName="Repair"), NEEDS_VERSION),
        (_step("ssm_automation", documentName="Repair", documentVersion="$DEFAULT"), NEEDS_VERSION),
        (_step("scale_in", minCapacity=0) | {"rollback": {"action": "scale_out"}}, "only rollback_to_previous_version"),
    ],
)
def test_s12_step_that_cannot_be_meant_is_refused_at_admission(
    world: World, step: dict[str, object], message: str
) -> None:
    refused = world.control_plane.kubectl("create", "-f", "-", input=json.dumps(_plan(step)), check=False)
    assert message in refused.stderr


@pytest.mark.parametrize(
    "steps",
    [
        (
            _step("scale_out", desiredCount=5, minCapacity=5, maxCapacity=14),
            _step("wait", duration="30m", calm=True),
            _step("scale_in", minCapacity=0),
        ),
        (STOPS,),
    ],
    ids=["minimum-given-back", "code-deployment-stopped"],
)
def test_a_plan_that_can_be_meant_is_admitted(world: World, steps: tuple[dict[str, object], ...]) -> None:
    manifest = _plan(*steps)
    taken = world.control_plane.kubectl(
        "create", "--dry-run=server", "-f", "-", input=json.dumps(manifest), check=False
    )
    assert taken.stderr == ""


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (_step("scale_in"), "a Runbook has no scale_in"),
        (_step("wait"), "needs parameters.duration"),
        (_step("wait", duration="25h"), "needs parameters.duration, from 1s to 24h"),
        (_step("wait", duration="1h") | {"timeout": "5m"}, "its timeout is not shorter"),
        (_step("wait", duration="1h") | {"validation": {"type": "metric"}}, "it has no validation"),
        (_step("scale_out", duration="1h"), "wait, and nothing else"),
        (_step("wait", duration="1h", calm=True), ""),
    ],
)
def test_s12_runbook_that_waits_or_scales_in_wrongly_is_refused_at_admission(
    world: World, step: dict[str, object], message: str
) -> None:
    manifest = {
        "apiVersion": "bokgu.dev/v1alpha1",
        "kind": "Runbook",
        "metadata": {"name": "waits", "namespace": NAMESPACE},
        "spec": {"steps": [{"name": "step", **step}]},
    }
    refused = world.control_plane.kubectl(
        "create", "--dry-run=server", "-f", "-", input=json.dumps(manifest), check=False
    )
    assert message in refused.stderr
    assert bool(message) == bool(refused.stderr)
