"""Filter patterns. Rules and examples are those of the CloudWatch Logs user guide, "Filter pattern syntax"."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .log_patterns import LogPatternError, compile_pattern

LINES = {
    "1": "ERROR WARN message",
    "2": "ERROR message",
    "3": "WARN message",
    "4": "[ERROR 500] INTERNAL SERVER ERROR",
    "5": "Exiting with ERRORCODE: -1",
    "6": "error message",
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", "123456"),
        ("ERROR", "1245"),
        ("?ERROR ?WARN", "12345"),
        ("ERROR WARN", "1"),
        ("ERROR -WARN", "245"),
        ("-ERROR", "36"),
        ('"INTERNAL SERVER ERROR"', "4"),
        ('ERROR - "Exiting"', "124"),
        ("?INTERNAL ?Exiting message", "1236"),
        ("%ERR[A-Z]+ \\d|^WARN%", "34"),
        ("%ERROR \\d+%", "4"),
        ("?%^WARN% ?Exiting", "35"),
    ],
)
def test_terms(pattern: str, expected: str) -> None:
    """All terms, one of the `?` terms, none of the `-` terms; case counts. "If you combine ? with other filter
    patterns, the question mark (?) will be ignored"."""
    match = compile_pattern(pattern)
    assert "".join(number for number, line in LINES.items() if match(line) is not None) == expected


EVENT = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ThisFlag": True,
    "latency": 500,
    "errorCode": "400",
    "user": {"id": 1, "email": "John.Stiles@example.com"},
    "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "Jane.Doe@example.com"}],
    "actions": ["GET", "PUT", "DELETE"],
    "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
    "with-dash": "x",
    "numbers": [1, 2, 3],
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{$.eventType=UpdateTrail}", True),
        ("{ $.eventType = *Trail }", True),
        ("{ $.eventType = Update* }", True),
        ("{ $.eventType = Create* }", False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ("{ $.sourceIPAddress != 111.111.* }", False),
        ('{ $.arrayKey[0] = "value" }', True),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[2].id = 2 }", False),
        ("{ $.objectList[*].id = 2 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.eventType NOT EXISTS }", False),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.ThisFlag IS FALSE }", False),
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', True),
        ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', False),
        (
            '{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }',
            True,
        ),
        (
            '{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch) && $.actions[2] = no }',
            False,
        ),
        ("{ $.latency >= 500 }", True),
        ("{ $.latency > +500 }", False),
        ("{ $.latency < 10e3 }", True),
        ("{ $.latency <= 10e-3 }", False),
        ("{ $.latency = * }", True),
        ("{ $.errorCode = 400 }", True),
        ("{ $.errorCode != 500 }", True),
        ("{ $.eventType > 5 }", False),
        ("{ $.numbers = 1 }", False),
        ("{ $.numbers != 1 }", False),
        ("{ $.with-dash = x }", True),
        ("{ $.eventType = %^Up.*il$% }", True),
    ],
)
def test_json(pattern: str, expected: bool) -> None:
    """User guide, "Using filter patterns to match terms in JSON log events"."""
    match = compile_pattern(pattern)
    assert (match(json.dumps(EVENT)) is not None) is expected
    assert match("not JSON") is None


LINE = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ip, user, username, timestamp, request, status_code, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code]", False),
        ("[..., status_code, bytes]", True),
        ("[ip, user, ..., status_code, bytes]", True),
        ("[ip, user, ...]", True),
        ("[ip, user, username, timestamp, request, status_code, bytes > 1000]", True),
        ("[ip, user, username, timestamp, request, status_code = 200, bytes]", False),
        ("[ip, user, username, timestamp, request = *html*, status_code = 4*, bytes]", True),
        ("[..., status_code = 4* && status_code != 403, bytes]", True),
        ("[..., status_code = 4* && status_code != 404, bytes]", False),
        ("[..., status_code = 200 || status_code = 404, bytes]", True),
        ("[..., request=*.html*, status_code=4*,]", True),
        ("[..., request=*.php*, status_code=4*,]", False),
    ],
)
def test_space_delimited(pattern: str, expected: bool) -> None:
    """User guide, "Using metric filters to match terms in space-delimited log events"."""
    assert (compile_pattern(pattern)(LINE) is not None) is expected


def test_extracted_fields() -> None:
    """The same page: fields by name and by number, without brackets and quotes."""
    fields = compile_pattern("[..., request, status_code, bytes]")(LINE)
    assert fields is not None
    assert (fields["$status_code"], fields["$request"], fields["$1"], fields["$4"]) == (
        "404",
        "GET /index.html HTTP/1.0",
        "127.0.0.1",
        "10/Oct/2000:13:25:15 -0700",
    )


@pytest.mark.parametrize(
    "pattern",
    [
        "timeout:",
        "a.b",
        "{",
        "{ $.a }",
        "{ a = 1 }",
        "{ $.a = 1",
        "{ $.a = 1 } x",
        "{ $..a = 1 }",
        "[a",
        "[a b]",
        "[a] b",
        "[a = 1 && b = 2]",
        "[..., ...]",
        "%(%",
        "{ $.a IS 5 }",
        "{ $.a = }",
    ],
)
def test_nonsense_is_refused(pattern: str) -> None:
    """FilterLogEvents answers InvalidParameterException: terms with other characters "must be placed inside double
    quotes"."""
    with pytest.raises(LogPatternError):
        compile_pattern(pattern)


@given(st.text(alphabet="{}[]()$.ab1\"'=!<>&|*%?- ,ISEXTNO", max_size=25), st.sampled_from([json.dumps(EVENT), LINE]))
def test_any_text_is_a_pattern_or_refused(pattern: str, line: str) -> None:
    """Never an internal failure."""
    try:
        compile_pattern(pattern)(line)
    except LogPatternError:
        return
