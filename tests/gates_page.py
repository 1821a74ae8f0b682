"""What docs/guardrails.md shows of the gates: one table, made from core/guards."""

from collections.abc import Sequence
from inspect import getdoc
from pathlib import Path

from bokgu.api.meta import Gate
from bokgu.core.guards.chain import CHECKS, LIVE_CHECKS, NAMESPACE_CHECKS, Check, evaluate_gates
from tests.unit.test_guards import guard_facts

PAGE = Path(__file__).parents[1] / "docs" / "guardrails.md"
BEGIN, END = "<!-- gates: written by make docs -->\n", "<!-- end of gates -->"
GROUPS = (
    ("people and configuration", CHECKS),
    ("other recoveries of the namespace", NAMESPACE_CHECKS),
    ("the service and its incident, live", LIVE_CHECKS),
)


def tabulate() -> str:
    """A line for each gate, in the order in which they are asked."""
    lines = ["| gate | asks | what it is about |", "|---|---|---|"]
    gates = iter(evaluate_gates(guard_facts()))
    for title, checks in GROUPS:
        lines += _rows(title, checks, [next(gates) for _ in checks])
    return "\n".join(lines)


def _rows(title: str, checks: Sequence[Check], gates: Sequence[Gate]) -> list[str]:
    said = ((getdoc(check) or "").partition("\n\n")[0].replace("\n", " ") for check in checks)
    return [f"| `{gate.name}` | {title} | {text} |" for gate, text in zip(gates, said, strict=True)]


def fill(page: str) -> str:
    """The page with the table between its marks written anew."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has no marks for the gates")
    return f"{before}{BEGIN}\n{tabulate()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text()))
