"""Alerts in words: both languages, own templates, and nothing secret."""

from pathlib import Path
from typing import Any

import pytest

from bokgu.alerts.texts import load_templates, load_words
from bokgu.api.outbox import Addressee, Alert
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import AlertKind, IncidentType, Language, Severity
from bokgu.core.alerts.text import (
    FIELDS,
    Letter,
    Texts,
    check_template,
    describe_alert,
    describe_namespace_alert,
    write_letter,
)
from tests.unit.facts import NOW, classification, incident, plan, scale_out

REQUEST = "apiVersion: bokgu.dev/v1alpha1\nkind: PlanApproval\nspec:\n  signature: YOUR-SIGNATURE\n"
SECRET = "DB_PASSWORD=hunter2-and-more"


def alert(kind: AlertKind, **fields: Any) -> Alert:
    to = (Addressee(receiver="team", language=Language.EN),)
    return Alert(number=1, kind=kind, at=NOW, to=to, **fields)


def texts(**own: str) -> Texts:
    return Texts(load_templates(), load_words(), own)


def write(
    kind: AlertKind,
    language: Language = Language.EN,
    of: RecoveryPlan | None = None,
    own: dict[str, str] | None = None,
    **fields: Any,
) -> Letter:
    one = alert(kind, **fields)
    known = classification(evidence=[{"source": "GetLogEvents", "fact": f"failed {SECRET} " + "x" * 250}])
    about = incident(severity="high", status={"classification": known.to_dict()}, description="12 % of requests fail")
    values = describe_alert(one, about, of, "production", load_words()[language])
    return write_letter(one, language, values, texts(**(own or {})))


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_words_in_every_language(kind: AlertKind, language: Language) -> None:
    letter = write(kind, language, plan(scale_out()), plan="api-1", step="scale", message="what happened", count=3)
    assert letter.title
    assert letter.problem is None
    assert "{" not in letter.title + letter.body
    check_template(load_templates()[f"{language}.{kind}"])


def test_both_languages_have_the_same_words() -> None:
    english, korean = (load_words()[language] for language in Language)
    assert english.keys() == korean.keys()
    assert {*IncidentType, *Severity} <= english.keys()


def test_the_korean_words() -> None:
    assert "높은 에러율 감지" in write(AlertKind.INCIDENT_DETECTED, Language.KO).title
    assert "인시던트 해결" in write(AlertKind.INCIDENT_RESOLVED, Language.KO).title
    assert "복구 단계 실패" in write(AlertKind.STEP_FAILED, Language.KO, step="scale").title
    completed = write(AlertKind.RECOVERY_COMPLETED, Language.KO)
    assert "복구 계획 실행 완료" in completed.title
    assert "모든 복구 단계가 성공적으로 완료되었습니다." in completed.body


def test_an_approval_request_has_the_manifest_and_what_happens_without_it() -> None:
    waiting = plan(scale_out(), status={"approvalRequest": REQUEST}, ifNothingIsDone="Errors go on at 12 %.")
    body = write(AlertKind.APPROVAL_NEEDED, of=waiting, plan=waiting.metadata.name).body
    assert REQUEST.strip() in body
    assert "If nothing is done: Errors go on at 12 %." in body
    over = write(AlertKind.APPROVAL_NEEDED, of=plan(scale_out()), plan="api-1").body
    gone = write(AlertKind.APPROVAL_NEEDED, plan="api-1").body
    assert all("It waits for nobody any more." in text for text in (over, gone))


def test_quoted_lines_are_redacted_and_cut() -> None:
    body = write(AlertKind.ESCALATED, message=f"last words: {SECRET} {'y' * 100}").body
    assert "hunter2" not in body
    assert "[redacted]" in body
    assert max(len(line) for line in body.splitlines()) <= 300 + len("- GetLogEvents: ")


def test_who_has_spoken_is_told_and_nobody_else() -> None:
    def spoken(name: str, **fields: Any) -> dict[str, Any]:
        body = {"role": "admin", "approver": name, "decision": "Approve", "at": NOW}
        return {**body, "ref": name[:3], "uid": name[:3], "reason": "Accepted", **fields}

    counts = spoken("alice@example.com", verifiedBy="Signed")
    status = {"approvals": [counts, spoken("mallory@example.com")]}
    message = f"alice@example.com overrides admin: ask bob@example.com or mallory@example.com {SECRET}"
    body = write(AlertKind.OVERRIDE, of=plan(scale_out(), status=status), message=message).body
    assert "alice@example.com overrides admin: ask [redacted] or [redacted]" in body
    assert "hunter2" not in body


def test_what_happens_without_an_approval_is_redacted_too() -> None:
    body = write(AlertKind.APPROVAL_NEEDED, of=plan(scale_out(), ifNothingIsDone=f"It stays so. {SECRET}")).body
    assert "It stays so." in body
    assert "hunter2" not in body


@pytest.mark.parametrize(
    ("severity", "impact", "language", "shown"),
    [
        ("high", "high", Language.EN, "[HIGH] Incident resolved: api"),
        ("high", "medium", Language.EN, "[HIGH] Incident resolved: api"),
        ("high", "critical", Language.EN, "[HIGH, impact CRITICAL] Incident resolved: api"),
        ("low", "high", Language.KO, "[낮음, 영향 높음] 인시던트 해결: api"),
    ],
)
def test_the_severity_is_that_of_the_incident_and_a_worse_impact_stands_beside_it(
    severity: str, impact: str, language: Language, shown: str
) -> None:
    known = classification(impactLevel=impact).to_dict()
    about = incident(severity=severity, status={"phase": "Resolved", "classification": known})
    one = alert(AlertKind.INCIDENT_RESOLVED, message="Cleared: the trouble went away without a plan of ours")
    values = describe_alert(one, about, None, "production", load_words()[language])
    letter = write_letter(one, language, values, texts())
    assert letter.title == shown
    assert "Cleared: the trouble went away" in letter.body


def test_a_line_without_any_value_is_left_out() -> None:
    letter = write(AlertKind.INCIDENT_DETECTED)
    assert "Occurrences" not in letter.body
    assert "Environment: production" in letter.body


def test_values_are_never_read_as_templates() -> None:
    assert "{manifest}" in write(AlertKind.STEP_FAILED, message="{manifest}", step="scale").body


def test_own_templates_go_first() -> None:
    letter = write(AlertKind.STEP_FAILED, own={"en.StepFailed": "Oh no: {step}\n\nSee {incident}."}, step="scale")
    assert letter == Letter("Oh no: scale", f"See {incident().metadata.name}.")


@pytest.mark.parametrize(
    "broken", ["{password}", "an open { brace", "closed }", "", " \n ", "{step.__class__}", "x" * 9000]
)
def test_a_broken_template_gives_way_to_the_built_in_one_and_says_so(broken: str) -> None:
    letter = write(AlertKind.STEP_FAILED, own={"en.StepFailed": broken}, step="scale")
    assert letter.title == write(AlertKind.STEP_FAILED, step="scale").title
    assert letter.problem is not None
    assert letter.problem in letter.body
    assert "en.StepFailed" in letter.problem


def test_a_namespace_is_told_of_without_an_incident() -> None:
    one = alert(AlertKind.STORM, message="7 incidents at once")
    letter = write_letter(one, Language.EN, describe_namespace_alert(one, "shop", load_words()[Language.EN]), texts())
    assert letter.title == "Storm of incidents in shop"
    assert "7 incidents at once" in letter.body


def test_every_field_is_one_that_somebody_fills_in() -> None:
    filled = describe_alert(
        alert(AlertKind.STEP_FAILED), incident(), plan(scale_out()), None, load_words()[Language.EN]
    ).keys() | {"count"}
    assert filled == FIELDS


def test_the_page_names_all_kinds_and_fields() -> None:
    page = (Path(__file__).parents[2] / "docs/alerts.md").read_text()
    assert [kind for kind in AlertKind if f"| `{kind}` |" not in page] == []
    assert [field for field in sorted(FIELDS) if f"`{field}`" not in page] == []
