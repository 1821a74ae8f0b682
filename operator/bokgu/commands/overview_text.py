"""How an overview is told: rows of a table, and lines of what has changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from bokgu.api.vocabulary import Severity
from bokgu.commands.overview import Entry, Overview
from bokgu.commands.page import BOLD, DIM, RED, YELLOW, format_length, paint, plain
from bokgu.core.alerts.outbox import Undelivered
from bokgu.core.awaiting import Wait
from bokgu.core.holds import Hold

HEADINGS = ("INCIDENT", "SERVICE", "SEVERITY", "PHASE", "AGE", "WAITS FOR")
NOTHING_OPEN = "no open incidents"

SEVERITY_STYLES: Mapping[Severity, str] = {Severity.CRITICAL: RED, Severity.HIGH: YELLOW}


def format_overview(overview: Overview, *, colour: bool) -> str:
    """The overview as text: a table of what is open, then what is held and who is told in vain, then notes."""
    lines = list(_table(overview, colour)) if overview.entries else [NOTHING_OPEN]
    under = {
        "held": [format_hold(hold) for hold in overview.holds],
        "alerts not delivered": [format_undelivered(one, overview.now) for one in overview.undelivered],
    }
    for heading, told in under.items():
        if told:
            lines += ["", paint(heading, BOLD) if colour else heading, *(f"  {line}" for line in told)]
    lines += [f"note: {plain(note)}" for note in overview.notes]
    return "\n".join(lines) + "\n"


def build_row(entry: Entry, now: datetime) -> tuple[str, ...]:
    """Cells for HEADINGS, none with a control character."""
    incident = entry.incident
    reason = f" ({incident.status.reason})" if incident.status.reason else ""
    cells = (
        f"{incident.metadata.namespace}/{incident.metadata.name}",
        incident.spec.service_ref.name,
        str(incident.spec.severity),
        f"{incident.status.phase}{reason}",
        format_length(now - entry.begun_at) if entry.begun_at else "",
        format_wait(entry.wait, now),
    )
    return tuple(plain(cell) for cell in cells)


def format_wait(wait: Wait, now: datetime) -> str:
    """Whom, what for, and how long, in a line."""
    whom = f"{format_people(wait)}: " if wait.whom else ""
    left = f", {format_length(wait.until - now)} left" if wait.until and wait.until > now else ""
    return f"{whom}{wait.what}{left}"


def format_people(wait: Wait) -> str:
    """Who is waited for."""
    return " or ".join(wait.whom) if wait.one_of else ", ".join(wait.whom)


def format_hold(hold: Hold) -> str:
    """What is held, why, and what to do."""
    advice = f". To end it: {hold.advice}" if hold.advice else ""
    return plain(f"{hold.namespace} {hold.what}: {hold.reason}: {hold.message}{advice}")


def format_undelivered(one: Undelivered, now: datetime) -> str:
    """Who is told in vain, since when, and why."""
    alerts = "1 alert" if one.waiting == 1 else f"{one.waiting} alerts"
    return plain(f"receiver {one.receiver}: {alerts}, for {format_length(now - one.since)}: {one.error}")


def list_changes(before: Iterable[Entry], after: Iterable[Entry]) -> list[Entry]:
    """The entries of `after` that say something else than they did, or are new. Time that passes is no change."""
    known = {entry.incident.metadata.uid: _essence(entry) for entry in before}
    return [entry for entry in after if known.get(entry.incident.metadata.uid) != _essence(entry)]


def list_gone(before: Iterable[Entry], after: Iterable[Entry]) -> list[Entry]:
    """The entries that are open no more."""
    still = {entry.incident.metadata.uid for entry in after}
    return [entry for entry in before if entry.incident.metadata.uid not in still]


def _essence(entry: Entry) -> tuple[object, ...]:
    spec, status = entry.incident.spec, entry.incident.status
    return (spec.severity, status.phase, status.reason, entry.wait.whom, entry.wait.what, entry.wait.until)


def _table(overview: Overview, colour: bool) -> Iterable[str]:
    """Columns as wide as their widest cell, the last one as long as it is."""
    rows = [build_row(entry, overview.now) for entry in overview.entries]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    widths[-1] = 0

    def join(cells: Iterable[str], styles: Mapping[int, str]) -> str:
        padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
        painted = [paint(cell, styles.get(at, "")) if colour else cell for at, cell in enumerate(padded)]
        return "   ".join(painted).rstrip()

    yield join(HEADINGS, dict.fromkeys(range(len(HEADINGS)), DIM))
    for entry, row in zip(overview.entries, rows, strict=True):
        styles = {2: SEVERITY_STYLES.get(entry.incident.spec.severity, ""), 5: YELLOW if entry.wait.whom else ""}
        yield join(row, styles)
