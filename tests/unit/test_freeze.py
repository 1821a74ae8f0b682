"""Which open incidents keep plans from changing their service."""

from typing import Any

import pytest

from bokgu.api.incident import Incident
from bokgu.api.vocabulary import Action
from bokgu.core.freeze import find_freeze, freezes_service, keeps_tasks
from tests.unit.facts import NOW, classification, incident


@pytest.mark.parametrize(
    ("type_", "found", "freezes"),
    [
        ("data_corruption", None, True),
        ("data_corruption", {"rootCause": "DataCorruption"}, True),
        ("data_corruption", {"rootCause": "Unknown"}, True),
        ("data_corruption", {"rootCause": "CpuSaturation"}, False),
        ("data_corruption", {"rootCause": "CpuSaturation", "confidence": "low"}, True),
        ("high_error_rate", {"rootCause": "DataCorruption"}, False),
    ],
)
def test_corrupted_data_freezes_its_service_but_for_its_own_plan_against_a_known_cause(
    type_: str, found: dict[str, Any] | None, freezes: bool
) -> None:
    status = {"classification": classification(**found).to_dict()} if found else {}
    trouble = incident(type=type_, status=status)
    assert freezes_service(trouble, trouble.metadata.uid) is freezes
    assert freezes_service(trouble, "another") is (type_ == "data_corruption"), "plans of other incidents always wait"
    over = incident(type=type_, status={**status, "phase": "Resolved"})
    assert not freezes_service(over, "another")


def no_task_starts(cause: str = "SecretOrConfigFailure", **status: Any) -> Incident:
    found = classification(rootCause=cause, traits=["StartFails"])
    return incident(type="service_down", status={"classification": found.to_dict(), **status})


@pytest.mark.parametrize("cause", ["SecretOrConfigFailure", "ImagePullFailure", "PermissionDenied"])
@pytest.mark.parametrize("own", [True, False])
def test_tasks_that_could_not_be_replaced_are_not_restarted_whoever_asks(cause: str, own: bool) -> None:
    trouble = no_task_starts(cause)
    freeze = find_freeze([trouble], trouble.metadata.uid if own else "another")
    assert freeze
    assert (freeze.incident, freeze.reason) == (trouble.metadata.name, "TasksIrreplaceable")
    assert cause in freeze.message
    assert [action for action in Action if freeze.holds(action, running=2)] == [
        Action.SERVICE_RESTART,
        Action.STOP_UNHEALTHY_TASKS,
    ]


def test_where_no_task_runs_a_restart_takes_nothing_away() -> None:
    freeze = find_freeze([no_task_starts()], "another")
    assert freeze
    assert not freeze.holds(Action.SERVICE_RESTART, running=0)


def test_tasks_start_again_once_the_trouble_has_gone() -> None:
    assert keeps_tasks(no_task_starts())
    assert not keeps_tasks(no_task_starts(mitigatedAt=NOW))
    assert not keeps_tasks(no_task_starts(phase="Resolved"))
    assert not keeps_tasks(incident())


def test_a_cause_that_does_not_keep_tasks_from_starting_keeps_nobody_from_a_restart() -> None:
    """An application that says its password is wrong is restarted once the password is right."""
    said = classification(rootCause="SecretOrConfigFailure")
    assert find_freeze([incident(status={"classification": said.to_dict()})], "another") is None


def test_corrupted_data_is_the_stricter_freeze() -> None:
    corrupted = incident(type="data_corruption", meta={"name": "corrupted", "uid": "other"})
    freeze = find_freeze([no_task_starts(), corrupted], no_task_starts().metadata.uid)
    assert freeze
    assert (freeze.incident, freeze.reason) == ("corrupted", "DataCorruption")
    assert {action for action in Action if freeze.holds(action, running=0)} == {a for a in Action if a.writes}
