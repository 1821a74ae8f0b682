from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bokgu.__main__ import main
from bokgu.api.runbook import NO_CAUSE, TEMPLATE_FIELDS, Runbook, ServiceSelector
from bokgu.api.vocabulary import Action, IncidentType, RootCause, Trait
from bokgu.core.runbooks import (
    MAX_RUNGS,
    choose_runbook,
    consider_runbooks,
    estimate_resolution,
    find_problem,
    find_rungs,
    first_write,
    merge_runbooks,
)
from bokgu.runbooks import load_builtin_runbooks
from tests.unit.facts import MINUTE, runbook

BUILTIN = load_builtin_runbooks()
ROLLBACK, SCALE_OUT, RESTART = Action.ROLLBACK, Action.SCALE_OUT, Action.SERVICE_RESTART


def choose(*runbooks: Runbook, **changes: Any) -> Runbook | None:
    trouble: dict[str, Any] = {
        "incident_type": IncidentType.HIGH_ERROR_RATE,
        "root_cause": RootCause.TRAFFIC_SURGE,
        "new_revision_at_fault": False,
        "traits": (),
        "labels": {},
        "environment": "production",
        **changes,
    }
    return choose_runbook(runbooks or BUILTIN, **trouble)


def chosen(*runbooks: Runbook, **changes: Any) -> str:
    found = choose(*runbooks, **changes)
    return found.metadata.name if found else "nobody"


def write(cause: RootCause, new: bool | None, *traits: Trait) -> Action | None:
    found = choose(root_cause=cause, new_revision_at_fault=new, traits=traits)
    return first_write(found) if found else None


# The built-in ones

ROLLED_BACK_WHERE_A_NEW_REVISION_IS_AT_FAULT = {
    RootCause.BAD_DEPLOYMENT,
    RootCause.IMAGE_PULL_FAILURE,
    RootCause.OUT_OF_MEMORY,
    RootCause.APPLICATION_CRASH,
    RootCause.HEALTH_CHECK_FAILURE,
    RootCause.CAPACITY_UNAVAILABLE,
    RootCause.SECRET_OR_CONFIG_FAILURE,
    RootCause.PERMISSION_DENIED,
    RootCause.NETWORK_FAILURE,
    RootCause.CPU_SATURATION,
    RootCause.MEMORY_SATURATION,
    RootCause.DISK_EXHAUSTED,
}
WITH_NO_NEW_REVISION: dict[tuple[RootCause, tuple[Trait, ...]], Action] = {
    (RootCause.TRAFFIC_SURGE, ()): SCALE_OUT,
    (RootCause.TRAFFIC_SURGE, (Trait.LOAD_DRIVEN,)): SCALE_OUT,
    (RootCause.OUT_OF_MEMORY, (Trait.LEAKING,)): RESTART,
    (RootCause.CPU_SATURATION, (Trait.LOAD_DRIVEN,)): SCALE_OUT,
    (RootCause.MEMORY_SATURATION, (Trait.LOAD_DRIVEN,)): SCALE_OUT,
}
TRAITS = ((), (Trait.LOAD_DRIVEN,), (Trait.LEAKING,), (Trait.SLOW_START,), (Trait.ZONAL,))


@pytest.mark.parametrize("cause", list(RootCause))
@pytest.mark.parametrize("new", [True, False, None])
@pytest.mark.parametrize("traits", TRAITS, ids=lambda t: "-".join(t) or "no-trait")
def test_s1_the_first_write_is_the_tables_and_nothing_else(
    cause: RootCause, new: bool | None, traits: tuple[Trait, ...]
) -> None:
    expected = WITH_NO_NEW_REVISION.get((cause, traits)) if new is False else None
    if cause is RootCause.TRAFFIC_SURGE and new is False:
        expected = SCALE_OUT
    if new and cause in ROLLED_BACK_WHERE_A_NEW_REVISION_IS_AT_FAULT:
        expected = ROLLBACK
    nothing_to_undo = {(RootCause.NETWORK_FAILURE, Trait.ZONAL), (RootCause.HEALTH_CHECK_FAILURE, Trait.SLOW_START)}
    if any((cause, trait) in nothing_to_undo for trait in traits):
        expected = None
    assert write(cause, new, *traits) is expected


@pytest.mark.parametrize("cause", list(RootCause))
def test_s1_where_ecs_has_rolled_back_nothing_rolls_back_again(cause: RootCause) -> None:
    for other in TRAITS:
        assert write(cause, True, Trait.ROLLED_BACK_BY_ECS, *other) is not ROLLBACK
    assert write(cause, True, Trait.ROLLED_BACK_BY_ECS) is None


@given(
    cause=st.sampled_from(RootCause),
    new=st.sampled_from([True, False, None]),
    traits=st.sets(st.sampled_from(Trait)),
    type_=st.sampled_from(IncidentType),
)
def test_s1_no_cause_no_write_whatever_else_shows(
    cause: RootCause, new: bool | None, traits: set[Trait], type_: IncidentType
) -> None:
    found = choose(root_cause=cause, new_revision_at_fault=new, traits=tuple(traits), incident_type=type_)
    action = first_write(found) if found else None
    never = {
        RootCause.UNKNOWN,
        RootCause.DEPENDENCY_FAILURE,
        RootCause.THROTTLED,
        RootCause.HUMAN_ACTION,
        RootCause.DATA_CORRUPTION,
        RootCause.HOST_OR_SPOT_INTERRUPTION,
    }
    if cause in never or new is None:
        assert action is None
    if action is ROLLBACK:
        assert new
        assert Trait.ROLLED_BACK_BY_ECS not in traits
    if action is RESTART:
        assert (cause, new) == (RootCause.OUT_OF_MEMORY, False)
        assert Trait.LEAKING in traits
    if action is SCALE_OUT and cause is not RootCause.TRAFFIC_SURGE:
        assert Trait.LOAD_DRIVEN in traits


@pytest.mark.parametrize(
    ("cause", "new", "traits", "word"),
    [
        (RootCause.HEALTH_CHECK_FAILURE, False, (Trait.SLOW_START,), "healthCheckGracePeriodSeconds"),
        (RootCause.NETWORK_FAILURE, False, (Trait.ZONAL,), "zonal shift"),
        (RootCause.IMAGE_PULL_FAILURE, False, (), "digest"),
        (RootCause.UNKNOWN, None, (), "five minutes"),
        (RootCause.HUMAN_ACTION, False, (), "Ask the person"),
        (RootCause.DATA_CORRUPTION, True, (), "Freeze"),
    ],
)
def test_where_nothing_is_written_a_person_is_told_what_to_do(
    cause: RootCause, new: bool | None, traits: tuple[Trait, ...], word: str
) -> None:
    found = choose(root_cause=cause, new_revision_at_fault=new, traits=traits)
    assert found
    assert first_write(found) is None
    assert word in (found.spec.advice or "")


def test_every_root_cause_has_a_built_in_runbook_and_every_runbook_advice() -> None:
    assert {cause for r in BUILTIN for cause in r.spec.root_causes} == set(RootCause)
    assert all(r.spec.advice for r in BUILTIN)
    assert all(r.spec.priority == -1000 for r in BUILTIN)


def test_the_built_in_runbooks_are_usable_and_of_the_form_that_people_apply() -> None:
    folder = Path(__file__).parents[2] / "operator" / "bokgu" / "runbooks"
    documents = [d for f in folder.glob("*.yaml") for d in yaml.safe_load_all(f.read_text())]
    assert {d["metadata"]["name"] for d in documents} == {r.metadata.name for r in BUILTIN}
    for one in BUILTIN:
        assert find_problem(one, BUILTIN) is None
    for document in documents:
        assert (document["apiVersion"], document["kind"]) == ("bokgu.dev/v1alpha1", "Runbook")
        read = Runbook.model_validate(document).spec.to_dict()
        assert_written(document["spec"], read)


def assert_written(document: Any, read: Any) -> None:
    """Nothing that the file says is lost in reading, such as a misspelt field."""
    if isinstance(document, dict):
        for key, value in document.items():
            assert key in read, key
            assert_written(value, read[key])
    elif isinstance(document, list):
        for one, other in zip(document, read, strict=True):
            assert_written(one, other)
    else:
        assert document == read


def test_the_rungs_of_the_table() -> None:
    names = {r.metadata.name: [x.metadata.name for x in find_rungs(r, BUILTIN)][1:] for r in BUILTIN}
    assert {name: rungs for name, rungs in names.items() if rungs} == {
        "out-of-memory-leaking": ["out-of-memory-load"],
        "memory-saturation-load": ["memory-saturation-restart"],
        "health-check-failure": ["health-check-failure-few"],
        "disk-exhausted": ["disk-exhausted-few"],
        "traffic-surge": ["traffic-surge-more"],
    }


def test_the_classic_plans_are_chosen_by_name_only() -> None:
    classic = ("classic-service-down", "classic-high-error-rate")
    assert chosen() == "traffic-surge"
    assert chosen(named=classic) == "classic-high-error-rate"
    assert chosen(named=classic, incident_type=IncidentType.SERVICE_DOWN) == "classic-service-down"
    assert chosen(named=classic, incident_type=IncidentType.RESOURCE_EXHAUSTION) == "traffic-surge"


# Selection


def test_a_runbook_of_the_namespace_comes_before_the_built_in_ones() -> None:
    assert chosen(*BUILTIN, runbook("ours", rootCauses=["TrafficSurge"])) == "ours"
    assert chosen(*BUILTIN, runbook("ours", rootCauses=["DiskExhausted"])) == "traffic-surge"


def test_one_of_the_same_name_stands_in_the_place_of_the_built_in_one() -> None:
    ours = runbook("traffic-surge", rootCauses=["TrafficSurge"], steps=[], advice="call us")
    merged = merge_runbooks(BUILTIN, [ours])
    assert len(merged) == len(BUILTIN)
    assert choose(*merged) is ours


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"serviceSelector": {"environment": "production", "matchLabels": {"team": "pay"}}},
            {"serviceSelector": {"environment": "production"}, "priority": 9},
        ),
        ({"serviceSelector": {"matchLabels": {"team": "pay"}}}, {"priority": 9}),
        ({"priority": 1}, {"priority": 0, "rootCauses": ["TrafficSurge"], "newRevisionAtFault": False}),
        ({"traits": ["LoadDriven"]}, {"newRevisionAtFault": False, "incidentTypes": ["high_error_rate"]}),
        ({"newRevisionAtFault": False}, {"rootCauses": ["TrafficSurge"]}),
        ({}, {"name": "b"}),
    ],
    ids=["labels-and-environment", "selector", "priority", "trait", "revision", "name"],
)
def test_who_says_more_about_the_service_wins_then_priority_then_who_says_more_about_the_trouble(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = runbook("a", **one), runbook(other.pop("name", "0"), **other)
    trouble = {"labels": {"team": "pay"}, "traits": (Trait.LOAD_DRIVEN,)}
    assert chosen(first, second, **trouble) == "a"
    assert chosen(second, first, **trouble) == "a"


def test_what_the_service_names_comes_first_where_it_fits() -> None:
    books = (runbook("a", priority=100), runbook("b"), runbook("c", rootCauses=["DiskExhausted"]))
    assert chosen(*books) == "a"
    assert chosen(*books, named=("c", "b")) == "b"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"onlyByName": True}, "only by name"),
        ({"serviceSelector": {"environment": "staging"}}, "other services"),
        ({"serviceSelector": {"matchLabels": {"team": "pay"}}}, "other services"),
        ({"incidentTypes": ["service_down"]}, "it is for service_down"),
        ({"rootCauses": ["DiskExhausted"]}, "it is against DiskExhausted"),
        ({"newRevisionAtFault": True}, "a new revision at fault"),
        ({"traits": ["Zonal"]}, "does not show Zonal"),
        ({"advice": "ask {nobody}"}, "{nobody}"),
    ],
)
def test_why_a_runbook_is_not_for_an_incident_is_said(changes: dict[str, Any], why: str) -> None:
    (considered,) = consider_runbooks(
        [runbook("a", **changes)],
        incident_type=IncidentType.HIGH_ERROR_RATE,
        root_cause=RootCause.TRAFFIC_SURGE,
        new_revision_at_fault=False,
        traits=(),
        labels={},
        environment="production",
    )
    assert why in (considered.reason or "it fits")


@pytest.mark.parametrize("asked", [True, False])
def test_where_the_revision_cannot_be_told_neither_value_matches(asked: bool) -> None:
    assert chosen(runbook("a", newRevisionAtFault=asked), new_revision_at_fault=None) == "nobody"


def test_a_selector_wants_all_that_it_names() -> None:
    selector = ServiceSelector(environment="staging", match_labels={"team": "pay", "tier": "1"})
    assert selector.matches({"team": "pay", "tier": "1", "x": "y"}, "staging")
    assert not selector.matches({"team": "pay"}, "staging")
    assert not selector.matches({"team": "pay", "tier": "1"}, "production")
    assert selector.specificity == 3


@given(st.permutations(BUILTIN), st.sampled_from(RootCause), st.booleans(), st.sets(st.sampled_from(Trait)))
def test_the_choice_does_not_hang_on_the_order(
    shuffled: list[Runbook], cause: RootCause, new: bool, traits: set[Trait]
) -> None:
    trouble: dict[str, Any] = {"root_cause": cause, "new_revision_at_fault": new, "traits": tuple(traits)}
    assert choose(*shuffled, **trouble) == choose(*BUILTIN, **trouble)


# Rungs and problems


def test_rungs_follow_each_other_once_and_end() -> None:
    loop = [runbook("a", escalatesTo="b"), runbook("b", escalatesTo="c"), runbook("c", escalatesTo="a")]
    assert [r.metadata.name for r in find_rungs(loop[0], loop)] == ["a", "b", "c"]
    long = [runbook(f"r{i}", escalatesTo=f"r{i + 1}") for i in range(40)]
    assert len(find_rungs(long[0], long)) == MAX_RUNGS + 1


TWICE = [
    {"name": "look", "action": "health_check"},
    {"name": "again", "action": "health_check"},
    {"name": "more", "action": "scale_out"},
    {"name": "still-more", "action": "scale_out"},
]


@pytest.mark.parametrize(
    ("changes", "reason", "word"),
    [
        ({"escalatesTo": "nobody"}, "EscalatesToNobody", "nobody"),
        ({"escalatesTo": "ours"}, "EscalationLoop", "ours → ours"),
        ({"escalatesTo": "back"}, "EscalationLoop", "ours → back → ours"),
        ({"escalatesTo": "lost"}, "EscalatesToNobody", "lost escalates to gone"),
        ({"advice": "see {secret}"}, "TemplateField", "{secret}"),
        ({"advice": "see {service.name}"}, "TemplateField", "{service.name}"),
        ({"steps": TWICE}, "ActionTwice", "scale_out"),
        ({"rootCauses": ["TrafficSurge", "Unknown"]}, "ServicesNotNamed", "against Unknown it changes something"),
        *(({"rootCauses": [cause]}, "ServicesNotNamed", cause) for cause in NO_CAUSE),
        ({"rootCauses": ["Unknown"], "onlyByName": True}, None, ""),
        ({"rootCauses": ["Unknown"], "serviceSelector": {"environment": "production"}}, None, ""),
        ({"rootCauses": ["Unknown"], "steps": [], "advice": "look"}, None, ""),
        ({"escalatesTo": "traffic-surge"}, None, ""),
    ],
)
def test_s12_what_is_wrong_with_a_runbook_is_said(changes: dict[str, Any], reason: str | None, word: str) -> None:
    others = (*BUILTIN, runbook("back", escalatesTo="ours"), runbook("lost", escalatesTo="gone"))
    problem = find_problem(runbook("ours", **changes), others)
    assert (problem.reason if problem else None) == reason
    assert word in (problem.message if problem else "")


def test_the_estimate_is_what_the_runbook_says_or_the_sum_of_its_steps() -> None:
    steps = [
        {"name": "a", "action": "health_check", "estimatedDuration": "1m"},
        {"name": "b", "action": "scale_out", "estimatedDuration": "9m"},
    ]
    assert estimate_resolution(runbook("a", steps=steps)) == 10 * MINUTE
    assert estimate_resolution(runbook("a", steps=steps, estimatedResolution="3m")) == 3 * MINUTE


def test_the_page_about_runbooks_names_them_all_and_every_field_of_a_template() -> None:
    page = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text()
    assert [r.metadata.name for r in BUILTIN if f"`{r.metadata.name}`" not in page] == []
    assert [field for field in TEMPLATE_FIELDS if f"`{{{field}}}`" not in page] == []


def test_the_built_in_runbooks_are_printed_as_manifests(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runbooks"]) == 0
    assert [d["metadata"]["name"] for d in yaml.safe_load_all(capsys.readouterr().out)] == [
        r.metadata.name for r in BUILTIN
    ]
    assert main(["runbooks", "traffic-surge"]) == 0
    (document,) = yaml.safe_load_all(capsys.readouterr().out)
    assert Runbook.model_validate(document) == next(r for r in BUILTIN if r.metadata.name == "traffic-surge")
    assert main(["runbooks", "nothing"]) == 1
    assert "traffic-surge" in capsys.readouterr().err


def test_s1_also_a_runbook_of_ones_own_does_not_roll_back_what_ecs_has_rolled_back() -> None:
    steps = [{"name": "back", "action": "rollback_to_previous_version"}]
    ours = runbook("ours", rootCauses=["BadDeployment"], steps=steps)
    trouble: dict[str, Any] = {
        "root_cause": RootCause.BAD_DEPLOYMENT,
        "new_revision_at_fault": True,
        "named": ("ours",),
    }
    assert chosen(*BUILTIN, ours, **trouble) == "ours"
    assert chosen(*BUILTIN, ours, **trouble, traits=(Trait.ROLLED_BACK_BY_ECS,)) == "rolled-back-by-ecs"
