"""Keeps once what many objects have in common, such as an open gate: what is over is kept by the thousand.

Of incidents that are much alike one takes 19 KiB then, with its plan and both models [measured].
"""

from functools import lru_cache
from sys import intern
from typing import Any, TypeVar

from pydantic import BaseModel

LONGEST_WORD = 40
"""Characters of a text that others may have, too: names, uids, times, reasons."""
LARGEST_PART = 10
"""Members of a part that others may have, too: conditions, gates, references."""
KEPT = 4096
"""Parts that new ones are compared with."""

_SMALL = frozenset({str, int, bool, type(None)})

M = TypeVar("M", bound=BaseModel)


def share_values(value: Any) -> Any:
    """The same JSON value, whose keys, short texts and small parts are one with equal ones elsewhere. It must not be
    changed."""
    kind = type(value)
    if kind is str:
        return intern(value) if len(value) <= LONGEST_WORD else value
    if kind is dict:
        body = {intern(name): share_values(part) for name, part in value.items()}
        small = len(body) <= LARGEST_PART and _SMALL.issuperset(map(type, body.values()))
        return _one_body(tuple(body), *body.values()) if small else body
    return [share_values(part) for part in value] if kind is list else value


def share_parts(model: M) -> M:
    """The same frozen model, whose parts are one with equal ones elsewhere, and so are the names of what it was made
    with: pydantic keeps them in a set a model, which are a third of it."""
    object.__setattr__(model, "__pydantic_fields_set__", _one_set(frozenset(model.model_fields_set)))
    members = model.__dict__  # Frozen is what is assigned to; an equal value changes nothing.
    for name, value in members.items():
        if type(value) is tuple:
            members[name] = tuple(_share(part) if _is_model(part) else part for part in value)
        elif _is_model(value):
            members[name] = _share(value)
    return model


def _share(part: M) -> M:
    share_parts(part)
    if len(part.__dict__) > LARGEST_PART:
        return part
    try:
        shared: M = _one_part(part)
    except TypeError:  # With a dict in it, it cannot be hashed.
        return part
    return shared


def _is_model(value: object) -> bool:
    """Whether it is one. To ask pydantic, by isinstance, takes ten times as long."""
    return hasattr(value, "__pydantic_fields_set__")


@lru_cache(maxsize=KEPT, typed=True)
def _one_body(names: tuple[str, ...], *values: str | int | None) -> dict[str, str | int | None]:
    """By type, too: to a dict, True and 1 are the same."""
    return dict(zip(names, values, strict=True))


@lru_cache(maxsize=KEPT)
def _one_set(names: frozenset[str]) -> set[str]:
    """Who copies a model copies its set."""
    return set(names)


@lru_cache(maxsize=KEPT)
def _one_part(part: M) -> M:
    return part
