"""JSON documents with something else in one place."""

from collections.abc import Iterator
from copy import deepcopy
from enum import Enum, auto
from functools import reduce
from operator import getitem
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Path = tuple[str | int, ...]
"""Names of members and numbers of items, from the outside in."""


class Absent(Enum):
    """Stands for a member that is taken out."""

    ABSENT = auto()


ABSENT = Absent.ABSENT

NUMBERS = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([2**63, 10**30, -(2**63) - 1])
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def places(document: Any, path: Path = ()) -> Iterator[Path]:
    """Where something stands within the document."""
    members = (
        enumerate(document) if isinstance(document, list) else document.items() if isinstance(document, dict) else ()
    )
    for name, member in members:
        yield (*path, name)
        yield from places(member, (*path, name))


def put(document: Any, path: Path, value: Any) -> Any:
    """A copy of the document with the value in that place; ABSENT takes out what is there, and a list is as long as it
    must be. What is around the place must be there: else nothing changes."""
    changed = deepcopy(document)
    try:
        inner = reduce(getitem, path[:-1], changed)
        if value is ABSENT:
            del inner[path[-1]]
        elif inner == []:
            inner.append(value)
        else:
            inner[path[-1]] = value
    except (KeyError, IndexError, TypeError):
        return document
    return changed


def mutants(document: Any, values: SearchStrategy[Any] = JSON) -> SearchStrategy[Any]:
    """The document with one or two places changed or taken out."""
    change = st.tuples(st.sampled_from(list(places(document))), values | st.just(ABSENT))
    changes = st.lists(change, min_size=1, max_size=2)
    return changes.map(lambda found: reduce(lambda changed, one: put(changed, *one), found, document))
