"""How outcomes are told: a table, what to do beneath each row that needs it, and a last line that counts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bokgu.api.fields import bounded
from bokgu.commands.page import DIM, GREEN, RED, YELLOW, paint, plain
from bokgu.core.doctor.outcome import Level, Outcome, worst

HEADINGS = ("RESULT", "CHECK", "ABOUT", "FOUND")
WIDEST = 48
"""Characters of a column that is aligned; longer cells push what follows."""
MOST = 6
"""Rows of one check that are well and shown one by one; of more they are counted."""
ALIKE = 3
"""Warnings of one check with one hint that are shown one by one; of more the first is shown, and the others are named.
What failed is always shown."""

STYLES: Mapping[Level, str] = {Level.OK: GREEN, Level.WARNING: YELLOW, Level.FAILED: RED}


def format_outcomes(outcomes: Iterable[Outcome], *, colour: bool) -> str:
    """The outcomes as text."""
    found = list(outcomes)
    shown = list(_fold(found))
    rows = [(str(o.level), o.check, plain(o.subject), plain(o.message)) for o in shown]
    widths = [min(WIDEST, max(map(len, column))) for column in zip(HEADINGS, *rows, strict=True)]
    widths[-1] = 0
    lines = [_join(HEADINGS, widths, DIM if colour else "", whole=True)]
    for outcome, row in zip(shown, rows, strict=True):
        lines.append(_join(row, widths, STYLES[outcome.level] if colour else ""))
        if outcome.hint:
            lines.append(f"{' ' * (widths[0] + 3)}→ {plain(outcome.hint)}")
    counts = Counter(outcome.level for outcome in found)
    total = ", ".join(f"{counts[level]} {level}" for level in reversed(Level) if counts[level])
    return "\n".join([*lines, "", total]) + "\n"


def _fold(outcomes: list[Outcome]) -> Iterator[Outcome]:
    """The outcomes, with one row for those that are well, and for warnings that are alike, where they are many."""
    alike: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        alike[_kind(outcome)].append(outcome)
    told: set[tuple[str, ...]] = set()
    for outcome in outcomes:
        kind = _kind(outcome)
        others = alike[kind]
        if outcome.level is Level.FAILED or len(others) <= (MOST if outcome.level is Level.OK else ALIKE):
            yield outcome
        elif kind not in told:
            told.add(kind)
            if outcome.level is Level.OK:
                yield Outcome(outcome.check, "", Level.OK, f"{len(others)} are well; -o json lists them")
            else:
                names = ", ".join(one.subject for one in others[1:])
                subject = f"{outcome.subject} and {len(others) - 1} more"
                yield replace(outcome, subject=subject, message=bounded(f"{outcome.message}; so are {names}"))


def _kind(outcome: Outcome) -> tuple[str, ...]:
    return (outcome.check, outcome.level, outcome.hint)


def _join(cells: Iterable[str], widths: list[int], style: str, *, whole: bool = False) -> str:
    """Columns side by side; the style is for the first, or for the whole line."""
    padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
    if whole:
        return paint("   ".join(padded).rstrip(), style)
    return "   ".join([paint(padded[0], style), *padded[1:]]).rstrip()


def describe_outcomes(outcomes: Iterable[Outcome], cost: Mapping[str, Any]) -> dict[str, Any]:
    """The same as plain data: result, checks, cost."""
    found = list(outcomes)
    return {
        "result": str(worst(found)),
        "checks": [
            {name: str(value) for name, value in vars(outcome).items() if value or name != "hint"} for outcome in found
        ],
        "cost": dict(cost),
    }
