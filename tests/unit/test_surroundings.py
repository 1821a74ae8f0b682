"""What stands around a plan, found without looking at all there is."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident
from bokgu.api.protected_service import Recovery
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicySpec, StormLimit
from bokgu.core.approval.auto import recent_starts
from bokgu.core.breaker import judge_breaker
from bokgu.core.recoveries import list_recoveries
from bokgu.core.storm import find_storm
from bokgu.reconcile.surroundings import find_begun_lately, find_namespace_breaker, find_namespace_storm
from tests.unit.facts import NOW, incident, plan, protected_service
from tests.unit.test_approval_auto import begun, policy
from tests.unit.test_plan_incident import Past, context

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def opened(number: int, seconds: int) -> Incident:
    """An incident opened so many seconds ago."""
    one = incident()
    at = {"name": f"inc-{number}", "uid": f"uid-{number}", "creation_timestamp": NOW - seconds * SECOND}
    return one.model_copy(update={"metadata": one.metadata.model_copy(update=at)})


@given(st.lists(st.integers(-5, 90), max_size=30), st.integers(2, 8), st.integers(1, 20), st.integers(1, 20))
def test_s7_a_storm_is_found_as_from_all_incidents(
    seconds: list[int], threshold: int, window: int, cooldown: int
) -> None:
    limit = StormLimit(threshold=threshold, window=f"{window}s", cooldown=f"{cooldown}s")
    found = find_namespace_storm(
        context(Past(), *(opened(number, ago) for number, ago in enumerate(seconds))),
        "shop",
        RecoveryPolicySpec(storm=limit),
    )
    assert found == find_storm(
        [NOW - ago * SECOND for ago in seconds],
        threshold=threshold,
        window=window * SECOND,
        cooldown=cooldown * SECOND,
        now=NOW,
    )


def ended(number: int, minutes: int, phase: str) -> RecoveryPlan:
    """A recovery of a service of its own, over since so many minutes."""
    at = NOW - minutes * MINUTE
    status = {"phase": phase, "startedAt": at - MINUTE, "finishedAt": at}
    return plan(meta={"name": f"p-{number}", "uid": f"uid-{number}"}, serviceRef={"name": f"s-{number}"}, status=status)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 130), st.sampled_from(["Failed", "Completed"]), st.sampled_from(["plan", "service", "both"])
        ),
        max_size=10,
    ),
    st.integers(1, 4),
)
def test_s7_the_breaker_of_a_namespace_opens_as_from_all_recoveries(
    recoveries: list[tuple[int, str, str]], failures: int
) -> None:
    """Whether the plan is there, its ProtectedService remembers it, or that one has not heard of it yet."""
    limits = {"breaker": {"namespaceFailures": failures, "within": "60m"}}
    one_policy = policy().model_copy(update={"spec": RecoveryPolicySpec.model_validate(limits)})
    plans = [ended(number, ago, phase) for number, (ago, phase, _) in enumerate(recoveries)]
    objects: list[RecoveryPlan | object] = []
    for one, (_, _, where) in zip(plans, recoveries, strict=True):
        if where != "service":
            objects.append(one)
        if where == "plan":
            continue
        remembered = [recovery.to_dict() for recovery in list_recoveries((), [one], ())] if where == "service" else []
        meta = {"name": one.spec.service_ref.name, "uid": f"uid-of-{one.spec.service_ref.name}"}
        objects.append(protected_service(meta=meta, status={"recoveries": remembered}))
    known: tuple[Recovery, ...] = list_recoveries((), plans, ())
    expected = judge_breaker(None, known, failures=failures, within=60 * MINUTE, reset_at=None, now=NOW)
    assert find_namespace_breaker(context(Past(), one_policy, *objects), "shop", one_policy) == expected


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90), st.booleans()), max_size=8))
def test_s7_the_starts_of_an_hour_are_found_as_from_all_plans(starts: list[tuple[int, int, bool]]) -> None:
    plans = []
    for number, (ago, lasted, over) in enumerate(starts):
        one = begun(f"uid-{number}", "Auto", ago * MINUTE)
        end = {"phase": "Completed", "finishedAt": NOW - max(0, ago - lasted) * MINUTE} if over else {}
        status = {**one.status.to_dict(), **end}
        metadata = one.metadata.model_copy(update={"name": f"p-{number}"})
        plans.append(RecoveryPlan.model_validate({**one.to_dict(), "status": status, "metadata": metadata.to_dict()}))
    lately = find_begun_lately(context(Past(), *plans), "shop")
    found, expected = (recent_starts(policy(), some, hour=60 * MINUTE, now=NOW) for some in (lately, plans))
    assert {start.uid for start in found} == {start.uid for start in expected}
