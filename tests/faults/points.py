"""Points at which something can go wrong in a play, found by counting the operator's calls."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.proxy import Call, Moment

_OF_PLAN = ("update recoveryplans", "create recoveryplans")


@dataclass(frozen=True)
class Point:
    """A call: the `nth` one of that name that is about the service.

    A write is tried before it is passed on and after it had its effect. Of the AWS reads between two writes that take
    the plan further the first of each name is tried, once: they change nothing, so that dying at any other one finds
    the same world. It is `follows` that finds a read again, since polls are never as many as the time before.
    """

    name: str
    nth: int
    moment: Moment
    follows: tuple[str, int] | None = None

    def __str__(self) -> str:
        where = f" after {self.follows[0]} {self.follows[1]}" if self.follows else ""
        return f"{self.moment} {self.name} {self.nth}{where}"


class Finder:
    """Finds a point in a stream of calls of which some concern a play. Both proxies of a lane ask it, each in its own
    thread."""

    def __init__(self, concerns: Callable[[Call], bool], point: Point | None = None) -> None:
        self._concerns, self._point = concerns, point
        self._lock = threading.Lock()
        self._writes: Counter[str] = Counter()
        self._reads: Counter[str] = Counter()
        self._last: tuple[str, int] | None = None

    def fits(self, call: Call) -> bool:
        """Whether this call is the point."""
        with self._lock:
            return any(
                self._point is not None
                and (found.name, found.nth, found.follows) == (self._point.name, self._point.nth, self._point.follows)
                for found in self.see(call)[:1]
            )

    def see(self, call: Call) -> Sequence[Point]:
        """The points at this call; none where it is about something else or was met before."""
        if not self._concerns(call):
            return ()
        of_kubernetes = " " in call.name
        if call.writes:
            self._writes[call.name] += 1
            nth = self._writes[call.name]
            if not self._last or call.name.startswith(_OF_PLAN) or not of_kubernetes:
                self._last = (call.name, nth)
                self._reads.clear()
            return [Point(call.name, nth, moment) for moment in Moment]
        if of_kubernetes:
            return ()
        self._reads[call.name] += 1
        first = self._reads[call.name] == 1 and self._last is not None
        return [Point(call.name, 1, Moment.BEFORE, self._last)] if first else ()


def find_points(calls: Sequence[Call], concerns: Callable[[Call], bool]) -> list[Point]:
    """All points of a play, in the order in which it came to them."""
    finder = Finder(concerns)
    return [point for call in calls for point in finder.see(call)]
