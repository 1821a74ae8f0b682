"""Questions to the person at the terminal, and whether it shows colours."""

import os
import sys
from typing import TextIO


def wants_colour(stream: TextIO) -> bool:
    """Whether to print in colour: only on a terminal, and not where NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def ask(question: str) -> bool:
    """Ask at the terminal; only `y` and `yes` mean yes. Where nobody can answer that is told, and means no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        print("bokgu: there is no terminal to ask at: add --yes once you have read it", file=sys.stderr)
        return False
    print(f"\n{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
