from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.observed import LogLine
from bokgu.core.error_lines import ERROR_PATTERN, MAX_LINES, SAME, choose_lines
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
    (chosen,) = choose_lines(lines("token=" + "y" * 3000 + " " + "z" * 1079 + " " + key))
    assert "AKIA" not in chosen.text


@given(st.lists(st.text(max_size=600), max_size=80))
def test_chosen_lines_are_bounded_and_in_order(texts: list[str]) -> None:
    chosen = choose_lines(lines(*texts))
    assert len(chosen) <= MAX_LINES
    assert all(0 < len(line.text) <= 300 for line in chosen)
    moments = [line.at or NOW - MINUTE for line in chosen]
    assert moments == sorted(moments)
