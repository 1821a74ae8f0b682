"""What docs/execution.md shows of the state machine: diagrams and tables, made from core/transitions.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bokgu.core.transitions import PLAN, STEP, UNDO, Row

PAGE = Path(__file__).parents[1] / "docs" / "execution.md"
BLOCKS: Mapping[str, Mapping[Any, Row[Any]]] = {"plan": PLAN, "step": STEP, "undo": UNDO}


def draw(table: Mapping[Any, Row[Any]]) -> str:
    """A Mermaid state diagram: https://mermaid.js.org/syntax/stateDiagram.html."""
    first = next(iter(table))
    lines = [f"    [*] --> {first}"]
    lines += [f"    {phase} --> {after}" for phase, row in table.items() for after in row.next]
    lines += [f"    {phase} --> [*]" for phase, row in table.items() if not row.next]
    return "\n".join(("```mermaid", "stateDiagram-v2", *lines, "```"))


def tabulate(table: Mapping[Any, Row[Any]]) -> str:
    """A table with a line for each transition; the phase and its deadline stand in the first of them."""
    lines = ["| phase | ends by | next | when |", "|---|---|---|---|"]
    for phase, row in table.items():
        head = f"| `{phase}` | {row.until} "
        for after, why in row.next.items():
            lines.append(f"{head}| `{after}` | {why} |")
            head = "| | "
    return "\n".join(lines)


def fill(page: str) -> str:
    """The page with each part between its marks written anew."""
    for name, table in BLOCKS.items():
        begin, end = f"<!-- {name}: written by make docs -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{PAGE} has no marks for {name}")
        page = f"{before}{begin}\n{draw(table)}\n\n{tabulate(table)}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text()))
