"""Pages of text for people: lines of a readable width, and moments as they are told."""

import textwrap
from datetime import datetime, timedelta

from bokgu.api.fields import format_duration, format_timestamp
from bokgu.api.plain_text import make_plain

WIDTH = 110
MARGIN = 12

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
"""Parameters of SGR (ECMA-48, section 8.3.117)."""


class Page:
    """Lines of at most WIDTH characters, with a margin for labels.

    Everything but letters, digits and signs is escaped: what is quoted can hold characters that move a terminal's
    cursor or turn the direction of writing, and show its reader something else.
    """

    def __init__(self, colour: bool) -> None:
        self._colour = colour
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self._lines) + "\n"

    def line(self, label: str, text: str, style: str = "") -> None:
        """A labelled paragraph; `style` is for all of it."""
        label = f"{label:<{MARGIN}}"
        indent = " " * MARGIN
        for line in textwrap.wrap(label + plain(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False):
            self._lines.append(paint(line, style) if self._colour else line)

    def command(self, label: str, text: str) -> None:
        """A labelled line to copy, which is not wrapped."""
        self._lines.append(f"{label:<{MARGIN}}{plain(text)}")

    def gap(self, heading: str = "") -> None:
        """An empty line, and a heading beneath."""
        self._lines.append("")
        if heading:
            self.line(heading, "", BOLD)


def paint(text: str, style: str) -> str:
    """The text in a style; no style leaves it as it is."""
    return f"\x1b[{style}m{text}\x1b[0m" if style else text


def plain(text: str) -> str:
    """The text in one line, with single spaces, and what cannot be seen escaped."""
    return make_plain(" ".join(text.split()))


def format_ago(moment: datetime | None, now: datetime) -> str:
    """How long ago that was."""
    return "at an unknown time" if moment is None else f"{format_length(now - moment)} ago"


def format_moment(moment: datetime, now: datetime) -> str:
    """The moment, and how far it is from now."""
    far = f"in {format_length(moment - now)}" if moment > now else f"{format_length(now - moment)} ago"
    return f"{format_timestamp(moment)}, {far}"


def format_length(length: timedelta) -> str:
    """To the second below ten minutes, then to the minute."""
    seconds = int(length.total_seconds())
    return format_duration(timedelta(seconds=seconds if seconds < 600 else round(seconds / 60) * 60))
