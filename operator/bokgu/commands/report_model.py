"""What a report tells, in the order in which it tells it, whatever it is printed as."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import TimelineEntry
from bokgu.commands.page import plain
from bokgu.commands.report_plots import Measured


class Fact(NamedTuple):
    """A labelled text."""

    label: str
    text: str


class Said(NamedTuple):
    """One approval or rejection. `vouched` is what vouches for who said it, or why it does not count."""

    at: datetime
    who: str
    role: str
    what: str
    counts: bool
    vouched: str
    why: str


class Cost(NamedTuple):
    """Something that was reached: when, and in minutes how long that took by itself and since the trouble began."""

    what: str
    at: datetime
    took: float | None
    since_begin: float


class Span(NamedTuple):
    """A time that plots show shaded: `kind` is `open` or `step`."""

    kind: str
    label: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class StepStory:
    """One step of a plan."""

    name: str
    action: str
    phase: str
    description: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class PlanStory:
    """One plan of the incident. `readings` are (metric, before, after)."""

    name: str
    state: str
    facts: tuple[Fact, ...]
    needed: str = ""
    said: tuple[Said, ...] = ()
    steps: tuple[StepStory, ...] = ()
    readings: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Report:
    """The story of one incident, by the API server's clock.

    `begun_at` is when the trouble began, `ended_at` when it was gone, None while it is not; `spans` is what happened
    when, for the plots, which `measured` has: None where none were wanted. `left` is what a person has yet to do.
    """

    namespace: str
    name: str
    state: str
    written_at: datetime
    begun_at: datetime
    ended_at: datetime | None
    summary: tuple[str, ...]
    trouble: tuple[Fact, ...]
    timeline: tuple[TimelineEntry, ...]
    measured: Measured | None
    spans: tuple[Span, ...]
    cause: tuple[Fact, ...]
    plans: tuple[PlanStory, ...]
    gates: tuple[str, ...]
    costs: tuple[Cost, ...]
    similar: tuple[str, ...]
    left: tuple[str, ...]
    notes: tuple[str, ...] = ()
    from_history: bool = False

    @property
    def counted_from(self) -> str:
        """What minutes are counted from: when the trouble began where the curves tell, else when it was seen."""
        known = self.measured is not None and self.measured.began_at is not None
        return "since the trouble began" if known else "since the trouble was seen"


def name_report(namespace: str, name: str) -> str:
    """What made the file, and of which incident: it stands in the file, so that it is known again."""
    return plain(f"bokgu report {namespace}/{name}")


def list_moments(*found: tuple[str, datetime | None]) -> list[Fact]:
    """Those moments that are known."""
    return [Fact(label, format_timestamp(at)) for label, at in found if at is not None]


def count_minutes(since: datetime, until: datetime) -> float:
    """Never less than none: two clocks may have set them."""
    return max(0.0, (until - since).total_seconds() / 60)


def end_sentence(text: str) -> str:
    """The text with a full stop, where it has no end yet."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
