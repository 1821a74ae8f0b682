import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml
from rich.console import Console

from bokgu.api.incident import Incident
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.commands.data import format_data
from bokgu.commands.live import LiveTable, build_table
from bokgu.commands.overview import Configuration, Entry, Overview, build_overview, describe_overview
from bokgu.commands.overview_text import format_overview, list_changes, list_gone
from bokgu.commands.watch import Lines, _interval
from bokgu.core.alerts.outbox import Undelivered
from bokgu.core.awaiting import Wait
from bokgu.core.holds import Hold
from bokgu.kube.client import KubeError
from tests.unit.facts import DIGEST, MINUTE, NOW, PLAN_UID, incident, metadata, plan, protected_service

NONE = Configuration((), ())
HOLD = Hold("shop", "namespace", "Paused", "nothing new begins", "take it out")
MISSED = Undelivered("pager", 2, NOW - 4 * MINUTE, "the receiver answers 403")
AWAY = KubeError(0, "Unreachable", "no route")


def named(name: str, *, status: dict[str, Any] | None = None, **spec: Any) -> Incident:
    return incident(meta=metadata(name, f"uid-{name}"), status=status or {"phase": "Detected"}, **spec)


def entry(name: str = "one", *, wait: Wait | None = None, status: dict[str, Any] | None = None, **spec: Any) -> Entry:
    return Entry(named(name, status=status, **spec), None, wait or Wait("AWS"))


def overview(*entries: Entry, **fields: Any) -> Overview:
    return Overview(entries, (), NOW, **fields)


# What is put together


def test_the_worst_comes_first_then_the_oldest() -> None:
    incidents = [
        named("late", severity="critical", detectedAt=NOW),
        named("mild", severity="low", detectedAt=NOW - 60 * MINUTE),
        named("early", severity="critical", detectedAt=NOW - MINUTE),
    ]
    found = build_overview(incidents, [], NONE, NOW)
    assert [e.incident.metadata.name for e in found.entries] == ["early", "late", "mild"]


def test_a_plan_belongs_to_the_incident_that_names_its_uid() -> None:
    status = {"phase": "AwaitingApproval", "plans": [{"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST}]}
    mine, other = plan(), plan(meta=metadata("plan-1", "another"))
    assert build_overview([named("one", status=status)], [other, mine], NONE, NOW).entries[0].plan is mine
    assert build_overview([named("one", status=status)], [other], NONE, NOW).entries[0].plan is None


def test_the_relapse_watch_is_that_of_the_service() -> None:
    status = {"phase": "Verifying", "reason": "RelapseWatch", "mitigatedAt": NOW - MINUTE}
    service = protected_service(detection={"relapseWatch": "10m"})
    found = build_overview([named("one", status=status)], [], Configuration((), (service,)), NOW)
    assert found.entries[0].wait.until == NOW + 9 * MINUTE


def test_who_is_told_in_vain_is_known_from_incidents_and_policies() -> None:
    outbox = {
        "last": 1,
        "alerts": [{"number": 1, "kind": "Storm", "at": NOW, "to": [{"receiver": "pager", "language": "en"}]}],
        "receivers": [{"name": "pager", "attempts": 2, "lastError": "the receiver answers 403"}],
    }
    told = named("one", status={"phase": "Detected", "outbox": outbox})
    body = {"metadata": metadata("default", "policy"), "spec": {}, "status": {"outbox": outbox}}
    policy = RecoveryPolicy.model_validate(body)
    around = Configuration((policy,), ())
    assert build_overview([told], [], around, NOW).undelivered == (replace(MISSED, since=NOW),)


# For people


def test_a_row_says_what_where_since_when_and_for_whom() -> None:
    wait = Wait("approval of plan plan-1", ("system_admin", "service_owner"), until=NOW + 50 * MINUTE)
    status = {"phase": "AwaitingApproval", "reason": "ApprovalsMissing"}
    heading, row = format_overview(overview(entry(wait=wait, status=status)), colour=False).splitlines()
    assert heading.split() == ["INCIDENT", "SERVICE", "SEVERITY", "PHASE", "AGE", "WAITS", "FOR"]
    assert " ".join(row.split()) == (
        "shop/one api high AwaitingApproval (ApprovalsMissing) 20m"
        " system_admin, service_owner: approval of plan plan-1, 50m left"
    )


def test_where_nothing_is_open_that_is_said_and_what_is_held_too() -> None:
    text = format_overview(replace(overview(notes=("one may not be read",)), holds=(HOLD,)), colour=False)
    assert text.splitlines() == [
        "no open incidents",
        "",
        "held",
        "  shop namespace: Paused: nothing new begins. To end it: take it out",
        "note: one may not be read",
    ]


def test_a_receiver_that_takes_nothing_is_told_beneath() -> None:
    text = format_overview(replace(overview(), undelivered=(MISSED,)), colour=False)
    assert text.splitlines()[1:] == [
        "",
        "alerts not delivered",
        "  receiver pager: 2 alerts, for 4m: the receiver answers 403",
    ]


def test_colours_are_shown_only_where_they_are_wanted() -> None:
    one = overview(entry(wait=Wait("a look", ("a person",)), severity="critical"))
    assert "\x1b[31mcritical" in format_overview(one, colour=True)
    assert "\x1b" not in format_overview(one, colour=False)


def test_nothing_that_is_quoted_moves_the_cursor() -> None:
    evil = Wait("\x1b[2J\u202eapproved", ("a person",))
    hold = replace(HOLD, message="\x1b[2J")
    missed = replace(MISSED, error="\x1b[2J")
    one = replace(overview(entry(wait=evil), notes=("\x1b[2J",)), holds=(hold,), undelivered=(missed,))
    shown = [format_overview(one, colour=False), format_data(describe_overview(one), "yaml")]
    shown.append(format_data(describe_overview(one), "json"))
    for text in [*shown, drawn(one)]:
        assert "\x1b" not in text
        assert "\u202e" not in text


# For programs


def test_data_hold_all_that_the_text_says() -> None:
    wait = Wait("approval", ("system_admin",), until=NOW, then="it expires", advice=("bokgu approve plan-1",))
    one = replace(overview(entry(wait=wait)), holds=(HOLD,), undelivered=(MISSED,))
    told = describe_overview(one)
    for data in (json.loads(format_data(told, "json")), yaml.safe_load(format_data(told, "yaml"))):
        (found,) = data["incidents"]
        assert (found["namespace"], found["name"], found["service"]) == ("shop", "one", "api")
        assert (found["severity"], found["phase"], found["since"]) == ("high", "Detected", "2026-11-24T07:40:00Z")
        assert found["waitsFor"] == {
            "what": "approval",
            "whom": ["system_admin"],
            "oneOf": False,
            "until": "2026-11-24T08:00:00Z",
            "then": "it expires",
            "advice": ["bokgu approve plan-1"],
        }
        assert data["holds"][0]["reason"] == "Paused"
        assert data["undelivered"] == [
            {"receiver": "pager", "waiting": 2, "since": "2026-11-24T07:56:00Z", "error": "the receiver answers 403"}
        ]


# What changes


def test_time_that_passes_is_no_change() -> None:
    one = entry(wait=Wait("AWS", until=NOW + MINUTE))
    assert list_changes([one], [one]) == []
    assert list_changes([], [one]) == [one]
    later = entry(wait=Wait("a person"))
    assert list_changes([one], [later]) == [later]
    assert list_gone([one], []) == [one]
    assert list_gone([one], [later]) == []


def test_a_line_is_printed_for_every_change_and_for_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    lines, one = Lines("text"), entry()
    for looked in (overview(), overview(one), overview(one), overview(entry(wait=Wait("a look", ("a person",))))):
        lines.show(looked, [])
    lines.show(overview(), [(one, "Resolved (Recovered)")])
    at = "2026-11-24T08:00:00Z"
    assert capsys.readouterr().out.splitlines() == [
        f"{at} no open incidents",
        f"{at} shop/one: high, Detected; waits for AWS",
        f"{at} shop/one: high, Detected; waits for a person: a look",
        f"{at} shop/one: Resolved (Recovered)",
    ]


def test_a_line_is_json_where_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("json")
    lines.show(overview(), [])
    lines.show(overview(entry()), [])
    lines.show(overview(), [(entry(), "deleted")])
    opened, gone = map(json.loads, capsys.readouterr().out.splitlines())
    assert (opened["name"], opened["waitsFor"]["what"]) == ("one", "AWS")
    assert gone == {"at": "2026-11-24T08:00:00Z", "namespace": "shop", "name": "one", "phase": "deleted"}


def test_a_change_is_a_yaml_document_where_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("yaml")
    lines.show(overview(entry()), [])
    lines.show(overview(), [(entry(), "deleted")])
    opened, gone = yaml.safe_load_all(capsys.readouterr().out)
    assert (opened["name"], opened["waitsFor"]["what"]) == ("one", "AWS")
    assert gone == {"at": "2026-11-24T08:00:00Z", "namespace": "shop", "name": "one", "phase": "deleted"}


def test_an_api_server_that_is_away_is_told_once_until_it_answers(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("text")
    for _ in range(2):
        lines.tell_trouble(AWAY)
    lines.show(overview(), [])
    lines.tell_trouble(AWAY)
    assert capsys.readouterr().err.count("does not answer") == 2


@pytest.mark.parametrize("text", ["0s", "2h", "soon"])
def test_an_interval_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(Exception, match=r"1s|not a duration"):
        _interval(text)
    assert _interval("5s") == timedelta(seconds=5)


# The table that is live


def drawn(one: Overview, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(build_table(one))
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def test_a_narrow_terminal_breaks_only_what_is_waited_for() -> None:
    wait = Wait("approval of plan plan-1 " + "and more " * 10, ("system_admin",))
    lines = drawn(overview(entry(wait=wait)), width=90).splitlines()
    assert len(lines) > 2
    assert [line.split()[0] for line in lines if line[:1].strip()] == ["INCIDENT", "shop/one"]


def test_the_live_table_says_where_it_is_from_and_when_it_is_not_of_now() -> None:
    table = LiveTable("shop", timedelta(seconds=2))
    table.live.console.file = output = io.StringIO()
    with table.live:
        table.show(overview(), [])
        table.show(overview(entry()), [])
        table.show(replace(overview(), undelivered=(MISSED,)), [(entry(), "Resolved (Cleared)")])
        table.tell_trouble(AWAY)
    text = output.getvalue()
    assert "shop/one: Resolved (Cleared)" in text
    for said in (
        "no open incidents",
        "shop at 2026-11-24T08:00:00Z, every 2s; Ctrl-C ends",
        "receiver pager",
        "does not answer",
    ):
        assert said in text
