"""What `bokgu watch` shows on a terminal: one table that is drawn anew, with Rich."""

from collections.abc import Sequence
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bokgu.api.fields import format_duration, format_timestamp
from bokgu.api.vocabulary import Severity
from bokgu.commands.overview import Entry, Overview
from bokgu.commands.overview_text import HEADINGS, NOTHING_OPEN, build_row, format_hold, format_undelivered
from bokgu.commands.page import plain
from bokgu.kube.client import KubeError

_STYLES = {Severity.CRITICAL: "bold red", Severity.HIGH: "yellow"}


class LiveTable:
    """The table. Rich leaves colours and cursor movements out where the terminal or NO_COLOR wants none."""

    def __init__(self, namespace: str | None, every: timedelta) -> None:
        self._where, self._every = namespace or "all namespaces", format_duration(every)
        self._overview: Overview | None = None
        self._trouble: str | None = None
        self.live = Live(Text("reading the cluster …", style="dim"), auto_refresh=False, transient=False)
        """To be entered before anything is shown, and left at the end: that gives the cursor back."""

    def show(self, overview: Overview, gone: Sequence[tuple[Entry, str]]) -> None:
        """Draw it anew; one that is open no more is told above the table, where it stays."""
        for entry, end in gone:
            name = f"{entry.incident.metadata.namespace}/{entry.incident.metadata.name}"
            self.live.console.print(Text(f"{format_timestamp(overview.now)} {plain(f'{name}: {end}')}"))
        self._overview, self._trouble = overview, None
        self._draw()

    def tell_trouble(self, error: KubeError) -> None:
        """Say beneath the table that it is not of now."""
        self._trouble = f"the API server does not answer, and is asked again: {error}"
        self._draw()

    def _draw(self) -> None:
        self.live.update(Group(*self._parts()), refresh=True)

    def _parts(self) -> list[RenderableType]:
        parts: list[RenderableType] = []
        if self._overview is not None:
            parts.append(build_table(self._overview) if self._overview.entries else Text(NOTHING_OPEN, style="green"))
            parts += [Text(f"held: {format_hold(hold)}", style="yellow") for hold in self._overview.holds]
            for one in self._overview.undelivered:
                line = format_undelivered(one, self._overview.now)
                parts.append(Text(f"alerts not delivered: {line}", style="yellow"))
            parts += [Text(f"note: {plain(note)}", style="dim") for note in self._overview.notes]
            at = format_timestamp(self._overview.now)
            parts.append(Text(f"{self._where} at {at}, every {self._every}; Ctrl-C ends", style="dim"))
        if self._trouble is not None:
            parts.append(Text(plain(self._trouble), style="bold red"))
        return parts


def build_table(overview: Overview) -> Table:
    """The open incidents; only the last column is broken into lines."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in HEADINGS:
        last = heading == HEADINGS[-1]
        table.add_column(heading, no_wrap=not last, overflow="fold" if last else "ellipsis", ratio=1 if last else None)
    for entry in overview.entries:
        cells = [Text(cell) for cell in build_row(entry, overview.now)]
        cells[2].stylize(_STYLES.get(entry.incident.spec.severity, ""))
        cells[-1].stylize("yellow" if entry.wait.whom else "")
        table.add_row(*cells)
    return table
