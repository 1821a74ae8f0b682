"""Templates of runbooks: text with named fields in braces. No code, no attributes, no formats, no nesting."""

import re
from collections.abc import Mapping
from functools import lru_cache

from bokgu.api.runbook import TEMPLATE_FIELDS

_PART = re.compile(r"\{([^{}]*)\}|[{}]")


class UnknownField(ValueError):
    """A template names what no template may, or has a brace that names nothing."""


def fill_template(text: str, values: Mapping[str, str]) -> str:
    """Put the values in. A field without a value reads `unknown`; what is put in is never read as a template again.

    Raises UnknownField.
    """

    def value(match: re.Match[str]) -> str:
        field = match[1]
        if field not in TEMPLATE_FIELDS:
            raise UnknownField(f"{match[0]} is no field of a template")
        return values.get(field) or "unknown"

    return _PART.sub(value, text)


@lru_cache(maxsize=1024)  # A few hundred runbooks are judged for every incident, and are always the same.
def find_unknown_fields(texts: tuple[str, ...]) -> frozenset[str]:
    """What the templates name, or leave open, that nobody fills in, as it stands there."""
    return frozenset(match[0] for text in texts for match in _PART.finditer(text) if match[1] not in TEMPLATE_FIELDS)
