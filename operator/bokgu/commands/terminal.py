"""Questions to the person at the terminal, what it shows while something takes long, and whether it shows colours."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PATIENCE = 1.0
"""Seconds after which it is said what is waited for."""

_CLEAR_LINE = "\r\x1b[K"
"""Carriage return, and Erase in Line (ECMA-48, section 8.3.41)."""


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


def tell(text: str) -> None:
    """Say on a line of standard error what was done; what `progress` shows is taken away first."""
    clear = _CLEAR_LINE if _shows_progress() else ""
    print(f"{clear}{text}", file=sys.stderr, flush=True)


def _shows_progress() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say at the terminal what is being done if it takes longer than a second, with the seconds; then take it away."""
    if not _shows_progress():
        yield
        return
    done, shown, patience = threading.Event(), threading.Event(), PATIENCE

    def show() -> None:
        waited = patience
        while not done.wait(patience if not shown.is_set() else 1.0):
            shown.set()
            print(f"{_CLEAR_LINE}{what} … {waited:.0f}s", end="", file=sys.stderr, flush=True)
            waited += 1

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if shown.is_set():
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)
