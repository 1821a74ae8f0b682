"""What the person at the demo sees: a story told line by line, and beneath it what kubectl prints."""

import io
import re
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

PICTURE_LINES, PICTURE_WIDTH = 44, 156
"""What a picture of the screen holds, in lines and characters."""
_FONT = re.compile(r" *@font-face \{.*?\}\n", flags=re.DOTALL)
"""What a picture would load from elsewhere."""


class Screen:
    """Lines above, one live table below on a terminal; elsewhere plain lines, the table whenever it changes."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._begun = time.monotonic()
        self._shown: list[list[str]] = []
        self._told: deque[Text] = deque(maxlen=PICTURE_LINES)
        self._table = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str, style: str = "bold") -> None:
        """Tell the next line of the story, with the seconds since the beginning."""
        line = Text(f"{time.monotonic() - self._begun:5.1f} s  {text}", style=style)
        self._told.append(line)
        self._console.print(line, soft_wrap=True)
        sys.stdout.flush()

    def show(self, table: str) -> None:
        """Show what kubectl printed. The AGE column alone is no change."""
        self._table = table
        if self._live:
            self._live.update(Text("\n" + table, overflow="fold"), refresh=True)
            return
        cells = [line.split()[:-1] for line in table.splitlines()]
        if table.strip() and cells != self._shown:
            self._shown = cells
            print(table.rstrip("\n") + "\n", flush=True)

    def save_picture(self, path: Path) -> None:
        """Write an SVG of the last lines and the table as they stand."""
        console = Console(record=True, width=PICTURE_WIDTH, file=io.StringIO(), highlight=False)
        for line in self._told:
            console.print(line, no_wrap=True, overflow="ellipsis")
        console.print(Text("\n" + self._table.rstrip("\n")), no_wrap=True, overflow="ellipsis")
        svg = console.export_svg(title="make demo", unique_id="demo")
        path.write_text(_FONT.sub("", svg))

    def wait(self, what: str, condition: Callable[[], object], refresh: Callable[[], str], seconds: float) -> None:
        """Wait until the condition holds, showing the table meanwhile. Raises NotReached after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise NotReached(f"not within {seconds:g} s: {what}")
            self.show(refresh())
            time.sleep(0.3)
        self.show(refresh())
        self.say(f"✓ {what}", "green")


class NotReached(Exception):
    """A state that the story needs did not come."""
