"""What others write does nothing but stand there, wherever it is shown."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.fields import bounded, bounded_lines
from bokgu.api.plain_text import make_plain, make_plain_lines
from bokgu.api.redaction import redact_quote
from bokgu.logs import JsonLine

ANYTHING = st.text(st.characters(categories=None)) | st.text(
    st.sampled_from("ab \t\r\n\x0b\x1b\x7f\x85\x9b\u061c\u200b\u200e\u2028\u202e\u2066\ufeff\ud800\udfff\U000e0041")
)
"""Any characters, half surrogate pairs among them."""


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a  word", "a  word"),
        ("서비스 오류 — 37 %", "서비스 오류 — 37 %"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("well\r\nlevel=error forged", "well level=error forged"),
        (" \n a\tb\u2028c\u00a0d \x85", "a b c d"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("ad\u200bmin\ufeff", "ad\\u200bmin\\ufeff"),
        ("a\x00b", "a\\x00b"),
        ("\ud800 and \udfff", "\\ud800 and \\udfff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_cannot_be_seen_is_escaped_and_lines_are_joined(text: str, plain: str) -> None:
    assert make_plain(text) == plain


@given(ANYTHING)
def test_a_plain_text_is_printable_and_is_never_changed_again(text: str) -> None:
    plain = make_plain(text)
    assert plain.isprintable()
    assert make_plain(plain) == plain
    assert plain.encode().decode() == plain


@given(ANYTHING, st.integers(1, 40))
def test_a_bounded_text_is_plain_and_as_long_as_it_may_be(text: str, limit: int) -> None:
    for cut in (bounded(text, limit), bounded_lines(text, limit).replace("\n", "")):
        assert len(cut) <= limit
        assert cut.isprintable()
    assert bounded(bounded(text, limit), limit) == bounded(text, limit)


@given(ANYTHING)
def test_a_quote_is_plain(text: str) -> None:
    assert redact_quote(text).isprintable()


def test_lines_of_ours_stay_lines() -> None:
    assert make_plain_lines("task 1: exit 1\n  File \x1b[1m\r\nend") == "task 1: exit 1\nFile \\x1b[1m\nend"


@given(st.text())
def test_a_line_of_the_log_is_one_line_and_says_what_was_said(text: str) -> None:
    line = JsonLine()(logging.getLogger(), "info", {"event": text})
    assert line.isprintable()
    assert json.loads(line) == {"event": text}
