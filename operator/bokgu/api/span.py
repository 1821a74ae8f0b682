"""A span of a trace, whatever sends it: something that is over, with when it began and ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Attribute = str | int | bool


@dataclass(frozen=True)
class Span:
    """`trace` is 32 and `id` 16 hexadecimal digits (W3C Trace Context, "traceparent Header"), `parent` the id of the
    span that this one is a part of, None for the whole. `problem` is one word saying why it failed; `client`: it is a
    call of somebody else's API."""

    trace: str
    id: str
    parent: str | None
    name: str
    begun: datetime
    ended: datetime
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    problem: str | None = None
    client: bool = False
