"""What today's rules make of incidents of the past."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from bokgu.__main__ import main
from bokgu.api.history import HistoryError, IncidentRecord, PlanRecord
from bokgu.api.meta import Resource
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import IncidentType, PlanPhase, RootCause
from bokgu.api.vocabulary import Verdict as StepVerdict
from bokgu.commands.page import WIDTH
from bokgu.commands.replay_cases import read_cases, read_past
from bokgu.commands.replays import Replays, build_replays, collect_replays, describe_replays
from bokgu.commands.replays_text import format_replays
from bokgu.core.hindsight import Label, Verdict
from bokgu.core.replay import NOT_KEPT, Past, Replay, Rules, replay, replay_all
from bokgu.kube.client import KubeError
from bokgu.runbooks import load_builtin_runbooks
from tests.diagnosis.corpus import FOLDER
from tests.unit.facts import INCIDENT_UID, MINUTE, NOW, classification, incident, policies, protected_service, runbook
from tests.unit.history_facts import finished_plan, plan_record, record, resolved, step
from tests.unit.test_plan_incident import Past as Past_

TODAY = Rules(load_builtin_runbooks())
ROLLBACK = "rollback_to_previous_version"


def services(**spec: Any) -> dict[str, ProtectedService]:
    allowed = {"allowedActions": ["scale_out", "service_restart", ROLLBACK]}
    return {"api": protected_service(**{**allowed, **spec})}


def past(*plans: PlanRecord, **fields: Any) -> Past:
    return Past(record("a", *plans, **fields), "history")


def run(one: Past, rules: Rules = TODAY, *others: IncidentRecord) -> Replay:
    return replay(one, rules, others)


# What would be planned


def test_the_same_rules_agree() -> None:
    found = run(past(plan_record()))
    assert (found.verdict, found.because, found.runbook) == (Verdict.AGREED, "the same", "traffic-surge")
    assert [str(action) for action in found.actions] == ["scale_out"]
    assert found.approvals == ("system_admin", "service_owner")
    assert found.cause is None, "the evidence is not kept"
    assert any("the evidence is not kept" in text for text in found.unknown)
    assert set(NOT_KEPT) <= set(found.unknown)


def test_no_plan_then_and_none_now_is_the_same() -> None:
    found = run(past(root_cause=RootCause.DEPENDENCY_FAILURE, outcome="Escalated"))
    assert (found.verdict, found.runbook) == (Verdict.AGREED, None)
    assert found.no_plan is not None
    assert found.no_plan.reason == "NoSafeAction"


def test_a_runbook_of_the_namespace_that_is_better_placed_is_planned_now() -> None:
    rules = Rules((*TODAY.runbooks, runbook("ours", rootCauses=["TrafficSurge"], priority=100)))
    found = run(past(plan_record()), rules)
    assert (found.runbook, found.verdict) == ("ours", Verdict.WORSE)
    assert found.because == "traffic-surge helped, and ours would be planned"


def test_the_cause_is_that_of_the_first_plan_though_another_was_told_later() -> None:
    first, second = plan_record(PlanPhase.FAILED, id="1"), plan_record(id="2", runbook="bad-deployment")
    found = run(past(first, second, root_cause=RootCause.BAD_DEPLOYMENT))
    assert (found.cause_then, found.runbook) == ("TrafficSurge", "traffic-surge")


def test_a_runbook_that_needed_traits_is_found_again_though_they_are_not_kept() -> None:
    made = plan_record(runbook="out-of-memory-leaking", root_cause="OutOfMemory", steps=(step("service_restart"),))
    found = run(
        past(made, root_cause="OutOfMemory", new_revision_at_fault=False, type=IncidentType.RESOURCE_EXHAUSTION)
    )
    assert (found.runbook, found.verdict) == ("out-of-memory-leaking", Verdict.AGREED)
    assert any("taken to show Leaking, as its plan needed" in text for text in found.unknown)


def test_an_incident_that_is_still_in_the_cluster_has_its_confidence() -> None:
    unsure = classification(confidence="low")
    found = run(Past(record("a", plan_record()), "cluster", told=unsure))
    assert found.runbook is None
    assert found.no_plan is not None
    assert found.no_plan.reason == "NotSure"
    assert found.verdict is Verdict.WORSE


def test_a_cause_in_the_words_of_another_system_is_said_and_not_guessed() -> None:
    found = run(past(root_cause="gremlins", outcome="fixed"))
    assert found.no_plan is not None
    assert found.no_plan.reason == "CauseNotKnown"
    assert "gremlins" in found.no_plan.message


def failed(number: int, *, ago: int) -> IncidentRecord:
    tried = plan_record(PlanPhase.FAILED, id=f"p{number}", started_at=NOW - (ago + 5) * MINUTE)
    return record(f"r{number}", tried, ago=ago, outcome="Escalated")


def test_a_runbook_gives_way_by_what_was_known_then_and_not_by_what_came_later() -> None:
    here = past(plan_record(PlanPhase.FAILED), outcome="Escalated")
    before = [failed(number, ago=1000 + number * 100) for number in range(3)]
    after = [failed(number, ago=100 + number * 10) for number in range(3)]
    found = run(here, TODAY, *before)
    assert found.runbook != "traffic-surge"
    assert found.gave_way[0].because.reason == "DidNotHelpHere"
    assert run(here, TODAY, *after).runbook == "traffic-surge"
    assert run(here, TODAY, *(one.model_copy(update={"service": "other"}) for one in before)).runbook == "traffic-surge"


# What would hold it


def test_mode_and_allowed_actions_are_those_of_today() -> None:
    assert run(past(plan_record()), Rules(TODAY.runbooks, services())).held == ()
    proposed = run(past(plan_record()), Rules(TODAY.runbooks, services(mode="Propose")))
    assert ([held.gate for held in proposed.held], proposed.runbook) == (["Mode"], "traffic-surge")
    observed = run(past(plan_record()), Rules(TODAY.runbooks, services(mode="Observe")))
    assert observed.no_plan is not None
    assert observed.no_plan.reason == "ObserveOnly"
    closed = run(past(plan_record()), Rules(TODAY.runbooks, services(allowedActions=[ROLLBACK])))
    assert closed.no_plan is not None
    assert closed.no_plan.reason == "ActionNotAllowed"


def test_change_windows_are_asked_at_the_moment_of_then() -> None:
    """It was detected at 21:50 UTC."""
    night = {"name": "night", "kind": "Deny", "schedule": "0 20 * * *", "duration": "8h", "timeZone": "UTC"}
    day = {**night, "name": "day", "schedule": "0 6 * * *"}
    assert past(plan_record()).record.detected_at.hour == 21
    for window, gates in ((night, ["WindowOpen"]), (day, [])):
        rules = Rules(TODAY.runbooks, services(), policies(windows=[window]).own.found)
        assert [held.gate for held in run(past(plan_record()), rules).held] == gates


def test_a_dry_run_is_said_and_so_are_the_roles_of_the_policy() -> None:
    policy = policies(dryRun=True, approvals=[{"name": "all", "roles": [{"name": "incident_commander"}]}]).own.found
    found = run(past(plan_record()), Rules(TODAY.runbooks, services(), policy))
    assert [held.gate for held in found.held] == ["DryRun"]
    assert "incident_commander" in found.approvals


def test_a_service_that_is_protected_no_more_is_said() -> None:
    found = run(past(plan_record(), service="gone"), Rules(TODAY.runbooks, services()))
    assert any("there is no ProtectedService gone any more" in text for text in found.unknown)
    assert found.held == ()


# Better or worse

OURS = Rules((*TODAY.runbooks, runbook("ours", rootCauses=["TrafficSurge"], priority=100)))
FAILED = plan_record(PlanPhase.FAILED, id="1")


@pytest.mark.parametrize(
    ("plans", "outcome", "verdict", "because"),
    [
        ((FAILED,), "Escalated", Verdict.BETTER, "traffic-surge was tried and did not help; ours would be planned"),
        ((FAILED, plan_record(id="2", runbook="ours")), "Recovered", Verdict.BETTER, "ours, which helped in the end"),
        ((FAILED, plan_record(id="2", runbook=None)), "Recovered", Verdict.WORSE, "a plan written by people helped"),
        (
            (plan_record(PlanPhase.REJECTED, started_at=None),),
            "Cleared",
            Verdict.BETTER,
            "people rejected traffic-surge",
        ),
        ((plan_record(PlanPhase.EXPIRED, started_at=None),), "Cleared", Verdict.UNCLEAR, "the trouble went away"),
        ((), "Escalated", Verdict.UNCLEAR, "whether ours would have helped is not known"),
        ((plan_record(runbook=None),), "Recovered", Verdict.BETTER, "ours would do what people wrote a plan for"),
        ((plan_record(runbook=None, steps=(step(ROLLBACK),)),), "Recovered", Verdict.WORSE, "without scale_out"),
        ((plan_record(PlanPhase.FAILED, runbook=None),), "Escalated", Verdict.UNCLEAR, "people wrote a plan"),
    ],
)
def test_what_came_of_it_then_tells_whether_today_is_better(
    plans: tuple[PlanRecord, ...], outcome: str, verdict: Verdict, because: str
) -> None:
    found = run(past(*plans, outcome=outcome), OURS)
    assert (found.runbook, found.verdict) == ("ours", verdict)
    assert because in found.because


def test_a_plan_that_nobody_knows_the_end_of_speaks_for_nothing() -> None:
    inconclusive = plan_record(PlanPhase.CANCELLED, verdict=StepVerdict.INCONCLUSIVE)
    assert run(past(inconclusive, outcome="Escalated"), OURS).verdict is Verdict.UNCLEAR


# Cases in files


def case(name: str) -> Past:
    return read_past(FOLDER / f"{name}.json")


def test_a_case_is_diagnosed_anew_and_held_against_what_an_expert_says() -> None:
    found = run(case("a001"))
    assert found.past.label == Label(("SecretOrConfigFailure", "BadDeployment"), ROLLBACK)
    assert (found.cause, found.verdict) == (RootCause.SECRET_OR_CONFIG_FAILURE, Verdict.AGREED)
    assert not any("the evidence is not kept" in text for text in found.unknown)


def test_no_labelled_case_is_worse_and_nine_of_ten_agree() -> None:
    """What is planned only where single tasks are bad is left open: their state is not in the files."""
    pasts, problems = read_cases(sorted(FOLDER.glob("*.json")))
    found = Replays(replay_all(pasts, TODAY))
    assert problems == ()
    assert found.counts[Verdict.WORSE] == found.counts[Verdict.BETTER] == 0
    assert found.counts[Verdict.AGREED] > 0.9 * len(pasts)


def test_a_case_that_has_its_record_tells_then_and_now(tmp_path: Path) -> None:
    raw = json.loads((FOLDER / "a001.json").read_text())
    kept = record("uid-1", plan_record(PlanPhase.FAILED, runbook="traffic-surge"), outcome="Escalated")
    path = tmp_path / "a001.json"
    path.write_text(json.dumps({**raw, "record": kept.to_dict()}))
    found = run(read_past(path))
    assert (found.cause_then, found.cause) == ("TrafficSurge", RootCause.SECRET_OR_CONFIG_FAILURE)
    assert found.verdict is Verdict.BETTER


# The cluster and its history


class Kube:
    """A namespace with these objects; `closed` kinds may not be listed."""

    def __init__(self, *objects: Resource, closed: str = "") -> None:
        self.objects, self.closed = objects, closed

    async def list(self, plural: str, namespace: str) -> AsyncIterator[dict[str, Any]]:
        if plural == self.closed:
            raise KubeError(403, "Forbidden", f"{plural} is forbidden")
        for one in self.objects:
            if one.plural == plural and one.metadata.namespace == namespace:
                yield json.loads(one.model_dump_json(by_alias=True, exclude_none=True))


def collected(kube: Kube, history: Past_, **asked: Any) -> Replays:
    wanted: dict[str, Any] = {"service": None, "since": None, **asked}
    return asyncio.run(collect_replays(cast(Any, kube), cast(Any, history), "shop", **wanted))


def test_what_is_in_the_cluster_counts_and_what_is_gone_from_it_comes_from_the_history() -> None:
    there = record(INCIDENT_UID, plan_record(), namespace="shop")
    history = Past_(there, record("old", plan_record(), ago=9000), record("other", namespace="elsewhere"))
    kube = Kube(resolved(), finished_plan(), protected_service(allowedActions=["scale_out"]))
    found = collected(kube, history)
    assert [(one.past.record.id, one.past.origin) for one in found.replays] == [
        (INCIDENT_UID, "cluster"),
        ("old", "history"),
    ]
    assert found.notes == ()
    here = found.replays[0]
    assert here.past.told is not None
    assert here.past.told.evidence, "the object has more than a record"


def test_an_incident_that_is_open_is_none_of_the_past() -> None:
    assert collected(Kube(incident(status={"phase": "Recovering"})), Past_()).replays == ()


def test_a_runbook_of_a_plan_that_is_gone_is_the_one_that_the_incident_names() -> None:
    one = resolved()
    plans = tuple(entry.model_copy(update={"runbook": "traffic-surge"}) for entry in one.status.plans)
    one = one.model_copy(update={"status": one.status.model_copy(update={"plans": plans})})
    (found,) = collected(Kube(one), Past_()).replays
    assert found.first_plan is not None
    assert found.first_plan.runbook == "traffic-surge"


def test_what_may_not_be_read_is_noted_and_the_rest_told() -> None:
    history = Past_(problem=HistoryError("AccessDenied", "ConfigMaps may not be read"))
    found = collected(Kube(resolved(), finished_plan(), closed="protectedservices"), history)
    assert len(found.replays) == 1
    assert [note.partition(":")[0] for note in found.notes] == [
        "ProtectedService objects may not be read by this account",
        "the history could not be read, so older incidents are missing",
    ]
    assert any("it was not asked for, or may not be read" in text for text in found.replays[0].unknown)
    with pytest.raises(KubeError):
        collected(Kube(closed="incidents"), Past_())


# The command


def told(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    assert main(["replay", *arguments]) == code
    out, err = capsys.readouterr()
    return out, err


def test_a_folder_is_replayed_without_a_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    found = json.loads(told(["-f", str(FOLDER), "-o", "json"], capsys)[0])
    assert found["summary"]["incidents"] == len(found["incidents"]) == len(list(FOLDER.glob("*.json")))
    assert sum(n for name, n in found["summary"].items() if name != "incidents") == found["summary"]["incidents"]
    one = next(i for i in found["incidents"] if i["name"] == "a001")
    assert one["now"]["actions"] == [ROLLBACK]
    assert one["then"] is None
    assert one["expert"] == {"causes": ["SecretOrConfigFailure", "BadDeployment"], "action": ROLLBACK}
    assert yaml.safe_load(told(["-f", str(FOLDER / "a001.json"), "-o", "yaml"], capsys)[0])["incidents"] == [one]
    text = told(["-f", str(FOLDER)], capsys)[0]
    assert "275 incidents: 253 agreed" in text
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_service_and_age_choose_what_is_told_and_not_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    name = json.loads(told(["-f", str(FOLDER / "a001.json"), "-o", "json"], capsys)[0])["incidents"][0]["service"]
    assert name == "invoice-mailer"
    for words, count in ((["--service", name], 1), (["--service", "none"], 0), (["--since", "1h"], 0)):
        found = json.loads(told(["-f", str(FOLDER / "a001.json"), "-o", "json", *words], capsys)[0])
        assert found["summary"]["incidents"] == count
    assert told(["-f", str(FOLDER / "a001.json"), "--since", "1h"], capsys)[0].startswith(" " * 12 + "no incidents")


def test_files_that_are_no_cases_are_named_and_the_others_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text("{")
    wrong = {"incident": {"type": "service_down", "detectedAt": "2026-01-01T00:00:00Z"}, "record": {"id": "x"}}
    (tmp_path / "record.json").write_text(json.dumps(wrong))
    (tmp_path / "good.json").write_text((FOLDER / "a001.json").read_text())
    out, err = told(["-f", str(tmp_path), "-o", "json"], capsys, 1)
    assert [one["name"] for one in json.loads(out)["incidents"]] == ["good"]
    assert f"{tmp_path / 'bad.json'}: not JSON" in err
    assert f"{tmp_path / 'record.json'}: record." in err
    assert told(["-f", str(tmp_path / "none")], capsys, 1)[1].startswith("bokgu: ")


@pytest.mark.parametrize("age", ["soon", "0d", "3w"])
def test_an_age_that_is_none_is_refused(age: str) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["replay", "--since", age])
    assert refused.value.code == 2


def test_what_changed_is_told_in_full_the_worst_first_and_nothing_moves_a_cursor() -> None:
    agreed, worse = (
        past(plan_record()),
        Past(record("b\x1b[2J", plan_record()), "history", told=classification(confidence="low")),
    )
    found = build_replays([agreed, worse], TODAY, ("a note", "a note"), service=None, since=NOW - timedelta(days=2))
    text = format_replays(found, colour=False)
    assert text.index("worse") < text.index("agreed")
    assert "then      TrafficSurge; plan from traffic-surge, Completed; Recovered" in text
    assert "2 incidents: 1 agreed, 1 changed (0 better, 1 worse, 0 unclear)" in text
    assert text.count("a note") == 1
    assert "\x1b" not in text
    assert "\x1b[31m" in format_replays(found, colour=True)
    described = describe_replays(found)
    assert described["summary"] == {"incidents": 2, "agreed": 1, "better": 0, "worse": 1, "unclear": 0}
