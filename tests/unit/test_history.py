from collections.abc import Iterable
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.history import MAX_SIGNATURE, IncidentRecord, Outcome
from bokgu.api.incident import EvidenceItem, SimilarIncidents
from bokgu.api.meta import NameReference
from bokgu.api.vocabulary import IncidentType, OperationPhase, PlanPhase, RootCause
from bokgu.core.history import build_record, build_signature, find_similar, rank_similar
from bokgu.core.track_record import TrackRecord, track_records
from tests.unit.facts import DIGEST, MINUTE, NOW, PLAN_UID, incident
from tests.unit.history_facts import finished_plan, record, records, resolved

SURGE = RootCause.TRAFFIC_SURGE


def similar(others: Iterable[IncidentRecord], cause: RootCause = SURGE, *facts: str) -> SimilarIncidents:
    evidence = [EvidenceItem(source="FilterLogEvents", fact=fact) for fact in facts]
    return find_similar(incident(), cause, evidence, others)


# What is kept


def test_a_record_says_what_was_wrong_what_was_done_and_how_long_it_took() -> None:
    kept = build_record(resolved(), [finished_plan()], "staging")
    assert (kept.environment, kept.service, kept.root_cause) == ("staging", "api", "TrafficSurge")
    assert (kept.outcome, kept.resolution_minutes) == (Outcome.RECOVERED, "15")
    assert kept.resolved_at == NOW
    (plan,) = kept.plans
    assert (plan.id, plan.runbook, plan.outcome) == (PLAN_UID, "traffic-surge", PlanPhase.COMPLETED)
    assert [s.action for s in plan.steps] == ["health_check", "scale_out"]
    assert [(m.name, m.value, m.after) for m in plan.metrics] == [("error_rate", "0.37", "0.01")]
    assert IncidentRecord.model_validate(kept.to_dict()) == kept


def test_the_relapse_watch_is_no_part_of_how_long_a_recovery_took() -> None:
    assert build_record(resolved(mitigatedAt=NOW - 12 * MINUTE), [], "production").resolution_minutes == "8"
    assert build_record(resolved(mitigatedAt=None), [], "production").resolution_minutes == "20"


def test_an_incident_that_ended_before_it_began_does_no_harm() -> None:
    odd = build_record(resolved(mitigatedAt=NOW - 90 * MINUTE), [], "production")
    assert odd.resolution_minutes == "0"
    assert similar([odd.model_copy(update={"id": "odd"})]).median_resolution == "0s"


def test_of_a_plan_that_is_gone_the_incident_says_what_is_known() -> None:
    (plan,) = build_record(resolved(outcome="Failed"), [], "production").plans
    assert (plan.outcome, plan.root_cause, plan.runbook, plan.steps) == (PlanPhase.FAILED, "TrafficSurge", None, ())


@pytest.mark.parametrize(
    ("reason", "plan", "outcome"),
    [
        ("Recovered", "Completed", Outcome.RECOVERED),
        ("Cleared", "Completed", Outcome.RELAPSED),
        ("Cleared", "Failed", Outcome.CLEARED),
        ("Cleared", None, Outcome.CLEARED),
    ],
)
def test_the_outcome_tells_recovery_from_relapse(reason: str, plan: str | None, outcome: Outcome) -> None:
    assert build_record(resolved(reason, outcome=plan), [], "production").outcome == outcome


def relapsed(reason: str, *, next_one: str = "Completed") -> IncidentRecord:
    """The record of an incident whose first plan completed and did not end it."""
    first = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "startedAt": NOW - 30 * MINUTE}
    entries = [
        {**first, "outcome": "Completed", "relapsedAt": NOW - 16 * MINUTE},
        {**first, "name": "plan-2", "uid": "uid-2", "startedAt": NOW - 15 * MINUTE, "outcome": next_one},
    ]
    earlier, later = finished_plan(), finished_plan(next_one)
    meta = later.metadata.model_copy(update={"name": "plan-2", "uid": "uid-2"})
    more = later.spec.model_copy(update={"runbook_ref": NameReference(name="traffic-surge-more")})
    later = later.model_copy(update={"metadata": meta, "spec": more})
    return build_record(resolved(reason, plans=entries), [earlier, later], "production")


def test_of_several_plans_only_the_one_that_ended_the_incident_has_helped() -> None:
    kept = relapsed("Recovered")
    assert kept.outcome == Outcome.RECOVERED
    found = {runbook: known for (runbook, _, _), known in track_records([kept]).items()}
    assert found == {"traffic-surge": TrackRecord(0, 1), "traffic-surge-more": TrackRecord(1, 1)}


def test_where_none_of_several_plans_ended_the_incident_it_has_relapsed() -> None:
    kept = relapsed("Cleared", next_one="Expired")
    assert kept.outcome == Outcome.RELAPSED
    found = {runbook: known for (runbook, _, _), known in track_records([kept]).items()}
    assert found["traffic-surge"] == TrackRecord(0, 1)


def test_an_incident_that_is_open_is_escalated_and_took_no_time_yet() -> None:
    open_ = build_record(resolved(phase="Escalated", resolvedAt=None), [], "production")
    assert (open_.outcome, open_.resolution_minutes, open_.resolved_at) == (Outcome.ESCALATED, None, None)


def test_an_undone_step_is_marked() -> None:
    done = finished_plan("RolledBack")
    undone = done.status.steps[1].model_copy(update={"rollback": done.status.steps[1]})
    status = done.status.model_copy(update={"steps": (done.status.steps[0], undone)})
    (plan,) = build_record(resolved(), [done.model_copy(update={"status": status})], "production").plans
    assert [(s.undone, s.status) for s in plan.steps] == [
        (False, OperationPhase.COMPLETED),
        (True, OperationPhase.COMPLETED),
    ]


def test_evidence_is_compared_by_words_that_mean_something() -> None:
    one = EvidenceItem(
        source="FilterLogEvents", fact="2026-11-24 connection to orders-db.internal:5432 timed out: web-7"
    )
    two = EvidenceItem(
        source="FilterLogEvents", fact="2026-12-01 connection to users-db.internal:5433 timed out: web-9"
    )
    assert build_signature([one], "", "api") == build_signature([two], "", "api")
    assert build_signature([one], "", "api") == ("@filterlogevents", "connection", "timed")


@given(st.lists(st.text(max_size=300), max_size=20), st.text(max_size=500))
def test_a_signature_is_bounded_and_fits_the_record(facts: list[str], description: str) -> None:
    found = build_signature([EvidenceItem(source="Logs", fact=fact) for fact in facts], description, "api")
    assert len(found) <= MAX_SIGNATURE
    assert record(signature=found).signature == tuple(sorted(set(found)))


def test_of_very_much_evidence_the_first_words_are_kept() -> None:
    words = [f"{a}{b}word" for a in "abcdefghij" for b in "abcdefghij"]
    found = build_signature([EvidenceItem(source="Logs", fact=" ".join(words[:30]))], " ".join(words[30:]), "api")
    assert set(found) == {"@logs", *words[: MAX_SIGNATURE - 1]}


# What is similar


def test_similar_incidents_share_type_and_cause_and_are_over() -> None:
    found = similar(
        [
            record("same"),
            record("other-service", service="web", ago=1),
            record("newer", ago=60, minutes=30),
            record("open", resolved_at=None),
            record("unclassified", root_cause=None),
            record("other-cause", root_cause=RootCause.OUT_OF_MEMORY),
            record(incident().metadata.uid),
        ]
    )
    assert found.names == ("newer", "same", "other-service")
    assert (found.count, found.median_resolution) == (3, "10m")


def test_the_same_cause_on_the_same_service_is_similar_whatever_its_type() -> None:
    down = record("down", type=IncidentType.SERVICE_DOWN)
    assert similar([down, record("elsewhere", type=IncidentType.SERVICE_DOWN, service="web")]).names == ("down",)


def test_evidence_decides_between_equals() -> None:
    timed_out = record("pool", signature=("@filterlogevents", "exhausted", "pool"), ago=900)
    newer = record("memory", signature=("@filterlogevents", "heap", "memory"), ago=1)
    assert similar([newer, timed_out], SURGE, "pool exhausted").names == ("pool", "memory")
    assert similar([newer, timed_out], SURGE, "heap memory").names == ("memory", "pool")


def test_an_unknown_cause_in_common_is_nothing_in_common() -> None:
    unknown = record("a", root_cause=RootCause.UNKNOWN)
    assert similar([unknown], RootCause.UNKNOWN).count == 0
    alike = unknown.model_copy(update={"signature": ("@filterlogevents", "exhausted", "pool")})
    assert similar([alike], RootCause.UNKNOWN, "pool exhausted").count == 1


def test_names_are_bounded_and_could_be_names_of_objects() -> None:
    found = similar([record(f"i{i}") for i in range(30)])
    assert (found.count, len(found.names)) == (30, 10)
    assert similar([record("INC-7", name=""), record("x" * 255, name="")]).names == ()


def test_of_two_records_of_one_incident_the_fuller_one_counts() -> None:
    full = record("a", signature=("@filterlogevents", "exhausted", "pool"))
    for order in ([record("a"), full], [full, record("a")]):
        assert rank_similar(incident(), SURGE, (), order) == (full,)


@given(st.lists(records(), max_size=8), st.sampled_from(RootCause), st.randoms(use_true_random=False))
def test_ranking_is_deterministic_and_the_result_valid(
    others: list[IncidentRecord], cause: RootCause, random: Random
) -> None:
    ranked = rank_similar(incident(), cause, (), others)
    shuffled = list(others)
    random.shuffle(shuffled)
    assert rank_similar(incident(), cause, (), shuffled) == ranked
    found = similar(others, cause)
    assert SimilarIncidents.model_validate(found.to_dict()) == found
    assert found.count == len(ranked) <= len(others)


@given(records())
def test_more_in_common_is_never_less_alike(other: IncidentRecord) -> None:
    same = other.model_copy(
        update={"type": IncidentType.HIGH_ERROR_RATE, "service": "api", "root_cause": SURGE, "detected_at": NOW}
    )
    older = other.model_copy(update={"id": "older", "detected_at": NOW - timedelta(days=900)})
    assert rank_similar(incident(), SURGE, (), [older, same])[0] in {same}
