"""Figures: what was measured in each run, what it is compared with, and what it should be."""

import operator
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median

Samples = tuple[float, ...]
"""One value a run, or several."""


@dataclass(frozen=True)
class Aim:
    """At most, or at least, so much: of a unit, or times the median of a yardstick."""

    sign: str
    """"≤" or "≥"."""
    limit: float
    of: str | None = None
    """Name of the yardstick."""

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}" + (f" × {self.of}" if self.of else "")


@dataclass(frozen=True)
class Figure:
    """What was measured, in `unit`. Yardsticks are in the same unit."""

    what: str
    unit: str
    samples: Samples
    aim: Aim | None = None
    yardsticks: tuple[tuple[str, Samples], ...] = ()

    @property
    def met(self) -> bool | None:
        """Whether the median is as the aim says; None where there is no aim."""
        if self.aim is None:
            return None
        limit = self.aim.limit * (median(dict(self.yardsticks)[self.aim.of]) if self.aim.of else 1.0)
        within = {"≤": operator.le, "≥": operator.ge}[self.aim.sign]
        return bool(within(median(self.samples), limit))


def merge_runs(runs: Iterable[Iterable[Figure]]) -> list[Figure]:
    """The figures of several runs of a row, each with the samples of all."""
    merged: dict[str, Figure] = {}
    for figure in (figure for run in runs for figure in run):
        known = merged.get(figure.what)
        merged[figure.what] = _join(known, figure) if known else figure
    return list(merged.values())


def _join(one: Figure, other: Figure) -> Figure:
    more = dict(other.yardsticks)
    yardsticks = tuple((name, samples + more.get(name, ())) for name, samples in one.yardsticks)
    return replace(one, samples=one.samples + other.samples, yardsticks=yardsticks)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
