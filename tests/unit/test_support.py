"""The support matrix: which services are driven, and what is said of the others."""

from typing import Any

import pytest

from bokgu.api.observed import AwsError, EcsService
from bokgu.api.vocabulary import Action
from bokgu.aws.ecs import parse_service
from bokgu.core.support import MATRIX, find_unsupported, is_gone, kind_of, render_matrix
from tests.unit.aws_model import enum_of
from tests.unit.facts import NOW, service
from tests.world.world import ROOT

WRITES = [action for action in Action if action.writes]


def parsed(**members: Any) -> EcsService:
    """The service as ECS describes it."""
    counts = {"desiredCount": 3, "runningCount": 3, "pendingCount": 0}
    return parse_service({"serviceArn": "arn", "status": "ACTIVE", **counts, **members}, NOW)


def deployed_by(controller: str, strategy: str | None = None) -> EcsService:
    configuration = {} if strategy is None else {"strategy": strategy}
    return parsed(deploymentController={"type": controller}, deploymentConfiguration=configuration)


@pytest.mark.parametrize("action", WRITES)
@pytest.mark.parametrize("strategy", [*enum_of("ecs", "DeploymentStrategy"), None])
def test_every_strategy_of_the_ecs_controller_is_driven(strategy: str | None, action: Action) -> None:
    assert find_unsupported(deployed_by("ECS", strategy), action) is None
    assert find_unsupported(parsed(), action) is None, "DescribeServices may leave the controller out"


@pytest.mark.parametrize("action", WRITES)
@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (deployed_by("CODE_DEPLOY"), "CODE_DEPLOY"),
        (deployed_by("EXTERNAL"), "EXTERNAL"),
        (parsed(schedulingStrategy="DAEMON"), "DAEMON"),
        (parsed(resourceManagementType="ECS", deploymentConfiguration={"strategy": "CANARY"}), "Express"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_fact_14_what_another_one_deploys_is_only_read(found: EcsService, kind: str, action: Action) -> None:
    refused = find_unsupported(found, action)
    assert refused
    assert (refused.value, kind_of(found)) == (kind, kind)
    assert kind in refused.message or kind == "Express"
    assert MATRIX[kind].because in refused.message
    assert len(refused.message) <= 300, "a gate cuts it"
    assert "; " in refused.message, "it says what to do instead"


def test_fact_14_codedeploy_is_the_only_way_back_of_its_deployments() -> None:
    found = deployed_by("CODE_DEPLOY")
    rollback, restart = (find_unsupported(found, a) for a in (Action.ROLLBACK, Action.SERVICE_RESTART))
    assert rollback
    assert "StopDeployment with autoRollbackEnabled" in rollback.message
    assert restart
    assert "refuses forceNewDeployment" in restart.message


def test_every_controller_and_management_type_of_the_model_is_in_the_table() -> None:
    """A new one is refused until somebody decides."""
    assert set(enum_of("ecs", "DeploymentControllerType")) == {"ECS", "CODE_DEPLOY", "EXTERNAL"}
    assert set(enum_of("ecs", "ResourceManagementType")) == {"ECS", "CUSTOMER"}
    assert set(enum_of("ecs", "SchedulingStrategy")) == {"REPLICA", "DAEMON"}
    for unknown in (deployed_by("ECS", "SHADOW"), deployed_by("MAGIC")):
        assert kind_of(unknown) not in MATRIX
        refused = find_unsupported(unknown, Action.SCALE_OUT)
        assert refused
        assert "does not know" in refused.message


def test_what_only_reads_is_driven_everywhere() -> None:
    for controller in enum_of("ecs", "DeploymentControllerType"):
        assert find_unsupported(deployed_by(controller), Action.HEALTH_CHECK) is None


def test_the_page_shows_the_table() -> None:
    page = (ROOT / "docs/support.md").read_text()
    assert render_matrix() in page, f"docs/support.md must contain:\n{render_matrix()}"


@pytest.mark.parametrize("status", ["DRAINING", "INACTIVE"])
def test_a_deleted_service_is_gone_for_good(status: str) -> None:
    assert status in str(is_gone(service(status=status), None))


@pytest.mark.parametrize(
    ("operation", "code", "gone"),
    [
        ("DescribeServices", "MISSING", True),
        ("DescribeServices", "ClusterNotFoundException", True),
        ("DescribeServices", "AccessDeniedException", False),
        ("DescribeServices", "ThrottlingException", False),
        ("DescribeServices", "Unreachable", False),
        ("DescribeServiceRevisions", "MISSING", False),
        ("DescribeServiceDeployments", "MISSING", False),
    ],
)
def test_a_service_is_gone_only_where_ecs_says_so(operation: str, code: str, *, gone: bool) -> None:
    """Not knowing is no reason to give up a plan: its undo may be needed."""
    problem = AwsError(operation, code, "no service api in cluster shop", sent=False)
    assert (is_gone(None, problem) is not None) is gone


def test_a_service_that_is_there_is_not_gone() -> None:
    assert is_gone(service(), None) is None
    assert is_gone(None, None) is None
