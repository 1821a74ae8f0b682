"""A storm: so many new incidents at once that something bigger is wrong than any of them says.

It is derived from when the incidents were opened, so that it survives restarts and is the same for every replica (S7).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Storm:
    """`since` is when the threshold was reached, `incidents` how many were opened from the window before that until
    now. `until` is when it ends if no more come; None while too many of them are new."""

    since: datetime
    incidents: int
    until: datetime | None


def find_storm(
    opened: Iterable[datetime], *, threshold: int, window: timedelta, cooldown: timedelta, now: datetime
) -> Storm | None:
    """The storm that lasts now, or None.

    It begins when `threshold` incidents were opened within `window`. It ends when no more than half as many were new
    for the whole of `cooldown`: what flickers around the threshold is one storm.
    """
    # The API server's clock may be ahead.
    times = sorted(min(at, now) for at in opened)
    # An incident is new until the window has passed; those that are new no more are counted out first.
    steps = sorted([(at, 1) for at in times] + [(at + window, -1) for at in times if at + window <= now])
    count, since, calm = 0, None, None
    for at, change in steps:
        if since and calm and at >= calm + cooldown:
            since = calm = None
        count += change
        if count >= threshold:
            since, calm = since or at, None
        elif since:
            calm = (calm or at) if count <= threshold // 2 else None
    if since is None or (calm and now >= calm + cooldown):
        return None
    return Storm(since, sum(at > since - window for at in times), calm + cooldown if calm else None)
