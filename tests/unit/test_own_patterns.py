"""Patterns of people's own: which are taken, what they hide, and what they cannot cost."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.own_patterns import (
    DECIDED_ON,
    LONGEST_MATCH,
    LONGEST_PATTERN,
    LOOKED_AT,
    MAX_PATTERNS,
    BadPattern,
    OwnPatterns,
    compile_patterns,
)
from bokgu.api.redaction import REDACTED, redact_quote
from bokgu.config import BadSetting, read_settings
from bokgu.core.alertmanager import build_statement, parse_notification
from bokgu.core.ecs_messages import (
    CANNOT_MOVE,
    CANNOT_START,
    HEALTH,
    LOST_HOST,
    ROLLS_BACK,
    ROUTINE,
    STEADY,
    explain_start_failure,
)
from bokgu.core.event import parse_event
from bokgu.core.statement import Statement
from tests.unit.test_alertmanager import NOW, alert, body
from tests.world import events

CUSTOMER = r"\bCUST-\d{6,8}\b"


@pytest.mark.parametrize(
    ("pattern", "text", "hidden"),
    [
        (CUSTOMER, "order of CUST-123456 failed", "order of [redacted] failed"),
        (CUSTOMER, "order of XCUST-123456 failed", "order of XCUST-123456 failed"),
        (r"[A-Z]{2}\d{2,}-?[a-z]*", "seen AB12-xy and AB7", "seen [redacted] and AB7"),
        ("bluebird", "project bluebird is late", "project [redacted] is late"),
        (r"고객번호 ?\d+", "고객번호 4711 실패", "[redacted] 실패"),
        (r"acct\.[^ ]{1,20}", "acct.x/y-z is closed", "[redacted] is closed"),
        (r"\[user \d+\]", "see [user 42]", "see [redacted]"),
        (r"\b\d{10}\b", "of 4711471100", "of [redacted]"),
        (r"id=\d{3,}!", "id=1234! id=12!", "[redacted] id=12!"),
    ],
)
def test_matches_are_hidden(pattern: str, text: str, hidden: str) -> None:
    assert compile_patterns([pattern]).hide(text) == hidden


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a+)+b", "is not understood"),
        ("cust|acct", "write two patterns"),
        (r"(?i)cust-\d{6}", "is not understood"),
        (r"(\w)\1{4}", "is not understood"),
        (r"CUST-(?=\d)\d{6}", "is not understood"),
        ("^CUST-", "is not understood"),
        (r"CUST-\d{6}\Z", "is not understood"),
        ("CUST-[", "is not understood"),
        ("[z-a]{6}", "bad character range"),
        ("CUST-9{7,3}", "the second number is the smaller one"),
        ("CUST++", "is not understood"),
        ("A*", "must match 4 at least"),
        ("abc", "must match 4 at least"),
        ("", "must match 4 at least"),
        (r"x{500}\d+", "may match 512"),
        ("x" * (LONGEST_PATTERN + 1), "longer than 200"),
        (r"CUST-\w+\d", "may be the same character"),
        (r"CUST-\w+-?5", "may be the same character"),
        (r"CUST-[a-z.]+\b", r"leave \b out"),
        (r"\w{4,}", "which decisions rest on"),
        (r"[A-Z]{5,9}", "which decisions rest on"),
        ("rolling back", "which decisions rest on"),
        (r"ecs-svc/\d+", "which decisions rest on"),
    ],
)
def test_others_are_refused_and_the_error_says_why(pattern: str, why: str) -> None:
    with pytest.raises(BadPattern, match=re.escape(why)) as refused:
        compile_patterns(["fine-1234", pattern])
    assert str(refused.value).startswith("pattern 2, ")


def test_there_are_few() -> None:
    compile_patterns([CUSTOMER] * MAX_PATTERNS)
    with pytest.raises(BadPattern, match="17 patterns: 16 may be set"):
        compile_patterns([CUSTOMER] * (MAX_PATTERNS + 1))


@given(st.text(r"ab1-.\[](){}*+?|^$,dwsb:=!<", max_size=24))
def test_any_text_is_a_pattern_or_refused_in_words(pattern: str) -> None:
    try:
        own = compile_patterns([pattern])
    except BadPattern:
        return
    begun = time.process_time()
    for text in ("a" * 10_000, "1" * 10_000, "ab1-" * 2_500):
        own.hide(text)
    assert time.process_time() - begun < 1


PIECES = st.sampled_from(["a", "b", r"\d", r"\w", "[ab]", "[^a]", "-", r"\s"])
REPEATS = st.sampled_from(["", "?", "*", "+", "{2}", "{1,3}", "{2,}"])


@given(
    st.lists(st.tuples(PIECES, REPEATS), min_size=2, max_size=6),
    st.text("ab1- ", max_size=30),
)
def test_it_finds_what_the_same_regular_expression_finds(pieces: list[tuple[str, str]], text: str) -> None:
    pattern = "".join(atom + repeat for atom, repeat in pieces)
    try:
        own = compile_patterns([pattern])
    except BadPattern:
        return
    text = text.lstrip()
    assert own.hide(text) == re.sub(pattern, REDACTED, text)


def test_a_hostile_text_costs_little() -> None:
    """The worst: each place of the text begins what nearly matches."""
    own = compile_patterns([rf"{c}{{4}}[a-c]{{0,120}}[d-f]{{0,120}}[g-i]{{0,120}}!" for c in "abcd"] * 4)
    text = ("a" * 120 + "d" * 120 + "g" * 120) * 1000
    begun = time.process_time()
    own.hide(text)
    assert time.process_time() - begun < 1


def test_what_is_quoted_lies_within_what_is_looked_at() -> None:
    """A match that begins within the 1024 characters that a quote comes from ends within what is looked at."""
    assert LOOKED_AT >= 1024 + LONGEST_MATCH
    own = compile_patterns([CUSTOMER])
    for padding in (" " * 3000, "x " * 500, "\n" * 5000 + "x" * 200):
        assert "CUST" not in redact_quote(own.hide(f"{padding}CUST-123456 failed"))


def test_what_decisions_rest_on_is_recognised_in_the_samples() -> None:
    """The samples stand for the patterns of the diagnosis: each of these must see itself in one."""
    for pattern in (CANNOT_MOVE, CANNOT_START, HEALTH, LOST_HOST, ROLLS_BACK, ROUTINE, STEADY):
        assert any(pattern.search(message) for message in DECIDED_ON)
    assert len({explain_start_failure(message) for message in DECIDED_ON}) >= 7


def test_the_built_in_redaction_stays() -> None:
    own = compile_patterns([CUSTOMER])
    assert redact_quote(own.hide("CUST-123456 password=swordfish")) == "[redacted] password=[redacted]"
    assert OwnPatterns().hide("CUST-123456") == "CUST-123456"


def test_answers_are_hidden_in_what_they_say_for_people_only() -> None:
    own, moment = compile_patterns([CUSTOMER]), object()
    answer = {
        "services": [
            {"serviceName": "CUST-123456", "events": [{"message": "of CUST-123456", "createdAt": moment}]},
            {"deployments": [{"rolloutStateReason": "CUST-123456"}], "taskArns": ["CUST-123456"]},
        ],
        "failures": [],
    }
    assert own.hide_members(answer) == {
        "services": [
            {"serviceName": "CUST-123456", "events": [{"message": "of [redacted]", "createdAt": moment}]},
            {"deployments": [{"rolloutStateReason": REDACTED}], "taskArns": ["CUST-123456"]},
        ],
        "failures": [],
    }


def test_the_doors_hide_them() -> None:
    own = compile_patterns([CUSTOMER])
    event = events.alarm("cpu", metrics=[events.cpu_of("api")])
    event["detail"]["state"]["reason"] = "errors of CUST-123456"
    for sent in (event, events.wrap_by_sns(event)):
        assert parse_event(json.dumps(sent), own).detail["state"]["reason"] == f"errors of {REDACTED}"
    (one,) = parse_notification(body(alert(annotations={"summary": "of CUST-123456"}))).alerts
    statement = build_statement(one, NOW, own)
    assert isinstance(statement, Statement)
    assert statement.finding.description == f"alert HighErrorRate: of {REDACTED}"


def test_the_setting_has_a_pattern_a_line() -> None:
    settings = read_settings({"BOKGU_REDACTION_PATTERNS": f"\n  {CUSTOMER}  \n\nbluebird\n"})
    assert len(settings.own_patterns.compiled) == 2
    assert "CUST" not in repr(settings)
    with pytest.raises(BadSetting, match=r"BOKGU_REDACTION_PATTERNS=\.\.\.: pattern 2, '\.\+': "):
        read_settings({"BOKGU_REDACTION_PATTERNS": f"{CUSTOMER}\n.+"})
