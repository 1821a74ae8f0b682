"""Points at which something can go wrong in a play, found by counting the operator's calls."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.faults.proxy import Call, Moment


@dataclass(frozen=True)
class Point:
    """A write: the `nth` one of that name that is about the service, after it had its effect; to AWS, also before it is
    passed on.

    Other calls are no points of their own, since who dies there leaves a world that is tried already. A read changes
    nothing. Before a write, the world is that of the write before it.
    """

    name: str
    nth: int
    moment: Moment

    @property
    def of_aws(self) -> bool:
        """Whether it is a call to AWS."""
        return " " not in self.name

    def __str__(self) -> str:
        return f"{self.moment} {self.name} {self.nth}"


class Finder:
    """Finds a point in a stream of calls of which some concern a play. Both proxies of a lane ask it, each in its own
    thread."""

    def __init__(self, concerns: Callable[[Call], bool], point: Point | None = None) -> None:
        self._concerns, self._point = concerns, point
        self._lock = threading.Lock()
        self._writes: Counter[str] = Counter()

    def fits(self, call: Call) -> bool:
        """Whether this call is the point."""
        with self._lock:
            return self._point in self.see(call)

    def see(self, call: Call) -> Sequence[Point]:
        """The points at this call; none where it is about something else."""
        if not call.writes or not self._concerns(call):
            return ()
        self._writes[call.name] += 1
        after = Point(call.name, self._writes[call.name], Moment.AFTER)
        return [replace(after, moment=Moment.BEFORE), after] if after.of_aws else [after]


def find_points(calls: Sequence[Call], concerns: Callable[[Call], bool]) -> list[Point]:
    """All points of a play, in the order in which it came to them."""
    finder = Finder(concerns)
    return [point for call in calls for point in finder.see(call)]
