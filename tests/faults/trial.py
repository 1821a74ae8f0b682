"""A case, played with something that goes wrong, and what came of it."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.faults.cases import Case, Counts
from tests.faults.lane import Lane
from tests.faults.play import PATIENCE, Outcome, Play
from tests.faults.points import Point, find_points
from tests.faults.strikes import Strike

END = 150.0
"""Seconds until a play must have come to its end; five times what the longest takes on a machine that is not busy."""

_POLL = 0.25
"""Seconds between two looks at a play. Each is four reads, and many plays share the machine."""

_IN_DOUBT = "EffectUnknown"


@dataclass(frozen=True)
class Trial:
    """`strike` is what was to go wrong, `hit` whether it did. `problems` is empty where all came as it must. `points`
    are all that were counted; of a play that was not hit, all that it came to."""

    case: Case
    strike: Strike
    hit: bool
    outcome: Outcome | None
    problems: tuple[str, ...]
    points: tuple[Point, ...] = ()

    def __str__(self) -> str:
        return f"{self.case.name}, {self.strike}: {'; '.join(self.problems) or 'good'}"


_UNDISTURBED: dict[str, Trial] = {}
"""The trial of each case, by its name, in which nothing went wrong."""


def perform(lane: Lane, case: Case, name: str, strike: Strike, wanted: Outcome | None = None) -> Trial:
    """Play the case to its end while the strike happens; compare with the outcome `wanted`."""
    play = Play(lane, name)
    try:
        play.create_service(controller=case.controller)
        case.prepare(play)
        mark = lane.mark()
        if case.counts is Counts.UNTIL_APPROVAL:
            strike.begin(play)
        case.begin(play, case.steps)
        if case.counts is not Counts.UNTIL_APPROVAL:
            play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
            mark = lane.mark()
            strike.begin(play)
        _follow(play, strike)
        points = case.counts.select(find_points(lane.calls_since(mark), play.concerns))
        if not strike.hit:
            strike.watch(play)  # It may have caught the very last call, which the end does not wait for.
            play.wait("the end", play.over, END)
        outcome = play.outcome()
        problems = (*play.find_untruths(), *_judge(case, outcome, wanted, hit=strike.hit))
        return Trial(case, strike, strike.hit, outcome, problems, tuple(points))
    except TimeoutError as error:
        return Trial(case, strike, strike.hit, None, (str(error),))
    finally:
        strike.end(play)
        if not lane.runs:
            lane.start()
        play.close()


def _follow(play: Play, strike: Strike) -> None:
    """Approve the plan when it asks for that, and let go wrong what will, until all is over."""
    approved = False
    deadline = time.monotonic() + END
    while time.monotonic() < deadline:
        strike.watch(play)
        if not approved and play.awaits_approval():
            play.approve()
            approved = True
        if approved and play.over():
            return
        time.sleep(_POLL)
    play.wait("the end", play.over, 1)


def _judge(case: Case, outcome: Outcome, wanted: Outcome | None, *, hit: bool) -> Iterator[str]:
    """What is not as it must be."""
    if wanted is None:
        found = (outcome.plan[0], outcome.incident[0], len(outcome.writes))
        if found != (case.plan, case.incident, case.writes):
            yield f"ended as {found}: {outcome}"
    elif outcome != wanted and not (hit and _ends_with_a_person(case, outcome)):
        yield f"ended as {outcome}, not as {wanted}"


def _ends_with_a_person(case: Case, outcome: Outcome) -> bool:
    """Whether a write that must not be repeated was not made, and the plan says that a person must look."""
    return (
        not case.repeatable
        and len(outcome.writes) == case.writes - 1
        and outcome.plan == ("Failed", _IN_DOUBT)
        and outcome.incident[0] == "Escalated"
    )


def try_all(
    lanes: Sequence[Lane], case: Case, choose: Callable[[Sequence[Point]], Sequence[Strike]], *, prefix: str
) -> list[Trial]:
    """Play the case with nothing going wrong, unless it was so played before, then once for each strike that is chosen
    for its points, on all lanes at a time. Services are named after the case and the prefix.

    The first trial is the one without a strike; where that fails, it is the only one.
    """
    name = f"{case.name[:16].rstrip('-')}-{prefix}"
    first = _UNDISTURBED.get(case.name) or perform(lanes[0], case, f"{name}000", Strike())
    if first.problems:
        return [first]
    _UNDISTURBED[case.name] = first
    waiting = list(enumerate(choose(first.points), 1))[::-1]
    trials = [first]

    def work(lane: Lane) -> None:
        while waiting:
            try:
                number, strike = waiting.pop()
            except IndexError:
                return  # Another lane was quicker.
            trials.append(perform(lane, case, f"{name}{number:03d}", strike, first.outcome))

    with ThreadPoolExecutor(len(lanes)) as threads:
        works = [threads.submit(work, lane) for lane in lanes]
        try:
            for done in works:
                done.result()
        finally:
            waiting.clear()  # Who interrupts does not wait for the rest.
    return trials
