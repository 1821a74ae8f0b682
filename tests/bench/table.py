"""Prints what was measured: a table for people, or JSON."""

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TextIO

from rich.console import Console
from rich.table import Table

from tests.bench.figure import Figure, Samples

WIDTH = 140
_VERDICTS = {True: "met", False: "MISSED", None: ""}


def print_table(
    found: Mapping[str, Sequence[Figure] | str], facts: Mapping[str, Mapping[str, str]], to: TextIO
) -> None:
    """`found` by row: its figures, or why there are none."""
    caption = "\n".join(", ".join(f"{name} {value}" for name, value in part.items()) for part in facts.values())
    table = Table(title="bokgu bench: medians, with the range of all runs", caption=caption)
    for column in ("row", "what", "measured", "n", "yardsticks", "aim", ""):
        table.add_column(column, justify="right" if column in {"measured", "n"} else "left", overflow="fold")
    for row, figures in found.items():
        if isinstance(figures, str):
            table.add_row(row, f"FAILED: {figures}", "", "", "", "", "")
            continue
        for number, figure in enumerate(figures):
            table.add_row(
                row if number == 0 else "",
                figure.what + (f", {figure.unit}" if figure.unit else ""),
                _tell(figure.samples),
                str(len(figure.samples)),
                "; ".join(f"{name} {_tell(samples)}" for name, samples in figure.yardsticks),
                str(figure.aim or ""),
                _VERDICTS[figure.met],
            )
        table.add_section()
    Console(file=to, width=WIDTH).print(table)


def print_json(found: Mapping[str, Sequence[Figure] | str], facts: Mapping[str, Mapping[str, str]], to: TextIO) -> None:
    """The same with every sample."""
    rows = [
        {"row": row, "failed": figures}
        if isinstance(figures, str)
        else {"row": row, "figures": [_to_dict(figure) for figure in figures]}
        for row, figures in found.items()
    ]
    json.dump({**facts, "rows": rows}, to, indent=2)
    to.write("\n")


def _to_dict(figure: Figure) -> dict[str, object]:
    return {
        "what": figure.what,
        "unit": figure.unit,
        "median": median(figure.samples),
        "samples": figure.samples,
        "yardsticks": dict(figure.yardsticks),
        "aim": str(figure.aim) if figure.aim else None,
        "met": figure.met,
    }


def _tell(samples: Samples) -> str:
    if len(set(samples)) == 1:
        return _number(samples[0])
    return f"{_number(median(samples))} ({_number(min(samples))}–{_number(max(samples))})"


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}".removesuffix(".00").removesuffix(".0")
