"""What every backend of the history can do."""

from typing import Protocol

from bokgu.api.history import IncidentRecord, Question


class History(Protocol):
    """Keeps records of incidents that are over."""

    async def store(self, record: IncidentRecord, *, keep: bool = False) -> None:
        """Keep a record. It is stored for good when this returns; storing it again changes nothing.

        `keep`: a record of that id that is there already stays as it is.
        Raises HistoryError; nothing or a part may be stored then, and storing it again completes it.
        """

    async def find(self, question: Question) -> tuple[IncidentRecord, ...]:
        """Records that may be like an incident of that service and type, in no order. Raises HistoryError.

        An answer may be up to a minute old, except for what this very process stored.
        """


class Archive(History, Protocol):
    """A history in which one incident can be looked up."""

    async def look_up(self, namespace: str, environment: str, name: str) -> IncidentRecord | None:
        """The record of one incident of that namespace, or environment, by its id or by its name; of several of one
        name the newest. Where names are not kept only the id finds it. Raises HistoryError."""
