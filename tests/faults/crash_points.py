"""Every point at which the operator may die in a case: found by counting its calls, then tried one by one."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.faults.cases import Case
from tests.faults.lane import Lane
from tests.faults.play import Outcome, Play
from tests.faults.proxy import Call, Moment, Trap

END = 60.0
"""Seconds until a play must have come to its end."""

_IN_DOUBT = "EffectUnknown"
_OF_PLAN = ("update recoveryplans", "create recoveryplans")


@dataclass(frozen=True)
class Point:
    """A call at which the operator dies: the `nth` one of that name that is about the service.

    A write is tried before it is passed on and after it had its effect. Of the reads between two writes that take the
    plan further the first of each name is tried, once: they change nothing, so that dying at any other one finds the
    same world. It is `follows` that finds a read again, since polls are never as many as the time before.
    """

    name: str
    nth: int
    moment: Moment
    follows: tuple[str, int] | None = None

    def __str__(self) -> str:
        where = f" after {self.follows[0]} {self.follows[1]}" if self.follows else ""
        return f"{self.moment} {self.name} {self.nth}{where}"


class Finder:
    """Finds a point in a stream of calls about a service. Both proxies of a lane ask it, each in its own thread."""

    def __init__(self, service: str, point: Point | None = None) -> None:
        self._service, self._point = service, point
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
        if not call.mentions(self._service) or call.name.startswith("watch "):
            return ()
        if call.writes:
            self._writes[call.name] += 1
            nth = self._writes[call.name]
            if not self._last or call.name.startswith(_OF_PLAN) or " " not in call.name:
                self._last = (call.name, nth)
                self._reads.clear()
            return [Point(call.name, nth, moment) for moment in Moment]
        self._reads[call.name] += 1
        first = self._reads[call.name] == 1 and self._last is not None
        return [Point(call.name, 1, Moment.BEFORE, self._last)] if first else ()


def find_points(calls: Sequence[Call], service: str) -> list[Point]:
    """All points of a play, in the order in which it came to them."""
    finder = Finder(service)
    return [point for call in calls for point in finder.see(call)]


@dataclass(frozen=True)
class Trial:
    """A case that was played with one kill, or with none. `reached`: the operator was killed at the point. `problems`
    is empty where all was as it must be."""

    case: Case
    point: Point | None
    reached: bool
    outcome: Outcome | None
    problems: tuple[str, ...]
    points: tuple[Point, ...] = ()

    def __str__(self) -> str:
        return f"{self.case.name}, {self.point or 'no kill'}: {'; '.join(self.problems) or 'good'}"


def play(lane: Lane, case: Case, name: str, point: Point | None = None, wanted: Outcome | None = None) -> Trial:
    """Play the case to its end, with a kill at the point; compare with the outcome `wanted`."""
    one = Play(lane, name)
    one.create_service()
    case.prepare(one)
    mark, trap = lane.mark(), None
    try:
        if case.whole and point:
            trap = _set_trap(lane, name, point)
        case.begin(one, case.steps)
        if not case.whole:
            one.wait("the plan awaits approval", one.awaits_approval, 30)
            mark = lane.mark()
            trap = _set_trap(lane, name, point) if point else None
        reached = _follow(one, trap)
        one.wait("the end", one.over, END)
        points = find_points(lane.calls_since(mark), name)
        outcome = one.outcome()
        problems = (*one.find_untruths(), *_judge(case, outcome, wanted, reached=reached))
        return Trial(case, point, reached, outcome, problems, tuple(points))
    except TimeoutError as error:
        return Trial(case, point, trap is not None and trap.call is not None, None, (str(error),))
    finally:
        if trap is not None:
            trap.let_go()
        if not lane.runs:
            lane.start()
        one.close()


def _follow(one: Play, trap: Trap | None) -> bool:
    """Approve the plan when it asks for that, kill the operator when it comes into the trap. Whether it did."""
    approved = killed = False
    deadline = time.monotonic() + END
    while time.monotonic() < deadline and not (approved and (killed or trap is None or one.over())):
        if trap is not None and not killed and trap.wait(0.1):
            one.lane.kill()
            trap.drop()
            one.lane.start()
            killed = True
        if not approved and one.awaits_approval():
            one.approve()
            approved = True
    return killed


def _set_trap(lane: Lane, name: str, point: Point) -> Trap:
    finder = Finder(name, point)
    trap = lane.kube_calls.set_trap(finder.fits, point.moment)
    lane.aws_calls.add_trap(trap)
    return trap


def _judge(case: Case, outcome: Outcome, wanted: Outcome | None, *, reached: bool) -> Iterator[str]:
    """What is not as it must be."""
    if wanted is None:
        found = (outcome.plan[0], outcome.incident[0], len(outcome.writes))
        if found != (case.plan, case.incident, case.writes):
            yield f"ended as {found}: {outcome}"
    elif outcome != wanted and not (reached and _ends_with_a_person(case, outcome)):
        yield f"ended as {outcome}, not as {wanted}"


def _ends_with_a_person(case: Case, outcome: Outcome) -> bool:
    """Whether a write that must not be repeated was not made, and the plan says that a person must look."""
    return (
        not case.repeatable
        and len(outcome.writes) == case.writes - 1
        and outcome.plan == ("Failed", _IN_DOUBT)
        and outcome.incident[0] == "Escalated"
    )


def try_all(lanes: Sequence[Lane], case: Case, choose: Callable[[Sequence[Point]], Sequence[Point]]) -> list[Trial]:
    """Play the case without a kill, then once for each point that is chosen of those it has, on all lanes at a time.

    The first trial is the one without a kill; where that fails, it is the only one.
    """
    prefix = f"{case.name[:20].rstrip('-')}-"
    first = play(lanes[0], case, f"{prefix}000")
    if first.problems:
        return [first]
    waiting = list(enumerate(choose(first.points), 1))[::-1]
    trials = [first]

    def work(lane: Lane) -> None:
        while waiting:
            try:
                number, point = waiting.pop()
            except IndexError:
                return  # Another lane was quicker.
            trials.append(play(lane, case, f"{prefix}{number:03d}", point, first.outcome))

    with ThreadPoolExecutor(len(lanes)) as threads:
        for done in [threads.submit(work, lane) for lane in lanes]:
            done.result()
    return trials
