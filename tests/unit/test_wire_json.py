"""JSON that others send: read strictly, within bounds, and never with another error than that it cannot be read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.alertmanager import parse_notification
from bokgu.core.event import MalformedMessage, parse_event, read_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BOMBS = {
    "lists": "[" * 100_000,
    "objects": '{"a":' * 100_000,
    "closed": "[" * 10_000 + "]" * 10_000,
    "digits": "9" * 100_000,
    "fraction": "0." + "9" * 1_000_000 + "e9999999",
    "infinite": "1e999",
    "nan": "[NaN]",
    "minus infinity": "[-Infinity]",
    "twice": '{"alerts": [], "alerts": [1]}',
    "twice within": '{"a": [{"b": 1, "c": 2, "b": 1}]}',
    "twice in other letters": '{"version": "4", "v\\u0065rsion": "3"}',
    "half a pair": '"\\ud800"',
    "two halves": '"\\udc00\\ud800"',
    "nothing": "",
    "two texts": "{} {}",
    "byte order mark": "\ufeff{}",
    "line break in a string": '"\n"',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_s12_a_bomb_is_told_as_unreadable(bomb: str) -> None:
    text = BOMBS[bomb]
    for read in (read_json, parse_event, lambda text: parse_notification(text.encode())):
        with pytest.raises(MalformedMessage) as found:
            read(text)
        assert len(str(found.value)) <= 300


def test_s12_bytes_that_are_no_utf_8_are_told() -> None:
    for body in (b"\xff", '"é"'.encode("latin-1"), "{}".encode("utf-16")):
        with pytest.raises(MalformedMessage, match="not JSON"):
            parse_notification(body)


def test_what_lies_within_bounds_is_read() -> None:
    assert read_json("[" * 150 + "]" * 150)
    assert read_json('{"a": {"x": 1}, "b": {"x": 1}}') == {"a": {"x": 1}, "b": {"x": 1}}
    assert read_json('["\\ud83d\\ude00", 1e300, 18446744073709551616]') == ["😀", 1e300, 18446744073709551616]


@given(JSON)
def test_all_that_is_json_is_read_as_it_is(value: object) -> None:
    assert read_json(json.dumps(value)) == value


@given(st.text())
def test_anything_else_is_told(text: str) -> None:
    try:
        read_json(text)
    except MalformedMessage:
        return
    json.loads(text)
