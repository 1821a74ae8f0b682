"""Changes of one field of a living object's spec: what people may write there, and what they may not."""

from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz.documents import ABSENT, Path, places, put
from tests.fuzz.schema import Node, bounds, load_spec, minimal, valid, valid_specs, walk, wrong

Raw = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """Put the value there, or, ABSENT, take out what is there."""

    path: Path
    value: Any

    def __str__(self) -> str:
        return f"spec.{'.'.join(map(str, self.path))} = {str(self.value)[:120]}"

    def apply(self, plural: str, spec: Any) -> Any:
        """The spec with the change; what must be around the place is put there too, as little as can be."""
        node = load_spec(plural)
        for length in range(1, len(self.path)):
            node = _child(node, self.path[length - 1])
            place = self.path[:length]
            if place not in places(spec):
                spec = put(spec, place, [] if self.path[length] == 0 else minimal(node))
        return put(spec, self.path, self.value)


def _child(node: Node, step: str | int) -> Node:
    found: Node = node["items"] if step == 0 else node.get("properties", {}).get(step) or node["additionalProperties"]
    return found


def list_changes(plural: str) -> list[Change]:
    """Every field of the kind: taken out, with another value, and with those at its bounds. What cannot be taken back
    comes last: the severity of an incident only rises."""
    changes = [Change(path, value) for path, node in walk(load_spec(plural)) for value in (*bounds(node), ABSENT)]
    return sorted(changes, key=lambda change: change.path == ("severity",))


@dataclass(frozen=True)
class Draft:
    """An object to be made: the living one of its kind with changes, or one with a spec of its own."""

    plural: str
    name: str
    changes: tuple[Change, ...] = ()
    spec: Any = None

    def build(self, living: Raw) -> Any:
        """Its spec."""
        if self.spec is not None:
            return self.spec
        return reduce(lambda spec, change: change.apply(self.plural, spec), self.changes, living["spec"])


def drafts(plurals: list[str]) -> SearchStrategy[Draft]:
    """Objects of all these kinds: most of them nearly right, a few made of nothing but the schema."""
    return st.sampled_from(plurals).flatmap(_draft)


@lru_cache
def _draft(plural: str) -> SearchStrategy[Draft]:
    names = st.sampled_from(["", ".x", "-" + "x" * 40, "." + "y" * 200])
    changed = st.lists(st.sampled_from(list(walk(load_spec(plural)))).flatmap(_change), min_size=1, max_size=3).map(
        tuple
    )
    nearly = st.builds(Draft, st.just(plural), names, changed)
    return st.integers(0, 9).flatmap(
        lambda number: nearly if number else st.builds(Draft, st.just(plural), names, st.just(()), valid_specs(plural))
    )


def _change(place: tuple[Path, Node]) -> SearchStrategy[Change]:
    path, node = place
    how = st.integers(0, 19).flatmap(
        lambda number: wrong(node) if number == 0 else st.just(ABSENT) if number == 1 else valid(node)
    )
    return how.map(lambda value: Change(path, value))
