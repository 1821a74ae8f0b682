"""Now, as two clocks tell it that may disagree: this process's and the API server's."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from bokgu.api.vocabulary import Decision


@dataclass(frozen=True)
class Moment:
    """The bounds of now. What begins is judged by the earlier one, what ends by the later one, so that doubt never
    admits an Approve."""

    earliest: datetime
    latest: datetime

    @classmethod
    def between(cls, now: datetime, ahead: timedelta) -> Self:
        """Now by a clock and by another one that is so far ahead of it."""
        return cls(min(now, now + ahead), max(now, now + ahead))

    def to_judge(self, decision: Decision) -> Self:
        """The same the other way round for a Reject: doubt must not void it."""
        return self if decision is Decision.APPROVE else replace(self, earliest=self.latest, latest=self.earliest)
