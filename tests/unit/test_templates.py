import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.runbook import _TEMPLATE, TEMPLATE_FIELDS
from bokgu.core.templates import UnknownField, fill_template, find_unknown_fields

TEXTS = st.lists(
    st.sampled_from(["{service}", "{zone}", "{nobody}", "{", "}", "{}", "{{service}}", "a b", "{service!r}", "\n"])
    | st.text(max_size=5),
    max_size=6,
).map("".join)


def test_fields_are_filled_in() -> None:
    assert fill_template("{service} in {zone}", {"service": "api", "zone": "eu-central-1a"}) == "api in eu-central-1a"
    assert fill_template("{zone}", {}) == "unknown"


def test_a_value_is_no_template() -> None:
    assert fill_template("{service}", {"service": "{zone}", "zone": "x"}) == "{zone}"


@pytest.mark.parametrize(
    "text", ["{nobody}", "{service.name}", "{service[0]}", "{service!r}", "{service:>9}", "{}", "{", "}", "{{service}}"]
)
def test_nothing_else_is_done(text: str) -> None:
    with pytest.raises(UnknownField):
        fill_template(text, {"service": "api"})


@given(TEXTS)
def test_admission_refuses_exactly_what_cannot_be_filled_in(text: str) -> None:
    """The pattern of the CRD is RE2's; what it says is said here by Python's."""
    admitted = re.fullmatch(_TEMPLATE[1:-1], text) is not None
    assert admitted is not bool(find_unknown_fields((text,)))
    values = dict.fromkeys(TEMPLATE_FIELDS, "v")
    if admitted:
        fill_template(text, values)
    else:
        with pytest.raises(UnknownField):
            fill_template(text, values)
