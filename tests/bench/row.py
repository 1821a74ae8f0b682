"""A row of the table: what measures it, and how often."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.figure import Figure


@dataclass(frozen=True)
class Effort:
    """How much to measure. `quick`: just enough to see that a row works; `full`: also what takes an hour."""

    quick: bool
    full: bool
    tell: Callable[[str], None]
    """Told what is being done."""

    def size(self, usual: int, quick: int) -> int:
        """How many of something."""
        return quick if self.quick else usual


@dataclass(frozen=True)
class Row:
    """`measure` makes one run, in worlds of its own."""

    name: str
    measure: Callable[[Effort], Sequence[Figure]]
    runs: int
