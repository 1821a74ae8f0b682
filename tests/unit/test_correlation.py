"""Which incidents are one trouble, and which of them leads."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.vocabulary import IncidentPhase, Severity
from bokgu.core.correlation import TOGETHER, Dependencies, Suppression, find_leader
from tests.unit.facts import DIGEST, MINUTE, NOW, classification, incident

UNKNOWN = classification(rootCause="Unknown").to_dict()
SURGE = classification().to_dict()
BAD_REVISION = classification(rootCause="Unknown", newRevisionAtFault=True).to_dict()
PLAN: dict[str, Any] = {"name": "p", "uid": "p", "digest": DIGEST}


def trouble(
    name: str,
    *,
    service: str = "api",
    type_: str = "service_down",
    begun: timedelta = timedelta(),
    leader: Incident | None = None,
    planned: bool = False,
    severity: str = "high",
    found: dict[str, Any] | None = None,
    **status: Any,
) -> Incident:
    said: dict[str, Any] = {"classification": found} if found else {}
    if planned:
        said["plans"] = [PLAN]
    if leader is not None:
        said |= {"phase": "Suppressed", "leader": {"name": leader.metadata.name, "uid": leader.metadata.uid}}
    return incident(
        meta={"name": name, "uid": f"uid-{name}", "creationTimestamp": NOW + begun},
        type=type_,
        severity=severity,
        serviceRef={"name": service},
        status=said | status,
    )


def lead(one: Incident, *others: Incident, dependencies: Dependencies | None = None) -> tuple[str, str] | None:
    """(leader, reason), or None where the incident leads itself."""
    found = find_leader(one, [one, *others], dependencies or {})
    return (found.leader.name, found.reason) if found else None


# The same service


def test_the_older_incident_of_a_service_leads() -> None:
    first, second = trouble("first"), trouble("second", type_="high_error_rate", begun=MINUTE)
    assert lead(second, first) == ("first", "SameService")
    assert lead(first, second) is None


def test_of_two_that_began_in_the_same_second_exactly_one_leads() -> None:
    a, b = trouble("a"), trouble("b", type_="high_error_rate")
    assert (lead(a, b), lead(b, a)) == (None, ("a", "SameService"))


def test_incidents_of_different_services_are_different_troubles() -> None:
    assert lead(trouble("second", service="web", begun=MINUTE), trouble("first")) is None


def test_an_incident_with_a_plan_is_never_folded_and_leads() -> None:
    planned = trouble("planned", begun=MINUTE, planned=True)
    assert lead(planned, trouble("first", type_="high_error_rate")) is None
    assert lead(trouble("first", type_="high_error_rate"), planned) == ("planned", "SameService")


def test_what_is_worse_is_never_folded_into_what_is_lesser() -> None:
    """A medium incident that nobody has closed for days must not hide an outage."""
    usage = trouble("usage", type_="resource_exhaustion", severity="medium")
    outage = trouble("outage", severity="critical", begun=60 * MINUTE)
    assert lead(outage, usage) is None
    assert lead(usage, outage) == ("outage", "SameService")


def test_what_is_worse_is_told_even_where_people_are_at_the_lesser() -> None:
    usage = trouble("usage", type_="resource_exhaustion", severity="medium", planned=True)
    outage = trouble("outage", severity="critical", begun=60 * MINUTE)
    assert (lead(outage, usage), lead(usage, outage)) == (None, None)


@pytest.mark.parametrize("planned", [False, True])
def test_corrupted_data_leads_whatever_else_is_wrong(planned: bool) -> None:
    outage = trouble("outage", severity="critical", planned=planned)
    corrupted = trouble("corrupted", type_="data_corruption", begun=MINUTE)
    assert lead(corrupted, outage) is None


def test_other_trouble_of_the_service_is_folded_into_corrupted_data() -> None:
    corrupted = trouble("corrupted", type_="data_corruption", begun=MINUTE)
    assert lead(trouble("errors", type_="high_error_rate"), corrupted) == ("corrupted", "SameService")


def test_corrupted_data_is_not_explained_by_a_broken_dependency() -> None:
    corrupted = trouble("corrupted", type_="data_corruption", begun=MINUTE)
    assert lead(corrupted, trouble("down", service="db"), dependencies={"api": ["db"]}) is None


def test_who_would_follow_a_follower_follows_its_leader() -> None:
    root = trouble("root", service="db", begun=-MINUTE)
    first = trouble("first", leader=root)
    second = trouble("second", type_="high_error_rate", begun=MINUTE)
    assert lead(second, first, root) == ("root", "SameService")


def test_a_leader_that_is_over_leads_nobody() -> None:
    gone = trouble("gone", service="db")
    first = trouble("first", leader=gone)
    second = trouble("second", type_="high_error_rate", begun=MINUTE)
    assert lead(second, first) == ("first", "SameService")
    assert lead(first, second) is None


def watched(name: str, **fields: Any) -> Incident:
    """An incident whose trouble has gone away and is watched for a relapse."""
    return trouble(name, phase="Verifying", reason="RelapseWatch", mitigatedAt=NOW + MINUTE, **fields)


@pytest.mark.parametrize("planned", [False, True])
def test_what_begins_while_another_is_watched_for_a_relapse_is_trouble_of_its_own(planned: bool) -> None:
    """Nobody works on an incident that is calm: half an hour would pass before the new one came into its own."""
    calm = watched("calm", planned=planned)
    fresh = trouble("fresh", type_="high_error_rate", begun=5 * MINUTE)
    assert lead(fresh, calm) is None
    calm_dependency = watched("db-calm", service="db")
    assert lead(fresh, calm_dependency, dependencies={"api": ["db"]}) is None


def test_what_was_folded_before_stays_folded_in_the_relapse_watch() -> None:
    calm = watched("calm")
    follower = trouble("follower", type_="high_error_rate", begun=MINUTE, leader=calm)
    assert lead(follower, calm) == ("calm", "SameService")


# Dependencies


def test_a_service_whose_dependency_is_broken_follows_it() -> None:
    down = trouble("down", service="db", begun=5 * MINUTE)
    assert lead(trouble("errors"), down, dependencies={"api": ["db"]}) == ("down", "DependencyDown")
    assert lead(down, trouble("errors"), dependencies={"api": ["db"]}) is None
    assert lead(trouble("errors"), down) is None


def test_the_dependency_may_be_far_away() -> None:
    chain = {"api": ["orders"], "orders": ["db"]}
    assert lead(trouble("errors"), trouble("down", service="db"), dependencies=chain) == ("down", "DependencyDown")


def test_a_dependency_that_is_itself_folded_still_explains_its_dependents() -> None:
    root = trouble("root", service="queue")
    folded = trouble("folded", service="db", leader=root)
    assert lead(trouble("errors"), folded, root, dependencies={"api": ["db"]}) == ("root", "DependencyDown")


def test_services_that_need_each_other_do_not_wait_for_each_other() -> None:
    circle = {"api": ["orders"], "orders": ["api"]}
    a, b = trouble("a"), trouble("b", service="orders", begun=MINUTE)
    assert lead(a, b, dependencies=circle) is None
    assert lead(b, a, dependencies=circle) is None


def test_a_service_that_needs_itself_does_no_harm() -> None:
    assert lead(trouble("a"), trouble("b", service="web"), dependencies={"api": ["api"], "web": ["web"]}) is None


def test_a_minor_incident_of_a_dependency_does_not_hide_an_outage() -> None:
    busy = trouble("busy", service="db", type_="resource_exhaustion", severity="medium", begun=-24 * 60 * MINUTE)
    outage = trouble("outage", severity="critical")
    assert lead(outage, busy, dependencies={"api": ["db"]}) is None


# A common dependency


NEEDS_DB = {"api": ["db"], "web": ["db"], "jobs": ["db"]}


def test_services_that_need_the_same_thing_and_break_together_are_one_trouble() -> None:
    one = trouble("one", found=UNKNOWN)
    two = trouble("two", service="web", begun=MINUTE, found=UNKNOWN)
    three = trouble("three", service="jobs", begun=2 * MINUTE, found=UNKNOWN)
    assert lead(one, two, three, dependencies=NEEDS_DB) is None
    assert lead(two, one, three, dependencies=NEEDS_DB) == ("one", "CommonDependency")
    assert lead(three, one, two, dependencies=NEEDS_DB) == ("one", "CommonDependency")


@pytest.mark.parametrize(
    "other",
    [
        {"found": None},
        {"found": SURGE},
        {"found": BAD_REVISION},
        {"type_": "high_error_rate"},
        {"begun": -TOGETHER - MINUTE},
        {"service": "alone"},
    ],
    ids=["not classified", "cause of its own", "new revision", "other type", "long ago", "needs something else"],
)
def test_services_that_only_seem_to_share_a_cause_lead_themselves(other: dict[str, Any]) -> None:
    first = trouble("first", **{"service": "web", "found": UNKNOWN, "begun": -MINUTE, **other})
    assert lead(trouble("second", found=UNKNOWN), first, dependencies=NEEDS_DB) is None


def test_a_dependency_never_follows_its_dependent_because_both_need_a_third() -> None:
    """api needs orders and db, orders needs db: api's trouble comes from orders, whichever was seen first."""
    needs = {"api": ["orders", "db"], "orders": ["db"]}
    dependent = trouble("dependent", found=UNKNOWN)
    dependency = trouble("dependency", service="orders", begun=MINUTE, found=UNKNOWN)
    assert lead(dependency, dependent, dependencies=needs) is None
    assert lead(dependent, dependency, dependencies=needs) == ("dependency", "DependencyDown")


def test_when_a_follower_becomes_the_worse_one_nobody_is_left_without_a_leader() -> None:
    leader = trouble("leader", service="web", begun=-MINUTE, found=UNKNOWN)
    risen = trouble("risen", severity="critical", found=UNKNOWN, leader=leader)
    assert lead(leader, risen, dependencies=NEEDS_DB) is None
    assert lead(risen, leader, dependencies=NEEDS_DB) is None
    free = trouble("risen", severity="critical", found=UNKNOWN)
    assert lead(leader, free, dependencies=NEEDS_DB) == ("risen", "CommonDependency")


# Whatever the incidents and dependencies are


SERVICES = ("a", "b", "c", "d")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Incident], Dependencies]:
    """A few open incidents, one of each service and type at most, and what depends on what, circles included."""
    services = [*SERVICES, "db"]
    dependencies = {s: draw(st.lists(st.sampled_from(services), max_size=2, unique=True)) for s in SERVICES}
    kinds = st.tuples(
        st.sampled_from(SERVICES), st.sampled_from(["service_down", "high_error_rate", "data_corruption"])
    )
    chosen = draw(st.lists(kinds, min_size=2, max_size=6, unique=True))
    incidents = [
        trouble(
            f"i{number}",
            service=service,
            type_=type_,
            begun=draw(st.integers(-3, 3)) * MINUTE,
            planned=draw(st.integers(0, 5)) == 0,
            severity=draw(st.sampled_from(["medium", "high", "critical"])),
            found=draw(st.sampled_from([UNKNOWN, UNKNOWN, SURGE, None])),
        )
        for number, (service, type_) in enumerate(chosen)
    ]
    return incidents, dependencies


def folded(one: Incident, suppression: Suppression | None) -> Incident:
    """The incident after a pass."""
    phase = IncidentPhase.SUPPRESSED if suppression else IncidentPhase.CLASSIFIED
    status: IncidentStatus = one.status.model_copy(
        update={"phase": phase, "leader": suppression.leader if suppression else None}
    )
    return one.model_copy(update={"status": status})


def leads(one: Incident) -> bool:
    return one.status.phase is not IncidentPhase.SUPPRESSED


def ends_at_a_leader(one: Incident, incidents: Iterable[Incident]) -> bool:
    """Whether the links from this incident end at one that is not suppressed."""
    by_uid = {i.metadata.uid: i for i in incidents}
    seen: set[str] = set()
    while not leads(one):
        assert one.status.leader
        if one.metadata.uid in seen or one.status.leader.uid not in by_uid:
            return False
        seen.add(one.metadata.uid)
        one = by_uid[one.status.leader.uid]
    return True


@given(worlds())
def test_no_two_incidents_fold_each_other_even_when_they_look_at_the_same_moment(
    world: tuple[list[Incident], Dependencies],
) -> None:
    incidents, dependencies = world
    found = {i.metadata.uid: find_leader(i, incidents, dependencies) for i in incidents}
    links = {uid: s.leader.uid for uid, s in found.items() if s}
    assert all(links.get(links[uid]) != uid for uid in links)
    assert all(uid != leader for uid, leader in links.items())


@given(world=worlds(), data=st.data())
def test_following_the_links_always_ends_at_an_incident_that_leads(
    world: tuple[list[Incident], Dependencies], data: st.DataObject
) -> None:
    """Passes one after the other in any order, incidents that end or grow worse in between included."""
    incidents, dependencies = world
    for _ in range(data.draw(st.integers(1, 12))):
        if not incidents:
            return
        index = data.draw(st.integers(0, len(incidents) - 1))
        one = incidents[index]
        if data.draw(st.integers(0, 9)) == 0:
            incidents = [i for i in incidents if i is not one]
            incidents = [folded(i, find_leader(i, incidents, dependencies)) for i in incidents if not leads(i)] + [
                i for i in incidents if leads(i)
            ]
            continue
        if data.draw(st.integers(0, 3)) == 0:
            one = one.model_copy(update={"spec": one.spec.model_copy(update={"severity": Severity.CRITICAL})})
            incidents[index] = one
            continue
        incidents[index] = folded(one, find_leader(one, incidents, dependencies))
        assert ends_at_a_leader(incidents[index], incidents)
    assert any(leads(i) for i in incidents) or not incidents


@given(world=worlds(), order=st.randoms(use_true_random=False))
def test_after_a_few_passes_nothing_changes_any_more(world: tuple[list[Incident], Dependencies], order: Any) -> None:
    incidents, dependencies = world
    for _ in range(8):
        before = list(incidents)
        numbers = list(range(len(incidents)))
        order.shuffle(numbers)
        for number in numbers:
            incidents[number] = folded(incidents[number], find_leader(incidents[number], incidents, dependencies))
        if [i.status.leader for i in before] == [i.status.leader for i in incidents]:
            break
    else:
        pytest.fail("leaders change for ever")
    assert all(ends_at_a_leader(i, incidents) for i in incidents)


@given(worlds())
def test_plans_and_corrupted_data_always_lead(world: tuple[list[Incident], Dependencies]) -> None:
    incidents, dependencies = world
    for one in incidents:
        if one.status.plans or one.spec.type == "data_corruption":
            assert find_leader(one, incidents, dependencies) is None
