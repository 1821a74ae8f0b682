"""The breaker: after some recoveries that failed, nothing new is tried until a person says so (S7)."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from bokgu.api.meta import OpenBreaker
from bokgu.api.protected_service import Recovery
from bokgu.core.recoveries import has_failed


def judge_breaker(
    latch: OpenBreaker | None,
    recoveries: Iterable[Recovery],
    *,
    failures: int,
    within: timedelta,
    reset_at: datetime | None,
) -> OpenBreaker | None:
    """The open breaker, or None while it is closed.

    It opens with the last of so many failures that lie `within` each other, and stays open, however long ago that was,
    until `reset_at` is later: a latch that was stored counts as much as what the recoveries say. Failures before a
    reset are forgotten.
    """
    if latch and (reset_at is None or reset_at < latch.opened_at):
        return latch
    ended = sorted(
        (
            (r.finished_at, r.plan)
            for r in recoveries
            if r.finished_at and has_failed(r) and (reset_at is None or r.finished_at > reset_at)
        ),
    )
    for last in range(failures - 1, len(ended)):
        run = ended[last - failures + 1 : last + 1]
        if run[-1][0] - run[0][0] <= within:
            return OpenBreaker(opened_at=run[-1][0], plans=tuple(plan for _, plan in run))
    return None
