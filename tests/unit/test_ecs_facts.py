"""Facts about Amazon ECS that the design rests on (docs/ecs-facts.md), where no other test shows them."""

import ast
import asyncio
import re
from dataclasses import replace
from typing import Any, cast

import pytest

from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import Action, PlanPhase
from bokgu.aws.ecs import parse_service
from bokgu.core.ecs_event import ended_abnormally
from bokgu.core.guards.deployment import ROLLING_BACK
from bokgu.core.planning import build_plan
from bokgu.core.service_state import ServiceLook
from bokgu.reconcile.looking import ENDED, see_details
from bokgu.reconcile.scope_memory import ScopeMemory
from tests.unit.aws_model import enum_of
from tests.unit.facts import MINUTE, NOW, VALIDATION, protected_service, scale_out, service
from tests.unit.test_execution import verifying
from tests.unit.test_planning import BAD_DEPLOYMENT, LEAK, good, planning
from tests.unit.unasked_aws import UnaskedAws
from tests.world.world import ROOT

OPERATOR = ROOT / "operator/bokgu"


def test_fact_12_the_operator_never_asks_for_alarms() -> None:
    """ECS polls DescribeAlarms on the account's quota of 9 a second: who uses it up makes ECS miss a rollback."""
    asking = [path.name for path in OPERATOR.rglob("*.py") if "DescribeAlarms" in path.read_text()]
    assert asking == []


@pytest.mark.parametrize("cause", [LEAK, BAD_DEPLOYMENT])
def test_fact_12_every_deployment_of_ours_is_verified_by_us(cause: Any) -> None:
    """Its alarms may be ignored, so that ECS would not roll it back."""
    made = build_plan(planning(classification=cause, protected_service=protected_service(status=good())))
    assert isinstance(made, RecoveryPlan)
    writes = [step for step in made.spec.steps if step.action.writes]
    assert {step.action for step in writes} <= {Action.SERVICE_RESTART, Action.ROLLBACK}
    assert writes
    assert all(step.validation for step in writes)


def test_fact_13_every_state_of_a_service_deployment_is_told_apart() -> None:
    """A state that is new in the model must be thought about: it is neither over nor a rollback by itself."""
    states = set(enum_of("ecs", "ServiceDeploymentStatus"))
    assert len(states) == 9
    assert ENDED | ROLLING_BACK | {"PENDING", "IN_PROGRESS", "STOP_REQUESTED"} == states
    assert not ENDED & ROLLING_BACK


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_fact_13_services_of_other_controllers_are_not_asked_for_deployments(controller: str) -> None:
    """ListServiceDeployments answers UnsupportedFeatureException, at every look."""
    state = ServiceLook(service(controller=controller), NOW)
    protected: ProtectedService = protected_service()
    context = cast(Any, type("Nothing", (), {"aws": UnaskedAws()}))
    assert asyncio.run(see_details(context, protected, state, ScopeMemory())) == state


def test_fact_15_both_halves_of_a_pair_and_those_of_task_sets_are_watched() -> None:
    """API_AdvancedConfiguration, API_TaskSet: which of them serves is known only while it does."""
    raw = {
        "serviceArn": "arn",
        "status": "ACTIVE",
        "desiredCount": 1,
        "runningCount": 1,
        "pendingCount": 0,
        "loadBalancers": [{"targetGroupArn": "blue", "advancedConfiguration": {"alternateTargetGroupArn": "green"}}],
        "taskSets": [{"loadBalancers": [{"targetGroupArn": "set"}]}],
    }
    found = parse_service(raw, NOW)
    assert found.target_groups == ("blue", "green", "set")
    assert found.target_pairs == {"blue": "green", "green": "blue"}


def test_fact_19_rebalancing_delays_a_verification_and_fails_no_step() -> None:
    """A seventh task runs for a while, then one in the crowded zone stops: it is nobody's change."""
    world = verifying(scale_out(5, validation=VALIDATION))
    world.change(replace(world.ecs, running_count=6))
    for _ in range(3):
        world.do()
        world.now += MINUTE
    assert world.status.phase is PlanPhase.VERIFYING
    world.settle()
    since = world.now
    world.until(PlanPhase.COMPLETED)
    assert world.now - since >= 5 * MINUTE, "the window begins anew"
    assert len(world.sent) == 1


def test_fact_19_tasks_that_rebalancing_stops_are_no_trouble() -> None:
    """They end as all do that the scheduler stops (API_Task, stopCode)."""
    assert not ended_abnormally("ServiceSchedulerInitiated", "Availability Zone rebalancing")


# The page


def _rows() -> list[list[str]]:
    page = (ROOT / "docs/ecs-facts.md").read_text()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:3] != "| |"]


ROWS = {int(row[0]): row for row in _rows() if row[0].isdigit()}


def test_the_page_has_all_nineteen_facts_with_their_sources() -> None:
    assert list(ROWS) == list(range(1, 20))
    assert all(len(row) == 4 and all(row) for row in ROWS.values())


def test_the_tests_that_the_page_names_are_there() -> None:
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    named = {name for row in ROWS.values() for name in re.findall(r"`(test_\w+)`", row[3])}
    assert named - names == set()
    facts = {name for name in names if name.startswith("test_fact_")}
    assert facts - named == set(), "the page knows every test of a fact"
    scenarios = {path.name.partition("-")[0] for path in (ROOT / "tests/scenarios/catalogue").glob("*.yaml")}
    assert {n for row in ROWS.values() for n in re.findall(r"\[(\d+)\]", row[3])} - scenarios == set()


@pytest.mark.parametrize("number", ROWS)
def test_a_fact_is_shown_by_a_test_of_its_number(number: int) -> None:
    named = [int(n) for n in re.findall(r"test_fact_(\d\d)_", ROWS[number][3])]
    assert set(named) <= {number}
