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
    now: datetime,
) -> OpenBreaker | None:
    """The open breaker, or None while it is closed.

    It opens with the last of so many failures `within` each other, of which the last is no older than that, and stays
    open, however long ago that was, until `reset_at` is no earlier: a latch that was stored counts as much as what the
    recoveries say. Failures before a reset are forgotten.
    """
    if latch and (reset_at is None or reset_at < latch.opened_at):
        return latch
    ended = sorted(
        (r.finished_at, r.plan)
        for r in recoveries
        if r.finished_at and has_failed(r) and (reset_at is None or r.finished_at > reset_at)
    )
    for last in range(failures - 1, len(ended)):
        run = ended[last - failures + 1 : last + 1]
        if run[-1][0] - run[0][0] <= within and now - run[-1][0] <= within:
            return OpenBreaker(opened_at=run[-1][0], plans=tuple(plan for _, plan in run))
    return None


def find_reset(asked: datetime | None, known: datetime | None, now: datetime) -> datetime | None:
    """The last reset: the one that is asked for, once its time has come, or one that was stored. What was reset once
    stays so, also where the field is taken away again."""
    return max((at for at in (asked, known) if at is not None and at <= now), default=None)
