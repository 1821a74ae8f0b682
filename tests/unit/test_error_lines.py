import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api import redaction
from bokgu.api.incident import EvidenceItem
from bokgu.api.observed import LogLine
from bokgu.api.redaction import LOOKED_AT
from bokgu.core import error_lines
from bokgu.core.error_lines import ERROR_PATTERN, EXAMINED, MAX_LINES, REDACTED_LINES, SAME, choose_lines
from tests.simulator.log_patterns import compile_pattern
from tests.unit.facts import MINUTE, NOW


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(text, NOW + n * timedelta(seconds=1)) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("ERROR request to payments failed: connection timed out after 5 s", True),
        ("WARN request to payments took 5 s", True),
        ("connect ECONNREFUSED 10.0.1.17:5432", True),
        ("java.lang.OutOfMemoryError: Java heap space", True),
        ("redis: No space left on device", True),
        ("ThrottlingException: Rate exceeded", True),
        ("thread 'main' panicked at src/config.rs:91", True),
        ("worker 172 got signal 9", True),
        ("index 'states' is corrupt", True),
        ('INFO "GET /vouchers/91 HTTP/1.1" 200', False),
        ("Loading route graph 60%", False),
    ],
)
def test_the_pattern_finds_what_looks_like_trouble(line: str, wanted: bool) -> None:
    assert (compile_pattern(ERROR_PATTERN)(line) is not None) is wanted
    assert len(ERROR_PATTERN) <= 1024


def test_few_lines_that_say_the_same_are_kept_the_latest_ones() -> None:
    many = lines("ERROR disk full", *(f"ERROR request 4711{n} took {n} s" for n in range(100)))
    chosen = choose_lines(many)
    assert chosen == (many[0], *many[-SAME:])


def test_the_latest_lines_are_kept() -> None:
    words = ["".join(chr(ord("g") + n % 20 + (n // 20)) for _ in range(3 + n // 20)) + f" {'x' * n}" for n in range(80)]
    many = lines(*words)
    assert choose_lines(many) == tuple(many[-MAX_LINES:])


def test_lines_are_redacted_before_they_are_cut() -> None:
    (chosen,) = choose_lines(lines("ERROR " + "x " * 140 + "password=" + "s3cret" * 50))
    assert len(chosen.text) <= 300
    assert "s3" not in chosen.text


def test_a_very_long_line_is_cut_between_words_first() -> None:
    key = "AKIA" + "IOSFODNN7" + "EXAMPLE"
    begin = "token=" + "y" * 600 + " "
    (chosen,) = choose_lines(lines(begin + "z" * (LOOKED_AT - len(begin) - 11) + " " + key))
    assert "AKIA" not in chosen.text


def test_half_a_character_of_two_is_no_reason_to_fail() -> None:
    (chosen,) = choose_lines(lines(json.loads('"ERROR connect ECONNREFUSED db:5432 \\ud83d"')))
    assert EvidenceItem(source="FilterLogEvents", fact=chosen.text).fact == "ERROR connect ECONNREFUSED db:5432 \\ud83d"


@pytest.mark.parametrize(
    "text",
    [
        lambda n: f"ERROR failed to connect to db-{n}.internal after 12ms; retry user=bob " * 60,
        lambda n: f"ERROR {chr(0x4E00 + n)} path=/" + "a." * 2000,
        lambda n: f"{chr(0x4E00 + n)} " + "password=a " * 100,
        lambda n: f"ERROR x@{chr(0x4E00 + n)}.zz password=" + "f" * 4000,
        lambda n: f"token={'abcdefghij'[n % 10]}{chr(0x4E00 + n)} same",
        lambda n: "",
    ],
)
def test_the_work_has_a_bound_whatever_is_logged(monkeypatch: pytest.MonkeyPatch, text: Callable[[int], str]) -> None:
    seen: list[int] = []

    def redact(quoted: str) -> str:
        seen.append(len(quoted))
        return redaction.redact_quote(quoted)

    monkeypatch.setattr(error_lines, "redact_quote", redact)
    looked: list[int] = []
    is_new = error_lines._is_new

    def count(quoted: str, shapes: Counter[str]) -> bool:
        looked.append(len(quoted))
        return is_new(quoted, shapes)

    monkeypatch.setattr(error_lines, "_is_new", count)
    choose_lines(lines(*(text(n) for n in range(3000))))
    assert len(seen) <= REDACTED_LINES
    assert len(looked) <= EXAMINED + REDACTED_LINES
    assert max(looked) <= 300


@given(st.lists(st.text(max_size=600), max_size=80))
def test_chosen_lines_are_bounded_and_in_order(texts: list[str]) -> None:
    chosen = choose_lines(lines(*texts))
    assert len(chosen) <= MAX_LINES
    assert all(0 < len(line.text) <= 300 for line in chosen)
    moments = [line.at or NOW - MINUTE for line in chosen]
    assert moments == sorted(moments)
